"""From a lab's files to a stored result: numbers, cache, resumption, bad input."""

import shutil

import numpy as np
import pytest
import xarray as xr
from kit.data.toy_lab import CONSTANT_TARGET, N_TARGETS, NAN_TARGET, STORY_SECONDS, make_lab
from kit.machines.rounding import assert_same_scores
from kit.results.stored import CountedStore, parts_of
from scipy import stats

import braindash
from braindash.core.ceilings import split_half_ceiling
from braindash.core.ridge.model import RidgeCV
from braindash.core.timing import delayed
from braindash.encoding import responses as encoding
from braindash.encoding.plan import plan_encoding
from braindash.encoding.responses import StoryResponses
from braindash.encoding.run import run_encoding
from braindash.encoding.several.groups import Group
from braindash.encoding.shares import low_level_line
from braindash.encoding.unfinished import unfinished
from braindash.errors import BraindashError, Cancelled, InputError
from braindash.io.predictions import PredictionFile
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.specs import FitSpec

ALPHAS = (1.0, 100.0, 10000.0)


def story_responses(plan, side):
    return StoryResponses(getattr(plan, side), standardise=plan.spec.standardise_responses)


@pytest.fixture
def empty_store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def quick_lab(tmp_path, quick_model):
    """For runs that compute features anew, whatever they predict."""
    return make_lab(tmp_path / "lab", quick_model)


@pytest.fixture(scope="module")
def computed(tmp_path_factory, tiny_model):
    """A lab, a store and the default result of subject A, to be looked at only."""
    folder = tmp_path_factory.mktemp("computed")
    lab = make_lab(folder / "lab", tiny_model)
    store = Store(folder / "store")
    return lab, store, run_encoding(request_for(lab), store)


@pytest.fixture
def store(computed, empty_store):
    """A store that holds the features: every lab is made from the same seed."""
    shutil.copytree(computed[1].root / "features", empty_store.root / "features")
    return empty_store


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "alphas": ALPHAS}
    return build_request(EncodeRequest, **(fields | {"strategy": "chunk"} | changes))


class Reports:
    """Keeps what was reported; may stop the run when a message is seen."""

    def __init__(self, stop_at: str | None = None):
        self.messages = []
        self.shares = []
        self.stop_at = stop_at

    def advance(self, done, total, message):
        self.messages.append(message)
        self.shares.append(done / total)
        if self.stop_at and self.stop_at in message:
            raise Cancelled


def test_scores_equal_a_literal_recomputation(lab, store):
    """An independent route: float64 normal equations per target, from the stored features."""
    result = run_encoding(request_for(lab), store)
    plan = plan_encoding(request_for(lab))
    layer, target = 1, 0
    designs, responses = {}, {}
    for story in plan.stories:
        with store.get("features", story.extraction.key()).open() as found:
            x = found["features"].values[layer].astype(float)
        x = (x - x.mean(0)) / x.std(0)
        designs[story.name] = delayed(x, (1, 2, 3, 4))
        import h5py

        with h5py.File(lab.folder / "responses" / "A" / f"{story.name}.hf5") as file:
            runs = file["individual_repeats" if story.name == "well" else "data"][()]
        runs = runs.reshape(-1, *runs.shape[-2:])[:, story.rows, target]
        runs = (runs - runs.mean(1, keepdims=True)) / runs.std(1, keepdims=True)
        responses[story.name] = runs.mean(0)
    train = [story.name for story in plan.train]

    def predict(names, alpha, held_out):
        x = np.concatenate([designs[name] for name in names])
        y = np.concatenate([responses[name] for name in names])
        centred = x - x.mean(0)
        w = np.linalg.solve(
            centred.T @ centred + alpha * np.eye(x.shape[1]), centred.T @ (y - y.mean())
        )
        return (designs[held_out] - x.mean(0)) @ w + y.mean()

    def held_out_r2(alpha):
        scores = []
        for name in train:
            y = responses[name]
            error = y - predict([other for other in train if other != name], alpha, name)
            scores.append(1 - (error**2).sum() / ((y - y.mean()) ** 2).sum())
        return np.mean(scores)

    best = max(ALPHAS, key=held_out_r2)
    expected = stats.pearsonr(predict(train, best, "well"), responses["well"]).statistic
    assert float(result.dataset["alpha"][layer, target]) == best
    assert float(result.dataset["cv_score"][layer, target]) == pytest.approx(
        held_out_r2(best), abs=1e-4
    )
    assert float(result.r[layer, target]) == pytest.approx(expected, abs=1e-4)


