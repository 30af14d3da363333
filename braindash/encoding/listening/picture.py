"""A recording as it is drawn: how loud it is over time, and in which bands, a byte per value."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.io.dataset.audio import SAMPLE_RATE_HZ, load_audio
from braindash.speech.acoustic.spectral import HOP, log_mel, n_frames

_STEPS_PER_SECOND, _FRAMES_PER_SECOND = 50, 25
_MOST_FRAMES = 45_000  # half an hour at the full rate; longer recordings are drawn more coarsely
_BANDS_TOGETHER = 2
_RANGE = np.log(10.0**6)  # 60 dB below the loudest band and frame everything is silence
_BLOCK = 8192

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class SoundPicture:
    """What is drawn of a recording.

    Attributes
    ----------
    seconds : float
        How long it lasts.
    loudness : uint8 array of shape (n_steps,)
        Largest size of a sample in every step; 255 is the largest of all.
    bands : uint8 array of shape (n_frames, 40)
        Log-mel spectrogram, the lowest band first: 255 the loudest, 0 where it is 60 dB below.
    steps_per_second, frames_per_second : float
        Their rates.
    """

    seconds: float
    loudness: Bytes
    bands: Bytes
    steps_per_second: float
    frames_per_second: float


def sound_picture(path: Path) -> SoundPicture:
    """Compute what is drawn of a recording; it is decoded once, to 16 kHz mono.

    Parameters
    ----------
    path : Path
        See :func:`braindash.io.dataset.audio.load_audio`.

    Raises
    ------
    InputError
        What :func:`~braindash.io.dataset.audio.load_audio` refuses.
    """
    return picture_of(load_audio(path))


def picture_of(samples: NDArray[np.float32]) -> SoundPicture:
    """Return what :func:`sound_picture` does, of 16 kHz mono samples."""
    seconds = len(samples) / SAMPLE_RATE_HZ
    coarser = max(1, int(np.ceil(seconds * _FRAMES_PER_SECOND / _MOST_FRAMES)))
    step = coarser * SAMPLE_RATE_HZ // _STEPS_PER_SECOND
    peaks = np.maximum.reduceat(np.abs(samples), np.arange(0, len(samples), step))
    top = float(peaks.max())
    loudness = np.round(255 * peaks / top) if top > 0 else np.zeros_like(peaks)
    together = coarser * SAMPLE_RATE_HZ // HOP // _FRAMES_PER_SECOND
    return SoundPicture(
        seconds,
        loudness.astype(np.uint8),
        _bands(samples, together),
        SAMPLE_RATE_HZ / step,
        SAMPLE_RATE_HZ / (HOP * together),
    )


def _bands(samples: NDArray[np.float32], together: int) -> Bytes:
    """Average the log-mel spectrogram over frames and pairs of bands, and write it as bytes."""
    count = n_frames(len(samples)) // together * together
    blocks = []
    each = max(together, _BLOCK // together * together)
    for first in range(0, count, each):
        frames = log_mel(samples, first, min(first + each, count))
        n_bands = frames.shape[1] // _BANDS_TOGETHER
        blocks.append(frames.reshape(-1, together, n_bands, _BANDS_TOGETHER).mean(axis=(1, 3)))
    if not blocks:
        return np.zeros((0, 40), dtype=np.uint8)
    powers = np.concatenate(blocks)
    shares = 1 + (powers - powers.max()) / _RANGE
    return np.asarray(np.round(255 * np.clip(shares, 0.0, 1.0)), dtype=np.uint8)
