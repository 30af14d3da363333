"""Layer curves and tables: the drawn numbers are the table's numbers."""

import numpy as np
import pandas as pd
import pytest

from braindash.views.curves import layer_curves, region_title, target_curve
from braindash.views.tables import region_by_layer


@pytest.fixture
def table():
    rows = []
    for layer in range(4):
        for region, peak in (("primary_auditory", 1), ("late_language", 3)):
            r = 0.5 - 0.1 * abs(layer - peak)
            rows.append((layer, region, r, r / 0.8, 0.8, 10, 9, 0.9, "m", "S1", True))
    columns = ["layer", "region", "r", "r_over_ceiling", "ceiling", "n_targets", "n_valid"]
    return pd.DataFrame(rows, columns=[*columns, "coverage", "model", "subject", "simulated"])


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


def test_simulated_figures_are_stamped_and_real_ones_are_not(table):
    def stamps(figure):
        return [note.text for note in figure.layout.annotations if note.text == "SIMULATED"]

    assert stamps(layer_curves(table, ["late_language"], score="r"))
    real = table.assign(simulated=False)
    assert not stamps(layer_curves(real, ["late_language"], score="r"))
    curve = target_curve(np.ones(3), title="t", ceiling=np.nan, score="r", simulated=True)
    assert stamps(curve)


def test_a_target_without_ceiling_has_no_line():
    values = np.array([0.1, np.nan, 0.3])
    with_line = target_curve(values, title="t", ceiling=0.7, score="r", simulated=False)
    without = target_curve(values, title="t", ceiling=np.nan, score="r", simulated=False)
    assert with_line.layout.shapes[0].y0 == 0.7 and len(without.layout.shapes) == 0
    np.testing.assert_array_equal(with_line.data[0].y, values)


def test_the_wide_table_names_the_best_layer(table):
    wide = region_by_layer(table, ["primary_auditory", "late_language"], "r")
    assert list(wide.index) == ["Primary auditory", "Late language"]
    assert list(wide["best layer"]) == [1, 3]
    assert wide.loc["Late language", "layer 3"] == 0.5


def test_a_table_without_any_score_has_no_best_layer(table):
    wide = region_by_layer(table.assign(r=np.nan), ["late_language"], "r")
    assert "best layer" not in wide


def test_region_titles_read_well():
    assert region_title("ifg_mfg") == "IFG / MFG"
    assert region_title("late_language") == "Late language"
