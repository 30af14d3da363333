"""The registry of region sets: what each is made of, what file it needs, and from where.

A package of your own adds a set by an entry point of the group ``braindash.regions``, whose name
is the set's. For example, the object ``SET`` of a module ::

    from braindash.io.regions.sets import RegionSet
    from braindash.io.regions.sources import RegionFile

    SET = RegionSet(
        name="my-lab",
        title="My lab's speech regions",
        source="Somebody et al. 2026",
        licence="CC BY 4.0",
        files=(
            RegionFile("lh.my_lab.annot", "https://example.org/my_lab"),
            RegionFile("rh.my_lab.annot", "https://example.org/my_lab"),
        ),
        groups={"speech": ("STG", "STS")},
    )

of a distribution ``my_lab_regions`` is named in its ``pyproject.toml`` by ::

    [project.entry-points."braindash.regions"]
    my-lab = "my_lab_regions:SET"

A set that is broken is left out, with a warning; all else works without it.
"""

import logging
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType

import numpy as np

from braindash.errors import InputError, near_match
from braindash.files import replaced
from braindash.io.regions import groups as named
from braindash.io.regions.discs import REGION_NAMES, SPHERE_LABEL, disc_masks
from braindash.io.regions.masks import DISCS, Mask, Regions, sides_of, with_whole
from braindash.io.regions.parcellation import (
    Parcellation,
    mesh_of,
    on_mesh,
    plain_name,
    read_parcellation,
    read_values,
)
from braindash.io.regions.sources import (
    DESIKAN_FILES,
    DESTRIEUX_FILES,
    HCP_FILES,
    HCP_TERMS,
    HOME_VARIABLE,
    LANA_FILES,
    Fetch,
    RegionFile,
    fetch_destrieux,
    fetch_hashed,
    find_file,
    home,
    schaefer_files,
    told_placeholder,
)
from braindash.io.surfaces import SPACE_NAMES, medial_wall

logger = logging.getLogger(__name__)

REGION_PLUGINS = "braindash.regions"
"""Group of the entry points by which another package adds region sets."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TAKEN = "taken-over"

Make = Callable[["RegionSet", Sequence[Path], str], Mapping[str, Mask]]


def make_labels(one: "RegionSet", paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Make a region of every label, or of every group of labels where the set has groups.

    Raises
    ------
    InputError
        When the files lack a label of the set or of a group.
    """
    found = read_parcellation(*paths)
    source = f"{found.source} ({one.name})"
    wanted = grouped_labels(one.groups) or list(one.labels)
    require_labels(found.names, wanted, source)
    tell_one_sided(found.masks, wanted, found.n_left, source)
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
    masks: Mapping[str, Mask], wanted: Sequence[str], n_left: int, source: str
) -> None:
    """Warn of labels that only one hemisphere has: their region is of that side alone."""
    for side, part in (("left", slice(None, n_left)), ("right", slice(n_left, None))):
        lacking = [label for label in wanted if not masks[label][part].any()]
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


# ---- sets of braindash ----------------------------------------------------------------------

_HCP = "HCP-MMP1, Glasser et al. 2016, doi:10.1038/nature18933"
_HCP_LICENCE = "HCP Open Access Data Use Terms"


def _make_discs(one: RegionSet, paths: Sequence[Path], space: str) -> Mapping[str, Mask]:
    return {name: mask.copy() for name, mask in disc_masks(space).items()}


def _hcp(name: str, title: str, groups: Mapping[str, tuple[str, ...]], note: str = "") -> RegionSet:
    return RegionSet(
        name,
        title,
        _HCP,
        _HCP_LICENCE,
        HCP_FILES,
        groups,
        note=note,
        terms=HCP_TERMS,
        fetch=fetch_hashed,
        folder="hcp-mmp1",
        labels=() if groups else named.HCP_LABELS,
    )


