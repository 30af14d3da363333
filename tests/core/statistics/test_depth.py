import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.depth import (
    COLUMNS,
    hierarchy_index,
    late_layer_drop,
    preferred_depth,
    score_weighted_depth,
    stage_difference,
    stage_summary,
)
from braindash.errors import InputError

NAN = np.nan


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_weighted_depth_equals_a_loop(rng):
    scores = rng.normal(0.1, 0.2, (3, 4, 7))
    depth = score_weighted_depth(scores)
    for index in np.ndindex(3, 4):
        weights = [max(0.0, score) for score in scores[index]]
        expected = sum(layer / 6 * w for layer, w in enumerate(weights)) / sum(weights)
        assert depth[index] == pytest.approx(expected)


def test_weighted_depth_of_simple_curves():
    curves = [[0, 0, 0.3], [0.2, -5, 0], [1, 1, 1], [0, 1, 1], [0, -1, 0], [1, NAN, 1]]
    np.testing.assert_allclose(score_weighted_depth(curves), [1, 0, 0.5, 0.75, NAN, NAN])
    assert score_weighted_depth([0.0, 1.0]).shape == ()


@given(arrays(float, 6, elements=st.floats(0.01, 1)), st.floats(0.1, 10))
def test_weighted_depth_ignores_scale_and_mirrors(curve, scale):
    depth = score_weighted_depth(curve)
    assert 0 <= depth <= 1
    assert score_weighted_depth(scale * curve) == pytest.approx(depth)
    assert score_weighted_depth(curve[::-1]) == pytest.approx(1 - depth)


def test_preferred_depth_and_late_layer_drop():
    curves = np.array([[0.1, 0.4, 0.3], [0.4, 0.4, 0.4], [-0.3, -0.2, -0.1], [1, NAN, 1]])
    np.testing.assert_allclose(preferred_depth(curves), [0.5, 0, 1, NAN])
    np.testing.assert_allclose(late_layer_drop(curves), [0.1, 0, 0, NAN])
    np.testing.assert_allclose(late_layer_drop(curves, best=0), [-0.2, 0, -0.2, NAN])
    many = np.stack([curves, curves + 1])
    np.testing.assert_allclose(
        late_layer_drop(many, best=[0, 1, 2, 0]), [[-0.2, 0, 0, NAN]] * 2, atol=1e-15
    )


def test_scores_need_two_layers():
    for function in (score_weighted_depth, preferred_depth, late_layer_drop):
        for scores in (0.5, [0.5], np.zeros((4, 1))):
            with pytest.raises(InputError, match="two layers"):
                function(scores)


@given(arrays(float, (2, 6), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8])))
def test_hierarchy_index_equals_scipy(depth):
    order = [0, 0, 1, 2, 3, 3]
    for row, found in zip(depth, hierarchy_index(depth, order), strict=True):
        if len(set(row)) == 1:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(spearmanr(order, row).statistic)


def test_hierarchy_index_leaves_out_tasks_without_a_depth():
    depth = [[0.1, NAN, 0.4, 0.3], [0.1, NAN, NAN, 0.4], [0.1, 0.2, 0.3, 0.9], [9, 7, 5, 1]]
    np.testing.assert_allclose(hierarchy_index(depth), [0.5, NAN, 1, -1])
    assert np.isnan(hierarchy_index([0.1, 0.2, 0.3], order=[1, 1, 1]))


def test_hierarchy_index_refuses_other_shapes():
    for depth, order in ((0.3, None), ([0.1, 0.2], [1, 2, 3])):
        with pytest.raises(InputError, match="shape"):
            hierarchy_index(depth, order)


def curves_with_samples(rng, n_layers=9):
    """Four curves with peaks ever later; the last one of all is nowhere positive."""
    layers = np.arange(n_layers) / (n_layers - 1)
    peaks = np.array([0.1, 0.4, 0.6, 0.9])[:, None]
    curve = np.concatenate([np.exp(-8 * (layers - peaks) ** 2), -np.ones((1, n_layers))])
    return curve, curve + 0.1 * rng.standard_normal((200, *curve.shape))


NAMES = ("sound", "phone", "word", "meaning", "nothing")


