"""Regions that a data set brings along: subjects' own labels, localiser masks, groups of labels."""

import logging
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

import numpy as np

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.stacking import chosen_columns
from braindash.io.dataset.tables import RegionsTable
from braindash.io.regions.label_files import (
    SIDES,
    read_values,
    read_vertices,
    require_side,
    require_two_files,
)
from braindash.io.regions.masks import Mask, Regions, sides_of, with_whole
from braindash.io.regions.painted import labels_on_targets, set_on_targets, sides_of_targets
from braindash.io.regions.parcellation import (
    Parcellation,
    mesh_of,
    on_mesh,
    parcellation_of,
    read_parcellation,
    read_parcellation_of_all,
)
from braindash.io.regions.region_set import grouped_labels, join_labels, tell_one_sided
from braindash.io.regions.sets import OWN_SET, find_set
from braindash.io.regions.voxels import is_volume_of_voxels, voxel_values
from braindash.io.spaces.surface_map import COMMON, SurfaceMap
from braindash.io.surfaces import SPACE_NAMES
from braindash.names import given_path

logger = logging.getLogger(__name__)

_USUAL = "hcp-mmp1"
_NOT_SURFACES = ("native-volume", "roi")


def has_own_regions(dataset: Dataset) -> bool:
    """Say whether a manifest describes regions of its own."""
    return dataset.tables.regions is not None


def own_regions(
    dataset: Dataset, subject: str, n_targets: int, surface: SurfaceMap | None = None
) -> Regions:
    """Find the regions that a manifest describes, for one subject.

    Parameters
    ----------
    dataset : Dataset
        With ``[regions]``.
    subject : str
        Fills ``{subject}``; of a mean of several subjects only files without it can be used.
    n_targets : int
        Number of targets of the responses.
    surface : SurfaceMap, optional
        What brings the targets to a surface, for groups of the labels of fsaverage.

    Returns
    -------
    Regions
        Groups first, then masks, then, where nothing is grouped, every label.

    Raises
    ------
    InputError
        When the manifest describes none, a file is missing or does not fit the responses, a group
        is empty or names a label that is not there, or two regions have one name.
    """
    table = dataset.tables.regions
    if table is None:
        raise InputError(
            f"{dataset.path} describes no regions of its own",
            hint="Add [regions] with labels, masks or groups, or choose another region set.",
        )
    _require_own_names(table)
    labels, is_left, read = _labels(dataset, table, subject, n_targets, surface)
    is_right = None
    if is_left is not None and _leads_elsewhere(surface, n_targets):
        _, is_right = sides_of_targets(surface)
    masks: dict[str, Mask] = {}
    if table.groups:
        source = read or "the label files"
        masks |= join_labels(labels, table.groups, source)
        if is_left is not None:
            sides = is_left, ~is_left if is_right is None else is_right
            tell_one_sided(labels, grouped_labels(table.groups), sides, source)
    of_vertices = _left_vertices(is_left, n_targets, surface)
    reader = _Masks(dataset, subject, n_targets, of_vertices, surface)
    for name, templates in table.masks.items():
        masks[name] = reader.read(name, templates)
        if not masks[name].any():
            logger.warning(
                "[regions]: the mask %r of %s marks no target (subject %r): it has no mean",
                name,
                dataset.name,
                subject,
            )
    if not table.groups:
        _require_other_names(table, labels, read)
        masks |= labels
    note = f"regions of {dataset.name}, from its manifest"
    told = f"{note}; {read}" if read else note
    whole = with_whole(masks, n_targets)
    return Regions(OWN_SET, told, whole, is_left, is_right=is_right)


def _require_own_names(table: RegionsTable) -> None:
    """Refuse masks and groups of one name: one would hide the other, or nobody tells them apart."""
    seen: dict[str, str] = {}
    for kind, names in (("group", table.groups), ("mask", table.masks)):
        for name in names:
            key = _plainly(name)
            if key in seen:
                both = f"a mask and a {seen[key]}" if kind == "mask" else "two groups"
                both = "two masks" if seen[key] == kind == "mask" else both
                raise InputError(
                    f"[regions] has {both} named {name!r}", hint="Give one of them another name."
                )
            seen[key] = kind


def _require_other_names(table: RegionsTable, labels: Mapping[str, Mask], read: str) -> None:
    """Refuse a mask with the name of a label: one would hide the other."""
    known = {_plainly(label) for label in labels}
    for name in table.masks:
        if _plainly(name) in known:
            raise InputError(
                f"[regions]: the mask {name!r} is named like a label of {read}",
                hint="Give the mask another name, such as "
                f"{name + '_localiser'!r}; or group the labels that are wanted (groups = ...).",
            )


