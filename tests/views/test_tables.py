"""Tables: the written numbers are the table's numbers, and what is marked deserves it."""

import numpy as np
import pandas as pd
import pytest

from braindash.encoding.several.comparison import LayerPairs
from braindash.views.tables import (
    LAST_IS_BEST,
    NOTHING,
    StageSide,
    difference_by_layer,
    download_table,
    pair_cells,
    pair_table,
    score_by_layer,
    stage_table,
    with_interval,
)

REGIONS = ["late_language", "primary_auditory"]


@pytest.fixture
def table():
    rows = []
    for layer in range(4):
        for region, peak in (("primary_auditory", 1), ("late_language", 3)):
            r = 0.5 - 0.1 * abs(layer - peak)
            rows.append((layer, region, r, r - 0.1, r + 0.05, np.nan, np.nan, r))
    columns = ["layer", "region", "r", "low", "high", "p", "p_holm", "difference"]
    return pd.DataFrame(rows, columns=columns)


def marked(styler):
    """Places of the marked cells, (row, column)."""
    styler._compute()
    return sorted(place for place, styles in styler.ctx.items() if styles)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.3124, 0.28, 0.344), "0.312 [0.280, 0.344]"),
        ((0.3124, np.nan, np.nan), "0.312"),
        ((np.nan, 0.1, 0.2), NOTHING),
        ((-0.01, -0.02, 0.0), "-0.010 [-0.020, 0.000]"),
    ],
)
def test_an_estimate_is_written_with_its_interval(numbers, text):
    assert with_interval(*numbers) == text


def test_scores_have_a_row_per_layer_and_the_best_is_marked(table):
    styler = score_by_layer(table, REGIONS, "r")
    texts = styler.data
    assert list(texts.columns) == ["Late language", "Primary auditory"]
    assert list(texts.index) == [f"layer {layer}" for layer in range(4)]
    assert texts.loc["layer 3", "Late language"] == "0.500 [0.400, 0.550]"
    assert texts.loc["layer 0", "Primary auditory"] == "0.400 [0.300, 0.450]"
    assert marked(styler) == [(1, 1), (3, 0)]


def test_the_coverage_of_every_region_stands_under_its_means(table):
    counted = table.assign(
        n_targets=[200, 10] * 4, n_valid=[150, 10] * 4, n_above_threshold=[20, 0] * 4
    ).rename(columns={"r": "r"})
    styler = score_by_layer(counted, REGIONS, "r")
    row = styler.data.loc["coverage"]
    names = dict(zip(counted["region"][:2], ["75%", "100%"], strict=True))
    titles = {"late_language": "Late language", "primary_auditory": "Primary auditory"}
    assert {titles[name]: share for name, share in names.items()} == dict(row)
    assert marked(styler) == [(1, 1), (3, 0)]
    normalised = score_by_layer(
        counted.assign(r_over_ceiling=counted["r"]), REGIONS, "r_over_ceiling"
    )
    assert set(normalised.data.loc["coverage"]) == {"10%", "0%"}


def test_a_table_without_any_score_marks_nothing(table):
    styler = score_by_layer(table.assign(r=np.nan), REGIONS, "r")
    assert (styler.data == NOTHING).all(axis=None) and not marked(styler)


def test_scores_without_intervals_stand_alone(table):
    texts = score_by_layer(table.drop(columns=["low", "high"]), REGIONS, "r").data
    assert texts.loc["layer 3", "Late language"] == "0.500"


def test_differences_are_signed_and_marked_when_their_interval_leaves_zero_out(table):
    table = table.assign(difference=[0.1, -0.1] * 4, low=[0.05, -0.2] * 4, high=[0.2, 0.01] * 4)
    styler = difference_by_layer(table, ["primary_auditory", "late_language"])
    assert styler.data.iloc[0].tolist() == ["+0.100 [+0.050, +0.200]", "-0.100 [-0.200, +0.010]"]
    assert marked(styler) == [(layer, 0) for layer in range(4)]
    below = table.assign(high=-0.01)
    assert (2, 1) in marked(difference_by_layer(below, ["primary_auditory", "late_language"]))


def test_p_values_are_written_where_there_are_any(table):
    table.loc[0, ["p", "p_holm"]] = 0.03125, 0.125
    texts = difference_by_layer(table, ["primary_auditory"]).data
    assert texts.iloc[0, 0].endswith("], p = 0.0312 (adjusted 0.125)")
    assert "p =" not in texts.iloc[1, 0]


def made_stages(weighted, preferred, drop, name="estimate"):
    values = {"weighted_depth": weighted, "preferred_depth": preferred, "late_layer_drop": drop}
    rows = [
        (quantity, region, value, value - 0.25, value + 0.25)
        for quantity, value in values.items()
        for region in REGIONS
    ]
    return pd.DataFrame(rows, columns=["quantity", "name", name, "low", "high"])


