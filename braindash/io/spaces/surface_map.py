"""From targets to vertices: a sparse matrix, the mesh that it leads to, and what it is.

Results stay in the space in which they were fitted. A surface map is kept beside them, and brings
their scores to a surface when they are shown, or averaged over regions of the cortex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import sparse

from braindash.errors import InputError
from braindash.io.surfaces import HEMISPHERES, SPACE_NAMES, SPACES, Mesh, coarsen, refine

COMMON = "fsaverage5"
"""The mesh that regions are of."""
OWN = "own"
"""Name of a mesh that belongs to a subject or a lab."""

# Weights of a row that cancel to less than this share of their size say nothing.
_LEAST_SHARE = 1e-3

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]
Shapes = Mapping[str, Mapping[str, Mesh]]


@dataclass(frozen=True)
class SurfaceMap:
    """What brings values of targets to the vertices of a mesh.

    Attributes
    ----------
    matrix : float32 scipy.sparse.csr_array of shape (n_vertices, n_targets)
        Weights; a vertex has the weighted mean of its targets, or nothing where its row is empty.
        The left hemisphere's vertices come first.
    mesh : str
        An fsaverage space, "fsLR32k", or ``OWN``.
    n_left : int
        Vertices of the left hemisphere.
    note : str
        What figures say of the way, such as "voxels by the data set's own mapper".
    shapes : mapping of str to mapping of hemisphere to Mesh
        Surfaces of a mesh that is no fsaverage one: "inflated", "pial", ...; faces are the same in
        all but "flat". Empty for fsaverage, whose surfaces every braindash has.
    depth : float32 array of shape (n_vertices,), optional
        Sulcal depth, or curvature with the same sign: positive in sulci.
    nearest : int32 array of shape (20484,), optional
        The vertex of ``mesh`` that is nearest to each vertex of fsaverage5 on the registered
        sphere; None where nothing registers the mesh, or where it is an fsaverage one.
    nearest_common : int32 array of shape (n_vertices,), optional
        The other way round.
    """

    matrix: sparse.csr_array = field(repr=False)
    mesh: str
    n_left: int
    note: str
    shapes: Shapes = field(default_factory=dict, repr=False)
    depth: Floats | None = field(default=None, repr=False)
    nearest: Places | None = field(default=None, repr=False)
    nearest_common: Places | None = field(default=None, repr=False)

    @property
    def n_vertices(self) -> int:
        """Vertices of both hemispheres."""
        return int(self.matrix.shape[0])

    @property
    def n_targets(self) -> int:
        """Targets that it is for."""
        return int(self.matrix.shape[1])

    @property
    def reaches_common(self) -> bool:
        """Whether it leads to fsaverage5 as well, where regions are known."""
        return self.mesh in SPACE_NAMES or self.nearest is not None

    @cached_property
    def common(self) -> sparse.csr_array:
        """Its matrix for the vertices of fsaverage5, (20484, n_targets).

        Raises
        ------
        InputError
            Nothing brings its mesh to fsaverage5.
        """
        if self.mesh in SPACE_NAMES:
            rows = np.arange(self.n_vertices)
            return sparse.csr_array(self.matrix[coarsen(rows, self.mesh, COMMON)])
        if self.nearest is None:
            raise InputError(
                "nothing brings these surfaces to fsaverage",
                hint="Give the FreeSurfer folder of the subject, which holds lh.sphere.reg and "
                "rh.sphere.reg, as freesurfer in [[subjects]].",
            )
        return sparse.csr_array(self.matrix[self.nearest])

    def values(self, values: npt.ArrayLike) -> Floats:
        """Bring values of targets to the vertices of the mesh.

        Parameters
        ----------
        values : array of shape (..., n_targets)
            Scores in any unit; NaN where there is none.

        Returns
        -------
        float32 array of shape (..., n_vertices)
            Weighted means over the targets that have a value; NaN where none has.
        """
        return weighted_means(self.matrix, values)

    def common_values(self, values: npt.ArrayLike) -> Floats:
        """Do as :meth:`values` for the vertices of fsaverage5, (..., 20484)."""
        return weighted_means(self.common, values)

    def on_mesh(self, common: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring values of fsaverage5's vertices, such as masks, to the mesh.

        Parameters
        ----------
        common : array of shape (..., 20484)
            On fsaverage5.

        Returns
        -------
        array of shape (..., n_vertices)
            Each vertex has the value of the nearest one.
        """
        if self.mesh in SPACE_NAMES:
            name = SPACE_NAMES[self.mesh]
            return common if name == COMMON else refine(common, COMMON, name)
        if self.nearest_common is None:
            raise InputError(
                "nothing brings fsaverage to these surfaces", hint="Regions are not known here."
            )
        return np.asarray(common[..., self.nearest_common])


