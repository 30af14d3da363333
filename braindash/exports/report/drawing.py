"""Layer curves as small SVG drawings that a browser shows without a script, light or dark.

Whatever is written goes through :mod:`xml.etree.ElementTree`, which escapes it. Colours of axes
and words are those of the page (``class``), so that one drawing serves both of its themes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 450, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 122, 26, 40
_LINE = 13  # of text at the lines' ends, in pixels
_TICKS = 5

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes
    ----------
    name : str
        Said on hover, and written at its end unless ``end`` is.
    values : array of shape (n_layers,)
        NaN where there is none.
    colour : str
        ``"#rrggbb"``.
    low, high : array of shape (n_layers,), optional
        Ends of its interval.
    dashed : bool, default False
    end : str, optional
        Written at its end.
    """

    name: str
    values: Floats
    colour: str
    low: Floats | None = None
    high: Floats | None = None
    dashed: bool = False
    end: str = ""


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie on the drawing."""

    last: int
    low: float
    high: float

    def x(self, layer: float, last: int) -> float:
        """Place a layer of a curve whose last layer is ``last``: curves share relative depth."""
        share = 0.5 if last == 0 else layer / last
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - _TOP - _BOTTOM)


def chart(
    curves: Sequence[Curve],
    *,
    title: str,
    unit: str,
    levels: Mapping[str, float] | None = None,
    axis: str = "layer",
) -> Tree.Element:
    """Draw layer curves with their intervals.

    Parameters
    ----------
    curves : sequence of Curve
        Models of other depths are drawn over relative depth; the axis has the deepest one's layers.
    title : str
        Above the chart.
    unit : str
        Of the vertical axis.
    levels : mapping of str to float, optional
        Horizontal lines by what they are, such as a noise ceiling or chance.
    axis : str, default "layer"
        What the horizontal axis is.

    Returns
    -------
    xml.etree.ElementTree.Element
        An ``svg`` whose points have titles, and whose ``data-last`` is the last layer.
    """
    frame = _frame(curves, list((levels or {}).values()))
    root = Tree.Element(
        "svg",
        {
            "class": "chart",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-label": f"{title}: {unit} by {axis}; "
            + ", ".join(dict.fromkeys(one.name for one in curves)),
            "data-last": str(frame.last),
            "data-from": str(_LEFT),
            "data-to": str(WIDTH - _RIGHT),
        },
    )
    _write(root, _LEFT, 15, title, kind="name")
    _axes(root, frame, unit, axis)
    for name, level in (levels or {}).items():
        if np.isfinite(level):
            _level(root, frame, name, level)
    for one in curves:
        _band(root, frame, one)
    for one in curves:
        _line(root, frame, one)
    _ends(root, frame, curves)
    return root


def _frame(curves: Sequence[Curve], levels: Sequence[float]) -> _Frame:
    parts = [np.asarray(levels, dtype=float), np.zeros(1)]
    for one in curves:
        parts += [np.asarray(side, dtype=float) for side in (one.values, one.low, one.high)
                  if side is not None]  # fmt: skip
    every = np.concatenate(parts)
    every = every[np.isfinite(every)]
    low, high = float(every.min()), float(every.max())
    margin = 0.06 * max(high - low, 0.02)
    last = max((len(one.values) - 1 for one in curves), default=0)
    return _Frame(last, low - margin * (low < 0), high + margin)


def _axes(root: Tree.Element, frame: _Frame, unit: str, axis: str) -> None:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value in _round_steps(frame.low, frame.high):
        y = frame.y(value)
        _stroke(root, (_LEFT, y), (right, y), "grid" if abs(value) > 1e-9 else "axis")
        _write(root, _LEFT - 6, y + 4, _short(value), kind="tick", anchor="end")
    if frame.low < 0 < frame.high or frame.low == 0:
        _stroke(root, (_LEFT, frame.y(0)), (right, frame.y(0)), "axis")
    step = max(1, round(frame.last / 6))
    places = list(range(0, frame.last + 1, step))
    for layer in places:
        x = frame.x(layer, frame.last)
        _write(root, x, bottom + 15, str(layer), kind="tick", anchor="middle")
    _write(root, (_LEFT + right) / 2, HEIGHT - 8, axis, kind="tick", anchor="middle")
    word = _write(root, 0, 0, unit, kind="tick", anchor="middle")
    word.set("transform", f"translate(13 {(_TOP + bottom) / 2:.1f}) rotate(-90)")


def _round_steps(low: float, high: float) -> list[float]:
    """Return round numbers between two ends, about five of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [number * step for number in range(first, last + 1)]