def test_planted_signal_is_found_and_useless_targets_have_no_score(computed):
    *_, result = computed
    assert result.r.shape == (3, N_TARGETS) and result.n_layers == 3
    gains = np.linspace(1.0, 0.0, N_TARGETS)[:NAN_TARGET]
    for scores in result.r:
        assert scores[0] > 0.4
        assert np.corrcoef(gains, scores[:NAN_TARGET])[0, 1] > 0.4
    for useless in (NAN_TARGET, CONSTANT_TARGET):
        assert np.isnan(result.r[:, useless]).all()
        assert np.isnan(result.dataset["alpha"][:, useless]).all()
    assert result.valid.sum() == N_TARGETS - 2
    table = result.regions()
    assert list(table["region"].unique()) == ["all targets"]
    row = table[table["layer"] == 0].iloc[0]
    assert row["n_valid"] == N_TARGETS - 2
    assert row["r"] == pytest.approx(np.nanmean(result.r[0]), abs=1e-6)
    assert result.ceiling[0] > 0.8 and np.isnan(result.ceiling[NAN_TARGET])
    line = result.provenance_line()
    for word in ("toy lab", "well", "fox", "delays 1, 2, 3, 4 TR", "repeats of well", "chunk"):
        assert word in line
    best = result.preferred_layer
    np.testing.assert_array_equal(best[:NAN_TARGET], result.r[:, :NAN_TARGET].argmax(axis=0))
    assert (best[[NAN_TARGET, CONSTANT_TARGET]] == -1).all()


def test_a_notebook_opens_the_result_as_a_dataset(lab, store):
    result = braindash.encode(
        lab.manifest, lab.model, "A", store=store, strategy="chunk", alphas=ALPHAS
    )
    again = braindash.open_result(result.key[:8], store=store.root)
    assert isinstance(again.dataset, xr.Dataset)
    xr.testing.assert_identical(again.dataset, result.dataset)
    assert again.dataset["r"].dims == ("layer", "target")


def test_the_second_run_loads_and_other_subjects_share_the_features(quick_lab, empty_store):
    first = run_encoding(request_for(quick_lab), empty_store)
    reports = Reports()
    second = run_encoding(request_for(quick_lab), empty_store, reports)
    assert second.key == first.key and reports.messages[-1] == "already computed"
    n_features = len(empty_store.entries("features"))
    other = run_encoding(request_for(quick_lab, subject="B"), empty_store)
    assert other.key != first.key
    assert len(empty_store.entries("features")) == n_features == len(STORY_SECONDS)


def test_device_and_threads_are_no_part_of_the_key(lab):
    key = plan_encoding(request_for(lab)).spec.key()
    assert plan_encoding(request_for(lab, device="cpu", threads=1)).spec.key() == key
    assert plan_encoding(request_for(lab, strategy="exact")).spec.key() != key
    assert plan_encoding(request_for(lab, delays=(1, 2))).spec.key() != key
    assert plan_encoding(request_for(lab, n_permutations=0)).spec.key() != key
    assert plan_encoding(request_for(lab, high_pass=64.0)).spec.key() != key
    # The prewhitened test draws no permutation, so that their number changes nothing.
    assert plan_encoding(request_for(lab, n_permutations=999)).spec.key() == key
    drawn = [request_for(lab, scheme="blocks", n_permutations=n) for n in (99, 999)]
    assert len({plan_encoding(one).spec.key() for one in drawn} | {key}) == 3


def test_a_copied_data_set_has_the_same_key(lab, tmp_path):
    copy = shutil.copytree(lab.folder, tmp_path / "copy")
    moved = request_for(lab, data=copy / "manifest.toml")
    assert plan_encoding(moved).spec.key() == plan_encoding(request_for(lab)).spec.key()


def test_progress_never_goes_back_and_ends_at_one(quick_lab, empty_store):
    reports = Reports()
    run_encoding(request_for(quick_lab), empty_store, reports)
    assert reports.shares == sorted(reports.shares) and reports.shares[-1] == 1.0


