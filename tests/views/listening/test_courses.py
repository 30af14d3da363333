"""Courses of places and their running r, against numpy."""

import numpy as np
import pytest

from braindash.viewer.packing import unpack
from braindash.views.listening.courses import Course, course_blob, region_courses, running_r


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    measured = rng.standard_normal(60) + 40  # a common level costs no digits
    predicted = 0.4 * measured + rng.standard_normal(60) + 900
    measured[[0, 1, 20, 21]] = np.nan
    predicted[[0, 1, 20, 21]] = np.nan
    return predicted, measured


def test_running_r_is_the_correlation_of_the_rows_until_then(pair):
    predicted, measured = pair
    found = running_r(predicted, measured)
    for row in range(60):
        p, y = (one[: row + 1][np.isfinite(one[: row + 1])] for one in pair)
        if len(p) < 10:
            assert np.isnan(found[row])
        else:
            assert found[row] == pytest.approx(np.corrcoef(p, y)[0, 1], abs=1e-10)
    known = np.isfinite(measured)
    assert found[-1] == pytest.approx(np.corrcoef(predicted[known], measured[known])[0, 1])


def test_a_constant_course_and_one_that_was_never_scored_have_no_r(pair):
    predicted, measured = pair
    assert np.isnan(running_r(np.full(60, 3.25), measured)).all()
    assert np.isnan(running_r(predicted, np.full(60, np.nan))).all()
    starts_still = predicted.copy()
    starts_still[:30] = 5.0
    found = running_r(starts_still, measured)
    assert np.isnan(found[:29]).all() and np.isfinite(found[31:]).all()


def test_region_courses_are_means_over_valid_targets_row_by_row():
    rng = np.random.default_rng(4)
    values = rng.standard_normal((300, 12))
    values[5] = np.nan
    valid = np.ones(12, dtype=bool)
    valid[3] = False
    masks = {"all targets": np.ones(12, dtype=bool), "few": np.arange(12) < 4}
    weights = rng.uniform(0, 1, 12).astype(np.float32)
    members = masks | {"painted": weights}
    found = region_courses(lambda rows: values[rows], 300, members, valid)
    np.testing.assert_allclose(found["few"][6:], values[6:, :3].mean(axis=1))
    np.testing.assert_allclose(
        found["painted"][6:], np.average(values[6:, valid], axis=1, weights=weights[valid])
    )
    assert all(len(one) == 300 and np.isnan(one[5]) for one in found.values())


def test_courses_travel_with_titles_and_r(pair):
    predicted, measured = pair
    course = Course("Late language", "#D55E00", measured, np.stack([predicted, measured]), ["x"])
    nothing = Course("None", "#000000", np.full(60, np.nan), np.full((2, 60), np.nan))
    header, arrays = unpack(course_blob([course, nothing]))
    first, second = header["courses"]
    assert first["title"] == "Late language" and first["notes"] == ["x"]
    assert first["r"] == pytest.approx([running_r(predicted, measured)[-1], 1.0])
    assert second["r"] == [None, None]
    np.testing.assert_array_equal(arrays["measured"][0], measured.astype(np.float32))
    assert arrays["predicted"].shape == arrays["running"].shape == (2, 2, 60)
