"""Significance and uncertainty of a result against plain loops over targets and samples."""

import numpy as np
import pytest
import xarray as xr

from braindash.core.ceilings import ceiling_threshold
from braindash.core.scores import pearson_r
from braindash.core.statistics.bootstrap import block_counts
from braindash.core.statistics.confidence import shrunken_shares, time_inflation
from braindash.core.statistics.permutation import benjamini_hochberg, permutation_tests
from braindash.core.statistics.prewhitened import prewhitened_tests
from braindash.encoding.statistics import ScoredRows, compute_statistics
from braindash.errors import Cancelled
from braindash.specs import StatisticsSettings

N_LAYERS, N_TARGETS = 3, 14
N_ROWS = (40, 32)
SETTINGS = StatisticsSettings(
    n_permutations=60, n_bootstraps=50, block_rows=5, seed=3, scheme="blocks"
)
NAN_TARGET, CONSTANT_TARGET = 4, 9


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    response = rng.normal(size=(sum(N_ROWS), N_TARGETS)).astype(np.float32)
    noise = rng.normal(size=(N_LAYERS, *response.shape))
    gain = np.linspace(0, 1.5, N_TARGETS) * np.array([0.5, 1.0, 0.2])[:, None, None]
    predictions = (gain * response + noise).astype(np.float32)
    predictions[:, :, NAN_TARGET] = np.nan
    predictions[:, :, CONSTANT_TARGET] = 0
    return predictions, response


@pytest.fixture(scope="module")
def rows(series):
    predictions, response = series
    return ScoredRows(
        read=lambda columns: (predictions[:, :, columns], response[:, columns]),
        segments=np.repeat([0, 1], N_ROWS),
        r=np.stack([pearson_r(prediction, response) for prediction in predictions]),
    )


@pytest.fixture(scope="module")
def masks():
    some = np.zeros(N_TARGETS, dtype=bool)
    some[[3, 4, 5, 12]] = True
    dead = np.zeros(N_TARGETS, dtype=bool)
    dead[[NAN_TARGET, CONSTANT_TARGET]] = True
    return {"all targets": np.ones(N_TARGETS, dtype=bool), "some": some, "dead": dead}


@pytest.fixture(scope="module")
def ceilings():
    rng = np.random.default_rng(2)
    repeats = rng.uniform(0.2, 0.9, N_TARGETS)
    repeats[3] = np.nan
    return {"repeats": repeats, "inter-subject": rng.uniform(-0.2, 0.8, N_TARGETS)}


@pytest.fixture(scope="module")
def found(rows, masks, ceilings):
    return compute_statistics(rows, masks, ceilings, SETTINGS)


def literal_samples(series):
    """Repeat every row as often as it was drawn, and correlate: (sample, layer, target)."""
    predictions, response = series
    counts = block_counts(
        len(response),
        segments=np.repeat([0, 1], N_ROWS),
        n_samples=SETTINGS.n_bootstraps,
        block_rows=SETTINGS.block_rows,
        seed=SETTINGS.seed,
    )
    drawn = [np.repeat(np.arange(len(response)), count.astype(int)) for count in counts]
    return np.array(
        [[pearson_r(prediction[i], response[i]) for prediction in predictions] for i in drawn]
    )


def test_region_replicates_equal_a_literal_resampling(series, masks, ceilings, found):
    samples = literal_samples(series)
    for name, mask in masks.items():
        members = [t for t in np.flatnonzero(mask) if t not in (NAN_TARGET, CONSTANT_TARGET)]
        expected = samples[:, :, members].mean(axis=2) if members else np.full((50, 3), np.nan)
        np.testing.assert_allclose(
            found["region_samples"].sel(region=name), expected, atol=1e-5, err_msg=name
        )
        for kind, ceiling in ceilings.items():
            above = [t for t in members if ceiling[t] > ceiling_threshold(kind)]
            ratio = samples[:, :, above] / ceiling[above]
            expected = ratio.mean(axis=2) if above else np.full((50, 3), np.nan)
            got = found["region_ceiling_samples"].sel(region=name, ceiling_kind=kind)
            np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=f"{name} {kind}")


def test_p_and_q_are_those_of_the_whole_array(series, found):
    p, best = permutation_tests(
        *series,
        segments=np.repeat([0, 1], N_ROWS),
        n_permutations=60,
        block_rows=5,
        scheme="blocks",
        seed=3,
    )
    np.testing.assert_allclose(found["p"], p, atol=1e-6)
    np.testing.assert_allclose(found["q"], benjamini_hochberg(p), atol=1e-6)
    assert np.isnan(found["p"].values[:, [NAN_TARGET, CONSTANT_TARGET]]).all()
    np.testing.assert_allclose(found["p_best"], best, atol=1e-6)
    np.testing.assert_allclose(found["q_best"], benjamini_hochberg(best), atol=1e-6)


