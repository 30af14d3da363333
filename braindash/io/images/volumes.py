"""Time series of volumes: NIfTI (.nii, .nii.gz), all voxels or those of a mask.

The order of targets is numpy's of ``data[mask]``: x is the slowest axis of the voxels, z the
fastest, as nilearn's maskers have it.
"""

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.dataset.array_kinds import damaged
from braindash.io.images.loading import load_image

Values = NDArray[np.float32]

# Volumes are unpacked so many bytes at a time.
_BLOCK_BYTES = 64 << 20
# In mm: by how much the corners of a mask's voxel grid may miss those of the responses.
_GRID_MM = 0.1


def volume_series(path: Path, mask: Path | None) -> tuple[tuple[int, int], Callable[[], Values]]:
    """Open a series of volumes.

    Parameters
    ----------
    path : Path
        A NIfTI file of four dimensions (x, y, z, time).
    mask : Path or None
        A NIfTI file of the same grid: targets are its voxels that are not 0. None: all voxels.

    Returns
    -------
    shape : tuple of int
        (n_rows, n_voxels).
    decode : callable
        Reads the values, float32.

    Raises
    ------
    InputError
        A file is damaged or no series of volumes, or the mask is of another grid or empty.
    """
    image = _loaded(path, "response file")
    if len(image.shape) != 4:
        raise InputError(
            f"{path} has the shape {image.shape}, but four dimensions (x, y, z, time) are needed",
            hint="Give the series of volumes of one run, not a mean or a mask.",
        )
    chosen = np.ones(image.shape[:3], bool) if mask is None else _mask(path, image, mask)
    return (int(image.shape[3]), int(chosen.sum())), partial(_values, path, chosen)


def volume_grid(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Read where the voxels of a series of volumes are.

    Parameters
    ----------
    path : Path
        A NIfTI file.

    Returns
    -------
    shape : tuple of int
        Voxels along x, y and z.
    affine : float64 array of shape (4, 4)
        From voxel numbers to mm.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    image = _loaded(path, "response file")
    n_x, n_y, n_z = map(int, image.shape[:3])
    return (n_x, n_y, n_z), np.asarray(image.affine, dtype=np.float64)


def _loaded(path: Path, what: str) -> Any:
    refuse_placeholder(path, what)
    if not path.is_file():
        raise InputError(f"there is no {what} {path}", hint="Correct its name in the manifest.")
    try:
        # A compressed file that is opened for each volume would be unpacked from its start again.
        return load_image(path, keep_file_open=True)
    except Exception as error:  # nibabel lets the errors of zlib, struct and numpy through
        raise damaged(path, error) from error


def _mask(path: Path, image: Any, mask: Path) -> NDArray[np.bool_]:
    found = _loaded(mask, "mask")
    try:
        values = np.asarray(found.dataobj)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise damaged(mask, error) from error
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.shape != image.shape[:3]:
        raise InputError(
            f"the mask {mask} has the shape {values.shape}, the volumes {path} "
            f"{tuple(image.shape[:3])}",
            hint="Give a mask on the grid of the responses (nilearn.image.resample_to_img, "
            "interpolation 'nearest').",
        )
    corner = np.array([*image.shape[:3], 1.0])
    misses = np.abs((image.affine - found.affine) @ corner)[:3].max()
    if misses > _GRID_MM:
        raise InputError(
            f"the mask {mask} lies {misses:.1f} mm beside the volumes {path}",
            hint="Give a mask on the grid of the responses: same voxels, same affine.",
        )
    chosen = np.asarray(np.nan_to_num(values.astype(np.float32)) != 0)
    if not chosen.any():
        raise InputError(f"the mask {mask} marks no voxel", hint="Give another mask.")
    return chosen


def _values(path: Path, chosen: NDArray[np.bool_]) -> Values:
    image = _loaded(path, "response file")
    n_rows = image.shape[3]
    values = np.empty((n_rows, int(chosen.sum())), dtype=np.float32)
    step = max(1, _BLOCK_BYTES // max(1, 8 * chosen.size))
    try:
        for first in range(0, n_rows, step):
            block = np.asarray(image.dataobj[..., first : first + step])
            values[first : first + step] = block[chosen].T
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    return values
