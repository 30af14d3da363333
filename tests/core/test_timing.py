import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.timing import Timing, covered_rows, lanczos_weights
from braindash.errors import InputError


def test_times_follow_the_definition_row_by_row():
    timing = Timing(tr=2.0, first_volume=5, audio_onset=10.0, slice_time=1.0)
    expected = [(5 + row) * 2.0 - 10.0 + 1.0 for row in range(4)]
    assert timing.times(4).tolist() == expected == [1.0, 3.0, 5.0, 7.0]
    assert timing.times(0).shape == (0,)


@pytest.mark.parametrize("tr", [0.0, -2.0, math.nan, math.inf])
def test_impossible_tr_is_refused(tr):
    with pytest.raises(InputError, match="no repetition time"):
        Timing(tr=tr)


def test_infinite_onset_is_refused():
    with pytest.raises(InputError, match="audio_onset"):
        Timing(tr=2.0, audio_onset=math.inf)


@given(
    st.integers(0, 40),
    st.sampled_from([0.7, 1.5, 2.0]),
    st.floats(-5, 30),
    st.floats(0, 60),
)
def test_covered_rows_are_exactly_those_with_audio(n_rows, tr, onset, audio_seconds):
    times = Timing(tr=tr, audio_onset=onset).times(n_rows)
    kept = covered_rows(times, audio_seconds, tr)
    chosen = [row for row, t in enumerate(times) if tr - 1e-6 <= t <= audio_seconds + 1e-6]
    assert list(range(n_rows))[kept] == chosen


def test_covered_rows_tolerates_rounding_only():
    times = np.array([2.0 - 1e-7, 4.0, 6.0 + 1e-7])
    assert covered_rows(times, 6.0, 2.0) == slice(0, 3)
    assert covered_rows(times + np.array([-1e-5, 0.0, 1e-5]), 6.0, 2.0) == slice(1, 2)


def literal_weights(samples, targets, tr, lobes):
    weights = np.zeros((len(targets), len(samples)))
    for i, target in enumerate(targets):
        for j, sample in enumerate(samples):
            x = (sample - target) / tr
            if abs(x) < lobes:
                main = 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)
                y = x / lobes
                window = 1.0 if y == 0 else math.sin(math.pi * y) / (math.pi * y)
                weights[i, j] = main * window
        weights[i] /= weights[i].sum()
    return weights


@pytest.mark.parametrize("lobes", [2, 3])
def test_lanczos_equals_a_double_loop(lobes):
    samples = np.sort(np.random.default_rng(0).uniform(0, 30, 200))
    targets = np.array([3.0, 4.9, 12.34, 12.34, 27.0])
    weights = lanczos_weights(samples, targets, 1.5, lobes)
    np.testing.assert_allclose(
        weights.toarray(), literal_weights(samples, targets, 1.5, lobes), atol=1e-13
    )
    assert weights.format == "csr"
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


def test_lanczos_keeps_a_slow_sinusoid_and_removes_a_fast_one():
    samples, targets, tr = np.arange(1, 1200) * 0.1, np.arange(10.0, 110.0, 2.0), 2.0
    weights = lanczos_weights(samples, targets, tr)
    slow = weights @ np.sin(2 * np.pi * 0.06 * samples)
    assert np.abs(slow - np.sin(2 * np.pi * 0.06 * targets)).max() < 0.03
    fast = weights @ np.sin(2 * np.pi * 0.61 * samples)
    assert np.abs(fast).max() < 0.02  # taking the nearest sample would alias it at full size


def test_lanczos_refuses_a_time_without_samples():
    samples = np.arange(0, 10, 0.1)
    with pytest.raises(InputError, match=r"1 of 2 wanted times .* at 20.000 s") as caught:
        lanczos_weights(samples, [5.0, 20.0], 2.0)
    assert "covered_rows" in caught.value.hint


def test_lanczos_refuses_a_time_that_only_negative_lobes_reach():
    with pytest.raises(InputError, match="near enough"):
        lanczos_weights(np.arange(0, 10, 0.1), [-2.5], 2.0)
    with pytest.raises(InputError, match="near enough"):  # every weight is a zero of the sinc
        lanczos_weights([0.0, 4.0, 8.0], [2.0], 2.0)


def test_lanczos_refuses_no_samples_and_unordered_ones():
    with pytest.raises(InputError, match="nowhere"):
        lanczos_weights([], [1.0], 2.0)
    for samples in ([1.0, 0.5], [1.0, 1.0], [1.0, np.nan], [[1.0]]):
        with pytest.raises(InputError, match="sample_times"):
            lanczos_weights(samples, [1.0], 2.0)
