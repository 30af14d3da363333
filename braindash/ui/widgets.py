"""Small parts that several pages share."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from braindash.core.statistics.words import counted
from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.nulls.panel import null_line, null_panel, null_warnings
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, Group
from braindash.encoding.several.tested import TargetDifference, stored_difference, untestable
from braindash.encoding.shares import low_level_line, low_level_shares
from braindash.errors import AccessError, BraindashError, InputError
from braindash.jobs.queue import Job
from braindash.progress import spoken_duration
from braindash.ui import answers, frame, region_sets, state, surfaces
from braindash.ui.explore import selecting
from braindash.ui.take_away import Take, control, take
from braindash.ui.texts import MESH_HELP, plain
from braindash.ui.visitors import sign_in
from braindash.ui.visitors.rights import visitor
from braindash.viewer.drawn import drawable
from braindash.views import tables
from braindash.views.captions import (
    figure_words,
    keys_line,
    provenance_line,
    short_line,
    subject_lines,
)
from braindash.views.curves import difference_curves, enlarged, share_curves
from braindash.work.differences import queue_difference
from braindash.work.submit import submit_demo

ACTIVE = ("queued", "running")
_START = "start"
_SHOWN = "jobs_shown"
_COLOURS = {
    "queued": "gray",
    "running": "blue",
    "done": "green",
    "failed": "red",
    "cancelled": "orange",
}


_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")
CHART = {"displayModeBar": False}
_USUAL_HEIGHT = 450  # of a figure that does not say, in pixels


@contextmanager
def page(title: str, introduction: str, *, computes: bool = False) -> Iterator[None]:
    """Draw a page's head, and show a known error as a message instead of a traceback.

    Whom the page is not for gets to know why, and nothing of it.

    Parameters
    ----------
    title : str
        Of the page.
    introduction : str
        What it is for.
    computes : bool, default False
        Whether it starts or stops work: then it is for those who may.
    """
    who = visitor()
    surfaces.await_nothing()
    if who.may_see:
        frame.head(title, introduction, sign_in.identity)
    answers.show(sign_in.PLACE)
    if not who.may_see:
        frame.style()
        sign_in.welcome(who)
        st.stop()
    if computes and not who.may_compute:
        sign_in.refuse(who)
        st.stop()
    region_sets.forget()
    st.session_state[_SHOWN] = False
    with guarded():
        yield
    _follow_regions()


@contextmanager
def guarded() -> Iterator[None]:
    """Show a known error as a message; for a page's parts that are drawn again by themselves."""
    try:
        yield
    except BraindashError as error:
        answers.show_error(error)


