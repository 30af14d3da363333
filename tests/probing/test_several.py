"""The mean of probing scores over models, and the tasks of a paper's preset."""

import numpy as np
import pytest
from kit.data.label_files import write_text
from kit.data.spoken_corpus import WORDS, make_corpus
from kit.results.made_up_probing import made_up_probing
from scipy.stats import sem

import braindash
from braindash.errors import InputError
from braindash.probing.plan import plan_probing
from braindash.probing.several import probing_mean
from braindash.requests import ProbeRequest, build_request


def test_the_mean_and_its_error_are_scipys():
    results = [made_up_probing(model=f"tuned-{draw}", draw=draw) for draw in range(4)]
    table = braindash.probing_mean(results)
    for task in results[0].tasks:
        scores = np.stack([one.score(task) for one in results])
        own = table[table["task"] == task]
        np.testing.assert_allclose(own["mean"], scores.mean(axis=0))
        np.testing.assert_allclose(own["se"], sem(scores, axis=0))
        assert set(own["metric"]) == {results[0].metric(task)}
    assert set(table["n_models"]) == {4} and table["simulated"].all()


def test_what_has_no_mean_is_refused():
    one, other = made_up_probing(), made_up_probing(model="other", seed=4)
    for given, says in (
        ([one], "1 different results"),
        ([one, one], "1 different results"),
        ([one, other], "have no mean"),
        ([one, made_up_probing(model="deep", n_layers=6, draw=1)], "have no mean"),
    ):
        with pytest.raises(InputError, match=says):
            probing_mean(given)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Recordings of tones whose table names phones, and sentences of two words each."""
    corpus = make_corpus(tmp_path_factory.mktemp("spoken") / "toy", n_recordings=6, n_words=24)
    rows = ["path,start,end,label,tier"]
    for path in sorted(corpus.grids.glob("*.TextGrid")):
        tiers = braindash_tiers(path)
        rows += [f"{path.stem}.wav,{a},{b},{label},phone" for a, b, label in tiers["phones"]]
        words = tiers["words"]
        for start in range(0, len(words), 2):
            part = words[start : start + 2]
            text = " ".join(label for _, _, label in part)
            rows.append(f"{path.stem}.wav,{part[0][0]},{part[-1][1]},{text},sentence")
    return corpus, write_text(corpus.folder / "labels.csv", *rows)


def braindash_tiers(path):
    from braindash.io.labels.textgrid import read_textgrid

    return {
        name: [(one.start, one.end, one.label) for one in intervals if one.label]
        for name, intervals in read_textgrid(path).items()
    }


def asked(spoken, model, **fields):
    corpus, table = spoken
    few = {"n_shuffles": 2, "n_bootstraps": 20, "labels_options": {"audio": str(corpus.audio)}}
    labels = {"labels": "table", "labels_path": table, "model": str(model)}
    return build_request(ProbeRequest, **(labels | few | fields))


def test_the_set_of_a_sentence_is_the_phones_of_its_words(spoken, tiny_model):
    plan = plan_probing(asked(spoken, tiny_model, tasks=("phone_set",)))
    [question] = plan.questions
    for text, answer in zip(question.units.table["label"], question.answers, strict=True):
        expected = {phone for word in text.split() for phone in WORDS[word]}
        assert set(answer.split()) == expected and answer.split() == sorted(expected)
    assert question.keep.all() and not question.warnings


def test_a_preset_asks_its_own_tasks_in_its_metric(spoken, tiny_model, tmp_path):
    request = asked(spoken, tiny_model, preset="moussa2025-a")
    result = braindash.probe(
        tiny_model,
        store=tmp_path,
        **request.model_dump(exclude={"model", "data", "revision", "left_out"}),
    )
    assert result.tasks == ("mfcc", "phone", "phone_set") and result.preset == "moussa2025-a"
    assert [result.metric(task) for task in result.tasks] == ["r2", "macro_f1", "macro_f1"]
    assert "preset moussa2025-a" in result.provenance_line()
    assert "score: R² and macro-F1" in result.provenance_line()
    assert "score: macro-F1" in result.provenance_line("phone")
    chance = result.chance("phone_set")
    assert np.isfinite(result.score("phone_set")).all() and (chance > 0).all()
    detail = result.dataset["detail_phone_set"]
    assert detail.shape == (3, len(result.facts("phone_set")["classes"]))
    np.testing.assert_allclose(
        np.nanmean(detail.values, axis=1), result.score("phone_set"), atol=1e-6
    )
    # The same probe by its usual score is another question.
    usual = plan_probing(asked(spoken, tiny_model, tasks=("phone",)))
    assert usual.spec.tasks[0].metric == "balanced_accuracy"


def test_of_a_preset_is_asked_what_the_labels_allow(tmp_path, spoken, tiny_model):
    corpus, _ = spoken
    rows = [f"story_{n}.wav,0,1,{'ab'[n % 2]},level" for n in range(6)]
    table = write_text(tmp_path / "t.csv", "path,start,end,label,tier", *rows)
    request = asked((corpus, table), tiny_model, preset="moussa2025-a")
    assert [one.info.name for one in plan_probing(request).questions] == ["mfcc"]


def test_sentences_are_told_from_their_frames(spoken, tiny_model, tmp_path):
    request = asked(spoken, tiny_model, tasks=("asr",))
    [question] = plan_probing(request).questions
    table = question.units.table
    assert set((table["end"] - table["start"]).round(6)) == {0.04}
    for (_, label), rows in table.groupby(["recording", "label"]):
        start, text = label.split("|")
        np.testing.assert_allclose(rows["start"], float(start) + 0.04 * np.arange(len(rows)))
        assert len(text.split()) == 2
    few = plan_probing(asked(spoken, tiny_model, tasks=("asr",), max_units=200))
    kept = few.questions[0].units.table
    whole = table.groupby(["recording", "label"]).size()
    assert len(kept) <= 200 and any("sentences are drawn" in text for text in few.warnings)
    for name, count in kept.groupby(["recording", "label"]).size().items():
        assert count == whole[name], "sentences are taken whole"
    fields = request.model_dump(exclude={"model", "data", "revision", "left_out"})
    result = braindash.probe(tiny_model, store=tmp_path, **fields)
    assert result.metric("asr") == "word_accuracy" and result.n_layers == 3
    wer = result.dataset["metrics"].sel(task="asr", metric="wer").values
    np.testing.assert_allclose(result.score("asr"), 1 - wer)
    assert "word accuracy (1 - WER)" in result.provenance_line("asr")
    assert "ctc probes, passes chosen" in result.provenance_line("asr")
    assert (result.chance("asr") == 0).all() and result.facts("asr")["n_test"] > 0
    both = plan_probing(asked(spoken, tiny_model, tasks=("asr", "phone"))).spec.tasks
    assert [one.method for one in both] == ["ridge", "ctc"]
