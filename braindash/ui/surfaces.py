"""The surface viewer as a Streamlit component, whose layers, threshold and colours are local.

Bytes travel through a carrier component, since bytes inside a dictionary are not supported, and
are named by their content, so nothing travels twice. What the viewer shows travels through a
carrier too: a message to the viewer itself would bring its script again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from braindash.files import digest_bytes
from braindash.ui.frame import presenting
from braindash.viewer import CARRIER_MODULES, markup, script
from braindash.viewer.blobs import MapSet, geometry_blob, map_blob
from braindash.viewer.colours import MIX_COLOURS, colour_blob, region_title
from braindash.viewer.drawn import Geometry
from braindash.views.linked import (
    DIFFERENCE,
    DIFFERENCE_COLOURS,
    LinkedMaps,
    shown_layers,
    statistics_blob,
)
from braindash.views.pictures import picture_png, pictures_of

_ID_LENGTH = 16
# A browser that has never been here loads plotly when its first figure comes: a second and more of
# the page's only thread. Its figures wait until the first brains are drawn, so long at most; a
# cookie says that it has been here (viewer/blobs.js).
LONGEST_WAIT_SECONDS = 10.0
SEEN = "braindash_figures"
_AWAITED = "figures_await"


@dataclass(frozen=True)
class Pick:
    """A clicked vertex.

    Attributes
    ----------
    hemisphere : str
        "left" or "right".
    vertex : int
        Its number among the drawn vertices of that side.
    index : int
        The same among those of both sides.
    layer : int
        Place of the slider.
    target : int
        The target that it shows, mostly; -1 for none.
    """

    hemisphere: str
    vertex: int
    index: int
    layer: int
    target: int


@dataclass(frozen=True)
class Asked:
    """What a visitor asked of linked surfaces just now.

    Attributes
    ----------
    pick : Pick or None
        The vertex that was clicked.
    use : bool
        Whether what stands below is to take over the layers that are shown; the address has them.
    """

    pick: Pick | None = None
    use: bool = False


@st.cache_resource(show_spinner=False)
def _viewer() -> Any:
    """Register the viewer once per server."""
    html, css = markup()
    return st.components.v2.component("braindash_viewer", html=html, css=css, js=script())


@st.cache_resource(show_spinner=False)
def carrier() -> Any:
    """Register, once per server, what carries bytes and settings to the viewers of a page."""
    return st.components.v2.component("braindash_carrier", js=script(CARRIER_MODULES))


def named_blob(blob: bytes) -> tuple[str, bytes]:
    """Name bytes by their content; return the name, and what a carrier takes."""
    name = digest_bytes(blob)[:_ID_LENGTH]
    return name, name.encode() + blob


@st.cache_resource(show_spinner=False)
def colour_message() -> tuple[str, bytes]:
    """Return the colour scales, named."""
    return named_blob(colour_blob())


@st.cache_resource(max_entries=6, show_spinner=False)
def geometry_message(identity: str, _geometry: Geometry) -> tuple[str, bytes]:
    """Return the surfaces, named; kept under their identity."""
    return named_blob(geometry_blob(_geometry))


@st.cache_resource(max_entries=48, show_spinner=False)
def map_message(identity: str, _maps: MapSet) -> tuple[str, bytes]:
    """Return maps, named; kept under what identifies them."""
    return named_blob(map_blob(_maps))


@st.cache_resource(max_entries=48, show_spinner=False)
def _statistics_message(identity: str, _linked: LinkedMaps) -> tuple[str, bytes]:
    return named_blob(statistics_blob(_linked))


@st.cache_resource(max_entries=8, show_spinner="Drawing a static picture")
def _picture_message(
    identity: str, layers: tuple[int, ...], _linked: LinkedMaps
) -> tuple[str, bytes]:
    return named_blob(picture_png(pictures_of(_linked, layers)))


def surface_viewer(
    maps: MapSet,
    *,
    key: str,
    identity: str,
    layer: int = 0,
    height: int = 0,
    source: str = "",
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
    height : int, default 0
        Height of the surface, in pixels; 0: two thirds of the window.
    source : str, optional
        Where the numbers come from, for pictures that are saved.

    Returns
    -------
    Pick or None
        The vertex that was clicked just now.
    """
    linked = LinkedMaps(names=("",), maps=(maps,))
    return linked_viewer(
        linked, key=key, identities=[identity], layer=layer, height=height, source=source
    ).pick


