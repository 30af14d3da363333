"""The stage that says how much of a layer's score low-level features explain.

Two ways: take what low-level features predict of the model's features out of these and score the
rest ("residual"), or fit both spaces together with a penalty each and divide what they explain
("banded").
"""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.banded import BandedPlan
from braindash.core.partition import partition_variance
from braindash.core.residual import residual_features
from braindash.core.ridge import RidgePlan
from braindash.core.scores import pearson_r, zscore
from braindash.io.atlases import named_masks
from braindash.io.store import Entry, Store
from braindash.plan.encoding import EncodingPlan, LowLevelPlan
from braindash.plan.stories import StoryPlan
from braindash.progress import Progress
from braindash.steps.encoding import (
    count_layers,
    layer_features,
    mean_test_response,
    part_name,
    ridge_options,
    scored_rows,
    story_index,
    train_responses,
)
from braindash.steps.statistics import ScoredRows, compute_statistics

MODEL, LOW = "model", "low-level"

Floats = NDArray[np.float32]


def weigh_low_level(
    plan: EncodingPlan, features: Mapping[str, Entry], store: Store, progress: Progress
) -> xr.Dataset:
    """Compute what low-level features explain of every layer; finished layers are kept.

    Parameters
    ----------
    plan : EncodingPlan
        With ``low_level``.
    features : mapping of str to Entry
        Features of the model and of the low-level space, by their keys.
    store : Store
        Keeps every finished layer as a part of the result.
    progress : Progress
        Told of every layer.

    Returns
    -------
    xarray.Dataset
        "residual": ``residual_r`` (layer, target) and, with bootstraps,
        ``residual_region_samples`` (sample, layer, region), with the draws of ``region_samples``.
        "banded": ``joint_r2``, ``model_r2``, ``low_r2`` (product measures, which add up to the
        joint), ``model_unique_r2``, ``low_unique_r2`` and ``shared_r2`` (layer, target). float32.
    """
    assert plan.low_level is not None  # the caller asks
    key, low = plan.spec.key(), plan.low_level
    names = [part_name(layer) for layer in range(count_layers(plan, features))]
    done = store.part_files("encoding", key)
    todo = [layer for layer, name in enumerate(names) if name not in done]
    if todo:
        progress.advance(len(names) - len(todo), len(names), "loading responses")
        stage = _Stage(plan, low, features)
        for layer in todo:
            progress.advance(layer, len(names), f"low-level features and layer {layer}")
            store.put_part("encoding", key, names[layer], stage.layer(layer))
    parts = store.parts("encoding", key)
    layers = xr.concat([parts[name] for name in names], dim="layer")
    return layers.assign_coords(layer=np.arange(len(names)))


class _Stage:
    """What the layers share: responses and low-level features."""

    def __init__(
        self, plan: EncodingPlan, low: LowLevelPlan, features: Mapping[str, Entry]
    ) -> None:
        self._plan, self._features = plan, features
        n_train = len(plan.train)
        self._low = layer_features(low.stories[:n_train], features, 0)
        self._low_test = layer_features(low.stories[n_train:], features, 0)
        self._groups, self._groups_test = story_index(plan.train), story_index(plan.test)
        self._responses = train_responses(plan)
        self._scored = scored_rows(plan)
        self._measured = mean_test_response(plan)[self._scored]
        self._options = ridge_options(plan)

    def layer(self, layer: int) -> xr.Dataset:
        """Compute one layer's part."""
        own = layer_features(self._plan.train, self._features, layer)
        test = layer_features(self._plan.test, self._features, layer)
        assert self._plan.request.low_level is not None
        return _METHODS[self._plan.request.low_level](self, own, test)

    def residual(self, own: Floats, test: Floats) -> xr.Dataset:
        """Score what low-level features do not know of a layer."""
        left, left_test = residual_features(
            own,
            self._low,
            self._groups,
            test,
            self._low_test,
            self._groups_test,
            alphas=self._plan.spec.alphas,
            device=self._plan.request.device,
            threads=self._plan.request.threads,
        )
        ridge = RidgePlan(_rescaled(left, self._plan.train), self._groups, **self._options)
        result = ridge.fit(
            self._responses,
            _rescaled(left_test, self._plan.test),
            self._groups_test,
            return_prediction=True,
        )
        assert result.prediction is not None  # asked for
        predicted = result.prediction[self._scored]
        r = pearson_r(predicted, self._measured)
        part = xr.Dataset({"residual_r": ("target", r.astype(np.float32))})
        samples = self._region_samples(predicted, r)
        if samples is None:
            return part
        return part.assign(residual_region_samples=samples)

    def banded(self, own: Floats, test: Floats) -> xr.Dataset:
        """Divide what both spaces explain together."""
        options = {name: value for name, value in self._options.items() if name != "metric"}
        plan = BandedPlan({MODEL: own, LOW: self._low}, self._groups, **options)  # type: ignore[arg-type]
        result = plan.fit(self._responses, {MODEL: test, LOW: self._low_test}, self._groups_test)
        shares = partition_variance(
            result.parts[:, self._scored], result.without[:, self._scored], self._measured
        )
        values = {
            "joint_r2": shares.joint,
            "model_r2": shares.split[0],
            "low_r2": shares.split[1],
            "model_unique_r2": shares.unique[0],
            "low_unique_r2": shares.unique[1],
            "shared_r2": shares.shared,
        }
        return xr.Dataset({name: ("target", v.astype(np.float32)) for name, v in values.items()})

    def _region_samples(self, predicted: Floats, r: NDArray[np.float64]) -> xr.DataArray | None:
        """Bootstrap the regions' mean r with the draws that the full score has."""
        settings = self._plan.spec.statistics.model_copy(update={"n_permutations": 0})
        if not settings.n_bootstraps:
            return None
        found = compute_statistics(
            ScoredRows(
                lambda columns: (predicted[None, :, columns], self._measured[:, columns]),
                self._groups_test[self._scored],
                r[None],
            ),
            named_masks(self._plan.spec.space, predicted.shape[1]),
            {},
            settings,
            device=self._plan.request.device,
        )
        return found["region_samples"].isel(layer=0, drop=True)


_METHODS = {"residual": _Stage.residual, "banded": _Stage.banded}


def _rescaled(features: Floats, stories: tuple[StoryPlan, ...]) -> Floats:
    """z-score within each story again: what is left of a feature is smaller than it was."""
    return np.concatenate([zscore(part) for part in _by_story(features, stories)])


def _by_story(features: Floats, stories: tuple[StoryPlan, ...]) -> Iterator[Floats]:
    edges = np.cumsum([story.n_rows for story in stories])[:-1]
    yield from np.split(features, edges)
