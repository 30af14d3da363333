"""How alike the features of layers are, whatever their width: centred kernel alignment (CKA)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

LEAST_ROWS = 4
"""With fewer rows the debiased estimate is not defined."""

Floats = NDArray[np.float64]


class Change(NamedTuple):
    """How far tuning moved one layer.

    Attributes
    ----------
    drift : float
        1 - debiased CKA of the layer before and after: 0 where they hold the same up to a rotation
        and a scale; may be a little below 0, since CKA is an estimate.
    distance : float
        Frobenius norm of the change over that of the layer before, both without column means.
    """

    drift: float
    distance: float


def centred_grams(layers: Sequence[ArrayLike]) -> NDArray[np.float32]:
    """Return the U-centred linear Gram matrix of each layer, as one row.

    For K = X X' with its diagonal set to 0 and n rows (Szekely & Rizzo 2014)::

        U_ij = K_ij - sum_l K_il / (n - 2) - sum_k K_kj / (n - 2) + sum_kl K_kl / ((n-1)(n-2))

    off the diagonal, 0 on it. ``sum(U o V) / (n (n - 3))`` is the unbiased estimate of the Hilbert-
    Schmidt independence criterion (Song et al. 2012).

    Parameters
    ----------
    layers : sequence of array, each of shape (n_rows, n_features)
        The same rows in the same order; widths may differ.

    Returns
    -------
    array of float32, shape (n_layers, n_rows * n_rows)
        Each of length 1, or NaN for a layer whose rows do not differ.

    Raises
    ------
    InputError
        When layers have other numbers of rows, or fewer than four.
    """
    tables = [np.asarray(one, dtype=np.float64) for one in layers]
    counts = {len(one) for one in tables}
    if len(counts) != 1 or min(counts) < LEAST_ROWS:
        raise InputError(
            f"the layers to compare have {sorted(counts)} rows",
            hint=f"Give the same rows of every layer, at least {LEAST_ROWS}.",
        )
    n = counts.pop()
    found = np.empty((len(tables), n * n), dtype=np.float32)
    for place, table in enumerate(tables):
        moved = table - table.mean(axis=0)  # changes no U, and keeps rounding small
        gram = moved @ moved.T
        np.fill_diagonal(gram, 0.0)
        sums = gram.sum(axis=0)
        gram -= (sums[:, None] + sums) / (n - 2)
        gram += sums.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(gram, 0.0)
        length = np.linalg.norm(gram)
        found[place] = (gram / length if length > 0 else np.full_like(gram, np.nan)).ravel()
    return found


def debiased_cka(a: Sequence[ArrayLike], b: Sequence[ArrayLike] | None = None) -> Floats:
    """Return the debiased linear CKA of every layer of A with every layer of B.

    ``HSIC1(A, B) / sqrt(HSIC1(A, A) HSIC1(B, B))`` with the unbiased estimate of HSIC (Kornblith et
    al. 2019; Nguyen et al. 2021). The usual, biased CKA of wide layers and few rows is near 1
    whatever they hold; this one is 0 on average for layers that have nothing in common.

    Parameters
    ----------
    a, b : sequence of array, each of shape (n_rows, n_features)
        Layers of two models on the same rows; B is A where it is left out.

    Returns
    -------
    array of float64, shape (n_layers_a, n_layers_b)
        At most 1, may be a little below 0; NaN for a layer whose rows do not differ.
    """
    first = centred_grams(a)
    second = first if b is None else centred_grams(b)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            "the two models' layers have other numbers of rows",
            hint="Give the same rows of the same recordings for both.",
        )
    return np.asarray(first @ second.T, dtype=np.float64)


def layer_changes(before: Sequence[ArrayLike], after: Sequence[ArrayLike]) -> list[Change]:
    """Say how far each layer moved between two models of one form.

    Parameters
    ----------
    before, after : sequence of array, each of shape (n_rows, n_features)
        As many layers of equal widths, on the same rows.

    Returns
    -------
    list of Change
        One per layer.
    """
    shapes = [[np.shape(one) for one in side] for side in (before, after)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "the two models have other layers: nothing says which of them moved where",
            hint="Compare a model with the one that it was tuned from; CKA compares any two.",
        )
    found = []
    for one, two in zip(before, after, strict=True):
        old, new = (np.asarray(each, dtype=np.float64) for each in (one, two))
        old, new = old - old.mean(axis=0), new - new.mean(axis=0)
        length = float(np.linalg.norm(old))
        distance = float(np.linalg.norm(new - old)) / length if length > 0 else np.nan
        found.append(Change(1 - float(debiased_cka([old], [new])[0, 0]), distance))
    return found
