import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.data.bold import autoregressive, mixed_noise, smooth
from kit.machines.rounding import SINGLE

from braindash.core.statistics import permutation
from braindash.core.statistics.permutation import benjamini_hochberg, permutation_p_values
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def series(rng, n_layers, n_rows, n_columns, effect=0.3):
    response = smooth(rng, n_rows, n_columns).astype(np.float32)
    own = np.stack([smooth(rng, n_rows, n_columns) for _ in range(n_layers)])
    return (effect * response + own).astype(np.float32) * 3 + 7, response * 40 + 900


def assert_p(found, predictions, response, orders):
    """Hold p against the rows of the response in every order, in double precision.

    A null value that is as near r as rounding to single precision may count or not.
    """
    unsure = 0
    for index in np.ndindex(found.shape):
        x = predictions[index[0], :, index[1]].astype(np.float64)
        y = response[:, index[1]].astype(np.float64)
        r = np.corrcoef(x[orders[0]], y[orders[0]])[0, 1]
        null = np.array([np.corrcoef(x[orders[0]], y[order])[0, 1] for order in orders[1:]])
        beyond = null - r
        surely = 1 + np.sum((beyond > 4 * SINGLE) | (np.abs(beyond) < 1e-12))
        at_most = 1 + np.sum(beyond > -4 * SINGLE)
        assert surely - 1e-6 <= found[index] * (1 + len(null)) <= at_most + 1e-6
        unsure += surely < at_most
    assert unsure <= 1


def block_orders(starts, length, n_permutations, seed):
    blocks = np.add.outer(starts, np.arange(length))
    places = np.tile(np.arange(len(starts)), (n_permutations, 1))
    drawn = np.random.default_rng(seed).permuted(places, axis=1)
    return [blocks.ravel()] + [blocks[places].ravel() for places in drawn]


def test_blocks_equal_a_loop_over_shuffled_rows(rng):
    predictions, response = series(rng, 2, 83, 4)
    p = permutation_p_values(predictions, response, n_permutations=150, block_rows=7, seed=3)
    orders = block_orders(np.arange(0, 81, 9), 9, 150, 3)  # nine of 9 leave out two rows
    assert_p(p, predictions, response, orders)


def test_blocks_stay_in_their_segments(rng):
    predictions, response = series(rng, 1, 60, 5)
    segments = np.repeat([4, 1, 9], [22, 5, 33])
    options = {"segments": segments, "n_permutations": 200, "block_rows": 10, "seed": 1}
    p = permutation_p_values(predictions, response, **options)
    orders = block_orders(np.array([0, 11, 27, 38, 49]), 11, 200, 1)
    assert_p(p, predictions, response, orders)


def rolled(starts, sizes, lags):
    return np.concatenate(
        [a + np.roll(np.arange(n), -k) for a, n, k in zip(starts, sizes, lags, strict=True)]
    )


def test_shifts_equal_a_loop_over_all_of_them(rng):
    predictions, response = series(rng, 2, 61, 3)
    p = permutation_p_values(predictions, response, scheme="shift", block_rows=9)
    orders = [rolled([0], [61], [lag]) for lag in [0, *range(9, 53)]]
    assert_p(p, predictions, response, orders)


@pytest.mark.parametrize("n_permutations", [60, 50])
def test_shifts_of_two_segments_are_independent(rng, n_permutations):
    # 5 x 11 pairs of shifts: all of them, or some at random; the third segment is too short.
    predictions, response = series(rng, 1, 46, 4)
    sizes = [14, 20, 9, 3]
    segments = np.repeat(np.arange(4), sizes)
    options = {"segments": segments, "block_rows": 5, "seed": 2, "n_permutations": n_permutations}
    p = permutation_p_values(predictions, response, scheme="shift", **options)
    lags = [range(5, 10), range(5, 16)]
    drawn = list(itertools.product(*lags))
    if n_permutations < len(drawn):
        draw = np.random.default_rng(2)
        drawn = np.stack([draw.choice(one, n_permutations) for one in lags], axis=1)
    orders = [rolled([0, 14], [14, 20], pair) for pair in [(0, 0), *drawn]]
    assert_p(p, predictions, response, orders)


@pytest.mark.parametrize(("scheme", "least"), [("blocks", 1 / 501), ("shift", 1 / 272)])
def test_a_perfect_prediction_has_the_least_p_and_its_opposite_the_largest(rng, scheme, least):
    response = smooth(rng, 290, 6).astype(np.float32)
    options = {"scheme": scheme, "n_permutations": 500}
    p = permutation_p_values(np.stack([response, -response]), response, **options)
    np.testing.assert_allclose(p[0], least)
    np.testing.assert_allclose(p[1], 1.0)
    assert p.dtype == np.float64


