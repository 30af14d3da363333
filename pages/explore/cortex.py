"""The surface: maps of one result, or of two, and the layer curve of a chosen vertex."""

import numpy as np
import streamlit as st

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference
from braindash.ui import state, texts, widgets
from braindash.ui.explore import address, selecting
from braindash.ui.surfaces import Pick, linked_viewer, surface_viewer
from braindash.ui.take_away import linked_picture, map_take, picture_of, take
from braindash.viewer.drawn import can_show
from braindash.views.captions import short_line
from braindash.views.linked import LinkedMaps
from braindash.views.maps import (
    KINDS,
    LEVELS,
    MapChoice,
    available_kinds,
    make_map,
    missing_kinds,
)
from braindash.views.partition import PARTS, PARTS_TITLE, has_parts, part_maps, parts_note
from braindash.views.targets import TargetCurve, target_curves, target_note, target_title

INTRODUCTION = (
    "Scrub through the layers, turn the brain, unfold it; click a vertex for its layer curve."
)
LEVEL_HELP = "Largest false discovery rate q that counts as significant, in maps and in curves."
SURE_HELP = (
    "Show a preferred layer only where it is at least this sure to be the best; the line below "
    "says how that is estimated."
)


def choose_map(selection: selecting.Selection, *, compared: bool) -> MapChoice:
    """Ask for the map and for what belongs to it, in one row above the surface."""
    result = selection.result
    level, share, relative = LEVELS[0], 0.0, False
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        kinds = available_kinds(result, compared=compared)
        kinds += [PARTS] if has_parts(result) else []
        titles = {**KINDS, PARTS: PARTS_TITLE}
        kind = state.choose("Map", kinds, "map", show=titles.__getitem__, width=260)
        if result.has_significance:
            text = state.choose(
                "Significant",
                [str(one) for one in LEVELS],
                "q",
                show=lambda one: f"q ≤ {one}",
                help=LEVEL_HELP,
                width=130,
            )
            level = float(text)
        mesh = widgets.choose_mesh(result)
        if kind == "preferred":
            share, relative = choose_preferred(result)
    return MapChoice(kind, selection.normalised, selection.ceiling, level, share, relative, mesh)


def choose_preferred(result: EncodingResult) -> tuple[float, bool]:
    """Ask how sure a preferred layer has to be, and in which unit it is shown."""
    share = 0.0
    if result.has_confidence:
        share = st.slider(
            "At least this sure",
            0.0,
            1.0,
            0.5,
            0.05,
            key="sure",
            bind="query-params",
            help=SURE_HELP,
            width=200,
        )
    relative = st.toggle("Relative depth", key="depth", bind="query-params")
    return share, relative


def curve_of(
    result: EncodingResult, name: str, target: int, choice: MapChoice, ceiling: str | None
) -> TargetCurve:
    """Take one target's scores, and where they are significant."""
    values = result.scores(choice.normalised, ceiling)[:, target]
    tested = result.has_significance
    significant = result.significant(choice.level)[:, target] if tested else None
    return TargetCurve(values, name, significant)


def show_target(
    selection: selecting.Selection, pair: Difference | None, choice: MapChoice, target: int
) -> None:
    """Draw the layer curve of one target, with its regions."""
    result = selection.result
    names = selection.model_names
    curves = [curve_of(result, names[0], target, choice, selection.ceiling)]
    if pair is not None:
        ceiling = selection.ceiling_for(pair.b)
        curves.append(curve_of(pair.b.first, names[1], target, choice, ceiling))
    figure = target_curves(
        curves,
        title=target_title(target, result.masks, result.space),
        ceiling=float(result.named_ceiling(selection.ceiling)[target]),
        score=selection.score,
        simulated=result.simulated or (pair is not None and pair.b.simulated),
    )
    widgets.chart(figure, "target_curve")
    if not np.isfinite(curves[0].values).any():
        st.info(texts.NO_SCORE)
    notes = []
    if result.has_significance:
        notes.append(target_note(result, target, choice.level))
    taken = take(
        [selection.group, *([] if pair is None else [pair.b])],
        "target",
        target_title(target, result.masks, result.space),
        figure=figure,
    )
    widgets.provenance(selection.group, selection.ceiling, *notes, again=True, taken=[taken])


