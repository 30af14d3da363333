"""From a lab's files to a tuned model in the store: what is read, what chooses, what comes out."""

import json
import shutil

import h5py
import numpy as np
import pytest
from kit.data.textgrids import write_textgrid
from kit.data.toy_lab import CONSTANT_TARGET, N_TARGETS, NAN_TARGET, make_lab
from kit.models.tuning_runs import SHORT, data_for, request_for

import braindash
from braindash.core.ceilings import inter_subject_ceiling, repeats_ceiling
from braindash.core.scores import zscore
from braindash.encoding.run import run_encoding
from braindash.errors import Cancelled, InputError, ModelError, TuningError
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.io.store import Store
from braindash.progress import NoProgress
from braindash.speech.checkpoints.locate import locate
from braindash.tuning.data import load_tuning_data, with_control
from braindash.tuning.plan import plan_tuning
from braindash.tuning.result import damaged_models, read_progress, tuned_models
from braindash.tuning.run import run_tuning
from braindash.tuning.teachers import texts_of_rows, word_targets
from braindash.work.again import plan_again
from braindash.work.changes import PROMISED
from braindash.work.kinds import preflight, run_job
from braindash.work.submit import submit


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def stored(lab, subject, story):
    with h5py.File(lab.folder / "responses" / subject / f"{story}.hf5") as file:
        return file["data"][:]


def without_b(lab):
    lab.edit('[[subjects]]\nid = "B"\n', "")


def test_censored_rows_teach_and_score_nothing(lab, store):
    whole = {story.name: story for story in data_for(lab, targets="all").train}
    for subject, story, rows in (("A", "fox", [7, 20]), ("A", "stone", [9]), ("B", "crow", [4])):
        with h5py.File(lab.folder / "responses" / subject / f"{story}.hf5", "a") as file:
            for row in rows:
                file["data"][row] = np.nan
    plan = plan_tuning(request_for(lab, targets="all"))
    assert any("3 censored rows" in text and "fox 2, stone 1" in text for text in plan.warnings)
    data = load_tuning_data(plan, NoProgress())
    stories = {story.name: story for story in (*data.train, *data.validation)}
    (rows,) = [story.rows for story in plan.subjects[0].train if story.name == "fox"]
    first, fox = rows.start, stories["fox"]
    assert np.flatnonzero(fox.censored["A"]).tolist() == [7 - first, 20 - first]
    kept = ~fox.censored["A"]
    assert (fox.responses["A"][~kept] == 0).all()
    raw = stored(lab, "A", "fox")[rows][:, data.masks["A"]]
    np.testing.assert_allclose(fox.responses["A"][kept], zscore(raw[kept]), atol=1e-5)
    assert not stories["crow"].censored and not whole["fox"].censored
    assert fox.has("A", 0, 3) and not fox.has("A", 5 - first, 3) and not fox.has("B", 0, 3)
    by_ceiling = plan_tuning(request_for(lab, targets="train-inter-subject", threshold=0.0))
    assert load_tuning_data(by_ceiling, NoProgress()).masks["A"].any()
    result = run_tuning(request_for(lab, targets="all", epochs=1), store)
    assert np.isfinite(result.record["history"][-1]["loss"])


# ---- what comes out ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("tuned")
    lab = make_lab(folder / "lab", tiny_model)
    store = Store(folder / "store")
    result = run_tuning(request_for(lab, subjects=("A", "B")), store)
    return lab, store, result


