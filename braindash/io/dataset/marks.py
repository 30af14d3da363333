"""Numbers that other programs leave where there are no data, such as -9999 in a censored row.

Only NaN says that a row was censored. A row that is one and the same number in every target, far
from all other rows, is a mark that nobody turned into NaN: fitted, it would outweigh the data.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError

_FEW_TARGETS = 256
# As many times beyond every other number no response is.
_FAR = 10.0
# Outside the range of all other rows, so many targets do not agree by chance.
_MANY = 32
# Missing values of GIS and climate programs, SPSS, AFNI; the ends of integers; netCDF's fills.
_USUAL = (99.0, 999.0, 9999.0, 99999.0, 32767.0, 32768.0, 65535.0, 2.147483647e9, 1e20, 9.96921e36)
_NAMED = 8


def one_value(
    block: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the rows of which every target that has a number has the same one.

    Parameters
    ----------
    block : array of shape (n_rows, n_targets), float32

    Returns
    -------
    same : array of shape (n_rows,), float32
        The number; NaN where numbers differ, or there is none.
    empty : bool array of shape (n_rows,)
        Rows without any number.
    """
    # A few targets tell of nearly every row that its numbers differ.
    few = block[:, :: max(1, block.shape[1] // _FEW_TARGETS)]
    same, empty = np.full(len(block), np.nan, dtype=np.float32), np.zeros(len(block), dtype=bool)
    low, high = np.fmin.reduce(few, axis=1), np.fmax.reduce(few, axis=1)
    for row in np.flatnonzero((low == high) | np.isnan(low)):
        numbers = block[row][~np.isnan(block[row])]
        empty[row] = not numbers.size
        if numbers.size and (numbers == numbers[0]).all():
            same[row] = numbers[0]
    return same, empty


class Marks:
    """Gathers the rows that are one number everywhere, and the range of all others."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, int]] = []
        self._low, self._high = np.inf, -np.inf

    def add(
        self, first: int, block: NDArray[Any], same: NDArray[Any], ranges: Sequence[NDArray[Any]]
    ) -> None:
        """Take a block of rows.

        Parameters
        ----------
        first : int
            Its first row.
        block : array of shape (n_rows, n_targets), float32
        same : array of shape (n_rows,), float32
            Of :func:`one_value`.
        ranges : sequence of arrays of shape (n_targets,)
            Least and greatest number of every target in the block.
        """
        marked = ~np.isnan(same) & (same != 0)
        for row in np.flatnonzero(marked):
            n_numbers = int((~np.isnan(block[row])).sum())
            self._rows.append((first + int(row), float(same[row]), n_numbers))
        for others in [block[~marked]] if marked.any() else ranges:
            finite = others[np.isfinite(others)]
            self._low = min(self._low, float(finite.min(initial=np.inf)))
            self._high = max(self._high, float(finite.max(initial=-np.inf)))

    def found(self) -> tuple[tuple[int, float], ...]:
        """Return the rows that are marked, and by which number; nothing where all rows are so."""
        if self._low >= self._high:
            return ()
        return tuple((row, value) for row, value, n in self._rows if self._is_mark(value, n))

    def _is_mark(self, value: float, n_numbers: int) -> bool:
        if n_numbers < 2 or self._low <= value <= self._high:
            return False
        far = abs(value) > _FAR * max(abs(self._low), abs(self._high))
        return far or n_numbers >= _MANY or any(np.isclose(abs(value), one, 1e-5) for one in _USUAL)


def marked_rows(names: str, found: tuple[tuple[int, float], ...]) -> InputError:
    """Make the error for rows that look like marks."""
    rows = [row for row, _ in found]
    values = sorted({value for _, value in found})
    shown = ", ".join(map(str, rows[:_NAMED])) + (", ..." if len(rows) > _NAMED else "")
    what = "row is" if len(rows) == 1 else "rows are"
    told = " or ".join(f"{value:.7g}" for value in values[:3])
    return InputError(
        f"{names}: {len(rows)} {what} {told} in every target ({shown}), far from all other rows: a "
        "mark for rows without data, not a response",
        hint=f"Write NaN in its place (in NumPy: data[data == {values[0]:.7g}] = numpy.nan) and "
        "save the file again: rows that are NaN in every target are left out of fit, ceiling and "
        "score, and told.",
    )
