"""Banded ridge against a literal fit of every mixture, and against himalaya in float64."""

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import r2_score, r2_score_split
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from braindash.core.partition import partition_variance, shared_parts
from braindash.core.ridge import banded_search
from braindash.core.ridge.banded import BandedRidgeCV
from braindash.core.ridge.model import RidgeCV
from braindash.core.timing import delayed
from braindash.errors import InputError

ALPHAS = np.logspace(-1, 4, 8)


def make_bands(n_bands=2, n_targets=30, seed=0):
    """Targets that follow the first band, the second, both, or none."""
    rng = np.random.default_rng(seed)
    rows, test = 120, 50
    groups = np.repeat(np.arange(4), rows // 4)
    names = ["model", "acoustic", "rate"][:n_bands]
    sizes = [9, 4, 2][:n_bands]
    bands = {
        name: rng.standard_normal((rows + test, n)) for name, n in zip(names, sizes, strict=True)
    }
    stories = np.append(groups, [9] * test)
    signal = np.zeros((rows + test, n_targets))
    for place, X in enumerate(bands.values()):
        design = delayed(X, groups=stories)
        share = rng.uniform(0, 1, n_targets) * (np.arange(n_targets) % (n_bands + 1) != place)
        signal += share * (design @ rng.standard_normal((design.shape[1], n_targets))) / 6
    Y = (signal + 0.7 * rng.standard_normal(signal.shape)).astype(np.float32)
    train = {name: X[:rows] for name, X in bands.items()}
    later = {name: X[rows:] for name, X in bands.items()}
    return train, groups, Y[:rows], later, Y[rows:]


def mixed_design(bands, weights, plan_traces, groups):
    """Features whose plain ridge is the ridge of the mixture."""
    total = sum(plan_traces.values())
    parts = [
        np.sqrt(weight * total / plan_traces[name]) * delayed(X, groups=groups)
        for weight, (name, X) in zip(weights, bands.items(), strict=True)
    ]
    return np.concatenate(parts, axis=1)


def literal_score(X, groups, y, alpha, intercept):
    scores = []
    for story in np.unique(groups):
        held = groups == story
        model = Ridge(alpha=alpha, fit_intercept=intercept).fit(X[~held], y[~held])
        gap = ((y[held] - model.predict(X[held])) ** 2).sum()
        scores.append(1 - gap / ((y[held] - y[held].mean()) ** 2).sum())
    return np.mean(scores)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_bands", [2, 3])
def test_each_choice_is_a_ridge_on_scaled_features(n_bands, intercept):
    bands, groups, Y, later, _ = make_bands(n_bands)
    plan = BandedRidgeCV(bands, groups, alphas=ALPHAS, intercept=intercept, n_mixtures=5)
    result = plan.fit(Y, later)
    traces = {name: (delayed(X, groups=groups) ** 2).sum() for name, X in bands.items()}
    for target in range(0, Y.shape[1], 3):
        weights, alpha = result.weights[:, target], result.alpha[target]
        assert weights.sum() == pytest.approx(1)
        X = mixed_design(bands, weights, traces, groups)
        y = Y[:, target].astype(float)
        score = literal_score(X, groups, y, alpha, intercept)
        assert result.cv_score[target] == pytest.approx(score, abs=1e-5)
        model = Ridge(alpha=alpha, fit_intercept=intercept).fit(X, y)
        new = mixed_design(later, weights, traces, None)
        np.testing.assert_allclose(result.prediction[:, target], model.predict(new), atol=1e-5)
        stop = 0
        for part, X_band in zip(result.parts, bands.values(), strict=True):
            start, stop = stop, stop + 4 * X_band.shape[1]
            expected = new[:, start:stop] @ model.coef_[start:stop]
            if not intercept:
                np.testing.assert_allclose(part[:, target], expected, atol=1e-5)
            gap = part[:, target] - expected  # an intercept belongs to no band
            assert np.ptp(gap) < 1e-5
    if not intercept:
        np.testing.assert_allclose(result.parts.sum(0), result.prediction, atol=1e-5)


def himalaya_scores(bands, groups, Y, mixtures):
    """Best held-out score of each target over the mixtures, kernels scaled as ours."""
    set_backend("numpy")
    kernels = np.stack([(d := delayed(X, groups=groups)) @ d.T for X in bands.values()])
    traces = np.trace(kernels, axis1=1, axis2=2)
    kernels *= (traces.sum() / traces)[:, None, None]
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        solver_params={
            "n_iter": np.array(mixtures),
            "alphas": ALPHAS,
            "progress_bar": False,
            "jitter_alphas": False,
            "score_func": r2_score,
        },
        cv=list(LeaveOneGroupOut().split(Y, groups=groups)),
    ).fit(kernels, Y.astype(np.float64))
    return model.cv_scores_.max(axis=0)