def main_columns(matrix: sparse.csr_array) -> Places:
    """Return the column of the largest weight in each row; -1 for an empty row."""
    found = np.full(matrix.shape[0], -1, dtype=np.int32)
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort((-matrix.data, rows))  # the first of each row has its largest weight
    filled = counts > 0
    found[filled] = matrix.indices[order[matrix.indptr[:-1][filled]]]
    return found


def weighted_means(matrix: sparse.csr_array, values: npt.ArrayLike) -> Floats:
    r"""Average columns with the weights of each row, over the columns that have a value.

    .. math:: m_v = \sum_{t \in K} w_{vt} x_t \Big/ \sum_{t \in K} w_{vt}

    Parameters
    ----------
    matrix : sparse array of shape (n_rows, n_columns)
        Weights w.
    values : array of shape (..., n_columns)
        x; the columns K are those that are finite.

    Returns
    -------
    float32 array of shape (..., n_rows)
        NaN where no column with a weight has a value.
    """
    given = np.asarray(values, dtype=np.float32)
    if given.shape[-1] != matrix.shape[1]:
        raise InputError(
            f"there are {given.shape[-1]} values, the surface map is for {matrix.shape[1]} targets",
            hint="Give one value per target of the responses.",
        )
    flat = given.reshape(-1, given.shape[-1])
    known = np.isfinite(flat)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    size = np.abs(matrix)
    found = np.full((len(flat), matrix.shape[0]), np.nan, dtype=np.float32)
    for place, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == place)
        weight = (matrix @ pattern.astype(np.float64)).astype(np.float64)
        used = np.abs(weight) > _LEAST_SHARE * (size @ pattern.astype(np.float64))
        filled = np.where(pattern, flat[rows], 0).astype(np.float64)
        totals = (matrix @ filled.T).T
        found[np.ix_(rows, used)] = totals[:, used] / weight[used]
    return found.reshape(*given.shape[:-1], matrix.shape[0])


# ---- to and from a file ---------------------------------------------------------------------

_PARTS = ("data", "indices", "indptr")
_OPTIONAL = ("depth", "nearest", "nearest_common")


def to_dataset(one: SurfaceMap) -> xr.Dataset:
    """Write a surface map as plain arrays, for the store."""
    arrays: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
    for name in _PARTS:
        arrays[name] = ((f"{name}_place",), np.asarray(getattr(one.matrix, name)))
    for name in _OPTIONAL:
        if (values := getattr(one, name)) is not None:
            arrays[name] = ((f"{name}_place",), values)
    for shape, sides in one.shapes.items():
        for side, mesh in sides.items():
            start = f"{shape}_{side}"
            arrays[f"{start}_points"] = ((f"{start}_vertex", "axis"), mesh.coordinates)
            arrays[f"{start}_faces"] = ((f"{start}_face", "corner"), mesh.faces)
    told = {
        "mesh": one.mesh,
        "n_left": one.n_left,
        "n_targets": one.n_targets,
        "n_vertices": one.n_vertices,
        "note": one.note,
        "shapes": " ".join(one.shapes),
    }
    return xr.Dataset(arrays, attrs=told)


def from_dataset(stored: xr.Dataset) -> SurfaceMap:
    """Read what :func:`to_dataset` wrote."""
    arrays = {str(name): np.asarray(stored[name].values) for name in stored.data_vars}
    told = stored.attrs
    shape = int(told["n_vertices"]), int(told["n_targets"])
    matrix = sparse.csr_array(tuple(arrays[name] for name in _PARTS), shape=shape)
    shapes = {
        name: {
            side: Mesh(arrays[f"{name}_{side}_points"], arrays[f"{name}_{side}_faces"])
            for side in HEMISPHERES
        }
        for name in str(told["shapes"]).split()
    }
    optional = {name: arrays.get(name) for name in _OPTIONAL}
    return SurfaceMap(
        matrix, str(told["mesh"]), int(told["n_left"]), str(told["note"]), shapes, **optional
    )


def fsaverage_of(n_vertices: int) -> str | None:
    """Name the fsaverage space with so many vertices in both hemispheres; None for another mesh."""
    names = {2 * count: name for name, count in SPACES.items()}
    return names.get(n_vertices)
