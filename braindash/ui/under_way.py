"""The layers of an encoding under way, as they come: a map and a table, before any statistics."""

import pandas as pd
import streamlit as st

from braindash.encoding.unfinished import Unfinished, unfinished
from braindash.io.spaces.kept import kept_surface
from braindash.ui import state, widgets
from braindash.ui.surfaces import surface_viewer
from braindash.ui.texts import plain
from braindash.viewer.drawn import can_show
from braindash.views.maps import layer_maps

_EVERY_SECONDS = 2.0
_HEIGHT = 380


@st.fragment(run_every=_EVERY_SECONDS)
def layers_so_far() -> None:
    """Show the layers that the newest encoding under way has finished."""
    found = unfinished(state.store())
    if found:
        _show(found[0])


def _show(one: Unfinished) -> None:
    there, count = one.layers, len(one.layers)
    st.header(plain(f"Under way: {one.model}, subject {one.subject}"), anchor=False)
    st.caption(
        f"{count} of {one.n_layers} layers so far. Pearson r of prediction and measured response "
        f"of the test stories; {plain(one.data)}, key of the predictions {one.key[:8]}. Ceilings, "
        "significance and intervals come with the result."
    )
    if one.simulated:
        widgets.simulated_stamp()
    surface = kept_surface(state.store().root, one.surface, one.key)
    if can_show(one.space, one.r.shape[1], surface):
        surface_viewer(
            layer_maps(one.r, there, space=one.space, simulated=one.simulated, surface=surface),
            key="under_way",
            identity=f"under way {one.key} {there}",
            layer=count - 1,
            height=_HEIGHT,
        )
    scored = [pd.Series(values).dropna() for values in one.r]
    table = {
        "layer": there,
        "targets with a score": [len(values) for values in scored],
        "median r": [values.median() for values in scored],
        "95th percentile of r": [values.quantile(0.95) for values in scored],
        "highest r": [values.max() for values in scored],
    }
    st.dataframe(pd.DataFrame(table).round(3), hide_index=True)
