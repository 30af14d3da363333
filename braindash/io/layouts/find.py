"""Which layout a folder has: every recogniser is asked, those of other packages too.

A package brings a layout along as an entry point of the group ``braindash.datasets``. What it names
is a :class:`braindash.io.layouts.finding.Layout` of a module ::

    from pathlib import Path

    from braindash.io.layouts.finding import Draft, Finding, Layout, Template


    def recognise(tree):
        if not tree.by_name.get("our_lab.txt"):
            return None
        sounds = {"tale": tree.sound("tale")}
        return Finding(
            layout="our-lab",
            title="Our lab",
            folder=tree.root,
            subjects={"S1": ("tale",)},
            draft=Draft(
                dataset={"name": "Our lab", "audio_dir": sounds["tale"].path.parent},
                timing={"tr": 2.0},
                responses={"path": Template(tree.root, "{subject}_{story}.npy"), "space": "roi"},
                subjects=[{"id": "S1"}],
                splits={"test": ["tale"]},
            ),
        )


    LAYOUT = Layout(name="our-lab", title="Our lab", recognise=recognise)

of a distribution whose ``pyproject.toml`` says ::

    [project.entry-points."braindash.datasets"]
    our-lab = "our_package:LAYOUT"
"""

import logging
import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Any

from braindash.errors import InputError
from braindash.files import find_placeholder, parse_toml
from braindash.io.layouts import (
    algonauts,
    bids,
    denizenslab,
    lebel,
    narratives,
    petit_prince,
    unread,
)
from braindash.io.layouts.finding import Finding, Layout
from braindash.io.layouts.tree import scan
from braindash.plugins import load_plugins

logger = logging.getLogger(__name__)

LAYOUT_PLUGINS = "braindash.datasets"
MANIFEST = "manifest.toml"
OWN = "manifest"
_NAME = re.compile(r"[a-z0-9_-]+")

# The special ones first: all but the last would be taken for a derivative of BIDS.
LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        one.name: one
        for one in (
            denizenslab.LAYOUT,
            lebel.LAYOUT,
            narratives.LAYOUT,
            petit_prince.LAYOUT,
            algonauts.LAYOUT,
            unread.PODCAST,
            unread.SMN4LANG,
            unread.LITCODER,
            bids.LAYOUT,
        )
    }
)


@lru_cache(maxsize=1)
def known_layouts() -> Mapping[str, Layout]:
    """Return every layout by its name: those of plugins first, so that they know their own data."""
    found = load_plugins(LAYOUT_PLUGINS, "layout", LAYOUTS.__contains__, _problem).found
    return {**found, **LAYOUTS}


def _problem(point: EntryPoint, one: object) -> str:
    """Say why what a plugin brings along cannot be used; empty where it can."""
    if not isinstance(one, Layout):
        return f"it is {type(one).__name__}, not Layout"
    if one.name != point.name or not _NAME.fullmatch(one.name):
        return (
            f"the entry point is named {point.name!r} and the layout {one.name!r}; both must be "
            "one name of a-z, 0-9, - and _"
        )
    return ""


def recognise(folder: Path | str, audio: Path | str | None = None) -> Finding:
    """Say what is in a folder.

    Parameters
    ----------
    folder : path
        Data, with all folders in it.
    audio : path, optional
        Another folder, with the sounds.

    Returns
    -------
    Finding
        Of the first layout that knows it.

    Raises
    ------
    InputError
        There is no such folder, or no layout knows what is in it.
    """
    tree = scan(folder, audio)
    for layout in known_layouts().values():
        found = layout.recognise(tree)
        if found is not None:
            return found
    raise InputError(
        f"{tree.root} is in no layout that is known ({len(tree.files)} files were looked at)",
        hint=f"Known are {', '.join(one.title for one in known_layouts().values())}; and a folder "
        f"that holds a manifest ({MANIFEST}), which describes data of any lab.",
    )


def own_manifest(folder: Path) -> Path | None:
    """Return the manifest that a folder holds; None where there is none.

    Raises
    ------
    InputError
        There are several, and none is named manifest.toml.
    """
    usual = folder / MANIFEST
    if usual.is_file() or find_placeholder(usual) is not None:
        return usual
    found = [path for path in sorted(folder.glob("*.toml")) if _is_manifest(path)]
    if len(found) > 1:
        raise InputError(
            f"{folder} holds several manifests: {', '.join(path.name for path in found)}",
            hint=f"Name the one that is meant, or call it {MANIFEST}.",
        )
    return found[0] if found else None


def _is_manifest(path: Path) -> bool:
    try:
        content: dict[str, Any] = parse_toml(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return False
    return {"dataset", "responses"} <= content.keys()


def manifest_of(folder: Path) -> tuple[Path, str | None]:
    """Return the manifest of a folder: the one in it, or what its layout gives.

    Parameters
    ----------
    folder : Path
        Data.

    Returns
    -------
    path : Path
        Where the manifest lies, or would lie.
    text : str or None
        What stands in it, where it is not written.

    Raises
    ------
    InputError
        No layout knows the folder, or its data cannot be used as they are.
    """
    own = own_manifest(folder)
    if own is not None:
        return own, None
    found = recognise(folder)
    if found.draft is None:
        raise InputError(
            f"{folder} is {found.title}, but nothing in it can be used yet: "
            + "; ".join(found.missing or found.excluded or ("no story has sound and responses",)),
            hint=f"`braindash index {shlex.quote(str(folder))}` says all that was found; sounds "
            "in another folder are given by --audio DIR, with --write FILE for the manifest.",
        )
    logger.info("%s is indexed as %s", folder, found.title)
    return folder / MANIFEST, found.manifest_text(folder)
