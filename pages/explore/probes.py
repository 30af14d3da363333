"""What each layer tells about labelled speech: tasks from sound to meaning."""

from collections.abc import Sequence

import streamlit as st

from braindash.encoding.comparison import Group
from braindash.probing.result import ProbingResult, probing_difference
from braindash.ui import probing, state, texts, widgets
from braindash.views.curves import key_regions, layer_curves
from braindash.views.probes import (
    SCALE_TEXTS,
    SCALES,
    depth_curves,
    depth_table,
    difference_map,
    heat_map,
    hierarchy_line,
    probe_curves,
    task_title,
)

INTRODUCTION = "What each layer tells about labelled speech, from sound to meaning."


def show_map(result: ProbingResult, relative: bool) -> None:
    """Draw task by layer."""
    st.subheader("Tasks by layer", anchor=False)
    scale = st.segmented_control(
        "Colours",
        list(SCALES),
        default="above",
        required=True,
        format_func=SCALES.__getitem__,
        key="scale",
        bind="query-params",
    )
    figure = heat_map(result.table(), result.tasks, scale=scale, relative_depth=relative)
    st.plotly_chart(figure, key="heat_map")
    st.caption(f"{result.provenance_line()} · {SCALE_TEXTS[scale]} · dot: best layer of each task")


def show_task(
    result: ProbingResult, others: Sequence[probing.ProbeRow], task: str, relative: bool
) -> None:
    """Draw one task with chance levels and the models that were asked the same."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    names = [row.model for row in others]
    with left:
        chosen = st.multiselect(
            "Beside it: controls and other models that were asked the same",
            names,
            default=[row.model for row in others if row.is_control],
            key="controls",
            bind="query-params",
        )
    bands = right.toggle("Intervals", value=True, key="bands", bind="query-params")
    controls = [probing.load(row) for row in others if row.model in chosen]
    figure = probe_curves(
        result, task, controls=controls, relative_depth=relative, show_intervals=bands
    )
    st.plotly_chart(figure, key="curve")
    st.caption(f"{result.provenance_line(task)} · {result.interval_line(task)}")
    for control in controls:
        st.caption(f"dashed: {control.provenance_line()}")
    facts = result.facts(task)
    for text in facts["warnings"]:
        st.info(text)
    if not any(row.is_control for row in others):
        st.info(
            "No control was computed. Run the same with the models `untrained:MODEL` and "
            "`acoustic:logmel`: what they reach needs no training."
        )


def show_difference(
    result: ProbingResult, others: Sequence[probing.ProbeRow], relative: bool
) -> None:
    """Draw the chosen model minus another that was asked the same, where there is one."""
    names = [row.model for row in others if probing.load(row).n_layers == result.n_layers]
    if not names or result.n_layers < 2:
        return
    st.subheader("A minus B", anchor=False)
    name = state.choose("B", [state.NO_OTHER, *names], "compare")
    if name == state.NO_OTHER:
        st.caption(f"A: {result.model}. Choose B to subtract it, layer by layer.")
        return
    other = probing.load(next(row for row in others if row.model == name))
    table = probing_difference(result, other)
    figure = difference_map(table, result.tasks, relative_depth=relative)
    st.plotly_chart(figure, key="difference")
    st.caption(
        f"A: {result.provenance_line()} · B: {other.model}, key {other.key[:8]} · dot: the paired "
        f"95 % interval does not hold 0 (not corrected for their number) · "
        f"{result.interval_line()}, the same ones for A and B"
    )
    widgets.download(
        "Download the differences (CSV)",
        table.assign(a=result.model, b=other.model),
        f"braindash-{result.key[:8]}-minus-{other.key[:8]}-probing.csv",
    )


def show_with_encoding(row: probing.ProbeRow, result: ProbingResult, relative: bool) -> None:
    """Draw encoding and probing of the same model under each other, on one axis of layers."""
    st.subheader("Encoding and probing", anchor=False)
    same = [one for one in state.result_rows() if one.fingerprint == row.fingerprint]
    if not same:
        st.caption("This model has no encoding result; the page Run computes one.")
        return
    names = {f"{one.data}, subject {one.subject} · {one.key[:6]}": one for one in same}
    brain, left, right = st.columns([2.4, 1.7, 1], vertical_alignment="bottom")
    with brain:
        chosen = names[state.choose("Brain", list(names), "brain")]
    state.choose_regions(chosen, (left, right))
    group = Group.of([state.load(chosen)])
    table = state.region_table(group, False, None)
    regions = key_regions(group.region_names)
    figure = layer_curves(table, regions, score="r", relative_depth=relative)
    st.plotly_chart(figure, key="encoding")
    widgets.provenance(group, None, group.interval_line())
    tasks = probing.key_tasks(result.tasks)
    st.plotly_chart(
        depth_curves(result.table(), tasks, relative_depth=relative), key="above_chance"
    )
    st.caption(f"{result.provenance_line()} · 0: chance, 1: a perfect probe")


def show_depths(result: ProbingResult) -> None:
    """List at which depth each task is held, and the hierarchy index."""
    st.subheader("Depth of each task", anchor=False)
    if result.n_layers < 2:
        st.caption(f"{result.model} has one layer, so there is no depth to sum up.")
        return
    stages = probing.stages(result)
    st.dataframe(depth_table(stages, result), hide_index=True, height="content")
    st.caption(f"{hierarchy_line(stages, result)} Of scores above chance. {result.interval_line()}")
    name = f"braindash-{result.key[:8]}"
    widgets.download("Download all scores (CSV)", result.table(), f"{name}-probing.csv")
    widgets.download(
        "Download the depths (CSV)", stages.assign(model=result.model), f"{name}-depths.csv"
    )


def show(rows: list[probing.ProbeRow]) -> None:
    """Draw everything about the chosen result."""
    row, others = probing.choose_result(rows)
    result = probing.load(row)
    if result.simulated:
        widgets.simulated_stamp()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        task = state.choose("Task", list(result.tasks), "task", show=task_title)
    relative = right.toggle("Relative depth", key="depth", bind="query-params")
    show_map(result, relative)
    st.subheader(task_title(task), anchor=False)
    show_task(result, others, task, relative)
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
