"""Volumes of labels and masks, such as localisers, read at the voxels that are targets."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.dataset.arrays import is_volume
from braindash.io.dataset.dataset import Dataset
from braindash.io.images.loading import load_image
from braindash.io.spaces.volumes import Columns, column_numbers, read_mask
from braindash.names import given_path

_ENDINGS = (".nii", ".nii.gz", ".mgz")
# In mm: by how much the corners of a volume may miss those of the targets' grid.
_GRID_MM = 0.1


class _Grid(NamedTuple):
    """The voxels of a data set: which column each is (-1: none), and where they lie."""

    columns: Columns
    affine: npt.NDArray[np.float64]
    source: Path


def is_volume_of_voxels(path: Path) -> bool:
    """Say whether a file holds a volume, not one value for each vertex."""
    if not path.name.lower().endswith(_ENDINGS) or not path.is_file():
        return False
    refuse_placeholder(path, "mask or map")
    return bool(sum(size > 1 for size in _loaded(path).shape) > 1)


def voxel_values(dataset: Dataset, subject: str, path: Path) -> npt.NDArray[Any] | None:
    """Read the values of a volume at the voxels that are columns of the responses.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    path : Path
        A volume (.nii, .nii.gz, .mgz) on the grid of the responses' mask, or of the responses.

    Returns
    -------
    array of shape (n_columns,), or None
        None where nobody says which voxels the columns are.

    Raises
    ------
    InputError
        The volume is of another grid, or holds several.
    """
    grid = _grid(dataset, subject) if subject in dataset.subjects else None
    if grid is None:
        return None
    image = _loaded(path)
    values = np.asarray(image.dataobj)
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.ndim != 3:
        raise InputError(
            f"{path} has the shape {values.shape}, and one volume is needed",
            hint="Write the volume that is meant to a file of its own.",
        )
    corner = np.array([*grid.columns.shape, 1.0])
    same = values.shape == grid.columns.shape
    misses = np.abs((image.affine - grid.affine) @ corner)[:3].max() if same else np.inf
    if misses > _GRID_MM:
        told = f"lies {misses:.1f} mm beside" if same else f"has the shape {values.shape}, not"
        raise InputError(
            f"{path} {told} the grid of {grid.source}"
            + ("" if same else f", {tuple(grid.columns.shape)}"),
            hint="Bring it to that grid (nilearn.image.resample_to_img, interpolation 'nearest').",
        )
    inside = grid.columns >= 0
    found = np.empty(int(inside.sum()), dtype=values.dtype)
    found[grid.columns[inside]] = values[inside]
    return found


def _loaded(path: Path) -> Any:
    try:
        return load_image(path)
    except Exception as error:  # nibabel raises many kinds for a broken file
        raise InputError(
            f"{path} cannot be read as a volume: {error}", hint="Give a .nii or .nii.gz file."
        ) from error


def _grid(dataset: Dataset, subject: str) -> _Grid | None:
    """Find which voxel each column is; None where the manifest does not say it."""
    table, stories = dataset.subject(subject), dataset.stories(subject)
    mask = dataset.mask_path(subject)
    by_transform = table.transform is not None and table.pycortex is not None
    if mask is None and table.transform is not None and table.pycortex is not None:
        folder = given_path(table.pycortex.format(subject=table.id), dataset.folder)
        name = table.transform.format(subject=table.id)
        mask = folder / "transforms" / name / "mask_thick.nii.gz"
    first = dataset.responses(subject, stories[0]).paths[0] if stories else None
    of_volumes = first is not None and first.is_file() and is_volume(first)
    if mask is not None:
        marked, affine = read_mask(mask)
        usual = "zyx" if by_transform else "xyz"
        order = dataset.tables.responses.mask_order or usual
        columns = column_numbers(marked, "xyz" if of_volumes or order == "xyz" else "zyx")
        return _Grid(columns, affine, mask)
    if not of_volumes or first is None:
        return None
    image = _loaded(first)
    size = image.shape[:3]
    return _Grid(np.arange(int(np.prod(size))).reshape(size), image.affine, first)
