"""What a manifest says of the way from its targets to a surface, checked against the responses."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from braindash.errors import InputError
from braindash.files import digest_json
from braindash.io.dataset.arrays import is_volume
from braindash.io.dataset.dataset import HEMISPHERES as LETTERS
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.responses import shape
from braindash.io.dataset.stacking import Indices, chosen_columns
from braindash.io.dataset.tables import SubjectTable
from braindash.io.entries import made_here
from braindash.io.images.volumes import volume_grid
from braindash.io.spaces.mappers import read_mapper
from braindash.io.spaces.meshes import (
    OwnSurfaces,
    Pair,
    SurfaceFiles,
    freesurfer_files,
    given_files,
    pycortex_files,
    read_surfaces,
)
from braindash.io.spaces.parcels import read_parcels
from braindash.io.spaces.surface_map import OWN, SurfaceMap, to_dataset
from braindash.io.spaces.volumes import (
    SPHERE_NOTE,
    Order,
    column_numbers,
    one_each,
    read_mask,
    read_transform,
    require_voxels,
    through_standard_space,
    through_transform,
)
from braindash.io.store import Store
from braindash.io.surface_links import SURFACES, link_of, link_surface
from braindash.io.surfaces import SPACE_NAMES
from braindash.names import given_path
from braindash.remembered.digests import digest_input

logger = logging.getLogger(__name__)

_VERSION = 1
"""Of the way in which surface maps are made from files."""


_MADE: dict[str, SurfaceMap] = {}
_MADE_KEPT = 2


@dataclass(frozen=True)
class SurfacePlan:
    """How the targets of a subject come to a surface.

    Attributes
    ----------
    way : str
        "mapper", "transform", "surfaces", "parcels" or "standard space".
    files : dict of str to Path
        What is read, by what it is.
    settings : dict
        What the map depends on beside the files; JSON values.
    make : callable
        Reads the files.

    Raises
    ------
    InputError
        From ``make``, when files are missing, damaged, or do not fit the responses.
    """

    way: str
    files: dict[str, Path]
    settings: dict[str, Any]
    make: Callable[[], SurfaceMap]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What the map is made of, without where that lies."""
        return {
            "kind": SURFACES,
            "version": _VERSION,
            "way": self.way,
            "files": {name: digest_input(path) for name, path in self.files.items()},
            **self.settings,
        }

    @cached_property
    def key(self) -> str:
        """Names the map in the store."""
        return digest_json(self.spec)

    @property
    def surface(self) -> SurfaceMap:
        """The map, read when it is first asked for, and kept in memory with the last few."""
        try:
            key = self.key
        except OSError:  # a file is missing: the error that tells which one is the reader's
            return self.make()
        if key not in _MADE:
            made = self.make()
            while len(_MADE) >= _MADE_KEPT:
                _MADE.pop(next(iter(_MADE)), None)
            _MADE[key] = made
        return _MADE[key]

    def is_kept_for(self, store: Store, result: str) -> bool:
        """Say whether a store has the map, as that of a result."""
        return store.has(SURFACES, self.key) and link_of(store.root, result) == self.key

    def keep(self, store: Store, result: str) -> None:
        """Keep the map in a store, and say that a result is shown by it."""
        if not store.has(SURFACES, self.key):
            told = made_here(0.0) | {"note": self.surface.note}
            made = to_dataset(self.surface)
            store.put(SURFACES, self.key, spec=self.spec, provenance=told, dataset=made)
        link_surface(store.root, result, self.key)


def plan_surface(dataset: Dataset, subject: str, n_targets: int) -> SurfacePlan | None:
    """Say how the targets of a subject come to a surface, and check that they can.

    Parameters
    ----------
    dataset : Dataset
        Whose manifest names the files.
    subject : str
        One of its subjects.
    n_targets : int
        Columns of the responses.

    Returns
    -------
    SurfacePlan or None
        None where the space needs none (fsaverage), or the manifest says nothing.

    Raises
    ------
    InputError
        When files are missing, damaged, or do not fit each other or the responses.
    """
    if SPACE_NAMES.get(dataset.space) is not None:
        return None
    columns = _columns(dataset, subject)
    if columns is None:
        found = _planned(_Maker(dataset, dataset.subject(subject), n_targets))
    else:
        whole = _planned(_Maker(dataset, dataset.subject(subject), columns.n_columns))
        found = None if whole is None else _of_columns(whole, columns)
    if found is not None:
        found.surface  # noqa: B018 - a map that cannot be made is told before anything is computed
    return found


