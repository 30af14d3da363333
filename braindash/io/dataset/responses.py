"""Brain responses of one story: arrays of one or several files, read as float32 or not at all.

A response array has one row per TR and one column per target (vertex, voxel or region). Repeats of
a test story add a first dimension. Shapes are read from headers; data are read whole or in column
blocks. NaN is kept: it marks targets without data, and rows that were censored
(:mod:`braindash.io.dataset.censored`). Nothing is standardised here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import digest_json
from braindash.io.dataset.array_kinds import TURN_MATLAB, is_matlab
from braindash.io.dataset.arrays import (
    available_keys,
    check_array,
    existing_file,
    has_key,
    is_volume,
    opened_array,
)
from braindash.io.dataset.stacking import Chosen, Mean, Part, Repeated, Stored, chosen_columns
from braindash.remembered.digests import digest_input

# Rows are read so many bytes at a time: HDF5 unpacks whole chunks, so few large steps are best.
_BLOCK_BYTES = 256 << 20


class WrongTargets(InputError):
    """A file has another number of targets than the manifest says."""


RowBlocks = Iterator[tuple[int, NDArray[np.float32]]]


@dataclass(frozen=True)
class ResponseSource:
    """Where the responses of one subject to one story lie.

    Attributes
    ----------
    paths : tuple of Path
        One file; or the left and the right hemisphere, whose targets are joined in this order.
    key : str or None
        Name of the array in an HDF5 file, (n_rows, n_targets). A .npy file needs none.
    repeats_key : str or None
        Name of the repeats in an HDF5 file, (n_repeats, n_rows, n_targets); it may be absent.
    repeats_paths : tuple of Path
        Files of their own that hold the repeats; without them repeats are looked for in ``paths``.
    units : int or None
        The number of targets that the manifest promises.
    score_from_row : int
        First row that counts when this story is scored.
    more : tuple of tuple of Path
        Further presentations, each in files of its own as ``paths`` are: together they are the
        repeats, and the response is their mean.
    mask : Path or None
        Of volumes: which voxels are targets.
    columns : Path or None
        Which columns are targets, a mask or their numbers; None: all.
    """

    paths: tuple[Path, ...]
    key: str | None = None
    repeats_key: str | None = None
    repeats_paths: tuple[Path, ...] = ()
    units: int | None = None
    score_from_row: int = 0
    more: tuple[tuple[Path, ...], ...] = ()
    mask: Path | None = None
    columns: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of responses that must be there."""
        return (*self.paths, *(path for paths in self.more for path in paths))

    @property
    def stacked(self) -> bool:
        """Whether one array may be the repeats, and its mean the response."""
        return self.key is not None and self.key == self.repeats_key


def shape(source: ResponseSource) -> tuple[int, int]:
    """Read the size of the responses without reading the data.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.

    Returns
    -------
    tuple of int
        ``(n_rows, n_targets)``.

    Raises
    ------
    InputError
        A file is missing or damaged, the key is absent, or the array is not what is expected.
    """
    with _opened_responses(source) as parts:
        return _joined_shape(parts)


def written_by_matlab(source: ResponseSource) -> bool:
    """Say whether MATLAB wrote the responses of a story, which turns their axes."""
    with _opened_responses(source) as parts:
        return any(is_matlab(part.stored) for part in parts)


def load_responses(source: ResponseSource, columns: slice | None = None) -> NDArray[np.float32]:
    """Read the responses of one story.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.
    columns : slice, optional
        The targets to read, a slice with step 1; default all.

    Returns
    -------
    array of shape (n_rows, n_targets), float32
        Rows as stored, NaN included; only the chosen targets.

    Raises
    ------
    InputError
        See :func:`shape`.
    """
    with _opened_responses(source) as parts:
        return _read_parts(parts, columns)


def repeats_shape(source: ResponseSource) -> tuple[int, int, int] | None:
    """Read the size of the repeats without reading the data.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.

    Returns
    -------
    tuple of int, or None
        ``(n_repeats, n_rows, n_targets)``; None where there are fewer than two repeats.

    Raises
    ------
    InputError
        The repeats do not have the rows and targets of the responses, or cannot be read.
    """
    n_rows, n_targets = shape(source)
    with _opened_repeats(source) as parts:
        if not parts:
            return None
        n_repeats = _checked_repeats(source, parts, n_rows, n_targets)
    return (n_repeats, n_rows, n_targets) if n_repeats > 1 else None


def load_repeats(
    source: ResponseSource, columns: slice | None = None
) -> NDArray[np.float32] | None:
    """Read every presentation of a repeated story.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.
    columns : slice, optional
        The targets to read, a slice with step 1; default all.

    Returns
    -------
    array of shape (n_repeats, n_rows, n_targets), float32, or None
        None where there are fewer than two repeats.

    Raises
    ------
    InputError
        See :func:`repeats_shape`.
    """
    if repeats_shape(source) is None:
        return None
    with _opened_repeats(source) as parts:
        return _read_parts(parts, columns)