def test_a_run_stopped_while_extracting_keeps_the_finished_stories(
    quick_lab, empty_store, monkeypatch
):
    with pytest.raises(Cancelled):
        run_encoding(request_for(quick_lab), empty_store, Reports(stop_at="(3/4)"))
    done = {entry.key for entry in empty_store.entries("features")}
    assert len(done) == 2
    reports = Reports()
    run_encoding(request_for(quick_lab), empty_store, reports)
    told = "\n".join(reports.messages)
    assert "(3/4)" in told and "(4/4)" in told and "(2/4)" not in told
    assert done < {entry.key for entry in empty_store.entries("features")}


@pytest.mark.parametrize("low_level", [None, "residual"])
def test_another_run_may_put_the_same_result_together_first(lab, store, monkeypatch, low_level):
    """It takes the layers away that this one is about to read."""
    request, write, others = request_for(lab, low_level=low_level), PredictionFile.write, []

    def raced(file, path):
        if not others:
            others.append("begun")
            others.append(run_encoding(request, store))
        write(file, path)

    monkeypatch.setattr(PredictionFile, "write", raced)
    found = run_encoding(request, store)
    assert found.key == others[1].key and len(store.entries("encoding")) == 1
    assert not list(store.root.glob("parts/*/*/*"))


def test_a_run_stopped_while_scoring_goes_on_at_the_next_layer(lab, store):
    with pytest.raises(Cancelled):
        run_encoding(request_for(lab), store, Reports(stop_at="layer 0 of 2: done"))
    fit = plan_encoding(request_for(lab)).spec.fit.key()
    assert list(parts_of(store, "predictions", fit)) == ["layer-000"]
    (under_way,) = unfinished(store)
    assert (under_way.key, under_way.subject, under_way.space) == (fit, "A", "roi")
    assert (under_way.model, under_way.data) == (lab.model.name, "toy lab")
    assert under_way.layers == (0,) and under_way.n_layers == 3 and not under_way.simulated
    torn = store.parts_folder("predictions", fit) / "layer-001.torn.nc"
    torn.write_bytes(b"no HDF5")
    assert unfinished(store)[0].layers == (0,)
    reports = Reports()
    resumed = run_encoding(request_for(lab), store, reports)
    assert not any("layer 0 of 2" in message for message in reports.messages)
    whole = run_encoding(request_for(lab), Store(store.root.parent / "fresh"))
    xr.testing.assert_allclose(resumed.dataset, whole.dataset, atol=1e-6)
    np.testing.assert_array_equal(under_way.r[0], resumed.r[0])
    assert not list((store.root / "parts").rglob("*.nc")) and unfinished(store) == []


def test_a_run_stopped_in_its_statistics_fits_no_layer_again(lab, store):
    """The predictions are whole then; not even the features are needed any more."""
    with pytest.raises(Cancelled):
        run_encoding(request_for(lab), store, Reports(stop_at="significance"))
    spec = plan_encoding(request_for(lab)).spec
    assert store.has("predictions", spec.fit.key()) and not store.has("encoding", spec.key())
    shutil.rmtree(store.root / "features")
    reports = Reports()
    resumed = run_encoding(request_for(lab), store, reports)
    assert not any("layer" in message for message in reports.messages)
    whole = run_encoding(request_for(lab), Store(store.root.parent / "fresh"))
    xr.testing.assert_allclose(resumed.dataset, whole.dataset, atol=1e-6)


def test_responses_that_do_not_fit_are_read_in_columns(lab, store, monkeypatch):
    first = run_encoding(request_for(lab, low_level="banded"), store)
    monkeypatch.setattr(encoding, "_MEMORY_SHARE", 0.0)
    monkeypatch.setattr(encoding, "_COLUMNS_AT_ONCE", 5)
    monkeypatch.setattr("braindash.core.ridge.dual.DualSolver.few", 0)
    monkeypatch.setattr("braindash.core.ridge.primal.PrimalSolver.few", 0)
    monkeypatch.setattr("braindash.core.ridge.cv._LEAST_TARGETS", 8)
    plan = plan_encoding(request_for(lab))
    read = encoding.StoryResponses(plan.train, standardise=True).train()
    assert isinstance(read, encoding.StackedResponses)
    other = Store(store.root.parent / "columns")
    shutil.copytree(store.root / "features", other.root / "features")
    second = run_encoding(request_for(lab, low_level="banded"), other)
    assert_same_scores(second.dataset, first.dataset, atol=1e-4)