@dataclass(frozen=True)
class _Columns:
    """Which columns of the response files are targets."""

    path: Path
    n_columns: int
    indices: Indices


def _columns(dataset: Dataset, subject: str) -> _Columns | None:
    path = dataset.columns_path(subject)
    if path is None:
        return None
    story = (*dataset.stories(subject), *dataset.test_stories)[0]
    n_columns = shape(replace(dataset.responses(subject, story), columns=None))[1]
    return _Columns(path, n_columns, chosen_columns(path, n_columns))


def _of_columns(whole: SurfacePlan, columns: _Columns) -> SurfacePlan:
    """Leave out of a map the columns that are no targets."""

    def make() -> SurfaceMap:
        made = whole.make()
        return replace(made, matrix=sparse.csr_array(made.matrix[:, columns.indices]))

    return replace(whole, files=whole.files | {"columns": columns.path}, make=make)


def _planned(maker: "_Maker") -> SurfacePlan | None:
    dataset, table = maker.dataset, maker.table
    responses = dataset.tables.responses
    mask = dataset.mask_path(table.id)
    if table.mapper is not None:
        found = maker.mapper(table.mapper)
    elif dataset.space == "native-volume" and table.transform is not None:
        found = maker.transform(table.transform)
    elif responses.parcels is not None:
        found = maker.parcels(responses.parcels)
    elif dataset.space in ("native-surface", "fsLR32k"):
        planned = maker.surfaces()
        if planned is None:
            return None
        found = planned
    elif responses.volume_space is None:
        return None
    elif mask is not None:
        found = maker.standard_space(mask, responses.volume_space)
    else:
        return maker.whole_volume(responses.volume_space)
    return found


def surface_for(dataset: Dataset, subject: str, n_targets: int) -> SurfaceMap | None:
    """Make the surface map that a manifest describes; None and errors as :func:`plan_surface`."""
    planned = plan_surface(dataset, subject, n_targets)
    return None if planned is None else planned.surface


