"""Traces of a plotly figure drawn with matplotlib: the same numbers, without a browser.

Every artist carries the number of its trace as ``gid`` (``trace-3``), which is its id in an SVG.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patches import Rectangle

from braindash.errors import InputError, near_match

Trace = Mapping[str, Any]
Colour = tuple[float, float, float, float]

POINTS = 0.72
"""Points of print for a pixel of a page: figures are drawn at 100 pixels an inch."""
# In widths of the line, as browsers draw them.
_DASHES: Mapping[str, Any] = {
    "solid": "solid",
    "dot": (0, (1, 1.5)),
    "dash": (0, (3, 2)),
    "longdash": (0, (5, 2.5)),
    "dashdot": (0, (3, 1.5, 1, 1.5)),
    "longdashdot": (0, (5, 2, 1, 2)),
}
_SYMBOLS: Mapping[str, str] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "cross": "P",
    "x": "X",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
}
_OPEN = "-open"
_DEFAULT_SIZE, _DEFAULT_WIDTH = 6.0, 2.0
_STEPS = 1024  # of a colour scale


def refuse(what: str, given: object, known: Iterable[str]) -> InputError:
    """Make the error for something that a page can draw and a file cannot."""
    return InputError(
        f"a figure has {what} {given!r}, which cannot be drawn in a file",
        hint=near_match(str(given), known),
    )


def colour_of(text: str, opacity: float = 1.0) -> Colour:
    """Read a colour as plotly writes it: a name, ``#RRGGBB``, ``rgb(...)`` or ``rgba(...)``."""
    if text.startswith("rgb"):
        inside = text.partition("(")[2].rstrip(")").split(",")
        numbers = [float(one) for one in inside]
        red, green, blue = (one / 255 for one in numbers[:3])
        alpha = numbers[3] if len(numbers) > 3 else 1.0
        return (red, green, blue, alpha * opacity)
    red, green, blue, alpha = to_rgba(text)
    return (red, green, blue, alpha * opacity)


