"""What each layer tells about labelled speech: tasks from sound to meaning."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from braindash.encoding.several.comparison import Group
from braindash.probing.result import ProbingResult, probing_difference
from braindash.probing.several import probing_mean
from braindash.tuning.result import tuned_models
from braindash.ui import state, texts, widgets
from braindash.ui.explore import probing, selecting
from braindash.ui.take_away import take
from braindash.views.curves import key_regions, layer_curves
from braindash.views.probes import (
    SCALE_TEXTS,
    SCALES,
    depth_table,
    difference_map,
    heat_map,
    hierarchy_line,
    mean_curves,
    probe_curves,
    task_title,
)

INTRODUCTION = "What each layer tells about labelled speech, from sound to meaning."


@widgets.part
def show_map(result: ProbingResult, relative: bool) -> None:
    """Draw task by layer."""
    st.header("Tasks by layer", anchor=False)
    scale = st.segmented_control(
        "Colours",
        list(SCALES),
        default="above",
        required=True,
        format_func=SCALES.__getitem__,
        key="scale",
        bind="query-params",
    )
    figure = widgets.kept(
        ("probe map", result.key, scale, relative),
        lambda: heat_map(result.table(), result.tasks, scale=scale, relative_depth=relative),
    )
    widgets.chart(figure, "heat_map")
    taken = take([result], "tasks", "Probing tasks by layer", figure=figure, table=result.table)
    widgets.told(
        f"{SCALE_TEXTS[scale]} · score: {result.score_words()} · dot: best layer of each task · "
        f"{result.short_line()}",
        [result.provenance_line()],
        [taken],
    )


def scores_of(task: str, results: Sequence[ProbingResult]) -> pd.DataFrame:
    """Return the scores of one task with several models, one below the other."""
    table = pd.concat([one.table() for one in results], ignore_index=True)
    return table[table["task"] == task]


@widgets.part
def show_task(result: ProbingResult, others: Sequence[probing.ProbeRow], relative: bool) -> None:
    """Draw one task with chance levels and the models that were asked the same."""
    names = [row.model for row in others]
    with st.container(horizontal=True, vertical_alignment="bottom", key="task_controls"):
        task = state.choose("Task", list(result.tasks), "task", show=task_title, width=260)
        chosen = list[str]()
        if names:
            chosen = st.multiselect(
                "Beside it: controls and other models that were asked the same",
                names,
                default=[row.model for row in others if row.is_control],
                key="controls",
                bind="query-params",
                width=520,
            )
        bands = st.toggle("Intervals", value=True, key="bands", bind="query-params")
    st.header(task_title(task), anchor=False)
    controls = [probing.load(row) for row in others if row.model in chosen]
    figure = widgets.kept(
        ("probe", result.key, [control.key for control in controls], task, relative, bands),
        lambda: probe_curves(
            result, task, controls=controls, relative_depth=relative, show_intervals=bands
        ),
    )
    widgets.chart(figure, "curve")
    taken = take(
        [result, *controls],
        "task",
        task_title(task),
        figure=figure,
        table=lambda: scores_of(task, [result, *controls]),
    )
    widgets.told(
        f"{task_title(task)}: {result.score_words(task)} · key {result.key[:8]}"
        + " · dashed: controls" * bool(controls),
        [
            f"{result.provenance_line(task)} · {result.interval_line(task)}",
            *(f"dashed: {control.provenance_line()}" for control in controls),
        ],
        [taken],
    )
    facts = result.facts(task)
    for text in facts["warnings"]:
        st.info(text)
    if not any(row.is_control for row in others):
        st.info(
            "No control was computed. Run the same with the models `untrained:MODEL` and "
            "`acoustic:logmel`: what they reach needs no training."
        )


@widgets.part
def show_mean(row: probing.ProbeRow, others: Sequence[probing.ProbeRow], relative: bool) -> None:
    """Draw one task's mean over several models, by default the tuned ones."""
    result = probing.load(row)
    alike = [
        one
        for one in (row, *others)
        if not one.is_control and probing.load(one).n_layers == result.n_layers
    ]
    if len(alike) < 2 or result.n_layers < 2:
        return
    st.header("Mean over models", anchor=False)
    tuned = {model.fingerprint for model in tuned_models(state.store())}
    with st.container(horizontal=True, vertical_alignment="bottom", key="mean_controls"):
        task = state.choose("Task of the mean", list(result.tasks), "mean_task", show=task_title)
        chosen = st.multiselect(
            "Mean over",
            [one.model for one in alike],
            default=[one.model for one in alike if one.fingerprint in tuned],
            key="mean_models",
            bind="query-params",
            width=520,
        )
    members = [probing.load(one) for one in alike if one.model in chosen]
    if len(members) < 2:
        st.caption("Choose two models or more, such as those tuned to several subjects.")
        return
    table = probing_mean(members)
    figure = mean_curves(table, task, relative_depth=relative)
    widgets.chart(figure, "mean")
    widgets.told(
        f"{task_title(task)}: {result.score_words(task)} · band: mean ± standard error over "
        f"{len(members)} models; how much models differ, not how sure a score is",
        [one.provenance_line(task) for one in members],
        [
            take(
                members, "mean", f"{task_title(task)}: mean over models", figure=figure, table=table
            )
        ],
    )


