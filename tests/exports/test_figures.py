"""Every figure of the pages as a file: the numbers that are drawn are those of the page."""

import inspect
import json
import pkgutil
import re
import xml.etree.ElementTree as ET
import zlib
from importlib import import_module
from io import BytesIO

import numpy as np
import plotly.graph_objects as go
import pytest
from kit.results.figures import MADE, ODD, figure
from kit.site.drawn_svg import SVG, by_id, points_of, scale_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import braindash.views
from braindash.errors import InputError
from braindash.exports.figures import draw, figure_files
from braindash.exports.source import Source
from braindash.exports.traces import Categories

SOURCE = Source(
    "Scores <b>by layer</b>",
    f"made up · {ODD} · subject S/1 · key 0123abcd",
    ("delays 1 to 4", "alphas 1 to 100"),
    ("0123abcd" * 4,),
    True,
)


def artists(drawn, gid):
    return [one for one in drawn.findobj() if one.get_gid() == gid]


def numbers(values):
    """Numbers, and names by their places, as an axis has them."""
    return Categories().numbers(values)


def test_every_function_of_views_that_makes_a_figure_is_tried():
    makers = set()
    for found in pkgutil.walk_packages(braindash.views.__path__, "braindash.views."):
        module = import_module(found.name)
        for name, one in inspect.getmembers(module, inspect.isfunction):
            own = one.__module__ == module.__name__ and not name.startswith("_")
            takes = "figure" in inspect.signature(one).parameters
            returned = str(one.__annotations__.get("return", ""))
            if own and not takes and "plotly" in returned and "Figure" in returned:
                makers.add(name)
    makers.remove("panels")  # empty ones, for others to draw in
    assert len(makers) >= 10
    assert makers == {name.split(" ")[0] for name in MADE}


@pytest.mark.parametrize("name", MADE)
def test_what_is_drawn_is_what_the_page_shows(name):
    shown = figure(name)
    drawn = draw(shown, SOURCE)
    for number, trace in enumerate(shown.data):
        if trace.type == "bar":
            check_bars(trace, artists(drawn, f"trace-{number}"))
            continue
        [artist] = artists(drawn, f"trace-{number}")
        if trace.type == "heatmap":
            z = np.asarray(trace.z, dtype=float)
            np.testing.assert_array_equal(
                np.ma.filled(artist.get_array(), np.nan).reshape(z.shape), z
            )
            assert artist.get_clim() == (trace.zmin, trace.zmax)
            continue
        x = artist.get_xy()[:-1, 0] if trace.fill else artist.get_xdata()
        y = artist.get_xy()[:-1, 1] if trace.fill else artist.get_ydata()
        place = numbers(trace.y)
        if name.startswith(("heat_map", "difference_map")):  # dots in rows that have names
            place = [list(shown.data[0].y).index(one) for one in trace.y]
        np.testing.assert_array_equal(np.asarray(x, float), numbers(trace.x))
        np.testing.assert_array_equal(np.asarray(y, float), place)
    check_axes(shown, drawn)
    check_words(shown, drawn)


def check_bars(trace, drawn):
    """Bars stand where they stand on the page, from 0 to their numbers."""
    heights = [one.get_height() for one in drawn]
    np.testing.assert_array_equal(heights, np.nan_to_num(np.asarray(trace.y, float)))
    middles = [one.get_x() + one.get_width() / 2 for one in drawn]
    np.testing.assert_allclose(middles, np.asarray(trace.x, float))
    assert {round(one.get_width(), 9) for one in drawn} == {round(trace.width, 9)}
    assert {one.get_y() for one in drawn} == {0}


def check_axes(shown, drawn):
    """Ranges that the page sets are set; matching axes share theirs; no title is lost."""
    panels = [one for one in drawn.axes if str(one.get_gid()).startswith("panel-")]
    for axes in panels:
        for told, name in zip(axes.get_gid().split("-")[1:], "xy", strict=True):
            axis = shown.layout[f"{told[0]}axis{told[1:]}"]
            if axis.range is not None:
                np.testing.assert_allclose(getattr(axes, f"get_{name}lim")(), axis.range)
            assert getattr(axes, f"get_{name}label")() == (axis.title.text or "")
            if axis.matches:
                limits = {getattr(one, f"get_{name}lim")() for one in panels}
                assert len(limits) == 1


def check_words(shown, drawn):
    """Annotations, names of the legend, reference lines and the source are there."""
    texts = [one.get_text() for one in drawn.findobj(lambda one: hasattr(one, "get_text"))]
    for note in shown.layout.annotations:
        assert re.sub("</?b>", "", note.text) in texts
    assert any("SIMULATED" in one for one in texts)
    if shown.layout.showlegend is not False:
        lines = [one for one in shown.data if one.type != "heatmap"]  # which has no legend
        named = [one.name for one in lines if one.name and one.showlegend is not False]
        assert len(named) < 2 or set(named) <= set(texts)
    for number, shape in enumerate(shown.layout.shapes):
        [artist] = artists(drawn, f"shape-{number}")
        known = artist.get_ydata() if shape.type == "line" else [artist.get_y()]
        assert known[0] == shape.y0
    [source] = artists(drawn, "source")
    assert " ".join(source.get_text().split()) == SOURCE.stamped


