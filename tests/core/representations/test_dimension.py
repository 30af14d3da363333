"""Dimension of rows against a k-d tree and eigenvalues, and of clouds whose dimension is known."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from braindash.core.representations.dimension import dimension
from braindash.errors import InputError


def by_tree(rows: np.ndarray) -> float:
    found, _ = cKDTree(rows).query(rows, k=3)
    return (len(rows) - 1) / np.log(found[:, 2] / found[:, 1]).sum()


def test_it_is_the_estimate_of_a_tree_and_of_eigenvalues():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 5)) @ rng.normal(size=(5, 30))
    found = dimension(rows, apart=1)
    assert found.two_nn == pytest.approx(by_tree(rows), rel=1e-6)
    values = np.linalg.eigvalsh(np.cov(rows.T))
    assert found.participation == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-6)


@pytest.mark.parametrize("true", [1, 2, 4])
def test_a_cube_in_a_wide_space_has_its_dimension(true):
    rng = np.random.default_rng(true)
    cube = rng.uniform(size=(1200, true)) @ np.linalg.qr(rng.normal(size=(20, 20)))[0][:true]
    found = dimension(cube, apart=1)
    assert found.two_nn == pytest.approx(true, rel=0.12)
    assert found.participation == pytest.approx(true, rel=0.05)


def by_hand(rows: np.ndarray, stories: np.ndarray, apart: int) -> float:
    """Row by row: the nearest one apart in time, and the nearest one apart from that too."""
    logs = []
    for at, row in enumerate(rows):
        order = np.argsort(np.linalg.norm(rows - row, axis=1))
        far = [one for one in order if stories[one] != stories[at] or abs(one - at) >= apart]
        near = far[0]
        other = [one for one in far if stories[one] != stories[near] or abs(one - near) >= apart]
        two = np.linalg.norm(rows[[near, other[0]]] - row, axis=1)
        logs.append(np.log(two[1] / two[0]))
    return (len(logs) - 1) / np.sum(logs)


def test_rows_that_follow_each_other_are_no_neighbours():
    """A slow path through a space of four dimensions; of its own rows it would have twenty."""
    rng = np.random.default_rng(3)
    steps, kernel = rng.normal(size=(4000, 4)), np.hanning(61)
    path = np.stack([np.convolve(one, kernel, "valid") for one in steps.T], axis=1)[:1500]
    assert dimension(path, apart=1).two_nn > 12
    assert 2.2 < dimension(path, apart=20).two_nn < 4.5
    stories = np.repeat([0, 1], 150)
    found = dimension(path[:300], stories, apart=20).two_nn
    assert found == pytest.approx(by_hand(path[:300], stories, 20), rel=1e-6)


def test_neighbours_in_time_count_within_a_story_only():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(6, 3))
    alone = dimension(rows, apart=10)
    assert np.isnan(alone.two_nn), "all rows are too near in time"
    two = dimension(rows, np.arange(6), apart=10)  # each its own story
    assert two.two_nn == pytest.approx(by_tree(rows), rel=1e-6)
    with pytest.raises(InputError, match="shape"):
        dimension(np.zeros((2, 3)))
