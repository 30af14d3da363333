"""What a head is trained to make small, row by row."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from braindash.specs import TuningLoss

# Beside responses of unit variance, shorter vectors are rounding.
_SHORTEST = 1e-8


def squared_error(prediction: Tensor, response: Tensor) -> Tensor:
    """Mean over targets of the squared error, (n_rows,) of two (n_rows, n_targets)."""
    return (prediction - response).square().mean(dim=1)


def distance_of_patterns(prediction: Tensor, response: Tensor) -> Tensor:
    """``1 - r`` with Pearson's r over the targets of each row, (n_rows,)."""
    centred = [values - values.mean(dim=1, keepdim=True) for values in (prediction, response)]
    return 1 - functional.cosine_similarity(centred[0], centred[1], dim=1, eps=_SHORTEST)


def squared_error_and_cosine(prediction: Tensor, response: Tensor) -> Tensor:
    """Squared error plus ``1 - cos`` of the angle between the two, (n_rows,)."""
    angle = 1 - functional.cosine_similarity(prediction, response, dim=1, eps=_SHORTEST)
    return squared_error(prediction, response) + angle


LOSSES: Mapping[TuningLoss, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "mse": squared_error,
        "correlation": distance_of_patterns,
        "mse+cosine": squared_error_and_cosine,
    }
)


def column_correlation(prediction: Tensor, response: Tensor) -> Tensor:
    """Pearson's r over rows, (n_targets,); 0 where a prediction does not vary."""
    p, y = (values.double() - values.double().mean(dim=0) for values in (prediction, response))
    size = torch.sqrt(p.square().sum(dim=0) * y.square().sum(dim=0))
    return torch.where(size > 0, (p * y).sum(dim=0) / size.clamp(min=1e-30), size)
