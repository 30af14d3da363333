import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from braindash.speech.training.heads import PENALTIES, probe_scale, ridge_head
from braindash.speech.training.losses import LOSSES, column_correlation


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    return rng.standard_normal((7, 5)) + 0.3, rng.standard_normal((7, 5)) - 0.2


def expected(name, p, y):
    error = ((p - y) ** 2).mean(axis=1)
    if name == "mse":
        return error
    if name == "correlation":
        return np.array([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, y, strict=True)])
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(p, y, strict=True)]
    return error + 1 - np.array(cosine)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_follow_their_formulas(name, pair):
    p, y = pair
    found = LOSSES[name](torch.from_numpy(p), torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), expected(name, p, y), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_small_steps(name, pair):
    p = torch.from_numpy(pair[0]).requires_grad_()
    y = torch.from_numpy(pair[1])
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, y).sum(), (p,))


def test_a_row_that_does_not_vary_gives_no_nan():
    flat = torch.zeros(2, 4, requires_grad=True)
    for loss in LOSSES.values():
        value = loss(flat, torch.randn(2, 4, generator=torch.manual_seed(0))).sum()
        (gradient,) = torch.autograd.grad(value, flat)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_correlation_of_columns(pair):
    p, y = pair
    r = column_correlation(torch.from_numpy(p).float(), torch.from_numpy(y).float())
    wanted = [np.corrcoef(p[:, i], y[:, i])[0, 1] for i in range(p.shape[1])]
    np.testing.assert_allclose(r.numpy(), wanted, atol=1e-6)
    assert float(column_correlation(torch.ones(4, 1), torch.randn(4, 1))) == 0.0


def test_the_heads_start_is_the_ridge_solution_with_the_best_penalty():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 8))
    weights = rng.standard_normal((8, 3))
    y = x @ weights + 3 * rng.standard_normal((60, 3)) + 2
    check_x = rng.standard_normal((40, 8))
    check_y = check_x @ weights + 3 * rng.standard_normal((40, 3)) + 2
    mean, scale = probe_scale(torch.from_numpy(x))
    np.testing.assert_allclose(scale.numpy(), x.std(axis=0), rtol=1e-6)

    def standardised(values):
        return (torch.from_numpy(values).float() - mean) / scale

    weight, bias, penalty = ridge_head(
        standardised(x),
        torch.from_numpy(y).float(),
        (standardised(check_x), torch.from_numpy(check_y).float()),
    )

    def fitted(penalty):
        return Ridge(alpha=penalty * 60).fit((x - x.mean(0)) / x.std(0), y)

    def score(penalty):
        p = fitted(penalty).predict((check_x - x.mean(0)) / x.std(0))
        return np.mean([np.corrcoef(p[:, i], check_y[:, i])[0, 1] for i in range(3)])

    assert penalty == max(PENALTIES, key=score)
    np.testing.assert_allclose(weight.numpy(), fitted(penalty).coef_, atol=1e-4)
    np.testing.assert_allclose(bias.numpy(), fitted(penalty).intercept_, atol=1e-4)


def test_a_feature_that_does_not_vary_is_not_blown_up():
    features = torch.randn(20, 3, generator=torch.manual_seed(0))
    features[:, 1] = 0.25
    assert probe_scale(features)[1][1] == 1.0
