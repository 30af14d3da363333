"""Arrays as they are asked for: without needless axes, averaged over hearings, of some columns.

A file's array is wrapped in a :class:`Part`; parts of parts leave out columns, stand several files
above each other, or average them. Nothing is read before rows or columns are asked for, and never
more than a block of rows at a time where few columns of many are wanted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.dataset.array_kinds import damaged
from braindash.io.dataset.arrays import opened_array

Values = NDArray[np.float32]
Indices = NDArray[np.int64]

# Columns nearer to each other than this are read in one piece: skipping them costs more.
_GAP_COLUMNS = 4096
# Of chosen columns, rows are read so many bytes at a time: the rest of them is thrown away.
_CHOSEN_BYTES = 32 << 20


class Part(Protocol):
    """An array of responses (n_rows, n_targets), or of repeats (n_repeats, n_rows, n_targets)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size."""

    @property
    def row_bytes(self) -> int:
        """Bytes that are read for one row."""

    @property
    def stored(self) -> Any:
        """The array of a file, of which this is made; the first one of several."""

    def rows(self, place: Any) -> Values:
        """Read rows: a slice of them, or for repeats a number and a slice."""

    def columns(self, columns: slice, out: Values, here: slice) -> None:
        """Read columns, a slice of step 1, into columns ``here`` of ``out``, (..., n)."""


@dataclass(frozen=True)
class Stored:
    """The array of one file, without leading axes of length 1.

    Attributes
    ----------
    stored : h5py.Dataset, numpy.ndarray or TimeSeries
        Of :func:`braindash.io.dataset.arrays.opened_array`.
    n_folded : int
        Leading axes, all of length 1, that are left out.
    """

    stored: Any
    n_folded: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Size without the folded axes."""
        return tuple(self.stored.shape[self.n_folded :])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row as stored."""
        return int(self.shape[-1] * self.stored.dtype.itemsize)

    def rows(self, place: Any) -> Values:
        """Read rows; what float32 cannot hold counts as infinite."""
        places = place if isinstance(place, tuple) else (place,)
        return self._read((*(0,) * self.n_folded, *places))

    def _read(self, place: tuple[Any, ...]) -> Values:
        try:
            with np.errstate(over="ignore"):
                return np.asarray(self.stored[place]).astype(np.float32)
        except OSError as error:
            raise self._unreadable(error) from error

    def columns(self, columns: slice, out: Values, here: slice) -> None:
        """Read columns; HDF5 converts while it reads, so no float64 copy of a story is made."""
        first = (0,) * self.n_folded
        if not isinstance(self.stored, h5py.Dataset):
            out[..., here] = self.stored[(*first, ..., columns)]
            return
        try:
            self.stored.read_direct(out, (*first, ..., columns), (..., here))
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> Exception:
        if not isinstance(self.stored, h5py.Dataset):
            return error
        return damaged(Path(self.stored.file.filename), error)


@dataclass(frozen=True)
class Repeated:
    """Several presentations in files of their own, (n_repeats, n_rows, n_targets).

    Rows that the shortest of them lacks are left out.
    """

    parts: Sequence[Part]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of files, rows of the shortest, targets."""
        n_rows = min(part.shape[0] for part in self.parts)
        return (len(self.parts), n_rows, self.parts[0].shape[1])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one presentation."""
        return self.parts[0].row_bytes

    @property
    def stored(self) -> Any:
        """The array of the first file."""
        return self.parts[0].stored

    def rows(self, place: Any) -> Values:
        """Read rows of one presentation."""
        repeat, some = place
        part: Part = self.parts[repeat]
        return part.rows(slice(*some.indices(self.shape[1])))

    def columns(self, columns: slice, out: Values, here: slice) -> None:
        """Read columns of every presentation."""
        for part, one in zip(self.parts, out, strict=True):
            if part.shape[0] == self.shape[1]:
                part.columns(columns, one, here)
                continue
            whole = np.empty((part.shape[0], columns.stop - columns.start), dtype=np.float32)
            part.columns(columns, whole, slice(0, whole.shape[1]))
            one[:, here] = whole[: self.shape[1]]


@dataclass(frozen=True)
class Mean:
    """The mean over repeats, (n_rows, n_targets), of those that have a number."""

    repeats: Part

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and targets."""
        return self.repeats.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes that are read for one row: those of every repeat."""
        return self.repeats.shape[0] * self.repeats.row_bytes

    @property
    def stored(self) -> Any:
        """The array of a file."""
        return self.repeats.stored

    def rows(self, place: Any) -> Values:
        """Average rows."""
        return _mean([self.repeats.rows((one, place)) for one in range(self.repeats.shape[0])])

    def columns(self, columns: slice, out: Values, here: slice) -> None:
        """Average columns."""
        n_repeats, n_rows, _ = self.repeats.shape
        every = np.empty((n_repeats, n_rows, columns.stop - columns.start), dtype=np.float32)
        self.repeats.columns(columns, every, slice(0, every.shape[2]))
        out[:, here] = _mean(every)


def _mean(runs: Sequence[Values] | Values) -> Values:
    total = np.zeros(runs[0].shape, dtype=np.float32)
    count = np.zeros(runs[0].shape, dtype=np.float32)
    for run in runs:
        known = ~np.isnan(run)
        np.add(total, run, out=total, where=known)
        count += known
    with np.errstate(invalid="ignore"):
        mean: Values = np.where(count > 0, total / count, np.float32(np.nan)).astype(np.float32)
    return mean


@dataclass(frozen=True)
class Chosen:
    """Some columns of an array, in their order."""

    part: Part
    indices: Indices

    @property
    def shape(self) -> tuple[int, ...]:
        """Size with the chosen columns only."""
        return (*self.part.shape[:-1], len(self.indices))

    @property
    def row_bytes(self) -> int:
        """Bytes that are read for one row: also of columns that are thrown away."""
        return self.part.row_bytes

    @property
    def stored(self) -> Any:
        """The array of a file."""
        return self.part.stored

    def rows(self, place: Any) -> Values:
        """Read rows, and keep the chosen columns."""
        return self.part.rows(place)[..., self.indices]

    def columns(self, columns: slice, out: Values, here: slice) -> None:
        """Read stretches that hold chosen columns, a block of rows at a time."""
        wanted = self.indices[columns]
        inner = out[..., here]
        if not len(wanted):
            return
        for place, block_rows in _row_blocks(self.part):
            for first, last in _stretches(wanted):
                begin, end = int(wanted[first]), int(wanted[last - 1]) + 1
                read = _some(self.part, place, block_rows, slice(begin, end))
                to: Any = (*place, block_rows, slice(first, last))
                inner[to] = read[:, wanted[first:last] - begin]


def _row_blocks(part: Part) -> Iterator[tuple[tuple[int, ...], slice]]:
    *leading, n_rows, _ = part.shape
    step = max(1, _CHOSEN_BYTES // max(1, part.row_bytes))
    for one in range(leading[0]) if leading else (None,):
        for start in range(0, n_rows, step):
            yield (() if one is None else (one,)), slice(start, min(start + step, n_rows))


def _some(part: Part, place: tuple[int, ...], rows: slice, columns: slice) -> Values:
    """Read a piece of a part: of a file's own array nothing else is touched."""
    if isinstance(part, Stored):
        return part.rows((*place, rows, columns))
    whole = part.rows((*place, rows) if place else rows)
    return whole[:, columns]


