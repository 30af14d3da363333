"""Voxels to vertices: by a pycortex transform, or approximately through a standard space."""

import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from braindash.errors import InputError
from braindash.files import parse_json, refuse_placeholder
from braindash.io.images.loading import load_image
from braindash.io.spaces.meshes import OwnSurfaces
from braindash.io.spaces.surface_map import COMMON, OWN, SurfaceMap
from braindash.io.surfaces import HEMISPHERES, SPACES, load_surface

Order = Literal["xyz", "zyx"]
Bools = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.int64]

TRANSFORM_NOTE = "voxels by the subject's pycortex transform (nearest voxel of the mid surface)"
SPHERE_NOTE = "to fsaverage by the nearest vertex on the registered sphere"
DEPTHS = 10
"""Points between the white and the pial surface that an approximate map takes the mean of."""


def read_mask(path: Path) -> tuple[Bools, npt.NDArray[np.float64]]:
    """Read a mask of voxels.

    Returns
    -------
    mask : bool array of shape (x, y, z)
        True where a voxel is a column.
    affine : float64 array of shape (4, 4)
        From voxel numbers to mm.

    Raises
    ------
    InputError
        The file is missing, no volume, or marks no voxel.
    """
    refuse_placeholder(path, "mask")
    if not path.is_file():
        raise InputError(f"there is no mask {path}", hint="Check mask in [responses].")
    try:
        image: Any = load_image(path)
        values = np.asarray(image.dataobj)
        affine = np.asarray(image.affine, dtype=np.float64)
    except Exception as error:  # nibabel raises many kinds for a broken file
        raise InputError(
            f"{path} cannot be read as a NIfTI mask: {error}", hint="Give a .nii or .nii.gz file."
        ) from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3 or not (values != 0).any():
        raise InputError(
            f"{path} is no mask: shape {values.shape}, {int((values != 0).sum())} voxels marked",
            hint="Give a volume of three dimensions whose voxels other than 0 are the columns.",
        )
    return np.nan_to_num(values) != 0, affine


def column_numbers(mask: Bools, order: Order) -> Columns:
    """Say which column of the responses each voxel of a mask is.

    Parameters
    ----------
    mask : bool array of shape (x, y, z)
        Which voxels are columns.
    order : {"xyz", "zyx"}
        "xyz": as ``data[mask]``; "zyx": as ``data.T[mask.T]``, which pycortex and the files of
        LeBel et al. have.

    Returns
    -------
    int64 array of shape (x, y, z)
        -1 where a voxel is no column.
    """
    numbers = np.full(mask.shape, -1, dtype=np.int64)
    turned, marked = (numbers, mask) if order == "xyz" else (numbers.T, mask.T)
    turned[marked] = np.arange(int(mask.sum()))
    return numbers


def require_voxels(mask: Bools, path: Path, n_targets: int) -> None:
    """Refuse a mask that has another number of voxels than the responses have columns."""
    if int(mask.sum()) != n_targets:
        raise InputError(
            f"the mask {path} has {int(mask.sum())} voxels, the responses have {n_targets} columns",
            hint="Is it the mask of another subject, or another mask than the responses were cut "
            "with? Name the right one as mask in [responses].",
        )


def read_transform(path: Path) -> npt.NDArray[np.float64]:
    """Read a pycortex transform: from mm of the surfaces to voxel numbers (x, y, z).

    Parameters
    ----------
    path : Path
        ``matrices.xfm``: JSON with ``coord``, 4 x 4.

    Raises
    ------
    InputError
        The file is missing or holds no such matrix.
    """
    refuse_placeholder(path, "transform")
    if not path.is_file():
        raise InputError(
            f"there is no transform {path}",
            hint="Check transform in [[subjects]]: it names a folder in pycortex's transforms.",
        )
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        matrix = np.asarray(found["coord"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} holds no matrix 'coord': {error}",
            hint="A pycortex transform is JSON with the matrices coord and magnet.",
        ) from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InputError(
            f"'coord' in {path} has shape {matrix.shape}, or holds what is no number",
            hint="A pycortex transform has 4 x 4 numbers.",
        )
    return matrix


