"""Features of one layer, made ready once for all tasks, penalties and shuffles on one split."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from braindash.core.probes.split import Split
from braindash.errors import InputError

# Products in single precision are summed in double precision after so many rows.
SUMMED_ROWS = 4096


class Basis(NamedTuple):
    """Eigenvectors of the Gram matrix of some units, about their mean.

    Attributes
    ----------
    n_units : int
        How many units they are.
    mean : Tensor of float64, shape (n_features,)
        Their mean, near 0.
    power : Tensor of float64, shape (n_features,)
        Eigenvalues, not negative; their mean is ``n_units`` for the training part.
    vectors : Tensor of float64, shape (n_features, n_features)
        Eigenvectors in columns.
    rotated : Tensor of float32, shape (n_new, n_features)
        Other units, about the same mean, in coordinates of the eigenvectors.
    """

    n_units: int
    mean: torch.Tensor
    power: torch.Tensor
    vectors: torch.Tensor
    rotated: torch.Tensor


@dataclass(frozen=True, eq=False)
class Design:
    """Standardised features of the units of a split.

    Attributes
    ----------
    values : Tensor of float32, shape (n_used, n_features)
        Units of train, validation and test, in this order; each feature has mean 0 and variance 1
        in train. Features that are constant there are left out.
    n_train, n_learning : int
        Number of units in train, and in train and validation.
    choosing : Basis
        Of train, with the validation part rotated.
    final : Basis
        Of train and validation, with the test part rotated.
    """

    values: torch.Tensor
    n_train: int
    n_learning: int
    choosing: Basis
    final: Basis


def make_design(features: ArrayLike, split: Split, device: torch.device, where: str) -> Design:
    """Standardise features, and decompose the Gram matrices of train and of train and validation.

    Parameters
    ----------
    features : array of float, shape (n_units, n_features)
        Features of one layer.
    split : Split
        The sides of the units.
    device : torch.device
        Where the work is done.
    where : str
        What the features are, for the errors ("layer 3").

    Returns
    -------
    Design

    Raises
    ------
    InputError
        For a shape that does not fit the split, missing or infinite values in used units, and
        features that are all constant.
    """
    given = np.asarray(features)
    n_units = len(split.recordings)
    if given.ndim != 2 or len(given) != n_units or given.dtype.kind not in "fiu":
        raise InputError(
            f"the features of {where} have shape {given.shape} and type {given.dtype} for "
            f"{n_units} units",
            hint="Give numbers of shape (n_units, n_features), units in the order of the split.",
        )
    order = np.concatenate([split.train, split.valid, split.test])
    n_train, n_learning = len(split.train), len(split.train) + len(split.valid)
    values = torch.as_tensor(given[order].astype(np.float32, copy=False), device=device)
    _check_finite(values, order, where)
    values = _standardised(values, n_train)
    if not values.shape[1]:
        raise InputError(
            f"every feature of {where} is constant in the training part",
            hint="Look at how they were extracted.",
        )
    train, validation = _gram(values[:n_train]), _gram(values[n_train:n_learning])
    return Design(
        values,
        n_train,
        n_learning,
        _basis(train, values[n_train:n_learning]),
        _basis(train.joined(validation), values[n_learning:]),
    )


class _Gram(NamedTuple):
    """Number of units, sum of their features, sum of outer products."""

    n_units: int
    total: torch.Tensor
    product: torch.Tensor

    def joined(self, other: "_Gram") -> "_Gram":
        """Add the sums of other units."""
        return _Gram(
            self.n_units + other.n_units, self.total + other.total, self.product + other.product
        )


def _check_finite(values: torch.Tensor, order: np.ndarray, where: str) -> None:
    bad = ~torch.isfinite(values.sum(dim=1))  # overflow is as bad as a missing value
    if bool(bad.any()):
        units = order[bad.cpu().numpy()]
        raise InputError(
            f"{len(units)} units have missing or infinite features in {where}, the first is unit "
            f"{units.min()}",
            hint="Leave those units out: pooled units without any frame are NaN.",
        )


def _standardised(values: torch.Tensor, n_train: int) -> torch.Tensor:
    """Centre and scale by the training part, in place, and drop what is constant there."""
    low, high = values[:n_train].amin(dim=0), values[:n_train].amax(dim=0)
    rounding = 2 * torch.finfo(values.dtype).eps * torch.maximum(low.abs(), high.abs())
    constant = high - low <= rounding
    if bool(constant.any()):
        values = values[:, ~constant]
    values -= values[:n_train].mean(dim=0)
    values /= (_squares(values[:n_train]) / n_train).sqrt().float()
    return values


def _squares(values: torch.Tensor) -> torch.Tensor:
    """Sum the squares of each column, added up in double precision."""
    total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    for rows in torch.split(values, SUMMED_ROWS):
        total += rows.square().sum(dim=0)
    return total


def _gram(values: torch.Tensor) -> _Gram:
    n_features = values.shape[1]
    total = torch.zeros(n_features, dtype=torch.float64, device=values.device)
    product = total.new_zeros((n_features, n_features))
    for rows in torch.split(values, SUMMED_ROWS):
        total += rows.sum(dim=0)
        product += rows.T @ rows
    return _Gram(len(values), total, product)


def _basis(gram: _Gram, new: torch.Tensor) -> Basis:
    mean = gram.total / gram.n_units
    power, vectors = torch.linalg.eigh(gram.product - gram.n_units * torch.outer(mean, mean))
    rotated = (new - mean.float()) @ vectors.float()
    return Basis(gram.n_units, mean, power.clamp_(min=0), vectors, rotated)
