"""Acoustic feature spaces behind the interface of a speech model: one layer, no weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from braindash.errors import BraindashError, InputError, ModelError, is_out_of_memory
from braindash.speech.acoustic.pitch import pitch
from braindash.speech.acoustic.spaces import ACOUSTIC, AcousticSpace, Part, find_space
from braindash.speech.acoustic.spectral import (
    HOP,
    WINDOW,
    Frames,
    Samples,
    cepstrum,
    even_spectrum,
    frame_times,
    log_energy,
    log_mel,
    n_frames,
)
from braindash.speech.windows import Window

# Frames computed at once, 10 s of audio: the memory needed does not grow with the recording.
_BLOCK_FRAMES = 1000
_COMPUTED_BY: Mapping[str, Callable[[Samples, int, int], Frames]] = MappingProxyType(
    {
        "logmel": log_mel,
        "mfcc": cepstrum,
        "energy": log_energy,
        "pitch": pitch,
        "spectrum": even_spectrum,
    }
)


@dataclass(frozen=True, eq=False)
class AcousticModel:
    """An acoustic space, ready for :func:`braindash.speech.features.extract`.

    Frames are 10 ms apart and stand for the middle of their window, which is centred on them:
    12.5 ms of audio to both sides, 31 ms for pitch and 52.5 ms for the slopes of the cepstrum.

    Parameters
    ----------
    space : AcousticSpace
        What is computed.
    """

    space: AcousticSpace
    family: str = ACOUSTIC
    n_layers: int = 1
    device: str = "cpu"
    hop_samples: int = HOP
    receptive_field_samples: int = WINDOW
    n_parameters: int = 0

    @property
    def name(self) -> str:
        """Name for tables and figures: ``acoustic:NAME``."""
        return self.space.full_name

    @property
    def fingerprint(self) -> str:
        """Digest of what is computed, with versions and settings."""
        return self.space.fingerprint

    @property
    def n_features(self) -> int:
        """Width of the one layer."""
        return self.space.n_features

    def windows(self, n_samples: int) -> list[Window]:
        """Cut a recording into blocks of frames; how it is cut changes no number.

        Parameters
        ----------
        n_samples : int
            Length of the recording at 16 kHz.

        Returns
        -------
        list of Window
            In order of time; empty when the recording is shorter than one window.
        """
        count = n_frames(n_samples)
        blocks = []
        for first in range(0, count, _BLOCK_FRAMES):
            stop = min(first + _BLOCK_FRAMES, count)
            end = (stop - 1) * HOP + WINDOW
            blocks.append(Window(first * HOP, end, slice(None), frame_times(first, stop)))
        return blocks

    def frames(
        self, audio: NDArray[np.float32], window: Window, layers: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Compute the frames of one block.

        Parameters
        ----------
        audio : float32 array of shape (n_samples,)
            The whole recording: frames near a block's ends look over them.
        window : Window
            One of :meth:`windows`.
        layers : sequence of int, optional
            Layers to give; there is only layer 0.

        Returns
        -------
        float32 array of shape (n_frames, n_layers, n_features)
        """
        first = window.start // HOP
        stop = first + len(window.times)
        columns = [self._columns(part, audio, first, stop) for part in self.space.parts]
        n_layers = 1 if layers is None else len(layers)
        return np.repeat(np.concatenate(columns, axis=1)[:, None], n_layers, axis=1)

    def _columns(self, part: Part, audio: Samples, first: int, stop: int) -> Frames:
        """Compute one part, (stop - first, n_features); what a plugin returns is checked."""
        if part.compute is None:
            return _COMPUTED_BY[part.name](audio, first, stop)
        kept = audio.view()
        kept.flags.writeable = False  # others read it too
        try:
            found = np.asarray(part.compute(kept, first, stop), np.float32)
        except BraindashError:
            raise
        except Exception as error:  # a plugin may raise anything
            if is_out_of_memory(error):
                raise
            raise self._broken(f"{type(error).__name__}: {error}") from error
        expected = (stop - first, part.n_features)
        if found.shape != expected:
            raise self._broken(f"its part {part.name!r} has shape {found.shape}, not {expected}")
        if not np.isfinite(found).all():
            raise self._broken(f"its part {part.name!r} has NaN or infinite values")
        return found

    def _broken(self, reason: str) -> ModelError:
        return ModelError(
            f"the acoustic feature space {self.name!r} cannot be computed: {reason}",
            hint=f"Repair or update the plugin that brings it along, {self.space.plugin}.",
        )


def open_space(source: str) -> AcousticModel:
    """Open an acoustic space by its full name, such as ``"acoustic:logmel"``.

    Raises
    ------
    ModelError
        When there is no such space.
    InputError
        When it is made of annotations, not of sound.
    """
    space = find_space(source)
    if space.tier is not None:
        raise InputError(
            f"{source} is made of annotated {space.tier}s, not of sound",
            hint="Use it with `braindash encode` and a manifest whose dataset.alignment_dir holds "
            "TextGrids, or call braindash.speech.acoustic.annotated.annotated_features.",
        )
    return AcousticModel(space)
