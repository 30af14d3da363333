import numpy as np
import pytest
from kit.machines.rounding import flip_p
from scipy import stats

from braindash.core.statistics import subjects
from braindash.core.statistics.subjects import bootstrap_subjects, paired_difference
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_means_over_drawn_subjects_spread_as_the_mean_does(rng):
    values = rng.standard_normal((12, 2, 3))
    samples = bootstrap_subjects(values, n_samples=20_000, seed=1)
    assert samples.shape == (20_000, 2, 3)
    np.testing.assert_allclose(samples.mean(axis=0), values.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(samples.std(axis=0), values.std(axis=0) / 12**0.5, rtol=0.03)
    # The same draws for other values of the same subjects: differences are paired.
    again = bootstrap_subjects(values + 5, n_samples=20_000, seed=1)
    np.testing.assert_allclose(again - samples, 5)


def test_subjects_without_a_value_are_passed_over():
    values = np.array([[1.0, 2.0, np.nan], [np.nan, 2.0, np.nan], [1.0, 2.0, np.nan]])
    samples = bootstrap_subjects(values, n_samples=500)
    assert set(samples[:, 0][np.isfinite(samples[:, 0])]) == {1.0}
    assert np.isnan(samples[:, 0]).mean() == pytest.approx(1 / 27, abs=0.03)
    assert (samples[:, 1] == 2).all() and np.isnan(samples[:, 2]).all()


def test_subjects_are_refused_when_there_is_one():
    with pytest.raises(InputError, match="two subjects"):
        bootstrap_subjects(np.zeros((1, 4)))
    with pytest.raises(InputError, match="n_samples"):
        bootstrap_subjects(np.zeros((3, 4)), n_samples=0)


def test_paired_difference_equals_scipy(rng):
    a, b = rng.standard_normal((2, 7, 2, 3)) + np.array([0.8, 0.0])[:, None, None, None]
    found = paired_difference(a, b, level=0.9)
    for index in np.ndindex(2, 3):
        gap = (a - b)[:, *index]
        ends = stats.ttest_1samp(gap, 0).confidence_interval(0.9)
        np.testing.assert_allclose([found.low[index], found.high[index]], ends)
        assert found.p[index] == pytest.approx(flip_p(gap))
        assert found.mean[index] == pytest.approx(gap.mean())
    assert (found.n == 7).all()


def test_paired_difference_of_many_subjects_draws_signs(rng):
    a = rng.standard_normal((16, 3)) + 0.3
    found = paired_difference(a, np.zeros_like(a), seed=3)
    np.testing.assert_allclose(found.p, [flip_p(column) for column in a.T], atol=0.01)
    np.testing.assert_array_equal(paired_difference(a, 0 * a, seed=3).p, found.p)


def test_paired_difference_leaves_out_incomplete_pairs(rng, monkeypatch):
    a, b = rng.standard_normal((2, 6, 4))
    a[2, 1], b[4, 1], a[1:, 2], a[:, 3] = np.nan, np.nan, np.nan, np.nan
    found = paired_difference(a, b)
    np.testing.assert_array_equal(found.n, [6, 4, 1, 0])
    kept = paired_difference(a[[0, 1, 3, 5], 1], b[[0, 1, 3, 5], 1])
    for name in ("mean", "low", "high", "p"):
        assert getattr(found, name)[1] == pytest.approx(float(getattr(kept, name)))
        assert np.isnan(getattr(found, name)[3])
    assert np.isnan(found.low[2]) and np.isnan(found.high[2]) and found.p[2] == 1
    monkeypatch.setattr(subjects, "_FLIPPED_NUMBERS", 1)
    np.testing.assert_array_equal(paired_difference(a, b).p, found.p)


def test_paired_difference_of_equal_steps_has_the_least_p():
    # Sums of 0.1 in another order differ in the last digit, yet are as far from 0.
    found = paired_difference(np.full((10, 1), 0.1), np.zeros((10, 1)))
    assert found.p[0] == pytest.approx(2 / 2**10)
    assert paired_difference(np.zeros((4, 1)), np.zeros((4, 1))).p[0] == 1


def test_paired_difference_refuses_other_shapes():
    for a, b in (((3, 2), (3, 3)), ((), ()), ((0, 2), (0, 2))):
        with pytest.raises(InputError, match="shape"):
            paired_difference(np.zeros(a), np.zeros(b))
    with pytest.raises(InputError, match="level"):
        paired_difference(np.zeros(3), np.zeros(3), level=1.0)


@pytest.mark.parametrize("n_subjects", [4, 9, 18, 40])
def test_ranks_are_those_of_wilcoxon(n_subjects):
    gap = np.random.default_rng(n_subjects).standard_normal((n_subjects, 5)) + 0.3
    gap[0, 0] = 0.0  # left out
    found = paired_difference(gap, np.zeros_like(gap)).p_ranks
    for column, p in zip(gap.T, found, strict=True):
        assert p == pytest.approx(stats.wilcoxon(column[column != 0], method="exact").pvalue)


def test_tied_ranks_take_signs():
    gap = np.array([1.0, 1, -1, 2, 2, 3, -0.5])[:, None]
    ranks = stats.rankdata(np.abs(gap[:, 0])) * np.sign(gap[:, 0])
    found = paired_difference(gap, 0 * gap).p_ranks[0]
    assert found == pytest.approx(flip_p(ranks))
    many = np.repeat(gap, 3, axis=0)
    expected = stats.wilcoxon(many[:, 0], method="approx", correction=True).pvalue
    assert paired_difference(many, 0 * many).p_ranks[0] == pytest.approx(expected, abs=0.01)


def literal_bootstrap_t(column, n_samples=4000):
    """Draw subjects again one by one, and compare Student's t of their distance from the mean."""
    rng, n = np.random.default_rng(5), len(column)
    own = stats.ttest_1samp(column, 0).statistic
    drawn = rng.choice(column - column.mean(), size=(n_samples, n))
    t = stats.ttest_1samp(drawn, 0, axis=1).statistic
    return 2 * min(np.mean(t >= own), np.mean(t <= own))


def test_the_bootstrap_t_is_that_of_a_literal_one():
    gap = np.random.default_rng(3).exponential(size=(9, 4)) - 0.5
    found = paired_difference(gap, np.zeros_like(gap)).p_boot
    for column, p in zip(gap.T, found, strict=True):
        assert p == pytest.approx(literal_bootstrap_t(column), abs=0.04)
    more = np.concatenate([gap, np.full((1, 4), np.nan)])
    with_gap = paired_difference(more, np.zeros_like(more)).p_boot
    np.testing.assert_allclose(with_gap, found, atol=0.05)
    assert np.isnan(paired_difference(gap[:5], 0 * gap[:5]).p_boot).all()
    np.testing.assert_array_equal(paired_difference(0 * gap, 0 * gap).p_boot, 1)


def test_skewed_differences_are_rejected_less_often_by_the_bootstrap_t():
    gap = np.random.default_rng(0).exponential(size=(10, 2000)) - 1  # of mean 0
    found = paired_difference(gap, np.zeros_like(gap))
    assert (found.p <= 0.05).mean() > 0.085 and 0.035 < (found.p_boot <= 0.05).mean() < 0.075
