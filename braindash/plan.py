"""From a user's request to specifications: what an encoding run needs, before any heavy work.

Planning reads headers and digests only and never imports torch, so the dashboard can do it.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from braindash.core.blocks import block_layout
from braindash.core.timing import covered_rows
from braindash.digest import digest_file, digest_json
from braindash.errors import InputError
from braindash.io.audio import audio_seconds
from braindash.io.manifest import Dataset, SubjectCheck, check_subject, load_manifest
from braindash.io.responses import ResponseSource, repeats_shape
from braindash.io.responses import digest as digest_responses
from braindash.io.responses import shape as response_shape
from braindash.requests import EncodeRequest
from braindash.specs import (
    CeilingName,
    EncodingSpec,
    ExtractionSpec,
    LowLevelSettings,
    OtherResponses,
    RowTimes,
    StatisticsSettings,
    StoredStrategy,
    StoryInput,
)
from braindash.speech.files import ModelFiles, locate
from braindash.speech.spaces import ACOUSTIC, SPECTRUM
from braindash.speech.windows import CHUNK_STEP_SECONDS, EXACT_STEP_SECONDS, WINDOW_SECONDS

log = logging.getLogger(__name__)

# Context and step of the windows of each strategy, in seconds.
WINDOWS: dict[StoredStrategy, tuple[float, float]] = {
    "exact": (WINDOW_SECONDS, EXACT_STEP_SECONDS),
    "chunk": (WINDOW_SECONDS, CHUNK_STEP_SECONDS),
    "frames": (SPECTRUM.window_seconds, SPECTRUM.hop_seconds),
}

# 6 blocks have 720 orders: not enough for 1000 permutations, and few for a bootstrap.
_FEW_BLOCKS = 7


@dataclass(frozen=True)
class StoryPlan:
    """One story of a run.

    Attributes
    ----------
    name : str
        The story.
    audio : Path
        Its recording.
    responses : ResponseSource
        Its responses.
    extraction : ExtractionSpec
        The features it needs.
    rows : slice
        Response rows that the audio covers; features exist for exactly these.
    score_from_row : int
        Scored rows of a test story start here, counted in the response file.
    """

    name: str
    audio: Path
    responses: ResponseSource
    extraction: ExtractionSpec
    rows: slice
    score_from_row: int = 0

    @property
    def times(self) -> np.ndarray:
        """Audio times of the used rows in seconds, (n_rows,)."""
        times = self.extraction.times
        return times.first + times.tr * np.arange(times.n_rows)

    @property
    def n_rows(self) -> int:
        """Number of used rows."""
        return int(self.rows.stop - self.rows.start)

    @property
    def n_scored(self) -> int:
        """Number of used rows that enter the score of a test story."""
        return int(self.rows.stop - max(self.rows.start, self.score_from_row))

    def as_input(self) -> StoryInput:
        """Give the story as it enters the encoding specification."""
        return StoryInput(
            name=self.name,
            features=self.extraction.key(),
            responses=digest_responses(self.responses),
            first_row=self.rows.start,
            last_row=self.rows.stop,
        )


@dataclass(frozen=True)
class OtherSubject:
    """Another subject who heard the test stories, for the ceiling between subjects.

    Attributes
    ----------
    subject : str
        The other subject's id.
    responses : tuple of ResponseSource
        Their responses, one per test story.
    """

    subject: str
    responses: tuple[ResponseSource, ...]

    def as_input(self) -> OtherResponses:
        """Give the subject as they enter the encoding specification."""
        digests = tuple(digest_responses(source) for source in self.responses)
        return OtherResponses(subject=self.subject, responses=digests)


@dataclass(frozen=True)
class LowLevelPlan:
    """The low-level features beside a model's.

    Attributes
    ----------
    model : ModelFiles
        The acoustic space.
    stories : tuple of StoryPlan
        Training stories, then test stories, at the rows of the run.
    """

    model: ModelFiles
    stories: tuple[StoryPlan, ...]


@dataclass(frozen=True)
class EncodingPlan:
    """Everything an encoding run needs.

    Attributes
    ----------
    request : EncodeRequest
        What was asked for.
    dataset : Dataset
        The opened manifest.
    check : SubjectCheck
        What the check of the subject's files found.
    model : ModelFiles
        The located model.
    train, test : tuple of StoryPlan
        The stories.
    others : tuple of OtherSubject
        Subjects whose responses to the test stories can be compared target by target.
    left_out : mapping of str to str
        Every other subject that cannot, and why.
    low_level : LowLevelPlan, optional
        Present when low-level features are to be weighed.
    spec : EncodingSpec
        Names the result.
    warnings : tuple of str
        What is unusual in the data, or limits the result.
    """

    request: EncodeRequest
    dataset: Dataset
    check: SubjectCheck
    model: ModelFiles
    train: tuple[StoryPlan, ...]
    test: tuple[StoryPlan, ...]
    others: tuple[OtherSubject, ...]
    left_out: Mapping[str, str]
    low_level: LowLevelPlan | None
    spec: EncodingSpec
    warnings: tuple[str, ...]

    @property
    def stories(self) -> tuple[StoryPlan, ...]:
        """Training stories, then test stories."""
        return self.train + self.test

    @property
    def strategy(self) -> StoredStrategy:
        """How the model's features are made."""
        return self.train[0].extraction.strategy

    @property
    def extractions(self) -> tuple[tuple[ModelFiles, tuple[StoryPlan, ...]], ...]:
        """All features the run needs, model by model."""
        own = (self.model, self.stories)
        low = self.low_level
        return (own,) if low is None else (own, (low.model, low.stories))


