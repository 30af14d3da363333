"""Brain responses of one story: arrays in .npy or HDF5 files, read as float32 or not at all.

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

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.digests import digest_input
from braindash.errors import InputError, near_match
from braindash.files import digest_json, refuse_placeholder
from braindash.io.dataset.array_kinds import (
    BEGINNING_BYTES,
    TURN_MATLAB,
    foreign,
    hidden_in_matlab,
    is_matlab,
    no_numbers,
    refuse_group,
    refuse_no_numbers,
    require_filters,
)
from braindash.io.hdf5 import find_item, opened_hdf5

_NPY_MAGIC = b"\x93NUMPY"
_HDF5_MAGIC = b"\x89HDF"
_KEYS_SHOWN = 12
# Rows are read so many bytes at a time: HDF5 unpacks whole chunks, so few large steps are best.
_BLOCK_BYTES = 256 << 20

RowBlocks = Iterator[tuple[int, NDArray[np.float32]]]


@contextmanager
def opened_array(path: Path, key: str | None) -> Iterator[Any]:
    """Open one array without reading it.

    Parameters
    ----------
    path : Path
        A .npy or HDF5 file; which of them is read from its first bytes, not from its name.
    key : str or None
        Name of the array in an HDF5 file.

    Yields
    ------
    h5py.Dataset or numpy.memmap
        Has ``shape`` and ``dtype`` and can be sliced.

    Raises
    ------
    InputError
        The file is missing, damaged or of another kind, or the key is absent.
    """
    magic = _first_bytes(existing_file(path))
    if magic.startswith(_NPY_MAGIC):
        yield _opened_npy(path)
    elif magic.startswith(_HDF5_MAGIC) or h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            yield _hdf5_array(file, path, key)
    else:
        raise foreign(path, magic)


def existing_file(path: Path) -> Path:
    """Return ``path`` back, or say why there is no file."""
    refuse_placeholder(path, "response file")
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "missing"
        raise InputError(
            f"the response file {path} is {kind}",
            hint="Check responses.path (or response in [[runs]]) of the manifest; paths are "
            "relative to the manifest's own folder.",
        )
    return path


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(BEGINNING_BYTES)
    except OSError as error:
        raise _damaged(path, error) from error


def _opened_npy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise no_numbers(path, "Python objects") from error
        raise _damaged(path, error) from error
    return array


@contextmanager
def _opened_hdf5(path: Path) -> Iterator[h5py.File]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened_hdf5(path))
        except OSError as error:
            raise _damaged(path, error) from error
        yield file


def _hdf5_array(file: h5py.File, path: Path, key: str | None) -> h5py.Dataset:
    item = find_item(file, key) if key else None
    if isinstance(item, h5py.Dataset):
        require_filters(item, path)
        return item
    if isinstance(item, h5py.Group):
        refuse_group(item, path, str(key))
    found = available_keys(path)
    if key is None:
        problem = f"the response file {path} is HDF5, but no key is given"
    else:
        kind = "is a group, not an array" if item is not None else "does not exist"
        problem = f"the key {key!r} {kind} in {path}"
    shown = [f"{name} {size}" for name, size in list(found.items())[:_KEYS_SHOWN]]
    raise InputError(
        f"{problem}; the file holds {', '.join(shown) or 'no arrays'}",
        hint=f"Set responses.key. {near_match(key or '', list(found)[:_KEYS_SHOWN])}",
    )


def check_array(array: Any, path: Path, n_dimensions: int) -> None:
    """Refuse an array that is not numbers, is empty, or is no response array by its shape.

    Parameters
    ----------
    array : h5py.Dataset or numpy.ndarray
        Array whose ``shape`` and ``dtype`` are looked at.
    path : Path
        Where it comes from, for the error.
    n_dimensions : int
        2 for responses (n_rows, n_targets), 3 for repeats (n_repeats, n_rows, n_targets).
    """
    wanted = "(n_rows, n_targets)" if n_dimensions == 2 else "(n_repeats, n_rows, n_targets)"
    refuse_no_numbers(array, path)
    if array.shape is None or len(array.shape) != n_dimensions:
        hint = f"Store {wanted}."
        if n_dimensions == 2:
            hint += (
                " Repeats of a test story belong in responses.repeats_key (HDF5) or"
                " responses.repeats_path; their mean belongs here."
            )
        raise InputError(
            f"{path} has the shape {array.shape}, but {n_dimensions} dimensions are needed: "
            f"{wanted}",
            hint=hint,
        )
    if 0 in array.shape:
        raise InputError(
            f"{path} is empty: its array has the shape {tuple(array.shape)}",
            hint=f"Store at least one row and one target: {wanted}.",
        )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"the response file {path} ({path.stat().st_size} bytes) cannot be read: {error}",
        hint="It may be damaged or only partly copied: copy it again (git-annex: `git annex get`).",
    )


def available_keys(path: Path) -> dict[str, tuple[int, ...]]:
    """List the arrays of an HDF5 file with their shapes; nothing for other files."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not hidden_in_matlab(name):
            found[name] = item.shape or ()

    # Names behind links to other files are not visited.
    if existing_file(path).suffix != ".npy" and h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            file.visititems(note)
    return found


