"""Which scores are higher than chance, when neighbouring rows are alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.devices import find_device
from braindash.core.scores import unit_columns
from braindash.core.statistics.blocks import (
    BLOCK_ROWS,
    LayerTests,
    block_layout,
    check_block_rows,
    check_series,
)
from braindash.core.timing import story_bounds
from braindash.errors import InputError, near_match

SCHEMES = ("blocks", "shift")
# Numbers of each temporary array: 4 MB, or 16 MB where a story has very many blocks.
_NUMBERS_AT_ONCE = 2**20
_LEAST_COLUMNS = 16


def permutation_tests(
    predictions: ArrayLike,
    response: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    n_permutations: int = 1000,
    block_rows: int = BLOCK_ROWS,
    scheme: str = "blocks",
    seed: int = 0,
    device: str = "cpu",
) -> LayerTests:
    """Test whether r is larger than it would be for a response in another order.

    One-sided: ``p = (1 + #{null r >= r}) / (1 + number of null r)`` (Phipson & Smyth 2010), r and
    null r from the same rows. Two schemes keep the likeness of neighbouring rows in the null:

    - "blocks" puts the blocks of :func:`braindash.core.statistics.blocks.block_layout` in random
    orders, also
      across segments (Good 2000; for BOLD, Nichols & Holmes 2002). Left-over rows are in neither r
      nor null.
    - "shift" shifts the response circularly within each segment by ``block_rows`` or more to both
      sides. One segment has no more than ``n_rows - 2 block_rows + 1`` such shifts, which bounds p
      from below: 272 shifts allow p = 0.0037 at best. Where there are no more of them (of their
      combinations, for several segments) than ``n_permutations``, each is taken once, else
      ``n_permutations`` at random. Segments shorter than two blocks are left out.

    The best of several layers is compared with the best of each order: the largest r of all
    layers, which move together (Westfall & Young 1993).

    Parameters
    ----------
    predictions : array of float, shape (n_layers, n_rows, n_columns)
        Predicted response from every layer; a caller with many targets gives some at a time.
    response : array of float, shape (n_rows, n_columns)
        Measured response, standardised within each segment when there are several.
    segments : array of int, shape (n_rows,), optional
        Segment (test story) of each row; the rows of a segment stand together. None: one segment.
    n_permutations : int, default 1000
        Number of null values.
    block_rows : int, default 10
        Least length of a block, or least shift.
    scheme : {"blocks", "shift"}
        How the null is made.
    seed : int, default 0
        The same seed, rows and segments give the same orders, whatever the columns.
    device : str, default "cpu"
        Where the products are computed: "cpu", "cuda" or "auto".

    Returns
    -------
    LayerTests
        NaN where the prediction or the response is constant or holds a NaN.

    Notes
    -----
    Without any effect, p <= 0.05 in 5.7 % of simulated columns ("shift": 5.4 %), from 4.7 to 6.7 %
    (4.7 to 6.1 %) over 60 kinds: 240 to 300 rows of 2 s, predictions and responses smoothed by the
    haemodynamic response or AR(1) of 0.3 and 0.6, blocks of 10; with single rows in 15 %. The
    seams between blocks, which are no neighbours, make the null of "blocks" a little too narrow;
    slow drifts make it worse (AR(1) of 0.95 in both: 16 %, "shift" 8 %), so detrend responses.
    """
    predicted, measured = check_series(predictions, response)
    if scheme not in SCHEMES:
        raise InputError(f"unknown scheme {scheme!r}", hint=near_match(str(scheme), SCHEMES))
    if n_permutations < 1:
        raise InputError(
            f"n_permutations is {n_permutations}", hint="Give 1 or more; the default is 1000."
        )
    check_block_rows(len(measured), block_rows)
    make = _block_orders if scheme == "blocks" else _shifts
    null = make(len(measured), segments, block_rows, n_permutations, np.random.default_rng(seed))
    torch_device = find_device(device)
    measured = _used(measured, null.rows)
    p = np.empty((len(predicted), measured.shape[1]))
    shape = len(null.selection), measured.shape[1]
    highest = torch.full(shape, torch.nan, dtype=torch.float32, device=torch_device)
    for layer, values in enumerate(predicted):
        p[layer] = _p_values(_used(values, null.rows), measured, null, highest)
    return LayerTests(p, _share_reached(highest))


def permutation_p_values(
    predictions: ArrayLike, response: ArrayLike, **options: Any
) -> NDArray[np.float64]:
    """Return ``p`` of :func:`permutation_tests` alone, (n_layers, n_columns)."""
    return permutation_tests(predictions, response, **options).p


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Turn the p values of each layer into q values over its targets.

    Calling all targets with q <= 0.05 significant keeps the expected share of false ones among
    them at 5 % or less (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p : array of shape (n_layers, n_targets) or (n_targets,)
        p values of all targets; NaN where there is none.

    Returns
    -------
    array of float64, of the shape of ``p``
        q; NaN where p is.

    Notes
    -----
    The least p of n permutations is 1 / (n + 1). For any q <= 0.05, at least a share of
    20 / (n + 1) of the targets must reach it: 2 % with 1000 permutations.
    """
    from scipy.stats import false_discovery_control  # takes a second to load; pages rarely ask

    values = np.asarray(p, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise InputError(
            f"the p values have shape {values.shape}",
            hint="Give (n_layers, n_targets), or (n_targets,) for one layer.",
        )
    q = np.full(values.shape, np.nan)
    for given, found in zip(np.atleast_2d(values), np.atleast_2d(q), strict=True):
        known = np.isfinite(given)
        if known.any():
            found[known] = false_discovery_control(given[known], method="bh")
    return q


@dataclass(frozen=True)
class _Null:
    """How every null r is a sum of few products of a prediction's with a response's parts.

    Attributes
    ----------
    rows : array of int64, shape (n_used,)
        Rows that enter r and null r.
    selection : array of int64, shape (1 + n_null, n_terms)
        Which products to add; first those that make r itself.
    products : callable
        Makes all products, (n_products, n_columns), of two (n_used, n_columns).
    n_products : int
        Their number.
    """

    rows: NDArray[np.int64]
    selection: NDArray[np.int64]
    products: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    n_products: int


def _block_orders(
    n_rows: int,
    segments: ArrayLike | None,
    block_rows: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> _Null:
    """Draw orders of the response's blocks; products are those of each block with each."""
    layout = block_layout(n_rows, segments=segments, block_rows=block_rows)
    n_blocks = len(layout.starts)
    place = np.arange(n_blocks)
    orders = rng.permuted(np.tile(place, (n_permutations, 1)), axis=1)
    selection = place * n_blocks + np.concatenate([place[None], orders])
    products = partial(_block_products, n_blocks=n_blocks)
    return _Null(layout.rows, selection, products, n_blocks**2)


def _shifts(
    n_rows: int,
    segments: ArrayLike | None,
    block_rows: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> _Null:
    """Draw circular shifts of the response; products are those at each lag of each segment."""
    bounds = [(a, b) for a, b in story_bounds(segments, n_rows) if b - a >= 2 * block_rows]
    if not bounds:
        raise InputError(
            f"no segment is as long as two blocks of {block_rows} rows",
            hint="Give a smaller block_rows, or longer test stories.",
        )
    sizes = [stop - start for start, stop in bounds]
    lags = [range(block_rows, size - block_rows + 1) for size in sizes]
    if math.prod(map(len, lags)) <= n_permutations:
        drawn = np.array(list(product(*lags)))
    else:
        drawn = np.stack([rng.choice(one, n_permutations) for one in lags], axis=1)
    first = np.cumsum([0, *sizes[:-1]])
    selection = first + np.concatenate([np.zeros((1, len(sizes)), dtype=np.int64), drawn])
    rows = np.concatenate([np.arange(start, stop) for start, stop in bounds])
    return _Null(rows, selection, partial(_lag_products, sizes=sizes), len(rows))


def _block_products(a: torch.Tensor, b: torch.Tensor, *, n_blocks: int) -> torch.Tensor:
    blocks_a, blocks_b = (x.view(n_blocks, -1, x.shape[1]) for x in (a, b))
    total = a.new_zeros(n_blocks, n_blocks, a.shape[1])
    for row in range(blocks_a.shape[1]):
        total.addcmul_(blocks_a[:, None, row], blocks_b[None, :, row])
    return total.view(n_blocks**2, -1)


def _lag_products(a: torch.Tensor, b: torch.Tensor, *, sizes: list[int]) -> torch.Tensor:
    """Correlate circularly: entry k of a segment is the sum of ``a[t] b[t + k]``."""
    pairs = zip(torch.split(a, sizes), torch.split(b, sizes), sizes, strict=True)
    return torch.cat(
        [
            torch.fft.irfft(torch.fft.rfft(x, dim=0).conj() * torch.fft.rfft(y, dim=0), n, dim=0)
            for x, y, n in pairs
        ]
    )


def _used(values: NDArray[np.floating], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return columns of length 1 over the used rows; NaN as r, also for a NaN in another row."""
    units = unit_columns(values[rows])
    units[:, ~np.isfinite(values).all(axis=0)] = np.nan
    return units


def _p_values(
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    null: _Null,
    highest: torch.Tensor,
) -> NDArray[np.float64]:
    """Test the columns of one layer, both of length 1 or NaN.

    ``highest`` (1 + n_null, n_columns), the largest r of the layers so far, takes this one's up.
    """
    n_columns, device = predicted.shape[1], highest.device
    selection = torch.as_tensor(null.selection, device=device)
    at_once = max(_LEAST_COLUMNS, _NUMBERS_AT_ONCE // max(null.n_products, len(selection)))
    p = np.empty(n_columns)
    with torch.inference_mode():
        for start in range(0, n_columns, at_once):
            columns = slice(start, start + at_once)
            a, b = (
                torch.as_tensor(x[:, columns].astype(np.float32), device=device)
                for x in (predicted, measured)
            )
            r = torch.nn.functional.embedding_bag(selection, null.products(a, b), mode="sum")
            p[columns] = _share_reached(r)
            highest[:, columns] = torch.fmax(highest[:, columns], r)
    return p


def _share_reached(r: torch.Tensor) -> NDArray[np.float64]:
    """Return the share of (1 + n_null, n_columns) that is as large as the first, r itself."""
    share = (r >= r[:1]).sum(dim=0).double() / len(r)
    return np.asarray(torch.where(r[0].isnan(), torch.nan, share).cpu().numpy())
