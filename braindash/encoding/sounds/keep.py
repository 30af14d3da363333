"""The step that keeps weights: one layer fitted again at its stored penalties, nothing scored."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.ridge.memory import READ_COLUMNS, weights_columns
from braindash.core.ridge.weights import RidgeWeights
from braindash.core.scores import column_slices, pearson_r, pooled_statistics, standardised
from braindash.core.timing import delayed
from braindash.encoding.features import Features, layer_features, story_features
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.responses import RunResponses
from braindash.encoding.sounds.kept import BEST, asked_weights, layer_means
from braindash.io.entries import Entry, common_provenance
from braindash.io.netcdf import open_netcdf
from braindash.io.store import Store
from braindash.io.weights import Block, Floats, WeightsFile, doubled, halved
from braindash.progress import Progress
from braindash.specs import WeightsSpec
from braindash.speech.checkpoints.locate import absolute_source

logger = logging.getLogger(__name__)

# Weights that were fitted again and differ more from the stored predictions are not of that fit.
_SAME_FIT = 0.02
# Of a part: what is kept of its targets (halves as whole numbers), and what was measured of them.
_KEPT, _MEASURE = ("halves", "scale", "offset"), "measured_"


Measured = dict[str, NDArray[np.floating]]


@dataclass
class Differences:
    """What half precision, and the training's statistics, change for the test story.

    Attributes
    ----------
    own : array of float32, shape (n_rows, n_inputs)
        Delayed features of the test story, each z-scored over it, as they were scored.
    trained : array of float32, shape (n_rows, n_inputs)
        The same, standardised by the training stories, as any other sound is.
    stored : Entry or None
        Predictions of the result, where the store has them.
    layer : int
        The layer.
    """

    own: Floats
    trained: Floats
    stored: Entry | None
    layer: int
    _found: dict[str, list[NDArray[np.floating]]] = field(default_factory=dict)

    def measure(
        self, columns: slice, weights: Floats, kept: Floats, offset: NDArray[Any]
    ) -> Measured:
        """Compare the predictions of some targets; gives an array (n_columns,) for each measure."""
        inputs = weights.reshape(-1, weights.shape[-1]), kept.reshape(-1, kept.shape[-1])
        exact, rounded = (self.own @ one + offset for one in inputs)
        other = self.trained @ inputs[1] + offset
        spread = exact.std(axis=0)
        spread[~(spread > 0)] = np.nan
        change = np.abs(rounded - exact)
        found: Measured = {
            "largest": change.max(axis=0),
            "share": np.sqrt(np.square(change).mean(axis=0)) / spread,
            "r": pearson_r(other, rounded),
        }
        if self.stored is not None:
            known = self._stored(columns)
            found["stored"] = np.sqrt(np.square(exact - known).mean(axis=0)) / spread
        return found

    def add(self, found: Measured) -> None:
        """Take what :meth:`measure` found, now or before a run was stopped."""
        for name, values in found.items():
            self._found.setdefault(name, []).append(values)

    def _stored(self, columns: slice) -> NDArray[np.floating]:
        assert self.stored is not None  # the caller asks
        with h5py.File(self.stored.result_file, "r") as file:
            scale = file["prediction_scale"][self.layer, columns]
            return np.asarray(file["prediction"][self.layer, :, columns] * scale)

    def as_json(self) -> dict[str, Any]:
        """Return what was found, over all targets, as JSON values."""
        found = {name: np.concatenate(parts) for name, parts in self._found.items()}
        told = {
            "float16": {
                "share_median": _middle(found["share"]),
                "share_largest": _most(found["share"]),
                "largest": _most(found["largest"]),
            },
            "training_statistics": {
                "r_median": _middle(found["r"]),
                "r_least": -_most(-found["r"]),
            },
        }
        if "stored" in found:
            told["stored"] = {
                "share_median": _middle(found["stored"]),
                "share_largest": _most(found["stored"]),
            }
        return told


def _middle(values: NDArray[np.floating]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _most(values: NDArray[np.floating]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 0.0


@dataclass
class Keeping:
    """Keeps the weights of one layer of a result.

    Attributes
    ----------
    plan : EncodingPlan
        Of the result, with ``keep_weights`` asked for.
    result : Entry
        The stored result.
    features : mapping of str to Entry
        Of the model, by their keys.
    responses : RunResponses
        Of the run.
    """

    plan: EncodingPlan
    result: Entry
    features: Features
    responses: RunResponses

    @cached_property
    def spec(self) -> WeightsSpec:
        """Names the weights that are asked for."""
        assert self.plan.request.keep_weights is not None  # the caller asks
        return asked_weights(self.plan.request.keep_weights, self.result)

    @property
    def layer(self) -> int:
        """The layer that is meant."""
        return self.spec.layer

    def put(self, store: Store, progress: Progress) -> Entry:
        """Fit the layer and keep its weights, some targets at a time.

        What is finished of some thousand targets is a part in the store: a run that was stopped
        goes on behind it.
        """
        started = time.monotonic()
        plan, spec = self.plan, self.spec
        mean, spread = self._statistics
        alpha = self.result.read("alpha", self.layer)
        measured = self._differences(store.get_or_none("predictions", spec.fit), mean, spread)
        n_targets, told = plan.n_targets, self._provenance()

        def blocks() -> Iterator[Block]:
            finished = store.part_files(spec.kind, spec.key())
            for columns in column_slices(n_targets, READ_COLUMNS):
                name = f"targets-{columns.start:07d}"
                if name not in finished:
                    made = self._part(columns, alpha, measured)
                    finished[name] = store.put_part(spec.kind, spec.key(), name, made)
                block, found = _read_part(finished[name], columns)
                measured.add(found)
                progress.advance(columns.stop, n_targets, f"{columns.stop} of {n_targets} targets")
                yield block
            told.update(measured.as_json(), seconds=round(time.monotonic() - started, 3))
            self._check(told)

        n_train, _ = plan.n_rows
        shape = len(plan.spec.delays), plan.model.n_features, n_targets
        file = WeightsFile(
            shape,
            {
                "delay": ("delay", np.asarray(plan.spec.delays, dtype=np.int32)),
                "feature_mean": ("feature", mean),
                "feature_spread": ("feature", spread),
                "alpha": ("target", np.asarray(alpha, dtype=np.float32)),
            },
            blocks,
            weights_columns(n_train, *shape[1::-1]),
        )
        return store.put_file(
            spec.kind,
            spec.key(),
            spec=spec.canonical(),
            provenance=told,
            write=file.write,
            n_bytes=file.n_bytes,
        )

    @cached_property
    def _ridge(self) -> RidgeWeights:
        """The decomposed features; made when the first targets lack their weights."""
        plan = self.plan
        return RidgeWeights(
            self._standardised(plan.train),
            self.responses.train_story,
            plan.spec.alphas,
            delays=plan.spec.delays,
            intercept=plan.spec.intercept,
            kept=self.responses.train_kept,
            device=plan.request.device,
            threads=plan.request.threads,
        )

    @cached_property
    def _statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and spread of the training features."""
        return pooled_statistics(self._by_story(self.plan.train))

    def _part(self, columns: slice, alpha: NDArray[Any], measured: Differences) -> xr.Dataset:
        """Fit some targets; gives what is kept of them, and what half precision changes."""
        rows: list[tuple[NDArray[Any], ...]] = []
        names: tuple[str, ...] = ()
        for inner, weights, offset in self._ridge.blocks(self.responses.train, alpha, columns):
            halves, scale = halved(weights)
            found = measured.measure(inner, weights, doubled(halves, scale), offset)
            names = tuple(found)
            rows.append((halves.view(np.uint16), scale, offset, *found.values()))
        axes = (("delay", "feature", "target"), ("target",), ("target",))
        joined = [np.concatenate(one, axis=-1) for one in zip(*rows, strict=True)]
        kept = {name: (axis, one) for name, axis, one in zip(_KEPT, axes, joined, strict=False)}
        told = {f"{_MEASURE}{name}": ("target", one)
                for name, one in zip(names, joined[3:], strict=True)}  # fmt: skip
        return xr.Dataset({**kept, **told})

    def _by_story(self, stories: Sequence[Any]) -> list[Floats]:
        high_pass = self.plan.spec.high_pass
        return [story_features(one, self.features, self.layer, high_pass) for one in stories]

    def _standardised(self, stories: tuple[Any, ...]) -> Floats:
        return layer_features(stories, self.features, self.layer, self.plan.spec.high_pass)

    def _differences(
        self, stored: Entry | None, mean: NDArray[Any], spread: NDArray[Any]
    ) -> Differences:
        plan, story = self.plan, self.responses.test_story
        trained = np.concatenate(
            [standardised(one, mean, spread) for one in self._by_story(plan.test)]
        )
        own, other = (
            np.asarray(delayed(one, plan.spec.delays, story), dtype=np.float32)
            for one in (self._standardised(plan.test), trained)
        )
        return Differences(own, other, stored, self.layer)

    def _check(self, told: dict[str, Any]) -> None:
        """Say so where the weights do not give the predictions that the result has."""
        found = told.get("stored", {}).get("share_median", 0.0)
        if found > _SAME_FIT:
            logger.warning(
                "the weights of layer %d of %s give predictions that differ from the stored ones "
                "by %.2g of their standard deviation",
                self.layer,
                self.result.key[:8],
                found,
            )

    def _provenance(self) -> dict[str, Any]:
        plan, data, spec = self.plan, self.plan.dataset, self.plan.spec
        made = common_provenance(plan.model, plan.strategy, data.name, data.simulated, 0.0)
        made["model"] |= {
            "source": absolute_source(plan.request.model, plan.model),
            "precision": plan.request.precision,
        }
        means = layer_means(self.result.read("cv_score"))
        return made | {
            "result": self.result.key,
            "asked": plan.request.keep_weights,
            "chosen_by": "cross-validation in training"
            if plan.request.keep_weights == BEST
            else "the user",
            "cv_score": [None if np.isnan(one) else round(float(one), 5) for one in means],
            "fit": {
                "tr": plan.test[0].extraction.times.tr,
                "delays": list(spec.delays),
                "high_pass": spec.high_pass,
                "strategy": plan.strategy,
                "units": response_units(plan),
                "space": spec.space,
                "subject": spec.subject,
                "members": list(spec.members),
                "n_targets": plan.n_targets,
                "n_layers": plan.model.n_layers,
            },
            "trained_on": {
                "stories": [story.name for story in plan.train],
                "minutes": sum(s.n_rows * s.extraction.times.tr for s in plan.train) / 60,
            },
        }


def _read_part(path: Path, columns: slice) -> tuple[Block, Measured]:
    """Read what :meth:`Keeping._part` made."""
    with open_netcdf(path) as part:
        halves, scale, offset = (part[name].values for name in _KEPT)
        found = {
            str(name).removeprefix(_MEASURE): part[name].values
            for name in part
            if str(name).startswith(_MEASURE)
        }
    return (columns, halves.view(np.float16), scale, offset), found


def response_units(plan: EncodingPlan) -> str:
    """Say in what the responses, and so the predictions, are measured."""
    if plan.spec.standardise_responses:
        return "standard deviations of the target's response over a story"
    return f"as the response files are: z-scored over each {plan.dataset.zscored}"
