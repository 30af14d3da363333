"""Figures and tables of probing results."""

import numpy as np
import pytest
from kit.results.made_up_probing import TASKS, made_up_probing

from braindash.core.statistics.bootstrap import interval
from braindash.probing.result import probing_difference
from braindash.probing.tasks import PROBE_TASKS, STAGES, find_task, possible_tasks
from braindash.viewer.colours import GREY
from braindash.views.probes import (
    SCALES,
    depth_curves,
    depth_table,
    difference_map,
    heat_map,
    hierarchy_line,
    probe_curves,
)


@pytest.fixture
def result():
    return made_up_probing()


@pytest.mark.parametrize("scale", list(SCALES))
def test_a_heat_map_marks_the_best_layer_of_each_task(result, scale):
    figure = heat_map(result.table(), result.tasks, scale=scale)
    cells, best = figure.data
    assert np.shape(cells.z) == (len(TASKS), 4) and cells.colorbar.title.text == SCALES[scale]
    expected = [int(np.argmax(result.score(task))) for task in TASKS]
    assert list(best.x) == expected
    told = cells.customdata[1][2]
    assert told[0] == pytest.approx(result.score("mfcc")[2]) and told[4] == 2
    assert told[2] == pytest.approx(result.chance("mfcc")[2])
    row = result.table().set_index(["task", "layer"]).loc[("mfcc", 2)]
    assert told[1] == f" [{row['low']:.3f}, {row['high']:.3f}]"
    bare = heat_map(result.table().assign(low=np.nan), result.tasks, scale=scale).data[0]
    assert bare.customdata[1][2][1] == "", "no interval is no text"
    if scale == "z":
        assert cells.zmin == -cells.zmax
    assert figure.layout.annotations[0].text == "SIMULATED"


def test_a_task_that_is_flat_has_no_z(result):
    table = result.table()
    table.loc[table["task"] == "phone", "score"] = 0.5
    cells = heat_map(table, result.tasks, scale="z").data[0]
    np.testing.assert_array_equal(cells.z[TASKS.index("phone")], 0)


def test_relative_depth_puts_the_last_layers_of_two_models_together(result):
    other = made_up_probing(model="deeper", n_layers=9)
    figure = probe_curves(result, "phone", controls=[other], relative_depth=True)
    curves = [trace for trace in figure.data if trace.name in ("toy-model", "deeper")]
    assert [trace.x[-1] for trace in curves] == [1.0, 1.0]
    assert [len(trace.x) for trace in curves] == [4, 9]


def test_curves_without_shuffles_or_intervals_leave_them_out(result):
    result.dataset["chance_shuffled"][:] = np.nan
    result.dataset["low"][:] = np.nan
    figure = probe_curves(result, "phone")
    assert [trace.name for trace in figure.data] == ["toy-model", "chance: one answer for all"]


def test_shares_above_chance_are_drawn_task_by_task(result):
    figure = depth_curves(result.table(), ["mfcc", "word"])
    assert [trace.name for trace in figure.data] == ["MFCC", "Word identity"]
    np.testing.assert_allclose(figure.data[1].y, result.above_chance("word"))


def test_a_difference_has_dots_where_its_interval_does_not_hold_0(result):
    other = made_up_probing(model="other", draw=1)
    table = probing_difference(result, other)
    samples = result.samples("word") - other.samples("word")
    low, high = interval(samples, n_units=12)
    own = table[table["task"] == "word"]
    np.testing.assert_allclose(own[["low", "high"]], np.stack([low, high], axis=1))
    table.loc[table.index[0], ["difference", "low", "high"]] = 0.3, 0.2, 0.4
    table.loc[table.index[1:], ["low", "high"]] = -1.0, 1.0
    cells, dots = difference_map(table, TASKS).data
    assert cells.zmax == -cells.zmin >= 0.3
    assert list(dots.x) == [0] and list(dots.y) == ["Energy"]


def test_other_models_have_colours_and_controls_are_grey(result):
    others = [made_up_probing(model=name) for name in ("untrained:toy@0", "tuned")]
    traces = {trace.name: trace for trace in probe_curves(result, "phone", controls=others).data}
    assert traces["untrained:toy@0"].line.color == GREY != traces["tuned"].line.color


def test_the_depth_table_has_layers_and_intervals(result):
    stages = result.stages()
    table = depth_table(stages, result).set_index("task")
    row = stages.set_index(["quantity", "name"]).loc[("preferred_depth", "category")]
    assert table.loc["Semantic category", "preferred layer"].startswith(
        f"{row['estimate'] * 3:.0f} ["
    )
    assert list(table["stage"]) == [PROBE_TASKS[task].stage for task in TASKS]
    assert "acoustic < phonetic < lexical < semantic" in hierarchy_line(stages, result)


def test_too_few_tasks_have_no_hierarchy():
    few = made_up_probing(tasks=("energy", "mfcc"))
    assert "not defined" in hierarchy_line(few.stages(), few)


# ---- the registry ----------------------------------------------------------------------------


def test_the_registry_goes_from_sound_to_meaning():
    places = [STAGES.index(task.stage) for task in PROBE_TASKS.values()]
    assert places == sorted(places)
    assert all(name == task.name for name, task in PROBE_TASKS.items())
    assert find_task("mfcc").metric == "r2" and find_task("phone").metric == "balanced_accuracy"


def test_labels_say_which_tasks_are_possible():
    frames = {"energy", "logmel", "mfcc", "pitch"}
    assert set(possible_tasks([])) == frames
    phones = set(possible_tasks(["phone"]))
    assert phones == frames | {"voicing", "manner", "place", "phone"}
    both = possible_tasks(["phone", "word"])
    assert {"boundary", "word"} <= set(both) and "category" not in both
    assert "category" in possible_tasks(["word"], categories=True)
    assert "word_vector" in possible_tasks(["word"], word_vectors=True)
    assert "emotion" in possible_tasks(["emotion", "level"])