def part(draw: Callable[_Given, None]) -> Callable[_Given, None]:
    """Make a part of a page that is drawn again by itself when one of its controls is used."""

    @st.fragment
    @wraps(draw)
    def drawn(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        with guarded():
            draw(*args, **kwargs)

    return drawn


def chart(figure: Any, key: str) -> None:
    """Draw a figure of plotly as wide as its place, without a bar of buttons over its points.

    On a browser's first visit it comes when the brains are drawn that stand before it, by itself.
    """
    if surfaces.brains_awaited():
        _chart_after_brains(figure, key)
    else:
        _chart(figure, key)


def _chart(figure: Any, key: str) -> None:
    st.plotly_chart(for_audience(figure), key=key, config=CHART, alt=figure_words(figure))


def for_audience(figure: Any) -> Any:
    """Return a figure as it is shown: with letters for three metres where somebody presents."""
    return enlarged(figure) if frame.presenting() else figure


@st.fragment
def _chart_after_brains(figure: Any, key: str) -> None:
    if surfaces.brains_awaited():
        surfaces.await_brains(key, figure.layout.height or _USUAL_HEIGHT)
    else:
        _chart(figure, key)


def kept(identity: Hashable, make: Callable[[], _Made]) -> _Made:
    """Return a figure, made once per server for what ``identity`` names; it must not be changed.

    Parameters
    ----------
    identity : hashable
        Names all that the figure depends on.
    make : callable
        Makes it, or a figure and what belongs to it.
    """
    found: _Made = _kept(repr(identity), make)
    return found


@st.cache_resource(max_entries=128, show_spinner=False)
def _kept(identity: str, _make: Callable[[], _Made]) -> _Made:
    return _make()


def _follow_regions() -> None:
    """Say that intervals are being computed, and draw the page again when they are there."""
    waited = region_sets.pending()
    if not waited:
        return
    unasked = [state for state in waited.values() if state == region_sets.NOT_ASKED]
    if unasked:
        st.caption(
            f"Means are shown without intervals: those of this region set and side are not in the "
            f"store. Somebody who may compute makes them by looking at this page, or with "
            f"`braindash show KEY --regions {st.session_state[region_sets.SET]}`."
        )
    failed = [state for state in waited.values() if state not in (*ACTIVE, region_sets.NOT_ASKED)]
    if len(failed) + len(unasked) < len(waited):
        st.caption(
            "Means are shown without intervals: those of this region set and side are being made "
            "from the stored predictions, once; the page is drawn again when they are there."
        )
        if not st.session_state[_SHOWN]:
            running_jobs(follow_results=True)
    if failed:
        st.warning(
            "The intervals of this region set could not be computed for "
            f"{counted(len(failed), 'result')}: the page Jobs has the reason."
        )


def difference_tests(pair: Difference) -> TargetDifference | None:
    """Return the tests of every target's difference; ask for them where they are lacking.

    None where there are none yet, or cannot be any; the page says so, and is drawn again when
    they are there.
    """
    if reason := untestable(pair):
        st.caption(f"Differences of single targets are not tested: {plain(reason)}.")
        return None
    found = stored_difference(pair, state.store())
    if found is not None:
        return found
    try:
        job = queue_difference(pair, state.store())
    except AccessError:
        st.caption(
            "Differences of single targets are not tested: somebody who may compute makes the "
            "tests by looking at this page."
        )
        return None
    if job is None:
        st.caption(
            "Differences of single targets are not tested: the predictions of both results have "
            "to be in the store."
        )
    elif job.state not in ACTIVE:
        st.warning(
            "The differences of single targets could not be tested: the page Jobs has the reason."
        )
    else:
        st.caption(
            "The differences of single targets are being tested from the stored predictions, once; "
            "the page is drawn again when that is done, and shows all of them until then."
        )
        if not st.session_state[_SHOWN]:
            running_jobs(follow_results=True)
    return None


def damaged(folders: Mapping[str, str]) -> None:
    """List folders that cannot be read, with what is wrong; nothing when there are none."""
    if folders:
        with st.expander(f"Damaged and not shown: {len(folders)}", icon=":material/warning:"):
            st.markdown("Delete or move these folders, and compute what they held again.")
            for folder, problem in folders.items():
                st.code(f"{folder}\n{problem}", language=None)


def damaged_results() -> None:
    """List the results that cannot be read; nothing when there are none."""
    damaged(state.damaged_folders())


def simulated_stamp() -> None:
    """Mark everything below as made by a generator, in one line."""
    st.markdown(
        ":orange-badge[:material/science: SIMULATED DATA] Synthetic speech, and responses that "
        "come from a generator: no evidence about brains."
    )


def provenance(
    group: Group,
    ceiling: str | None = None,
    *notes: str,
    again: bool = False,
    details: Sequence[str] = (),
    taken: Sequence[Take] = (),
) -> None:
    """Write one line of provenance under a figure; the rest opens behind "Details".

    Parameters
    ----------
    group : Group
        The results in the figure.
    ceiling : str, optional
        The noise ceiling that is used; the default one when left out.
    *notes : str
        What else to say, such as what the intervals are.
    again : bool, default False
        Whether another figure of the page has the same provenance: then only the keys and the
        notes are written.
    details : sequence of str, optional
        Notes that are behind "Details" in any case.
    taken : sequence of Take, optional
        What can be taken away.
    """
    lines = [provenance_line(group, ceiling)]
    if group.n_subjects > 1:
        lines += subject_lines(group, ceiling)
    if again:
        line = " · ".join([keys_line(group), *notes])
        told(line, details, taken, source=(short_line(group), [*notes, *details, *lines]))
        return
    told(short_line(group), [*notes, *details, *lines], taken)


def chosen_by_ceiling(selection: selecting.Selection, groups: Sequence[Group]) -> list[str]:
    """Say what the threshold on the ceiling chose, where scores are divided by it."""
    if not selection.normalised:
        return []
    lines = [selections_line(one.results, selection.ceiling_for(one)) for one in groups]
    return [line for line in dict.fromkeys(lines) if line]


def told(
    line: str,
    details: Sequence[str],
    taken: Sequence[Take] = (),
    *,
    source: tuple[str, Sequence[str]] | None = None,
) -> None:
    """Write a line under a figure, and behind "Details" what only some readers look for.

    Parameters
    ----------
    line : str
        Always seen.
    details : sequence of str
        Lines of their own.
    taken : sequence of Take, optional
        What can be taken away.
    source : (str, sequence of str), optional
        Line and details that stand in files, where the page has them with another figure.
    """
    if not details and not taken:
        st.caption(plain(line))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(plain(line), width="content")
        if details:
            with st.popover("Details", type="tertiary"):
                for one in details:
                    st.caption(plain(one))
        if taken:  # beside each other, however wide the page is
            with st.container(horizontal=True, gap="small", width="content"):
                for offered in taken:
                    control(offered, *(source or (line, details)))


def pair_models(selection: selecting.Selection) -> Difference | None:
    """Pair the two chosen models; say why where they cannot be compared."""
    try:
        return selection.difference()
    except InputError as error:
        answers.show_error(error)
        return None


_MESHES = {
    "own": "the subject's own",
    "fsLR32k": "fsLR 32k",
    "fsaverage6": "fsaverage6 (fine)",
}


def choose_mesh(result: EncodingResult | Group) -> str:
    """Ask on which mesh something is drawn, where there are several; empty for the usual one."""
    known = drawable(result.space, result.surface)
    if len(known) < 2:
        return ""
    return state.choose(
        "Surface",
        list(known),
        "mesh",
        show=lambda name: _MESHES.get(name, name),
        help=MESH_HELP,
        width=180,
    )


def difference_by_layer(
    selection: selecting.Selection,
    pair: Difference,
    regions: list[str],
    *,
    bands: bool = True,
    relative: bool = False,
) -> None:
    """Draw A minus B of every layer with its paired interval, where both have the same layers."""
    st.header("A minus B", anchor=False)
    ceiling = selection.ceiling_for(pair.b)
    try:
        table = state.difference_table(pair, selection.normalised, ceiling)
    except InputError as error:
        st.info(plain(f"{error.message}. {error.hint}"))
        return
    identity = (pair.a.identity, pair.b.identity, ceiling, selection.score, regions)
    figure = kept(
        ("difference", *identity, relative, bands),
        lambda: difference_curves(
            table,
            regions,
            score=selection.score,
            relative_depth=relative,
            show_intervals=bands,
        ),
    )
    chart(figure, "difference")
    other = f"{pair.a.model} minus {pair.b.model} ({keys_line(pair.b)})"
    ceiling = selection.ceiling_for(pair.a)
    chosen = chosen_by_ceiling(selection, [pair.a, pair.b])
    lines = [line for line in (pair.interval_line(), pair.family_line(), *chosen) if line]
    taken = take(
        [pair.a, pair.b],
        "difference",
        f"{pair.a.model} minus {pair.b.model}, by layer and region",
        figure=figure,
        table=table.assign(difference_of=selection.score, interval="; ".join(lines)),
    )
    details = [pair.interval_line(), *chosen]
    provenance(pair.a, ceiling, other, again=True, details=details, taken=[taken])
    _listed_differences(table, regions, lines)


@part
def _listed_differences(table: pd.DataFrame, regions: list[str], lines: list[str]) -> None:
    """List differences when somebody opens the list."""
    with st.expander(
        "Differences by layer and region", key="listed", on_change="rerun", bind="query-params"
    ) as place:
        if place.open:
            st.dataframe(tables.difference_by_layer(table, regions))
            st.caption(". ".join([*lines, "Shaded: the interval does not hold 0."]))


def stage_summary(
    selection: selecting.Selection, group: Group, pair: Difference | None, regions: list[str]
) -> None:
    """Show at which depth a model holds what each region needs; with a pair both, and A minus B.

    Parameters
    ----------
    selection : Selection
        Which score.
    group : Group
        Model A.
    pair : Difference or None
        A and B.
    regions : list of str
        Rows, in this order.
    """
    st.header("Stage summary", anchor=False)
    groups = [group] if pair is None else [pair.a, pair.b]
    names = list(selection.model_names)
    if pair is not None:  # of one model with itself both would be called the same
        names = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]
    named = list(zip(names, groups, strict=False))
    flat = [name for name, one in named if one.first.n_layers < 2]
    if flat:
        st.caption(f"{' and '.join(flat)}: one layer, so there is no depth to sum up.")
    deep = [(name, one) for name, one in named if one.first.n_layers > 1]
    if not deep:
        return
    score = selection.normalised
    sides = [
        tables.StageSide(
            name, state.stages(one, score, selection.ceiling_for(one)), one.first.n_layers - 1
        )
        for name, one in deep
    ]
    difference = None
    if pair is not None and not flat:
        difference = state.stage_differences(pair, score, selection.ceiling_for(pair.b))
    table = kept(
        ("stages", *(one.identity for one in groups), selection.score, selection.ceiling, names,
         regions),
        lambda: tables.stage_table(sides, regions, difference),
    )  # fmt: skip
    st.dataframe(table, hide_index=True, height="content")
    line = deep[0][1].interval_line() if pair is None or flat else pair.stages_line()
    layer = "" if difference is None else " A difference of preferred layers is one of depths."
    parts = [side.table.assign(model=one.model) for side, (_, one) in zip(sides, deep, strict=True)]
    if difference is not None:
        parts.append(difference.assign(model="A minus B", estimate=difference["difference"]))
    taken = take(
        groups,
        "stages",
        "Stage summary: depth, preferred layer and late-layer drop",
        table=pd.concat(parts, ignore_index=True).assign(score=selection.score, interval=line),
    )
    told(
        "Score-weighted depth: 0 is the first layer, 1 the last. Late-layer drop: score at the "
        "best layer minus score at the last one.",
        [f"{line}{layer}"],
        [taken],
        source=(" · ".join(map(short_line, groups)), [f"{line}{layer}"]),
    )


