"""Ridge probes: all runs of a task (real and shuffled labels) and all penalties at once.

With ``X'X = Q diag(s) Q'`` of the standardised features, ``B(alpha) = Q diag(1 / (s + alpha n))
Q'X'Y`` for every penalty and every label matrix Y costs two products. Cubic work is in double
precision, products that grow with the units in single precision.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.probes.design import SUMMED_ROWS, Basis, Design
from braindash.core.probes.labels import Coded
from braindash.core.probes.metrics import SetSums, class_sums, measure
from braindash.progress import NoProgress, Progress

# Numbers of the label matrix made at once: 128 MB.
_NUMBERS_AT_ONCE = 2**25
# Share of a feature's variance that is at least within the classes.
_LEAST_REST = 1e-6


class Fitted(NamedTuple):
    """What all runs of a task predict.

    Attributes
    ----------
    alpha : array of float64, shape (n_runs,)
        Penalty each run chose.
    predicted : array, shape (n_runs, n_test) or (n_runs, n_test, n_outputs)
        Class numbers, int64; values, float64; or whether a unit has each label, bool.
    warnings : tuple of str
        What a reader of the scores should know.
    """

    alpha: NDArray[np.float64]
    predicted: NDArray[Any]
    warnings: tuple[str, ...] = ()


class _Targets(NamedTuple):
    """Label matrices of several runs, as the regression sees them.

    ``values`` float32 (n_learning, n_runs, n_columns); ``offset`` and ``scale`` float64
    (n_columns,) take an output back to its unit; ``labels`` int64 (n_runs, n_learning) of classes,
    bool (n_runs, n_learning, n_columns) of sets.
    """

    values: torch.Tensor
    offset: torch.Tensor
    scale: torch.Tensor
    labels: NDArray[np.int64] | None


def fit_ridge(
    design: Design,
    coded: Coded,
    sources: NDArray[np.int64],
    alphas: NDArray[np.float64],
    progress: Progress | None = None,
) -> Fitted:
    """Choose a penalty on the validation part, refit on train and validation, predict the test.

    All rest on least squares on one-hot labels (or values) with an intercept and the penalty
    ``alpha n`` on the squared weights of standardised features, n the number of units. A class
    without a unit is never predicted. Of equally good penalties the largest is chosen.

    *ridge*: the class with the highest prediction. Where there are many classes, a rare one hardly
    ever has it (Hastie, Tibshirani & Friedman 2009, 4.2).

    *ridge, balanced*: with pi_c the share and m_c the mean of class c and ``A = (X'X/n +
    alpha)^-1``, the weights are ``pi_c A m_c``; the class is the one whose mean is nearest in the
    metric A, that with the highest ``x' A m_c - m_c' A m_c / 2``. Weighting units instead would
    need a Gram matrix for every task and every shuffle.

    *discriminant*: the same with A of the covariance within classes, ``A = (X'X/n - sum_c pi_c m_c
    m_c' + alpha)^-1``, and ``+ log pi_c`` unless balanced: regularised linear discriminant
    analysis, which follows from the weights of the former (Hastie, Buja & Tibshirani 1995).

    *sets of labels*: least squares on 0 and 1, label by label; a unit has a label where the
    prediction is above 1/2, or, balanced, where the mean of the units that have it is nearer than
    that of the others in the metric A, ``x'w > c'w (1 - 2 pi) / (2 pi (1 - pi))`` with c the
    covariance of features and label, ``w = A c`` and pi the label's share.

    Parameters
    ----------
    design : Design
        Features of a layer.
    coded : Coded
        Labels of a task.
    sources : array of int64, shape (n_runs, n_train + n_validation)
        Unit whose label each unit gets, in every run.
    alphas : array of float64
        Penalties relative to the mean eigenvalue of X'X.
    progress : Progress, optional
        Told between some runs; may cancel by raising.

    Returns
    -------
    Fitted
    """
    numbers = sources.shape[1] * coded.n_columns
    at_once = max(1, _NUMBERS_AT_ONCE // numbers)
    found, report = [], progress or NoProgress()
    for start in range(0, len(sources), at_once):
        report.advance(start, len(sources), "")
        some = sources[start : start + at_once]
        found.append(_fit_some(design, coded, some, np.sort(alphas)[::-1]))
    chosen, predicted = zip(*found, strict=True)
    return Fitted(np.concatenate(chosen), np.concatenate(predicted))


def _fit_some(
    design: Design, coded: Coded, sources: NDArray[np.int64], alphas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Fit some runs; the penalties come largest first."""
    targets = _make_targets(coded, sources, design.values.device)
    flat = targets.values.flatten(1)
    train, validation = flat[: design.n_train], flat[design.n_train :]
    product, total = _cross(design.values[: design.n_train], train)
    best = np.full(len(sources), -np.inf)
    chosen = np.full(len(sources), alphas[0])
    fit = _Fit(design.choosing, coded, product, total)
    for alpha in alphas:
        scores = fit.predict(np.full(len(sources), alpha))
        score = _score(coded, targets, scores, design.n_train)
        better = score > best
        best[better], chosen[better] = score[better], alpha
    added, more = _cross(design.values[design.n_train : design.n_learning], validation)
    scores = _Fit(design.final, coded, product + added, total + more).predict(chosen)
    if coded.is_classes:
        return chosen, scores.argmax(dim=2).T.cpu().numpy()
    if coded.is_sets:
        return chosen, (scores > 0).transpose(0, 1).cpu().numpy()
    values = scores.double() * targets.scale + targets.offset
    return chosen, values.transpose(0, 1).cpu().numpy()


class _Fit:
    """One regression of all runs' labels, for any penalty."""

    def __init__(
        self, basis: Basis, coded: Coded, product: torch.Tensor, total: torch.Tensor
    ) -> None:
        self._basis, self._coded = basis, coded
        shape = (len(basis.power), -1, coded.n_columns)
        centred = product - torch.outer(basis.mean, total)
        self._right = (basis.vectors.T @ centred).view(shape)
        self._share = (total / basis.n_units).view(shape[1:])

    def predict(self, alpha: NDArray[np.float64]) -> torch.Tensor:
        """Score every class, or predict every output, (n_new, n_runs, n_columns) float32.

        Labels of sets are scored about their threshold.
        """
        penalty = torch.as_tensor(alpha, device=self._right.device) * self._basis.n_units
        weights = self._right / (self._basis.power[:, None, None] + penalty[:, None])
        offset = self._share
        if self._coded.is_classes:
            known = self._share.clamp(min=1 / self._basis.n_units)
            if self._coded.task.method == "discriminant":
                weights, offset = self._discriminant(weights, known)
            elif self._coded.task.balanced:
                weights = weights / known
                offset = -(self._right * weights).sum(dim=0) / (2 * self._basis.n_units * known)
            offset = torch.where(self._share > 0, offset, -torch.inf)
        if self._coded.is_sets:
            offset = offset - 0.5
            if self._coded.task.balanced:
                n_units, share = self._basis.n_units, self._share
                share = share.clamp(1 / n_units, 1 - 1 / n_units)
                power = (self._right * weights).sum(dim=0) / n_units
                offset = -power * (1 - 2 * share) / (2 * share * (1 - share))
        scores = self._basis.rotated @ weights.flatten(1).float()
        return scores.view(len(scores), *offset.shape).add_(offset.float())

    def _discriminant(
        self, weights: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn least squares weights into those of discriminant analysis.

        With M the class means, D the shares and A as above, the inverse of ``1/A - M D M'`` is
        ``A + A M (1/D - M'A M)^-1 M'A`` (Woodbury), so that with ``U = D^1/2 M'A M D^1/2`` the
        weights are ``A M D^1/2 P D^-1/2`` with ``P = (1 - U)^-1``, and ``m_c' w_c = (P_cc - 1) /
        pi_c``.
        """
        root = known.sqrt()
        scaled = (weights / root).permute(1, 0, 2)  # (n_runs, n_features, n_classes)
        means = (self._right / root).permute(1, 2, 0)
        inner = means @ scaled / self._basis.n_units
        inverse = _inverse_of_rest((inner + inner.mT) / 2)
        offset = (1 - inverse.diagonal(dim1=1, dim2=2)) / (2 * known)
        if not self._coded.task.balanced:
            offset = offset + known.log()
        return (scaled @ inverse / root[:, None]).permute(1, 0, 2), offset


def _inverse_of_rest(inner: torch.Tensor) -> torch.Tensor:
    """Invert ``1 - U`` for symmetric U whose eigenvalues are from 0 to (just below) 1."""
    eye = torch.eye(inner.shape[-1], dtype=inner.dtype, device=inner.device)
    factor, failed = torch.linalg.cholesky_ex((1 + _LEAST_REST) * eye - inner)
    if not bool(failed.any()):
        return torch.cholesky_inverse(factor)
    # Classes are apart without any overlap, but for rounding.
    power, vectors = torch.linalg.eigh(inner)
    rest = (1 - power).clamp(min=_LEAST_REST)
    return torch.matmul(vectors / rest[..., None, :], vectors.mT)


def _make_targets(coded: Coded, sources: NDArray[np.int64], device: torch.device) -> _Targets:
    one = torch.ones(coded.n_columns, dtype=torch.float64, device=device)
    if coded.is_classes:
        labels = coded.labels[sources]
        codes = torch.as_tensor(labels.T.copy(), device=device)[:, :, None]
        values = torch.zeros((*codes.shape[:2], coded.n_columns), device=device)
        return _Targets(values.scatter_(2, codes, 1.0), 0 * one, one, labels)
    if coded.is_sets:
        labels = coded.labels[sources]
        has = torch.as_tensor(labels, device=device).float().transpose(0, 1).contiguous()
        return _Targets(has, 0 * one, one, labels)
    offset, scale = coded.labels[sources[0]].mean(axis=0), coded.labels[sources[0]].std(axis=0)
    scaled = ((coded.labels - offset) / scale).astype(np.float32)
    back = [torch.as_tensor(part, device=device) for part in (offset, scale)]
    # Units first, then runs.
    return _Targets(torch.as_tensor(scaled[sources.T], device=device), back[0], back[1], None)


def _cross(features: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return X'Y and the sums of Y, in double precision."""
    total = torch.zeros(columns.shape[1], dtype=torch.float64, device=columns.device)
    product = total.new_zeros((features.shape[1], columns.shape[1]))
    parts = (torch.split(values, SUMMED_ROWS) for values in (features, columns))
    for x, y in zip(*parts, strict=True):
        product += x.T @ y
        total += y.sum(dim=0)
    return product, total


def _score(
    coded: Coded, targets: _Targets, scores: torch.Tensor, n_train: int
) -> NDArray[np.float64]:
    """Measure every run on the validation part, (n_runs,)."""
    n_runs = scores.shape[1]
    if coded.is_sets:
        told, has = scores > 0, targets.values[n_train:] > 0
        counts = [part.sum(dim=0).double().cpu().numpy() for part in (told & has, has, told)]
        return np.asarray(measure(SetSums(*counts))[coded.metric])
    if targets.labels is not None:
        predicted = scores.argmax(dim=2).T.cpu().numpy()
        run = np.repeat(np.arange(n_runs), predicted.shape[1])
        true = targets.labels[:, n_train:].ravel()
        sums = class_sums(true, predicted.ravel(), coded.n_columns, run, n_runs)
        return np.asarray(measure(sums)[coded.metric])
    true_values = targets.values[n_train:]
    weight = targets.scale**2
    error = (scores - true_values).square_().sum(dim=0).double() @ weight
    varying = (true_values - true_values.mean(dim=0)).square_().sum(dim=0).double() @ weight
    return np.asarray((1 - error / varying).cpu().numpy())
