"""How a recording is cut into windows, and when its frames are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.speech.windows import (
    STRATEGIES,
    Geometry,
    chunk_windows,
    context_seconds,
    exact_windows,
    find_strategy,
    step_seconds,
)

RATE = 16000
WHISPER = Geometry(320, 320, 30 * RATE)
lengths = st.integers(1, 60 * RATE)
# Hop and receptive field of a front end, as (kernel, stride) pairs would give them.
unpadded = st.builds(
    lambda hop, more: Geometry(hop, hop + more), st.integers(40, 640), st.integers(0, 900)
)
padded = st.integers(3, 30).map(lambda seconds: Geometry(320, 320, seconds * RATE))
geometries = st.one_of(unpadded, padded)


@given(lengths, geometries)
def test_exact_windows_end_on_the_grid_and_hold_the_past(n_samples, geometry):
    windows = exact_windows(n_samples, geometry)
    longest = min(257600, geometry.padded or 257600)
    ends = [end for end in range(1600, n_samples + 1, 1600) if end >= geometry.first]
    assert [window.end for window in windows] == ends
    for window in windows:
        assert window.start == max(0, window.end - longest)
        assert window.times == pytest.approx([window.end / RATE])


@given(lengths, geometries)
def test_exact_windows_keep_the_last_frame_of_their_audio(n_samples, geometry):
    for window in exact_windows(n_samples, geometry):
        (frame,) = range(10000)[window.frames]
        end = window.start + geometry.first + frame * geometry.hop
        assert end <= window.end < end + geometry.hop


@given(lengths, geometries)
def test_chunks_keep_every_frame_of_the_recording_once(n_samples, geometry):
    windows = chunk_windows(n_samples, geometry)
    kept = [round(t * RATE) for window in windows for t in window.times]
    assert kept == list(range(geometry.first, n_samples + 1, geometry.hop))


@given(lengths, geometries)
def test_chunks_see_at_most_one_step_of_the_future(n_samples, geometry):
    hop, first = geometry.hop, geometry.first
    for window in chunk_windows(n_samples, geometry):
        assert window.end - window.start <= (geometry.padded or 257600)
        reach = window.end / RATE - window.times
        assert reach.min() >= 0 and reach.max() < STRATEGIES["chunk"].future_seconds
        n_frames = (window.end - window.start - first) // hop + 1
        frame_ends = window.start + first + hop * np.arange(n_frames)
        np.testing.assert_allclose(frame_ends[window.frames] / RATE, window.times)


@given(lengths, geometries, st.floats(0.1, 20.0))
def test_any_context_keeps_every_frame_once_and_is_never_exceeded(n_samples, geometry, context):
    longest = min(round(context * RATE), geometry.padded or 10**9)
    for windows in (
        exact_windows(n_samples, geometry, context),
        chunk_windows(n_samples, geometry, context),
    ):
        assert all(one.end - one.start <= longest for one in windows)
    kept = [round(t * RATE) for one in windows for t in one.times]
    frames = range(geometry.first, n_samples + 1, geometry.hop)
    step = round(step_seconds("chunk", context) * RATE)
    if longest - step >= geometry.first + geometry.hop:  # every frame has audio enough before it
        assert kept == list(frames)
    assert set(kept) <= set(frames) and len(set(kept)) == len(kept)
    assert step <= max(1, round(context * RATE / 2)) + 1 and step <= 2 * RATE


def test_usual_chunks_hold_100_frames_and_16_seconds():
    windows = chunk_windows(40 * RATE, Geometry(320, 400))
    assert [window.end for window in windows] == list(range(32000, 640001, 32000))
    assert {len(window.times) for window in windows[1:]} == {100}
    assert {window.seconds for window in windows[8:]} == {16.1}


def test_whisper_keeps_position_804_of_a_causal_window_and_fills_its_chunks():
    exact = exact_windows(40 * RATE, WHISPER)[-1]
    assert (exact.seconds, exact.frames) == (16.1, slice(804, 805))
    chunk = chunk_windows(40 * RATE, WHISPER)[-1]
    assert (chunk.seconds, chunk.frames) == (30.0, slice(1400, 1500))


def test_context_is_what_the_longest_window_holds():
    for geometry in (Geometry(320, 400), WHISPER, Geometry(320, 320, 3 * RATE)):
        for strategy in STRATEGIES.values():
            longest = max(w.seconds for w in strategy.windows(60 * RATE, geometry))
            assert context_seconds(strategy.name, geometry.padded) == longest
            shorter = max(w.seconds for w in strategy.windows(60 * RATE, geometry, 2.0))
            assert context_seconds(strategy.name, geometry.padded, 2.0) == shorter == 2.0
    assert (step_seconds("chunk"), step_seconds("exact", 0.5)) == (2.0, 0.1)
    assert (step_seconds("chunk", 3.0), step_seconds("chunk", 16.0)) == (1.5, 2.0)


def test_unknown_strategy_names_the_near_one():
    assert find_strategy("exact") is STRATEGIES["exact"]
    with pytest.raises(InputError) as caught:
        find_strategy("chunks")
    assert "'chunk'" in caught.value.hint and "'exact'" in caught.value.hint
