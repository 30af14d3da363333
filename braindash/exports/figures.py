"""Figures of the pages as files: drawn from the plotly figure itself, so that both agree.

matplotlib draws the traces, axes and words of the figure that a page shows; no browser is needed.
Text stays text in SVG and PDF.
"""

import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from braindash.errors import InputError, near_match
from braindash.exports.panels import (
    Panel,
    add_annotation,
    add_panels,
    add_shape,
    finish_panel,
    mark_zero,
    match_ranges,
    plain,
)
from braindash.exports.source import SIMULATED, Source, clean, figure_metadata
from braindash.exports.traces import POINTS, draw_trace

FORMATS: Mapping[str, str] = {
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "png": "image/png",
}
"""Formats of figures, with the type of their content."""
# plotly's own, for traces that name no colour.
_COLOURS = ("#636EFA", "#EF553B", "#00CC96", "#AB63FA", "#FFA15A", "#19D3F3", "#FF6692", "#B6E880")
_INCH = 100  # pixels
_WIDTH, _HEIGHT = 860, 450  # of the plotted area, and of a figure that names none; in pixels
_AROUND, _LEAST = 90, 140  # pixels of a page's figure that are no plotted area; the least of it
_BETWEEN = 0.12  # inches
_DPI = 200
_SMALL, _NORMAL, _LARGE = 7.5, 9.4, 11.5  # points
_GREY = "#767676"
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "braindash",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names of models and subjects are no formulas
    "path.simplify": False,  # every point stays
    "font.family": "DejaVu Sans",
    "font.size": _NORMAL,
    "axes.labelsize": _NORMAL,
    "axes.unicode_minus": True,
}
# matplotlib's settings are those of the whole process; pages draw in several threads.
_DRAWING = threading.RLock()


@contextmanager
def drawing() -> Iterator[None]:
    """Hold the settings of figures that leave; one thread at a time."""
    settings: Any = dict(_STYLE)
    with _DRAWING, rc_context(settings):
        yield


def draw(figure: Any, source: Source) -> Figure:
    """Draw a plotly figure with matplotlib.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        As pages show it.
    source : Source
        Its line is written below the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Artists of trace ``n`` have the gid ``trace-n``, the axes ``panel-x-y``.

    Raises
    ------
    InputError
        It has a trace, a shape or an axis that is not drawn in files; the message names it.
    """
    traces = [one.to_plotly_json() for one in figure.data]
    shown = [one for one in traces if one.get("visible", True) is True]
    layout = figure.layout.to_plotly_json()
    notes = layout.get("annotations") or ()
    height = max(float(layout.get("height") or _HEIGHT) - _AROUND, _LEAST)
    with drawing():
        drawn = Figure(figsize=(_WIDTH / _INCH, height / _INCH), dpi=_INCH)
        canvas = FigureCanvasAgg(drawn)
        area = (0.0, 0.0, 1.0, 1.0)
        panels = add_panels(drawn, shown, layout, area)
        paper = drawn.add_axes(area, gid="paper", zorder=5)
        paper.set_axis_off()
        handles = _draw_traces(drawn, panels, traces)
        for number, one in enumerate(layout.get("shapes") or ()):
            add_shape(panels, paper, one, number)
        for panel in panels.values():
            finish_panel(panel, notes)
        match_ranges(panels.values())
        mark_zero(panels.values())
        for number, one in enumerate(notes):
            add_annotation(panels, paper, one, number)
        _write_around(canvas, paper, layout, _in_legend(traces, layout, handles), source)
    return drawn


def _draw_traces(
    figure: Figure, panels: Mapping[tuple[str, str], Panel], traces: Sequence[Mapping[str, Any]]
) -> list[Artist | None]:
    """Draw the traces in their order; give what stands for each in a legend."""
    handles: list[Artist | None] = []
    for number, trace in enumerate(traces):
        if trace.get("visible", True) is not True:
            handles.append(None)
            continue
        panel = panels[str(trace.get("xaxis", "x")), str(trace.get("yaxis", "y"))]
        colour = _COLOURS[number % len(_COLOURS)]
        artist = draw_trace(panel.axes, trace, number, colour, panel.places)
        if trace.get("type") == "heatmap":
            if trace.get("showscale") is not False:
                _add_scale(figure, panel.axes, artist, trace.get("colorbar") or {}, number)
            handles.append(None)
            continue
        handles.append(artist)
    return handles


def _add_scale(
    figure: Figure, axes: Axes, artist: Any, told: Mapping[str, Any], number: int
) -> None:
    """Draw the colour scale of a heat map to the right of its panel."""
    place = axes.get_position()
    width = float(told.get("thickness", 14)) / _WIDTH
    bar = figure.add_axes((place.x1 + 0.015, place.y0, width, place.height))
    scale = figure.colorbar(artist, cax=bar)
    title = told.get("title") or {}
    scale.set_label(plain(title.get("text") if isinstance(title, Mapping) else title))
    scale.outline.set_visible(False)
    bar.set_gid(f"scale-{number}")


