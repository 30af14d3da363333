"""Weights at penalties that are known: those of scikit-learn, and the predictions of the fit."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from braindash.core.ridge.memory import weights_bytes, weights_columns
from braindash.core.ridge.model import RidgeCV
from braindash.core.ridge.weights import RidgeWeights
from braindash.core.timing import delayed
from braindash.errors import InputError

LENGTHS, DELAYS, ALPHAS = (40, 33, 47), (1, 2, 4), (0.5, 30.0, 1000.0)
GROUPS = np.repeat(np.arange(len(LENGTHS)), LENGTHS)


def make_data(n_features, n_targets=9, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(len(GROUPS), n_features))
    X[:, 0] = 3.0  # constant: no weight
    design = delayed(X, DELAYS, GROUPS)
    Y = design @ rng.normal(size=(design.shape[1], n_targets)) / n_features
    Y = (Y + rng.normal(size=Y.shape)) * np.logspace(-4, 4, n_targets) + 7
    Y[3, 1], Y[:, 2] = np.nan, 5.0
    return X, Y


def weights_of(X, Y, alpha, **options):
    fitted = RidgeWeights(X, GROUPS, ALPHAS, delays=DELAYS, device="cpu", **options)
    blocks = list(fitted.blocks(Y, alpha))
    assert [one.start for one, *_ in blocks] == [0] + [one.stop for one, *_ in blocks[:-1]]
    weights = np.concatenate([one for _, one, _ in blocks], axis=-1)
    return weights.reshape(-1, weights.shape[-1]), np.concatenate([one for *_, one in blocks])


@pytest.mark.parametrize("n_features", [5, 60])  # fewer and more inputs than rows
@pytest.mark.parametrize("intercept", [True, False])
def test_weights_are_those_of_an_independent_solver(n_features, intercept):
    X, Y = make_data(n_features)
    kept = np.random.default_rng(1).random(len(X)) > 0.1
    alpha = np.resize(ALPHAS, Y.shape[1]).astype(np.float32)  # as results keep them
    weights, offset = weights_of(X, Y[kept], alpha, intercept=intercept, kept=kept)
    design = delayed(X, DELAYS, GROUPS)[kept]
    for target in range(Y.shape[1]):
        y = Y[kept, target]
        if target in (1, 2):  # NaN, if the row is kept, and constant
            continue
        found = Ridge(float(alpha[target]), fit_intercept=intercept).fit(design, y)
        size = np.abs(found.coef_).max()
        np.testing.assert_allclose(weights[:, target], found.coef_, atol=2e-5 * size)
        np.testing.assert_allclose(offset[target], found.intercept_, atol=2e-4 * np.std(y))
    assert np.isnan(weights[:, 2]).all() and np.isnan(offset[2])


@pytest.mark.parametrize("n_features", [5, 60])
def test_they_predict_what_the_fit_predicts(n_features, monkeypatch):
    X, Y = make_data(n_features)
    new = np.random.default_rng(2).normal(size=(30, n_features))
    fit = RidgeCV(X, GROUPS, alphas=ALPHAS, delays=DELAYS, device="cpu").fit(
        Y, new, return_prediction=True
    )
    # In more than one block.
    monkeypatch.setattr("braindash.core.ridge.weights.weights_columns", lambda *_: 4)
    weights, offset = weights_of(X, Y, fit.alpha)
    predicted = delayed(new, DELAYS) @ weights + offset
    spread = fit.prediction.std(axis=0)
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(fit.prediction))
    usable = np.isfinite(spread)
    assert usable.sum() == 7
    # Predictions are in single precision, about a mean of 7.
    assert (np.abs(predicted - fit.prediction)[:, usable] < 1e-4 * spread[usable] + 2e-6).all()


def test_a_penalty_that_nobody_chose_is_refused():
    X, Y = make_data(5)
    with pytest.raises(InputError, match="penalty that is none of the given, the first 2"):
        weights_of(X, Y, np.full(Y.shape[1], 2.0))
    with pytest.raises(InputError, match=r"shape \(3,\) for 9 targets"):
        weights_of(X, Y, np.full(3, 30.0))


def test_a_subject_of_a_hundred_thousand_targets_is_streamed():
    """Rows and features of LeBel's: blocks of some hundred targets, never the weights of all."""
    sizes = 27_000, 768, 4
    assert 64 <= weights_columns(*sizes) <= 1024
    few, many = (weights_bytes(27_000, 300, 768, 4, n) for n in (1024, 95_556))
    assert few < many < 6e9 and many - few < 1e9