def through_transform(
    own: OwnSurfaces, coord: npt.NDArray[np.float64], columns: Columns
) -> SurfaceMap:
    r"""Give every vertex the voxel in which the middle of its cortex lies.

    The middle is the mean of the pial and the white surface; its voxel is
    :math:`\mathrm{rint}(C\,[x, y, z, 1])`.

    Parameters
    ----------
    own : OwnSurfaces
        With "pial" and "white".
    coord : array of shape (4, 4)
        C, of :func:`read_transform`.
    columns : int64 array of shape (x, y, z)
        Of :func:`column_numbers`.
    """
    middle = np.concatenate(
        [
            (
                own.shapes["pial"][side].coordinates.astype(np.float64)
                + own.shapes["white"][side].coordinates
            )
            / 2
            for side in HEMISPHERES
        ]
    )
    places = np.rint(middle @ coord[:3, :3].T + coord[:3, 3]).astype(np.int64)
    inside = ((places >= 0) & (places < columns.shape)).all(axis=1)
    found = np.full(len(middle), -1, dtype=np.int64)
    found[inside] = columns[tuple(places[inside].T)]
    note = TRANSFORM_NOTE if own.nearest is None else f"{TRANSFORM_NOTE}, {SPHERE_NOTE}"
    return SurfaceMap(
        one_each(found, int(columns.max()) + 1),
        OWN,
        own.counts[0],
        note,
        own.shapes,
        own.depth,
        own.nearest,
        own.nearest_common,
    )


def one_each(columns: npt.NDArray[np.integer[Any]], n_targets: int) -> sparse.csr_array:
    """Make the matrix that gives every row one column's value; -1: none."""
    rows = np.flatnonzero(columns >= 0)
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_array((ones, (rows, columns[rows])), shape=(len(columns), n_targets))


def through_standard_space(
    affine: npt.NDArray[np.float64], columns: Columns, volume_space: str
) -> SurfaceMap:
    """Take the mean of each vertex's voxels along its cortex, as nilearn's ``vol_to_surf`` does.

    Points at ten depths from the white to the pial surface of fsaverage5 are read by linear
    interpolation, with fsaverage's coordinates taken as those of the volume's space: right to a
    few mm, and for no single subject.

    Parameters
    ----------
    affine : array of shape (4, 4)
        From voxel numbers to mm.
    columns : int64 array of shape (x, y, z)
        Of :func:`column_numbers`.
    volume_space : str
        Name of the volume's space, which the note tells.
    """
    to_voxels = np.linalg.inv(affine)
    parts = []
    for side in HEMISPHERES:
        white, pial = (
            load_surface(kind, COMMON)[side].coordinates.astype(np.float64)
            for kind in ("white", "pial")
        )
        for share in np.linspace(0, 1, DEPTHS):
            points = white + share * (pial - white)
            parts.append(_linear(points @ to_voxels[:3, :3].T + to_voxels[:3, 3], columns))
    half = len(parts) // 2
    n_targets = int(columns.max()) + 1
    shape = (SPACES[COMMON], n_targets)
    sides = []
    for group in (parts[:half], parts[half:]):
        rows, found, weights = (np.concatenate(one) for one in zip(*group, strict=True))
        sides.append(sparse.csr_array((weights, (rows, found)), shape=shape))
    matrix = sparse.csr_array(sparse.vstack(sides, format="csr"))
    matrix.sum_duplicates()
    matrix.data = (matrix.data / DEPTHS).astype(np.float32)
    return SurfaceMap(matrix, COMMON, SPACES[COMMON], approximate_note(volume_space))


def approximate_note(volume_space: str) -> str:
    """Say what an approximate map is, and of which space."""
    if "colin27" in volume_space.lower():
        return (
            "approximate: volume to surface (fsaverage5) through the space of one brain, Colin27, "
            "which is not MNI152"
        )
    return f"approximate: volume to surface (fsaverage5) through {volume_space}"


def _linear(
    places: npt.NDArray[np.float64], columns: Columns
) -> tuple[Columns, Columns, npt.NDArray[np.float64]]:
    """Return rows, columns and weights of linear interpolation at voxel places (n_points, 3)."""
    low = np.floor(places).astype(np.int64)
    share = places - low
    rows, found, weights = [], [], []
    for corner in itertools.product((0, 1), repeat=3):
        at = low + corner
        weight = np.where(corner, share, 1 - share).prod(axis=1)
        inside = ((at >= 0) & (at < columns.shape)).all(axis=1) & (weight > 0)
        column = columns[tuple(at[inside].T)]
        kept = column >= 0
        rows.append(np.flatnonzero(inside)[kept])
        found.append(column[kept])
        weights.append(weight[inside][kept])
    return np.concatenate(rows), np.concatenate(found), np.concatenate(weights)
