"""Targets whose r / ceiling is shown, chosen by other data than the ceiling that divides."""

import h5py
import numpy as np
import pytest
from kit.data.toy_lab import N_REPEATS, make_lab

from braindash.encoding.ceilings.chosen import selection_line
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request


@pytest.fixture(scope="module")
def lab(tmp_path_factory, quick_model):
    return make_lab(tmp_path_factory.mktemp("selecting") / "lab", quick_model)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("selecting-store"))


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": "acoustic:energy", "subject": "A"}
    fields |= {"alphas": (1.0, 100.0), "n_bootstraps": 20, "device": "cpu"}
    return build_request(EncodeRequest, **fields | changes)


def responses_of(lab, story, key="individual_repeats"):
    with h5py.File(lab.folder / "responses" / "A" / f"{story}.hf5") as file:
        return file[key][()].astype(np.float64)


def literal_ceiling(runs, n_repeats):
    """Of the mean of ``n_repeats`` presentations, from the signal power of those that are given."""
    runs = (runs - runs.mean(1, keepdims=True)) / runs.std(1, keepdims=True)
    n = len(runs)
    power = (n * runs.mean(0).var(0) - 1) / (n - 1)
    power[power <= 0] = 0
    with np.errstate(divide="ignore"):
        return 1 / np.sqrt(1 + (1 / power - 1) / n_repeats)


def test_every_second_presentation_chooses_and_all_divide(lab, store):
    high = request_for(lab, ceiling_threshold=0.8)
    plain = run_encoding(high, store)
    result = run_encoding(high.model_copy(update={"ceiling_selection": "halves"}), store)
    assert "ceiling_selection" not in plan_encoding(high).spec.canonical()
    assert plain.selection == "same" and result.spec["ceiling_selection"] == "halves"
    assert result.key != plain.key
    assert result.provenance["predictions"] == plain.provenance["predictions"], "no other fit"
    np.testing.assert_array_equal(result.ceiling, plain.ceiling)
    rows = result.dataset.sizes["target"]
    runs = responses_of(lab, "well")[:, -result.n_scored_rows :]
    with np.errstate(invalid="ignore"):
        selecting = literal_ceiling(runs[::2], N_REPEATS)
    known = np.isfinite(result.ceiling)
    np.testing.assert_allclose(
        result.dataset["selecting_ceiling"].values[known], selecting[known], atol=0.02
    )
    chosen = (result.dataset["selecting_ceiling"].values > 0.8) & (result.ceiling > 0.1)
    assert 0 < chosen.sum() < rows and not np.array_equal(chosen, plain.divided())
    divided = result.scores(normalised=True)
    np.testing.assert_allclose(divided[:, chosen], (result.r / result.ceiling)[:, chosen])
    assert np.isnan(divided[:, ~chosen]).all()
    table = result.regions().query("layer == 0")
    assert (table["n_above_threshold"] == chosen.sum()).all()
    mean = result.samples(normalised=True).sel(layer=0)
    assert abs(float(mean.mean()) - np.nanmean(divided[0])) < 0.1
    assert "every second presentation" in result.chosen_line() and "0.8" in result.chosen_line()
    told = selection_line(result)
    assert "every second presentation" in told and "simulated: 4 repeats" in told


def test_repeated_training_stories_choose(lab, store):
    with pytest.raises(InputError, match="no training story was presented more than once") as seen:
        plan_encoding(request_for(lab, ceiling_selection="training"))
    assert "halves" in seen.value.hint
    rng = np.random.default_rng(2)
    path = lab.folder / "responses" / "A" / "fox.hf5"
    before = path.read_bytes()
    with h5py.File(path, "a") as file:
        one = file["data"][()]
        file["individual_repeats"] = np.stack([one, one + 0.4 * rng.standard_normal(one.shape)])
    result = run_encoding(request_for(lab, ceiling_selection="training"), store)
    path.write_bytes(before)
    told = result.provenance["selecting"]
    assert told["stories"] == ["fox"] and told["n_repeats"] == 2 and told["n_rows"] > 30
    selecting = result.dataset["selecting_ceiling"].values
    assert (selecting[:5] > 0.9).all(), "as if there were as many as of the test story"
    np.testing.assert_array_equal(result.divided(), (selecting > 0.4) & (result.ceiling > 0.1))
    assert "repeated training stories" in selection_line(result)


def test_what_cannot_choose_is_refused(lab):
    for name in ("halves", "training"):
        with pytest.raises(InputError, match="no ceiling from repeats to divide by"):
            plan_encoding(request_for(lab, ceiling_selection=name, subject="mean"))
    path = lab.folder / "responses" / "A" / "well.hf5"
    before = path.read_bytes()
    with h5py.File(path, "a") as file:
        runs = file["individual_repeats"][:3]
        del file["individual_repeats"]
        file["individual_repeats"] = runs
    with pytest.raises(InputError, match="3 presentations") as seen:
        plan_encoding(request_for(lab, ceiling_selection="halves"))
    path.write_bytes(before)
    assert "regions" in seen.value.hint
