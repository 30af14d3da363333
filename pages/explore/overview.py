"""What can I look at: the results of the store, and how to get the first ones."""

import pandas as pd
import streamlit as st

from braindash.ui import state, widgets
from braindash.views.curves import region_title

INTRODUCTION = (
    "Which stage of speech processing does each layer of a speech model reflect? Every number is "
    "computed: features of every layer predict the brain's response to a story nobody trained on."
)


def headline(rows: list[state.ResultRow]) -> None:
    """Show how much there is, and where the newest result is best."""
    newest = state.load_result(str(state.store().root), rows[0].key)
    table = newest.regions()
    region = "late_language" if "late_language" in set(table["region"]) else "all targets"
    curve = table[table["region"] == region].set_index("layer")["r"]
    columns = st.columns(4)
    columns[0].metric("Results", len(rows), border=True)
    columns[1].metric("Models", len({row.model for row in rows}), border=True)
    columns[2].metric("Subjects", len({(row.data, row.subject) for row in rows}), border=True)
    columns[3].metric(
        f"Best layer, {region_title(region).lower()}",
        "none" if curve.isna().all() else f"{curve.idxmax()} (r = {curve.max():.2f})",
        border=True,
        help=f"Newest result: {newest.model}, subject {newest.subject}. Mean Pearson r over the "
        "region's valid targets, on the test story.",
        chart_data=curve.dropna().tolist(),
    )
    if any(row.simulated for row in rows):
        widgets.simulated_stamp()


def results_table(rows: list[state.ResultRow]) -> None:
    """List the results; a chosen one opens as curves or on the cortex."""
    frame = pd.DataFrame(
        {
            "data set": [row.data for row in rows],
            "subject": [row.subject for row in rows],
            "model": [row.model for row in rows],
            "simulated": [row.simulated for row in rows],
            "computed": pd.to_datetime([row.created for row in rows]),
            "key": [row.key[:8] for row in rows],
        }
    )
    st.subheader("Results", anchor=False)
    chosen = st.dataframe(
        frame, hide_index=True, on_select="rerun", selection_mode="single-row", key="results"
    )
    index = chosen["selection"]["rows"][0] if chosen["selection"]["rows"] else 0
    row = rows[index]
    query = {"data": row.data, "subject": row.subject, "model": row.model}
    st.caption(f"Selected: {row.model}, subject {row.subject}. Choose a row to change it.")
    left, right, _ = st.columns([1, 1, 2])
    with left:
        st.page_link(
            "pages/explore/layers.py",
            label="Layer curves",
            icon=":material/show_chart:",
            query_params=query,
        )
    with right:
        st.page_link(
            "pages/explore/cortex.py",
            label="On the cortex",
            icon=":material/neurology:",
            query_params=query,
        )


with widgets.page("braindash", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        headline(found)
        results_table(found)
        widgets.running_jobs(follow_results=True)
