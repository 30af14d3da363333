import numpy as np
import pytest
import torch
from kit.data.spoken_units import SpokenUnits, spoken_units
from kit.machines.rounding import SINGLE, assert_same_classes, rounding_of_ridge
from scipy.spatial.distance import cdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, r2_score
from sklearn.preprocessing import StandardScaler

from braindash.core.probes import ridge as probing_ridge
from braindash.core.probes.design import make_design
from braindash.core.probes.labels import ProbeTask, code_task, shuffled_sources
from braindash.core.probes.logistic import fit_logistic
from braindash.core.probes.model import ALPHAS
from braindash.core.probes.ridge import fit_ridge
from braindash.core.probes.split import Split
from braindash.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def units():
    return spoken_units(strength=0.4)


def fitted(units: SpokenUnits, task: ProbeTask, alphas=ALPHAS, n_shuffles=0, features=None):
    design = make_design(
        units.features if features is None else features, units.split, CPU, "layer 3"
    )
    fit = fit_logistic if task.method == "logistic" else fit_ridge
    coded = code_task(task, units.split)
    return fit(design, coded, shuffled_sources(units.split, n_shuffles, 0), np.asarray(alphas))


def standard(units: SpokenUnits):
    """Features in double precision, standardised by the training part: train, learning, test."""
    wide = StandardScaler().fit(units.features[units.split.train].astype(np.float64))
    learning = np.concatenate([units.split.train, units.split.valid])
    X = wide.transform(units.features.astype(np.float64))
    return X, learning


def reach(covariance, alpha):
    """Return what rounding may change in scores: it grows with the condition."""
    return SINGLE * np.linalg.cond(covariance + alpha * np.eye(len(covariance)))


def centred(X, y, n_classes):
    """Mean of the units, means of the classes about it, shares, total covariance: by hand."""
    mean = X.mean(axis=0)
    means = np.stack([X[y == c].mean(axis=0) for c in range(n_classes)]) - mean
    share = np.bincount(y, minlength=n_classes) / len(y)
    return mean, means, share, (X - mean).T @ (X - mean) / len(X)


# ---- the design ----------------------------------------------------------------------------


def test_the_design_standardises_by_the_training_part_and_rotates(units):
    design = make_design(units.features, units.split, CPU, "layer 3")
    X, learning = standard(units)
    order = np.concatenate([learning, units.split.test])
    np.testing.assert_allclose(design.values.numpy(), X[order], atol=2e-4)
    for basis, rows, new in (
        (design.choosing, units.split.train, units.split.valid),
        (design.final, learning, units.split.test),
    ):
        mean = X[rows].mean(axis=0)
        gram = (X[rows] - mean).T @ (X[rows] - mean)
        vectors = basis.vectors.numpy()
        np.testing.assert_allclose((vectors * basis.power.numpy()) @ vectors.T, gram, atol=0.02)
        np.testing.assert_allclose(basis.rotated, (X[new] - mean) @ vectors, atol=2e-3)
    assert design.choosing.power.mean() == pytest.approx(len(units.split.train), rel=1e-5)


def test_constant_features_are_left_out(units):
    extra = np.full((1200, 2), 7.3, dtype=np.float32)
    extra[units.split.test, 1] = 99  # varies, but not in train
    wider = np.concatenate([extra[:, :1], units.features, extra[:, 1:]], axis=1)
    design = make_design(wider, units.split, CPU, "layer 3")
    np.testing.assert_array_equal(
        design.values, make_design(units.features, units.split, CPU, "layer 3").values
    )
    with pytest.raises(InputError, match="every feature of layer 3 is constant"):
        make_design(extra, units.split, CPU, "layer 3")


def test_features_that_cannot_be_used_are_refused(units):
    broken = units.features.copy()
    broken[units.split.test[2], 4] = np.nan
    broken[units.split.train[9], 0] = np.inf
    worst = min(units.split.test[2], units.split.train[9])
    with pytest.raises(InputError, match=f"2 units have missing .* layer 3, .* unit {worst}"):
        make_design(broken, units.split, CPU, "layer 3")
    for wrong in (units.features[:-1], units.features[:, 0], units.features.astype(str)):
        with pytest.raises(InputError, match="features of layer 3 have shape"):
            make_design(wrong, units.split, CPU, "layer 3")


