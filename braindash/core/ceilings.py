"""How well a response could be predicted at best: noise ceilings.

Each estimates the r between a response and the part of it that the stimulus drives, from another
kind of repetition: the same person again, other people, or halves of a group.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.scores import column_slices, constant_columns, unit_columns
from braindash.errors import InputError

# Below these a ceiling is too uncertain to divide by. Subjects share far less than repeats of one
# subject do, so the ceiling between subjects is lower for the same data.
_THRESHOLDS = {"given": 0.4, "repeats": 0.4, "split-half": 0.4, "inter-subject": 0.1}


def ceiling_threshold(name: str, given: float | None = None) -> float:
    """Say what a target's ceiling must exceed for its score to be divided by it.

    Parameters
    ----------
    name : {"given", "repeats", "split-half", "inter-subject"}
        The ceiling.
    given : float, optional
        One threshold for every ceiling, where somebody chose it.

    Returns
    -------
    float
        The given one; else 0.4, the convention for repeats, also for a ceiling that is given; 0.1
        between subjects, where there is no convention.
    """
    return _THRESHOLDS[name] if given is None else given


LEAST_DIVISOR = 0.1
"""A ceiling that did not choose its targets itself must exceed this to divide their scores."""


def chosen_targets(
    name: str,
    ceiling: ArrayLike,
    threshold: float | None = None,
    selecting: ArrayLike | None = None,
) -> NDArray[np.bool_]:
    """Mark the targets whose score is divided by a ceiling.

    Parameters
    ----------
    name : {"given", "repeats", "split-half", "inter-subject"}
        The ceiling that divides.
    ceiling : array of shape (n_targets,)
        It.
    threshold : float, optional
        What the choosing ceiling must exceed; see :func:`ceiling_threshold`.
    selecting : array of shape (n_targets,), optional
        A ceiling from other data that chooses; the dividing one itself when left out. What chooses
        by its own noise divides by it too, which makes scores look lower than they are.

    Returns
    -------
    array of bool, shape (n_targets,)
    """
    top, least = np.asarray(ceiling), ceiling_threshold(name, threshold)
    if selecting is None:
        return np.asarray(top > least)
    return np.asarray((np.asarray(selecting) > least) & (top > LEAST_DIVISOR))


def chosen_by_ceilings(
    ceilings: Mapping[str, ArrayLike],
    threshold: float | None = None,
    selecting: ArrayLike | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Apply :func:`chosen_targets` to every ceiling; other data choose for "repeats" alone."""
    return {
        name: chosen_targets(name, one, threshold, selecting if name == "repeats" else None)
        for name, one in ceilings.items()
    }


def ceiling_with_repeats(ceiling: ArrayLike, n_from: int, n_to: int) -> NDArray[np.float64]:
    """Tell from the ceiling of a mean of presentations that of a mean of more, or fewer.

    ``CC_max = 1 / sqrt(1 + (1 / s - 1) / N)`` solved for the share ``s`` of one presentation that
    is signal, and taken again for another ``N`` (Schoppe et al. 2016).

    Parameters
    ----------
    ceiling : array of shape (n_targets,)
        Of the mean of ``n_from`` presentations; 0 stays 0, NaN stays NaN.
    n_from, n_to : int
        Numbers of presentations.
    """
    power = np.square(np.asarray(ceiling, dtype=np.float64))
    # (1 / s - 1) = n_from (1 / c^2 - 1), so c'^2 = c^2 / (c^2 + (n_from / n_to) (1 - c^2)).
    return np.asarray(np.sqrt(power / (power + n_from / n_to * (1 - power))))


# Beside subjects of length 1, the sum of some that is not longer than this is rounding.
_LEAST_POWER = 1e-12


