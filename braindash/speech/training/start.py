"""The heads' start: a linear probe of the base model, by ridge regression."""

import torch
from torch import Tensor

from braindash.speech.training.losses import column_correlation

# Per row, in units of the standardised features' variance.
PENALTIES = tuple(10.0 ** (power / 2) for power in range(-6, 5))
_LEAST_SCALE = 1e-6


def probe_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, both (n_features,) in float32.

    Parameters
    ----------
    features : Tensor of shape (n_rows, n_features)
    """
    values = features.double()
    scale = values.std(dim=0, unbiased=False)
    # A feature that does not vary keeps its scale: dividing by rounding would make it noise.
    scale = torch.where(scale > _LEAST_SCALE * scale.max(), scale, torch.ones_like(scale))
    return values.mean(dim=0).float(), scale.float()


def ridge_head(
    features: Tensor, responses: Tensor, check: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, float]:
    """Fit a head, ``W = (X'X + n penalty I)^-1 X'(Y - mean Y)``, the best penalty on other rows.

    Parameters
    ----------
    features : Tensor of shape (n_rows, n_features)
        Standardised.
    responses : Tensor of shape (n_rows, n_targets)
    check : tuple of Tensor
        Features and responses of the validation rows; the penalty with the highest mean r there
        is taken.

    Returns
    -------
    weight : Tensor of shape (n_targets, n_features), float32
    bias : Tensor of shape (n_targets,), float32
    penalty : float
    """
    x = features.double()
    mean = responses.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(x.T @ x)
    # Products with all targets in single precision: they are the ones that cost.
    projected = (vectors.T @ x.T).float() @ (responses - mean.float())
    rotated = (check[0].double() @ vectors).float()
    best: tuple[float, float] = (-float("inf"), PENALTIES[-1])
    for penalty in PENALTIES:
        shrunk = 1 / (values + penalty * len(x))
        prediction = (rotated * shrunk.float()) @ projected
        r = float(column_correlation(prediction, check[1]).mean())
        best = max(best, (r, penalty))
    shrunk = 1 / (values + best[1] * len(x))
    weight = (vectors * shrunk).float() @ projected
    bias = mean.float() - features.mean(dim=0) @ weight
    return weight.T.contiguous(), bias, best[1]
