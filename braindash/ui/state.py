"""What pages show: the store, its results and their tables, read once, and menus in the address."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import streamlit as st

from braindash.cluster.all_jobs import AllJobs
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, Group, LayerPairs
from braindash.errors import InputError
from braindash.io.entries import Entry
from braindash.io.store import LISTED_KINDS, Store, default_root
from braindash.jobs.queue import JobQueue
from braindash.names import given_path
from braindash.sharing.asking import require_runner
from braindash.sharing.settings import folders_to_name
from braindash.ui import region_sets
from braindash.ui.explore.loaded import loaded
from braindash.ui.texts import plain
from braindash.views.captions import varied_words

_MANY = 8  # results that take a while to read
_NOTHING = "none"  # what menus of some pages offer, and of others do not
_MOST_TOLD = 60  # letters of what an address asks for


@dataclass(frozen=True)
class ResultRow:
    """One encoding result, as the menus need it.

    ``of_mean`` says that it is of the mean response of several subjects, not of one;
    ``fingerprint`` is the model's, ``varied`` what was otherwise than usual.
    """

    key: str
    data: str
    subject: str
    model: str
    strategy: str
    simulated: bool
    created: str
    of_mean: bool = False
    fingerprint: str = ""
    varied: str = ""


def store() -> Store:
    """Return the store the dashboard shows."""
    return Store(default_root())


def queue() -> JobQueue:
    """Return the store's job queue, on this machine."""
    return JobQueue(store().root)


def jobs() -> AllJobs:
    """Return all jobs of the store, also those that other machines work on."""
    return AllJobs(store().root)


def result_rows() -> list[ResultRow]:
    """List the encoding results, newest first; read again when one came or went."""
    found: tuple[ResultRow, ...] = _result_rows(str(store().root), written("encoding"))
    return list(found)


