"""The surface: one result's map of every layer, and the layer curve of a chosen vertex."""

import numpy as np
import streamlit as st

from braindash.ui import state, widgets
from braindash.ui.viewer import surface_viewer
from braindash.views.cortex import MapSet, can_show
from braindash.views.curves import region_title, target_curve

INTRODUCTION = (
    "Scrub through the layers, turn the brain, unfold it; click a vertex for its layer curve."
)
HELP = """
**Colour** is the score of the shown layer at every vertex; grey is below the threshold or without
a score. Layer, threshold, colours and shape change in your browser, without asking the server.

**Keys** (after a click on the surface): left and right arrow change the layer, F unfolds, space
plays. Drag to turn all views together, use the wheel to zoom.
"""


def map_set(selection: state.Selection) -> MapSet:
    """Pack the selected score as one map per layer."""
    result = selection.result
    values = result.scores(normalised=selection.normalised)
    finite = values[np.isfinite(values)]
    top = float(np.quantile(finite, 0.999)) if finite.size else 1.0
    return MapSet(
        values=values,
        names=[f"layer {layer}" for layer in range(result.n_layers)],
        label="r / ceiling" if selection.normalised else "Pearson r",
        vmin=0.0,
        vmax=round(max(top, 0.05), 2),
        threshold=round(0.2 * max(top, 0.05), 2),
        space=result.space,
        simulated=result.simulated,
        regions={name: mask for name, mask in result.masks.items() if name != "all targets"},
    )


def start_layer(n_layers: int) -> int:
    """Read the layer from the URL, within the model's layers."""
    text = st.query_params.get("layer", "")
    return min(int(text), n_layers - 1) if text.isdigit() else n_layers - 1


def chosen_target(n_targets: int) -> int | None:
    """Read the clicked target from the URL."""
    text = st.query_params.get("target", "")
    return int(text) if text.isdigit() and int(text) < n_targets else None


def show_target(selection: state.Selection, target: int) -> None:
    """Draw the layer curve of one target, with its regions."""
    result = selection.result
    half = result.n_targets // 2
    side, vertex = ("left", target) if target < half else ("right", target - half)
    inside = [name for name, mask in result.masks.items() if mask[target]][1:]
    places = ", ".join(region_title(name) for name in inside) or "no named region"
    score = "r_over_ceiling" if selection.normalised else "r"
    values = result.scores(normalised=selection.normalised)[:, target]
    figure = target_curve(
        values,
        title=f"{side} vertex {vertex} · {places}",
        ceiling=float(result.ceiling[target]),
        score=score,
        simulated=result.simulated,
    )
    st.plotly_chart(figure, key="target_curve")
    if not np.isfinite(values).any():
        st.info("This vertex has no score: its responses are constant or missing.")


def show(selection: state.Selection) -> None:
    """Draw the viewer, and below it the chosen vertex's layer curve."""
    result = selection.result
    if not can_show(result.space, result.n_targets):
        st.info(
            f"These responses are in the space {result.space!r}, which has no surface here. "
            "Their layer curves are on the page Layers."
        )
        return
    pick = surface_viewer(
        map_set(selection),
        key="cortex",
        identity=f"{result.key} {selection.normalised}",
        layer=start_layer(result.n_layers),
    )
    widgets.provenance(result)
    if pick is not None:
        st.query_params["layer"] = str(pick.layer)
        st.query_params["target"] = str(pick.index)
    target = chosen_target(result.n_targets)
    if target is None:
        st.info("Click the surface to see a vertex's score in every layer.")
    else:
        show_target(selection, target)


with widgets.page("Cortex", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        selected = state.choose_result(found)
        show(selected)
        with st.expander("What is this, and how do I use it?"):
            st.markdown(HELP)
