"""Feature spaces without what another space knows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.ridge.model import RidgeCV
from braindash.defaults import DEFAULT_ALPHAS
from braindash.errors import InputError


def residual_features(
    features: ArrayLike,
    nuisance: ArrayLike,
    groups: ArrayLike,
    features_test: ArrayLike,
    nuisance_test: ArrayLike,
    groups_test: ArrayLike | None = None,
    *,
    alphas: ArrayLike = DEFAULT_ALPHAS,
    device: str = "auto",
    threads: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take out of each feature what a nuisance space predicts of it.

    Ridge from the nuisance space to each feature, at the same time point, fitted to the training
    stories with an alpha per feature by leave-stories-out; what it predicts is subtracted from
    training and test features (as in Oota, Celik, Deniz and Toneva 2023).

    Parameters
    ----------
    features : array of shape (n_rows, n_features)
        Features of the training stories, z-scored per story.
    nuisance : array of shape (n_rows, n_nuisance)
        The space to take out, at the same rows.
    groups : array of int, shape (n_rows,)
        Story index of each row.
    features_test, nuisance_test : array of shape (n_test, n_features), (n_test, n_nuisance)
        The same for the test rows.
    groups_test : array of int, shape (n_test,), optional
        Story index of the test rows; None: one story.
    alphas : sequence of float
        Penalties to choose from.
    device, threads
        As in :class:`braindash.core.ridge.model.RidgeCV`.

    Returns
    -------
    residual : array of float32, shape (n_rows, n_features)
    residual_test : array of float32, shape (n_test, n_features)
        A constant feature, of which nothing can be predicted, stays as it is.
    """
    train, test = np.asarray(features), np.asarray(features_test)
    known, known_test = np.asarray(nuisance), np.asarray(nuisance_test)
    if train.ndim != 2 or train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"the features have shape {train.shape} and those of the test rows {test.shape}",
            hint="Give (n_rows, n_features) and (n_test, n_features) of the same layer.",
        )
    ridge = RidgeCV(known, groups, alphas=alphas, delays=(0,), device=device, threads=threads)
    stories = np.asarray(groups)
    later = np.zeros(len(test), dtype=int) if groups_test is None else np.asarray(groups_test)
    both = np.concatenate([stories, later - later.min(initial=0) + stories.max(initial=0) + 1])
    result = ridge.fit(train, np.concatenate([known, known_test]), both, return_prediction=True)
    assert result.prediction is not None  # asked for above
    predicted = np.nan_to_num(result.prediction, nan=0.0)
    left = np.concatenate([train, test]).astype(np.float32) - predicted
    return left[: len(train)], left[len(train) :]
