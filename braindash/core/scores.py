"""How well a response is predicted, beside how well it could be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

CEILING_THRESHOLD = 0.4
_COLUMNS_AT_ONCE = 4096


def pearson_r(prediction: ArrayLike, response: ArrayLike) -> NDArray[np.float64]:
    """Correlate each column of a prediction with the same column of the response.

    Parameters
    ----------
    prediction, response : array of shape (n_rows, n_targets)
        Predicted and measured response.

    Returns
    -------
    array of float64, shape (n_targets,)
        Pearson r over rows; NaN where either column is constant or holds a NaN.
    """
    predicted, measured = np.asarray(prediction), np.asarray(response)
    if predicted.shape != measured.shape or predicted.ndim != 2 or not len(predicted):
        raise InputError(
            f"the prediction has shape {predicted.shape} and the response {measured.shape}",
            hint="Both must have the shape (n_rows, n_targets), at least one row.",
        )
    r = np.empty(predicted.shape[1])
    for columns in column_slices(predicted.shape[1]):
        a, b = unit_columns(predicted[:, columns]), unit_columns(measured[:, columns])
        r[columns] = np.einsum("ij,ij->j", a, b)
    return r


def normalised_score(
    r: ArrayLike,
    ceiling: ArrayLike,
    threshold: float = CEILING_THRESHOLD,
    *,
    chosen: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Divide scores by the noise ceiling, where there is one to speak of.

    Parameters
    ----------
    r : array of shape (..., n_targets)
        Pearson r.
    ceiling : array of shape (n_targets,)
        Noise ceiling of each target.
    threshold : float, default 0.4
        Targets whose ceiling is not above it get NaN.
    chosen : array of bool, shape (n_targets,), optional
        Targets that get a score, instead of those above the threshold.

    Returns
    -------
    array of float64, shape (..., n_targets)
        ``r / ceiling``, not clipped: values above 1 are possible and shown.
    """
    score, top = np.asarray(r, dtype=np.float64), np.asarray(ceiling, dtype=np.float64)
    if top.ndim != 1 or score.ndim < 1 or score.shape[-1] != len(top):
        raise InputError(
            f"r has shape {score.shape} and the ceiling {top.shape}",
            hint="The last axis of r and the ceiling must both count the targets.",
        )
    if not threshold >= 0:
        raise InputError(
            f"the ceiling threshold is {threshold}",
            hint="Give a number from 0 to 1; the default is 0.4.",
        )
    above = top > threshold if chosen is None else np.asarray(chosen)
    known = np.broadcast_to(above, score.shape)
    normalised = np.full(score.shape, np.nan)
    np.divide(score, top, out=normalised, where=known)
    return normalised


def zscore(a: ArrayLike, axis: int = 0) -> NDArray[np.floating]:
    """Subtract the mean and divide by the standard deviation along an axis.

    A constant column becomes zeros, so that a dead feature stays harmless in a design; where it
    must be told from a real one (a response), ask :func:`constant_columns` for the mask. A column
    with a NaN becomes NaN.

    Parameters
    ----------
    a : array
        Values, usually (n_rows, n_features) of one story.
    axis : int, default 0
        Axis of the rows.

    Returns
    -------
    array of the shape of ``a``
        float32 for float32 or float16 input, float64 otherwise; the arithmetic is in float64.
    """
    values = np.asarray(a)
    wide = values.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a column with an infinity becomes NaN
        centred = wide - wide.mean(axis=axis, keepdims=True)
    constant = np.expand_dims(constant_columns(values, axis=axis), axis)
    deviation = np.where(constant, 1.0, centred.std(axis=axis, keepdims=True))
    kept = np.float32 if values.dtype in (np.float32, np.float16) else np.float64
    return np.where(constant, 0.0, centred / deviation).astype(kept)


