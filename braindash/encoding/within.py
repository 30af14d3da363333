"""Predictions of one story from itself: blocks of rows are held out in turn.

For every block a regression is fitted to the other rows, without those next to the block; features
are standardised on the rows that are fitted to. Predictions of a block are centred, so that the
mean of the training rows, which lies on the other side of the block's own, adds nothing to r.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.held_out import held_out_blocks, training_rows
from braindash.core.ridge.model import RidgeCV
from braindash.specs import WithinStory

Floats = NDArray[np.float32]


def predict_within(
    features: Floats,
    responses: Any,
    kept: NDArray[np.bool_],
    settings: WithinStory,
    options: dict[str, Any],
    *,
    pools: NDArray[np.int64] | None = None,
) -> tuple[Floats, NDArray[np.float64], Floats]:
    """Predict every row of a story from rows that are not near it.

    Parameters
    ----------
    features : array of shape (n_rows, n_features), float32
        Of one layer, as stored.
    responses : array-like of shape (n_kept, n_targets), float32
        One response for each kept row.
    kept : array of bool, shape (n_rows,)
        Rows that are not censored.
    settings : WithinStory
        Blocks and gap.
    options : dict
        Keyword arguments of :class:`braindash.core.ridge.model.RidgeCV`.
    pools : array of int64, shape (n_targets,), optional
        Which targets share a penalty.

    Returns
    -------
    prediction : array of shape (n_rows, n_targets), float32
        NaN for targets without a score.
    alpha : array of shape (n_targets,)
        Geometric mean of the blocks' penalties.
    cv_score : array of shape (n_targets,), float32
        Mean of the blocks' scores within their training rows.
    """
    measured = np.asarray(responses[:, :])
    n_rows = len(kept)
    prediction = np.empty((n_rows, measured.shape[1]), dtype=np.float32)
    alphas, scores = [], []
    story = np.zeros(n_rows, dtype=np.int64)
    for block in held_out_blocks(n_rows, settings.n_blocks):
        trained = kept & training_rows(n_rows, block, settings.gap_rows)
        standard = _standardised(features, trained)
        fitted = RidgeCV(standard, story, kept=trained, **options).fit(
            measured[trained[kept]], standard, story, return_prediction=True, pools=pools
        )
        assert fitted.prediction is not None  # asked for
        held_out = fitted.prediction[block]
        prediction[block] = held_out - held_out.mean(axis=0)
        alphas.append(np.log(np.asarray(fitted.alpha, dtype=np.float64)))
        scores.append(np.asarray(fitted.best_cv_score))
    return prediction, np.exp(np.mean(alphas, axis=0)), np.mean(scores, axis=0, dtype=np.float32)


def _standardised(features: Floats, trained: NDArray[np.bool_]) -> Floats:
    """z-score features by mean and spread of the rows that are trained on."""
    known = features[trained].astype(np.float64)
    spread = known.std(axis=0)
    centred = features - known.mean(axis=0)
    return np.where(spread > 0, centred / np.where(spread > 0, spread, 1.0), 0.0).astype(np.float32)
