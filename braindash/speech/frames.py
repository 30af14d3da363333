"""A model's frames on a time grid of their own, for all who heard the same sound.

Causal frames, ten per second, are kept as they are. Of chunks, whose frames are 50 per second, a
grid of ten per second is kept (:mod:`braindash.core.resampling`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.resampling import Frames, Spreading, in_blocks
from braindash.progress import NoProgress, Progress
from braindash.speech.acoustic.model import AcousticModel
from braindash.speech.features import checked_audio, plan_windows, window_features
from braindash.speech.models import SpeechModel
from braindash.speech.windows import find_strategy, frame_times

_SILENT = NoProgress()


class FrameStream:
    """The frames of one recording, computed piece by piece.

    Parameters
    ----------
    model : SpeechModel or AcousticModel
        From :func:`braindash.speech.models.open_model`.
    audio : array of shape (n_samples,)
        Mono, 16 kHz, floating point.
    strategy : {"exact", "chunk"}
        How the recording is cut into windows.
    context : float, optional
        Longest audio of a window in seconds; the strategy's when left out.

    Attributes
    ----------
    times : float64 array of shape (n_frames,)
        Seconds of the frames, or of the nodes of their grid.
    mass : float64 array of shape (n_frames,) or None
        How many frames each node stands for; None where frames are kept as they are.

    Raises
    ------
    InputError
        For audio or a strategy that cannot be used.
    """

    def __init__(
        self,
        model: SpeechModel | AcousticModel,
        audio: ArrayLike,
        strategy: str,
        context: float | None = None,
    ) -> None:
        self._model, self._samples = model, checked_audio(audio)
        self._windows = plan_windows(model, len(self._samples), strategy, context)
        step = find_strategy(strategy).grid_seconds
        instants = frame_times(self._windows)
        self._grid = None if step is None else Spreading(instants, step)
        self.times: NDArray[np.float64] = instants if self._grid is None else self._grid.times
        self.mass = None if self._grid is None else self._grid.mass

    def pieces(self, progress: Progress = _SILENT) -> Iterator[Frames]:
        """Run the model and yield its frames in order; once, since a grid adds them up.

        Parameters
        ----------
        progress : Progress
            Told after every window, in seconds of audio the model has seen.

        Yields
        ------
        float32 array of shape (n, n_layers, n_features)
        """
        return in_blocks(self._made(progress))

    def _made(self, progress: Progress) -> Iterator[Frames]:
        total, done = sum(window.seconds for window in self._windows), 0.0
        found = window_features(self._model, self._samples, self._windows)
        for number, (window, frames) in enumerate(found, start=1):
            yield frames if self._grid is None else self._grid.add(frames)
            done += window.seconds
            progress.advance(done, total, f"window {number} of {len(self._windows)}")
