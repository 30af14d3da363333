"""A small Streamlit app around the surface viewer; the tests that drive it are in test_viewer.py.

Layer ``i`` colours one region only, so that a test knows what must be seen where.
"""

import numpy as np
import streamlit as st

from braindash.io.regions.discs import disc_masks
from braindash.ui.surfaces import surface_viewer
from braindash.viewer.blobs import MapSet

N_TARGETS = 20484
N_LAYERS = 13
SHOWN = ("primary_auditory", "early_visual", "ifg_mfg")


@st.cache_resource
def made_maps(kind: str) -> MapSet:
    """Make maps: "score", "difference" (negative on the left), "none" (all missing), "single"."""
    masks = disc_masks("fsaverage5")
    values = np.zeros((N_LAYERS, N_TARGETS), dtype=np.float32)
    for layer in range(N_LAYERS):
        values[layer, masks[SHOWN[layer % len(SHOWN)]]] = 0.4 + 0.02 * layer
    if kind == "difference":
        values[:, : N_TARGETS // 2] *= -1
    if kind == "none":
        values[:] = np.nan
    names = [f"layer {layer}" for layer in range(N_LAYERS)]
    if kind == "single":
        values, names = values[2:3], ["all layers"]
    return MapSet(
        values=values,
        names=names,
        label={"difference": "difference of r"}.get(kind, "Pearson r"),
        vmin=-0.8 if kind == "difference" else 0.0,
        vmax=0.8,
        threshold=0.1,
        simulated=kind != "difference",
        regions=masks,
        colours="RdBu_r" if kind == "difference" else "inferno",
    )


def viewer_page() -> None:
    """Show the viewer, what was clicked, and how often the script ran."""
    kind = st.segmented_control(
        "maps", ["score", "difference", "none", "single"], default="score", key="kind"
    )
    st.session_state.runs = st.session_state.get("runs", 0) + 1
    pick = surface_viewer(made_maps(kind), key="viewer", identity=kind, layer=0, height=480)
    if pick is not None:
        st.session_state.pick = f"{pick.hemisphere} {pick.vertex} {pick.index} {pick.layer}"
    st.text(f"picked: {st.session_state.get('pick', 'nothing')}; runs: {st.session_state.runs};")


def other_page() -> None:
    """Show no viewer."""
    st.text("a page without a viewer")


st.set_page_config(layout="wide")
st.navigation([st.Page(viewer_page, title="Viewer"), st.Page(other_page, title="Other")]).run()
