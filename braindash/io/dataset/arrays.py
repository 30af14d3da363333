"""Arrays in .npy and HDF5 files: opened by what the file is, checked, never unpickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError, near_match

_NPY_MAGIC = b"\x93NUMPY"
_HDF5_MAGIC = b"\x89HDF"
_FORMATS = ".npy and HDF5 (.hf5, .h5, .hdf5) files with real numbers"
_KEYS_SHOWN = 12


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
    if magic == _NPY_MAGIC:
        yield _opened_npy(path)
    elif magic.startswith(_HDF5_MAGIC) or h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            yield _hdf5_array(file, path, key)
    else:
        raise InputError(
            f"the response file {path} ({path.stat().st_size} bytes) is neither .npy nor HDF5",
            hint=f"Allowed are {_FORMATS}. Convert other formats, for example with nibabel and "
            "numpy.save.",
        )


def existing_file(path: Path) -> Path:
    """Give ``path`` back, or say why there is no file."""
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "missing"
        if path.is_symlink():
            kind = "a link to nothing (with git-annex or DataLad, `git annex get` it first)"
        raise InputError(
            f"the response file {path} is {kind}",
            hint="Check responses.path (or response in [[runs]]) of the manifest; paths are "
            "relative to the manifest's own folder.",
        )
    return path


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(len(_NPY_MAGIC))
    except OSError as error:
        raise _damaged(path, error) from error


def _opened_npy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise _not_numbers(path, "Python objects") from error
        raise _damaged(path, error) from error
    return array


@contextmanager
def _opened_hdf5(path: Path) -> Iterator[h5py.File]:
    try:
        # Network shares often refuse locks; reading needs none.
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise _damaged(path, error) from error
    with file:
        yield file


def _hdf5_array(file: h5py.File, path: Path, key: str | None) -> h5py.Dataset:
    item = file.get(key) if key else None
    if isinstance(item, h5py.Dataset):
        return item
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
    kind = array.dtype
    if not (np.issubdtype(kind, np.floating) or np.issubdtype(kind, np.integer)):
        raise _not_numbers(path, "Python objects or text" if kind.hasobject else str(kind))
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


def _not_numbers(path: Path, kind: str) -> InputError:
    return InputError(
        f"{path} holds {kind}, not real numbers",
        hint=f"Allowed are {_FORMATS} (float16, float32, float64 or integers). Python objects are "
        "never read: save the array again with numpy.save(..., allow_pickle=False).",
    )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"the response file {path} ({path.stat().st_size} bytes) cannot be read: {error}",
        hint="It may be damaged or only partly copied: copy it again (git-annex: `git annex get`).",
    )


def _names(paths: tuple[Path, ...]) -> str:
    return " + ".join(map(str, paths))


def available_keys(path: Path) -> dict[str, tuple[int, ...]]:
    """List the arrays of an HDF5 file with their shapes; nothing for other files."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item.shape or ()

    if existing_file(path).suffix != ".npy" and h5py.is_hdf5(path):
        with _opened_hdf5(path) as file:
            file.visititems(note)
    return found


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