@widgets.part
def show_difference(
    result: ProbingResult, others: Sequence[probing.ProbeRow], relative: bool
) -> None:
    """Draw the chosen model minus another that was asked the same, where there is one."""
    names = [row.model for row in others if probing.load(row).n_layers == result.n_layers]
    if not names or result.n_layers < 2:
        return
    st.header("A minus B", anchor=False)
    name = state.choose("B", [selecting.NO_OTHER, *names], "compare")
    if name == selecting.NO_OTHER:
        st.caption(f"A: {texts.plain(result.model)}. Choose B to subtract it, layer by layer.")
        return
    other = probing.load(next(row for row in others if row.model == name))
    table = widgets.kept(
        ("probe difference", result.key, other.key), lambda: probing_difference(result, other)
    )
    figure = widgets.kept(
        ("probe difference", result.key, other.key, relative),
        lambda: difference_map(table, result.tasks, relative_depth=relative),
    )
    widgets.chart(figure, "difference")
    widgets.told(
        f"A: {result.model}, key {result.key[:8]} · B: {other.model}, key {other.key[:8]} · dot: "
        "the paired 95 % interval does not hold 0 (not corrected for their number)",
        [result.provenance_line(), f"{result.interval_line()}, the same ones for A and B"],
        [
            take(
                [result, other],
                "probing-difference",
                f"{result.model} minus {other.model}, by task and layer",
                figure=figure,
                table=table.assign(model_a=result.model, model_b=other.model),
            )
        ],
    )


def brain_name(row: state.ResultRow) -> str:
    """Name an encoding result of the model that is probed."""
    parts = (f"{row.data}, subject {row.subject}", row.strategy, row.varied, row.key[:6])
    return " · ".join(filter(None, parts))


@widgets.part
def show_with_encoding(row: probing.ProbeRow, result: ProbingResult, relative: bool) -> None:
    """Draw encoding and probing of the same model under each other, on one axis of layers."""
    st.header("Encoding and probing", anchor=False)
    found = [one for one in state.result_rows() if one.fingerprint == row.fingerprint]
    same = state.usual_first(found)
    if not same:
        st.caption("This model has no encoding result; the page Run computes one.")
        return
    names = {brain_name(one): one for one in same}
    with st.container(horizontal=True, vertical_alignment="bottom", key="brain_controls"):
        chosen = names[state.choose("Brain", list(names), "brain", width=420)]
        more = st.popover("Regions")
    with more:
        selecting.choose_regions(chosen)
    group = Group.of([state.load(chosen)])
    table = state.region_table(group, False, None)
    regions = key_regions(group.region_names)
    figure = widgets.kept(
        ("encoding", group.identity, regions, relative),
        lambda: layer_curves(table, regions, score="r", relative_depth=relative),
    )
    widgets.chart(figure, "encoding")
    taken = take([group], "encoding", "Score by layer and region", figure=figure, table=table)
    widgets.provenance(group, None, group.interval_line(), taken=[taken])
    tasks = probing.key_tasks(result.tasks)
    depths = probing.above_chance(result, tasks, relative=relative)
    widgets.chart(depths, "above_chance")
    widgets.told(
        f"0: chance, 1: a perfect probe · key {result.key[:8]}",
        [],
        [take([result], "above-chance", "Probing: share above chance", figure=depths)],
        source=(result.short_line(), [result.provenance_line()]),
    )


def show_depths(result: ProbingResult) -> None:
    """List at which depth each task is held, and the hierarchy index."""
    st.header("Depth of each task", anchor=False)
    if result.n_layers < 2:
        st.caption(f"{texts.plain(result.model)} has one layer, so there is no depth to sum up.")
        return
    stages = probing.stages(result)
    st.dataframe(depth_table(stages, result), hide_index=True, height="content")
    widgets.told(
        f"{hierarchy_line(stages, result)} Of scores above chance. {result.interval_line()}",
        [],
        [
            take(
                [result],
                "depths",
                "Depth of each task",
                table=stages.assign(model=result.model),
            )
        ],
        source=(result.short_line(), [result.provenance_line(), result.interval_line()]),
    )


def show(rows: list[probing.ProbeRow]) -> None:
    """Draw everything about the chosen result."""
    row, others, relative = probing.choose_result(rows)
    result = probing.load(row)
    if result.simulated:
        widgets.simulated_stamp()
    show_map(result, relative)
    show_task(result, others, relative)
    show_mean(row, others, relative)
    show_difference(result, others, relative)
    show_depths(result)
    show_with_encoding(row, result, relative)
    with st.expander("What are these numbers, and how are they computed?"):
        st.markdown(texts.PROBES)
        st.markdown(texts.probe_tasks())


with widgets.page("Probes", INTRODUCTION):
    found = probing.probe_rows()
    if found:
        show(found)
        widgets.running_jobs(follow_results=True)
    else:
        probing.empty()