# ---- least squares and discriminant analysis -----------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 30.0])
def test_one_hot_ridge_equals_scikit_learn(units, alpha, n_classes):
    X, learning = standard(units)
    labels = units.phone % n_classes
    found = fitted(units, ProbeTask("phone", labels), [alpha])
    model = RidgeClassifier(alpha=alpha * len(learning)).fit(X[learning], labels[learning])
    scores = model.decision_function(X[units.split.test])
    scores = scores if n_classes > 2 else np.stack([-scores, scores], axis=1)
    total = centred(X[learning], labels[learning], n_classes)[3]
    assert_same_classes(found.predicted[0], scores, reach(total, alpha))


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e6])
def test_ridge_of_values_equals_scikit_learn(units, alpha):
    X, learning = standard(units)
    found = fitted(units, ProbeTask("value", units.values, "regression"), [alpha])
    model = Ridge(alpha=alpha * len(learning)).fit(X[learning], units.values[learning])
    gap = np.abs(found.predicted[0] - model.predict(X[units.split.test]))
    mean = X[learning].mean(axis=0)
    train, new = X[learning] - mean, X[units.split.test] - mean
    values = units.values[learning] - units.values[learning].mean(axis=0)
    rounding = rounding_of_ridge(train, values, new, alpha * len(learning))
    assert (gap <= rounding).all() and (rounding < 1e-3 * values.std(axis=0)).all()


@pytest.mark.parametrize("alpha", [1e-4, 0.1, 10.0])
def test_balanced_ridge_takes_the_nearest_class_mean(units, alpha):
    X, learning = standard(units)
    task = ProbeTask("phone", units.phone, balanced=True)
    mean, means, _, covariance = centred(X[learning], units.phone[learning], 5)
    metric = np.linalg.inv(covariance + alpha * np.eye(len(mean)))
    distance = cdist(X[units.split.test] - mean, means, "mahalanobis", VI=metric)
    found = fitted(units, task, [alpha])
    assert_same_classes(found.predicted[0], -(distance**2) / 2, reach(covariance, alpha))


@pytest.mark.parametrize("alpha", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize("balanced", [False, True])
def test_discriminant_analysis_equals_its_formula(units, alpha, balanced):
    X, learning = standard(units)
    task = ProbeTask("phone", units.phone, balanced=balanced, method="discriminant")
    mean, means, share, total = centred(X[learning], units.phone[learning], 5)
    within = total - (means.T * share) @ means
    weights = np.linalg.solve(within + alpha * np.eye(len(mean)), means.T)
    score = (X[units.split.test] - mean) @ weights - np.einsum("cp,pc->c", means, weights) / 2
    score += 0 if balanced else np.log(share)
    assert_same_classes(fitted(units, task, [alpha]).predicted[0], score, reach(within, alpha))


def test_discriminant_analysis_equals_scikit_learn():
    rng, y = np.random.default_rng(3), np.tile(np.arange(5), 200)
    features = rng.standard_normal((1000, 12)) @ rng.standard_normal((12, 12))
    features = (features + rng.standard_normal((5, 12))[y]).astype(np.float32)
    rows = np.arange(1000)
    split = Split(rows[:600], rows[600:800], rows[800:], rows, "classes are equal on every side")
    task = ProbeTask("phone", y, balanced=True, method="discriminant")
    X = StandardScaler().fit(features[:600]).transform(features.astype(np.float64))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2).fit(X[:800], y[:800])
    # (1 - g) S + g tr(S) / p is, but for a factor, S + alpha.
    _, means, share, total = centred(X[:800], y[:800], 5)
    within = total - (means.T * share) @ means
    alpha = 0.2 / 0.8 * np.trace(within) / 12
    design = make_design(features, split, CPU, "layer 3")
    sources = shuffled_sources(split, 0, 0)
    found = fit_ridge(design, code_task(task, split), sources, np.array([alpha]))
    assert_same_classes(found.predicted[0], model.decision_function(X[800:]), reach(within, alpha))