def pooled_statistics(
    stories: Sequence[ArrayLike],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the mean and the spread of features over several stories, for any other sound.

    A fit z-scores each feature over the rows of each story, so one unit of its weights is one
    standard deviation within a story. With :math:`m_i` and :math:`s_i` the mean and standard
    deviation over the :math:`n_i` rows of story i

    .. math:: m = \sum_i n_i m_i / \sum_i n_i, \quad s = \sqrt{\sum_i n_i s_i^2 / \sum_i n_i}

    Parameters
    ----------
    stories : sequence of array, each of shape (n_rows, n_features)
        Features that are not standardised.

    Returns
    -------
    mean, spread : array of float64, shape (n_features,)
        A spread of 0 is that of a feature that is constant within every story.
    """
    arrays = [np.asarray(one) for one in stories]
    rows = np.array([len(one) for one in arrays], dtype=np.float64)
    means = np.stack([one.mean(axis=0, dtype=np.float64) for one in arrays])
    variances = np.stack(
        [np.where(constant_columns(one), 0.0, one.astype(np.float64).var(axis=0)) for one in arrays]
    )
    total = rows.sum()
    return rows @ means / total, np.sqrt(rows @ variances / total)


def standardised(a: ArrayLike, mean: ArrayLike, spread: ArrayLike) -> NDArray[np.float32]:
    """Subtract a mean and divide by a spread that are known already; 0 where the spread is 0.

    Parameters
    ----------
    a : array of shape (n_rows, n_features)
    mean, spread : array of shape (n_features,)
        As of :func:`pooled_statistics`.

    Returns
    -------
    array of float32, shape (n_rows, n_features)
    """
    size = np.asarray(spread, dtype=np.float64)
    varies = size > 0
    centred = np.asarray(a, dtype=np.float64) - np.asarray(mean, dtype=np.float64)
    return np.where(varies, centred / np.where(varies, size, 1.0), 0.0).astype(np.float32)


def constant_columns(a: ArrayLike, axis: int = 0) -> NDArray[np.bool_]:
    """Tell which columns do not vary by more than the rounding of their type.

    Parameters
    ----------
    a : array
        Values, usually (n_rows, n_columns).
    axis : int, default 0
        Axis of the rows.

    Returns
    -------
    array of bool, of the shape of ``a`` without ``axis``
        True where the range is at most two units in the last place of the largest value; False
        for a column with a NaN or an infinity.
    """
    values = np.asarray(a)
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    low, high = values.min(axis=axis), values.max(axis=axis)
    finite = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        tolerance = 2 * np.finfo(values.dtype).eps * np.maximum(abs(low), abs(high))
        return np.asarray(finite & (high - low <= tolerance))


def unit_columns(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centre each column and give it length 1, so that r is the product of two columns.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
        Values, at least one row.

    Returns
    -------
    array of float64, shape (n_rows, n_columns)
        NaN in every row of a column that is constant or holds a NaN.
    """
    centred = values.astype(np.float64)
    centred -= centred.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    length[constant_columns(values) | (length == 0)] = np.nan
    return np.asarray(centred / length)


def column_slices(n_columns: int, at_once: int = _COLUMNS_AT_ONCE) -> Iterator[slice]:
    """Return all columns, a few thousand at a time, so that double precision copies stay small."""
    for start in range(0, n_columns, at_once):
        yield slice(start, min(start + at_once, n_columns))


COLUMNS = ("layer", "region", "value", "n_targets", "n_valid", "coverage")


def region_means(
    values: npt.ArrayLike,
    masks: Mapping[str, npt.NDArray[Any]],
    valid: npt.ArrayLike | None = None,
    sizes: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Average every layer's values over the valid targets of every region.

    Parameters
    ----------
    values : array of shape (n_layers, n_targets) or (n_targets,)
        Scores, in any unit; NaN where there is none.
    masks : mapping of str to bool array of shape (n_targets,)
        The targets of each region; regions may overlap. Floats are weights of the targets: the
        mean is a weighted one.
    valid : bool array of shape (n_targets,), optional
        Targets that may enter a mean, for example those above the ceiling threshold. All of
        them by default.
    sizes : mapping of str to int, optional
        What the weights of a region add up to where every target is valid; ``n_targets`` and
        ``n_valid`` count in the same unit. By default the sum of the weights.

    Returns
    -------
    pandas.DataFrame
        One row per layer and region, layer by layer, with the columns ``layer`` (0-based),
        ``region``, ``value`` (the mean, in the unit of ``values``; NaN without a valid target),
        ``n_targets`` (size of the region), ``n_valid`` (targets in the mean) and ``coverage``
        (n_valid / n_targets; NaN for an empty region).
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    n_layers, n_targets = table.shape
    allowed = _as_mask(np.ones(n_targets) if valid is None else valid, n_targets, "valid")
    rows: list[tuple[int, str, float, int, int, float]] = []
    for region, mask in masks.items():
        if np.asarray(mask).dtype.kind == "f":
            size = None if sizes is None else sizes[region]
            rows += _weighted_rows(table, region, np.asarray(mask), allowed, size)
            continue
        members = _as_mask(mask, n_targets, f"region {region!r}")
        own = table[:, members & allowed]  # most regions are a small part of the targets
        used = np.isfinite(own)
        n_members, n_valid = int(members.sum()), used.sum(axis=1)
        sums = np.where(used, own, 0.0).sum(axis=1)
        for layer in range(n_layers):
            count = int(n_valid[layer])
            value = sums[layer] / count if count else np.nan
            coverage = count / n_members if n_members else np.nan
            rows.append((layer, region, value, n_members, count, coverage))
    rows.sort(key=lambda row: row[0])  # stable: regions keep their order within a layer
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _weighted_rows(
    table: NDArray[np.float64],
    region: str,
    weights: NDArray[Any],
    allowed: NDArray[np.bool_],
    size: int | None,
) -> Iterator[tuple[int, str, float, int, int, float]]:
    """Return the rows of a region whose targets have weights."""
    if weights.shape != allowed.shape:
        _as_mask(weights, len(allowed), f"region {region!r}")  # which refuses them
    inside = np.flatnonzero(weights)
    values, given = table[:, inside], weights[inside].astype(np.float64)
    used = np.isfinite(values) & allowed[inside]
    known = used @ given
    sums = np.where(used, values, 0.0) @ given
    whole = float(given.sum()) if size is None else float(size)
    for layer, (total, weight) in enumerate(zip(sums, known, strict=True)):
        value = total / weight if weight > 0 else np.nan
        coverage = float(np.clip(weight / whole, 0.0, 1.0)) if whole else np.nan
        yield layer, region, value, round(whole), round(max(weight, 0.0)), coverage


def _as_mask(mask: npt.ArrayLike, n_targets: int, what: str) -> npt.NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.shape != (n_targets,):
        raise InputError(
            f"{what} has shape {array.shape}, but there are {n_targets} targets",
            hint="Give one true/false value per target of the scores.",
        )
    return array.astype(bool)
