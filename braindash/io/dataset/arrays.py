"""One array in a file, opened but not read: .npy, HDF5, or a time series of neuroimaging."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError, near_match
from braindash.files import refuse_placeholder
from braindash.io.dataset.array_kinds import (
    BEGINNING_BYTES,
    damaged,
    foreign,
    hidden_in_matlab,
    no_numbers,
    refuse_group,
    refuse_no_numbers,
    require_filters,
)
from braindash.io.hdf5 import find_item, opened_hdf5, visit
from braindash.io.images.opened import open_series, series_kind

_NPY_MAGIC = b"\x93NUMPY"
_HDF5_MAGIC = b"\x89HDF"
_KEYS_SHOWN = 12


@contextmanager
def opened_array(path: Path, key: str | None, mask: Path | None = None) -> Iterator[Any]:
    """Open one array without reading it.

    Parameters
    ----------
    path : Path
        A .npy, HDF5, GIFTI, CIFTI-2 or NIfTI file; which of them is read from its first bytes, not
        from its name.
    key : str or None
        Name of the array in an HDF5 file.
    mask : Path or None
        Of volumes: which voxels are targets.

    Yields
    ------
    h5py.Dataset, numpy.memmap or TimeSeries
        Has ``shape`` and ``dtype`` and can be sliced.

    Raises
    ------
    InputError
        The file is missing, damaged or of another kind, or the key is absent.
    """
    magic = _first_bytes(existing_file(path))
    if magic.startswith(_NPY_MAGIC):
        yield open_npy(path)
    elif magic.startswith(_HDF5_MAGIC) or h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            yield _hdf5_array(file, path, key)
    elif kind := series_kind(magic, path):
        yield open_series(path, kind, mask)
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
        raise damaged(path, error) from error


def open_npy(path: Path) -> NDArray[Any]:
    """Map an array of numpy's own format; nothing is allocated by what its header promises.

    Raises
    ------
    InputError
        The file is damaged, holds objects, or goes on behind its array.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy lets the errors of ast, tokenize and mmap through
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise no_numbers(path, "Python objects") from error
        raise damaged(path, error) from error
    _require_one_array(path, array)
    return array


def _require_one_array(path: Path, array: NDArray[Any]) -> None:
    """Refuse a file that goes on behind its array: what follows would be lost."""
    stop = getattr(array, "offset", path.stat().st_size) + array.nbytes
    n_more = path.stat().st_size - stop
    if n_more <= 0:
        return
    with open(path, "rb") as stream:
        stream.seek(stop)
        second = stream.read(len(_NPY_MAGIC)) == _NPY_MAGIC
    what = ", where a second array begins" if second else ""
    raise InputError(
        f"{path} goes on for {n_more} bytes behind its array of the shape {array.shape}{what}",
        hint="Save one array a file: numpy.save(FILE, numpy.concatenate(PARTS)) joins the rows of "
        "several."
        if second
        else "Save the array again with numpy.save, or copy the file again.",
    )


@contextmanager
def _opened_hdf5(path: Path) -> Iterator[h5py.File]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened_hdf5(path))
        except OSError as error:
            raise damaged(path, error) from error
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


def check_array(array: Any, path: Path, n_dimensions: int, n_folded: int = 0) -> None:
    """Refuse an array that is not numbers, is empty, or is no response array by its shape.

    Parameters
    ----------
    array : h5py.Dataset, numpy.ndarray or TimeSeries
        Array whose ``shape`` and ``dtype`` are looked at.
    path : Path
        Where it comes from, for the error.
    n_dimensions : int
        2 for responses (n_rows, n_targets), 3 for repeats (n_repeats, n_rows, n_targets).
    n_folded : int, default 0
        Leading axes, all of length 1, that do not count.
    """
    wanted = "(n_rows, n_targets)" if n_dimensions == 2 else "(n_repeats, n_rows, n_targets)"
    refuse_no_numbers(array, path)
    if array.shape is None or len(array.shape) - n_folded != n_dimensions:
        hint = f"Store {wanted}."
        if n_dimensions == 2:
            hint += (
                " Repeats of a test story belong in responses.repeats_key (HDF5) or"
                " responses.repeats_path; their mean belongs here. With repeats_key the same as"
                " key, the repeats are read and averaged."
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


def is_volume(path: Path) -> bool:
    """Say whether a file holds volumes, whose columns a mask chooses."""
    return series_kind(_first_bytes(existing_file(path)), path) == "nifti"


def available_keys(path: Path) -> dict[str, tuple[int, ...]]:
    """List the arrays of an HDF5 file with their shapes; nothing for other files."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not hidden_in_matlab(name):
            found[name] = item.shape or ()

    if existing_file(path).suffix != ".npy" and h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            visit(file, note)
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
