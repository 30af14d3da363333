import logging
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import correlation_score, r2_score
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.machines.rounding import SINGLE
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from braindash.core.ridge import cv as ridge_cv
from braindash.core.ridge.dual import DualSolver
from braindash.core.ridge.model import RidgeCV, fit_layers
from braindash.core.ridge.primal import PrimalSolver
from braindash.core.timing import delayed
from braindash.defaults import DEFAULT_ALPHAS
from braindash.errors import InputError, ResourceError

LENGTHS = (34, 21, 40, 27)
FORMS = ("dual", "primal")
WIDE_ALPHAS = np.logspace(-3, 8, 12)
EXACT_SCORE, EXACT_PREDICTION = 1e-5, 1e-4


def make_data(n_features, n_targets=12, lengths=LENGTHS, seed=0, n_test=30):
    """Unequal stories; features with a common part and a duplicated column; mixed noise."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(lengths)), lengths)
    X = rng.standard_normal((len(groups) + n_test, n_features))
    X += 2 * rng.standard_normal((len(X), 1))
    X[:, -1] = X[:, 0]
    all_groups = np.append(groups, np.full(n_test, len(lengths)))
    design = delayed(X, groups=all_groups)
    signal = design @ rng.standard_normal((design.shape[1], n_targets))
    Y = signal / signal.std(axis=0)
    Y += rng.uniform(0.1, 4, n_targets) * rng.standard_normal(Y.shape)
    Y = (Y + 5).astype(np.float32)
    cut = len(groups)
    return X[:cut], groups, Y[:cut], X[cut:], Y[cut:]


def fold_rows(groups):
    return [np.flatnonzero(groups == story) for story in np.unique(groups)]


def solve(X, Y, alpha, intercept):
    """Ridge by the normal equations in float64; returns a function of new features."""
    x_mean, y_mean = (X.mean(0), Y.mean(0)) if intercept else (0.0, 0.0)
    centred = X - x_mean
    if X.shape[1] <= len(X):
        gram = centred.T @ centred + alpha * np.eye(X.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (Y - y_mean))
    else:
        kernel = centred @ centred.T + alpha * np.eye(len(X))
        weights = centred.T @ np.linalg.solve(kernel, Y - y_mean)
    return lambda new: (new - x_mean) @ weights + y_mean


@pytest.fixture(autouse=True, params=["few", "many"])
def route(request, monkeypatch):
    """Every test runs for few targets and as if there were many."""
    if request.param == "many":
        monkeypatch.setattr(DualSolver, "few", 0)
        monkeypatch.setattr(PrimalSolver, "few", 0)
    return request.param


# With more targets than ``few`` both routes are one.
many_anyway = pytest.mark.parametrize("route", ["many"], indirect=True)


def literal_scores(X, groups, Y, alphas, metric, intercept):
    """Fit every alpha to the other stories, predict each story, average its score."""
    design, Y = delayed(X, groups=groups), Y.astype(np.float64)
    scores = np.zeros((len(alphas), Y.shape[1]))
    folds = fold_rows(groups)
    for held_out in folds:
        train = np.setdiff1d(np.arange(len(Y)), held_out)
        for row, alpha in enumerate(alphas):
            predicted = solve(design[train], Y[train], alpha, intercept)(design[held_out])
            measured = Y[held_out]
            if metric == "r2":
                residual = ((measured - predicted) ** 2).sum(0)
                scores[row] += 1 - residual / ((measured - measured.mean(0)) ** 2).sum(0)
            else:
                scores[row] += [
                    pearsonr(p, m)[0] for p, m in zip(predicted.T, measured.T, strict=True)
                ]
    return scores / len(folds)


@cache
def literal_scores_of(n_features, metric, intercept):
    """The same for data that several tests share."""
    X, groups, Y, _, _ = make_data(n_features)
    return literal_scores(X, groups, Y, WIDE_ALPHAS, metric, intercept)


def assert_scores(found, exact):
    """Hold scores against exact ones: ``1 - score``, a ratio of squares, is known to a share."""
    np.testing.assert_allclose(found, exact, atol=EXACT_SCORE, rtol=EXACT_SCORE)


def assert_chosen(result, alphas):
    """The largest alpha whose score is within 1e-6 of the best, but for rounding of kept scores."""
    alphas = np.asarray(alphas)[:, None]
    chosen, scores = result.alpha, result.cv_score.astype(np.float64)
    best = scores.max(axis=0)
    rounding = 2 * SINGLE * (1 + np.abs(best))
    surely = np.where(scores >= best - 1e-6 + rounding, alphas, -1).max(axis=0)
    could = (scores >= best - 1e-6 - rounding) & (alphas == chosen)
    assert could.any(axis=0).all() and (chosen >= surely).all()


# p is 4 n_features: fewer than rows, nearly all other rows, more than rows
@pytest.mark.parametrize("n_features", [4, 22, 50])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_equals_a_literal_loop(method, metric, intercept, n_features):
    X, groups, Y, X_test, Y_test = make_data(n_features)
    plan = RidgeCV(X, groups, alphas=WIDE_ALPHAS, metric=metric, intercept=intercept, method=method)
    result = plan.fit(Y, X_test, Y_test=Y_test, return_prediction=True)
    assert_scores(result.cv_score, literal_scores_of(n_features, metric, intercept))
    assert_chosen(result, WIDE_ALPHAS)
    design, design_test = delayed(X, groups=groups), delayed(X_test)
    for target, alpha in enumerate(result.alpha):
        fitted = solve(design, Y[:, [target]].astype(float), alpha, intercept)(design_test)[:, 0]
        gap = np.abs(result.prediction[:, target] - fitted).max()
        assert gap < EXACT_PREDICTION
        assert result.r[target] == pytest.approx(pearsonr(fitted, Y_test[:, target])[0], abs=1e-5)
    assert result.method == method
    assert result.n_folds == 4
    np.testing.assert_array_equal(result.best_cv_score, result.cv_score.max(axis=0))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("metric", "score"), [("r2", r2_score), ("r", correlation_score)])
@pytest.mark.parametrize("n_features", [5, 50])
@pytest.mark.parametrize("method", FORMS)
def test_equals_himalaya_in_float64(method, n_features, metric, score, intercept):
    X, groups, Y, X_test, _ = make_data(n_features, n_targets=40, seed=1)
    alphas = np.logspace(0, 5, 11)
    plan = RidgeCV(X, groups, alphas=alphas, metric=metric, intercept=intercept, method=method)
    result = plan.fit(Y, X_test, return_prediction=True)
    set_backend("numpy")
    design = delayed(X, groups=groups)
    oracle = KernelRidgeCV(
        alphas=alphas,
        fit_intercept=intercept,
        cv=list(LeaveOneGroupOut().split(design, groups=groups)),
        solver_params={"score_func": score},
        warn=False,
    ).fit(design, Y.astype(np.float64))
    np.testing.assert_allclose(result.alpha, oracle.best_alphas_, rtol=1e-12)
    np.testing.assert_allclose(result.best_cv_score, oracle.cv_scores_, atol=EXACT_SCORE)
    predicted = oracle.predict(delayed(X_test))
    np.testing.assert_allclose(result.prediction, predicted, atol=EXACT_PREDICTION)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("method", FORMS)
def test_equals_scikit_learn_for_one_alpha(method, intercept):
    X, groups, Y, X_test, _ = make_data(10)
    plan = RidgeCV(X, groups, alphas=[30.0], delays=(0, 2), intercept=intercept, method=method)
    result = plan.fit(Y, X_test, return_prediction=True)
    model = Ridge(alpha=30.0, fit_intercept=intercept).fit(delayed(X, (0, 2), groups), Y)
    expected = model.predict(delayed(X_test, (0, 2)))
    np.testing.assert_allclose(result.prediction, expected, atol=EXACT_PREDICTION)


def fit(X, groups, Y, X_test, *, method="auto", **options):
    plan = RidgeCV(X, groups, alphas=np.logspace(0, 5, 6), method=method, **options)
    return plan.fit(Y, X_test, return_prediction=True)


def assert_same(result, expected, columns=slice(None), scale=1.0):
    np.testing.assert_array_equal(result.alpha, expected.alpha[columns])
    np.testing.assert_allclose(result.cv_score, expected.cv_score[:, columns], atol=2e-6, rtol=1e-6)
    np.testing.assert_allclose(
        result.prediction / scale, expected.prediction[:, columns], atol=1e-5
    )


@settings(max_examples=10)
@given(st.permutations(range(6)), st.sampled_from(FORMS), st.sampled_from(["r2", "r"]))
def test_targets_do_not_know_of_each_other(order, method, metric):
    X, groups, Y, X_test, _ = make_data(5, n_targets=6)
    expected = fit(X, groups, Y, X_test, method=method, metric=metric)
    permuted = fit(X, groups, Y[:, order], X_test, method=method, metric=metric)
    assert_same(permuted, expected, list(order))
    useless = np.append(Y[:, :3], np.random.default_rng(5).standard_normal((len(Y), 1)), axis=1)
    added = fit(X, groups, useless, X_test, method=method, metric=metric)
    np.testing.assert_array_equal(added.alpha[:3], expected.alpha[:3])
    np.testing.assert_allclose(added.cv_score[:, :3], expected.cv_score[:, :3], atol=2e-6)


@settings(max_examples=10)
@given(st.permutations(range(4)), st.sampled_from(FORMS), st.booleans())
def test_order_of_stories_does_not_matter(order, method, intercept):
    X, groups, Y, X_test, _ = make_data(5)
    rows = np.concatenate([fold_rows(groups)[story] for story in order])
    expected = fit(X, groups, Y, X_test, method=method, intercept=intercept)
    shuffled = fit(X[rows], groups[rows], Y[rows], X_test, method=method, intercept=intercept)
    assert_same(shuffled, expected)


@settings(max_examples=10)
@given(st.floats(-12, 12), st.sampled_from(FORMS), st.booleans(), st.sampled_from(["r2", "r"]))
def test_units_of_the_responses_do_not_matter(exponent, method, intercept, metric):
    X, groups, Y, X_test, _ = make_data(5)
    scale = 10.0**exponent
    options = {"method": method, "intercept": intercept, "metric": metric}
    expected = fit(X, groups, Y, X_test, **options)
    assert_same(fit(X, groups, Y * scale, X_test, **options), expected, scale=scale)


@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_a_large_offset_costs_nothing_with_an_intercept(method, metric):
    X, groups, Y, X_test, _ = make_data(5)
    wide = Y.astype(np.float64)
    expected = fit(X, groups, wide, X_test, method=method, metric=metric)
    moved = fit(X + 30, groups, wide + 1e6, X_test + 30, method=method, metric=metric, delays=(0,))
    plain = fit(X, groups, wide, X_test, method=method, metric=metric, delays=(0,))
    np.testing.assert_array_equal(moved.alpha, plain.alpha)
    np.testing.assert_allclose(moved.cv_score, plain.cv_score, atol=1e-5)
    assert expected.cv_score.shape == plain.cv_score.shape


@pytest.mark.parametrize("method", FORMS)
def test_unusable_targets_are_nan_and_touch_no_other(method):
    X, groups, Y, X_test, Y_test = make_data(5)
    plan = RidgeCV(X, groups, method=method)
    expected = plan.fit(Y, X_test, Y_test=Y_test, return_prediction=True)
    bad, bad_test = Y.copy(), Y_test.copy()
    bad[3, 0], bad[:, 1], bad[5, 2], bad_test[2, 4] = np.nan, 0.1, np.inf, np.nan
    for story, rows in enumerate(fold_rows(groups)):
        bad[rows, 3] = story  # varies, but in no fold
    bad_test[:, 5] = 1.0
    result = plan.fit(bad, X_test, Y_test=bad_test, return_prediction=True)
    lost = np.arange(12) < 4
    np.testing.assert_array_equal(np.isnan(result.alpha), lost)
    np.testing.assert_array_equal(np.isnan(result.cv_score), np.tile(lost, (17, 1)))
    np.testing.assert_array_equal(np.isnan(result.prediction), np.tile(lost, (30, 1)))
    np.testing.assert_array_equal(np.isnan(result.r), np.arange(12) < 6)
    np.testing.assert_array_equal(result.alpha[4:], expected.alpha[4:])
    np.testing.assert_allclose(result.prediction[:, 4:], expected.prediction[:, 4:], atol=1e-6)
    np.testing.assert_allclose(result.r[6:], expected.r[6:], atol=1e-6)


@pytest.mark.parametrize("metric", ["r2", "r"])
def test_a_fold_where_a_target_is_constant_is_left_out_of_its_mean(metric):
    X, groups, Y, _, _ = make_data(5, n_targets=3)
    Y[groups == 1, 0] = 4.0
    result = RidgeCV(X, groups, alphas=[10.0, 100.0], metric=metric).fit(Y)
    expected = np.zeros((2, 2))
    design, rows = delayed(X, groups=groups), fold_rows(groups)
    for story in (0, 2, 3):
        train = np.setdiff1d(np.arange(len(Y)), rows[story])
        measured = Y[rows[story], 0].astype(np.float64)
        for row, alpha in enumerate((10.0, 100.0)):
            fitted = solve(design[train], Y[train, :1].astype(np.float64), alpha, True)
            predicted = fitted(design[rows[story]])[:, 0]
            r2 = 1 - ((measured - predicted) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
            expected[row] += np.array([r2, pearsonr(predicted, measured)[0]]) / 3
    column = 0 if metric == "r2" else 1
    np.testing.assert_allclose(result.cv_score[:, 0], expected[:, column], atol=EXACT_SCORE)


@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_dead_features_are_harmless(method, metric):
    X, groups, Y, X_test, Y_test = make_data(5)
    expected = RidgeCV(X, groups, method=method, metric=metric).fit(Y, X_test, Y_test=Y_test)
    dead, dead_test = np.zeros((len(X), 2)), np.zeros((len(X_test), 2))
    wider = RidgeCV(np.hstack([X, dead]), groups, method=method, metric=metric)
    result = wider.fit(Y, np.hstack([X_test, dead_test]), Y_test=Y_test)
    np.testing.assert_array_equal(result.alpha, expected.alpha)
    np.testing.assert_allclose(result.r, expected.r, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_only_dead_features_predict_nothing(method, metric, value):
    _, groups, Y, _, Y_test = make_data(1)
    X, X_test = np.full((len(Y), 3), value), np.full((len(Y_test), 3), value)
    plan = RidgeCV(X, groups, delays=(0,), method=method, metric=metric)
    result = plan.fit(Y, X_test, Y_test=Y_test, return_prediction=True)
    assert (result.alpha == max(DEFAULT_ALPHAS)).all()  # a tie of all: the largest
    assert np.isnan(result.r).all()
    np.testing.assert_allclose(result.prediction, np.tile(Y.mean(axis=0), (30, 1)), atol=1e-5)
    if metric == "r":
        assert (result.cv_score == 0).all()


def test_ties_go_to_the_larger_alpha_in_any_order():
    X, groups, Y, _, _ = make_data(5)
    # without a usable signal in X, all very large alphas predict the mean to within 1e-6
    for alphas in ([1e10, 1e12, 1e11], [1e12, 1e11, 1e10]):
        result = RidgeCV(X, groups, alphas=alphas).fit(Y)
        assert (result.alpha == 1e12).all()
    ascending = RidgeCV(X, groups, alphas=[1.0, 10.0, 100.0]).fit(Y)
    mixed = RidgeCV(X, groups, alphas=[10.0, 100.0, 1.0]).fit(Y)
    np.testing.assert_array_equal(mixed.alpha, ascending.alpha)
    np.testing.assert_allclose(mixed.cv_score, ascending.cv_score[[1, 2, 0]], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("method", FORMS)
def test_tiny_alphas_on_a_singular_kernel_do_not_crash(method, intercept, scale, caplog):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 40)) * scale
    Y = X[:, :4] + rng.standard_normal((120, 4)) * scale
    plan = RidgeCV(
        X, np.repeat([0, 1, 2], 40), alphas=[1e-3, 1.0], method=method, intercept=intercept
    )
    with caplog.at_level(logging.WARNING):
        result = plan.fit(Y, X[:20], Y_test=Y[:20])
    assert np.isfinite(result.cv_score).all()
    assert np.isfinite(result.r).all()
    # the stated bound: 1e-12 of the trace of the kernel of the delayed features
    trace = np.square(delayed(X, groups=np.repeat([0, 1, 2], 40))).sum()
    assert ("are solved as" in caplog.text) == (1e-12 * trace > 1e-3)


def test_a_feature_of_one_story_keeps_primal_exact():
    X, groups, Y, _, _ = make_data(4)
    X[groups != 2, 1] = 0
    plans = [RidgeCV(X, groups, alphas=WIDE_ALPHAS, method=method) for method in FORMS]
    dual, primal = (plan.fit(Y) for plan in plans)
    np.testing.assert_allclose(primal.cv_score, dual.cv_score, atol=EXACT_SCORE)
    expected = literal_scores(X, groups, Y, WIDE_ALPHAS, "r2", True)
    np.testing.assert_allclose(primal.cv_score, expected, atol=EXACT_SCORE)


@pytest.mark.parametrize("method", FORMS)
def test_few_operators_at_a_time_and_small_blocks_change_nothing(method, monkeypatch):
    X, groups, Y, X_test, _ = make_data(6, n_targets=23)
    expected = fit(X, groups, Y, X_test, method=method)
    monkeypatch.setattr(ridge_cv, "OPERATOR_BYTES", 1)
    monkeypatch.setattr(ridge_cv, "_BLOCK_COLUMNS", {"cpu": (5, 5)})
    monkeypatch.setattr(ridge_cv, "_CHUNK_COLUMNS", {"cpu": 2})
    assert_same(fit(X, groups, Y, X_test, method=method), expected)


def make_many_targets(order):
    """Enough targets for a search, from well predicted to pure noise, in any order of alphas."""
    X, groups, _, X_test, _ = make_data(12, seed=order)
    rng = np.random.default_rng(order)
    design = delayed(X, groups=groups)
    signal = design @ rng.standard_normal((design.shape[1], 1200)) / design.shape[1] ** 0.5
    noise = rng.standard_normal(signal.shape)
    noise[1:] += noise[:-1]
    Y = (signal + noise * np.geomspace(0.05, 100, 1200)).astype(np.float32)
    Y[:, 7], Y[3, 8] = 2.0, np.nan
    return X, groups, Y, X_test, rng.permutation(np.logspace(-1, 5, 13))


@many_anyway
@pytest.mark.parametrize("operator_bytes", [1 << 30, 200_000, 1])
@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_the_search_finds_the_same_alphas(method, metric, operator_bytes, monkeypatch):
    monkeypatch.setattr(ridge_cv, "OPERATOR_BYTES", operator_bytes)
    for order in range(2):
        X, groups, Y, X_test, alphas = make_many_targets(order)
        options = {"alphas": alphas, "metric": metric, "method": method}
        full = RidgeCV(X, groups, search="full", **options).fit(Y, X_test, return_prediction=True)
        found = RidgeCV(X, groups, **options).fit(Y, X_test, return_prediction=True)
        scored = np.isfinite(found.cv_score)
        assert_scores(found.cv_score[scored], full.cv_score[scored])
        same = (found.alpha == full.alpha) | np.isnan(full.alpha)
        assert same.mean() >= 0.999
        np.testing.assert_allclose(found.best_cv_score, full.best_cv_score, atol=1e-4)
        np.testing.assert_allclose(  # some targets are hundreds in size
            found.prediction[:, same], full.prediction[:, same], atol=EXACT_PREDICTION, rtol=1e-5
        )
        assert scored.sum(axis=0).mean() < len(alphas)


def make_rare_targets(seed, share, n_rows=400, n_features=24, n_targets=3000):
    """Noise, and among it few targets that follow strong, weak or middling feature directions."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_features, n_features)) / np.arange(1, n_features + 1)
    X = rng.standard_normal((n_rows, n_features)) @ mixing.T
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    groups = np.arange(n_rows) * 5 // n_rows
    directions = np.linalg.svd(delayed(X.astype(np.float32), groups=groups), full_matrices=False)[0]
    Y = rng.standard_normal((n_rows, n_targets)).astype(np.float32)
    rare = rng.permutation(n_targets)[: max(3, int(share * n_targets) // 3 * 3)].reshape(3, -1)
    for own, (some, gain, noise) in zip(
        rare,
        ((slice(0, 3), 30, 1.0), (slice(-20, None), 8, 0.3), (slice(20, 60), 8, 0.5)),
        strict=True,
    ):
        shown = directions[:, some]
        signal = shown @ rng.standard_normal((shown.shape[1], len(own)))
        Y[:, own] = gain * signal + noise * Y[:, own]
    return X, groups, Y, rare.ravel()


@many_anyway
@pytest.mark.parametrize("share", [0.03, 0.0075, 0.001])
@pytest.mark.parametrize(("method", "metric"), [("primal", "r2"), ("dual", "r2"), ("primal", "r")])
def test_targets_of_a_rare_kind_get_their_own_alpha(method, metric, share):
    alphas = np.logspace(0, 8, 17)
    for seed in range(2):
        X, groups, Y, rare = make_rare_targets(seed, share)
        options = {"alphas": alphas, "method": method, "metric": metric}
        full = RidgeCV(X, groups, search="full", **options).fit(Y)
        found = RidgeCV(X, groups, **options).fit(Y)
        lost = full.best_cv_score - found.best_cv_score
        assert (lost <= 1e-5).mean() >= 0.999
        assert (lost[rare] <= 1e-5).mean() >= 0.95
        assert np.isfinite(found.cv_score).sum(axis=0).mean() < len(alphas)


@many_anyway
@pytest.mark.parametrize("method", FORMS)
def test_the_search_scores_few_alphas_of_responses_as_long_as_real_ones(method):
    lengths = (150, 210, 180, 200)
    groups = np.repeat(np.arange(len(lengths)), lengths)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((len(groups), 40))
    design = delayed(X, groups=groups)
    signal = design @ rng.standard_normal((design.shape[1], 2000)) / design.shape[1] ** 0.5
    Y = signal * rng.uniform(0, 1, 2000) ** 3 + rng.standard_normal(signal.shape)
    full = RidgeCV(X, groups, search="full", method=method).fit(Y)
    found = RidgeCV(X, groups, method=method).fit(Y)
    assert (found.alpha == full.alpha).mean() >= 0.999
    np.testing.assert_allclose(found.best_cv_score, full.best_cv_score, atol=1e-4)
    assert np.isfinite(found.cv_score).sum(axis=0).mean() < 0.3 * len(DEFAULT_ALPHAS)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((65,), [(0, 20), (20, 40), (40, 65)]),
        ((70,), [(0, 20), (20, 40), (40, 60), (60, 70)]),
        ((41, 9), [(0, 20), (20, 41), (41, 50)]),
        ((21, 22, 9), [(0, 21), (21, 43), (43, 52)]),  # three stories: stories
    ],
)
def test_few_stories_are_cut_into_chunks(lengths, expected):
    X, groups, Y, _, _ = make_data(3, lengths=lengths)
    plan = RidgeCV(X, groups, alphas=[1.0, 100.0])
    assert plan.folds == tuple(expected)
    labels = np.concatenate([np.full(stop - start, start) for start, stop in expected])
    design = delayed(X, groups=groups)
    held_out = np.zeros((2, Y.shape[1]))
    for rows in fold_rows(labels):
        train = np.setdiff1d(np.arange(len(Y)), rows)
        for row, alpha in enumerate((1.0, 100.0)):
            predicted = solve(design[train], Y[train].astype(np.float64), alpha, True)(design[rows])
            held_out[row] += r2_score(Y[rows].astype(np.float64), predicted) / len(expected)
    assert_scores(plan.fit(Y).cv_score, held_out)


