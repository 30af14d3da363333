"""A region set: its files, and the regions that its labels make."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from braindash.errors import InputError, near_match
from braindash.io.regions.label_files import SIDES
from braindash.io.regions.masks import Mask, Regions, sides_of, with_whole
from braindash.io.regions.parcellation import plain_name, read_parcellation
from braindash.io.regions.sources import (
    HOME_VARIABLE,
    Fetch,
    RegionFile,
    find_file,
    home,
    told_placeholder,
)
from braindash.io.surfaces import SPACE_NAMES, medial_wall

logger = logging.getLogger(__name__)

Make = Callable[["RegionSet", Sequence[Path], str], Mapping[str, Mask]]


def make_labels(one: "RegionSet", paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Make a region of every label, or of every group of labels where the set has groups.

    Raises
    ------
    InputError
        When the files lack a label of the set or of a group.
    """
    wanted = grouped_labels(one.groups) or list(one.labels)
    found = read_parcellation(*paths).spelled_as([*wanted, *one.marks])
    source = f"{found.source} ({one.name})"
    require_labels(found.names, wanted, source)
    if one.marks and not set(one.marks) & set(found.names):
        raise InputError(
            f"{source} are files of another atlas: none of their {len(found.names)} labels is of "
            f"{one.title}",
            hint=f"Its labels are called {', '.join(one.marks[:2])} and so on; label files of "
            "another atlas become a set of their own under a new name.",
        )
    is_left = np.arange(len(found.index)) < found.n_left
    tell_one_sided(found.masks, wanted, (is_left, ~is_left), source)
    masks = found.on(space).masks
    return join_labels(masks, one.groups, source) if one.groups else masks


