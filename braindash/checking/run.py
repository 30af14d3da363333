"""Checks a data set, subject by subject; goes on after whatever cannot be used."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.checking import structure, values
from braindash.checking.lags import LagResult, scan_lags
from braindash.checking.peers import SharedRows, peer_ceilings, peer_findings, shared_rows
from braindash.checking.reading import (
    Columns,
    StoryData,
    ValueSummary,
    choose_columns,
    read_sounds,
    read_story,
    some_blocks,
    summarise,
)
from braindash.checking.report import (
    VERDICTS,
    DataReport,
    Finding,
    StoryReport,
    SubjectReport,
)
from braindash.core.ceilings import ceiling_threshold
from braindash.core.lag import Heard, Peak
from braindash.errors import BraindashError, InputError
from braindash.io.dataset.check import StoryCheck
from braindash.io.dataset.dataset import Dataset, is_own_space
from braindash.io.dataset.manifest import load_manifest
from braindash.io.regions.find import auditory_region
from braindash.progress import NoProgress, Progress, shared

logger = logging.getLogger(__name__)

# Numbers of a story that are summed up.
_SUMMED = 10_000_000


def check_data(
    data: Path | str | Dataset,
    subject: str | Iterable[str] | None = None,
    *,
    progress: Progress | None = None,
) -> DataReport:
    """Check whether a data set is right: its files, its numbers, its times against the sound.

    Nothing is computed from a speech model, and of large arrays only some targets are read. What
    cannot be used becomes a finding, and the check goes on.

    Parameters
    ----------
    data : Path, str or Dataset
        A manifest (TOML), or a folder that :func:`braindash.load_manifest` takes.
    subject : str or iterable of str, optional
        Whom to check; every subject when left out.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    DataReport
        ``verdict``, and per subject stories, findings and the lag scan; ``as_dict()`` is the JSON
        form of ``braindash data check --json``.

    Raises
    ------
    InputError
        The manifest cannot be read, or has no such subject.
    """
    dataset = data if isinstance(data, Dataset) else load_manifest(data)
    wanted = [subject] if isinstance(subject, str) else subject
    names = dataset.subjects if wanted is None else tuple(dict.fromkeys(wanted))
    for name in names:
        dataset.subject(name)
    spans = shared(progress or NoProgress(), [1.0] * len(names), [f"{name}: " for name in names])
    sounds: dict[Path, NDArray[np.float64]] = {}
    reports, heard, rows = [], {}, {}
    for name, span in zip(names, spans, strict=True):
        report, courses, rows[name] = _check_one(dataset, name, sounds, span)
        reports.append(report)
        heard[name] = courses
    told = peer_findings(heard)
    between = {} if is_own_space(dataset.space) else peer_ceilings(rows)
    reports = [
        _with_peers(_with_findings(one, told.get(one.subject, [])), between.get(one.subject, {}))
        for one in reports
    ]
    return DataReport(
        str(dataset.path), dataset.name, dataset.space, dataset.zscored, tuple(reports)
    )


def _check_one(
    dataset: Dataset, subject: str, sounds: dict[Path, NDArray[np.float64]], progress: Progress
) -> tuple[SubjectReport, dict[str, Heard], dict[str, SharedRows]]:
    """Check one subject; nothing that is wrong with it stops the others."""
    progress.advance(0, 1, "headers of all files")
    looked = structure.look(dataset, subject)
    try:
        one = _Subject(dataset, subject, looked, sounds, progress)
        return (*one.report(), one.shared)
    except BraindashError as error:
        if not isinstance(error, InputError):
            raise  # a wish to stop, or a machine that is too small: no fault of the data
        logger.info("the check of %s ends early: %s", subject, error.message)
        found = (*looked.findings, Finding("files", "fault", error.message, error.hint))
        return SubjectReport(subject, _bare(looked.stories), _sorted(found)), {}, {}


class _Subject:
    """One subject under check.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    looked : structure.Looked
        What the headers say.
    sounds : dict
        Loudness of recordings that other subjects heard as well; it grows.
    progress : Progress
        Receives reports.
    """

    def __init__(
        self,
        dataset: Dataset,
        subject: str,
        looked: structure.Looked,
        sounds: dict[Path, NDArray[np.float64]],
        progress: Progress,
    ) -> None:
        self._dataset, self._subject, self._looked = dataset, subject, looked
        self._sounds = sounds
        # About how long each takes beside the others.
        self._hearing, self._reading, self._ceilings, self._lags = shared(
            progress, (0.3, 0.4, 0.15, 0.15)
        )
        self._findings = list(looked.findings)
        self.shared: dict[str, SharedRows] = {}

    def report(self) -> tuple[SubjectReport, dict[str, Heard]]:
        """Read, judge, and put together."""
        usable = self._looked.usable
        if not usable:
            bare = SubjectReport(self._subject, _bare(self._looked.stories), ())
            return _with_findings(bare, self._findings), {}
        region = self._region(usable[0].n_targets)
        columns = choose_columns(usable, region)
        courses = self._courses(usable)
        stories = self._stories(usable, courses, columns)
        self.shared = {story: shared_rows(one, columns) for story, one in stories.items()}
        summaries = {
            story: summarise(
                one.values[:, columns.places(some_blocks(columns.sample, len(one.values), _SUMMED))]
            )
            for story, one in stories.items()
        }
        self._findings += values.findings(summaries, stories, self._dataset.zscored)
        self._ceilings.advance(0, 1, "noise ceilings")
        ceilings = values.Ceilings(self._dataset, self._subject, stories, columns)
        self._findings += ceilings.findings
        self._findings += structure.same_sound(self._looked.usable, courses)
        result = None
        alive = {s: one for s, one in stories.items() if summaries[s].mean is not None}
        if alive:
            self._lags.advance(0, 1, "lags")
            result = scan_lags(alive, columns, ceilings.best)
            self._findings += result.findings
        self._lags.advance(1, 1, "checked")
        return self._put_together(columns, summaries, ceilings, result)

    def _region(self, n_targets: int) -> tuple[NDArray[np.bool_], str] | None:
        try:
            return auditory_region(
                self._dataset.space, n_targets, data=self._dataset, subject=self._subject
            )
        except InputError as error:
            self._findings.append(
                Finding(
                    "lag",
                    "warning",
                    f"the auditory region cannot be found: {error.message}",
                    error.hint,
                )
            )
            return None

    def _courses(self, usable: Sequence[StoryCheck]) -> dict[str, NDArray[np.float64]]:
        paths = {one.story: self._dataset.audio_path(one.story, self._subject) for one in usable}
        lacking = {story: path for story, path in paths.items() if path not in self._sounds}
        self._hearing.advance(0, 1, f"listening to {len(lacking)} recordings")
        courses, errors = read_sounds(lacking)
        self._sounds |= {lacking[story]: course for story, course in courses.items()}
        for story, error in errors.items():
            self._findings.append(Finding("files", "fault", error.message, error.hint, story))
        return {s: self._sounds[path] for s, path in paths.items() if path in self._sounds}

    def _stories(
        self,
        usable: Sequence[StoryCheck],
        courses: Mapping[str, NDArray[np.float64]],
        columns: Columns,
    ) -> dict[str, StoryData]:
        found = {}
        for number, one in enumerate(usable):
            self._reading.advance(number, len(usable), f"reading {one.story}")
            if one.story not in courses:
                continue
            rms = courses[one.story]
            try:
                found[one.story] = read_story(self._dataset, self._subject, one, rms, columns)
            except InputError as error:
                self._findings.append(
                    Finding("files", "fault", error.message, error.hint, one.story)
                )
        return found

    def _put_together(
        self,
        columns: Columns,
        summaries: Mapping[str, ValueSummary],
        ceilings: values.Ceilings,
        result: LagResult | None,
    ) -> tuple[SubjectReport, dict[str, Heard]]:
        peaks = {} if result is None else result.peaks
        stories = tuple(
            _with_numbers(one, summaries.get(one.story), ceilings, peaks.get(one.story))
            for one in _bare(self._looked.stories)
        )
        report = SubjectReport(
            subject=self._subject,
            stories=stories,
            findings=_sorted(self._findings),
            targets=columns.n_targets,
            sampled_targets=len(columns.sample),
            ceiling=ceilings.median,
            ceiling_share=ceilings.share,
            ceiling_source=ceilings.source,
            ceilings=ceilings.whole,
        )
        if result is None:
            return report, {}
        report = replace(
            report,
            **_lag_fields(result.overall),
            lag_targets=result.targets,
            lag_n_targets=result.n_targets,
            fitting_tr=result.fitting_tr,
            lag_scan=result.scan,
        )
        return report, result.heard


def _bare(stories: Iterable[StoryCheck | tuple[str, str]]) -> tuple[StoryReport, ...]:
    """Report headers alone; of a story that cannot be opened its name."""
    return tuple(
        StoryReport(*one)
        if isinstance(one, tuple)
        else StoryReport(
            story=one.story,
            split=one.split,
            rows=one.n_rows,
            targets=one.n_targets,
            audio_seconds=one.audio_seconds,
            first_seconds=one.first_seconds,
            last_seconds=one.last_seconds,
            repeats=one.n_repeats,
        )
        for one in stories
    )


def _with_numbers(
    one: StoryReport, found: ValueSummary | None, ceilings: values.Ceilings, peak: Peak | None
) -> StoryReport:
    if found is not None:
        one = replace(
            one,
            nan_share=found.nan_share,
            constant_share=found.constant_share,
            censored_rows=found.censored_rows,
            mean=found.mean,
            sd=found.sd,
        )
    if one.story in ceilings.by_story:
        median, share = ceilings.by_story[one.story]
        one = replace(one, ceiling=median, ceiling_share=share)
    return one if peak is None else replace(one, **_lag_fields(peak))


def _lag_fields(peak: Peak) -> dict[str, Any]:
    known = np.isfinite(peak.lag)
    return {
        "lag_seconds": round(peak.lag, 3) if known else None,
        "lag_r": round(peak.r, 4) if known else None,
        "lag_clarity": round(peak.clarity, 2) if known else None,
        "lag_clear": peak.is_clear,
    }


def _with_peers(
    report: SubjectReport, found: Mapping[str, tuple[NDArray[np.float64], int]]
) -> SubjectReport:
    """Add the ceiling between subjects, where no other one is known."""
    if report.ceiling is not None or not report.stories or report.targets is None:
        return report
    known = {s: one for s, one in found.items() if np.isfinite(one[0]).any()}
    if not known:
        message = "no story was repeated, no ceiling is given, and nobody else who was checked "
        message += "heard the same: how well the responses can be predicted at best is not known"
        return _with_findings(report, [Finding("ceiling", "ok", message)])
    stories = [
        replace(one, ceiling=shown[0], ceiling_share=shown[1])
        if one.story in known and (shown := values.median_and_share(known[one.story][0]))
        else one
        for one in report.stories
    ]
    tested = [s.story for s in report.stories if s.split == "test" and s.story in known]
    ceiling, n_others = known[tested[0] if tested else next(iter(known))]
    median, share = values.median_and_share(ceiling)
    if median is None:
        return report  # no ceiling is known, which was looked at above
    above = float((ceiling[np.isfinite(ceiling)] > ceiling_threshold("inter-subject")).mean())
    message = (
        f"between subjects: median {median:.2f}, {above:.0%} of the targets above "
        f"{ceiling_threshold('inter-subject')} (r with the mean of {n_others} others, "
        f"{len(ceiling)} targets)"
    )
    report = replace(
        report,
        stories=tuple(stories),
        ceiling=median,
        ceiling_share=share,
        ceiling_source="inter-subject",
    )
    return _with_findings(report, [Finding("ceiling", "ok", message)])


def _with_findings(report: SubjectReport, more: Sequence[Finding]) -> SubjectReport:
    return replace(report, findings=_sorted((*report.findings, *more))) if more else report


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put faults first, then warnings."""
    return tuple(sorted(findings, key=lambda one: -VERDICTS.index(one.verdict)))


