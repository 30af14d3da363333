"""Slow drift of a series: cosines of long periods, and series without them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

HIGH_PASS_SECONDS = 128.0
"""The usual longest period that is kept, in seconds."""


def slow_cosines(n_rows: int, period_rows: float) -> NDArray[np.float64]:
    """Return the cosines of a series whose period is at least so long.

    ``cos(pi k (t + 1/2) / n_rows)`` for k = 1 ... floor(2 n_rows / period_rows), whose periods are
    ``2 n_rows / k`` rows: the discrete cosine transform without its constant (Friston et al. 2000).

    Parameters
    ----------
    n_rows : int
        Length of the series.
    period_rows : float
        Shortest period, in rows.

    Returns
    -------
    array of float64, shape (n_rows, n_cosines)
        Orthogonal to each other and to a constant; none for a short series.
    """
    half_periods = np.arange(1, int(2 * n_rows / period_rows + 1e-9) + 1)
    rows = np.arange(n_rows)[:, None] + 0.5
    return np.asarray(np.cos(np.pi * half_periods * rows / n_rows))


def high_passed(
    series: ArrayLike,
    period_seconds: float,
    tr: float,
    *,
    present: NDArray[np.bool_] | None = None,
) -> NDArray[np.floating]:
    """Subtract the slow cosines of every column; the mean stays.

    Parameters
    ----------
    series : array of float, shape (n_rows, n_columns)
        One story.
    period_seconds : float
        Periods of this and more are taken out.
    tr : float
        Seconds from row to row.
    present : bool array of shape (n_rows,), optional
        Rows that have data: the cosines are fitted to them, beside a constant, by least squares.
        Other rows stay as they are.

    Returns
    -------
    array of the type and shape of ``series``
        NaN in a column that holds a NaN where data are present.

    Raises
    ------
    InputError
        When the period is not longer than four rows.
    """
    values = np.asarray(series)
    require_period(period_seconds, tr)
    cosines = slow_cosines(len(values), period_seconds / tr)
    if not cosines.shape[1]:
        return values
    used = np.ones(len(values), dtype=bool) if present is None else present
    design = np.column_stack([np.ones(int(used.sum())), cosines[used]])
    known = values[used].astype(np.float64)
    weights = np.linalg.pinv(design) @ known
    left = values.copy()
    left[used] = known - design[:, 1:] @ weights[1:]
    return left


def require_period(period_seconds: float, tr: float) -> None:
    """Refuse a filter that would leave next to nothing of a series."""
    if not period_seconds > 4 * tr:
        raise InputError(
            f"a high-pass filter of {period_seconds:g} s leaves little of rows every {tr:g} s",
            hint=f"Give a period in seconds, longer than four rows; usual: {HIGH_PASS_SECONDS:g}.",
        )
