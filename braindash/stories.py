"""One story of a run: its recording, its responses and the rows that go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from braindash.core.timing import covered_rows
from braindash.errors import InputError
from braindash.files import digest_json
from braindash.io.dataset.audio import find_recording
from braindash.io.dataset.censored import Presentation, presentations
from braindash.io.dataset.dataset import is_own_space
from braindash.io.dataset.manifest import Dataset
from braindash.io.dataset.responses import ResponseSource
from braindash.io.dataset.responses import digest as digest_responses
from braindash.io.dataset.responses import shape as response_shape
from braindash.io.dataset.row_counts import count_rows
from braindash.io.labels.tiers import Tier, story_tier
from braindash.remembered.digests import digest_input
from braindash.specs import ExtractionSpec, FramesSpec, RowTimes, StoredStrategy, StoryInput
from braindash.speech.acoustic.annotated import ANNOTATION_SPACES, word_shares
from braindash.speech.acoustic.spaces import ACOUSTIC, ANNOTATED_STEP_SECONDS, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.language.spaces import LANGUAGE
from braindash.speech.windows import (
    LEAST_GRID_TR,
    context_seconds,
    find_strategy,
    step_seconds,
)


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
    heard : tuple of tuple of Presentation
        What every presentation that is read holds in ``rows``; by subject where several are
        averaged.
    seams : tuple of int
        Used rows before which another held-out block begins, of a story scored within itself.
    unheard : int
        Used rows at the start that are left out: their delays reach before the story.
    frames : FramesSpec, optional
        The model's frames that are kept and from which the features are made; None: the features
        are made while the model runs.
    """

    name: str
    audio: Path
    responses: ResponseSource
    extraction: ExtractionSpec
    rows: slice
    score_from_row: int = 0
    members: tuple[ResponseSource, ...] = ()
    tier: Tier | None = None
    heard: tuple[tuple[Presentation, ...], ...] = ()
    seams: tuple[int, ...] = ()
    unheard: int = 0
    frames: FramesSpec | None = None

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
    def present(self) -> tuple[np.ndarray, ...]:
        """Used rows that are not censored, of each subject bool (n_presentations, n_rows)."""
        return tuple(
            np.stack([rows_present(one, self.rows) for one in heard]) for heard in self.heard
        )

    @property
    def kept(self) -> np.ndarray:
        """Used rows that some presentation has data for and that are not left out, (n_rows,)."""
        marks = np.ones(self.n_rows, dtype=bool)
        if self.heard:
            marks &= np.concatenate(self.present).any(axis=0)
        marks[: self.unheard] = False
        return marks

    @property
    def scored(self) -> np.ndarray:
        """Used rows that enter the score of a test story, bool (n_rows,)."""
        return self.kept & (np.arange(self.rows.start, self.rows.stop) >= self.score_from_row)

    @property
    def censored(self) -> tuple[tuple[int, ...], ...]:
        """Censored rows of every presentation; empty where there are none at all."""
        found = tuple(one.censored for heard in self.heard for one in heard)
        return found if any(found) else ()

    def as_input(self) -> StoryInput:
        """Return the story as it enters the encoding specification."""
        digests = [digest_responses(source) for source in self.members or (self.responses,)]
        return StoryInput(
            name=self.name,
            features=self.extraction.key(),
            responses=digest_json(digests) if self.members else digests[0],
            first_row=self.rows.start,
            last_row=self.rows.stop,
            censored=self.censored,
        )


def row_pieces(stories: Sequence[StoryPlan]) -> np.ndarray:
    """Return the number of each row's story, or of its held-out block: int64 (n_rows,)."""
    found, n_before = [], 0
    for story in stories:
        pieces = np.searchsorted(story.seams, np.arange(story.n_rows), side="right")
        found.append(pieces + n_before)
        n_before += len(story.seams) + 1
    return np.concatenate(found).astype(np.int64)


def rows_present(heard: Presentation, rows: slice) -> np.ndarray:
    """Mark the used rows that are not censored, bool (n_rows,)."""
    marks = np.ones(rows.stop - rows.start, dtype=bool)
    marks[np.array(heard.censored, dtype=int) - rows.start] = False
    return marks


