"""Residual features against a literal ridge of every feature on the nuisance space."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from braindash.core.ridge.nuisance import residual_features
from braindash.errors import InputError

ALPHAS = (0.1, 10.0, 1000.0)


def make_spaces(seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat([0, 1, 2, 3], 40)
    nuisance = rng.standard_normal((200, 3))
    own = rng.standard_normal((200, 6))
    features = own + nuisance @ rng.standard_normal((3, 6))
    features[:, 5] = 2.5
    return features, nuisance, own, groups


def test_equals_a_literal_ridge_per_feature():
    features, nuisance, _, groups = make_spaces()
    left, left_test = residual_features(
        features[:160], nuisance[:160], groups, features[160:], nuisance[160:], alphas=ALPHAS
    )
    for column in range(5):
        y, scores = features[:160, column], []
        for alpha in ALPHAS:
            folds = []
            for story in range(4):
                held = groups == story
                model = Ridge(alpha=alpha).fit(nuisance[:160][~held], y[~held])
                gap = ((y[held] - model.predict(nuisance[:160][held])) ** 2).sum()
                folds.append(1 - gap / ((y[held] - y[held].mean()) ** 2).sum())
            scores.append(np.mean(folds))
        model = Ridge(alpha=ALPHAS[int(np.argmax(scores))]).fit(nuisance[:160], y)
        np.testing.assert_allclose(left[:, column], y - model.predict(nuisance[:160]), atol=1e-5)
        expected = features[160:, column] - model.predict(nuisance[160:])
        np.testing.assert_allclose(left_test[:, column], expected, atol=1e-5)
    np.testing.assert_allclose(left[:, 5], 2.5)  # a constant feature stays


def test_only_what_the_nuisance_does_not_know_remains():
    features, nuisance, own, groups = make_spaces(1)
    left, left_test = residual_features(
        features[:160], nuisance[:160], groups, features[160:], nuisance[160:], alphas=ALPHAS
    )
    for column in range(5):
        assert np.corrcoef(left_test[:, column], own[160:, column])[0, 1] > 0.97
        for known in nuisance[:160].T:
            assert abs(np.corrcoef(left[:, column], known)[0, 1]) < 5e-3


def test_other_shapes_are_refused():
    features, nuisance, _, groups = make_spaces()
    with pytest.raises(InputError, match="of the test rows"):
        residual_features(
            features[:160], nuisance[:160], groups, features[160:, :2], nuisance[160:]
        )
