"""Explained variance divided among feature spaces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.scores import constant_columns
from braindash.errors import InputError


def shared_parts(
    joint: ArrayLike, alone: ArrayLike, without: ArrayLike
) -> dict[tuple[int, ...], NDArray[np.float64]]:
    """Divide the joint R^2 of spaces into what each set of them, and no other, explains.

    Inclusion and exclusion of the R^2 of all subsets (de Heer, Huth, Griffiths, Gallant and
    Theunissen 2017), which two or three spaces give: unique parts are the joint minus the R^2
    without the space; of three, what two share is ``R_without1 + R_without2 - R_third - joint``,
    and what all share is the rest. A part may be negative, where one space suppresses another or
    by noise. Of more spaces the subsets are not all known: there are the unique parts, and what
    two or more share.

    Parameters
    ----------
    joint : array of shape (...)
        R^2 of all spaces together.
    alone, without : array of shape (n_bands, ...)
        R^2 of each space alone, and of all others together.

    Returns
    -------
    dict of tuple of int to array of shape (...)
        Numbers of the spaces of each part, single ones first, all of them last; they add up to the
        joint R^2.
    """
    whole, single = np.asarray(joint, float), np.asarray(alone, float)
    rest = np.asarray(without, float)
    count = len(rest)
    found: dict[tuple[int, ...], NDArray[np.float64]] = {
        (band,): whole - rest[band] for band in range(count)
    }
    if count == 3:
        for first, second in ((0, 1), (0, 2), (1, 2)):
            (third,) = {0, 1, 2} - {first, second}
            found[first, second] = rest[first] + rest[second] - single[third] - whole
    found[tuple(range(count))] = whole - sum(found.values())
    return found


@dataclass(frozen=True)
class Partition:
    """Explained variance of several feature spaces on rows that no fit has seen.

    Attributes
    ----------
    joint : array of float64, shape (n_targets,)
        R^2 of all spaces together.
    split : array of float64, shape (n_bands, n_targets)
        Product measure: what each space's part of the prediction explains. Sums to ``joint``.
    unique : array of float64, shape (n_bands, n_targets)
        ``joint`` minus the R^2 of the best model without the space; may be negative.
    shared : array of float64, shape (n_targets,)
        ``joint`` minus all that is unique: explained by more than one space.
    """

    joint: NDArray[np.float64]
    split: NDArray[np.float64]
    unique: NDArray[np.float64]
    shared: NDArray[np.float64]


def explained_variance(prediction: ArrayLike, response: ArrayLike) -> NDArray[np.float64]:
    """Return R^2 of a prediction, both centred over the rows, as :func:`partition_variance` does.

    Parameters
    ----------
    prediction, response : array of shape (n_rows, n_targets)
        Of the same rows.

    Returns
    -------
    array of float64, shape (n_targets,)
        NaN for targets that are constant or hold a NaN.
    """
    predicted, measured = np.asarray(prediction), np.asarray(response)
    y = _centred(measured)
    power = np.where(constant_columns(measured), np.nan, (y**2).sum(axis=0))
    return np.asarray(1 - ((y - _centred(predicted)) ** 2).sum(axis=0) / power)


def partition_variance(parts: ArrayLike, without: ArrayLike, response: ArrayLike) -> Partition:
    """Divide explained variance among feature spaces.

    With ``y`` the response and ``p_b`` the parts of its prediction ``p = sum_b p_b``, all centred
    over the rows, the joint ``R^2 = 1 - sum (y - p)^2 / sum y^2`` is the sum of the product
    measures ``sum p_b (2 y - p) / sum y^2`` (Pratt 1987; Dupre la Tour et al. 2022). Centring makes
    a prediction that is off by a constant count as right, as Pearson r does.

    Parameters
    ----------
    parts : array of shape (n_bands, n_rows, n_targets)
        What each space contributes to the prediction.
    without : array of shape (n_bands, n_rows, n_targets)
        Prediction of the best model that does not have the space.
    response : array of shape (n_rows, n_targets)
        What was measured.

    Returns
    -------
    Partition
        NaN for targets that are constant or hold a NaN.
    """
    own, others, measured = np.asarray(parts), np.asarray(without), np.asarray(response)
    if own.ndim != 3 or own.shape != others.shape or own.shape[1:] != measured.shape:
        raise InputError(
            f"the parts have shape {own.shape}, the predictions without a space {others.shape} "
            f"and the response {measured.shape}",
            hint="Give (n_bands, n_rows, n_targets) twice and (n_rows, n_targets).",
        )
    y = _centred(measured)
    power = np.where(constant_columns(measured), np.nan, (y**2).sum(axis=0))
    bands = np.stack([_centred(part) for part in own])
    together = bands.sum(axis=0)
    split = np.stack([(band * (2 * y - together)).sum(axis=0) / power for band in bands])
    joint = 1 - ((y - together) ** 2).sum(axis=0) / power
    rest = np.stack([explained_variance(other, measured) for other in others])
    unique = joint - rest
    return Partition(joint, split, unique, joint - unique.sum(axis=0))


def _centred(values: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=0))
