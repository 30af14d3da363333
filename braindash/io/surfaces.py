"""The fsaverage meshes: coordinates, faces, neighbours, sulcal depth and the medial wall.

Targets of an fsaverage space are the left hemisphere's vertices followed by the right one's.
The meshes are nested: vertex ``n`` of a coarse mesh is vertex ``n`` of every finer one. Only
fsaverage5 ships with nilearn; finer meshes are built from it by the edge rule of FreeSurfer's
icosahedra, which gives FreeSurfer's own vertex and face order (checked against ic6 and ic7) and,
as coordinates, the edge midpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from braindash.errors import InputError, near_match

HEMISPHERES = ("left", "right")
KINDS = ("pial", "white", "inflated", "sphere", "flat")
SPACES: Mapping[str, int] = MappingProxyType(
    {"fsaverage5": 10242, "fsaverage6": 40962, "fsaverage7": 163842}
)
"""Vertices per hemisphere of each fsaverage space; "fsaverage" is another name of fsaverage7."""

MEDIAL_WALL_THICKNESS_MM = 1.0

# Names of their files in nilearn.
_SHIPPED_KINDS = {"inflated": "infl"}
SPACE_NAMES: Mapping[str, str] = MappingProxyType(
    {**{name: name for name in SPACES}, "fsaverage": "fsaverage7"}
)
"""The canonical name, a key of ``SPACES``, of every fsaverage space as data sets write it."""

Faces = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Mesh:
    """One hemisphere's surface.

    Parameters
    ----------
    coordinates : float32 array of shape (n_vertices, 3)
        Position of every vertex: right, anterior, superior, in mm (flat: in the plane).
    faces : int32 array of shape (n_faces, 3)
        Vertices of every triangle, counter-clockwise seen from outside.
    """

    coordinates: npt.NDArray[np.float32]
    faces: Faces


def count_targets(space: str) -> int:
    """Count the targets of an fsaverage space, both hemispheres together.

    Parameters
    ----------
    space : str
        An fsaverage space.

    Returns
    -------
    int
        Twice the vertices of one hemisphere.
    """
    return 2 * SPACES[_known_space(space)]


def coarsen(values: npt.NDArray[Any], space: str, to: str = "fsaverage5") -> npt.NDArray[Any]:
    """Cut target-wise values down to a coarser mesh.

    Parameters
    ----------
    values : array of shape (..., n_targets)
        Values on the vertices of ``space``.
    space : str
        An fsaverage space.
    to : str
        A space that is not finer than ``space``.

    Returns
    -------
    array of shape (..., n_targets of ``to``)
        The values of the vertices that both meshes share.
    """
    n_fine, n_coarse = SPACES[_known_space(space)], SPACES[_known_space(to)]
    if n_coarse > n_fine:
        raise InputError(
            f"{to} is finer than {space}, so values cannot be cut down to it",
            hint=f"Choose {space} or a coarser space.",
        )
    if values.shape[-1] != 2 * n_fine:
        raise InputError(
            f"{space} has {2 * n_fine} targets, but the values have {values.shape[-1]}",
            hint="Give one value per vertex, the left hemisphere first.",
        )
    left, right = values[..., :n_fine], values[..., n_fine:]
    return np.concatenate([left[..., :n_coarse], right[..., :n_coarse]], axis=-1)


def refine(values: npt.NDArray[Any], space: str, to: str) -> npt.NDArray[Any]:
    """Carry target-wise values over to a finer mesh, whose vertices take the nearest one's value.

    Parameters
    ----------
    values : array of shape (..., n_targets)
        Values on the vertices of ``space``, such as labels.
    space : str
        An fsaverage space.
    to : str
        A finer one.

    Returns
    -------
    array of shape (..., n_targets of ``to``)
        By distance on the sphere.
    """
    coarse, fine = _known_space(space), _known_space(to)
    if values.shape[-1] != 2 * SPACES[coarse]:
        raise InputError(
            f"{space} has {2 * SPACES[coarse]} targets, but the values have {values.shape[-1]}",
            hint="Give one value per vertex, the left hemisphere first.",
        )
    return np.asarray(values[..., _nearest_coarse(fine, coarse)])


@lru_cache(maxsize=32)
def load_surface(kind: str, mesh: str = "fsaverage5") -> Mapping[str, Mesh]:
    """Load one kind of surface for both hemispheres.

    Parameters
    ----------
    kind : {"pial", "white", "inflated", "sphere", "flat"}
        The surface. The flat one lacks the medial wall and the cuts, so it has fewer faces.
    mesh : str
        An fsaverage space; those finer than fsaverage5 have interpolated coordinates.

    Returns
    -------
    mapping of hemisphere to Mesh
        Read-only arrays, shared between callers.
    """
    if kind not in KINDS:
        raise InputError(f"there is no surface kind {kind!r}", hint=near_match(kind, KINDS))
    name = _known_space(mesh)
    if kind == "flat" and name != "fsaverage5":
        raise InputError(
            f"the flat surface of {mesh} is not available",
            hint="Use fsaverage5, whose vertices are the first ones of every finer mesh.",
        )
    file = _SHIPPED_KINDS.get(kind, kind)
    return MappingProxyType({side: _refined(*_shipped(file, side), name) for side in HEMISPHERES})


@lru_cache(maxsize=1)
def sulcal_depth() -> npt.NDArray[np.float32]:
    """Load the mean sulcal depth of fsaverage5.

    Returns
    -------
    float32 array of shape (20484,)
        Positive in sulci, negative on gyri; read-only.
    """
    return _load_morphometry("sulc")


@lru_cache(maxsize=3)
def medial_wall(mesh: str = "fsaverage5") -> npt.NDArray[np.bool_]:
    """Find the vertices where there is no cortex.

    No cortex label ships with nilearn, so this is the connected patch in which the mean cortical
    thickness of fsaverage5 is below 1 mm, and the ring of vertices around it: about 700 of the
    roughly 885 vertices per hemisphere in FreeSurfer's label, none of them far from it.

    Parameters
    ----------
    mesh : str
        An fsaverage space; a vertex of a finer one takes the value of the nearest fsaverage5
        vertex on the sphere.

    Returns
    -------
    bool array of shape (n_targets,)
        True on the medial wall; read-only.
    """
    name = _known_space(mesh)
    neighbours = adjacency("fsaverage5")
    thin = _load_morphometry("thick") < MEDIAL_WALL_THICKNESS_MM
    n = SPACES["fsaverage5"]
    wall = np.zeros(2 * n, dtype=bool)
    for start in (0, n):
        inside = np.flatnonzero(thin[start : start + n]) + start
        _, component = connected_components(neighbours[inside][:, inside], directed=False)
        wall[inside[component == np.bincount(component).argmax()]] = True
    wall |= neighbours.astype(np.int32) @ wall.astype(np.int32) > 0
    if name != "fsaverage5":
        wall = wall[_nearest_coarse(name)]
    wall.setflags(write=False)
    return wall


@lru_cache(maxsize=3)
def adjacency(mesh: str = "fsaverage5") -> sparse.csr_array:
    """Say which targets are neighbours on the surface.

    Parameters
    ----------
    mesh : str
        An fsaverage space.

    Returns
    -------
    bool scipy.sparse.csr_array of shape (n_targets, n_targets)
        True where two vertices share an edge; symmetric, without a diagonal. Shared between
        callers: do not write to it.
    """
    name = _known_space(mesh)
    n = SPACES[name]
    blocks = []
    for side in HEMISPHERES:
        edges = unique_edges(load_surface("sphere", name)[side].faces)
        rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
        ones = np.ones(len(rows), dtype=bool)
        blocks.append(sparse.csr_array((ones, (rows, columns)), shape=(n, n)))
    return sparse.csr_array(sparse.block_diag(blocks, format="csr"))


def unique_edges(faces: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """List every edge of a mesh once.

    Parameters
    ----------
    faces : int array of shape (n_faces, 3)
        Triangles.

    Returns
    -------
    int64 array of shape (n_edges, 2)
        Sorted pairs of vertices, the smaller index first.
    """
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    low, high = np.sort(pairs.astype(np.int64), axis=1).T
    n = int(high.max(initial=0)) + 1
    # One number for each pair: ten times as quick as unique rows.
    return np.stack(np.divmod(np.unique(low * n + high), n), axis=1)


def subdivide(mesh: Mesh) -> Mesh:
    """Split every triangle into four, numbered as FreeSurfer's icosahedra are.

    New vertices are numbered in the order in which the faces (a, b, c) meet the edges ca, bc,
    ab for the first time. The children at the corners ``a`` come first, then, face by face,
    those at ``c``, in the centre and at ``b``.

    Parameters
    ----------
    mesh : Mesh
        A closed mesh.

    Returns
    -------
    Mesh
        Its vertices followed by the midpoint of every edge.
    """
    n_old = len(mesh.coordinates)
    a, b, c = mesh.faces.astype(np.int64).T
    met = np.stack([np.stack([c, a], 1), np.stack([b, c], 1), np.stack([a, b], 1)], 1)
    met = np.sort(met.reshape(-1, 2), axis=1)
    keys = met[:, 0] * n_old + met[:, 1]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    ca, bc, ab = (n_old + rank[inverse]).reshape(-1, 3).T
    corner_a = np.stack([a, ab, ca], axis=1)
    others = np.stack(
        [np.stack([ca, bc, c], 1), np.stack([ab, bc, ca], 1), np.stack([ab, b, bc], 1)], axis=1
    )
    ends = met[np.sort(first)]
    midpoints = mesh.coordinates[ends].mean(axis=1)
    return Mesh(
        coordinates=np.concatenate([mesh.coordinates, midpoints]).astype(np.float32),
        faces=np.concatenate([corner_a, others.reshape(-1, 3)]).astype(np.int32),
    )


def _known_space(space: str) -> str:
    name = SPACE_NAMES.get(space)
    if name is None:
        raise InputError(
            f"{space!r} is not an fsaverage space",
            hint=near_match(space, SPACE_NAMES),
        )
    return name


def _shipped(name: str, side: str) -> tuple[npt.NDArray[Any], ...]:
    """Read the arrays of a file of fsaverage5 that lies in nilearn's package.

    The package itself is not imported: with scikit-learn and pandas that takes seconds.
    """
    import nibabel

    found = find_spec("nilearn")
    assert found is not None and found.submodule_search_locations  # a dependency
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "fsaverage5"
    image: Any = nibabel.load(folder / f"{name}_{side}.gii.gz")
    return tuple(array.data for array in image.darrays)


def _refined(coordinates: npt.NDArray[Any], faces: npt.NDArray[Any], name: str) -> Mesh:
    mesh = Mesh(
        coordinates=np.array(coordinates, dtype=np.float32),
        faces=np.array(faces, dtype=np.int32),
    )
    while len(mesh.coordinates) < SPACES[name]:
        mesh = subdivide(mesh)
    mesh.coordinates.setflags(write=False)
    mesh.faces.setflags(write=False)
    return mesh


def _load_morphometry(name: str) -> npt.NDArray[np.float32]:
    values = np.concatenate([_shipped(name, side)[0] for side in HEMISPHERES]).astype(np.float32)
    values.setflags(write=False)
    return values


@lru_cache(maxsize=3)
def _nearest_coarse(name: str, to: str = "fsaverage5") -> npt.NDArray[np.int64]:
    """Index, for every target of a finer mesh, the nearest target of ``to`` on the sphere."""
    from scipy.spatial import cKDTree

    nearest = []
    for start, side in enumerate(HEMISPHERES):
        coarse = load_surface("sphere", to)[side].coordinates
        fine = load_surface("sphere", name)[side].coordinates
        nearest.append(cKDTree(coarse).query(fine)[1] + start * SPACES[to])
    return np.concatenate(nearest)