def low_level(group: Group, regions: list[str], *, relative: bool) -> None:
    """Show the share of the score that low-level features explain, where it was computed."""
    first = group.first
    table = kept(("low level", first.identity), lambda: low_level_shares(first))
    if table is None:
        return
    st.header("Share explained by low-level features", anchor=False)
    if group.n_subjects > 1:
        st.info("Choose one subject to see it.")
        return
    figure = kept(
        ("low level", first.identity, regions, relative),
        lambda: share_curves(table, regions, relative_depth=relative),
    )
    chart(figure, "low_level")
    title = "Share explained by low-level features"
    taken = take([group], "low-level", title, figure=figure, table=table)
    provenance(group, None, low_level_line(group.first), again=True, taken=[taken])


def nulls(group: Group, regions: list[str]) -> None:
    """Show what nulls score, where that was computed; warn where time alone does."""
    table = null_panel(group.first)
    if table is None:
        return
    for one in group.results:
        for text in null_warnings(one):
            st.warning(f"{one.subject}: {text}", icon=":material/warning:")
    st.subheader("Null panel", anchor=False)
    if group.n_subjects > 1:
        st.info("Choose one subject to see it.")
        return
    st.dataframe(tables.null_cells(table, regions), hide_index=True, height="content")
    taken = take([group], "nulls", "What nulls score", table=table)
    provenance(group, None, null_line(group.first), taken=[taken])