def test_the_result_is_a_model_like_any_other(tuned):
    lab, store, result = tuned
    files = locate(result.folder)
    assert files.fingerprint == result.record["fingerprint"] != locate(lab.model).fingerprint
    assert result.folder.parent == store.root / "models"
    assert [model.name for model in tuned_models(store)] == [result.folder.name]
    assert braindash.open_result(result.key[:8], store=store) == result
    encoded = run_encoding(
        braindash.requests.EncodeRequest(
            data=lab.manifest,
            model=str(result.folder),
            subject="A",
            strategy="chunk",
            n_permutations=0,
            n_bootstraps=0,
        ),
        store,
    )
    assert encoded.dataset.sizes["layer"] == 3
    assert not list((store.root / "parts").glob("tuning/*"))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: [],
        lambda record: record | {"data": []},
        lambda record: record | {"base": "hubert"},
        lambda record: record | {"history": []},
        lambda record: record | {"history": [{"epoch": 0}]},
        lambda record: {name: value for name, value in record.items() if name != "warnings"},
    ],
)
def test_an_odd_record_is_told_apart_with_its_path(tuned, tmp_path, change):
    _, store, result = tuned
    other = Store(tmp_path)
    for name in ("good", "odd"):
        shutil.copytree(result.folder, other.root / "models" / name)
    path = other.root / "models" / "odd" / "tuning.json"
    path.write_text(json.dumps(change(result.record)))
    assert [model.name for model in tuned_models(other)] == ["good"]
    (one,) = damaged_models(other)
    assert one.folder == path.parent and "tuning.json" in one.problem
    assert damaged_models(store) == []


def test_a_tuned_model_is_probed_like_any_other(spoken, store):
    lab, _ = spoken
    tuned = run_tuning(request_for(lab, epochs=1), store)
    settings = {"tasks": ("energy", "word"), "n_shuffles": 0, "n_bootstraps": 10}
    probed = braindash.probe(tuned.folder, lab.manifest, store=store, **settings)
    assert probed.model == tuned.folder.name
    assert set(probed.tasks) == {"energy", "word"} and probed.n_layers == 3
    assert np.isfinite(probed.score("energy")).all()


def test_an_export_says_that_the_model_is_a_folder(tuned, tmp_path, capsys, monkeypatch):
    from braindash.cli import main

    _, store, result = tuned
    words = ["braindash", "export", result.key[:8], "--to", tmp_path, "--store", store.root]
    monkeypatch.setattr("sys.argv", list(map(str, words)))
    with pytest.raises(SystemExit, match="0"):
        main()
    told = capsys.readouterr()
    assert told.out.strip().endswith(".zip")
    assert result.folder.name in told.err.replace("\n", "")


def test_the_record_says_what_it_saw(tuned):
    lab, store, result = tuned
    record = result.record
    plan = plan_tuning(request_for(lab, subjects=("A", "B")))
    assert record["spec"] == json.loads(json.dumps(plan.spec.canonical()))
    assert record["key"] == plan.spec.key() == result.key
    assert set(record["stories"]["train"]) == {"crow", "fox"}
    assert set(record["stories"]["validation"]) == {"stone"}
    assert record["stories"]["never_trained_on"] == ["well"]
    assert record["test_story_chose_targets"] is False
    assert record["targets"]["A"]["rule"] == "train-inter-subject"
    assert 0 < record["targets"]["A"]["n_targets"] <= N_TARGETS - 2
    assert record["targets"]["A"]["n_of"] == N_TARGETS
    assert [one["epoch"] for one in record["history"]] == [0, 1, 2]
    assert "the last training story, is kept for it" in record["warnings"][0]
    assert "torch" in record["versions"] and record["data"]["simulated"] is False
    entry = store.get("tuning", result.key)
    with entry.open() as dataset:
        assert dataset["validation_r"].shape == (3, 2)
        assert float(dataset["loss"][2]) == pytest.approx(record["history"][2]["loss"])
    assert f"epoch {record['kept_epoch']} of 2 kept, validation r" in result.line()


def test_it_has_a_card_and_its_request_can_be_planned_again(tuned):
    _, store, result = tuned
    card = (result.folder / "README.md").read_text()
    assert "library_name: transformers" in card and "crow, fox" in card
    assert "asked" not in result.record, "what leaves with the folder names no place"
    again = plan_again(store, result.key).on("cpu", 1)
    assert again.plan.spec.key() == result.key and again.request.settings.epochs == 2
    assert again.lines()[0].startswith("Tuning: ")


