"""Axes, reference lines and words of a plotly figure, drawn with matplotlib."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)
from matplotlib.transforms import Transform, blended_transform_factory

from braindash.exports.traces import POINTS, Categories, colour_of, dash_of, refuse

Part = Mapping[str, Any]

_TAG = re.compile(r"</?(?:b|i|em|strong|sub|sup|span|a)(?:\s[^<>]*)?>", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BOLD = re.compile(r"<(?:b|strong)>", re.IGNORECASE)
_AXIS_TYPES = ("linear", "log", "category", "-")
_VERTICAL = {"top": "top", "middle": "center", "bottom": "bottom"}
_GRID, _ZERO, _INK, _GREY = "#E3E3E3", "#9A9A9A", "#333333", "#767676"
_ROOM = 0.14  # above and below what is drawn, as a share of it, where words stand beside it
_TEXT_SIZE = 13  # of annotations that name none, in pixels


def plain(text: object) -> str:
    """Turn a text with plotly's few tags into plain lines; every other tag is text and stays."""
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", str(text or ""))))


@dataclass
class Panel:
    """One pair of plotly axes.

    Attributes
    ----------
    names : (str, str)
        Of the axes, such as ("x2", "y2").
    axes : matplotlib.axes.Axes
        What stands for them.
    told : (mapping, mapping)
        What the layout says of each.
    places : (Categories, Categories)
        Names along each axis.
    """

    names: tuple[str, str]
    axes: Axes
    told: tuple[Part, Part]
    places: tuple[Categories, Categories] = field(
        default_factory=lambda: (Categories(), Categories())
    )


def add_panels(
    figure: Figure, traces: Sequence[Part], layout: Part, area: tuple[float, float, float, float]
) -> dict[tuple[str, str], Panel]:
    """Add axes for every pair of the layout, at its place in the plotted area.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Gets the axes.
    traces : sequence of mapping
        The traces: which pairs they are drawn on.
    layout : mapping
        Of the plotly figure.
    area : (float, float, float, float)
        Left, bottom, width and height of what "paper" means, as shares of the figure.

    Returns
    -------
    dict of (str, str) to Panel
        By the names of the axes.
    """
    pairs = [(str(one.get("xaxis", "x")), str(one.get("yaxis", "y"))) for one in traces]
    pairs += [
        (name.replace("axis", ""), str(layout[name].get("anchor", "y")))
        for name in layout
        if re.fullmatch(r"xaxis\d*", name)
    ]
    panels = {}
    left, bottom, width, height = area
    for pair in dict.fromkeys(pairs or [("x", "y")]):
        if "free" in pair:
            continue
        x, y = (layout.get(name[0] + "axis" + name[1:], {}) for name in pair)
        for one in (x, y):
            if one.get("overlaying"):
                raise refuse("an axis that lies", "over another", ("axes beside each other",))
        (x0, x1), (y0, y1) = x.get("domain", (0, 1)), y.get("domain", (0, 1))
        place = (left + x0 * width, bottom + y0 * height, (x1 - x0) * width, (y1 - y0) * height)
        axes = figure.add_axes(place, gid=f"panel-{pair[0]}-{pair[1]}")
        panel = Panel(pair, axes, (x, y))
        for kept, told in zip(panel.places, (x, y), strict=True):
            kept.names += [str(one) for one in told.get("categoryarray") or ()]
        panels[pair] = panel
    return panels


def finish_panel(panel: Panel, notes: Sequence[Part] = ()) -> None:
    """Give a panel the ranges, ticks and titles that its axes have; room for its annotations."""
    axes = panel.axes
    if any(one.get("yref", "y") == panel.names[1] for one in notes):
        axes.margins(y=_ROOM)
    for name, told, kept in zip("xy", panel.told, panel.places, strict=True):
        kind = told.get("type", "-")
        if kind not in _AXIS_TYPES:
            raise refuse("an axis of the type", kind, _AXIS_TYPES)
        if kind == "log":
            getattr(axes, f"set_{name}scale")("log")
        _set_range(axes, name, told, kind)
        _set_ticks(axes, name, told, kept)
        shown = told.get("title") or {}
        title = shown.get("text") if isinstance(shown, Mapping) else shown
        getattr(axes, f"set_{name}label")(plain(title), color=_INK)
        axis = getattr(axes, f"{name}axis")
        if told.get("showgrid", not kept.names):
            axis.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=_GREY, labelcolor=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_ZERO)
    if panel.told[1].get("scaleanchor") == panel.names[0]:
        axes.set_aspect("equal", adjustable="box")


