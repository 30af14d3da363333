"""How sure a mean over subjects is who all hear one test story: variance of both together.

Subjects who hear the same story share its stretch of time: where a model happens to fit this story
well, it does so in all of them. Drawing subjects again cannot see that, and adding an interval over
time to one over subjects counts each subject's own noise twice. The variance components of subjects
and of story time say how far the mean moves with other subjects *and* other stretches of story.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from braindash.core.statistics.subjects import bootstrap_subjects
from braindash.errors import InputError

LEAST_SUBJECTS = 3
"""With fewer subjects their spread says next to nothing about others."""
# Of the subjects' own noise in the variance over time; see shared_story_mean.
_TAKEN_AWAY = 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SharedStoryMean:
    """Mean over subjects, with the variance that subjects and story time give it.

    Attributes
    ----------
    mean : array of float64
        In the unit of the values; NaN without any subject.
    variance : array of float64
        Of the mean; NaN with fewer than two subjects.
    df : array of float64
        Degrees of freedom of ``variance`` (Satterthwaite 1946).
    n : array of int64
        Subjects who have a value.
    """

    mean: Floats
    variance: Floats
    df: Floats
    n: NDArray[np.int64]

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends of ``mean +- t sqrt(variance)``, t of Student's with ``df``."""
        reach = self.reach(level)
        return self.mean - reach, self.mean + reach

    def reach(self, level: float = 0.95) -> Floats:
        """Return half the length of the interval."""
        if not 0 < level < 1:
            raise InputError(f"the level is {level}", hint="Give a share, for example 0.95.")
        return np.asarray(stdtrit(self.df, (1 + level) / 2) * np.sqrt(self.variance))

    def p_values(self) -> Floats:
        """Return two-sided p values of a true mean of 0; NaN where there is no variance."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.abs(self.mean) / np.sqrt(self.variance)
        t = np.where((self.mean == 0) & (self.variance == 0), 0.0, t)
        return np.asarray(2 * stdtr(self.df, -t))


def shared_story_mean(
    values: ArrayLike, samples: ArrayLike | None, n_blocks: float
) -> SharedStoryMean:
    """Average over subjects who hear the same story, with variance components.

    With v_i the value of subject i of n, b_si their value in bootstrap sample s of the story's
    time, of m blocks, and k = m / (m - 1)::

        subjects    VS  = var_i(v_i) / n
        time        VT  = k var_s(mean_i b_si)
        their noise VST = k sum_i var_s(b_si - mean_i b_si) / ((n - 1) n)
        V  = VS + max(VT - VST / 2, 0)
        df = V^2 / (VS^2 / (n - 1) + max(VT - VST / 2, 0)^2 / (m - 1))

    A subject's own noise is in the spread of subjects and in that of time. Blocks of rows show less
    than the whole of what time does, so half of the noise stays in: with all of it taken away true
    nulls are rejected in up to 7.5 %, with nothing taken away in less than 1 % where it dominates.

    Parameters
    ----------
    values : array of shape (n_subjects, ...)
        Value of each subject; NaN for one without.
    samples : array of shape (n_subjects, n_samples, ...), optional
        The same with blocks of the story's rows drawn again, sample s the same rows in every
        subject. None: V is VS, and holds for other subjects who hear this very story.
    n_blocks : float
        How many blocks a sample draws: rows over rows of a block.

    Returns
    -------
    SharedStoryMean
        Arrays of the shape of one subject's values.

    Notes
    -----
    ``benchmarks/calibration/groups.py`` measures how often the intervals hold the true mean; the
    page Science has its table.
    """
    table = _checked(values)
    known = np.isfinite(table)
    n = known.sum(axis=0)
    mean = _nanmean(table, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_subjects = np.where(known, (table - mean) ** 2, 0.0).sum(axis=0) / ((n - 1) * n)
        of_subjects = np.where(n > 1, of_subjects, np.nan)
        if samples is None:
            return SharedStoryMean(mean, of_subjects, np.maximum(n - 1.0, 1.0), n)
        of_time = _time_variance(table, known, _checked(samples), n, n_blocks)
        variance = of_subjects + of_time
        df = variance**2 / (of_subjects**2 / (n - 1) + of_time**2 / (n_blocks - 1))
    return SharedStoryMean(mean, variance, np.where(np.isfinite(df), df, 1.0), n)


def _time_variance(
    table: Floats, known: NDArray[np.bool_], samples: Floats, n: NDArray[np.int64], n_blocks: float
) -> Floats:
    """Return the variance that story time gives the mean, without half of the subjects' noise."""
    if not n_blocks > 1 or samples.shape[:1] + samples.shape[2:] != table.shape:
        raise InputError(
            f"the samples have shape {samples.shape} and {n_blocks:g} blocks, the values "
            f"{table.shape}",
            hint="Give (n_subjects, n_samples, ...) of the same values, and two blocks or more.",
        )
    inside = np.isfinite(samples) & known[:, None]
    shared = _nanmean(samples, inside)
    own = np.where(inside, samples - shared, np.nan)
    factor = n_blocks / (n_blocks - 1)
    total = np.zeros(table.shape[1:])
    for one, there in zip(own, inside, strict=True):
        total += np.where(there.sum(axis=0) > 1, _nanvar(one, there), 0.0)
    noise = factor * total / ((n - 1) * n)
    time = factor * _nanvar(shared, np.isfinite(shared))
    return np.asarray(np.maximum(time - _TAKEN_AWAY * noise, 0.0))


