"""Ridge in its primal form: one eigendecomposition for all alphas and all folds."""

from collections.abc import Iterator, Sequence

import torch

from braindash.core.ridge_data import Design, Fold, finish_operator, outside

# A feature whose centred values are this small beside its raw ones was constant.
_ROUNDING = 1e-12
# A fold for which I - Z_f'Z_f is nearer to singular than this is mapped from responses.
_NEARLY_ALONE = 1e-2


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
        power = power.clamp(min=0) + alphas.min()
        self._basis = vectors / power.sqrt()
        self._constant = len(features) ** -0.5
        self._rows = self._rotated(deviation)
        self._rows32 = self._rows.float()
        weights = power / (power + (alphas - alphas.min())[:, None])
        if intercept:
            weights = torch.nn.functional.pad(weights, (0, 1), value=1.0)
        self._weights = weights
        self._alone = [_is_nearly_alone(self._rows[start:stop]) for start, stop in folds]

    def operator_bytes(self) -> int:
        """Return the size of the operators of one alpha."""
        n_rows, n_columns = self._rows.shape
        widths = [
            n_rows - stop + start if alone else n_columns
            for (start, stop), alone in zip(self._folds, self._alone, strict=True)
        ]
        return sum(4 * (b - a) * w for (a, b), w in zip(self._folds, widths, strict=True))

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
        held_out = [
            self._fold_operators(fold, alone, weights)
            for fold, alone in zip(self._folds, self._alone, strict=True)
        ]
        new = None if cross is None else (cross * weights[:, None, :]).float()
        return held_out, new

    def right_sides(self, values: torch.Tensor) -> tuple[torch.Tensor, Iterator[torch.Tensor]]:
        """Return what operators are applied to: the moments of all rows and outside each fold."""
        moments = [self._rows32[start:stop].T @ values[start:stop] for start, stop in self._folds]
        # Summed in float64, so that taking a fold out again leaves the others' sum and no rounding.
        total = torch.zeros_like(moments[0], dtype=torch.float64)
        for moment in moments:
            total += moment

        def others() -> Iterator[torch.Tensor]:
            for fold, alone, moment in zip(self._folds, self._alone, moments, strict=True):
                yield outside(values, fold) if alone else (total - moment).float()

        return total.float(), others()

    def _fold_operators(self, fold: Fold, alone: bool, weights: torch.Tensor) -> torch.Tensor:
        rows = self._rows[slice(*fold)]
        moments = rows.T @ rows if rows.shape[1] <= len(rows) else None
        others = outside(self._rows, fold).T if alone else None
        operators = []
        for weight in weights:
            operator = _held_out_operator(rows, moments, weight)
            if others is not None:
                operator = operator @ others
            operators.append(finish_operator(operator, self._centred))
        return torch.stack(operators)

    def _rotated(self, deviation: torch.Tensor) -> torch.Tensor:
        rotated: torch.Tensor = deviation @ self._basis
        if not self._intercept:
            return rotated
        constant = rotated.new_full((len(rotated), 1), self._constant)
        return torch.cat([rotated, constant], dim=1)


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


def _is_nearly_alone(rows: torch.Tensor) -> bool:
    """Tell from the pivots of the hardest case, the smallest alpha, where every weight is 1."""
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    return float(_factor_of_rest(product).diagonal().min()) ** 2 < _NEARLY_ALONE


def _factor_of_rest(product: torch.Tensor) -> torch.Tensor:
    rest = product.neg()
    rest.diagonal().add_(1.0)
    factor: torch.Tensor = torch.linalg.cholesky(rest)
    return factor
