"""Label files of the cortex: which label every target has, from any usual form of such a file.

A hemisphere is one file (left, then right), as :mod:`braindash.io.regions.label_files` reads it.
Labels are matched by name, never by number: a prefix "L_", "R_", "lh." or "rh." that all labels of
a file carry and a suffix "_ROI" are dropped, so that both sides of a label are one region.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.io.regions.cifti import cifti_left, is_cifti_map
from braindash.io.regions.label_files import (
    LABEL_FORMS,
    SIDES,
    Codes,
    Table,
    is_region,
    numbered,
    read_labels_of,
    require_side,
    require_two_files,
    side_of_label,
    tell_equal_sides,
    used_labels,
)
from braindash.io.surfaces import SPACES, coarsen, refine

logger = logging.getLogger(__name__)

_FSLR = 32492
_SIDE = re.compile(r"^(?:[LR]_|[lr]h[._-]|ctx[-_][lr]h[-_])")
# As other programs write the side and the suffix of a label, in small letters.
_SIDE_BEFORE = re.compile(r"^(?:ctx[-_])?(?:(l)|(r))(?:h[._-]|_)")
_SIDE_BEHIND = re.compile(r"[._-](?:(l)|(r))(?:h|eft|ight)?$")


@dataclass(frozen=True)
class Parcellation:
    """Labels of both hemispheres.

    Attributes
    ----------
    names : tuple of str
        Label names without the hemisphere's prefix, each once.
    index : int32 array of shape (n_targets,)
        For every target, the left hemisphere's first, the position of its label in ``names``, or
        -1 for none.
    n_left : int
        Targets of the left hemisphere.
    source : str
        The files that it was read from.
    """

    names: tuple[str, ...]
    index: npt.NDArray[np.int32]
    n_left: int
    source: str

    @property
    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """The targets of every label, bool (n_targets,)."""
        return {name: self.index == place for place, name in enumerate(self.names)}

    def on(self, space: str) -> "Parcellation":
        """Carry the labels over to another fsaverage mesh.

        Parameters
        ----------
        space : str
            An fsaverage space. The meshes are nested: on a coarser one the labels of the shared
            vertices are kept; on a finer one a vertex takes the label of the nearest one.

        Raises
        ------
        InputError
            When these labels are not on an fsaverage mesh.
        """
        own = mesh_of(len(self.index), self.source)
        return Parcellation(
            names=self.names,
            index=on_mesh(self.index, own, space),
            n_left=SPACES[space],
            source=self.source,
        )

    def spelled_as(self, wanted: Sequence[str]) -> "Parcellation":
        """Name labels as a set has them, where only one of its labels can be meant.

        Parameters
        ----------
        wanted : sequence of str
            Labels as the set has them.

        Returns
        -------
        Parcellation
            These labels themselves where none is lacking, or where two are spelled alike; else
            ``" l_a1_roi-lh"`` is ``"A1"``, on its own side only.
        """
        if set(wanted) <= set(self.names):
            return self
        keys: dict[str, list[str]] = {}
        for label in dict.fromkeys(wanted):
            keys.setdefault(_label_key(label)[0], []).append(label)
        new: list[str] = []
        taken: set[tuple[str, int]] = set()
        for place, name in enumerate(self.names):
            key, side = _label_key(name)
            meant = [name] if name in wanted else keys.get(key, [name])
            there = {int(at >= self.n_left) for at in np.flatnonzero(self.index == place)}
            mine = {(meant[0], one) for one in there}
            if len(meant) > 1 or taken & mine or (side is not None and there - {side}):
                return self
            taken |= mine
            new.append(meant[0])
        changed = [pair for pair in zip(self.names, new, strict=True) if pair[0] != pair[1]]
        if not changed:
            return self
        logger.warning(
            "%s: %d labels are spelled otherwise and read by name, such as %r as %r",
            self.source,
            len(changed),
            *changed[0],
        )
        names = tuple(dict.fromkeys(new))
        places = np.array([*map(names.index, new), -1], dtype=np.int32)
        return Parcellation(names, places[self.index], self.n_left, self.source)


def _label_key(label: str) -> tuple[str, int | None]:
    """Return a label without case, blanks, "_ROI" and its side; and the side, if it has one."""
    text, side = label.strip().lower(), None
    for pattern in (_SIDE_BEFORE, _SIDE_BEHIND):
        text = text.removesuffix("_roi")
        found = pattern.search(text)
        if found is not None:
            side = 0 if found[1] else 1
            text = text[: found.start()] + text[found.end() :]
    return text.removesuffix("_roi"), side


def mesh_of(n_targets: int, source: str) -> str:
    """Name the fsaverage mesh that has so many targets in both hemispheres."""
    for name, count in SPACES.items():
        if n_targets == 2 * count:
            return name
    on_fslr = n_targets == 2 * _FSLR
    raise InputError(
        f"{source}: {n_targets} targets are no fsaverage mesh" + " but fsLR 32k" * on_fslr,
        hint="Both hemispheres must be on one fsaverage mesh: "
        f"{', '.join(map(str, SPACES.values()))} vertices each."
        + " wb_command -label-resample brings labels from one mesh to another."
        * on_fslr,
    )


def on_mesh(values: npt.NDArray[Any], own: str, space: str) -> npt.NDArray[Any]:
    """Carry target-wise values from one fsaverage mesh to another, by the nearest vertex."""
    if SPACES[own] >= SPACES[space]:
        return coarsen(values, own, space)
    return refine(values, own, space)


def read_parcellation(left: Path | str, right: Path | str) -> Parcellation:
    """Read the label files of both hemispheres.

    Parameters
    ----------
    left, right : path
        As :func:`braindash.io.regions.label_files.read_labels_of` takes them.

    Returns
    -------
    Parcellation

    Raises
    ------
    InputError
        When a file is missing, is no label file, is of the other side by its name or its labels',
        is given as both sides, has two labels that are one region by their names, or when no vertex
        of both belongs to a region.
    """
    sides = [read_labels_of(path) for path in (left, right)]
    for side, (path, (codes, table)) in enumerate(zip((left, right), sides, strict=True)):
        require_side(path, side, used_labels(codes, table))
    require_two_files(left, right)
    source = f"{Path(left).name}, {Path(right).name}"
    found = _joined(sides, source)
    _tell_unlabelled(found)
    if sides[0][1] == sides[1][1]:
        tell_equal_sides(source, sides[0][0], sides[1][0])
    return found


def read_parcellation_of_all(path: Path | str) -> Parcellation:
    """Read one label file of all targets; only CIFTI says on which side they are.

    Parameters
    ----------
    path : path
        As for :func:`read_parcellation`, but no annotation, which is of one hemisphere.

    Raises
    ------
    InputError
        As :func:`read_parcellation`.
    """
    found = _joined([read_labels_of(path)], Path(path).name)
    return replace(found, n_left=cifti_left(Path(path))) if is_cifti_map(Path(path)) else found


def parcellation_of(values: npt.NDArray[Any], path: Path) -> Parcellation:
    """Make labels of numbers or names, one for each target, as :func:`read_parcellation_of_all`.

    Parameters
    ----------
    values : array of shape (n_targets,)
    path : Path
        Where they are from.
    """
    return _joined([numbered(path, values)], path.name)


def _joined(sides: Sequence[tuple[Codes, Table]], source: str) -> Parcellation:
    """Put label files behind each other, labels of one name together."""
    names: dict[str, int] = {}
    index = []
    for codes, table in sides:
        plain = _plain_names(table)
        places = {code: names.setdefault(name, len(names)) for code, name in plain.items()}
        found, inverse = np.unique(codes, return_inverse=True)
        _require_apart(source, [code for code in found.tolist() if code in plain], table, plain)
        by_code = np.array([places.get(code, -1) for code in found.tolist()], dtype=np.int32)
        index.append(by_code[inverse])
    joined = np.concatenate(index)
    if not names or not (joined >= 0).any():
        what = "name no region" if not names else "have no vertex in any region"
        raise InputError(
            f"{source} {what}",
            hint="Give label files with named regions and vertices in them; unknown, ???, "
            f"Medial_wall and the like are none ({LABEL_FORMS}).",
        )
    return Parcellation(tuple(names), joined, len(index[0]) if len(index) > 1 else 0, source)


def _require_apart(source: str, codes: Sequence[int], table: Table, plain: Table) -> None:
    """Refuse labels that would be one region; those of two sides, and of one name, are one."""
    written: dict[str, list[str]] = {}
    for code in codes:
        written.setdefault(plain[code], []).append(table[code])
    for name, labels in written.items():
        different = sorted(set(labels))
        if len(different) > 1 and len(set(map(side_of_label, different))) < len(different):
            raise InputError(
                f"{source}: the labels {' and '.join(map(repr, different))} would be one region, "
                f"{name!r}",
                hint="Names are read without a side in front and _ROI behind: name one otherwise.",
            )
        if len(different) < len(labels):
            logger.warning(
                "%s: %d labels are named %r: they are one region", source, len(labels), name
            )


def _tell_unlabelled(found: Parcellation) -> None:
    """Warn of regions, and of a whole side, without any vertex."""
    counts = np.bincount(found.index[found.index >= 0], minlength=len(found.names))
    lacking = [name for name, count in zip(found.names, counts, strict=True) if not count]
    if lacking:
        logger.warning(
            "%s: %d of %d labels are at no vertex: %s%s",
            found.source,
            len(lacking),
            len(found.names),
            ", ".join(lacking[:8]),
            ", ..." if len(lacking) > 8 else "",
        )
    for side, part in enumerate((found.index[: found.n_left], found.index[found.n_left :])):
        if not (part >= 0).any():
            logger.warning(
                "%s: no vertex of the %s hemisphere is in a region", found.source, SIDES[side]
            )


def plain_name(label: str) -> str:
    """Return a label as regions have it: without the side and the suffix "_ROI"."""
    return _SIDE.sub("", label).removesuffix("_ROI")


def _plain_names(table: Table) -> Table:
    """Return the names of what is a region, without the side and the suffix "_ROI"."""
    regions = {c: name for c, name in table.items() if is_region(name)}
    sided = bool(regions) and all(_SIDE.match(name) for name in regions.values())
    plain = {
        code: plain_name(name) if sided else name.removesuffix("_ROI")
        for code, name in regions.items()
    }
    return {c: name for c, name in plain.items() if is_region(name)}
