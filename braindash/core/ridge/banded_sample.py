"""Mixtures of two bands for many targets: a sample says which are worth scoring at which alphas.

Every pair of a mixture and an alpha is one *candidate*. For a few targets the candidates of every
second alpha are scored, then those beside the ones that many targets like best. What was scored
there tells, from the gains at a few *nodes*, what any other target would gain from the others;
each target is scored at the nodes and at the candidates that look best, and gets the best of them.
Targets that turn out to be unlike the sample are searched again, with a sample of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge.cv import score_of_zeros, score_operators
from braindash.core.ridge.data import Block, Responses
from braindash.core.ridge.dual import DualSides, DualSolver
from braindash.core.ridge.memory import OPERATOR_BYTES
from braindash.core.ridge.search import TIE, Estimate, Scores, leverage

Mixture = tuple[float, ...]

# With fewer targets than this a sample costs more than it saves.
LEAST_TARGETS = 1024
_SAMPLE = 256
_LEAST_USABLE = 64
# A candidate is scored if so large a share of the sample has its best beside it: at the next alpha,
# or in the next mixture, which changes less.
_WANTED_ALPHA = 0.04
_WANTED_MIXTURE = 0.3
# But for fewer targets than this it never is.
_LEAST_WANTED = 3
# Nodes are added until the estimate costs no more R^2 than this on average, or there are so many.
_NEAR = 5e-4
_NODES = 6
# Candidates that are scored for a target beside the nodes.
_TRIED = 3
# A target is far out whose leverage is so many times the largest of the sample.
_FAR = 2.0
_COLUMNS = 2048


class Candidate(NamedTuple):
    """A mixture and the index of an alpha."""

    mixture: Mixture
    alpha: int


@dataclass(frozen=True)
class Columns:
    """Some columns of responses, read when they are asked for."""

    source: Any
    columns: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of the source and how many columns were taken."""
        return int(self.source.shape[0]), len(self.columns)

    @property
    def dtype(self) -> Any:
        """Type of the source."""
        return self.source.dtype

    def __getitem__(self, place: tuple[slice, Any]) -> Any:
        rows, columns = place
        return self.source[rows, self.columns[columns]]


@dataclass(frozen=True)
class Found:
    """The best candidate of each target.

    Attributes
    ----------
    candidates : list of Candidate
        All that were scored for any target.
    index : array of int, shape (n_targets,)
        Which of them.
    score : array of float64, shape (n_targets,)
        Its mean held-out R^2; NaN for unusable targets.
    """

    candidates: list[Candidate]
    index: NDArray[np.int64]
    score: NDArray[np.float64]

    def replaced(self, columns: NDArray[np.int64], other: "Found") -> "Found":
        """Take some targets from another search."""
        index, score = self.index.copy(), self.score.copy()
        index[columns], score[columns] = other.index + len(self.candidates), other.score
        return Found(self.candidates + other.candidates, index, score)