def test_discriminant_analysis_of_classes_without_overlap_is_right(units):
    features = units.features.copy()
    features[:, :5] = 100 * np.eye(5, dtype=np.float32)[units.phone]
    task = ProbeTask("phone", units.phone, method="discriminant")
    found = fitted(units, task, [1e-9, 1e-6, 1e-3], features=features)
    np.testing.assert_array_equal(found.predicted[0], units.phone[units.split.test])


@pytest.mark.parametrize("balanced", [False, True])
def test_sets_are_ridge_label_by_label(units, balanced):
    """Scikit-learn's ridge on 0 and 1; balanced by the distances to two means for each label."""
    X, learning = standard(units)
    rng = np.random.default_rng(5)
    extra = units.values[:, 0] > 51 + rng.standard_normal(len(units.phone))
    has = np.stack([units.phone == 0, units.phone >= 2, extra], axis=1)
    texts = np.array([" ".join(np.array(["x", "y", "z"])[row]) for row in has], dtype=object)
    alpha, test = 0.1, units.split.test
    task = ProbeTask("set", texts, "multilabel", balanced=balanced)
    found = fitted(units, task, [alpha], n_shuffles=2)
    assert found.predicted.shape == (3, len(test), 3) and found.predicted.dtype == bool
    mean, _, _, covariance = centred(X[learning], units.phone[learning], 5)
    metric = np.linalg.inv(covariance + alpha * np.eye(len(mean)))
    for label in range(3):
        own = has[learning, label].astype(int)
        if balanced:
            means = centred(X[learning], own, 2)[1]
            scores = -(cdist(X[test] - mean, means, "mahalanobis", VI=metric) ** 2) / 2
        else:
            model = Ridge(alpha=alpha * len(learning)).fit(X[learning], own)
            high = model.predict(X[test])
            scores = np.stack([1 - high, high], axis=1)
        told = found.predicted[0][:, label].astype(int)
        assert_same_classes(told, scores, reach(covariance, alpha))
    train, valid = units.split.train, units.split.valid
    chosen = fitted(units, ProbeTask("set", texts, "multilabel")).alpha[0]
    scores = {}
    for alpha in ALPHAS:
        model = Ridge(alpha=alpha * len(train)).fit(X[train], has[train].astype(float))
        told = model.predict(X[valid]) > 1 / 2
        scores[alpha] = f1_score(has[valid], told, average="macro")
    assert scores[chosen] >= max(scores.values()) - 5e-3


METRICS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda true, guess: f1_score(true, guess, average="macro"),
}


@pytest.mark.parametrize("metric", METRICS)
def test_the_penalty_is_the_best_of_a_loop_over_all(units, metric):
    X, learning = standard(units)
    train, validation = units.split.train, units.split.valid
    found = fitted(units, ProbeTask("phone", units.phone, metric=metric))
    scores = {}
    for alpha in ALPHAS:
        model = RidgeClassifier(alpha=alpha * len(train)).fit(X[train], units.phone[train])
        guess = model.predict(X[validation])
        scores[alpha] = METRICS[metric](units.phone[validation], guess)
    best = max(a for a, score in scores.items() if score >= max(scores.values()) - 1e-12)
    assert found.alpha[0] == best
    model = RidgeClassifier(alpha=best * len(learning)).fit(X[learning], units.phone[learning])
    total = centred(X[learning], units.phone[learning], 5)[3]
    scores = model.decision_function(X[units.split.test])
    assert_same_classes(found.predicted[0], scores, reach(total, best))