def _short(value: float) -> str:
    text = f"{abs(value):.6g}"
    return f"{'−' if value < 0 and float(text) else ''}{text}"


def _band(root: Tree.Element, frame: _Frame, one: Curve) -> None:
    if one.low is None or one.high is None:
        return
    last, known = len(one.values) - 1, np.isfinite(one.low) & np.isfinite(one.high)
    layers = np.flatnonzero(known)
    if len(layers) < 2:
        return
    there = [(layer, one.high[layer]) for layer in layers]
    back = [(layer, one.low[layer]) for layer in layers[::-1]]
    points = " ".join(f"{frame.x(at, last):.1f},{frame.y(to):.1f}" for at, to in there + back)
    Tree.SubElement(
        root,
        "polygon",
        {"points": points, "fill": one.colour, "fill-opacity": "0.08" if one.dashed else "0.16"},
    )


def _line(root: Tree.Element, frame: _Frame, one: Curve) -> None:
    last = len(one.values) - 1
    layers = [layer for layer, value in enumerate(one.values) if np.isfinite(value)]
    places = [(frame.x(layer, last), frame.y(float(one.values[layer]))) for layer in layers]
    ends = [frame.x(layer, frame.last) for layer in (0, frame.last)]
    # A model without depth holds for every layer.
    through = [(x, y) for _, y in places for x in ends] if last == 0 else places
    drawn = Tree.SubElement(
        root,
        "polyline",
        {
            "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in through),
            "fill": "none",
            "stroke": one.colour,
            "stroke-width": "2",
        },
    )
    if one.dashed:
        drawn.set("stroke-dasharray", "6 4")
    for layer, (x, y) in zip(layers, places, strict=True):
        point = Tree.SubElement(
            root,
            "circle",
            {
                "cx": f"{x:.1f}",
                "cy": f"{y:.1f}",
                "r": "3.4",
                "fill": one.colour,
                "data-layer": str(layer),
            },
        )
        Tree.SubElement(point, "title").text = _told(one, int(layer))


def _told(one: Curve, layer: int) -> str:
    text = f"{one.name}, {layer}: {one.values[layer]:.3f}"
    if one.low is not None and one.high is not None and np.isfinite(one.low[layer]):
        text += f" [{one.low[layer]:.3f}, {one.high[layer]:.3f}]"
    return text


def _ends(root: Tree.Element, frame: _Frame, curves: Sequence[Curve]) -> None:
    """Name the lines at their ends, the higher ones above, none on another."""
    named = []
    for one in curves:
        known = [layer for layer, value in enumerate(one.values) if np.isfinite(value)]
        if known:
            at, last = (frame.last, frame.last) if len(one.values) == 1 else (
                known[-1], len(one.values) - 1
            )  # fmt: skip
            named.append((frame.y(float(one.values[known[-1]])), frame.x(at, last), one))
    lowest = HEIGHT - _BOTTOM + 4
    named.sort(key=lambda found: found[0])
    tops = [y for y, _, _ in named]
    for number in range(1, len(tops)):
        tops[number] = max(tops[number], tops[number - 1] + _LINE)
    for number in reversed(range(len(tops))):
        room = lowest - _LINE * (len(tops) - 1 - number)
        tops[number] = min(tops[number], room)
    for top, (_, x, one) in zip(tops, named, strict=True):
        word = _write(root, x + 8, top + 4, _cut(one.end or one.name), kind="end")
        word.set("fill", one.colour)


def _cut(name: str, most: int = 17) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _level(root: Tree.Element, frame: _Frame, name: str, level: float) -> None:
    y = frame.y(level)
    line = _stroke(root, (_LEFT, y), (WIDTH - _RIGHT, y), "level")
    line.set("stroke-dasharray", "2 4")
    Tree.SubElement(line, "title").text = f"{name}: {level:.3f}"
    _write(root, _LEFT + 4, y - 4, name, kind="tick")


def _stroke(
    root: Tree.Element, start: tuple[float, float], end: tuple[float, float], kind: str
) -> Tree.Element:
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    return Tree.SubElement(
        root, "line", {"class": kind, **{name: f"{at:.1f}" for name, at in ends.items()}}
    )


def _write(
    root: Tree.Element, x: float, y: float, text: str, *, kind: str, anchor: str = "start"
) -> Tree.Element:
    word = Tree.SubElement(
        root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": kind, "text-anchor": anchor}
    )
    word.text = text
    return word
