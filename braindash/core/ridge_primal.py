"""Ridge in its primal form: one eigendecomposition for all alphas and all folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from braindash.core.ridge_data import Design, Fold, finish_operator, outside

# A feature whose centred values are this small beside its raw ones was constant.
_ROUNDING = 1e-12
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
        varies = deviation.abs().amax(dim=0) > _ROUNDING * features.abs().amax(dim=0)
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

    @cached_property
    def _rest(self) -> list[float]:
        return [_least_rest(self._rows[start:stop]) for start, stop in self._folds]

    @property
    def _alone(self) -> list[bool]:
        return [least < _NEARLY_ALONE for least in self._rest]

    @property
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
        return (4 * len(self._folds) + 16) * self._rows.shape[1]

    def cross(self, design: Design) -> torch.Tensor:
        """Return new rows in the coordinates of the solver, (n_new, n_columns)."""
        return self._rotated((design.delayed() - self._mean) * self._kept)

    def operators(
        self, indices: Sequence[int], cross: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Build what maps moments to held-out and to new predictions.

        Parameters
        ----------
        indices : sequence of int
            Which alphas.
        cross : Tensor of shape (n_new, n_columns), or None
            From :meth:`cross`.

        Returns
        -------
        held_out : list of Tensor of float32, shape (n_indices, fold rows, n_inputs)
            One per fold, applied to the fold's right side.
        new : Tensor of float32, shape (n_indices, n_new, n_columns), or None
            Applied to the whole right side.
        """
        weights = self._weights[list(indices)]
        held_out = [self._fold_operators(fold, weights) for fold in range(len(self._folds))]
        new = None if cross is None else (cross * weights[:, None, :]).float()
        return held_out, new

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
        moments = [
            None if alone else self._rows32[start:stop].T @ values[start:stop]
            for (start, stop), alone in zip(self._folds, self._alone, strict=True)
        ]
        # Summed in float64, so that taking a fold out again leaves the others' sum and no rounding.
        total = torch.zeros((self._rows.shape[1], values.shape[1]), dtype=torch.float64)
        total = total.to(values.device)
        for (start, stop), moment in zip(self._folds, moments, strict=True):
            total += self._rows32[start:stop].T @ values[start:stop] if moment is None else moment
        return PrimalSides(values, self._folds, moments, total)

    def _fold_operators(self, fold: int, weights: torch.Tensor) -> torch.Tensor:
        source = self._rows32 if self._well[fold] else self._rows
        rows, weights = source[slice(*self._folds[fold])], weights.to(source.dtype)
        moments = rows.T @ rows if rows.shape[1] <= len(rows) else None
        others = outside(source, self._folds[fold]).T if self._alone[fold] else None
        operators = []
        for weight in weights:
            operator = _held_out_operator(rows, moments, weight)
            if others is not None:
                operator = operator @ others
            # The largest weight of a feature tells how small the predictions are.
            scale = 1 / float(weight[: len(self._kept)].max()) if self._centred else None
            operators.append(finish_operator(operator, scale))
        return torch.stack(operators)

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
    moments : list of Tensor of float32, shape (n_inputs, n_columns), or None
        Of each fold; None where its operators apply to responses.
    total : Tensor of float64, shape (n_inputs, n_columns)
        Moments of all rows.
    """

    values: torch.Tensor
    folds: Sequence[Fold]
    moments: list[torch.Tensor | None]
    total: torch.Tensor

    @property
    def whole(self) -> torch.Tensor:
        """Moments of all rows, float32."""
        return self.total.float()

    def outside(self, fold: int, columns: torch.Tensor | None = None) -> torch.Tensor:
        """Give what a fold's operators apply to, (n_inputs, n_columns)."""
        moment, some = self.moments[fold], slice(None) if columns is None else columns
        if moment is None:
            return outside(self.values[:, some], self.folds[fold])
        return (self.total[:, some] - moment[:, some]).float()


def _held_out_operator(
    rows: torch.Tensor, moments: torch.Tensor | None, weight: torch.Tensor
) -> torch.Tensor:
    """Solve on the smaller side: columns when ``moments = rows' rows`` is given, else rows."""
    if moments is not None:
        root = weight.sqrt()
        factor = _factor_of_rest(moments * root * root[:, None])
        return torch.cholesky_solve((rows * root).T, factor).T * root
    weighted = rows * weight
    return torch.cholesky_solve(weighted, _factor_of_rest(weighted @ rows.T))


def _least_rest(rows: torch.Tensor) -> float:
    """Give the least pivot of the hardest case, the smallest alpha, where every weight is 1."""
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    return float(_factor_of_rest(product).diagonal().min()) ** 2


def _factor_of_rest(product: torch.Tensor) -> torch.Tensor:
    rest = product.neg()
    rest.diagonal().add_(1.0)
    factor: torch.Tensor = torch.linalg.cholesky(rest)
    return factor