def plan_encoding(request: EncodeRequest) -> EncodingPlan:
    """Check a request against the data and the model, and derive its specification.

    Raises
    ------
    InputError
        When the manifest, the subject, the audio or the responses do not fit together.
    ModelError
        When the model cannot be found.
    """
    dataset = load_manifest(request.data)
    check = check_subject(dataset, request.subject)
    model = locate(request.model, request.revision)
    split = dataset.split(request.subject)
    subject, strategy = request.subject, _stored_strategy(model, request)
    train = tuple(_plan_story(dataset, subject, strategy, model, name) for name in split.train)
    test = tuple(_plan_story(dataset, subject, strategy, model, name) for name in split.test)
    low_level = _plan_low_level(dataset, request, model, train + test)
    others, left_out = _plan_others(dataset, request, model, test)
    statistics, limits = _plan_statistics(request.statistics, test)
    warnings = (*check.warnings, *limits)
    for warning in warnings:
        log.warning("%s", warning)
    spec = EncodingSpec(
        subject=request.subject,
        space=dataset.space,
        train=tuple(story.as_input() for story in train),
        test=tuple(story.as_input() for story in test),
        score_from_row=tuple(story.score_from_row for story in test),
        standardise_responses=dataset.zscored == "none",
        delays=request.delays,
        alphas=request.alphas,
        metric=request.metric,
        intercept=request.intercept,
        ceilings=_possible_ceilings(test, others),
        other_subjects=tuple(other.as_input() for other in others),
        statistics=statistics,
        low_level=_low_level_settings(request, low_level),
    )
    return EncodingPlan(
        request, dataset, check, model, train, test, others, left_out, low_level, spec, warnings
    )


def _stored_strategy(model: ModelFiles, request: EncodeRequest) -> StoredStrategy:
    return "frames" if model.family == ACOUSTIC else request.strategy


def _plan_low_level(
    dataset: Dataset, request: EncodeRequest, model: ModelFiles, stories: tuple[StoryPlan, ...]
) -> LowLevelPlan | None:
    if request.low_level is None:
        return None
    space = locate(request.low_level_space)
    if space.family != ACOUSTIC or space.fingerprint == model.fingerprint:
        raise InputError(
            f"{request.low_level_space!r} cannot be taken out of {request.model!r} as its low "
            "level",
            hint="Give another acoustic space, such as 'acoustic:lowlevel' or 'acoustic:logmel'.",
        )
    names = (story.name for story in stories)
    planned = (_plan_story(dataset, request.subject, "frames", space, name) for name in names)
    return LowLevelPlan(space, tuple(planned))


def _low_level_settings(
    request: EncodeRequest, low_level: LowLevelPlan | None
) -> LowLevelSettings | None:
    if low_level is None or request.low_level is None:
        return None
    return LowLevelSettings(
        method=request.low_level,
        space=low_level.model.name,
        features=tuple(story.extraction.key() for story in low_level.stories),
    )


