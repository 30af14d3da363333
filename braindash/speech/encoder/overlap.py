"""Windows that overlap share the convolutional front end, where that gives the same numbers.

Without group normalisation a frame of the front end depends on the 25 ms of audio under it, and
on how its window was normalised: ``a x + c`` with ``a = 1 / sd`` and ``c = -mean / sd``. Where
windows are not normalised, neighbours share their frames as they are. Where they are, a frame is
a smooth function of two numbers that hardly move from one window to the next (16.1 s, 0.1 s
apart), so it is computed at six points around them and each window takes the quadratic
``q(log a, c)`` through the six. With 512 random channels and biases the two differ on speech by
3e-6 of the embedding's standard deviation on average and by 4e-5 at the worst of its values. Few
channels, an offset of the recording or sudden loudness make it worse, so every group of windows
checks itself, value by value, and is computed window by window when it misses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from braindash.speech.encoder.encoder import Encoder
from braindash.speech.encoder.front import VARIANCE_FLOOR, normalised
from braindash.speech.windows import Window

# A group reaches over 1.5 times its longest window: 80 causal windows, 8 s further than one.
_REACH = 1.5
# Largest spread of log a and of c in a group; the errors of a quadratic grow with its cube.
_SPREADS = (0.15, 0.05)
# Of the embedding's standard deviation, largest of all frames and features.
_TOLERANCE = 6e-5
# Sharing must save this much of the front end's work to be worth its memory.
_WORTHWHILE = 0.7

_HALF = np.sqrt(3) / 2  # Chebyshev's nodes for three points: 0 and +- sqrt(3) / 2
_NODES = np.array(
    [(-_HALF, -_HALF), (0, 0), (_HALF, -_HALF), (0, _HALF), (_HALF, _HALF), (-_HALF, 0)]
)


@dataclass(frozen=True)
class _Group:
    """Neighbouring windows, ``first`` to ``stop - 1``, and their common frames.

    Attributes
    ----------
    first, stop : int
    start : int
        Sample where the frames begin.
    nodes : Tensor of shape (n_nodes, n_frames, n_features) or None
        None where each window is computed by itself.
    weights : float64 array of shape (n_windows, n_nodes)
    """

    first: int
    stop: int
    start: int = 0
    nodes: Tensor | None = None
    weights: NDArray[np.float64] | None = None


class WindowInputs:
    """What the encoder takes, for the windows of one recording in order.

    Parameters
    ----------
    encoder : Encoder
    audio : float32 array of shape (n_samples,)
    windows : sequence of Window
    normalise : bool
        True when each window is brought to zero mean and unit variance.
    exact_arithmetic : bool
        False in mixed precision, whose rounding the quadratic would carry on.
    """

    def __init__(
        self,
        encoder: Encoder,
        audio: NDArray[np.float32],
        windows: Sequence[Window],
        *,
        normalise: bool,
        exact_arithmetic: bool = True,
    ) -> None:
        self._encoder = encoder
        self._audio = audio
        self._windows = windows
        self._normalise = normalise
        self._shareable = encoder.shareable and (exact_arithmetic or not normalise)
        self._group = _Group(0, 0)

    def take(self, position: int, count: int) -> Tensor:
        """Prepare windows ``position`` to ``position + count - 1``, all of one length.

        Returns
        -------
        Tensor
            As from :meth:`braindash.speech.encoder.encoder.Encoder.embed`.
        """
        if not self._shareable:
            return self._direct(position, position + count)
        return torch.cat([self._one(at) for at in range(position, position + count)])

    @property
    def n_grouped(self) -> int:
        """Windows that share the work done last; 1 where each is computed by itself."""
        return 1 if self._group.nodes is None else self._group.stop - self._group.first

    def share_of_work(self, position: int) -> float:
        """Return the part of the front end's work that sharing leaves, from a window on."""
        if not self._shareable:
            return 1.0
        scales, _ = self._normalisation(position)
        share = self._work(position, position + len(scales))
        return share if share < _WORTHWHILE else 1.0

    def _direct(self, first: int, stop: int) -> Tensor:
        waves = np.stack([self._audio[w.start : w.end] for w in self._windows[first:stop]])
        return self._encoder.embed(normalised(waves) if self._normalise else waves)

    def _one(self, position: int) -> Tensor:
        if not self._group.first <= position < self._group.stop:
            self._group = self._made_group(position)
        group, window = self._group, self._windows[position]
        if group.nodes is None or group.weights is None:
            return self._direct(position, position + 1)
        hop = self._encoder.front.geometry.hop
        skipped = (window.start - group.start) // hop
        n_frames = self._encoder.front.geometry.n_frames(window.end - window.start)
        frames = group.nodes[:, skipped : skipped + n_frames]
        weights = torch.from_numpy(group.weights[position - group.first]).to(frames)
        with torch.inference_mode():
            shared: Tensor = torch.tensordot(weights, frames, dims=1)[None]
            return shared

    def _made_group(self, first: int) -> _Group:
        scales, offsets = self._normalisation(first)
        stop = first + len(scales)
        if self._work(first, stop) > _WORTHWHILE:
            return _Group(first, stop)
        group = self._shared(first, stop, scales, offsets)
        good = not self._normalise or self._good(group, scales)
        return group if good else _Group(first, stop)

    def _shared(
        self, first: int, stop: int, scales: NDArray[np.float64], offsets: NDArray[np.float64]
    ) -> _Group:
        windows = self._windows[first:stop]
        start, end = windows[0].start, windows[-1].end
        audio = self._audio[start:end]
        if not self._normalise:
            return _Group(
                first, stop, start, self._encoder.embed(audio[None]), np.ones((stop - first, 1))
            )
        middle, spread = zip(
            *(_middle_and_spread(values) for values in (scales, offsets)), strict=True
        )
        nodes = []
        for log_scale, offset in np.array(middle) + np.array(spread) * _NODES:
            wave = np.float32(np.exp(log_scale)) * audio + np.float32(offset)
            nodes.append(self._encoder.embed(wave[None])[0])
        places = (np.stack([scales, offsets], axis=1) - middle) / spread
        weights = _monomials(places) @ np.linalg.inv(_monomials(_NODES))
        return _Group(first, stop, start, torch.stack(nodes), weights)

    def _good(self, group: _Group, scales: NDArray[np.float64]) -> bool:
        """Compare windows of a group with the same ones computed by themselves.

        Those at the ends of the range, where the remainder of a quadratic is largest, and those
        at the ends of the group, which have all its frames between them.
        """
        ends = (0, int(np.argmin(scales)), int(np.argmax(scales)), len(scales) - 1)
        before, self._group = self._group, group
        good = all(self._agrees(group.first + place) for place in dict.fromkeys(ends))
        self._group = before
        return good

    def _agrees(self, position: int) -> bool:
        shared, direct = self._one(position), self._direct(position, position + 1)
        return bool((shared - direct).abs().max() <= _TOLERANCE * direct.std())

    def _normalisation(self, first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log a and c of the windows from ``first`` on that are alike enough for a group."""
        begin = self._windows[first].start
        hop = self._encoder.front.geometry.hop
        longest = 0
        found: list[tuple[float, float]] = []
        for window in self._windows[first:]:
            longest = max(longest, window.end - window.start)
            # Frames of all windows of a group must fall on one grid.
            if window.end - begin > _REACH * longest or (window.start - begin) % hop:
                break
            place = self._place(window)
            if np.any(np.ptp([*found, place], axis=0) > _SPREADS):
                break
            found.append(place)
        scales, offsets = np.array(found).T
        return scales, offsets

    def _place(self, window: Window) -> tuple[float, float]:
        """Give ``log(1 / sd)`` and ``-mean / sd``, with the sums that :func:`normalised` makes."""
        if not self._normalise:
            return 0.0, 0.0
        wave = self._audio[window.start : window.end]
        deviation = float(np.sqrt(wave.var() + VARIANCE_FLOOR))
        return -float(np.log(deviation)), -float(wave.mean()) / deviation

    def _work(self, first: int, stop: int) -> float:
        """Return the front end's work for a shared group, of that for its windows one by one."""
        windows = self._windows[first:stop]
        lengths = [window.end - window.start for window in windows]
        n_runs = len(_NODES) if self._normalise else 1
        work = n_runs * (windows[-1].end - windows[0].start)
        if self._normalise:
            work += 4 * max(lengths)  # the check
        return work / sum(lengths)


def _middle_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low + high) / 2, max((high - low) / 2, 1e-9)


def _monomials(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, t, c, t^2, t c and c^2 of each place, (n_places, 6)."""
    t, c = places[:, 0], places[:, 1]
    return np.stack([np.ones_like(t), t, c, t * t, t * c, c * c], axis=1)
