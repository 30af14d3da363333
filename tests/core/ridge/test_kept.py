"""Rows without a response: in no fit, no fold; their features stay for the delays of others."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from braindash.core.ridge.banded import BandedRidgeCV
from braindash.core.ridge.model import RidgeCV
from braindash.core.ridge.settings import CHUNK_ROWS, make_folds
from braindash.core.timing import delayed, stretches
from braindash.errors import InputError

LENGTHS = (40, 33, 47)
GROUPS = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
ALPHAS = (1.0, 30.0, 1000.0)
DELAYS = (1, 2, 3)


def make_data(seed=0, n_features=6, n_targets=9):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(len(GROUPS), n_features))
    X_test = rng.normal(size=(30, n_features))
    weights = rng.normal(size=(n_features * len(DELAYS), n_targets))
    Y = delayed(X, DELAYS, GROUPS) @ weights + 3 * rng.normal(size=(len(X), n_targets))
    return X, Y, X_test


def drop_rows(share, seed):
    """Runs of rows and single ones, never a whole story."""
    rng = np.random.default_rng(seed)
    kept = rng.random(len(GROUPS)) >= share
    kept[[5, 45, 80]] = True
    return kept


@pytest.mark.parametrize("metric", ["r2", "r"])
@pytest.mark.parametrize("method", ["dual", "primal"])
def test_a_fit_is_that_of_designs_with_these_rows_removed(method, metric):
    """Numbers of scikit-learn, from delayed features and responses without the rows."""
    X, Y, X_test = make_data()
    kept = drop_rows(0.2, 3)
    design, groups, left = delayed(X, DELAYS, GROUPS)[kept], GROUPS[kept], Y[kept]
    scores = np.zeros((len(ALPHAS), Y.shape[1]))
    for number, alpha in enumerate(ALPHAS):
        for story in range(len(LENGTHS)):
            out = groups == story
            fold = Ridge(alpha).fit(design[~out], left[~out]).predict(design[out])
            if metric == "r2":
                power = ((left[out] - left[out].mean(0)) ** 2).sum(0)
                scores[number] += 1 - ((left[out] - fold) ** 2).sum(0) / power
            else:
                scores[number] += [
                    np.corrcoef(*p)[0, 1] for p in zip(fold.T, left[out].T, strict=True)
                ]
    chosen = np.array(ALPHAS)[scores.argmax(0)]
    expected = np.stack(
        [
            Ridge(alpha).fit(design, left[:, at]).predict(delayed(X_test, DELAYS))
            for at, alpha in enumerate(chosen)
        ],
        axis=1,
    )
    plan = RidgeCV(X, GROUPS, alphas=ALPHAS, delays=DELAYS, metric=metric, method=method, kept=kept)
    found = plan.fit(left, X_test, return_prediction=True)
    np.testing.assert_array_equal(found.alpha, chosen)
    np.testing.assert_allclose(found.cv_score, scores / len(LENGTHS), atol=2e-5)
    np.testing.assert_allclose(found.prediction, expected, atol=2e-4)


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0, 0.6), seed=st.integers(0, 99))
def test_whatever_rows_are_left_out_the_fit_is_that_without_them(share, seed):
    X, Y, X_test = make_data(seed)
    kept = drop_rows(share, seed)
    ours = RidgeCV(X, GROUPS, alphas=ALPHAS, delays=DELAYS, kept=kept)
    plain = RidgeCV(delayed(X, DELAYS, GROUPS)[kept], GROUPS[kept], alphas=ALPHAS, delays=(0,))
    a = ours.fit(Y[kept], X_test, return_prediction=True)
    b = plain.fit(Y[kept], delayed(X_test, DELAYS), return_prediction=True)
    np.testing.assert_array_equal(a.alpha, b.alpha)
    np.testing.assert_allclose(a.prediction, b.prediction, atol=1e-4)


def test_all_rows_kept_is_no_other_fit():
    X, Y, X_test = make_data()
    every = np.ones(len(X), bool)
    a, b = (
        RidgeCV(X, GROUPS, alphas=ALPHAS, kept=kept).fit(Y, X_test, return_prediction=True)
        for kept in (None, every)
    )
    np.testing.assert_array_equal(a.prediction, b.prediction)
    np.testing.assert_array_equal(a.cv_score, b.cv_score)


def test_banded_ridge_leaves_the_same_rows_out():
    X, Y, X_test = make_data()
    kept = drop_rows(0.2, 1)
    bands, tests = ({"a": part[:, :3], "b": part[:, 3:]} for part in (X, X_test))
    shifted = [{n: delayed(p, DELAYS, g) for n, p in one.items()} for one, g in
               ((bands, GROUPS), (tests, None))]  # fmt: skip
    ours = BandedRidgeCV(bands, GROUPS, alphas=ALPHAS, delays=DELAYS, kept=kept)
    without = {name: part[kept] for name, part in shifted[0].items()}
    plain = BandedRidgeCV(without, GROUPS[kept], alphas=ALPHAS, delays=(0,))
    a, b = ours.fit(Y[kept], tests), plain.fit(Y[kept], shifted[1])
    np.testing.assert_array_equal(a.alpha, b.alpha)
    np.testing.assert_allclose(a.parts, b.parts, atol=1e-4)


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (np.ones(3, bool), r"kept has shape \(3,\)"),
        (np.zeros(len(GROUPS), bool), "keeps 0"),
        (np.ones(len(GROUPS)), "float64"),
    ],
)
def test_kept_must_mark_every_row(kept, says):
    with pytest.raises(InputError, match=says):
        RidgeCV(make_data()[0], GROUPS, kept=kept)


# ---- seams ---------------------------------------------------------------------------------------


def test_stretches_end_at_gaps_and_stories():
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    kept = np.array([1, 1, 0, 1, 1, 0, 1, 1], bool)
    assert stretches(groups, kept).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert stretches(groups, np.ones(8, bool)).tolist() == groups.tolist()
    assert stretches(None, kept).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert stretches(groups, np.array([0, 1, 1, 1, 1, 1, 1, 0], bool))[1:7].tolist() == [
        0, 0, 0, 0, 1, 1,
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_chunks_hold_every_row_once_and_cross_no_seam_between_long_stretches(data):
    lengths = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=3))
    edges = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    bounds = list(itertools.pairwise(edges))
    seams = sorted(data.draw(st.sets(st.integers(1, max(1, edges[-1] - 1)), max_size=6)) - {*edges})
    try:
        folds = make_folds(bounds, "chunk", seams)
    except InputError:
        assert edges[-1] < 2 * CHUNK_ROWS
        return
    assert [row for start, stop in folds for row in range(start, stop)] == list(range(edges[-1]))
    half, whole = CHUNK_ROWS // 2, {*edges}
    for seam in seams:
        story = next(b for b in bounds if b[0] < seam < b[1])
        near = [story[0], *(s for s in seams if story[0] < s < story[1]), story[1]]
        at = near.index(seam)
        if seam - near[at - 1] >= half and near[at + 1] - seam >= half:
            assert any(start == seam for start, _ in folds), (seam, folds)
    for start, stop in folds:
        assert stop - start >= min(half, *lengths) or {start, stop} & whole, (start, stop)


def test_a_chunk_does_not_reach_across_a_gap():
    """Of 65 rows with rows 30 to 34 gone, none of the chunks joins both sides."""
    kept = np.ones(65, bool)
    kept[30:35] = False
    plan = RidgeCV(np.random.default_rng(0).normal(size=(65, 3)), np.zeros(65, int), kept=kept)
    assert not any(start < 30 < stop for start, stop in plan.folds)
    assert 30 in {start for start, _ in plan.folds}
