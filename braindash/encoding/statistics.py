"""Significance and uncertainty of an encoding result, from its predictions.

Targets are worked on in blocks, so that no array of samples, layers and all targets is ever in
memory. Every block uses the same permutations, if any are drawn, and the same bootstrap draws, for
all its layers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse

from braindash.core.ceilings import (
    ceiling_with_repeats,
    chosen_by_ceilings,
    inter_subject_ceiling,
    repeats_ceiling,
    split_half_ceiling,
)
from braindash.core.statistics.blocks import LayerTests
from braindash.core.statistics.bootstrap import block_counts, bootstrap_r, preferred_layers
from braindash.core.statistics.confidence import LayerConfidence, time_inflation
from braindash.core.statistics.permutation import benjamini_hochberg, permutation_tests
from braindash.core.statistics.prewhitened import prewhitened_tests
from braindash.encoding.ceilings.subject_sums import can_be_summed, ceiling_by_sum
from braindash.encoding.costs import TARGETS_AT_ONCE
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.responses import StoryResponses
from braindash.encoding.result import SELECTING
from braindash.io.dataset.responses import load_ceiling
from braindash.io.predictions import PredictionReader
from braindash.io.regions.masks import named_masks
from braindash.io.store import Entry
from braindash.progress import NoProgress, Progress, shared
from braindash.specs import StatisticsSettings

MEANS_ONLY: Mapping[str, Any] = MappingProxyType({"n_permutations": 0, "confidence": "share"})
"""What to set in settings where only replicates of regions' means are wanted."""

