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
# Of fewer subjects a sample too often has one of them only, and no spread.
LEAST_BOOTSTRAP_T = 6
_T_SAMPLES = 1999


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
    p_ranks : array of float64
        Two-sided p value of Wilcoxon's signed-rank test.
    p_boot : array of float64
        Two-sided p value of the bootstrap-t; NaN with fewer than six pairs.
    n : array of int64
        Subjects with both values.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_ranks: NDArray[np.float64]
    p_boot: NDArray[np.float64]
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

    Both need differences that are as likely above their mean as below. Where they are skewed, the
    bootstrap-t is nearer: Student's t of subjects drawn with replacement, of their distance from
    the mean, takes the place of Student's distribution (Efron 1981; Hall 1988). A p below 0.05 says
    that its 95 % interval does not hold 0.

    Parameters
    ----------
    a, b : array of shape (n_subjects, ...)
        Values, for example of the tuned and of the pretrained model. A subject with a NaN in
        either is left out there.
    level : float, default 0.95
        Of the interval.
    seed : int, default 0
        Of the random signs and samples.

    Returns
    -------
    PairedDifference
        Arrays of the shape of one subject's values.

    Notes
    -----
    For 3 to 6 subjects with normal differences a 95 % interval of Student's holds the true mean
    in 95 % of simulated cases, percentiles of a bootstrap over subjects in 75 to 86 %, expanded
    ones in 75 to 94 %; for skewed (exponential) differences all hold less, Student's 88 %.
    ``benchmarks/calibration/skewed.py`` measures the tests; the page Science has its table.
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
    columns = gap.reshape(len(gap), -1)
    flips, ranks = _flip_p_values(columns, seed), _rank_p_values(columns, seed)
    p, p_ranks = (np.where(n > 0, one.reshape(n.shape), np.nan) for one in (flips, ranks))
    p_boot = _bootstrap_t_p_values(columns, known.reshape(columns.shape), seed).reshape(n.shape)
    counts = np.asarray(n, dtype=np.int64)
    return PairedDifference(mean, mean - reach, mean + reach, p, p_ranks, p_boot, counts)


def sign_patterns(n_subjects: int, n_most: int, seed: int) -> tuple[NDArray[np.float32], bool]:
    """Return all patterns of signs or, where there are more than ``n_most``, so many random ones.

    Parameters
    ----------
    n_subjects : int
        Signs of a pattern.
    n_most : int
        Number of patterns, at most.
    seed : int
        Of the random patterns.

    Returns
    -------
    signs : array of float32, shape (n_patterns, n_subjects)
        1 and -1.
    exact : bool
        Whether these are all.
    """
    if n_subjects < 63 and 2**n_subjects <= n_most:
        bits = np.arange(2**n_subjects)[:, None] >> np.arange(n_subjects)
        return (1 - 2 * (bits & 1)).astype(np.float32), True
    rng = np.random.default_rng(seed)
    return (1 - 2 * rng.integers(2, size=(n_most, n_subjects))).astype(np.float32), False


def _flip_p_values(gap: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Share of sign flips that leave a sum as far from 0, for (n_subjects, n_values)."""
    n_subjects, n_values = gap.shape
    signs, exact = sign_patterns(n_subjects, _RANDOM_FLIPS, seed)
    at_once = max(1, _FLIPPED_NUMBERS // len(signs))
    p = np.empty(n_values)
    for start in range(0, n_values, at_once):
        part = gap[:, start : start + at_once]
        # Sums of the same size in another order differ by rounding: they count as equal.
        reached = abs(part.sum(axis=0)) - 1e-12 * abs(part).sum(axis=0)
        n_far = (abs(signs @ part) >= reached).sum(axis=0)
        p[start : start + at_once] = n_far / len(signs) if exact else (1 + n_far) / (1 + len(signs))
    return p


def _bootstrap_t_p_values(
    gap: NDArray[np.float64], known: NDArray[np.bool_], seed: int
) -> NDArray[np.float64]:
    """Return two-sided p of the bootstrap-t, for (n_subjects, n_values), 0 where not known."""
    n_subjects, n_values = gap.shape
    p = np.full(n_values, np.nan)
    chance = np.full(n_subjects, 1 / max(n_subjects, 1))
    drawn = np.random.default_rng(seed).multinomial(n_subjects, chance, _T_SAMPLES).astype(float)
    at_once = max(1, _FLIPPED_NUMBERS // (4 * _T_SAMPLES))
    for start in range(0, n_values, at_once):
        some = slice(start, start + at_once)
        there = known[:, some].astype(float)
        n = there.sum(axis=0)
        mean = gap[:, some].sum(axis=0) / np.maximum(n, 1)
        moved = (gap[:, some] - mean) * there
        own = _t_values(mean, (moved**2).sum(axis=0), n)
        n_drawn = drawn @ there
        means = (drawn @ moved) / np.maximum(n_drawn, 1)
        squares = drawn @ moved**2 - n_drawn * means**2
        t = _t_values(means, squares, n_drawn)
        above, below = ((t >= own).sum(axis=0), (t <= own).sum(axis=0))
        found = np.minimum(2 * (1 + np.minimum(above, below)) / (1 + _T_SAMPLES), 1.0)
        p[some] = np.where((n >= LEAST_BOOTSTRAP_T) & np.isfinite(own), found, np.nan)
    return p


def _t_values(
    means: NDArray[np.float64], squares: NDArray[np.float64], n: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Student's t from sums of squares about the mean; 0 for a mean of 0 without any."""
    variance = np.maximum(squares, 0.0) / np.maximum(n - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = means / np.sqrt(variance / np.maximum(n, 1))
    return np.asarray(np.where(means == 0, 0.0, t))


def _rank_p_values(gap: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return two-sided p of Wilcoxon's signed-rank test, for (n_subjects, n_values).

    Zeros are left out (Wilcoxon 1945). Up to 15 subjects all signs are tried, with ties too; above,
    ranks without ties have a distribution of their own, and others take random signs.
    """
    from scipy.stats import rankdata  # takes a second to load; pages rarely ask

    n_subjects = len(gap)
    n_zeros = (gap == 0).sum(axis=0)
    ranks = np.where(gap == 0, 0.0, rankdata(np.abs(gap), axis=0) - n_zeros)
    signed = np.sign(gap) * ranks
    if n_subjects <= EXACT_SUBJECTS:
        return _flip_p_values(signed, seed)
    p = np.empty(gap.shape[1])
    tied = np.array([len(set(one[one > 0])) < (one > 0).sum() for one in ranks.T], dtype=bool)
    if tied.any():
        p[tied] = _flip_p_values(signed[:, tied], seed)
    for count in np.unique(n_subjects - n_zeros[~tied]):
        some = np.flatnonzero(~tied & (n_subjects - n_zeros == count))
        positive = np.where(signed[:, some] > 0, ranks[:, some], 0.0).sum(axis=0)
        p[some] = _signed_rank_tails(int(count), positive)
    return p


def _signed_rank_tails(n_ranks: int, positive: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of sums of positive ranks 1 to n that are as far from their mean."""
    total = n_ranks * (n_ranks + 1) // 2
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in range(1, n_ranks + 1):  # each rank is positive with a chance of one half
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[: total + 1 - rank]
        chance = (chance + shifted) / 2
    lower = np.cumsum(chance)
    nearer_end = np.minimum(positive, total - positive).astype(np.int64)
    return np.minimum(1.0, 2 * lower[nearer_end])
