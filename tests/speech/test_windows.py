"""How a recording is cut into windows, and when its frames are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.speech.windows import STRATEGIES, chunk_windows, exact_windows, find_strategy

RATE = 16000
lengths = st.integers(1, 60 * RATE)
# hop and receptive field of a front end, as (kernel, stride) pairs would give them
geometries = st.tuples(st.integers(40, 640), st.integers(0, 900)).map(lambda g: (g[0], sum(g)))


@given(lengths, geometries)
def test_exact_windows_end_on_the_grid_and_hold_the_past(n_samples, geometry):
    windows = exact_windows(n_samples, *geometry)
    ends = [end for end in range(1600, n_samples + 1, 1600) if end >= geometry[1]]
    assert [window.end for window in windows] == ends
    for window in windows:
        assert window.start == max(0, window.end - 257600)
        assert window.times == pytest.approx([window.end / RATE])
        assert list(range(10))[window.frames] == [9]


@given(lengths, geometries)
def test_chunks_keep_every_frame_of_the_recording_once(n_samples, geometry):
    hop, field = geometry
    windows = chunk_windows(n_samples, hop, field)
    kept = [round(t * RATE) for window in windows for t in window.times]
    assert kept == list(range(field, n_samples + 1, hop))


@given(lengths, geometries)
def test_chunks_see_at_most_one_step_of_the_future(n_samples, geometry):
    hop, field = geometry
    for window in chunk_windows(n_samples, hop, field):
        assert window.end - window.start <= 257600
        reach = window.end / RATE - window.times
        assert reach.min() >= 0 and reach.max() < STRATEGIES["chunk"].future_seconds
        n_frames = (window.end - window.start - field) // hop + 1
        frame_ends = window.start + field + hop * np.arange(n_frames)
        np.testing.assert_allclose(frame_ends[window.frames] / RATE, window.times)


def test_usual_chunks_hold_100_frames_and_16_seconds():
    windows = chunk_windows(40 * RATE, 320, 400)
    assert [window.end for window in windows] == list(range(32000, 640001, 32000))
    assert {len(window.times) for window in windows[1:]} == {100}
    assert {window.seconds for window in windows[8:]} == {16.1}


def test_unknown_strategy_names_the_near_one():
    assert find_strategy("exact") is STRATEGIES["exact"]
    with pytest.raises(InputError) as caught:
        find_strategy("chunks")
    assert "'chunk'" in caught.value.hint and "'exact'" in caught.value.hint
