"""Regions that a data set brings along: subjects' own labels, localiser masks, groups of labels."""

import logging
from pathlib import Path

import numpy as np

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.stacking import chosen_columns
from braindash.io.dataset.tables import RegionsTable
from braindash.io.regions.masks import Mask, Regions, sides_of, with_whole
from braindash.io.regions.painted import set_on_targets
from braindash.io.regions.parcellation import (
    Parcellation,
    mesh_of,
    on_mesh,
    read_parcellation,
    read_values,
    require_side,
)
from braindash.io.regions.region_set import grouped_labels, join_labels, tell_one_sided
from braindash.io.regions.sets import OWN_SET, find_set
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.surfaces import SPACE_NAMES
from braindash.names import given_path

logger = logging.getLogger(__name__)

_USUAL = "hcp-mmp1"


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
    masks: dict[str, Mask] = {}
    if table.groups:
        source = read or "the label files"
        masks |= join_labels(labels, table.groups, source)
        if is_left is not None:
            n_left = int(is_left.sum())
            tell_one_sided(labels, grouped_labels(table.groups), n_left, source)
    for name, templates in table.masks.items():
        masks[name] = _mask(dataset, name, _paths(dataset, templates, subject), n_targets, subject)
        if not masks[name].any():
            logger.warning(
                "[regions]: the mask %r of %s marks no target (subject %r): it has no mean",
                name,
                dataset.name,
                subject,
            )
    if not table.groups:
        masks |= {name: mask for name, mask in labels.items() if name not in masks}
    note = f"regions of {dataset.name}, from its manifest"
    return Regions(
        OWN_SET, f"{note}; {read}" if read else note, with_whole(masks, n_targets), is_left
    )


def _require_own_names(table: RegionsTable) -> None:
    """Refuse a mask and a group of one name: one would hide the other."""
    twice = [name for name in table.groups if name in table.masks]
    if twice:
        raise InputError(
            f"[regions] has a mask and a group named {twice[0]!r}",
            hint="Give one of them another name.",
        )


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
        found = _own_labels(dataset, _paths(dataset, table.labels, subject), n_targets, subject)
        if is_left is None and 0 < found.n_left < n_targets:
            is_left = np.arange(n_targets) < found.n_left
        return found.masks, is_left, found.source
    if not table.groups:
        return {}, is_left, ""
    chosen = find_set(table.set or _USUAL)
    regions = set_on_targets(chosen, dataset.space, n_targets, surface)
    return dict(regions.masks), regions.is_left, regions.note


def _own_labels(dataset: Dataset, paths: list[Path], n_targets: int, subject: str) -> Parcellation:
    if len(paths) == 1:
        if paths[0].name.lower().endswith(".annot"):
            raise InputError(
                f"[regions]: labels names one file, {paths[0].name}, which is of one hemisphere",
                hint='Give both, left and right: labels = ["lh.NAME.annot", "rh.NAME.annot"].',
            )
        codes = _fitted(dataset, "labels", read_values(paths), n_targets, subject)
        found = {str(int(code)): codes == code for code in np.unique(codes[codes > 0])}
        index = np.full(n_targets, -1, dtype=np.int32)
        for place, mask in enumerate(found.values()):
            index[mask] = place
        return Parcellation(tuple(found), index, 0, paths[0].name)
    labels = read_parcellation(*paths)
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


def _mask(dataset: Dataset, name: str, paths: list[Path], n_targets: int, subject: str) -> Mask:
    if any(path.name.endswith(".label") for path in paths):
        values = _vertex_lists(paths, n_targets)
    else:
        values = read_values([str(path) for path in paths])
    values = _fitted(dataset, f"the mask {name!r}", values, n_targets, subject)
    return np.asarray(np.nan_to_num(values, nan=0.0) > 0)


def _vertex_lists(paths: list[Path], n_targets: int) -> np.ndarray:
    """Read FreeSurfer labels, which list vertices: of a left and a right side of equal size."""
    from nibabel.freesurfer.io import read_label

    values = np.zeros(n_targets, dtype=np.float32)
    half = n_targets // 2
    for place, path in enumerate(paths):
        if len(paths) == 2:
            side = place
            require_side(path, side)
        elif path.name.startswith(("lh.", "rh.")):
            side = int(path.name.startswith("rh."))
        else:
            raise InputError(
                f"nobody says on which side the vertices of {path} are",
                hint="Name it lh. or rh., or give two files, left and right.",
            )
        refuse_placeholder(path, "label file")
        try:
            vertices = read_label(str(path))  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read as a FreeSurfer label: {error}",
                hint="Give a .label file of one hemisphere, on the responses' own mesh.",
            ) from error
        if vertices.size and (n_targets % 2 or vertices.max() >= half):
            raise InputError(
                f"{path} names vertex {int(vertices.max())}, the responses have {half} a side",
                hint="Give labels on the responses' own mesh, or masks of all targets.",
            )
        values[side * half + vertices] = 1
    return values


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
