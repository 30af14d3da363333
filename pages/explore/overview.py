"""What can I look at: the results of the store, and how to get the first ones."""

import pandas as pd
import streamlit as st

from braindash.encoding.comparison import Group, compare
from braindash.ui import state, texts, widgets
from braindash.ui.under_way import layers_so_far
from braindash.views.cards import Card, change_cards, region_cards, significance_card
from braindash.views.curves import key_regions

INTRODUCTION = (
    "Which stage of speech processing does each layer of a speech model reflect? Every number is "
    "computed: features of every layer predict the brain's response to a story nobody trained on."
)

_CARD_WIDTH = 192  # pixels: room for an estimate with its interval


def headline(row: state.ResultRow, newest: bool) -> Group:
    """Show where a result is best, and how much of it is significant."""
    group = Group.of([state.load(row)])
    which = "Newest result" if newest else "Chosen result"
    st.markdown(f"**{which}**: {row.model}, subject {row.subject}, {row.data}")
    regions = key_regions(group.region_names)[:4]
    cards = region_cards(state.region_table(group, False, None), regions)
    show_cards([*cards, significance_card(group.first)])
    widgets.provenance(group, None, group.interval_line())
    return group


def show_cards(cards: list[Card]) -> None:
    """Draw cards side by side, each with its curve."""
    with st.container(horizontal=True):  # wraps where the window is narrow
        for card in cards:
            st.metric(
                card.label,
                card.value,
                card.detail,
                delta_color="off",
                delta_arrow="off",
                border=True,
                chart_data=list(card.curve) or None,
                width=_CARD_WIDTH,
            )


def tuning_change(row: state.ResultRow, rows: list[state.ResultRow]) -> None:
    """Show what tuning changed at the last layer, where both sides are there."""
    found = state.before_and_after(row, rows)
    if found is None:
        return
    before, after = found
    pair = compare([state.load(after)], [state.load(before)])
    if pair.a.first.n_layers != pair.b.first.n_layers:
        return
    st.subheader("Before and after tuning", anchor=False)
    st.markdown(
        f"Change of Pearson r at the last layer, {after.model} minus {before.model}, subject "
        f"{after.subject}; the line is the change layer by layer."
    )
    table = state.difference_table(pair, False, None)
    show_cards(change_cards(table, key_regions(pair.a.region_names)[:4]))
    notes = [f"minus {before.model}, key {before.key[:8]}", pair.interval_line()]
    if pair.settings:
        notes.append(f"also different: {', '.join(pair.settings)}")
    widgets.provenance(pair.a, None, *notes)
    st.page_link(
        "pages/explore/compare.py",
        label="Both on the cortex, with their difference",
        icon=":material/compare:",
        query_params={
            "data": after.data,
            "subject": after.subject,
            "model": after.model,
            "compare": before.model,
        },
    )


def choose_row(rows: list[state.ResultRow]) -> int:
    """List the results; give the chosen one, the newest at first."""
    st.subheader("Results", anchor=False)
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
    # The address is read once: afterwards it follows the table.
    opened = st.session_state.setdefault("opened_result", st.query_params.get("result"))
    places = [place for place, row in enumerate(rows) if opened and row.key.startswith(opened)]
    chosen = st.dataframe(
        frame,
        hide_index=True,
        column_config={"computed": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": places[:1]}} if places else None,
        key="results",
    )
    selected = chosen["selection"]["rows"]
    index = selected[0] if selected and selected[0] < len(rows) else 0
    st.query_params["result"] = rows[index].key[:8]
    models, people = ({row.model for row in rows}, {(row.data, row.subject) for row in rows})
    st.caption(
        f"Results: {len(rows)}, models: {len(models)}, subjects: {len(people)}. "
        "Choose a row to see it above."
    )
    return index


def links(row: state.ResultRow) -> None:
    """Lead to the pages that show a result."""
    query = {"data": row.data, "subject": row.subject, "model": row.model}
    left, right, last, _ = st.columns([1, 1, 1.4, 0.6])
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
    with last:
        st.page_link(
            "pages/explore/compare.py",
            label="Beside another model",
            icon=":material/compare:",
            query_params=query,
        )


def show(rows: list[state.ResultRow]) -> None:
    """Show the chosen result's headline and stage summary around the list of results."""
    if any(row.simulated for row in rows):
        widgets.simulated_stamp()
    left, right, _ = st.columns([1.7, 1, 5.3], vertical_alignment="bottom")
    top = st.container()
    index = choose_row(rows)
    row = rows[index]
    state.choose_regions(row, (left, right))
    links(row)
    with top:
        group = headline(row, newest=index == 0)
        with widgets.guarded():  # where they cannot be subtracted, the rest is shown
            tuning_change(row, rows)
    selection = state.Selection(row, group, normalised=False, ceiling=None)
    widgets.stage_summary(selection, group, None, key_regions(group.region_names))
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