def _plainly(name: str) -> str:
    """Return a name as it is seen: its accents composed, without blanks around it."""
    return unicodedata.normalize("NFC", name.strip())


def _left_vertices(is_left: Mask | None, n_targets: int, surface: SurfaceMap | None) -> Mask | None:
    """Mark the left targets where they come first; None where nobody says how many they are."""
    if is_left is not None:
        return is_left
    if surface is not None and surface.n_vertices == n_targets:
        return np.arange(n_targets) < surface.n_left
    return None


def _labels(
    dataset: Dataset,
    table: RegionsTable,
    subject: str,
    n_targets: int,
    surface: SurfaceMap | None,
) -> tuple[dict[str, Mask], Mask | None, str]:
    """Return the labels that can be grouped, the left side, and what they were read from."""
    is_left = sides_of(dataset.space, n_targets)
    if table.labels:
        paths = _paths(dataset, table.labels, subject)
        found = _own_labels(dataset, paths, n_targets, subject, surface)
        if is_left is None and 0 < found.n_left < n_targets:
            is_left = np.arange(n_targets) < found.n_left
        if is_left is None and _leads_elsewhere(surface, n_targets):
            is_left, _ = sides_of_targets(surface)
        return found.masks, is_left, found.source
    if not table.groups:
        return {}, is_left, ""
    chosen = find_set(table.set or _USUAL)
    regions = set_on_targets(chosen, dataset.space, n_targets, surface)
    return dict(regions.masks), regions.is_left, regions.note


def _leads_elsewhere(surface: SurfaceMap | None, n_targets: int) -> TypeGuard[SurfaceMap]:
    """Say whether targets, such as voxels, are brought to vertices which they are not."""
    return (
        surface is not None
        and surface.n_targets == n_targets
        and surface.n_vertices != surface.n_targets
    )


def _own_labels(
    dataset: Dataset,
    paths: list[Path],
    n_targets: int,
    subject: str,
    surface: SurfaceMap | None,
) -> Parcellation:
    if len(paths) == 1:
        if paths[0].name.lower().endswith(".annot"):
            raise InputError(
                f"[regions]: labels names one file, {paths[0].name}, which is of one hemisphere",
                hint='Give both, left and right: labels = ["lh.NAME.annot", "rh.NAME.annot"].',
            )
        voxels = _at_voxels(dataset, paths, subject)
        if voxels is None:
            found = read_parcellation_of_all(paths[0])
        else:
            found = parcellation_of(voxels, paths[0])
        if found.n_left and len(found.index) != n_targets and _leads_elsewhere(surface, n_targets):
            return _carried(found, surface)
        index = _fitted(dataset, "labels", found.index, n_targets, subject)
        return replace(found, index=index, n_left=found.n_left if len(index) == n_targets else 0)
    labels = read_parcellation(*paths)
    if len(labels.index) != n_targets and _leads_elsewhere(surface, n_targets):
        return _carried(labels, surface)
    space = SPACE_NAMES.get(dataset.space)
    if space is not None and len(labels.index) != n_targets:
        return labels.on(space)
    if len(labels.index) != n_targets:
        raise InputError(
            f"{labels.source} have {len(labels.index)} vertices, the responses of {dataset.name} "
            f"{n_targets} targets",
            hint="Labels must be on the responses' own targets, the left hemisphere first.",
        )
    return labels


def _carried(labels: Parcellation, surface: SurfaceMap) -> Parcellation:
    """Bring labels of a subject's own vertices, or of fsaverage's, to targets such as voxels."""
    index = labels.index
    if (len(index), labels.n_left) != (surface.n_vertices, surface.n_left):
        try:
            index = surface.on_mesh(labels.on(COMMON).index)
        except InputError as error:
            raise InputError(
                f"{labels.source} have {labels.n_left} and {len(labels.index) - labels.n_left} "
                f"vertices, the surfaces of the responses {surface.n_left} and "
                f"{surface.n_vertices - surface.n_left}",
                hint="Give labels of the subject's own surfaces, or on an fsaverage mesh.",
            ) from error
    return replace(labels, index=labels_on_targets(index, surface), n_left=0)


