"""Prewhitened tests against loops in double precision, and against scipy's distributions."""

import itertools

import numpy as np
import pytest
from kit.data.bold import autoregressive, mixed_noise, smooth
from scipy.linalg import solve_toeplitz
from scipy.stats import multivariate_normal, norm

from braindash.core.statistics import prewhitened
from braindash.core.statistics.blocks import block_layout
from braindash.core.statistics.prewhitened import prewhitened_difference, prewhitened_tests
from braindash.errors import InputError

SEGMENTS = np.repeat([0, 1, 2], [30, 41, 33])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def series(rng, n_layers, n_rows, n_columns, effect=0.3):
    response = smooth(rng, n_rows, n_columns)
    own = np.stack([smooth(rng, n_rows, n_columns) for _ in range(n_layers)])
    drift = np.linspace(0, 3, n_rows)[:, None]
    return (effect * response + own + drift).astype(np.float32), response + drift


# ---- the same in loops ---------------------------------------------------------------------


def without_drift(x):
    rows = np.arange(len(x))
    functions = [np.ones(len(x))]
    if len(x) >= 32:
        functions.append(rows)
    functions += [
        np.cos(np.pi * k * (rows + 0.5) / len(x)) for k in range(1, 2 * len(x) // 128 + 1)
    ]
    design = np.stack(functions, axis=1)
    return x - design @ np.linalg.lstsq(design, x, rcond=None)[0]


def models(pieces):
    """Autoregressive models of order 0 to 3, by scipy's Toeplitz solver."""
    n = sum(map(len, pieces))
    lags = np.array([sum(np.dot(p[: len(p) - k], p[k:]) for p in pieces) / n for k in range(4)])
    found = [(np.zeros(0), lags[0])]
    for order in (1, 2, 3):
        phi = solve_toeplitz(lags[:order], lags[1 : order + 1])
        found.append((phi, lags[0] - phi @ lags[1 : order + 1]))
    return found


def whitened(piece, found):
    left = np.empty(len(piece))
    for row in range(len(piece)):
        phi, variance = found[min(row, 3)]
        before = piece[max(0, row - 3) : row][::-1]
        left[row] = (piece[row] - phi @ before) * np.sqrt(found[3][1] / variance)
    return left


def unit(x):
    return (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).sum())


def cut(x, segments):
    return [x[segments == one] for one in np.unique(segments)]


def n_functions(segments):
    return sum(
        1 + (size >= 32) + 2 * size // 128 for size in np.unique(segments, return_counts=True)[1]
    )


def literal(x, y, segments, block_rows, n_taken):
    """Compare whitened columns with their correlations in every order of the blocks."""
    layout = block_layout(len(x), segments=segments, block_rows=block_rows)
    x, y = unit(x[layout.rows]), unit(y[layout.rows])
    blocks = y.reshape(len(layout.starts), -1)
    orders = itertools.permutations(range(len(blocks)))
    r = np.array([x @ blocks[list(order)].ravel() for order in orders])
    variance = r.var() / (1 - n_taken / (len(x) - 1))
    return np.arctanh(r[0] - r.mean()) * np.sqrt(1 / variance - 2), r


def literal_pair(x, y, segments):
    x, y = ([without_drift(p) for p in cut(one, segments)] for one in (x, y))
    found = models(y)
    return [np.concatenate([whitened(p, found) for p in one]) for one in (x, y)]


# ---- one target -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_rows", "segments", "block_rows"), [(125, None, 20), (104, SEGMENTS, 15)]
)
def test_p_is_that_of_every_order_of_blocks(rng, n_rows, segments, block_rows):
    predictions, response = series(rng, 2, n_rows, 3)
    found = prewhitened_tests(predictions, response, segments=segments, block_rows=block_rows)
    parts = np.zeros(n_rows) if segments is None else segments
    for layer, column in np.ndindex(2, 3):
        pair = literal_pair(predictions[layer, :, column].astype(float), response[:, column], parts)
        z, _ = literal(*pair, segments, block_rows, n_functions(parts) + 2)
        np.testing.assert_allclose(found.p[layer, column], norm.sf(z), rtol=1e-3)