def complete_rows(stories: Sequence[StoryPlan]) -> int:
    """Count the scored rows that no presentation, or no averaged subject, lacks.

    Presentations without any data do not count; 0 where a story has fewer than two others.
    """
    total = 0
    for story in stories:
        if story.members:
            whole = np.all([present.any(axis=0) for present in story.present], axis=0)
        else:
            present = story.present[0][story.present[0].any(axis=1)]
            if len(present) < 2:
                return 0
            whole = present.all(axis=0)
        total += int((whole & story.scored).sum())
    return total


def plan_story(
    dataset: Dataset,
    subject: str,
    strategy: StoredStrategy,
    model: ModelFiles,
    story: str,
    *,
    repeated: bool = False,
    context: float | None = None,
) -> StoryPlan:
    """Find the rows of a subject's story that the audio covers, and what features they need.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    strategy : str
        How the features are made.
    model : ModelFiles
        Of which model.
    story : str
    repeated : bool, default False
        Whether the repeats are read, where there are some, as of a test story.
    context : float, optional
        Longest audio in seconds that the model sees at once; the strategy's when left out.

    Raises
    ------
    InputError
        When the audio covers none of them, a file is missing or unreadable, or holds no data.
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
    seen, step = _context_and_step(strategy, model, context)
    tier = _annotated_tier(dataset, story, model, recording.seconds)
    extraction = ExtractionSpec(
        model=model.fingerprint,
        audio=digest_input(audio),
        counted=recording.counted,
        times=row_times,
        strategy=strategy,
        context_seconds=seen,
        step_seconds=step,
        annotation=None if tier is None else tier.digest,
    )
    heard = tuple(presentations(source, rows, repeated=repeated))
    return StoryPlan(
        story, audio, source, extraction, rows, source.score_from_row, tier=tier, heard=(heard,)
    )


def frames_of(extraction: ExtractionSpec) -> FramesSpec | None:
    """Name the frames that features can be made from; None where only a running model can.

    Acoustic spaces cost less than reading their frames, and rows close together need more of them
    than the grid of "chunk" holds.
    """
    if extraction.strategy == "frames":
        return None
    grid = find_strategy(extraction.strategy).grid_seconds
    if grid is not None and extraction.times.tr < LEAST_GRID_TR:
        return None
    return FramesSpec(
        model=extraction.model,
        audio=extraction.audio,
        counted=extraction.counted,
        strategy=extraction.strategy,
        context_seconds=extraction.context_seconds,
        step_seconds=extraction.step_seconds,
        grid_seconds=grid,
    )


def with_frames(
    dataset: Dataset, subject: str, stories: Sequence[StoryPlan], *, keep: bool | None
) -> tuple[StoryPlan, ...]:
    """Say for each story whether the model's frames are kept, for rows at other times.

    Parameters
    ----------
    dataset : Dataset
    subject : str
        Who heard the stories.
    stories : sequence of StoryPlan
    keep : bool or None
        None: where somebody else in the data set heard the same recording and has other row times,
        or fewer or more of them.
    """
    if keep is False:
        return tuple(stories)

    def frames(story: StoryPlan) -> FramesSpec | None:
        found = frames_of(story.extraction)
        if found is None or keep or dataset.heard_otherwise(subject, story.name):
            return found
        return found if _is_cut_otherwise(dataset, subject, story) else None

    return tuple(replace(story, frames=frames(story)) for story in stories)


def _is_cut_otherwise(dataset: Dataset, subject: str, story: StoryPlan) -> bool:
    """Say whether somebody who heard the story at the same times has another number of rows."""
    timing, seconds = dataset.timing(subject, story.name), find_recording(story.audio).seconds
    for other in dataset.heard_alike(subject, story.name):
        try:
            n_rows = count_rows(dataset.responses(other, story.name))
        except (InputError, OSError):
            continue  # who has no readable responses asks for no features
        rows = covered_rows(timing.times(n_rows), seconds, timing.tr)
        if rows != story.rows:
            return True
    return False


def _context_and_step(
    strategy: StoredStrategy, model: ModelFiles, context: float | None
) -> tuple[float, float]:
    """Return the longest audio that a model sees at once, and the step to the next window."""
    if model.family in LANGUAGE:
        return ANNOTATED_STEP_SECONDS, ANNOTATED_STEP_SECONDS
    if strategy == "frames":
        return find_space(model.name).window_and_step_seconds
    seen = context_seconds(strategy, model.padded_samples, context)
    return seen, step_seconds(strategy, context)


def _annotated_tier(dataset: Dataset, story: str, model: ModelFiles, seconds: float) -> Tier | None:
    unit: Literal["phone", "word"] | None = "word" if model.family in LANGUAGE else None
    if model.family == ACOUSTIC:
        unit = find_space(model.name).tier
    if unit is None:
        return None
    tier = story_tier(dataset, story, unit)
    try:
        _try_tier(tier, tier.digest, model.name, seconds)
    except InputError as error:
        raise InputError(f"{tier.path}: {error.message}", hint=error.hint) from error
    return tier


@lru_cache(maxsize=1024)
def _try_tier(tier: Tier, digest: str, space: str, seconds: float) -> None:
    """Make the features of a tier once, so that what is wrong with it is said by the plan."""
    intervals = tier.intervals()
    if not any(one.label.strip() for one in intervals):
        raise InputError(
            f"the tier {tier.name!r} is empty: nothing is said to be spoken",
            hint="Align the recording again, name another tier, or take the story out of [splits].",
        )
    if not space.startswith(f"{ACOUSTIC}:"):
        word_shares(intervals, seconds)
        return
    (part,) = find_space(space).parts
    ANNOTATION_SPACES[part.name](intervals, seconds)


def story_difference(own: StoryPlan, other: StoryPlan) -> str:
    """Say in what two subjects' responses to a story differ; empty when they can be compared."""
    if own.extraction != other.extraction or own.rows != other.rows:
        return f"other audio or other rows of the story {own.name!r}"
    n_targets, n_others = (response_shape(story.responses)[1] for story in (own, other))
    if n_targets != n_others:
        return f"{n_others} targets instead of {n_targets}"
    columns = [story.responses.columns for story in (own, other)]
    digests = {None if path is None else digest_input(path) for path in columns}
    return "other columns are used" if len(digests) > 1 else ""


