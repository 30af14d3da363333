"""What a folder holds and whether its data are right; and region sets on the brain."""

import pandas as pd
import streamlit as st

from braindash.errors import InputError
from braindash.io.regions.masks import WHOLE
from braindash.io.regions.sets import FAMILIES, RegionSet, find_set, known_sets
from braindash.io.regions.sources import home
from braindash.io.surfaces import count_targets
from braindash.ui import answers, checking, indexing, region_sets, state, texts, widgets
from braindash.ui.surfaces import surface_viewer
from braindash.ui.take_away import set_take
from braindash.ui.visitors.rights import visitor
from braindash.viewer.blobs import VIEWER_MESH
from braindash.views.region_maps import region_map, region_sizes

INTRODUCTION = (
    "What a folder of data holds, whether your data are right, and the region sets that scores are "
    "averaged over: their sources, files and places."
)


def list_sets(found: dict[str, RegionSet]) -> None:
    """List all sets with their sources, licences and what they need."""
    rows = [
        {
            "set": one.name,
            "regions": one.title,
            "source": one.source,
            "licence": one.licence,
            "needs": one.needs() or "ready",
        }
        for one in found.values()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    st.caption(
        "; ".join(f"{name}: {told}" for name, told in FAMILIES.items())
        # Visitors of a shared server have no use for its folders.
        + f". Label files lie in {home() if visitor().may_compute else 'a folder of the server'}; "
        "nothing is fetched unasked."
    )


def describe(one: RegionSet) -> None:
    """Say where a set is from, and what to do where its files are not here."""
    title, *rest = map(texts.plain, (one.title, one.source, one.licence, one.space))
    told = "**{}** · {} · licence: {} · space: {}".format(title, *rest)
    st.markdown(f"{told} · {texts.plain(one.note)}" if one.note else told)
    if not one.is_ready:
        try:
            one.require_ready()
        except InputError as error:
            answers.show_error(error)
    if one.terms:
        with st.expander(f"Licence: {one.licence}"):
            st.text(one.terms)


def show_on_brain(one: RegionSet) -> None:
    """Draw a set on the surface, with the targets of every region."""
    regions = one.regions(VIEWER_MESH, count_targets(VIEWER_MESH))
    if list(regions.masks) == [WHOLE]:
        st.info("This set has no region.")
        return
    maps, sizes = region_map(regions, VIEWER_MESH), region_sizes(regions)
    surface_viewer(maps, key="region_set", identity=f"regions {regions.digest}")
    st.caption(
        f"{texts.plain(regions.note)}. Every region in the shade of its number; where regions "
        "overlap, the smallest one is seen. Click a name to outline it."
    )
    st.dataframe(sizes, hide_index=True)
    taken = set_take(maps, f"regions-{one.name}", f"Region set {one.title}", table=sizes)
    source = [one.source, f"Licence: {one.licence}", regions.note]
    widgets.told(f"Vertices of {VIEWER_MESH}.", [], [taken],
                 source=(f"Region set {one.name}: {one.title}", source))  # fmt: skip


with widgets.page("Data", INTRODUCTION):
    if visitor().may_compute:
        indexing.section()
        checking.section()
    st.header("Region sets", anchor=False)
    sets = known_sets()
    ready = [name for name, each in sets.items() if each.is_ready]
    reason = ""
    asked = st.query_params.get(region_sets.SET, "")
    if asked and asked != region_sets.OWN and asked not in sets:
        try:
            sets[asked] = find_set(asked)
        except InputError as error:
            reason = f"{error.message}. {error.hint}"
    chosen = state.choose(
        "Region set",
        [*ready, *(name for name in sets if name not in ready)],
        region_sets.SET,
        show=lambda name: name if sets[name].is_ready else f"{name} (files are not here)",
    )
    if reason:
        st.info(texts.plain(reason), icon=":material/info:")
    describe(sets[chosen])
    if sets[chosen].is_ready:
        show_on_brain(sets[chosen])
    st.header("All region sets", anchor=False)
    list_sets(sets)
    with st.expander("What is this, and how do I use it?"):
        st.markdown(texts.REGION_SETS)
