"""Multinomial logistic probes: slower than ridge, and the model most papers use."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from braindash.core.probes.design import Basis, Design
from braindash.core.probes.labels import Coded
from braindash.core.probes.metrics import class_sums, measure
from braindash.core.probes.ridge import Fitted
from braindash.progress import NoProgress, Progress

_MOST_STEPS = 200
# Both are of the mean loss; gradients in single precision allow no more.
_LOSS_TOLERANCE, _GRADIENT_TOLERANCE = 1e-8, 1e-5
# Smaller penalties are not tried once the loss on the validation part is so much above its best.
_HOPELESS = 1.05

Floats = NDArray[np.float64]


class _Weights(NamedTuple):
    """Weights (n_features, n_classes) and intercepts (n_classes,), float64; steps to get there."""

    slope: torch.Tensor
    intercept: torch.Tensor
    converged: bool


def fit_logistic(
    design: Design,
    coded: Coded,
    sources: NDArray[np.int64],
    alphas: Floats,
    progress: Progress | None = None,
) -> Fitted:
    """Choose a penalty on the validation part, refit on train and validation, predict the test.

    Minimises ``sum_i w_i CE(y_i, softmax(x_i B + b)) + alpha n sum B^2 / 2``, n the number of
    units, by L-BFGS; w is 1 or, balanced, ``n / (n_classes n_c)``. Penalties are tried from the
    largest on, each from the solution before, and no more once the validation loss has clearly
    risen; of equally good ones the largest is chosen.

    Parameters
    ----------
    design, coded, sources, alphas, progress
        As for :func:`braindash.core.probes.ridge.fit_ridge`.

    Returns
    -------
    Fitted
    """
    runs, report = [], progress or NoProgress()
    for number, labels in enumerate(sources):
        report.advance(number, len(sources), f", run {number + 1} of {len(sources)}")
        runs.append(_fit_run(design, coded, coded.labels[labels], alphas))
    n_stopped = sum(not converged for _, _, converged in runs)
    warnings = (
        (f"{n_stopped} of {len(runs)} logistic fits stopped after {_MOST_STEPS} steps",)
        if n_stopped
        else ()
    )
    alpha = np.array([chosen for chosen, _, _ in runs])
    return Fitted(alpha, np.stack([predicted for _, predicted, _ in runs]), warnings)


def _fit_run(
    design: Design, coded: Coded, labels: NDArray[np.int64], alphas: Floats
) -> tuple[float, NDArray[np.int64], bool]:
    """Fit one run's labels (n_learning,): its penalty, its predictions, whether it converged."""
    codes = torch.as_tensor(labels, device=design.values.device)
    train = _Problem(design.values[: design.n_train], codes[: design.n_train], design.choosing,
                     coded)  # fmt: skip
    held_out = design.values[design.n_train : design.n_learning]
    true = codes[design.n_train :]
    weights, best, lowest = train.start(), -np.inf, np.inf
    chosen, kept = float(alphas.max()), weights
    for alpha in np.sort(alphas)[::-1]:
        weights = train.solve(float(alpha), weights)
        logits = train.logits(held_out, weights)
        score = _score(coded, true, logits)
        if score > best:
            best, chosen, kept = score, float(alpha), weights
        loss = train.held_out_loss(logits, true)
        lowest = min(lowest, loss)
        if loss > _HOPELESS * lowest:
            break
    final = _Problem(design.values[: design.n_learning], codes, design.final, coded)
    solution = final.solve(chosen, kept)
    logits = final.logits(design.values[design.n_learning :], solution)
    return chosen, logits.argmax(dim=1).cpu().numpy(), solution.converged