class SampledSearch:
    """Scores few candidates for each of many targets.

    Parameters
    ----------
    solver : callable
        Makes the solver of a mixture.
    responses : Responses
        All targets.
    n_alphas : int
        How many alphas the solvers have; those beside each other stand beside each other.
    beside : callable
        Gives the mixtures beside one, which need not be among the first.
    operators : dict, optional
        Operators of candidates that another search has built; those that fit are added.
    """

    def __init__(
        self,
        solver: Callable[[Mixture], DualSolver],
        responses: Responses,
        n_alphas: int,
        beside: Callable[[Mixture], Sequence[Mixture]],
        *,
        operators: dict[Candidate, list[torch.Tensor]] | None = None,
    ) -> None:
        self._make, self._responses, self._n_alphas = solver, responses, n_alphas
        self._beside = beside
        self._block = responses.sample(min(_SAMPLE, responses.n_targets))
        self._known: dict[Candidate, Scores] = {}
        self._operators = {} if operators is None else operators
        self._solver: tuple[Mixture, DualSolver] | None = None

    @property
    def tells_enough(self) -> bool:
        """Whether enough of the sample is usable to learn from."""
        return int(self._block.valid.sum()) >= _LEAST_USABLE

    def best(self, mixtures: Sequence[Mixture]) -> Found:
        """Choose for each target among the candidates of some mixtures and those beside them."""
        self._choose_candidates(mixtures)
        # Of candidates that are as good, the first: fewer bands before more.
        places = {mixture: place for place, mixture in enumerate(mixtures)}
        candidates = sorted(self._known, key=lambda own: places.get(own.mixture, len(places)))
        sample = Scores(
            torch.cat([self._known[candidate].gain for candidate in candidates]),
            torch.cat([self._known[candidate].size for candidate in candidates]),
        )
        if self._responses.n_targets <= _SAMPLE:
            return _found(candidates, sample.gain, self._zeros(self._block))
        usable = self._block.valid
        sample = Scores(sample.gain[:, usable], sample.size[:, usable])
        nodes = _choose_nodes(sample)
        known, zeros = self._score_nodes(candidates, nodes)
        told = _learned(sample, nodes)
        chosen = torch.tensor(nodes, device=known.gain.device)
        inputs, scale = known.at(nodes, "r2"), _scale(known, nodes)
        estimate, margin = told.of(inputs, scale)
        tried = _tried(known.gain, estimate.index_fill(0, chosen, -torch.inf), margin)
        for place, columns in enumerate(tried):
            self._score_columns(candidates[place], place, columns, known)
        odd = _far_out(inputs / scale, sample.at(nodes, "r2") / _scale(sample, nodes))
        error = (known.gain - estimate).abs().index_fill(0, chosen, 0.0)
        odd |= (torch.isfinite(known.gain) & (error > margin + TIE)).any(dim=0)
        strange = np.flatnonzero(odd.cpu().numpy() & np.isfinite(zeros))
        found = _found(candidates, known.gain, zeros)
        return found.replaced(strange, self._again(strange, mixtures)) if len(strange) else found

    def _again(self, columns: NDArray[np.int64], mixtures: Sequence[Mixture]) -> Found:
        """Search for some targets by a sample of their own, with all that is at hand."""
        own = self._responses
        some = Responses(Columns(own.source, columns), own.folds, own.intercept, own.device)
        search = SampledSearch(
            self._make, some, self._n_alphas, self._beside, operators=self._operators
        )
        for candidate in list(self._operators):
            search._sample(candidate)
        return search.best(mixtures)

    def _choose_candidates(self, mixtures: Sequence[Mixture]) -> None:
        """Score in the sample whatever could be of use."""
        alphas = self._walk(min(mixtures, key=max))  # the one that has most of every band
        for candidate in (Candidate(own, alpha) for own in mixtures for alpha in alphas):
            self._sample(candidate)
        while self._refine(mixtures):
            pass

    def _walk(self, mixture: Mixture) -> list[int]:
        """Score every second alpha of a mixture in the sample, from the middle to where none is.

        Returns
        -------
        list of int
            The alphas that are the best of these for enough of the sample.
        """
        middle, last = self._n_alphas // 2, self._n_alphas - 1
        gains = {middle: self._sample(Candidate(mixture, middle))}
        for step in (-2, 2):
            alpha, more = middle, True
            while more and alpha != (end := 0 if step < 0 else last):
                alpha = max(alpha + step, end) if step < 0 else min(alpha + step, end)
                gains[alpha] = self._sample(Candidate(mixture, alpha))
                more = _enough(gains)[alpha]
        return [alpha for alpha, enough in _enough(gains).items() if enough]

    def _refine(self, mixtures: Sequence[Mixture]) -> bool:
        """Score what lies beside the best candidates of many targets; tell whether anything did."""
        known = list(self._known)
        gain = torch.cat([self._known[candidate].gain for candidate in known])
        best = gain[:, self._block.valid].argmax(dim=0)
        wanted: dict[Candidate, float] = {}
        for (mixture, alpha), count in zip(known, torch.bincount(best).tolist(), strict=False):
            near = {Candidate(mixture, alpha + step): _WANTED_ALPHA for step in (-1, 1)}
            if mixture in mixtures:
                near |= {Candidate(own, alpha): _WANTED_MIXTURE for own in self._beside(mixture)}
            for candidate, share in near.items():
                if 0 <= candidate.alpha < self._n_alphas and candidate not in self._known:
                    wanted[candidate] = wanted.get(candidate, 0.0) + count / share
        least = max(len(best), _LEAST_WANTED / _WANTED_ALPHA)
        chosen = [candidate for candidate, count in wanted.items() if count >= least]
        for candidate in sorted(chosen):  # mixture by mixture
            self._sample(candidate)
        return bool(chosen)

    def _sample(self, candidate: Candidate) -> torch.Tensor:
        """Score a candidate in the sample and give the usable targets' gains."""
        if candidate not in self._known:
            self._known[candidate] = self._scored(candidate, self._block)
        return self._known[candidate].gain[0, self._block.valid]

    def _score_nodes(
        self, candidates: list[Candidate], nodes: list[int]
    ) -> tuple[Scores, NDArray[np.float64]]:
        """Score the nodes for all targets; also give the score of zeros, NaN where unusable."""
        responses = self._responses
        unknown = self._block.mean.new_full((len(candidates), responses.n_targets), -torch.inf)
        known = Scores(unknown, torch.zeros_like(unknown))
        zeros = np.empty(responses.n_targets)
        for columns, block in responses.blocks(_COLUMNS):
            for node in nodes:
                found = self._scored(candidates[node], block)
                known.gain[node, columns], known.size[node, columns] = found.gain[0], found.size[0]
            zeros[columns] = self._zeros(block)
        return known, zeros

    def _zeros(self, block: Block) -> NDArray[np.float64]:
        """Return the score of predicting zeros, NaN for unusable targets."""
        score = score_of_zeros(block, self._responses.fold_rows, "r2")
        return np.asarray(torch.where(block.valid, score, torch.nan).cpu().numpy())

    def _score_columns(
        self, candidate: Candidate, place: int, columns: torch.Tensor, known: Scores
    ) -> None:
        for some in torch.split(columns, _COLUMNS):
            if len(some):
                block = self._responses.prepared(self._responses.source[:, some.cpu().numpy()])
                known.gain[place, some] = self._scored(candidate, block).gain[0]

    def _scored(self, candidate: Candidate, block: Block) -> Scores:
        sides = DualSides(block.values, self._responses.folds)
        return score_operators(self._held_out(candidate), sides, block, "r2")

    def _held_out(self, candidate: Candidate) -> list[torch.Tensor]:
        found = self._operators.get(candidate)
        if found is None:
            if self._solver is None or self._solver[0] != candidate.mixture:
                self._solver = candidate.mixture, self._make(candidate.mixture)
            solver = self._solver[1]
            found, _ = solver.operators(candidate.alpha, None)
            if (len(self._operators) + 1) * solver.operator_bytes() <= OPERATOR_BYTES:
                self._operators[candidate] = found
        return found


