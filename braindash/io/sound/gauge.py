"""Whether what was decoded can be the sound that was played: silence, scale, channels, NaN."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError

# Samples are between -1 and 1; floats may go beyond, but nobody masters a recording to 24 dB above.
_BEYOND = 16.0
# Of the mean power of the channels, what is left of two that have nothing in common is a half.
_CANCELLED = 0.02


class Gauge:
    """Averages the channels of blocks, and refuses what is no sound.

    Parameters
    ----------
    path : Path
        The file, for errors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds = 0.0
        self._low, self._high, self._peak = np.inf, -np.inf, 0.0
        self._mixed, self._alone, self._n_channels = 0.0, 0.0, 1

    def mono(self, block: NDArray[Any], rate_hz: int) -> NDArray[np.float32]:
        """Average the channels of one block.

        Parameters
        ----------
        block : array of shape (n_frames, n_channels), float32
            The next samples.
        rate_hz : int
            Their rate.

        Returns
        -------
        array of shape (n_frames,), float32

        Raises
        ------
        InputError
            A sample is NaN, infinite, or far beyond full scale.
        """
        low, high = float(block.min()), float(block.max())
        # NaN is the least and the greatest of whatever it is among.
        if not np.isfinite(low + high):
            self._refuse_not_finite(block, rate_hz)
        mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
        self._peak = max(self._peak, -low, high)
        self._low = min(self._low, float(mono.min()))
        self._high = max(self._high, float(mono.max()))
        self._n_channels = max(self._n_channels, block.shape[1])
        if block.shape[1] > 1:
            self._mixed += float(np.dot(mono, mono))
            self._alone += float(np.vdot(block, block)) / block.shape[1]
        self._seconds += block.shape[0] / rate_hz
        return mono

    def require_sound(self) -> None:
        """Refuse, behind the last block, what holds no sound or another one.

        Raises
        ------
        InputError
            Every sample is the same, the numbers are far beyond full scale, or the channels cancel
            each other.
        """
        if self._peak > _BEYOND:
            raise InputError(
                f"the audio file {self._path} holds numbers up to {self._peak:.6g}, where full "
                "scale is 1: they look like integers that were stored as floating-point numbers",
                hint="Divide them by 32768 (16 bit) and save the file again.",
            )
        if self._cancels():
            raise InputError(
                f"the channels of the audio file {self._path} cancel each other when they are "
                "averaged: one is the other turned upside down",
                hint="Turn one channel round (multiply it by -1), or save one channel alone.",
            )
        if self._high <= self._low:
            same = "only silence" if self._low == 0 else "no sound"
            raise InputError(
                f"the audio file {self._path} holds {same}: every sample is {self._low:g}",
                hint="Give the recording that was played; check the export of this file by ear.",
            )

    def _cancels(self) -> bool:
        return self._alone > 0 and self._mixed * self._n_channels < _CANCELLED * self._alone

    def _refuse_not_finite(self, block: NDArray[Any], rate_hz: int) -> None:
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        raise InputError(
            f"the audio file {self._path} holds samples that are NaN or infinite, the first at "
            f"{self._seconds + int(bad[0]) / rate_hz:.3f} s",
            hint="Samples must be finite numbers; export the recording again, as 16 bit for "
            "example.",
        )