def test_the_best_of_layers_has_the_p_of_the_largest_of_correlated_normals(rng):
    predictions, response = series(rng, 3, 125, 12, effect=0.1)
    predictions[1] += predictions[0]
    found = prewhitened_tests(predictions, response, block_rows=20)
    for column in range(12):
        null, z = [], []
        for layer in range(3):
            pair = literal_pair(
                predictions[layer, :, column].astype(float), response[:, column], np.zeros(125)
            )
            one, r = literal(*pair, None, 20, n_functions(np.zeros(125)) + 2)
            null.append(r)
            z.append(one)
        below = multivariate_normal.cdf(np.full(3, max(z)), cov=np.corrcoef(null))
        np.testing.assert_allclose(found.best[column], 1 - below, rtol=0.1, atol=2e-4)


def test_the_best_lies_between_one_layer_and_all(rng):
    """Equal layers are one; the far tail is that of the number of layers, without a floor."""
    predictions, response = series(rng, 4, 300, 20, effect=0.6)
    same = prewhitened_tests(np.repeat(predictions[:1], 3, axis=0), response)
    np.testing.assert_allclose(same.best, same.p[0], rtol=0.02)
    found = prewhitened_tests(predictions, response)
    least = found.p.min(axis=0)
    assert (found.best >= least * 0.98).all() and (found.best <= 4 * least).all()
    assert found.best.max() < 1e-6 and found.best.min() > 0
    alone = prewhitened_tests(predictions[:1], response)
    np.testing.assert_array_equal(alone.best, alone.p[0])


def test_layers_that_predict_much_the_same_are_few(rng):
    """Their correlations have no full rank but for rounding, on every processor."""
    predictions, response = series(rng, 1, 300, 40, effect=0.6)
    noise = 1e-5 * rng.standard_normal((12, *response.shape))
    nearly = (predictions + noise).astype(np.float32)
    found = prewhitened_tests(nearly, response)
    least = found.p.min(axis=0)
    assert (found.best >= 0.98 * least).all() and (found.best <= 1.1 * least).all()


def test_dead_and_incomplete_columns_are_nan_and_change_no_other(rng):
    predictions, response = series(rng, 2, 103, 6)
    whole = prewhitened_tests(predictions, response)
    predictions[0, :, 0], predictions[1, 4, 1], predictions[:, :, 4] = 5.0, np.nan, 0.0
    response[:, 2], response[102, 3] = 0.1, np.inf
    with np.errstate(invalid="ignore"):
        found = prewhitened_tests(predictions, response)
    expected = np.zeros((2, 6), dtype=bool)
    expected[0, 0] = expected[1, 1] = True
    expected[:, 2:5] = True
    np.testing.assert_array_equal(np.isnan(found.p), expected)
    np.testing.assert_allclose(found.p[~expected], whole.p[~expected], rtol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.best), expected.all(axis=0))
    np.testing.assert_allclose(found.best[:2], [found.p[1, 0], found.p[0, 1]], rtol=1e-3)


