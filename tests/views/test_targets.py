"""One target's layer curves: the drawn numbers are the given ones."""

import numpy as np

from braindash.views.targets import TargetCurve, target_curves, target_table, target_title


def test_a_target_without_ceiling_has_no_line():
    values = np.array([0.1, np.nan, 0.3])
    options = {"title": "t", "score": "r", "simulated": False}
    with_line = target_curves([TargetCurve(values)], ceiling=0.7, **options)
    without = target_curves([TargetCurve(values)], ceiling=np.nan, **options)
    assert with_line.layout.shapes[0].y0 == 0.7 and len(without.layout.shapes) == 0
    np.testing.assert_array_equal(with_line.data[0].y, values)


def test_markers_of_a_target_are_filled_where_it_is_significant():
    values = np.array([0.1, 0.4, 0.3])
    curve = TargetCurve(values, "a", np.array([False, True, False]))
    untested = TargetCurve(values + 0.1, "b")
    figure = target_curves([curve, untested], title="t", ceiling=np.nan, score="r", simulated=False)
    assert list(figure.data[0].marker.symbol) == ["circle-open", "circle", "circle-open"]
    assert list(figure.data[0].customdata) == ["not significant", "significant", "not significant"]
    assert figure.data[1].marker.symbol == "circle" and figure.data[1].line.dash == "dash"
    assert [trace.name for trace in figure.data] == ["a", "b"] and figure.layout.showlegend


def test_the_values_of_a_target_stand_beside_each_other():
    a = TargetCurve(np.array([0.1, 0.2, 0.4]), "A: toy")
    b = TargetCurve(np.array([0.2, np.nan, 0.1]), "B: tuned")
    table = target_table([a, b])
    assert list(table) == ["A", "B", "A minus B"] and table.index[2] == "layer 2"
    np.testing.assert_allclose(table["A minus B"], [-0.1, np.nan, 0.3])
    other = target_table([a, TargetCurve(np.array([0.3, 0.1]), "B: small")])
    assert list(other) == ["A", "B"] and np.isnan(other["B"].iloc[2])


def test_a_vertex_is_named_by_its_hemisphere_and_its_regions():
    masks = {"all targets": np.ones(10, bool), "ifg_mfg": np.arange(10) == 7}
    masks["late_language"] = np.arange(10) > 5
    assert target_title(2, masks) == "left vertex 2 · no named region"
    assert target_title(7, masks) == "right vertex 2 · IFG / MFG, Late language"
