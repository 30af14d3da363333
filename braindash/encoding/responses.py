"""Responses to the stories of a run, stacked row under row: in memory, or read as asked for."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.scores import zscore
from braindash.io.dataset.responses import ResponseSource, load_repeats, load_responses
from braindash.io.dataset.responses import shape as response_shape
from braindash.process import usable_memory
from braindash.stories import StoryPlan

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
    """

    def __init__(self, stories: Sequence[StoryPlan], *, standardise: bool) -> None:
        self._stories = tuple(stories)
        self._standardise = standardise
        _, self.n_targets = response_shape(stories[0].responses)
        self.n_rows = sum(story.n_rows for story in stories)

    # ---- rows -----------------------------------------------------------------------------

    @property
    def story_index(self) -> NDArray[np.int64]:
        """Index of each row's story, (n_rows,)."""
        return np.repeat(np.arange(len(self._stories)), [story.n_rows for story in self._stories])

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows that enter the score of a test story, bool (n_rows,)."""
        marks = [
            np.arange(story.rows.start, story.rows.stop) >= story.score_from_row
            for story in self._stories
        ]
        return np.concatenate(marks)

    def column_blocks(self) -> Iterator[slice]:
        """Yield stretches of targets whose responses fit into memory together."""
        yield from _column_blocks(self.n_targets)

    # ---- one response per row -------------------------------------------------------------

    def train(self) -> "NDArray[np.float32] | StackedResponses":
        """Return one response per row, (n_rows, n_targets) float32: in memory if they fit there.

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
        """Return one response per row of some targets, (n_rows, n_columns) float32."""
        return np.concatenate([self._one_hearing(story, columns) for story in self._stories])

    def mean(self) -> NDArray[np.float32]:
        """Return the mean over presentations, (n_rows, n_targets) float32."""
        mean = np.empty((self.n_rows, self.n_targets), dtype=np.float32)
        for columns in self.column_blocks():
            blocks = [
                [run.mean(axis=0) for run in self._by_member(story, columns)]
                for story in self._stories
            ]
            mean[:, columns] = np.concatenate([np.mean(members, axis=0) for members in blocks])
        return mean

    # ---- what noise ceilings are made of: scored rows only ---------------------------------

    def repeats(self, columns: slice) -> np.ndarray:
        """Return every presentation of some targets, (n_repeats, n_scored, n_columns).

        Of stories with unequal numbers of repeats the fewest are taken.
        """
        stories = [
            self._presentations(story, story.responses, columns)[:, _scored_slice(story)]
            for story in self._stories
        ]
        fewest = min(len(runs) for runs in stories)
        return np.concatenate([runs[:fewest] for runs in stories], axis=1)

    def members(self, columns: slice) -> np.ndarray:
        """Return every averaged subject's mean, (n_subjects, n_scored, n_columns)."""
        stories = [
            np.stack([run[:, _scored_slice(story)].mean(axis=0) for run in members])
            for story in self._stories
            if (members := self._by_member(story, columns))
        ]
        return np.concatenate(stories, axis=1)

    def others(self, others: Sequence[Sequence[ResponseSource]], columns: slice) -> np.ndarray:
        """Return other subjects' means to the same stories, (n_others, n_scored, n_columns).

        Parameters
        ----------
        others : sequence of sequence of ResponseSource
            For every other subject one source per story.
        columns : slice
            The targets.
        """
        means = [
            [
                self._presentations(story, source, columns)[:, _scored_slice(story)].mean(axis=0)
                for story, source in zip(self._stories, sources, strict=True)
            ]
            for sources in others
        ]
        return np.stack([np.concatenate(stories) for stories in means])

    # ---- reading --------------------------------------------------------------------------

    def _one_hearing(self, story: StoryPlan, columns: slice | None) -> NDArray[np.float32]:
        blocks = [
            self._standardised(load_responses(source, columns)[story.rows])
            for source in story.members or (story.responses,)
        ]
        return np.asarray(np.mean(blocks, axis=0) if story.members else blocks[0], np.float32)

    def _by_member(self, story: StoryPlan, columns: slice) -> list[np.ndarray]:
        """Read each averaged subject's presentations, (n_presentations, n_rows, n_columns)."""
        sources = story.members or (story.responses,)
        return [self._presentations(story, source, columns) for source in sources]

    def _presentations(
        self, story: StoryPlan, source: ResponseSource, columns: slice
    ) -> np.ndarray:
        """Read what a brain did at each hearing, (n_presentations, n_rows, n_columns)."""
        repeats = load_repeats(source, columns)
        runs = load_responses(source, columns)[None] if repeats is None else repeats
        return np.stack([self._standardised(run[story.rows]) for run in runs])

    def _standardised(self, block: np.ndarray) -> np.ndarray:
        return zscore(block) if self._standardise else block


@dataclass(frozen=True, eq=False)
class RunResponses:
    """What every regression of a run is fitted to and scored against.

    Attributes
    ----------
    train : array-like of float32, shape (n_train_rows, n_targets)
        One response per training row; on disk when they do not fit into memory.
    train_story, test_story : array of int64, shape (n_rows,)
        Index of each row's story.
    test : array of float32, shape (n_test_rows, n_targets)
        Mean response of each test row.
    scored : array of bool, shape (n_test_rows,)
        Test rows that enter the scores.
    """

    train: "NDArray[np.float32] | StackedResponses"
    train_story: NDArray[np.int64]
    test: NDArray[np.float32]
    test_story: NDArray[np.int64]
    scored: NDArray[np.bool_]


def read_responses(
    train: Sequence[StoryPlan], test: Sequence[StoryPlan], *, standardise: bool
) -> RunResponses:
    """Read the responses to training and test stories; parameters as of StoryResponses."""
    fitted, tested = (StoryResponses(one, standardise=standardise) for one in (train, test))
    return RunResponses(
        fitted.train(), fitted.story_index, tested.mean(), tested.story_index, tested.scored
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
        self.shape = (responses.n_rows, responses.n_targets)

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


def _scored_slice(story: StoryPlan) -> slice:
    return slice(max(0, story.score_from_row - story.rows.start), None)