def test_the_same_request_is_not_tuned_again(tuned, monkeypatch):
    lab, store, result = tuned
    monkeypatch.setattr("braindash.speech.training.run.tune_model", None)
    again = run_tuning(request_for(lab, subjects=("A", "B"), n_at_once=1), store)
    assert again == result


def test_a_model_folder_that_went_away_is_made_again(lab, store):
    request = request_for(lab, epochs=1)
    first = run_tuning(request, store)
    shutil.rmtree(first.folder)
    second = run_tuning(request, store)
    assert second.record["fingerprint"] == first.record["fingerprint"]


class Stop:
    def advance(self, done, total, message):
        if "epoch 3" in message:
            raise Cancelled


def test_a_run_that_was_stopped_goes_on_to_the_same_model(lab, store, tmp_path):
    request = request_for(lab, epochs=3, method="lora")
    with pytest.raises(Cancelled):
        run_tuning(request, store, Stop())
    known = read_progress(store, plan_tuning(request).spec.key())
    assert [one["epoch"] for one in known["history"]] == [0, 1, 2] and known["epochs"] == 3
    assert "2 of at most 3 are kept" in preflight(request, store).kept
    resumed = run_tuning(request, store)
    whole = run_tuning(request, Store(tmp_path / "other"))
    assert resumed.record["fingerprint"] == whole.record["fingerprint"]
    assert locate(resumed.folder).base.fingerprint == locate(lab.model).fingerprint


def test_the_model_is_copied_to_a_folder_of_the_users(lab, store, tmp_path):
    out = tmp_path / "mine"
    result = braindash.tune(
        lab.manifest, lab.model, ["A"], out=out, store=store, **SHORT | {"epochs": 1}
    )
    assert result.folder == out and locate(out).fingerprint == result.record["fingerprint"]
    # Whoever may read the record may read the weights.
    assert len({path.stat().st_mode for path in out.iterdir()}) == 1
    assert len(tuned_models(store)) == 1
    with pytest.raises(InputError, match="exists already"):
        run_tuning(request_for(lab, epochs=1), store, out=out)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_that_learned_nothing_leaves_its_record_and_no_model(
    lab, store, tmp_path, monkeypatch, method
):
    request = request_for(lab, method=method, encoder_rate=1e-30)
    with pytest.raises(TuningError, match="nothing was learned") as caught:
        run_tuning(request, store, out=tmp_path / "out")
    assert "encoder_rate (it was 1e-30)" in caught.value.hint
    kept = store.parts_folder("tuning", plan_tuning(request).spec.key())
    record = json.loads((kept / "nothing-learned.json").read_text())
    assert str(kept / "nothing-learned.json") in caught.value.hint
    assert [one["epoch"] for one in record["history"]] == [0, 1, 2]
    assert record["spec"]["settings"]["encoder_rate"] == 1e-30
    assert not tuned_models(store) and not list(store.root.glob("models/*"))
    assert not (tmp_path / "out").exists() and not list(store.entries())
    monkeypatch.setattr("braindash.speech.training.loop.Trainer._run_epoch", None)
    with pytest.raises(TuningError, match="nothing was learned"):
        run_tuning(request, store)


# ---- what is never read -----------------------------------------------------------------------


def test_the_test_story_is_never_read(lab, store):
    for path in (lab.folder / "audio").glob("well.*"):
        path.write_bytes(b"no sound")
    for path in (lab.folder / "responses").glob("*/well.hf5"):
        path.write_bytes(b"no responses")
    result = run_tuning(request_for(lab, subjects=("A", "B"), epochs=1), store)
    assert result.record["stories"]["never_trained_on"] == ["well"]


