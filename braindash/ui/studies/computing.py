"""What of a study is missing, on the page: looked up, estimated, queued; studies that are added."""

from pathlib import Path

import pandas as pd
import streamlit as st

from braindash.demo.study import demo_study
from braindash.progress import NoProgress
from braindash.studies.record import StudyRecord, note_study
from braindash.studies.study import Study, StudyPlan, Wanted
from braindash.ui import answers, state, widgets
from braindash.work.studies import StudyNeeds, queue_study, study_needs

DEMO = "demo"
FILE_HELP = (
    "A TOML file that names data, subjects, models and comparisons; the how-to Studies shows one. "
    "Its data and models are looked up, nothing is computed."
)
_PLACE = "study"


def load(source: str) -> Study:
    """Load a study by its file, or the embedded one."""
    if source == DEMO:
        return demo_study(state.store(), NoProgress())
    return Study.load(source)


def source_of(record: StudyRecord) -> str:
    """Return what :func:`load` takes to load the study of a record again."""
    demo = state.store().demo_folder
    return DEMO if Path(record.file).parent == demo else record.file


def _look_up(source: str) -> None:
    with answers.answering(_PLACE):
        place = source if source == DEMO else str(state.resolve_inside_roots(source))
        record = note_study(load(place).plan(state.store()), state.store())
        state.set_choices({"study": record.name})


def _queue(source: str) -> None:
    with answers.answering(_PLACE):
        plan = load(source).plan(state.store())
        note_study(plan, state.store())
        count = len(queue_study(plan, state.store()))
        text = f"{count} jobs are queued. They go on when you close the browser."
        answers.say(_PLACE, text, ("pages/compute/jobs.py", "Watch them"))


def show_answer() -> None:
    """Show what went wrong after a button was pressed, or what was queued."""
    answers.show(_PLACE)


def add_study(*, has_demo: bool) -> None:
    """Offer to look up a study's file, and the embedded study where it is not listed yet."""
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    source = left.text_input(
        "Study file", placeholder="study.toml", help=FILE_HELP, key="study_file"
    )
    right.button(
        "Look it up", on_click=_look_up, args=(source,), disabled=not source, key="study_look"
    )
    if not has_demo:
        st.button(
            "Look up the embedded study (simulated)",
            icon=":material/science:",
            on_click=_look_up,
            args=(DEMO,),
            key="study_demo",
        )


@st.cache_data(ttl=60, max_entries=8, show_spinner="Looking at data, models and cache")
def _needs(source: str, text: str, missing: int, root: str) -> StudyNeeds:
    plan: StudyPlan = load(source).plan(state.store())
    return study_needs(plan, state.store())


def show_stored(record: StudyRecord, missing: tuple[Wanted, ...], *, simulated: bool) -> None:
    """Say in one row how many results are stored, and whether they are simulated."""
    n_all = record.n_results
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f"**{n_all - len(missing)} of {n_all}** results are stored.", width="content")
        if simulated:
            widgets.simulated_stamp()


def show_missing(record: StudyRecord, missing: tuple[Wanted, ...], *, changed: bool) -> None:
    """Say what of a study is missing, or has changed; estimate and queue the rest."""
    source = source_of(record)
    has_file = source == DEMO or Path(record.file).is_file()
    if changed:
        st.info("The study's file was changed since it was looked up.", icon=":material/info:")
        st.button("Look it up again", on_click=_look_up, args=(source,), key="study_again")
    if not missing:
        return
    with st.expander(f"Missing: {len(missing)}"):
        rows = [
            {
                "what": one.kind,
                "model": one.model,
                "subject": one.subject or "-",
                "protocol": one.preset or "-",
                "varied": one.varied() or "-",
            }
            for one in missing
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    if not has_file:
        st.caption("The study's file is not on this machine, so that the rest cannot be computed.")
        return
    with st.container(horizontal=True):
        if st.button("What would it take?", key="study_cost"):
            with widgets.guarded():
                found = _needs(source, record.text, len(missing), str(state.store().root))
                for line in found.lines():
                    st.caption(line)
        st.button(
            f"Compute {len(missing)} missing results",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_queue,
            args=(source,),
            key="study_compute",
        )
    widgets.running_jobs(follow_results=True)