class _Problem:
    """Logistic regression of some units, for any penalty.

    Steps are taken in coordinates of the eigenvectors of X'X, each scaled by the root of the
    curvature that the loss has at the start, ``pi_c (1 - pi_c) s / n + alpha``: a few dozen steps
    are then enough.
    """

    def __init__(
        self, features: torch.Tensor, codes: torch.Tensor, basis: Basis, coded: Coded
    ) -> None:
        self._features, self._codes, self._basis = features, codes, basis
        size = torch.bincount(codes, minlength=coded.n_columns).double()
        self.present = size > 0
        self._mask = torch.where(self.present, 0.0, -torch.inf).float()
        n_units = len(codes)
        if coded.task.balanced:
            weight = n_units / (self.present.sum() * size.clamp(min=1))
        else:
            weight = torch.ones_like(size)
        self._class_weight, self._weight = weight, weight[codes].float()
        self._share = size * weight / n_units
        self._curvature = self._share * (1 - self._share)

    def start(self) -> _Weights:
        """Return the solution of an infinite penalty: no weights, shares as intercepts."""
        slope = torch.zeros((self._features.shape[1], len(self._share)), dtype=torch.float64)
        intercept = torch.where(self.present, self._share, 1.0).log()
        return _Weights(slope.to(self._features.device), intercept, True)

    def logits(self, features: torch.Tensor, weights: _Weights) -> torch.Tensor:
        """Score every class, (n_units, n_classes) float32; classes without a unit -inf."""
        offset = weights.intercept.float() + self._mask
        return torch.addmm(offset, features, weights.slope.float())

    def held_out_loss(self, logits: torch.Tensor, true: torch.Tensor) -> float:
        """Mean loss of other units, those of classes without a unit here left out."""
        known = self.present[true]
        loss = torch.nn.functional.cross_entropy(
            logits[known].double(), true[known], weight=self._class_weight
        )
        return float(loss)

    def solve(self, alpha: float, begin: _Weights) -> _Weights:
        """Minimise the loss, from a solution of another penalty on."""
        power = self._basis.power / self._basis.n_units
        scale = (power[:, None] * self._curvature + alpha).sqrt()
        intercept_scale = torch.where(self.present, self._curvature, 1.0).sqrt()

        def unpack(flat: Floats) -> tuple[torch.Tensor, _Weights]:
            table = torch.as_tensor(flat, device=scale.device).view(-1, scale.shape[1])
            rotated = table[:-1] / scale
            slope = self._basis.vectors @ rotated
            return rotated, _Weights(slope, table[-1] / intercept_scale, True)

        def value(flat: Floats) -> tuple[float, Floats]:
            rotated, weights = unpack(flat)
            loss, slope, intercept = self._loss(weights)
            loss = loss + alpha * rotated.square().sum() / 2
            steps = (self._basis.vectors.T @ slope + alpha * rotated) / scale
            # Together: the host waits for the device once a step.
            found = torch.cat([loss[None], steps.flatten(), intercept / intercept_scale])
            told = found.cpu().numpy()
            return float(told[0]), told[1:]

        table = torch.cat(
            [
                (self._basis.vectors.T @ begin.slope) * scale,
                (begin.intercept * intercept_scale)[None],
            ]
        )
        options = {"maxiter": _MOST_STEPS, "ftol": _LOSS_TOLERANCE, "gtol": _GRADIENT_TOLERANCE}
        found = minimize(
            value, table.flatten().cpu().numpy(), jac=True, method="L-BFGS-B", options=options
        )
        return unpack(found.x)[1]._replace(converged=found.nit < _MOST_STEPS)

    def _loss(self, weights: _Weights) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean loss without the penalty, and its gradient by slope and intercept, float64."""
        n_units = len(self._codes)
        log_share = torch.log_softmax(self.logits(self._features, weights), dim=1)
        own = log_share.gather(1, self._codes[:, None])[:, 0]
        loss = -(own * self._weight).sum(dtype=torch.float64) / n_units
        error = log_share.exp_()
        error.scatter_add_(1, self._codes[:, None], -torch.ones_like(own)[:, None])
        error *= self._weight[:, None]
        slope = (self._features.T @ error).double() / n_units
        return loss, slope, error.sum(dim=0, dtype=torch.float64) / n_units


def _score(coded: Coded, true: torch.Tensor, logits: torch.Tensor) -> float:
    predicted = logits.argmax(dim=1).cpu().numpy()
    sums = class_sums(true.cpu().numpy(), predicted, coded.n_columns)
    return float(measure(sums)[coded.metric][0])
