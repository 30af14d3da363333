"""The part of ridge that both forms share: score alphas, choose, predict the test story."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge_data import Block, Responses
from braindash.core.ridge_scoring import RightSides, Scorer, sample_moments, score_predictions
from braindash.core.ridge_search import TIE, Search, plan_search
from braindash.core.scores import pearson_r

# Operators of as many alphas are held at a time as fit into this.
_OPERATOR_BYTES = 2 << 30
# A block of responses with what is made of it, and the sample of the search, may take so much, or
# this share of the operators: products with few columns are slow.
_BLOCK_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}
_BLOCK_SHARE = 8
_BLOCK_COLUMNS = {"cpu": (128, 2048), "cuda": (1024, 32768)}
# With fewer targets than this every alpha is scored; else a sample of them plans the search.
_LEAST_TARGETS = 1024
_SAMPLE = 256


@dataclass(frozen=True)
class RidgeResult:
    """What one fit of many targets gives.

    Attributes
    ----------
    alpha : array of float64, shape (n_targets,)
        Chosen penalty; NaN for targets that are constant or hold a NaN.
    cv_score : array of float32, shape (n_alphas, n_targets)
        Held-out metric, averaged over the folds within which the target varies, for each alpha in
        the order given; NaN for unusable targets, and where the search saw that the alpha could
        not be the best (``search="full"`` scores them all).
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
        return np.asarray(np.fmax.reduce(self.cv_score, axis=0))


