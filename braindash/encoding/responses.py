"""Responses to the stories of a run, stacked row under row: in memory, or read as asked for.

Censored rows (:mod:`braindash.io.dataset.censored`) are left out: of what is fitted to altogether,
of a mean over presentations where others have data. Where none has, the mean is NaN, and the row is
not scored.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.drift import high_passed
from braindash.core.scores import zscore
from braindash.core.timing import stretches
from braindash.io.dataset.responses import ResponseSource, load_repeats, load_responses
from braindash.io.dataset.responses import shape as response_shape
from braindash.process import usable_memory
from braindash.stories import StoryPlan, row_pieces

logger = logging.getLogger(__name__)

# Training responses stay on disk when they would take more than this of the free memory.
_MEMORY_SHARE = 0.4
# Columns whose responses, of every repeat or subject, are in memory at a time.
_COLUMNS_AT_ONCE = 8192


class StoryResponses:
    """Responses of one subject, or of several that are averaged, to some stories.

    Parameters
    ----------
    stories : sequence of StoryPlan
        At least one.
    standardise : bool
        Z-score every target over the used rows of a story, in each presentation by itself.
    high_pass : float, optional
        Take cosines as slow as so many seconds out before, of every presentation by itself.

    Attributes
    ----------
    n_rows, n_targets : int
        Used rows of all stories, censored ones included, and columns.
    kept : array of bool, shape (n_rows,)
        Rows that some presentation has data for.
    """

    def __init__(
        self, stories: Sequence[StoryPlan], *, standardise: bool, high_pass: float | None = None
    ) -> None:
        self._stories = tuple(stories)
        self._standardise, self._high_pass = standardise, high_pass
        _, self.n_targets = response_shape(stories[0].responses)
        self.n_rows = sum(story.n_rows for story in stories)
        self.kept = np.concatenate([story.kept for story in stories])

    # ---- rows -----------------------------------------------------------------------------

    @property
    def story_index(self) -> NDArray[np.int64]:
        """Index of each row's story, (n_rows,)."""
        return np.repeat(np.arange(len(self._stories)), [story.n_rows for story in self._stories])

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows that enter the score of a test story, bool (n_rows,)."""
        return np.concatenate([story.scored for story in self._stories])

    @property
    def segment(self) -> NDArray[np.int64]:
        """Stretch of each row: a story, parted by censored rows and by held-out blocks."""
        return stretches(row_pieces(self._stories), self.kept)

    def column_blocks(self) -> Iterator[slice]:
        """Yield stretches of targets whose responses fit into memory together."""
        yield from _column_blocks(self.n_targets)

    # ---- one response per row -------------------------------------------------------------

    def train(self) -> "NDArray[np.float32] | StackedResponses":
        """Return one response per kept row, (n_kept, n_targets) float32: in memory if they fit.

        Repeats are not averaged here: what lies beside them in the file counts.
        """
        stacked = StackedResponses(self)
        if stacked.n_bytes > _MEMORY_SHARE * usable_memory():
            logger.info(
                "the responses (%.1f GB) are read from disk as needed", stacked.n_bytes / 1e9
            )
            return stacked
        return self.heard_once(None)

    def heard_once(self, columns: slice | None) -> NDArray[np.float32]:
        """Return one response per kept row of some targets, (n_kept, n_columns) float32.

        Beside the result one story is in memory at a time.
        """
        wanted = slice(None) if columns is None else columns
        n_columns = len(range(*wanted.indices(self.n_targets)))
        rows = np.empty((int(self.kept.sum()), n_columns), dtype=np.float32)
        first = 0
        for story in self._stories:
            block = self._one_hearing(story, columns)
            rows[first : first + len(block)] = block
            first += len(block)
        return rows

    def mean(self) -> NDArray[np.float32]:
        """Return the mean over presentations, (n_rows, n_targets) float32; NaN in censored rows."""
        mean = np.empty((self.n_rows, self.n_targets), dtype=np.float32)
        for columns in self.column_blocks():
            blocks = [_mean(*_stacked(self._by_member(story, columns))) for story in self._stories]
            mean[:, columns] = np.concatenate([block for block, _ in blocks])
        return mean

    # ---- what noise ceilings are made of: scored rows only ---------------------------------

    def repeats(self, columns: slice) -> np.ndarray:
        """Return every presentation of some targets, (n_repeats, n_rows, n_columns).

        The rows are those scored rows that no presentation lacks; one that has no data in any is
        left out. Of stories with unequal numbers of repeats the fewest are taken.
        """
        stories = [
            _complete(
                self._presentations(story, story.responses, columns)[:, story.scored],
                story.present[0][:, story.scored],
            )
            for story in self._stories
        ]
        fewest = min(len(runs) for runs in stories)
        return np.concatenate([runs[:fewest] for runs in stories], axis=1)

    def members(self, columns: slice) -> np.ndarray:
        """Return every averaged subject's mean, (n_subjects, n_rows, n_columns).

        The rows are those scored rows that no subject lacks.
        """
        stories = []
        for story in self._stories:
            runs, present = _stacked(self._by_member(story, columns))
            scored, whole = story.scored, present.all(axis=0)
            stories.append(runs[:, scored & whole])
        return np.concatenate(stories, axis=1)

    def others(
        self, others: Sequence[Sequence[StoryPlan]], columns: slice
    ) -> tuple[np.ndarray, NDArray[np.bool_]]:
        """Return other subjects' means to the same stories.

        Parameters
        ----------
        others : sequence of sequence of StoryPlan
            For every other subject one plan per story.
        columns : slice
            The targets.

        Returns
        -------
        means : array of shape (n_others, n_scored, n_columns)
            NaN in rows that the other subject lacks.
        present : array of bool, shape (n_others, n_scored)
            Rows that they do not lack.
        """
        found = []
        for stories in others:
            means, present = zip(
                *(
                    _mean(self._presentations(theirs, theirs.responses, columns), theirs.present[0])
                    for theirs in stories
                ),
                strict=True,
            )
            found.append((np.concatenate(means), np.concatenate(present)))
        scored = self.scored
        every, marks = zip(*found, strict=True)
        return np.stack(every)[:, scored], np.stack(marks)[:, scored]

    # ---- reading --------------------------------------------------------------------------

    def _one_hearing(self, story: StoryPlan, columns: slice | None) -> NDArray[np.float32]:
        blocks = [
            self._prepared(load_responses(source, columns)[story.rows], present[0], story)
            for source, present in zip(_sources(story), story.present, strict=True)
        ]
        once = [present[0] for present in story.present]
        mean = _mean(np.stack(blocks), np.stack(once))[0] if story.members else blocks[0]
        return np.asarray(mean if story.kept.all() else mean[story.kept], np.float32)

    def _by_member(
        self, story: StoryPlan, columns: slice
    ) -> list[tuple[np.ndarray, NDArray[np.bool_]]]:
        """Return each averaged subject's mean, (n_rows, n_columns), and the rows it has."""
        return [
            _mean(self._presentations(story, source, columns), present)
            for source, present in zip(_sources(story), story.present, strict=True)
        ]

    def _presentations(
        self, story: StoryPlan, source: ResponseSource, columns: slice
    ) -> np.ndarray:
        """Read what a brain did at each hearing, (n_presentations, n_rows, n_columns)."""
        repeats = load_repeats(source, columns)
        runs = load_responses(source, columns)[None] if repeats is None else repeats
        present = story.present[_sources(story).index(source)]
        return np.stack(
            [
                self._prepared(run[story.rows], one, story)
                for run, one in zip(runs, present, strict=True)
            ]
        )

    def _prepared(
        self, block: np.ndarray, present: NDArray[np.bool_], story: StoryPlan
    ) -> np.ndarray:
        """Filter and standardise what one brain did at one hearing, as far as is asked for."""
        if self._high_pass is not None and present.any():
            tr = story.extraction.times.tr
            block = high_passed(block, self._high_pass, tr, present=present)
        return self._standardised(block, present)

    def _standardised(self, block: np.ndarray, present: NDArray[np.bool_]) -> np.ndarray:
        if not self._standardise:
            return block
        if present.all():
            return zscore(block)
        made = np.full(block.shape, np.nan, dtype=block.dtype)
        if present.any():
            made[present] = zscore(block[present])
        return made


