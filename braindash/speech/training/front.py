"""What the frozen front end makes of the stories: computed once, and kept."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from braindash.errors import ResourceError
from braindash.files import replaced
from braindash.progress import Progress
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.encoder.front import ConvolutionalFront, front_of, normalised
from braindash.speech.training.stories import Segment, SegmentShape, TuningStory, first_sample
from braindash.speech.windows import WINDOW_SECONDS

logger = logging.getLogger(__name__)

# Of the 16.1 s that the front end hears at once, the last 14 s are new: as long as the windows of
# feature extraction, so that what is normalised over a window is normalised alike.
_NEW_SECONDS = 14.0


class Inputs(Protocol):
    """Gives what the network takes for segments."""

    def prepare(self, progress: Progress) -> None:
        """Do all that is done once."""

    def take(self, segments: Sequence[Segment]) -> Tensor:
        """Return the inputs of segments, stacked along the first axis."""


class KeptArrays:
    """Arrays that are made once, written to a folder and mapped into memory.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mapped: dict[str, NDArray[np.float32]] = {}

    def get(self, name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return an array, from ``make`` the first time.

        Raises
        ------
        ResourceError
            When it cannot be written.
        """
        if name not in self._mapped:
            path = self._folder / f"{name}.npy"
            if not path.exists():
                self._write(path, make())
            self._mapped[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._mapped[name]

    def _write(self, path: Path, array: NDArray[np.float32]) -> None:
        try:
            with replaced(path) as partial, partial.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
        except OSError as error:
            raise ResourceError(
                f"what the front end makes of the stories cannot be kept in {self._folder}: "
                f"{error.strerror or error}",
                hint="Free some space (about 100 KB per second of audio are needed), and start "
                "again.",
            ) from error


@dataclass(frozen=True, eq=False)
class _Source:
    """What both kinds of inputs are made from.

    Attributes
    ----------
    front : Front
    stories : sequence of TuningStory
    shape : SegmentShape
    kept : KeptArrays
    normalise : bool
        True when what the front end hears at once is brought to zero mean and unit variance.
    device : torch.device
    """

    front: Any
    stories: Sequence[TuningStory]
    shape: SegmentShape
    kept: KeptArrays
    normalise: bool
    device: torch.device

    def _heard(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalised(window) if self.normalise else window


class StoryFront(_Source):
    """Output of the convolutions for whole stories; segments are cut from it.

    Where the front end normalises over the window that it hears, that is the 16.1 s up to a
    frame, as in feature extraction, not the segment.
    """

    def prepare(self, progress: Progress) -> None:
        """Run the front end over every story that is not there yet."""
        for index, story in enumerate(self.stories):
            progress.advance(index, len(self.stories), f"front end of {story.name}")
            self._frames(index)

    def take(self, segments: Sequence[Segment]) -> Tensor:
        """Cut segments, (n_segments, n_frames, n_channels)."""
        return torch.stack([self._cut(segment) for segment in segments]).to(self.device)

    def _cut(self, segment: Segment) -> Tensor:
        hop = self.front.geometry.hop
        first = first_sample(segment, hop) // hop
        frames = self._frames(segment.story)[first : first + self.shape.n_frames]
        lacking = self.shape.n_frames - len(frames)
        if lacking:
            # Rounding to the grid of frames may reach a frame or two over the end of the audio.
            frames = np.pad(frames, ((0, lacking), (0, 0)), mode="edge")
        return torch.from_numpy(np.array(frames))

    def _frames(self, index: int) -> NDArray[np.float32]:
        return self.kept.get(f"front-{index:04d}", lambda: self._computed(index))

    def _computed(self, index: int) -> NDArray[np.float32]:
        audio = self.stories[index].audio()
        geometry = self.front.geometry
        step = round(_NEW_SECONDS * SAMPLE_RATE_HZ / geometry.hop)
        reach = round(WINDOW_SECONDS * SAMPLE_RATE_HZ / geometry.hop)
        n_frames = geometry.n_frames(len(audio))
        pieces = []
        for new in range(0, n_frames, step):
            stop = min(new + step, n_frames)
            start = max(0, min(new, stop - reach))
            end = (stop - 1) * geometry.hop + geometry.first
            window = audio[None, start * geometry.hop : end]
            with torch.no_grad():
                made = self.front.convolve(self._heard(window))
            pieces.append(made[0, new - start :].float().cpu().numpy())
        return np.concatenate(pieces)


class SegmentFront(_Source):
    """Runs the frozen front end for every segment anew, over the segment's own audio."""

    def prepare(self, progress: Progress) -> None:
        """Read the audio."""
        for index, story in enumerate(self.stories):
            progress.advance(index, len(self.stories), f"audio of {story.name}")
            self._audio(index)

    def take(self, segments: Sequence[Segment]) -> Tensor:
        """Run the front end.

        Returns
        -------
        Tensor
            Output of the convolutions, (n_segments, n_frames, n_channels); of a padded model the
            spectrograms of the pieces that attend to themselves, (n_segments, n_pieces, n_bands,
            n_columns).
        """
        waves = np.stack([self._cut(segment) for segment in segments])
        if isinstance(self.front, ConvolutionalFront):
            with torch.no_grad():
                return self.front.convolve(self._heard(waves)).float()
        length = self.shape.n_attended * self.front.geometry.hop
        starts = range(0, self.shape.n_frames * self.front.geometry.hop, length)
        pieces = [self.front.inputs(waves[:, start : start + length]) for start in starts]
        return torch.stack(pieces, dim=1)

    def _cut(self, segment: Segment) -> NDArray[np.float32]:
        first = first_sample(segment, self.front.geometry.hop)
        wave = np.array(self._audio(segment.story)[first : first + self.shape.n_samples])
        return np.pad(wave, (0, self.shape.n_samples - len(wave)))

    def _audio(self, index: int) -> NDArray[np.float32]:
        return self.kept.get(f"audio-{index:04d}", self.stories[index].audio)


def make_inputs(
    encoder: nn.Module,
    stories: Sequence[TuningStory],
    shape: SegmentShape,
    folder: Path,
    *,
    per_story: bool,
    normalise: bool,
) -> Inputs:
    """Choose how segments become the network's input.

    Parameters
    ----------
    encoder : nn.Module
        Bare encoder, on its device.
    stories : sequence of TuningStory
    shape : SegmentShape
    folder : Path
        Where arrays are kept.
    per_story : bool
        Run the front end once per story. A padded model hears every piece by itself in any case.
    normalise : bool
        True when what the model hears at once is brought to zero mean and unit variance.
    """
    front = front_of(encoder)
    device = next(encoder.parameters()).device
    shared = per_story and isinstance(front, ConvolutionalFront)
    kind = StoryFront if shared else SegmentFront
    return kind(front, stories, shape, KeptArrays(folder), normalise, device)
