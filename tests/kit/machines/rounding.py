"""How far results may be from exact ones: from the problem, not from one processor."""

import itertools

import numpy as np

SINGLE = float(np.finfo(np.float32).eps)


def rounding_of_ridge(X, Y, new, penalty):
    """Return what rounding to single precision may change in predictions of ridge regression.

    To first order, ``w = (X'X + penalty)^-1 X'Y`` moves by the inverse times the errors of its
    parts, which are at most ``eps |X|'|X|`` and ``eps |X|'|Y|`` (Higham 2002, 7.2), and a
    prediction also by its own rounding. Errors of sums over many rows mostly cancel: a result has
    an eighth to a half of it. Four times it allows for features, sums, factors and predictions that
    are each rounded, in any order.

    Parameters
    ----------
    X, Y : array of shape (n_rows, n_features), (n_rows, n_targets)
        Centred features and responses in double precision.
    new : array of shape (n_new, n_features)
        Features to predict from, about the same mean.
    penalty : float
        Added to the diagonal.

    Returns
    -------
    array of shape (n_new, n_targets)
    """
    inner = X.T @ X + penalty * np.eye(X.shape[1])
    weights = np.abs(np.linalg.solve(inner, X.T @ Y))
    lever = np.abs(np.linalg.solve(inner, new.T).T)
    X, Y, new = np.abs(X), np.abs(Y), np.abs(new)
    moved = lever @ (X.T @ (X @ weights + Y)) + new @ weights
    return 4 * SINGLE * (moved + Y.mean(axis=0))


def assert_same_classes(predicted, scores, reach):
    """Hold classes against those of exact scores (n_units, n_classes), but where two are as high.

    ``reach`` is what rounding may change in a score, as a share of the scores' spread.
    """
    first, second = np.sort(scores, axis=1)[:, [-1, -2]].T
    sure = first - second > 2 * reach * scores.std()
    assert sure.mean() > 0.95
    np.testing.assert_array_equal(predicted[sure], scores.argmax(axis=1)[sure])


def flip_p(gap):
    """Return the exact p value of the sign-flip test of (n_subjects,) differences, by its words.

    Sums that are equal but for rounding to single precision are equal. That hardly any other sum is
    so near the observed one is asserted: p would hang on rounding.
    """
    gap = np.asarray(gap, dtype=np.float64)
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=len(gap))))
    beyond = np.abs(signs @ gap) - abs(gap.sum())
    unit = SINGLE * np.abs(gap).sum()
    near = np.abs(beyond) <= 8 * unit
    assert (near & (np.abs(beyond) > 1e-12)).mean() < 1e-3, (
        "other sums are as large but for rounding"
    )
    return (near | (beyond > 0)).mean()


# p follows a model of the series that is fitted to few rows, and shares have ties of draws.
LOOSE = frozenset({"p", "q", "p_best", "q_best", "preferred_share"})


def assert_same_scores(found, expected, atol=1e-5):
    """Hold two data sets of an encoding together: they may round differently, nothing else.

    The best of two layers that are all but equal may be another one.
    """
    assert set(found) == set(expected)
    for name, values in expected.drop_vars("preferred_layer").items():
        tolerance = 0.01 if name in LOOSE else atol
        np.testing.assert_allclose(found[name], values, atol=tolerance, err_msg=name)
