"""Families of tests and maps of groups, against nilearn's inference and scipy."""

import itertools

import numpy as np
import pytest
from nilearn.mass_univariate import permuted_ols
from scipy import stats

from braindash.core.statistics import families
from braindash.core.statistics.families import flipped_maps, holm, prevalence
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def holm_by_words(p):
    order = np.argsort(p)
    adjusted, least = np.empty(len(p)), 0.0
    for place, index in enumerate(order):
        least = max(least, (len(p) - place) * p[index])
        adjusted[index] = min(1, least)
    return adjusted


def test_holm_adjusts_a_family(rng):
    p = rng.uniform(0, 1, 30) ** 3
    np.testing.assert_allclose(holm(p), holm_by_words(p))
    some = np.where(np.arange(30) % 3 == 0, np.nan, p).reshape(5, 6)
    found = holm(some)
    assert (np.isnan(found) == np.isnan(some)).all()
    np.testing.assert_allclose(found[np.isfinite(some)], holm_by_words(some[np.isfinite(some)]))
    assert np.isnan(holm([np.nan])).all() and holm([0.03]) == [0.03]


@pytest.mark.parametrize("two_sided", [False, True])
def test_maps_equal_those_of_nilearn(rng, two_sided):
    values = rng.standard_normal((9, 1, 60))
    values[:, 0, :6] += 2.5
    values[:, 0, 6:9] -= 2.5
    found = flipped_maps(values, two_sided=two_sided)
    assert found.exact and found.n_flips == 2**9
    np.testing.assert_allclose(found.t[0], stats.ttest_1samp(values[:, 0], 0).statistic, rtol=1e-4)
    theirs = permuted_ols(
        np.ones((9, 1)), values[:, 0], model_intercept=False, n_perm=4000,
        two_sided_test=two_sided, random_state=0, output_type="dict",
    )  # fmt: skip
    expected = 10.0 ** -theirs["logp_max_t"].ravel()
    np.testing.assert_allclose(found.p[0], expected, atol=0.03)
    assert (found.p[0, :6] < 0.05).any()


def test_a_maps_p_is_the_share_of_patterns_with_as_large_a_t(rng):
    values = rng.standard_normal((6, 2, 7))
    values[3, 1, 2] = np.nan
    values[:, 0, 5] = np.nan
    found = flipped_maps(values)

    def t_map(table):
        n = np.isfinite(table).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(table, axis=0) / n
            spread = np.sqrt(np.nansum((table - mean) ** 2, axis=0) / (n - 1) / n)
            return np.where(n > 1, mean / spread, np.nan)

    own = t_map(values)
    tops = [
        np.nanmax(t_map(values * np.array(signs)[:, None, None]))
        for signs in itertools.product((1, -1), repeat=6)
    ]
    expected = np.mean(np.array(tops)[:, None, None] >= own - 1e-6, axis=0)
    known = np.isfinite(own)
    np.testing.assert_allclose(found.p[known], expected[known], atol=1e-6)
    assert np.isnan(found.p[0, 5]) and np.isfinite(found.p).sum() == 13


def test_many_subjects_draw_signs_in_pieces(rng, monkeypatch):
    values = rng.standard_normal((20, 2, 50)) + 0.1
    whole = flipped_maps(values, n_flips=500)
    monkeypatch.setattr(families, "_NUMBERS_AT_ONCE", 5000)
    np.testing.assert_allclose(flipped_maps(values, n_flips=500).p, whole.p)
    assert not whole.exact and whole.n_flips == 500 and np.nanmin(whole.p) >= 1 / 501
    with pytest.raises(InputError, match="two subjects"):
        flipped_maps(values[:1])


def test_prevalence_has_the_exact_interval(rng):
    found = rng.uniform(size=(17, 12)) < np.linspace(0, 1, 12)
    tested = rng.uniform(size=found.shape) < 0.8
    tested[:, 4] = False
    result = prevalence(found, tested, level=0.9)
    assert np.isnan([result.share[4], result.low[4], result.high[4]]).all()
    for column in set(range(12)) - {4}:
        n = int(tested[:, column].sum())
        k = int((found & tested)[:, column].sum())
        ends = stats.binomtest(k, n).proportion_ci(0.9, method="exact")
        assert result.share[column] == k / n and result.n[column] == n
        np.testing.assert_allclose([result.low[column], result.high[column]], ends, atol=1e-12)
