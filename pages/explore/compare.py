"""Models side by side on linked surfaces: two or three, and the difference of the first two."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.several.group_maps import prevalence_at
from braindash.encoding.several.tested import untestable
from braindash.ui import state, texts, widgets
from braindash.ui.explore import address, comparing, selecting
from braindash.ui.explore.comparing import Compared
from braindash.ui.surfaces import linked_viewer
from braindash.ui.take_away import Take, linked_picture, map_take, take
from braindash.viewer.blobs import MapSet
from braindash.viewer.drawn import can_show
from braindash.views.captions import (
    comparison_lines,
    full_name,
    keys_line,
    short_line,
    subject_lines,
)
from braindash.views.curves import key_regions
from braindash.views.linked import GROUP_MAPS, LinkedMaps, Mix, difference_maps, linked_note
from braindash.views.maps import LEVELS, score_label
from braindash.views.scatter import scatter_table, target_scatter
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
LEVEL = LEVELS[0]


def alone(selection: selecting.Selection, rows: list[state.ResultRow]) -> None:
    """Say what to do when there is nothing to compare with."""
    row = selection.row
    st.info(
        f"**{texts.plain(row.model)}** is the only model with results of {texts.plain(row.data)}, "
        f"subject {texts.plain(row.subject)}. "
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
    widgets.compute_link(
        "pages/compute/run.py", "Score a second model", icon=":material/play_circle:"
    )


def controls(
    selection: selecting.Selection, rows: list[state.ResultRow], bar: DeltaGenerator
) -> tuple[state.ResultRow, ...]:
    """Ask for a third model; offer to swap A and B."""
    with bar:
        third = selecting.choose_third(rows, selection)
        st.button(
            "Swap", icon=":material/swap_horiz:", on_click=comparing.swap, help="Exchange A and B."
        )
    return third


def provenance(
    compared: Compared, *notes: str, again: bool = False, taken: Sequence[Take] = ()
) -> None:
    """Write where the numbers of all models come from, in one line; the rest behind "Details"."""
    groups = compared.groups
    lines = comparison_lines(groups, compared.names, compared.ceilings)
    if compared.normalised:
        ceilings = zip(compared.names, groups, compared.ceilings, strict=True)
        chosen = [(name, selections_line(one.results, top)) for name, one, top in ceilings]
        lines += [f"{name}: {line}" for name, line in chosen if line]
    if groups[0].n_subjects > 1:
        for group, ceiling in zip(groups, compared.ceilings, strict=True):
            lines += subject_lines(group, ceiling)
    line, details = " · ".join(sources(compared)), [*notes, *lines]
    if again:
        keys = " · ".join([*map(keys_line, groups), *notes])
        widgets.told(keys, [], taken, source=(line, details))
        return
    widgets.told(line, details, taken)


def sources(compared: Compared) -> list[str]:
    """Say in a few words of every model where its numbers come from."""
    others = zip(compared.names[1:], compared.groups[1:], strict=True)
    return [
        f"A: {short_line(compared.groups[0])}",
        *(f"{name} ({keys_line(group)})" for name, group in others),
    ]


def choose_tests(compared: Compared) -> bool:
    """Ask whether only targets with a significant difference are shown."""
    if untestable(compared.pair):
        return False
    return st.toggle(
        "Significant only",
        key="tested",
        bind="query-params",
        help="Show A and B, and their difference, only where the difference of the target at the "
        f"same layer has q ≤ {LEVEL:g}.",
    )


@widgets.part
def show_surfaces(compared: Compared) -> None:
    """Draw the linked surfaces and the clicked vertex, which is kept in the address.

    A click draws this part of the page again and nothing below it.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", key="surface_controls"):
        with_difference = st.toggle("Difference", value=True, key="minus", bind="query-params")
        mesh = widgets.choose_mesh(compared.groups[0])
        shown = choose_group_map(compared)
        mixed = st.toggle("Mixed colours", key="mixed", bind="query-params", help=texts.MIX_HELP)
        with_difference = with_difference and shown != "prevalence"
        wanted = choose_tests(compared) if with_difference else False
    tests = widgets.difference_tests(compared.pair) if wanted else None
    linked = compared.linked(with_difference=with_difference, mesh=mesh, tests=tests, shown=shown)
    linked = replace(linked, mix=Mix("mixed")) if mixed else linked
    place, held = comparing.address_layers(compared.last_layers)
    asked = linked_viewer(
        linked,
        key="compare_viewer",
        identities=[f"{one} {mesh} {shown} {tests is not None}" for one in compared.identities],
        layer=place,
        held=held,
        source=" · ".join(sources(compared)),
        full_names=[full_name(group) for group in compared.groups],
    )
    if asked.use:
        st.rerun()
    if asked.pick is not None:
        if asked.pick.target < 0:
            st.info("No target of the data is shown there.")
        else:
            st.query_params["target"] = str(asked.pick.target)
    tested = ""
    if tests is not None:
        tested = (
            f"A and B are shown where q ≤ {LEVEL:g} of their difference at the same layer "
            f"({tests.line()}); a difference of two unequal layers is not tested."
        )
    st.caption(linked_note(linked, compared.groups, compared.ceilings[0], tested=tested))
    notes = []
    if with_difference:
        notes.append(f"{compared.pair.interval_line()}. Bold: the interval does not hold 0.")
    provenance(compared, *notes, taken=[taken_surfaces(compared, linked)])
    if not show_target(compared):
        st.info("Click a surface to see that vertex in every layer of all models.")


