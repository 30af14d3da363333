"""Whether what was decoded can be the sound that was played: silence, scale, channels, NaN."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.sound.channels import Channels

# Samples are between -1 and 1; floats may go beyond, but nobody masters a recording to 24 dB above.
_BEYOND = 16.0
# Nearly everything, of a recording that cannot be used.
_ALL = 0.95
_BY_EAR = "Give the recording that was played; check the export of this file by ear."


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
        self._channels, self._stillness = Channels(), Stillness()
        self._n_complaints = 0

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
        self._channels.add(block, rate_hz)
        self._stillness.add(mono, rate_hz)
        self._seconds += block.shape[0] / rate_hz
        return mono

    def complained(self, n_times: int) -> None:
        """Take note of how often the decoder could not read what it met."""
        self._n_complaints += n_times

    def require_sound(self) -> None:
        """Refuse, behind the last block, what holds no sound or another one.

        Raises
        ------
        InputError
            Nearly every sample is the same, the numbers are far beyond full scale, or the channels
            cancel each other.
        """
        if self._peak > _BEYOND:
            raise InputError(
                f"the audio file {self._path} holds numbers up to {self._peak:.6g}, where full "
                "scale is 1: they look like integers that were stored as floating-point numbers",
                hint="Divide them by 32768 (16 bit) and save the file again; a compressed "
                "recording (MP3, Ogg) with such numbers is damaged: get it again.",
            )
        if self._channels.cancel():
            _, share = self._channels.shares()
            where = "" if share > _ALL else f" in {share:.0%} of its sound"
            raise InputError(
                f"the channels of the audio file {self._path} cancel each other when they are "
                f"averaged: one is the other turned upside down{where}",
                hint="Turn one channel round (multiply it by -1), or save one channel alone.",
            )
        if self._high <= self._low:
            same = "only silence" if self._low == 0 else "no sound"
            raise InputError(
                f"the audio file {self._path} holds {same}: every sample is {self._low:g}",
                hint=_BY_EAR,
            )
        still = self._stillness.seconds
        if still > _ALL * self._seconds:
            raise InputError(
                f"the audio file {self._path} is next to nothing but digital silence: for "
                f"{still:.1f} of {self._seconds:.1f} s every sample is the same as the one before",
                hint=f"It may be a copy or download that stopped. {_BY_EAR}",
            )

    def told(self) -> tuple[str, ...]:
        """Say, without names, what is left of the sound only in part."""
        told: tuple[str, ...] = ()
        if self._n_complaints:
            told = (
                f"{self._n_complaints} of its frames are damaged, and what was decoded of them is "
                "no sound: listen to it, or get it again",
            )
        return told + self._channels.told() + self._stillness.told()

    def _refuse_not_finite(self, block: NDArray[Any], rate_hz: int) -> None:
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        raise InputError(
            f"the audio file {self._path} holds samples that are NaN or infinite, the first at "
            f"{self._seconds + int(bad[0]) / rate_hz:.3f} s",
            hint="Samples must be finite numbers; export the recording again, as 16 bit for "
            "example.",
        )


# ---- digital silence ----------------------------------------------------------------------------

# Samples that are exactly equal for so long come from no microphone; for longer they are told, and
# up to the end, where they are much of the recording, with their share.
_STILL_SECONDS, _TOLD_SECONDS = 0.1, 2.0
_MUCH = 0.2
_PART_FRAMES = 1 << 14


class Stillness:
    """Collects, block by block, where samples are exactly the same.

    Attributes
    ----------
    seconds : float
        How long they are, in stretches of a tenth of a second and more.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._length, self._longest, self._running = 0.0, 0.0, 0.0
        self._last = np.nan

    def add(self, mono: NDArray[np.float32], rate_hz: int) -> None:
        """Take note of one block.

        Parameters
        ----------
        mono : array of shape (n_frames,), float32
            Channels averaged.
        rate_hz : int
            Their rate.
        """
        # Short parts: the places of all changes take more memory than the sound.
        for part in np.array_split(mono, 1 + len(mono) // _PART_FRAMES):
            self._add(part, rate_hz)

    def _add(self, mono: NDArray[np.float32], rate_hz: int) -> None:
        changes = np.flatnonzero(mono[1:] != mono[:-1]) + 1
        stretches = np.diff(changes, prepend=0, append=len(mono)) / rate_hz
        if mono[0] == self._last:
            stretches[0] += self._running
            self._count(self._running, -1)
        for length in stretches[stretches >= _STILL_SECONDS]:
            self._count(float(length), 1)
        self._running, self._last = float(stretches[-1]), float(mono[-1])
        self._length += len(mono) / rate_hz

    def _count(self, length: float, sign: int) -> None:
        if length >= _STILL_SECONDS:
            self.seconds += sign * length
            self._longest = max(self._longest, length)

    def told(self) -> tuple[str, ...]:
        """Say, without names, where it is long."""
        share = self._running / self._length if self._length else 0.0
        if self._running >= _TOLD_SECONDS and share >= _MUCH:
            return (
                f"about {round(20 * share) / 20:.0%} of it, up to its end, is digital silence "
                "(samples that are exactly the same): it may be a copy that stopped",
            )
        if self._longest >= _TOLD_SECONDS:
            return ("some seconds of it are digital silence (samples that are exactly the same)",)
        return ()


# ---- what is plausible -------------------------------------------------------------------------

# Of the samples, those at the greatest value of their block of a second; of speech it is one.
_CLIPPED_SHARE, _CLIPPED_LEAST = 1e-3, 20
# Clipped sound arrives at its limit by a step: of the range, and more than rounding to 16 bit.
_AT_LIMIT, _STEP, _ROUNDING = 5e-5, 1e-3, 1e-4
# 24-bit numbers in 32 bits reach so far.
_QUIET = 2.0**-8
# Telephones and their recordings hold nothing above 4 kHz; speech has a thousandth of its power
# there, and what rounding to 16 bit adds is less than a hundred-thousandth.
_TELEPHONE_HZ = 4200
_NOTHING = 1e-5
# Telephones pass nothing below 300 Hz; where that is all there is, it is hum.
_HUM_HZ, _HUM_SHARE = 300, 1e-3
_SPECTRUM = 1024
_SPECTRA_PER_BLOCK = 64


class Plausibility:
    """Collects, block by block, what a listener would notice about a recording."""

    def __init__(self) -> None:
        self._n, self._n_flat, self._peak, self._swing = 0, 0, 0.0, 0.0
        self._power: NDArray[np.float64] = np.zeros(_SPECTRUM // 2 + 1)
        self._rate_hz = 0

    def add(self, mono: NDArray[np.float32], rate_hz: int) -> None:
        """Take note of one block.

        Parameters
        ----------
        mono : array of shape (n_frames,), float32
            Channels averaged.
        rate_hz : int
            Rate of the file.
        """
        self._rate_hz = max(self._rate_hz, rate_hz)
        n_whole = max(1, len(mono) // rate_hz)
        for part in np.array_split(mono, n_whole):
            low, high = float(part.min()), float(part.max())
            self._peak = max(self._peak, -low, high)
            self._swing = max(self._swing, (high - low) / 2)
            if high - low > _QUIET:
                self._n_flat += max(0, _n_clipped(part, high) + _n_clipped(-part, -low) - 2)
        self._n += len(mono)
        starts = np.arange(0, len(mono) - _SPECTRUM + 1, _SPECTRUM)
        chosen = starts[:: max(1, len(starts) // _SPECTRA_PER_BLOCK)]
        if len(chosen):
            frames = mono[chosen[:, None] + np.arange(_SPECTRUM)]
            frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(_SPECTRUM)
            self._power += (np.abs(np.fft.rfft(frames)) ** 2).sum(axis=0)

    def told(self) -> tuple[str, ...]:
        """Say what is not plausible, without names."""
        found = []
        if self._peak > 1.0:
            found.append("its samples go beyond full scale")
        if self._swing <= _QUIET:
            found.append(
                "it is next to silent: its samples stay within 1/256 of full scale (-48 dB), as of "
                "24-bit numbers that were stored in 32 bits"
            )
        if self._n_flat > max(_CLIPPED_LEAST, _CLIPPED_SHARE * self._n):
            found.append("it seems clipped: many samples are exactly as loud as the loudest")
        if self._is_hum():
            found.append("it holds next to nothing but hum (below 300 Hz)")
        elif self._is_telephone():
            found.append(
                "it holds nothing above 4 kHz, as a telephone: models and tasks that listen to "
                "16 kHz speech meet another sound"
            )
        return tuple(found)

    def _above(self, hertz: float) -> float:
        """Return the share of the power that is above a frequency; 1 where there is none."""
        frequencies = np.fft.rfftfreq(_SPECTRUM, 1 / max(1, self._rate_hz))
        whole = float(self._power.sum())
        return float(self._power[frequencies > hertz].sum()) / whole if whole else 1.0

    def _is_hum(self) -> bool:
        return self._above(_HUM_HZ) <= _HUM_SHARE

    def _is_telephone(self) -> bool:
        return self._above(_TELEPHONE_HZ) <= _NOTHING


def _n_clipped(part: NDArray[np.float32], top: float) -> int:
    """Count the samples at the top that are reached or left by a step, as nothing smooth does."""
    extent = top - float(part.min())
    is_top = part >= top - _AT_LIMIT * extent
    edges = np.flatnonzero(np.diff(is_top, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    step = max(_STEP * extent, _ROUNDING)
    outside = np.r_[np.inf, part, np.inf]
    before, after = top - outside[starts], top - outside[stops + 1]
    steep = np.maximum(before, after) > step
    return int((stops - starts)[steep].sum())