class Categories:
    """Places of names along an axis: 0, 1, ... in the order in which they come."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self.names = [str(one) for one in given]

    def numbers(self, values: Any) -> npt.NDArray[np.float64]:
        """Return places of an axis: of numbers themselves, of names those that they have."""
        if values is None:
            return np.zeros(0)
        listed = values if isinstance(values, np.ndarray) else list(values)
        if not any(isinstance(one, str) for one in listed):
            return np.array([np.nan if one is None else one for one in listed], dtype=float)
        self.names += [one for one in dict.fromkeys(map(str, listed)) if one not in self.names]
        return np.array([self.names.index(str(one)) for one in listed], dtype=float)


def draw_trace(
    axes: Axes, trace: Trace, number: int, colour: str, places: tuple[Categories, Categories]
) -> Artist:
    """Draw one trace.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    trace : mapping
        Properties of a plotly trace.
    number : int
        Its place in the figure.
    colour : str
        What it has when it names none.
    places : two Categories
        Of the horizontal and of the vertical axis.

    Returns
    -------
    matplotlib.artist.Artist
        What stands for it in a legend, or has its colour scale.

    Raises
    ------
    InputError
        It is of a type, or has a part, that is not drawn in files; the message names it.
    """
    kind = trace.get("type", "scatter")
    if kind not in _DRAWN:
        raise refuse("a trace of the type", kind, _DRAWN)
    return _DRAWN[kind](axes, trace, number, colour, places)


# ---- lines, markers and bands ---------------------------------------------------------------


def _scatter(
    axes: Axes, trace: Trace, number: int, colour: str, places: tuple[Categories, Categories]
) -> Artist:
    x, y = places[0].numbers(trace.get("x")), places[1].numbers(trace.get("y"))
    modes = set(str(trace.get("mode", "lines+markers")).split("+"))
    if unknown := modes - {"lines", "markers", "none"}:
        raise refuse("a trace of the mode", "+".join(sorted(unknown)), ("lines", "markers"))
    if trace.get("fill", "none") != "none":
        return _band(axes, trace, number, colour, (x, y))
    line = trace.get("line", {})
    opacity = float(trace.get("opacity", 1.0))
    drawn = colour_of(line.get("color", colour), opacity)
    [artist] = axes.plot(x, y, color=drawn, gid=f"trace-{number}", linestyle="none")
    if "lines" in modes:
        artist.set_linestyle(dash_of(line.get("dash", "solid")))
        artist.set_linewidth(float(line.get("width", _DEFAULT_WIDTH)) * POINTS)
    if "markers" in modes:
        given = line.get("color", colour) if "lines" in modes else colour
        _mark(axes, artist, trace.get("marker", {}), given, opacity)
    _bars(axes, trace, number, (x, y), drawn)
    return artist


def dash_of(name: str) -> Any:
    """Return a line's dashes, in widths of the line, by plotly's name for them."""
    if name not in _DASHES:
        raise refuse("a line with the dash", name, _DASHES)
    return _DASHES[name]


def _band(
    axes: Axes,
    trace: Trace,
    number: int,
    colour: str,
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> Artist:
    """Fill an outline, such as an interval."""
    if trace["fill"] != "toself":
        raise refuse("a filling", trace["fill"], ("toself",))
    line = trace.get("line", {})
    filled = colour_of(trace.get("fillcolor", colour), float(trace.get("opacity", 1.0)))
    width = float(line.get("width", 0.0)) * POINTS
    edge = colour_of(line.get("color", colour)) if width else "none"
    [artist] = axes.fill(
        *ends, facecolor=filled, edgecolor=edge, linewidth=width, gid=f"trace-{number}"
    )
    return artist


def _mark(axes: Axes, artist: Any, marker: Mapping[str, Any], colour: str, opacity: float) -> None:
    """Give a line its markers; where they differ from point to point, groups of their own."""
    symbols, colours = marker.get("symbol", "circle"), marker.get("color", colour)
    alpha = opacity * float(marker.get("opacity", 1.0))
    size = marker.get("size", _DEFAULT_SIZE)
    if not isinstance(size, int | float):
        raise refuse("markers with", "a size for each", ("one size",))
    edge = marker.get("line", {})
    x, y = (np.asarray(one, dtype=float) for one in artist.get_data())
    looks = [
        (_symbol(symbol), str(one))
        for symbol, one in zip(_each(symbols, len(x)), _each(colours, len(x)), strict=True)
    ]
    several = len(set(looks)) > 1
    for place, look in enumerate(dict.fromkeys(looks)):
        (shape, is_open), ink = look[0], colour_of(look[1], alpha)
        target = artist
        if several:
            members = np.array([one == look for one in looks])
            [target] = axes.plot(
                x[members], y[members], linestyle="none", gid=f"{artist.get_gid()}-marks-{place}"
            )
        target.set_marker(shape)
        target.set_markersize(float(size) * POINTS)
        target.set_markerfacecolor("none" if is_open else ink)
        outline = colour_of(edge["color"], alpha) if "color" in edge else ink
        target.set_markeredgecolor(outline)
        target.set_markeredgewidth(float(edge.get("width", 1.5 if is_open else 0.0)) * POINTS)


def _each(value: Any, count: int) -> Sequence[Any]:
    return [value] * count if isinstance(value, str | int) else list(value)


def _symbol(given: str | int) -> tuple[str, bool]:
    """Return the marker of a plotly symbol, and whether it is open."""
    if isinstance(given, str) and not given.isdigit():
        name, is_open = given.removesuffix(_OPEN), given.endswith(_OPEN)
    else:
        place = int(given)
        is_open, place = place >= 100, place % 100
        name = list(_SYMBOLS)[place] if place < len(_SYMBOLS) else str(place)
    if name not in _SYMBOLS:
        raise refuse("markers with the symbol", given, _SYMBOLS)
    return _SYMBOLS[name], is_open


def _bars(
    axes: Axes,
    trace: Trace,
    number: int,
    ends: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    colour: Colour,
) -> None:
    """Draw error bars in either direction."""
    for name in ("x", "y"):
        told = trace.get(f"error_{name}")
        if not told or told.get("visible") is False or told.get("array") is None:
            continue
        above = np.asarray(told["array"], dtype=float)
        below = np.asarray(told.get("arrayminus", above), dtype=float)
        ink = colour_of(told["color"]) if "color" in told else colour
        # From the middle of the interval, which need not hold the value: lengths are not negative.
        shift = (above - below) / 2
        x, y = (ends[0] + shift, ends[1]) if name == "x" else (ends[0], ends[1] + shift)
        reach: dict[str, Any] = {f"{name}err": (above + below) / 2}
        drawn = axes.errorbar(x, y, fmt="none", ecolor=ink, capsize=3, **reach)
        for part in drawn.lines[2]:
            part.set_gid(f"trace-{number}-error-{name}")


# ---- bars -----------------------------------------------------------------------------------


def _bar_trace(
    axes: Axes, trace: Trace, number: int, colour: str, places: tuple[Categories, Categories]
) -> Artist:
    """Draw upright bars of one width, with their error bars."""
    if trace.get("orientation", "v") != "v":
        raise refuse("bars of the orientation", trace["orientation"], ("v",))
    x, y = places[0].numbers(trace.get("x")), places[1].numbers(trace.get("y"))
    width = trace.get("width", 0.8)
    if not isinstance(width, int | float):
        raise refuse("bars with", "a width for each", ("one width",))
    ink = colour_of(trace.get("marker", {}).get("color", colour), float(trace.get("opacity", 1.0)))
    drawn = axes.bar(x, np.nan_to_num(y), width=width, color=ink, gid=f"trace-{number}", zorder=2)
    _bars(axes, trace, number, (x, y), ink)
    return drawn.patches[0] if drawn.patches else Rectangle((0, 0), 0, 0, facecolor=ink)


# ---- heat maps ------------------------------------------------------------------------------


def _heat_map(
    axes: Axes, trace: Trace, number: int, colour: str, places: tuple[Categories, Categories]
) -> Artist:
    z = np.asarray(trace["z"], dtype=float)
    ends = []
    for name, kept, count in zip("xy", places, z.shape[::-1], strict=True):
        given = trace.get(name)
        ends.append(_edges(np.arange(count) if given is None else kept.numbers(given), count))
    low, high = (trace.get(name) for name in ("zmin", "zmax"))
    finite = z[np.isfinite(z)]
    gap = float(trace.get("xgap", 0)) * POINTS
    return axes.pcolormesh(
        *ends,
        np.ma.masked_invalid(z),
        cmap=_colours(trace),
        vmin=low if low is not None else (finite.min() if finite.size else 0.0),
        vmax=high if high is not None else (finite.max() if finite.size else 1.0),
        edgecolors="white" if gap else "none",
        linewidth=gap,
        gid=f"trace-{number}",
    )


def _edges(middles: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return the edges of cells: half-way between their middles."""
    if len(middles) == count + 1:
        return middles
    if count == 1:
        return np.array([middles[0] - 0.5, middles[0] + 0.5])
    between = (middles[1:] + middles[:-1]) / 2
    first, last = 2 * middles[0] - between[0], 2 * middles[-1] - between[-1]
    return np.concatenate([[first], between, [last]])


def _colours(trace: Trace) -> LinearSegmentedColormap:
    scale = trace.get("colorscale")
    if scale is None or isinstance(scale, str):
        raise refuse("a colour scale", scale, ("pairs of a share and a colour",))
    steps = [(float(share), colour_of(one)) for share, one in scale]
    if trace.get("reversescale"):
        steps = [(1 - share, one) for share, one in reversed(steps)]
    return LinearSegmentedColormap.from_list(f"trace-{trace.get('name', '')}", steps, N=_STEPS)


_DRAWN = {
    "scatter": _scatter,
    "scattergl": _scatter,
    "heatmap": _heat_map,
    "bar": _bar_trace,
}
