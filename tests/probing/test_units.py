"""Units and questions of labels of every kind: frames, words, utterances; given and drawn sides."""

import numpy as np
import pytest
from kit.data.spoken_corpus import CATEGORIES, WORDS, make_corpus

from braindash.errors import InputError
from braindash.io.store import Store
from braindash.probing.plan import plan_probing
from braindash.probing.run import run_probing
from braindash.probing.units import group_recordings, plan_units
from braindash.requests import ProbeRequest, build_request

FEW = {"n_shuffles": 2, "n_bootstraps": 20}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "toy")


@pytest.fixture
def table(corpus, tmp_path):
    """Write a label table over the corpus's recordings; gives a function."""

    def write(rows, columns="path,start,end,label,tier,speaker,split"):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([columns, *rows]) + "\n")
        return path

    return write


def from_table(corpus, path, model, **changes):
    fields = {
        "labels": "table",
        "labels_path": path,
        "labels_options": {"audio": str(corpus.audio)},
        "model": str(model),
    }
    return build_request(ProbeRequest, **(fields | FEW | changes))


def from_manifest(corpus, model, **changes):
    fields = {"data": corpus.manifest, "model": str(model)}
    return build_request(ProbeRequest, **(fields | FEW | changes))


def test_frames_lie_every_tenth_of_a_second_of_every_recording(corpus, tiny_model):
    plan = plan_probing(from_manifest(corpus, tiny_model, tasks=("energy",)))
    [units] = plan.units
    for name, rows in units.table.groupby("recording"):
        seconds = plan.labels.recordings.set_index("recording").loc[name, "seconds"]
        start = rows["start"].to_numpy()
        np.testing.assert_allclose(start, 0.1 * np.arange(len(start)))
        np.testing.assert_allclose(rows["end"] - start, 0.02)
        assert start[-1] + 0.02 <= seconds < start[-1] + 0.12


def test_more_units_than_allowed_are_drawn_from_the_seed(corpus, tiny_model):
    plans = [
        plan_probing(from_manifest(corpus, tiny_model, tasks=("phone",), max_units=200, seed=seed))
        for seed in (0, 0, 1)
    ]
    tables = [plan.units[0].table for plan in plans]
    assert [len(one) for one in tables] == [200] * 3
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])
    assert any("200 of 576 units (phone) are drawn" in text for text in plans[0].warnings)
    assert (tables[0]["recording"].to_numpy()[:-1] <= tables[0]["recording"].to_numpy()[1:]).all()


def test_short_recordings_share_a_group(corpus, tiny_model, monkeypatch):
    labels = plan_probing(from_manifest(corpus, tiny_model, tasks=("energy",))).labels
    [whole] = group_recordings(labels.recordings)
    assert len(whole.names) == 6 and whole.title == "story_0 and 5 more"
    monkeypatch.setattr("braindash.probing.units._GROUP_SECONDS", 30.0)
    parts = group_recordings(labels.recordings)
    assert [name for part in parts for name in part.names] == list(whole.names)
    assert len(parts) == 3 and all(part.seconds <= 30 for part in parts)
    monkeypatch.setattr("braindash.probing.units._GROUP_SECONDS", 1.0)
    assert len(group_recordings(labels.recordings)) == 6  # a long one alone


def test_units_of_recordings_that_are_too_short_are_left_out(corpus, tiny_model):
    labels = plan_probing(from_manifest(corpus, tiny_model, tasks=("phone",))).labels
    labels.recordings.loc[0, "seconds"] = 0.1
    units, told = plan_units(labels, "phone", max_units=1000, seed=0)
    assert "story_0" not in set(units.table["recording"])
    assert "96 units (phone) of 1 recordings shorter than 0.2 s" in told[0]


def test_boundaries_are_the_first_phones_of_words(corpus, tiny_model):
    plan = plan_probing(from_manifest(corpus, tiny_model, tasks=("boundary", "phone")))
    answers = {question.info.name: question.answers for question in plan.questions}
    first = {WORDS[word][0] for word in WORDS}
    begins = answers["boundary"] == "begins a word"
    assert begins.sum() == corpus.n_words
    assert set(answers["phone"][begins]) == first