def test_p_depends_on_no_other_column_and_no_block_of_columns(rng, monkeypatch):
    predictions, response = series(rng, 3, 90, 40)
    whole = prewhitened_tests(predictions, response)
    parts = [
        prewhitened_tests(predictions[:, :, part], response[:, part])
        for part in (slice(0, 1), slice(1, 40))
    ]
    monkeypatch.setattr(prewhitened, "_NUMBERS_AT_ONCE", 1)
    parts.append(prewhitened_tests(predictions, response))
    for name in ("p", "best"):
        joined = np.concatenate([getattr(part, name) for part in parts[:2]], axis=-1)
        np.testing.assert_allclose(joined, getattr(whole, name), rtol=1e-4)
        np.testing.assert_allclose(getattr(parts[2], name), getattr(whole, name), rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_the_series_do_not_matter(rng, unit):
    predictions, response = series(rng, 2, 120, 5)
    before = prewhitened_tests(predictions.astype(float), response)
    after = prewhitened_tests(predictions.astype(float) * unit, response * unit + 7 * unit)
    np.testing.assert_allclose(after.p, before.p, rtol=1e-3)


def test_a_response_that_follows_itself_exactly_is_tested_all_the_same(rng):
    """A sine leaves next to nothing when it is whitened: no NaN, no p of 0."""
    response = np.sin(np.arange(150) / 5)[:, None] * np.ones(8)
    predictions = np.stack([smooth(rng, 150, 8)])
    p = prewhitened_tests(predictions, response).p
    assert np.isfinite(p).all() and p.min() > 1e-6


def test_too_few_rows_are_refused(rng):
    predictions, response = series(rng, 1, 60, 2)
    with pytest.raises(InputError, match="blocks of 31"):
        prewhitened_tests(predictions, response, block_rows=31)


# ---- two models -----------------------------------------------------------------------------


def literal_difference(a, b, y, segments, block_rows):
    """Partial correlation of y with a - b given a + b, by least squares, in every order."""
    a, b, y = ([without_drift(p) for p in cut(one, segments)] for one in (a, b, y))
    joined = [np.concatenate(one) for one in (a, b, y)]
    design = (unit(joined[0]) + unit(joined[1]))[:, None]
    left = joined[2] - design @ np.linalg.lstsq(design, joined[2], rcond=None)[0]
    found = models(np.split(left, np.cumsum([len(p) for p in y])[:-1]))
    a, b, y = (np.concatenate([whitened(p, found) for p in one]) for one in (a, b, y))
    rows = block_layout(len(y), segments=segments, block_rows=block_rows).rows
    a, b, y = (unit(one[rows]) for one in (a, b, y))
    both = np.stack([np.ones(len(a)), a + b], axis=1)
    left = y - both @ np.linalg.lstsq(both, y, rcond=None)[0]
    return literal(a - b, left, None, block_rows, n_functions(segments) + 3)[0]


def test_a_difference_is_the_partial_correlation_in_every_order(rng):
    n_rows = 125
    first, response = series(rng, 2, n_rows, 3, effect=0.6)
    second, _ = series(rng, 2, n_rows, 3)
    found = prewhitened_difference(first, second, response, block_rows=20)
    for layer, column in np.ndindex(2, 3):
        z = literal_difference(
            first[layer, :, column].astype(float),
            second[layer, :, column].astype(float),
            response[:, column],
            np.zeros(n_rows),
            20,
        )
        np.testing.assert_allclose(found.z[layer, column], z, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.p[layer, column], 2 * norm.sf(abs(z)), rtol=2e-3)


def test_a_difference_turns_its_sign_with_the_models_and_is_nan_without_any(rng):
    first, response = series(rng, 2, 150, 30, effect=1.0)
    second, _ = series(rng, 2, 150, 30, effect=0.0)
    one = prewhitened_difference(first, second, response, segments=np.repeat([0, 1], 75))
    two = prewhitened_difference(second, first, response, segments=np.repeat([0, 1], 75))
    np.testing.assert_allclose(one.z, -two.z, rtol=1e-3, atol=1e-5)
    assert (one.z > 0).mean() > 0.95 and (one.p < 0.05).mean() > 0.5
    assert np.isnan(prewhitened_difference(first, first, response).p).all()


# ---- rates ----------------------------------------------------------------------------------


def test_false_positives_are_as_rare_as_promised(rng):
    """Also where blocks alone reject a true null three times as often as they should."""
    rates = []
    for n_rows in (150, 500):
        response = autoregressive(rng, 0.9, n_rows, 2000) + mixed_noise(rng, 0.3, n_rows, 2000)
        predictions = np.stack([autoregressive(rng, 0.9, n_rows, 2000) for _ in range(2)])
        predictions[1] = 0.7 * predictions[0] + 0.7 * predictions[1]
        found = prewhitened_tests(predictions, response)
        rates.append([(found.p <= 0.05).mean(), (found.best <= 0.05).mean()])
    assert ((np.array(rates) > 0.035) & (np.array(rates) < 0.065)).all(), rates
