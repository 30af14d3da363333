"""Cosines of a high-pass filter against nilearn's, and what filtering leaves."""

import numpy as np
import pytest
from nilearn.glm.first_level.design_matrix import create_cosine_drift

from braindash.core.drift import high_passed, slow_cosines
from braindash.errors import InputError


@pytest.mark.parametrize(("n_rows", "tr", "period"), [(150, 2.0, 128.0), (291, 1.5, 100.0)])
def test_the_filter_is_that_of_the_field(n_rows, tr, period):
    """Same cosines, same residuals, but for the mean, which stays."""
    rng = np.random.default_rng(0)
    series = (np.cumsum(rng.standard_normal((n_rows, 4)), axis=0) + 50).astype(np.float32)
    drift = create_cosine_drift(1 / period, np.arange(n_rows) * tr)
    cosines = slow_cosines(n_rows, period / tr)
    assert cosines.shape[1] == drift.shape[1] - 1
    np.testing.assert_allclose(
        cosines / np.linalg.norm(cosines, axis=0),
        drift[:, :-1] / np.linalg.norm(drift[:, :-1], axis=0),
        atol=1e-9,
    )
    left = high_passed(series, period, tr)
    fitted = drift[:, :-1] @ np.linalg.lstsq(drift, series, rcond=None)[0][:-1]
    np.testing.assert_allclose(left, series - fitted, rtol=1e-5)
    assert left.dtype == np.float32
    np.testing.assert_allclose(left.mean(axis=0), series.mean(axis=0), rtol=1e-6)


def test_rows_without_data_are_not_fitted_and_stay():
    rng = np.random.default_rng(1)
    series, present = rng.standard_normal((80, 3)), np.ones(80, dtype=bool)
    present[[0, 7, 40, 41]] = False
    series[~present] = np.nan
    left = high_passed(series, 40.0, 2.0, present=present)
    design = np.column_stack([np.ones(80), slow_cosines(80, 20)])[present]
    weights = np.linalg.lstsq(design, series[present], rcond=None)[0]
    expected = series[present] - design[:, 1:] @ weights[1:]
    np.testing.assert_allclose(left[present], expected, rtol=1e-9)
    assert np.isnan(left[~present]).all()
    alone = series.copy()
    alone[5, 1] = np.nan
    again = high_passed(alone, 40.0, 2.0, present=present)
    assert np.isnan(again[present, 1]).all()
    np.testing.assert_array_equal(again[present][:, [0, 2]], left[present][:, [0, 2]])


def test_a_story_shorter_than_half_a_period_stays_as_it_is():
    series = np.linspace(0, 1, 30)[:, None]
    np.testing.assert_array_equal(high_passed(series, 128.0, 2.0), series)


def test_a_filter_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="leaves little") as caught:
        high_passed(np.zeros((30, 1)), 8.0, 2.0)
    assert "128" in caught.value.hint
