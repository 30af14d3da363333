"""What every ridge solver is given: checked features, folds of rows, prepared responses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from braindash.core.ridge.settings import Fold
from braindash.core.scores import constant_columns
from braindash.core.timing import check_delays, source_rows, story_bounds, stretches
from braindash.errors import InputError

# Within a fold, a target of unit variance that varies less than this is constant there.
_CONSTANT_POWER = 1e-12
# Rows that are added up in single precision before the sums go on in double.
_SUMMED_ROWS = 256
# Beside the mean that centring takes off a feature or an operator, no more than this is rounding.
CENTRING_ROUNDING = 1e-12


@dataclass(frozen=True)
class Design:
    """Features of some stories and the rows that their delays take them from.

    Attributes
    ----------
    features : Tensor of float64, shape (n_times, n_features)
        Undelayed features, also of times without a response.
    rows : Tensor of int64, shape (n_delays, n_rows)
        Source of each delayed row among the features, ``n_times`` meaning zeros.
    bounds : list of (start, stop)
        Rows of each story.
    seams : tuple of int
        Rows before which times of the same story have no response.
    """

    features: torch.Tensor
    rows: torch.Tensor
    bounds: list[tuple[int, int]]
    seams: tuple[int, ...] = ()

    def __len__(self) -> int:
        return int(self.rows.shape[1])

    def delayed(self) -> torch.Tensor:
        """Return the delayed features, float64, (n_rows, n_features * n_delays)."""
        padded = torch.nn.functional.pad(self.features, (0, 0, 0, 1))
        return torch.cat([padded[row] for row in self.rows], dim=1)

    def kernel(self, other: "Design") -> torch.Tensor:
        """Return the inner products of delayed rows, (n_rows, other's n_rows), float64.

        They are those of the undelayed rows, shifted and summed over the delays.
        """
        plain = torch.nn.functional.pad(self.features @ other.features.T, (0, 1, 0, 1))
        kernel = plain.new_zeros((len(self), len(other)))
        for rows, columns in zip(self.rows, other.rows, strict=True):
            kernel += plain[rows][:, columns]
        return kernel

    def trace(self) -> float:
        """Return the sum of squares of the delayed features."""
        padded = torch.nn.functional.pad(self.features.square().sum(dim=1), (0, 1))
        return float(padded[self.rows].sum())


def picked(values: torch.Tensor, axis: int, places: torch.Tensor | slice) -> torch.Tensor:
    """Return some rows (axis 0) or columns (axis 1) of a matrix; for a slice, without a copy."""
    if isinstance(places, slice):
        return values[places] if axis == 0 else values[:, places]
    if axis == 0:
        return values.index_select(axis, places)  # indexing would be several times as slow
    return values.gather(axis, places.expand(len(values), -1))  # here index_select would be


@dataclass(frozen=True)
class Block:
    """Some targets, ready for products: unit variance, centred when there is an intercept.

    Attributes
    ----------
    values : Tensor of float32, shape (n_rows, n_columns)
        Responses; zeros for unusable targets.
    fold_mean : Tensor of float32, shape (n_folds, n_columns)
        Mean over the rows of each fold.
    fold_power : Tensor of float32, shape (n_folds, n_columns)
        Sum of squares about that mean; exactly 0 where the target is constant within the fold.
    mean, scale : Tensor of float64, shape (n_columns,)
        A prediction of the prepared target, times ``scale``, plus ``mean``, has the target's units.
    valid : Tensor of bool, shape (n_columns,)
        False for targets that are constant or hold a NaN or an infinity.
    """

    values: torch.Tensor
    fold_mean: torch.Tensor
    fold_power: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    valid: torch.Tensor

    def at(self, columns: torch.Tensor | slice) -> "Block":
        """Return some of the targets; for a slice, without a copy."""
        return Block(
            picked(self.values, 1, columns),
            picked(self.fold_mean, 1, columns),
            picked(self.fold_power, 1, columns),
            self.mean[columns],
            self.scale[columns],
            self.valid[columns],
        )


@dataclass(frozen=True)
class Responses:
    """All targets where they lie; some at a time are read and made ready.

    Attributes
    ----------
    source : array-like of shape (n_rows, n_targets)
        Responses: an array, a memory map, an open HDF5 data set.
    folds : sequence of (start, stop)
        Rows of each fold.
    intercept : bool
        Whether to subtract each target's mean, which an exact intercept gives back.
    device : torch.device
        Where blocks are made.
    """

    source: Any
    folds: Sequence[Fold]
    intercept: bool
    device: torch.device

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return int(self.source.shape[1])

    @property
    def fold_rows(self) -> list[int]:
        """Number of rows of each fold."""
        return [stop - start for start, stop in self.folds]

    def blocks(self, n_columns: int) -> Iterator[tuple[slice, Block]]:
        """Return all targets, ``n_columns`` at a time, with their columns."""
        for start in range(0, self.n_targets, n_columns):
            columns = slice(start, min(start + n_columns, self.n_targets))
            yield columns, self.prepared(self.source[:, columns])

    def sample(self, n_columns: int) -> Block:
        """Return a few targets that are spread over all."""
        columns = np.linspace(0, self.n_targets - 1, n_columns).round().astype(int)
        return self.prepared(self.source[:, np.unique(columns)])

    def prepared(self, raw: Any) -> Block:
        """Centre and scale responses (n_rows, n_columns) and sum them up within the folds."""
        array = np.asarray(raw)
        # Responses in single precision are centred in it, in two steps: nothing is lost.
        kept = np.float32 if array.dtype in (np.float32, np.float16) else np.float64
        values = torch.as_tensor(np.array(array, dtype=kept, order="C"), device=self.device)
        low, high = values.amin(dim=0), values.amax(dim=0)  # aminmax takes nine times as long
        usable = torch.isfinite(low) & torch.isfinite(high)
        usable &= torch.as_tensor(~constant_columns(array), device=self.device)
        values.masked_fill_(~usable, 0.0)
        mean = _centre(values)
        size = torch.maximum(high.double() - mean, mean - low.double())
        size = torch.where(usable, size, 1.0)
        values /= size.to(values.dtype)
        spread = (_column_sums(values, square=True) / len(values)).sqrt()
        spread = torch.where(usable, spread, 1.0)
        values /= spread.to(values.dtype)
        scale = size * spread
        if not self.intercept:
            values += (mean / scale).to(values.dtype)
            mean = torch.zeros_like(mean)
        values = values.float()
        fold_mean, fold_power = _fold_sums(values, self.folds)
        usable &= (fold_power > 0).any(dim=0)
        return Block(values, fold_mean, fold_power, mean, scale, usable)


def make_design(
    X: ArrayLike,
    groups: ArrayLike | None,
    delays: Sequence[int],
    device: torch.device,
    name: str,
    kept: ArrayLike | None = None,
) -> Design:
    """Check features and stories and move them to the device.

    ``name`` is for the errors. Rows that are not ``kept``, bool (n_times,), have no response:
    delayed rows of others still see their features.
    """
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
    marks = np.ones(len(features), bool) if kept is None else np.asarray(kept)
    if marks.shape != (len(features),) or marks.dtype != bool or not marks.any():
        raise InputError(
            f"kept has shape {marks.shape} and type {marks.dtype} for {len(features)} rows, and "
            f"keeps {int(np.count_nonzero(marks))}",
            hint="Give one truth value per row of the features, and keep at least one row.",
        )
    stretch = stretches(groups, marks)[marks]
    place = np.concatenate([[0], np.cumsum(marks)])
    left = [(int(place[start]), int(place[stop])) for start, stop in bounds]
    left = [(start, stop) for start, stop in left if start < stop]
    begins = {start for start, _ in left}
    seams = (np.flatnonzero(np.diff(stretch)) + 1).tolist()
    return Design(
        wide,
        torch.as_tensor(rows[:, marks], device=device),
        left,
        tuple(seam for seam in seams if seam not in begins),
    )


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


def _column_sums(values: torch.Tensor, *, square: bool = False) -> torch.Tensor:
    """Add up each column, or its squares, in float64; rows at a time, to need no copy of them."""
    parts = torch.split(values, _SUMMED_ROWS)
    sums = [(part.square() if square else part).sum(dim=0) for part in parts]
    return torch.stack(sums).sum(dim=0, dtype=torch.float64)


def _centre(values: torch.Tensor) -> torch.Tensor:
    """Subtract from each column its mean, in place, and return that mean in float64."""
    mean = torch.zeros_like(values[0], dtype=torch.float64)
    for _ in range(2):  # the second time takes off what rounding the mean has left
        rest = (_column_sums(values) / len(values)).to(values.dtype)
        values -= rest
        mean += rest
    return mean


def _fold_sums(values: torch.Tensor, folds: Sequence[Fold]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each column within each fold, and the sum of squares about it, float32."""
    means, powers = [], []
    for start, stop in folds:
        part = values[start:stop].clone()
        means.append(_centre(part))
        power = _column_sums(part, square=True)
        powers.append(torch.where(power > _CONSTANT_POWER * len(part), power, 0.0))
    return torch.stack(means).float(), torch.stack(powers).float()


def finish_operator(operator: torch.Tensor, scale: torch.Tensor | float | None) -> torch.Tensor:
    """Turn a fold's operator into float32; for Pearson r, into one of centred predictions.

    Parameters
    ----------
    operator : Tensor of float64, shape (fold rows, n_inputs)
        Maps a right side to the held-out prediction.
    scale : Tensor of float64 without dimension, or float, optional
        Given where only the prediction's shape matters: its mean over the fold is removed and the
        rest multiplied by this, so that no penalty is too large for single precision.

    Returns
    -------
    Tensor of float32, shape (fold rows, n_inputs)
        All zeros when ``scale`` is given and every prediction would be constant.
    """
    if scale is None:
        return operator.float()
    shape = operator - operator.mean(dim=0)
    negligible = shape.abs().max() <= CENTRING_ROUNDING * operator.abs().max()
    return torch.where(negligible, 0.0, (shape * scale).float())  # no branch: the host would wait


def outside(values: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Return the rows that are not in the fold."""
    start, stop = fold
    return torch.cat([values[:start], values[stop:]])


def apply_outside(operator: torch.Tensor, values: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Multiply an operator with the rows that are not in the fold, without copying these."""
    start, stop = fold
    before = operator[:, :start] @ values[:start]
    return before.addmm_(operator[:, start:], values[stop:])
