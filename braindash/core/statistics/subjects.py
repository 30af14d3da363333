"""Uncertainty over subjects: a bootstrap, and differences that are paired by subject."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from braindash.errors import InputError

# Up to this many subjects all sign flips are tried, above it this many random ones.
EXACT_SUBJECTS = 15
_RANDOM_FLIPS = 2**EXACT_SUBJECTS
_FLIPPED_NUMBERS = 2**24


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of pairs of values, one pair per subject.

    Attributes
    ----------
    mean, low, high : array of float64
        Mean of the differences and its interval, in the unit of the values; NaN without any
        pair, the interval also with only one.
    p : array of float64
        Two-sided p value of the sign-flip test.
    n : array of int64
        Subjects with both values.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    n: NDArray[np.int64]


# ---- within a subject: blocks of rows -------------------------------------------------------


def bootstrap_subjects(
    values: ArrayLike, *, n_samples: int = 10000, seed: int = 0
) -> NDArray[np.float64]:
    """Draw subjects with replacement, and average their values.

    Parameters
    ----------
    values : array of shape (n_subjects, ...)
        Values of each subject, at least two; a mean passes over NaN.
    n_samples : int, default 10000
        Number of samples.
    seed : int, default 0
        The same seed and number of subjects give the same samples, so that they are paired.

    Returns
    -------
    array of float64, shape (n_samples, ...)
        Mean over the subjects of each sample; NaN where none has a value. For :func:`interval`,
        ``n_units`` is the number of subjects.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 1 or len(table) < 2:
        raise InputError(
            f"the values have shape {table.shape}",
            hint="Give (n_subjects, ...) with two subjects or more; for one, draw blocks of rows.",
        )
    if n_samples < 1:
        raise InputError(f"n_samples is {n_samples}", hint="Give 1 or more; the default is 10000.")
    n_subjects = len(table)
    chance = np.full(n_subjects, 1 / n_subjects)
    drawn = np.random.default_rng(seed).multinomial(n_subjects, chance, n_samples).astype(float)
    known = np.isfinite(table)
    flat = table.reshape(n_subjects, -1)
    total = drawn @ np.where(known, table, 0.0).reshape(flat.shape)
    n_drawn = drawn @ known.reshape(flat.shape).astype(float)
    mean = np.divide(total, n_drawn, out=np.full_like(total, np.nan), where=n_drawn > 0)
    return np.asarray(mean.reshape(n_samples, *table.shape[1:]))


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Compare two values of every subject: the mean of a - b, its interval, a sign-flip test.

    The interval is Student's, ``mean +- t s / sqrt(n)``. The test asks how often the mean would be
    as far from 0 if the sign of every subject's difference were chance: all ``2^n`` signs for up
    to 15 subjects, else 32,768 random ones (Fisher 1935). Its least p is ``2^(1 - n)``: with fewer
    than six subjects no difference has p < 0.05.

    Parameters
    ----------
    a, b : array of shape (n_subjects, ...)
        Values, for example of the tuned and of the pretrained model. A subject with a NaN in
        either is left out there.
    level : float, default 0.95
        Of the interval.
    seed : int, default 0
        Of the random signs.

    Returns
    -------
    PairedDifference
        Arrays of the shape of one subject's values.

    Notes
    -----
    For 3 to 6 subjects with normal differences a 95 % interval of Student's holds the true mean
    in 95 % of simulated cases, percentiles of a bootstrap over subjects in 75 to 86 %, expanded
    ones in 75 to 94 %; for skewed (exponential) differences all hold less, Student's 88 %.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim < 1 or not len(first):
        raise InputError(
            f"the values to compare have shapes {first.shape} and {second.shape}",
            hint="Give (n_subjects, ...) twice, the same subjects in the same order.",
        )
    if not 0 < level < 1:
        raise InputError(f"the level is {level}", hint="Give a share, for example 0.95.")
    gap = first - second
    known = np.isfinite(gap)
    n = known.sum(axis=0)
    gap = np.where(known, gap, 0.0)  # a zero is the same with either sign
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, gap.sum(axis=0) / n, np.nan)
        variance = np.where(known, (gap - mean) ** 2, 0.0).sum(axis=0) / (n - 1)
        reach = stdtrit(np.maximum(n - 1, 1), (1 + level) / 2) * np.sqrt(variance / n)
    reach = np.where(n > 1, reach, np.nan)
    flat = _flip_p_values(gap.reshape(len(gap), -1), seed).reshape(gap.shape[1:])
    p = np.where(n > 0, flat, np.nan)
    return PairedDifference(mean, mean - reach, mean + reach, p, np.asarray(n, dtype=np.int64))


def _flip_p_values(gap: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Share of sign flips that leave a sum as far from 0, for (n_subjects, n_values)."""
    n_subjects, n_values = gap.shape
    exact = n_subjects <= EXACT_SUBJECTS
    if exact:
        bits = np.arange(2**n_subjects)[:, None] >> np.arange(n_subjects)
        signs = 1.0 - 2.0 * (bits & 1)
    else:
        rng = np.random.default_rng(seed)
        signs = 1.0 - 2.0 * rng.integers(2, size=(_RANDOM_FLIPS, n_subjects))
    at_once = max(1, _FLIPPED_NUMBERS // len(signs))
    p = np.empty(n_values)
    for start in range(0, n_values, at_once):
        part = gap[:, start : start + at_once]
        # Sums of the same size in another order differ by rounding: they count as equal.
        reached = abs(part.sum(axis=0)) - 1e-12 * abs(part).sum(axis=0)
        n_far = (abs(signs @ part) >= reached).sum(axis=0)
        p[start : start + at_once] = n_far / len(signs) if exact else (1 + n_far) / (1 + len(signs))
    return p