def test_targets_below_the_threshold_are_never_trained_on(lab):
    data = data_for(lab)
    mask = data.masks["A"]
    stories = ["crow", "fox", "stone"]
    seconds = {"fox": 46, "crow": 42, "stone": 50}
    ceilings = [
        np.nan_to_num(
            inter_subject_ceiling(stored(lab, "A", name)[1:], stored(lab, "B", name)[None, 1:])
        )
        for name in stories
    ]
    ceiling = np.average(ceilings, axis=0, weights=[seconds[name] - 1 for name in stories])
    expected = ceiling > 0.1
    expected[[NAN_TARGET, CONSTANT_TARGET]] = False
    np.testing.assert_array_equal(mask, expected)
    for story in (*data.train, *data.validation):
        wanted = zscore(stored(lab, "A", story.name)[1:, mask])
        np.testing.assert_allclose(story.responses["A"], wanted, atol=1e-5)


def test_subjects_who_heard_the_same_share_the_story(lab):
    data = data_for(lab, subjects=("A", "B"))
    assert [story.name for story in data.train] == ["crow", "fox"]
    assert set(data.train[0].responses) == {"A", "B"}
    np.testing.assert_allclose(data.train[0].times, np.arange(1, 42))


# ---- what chooses the targets -----------------------------------------------------------------


def add_repeats(lab, subject, story):
    path = lab.folder / "responses" / subject / f"{story}.hf5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "a") as file:
        data = file["data"][:]
        file["individual_repeats"] = data + rng.standard_normal((3, *data.shape)) * [
            *np.zeros(4),
            *np.full(8, 30.0),
        ]


def test_repeats_of_a_training_story_come_first(lab):
    add_repeats(lab, "A", "fox")
    plan = plan_tuning(request_for(lab))
    assert plan.spec.targets[0].rule == "train-repeats"
    assert plan.spec.targets[0].threshold == 0.4
    with h5py.File(lab.folder / "responses" / "A" / "fox.hf5") as file:
        ceiling = repeats_ceiling(file["individual_repeats"][:, 1:])
    mask = load_tuning_data(plan, NoProgress()).masks["A"]
    expected = np.nan_to_num(ceiling) > 0.4
    expected[[NAN_TARGET, CONSTANT_TARGET]] = False
    np.testing.assert_array_equal(mask, expected)
    assert mask[:4].all()


def test_the_test_storys_repeats_are_the_last_resort_and_that_is_said(lab, store):
    without_b(lab)
    result = run_tuning(request_for(lab, epochs=1), store)
    assert result.record["test_story_chose_targets"] is True
    assert any("repeats of the test story choose" in text for text in result.record["warnings"])


def test_without_any_ceiling_the_choice_is_asked_for(lab):
    without_b(lab)
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5", "a") as file:
        del file["individual_repeats"]
    with pytest.raises(InputError, match="no noise ceiling can choose") as caught:
        plan_tuning(request_for(lab))
    assert "targets 'all'" in caught.value.hint
    plan = plan_tuning(request_for(lab, targets="all"))
    assert "noise included" in plan.warnings[-1]
    mask = load_tuning_data(plan, NoProgress()).masks["A"]
    assert mask.sum() == N_TARGETS - 2


def test_no_target_above_the_threshold_is_said_with_the_highest(lab):
    with pytest.raises(InputError, match=r"above 0.99; the highest is 0\.\d{3}"):
        data_for(lab, threshold=0.99)


def test_at_most_so_many_targets_are_drawn_by_the_seed(lab):
    one, same, other = (data_for(lab, limit=3, seed=seed).masks["A"] for seed in (1, 1, 2))
    assert one.sum() == 3 and (one == same).all() and (one != other).any()
    assert (one & data_for(lab).masks["A"]).sum() == 3


def test_unknown_regions_are_refused(lab):
    with pytest.raises(InputError, match="there is no region 'late_langage'"):
        plan_tuning(request_for(lab, targets="regions", regions=("late_langage",)))
    with pytest.raises(InputError, match="no region is named"):
        plan_tuning(request_for(lab, targets="regions"))


