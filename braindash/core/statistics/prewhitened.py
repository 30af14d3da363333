"""Which scores are higher than chance once the slow course of the response is taken out.

Slow drifts make two unrelated series look alike more often than any order of their blocks shows.
Here the response's own autocorrelation is fitted and taken out of response and predictions alike;
what is left is nearly white, and the mean and the spread of its correlation over all orders of its
blocks have a closed form, so that no order is drawn and the smallest p has no floor.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from braindash.core.devices import find_device
from braindash.core.drift import slow_cosines
from braindash.core.statistics.blocks import (
    BLOCK_ROWS,
    BlockLayout,
    LayerTests,
    block_layout,
    check_series,
)
from braindash.core.timing import story_bounds

AR_ORDER = 3
# Cosines with this many rows in a period, or more, count as drift: 256 s at a TR of 2 s.
DRIFT_ROWS = 128
# Numbers of each temporary array: 2 MB, which a processor keeps near.
_NUMBERS_AT_ONCE = 2**19
# Draws for the best of several layers; its p has a relative error of 3 % then.
_BEST_DRAWS = 512
# A column that varies less than this beside its size is constant but for rounding.
_LEAST_SPREAD = 1e-6
# What a variance of 1 is raised by, so that equal layers can be drawn.
_JITTER = 1e-8

Bounds = Sequence[tuple[int, int]]


class DifferenceTests(NamedTuple):
    """Tests whether two models predict a target equally well.

    Attributes
    ----------
    z : array of float64, shape (n_layers, n_columns)
        Standard normal where they do; above 0 where the first predicts better.
    p : array of float64, shape (n_layers, n_columns)
        Two-sided.
    """

    z: NDArray[np.float64]
    p: NDArray[np.float64]


def prewhitened_tests(
    predictions: ArrayLike,
    response: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    block_rows: int = BLOCK_ROWS,
    device: str = "cpu",
) -> LayerTests:
    """Test whether predictions and response share more than chance, beyond their slow course.

    Mean, trend and the cosines of 128 rows and more a period are taken out of each segment. An
    autoregressive model of order 3 is fitted to every column of the response (Yule-Walker, over
    all segments together) and applied to response and predictions within each segment, its first
    rows by the lower orders (Prais & Winsten 1954). Of the whitened pair, r is compared with its
    mean and variance over all orders of the blocks (Hoeffding 1951): with ``m_ij`` the product of
    block i of the prediction with block j of the response, and ``d_ij`` what is left of it without
    the means of its row and column, ::

        mean = sum_ij m_ij / n        var = f sum_ij d_ij^2 / (n - 1)
        z = atanh(r - mean) sqrt(1 / var - 2)        p = Phi(-z)

    for n blocks; 1 / var is the number of independent rows less one, and f = (rows - 1) / (rows -
    functions of drift - 3) makes up for what is fitted, which other orders of blocks do not fit.
    The best of several layers has ``p = P(max_l z_l >= the largest z)``, z normal with the
    correlations that the same orders give the layers: ``sum_ij d_ij d'_ij / sqrt(sum_ij d_ij^2
    sum_ij d'_ij^2)``.

    Parameters
    ----------
    predictions : array of float, shape (n_layers, n_rows, n_columns)
        Predicted response from every layer; a caller with many targets gives some at a time.
    response : array of float, shape (n_rows, n_columns)
        Measured response.
    segments : array of int, shape (n_rows,), optional
        Segment (test story) of each row; the rows of a segment stand together. None: one segment.
    block_rows : int, default 10
        Least length of a block.
    device : str, default "cpu"
        Where the products are computed: "cpu", "cuda" or "auto".

    Returns
    -------
    LayerTests
        NaN where the prediction or the response is constant or holds a NaN.

    Notes
    -----
    ``benchmarks/calibration/targets.py`` and ``layers.py`` print how often true nulls are rejected;
    the science page has their tables.
    """
    predicted, measured = check_series(predictions, response)
    layout = block_layout(len(measured), segments=segments, block_rows=block_rows)
    bounds = story_bounds(segments, len(measured))
    torch_device, n_taken = find_device(device), _n_taken(bounds, layout)
    n_layers, _, n_columns = predicted.shape
    p, best = np.full((n_layers, n_columns), np.nan), np.full(n_columns, np.nan)
    valid = _varies(predicted) & _varies(measured)
    at_once = max(1, _NUMBERS_AT_ONCE // (n_layers * max(len(layout.starts) ** 2, _BEST_DRAWS)))
    for start in range(0, n_columns, at_once):
        columns = slice(start, start + at_once)
        x = _series(predicted[..., columns], torch_device, bounds)
        y = _series(measured[..., columns], torch_device, bounds)
        filters = _filters(y, bounds)
        x, y = (_units(_whitened(one, filters, bounds), layout) for one in (x, y))
        z, correlation = _over_all_orders(x, y, len(layout.starts), n_taken)
        known = torch.as_tensor(valid[:, columns].T, device=torch_device) & z.isfinite()
        z = torch.where(known, z, -torch.inf)
        tops = _exceedance(z, torch.where(known[:, :, None] & known[:, None], correlation, 0.0))
        scored = known.cpu().numpy()
        p[:, columns] = np.where(scored, ndtr(-z.cpu().numpy()), np.nan).T
        best[columns] = np.where(scored.any(axis=1), tops, np.nan)
    return LayerTests(p, best)


def prewhitened_difference(
    a: ArrayLike,
    b: ArrayLike,
    response: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    block_rows: int = BLOCK_ROWS,
    device: str = "cpu",
) -> DifferenceTests:
    """Test whether two models predict a response equally well, paired row by row.

    The autoregressive model is fitted to what the two models together, as their sum, do not
    predict, and taken out of all three.
    Of whitened predictions of unit length, r_a = r_b exactly where the response is orthogonal to
    their difference ``a - b`` (Pitman 1939; Morgan 1939), which is orthogonal to their sum. What
    the sum predicts is the models' common success: it is taken out of the response (Freedman &
    Lane 1983), and the correlation of the rest with ``a - b`` is compared with its moments over
    all orders of blocks, as in :func:`prewhitened_tests`.

    Parameters
    ----------
    a, b : array of float, shape (n_layers, n_rows, n_columns)
        Predictions of the two models, of pairs of layers.
    response, segments, block_rows, device
        As for :func:`prewhitened_tests`.

    Returns
    -------
    DifferenceTests
        NaN where a prediction or the response is constant or holds a NaN, or where both
        predictions are the same.
    """
    first, measured = check_series(a, response)
    second, _ = check_series(b, response)
    layout = block_layout(len(measured), segments=segments, block_rows=block_rows)
    bounds = story_bounds(segments, len(measured))
    torch_device, n_blocks = find_device(device), len(layout.starts)
    n_taken = _n_taken(bounds, layout)
    z = np.full((len(first), measured.shape[1]), np.nan)
    valid = _varies(first) & _varies(second) & _varies(measured)
    at_once = max(1, _NUMBERS_AT_ONCE // n_blocks**2)
    for start in range(0, measured.shape[1], at_once):
        columns = slice(start, start + at_once)
        y = _series(measured[:, columns], torch_device, bounds)
        for layer, pair in enumerate(zip(first, second, strict=True)):
            one, two = (_series(series[:, columns], torch_device, bounds) for series in pair)
            apart, left = _apart(one, two, y, bounds, layout)
            found, _ = _over_all_orders(apart[None], left, n_blocks, n_taken + 1)
            z[layer, columns] = found[:, 0].cpu().numpy()
    z[~valid] = np.nan
    return DifferenceTests(z, 2 * ndtr(-np.abs(z)))


# ---- whitening ------------------------------------------------------------------------------


class _Filters(NamedTuple):
    """Autoregressive models of every order from 0 up.

    Attributes
    ----------
    coefficients : tensor of shape (1 + AR_ORDER, AR_ORDER, n_columns)
        What the rows before are multiplied with, the nearest first, by order.
    spread : tensor of shape (1 + AR_ORDER, n_columns)
        Standard deviation of what each order leaves.
    """

    coefficients: torch.Tensor
    spread: torch.Tensor


def _filters(noise: torch.Tensor, bounds: Bounds) -> _Filters:
    """Fit autoregressive models to columns (n_rows, n_columns), without drift.

    Levinson-Durbin on the autocovariances of all segments, divided by the number of all rows:
    the models are stable, whatever the data.
    """
    n_rows, n_columns = noise.shape
    noise = noise.double()  # their determinants are differences of much larger numbers
    lags = [
        sum(
            ((noise[a : b - lag] * noise[a + lag : b]).sum(dim=0) for a, b in bounds),
            start=noise.new_zeros(n_columns),
        )
        / n_rows
        for lag in range(AR_ORDER + 1)
    ]
    coefficients = noise.new_zeros(AR_ORDER + 1, AR_ORDER, n_columns)
    variance = [lags[0]]
    for order in range(1, AR_ORDER + 1):
        before = coefficients[order - 1, : order - 1]
        foretold = sum(
            (before[step] * lags[order - 1 - step] for step in range(order - 1)),
            start=noise.new_zeros(n_columns),
        )
        new = (lags[order] - foretold) / variance[-1]
        coefficients[order, : order - 1] = before - new * before.flip(0)
        coefficients[order, order - 1] = new
        variance.append(variance[-1] * (1 - new * new))
    spread = torch.stack(variance).clamp_(min=0).sqrt()
    return _Filters(coefficients.float(), spread.float())


def _whitened(series: torch.Tensor, filters: _Filters, bounds: Bounds) -> torch.Tensor:
    """Subtract what the rows before foretell, of (..., n_rows, n_columns), segment by segment."""
    left = series.clone()
    for a, b in bounds:
        for row in range(min(AR_ORDER, b - a)):  # fewer rows before: a lower order, rescaled
            for step in range(row):
                before = series[..., a + row - 1 - step, :]
                left[..., a + row, :] -= filters.coefficients[row, step] * before
            left[..., a + row, :] *= filters.spread[AR_ORDER] / filters.spread[row]
        for step in range(AR_ORDER):
            before = series[..., a + AR_ORDER - 1 - step : b - 1 - step, :]
            if before.shape[-2]:
                left[..., a + AR_ORDER : b, :] -= filters.coefficients[AR_ORDER, step] * before
    return left


def _apart(
    one: torch.Tensor, two: torch.Tensor, y: torch.Tensor, bounds: Bounds, layout: BlockLayout
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what two predictions differ by, and the response without what they share.

    All (n_rows, n_columns), without drift; both results whitened, of the used rows.
    """
    whole = _length_one(y)
    shared, _ = _sum_and_gap(_length_one(one), _length_one(two))
    filters = _filters(_without(whole, shared), bounds)
    one, two = (_units(_whitened(series, filters, bounds), layout) for series in (one, two))
    shared, apart = _sum_and_gap(one, two)
    left = _without(_units(_whitened(y, filters, bounds), layout), shared)
    return apart, _length_one(left)


