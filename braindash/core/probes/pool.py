"""Bring frame features to units of speech: phones, words, utterances."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from braindash.errors import InputError, near_match

EMPTY_RULES = ("nan", "nearest", "error")
_TOLERANCE_SECONDS = 1e-6


class PooledUnits(NamedTuple):
    """Features of units.

    Attributes
    ----------
    features : array of float32, shape (n_units, n_features)
        Mean over the frames of each unit; NaN for a unit without any.
    n_frames : array of int64, shape (n_units,)
        Frames each mean is over.
    """

    features: NDArray[np.float32]
    n_frames: NDArray[np.int64]


class PoolWeights(NamedTuple):
    """Which frames each unit is the mean of.

    Attributes
    ----------
    weights : csr_matrix of float32, shape (n_units, n_frames)
        One over the number of the unit's frames; no entry for other frames.
    n_frames : array of int64, shape (n_units,)
        Frames each mean is over.
    """

    weights: csr_matrix
    n_frames: NDArray[np.int64]


def pool_weights(
    times: ArrayLike, starts: ArrayLike, ends: ArrayLike, *, empty: str = "nan"
) -> PoolWeights:
    """Find the frames within each unit's own time span: ``start <= time < end``, to 1 us.

    Parameters
    ----------
    times : array of float, shape (n_frames,)
        Time of each frame in seconds, growing: its middle for states of a convolutional front end.
    starts, ends : array of float, shape (n_units,)
        Span of each unit in seconds. Units may overlap and come in any order.
    empty : {"nan", "nearest", "error"}, default "nan"
        What becomes of a unit whose span holds no frame time, as one shorter than a frame may: it
        has no frame; it has the one frame nearest to its middle, if that is no further away than
        two frames are from each other; or an error.

    Returns
    -------
    PoolWeights
        ``weights`` and ``n_frames``.

    Raises
    ------
    InputError
        For shapes that do not fit, times that do not grow, a unit that does not end after its
        start, and, with ``empty="error"``, a unit without frames.
    """
    clock = _check_times(times)
    begin, end = _check_spans(starts, ends)
    if empty not in EMPTY_RULES:
        raise InputError(f"unknown rule {empty!r} for units", hint=near_match(empty, EMPTY_RULES))
    first, stop = (np.searchsorted(clock, edge - _TOLERANCE_SECONDS) for edge in (begin, end))
    bare = np.flatnonzero(first == stop)
    if len(bare) and empty == "error":
        unit = bare[0]
        raise InputError(
            f"{len(bare)} of {len(begin)} units hold no frame, the first from {begin[unit]:.3f} "
            f"to {end[unit]:.3f} s",
            hint="Leave them out, use shorter frames, or allow empty='nan' or 'nearest'.",
        )
    if empty == "nearest":
        near, close = _nearest(clock, (begin[bare] + end[bare]) / 2)
        first[bare[close]], stop[bare[close]] = near[close], near[close] + 1
    n_frames = (stop - first).astype(np.int64)
    edges = np.append(0, np.cumsum(n_frames))
    frame = np.arange(edges[-1]) + np.repeat(first - edges[:-1], n_frames)
    weight = np.repeat(1 / np.maximum(n_frames, 1), n_frames).astype(np.float32)
    return PoolWeights(csr_matrix((weight, frame, edges), (len(begin), len(clock))), n_frames)


def pool_units(
    frames: ArrayLike,
    times: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    empty: str = "nan",
) -> PooledUnits:
    """Average the frames of each unit, see :func:`pool_weights`.

    Parameters
    ----------
    frames : array of float, shape (n_frames, n_features)
        Features of one layer and recording.
    times, starts, ends, empty
        As for :func:`pool_weights`; a unit without frames becomes NaN, for the caller to leave out
        and count.

    Returns
    -------
    PooledUnits
        ``features`` and ``n_frames``.

    Raises
    ------
    InputError
        As :func:`pool_weights`, and for frames that do not fit their times.
    """
    values = np.asarray(frames)
    if values.ndim != 2 or values.dtype.kind != "f" or np.shape(times) != values.shape[:1]:
        raise InputError(
            f"the frames have shape {values.shape} and type {values.dtype}, their times "
            f"{np.shape(times)}",
            hint="Give floats of shape (n_frames, n_features) and one time in seconds per frame.",
        )
    weights, n_frames = pool_weights(times, starts, ends, empty=empty)
    pooled = weights @ values.astype(np.float32, copy=False)
    pooled[n_frames == 0] = np.nan
    return PooledUnits(np.asarray(pooled, dtype=np.float32), n_frames)


def _nearest(
    clock: NDArray[np.float64], middle: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Find the frame nearest to each time, and whether it is near enough to speak for it."""
    after = np.clip(np.searchsorted(clock, middle), 1, len(clock) - 1)
    frame = np.where(middle - clock[after - 1] <= clock[after] - middle, after - 1, after)
    return frame, np.abs(clock[frame] - middle) <= np.median(np.diff(clock))


def _check_times(times: ArrayLike) -> NDArray[np.float64]:
    clock = np.asarray(times, dtype=np.float64)
    growing = clock.ndim == 1 and len(clock) > 1 and bool((np.diff(clock) > 0).all())
    if not growing or not np.isfinite(clock).all():
        raise InputError(
            f"the {clock.size} frame times do not grow from frame to frame",
            hint="Give two frames or more, in the order of time, with finite times in seconds.",
        )
    return clock


def _check_spans(
    starts: ArrayLike, ends: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    begin, end = np.asarray(starts, dtype=np.float64), np.asarray(ends, dtype=np.float64)
    if begin.ndim != 1 or begin.shape != end.shape:
        raise InputError(
            f"the starts have shape {begin.shape} and the ends {end.shape}",
            hint="Give one start and one end in seconds per unit.",
        )
    wrong = np.flatnonzero(~(np.isfinite(begin) & np.isfinite(end) & (end > begin)))
    if len(wrong):
        unit = wrong[0]
        raise InputError(
            f"unit {unit} goes from {begin[unit]} to {end[unit]} s",
            hint="Every unit must end after it starts, both in finite seconds.",
        )
    return begin, end