def require_unchanged(plan: EncodingPlan, promised: Mapping[str, Any]) -> None:
    """Refuse a plan that is no longer the one a job was queued for.

    A manifest without a list of training stories takes what it finds: a recording that went away
    would otherwise give another result than the one the job is named after.

    Parameters
    ----------
    plan : EncodingPlan
        The request as it is understood now.
    promised : mapping
        Canonical form of the specification when the job was queued.

    Raises
    ------
    InputError
        Names what changed.
    """
    changes = list(_changes(promised, plan.spec.canonical()))
    if changes:
        raise InputError(
            "the data or the model changed after the job was queued: " + "; ".join(changes),
            hint="Put the files back and go on, or submit the request again: what it means now"
            " is a job and a result of its own.",
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted(before.keys() | after.keys()):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if field == "other_subjects":
            yield "other subjects of the ceiling: " + " -> ".join(map(_listed_subjects, (old, new)))
            continue
        if field not in ("train", "test"):
            yield f"{field} was {old!r}, is {new!r}"
            continue
        was, now = ({story["name"]: story for story in side or ()} for side in (old, new))
        for story in sorted(was.keys() | now.keys()):
            if story not in now:
                yield f"{field} story {story!r} is gone"
            elif story not in was:
                yield f"{field} story {story!r} is new"
            elif was[story] != now[story]:
                parts = [part for part in was[story] if was[story][part] != now[story].get(part)]
                yield f"{field} story {story!r} differs in {', '.join(parts)}"
        if was == now:
            yield f"the {field} stories are in another order"


def _listed_subjects(others: Iterable[Mapping[str, Any]] | None) -> str:
    """Name subjects, each with the start of a digest of its responses."""
    names = [f"{one['subject']} ({digest_json(one['responses'])[:6]})" for one in others or ()]
    return ", ".join(names) or "none"


def _plan_story(
    dataset: Dataset, subject: str, strategy: StoredStrategy, model: ModelFiles, story: str
) -> StoryPlan:
    timing = dataset.timing(subject, story)
    source = dataset.responses(subject, story)
    audio = dataset.audio_path(story, subject)
    n_rows, _ = response_shape(source)
    times = timing.times(n_rows)
    rows = covered_rows(times, audio_seconds(audio), timing.tr)
    if rows.start == rows.stop:
        raise InputError(
            f"the audio of story {story!r} covers none of the {n_rows} rows of {subject!r}",
            hint="Check tr, first_volume and audio_onset in [timing] or [[runs]].",
        )
    row_times = RowTimes(
        first=float(times[rows.start]), tr=timing.tr, n_rows=rows.stop - rows.start
    )
    extraction = ExtractionSpec(
        model=model.fingerprint,
        audio=digest_file(audio),
        times=row_times,
        strategy=strategy,
        context_seconds=WINDOWS[strategy][0],
        step_seconds=WINDOWS[strategy][1],
    )
    return StoryPlan(story, audio, source, extraction, rows, source.score_from_row)


def _plan_statistics(
    settings: StatisticsSettings, test: tuple[StoryPlan, ...]
) -> tuple[StatisticsSettings, list[str]]:
    """Do without statistics that the scored rows are too few for, with a warning."""
    if not settings.n_permutations and not settings.n_bootstraps:
        return settings, []
    n_scored = [story.n_scored for story in test]
    segments = np.repeat(np.arange(len(test)), n_scored)
    try:
        layout = block_layout(len(segments), segments=segments, block_rows=settings.block_rows)
    except InputError as problem:
        without = settings.model_copy(update={"n_permutations": 0, "n_bootstraps": 0})
        return without, [f"no significance and no intervals are computed: {problem.message}"]
    n_blocks = len(layout.starts)
    if n_blocks >= _FEW_BLOCKS:
        return settings, []
    return settings, [
        f"the scored test rows make only {n_blocks} blocks of {layout.length} rows: p values and "
        "intervals are coarse"
    ]


# ---- ceilings -------------------------------------------------------------------------------


def _possible_ceilings(
    test: tuple[StoryPlan, ...], others: tuple[OtherSubject, ...]
) -> tuple[CeilingName, ...]:
    """Name the ceilings that the data allow; the first is the default of every page."""
    repeats = all(repeats_shape(story.responses) is not None for story in test)
    return (*(("repeats",) if repeats else ()), *(("inter-subject",) if others else ()))


def _plan_others(
    dataset: Dataset, request: EncodeRequest, model: ModelFiles, test: tuple[StoryPlan, ...]
) -> tuple[tuple[OtherSubject, ...], dict[str, str]]:
    """Find the subjects whose test responses can stand beside this subject's, row by row."""
    names = [name for name in dataset.subjects if name != request.subject]
    others: list[OtherSubject] = []
    left_out: dict[str, str] = {}
    for name in names:
        reason = _native_reason(dataset.space)
        try:
            theirs = () if reason else _stories_of(dataset, name, model, test)
            reason = reason or _difference(test, theirs)
        except InputError as problem:
            reason = problem.message
        if reason:
            left_out[name] = reason
            log.info("%s takes no part in the ceiling between subjects: %s", name, reason)
        else:
            others.append(OtherSubject(name, tuple(story.responses for story in theirs)))
    return tuple(others), left_out


def _native_reason(space: str) -> str:
    # Column i of two subjects is the same place only in a space that they share.
    return f"{space} is each subject's own space" if space.startswith("native") else ""


def _stories_of(
    dataset: Dataset, subject: str, model: ModelFiles, test: tuple[StoryPlan, ...]
) -> tuple[StoryPlan, ...]:
    for story in test:
        missing = dataset.missing_responses(subject, story.name)
        if missing:
            raise InputError(missing, hint="Give the file, or go on without this subject.")
    strategy = test[0].extraction.strategy
    return tuple(_plan_story(dataset, subject, strategy, model, story.name) for story in test)


def _difference(own: tuple[StoryPlan, ...], theirs: tuple[StoryPlan, ...]) -> str:
    """Say in what the test stories of two subjects differ; empty when they can be compared."""
    for mine, other in zip(own, theirs, strict=True):
        if mine.extraction != other.extraction or mine.rows != other.rows:
            return f"other audio or other rows of the story {mine.name!r}"
        n_targets, n_others = (response_shape(story.responses)[1] for story in (mine, other))
        if n_targets != n_others:
            return f"{n_others} targets instead of {n_targets}"
    return ""