class Solver(Protocol):
    """One form of ridge: operators that depend on features only, and what they apply to."""

    name: str
    few: int

    def predictions(
        self, values: torch.Tensor, cross: torch.Tensor | None
    ) -> Iterator[tuple[list[torch.Tensor], torch.Tensor | None]]:
        """For each alpha, predict held-out and new rows without building operators."""

    def operator_bytes(self) -> int:
        """Return the size of the operators of one alpha."""

    def side_bytes(self) -> int:
        """Return the size of the right sides of one target."""

    def cross(self, design: Any) -> torch.Tensor:
        """Bring new rows into the coordinates of the solver."""

    def operators(
        self, indices: Sequence[int], cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build the operators of some alphas: one per fold for its rows, one for new rows."""

    def right_sides(self, values: torch.Tensor) -> RightSides:
        """Return what the operators apply to."""


@dataclass(frozen=True)
class TestStory:
    """Rows to predict after alpha is chosen.

    Attributes
    ----------
    design : Design
        Their features, or what the solver takes for them.
    responses : array-like of shape (n_test, n_targets), or None
        What was measured there, to correlate with.
    keep : bool
        Whether the prediction itself is wanted.
    """

    __test__ = False  # the name is not for pytest

    design: Any
    responses: Any
    keep: bool


def cross_validate(
    solver: Solver,
    responses: Responses,
    alphas: torch.Tensor,
    *,
    metric: str,
    thorough: bool = False,
    test: TestStory | None = None,
) -> RidgeResult:
    """Score alphas on every fold, choose per target, predict the test story.

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
    thorough : bool, default False
        Whether to score every alpha for every target.
    test : TestStory, optional
        Rows to predict.

    Returns
    -------
    RidgeResult
        One column per target.
    """
    cross = None if test is None else solver.cross(test.design)
    outcome = _Outcome.empty(responses.n_targets, alphas, test)
    if responses.n_targets < solver.few:
        _fit_few(solver, responses, cross, metric, outcome)
    else:
        _fit_many(solver, responses, cross, metric, outcome, thorough)
    return outcome.result(solver.name, len(responses.folds))


def _fit_few(
    solver: Solver,
    responses: Responses,
    cross: torch.Tensor | None,
    metric: str,
    outcome: "_Outcome",
) -> None:
    """Predict every row with every alpha: nothing is built that is larger than the targets."""
    for columns, block in responses.blocks(responses.n_targets):
        new: list[torch.Tensor] = []
        predictions = solver.predictions(block.values.double(), cross)
        for index, (held_out, predicted) in enumerate(predictions):
            outcome.scores[index, columns] = score_predictions(held_out, block, metric)
            if predicted is not None:
                new.append(predicted)
        best = outcome.choose(columns, block)
        if new:
            own = torch.stack(new)[best, :, torch.arange(len(best), device=best.device)]
            outcome.predict(columns, block, own.T)


def _fit_many(
    solver: Solver,
    responses: Responses,
    cross: torch.Tensor | None,
    metric: str,
    outcome: "_Outcome",
    thorough: bool,
) -> None:
    """Build operators and apply them to one block of targets after the other."""
    alphas = outcome.alphas
    operators = _Operators(solver, cross, len(alphas))
    search = Search.full(len(alphas), alphas.device)
    if not thorough and responses.n_targets >= _LEAST_TARGETS:
        block = responses.sample(_sample_size(responses, len(alphas)))
        sides = solver.right_sides(block.values)
        everything = (operators.build(group) for group in operators.groups(search))
        moments = sample_moments(everything, sides, block)
        search = plan_search(moments, alphas, metric, operators.most)
    wanted = outcome.scores.new_zeros((len(search.rest), responses.n_targets), dtype=torch.bool)
    groups = operators.groups(search)
    for group in groups:
        held_out = operators.build(group)
        for columns, block in responses.blocks(_block_columns(solver, responses, len(group))):
            sides = solver.right_sides(block.values)
            scorer = Scorer(group, held_out, sides, block, metric)
            _score_group(scorer, group, search, outcome.scores[:, columns], wanted[:, columns])
            if group is groups[-1]:
                best = outcome.choose(columns, block)
                if cross is not None:
                    outcome.predict(columns, block, _predict(operators.new, sides.whole, best))


def _score_group(
    scorer: Scorer,
    group: Sequence[int],
    search: Search,
    scores: torch.Tensor,
    wanted: torch.Tensor,
) -> None:
    """Write the scores of a group of alphas for a block of targets, where they are wanted."""
    rest = {index: row for row, index in enumerate(search.rest.tolist())}
    nodes = [index for index in group if index not in rest]
    if nodes and rest:
        exact, estimate = scorer.nodes(search)
        scores[search.nodes] = exact
        wanted[:] = search.candidates(exact, estimate)
    elif nodes:
        scores[nodes] = scorer.exact(nodes)
    for index in (index for index in group if index in rest):
        columns = wanted[rest[index]].nonzero()[:, 0]
        if len(columns):
            scores[index, columns] = scorer.exact([index], columns)[0]


class _Operators:
    """The operators of all alphas: kept where they fit, else built whenever they are needed."""

    def __init__(self, solver: Solver, cross: torch.Tensor | None, n_alphas: int) -> None:
        self._solver, self._cross, self._n_alphas = solver, cross, n_alphas
        self._kept: list[torch.Tensor] | None = None
        #: How many alphas fit at a time.
        self.most = max(1, _OPERATOR_BYTES // max(1, solver.operator_bytes()))
        #: Operators for the test rows by alpha, as far as they were built.
        self.new: dict[int, torch.Tensor] = {}

    def groups(self, search: Search) -> list[list[int]]:
        """Cut the alphas into groups that fit; the nodes of a search stay together and lead."""
        if self._n_alphas <= self.most:
            return [list(range(self._n_alphas))]
        nodes, rest = search.nodes.tolist(), search.rest.tolist()
        leading = [nodes] if rest else _cut(nodes, self.most)
        return leading + _cut(rest, self.most)

    def build(self, group: Sequence[int]) -> list[torch.Tensor]:
        """Give a group's operators for held-out rows: per fold (n_group, fold rows, n_inputs)."""
        if self._kept is not None:
            return self._kept
        held_out, new = self._solver.operators(group, self._cross)
        if new is not None:
            self.new |= dict(zip(group, new, strict=True))
        if len(group) == self._n_alphas:
            self._kept = held_out
        return held_out


def _cut(indices: list[int], most: int) -> list[list[int]]:
    return [indices[start : start + most] for start in range(0, len(indices), most)]


def _block_columns(solver: Solver, responses: Responses, n_held: int) -> int:
    kind = responses.device.type
    fewest, most = _BLOCK_COLUMNS[kind]
    one = 4 * responses.source.shape[0] + solver.side_bytes()
    size = max(_BLOCK_BYTES[kind], n_held * solver.operator_bytes() // _BLOCK_SHARE)
    return int(min(most, max(fewest, size // one)))


def _sample_size(responses: Responses, n_alphas: int) -> int:
    """As many targets as tell enough, but no more than an eighth, nor than memory allows."""
    fits = _BLOCK_BYTES[responses.device.type] // (8 * n_alphas * responses.source.shape[0])
    return int(min(_SAMPLE, responses.n_targets // 8, max(_SAMPLE // 4, fits)))


def _choose(scores: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """Index of the best alpha per target, the larger one of a tie."""
    near = scores >= scores.max(dim=0).values - TIE
    return torch.where(near, alphas[:, None], -torch.inf).argmax(dim=0)


@dataclass(frozen=True)
class _Outcome:
    """Arrays of the result while blocks are being finished."""

    alphas: torch.Tensor
    test: TestStory | None
    scores: torch.Tensor
    alpha: NDArray[np.float64]
    cv_score: NDArray[np.float32]
    prediction: NDArray[np.float32] | None
    r: NDArray[np.float64] | None

    @classmethod
    def empty(cls, n_targets: int, alphas: torch.Tensor, test: TestStory | None) -> "_Outcome":
        prediction, r = None, None
        if test is not None and test.keep:
            prediction = np.full((len(test.design), n_targets), np.nan, np.float32)
        if test is not None and test.responses is not None:
            r = np.full(n_targets, np.nan)
        scores = alphas.new_full((len(alphas), n_targets), -torch.inf)
        cv_score = np.full(scores.shape, np.nan, np.float32)
        return cls(alphas, test, scores, np.full(n_targets, np.nan), cv_score, prediction, r)

    def choose(self, columns: slice, block: Block) -> torch.Tensor:
        """Choose the alphas of one block by its scores, and give their indices."""
        scores = self.scores[:, columns]
        best = _choose(scores, self.alphas)
        valid = block.valid.cpu().numpy()
        self.alpha[columns] = np.where(valid, self.alphas[best].cpu().numpy(), np.nan)
        known = torch.isfinite(scores) & block.valid
        self.cv_score[:, columns] = torch.where(known, scores, torch.nan).cpu().numpy()
        return best

    def predict(self, columns: slice, block: Block, predicted: torch.Tensor) -> None:
        """Keep the predictions of one block, (n_test, n_columns), or score them."""
        values = torch.where(block.valid, predicted, torch.nan)
        if self.r is not None and self.test is not None:
            measured = np.asarray(self.test.responses[:, columns])
            self.r[columns] = pearson_r(values.cpu().numpy(), measured)
        if self.prediction is not None:
            self.prediction[:, columns] = (values * block.scale + block.mean).cpu().numpy()

    def result(self, method: str, n_folds: int) -> RidgeResult:
        return RidgeResult(self.alpha, self.cv_score, self.prediction, self.r, method, n_folds)


def _predict(
    new: Mapping[int, torch.Tensor], whole: torch.Tensor, best: torch.Tensor
) -> torch.Tensor:
    """Apply to each target the operator of its own alpha, and no other."""
    predicted = whole.new_empty((len(next(iter(new.values()))), whole.shape[1]))
    for index in torch.unique(best).tolist():
        columns = (best == index).nonzero()[:, 0]
        predicted[:, columns] = new[index] @ whole[:, columns]
    return predicted
