"""Scatters: every target once, honest counts, a sample that says so; models with their names."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from braindash.views.scatter import MOST_POINTS, target_scatter
from braindash.views.studies.matrices import similarity_matrices
from braindash.views.studies.points import alignment_scatter, apart

TITLES = ("A, layer 1 · Pearson r", "B, layer 2 · Pearson r")


def points(figure):
    return [trace for trace in figure.data if trace.mode == "markers"]


def made(n_targets, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 0.5, (2, n_targets))
    a[:3] = np.nan
    b[3:5] = np.nan
    return a, b


def test_every_target_is_drawn_once_in_the_first_region_that_has_it():
    a, b = made(100)
    masks = {"all targets": np.ones(100, bool), "one": np.arange(100) < 40}
    masks["two"] = (np.arange(100) >= 30) & (np.arange(100) < 60)
    figure, note = target_scatter(a, b, masks, ["one", "two"], titles=TITLES, simulated=True)
    rest, one, two = points(figure)
    assert sorted(np.concatenate([rest.customdata, one.customdata, two.customdata])) == list(
        range(5, 100)
    )
    assert set(one.customdata) == set(range(5, 40)) and set(two.customdata) == set(range(40, 60))
    np.testing.assert_array_equal(two.x, a[40:60])
    np.testing.assert_array_equal(two.y, b[40:60])
    share = (a[5:40] > b[5:40]).mean()
    assert one.name == f"One: 35, A higher in {share:.0%}"
    assert note.startswith("95 targets with both scores.") and "drawn" not in note
    assert "SIMULATED" in [one.text for one in figure.layout.annotations]
    assert figure.layout.xaxis.title.text == TITLES[0]


def test_large_regions_are_sampled_and_it_says_so():
    count = 3 * MOST_POINTS
    a, b = made(count)
    masks = {"big": np.arange(count) < 2 * MOST_POINTS}
    figure, note = target_scatter(a, b, masks, ["big"], titles=TITLES, simulated=False)
    rest, big = points(figure)
    assert len(big.x) == MOST_POINTS == len(rest.x)
    assert np.unique(big.customdata).size == MOST_POINTS
    assert big.name.startswith(f"Big: {2 * MOST_POINTS - 5:,}, ")
    assert f"{2 * MOST_POINTS:,} are drawn: at most {MOST_POINTS} of each region, at random" in note
    again, _ = target_scatter(a, b, masks, ["big"], titles=TITLES, simulated=False)
    assert again == figure, "the same sample every time"
    assert not figure.layout.annotations


def test_the_identity_line_spans_both_axes():
    a, b = np.array([-0.2, 0.1]), np.array([0.3, 0.6])
    figure, _ = target_scatter(a, b, {}, [], titles=TITLES, simulated=False)
    [line] = [trace for trace in figure.data if trace.mode == "lines"]
    assert list(line.x) == list(line.y) == list(figure.layout.xaxis.range)
    assert line.x[0] < -0.2 and line.x[1] > 0.6
    assert figure.layout.yaxis.scaleanchor == "x"


@pytest.mark.parametrize("count", [0, 4])
def test_targets_without_scores_leave_an_empty_figure(count):
    nothing = np.full(count, np.nan)
    figure, note = target_scatter(nothing, nothing, {}, [], titles=TITLES, simulated=False)
    assert not points(figure) and note.startswith("0 targets")


# ---- models ---------------------------------------------------------------------------------

REGIONS = ("late_language", "primary_auditory", "early_visual")


def many_models(n_regions):
    """Twelve models with long names, nine of one size, whose scores are nearly the same."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": f"a model of a lab, number {number}",
            "role": "control" if number % 3 else "base",
            "region": region,
            "measure": "r",
            "alignment": (at := 0.2 + 0.1 * place + rng.normal(0, 0.004)),
            "low": at - 0.02,
            "high": at + 0.02,
            "parameters": 95e6 if number < 9 else 3.1e8,
            "probe": 0.6 + 0.001 * (number % 3),
            "simulated": True,
        }
        for place, region in enumerate(REGIONS[:n_regions])
        for number in range(12)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("n_regions", [1, 2, 3])
