import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.data.bold import autoregressive, mixed_noise, smooth, with_correlation
from scipy import stats

from braindash.core.scores import pearson_r
from braindash.core.statistics import bootstrap as uncertainty
from braindash.core.statistics.bootstrap import (
    block_counts,
    bootstrap_r,
    interval,
    interval_method,
    interval_of_units,
    preferred_layers,
)
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def series(rng, n_layers, n_rows, n_columns):
    response = smooth(rng, n_rows, n_columns).astype(np.float32)
    own = np.stack([smooth(rng, n_rows, n_columns) for _ in range(n_layers)])
    return (0.4 * response + own).astype(np.float32) * 3 + 7, response * 40 + 900


# ---- blocks of rows -------------------------------------------------------------------------


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 9), st.integers(0, 99))
def test_counts_equal_a_loop_over_blocks(sizes, block_rows, seed):
    n_rows = sum(sizes)
    if n_rows < 2 * block_rows:
        return
    segments = np.repeat(np.arange(len(sizes)), sizes)
    options = {"segments": segments, "n_samples": 3, "block_rows": block_rows, "seed": seed}
    counts = block_counts(n_rows, **options)
    starts = np.random.default_rng(seed).integers(n_rows, size=(3, -(-n_rows // block_rows)))
    for sample, found in zip(starts, counts, strict=True):
        rows = []
        for start in sample:
            own = np.flatnonzero(segments == segments[start]).tolist()
            place = own.index(start)
            rows += [own[(place + step) % len(own)] for step in range(block_rows)]
        np.testing.assert_array_equal(found, np.bincount(rows[:n_rows], minlength=n_rows))


def test_counts_draw_every_row_alike_and_neighbours_together():
    counts = block_counts(200, n_samples=4000, block_rows=10, seed=4)
    assert counts.shape == (4000, 200) and counts.dtype == np.float32
    np.testing.assert_array_equal(counts.sum(axis=1), 200)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    # Two rows k apart are in the same block with a chance that falls linearly to 0 at its length.
    spread = [np.mean((counts - 1) * (np.roll(counts, lag, axis=1) - 1)) for lag in (0, 5, 10)]
    np.testing.assert_allclose(spread, [0.95, 0.45, -0.05], atol=0.02)
    np.testing.assert_array_equal(block_counts(200, n_samples=4000, seed=4), counts)
    assert (block_counts(200, n_samples=4000, seed=5) != counts).any()


def test_counts_are_refused_for_too_few_rows_and_no_samples():
    for n_rows, options in ((19, {}), (50, {"block_rows": 26}), (50, {"block_rows": 0})):
        with pytest.raises(InputError, match="block"):
            block_counts(n_rows, **options)
    with pytest.raises(InputError, match="n_samples"):
        block_counts(50, n_samples=0)


def test_bootstrap_r_equals_a_loop_over_drawn_rows(rng):
    predictions, response = series(rng, 3, 75, 6)
    counts = block_counts(75, n_samples=20, block_rows=8)
    r = bootstrap_r(predictions, response, counts)
    assert r.shape == (20, 3, 6) and r.dtype == np.float32
    for sample, drawn in enumerate(counts):
        rows = np.repeat(np.arange(75), drawn.astype(int))
        for layer in range(3):
            expected = pearson_r(predictions[layer][rows], response[rows])
            np.testing.assert_allclose(r[sample, layer], expected, atol=1e-5)


def test_bootstrap_r_depends_on_no_block_of_columns(rng, monkeypatch):
    predictions, response = series(rng, 2, 75, 5)
    counts = block_counts(75, n_samples=20, block_rows=8)
    whole = bootstrap_r(predictions, response, counts, device="auto")
    monkeypatch.setattr(uncertainty, "_NUMBERS_AT_ONCE", 40)  # two columns at a time
    parts = bootstrap_r(predictions, response, counts)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_bootstrap_r_without_variation(rng):
    predictions, response = series(rng, 2, 60, 6)
    counts = block_counts(60, n_samples=50)
    whole = bootstrap_r(predictions, response, counts)
    predictions[0, :, 0], predictions[1, 4, 1], response[:, 2] = 5.0, np.nan, 0.1
    predictions[0, :, 3] = np.arange(60) == 30  # varies in samples with row 30 only
    r = bootstrap_r(predictions, response, counts)
    assert np.isnan(r[:, 0, 0]).all() and np.isnan(r[:, 1, 1]).all() and np.isnan(r[:, :, 2]).all()
    np.testing.assert_array_equal(np.isnan(r[:, 0, 3]), counts[:, 30] == 0)
    np.testing.assert_array_equal(r[:, :, 4:], whole[:, :, 4:])
    with pytest.raises(InputError, match="counts"):
        bootstrap_r(predictions, response, counts[:, :-1])


# ---- intervals ------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_plain_intervals_are_percentiles(rng, axis):
    samples = rng.standard_normal((31, 30, 29)).astype(np.float32)
    samples[rng.random(samples.shape) < 0.2] = np.nan
    low, high = interval(samples, level=0.9, axis=axis)
    expected = np.nanquantile(samples.astype(float), [0.05, 0.95], axis=axis)
    np.testing.assert_allclose([low, high], expected, rtol=1e-6)
    assert low.dtype == np.float64


def test_intervals_of_few_units_are_wider(rng):
    samples = rng.standard_normal(200_000)
    for n_units in (3.5, 6, 29):
        low, high = interval(samples, n_units=n_units)
        # Of normal samples with the n units' too small variance: Student's interval.
        reach = stats.t.ppf(0.975, n_units - 1) * np.sqrt(n_units / (n_units - 1))
        assert high == pytest.approx(min(reach, samples.max()), rel=0.1)
        assert low == pytest.approx(max(-reach, samples.min()), rel=0.1)
    np.testing.assert_allclose(interval(samples, n_units=1e9), interval(samples), rtol=1e-4)


def test_there_is_no_interval_of_mostly_missing_samples(rng):
    samples = rng.standard_normal((10, 3))
    samples[:5, 1], samples[:6, 2] = np.nan, np.nan
    low, high = interval(samples)
    assert np.isfinite([low[:2], high[:2]]).all() and np.isnan([low[2], high[2]]).all()
    assert np.isnan(interval(np.full((4, 2), np.nan))).all()


def test_intervals_refuse_what_they_cannot_use():
    for samples in (np.zeros((0, 3)), np.zeros(3, dtype=int), np.float64(3)):
        with pytest.raises(InputError, match="samples"):
            interval(samples)
    with pytest.raises(InputError, match="level"):
        interval(np.zeros(3), level=95)
    with pytest.raises(InputError, match="n_units"):
        interval(np.zeros(3), n_units=1)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(("n_rows", "phi"), [(240, 0.6), (300, 0.3)])
def test_intervals_hold_the_true_r_as_often_as_they_say(rng, n_rows, phi, r):
    regions, size = 500, 4
    x = (smooth(rng, n_rows, regions, 1) + smooth(rng, n_rows, regions, size)) / np.sqrt(2)
    noise = autoregressive(rng, phi, n_rows, regions, 1) + mixed_noise(
        rng, phi, n_rows, regions, size
    )
    y = with_correlation(r, x, noise / np.sqrt(2))
    counts = block_counts(n_rows, n_samples=500, block_rows=10)
    samples = bootstrap_r(x.reshape(1, n_rows, -1), y.reshape(n_rows, -1), counts)
    samples = samples.reshape(500, regions, size)
    for one in (samples[:, :, 0], samples.mean(axis=2)):  # a target, a region
        low, high = interval(one, n_units=n_rows / 10)
        assert 0.92 <= np.mean((low <= r) & (r <= high)) <= 0.98


# ---- preferred layers -----------------------------------------------------------------------


def test_preferred_layers_equal_a_loop(rng):
    r, samples = rng.random((5, 8)), rng.random((40, 5, 8)).astype(np.float32)
    layer, share = preferred_layers(r, samples)
    assert (layer.dtype, share.dtype) == (np.int16, np.float32)
    for target in range(8):
        best = int(np.argmax(r[:, target]))
        assert layer[target] == best
        agreeing = sum(int(np.argmax(one[:, target])) == best for one in samples)
        assert share[target] == pytest.approx(agreeing / 40)
    part = preferred_layers(r[:, 3:5], samples[:, :, 3:5])
    np.testing.assert_array_equal(part.layer, layer[3:5])
    np.testing.assert_array_equal(part.share, share[3:5])


def test_layers_without_a_score_are_never_preferred():
    nan = np.nan
    r = np.array([[nan, nan, 0.2, -0.3, 0.5], [nan, -0.1, 0.2, -0.2, 0.1]])
    samples = np.stack([r, r[::-1], np.full_like(r, nan)]).astype(np.float32)
    samples[:, :, 4] = nan
    layer, share = preferred_layers(r, samples)
    np.testing.assert_array_equal(layer, [-1, 1, 0, 1, 0])
    np.testing.assert_array_equal(share, np.float32([nan, 0.5, 1.0, 0.5, nan]))
    alone = preferred_layers(r)
    np.testing.assert_array_equal(alone.layer, layer)
    assert np.isnan(alone.share).all()


def test_preferred_layers_refuse_other_shapes():
    for r, samples in ((np.zeros(3), None), (np.zeros((2, 3)), np.zeros((9, 3, 2)))):
        with pytest.raises(InputError, match="shape"):
            preferred_layers(r, samples)


# ---- few units ----------------------------------------------------------------------------------


def test_many_units_have_percentiles_few_students_and_two_none():
    rng = np.random.default_rng(4)
    values = rng.standard_normal((5, 3)) + 2
    drawn = values[rng.integers(5, size=(20_000, 5))].mean(axis=1)
    low, high = interval_of_units(values.mean(axis=0), drawn, 5)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=0.02)
    np.testing.assert_array_equal(
        interval_of_units(values.mean(axis=0), drawn, 8), interval(drawn, n_units=8)
    )
    assert np.isnan(interval_of_units(values.mean(axis=0), drawn, 2)).all()
    assert [interval_method(n) for n in (2, 3, 7, 8)] == ["none", "student", "student", "bootstrap"]
    drawn[: len(drawn) * 2 // 3, 1] = np.nan
    some = interval_of_units(values.mean(axis=0), drawn, 5)
    assert np.isnan(some).any(axis=0).tolist() == [False, True, False]
