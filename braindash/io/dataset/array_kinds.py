"""What an array file is when it is no plain matrix of numbers, said before anything is computed.

HDF5 data sets may be packed by filters that are not installed, or hold references; MATLAB writes
matrices with their axes turned, and cells, structs, texts and sparse matrices in ways of its own;
other programs' files are told by how they begin.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from braindash.errors import InputError

FORMATS = (
    ".npy and HDF5 (.hf5, .h5, .hdf5, MATLAB's -v7.3) files with real numbers, GIFTI (.func.gii), "
    "CIFTI-2 (.dtseries.nii) and NIfTI (.nii, .nii.gz)"
)
_PLAIN = (
    "Python objects are never read: save the array again with numpy.save(..., allow_pickle=False)."
)
TURN_MATLAB = (
    "MATLAB's -v7.3 files hold matrices with their axes turned: there, save the targets as rows "
    "(data = data.'; save('FILE.mat', 'data', '-v7.3')), or convert it to .npy of (n_rows, "
    "n_targets)."
)
_LEAVE_MATLAB = f"Save the matrix itself. {TURN_MATLAB}"
_OLD_MATLAB = (
    "Convert it: numpy.save('FILE.npy', scipy.io.loadmat('FILE.mat')['data']), one row per TR. "
    f"Or save it again with '-v7.3': {TURN_MATLAB}"
)
# How files of other programs begin.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"MATLAB 5.0", "a MATLAB file older than -v7.3"),
    (b"PK", "a zip archive, such as .npz"),
    (b"\x1f\x8b", "compressed by gzip, but neither NIfTI nor GIFTI"),
    (b"<?xml", "XML, but no GIFTI"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"CDF", "netCDF 3"),
    (b"PAR1", "Parquet"),
    (b"\xff\xff\xfe", "a surface of FreeSurfer"),
)
BEGINNING_BYTES = 16
# Groups of MATLAB's files that hold what cells and objects refer to.
_MATLAB_OWN = ("#refs#", "#subsystem#")
_HDF5PLUGIN = (
    "Run `pip install hdf5plugin`, which reads most of them, or write the file anew: "
    "`h5repack -f GZIP=4 OLD NEW`."
)


def foreign(path: Path, beginning: bytes) -> InputError:
    """Make the error for a file of none of the formats that are read."""
    name = next((name for start, name in _BEGINNINGS if beginning.startswith(start)), "")
    told = f"is {name}, none of the formats that are read" if name else "is of no known format"
    hint = f"Allowed are {FORMATS}. Convert other formats with numpy.save."
    return InputError(
        f"the response file {path} ({path.stat().st_size} bytes) {told}",
        hint=_OLD_MATLAB if "MATLAB" in name else hint,
    )


def damaged(path: Path, error: Exception, what: str = "response file") -> InputError:
    """Make the error for a file that its own reader cannot read."""
    return InputError(
        f"the {what} {path} ({path.stat().st_size} bytes) cannot be read: {error}",
        hint="It may be damaged or only partly copied: copy it again (git-annex: `git annex get`).",
    )


def is_matlab(array: Any) -> bool:
    """Say whether MATLAB wrote an HDF5 data set: then its axes are turned."""
    return isinstance(array, h5py.Dataset | h5py.Group) and "MATLAB_class" in array.attrs


def hidden_in_matlab(name: str) -> bool:
    """Say whether a name of an HDF5 file is one that only MATLAB itself uses."""
    return name.split("/")[0] in _MATLAB_OWN


def require_filters(array: h5py.Dataset, path: Path) -> None:
    """Refuse a data set packed by filters that this machine does not have.

    Raises
    ------
    InputError
        With their names.
    """
    missing = list(_missing_filters(array))
    if missing:
        # The plugin adds its filters when it is imported; nothing else needs it.
        with suppress(ImportError):
            import hdf5plugin  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
        missing = list(_missing_filters(array))
    if missing:
        raise InputError(
            f"{path} is packed by {' and '.join(missing)}, which is not installed here",
            hint=_HDF5PLUGIN,
        )


def _missing_filters(array: h5py.Dataset) -> Iterator[str]:
    made = array.id.get_create_plist()
    for place in range(made.get_nfilters()):
        number, _, _, name = made.get_filter(place)
        if not h5py.h5z.filter_avail(number):
            shown = name.decode("utf-8", "replace").strip("\0 ")
            yield f"the HDF5 filter {shown or 'without a name'} ({number})"


def refuse_no_numbers(array: Any, path: Path) -> None:
    """Refuse an array that does not hold real numbers, and say what it holds.

    Parameters
    ----------
    array : h5py.Dataset or numpy.ndarray
        Array whose ``dtype`` and attributes are looked at.
    path : Path
        Where it comes from, for the error.

    Raises
    ------
    InputError
        For cells, structs, texts, complex numbers and the like.
    """
    if is_matlab(array):
        _refuse_matlab(array, path)
    kind = array.dtype
    if np.issubdtype(kind, np.floating) or np.issubdtype(kind, np.integer):
        return
    raise no_numbers(path, _kind_name(kind))


def no_numbers(path: Path, kind: str) -> InputError:
    """Make the error that says what a file holds in place of numbers."""
    hint = f"Allowed are {FORMATS} (float16, float32, float64 or integers). {_PLAIN}"
    return InputError(f"{path} holds {kind}, not real numbers", hint=hint)


def refuse_group(group: h5py.Group, path: Path, key: str) -> None:
    """Refuse a group that is in truth one of MATLAB's own kinds of arrays."""
    if "MATLAB_sparse" in group.attrs:
        raise InputError(
            f"{key!r} in {path} is a sparse MATLAB matrix",
            hint=f"Make it full: data = full(data). {_LEAVE_MATLAB}",
        )
    if _matlab_class(group) == "struct":
        fields = ", ".join(f"{key}/{name}" for name in list(group)[:6])
        raise InputError(
            f"{key!r} in {path} is a MATLAB struct, not a matrix",
            hint=f"Name one of its fields as responses.key ({fields}), or save the matrix itself.",
        )


def _matlab_class(item: Any) -> str:
    given = item.attrs.get("MATLAB_class", b"")
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def _refuse_matlab(array: h5py.Dataset, path: Path) -> None:
    kind = _matlab_class(array)
    if kind == "cell":
        raise InputError(
            f"{path} holds a MATLAB cell array (references), not a matrix",
            hint=f"Take the matrix out of its cell, data = c{{1}}. {TURN_MATLAB}",
        )
    if "MATLAB_empty" in array.attrs:
        raise InputError(f"{path} holds an empty MATLAB matrix", hint=_LEAVE_MATLAB)
    if kind in ("char", "string", "function_handle", "logical"):
        raise InputError(
            f"{path} holds a MATLAB {kind}, not a matrix of numbers", hint=_LEAVE_MATLAB
        )


def _kind_name(kind: np.dtype[Any]) -> str:
    """Say in words what a type of numpy or HDF5 is."""
    if h5py.check_ref_dtype(kind) is not None:
        return "references to other parts of the file"
    if h5py.check_string_dtype(kind) is not None or kind.kind in "SU":
        return "text"
    if h5py.check_vlen_dtype(kind) is not None:
        return "rows of unequal length"
    if kind.hasobject:
        return "Python objects"
    fields = kind.names
    if kind.kind == "c" or (fields and set(fields) in ({"real", "imag"}, {"r", "i"})):
        return "complex numbers"
    if fields:
        return f"a structured array (fields {', '.join(fields)})"
    names = {"b": "truth values", "M": "dates", "m": "durations", "V": "raw bytes"}
    return names.get(kind.kind, str(kind))
