"""What headers say about a subject: files, times, numbers of targets, turned axes, splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.checking.report import Finding
from braindash.defaults import PARTS
from braindash.errors import InputError
from braindash.io.dataset.check import (
    StoryCheck,
    StoryProblem,
    all_look_turned,
    check_stories,
    check_subject,
    looks_turned,
)
from braindash.io.dataset.dataset import Dataset, Split
from braindash.io.dataset.responses import shape
from braindash.io.dataset.tables import EVERY
from braindash.io.dataset.unpaired import unpaired
from braindash.remembered.digests import digest_input

# Of the sentences of check_subject, those whose matter has a finding of its own.
_TOLD_HERE = (
    "rows are left out",
    "no repeats",
    "the same audio",
    "sound but no responses",
    "but no recording",
    "are not looked at",
)
_MANY_LEFT_OUT = 0.4
# Two courses of loudness that are alike to this are of one recording.
_SAME_SOUND = 0.98
# A tolerance of more says that rows and audio need not end together.
_WHOLE_SCAN_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Looked:
    """What the headers of a subject's files say.

    Attributes
    ----------
    stories : tuple
        A StoryCheck for each that can be opened, else its name and split.
    usable : tuple of StoryCheck
        Stories with the number of targets that most have, some rows of which have sound.
    findings : tuple of Finding
    """

    stories: tuple[StoryCheck | tuple[str, str], ...]
    usable: tuple[StoryCheck, ...]
    findings: tuple[Finding, ...]


def look(dataset: Dataset, subject: str) -> Looked:
    """Read the headers of a subject's files.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    """
    split, findings = _present_split(dataset, subject)
    checks, problems = check_stories(dataset, subject, split)
    turned = _turned(dataset, subject, split, checks)
    findings += turned.values()
    findings += _problem_findings(problems, set(turned))
    findings += [
        Finding("files", "warning", one.message, one.hint) for one in unpaired(dataset, subject)
    ]
    same = list(_same_files(dataset, subject, split))
    findings += same
    if not any(one.verdict == "fault" for one in findings):
        findings += _warnings(dataset, subject)
    findings += _all_well(findings, checks, split)
    opened = {one.story: one for one in checks}
    stories = tuple(opened.get(story, (story, part)) for story, part in split.parts.items())
    return Looked(stories, _usable(dataset, subject, checks, set(turned)), tuple(findings))


def _present_split(dataset: Dataset, subject: str) -> tuple[Split, list[Finding]]:
    """Return the subject's split; without the stories whose files are missing, each a fault."""
    try:
        return dataset.split(subject), []
    except InputError as error:
        reason = error
    there = dataset.stories(subject)
    table, findings = dataset.tables.splits, []
    named: dict[str, tuple[str, ...]] = {}
    for part in PARTS:
        own = dataset.subject(subject).test if part == "test" else None
        listed = getattr(table, part) if own is None else own
        stories = [story for story in listed if story != EVERY]
        named[part] = tuple(story for story in stories if story in there)
        for story in stories:
            if story not in there and story not in dataset.left_out:
                message, hint = _missing(dataset, subject, story)
                findings.append(Finding("files", "fault", message, hint, story))
    if EVERY in table.train:
        used = {story for stories in named.values() for story in stories}
        named["train"] += tuple(story for story in there if story not in used)
    if not findings:
        findings.append(Finding("files", "fault", reason.message, reason.hint))
    return Split(**named), findings


def _missing(dataset: Dataset, subject: str, story: str) -> tuple[str, str]:
    try:
        dataset.audio_path(story, subject)
    except InputError as error:
        return error.message, error.hint
    lacking = dataset.missing_responses(subject, story)
    return (
        f"the responses of {subject!r} to {story!r} are missing: {lacking}",
        "Get the file, correct responses.path, or take the story out of [splits].",
    )


def _problem_findings(problems: Sequence[StoryProblem], turned: set[str]) -> Iterator[Finding]:
    for one in problems:
        if one.story in turned or (turned and one.about == "targets" and one.story is None):
            continue  # the turned axes are why
        said = one.problem
        yield Finding(one.about, "fault", said.message, said.hint, one.story)


def _turned(
    dataset: Dataset, subject: str, split: Split, checks: Sequence[StoryCheck]
) -> dict[str, Finding]:
    """Find arrays whose axes are exchanged, by their shapes."""
    opened = {one.story: one for one in checks}
    all_turned = all_look_turned(dataset, subject, checks)
    units = dataset.subject(subject).units
    found = {}
    for story in split.parts:
        one = opened.get(story)
        size = _raw_shape(dataset, subject, story) if one is None else (one.n_rows, one.n_targets)
        if size is None:
            continue
        n_rows, n_targets = size
        others = [one.n_targets for one in checks if one.story != story]
        of_targets = units or _other_targets(others, n_targets, n_rows)
        fits = story in opened and (all_turned or _times_turned(dataset, subject, opened[story]))
        if n_rows == n_targets or not (n_rows == of_targets or fits):
            continue
        reason = "its targets, not its rows, end with the audio"
        if n_rows == of_targets:
            reason = f"{n_rows} is the number of targets"
        found[story] = Finding(
            "orientation",
            "fault",
            f"the array of {story!r} ({n_rows}, {n_targets}) is transposed: {reason}",
            "Store one row per TR and one column per target: (n_rows, n_targets).",
            story,
        )
    return found