def test_stages_show_layers_for_a_model_and_depths_for_a_difference():
    a = StageSide("a", made_stages(0.5, 0.75, 0.1), 12)
    b = StageSide("b", made_stages(0.25, 0.25, 0.0), 4)
    difference = made_stages(0.25, 0.5, 0.1, "difference")
    table = stage_table([a, b], REGIONS, difference)
    assert list(table["", "region"]) == ["Late language", "Primary auditory"]
    late = table.iloc[0]
    sides = late["preferred layer"]
    assert list(sides.index) == ["a", "b", "A minus B"], "side by side"
    assert list(sides) == ["9 [6, 12]", "1 [0, 2]", "+0.50 [+0.25, +0.75]"]
    assert late["score-weighted depth", "A minus B"] == "+0.25 [+0.00, +0.50]"
    assert late["late-layer drop", "a"] == "0.100 [-0.150, 0.350]"
    assert late["late-layer drop", "b"] == LAST_IS_BEST
    alone = stage_table([a], ["late_language"])
    assert len(alone) == 1 and list(alone)[:2] == ["region", "score-weighted depth"]


def test_a_quantity_that_is_not_defined_is_no_number():
    table = stage_table([StageSide("a", made_stages(np.nan, np.nan, np.nan), 4)], REGIONS)
    assert (table.drop(columns="region") == NOTHING).all(axis=None)


def test_a_download_says_what_its_intervals_are(table):
    both = download_table([table, table], "r", "repeats", "95 % intervals: made up")
    assert len(both) == 2 * len(table)
    np.testing.assert_array_equal(both["low"][: len(table)], table["low"])
    assert set(both["interval_of"]) == {"r"} and set(both["ceiling_name"]) == {"repeats"}
    assert set(both["interval"]) == {"95 % intervals: made up"}
    assert set(both["ceiling_bias"]) == {""}
    told = download_table(
        [table, table], "r", "repeats", "made up", ["2 of 5 above", "3 of 5 above"]
    )
    lines = ["2 of 5 above"] * len(table) + ["3 of 5 above"] * len(table)
    assert told["ceiling_bias"].tolist() == lines


def test_hiding_a_region_adjusts_no_p_anew(table):
    """The family is all regions and layers, never what happens to be shown."""
    tested = table.assign(p=np.linspace(0.001, 0.3, len(table)))
    tested = tested.assign(p_holm=np.minimum(1, tested["p"] * len(table)))
    both = difference_by_layer(tested, REGIONS).data
    for region, shown in (
        ("late_language", "Late language"),
        ("primary_auditory", "Primary auditory"),
    ):
        alone = difference_by_layer(tested, [region]).data
        assert alone[shown].tolist() == both[shown].tolist()
        assert all("adjusted" in cell for cell in alone[shown])


def test_the_pair_table_takes_the_chosen_layers():
    rng = np.random.default_rng(0)
    parts = rng.uniform(size=(7, 3, 2, 2))
    pairs = LayerPairs(("all targets", "late_language"), *parts)
    means = [rng.normal(size=(3, 2)), rng.normal(size=(2, 2))]
    table = pair_table(pairs, means, (2, 1), 6)
    assert list(table["region"]) == ["All targets", "Late language"]
    np.testing.assert_array_equal(table["a"], means[0][2])
    np.testing.assert_array_equal(table["b"], means[1][1])
    names = ("difference", "low", "high", "p", "p_signs", "p_ranks", "p_boot")
    for name, part in zip(names, parts, strict=True):
        np.testing.assert_array_equal(table[name], part[2, 1])
    np.testing.assert_array_equal(table["p_holm"], pairs.p_holm((2, 1)))
    assert set(table["layer_a"]) == {2} and set(table["layer_b"]) == {1}
    assert set(table["n_subjects"]) == {6}


def test_sure_differences_of_a_pair_are_marked_and_p_is_shown_where_there_is_one():
    table = pd.DataFrame(
        {
            "region": ["One", "Two"],
            "a": [0.3, 0.1],
            "b": [0.1, np.nan],
            "difference": [0.2, np.nan],
            "low": [0.1, np.nan],
            "high": [0.3, np.nan],
            "p": [0.031, np.nan],
            "p_holm": [0.062, np.nan],
            "p_signs": [0.25, np.nan],
            "p_ranks": [0.26, np.nan],
            "p_boot": [0.27, np.nan],
        }
    )
    cells = pair_cells(table)
    assert list(cells.data["A minus B"]) == ["+0.200 [+0.100, +0.300]", "-"]
    assert list(cells.data["p"]) == ["0.031", "-"]
    assert list(cells.data["adjusted p"]) == ["0.062", "-"]
    assert list(cells.data["p (sign flips)"]) == ["0.25", "-"]
    assert cells.to_html().count("background-color") == 1
    assert not {"p", "p (sign flips)"} & set(pair_cells(table.assign(p=np.nan)).data)
