"""Models side by side on linked surfaces: two or three, and the difference of the first two."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.core.statistics.components import LEAST_SUBJECTS
from braindash.encoding.group_maps import prevalence_at
from braindash.encoding.tested import TargetDifference, untestable
from braindash.ui import address, comparing, state, texts, widgets
from braindash.ui.comparing import Compared
from braindash.ui.surfaces import linked_viewer
from braindash.viewer.drawn import can_show
from braindash.views.captions import comparison_lines, subject_lines
from braindash.views.curves import key_regions
from braindash.views.linked import GROUP_MAPS, linked_note
from braindash.views.maps import LEVELS, score_label
from braindash.views.scatter import target_scatter
from braindash.views.tables import pair_cells, pair_table
from braindash.views.targets import (
    TargetCurve,
    target_curves,
    target_note,
    target_table,
    target_title,
)

INTRODUCTION = (
    "Two models, or a model before and after tuning, on the same brains: turn one surface and all "
    "turn, move the slider and all change layer; click a vertex for its curves."
)
PANEL_HEIGHT = 187  # pixels: at common widths of a window four views in a row fill it
LEVEL = LEVELS[0]


def alone(selection: state.Selection, rows: list[state.ResultRow]) -> None:
    """Say what to do when there is nothing to compare with."""
    row = selection.row
    st.info(
        f"**{row.model}** is the only model with results of {row.data}, subject {row.subject}. "
        "Score a second model on the same data: its checkpoint before tuning, another model, or an "
        "acoustic space such as acoustic:logmel. Or choose the same model again as model B, to "
        "compare two of its layers."
    )
    places = sorted(
        {
            f"{one.model} ({one.data}, subject {one.subject})"
            for one in rows
            if (one.data, one.subject) != (row.data, row.subject)
        }
    )
    if places:
        st.caption(
            "Results of other data or subjects have no targets in common with these, so they "
            f"cannot be subtracted: {', '.join(places)}."
        )
    st.page_link(
        "pages/compute/run.py", label="Score a second model", icon=":material/play_circle:"
    )


def controls(
    selection: state.Selection, rows: list[state.ResultRow], beside: DeltaGenerator
) -> tuple[tuple[state.ResultRow, ...], bool]:
    """Ask for a third model and for the difference; offer to swap A and B."""
    columns = beside.columns([1.9, 1.3, 1.3], vertical_alignment="bottom")
    with columns[0]:
        third = state.choose_third(rows, selection)
    difference = columns[1].toggle("Difference", value=True, key="minus", bind="query-params")
    columns[2].button(
        "Swap", icon=":material/swap_horiz:", on_click=comparing.swap, help="Exchange A and B."
    )
    return third, difference


def provenance(compared: Compared, *notes: str) -> None:
    """Write where the numbers of all models come from."""
    lines = comparison_lines(compared.groups, compared.names, compared.ceilings)
    st.caption("  \n".join([*lines, *notes]))
    if compared.groups[0].n_subjects > 1:
        with st.expander(f"Provenance of each of the {compared.groups[0].n_subjects} subjects"):
            for group, ceiling in zip(compared.groups, compared.ceilings, strict=True):
                for line in subject_lines(group, ceiling):
                    st.caption(line)


def choose_tests(compared: Compared) -> TargetDifference | None:
    """Ask whether only targets with a significant difference are shown; None for all."""
    if untestable(compared.pair):
        return None
    wanted = st.toggle(
        "Significant only",
        key="tested",
        bind="query-params",
        help="Show A and B, and their difference, only where the difference of the target at the "
        f"same layer has q ≤ {LEVEL:g}.",
    )
    return widgets.difference_tests(compared.pair) if wanted else None


@st.fragment
def show_surfaces(compared: Compared, *, with_difference: bool) -> None:
    """Draw the linked surfaces and the clicked vertex, which is kept in the address.

    A click draws this part of the page again and nothing below it.
    """
    with widgets.guarded():
        mesh = widgets.choose_mesh(compared.groups[0])
        shown = choose_group_map(compared)
        with_difference = with_difference and shown != "prevalence"
        tests = choose_tests(compared) if with_difference else None
        linked = compared.linked(
            with_difference=with_difference, mesh=mesh, shown=shown, tests=tests
        )
        place, held = comparing.address_layers(compared.last_layers)
        asked = linked_viewer(
            linked,
            key="compare_viewer",
            identities=[f"{one} {mesh} {shown} {tests is not None}" for one in compared.identities],
            layer=place,
            held=held,
            height=PANEL_HEIGHT * (len(compared.groups) + with_difference),
        )
        if asked.use:
            st.rerun()
        if asked.pick is not None:
            if asked.pick.target < 0:
                st.info("No target of the data is shown there.")
            else:
                st.query_params["target"] = str(asked.pick.target)
        tested = (
            ""
            if tests is None
            else (
                f"A and B are shown where q ≤ {LEVEL:g} of their difference at the same layer "
                f"({tests.line()}); a difference of two unequal layers is not tested."
            )
        )
        st.caption(linked_note(linked, compared.groups, compared.ceilings[0], tested=tested))
        intervals = f"{compared.pair.interval_line()}. Bold: the interval does not hold 0."
        provenance(compared, *[intervals] * with_difference)
        if not show_target(compared):
            st.info("Click a surface to see that vertex in every layer of all models.")


def choose_group_map(compared: Compared) -> str:
    """Ask what maps of several subjects show; one subject's are its scores."""
    if compared.groups[0].n_subjects < LEAST_SUBJECTS:
        return "mean"
    tested = all(one.has_significance for group in compared.groups for one in group.results)
    kinds = [name for name in GROUP_MAPS if name != "prevalence" or tested]
    return state.choose("Map", kinds, "group_map", show=GROUP_MAPS.__getitem__)