def _other_targets(others: Sequence[int], n_targets: int, n_rows: int) -> int | None:
    """Return the number of targets of most other stories, where it is the rows of this one."""
    half = len(others) / 2
    fits = others.count(n_rows) > half and others.count(n_targets) <= half
    return n_rows if fits else None


def _raw_shape(dataset: Dataset, subject: str, story: str) -> tuple[int, int] | None:
    try:
        return shape(replace(dataset.responses(subject, story), units=None))
    except InputError:
        return None  # why it cannot be opened is told as a problem of its file


def _times_turned(dataset: Dataset, subject: str, one: StoryCheck) -> bool:
    """Say whether the targets would fit the audio as rows, while the rows miss it."""
    timing = dataset.timing(subject, one.story)
    ends = one.last_seconds + timing.tr
    misses = abs(ends - one.audio_seconds) > max(15.0, 0.25 * one.audio_seconds)
    # Of a scan with several stories the rows need not end with one's audio.
    misses &= dataset.tolerance(subject, one.story) < max(one.audio_seconds, _WHOLE_SCAN_SECONDS)
    return dataset.subject(subject).units is None and misses and looks_turned(timing, one)


def _usable(
    dataset: Dataset, subject: str, checks: Sequence[StoryCheck], turned: set[str]
) -> tuple[StoryCheck, ...]:
    right = [one for one in checks if one.story not in turned and one.n_rows > 1]
    if not right:
        return ()
    counts = [one.n_targets for one in right]
    usual = max(counts, key=counts.count)
    return tuple(one for one in right if one.n_targets == usual)


def _warnings(dataset: Dataset, subject: str) -> Iterator[Finding]:
    """Pass on what the usual check of a subject warns of."""
    try:
        found = check_subject(dataset, subject)
    except InputError as error:
        yield Finding("files", "fault", error.message, error.hint)
        return
    for text in found.warnings:
        if not any(word in text for word in _TOLD_HERE):
            yield Finding(_about(text), "warning", text)


def _about(text: str) -> str:
    """Say what a sentence of check_subject is about."""
    if "training stories" in text:
        return "split"
    return "surfaces" if "to a surface" in text else "files"


# ---- one sound in two stories -------------------------------------------------------------------


def _same_files(dataset: Dataset, subject: str, split: Split) -> Iterator[Finding]:
    parts = split.parts
    found = {story: _audio(dataset, story, subject) for story in parts}
    paths = {story: path for story, path in found.items() if path is not None}
    sizes = {story: path.stat().st_size for story, path in paths.items()}
    for a, b in combinations(paths, 2):
        if sizes[a] != sizes[b]:
            continue
        if paths[a] == paths[b] or digest_input(paths[a]) == digest_input(paths[b]):
            yield _overlap(a, b, parts[a], parts[b], "have the same audio file")


def _audio(dataset: Dataset, story: str, subject: str) -> Path | None:
    try:
        path = dataset.audio_path(story, subject)
    except InputError:
        return None
    return path if path.is_file() else None


def same_sound(
    stories: Sequence[StoryCheck], courses: Mapping[str, NDArray[np.float64]]
) -> list[Finding]:
    """Find stories whose recordings are the same sound in two files, by their loudness."""
    found = []
    for a, b in combinations(stories, 2):
        if abs(a.audio_seconds - b.audio_seconds) > 1.0 or not {a.story, b.story} <= set(courses):
            continue
        one, other = courses[a.story], courses[b.story]
        length = min(len(one), len(other))
        pair = np.stack([one[:length], other[:length]])
        if np.array_equal(pair[0], pair[1]) or pair.std(axis=1).min() == 0:
            continue  # the same file is told by its digest
        if float(np.corrcoef(*pair)[0][1]) > _SAME_SOUND:
            what = "have the same sound in two files"
            found.append(_overlap(a.story, b.story, a.split, b.split, what))
    return found


def _overlap(a: str, b: str, part_a: str, part_b: str, what: str) -> Finding:
    if part_a == part_b:
        return Finding(
            "split",
            "warning",
            f"{a!r} and {b!r} ({part_a}) {what}",
            "If they are repeats of one story, store them as repeats; else correct the audio.",
            b,
        )
    return Finding(
        "split",
        "fault",
        f"{a!r} ({part_a}) and {b!r} ({part_b}) {what}: the score is not that of an unseen story",
        "Take one of them out of [splits], or correct its audio.",
        b,
    )


def _all_well(
    findings: Sequence[Finding], checks: Sequence[StoryCheck], split: Split
) -> Iterator[Finding]:
    """Say what was looked at and is right."""
    spoiled = {one.check for one in findings if one.verdict == "fault"}
    count = len(split.parts)
    if "files" not in spoiled and checks:
        yield Finding("files", "ok", f"{len(checks)} of {count} stories can be opened")
    if not spoiled & {"durations", "orientation"} and checks:
        kept, total = (sum(getattr(one, n) for one in checks) for n in ("n_rows_kept", "n_rows"))
        many = kept < (1 - _MANY_LEFT_OUT) * total
        yield Finding(
            "durations",
            "warning" if many else "ok",
            f"{kept} of {total} rows have sound, "
            f"{sum(one.overlap_seconds for one in checks) / 60:.1f} min with both; the others are "
            "left out",
            "Check tr, first_volume and audio_onset, and that the audio is whole." if many else "",
        )
    if "split" not in spoiled and split.train:
        yield Finding(
            "split",
            "ok",
            f"{len(split.train)} training, {len(split.valid)} validation and {len(split.test)} "
            "test stories, no file of sound in two of them",
        )
