"""One way to open a time series of neuroimaging, whatever its format, as (n_rows, n_targets).

GIFTI and CIFTI-2 surfaces and NIfTI volumes are told apart by their content. Their values are
decoded once and kept as long as the file stays the same, up to a limit.
"""

import gzip
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.images.surfaces import cifti_series, gifti_shape, gifti_values
from braindash.io.images.volumes import volume_series

Values = NDArray[np.float32]

# Decoded series that are kept: what one subject's stories take in common spaces.
_KEPT_BYTES = 1 << 30
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 544
_NIFTI_1, _NIFTI_2 = 348, 540
_CIFTI_ENDINGS = (".dtseries.nii", ".ptseries.nii", ".dscalar.nii", ".dlabel.nii", ".dconn.nii")


@dataclass(frozen=True)
class TimeSeries:
    """One time series of a file: its size is known, its values are decoded when asked for.

    Attributes
    ----------
    path : Path
        The file.
    shape : tuple of int
        (n_rows, n_targets).
    """

    path: Path
    shape: tuple[int, int]
    _decode: Callable[[], Values]
    _state: tuple[Any, ...]

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Type of the values that come back."""
        return np.dtype(np.float32)

    def __getitem__(self, place: Any) -> Values:
        """Return some of the values, as numpy does."""
        values: Values = _DECODED.get(self._state, self._decode)[place]
        return values


class _Decoded:
    """The series that were decoded last, in all not more than a number of bytes."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._kept: OrderedDict[tuple[Any, ...], Values] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, state: tuple[Any, ...], decode: Callable[[], Values]) -> Values:
        with self._lock:
            if state in self._kept:
                self._kept.move_to_end(state)
                return self._kept[state]
        values = decode()
        values.flags.writeable = False
        with self._lock:
            self._kept[state] = values
            while len(self._kept) > 1 and self._size() > self._n_bytes:
                self._kept.popitem(last=False)
        return values

    def _size(self) -> int:
        return sum(values.nbytes for values in self._kept.values())


_DECODED = _Decoded(_KEPT_BYTES)


def series_kind(beginning: bytes, path: Path) -> str:
    """Say which format a file has: ``"gifti"``, ``"cifti"``, ``"nifti"`` or nothing.

    Parameters
    ----------
    beginning : bytes
        First bytes of the file.
    path : Path
        The file, of which more is read where it is compressed.
    """
    if beginning.startswith(_GZIP):
        beginning = _unpacked(path, _HEADER_BYTES)
    start = beginning.lstrip()
    if start.startswith((b"<?xml", b"<GIFTI", b"<!DOCTYPE GIFTI", b"\xef\xbb\xbf<?xml")):
        return "gifti" if _has(path, b"<GIFTI") else ""
    sizes = {int.from_bytes(beginning[:4], order) for order in ("little", "big")}
    if _NIFTI_1 in sizes or _NIFTI_2 in sizes:
        if _NIFTI_2 in sizes and path.name.lower().endswith(_CIFTI_ENDINGS):
            return "cifti"
        return "nifti"
    return ""


def open_series(path: Path, kind: str, mask: Path | None) -> TimeSeries:
    """Open a time series without decoding more than is needed to know its size.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Of :func:`series_kind`.
    mask : Path or None
        Of a volume: which voxels are targets.

    Raises
    ------
    InputError
        The file is damaged, is no time series, or does not fit the mask.
    """
    if mask is not None and kind != "nifti":
        raise InputError(
            f"the mask {mask} is for volumes, but {path} holds "
            f"{'a surface' if kind == 'gifti' else 'grayordinates'}",
            hint="Leave mask out, or name the volumes (.nii, .nii.gz) in responses.path.",
        )
    state = (kind, *map(_file_state, (path, *(() if mask is None else (mask,)))))
    shape, decode = _opened(kind, path, mask, state)
    return TimeSeries(path, (int(shape[0]), int(shape[1])), decode, state)


@lru_cache(maxsize=512)
def _opened(
    kind: str, path: Path, mask: Path | None, state: tuple[Any, ...]
) -> tuple[tuple[int, ...], Callable[[], Values]]:
    """Read a header once, for as long as the files do not change."""
    if kind == "gifti":
        return gifti_shape(path), partial(gifti_values, path)
    return cifti_series(path) if kind == "cifti" else volume_series(path, mask)


def _file_state(path: Path) -> tuple[str, int, int]:
    status = path.resolve().stat()
    return (str(path.resolve()), status.st_size, status.st_mtime_ns)


def _unpacked(path: Path, n_bytes: int) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            return stream.read(n_bytes)
    except (OSError, EOFError, zlib.error):
        return b""


def _has(path: Path, word: bytes) -> bool:
    if word in _unpacked(path, 1 << 14):
        return True
    with open(path, "rb") as stream:
        return word in stream.read(1 << 14)