def test_summary_holds_every_quantity_with_its_interval(rng):
    curve, samples = curves_with_samples(rng)
    table = stage_summary(curve, samples, NAMES, hierarchy=NAMES[:4], level=0.9, n_units=20)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 * 5 + 1
    table = table.set_index(["quantity", "name"])
    expected = {
        "weighted_depth": score_weighted_depth,
        "preferred_depth": preferred_depth,
        "late_layer_drop": lambda x: late_layer_drop(x, best=curve[2].argmax()),
    }
    for quantity, function in expected.items():
        row = table.loc[quantity, "word"]
        ends = interval(function(samples[:, 2]), level=0.9, n_units=20)
        np.testing.assert_allclose(row.to_numpy(dtype=float), [function(curve[2]), *ends])
    row = table.loc["hierarchy_index", "all"]
    depth = score_weighted_depth(samples[:, :4])
    ends = interval(hierarchy_index(depth), level=0.9, n_units=20)
    np.testing.assert_allclose(row.to_numpy(dtype=float), [1, *ends])


def test_summary_has_no_depth_of_a_curve_without_a_positive_score(rng):
    curve, samples = curves_with_samples(rng)
    table = stage_summary(curve, samples, NAMES).set_index(["quantity", "name"])
    assert table.loc["weighted_depth", "nothing"].isna().all()
    assert "hierarchy_index" not in table.index.get_level_values(0)
    curve[3, 2] = NAN
    table = stage_summary(curve, samples, NAMES).set_index(["quantity", "name"])
    for quantity in ("weighted_depth", "preferred_depth", "late_layer_drop"):
        assert table.loc[quantity, "meaning"].isna().all()


def test_the_drop_of_a_flat_curve_may_be_nothing(rng):
    flat = 0.3 + 0.01 * rng.standard_normal((1, 12))
    samples = flat + 0.05 * rng.standard_normal((400, 1, 12))
    row = stage_summary(flat, samples, ["region"]).set_index("quantity").loc["late_layer_drop"]
    assert row["low"] < 0 < row["estimate"]
    assert (late_layer_drop(samples) >= 0).all()  # which, as an interval, would claim a drop


def test_a_single_curve_has_a_hierarchy_row_of_its_own(rng):
    curve, samples = curves_with_samples(rng)
    table = stage_summary(curve[:1], samples[:, :1], ["sound"], hierarchy=["sound"])
    row = table.iloc[-1]
    assert (row["quantity"], row["name"]) == ("hierarchy_index", "all")
    assert np.isnan(row["estimate"])


def test_difference_subtracts_sample_by_sample(rng):
    curve, samples = curves_with_samples(rng)
    other, other_samples = curves_with_samples(rng, n_layers=5)
    options = {"hierarchy": NAMES[:4], "n_units": 30}
    table = stage_difference(curve, samples, other, other_samples, NAMES, **options)
    one, two = (
        stage_summary(*pair, NAMES, **options)
        for pair in ((curve, samples), (other, other_samples))
    )
    assert list(table["quantity"] + table["name"]) == list(one["quantity"] + one["name"])
    np.testing.assert_allclose(table["estimate"], one["estimate"] - two["estimate"])
    gap = preferred_depth(samples[:, 1]) - preferred_depth(other_samples[:, 1])
    row = table.set_index(["quantity", "name"]).loc["preferred_depth", "phone"]
    np.testing.assert_allclose([row["low"], row["high"]], interval(gap, n_units=30))


def test_a_model_does_not_differ_from_itself(rng):
    curve, samples = curves_with_samples(rng)
    table = stage_difference(curve, samples, curve, samples, NAMES)
    known = table.dropna()
    assert len(known) == len(table) - 1
    assert (known[["estimate", "low", "high"]] == 0).all(axis=None)


def test_curves_that_do_not_belong_together_are_refused(rng):
    curve, samples = curves_with_samples(rng)
    for mean, drawn, names in (
        (curve[0], samples[:, 0], NAMES),
        (curve, samples[:, :2], NAMES),
        (curve, samples, NAMES[:3]),
    ):
        with pytest.raises(InputError, match="shape"):
            stage_summary(mean, drawn, names)
    with pytest.raises(InputError, match="samples"):
        stage_difference(curve, samples, curve, samples[:7], NAMES)
    with pytest.raises(InputError, match="Did you mean 'phone'"):
        stage_summary(curve, samples, NAMES, hierarchy=["sound", "phones"])
