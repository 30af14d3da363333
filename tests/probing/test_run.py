"""A probing run from recordings to the stored result, on a corpus that can be heard."""

import shutil

import numpy as np
import pytest
import soundfile
from kit.data.spoken_corpus import CATEGORIES, RATE, WORDS, make_corpus, tell, write_grid
from kit.results.stored import CountedStore

import braindash
from braindash.cli.store import what_of
from braindash.errors import Cancelled, InputError
from braindash.io.dataset.audio import load_audio
from braindash.io.store import Store
from braindash.probing.plan import plan_probing
from braindash.probing.questions import ONE_SPEAKER
from braindash.probing.result import ProbingResult
from braindash.probing.run import ProbingRun, run_probing
from braindash.requests import ProbeRequest, build_request
from braindash.work.again import plan_again

FEW = {"n_shuffles": 3, "n_bootstraps": 50, "strategy": "chunk"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "toy")


@pytest.fixture(scope="module")
def probed(corpus, tiny_model, tmp_path_factory):
    """One whole run of all tasks: (store, result)."""
    store = Store(tmp_path_factory.mktemp("probed"))
    return store, run_probing(request_for(corpus, tiny_model), store)


def request_for(corpus, model, **changes):
    fields = {"data": corpus.manifest, "model": str(model), "categories": corpus.categories}
    return build_request(ProbeRequest, **(fields | FEW | changes))


class Reports:
    """Remembers messages, and cancels at one that holds ``stop_at``."""

    def __init__(self, stop_at=None):
        self.messages, self._stop_at = [], stop_at

    def advance(self, done, total, message):
        self.messages.append(message)
        if self._stop_at and self._stop_at in message:
            raise Cancelled()


def test_all_tasks_that_the_labels_allow_are_asked(probed):
    _, result = probed
    assert result.tasks == (
        *("energy", "logmel", "mfcc", "pitch", "voicing", "manner", "place", "phone", "boundary"),
        *("word", "category"),
    )
    assert result.n_layers == 3 and result.simulated and result.data == "toy corpus"
    assert result.metric("mfcc") == "r2" and result.metric("phone") == "balanced_accuracy"
    # Tones differ so much that even random weights keep them apart.
    assert result.score("phone").min() > 0.5 > result.chance("phone").max()
    assert result.score("voicing").min() > 0.9
    facts = result.facts("phone")
    assert facts["classes"] == sorted({p for phones in WORDS.values() for p in phones})
    assert facts["split"].startswith("by recording, seed 0: ")


def test_its_request_can_be_planned_again(probed):
    store, result = probed
    again = plan_again(store, result.key)
    assert again.plan.spec.key() == result.key and not again.notes
    assert again.request.categories.is_absolute()


def test_the_baseline_hears_what_it_is_made_of(corpus, tmp_path):
    store = Store(tmp_path / "store")
    request = request_for(corpus, "acoustic:logmel", tasks=("logmel", "phone"))
    result = run_probing(request, store)
    assert result.n_layers == 1
    assert result.score("logmel")[0] > 0.99  # the same numbers on both sides
    with pytest.raises(InputError, match="one layer"):
        result.stages()


def test_units_are_the_means_of_their_frames_and_scores_those_of_the_core(
    corpus, tiny_model, tmp_path
):
    """Frames of the whole recordings, averaged one unit after the other in float64."""
    from kit.models.probe_runs import probe_layers

    from braindash.core.probes.labels import ProbeTask
    from braindash.core.probes.split import split_units
    from braindash.speech.features import plan_windows, window_features
    from braindash.speech.models import open_model

    store = Store(tmp_path / "store")
    request = request_for(corpus, tiny_model, tasks=("phone",))
    result = run_probing(request, store)
    model, pooled = open_model(str(tiny_model)), []
    table = plan_probing(request).questions[0].units.table
    for name, rows in table.groupby("recording"):
        audio = load_audio(corpus.audio / f"{name}.wav")
        windows = plan_windows(model, len(audio), "chunk")
        frames = np.concatenate([f for _, f in window_features(model, audio, windows)])
        # 160 samples, then 8 x 20 and 8 x 80 more: a frame's front end sees 860.
        middle = (860 / 2 + 320 * np.arange(len(frames))) / RATE
        for start, end in rows[["start", "end"]].to_numpy():
            inside = (middle >= start - 1e-6) & (middle < end - 1e-6)
            pooled.append(frames[inside].astype(np.float64).mean(axis=0))
    expected = np.stack(pooled, axis=1)
    [key] = result.spec["units"][0]["features"]
    with store.get("unit-features", key).open() as stored:
        np.testing.assert_allclose(stored["features"].values, expected, atol=2e-6)
    labels = table["label"].to_numpy(dtype=str)
    split = split_units(table["recording"].to_numpy(dtype=str), strata=labels, seed=0)
    task = ProbeTask("phone", labels, balanced=True, metric="balanced_accuracy")
    options = {"n_shuffles": 3, "n_samples": 50, "seed": 0}
    [core] = probe_layers(list(expected.astype(np.float32)), [task], split, **options)
    np.testing.assert_allclose(result.score("phone"), core.score, atol=0.01)
    np.testing.assert_allclose(result.dataset["low"].sel(task="phone"), core.low, atol=0.02)


