"""Simulated series that are alike from row to row as BOLD is, from seeds."""

import numpy as np
from scipy.signal import fftconvolve, lfilter
from scipy.stats import gamma

TR = 2.0
_STEP = 0.5
_WARM_UP = 40


def haemodynamic_response() -> np.ndarray:
    """Double gamma with a peak after 5 s and an undershoot, every 0.5 s for 32 s."""
    time = np.arange(0, 32, _STEP)
    return gamma.pdf(time, 6) - gamma.pdf(time, 16) / 6


def smooth(rng: np.random.Generator, n_rows: int, *shape: int) -> np.ndarray:
    """White neural activity seen through the haemodynamic response, of variance 1."""
    per_row = int(TR / _STEP)
    neural = rng.standard_normal(((n_rows + _WARM_UP) * per_row, *shape), dtype=np.float32)
    kernel = haemodynamic_response().astype(np.float32)
    kernel /= np.sqrt((kernel**2).sum())
    seen = fftconvolve(neural, kernel.reshape(-1, *[1] * len(shape)), axes=0)
    return seen[_WARM_UP * per_row : len(neural) : per_row]


def autoregressive(rng: np.random.Generator, phi: float, n_rows: int, *shape: int) -> np.ndarray:
    """AR(1) noise of variance 1."""
    white = rng.standard_normal((n_rows + _WARM_UP, *shape))
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], white, axis=0)[_WARM_UP:]


def mixed_noise(rng: np.random.Generator, phi: float, n_rows: int, *shape: int) -> np.ndarray:
    """Half neural, half AR(1) noise, of variance 1."""
    both = smooth(rng, n_rows, *shape) + autoregressive(rng, phi, n_rows, *shape)
    return both / np.sqrt(2)


def with_correlation(r: np.ndarray | float, x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Add noise to x so that the two correlate with r in endless time, both of variance 1."""
    return (r * x + np.sqrt(1 - np.square(r)) * noise).astype(np.float32)