@pytest.mark.parametrize("scheme", permutation.SCHEMES)
def test_dead_and_incomplete_columns_are_nan_and_change_no_other(rng, scheme):
    predictions, response = series(rng, 2, 103, 6)  # six blocks of 17 leave out the last row
    whole = permutation_p_values(predictions, response, scheme=scheme)
    predictions[0, :, 0], predictions[1, 4, 1] = 5.0, np.nan
    response[:, 2], response[102, 3] = 0.1, np.inf
    with np.errstate(invalid="ignore"):
        p = permutation_p_values(predictions, response, scheme=scheme)
    expected = np.zeros((2, 6), dtype=bool)
    expected[0, 0] = expected[1, 1] = expected[:, 2] = expected[:, 3] = True
    np.testing.assert_array_equal(np.isnan(p), expected)
    np.testing.assert_array_equal(p[~expected], whole[~expected])


@pytest.mark.parametrize("scheme", permutation.SCHEMES)
def test_p_depends_on_no_other_column_and_no_block_of_columns(rng, scheme, monkeypatch):
    predictions, response = series(rng, 2, 90, 40)
    options = {"scheme": scheme, "n_permutations": 100, "seed": 8}
    whole = permutation_p_values(predictions, response, **options)
    parts = [
        permutation_p_values(predictions[:, :, part], response[:, part], **options)
        for part in (slice(0, 1), slice(1, 40))
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    monkeypatch.setattr(permutation, "_NUMBERS_AT_ONCE", 1)
    np.testing.assert_array_equal(permutation_p_values(predictions, response, **options), whole)


def share_of_false_positives(rng, scheme, block_rows=10):
    """Average over independent draws of noise that is alike from row to row."""
    shares = []
    for phi, n_rows in ((0.3, 240), (0.6, 290), (0.6, 300)):
        predictions = np.stack([smooth(rng, n_rows, 2000), autoregressive(rng, 0.6, n_rows, 2000)])
        response = mixed_noise(rng, phi, n_rows, 2000)
        p = permutation_p_values(
            predictions, response, scheme=scheme, block_rows=block_rows, n_permutations=400
        )
        shares.append((p <= 0.05).mean())
    return np.mean(shares)


@pytest.mark.parametrize("scheme", permutation.SCHEMES)
def test_false_positives_are_as_rare_as_promised(rng, scheme):
    assert 0.03 <= share_of_false_positives(rng, scheme) <= 0.07


def test_single_rows_would_promise_too_much(rng):
    assert share_of_false_positives(rng, "blocks", block_rows=1) > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "shifts"}, "Did you mean 'shift'"),
        ({"n_permutations": 0}, "n_permutations"),
        ({"block_rows": 31}, "31"),
        ({"block_rows": 20, "segments": np.repeat([0, 1], 30), "scheme": "shift"}, "two blocks"),
        ({"segments": np.zeros(3)}, "groups"),
    ],
)
def test_what_cannot_be_tested_is_refused(rng, options, message):
    predictions, response = series(rng, 1, 60, 2)
    with pytest.raises(InputError, match=message):
        permutation_p_values(predictions, response, **options)


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30))
def test_benjamini_hochberg_equals_its_definition(p):
    q = benjamini_hochberg(p)
    expected = [
        min(1.0, *(len(p) * other / sum(x <= other for x in p) for other in p if other >= one))
        for one in p
    ]
    np.testing.assert_allclose(q, expected)


def test_benjamini_hochberg_takes_each_layer_alone_and_passes_over_nan():
    p = np.array([[0.01, np.nan, 0.04, 0.03], [np.nan] * 4])
    np.testing.assert_allclose(benjamini_hochberg(p), [[0.03, np.nan, 0.04, 0.04], [np.nan] * 4])
    with pytest.raises(InputError, match="shape"):
        benjamini_hochberg(np.zeros((1, 1, 1)))


def test_benjamini_hochberg_keeps_the_false_discovery_rate(rng):
    false_shares = []
    for _ in range(40):
        p = rng.random(2000)
        p[:400] **= 8  # those with an effect
        found = benjamini_hochberg(p) <= 0.1
        false_shares.append(found[400:].sum() / max(1, found.sum()))
    assert 0.04 <= np.mean(false_shares) <= 0.1  # 0.1 times the share without an effect
