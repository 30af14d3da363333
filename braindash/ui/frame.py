"""What stands around every page: its small head, its style, and the mode for presenting."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

PRESENT = "present"
_HERE = Path(__file__).parent
_STYLE = _HERE / "frame.css"
_PRESENT_STYLE = _HERE / "present.css"
_PRESENT_HELP = (
    "The figures alone, in large type, for a projector. Keys: P leaves, arrows change the layer, "
    "space plays, F unfolds, D shows the difference alone, V changes the views, S saves a view, "
    "1 to 9 go to saved ones."
)


def presenting() -> bool:
    """Say whether the page is shown for an audience, without menus.

    Returns
    -------
    bool
        What the visitor chose last, kept between pages; at first what the address says.
    """
    asked = st.query_params.get(PRESENT) == "true"
    return bool(st.session_state.setdefault(PRESENT, asked))


def _toggle() -> None:
    st.session_state[PRESENT] = not st.session_state.get(PRESENT)


def style() -> None:
    """Give a page the style of all pages; its head does."""
    st.html(_STYLE)


def head(title: str, introduction: str, identity: Callable[[], None]) -> None:
    """Draw a page's title with its introduction, who looks, and the button for presenting.

    Parameters
    ----------
    title : str
        Of the page.
    introduction : str
        What the page is for.
    identity : callable
        Draws who looks, in the same row.
    """
    style()
    shown = presenting()
    if shown:
        if st.query_params.get(PRESENT) != "true":
            st.query_params[PRESENT] = "true"
        st.html(_PRESENT_STYLE)
    else:
        st.query_params.pop(PRESENT, None)
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        st.title(title, anchor=False, width="content")
        st.caption(introduction)
        identity()
        st.button(
            "Leave" if shown else "Present",
            key="present_button",
            help=_PRESENT_HELP,
            on_click=_toggle,
            shortcut="p",
            type="tertiary",
        )
