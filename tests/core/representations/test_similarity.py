"""Debiased CKA and drift against the estimator written out with traces, and what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.representations.similarity import debiased_cka, layer_changes
from braindash.errors import InputError


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, equation 5, from Gram matrices."""
    n, ones = len(k), np.ones(len(k))
    k, m = (one - np.diag(np.diag(one)) for one in (k, m))
    both = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return (both - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3))


def cka(x: np.ndarray, y: np.ndarray) -> float:
    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@given(
    seed=st.integers(0, 2**16),
    n=st.integers(5, 40),
    widths=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_it_is_the_estimator_of_the_literature(seed, n, widths):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 3))
    x, y = (shared @ rng.normal(size=(3, w)) + rng.normal(size=(n, w)) for w in widths)
    found = debiased_cka([x, y], [y])
    np.testing.assert_allclose(found[:, 0], [cka(x, y), 1.0], atol=2e-5)
    np.testing.assert_allclose(debiased_cka([x, y]), debiased_cka([x, y]).T, atol=1e-6)


def test_rotations_shifts_and_scales_change_nothing_and_wide_noise_is_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 8))
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(8, 8)))[0] + 100
    assert debiased_cka([x], [turned])[0, 0] == pytest.approx(1.0, abs=1e-5)
    draws = [debiased_cka([rng.normal(size=(30, 400))], [rng.normal(size=(30, 400))])[0, 0]
             for _ in range(40)]  # fmt: skip
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(40) + 0.01
    assert abs(np.mean(draws)) < 0.05, "the biased one is above .9 here"


def test_what_cannot_be_compared_is_refused_or_has_no_number():
    with pytest.raises(InputError, match="rows"):
        debiased_cka([np.zeros((3, 2))])
    with pytest.raises(InputError, match="rows"):
        debiased_cka([np.zeros((5, 2))], [np.zeros((6, 2))])
    assert np.isnan(debiased_cka([np.ones((6, 2))])).all()
    with pytest.raises(InputError, match="other layers"):
        layer_changes([np.zeros((6, 2))], [np.zeros((6, 3))])


def test_drift_is_one_minus_cka_and_the_length_of_the_change():
    rng = np.random.default_rng(2)
    before = [rng.normal(size=(40, 6)) for _ in range(2)]
    after = [before[0] + 5.0, before[1] + 0.5 * rng.normal(size=(40, 6))]
    still, moved = layer_changes(before, after)
    assert still.drift == pytest.approx(0, abs=1e-5) and still.distance == pytest.approx(0)
    assert moved.drift == pytest.approx(1 - cka(before[1], after[1]), abs=1e-5)
    centred = [one - one.mean(0) for one in (before[1], after[1])]
    expected = np.sqrt(((centred[1] - centred[0]) ** 2).sum() / (centred[0] ** 2).sum())
    assert moved.distance == pytest.approx(expected)