_OWN = (
    RegionSet(
        DISCS,
        "Discs",
        SPHERE_LABEL,
        "published coordinates, no file",
        labels=REGION_NAMES,
        make=_make_discs,
    ),
    _hcp("hcp-mmp1", "HCP-MMP1 areas", {}),
    _hcp(
        "moussa2025-neurips",
        "Regions of arXiv 2510.21520",
        named.MOUSSA_NEURIPS,
        "early visual cortex added as a control",
    ),
    _hcp(
        "moussa2025-iclr",
        "Regions of arXiv 2410.09230",
        named.MOUSSA_ICLR,
        "by name, where that code's numbers name other labels",
    ),
    _hcp(
        "language-fedorenko",
        "Language network",
        named.LANGUAGE_FEDORENKO,
        "labels ordered after the parcels of Fedorenko et al. 2010; not those parcels",
    ),
    _hcp("auditory-hierarchy", "Auditory hierarchy", named.AUDITORY_HIERARCHY),
    RegionSet(
        "destrieux",
        "Destrieux gyri and sulci",
        "Destrieux et al. 2010, doi:10.1016/j.neuroimage.2010.06.010",
        "FreeSurfer software licence",
        DESTRIEUX_FILES,
        terms="The parcellation is distributed with FreeSurfer and falls under its licence: "
        "https://surfer.nmr.mgh.harvard.edu/fswiki/FreeSurferSoftwareLicense\n",
        fetch=fetch_destrieux,
        folder="destrieux",
    ),
    RegionSet(
        "desikan",
        "Desikan-Killiany gyri",
        "Desikan et al. 2006, doi:10.1016/j.neuroimage.2006.01.021",
        "FreeSurfer software licence",
        DESIKAN_FILES,
        folder="desikan",
    ),
)

SETS: Mapping[str, RegionSet] = MappingProxyType({one.name: one for one in _OWN})
"""The sets of braindash that have one name; families have members by number as well."""

_SCHAEFER = re.compile(r"schaefer-([1-9]|10)00(-17)?")
_LANA = re.compile(r"lana-([0-9]{1,2}(?:\.[0-9]{1,3})?)")

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "schaefer-N": "N parcels, 100 to 1000, and their 7 networks; schaefer-N-17: 17 networks",
        "lana-X": "the X % of the cortex where LanA's language probability is highest",
    }
)
"""Sets by number, and what the number means."""
_LISTED = ("schaefer-100", "schaefer-400", "schaefer-1000", "lana-2", "lana-10", "lana-20")