def test_regions_need_no_ceiling(lab):
    plan = plan_tuning(request_for(lab, targets="regions", regions=("all targets",)))
    assert plan.spec.targets[0].threshold is None and plan.spec.targets[0].chosen_from == ()
    mask = load_tuning_data(plan, NoProgress()).masks["A"]
    np.testing.assert_array_equal(np.flatnonzero(~mask), [NAN_TARGET, CONSTANT_TARGET])


def test_regions_of_a_set_are_part_of_the_key_and_discs_are_as_before(lab, tmp_path):
    asked = {"targets": "regions", "regions": ("AC",), "region_set": "own"}
    with pytest.raises(InputError, match="describes no regions of its own"):
        plan_tuning(request_for(lab, **asked))
    np.save(lab.folder / "AC.npy", np.arange(12) < 5)
    manifest = lab.manifest.read_text()
    lab.manifest.write_text(manifest + '\n[regions]\nmasks = { AC = "AC.npy" }\n')
    plan = plan_tuning(request_for(lab, **asked))
    settings = plan.spec.targets[0]
    assert settings.region_set == "own" and len(settings.region_masks) == 32
    mask = load_tuning_data(plan, NoProgress()).masks["A"]
    assert mask.sum() == (~np.isin(np.arange(5), [NAN_TARGET, CONSTANT_TARGET])).sum()
    np.save(lab.folder / "AC.npy", np.arange(12) < 6)
    assert plan_tuning(request_for(lab, **asked)).spec.key() != plan.spec.key()
    with pytest.raises(InputError, match=r"no region 'A1' in the space roi \(region set own\)"):
        plan_tuning(request_for(lab, **asked | {"regions": ("A1",)}))
    # Without a set, or with discs by name, the specification is what it was.
    whole = {"targets": "regions", "regions": ("all targets",)}
    plain, discs = (
        plan_tuning(request_for(lab, **whole | more)).spec.targets[0]
        for more in ({}, {"region_set": "discs"})
    )
    assert plain == discs and not {"region_set", "region_masks"} & set(plain.canonical())


# ---- bad input --------------------------------------------------------------------------------


def test_a_validation_story_that_is_trained_on_is_refused(lab):
    with pytest.raises(InputError, match="'fox' would be trained on and validated on"):
        plan_tuning(request_for(lab, train=("fox", "crow"), validation=("fox",)))
    with pytest.raises(InputError, match="test story 'well' may be neither"):
        plan_tuning(request_for(lab, validation=("well",)))
    with pytest.raises(InputError, match="test story 'well' may be neither"):
        plan_tuning(request_for(lab, train=("fox", "well")))
    with pytest.raises(InputError, match="no responses to a story 'foxx'"):
        plan_tuning(request_for(lab, train=("foxx",)))


def test_the_same_recording_under_another_name_is_refused(lab):
    audio = next((lab.folder / "audio").glob("fox.*"))
    shutil.copy(audio, audio.with_stem("twin"))
    for subject in "AB":
        folder = lab.folder / "responses" / subject
        shutil.copy(folder / "fox.hf5", folder / "twin.hf5")
    with pytest.raises(
        InputError, match="'twin' is the same recording as the training story 'fox'"
    ):
        plan_tuning(request_for(lab, validation=("twin",)))


