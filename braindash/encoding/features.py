"""The step that gives the features of a story: computed with a model and kept in the store."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.drift import high_passed
from braindash.core.scores import zscore
from braindash.encoding.plan import EncodingPlan
from braindash.errors import InputError
from braindash.io.dataset.audio import audio_seconds, load_audio
from braindash.io.entries import common_provenance
from braindash.io.store import Entry, Store
from braindash.progress import Progress, spoken_duration
from braindash.speech.acoustic.annotated import annotated_features
from braindash.speech.acoustic.spaces import AcousticSpace, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.stories import StoryPlan

logger = logging.getLogger(__name__)

Features = Mapping[str, Entry]
"""Stored features of stories, by their keys."""
FeatureMaker = Callable[[StoryPlan, Progress], NDArray[np.float32]]


class Extraction:
    """Makes the features of stories with one model, which is opened when it is first needed.

    Parameters
    ----------
    plan : EncodingPlan
        Says how.
    files : ModelFiles
        The model, or an acoustic space.
    stories : sequence of StoryPlan
        Those that may be asked for, all annotated or none.
    """

    def __init__(self, plan: EncodingPlan, files: ModelFiles, stories: Sequence[StoryPlan]) -> None:
        self._plan, self.files, self.stories = plan, files, stories
        self._opened: tuple[FeatureMaker, str] | None = None

    def put(self, story: StoryPlan, store: Store, progress: Progress) -> Entry:
        """Compute the features of a story and keep them.

        Parameters
        ----------
        story : StoryPlan
            One of the stories.
        store : Store
            Gets the features.
        progress : Progress
            Told of every window.
        """
        compute, device = self._opened = self._opened or self._open(progress)
        started = time.monotonic()
        array = compute(story, progress)
        dataset = xr.Dataset(
            {"features": (("layer", "time", "feature"), array)},
            coords={"layer": np.arange(len(array)), "time": story.times},
        )
        data, seconds = self._plan.dataset, time.monotonic() - started
        strategy = story.extraction.strategy
        made = common_provenance(self.files, strategy, data.name, data.simulated, seconds)
        return store.put(
            "features",
            story.extraction.key(),
            spec=story.extraction.canonical(),
            provenance=made | {"story": story.name, "device": device},
            dataset=dataset,
            chunks={"features": (1, *array.shape[1:])},
        )

    def close(self) -> None:
        """Let go of the model; it is opened again when a story is asked for."""
        self._opened = None

    def _open(self, progress: Progress) -> tuple[FeatureMaker, str]:
        """Open what makes the features of a story, and say where it runs."""
        if self.stories[0].tier is not None:
            return partial(_annotated_features, find_space(self.files.name)), "cpu"
        # torch and transformers are needed from here on, so planning and cached runs stay light.
        from braindash.speech.features import estimate_seconds, extract
        from braindash.speech.models import open_model

        request = self._plan.request
        model = open_model(self.files, device=request.device)
        longest = max(story.times[-1] for story in self.stories)
        total = sum(story.times[-1] for story in self.stories)
        expected = estimate_seconds(model, longest, request.strategy) * total / longest
        told = f"about {spoken_duration(expected)} for {len(self.stories)} stories"
        logger.info("features with %s on %s: %s", self.files.name, model.device, told)
        progress.advance(0, 1, told)

        def compute(story: StoryPlan, progress: Progress) -> NDArray[np.float32]:
            return extract(
                model,
                load_audio(story.audio),
                story.times,
                strategy=request.strategy,
                tr=story.extraction.times.tr,
                progress=progress,
            )

        return compute, str(model.device)


def layer_features(
    stories: Sequence[StoryPlan], features: Features, layer: int, high_pass: float | None
) -> NDArray[np.float32]:
    """Return one layer's features of some stories, z-scored in each, (n_rows, n_features)."""
    read = (story_features(story, features, layer, high_pass) for story in stories)
    return np.concatenate([zscore(one) for one in read])


def story_features(
    story: StoryPlan, features: Features, layer: int, high_pass: float | None
) -> NDArray[np.float32]:
    """Return one layer's features of a story, high-pass filtered where that is asked for."""
    read = features[story.extraction.key()].read("features", layer)
    if high_pass is None:
        return read
    return np.asarray(high_passed(read, high_pass, story.extraction.times.tr), dtype=np.float32)


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
