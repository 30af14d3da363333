"""The step that gives the features of every story: from the store, or computed and kept there."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.scores import zscore
from braindash.encoding.plan import EncodingPlan
from braindash.errors import InputError
from braindash.io.dataset.audio import audio_seconds, load_audio
from braindash.io.entries import common_provenance
from braindash.io.store import Entry, Store
from braindash.progress import Progress, shared, spoken_duration
from braindash.speech.acoustic.annotated import annotated_features
from braindash.speech.acoustic.spaces import AcousticSpace, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.stories import StoryPlan

logger = logging.getLogger(__name__)

Features = Mapping[str, Entry]
"""Stored features of stories, by their keys."""
FeatureMaker = Callable[[StoryPlan, Progress], NDArray[np.float32]]


def stored_features(plan: EncodingPlan, store: Store) -> dict[str, Entry]:
    """Return what the store has of the features that a plan needs, by their keys."""
    keys = {story.extraction.key() for _, stories in plan.extractions for story in stories}
    found = {key: store.get_or_none("features", key) for key in keys}
    return {key: entry for key, entry in found.items() if entry is not None}


def extract_features(
    plan: EncodingPlan, found: Features, store: Store, progress: Progress
) -> Features:
    """Compute the features of a plan that are not there yet; each story is kept at once.

    Parameters
    ----------
    plan : EncodingPlan
        What to compute.
    found : mapping of str to Entry
        From :func:`stored_features`.
    store : Store
        Gets one entry per story.
    progress : Progress
        Told of every story.

    Returns
    -------
    mapping of str to Entry
        All features of the plan, by their keys.
    """
    entries = dict(found)
    missing = [
        (model, [story for story in stories if story.extraction.key() not in entries])
        for model, stories in plan.extractions
    ]
    spans = shared(progress, [len(stories) for _, stories in missing])
    for (model, stories), span in zip(missing, spans, strict=True):
        if stories:
            entries |= _extract(plan, model, stories, store, span)
    return entries


def layer_features(
    stories: Sequence[StoryPlan], features: Features, layer: int
) -> NDArray[np.float32]:
    """Return one layer's features of some stories, z-scored in each, (n_rows, n_features)."""
    return np.concatenate([_story_features(features[s.extraction.key()], layer) for s in stories])


def count_layers(plan: EncodingPlan, features: Features) -> int:
    """Return the number of layers of the plan's features."""
    with features[plan.train[0].extraction.key()].open() as first:
        return int(first.sizes["layer"])


def _story_features(entry: Entry, layer: int) -> np.ndarray:
    with entry.open() as dataset:
        return zscore(dataset["features"].isel(layer=layer).values)


def _extract(
    plan: EncodingPlan,
    files: ModelFiles,
    missing: Sequence[StoryPlan],
    store: Store,
    progress: Progress,
) -> dict[str, Entry]:
    compute, device = _feature_maker(plan, files, missing, progress)
    named = [
        f"features of {story.name} ({number}/{len(missing)}): "
        for number, story in enumerate(missing, start=1)
    ]
    spans = shared(progress, [float(story.times[-1]) for story in missing], named)
    entries: dict[str, Entry] = {}
    data = plan.dataset
    for story, span in zip(missing, spans, strict=True):
        started = time.monotonic()
        array = compute(story, span)
        dataset = xr.Dataset(
            {"features": (("layer", "time", "feature"), array)},
            coords={"layer": np.arange(len(array)), "time": story.times},
        )
        made = common_provenance(
            files,
            story.extraction.strategy,
            data.name,
            data.simulated,
            time.monotonic() - started,
        )
        key = story.extraction.key()
        entries[key] = store.put(
            "features",
            key,
            spec=story.extraction.canonical(),
            provenance=made | {"story": story.name, "device": device},
            dataset=dataset,
            chunks={"features": (1, *array.shape[1:])},
        )
    return entries


def _feature_maker(
    plan: EncodingPlan, files: ModelFiles, missing: Sequence[StoryPlan], progress: Progress
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
    logger.info("%s on %s", told, model.device)
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
    except InputError as error:
        raise InputError(f"{story.tier.path}: {error.message}", hint=error.hint) from error