def test_a_damaged_result_is_computed_again(lab, store):
    first = run_encoding(request_for(lab), store)
    path = first.folder / "result.nc"
    path.write_bytes(path.read_bytes()[:-10])
    again = run_encoding(request_for(lab), store)
    xr.testing.assert_identical(again.dataset, first.dataset)
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_a_full_disk_loses_nothing_already_computed(quick_lab, empty_store, monkeypatch):
    import errno

    real = Store.put
    calls = []

    def full_at_the_third(self, kind, key, **content):
        calls.append(kind)
        if len(calls) == 3:
            monkeypatch.setattr(
                "braindash.io.store.write_json",
                lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")),
            )
        return real(self, kind, key, **content)

    monkeypatch.setattr(Store, "put", full_at_the_third)
    with pytest.raises(BraindashError, match="disk is full"):
        run_encoding(request_for(quick_lab), empty_store)
    assert len(empty_store.entries("features")) == 2


def test_the_first_scored_row_is_kept_to(lab, store):
    """Rows before it leave the score, while the model is the same."""
    whole = run_encoding(request_for(lab), store)
    lab.manifest.write_text(
        lab.manifest.read_text()
        + '\n[[runs]]\nsubject = "*"\nstory = "well"\nscore_from_row = 15\n'
    )
    late = run_encoding(request_for(lab), store)
    np.testing.assert_array_equal(late.dataset["alpha"], whole.dataset["alpha"])
    assert not np.allclose(late.r[:, 0], whole.r[:, 0])
    assert "from row 15" in late.provenance_line()


def test_the_predictions_are_kept_beside_the_result(computed):
    """Their correlation with the kept response is the score, to the packing's precision."""
    _, store, result = computed
    entry = store.get("predictions", result.provenance["predictions"])
    said = FitSpec.from_canonical(entry.spec).model_dump(mode="json")
    assert said.items() <= (result.spec | {"fit_version": 1}).items()
    with entry.open() as found:
        prediction = found["prediction"].values * found["prediction_scale"].values[:, None]
        response = found["response"].values * found["response_scale"].values
        assert found["scored"].values.all() and (found["segment"].values == 0).all()
    assert np.isnan(prediction[:, :, NAN_TARGET]).all()
    for layer in range(3):
        for target in range(NAN_TARGET):
            r = stats.pearsonr(prediction[layer, :, target], response[:, target]).statistic
            assert r == pytest.approx(result.r[layer, target], abs=1e-4)
    assert [entry.key for entry in store.entries("encoding")] == [result.key]
    assert "predictions" not in {entry.kind for entry in store.entries()}


# ---- significance and uncertainty ---------------------------------------------------------------


def test_scores_come_with_p_values_and_intervals(lab, store):
    result = run_encoding(request_for(lab, block_rows=3), store)
    assert result.spec["statistics"]["block_rows"] == 3
    assert (result.p[:, 0] < 0.01).all() and np.isnan(result.p[:, NAN_TARGET]).all()
    assert (result.q >= result.p)[:, :NAN_TARGET].all()
    assert result.significant()[:, 0].all() and not result.significant()[:, NAN_TARGET].any()
    assert result.region_samples.dims == ("sample", "layer", "region")
    assert result.region_samples.shape == (1000, 3, 1)
    table = result.region_intervals()
    assert (table["low"] < table["r"]).all() and (table["r"] < table["high"]).all()
    normalised = result.region_intervals(normalised=True)
    assert (normalised["low"] < normalised["r_over_ceiling"]).all()
    assert "block bootstrap" in result.interval_line() and "n = 1 subject" in result.interval_line()
    share = result.preferred_share
    assert ((share[:NAN_TARGET] >= 0) & (share[:NAN_TARGET] <= 1)).all()
    assert np.isnan(share[NAN_TARGET])


def test_statistics_can_be_switched_off(lab, store):
    request = request_for(lab, n_permutations=0, n_bootstraps=0)
    result = run_encoding(request, store)
    assert not result.has_significance and not result.has_intervals
    assert np.isnan(result.p).all() and np.isnan(result.q).all()
    assert result.region_intervals()[["low", "high"]].isna().all(axis=None)
    assert (result.preferred_layer[:NAN_TARGET] >= 0).all()
    assert np.isnan(result.preferred_share).all()
    for ask in (result.significant, result.samples):
        with pytest.raises(InputError, match="without") as caught:
            ask()
        assert "--" in caught.value.hint
    assert "no intervals" in result.interval_line()


