"""Which alphas to score for which target, so that few are scored and the best is among them.

The scores of one target at different alphas hang together. From a sample of targets, for which
every alpha is scored, this learns to tell the others from those at one or two *nodes*, and how
wrong that can be. For every other target the nodes are scored, then the alpha that looks best;
with all these known the rest can be told much better, and hardly any target has an alpha left that
could still win. A target that is like none of the sample, by its scores at the nodes or by an
estimate that was off, has every alpha scored: a strong penalty alone would not show what only a
weak one lets through, which is why there may be a second node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

# Scores that differ by less than this are a tie, which the larger alpha wins.
TIE = 1e-6
# The largest error seen in the sample, times this, is taken for the largest anywhere.
_SAFETY = 2.0
# A search that scores more than this share of the alphas is not worth its overhead.
_WORTHWHILE = 0.85
# A target of more than this times the sample's median leverage is told by no estimate. Not the
# largest: a sample may hold one or two targets of a rare kind, too few to learn that kind from.
_FAR = 8.0
# Directions of the sample's scores below this share of the largest are rounding.
_RANK = 1e-12


@dataclass(frozen=True)
class Scores:
    """What is known of some alphas, each array of float64, shape (n_alphas, n_targets).

    Attributes
    ----------
    gain : Tensor
        Score less that of predicting zeros, averaged over the folds within which a target varies.
    size : Tensor
        How large the predictions are beside the responses: their squares for R^2, whose gain
        grows with them, their length for r.
    """

    gain: torch.Tensor
    size: torch.Tensor

    def of(self, columns: slice | torch.Tensor) -> "Scores":
        """Return those of some of the targets; for a slice, to be filled in."""
        return Scores(self.gain[:, columns], self.size[:, columns])

    def at(self, alphas: Sequence[int], metric: str) -> torch.Tensor:
        """Return what other alphas' gains are told from, (n_known, n_targets)."""
        gain, size = self.gain[list(alphas)], self.size[list(alphas)]
        if metric == "r2":  # is a sum of what a prediction hits and its size: nothing else matters
            return torch.cat([gain, size])
        return torch.cat([gain, size, gain * size, gain.square(), torch.ones_like(gain[:1])])


