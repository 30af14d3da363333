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

import re
import shutil
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path

from braindash.errors import InputError, near_match
from braindash.files import replaced
from braindash.io.regions.catalogue import FAMILIES, SETS, USUAL_MEMBERS, set_by_number
from braindash.io.regions.region_set import RegionSet, make_labels
from braindash.io.regions.sources import RegionFile, home
from braindash.plugins import Plugins, load_plugins

__all__ = ["FAMILIES", "SETS", "RegionSet", "fetch_set", "find_set", "known_sets", "take_over"]

REGION_PLUGINS = "braindash.regions"
"""Group of the entry points by which another package adds region sets."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_TAKEN = "taken-over"
OWN_SET = "own"
"""Name of the set that a manifest's ``[regions]`` describe."""
_ENDINGS = (".label.gii", ".gii.gz", ".nii.gz", ".annot", ".gii", ".npy", ".nii", ".mgh", ".mgz")

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
        A known set, such as "hcp-mmp1", or a new name of up to 100 of a-z, 0-9, ".",
        "_" and "-".
    left, right : Path
        The files; read before they are copied.

    Raises
    ------
    InputError
        When the files cannot be read or lack what the set needs, or when the name is none.
    """
    known = SETS.get(name) or set_by_number(name)
    if known is not None and not known.files:
        raise InputError(f"the region set {name!r} needs no file", hint="Use another name.")
    if known is None and (not _NAME.fullmatch(name) or name == OWN_SET or name in _plugins().found):
        raise InputError(
            f"a region set cannot be named {name!r}",
            hint="Use up to 100 small letters, digits, '.', '_' and '-', and no name that is taken "
            f"({', '.join([OWN_SET, *_plugins().found])}).",
        )
    for path in (left, right):
        if "#" in path.name and not path.is_file():
            raise InputError(
                f"{path} is an array of a file, and files are taken over whole",
                hint="Save it as a file of its own (numpy.save) for each side, and give these.",
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


@cache
def _plugins() -> Plugins[RegionSet]:
    """Import every plugin, once in the life of a process."""
    return load_plugins(REGION_PLUGINS, "region set", _is_own, _problem)


def _is_own(name: str) -> bool:
    return name in SETS or name == OWN_SET or set_by_number(name) is not None


def _problem(point: EntryPoint, one: object) -> str:
    """Say why what a plugin brings along cannot be used; empty where it can."""
    if not isinstance(one, RegionSet):
        return f"it is {type(one).__name__}, not RegionSet"
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
    members = {name: one for name in USUAL_MEMBERS if (one := set_by_number(name)) is not None}
    for place in sorted((home() / folder for folder in ("", "schaefer")), key=str):
        for path in sorted(place.glob("lh.Schaefer2018_*Networks_order.*")):
            found = re.match(r"lh\.Schaefer2018_(\d+)Parcels_(7|17)Networks", path.name)
            name = f"schaefer-{found[1]}{'-17' * (found[2] == '17')}" if found else ""
            if (one := set_by_number(name)) is not None:
                members[name] = one
    return {**SETS, **members, **_plugins().found, **_taken_over()}


def find_set(name: str) -> RegionSet:
    """Look a region set up by its name.

    Raises
    ------
    InputError
        When there is none of this name, or the plugin that should bring it along is broken.
    """
    one = SETS.get(name) or set_by_number(name) or known_sets().get(name)
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
