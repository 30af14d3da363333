"""The step that scores what cannot know the responses, in the way in which a layer is scored.

Nulls stand in for a model's layer: a constant, a ramp and an onset know only when a row is; the
layer's own features some minutes later know another passage; models with shuffled or random weights
know what the architecture alone hears. Where one of them scores, the panel shows what else than the
model a score may be of.
"""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.drift import high_passed
from braindash.core.ridge.model import RidgeCV
from braindash.core.scores import pearson_r, zscore
from braindash.encoding.features import Features, story_features
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.responses import RunResponses
from braindash.encoding.within import predict_within
from braindash.stories import StoryPlan

# The onset fades within so many seconds; responses and habituation have about these lengths.
ONSET_SECONDS = (2.0, 8.0, 32.0)

Floats = NDArray[np.float32]
Maker = Callable[[StoryPlan], Floats]


def score_nulls(
    plan: EncodingPlan, responses: RunResponses, features: Features, r: NDArray[np.floating]
) -> xr.Dataset:
    """Score every null of a plan's panel.

    Parameters
    ----------
    plan : EncodingPlan
        With ``nulls``.
    responses : RunResponses
        Of the run.
    features : mapping of str to Entry
        Features of the model and of its controls, by their keys.
    r : array of shape (n_layers, n_targets)
        Scores of the model; the layer with the highest median is the one that nulls stand for.

    Returns
    -------
    xarray.Dataset
        ``null_r`` (null, target), NaN where a null predicts no variation, and ``null_layer``.
    """
    nulls = plan.nulls
    assert nulls is not None  # the caller asks
    known = np.nan_to_num(r[:, np.isfinite(r).any(axis=0)], nan=0.0)
    layer = int(np.median(known, axis=1).argmax())

    def stored(story: StoryPlan) -> Floats:
        return story_features(story, features, layer, None)

    makers: dict[str, Maker] = {
        "constant": lambda story: np.ones((story.n_rows, 1), np.float32),
        "ramp": lambda story: story.times[:, None].astype(np.float32),
        "onset": lambda story: np.exp(
            -np.maximum(story.times, 0.0)[:, None] / np.array(ONSET_SECONDS)
        ).astype(np.float32),
        "time-shifted": lambda story: _shifted(stored(story), story, nulls.shift_seconds),
    }
    for name, _, stories in nulls.controls:
        by_name = {story.name: story for story in stories}
        makers[name] = _control(features, by_name, layer)
    scores = [_score(plan, responses, make) for make in makers.values()]
    return xr.Dataset(
        {"null_r": (("null", "target"), np.stack(scores)), "null_layer": layer},
        coords={"null": list(makers)},
    )


def _control(features: Features, stories: Mapping[str, StoryPlan], layer: int) -> Maker:
    return lambda story: story_features(stories[story.name], features, layer, None)


def _shifted(values: Floats, story: StoryPlan, seconds: float) -> Floats:
    """Take the features that long before, in a circle; of a short story, half its length."""
    n_rows = round(seconds / story.extraction.times.tr)
    return np.roll(values, min(n_rows, len(values) // 2), axis=0)


def _score(plan: EncodingPlan, responses: RunResponses, make: Maker) -> Floats:
    """Fit and score features as those of a layer; NaN where they do not vary."""

    def made(story: StoryPlan) -> Floats:
        values, period = make(story), plan.spec.high_pass
        if period is None:
            return values
        filtered = high_passed(values, period, story.extraction.times.tr)
        return np.asarray(filtered, dtype=np.float32)

    train = [made(story) for story in plan.train]
    if not any(np.ptp(make(story), axis=0).any() for story in plan.train):
        return np.full(responses.test.shape[1], np.nan, dtype=np.float32)
    if plan.spec.within is not None:
        prediction, _, _ = predict_within(
            train[0],
            responses.train,
            responses.train_kept,
            plan.spec.within,
            plan.ridge_options,
            pools=plan.pools,
        )
    else:
        design, test = (
            np.concatenate([zscore(part) for part in parts])
            for parts in (train, [made(story) for story in plan.test])
        )
        ridge = RidgeCV(
            design, responses.train_story, kept=responses.train_kept, **plan.ridge_options
        )
        found = ridge.fit(
            responses.train, test, responses.test_story, return_prediction=True, pools=plan.pools
        )
        assert found.prediction is not None  # asked for
        prediction = found.prediction
    scored = responses.scored
    return pearson_r(prediction[scored], responses.test[scored]).astype(np.float32)
