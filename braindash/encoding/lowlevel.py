"""The step that says how much of a layer's score low-level features explain.

Two ways: take what low-level features predict of the model's features out of these and score the
rest ("residual"), or fit the model and every low-level space together with a penalty each and
divide what they explain ("banded").
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.partition import explained_variance, partition_variance
from braindash.core.ridge.banded import BandedRidgeCV
from braindash.core.ridge.model import RidgeCV
from braindash.core.ridge.nuisance import residual_features
from braindash.core.scores import pearson_r, zscore
from braindash.encoding.features import Features, layer_features
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.responses import RunResponses
from braindash.encoding.statistics import MEANS_ONLY, ScoredRows, compute_statistics
from braindash.io.regions.masks import named_masks
from braindash.stories import StoryPlan

MODEL = "model"

Floats = NDArray[np.float32]


class Weighing:
    """Computes what low-level features explain, layer by layer.

    Parameters
    ----------
    plan : EncodingPlan
        With ``low_level``.
    responses : RunResponses
        Of the run.
    features : mapping of str to Entry
        Features of the model and of the low-level space, by their keys.
    """

    def __init__(self, plan: EncodingPlan, responses: RunResponses, features: Features) -> None:
        assert plan.low_level is not None  # the caller asks
        self._plan, self._responses, self._features = plan, responses, features
        n_train = len(plan.train)

        def of_spaces(part: slice) -> dict[str, Floats]:
            return {
                files.name: layer_features(stories[part], features, 0, plan.spec.high_pass)
                for files, stories in spaces
            }

        spaces = plan.low_level.spaces
        self._low, self._low_test = of_spaces(slice(n_train)), of_spaces(slice(n_train, None))
        self._measured = responses.test[responses.scored]
        self._options = plan.ridge_options

    def layer(self, layer: int) -> xr.Dataset:
        """Compute one layer's part.

        Returns
        -------
        xarray.Dataset
            "residual": ``residual_r`` (target) and, with bootstraps, ``residual_region_samples``
            (sample, region), with the draws of ``region_samples``. "banded": ``joint_r2``,
            ``model_r2``, ``low_r2`` (product measures, which add up to the joint),
            ``model_unique_r2``, ``low_unique_r2`` and ``shared_r2`` (target), where all low-level
            spaces together count as one; with several of them also ``alone_r2`` and ``without_r2``
            (space, target), the R² of each space alone and of all others together, the model being
            the first one. float32.
        """
        own = layer_features(self._plan.train, self._features, layer, self._plan.spec.high_pass)
        test = layer_features(self._plan.test, self._features, layer, self._plan.spec.high_pass)
        assert self._plan.request.low_level is not None
        return _METHODS[self._plan.request.low_level](self, own, test)

    def residual(self, own: Floats, test: Floats) -> xr.Dataset:
        """Score what low-level features do not know of a layer."""
        left, left_test = residual_features(
            own,
            np.concatenate(list(self._low.values()), axis=1),
            self._responses.train_story,
            test,
            np.concatenate(list(self._low_test.values()), axis=1),
            self._responses.test_story,
            alphas=self._plan.spec.alphas,
            device=self._plan.request.device,
            threads=self._plan.request.threads,
        )
        ridge = RidgeCV(
            _rescaled(left, self._plan.train),
            self._responses.train_story,
            kept=self._responses.train_kept,
            **self._options,
        )
        result = ridge.fit(
            self._responses.train,
            _rescaled(left_test, self._plan.test),
            self._responses.test_story,
            return_prediction=True,
            pools=self._plan.pools,
        )
        assert result.prediction is not None  # asked for
        predicted = result.prediction[self._responses.scored]
        r = pearson_r(predicted, self._measured)
        part = xr.Dataset({"residual_r": ("target", r.astype(np.float32))})
        samples = self._region_samples(predicted, r)
        if samples is None:
            return part
        return part.assign(residual_region_samples=samples)

    def banded(self, own: Floats, test: Floats) -> xr.Dataset:
        """Divide what all spaces explain together."""
        options = {name: value for name, value in self._options.items() if name != "metric"}
        ridge = BandedRidgeCV(
            {MODEL: own} | self._low,
            self._responses.train_story,
            kept=self._responses.train_kept,
            **options,
        )
        several, scored = len(self._low) > 1, self._responses.scored
        result = ridge.fit(
            self._responses.train,
            {MODEL: test} | self._low_test,
            self._responses.test_story,
            alone=several,
        )
        without = result.without[:, scored]
        shares = partition_variance(result.parts[:, scored], without, self._measured)
        alone = [explained_variance(one[scored], self._measured) for one in result.alone]
        # What all low-level spaces together add to the model.
        low_unique = shares.joint - alone[0] if several else shares.unique[1]
        values = {
            "joint_r2": shares.joint,
            "model_r2": shares.split[0],
            "low_r2": shares.split[1:].sum(axis=0),
            "model_unique_r2": shares.unique[0],
            "low_unique_r2": low_unique,
            "shared_r2": shares.joint - (shares.unique[0] + low_unique),
        }
        found = xr.Dataset({name: ("target", v.astype(np.float32)) for name, v in values.items()})
        if not several:
            return found
        spaces = {"alone_r2": np.stack(alone), "without_r2": shares.joint - shares.unique}
        return found.assign(
            {name: (("space", "target"), v.astype(np.float32)) for name, v in spaces.items()}
        ).assign_coords(space=[MODEL, *self._low])

    def _region_samples(self, predicted: Floats, r: NDArray[np.float64]) -> xr.DataArray | None:
        """Bootstrap the regions' mean r with the draws that the full score has."""
        settings = self._plan.spec.statistics.model_copy(update=MEANS_ONLY)
        if not settings.n_bootstraps:
            return None
        found = compute_statistics(
            ScoredRows(
                lambda columns: (predicted[None, :, columns], self._measured[:, columns]),
                self._responses.test_segment[self._responses.scored],
                r[None],
            ),
            named_masks(self._plan.spec.space, predicted.shape[1]),
            {},
            settings,
            device=self._plan.request.device,
        )
        return found["region_samples"].isel(layer=0, drop=True)


_METHODS = {"residual": Weighing.residual, "banded": Weighing.banded}


def _rescaled(features: Floats, stories: tuple[StoryPlan, ...]) -> Floats:
    """z-score within each story again: what is left of a feature is smaller than it was."""
    return np.concatenate([zscore(part) for part in _by_story(features, stories)])


def _by_story(features: Floats, stories: tuple[StoryPlan, ...]) -> Iterator[Floats]:
    edges = np.cumsum([story.n_rows for story in stories])[:-1]
    yield from np.split(features, edges)
