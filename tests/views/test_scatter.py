"""The scatter of targets: every target once, honest counts, a sample that says so."""

import numpy as np
import pytest

from braindash.views.scatter import MOST_POINTS, target_scatter

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
