"""The part of ridge that both forms share: score alphas, choose, predict the test story."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge.data import CENTRING_ROUNDING, Block, Responses
from braindash.core.ridge.memory import BLOCK_BYTES, BLOCK_SHARE, OPERATOR_BYTES
from braindash.core.ridge.pools import pooled_gains
from braindash.core.ridge.search import TIE, Scores, Search, plan_search
from braindash.core.scores import pearson_r

# Predictions of so many rows at once: enough for a fast product, few enough to stay in the cache.
_PRODUCT_ROWS = 1024


class RightSides(Protocol):
    """What the operators of one form apply to, for some targets."""

    def at(self, columns: torch.Tensor | slice) -> "RightSides":
        """Return those of some of the targets; for a slice, without a copy."""

    def apply(self, fold: int, operator: torch.Tensor) -> torch.Tensor:
        """Apply rows of a fold's operator (n_rows, n_inputs), (n_rows, n_columns)."""

    def apply_whole(self, operator: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Apply an operator for new rows (n_new, n_inputs) to some targets, (n_new, n_columns)."""


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

_BLOCK_COLUMNS = {"cpu": (128, 10240), "cuda": (1024, 32768)}
# Of a block so many columns are predicted at a time, which stay in the cache; no power of two,
# whose rows would lie on top of each other there.
_CHUNK_COLUMNS = {"cpu": 1040, "cuda": 32768}
# With fewer targets than this every alpha is scored; else a sample of them plans the search.
_LEAST_TARGETS = 1024
_SAMPLE = 256
# Columns of noise that tell which alphas see what others do not; below this share of squares that
# two alphas' predictions of noise have in common, one is blind for what the other sees.
_PROBES = 16
_BLIND = 0.25


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
        self, index: int, cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build the operators of one alpha: one per fold for its rows, one for new rows."""

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
    pools: NDArray[np.int64] | None = None,
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
    pools : array of int64, shape (n_targets,), optional
        Targets that share an alpha, see :mod:`braindash.core.ridge.pools`. None: each its own.

    Returns
    -------
    RidgeResult
        One column per target.
    """
    cross = None if test is None else solver.cross(test.design)
    outcome = _Outcome.empty(responses.n_targets, alphas, test, pools)
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
            outcome.known.gain[index, columns] = score_predictions(held_out, block, metric)
            if predicted is not None:
                new.append(predicted)
        outcome.share(block.valid)
        best = outcome.choose(columns, block, score_of_zeros(block, responses.fold_rows, metric))
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
    n_alphas = len(outcome.alphas)
    operators = _Operators(solver, cross, n_alphas)
    search, pooled = None, outcome.pools is not None
    if not (thorough or pooled) and responses.n_targets >= _LEAST_TARGETS:
        block = responses.sample(_sample_size(responses))
        scores = _score_all(operators, solver, block, metric)
        witness_of = _witnesses(operators, solver, responses)
        search = plan_search(scores, block.valid, metric, witness_of)
        if search is not None:
            operators.forget(set(range(n_alphas)) - set(search.used()))

    def finish(columns: slice, block: Block, sides: RightSides) -> None:
        best = outcome.choose(columns, block, score_of_zeros(block, responses.fold_rows, metric))
        if cross is not None:
            outcome.predict(columns, block, _predict(operators, sides, best))

    groups = operators.groups(search)
    valid = torch.zeros(responses.n_targets, dtype=torch.bool, device=outcome.alphas.device)
    for group in groups:
        operators.keep(group)
        for columns, block in responses.blocks(_block_columns(solver, responses, len(group))):
            sides = solver.right_sides(block.values)
            scorer = _Scorer(operators, sides, block, metric, outcome.known.of(columns))
            scorer.score(group, search)
            valid[columns] = block.valid
            if group is groups[-1] and not pooled:
                finish(columns, block, sides)
    if pooled:  # what a pool chooses is known when all its targets are scored
        outcome.share(valid)
        for columns, block in responses.blocks(_block_columns(solver, responses, 1)):
            finish(columns, block, solver.right_sides(block.values))


def _score_all(operators: "_Operators", solver: Solver, block: Block, metric: str) -> Scores:
    """Score every alpha for a few targets."""
    sides = solver.right_sides(block.values)
    parts = [
        score_operators(operators.held_out(index), sides, block, metric)
        for index in range(operators.n_alphas)
    ]
    return Scores(torch.cat([p.gain for p in parts]), torch.cat([p.size for p in parts]))


def _witnesses(operators: "_Operators", solver: Solver, responses: Responses) -> list[int | None]:
    """For each alpha find the one whose predictions it tells least of, if it tells little.

    Judged by responses without any preference, white noise: a target may follow what only weak
    penalties let through, and nothing in the score at a strong penalty shows it.
    """
    n_rows = responses.source.shape[0]
    noise = torch.randn(n_rows, _PROBES, generator=torch.Generator().manual_seed(0))
    sides = solver.right_sides(noise.to(responses.device))
    n_alphas = operators.n_alphas
    likeness = torch.zeros((n_alphas, n_alphas), dtype=torch.float64, device=responses.device)
    for fold in range(len(responses.folds)):
        made = [
            sides.apply(fold, operators.held_out(index)[fold]).double().ravel()
            for index in range(n_alphas)
        ]
        shapes = torch.stack([values / values.norm().clamp(min=1e-300) for values in made])
        likeness = likeness + shapes @ shapes.T / len(responses.folds)
    least = likeness.square().min(dim=1)
    return [
        int(index) if shared < _BLIND else None
        for shared, index in zip(least.values.tolist(), least.indices.tolist(), strict=True)
    ]


class _Scorer:
    """Scores alphas for one block of targets, as far as they are wanted.

    Parameters
    ----------
    operators : _Operators
        Of any alpha.
    sides : RightSides
        What they apply to.
    block : Block
        The targets.
    metric : {"r2", "r"}
        What a score is.
    known : Scores
        Of the block, -inf where not known; filled in.
    """

    def __init__(
        self,
        operators: "_Operators",
        sides: RightSides,
        block: Block,
        metric: str,
        known: Scores,
    ) -> None:
        self._operators, self._sides, self._block = operators, sides, block
        self._metric, self._known = metric, known

    def score(self, group: Sequence[int], search: Search | None) -> None:
        """Score the alphas of a group that could be the best; all of them without a search."""
        if search is None:
            for index in group:
                self._fill(index)
            return
        for index in search.nodes:
            if index in group:
                self._fill(index)
        # Nodes come first: where this group lacks one, the next has it.
        if not bool(torch.isinf(self._known.gain[search.nodes]).any()):
            self._follow(search, [index for index in group if index not in search.nodes])

    def _follow(self, search: Search, group: Sequence[int]) -> None:
        """Score for each target the alpha that looks best, then what could still beat it."""
        known = self._known
        inside = torch.zeros((len(known.gain), 1), dtype=torch.bool, device=known.gain.device)
        inside[group] = True
        could, estimate, margin = search.promising(known)
        could &= inside
        odd = search.odd(known)
        choice = torch.where(could & ~odd, estimate, -torch.inf).argmax(dim=0)
        chosen = could.any(dim=0) & ~odd
        for index, columns in _columns_by_row(chosen & _rows_of(choice, len(could))).items():
            self._fill(index, columns)
            error = (known.gain[index, columns] - estimate[index, columns]).abs()
            odd[columns] |= error > margin[index, columns] + TIE
            some = known.of(columns)
            could[:, columns] &= search.left(some, index)
        # What the sample knows nothing of is not estimated: every alpha is scored.
        could = torch.where(odd, torch.isinf(known.gain) & inside, could)
        left = _columns_by_row(could)
        for index in group:
            if index in left:
                self._fill(index, left[index])

    def _fill(self, index: int, columns: torch.Tensor | None = None) -> None:
        """Score one alpha for all targets of the block, or for some."""
        n_columns = len(self._block.mean) if columns is None else len(columns)
        step = _CHUNK_COLUMNS[self._block.mean.device.type]
        held_out = self._operators.held_out(index)
        for start in range(0, n_columns, step):
            own = slice(start, min(start + step, n_columns))
            some = own if columns is None else columns[own]
            sides, block = self._sides.at(some), self._block.at(some)
            found = score_operators(held_out, sides, block, self._metric)
            self._known.gain[index, some] = found.gain[0]
            self._known.size[index, some] = found.size[0]


class _Operators:
    """The operators of as many alphas as fit; the others are built whenever they are needed."""

    def __init__(self, solver: Solver, cross: torch.Tensor | None, n_alphas: int) -> None:
        self._solver, self._cross, self.n_alphas = solver, cross, n_alphas
        self._most = max(1, OPERATOR_BYTES // max(1, solver.operator_bytes()))
        self._held_out: dict[int, list[torch.Tensor]] = {}
        self._new: dict[int, torch.Tensor] = {}

    def groups(self, search: Search | None) -> list[list[int]]:
        """Cut the alphas into groups that fit, those first that a search will use most."""
        every = range(self.n_alphas) if search is None else [*search.nodes, *search.order]
        return [list(every[at : at + self._most]) for at in range(0, len(every), self._most)]

    def keep(self, alphas: Collection[int]) -> None:
        """Forget the operators for held-out rows of all other alphas."""
        self._held_out = {
            index: parts for index, parts in self._held_out.items() if index in alphas
        }

    def forget(self, alphas: Collection[int]) -> None:
        """Forget all operators of some alphas; if a target asks for one, it is built again."""
        for index in alphas:
            self._held_out.pop(index, None)
            self._new.pop(index, None)

    def held_out(self, index: int) -> list[torch.Tensor]:
        """Return one alpha's operators for held-out rows, fold by fold."""
        found = self._held_out.get(index)
        if found is None:
            found = self._build(index)
            if len(self._held_out) < self._most:
                self._held_out[index] = found
        return found

    def new(self, index: int) -> torch.Tensor:
        """Return one alpha's operator for new rows."""
        if index not in self._new:
            self._build(index)
        return self._new[index]

    def _build(self, index: int) -> list[torch.Tensor]:
        found, new = self._solver.operators(index, self._cross)
        if new is not None:
            self._new[index] = new
        return found


def _block_columns(solver: Solver, responses: Responses, n_held: int) -> int:
    kind = responses.device.type
    fewest, most = _BLOCK_COLUMNS[kind]
    one = 4 * responses.source.shape[0] + solver.side_bytes()
    size = max(BLOCK_BYTES[kind], n_held * solver.operator_bytes() // BLOCK_SHARE)
    return int(min(most, max(fewest, size // one)))


def _sample_size(responses: Responses) -> int:
    """As many targets as tell enough, but no more than an eighth."""
    return min(_SAMPLE, responses.n_targets // 8)


def _choose(scores: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """Index of the best alpha per target, the larger one of a tie."""
    near = scores >= scores.max(dim=0).values - TIE
    return torch.where(near, alphas[:, None], -torch.inf).argmax(dim=0)


@dataclass(frozen=True)
class _Outcome:
    """Arrays of the result while blocks are being finished."""

    alphas: torch.Tensor
    test: TestStory | None
    known: Scores
    shared: torch.Tensor  # gains that alphas are chosen by: known.gain itself without pools
    alpha: NDArray[np.float64]
    cv_score: NDArray[np.float32]
    prediction: NDArray[np.float32] | None
    r: NDArray[np.float64] | None
    pools: NDArray[np.int64] | None

    @classmethod
    def empty(
        cls,
        n_targets: int,
        alphas: torch.Tensor,
        test: TestStory | None,
        pools: NDArray[np.int64] | None,
    ) -> "_Outcome":
        prediction, r = None, None
        if test is not None and test.keep:
            prediction = np.full((len(test.design), n_targets), np.nan, np.float32)
        if test is not None and test.responses is not None:
            r = np.full(n_targets, np.nan)
        unknown = alphas.new_full((len(alphas), n_targets), -torch.inf)
        known = Scores(unknown, torch.zeros_like(unknown))
        cv_score = np.full(unknown.shape, np.nan, np.float32)
        alpha, shared = np.full(n_targets, np.nan), unknown if pools is None else unknown.clone()
        return cls(alphas, test, known, shared, alpha, cv_score, prediction, r, pools)

    def share(self, valid: torch.Tensor) -> None:
        """Give targets the gains of their pools, once all are scored; nothing without pools."""
        if self.pools is not None:
            self.shared[:] = pooled_gains(self.known.gain, valid, self.pools)

    def choose(self, columns: slice, block: Block, zeros: torch.Tensor) -> torch.Tensor:
        """Choose the alphas of one block by its gains over zeros, and give their indices."""
        gains = self.known.gain[:, columns]
        best = _choose(self.shared[:, columns], self.alphas)
        valid = block.valid.cpu().numpy()
        self.alpha[columns] = np.where(valid, self.alphas[best].cpu().numpy(), np.nan)
        known = torch.isfinite(gains) & block.valid
        if self.pools is not None:  # a higher score at another alpha is none that was chosen
            place = torch.arange(len(gains), device=gains.device)[:, None]
            known &= place == best
        self.cv_score[:, columns] = torch.where(known, zeros + gains, torch.nan).cpu().numpy()
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


def _predict(operators: _Operators, sides: RightSides, best: torch.Tensor) -> torch.Tensor:
    """Apply to each target the operator of its own alpha, and no other."""
    used = _columns_by_row(_rows_of(best, operators.n_alphas))
    first = operators.new(min(used))
    predicted = first.new_empty((len(first), len(best)))
    for index, columns in used.items():
        predicted.index_copy_(1, columns, sides.apply_whole(operators.new(index), columns))
    return predicted


def _rows_of(choice: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Mark in each column the row that was chosen, (n_rows, n_columns) of bool."""
    return torch.arange(n_rows, device=choice.device)[:, None] == choice


def _columns_by_row(chosen: torch.Tensor) -> dict[int, torch.Tensor]:
    """List the columns that are marked in each row with any; the host waits for all at once."""
    columns = chosen.nonzero(as_tuple=True)[1]
    counts = chosen.sum(dim=1).tolist()
    parts = torch.split(columns, counts)
    return {row: part for row, part in enumerate(parts) if counts[row]}