def test_subjects_in_different_spaces_are_refused(lab):
    for story in ("fox", "crow", "stone"):
        path = lab.folder / "responses" / "B" / f"{story}.hf5"
        with h5py.File(path, "a") as file:
            data = file["data"][:, :7]
            del file["data"]
            file["data"] = data
    with pytest.raises(InputError, match="different spaces: all are said to be in roi"):
        plan_tuning(request_for(lab, subjects=("A", "B"), targets="all"))
    lab.edit('space = "roi"', 'space = "native-volume"')
    plan = plan_tuning(request_for(lab, subjects=("A", "B"), targets="all"))
    masks = load_tuning_data(plan, NoProgress()).masks
    assert [len(masks[name]) for name in "AB"] == [N_TARGETS, 7]
    with pytest.raises(InputError, match="each subject's own space"):
        plan_tuning(request_for(lab, targets="train-inter-subject"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"subjects": ("A", "A")}, "named twice"),
        ({"subjects": ("C",)}, "no subject 'C'"),
        ({"model": "acoustic:logmel"}, "nothing to tune"),
        ({"control": "random-init", "method": "lora"}, "random weights cannot be stored"),
        ({"control": "text"}, "belong together"),
        ({"words": "vectors.txt"}, "belong together"),
        ({"words": "vectors.txt", "control": "text"}, "no file vectors.txt"),
    ],
)
def test_what_does_not_go_together_is_refused(lab, fields, message):
    with pytest.raises(InputError, match=message):
        plan_tuning(request_for(lab, **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder_rat": 1}, "Did you mean 'encoder_rate'"),
        ({"method": "lore"}, "Did you mean 'lora'"),
        ({"rank": 4}, "Add method 'lora'"),
        ({"segment_trs": 2}, "less than window_trs"),
        ({"loss": "l1"}, "mse"),
        ({"subjects": ()}, "subjects"),
    ],
)
def test_requests_are_checked_on_their_own(lab, fields, message):
    with pytest.raises(InputError) as caught:
        request_for(lab, **fields)
    assert message in str(caught.value)


def test_no_early_stop_is_asked_for_with_0(lab):
    assert request_for(lab, patience=0).settings.patience is None
    assert request_for(lab).settings.patience == 5


# ---- controls ---------------------------------------------------------------------------------


def test_a_shuffled_control_moves_every_block(lab):
    plain, mixed = data_for(lab), data_for(lab, control="shuffled")
    for one, other in zip(plain.train, mixed.train, strict=True):
        a, b = one.responses["A"], other.responses["A"]
        np.testing.assert_array_equal(np.sort(a, axis=0), np.sort(b, axis=0))
        assert not (a == b).all(axis=1).any()
        kept = [np.flatnonzero((b == row).all(axis=1))[0] for row in a]
        assert np.sum(np.diff(kept) == 1) >= len(a) - 8  # blocks stay whole
        np.testing.assert_array_equal(one.times, other.times)


def test_another_storys_responses(lab):
    plain, other = data_for(lab), data_for(lab, control="other-story")
    crow, fox = plain.train
    n_rows = min(len(crow.times), len(fox.times))
    np.testing.assert_array_equal(other.train[0].responses["A"], fox.responses["A"][:n_rows])
    np.testing.assert_array_equal(other.train[1].responses["A"], crow.responses["A"][:n_rows])
    assert other.train[0].audio() is not None and len(other.train[1].times) == n_rows
    # The only validation story has no other: its own rows are shuffled.
    assert not (other.validation[0].responses["A"] == plain.validation[0].responses["A"]).all()


def test_controls_need_enough_stories_and_rows(lab):
    (crow, _) = data_for(lab).train
    with pytest.raises(InputError, match="at least two training stories"):
        with_control([crow], "other-story", 0)
    short = type(crow)("short", crow.audio, crow.times[:12], {"A": crow.responses["A"][:12]})
    with pytest.raises(InputError, match="12 rows: too few blocks"):
        with_control([short], "shuffled", 0)
    assert with_control([crow], "none", 0) == [crow]


def test_controls_are_other_models_with_the_same_budget(lab):
    specs = [
        plan_tuning(request_for(lab, control=control)).spec
        for control in ("none", "shuffled", "other-story", "random-init")
    ]
    assert len({spec.key() for spec in specs}) == 4
    assert len({spec.settings for spec in specs}) == 1
    assert locate(f"untrained:{lab.model}@0").fingerprint == specs[3].model


