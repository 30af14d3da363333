"""Many models, subjects and settings as one thing: choose a study, see its figures."""

import streamlit as st

from braindash.studies.record import StudyRecord
from braindash.ui import state, texts, widgets
from braindash.ui.explore import selecting
from braindash.ui.studies import computing, drawing, looking
from braindash.ui.visitors.rights import visitor

INTRODUCTION = "Many models, subjects and settings at once, from one file."


def choose_study(known: list[StudyRecord]) -> StudyRecord:
    """Ask for the study, and offer to add another."""
    looking.follow_link(known)
    by_name = {one.name: one for one in known}
    with selecting.selection_bar():
        name = state.choose(
            "Study",
            list(by_name),
            "study",
            show=lambda one: by_name[one].tables.title,
            width=420,
        )
        looking.choose_regions(by_name[name])
        if visitor().may_compute:
            with st.popover("Add a study", icon=":material/add:"):
                computing.add_study(has_demo=computing.DEMO in by_name)
    return by_name[name]


def show(record: StudyRecord) -> None:
    """Draw the state and the figures of a study."""
    if record.tables.note:
        st.caption(texts.plain(record.tables.note))
    results = looking.open_results(record)
    computing.show_stored(record, results.missing, simulated=results.simulated)
    if visitor().may_compute:
        computing.show_missing(record, results.missing, changed=looking.changed_since(record))
    if not results.groups and not results.probings:
        st.info("Nothing of this study is stored yet: its figures come with the first results.")
        return
    for note in results.notes:
        st.warning(texts.plain(note))
    figures = looking.choose_figures(results)
    if not figures.names:
        st.info("The stored results allow no figure yet: an encoding of a model comes first.")
        return
    drawing.show_figure(figures, looking.choose_figure(figures))
    drawing.page_control(figures, record)


with widgets.page("Studies", INTRODUCTION):
    computing.show_answer()
    found, damaged = looking.records()
    if found:
        show(choose_study(found))
    else:
        st.header("No study yet", anchor=False)
        st.markdown(texts.NO_STUDY)
        if visitor().may_compute:
            computing.add_study(has_demo=False)
    widgets.damaged(damaged)
    with st.expander("What is a study, and how are these numbers computed?"):
        st.markdown(texts.STUDIES)
