"""The stages of an encoding run after extraction: predictions per layer, then what they mean."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray

from braindash.core.ceilings import (
    inter_subject_ceiling,
    repeats_ceiling,
    split_half_ceiling,
)
from braindash.core.ridge import RidgeOptions, RidgeResult, fit_layers
from braindash.core.scores import pearson_r, zscore
from braindash.io.atlases import named_masks
from braindash.io.predictions import PredictionFile, PredictionReader, layer_part
from braindash.io.responses import ResponseSource, load_repeats, load_responses
from braindash.io.store import Entry, Store
from braindash.plan.encoding import EncodingPlan
from braindash.plan.stories import StoryPlan
from braindash.progress import Progress, Span
from braindash.steps.statistics import ScoredRows, compute_statistics

log = logging.getLogger(__name__)

# Training responses stay on disk when they would take more than this of the free memory.
_MEMORY_SHARE = 0.4
# Columns whose responses, of every repeat or subject, are in memory at a time.
_COLUMNS_AT_ONCE = 8192


def fit_predictions(
    plan: EncodingPlan, features: Mapping[str, Entry], store: Store, progress: Progress
) -> PredictionFile:
    """Predict the test rows from every layer; layers that are finished already are kept.

    Parameters
    ----------
    plan : EncodingPlan
        What to compute.
    features : mapping of str to Entry
        Features of every story of the plan, by their keys.
    store : Store
        Keeps every finished layer as a part of the predictions.
    progress : Progress
        Told of every layer.

    Returns
    -------
    PredictionFile
        Beside the predictions, every layer has ``r`` (Pearson, of the scored rows), ``alpha``
        and ``cv_score``.
    """
    key = plan.spec.fit.key()
    n_layers = count_layers(plan, features)
    names = [part_name(layer) for layer in range(n_layers)]
    done = store.part_files("predictions", key)
    todo = [layer for layer, name in enumerate(names) if name not in done]
    progress.advance(n_layers - len(todo), n_layers, "loading responses")
    response, scored = mean_test_response(plan), scored_rows(plan)
    for count, (layer, result) in enumerate(_fit_layers(plan, features, todo), start=1):
        assert result.prediction is not None  # asked for
        scores: dict[str, NDArray[np.floating]] = {
            "r": pearson_r(result.prediction[scored], response[scored]),
            "alpha": np.asarray(result.alpha),
            "cv_score": np.asarray(result.best_cv_score),
        }
        store.put_part("predictions", key, names[layer], layer_part(result.prediction, scores))
        finished = n_layers - len(todo) + count
        progress.advance(finished, n_layers, f"layer {layer} of {n_layers - 1} scored")
    files = store.part_files("predictions", key)
    return PredictionFile([files[name] for name in names], response, scored, story_index(plan.test))


def summarise(plan: EncodingPlan, predictions: Entry, progress: Progress) -> xr.Dataset:
    """Make the arrays of an encoding result from its predictions.

    Parameters
    ----------
    plan : EncodingPlan
        What to compute.
    predictions : Entry
        The stored predictions of the plan.
    progress : Progress
        Told of every block of targets.

    Returns
    -------
    xarray.Dataset
        What :class:`braindash.results.encoding.EncodingResult` holds.
    """
    with predictions.open() as stored:
        reader = PredictionReader(stored)
        scores = stored[["r", "alpha", "cv_score"]].load()
        tops = ceilings(plan, reader, Span(progress, 0.0, 0.1))
        statistics = compute_statistics(
            ScoredRows(reader.read, reader.segments, scores["r"].values),
            named_masks(plan.spec.space, reader.n_targets),
            tops,
            plan.spec.statistics,
            device=plan.request.device,
            progress=Span(progress, 0.1, 1.0),
        )
    if tops:
        stacked = np.stack(list(tops.values()))
        scores = scores.assign(ceiling=(("ceiling_kind", "target"), stacked))
        scores = scores.assign_coords(ceiling_kind=list(tops))
    return xr.merge([scores, statistics])


def ceilings(
    plan: EncodingPlan, predictions: PredictionReader, progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """Compute every noise ceiling of a plan, on the scored rows.

    Parameters
    ----------
    plan : EncodingPlan
        Says which ceilings the data allow.
    predictions : PredictionReader
        Holds the subject's mean response.
    progress : Progress
        Told of every block of targets.

    Returns
    -------
    dict of str to array of float32, shape (n_targets,)
        In the order of ``plan.spec.ceilings``.
    """
    n_targets = predictions.n_targets
    found: dict[str, NDArray[np.float32]] = {
        name: np.empty(n_targets, dtype=np.float32) for name in plan.spec.ceilings
    }
    for columns in _column_blocks(n_targets) if found else ():
        progress.advance(columns.start, n_targets, "noise ceilings")
        if "repeats" in found:
            found["repeats"][columns] = repeats_ceiling(_repeats(plan, columns))
        if "inter-subject" in found:
            found["inter-subject"][columns] = inter_subject_ceiling(
                predictions.response(columns), _other_responses(plan, columns)
            )
        if "split-half" in found:
            found["split-half"][columns] = split_half_ceiling(_member_responses(plan, columns))
    return found


def count_layers(plan: EncodingPlan, features: Mapping[str, Entry]) -> int:
    """Count the layers of the plan's features."""
    with features[plan.train[0].extraction.key()].open() as first:
        return int(first.sizes["layer"])


