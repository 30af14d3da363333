"""Encoding runs: features, predictions, statistics, in order."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.audio import audio_seconds, load_audio
from braindash.io.store import Entry, Store
from braindash.pipeline.provenance import common_provenance
from braindash.plan.encoding import EncodingPlan, plan_encoding
from braindash.plan.stories import StoryPlan
from braindash.progress import NoProgress, Progress, Span, spoken_duration
from braindash.requests import EncodeRequest
from braindash.results.encoding import EncodingResult
from braindash.speech.annotated import annotated_features
from braindash.speech.files import ModelFiles
from braindash.speech.spaces import AcousticSpace, find_space
from braindash.steps.encoding import fit_predictions, summarise
from braindash.steps.lowlevel import weigh_low_level

log = logging.getLogger(__name__)

# Share of the time until predictions are there that goes into features when none are cached.
_EXTRACTION_SHARE = 0.8
# Share of a job's time after which predictions are there, and statistics begin.
_PREDICTION_SHARE = 0.8
FeatureMaker = Callable[[StoryPlan, Progress], NDArray[np.float32]]
PLANNING = "reading the manifest and the model's files"


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
    report.advance(0, 1, PLANNING)
    return run_encoding_plan(plan_encoding(request), store, report)


def run_encoding_plan(plan: EncodingPlan, store: Store, report: Progress) -> EncodingResult:
    """Do as :func:`run_encoding` for a request that is planned already."""
    subject, key = plan.request.subject, plan.spec.key()
    cached = store.get_or_none("encoding", key)
    if cached is not None:
        report.advance(1, 1, "already computed")
        return EncodingResult.load(cached)
    started = time.monotonic()
    share = _PREDICTION_SHARE if plan.low_level is None else _PREDICTION_SHARE / 2
    predictions = _predict(plan, store, Span(report, 0.0, share, f"{subject}: "))
    low_level = _weigh_low_level(
        plan, store, Span(report, share, _PREDICTION_SHARE, f"{subject}: ")
    )
    dataset = summarise(plan, predictions, Span(report, _PREDICTION_SHARE, 1.0, f"{subject}: "))
    if low_level is not None:
        dataset = xr.merge([dataset, low_level])
    entry = store.put(
        "encoding",
        key,
        spec=plan.spec.canonical(),
        provenance=_provenance(plan, time.monotonic() - started),
        dataset=dataset,
    )
    report.advance(1, 1, "done")
    return EncodingResult.load(entry)


def run_extraction(plan: EncodingPlan, store: Store, progress: Progress) -> dict[str, Entry]:
    """Compute, or load, all features of a plan: one store entry per story, by its key."""
    entries: dict[str, Entry] = {}
    counts = [len(_missing(stories, store)) for _, stories in plan.extractions]
    shares = np.cumsum([0, *counts]) / max(1, sum(counts))
    for index, (model, stories) in enumerate(plan.extractions):
        span = Span(progress, float(shares[index]), float(shares[index + 1]))
        entries |= _extract(plan, model, stories, store, span)
    return entries


def _missing(stories: tuple[StoryPlan, ...], store: Store) -> list[StoryPlan]:
    return [story for story in stories if not store.has("features", story.extraction.key())]


def _extract(
    plan: EncodingPlan,
    files: ModelFiles,
    stories: tuple[StoryPlan, ...],
    store: Store,
    progress: Progress,
) -> dict[str, Entry]:
    found = {key: store.get_or_none("features", key) for key in _feature_keys(stories)}
    entries = {key: entry for key, entry in found.items() if entry is not None}
    missing = [story for story in stories if story.extraction.key() not in entries]
    if not missing:
        return entries
    compute, device = _feature_maker(plan, files, missing, progress)
    seconds = np.cumsum([0.0] + [story.times[-1] for story in missing])
    for index, story in enumerate(missing):
        started = time.monotonic()
        span = Span(
            progress,
            seconds[index] / seconds[-1],
            seconds[index + 1] / seconds[-1],
            f"features of {story.name} ({index + 1}/{len(missing)}): ",
        )
        array = compute(story, span)
        dataset = xr.Dataset(
            {"features": (("layer", "time", "feature"), array)},
            coords={"layer": np.arange(len(array)), "time": story.times},
        )
        key = story.extraction.key()
        entries[key] = store.put(
            "features",
            key,
            spec=story.extraction.canonical(),
            provenance=_features_provenance(plan, files, story, time.monotonic() - started)
            | {"story": story.name, "device": device},
            dataset=dataset,
            chunks={"features": (1, *array.shape[1:])},
        )
    return entries


def _feature_maker(
    plan: EncodingPlan, files: ModelFiles, missing: list[StoryPlan], progress: Progress
) -> tuple[FeatureMaker, str]:
    """Open what makes the features of a story, and say where it runs."""
    if missing[0].tier is not None:
        return partial(_annotated_features, find_space(files.name)), "cpu"
    # torch and transformers are needed from here on, so planning and cached runs stay light.
    from braindash.speech.features import estimate_seconds, extract
    from braindash.speech.models import open_model

    model = open_model(files, device=plan.request.device)
    longest = max(story.times[-1] for story in missing)
    total = sum(story.times[-1] for story in missing)
    expected = estimate_seconds(model, longest, plan.request.strategy) * total / longest
    told = (
        f"features of {len(missing)} stories with {files.name}: about {spoken_duration(expected)}"
    )
    log.info("%s on %s", told, model.device)
    progress.advance(0, 1, told)

    def compute(story: StoryPlan, span: Progress) -> NDArray[np.float32]:
        return extract(
            model,
            load_audio(story.audio),
            story.times,
            strategy=plan.request.strategy,
            tr=story.extraction.times.tr,
            progress=span,
        )

    return compute, str(model.device)


def _annotated_features(
    space: AcousticSpace, story: StoryPlan, progress: Progress
) -> NDArray[np.float32]:
    if story.tier is None:
        raise ValueError(f"the plan names no annotation of {story.name}")
    seconds, tr = audio_seconds(story.audio), story.extraction.times.tr
    try:
        return annotated_features(space, story.tier.intervals(), seconds, story.times, tr)
    except InputError as problem:
        raise InputError(f"{story.tier.path}: {problem.message}", hint=problem.hint) from problem


def _feature_keys(stories: tuple[StoryPlan, ...]) -> list[str]:
    return [story.extraction.key() for story in stories]


def _predict(plan: EncodingPlan, store: Store, progress: Progress) -> Entry:
    """Compute, or load, the predictions of the test rows from every layer."""
    spec = plan.spec.fit
    cached = store.get_or_none("predictions", spec.key())
    if cached is not None:
        return cached
    started = time.monotonic()
    missing = [story for _, stories in plan.extractions for story in _missing(stories, store)]
    share = _EXTRACTION_SHARE if missing else 0.02
    features = run_extraction(plan, store, Span(progress, 0.0, share))
    predictions = fit_predictions(plan, features, store, Span(progress, share, 1.0))
    return store.put_file(
        "predictions",
        spec.key(),
        spec=spec.canonical(),
        provenance=_provenance(plan, time.monotonic() - started),
        write=predictions.write,
        n_bytes=predictions.n_bytes,
    )


def _weigh_low_level(plan: EncodingPlan, store: Store, progress: Progress) -> xr.Dataset | None:
    """Compute what low-level features explain, where that is asked for."""
    if plan.low_level is None:
        return None
    # Predictions may come from the store while features do not, so they are asked for here.
    features = run_extraction(plan, store, Span(progress, 0.0, 0.1))
    return weigh_low_level(plan, features, store, Span(progress, 0.1, 1.0))


def _provenance(plan: EncodingPlan, seconds: float) -> dict[str, Any]:
    keys = {key for _, stories in plan.extractions for key in _feature_keys(stories)}
    return _features_provenance(plan, plan.model, plan.train[0], seconds) | {
        "parents": sorted(keys),
        "predictions": plan.spec.fit.key(),
        "no_inter_subject_ceiling_with": dict(plan.left_out),
        "warnings": list(plan.warnings),
    }


def _features_provenance(
    plan: EncodingPlan, model: ModelFiles, story: StoryPlan, seconds: float
) -> dict[str, Any]:
    data = plan.dataset
    return common_provenance(model, story.extraction.strategy, data.name, data.simulated, seconds)