def test_other_statistics_and_ceilings_need_no_other_fit(lab, store):
    first = run_encoding(request_for(lab), store)
    reports = Reports()
    second = run_encoding(request_for(lab, scheme="blocks", n_permutations=50), store, reports)
    assert second.key != first.key
    assert second.provenance["predictions"] == first.provenance["predictions"]
    assert not any("layer" in message for message in reports.messages)
    np.testing.assert_array_equal(second.r, first.r)


def test_too_few_rows_for_blocks_are_a_warning_and_no_failure(lab, store):
    plan = plan_encoding(request_for(lab))
    assert any("only 3 blocks of 14 rows" in warning for warning in plan.warnings)
    plan = plan_encoding(request_for(lab, block_rows=40))
    assert plan.spec.statistics.n_permutations == plan.spec.statistics.n_bootstraps == 0
    assert any("no significance" in warning for warning in plan.warnings)
    result = run_encoding(request_for(lab, block_rows=40), store)
    assert not result.has_significance
    assert any("no significance" in warning for warning in result.provenance["warnings"])


# ---- ceilings -----------------------------------------------------------------------------------


def own_and_others(lab, target):
    """Mean z-scored responses of A and B to the test story, literally."""
    import h5py

    rows = plan_encoding(request_for(lab)).test[0].rows
    means = []
    for subject in ("A", "B"):
        with h5py.File(lab.folder / "responses" / subject / "well.hf5") as file:
            runs = file["individual_repeats"][:, rows, target]
        runs = (runs - runs.mean(1, keepdims=True)) / runs.std(1, keepdims=True)
        means.append(runs.mean(0))
    return means


def test_every_ceiling_that_the_data_allow_is_there(computed):
    lab, _, result = computed
    assert list(result.ceilings) == ["repeats", "inter-subject"]
    assert result.ceiling_name == "repeats"
    np.testing.assert_array_equal(result.ceiling, result.ceilings["repeats"])
    for target in (0, 3, 9):
        expected = np.corrcoef(*own_and_others(lab, target))[0, 1]
        assert result.ceilings["inter-subject"][target] == pytest.approx(expected, abs=1e-4)
    assert result.dataset["ceiling"].dims == ("ceiling_kind", "target")
    first = result.r[:, 0] / result.ceilings["inter-subject"][0]
    np.testing.assert_allclose(result.scores(True, "inter-subject")[:, 0], first, rtol=1e-6)
    tables = [result.regions(name) for name in (None, "repeats", "inter-subject")]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])
    assert "ceiling: repeats of well ·" in result.provenance_line()
    line = result.provenance_line("inter-subject")
    assert "ceiling: inter-subject on well with 1 other subject ·" in line
    with pytest.raises(InputError, match="no noise ceiling 'split-half'"):
        result.scores(True, "split-half")


def test_without_repeats_other_subjects_give_the_ceiling(lab, store):
    lab.edit('repeats_key = "individual_repeats"\n', "")
    result = run_encoding(request_for(lab), store)
    assert list(result.ceilings) == ["inter-subject"] and result.has_ceiling
    assert result.ceiling_name == "inter-subject"
    assert result.regions()["r_over_ceiling"].notna().all()


def test_without_repeats_and_other_subjects_there_is_no_ceiling(lab, store):
    lab.edit('repeats_key = "individual_repeats"\n', "")
    lab.edit('[[subjects]]\nid = "B"\n', "")
    result = run_encoding(request_for(lab), store)
    assert not result.has_ceiling and np.isnan(result.ceiling).all()
    assert result.ceilings == {} and result.ceiling_name is None
    assert result.regions()["r_over_ceiling"].isna().all()
    assert result.region_intervals(normalised=True)["low"].isna().all()
    assert result.region_intervals()["low"].notna().all()
    assert "ceiling: none" in result.provenance_line()
    assert result.r[:, 0].min() > 0.3


def without_story(lab):
    (lab.folder / "responses" / "B" / "well.hf5").unlink()