def _sources(story: StoryPlan) -> tuple[ResponseSource, ...]:
    return story.members or (story.responses,)


def _stacked(
    members: Sequence[tuple[np.ndarray, NDArray[np.bool_]]],
) -> tuple[np.ndarray, NDArray[np.bool_]]:
    values, present = zip(*members, strict=True)
    return np.stack(values), np.stack(present)


def _mean(runs: np.ndarray, present: NDArray[np.bool_]) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Average over the presentations that a row has, (n_rows, n_columns), and say if it has any."""
    if present.all():
        return runs.mean(axis=0), np.ones(present.shape[1], dtype=bool)
    counts = present.sum(axis=0)
    total = np.where(present[:, :, None], runs, 0).sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        mean = total / counts[:, None]  # NaN where there is none
    return mean.astype(runs.dtype), np.asarray(counts > 0)


def _complete(runs: np.ndarray, present: NDArray[np.bool_]) -> np.ndarray:
    """Keep the presentations with any data, and the rows that none of these lacks."""
    used = present.any(axis=1)
    return runs[used][:, present[used].all(axis=0)]


@dataclass(frozen=True, eq=False)
class RunResponses:
    """What every regression of a run is fitted to and scored against.

    Attributes
    ----------
    train : array-like of float32, shape (n_kept, n_targets)
        One response per kept training row; on disk when they do not fit into memory.
    train_story, test_story : array of int64, shape (n_rows,)
        Index of each row's story, censored rows included.
    train_kept : array of bool, shape (n_train_rows,)
        Training rows that are not censored.
    test : array of float32, shape (n_test_rows, n_targets)
        Mean response of each test row; NaN where it is censored.
    test_segment : array of int64, shape (n_test_rows,)
        Stretch of each test row, which blocks of rows stay within.
    scored : array of bool, shape (n_test_rows,)
        Test rows that enter the scores.
    """

    train: "NDArray[np.float32] | StackedResponses"
    train_story: NDArray[np.int64]
    train_kept: NDArray[np.bool_]
    test: NDArray[np.float32]
    test_story: NDArray[np.int64]
    test_segment: NDArray[np.int64]
    scored: NDArray[np.bool_]


def read_responses(
    train: Sequence[StoryPlan],
    test: Sequence[StoryPlan],
    *,
    standardise: bool,
    high_pass: float | None = None,
) -> RunResponses:
    """Read the responses to training and test stories; parameters as of StoryResponses."""
    fitted, tested = (
        StoryResponses(one, standardise=standardise, high_pass=high_pass) for one in (train, test)
    )
    return RunResponses(
        train=fitted.train(),
        train_story=fitted.story_index,
        train_kept=fitted.kept,
        test=tested.mean(),
        test_story=tested.story_index,
        test_segment=tested.segment,
        scored=tested.scored,
    )


class StackedResponses:
    """Responses on disk, one story under the other; columns are read as they are asked for.

    Parameters
    ----------
    responses : StoryResponses
        Reads them.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, responses: StoryResponses) -> None:
        self._responses = responses
        self.shape = (int(responses.kept.sum()), responses.n_targets)

    @property
    def n_bytes(self) -> int:
        """Their size in memory."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, place: tuple[slice, Any]) -> NDArray[np.float32]:
        rows, columns = place
        if isinstance(columns, slice):
            return self._responses.heard_once(columns)[rows]
        wanted = np.asarray(columns)  # scattered targets: whole stretches are read, and some kept
        found = np.empty((self.shape[0], len(wanted)), dtype=np.float32)
        for block in _column_blocks(self.shape[1]):
            places = np.flatnonzero((wanted >= block.start) & (wanted < block.stop))
            if len(places):
                read = self._responses.heard_once(block)
                found[:, places] = read[:, wanted[places] - block.start]
        return found[rows]


def _column_blocks(n_targets: int) -> Iterator[slice]:
    for start in range(0, n_targets, _COLUMNS_AT_ONCE):
        yield slice(start, min(start + _COLUMNS_AT_ONCE, n_targets))
