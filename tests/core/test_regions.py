import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.scores import COLUMNS, region_means
from braindash.errors import InputError


def test_against_a_plain_loop():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 50))
    values[rng.random(values.shape) < 0.2] = np.nan
    masks = {"a": rng.random(50) < 0.3, "b": rng.random(50) < 0.6}
    valid = rng.random(50) < 0.7
    table = region_means(values, masks, valid)
    assert tuple(table.columns) == COLUMNS
    assert table[["layer", "region"]].values.tolist() == [
        [layer, region] for layer in range(4) for region in ("a", "b")
    ]
    for row in table.itertuples():
        kept = [
            values[row.layer, target]
            for target in range(50)
            if masks[row.region][target] and valid[target]
            if not np.isnan(values[row.layer, target])
        ]
        assert row.n_targets == masks[row.region].sum()
        assert row.n_valid == len(kept)
        assert row.coverage == pytest.approx(len(kept) / row.n_targets)
        assert row.value == pytest.approx(sum(kept) / len(kept))


def test_regions_without_valid_targets_are_nan_not_zero():
    values = np.array([[np.nan, 1.0, np.inf]])
    masks = {
        "missing": np.array([True, False, True]),
        "empty": np.zeros(3, dtype=bool),
        "fine": np.array([False, True, False]),
    }
    table = region_means(values, masks).set_index("region")
    assert np.isnan(table.value["missing"]) and table.coverage["missing"] == 0
    assert np.isnan(table.value["empty"]) and np.isnan(table.coverage["empty"])
    assert table.value["fine"] == 1 and table.coverage["fine"] == 1


def test_one_layer_may_be_a_vector_and_inputs_stay():
    values = np.array([1.0, 2.0, np.nan], dtype=np.float32)
    table = region_means(values, {"all": np.ones(3, dtype=bool)})
    assert table.value.tolist() == [1.5]
    assert np.isnan(values[2])


def test_no_regions_give_an_empty_table():
    table = region_means(np.zeros((2, 3)), {})
    assert len(table) == 0 and tuple(table.columns) == COLUMNS


def test_wrong_mask_length_names_the_region():
    with pytest.raises(InputError, match="'short'"):
        region_means(np.zeros((1, 4)), {"short": np.ones(3, dtype=bool)})
    with pytest.raises(InputError, match="valid"):
        region_means(np.zeros((1, 4)), {}, valid=np.ones(5))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(0, 2**20 - 1))
def test_splitting_a_region_keeps_its_total(values, bits):
    part = np.array([(bits >> i) & 1 for i in range(len(values))], dtype=bool)
    masks = {"all": np.ones(len(values), dtype=bool), "in": part, "out": ~part}
    table = region_means(np.array(values), masks).set_index("region")
    totals = (table.value * table.n_valid).fillna(0.0)
    assert totals["in"] + totals["out"] == pytest.approx(totals["all"], abs=1e-9)