def test_chunks_can_be_asked_for():
    X, groups, _, _, _ = make_data(3)
    assert len(RidgeCV(X, groups, folds="chunk").folds) == 2 + 1 + 2 + 1
    with pytest.raises(InputError, match="too few"):
        RidgeCV(X[:29], groups[:29], folds="chunk")


def test_auto_takes_the_cheaper_form():
    groups = np.repeat(np.arange(4), 50)
    X = np.random.default_rng(0).standard_normal((200, 60))
    assert RidgeCV(X, groups).method == "dual"
    assert RidgeCV(X[:, :10], groups).method == "primal"


def test_layers_share_the_responses_and_come_one_by_one(monkeypatch):
    X, groups, Y, X_test, Y_test = make_data(6)
    taken, prepared = [], []
    prepare = RidgeCV._prepare
    monkeypatch.setattr(
        RidgeCV, "_prepare", lambda plan, Y: prepared.append(plan) or prepare(plan, Y)
    )

    def layers():
        for layer in range(3):
            taken.append(layer)
            yield X[:, : layer + 3], X_test[:, : layer + 3]

    results = fit_layers(layers(), Y, groups, None, Y_test, alphas=[1.0, 100.0], metric="r")
    for layer, result in enumerate(results):
        assert taken == list(range(layer + 1))
        assert len(prepared) == layer + 1  # once for all layers, and by each plan below
        plan = RidgeCV(X[:, : layer + 3], groups, alphas=[1.0, 100.0], metric="r")
        alone = plan.fit(Y, X_test[:, : layer + 3], None, Y_test)
        np.testing.assert_array_equal(result.alpha, alone.alpha)
        np.testing.assert_allclose(result.r, alone.r, atol=1e-7)
        assert result.prediction is None
    assert taken == [0, 1, 2]