@pytest.fixture
def spoken(lab, tmp_path):
    """The lab with TextGrids and word vectors."""
    folder = lab.folder / "grids"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for story, seconds in {"fox": 46, "crow": 42, "stone": 50}.items():
        words = [
            Interval(at, at + 0.5, str(rng.choice(["fox", "Crow", "unknown"])))
            for at in np.arange(0.0, seconds - 1.0)
        ]
        write_textgrid(folder / f"{story}.TextGrid", {"words": words}, seconds=seconds)
    lab.edit('audio_dir = "audio"', 'audio_dir = "audio"\nalignment_dir = "grids"')
    path = tmp_path / "vectors.npz"
    np.savez(path, words=np.array(["fox", "crow"]), vectors=np.eye(2, 4) + 0.1)
    return lab, path


def test_word_vectors_as_targets(spoken, store):
    lab, path = spoken
    for responses in (lab.folder / "responses").glob("*/well.hf5"):
        responses.write_bytes(b"never read")
    result = run_tuning(request_for(lab, control="text", words=path, epochs=1), store)
    assert result.record["targets"]["text"]["n_targets"] == 4
    assert "control-text" in result.folder.name


def test_words_are_read_from_the_tier_that_the_manifest_names(spoken):
    lab, path = spoken
    asked = {"control": "text", "words": path}
    usual = plan_tuning(request_for(lab, **asked)).spec
    for grid in (lab.folder / "grids").iterdir():
        words = read_textgrid(grid)["words"]
        other = [Interval(one.start, one.end, "crow") for one in words]
        write_textgrid(grid, {"words": words, "Ortho": other}, seconds=words[-1].end)
    both = plan_tuning(request_for(lab, **asked)).spec
    read = data_for(lab, **asked).train[0].responses["text"]
    lab.edit('alignment_dir = "grids"', 'alignment_dir = "grids"\nword_tier = "words"')
    named = plan_tuning(request_for(lab, **asked)).spec
    lab.edit('word_tier = "words"', 'word_tier = "ortho"')
    ortho = plan_tuning(request_for(lab, **asked)).spec
    assert usual.key() != both.key() == named.key(), "a usual tier keeps its key, named or not"
    assert ortho.key() != both.key()
    changed = data_for(lab, **asked).train[0].responses["text"]
    assert not np.array_equal(changed, read)
    assert len(np.unique(changed[10:, 1].round(5))) <= 2, "every word is 'crow'"
    lab.edit('word_tier = "ortho"', 'word_tier = "none"')
    with pytest.raises(InputError, match="no tier of words") as caught:
        plan_tuning(request_for(lab, **asked))
    assert "dataset.word_tier" in caught.value.hint