def choose_layers(compared: Compared) -> None:
    """Ask for every model's layer where there is no surface to do it."""
    shown = compared.layers()
    columns = st.columns(len(shown))
    held = ""
    for letter, column, name, last, start in zip(
        comparing.LETTERS, columns, compared.names, compared.last_layers, shown, strict=False
    ):
        layer = start
        if last:
            layer = column.slider(f"Layer of {name}", 0, last, start, key=f"layer_{letter}")
        held += f"{letter}{layer}"
    st.query_params["hold"] = held


def show_target(compared: Compared) -> bool:
    """Draw the layer curves of the address's target, and list them; False where it names none."""
    first, group = compared.groups[0].first, compared.groups[0]
    target = address.target(group.n_targets)
    if target is None:
        return False
    curves = [curve_of(compared, index, target) for index in range(len(compared.groups))]
    figure, table = st.columns([1.9, 1])
    figure.plotly_chart(
        target_curves(
            curves,
            title=target_title(target, group.masks, group.space),
            ceiling=group.ceiling_at(target, compared.ceilings[0]),
            score="r_over_ceiling" if compared.normalised else "r",
            simulated=any(group.simulated for group in compared.groups),
        ),
        key="target_curves",
    )
    table.dataframe(target_table(curves).style.format("{:.3f}", na_rep="-"), height=320)
    if not any(np.isfinite(curve.values).any() for curve in curves):
        st.info(texts.NO_SCORE)
    notes = []
    if curves[0].significant is not None:
        notes.append(target_note(first, target, LEVEL))
    if group.n_subjects > 1 and all(one.has_significance for one in group.results):
        layer = compared.layers()[0]
        told = "" if group.on_common else prevalence_at(group, target, layer, q=LEVEL)
        notes += [f"{compared.names[0]}, layer {layer}: {told}"] if told else []
    provenance(compared, *notes)
    return True


def curve_of(compared: Compared, index: int, target: int) -> TargetCurve:
    """Take one target's scores with one model; of several subjects their mean, untested."""
    group = compared.groups[index]
    values = group.scores(normalised=compared.normalised, ceiling=compared.ceilings[index])
    significant = None
    if group.n_subjects == 1 and group.first.has_significance:
        significant = group.first.significant(LEVEL)[:, target]
    return TargetCurve(values[:, target], compared.names[index], significant)


def show_at_layers(compared: Compared, regions: list[str]) -> None:
    """Draw the scatter of targets and list the regions, at the layers that are shown."""
    one, two, *_ = compared.layers()
    models = [group.model for group in compared.groups]
    st.subheader(f"{models[0]}, layer {one}, against {models[1]}, layer {two}", anchor=False)
    left, right = st.columns([1, 1])
    groups, names = compared.groups, compared.names
    scores = [
        group.scores(normalised=compared.normalised, ceiling=ceiling)[layer]
        for group, ceiling, layer in zip(groups, compared.ceilings, (one, two), strict=False)
    ]
    simulated = any(group.simulated for group in groups[:2])
    figure, note = target_scatter(
        *scores,
        groups[0].masks,
        regions,
        titles=[
            f"{letter}, layer {layer} · {score_label(compared.normalised)}"
            for letter, layer in zip("AB", (one, two), strict=True)
        ],
        simulated=simulated,
    )
    left.plotly_chart(figure, key="scatter")
    left.caption(note)
    pair = compared.pair
    pairs = state.layer_pairs(pair, compared.normalised, compared.ceilings[0])
    table = pair_table(
        pairs, compared.means(), (one, two), pair.a.n_subjects, compared.coverage(one, two)
    )
    right.dataframe(pair_cells(table), hide_index=True, height="content")
    lines = [line for line in (pair.interval_line(), pair.family_line(layers=(one, two))) if line]
    right.caption(". ".join([*lines, "Shaded: the interval does not hold 0."]))
    with right:
        widgets.download(
            "Download this table (CSV)",
            table.assign(
                model_a=names[0],
                model_b=names[1],
                simulated=simulated,
                interval="; ".join(lines),
                region_set=pair.a.first.region_set,
                hemisphere=pair.a.first.hemisphere,
            ),
            f"braindash-{pair.a.first.key[:8]}-minus-{pair.b.first.key[:8]}-layers-{one}-{two}.csv",
        )
    provenance(compared)


def show(selection: state.Selection, rows: list[state.ResultRow], beside: DeltaGenerator) -> None:
    """Draw the surfaces, the chosen vertex, the figures at the shown layers, and the summaries."""
    third, with_difference = controls(selection, rows, beside)
    compared = Compared.of(selection, third)
    if any(group.simulated for group in compared.groups):
        widgets.simulated_stamp()
    pair = compared.pair
    if pair.settings:
        st.warning(
            f"A and B also differ in {', '.join(pair.settings)}: the difference is not of the "
            "models alone. Compute both with the same settings.",
            icon=":material/balance:",
        )
    shown = compared.groups[0]
    if can_show(shown.space, shown.n_targets, shown.surface):
        show_surfaces(compared, with_difference=with_difference)
    else:
        st.info(f"{texts.no_surface(shown.space)} Choose layers for the tables and figures below.")
        choose_layers(compared)
        show_target(compared)
    regions = key_regions(pair.a.region_names)
    show_at_layers(compared, regions)
    widgets.difference_by_layer(selection, pair, regions)
    widgets.stage_summary(selection, pair.a, pair, regions)


with widgets.page("Compare", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        selected, free = state.choose_result(found, several_subjects=True, pair=True)
        if selected.other_rows:
            show(selected, found, free)
        else:
            alone(selected, found)
        with st.expander("What is this, and how do I use it?"):
            st.markdown(texts.COMPARE)