def test_delays_of_the_test_stories_do_not_leak():
    X, groups, Y, X_test, _ = make_data(5)
    groups_test = np.repeat([0, 1], [12, 18])
    plan = RidgeCV(X, groups)
    both = plan.fit(Y, X_test, groups_test, return_prediction=True).prediction
    parts = [plan.fit(Y, part, return_prediction=True).prediction
             for part in (X_test[:12], X_test[12:])]  # fmt: skip
    np.testing.assert_allclose(both, np.concatenate(parts), atol=1e-6)


def test_inputs_are_not_changed_and_may_be_file_backed(tmp_path):
    X, groups, Y, X_test, Y_test = make_data(5)
    np.save(tmp_path / "Y.npy", Y)
    mapped = np.load(tmp_path / "Y.npy", mmap_mode="r")
    inputs = [X, groups, Y, X_test, Y_test]
    before = [array.copy() for array in inputs]
    expected = RidgeCV(X, groups).fit(Y, X_test, Y_test=Y_test)
    for array, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(RidgeCV(X, groups).fit(mapped).alpha, expected.alpha)
    np.testing.assert_array_equal(RidgeCV(X, groups).fit(Y.tolist()).alpha, expected.alpha)


@pytest.fixture
def inner(route):
    """Name of a function that every fit calls."""
    return "score_predictions" if route == "few" else "score_operators"