def with_fewer_rows(lab):
    import h5py

    with h5py.File(lab.folder / "responses" / "B" / "well.hf5", "a") as file:
        for name in ("data", "individual_repeats"):
            kept = file[name][()][..., :-4, :]
            del file[name]
            file[name] = kept


def with_fewer_targets(lab):
    import h5py

    with h5py.File(lab.folder / "responses" / "B" / "well.hf5", "a") as file:
        for name in ("data", "individual_repeats"):
            kept = file[name][()][..., :-1]
            del file[name]
            file[name] = kept


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_story, "there is no file"),
        (with_fewer_rows, "other audio or other rows"),
        (with_fewer_targets, "11 targets instead of 12"),
        (lambda lab: lab.edit('space = "roi"', 'space = "native-volume"'), "own space"),
        (
            lambda lab: lab.edit(
                "[splits]", '[[runs]]\nsubject = "B"\nstory = "well"\naudio_onset = 2.0\n[splits]'
            ),
            "other audio or other rows",
        ),
    ],
)
def test_a_subject_that_cannot_be_compared_takes_no_part(lab, change, reason):
    assert [one.subject for one in plan_encoding(request_for(lab)).ceilings.others] == ["B"]
    change(lab)
    plan = plan_encoding(request_for(lab))
    assert plan.ceilings.others == () and plan.spec.other_subjects == ()
    assert plan.spec.ceilings == ("repeats",)
    assert reason in plan.ceilings.left_out["B"]