def _start_demo() -> None:
    with answers.answering(_START):
        submit_demo(state.store())


def empty_store() -> None:
    """Say what to do when there is nothing to show yet."""
    st.header("Nothing computed yet", anchor=False)
    answers.show(_START)
    if visitor().may_compute:
        _offer_first_work()
    else:
        st.markdown("Results show here as soon as somebody who may compute has made some.")
    damaged_results()
    running_jobs(follow_results=True)


def _offer_first_work() -> None:
    st.markdown(
        "Start with the embedded demo: three simulated subjects listening to synthetic stories, "
        "and a tiny speech model before and after brain-tuning. It is computed on this machine, "
        "offline, in a few minutes, through the same code as real data; results show as they come."
    )
    if not any(job.command == "demo" and job.state in ACTIVE for job in state.queue().list()):
        st.button(
            "Compute the demo",
            type="primary",
            icon=":material/play_arrow:",
            on_click=_start_demo,
            key="start_demo",
        )
    st.page_link("pages/compute/run.py", label="Or score a model on your own data")


def compute_link(place: str, label: str, **options: Any) -> None:
    """Lead to a page that starts work, where the visitor may do that."""
    if visitor().may_compute:
        st.page_link(place, label=label, **options)


def running_jobs(*, follow_results: bool = False) -> None:
    """Show the jobs under way, live; optionally rerun the page when a result appears."""
    st.session_state[_SHOWN] = True

    @st.fragment(run_every=1.0)
    def live() -> None:
        active = [job for job in state.jobs().list() if job.state in ACTIVE]
        for job in active:
            job_progress(job)
        if active:
            state.queue().ensure_worker()
        now = (len(active), len(state.result_rows()))
        before = st.session_state.setdefault("seen_work", now)
        st.session_state["seen_work"] = now
        if follow_results and before != now:
            st.rerun(scope="app")

    if work_under_way():
        live()


def work_under_way() -> bool:
    """Say whether a job waits or runs."""
    return any(job.state in ACTIVE for job in state.jobs().list())


def job_progress(job: Job) -> None:
    """Draw one job's bar, message and remaining time."""
    eta = job.eta_seconds()
    remaining = f" · about {spoken_duration(eta)} left" if job.state == "running" and eta else ""
    st.progress(
        min(1.0, max(0.0, job.progress)),
        text=plain(f"{job.title}: {job.message or job.state}{remaining}"),
    )


def state_badge(job: Job) -> None:
    """Draw a job's state as a coloured badge."""
    st.badge(job.state, color=_COLOURS[job.state])  # type: ignore[arg-type]
