"""Log-mel spectrogram, cepstral coefficients and energy of 25 ms windows every 10 ms.

Every function gives the frames ``first`` to ``stop - 1`` of a recording and needs no others, so a
recording can be worked through in blocks. The window of frame ``i`` is centred on the frame's
time: it holds the samples from ``160 i`` to ``160 i + 399``, wholly inside the recording.
"""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import dct

from braindash.speech.acoustic.spaces import SPECTRUM
from braindash.speech.checkpoints.locate import SAMPLE_RATE_HZ

WINDOW = round(SPECTRUM.window_seconds * SAMPLE_RATE_HZ)
HOP = round(SPECTRUM.hop_seconds * SAMPLE_RATE_HZ)

# Slaney's mel scale: linear up to 1000 Hz, logarithmic above.
_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27

Samples = NDArray[np.float32]
Frames = NDArray[np.float32]


def n_frames(n_samples: int) -> int:
    """Count the frames of a recording: those whose whole window lies inside it."""
    return max(0, (n_samples - WINDOW) // HOP + 1)


def frame_times(first: int, stop: int) -> NDArray[np.float64]:
    """Return the times of frames ``first`` to ``stop - 1``, the centres of their windows, in s."""
    return (np.arange(first, stop) * HOP + WINDOW / 2) / SAMPLE_RATE_HZ


def centred(samples: Samples, first: int, stop: int, length: int) -> NDArray[np.float64]:
    """Cut windows of any length around the centres of frames.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
        The whole recording at 16 kHz.
    first, stop : int
        First frame, and the frame behind the last one.
    length : int
        Samples per window; where it reaches over the recording's ends there are zeros.

    Returns
    -------
    float64 array of shape (stop - first, length)
    """
    start = first * HOP + WINDOW // 2 - length // 2
    end = start + (stop - first - 1) * HOP + length
    piece = np.zeros(end - start)
    low, high = max(start, 0), min(end, len(samples))
    piece[low - start : high - start] = samples[low:high]
    return sliding_window_view(piece, length)[::HOP]


def log_mel(samples: Samples, first: int, stop: int) -> Frames:
    """Compute a log-mel spectrogram.

    ``log(max(sum_k B[b, k] |X[k]|^2, floor))`` with ``X`` the Fourier transform of the window
    under a Hann taper of sum 1 and ``B`` the triangles of :func:`mel_bank`.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
    first, stop : int
        First frame, and the frame behind the last one.

    Returns
    -------
    float32 array of shape (stop - first, 80)
        Natural logarithm of power, from the lowest band to the highest.
    """
    return _log_mel(samples, first, stop).astype(np.float32)


def cepstrum(samples: Samples, first: int, stop: int) -> Frames:
    """Compute mel-frequency cepstral coefficients with their slopes.

    The orthonormal cosine transform (DCT-II) of the log-mel spectrogram, coefficients 0 to 12;
    behind them :func:`slopes` of the coefficients and the slopes of those, which reach 20 and
    40 ms to both sides.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
    first, stop : int
        First frame, and the frame behind the last one.

    Returns
    -------
    float32 array of shape (stop - first, 39)
    """
    reach = 2 * SPECTRUM.delta_frames
    low, high = max(0, first - reach), min(n_frames(len(samples)), stop + reach)
    bands = _log_mel(samples, low, high)
    still = dct(bands, type=2, norm="ortho", axis=1)[:, : SPECTRUM.n_coefficients]
    rising = slopes(still)
    joined = np.concatenate([still, rising, slopes(rising)], axis=1)
    return joined[first - low : stop - low].astype(np.float32)


def log_energy(samples: Samples, first: int, stop: int) -> Frames:
    """Compute the natural logarithm of the root mean square of every window.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
    first, stop : int
        First frame, and the frame behind the last one.

    Returns
    -------
    float32 array of shape (stop - first, 1)
        0 for a square wave of full scale, ``log(1e-5)`` for silence.
    """
    power = np.square(centred(samples, first, stop, WINDOW)).mean(axis=1, keepdims=True)
    logarithm: Frames = (0.5 * np.log(np.maximum(power, SPECTRUM.power_floor))).astype(np.float32)
    return logarithm


def even_spectrum(samples: Samples, first: int, stop: int) -> Frames:
    """Compute the log power spectrum in even bands.

    ``log(max(sum_k |X[k]|^2, floor))`` over the four bins of each band, ``X`` as of
    :func:`log_mel`; bin 0, the offset, is in none.

    Parameters
    ----------
    samples : float32 array of shape (n_samples,)
    first, stop : int
        First frame, and the frame behind the last one.

    Returns
    -------
    float32 array of shape (stop - first, 64)
        Natural logarithm of power, from the lowest band to the highest.
    """
    power = _power(samples, first, stop)[:, 1:]
    bands = power.reshape(len(power), -1, 4).sum(axis=2)
    return np.asarray(np.log(np.maximum(bands, SPECTRUM.power_floor)), dtype=np.float32)


def slopes(frames: NDArray[np.float64], width: int = SPECTRUM.delta_frames) -> NDArray[np.float64]:
    """Fit a line through each frame and its neighbours and give its slope per frame.

    ``sum_k k (c[t + k] - c[t - k]) / (2 sum_k k^2)`` for ``k`` from 1 to ``width`` (The HTK Book,
    section 5.9); the first and the last frame are repeated beyond the ends.

    Parameters
    ----------
    frames : float64 array of shape (n_frames, n_features)
    width : int, default 2
        Frames to each side.

    Returns
    -------
    float64 array of shape (n_frames, n_features)
    """
    padded = np.pad(frames, ((width, width), (0, 0)), mode="edge")
    count = len(frames)
    total = np.zeros_like(frames)
    for k in range(1, width + 1):
        later, earlier = padded[width + k :][:count], padded[width - k :][:count]
        total += k * (later - earlier)
    return total / (2 * sum(k * k for k in range(1, width + 1)))


@cache
def mel_bank() -> NDArray[np.float64]:
    """Make the triangular mel bands.

    Corners are equally spaced on Slaney's mel scale (Auditory Toolbox, Technical Report 1998-010):
    ``mel = 3 f / 200`` up to 1000 Hz, ``15 + 27 log(f / 1000) / log(6.4)`` above. A band rises
    from its lower neighbour's centre to 1 at its own and falls to 0 at its upper neighbour's.

    Returns
    -------
    float64 array of shape (n_bands, n_fft // 2 + 1)
        Weights of the Fourier transform's bins.
    """
    low, high = _mel(SPECTRUM.low_hz), _mel(SPECTRUM.high_hz)
    corners = _hz(np.linspace(low, high, SPECTRUM.n_bands + 2))[:, None]
    bins = np.fft.rfftfreq(SPECTRUM.n_fft, 1 / SAMPLE_RATE_HZ)
    widths = np.diff(corners, axis=0)
    rise = (bins - corners[:-2]) / widths[:-1]
    fall = (corners[2:] - bins) / widths[1:]
    bank = np.maximum(0.0, np.minimum(rise, fall))
    bank.flags.writeable = False
    return bank


def _mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_BREAK_HZ / _LINEAR_HZ_PER_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = mel - _BREAK_HZ / _LINEAR_HZ_PER_MEL
    return np.where(above < 0, mel * _LINEAR_HZ_PER_MEL, _BREAK_HZ * np.exp(above * _LOG_STEP))


@cache
def _hann() -> NDArray[np.float64]:
    # scipy.signal.windows has it too, and loads all of scipy.stats, which takes a second.
    phase = np.linspace(-np.pi, np.pi, WINDOW + 1)[:-1]
    taper: NDArray[np.float64] = 0.5 + 0.5 * np.cos(phase)
    return taper


def _log_mel(samples: Samples, first: int, stop: int) -> NDArray[np.float64]:
    power = _power(samples, first, stop) @ mel_bank().T
    return np.asarray(np.log(np.maximum(power, SPECTRUM.power_floor)))


def _power(samples: Samples, first: int, stop: int) -> NDArray[np.float64]:
    """Return the power of every bin of the transform, (stop - first, n_fft // 2 + 1)."""
    taper = _hann()
    spectrum = np.fft.rfft(
        centred(samples, first, stop, WINDOW) * (taper / taper.sum()), SPECTRUM.n_fft
    )
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag))
