"""Ridge in its dual form: one kernel, one Cholesky factor per alpha for all folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from braindash.core.ridge.data import apply_outside, finish_operator, picked
from braindash.core.ridge.settings import Fold

# Where centring leaves no more than this share of a kernel, the features were constant.
_ROUNDING = 1e-13


class Kernels(Protocol):
    """Rows that have inner products with other rows."""

    def kernel(self, other: Any) -> torch.Tensor:
        """Return the inner products, float64, (n_rows, other's n_rows)."""


class DualSolver:
    """Cross-validates ridge with the kernel ``K = X X'`` of the delayed features.

    With ``A = (K + alpha I)^-1`` the prediction for the rows ``f`` of a fold, fitted to all others,
    is ``-(A_ff)^-1 A_(f,-f) Y_(-f)``: one inverse serves every fold exactly. For an intercept that
    is not penalised the kernel is centred, which makes the constant vector ``1`` an eigenvector of
    ``A``, and its part ``1 1' / (alpha n_rows)`` is taken off ``A``.

    Parameters
    ----------
    design : Kernels
        Training rows.
    folds : sequence of (start, stop)
        Rows of each fold.
    alphas : Tensor of float64, shape (n_alphas,)
        Ridge penalties, not smaller than the kernel's rounding.
    intercept : bool
        Whether each fit has an intercept.
    centred : bool
        Whether only the shape of held-out predictions matters (metric "r").
    """

    name = "dual"
    #: For fewer targets than this it is cheaper to predict than to build operators.
    few = 1024

    def __init__(
        self,
        design: Kernels,
        folds: Sequence[Fold],
        alphas: torch.Tensor,
        *,
        intercept: bool,
        centred: bool,
    ) -> None:
        self._design, self._folds = design, folds
        self._values: list[float] = alphas.tolist()  # for the host, which then need not wait
        self._intercept, self._centred = intercept, centred
        kernel = design.kernel(design)
        self._row_mean = kernel.mean(dim=0)
        self._kernel = centre_kernel(kernel, self._row_mean) if intercept else kernel
        # A centred kernel does not know the constant vector; this much of it keeps A well scaled.
        self._constant = float(self._kernel.diagonal().mean()) if intercept else 0.0
        self._size = float(self._kernel.diagonal().mean()) or 1.0
        self._kernel += self._constant / len(kernel)

    def operator_bytes(self) -> int:
        """Return the size of the operators of one alpha."""
        n_rows = len(self._kernel)
        return sum(4 * (stop - start) * (n_rows - stop + start) for start, stop in self._folds)

    def side_bytes(self) -> int:
        """Return the size of what is made of one target for the operators."""
        return 4 * len(self._kernel)

    def cross(self, design: Kernels) -> torch.Tensor:
        """Return the kernel between new rows and the training rows, (n_new, n_rows)."""
        kernel = design.kernel(self._design)
        return centre_kernel(kernel, self._row_mean) if self._intercept else kernel

    def operators(
        self, index: int, cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build what maps responses to held-out and to new predictions.

        Parameters
        ----------
        index : int
            Which alpha.
        cross : Tensor of shape (n_new, n_rows), or None
            From :meth:`cross`.

        Returns
        -------
        held_out : list of Tensor of float32, shape (fold rows, other rows)
            One per fold, applied to the responses of the other rows.
        new : Tensor of float32, shape (n_new, n_rows), or None
            Applied to all responses.
        """
        alpha = self._values[index]
        inverse, scale = self._inverse(alpha), 1 + alpha / self._size if self._centred else None
        held_out = []
        for start, stop in self._folds:
            rows = inverse[start:stop]
            factor = torch.linalg.cholesky(rows[:, start:stop])
            others = torch.cat([rows[:, :start], rows[:, stop:]], dim=1)
            solved = torch.cholesky_solve(others, factor).neg_()
            held_out.append(finish_operator(solved, scale))
        return held_out, None if cross is None else (cross @ inverse).float()

    def predictions(
        self, values: torch.Tensor, cross: torch.Tensor | None
    ) -> Iterator[tuple[list[torch.Tensor], torch.Tensor | None]]:
        """Predict held-out and new rows of a few targets, without building operators.

        With ``K = U diag(s) U'`` what the other rows contribute, ``A_(f,-f) Y_(-f)``, is
        ``-U_f diag(s / (alpha (s + alpha))) U_(-f)' Y_(-f)``, which loses nothing to rounding
        however large alpha is.

        Parameters
        ----------
        values : Tensor of float64, shape (n_rows, n_columns)
            Responses.
        cross : Tensor of shape (n_new, n_rows), or None
            From :meth:`cross`.

        Yields
        ------
        held_out : list of Tensor of float64, shape (fold rows, n_columns)
            One per fold.
        new : Tensor of float64, shape (n_new, n_columns), or None
            For the alphas in turn.
        """
        power, vectors = torch.linalg.eigh(self._kernel)
        power = power.clamp(min=0)
        parts = [vectors[start:stop].T @ values[start:stop] for start, stop in self._folds]
        sums = [values[start:stop].sum(dim=0) for start, stop in self._folds]
        whole, total = torch.stack(parts).sum(dim=0), torch.stack(sums).sum(dim=0)
        for alpha in self._values:
            shrink = (power / (alpha * (power + alpha)))[:, None]
            mean = 1 / ((alpha + self._constant) * len(values)) if self._intercept else 0.0
            held_out = []
            for (start, stop), part, fold_sum in zip(self._folds, parts, sums, strict=True):
                rows = vectors[start:stop]
                others = rows @ (shrink * (whole - part)) + mean * (total - fold_sum)
                own = (rows / (power + alpha)) @ rows.T - mean
                held_out.append(torch.cholesky_solve(others, torch.linalg.cholesky(own)))
            new = None
            if cross is not None:
                new = cross @ (vectors @ (whole / (power + alpha)[:, None]) - mean * total)
            yield held_out, new

    def right_sides(self, values: torch.Tensor) -> "DualSides":
        """Return what operators are applied to: the responses themselves."""
        return DualSides(values, self._folds)

    def _inverse(self, alpha: float) -> torch.Tensor:
        # Nothing is named that is no longer needed: each of these is as large as the kernel.
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(self._shifted(alpha)))
        if self._intercept:
            inverse -= 1 / ((alpha + self._constant) * len(inverse))
        return inverse

    def _shifted(self, alpha: float) -> torch.Tensor:
        shifted = self._kernel.clone()
        shifted.diagonal().add_(alpha)
        return shifted


def centre_kernel(kernel: torch.Tensor, row_mean: torch.Tensor) -> torch.Tensor:
    """Turn a kernel into that of features minus their mean over the training rows.

    Parameters
    ----------
    kernel : Tensor of shape (n_rows, n_training)
        Inner products with the training rows.
    row_mean : Tensor of shape (n_training,)
        Mean of the training rows' own kernel over its rows.

    Returns
    -------
    Tensor of shape (n_rows, n_training)
    """
    centred = kernel - kernel.mean(dim=1, keepdim=True)
    centred += row_mean.mean() - row_mean
    negligible = centred.abs().max() <= _ROUNDING * kernel.abs().max()
    return torch.zeros_like(centred) if bool(negligible) else centred


@dataclass(frozen=True)
class DualSides:
    """Responses of all rows, (n_rows, n_columns), and what each fold's operators make of them."""

    whole: torch.Tensor
    folds: Sequence[Fold]

    def at(self, columns: torch.Tensor | slice) -> "DualSides":
        """Return those of some of the targets; for a slice, without a copy."""
        return DualSides(picked(self.whole, 1, columns), self.folds)

    def apply(self, fold: int, operator: torch.Tensor) -> torch.Tensor:
        """Predict rows of a fold from the responses of the rows outside it."""
        return apply_outside(operator, self.whole, self.folds[fold])

    def apply_whole(self, operator: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Predict new rows of some targets from all their responses."""
        return operator @ picked(self.whole, 1, columns)