def test_the_penalty_of_values_is_the_best_of_a_loop_over_all(units):
    X, _ = standard(units)
    train, validation = units.split.train, units.split.valid
    noisy = units.values + np.random.default_rng(0).standard_normal((1200, 2)) * [9, 40]
    found = fitted(units, ProbeTask("value", noisy, "regression"))
    scores = [
        r2_score(
            noisy[validation],
            Ridge(alpha=alpha * len(train)).fit(X[train], noisy[train]).predict(X[validation]),
            multioutput="variance_weighted",
        )
        for alpha in ALPHAS
    ]
    assert found.alpha[0] == ALPHAS[int(np.argmax(scores))]
    assert 1e-6 < found.alpha[0] < 1e6


def test_of_equal_penalties_the_largest_is_chosen(units):
    features = np.eye(5, dtype=np.float32)[units.phone]
    alphas = [1e-3, 1e-1, 1e-2]
    assert fitted(units, ProbeTask("phone", units.phone), alphas, features=features).alpha[0] == 0.1


@pytest.mark.parametrize("method", ["ridge", "discriminant"])
def test_shuffled_runs_equal_runs_of_the_shuffled_labels(units, method, monkeypatch):
    task = ProbeTask("phone", units.phone, method=method)
    together = fitted(units, task, n_shuffles=4)
    monkeypatch.setattr(probing_ridge, "_NUMBERS_AT_ONCE", 1)  # one run at a time
    apart = fitted(units, task, n_shuffles=4)
    np.testing.assert_array_equal(together.alpha, apart.alpha)
    np.testing.assert_array_equal(together.predicted, apart.predicted)
    sources = shuffled_sources(units.split, 4, 0)
    for run in range(5):
        labels = units.phone.copy()
        labels[sources[0]] = units.phone[sources[run]]
        single = fitted(units, ProbeTask("phone", labels, method=method))
        np.testing.assert_array_equal(together.predicted[run], single.predicted[0])


def test_a_class_without_training_unit_is_never_predicted(units):
    labels = units.phone.copy()
    labels[units.split.test[:40]] = 9
    for options in ({}, {"balanced": True}, {"method": "discriminant"}, {"method": "logistic"}):
        found = fitted(units, ProbeTask("phone", labels, **options), [1e-2])
        assert set(np.unique(found.predicted).tolist()) <= set(range(5))


# ---- logistic regression -------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 1e-1])
def test_logistic_regression_equals_scikit_learn(units, alpha, balanced):
    X, learning = standard(units)
    y = units.phone[learning]
    task = ProbeTask("phone", units.phone, balanced=balanced, method="logistic")
    found = fitted(units, task, [alpha])
    model = LogisticRegression(
        C=1 / (alpha * len(learning)),
        class_weight="balanced" if balanced else None,
        tol=1e-8,
        max_iter=5000,
    ).fit(X[learning], y)
    chance = model.predict_proba(X[units.split.test])
    sure = np.diff(np.sort(chance, axis=1)[:, -2:])[:, 0] > 0.005
    assert sure.mean() > 0.95 and not found.warnings
    expected = model.predict(X[units.split.test])
    np.testing.assert_array_equal(found.predicted[0][sure], expected[sure])


def test_logistic_regression_chooses_a_penalty_that_a_loop_finds_good(units):
    X, _ = standard(units)
    train, validation = units.split.train, units.split.valid
    found = fitted(units, ProbeTask("phone", units.phone, method="logistic"))
    scores = {
        alpha: LogisticRegression(C=1 / (alpha * len(train)), max_iter=500)
        .fit(X[train], units.phone[train])
        .score(X[validation], units.phone[validation])
        for alpha in ALPHAS[:10]
    }
    assert scores[found.alpha[0]] >= max(scores.values()) - 0.01


def test_logistic_fits_that_do_not_converge_are_warned_of(units, monkeypatch):
    monkeypatch.setattr("braindash.core.probes.logistic._MOST_STEPS", 2)
    found = fitted(units, ProbeTask("phone", units.phone, method="logistic"), [1e-4])
    assert found.warnings == ("1 of 1 logistic fits stopped after 2 steps",)
