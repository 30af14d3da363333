"""Whether the channels of a recording cancel each other when they are averaged.

A channel that was wired or saved upside down takes the sound away, all of it or what both channels
share, and what is left is scored as if it were the recording. It is judged by parts of seconds,
without their constants. With the powers P and the cross-power P12 of two channels, what averaging
takes away from two that have nothing in common is

    lost = -2 P12 / (P1 + P2),

1 where one is the other upside down, 0 where they have nothing in common, -1 where they are equal.
A channel that is late by some samples is found by the same number over delays.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_PART_SECONDS = 2.0
# Of one channel 0.6 times the other, upside down, or of both with noise at -7.5 dB; reverberation
# that is out of phase and wide music stay near 0.
_UPSIDE_DOWN = 0.85
_WEAKER = 0.5
# Channels that are this much alike are one recording, at whatever delay.
_ALIKE = -0.5
# Delays of cables and plug-ins; at delays of up to the second, channels that agree are two
# microphones which stood apart.
_NEAR_SECONDS, _APART_SECONDS = 0.0005, 0.001
_NEAR_SAMPLES = 8
# Of the power of the loudest part or channel; what is below is a pause, or empty.
_PAUSE, _EMPTY = 1e-4, 1e-6
_REFUSED_SHARE, _TOLD_SHARE = 1 / 3, 0.02


class _Part(NamedTuple):
    """Some seconds of sound."""

    seconds: float
    power: float
    weaker: bool
    upside_down: bool


class Channels:
    """Collects, block by block, where channels cancel each other."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def add(self, block: NDArray[Any], rate_hz: int) -> None:
        """Take note of one block.

        Parameters
        ----------
        block : array of shape (n_frames, n_channels)
            The next samples.
        rate_hz : int
            Their rate.
        """
        if block.shape[1] < 2:
            return
        n_parts = max(1, round(len(block) / (_PART_SECONDS * rate_hz)))
        for samples in np.array_split(block, n_parts):
            self._parts.append(_judged(samples, rate_hz))

    def shares(self) -> tuple[float, float]:
        """Return how much of the sound is weakened by averaging, and how much is taken away."""
        loudest = max((one.power for one in self._parts), default=0.0)
        heard = [one for one in self._parts if one.power > _PAUSE * loudest]
        seconds = sum(one.seconds for one in heard)
        if not seconds:
            return 0.0, 0.0
        weaker = sum(one.seconds for one in heard if one.weaker)
        return weaker / seconds, sum(one.seconds for one in heard if one.upside_down) / seconds

    def cancel(self) -> bool:
        """Say whether too much of the sound cancels for what is left to be used."""
        return self.shares()[1] >= _REFUSED_SHARE

    def told(self) -> tuple[str, ...]:
        """Say, without names, that some of the sound cancels."""
        weaker, _ = self.shares()
        if weaker < _TOLD_SHARE:
            return ()
        return (
            f"its channels cancel each other when they are averaged, in about "
            f"{max(0.1, round(weaker, 1)):.0%} of its sound: one of them may be upside down",
        )


def _judged(samples: NDArray[Any], rate_hz: int) -> _Part:
    channels = samples.T.copy()  # sums along rows are fast
    channels -= channels.mean(axis=1, keepdims=True)
    powers = np.array([np.dot(one, one) for one in channels], dtype=np.float64) / len(samples)
    total, seconds = float(powers.sum()), len(samples) / rate_hz
    heard = channels[powers > _EMPTY * powers.max()]
    if len(heard) < 2:
        return _Part(seconds, total, weaker=False, upside_down=False)
    summed = heard.sum(axis=0)
    lost = 1.0 - float(np.dot(summed, summed)) / len(summed) / total
    upside_down = lost > _UPSIDE_DOWN
    if len(heard) == 2 and _ALIKE < lost <= _UPSIDE_DOWN:
        upside_down = _is_late_and_upside_down(heard[0], heard[1], rate_hz)
    return _Part(seconds, total, upside_down or lost > _WEAKER, upside_down)


def _is_late_and_upside_down(first: NDArray[Any], second: NDArray[Any], rate_hz: int) -> bool:
    """Say whether a channel is the other upside down, a few samples earlier or later."""
    near = max(_NEAR_SAMPLES, round(_NEAR_SECONDS * rate_hz))
    apart = max(near, round(_APART_SECONDS * rate_hz))
    if len(first) < 4 * apart:
        return False
    inner = first[apart:-apart]
    delays = np.arange(-apart, apart + 1)
    power = float(np.dot(first, first) + np.dot(second, second)) * len(inner) / len(first)
    shared = [float(np.dot(inner, second[apart + d : apart + d + len(inner)])) for d in delays]
    lost = -2 * np.array(shared) / power
    most = float(lost[np.abs(delays) <= near].max())
    return most > _UPSIDE_DOWN and most > -float(lost.min())
