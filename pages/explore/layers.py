"""The paper's figure: layer by score, one curve per region; of one model, or of two."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.encoding.chosen import selection_line
from braindash.encoding.comparison import Difference, Group
from braindash.ui import probing, state, texts, widgets
from braindash.viewer.colours import region_title
from braindash.views.curves import key_regions, layer_curves
from braindash.views.tables import download_table, score_by_layer

INTRODUCTION = "How well each layer predicts the brain, region by region."


@dataclass(frozen=True)
class View:
    """What to draw of the chosen results."""

    regions: list[str]
    bands: bool
    ceiling_lines: bool
    relative: bool


def controls(regions: list[str], beside: DeltaGenerator) -> View:
    """Choose regions and, beside the score, bands, ceiling lines and axis."""
    columns = beside.columns([0.6, 1, 1.1, 1.2], vertical_alignment="bottom")[1:]
    bands = columns[0].toggle("Intervals", value=True, key="bands", bind="query-params")
    lines = columns[1].toggle("Ceiling lines", value=True, key="lines", bind="query-params")
    relative = columns[2].toggle("Relative depth", key="depth", bind="query-params")
    default = key_regions(regions)
    if "regions" in st.session_state:  # names of another region set are none of this one
        kept = [name for name in st.session_state["regions"] if name in regions]
        st.session_state["regions"] = kept or default
    chosen = st.multiselect(
        "Shown regions",
        regions,
        default=None if "regions" in st.session_state else default,
        format_func=region_title,
        key="regions",
        bind="query-params",
    )
    return View(chosen or default, bands, lines, relative)


def open_on_cortex(selection: state.Selection, points: list[list[float]]) -> None:
    """Lead from a clicked point of a curve to the surface at that layer."""
    if not points:
        st.caption("Click a point to open its layer on the cortex.")
        return
    layer, *_, side = points[0]
    row = selection.other_rows[0] if side and selection.other_rows else selection.row
    st.page_link(
        "pages/explore/cortex.py",
        label=f"Open layer {int(layer)} of {row.model}, subject {row.subject}, on the cortex",
        icon=":material/neurology:",
        query_params={
            "data": row.data,
            "subject": row.subject,
            "model": row.model,
            "layer": str(int(layer)),
        },
    )


def tables(selection: state.Selection, group: Group, pair: Difference | None) -> list[pd.DataFrame]:
    """Return the region tables of model A and, where there is one, of model B."""
    found = []
    groups = [group] if pair is None else [pair.a, pair.b]
    for one, name in zip(groups, selection.model_names, strict=False):
        table = state.region_table(one, selection.normalised, selection.ceiling_for(one))
        found.append(table.assign(model=name))
    return found


def show_curves(
    selection: state.Selection, group: Group, pair: Difference | None, view: View
) -> None:
    """Draw one curve per region, of one model or of two."""
    table, *others = tables(selection, group, pair)
    figure = layer_curves(
        table,
        view.regions,
        score=selection.score,
        relative_depth=view.relative,
        show_ceiling=view.ceiling_lines,
        show_intervals=view.bands,
        other=others[0] if others else None,
    )
    chosen = st.plotly_chart(figure, key="curves", on_select="rerun", selection_mode="points")
    open_on_cortex(selection, [point["customdata"] for point in chosen["selection"]["points"]])
    notes = [group.interval_line()]
    if selection.normalised:
        notes += [selection_line(one, selection.ceiling) for one in group.results]
    widgets.provenance(group, selection.ceiling, *filter(None, dict.fromkeys(notes)))
    if pair is not None:
        widgets.provenance(pair.b, selection.ceiling_for(pair.b), "dashed, paler bands")
    if not group.ceiling_names:
        st.info(
            "There is no noise ceiling: no repeats of the test story, and no other subject who "
            "heard it."
        )


def show_table(
    selection: state.Selection, group: Group, pair: Difference | None, view: View
) -> None:
    """List the scores by layer and region, with their download."""
    found = tables(selection, group, pair)
    st.subheader("Score by layer and region", anchor=False)
    st.dataframe(score_by_layer(found[0], view.regions, selection.score))
    named = f"{selection.model_names[0]}: " if pair is not None else ""
    st.caption(f"{named}{group.interval_line()}. Shaded: the best layer of each region.")
    widgets.download(
        "Download all regions (CSV)",
        download_table(found, selection.score, selection.ceiling, group.interval_line()),
        f"braindash-{group.first.key[:8]}-regions.csv",
    )
    without = sum(int((~result.valid).sum()) for result in group.results)
    total = sum(result.n_targets for result in group.results)
    st.caption(
        f"{without} of {total} targets have no score (constant or missing responses) "
        "and enter no mean."
    )


def show(selection: state.Selection, view: View) -> None:
    """Draw the curves, the difference, the stage summary and the tables."""
    pair = widgets.pair_models(selection)
    group = selection.group if pair is None else pair.a
    show_curves(selection, group, pair, view)
    if pair is not None:
        widgets.difference_by_layer(
            selection, pair, view.regions, bands=view.bands, relative=view.relative
        )
    probing.beside_encoding(selection.row.fingerprint, relative=view.relative)
    widgets.stage_summary(selection, group, pair, view.regions)
    show_table(selection, group, pair, view)
    widgets.low_level(group, view.regions, relative=view.relative)
    widgets.nulls(group, view.regions)


with widgets.page("Layers", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        selected, free = state.choose_result(found, several_subjects=True)
        chosen_view = controls(list(selected.group.region_names), free)
        if selected.group.simulated:
            widgets.simulated_stamp()
        show(selected, chosen_view)
        with st.expander("What are these numbers, and how are they computed?"):
            st.markdown(texts.LAYERS)
