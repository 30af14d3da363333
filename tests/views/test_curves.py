"""Layer curves: the drawn numbers are the table's numbers."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.viewer.colours import region_title
from braindash.views.curves import (
    AXIS_ROOM,
    LEGEND_ROOM,
    DepthAxis,
    difference_curves,
    key_regions,
    layer_curves,
    share_curves,
)
from braindash.views.targets import TargetCurve, target_curves

REGIONS = ["late_language", "primary_auditory"]


def made_table(n_layers=4, model="m", shift=0.0, simulated=True):
    rows = []
    for layer in range(n_layers):
        for region, peak in (("primary_auditory", 1), ("late_language", 3)):
            r = 0.5 - 0.1 * abs(layer - peak) + shift
            rows.append((layer, region, r, r / 0.8, 0.8, 10, 9, 6, model, simulated))
    columns = ["layer", "region", "r", "r_over_ceiling", "ceiling", "n_targets", "n_valid"]
    return pd.DataFrame(rows, columns=[*columns, "n_above_threshold", "model", "simulated"])


def with_ends(table, column="r"):
    return table.assign(low=table[column] - 0.05, high=table[column] + 0.03)


def lines(figure):
    """The traces with markers or dashes, without bands and legend entries."""
    return [trace for trace in figure.data if trace.customdata is not None]


def bands(figure):
    return [trace for trace in figure.data if trace.fill == "toself"]


def stamps(figure):
    return [note.text for note in figure.layout.annotations if note.text == "SIMULATED"]


@pytest.fixture
def table():
    return made_table()


@pytest.fixture
def differences():
    rows = [
        (layer, region, 0.01 * layer, 0.01 * layer - 0.02, 0.01 * layer + 0.02, *[np.nan] * 2, True)
        for layer in range(4)
        for region in REGIONS
    ]
    columns = ["layer", "region", "difference", "low", "high", "p", "p_holm", "simulated"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("score", ["r", "r_over_ceiling"])
def test_curves_draw_the_table(table, score):
    figure = layer_curves(table, ["late_language", "primary_auditory"], score=score)
    assert [trace.name for trace in figure.data] == ["Late language", "Primary auditory"]
    expected = table[table["region"] == "late_language"][score].to_numpy()
    np.testing.assert_array_equal(figure.data[0].y, expected)
    np.testing.assert_array_equal(figure.data[0].x, [0, 1, 2, 3])


def test_relative_depth_ends_at_one(table):
    figure = layer_curves(table, ["late_language"], score="r", relative_depth=True)
    np.testing.assert_allclose(figure.data[0].x, [0, 1 / 3, 2 / 3, 1])


def test_the_ceiling_is_a_line_at_its_value(table):
    raw = layer_curves(table, ["late_language"], score="r")
    assert [shape.y0 for shape in raw.layout.shapes] == [0.8]
    normalised = layer_curves(table, ["late_language"], score="r_over_ceiling")
    assert [shape.y0 for shape in normalised.layout.shapes] == [1.0]
    without = layer_curves(table, ["late_language"], score="r", show_ceiling=False)
    assert len(without.layout.shapes) == 0


def test_a_band_runs_along_the_upper_ends_and_back_along_the_lower(table):
    drawn = with_ends(table)
    figure = layer_curves(drawn, REGIONS, score="r")
    assert len(bands(figure)) == 2 and len(lines(figure)) == 2
    rows = drawn[drawn["region"] == "late_language"]
    expected = [*rows["high"], *rows["low"][::-1]]
    np.testing.assert_allclose(bands(figure)[0].y, expected)
    np.testing.assert_allclose(bands(figure)[0].x, [0, 1, 2, 3, 3, 2, 1, 0])
    assert not bands(layer_curves(drawn, REGIONS, score="r", show_intervals=False))
    assert not bands(layer_curves(table, REGIONS, score="r"))
    nothing = table.assign(low=np.nan, high=np.nan)
    assert not bands(layer_curves(nothing, REGIONS, score="r"))


def test_a_band_leaves_out_layers_without_an_interval(table):
    drawn = with_ends(table)
    drawn.loc[drawn["layer"] == 2, ["low", "high"]] = np.nan
    figure = layer_curves(drawn, ["late_language"], score="r")
    np.testing.assert_allclose(bands(figure)[0].x, [0, 1, 3, 3, 1, 0])
    assert np.isfinite(bands(figure)[0].y).all()


def test_a_second_model_is_dashed_and_named(table):
    other = made_table(model="tuned", shift=0.1, simulated=False)
    figure = layer_curves(table.assign(simulated=False), REGIONS, score="r", other=other)
    solid, dashed = lines(figure)[:2]
    assert dashed.line.dash == "dash" and solid.line.dash is None
    assert dashed.line.color == solid.line.color
    np.testing.assert_allclose(np.array(dashed.y) - solid.y, 0.1)
    assert {"A: m", "B: tuned"} <= {trace.name for trace in figure.data}
    # The page leads from a clicked point to its model by this mark.
    assert [set(trace.customdata[:, 5]) for trace in (solid, dashed)] == [{0}, {1}]
    assert not stamps(figure)
    assert stamps(layer_curves(other, REGIONS, score="r", other=table))


def test_models_of_other_depth_meet_at_relative_depth_one(table):
    other = made_table(n_layers=7)
    figure = layer_curves(table, REGIONS, score="r", other=other, relative_depth=True)
    solid, dashed = lines(figure)[:2]
    assert solid.x[-1] == dashed.x[-1] == 1 and len(dashed.x) == 7
    absolute = layer_curves(table, REGIONS, score="r", other=other)
    assert absolute.layout.xaxis.range[1] > 6


@pytest.mark.parametrize("relative", [False, True])
def test_a_model_of_one_layer_is_a_line_across_all_layers(table, relative):
    other = made_table(n_layers=1, model="sound")
    figure = layer_curves(table, REGIONS, score="r", other=other, relative_depth=relative)
    flat = lines(figure)[1]
    assert list(flat.x) == [0, 1 if relative else 3]
    expected = other[other["region"] == "late_language"]["r"].iloc[0]
    assert list(flat.y) == [expected, expected]


@pytest.mark.parametrize(("score", "count"), [("r", 9), ("r_over_ceiling", 6)])
def test_a_point_carries_its_layer_its_targets_and_its_interval(table, score, count):
    figure = layer_curves(with_ends(table, score), ["late_language"], score=score)
    trace = lines(figure)[0]
    for layer, point in enumerate(trace.customdata):
        value = trace.y[layer]
        np.testing.assert_allclose(point, [layer, count, count / 10, value - 0.05, value + 0.03, 0])


def test_a_difference_is_drawn_around_zero_with_its_band(differences):
    figure = difference_curves(differences, REGIONS, score="r")
    assert [shape.y0 for shape in figure.layout.shapes] == [0]
    assert len(bands(figure)) == 2
    rows = differences[differences["region"] == "late_language"]
    np.testing.assert_array_equal(lines(figure)[0].y, rows["difference"])
    assert "p =" not in lines(figure)[0].hovertemplate
    tested = difference_curves(differences.assign(p=0.03), REGIONS, score="r")
    assert "p = %{customdata[3]" in lines(tested)[0].hovertemplate
    np.testing.assert_allclose(lines(tested)[0].customdata[:, 3], 0.03)
    assert stamps(figure) and not stamps(
        difference_curves(differences.assign(simulated=False), REGIONS, score="r")
    )


def test_shares_are_drawn_with_and_without_intervals(differences):
    table = differences.rename(columns={"difference": "share"})
    figure = share_curves(table, REGIONS)
    assert len(bands(figure)) == 2 and stamps(figure)
    rows = table[table["region"] == "late_language"]
    np.testing.assert_array_equal(lines(figure)[0].y, rows["share"])
    bare = share_curves(table.drop(columns=["low", "high"]), REGIONS, relative_depth=True)
    assert not bands(bare) and lines(bare)[0].x[-1] == 1


def test_every_figure_shares_the_left_edge_of_its_plot(table, differences):
    figures = [
        layer_curves(table, REGIONS, score="r"),
        difference_curves(differences, REGIONS, score="r"),
    ]
    margins = {(one.layout.margin.l, one.layout.yaxis.automargin) for one in figures}
    assert len(margins) == 1 and margins.pop()[1] is False


def test_no_colour_is_a_placeholder_of_the_theme(table, differences):
    """Streamlit takes colours from #000001 on for places in its own list of colours."""
    curve = TargetCurve(np.array([0.1, 0.2]), "m", np.array([True, False]))
    figures = [
        layer_curves(with_ends(table), REGIONS, score="r", other=table),
        difference_curves(differences, REGIONS, score="r"),
        target_curves([curve], title="t", ceiling=0.5, score="r", simulated=True),
    ]
    for figure in figures:
        text = figure.update_layout(template=None).to_json()
        assert "#0072B2" in text and not re.search(r"#0000[0-9a-fA-F]{2}\b", text)


