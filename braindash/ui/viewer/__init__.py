"""The surface viewer: a WebGL2 component whose layer, threshold, colours and shape are local.

The JavaScript modules beside this file are joined into one text, because a component is given as
a string and nothing may be fetched at run time: ``import`` lines are dropped and ``export`` is
kept for the entry point only. Bytes travel through a carrier component, since bytes inside a
dictionary are not supported, and are named by their content, so nothing travels twice.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from braindash.digest import digest_bytes
from braindash.views.cortex import MapSet, colour_blob, geometry_blob, map_blob, static_png

FOLDER = Path(__file__).parent
# In the order of their dependencies.
MODULES = ("blobs", "geometry", "camera", "picking", "shader", "renderer", "component")
CARRIER_MODULES = ("blobs", "carrier")
_ID_LENGTH = 16
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


@dataclass(frozen=True)
class Pick:
    """A clicked vertex: its hemisphere, its number there, its target, and the layer shown."""

    hemisphere: str
    vertex: int
    index: int
    layer: int


@lru_cache(maxsize=2)
def script(modules: tuple[str, ...] = MODULES) -> str:
    """Join JavaScript modules, in the order of their dependencies, into one."""
    texts = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in modules]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


@st.cache_resource(show_spinner=False)
def _components() -> tuple[Any, Any]:
    """Register the viewer and the carrier once per server."""
    html, css = (
        (FOLDER / f"viewer.{kind}").read_text(encoding="utf-8") for kind in ("html", "css")
    )
    viewer = st.components.v2.component("braindash_viewer", html=html, css=css, js=script())
    carrier = st.components.v2.component("braindash_carrier", js=script(CARRIER_MODULES))
    return viewer, carrier


def _named(blob: bytes) -> tuple[str, bytes]:
    name = digest_bytes(blob)[:_ID_LENGTH]
    return name, name.encode() + blob


@st.cache_resource(show_spinner=False)
def _fixed_blobs() -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return _named(geometry_blob()), _named(colour_blob())


@st.cache_resource(max_entries=48, show_spinner=False)
def _map_message(identity: str, _maps: MapSet) -> tuple[str, bytes]:
    return _named(map_blob(_maps))


@st.cache_resource(max_entries=8, show_spinner="Drawing a static picture")
def _picture_message(identity: str, layer: int, _maps: MapSet) -> tuple[str, bytes]:
    return _named(static_png(_maps, layer))


def surface_viewer(
    maps: MapSet, *, key: str, identity: str, layer: int = 0, height: int = 520
) -> Pick | None:
    """Show maps of every layer on the cortical surface.

    Parameters
    ----------
    maps : MapSet
        One map per layer.
    key : str
        Streamlit key of the viewer.
    identity : str
        Names the content of ``maps``: packed bytes are kept under it.
    layer : int, default 0
        The layer shown at first; later changes stay in the browser. With a single map it is kept
        for maps of all layers that may follow.
    height : int, default 520
        Height of the surface, in pixels.

    Returns
    -------
    Pick or None
        The vertex that was clicked just now.
    """
    viewer, carrier = _components()
    (geometry, geometry_bytes), (colours, colour_bytes) = _fixed_blobs()
    map_id, map_bytes = _map_message(identity, maps)
    with st.container(gap=None):
        carrier(data=geometry_bytes, key=f"{key}_geometry", height=1)
        carrier(data=colour_bytes, key=f"{key}_colours", height=1)
        carrier(data=map_bytes, key=f"{key}_maps", height=1)
    data = {
        "geometry": geometry,
        "colours": colours,
        "maps": map_id,
        "layer": layer,
        "vmin": maps.vmin,
        "vmax": maps.vmax,
        "threshold": maps.threshold,
        "cmap": maps.colours,
        "simulated": maps.simulated,
        "height": height,
    }
    state = st.session_state.get(key)
    if state is not None and getattr(state, "fallback", False):
        shown_map = min(layer, len(maps.names) - 1)
        picture, picture_bytes = _picture_message(identity, shown_map, maps)
        carrier(data=picture_bytes, key=f"{key}_picture", height=1)
        data |= {"fallback": picture, "fallback_name": maps.names[shown_map]}
    shown = viewer(data=data, key=key, on_pick_change=_nothing, on_fallback_change=_nothing)
    return Pick(**shown.pick) if shown.pick else None


def _nothing() -> None:
    """Take part in a rerun: without a callback a trigger would not be reported."""
