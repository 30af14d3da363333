"""Studies of the store for the page: listed, opened once per server, and what is chosen of one."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from braindash.encoding.result import EncodingResult
from braindash.exports.studies.items import TITLES, StudyFigures, default_choice
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.studies.file import LayerRule
from braindash.studies.record import FOLDER, StudyRecord, list_records
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen, tasks_of
from braindash.ui import region_sets, state, widgets
from braindash.ui.explore import probing, selecting
from braindash.viewer.colours import region_title
from braindash.views.probes import task_title
from braindash.views.studies.lines import SPREADS

LAYER_RULES: dict[str, str] = {
    "third-quarter": "upper-middle layers",
    "last": "the last layer",
    "all": "all layers",
}
_OWN = "as in the study's file"
LAYERS_HELP = (
    "A region's score in bars and scatters is the mean over these layers of its targets' mean. "
    "They are never chosen by the score. Upper-middle: relative depth above .5 and up to .75, the "
    "score of arXiv 2510.21520."
)
SPREAD_HELP = (
    "Intervals hold for other subjects and other stretches of such a story; standard errors are of "
    "these subjects alone, as papers often show them."
)
TASK_HELP = "The probing task whose score above chance is the horizontal axis."


def records() -> tuple[list[StudyRecord], dict[str, str]]:
    """List the studies of the store, and what is wrong with those that cannot be read."""
    folder = state.store().root / FOLDER
    places = [folder, *folder.glob("*.json")] if folder.is_dir() else []
    written = max((one.stat().st_mtime_ns for one in places), default=0)
    found: tuple[list[StudyRecord], dict[str, str]] = _records(str(state.store().root), written)
    return found


@st.cache_resource(max_entries=4, show_spinner=False)
def _records(root: str, written: int) -> tuple[list[StudyRecord], dict[str, str]]:
    return list_records(Store(root))


def follow_link(known: Sequence[StudyRecord]) -> None:
    """Turn ``?result=NAME`` of the address, as other pages write it, into the choice."""
    asked = st.query_params.get("result", "")
    if not asked:
        return
    del st.query_params["result"]
    for one in known:
        if one.name.startswith(asked):
            st.query_params["study"] = one.name
            return


def choose_regions(record: StudyRecord) -> None:
    """Ask for the region set and the side, where an encoding of the study is stored."""
    _begin_with_regions(record)
    keys = set(record.keys.values())
    row = next((one for one in state.result_rows() if one.key in keys), None)
    if row is not None:
        with st.popover("Regions"):
            selecting.choose_regions(row)


def open_results(record: StudyRecord) -> StudyResults:
    """Open what is stored of a study, looked at in the chosen region set and side."""
    root = str(state.store().root)

    def read(kind: str, key: str) -> EncodingResult | ProbingResult:
        if kind == "probing":
            return probing.load_probing(root, key)
        return region_sets.seen(state.load_result(root, key), state.store())

    found = StudyResults.open(record, state.store(), read)
    # Its groups remember their tables: the same results are one object for all reruns.
    named = (record.name, record.written, found.identity, found.missing, found.notes)
    return widgets.kept(("study results", named), lambda: found)


def _begin_with_regions(record: StudyRecord) -> None:
    """Look at a study first in the regions that its file names; the visitor may choose others."""
    figures, place = record.tables.figures, f"study_regions_{record.name}"
    if st.session_state.get(place) or figures.regions is None:
        return
    st.session_state[place] = True
    state.set_choices({region_sets.SET: figures.regions, region_sets.SIDE: figures.hemisphere})


def changed_since(record: StudyRecord) -> bool:
    """Say whether the study's file is another one than when it was looked up."""
    place = Path(record.file)
    try:
        return place.read_bytes().decode("utf-8-sig") != record.text
    except (OSError, UnicodeDecodeError):
        return False  # a study that somebody shared has no file here


# ---- what is shown ----------------------------------------------------------------------------


def choose_figures(results: StudyResults) -> StudyFigures:
    """Ask for preset, score, layers, regions, bands and task; give the figures of them."""
    begin = default_choice(results)
    preset = begin.preset
    with st.container(horizontal=True, vertical_alignment="bottom", key="study_choices"):
        if len(results.presets) > 1:
            preset = state.choose("Protocol", list(results.presets), "study_preset", width=180)
        normalised = _score(results, preset, begin)
        layers = _layers(begin)
        spread = state.choose(
            "Bands",
            list(SPREADS),
            "study_bands",
            show=SPREADS.__getitem__,
            help=SPREAD_HELP,
            width=230,
        )
        task = _task(results)
        regions = _regions(results, preset, begin)
    chosen = Chosen(preset, regions, layers, normalised)
    return StudyFigures(results, chosen, state.store(), spread, task)


def _score(results: StudyResults, preset: str, begin: Chosen) -> bool:
    groups = results.of(preset).values()
    names = ["r"]
    if groups and all(one.ceiling_names for one in groups):
        names = [selecting.NORMALISED, "r"] if begin.normalised else ["r", selecting.NORMALISED]
    chosen = state.choose(
        "Score",
        names,
        "score",
        show=selecting.SCORES.__getitem__,
        help=selecting.SCORE_HELP,
        side_by_side=True,
    )
    return chosen == selecting.NORMALISED


def _layers(begin: Chosen) -> LayerRule | tuple[int, ...]:
    own = isinstance(begin.layers, tuple)
    names = [*([_OWN] if own else []), *sorted(LAYER_RULES, key=lambda one: one != begin.layers)]
    chosen = state.choose(
        "Layers of bars",
        names,
        "study_layers",
        show=lambda name: LAYER_RULES.get(name, name),
        help=LAYERS_HELP,
        width=210,
    )
    if chosen == _OWN:
        return begin.layers
    rule: LayerRule = next(one for one in ("third-quarter", "last", "all") if one == chosen)
    return rule


def _task(results: StudyResults) -> str | None:
    tasks = tasks_of(results)
    if not tasks:
        return None
    named = results.tables.figures.task
    ordered = sorted(tasks, key=lambda one: one != named)
    return state.choose(
        "Probing task", ordered, "study_task", show=task_title, help=TASK_HELP, width=210
    )


def _regions(results: StudyResults, preset: str, begin: Chosen) -> tuple[str, ...]:
    there = results.regions(preset)
    if not there:
        return ()
    key = "study_shown"
    if key in st.session_state:  # names of another region set are none of this one
        st.session_state[key] = [one for one in st.session_state[key] if one in there]
    default = [one for one in begin.regions if one in there]
    chosen = st.multiselect(
        "Shown regions",
        there,
        default=None if key in st.session_state else default,
        format_func=region_title,
        key=key,
        bind="query-params",
        width=430,
    )
    return tuple(chosen or default)


def choose_figure(figures: StudyFigures) -> str:
    """Ask which figure is drawn, of those that the stored results allow."""
    return state.choose(
        "Figure",
        list(figures.names),
        "figure",
        show=TITLES.__getitem__,
        side_by_side=True,
    )