def _sum_and_gap(one: torch.Tensor, two: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sum and difference of columns of length one, orthogonal, of length one each."""
    gap = one - two
    same = (gap * gap).sum(dim=0) < _LEAST_SPREAD**2
    return _length_one(one + two), torch.where(same, torch.nan, _length_one(gap))


def _without(series: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Take the part along columns of length one out; all of a column that has none."""
    along = unit.nan_to_num(nan=0.0)
    return series - along * (along * series).sum(dim=0)


# ---- all orders of blocks -------------------------------------------------------------------


def _over_all_orders(
    x: torch.Tensor, y: torch.Tensor, n_blocks: int, n_taken: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare r with its moments over all orders of the response's blocks.

    Parameters
    ----------
    x : tensor of shape (n_layers, n_used, n_columns)
        Columns of mean 0 and length 1.
    y : tensor of shape (n_used, n_columns)
        Likewise.
    n_blocks : int
        Number of blocks, of equal length.
    n_taken : int
        Numbers that were fitted to the series beside their mean: other orders of blocks fit them
        less well, so that the variance over orders is too small by their share of the rows.

    Returns
    -------
    z : tensor of shape (n_columns, n_layers)
    correlation : tensor of shape (n_columns, n_layers, n_layers)
        Of the layers' null r.
    """
    n_layers, n_used, n_columns = x.shape
    length = n_used // n_blocks
    rows = x.view(n_layers, n_blocks, length, n_columns).permute(3, 0, 1, 2)
    by_row = rows.reshape(n_columns, n_layers * n_blocks, length)
    by_column = y.view(n_blocks, length, n_columns).permute(2, 1, 0)
    m = (by_row @ by_column).view(n_columns, n_layers, n_blocks, n_blocks)
    r = m.diagonal(dim1=-2, dim2=-1).sum(dim=-1).double()
    row_means, column_means = m.mean(dim=-1, keepdim=True), m.mean(dim=-2, keepdim=True)
    mean = row_means.mean(dim=-2, keepdim=True)
    # In double precision: rounded, the products of layers that predict much the same are those of
    # no normals at all.
    d = (m - row_means - column_means + mean).flatten(2).double()
    products = d @ d.transpose(1, 2)
    size = products.diagonal(dim1=-2, dim2=-1)
    n_independent = (n_blocks - 1) / size * max(n_used - 1 - n_taken, 1) / (n_used - 1)
    gap = (r - n_blocks * mean[:, :, 0, 0]).clamp(-1 + 1e-7, 1 - 1e-7)
    # With two or three blocks the variance can be as large as that of two rows.
    z = gap.atanh() * (n_independent - 2).maximum(n_independent / 2).sqrt()
    correlation = products / (size[:, :, None] * size[:, None]).sqrt()
    return z, correlation


def _exceedance(z: torch.Tensor, correlation: torch.Tensor) -> NDArray[np.float64]:
    """Return the chance that the largest of correlated normals is as large as the largest z.

    ``P(max z >= t) = Phi(-t) sum_l E[1 / number of z >= t | z_l >= t]``: every term is drawn, but
    the small factor is exact, so that the relative error is the same in the far tail (Naiman &
    Priebe 2001).

    Parameters
    ----------
    z : tensor of shape (n_columns, n_layers)
        -inf for a layer without a score.
    correlation : tensor of shape (n_columns, n_layers, n_layers)
        0 in rows and columns of a layer without a score.
    """
    n_layers = z.shape[1]
    top = z.max(dim=1).values.cpu().numpy()
    tail = ndtr(-top)
    if n_layers == 1:
        return np.asarray(tail)
    n_draws = -(-_BEST_DRAWS // n_layers)
    rng = np.random.default_rng(0)  # part of the method: every target has the same draws
    white = z.new_tensor(rng.standard_normal((n_draws, n_layers)), dtype=torch.float32)
    ranks = z.new_tensor((rng.permutation(n_draws) + 0.5) / n_draws)
    # Layers that predict the same leave no full rank.
    jitter = _JITTER * torch.eye(n_layers, dtype=z.dtype, device=z.device)
    root, _ = torch.linalg.cholesky_ex(correlation + jitter)
    # (n_columns, n_layers, n_draws): how far every layer lies below the largest z.
    drawn = root.float() @ white.T - z.new_tensor(top, dtype=torch.float32)[:, None, None]
    beyond = -torch.special.ndtri(ranks * z.new_tensor(tail)[:, None]) - z.new_tensor(top)[:, None]
    beyond, given = beyond.float(), correlation.float()
    total = z.new_zeros(len(z))
    for layer in range(n_layers):
        shift = beyond - drawn[:, layer]
        others = (torch.addcmul(drawn, given[:, layer, :, None], shift[:, None]) >= 0).sum(dim=1)
        term = (1.0 / others.clamp(min=1)).mean(dim=1)
        total += torch.where(z[:, layer].isfinite(), term, 0.0)
    return np.asarray(np.minimum(tail * total.cpu().numpy(), 1.0))


# ---- small parts ----------------------------------------------------------------------------


def _varies(series: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which columns of (..., n_rows, n_columns) are finite and not constant."""
    low, high = series.min(axis=-2), series.max(axis=-2)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(low + high) & (high > low))


def _series(values: NDArray[np.floating], device: torch.device, bounds: Bounds) -> torch.Tensor:
    """Take drift out of (..., n_rows, n_columns): each segment's mean, trend, slowest cosines.

    Columns are centred before they become single precision.
    """
    mean = values.mean(axis=-2, keepdims=True, dtype=np.float64).astype(values.dtype)
    series = torch.as_tensor((values - mean).astype(np.float32, copy=False), device=device)
    left = []
    for a, b in bounds:
        drift = series.new_tensor(_drift(b - a))
        left.append(series[..., a:b, :] - drift @ (drift.T @ series[..., a:b, :]))
    return torch.cat(left, dim=-2)


def _drift(n_rows: int) -> NDArray[np.float64]:
    """Return an orthonormal basis of a segment's drift, (n_rows, n_functions).

    The mean; from a quarter of a period on the trend; the cosines of DRIFT_ROWS and more a period.
    """
    rows = np.arange(n_rows)
    functions = [np.ones(n_rows)]
    if n_rows >= DRIFT_ROWS // 4:
        functions.append(rows - rows.mean())
    slow = slow_cosines(n_rows, DRIFT_ROWS)
    return np.asarray(np.linalg.qr(np.column_stack([*functions, slow]))[0], dtype=np.float64)


def _n_taken(bounds: Bounds, layout: BlockLayout) -> int:
    """Count what is fitted beside one mean: drift of each segment with blocks, the AR model."""
    sizes = [b - a for a, b in bounds if b - a >= layout.length]
    return sum(int(_drift(size).shape[1]) for size in sizes) - 1 + AR_ORDER


def _length_one(series: torch.Tensor) -> torch.Tensor:
    return series / (series * series).sum(dim=-2, keepdim=True).sqrt()


def _units(series: torch.Tensor, layout: BlockLayout) -> torch.Tensor:
    """Return the rows of all blocks, centred and of length one."""
    used = series[..., torch.as_tensor(layout.rows, device=series.device), :]
    return _length_one(used - used.mean(dim=-2, keepdim=True))
