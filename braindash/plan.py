"""From a user's request to specifications: what an encoding run needs, before any heavy work.

Planning reads headers and digests only and never imports torch, so the dashboard can do it.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from braindash.core.delays import DEFAULT_DELAYS
from braindash.core.timing import covered_rows
from braindash.digest import digest_file
from braindash.errors import InputError, near_match
from braindash.io.audio import audio_seconds
from braindash.io.manifest import Dataset, SubjectCheck, check_subject, load_manifest
from braindash.io.responses import ResponseSource, repeats_shape
from braindash.io.responses import digest as digest_responses
from braindash.io.responses import shape as response_shape
from braindash.specs import (
    DEFAULT_ALPHAS,
    EncodingSpec,
    ExtractionSpec,
    Metric,
    RowTimes,
    StoryInput,
    Strategy,
)
from braindash.speech.files import ModelFiles, locate
from braindash.speech.windows import CHUNK_STEP_SECONDS, EXACT_STEP_SECONDS, WINDOW_SECONDS

log = logging.getLogger(__name__)

STEP_SECONDS: dict[Strategy, float] = {
    "exact": EXACT_STEP_SECONDS,
    "chunk": CHUNK_STEP_SECONDS,
}


class EncodeRequest(BaseModel):
    """What a user asks for: one model, one subject, and how.

    ``device`` and ``threads`` change how long it takes, never the result's key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    model: str
    subject: str
    revision: str | None = None
    strategy: Strategy = "exact"
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    delays: tuple[int, ...] = Field(default=DEFAULT_DELAYS, description="in TRs")
    metric: Metric = "r2"
    intercept: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, gt=0)


def build_request(**fields: Any) -> EncodeRequest:
    """Make a request; every field that is unknown or out of range is named in one error.

    Raises
    ------
    InputError
        With the allowed fields and values.
    """
    try:
        return EncodeRequest.model_validate(
            {name: value for name, value in fields.items() if value is not None}
        )
    except ValidationError as problem:
        lines, hints = [], []
        for error in problem.errors(include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            lines.append(f"{name}: {error['msg']} (given: {error['input']!r})")
            if error["type"] == "extra_forbidden":
                hints.append(near_match(name, EncodeRequest.model_fields))
        raise InputError(
            "the request cannot be understood: " + "; ".join(lines),
            hint=" ".join(hints)
            or "Correct the named settings; `braindash encode --help` shows what is allowed.",
        ) from problem


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
    spec : EncodingSpec
        Names the result.
    """

    request: EncodeRequest
    dataset: Dataset
    check: SubjectCheck
    model: ModelFiles
    train: tuple[StoryPlan, ...]
    test: tuple[StoryPlan, ...]
    spec: EncodingSpec

    @property
    def stories(self) -> tuple[StoryPlan, ...]:
        """Training stories, then test stories."""
        return self.train + self.test


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
    for warning in check.warnings:
        log.warning("%s", warning)
    model = locate(request.model, request.revision)
    split = dataset.split(request.subject)
    train = tuple(_plan_story(dataset, request, model, story) for story in split.train)
    test = tuple(_plan_story(dataset, request, model, story) for story in split.test)
    repeats = all(repeats_shape(story.responses) is not None for story in test)
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
        ceiling="repeats" if repeats else "none",
    )
    return EncodingPlan(request, dataset, check, model, train, test, spec)


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


def _plan_story(
    dataset: Dataset, request: EncodeRequest, model: ModelFiles, story: str
) -> StoryPlan:
    timing = dataset.timing(request.subject, story)
    source = dataset.responses(request.subject, story)
    audio = dataset.audio_path(story, request.subject)
    n_rows, _ = response_shape(source)
    times = timing.times(n_rows)
    rows = covered_rows(times, audio_seconds(audio), timing.tr)
    row_times = RowTimes(
        first=float(times[rows.start]), tr=timing.tr, n_rows=rows.stop - rows.start
    )
    extraction = ExtractionSpec(
        model=model.fingerprint,
        audio=digest_file(audio),
        times=row_times,
        strategy=request.strategy,
        context_seconds=WINDOW_SECONDS,
        step_seconds=STEP_SECONDS[request.strategy],
    )
    return StoryPlan(story, audio, source, extraction, rows, source.score_from_row)
