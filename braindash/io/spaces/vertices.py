"""Targets on the vertices of a mesh: for files, and for programs that draw or analyse surfaces.

Unlike what the viewer draws, no vertex is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError, near_match
from braindash.io.spaces.surface_map import COMMON, Floats, SurfaceMap, main_columns
from braindash.io.surfaces import (
    HEMISPHERES,
    KINDS,
    SPACE_NAMES,
    SPACES,
    Mesh,
    count_targets,
    load_surface,
)


@dataclass(frozen=True)
class Vertices:
    """A mesh, and what brings values of targets to its vertices; made by :func:`vertices_of`.

    Attributes
    ----------
    mesh : str
        An fsaverage mesh, "fsLR32k" or "own".
    n_left, n_vertices : int
        Vertices of the left hemisphere, and of both.
    surface : SurfaceMap or None
        What brings the targets there; None where each vertex is a target.
    """

    mesh: str
    n_left: int
    n_vertices: int
    surface: SurfaceMap | None = field(default=None, repr=False)

    @property
    def note(self) -> str:
        """How targets come to vertices; empty where each vertex is a target."""
        return "" if self.surface is None else self.surface.note

    @property
    def shapes(self) -> tuple[str, ...]:
        """Names of the surfaces that the mesh has, such as "inflated"."""
        if not self._of_fsaverage:
            return tuple(self._own)
        return KINDS if self.mesh == COMMON else tuple(one for one in KINDS if one != "flat")

    @property
    def _of_fsaverage(self) -> bool:
        return self.mesh in SPACE_NAMES

    @property
    def _own(self) -> Mapping[str, Mapping[str, Mesh]]:
        return {} if self.surface is None else self.surface.shapes

    def sides(self, values: npt.NDArray[Any], *, nearest: bool = False) -> dict[str, Floats]:
        """Bring values of targets to the vertices of each hemisphere.

        Parameters
        ----------
        values : array of shape (..., n_targets)
            NaN where there is none.
        nearest : bool, default False
            Take the value of each vertex's main target, for numbers whose mean means nothing.

        Returns
        -------
        dict of str to float32 array of shape (..., n_vertices of the side)
            "left" and "right"; NaN where there is no value.
        """
        given = np.asarray(values, dtype=np.float32)
        if self.surface is None:
            found = given
        elif nearest:
            targets = main_columns(self.surface.matrix)
            found = np.where(targets >= 0, given[..., targets], np.float32("nan"))
        else:
            found = self.surface.values(given)
        left, right = np.split(found, [self.n_left], axis=-1)
        return {"left": left, "right": right}

    def meshes(self, shape: str = "inflated") -> dict[str, Mesh]:
        """Return one surface of both hemispheres.

        Parameters
        ----------
        shape : str, default "inflated"
            One of ``shapes``.

        Raises
        ------
        InputError
            The mesh has no such surface.
        """
        if shape not in self.shapes:
            raise InputError(
                f"the mesh {self.mesh} has no surface {shape!r}",
                hint=near_match(shape, self.shapes),
            )
        if not self._of_fsaverage:
            return {side: self._own[shape][side] for side in HEMISPHERES}
        return {side: load_surface(shape, self.mesh)[side] for side in HEMISPHERES}


def vertices_of(space: str, n_targets: int, surface: SurfaceMap | None = None) -> Vertices:
    """Find the mesh that targets are on, or that a surface map brings them to.

    Parameters
    ----------
    space : str
        Space of the targets.
    n_targets : int
        How many there are.
    surface : SurfaceMap, optional
        What brings them to a surface, where their space is none of fsaverage's.

    Raises
    ------
    InputError
        Nothing leads from these targets to a surface.
    """
    if not has_vertices(space, n_targets, surface):
        raise InputError(
            f"{n_targets} targets in the space {space!r} have no surface, so there are no maps",
            hint="Maps need an fsaverage space, or what the manifest names to bring targets to the "
            "cortex: a mapper, a transform, surfaces or parcels. Tables of regions need none.",
        )
    if surface is not None:
        return Vertices(surface.mesh, surface.n_left, surface.n_vertices, surface)
    name = SPACE_NAMES[space]
    return Vertices(name, SPACES[name], 2 * SPACES[name])


def has_vertices(space: str, n_targets: int, surface: SurfaceMap | None = None) -> bool:
    """Say whether :func:`vertices_of` finds a mesh."""
    if surface is not None:
        return surface.n_targets == n_targets
    return SPACE_NAMES.get(space) is not None and n_targets == count_targets(space)
