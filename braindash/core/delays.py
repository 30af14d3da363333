"""Finite impulse response design: features delayed by whole TRs, story by story."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.defaults import DEFAULT_DELAYS
from braindash.errors import InputError


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
