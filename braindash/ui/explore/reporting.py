"""The control that makes a report of what is looked at: one HTML file, when it is asked for."""

from collections.abc import Sequence

import streamlit as st

from braindash.demo.results import tuned_bases
from braindash.exports.report.build import Report, build
from braindash.exports.report.gather import Result
from braindash.ui import state, widgets
from braindash.ui.explore import selecting

_HELP = (
    "One HTML file with the surfaces, curves, tables, methods and provenance. It opens from disk, "
    "without a server or a network."
)


@st.cache_resource(max_entries=2, show_spinner="Making the report")
def _made(
    identity: tuple[str, ...],
    maps: int | None,
    story: bool,
    with_sound: bool,
    _results: Sequence[Result],
) -> Report:
    return build(
        _results,
        maps=maps,
        bases=tuned_bases(state.store()),
        store=state.store(),
        story=story,
        with_sound=with_sound,
    )


@st.fragment
def report_control(selection: selecting.Selection, rows: Sequence[state.ResultRow]) -> None:
    """Offer a report of the results that are looked at, and of others with them.

    Parameters
    ----------
    selection : Selection
        Models A and B.
    rows : sequence of ResultRow
        All results, of which more can be chosen.
    """
    # What is in it is made when it is opened: of many results the menu alone is large.
    opened = st.popover(
        "Report", icon=":material/description:", help=_HELP, key="report", on_change="rerun"
    )
    if opened.open:
        with opened:
            _offer(selection, rows)


def _offer(selection: selecting.Selection, rows: Sequence[state.ResultRow]) -> None:
    own = [*selection.group.results, *(state.load(row) for row in selection.other_rows)]
    known = {one.key for one in own}
    others = {row.key: row for row in rows if row.key not in known}
    chosen = st.multiselect(
        "Further results in it",
        list(others),
        format_func=lambda key: f"{others[key].model}, {others[key].subject} ({key[:6]})",
        key="report_further",
    )
    limited = st.checkbox("Leave maps out", key="report_limited", help="For a smaller file.")
    maps = (
        int(st.number_input("Maps of the first models", 0, 100, 2, key="report_maps"))
        if limited
        else None
    )
    story = st.checkbox("The test story of model A", value=True, key="report_story")
    with_sound = story and st.checkbox(
        "With its sound, spectrogram and words",
        key="report_sound",
        help="Stimuli have owners: ask them before you pass the report on.",
    )
    results = [*own, *(state.load(others[key]) for key in chosen)]
    asked = (tuple(one.identity for one in results), maps, story, with_sound)
    if st.button("Make the report", type="primary"):
        st.session_state["report_asked"] = asked
    if st.session_state.get("report_asked") != asked:
        return
    with widgets.guarded():
        made = _made(*asked, results)
        st.caption(" · ".join(made.lines()))
        st.download_button(
            "Save the report",
            made.html,
            file_name="braindash-report.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
        )