def grouped_labels(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """List the labels of all groups, each once."""
    return list(dict.fromkeys(label for group in groups.values() for label in group))


def require_labels(labels: Collection[str], wanted: Sequence[str], source: str) -> None:
    """Raise InputError, which names what ``source`` lacks, unless every label is there."""
    missing = [label for label in wanted if label not in labels]
    if missing:
        plain = plain_name(missing[0])
        raise InputError(
            f"{source} has no label {', '.join(map(repr, missing[:8]))}"
            f"{' ...' if len(missing) > 8 else ''} ({len(missing)} of {len(wanted)} are missing)",
            hint=near_match(plain if plain in labels else missing[0], labels),
        )


def tell_one_sided(
    masks: Mapping[str, Mask], wanted: Sequence[str], sides: tuple[Mask, Mask], source: str
) -> None:
    """Warn of labels that only one hemisphere has: their region is of that side alone."""
    for side, part in zip(SIDES, sides, strict=True):
        lacking = [label for label in wanted if not (masks[label] & part).any()]
        if lacking:
            logger.warning(
                "%s: the %s hemisphere lacks %d of %d labels: %s%s",
                source,
                side,
                len(lacking),
                len(wanted),
                ", ".join(lacking[:8]),
                " ..." if len(lacking) > 8 else "",
            )


def join_labels(
    masks: Mapping[str, Mask], groups: Mapping[str, Sequence[str]], source: str
) -> dict[str, Mask]:
    """Join labels to groups, by name; InputError for an empty group and for what is lacking."""
    empty = [name for name, labels in groups.items() if not labels]
    if empty:
        raise InputError(
            f"the group {empty[0]!r} names no label",
            hint="Name one or more labels in it, or leave the group out.",
        )
    require_labels(masks, grouped_labels(groups), source)
    return {
        name: np.logical_or.reduce([masks[label] for label in labels])
        for name, labels in groups.items()
    }


@dataclass(frozen=True)
class RegionSet:
    """A named set of regions of the fsaverage surfaces.

    Attributes
    ----------
    name, title : str
        As it is asked for, and as readers see it.
    source, licence : str
        Who made it, and what its files may be used for.
    files : tuple of RegionFile
        What it needs, left before right; empty for a set that needs no file.
    groups : mapping of str to tuple of str
        Regions and the labels that each is made of; empty: every label is a region.
    labels : tuple of str
        Names of the regions, where they are known before the files are read.
    marks : tuple of str
        Labels by which its files are known, where not all are listed: they have at least one.
    note : str
        What figures say beside the title.
    terms : str
        The licence's text, shown before anything is fetched.
    fetch : callable, optional
        Gets the files on consent; None where only the user can.
    make : callable
        Set, paths of the files, fsaverage space -> masks by region.
    folder : str
        Of :func:`braindash.io.regions.sources.home`, where its files may lie as well.
    plugin : str
        The distribution that brings it along, and its version.
    """

    name: str
    title: str
    source: str
    licence: str
    files: tuple[RegionFile, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    note: str = ""
    terms: str = ""
    fetch: Fetch | None = None
    make: Make = make_labels
    folder: str = ""
    plugin: str = ""

    @property
    def space(self) -> str:
        """The space that its regions are of."""
        return "fsaverage5, fsaverage6, fsaverage"

    @property
    def region_names(self) -> tuple[str, ...]:
        """Names of the regions, as far as they are known before the files are read."""
        return self.labels or tuple(self.groups)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files, where all are there; else empty."""
        found = [find_file(file, self.folder) for file in self.files]
        return tuple(path for path in found if path) if all(found) else ()

    @property
    def missing(self) -> tuple[RegionFile, ...]:
        """The files that are not there."""
        return tuple(file for file in self.files if find_file(file, self.folder) is None)

    @property
    def is_ready(self) -> bool:
        """Whether it can be used now."""
        return not self.missing

    def needs(self) -> str:
        """Say which files are lacking and from where they come; empty when it is ready."""
        if self.is_ready:
            return ""
        names = " and ".join(file.name for file in self.missing)
        told = f"it needs {names}, from {self.missing[0].where}"
        stand_ins = [told_placeholder(file, self.folder) for file in self.missing]
        return "; ".join([told, *filter(None, stand_ins)])

    def require_ready(self) -> None:
        """Raise InputError, which says which file is lacking and from where, unless ready."""
        if self.is_ready:
            return
        fetch = ""
        if self.fetch is not None:
            fetch = f" Or let braindash fetch them: `braindash regions fetch {self.name}`."
        raise InputError(
            f"the region set {self.name!r} cannot be used here: {self.needs()}",
            hint=f"Put the files into {home()} (or the folder that {HOME_VARIABLE} names), or give "
            f"yours: `braindash regions add {self.name} LEFT RIGHT`.{fetch}",
        )

    def regions(self, space: str, n_targets: int) -> Regions:
        """Find the regions among the targets of a result.

        Parameters
        ----------
        space : str
            Space of the responses; in a space that is no fsaverage one there are no regions.
        n_targets : int
            Number of targets.

        Raises
        ------
        InputError
            When a file is lacking, cannot be read, or lacks a label.
        """
        is_left = sides_of(space, n_targets)
        if is_left is None:
            return Regions(self.name, self.told(), with_whole({}, n_targets))
        self.require_ready()
        stamps = tuple((path, path.stat().st_mtime_ns) for path in self.paths)
        return _regions_of(_Kept(self), stamps, SPACE_NAMES[space])

    def told(self) -> str:
        """Say what figures say of it: title, source and note."""
        parts = [self.title if self.title == self.source else f"{self.title} ({self.source})"]
        return "; ".join([*parts, self.note] if self.note else parts)


class _Kept:
    """A set as the key of a cache: its mappings cannot be hashed."""

    def __init__(self, one: RegionSet) -> None:
        self.one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and self.one == other.one

    def __hash__(self) -> int:
        return hash(self.one.name)


@lru_cache(maxsize=12)
def _regions_of(kept: _Kept, stamps: tuple[tuple[Path, int], ...], space: str) -> Regions:
    one, paths = kept.one, [path for path, _ in stamps]
    masks = one.make(one, paths, space)
    n_targets = len(medial_wall(space)) if not masks else len(next(iter(masks.values())))
    found = with_whole(masks, n_targets)
    is_left = sides_of(space, n_targets)
    for mask in found.values():
        mask.setflags(write=False)
    read = f"; read from {', '.join(path.name for path in paths)}" if paths else ""
    return Regions(one.name, one.told() + read, MappingProxyType(found), is_left)
