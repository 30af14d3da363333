"""The part of ridge that both forms share: score every alpha, choose, predict the test story."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge_data import Block, Design, Responses
from braindash.core.scores import pearson_r

# Scores that differ by less than this are a tie, which the larger alpha wins.
TIE = 1e-6
# Operators of as many alphas are held at a time as fit into this.
_OPERATOR_BYTES = 1 << 30
# Predictions of so many rows at once: enough for a fast product, few enough to stay in the cache.
_PRODUCT_ROWS = 512


@dataclass(frozen=True)
class RidgeResult:
    """What one fit of many targets gives.

    Attributes
    ----------
    alpha : array of float64, shape (n_targets,)
        Chosen penalty; NaN for targets that are constant or hold a NaN.
    cv_score : array of float32, shape (n_alphas, n_targets)
        Held-out metric, averaged over the folds within which the target varies, for each alpha in
        the order given; NaN for unusable targets.
    prediction : array of float32, shape (n_test, n_targets), or None
        Prediction for the test rows, in the units of the responses; NaN for unusable targets.
    r : array of float64, shape (n_targets,), or None
        Pearson r of prediction and test response; NaN where either is constant or unusable.
    method : {"dual", "primal"}
        Form that was solved.
    n_folds : int
        Number of folds alpha was chosen by.
    """

    alpha: NDArray[np.float64]
    cv_score: NDArray[np.float32]
    prediction: NDArray[np.float32] | None
    r: NDArray[np.float64] | None
    method: str
    n_folds: int

    @property
    def best_cv_score(self) -> NDArray[np.float32]:
        """Held-out metric at the best alpha, shape (n_targets,); NaN for unusable targets."""
        return np.asarray(self.cv_score.max(axis=0))


class Solver(Protocol):
    """One form of ridge: operators that depend on features only, and what they apply to."""

    name: str

    def operator_bytes(self) -> int:
        """Return the size of the operators of one alpha."""

    def cross(self, design: Design) -> torch.Tensor:
        """Bring new rows into the coordinates of the solver."""

    def operators(
        self, indices: Sequence[int], cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build the operators of some alphas: one per fold for its rows, one for new rows."""

    def right_sides(self, values: torch.Tensor) -> tuple[torch.Tensor, Iterator[torch.Tensor]]:
        """Return what the operators apply to: for new rows, and for each fold in turn."""


@dataclass(frozen=True)
class TestStory:
    """Rows to predict after alpha is chosen.

    Attributes
    ----------
    design : Design
        Their features.
    responses : array-like of shape (n_test, n_targets), or None
        What was measured there, to correlate with.
    keep : bool
        Whether the prediction itself is wanted.
    """

    __test__ = False  # the name is not for pytest

    design: Design
    responses: Any
    keep: bool


def cross_validate(
    solver: Solver,
    responses: Responses,
    alphas: torch.Tensor,
    *,
    metric: str,
    test: TestStory | None = None,
) -> RidgeResult:
    """Score every alpha on every fold, choose per target, predict the test story.

    Parameters
    ----------
    solver : Solver
        Features, folds and alphas in one of the two forms.
    responses : Responses
        All targets.
    alphas : Tensor of float64, shape (n_alphas,)
        Penalties as the user gave them.
    metric : {"r2", "r"}
        What is maximised on held-out rows.
    test : TestStory, optional
        Rows to predict.

    Returns
    -------
    RidgeResult
        One column per target.
    """
    cross = None if test is None else solver.cross(test.design)
    totals = alphas.new_zeros((len(alphas), len(responses.valid)))
    outcome = _Outcome.empty(responses, len(alphas), test)
    groups = _alpha_groups(solver.operator_bytes(), len(alphas))
    new_parts: list[torch.Tensor] = []
    n_folds = 0
    for group in groups:
        held_out, new = solver.operators(range(group.start, group.stop), cross)
        n_folds = len(held_out)
        new_parts += [] if new is None else [new]
        last = group is groups[-1]
        all_new = torch.cat(new_parts) if last and new_parts else None
        for block in responses.blocks:
            whole, others = solver.right_sides(block.values)
            totals[group, block.columns] += _block_scores(held_out, others, block, metric)
            if last:
                outcome.finish(block, totals[:, block.columns], alphas, whole, all_new)
    return outcome.result(solver.name, n_folds)


