"""One penalty for several targets: that of their highest mean held-out score."""

import numpy as np
import pytest

from braindash.core.ridge.model import RidgeCV
from braindash.errors import InputError

ALPHAS = tuple(10.0 ** np.arange(0, 6))
DELAYS = (1, 2)
N_ROWS = 160


def world(seed, n_targets, signal=0.4, n_features=12):
    """Two stretches of four stories whose targets follow a few features, and what comes next."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((2 * N_ROWS, n_features)).astype(np.float32)
    groups = np.repeat(np.arange(8), 40)
    weights = rng.standard_normal((n_features, n_targets))
    heard = np.concatenate([np.zeros((1, n_features)), X[:-1]])
    Y = signal * heard @ weights / n_features**0.5 + rng.standard_normal((2 * N_ROWS, n_targets))
    Y[:, 3] = 0.0  # no score
    return X, groups, Y.astype(np.float32)


def fitted(data, pools, **options):
    X, groups, Y = data
    half = slice(0, N_ROWS), slice(N_ROWS, None)
    plan = RidgeCV(X[half[0]], groups[half[0]], alphas=ALPHAS, delays=DELAYS, **options)
    return plan.fit(Y[half[0]], X[half[1]], groups[half[1]], return_prediction=True, pools=pools)


@pytest.mark.parametrize("method", ["dual", "primal"])
@pytest.mark.parametrize("n_targets", [30, 1500])
def test_a_pool_takes_the_penalty_of_its_highest_mean_score(n_targets, method):
    data = world(1, n_targets)
    each = fitted(data, None, search="full", method=method)
    pools = np.arange(n_targets) % 3 - 1  # a third for themselves, and two pools
    found = fitted(data, pools, method=method)
    usable = np.arange(n_targets) != 3
    for pool in (0, 1):
        members = (pools == pool) & usable
        best = ALPHAS[each.cv_score[:, members].astype(float).mean(axis=1).argmax()]
        assert (found.alpha[members] == best).all()
    own = (pools == -1) & usable
    np.testing.assert_array_equal(found.alpha[own], each.alpha[own])
    assert np.isnan(found.alpha[3]) and np.isnan(found.prediction[:, 3]).all()
    place = np.searchsorted(ALPHAS, found.alpha[usable])
    np.testing.assert_allclose(
        found.best_cv_score[usable], each.cv_score[place, np.flatnonzero(usable)], atol=1e-5
    )


def test_predictions_are_those_of_the_shared_penalty():
    data = world(2, 25)
    found = fitted(data, np.zeros(25, dtype=int))
    (alpha,) = set(found.alpha[np.isfinite(found.alpha)])
    X, groups, Y = data
    plan = RidgeCV(X[:N_ROWS], groups[:N_ROWS], alphas=[alpha], delays=DELAYS)
    alone = plan.fit(Y[:N_ROWS], X[N_ROWS:], groups[N_ROWS:], return_prediction=True)
    np.testing.assert_allclose(found.prediction, alone.prediction, atol=1e-5)


@pytest.mark.parametrize("pools", [np.zeros(3), np.zeros(4), np.full(30, -2), np.zeros(30)])
def test_pools_that_do_not_fit_are_refused(pools):
    with pytest.raises(InputError, match="pools"):
        fitted(world(0, 30), pools)
