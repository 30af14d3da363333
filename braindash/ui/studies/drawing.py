"""The figures of a study on the page, each with its line and what can be taken away."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import streamlit as st

from braindash.exports.report.build import Report
from braindash.exports.results import Item
from braindash.exports.studies.items import StudyFigures
from braindash.exports.studies.page import study_page
from braindash.studies.record import StudyRecord
from braindash.ui import widgets
from braindash.ui.take_away import Take
from braindash.views.pictures import picture_png

_MOST_NOTES = 8  # of a figure that is drawn as narrow as a phone is
_MOST_ROWS = 20_000  # that are listed; tables of single targets are taken away
_PAGE_HELP = (
    "One HTML file with every figure that the stored results allow, their numbers, methods and "
    "provenance. It opens from disk, without a server or a network."
)


def identity(figures: StudyFigures) -> tuple[object, ...]:
    """Name all that the figures depend on."""
    spread = figures.spread
    return (figures.results.identity, figures.chosen, spread, figures.task)


def scrolled_if_wide(figure: Any, key: str) -> AbstractContextManager[Any]:
    """Return where a figure stands with what is told of it; a wide one is scrolled on a phone.

    Panels beside each other, or many notes, have no room there (frame.css). What is told has
    buttons, by which a keyboard comes into what is scrolled.
    """
    beside = len({axis.domain for axis in figure.select_xaxes()}) > 1
    is_wide = beside or len(figure.layout.annotations) > _MOST_NOTES
    return st.container(key=f"wide_{key}") if is_wide else nullcontext()


def show_figure(figures: StudyFigures, name: str) -> None:
    """Draw a figure of a study with its tables."""
    items = widgets.kept(
        ("study", figures.results.tables.name, name, identity(figures)),
        lambda: figures.make(name),
    )
    for item in items:
        if item.figure is not None:
            key = f"study_{item.name}"
            with scrolled_if_wide(item.figure, key):
                widgets.chart(item.figure, key)
                _told(item)
        elif item.picture is not None:
            with st.spinner("Drawing maps"):
                st.image(_picture(item.name, (*identity(figures), item.source.title), item))
            _told(item)
    for item in (one for one in items if one.figure is None and one.table is not None):
        with st.expander(item.source.title):
            if item.table is not None and len(item.table) <= _MOST_ROWS:
                st.dataframe(item.table, hide_index=True)
            _told(item)
    if not items:
        st.info("The stored results leave nothing to draw here.")


@st.cache_data(max_entries=24, show_spinner=False)
def _picture(name: str, asked: tuple[object, ...], _item: Item) -> bytes:
    assert _item.picture is not None  # the caller looked
    return picture_png(_item.picture())


def _told(item: Item) -> None:
    source, draw = item.source, item.picture
    taken = Take(
        item.name,
        source.title,
        source.keys,
        source.simulated,
        figure=item.figure,
        picture=None if draw is None else lambda: (source.title, draw),
        table=item.table,
    )
    widgets.told(source.line, source.details, [taken])


@st.cache_resource(max_entries=2, show_spinner="Drawing every figure")
def _page(asked: str, _figures: StudyFigures, _record: StudyRecord) -> Report:
    return study_page(_figures, _record)


@st.fragment
def page_control(figures: StudyFigures, record: StudyRecord) -> None:
    """Offer the study as one HTML file, made when it is asked for."""
    asked = repr((record.name, record.written, identity(figures)))
    with st.popover(
        "Page of this study", icon=":material/description:", help=_PAGE_HELP, key="study_page"
    ):
        if st.button("Make the page", type="primary", key="study_make"):
            st.session_state["study_page_asked"] = asked
        if st.session_state.get("study_page_asked") != asked:
            return
        with widgets.guarded():
            made = _page(asked, figures, record)
            st.caption(" · ".join(made.lines()))
            st.download_button(
                "Save the page",
                made.html,
                file_name=f"braindash-study-{record.name}.html",
                mime="text/html",
                icon=":material/download:",
                on_click="ignore",
                key="study_save",
            )
