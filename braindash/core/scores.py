"""How well a response is predicted, beside how well it could be."""

from collections.abc import Iterator

import numpy as np
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
    r: ArrayLike, ceiling: ArrayLike, threshold: float = CEILING_THRESHOLD
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
    known = np.broadcast_to(top > threshold, score.shape)
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
    centred = wide - wide.mean(axis=axis, keepdims=True)
    constant = np.expand_dims(constant_columns(values, axis=axis), axis)
    deviation = np.where(constant, 1.0, centred.std(axis=axis, keepdims=True))
    kept = np.float32 if values.dtype in (np.float32, np.float16) else np.float64
    return np.where(constant, 0.0, centred / deviation).astype(kept)


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


def column_slices(n_columns: int) -> Iterator[slice]:
    """Give all columns, a few thousand at a time, so that double precision copies stay small."""
    for start in range(0, n_columns, _COLUMNS_AT_ONCE):
        yield slice(start, min(start + _COLUMNS_AT_ONCE, n_columns))
