"""What was found: two brains, curves and words; then every result of the store."""

import pandas as pd
import streamlit as st

from braindash.ui import state, texts, widgets
from braindash.ui.explore import selecting
from braindash.ui.explore.finding import finding
from braindash.ui.explore.reporting import report_control
from braindash.ui.under_way import layers_so_far
from braindash.views.curves import key_regions

INTRODUCTION = (
    "Which stage of speech processing does each layer of a speech model reflect? Features of every "
    "layer predict the brain's response to a story nobody trained on."
)


def follow_link(rows: list[state.ResultRow]) -> None:
    """Turn a key in the address, as the page Jobs gives it, into the choice of its result."""
    key = st.query_params.get("result", "")
    st.query_params.pop("result", None)
    for row in rows:
        if key and row.key.startswith(key):
            state.set_choices(selecting.choices_for(row, rows) | {"subject": row.subject})
            return


def table_of(rows: list[state.ResultRow]) -> pd.DataFrame:
    """Tabulate results for the list."""
    return pd.DataFrame(
        {
            "data set": [row.data for row in rows],
            "model": [row.model for row in rows],
            "subject": [row.subject for row in rows],
            "features": [row.strategy for row in rows],
            "simulated": [row.simulated for row in rows],
            "computed": pd.to_datetime([row.created for row in rows]),
            "key": [row.key[:8] for row in rows],
        }
    )


def open_row(rows: list[state.ResultRow], every: list[state.ResultRow]) -> None:
    """Show the result of the row that was chosen, beside the one it was tuned from."""
    chosen = st.session_state["results"]["selection"]["rows"]
    if chosen and chosen[0] < len(rows):
        row = rows[chosen[0]]
        state.set_choices(selecting.choices_for(row, every) | {"subject": row.subject})


@st.fragment
def list_results(every: list[state.ResultRow]) -> None:
    """List the results: filtered by words, grouped by data set, sorted by a click on a column."""
    st.header(f"Results ({len(every)})", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        words = st.text_input(
            "Filter", placeholder="words of data set, model, subject, key", key="filter", width=360
        ).lower()
        grouped = st.toggle("Group by data set", key="grouped")
    rows = [
        row
        for row in every
        if all(
            word in f"{row.data} {row.model} {row.subject} {row.key}".lower()
            for word in words.split()
        )
    ]
    if grouped:
        rows = sorted(rows, key=lambda row: (row.data, row.model, row.subject))
    picked = st.dataframe(
        table_of(rows),
        hide_index=True,
        column_config={"computed": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
        on_select=lambda: open_row(rows, every),
        selection_mode="single-row",
        key="results",
    )
    models, people = ({row.model for row in every}, {(row.data, row.subject) for row in every})
    st.caption(
        f"{len(rows)} of {len(every)} results, models: {len(models)}, subjects: {len(people)}. "
        "Choose a row to see it above."
    )
    now = picked["selection"]["rows"]
    if now != st.session_state.get("results_seen", []):
        st.session_state["results_seen"] = now
        st.rerun(scope="app")


def links(selection: selecting.Selection, rows: list[state.ResultRow]) -> None:
    """Lead to the pages that show the same choice, which is kept between pages; and to a report."""
    with st.container(horizontal=True):
        st.page_link("pages/explore/layers.py", label="Layer curves", icon=":material/show_chart:")
        st.page_link("pages/explore/cortex.py", label="On the cortex", icon=":material/neurology:")
        if selection.other_rows:
            label = "Both on the cortex, with their difference"
        else:
            label = "Beside another model"
        st.page_link("pages/explore/compare.py", label=label, icon=":material/compare:")
        report_control(selection, rows)


def show(rows: list[state.ResultRow]) -> None:
    """Show the finding, the list of results and the stage summary."""
    follow_link(rows)
    selection = selecting.choose_result(rows, several_subjects=True)
    if selection.group.simulated:
        widgets.simulated_stamp()
    finding(selection)
    links(selection, rows)
    list_results(rows)
    with widgets.guarded():
        group, pair = selection.group, selection.difference()
        group = group if pair is None else pair.a
        widgets.stage_summary(selection, group, pair, key_regions(group.region_names))
    with st.expander("What are these numbers, and how are they computed?"):
        st.markdown(texts.OVERVIEW)


with widgets.page("braindash", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        show(found)
        widgets.running_jobs(follow_results=True)
        widgets.damaged_results()
    if widgets.work_under_way():
        layers_so_far()
