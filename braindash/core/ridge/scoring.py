"""Score alphas on held-out rows, some targets at a time."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from braindash.core.ridge.data import CENTRING_ROUNDING, Block
from braindash.core.ridge.search import Scores

# Predictions of so many rows at once: enough for a fast product, few enough to stay in the cache.
_PRODUCT_ROWS = 1024


class RightSides(Protocol):
    """What the operators of one form apply to, for some targets."""

    @property
    def whole(self) -> torch.Tensor:
        """Right side of operators for new rows, (n_inputs, n_columns)."""

    def at(self, columns: torch.Tensor) -> "RightSides":
        """Give those of some of the targets."""

    def apply(self, fold: int, operator: torch.Tensor) -> torch.Tensor:
        """Apply rows of a fold's operator (n_rows, n_inputs), (n_rows, n_columns)."""


def score_operators(
    operators: Sequence[torch.Tensor], sides: RightSides, block: Block, metric: str
) -> Scores:
    """Score one alpha by its operators.

    Parameters
    ----------
    operators : sequence of Tensor of float32, shape (fold rows, n_inputs)
        One per fold.
    sides : RightSides
        What they apply to.
    block : Block
        The targets.
    metric : {"r2", "r"}
        What a score is.

    Returns
    -------
    Scores
        Of one alpha: arrays of shape (1, n_columns).
    """
    predictions = (
        ((rows, sides.apply(fold, operator[rows])) for rows in _steps(len(operator)))
        for fold, operator in enumerate(operators)
    )
    return _score(predictions, block, metric)


def score_predictions(held_out: Sequence[torch.Tensor], block: Block, metric: str) -> torch.Tensor:
    """Score one alpha from its predictions, fold by fold, (fold rows, n_columns) in float64.

    Returns
    -------
    Tensor of float64, shape (n_columns,)
        Gains, as in :class:`Scores`.
    """
    if metric == "r":
        held_out = [_shape(predicted) for predicted in held_out]
    predictions = (iter([(slice(0, len(predicted)), predicted)]) for predicted in held_out)
    return _score(predictions, block, metric).gain[0]


def score_of_zeros(block: Block, fold_rows: Sequence[int], metric: str) -> torch.Tensor:
    """Score the prediction that is zero everywhere, which gains are counted from.

    Returns
    -------
    Tensor of float64, shape (n_columns,)
    """
    score = torch.zeros_like(block.mean)
    if metric == "r2":
        for fold, n_rows in enumerate(fold_rows):
            power = block.fold_power[fold].double()
            score -= torch.where(power > 0, _offset(block, fold, n_rows) / power, 0.0)
    return score / _n_varying(block)


def _score(
    folds: Iterator[Iterator[tuple[slice, torch.Tensor]]], block: Block, metric: str
) -> Scores:
    gain, size = torch.zeros_like(block.mean), torch.zeros_like(block.mean)
    start = 0
    for fold, parts in enumerate(folds):
        sums, n_rows = torch.zeros((2, *gain.shape), dtype=gain.dtype, device=gain.device), 0
        for rows, predicted in parts:
            measured = block.values[start + rows.start : start + rows.stop]
            sums += _SUMS[metric](predicted, measured, block.fold_mean[fold])
            n_rows = rows.stop
        power = block.fold_power[fold].double()
        found = _GAIN[metric](sums[0], sums[1], power, _offset(block, fold, n_rows))
        gain += torch.where(power > 0, found[0], 0.0)
        size += torch.where(power > 0, found[1], 0.0)
        start += n_rows
    n_folds = _n_varying(block)
    return Scores((gain / n_folds)[None], (size / n_folds)[None])


def _steps(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _PRODUCT_ROWS):
        yield slice(start, min(start + _PRODUCT_ROWS, n_rows))


def _n_varying(block: Block) -> torch.Tensor:
    return (block.fold_power > 0).sum(dim=0).clamp(min=1)


def _shape(predicted: torch.Tensor) -> torch.Tensor:
    """Centre predictions and give them a size that squares well; zeros where they are constant."""
    centred = predicted - predicted.mean(dim=0)
    size = centred.abs().amax(dim=0)
    varies = size > CENTRING_ROUNDING * predicted.abs().amax(dim=0)
    return torch.where(varies, centred / size, 0.0)


def _offset(block: Block, fold: int, n_rows: int) -> torch.Tensor:
    """Sum of squares of a fold's responses that is due to their mean."""
    return n_rows * block.fold_mean[fold].double().square()


def _square_and_residual(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """Squares of predictions and of what they leave, (2, n_columns); works in place."""
    square = predicted.square().sum(dim=0)
    return torch.stack([square, predicted.sub_(measured).square_().sum(dim=0)])


def _square_and_product(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """For predictions that are centred already, (2, n_columns); works in place."""
    product = (predicted * (measured - mean)).sum(dim=0)
    return torch.stack([predicted.square_().sum(dim=0), product])


def _r2(
    square: torch.Tensor, residual: torch.Tensor, power: torch.Tensor, offset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return (power + offset - residual) / power, square / power


def _r(
    square: torch.Tensor, product: torch.Tensor, power: torch.Tensor, offset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pearson r; a constant prediction scores 0."""
    length = (square * power).sqrt()
    return torch.where(length > 0, product / length, 0.0), (square / power).sqrt()


_SUMS = {"r2": _square_and_residual, "r": _square_and_product}
_GAIN = {"r2": _r2, "r": _r}