def match_ranges(panels: Iterable[Panel]) -> None:
    """Give axes that match one another one range: what holds them all."""
    every = list(panels)
    for name, place in (("x", 0), ("y", 1)):
        groups: dict[str, list[Axes]] = {}
        for panel in every:
            own = panel.names[place]
            groups.setdefault(str(panel.told[place].get("matches") or own), []).append(panel.axes)
        for members in groups.values():
            ends = np.array([getattr(axes, f"get_{name}lim")() for axes in members])
            falls = ends[0, 0] > ends[0, 1]
            low, high = ends.min(), ends.max()
            for axes in members:
                getattr(axes, f"set_{name}lim")((high, low) if falls else (low, high))


def mark_zero(panels: Iterable[Panel]) -> None:
    """Draw lines at 0 where axes ask for them and reach it."""
    for panel in panels:
        for name, told in zip("xy", panel.told, strict=True):
            low, high = sorted(getattr(panel.axes, f"get_{name}lim")())
            if told.get("zeroline") and low <= 0 <= high:
                draw = panel.axes.axvline if name == "x" else panel.axes.axhline
                draw(0, color=_ZERO, linewidth=0.9, zorder=0.9)


def _set_range(axes: Axes, name: str, told: Part, kind: str) -> None:
    read, write = getattr(axes, f"get_{name}lim"), getattr(axes, f"set_{name}lim")
    ends = told.get("range")
    if ends is not None:
        write(tuple(10.0 ** float(one) if kind == "log" else float(one) for one in ends))
        return
    low, high = sorted(read())
    if told.get("rangemode") in ("tozero", "nonnegative"):
        low, high = min(low, 0.0), max(high, 0.0)
        low = max(low, 0.0) if told["rangemode"] == "nonnegative" else low
    write((high, low) if told.get("autorange") == "reversed" else (low, high))


def _set_ticks(axes: Axes, name: str, told: Part, kept: Categories) -> None:
    axis = getattr(axes, f"{name}axis")
    mode = told.get("tickmode")
    if kept.names:
        axis.set_major_locator(FixedLocator(range(len(kept.names))))
        axis.set_ticklabels([plain(one) for one in kept.names])
    elif mode == "array" or told.get("tickvals") is not None:
        axis.set_major_locator(FixedLocator([float(one) for one in told["tickvals"]]))
        axis.set_minor_locator(NullLocator())  # a logarithmic axis has some of its own
        if told.get("ticktext") is not None:
            axis.set_ticklabels([plain(one) for one in told["ticktext"]])
    elif mode == "linear":
        step, first = float(told.get("dtick") or 1), float(told.get("tick0") or 0)
        axis.set_major_locator(MultipleLocator(step, offset=first))
    elif told.get("nticks"):
        axis.set_major_locator(MaxNLocator(nbins=int(told["nticks"])))
    if form := told.get("tickformat"):
        try:
            format(0.5, form)
        except ValueError as error:
            raise refuse("ticks with the format", form, (".0%", ".2f", ".3g")) from error
        axis.set_major_formatter(FuncFormatter(lambda value, _: format(value, form)))
    hidden = told.get("showticklabels") is False
    axis.set_tick_params(length=0 if kept.names else 3, **{_LABELS[name]: not hidden})


_LABELS = {"x": "labelbottom", "y": "labelleft"}

# ---- what stands over the panels ------------------------------------------------------------


def _transform(panels: Mapping[tuple[str, str], Panel], paper: Axes, ref: str, way: int) -> Any:
    """Return the transform of a reference such as "x2", "y domain" or "paper", and its panel."""
    name = ref.removesuffix(" domain")
    for pair, panel in panels.items():
        if pair[way] == name:
            of_domain = ref.endswith(" domain")
            return (panel.axes.transAxes if of_domain else panel.axes.transData), panel
    if ref != "paper":
        raise refuse("something placed by", ref, ("paper", *(pair[way] for pair in panels)))
    return paper.transAxes, None


