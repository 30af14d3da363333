"""The shipped stories: sizes, annotations and words."""

import json
from itertools import pairwise

import numpy as np
import pytest

from braindash.demo import (
    ANNOTATION_FOLDER,
    AUDIO_FOLDER,
    DEMO_FOLDER,
    MODEL_FOLDER,
    SHIPPED_STORIES,
    load_lexicon,
)
from braindash.io.dataset.audio import audio_seconds, load_audio
from braindash.io.labels.textgrid import read_textgrid

MINUTES = {"train": 4, "valid": 4, "test": 6, "probe": 2}


def n_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_package_data_stay_small():
    assert n_bytes(DEMO_FOLDER) < 18_000_000  # five models
    assert n_bytes(MODEL_FOLDER) < 5_000_000
    assert n_bytes(AUDIO_FOLDER) + n_bytes(ANNOTATION_FOLDER) < 10_000_000


def test_exactly_the_named_stories_ship():
    assert {path.name for path in AUDIO_FOLDER.iterdir()} == {f"{s}.opus" for s in SHIPPED_STORIES}
    assert {path.name for path in ANNOTATION_FOLDER.iterdir()} == {
        f"{story}.TextGrid" for story in SHIPPED_STORIES
    }


@pytest.mark.parametrize("story", SHIPPED_STORIES)
def test_audio_lasts_as_long_as_its_kind_says(story):
    kind = story.split("_")[1]
    assert audio_seconds(AUDIO_FOLDER / f"{story}.opus") == 60 * MINUTES[kind]


@pytest.mark.parametrize("story", SHIPPED_STORIES)
def test_annotations_lie_inside_the_audio_and_do_not_overlap(story):
    seconds = audio_seconds(AUDIO_FOLDER / f"{story}.opus")
    tiers = read_textgrid(ANNOTATION_FOLDER / f"{story}.TextGrid")
    assert set(tiers) == {"phone", "word"}
    for intervals in tiers.values():
        assert intervals[0].start == 0
        assert intervals[-1].end == pytest.approx(seconds)
        assert all(entry.start < entry.end for entry in intervals)
        assert all(a.end <= b.start + 1e-9 for a, b in pairwise(intervals))


@pytest.mark.parametrize("story", SHIPPED_STORIES)
def test_every_word_is_known_and_holds_phones(story):
    lexicon = load_lexicon()
    known = lexicon.function_words | set(lexicon.category_of)
    tiers = read_textgrid(ANNOTATION_FOLDER / f"{story}.TextGrid")
    words = [entry for entry in tiers["word"] if entry.label]
    assert {part for entry in words for part in entry.label.split()} <= known
    centres = np.array([(p.start + p.end) / 2 for p in tiers["phone"] if p.label])
    starts, ends = np.array([(w.start, w.end) for w in words]).T
    inside = np.searchsorted(centres, ends) - np.searchsorted(centres, starts)
    assert inside.min() >= 1
    assert len(centres) > 2 * len(words)


def test_speech_is_where_the_annotations_say():
    story = "demo_probe_02"
    audio = load_audio(AUDIO_FOLDER / f"{story}.opus")
    phones = read_textgrid(ANNOTATION_FOLDER / f"{story}.TextGrid")["phone"]
    spoken = np.zeros(len(audio), bool)
    for entry in phones:
        if entry.label:
            spoken[int(entry.start * 16_000) : int(entry.end * 16_000)] = True
    frames = np.sqrt((audio.reshape(-1, 320) ** 2).mean(axis=1))
    share = spoken.reshape(-1, 320).mean(axis=1)
    assert np.median(frames[share == 1]) > 5 * np.median(frames[share == 0])


def test_stories_share_no_long_run_of_words():
    """Held-out stories are other sentences than the training stories."""
    sentences = {}
    for story in SHIPPED_STORIES:
        tier = read_textgrid(ANNOTATION_FOLDER / f"{story}.TextGrid")["word"]
        words = [entry.label for entry in tier if entry.label]
        sentences[story] = {tuple(words[i : i + 16]) for i in range(len(words) - 15)}
    names = list(sentences)
    for index, story in enumerate(names):
        for other in names[index + 1 :]:
            assert not sentences[story] & sentences[other]


def test_the_lexicon_has_no_word_twice():
    raw = json.loads((DEMO_FOLDER / "lexicon.json").read_text())
    listed = [word for words in raw["categories"].values() for word in words]
    lexicon = load_lexicon()
    assert len(listed) == len(set(listed)) == len(lexicon.category_of) == 54
    assert not set(listed) & lexicon.function_words
    assert set(lexicon.noun_categories) < set(lexicon.categories)
    assert lexicon.words("vehicle") == tuple(raw["categories"]["vehicle"])