@dataclass(frozen=True)
class Estimate:
    """Tells the gains of all alphas from those of a few.

    Attributes
    ----------
    weights : Tensor of float64, shape (n_alphas, n_known)
        What known numbers are multiplied with.
    margin : Tensor of float64, shape (n_alphas,)
        How far the estimate may be off, for a target of unit scale.
    """

    weights: torch.Tensor
    margin: torch.Tensor

    @classmethod
    def learned(cls, known: torch.Tensor, gain: torch.Tensor, scale: torch.Tensor) -> "Estimate":
        """Fit least squares to a sample of targets, each divided by its scale."""
        inputs, outputs = known / scale, gain / scale
        inverse = torch.linalg.pinv(inputs @ inputs.T, rtol=_RANK, hermitian=True)
        weights = outputs @ inputs.T @ inverse
        margin = _SAFETY * (weights @ inputs - outputs).abs().amax(dim=1)
        return cls(weights, margin)

    def of(self, known: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return estimates and margins, each (n_alphas, n_targets)."""
        return self.weights @ known, self.margin[:, None] * scale


def leverage(inputs: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """Return ``x' (X X')^-1 x`` of every target: how far an estimate from ``X`` is extrapolated.

    Parameters
    ----------
    inputs : Tensor of float64, shape (n_known, n_targets)
        Known numbers ``x`` of each target.
    inverse : Tensor of float64, shape (n_known, n_known)
        Of the sample's ``X X'``.

    Returns
    -------
    Tensor of float64, shape (n_targets,)
    """
    return (inputs * (inverse @ inputs)).sum(dim=0)


@dataclass(frozen=True)
class Range:
    """The scores that estimates were learned from: others would be told by extrapolation.

    Attributes
    ----------
    inverse : Tensor of float64, shape (n_known, n_known)
        Pseudo-inverse of ``X X'`` of the sample's known numbers ``X``.
    limit : float
        Leverage ``x' (X X')^-1 x`` beyond which a target is outside.
    """

    inverse: torch.Tensor
    limit: float

    @classmethod
    def of_sample(cls, inputs: torch.Tensor) -> "Range":
        """Take in a sample, numbers of shape (n_known, n_targets)."""
        inverse = torch.linalg.pinv(inputs @ inputs.T, rtol=_RANK, hermitian=True)
        return cls(inverse, _FAR * float(leverage(inputs, inverse).median()))

    def left_by(self, inputs: torch.Tensor) -> torch.Tensor:
        """Tell which targets are well outside the sample."""
        return leverage(inputs, self.inverse) > self.limit


@dataclass(frozen=True)
class Search:
    """What to score first, and how to tell the rest.

    Attributes
    ----------
    nodes : list of int
        Alphas that are scored for every target.
    first : Estimate
        From the nodes alone.
    second : list of Estimate
        From the nodes and one other alpha, by that alpha.
    metric : {"r2", "r"}
        What is maximised.
    order : list of int
        The other alphas, first those that were scored for most targets of the sample.
    n_used : int
        How many of these were scored for any target of the sample.
    cost : float
        Alphas scored for a target of the sample, on average.
    range : Range
        Which scores of the nodes the estimates were learned from.
    """

    nodes: list[int]
    first: Estimate
    second: list[Estimate]
    metric: str
    order: list[int]
    n_used: int
    cost: float
    range: Range

    def used(self) -> list[int]:
        """Return the alphas that the sample had use for."""
        return [*self.nodes, *self.order[: self.n_used]]

    def odd(self, known: Scores) -> torch.Tensor:
        """Tell which targets are like none of the sample, by the nodes' scores, (n_targets,)."""
        return self.range.left_by(known.at(self.nodes, self.metric) / self._scale(known))

    def promising(self, known: Scores) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tell from the nodes alone which alphas could be the best.

        Parameters
        ----------
        known : Scores
            Gains, -inf where not known; the nodes' are.

        Returns
        -------
        could : Tensor of bool, shape (n_alphas, n_targets)
            Whether an exact score is needed.
        estimate, margin : Tensor of float64, shape (n_alphas, n_targets)
        """
        scale = self._scale(known)
        estimate, margin = self.first.of(known.at(self.nodes, self.metric), scale)
        return _could_win(known.gain, estimate, margin), estimate, margin

    def left(self, known: Scores, other: int) -> torch.Tensor:
        """Tell from the nodes and one other alpha which could still win, (n_alphas, n_targets)."""
        scale = self._scale(known)
        told = self.second[other].of(known.at([*self.nodes, other], self.metric), scale)
        return _could_win(known.gain, *told)

    def _scale(self, known: Scores) -> torch.Tensor:
        return _scale(known.size[self.nodes].sum(dim=0), self.metric)


def plan_search(
    sample: Scores, usable: torch.Tensor, metric: str, witness_of: Sequence[int | None]
) -> Search | None:
    """Choose the node that makes the search cheapest, judged by a sample of targets.

    Parameters
    ----------
    sample : Scores
        Of every alpha, for the sample.
    usable : Tensor of bool, shape (n_targets,)
        Whether a target of the sample has a score at all.
    metric : {"r2", "r"}
        What is maximised.
    witness_of : sequence of int or None, length n_alphas
        Which alpha sees what a node is blind for, if any: it is scored for every target too.

    Returns
    -------
    Search or None
        None where it is not much cheaper to score every alpha.
    """
    gain, size = sample.gain[:, usable].cpu(), sample.size[:, usable].cpu()
    best: Search | None = None
    for node, witness in enumerate(witness_of):
        nodes = [node] if witness is None else [node, witness]
        varies = _scale(size[nodes].sum(dim=0), metric) > 0
        if int(varies.sum()) < 2 * len(gain):
            continue
        search = _search_from(nodes, Scores(gain, size).of(varies), metric)
        if search.cost < (_WORTHWHILE * len(gain) if best is None else best.cost):
            best = search
    return None if best is None else _moved(best, sample.gain.device)


def _search_from(nodes: list[int], sample: Scores, metric: str) -> Search:
    """Learn from the sample, and count there what would have been scored."""
    gain, scale = sample.gain, _scale(sample.size[nodes].sum(dim=0), metric)
    n_alphas, n_targets = gain.shape
    inputs = sample.at(nodes, metric)
    first = Estimate.learned(inputs, gain, scale)
    second = [
        Estimate.learned(sample.at([*nodes, other], metric), gain, scale)
        for other in range(n_alphas)
    ]
    known = Range.of_sample(inputs / scale)
    search = Search(nodes, first, second, metric, [], 0, 0.0, known)
    seen = torch.zeros(gain.shape, dtype=torch.bool)
    seen[nodes] = True
    could, estimate, _ = search.promising(_masked(sample, seen))
    choice = torch.where(could, estimate, -torch.inf).argmax(dim=0)
    some = could.any(dim=0)
    seen[choice[some], some.nonzero()[:, 0]] = True
    after = _masked(sample, seen)
    for other in torch.unique(choice[some]).tolist():
        columns = (some & (choice == other)).nonzero()[:, 0]
        seen[:, columns] |= search.left(after.of(columns), other) & could[:, columns]
    seen[:, search.odd(sample)] = True
    times = seen.sum(dim=1)
    order = [other for other in times.argsort(descending=True).tolist() if other not in nodes]
    n_used, cost = int((times[order] > 0).sum()), float(times.sum()) / n_targets
    return Search(nodes, first, second, metric, order, n_used, cost, known)


def _could_win(gain: torch.Tensor, estimate: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """Tell which unknown gains (-inf) could be above all that is known and all that is likely."""
    unknown = torch.isinf(gain)
    likely = torch.where(unknown, estimate - margin, gain).amax(dim=0)
    return unknown & (estimate + margin >= likely - TIE)


def _masked(sample: Scores, seen: torch.Tensor) -> Scores:
    return Scores(torch.where(seen, sample.gain, -torch.inf), sample.size)


def _scale(size: torch.Tensor, metric: str) -> torch.Tensor:
    """Return what errors grow with: strong predictions are estimated less closely."""
    return size.sqrt() if metric == "r2" else (size > 0).to(size.dtype)


def _moved(search: Search, device: torch.device) -> Search:
    """Bring what targets are compared with to the device; the planning itself is small."""
    parts = [
        Estimate(part.weights.to(device), part.margin.to(device))
        for part in (search.first, *search.second)
    ]
    known = Range(search.range.inverse.to(device), search.range.limit)
    return replace(search, first=parts[0], second=parts[1:], range=known)
