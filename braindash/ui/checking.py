"""The check of a data set on a page: asked for, watched, shown."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from braindash.checking.report import DataReport, SubjectReport
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.manifest import load_manifest
from braindash.jobs.queue import Job
from braindash.ui import answers, choices, state, texts, widgets
from braindash.ui.explore import selecting
from braindash.ui.surfaces import surface_viewer
from braindash.ui.take_away import Take, set_take
from braindash.viewer.blobs import can_show
from braindash.views import checks as views
from braindash.work.checks import check_key, kept_ceilings, kept_report, queue_check

_PLACE = "check"
_SHOWN_FINDINGS = {"fault": st.error, "warning": st.warning}


def section() -> None:
    """Ask for a data set, and show whether it is right."""
    st.header("Is the data right?", anchor=False)
    st.caption(
        "Files, numbers and times of a data set, and whether the responses follow the sound: a "
        "wrong TR, a shifted onset, swapped stories and transposed arrays are named. No model is "
        "needed."
    )
    with widgets.guarded():
        manifest = choices.data("check")
        if manifest is None:
            st.info("Name a manifest to check its data.")
            return
        dataset = load_manifest(manifest)
        subjects = _choose_subjects(dataset)
        key = check_key(dataset, subjects)
        report = kept_report(key, state.store())
        if report is None:
            _offer(dataset, subjects, key)
        else:
            _show(report, dataset, key)


def _choose_subjects(dataset: Dataset) -> tuple[str, ...]:
    every = dataset.subjects
    if len(every) == 1:
        return every
    options = [*every, selecting.ALL_SUBJECTS]
    if st.session_state.get("check_subject") not in options:
        st.session_state["check_subject"] = every[0]  # another data set was chosen
    chosen = st.selectbox("Subject", options, key="check_subject")
    return every if chosen == selecting.ALL_SUBJECTS else (chosen,)


# ---- asked for and watched ----------------------------------------------------------------------


def _job(key: str) -> Job | None:
    return next((job for job in state.queue().list() if job.key == key), None)


def _offer(dataset: Dataset, subjects: Sequence[str], key: str) -> None:
    job = _job(key)
    if job is not None and job.state in widgets.ACTIVE:
        _watch(key)
        return
    answers.show(_PLACE)
    if job is not None and job.state == "failed":
        st.error(f"**{texts.plain(job.error or '')}**\n\n{texts.plain(job.hint or '')}")
    st.button("Check this data", type="primary", key="check", on_click=_start,
              args=(dataset, subjects))  # fmt: skip


def _start(dataset: Dataset, subjects: Sequence[str]) -> None:
    with answers.answering(_PLACE):
        queue_check(dataset, subjects, state.store())


def _cancel(key: str) -> None:
    with answers.answering(_PLACE):
        state.queue().cancel(key)


@st.fragment(run_every=1.0)
def _watch(key: str) -> None:
    """Draw the job's progress, and the page again when it has ended."""
    job = _job(key)
    if job is None or job.state not in widgets.ACTIVE:
        st.rerun(scope="app")
        return
    state.queue().ensure_worker()
    widgets.job_progress(job)
    st.button("Cancel", key="check_cancel", on_click=_cancel, args=(key,))


# ---- shown --------------------------------------------------------------------------------------


def _show(report: DataReport, dataset: Dataset, key: str) -> None:
    if dataset.simulated:
        widgets.simulated_stamp()
    if len(report.subjects) > 1:
        st.dataframe(views.subject_table(report), hide_index=True, height="content")
    names = {one.subject: one for one in report.subjects}
    one = report.subjects[0]
    if len(names) > 1:
        if st.session_state.get("checked_subject") not in names:
            st.session_state["checked_subject"] = one.subject
        one = names[st.selectbox("Report of", list(names), key="checked_subject")]
    _show_subject(one, dataset, key)


def _show_subject(one: SubjectReport, dataset: Dataset, key: str) -> None:
    faults = len(one.faults())
    warnings = sum(found.verdict == "warning" for found in one.findings)
    if not faults:
        st.success(
            f"**{one.subject}: nothing is wrong**"
            + (f", {warnings} warnings" if warnings else "")
            + f" · {len(one.stories)} stories, {one.rows} rows, {one.audio_seconds / 60:.0f} min",
            icon=":material/check_circle:",
        )
    for found in one.findings:
        show = _SHOWN_FINDINGS.get(found.verdict)
        if show is not None:
            show(f"**{found.message}**\n\n{found.hint}")
    figure = views.lag_figure(one, simulated=dataset.simulated)
    source = f"Check of {dataset.name}, {one.subject}"
    if figure is not None:
        widgets.chart(figure, "lag_scan")
        line = views.lag_line(one)
        taken = _take(dataset, "lag-scan", f"{source}: responses and sound by lag", figure=figure)
        widgets.told(line, [], [taken], source=(source, [line]))
    stories = views.story_table(one)
    st.dataframe(stories, hide_index=True, height="content")
    verdicts = views.finding_table(one)
    with st.expander("Every verdict"):
        st.dataframe(verdicts, hide_index=True, height="content")
    tables = [
        _take(dataset, "stories", f"{source}: stories", table=stories, label="Take stories away"),
        _take(
            dataset, "verdicts", f"{source}: verdicts", table=verdicts, label="Take verdicts away"
        ),
    ]
    told = f"{one.rows} rows of {len(one.stories)} stories."
    widgets.told(told, [], tables, source=(source, [told]))
    _show_ceilings(one, dataset, key)


def _take(dataset: Dataset, name: str, title: str, **what: Any) -> Take:
    return Take(name, title, (), dataset.simulated, **what)


def _show_ceilings(one: SubjectReport, dataset: Dataset, key: str) -> None:
    if one.ceiling is None:
        return
    told = f"Noise ceiling ({one.ceiling_source}): median {one.ceiling:.2f}"
    if one.ceiling_share is not None:
        told += f", {one.ceiling_share:.0%} of the targets above 0.4"
    ceilings = kept_ceilings(key, one.subject, state.store())
    if ceilings is not None and can_show(dataset.space, len(ceilings)):
        maps = views.ceiling_map(ceilings, dataset.space, simulated=dataset.simulated)
        surface_viewer(
            maps,
            key="check_ceilings",
            identity=f"ceilings {key} {one.subject}",
            height=380,
        )
        name = f"Noise ceilings of {dataset.name}, {one.subject}"
        widgets.told(f"{told}.", [], [set_take(maps, "ceilings", name)], source=(name, [told]))
        return
    st.caption(f"{told}.")
