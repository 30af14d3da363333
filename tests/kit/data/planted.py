"""Sound whose loudness wanders, and responses that follow it at a known lag: a planted signal."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

RATE_HZ = 16000
STEPS_PER_SECOND = 20


def loudness(seconds: float, seed: int) -> np.ndarray:
    """Return a course of loudness between 0 and 1, ``STEPS_PER_SECOND`` values a second.

    It wanders within seconds and never repeats, so that its place in time can be told.
    """
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal(round(seconds * STEPS_PER_SECOND))
    slow = gaussian_filter1d(raw, STEPS_PER_SECOND, mode="wrap")
    return 1 / (1 + np.exp(-2.0 * slow / slow.std()))


def wandering_sound(course: np.ndarray, seed: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return noise with a course of loudness, float32 (n_samples,) at ``rate_hz``."""
    n = round(len(course) / STEPS_PER_SECOND * rate_hz)
    noise = np.random.default_rng(seed + 1).standard_normal(n)
    at = np.arange(n) / rate_hz * STEPS_PER_SECOND
    return (0.1 * noise * np.interp(at, np.arange(len(course)), course)).astype(np.float32)


def planted_responses(
    course: np.ndarray,
    times: np.ndarray,
    lag_seconds: float,
    n_targets: int,
    *,
    followers: slice = slice(None),
    noise: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """Return responses, float32 (n_rows, n_targets), some of which follow the loudness.

    Parameters
    ----------
    course : array
        Of :func:`loudness`; before and after it there is silence.
    times : array of shape (n_rows,)
        True audio time of every row, in seconds.
    lag_seconds : float
        Seconds by which the response is later than the sound.
    n_targets : int
        Columns.
    followers : slice
        Columns that follow; the others are noise alone.
    noise : float
        Spread of the noise, where that of the signal is one.
    seed : int
        Of the noise.
    """
    at = (np.asarray(times) - lag_seconds) * STEPS_PER_SECOND
    heard = np.interp(at, np.arange(len(course)), course, left=0.0, right=0.0)
    signal = (heard - course.mean()) / course.std()
    made = noise * np.random.default_rng(seed).standard_normal((len(signal), n_targets))
    made[:, followers] += signal[:, None]
    return made.astype(np.float32)