def test_words_of_the_semantic_task_are_never_learnt_and_all_are_tested(corpus, tiny_model):
    plan = plan_probing(request_for(corpus, tiny_model, tasks=("category",)))
    from braindash.probing.questions import divide

    [question] = plan.questions
    everything = np.ones(len(question.units), dtype=bool)
    sides = divide(question, everything, given=False, shares=(0.6, 0.2, 0.2), folds=5, seed=0)
    words = question.types
    recordings = question.units.table["recording"].to_numpy()
    tested = []
    for one in sides:
        parts = [one.rows[getattr(one.split, p)] for p in ("train", "valid", "test")]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert not set(words[parts[a]]) & set(words[parts[b]])
            assert not set(recordings[parts[a]]) & set(recordings[parts[b]])
        tested += list(parts[2])
    assert len(tested) == len(set(tested)) and set(words[tested]) <= set(CATEGORIES)


def test_controls_are_planned_like_their_model(corpus, tiny_model, monkeypatch):
    first = plan_probing(request_for(corpus, tiny_model, strategy="exact"))
    controls = [f"untrained:{tiny_model}", "acoustic:logmel"]
    asked = [request_for(corpus, model, strategy="exact") for model in controls]
    expected = [plan_probing(request) for request in asked]
    monkeypatch.setattr("braindash.probing.plan.read_request_labels", None)
    for request, alone in zip(asked, expected, strict=True):
        found = plan_probing(request, first)
        assert found.spec == alone.spec and found.warnings == alone.warnings
        assert [one.key for one in found.extractions] == [one.key for one in alone.extractions]
    with pytest.raises(TypeError):  # other questions are asked of the labels themselves
        plan_probing(request_for(corpus, tiny_model, strategy="exact", seed=1), first)


def test_a_second_run_is_read_from_the_store(corpus, tiny_model, probed):
    store, result = probed
    reports = Reports()
    again = run_probing(request_for(corpus, tiny_model), store, reports)
    assert again.key == result.key and "already computed" in reports.messages
    np.testing.assert_array_equal(again.dataset["score"], result.dataset["score"])


def test_a_run_goes_on_after_its_last_layer(corpus, tiny_model, probed, tmp_path):
    store, whole = Store(tmp_path / "store"), probed[1]
    request = request_for(corpus, tiny_model)
    with pytest.raises(Cancelled):
        run_probing(request, store, Reports(stop_at="layer 1: "))
    reports = Reports()
    resumed = run_probing(request, store, reports)
    assert not any("window" in message for message in reports.messages), "features again"
    assert not any("layer 0" in message for message in reports.messages)
    np.testing.assert_allclose(resumed.dataset["score"], whole.dataset["score"], atol=1e-9)
    np.testing.assert_allclose(resumed.dataset["samples"], whole.dataset["samples"], atol=1e-6)