def _alpha_groups(operator_bytes: int, n_alphas: int) -> list[slice]:
    size = max(1, _OPERATOR_BYTES // max(1, operator_bytes))
    return [slice(a, min(a + size, n_alphas)) for a in range(0, n_alphas, size)]


def _block_scores(
    held_out: list[torch.Tensor], others: Iterator[torch.Tensor], block: Block, metric: str
) -> torch.Tensor:
    """Sum of the fold scores of one block, float64, (n_alphas of the group, n_columns)."""
    n_alphas, n_columns = len(held_out[0]), block.values.shape[1]
    total = block.values.new_zeros((n_alphas, n_columns), dtype=torch.float64)
    start = 0
    for fold, (operators, right) in enumerate(zip(held_out, others, strict=True)):
        n_rows = operators.shape[1]
        measured = block.values[start : start + n_rows]
        mean, power = block.fold_mean[fold], block.fold_power[fold]
        step = max(1, _PRODUCT_ROWS // n_rows)
        for first in range(0, n_alphas, step):
            some = operators[first : first + step]
            predicted = (some.flatten(0, 1) @ right).view(len(some), n_rows, n_columns)
            score = _METRIC[metric](predicted, measured, mean, power)
            total[first : first + step] += torch.where(power > 0, score, 0.0)
        start += n_rows
    return total


def _r2(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor, power: torch.Tensor
) -> torch.Tensor:
    """1 - residual / variance; works in place on ``predicted`` (n_alphas, n_rows, n_columns)."""
    score: torch.Tensor = 1 - predicted.sub_(measured).square_().sum(dim=1) / power
    return score


def _r(
    predicted: torch.Tensor, measured: torch.Tensor, mean: torch.Tensor, power: torch.Tensor
) -> torch.Tensor:
    """Pearson r of predictions that are centred already; a constant prediction scores 0."""
    product = (predicted * (measured - mean)).sum(dim=1)
    length = (predicted.square_().sum(dim=1) * power).sqrt()
    return torch.where(length > 0, product / length, 0.0)


_METRIC = {"r2": _r2, "r": _r}


def _choose(scores: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """Index of the best alpha per target, the larger one of a tie."""
    near = scores >= scores.max(dim=0).values - TIE
    return torch.where(near, alphas[:, None], -torch.inf).argmax(dim=0)


@dataclass(frozen=True)
class _Outcome:
    """Arrays of the result while blocks are being finished."""

    responses: Responses
    test: TestStory | None
    alpha: NDArray[np.float64]
    cv_score: NDArray[np.float32]
    prediction: NDArray[np.float32] | None
    r: NDArray[np.float64] | None

    @classmethod
    def empty(cls, responses: Responses, n_alphas: int, test: TestStory | None) -> "_Outcome":
        n_targets = len(responses.valid)
        prediction, r = None, None
        if test is not None and test.keep:
            prediction = np.full((len(test.design.features), n_targets), np.nan, np.float32)
        if test is not None and test.responses is not None:
            r = np.full(n_targets, np.nan)
        scores = np.full((n_alphas, n_targets), np.nan, np.float32)
        return cls(responses, test, np.full(n_targets, np.nan), scores, prediction, r)

    def finish(
        self,
        block: Block,
        totals: torch.Tensor,
        alphas: torch.Tensor,
        whole: torch.Tensor,
        new: torch.Tensor | None,
    ) -> None:
        """Choose alphas for one block and predict the test rows with them."""
        columns, valid = block.columns, self.responses.valid[block.columns]
        scores = totals / (block.fold_power > 0).sum(dim=0).clamp(min=1)
        best = _choose(scores, alphas)
        self.alpha[columns] = np.where(valid, alphas[best].cpu().numpy(), np.nan)
        self.cv_score[:, columns] = np.where(valid, scores.cpu().numpy(), np.nan)
        if new is None or (self.prediction is None and self.r is None):
            return
        predicted = _predict(new, whole, best).cpu().numpy()
        predicted[:, ~valid] = np.nan
        if self.r is not None and self.test is not None:
            measured = np.asarray(self.test.responses[:, columns])
            self.r[columns] = pearson_r(predicted, measured)
        if self.prediction is not None:
            scale, mean = self.responses.scale[columns], self.responses.mean[columns]
            self.prediction[:, columns] = predicted * scale + mean

    def result(self, method: str, n_folds: int) -> RidgeResult:
        return RidgeResult(self.alpha, self.cv_score, self.prediction, self.r, method, n_folds)


def _predict(new: torch.Tensor, whole: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
    """Apply to each target the operator of its own alpha, and no other."""
    predicted = whole.new_empty((new.shape[1], whole.shape[1]))
    for index in torch.unique(best).tolist():
        columns = (best == index).nonzero()[:, 0]
        predicted[:, columns] = new[index] @ whole[:, columns]
    return predicted
