"""Categories of words, and labels of a manifest's stories."""

import numpy as np
import pytest
from kit.data.spoken_corpus import make_corpus

from braindash.errors import InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.io.labels.stories import read_story_labels, select_recordings
from braindash.io.labels.words import read_word_categories
from braindash.probing.questions import _composed


def write(tmp_path, text, name="words.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_words_are_read_in_lower_case_from_commas_and_tabs(tmp_path):
    path = write(tmp_path, "word,category\nDog,animal\n soup , food\n")
    assert read_word_categories(path) == {"dog": "animal", "soup": "food"}
    path = write(tmp_path, "\ufeffcategory\tword\tnote\nanimal\tdog\tx\n", "words.tsv")
    assert read_word_categories(path) == {"dog": "animal"}


def test_two_forms_of_accents_are_one_word(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    path = write(tmp_path, f"word,category\n{apart},food\n{composed.upper()},food\n")
    assert read_word_categories(path) == {composed: "food"}
    path = write(tmp_path, f"word,category\n{apart},food\n{composed},drink\n")
    with pytest.raises(InputError, match="more than one category"):
        read_word_categories(path)
    given = np.array([apart, composed, "tea"], dtype=object)
    assert _composed(given).tolist() == [composed, composed, "tea"]
    assert _composed(given[:1]).tolist() == [apart]  # of one form: results keep their keys


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("word,category\n", "words.csv", "are empty"),
        ("word,class\ndog,animal\n", "words.csv", "has no column 'category'"),
        ("word,category\ndog,\n", "words.csv", "line 2 lacks"),
        ("word,category\ndog,animal\nDOG,food\n", "words.csv", "dog \\(animal, food\\)"),
        ("word,category\ndog,animal\n", "words.txt", "no table that braindash reads"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, name, told):
    with pytest.raises(InputError, match=told) as caught:
        read_word_categories(write(tmp_path, text, name))
    assert caught.value.hint


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_word_categories(write(tmp_path, "word,category\nB\u00e4r,Tier\n", encoding="latin-1"))
    with pytest.raises(InputError, match="are missing"):
        read_word_categories(tmp_path / "nothing.csv")


def test_stories_of_a_manifest_bring_their_labels(tmp_path):
    corpus = make_corpus(tmp_path / "toy", n_recordings=3, n_words=5)
    dataset = load_manifest(corpus.manifest)
    labels = read_story_labels(dataset)
    assert labels.tiers == ("phone", "word")
    assert len(labels.tier("word").table) == corpus.n_words
    one = read_story_labels(dataset, ["story_1"])
    assert list(one.recordings["recording"]) == ["story_1"]


def test_options_of_readers_work_with_a_manifest_too(tmp_path):
    corpus = make_corpus(tmp_path / "toy", n_recordings=3, n_words=5)
    dataset = load_manifest(corpus.manifest)
    plain = read_story_labels(dataset)
    phone = plain.tier("phone").table["label"].iloc[0]
    for path in (tmp_path / "toy").rglob("*.TextGrid"):
        path.write_text(path.read_text().replace(f'"{phone}"', f'"{phone}0"'))
    assert read_story_labels(dataset).digest == plain.digest
    raw = read_story_labels(dataset, options={"fold_phones": False})
    assert f"{phone}0" in set(raw.tier("phone").table["label"])
    only = read_story_labels(dataset, options={"tiers": {"WORDS": "token"}, "speaker": r"_(\d)"})
    assert only.tiers == ("token",) and set(only.table["speaker"]) == {"0", "1", "2"}
    with pytest.raises(InputError, match=r"the stories of .* have no option 'folds'") as caught:
        read_story_labels(dataset, options={"folds": 1})
    assert "fold_phones" in caught.value.hint


def test_endings_of_textgrids_may_be_in_any_case(tmp_path):
    corpus = make_corpus(tmp_path / "toy", n_recordings=3, n_words=5)
    expected = read_story_labels(load_manifest(corpus.manifest)).digest
    for number, path in enumerate(sorted((tmp_path / "toy").rglob("*.TextGrid"))):
        path.rename(path.with_suffix((".textgrid", ".TEXTGRID", ".Textgrid")[number]))
    assert read_story_labels(load_manifest(corpus.manifest)).digest == expected


def test_a_manifest_without_alignments_says_what_to_do(tmp_path):
    corpus = make_corpus(tmp_path / "toy", n_recordings=3, n_words=5)
    text = corpus.manifest.read_text().replace('alignment_dir = "grids"\n', "")
    corpus.manifest.write_text(text)
    with pytest.raises(InputError, match="names no alignment_dir") as caught:
        read_story_labels(load_manifest(corpus.manifest))
    assert "--labels" in caught.value.hint


def test_recordings_are_chosen_by_name_or_pattern():
    names = ["a_1", "a_2", "b_1"]
    assert select_recordings(names, []) == names
    assert select_recordings(names, ["b_*", "a_1", "a_1"]) == ["a_1", "b_1"]
    with pytest.raises(InputError, match="no recording is named 'c\\*'"):
        select_recordings(names, ["a_*", "c*"])