@pytest.mark.parametrize("against", ["parameters", "probe"])
def test_names_of_twelve_models_that_are_alike_stand_on_nothing(against, n_regions):
    table = many_models(n_regions)
    figure = alignment_scatter(table, REGIONS[:n_regions], against=against)
    names = set(table["model"])
    for place in range(n_regions):
        own = "" if place == 0 else str(place + 1)
        x, y = (getattr(figure.layout, f"{way}axis{own}") for way in "xy")
        written = [
            one for one in figure.layout.annotations if one.xref == f"x{own}" and one.text in names
        ]
        assert len(written) == 12
        heights = np.sort([one.y for one in written])
        pixels = (figure.layout.height - 110) * (y.domain[1] - y.domain[0])
        line = 12 / pixels * (y.range[1] - y.range[0])
        assert (np.diff(heights) > line).all(), "no name on another"
        assert heights[0] > y.range[0] and heights[-1] < y.range[1]
        drawn = [one for one in figure.data if one.xaxis == f"x{own}"]
        across = np.array([one.x[0] for one in drawn])
        assert all(one.xanchor == "left" and one.x > across.max() for one in written)
        assert across.max() < x.range[1] and across.min() > x.range[0]
        if against == "parameters":
            assert len(set(across)) == 12, "nor a point, with its interval, on one of its size"
        else:
            assert set(across) == set(table["probe"]), "scores stand where they are"
        lines = [one for one in figure.layout.shapes if one.xref == f"x{own}"]
        ends = {(one.x0, one.y0): one.y1 for one in lines}
        for one in drawn:
            (name,) = [name for name in written if name.text == one.name]
            assert ends[one.x[0], one.y[0]] == name.y, "each with a line to its own point"


def test_places_are_moved_as_little_as_can_be():
    rng = np.random.default_rng(1)
    for ends in ((-1.0, 2.0), (0.0, 1.0)):
        places, gap = np.sort(rng.uniform(0, 1, 7) ** 3), 0.12
        found = apart(places, ends, gap)
        assert (np.diff(found) > gap - 1e-9).all()
        assert found[0] >= ends[0] - 1e-9 and found[-1] <= ends[1] + 1e-9
        limits = [
            {"type": "ineq", "fun": lambda at, gap=gap: np.diff(at) - gap},
            {"type": "ineq", "fun": lambda at, low=ends[0]: at[0] - low},
            {"type": "ineq", "fun": lambda at, high=ends[1]: high - at[-1]},
        ]
        start = np.linspace(*ends, 7)
        best = minimize(lambda at, to=places: ((at - to) ** 2).sum(), start, constraints=limits)
        np.testing.assert_allclose(found, best.x, atol=2e-3)
    crowded = apart(np.zeros(5), (0.0, 1.0), 0.5)
    assert (np.diff(crowded) > 0).all() and crowded[-1] <= 1, "closer where there is no room"
    assert not len(apart(np.array([]), (0.0, 1.0), 0.1))


def test_titles_of_pairs_with_long_names_stay_over_their_panels():
    pairs = [
        ("a tuned model, adapters, 16 h", "another model of a lab, base"),
        ("a", "another model of a laboratory, large"),
        ("tuned", "base"),
    ]
    parts = [
        pd.DataFrame({"layer_a": [0, 1], "layer_b": [0, 1], "cka": [1.0, 0.5]}).assign(
            model_a=a, model_b=b, simulated=False
        )
        for a, b in [*pairs, (pairs[0][0], pairs[0][0])]
    ]
    figure = similarity_matrices(pd.concat(parts))
    titles = [one.text for one in figure.layout.annotations]
    assert all(len(one) <= 36 for one in titles)
    assert titles[0].startswith("a tuned model,") and " and another model" in titles[0]
    assert titles[1].startswith("a and another model of a lab")
    assert titles[2] == "tuned and base" and titles[3] == pairs[0][0]
    for one, (a, b) in zip(figure.data, pairs, strict=False):
        assert one.name == f"{a} and {b}" and a in one.hovertemplate and b in one.hovertemplate
