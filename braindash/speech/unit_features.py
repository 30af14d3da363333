"""Features of labelled units: every layer, averaged over each unit while the frames come."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array

from braindash.core.probes.pool import pool_weights
from braindash.progress import NoProgress, Progress
from braindash.speech.acoustic.model import AcousticModel
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.features import checked_audio, plan_windows, window_features
from braindash.speech.models import SpeechModel
from braindash.speech.windows import Window

_SILENT = NoProgress()


class UnitFrames(NamedTuple):
    """Features of the units of one recording.

    Attributes
    ----------
    features : float32 array of shape (n_layers, n_units, n_features)
        Mean over the frames of each unit; NaN for a unit without any.
    n_frames : int64 array of shape (n_units,)
        Frames each mean is over.
    """

    features: NDArray[np.float32]
    n_frames: NDArray[np.int64]


def unit_features(
    model: SpeechModel | AcousticModel,
    audio: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    strategy: str = "chunk",
    progress: Progress = _SILENT,
) -> UnitFrames:
    """Average every layer over each unit's own time span.

    A unit that holds no frame's middle takes the nearest one, see
    :func:`braindash.core.probes.pool.pool_weights`. Windows that no unit needs are not computed,
    and no frame is kept: memory beyond the result does not grow with the recording.

    Parameters
    ----------
    model : SpeechModel or AcousticModel
        From :func:`braindash.speech.models.open_model`.
    audio : array of shape (n_samples,)
        Mono, 16 kHz, floating point.
    starts, ends : array of float, shape (n_units,)
        Span of each unit in seconds.
    strategy : {"chunk", "exact"}, default "chunk"
        How the recording is cut into windows: "exact" has one frame in 0.1 s.
    progress : Progress
        Told after every window.

    Returns
    -------
    UnitFrames

    Raises
    ------
    InputError
        For audio, spans or a strategy that cannot be used.
    """
    samples = checked_audio(audio)
    windows = plan_windows(model, len(samples), strategy)
    times = np.concatenate([frame_middles(model, window) for window in windows])
    pooled = pool_weights(times, starts, ends, empty="nearest")
    weights = csc_array(pooled.weights)
    edges = np.append(0, np.cumsum([len(window.times) for window in windows]))
    spans = [slice(*ends_of) for ends_of in itertools.pairwise(edges)]
    needed = [
        (window, span)
        for window, span in zip(windows, spans, strict=True)
        if weights.indptr[span.stop] > weights.indptr[span.start]
    ]
    shape = (model.n_layers, len(pooled.n_frames), model.n_features)
    features = np.zeros(shape, dtype=np.float32)
    found = window_features(model, samples, [window for window, _ in needed])
    for number, ((_, frames), (_, span)) in enumerate(zip(found, needed, strict=True), start=1):
        part = weights[:, span]
        rows = np.unique(part.indices)
        dense = part.tocsr()[rows].toarray()
        features[:, rows] += np.einsum("uf,flk->luk", dense, frames, optimize=True)
        progress.advance(number, len(needed), f"window {number} of {len(needed)}")
    features[:, pooled.n_frames == 0] = np.nan
    return UnitFrames(features, pooled.n_frames)


def frame_middles(model: SpeechModel | AcousticModel, window: Window) -> NDArray[np.float64]:
    """Say what moment each kept frame of a window stands for.

    The middle of the audio that the convolutional front end sees for it, in seconds from the
    beginning of the recording, (n_frames,). (``window.times`` are the ends, when no more audio is
    needed.) Frames of acoustic spaces stand for their middle already.
    """
    if isinstance(model, AcousticModel):
        return window.times
    geometry = model.geometry
    first = window.start + window.frames.start * geometry.hop + geometry.centre
    steps: Sequence[int] = range(len(window.times))
    return np.asarray([(first + step * geometry.hop) / SAMPLE_RATE_HZ for step in steps])
