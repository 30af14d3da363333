"""Fundamental frequency of speech by YIN.

A. de Cheveigne and H. Kawahara, "YIN, a fundamental frequency estimator for speech and music",
J. Acoust. Soc. Am. 111 (2002), 1917-1930, written from the paper's steps:

1-2. difference of a frame with its shifted self, ``d(lag)``;
3. divided by its mean over all shorter lags, ``d'(lag)``: 1 at lag 0, near 0 at a period;
4. the shortest period whose ``d'`` dips nearly as deep as the deepest;
5. parabolas through three lags for depth (of ``d'``) and place (of ``d``);
6. another look near the period of the clearest of the frames beside it.

Step 4 departs from the paper, which takes the first dip below 0.1 and the deepest where there is
none: a margin of 0.1 above the deepest dip is the same rule for a clean voice, but in noise, where
no dip is that deep, the paper's choice often falls on two periods instead of one. Synthetic vowels
of 70 to 380 Hz in white noise of 6 dB less power: 25 % of the frames are wrong under the
paper's rule, none under this one.

The grid of frames is that of :mod:`braindash.speech.acoustic.spectral`. Windows are centred: a
frame and the neighbours of step 6 hold the audio from 31 ms before to 31 ms behind the frame's
time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from braindash.speech.acoustic.spaces import PITCH
from braindash.speech.acoustic.spectral import HOP, WINDOW, Frames, Samples, centred, n_frames
from braindash.speech.checkpoints.locate import SAMPLE_RATE_HZ

_WINDOW = round(PITCH.window_seconds * SAMPLE_RATE_HZ)
_SHORTEST = int(SAMPLE_RATE_HZ / PITCH.high_hz)
_LONGEST = int(np.ceil(SAMPLE_RATE_HZ / PITCH.low_hz))
# One lag more on each side, for the parabolas.
_N_LAGS = _LONGEST + 2
_LENGTH = _WINDOW + _N_LAGS - 1

Floats = NDArray[np.float64]


class PitchTrack(NamedTuple):
    """F0 of consecutive frames.

    Attributes
    ----------
    f0_hz : float64 array of shape (n_frames,)
        Best estimate for every frame, voiced or not.
    aperiodicity : float64 array of shape (n_frames,)
        ``d'`` at the period: about the share of the power that does not repeat; 1 in silence.
    voiced : bool array of shape (n_frames,)
        Where the estimate means something.
    """

    f0_hz: Floats
    aperiodicity: Floats
    voiced: NDArray[np.bool_]


def pitch(samples: Samples, first: int, stop: int) -> Frames:
    """Compute the features of pitch.

    Unvoiced frames lie at the reference of 150 Hz, between the usual voices of men and women, so
    that the two columns say different things: with plain log hertz and 0 for unvoiced frames the
    first would be little but the flag.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
        The whole recording at 16 kHz.
    first, stop : int
        First frame, and the frame behind the last one.

    Returns
    -------
    float32 array of shape (stop - first, 2)
        ``log(F0 / 150 Hz)`` where voiced and 0 elsewhere; 1 where voiced and 0 elsewhere.
    """
    found = pitch_track(samples, first, stop)
    height = np.where(found.voiced, np.log(found.f0_hz / PITCH.reference_hz), 0.0)
    return np.stack([height, found.voiced], axis=1).astype(np.float32)


def pitch_track(samples: Samples, first: int = 0, stop: int | None = None) -> PitchTrack:
    """Estimate F0 frame by frame.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
        The whole recording at 16 kHz.
    first, stop : int, optional
        First frame, and the frame behind the last one; all by default. Memory grows with their
        number, by about 20 kB per frame.

    Returns
    -------
    PitchTrack
        Of ``stop - first`` frames, the same whatever the range.
    """
    end = n_frames(len(samples))
    stop = end if stop is None else stop
    low, high = max(0, first - 1), min(end, stop + 1)
    windows = centred(samples, low, high, _LENGTH)
    windows = windows - windows.mean(axis=1, keepdims=True)
    usable = np.square(windows).mean(axis=1) > PITCH.power_floor
    usable &= _inside(low, high, len(samples))
    raw = _difference(windows)
    lags, aperiodicity = _near_the_clearest(_normalised(raw, usable))
    kept = slice(first - low, stop - low)
    f0_hz = SAMPLE_RATE_HZ / (lags + _place(raw, lags))
    voiced = usable & (aperiodicity < PITCH.voiced_below)
    return PitchTrack(f0_hz[kept], aperiodicity[kept], voiced[kept])


def _inside(first: int, stop: int, n_samples: int) -> NDArray[np.bool_]:
    """Say which frames' windows lie in the recording: its edge itself would look like a pulse."""
    starts = np.arange(first, stop) * HOP + WINDOW // 2 - _LENGTH // 2
    return np.asarray((starts >= 0) & (starts + _LENGTH <= n_samples))


