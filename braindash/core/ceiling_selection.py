"""What choosing targets by a noisy ceiling does to their mean of r / ceiling, by simulation.

A ceiling from repeats is estimated from the very responses that the score is of. At low signal a
threshold picks targets whose ceiling came out high by chance, and dividing by it makes even a
perfect model look bad: its mean r / ceiling is below 1.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.ceilings import ceiling_with_repeats, chosen_targets, repeats_ceiling
from braindash.core.scores import normalised_score, pearson_r

_N_TARGETS, _WARM_UP = 600, 40
# Correlation of a row of slow noise with the next one.
_NEXT_ROW = 0.3
# Signal is told to so many digits, so that simulations are few.
_DIGITS = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Selecting:
    """Other data that choose targets.

    Attributes
    ----------
    n_rows, n_repeats : int
        Of their presentations.
    other_story : bool
        Whether another story was presented; else they are every second presentation.
    """

    n_rows: int
    n_repeats: int
    other_story: bool


@dataclass(frozen=True)
class Selection:
    """What a threshold on a ceiling from repeats chooses.

    Attributes
    ----------
    crossing : float
        Share of targets whose ceiling exceeds the threshold.
    ratio : float
        Mean r / ceiling of a perfect model over these; NaN where there are hardly any.
    """

    crossing: float
    ratio: float


def signal_share(ceilings: ArrayLike, n_repeats: int) -> float:
    """Tell from the median ceiling how much of one presentation's variance is signal.

    ``CC_max = 1 / sqrt(1 + (1 / s - 1) / N)`` solved for s.

    Parameters
    ----------
    ceilings : array of shape (n_targets,)
        From repeats; 0 where no signal was found, NaN where there is none.
    n_repeats : int
        Number of presentations.

    Returns
    -------
    float
        From 0 to 1, to two digits; NaN without a ceiling.
    """
    known = np.asarray(ceilings, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return float("nan")
    middle = float(np.median(known))
    share = 0.0 if middle <= 0 else 1 / (1 + n_repeats * (1 / middle**2 - 1))
    return round(min(share, 1.0), _DIGITS)


@lru_cache(maxsize=256)
def ceiling_selection(
    n_rows: int,
    n_repeats: int,
    threshold: float,
    share: float,
    seed: int = 0,
    *,
    selected: Selecting | None = None,
) -> Selection:
    """Simulate what a threshold on ceilings from repeats chooses, where all targets are alike.

    Signal and noise are white activity through the haemodynamic response (rows of 2 s), half of the
    noise AR(1) of 0.3; 600 targets.

    Parameters
    ----------
    n_rows, n_repeats : int
        Scored rows and presentations.
    threshold : float
        That a ceiling must exceed.
    share : float
        Of the variance of one presentation that is signal; 0 for none.
    seed : int, default 0
        Of the simulation.
    selected : Selecting, optional
        What chooses the targets; the ceiling itself when left out.

    Returns
    -------
    Selection
    """
    rng = np.random.default_rng(seed)
    signal, heard = _presentations(rng, n_rows, n_repeats, share)
    ceiling, selecting = repeats_ceiling(heard), None
    if selected is not None:
        other = heard[::2]
        if selected.other_story:
            _, other = _presentations(rng, selected.n_rows, selected.n_repeats, share)
        selecting = ceiling_with_repeats(repeats_ceiling(other), len(other), n_repeats)
    above = chosen_targets("repeats", ceiling, threshold, selecting)
    if above.sum() < 5:
        return Selection(float(above.mean()), float("nan"))
    r = pearson_r(signal, heard.mean(axis=0))
    ratios = normalised_score(r[None], ceiling, chosen=above)
    return Selection(float(above.mean()), float(np.nanmean(ratios)))


def _presentations(
    rng: np.random.Generator, n_rows: int, n_repeats: int, share: float
) -> tuple[Floats, Floats]:
    """Draw a signal (n_rows, n_targets) and presentations of it, (n_repeats, n_rows, n_targets)."""
    signal, n_columns = _smoothed(rng, n_rows, _N_TARGETS), n_repeats * _N_TARGETS
    noise = _smoothed(rng, n_rows, n_columns) + _slow(rng, n_rows, n_columns)
    noise = np.moveaxis(noise.reshape(n_rows, n_repeats, _N_TARGETS), 1, 0) / np.sqrt(2)
    return signal, np.sqrt(share) * signal + np.sqrt(1 - share) * noise


# The filters of scipy.signal would load all of scipy.stats, which takes a second; pages ask here.


def _smoothed(rng: np.random.Generator, n_rows: int, n_columns: int) -> Floats:
    """Draw white activity seen through the haemodynamic response, (n_rows, n_columns)."""
    seconds = np.arange(0, 32, 2.0)
    response = _gamma_density(seconds, 6) - _gamma_density(seconds, 16) / 6
    white = rng.standard_normal((n_rows + _WARM_UP, n_columns))
    response = response / np.linalg.norm(response)
    found = np.zeros((n_rows, n_columns))
    for delay, weight in enumerate(response):
        found += weight * white[_WARM_UP - delay : len(white) - delay]
    return found


def _gamma_density(values: Floats, shape: int) -> Floats:
    """Return the density of the gamma distribution with a whole shape and scale 1."""
    return np.asarray(values ** (shape - 1) * np.exp(-values) / factorial(shape - 1))


def _slow(rng: np.random.Generator, n_rows: int, n_columns: int) -> Floats:
    """Draw AR(1) noise of variance 1, (n_rows, n_columns)."""
    series = np.sqrt(1 - _NEXT_ROW**2) * rng.standard_normal((n_rows + _WARM_UP, n_columns))
    for row in range(1, len(series)):
        series[row] += _NEXT_ROW * series[row - 1]
    return np.asarray(series[_WARM_UP:])
