"""Which vertices the browser draws, and what value each of them has.

A mesh of more vertices than a graphics card's short indices can name is thinned: some of its
vertices are drawn, with their own values; none is made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from braindash.errors import InputError
from braindash.files import digest_bytes
from braindash.io.spaces.surface_map import (
    COMMON,
    Floats,
    SurfaceMap,
    main_columns,
    weighted_means,
)
from braindash.io.spaces.vertices import has_vertices
from braindash.io.surfaces import (
    HEMISPHERES,
    SPACE_NAMES,
    SPACES,
    Mesh,
    coarsen,
    load_surface,
    refine,
    sulcal_depth,
    unique_edges,
)

SHAPES = ("inflated", "pial", "white", "sphere", "flat")
FINE = "fsaverage6"
"""The finest fsaverage mesh that is drawn; fsaverage's vertices are cut down to it."""
MOST_VERTICES = 45_000
"""Vertices of a hemisphere beyond which a mesh is thinned."""

Places = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Geometry:
    """The drawn surfaces of both hemispheres.

    Attributes
    ----------
    shapes : mapping of str to mapping of hemisphere to float32 array of shape (n_vertices, 3)
        Coordinates in mm.
    faces : mapping of hemisphere to int32 array of shape (n_faces, 3)
        The same in every shape.
    on_flat : mapping of hemisphere to bool array of shape (n_faces,)
        Which faces the flat surface has; the others bridge its cuts.
    depth : mapping of hemisphere to float32 array of shape (n_vertices,)
        Sulcal depth, for the shading.
    """

    shapes: Mapping[str, Mapping[str, npt.NDArray[np.float32]]] = field(repr=False)
    faces: Mapping[str, npt.NDArray[np.int32]] = field(repr=False)
    on_flat: Mapping[str, npt.NDArray[np.bool_]] = field(repr=False)
    depth: Mapping[str, npt.NDArray[np.float32]] = field(repr=False)

    @cached_property
    def identity(self) -> str:
        """Digest of what is drawn."""
        arrays = [one for part in (self.faces, self.on_flat, self.depth) for one in part.values()]
        arrays += [one for sides in self.shapes.values() for one in sides.values()]
        named = " ".join(self.shapes).encode()
        return digest_bytes(named, *(np.ascontiguousarray(one).tobytes() for one in arrays))

    @property
    def counts(self) -> tuple[int, int]:
        """Drawn vertices of the left and of the right hemisphere."""
        left, right = (len(self.depth[side]) for side in HEMISPHERES)
        return left, right


