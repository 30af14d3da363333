"""The stage that predicts the test rows from every layer, by ridge regression."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.ridge.model import RidgeOptions, fit_layers
from braindash.core.scores import pearson_r
from braindash.encoding.features import Features, count_layers, layer_features
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.responses import StoryResponses
from braindash.io.predictions import PredictionFile, layer_part
from braindash.io.store import Store
from braindash.progress import Progress


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
            **ridge_options(plan),
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


def ridge_options(plan: EncodingPlan) -> RidgeOptions:
    """Return the plan's settings of every regression."""
    return {
        "alphas": plan.spec.alphas,
        "delays": plan.spec.delays,
        "folds": plan.spec.folds,
        "metric": plan.spec.metric,
        "intercept": plan.spec.intercept,
        "device": plan.request.device,
        "threads": plan.request.threads,
    }
