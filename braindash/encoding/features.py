"""The step that gives the features of a story: computed with a model and kept in the store."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.drift import high_passed
from braindash.core.resampling import rows_of_kept
from braindash.core.scores import zscore
from braindash.encoding.plan import EncodingPlan
from braindash.errors import InputError
from braindash.io.dataset.audio import audio_seconds, load_audio
from braindash.io.entries import common_provenance
from braindash.io.frames import FrameFile, opened_frames
from braindash.io.store import Entry, Store
from braindash.progress import Progress, spoken_duration
from braindash.specs import Strategy
from braindash.speech.acoustic.annotated import annotated_features
from braindash.speech.acoustic.spaces import AcousticSpace, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.stories import StoryPlan, frames_of

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel

logger = logging.getLogger(__name__)

Features = Mapping[str, Entry]
"""Stored features of stories, by their keys."""


class Maker(Protocol):
    """Makes features of stories, opened."""

    @property
    def device(self) -> str:
        """Where it runs."""

    def rows(self, story: StoryPlan, progress: Progress) -> NDArray[np.float32]:
        """Compute the features of a story, (n_layers, n_rows, n_features)."""


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
        self._opened: Maker | None = None

    def put(self, story: StoryPlan, store: Store, progress: Progress) -> Entry:
        """Compute the features of a story and keep them.

        Where the model's frames are in the store the model is not needed, nor opened.

        Parameters
        ----------
        story : StoryPlan
            One of the stories.
        store : Store
            Gets the features.
        progress : Progress
            Told of every window.
        """
        started = time.monotonic()
        frames = self._kept_frames(story, store)
        if frames is None:
            maker = self._opened = self._opened or self._open(progress)
            started = time.monotonic()
            made, array = {"device": maker.device}, maker.rows(story, progress)
        else:
            made = {"device": frames.provenance["device"], "frames": frames.key}
            array = _rows_of_frames(frames, story)
        dataset = xr.Dataset(
            {"features": (("layer", "time", "feature"), array)},
            coords={"layer": np.arange(len(array)), "time": story.times},
        )
        return store.put(
            "features",
            story.extraction.key(),
            spec=story.extraction.canonical(),
            provenance=self._provenance(story, time.monotonic() - started) | made,
            dataset=dataset,
            chunks={"features": (1, *array.shape[1:])},
        )

    def put_frames(self, story: StoryPlan, store: Store, progress: Progress) -> Entry:
        """Compute the frames of a whole recording, for the rows of all who heard it, and keep them.

        Parameters
        ----------
        story, store, progress
            As of :meth:`put`; the story has frames that are kept.
        """
        maker = self._opened = self._opened or self._open(progress)
        if story.frames is None or not isinstance(maker, _Model):
            raise ValueError(f"the plan keeps no frames of {story.name}")
        started = time.monotonic()
        made = maker.frames(story, progress)
        told = self._provenance(story, 0.0) | {"device": maker.device}

        def write(path: Path) -> None:
            made.write(path)  # runs the model
            told["seconds"] = round(time.monotonic() - started, 3)

        kind, key = story.frames.kind, story.frames.key()
        spec = story.frames.canonical()
        return store.put_file(
            kind, key, spec=spec, provenance=told, write=write, n_bytes=made.n_bytes
        )

    def close(self) -> None:
        """Let go of the model; it is opened again when a story is asked for."""
        self._opened = None

    def _kept_frames(self, story: StoryPlan, store: Store) -> Entry | None:
        """Find the model's frames of a story, also where another data set had them kept."""
        wanted = story.frames or frames_of(story.extraction)
        if wanted is None or self._plan.request.keep_frames is False:
            return None
        return store.get_or_none(wanted.kind, wanted.key())

    def _provenance(self, story: StoryPlan, seconds: float) -> dict[str, Any]:
        data, strategy = self._plan.dataset, story.extraction.strategy
        made = common_provenance(self.files, strategy, data.name, data.simulated, seconds)
        return made | {"story": story.name}

    def _open(self, progress: Progress) -> Maker:
        """Open what makes the features of a story."""
        if self.stories[0].tier is not None:
            return _Annotations(find_space(self.files.name))
        # torch and transformers are needed from here on, so planning and cached runs stay light.
        from braindash.speech.features import estimate_seconds
        from braindash.speech.models import open_model

        request = self._plan.request
        model = open_model(self.files, device=request.device)
        longest = max(story.times[-1] for story in self.stories)
        total = sum(story.times[-1] for story in self.stories)
        expected = estimate_seconds(model, longest, request.strategy) * total / longest
        told = f"about {spoken_duration(expected)} for {len(self.stories)} stories"
        logger.info("features with %s on %s: %s", self.files.name, model.device, told)
        progress.advance(0, 1, told)
        return _Model(model, request.strategy)


@dataclass(frozen=True)
class _Annotations:
    """Makes features of what is annotated."""

    space: AcousticSpace
    device = "cpu"

    def rows(self, story: StoryPlan, progress: Progress) -> NDArray[np.float32]:
        if story.tier is None:
            raise ValueError(f"the plan names no annotation of {story.name}")
        seconds, tr = audio_seconds(story.audio), story.extraction.times.tr
        intervals = story.tier.intervals()
        try:
            return annotated_features(self.space, intervals, seconds, story.times, tr)
        except InputError as error:
            raise InputError(f"{story.tier.path}: {error.message}", hint=error.hint) from error


@dataclass(frozen=True)
class _Model:
    """Makes features with a model, or with an acoustic space of the sound."""

    model: "SpeechModel | AcousticModel"
    strategy: Strategy

    @property
    def device(self) -> str:
        return str(self.model.device)

    def rows(self, story: StoryPlan, progress: Progress) -> NDArray[np.float32]:
        from braindash.speech.features import extract

        return extract(
            self.model,
            load_audio(story.audio),
            story.times,
            strategy=self.strategy,
            tr=story.extraction.times.tr,
            progress=progress,
        )

    def frames(self, story: StoryPlan, progress: Progress) -> FrameFile:
        from braindash.speech.frames import FrameStream

        made = FrameStream(self.model, load_audio(story.audio), self.strategy)
        shape = self.model.n_layers, self.model.n_features
        return FrameFile(made.times, made.mass, *shape, made.pieces(progress))


def _rows_of_frames(frames: Entry, story: StoryPlan) -> NDArray[np.float32]:
    """Bring kept frames to the rows of a story."""
    with opened_frames(frames) as kept:
        tr = story.extraction.times.tr
        return rows_of_kept(kept.read, kept.times, story.times, tr, mass=kept.mass)


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