def draw_together(
    values: ArrayLike, samples: ArrayLike | None, *, seed: int = 0
) -> tuple[Floats, float | None]:
    """Draw subjects and, where there are samples, the story's time again in one go.

    For what is no smooth function of a mean, such as the best layer. It counts a subject's own
    noise twice, so the intervals are too wide rather than too short.

    Parameters
    ----------
    values, samples
        As for :func:`shared_story_mean`.
    seed : int, default 0
        The same seed and numbers of subjects and samples give the same draws.

    Returns
    -------
    means : array of float64, shape (n_samples, ...)
        Mean of each sample's subjects, in that sample of the story's time.
    n_units : float or None
        For :func:`braindash.core.statistics.bootstrap.interval`: the number of subjects where they
        alone are drawn, else None.
    """
    table = _checked(values)
    if samples is None:
        return bootstrap_subjects(table, seed=seed), float(len(table))
    drawn = _checked(samples)
    n_subjects, n_samples = drawn.shape[:2]
    chance = np.full(n_subjects, 1 / n_subjects)
    counts = np.random.default_rng(seed).multinomial(n_subjects, chance, n_samples).T
    weights = counts.reshape(n_subjects, n_samples, *[1] * (drawn.ndim - 2))
    weights = np.where(np.isfinite(drawn), weights, 0)
    total = weights.sum(axis=0)
    means = np.full(total.shape, np.nan)
    weighed = (weights * np.where(weights > 0, drawn, 0.0)).sum(axis=0)
    np.divide(weighed, total, out=means, where=total > 0)
    return means, None


def jackknife_values(statistic: Callable[[Floats], Floats], curves: ArrayLike) -> Floats:
    """Return what each subject adds to a statistic of the mean curve.

    ``n f(mean of all) - (n - 1) f(mean without i)`` (Tukey 1958): for a statistic that is linear in
    the curve it is that of the subject's own curve; else the mean of these pseudo-values moves with
    subjects as the statistic of the mean curve does.

    Parameters
    ----------
    statistic : callable
        Maps curves (..., n_layers) to values (...); smooth, so not the best of several layers.
    curves : array of shape (n_subjects, ..., n_layers)
        Of at least two subjects; a NaN leaves a subject out there.

    Returns
    -------
    array of float64, shape (n_subjects, ...)
        NaN for a subject without a curve.
    """
    table = _checked(curves)
    known = np.asarray(np.isfinite(table).all(axis=-1))
    filled = np.where(known[..., None], table, 0.0)
    total, n = filled.sum(axis=0), known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = statistic(total / n[..., None])
        found = np.empty(known.shape)
        for place, (own, there) in enumerate(zip(filled, known, strict=True)):
            rest = statistic((total - own) / (n - 1)[..., None])
            found[place] = np.where(there, n * whole - (n - 1) * rest, np.nan)
    return found


def _checked(values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if not table.ndim or len(table) < 2:
        raise InputError(
            f"the values have shape {table.shape}",
            hint="Give (n_subjects, ...) with two subjects or more; for one, draw blocks of rows.",
        )
    return table


def nanmean(values: ArrayLike) -> Floats:
    """Average over the first axis what is there; NaN where nothing is."""
    table = np.asarray(values, dtype=np.float64)
    return _nanmean(table, np.isfinite(table))


def _nanmean(values: Floats, known: NDArray[np.bool_]) -> Floats:
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _nanvar(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Variance over the first axis of what is known, divided by the count; 0 for one value."""
    mean = _nanmean(values, known)
    return _nanmean((values - mean) ** 2, known)
