"""Of how many dimensions the features of a layer are: by neighbours, and by variance."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

APART_ROWS = 10
"""Rows nearer in time than this are no neighbours: series are alike from row to row."""

Floats = NDArray[np.float64]


class Dimension(NamedTuple):
    """Dimension of a cloud of rows.

    Attributes
    ----------
    two_nn : float
        Intrinsic dimension by the two nearest neighbours; NaN where no row has two.
    participation : float
        Participation ratio of the covariance: how many directions share the variance.
    """

    two_nn: float
    participation: float


def dimension(
    rows: ArrayLike, groups: ArrayLike | None = None, *, apart: int = APART_ROWS
) -> Dimension:
    """Estimate the dimension of the features of one layer.

    With r1 and r2 the distances of a row to its nearest and its second nearest neighbour, in d
    dimensions r2 / r1 is Pareto distributed with exponent d, whatever the density (Facco et al.
    2017): d = (n - 1) / sum log(r2 / r1), without bias. Rows of a story are a path in time: the
    nearest neighbours of a row would be those before and after it, about equally far, and d far too
    high. So neighbours are apart in time from the row (Theiler 1986), and the second one from the
    first. The participation ratio is (sum v)^2 / sum v^2 of the eigenvalues v of the covariance.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        In order of time.
    groups : array of int, shape (n_rows,), optional
        Story of each row; one story if none.
    apart : int, default 10
        Neighbours of one story are at least so many rows away, and from each other.

    Returns
    -------
    Dimension
    """
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) < 3 or apart < 1:
        raise InputError(
            f"the rows have shape {table.shape}, neighbours are {apart} rows apart",
            hint="Give (n_rows, n_features) with three rows or more, and apart from 1.",
        )
    table = table - table.mean(axis=0)
    squares = np.square(table).sum(axis=1)
    distances = squares[:, None] + squares - 2 * table @ table.T
    place = np.arange(len(table))
    stories = np.zeros(len(table), dtype=int) if groups is None else np.asarray(groups)
    near = (np.abs(place[:, None] - place) < apart) & (stories[:, None] == stories)
    distances[near] = np.inf
    first = distances.argmin(axis=1)
    nearest = distances[place, first]
    distances[near[first]] = np.inf  # of every row what is near in time to its first neighbour
    two = np.stack([nearest, distances.min(axis=1)], axis=1)
    return Dimension(_two_nn(np.sqrt(np.maximum(two, 0.0))), _participation(table))


def _two_nn(two: Floats) -> float:
    """Return the dimension from the distances to two neighbours, (n_rows, 2)."""
    known = np.isfinite(two).all(axis=1) & (two[:, 0] > 0)
    logs = np.log(two[known, 1] / two[known, 0])
    total = float(logs.sum())
    return (len(logs) - 1) / total if len(logs) > 1 and total > 0 else float("nan")


def _participation(table: Floats) -> float:
    # Of X'X and of XX' the eigenvalues other than 0 are the same: the smaller one is taken.
    product = table.T @ table if table.shape[1] <= table.shape[0] else table @ table.T
    trace, power = float(np.trace(product)), float(np.square(product).sum())
    return trace**2 / power if power > 0 else float("nan")
