"""Time series on surfaces: GIFTI (.func.gii, .gii) and CIFTI-2 (.dtseries.nii, .ptseries.nii)."""

import logging
import math
import re
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.dataset.array_kinds import damaged
from braindash.io.images.loading import (
    DEFLATED_AT_MOST,
    gifti_arrays,
    gifti_content,
    gifti_sizes,
    load_gifti,
    require_held,
)

logger = logging.getLogger(__name__)

Values = NDArray[np.float32]

# Vertices of one hemisphere in meshes that everybody has: fsaverage3 to fsaverage7, fsLR.
MESH_SIZES = (642, 2562, 10242, 40962, 163842, 32492, 59292)
_NOT_SERIES = {
    "NIFTI_INTENT_POINTSET": "the coordinates of a surface",
    "NIFTI_INTENT_TRIANGLE": "the triangles of a surface",
    "NIFTI_INTENT_LABEL": "labels",
}
_SERIES_HINT = "Give a time series: one array per volume (.func.gii), as fMRIPrep writes them."
_N_ARRAYS = re.compile(rb"NumberOfDataArrays\s*=\s*[\"'](\d+)")
_HEAD_BYTES = 1 << 14
# Number of the header's extension in NIfTI-2.
_CIFTI_CODE = 32
_CORTEX = {
    "CIFTI_STRUCTURE_CORTEX_LEFT": 0,
    "CIFTI_STRUCTURE_CORTEX_RIGHT": 1,
}


def gifti_values(path: Path) -> Values:
    """Read a GIFTI time series: one data array per volume, or one of all.

    Parameters
    ----------
    path : Path
        Any encoding (ASCII, base64, gzip) and byte order.

    Returns
    -------
    array of shape (n_rows, n_vertices), float32
        Of one two-dimensional array the vertices are the axis that has the size of a known mesh;
        else the first one, as GIFTI says.

    Raises
    ------
    InputError
        The file is damaged, holds a surface or labels, keeps its values in another file, or has
        arrays of unequal size.
    """
    from nibabel.nifti1 import intent_codes

    try:
        arrays = load_gifti(path).darrays
    except InputError:
        raise
    except Exception as error:  # nibabel lets the errors of expat, zlib and numpy through
        raise damaged(path, error) from error
    for array in arrays:
        what = _NOT_SERIES.get(str(intent_codes.niistring[array.intent]))
        if what is not None:
            raise InputError(f"{path} holds {what}, not a time series", hint=_SERIES_HINT)
    return _stacked(path, [np.asarray(array.data) for array in arrays])


def gifti_shape(path: Path) -> tuple[int, int]:
    """Read the size of a GIFTI time series; values are decoded where headers do not tell it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of int
        (n_rows, n_vertices).

    Raises
    ------
    InputError
        See :func:`gifti_values`.
    """
    try:
        content = gifti_content(path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise damaged(path, error) from error
    told = None
    if content.rstrip()[-8:] == b"</GIFTI>" and b"ExternalFileBinary" not in content:
        told = _told_shape(gifti_arrays(content))
    if told is not None and math.prod(told) > len(content) * DEFLATED_AT_MOST:
        told = None
    if told is not None:
        return told
    n_rows, n_vertices = gifti_values(path).shape
    return n_rows, n_vertices


def gifti_told_rows(path: Path) -> int | None:
    """Return how many volumes the head of a GIFTI file says it has, without reading the rest.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int or None
        None where the head does not tell: one array may hold all volumes.
    """
    with path.open("rb") as stream:
        start = stream.read(_HEAD_BYTES)
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, _HEAD_BYTES)
        except zlib.error:
            return None
    found = _N_ARRAYS.search(start)
    n_arrays = 0 if found is None else int(found[1])
    return n_arrays if n_arrays > 1 else None


def _told_shape(arrays: list[dict[str, str]]) -> tuple[int, int] | None:
    """Return the size that the headers of a file's arrays say; None where they are no series."""
    try:
        sizes = {gifti_sizes(one) for one in arrays if one["Intent"] not in _NOT_SERIES}
    except (KeyError, ValueError):
        return None
    if len(sizes) != 1 or any(one["Intent"] in _NOT_SERIES for one in arrays):
        return None
    (size,) = sizes
    if len(arrays) == 1 and len(size) == 2:
        turned = _is_turned(size)
        return (size[0], size[1]) if turned else (size[1], size[0])
    return (len(arrays), size[0]) if len(size) == 1 else None


def _is_turned(size: tuple[int, ...]) -> bool:
    """Say whether a single array has the vertices as its second axis."""
    return size[1] in MESH_SIZES and size[0] not in MESH_SIZES


