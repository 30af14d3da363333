import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.probes.pool import pool_units
from braindash.errors import InputError

TIMES = 0.01 + 0.02 * np.arange(50)


@pytest.fixture
def frames():
    return np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)


@given(
    st.lists(st.tuples(st.integers(-100, 1100), st.integers(1, 400)), min_size=1, max_size=20),
    st.sampled_from(["nan", "nearest"]),
)
def test_pooling_equals_a_loop_over_units_and_frames(spans, empty):
    frames = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    starts = np.array([start for start, _ in spans]) / 1000
    ends = starts + np.array([length for _, length in spans]) / 1000
    pooled = pool_units(frames, TIMES, starts, ends, empty=empty)
    assert pooled.features.dtype == np.float32
    for row, n_frames, start, end in zip(*pooled, starts, ends, strict=True):
        inside = [i for i, t in enumerate(TIMES) if start <= t + 1e-6 and t + 1e-6 < end]
        if not inside and empty == "nearest":
            distance = np.abs(TIMES - (start + end) / 2)
            if distance.min() <= 0.02 + 1e-9:
                # Half-way between two frames either is right.
                near = np.flatnonzero(distance <= distance.min() + 1e-9)
                assert n_frames == 1 and any(np.allclose(row, frames[i]) for i in near)
                continue
        assert n_frames == len(inside)
        expected = frames[inside].mean(axis=0) if inside else np.full(3, np.nan)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_neighbouring_units_share_no_frame(frames):
    edges = np.array([0.0, 0.13, 0.29, 0.61, 1.0])
    n_frames = pool_units(frames, TIMES, edges[:-1], edges[1:]).n_frames
    np.testing.assert_array_equal(n_frames, [6, 8, 16, 20])
    assert n_frames.sum() == 50


def test_a_missing_frame_spoils_only_the_units_that_hold_it(frames):
    frames[10] = np.nan
    features = pool_units(frames, TIMES, [0.0, 0.15, 0.3], [0.2, 0.3, 0.4]).features
    np.testing.assert_array_equal(np.isnan(features).all(axis=1), [False, True, False])


def test_units_without_frames_follow_the_rule(frames):
    starts, ends = [0.0, 0.013, 3.0], [0.1, 0.02, 3.1]
    assert np.isnan(pool_units(frames, TIMES, starts, ends).features[1:]).all()
    nearest = pool_units(frames, TIMES, starts, ends, empty="nearest")
    np.testing.assert_array_equal(nearest.features[1], frames[0])
    np.testing.assert_array_equal(nearest.n_frames, [5, 1, 0])  # nothing is near 3 s
    with pytest.raises(InputError, match=r"2 of 3 units hold no frame, the first from 0\.013"):
        pool_units(frames, TIMES, starts, ends, empty="error")
    none = pool_units(frames, TIMES, [], [])
    assert none.features.shape == (0, 3)


def test_input_that_cannot_be_pooled_is_refused(frames):
    for wrong, match in (
        ({"frames": frames[:, 0]}, "frames have shape"),
        ({"frames": frames.astype(int)}, "type int64"),
        ({"times": TIMES[:-1]}, "frames have shape"),
        ({"times": TIMES[::-1]}, "do not grow"),
        ({"starts": [0.1]}, "starts have shape"),
        ({"ends": [0.2, 0.1]}, "unit 1 goes from 0.1 to 0.1"),
        ({"starts": [np.nan, 0.1]}, "unit 0"),
        ({"empty": "neares"}, "Did you mean 'nearest'"),
    ):
        arguments = {"frames": frames, "times": TIMES, "starts": [0.1, 0.1], "ends": [0.2, 0.3]}
        arguments |= wrong
        empty = arguments.pop("empty", "nan")
        with pytest.raises(InputError, match=match):
            pool_units(*arguments.values(), empty=empty)