def native_reason(space: str) -> str:
    """Say why targets of two subjects cannot stand side by side; empty where they can."""
    return f"{space} is each subject's own space" if is_own_space(space) else ""


def plan_stories(
    dataset: Dataset,
    subjects: Sequence[str],
    strategy: StoredStrategy,
    model: ModelFiles,
    names: Sequence[str],
    *,
    repeated: bool,
    context: float | None = None,
) -> tuple[StoryPlan, ...]:
    """Plan stories of one subject, or of the mean of several; see :func:`plan_story`.

    Raises
    ------
    InputError
        When the subjects' responses cannot be averaged row by row and target by target.
    """

    def plan(subject: str, name: str) -> StoryPlan:
        return plan_story(
            dataset, subject, strategy, model, name, repeated=repeated, context=context
        )

    first = [plan(subjects[0], name) for name in names]
    if len(subjects) == 1:
        return tuple(first)
    planned = []
    for story in first:
        sources, heard = [story.responses], list(story.heard)
        for subject in subjects[1:]:
            other = plan(subject, story.name)
            problem = native_reason(dataset.space) or story_difference(story, other)
            if problem:
                raise InputError(
                    f"subjects {subjects[0]!r} and {subject!r} cannot be averaged: {problem}",
                    hint="Score the subjects one by one; the pages average their scores.",
                )
            sources.append(other.responses)
            heard += other.heard
        planned.append(replace(story, members=tuple(sources), heard=tuple(heard)))
    return tuple(planned)


# ---- what is left out of the responses --------------------------------------------------------

_NAMED = 5