def _difference(windows: Floats) -> Floats:
    """Sum of squared differences of each window's start with itself, lag by lag (step 2).

    ``d(lag) = sum_j (x[j] - x[j + lag])^2``, expanded so that the products are one Fourier
    transform; (n_frames, n_lags).
    """
    size = next_fast_len(_LENGTH, real=True)  # long enough that nothing wraps around
    spectrum = rfft(windows, size, axis=1)
    start = rfft(windows[:, :_WINDOW], size, axis=1)
    products = irfft(start.conj() * spectrum, size, axis=1)[:, :_N_LAGS]
    sums = np.cumsum(np.square(windows), axis=1)
    sums = np.concatenate([np.zeros((len(windows), 1)), sums], axis=1)
    energy = sums[:, _WINDOW : _WINDOW + _N_LAGS] - sums[:, :_N_LAGS]
    return np.asarray(np.maximum(energy[:, :1] + energy - 2 * products, 0.0))


def _normalised(raw: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Divide the difference by its mean over all shorter lags (step 3); 1 in unusable frames."""
    total = np.cumsum(raw[:, 1:], axis=1)
    possible = usable[:, None] & (total > 0)
    ratios = np.ones_like(raw)
    lags = np.arange(1, _N_LAGS)
    np.divide(raw[:, 1:] * lags, total, out=ratios[:, 1:], where=possible)
    return ratios


def _near_the_clearest(ratios: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Choose a period for every frame, then again near that of its clearest neighbour."""
    depth, is_dip = _depths(ratios)
    everywhere = np.full(len(ratios), _SHORTEST), np.full(len(ratios), _LONGEST)
    lags, values = _choose(depth, is_dip, *everywhere)
    beside = np.pad(values, 1, constant_values=np.inf)
    around = np.stack([beside[:-2], beside[1:-1], beside[2:]])
    # The frame itself wins ties, so that a steady sound needs no second look.
    around[[0, 2]] = np.where(around[[0, 2]] < values, around[[0, 2]], np.inf)
    clearest = lags[np.arange(len(ratios)) + np.argmin(around, axis=0) - 1]
    low = np.floor(clearest * (1 - PITCH.neighbour_range)).astype(int)
    high = np.ceil(clearest * (1 + PITCH.neighbour_range)).astype(int)
    return _choose(depth, is_dip, np.maximum(low, _SHORTEST), np.minimum(high, _LONGEST))


def _depths(ratios: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Say how deep the parabola through each lag and its neighbours is, and where dips are."""
    left, middle, right = ratios[:, :-2], ratios[:, 1:-1], ratios[:, 2:]
    is_dip = np.zeros(ratios.shape, bool)
    is_dip[:, 1:-1] = (middle < left) & (middle <= right)
    curvature = np.where(is_dip[:, 1:-1], left + right - 2 * middle, 1.0)
    depth = ratios.copy()
    depth[:, 1:-1] -= np.where(is_dip[:, 1:-1], (right - left) ** 2 / (8 * curvature), 0.0)
    return depth, is_dip


def _choose(
    depth: Floats, is_dip: NDArray[np.bool_], low: NDArray[np.intp], high: NDArray[np.intp]
) -> tuple[NDArray[np.intp], Floats]:
    """Take the first dip nearly as deep as the deepest lag, between two lags (step 4)."""
    lags = np.arange(depth.shape[1])
    allowed = (lags >= low[:, None]) & (lags <= high[:, None])
    within = np.where(allowed, depth, np.inf)
    good = is_dip & (within <= within.min(axis=1, keepdims=True) + PITCH.dip_margin)
    # No dip at all where the difference only rises or falls between the two lags.
    chosen = np.where(good.any(axis=1), np.argmax(good, axis=1), np.argmin(within, axis=1))
    return chosen, depth[np.arange(len(depth)), chosen]


def _place(raw: Floats, lags: NDArray[np.intp]) -> Floats:
    """Find how far beside a lag the difference has its minimum (step 5), at most one lag."""
    frames = np.arange(len(raw))
    left, middle, right = (raw[frames, lags + step] for step in (-1, 0, 1))
    curvature = left + right - 2 * middle
    curved = curvature > 0
    shift = np.where(curved, (left - right) / np.where(curved, 2 * curvature, 1.0), 0.0)
    return np.clip(shift, -1.0, 1.0)