def test_word_vectors_are_foretold_for_words_never_learnt(corpus, tiny_model, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "vectors.npz"
    known = [word for word in WORDS if word != "timu"]
    np.savez(path, words=np.array(known), vectors=rng.normal(size=(len(known), 3)))
    request = from_manifest(corpus, tiny_model, tasks=("word_vector",), word_vectors=path)
    plan = plan_probing(request)
    assert any("1 words have no vector: timu" in text for text in plan.warnings)
    result = run_probing(request, Store(tmp_path / "store"))
    assert result.metric("word_vector") == "r2"
    assert result.dataset["detail_word_vector"].shape == (3, 3)
    assert "words apart as well" in result.facts("word_vector")["split"]


def test_categories_without_words_enough_are_left_out(corpus, tiny_model, tmp_path):
    path = tmp_path / "words.csv"
    rows = [f"{word},{name}" for word, name in CATEGORIES.items() if word != "sami"]
    path.write_text("\n".join(["word,category", *rows, "sami,lonely"]) + "\n")
    plan = plan_probing(from_manifest(corpus, tiny_model, tasks=("category",), categories=path))
    assert any("fewer than 3 words are left out: lonely" in text for text in plan.warnings)
    assert "lonely" not in set(plan.questions[0].answers[plan.questions[0].keep])


def test_the_sides_of_the_source_are_taken_where_it_has_them(corpus, table, tiny_model, tmp_path):
    sides = ["train", "train", "train", "valid", "test", "test"]
    rows = [
        f"story_{number}.wav,{place / 2},{place / 2 + 0.4},{'ab'[place % 2]},emotion,s{number},"
        f"{side}"
        for number, side in enumerate(sides)
        for place in range(10)
    ]
    path = table(rows)
    request = from_table(corpus, path, tiny_model, tasks=("emotion", "energy"))
    plan = plan_probing(request)
    assert plan.spec.split == "given"
    result = run_probing(request, Store(tmp_path / "store"))
    facts = result.facts("emotion")
    assert (facts["n_train"], facts["n_validation"], facts["n_test"]) == (30, 10, 20)
    assert facts["split"].startswith("as given")
    drawn = plan_probing(from_table(corpus, path, tiny_model, tasks=("emotion",), split="drawn"))
    assert drawn.spec.split == "drawn" and drawn.spec.key() != plan.spec.key()


def test_sentence_types_are_told_by_the_mark_at_the_end(corpus, table, tiny_model):
    texts = ["Is it so?", "It is so.", "It is so!", "no mark"]
    rows = [
        f'story_{number}.wav,{place},{place + 0.8},"{texts[place]}",sentence,s{number % 3},'
        for number in range(6)
        for place in range(4)
    ]
    plan = plan_probing(from_table(corpus, table(rows), tiny_model, tasks=("sentence_type",)))
    [question] = plan.questions
    assert set(question.answers[question.keep]) == {"question", "statement", "exclamation"}
    assert question.keep.sum() == 18


def test_recordings_of_one_word_are_commands(table, tiny_model, tmp_path):
    many = make_corpus(tmp_path / "many", n_recordings=16, n_words=1)
    rows = [f"story_{number}.wav,,,{'ab'[number % 2]},word,s{number}," for number in range(16)]
    plan = plan_probing(from_table(many, table(rows), tiny_model))
    assert [question.info.name for question in plan.questions][-1] == "command"


def test_a_task_that_was_not_named_and_cannot_be_asked_is_left_out_and_told(
    corpus, table, tiny_model
):
    rows = [f"story_{number}.wav,0,1,same,emotion,s{number}," for number in range(6)]
    plan = plan_probing(from_table(corpus, table(rows), tiny_model))
    assert "emotion" not in [question.info.name for question in plan.questions]
    assert any(text.startswith("left out: emotion: 1 classes have") for text in plan.warnings)
    with pytest.raises(InputError, match="emotion: 1 classes have"):
        plan_probing(from_table(corpus, table(rows), tiny_model, tasks=("emotion",)))


def test_a_task_that_was_not_named_and_cannot_be_divided_is_left_out_and_told(
    corpus, table, tiny_model
):
    phones = [
        f"story_{number}.wav,{place / 2},{place / 2 + 0.4},{('AA', 'M')[place % 2]},phone,,"
        for number in range(6)
        for place in range(10)
    ]
    path = table(phones)
    plan = plan_probing(from_table(corpus, path, tiny_model))
    names = [question.info.name for question in plan.questions]
    assert "voicing" not in names and {"energy", "phone", "manner"} <= set(names)
    assert [task.name for task in plan.spec.tasks] == names
    assert any(text.startswith("left out: voicing: every unit is") for text in plan.warnings)
    named = plan_probing(from_table(corpus, path, tiny_model, tasks=tuple(names)))
    assert named.spec.key() == plan.spec.key()
    with pytest.raises(InputError, match="voicing: every unit is of class 'voiced'"):
        plan_probing(from_table(corpus, path, tiny_model, tasks=("voicing", "phone")))


def test_labels_of_too_few_recordings_do_not_stop_the_tasks_about_sound(corpus, table, tiny_model):
    rows = [
        f"story_{number}.wav,{place / 2},{place / 2 + 0.4},{'ab'[place % 2]},emotion,,"
        for number in range(2)
        for place in range(10)
    ]
    rows += [f"story_{number}.wav,0,1,{'ab'[number % 2]},label,," for number in range(6)]
    plan = plan_probing(from_table(corpus, table(rows), tiny_model))
    assert any(
        text.startswith("left out: emotion: 2 recordings are left") for text in plan.warnings
    )
    assert "energy" in [question.info.name for question in plan.questions]


def phone_rows(labels):
    return [
        f"story_{number}.wav,{place / 4},{place / 4 + 0.2},{label},phone,,"
        for number in range(6)
        for place, label in enumerate(labels * 4)
    ]


def test_phones_of_an_unknown_alphabet_have_no_classes(corpus, table, tiny_model):
    path = table(phone_rows("zh a1 ang1 x".split()))
    plan = plan_probing(from_table(corpus, path, tiny_model))
    names = [question.info.name for question in plan.questions]
    assert "phone" in names and not {"voicing", "manner", "place"} & set(names)
    for name in ("voicing", "manner", "place"):
        assert any(text.startswith(f"left out: {name}: the phone labels") for text in plan.warnings)
    with pytest.raises(InputError, match=r"manner: .* of no alphabet that is known"):
        plan_probing(from_table(corpus, path, tiny_model, tasks=("manner",)))


def test_stressed_vowels_have_the_classes_of_their_phones(corpus, table, tiny_model):
    path = table(phone_rows("AH0 IY1 S T M".split()))
    plan = plan_probing(from_table(corpus, path, tiny_model, tasks=("manner", "place")))
    answers = {one.info.name: set(one.answers[one.keep]) for one in plan.questions}
    assert answers["manner"] == {"vowel", "fricative", "stop", "nasal"}
    assert {"central", "front"} <= answers["place"]
    assert not any("are no phones that are known" in text for text in plan.warnings)
