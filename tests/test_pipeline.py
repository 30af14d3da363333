"""From a lab's files to a stored result: numbers, cache, resumption, bad input."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from toy_lab import CONSTANT_TARGET, N_TARGETS, NAN_TARGET, STORY_SECONDS

import braindash
from braindash import pipeline
from braindash.core.delays import delayed
from braindash.errors import BraindashError, Cancelled, InputError
from braindash.io.store import Store
from braindash.plan import build_request, plan_encoding

ALPHAS = (1.0, 100.0, 10000.0)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "alphas": ALPHAS}
    return build_request(**(fields | {"strategy": "chunk"} | changes))


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
    result = pipeline.run_encoding(request_for(lab), store)
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


def test_planted_signal_is_found_and_useless_targets_have_no_score(lab, store):
    result = pipeline.run_encoding(request_for(lab), store)
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


def test_a_notebook_opens_the_result_as_a_dataset(lab, store):
    result = braindash.encode(
        lab.manifest, lab.model, "A", store=store, strategy="chunk", alphas=ALPHAS
    )
    again = braindash.open_result(result.key[:8], store=store.root)
    assert isinstance(again.dataset, xr.Dataset)
    xr.testing.assert_identical(again.dataset, result.dataset)
    assert again.dataset["r"].dims == ("layer", "target")


def test_the_second_run_loads_and_other_subjects_share_the_features(lab, store):
    first = pipeline.run_encoding(request_for(lab), store)
    reports = Reports()
    second = pipeline.run_encoding(request_for(lab), store, reports)
    assert second.key == first.key and reports.messages[-1] == "already computed"
    n_features = len(store.entries("features"))
    other = pipeline.run_encoding(request_for(lab, subject="B"), store)
    assert other.key != first.key
    assert len(store.entries("features")) == n_features == len(STORY_SECONDS)


def test_device_and_threads_are_no_part_of_the_key(lab):
    key = plan_encoding(request_for(lab)).spec.key()
    assert plan_encoding(request_for(lab, device="cpu", threads=1)).spec.key() == key
    assert plan_encoding(request_for(lab, strategy="exact")).spec.key() != key
    assert plan_encoding(request_for(lab, delays=(1, 2))).spec.key() != key


def test_a_copied_data_set_has_the_same_key(lab, tmp_path):
    import shutil

    copy = shutil.copytree(lab.folder, tmp_path / "copy")
    moved = request_for(lab, data=copy / "manifest.toml")
    assert plan_encoding(moved).spec.key() == plan_encoding(request_for(lab)).spec.key()


def test_progress_never_goes_back_and_ends_at_one(lab, store):
    reports = Reports()
    pipeline.run_encoding(request_for(lab), store, reports)
    assert reports.shares == sorted(reports.shares) and reports.shares[-1] == 1.0


def test_a_run_stopped_while_extracting_keeps_the_finished_stories(lab, store, monkeypatch):
    with pytest.raises(Cancelled):
        pipeline.run_encoding(request_for(lab), store, Reports(stop_at="(3/4)"))
    done = {entry.key for entry in store.entries("features")}
    assert len(done) == 2
    reports = Reports()
    pipeline.run_encoding(request_for(lab), store, reports)
    assert any("(1/2)" in message for message in reports.messages)
    assert done < {entry.key for entry in store.entries("features")}


def test_a_run_stopped_while_scoring_goes_on_at_the_next_layer(lab, store):
    with pytest.raises(Cancelled):
        pipeline.run_encoding(request_for(lab), store, Reports(stop_at="layer 0 of 2 scored"))
    key = plan_encoding(request_for(lab)).spec.key()
    assert list(store.parts("encoding", key)) == ["layer-000"]
    reports = Reports()
    resumed = pipeline.run_encoding(request_for(lab), store, reports)
    assert not any("layer 0 of 2" in message for message in reports.messages)
    whole = pipeline.run_encoding(request_for(lab), Store(store.root.parent / "fresh"))
    np.testing.assert_allclose(resumed.r, whole.r, atol=1e-6)


def test_a_damaged_result_is_computed_again(lab, store):
    first = pipeline.run_encoding(request_for(lab), store)
    path = first.folder / "result.nc"
    path.write_bytes(path.read_bytes()[:-10])
    again = pipeline.run_encoding(request_for(lab), store)
    np.testing.assert_array_equal(again.r, first.r)
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_a_full_disk_loses_nothing_already_computed(lab, store, monkeypatch):
    import errno

    real = Store.put
    calls = []

    def full_at_the_third(self, kind, key, **content):
        calls.append(kind)
        if len(calls) == 3:
            monkeypatch.setattr(
                "braindash.io.store._write_json",
                lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")),
            )
        return real(self, kind, key, **content)

    monkeypatch.setattr(Store, "put", full_at_the_third)
    with pytest.raises(BraindashError, match="disk is full"):
        pipeline.run_encoding(request_for(lab), store)
    assert len(store.entries("features")) == 2


def test_the_first_scored_row_is_kept_to(lab, store):
    """Rows before it leave the score, while the model is the same."""
    whole = pipeline.run_encoding(request_for(lab), store)
    lab.manifest.write_text(
        lab.manifest.read_text()
        + '\n[[runs]]\nsubject = "*"\nstory = "well"\nscore_from_row = 15\n'
    )
    late = pipeline.run_encoding(request_for(lab), store)
    np.testing.assert_array_equal(late.dataset["alpha"], whole.dataset["alpha"])
    assert not np.allclose(late.r[:, 0], whole.r[:, 0])
    assert "from row 15" in late.provenance_line()


def test_data_without_repeats_have_no_ceiling(lab, store):
    lab.edit('repeats_key = "individual_repeats"\n', "")
    result = pipeline.run_encoding(request_for(lab), store)
    assert not result.has_ceiling and np.isnan(result.ceiling).all()
    assert result.regions()["r_over_ceiling"].isna().all()
    assert result.r[:, 0].min() > 0.3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"strategy": "exakt"}, "strategy"),
        ({"stratgy": "exact"}, "Did you mean 'strategy'"),
        ({"threads": 0}, "threads"),
        ({"device": "tpu"}, "device"),
        ({"metric": "mse"}, "metric"),
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
