"""A small Streamlit app: voxels on a subject's own surfaces, or on fsaverage5."""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit.spaces.results import clusters, matrix_of, own_brain

from braindash.io.regions.discs import disc_masks
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.ui.surfaces import surface_viewer
from braindash.viewer.blobs import MapSet
from braindash.viewer.drawn import drawn

N_VOXELS = 3000


@st.cache_resource
def made_surface() -> SurfaceMap:
    """Make voxels that are clusters of vertices, on fsaverage5's surfaces squeezed a little."""
    vertices = np.arange(20484, dtype=np.int32)
    return SurfaceMap(
        matrix_of(clusters("fsaverage5", N_VOXELS), N_VOXELS),
        "own",
        10242,
        "by a transform",
        own_brain("fsaverage5"),
        nearest=vertices,
        nearest_common=vertices,
    )


@st.cache_resource
def made_maps(mesh: str) -> MapSet:
    """Colour the voxels of the early auditory cortex."""
    inside = disc_masks("fsaverage5")["early_auditory"]
    values = np.zeros((1, N_VOXELS), dtype=np.float32)
    values[0, np.unique(clusters("fsaverage5", N_VOXELS)[inside])] = 0.5
    return MapSet(
        values=values,
        names=["layer 0"],
        label="Pearson r",
        vmin=0.0,
        vmax=0.6,
        threshold=0.1,
        space="native-volume",
        surface=drawn("native-volume", N_VOXELS, made_surface(), mesh),
    )


st.set_page_config(layout="wide")
chosen = st.segmented_control("mesh", ["own", "fsaverage5"], default="own", key="mesh")
pick = surface_viewer(made_maps(chosen), key="viewer", identity=chosen, height=480)
if pick is not None:
    st.session_state.pick = f"{pick.hemisphere} {pick.index} {pick.target}"
st.text(f"picked: {st.session_state.get('pick', 'nothing')};")
