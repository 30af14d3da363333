"""Weights of ridge regressions whose penalties are known already.

What a cross-validation chose is kept with every result, so its weights can be had later, from one
decomposition of the training features and without scoring anything again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.devices import check_threads, clear_memory_error, find_device, limited_threads
from braindash.core.ridge.data import (
    CENTRING_ROUNDING,
    Block,
    Design,
    Responses,
    check_responses,
    make_design,
)
from braindash.core.ridge.memory import READ_COLUMNS, weights_columns
from braindash.core.ridge.settings import check_alphas, solvable_alphas
from braindash.core.scores import column_slices
from braindash.errors import InputError

WeightBlock = tuple[slice, NDArray[np.float32], NDArray[np.float64]]


class RidgeWeights:
    r"""Weights of many targets, each with its own penalty, on the delayed features of some stories.

    With the singular value decomposition ``U S V'`` of the delayed features (centred where there
    is an intercept) the weights of a target are ``V S / (S^2 + alpha) U' y``. The decomposition
    is that of the smaller of the two products of the features with themselves; the scale of every
    direction is kept out of what is multiplied in single precision, as in
    :class:`braindash.core.ridge.primal.PrimalSolver`.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
        Features of the training stories, z-scored per story, without delays.
    groups : array of int, shape (n_rows,)
        Story index of each row; the rows of a story stand together.
    alphas : sequence of float, shape (n_alphas,)
        Every penalty that a target may have.
    delays : sequence of int
        Delays of the features in TRs, made within each story.
    intercept : bool, default True
        Whether the fit has an intercept that is not penalised.
    kept : array of bool, shape (n_rows,), optional
        Rows that have a response, all by default.
    device : str, default "auto"
        "cpu", "cuda" or "cuda:N"; "auto" is "cuda" where there is one.
    threads : int, optional
        CPU threads for the time of the work; None leaves torch's setting.
    """

    def __init__(
        self,
        X: ArrayLike,
        groups: ArrayLike,
        alphas: ArrayLike,
        *,
        delays: Sequence[int],
        intercept: bool = True,
        kept: ArrayLike | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._device, self._threads = find_device(device), check_threads(threads)
        self._delays, self._intercept = tuple(delays), intercept
        given = check_alphas(alphas)
        with limited_threads(self._threads), clear_memory_error(self._device):
            design = make_design(X, groups, delays, self._device, "X", kept)
            self._n_features, self._n_rows = int(design.features.shape[1]), len(design)
            solved = torch.as_tensor(solvable_alphas(given, design.trace()), device=self._device)
            self._decompose(design, solved)
        self._alphas = given

    def _decompose(self, design: Design, alphas: torch.Tensor) -> None:
        features = design.delayed()
        mean = features.mean(dim=0) if self._intercept else features.new_zeros(features.shape[1])
        deviation = features - mean
        deviation *= deviation.abs().amax(dim=0) > CENTRING_ROUNDING * features.abs().amax(dim=0)
        del features
        least = alphas.min()
        tall = deviation.shape[0] >= deviation.shape[1]
        product = deviation.T @ deviation if tall else deviation @ deviation.T
        power, vectors = torch.linalg.eigh(product)
        power = power.clamp(min=0)
        root = (power + least).sqrt()
        if tall:
            basis = vectors / root
            rows, gains = deviation @ basis, (power + least) / (power + alphas[:, None])
        else:
            basis = (deviation.T @ vectors) / root
            rows, gains = vectors, root / (power + alphas[:, None])
        self._mean = mean.cpu().numpy()
        self._rows, self._basis, self._gains = rows.float(), basis.float(), gains.float().T

    def blocks(
        self, Y: Any, alpha: ArrayLike, within: slice | None = None
    ) -> Iterator[WeightBlock]:
        """Fit targets, some at a time: what is in memory does not grow with their number.

        Parameters
        ----------
        Y : array-like of shape (n_kept, n_targets)
            Responses of the kept rows, on disk or in memory.
        alpha : array of shape (n_targets,)
            The penalty of every target, one of ``alphas`` to the rounding of float32; NaN for a
            target without a fit.
        within : slice, optional
            Which targets; all by default.

        Yields
        ------
        columns : slice
            Which targets.
        weights : array of float32, shape (n_delays, n_features, n_columns)
            In units of the response per unit of the features; NaN for targets without a fit.
        offset : array of float64, shape (n_columns,)
            Added to the delayed features times the weights, it gives the prediction.

        Raises
        ------
        InputError
            When a penalty is none of those, or there is not one for every target.
        """
        checked = check_responses(Y, self._n_rows, "Y")
        # One fold of all rows: nothing is held out, targets are only made ready.
        responses = Responses(checked, [(0, self._n_rows)], self._intercept, self._device)
        places = self._places(np.asarray(alpha, dtype=np.float64), responses.n_targets)
        step = weights_columns(self._n_rows, self._n_features, len(self._delays))
        asked = within or slice(0, responses.n_targets)
        for part in column_slices(asked.stop - asked.start, READ_COLUMNS):
            strip = slice(asked.start + part.start, asked.start + part.stop)
            read = np.asarray(checked[:, strip])  # from a disk, many at a time: columns are slow
            for inner in column_slices(read.shape[1], step):
                columns = slice(strip.start + inner.start, strip.start + inner.stop)
                with limited_threads(self._threads), clear_memory_error(self._device):
                    fitted = self._fitted(responses.prepared(read[:, inner]), places[columns])
                yield columns, *fitted

    def _places(self, alpha: NDArray[np.float64], n_targets: int) -> NDArray[np.int64]:
        """Find each target's penalty among all; -1 for a target without one."""
        if alpha.shape != (n_targets,):
            raise InputError(
                f"there are penalties of shape {alpha.shape} for {n_targets} targets",
                hint="Give one penalty per target, as the fit chose them.",
            )
        known = np.isfinite(alpha)
        distance = np.abs(np.log(np.where(known, alpha, 1.0))[:, None] - np.log(self._alphas))
        places = np.asarray(distance.argmin(axis=1))
        wrong = known & (distance[np.arange(n_targets), places] > 1e-5)
        if wrong.any():
            raise InputError(
                f"{int(wrong.sum())} targets have a penalty that is none of the given, the first "
                f"{alpha[wrong][0]:g}",
                hint="Give the penalties that the fit chose from.",
            )
        return np.where(known, places, -1)

    def _fitted(
        self, block: Block, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        index = torch.as_tensor(np.maximum(places, 0), device=self._device)
        side = (self._rows.T @ block.values).mul_(self._gains[:, index])
        fitted = block.valid & torch.as_tensor(places >= 0, device=self._device)
        weights = (self._basis @ side) * block.scale.float()
        weights = torch.where(fitted, weights, torch.nan).cpu().numpy()
        offset = block.mean.cpu().numpy() - self._mean @ weights.astype(np.float64)
        shape = len(self._delays), self._n_features, weights.shape[1]
        return weights.reshape(shape), offset
