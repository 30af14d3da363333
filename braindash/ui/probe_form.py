"""The part of the page Run that asks what to probe."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import streamlit as st

from braindash.defaults import PRESETS, ProbePresetName, probe_differences
from braindash.demo.requests import UNHEARD_STORIES, demo_categories
from braindash.io.labels.sources import LABEL_SOURCES
from braindash.probing.tasks import CONTROL_PREFIXES, PROBE_TASKS
from braindash.requests import ProbeRequest, build_request
from braindash.specs import PROBE_METRICS
from braindash.ui import choices, state
from braindash.views.probes import task_title

MANIFEST, FOLDER = "TextGrids of a manifest", "A corpus or a table"
_CONTROLS_HELP = (
    "The same form of model with random weights, and the log-mel spectrum, asked the same: what "
    "they reach needs no training."
)
_CATEGORIES_HELP = "A CSV file with the columns word and category, for the semantic task."
_VECTORS_HELP = "GloVe or word2vec as text, or .npz, for the task word embedding."
_TASKS_HELP = "All that the labels allow, when nothing is chosen; of a paper's protocol its own."
_PROTOCOLS: tuple[ProbePresetName, ...] = get_args(ProbePresetName)
_METRIC_HELP = (
    "Of tasks that have classes. It chooses the penalty too, so each is a result of its own."
)

Labels = Mapping[str, Any]
"""Fields of a request that say which recordings and labels are meant."""


def choose_labels(choose_data: Callable[[], Path | None]) -> Labels | None:
    """Ask where the labels come from; None until that is known.

    Parameters
    ----------
    choose_data : callable
        Asks for a manifest.
    """
    kind = st.segmented_control(
        "Labels", [MANIFEST, FOLDER], default=MANIFEST, required=True, key="probe_labels"
    )
    if kind == MANIFEST:
        data = choose_data()
        if data is None:
            return None
        if data.parent != state.store().demo_folder:
            return {"data": data}
        return {
            "data": data,
            "recordings": UNHEARD_STORIES,
            "categories": demo_categories(data.parent),
        }
    left, middle, right = st.columns([1, 2, 2])
    source = left.selectbox("Source", list(LABEL_SOURCES), key="probe_source")
    path = middle.text_input("Folder or table of the labels", key="probe_path")
    audio = right.text_input("Folder of the recordings, if elsewhere", key="probe_audio")
    if not path:
        return None
    options = {"audio": str(state.resolve_inside_roots(audio))} if audio else {}
    return {
        "labels": source,
        "labels_path": state.resolve_inside_roots(path),
        "labels_options": options,
    }


def choose_requests(labels: Labels, model: str) -> list[ProbeRequest]:
    """Ask for tasks and settings; one request for the model and, if wanted, for each control.

    Parameters
    ----------
    labels : mapping
        From :func:`choose_labels`.
    model : str
        The model.
    """
    tasks = st.multiselect(
        "Tasks", list(PROBE_TASKS), format_func=task_title, help=_TASKS_HELP, key="probe_tasks"
    )
    preset = choices.protocol(_PROTOCOLS, probe_differences, "probe_preset")
    given = dict(labels)
    with st.expander("Words, seed and features"):
        left, right = st.columns(2)
        categories = left.text_input(
            "Categories of words", help=_CATEGORIES_HELP, key="probe_categories"
        )
        vectors = right.text_input("Word vectors", help=_VECTORS_HELP, key="probe_vectors")
        seed = left.number_input("Seed", min_value=0, value=0, key="probe_seed")
        strategy = choices.strategy(right, "probe", "chunk")
        metric = left.selectbox(
            "Score of classes",
            _metrics(preset),
            format_func=PROBE_METRICS.__getitem__,
            help=_METRIC_HELP,
            key=f"probe_metric_{preset}",
        )
        leave_out = choices.leave_out_bad("probe")
    if categories:
        given["categories"] = state.resolve_inside_roots(categories)
    if vectors:
        given["word_vectors"] = state.resolve_inside_roots(vectors)
    with_controls = st.toggle(
        "With controls", value=True, help=_CONTROLS_HELP, key="probe_with_controls"
    )
    models = [model]
    if with_controls and not model.startswith(CONTROL_PREFIXES):
        models += [f"untrained:{model}", "acoustic:logmel"]
    settings = given | {"tasks": tuple(tasks), "strategy": strategy, "seed": int(seed)}
    settings |= {"leave_out_bad": leave_out, "preset": preset, "metric": metric}
    return [build_request(ProbeRequest, model=one, **settings) for one in models]


def _metrics(preset: ProbePresetName) -> list[str]:
    """List the metrics, the protocol's own first."""
    protocol = PRESETS[preset].probes
    first = "task" if protocol is None else protocol.settings["metric"]
    return sorted(PROBE_METRICS, key=lambda name: name != first)
