"""One story of a run: its recording, its responses and the rows that go together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from braindash.core.timing import covered_rows
from braindash.errors import InputError
from braindash.files import digest_file, digest_json
from braindash.io.dataset.audio import find_recording
from braindash.io.dataset.manifest import Dataset
from braindash.io.dataset.responses import ResponseSource
from braindash.io.dataset.responses import digest as digest_responses
from braindash.io.dataset.responses import shape as response_shape
from braindash.io.labels.tiers import Tier, story_tier
from braindash.specs import ExtractionSpec, RowTimes, StoredStrategy, StoryInput
from braindash.speech.acoustic.spaces import ACOUSTIC, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.windows import CHUNK_STEP_SECONDS, EXACT_STEP_SECONDS, context_seconds


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
    members : tuple of ResponseSource
        For the mean of several subjects: the responses of each; else empty.
    tier : Tier, optional
        For features made of annotations: where they stand.
    """

    name: str
    audio: Path
    responses: ResponseSource
    extraction: ExtractionSpec
    rows: slice
    score_from_row: int = 0
    members: tuple[ResponseSource, ...] = ()
    tier: Tier | None = None

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
        """Return the story as it enters the encoding specification."""
        digests = [digest_responses(source) for source in self.members or (self.responses,)]
        return StoryInput(
            name=self.name,
            features=self.extraction.key(),
            responses=digest_json(digests) if self.members else digests[0],
            first_row=self.rows.start,
            last_row=self.rows.stop,
        )


def plan_story(
    dataset: Dataset, subject: str, strategy: StoredStrategy, model: ModelFiles, story: str
) -> StoryPlan:
    """Find the rows of a subject's story that the audio covers, and what features they need.

    Raises
    ------
    InputError
        When the audio covers none of them, or a file is missing or unreadable.
    """
    timing = dataset.timing(subject, story)
    source = dataset.responses(subject, story)
    audio = dataset.audio_path(story, subject)
    n_rows, _ = response_shape(source)
    times = timing.times(n_rows)
    recording = find_recording(audio)
    rows = covered_rows(times, recording.seconds, timing.tr)
    if rows.start == rows.stop:
        raise InputError(
            f"the audio of story {story!r} covers none of the {n_rows} rows of {subject!r}",
            hint="Check tr, first_volume and audio_onset in [timing] or [[runs]].",
        )
    row_times = RowTimes(
        first=float(times[rows.start]), tr=timing.tr, n_rows=rows.stop - rows.start
    )
    context, step = _context_and_step(strategy, model)
    tier = _annotated_tier(dataset, story, model)
    extraction = ExtractionSpec(
        model=model.fingerprint,
        audio=digest_file(audio),
        counted=recording.counted,
        times=row_times,
        strategy=strategy,
        context_seconds=context,
        step_seconds=step,
        annotation=None if tier is None else tier.digest,
    )
    return StoryPlan(story, audio, source, extraction, rows, source.score_from_row, tier=tier)


def _context_and_step(strategy: StoredStrategy, model: ModelFiles) -> tuple[float, float]:
    """Return the longest audio that a model sees at once, and the step to the next window."""
    if strategy == "frames":
        return find_space(model.name).window_and_step_seconds
    step = EXACT_STEP_SECONDS if strategy == "exact" else CHUNK_STEP_SECONDS
    return context_seconds(strategy, model.padded_samples), step


def _annotated_tier(dataset: Dataset, story: str, model: ModelFiles) -> Tier | None:
    unit = find_space(model.name).tier if model.family == ACOUSTIC else None
    return None if unit is None else story_tier(dataset, story, unit)


def story_difference(own: StoryPlan, other: StoryPlan) -> str:
    """Say in what two subjects' responses to a story differ; empty when they can be compared."""
    if own.extraction != other.extraction or own.rows != other.rows:
        return f"other audio or other rows of the story {own.name!r}"
    n_targets, n_others = (response_shape(story.responses)[1] for story in (own, other))
    if n_targets != n_others:
        return f"{n_others} targets instead of {n_targets}"
    return ""


def native_reason(space: str) -> str:
    """Say why targets of two subjects cannot stand side by side; empty where they can."""
    # Column i of two subjects is the same place only in a space that they share.
    return f"{space} is each subject's own space" if space.startswith("native") else ""


def plan_stories(
    dataset: Dataset,
    subjects: Sequence[str],
    strategy: StoredStrategy,
    model: ModelFiles,
    names: Sequence[str],
) -> tuple[StoryPlan, ...]:
    """Plan stories of one subject, or of the mean of several.

    Raises
    ------
    InputError
        When the subjects' responses cannot be averaged row by row and target by target.
    """
    first = [plan_story(dataset, subjects[0], strategy, model, name) for name in names]
    if len(subjects) == 1:
        return tuple(first)
    planned = []
    for story in first:
        sources = [story.responses]
        for subject in subjects[1:]:
            other = plan_story(dataset, subject, strategy, model, story.name)
            problem = native_reason(dataset.space) or story_difference(story, other)
            if problem:
                raise InputError(
                    f"subjects {subjects[0]!r} and {subject!r} cannot be averaged: {problem}",
                    hint="Score the subjects one by one; the pages average their scores.",
                )
            sources.append(other.responses)
        planned.append(replace(story, members=tuple(sources)))
    return tuple(planned)
