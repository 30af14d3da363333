"""Frames that are kept of a recording lead to the rows that the running model leads to."""

import numpy as np
import pytest

from braindash.core.resampling import rows_of_kept
from braindash.speech.features import extract, plan_windows
from braindash.speech.frames import FrameStream

RATE = 16000


@pytest.fixture
def kept(model_of, sound):
    def make(kind: str, strategy: str, seconds: float):
        audio = sound[: round(seconds * RATE)]
        stream = FrameStream(model_of(kind), audio, strategy)
        return audio, stream, np.concatenate(list(stream.pieces()))

    return make


def rows_of(stream, frames, times, tr):
    read = lambda first, stop: frames[first:stop]  # noqa: E731
    return rows_of_kept(read, stream.times, times, tr, mass=stream.mass)


@pytest.mark.parametrize("kind", ["hubert-layer", "whisper"])
def test_causal_frames_give_the_very_same_rows(kind, kept, model_of, short_windows):
    audio, stream, frames = kept(kind, "exact", 3.0)
    assert stream.mass is None and len(frames) == len(stream.times)
    times = np.arange(0.2, 2.9, 0.3)
    direct = extract(model_of(kind), audio, times, tr=0.3)
    np.testing.assert_array_equal(rows_of(stream, frames, times, 0.3), direct)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "whisper", "hubert-fast"])
def test_chunks_give_the_same_rows_from_a_fifth_of_the_frames(kind, kept, model_of):
    audio, stream, frames = kept(kind, "chunk", 14.0)
    windows = plan_windows(model_of(kind), len(audio), "chunk")
    n_frames = sum(len(window.times) for window in windows)
    assert len(frames) == len(stream.times) < n_frames / 4.8
    times = np.arange(0.37, 13.9, 1.5)
    direct = extract(model_of(kind), audio, times, strategy="chunk", tr=1.5)
    found = rows_of(stream, frames, times, 1.5)
    # Of each feature's own spread over the rows; the sum of frames is float32 in both.
    assert (np.abs(found - direct).max(axis=1) / direct.std(axis=1)).max() < 2e-4


def test_every_window_is_told(kept, model_of, sound):
    told = []

    class Reports:
        def advance(self, done, total, message):
            told.append((done / total, message))

    audio = sound[: 6 * RATE]
    stream = FrameStream(model_of("hubert-group"), audio, "chunk")
    list(stream.pieces(Reports()))
    n_windows = len(plan_windows(model_of("hubert-group"), len(audio), "chunk"))
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1] == (1.0, f"window {n_windows} of {n_windows}")