@given(st.integers(0, 48), st.booleans())
def test_layers_lie_between_the_ends_of_the_axis(last, relative):
    axis = DepthAxis(last, relative)
    places = axis.places(pd.Series(range(last + 1)), last)
    assert places[0] == 0 and (np.diff(places) > 0).all()
    assert places[-1] == (axis.end if last else 0)


def test_simulated_figures_are_stamped_and_real_ones_are_not(table):
    assert stamps(layer_curves(table, ["late_language"], score="r"))
    real = table.assign(simulated=False)
    assert not stamps(layer_curves(real, ["late_language"], score="r"))
    curve = TargetCurve(np.ones(3))
    assert stamps(target_curves([curve], title="t", ceiling=np.nan, score="r", simulated=True))


def test_the_usual_regions_come_first_and_others_where_there_are_none():
    assert key_regions(["all targets", "late_language", "primary_auditory"]) == [
        "primary_auditory",
        "late_language",
    ]
    assert key_regions(["all targets", "my_region"]) == ["all targets", "my_region"]


def test_region_titles_read_well():
    assert region_title("ifg_mfg") == "IFG / MFG"
    assert region_title("late_language") == "Late language"


def test_below_the_axes_there_is_room_for_a_legend_where_there_is_one():
    one, two = ["late_language"], ["late_language", "primary_auditory"]
    bare, named = (layer_curves(made_table(), regions, score="r") for regions in (one, two))
    without, room = (figure.layout.margin.b for figure in (bare, named))
    assert room - without == LEGEND_ROOM and without == AXIS_ROOM