@pytest.fixture
def sentence_model(tmp_path):
    """A tiny BERT with random weights and three words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "sentences"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "fox", "crow"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=6, intermediate_size=8, max_position_embeddings=16, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_sentence_model_gives_targets_too(spoken, sentence_model, store):
    lab, _ = spoken
    request = request_for(lab, control="text", words=sentence_model, epochs=1)
    result = run_tuning(request, store)
    assert result.record["targets"]["text"]["n_targets"] == 8
    (sentence_model / "model.safetensors").write_bytes(b"no weights")
    assert plan_tuning(request).spec.text != result.record["spec"]["text"]
    with pytest.raises(ModelError, match="cannot be loaded"):
        run_tuning(request, store)


def test_texts_are_embedded_by_the_mean_over_their_tokens(sentence_model):
    import torch
    from transformers import AutoModel, AutoTokenizer

    from braindash.speech.text import embed_texts

    texts = ["fox crow fox", "", "crow"]
    found = embed_texts(sentence_model, texts, device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(sentence_model)
    model = AutoModel.from_pretrained(sentence_model).eval()
    for text, row in zip(texts, found, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        wanted = hidden.mean(dim=0).numpy() if text else np.zeros(8)
        np.testing.assert_allclose(row, wanted, atol=1e-6)


def test_the_text_of_a_row_is_what_was_said_in_its_window():
    words = [Interval(0.0, 1.0, "the"), Interval(1.0, 2.0, "fox"), Interval(4.0, 5.0, "ran")]
    assert texts_of_rows(words, np.array([1.0, 2.0, 3.0, 9.0]), 2.0) == [
        "the",
        "the fox",
        "fox",
        "",
    ]


def test_words_in_a_rows_window_are_averaged(spoken):
    from braindash.io.labels.words import read_word_vectors

    vectors = read_word_vectors(spoken[1])
    words = [Interval(0.0, 1.0, "fox"), Interval(1.0, 2.0, "crow"), Interval(4.0, 5.0, "other")]
    rows = word_targets(words, vectors, np.array([1.0, 2.0, 3.0, 9.0]), 2.0)
    v = vectors.vectors
    means = np.stack([v[0], (v[0] + v[1]) / 2, v[1], 0 * v[0]])
    np.testing.assert_allclose(rows, zscore(means), atol=1e-5)


def test_stories_without_words_are_refused(lab, tmp_path):
    path = tmp_path / "vectors.npz"
    np.savez(path, words=np.array(["fox"]), vectors=np.ones((1, 3)))
    with pytest.raises(InputError, match="has no alignment_dir"):
        plan_tuning(request_for(lab, control="text", words=path))


# ---- jobs, preflight, command line ------------------------------------------------------------


def test_a_job_runs_what_was_queued(lab, store, monkeypatch):
    monkeypatch.setattr("braindash.jobs.queue.JobQueue.ensure_worker", lambda self: True)
    job = submit(request_for(lab, epochs=1), store)
    assert job.key == plan_tuning(request_for(lab, epochs=1)).spec.key()
    assert job.title == f"Tuning: {locate(lab.model).name}, toy lab, A"
    assert submit(request_for(lab, epochs=1), store).key == job.key
    document = json.loads(json.dumps(request_for(lab, epochs=1).model_dump(mode="json")))
    promised = plan_tuning(request_for(lab, epochs=1)).spec.canonical()
    made = run_job("tune", document | {PROMISED: promised}, store.root, NoProgress())
    assert made == {"kind": "tuning", "keys": [job.key]}
    other = plan_tuning(request_for(lab, epochs=1, validation=("fox",))).spec.canonical()
    with pytest.raises(InputError, match="validation story 'fox of A' is gone"):
        run_job("tune", document | {PROMISED: other}, store.root, NoProgress())


def test_preflight_knows_what_a_run_needs(lab, store):
    found = preflight(request_for(lab), store)
    more = preflight(request_for(lab, epochs=200), store)
    assert found.fits and not found.cached and more.seconds > found.seconds > 0
    assert any("0 of at most 2" in line for line in found.lines())
    assert "the last training story" in found.lines()[-1]


def test_the_command_line_tunes(lab, store, capsys, monkeypatch):
    from braindash.cli import main

    def run(*words):
        monkeypatch.setattr("sys.argv", ["braindash", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            return ended.code
        return 0

    base = ["tune", "--data", lab.manifest, "--model", lab.model, "--subjects", "A,B"]
    base += ["--store", store.root, "--segment-trs", 8, "--attention-trs", 4, "--epochs", 1]
    base += ["--setting", "window_trs=3", "--setting", "batch-rows=30", "--device", "cpu"]
    assert run(*base, "--check") == 0
    assert "0 of at most 1" in capsys.readouterr().out
    assert run(*base, "--json", "--out", lab.folder / "out") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == str(lab.folder / "out")
    assert set(document["record"]["targets"]) == {"A", "B"}
    assert run(*base) == 0
    captured = capsys.readouterr()
    assert captured.out.strip().startswith(str(store.root / "models"))
    assert "validation r" in captured.err
    assert run(*base, "--setting", "batch_row=3") == 1
    assert "Did you mean 'batch_rows'" in capsys.readouterr().err.replace("\n", " ")
    assert run(*base, "--setting", "batch_rows") == 2
    assert "NAME=VALUE" in capsys.readouterr().err
