"""Watch work: progress, time left, log, cancel, retry."""

import streamlit as st

from braindash.jobs.queue import Job
from braindash.progress import spoken_duration
from braindash.ui import answers, state, widgets
from braindash.ui.texts import plain

INTRODUCTION = (
    "Jobs run in a process of their own: close the browser or stop the server, they go on."
)
# Where results of each kind are shown.
RESULT_PAGES = {
    "encoding": ("pages/explore/overview.py", "Open the encoding result"),
    "probing": ("pages/explore/probes.py", "Open the probing result"),
    "checks": ("pages/explore/data.py", "See the report"),
    "tuning": ("pages/compute/tuning.py", "See the tuned model"),
}


def act(action: str, key: str) -> None:
    """Cancel or retry a job; both may be clicked twice without harm."""
    with answers.answering("jobs"):
        getattr(state.jobs(), action)(key)
        state.queue().ensure_worker()


def show(job: Job) -> None:
    """Draw one job."""
    with st.container(border=True):
        head, button = st.columns([5, 1], vertical_alignment="center")
        with head:
            st.markdown(f"**{plain(job.title)}**")
            widgets.state_badge(job)
            if job.asked_by:
                st.caption(f"Asked for by {plain(job.asked_by)}")
        with button:
            if job.state in widgets.ACTIVE:
                st.button("Cancel", key=f"cancel_{job.key}", on_click=act, args=("cancel", job.key))
            elif job.state in ("failed", "cancelled") and not job.damage:
                st.button("Go on", key=f"retry_{job.key}", on_click=act, args=("retry", job.key))
        if job.state in widgets.ACTIVE:
            widgets.job_progress(job)
        if job.error:
            st.error(plain(f"{job.error}\n\n{job.hint or ''}"))
        if job.state == "done" and job.finished and job.started:
            st.caption(f"Took {spoken_duration(job.finished - job.started)}.")
            open_results(job)
        if job.damage:
            return
        with st.expander("Log"):
            st.code(state.jobs().log_tail(job.key) or "The log is empty.", language=None)


def open_results(job: Job) -> None:
    """Lead to what a finished job made."""
    made = job.result or {}
    for one in (made, made.get("also") or {}):
        kind, keys = one.get("kind"), one.get("keys")
        if kind in RESULT_PAGES and keys:
            place, label = RESULT_PAGES[kind]
            st.page_link(place, label=label, query_params={"result": str(keys[0])[:8]})


@st.fragment(run_every=1.0)
def live() -> None:
    """Draw all jobs, newest first, and look again every second."""
    jobs = state.jobs().list()
    if not jobs:
        st.info("No jobs yet.")
        st.page_link("pages/compute/run.py", label="Start one")
    if any(job.state in widgets.ACTIVE for job in jobs):
        state.queue().ensure_worker()
    for job in jobs[:30]:
        show(job)


with widgets.page("Jobs", INTRODUCTION, computes=True):
    answers.show("jobs")
    live()
