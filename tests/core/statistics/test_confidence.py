"""How sure preferred layers are: the shrunken bootstrap share and its time inflation."""

import numpy as np
import pytest
from scipy.signal import lfilter

from braindash.core.statistics.confidence import LayerConfidence, shrunken_shares, time_inflation
from braindash.errors import InputError

N_LAYERS, N_SAMPLES = 6, 200


def world(spread, n=400, seed=0):
    """Normal scores and samples: truth spreads so far beside noise of 1; neighbours are alike."""
    rng = np.random.default_rng(seed)
    alike = 0.8 ** np.abs(np.subtract.outer(np.arange(N_LAYERS), np.arange(N_LAYERS)))
    root = np.linalg.cholesky(alike)
    truth, noise = (root @ rng.standard_normal((2, N_LAYERS, n))) * [[[spread]], [[1.0]]]
    drawn = np.einsum("lm,smt->slt", root, rng.standard_normal((N_SAMPLES, N_LAYERS, n)))
    scores = 5 + truth + noise
    return truth, scores, (scores + drawn).astype(np.float32)


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
def test_as_many_are_right_as_are_said_to_be(spread):
    truth, scores, samples = world(spread)
    said = shrunken_shares(scores, samples)
    best = scores.argmax(axis=0)
    right = truth.argmax(axis=0) == best
    assert abs(said.mean() - right.mean()) < 0.06
    plain = (samples.argmax(axis=1) == best).mean(axis=0)
    if spread < 1:
        assert plain.mean() - right.mean() > 0.12, "the plain share is too sure"
    if spread > 1:
        assert right[said > 0.9].mean() > 0.88 and (said > 0.9).mean() > 0.2


def test_where_all_layers_are_equal_nothing_is_sure():
    _, scores, samples = world(0.0)
    said = shrunken_shares(scores, samples)
    plain = (samples.argmax(axis=1) == scores.argmax(axis=0)).mean(axis=0)
    assert said.mean() < 0.33 and plain.mean() > 0.47 and (said > 0.8).mean() < 0.02


def test_pieces_of_the_targets_give_the_same():
    _, scores, samples = world(1.0, n=90)
    scores[2, 5] = np.nan
    samples[:7, :, 11] = np.nan
    samples[:, :, 12] = np.nan
    scores[:, 13] = np.nan
    work = LayerConfidence.start(scores, seed=4)
    for columns in (slice(0, 10), slice(10, 64), slice(64, 90)):
        work.add(columns, scores[:, columns], samples[:, :, columns])
    found = work.shares()
    np.testing.assert_allclose(found, shrunken_shares(scores, samples, seed=4), atol=1e-6)
    assert np.flatnonzero(np.isnan(found)).tolist() == [12, 13]
    assert np.nanmin(found) >= 0 and np.nanmax(found) <= 1


def test_a_layer_without_a_score_is_no_rival():
    _, scores, samples = world(1.0, n=60)
    more = np.concatenate([scores, np.full((1, 60), np.nan)])
    padded = np.concatenate([samples, np.full((N_SAMPLES, 1, 60), np.nan, np.float32)], axis=1)
    np.testing.assert_allclose(
        shrunken_shares(more, padded), shrunken_shares(scores, samples), atol=0.01
    )


def test_one_layer_is_sure_and_equal_layers_are_told_as_the_first():
    _, scores, samples = world(1.0, n=20)
    np.testing.assert_array_equal(shrunken_shares(scores[:1], samples[:, :1]), 1)
    twice, doubled = np.repeat(scores[:1], 2, axis=0), np.repeat(samples[:, :1], 2, axis=1)
    np.testing.assert_array_equal(shrunken_shares(twice, doubled), 1)
    assert np.isnan(shrunken_shares(np.full((2, 3), np.nan), samples[:, :2, :3])).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="samples have shape"):
        shrunken_shares(np.zeros((2, 3)), np.zeros((4, 3, 2)))


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_inflation_makes_up_for_what_blocks_do_not_show(phi):
    """Products of two AR(1) series are as one with phi squared: the factor is known."""
    rng = np.random.default_rng(1)
    made = lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.standard_normal((3, 100, 500)))[:, :, 100:]
    x, y = made[:2].transpose(0, 2, 1), made[2].T
    found = time_inflation(x, y, block_rows=10).mean()
    rho, steps = phi**2, np.arange(1, 10)
    shown = 1 + 2 * np.sum((1 - steps / 10) * rho**steps)
    expected = (1 + rho) / (1 - rho) / shown * 40 / 39
    assert found == pytest.approx(expected, rel=0.04)
    lost = x.copy()
    lost[1, :, 3] = 0
    assert (time_inflation(lost, y, segments=np.repeat([0, 1], 200)) >= 1).all()