def _where(
    panels: Mapping[tuple[str, str], Panel], paper: Axes, told: Part
) -> tuple[Transform, Panel | None]:
    x, first = _transform(panels, paper, str(told.get("xref", "x")), 0)
    y, second = _transform(panels, paper, str(told.get("yref", "y")), 1)
    both = [
        panel
        for pair, panel in panels.items()
        if (first is None or pair[0] == first.names[0])
        and (second is None or pair[1] == second.names[1])
    ]
    found = both[0] if (first or second) and both else (second or first)
    return blended_transform_factory(x, y), found


def add_shape(
    panels: Mapping[tuple[str, str], Panel], paper: Axes, told: Part, number: int
) -> None:
    """Draw a line or a rectangle of the layout, such as a noise ceiling."""
    where, panel = _where(panels, paper, told)
    axes = paper if panel is None else panel.axes
    line = told.get("line", {})
    opacity = float(told.get("opacity", 1.0))
    style: dict[str, Any] = {"transform": where, "gid": f"shape-{number}", "zorder": 1.5}
    x0, x1, y0, y1 = (_place(panel, told[name]) for name in ("x0", "x1", "y0", "y1"))
    width = float(line.get("width", 2)) * POINTS
    ink = colour_of(line.get("color", _INK), opacity)
    if told.get("type") == "line":
        axes.add_line(
            Line2D(
                [x0, x1],
                [y0, y1],
                color=ink,
                linewidth=width,
                linestyle=dash_of(line.get("dash", "solid")),
                **style,
            )
        )
        return
    if told.get("type") != "rect":
        raise refuse("a shape of the type", told.get("type"), ("line", "rect"))
    filled = colour_of(told["fillcolor"], opacity) if "fillcolor" in told else "none"
    box = Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=filled, **style)
    box.set_edgecolor(ink if width else "none")
    box.set_linewidth(width)
    axes.add_patch(box)


def _place(panel: Panel | None, value: Any) -> float:
    if isinstance(value, str) and panel is not None:
        for kept in panel.places:
            if value in kept.names:
                return float(kept.names.index(value))
    return float(value)


def add_annotation(
    panels: Mapping[tuple[str, str], Panel], paper: Axes, told: Part, number: int
) -> None:
    """Write an annotation of the layout at its place."""
    where, _ = _where(panels, paper, told)
    font = told.get("font", {})
    text = str(told.get("text", ""))
    shift = np.array([float(told.get("xshift", 0)), float(told.get("yshift", 0))])
    across, upwards = _anchors(told)
    arrow = None
    if told.get("showarrow", True):
        shift += [float(told.get("ax", 0)), -float(told.get("ay", -30))]
        arrow = {"arrowstyle": "->", "color": told.get("arrowcolor", _INK)}
    panel = next((one for one in panels.values() if one.names[0] == told.get("xref", "x")), None)
    paper.annotate(
        plain(text),
        xy=(_place(panel, told["x"]), _place(panel, told["y"])),
        xycoords=where,
        xytext=(float(shift[0] * POINTS), float(shift[1] * POINTS)),
        textcoords="offset points",
        ha=across,
        va=upwards,
        color=colour_of(font.get("color", _INK)),
        fontsize=float(font.get("size", _TEXT_SIZE)) * POINTS,
        fontweight="bold" if _BOLD.search(text) else "normal",
        arrowprops=arrow,
        annotation_clip=False,
        gid=f"annotation-{number}",
    )


def _anchors(told: Part) -> tuple[str, str]:
    """Return which point of a text stands at its place, as plotly finds it by itself."""
    across, upwards = told.get("xanchor", "auto"), told.get("yanchor", "auto")
    by_paper = not told.get("showarrow", True)
    if across == "auto":
        of_paper = by_paper and told.get("xref") == "paper"
        across = ("left", "center", "right")[_third(told["x"])] if of_paper else "center"
    if upwards == "auto":
        of_paper = by_paper and told.get("yref") == "paper"
        upwards = ("bottom", "middle", "top")[_third(told["y"])] if of_paper else "middle"
    return across, _VERTICAL[upwards]


def _third(share: float) -> int:
    return 0 if share <= 1 / 3 else 2 if share >= 2 / 3 else 1