@dataclass(frozen=True)
class _Maker:
    """The files and numbers of one subject."""

    dataset: Dataset
    table: SubjectTable
    n_targets: int

    def path(self, template: str, **more: str) -> Path:
        filled = template.format(subject=self.table.id, **more)
        return given_path(filled, self.dataset.folder)

    def optional(self, template: str | None) -> Path | None:
        return None if template is None else self.path(template)

    @property
    def sized(self) -> dict[str, Any]:
        return {"n_targets": self.n_targets}

    # ---- one way each -----------------------------------------------------------------------

    def mapper(self, template: str) -> SurfacePlan:
        path, name = self.path(template), self.dataset.tables.responses.mapper_key
        return SurfacePlan(
            "mapper",
            {"mapper": path},
            self.sized | {"name": name},
            lambda: read_mapper(path, name, self.n_targets),
        )

    def transform(self, name: str) -> SurfacePlan:
        if self.table.pycortex is None:
            raise InputError(
                f"{self.table.id!r} has the transform {name!r}, but no pycortex folder",
                hint="Name the folder with its surfaces and transforms as pycortex in "
                "[[subjects]], or leave transform out.",
            )
        folder = self.path(self.table.pycortex)
        surfaces = pycortex_files(folder, self.optional(self.table.freesurfer))
        place = folder / "transforms" / name
        if not place.is_dir():
            there = sorted(one.name for one in place.parent.glob("*/"))
            raise InputError(
                f"{folder} has no transform {name!r}",
                hint=f"There are: {', '.join(there) or 'none'}. Name one as transform.",
            )
        mask_path = self.dataset.mask_path(self.table.id) or place / "mask_thick.nii.gz"
        order = self.order("zyx")

        def make() -> SurfaceMap:
            coord = read_transform(place / "matrices.xfm")
            mask, _ = read_mask(mask_path)
            require_voxels(mask, mask_path, self.n_targets)
            return through_transform(read_surfaces(surfaces), coord, column_numbers(mask, order))

        files = surfaces.files | {"matrices": place / "matrices.xfm", "mask": mask_path}
        return SurfacePlan("transform", files, self.sized | {"order": order}, make)

    def surfaces(self) -> SurfacePlan | None:
        """Take targets as vertices: of the surfaces that are given, else of the subject's own."""
        files = self.surface_files()
        if files is None:
            return None
        mesh = self.dataset.space if self.dataset.space == "fsLR32k" else OWN

        def make() -> SurfaceMap:
            own = read_surfaces(files)
            if sum(own.counts) != self.n_targets:
                first = next(iter(files.shapes.values()))[0]
                raise InputError(
                    f"the surfaces of {self.table.id!r} ({first}, ...) have {own.counts[0]} and "
                    f"{own.counts[1]} vertices, the responses have {self.n_targets} columns",
                    hint="Give the mesh that the responses are on: one column per vertex, the left "
                    "hemisphere first.",
                )
            return _of_vertices(own, mesh)

        return SurfacePlan("surfaces", files.files, self.sized | {"mesh": mesh}, make)

    def surface_files(self) -> SurfaceFiles | None:
        given = self.dataset.tables.responses.surfaces
        freesurfer = self.optional(self.table.freesurfer)
        if given is not None:
            found = given_files(self.pairs(given))
            if freesurfer is None or self.dataset.space != "native-surface":
                return found
            more = freesurfer_files(freesurfer)
            return SurfaceFiles(found.shapes, more.depth, more.spheres)
        if self.dataset.space != "native-surface":
            return None
        if freesurfer is not None:
            return freesurfer_files(freesurfer)
        if self.table.pycortex is not None:
            return pycortex_files(self.path(self.table.pycortex))
        return None

    def pairs(self, templates: tuple[str, ...]) -> list[Pair]:
        """Fill templates with {hemi}, or take two files as left and right."""
        sided = ["{hemi" in template for template in templates]
        if all(sided):
            return [
                (self.path(one, hemi=LETTERS[0]), self.path(one, hemi=LETTERS[1]))
                for one in templates
            ]
        if len(templates) == 2 and not any(sided):
            return [(self.path(templates[0]), self.path(templates[1]))]
        raise InputError(
            f"[responses] surfaces names {len(templates)} files, not left and right",
            hint="Give two files, left and right, or templates with {hemi} (L and R), one for each "
            "shape.",
        )

    def parcels(self, templates: tuple[str, ...]) -> SurfacePlan:
        if len(templates) != 2:
            raise InputError(
                f"[responses] parcels names {len(templates)} files",
                hint="Give two label files, left and right.",
            )
        left, right = (self.path(one) for one in templates)
        names = self.optional(self.dataset.tables.responses.parcel_names)
        files = {"labels left": left, "labels right": right}
        if names is not None:
            files["names"] = names
        return SurfacePlan(
            "parcels",
            files,
            self.sized,
            lambda: read_parcels(left, right, self.n_targets, names),
        )

    def standard_space(self, path: Path, volume_space: str) -> SurfacePlan:
        order = self.order("xyz")

        def make() -> SurfaceMap:
            mask, affine = read_mask(path)
            require_voxels(mask, path, self.n_targets)
            return through_standard_space(affine, column_numbers(mask, order), volume_space)

        settings = self.sized | {"order": order, "volume_space": volume_space}
        return SurfacePlan("standard space", {"mask": path}, settings, make)

    def whole_volume(self, volume_space: str) -> SurfacePlan | None:
        """Take every voxel of the response files as a column; None where these are no volumes."""
        story = (*self.dataset.stories(self.table.id), *self.dataset.test_stories)[0]
        path = self.dataset.responses(self.table.id, story).paths[0]
        if not is_volume(path):
            return None
        size, affine = volume_grid(path)
        if math.prod(size) != self.n_targets:
            return None

        def make() -> SurfaceMap:
            numbers = column_numbers(np.ones(size, dtype=bool), "xyz")
            return through_standard_space(affine, numbers, volume_space)

        settings = self.sized | {"volume_space": volume_space, "grid": list(size)}
        settings["affine"] = affine.round(6).tolist()
        found = SurfacePlan("standard space", {}, settings, make)
        if found.surface.matrix.nnz:
            return found
        logger.warning("no voxel of %s lies at the cortex of %s: no map", path, volume_space)
        return None

    def order(self, usual: Order) -> Order:
        return self.dataset.tables.responses.mask_order or usual


def _of_vertices(own: OwnSurfaces, mesh: str) -> SurfaceMap:
    note = "vertices of the subject's own surfaces" if mesh == OWN else f"vertices of {mesh}"
    if own.nearest is not None:
        note = f"{note}, {SPHERE_NOTE}"
    return SurfaceMap(
        one_each(np.arange(sum(own.counts)), sum(own.counts)),
        mesh,
        own.counts[0],
        note,
        own.shapes,
        own.depth,
        own.nearest,
        own.nearest_common,
    )