def linked_viewer(
    linked: LinkedMaps,
    *,
    key: str,
    identities: Sequence[str],
    layer: int = 0,
    held: Sequence[int | None] = (),
    height: int = 0,
    views: str = "four",
    lists_regions: bool = True,
    outlined: Sequence[str] = (),
    source: str = "",
    full_names: Sequence[str] = (),
) -> Asked:
    """Show maps of several models, turned by one camera and coloured by one scale.

    Parameters
    ----------
    linked : LinkedMaps
        The panels.
    key : str
        Streamlit key of the viewer.
    identities : sequence of str
        Name the content of every model's maps: packed bytes are kept under them.
    layer : int, default 0
        Place of the layer slider at first, a layer of the deepest model.
    held : sequence of (int or None), optional
        At first: the layer that a panel is held at; None where it follows the slider.
    height : int, default 0
        Height of all surfaces together, in pixels; 0: two thirds of the window.
    views : {"four", "lateral", "medial", "left", "right"}, default "four"
        The views of every panel at first.
    lists_regions : bool, default True
        Whether the regions' means stand beside the surfaces.
    outlined : sequence of str, optional
        Regions that are outlined and named at first.
    source : str, optional
        Where the numbers come from, for pictures that are saved.
    full_names : sequence of str, optional
        What pointing at a panel's name tells.

    Returns
    -------
    Asked
        The vertex that was clicked, or that the layers are to be used.
    """
    viewer, carry = _viewer(), carrier()
    drawn = linked.maps[0].drawn
    geometry, geometry_bytes = geometry_message(drawn.geometry.identity, drawn.geometry)
    colours, colour_bytes = colour_message()
    messages = [
        map_message(identity, maps) for identity, maps in zip(identities, linked.maps, strict=True)
    ]
    fixed = [*held, *[None] * (len(messages) - len(held))]
    settings = _settings(linked, [name for name, _ in messages])
    settings |= {"geometry": geometry, "colours": colours, "layer": layer, "held": fixed}
    settings |= {"height": height, "views": views, "listsRegions": lists_regions}
    settings |= {"outlined": [region_title(name) for name in outlined], "present": presenting()}
    settings |= {"source": source}
    for panel, told in zip(settings["panels"], full_names, strict=False):
        panel["full"] = told
    # What carries the bytes stands below the viewer: it takes no room above the brains.
    above, below = st.container(gap=None), st.container(gap=None)
    with below:
        carry(data=geometry_bytes, key=f"{key}_geometry", height=1)
        carry(data=colour_bytes, key=f"{key}_colours", height=1)
        for place, (_, content) in enumerate(messages):
            carry(data=content, key=f"{key}_maps_{place}", height=1)
        if settings["difference"]:
            name, content = _statistics_message(" ".join(identities), linked)
            settings["difference"]["statistics"] = name
            carry(data=content, key=f"{key}_statistics", height=1)
        seen = st.query_params.get("layer")
        if getattr(st.session_state.get(key), "fallback", False):
            with above:
                layer = _choose_layer(key, layer, max(linked.last_layers))
            layers = shown_layers(layer, fixed, linked.last_layers)
            name, content = _picture_message(" ".join(identities), layers, linked)
            carry(data=content, key=f"{key}_picture", height=1)
            settings |= {"fallback": name, "fallback_name": _spoken(linked, layers)}
        carry(data={"viewer": key, "settings": settings}, key=f"{key}_settings", height=1)
    with above:
        shown = viewer(
            data={"viewer": key},
            key=key,
            on_pick_change=take_part,
            on_use_change=take_part,
            on_fallback_change=take_part,
        )
    _come_first(key)
    told = shown.pick or shown.use
    if not told:
        return Asked(use=seen != st.query_params.get("layer"))
    keep_address(told["address"])
    if not shown.pick:
        return Asked(use=True)
    names = ("hemisphere", "vertex", "index", "layer")
    target = int(drawn.targets[told["index"]])
    return Asked(pick=Pick(**{name: told[name] for name in names}, target=target))


def _come_first(key: str) -> None:
    """Let figures of a browser's first visit wait for its first brains, and no later ones."""
    session = st.session_state
    was_here = SEEN in session or st.context.cookies.get(SEEN) == "1"
    if not was_here and LONGEST_WAIT_SECONDS > 0:
        session[_AWAITED] = key
    session[SEEN] = True


def await_nothing() -> None:
    """Let figures come: the brains are drawn, or they were those of the page before."""
    st.session_state.pop(_AWAITED, None)


def brains_awaited() -> bool:
    """Say whether a figure has to wait: nothing has told yet that the first brains are drawn."""
    return _AWAITED in st.session_state


def await_brains(key: str, height: int) -> None:
    """Keep the place of a figure until the first brains are drawn, or until it waited too long.

    Then the fragment that this is called in is run again, and :func:`brains_awaited` says no.

    Parameters
    ----------
    key : str
        Of the figure.
    height : int
        Of its place, in pixels.
    """
    data = {"awaits": st.session_state[_AWAITED], "seconds": LONGEST_WAIT_SECONDS}
    with st.container(height=height, border=False):
        carrier()(data=data, key=f"{key}_waits", height=1, on_drawn_change=await_nothing)


def _choose_layer(key: str, layer: int, deepest: int) -> int:
    """Ask for the layer where the viewer's own slider cannot be used."""
    if not deepest:
        return layer
    chosen: int = st.slider("Layer", 0, deepest, min(layer, deepest), key=f"{key}_layer")
    st.query_params["layer"] = str(chosen)
    return chosen


def keep_address(address: Mapping[str, str | None]) -> None:
    """Take over what the viewer wrote into the address, which the server has not seen."""
    for name, value in address.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def _settings(linked: LinkedMaps, names: Sequence[str]) -> dict[str, Any]:
    """Say what to show: the panels, by the names of their bytes, and the scales."""
    first = linked.maps[0]
    difference = None
    if linked.end is not None:
        difference = {"name": DIFFERENCE, "end": linked.end, "cmap": DIFFERENCE_COLOURS}
    mix = None
    if linked.mix is not None:
        mix = {"name": linked.mix.name, "alone": linked.mix.alone, "colours": MIX_COLOURS}
    return {
        "panels": [
            {"maps": blob, "name": name} for blob, name in zip(names, linked.names, strict=True)
        ],
        "difference": difference,
        "mix": mix,
        "vmin": first.vmin,
        "vmax": first.vmax,
        "threshold": first.threshold,
        "cmap": first.colours,
        "simulated": any(maps.simulated for maps in linked.maps),
    }


def _spoken(linked: LinkedMaps, layers: Sequence[int]) -> str:
    named = zip(linked.names, linked.maps, layers, strict=True)
    return ", ".join(f"{name} {maps.names[layer]}".strip() for name, maps, layer in named)


def take_part() -> None:
    """Take part in a rerun: without a callback a trigger would not be reported."""