def test_an_interrupted_extraction_keeps_its_groups(corpus, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("braindash.probing.units._GROUP_SECONDS", 5.0)
    store = Store(tmp_path / "store")
    request = request_for(corpus, tiny_model, tasks=("phone",))
    with pytest.raises(Cancelled):
        run_probing(request, store, Reports(stop_at="(4/"))
    assert len(store.entries("unit-features")) == 3
    kept = {e.key: e.result_file.stat().st_mtime_ns for e in store.entries("unit-features")}
    run_probing(request, store)
    after = {e.key: e.result_file.stat().st_mtime_ns for e in store.entries("unit-features")}
    assert {key: after[key] for key in kept} == kept


def test_units_of_a_run_that_was_stopped_between_them_are_equal_to_the_last_bit(
    corpus, tiny_model, probed, tmp_path
):
    whole, store = probed[0], Store(tmp_path / "store")
    request = request_for(corpus, tiny_model)
    several = [members for members in plan_probing(request).passes if len(members) > 1]
    for one in (members[0] for members in several):
        kept = whole.get("unit-features", one.key)
        shutil.copytree(kept.folder, store.folder("unit-features", one.key))
    assert several
    run_probing(request, store)
    for entry in whole.entries("unit-features"):
        found = store.get("unit-features", entry.key)
        np.testing.assert_array_equal(found.open()["features"], entry.open()["features"])


def test_controls_are_asked_the_same_questions(corpus, tiny_model, probed):
    store, result = probed
    control = run_probing(request_for(corpus, f"untrained:{tiny_model}"), store)
    assert control.key != result.key and control.questions == result.questions
    assert control.model.startswith("untrained:")
    other = run_probing(request_for(corpus, tiny_model, seed=1, tasks=("phone",)), store)
    assert other.questions != result.questions


def test_the_interface_gives_the_same_result(corpus, tiny_model, probed):
    store, result = probed
    again = braindash.probe(
        tiny_model, corpus.manifest, categories=corpus.categories, store=store, **FEW
    )
    assert isinstance(again, ProbingResult) and again.key == result.key
    assert braindash.open_result(result.key[:8], store=store).key == result.key
    from_folder = braindash.probe(
        tiny_model,
        labels="textgrid",
        labels_path=corpus.grids,
        labels_options={"audio": str(corpus.audio)},
        categories=corpus.categories,
        store=store,
        **FEW,
    )
    # Another name of the data, but the same recordings and labels.
    assert from_folder.key == result.key


def test_depth_and_hierarchy_come_from_scores_above_chance(probed):
    _, result = probed
    table = result.stages().set_index(["quantity", "name"])
    above = result.above_chance("phone")
    weights = np.maximum(above, 0)
    expected = weights @ np.linspace(0, 1, 3) / weights.sum()
    assert table.loc[("weighted_depth", "phone"), "estimate"] == pytest.approx(expected)
    assert result.hierarchy == result.tasks and ("hierarchy_index", "all") in table.index
    chance = result.chance("phone")
    np.testing.assert_allclose(above, (result.score("phone") - chance) / (1 - chance))


# ---- bad input -------------------------------------------------------------------------------


def change_grid(corpus, tiers):
    write_grid(corpus.grids / "story_0.TextGrid", tiers)


@pytest.fixture
def own_corpus(tmp_path):
    return make_corpus(tmp_path / "own", n_recordings=4, n_words=20, seed=3)


def test_segments_without_sound_are_left_out_and_counted(own_corpus, tiny_model, tmp_path):
    path = own_corpus.audio / "story_1.wav"
    samples, rate = soundfile.read(path)
    samples[: 2 * rate] = 0.0
    soundfile.write(path, samples, rate)
    request = request_for(own_corpus, tiny_model, tasks=("phone", "energy"))
    result = run_probing(request, Store(tmp_path / "store"))
    told = result.facts("phone")["warnings"]
    assert any("hold no sound and are left out, the first in story_1, 0.00" in t for t in told)
    facts = result.facts("phone")
    n_used = facts["n_train"] + facts["n_validation"] + facts["n_test"]
    assert 0 < own_corpus.n_phones - n_used <= 2.0 / 0.12


def test_a_corpus_of_silence_says_so(own_corpus, tiny_model, tmp_path):
    for path in own_corpus.audio.iterdir():
        samples, rate = soundfile.read(path)
        soundfile.write(path, 0 * samples, rate)
    request = request_for(own_corpus, tiny_model, tasks=("phone",))
    with pytest.raises(InputError, match=r"story_0\.wav holds only silence"):
        run_probing(request, Store(tmp_path / "store"))


def test_reversed_intervals_and_labels_outside_the_audio_are_refused(own_corpus, tiny_model):
    _, tiers = tell(["sima"] * 4, np.random.default_rng(0))
    change_grid(own_corpus, tiers | {"words": [(0.5, 0.2, "sima")]})
    with pytest.raises(InputError, match=r"0\.5|before|reversed"):
        plan_probing(request_for(own_corpus, tiny_model))
    change_grid(own_corpus, tiers | {"words": [(900.0, 901.0, "sima")]})
    with pytest.raises(InputError, match="outside their audio") as caught:
        plan_probing(request_for(own_corpus, tiny_model))
    assert "story_0" in caught.value.message


def test_overlapping_intervals_are_told(own_corpus, tiny_model):
    table = own_corpus.folder / "labels.csv"
    rows = [
        f"story_{number}.wav,{place / 4},{place / 4 + 0.4},{'ab'[place % 2]},label"
        for number in range(4)
        for place in range(12)
    ]
    table.write_text("\n".join(["path,start,end,label,tier", *rows]) + "\n")
    request = build_request(
        ProbeRequest,
        labels="table",
        labels_path=table,
        labels_options={"audio": str(own_corpus.audio)},
        model=str(tiny_model),
        tasks=("label",),
    )
    assert any("overlap an earlier one" in text for text in plan_probing(request).warnings)


def test_a_class_with_one_example_is_left_out_and_named(own_corpus, tiny_model):
    samples, tiers = tell(["sima", "masu"] * 8, np.random.default_rng(0))
    tiers["phones"][0] = (*tiers["phones"][0][:2], "ZH")
    change_grid(own_corpus, tiers)
    soundfile.write(own_corpus.audio / "story_0.wav", samples, RATE)
    plan = plan_probing(request_for(own_corpus, tiny_model, tasks=("phone",)))
    assert any("fewer than 3 units are left out: ZH" in text for text in plan.warnings)
    assert "ZH" not in plan.questions[0].answers[plan.questions[0].keep]


def test_one_speaker_only_is_divided_by_recording_and_says_so(own_corpus, tiny_model, tmp_path):
    result = braindash.probe(
        tiny_model,
        labels="textgrid",
        labels_path=own_corpus.grids,
        labels_options={"audio": str(own_corpus.audio), "speaker": "^(story)_"},
        tasks=["manner"],
        store=tmp_path / "store",
        **FEW,
    )
    assert f"manner: {ONE_SPEAKER}" in result.facts("manner")["warnings"]
    assert "by recording (one speaker)" in result.facts("manner")["split"]


def test_too_few_recordings_say_what_to_do(own_corpus, tiny_model):
    request = request_for(own_corpus, tiny_model, recordings=("story_0", "story_1"))
    with pytest.raises(InputError, match="2 recordings are left") as caught:
        plan_probing(request)
    assert "at least three recordings" in caught.value.hint


def test_a_recording_that_no_label_names_is_told(own_corpus, tiny_model):
    (own_corpus.grids / "story_2.TextGrid").unlink()
    plan = plan_probing(request_for(own_corpus, tiny_model, tasks=("phone",)))
    assert any("1 recordings have no label: story_2" in text for text in plan.warnings)


def test_mixed_sampling_rates_are_told_and_brought_to_one(own_corpus, tiny_model, tmp_path):
    path = own_corpus.audio / "story_3.wav"
    samples, _ = soundfile.read(path)
    soundfile.write(path, np.repeat(samples, 2), 2 * RATE)
    request = request_for(own_corpus, tiny_model, tasks=("phone",))
    plan = plan_probing(request)
    assert any("different sampling rates (16000 Hz: 3, 32000 Hz: 1)" in t for t in plan.warnings)
    assert np.isfinite(run_probing(request, Store(tmp_path)).score("phone")).all()


def test_a_model_of_another_frame_rate_has_the_same_units(corpus, probed, tmp_path):
    """A frame every 40 ms: some 20 ms units hold none and take the nearest one."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    config = HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(16, 16),
        conv_kernel=(160, 8),
        conv_stride=(80, 8),
        conv_bias=False,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
        vocab_size=8,
    )
    torch.manual_seed(0)
    HubertModel(config).save_pretrained(tmp_path / "slow")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "slow")
    slow = run_probing(request_for(corpus, tmp_path / "slow"), probed[0])
    assert slow.questions == probed[1].questions
    for task in ("energy", "phone"):
        assert slow.facts(task)["n_test"] == probed[1].facts(task)["n_test"]
        assert np.isfinite(slow.score(task)).all()


def test_an_unreachable_hub_says_how_to_use_a_folder(corpus):
    with pytest.raises(braindash.BraindashError, match="cannot be had from the hub") as caught:
        plan_probing(request_for(corpus, "nobody/no-such-model"))
    assert "local folder" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tasks": ("phonee",)}, "no probing task 'phonee'"),
        ({"tasks": ("emotion",)}, "asks about the tier 'emotion'"),
        ({"tasks": ("word_vector",)}, "needs a table that was not given"),
        ({"recordings": ("nobody*",)}, "no recording is named 'nobody\\*'"),
        ({"split": "given"}, "do not say for every recording"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_computed(
    corpus, tiny_model, changes, told
):
    with pytest.raises(InputError, match=told) as caught:
        plan_probing(request_for(corpus, tiny_model, **changes))
    assert caught.value.hint


def test_a_request_names_one_source_of_labels(corpus):
    with pytest.raises(InputError, match="not both"):
        build_request(ProbeRequest, model="m")
    with pytest.raises(InputError, match="belong together"):
        build_request(ProbeRequest, model="m", labels="textgrid")
    with pytest.raises(InputError, match=r"braindash probe|labels"):
        build_request(ProbeRequest, model="m", data=corpus.manifest, strategy="fast")


def test_units_without_a_frame_of_the_model_are_told_apart_from_silence(
    own_corpus, tiny_model, tmp_path, monkeypatch
):
    from braindash.probing import ask as probing

    request = request_for(own_corpus, tiny_model, tasks=("phone",))
    whole = run_probing(request, Store(tmp_path / "whole"))
    found = probing._has_frames

    def lacking(plan, units, features):
        framed = found(plan, units, features).copy()
        framed[:7] = False
        return framed

    monkeypatch.setattr(probing, "_has_frames", lacking)
    result = run_probing(request, Store(tmp_path / "store"))
    [told] = [t for t in result.facts("phone")["warnings"] if "left out" in t]
    assert "phone: 7 units (2.2%) hold no frame of the model and are left out" in told
    counts = [
        sum(one.facts("phone")[f"n_{part}"] for part in ("train", "validation", "test"))
        for one in (whole, result)
    ]
    assert counts[0] - counts[1] == 7


def test_the_caption_names_every_method_in_the_order_of_the_tasks(corpus, tiny_model, tmp_path):
    request = request_for(corpus, tiny_model, method="logistic", tasks=("energy", "phone", "word"))
    result = run_probing(request, Store(tmp_path / "store"))
    assert "· ridge and logistic probes" in result.provenance_line()
    assert "· ridge probes" in result.provenance_line("energy")
    assert "· logistic probes" in result.provenance_line("phone")


def test_a_run_looks_every_key_up_once(corpus, tiny_model, tmp_path):
    store = CountedStore(tmp_path / "store")
    result = run_probing(request_for(corpus, tiny_model, tasks=("energy", "phone")), store)
    assert {kind for kind, _ in store.looked_up} == {"probing", "unit-features"}
    assert store.looked_up["probing", result.key] == 1
    assert set(store.looked_up.values()) == {1}


def make_noisy(corpus):
    for number, path in enumerate(sorted(corpus.audio.iterdir())):
        samples, rate = soundfile.read(path)
        noise = 0.1 * np.random.default_rng(number).standard_normal(len(samples))
        soundfile.write(path, noise, rate)


def test_a_task_that_the_sound_does_not_allow_is_left_out_and_told(
    own_corpus, tmp_path, monkeypatch
):
    make_noisy(own_corpus)
    request = request_for(own_corpus, "acoustic:energy")
    stored = Store(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(ProbingRun, "_finish", lambda self, progress: progress.no_such_method)
        with pytest.raises(AttributeError):
            run_probing(request, stored)
    result = run_probing(request, stored)  # goes on after the last layer
    asked = tuple(task["name"] for task in result.spec["tasks"])
    assert "pitch" in asked and result.tasks == tuple(name for name in asked if name != "pitch")
    assert "left out: pitch: no frame is voiced" in result.provenance["warnings"]
    assert what_of(stored.find(result.key)) == ", ".join(result.tasks)
    with pytest.raises(InputError, match="no task 'pitch'"):
        result.score("pitch")
    assert set(result.table()["task"]) == set(result.tasks)
    assert run_probing(request, stored).key == result.key
    named = request_for(own_corpus, "acoustic:energy", tasks=asked)
    with pytest.raises(InputError, match=r"'pitch' cannot be asked .*no frame is voiced"):
        run_probing(named, stored)
    with pytest.raises(InputError, match="pitch: no frame is voiced"):
        run_probing(named, Store(tmp_path / "other"))
