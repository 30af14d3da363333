"""Kept weights in half precision: how far they are rounded, and what is not a number."""

import numpy as np

from braindash.io.weights import doubled, halved


def test_half_precision_rounds_every_weight_of_a_target_alike():
    rng = np.random.default_rng(0)
    sizes = np.array([1e-12, 1e-5, 1.0, 1e9], dtype=np.float32)  # beyond what float16 holds
    weights = rng.standard_normal((4, 50, 4)).astype(np.float32) * sizes
    halves, scale = halved(weights)
    assert halves.dtype == np.float16 and np.isfinite(halves).all()
    found = doubled(halves, scale)
    error = np.abs(found - weights)
    assert (error <= 2.0**-11 * np.abs(weights) + 3e-8 * scale).all()


def test_targets_without_a_fit_and_without_weights_stay_what_they_are():
    weights = np.zeros((2, 3, 3), np.float32)
    weights[..., 1], weights[..., 2] = np.nan, 1.0
    halves, scale = halved(weights)
    assert np.isfinite(halves).all()
    found = doubled(halves, scale)
    assert (found[..., 0] == 0).all() and np.isnan(found[..., 1]).all()
    assert (found[..., 2] == 1).all()
