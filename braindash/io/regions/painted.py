"""Regions of fsaverage5 for targets that a surface map brings there.

A region's mean is over its vertices, each of which has the weighted mean of its targets. That is
one weight for every target: the sum of its weights at the region's vertices.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from braindash.errors import InputError
from braindash.io.regions.masks import (
    HEMISPHERES,
    WHOLE,
    Hemisphere,
    Mask,
    PaintedRegions,
    Regions,
)
from braindash.io.regions.region_set import RegionSet
from braindash.io.spaces.surface_map import COMMON, SurfaceMap, main_columns
from braindash.io.surfaces import SPACES


def painted_regions(common: Regions, surface: SurfaceMap) -> Regions:
    """Bring the regions of fsaverage5 to the targets of a surface map.

    Parameters
    ----------
    common : Regions
        On the 20,484 vertices of fsaverage5.
    surface : SurfaceMap
        It has to lead to fsaverage5.

    Returns
    -------
    Regions
        On the targets: a region has those whose weight lies mostly in it.
    """
    matrix = _with_sums_of_one(surface.common)
    size = abs(matrix)
    left = np.arange(2 * SPACES[COMMON]) < SPACES[COMMON]
    total, on_left = (np.asarray(part.sum(axis=0)).ravel() for part in (size, size[left]))
    is_left = (total > 0) & (2 * on_left >= total)
    wholes: dict[Hemisphere, Mask] = {
        "both": np.ones(surface.n_targets, dtype=bool),
        "left": is_left,
        "right": (total > 0) & ~is_left,
    }
    vertices = {name: mask for name, mask in common.masks.items() if name != WHOLE}
    names, weights, shares, sizes = {}, {}, {}, {}
    for side in HEMISPHERES:
        part = np.ones_like(left) if side == "both" else left == (side == "left")
        kept = {name: mask & part for name, mask in vertices.items()}
        kept = {name: mask for name, mask in kept.items() if side == "both" or mask.any()}
        members = _rows(list(kept.values()), len(left))
        names[side] = tuple(kept)
        weights[side] = sparse.csr_array((members @ matrix).astype(np.float32))
        shares[side] = sparse.csr_array((members @ size).astype(np.float32))
        sizes[side] = {WHOLE: int(wholes[side].sum())}
        sizes[side] |= {name: int(mask.sum()) for name, mask in kept.items()}
    painted = PaintedRegions(names, weights, shares, total, wholes, sizes, vertices)
    return Regions(common.name, common.note, painted.masks("both"), is_left, painted)


def labels_on_targets(index: npt.NDArray[np.integer], surface: SurfaceMap) -> npt.NDArray[np.int32]:
    """Bring labels of a mesh's vertices to the targets of a surface map.

    Parameters
    ----------
    index : integer array of shape (n_vertices,)
        The label of every vertex of the map's mesh, the left hemisphere's first; -1 for none.
    surface : SurfaceMap

    Returns
    -------
    int32 array of shape (n_targets,)
        The label in which most of a target's weight lies; -1 where that is less than half of it.
    """
    size = abs(_with_sums_of_one(surface.matrix))
    kept = np.flatnonzero(index >= 0)
    shape = (int(index.max(initial=-1)) + 1, len(index))
    members = sparse.csr_array((np.ones(len(kept)), (index[kept], kept)), shape=shape)
    shares = sparse.csr_array((members @ size).T)
    found = main_columns(shares)
    total = np.asarray(size.sum(axis=0)).ravel()
    largest = shares.max(axis=1).toarray().ravel() if shape[0] else np.zeros_like(total)
    return np.where(2 * largest >= total, found, -1).astype(np.int32)


def sides_of_targets(surface: SurfaceMap) -> tuple[Mask, Mask]:
    """Mark the targets of a surface map that lie mostly on the left, and those on the right.

    Targets that no vertex takes anything of, such as voxels off the surface, are on neither.
    """
    size = abs(_with_sums_of_one(surface.matrix))
    total, on_left = (
        np.asarray(part.sum(axis=0)).ravel() for part in (size, size[: surface.n_left])
    )
    is_left = (total > 0) & (2 * on_left >= total)
    return is_left, (total > 0) & ~is_left


def set_on_targets(
    one: RegionSet, space: str, n_targets: int, surface: SurfaceMap | None
) -> Regions:
    """Find the regions of a set among targets: on their own mesh, or by their surface map.

    Parameters
    ----------
    one : RegionSet
        Of the fsaverage surfaces.
    space : str
        Space of the targets.
    n_targets : int
        How many there are.
    surface : SurfaceMap or None
        What brings them to a surface.

    Returns
    -------
    Regions
        Of all targets alone where nothing leads to fsaverage.
    """
    if surface is None or not surface.reaches_common:
        return one.regions(space, n_targets)
    if surface.n_targets != n_targets:
        raise InputError(
            f"the surface map is for {surface.n_targets} targets, the result has {n_targets}",
            hint="Compute the result again: its manifest's mapper or mask changed.",
        )
    return painted_regions(one.regions(COMMON, 2 * SPACES[COMMON]), surface)


def _with_sums_of_one(matrix: sparse.csr_array) -> sparse.csr_array:
    """Bring each vertex's weights to a sum of 1, so that all vertices count alike."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=np.abs(sums) > 1e-6)
    return sparse.csr_array(sparse.diags_array(scale, format="csr") @ matrix)


def _rows(masks: list[npt.NDArray[np.bool_]], n_vertices: int) -> sparse.csr_array:
    if not masks:
        return sparse.csr_array((0, n_vertices), dtype=np.float64)
    return sparse.csr_array(np.stack(masks)).astype(np.float64)