def all_mixtures_of_two():
    ratios = np.arange(-2.25, 2.26, 0.75)
    second = 1 / (1 + 10.0**-ratios)
    return [(1.0, 0.0), (0.0, 1.0), *np.stack([1 - second, second], axis=1)]


def test_scores_reach_himalaya_with_every_mixture():
    bands, groups, Y, later, _ = make_bands(seed=1)
    found = BandedRidgeCV(bands, groups, alphas=ALPHAS, intercept=False).fit(Y, later)
    exhaustive = himalaya_scores(bands, groups, Y, all_mixtures_of_two())
    assert (found.cv_score <= exhaustive + 1e-5).all()  # never better than all there is
    assert (exhaustive - found.cv_score).max() < 5e-3  # and the refinement loses next to nothing
    assert ((exhaustive - found.cv_score) < 1e-5).mean() > 0.9


def test_two_spaces_are_told_apart():
    bands, groups, _, later, _ = make_bands()
    rng = np.random.default_rng(5)
    truth = {}
    for name in bands:
        weights = rng.standard_normal((4 * bands[name].shape[1], 40))
        truth[name] = (
            delayed(bands[name], groups=groups) @ weights / 5,
            delayed(later[name]) @ weights / 5,
        )
    Y = np.concatenate([truth["model"][0], truth["acoustic"][0]], axis=1)
    Y_test = np.concatenate([truth["model"][1], truth["acoustic"][1]], axis=1)
    Y, Y_test = (y + 0.3 * rng.standard_normal(y.shape) for y in (Y, Y_test))
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    shares = partition_variance(result.parts, result.without, Y_test)
    for own, other, targets in ((0, 1, slice(0, 40)), (1, 0, slice(40, 80))):
        assert np.median(result.weights[own, targets]) > 0.8
        assert shares.split[own, targets].mean() > 0.5
        assert abs(shares.split[other, targets].mean()) < 0.05
        assert shares.unique[own, targets].mean() > 0.5


def test_a_band_alone_is_plain_ridge():
    bands, groups, Y, later, _ = make_bands()
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    for place, name in enumerate(reversed(list(bands))):  # without one of two is the other alone
        traces = {n: (delayed(X, groups=groups) ** 2).sum() for n, X in bands.items()}
        scale = sum(traces.values()) / traces[name]
        plan = RidgeCV(bands[name], groups, alphas=ALPHAS / scale)
        alone = plan.fit(Y, later[name], return_prediction=True)
        np.testing.assert_allclose(result.without[place], alone.prediction, atol=1e-5)


def test_each_of_three_alone_is_plain_ridge_and_parts_add_up():
    bands, groups, Y, later, _ = make_bands(3)
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS, n_mixtures=5).fit(Y, later, alone=True)
    traces = {n: (delayed(X, groups=groups) ** 2).sum() for n, X in bands.items()}
    for place, name in enumerate(bands):
        plan = RidgeCV(bands[name], groups, alphas=ALPHAS * traces[name] / sum(traces.values()))
        alone = plan.fit(Y, later[name], return_prediction=True)
        np.testing.assert_allclose(result.alone[place], alone.prediction, atol=1e-5)
    assert len(BandedRidgeCV(bands, groups, alphas=ALPHAS, n_mixtures=2).fit(Y, later).alone) == 0


