import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.preprocessing import StandardScaler

from braindash.core.scores import (
    constant_columns,
    normalised_score,
    pearson_r,
    pooled_statistics,
    standardised,
    zscore,
)
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_pearson_r_equals_scipy_over_several_column_blocks(rng):
    a = rng.standard_normal((30, 5000)).astype(np.float32)
    b = (a + rng.standard_normal(a.shape)).astype(np.float32) + 100
    r = pearson_r(a, b)
    for column in (0, 7, 4095, 4096, 4999):
        assert r[column] == pytest.approx(pearsonr(a[:, column], b[:, column])[0], abs=1e-6)
    assert r.dtype == np.float64


def test_pearson_r_is_nan_for_constant_and_nan_columns(rng):
    a, b = rng.standard_normal((2, 20, 5))
    a[:, 0], b[:, 1], a[3, 2], b[4, 3] = 0.1, 7.0, np.nan, np.inf
    with np.errstate(invalid="ignore"):
        r = pearson_r(a, b)
    assert np.isnan(r).tolist() == [True, True, True, True, False]


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_pearson_r_ignores_scale_and_offset(scale, offset):
    a, b = np.random.default_rng(3).standard_normal((2, 25, 3))
    np.testing.assert_allclose(pearson_r(a * scale + offset, b), pearson_r(a, b), atol=1e-8)
    np.testing.assert_allclose(pearson_r(-a, b), -pearson_r(a, b), atol=1e-12)


def test_pearson_r_refuses_other_shapes(rng):
    for first, second in (((4, 2), (4, 3)), ((4,), (4,)), ((0, 2), (0, 2))):
        with pytest.raises(InputError, match="shape"):
            pearson_r(rng.random(first), rng.random(second))


def test_normalised_score_is_not_clipped_and_nan_below_threshold():
    score = normalised_score([[0.3, 0.9, 0.1, 0.2]], [0.6, 0.5, 0.4, np.nan])
    np.testing.assert_allclose(score, [[0.5, 1.8, np.nan, np.nan]])
    assert normalised_score([0.1], [0.2], threshold=0.1) == pytest.approx(0.5)
    with pytest.raises(InputError, match="ceiling"):
        normalised_score([0.1, 0.2], [0.5])
    with pytest.raises(InputError, match="threshold"):
        normalised_score([0.1], [0.5], threshold=-1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscore_equals_sklearn_except_for_constants(rng, dtype):
    values = (rng.standard_normal((40, 6)) * 3 + 100).astype(dtype)
    values[:, 2] = 0.1
    z = zscore(values)
    expected = StandardScaler().fit_transform(values.astype(np.float64))
    expected[:, 2] = 0
    np.testing.assert_allclose(z, expected, atol=1e-5)
    assert z.dtype == dtype
    np.testing.assert_allclose(zscore(values.T, axis=1), z.T)
    assert constant_columns(values).tolist() == [False, False, True, False, False, False]


def test_zscore_keeps_nan_visible(rng):
    values = rng.standard_normal((10, 2))
    values[3, 0] = np.nan
    assert np.isnan(zscore(values)[:, 0]).all()
    assert np.isfinite(zscore(values)[:, 1]).all()
    assert not constant_columns(values).any()


def test_training_statistics_are_in_units_of_the_stories_own_z_scores(rng):
    """What a fit took for one standard deviation, whatever the stories' means."""
    sizes = (30, 50, 20)
    stories = [
        rng.standard_normal((n, 4)) * [1, 5, 0, 2] + 10 * place for place, n in enumerate(sizes)
    ]
    stories[1][:, 3] = 3.0  # constant in one story: it varies in the others only
    mean, spread = pooled_statistics([one.astype(np.float32) for one in stories])
    rows = np.concatenate(stories)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-5)
    within = np.concatenate([one - one.mean(axis=0) for one in stories])
    np.testing.assert_allclose(spread, within.std(axis=0), rtol=1e-5)
    assert spread[2] == 0
    found = standardised(rows, mean, spread)
    assert found.dtype == np.float32 and (found[:, 2] == 0).all()
    np.testing.assert_allclose(found[:, 1], (rows[:, 1] - mean[1]) / spread[1], rtol=1e-5)
