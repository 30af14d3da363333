"""Variance components of subjects and story time, against their words and against scipy."""

import numpy as np
import pytest
from scipy import stats

from braindash.core.statistics.components import (
    draw_together,
    jackknife_values,
    nanmean,
    shared_story_mean,
)
from braindash.core.statistics.depth import score_weighted_depth
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def by_words(v, b, m):
    """Compute the variance of a mean and its degrees of freedom, line by line as documented."""
    n, k = len(v), m / (m - 1)
    shared = b.mean(axis=0)
    of_subjects = v.var(ddof=1) / n
    of_time = k * shared.var()
    noise = k * sum((one - shared).var() for one in b) / ((n - 1) * n)
    time = max(of_time - noise / 2, 0)
    variance = of_subjects + time
    return variance, variance**2 / (of_subjects**2 / (n - 1) + time**2 / (m - 1))


def test_the_components_are_those_of_the_words(rng):
    values = rng.standard_normal((6, 2, 3))
    samples = values[:, None] + rng.standard_normal((6, 50, 2, 3))
    samples += 2 * rng.standard_normal((50, 2, 3))  # what all share
    found = shared_story_mean(values, samples, 12.5)
    low, high = found.interval(0.9)
    for at in np.ndindex(2, 3):
        variance, df = by_words(values[:, *at], samples[:, :, *at], 12.5)
        assert found.variance[at] == pytest.approx(variance)
        assert found.df[at] == pytest.approx(df)
        ends = stats.t.interval(0.9, df, values[:, *at].mean(), variance**0.5)
        np.testing.assert_allclose([low[at], high[at]], ends)
        t = values[:, *at].mean() / variance**0.5
        assert found.p_values()[at] == pytest.approx(2 * stats.t.sf(abs(t), df))
    assert (found.n == 6).all()


def test_without_samples_it_is_students(rng):
    values = rng.standard_normal((7, 4)) + 0.4
    found = shared_story_mean(values, None, 10)
    for column, p, low, high in zip(values.T, found.p_values(), *found.interval(), strict=True):
        test = stats.ttest_1samp(column, 0)
        assert p == pytest.approx(test.pvalue)
        np.testing.assert_allclose([low, high], test.confidence_interval())


def test_half_of_the_subjects_own_noise_is_taken_away_from_time(rng):
    """Where time moves every subject by itself alone, it adds half of what it seems to."""
    values = rng.standard_normal((40, 1))
    samples = values[:, None] + rng.standard_normal((40, 2000, 1))
    found = shared_story_mean(values, samples, 1e6)
    alone = shared_story_mean(values, None, 1e6)
    np.testing.assert_allclose(found.variance, alone.variance + 0.5 / 40, rtol=0.1)
    shared = values[:, None] + 3 * rng.standard_normal((1, 2000, 1))
    wide = shared_story_mean(values, shared, 1e6)
    np.testing.assert_allclose(wide.variance, alone.variance + 9, rtol=0.1)


def test_subjects_without_a_value_are_left_out(rng):
    values, samples = rng.standard_normal((5, 2)), rng.standard_normal((5, 30, 2))
    values[2, 1] = np.nan
    found = shared_story_mean(values, samples, 9)
    kept = [0, 1, 3, 4]
    alone = shared_story_mean(values[kept, 1], samples[kept, :, 1], 9)
    assert found.n.tolist() == [5, 4]
    np.testing.assert_allclose([found.variance[1], found.df[1]], [alone.variance, alone.df])
    values[:, 0] = np.nan
    bare = shared_story_mean(values, samples, 9)
    assert np.isnan([bare.mean[0], bare.variance[0], bare.p_values()[0]]).all()


def test_no_difference_anywhere_has_no_p_below_one():
    found = shared_story_mean(np.zeros((4, 2)), np.zeros((4, 20, 2)), 9)
    assert (found.p_values() == 1).all() and (np.array(found.interval()) == 0).all()


def test_pseudo_values_of_a_linear_statistic_are_the_subjects_own(rng):
    curves = rng.uniform(0.1, 1, (5, 3, 4))
    last = jackknife_values(lambda curve: curve[..., -1] - curve[..., 0], curves)
    np.testing.assert_allclose(last, curves[..., -1] - curves[..., 0])
    depth = jackknife_values(score_weighted_depth, curves)
    everyone = score_weighted_depth(curves.mean(axis=0))
    without = score_weighted_depth(curves[1:].mean(axis=0))
    np.testing.assert_allclose(depth[0], 5 * everyone - 4 * without)
    curves[1, 2] = np.nan
    some = jackknife_values(score_weighted_depth, curves)
    assert np.isnan(some[1, 2]) and np.isfinite(some).sum() == 14
    alone = jackknife_values(score_weighted_depth, curves[[0, 2, 3, 4], 2])
    np.testing.assert_allclose(some[[0, 2, 3, 4], 2], alone)


def test_subjects_and_time_are_drawn_together(rng):
    values = rng.standard_normal((12, 2))
    samples = values[:, None] + 0.5 * rng.standard_normal((1, 20_000, 2))
    drawn, n_units = draw_together(values, samples, seed=1)
    assert drawn.shape == (20_000, 2) and n_units is None
    np.testing.assert_allclose(drawn.mean(axis=0), values.mean(axis=0), atol=0.02)
    expected = np.sqrt(values.var(axis=0) / 12 + 0.25)
    np.testing.assert_allclose(drawn.std(axis=0), expected, rtol=0.03)
    alone, n_subjects = draw_together(values, None)
    np.testing.assert_allclose(alone.std(axis=0), values.std(axis=0) / 12**0.5, rtol=0.05)
    assert n_subjects == 12


def test_means_pass_over_what_is_missing():
    np.testing.assert_array_equal(
        nanmean([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]]), [2, 5, np.nan]
    )


@pytest.mark.parametrize(
    ("values", "samples", "n_blocks"),
    [
        (np.zeros((1, 2)), None, 9),
        (np.zeros((3, 2)), np.zeros((3, 5, 3)), 9),
        (np.zeros((3, 2)), np.zeros((3, 5, 2)), 1),
    ],
)
def test_what_does_not_belong_together_is_refused(values, samples, n_blocks):
    with pytest.raises(InputError, match="shape"):
        shared_story_mean(values, samples, n_blocks)
    found = shared_story_mean(np.zeros((3, 2)), None, 9)
    with pytest.raises(InputError, match="level"):
        found.interval(1.5)
