"""What every ridge solver is given: checked features, folds of rows, prepared responses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.delays import check_delays, source_rows, story_bounds
from braindash.core.scores import constant_columns
from braindash.errors import InputError, near_match

Fold = tuple[int, int]

FOLDS = ("story", "chunk")
CHUNK_ROWS = 20
_LEAST_STORIES = 3
# Within a fold, a target of unit variance that varies less than this is constant there.
_CONSTANT_POWER = 1e-12
# Beside the mean that centring takes off an operator, no more than this is rounding.
_CENTRING_ROUNDING = 1e-12


@dataclass(frozen=True)
class Design:
    """Features of some stories and the rows that their delays take them from.

    Attributes
    ----------
    features : Tensor of float64, shape (n_rows, n_features)
        Undelayed features.
    rows : Tensor of int64, shape (n_delays, n_rows)
        Source row of each delayed row, ``n_rows`` meaning zeros.
    bounds : list of (start, stop)
        Rows of each story.
    """

    features: torch.Tensor
    rows: torch.Tensor
    bounds: list[tuple[int, int]]

    def delayed(self) -> torch.Tensor:
        """Return the delayed features, float64, (n_rows, n_features * n_delays)."""
        padded = torch.nn.functional.pad(self.features, (0, 0, 0, 1))
        return torch.cat([padded[row] for row in self.rows], dim=1)


@dataclass(frozen=True)
class Block:
    """Some targets, ready for products: unit variance, centred when there is an intercept.

    Attributes
    ----------
    columns : slice
        The targets.
    values : Tensor of float32, shape (n_rows, n_columns)
        Responses; zeros for unusable targets.
    fold_mean : Tensor of float32, shape (n_folds, n_columns)
        Mean over the rows of each fold.
    fold_power : Tensor of float32, shape (n_folds, n_columns)
        Sum of squares about that mean; exactly 0 where the target is constant within the fold.
    """

    columns: slice
    values: torch.Tensor
    fold_mean: torch.Tensor
    fold_power: torch.Tensor


@dataclass(frozen=True)
class Responses:
    """All targets in blocks, and what is needed to return to their units.

    Attributes
    ----------
    blocks : list of Block
        The targets, in order.
    mean, scale : array of float64, shape (n_targets,)
        A prediction of the prepared target, times ``scale``, plus ``mean``, has the target's units.
    valid : array of bool, shape (n_targets,)
        False for targets that are constant or hold a NaN or an infinity.
    """

    blocks: list[Block]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    valid: NDArray[np.bool_]


def make_design(
    X: ArrayLike, groups: ArrayLike | None, delays: Sequence[int], device: torch.device, name: str
) -> Design:
    """Check features and stories and move them to the device (``name`` is for the errors)."""
    features = np.asarray(X)
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiub":
        raise InputError(
            f"{name} has shape {features.shape} and type {features.dtype}",
            hint="Give numbers of shape (n_rows, n_features), at least one row and one feature.",
        )
    wide = torch.as_tensor(features.astype(np.float64), device=device)
    finite = torch.isfinite(wide)
    if not bool(finite.all()):
        bad = (~finite).any(dim=0)
        raise InputError(
            f"{name} holds NaN or infinite values in {int(bad.sum())} of {len(bad)} features, "
            f"the first in column {int(bad.nonzero()[0])}",
            hint="Remove those rows or features, or extract the features again.",
        )
    bounds = story_bounds(groups, len(features))
    rows = source_rows(bounds, check_delays(delays), len(features))
    return Design(wide, torch.as_tensor(rows, device=device), bounds)


def make_folds(bounds: Sequence[tuple[int, int]], folds: str) -> list[Fold]:
    """Choose the rows to leave out together.

    Parameters
    ----------
    bounds : sequence of (start, stop)
        Rows of each story.
    folds : {"story", "chunk"}
        Leave one story out, or ``CHUNK_ROWS`` consecutive rows of a story. With fewer than three
        stories "story" means "chunk".

    Returns
    -------
    list of (start, stop)
        Rows of each fold; together all rows, each once.
    """
    if folds not in FOLDS:
        raise InputError(f"unknown folds {folds!r}", hint=near_match(str(folds), FOLDS))
    if folds == "story" and len(bounds) >= _LEAST_STORIES:
        return list(bounds)
    chunks = [chunk for start, stop in bounds for chunk in _chunks(start, stop)]
    if len(chunks) < 2:
        raise InputError(
            f"{bounds[-1][1]} rows are too few to choose alpha by cross-validation",
            hint=f"Give at least {2 * CHUNK_ROWS} rows, better three stories or more.",
        )
    return chunks


def _chunks(start: int, stop: int) -> Iterator[Fold]:
    """Cut a story into chunks; a rest of less than half a chunk joins the last one."""
    count = max(1, (stop - start + CHUNK_ROWS // 2) // CHUNK_ROWS)
    edges = [start + CHUNK_ROWS * number for number in range(count)] + [stop]
    yield from zip(edges[:-1], edges[1:], strict=True)


def check_responses(Y: Any, n_rows: int, name: str, n_targets: int | None = None) -> Any:
    """Return responses as something with a shape and columns, or say what is wrong with them.

    Parameters
    ----------
    Y : array-like of shape (n_rows, n_targets)
        Responses; an open HDF5 data set or a memory map is left where it is.
    n_rows : int
        Rows of the features.
    name : str
        Name of the argument, for the errors.
    n_targets : int, optional
        How many targets there must be.

    Returns
    -------
    array-like of shape (n_rows, n_targets)
        ``Y``, or an array made of it.
    """
    array = Y if hasattr(Y, "shape") and hasattr(Y, "dtype") else np.asarray(Y)
    shape, kind = tuple(array.shape), np.dtype(array.dtype).kind
    if len(shape) != 2 or shape[0] != n_rows or shape[1] == 0 or kind not in "fiub":
        raise InputError(
            f"{name} has shape {shape} and type {array.dtype}; the features have {n_rows} rows",
            hint=f"Give numbers of shape ({n_rows}, n_targets), rows in the order of the features.",
        )
    if n_targets is not None and shape[1] != n_targets:
        raise InputError(
            f"{name} has {shape[1]} targets and Y has {n_targets}",
            hint="Give the same targets in the same order for training and test.",
        )
    return array


def prepare_responses(
    Y: Any, folds: Sequence[Fold], *, intercept: bool, device: torch.device, block_columns: int
) -> Responses:
    """Cut responses into blocks of targets, centre and scale them.

    Parameters
    ----------
    Y : array-like of shape (n_rows, n_targets)
        Responses; only slices of columns are read, so a file-backed array is never held whole.
    folds : sequence of (start, stop)
        Rows of each fold.
    intercept : bool
        Whether to subtract each target's mean, which an exact intercept gives back.
    device : torch.device
        Where the blocks will live.
    block_columns : int
        Targets per block.

    Returns
    -------
    Responses
        The prepared targets.
    """
    n_targets = Y.shape[1]
    mean, scale, valid = np.zeros(n_targets), np.ones(n_targets), np.zeros(n_targets, dtype=bool)
    blocks = []
    for start in range(0, n_targets, block_columns):
        columns = slice(start, min(start + block_columns, n_targets))
        raw = np.asarray(Y[:, columns])
        wide = torch.as_tensor(raw.astype(np.float64), device=device)
        usable = torch.isfinite(wide).all(dim=0)
        usable &= torch.as_tensor(~constant_columns(raw), device=device)
        wide = torch.where(usable, wide, torch.zeros_like(wide))
        centre = wide.mean(dim=0)
        spread = torch.where(usable, (wide - centre).square().mean(dim=0).sqrt(), 1.0)
        wide = (wide - centre if intercept else wide) / spread
        blocks.append(_block(columns, wide, folds))
        usable &= (blocks[-1].fold_power > 0).any(dim=0)
        if intercept:
            mean[columns] = centre.cpu().numpy()
        scale[columns], valid[columns] = spread.cpu().numpy(), usable.cpu().numpy()
    return Responses(blocks, mean, scale, valid)


def _block(columns: slice, values: torch.Tensor, folds: Sequence[Fold]) -> Block:
    parts = [values[start:stop] for start, stop in folds]
    mean = torch.stack([part.mean(dim=0) for part in parts])
    power = torch.stack([(p - m).square().sum(dim=0) for p, m in zip(parts, mean, strict=True)])
    sizes = torch.tensor([len(part) for part in parts], device=values.device)[:, None]
    power = torch.where(power > _CONSTANT_POWER * sizes, power, 0.0)
    return Block(columns, values.float(), mean.float(), power.float())


def finish_operator(operator: torch.Tensor, centred: bool) -> torch.Tensor:
    """Turn a fold's operator into float32; for Pearson r, into one of centred unit-size rows.

    Parameters
    ----------
    operator : Tensor of float64, shape (fold rows, n_inputs)
        Maps a right side to the held-out prediction.
    centred : bool
        Whether only the prediction's shape matters: its mean over the fold is removed and its
        largest entry made 1, so that no penalty is too large for single precision.

    Returns
    -------
    Tensor of float32, shape (fold rows, n_inputs)
        All zeros when ``centred`` and every prediction would be constant.
    """
    if not centred:
        return operator.float()
    shape = operator - operator.mean(dim=0)
    largest = shape.abs().max()
    if float(largest) <= _CENTRING_ROUNDING * float(operator.abs().max()):
        return torch.zeros_like(shape, dtype=torch.float32)
    return (shape / largest).float()


def outside(values: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Return the rows that are not in the fold, without a copy where they stand together."""
    start, stop = fold
    if start == 0:
        return values[stop:]
    if stop == len(values):
        return values[:start]
    return torch.cat([values[:start], values[stop:]])