def lines(report: DataReport) -> Iterator[str]:
    """Say a report in words, for a terminal."""
    yield f"{report.name} ({report.space}): {report.verdict}"
    for one in report.subjects:
        yield from _subject_lines(one)


def _subject_lines(one: SubjectReport) -> Iterator[str]:
    yield f"\n{one.subject}: {one.verdict}"
    minutes = one.audio_seconds / 60
    head = f"  {len(one.stories)} stories, {one.rows} rows, {minutes:.1f} min of audio"
    yield head + ("" if one.targets is None else f", {one.targets} targets")
    for found in one.findings:
        where = f" [{found.story}]" if found.story else ""
        yield f"  {found.verdict:8}{found.check}{where}: {found.message}"
        if found.hint:
            yield f"          {found.hint}"
    if one.stories:
        yield from _story_table(one.stories)


_COLUMNS = ("story", "split", "rows", "audio s", "repeats", "ceiling", "NaN", "constant", "lag s")


def _story_table(stories: Sequence[StoryReport]) -> Iterator[str]:
    rows = [_COLUMNS, *map(_story_cells, stories)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    for row in rows:
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _story_cells(one: StoryReport) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    mark = "" if one.lag_clear or one.lag_seconds is None else "?"
    return (
        one.story,
        one.split,
        shown(one.rows, "d"),
        shown(one.audio_seconds, ".1f"),
        str(one.repeats),
        shown(one.ceiling, ".2f"),
        shown(one.nan_share, ".1%"),
        shown(one.constant_share, ".1%"),
        shown(one.lag_seconds, ".1f") + mark,
    )