Floats = NDArray[np.floating]
ReadColumns = Callable[[slice], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Takes targets; gives predictions (n_layers, n_rows, n_columns) and response (n_rows,
n_columns)."""


@dataclass(frozen=True)
class ScoredRows:
    """What the statistics of a result are computed from.

    Attributes
    ----------
    read : callable
        Reads predictions and responses of the scored test rows, some targets at a time.
    segments : int array of shape (n_rows,)
        Index of each row's test story, or stretch of it between censored rows: blocks of rows
        never reach into another one.
    r : array of shape (n_layers, n_targets)
        Pearson r over these rows; NaN where there is no score.
    """

    read: ReadColumns
    segments: NDArray[np.integer]
    r: Floats


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
        What :class:`braindash.encoding.result.EncodingResult` holds.
    """
    for_ceilings, for_statistics = shared(progress, (1, 9))
    with predictions.open() as stored:
        reader = PredictionReader(stored)
        scores = stored[["r", "alpha", "cv_score"]].load()
        tops = ceilings(plan, reader, for_ceilings)
        selecting = selecting_ceiling(plan)
        statistics = compute_statistics(
            ScoredRows(reader.read, reader.segments, scores["r"].values),
            named_masks(plan.spec.space, reader.n_targets),
            tops,
            plan.spec.statistics,
            chosen=chosen_by_ceilings(tops, plan.spec.ceiling_threshold, selecting),
            device=plan.request.device,
            progress=for_statistics,
        )
    if tops:
        stacked = np.stack(list(tops.values()))
        scores = scores.assign(ceiling=(("ceiling_kind", "target"), stacked))
        scores = scores.assign_coords(ceiling_kind=list(tops))
    if selecting is not None:
        scores = scores.assign({SELECTING: ("target", selecting)})
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
    spec = plan.spec
    responses = StoryResponses(
        plan.test, standardise=spec.standardise_responses, high_pass=spec.high_pass
    )
    others = [other.stories for other in plan.ceilings.others]
    n_targets = predictions.n_targets
    found: dict[str, NDArray[np.float32]] = {
        name: np.empty(n_targets, dtype=np.float32) for name in plan.spec.ceilings
    }
    if plan.ceilings.given is not None:
        found["given"][:] = load_ceiling(plan.ceilings.given, plan.test[0].responses.columns)
    by_sum = None
    if "inter-subject" in found and can_be_summed(plan.test, others):
        for_sum, progress = shared(progress, (9, 1))
        by_sum = ceiling_by_sum(
            plan.test,
            others,
            predictions.response,
            standardise=plan.spec.standardise_responses,
            high_pass=plan.spec.high_pass,
            progress=for_sum,
        )
    for columns in responses.column_blocks() if set(found) - {"given"} else ():
        progress.advance(columns.start, n_targets, "noise ceilings")
        if "repeats" in found:
            found["repeats"][columns] = repeats_ceiling(responses.repeats(columns))
        if by_sum is not None:
            found["inter-subject"][columns] = by_sum[columns]
        elif "inter-subject" in found:
            found["inter-subject"][columns] = inter_subject_ceiling(
                predictions.response(columns), *responses.others(others, columns)
            )
        if "split-half" in found:
            found["split-half"][columns] = split_half_ceiling(responses.members(columns))
    return found


def selecting_ceiling(plan: EncodingPlan) -> NDArray[np.float32] | None:
    """Compute the ceiling that chooses targets from other data than the one that divides.

    Returns
    -------
    array of float32, shape (n_targets,), or None
        As if there were as many presentations as of the test stories, so that one threshold means
        the same of both; None where the dividing ceiling chooses itself.
    """
    if not plan.ceilings.selecting:
        return None
    spec = plan.spec
    read = partial(StoryResponses, standardise=spec.standardise_responses, high_pass=spec.high_pass)
    n_test = len(read(plan.test).repeats(slice(0, 1)))
    responses = read(plan.ceilings.selecting)
    found = np.empty(responses.n_targets, dtype=np.float32)
    for columns in responses.column_blocks():
        runs = responses.repeats(columns)
        chosen = runs[::2] if spec.ceiling_selection == "halves" else runs
        found[columns] = ceiling_with_repeats(repeats_ceiling(chosen), len(chosen), n_test)
    return found


def compute_statistics(
    rows: ScoredRows,
    masks: Mapping[str, NDArray[Any]],
    ceilings: Mapping[str, Floats],
    settings: StatisticsSettings,
    *,
    chosen: Mapping[str, NDArray[np.bool_]] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    chunk_targets: int = TARGETS_AT_ONCE,
) -> xr.Dataset:
    """Estimate which scores are significant, how sure they are, and each target's best layer.

    Parameters
    ----------
    rows : ScoredRows
        Predictions and responses.
    masks : mapping of str to bool array of shape (n_targets,)
        Sets of targets whose means get replicates; floats are weights of the targets.
    ceilings : mapping of str to array of shape (n_targets,)
        Noise ceilings by name; may be empty.
    settings : StatisticsSettings
        Numbers of permutations and bootstraps (0 leaves them out), blocks and seed.
    chosen : mapping of str to bool array of shape (n_targets,), optional
        Targets that a ceiling divides, by its name; where it exceeds its threshold when left out.
    device : str, default "cpu"
        Where the products are computed.
    progress : Progress, optional
        Told of every block of targets, and may stop between two.
    chunk_targets : int, default 1024
        Targets in a block; changes memory and time, not the numbers.

    Returns
    -------
    xarray.Dataset
        ``preferred_layer`` (target) int16, -1 without a score; with tests ``p`` and ``q`` (layer,
        target), and ``p_best`` and ``q_best`` (target) of the best layer; with bootstraps
        ``preferred_share`` (target), the bootstrap share or, by ``settings.confidence``, the
        calibrated one, ``region_samples`` (sample, layer, region) and, with ceilings,
        ``region_ceiling_samples`` (ceiling_kind, sample, layer, region): replicates of the mean r,
        or r / ceiling of the chosen targets. All float32.
    """
    report = progress or NoProgress()
    divided = chosen_by_ceilings(ceilings) if chosen is None else chosen
    work = _Work.start(rows, masks, ceilings, divided, settings, device)
    n_targets = rows.r.shape[1]
    for columns in _blocks(n_targets, chunk_targets):
        report.advance(columns.start, n_targets, "significance and intervals")
        work.add(columns)
    return work.dataset()


def _blocks(n_targets: int, chunk_targets: int) -> Iterator[slice]:
    for start in range(0, n_targets, chunk_targets):
        yield slice(start, min(start + chunk_targets, n_targets))


# Of so many means a target is in few: most of a dense product would be with zeros.
_MANY_MEANS = 128


def _product(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply values (..., n_columns) with the columns' weights (n_columns, n_means)."""
    if weights.shape[1] < _MANY_MEANS:
        return np.asarray(values @ weights)
    flat = values.reshape(-1, weights.shape[0])
    product = (sparse.csr_array(weights.T) @ flat.T).T
    return np.asarray(product, dtype=np.float32).reshape(*values.shape[:-1], weights.shape[1])


@dataclass
class _RegionMeans:
    """Adds up replicates of weighted means over regions, block by block.

    Attributes
    ----------
    weights : array of float32, shape (n_targets, n_means)
        What a target's r is multiplied with; 0 for a target outside the region.
    shares : array of bool or float32, shape (n_targets, n_means)
        How much a target counts: 1 in a region, 0 outside, and in between with regions by weight.
    totals, counts : array of float64, shape (n_samples, n_layers, n_means)
        Sums of weighted replicates, and of the shares of the targets in each.
    """

    weights: NDArray[np.float32]
    shares: NDArray[Any]
    totals: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def start(
        cls,
        weights: NDArray[np.float32],
        shares: NDArray[Any],
        n_samples: int,
        n_layers: int,
    ) -> "_RegionMeans":
        shape = (n_samples, n_layers, weights.shape[1])
        return cls(weights, shares, np.zeros(shape), np.zeros(shape))

    def add(self, samples: NDArray[np.float32], known: NDArray[np.bool_], columns: slice) -> None:
        """Add replicates (n_samples, n_layers, n_columns), where they are known."""
        weights = self.weights[columns]
        inside = self.shares[columns].astype(np.float32)
        filled = samples
        if not known.all():
            filled = np.asarray(np.where(known, samples, 0), dtype=np.float32)
        self.totals += _product(filled, weights)
        # Mostly a target has all of its replicates or none.
        always = known.all(axis=0)
        if (always == known.any(axis=0)).all():
            self.counts += _product(np.asarray(always, dtype=np.float32), inside)
        else:
            self.counts += _product(known.astype(np.float32), inside)

    def means(self) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore"):
            return (self.totals / self.counts).astype(np.float32)


@dataclass
class _Work:
    """The arrays of a result, filled block by block."""

    rows: ScoredRows
    settings: StatisticsSettings
    device: str
    masks: Mapping[str, NDArray[Any]]
    ceiling_names: tuple[str, ...]
    counts: NDArray[np.float32] | None
    p: NDArray[np.float32]
    p_best: NDArray[np.float32]
    layer: NDArray[np.int16]
    share: NDArray[np.float32]
    means: _RegionMeans | None = None
    confidence: LayerConfidence | None = None

    @classmethod
    def start(
        cls,
        rows: ScoredRows,
        masks: Mapping[str, NDArray[Any]],
        ceilings: Mapping[str, Floats],
        divided: Mapping[str, NDArray[np.bool_]],
        settings: StatisticsSettings,
        device: str,
    ) -> "_Work":
        n_layers, n_targets = rows.r.shape
        n_samples = settings.n_bootstraps
        counted = np.stack(list(masks.values()), axis=1)
        members = counted.astype(np.float32)
        work = cls(
            rows=rows,
            settings=settings,
            device=device,
            masks=masks,
            ceiling_names=tuple(ceilings),
            counts=None,
            p=np.full((n_layers, n_targets), np.nan, dtype=np.float32),
            p_best=np.full(n_targets, np.nan, dtype=np.float32),
            layer=np.full(n_targets, -1, dtype=np.int16),
            share=np.full(n_targets, np.nan, dtype=np.float32),
        )
        if not n_samples:
            return work
        work.counts = block_counts(
            len(rows.segments),
            segments=rows.segments,
            n_samples=n_samples,
            block_rows=settings.block_rows,
            seed=settings.seed,
        )
        if settings.confidence == "shrunken":
            work.confidence = LayerConfidence.start(rows.r, seed=settings.seed)
        weights, shares = [members], [counted]
        for name, ceiling in ceilings.items():
            chosen = divided[name]
            inverse = np.divide(1.0, ceiling, out=np.zeros(n_targets), where=chosen)
            weights.append((members * inverse[:, None]).astype(np.float32))
            shares.append(counted * chosen[:, None])
        work.means = _RegionMeans.start(
            np.concatenate(weights, axis=1), np.concatenate(shares, axis=1), n_samples, n_layers
        )
        return work

    def add(self, columns: slice) -> None:
        """Fill in the targets ``columns``."""
        predictions, response = self.rows.read(columns)
        settings = self.settings
        if settings.n_permutations:
            self.p[:, columns], self.p_best[columns] = self._tests(predictions, response)
        samples = None
        if self.counts is not None:
            samples = bootstrap_r(predictions, response, self.counts, device=self.device)
        self.layer[columns], self.share[columns] = preferred_layers(
            self.rows.r[:, columns], samples
        )
        if samples is not None and self.confidence is not None:
            inflation = time_inflation(
                predictions,
                response,
                segments=self.rows.segments,
                block_rows=settings.block_rows,
            )
            self.confidence.add(columns, self.rows.r[:, columns], samples, inflation)
        if samples is not None and self.means is not None:
            # A target without a score in the result is in no replicate either.
            known = np.isfinite(samples) & np.isfinite(self.rows.r[:, columns])
            self.means.add(samples, known, columns)

    def _tests(self, predictions: Floats, response: Floats) -> LayerTests:
        settings = self.settings
        options: dict[str, Any] = {
            "segments": self.rows.segments,
            "block_rows": settings.block_rows,
            "device": self.device,
        }
        if settings.scheme == "prewhitened":
            return prewhitened_tests(predictions, response, **options)
        return permutation_tests(
            predictions,
            response,
            n_permutations=settings.n_permutations,
            scheme=settings.scheme,
            seed=settings.seed,
            **options,
        )

    def dataset(self) -> xr.Dataset:
        """Return the finished arrays."""
        arrays: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
            "preferred_layer": (("target",), self.layer)
        }
        coordinates: dict[str, list[str]] = {}
        if self.settings.n_permutations:
            q = benjamini_hochberg(self.p).astype(np.float32)
            arrays |= {"p": (("layer", "target"), self.p), "q": (("layer", "target"), q)}
            if self.settings.best_of_layers:
                q_best = benjamini_hochberg(self.p_best).astype(np.float32)
                arrays |= {"p_best": (("target",), self.p_best), "q_best": (("target",), q_best)}
        if self.means is not None:
            dims = ("sample", "layer", "region")
            raw, *normalised = np.split(self.means.means(), 1 + len(self.ceiling_names), axis=2)
            sure = self.share if self.confidence is None else self.confidence.shares()
            arrays["preferred_share"] = (("target",), sure)
            arrays["region_samples"] = (dims, raw)
            coordinates["region"] = list(self.masks)
            if normalised:
                stacked = np.stack(normalised)
                arrays["region_ceiling_samples"] = (("ceiling_kind", *dims), stacked)
                coordinates["ceiling_kind"] = list(self.ceiling_names)
        return xr.Dataset(arrays, coords=coordinates)