def part_name(layer: int) -> str:
    """Name the part of a result that one layer is."""
    return f"layer-{layer:03d}"


def _column_blocks(n_targets: int) -> Iterator[slice]:
    for start in range(0, n_targets, _COLUMNS_AT_ONCE):
        yield slice(start, min(start + _COLUMNS_AT_ONCE, n_targets))


def _fit_layers(
    plan: EncodingPlan, features: Mapping[str, Entry], layers: list[int]
) -> Iterator[tuple[int, RidgeResult]]:
    if not layers:
        return
    results = fit_layers(
        (
            (
                layer_features(plan.train, features, layer),
                layer_features(plan.test, features, layer),
            )
            for layer in layers
        ),
        train_responses(plan),
        groups=story_index(plan.train),
        groups_test=story_index(plan.test),
        return_prediction=True,
        **ridge_options(plan),
    )
    yield from zip(layers, results, strict=True)


# ---- features -------------------------------------------------------------------------------


def ridge_options(plan: EncodingPlan) -> RidgeOptions:
    """Give the plan's settings of every regression."""
    return {
        "alphas": plan.spec.alphas,
        "delays": plan.spec.delays,
        "folds": plan.spec.folds,
        "metric": plan.spec.metric,
        "intercept": plan.spec.intercept,
        "device": plan.request.device,
        "threads": plan.request.threads,
    }


def layer_features(
    stories: Sequence[StoryPlan], features: Mapping[str, Entry], layer: int
) -> NDArray[np.float32]:
    """Stack one layer's features of some stories, z-scored within each, (n_rows, n_features)."""
    return np.concatenate([_story_features(features[s.extraction.key()], layer) for s in stories])


def _story_features(entry: Entry, layer: int) -> np.ndarray:
    with entry.open() as dataset:
        return zscore(dataset["features"].isel(layer=layer).values)


def story_index(stories: Sequence[StoryPlan]) -> NDArray[np.int64]:
    """Give the index of each row's story, (n_rows,)."""
    return np.repeat(np.arange(len(stories)), [story.n_rows for story in stories])


# ---- responses ------------------------------------------------------------------------------


def mean_test_response(plan: EncodingPlan) -> NDArray[np.float32]:
    """Average the presentations of the test stories, (n_rows, n_targets)."""
    n_targets = plan.check.n_targets
    mean = np.empty((sum(story.n_rows for story in plan.test), n_targets), dtype=np.float32)
    for columns in _column_blocks(n_targets):
        blocks = [
            [run.mean(axis=0) for run in _by_member(plan, story, columns)] for story in plan.test
        ]
        mean[:, columns] = np.concatenate([np.mean(members, axis=0) for members in blocks])
    return mean


def scored_rows(plan: EncodingPlan) -> NDArray[np.bool_]:
    """Mark the test rows that enter the score, bool (n_rows,)."""
    marks = [
        np.arange(story.rows.start, story.rows.stop) >= story.score_from_row for story in plan.test
    ]
    return np.concatenate(marks)