def _make_schaefer(one: RegionSet, paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Make the networks, both sides together, and the parcels, each on its side."""
    parcels: dict[str, Mask] = {}
    networks: dict[str, Mask] = {}
    found = read_parcellation(*paths).on(space)
    _require_schaefer(one, found)
    for name, mask in found.masks.items():
        match = re.fullmatch(r"(?:\d+Networks_)?([LR]H)_([^_]+)(?:_.*)?", name)
        parcels[re.sub(r"^\d+Networks_", "", name)] = mask
        if match:
            network = match[2]
            networks[network] = networks.get(network, np.zeros_like(mask)) | mask
    return networks | parcels


def _require_schaefer(one: RegionSet, found: Parcellation) -> None:
    """Refuse the files of another set of Schaefer's, or of another atlas."""
    match = _SCHAEFER.fullmatch(one.name)
    if match is None:
        return
    count, networks = int(match[1]) * 100, "17" if match[2] else "7"
    prefixes = {prefix[1] for n in found.names if (prefix := re.match(r"(\d+)Networks_", n))}
    # A coarse mesh may have lost a few; sets are a hundred apart.
    if abs(len(found.names) - count) >= 50 or prefixes - {networks}:
        of = f" of {' and '.join(sorted(prefixes))} networks" if prefixes else ""
        raise InputError(
            f"{found.source} have {len(found.names)} labels{of}, but {one.name} has {count} "
            f"parcels of {networks} networks",
            hint="Give the files whose names have both numbers, or name the set that they are of.",
        )


def _schaefer(name: str, match: re.Match[str]) -> RegionSet:
    count, networks = int(match[1]) * 100, 17 if match[2] else 7
    return RegionSet(
        name,
        f"Schaefer, {count} parcels and {networks} networks",
        "Schaefer et al. 2018, doi:10.1093/cercor/bhx179",
        "MIT (CBIG)",
        schaefer_files(count, networks),
        note="parcels of the two sides are no pairs: each is on its side",
        make=_make_schaefer,
        folder="schaefer",
    )


def _make_lana(one: RegionSet, paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Take the share of the cortex that has the highest probability, of both sides together."""
    values = read_values(paths)
    probability = on_mesh(values, mesh_of(len(values), ", ".join(p.name for p in paths)), space)
    cortex = ~medial_wall(space)
    share = float(one.name.removeprefix("lana-")) / 100
    known = np.where(cortex & np.isfinite(probability), probability, -np.inf)
    count = round(share * int(cortex.sum()))
    top = np.argsort(-known, kind="stable")[:count]
    mask = np.zeros(len(known), dtype=bool)
    mask[top[known[top] > 0]] = True
    return {one.labels[0]: mask}


def _lana(name: str, match: re.Match[str]) -> RegionSet:
    share = f"{float(match[1]):g}"
    return RegionSet(
        name,
        f"LanA, top {share} %",
        "Lipkin et al. 2022, doi:10.1038/s41597-022-01645-3",
        "see the atlas's site",
        LANA_FILES,
        labels=(f"lana_top_{share}_percent",),
        note=f"the {share} % of the cortex of both sides with the highest probability of language; "
        "scores fall as the share grows",
        make=_make_lana,
        folder="lana",
    )


def _member(name: str) -> RegionSet | None:
    """Make a set of a family, by its number; None where the name is of no family."""
    if match := _SCHAEFER.fullmatch(name):
        return _schaefer(name, match)
    if (match := _LANA.fullmatch(name)) and float(match[1]) > 0:
        return _lana(name, match)
    return None


# ---- label files of the user, sets of other packages ----------------------------------------


def _taken_over() -> dict[str, RegionSet]:
    """List the sets that were made of label files with :func:`take_over`."""
    found = {}
    for folder in sorted((home() / _TAKEN).glob("*/")):
        files = [sorted(folder.glob(f"{side}.*")) for side in ("left", "right")]
        if all(files) and _NAME.fullmatch(folder.name):
            described = tuple(RegionFile(one[0].name, str(folder)) for one in files)
            found[folder.name] = RegionSet(
                folder.name,
                folder.name,
                "label files of your own",
                "as its files have it",
                described,
                folder=f"{_TAKEN}/{folder.name}",
            )
    return found


def take_over(name: str, left: Path, right: Path) -> RegionSet:
    """Copy label files of the user: as those of a known set, or as a set of their own.

    Parameters
    ----------
    name : str
        A known set, such as "hcp-mmp1", or a new name of a-z, 0-9, ".", "_" and "-".
    left, right : Path
        The files; read before they are copied.

    Raises
    ------
    InputError
        When the files cannot be read or lack what the set needs, or when the name is none.
    """
    known = SETS.get(name) or _member(name)
    if known is not None and not known.files:
        raise InputError(f"the region set {name!r} needs no file", hint="Use another name.")
    if known is None and (not _NAME.fullmatch(name) or name == OWN_SET or name in _plugins().sets):
        raise InputError(
            f"a region set cannot be named {name!r}",
            hint="Use small letters, digits, '.', '_' and '-', and no name that is taken "
            f"({', '.join([OWN_SET, *_plugins().sets])}).",
        )
    folder = f"{_TAKEN}/{name}"
    chosen = known or RegionSet(name, name, "label files of your own", "", folder=folder)
    chosen.make(chosen, [left, right], "fsaverage5")  # refuses what cannot be used
    place = home() / chosen.folder
    place.mkdir(parents=True, exist_ok=True)
    for side, path in enumerate((left, right)):
        if known is None:
            word = ("left", "right")[side]
            target, taken = f"{word}{_ending(path)}", [one.name for one in place.glob(f"{word}.*")]
        else:
            taken = [known.files[side].name, *known.files[side].also]
            target = _target(path, taken)
        for old in taken:
            if old != target:  # two files of one side would hide each other
                (place / old).unlink(missing_ok=True)
        with replaced(place / target) as partial:
            shutil.copyfile(path, partial)
    return find_set(name)


def _ending(path: Path) -> str:
    name = path.name.lower()
    ending = next((end for end in _ENDINGS if name.endswith(end)), path.suffix)
    return ".label.gii" if ending == ".gii" else ending


def _target(path: Path, names: Sequence[str]) -> str:
    """Choose the name under which a file of a known set is found again."""
    ending = _ending(path)
    target = next((name for name in names if name.endswith(ending)), None)
    if target is None:
        raise InputError(
            f"{path.name} is of no form that this region set has",
            hint=f"Give it as one of: {', '.join(names)}.",
        )
    return target


_ENDINGS = (".label.gii", ".nii.gz", ".annot", ".gii", ".npy", ".nii", ".mgh", ".mgz")
OWN_SET = "own"
"""Name of the set that a manifest's ``[regions]`` describe."""


@dataclass(frozen=True)
class _Plugins:
    """What the installed plugins bring along, and what is wrong with the others, by name."""

    sets: Mapping[str, RegionSet]
    problems: Mapping[str, str]


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


@cache
def _plugins() -> _Plugins:
    """Import every plugin, once in the life of a process."""
    sets: dict[str, RegionSet] = {}
    problems: dict[str, str] = {}
    points = entry_points(group=REGION_PLUGINS)
    for point in sorted(points, key=lambda one: (one.name, _origin(one))):
        try:
            one = point.load()
            problem = _problem(point, one, sets)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the others go on without it
            problem = f"{type(error).__name__}: {error}"
        if problem:
            problem = f"{_origin(point)}, {point.value}: {problem}"
            logger.warning("the region set %r is left out: %s", point.name, problem)
            problems[point.name] = problem
        else:
            sets[point.name] = replace(one, plugin=_origin(point))
    return _Plugins(sets, problems)


def _problem(point: EntryPoint, one: object, sets: Mapping[str, RegionSet]) -> str:
    """Say why what a plugin brings along cannot be used; empty where it can."""
    if not isinstance(one, RegionSet):
        return f"it is {type(one).__name__}, not RegionSet"
    if point.name in SETS or point.name == OWN_SET or _member(point.name) is not None:
        return "braindash has a region set of this name"
    if point.name in sets:
        return f"{sets[point.name].plugin} has a region set of this name"
    if one.name != point.name or not _NAME.fullmatch(one.name):
        return (
            f"the entry point is named {point.name!r} and the set {one.name!r}; both must be one "
            "name of a-z, 0-9, '.', '_' and '-'"
        )
    if one.make is make_labels and len(one.files) != 2:
        return f"it names {len(one.files)} files; labels are two, left and right"
    return ""


# ---- looking sets up ------------------------------------------------------------------------


def known_sets() -> dict[str, RegionSet]:
    """Return all region sets by name: braindash's, usual members of families, plugins', yours."""
    members = {name: one for name in _LISTED if (one := _member(name)) is not None}
    for place in sorted((home() / folder for folder in ("", "schaefer")), key=str):
        for path in sorted(place.glob("lh.Schaefer2018_*Networks_order.*")):
            found = re.match(r"lh\.Schaefer2018_(\d+)Parcels_(7|17)Networks", path.name)
            name = f"schaefer-{found[1]}{'-17' * (found[2] == '17')}" if found else ""
            if (one := _member(name)) is not None:
                members[name] = one
    return {**SETS, **members, **_plugins().sets, **_taken_over()}


def find_set(name: str) -> RegionSet:
    """Look a region set up by its name.

    Raises
    ------
    InputError
        When there is none of this name, or the plugin that should bring it along is broken.
    """
    one = SETS.get(name) or _member(name) or known_sets().get(name)
    if one is not None:
        return one
    if name in _plugins().problems:
        raise InputError(
            f"the region set {name!r} cannot be used: {_plugins().problems[name]}",
            hint="Repair, update or uninstall that distribution; all else works without it.",
        )
    raise InputError(
        f"there is no region set {name!r}",
        hint=f"{near_match(name, known_sets())} `braindash regions` lists them; by number: "
        f"{', '.join(FAMILIES)}.",
    )


def fetch_set(name: str, *, accepted: bool) -> list[Path]:
    """Fetch the files of a region set, on consent only.

    Parameters
    ----------
    name : str
        The set.
    accepted : bool
        Whether the user has read and accepted its licence.

    Returns
    -------
    list of Path
        The files; those that are there already are not fetched again.

    Raises
    ------
    InputError
        When nobody accepted, the set cannot be fetched, or fetching failed.
    """
    one = find_set(name)
    if one.is_ready:
        return list(one.paths)
    if one.fetch is None:
        raise InputError(
            f"braindash does not fetch the files of the region set {name!r}: {one.needs()}",
            hint=f"Get them there, then `braindash regions add {name} LEFT RIGHT`.",
        )
    if not accepted:
        raise InputError(
            f"nothing is fetched before the licence of {name!r} is accepted ({one.licence})",
            hint=f"Read it with `braindash regions show {name}`, then give --accept-licence.",
        )
    folder = home() / one.folder
    folder.mkdir(parents=True, exist_ok=True)
    one.fetch(one.missing, folder)
    one.require_ready()
    return list(one.paths)
