"""The region set and the side that all pages show: what can be chosen, and results looked at so."""

from pathlib import Path

import streamlit as st

from braindash.encoding.result import EncodingResult
from braindash.encoding.seen import (
    is_stored_with,
    look_at,
    regions_for,
    stored_regions,
    wanted_set,
)
from braindash.errors import AccessError, InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.io.regions.find import ready_sets
from braindash.io.regions.masks import DISCS, WHOLE, Hemisphere, Regions
from braindash.io.regions.sets import OWN_SET, find_set
from braindash.io.regions.sources import home
from braindash.io.store import Store
from braindash.io.surfaces import SPACES
from braindash.ui.explore.loaded import loaded
from braindash.work.regions import queue_regions

SET = "set"
SIDE = "hemisphere"
"""Names of the choices in the session and in the address."""
SET_HELP = (
    "Regions of all pages, tables and files: discs around published coordinates need no file; the "
    "page Data shows every set and what it needs. A set changes no result: its means and intervals "
    "are made from the stored predictions when they are first looked at."
)
SIDE_HELP = "The side of the brain that means, curves and tables are of."
OWN = OWN_SET
NOT_ASKED = "not asked"
_PENDING = "pending_regions"


def ready(space: str, manifest: str | Path | None) -> list[str]:
    """Name the sets that can be chosen for results of a space, the usual one first."""
    named = None if manifest is None else str(manifest)
    found: tuple[str, ...] = _ready(space, named, str(home()))
    return list(found)


def offers(result: EncodingResult) -> list[str]:
    """Name the sets that can be chosen for a result; that of its preset first."""
    found, wanted = ready(result.region_space, result.manifest), wanted_set(result)
    return sorted(found, key=lambda name: name != wanted)


@st.cache_resource(ttl=3, max_entries=64, show_spinner=False)
def _ready(space: str, manifest: str | None, folder: str) -> tuple[str, ...]:
    return tuple(ready_sets(space, data=manifest))


def title(name: str) -> str:
    """Write a set's name for readers."""
    if name == OWN_SET:
        return "own (of the manifest)"
    return "discs (published coordinates)" if name == DISCS else name


def why_not(name: str, offered: list[str]) -> str:
    """Say why the set that an address asks for is not offered; empty where it is."""
    if not name or name in offered:
        return ""
    if name == OWN_SET:
        return "The manifest of this data set describes no regions of its own, or is not here."
    try:
        one = find_set(name)
        one.require_ready()
    except InputError as error:
        return f"{error.message}. {error.hint}"
    return f"The region set {name!r} is of the fsaverage surfaces; these responses are not."


def region_names(name: str, manifest: Path) -> list[str]:
    """Name the regions of a set, for a menu."""
    if name == OWN_SET:
        table = load_manifest(manifest).tables.regions
        return [] if table is None else [*table.groups, *table.masks]
    one = find_set(name)
    known = one.region_names or one.regions("fsaverage5", 2 * SPACES["fsaverage5"]).masks
    return [region for region in known if region != WHOLE]


def chosen_regions(result: EncodingResult) -> Regions:
    """Return the chosen set on a result's targets; the usual one where it has not that one."""
    offered = offers(result)
    name = st.session_state.get(SET)
    return regions_for(result, name if name in offered else offered[0])


def seen(result: EncodingResult, store: Store) -> EncodingResult:
    """Look at a result in the chosen set and side; replicates that it lacks are asked for."""
    regions = chosen_regions(result)
    side: Hemisphere = st.session_state.get(SIDE, "both")
    if side not in regions.hemispheres:
        side = "both"
    key = None
    if not is_stored_with(result, regions, side):
        entry = stored_regions(result, regions, store)
        if entry is None:
            _ask(result, regions, store)
        else:
            key = entry.key

    def look() -> EncodingResult:
        return look_at(result, regions, side, None if key is None else store.get("regions", key))

    how = (regions.name, regions.digest, side, key)
    return loaded().view((str(store.root), result.key), how, look)


# ---- work that a choice makes ---------------------------------------------------------------


def forget() -> None:
    """Begin a run of a page: nothing is asked for yet."""
    st.session_state[_PENDING] = {}


def _ask(result: EncodingResult, regions: Regions, store: Store) -> None:
    """Queue the replicates of a result in a set, once, and remember it for this run."""
    pending = st.session_state.setdefault(_PENDING, {})
    try:
        job = queue_regions(result, regions, store, result.manifest)
    except AccessError:
        pending[result.key] = NOT_ASKED
        return
    if job is not None:
        pending[job.key] = job.state


def pending() -> dict[str, str]:
    """Return the states of the jobs whose replicates this run of a page went without.

    :data:`NOT_ASKED` stands for what the visitor may not ask for.
    """
    found: dict[str, str] = st.session_state.get(_PENDING, {})
    return found