def repeats_ceiling(repeats: ArrayLike) -> NDArray[np.float64]:
    """Estimate the highest r a model can reach with the mean of repeated presentations.

    With ``TP`` the mean variance of one repeat and ``SP = (N var(mean) - TP) / (N - 1)`` the
    signal power, ``CC_max = 1 / sqrt(1 + (TP / SP - 1) / N)`` (Schoppe et al. 2016).

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_rows, n_targets)
        Responses to ``N = n_repeats`` presentations of one story, at least two.

    Returns
    -------
    array of float64, shape (n_targets,)
        The ceiling, 0 where the signal power is not positive; NaN where a target is constant in
        every repeat or holds a NaN.
    """
    values = np.asarray(repeats)
    if values.ndim != 3 or values.shape[0] < 2 or not values.shape[1]:
        raise InputError(
            f"the repeats have shape {values.shape}",
            hint="Give (n_repeats, n_rows, n_targets) with at least two repeats of the story.",
        )
    n_repeats, _, n_targets = values.shape
    ceiling = np.empty(n_targets)
    for columns in column_slices(n_targets):
        part = values[:, :, columns].astype(np.float64)
        total = part.var(axis=1).mean(axis=0)
        signal = (n_repeats * part.mean(axis=0).var(axis=0) - total) / (n_repeats - 1)
        usable = ~constant_columns(values[:, :, columns], axis=1).all(axis=0) & np.isfinite(total)
        positive = usable & (signal > 0)
        noise_ratio = np.divide(total, signal, out=np.ones_like(total), where=positive) - 1
        reached = 1 / np.sqrt(1 + noise_ratio / n_repeats)
        ceiling[columns] = np.where(usable, np.where(positive, reached, 0.0), np.nan)
    return ceiling


