"""What a folder of data holds, on a page: found, missing, not used, and the manifest it gives."""

from pathlib import Path

import pandas as pd
import streamlit as st

from braindash.io.layouts.finding import Finding
from braindash.io.layouts.index import index_folder, write_manifest
from braindash.ui import answers, choices, state, widgets
from braindash.ui.texts import plain

_KEPT_SECONDS = 600
_PLACE = "index"
_SHOWN_LINES = 5
FOLDER_HELP = (
    "Data of a public layout, any derivative in BIDS form, or a folder with a manifest. Nothing is "
    "fetched, and no response is read."
)


def section() -> None:
    """Ask for a folder, and say what is in it."""
    st.header("What is in this folder?", anchor=False)
    left, right = st.columns(2)
    folder = left.text_input(
        "Folder of data", placeholder="/path/to/data", help=FOLDER_HELP, key="index_folder"
    ).strip()
    audio = right.text_input(
        "Folder of sounds", placeholder="where they lie apart", key="index_audio"
    ).strip()
    if not folder:
        return
    with widgets.guarded():
        place = state.resolve_inside_roots(folder)
        sounds = state.resolve_inside_roots(audio) if audio else None
        found = _indexed(str(place), str(sounds) if sounds else None)
        _show(found)
        _offer_manifest(found)


@st.cache_resource(ttl=_KEPT_SECONDS, max_entries=8, show_spinner="Looking through the folder")
def _indexed(folder: str, audio: str | None) -> Finding:
    return index_folder(folder, audio)


# ---- what was found -----------------------------------------------------------------------------


def _show(found: Finding) -> None:
    told = {"licence": found.licence, "cite": found.citation, "from": found.source}
    st.markdown(f"**{plain(found.title)}**")
    st.caption(plain(" · ".join(f"{name}: {text}" for name, text in told.items() if text)))
    if found.subjects:
        st.success(
            f"{len(found.subjects)} subjects, {len(found.stories)} stories with sound and "
            "responses",
            icon=":material/check_circle:",
        )
        rows = [
            {"subject": name, "stories": len(stories), "which": ", ".join(stories)}
            for name, stories in found.subjects.items()
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, height=min(36 * (len(rows) + 1), 260))
    else:
        st.warning("No subject can be used yet.")
    for one in found.missing[:_SHOWN_LINES]:
        st.warning(f"**Missing:** {plain(one)}")
    for title, lines in (
        ("Also missing", found.missing[_SHOWN_LINES:]),
        ("Not used", found.excluded),
        ("Assumed, and other facts", found.notes),
    ):
        if lines:
            with st.expander(f"{title}: {len(lines)}"):
                st.markdown("\n".join(f"- {plain(one)}" for one in lines))
    st.button("Look again", key="index_again", on_click=_indexed.clear)


# ---- its manifest -------------------------------------------------------------------------------


def _offer_manifest(found: Finding) -> None:
    answers.show(_PLACE)
    if found.own is not None:
        st.button("Use its manifest below", key="index_use", on_click=_use, args=(found.own,))
    if found.draft is None:
        return
    text = found.manifest_text(found.folder)
    with st.expander("Its manifest, as it would stand in the folder"):
        st.code(text, language="toml", height=360)
    place = st.text_input(
        "Manifest to write",
        value=str(found.folder / "manifest.toml"),
        help="A new file; its paths lead to the data from where it lies.",
        key=f"index_write {found.folder}",
    )
    st.button("Write the manifest", key="index_write_it", on_click=_write, args=(found, place))


def _write(found: Finding, place: str) -> None:
    with answers.answering(_PLACE):
        path = state.resolve_inside_roots(place)
        write_manifest(found, path)
        answers.say(_PLACE, f"Written: {path}. It is chosen below.")
        _use(path)


def _use(path: Path) -> None:
    """Choose a manifest in the check below."""
    _indexed.clear()
    st.session_state["manifest"] = str(path)
    st.session_state["check_data"] = choices.OWN_DATA