def test_parts_are_the_areas_of_the_subsets():
    """Seven areas are drawn; the R² of a subset is what its sets cover."""
    rng = np.random.default_rng(0)
    every = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    areas = {which: rng.normal(size=4) for which in every}

    def covered(sets):
        return sum(area for which, area in areas.items() if set(which) & set(sets))

    alone = np.stack([covered([one]) for one in range(3)])
    without = np.stack([covered({0, 1, 2} - {one}) for one in range(3)])
    found = shared_parts(covered([0, 1, 2]), alone, without)
    assert list(found) == every
    for which, area in areas.items():
        np.testing.assert_allclose(found[which], area, atol=1e-12)
    two = shared_parts(areas[0,] + areas[1,], np.zeros((2, 4)), np.stack([areas[1,], areas[0,]]))
    np.testing.assert_allclose(two[0, 1], 0, atol=1e-12)
    four = shared_parts(np.ones(1), np.ones((4, 1)), np.full((4, 1), 0.9))
    assert list(four) == [(0,), (1,), (2,), (3,), (0, 1, 2, 3)]
    assert float(four[0, 1, 2, 3][0]) == pytest.approx(0.6)


def test_many_targets_give_what_few_give(monkeypatch):
    bands, groups, Y, later, _ = make_bands(n_targets=40)
    expected = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    monkeypatch.setattr("braindash.core.ridge.dual.DualSolver.few", 0)
    monkeypatch.setattr(banded_search, "_COLUMNS", 7)
    found = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    np.testing.assert_allclose(found.parts, expected.parts, atol=1e-5)


def test_unusable_targets_are_nan_and_a_dead_band_is_harmless():
    bands, groups, Y, later, Y_test = make_bands()
    Y[:, 3], Y[5, 4] = 1.0, np.nan
    bands["acoustic"] = np.zeros_like(bands["acoustic"])
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    lost = np.isin(np.arange(Y.shape[1]), [3, 4])
    for values in (result.alpha, result.cv_score, result.weights[0], result.parts[0, 0]):
        np.testing.assert_array_equal(np.isnan(values), lost)
    np.testing.assert_array_equal(result.parts[1][:, ~lost], 0)
    shares = partition_variance(result.parts, result.without, Y_test)
    np.testing.assert_array_equal(np.isnan(shares.joint), lost)


def test_partition_is_himalayas_product_measure():
    rng = np.random.default_rng(2)
    y = rng.standard_normal((60, 5))
    y -= y.mean(0)
    parts = rng.standard_normal((2, 60, 5)) * 0.2 + np.array([0.5, 0.2])[:, None, None] * y
    parts -= parts.mean(1, keepdims=True)
    set_backend("numpy")
    found = partition_variance(parts, parts[::-1], y)
    np.testing.assert_allclose(found.split, r2_score_split(y, parts), atol=1e-10)
    np.testing.assert_allclose(found.split.sum(0), found.joint, atol=1e-12)
    np.testing.assert_allclose(found.unique.sum(0) + found.shared, found.joint, atol=1e-12)
    alone = 1 - ((y - parts[1]) ** 2).sum(0) / (y**2).sum(0)
    np.testing.assert_allclose(found.unique[0], found.joint - alone, atol=1e-12)
    moved = partition_variance(parts + 3, parts[::-1] - 2, y + 100)
    np.testing.assert_allclose(moved.split, found.split, atol=1e-9)


def test_bad_input_says_what_is_wrong():
    bands, groups, Y, later, Y_test = make_bands()
    with pytest.raises(InputError, match="1 feature space") as caught:
        BandedRidgeCV({"model": bands["model"]}, groups)
    assert "RidgeCV" in caught.value.hint
    with pytest.raises(InputError, match="rows"):
        BandedRidgeCV({"model": bands["model"], "acoustic": bands["acoustic"][:-1]}, groups)
    plan = BandedRidgeCV(bands, groups, alphas=ALPHAS)
    with pytest.raises(InputError, match="the bands model and the training rows"):
        plan.fit(Y, {"model": later["model"]})
    with pytest.raises(InputError, match="test band 'acoustic'"):
        plan.fit(Y, later | {"acoustic": later["acoustic"][:, :2]})
    with pytest.raises(InputError, match="parts have shape"):
        partition_variance(Y_test, Y_test, Y_test)


