import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.timing import delayed, story_bounds
from braindash.errors import InputError


def literal_delayed(X, delays, groups):
    n_rows, n_features = X.shape
    design = np.zeros((n_rows, n_features * len(delays)))
    for row in range(n_rows):
        for block, delay in enumerate(delays):
            source = row - delay
            if source >= 0 and groups[source] == groups[row]:
                design[row, block * n_features : (block + 1) * n_features] = X[source]
    return design


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
)
def test_delayed_equals_a_loop(lengths, delays, n_features):
    groups = np.repeat(np.arange(len(lengths))[::-1], lengths)
    X = np.random.default_rng(0).standard_normal((len(groups), n_features))
    before = X.copy()
    np.testing.assert_array_equal(delayed(X, delays, groups), literal_delayed(X, delays, groups))
    np.testing.assert_array_equal(X, before)


def test_delayed_equals_each_story_alone():
    X = np.random.default_rng(1).standard_normal((12, 2)).astype(np.float32)
    stacked = delayed(X, groups=[0] * 7 + [1] * 5)
    np.testing.assert_array_equal(stacked, np.concatenate([delayed(X[:7]), delayed(X[7:])]))
    assert stacked.dtype == np.float32
    assert stacked.shape == (12, 8)


def test_integers_become_float64():
    assert delayed(np.ones((3, 1), int), (1,)).tolist() == [[0.0], [1.0], [1.0]]


@pytest.mark.parametrize("delays", [(), (1, 1), (-1,), (1.5,), (np.nan,), ("one",), 3])
def test_impossible_delays_are_refused(delays):
    with pytest.raises(InputError, match="delays"):
        delayed(np.ones((5, 1)), delays)


def test_story_bounds_and_their_errors():
    assert story_bounds([3, 3, 1, 2, 2], 5) == [(0, 2), (2, 3), (3, 5)]
    assert story_bounds(None, 4) == [(0, 4)]
    with pytest.raises(InputError, match="not next to each other"):
        story_bounds([0, 0, 1, 0], 4)
    with pytest.raises(InputError, match="for 5 rows"):
        story_bounds([0, 0, 1], 5)


def test_features_need_two_dimensions():
    with pytest.raises(InputError, match="shape"):
        delayed(np.ones(5))