@dataclass(frozen=True)
class Drawn:
    """A drawn mesh, and how targets come to its vertices.

    Attributes
    ----------
    mesh : str
        Its name: an fsaverage mesh, "own" or "fsLR32k".
    geometry : Geometry
        Its surfaces.
    targets : int array of shape (n_drawn,)
        The target that is named when a vertex is clicked; -1 for none.
    matrix : csr_array of shape (n_drawn, n_targets), optional
        Weights of the targets; None where each vertex is a target.
    common : int array of shape (n_drawn,), optional
        The nearest vertex of fsaverage5, where regions are known there.
    numbered : bool
        Whether a vertex has the number that the mesh gives it.
    note : str
        What figures say of the way from targets to vertices.
    """

    mesh: str
    geometry: Geometry = field(repr=False)
    targets: Places = field(repr=False)
    matrix: sparse.csr_array | None = field(default=None, repr=False)
    common: Places | None = field(default=None, repr=False)
    numbered: bool = True
    note: str = ""

    def values(self, values: npt.NDArray[Any], *, nearest: bool = False) -> Floats:
        """Bring values of targets to the drawn vertices.

        Parameters
        ----------
        values : array of shape (..., n_targets)
            NaN where there is none.
        nearest : bool, default False
            Take the value of each vertex's main target, for numbers whose mean means nothing.

        Returns
        -------
        float32 array of shape (..., n_drawn)
        """
        if self.matrix is not None and not nearest:
            return weighted_means(self.matrix, values)
        picked = np.asarray(values[..., self.targets], dtype=np.float32)
        return np.where(self.targets >= 0, picked, np.float32("nan"))

    def mask(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Bring a set of targets (n_targets,) to the drawn vertices."""
        return np.asarray(mask[self.targets] & (self.targets >= 0))


def can_show(space: str, n_targets: int, surface: SurfaceMap | None = None) -> bool:
    """Say whether targets of a space can be drawn on a surface."""
    return has_vertices(space, n_targets, surface)


def drawable(space: str, surface: SurfaceMap | None = None) -> tuple[str, ...]:
    """Name the meshes on which targets can be drawn, the usual one first.

    Parameters
    ----------
    space : str
        Space of the targets.
    surface : SurfaceMap, optional
        What brings them to a surface.
    """
    if surface is None or surface.mesh in SPACE_NAMES:
        name = SPACE_NAMES.get(space if surface is None else surface.mesh)
        if name is None:
            return ()
        return (COMMON,) if name == COMMON else (COMMON, FINE)
    return (surface.mesh, COMMON) if surface.reaches_common else (surface.mesh,)


def drawn(space: str, n_targets: int, surface: SurfaceMap | None = None, mesh: str = "") -> Drawn:
    """Draw targets of a space.

    Parameters
    ----------
    space : str
        Space of the targets.
    n_targets : int
        How many there are.
    surface : SurfaceMap, optional
        What brings them to a surface.
    mesh : str, optional
        One of :func:`drawable`; the usual one by default.

    Raises
    ------
    InputError
        When nothing leads to a surface, or not to this one.
    """
    known = drawable(space, surface)
    if not known or not can_show(space, n_targets, surface):
        raise InputError(
            f"{n_targets} targets in the space {space!r} have no surface here",
            hint="Maps can be shown for fsaverage5, fsaverage6 and fsaverage, and where the "
            "manifest names a mapper, a transform, surfaces or parcels.",
        )
    chosen = mesh or known[0]
    if chosen not in known:
        raise InputError(
            f"these targets cannot be drawn on {chosen!r}", hint=f"Choose {' or '.join(known)}."
        )
    if surface is None:
        return _fsaverage(SPACE_NAMES[space], chosen)
    return _mapped(_Same(surface), chosen)


class _Same:
    """A surface map as the key of a cache: the same object, since its arrays cannot be hashed."""

    def __init__(self, one: SurfaceMap) -> None:
        self.one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.one is other.one

    def __hash__(self) -> int:
        return id(self.one)


@lru_cache(maxsize=6)
def _fsaverage(name: str, mesh: str) -> Drawn:
    if SPACES[name] < SPACES[mesh]:
        raise InputError(f"{name} is coarser than {mesh}", hint=f"Draw it on {name}.")
    targets = coarsen(np.arange(2 * SPACES[name]), name, mesh)
    return Drawn(mesh, _fsaverage_geometry(mesh), targets, common=_common_of(mesh))


def _common_of(mesh: str) -> Places:
    numbers = np.arange(2 * SPACES[COMMON])
    return numbers if mesh == COMMON else refine(numbers, COMMON, mesh)


@lru_cache(maxsize=6)
def _mapped(key: _Same, mesh: str) -> Drawn:
    surface = key.one
    if mesh in SPACE_NAMES:
        if surface.mesh in SPACE_NAMES:
            rows = coarsen(np.arange(surface.n_vertices), surface.mesh, mesh)
            matrix = sparse.csr_array(surface.matrix[rows])
        else:
            matrix = surface.common
        geometry, common = _fsaverage_geometry(mesh), _common_of(mesh)
        targets = main_columns(matrix)
        return Drawn(mesh, geometry, targets, matrix, common, note=surface.note)
    geometry, kept = _own_geometry(surface)
    matrix = sparse.csr_array(surface.matrix[kept])
    own = surface.nearest_common
    return Drawn(
        mesh,
        geometry,
        main_columns(matrix),
        matrix,
        None if own is None else own[kept],
        numbered=len(kept) == surface.n_vertices,
        note=surface.note,
    )


# ---- surfaces -------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _fsaverage_geometry(mesh: str) -> Geometry:
    """Take fsaverage's surfaces; those finer than fsaverage5 have no flat one."""
    shapes = SHAPES if mesh == COMMON else tuple(one for one in SHAPES if one != "flat")
    meshes = {shape: load_surface(shape, mesh) for shape in shapes}
    faces = {side: meshes["inflated"][side].faces for side in HEMISPHERES}
    flat = {side: meshes["flat"][side].faces if "flat" in meshes else None for side in HEMISPHERES}
    depth = sulcal_depth()
    if mesh != COMMON:
        depth = refine(depth, COMMON, mesh)
    return Geometry(
        {
            shape: {side: one[side].coordinates for side in HEMISPHERES}
            for shape, one in meshes.items()
        },
        faces,
        {side: _faces_among(faces[side], flat[side]) for side in HEMISPHERES},
        dict(zip(HEMISPHERES, np.split(depth, 2), strict=True)),
    )


def _faces_among(
    faces: npt.NDArray[np.int32], kept: npt.NDArray[np.int32] | None
) -> npt.NDArray[np.bool_]:
    """Say which faces are among others, whatever vertex each begins with."""
    if kept is None or not len(faces):
        return np.zeros(len(faces), dtype=bool)
    n = int(max(faces.max(), kept.max())) + 1
    one, two = (np.sort(part.astype(np.int64), axis=1) @ [n * n, n, 1] for part in (faces, kept))
    return np.asarray(np.isin(one, two))


def _own_geometry(surface: SurfaceMap) -> tuple[Geometry, Places]:
    """Take the surfaces of a subject or a lab, thinned where they have too many vertices.

    Returns
    -------
    geometry : Geometry
        What is drawn.
    kept : int array of shape (n_drawn,)
        The vertices of the mesh that are.
    """
    first = next(one for one in surface.shapes if one != "flat")
    points: dict[str, dict[str, npt.NDArray[np.float32]]] = {one: {} for one in surface.shapes}
    faces, on_flat, depth, kept = {}, {}, {}, []
    start = 0
    for side in HEMISPHERES:
        mesh = surface.shapes[first][side]
        flat = surface.shapes["flat"][side].faces if "flat" in surface.shapes else None
        vertices, faces[side], on_flat[side] = thinned(mesh, flat)
        for shape, sides in surface.shapes.items():
            points[shape][side] = sides[side].coordinates[vertices]
        kept.append(vertices + start)
        depth[side] = _depth_of(surface, mesh, start)[vertices]
        start += len(mesh.coordinates)
    return Geometry(points, faces, on_flat, depth), np.concatenate(kept)


def _depth_of(surface: SurfaceMap, mesh: Mesh, start: int) -> npt.NDArray[np.float32]:
    if surface.depth is None:
        return np.zeros(len(mesh.coordinates), dtype=np.float32)
    return surface.depth[start : start + len(mesh.coordinates)]


def thinned(
    mesh: Mesh, flat: npt.NDArray[np.int32] | None = None, most: int = MOST_VERTICES
) -> tuple[Places, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Keep vertices no two of which are neighbours until there are few enough.

    Every other vertex belongs to the nearest kept neighbour; a face whose corners belong to three
    of them becomes a face between these.

    Parameters
    ----------
    mesh : Mesh
        One hemisphere.
    flat : int32 array of shape (n_flat_faces, 3), optional
        Faces of its flat surface.
    most : int
        Largest number of vertices that needs no thinning.

    Returns
    -------
    vertices : int array of shape (n_kept,)
        Vertices of ``mesh``, rising.
    faces : int32 array of shape (n_faces, 3)
        Their faces, by places in ``vertices``.
    on_flat : bool array of shape (n_faces,)
        Which are on the flat surface.
    """
    vertices = np.arange(len(mesh.coordinates))
    faces, on_flat = mesh.faces, _faces_among(mesh.faces, flat)
    while len(vertices) > most:
        kept, owner = _independent(mesh.coordinates[vertices], faces)
        vertices = vertices[kept]
        joined = owner[faces]
        a, b, c = joined.T
        whole = (a != b) & (b != c) & (a != c)
        joined, on_flat = joined[whole], on_flat[whole]
        places = np.sort(joined, axis=1).astype(np.int64) @ [len(kept) ** 2, len(kept), 1]
        _, first = np.unique(places, return_index=True)
        first.sort()
        faces, on_flat = joined[first].astype(np.int32), on_flat[first]
    return vertices, faces, on_flat


def _independent(
    points: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]
) -> tuple[Places, Places]:
    """Choose vertices no two of which are neighbours, and the nearest one for every vertex."""
    edges = unique_edges(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(len(points) + 1))
    covered = np.zeros(len(points), dtype=bool)
    chosen = np.zeros(len(points), dtype=bool)
    neighbours = both[:, 1]
    for vertex in range(len(points)):
        if not covered[vertex]:
            chosen[vertex] = True
            covered[neighbours[starts[vertex] : starts[vertex + 1]]] = True
    kept = np.flatnonzero(chosen)
    place = np.full(len(points), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    reached = both[chosen[both[:, 1]] & ~chosen[both[:, 0]]]
    far = np.linalg.norm(points[reached[:, 0]] - points[reached[:, 1]], axis=1)
    reached = reached[np.lexsort((far, reached[:, 0]))]
    whose, first = np.unique(reached[:, 0], return_index=True)
    owner = place.copy()
    owner[whose] = place[reached[first, 1]]
    return kept, owner
