"""What the visitor looks at: the store, the index of results and the selection in the URL."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from braindash.errors import InputError
from braindash.io.store import Store, default_root
from braindash.jobs import JobQueue
from braindash.results import EncodingResult

SCORES = {"r": "Pearson r", "normalised": "r / ceiling"}


@dataclass(frozen=True)
class ResultRow:
    """One encoding result, as the menus need it."""

    key: str
    data: str
    subject: str
    model: str
    strategy: str
    simulated: bool
    created: str


@dataclass(frozen=True)
class Selection:
    """The visitor's choice on a page that shows one result."""

    row: ResultRow
    result: EncodingResult
    normalised: bool


def store() -> Store:
    """Give the store the dashboard shows."""
    return Store(default_root())


def queue() -> JobQueue:
    """Give the store's job queue."""
    return JobQueue(store().root)


def result_rows() -> list[ResultRow]:
    """List the encoding results, newest first."""
    rows = []
    seen: dict[tuple[str, str, str], int] = {}
    for entry in store().entries("encoding"):
        provenance = entry.provenance
        model = provenance["model"]["name"]
        if provenance["strategy"] != "exact":
            model = f"{model} · {provenance['strategy']}"
        place = (provenance["data"]["name"], entry.spec["subject"], model)
        seen[place] = seen.get(place, 0) + 1
        if seen[place] > 1:  # same names, other content: the key tells them apart
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
            )
        )
    return rows


@st.cache_resource(max_entries=24, show_spinner=False)
def load_result(root: str, key: str) -> EncodingResult:
    """Load a result once per server; its arrays must not be changed."""
    result = EncodingResult.load(Store(root).get("encoding", key))
    for array in (result.r, result.ceiling):
        array.setflags(write=False)
    return result


def choose(label: str, options: list[str], key: str) -> str:
    """Show a menu whose choice is always in the address, so that the address is the share link.

    A menu bound to the query leaves its default out; here the default depends on what the store
    holds, so it has to be written too.
    """
    in_address, written = st.query_params.get(key), st.session_state.get(f"written_{key}")
    if in_address in options and in_address != written:
        st.session_state[key] = in_address  # somebody opened a link
    elif st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
    chosen: str = st.selectbox(label, options, key=key, persist_state="session")
    st.query_params[key] = st.session_state[f"written_{key}"] = chosen
    return chosen


def choose_result(rows: list[ResultRow]) -> Selection:
    """Show the top row (data set, subject, model, score) and load what it names."""
    columns = st.columns([2, 1, 2, 1.4], vertical_alignment="bottom")
    with columns[0]:
        data = choose("Data set", _unique(row.data for row in rows), "data")
    rows = [row for row in rows if row.data == data]
    with columns[1]:
        subject = choose("Subject", sorted({row.subject for row in rows}), "subject")
    rows = [row for row in rows if row.subject == subject]
    with columns[2]:
        model = choose("Model", _unique(row.model for row in rows), "model")
    row = next(row for row in rows if row.model == model)
    result = load_result(str(store().root), row.key)
    with columns[3]:
        score = st.segmented_control(
            "Score",
            list(SCORES) if result.has_ceiling else ["r"],
            default="r",
            required=True,
            format_func=lambda name: SCORES[name],
            key="score",
            bind="query-params",
            help="r: Pearson correlation of predicted and measured response on the test story. "
            "r / ceiling: divided by the noise ceiling where that exceeds 0.4; never clipped.",
        )
    return Selection(row, result, normalised=score == "normalised")


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def allowed_roots() -> tuple[Path, ...]:
    """List the folders that a visitor may name files in.

    ``BRAINDASH_ROOTS`` (folders separated like PATH) when set; else the home folder, the folder
    the server was started in, and the store.
    """
    named = os.environ.get("BRAINDASH_ROOTS")
    if named:
        places = [Path(part) for part in named.split(os.pathsep) if part]
    else:
        places = [Path.home(), Path.cwd(), store().root]
    return tuple(place.expanduser().resolve() for place in places)


def resolve_inside_roots(text: str) -> Path:
    """Resolve a path that a visitor typed.

    Raises
    ------
    InputError
        When it leads outside the allowed folders.
    """
    path = Path(text.strip()).expanduser().resolve()
    roots = allowed_roots()
    if not any(path.is_relative_to(root) for root in roots):
        raise InputError(
            f"{path} is outside the folders that this dashboard may read",
            hint="Allowed: " + ", ".join(str(root) for root in roots) + ". Set BRAINDASH_ROOTS "
            "before the start to change them.",
        )
    return path
