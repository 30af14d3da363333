"""Encoding runs: features of stories, layers, and what is made of them all, as parts of work."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.ridge.model import RidgeCV
from braindash.core.scores import pearson_r
from braindash.encoding.costs import (
    keeping_bytes,
    keeping_operations,
    regression_bytes,
    regression_operations,
    statistics_bytes,
    statistics_operations,
)
from braindash.encoding.features import Extraction, Features, layer_features, story_features
from braindash.encoding.lowlevel import Weighing
from braindash.encoding.nulls.scored import score_nulls
from braindash.encoding.plan import EncodingPlan, plan_encoding
from braindash.encoding.responses import RunResponses, read_responses
from braindash.encoding.result import EncodingResult, significance_words
from braindash.encoding.sounds.keep import Keeping
from braindash.encoding.sounds.kept import BEST, asked_weights
from braindash.encoding.statistics import summarise
from braindash.encoding.unfinished import described
from braindash.encoding.within import predict_within
from braindash.errors import InputError
from braindash.io.asked import asked
from braindash.io.dataset.audio import audio_seconds
from braindash.io.entries import common_provenance
from braindash.io.netcdf import load_netcdf
from braindash.io.predictions import PredictionFile, layer_part, read_part
from braindash.io.recordings import plan_checked
from braindash.io.spaces.find import SurfacePlan
from braindash.io.store import Entry, Store
from braindash.parts import Part, StoredRun, carry_out, require_same, seconds_of
from braindash.progress import NoProgress, Progress, shared
from braindash.requests import EncodeRequest
from braindash.specs import FramesSpec, WithinStory
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.checkpoints.locate import absolute_source, pinned_revision
from braindash.speech.windows import extraction_seconds, n_parameters
from braindash.stories import StoryPlan, complete_rows

_FEATURES, _PREDICTIONS = "features", "predictions"
# Frames of all layers and features that are in memory at a time, in several copies.
_FRAMES_IN_MEMORY = 1024
# Operations per second of one ordinary core, in regressions and in statistics.
_CORE_RATE = 2e10
# The products of a layer that is expected to take so long gain from threads.
_LARGE_SECONDS = 120.0


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
    run = EncodingRun(plan_checked(plan_encoding, request, store.root), store)
    carry_out([run], report, cores=request.threads, device=request.device)
    return run.result()


def remake_run(request: Mapping[str, Any], key: str, root: str) -> "EncodingRun":
    """Plan a run again, in another process."""
    store = Store(root)
    plan = plan_checked(plan_encoding, EncodeRequest.model_validate(request), store.root)
    run = EncodingRun(plan, store)
    require_same(run.key, key)
    return run


class EncodingRun(StoredRun[Entry]):
    """The parts of one encoding run, and what they share in one process.

    Parameters
    ----------
    plan : EncodingPlan
        What to compute.
    store : Store
        Keeps every finished story and layer.
    """

    maker = "braindash.encoding.run:remake_run"

    def __init__(self, plan: EncodingPlan, store: Store) -> None:
        super().__init__(plan, store)
        self._plan, self._store = plan, store
        self._extractions = [Extraction(plan, *one) for one in plan.extractions]

    def result(self) -> EncodingResult:
        """Open the result."""
        return EncodingResult.load(self.get(self.kind, self.key))

    def parts(self) -> list[Part]:
        """List what is to be made: kept frames, features, layers, their low level, the result."""
        plan, low_level = self._plan, self._plan.low_level
        frames = {
            story.frames.key(): self._frames_part(extraction, story, story.frames)
            for extraction in self._extractions
            for story in extraction.stories
            if story.frames is not None
        }
        features = {
            story.extraction.key(): self._feature_part(extraction, story, place)
            for extraction in self._extractions
            for place, story in enumerate(extraction.stories, start=1)
        }

        def needed(stories: Iterable[StoryPlan]) -> list[str]:
            return [features[story.extraction.key()].name for story in stories]

        own, every = needed(plan.stories), range(plan.model.n_layers)
        made = [self._layer_part(layer, own) for layer in every]
        if low_level is not None:
            both = own + needed(low_level.stories)
            made += [self._weighed_part(layer, both) for layer in every]
        controls = () if plan.nulls is None else plan.nulls.stories
        last = self.last_part(
            self._finish,
            label=plan.request.subject,
            seconds=plan.model.n_layers * statistics_operations(plan) / _CORE_RATE,
            after=(*(part.name for part in made), *needed(controls)),
            n_bytes=statistics_bytes(plan),
        )
        kept = [] if plan.request.keep_weights is None else [self._weights_part(last.name, own)]
        parts = [*frames.values(), *features.values(), *made, last, *kept]
        return parts if plan.surface is None else [self._surface_part(plan.surface), *parts]

    def _surface_part(self, surface: SurfacePlan) -> Part:
        """Keep what brings the targets to a surface: first, so that layers under way are shown.

        It is kept for a result that is there already too.
        """
        return Part(
            name=f"surface of {self.key}",
            label="the way to the cortical surface",
            make=lambda _: surface.keep(self._store, self.key),
            done=lambda: surface.is_kept_for(self._store, self.key),
            seconds=1.0,
        )

    # ---- features -------------------------------------------------------------------------

    def _frames_part(self, extraction: Extraction, story: StoryPlan, frames: FramesSpec) -> Part:
        """Run a model over a recording once, for the rows of all who heard it."""
        files, seconds = extraction.files, audio_seconds(story.audio)
        block = _FRAMES_IN_MEMORY * files.n_layers * files.n_features

        def make(progress: Progress) -> None:
            self._close_models(but=extraction)
            self.know(extraction.put_frames(story, self._store, progress))

        return Part(
            name=f"{frames.kind} {frames.key()}",
            label=f"frames of {story.name} with {files.name}",
            make=make,
            done=partial(self.has, frames.kind, frames.key()),
            seconds=extraction_seconds(files, seconds, frames.strategy),
            n_bytes=4.0 * (n_parameters(files) + block + SAMPLE_RATE_HZ * seconds),
        )

    def _feature_part(self, extraction: Extraction, story: StoryPlan, place: int) -> Part:
        files, key = extraction.files, story.extraction.key()
        rows = 4.0 * files.n_layers * files.n_features * len(story.times)
        seconds, frames = float(story.times[-1]), story.frames
        strategy = story.extraction.strategy if frames is None else "frames"  # no work to speak of
        return Part(
            name=f"{_FEATURES} {key}",
            label=f"features of {story.name} with {files.name} ({place}/{len(extraction.stories)})",
            make=partial(self._extract, extraction, story),
            done=partial(self.has, _FEATURES, key),
            seconds=extraction_seconds(files, seconds, strategy),
            after=() if frames is None else (f"{frames.kind} {frames.key()}",),
            n_bytes=2 * rows + 4.0 * n_parameters(files),
        )

    def _extract(self, extraction: Extraction, story: StoryPlan, progress: Progress) -> None:
        self._close_models(but=extraction)
        self.know(extraction.put(story, self._store, progress))

    def _close_models(self, but: Extraction | None = None) -> None:
        """Make room, for another model or for responses."""
        for extraction in self._extractions:
            if extraction is not but:
                extraction.close()

    def _features_of(self, stories: Iterable[StoryPlan]) -> Features:
        keys = [story.extraction.key() for story in stories]
        return {key: self.get(_FEATURES, key) for key in keys}

    # ---- layers ---------------------------------------------------------------------------

    def _layer_part(self, layer: int, features: Iterable[str]) -> Part:
        part = self._regression(_PREDICTIONS, self._fit_key, layer, self._fit, features)
        # Another run may have written the predictions already.
        return replace(
            part, done=lambda: not self.lacked(_PREDICTIONS, self._fit_key) or part.done()
        )

    def _weighed_part(self, layer: int, features: Iterable[str]) -> Part:
        part = self._regression(self.kind, self.key, layer, self._weigh, features)
        return replace(part, label=f"{part.label} and low-level features")

    def _regression(
        self,
        kind: str,
        key: str,
        layer: int,
        fit: Callable[[int], xr.Dataset],
        features: Iterable[str],
    ) -> Part:
        def make(progress: Progress) -> xr.Dataset:
            progress.advance(0, 1, "")
            self._close_models()
            return fit(layer)

        plan = self._plan
        seconds = regression_operations(plan) / _CORE_RATE
        part = self.layer_part(
            kind,
            key,
            layer,
            make,
            label=f"{plan.request.subject}: layer {layer} of {plan.model.n_layers - 1}",
            seconds=seconds,
            after=features,
            n_bytes=regression_bytes(plan),
        )
        return replace(part, large=seconds >= _LARGE_SECONDS)

    def _fit(self, layer: int) -> xr.Dataset:
        """Predict the test rows from a layer.

        Beside the predictions there are ``r`` (Pearson, of the scored rows), ``alpha`` and
        ``cv_score``.
        """
        plan, responses = self._plan, self._responses
        if plan.spec.within is not None:
            return self._fit_within(layer, plan.spec.within)
        ridge = RidgeCV(
            layer_features(plan.train, self._own_features, layer, plan.spec.high_pass),
            responses.train_story,
            kept=responses.train_kept,
            **plan.ridge_options,
        )
        result = ridge.fit(
            responses.train,
            layer_features(plan.test, self._own_features, layer, plan.spec.high_pass),
            responses.test_story,
            return_prediction=True,
            pools=plan.pools,
        )
        assert result.prediction is not None  # asked for
        return self._scored(
            layer, result.prediction, np.asarray(result.alpha), np.asarray(result.best_cv_score)
        )

    def _fit_within(self, layer: int, settings: WithinStory) -> xr.Dataset:
        """Predict blocks of the one story from its other rows."""
        (story,), responses = self._plan.train, self._responses
        features = story_features(story, self._own_features, layer, self._plan.spec.high_pass)
        options = self._plan.ridge_options
        made = predict_within(
            features,
            responses.train,
            responses.train_kept,
            settings,
            options,
            pools=self._plan.pools,
        )
        return self._scored(layer, *made)

    def _scored(
        self,
        layer: int,
        prediction: NDArray[np.float32],
        alpha: NDArray[np.floating],
        cv_score: NDArray[np.floating],
    ) -> xr.Dataset:
        scored, measured = self._responses.scored, self._responses.test
        scores: dict[str, NDArray[np.floating]] = {
            "r": pearson_r(prediction[scored], measured[scored]),
            "alpha": alpha,
            "cv_score": cv_score,
        }
        return layer_part(prediction, scores).assign_attrs(self._described(layer))

    def _described(self, layer: int) -> dict[str, str | int]:
        plan, data = self._plan, self._plan.dataset
        return described(
            model=plan.model.name,
            subject=plan.request.subject,
            data=data.name,
            space=plan.spec.space,
            simulated=data.simulated,
            n_layers=plan.model.n_layers,
            layer=layer,
            surface=None if plan.surface is None else plan.surface.key,
        )

    def _weights_part(self, result: str, features: Iterable[str]) -> Part:
        """Keep the weights of a layer; behind the result, which says which layer is the best."""
        plan, asked = self._plan, self._plan.request.keep_weights

        def make(progress: Progress) -> None:
            self._close_models()
            self.know(self._keeping.put(self._store, progress))
            self.release()

        return Part(
            name=f"weights of {self.key} {asked}",
            label=f"{plan.request.subject}: weights of "
            + ("the best layer" if asked == BEST else f"layer {asked}"),
            make=make,
            done=self._has_weights,
            seconds=keeping_operations(plan) / _CORE_RATE,
            after=(result, *features),
            n_bytes=keeping_bytes(plan),
        )

    def _has_weights(self) -> bool:
        result, asked = self.find(self.kind, self.key), self._plan.request.keep_weights
        if result is None or asked is None:
            return False
        spec = asked_weights(asked, result)
        return self.has(spec.kind, spec.key())

    @cached_property
    def _keeping(self) -> Keeping:
        result = self.get(self.kind, self.key)
        return Keeping(self._plan, result, self._own_features, self._responses)

    def _weigh(self, layer: int) -> xr.Dataset:
        return self._weighing.layer(layer)

    @cached_property
    def _responses(self) -> RunResponses:
        plan = self._plan
        return read_responses(
            plan.train,
            plan.test,
            standardise=plan.spec.standardise_responses,
            high_pass=plan.spec.high_pass,
        )

    @cached_property
    def _own_features(self) -> Features:
        return self._features_of(self._plan.stories)

    @cached_property
    def _weighing(self) -> Weighing:
        plan = self._plan
        assert plan.low_level is not None  # or there is no such part
        low = self._features_of(plan.low_level.stories)
        return Weighing(plan, self._responses, {**self._own_features, **low})

    # ---- the result -----------------------------------------------------------------------

    def _finish(self, progress: Progress) -> None:
        """Put the layers together, and add ceilings and statistics."""
        writing, summing = shared(progress, (1, 9))
        writing.advance(0, 1, "writing predictions")
        plan, started = self._plan, time.monotonic()
        predictions = self._predictions()
        parts = [summarise(plan, predictions, summing)]
        seconds = time.monotonic() - started + float(predictions.provenance["seconds"])
        if plan.low_level is not None:
            files = self.all_layers(self.kind, self.key, plan.model.n_layers)
            layers = [load_netcdf(path).drop_attrs() for path in files]
            weighed = xr.concat(layers, dim="layer")
            parts.append(weighed.assign_coords(layer=np.arange(plan.model.n_layers)))
            seconds += seconds_of(files)
        if plan.nulls is not None:
            features = {**self._own_features, **self._features_of(plan.nulls.stories)}
            parts.append(score_nulls(plan, self._responses, features, parts[0]["r"].values))
        told = self._provenance(seconds) | asked(
            plan.request,
            model=absolute_source(plan.request.model, plan.model),
            revision=pinned_revision(plan.model),
            manifest=plan.dataset.text,
        )
        told["significance"] = significance_words(plan.spec.statistics.canonical())
        dataset, spec = xr.merge(parts), plan.spec.canonical()
        self.know(self._store.put(self.kind, self.key, spec=spec, provenance=told, dataset=dataset))

    def _require_scores(self, files: Sequence[Path]) -> None:
        """Refuse a result without any score, before anything of it is stored."""
        for path in files:
            if np.isfinite(read_part(path, "r")).any():
                return
        train, test = self._responses.train_kept.sum(), self._responses.scored.sum()
        raise InputError(
            f"no layer of {self._plan.model.name} has a score for any target of "
            f"{self._plan.request.subject!r} ({train} training rows, {test} scored rows)",
            hint="Every target is NaN, infinite or constant in some story, or the predictions do "
            "not vary: look at the responses and at the recordings; nothing was stored.",
        )

    def _predictions(self) -> Entry:
        """Return the predictions, put together from the layers where nobody has done so."""
        fit, n_layers = self._plan.spec.fit, self._plan.model.n_layers
        files = (
            [] if not self.lacked(fit.kind, self._fit_key) else self.layers(fit.kind, self._fit_key)
        )
        if len(files) < n_layers:
            found = self.get(fit.kind, self._fit_key)
            self._store.drop_parts(fit.kind, self._fit_key)
            return found
        responses = self._responses
        self._require_scores(files)
        made = PredictionFile(files, responses.test, responses.scored, responses.test_segment)
        return self._store.put_file(
            fit.kind,
            self._fit_key,
            spec=fit.canonical(),
            provenance=self._provenance(seconds_of(files)),
            write=made.write,
            n_bytes=made.n_bytes,
        )

    def _provenance(self, seconds: float) -> dict[str, Any]:
        plan, data = self._plan, self._plan.dataset
        keys = {story.extraction.key() for _, stories in plan.extractions for story in stories}
        made = common_provenance(plan.model, plan.strategy, data.name, data.simulated, seconds)
        made["data"]["manifest"] = str(data.path.resolve())
        return made | {
            "parents": sorted(keys),
            "predictions": self._fit_key,
            "preset": plan.request.preset,
            **_varied(plan),
            "no_inter_subject_ceiling_with": dict(plan.ceilings.left_out),
            "warnings": list(plan.warnings),
            "left_out": dict(plan.request.left_out),
            **({"n_repeats": repeats} if (repeats := _n_repeats(plan)) > 1 else {}),
            **({} if plan.surface is None else {"surface": plan.surface.key}),
            **({"selecting": _selecting(plan)} if plan.ceilings.selecting else {}),
        }

    @cached_property
    def _fit_key(self) -> str:
        return self._plan.spec.fit.key()


def _varied(plan: EncodingPlan) -> dict[str, Any]:
    """Say which context and which share of the training stories were asked for, if any."""
    asked = {name: getattr(plan.request, name) for name in ("context_seconds", "train_share")}
    found = {name: value for name, value in asked.items() if value is not None}
    return found | ({"train_draw": plan.request.train_draw} if "train_share" in found else {})


def _selecting(plan: EncodingPlan) -> dict[str, Any]:
    """Say which presentations chose the targets that the ceiling from repeats divides."""
    chosen = plan.ceilings.selecting
    n_repeats = min(sum(one.has_data for one in story.heard[0]) for story in chosen)
    halved = plan.spec.ceiling_selection == "halves"
    return {
        "stories": [story.name for story in chosen],
        "n_repeats": (n_repeats + 1) // 2 if halved else n_repeats,
        "n_rows": complete_rows(chosen),
    }


def _n_repeats(plan: EncodingPlan) -> int:
    """Count the presentations that the ceiling from repeats is made of, as few as any story has."""
    return 1 if plan.test[0].members else min(len(story.heard[0]) for story in plan.test)
