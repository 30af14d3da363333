"""The search for each target's best mixture of feature spaces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge.banded_sample import LEAST_TARGETS, Columns, Mixture, SampledSearch
from braindash.core.ridge.cv import cross_validate
from braindash.core.ridge.data import Block, Design, Responses
from braindash.core.ridge.dual import DualSolver, centre_kernel
from braindash.core.ridge.search import TIE
from braindash.core.ridge.settings import solvable_alphas

# Mixtures of two bands, as log10 of their ratio: first these, then those beside a target's best.
_COARSE = (-1.5, 0.0, 1.5)
_FINE_STEP = 0.75
# Targets whose weights are computed at a time.
_COLUMNS = 2048


@dataclass(frozen=True)
class BandKernels:
    """Inner products of some rows with the training rows, band by band, all of one scale.

    Attributes
    ----------
    kernels : list of Tensor of float64, shape (n_rows, n_training)
        One per band, already centred where there is an intercept.
    weights : Mixture
        How they are mixed.
    """

    kernels: list[torch.Tensor]
    weights: Mixture

    @classmethod
    def of(
        cls,
        rows: Sequence[Design],
        training: Sequence[Design],
        scale: Sequence[float],
        centre: bool,
    ) -> "BandKernels":
        """Compute the kernels of some rows, band by band."""
        kernels = []
        for own, known, size in zip(rows, training, scale, strict=True):
            kernel = size * own.kernel(known)
            if centre:
                square = kernel if own is known else size * known.kernel(known)
                kernel = centre_kernel(kernel, square.mean(dim=0))
            kernels.append(kernel)
        return cls(kernels, (1.0,) * len(kernels))

    def mixed(self, weights: Mixture) -> "BandKernels":
        """Mix them otherwise."""
        return BandKernels(self.kernels, weights)

    def __len__(self) -> int:
        return len(self.kernels[0])

    def kernel(self, other: Any) -> torch.Tensor:
        """Return the mixed inner products; ``other`` can only be the training rows."""
        total = torch.zeros_like(self.kernels[0])
        for weight, kernel in zip(self.weights, self.kernels, strict=True):
            if weight:
                total += weight * kernel
        return total


@dataclass(frozen=True)
class Choice:
    """The best mixture and alpha of each target.

    Attributes
    ----------
    mixtures : list of Mixture
        All that were tried.
    index : array of int, shape (n_targets,)
        Which of them.
    alpha : array of float64, shape (n_targets,)
        Penalty; NaN for unusable targets.
    score : array of float32, shape (n_targets,)
        Mean held-out R^2; NaN for unusable targets.
    """

    mixtures: list[Mixture]
    index: NDArray[np.int64]
    alpha: NDArray[np.float64]
    score: NDArray[np.float32]

    def weights(self) -> NDArray[np.float64]:
        """Return the weights of each target, (n_bands, n_targets); NaN for unusable targets."""
        weights = np.array(self.mixtures)[self.index].T
        return np.where(np.isfinite(self.alpha), weights, np.nan)


class MixtureSearch:
    """Solves one mixture after the other, for the targets that may prefer it.

    Parameters
    ----------
    training, new : BandKernels
        The training rows and the rows to predict.
    responses : Responses
        All targets.
    alphas : array of float64, shape (n_alphas,)
        Penalties.
    trace : float
        Of the kernel of any mixture.
    plain : Mixture
        The mixture that is all bands side by side.
    n_mixtures, seed : int
        Random mixtures of three or more bands.
    """

    def __init__(
        self,
        training: BandKernels,
        new: BandKernels,
        responses: Responses,
        alphas: NDArray[np.float64],
        *,
        trace: float,
        plain: Mixture,
        n_mixtures: int,
        seed: int,
    ) -> None:
        self._training, self._new, self._responses = training, new, responses
        self._alphas, self._plain = torch.as_tensor(alphas, device=responses.device), plain
        self._solvable = torch.as_tensor(solvable_alphas(alphas, trace), device=responses.device)
        self._n_mixtures, self._seed = n_mixtures, seed
        self._solved: dict[Mixture, tuple[NDArray[np.float64], NDArray[np.float32]]] = {}

    def best(self, bands: Sequence[int]) -> Choice:
        """Choose among the mixtures of some of the bands."""
        mixtures = list(self._first_mixtures(bands))
        # Of random mixtures each suits few targets: a sample does not tell which to leave out.
        if len(bands) == 2 and self._responses.n_targets >= LEAST_TARGETS:
            sampled = self._sampled(mixtures, bands)
            if sampled is not None:
                return sampled
        for mixture in mixtures:
            self._solve(mixture)
        choice = self._chosen(mixtures)
        if len(bands) == 2:
            finer: dict[Mixture, list[NDArray[np.int64]]] = {}
            for place, mixture in enumerate(mixtures):
                columns = np.flatnonzero(choice.index == place)
                for neighbour in _neighbours(mixture, bands) if len(columns) else ():
                    finer.setdefault(neighbour, []).append(columns)
            for mixture, parts in finer.items():
                self._solve(mixture, np.sort(np.concatenate(parts)))
            choice = self._chosen(mixtures + list(finer))
        return choice

    def predict(self, choice: Choice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Fit all training rows with each target's choice and predict the new rows.

        Returns
        -------
        parts : array of float32, shape (n_bands, n_new, n_targets)
            Contribution of each band, in the units of the responses; NaN for unusable targets.
        prediction : array of float32, shape (n_new, n_targets)
            Their sum plus the intercept.
        """
        n_targets = self._responses.n_targets
        parts = np.full((len(self._plain), len(self._new), n_targets), np.nan, np.float32)
        prediction = np.full(parts.shape[1:], np.nan, np.float32)
        usable = np.isfinite(choice.alpha)
        for place, mixture in enumerate(choice.mixtures):
            columns = np.flatnonzero((choice.index == place) & usable)
            if not len(columns):
                continue
            for some, block, dual in self._duals(mixture, choice.alpha, columns):
                total = block.mean.expand(len(self._new), -1)
                for band, (weight, kernel) in enumerate(
                    zip(mixture, self._new.kernels, strict=True)
                ):
                    part = weight * (kernel @ dual)
                    parts[band][:, some] = part.cpu().numpy()
                    total = total + part
                prediction[:, some] = total.cpu().numpy()
        return parts, prediction

    def _duals(
        self, mixture: Mixture, alpha: NDArray[np.float64], columns: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], Block, torch.Tensor]]:
        """Solve one mixture, for some targets of one alpha at a time, in the targets' units."""
        kernel = self._training.mixed(mixture).kernel(None)
        diagonal = kernel.diagonal().clone()
        for given, solvable in zip(self._alphas.tolist(), self._solvable.tolist(), strict=True):
            own = columns[alpha[columns] == given]
            if not len(own):
                continue
            kernel.diagonal().copy_(diagonal + solvable)
            factor = torch.linalg.cholesky(kernel)
            for start in range(0, len(own), _COLUMNS):
                some = own[start : start + _COLUMNS]
                block = self._responses.prepared(self._responses.source[:, some])
                dual = torch.cholesky_solve(block.values.double(), factor) * block.scale
                yield some, block, dual

    def _first_mixtures(self, bands: Sequence[int]) -> Iterator[Mixture]:
        """Each band alone; for two some ratios; for more all side by side and random ones."""
        n_bands = len(self._plain)
        for band in bands:
            yield _spread({band: 1.0}, n_bands)
        if len(bands) == 2:
            for ratio in _COARSE:
                yield _of_ratio(ratio, bands, n_bands)
        if len(bands) > 2:
            rng = np.random.default_rng(self._seed)
            plain = np.array([self._plain[band] for band in bands])
            drawn = rng.dirichlet(np.ones(len(bands)), self._n_mixtures)
            for shares in (plain / max(plain.sum(), 1e-300), np.ones(len(bands)), *drawn):
                whole = shares / max(shares.sum(), 1e-300)
                yield _spread(dict(zip(bands, whole.tolist(), strict=True)), n_bands)

    def _sampled(self, mixtures: list[Mixture], bands: Sequence[int]) -> Choice | None:
        """Choose for many targets, scoring few mixtures and alphas; None: too few are usable."""
        order = self._alphas.argsort()
        search = SampledSearch(
            lambda mixture: self._solver(mixture, order),
            self._responses,
            len(order),
            lambda mixture: _neighbours(mixture, bands),
        )
        if not search.tells_enough:
            return None
        found = search.best(mixtures)
        alphas = self._alphas[order].cpu().numpy()
        alpha = alphas[[candidate.alpha for candidate in found.candidates]][found.index]
        alpha = np.where(np.isnan(found.score), np.nan, alpha)
        tried = [candidate.mixture for candidate in found.candidates]
        unique = list(dict.fromkeys(tried))
        place = np.array([unique.index(mixture) for mixture in tried])
        return Choice(unique, place[found.index], alpha, found.score.astype(np.float32))

    def _solver(self, mixture: Mixture, order: torch.Tensor | slice = slice(None)) -> DualSolver:
        return DualSolver(
            self._training.mixed(mixture),
            self._responses.folds,
            self._solvable[order],
            intercept=self._responses.intercept,
            centred=False,
        )

    def _solve(self, mixture: Mixture, columns: NDArray[np.int64] | None = None) -> None:
        """Find the best alpha of one mixture, for all targets or some."""
        if mixture in self._solved:
            return
        source = self._responses.source
        responses = self._responses
        if columns is not None:
            responses = Responses(
                Columns(source, columns), responses.folds, responses.intercept, responses.device
            )
        result = cross_validate(self._solver(mixture), responses, self._alphas, metric="r2")
        alpha = np.full(source.shape[1], np.nan)
        score = np.full(source.shape[1], -np.inf, np.float32)
        where = slice(None) if columns is None else columns
        alpha[where] = result.alpha
        score[where] = np.where(np.isnan(result.alpha), -np.inf, result.best_cv_score)
        self._solved[mixture] = alpha, score

    def _chosen(self, mixtures: list[Mixture]) -> Choice:
        scores = np.stack([self._solved[mixture][1] for mixture in mixtures])
        # Of mixtures that are as good, the first: fewer bands before more.
        index = (scores >= scores.max(axis=0) - TIE).argmax(axis=0)
        targets = np.arange(scores.shape[1])
        alpha = np.stack([self._solved[mixture][0] for mixture in mixtures])[index, targets]
        score = np.where(np.isfinite(alpha), scores[index, targets], np.nan)
        return Choice(mixtures, index, alpha, score.astype(np.float32))


def _spread(shares: dict[int, float], n_bands: int) -> Mixture:
    return tuple(shares.get(band, 0.0) for band in range(n_bands))


def _of_ratio(ratio: float, bands: Sequence[int], n_bands: int) -> Mixture:
    """Mix two bands, the second's share over the first's being ``10 ** ratio``."""
    second = 1 / (1 + 10.0**-ratio)
    return _spread({bands[0]: 1 - second, bands[1]: second}, n_bands)


def _neighbours(mixture: Mixture, bands: Sequence[int]) -> list[Mixture]:
    """Return the mixtures of two bands that are half a step beside one of the first."""
    first, second = (mixture[band] for band in bands)
    if first == 0:
        ratios = [_COARSE[-1] + _FINE_STEP]
    elif second == 0:
        ratios = [_COARSE[0] - _FINE_STEP]
    else:
        ratio = round(float(np.log10(second / first)), 6)
        ratios = [ratio - _FINE_STEP, ratio + _FINE_STEP]
    return [_of_ratio(ratio, bands, len(mixture)) for ratio in ratios]
