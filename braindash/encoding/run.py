"""Encoding runs: features, predictions, statistics, in order."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.ridge.model import fit_layers
from braindash.core.scores import pearson_r
from braindash.encoding.features import (
    Features,
    count_layers,
    extract_features,
    layer_features,
    stored_features,
)
from braindash.encoding.lowlevel import weigh_low_level
from braindash.encoding.plan import EncodingPlan, plan_encoding
from braindash.encoding.responses import StoryResponses
from braindash.encoding.result import EncodingResult
from braindash.encoding.statistics import summarise
from braindash.io.entries import common_provenance
from braindash.io.predictions import PredictionFile, layer_part
from braindash.io.store import Store
from braindash.progress import NoProgress, Progress, shared
from braindash.requests import EncodeRequest

# About how long the stages take beside each other, where nothing is cached.
_FEATURES, _REGRESSION, _LOW_LEVEL, _STATISTICS = 0.64, 0.16, 0.2, 0.2
# Features that are all in the store.
_LOOKED_UP = 0.02


def run_encoding(
    request: EncodeRequest, store: Store, progress: Progress | None = None
) -> EncodingResult:
    """Compute, or load, the layer-wise encoding scores of one model for one subject.

    Parameters
    ----------
    request : EncodeRequest
        Model, data, subject and settings.
    store : Store
        Looked up first; every finished story and layer is kept in it, so that an interrupted
        run goes on where it was.
    progress : Progress, optional
        Receives reports and may stop the run between two parts.

    Returns
    -------
    EncodingResult
        The stored result.
    """
    report = progress or NoProgress()
    report.advance(0, 1, "reading the manifest and the model's files")
    return run_encoding_plan(plan_encoding(request), store, report)


def run_encoding_plan(plan: EncodingPlan, store: Store, report: Progress) -> EncodingResult:
    """Do as :func:`run_encoding` for a request that is planned already."""
    compute, told = partial(_compute, plan, store), partial(_provenance, plan)
    return EncodingResult.load(store.made(plan.spec, compute, told, report))


def _compute(plan: EncodingPlan, store: Store, report: Progress) -> xr.Dataset:
    """Compute the arrays of a result; what the store has of the way there is used again."""
    fit, low = plan.spec.fit, plan.low_level is not None
    predictions = store.get_or_none(fit.kind, fit.key())
    asked = predictions is None or low
    found = stored_features(plan, store) if asked else {}
    missing = asked and any(
        story.extraction.key() not in found for _, stories in plan.extractions for story in stories
    )
    weights = (
        _FEATURES if missing else _LOOKED_UP,
        _REGRESSION if predictions is None else 0.0,
        _LOW_LEVEL if low else 0.0,
        _STATISTICS,
    )
    extracting, fitting, weighing, summing = shared(report, weights, f"{plan.request.subject}: ")
    features = extract_features(plan, found, store, extracting) if missing else found
    if predictions is None:
        started = time.monotonic()
        made = fit_predictions(plan, features, store, fitting)
        predictions = store.put_file(
            fit.kind,
            fit.key(),
            spec=fit.canonical(),
            provenance=_provenance(plan, time.monotonic() - started),
            write=made.write,
            n_bytes=made.n_bytes,
        )
    weighed = [weigh_low_level(plan, features, store, weighing)] if low else []
    return xr.merge([summarise(plan, predictions, summing), *weighed])


def _provenance(plan: EncodingPlan, seconds: float) -> dict[str, Any]:
    data = plan.dataset
    keys = {story.extraction.key() for _, stories in plan.extractions for story in stories}
    made = common_provenance(plan.model, plan.strategy, data.name, data.simulated, seconds)
    return made | {
        "parents": sorted(keys),
        "predictions": plan.spec.fit.key(),
        "no_inter_subject_ceiling_with": dict(plan.left_out),
        "warnings": list(plan.warnings),
    }


def fit_predictions(
    plan: EncodingPlan, features: Features, store: Store, progress: Progress
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
    n_layers = count_layers(plan, features)
    train, test = (
        StoryResponses(stories, standardise=plan.spec.standardise_responses)
        for stories in (plan.train, plan.test)
    )
    response, scored = test.mean(), test.scored

    def fit(todo: Sequence[int]) -> Iterator[xr.Dataset]:
        progress.advance(n_layers - len(todo), n_layers, "loading responses")
        results = fit_layers(
            (
                (
                    layer_features(plan.train, features, layer),
                    layer_features(plan.test, features, layer),
                )
                for layer in todo
            ),
            train.train(),
            groups=train.story_index,
            groups_test=test.story_index,
            return_prediction=True,
            **plan.ridge_options,
        )
        for count, (layer, result) in enumerate(zip(todo, results, strict=True), start=1):
            assert result.prediction is not None  # asked for
            scores: dict[str, NDArray[np.floating]] = {
                "r": pearson_r(result.prediction[scored], response[scored]),
                "alpha": np.asarray(result.alpha),
                "cv_score": np.asarray(result.best_cv_score),
            }
            yield layer_part(result.prediction, scores)
            finished = n_layers - len(todo) + count
            progress.advance(finished, n_layers, f"layer {layer} of {n_layers - 1} scored")

    layers = store.layers("predictions", plan.spec.fit.key(), n_layers, fit)
    return PredictionFile(layers, response, scored, test.story_index)