def test_the_points_of_an_svg_are_the_numbers_of_the_page():
    """Read the file alone: its ticks say what its coordinates mean."""
    shown = figure("layer_curves")
    ids = by_id(figure_files(shown, ["svg"], SOURCE)["svg"])
    scales = [scale_of(ids["panel-x-y"], name) for name in ("xtick", "ytick")]
    curves = [n for n, one in enumerate(shown.data) if one.mode == "lines+markers"]
    assert len(curves) == 2
    for number in curves:
        pixels = points_of(ids, number)
        trace = shown.data[number]
        known = np.isfinite(np.asarray(trace.y, float))
        for way, expected in enumerate((trace.x, trace.y)):
            slope, start = scales[way]
            found = pixels[:, way] * slope + start
            np.testing.assert_allclose(found, np.asarray(expected, float)[known], atol=2e-4)


def test_text_stays_text_and_markup_is_no_markup():
    content = figure_files(figure("target_curves"), ["svg"], SOURCE)["svg"]
    root = ET.fromstring(content)
    texts = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
    assert ODD in texts and f"B: {ODD}" in texts  # title and legend, letter by letter
    assert b"<script" not in content
    assert "SIMULATED" in texts and any("SIMULATED DATA" in one for one in texts)
    told = json.loads(next(one.text for one in root.iter() if one.tag.endswith("}description")))
    assert told == SOURCE.document() and told["simulated"] is True
    assert content == figure_files(figure("target_curves"), ["svg"], SOURCE)["svg"], (
        "the same bytes"
    )


def test_a_pdf_holds_letters_and_its_source():
    content = figure_files(figure("layer_curves"), ["pdf"], SOURCE)["pdf"]
    assert (
        content.startswith(b"%PDF") and b"/FontFile2" in content and b"/CreationDate" not in content
    )
    assert b"Scores <b>by layer</b>" in content
    assert SOURCE.keys[0].encode("utf-16-be") in content, "all of the source is in the keywords"
    streams = [
        zlib.decompress(one)
        for one in re.findall(rb"stream\r?\n(x.*?)\r?\nendstream", content, re.DOTALL)
    ]
    assert any(b"BT" in one and (b"Tj" in one or b"TJ" in one) for one in streams), (
        "text, no outlines"
    )


def test_a_png_opens_and_holds_its_source():
    image = Image.open(BytesIO(figure_files(figure("heat_map"), ["png"], SOURCE)["png"]))
    image.load()
    assert image.width > 1000
    assert json.loads(image.text["braindash"]) == SOURCE.document()
    assert image.text["Description"].startswith("SIMULATED DATA")


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (go.Figure(go.Pie(values=[1])), "pie"),
        (go.Figure(go.Bar(x=[1], y=[2], orientation="h")), "orientation 'h'"),
        (go.Figure(go.Bar(x=[1], y=[2], width=[0.5])), "a width for each"),
        (go.Figure(go.Scatter(x=[1], y=[2], fill="tozeroy")), "tozeroy"),
        (go.Figure(go.Scatter(x=[1], y=[2], mode="text")), "text"),
        (go.Figure(go.Scatter(x=[1], y=[2], mode="markers", marker_symbol="star")), "star"),
        (go.Figure(layout={"shapes": [{"type": "circle", "x0": 0, "x1": 1, "y0": 0, "y1": 1}]}),
         "circle"),
        (go.Figure(layout={"xaxis": {"type": "date"}}), "date"),
        (go.Figure(go.Heatmap(z=[[1]], colorscale=None)), "None"),
    ],
)  # fmt: skip
def test_what_files_cannot_draw_is_named(made, named):
    with pytest.raises(InputError, match=named):
        draw(made, SOURCE)


def test_a_format_that_is_none_is_refused():
    with pytest.raises(InputError, match="jpeg"):
        figure_files(figure("layer_curves"), ["jpeg"], SOURCE)["jpeg"]


def test_axes_may_be_logarithmic_reversed_and_hold_names_and_error_bars():
    shown = go.Figure(
        go.Scatter(
            x=["a", "b", "c"],
            y=[1, 10, 100],
            # The last interval lies above its value.
            error_y={"array": [0.5, 1, 5], "arrayminus": [0.1, 2, -3]},
        ),
        {"yaxis": {"type": "log"}, "xaxis": {"autorange": "reversed"}},
    )
    drawn = draw(shown, SOURCE)
    axes = next(one for one in drawn.axes if one.get_gid() == "panel-x-y")
    assert axes.get_yscale() == "log" and axes.xaxis_inverted()
    FigureCanvasAgg(drawn).draw()
    assert [one.get_text() for one in axes.get_xticklabels()] == ["a", "b", "c"]
    [bars] = artists(drawn, "trace-0-error-y")
    ends = [(segment[0][1], segment[1][1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [(0.9, 1.5), (8, 11), (103, 105)])
