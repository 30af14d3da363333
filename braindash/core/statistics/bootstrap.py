"""How far numbers would move with another stretch of story, or with other subjects.

Within a subject, blocks of test rows are drawn again; with several subjects, subjects are. torch is
imported where it is used only, so that a reader of stored samples does not pay for it.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from braindash.core.devices import find_device
from braindash.core.scores import unit_columns
from braindash.core.statistics.blocks import BLOCK_ROWS, check_block_rows, check_series
from braindash.core.timing import story_bounds
from braindash.errors import InputError

if TYPE_CHECKING:
    import torch

LEAST_UNITS = 3
"""Of fewer units there is no interval."""
_BOOTSTRAP_UNITS = 8
# When fewer samples than this share have a value, there is no interval.
_LEAST_KNOWN = 0.5
# Beside a variance of 1 over all rows, less than this in a sample is rounding of float32.
_LEAST_VARIANCE = 1e-5
# Numbers of each temporary array of samples: 4 MB.
_NUMBERS_AT_ONCE = 2**20


class PreferredLayers(NamedTuple):
    """Best layer of each target, and how sure that is.

    Attributes
    ----------
    layer : array of int16, shape (n_targets,)
        Layer with the highest r, the first of equals; -1 where no layer has an r.
    share : array of float32, shape (n_targets,)
        Share of the bootstrap samples in which the same layer is best; NaN without any.
    """

    layer: NDArray[np.int16]
    share: NDArray[np.float32]


def block_counts(
    n_rows: int,
    *,
    segments: ArrayLike | None = None,
    n_samples: int = 1000,
    block_rows: int = BLOCK_ROWS,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Draw blocks of rows with replacement, and count how often each row is drawn.

    Circular block bootstrap (Politis & Romano 1992): a block begins at any row with the same
    chance, and goes on at the first row of its segment where the segment ends. As many blocks
    are drawn, from all segments alike, as fill ``n_rows`` rows; the last one is cut off.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    segments : array of int, shape (n_rows,), optional
        Segment (test story) of each row; the rows of a segment stand together. None: one segment.
    n_samples : int, default 1000
        Number of samples.
    block_rows : int, default 10
        Rows of a block.
    seed : int, default 0
        The same rows, segments and seed give the same samples, so that samples of several models
        or subjects are paired.

    Returns
    -------
    array of float32, shape (n_samples, n_rows)
        How often each row is in each sample; every row of the array sums to ``n_rows``.
    """
    check_block_rows(n_rows, block_rows)
    if n_samples < 1:
        raise InputError(f"n_samples is {n_samples}", hint="Give 1 or more; the default is 1000.")
    first, size = np.zeros((2, n_rows), dtype=np.int64)
    for start, stop in story_bounds(segments, n_rows):
        first[start:stop], size[start:stop] = start, stop - start
    n_blocks = -(-n_rows // block_rows)
    begin = np.random.default_rng(seed).integers(n_rows, size=(n_samples, n_blocks, 1))
    steps = begin - first[begin] + np.arange(block_rows)
    drawn = (first[begin] + steps % size[begin]).reshape(n_samples, -1)[:, :n_rows]
    flat = drawn + n_rows * np.arange(n_samples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_samples * n_rows)
    return counts.reshape(n_samples, n_rows).astype(np.float32)


def bootstrap_r(
    predictions: ArrayLike,
    response: ArrayLike,
    counts: NDArray[np.float32],
    *,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Correlate predictions and response anew in every sample of rows.

    Parameters
    ----------
    predictions : array of float, shape (n_layers, n_rows, n_columns)
        Predicted response from every layer; a caller with many targets gives some at a time.
    response : array of float, shape (n_rows, n_columns)
        Measured response.
    counts : array of float32, shape (n_samples, n_rows)
        How often each row is in each sample, from :func:`block_counts`.
    device : str, default "cpu"
        Where the products are computed: "cpu", "cuda" or "auto".

    Returns
    -------
    array of float32, shape (n_samples, n_layers, n_columns)
        Pearson r, within 1e-5 of double precision; NaN where a column is constant or holds a NaN,
        and in samples in which it hardly varies.
    """
    import torch

    predicted, measured = check_series(predictions, response)
    n_layers, n_rows, n_columns = predicted.shape
    if counts.ndim != 2 or counts.shape[1] != n_rows:
        raise InputError(
            f"the counts have shape {counts.shape} for {n_rows} rows",
            hint="Give the result of block_counts for the same rows.",
        )
    torch_device = find_device(device)
    r = np.empty((len(counts), n_layers, n_columns), dtype=np.float32)
    at_once = max(1, _NUMBERS_AT_ONCE // len(counts))
    with torch.inference_mode():
        weights = torch.as_tensor(counts / n_rows, dtype=torch.float32, device=torch_device)
        for start in range(0, n_columns, at_once):
            columns = slice(start, start + at_once)
            y = _unit_variance(measured[:, columns], torch_device)
            mean_y, variance_y = _moments(weights, y)
            for layer in range(n_layers):
                x = _unit_variance(predicted[layer, :, columns], torch_device)
                mean_x, variance_x = _moments(weights, x)
                found = (weights @ (x * y)).addcmul_(mean_x, mean_y, value=-1)
                found.mul_(variance_x.mul_(variance_y).rsqrt_()).clamp_(-1, 1)
                r[:, layer, columns] = found.cpu().numpy()
    return r


def interval(
    samples: ArrayLike, *, level: float = 0.95, axis: int = 0, n_units: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of a bootstrap interval.

    Percentile interval; with ``n_units`` the expanded one (Hesterberg 2015), whose percentiles
    ``Phi(+-sqrt(n / (n - 1)) t)``, t the quantile of Student's distribution with n - 1 degrees of
    freedom, make up for the too small variance among samples of few units.

    Parameters
    ----------
    samples : array
        Bootstrap samples of anything.
    level : float, default 0.95
        Share of intervals that are meant to hold the true value.
    axis : int, default 0
        Axis of the samples.
    n_units : float, optional
        How many things were drawn: subjects, or blocks (n_rows / block_rows, need not be whole).
        None: plain percentiles.

    Returns
    -------
    low, high : array of float64, of the shape of ``samples`` without ``axis``
        NaN samples are passed over; NaN where fewer than half have a value.

    Notes
    -----
    Measured on simulated BOLD (TR 2 s, features and noise smoothed by the haemodynamic response,
    noise AR(1) of 0.3 and 0.6, 240 and 300 rows, blocks of 10, true r from 0 to 0.6): 95 %
    intervals of a target's r and of a region's mean r hold the true r of other stretches of the
    story in 92.7 to 95.2 % of the cases, plain percentiles in 90.9 to 93.7 %. The true r of this
    very stretch they hold in 92.9 to 98.2 %. Basic and Fisher-z basic intervals hold less, bias
    correction changes nothing.
    """
    values = np.asarray(samples)
    if values.dtype.kind != "f" or not values.ndim or not values.shape[axis]:
        raise InputError(
            f"the samples have shape {values.shape} and type {values.dtype}",
            hint="Give floats with at least one sample along the axis.",
        )
    if not 0 < level < 1:
        raise InputError(f"the level is {level}", hint="Give a share, for example 0.95.")
    tail = _tail((1 - level) / 2, n_units)
    ordered = np.sort(values, axis=axis)  # puts NaN last
    n_known = (~np.isnan(values)).sum(axis=axis, keepdims=True)
    enough = n_known >= _LEAST_KNOWN * values.shape[axis]
    low, high = (
        np.where(enough, _quantile(ordered, n_known, share, axis), np.nan).squeeze(axis)
        for share in (tail, 1 - tail)
    )
    return low, high


def interval_method(n_units: int) -> str:
    """Say how few units give an interval: "bootstrap" from eight on, "student", or "none".

    Percentiles of draws from fewer than eight cannot reach far enough; of fewer than three nothing
    can be said of others.
    """
    if n_units >= _BOOTSTRAP_UNITS:
        return "bootstrap"
    return "student" if n_units >= LEAST_UNITS else "none"


def interval_of_units(
    estimate: ArrayLike, samples: ArrayLike, n_units: int, *, level: float = 0.95, axis: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of an interval over units such as speakers, of which there may be few.

    Parameters
    ----------
    estimate : array
        What the samples are of.
    samples : array
        Bootstrap samples, units drawn with replacement.
    n_units : int
        How many units there are. From eight on it is :func:`interval`; for three to seven
        ``estimate +- t s sqrt(n / (n - 1))``, s the standard deviation of the samples and t the
        quantile of Student's distribution with n - 1 degrees of freedom; else NaN.
    level, axis
        As for :func:`interval`.

    Returns
    -------
    low, high : array of float64, of the shape of ``estimate``
    """
    middle, values = np.asarray(estimate, dtype=np.float64), np.asarray(samples)
    method = interval_method(n_units)
    if method == "bootstrap":
        return interval(values, level=level, axis=axis, n_units=n_units)
    if method == "none":
        return np.full(middle.shape, np.nan), np.full(middle.shape, np.nan)
    known = np.isfinite(values)
    count = known.sum(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=axis, keepdims=True) / count
        square = np.where(known, (values - mean) ** 2, 0.0).sum(axis=axis, keepdims=True) / count
    enough = count >= _LEAST_KNOWN * values.shape[axis]
    spread = np.sqrt(np.where(enough, square, np.nan) * n_units / (n_units - 1)).squeeze(axis)
    reach = float(stdtrit(n_units - 1, (1 + level) / 2)) * spread
    return middle - reach, middle + reach


def preferred_layers(r: ArrayLike, samples: NDArray[np.floating] | None = None) -> PreferredLayers:
    """Find the layer that predicts each target best, and how often it does so.

    Parameters
    ----------
    r : array of shape (n_layers, n_targets)
        Scores. A layer without one (NaN) is never the best.
    samples : array of float, shape (n_samples, n_layers, n_targets), optional
        Bootstrap samples of the scores. Targets do not depend on each other: a caller with many
        gives some at a time.

    Returns
    -------
    PreferredLayers
        ``layer`` and ``share``. Samples without any finite score do not count.
    """
    scores = np.asarray(r, dtype=np.float64)
    if scores.ndim != 2 or not len(scores):
        raise InputError(
            f"the scores have shape {scores.shape}", hint="Give (n_layers, n_targets)."
        )
    if samples is not None and (samples.ndim != 3 or samples.shape[1:] != scores.shape):
        raise InputError(
            f"the samples have shape {samples.shape}, the scores {scores.shape}",
            hint="Give samples of the shape (n_samples, n_layers, n_targets).",
        )
    scored = np.isfinite(scores)
    best = np.where(scored, scores, -np.inf).argmax(axis=0)
    layer = np.where(scored.any(axis=0), best, -1).astype(np.int16)
    share = np.full(len(layer), np.nan, dtype=np.float32)
    if samples is not None:
        found, known = _best_layers(samples)
        n_known = known.sum(axis=0)
        agreeing = ((found == best) & known).sum(axis=0)
        np.divide(agreeing, n_known, out=share, where=(layer >= 0) & (n_known > 0))
    return PreferredLayers(layer, share)


# ---- inner workings -------------------------------------------------------------------------


def _unit_variance(values: NDArray[np.floating], device: "torch.device") -> "torch.Tensor":
    """Centre and scale, so that sums in single precision lose nothing; NaN where constant."""
    import torch

    scaled = unit_columns(values) * np.sqrt(len(values))
    return torch.as_tensor(scaled.astype(np.float32), device=device)


def _moments(
    weights: "torch.Tensor", values: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Mean and variance in every sample, each (n_samples, n_columns); NaN variance for hardly any.

    A NaN in a row that a sample leaves out spoils that sample too: a column is valid or not.
    """
    import torch

    mean = weights @ values
    variance = (weights @ (values * values)).addcmul_(mean, mean, value=-1)
    return mean, torch.nn.functional.threshold(variance, _LEAST_VARIANCE, torch.nan, inplace=True)


def _tail(tail: float, n_units: float | None) -> float:
    """Widen the share of samples outside one end of an interval for few units."""
    if n_units is None:
        return tail
    if not n_units > 1:
        raise InputError(
            f"n_units is {n_units}",
            hint="Give the number of blocks or subjects drawn, more than one, or None.",
        )
    return float(ndtr(np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, tail)))


def _quantile(
    ordered: NDArray[np.floating], n_known: NDArray[np.int64], share: float, axis: int
) -> NDArray[np.float64]:
    """Interpolate between the first ``n_known`` ordered values, as numpy's quantile does."""
    # numpy.nanquantile would loop over every target in Python.
    place = share * np.maximum(n_known - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n_known - 1, 0))
    low, high = (np.take_along_axis(ordered, at, axis).astype(np.float64) for at in (below, above))
    return np.asarray(low + (place - below) * (high - low))


def _best_layers(
    samples: NDArray[np.floating],
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Find the best layer of every sample, and whether it has any, each (n_samples, n_targets)."""
    # Layer by layer: argmax over the middle axis would first copy all samples.
    best = np.full(samples[:, 0].shape, -np.inf, dtype=samples.dtype)
    found = np.zeros(best.shape, dtype=np.int16)
    for layer in range(samples.shape[1]):
        np.copyto(found, layer, where=samples[:, layer] > best)  # never for NaN
        np.fmax(best, samples[:, layer], out=best)
    return found, best > -np.inf