@dataclass(frozen=True)
class _Masks:
    """Reads the masks of one subject."""

    dataset: Dataset
    subject: str
    n_targets: int
    is_left: Mask | None
    surface: SurfaceMap | None = None

    def read(self, name: str, templates: tuple[str, ...]) -> Mask:
        paths = _paths(self.dataset, templates, self.subject)
        if any(path.name.lower().endswith(".label") for path in paths):
            return self._vertex_lists(paths)
        values = _at_voxels(self.dataset, paths, self.subject)
        if values is None:
            values = read_values([str(path) for path in paths])
        what = f"the mask {name!r}"
        if _leads_elsewhere(self.surface, self.n_targets) and (
            len(values) == self.surface.n_vertices
        ):
            return self._from_vertices(np.nan_to_num(values, nan=0.0) > 0)
        values = _fitted(self.dataset, what, values, self.n_targets, self.subject)
        return np.asarray(np.nan_to_num(values, nan=0.0) > 0)

    def _vertex_lists(self, paths: list[Path]) -> Mask:
        """Mark what FreeSurfer labels list, each of its side."""
        carried = _leads_elsewhere(self.surface, self.n_targets)
        sides = self._sides
        mask = np.zeros(sides[1][1], dtype=bool)
        for place, path in enumerate(paths):
            if len(paths) == 2:
                side = place
                require_side(path, side)
            elif path.name.lower().startswith(("lh.", "rh.")):
                side = int(path.name.lower().startswith("rh."))
            else:
                raise InputError(
                    f"nobody says on which side the vertices of {path} are",
                    hint="Name it lh. or rh., or give two files, left and right.",
                )
            vertices, (start, stop) = read_vertices(path), sides[side]
            if vertices.size and vertices[-1] >= stop - start:
                raise InputError(
                    f"{path} names vertex {int(vertices[-1])}, the responses have {stop - start} "
                    f"on the {SIDES[side]}",
                    hint="Give labels on the responses' own mesh, or masks of all targets.",
                )
            mask[start + vertices] = True
        if len(paths) == 2:
            require_two_files(*paths)
        return self._from_vertices(mask) if carried else mask

    def _from_vertices(self, mask: Mask) -> Mask:
        """Mark the targets whose weight lies mostly in a mask of the surface's vertices."""
        assert self.surface is not None  # asked for where there is one
        return np.asarray(labels_on_targets(np.where(mask, 0, -1), self.surface) == 0)

    @property
    def _sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First target, or vertex, of each side, and the one behind its last."""
        if _leads_elsewhere(self.surface, self.n_targets):
            return (0, self.surface.n_left), (self.surface.n_left, self.surface.n_vertices)
        n_left = self.n_targets // 2 if self.is_left is None else int(self.is_left.sum())
        placed = self.dataset.space not in _NOT_SURFACES
        if self.is_left is None:
            placed &= self.n_targets % 2 == 0
        else:
            placed &= bool(self.is_left[:n_left].all())
        if not placed:
            raise InputError(
                f"lists of vertices (.label) say nothing of the {self.n_targets} targets of "
                f"{self.dataset.name}, which are no vertices of a left and a right side "
                f"(space {self.dataset.space!r})",
                hint="Give masks of all targets, one value for each column of the responses.",
            )
        return (0, n_left), (n_left, self.n_targets)


def _at_voxels(dataset: Dataset, paths: list[Path], subject: str) -> np.ndarray | None:
    """Read a volume at the voxels that are targets; None for files of another form."""
    if len(paths) != 1 or "#" in paths[0].name or not is_volume_of_voxels(paths[0]):
        return None
    return voxel_values(dataset, subject, paths[0])


def _fitted(
    dataset: Dataset, what: str, values: np.ndarray, n_targets: int, subject: str
) -> np.ndarray:
    """Return values of the responses' targets; those of another fsaverage mesh are carried over."""
    if len(values) == n_targets:
        return values
    columns = dataset.columns_path(subject) if subject in dataset.subjects else None
    if columns is not None:
        return np.asarray(values[chosen_columns(columns, len(values))])
    space = SPACE_NAMES.get(dataset.space)
    if space is None:
        raise InputError(
            f"[regions]: {what} has {len(values)} values, the responses of {dataset.name} have "
            f"{n_targets} targets",
            hint="Give one value per column of the responses, in their order.",
        )
    return on_mesh(values, mesh_of(len(values), f"[regions]: {what}"), space)


def _paths(dataset: Dataset, templates: tuple[str, ...], subject: str) -> list[Path]:
    known = subject in dataset.subjects
    person = (dataset.subject(subject).person if known else None) or subject
    return [given_path(template.format(subject=person), dataset.folder) for template in templates]