def has_key(path: Path, key: str) -> bool:
    """Say whether an HDF5 file has something of this name, by whatever link within the file.

    Raises
    ------
    InputError
        It lies in another file.
    """
    if not h5py.is_hdf5(existing_file(path)):
        return False
    with _opened_hdf5(path) as file:
        return find_item(file, key) is not None


def read_columns(array: Any, columns: slice, out: NDArray[np.float32], here: slice) -> None:
    """Read columns of the last dimension into columns ``here`` of ``out``.

    Parameters
    ----------
    array : h5py.Dataset or numpy.ndarray
        An array of :func:`opened_array`, of shape (..., n_targets).
    columns : slice
        Which columns to read, with step 1.
    out : array of shape (..., n), float32
        C-contiguous array that receives them.
    here : slice
        Columns of ``out`` to fill.
    """
    if not isinstance(array, h5py.Dataset):
        out[..., here] = array[..., columns]
        return
    try:
        # HDF5 converts while it reads: no float64 copy of a story is ever made.
        array.read_direct(out, np.s_[..., columns], np.s_[..., here])
    except OSError as error:
        raise _damaged(Path(array.file.filename), error) from error


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
    """

    paths: tuple[Path, ...]
    key: str | None = None
    repeats_key: str | None = None
    repeats_paths: tuple[Path, ...] = ()
    units: int | None = None
    score_from_row: int = 0


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
    with _opened_parts(source.paths, source.key, 2) as parts:
        return _joined_shape(source, parts)


def written_by_matlab(source: ResponseSource) -> bool:
    """Say whether MATLAB wrote the responses of a story, which turns their axes."""
    with _opened_parts(source.paths, source.key, 2) as parts:
        return any(is_matlab(part) for part in parts)


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
    with _opened_parts(source.paths, source.key, 2) as parts:
        _joined_shape(source, parts)
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
    opened = (
        _opened_parts(source.paths, source.key, 2) if repeat is None else _opened_repeats(source)
    )
    with opened as parts:
        size = sum(part.shape[-1] * part.dtype.itemsize for part in parts)
        step = max(1, _BLOCK_BYTES // max(1, size))
        for first in range(rows.start, rows.stop, step):
            some = slice(first, min(first + step, rows.stop))
            place = some if repeat is None else (repeat, some)
            with np.errstate(over="ignore"):  # what float32 cannot hold counts as infinite
                read = [_rows_of(part, place) for part in parts]
            yield first, np.concatenate(read, axis=1)


def _rows_of(part: Any, place: Any) -> NDArray[np.float32]:
    try:
        return np.asarray(part[place]).astype(np.float32)
    except OSError as error:
        if not isinstance(part, h5py.Dataset):
            raise
        raise _damaged(Path(part.file.filename), error) from error


def load_ceiling(path: Path) -> NDArray[np.float32]:
    """Read a noise ceiling that somebody else computed.

    Parameters
    ----------
    path : Path
        A .npy file.

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
    return values


def digest(source: ResponseSource) -> str:
    """Name the content of a source: the digest of its files and of the keys read from them.

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
    linked = not repeats and _has_linked_repeats(source)
    return digest_json(
        ({"linked_repeats": True} if linked else {})
        | {
            "files": [digest_input(existing_file(path)) for path in source.paths],
            "key": source.key,
            "repeats_files": [digest_input(path) for path in repeats],
            "repeats_key": source.repeats_key,
        }
    )


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
def _opened_parts(
    paths: tuple[Path, ...], key: str | None, n_dimensions: int
) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        parts = []
        for path in paths:
            array = stack.enter_context(opened_array(path, key))
            check_array(array, path, n_dimensions)
            parts.append(array)
        yield parts


@contextmanager
def _opened_repeats(source: ResponseSource) -> Iterator[list[Any]]:
    """Open the repeats, or give an empty list where this story has none."""
    own_files = [path.is_file() for path in source.repeats_paths]
    if any(own_files):
        paths = source.repeats_paths
    elif source.repeats_key is not None and all(
        has_key(path, source.repeats_key) for path in source.paths
    ):
        paths = source.paths
    else:
        yield []
        return
    with _opened_parts(paths, source.repeats_key, 3) as parts:
        yield parts


def _joined_shape(source: ResponseSource, parts: list[Any]) -> tuple[int, int]:
    rows = [part.shape[0] for part in parts]
    if len(set(rows)) > 1:
        raise InputError(
            f"the hemispheres have different numbers of rows: {_names(source.paths)} hold {rows}",
            hint="Both files must come from the same run, with one row per TR.",
        )
    n_targets = sum(part.shape[1] for part in parts)
    if source.units is not None and n_targets != source.units:
        _refuse_units(source, (rows[0], n_targets), any(map(is_matlab, parts)))
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
    raise InputError(
        f"{_names(source.paths)} holds {n_targets} targets, but the manifest says "
        f"units = {source.units}",
        hint="Correct units of this subject in [[subjects]], or give the file that belongs to it.",
    )


def _checked_repeats(source: ResponseSource, parts: list[Any], n_rows: int, n_targets: int) -> int:
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


def _read_parts(parts: list[Any], columns: slice | None) -> NDArray[np.float32]:
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
            read_columns(part, slice(first, last), result, here)
        offset += width
    return result


def _names(paths: tuple[Path, ...]) -> str:
    return " + ".join(map(str, paths))