def test_other_subjects_responses_are_part_of_the_key(lab):
    import h5py

    before = plan_encoding(request_for(lab)).spec
    with h5py.File(lab.folder / "responses" / "B" / "well.hf5", "a") as file:
        file["data"][0] += 1
    after = plan_encoding(request_for(lab)).spec
    assert before.key() != after.key() and before.test == after.test
    assert before.other_subjects[0].subject == after.other_subjects[0].subject == "B"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"strategy": "exakt"}, "strategy"),
        ({"stratgy": "exact"}, "Did you mean 'strategy'"),
        ({"threads": 0}, "threads"),
        ({"device": "tpu"}, "device"),
        ({"metric": "mse"}, "metric"),
        ({"n_permutations": -1}, "n_permutations"),
        ({"scheme": "rows"}, "scheme"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(lab, fields, words):
    with pytest.raises(InputError) as caught:
        request_for(lab, **fields)
    assert words in str(caught.value)


def test_an_unknown_subject_is_named_with_its_near_match(lab):
    lab.edit('id = "A"', 'id = "UTS01"')
    with pytest.raises(InputError) as caught:
        plan_encoding(request_for(lab, subject="UTS1"))
    assert "UTS01" in caught.value.hint


# ---- the mean of all subjects ---------------------------------------------------------------


def test_the_mean_of_subjects_is_scored_like_one(lab, store):
    result = run_encoding(request_for(lab, subject="mean"), store)
    plan = plan_encoding(request_for(lab, subject="mean"))
    assert result.members == ("A", "B") and result.subject == "mean"
    single = [plan_encoding(request_for(lab, subject=name)) for name in "AB"]
    expected = np.mean([story_responses(one, "test").mean() for one in single], axis=0)
    np.testing.assert_allclose(story_responses(plan, "test").mean(), expected, atol=1e-6)
    trained = np.mean([story_responses(one, "train").train() for one in single], axis=0)
    np.testing.assert_allclose(story_responses(plan, "train").train(), trained, atol=1e-6)
    assert list(result.ceilings) == ["split-half"]
    members = np.stack([story_responses(one, "test").mean() for one in single])
    np.testing.assert_allclose(result.ceiling, split_half_ceiling(members), atol=1e-5)
    line = result.provenance_line()
    assert "split halves of 2 subjects" in line and "mean of 2 subjects" in line
    assert "mean of 2 subjects" in result.interval_line()


def test_a_mean_is_no_member_of_a_group(lab, store):
    results = [run_encoding(request_for(lab, subject=name), store) for name in ("A", "mean")]
    with pytest.raises(InputError, match="mean of several"):
        Group.of(results)


def test_one_subject_has_no_mean(lab):
    lab.edit('[[subjects]]\nid = "B"', "")
    with pytest.raises(InputError, match="nothing to average"):
        plan_encoding(request_for(lab, subject="mean"))


def test_subjects_in_their_own_spaces_have_no_mean(lab):
    lab.edit('space = "roi"', 'space = "native-volume"')
    with pytest.raises(InputError, match="cannot be averaged"):
        plan_encoding(request_for(lab, subject="mean"))


# ---- what captions say ------------------------------------------------------------------------


def test_a_ceiling_that_the_manifest_names_comes_before_all_others(lab, store):
    given = np.linspace(0.3, 0.9, N_TARGETS).astype(np.float32)
    given[2] = np.nan
    np.save(lab.folder / "ceiling.npy", given)
    before = plan_encoding(request_for(lab)).spec
    lab.edit("units = 12", 'units = 12\nnoise_ceiling = "ceiling.npy"')
    plan = plan_encoding(request_for(lab))
    assert before.ceilings == ("repeats", "inter-subject")
    assert plan.spec.ceilings == ("given", "repeats", "inter-subject")
    assert plan.spec.fit.key() == before.fit.key(), "the predictions are the same"
    result = run_encoding(request_for(lab), store)
    assert result.ceiling_name == "given" and result.ceiling_threshold() == 0.4
    np.testing.assert_array_equal(result.ceiling, given)
    assert "ceiling: given by the manifest" in result.provenance_line()
    divided = result.scores(normalised=True)[:, given > 0.4]
    np.testing.assert_allclose(divided, (result.r / given)[:, given > 0.4], rtol=1e-6)
    assert np.isnan(result.scores(normalised=True)[:, ~(given > 0.4)]).all()
    assert next(iter(result.dataset["region_ceiling_samples"]["ceiling_kind"].values)) == "given"
    np.save(lab.folder / "ceiling.npy", given * 0.5)
    assert plan_encoding(request_for(lab)).spec.key() != plan.spec.key(), "its content counts"


def test_a_given_ceiling_of_one_subject_is_none_of_the_mean(lab):
    np.save(lab.folder / "ceiling.npy", np.full(N_TARGETS, 0.5))
    lab.edit("units = 12", 'units = 12\nnoise_ceiling = "ceiling.npy"')
    assert plan_encoding(request_for(lab, subject="mean")).spec.ceilings == ("split-half",)
    assert plan_encoding(request_for(lab, subject="B")).spec.ceilings == (
        "repeats",
        "inter-subject",
    )


@pytest.mark.parametrize("n_stories", [2, 3])
@pytest.mark.parametrize("low_level", [None, "residual", "banded"])
def test_captions_tell_the_folds_that_were_used(lab, store, n_stories, low_level):
    if n_stories == 2:
        lab.edit('train = "*"', 'train = ["fox", "crow"]')
    plan = plan_encoding(request_for(lab, low_level=low_level))
    index = story_responses(plan, "train").story_index
    folds = RidgeCV(np.eye(len(index))[:, :3], index).folds
    assert len(plan.train) == n_stories
    result = run_encoding(request_for(lab, low_level=low_level), store)
    lines = [result.provenance_line(), *([low_level_line(result)] if low_level else [])]
    warned = any("fewer than three training stories" in text for text in plan.warnings)
    if n_stories == 3:
        assert len(folds) == 3 and not warned and all("leave-stories-out" in line for line in lines)
        return
    assert warned and len(folds) > 2, "two stories make chunks"
    assert all("leave-20-rows-out (fewer than 3 training stories)" in line for line in lines)
    assert not any("leave-stories-out" in line for line in lines)


@pytest.mark.parametrize("low_level", [None, "residual"])
def test_a_run_looks_every_key_up_once(quick_lab, tmp_path, low_level):
    store = CountedStore(tmp_path / "store")
    request = request_for(quick_lab, low_level=low_level)
    result = run_encoding(request, store)
    spec, stories = plan_encoding(request).spec, len(STORY_SECONDS)
    kinds = [kind for kind, _ in store.looked_up]
    assert kinds.count("features") == stories * (1 if low_level is None else 2)
    assert kinds.count("predictions") == kinds.count("encoding") == 1
    assert store.looked_up["predictions", spec.fit.key()] == 1
    assert set(store.looked_up.values()) == {1}, "also where there is nothing yet"
    again = CountedStore(store.root)
    assert run_encoding(request, again).key == result.key
    assert again.looked_up == {("encoding", result.key): 1}
