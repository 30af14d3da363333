"""The first page's finding: brains of one model or of two, curves beside them, and sentences."""

import pandas as pd
import streamlit as st

from braindash.encoding.several.comparison import Difference, Group
from braindash.errors import InputError
from braindash.ui import state, texts, widgets
from braindash.ui.explore import address, selecting
from braindash.ui.explore.comparing import linked_maps
from braindash.ui.surfaces import linked_viewer
from braindash.ui.take_away import Picture, Take, linked_picture, map_take, take
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import region_title
from braindash.viewer.drawn import can_show
from braindash.views.captions import full_name, keys_line, short_line
from braindash.views.curves import key_regions, region_panels
from braindash.views.finding import finding_sentences, significance_sentence, told_regions
from braindash.views.linked import LinkedMaps, shown_layers
from braindash.views.tables import share_text

_MOST_PANELS = 4
_PANELS_HEIGHT = 600


def finding(selection: selecting.Selection) -> None:
    """Show a result, or two: sentences, then the brains with the layer curves beside them."""
    pair = widgets.pair_models(selection)
    group = selection.group if pair is None else pair.a
    with st.container(key="finding"):
        st.markdown("  \n".join(_sentences(selection, group, pair)))
        left, right = st.columns([2.3, 1], gap="small")
        with left, widgets.guarded():
            _brains(selection, group, pair)
        with right:
            taken = [_curves(selection, group, pair)]
    if can_show(group.space, group.n_targets, group.surface):
        taken.insert(0, _taken_brains(_linked(selection, group, pair), group, pair))
    _sources(selection, group, pair, taken)


def _sentences(selection: selecting.Selection, group: Group, pair: Difference | None) -> list[str]:
    alike = pair is not None and pair.a.first.n_layers == pair.b.first.n_layers
    return finding_sentences(
        group,
        pair if alike else None,
        state.difference_table(pair, False, None)
        if pair is not None and alike
        else state.region_table(group, False, None),
        told_regions(group.region_names),
        names=(texts.plain(selection.model_names[0]), texts.plain(selection.model_names[1])),
        tuned=selecting.was_tuned(selection),
    )


def _groups(group: Group, pair: Difference | None) -> tuple[Group, ...]:
    return (group,) if pair is None else (pair.a, pair.b)


def _ceilings(selection: selecting.Selection, groups: tuple[Group, ...]) -> tuple[str | None, ...]:
    return tuple(selection.ceiling_for(one) for one in groups)


def _linked(selection: selecting.Selection, group: Group, pair: Difference | None) -> LinkedMaps:
    """Return the maps of the brains, made once per server."""
    groups = _groups(group, pair)
    names = selection.model_names[: len(groups)]
    if pair is not None:
        names = tuple(f"{letter}: {name}" for letter, name in zip("AB", names, strict=True))
    ceilings = _ceilings(selection, groups)
    return linked_maps(groups, names, normalised=selection.normalised, ceilings=ceilings)


def _taken_brains(linked: LinkedMaps, group: Group, pair: Difference | None) -> Take:
    """Offer the brains: pictures at the layers that are seen, and maps of every layer."""

    def picture() -> Picture:
        place = address.layer(max(linked.last_layers))
        held = [None] * len(linked.maps)
        return linked_picture(linked, shown_layers(place, held, linked.last_layers))

    def shown() -> dict[str, MapSet]:
        named = zip(linked.names, linked.maps, strict=True)
        return {f"map-{name}": maps for name, maps in named}

    label = "Take brains away"
    return map_take(
        shown, _groups(group, pair), "Scores on the cortex", picture, name="brains", label=label
    )


@st.fragment
def _brains(selection: selecting.Selection, group: Group, pair: Difference | None) -> None:
    """Draw the linked brains; a click leads to the page with that vertex."""
    with widgets.guarded():
        if not can_show(group.space, group.n_targets, group.surface):
            st.info(texts.no_surface(group.space))
            return
        groups = _groups(group, pair)
        linked = _linked(selection, group, pair)
        settings = f"{selection.normalised} {_ceilings(selection, groups)}"
        keys = [" ".join(one.identity) for one in groups]
        asked = linked_viewer(
            linked,
            key="finding_viewer",
            identities=[f"{key} of {keys} {settings}" for key in keys],
            layer=address.layer(max(linked.last_layers)),
            views="left",
            lists_regions=False,
            outlined=told_regions(group.region_names),
            source=" · ".join(short_line(one) for one in groups),
            full_names=[full_name(one) for one in groups],
        )
        if asked.pick is not None and asked.pick.target >= 0:
            row = selection.row
            st.page_link(
                "pages/explore/cortex.py" if pair is None else "pages/explore/compare.py",
                label="The clicked vertex in every layer",
                icon=":material/show_chart:",
                query_params={
                    "data": row.data,
                    "model": row.model,
                    "subject": st.session_state["subject"],
                    "compare": st.session_state["compare"],
                    "layer": str(asked.pick.layer),
                    "target": str(asked.pick.target),
                },
            )


def _curves(selection: selecting.Selection, group: Group, pair: Difference | None) -> Take:
    """Draw one small panel of curves per key region; gives what can be taken away of them."""
    groups = [group] if pair is None else [pair.a, pair.b]
    regions = key_regions(group.region_names)[:_MOST_PANELS]
    named = [
        state.region_table(one, selection.normalised, selection.ceiling_for(one)).assign(model=name)
        for one, name in zip(groups, selection.model_names, strict=False)
    ]
    identity = (*(one.identity for one in groups), selection.model_names, selection.normalised)
    figure = widgets.kept(
        ("panels", *identity, selection.ceiling, regions),
        lambda: region_panels(
            named[0],
            regions,
            score=selection.score,
            other=named[1] if len(named) > 1 else None,
            height=_PANELS_HEIGHT,
        ),
    )
    widgets.chart(figure, "panels")
    table = pd.concat(named, ignore_index=True).assign(interval_of=selection.score)
    label = "Take curves away"
    title = "Score by layer and region"
    return take(groups, "panels", title, figure=figure, table=table, label=label)


def _sources(
    selection: selecting.Selection, group: Group, pair: Difference | None, taken: list[Take]
) -> None:
    notes = []
    if pair is None:
        notes += [group.interval_line(), significance_sentence(group.first)]
    else:
        notes += [f"B: {pair.b.model}, {keys_line(pair.b)}", _interval_line(pair)]
        if pair.settings:
            st.warning(
                f"A and B also differ in {', '.join(pair.settings)}: the difference is not of the "
                "models alone."
            )
    regions = key_regions(group.region_names)
    notes += widgets.chosen_by_ceiling(selection, [group] if pair is None else [pair.a, pair.b])
    notes.append(f"Share of each region that is covered: {_coverage(group, regions)}")
    widgets.provenance(group, selection.ceiling, *notes, taken=taken)


def _interval_line(pair: Difference) -> str:
    try:
        state.difference_table(pair, False, None)
    except InputError as error:
        return f"{error.message}."
    return f"{pair.interval_line()}; each interval is of one region, not corrected for their number"


def _coverage(group: Group, regions: list[str]) -> str:
    table = state.region_table(group, False, None)
    least = table.groupby("region")["coverage"].min()
    return ", ".join(f"{region_title(region)} {share_text(least[region])}" for region in regions)
