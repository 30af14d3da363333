"""What a press of a button came to: an error or a word, shown where its place on the page is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from braindash.errors import BraindashError
from braindash.ui.texts import plain

_LAST = "last_answer"
# A page is often drawn anew within the second: a part that follows jobs asks for it, the viewer
# does. What was shown for one drawing alone would be gone before anybody has read it.
_SHOWN_SECONDS = 20.0


@dataclass(frozen=True)
class _Answer:
    place: str
    said: str | BraindashError
    link: tuple[str, str] | None
    at: float


@contextmanager
def answering(place: str) -> Iterator[None]:
    """Keep the known error that a callback's work ends in; the answer to an earlier press goes.

    Parameters
    ----------
    place : str
        Where `show` shows it.
    """
    st.session_state.pop(_LAST, None)
    try:
        yield
    except BraindashError as error:
        st.session_state[_LAST] = _Answer(place, error, None, time.monotonic())


def say(place: str, text: str, link: tuple[str, str] | None = None) -> None:
    """Keep a word of success.

    Parameters
    ----------
    place : str
        Where `show` shows it.
    text : str
        What was done.
    link : tuple of str, optional
        Page to lead to, and what the link is called.
    """
    st.session_state[_LAST] = _Answer(place, text, link, time.monotonic())


def show(place: str) -> None:
    """Show what the last press came to, for a while and however often the page is drawn anew."""
    last: _Answer | None = st.session_state.get(_LAST)
    if last is None or last.place != place:
        return
    if time.monotonic() - last.at > _SHOWN_SECONDS:
        del st.session_state[_LAST]
    elif isinstance(last.said, BraindashError):
        show_error(last.said)
    else:
        st.success(plain(last.said))
        if last.link is not None:
            st.page_link(last.link[0], label=last.link[1])


def show_error(problem: BraindashError) -> None:
    """Show an error with what to do next."""
    st.error(f"**{plain(problem.message)}**\n\n{plain(problem.hint)}", icon=":material/error:")