def row_blocks(source: ResponseSource, rows: slice, repeat: int | None = None) -> RowBlocks:
    """Read some rows of one presentation, all targets of a few rows at a time.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.
    rows : slice
        Rows to read, with plain ``start`` and ``stop``.
    repeat : int, optional
        Which of the repeats; by default the array of one response per row.

    Yields
    ------
    first : int
        Row of the file that the block begins with.
    block : array of shape (n, n_targets), float32
        As stored.
    """
    with _opened_responses(source) if repeat is None else _opened_repeats(source) as parts:
        size = sum(part.row_bytes for part in parts)
        step = max(1, _BLOCK_BYTES // max(1, size))
        for first in range(rows.start, rows.stop, step):
            some = slice(first, min(first + step, rows.stop))
            place = some if repeat is None else (repeat, some)
            yield first, np.concatenate([part.rows(place) for part in parts], axis=1)


def load_ceiling(path: Path, columns: Path | None = None) -> NDArray[np.float32]:
    """Read a noise ceiling that somebody else computed.

    Parameters
    ----------
    path : Path
        A .npy file, one value for each column of the responses.
    columns : Path, optional
        Which of the columns are used, as of :class:`ResponseSource`.

    Returns
    -------
    array of shape (n_targets,), float32
        The highest r that can be reached; NaN where there is no ceiling.

    Raises
    ------
    InputError
        The file is missing or damaged, or does not hold correlations between 0 and 1.
    """
    with opened_array(path, None) as array:
        check_array(array, path, 1)
        values = np.asarray(array[:], dtype=np.float32)
    outside = np.isinf(values) | (values < 0) | (values > 1)
    if outside.any():
        raise InputError(
            f"{path} holds {float(values[outside][0]):g}, but a noise ceiling is a correlation "
            "between 0 and 1",
            hint="Give the highest r that can be reached: the square root, where the file holds "
            "shares of variance.",
        )
    return values if columns is None else values[chosen_columns(columns, len(values))]


def digest(source: ResponseSource) -> str:
    """Name the content of a source: the digest of its files and of what is read from them.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.

    Returns
    -------
    str
        32 hexadecimal digits; the same wherever the files lie.
    """
    repeats = [path for path in source.repeats_paths if path.is_file()]
    named: dict[str, Any] = {
        "files": [digest_input(existing_file(path)) for path in source.paths],
        "key": source.key,
        "repeats_files": [digest_input(path) for path in repeats],
        "repeats_key": source.repeats_key,
    }
    # What was added later stands here only where it is used: older results keep their keys.
    if not repeats and _has_linked_repeats(source):
        named["linked_repeats"] = True
    if source.more:
        named["more"] = [[digest_input(existing_file(path)) for path in one] for one in source.more]
    if source.mask is not None and is_volume(source.paths[0]):
        named["mask"] = digest_input(existing_file(source.mask))
    if source.columns is not None:
        named["columns"] = digest_input(existing_file(source.columns))
    return digest_json(named)


def _has_linked_repeats(source: ResponseSource) -> bool:
    """Say whether repeats are behind links, which were once taken for absent."""
    key = source.repeats_key
    return (
        key is not None
        and all(has_key(path, key) for path in source.paths)
        and any(key.strip("/") not in available_keys(path) for path in source.paths)
    )


# One part per hemisphere ------------------------------------------------------------------------


@contextmanager
def _opened_responses(source: ResponseSource) -> Iterator[list[Part]]:
    """Open one response per row: as stored, or the mean over repeats."""
    with ExitStack() as stack:
        parts = _presented(stack, source)
        yield _chosen(source, [Mean(part) if len(part.shape) == 3 else part for part in parts])


@contextmanager
def _opened_repeats(source: ResponseSource) -> Iterator[list[Part]]:
    """Open the repeats, or give an empty list where this story has none."""
    with ExitStack() as stack:
        if any(path.is_file() for path in source.repeats_paths):
            parts = _opened_files(stack, source, source.repeats_paths, source.repeats_key, 3)
        elif source.more or source.stacked:
            parts = [part for part in _presented(stack, source) if len(part.shape) == 3]
        elif source.repeats_key is not None and all(
            has_key(path, source.repeats_key) for path in source.paths
        ):
            parts = _opened_files(stack, source, source.paths, source.repeats_key, 3)
        else:
            parts = []
        yield _chosen(source, parts) if parts else []


def _presented(stack: ExitStack, source: ResponseSource) -> list[Part]:
    """Open what is stored of each hemisphere: responses, or all presentations of them."""
    if not source.more:
        return _opened_files(stack, source, source.paths, source.key, 2)
    hearings = [
        _opened_files(stack, source, paths, source.key, 2) for paths in (source.paths, *source.more)
    ]
    for paths, parts in zip(source.more, hearings[1:], strict=True):
        found, first = ([part.shape[1] for part in some] for some in (parts, hearings[0]))
        if found != first:
            raise InputError(
                f"{_names(paths)} holds {found} targets, the first presentation "
                f"{_names(source.paths)} {first}",
                hint="All presentations of a story need the same targets in the same order.",
            )
    return [Repeated(parts) for parts in zip(*hearings, strict=True)]


def _opened_files(
    stack: ExitStack,
    source: ResponseSource,
    paths: tuple[Path, ...],
    key: str | None,
    n_dimensions: int,
) -> list[Part]:
    parts: list[Part] = []
    for path in paths:
        array = stack.enter_context(opened_array(path, key, source.mask))
        n_axes = 0 if array.shape is None else len(array.shape)
        n_folded = next((n for n in range(n_axes) if array.shape[n] != 1), 0)
        stacked = source.stacked and n_axes - n_folded == 3
        wanted = 3 if stacked else n_dimensions
        n_folded = max(0, min(n_folded, n_axes - wanted))
        check_array(array, path, wanted, n_folded)
        parts.append(Stored(array, n_folded))
    return parts


def _chosen(source: ResponseSource, parts: list[Part]) -> list[Part]:
    """Check what was opened, and leave out the columns that are not used."""
    _joined_shape(parts, source)
    if source.columns is None:
        return parts
    widths = [part.shape[-1] for part in parts]
    indices = chosen_columns(source.columns, sum(widths))
    chosen: list[Part] = []
    offset = 0
    for part, width in zip(parts, widths, strict=True):
        inside = indices[(indices >= offset) & (indices < offset + width)]
        chosen.append(Chosen(part, inside - offset))
        offset += width
    return chosen


def _joined_shape(parts: list[Part], source: ResponseSource | None = None) -> tuple[int, int]:
    """Return rows and targets of all parts; with a source, refuse what does not belong to it."""
    rows = [part.shape[-2] for part in parts]
    n_targets = sum(part.shape[-1] for part in parts)
    if source is not None and len(set(rows)) > 1:
        raise InputError(
            f"the hemispheres have different numbers of rows: {_names(source.paths)} hold {rows}",
            hint="Both files must come from the same run, with one row per TR.",
        )
    if source is not None and len(parts[0].shape) == 2 and source.units not in (None, n_targets):
        _refuse_units(source, (rows[0], n_targets), any(is_matlab(part.stored) for part in parts))
    return rows[0], n_targets


def _refuse_units(source: ResponseSource, found: tuple[int, int], matlab: bool) -> None:
    n_rows, n_targets = found
    if n_rows == source.units:
        raise InputError(
            f"{_names(source.paths)} looks transposed: it has the shape {found}, and {n_rows} is "
            "the number of targets",
            hint="Store one row per TR and one column per target: (n_rows, n_targets)."
            f"{' ' + TURN_MATLAB if matlab else ''}",
        )
    raise WrongTargets(
        f"{_names(source.paths)} holds {n_targets} targets, but the manifest says "
        f"units = {source.units}",
        hint="Correct units of this subject in [[subjects]], or give the file that belongs to it.",
    )


def _checked_repeats(source: ResponseSource, parts: list[Part], n_rows: int, n_targets: int) -> int:
    shapes = [tuple(part.shape) for part in parts]
    same_rows = {found[:2] for found in shapes} == {(shapes[0][0], n_rows)}
    if not same_rows or sum(found[2] for found in shapes) != n_targets:
        raise InputError(
            f"the repeats of {_names(source.repeats_paths or source.paths)} have the shape "
            f"{', '.join(map(str, shapes))}, the responses ({n_rows}, {n_targets})",
            hint=f"Repeats must be (n_repeats, {n_rows}, {n_targets}): the same rows and targets "
            "as the responses.",
        )
    return int(shapes[0][0])


def _read_parts(parts: list[Part], columns: slice | None) -> NDArray[np.float32]:
    widths = [part.shape[-1] for part in parts]
    start, stop, step = (columns or slice(None)).indices(sum(widths))
    if step != 1:
        raise InputError(
            f"targets are read in blocks, but columns has the step {step}",
            hint="Give a slice with step 1, such as slice(0, 4096).",
        )
    result = np.empty((*parts[0].shape[:-1], max(0, stop - start)), dtype=np.float32)
    offset = 0
    for part, width in zip(parts, widths, strict=True):
        first, last = max(start - offset, 0), min(stop - offset, width)
        if first < last:
            here = slice(first + offset - start, last + offset - start)
            part.columns(slice(first, last), result, here)
        offset += width
    return result


def _names(paths: tuple[Path, ...]) -> str:
    return " + ".join(map(str, paths))
