"""Heads that subjects have of their own, share, or stand behind a bottleneck: where they begin."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from braindash.speech.training.heads import Heads, low_rank, start_heads

SUBJECTS = {"A": 4, "B": 4}


def rows_of(seed, n_targets, n_rows=90, n_features=7):
    """Features with a mean and a scale, and what follows them with noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_rows, n_features)) * np.arange(1, n_features + 1) + 3
    truth = np.random.default_rng(99).standard_normal((n_features, n_targets))
    y = x @ truth + 4 * rng.standard_normal((n_rows, n_targets))
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


@pytest.fixture
def rows():
    train = {name: rows_of(number, count) for number, (name, count) in enumerate(SUBJECTS.items())}
    held = {name: rows_of(9, count) for name, count in SUBJECTS.items()}
    return lambda subject: (train[subject], held[subject])


def ridge(parts, penalty):
    """Scikit-learn's ridge on standardised features, the rows one below the other."""
    x = np.concatenate([x.numpy().astype(float) for x, _ in parts])
    y = np.concatenate([y.numpy().astype(float) for _, y in parts])
    mean, scale = x.mean(axis=0), x.std(axis=0)
    model = Ridge(alpha=penalty * len(x)).fit((x - mean) / scale, y)
    return lambda new: model.predict((new.numpy() - mean) / scale)


def test_a_head_of_its_own_and_a_shared_one_are_scikit_learns(rows):
    new = rows_of(5, 4)[0]
    own, shared = Heads(7, SUBJECTS), Heads(7, SUBJECTS, "shared")
    penalties = start_heads(own, rows)
    for name in SUBJECTS:
        wanted = ridge([rows(name)[0]], penalties[name])(new)
        np.testing.assert_allclose(own(new, name).detach(), wanted, rtol=1e-3, atol=1e-3)
    penalties = start_heads(shared, rows)
    assert len(set(penalties.values())) == 1 and shared.of("A") is shared.of("B")
    wanted = ridge([rows("A")[0], rows("B")[0]], penalties["A"])(new)
    np.testing.assert_allclose(shared(new, "B").detach(), wanted, rtol=1e-3, atol=1e-3)
    # Names of weights are those of epochs that were kept before there were other heads.
    assert {name for name, _ in own.named_parameters()} == {
        f"{number}.linear.{part}" for number in (0, 1) for part in ("weight", "bias")
    }


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_a_low_rank_map_changes_predictions_least(rank):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 7)) * np.arange(1, 8)
    w = rng.standard_normal((5, 7))
    after, before = low_rank(torch.from_numpy(w), torch.from_numpy(x), rank)
    left, size, right = np.linalg.svd(x @ w.T, full_matrices=False)
    size[rank:] = 0
    np.testing.assert_allclose(x @ (after @ before).numpy().T, (left * size) @ right, atol=1e-3)
    between = x @ before.numpy().T
    assert between.shape == (60, min(rank, 5))
    np.testing.assert_allclose((between**2).mean(axis=0), 1, rtol=1e-4)


def test_a_wide_bottleneck_begins_as_the_ridge_solutions_and_a_narrow_one_near_them(rows):
    new = rows_of(5, 4)[0]
    every = torch.cat([rows(name)[0][0] for name in SUBJECTS]).numpy().astype(float)
    mean, scale = every.mean(axis=0), every.std(axis=0)
    gaps = {}
    for width in (1, 30):
        torch.manual_seed(0)
        heads = Heads(7, SUBJECTS, "bottleneck", width)
        penalties = start_heads(heads, rows)
        assert heads.bottleneck.linear.out_features == width
        gaps[width] = []
        for name in SUBJECTS:
            x, y = (part.numpy().astype(float) for part in rows(name)[0])
            model = Ridge(alpha=penalties[name] * len(x)).fit((x - mean) / scale, y)
            wanted = model.predict((new.numpy() - mean) / scale)
            gaps[width].append(np.abs(heads(new, name).detach().numpy() - wanted).max())
    assert max(gaps[30]) < 0.01 < min(gaps[1])
