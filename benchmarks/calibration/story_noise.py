"""Simulated series of BOLD: noise whose neighbouring rows are alike in several ways."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import gamma

TR_SECONDS = 2.0
_WARM_UP = 200

Floats = NDArray[np.float64]


def haemodynamic_response() -> Floats:
    """Return a double-gamma response at every TR, of unit length."""
    seconds = np.arange(0, 32, TR_SECONDS)
    shape = gamma.pdf(seconds, 6) - gamma.pdf(seconds, 16) / 6
    return np.asarray(shape / np.linalg.norm(shape))


def smoothed(rng: np.random.Generator, *shape: int) -> Floats:
    """White noise through the haemodynamic response, unit variance, time last."""
    white = rng.standard_normal((*shape[:-1], shape[-1] + _WARM_UP))
    return np.asarray(lfilter(haemodynamic_response(), [1.0], white)[..., _WARM_UP:])


def autoregressive(phi: float) -> Callable[..., Floats]:
    """Return a maker of AR(1) noise of unit variance."""

    def make(rng: np.random.Generator, *shape: int) -> Floats:
        white = rng.standard_normal((*shape[:-1], shape[-1] + _WARM_UP))
        series = lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], white)
        return np.asarray(series[..., _WARM_UP:])

    return make


def mixed(rng: np.random.Generator, *shape: int) -> Floats:
    """Half smoothed by the haemodynamic response, half AR(1) of 0.3."""
    return np.asarray((smoothed(rng, *shape) + autoregressive(0.3)(rng, *shape)) / np.sqrt(2))


def one_over_f(rng: np.random.Generator, *shape: int) -> Floats:
    """Noise whose power falls as one over the frequency: slow drifts beside fast changes."""
    n_rows = 4 * shape[-1]
    spectrum = np.fft.rfft(rng.standard_normal((*shape[:-1], n_rows)))
    weight = np.arange(spectrum.shape[-1], dtype=float)
    weight[1:] **= -0.5
    series = np.fft.irfft(spectrum * weight, n_rows)
    scale = np.sqrt((weight[1:] ** 2).sum() * 2 / n_rows)
    return np.asarray(series[..., : shape[-1]] / scale)


NOISES: dict[str, Callable[..., Floats]] = {
    "hrf": smoothed,
    "mix": mixed,
    "AR .6": autoregressive(0.6),
    "AR .8": autoregressive(0.8),
    "1/f": one_over_f,
}
