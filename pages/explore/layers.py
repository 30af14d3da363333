"""The paper's figure: layer by score, one curve per region."""

import streamlit as st

from braindash.ui import state, widgets
from braindash.views.curves import DEFAULT_REGIONS, layer_curves, region_title
from braindash.views.tables import region_by_layer

INTRODUCTION = "How well each layer predicts the brain, region by region."
HELP = """
**What is this number?** Each layer's features, delayed by 1 to 4 TRs, predict every target
(vertex) with ridge regression: the penalty is chosen per target on the training stories alone
(leave-stories-out). The curve is the mean Pearson correlation between the predicted and the
measured response to the *test* story over the region's valid targets, both hemispheres.

**Ceiling** (dotted): the highest correlation that a perfect model could reach with this noise,
from the repeats of the test story. **r / ceiling** divides target by target where the ceiling
exceeds 0.4, and is never clipped.

**Layer 0** is the input of the first transformer block; the last layer is taken after the
encoder's final layer norm. **Regions** are spheres around published coordinates, not parcels.

**Time**: with exact features every window is causal; the Lanczos filter that brings them to the
response times reaches 3 TR to both sides.
"""


def controls(regions: list[str]) -> tuple[list[str], bool, bool]:
    """Choose regions, axis and ceiling."""
    columns = st.columns([3, 1, 1], vertical_alignment="bottom")
    default = [name for name in DEFAULT_REGIONS if name in regions] or regions
    with columns[0]:
        chosen = st.multiselect(
            "Regions",
            regions,
            default=default,
            format_func=region_title,
            key="regions",
            bind="query-params",
        )
    with columns[1]:
        relative = st.toggle("Relative depth", key="depth", bind="query-params")
    with columns[2]:
        ceiling = st.toggle("Noise ceiling", value=True, key="ceiling", bind="query-params")
    return chosen or default, relative, ceiling


def open_on_cortex(selection: state.Selection, points: list[list[float]]) -> None:
    """Lead from a clicked point of a curve to the surface at that layer."""
    if not points:
        st.caption("Click a point to open its layer on the cortex.")
        return
    layer = int(points[0][0])
    row = selection.row
    st.page_link(
        "pages/explore/cortex.py",
        label=f"Open layer {layer} on the cortex",
        icon=":material/neurology:",
        query_params={
            "data": row.data,
            "subject": row.subject,
            "model": row.model,
            "layer": str(layer),
        },
    )


def show(selection: state.Selection) -> None:
    """Draw the curves, the table and its download."""
    result = selection.result
    table = result.regions()
    score = "r_over_ceiling" if selection.normalised else "r"
    regions, relative, ceiling = controls(list(result.masks))
    figure = layer_curves(
        table, regions, score=score, relative_depth=relative, show_ceiling=ceiling
    )
    chosen = st.plotly_chart(figure, key="curves", on_select="rerun", selection_mode="points")
    open_on_cortex(selection, [point["customdata"] for point in chosen["selection"]["points"]])
    widgets.provenance(result)
    if not result.has_ceiling:
        st.info("These data have no repeats of the test story, so there is no noise ceiling.")
    st.subheader("Region by layer", anchor=False)
    st.dataframe(region_by_layer(table, regions, score).style.format(precision=3, na_rep="-"))
    st.download_button(
        "Download all regions (CSV)",
        table.to_csv(index=False),
        file_name=f"braindash-{result.key[:8]}-regions.csv",
        mime="text/csv",
        icon=":material/download:",
    )
    without = int((~result.valid).sum())
    st.caption(
        f"{without} of {result.n_targets} targets have no score (constant or missing responses) "
        "and enter no mean."
    )


with widgets.page("Layers", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        selected = state.choose_result(found)
        if selected.result.simulated:
            widgets.simulated_stamp()
        show(selected)
        with st.expander("What is this number, and how is it computed?"):
            st.markdown(HELP)
