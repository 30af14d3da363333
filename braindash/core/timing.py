"""When each response row was acquired, how features are brought to those times, and delays.

The one home of conversions between rows and seconds.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from braindash.defaults import DEFAULT_DELAYS
from braindash.errors import InputError

LANCZOS_LOBES = 3
_TOLERANCE_SECONDS = 1e-6
# Below this ratio of sum(w) to sum(|w|) the weights nearly cancel and mean nothing; below this sum
# they are no more than the kernel's zeros.
_LEAST_SUPPORT = 0.1
_LEAST_SUM = 1e-3


@dataclass(frozen=True)
class Timing:
    """Position of response rows in the time of a story's audio.

    Row ``i`` was acquired at ``(first_volume + i) * tr - audio_onset + slice_time`` seconds after
    the audio began.

    Parameters
    ----------
    tr : float
        Seconds between two rows.
    first_volume : int, default 0
        Scanner volume of the first row, counted from 0: how many volumes were cut before it.
    audio_onset : float, default 0.0
        Seconds from the first volume of the scan to the start of the audio.
    slice_time : float, default 0.0
        Seconds from the start of a volume to the instant its values stand for.
    """

    tr: float
    first_volume: int = 0
    audio_onset: float = 0.0
    slice_time: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tr) and self.tr > 0):
            raise InputError(
                f"tr is {self.tr}, which is no repetition time",
                hint="Give the seconds between two volumes, for example tr = 2.0.",
            )
        if not (math.isfinite(self.audio_onset) and math.isfinite(self.slice_time)):
            raise InputError(
                f"audio_onset is {self.audio_onset} and slice_time is {self.slice_time}",
                hint="Both are seconds and must be finite numbers.",
            )

    def times(self, n_rows: int) -> NDArray[np.float64]:
        """Return the audio time of each row.

        Parameters
        ----------
        n_rows : int
            Number of rows.

        Returns
        -------
        array of float64, shape (n_rows,)
            Seconds since the start of the audio; negative before it.
        """
        volumes = self.first_volume + np.arange(n_rows, dtype=np.float64)
        return np.asarray(volumes * self.tr - self.audio_onset + self.slice_time)


def covered_rows(times: ArrayLike, audio_seconds: float, tr: float) -> slice:
    """Find the rows that the audio covers.

    A row is kept when at least one TR of audio precedes it and it does not lie after the end of
    the audio: ``tr <= t <= audio_seconds``, to a microsecond.

    Parameters
    ----------
    times : array of shape (n_rows,)
        Audio time of each row in seconds, increasing.
    audio_seconds : float
        Length of the audio in seconds.
    tr : float
        Seconds between two rows.

    Returns
    -------
    slice
        The rows to keep, with plain ``start`` and ``stop``; empty when there is none.
    """
    seconds = _increasing(times, "times")
    start = int(np.searchsorted(seconds, tr - _TOLERANCE_SECONDS, side="left"))
    stop = int(np.searchsorted(seconds, audio_seconds + _TOLERANCE_SECONDS, side="right"))
    return slice(start, max(start, stop))


def lanczos_weights(
    sample_times: ArrayLike,
    target_times: ArrayLike,
    tr: float,
    lobes: int = LANCZOS_LOBES,
    *,
    mass: ArrayLike | None = None,
) -> Any:
    """Weights that resample features from their own times to the times of response rows.

    ``w(dt) = sinc(dt / tr) * sinc(dt / (lobes * tr))`` for ``|dt| < lobes * tr`` and 0 elsewhere,
    each row divided by its sum; ``weights @ features`` is the resampled array.

    Parameters
    ----------
    sample_times : array of shape (n_samples,)
        Seconds at which the features were sampled, increasing.
    target_times : array of shape (n_target_times,)
        Seconds at which they are wanted.
    tr : float
        Seconds between two rows of the response; the cut-off is ``1 / (2 * tr)`` hertz.
    lobes : int, default 3
        Half-width of the kernel in TRs.
    mass : array of shape (n_samples,), optional
        How many samples each stands for that is a sum of several; one by default.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n_target_times, n_samples)
        The weights; each row, times the masses, sums to 1.

    Raises
    ------
    InputError
        When a target time has no sample near enough to carry it.
    """
    samples = _increasing(sample_times, "sample_times")
    targets = np.asarray(target_times, dtype=np.float64)
    width = lobes * tr
    first = np.searchsorted(samples, targets - width, side="right")
    stop = np.searchsorted(samples, targets + width, side="left")
    counts = np.maximum(stop - first, 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(starts[-1]) + np.repeat(first - starts[:-1], counts)
    offset = samples[columns] - np.repeat(targets, counts)
    values = np.sinc(offset / tr) * np.sinc(offset / width)
    weights = sp.csr_array((values, columns, starts), shape=(len(targets), len(samples)))
    if mass is None:
        total = np.asarray(weights.sum(axis=1)).ravel()
        size = np.asarray(abs(weights).sum(axis=1)).ravel()
    else:
        each = np.asarray(mass, dtype=np.float64)
        total, size = weights @ each, abs(weights) @ abs(each)
    _check_support(total, size, targets, samples, width)
    weights.data = weights.data / np.repeat(total, counts)
    return weights


def _increasing(times: ArrayLike, name: str) -> NDArray[np.float64]:
    seconds = np.asarray(times, dtype=np.float64)
    if seconds.ndim != 1 or not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
        raise InputError(
            f"{name} (shape {seconds.shape}) must be one increasing row of finite seconds",
            hint="Give each time once, in seconds, earliest first.",
        )
    return seconds


def _check_support(
    total: NDArray[np.float64],
    size: NDArray[np.float64],
    targets: NDArray[np.float64],
    samples: NDArray[np.float64],
    width: float,
) -> None:
    bad = np.flatnonzero(~(total > np.maximum(_LEAST_SUPPORT * size, _LEAST_SUM)))
    if not bad.size:
        return
    span = f"from {samples[0]:.3f} s to {samples[-1]:.3f} s" if samples.size else "nowhere"
    raise InputError(
        f"{bad.size} of {len(targets)} wanted times have no feature sample near enough "
        f"(kernel half-width {width:.3f} s), the first at {targets[bad[0]]:.3f} s; "
        f"samples reach {span}",
        hint="Keep only rows that the audio covers (covered_rows), or check tr and audio_onset.",
    )


def story_bounds(groups: ArrayLike | None, n_rows: int) -> list[tuple[int, int]]:
    """Find the first and last row of each story.

    Parameters
    ----------
    groups : array of int, shape (n_rows,), or None
        Story index of each row; the rows of a story stand together. None: one story.
    n_rows : int
        Number of rows.

    Returns
    -------
    list of (start, stop)
        Rows ``start <= row < stop`` of each story, in the order of the rows.
    """
    if groups is None:
        return [(0, n_rows)] if n_rows else []
    index = np.asarray(groups)
    if index.shape != (n_rows,):
        raise InputError(
            f"groups has shape {index.shape} for {n_rows} rows",
            hint="Give one story index per row.",
        )
    edges = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), n_rows]
    bounds = [(a, b) for a, b in itertools.pairwise(edges) if b > a]
    if len(bounds) != len(np.unique(index)):
        raise InputError(
            "the rows of a story are not next to each other in groups",
            hint="Stack whole stories one after the other; give each its own index.",
        )
    return bounds


def stretches(groups: ArrayLike | None, kept: ArrayLike) -> NDArray[np.int64]:
    """Return the number of each row's stretch: rows that stand together when some are taken out.

    A gap is a seam, as the end of a story is: what moves or leaves out blocks of neighbouring rows
    takes the stretches for its segments.

    Parameters
    ----------
    groups : array of int, shape (n_rows,), or None
        Story index of each row; None: one story.
    kept : array of bool, shape (n_rows,)
        Rows that are not taken out.

    Returns
    -------
    array of int64, shape (n_rows,)
        Stretch of each row, from 0; a row that is taken out counts to the stretch before it.
        Without gaps the numbers of the stories.
    """
    marks = np.asarray(kept, dtype=bool)
    begins = marks.copy()
    begins[1:] &= ~marks[:-1]
    for start, stop in story_bounds(groups, len(marks)):
        if marks[start:stop].any():
            begins[start + int(marks[start:stop].argmax())] = True
    return np.asarray(np.maximum(np.cumsum(begins) - 1, 0))


def source_rows(
    bounds: Sequence[tuple[int, int]], delays: Sequence[int], n_rows: int
) -> NDArray[np.int64]:
    """Say which row each delayed row is taken from.

    Parameters
    ----------
    bounds : sequence of (start, stop)
        Rows of each story.
    delays : sequence of int
        Delays in TRs, 0 or more.
    n_rows : int
        Number of rows.

    Returns
    -------
    array of int64, shape (n_delays, n_rows)
        Row of the undelayed array, or ``n_rows`` where the story had not begun (a row of zeros).
    """
    start = np.zeros(n_rows, dtype=np.int64)
    for first, stop in bounds:
        start[first:stop] = first
    source = np.arange(n_rows) - np.asarray(check_delays(delays), dtype=np.int64)[:, None]
    return np.where(source >= start, source, n_rows)


def delayed(
    X: ArrayLike, delays: Sequence[int] = DEFAULT_DELAYS, groups: ArrayLike | None = None
) -> NDArray[np.floating]:
    """Stack delayed copies of the features side by side.

    Row ``t`` of the block for delay ``d`` is row ``t - d`` of ``X`` when that row belongs to the
    same story, and zeros otherwise: nothing leaks from one story into the next.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
        Features, one row per TR.
    delays : sequence of int, default (1, 2, 3, 4)
        Delays in TRs, 0 or more.
    groups : array of int, shape (n_rows,), optional
        Story index of each row; without it all rows are one story.

    Returns
    -------
    array of shape (n_rows, n_features * n_delays)
        One block of ``n_features`` columns per delay, in the order of ``delays``; floating input
        keeps its type.
    """
    features = np.asarray(X)
    if features.ndim != 2:
        raise InputError(
            f"the features have shape {features.shape}",
            hint="Give an array of shape (n_rows, n_features).",
        )
    if features.dtype.kind != "f":
        features = features.astype(np.float64)
    n_rows, n_features = features.shape
    rows = source_rows(story_bounds(groups, n_rows), delays, n_rows)
    padded = np.concatenate([features, np.zeros((1, n_features), features.dtype)])
    return np.concatenate([padded[row] for row in rows], axis=1)


def check_delays(delays: Sequence[int]) -> tuple[int, ...]:
    """Return the delays as a tuple of whole numbers, or say why they cannot be used."""
    given = np.asarray(delays)
    usable = given.ndim == 1 and given.size and given.dtype.kind in "fiu"
    if not usable or (given < 0).any() or (given % 1 != 0).any() or len(set(given)) < given.size:
        raise InputError(
            f"delays {delays} cannot be used",
            hint="Give different whole numbers of TRs, 0 or more, for example (1, 2, 3, 4).",
        )
    return tuple(given.astype(int).tolist())