def _in_legend(
    traces: Sequence[Mapping[str, Any]],
    layout: Mapping[str, Any],
    handles: Sequence[Artist | None],
) -> list[tuple[str, Artist]]:
    """Return what a legend lists, in its order; nothing where there is none."""
    listed = [
        (int(trace.get("legendrank", 1000)), plain(trace["name"]), handle)
        for trace, handle in zip(traces, handles, strict=True)
        if handle is not None and trace.get("name") and trace.get("showlegend") is not False
    ]
    asked = layout.get("showlegend")
    one_asks = any(trace.get("showlegend") for trace in traces)
    if not listed or asked is False or (asked is None and len(listed) < 2 and not one_asks):
        return []
    return [(name, handle) for _, name, handle in sorted(listed, key=lambda one: one[0])]


# ---- around the panels ----------------------------------------------------------------------


def _write_around(
    canvas: Any,
    paper: Axes,
    layout: Mapping[str, Any],
    listed: Sequence[tuple[str, Artist]],
    source: Source,
) -> None:
    """Write the title above; the legend and the line of provenance below what is drawn."""
    figure = canvas.figure
    size = figure.get_size_inches()

    drawn = figure.get_tightbbox(canvas.get_renderer())  # in inches
    notes = [str(one.get("text", "")) for one in layout.get("annotations") or ()]
    if source.simulated and not any(SIMULATED in one for one in notes):
        paper.annotate(
            SIMULATED,
            (1, 1),
            xytext=(0, 2),
            xycoords=paper.transAxes,
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=_GREY,
            fontsize=14 * POINTS,
        )
    title = layout.get("title") or {}
    shown = plain(title.get("text") if isinstance(title, Mapping) else title)
    if shown:
        top = (drawn.y1 + 2 * _BETWEEN * source.simulated + _BETWEEN) / size[1]
        figure.text(0, top, shown, fontsize=_LARGE, ha="left", va="bottom", gid="title")
    below = drawn.y0 - _BETWEEN
    if listed:
        legend = _add_legend(figure, canvas, listed, below / size[1])
        box = legend.get_window_extent(canvas.get_renderer())
        below = box.y0 / figure.dpi - _BETWEEN
    add_source(figure, source, (drawn.x0 / size[0], below / size[1]))


def _add_legend(
    figure: Figure, canvas: Any, listed: Sequence[tuple[str, Artist]], top: float
) -> Legend:
    """List the names in as many columns as are not wider than the figure."""
    names = [name for name, _ in listed]
    handles = [handle for _, handle in listed]
    widest = figure.get_size_inches()[0] * figure.dpi
    for columns in range(min(len(names), 8), 0, -1):
        legend = figure.legend(
            handles,
            names,
            loc="upper left",
            bbox_to_anchor=(0, top),
            borderaxespad=0,
            ncols=columns,
            frameon=False,
            handlelength=2.6,
        )
        legend.set_gid("legend")
        if columns == 1 or legend.get_window_extent(canvas.get_renderer()).width <= widest:
            break
        legend.remove()
    return legend


def add_source(figure: Figure, source: Source, place: tuple[float, float] = (0.0, -0.01)) -> None:
    """Write the line of provenance below a figure, in as many lines as it needs.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Changed in place.
    source : Source
        What is written.
    place : (float, float)
        Upper left corner, in shares of the figure.
    """
    width = figure.get_size_inches()[0] * (1 - place[0]) * 72 / (_SMALL * 0.56)
    lines = textwrap.fill(clean(source.stamped), max(40, int(width)))
    figure.text(*place, lines, fontsize=_SMALL, color=_GREY, ha="left", va="top", gid="source")


def figure_files(figure: Any, forms: Sequence[str], source: Source) -> dict[str, bytes]:
    """Draw a plotly figure once and write it in several formats.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        As pages show it.
    forms : sequence of {"svg", "pdf", "png"}
        Of the files.
    source : Source
        Where the numbers come from; the line stands in the figure, all of it in the metadata.

    Returns
    -------
    dict of str to bytes
        By format.
    """
    for form in forms:
        require_format(form)
    drawn = draw(figure, source)
    return {form: written(drawn, form, source) for form in forms}


def picture_files(
    make: Callable[[], Figure], forms: Sequence[str], source: Source
) -> dict[str, bytes]:
    """Write a figure that nilearn draws, such as a map, in several formats; and close it.

    Parameters
    ----------
    make : callable
        Draws it.
    forms, source
        As for :func:`figure_files`. In SVG and PDF the surface is a picture of 200 dots an inch:
        as single triangles it would be tens of megabytes.
    """
    from matplotlib import pyplot as plt
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    for form in forms:
        require_format(form)
    with drawing():
        drawn = make()
        try:
            for one in drawn.findobj(Poly3DCollection):
                one.set_rasterized(True)
            add_source(drawn, source)
            return {form: written(drawn, form, source) for form in forms}
        finally:
            plt.close(drawn)


def written(figure: Figure, form: str, source: Source) -> bytes:
    """Write a figure of matplotlib, with where it comes from."""
    buffer = BytesIO()
    with drawing():
        figure.savefig(
            buffer,
            format=form,
            dpi=_DPI,
            bbox_inches="tight",
            pad_inches=0.15,
            facecolor="white",
            metadata=dict(figure_metadata(source, form)),
        )
    return buffer.getvalue()


def require_format(form: str) -> None:
    """Refuse a format that is none of :data:`FORMATS`."""
    if form not in FORMATS:
        raise InputError(f"figures are not written as {form!r}", hint=near_match(form, FORMATS))