def test_threads_are_put_back_also_after_an_error(inner, monkeypatch):
    X, groups, Y, _, _ = make_data(3)
    before, seen = torch.get_num_threads(), []
    original = getattr(ridge_cv, inner)

    def spy(*arguments):
        seen.append(torch.get_num_threads())
        return original(*arguments)

    monkeypatch.setattr(ridge_cv, inner, spy)
    RidgeCV(X, groups, threads=before + 1).fit(Y)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before

    def fail(*arguments):
        raise RuntimeError("something else")

    monkeypatch.setattr(ridge_cv, inner, fail)
    with pytest.raises(RuntimeError, match="something else"):
        RidgeCV(X, groups, threads=before + 1).fit(Y)
    assert torch.get_num_threads() == before


def test_memory_that_runs_out_is_said(inner, monkeypatch):
    X, groups, Y, _, _ = make_data(3)

    def fill_gpu(*arguments):
        raise torch.OutOfMemoryError("full")

    def fill_cpu(*arguments):
        return torch.empty(1 << 57)  # more than any address space

    for fill in (fill_gpu, fill_cpu):
        monkeypatch.setattr(ridge_cv, inner, fill)
        with pytest.raises(ResourceError, match="memory of device 'cpu'") as caught:
            RidgeCV(X, groups).fit(Y)
        assert "fewer targets" in caught.value.hint


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", FORMS)
def test_cuda_equals_cpu(method, metric):
    X, groups, Y, X_test, _ = make_data(22)
    cpu, cuda = (
        fit(X, groups, Y, X_test, method=method, metric=metric, device=device)
        for device in ("cpu", "cuda")
    )
    assert_same(cuda, cpu)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"metric": "r3"}, "unknown metric 'r3'", "Did you mean 'r"),
        ({"method": "duel"}, "unknown method 'duel'", "Did you mean 'dual'"),
        ({"folds": "stories"}, "unknown folds 'stories'", "Did you mean 'story'"),
        ({"device": "coda"}, "unknown device 'coda'", "Did you mean 'cuda'"),
        ({"device": "cuda:x"}, "unknown device", "Allowed"),
        ({"device": "cpu:"}, "unknown device", "Did you mean 'cpu'"),
        ({"alphas": ["big"]}, "alphas", "positive"),
        ({"alphas": 10.0}, "alphas", "positive"),
        ({"alphas": [1.0, -1.0]}, "alphas", "positive"),
        ({"alphas": [0.0]}, "alphas", "positive"),
        ({"alphas": []}, "alphas", "positive"),
        ({"alphas": [np.nan]}, "alphas", "positive"),
        ({"delays": (1, 1)}, "delays", "whole numbers"),
        ({"threads": 0}, "threads is 0", "1 or more"),
    ],
)
def test_wrong_options_say_what_is_allowed(options, message, hint):
    X, groups, _, _, _ = make_data(3)
    with pytest.raises(InputError, match=message) as caught:
        RidgeCV(X, groups, **options)
    assert hint in caught.value.hint


