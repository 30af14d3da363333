"""Targets in place of responses: vectors of words, or a layer of a text or speech model."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.core.phones import is_word
from braindash.core.scores import zscore
from braindash.io.dataset.audio import load_audio
from braindash.io.labels.textgrid import Interval
from braindash.io.labels.tiers import story_tier
from braindash.io.labels.words import WordVectors, read_word_vectors
from braindash.names import given_path
from braindash.progress import Progress, shared
from braindash.stories import StoryPlan
from braindash.tuning.plan import TuningPlan

logger = logging.getLogger(__name__)

Rows = NDArray[np.float32]


def teacher_rows(plan: TuningPlan, stories: Sequence[StoryPlan], progress: Progress) -> list[Rows]:
    """Make the targets of every story for the control that a plan asks for.

    Parameters
    ----------
    plan : TuningPlan
        Of the control "text", "language-model" or "speech-model".
    stories : sequence of StoryPlan
    progress : Progress
        Told of every batch of texts, or of every window of sound.

    Returns
    -------
    list of float32 array of shape (n_rows, n_dims)
        Z-scored over each story's rows.
    """
    window = plan.spec.settings.window_trs * stories[0].extraction.times.tr
    if plan.request.control == "speech-model":
        return _heard(plan, stories, window, progress)
    assert plan.request.words is not None  # planned
    place = given_path(plan.request.words)
    spoken = [_words(plan, story) for story in stories]
    if plan.request.control == "language-model":
        return _read_by_model(plan, place, stories, spoken, window, progress)
    if place.is_dir():
        from braindash.speech.text import embed_texts

        return [
            standardised_rows(
                embed_texts(
                    place,
                    texts_of_rows(words, story.times, window),
                    device=plan.request.device,
                    progress=progress,
                )
            )
            for story, words in zip(stories, spoken, strict=True)
        ]
    vectors = read_word_vectors(
        place, vocabulary={word.label for words in spoken for word in words}
    )
    for warning in vectors.warnings:
        logger.warning("%s", warning)
    return [
        word_targets(words, vectors, story.times, window)
        for story, words in zip(stories, spoken, strict=True)
    ]


def _heard(
    plan: TuningPlan, stories: Sequence[StoryPlan], window: float, progress: Progress
) -> list[Rows]:
    """Average a layer of another speech model over the sound before each row."""
    from braindash.speech.models import open_model
    from braindash.speech.unit_features import unit_features

    teacher = plan.teacher
    assert teacher.model is not None and teacher.layer is not None  # planned
    model = open_model(teacher.model, device=plan.request.device)
    found = []
    for story, span in zip(stories, shared(progress, [1.0] * len(stories)), strict=True):
        starts = np.maximum(story.times - window, 0.0)
        heard = unit_features(model, load_audio(story.audio), starts, story.times, progress=span)
        found.append(standardised_rows(heard.features[teacher.layer]))
    return found


def _read_by_model(
    plan: TuningPlan,
    folder: Path,
    stories: Sequence[StoryPlan],
    spoken: Sequence[Sequence[Interval]],
    window: float,
    progress: Progress,
) -> list[Rows]:
    """Average a layer of a text model over the words before each row."""
    from braindash.speech.text import embed_words

    found = []
    for story, words, span in zip(
        stories, spoken, shared(progress, [1.0] * len(stories)), strict=True
    ):
        vectors = embed_words(
            folder,
            [word.label for word in words],
            layer=plan.teacher.layer,
            device=plan.request.device,
            progress=span,
        )
        found.append(mean_of_words(words, vectors, story.times, window))
    return found


def _words(plan: TuningPlan, story: StoryPlan) -> list[Interval]:
    tier = story_tier(plan.dataset, story.name, "word")
    return [word for word in tier.intervals() if is_word(word.label)]


def word_targets(
    words: Sequence[Interval],
    vectors: WordVectors,
    times: NDArray[np.float64],
    window_seconds: float,
) -> Rows:
    """Average the vectors of the words whose middle lies in the window before each row.

    Parameters
    ----------
    words : sequence of Interval
    vectors : WordVectors
    times : array of shape (n_rows,)
        In seconds.
    window_seconds : float
        Rows at ``t`` hold the words from ``t - window_seconds`` to ``t``.

    Returns
    -------
    float32 array of shape (n_rows, n_dims)
        Z-scored over the rows; dimensions that do not vary are 0, as are rows without a word
        before that.
    """
    known, found = vectors.of([word.label for word in words])
    there = [word for word, has in zip(words, found, strict=True) if has]
    return mean_of_words(there, known[found], times, window_seconds)


def mean_of_words(
    words: Sequence[Interval],
    vectors: NDArray[np.floating],
    times: NDArray[np.float64],
    window_seconds: float,
) -> Rows:
    """Average vectors of words, (n_words, n_dims), as :func:`word_targets` does."""
    inside = _words_inside(words, times, window_seconds)
    counts = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    return standardised_rows(inside.astype(np.float64) @ vectors / counts)


def texts_of_rows(
    words: Sequence[Interval], times: NDArray[np.float64], window_seconds: float
) -> list[str]:
    """Join the words whose middle lies in the window before each row; empty where there is none."""
    inside = _words_inside(words, times, window_seconds)
    return [" ".join(words[int(at)].label for at in np.flatnonzero(row)) for row in inside]


def standardised_rows(values: NDArray[np.floating]) -> Rows:
    """Z-score each dimension over the rows; one that does not vary becomes 0."""
    made: Rows = np.nan_to_num(zscore(values)).astype(np.float32)
    return made


def _words_inside(
    words: Sequence[Interval], times: NDArray[np.float64], window_seconds: float
) -> NDArray[np.bool_]:
    """Mark the words of each row's window, (n_rows, n_words)."""
    middles = np.array([(word.start + word.end) / 2 for word in words])
    inside: NDArray[np.bool_] = (middles > times[:, None] - window_seconds) & (
        middles <= times[:, None]
    )
    return inside
