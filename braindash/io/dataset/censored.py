"""Rows of responses that were censored, and targets that get no score.

A row is censored when it is NaN in every target that is not always NaN: motion scrubbing leaves
such rows. They are left out of fit, ceiling and score. A target that is NaN, or infinite, in some
other row has no score.

What was found in a file is remembered while the file is the same, in this process and by a table of
the user's cache folder (:mod:`braindash.remembered.tables`) for the next command.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import DIGEST_BYTES, digest_bytes, digest_json, parse_json
from braindash.io.dataset.marks import Marks, marked_rows, one_value
from braindash.io.dataset.responses import ResponseSource, repeats_shape, row_blocks
from braindash.remembered.tables import FileIdentity, Identity, file_identity, is_settled, table_of

TABLE = "presentations.jsonl"

# Raised when something else is looked for, or in another way: older findings are passed over.
_VERSION = 1
# Smaller files are read as quickly as they are looked up.
_LEAST_BYTES = 1 << 20
# Of a line of the table: marks of targets that follow no pattern are not worth it.
_MOST_CHARACTERS = 1 << 16
_DIGITS = 2 * DIGEST_BYTES

Rows = tuple[int, ...]
"""Rows of a response file, counted from 0."""


@dataclass(frozen=True, eq=False)
class Presentation:
    """What one presentation of a story holds in the rows that are used.

    Attributes
    ----------
    censored : tuple of int
        Rows of the file that hold no number in any target.
    n_rows : int
        Rows that were looked at.
    n_zero : int
        Rows that are 0 in every target that has numbers.
    n_targets : int
        Targets of the file.
    marked : tuple of (int, float)
        Rows that are one absurd number in every target, and the number.
    """

    censored: Rows
    n_rows: int
    n_zero: int
    n_targets: int
    marked: tuple[tuple[int, float], ...]
    _marks: NDArray[np.uint8]

    @property
    def has_data(self) -> bool:
        """Whether any row has a number."""
        return len(self.censored) < self.n_rows

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Targets with a number in every row that is not censored, bool (n_targets,)."""
        return self._mark(0)

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Targets without a number in any row, bool (n_targets,)."""
        return self._mark(1)

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Targets whose numbers are not all the same, bool (n_targets,)."""
        return self._mark(2)

    def _mark(self, place: int) -> NDArray[np.bool_]:
        return np.unpackbits(self._marks[place], count=self.n_targets).astype(bool)


def presentations(source: ResponseSource, rows: slice, *, repeated: bool) -> list[Presentation]:
    """Look through the used rows of what a brain did at each hearing.

    What was found is remembered as long as the files stay the same.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.
    rows : slice
        The rows that are used.
    repeated : bool
        Look at the repeats where there are some, as scores do; else at the one response per row,
        which fits are made of.

    Returns
    -------
    list of Presentation

    Raises
    ------
    InputError
        No row of any of them has data, or a row is one absurd number in every target.
    """
    shape = repeats_shape(source) if repeated else None
    which: Sequence[int | None] = [None] if shape is None else range(shape[0])
    state = tuple(map(_state, (*source.files, *source.repeats_paths, *_others(source))))
    found = [_looked_through(source, rows.start, rows.stop, one, state) for one in which]
    names = " + ".join(map(str, source.paths if shape is None else source.repeats_paths))
    for number, one in enumerate(found):
        if one.marked:
            which_one = f", repeat {number}" if len(found) > 1 else ""
            raise marked_rows(f"{names or source.paths[0]}{which_one}", one.marked)
    if not any(one.has_data for one in found):
        raise InputError(
            f"{names or source.paths[0]} holds NaN in every used row ({rows.start} to "
            f"{rows.stop - 1}) of every target",
            hint="Take the story out of [splits], or give the responses themselves.",
        )
    return found


def _others(source: ResponseSource) -> list[Path]:
    return [path for path in (source.mask, source.columns) if path is not None]


State = tuple[FileIdentity | str, ...]
"""Of every file that is read; the path of one that is not there."""


def _state(path: Path) -> FileIdentity | str:
    return file_identity(path) if path.is_file() else str(path)


