"""Ridge in its primal form: one eigendecomposition for all alphas and all folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from braindash.core.ridge.data import (
    CENTRING_ROUNDING,
    Design,
    apply_outside,
    finish_operator,
    outside,
    picked,
)
from braindash.core.ridge.settings import Fold

# A fold for which I - Z_f'Z_f is nearer to singular than this is mapped from responses.
_NEARLY_ALONE = 1e-2
# As far from singular as this, single precision solves with it as well as it multiplies.
_WELL_CONDITIONED = 0.1


class PrimalSolver:
    r"""Cross-validates ridge with the moments ``X'X`` and ``X'Y`` of the delayed features.

    With ``X'X = W diag(s) W'`` let ``Z = X W diag(s + a0)^-1/2``, ``a0`` the smallest alpha, and
    ``w = (s + a0) / (s + alpha)``, between 0 and 1. The ridge fit to the rows outside a fold ``f``
    predicts ``Z_f w^1/2 (I - w^1/2 Z_f'Z_f w^1/2)^-1 w^1/2 (Z'Y - Z_f'Y_f)`` for its rows: exact,
    with one decomposition in all, and scaled so that single precision loses nothing in ``Z'Y``
    however small alpha is. An intercept is one more column of ``Z``, constant, with ``w = 1``.

    Where a fold is nearly alone with some direction of the features (always so when there are more
    features than other rows), the inverse would magnify the rounding of the moments; its operator
    is then multiplied by the other rows ``Z_(-f)'`` and maps their responses instead.

    Parameters
    ----------
    design : Design
        Training features, (n_rows, n_features).
    folds : sequence of (start, stop)
        Rows of each fold.
    alphas : Tensor of float64, shape (n_alphas,)
        Ridge penalties, not smaller than the rounding of ``X'X``.
    intercept : bool
        Whether each fit has an intercept.
    centred : bool
        Whether only the shape of held-out predictions matters (metric "r").
    """

    name = "primal"
    #: For fewer targets than this it is cheaper to predict than to build operators.
    few = 256

    def __init__(
        self,
        design: Design,
        folds: Sequence[Fold],
        alphas: torch.Tensor,
        *,
        intercept: bool,
        centred: bool,
    ) -> None:
        self._folds, self._intercept, self._centred = folds, intercept, centred
        features = design.delayed()
        self._mean = features.mean(dim=0) if intercept else features.new_zeros(features.shape[1])
        deviation = features - self._mean
        varies = deviation.abs().amax(dim=0) > CENTRING_ROUNDING * features.abs().amax(dim=0)
        self._kept = varies.to(deviation.dtype)
        deviation *= self._kept
        power, vectors = torch.linalg.eigh(deviation.T @ deviation)
        self._alphas, self._least = alphas, alphas.min()
        self._power = power = power.clamp(min=0) + self._least
        self._basis = vectors / power.sqrt()
        self._constant = len(features) ** -0.5
        self._rows = self._rotated(deviation)
        self._rows32 = self._rows.float()
        weights = power / (power + (alphas - self._least)[:, None])
        if intercept:
            weights = torch.nn.functional.pad(weights, (0, 1), value=1.0)
        self._weights = weights
        self._fold_moments: dict[int, torch.Tensor | None] = {}

    @cached_property
    def _rest(self) -> list[float]:
        return [_least_rest(self._rows[start:stop]) for start, stop in self._folds]

    @cached_property
    def _alone(self) -> list[bool]:
        return [least < _NEARLY_ALONE for least in self._rest]

    @cached_property
    def _well(self) -> list[bool]:
        # Centring takes nearly all of an operator off where alpha is large: that needs double.
        return [least > _WELL_CONDITIONED and not self._centred for least in self._rest]

    def operator_bytes(self) -> int:
        """Return the size of the operators of one alpha."""
        n_rows, n_columns = self._rows.shape
        widths = [
            n_rows - stop + start if alone else n_columns
            for (start, stop), alone in zip(self._folds, self._alone, strict=True)
        ]
        return sum(4 * (b - a) * w for (a, b), w in zip(self._folds, widths, strict=True))

    def side_bytes(self) -> int:
        """Return the size of what is made of one target for the operators."""
        return 8 * (len(self._folds) + 1) * self._rows.shape[1]

    def cross(self, design: Design) -> torch.Tensor:
        """Return new rows in the coordinates of the solver, (n_new, n_columns)."""
        return self._rotated((design.delayed() - self._mean) * self._kept)

    def operators(
        self, index: int, cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build what maps moments to held-out and to new predictions.

        Parameters
        ----------
        index : int
            Which alpha.
        cross : Tensor of shape (n_new, n_columns), or None
            From :meth:`cross`.

        Returns
        -------
        held_out : list of Tensor of float32, shape (fold rows, n_inputs)
            One per fold, applied to the fold's right side.
        new : Tensor of float32, shape (n_new, n_columns), or None
            Applied to the whole right side.
        """
        weight = self._weights[index]
        held_out = [self._fold_operator(fold, weight) for fold in range(len(self._folds))]
        return held_out, None if cross is None else (cross * weight).float()

    def predictions(
        self, values: torch.Tensor, cross: torch.Tensor | None
    ) -> Iterator[tuple[list[torch.Tensor], torch.Tensor | None]]:
        """Predict held-out and new rows of a few targets, without building operators.

        One eigendecomposition per fold, of the other rows' ``X'X``, serves every alpha.

        Parameters
        ----------
        values : Tensor of float64, shape (n_rows, n_columns)
            Responses.
        cross : Tensor of shape (n_new, n_columns), or None
            From :meth:`cross`.

        Yields
        ------
        held_out : list of Tensor of float64, shape (fold rows, n_columns)
            One per fold.
        new : Tensor of float64, shape (n_new, n_columns), or None
            For the alphas in turn.
        """
        power = self._power - self._least
        rows = self._rows[:, : len(power)] * self._power.sqrt()
        total, everything = rows.T @ values, values.sum(dim=0)
        solved = []
        for start, stop in self._folds:
            fold, n_others = rows[start:stop], len(rows) - stop + start
            gram = torch.diag(power) - fold.T @ fold
            moments = total - fold.T @ values[start:stop]
            mean, centre = 0 * everything, 0 * power
            if self._intercept:  # all rows together have mean zero: the others' is known
                centre = -fold.sum(dim=0) / n_others
                mean = (everything - values[start:stop].sum(dim=0)) / n_others
                gram -= n_others * torch.outer(centre, centre)
                moments -= n_others * torch.outer(centre, mean)
            size, vectors = torch.linalg.eigh(gram)
            rotated = (fold - centre) @ vectors, vectors.T @ moments
            solved.append((size.clamp(min=0), *rotated, mean))
        whole = self._rows.T @ values
        for alpha, weight in zip(self._alphas.tolist(), self._weights, strict=True):
            held_out = [
                (left / (size + alpha)) @ right + mean for size, left, right, mean in solved
            ]
            new = None if cross is None else (cross * weight) @ whole
            yield held_out, new

    def right_sides(self, values: torch.Tensor) -> "PrimalSides":
        """Return what operators are applied to: the moments of all rows and outside each fold."""
        # One row per target: a target's moments are copied together where some are picked.
        moments = [values[start:stop].T @ self._rows32[start:stop] for start, stop in self._folds]
        whole, others = _sums_of_others(moments)
        kept = [None if alone else other for alone, other in zip(self._alone, others, strict=True)]
        return PrimalSides(values, self._folds, kept, whole)

    def _fold_operator(self, fold: int, weight: torch.Tensor) -> torch.Tensor:
        source = self._rows32 if self._well[fold] else self._rows
        rows, own = source[slice(*self._folds[fold])], weight.to(source.dtype)
        operator = _held_out_operator(rows, self._moments(fold, source.dtype), own)
        if self._alone[fold]:
            operator = operator @ outside(source, self._folds[fold]).T
        # The largest weight of a feature tells how small the predictions are.
        scale = weight[: len(self._kept)].max().reciprocal() if self._centred else None
        return finish_operator(operator, scale)

    def _moments(self, fold: int, dtype: torch.dtype) -> torch.Tensor | None:
        """Return ``rows' rows`` of a fold with at least as many rows as columns."""
        if fold not in self._fold_moments:
            rows = self._rows[slice(*self._folds[fold])]
            wide = rows.shape[1] > len(rows)
            self._fold_moments[fold] = None if wide else (rows.T @ rows).to(dtype)
        return self._fold_moments[fold]

    def _rotated(self, deviation: torch.Tensor) -> torch.Tensor:
        rotated: torch.Tensor = deviation @ self._basis
        if not self._intercept:
            return rotated
        constant = rotated.new_full((len(rotated), 1), self._constant)
        return torch.cat([rotated, constant], dim=1)


@dataclass(frozen=True)
class PrimalSides:
    """Moments of all rows; for each fold those outside it, or the responses outside it.

    Attributes
    ----------
    values : Tensor of float32, shape (n_rows, n_columns)
        Responses.
    folds : sequence of (start, stop)
        Rows of each fold.
    others : list of Tensor of float32, shape (n_columns, n_inputs), or None
        Moments of the rows outside each fold; None where its operators apply to responses.
    whole : Tensor of float32, shape (n_columns, n_inputs)
        Moments of all rows.
    """

    values: torch.Tensor
    folds: Sequence[Fold]
    others: list[torch.Tensor | None]
    whole: torch.Tensor

    def at(self, columns: torch.Tensor | slice) -> "PrimalSides":
        """Return those of some of the targets; for a slice, without a copy."""
        alone = any(other is None for other in self.others)
        values = picked(self.values, 1, columns) if alone else self.values[:, :0]
        others = [None if other is None else picked(other, 0, columns) for other in self.others]
        return PrimalSides(values, self.folds, others, self.whole[:0])

    def apply(self, fold: int, operator: torch.Tensor) -> torch.Tensor:
        """Predict rows of a fold from the others' moments, or from their responses."""
        moments = self.others[fold]
        if moments is None:
            return apply_outside(operator, self.values, self.folds[fold])
        return operator @ moments.T

    def apply_whole(self, operator: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Predict new rows of some targets from the moments of all their rows."""
        return operator @ picked(self.whole, 0, columns).T


def _sums_of_others(terms: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Add up all terms, and for each all but itself, which takes nothing off again.

    The list of terms is used up.
    """
    others, total = [], torch.zeros_like(terms[0])
    for own in terms:
        others.append(total)
        total = total + own
    after = terms.pop()
    for place in reversed(range(len(terms))):
        others[place] += after
        after += terms.pop()
    return total, others


def _held_out_operator(
    rows: torch.Tensor, moments: torch.Tensor | None, weight: torch.Tensor
) -> torch.Tensor:
    """Solve on the smaller side: columns when ``moments = rows' rows`` is given, else rows."""
    if moments is not None:
        root = weight.sqrt()
        factor = _factor_of_rest(moments * root * root[:, None])
        return (rows * root) @ torch.cholesky_inverse(factor) * root
    weighted = rows * weight
    return torch.cholesky_inverse(_factor_of_rest(weighted @ rows.T)) @ weighted


def _least_rest(rows: torch.Tensor) -> float:
    """Return the least pivot of the hardest case, the smallest alpha, where every weight is 1."""
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    return float(_factor_of_rest(product).diagonal().min()) ** 2


def _factor_of_rest(product: torch.Tensor) -> torch.Tensor:
    rest = product.neg()
    rest.diagonal().add_(1.0)
    factor: torch.Tensor = torch.linalg.cholesky(rest)
    return factor
