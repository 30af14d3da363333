"""Small parts that several pages share."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from braindash.errors import BraindashError
from braindash.jobs import Job
from braindash.launch import submit_demo
from braindash.progress import spoken_duration
from braindash.results import EncodingResult
from braindash.ui import state

ACTIVE = ("queued", "running")
_COLOURS = {
    "queued": "gray",
    "running": "blue",
    "done": "green",
    "failed": "red",
    "cancelled": "orange",
}


@contextmanager
def page(title: str, introduction: str) -> Iterator[None]:
    """Draw a page's head, and show a known error as a message instead of a traceback."""
    st.title(title, anchor=False)
    st.caption(introduction)
    try:
        yield
    except BraindashError as problem:
        show_error(problem)


def show_error(problem: BraindashError) -> None:
    """Show an error with what to do next."""
    st.error(f"**{problem.message}**\n\n{problem.hint}", icon=":material/error:")


def simulated_stamp() -> None:
    """Mark everything below as made by a generator."""
    st.warning(
        "**Simulated data.** The speech is synthetic and the brain responses come from a "
        "generator: this shows that the pipeline runs and can find such an effect. It is not "
        "evidence about brains.",
        icon=":material/science:",
    )


def provenance(result: EncodingResult) -> None:
    """Write the provenance line under a figure."""
    st.caption(result.provenance_line())


def _start_demo() -> None:
    try:
        submit_demo(state.store())
    except BraindashError as problem:
        st.session_state["start_problem"] = problem


def empty_store() -> None:
    """Say what to do when there is nothing to show yet."""
    st.subheader("Nothing computed yet", anchor=False)
    st.markdown(
        "Start with the embedded demo: three simulated subjects listening to synthetic stories, "
        "and a tiny speech model. It is computed on this machine, offline, in a few minutes, "
        "through the same code as real data."
    )
    problem = st.session_state.pop("start_problem", None)
    if problem is not None:
        show_error(problem)
    if not any(job.task == "demo" and job.state in ACTIVE for job in state.queue().list()):
        st.button(
            "Compute the demo",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start_demo,
            key="start_demo",
        )
    st.page_link("pages/compute/run.py", label="Or score a model on your own data")
    running_jobs(follow_results=True)


def running_jobs(*, follow_results: bool = False) -> None:
    """Show the jobs under way, live; optionally rerun the page when a result appears."""

    @st.fragment(run_every=1.0)
    def live() -> None:
        active = [job for job in state.queue().list() if job.state in ACTIVE]
        for job in active:
            job_progress(job)
        if active:
            state.queue().ensure_worker()
        now = (len(active), len(state.store().entries("encoding")))
        before = st.session_state.setdefault("seen_work", now)
        st.session_state["seen_work"] = now
        if follow_results and before != now:
            st.rerun(scope="app")

    if any(job.state in ACTIVE for job in state.queue().list()):
        live()


def job_progress(job: Job) -> None:
    """Draw one job's bar, message and remaining time."""
    eta = job.eta_seconds()
    remaining = f" · about {spoken_duration(eta)} left" if job.state == "running" and eta else ""
    st.progress(
        min(1.0, max(0.0, job.progress)),
        text=f"{job.title}: {job.message or job.state}{remaining}",
    )


def state_badge(job: Job) -> None:
    """Draw a job's state as a coloured badge."""
    st.badge(job.state, color=_COLOURS[job.state])  # type: ignore[arg-type]