def response_warnings(stories: Sequence[StoryPlan]) -> list[str]:
    """Say which rows are left out because they were censored, and which targets get no score."""
    told = []
    censored = {story.name: sum(map(len, story.censored)) for story in stories}
    if any(censored.values()):
        repeats = any(len(heard) > 1 for story in stories for heard in story.heard)
        told.append(
            f"{sum(censored.values())} censored rows (NaN in every target) are left out of fit, "
            f"ceiling and score{', each in its own presentation' if repeats else ''}: "
            f"{_counts(censored)}"
        )
    zeros = {s.name: sum(one.n_zero for heard in s.heard for one in heard) for s in stories}
    if any(zeros.values()):
        told.append(
            f"{sum(zeros.values())} rows are 0 in every target and count as data "
            f"({_counts(zeros)}): if they were censored, store NaN there"
        )
    still = [story.name for story in stories if not zeros[story.name] and _is_still(story)]
    if still:
        told.append(
            "no target varies in the stories "
            f"{', '.join(still[:_NAMED])}{', ...' if len(still) > _NAMED else ''}, which count as "
            "data: give their responses, or take them out of [splits]"
        )
    return told


def _is_still(story: StoryPlan) -> bool:
    """Say whether a story has numbers, and each target the same one in every row."""
    data = [one for heard in story.heard for one in heard if one.has_data]
    return bool(data) and not any(one.varies.any() for one in data)


def unscored_warning(stories: Sequence[StoryPlan]) -> list[str]:
    """Say how many targets get no score because numbers are missing; refuse when all do.

    Raises
    ------
    InputError
        No target of the stories has numbers in all rows that are not censored, and varies.
    """
    every = [one for story in stories for heard in story.heard for one in heard if one.has_data]
    if not every:
        return []
    n_targets = every[0].n_targets
    finite, varies = np.ones(n_targets, dtype=bool), np.zeros(n_targets, dtype=bool)
    nowhere = np.ones(n_targets, dtype=bool)
    for one in every:
        finite, varies, nowhere = finite & one.finite, varies | one.varies, nowhere & one.empty
    partly = {
        story.name: int((~np.all([one.finite for one in data], axis=0) & ~nowhere).sum())
        for story in stories
        if (data := [one for heard in story.heard for one in heard if one.has_data])
    }
    broken, lacking = _counts(partly), int((~finite & ~nowhere).sum())
    if not (finite & varies).any():
        raise InputError(
            f"no target could get a score: of {n_targets}, {int(nowhere.sum())} are NaN in every "
            f"row, {lacking} hold NaN or infinite values in rows where others have numbers "
            f"({broken or 'none'}), and the rest do not vary",
            hint="A censored row must be NaN in every target; other gaps must be filled before. "
            "float16 holds no number beyond 65504.",
        )
    if not lacking:
        return []
    return [
        f"{lacking} of {n_targets} targets get no score: they hold NaN or infinite values in rows "
        f"that are not censored ({broken})"
    ]


_FEW_SCORED_ROWS, _FEW_TRAINING_ROWS = 40, 100


def require_variation(train: Sequence[StoryPlan], test: Sequence[StoryPlan]) -> None:
    """Refuse responses that are constant in every target of the training or the test stories."""
    for side, stories in (("training", train), ("test", test)):
        data = [one for s in stories for heard in s.heard for one in heard if one.has_data]
        if data and not np.any([one.varies for one in data]):
            names = ", ".join(repr(story.name) for story in stories[:_NAMED])
            raise InputError(
                f"the responses to the {side} stories ({names}) do not vary in any target",
                hint="Give the responses themselves, or take the stories out of [splits].",
            )


def few_rows_warning(train: Sequence[StoryPlan], test: Sequence[StoryPlan]) -> list[str]:
    """Say when scores rest on so few rows that they tell little."""
    scored, fitted = (
        int(sum(getattr(story, which).sum() for story in stories))
        for stories, which in ((test, "scored"), (train, "kept"))
    )
    told = []
    if scored < _FEW_SCORED_ROWS:
        told.append(
            f"scores are of {scored} test rows only: without any signal one target in twenty "
            f"reaches r = {2 / max(scored, 4) ** 0.5:.2f} or more in size"
        )
    if fitted < _FEW_TRAINING_ROWS:
        told.append(f"the models are fitted to {fitted} training rows only")
    return told


def _counts(found: Mapping[str, int]) -> str:
    """List the stories with anything found, and how much."""
    listed = [f"{name} {count}" for name, count in found.items() if count]
    return ", ".join(listed[:_NAMED]) + (", ..." if len(listed) > _NAMED else "")
