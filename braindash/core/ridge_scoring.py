"""Score alphas on held-out rows: exactly, or from the predictions of a few of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch

from braindash.core.ridge_data import CENTRING_ROUNDING, Block
from braindash.core.ridge_search import Moments, Search, make_moments, total_moments

# Predictions of so many rows at once: enough for a fast product, few enough to stay in the cache.
_PRODUCT_ROWS = 1024


class RightSides(Protocol):
    """What the operators of one form apply to, for some targets."""

    @property
    def whole(self) -> torch.Tensor:
        """Right side of operators for new rows, (n_inputs, n_columns)."""

    def outside(self, fold: int, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Right side of a fold's operators, for all columns or for some."""


class Scorer:
    """Scores of some alphas for a block of targets.

    Parameters
    ----------
    group : sequence of int
        The alphas whose operators are at hand.
    held_out : list of Tensor of float32, shape (n_group, fold rows, n_inputs)
        Their operators, fold by fold.
    sides : RightSides
        What the operators apply to.
    block : Block
        The targets.
    metric : {"r2", "r"}
        What a score is.
    """

    def __init__(
        self,
        group: Sequence[int],
        held_out: list[torch.Tensor],
        sides: RightSides,
        block: Block,
        metric: str,
    ) -> None:
        self._places = {index: place for place, index in enumerate(group)}
        self._held_out, self._sides, self._block, self._metric = held_out, sides, block, metric

    def exact(self, alphas: Sequence[int], columns: torch.Tensor | None = None) -> torch.Tensor:
        """Score alphas of the group, for all columns or some, float64, (n_alphas, n_columns)."""
        return self._scores(alphas, columns, None)[0]

    def nodes(self, search: Search) -> tuple[torch.Tensor, torch.Tensor]:
        """Score the nodes of a search, and estimate the scores of the rest.

        Returns
        -------
        exact : Tensor of float64, shape (n_nodes, n_columns)
        estimate : Tensor of float64, shape (n_rest, n_columns)
        """
        return self._scores(search.nodes.tolist(), None, search.weights.float())

    def _scores(
        self, alphas: Sequence[int], columns: torch.Tensor | None, weights: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        block = self._block if columns is None else self._block.at(columns)
        exact = block.values.new_zeros((len(alphas), len(block.mean)), dtype=torch.float64)
        estimate = exact[:0] if weights is None else exact.new_zeros((len(weights), exact.shape[1]))
        start = 0
        for fold, operators in enumerate(self._held_out):
            measured = block.values[start : start + operators.shape[1]]
            start += len(measured)
            mean, power = block.fold_mean[fold], block.fold_power[fold]
            sums: list[torch.Tensor] = []
            moments: list[Moments] = []
            for rows, predicted in self._predictions(fold, alphas, columns):
                if weights is not None:
                    moments.append(make_moments(predicted, measured[rows], power))
                sums.append(_SUMS[self._metric](predicted, measured[rows], mean))
            score = _SCORE[self._metric](torch.stack(sums).sum(dim=0), power)
            exact += torch.where(power > 0, score, 0.0)
            if weights is not None:
                estimate += total_moments(moments).combined(weights, self._metric)
        n_folds = (block.fold_power > 0).sum(dim=0).clamp(min=1)
        return exact / n_folds, estimate / n_folds

    def _predictions(
        self, fold: int, alphas: Sequence[int], columns: torch.Tensor | None
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Predict some rows of a fold after the other, (n_alphas, rows, n_columns)."""
        operators, right = self._held_out[fold], self._sides.outside(fold, columns)
        places = [self._places[index] for index in alphas]
        step = max(1, _PRODUCT_ROWS // len(places))
        for start in range(0, operators.shape[1], step):
            rows = slice(start, min(start + step, operators.shape[1]))
            some = operators[places, rows]
            yield rows, (some.flatten(0, 1) @ right).view(len(places), -1, right.shape[1])


def sample_moments(
    groups: Iterable[list[torch.Tensor]], sides: RightSides, block: Block
) -> list[Moments]:
    """Sum up the predictions of every alpha for a few targets.

    Parameters
    ----------
    groups : iterable of list of Tensor, shape (n_group, fold rows, n_inputs)
        Operators of all alphas, group after group, each fold by fold.
    sides : RightSides
        What they apply to.
    block : Block
        The targets.

    Returns
    -------
    list of Moments
        One per fold, float64, alphas in the order of the groups.
    """
    parts: list[list[torch.Tensor]] = [[] for _ in block.fold_power]
    for held_out in groups:
        for fold, operators in enumerate(held_out):
            some = operators.flatten(0, 1) @ sides.outside(fold)
            parts[fold].append(some.view(*operators.shape[:2], -1))
    moments, start = [], 0
    for part, power in zip(parts, block.fold_power, strict=True):
        predicted = torch.cat(part).double()
        measured = block.values[start : start + predicted.shape[1]].double()
        start += len(measured)
        moments.append(make_moments(predicted, measured, power.double()))
    return moments


def score_predictions(held_out: Sequence[torch.Tensor], block: Block, metric: str) -> torch.Tensor:
    """Score one alpha from its predictions, fold by fold, (fold rows, n_columns) in float64.

    Returns
    -------
    Tensor of float64, shape (n_columns,)
    """
    total = torch.zeros_like(block.mean)
    start = 0
    for fold, predicted in enumerate(held_out):
        measured = block.values[start : start + len(predicted)].double()
        start += len(measured)
        mean, power = block.fold_mean[fold].double(), block.fold_power[fold].double()
        if metric == "r":
            predicted = _shape(predicted)
        score = _SCORE[metric](_SUMS[metric](predicted[None].clone(), measured, mean), power)[0]
        total += torch.where(power > 0, score, 0.0)
    return total / (block.fold_power > 0).sum(dim=0).clamp(min=1)


def _shape(predicted: torch.Tensor) -> torch.Tensor:
    """Centre predictions and give them a size that squares well; zeros where they are constant."""
    centred = predicted - predicted.mean(dim=0)
    size = centred.abs().amax(dim=0)
    varies = size > CENTRING_ROUNDING * predicted.abs().amax(dim=0)
    return torch.where(varies, centred / size, 0.0)


def _residual_square(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """Squares of what is left, (1, n_alphas, n_columns); works in place on ``predicted``."""
    return predicted.sub_(measured).square_().sum(dim=1)[None]


def _product_and_square(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """For predictions that are centred already, (2, n_alphas, n_columns)."""
    product = (predicted * (measured - mean)).sum(dim=1)
    return torch.stack([product, predicted.square_().sum(dim=1)])


def _r2(sums: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    score: torch.Tensor = 1 - sums[0] / power
    return score


def _r(sums: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Pearson r; a constant prediction scores 0."""
    length = (sums[1] * power).sqrt()
    return torch.where(length > 0, sums[0] / length, 0.0)


_SUMS = {"r2": _residual_square, "r": _product_and_square}
_SCORE = {"r2": _r2, "r": _r}