def test_prewhitened_p_and_q_are_those_of_the_whole_array(series, rows, masks):
    settings = SETTINGS.model_copy(update={"scheme": "prewhitened", "n_bootstraps": 0})
    found = compute_statistics(rows, masks, {}, settings, chunk_targets=4)
    tests = prewhitened_tests(*series, segments=rows.segments, block_rows=5)
    for name, expected in (("p", tests.p), ("p_best", tests.best)):
        np.testing.assert_allclose(found[name], expected, rtol=1e-3)  # of 1e-11 too
        q = benjamini_hochberg(expected)
        np.testing.assert_allclose(found[name.replace("p", "q")], q, rtol=1e-3)
    assert found["p"].values[1, N_TARGETS - 1] < 1e-6, "no number of permutations is the floor"
    old = compute_statistics(rows, masks, {}, settings.model_copy(update={"best_of_layers": False}))
    assert set(found) - set(old) == {"p_best", "q_best"}


def test_the_preferred_layer_is_the_best_and_its_share_that_of_the_replicates(series, rows, masks):
    samples = literal_samples(series)
    plain = SETTINGS.model_copy(update={"confidence": "share", "n_permutations": 0})
    found = compute_statistics(rows, masks, {}, plain)
    for target in range(N_TARGETS):
        if target in (NAN_TARGET, CONSTANT_TARGET):
            assert found["preferred_layer"][target] == -1
            assert np.isnan(found["preferred_share"][target])
            continue
        best = rows.r[:, target].argmax()
        assert found["preferred_layer"][target] == best
        share = np.mean(samples[:, :, target].argmax(axis=1) == best)
        assert float(found["preferred_share"][target]) == pytest.approx(share, abs=1e-6)
    assert found["preferred_layer"].dtype == np.int16


def test_how_sure_a_layer_is_comes_from_all_targets_at_once(series, rows, found):
    samples = literal_samples(series)
    inflation = time_inflation(*series, segments=rows.segments, block_rows=5)
    expected = shrunken_shares(rows.r, samples.astype(np.float32), inflation=inflation, seed=3)
    np.testing.assert_allclose(found["preferred_share"], expected, atol=1e-5)
    assert np.isnan(expected[[NAN_TARGET, CONSTANT_TARGET]]).all()


@pytest.mark.parametrize("chunk", [1, 5, 13])
def test_the_size_of_a_block_changes_nothing(rows, masks, ceilings, found, chunk):
    again = compute_statistics(rows, masks, ceilings, SETTINGS, chunk_targets=chunk)
    xr.testing.assert_allclose(again, found, atol=1e-6)


def test_layers_and_targets_share_their_draws(series, masks):
    """A target that is there twice, in two layers, has equal replicates and equal p."""
    predictions, response = series
    predictions, response = predictions[[1, 1]].copy(), response.copy()
    predictions[:, :, 0], response[:, 0] = predictions[:, :, 12], response[:, 12]
    one, two = np.zeros((2, N_TARGETS), dtype=bool)
    one[0] = two[12] = True
    rows = ScoredRows(
        lambda columns: (predictions[:, :, columns], response[:, columns]),
        np.repeat([0, 1], N_ROWS),
        np.stack([pearson_r(prediction, response) for prediction in predictions]),
    )
    found = compute_statistics(rows, {"one": one, "two": two}, {}, SETTINGS, chunk_targets=4)
    samples = found["region_samples"].values.reshape(50, -1)
    np.testing.assert_allclose(samples, samples[:, :1].repeat(4, axis=1), atol=1e-6)
    np.testing.assert_allclose(found["p"][:, [0, 12]], float(found["p"][0, 0]), atol=1e-6)


def test_what_is_switched_off_is_absent(rows, masks, ceilings):
    no_bootstraps = SETTINGS.model_copy(update={"n_bootstraps": 0})
    names = set(compute_statistics(rows, masks, ceilings, no_bootstraps))
    assert names == {"preferred_layer", "p", "q", "p_best", "q_best"}
    no_permutations = SETTINGS.model_copy(update={"n_permutations": 0})
    names = set(compute_statistics(rows, masks, {}, no_permutations))
    assert names == {"preferred_layer", "preferred_share", "region_samples"}


def test_work_stops_between_two_blocks(rows, masks):
    class Stop:
        told = 0

        def advance(self, done, total, message):
            self.told += 1
            if done >= 4:
                raise Cancelled

    stop = Stop()
    with pytest.raises(Cancelled):
        compute_statistics(rows, masks, {}, SETTINGS, progress=stop, chunk_targets=2)
    assert stop.told == 3