@lru_cache(maxsize=1024)
def _looked_through(
    source: ResponseSource, start: int, stop: int, repeat: int | None, state: State
) -> Presentation:
    """Return what one presentation holds: remembered, or looked for."""
    files = [one for one in state if isinstance(one, FileIdentity)]
    if sum(one.size for one in files) < _LEAST_BYTES:
        return _read_through(source, start, stop, repeat, state)
    read = [_VERSION, source.key, source.repeats_key, source.units, len(source.more)]
    name = digest_json([[str(path) for path in source.files], read, start, stop, repeat])
    identity, table = (name, digest_json(state)), table_of(TABLE, _read_line)
    known = table.find(identity)
    if known is not None:
        return _unpacked(known)
    found = _read_through(source, start, stop, repeat, state)
    packed = _packed(found)
    unchanged = all(is_settled(one) and file_identity(one.path) == one for one in files)
    if unchanged and len(packed) <= _MOST_CHARACTERS:
        table.keep(identity, packed)
    return found


def _packed(found: Presentation) -> str:
    """Write what was found as text, behind its own digest: a wrong bit would change a result."""
    marks = base64.b85encode(zlib.compress(found._marks.tobytes())).decode("ascii")
    marked = [[int(row), float(value)] for row, value in found.marked]
    counts = found.n_rows, found.n_zero, found.n_targets
    text = json.dumps([found.censored, *counts, marked, marks])
    return digest_bytes(text.encode()) + text


def _unpacked(packed: str) -> Presentation:
    censored, n_rows, n_zero, n_targets, marked, marks = parse_json(packed[_DIGITS:])
    flags = np.frombuffer(zlib.decompress(base64.b85decode(marks)), np.uint8).reshape(3, -1)
    told = tuple((row, value) for row, value in marked)
    return Presentation(tuple(censored), n_rows, n_zero, n_targets, told, flags)


def _read_line(line: Any) -> tuple[Identity, str]:
    """Read a line of the table; ValueError or TypeError where it is none."""
    name, state, packed = line
    if not all(isinstance(one, str) for one in line):
        raise TypeError("no texts")
    if digest_bytes(packed[_DIGITS:].encode()) != packed[:_DIGITS]:
        raise ValueError("not what was written")
    return (name, state), packed


def _read_through(
    source: ResponseSource, start: int, stop: int, repeat: int | None, state: State
) -> Presentation:
    censored: list[int] = []
    n_zero = 0
    low = high = n_missing = None
    marks = Marks()
    for first, block in row_blocks(source, slice(start, stop), repeat):
        same, empty = one_value(block)
        censored += (first + np.flatnonzero(empty)).tolist()
        n_zero += int((same == 0).sum())
        least, most, missing = _ranges(block)
        marks.add(first, block, same, (least, most))
        if low is None or high is None or n_missing is None:
            low, high, n_missing = least, most, missing
        else:
            low, high = np.fmin(low, least), np.fmax(high, most)
            n_missing = n_missing + missing
    assert low is not None and high is not None and n_missing is not None  # there are rows
    infinite = np.isinf(low) | np.isinf(high)
    empty_targets = n_missing == stop - start
    finite = (n_missing == len(censored)) & ~infinite & ~empty_targets
    # Marks of many stories are remembered: eight to a byte.
    bits = np.packbits(np.stack([finite, empty_targets, low < high]), axis=1)
    marked = marks.found()
    if repeat is None and (source.more or source.stacked):  # a mean hides the marks of one hearing
        n_repeats = (repeats_shape(source) or (0,))[0]
        hearings = [_looked_through(source, start, stop, n, state) for n in range(n_repeats)]
        marked = next((one.marked for one in hearings if one.marked), marked)
    return Presentation(tuple(censored), stop - start, n_zero, len(low), marked, bits)


def _ranges(
    block: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return each target's least and largest number, NaN without one, and how many it lacks."""
    low, high = block.min(axis=0), block.max(axis=0)
    n_missing = np.zeros(len(low), dtype=np.int64)
    lacking = np.flatnonzero(np.isnan(low))
    if len(lacking):
        part = block[:, lacking]
        low[lacking], high[lacking] = np.fmin.reduce(part, axis=0), np.fmax.reduce(part, axis=0)
        n_missing[lacking] = np.isnan(part).sum(axis=0)
    return low, high, n_missing