def _stretches(wanted: Indices) -> list[tuple[int, int]]:
    """Split sorted columns where the next one is far."""
    seams = np.flatnonzero(np.diff(wanted) > _GAP_COLUMNS) + 1
    borders = [0, *seams.tolist(), len(wanted)]
    return list(pairwise(borders))


def chosen_columns(path: Path, n_columns: int) -> Indices:
    """Read which columns of the responses are used.

    Parameters
    ----------
    path : Path
        A .npy file: truth values or 0 and 1, one for each column, or the numbers of the columns,
        counted from 0 and rising.
    n_columns : int
        Columns of the response files.

    Returns
    -------
    array of int64
        Their numbers.

    Raises
    ------
    InputError
        The file is neither, is of another number of columns, or names none.
    """
    with opened_array(path, None) as array:
        values = np.asarray(array[...]) if len(array.shape) == 1 else np.zeros(0)
    if values.shape == (n_columns,) and _are_marks(values):
        indices = np.flatnonzero(values)
    elif values.size and np.issubdtype(values.dtype, np.integer):
        indices = values.astype(np.int64)
        if (np.diff(indices) <= 0).any() or indices[0] < 0 or indices[-1] >= n_columns:
            raise _no_columns(path, f"its numbers do not rise from 0 to {n_columns - 1}", n_columns)
    else:
        raise _no_columns(path, f"its shape is {values.shape} of {values.dtype}", n_columns)
    if not len(indices):
        raise _no_columns(path, "it chooses none", n_columns)
    return indices


def _are_marks(values: NDArray[Any]) -> bool:
    return values.dtype == bool or bool(np.isin(values, (0, 1)).all())


def _no_columns(path: Path, reason: str, n_columns: int) -> InputError:
    return InputError(
        f"columns: {path} does not say which of the {n_columns} columns are used: {reason}",
        hint=f"Save a mask of {n_columns} truth values (numpy.save('columns.npy', ceiling > 0.4)), "
        "or the numbers of the columns, counted from 0.",
    )
