"""Sounds that keep much of another one and not its speech: reversed, and noise-vocoded."""

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

N_BANDS = 6
ENVELOPE_HZ = 30.0
LOWEST_HZ, HIGHEST_HZ = 80.0, 7200.0
# Of the band-pass and low-pass filters, each run forwards and backwards.
_BAND_ORDER, _ENVELOPE_ORDER = 3, 2
_LEAST_SECONDS = 0.1

Samples = NDArray[np.float32]


def time_reversed(samples: ArrayLike) -> Samples:
    """Return a sound backwards: the same long-term spectrum and loudness, no speech.

    Parameters
    ----------
    samples : array of shape (n_samples,)

    Returns
    -------
    array of float32, shape (n_samples,)
    """
    return np.asarray(samples, dtype=np.float32)[::-1].copy()


def greenwood_edges(
    n_bands: int, lowest_hz: float = LOWEST_HZ, highest_hz: float = HIGHEST_HZ
) -> NDArray[np.float64]:
    """Return the edges of bands that are equally wide along the basilar membrane.

    ``f = 165.4 (10^(2.1 x) - 0.88)`` hertz at the share x of its length from the apex (Greenwood
    1990, for humans).

    Parameters
    ----------
    n_bands : int
    lowest_hz, highest_hz : float

    Returns
    -------
    array of float64, shape (n_bands + 1,)
        In hertz.
    """
    low, high = (np.log10(hz / 165.4 + 0.88) / 2.1 for hz in (lowest_hz, highest_hz))
    return np.asarray(165.4 * (10 ** (2.1 * np.linspace(low, high, n_bands + 1)) - 0.88))


def noise_vocoded(
    samples: ArrayLike,
    rate_hz: int,
    *,
    n_bands: int = N_BANDS,
    envelope_hz: float = ENVELOPE_HZ,
    seed: int = 0,
) -> Samples:
    """Replace what is in each frequency band by noise of the same slow course.

    As Shannon et al. (1995, Science 270:303): the sound is divided into bands; each band's
    envelope, half-wave rectified and low-pass filtered, multiplies noise of that band, and the
    bands are added. Their edges are equally far apart on the basilar membrane (Greenwood 1990);
    each band has the root mean square that it had. Filters are Butterworth's, forwards and
    backwards, so nothing is delayed.

    Parameters
    ----------
    samples : array of shape (n_samples,)
        Mono, at least 0.1 s.
    rate_hz : int
        Samples per second, more than 14400.
    n_bands : int, default 6
        Few bands leave rhythm, many leave words.
    envelope_hz : float, default 30.0
        Cut-off of the envelopes.
    seed : int, default 0
        Of the noise.

    Returns
    -------
    array of float32, shape (n_samples,)

    Raises
    ------
    InputError
        When the sound is too short, the rate too low, or the settings are no such numbers.
    """
    from scipy import signal  # takes long to import, and few ask for it

    wide = np.asarray(samples, dtype=np.float64)
    _check(len(wide), rate_hz, n_bands, envelope_hz)
    noise = np.random.default_rng(seed).standard_normal(len(wide))
    smooth = signal.butter(_ENVELOPE_ORDER, envelope_hz, "lowpass", fs=rate_hz, output="sos")
    made = np.zeros_like(wide)
    edges = greenwood_edges(n_bands)
    for low, high in itertools.pairwise(edges.tolist()):
        band = signal.butter(_BAND_ORDER, (low, high), "bandpass", fs=rate_hz, output="sos")
        own = signal.sosfiltfilt(band, wide)
        envelope = signal.sosfiltfilt(smooth, np.maximum(own, 0.0))
        carried = signal.sosfiltfilt(band, np.maximum(envelope, 0.0) * noise)
        size = _rms(carried)
        if size > 0:
            made += carried * (_rms(own) / size)
    return made.astype(np.float32)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _check(n_samples: int, rate_hz: int, n_bands: int, envelope_hz: float) -> None:
    if n_samples < _LEAST_SECONDS * rate_hz:
        raise InputError(
            f"a sound of {n_samples / rate_hz:.3f} s is too short to be noise-vocoded",
            hint=f"Give at least {_LEAST_SECONDS:g} s.",
        )
    if rate_hz <= 2 * HIGHEST_HZ:
        raise InputError(
            f"a sound of {rate_hz} samples per second has no bands up to {HIGHEST_HZ:g} Hz",
            hint="Give it at 16000 Hz, as braindash.load_audio does.",
        )
    if not 1 <= n_bands <= 32 or not 1 <= envelope_hz <= rate_hz / 4:
        raise InputError(
            f"{n_bands} bands with envelopes up to {envelope_hz:g} Hz cannot be made",
            hint="Give 1 to 32 bands (usual: 4 to 16), and a cut-off of 1 Hz and more (usual: 16 "
            "to 300).",
        )
