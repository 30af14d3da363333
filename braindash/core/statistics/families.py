"""Many tests that are read together: what chance is allowed over all of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from braindash.core.statistics.subjects import sign_patterns
from braindash.errors import InputError

# Sums of so many numbers of flipped maps at a time: 32 MB.
_NUMBERS_AT_ONCE = 2**23

Floats = NDArray[np.float64]


class FlippedMaps(NamedTuple):
    """Group maps, tested against all their targets and layers at once.

    Attributes
    ----------
    t : array of float32, shape (n_layers, n_targets)
        Student's t of the subjects' values; NaN with fewer than two subjects.
    p : array of float32, shape (n_layers, n_targets)
        Family-wise corrected p value; NaN as ``t``.
    n_flips : int
        Sign patterns that were tried.
    exact : bool
        Whether these are all there are.
    """

    t: NDArray[np.float32]
    p: NDArray[np.float32]
    n_flips: int
    exact: bool


class Prevalence(NamedTuple):
    """Share of subjects in whom something is found, arrays of one shape.

    Attributes
    ----------
    share : array of float64
        Share of the subjects that have a test; NaN without any.
    low, high : array of float64
        Exact interval of the share in the population.
    n : array of int64
        Subjects that have a test.
    """

    share: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def holm(p: ArrayLike) -> Floats:
    """Adjust the p values of one family so that one false one among all has the stated chance.

    Step-down (Holm 1979): the i-th smallest of m is multiplied with m + 1 - i, and is at least as
    large as the one before. It holds whatever the tests have to do with each other.

    Parameters
    ----------
    p : array of any shape
        All p values of the family; NaN where there is none, which does not count.

    Returns
    -------
    array of float64, of the shape of ``p``
        At most 1; NaN where ``p`` is.
    """
    values = np.asarray(p, dtype=np.float64)
    found = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    own = values[known]
    order = np.argsort(own, kind="stable")
    steps = own[order] * np.arange(len(own), 0, -1)
    adjusted = np.empty(len(own))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    found[known] = adjusted
    return found


def flipped_maps(
    values: ArrayLike, *, two_sided: bool = False, n_flips: int = 4096, seed: int = 0
) -> FlippedMaps:
    """Test a group's maps: sign flips over subjects, with the largest t of every pattern.

    A target's p is the share of sign patterns whose largest t, over all targets and layers, is at
    least its own t (max-T, Nichols & Holmes 2002): the chance of one false target anywhere.

    Parameters
    ----------
    values : array of shape (n_subjects, n_layers, n_targets)
        Score of every subject, or difference of two models; NaN leaves a subject out there.
    two_sided : bool, default False
        Whether values below 0 count as well.
    n_flips : int, default 4096
        All patterns where there are no more (12 subjects), else so many random ones.
    seed : int, default 0
        Of the random patterns.

    Returns
    -------
    FlippedMaps
    """
    table = np.array(values, dtype=np.float32)
    if table.ndim != 3 or len(table) < 2:
        raise InputError(
            f"the values have shape {table.shape}",
            hint="Give (n_subjects, n_layers, n_targets) with two subjects or more.",
        )
    units = table.reshape(len(table), -1)
    known = np.isfinite(units)
    n = known.sum(axis=0)
    np.copyto(units, 0.0, where=~known)
    power = np.sqrt(np.einsum("it,it->t", units, units))
    units /= np.where(power > 0, power, 1.0)  # sums of these alone decide how large t is
    signs, exact = sign_patterns(len(table), n_flips, seed)
    largest = np.full(len(signs), -np.inf)
    at_once = max(1, _NUMBERS_AT_ONCE // len(signs))
    for count in np.unique(n[n > 1]):
        columns = np.flatnonzero(n == count)
        for start in range(0, len(columns), at_once):
            sums = signs @ units[:, columns[start : start + at_once]]
            top = (np.abs(sums) if two_sided else sums).max(axis=1)
            np.maximum(largest, _t_of_sums(top, count), out=largest)
    own = np.where(n > 1, _t_of_sums(units.sum(axis=0), n), np.nan)
    # Sums of the same size in another order differ by rounding: they count as equal.
    least = (np.abs(own) if two_sided else own) - 1e-4 * np.abs(own)
    at_least = len(signs) - np.searchsorted(np.sort(largest), least)
    share = at_least / len(signs) if exact else (1 + at_least) / (1 + len(signs))
    p = np.where(np.isfinite(own), share, np.nan)
    shape = table.shape[1:]
    t_map, p_map = (one.astype(np.float32).reshape(shape) for one in (own, p))
    return FlippedMaps(t_map, p_map, len(signs), exact)


def _t_of_sums(sums: NDArray[np.float32], count: ArrayLike) -> Floats:
    """Return Student's t from the sum of a column of length 1: a sign changes no square."""
    total, n = sums.astype(np.float64), np.asarray(count, dtype=np.float64)
    rest = np.maximum(n - total * total, 1e-6 * np.maximum(n, 1.0))
    return np.asarray(total * np.sqrt(np.maximum(n - 1, 0.0) / rest))


def prevalence(found: ArrayLike, tested: ArrayLike, *, level: float = 0.95) -> Prevalence:
    """Return the share of subjects in whom something is significant, with its exact interval.

    Clopper and Pearson's (1934): it holds the population's share in ``level`` of cases or more. A
    test that is wrong in 5 % of subjects finds something in 5 % of them where there is nothing.

    Parameters
    ----------
    found, tested : array of bool, shape (n_subjects, ...)
        Whether a subject has it, and whether a subject has a test at all.
    level : float, default 0.95
        Of the interval.

    Returns
    -------
    Prevalence
    """
    there = np.asarray(tested, dtype=bool)
    n = there.sum(axis=0)
    k = (np.asarray(found, dtype=bool) & there).sum(axis=0)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, k / n, np.nan)
        low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    low, high = (np.where(n > 0, end, np.nan) for end in (low, high))
    return Prevalence(share, low, high, np.asarray(n, dtype=np.int64))
