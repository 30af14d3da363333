"""Which alphas to score for which target, so that few are scored and the best is among them.

Held-out predictions change smoothly with alpha. From a sample of targets, for which every alpha is
scored, this learns how the predictions of a few *nodes* combine into those of the other alphas, and
how wrong the scores are that follow from it. For all other targets only the nodes are scored
exactly, and then the alphas whose estimated score, give or take that error, could win.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

# Scores that differ by less than this are a tie, which the larger alpha wins.
TIE = 1e-6
# The largest error seen in the sample, times this, is taken for the largest anywhere.
_SAFETY = 1.1
# A search that scores more than this share of the alphas is not worth its overhead.
_WORTHWHILE = 0.85
# Directions of the nodes' predictions below this share of the largest are rounding.
_RANK = 1e-12
# What the products of one pair of nodes cost beside the prediction of one alpha.
_PRODUCT_COST = 0.01


@dataclass(frozen=True)
class Search:
    """What to score, and how to estimate the rest.

    Attributes
    ----------
    nodes : Tensor of int64, shape (n_nodes,)
        Alphas that are scored for every target.
    rest : Tensor of int64, shape (n_rest,)
        The other alphas.
    weights : Tensor of float64, shape (n_rest, n_nodes)
        The prediction of each other alpha as a combination of the nodes' predictions.
    margin : Tensor of float64, shape (n_rest,)
        How far an estimated score may be from the exact one.
    """

    nodes: torch.Tensor
    rest: torch.Tensor
    weights: torch.Tensor
    margin: torch.Tensor

    @classmethod
    def full(cls, n_alphas: int, device: torch.device) -> "Search":
        """Score every alpha for every target."""
        everything = torch.arange(n_alphas, device=device)
        nothing = torch.zeros(0, dtype=torch.float64, device=device)
        return cls(everything, everything[:0], nothing.reshape(0, n_alphas), nothing)

    def candidates(self, exact: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """Tell which of the other alphas could be the best.

        Parameters
        ----------
        exact : Tensor of shape (n_nodes, n_targets)
            Scores of the nodes.
        estimate : Tensor of shape (n_rest, n_targets)
            Estimated scores of the others.

        Returns
        -------
        Tensor of bool, shape (n_rest, n_targets)
            True where an exact score is needed.
        """
        margin = self.margin[:, None]
        sure = torch.maximum(exact.amax(dim=0), (estimate - margin).amax(dim=0))
        return estimate + margin >= sure - TIE


@dataclass(frozen=True)
class Moments:
    """Sums over the rows of one fold, from which scores follow.

    Attributes
    ----------
    gram : Tensor of shape (n_alphas, n_alphas, n_targets)
        Products of the predictions of two alphas.
    cross : Tensor of shape (n_alphas, n_targets)
        Products of prediction and response.
    total : Tensor of shape (n_targets,)
        Squares of the response.
    power : Tensor of shape (n_targets,)
        Squares of the response about its mean; 0 where it is constant.
    """

    gram: torch.Tensor
    cross: torch.Tensor
    total: torch.Tensor
    power: torch.Tensor

    def at(self, alphas: torch.Tensor) -> "Moments":
        """Give the sums of some of the alphas."""
        gram = self.gram[alphas][:, alphas]
        return Moments(gram, self.cross[alphas], self.total, self.power)

    def exact(self, metric: str) -> torch.Tensor:
        """Score the fold, (n_alphas, n_targets); 0 for a constant response."""
        return self._score(metric, self.cross, self.gram.diagonal().T)

    def combined(self, weights: torch.Tensor, metric: str) -> torch.Tensor:
        """Score predictions that are weighted sums of these.

        Parameters
        ----------
        weights : Tensor of shape (n_sums, n_alphas)
            The sums.
        metric : {"r2", "r"}
            What a score is.

        Returns
        -------
        Tensor of shape (n_sums, n_targets)
        """
        pairs = (weights[:, :, None] * weights[:, None, :]).flatten(1)
        return self._score(metric, weights @ self.cross, pairs @ self.gram.flatten(0, 1))

    def _score(self, metric: str, cross: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
        if metric == "r2":
            score = 1 - (self.total - 2 * cross + square) / self.power
        else:
            length = (square.clamp(min=0) * self.power).sqrt()
            score = torch.where(length > 0, cross / length, 0.0)
        return torch.where(self.power > 0, score, 0.0)


def make_moments(predicted: torch.Tensor, measured: torch.Tensor, power: torch.Tensor) -> Moments:
    """Sum up predictions (n_alphas, n_rows, n_targets) beside responses (n_rows, n_targets)."""
    n_alphas = len(predicted)
    gram = predicted.new_empty((n_alphas, n_alphas, predicted.shape[2]))
    for one in range(n_alphas):
        for other in range(one + 1):
            product = (predicted[one] * predicted[other]).sum(dim=0)
            gram[one, other] = gram[other, one] = product
    cross = (predicted * measured).sum(dim=1)
    return Moments(gram, cross, measured.square().sum(dim=0), power)


def total_moments(parts: Sequence[Moments]) -> Moments:
    """Add up the sums over several parts of one fold."""
    return Moments(
        _summed([part.gram for part in parts]),
        _summed([part.cross for part in parts]),
        _summed([part.total for part in parts]),
        parts[0].power,
    )


def plan_search(
    moments: Sequence[Moments], alphas: torch.Tensor, metric: str, most_nodes: int
) -> Search:
    """Choose the nodes that make the search cheapest, judged by a sample of targets.

    Parameters
    ----------
    moments : sequence of Moments
        Of every alpha, for the sample, fold by fold; float64.
    alphas : Tensor of shape (n_alphas,)
        In any order.
    metric : {"r2", "r"}
        What is maximised.
    most_nodes : int
        As many nodes are allowed.

    Returns
    -------
    Search
        The full search where no other is much cheaper.
    """
    n_alphas, order = len(alphas), torch.argsort(alphas)
    varying = torch.stack([fold.power > 0 for fold in moments])
    n_folds, usable = varying.sum(dim=0).clamp(min=1), varying.any(dim=0)
    exact = _summed([fold.exact(metric) for fold in moments]) / n_folds
    # Every target counts the same, however large its responses are.
    pooled = _summed(
        [
            (fold.gram[..., ok] / fold.power[ok]).sum(dim=2)
            for fold, ok in zip(moments, varying, strict=True)
        ]
    )
    best, least = Search.full(n_alphas, alphas.device), _WORTHWHILE * n_alphas
    for n_nodes in range(2, min(n_alphas - 1, most_nodes) + 1):
        places = torch.linspace(0, n_alphas - 1, n_nodes).round().long()
        others = torch.ones(n_alphas, dtype=torch.bool)
        others[places] = False
        nodes, rest = order[places], order[others]
        weights = _combination(pooled, nodes, rest)
        estimate = _summed([fold.at(nodes).combined(weights, metric) for fold in moments]) / n_folds
        margin = _SAFETY * (estimate - exact[rest])[:, usable].abs().amax(dim=1)
        search = Search(nodes, rest, weights, margin)
        wanted = search.candidates(exact[nodes], estimate)[:, usable].double().sum(dim=0).mean()
        cost = n_nodes + float(wanted) + _PRODUCT_COST * n_nodes**2
        if cost < least:
            best, least = search, cost
    return best


def _combination(pooled: torch.Tensor, nodes: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Least squares of the others' predictions on the nodes', (n_rest, n_nodes)."""
    inverse: torch.Tensor = torch.linalg.pinv(pooled[nodes][:, nodes], rtol=_RANK, hermitian=True)
    return pooled[rest][:, nodes] @ inverse


def _summed(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(terms)).sum(dim=0)