def _enough(gains: dict[int, torch.Tensor]) -> dict[int, bool]:
    """Tell which alphas are the best for enough targets, from the gains of each."""
    stacked = torch.stack(list(gains.values()))
    counts = torch.bincount(stacked.argmax(dim=0), minlength=len(gains)).tolist()
    least = max(_LEAST_WANTED, _WANTED_ALPHA * stacked.shape[1])
    return {alpha: count >= least for alpha, count in zip(gains, counts, strict=True)}


def _choose_nodes(sample: Scores) -> list[int]:
    """Choose one after the other what loses least when each target follows the estimate."""
    best = sample.gain.amax(dim=0)
    nodes: list[int] = []
    loss = np.inf
    while loss > _NEAR and len(nodes) < min(_NODES, len(sample.gain)):
        losses = {}
        for node in set(range(len(sample.gain))) - set(nodes):
            some = [*nodes, node]
            estimate = _learned(sample, some).weights @ sample.at(some, "r2")
            followed = sample.gain.gather(0, estimate.argmax(dim=0)[None])
            losses[node] = float((best - followed).mean())
        nodes.append(min(losses, key=lambda node: losses[node]))
        loss = losses[nodes[-1]]
    return nodes


def _found(candidates: list[Candidate], gains: torch.Tensor, zeros: NDArray[np.float64]) -> Found:
    gain = gains.cpu().numpy()
    index = (gain >= gain.max(axis=0) - TIE).argmax(axis=0)
    return Found(candidates, index, zeros + gain[index, np.arange(gain.shape[1])])


def _learned(sample: Scores, nodes: list[int]) -> Estimate:
    return Estimate.learned(sample.at(nodes, "r2"), sample.gain, _scale(sample, nodes))


def _far_out(inputs: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """Tell which targets an estimate from a sample would have to be extrapolated for.

    That is where the leverage is well above that of any target of the sample.
    """
    inverse = torch.linalg.pinv(sample @ sample.T, hermitian=True)
    return leverage(inputs, inverse) > _FAR * leverage(sample, inverse).max()


def _scale(scores: Scores, nodes: list[int]) -> torch.Tensor:
    """Return what errors grow with, as in the search of one ridge; 1 where nothing is predicted."""
    scale = scores.size[nodes].sum(dim=0).sqrt()
    return torch.where(scale > 0, scale, 1.0)


def _tried(gain: torch.Tensor, estimate: torch.Tensor, margin: torch.Tensor) -> list[torch.Tensor]:
    """For each candidate the targets for which it looks best, and could beat the nodes."""
    order = estimate.topk(min(_TRIED, len(estimate)), dim=0).indices
    could = torch.isfinite(estimate) & (estimate + margin >= gain.amax(dim=0) - TIE)
    chosen = torch.zeros_like(could).scatter_(0, order, torch.ones_like(order, dtype=torch.bool))
    return [row.nonzero()[:, 0] for row in chosen & could]