def taken_surfaces(compared: Compared, linked: LinkedMaps) -> Take:
    """Offer the surfaces: pictures at the layers that are seen, and maps of every layer."""
    groups = [*compared.groups, compared.groups[0]]  # the last is of the difference

    def shown() -> dict[str, MapSet]:
        found = {f"map-{name}": maps for name, maps in zip(linked.names, linked.maps, strict=True)}
        if linked.end is not None:
            found["map-A-minus-B"] = difference_maps(linked, compared.layers())
        return found

    return map_take(
        shown,
        groups,
        "Models side by side on the cortex",
        lambda: linked_picture(linked, compared.layers()),
    )


def choose_group_map(compared: Compared) -> str:
    """Ask what maps of several subjects show; one subject's are its scores."""
    if not compared.groups[0].over_subjects:
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
    left, table = st.columns([1.9, 1])
    title = target_title(target, group.masks, group.space)
    figure = target_curves(
        curves,
        title=title,
        ceiling=group.ceiling_at(target, compared.ceilings[0]),
        score="r_over_ceiling" if compared.normalised else "r",
        simulated=any(group.simulated for group in compared.groups),
    )
    with left:
        widgets.chart(figure, "target_curves")
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
    taken = take(compared.groups, "target", title, figure=figure)
    provenance(compared, *notes, again=True, taken=[taken])
    return True


def curve_of(compared: Compared, index: int, target: int) -> TargetCurve:
    """Take one target's scores with one model; of several subjects their mean, untested."""
    group = compared.groups[index]
    values = comparing.target_scores(group, compared.normalised, compared.ceilings[index])
    significant = None
    if group.n_subjects == 1 and group.first.has_significance:
        significant = group.first.significant(LEVEL)[:, target]
    return TargetCurve(values[:, target], compared.names[index], significant)


def show_at_layers(compared: Compared, regions: list[str]) -> None:
    """Draw the scatter of targets and list the regions, at the layers that are shown."""
    one, two, *_ = compared.layers()
    models = [name.partition(": ")[2] for name in compared.names]
    title = f"{models[0]}, layer {one}, against {models[1]}, layer {two}"
    st.header(title, anchor=False)
    left, right = st.columns([1, 1])
    groups, names = compared.groups, compared.names
    scores = [
        comparing.target_scores(group, compared.normalised, ceiling)[layer]
        for group, ceiling, layer in zip(groups, compared.ceilings, (one, two), strict=False)
    ]
    simulated = any(group.simulated for group in groups[:2])
    figure, note = widgets.kept(
        (compared.identities, compared.pair.a.first.region_set, regions, one, two),
        lambda: target_scatter(
            *scores,
            groups[0].masks,
            regions,
            titles=[
                f"{letter}, layer {layer} · {score_label(compared.normalised)}"
                for letter, layer in zip("AB", (one, two), strict=True)
            ],
            simulated=simulated,
        ),
    )
    with left:
        widgets.chart(figure, "scatter")
    source = (" · ".join(sources(compared)), comparison_lines(groups, names, compared.ceilings))
    with left:
        taken = take(
            groups[:2],
            "scatter",
            title,
            figure=figure,
            table=lambda: scatter_table(*scores, groups[0].masks, regions),
        )
        widgets.told(note, [], [taken], source=source)
    pair = compared.pair
    pairs = state.layer_pairs(pair, compared.normalised, compared.ceilings[0])
    table = pair_table(
        pairs, compared.means(), (one, two), pair.a.n_subjects, compared.coverage(one, two)
    )
    right.dataframe(pair_cells(table), hide_index=True, height="content")
    lines = [line for line in (pair.interval_line(), pair.family_line(layers=(one, two))) if line]
    told = table.assign(
        model_a=names[0],
        model_b=names[1],
        simulated=simulated,
        interval="; ".join(lines),
        region_set=pair.a.first.region_set,
        hemisphere=pair.a.first.hemisphere,
    )
    with right:
        taken = take(groups[:2], f"layers-{one}-{two}", title, table=told)
        line = ". ".join([*lines, "Shaded: the interval does not hold 0."])
        widgets.told(line, [], [taken], source=source)


def show(selection: selecting.Selection, rows: list[state.ResultRow], bar: DeltaGenerator) -> None:
    """Draw the surfaces, the chosen vertex, the figures at the shown layers, and the summaries."""
    compared = Compared.of(selection, controls(selection, rows, bar))
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
        show_surfaces(compared)
    else:
        st.info(f"{texts.no_surface(shown.space)} Choose layers for the tables and figures below.")
        choose_layers(compared)
        provenance(compared)
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
        top = selecting.selection_bar()
        selected = selecting.choose_result(found, several_subjects=True, pair=True, bar=top)
        if selected.other_rows:
            show(selected, found, top)
        else:
            alone(selected, found)
        with st.expander("What is this, and how do I use it?"):
            st.markdown(texts.COMPARE)
