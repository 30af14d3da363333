"""What the visitor looks at on pages that show probing results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from braindash.demo.results import tuned_controls
from braindash.io.store import Store
from braindash.probing.result import ProbingResult, questions_digest
from braindash.probing.tasks import CONTROL_PREFIXES, PROBE_TASKS, metric_words
from braindash.ui import state, widgets
from braindash.ui.explore import selecting
from braindash.ui.take_away import take
from braindash.ui.visitors.rights import visitor
from braindash.views.captions import short_names
from braindash.views.probes import depth_curves, task_title

# One curve per stage is enough for a glance.
_KEY_TASKS = ("mfcc", "phone", "word", "category", "word_vector", "intent", "emotion", "command")


@dataclass(frozen=True)
class ProbeRow:
    """One probing result, as the menus need it.

    ``questions`` is equal for results that were asked the same of the same recordings.
    """

    key: str
    data: str
    model: str
    fingerprint: str
    simulated: bool
    questions: str

    @property
    def is_control(self) -> bool:
        """Whether it is a baseline, not a model somebody trained."""
        return self.model.startswith(CONTROL_PREFIXES)


def probe_rows() -> list[ProbeRow]:
    """List the probing results, newest first, trained models before controls."""
    found: tuple[ProbeRow, ...] = _probe_rows(str(state.store().root), state.written("probing"))
    controls = tuned_controls(state.store())
    return sorted(found, key=lambda row: (row.is_control, row.fingerprint in controls))


@st.cache_resource(max_entries=8, show_spinner=False)
def _probe_rows(root: str, written: int) -> tuple[ProbeRow, ...]:
    rows: list[ProbeRow] = []
    seen: dict[tuple[str, str], int] = {}
    for entry in Store(root).entries("probing"):
        told = entry.provenance
        model, data = told["model"]["name"], told["data"]["name"]
        if told["strategy"] == "exact":  # chunk is usual here, and acoustic spaces have no choice
            model = f"{model} · exact"
        if metric := _asked_metric(entry.spec):
            model = f"{model} · {metric}"
        seen[data, model] = seen.get((data, model), 0) + 1
        if seen[data, model] > 1:  # same names, other content: the key tells them apart
            model = f"{model} · {entry.key[:6]}"
        rows.append(
            ProbeRow(
                entry.key,
                data,
                model,
                told["model"]["fingerprint"],
                bool(told["data"]["simulated"]),
                questions_digest(entry.spec),
            )
        )
    return tuple(rows)


def _asked_metric(spec: Mapping[str, Any]) -> str:
    """Name the score of classes where it is not each task's own; empty where it is."""
    for one in spec["tasks"]:
        known = PROBE_TASKS.get(one["name"])
        if known is not None and one["metric"] != known.metric:
            return metric_words(one["metric"])
    return ""


@st.cache_resource(max_entries=24, show_spinner=False)
def load_probing(root: str, key: str) -> ProbingResult:
    """Load a probing result once per server; its arrays must not be changed."""
    return ProbingResult.load(Store(root).get("probing", key))


def load(row: ProbeRow) -> ProbingResult:
    """Load the result of a row, once per server; its arrays must not be changed."""
    found: ProbingResult = load_probing(str(state.store().root), row.key)
    return found


@st.cache_data(max_entries=64, show_spinner=False)
def _stages(key: str, _result: ProbingResult) -> pd.DataFrame:
    return _result.stages()


def stages(result: ProbingResult) -> pd.DataFrame:
    """Return a result's depths, computed once per server."""
    found: pd.DataFrame = _stages(result.key, result)
    return found


def choose_result(rows: Sequence[ProbeRow]) -> tuple[ProbeRow, list[ProbeRow], bool]:
    """Show the selection bar: give the chosen row, those asked the same, and the axis.

    The axis is relative depth or not. ``?result=KEY`` in the address, as on the page Jobs, chooses
    that result.
    """
    _follow_link(rows)
    with selecting.selection_bar():
        sets = list(dict.fromkeys(row.data for row in rows))
        data = state.choose("Recordings", sets, "data", width=280)
        rows = [row for row in rows if row.data == data]
        short = short_names(row.model for row in rows)
        model = state.choose(
            "Model", [row.model for row in rows], "model", show=short.__getitem__, width=260
        )
        relative = st.toggle("Relative depth", key="depth", bind="query-params")
    chosen = next(row for row in rows if row.model == model)
    others = [row for row in rows if row.questions == chosen.questions and row != chosen]
    return chosen, others, relative


def _follow_link(rows: Sequence[ProbeRow]) -> None:
    """Turn a key in the address into the choice of its data and model."""
    if "result" not in st.query_params:
        return
    key = st.query_params["result"]
    del st.query_params["result"]
    for row in rows:
        if key and row.key.startswith(key):
            st.query_params["data"], st.query_params["model"] = row.data, row.model
            return


def key_tasks(tasks: Sequence[str]) -> list[str]:
    """Choose the tasks that a figure shows first."""
    return [name for name in _KEY_TASKS if name in tasks] or list(tasks)


def beside_encoding(fingerprint: str, *, relative: bool) -> None:
    """Draw a model's probing curves under its encoding curves, on the same axis, if there are any.

    Parameters
    ----------
    fingerprint : str
        Of the model whose encoding is shown.
    relative : bool
        Whether the axis is relative depth.
    """
    rows = [row for row in probe_rows() if row.fingerprint == fingerprint]
    if not rows:
        return
    result = load(rows[0])
    if result.n_layers < 2:
        return
    st.header("Probing on the same layers", anchor=False)
    tasks = st.multiselect(
        "Tasks",
        result.tasks,
        default=key_tasks(result.tasks),
        format_func=task_title,
        key="tasks",
        bind="query-params",
    )
    shown = tasks or key_tasks(result.tasks)
    figure = above_chance(result, shown, relative=relative)
    widgets.chart(figure, "probing")
    taken = take([result], "probing", "Probing: share above chance", figure=figure)
    line = f"0: chance, 1: a perfect probe · {result.short_line()}"
    widgets.told(line, [result.provenance_line()], [taken])
    st.page_link(
        "pages/explore/probes.py",
        label="All tasks, with chance levels and controls",
        icon=":material/hub:",
        query_params={"data": rows[0].data, "model": rows[0].model},
    )


def above_chance(result: ProbingResult, tasks: Sequence[str], *, relative: bool) -> Any:
    """Return the curves of tasks as shares above chance, drawn once per server."""
    return widgets.kept(
        ("above chance", result.key, list(tasks), relative),
        lambda: depth_curves(result.table(), tasks, relative_depth=relative),
    )


def empty() -> None:
    """Say what to do when nothing was probed yet."""
    if not state.result_rows():
        widgets.empty_store()
        return
    st.header("Nothing probed yet", anchor=False)
    if not visitor().may_compute:
        widgets.damaged_results()
        return
    st.markdown(
        "Probes need recordings with labels in time: TextGrids beside your stories "
        "(`alignment_dir` in the manifest), TIMIT, LibriSpeech, or a table. The page Run starts "
        "them; so does `braindash probe --data manifest.toml --model MODEL`."
    )
    widgets.compute_link("pages/compute/run.py", "Probe a model", icon=":material/play_circle:")
    widgets.damaged_results()
    widgets.running_jobs(follow_results=True)