def usual_first(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Put results in settings that studies vary behind all others; else the order stays."""
    return sorted(rows, key=lambda row: bool(row.varied))


def written(kind: str) -> int:
    """Return when a result of a kind came or went last, in ns; 0 where there was never any."""
    folder = store().root / kind
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


def damaged_folders() -> dict[str, str]:
    """List what ought to be results and cannot be read, with what is wrong.

    Every file of every result is read for it: that is done when one came or went, and now and then.
    """
    times = tuple(written(kind) for kind in LISTED_KINDS)
    found: dict[str, str] = _damaged_folders(str(store().root), times)
    return found


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def _damaged_folders(root: str, times: tuple[int, ...]) -> dict[str, str]:
    return {str(one.folder): one.problem for one in Store(root).damaged()}


@st.cache_resource(max_entries=8, show_spinner=False)
def _result_rows(root: str, written: int) -> tuple[ResultRow, ...]:
    rows = []
    entries = Store(root).entries("encoding")
    most: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        place, n_bootstraps = _place(entry), _n_bootstraps(entry)
        most[place] = max(n_bootstraps, most.get(place, 0))
    seen: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        provenance, place = entry.provenance, _place(entry)
        model, varied = place[2], varied_words(entry.spec, provenance)
        n_bootstraps = _n_bootstraps(entry)
        if n_bootstraps < most[place]:  # what a study varies has intervals of fewer samples
            fewer = f"{n_bootstraps} bootstraps" if n_bootstraps else "no intervals"
            varied = f"{varied}, {fewer}" if varied else fewer
            model = f"{model} · {fewer}"
        name = (*place[:2], model)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:  # same names, other content: the key tells them apart
            model = f"{model} · {entry.key[:6]}"
        rows.append(
            ResultRow(
                key=entry.key,
                data=place[0],
                subject=place[1],
                model=model,
                strategy=provenance["strategy"],
                simulated=bool(provenance["data"]["simulated"]),
                created=provenance["created"],
                of_mean=bool(entry.spec.get("members")),
                fingerprint=str(provenance["model"]["fingerprint"]),
                varied=varied,
            )
        )
    return tuple(rows)


def _place(entry: Entry) -> tuple[str, str, str]:
    """Return data, subject and model, with the settings that names tell."""
    provenance = entry.provenance
    model = provenance["model"]["name"]
    if provenance["strategy"] not in ("exact", "frames"):  # an acoustic space has no choice
        model = f"{model} · {provenance['strategy']}"
    varied = varied_words(entry.spec, provenance)
    model = f"{model} · {varied}" if varied else model
    return provenance["data"]["name"], entry.spec["subject"], model


def _n_bootstraps(entry: Entry) -> int:
    statistics = entry.spec.get("statistics")
    found = statistics.get("n_bootstraps") if isinstance(statistics, dict) else 0
    return found if isinstance(found, int) else 0


def load_result(root: str, key: str) -> EncodingResult:
    """Load a result once per server; its arrays must not be changed."""

    def load() -> EncodingResult:
        result = EncodingResult.load(Store(root).get("encoding", key))
        for array in (result.r, result.ceiling):
            array.setflags(write=False)
        return result

    return loaded().get((root, key), load)


def load_all(rows: Sequence[ResultRow]) -> list[EncodingResult]:
    """Load the results of rows; of many it is said that they are read."""
    if len(rows) < _MANY:
        return [load(row) for row in rows]
    with st.spinner(f"Reading {len(rows)} results"):
        return [load(row) for row in rows]


def load(row: ResultRow) -> EncodingResult:
    """Load the result of a row, looked at in the chosen region set and side."""
    return region_sets.seen(load_result(str(store().root), row.key), store())


# ---- tables, computed once per server -------------------------------------------------------
# The identity of results names their content and their regions: with its settings it is all that a
# table depends on.


def region_table(group: Group, normalised: bool, ceiling: str | None) -> pd.DataFrame:
    """Return a group's region table with intervals; see ``Group.regions``."""
    return _region_table(group.identity, normalised, ceiling, group)


def stages(group: Group, normalised: bool, ceiling: str | None) -> pd.DataFrame:
    """Return a group's stage summary; see ``Group.stages``."""
    return _stages(group.identity, normalised, ceiling, group)


def difference_table(pair: Difference, normalised: bool, ceiling: str | None) -> pd.DataFrame:
    """Return the difference per layer and region; see ``Difference.regions``."""
    return _difference_table(pair.a.identity, pair.b.identity, normalised, ceiling, pair)


def layer_pairs(pair: Difference, normalised: bool, ceiling: str | None) -> LayerPairs:
    """Return the differences of all pairs of layers; see ``Difference.layer_pairs``."""
    found: LayerPairs = _layer_pairs(pair.a.identity, pair.b.identity, normalised, ceiling, pair)
    return found


def stage_differences(pair: Difference, normalised: bool, ceiling: str | None) -> pd.DataFrame:
    """Return the difference of the stage summaries; see ``Difference.stages``."""
    return _stage_differences(pair.a.identity, pair.b.identity, normalised, ceiling, pair)


@st.cache_data(max_entries=64, show_spinner=False)
def _region_table(
    keys: tuple[str, ...], normalised: bool, ceiling: str | None, _group: Group
) -> pd.DataFrame:
    return _group.regions(normalised=normalised, ceiling=ceiling)


@st.cache_data(max_entries=64, show_spinner=False)
def _stages(
    keys: tuple[str, ...], normalised: bool, ceiling: str | None, _group: Group
) -> pd.DataFrame:
    return _group.stages(normalised=normalised, ceiling=ceiling)


@st.cache_data(max_entries=64, show_spinner=False)
def _difference_table(
    a: tuple[str, ...], b: tuple[str, ...], normalised: bool, ceiling: str | None, _pair: Difference
) -> pd.DataFrame:
    return _pair.regions(normalised=normalised, ceiling=ceiling)


@st.cache_resource(max_entries=16, show_spinner=False)
def _layer_pairs(
    a: tuple[str, ...], b: tuple[str, ...], normalised: bool, ceiling: str | None, _pair: Difference
) -> LayerPairs:
    return _pair.layer_pairs(normalised=normalised, ceiling=ceiling)


@st.cache_data(max_entries=64, show_spinner=False)
def _stage_differences(
    a: tuple[str, ...], b: tuple[str, ...], normalised: bool, ceiling: str | None, _pair: Difference
) -> pd.DataFrame:
    return _pair.stages(normalised=normalised, ceiling=ceiling)


# ---- menus ----------------------------------------------------------------------------------


def choose(
    label: str,
    options: list[str],
    key: str,
    *,
    show: Callable[[str], str] = str,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
    side_by_side: bool = False,
    bare: bool = False,
) -> str:
    """Show a menu whose choice is always in the address, so that the address is the share link.

    A menu bound to the query leaves its default out; here the default depends on what the store
    holds, so it has to be written too. A choice is kept for pages that offer it, also where a page
    between does not. An address may have the words of the menu. What stands side by side may be
    ``bare``: its label is for screen readers.
    """
    session = st.session_state
    in_address, written = st.query_params.get(key), session.get(f"written_{key}")
    if in_address not in options:  # typed as the menu shows it, perhaps
        meant = [one for one in options if show(one) == in_address]
        in_address = meant[0] if len(meant) == 1 else None
    asked = st.query_params.get(key)
    strange = asked not in (None, written, _NOTHING) and in_address is None
    if in_address in options and in_address != written:
        session[f"wanted_{key}"] = session[key] = in_address  # somebody opened a link
    else:
        kept = session.get(key)
        if kept is not None and kept != session.get(f"instead_{key}"):
            session[f"wanted_{key}"] = kept
        wanted = session.get(f"wanted_{key}")
        known = [one for one in (wanted, kept) if one in options]
        session[key] = known[0] if known else options[0]
    told: dict[str, Any] = {"key": key, "format_func": show, "help": help}
    told |= {"persist_state": "session"}
    if side_by_side:
        told |= {"label_visibility": "collapsed" if bare else "visible"}
        chosen = str(st.segmented_control(label, options, required=True, **told))
    else:
        chosen = str(st.selectbox(label, options, width=width, **told))
    if strange:  # once: the address has the choice then
        tell_strange(label, str(asked))
    session[f"instead_{key}"] = None if chosen == session.get(f"wanted_{key}") else chosen
    session[f"written_{key}"] = chosen
    if st.query_params.get(key) != chosen:  # each assignment is a message to the browser
        st.query_params[key] = chosen
    return chosen


def tell_strange(label: str, asked: str) -> None:
    """Say that what an address asks for is not here, of a menu; what is shown is something else."""
    told = f"{label}: {plain(asked[:_MOST_TOLD])} of the address is not offered here."
    st.toast(told, icon=":material/link_off:")


def set_choices(choices: Mapping[str, str]) -> None:
    """Choose for the visitor, before the menus are drawn: names of menus, and what is chosen."""
    for key, value in choices.items():
        st.session_state[key] = st.session_state[f"wanted_{key}"] = value
        if key in st.query_params:
            st.query_params[key] = st.session_state[f"written_{key}"] = value


def resolve_inside_roots(text: str) -> Path:
    """Resolve a path that a visitor typed.

    Raises
    ------
    InputError
        When it leads outside the allowed folders.
    AccessError
        When the visitor may only look.
    """
    require_runner("name files")
    path = given_path(text.strip()).resolve()
    roots = folders_to_name(store().root)
    if not any(path.is_relative_to(root) for root in roots):
        raise InputError(
            f"{path} is outside the folders that this dashboard may read",
            hint="Allowed: " + ", ".join(str(root) for root in roots) + ". Set BRAINDASH_ROOTS "
            "before the start to change them.",
        )
    return path
