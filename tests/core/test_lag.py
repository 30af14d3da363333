"""The lag scan finds a planted lag, another TR, and nothing where nothing is."""

import numpy as np
import pytest
from kit.data.planted import loudness, planted_responses
from scipy.stats import gamma

from braindash.core.lag import (
    CLEAR,
    GRID_HZ,
    LAGS,
    Heard,
    LagCurve,
    find_stretch,
    lag_curve,
    loudness_course,
    mean_course,
    pooled,
    target_curves,
    without_trend,
)
from braindash.errors import InputError

ONSET = 4.0


def story(seed, *, seconds=240.0, tr=1.5, lag=5.0, true_tr=None, noise=2.0, n_targets=30):
    """One story whose sound begins 4 s after the first volume."""
    course = loudness(seconds, seed)
    rows = np.arange(int((seconds + ONSET) / tr))
    true = rows * (true_tr or tr) - ONSET
    made = planted_responses(course, true, lag, n_targets, noise=noise, seed=seed)
    mean = mean_course(made, tr, np.full(n_targets, 1 / n_targets))
    return Heard(loudness_course(course, tr), rows * tr - ONSET, mean, -ONSET)


@pytest.mark.parametrize("tr", [0.8, 1.5, 2.0, 2.5])
@pytest.mark.parametrize("lag", [-4.0, 0.0, 3.3, 6.0, 12.0])
def test_a_planted_lag_is_found(tr, lag):
    curves = [lag_curve(story(seed, tr=tr, lag=lag)) for seed in (1, 2)]
    for curve in curves:
        assert curve.peak().is_clear
        assert curve.peak().lag == pytest.approx(lag, abs=0.35)
    # A negative lag is seen at the end of the sound, where little of it is left.
    assert pooled(curves).peak().lag == pytest.approx(lag, abs=0.1 if lag >= 0 else 0.3)


def test_a_haemodynamic_response_is_found_at_its_peak():
    tr, seconds = 1.5, 400.0
    course = loudness(seconds, 3)
    kernel = gamma.pdf(np.arange(0, 20, 1 / GRID_HZ), 6)  # is highest at 5 s
    blood = np.convolve(course - course.mean(), kernel)[: len(course)]
    times = np.arange(int(seconds / tr)) * tr
    rng = np.random.default_rng(0)
    response = np.interp(times, np.arange(len(course)) / GRID_HZ, blood)
    response += response.std() * rng.standard_normal(len(times))
    peak = lag_curve(Heard(loudness_course(course, tr), times, response)).peak()
    assert peak.is_clear and 4.5 < peak.lag < 6.5


@pytest.mark.parametrize("ratio", [0.002, -0.002, 0.0133, -0.04])
def test_a_wrong_tr_is_found(ratio):
    stories = [story(seed, seconds=500.0, tr=2.0, true_tr=2.0 * (1 + ratio)) for seed in (1, 2)]
    found = find_stretch(stories)
    assert found.ratio == pytest.approx(ratio, abs=3e-4)
    assert found.gain > 10
    assert found.drift_seconds == pytest.approx(ratio * 500, abs=0.3)


def test_a_tr_that_is_far_off_is_found_by_a_guess():
    stories = [story(seed, tr=2.0, true_tr=1.5) for seed in (1, 2)]
    assert find_stretch(stories, [-0.24]).ratio == pytest.approx(-0.25, abs=2e-3)


def test_the_right_tr_is_left_alone():
    found = find_stretch([story(seed) for seed in (1, 2, 3)])
    assert abs(found.drift_seconds) < 0.2 and found.gain < 3


def test_noise_is_not_clear():
    """Smooth noise as well, whose rows are not independent."""
    rng = np.random.default_rng(1)
    highest = []
    for seed in range(30):
        one = story(seed)
        raw = rng.standard_normal(len(one.times))
        smooth = np.convolve(raw, np.hanning(9), mode="same")
        for response in (raw, smooth):
            heard = Heard(one.course, one.times, response, -ONSET)
            highest.append(lag_curve(heard).peak().evidence)
    assert np.median(highest) < 4
    assert np.mean(np.array(highest) >= CLEAR) <= 0.04


def test_the_scan_reaches_far_enough_to_name_a_wrong_onset():
    assert LAGS[0] == -30 and LAGS[-1] == 40 and np.ptp(np.diff(LAGS)) < 1e-9
    assert lag_curve(story(2, lag=25.0)).peak().lag == pytest.approx(25.0, abs=0.35)


def test_rows_without_data_are_left_out():
    one = story(1)
    gaps = one.response.copy()
    gaps[20:40] = np.nan
    curve = lag_curve(Heard(one.course, one.times, gaps, -ONSET))
    assert curve.peak().lag == pytest.approx(5.0, abs=0.2)
    nothing = lag_curve(Heard(one.course, one.times, np.full_like(gaps, np.nan), -ONSET))
    assert np.isnan(nothing.r).all() and np.isnan(nothing.peak().lag)
    assert nothing.peak().evidence == 0


def test_the_peak_between_two_lags_is_that_of_a_parabola():
    lags = np.arange(0.0, 10.0, 0.5)
    curve = LagCurve(lags, 0.8 - 0.01 * (lags - 4.1) ** 2, np.full(len(lags), 100.0))
    assert curve.peak().lag == pytest.approx(4.1)
    assert curve.peak(7.0, 1.0).lag == pytest.approx(6.0, abs=0.25)


def test_trends_and_scales_make_no_difference():
    values = np.random.default_rng(0).standard_normal((200, 3))
    trend = 50.0 * np.linspace(0, 1, 200)[:, None] ** 2
    changed = 1000 + 7 * values + trend
    np.testing.assert_allclose(without_trend(changed, 2.0), without_trend(values, 2.0), atol=1e-9)


def test_targets_without_data_are_zero_and_censored_rows_nan():
    values = np.random.default_rng(0).standard_normal((60, 4))
    values[:, 1] = 3.0
    values[5, 2] = np.nan
    values[7] = np.nan
    made = without_trend(values, 2.0)
    assert np.isnan(made[7]).all() and np.isfinite(np.delete(made, 7, axis=0)).all()
    kept = np.delete(made, 7, axis=0)
    assert not kept[:, 1:3].any() and kept[:, 0].std() == pytest.approx(1)


def test_targets_that_follow_stand_out():
    course = loudness(240, 4)
    times = np.arange(0, 240, 1.5)
    made = planted_responses(course, times, 5.0, 50, followers=slice(10, 15), noise=1.0)
    heard = Heard(loudness_course(course, 1.5), times, np.zeros(len(times)))
    curves = target_curves(heard, without_trend(made, 1.5))
    assert set(np.argsort(-curves.max(axis=0))[:5]) == set(range(10, 15))


def test_a_sound_that_is_too_short_is_refused():
    with pytest.raises(InputError, match="shorter than two TRs"):
        loudness_course(np.ones(20), 2.0)
