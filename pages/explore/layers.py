"""The paper's figure: layer by score, one curve per region; of one model, or of two."""

from typing import Any

import pandas as pd
import streamlit as st

from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.several.comparison import Difference, Group
from braindash.ui import state, texts, widgets
from braindash.ui.explore import probing, selecting
from braindash.ui.take_away import take
from braindash.viewer.colours import region_title
from braindash.views.captions import figure_words, provenance_line, short_line
from braindash.views.curves import key_regions, layer_curves
from braindash.views.tables import download_table, score_by_layer

INTRODUCTION = "How well each layer predicts the brain, region by region."


def choose_regions(regions: list[str]) -> list[str]:
    """Choose the regions of all figures and tables."""
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
    return chosen or default


def open_on_cortex(selection: selecting.Selection, points: list[list[float]]) -> None:
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


def tables(
    selection: selecting.Selection, group: Group, pair: Difference | None
) -> list[pd.DataFrame]:
    """Return the region tables of model A and, where there is one, of model B."""
    return [
        state.region_table(one, selection.normalised, selection.ceiling_for(one)).assign(
            model=selection.named_like(one)
        )
        for one in ([group] if pair is None else [pair.a, pair.b])
    ]


@widgets.part
def clicked_curves(selection: selecting.Selection, figure: Any) -> None:
    """Draw the curves; a click on a point leads on, and draws nothing but them again."""
    chosen = st.plotly_chart(
        widgets.for_audience(figure),
        key="curves",
        on_select="rerun",
        selection_mode="points",
        config=widgets.CHART,
        alt=figure_words(figure),
    )
    open_on_cortex(selection, [point["customdata"] for point in chosen["selection"]["points"]])


@widgets.part
def show_curves(
    selection: selecting.Selection, group: Group, pair: Difference | None, regions: list[str]
) -> None:
    """Draw one curve per region, of one model or of two, and what shares their axis.

    A switch draws these figures again and nothing else of the page.
    """
    with st.container(horizontal=True, key="controls"):
        bands = st.toggle("Intervals", value=True, key="bands", bind="query-params")
        lines = st.toggle("Ceiling lines", value=True, key="lines", bind="query-params")
        relative = st.toggle("Relative depth", key="depth", bind="query-params")
    found = tables(selection, group, pair)
    identity = (*(one.identity for one in ([group] if pair is None else [pair.a, pair.b])),)
    settings = (selection.score, selection.ceiling, selection.model_names, regions)
    figure = widgets.kept(
        ("curves", identity, settings, bands, lines, relative),
        lambda: layer_curves(
            found[0],
            regions,
            score=selection.score,
            relative_depth=relative,
            show_ceiling=lines,
            show_intervals=bands,
            other=found[1] if len(found) > 1 else None,
        ),
    )
    clicked_curves(selection, figure)
    notes = [group.interval_line()]
    notes += widgets.chosen_by_ceiling(selection, [group])
    if pair is not None:
        notes.append("B: dashed, paler bands")
        notes.append(provenance_line(pair.b, selection.ceiling_for(pair.b)))
    taken = take(
        [group] if pair is None else [pair.a, pair.b],
        "curves",
        "Score by layer and region",
        figure=figure,
        table=lambda: full_table(selection, group, pair),
    )
    known = filter(None, dict.fromkeys(notes))
    widgets.provenance(group, selection.ceiling, *known, taken=[taken])
    if not group.ceiling_names:
        st.info(
            "There is no noise ceiling: no repeats of the test story, and no other subject who "
            "heard it."
        )
    if pair is not None:
        widgets.difference_by_layer(selection, pair, regions, bands=bands, relative=relative)
    probing.beside_encoding(selection.row.fingerprint, relative=relative)
    widgets.low_level(group, regions, relative=relative)


def full_table(
    selection: selecting.Selection, group: Group, pair: Difference | None
) -> pd.DataFrame:
    """Return the scores of all regions, shown or not, of one model or two, with their intervals."""
    sides = [group] if pair is None else [pair.a, pair.b]
    found = zip(tables(selection, group, pair), sides, strict=True)
    return download_table(
        [one.assign(model=side.model) for one, side in found],
        selection.score,
        selection.ceiling,
        group.interval_line(),
        [selections_line(side.results, selection.ceiling_for(side)) for side in sides],
    )


def show_table(
    selection: selecting.Selection, group: Group, pair: Difference | None, regions: list[str]
) -> None:
    """List the scores by layer and region."""
    found = tables(selection, group, pair)
    st.header("Score by layer and region", anchor=False)
    st.dataframe(score_by_layer(found[0], regions, selection.score))
    named = f"{selection.model_names[0]}: " if pair is not None else ""
    sides = [group] if pair is None else [pair.a, pair.b]
    lines = [f"{named}{group.interval_line()}", *widgets.chosen_by_ceiling(selection, sides)]
    told = ". ".join([*lines, "Shaded: the best layer of each region."])
    taken = take(
        sides,
        "regions",
        "Score by layer and region",
        table=full_table(selection, group, pair),
    )
    widgets.told(told, [], [taken], source=(short_line(group), lines))
    without = sum(int((~result.valid).sum()) for result in group.results)
    total = sum(result.n_targets for result in group.results)
    st.caption(
        f"{without} of {total} targets have no score (constant or missing responses) "
        "and enter no mean."
    )


def show(selection: selecting.Selection) -> None:
    """Draw the curves, the difference, the stage summary and the tables."""
    regions = choose_regions(list(selection.group.region_names))
    if selection.group.simulated:
        widgets.simulated_stamp()
    pair = widgets.pair_models(selection)
    group = selection.group if pair is None else pair.a
    show_curves(selection, group, pair, regions)
    widgets.stage_summary(selection, group, pair, regions)
    show_table(selection, group, pair, regions)
    widgets.nulls(group, regions)


with widgets.page("Layers", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        show(selecting.choose_result(found, several_subjects=True))
        with st.expander("What are these numbers, and how are they computed?"):
            st.markdown(texts.LAYERS)