def _stacked(path: Path, arrays: list[NDArray[Any]]) -> Values:
    if not arrays:
        raise InputError(f"{path} holds no array", hint=_SERIES_HINT)
    if len(arrays) == 1 and arrays[0].ndim == 2:
        (one,) = arrays
        return np.ascontiguousarray(one if _is_turned(one.shape) else one.T, dtype=np.float32)
    flat = [array.reshape(-1) if 1 in array.shape else array for array in arrays]
    if {array.ndim for array in flat} != {1} or len({array.shape for array in flat}) > 1:
        shapes = sorted({tuple(array.shape) for array in flat})
        raise InputError(
            f"{path} holds {len(arrays)} arrays of the shapes {shapes[:3]}", hint=_SERIES_HINT
        )
    return np.stack(flat).astype(np.float32)


# ---- CIFTI-2 ------------------------------------------------------------------------------------


def cifti_series(path: Path) -> tuple[tuple[int, int], Callable[[], Values]]:
    """Open a dense or parcellated series of CIFTI-2.

    Of a dense series the cortex of both hemispheres is placed by its own index on the whole mesh,
    left then right, with NaN where it has no values (the medial wall); the rest is left out.

    Parameters
    ----------
    path : Path
        A .dtseries.nii or .ptseries.nii file.

    Returns
    -------
    shape : tuple of int
        (n_rows, n_vertices of both hemispheres), or (n_rows, n_parcels).
    decode : callable
        Reads the values, float32.

    Raises
    ------
    InputError
        The file is damaged, is no series, or has no cortex.
    """
    import nibabel

    try:
        image: Any = nibabel.Nifti2Image.from_filename(path)
        require_held(path, image)
        *_, n_rows, n_columns = image.shape
        header = _cifti_header(image)
        series, columns = (header.matrix.get_index_map(number) for number in (0, 1))
    except Exception as error:  # nibabel lets the errors of expat, zlib and numpy through
        raise damaged(path, error) from error
    if series.indices_map_to_data_type != "CIFTI_INDEX_TYPE_SERIES":
        raise InputError(
            f"{path} is CIFTI-2, but no time series", hint="Give a .dtseries.nii or .ptseries.nii."
        )
    if columns.indices_map_to_data_type != "CIFTI_INDEX_TYPE_BRAIN_MODELS":
        return (n_rows, n_columns), partial(_plain, path, image)
    place, size = cortex_places(path, columns.brain_models, n_columns)
    n_left_out = int((place < 0).sum())
    if n_left_out:
        logger.info("%s: %d values outside the cortex are left out", path, n_left_out)
    return (n_rows, size), partial(_placed, path, image, place, size)


def _cifti_header(image: Any) -> Any:
    """Return what the extension of CIFTI says about rows and columns."""
    found = [one for one in image.header.extensions if one.get_code() == _CIFTI_CODE]
    if not found:
        raise ValueError("it has no header of CIFTI")
    return found[0].get_content()


def cortex_places(path: Path, models: Any, n_columns: int) -> tuple[NDArray[np.int64], int]:
    """Return each grayordinate's place on both meshes (-1: none), and the meshes' size.

    Parameters
    ----------
    path : Path
        The file, for errors.
    models : iterable of nibabel's Cifti2BrainModel
    n_columns : int
        Grayordinates.

    Raises
    ------
    InputError
        The cortex of a hemisphere is lacking.
    """
    parts: dict[int, Any] = {}
    for model in models:
        side = _CORTEX.get(model.brain_structure)
        if side is not None:
            parts[side] = model
    if len(parts) < 2:
        raise InputError(
            f"{path} has no cortex of {'the right' if 0 in parts else 'the left'} hemisphere",
            hint="Give a file with the cortex of both hemispheres, as fMRIPrep's "
            "--cifti-output and the HCP pipelines write it.",
        )
    place = np.full(n_columns, -1, dtype=np.int64)
    before = 0
    for side in (0, 1):
        model = parts[side]
        vertices = np.asarray(list(model.vertex_indices), dtype=np.int64)
        place[model.index_offset : model.index_offset + model.index_count] = vertices + before
        before += int(model.surface_number_of_vertices)
    return place, before


def _plain(path: Path, image: Any) -> Values:
    try:
        return np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[-2:])
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error


def _placed(path: Path, image: Any, place: NDArray[np.int64], size: int) -> Values:
    values = _plain(path, image)
    placed = np.full((len(values), size), np.nan, dtype=np.float32)
    placed[:, place[place >= 0]] = values[:, place >= 0]
    return placed