def train_responses(plan: EncodingPlan) -> "NDArray[np.float32] | StackedResponses":
    """Stack the training responses, (n_rows, n_targets) float32: in memory if they fit there."""
    stacked = StackedResponses(plan)
    if stacked.n_bytes > _MEMORY_SHARE * psutil.virtual_memory().available:
        log.info("the responses (%.1f GB) are read from disk as needed", stacked.n_bytes / 1e9)
        return stacked
    return np.concatenate([_one_hearing(plan, story, None) for story in plan.train])


class StackedResponses:
    """The training responses on disk, one under the other; columns are read as they are asked for.

    Parameters
    ----------
    plan : EncodingPlan
        Names the stories.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, plan: EncodingPlan) -> None:
        self._plan = plan
        n_rows = sum(story.n_rows for story in plan.train)
        self.shape = (n_rows, int(plan.check.n_targets))

    @property
    def n_bytes(self) -> int:
        """Their size in memory."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, place: tuple[slice, Any]) -> NDArray[np.float32]:
        rows, columns = place
        if isinstance(columns, slice):
            return self._read(columns)[rows]
        wanted = np.asarray(columns)  # scattered targets: whole stretches are read, and some kept
        found = np.empty((self.shape[0], len(wanted)), dtype=np.float32)
        for block in _column_blocks(self.shape[1]):
            places = np.flatnonzero((wanted >= block.start) & (wanted < block.stop))
            if len(places):
                found[:, places] = self._read(block)[:, wanted[places] - block.start]
        return found[rows]

    def _read(self, columns: slice) -> NDArray[np.float32]:
        parts = [_one_hearing(self._plan, story, columns) for story in self._plan.train]
        return np.concatenate(parts)


def _one_hearing(
    plan: EncodingPlan, story: StoryPlan, columns: slice | None
) -> NDArray[np.float32]:
    blocks = [
        _standardised(plan, load_responses(source, columns)[story.rows])
        for source in story.members or (story.responses,)
    ]
    return np.asarray(np.mean(blocks, axis=0) if story.members else blocks[0], dtype=np.float32)


def _by_member(plan: EncodingPlan, story: StoryPlan, columns: slice) -> list[np.ndarray]:
    """Read every averaged subject's presentations, each (n_presentations, n_rows, n_columns)."""
    sources = story.members or (story.responses,)
    return [_presentations(plan, story, source, columns) for source in sources]


def _member_responses(plan: EncodingPlan, columns: slice) -> np.ndarray:
    """Join the scored rows of all test stories, (n_subjects, n_rows, n_columns)."""
    stories = [
        np.stack([run[:, _scored_slice(story)].mean(axis=0) for run in members])
        for story in plan.test
        if (members := _by_member(plan, story, columns))
    ]
    return np.concatenate(stories, axis=1)


def _presentations(
    plan: EncodingPlan, story: StoryPlan, source: ResponseSource, columns: slice
) -> np.ndarray:
    """Read what a subject's brain did at each hearing, (n_presentations, n_rows, n_columns)."""
    repeats = load_repeats(source, columns)
    runs = load_responses(source, columns)[None] if repeats is None else repeats
    return np.stack([_standardised(plan, run[story.rows]) for run in runs])


def _repeats(plan: EncodingPlan, columns: slice) -> np.ndarray:
    """Join the scored rows of all test stories, (n_repeats, n_rows, n_columns)."""
    stories = [
        _presentations(plan, story, story.responses, columns)[:, _scored_slice(story)]
        for story in plan.test
    ]
    fewest = min(len(runs) for runs in stories)
    return np.concatenate([runs[:fewest] for runs in stories], axis=1)


def _other_responses(plan: EncodingPlan, columns: slice) -> np.ndarray:
    """Join the scored rows of all test stories, (n_others, n_rows, n_columns)."""
    means = [
        [
            _presentations(plan, story, source, columns)[:, _scored_slice(story)].mean(axis=0)
            for story, source in zip(plan.test, other.responses, strict=True)
        ]
        for other in plan.others
    ]
    return np.stack([np.concatenate(stories) for stories in means])


def _scored_slice(story: StoryPlan) -> slice:
    return slice(max(0, story.score_from_row - story.rows.start), None)


def _standardised(plan: EncodingPlan, block: np.ndarray) -> np.ndarray:
    return zscore(block) if plan.spec.standardise_responses else block
