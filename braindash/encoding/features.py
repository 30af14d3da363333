"""The step that gives the features of a story: computed with a model and kept in the store."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
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
from braindash.io.labels.words import WordVectors, read_word_vectors
from braindash.io.store import Entry, Store
from braindash.process import expected_device
from braindash.progress import Progress, spoken_duration
from braindash.specs import Strategy
from braindash.speech.acoustic.annotated import (
    AnnotatedFrames,
    annotated_features,
    word_shares,
)
from braindash.speech.acoustic.spaces import AcousticSpace, find_space
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.language.spaces import LANGUAGE, WORDS
from braindash.stories import StoryPlan, frames_of

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel

logger = logging.getLogger(__name__)

_NAMED_WORDS = 8

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
        if self.files.family in LANGUAGE:
            return self._open_words(progress)
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
        return _Model(model, request.strategy, request.context_seconds)

    def _open_words(self, progress: Progress) -> "_Words":
        """Open what gives words their vectors."""
        if self.files.family == WORDS:
            # Files of vectors are large: they are read once, for the words of all stories.
            said = [label for story in self.stories for label in _words_of(story).names]
            every = sorted(set(said))
            progress.advance(0, 1, "reading word vectors")
            known = read_word_vectors(self.files.weights[0], vocabulary=every)
            _tell_unknown(known, every, self.files.name)
            return _Words(lambda words, _: known.of(words)[0][None], "cpu")
        from braindash.speech.text import word_layers

        folder, device = self.files.folder, self._plan.request.device
        return _Words(
            lambda words, report: word_layers(folder, words, device=device, progress=report),
            expected_device(device),
        )


def _words_of(story: StoryPlan) -> AnnotatedFrames:
    """Read which word of a story is spoken when."""
    if story.tier is None:
        raise ValueError(f"the plan names no annotation of {story.name}")
    try:
        return word_shares(story.tier.intervals(), audio_seconds(story.audio))
    except InputError as error:
        raise InputError(f"{story.tier.path}: {error.message}", hint=error.hint) from error


def _tell_unknown(known: WordVectors, words: Sequence[str], name: str) -> None:
    """Say in the log how many words have no vector; theirs is 0."""
    _, found = known.of(words)
    lacking = [word for word, there in zip(words, found, strict=True) if not there]
    if lacking:
        few = ", ".join(map(repr, lacking[:_NAMED_WORDS]))
        told = f"{len(lacking)} of {len(words)} words have no vector in {name}: {few}"
        logger.warning("%s", told)


@dataclass(frozen=True)
class _Words:
    """Makes features of words by their vectors, (n_layers, n_words, n_features)."""

    vectors_of: Callable[[Sequence[str], Progress], NDArray[np.float32]]
    device: str

    def rows(self, story: StoryPlan, progress: Progress) -> NDArray[np.float32]:
        spoken = _words_of(story)
        shares = spoken.at(story.times, story.extraction.times.tr)[0].astype(np.float64)
        vectors = self.vectors_of(spoken.names, progress)
        return np.stack([(shares @ one).astype(np.float32) for one in vectors])


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
    context: float | None = None

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
            context=self.context,
            progress=progress,
        )

    def frames(self, story: StoryPlan, progress: Progress) -> FrameFile:
        from braindash.speech.frames import FrameStream

        made = FrameStream(self.model, load_audio(story.audio), self.strategy, self.context)
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