def scores_of_every_candidate(bands, groups, Y, mixtures):
    """Held-out scores (mixture, alpha, target) by one literal solution per fold, in float64."""
    kernels = np.stack([(d := delayed(X, groups=groups)) @ d.T for X in bands.values()])
    traces = np.trace(kernels, axis1=1, axis2=2)
    kernels *= (traces.sum() / traces)[:, None, None]
    scores = np.zeros((len(mixtures), len(ALPHAS), Y.shape[1]))
    stories = np.unique(groups)
    for place, mixture in enumerate(mixtures):
        kernel = np.tensordot(mixture, kernels, axes=1)
        for index, alpha in enumerate(ALPHAS):
            for story in stories:
                held, y = groups == story, Y.astype(np.float64)
                inside = kernel[~held][:, ~held] + alpha * np.eye((~held).sum())
                predicted = kernel[held][:, ~held] @ np.linalg.solve(inside, y[~held])
                power = ((y[held] - y[held].mean(axis=0)) ** 2).sum(axis=0)
                gap = ((y[held] - predicted) ** 2).sum(axis=0)
                scores[place, index] += (1 - gap / power) / len(stories)
    return scores


def test_a_sample_finds_what_the_exhaustive_search_finds():
    bands, groups, Y, later, _ = make_bands(n_targets=1200, seed=3)
    Y[:, 7] = 2.0
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS, intercept=False).fit(Y, later)
    mixtures = all_mixtures_of_two()
    usable = np.arange(1200) != 7
    every = scores_of_every_candidate(bands, groups, Y[:, usable], mixtures)
    assert np.isnan(result.alpha[7]) and np.isnan(result.weights[:, 7]).all()
    index = np.searchsorted(ALPHAS, result.alpha[usable])
    gaps = np.abs(np.array(mixtures)[:, :, None] - result.weights[:, usable]).max(axis=1)
    assert gaps.min(axis=0).max() < 1e-6
    # What is said of a choice is its exact score, and the best choice scores next to no better.
    own = every[gaps.argmin(axis=0), index, np.arange(usable.sum())]
    np.testing.assert_allclose(result.cv_score[usable], own, atol=2e-5)
    loss = every.max(axis=(0, 1)) - own
    assert loss.min() > -1e-9
    assert loss.mean() < 3e-4
    assert np.quantile(loss, 0.99) < 1e-2


def test_a_few_targets_that_the_sample_lacks_are_not_misjudged():
    bands, groups, _, later, _ = make_bands()
    rng = np.random.default_rng(6)
    model, acoustic = (delayed(X, groups=groups) for X in bands.values())
    Y = model @ rng.standard_normal((model.shape[1], 1500)) / 12
    Y += rng.standard_normal(Y.shape)
    sampled = np.linspace(0, 1499, 256).round().astype(int)
    rare = np.setdiff1d(np.arange(1500), sampled)[::80]
    Y[:, rare] = acoustic @ rng.standard_normal((acoustic.shape[1], len(rare)))
    Y[:, rare] += 0.3 * rng.standard_normal((len(Y), len(rare)))
    plan = BandedRidgeCV(bands, groups, alphas=ALPHAS)
    found, exhaustive = plan.fit(Y, later), plan.fit(Y[:, rare], later)
    assert (found.weights[1, rare] > 0.9).all()
    np.testing.assert_allclose(found.cv_score[rare], exhaustive.cv_score, atol=2e-3)


def test_unique_variance_is_only_fitted_where_it_is_asked_for():
    bands, groups, Y, later, _ = make_bands()
    plan = BandedRidgeCV(bands, groups, alphas=ALPHAS)
    asked, spared = plan.fit(Y, later), plan.fit(Y, later, unique=False)
    np.testing.assert_array_equal(spared.prediction, asked.prediction)
    assert np.isnan(spared.without).all() and np.isfinite(asked.without).all()


def test_the_order_of_alphas_does_not_matter_to_a_sample():
    bands, groups, Y, later, _ = make_bands(n_targets=1030, seed=5)
    expected = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(Y, later)
    turned = BandedRidgeCV(bands, groups, alphas=ALPHAS[[3, 0, 7, 1, 6, 2, 5, 4]]).fit(Y, later)
    np.testing.assert_array_equal(turned.alpha, expected.alpha)
    np.testing.assert_array_equal(turned.weights, expected.weights)


def test_a_sample_without_any_usable_target_gives_nan():
    bands, groups, Y, later, _ = make_bands(n_targets=1024)
    result = BandedRidgeCV(bands, groups, alphas=ALPHAS).fit(np.ones_like(Y), later)
    assert np.isnan(result.alpha).all() and np.isnan(result.prediction).all()