def test_a_missing_gpu_is_said():
    X, groups, _, _, _ = make_data(3)
    with pytest.raises(ResourceError, match="torch sees"):
        RidgeCV(X, groups, device="cuda:99")


def test_wrong_arrays_say_what_is_wrong():
    X, groups, Y, X_test, Y_test = make_data(3)
    plan = RidgeCV(X, groups)
    broken = X.copy()
    broken[4, 2] = np.nan
    wrong = {
        "1 of 3 features, the first in column 2": lambda: RidgeCV(broken, groups),
        "X has shape": lambda: RidgeCV(X[:, 0], groups),
        "groups has shape": lambda: RidgeCV(X, groups[1:]),
        "not next to each other": lambda: RidgeCV(X, np.arange(len(X)) % 3),
        "Y has shape": lambda: plan.fit(Y[1:]),
        "Y has shape .* type": lambda: plan.fit(Y.astype(str)),
        "no test features": lambda: plan.fit(Y, return_prediction=True),
        "X_test has 2 features and X has 3": lambda: plan.fit(Y, X_test[:, :2]),
        "X_test holds NaN": lambda: plan.fit(Y, X_test * np.inf),
        "Y_test has shape": lambda: plan.fit(Y, X_test, Y_test=Y_test[1:]),
        "Y_test has 11 targets and Y has 12": lambda: plan.fit(Y, X_test, Y_test=Y_test[:, 1:]),
    }
    for message, call in wrong.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(InputError, match=message):
                call()