@widgets.part
def show(selection: selecting.Selection) -> None:
    """Draw the viewer, and below it the chosen vertex's layer curve; a click draws only these."""
    result = selection.result
    if not can_show(result.space, result.n_targets, result.surface):
        st.info(f"{texts.no_surface(result.space)} Their layer curves are on the page Layers.")
        return
    pair = widgets.pair_models(selection)
    same_layers = pair is not None and pair.b.first.n_layers == result.n_layers
    choice = choose_map(selection, compared=same_layers)
    if choice.kind == PARTS:
        pick = show_parts(selection, choice)
    else:
        pick = show_map(selection, pair, choice, same_layers=same_layers)
    if pick is not None:
        if pick.target < 0:
            st.info("No target of the data is shown there.")
        else:
            st.query_params["target"] = str(pick.target)
    target = address.target(result.n_targets)
    if target is None:
        st.info("Click the surface to see a vertex's score in every layer.")
    else:
        show_target(selection, pair, choice, target)


def show_parts(selection: selecting.Selection, choice: MapChoice) -> Pick | None:
    """Draw what low-level features explain and what they leave, as inks that mix."""
    result = selection.result
    linked, note = widgets.kept(
        ("parts", result.identity, choice.mesh), lambda: noted_parts(result, choice.mesh)
    )
    place = address.layer(result.n_layers - 1)
    asked = linked_viewer(
        linked,
        key="cortex",
        identities=[f"{result.identity} {PARTS} {name} {choice.mesh}" for name in linked.names],
        layer=place,
        source=short_line(selection.group),
    )
    st.caption(note)
    named = zip(linked.names, linked.maps, strict=True)
    shown = {f"map-{name}": maps for name, maps in named}
    taken = map_take(
        lambda: shown,
        [selection.group] * len(shown),
        PARTS_TITLE,
        lambda: linked_picture(linked, [place] * len(shown)),
    )
    widgets.provenance(selection.group, selection.ceiling, note, taken=[taken])
    return asked.pick


def noted_parts(result: EncodingResult, mesh: str) -> tuple[LinkedMaps, str]:
    """Make the maps of the parts, and what is said of them."""
    linked = part_maps(result, mesh)
    return linked, parts_note(linked, result)


def show_map(
    selection: selecting.Selection, pair: Difference | None, choice: MapChoice, *, same_layers: bool
) -> Pick | None:
    """Draw one map of every layer, or a single one; give the vertex that was clicked."""
    result = selection.result
    tests = None
    if pair is not None and choice.kind == "tested-difference":
        tests = widgets.difference_tests(pair)
    shown = make_map(choice, result, pair, tests)
    differs = choice.kind in ("difference", "tested-difference")
    other_key = pair.b.first.key if pair is not None and differs else ""
    pick = surface_viewer(
        shown.maps,
        key="cortex",
        identity=f"{result.identity} {other_key} {choice} {tests is not None}",
        layer=address.layer(result.n_layers - 1),
        source=short_line(selection.group),
    )
    st.caption(texts.plain(shown.note))
    notes = []
    if other_key:
        notes.append(f"minus {selection.model_names[1]}, key {other_key[:8]}")
    missing = missing_kinds(result)
    if pair is not None and not same_layers:
        missing.append("no difference map: the models have different numbers of layers")
    if missing:
        notes.append(f"Not here: {'; '.join(missing)}.")
    taken = map_take(
        lambda: {f"map-{choice.kind}": shown.maps},
        [selection.group],
        shown.maps.label,
        lambda: picture_of(shown.maps, address.layer(result.n_layers - 1)),
    )
    widgets.provenance(selection.group, selection.ceiling, shown.note, *notes, taken=[taken])
    return pick


with widgets.page("Cortex", INTRODUCTION):
    found = state.result_rows()
    if not found:
        widgets.empty_store()
    else:
        show(selecting.choose_result(found))
        with st.expander("What is this, and how do I use it?"):
            st.markdown(texts.CORTEX)