def inter_subject_ceiling(
    subject: ArrayLike, others: ArrayLike, present: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Correlate a subject's response with the mean of other subjects' who heard the same.

    For a signal of variance 1 that all share and noise of variance ``v`` in each of ``m`` others
    and the subject, its expectation is ``1 / sqrt((1 + v) (1 + v / m))``. That is below the r
    which a perfect model reaches, ``1 / sqrt(1 + v)``, as long as the mean of the others is noisy,
    and leaves out what the stimulus drives in this subject only.

    Parameters
    ----------
    subject : array of shape (n_rows, n_targets)
        Responses of the subject.
    others : array of shape (n_others, n_rows, n_targets)
        Responses of the other subjects to the same rows, in the same space; every target of each
        is z-scored over the rows before the mean. One that is constant or holds a NaN for a
        target is left out for that target.
    present : array of bool, shape (n_others, n_rows), optional
        Rows that each of the others has data for, all by default. The mean of a row is over those
        who have; rows that nobody has are left out.

    Returns
    -------
    array of float64, shape (n_targets,)
        Pearson r, which chance can make negative; NaN where the subject, or every other subject,
        is constant or holds a NaN.
    """
    own, rest = np.asarray(subject), np.asarray(others)
    if own.ndim != 2 or rest.ndim != 3 or rest.shape[1:] != own.shape or 0 in rest.shape[:2]:
        raise InputError(
            f"the subject's responses have shape {own.shape}, those of the others {rest.shape}",
            hint="Give (n_rows, n_targets) and (n_others, n_rows, n_targets), at least one other.",
        )
    marks = np.ones(rest.shape[:2], bool) if present is None else np.asarray(present, dtype=bool)
    if marks.shape != rest.shape[:2]:
        raise InputError(
            f"present has shape {marks.shape}, the others {rest.shape}",
            hint="Give one truth value per other subject and row.",
        )
    if not marks.all():
        return _ceiling_of_present(own, rest, marks)
    ceiling = np.empty(own.shape[1])
    for columns in column_slices(len(ceiling)):
        # Columns of length 1 differ from z-scores by a factor that is the same for everyone.
        total = sum(np.nan_to_num(unit_columns(other[:, columns])) for other in rest)
        pair = unit_columns(own[:, columns]), unit_columns(np.asarray(total))
        ceiling[columns] = np.einsum("ij,ij->j", *pair)
    return ceiling


def ceiling_beside_sum(
    subject: ArrayLike, member: ArrayLike, total: ArrayLike, counts: ArrayLike
) -> NDArray[np.float64]:
    """Compute :func:`inter_subject_ceiling` from the sum of everybody, the subject included.

    The mean of the ``n - 1`` others is ``(total - own) / (n - 1)``; r does not see the divisor.

    Parameters
    ----------
    subject : array of shape (n_rows, n_targets)
        Responses of the subject.
    member : array of shape (n_rows, n_targets)
        The same, as they were added to the sum.
    total : array of shape (n_rows, n_targets)
        Sum over all subjects of their :func:`braindash.core.scores.unit_columns`; one that is
        constant or holds a NaN for a target is left out for that target.
    counts : array of int, shape (n_targets,)
        Subjects that a target's sum is of.

    Returns
    -------
    array of float64, shape (n_targets,)
        Pearson r; NaN where the subject, or every other subject, is constant or holds a NaN.
    """
    own = unit_columns(np.asarray(member))
    others = np.asarray(total, dtype=np.float64) - np.nan_to_num(own)
    # Rounding would be left of a sum that holds nobody else.
    others[:, np.asarray(counts) - np.isfinite(own).all(axis=0) <= 0] = 0.0
    pair = unit_columns(np.asarray(subject)), unit_columns(others)
    return np.asarray(np.einsum("ij,ij->j", *pair))


def _ceiling_of_present(
    own: NDArray[np.floating], rest: NDArray[np.floating], marks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Correlate with the mean over those of the others who have data for a row."""
    rows = np.asarray(marks.any(axis=0))
    if rows.sum() < 2:
        return np.full(own.shape[1], np.nan)
    ceiling = np.empty(own.shape[1])
    for columns in column_slices(len(ceiling)):
        total, counts = np.zeros((2, len(rows), len(ceiling[columns])))
        for other, has in zip(rest[:, :, columns], marks, strict=True):
            if has.any():
                scores = unit_columns(other[has]) * np.sqrt(has.sum())
                total[has] += np.nan_to_num(scores)
                counts[has] += np.isfinite(scores)
        with np.errstate(invalid="ignore"):
            mean = (total / counts)[rows]
        pair = unit_columns(own[rows, columns]), unit_columns(mean)
        ceiling[columns] = np.einsum("ij,ij->j", *pair)
    return ceiling


def split_half_ceiling(
    subjects: ArrayLike, *, n_splits: int = 100, seed: int = 0
) -> NDArray[np.float64]:
    """Estimate the highest r a model can reach with the mean response of a group.

    The means of two random halves of the group are correlated; ``r``, averaged over the splits,
    is the reliability of a half, and ``k r / (1 + (k - 1) r)`` that of the whole group, which is
    ``k`` times as large (Spearman 1910; Brown 1910). The ceiling is the root of the reliability.
    In a group of odd size every split leaves one subject out, and k is a little above 2.

    Parameters
    ----------
    subjects : array of shape (n_subjects, n_rows, n_targets)
        Responses of at least two subjects to the same rows, in the same space; every target of
        each is z-scored over the rows.
    n_splits : int, default 100
        Number of random splits.
    seed : int, default 0
        Of the splits.

    Returns
    -------
    array of float64, shape (n_targets,)
        The ceiling, 0 where the reliability is not positive; NaN where a subject is constant or
        holds a NaN.
    """
    values = np.asarray(subjects)
    if values.ndim != 3 or values.shape[0] < 2 or not values.shape[1]:
        raise InputError(
            f"the responses of the group have shape {values.shape}",
            hint="Give (n_subjects, n_rows, n_targets) with at least two subjects.",
        )
    if n_splits < 1:
        raise InputError(f"n_splits is {n_splits}", hint="Give 1 or more; the default is 100.")
    halves = _random_halves(len(values), n_splits, seed)
    factor = len(values) / (len(values) // 2)
    ceiling = np.empty(values.shape[2])
    for columns in column_slices(len(ceiling)):
        r = _mean_half_r(values[:, :, columns], *halves)
        known = np.maximum(r, 0.0)  # keeps NaN
        ceiling[columns] = np.sqrt(factor * known / (1 + (factor - 1) * known))
    return ceiling


def _random_halves(
    n_subjects: int, n_splits: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mark the members of both halves of every split, each (n_splits, n_subjects)."""
    rng = np.random.default_rng(seed)
    size = n_subjects // 2
    places = rng.permuted(np.tile(np.arange(n_subjects), (n_splits, 1)), axis=1)
    first, second = places < size, (places >= size) & (places < 2 * size)
    return first.astype(np.float64), second.astype(np.float64)


def _mean_half_r(
    values: NDArray[np.floating], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlate the means of both halves, averaged over splits, (n_columns,)."""
    units = np.stack([unit_columns(one) for one in values])
    # Every half mean is a sum of subjects: products of all pairs give all splits.
    pairs = np.einsum("arv,brv->abv", units, units, optimize=True).reshape(len(values) ** 2, -1)

    def products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((a[:, :, None] * b[:, None, :]).reshape(len(a), -1) @ pairs)

    powers = products(first, first), products(second, second)
    # Halves that cancel out to rounding have no direction, and r = 0; NaN stays.
    varies = ~(np.minimum(*powers) <= _LEAST_POWER)
    r = np.zeros_like(powers[0])
    np.divide(products(first, second), np.sqrt(abs(powers[0] * powers[1])), out=r, where=varies)
    return np.asarray(r.mean(axis=0))
