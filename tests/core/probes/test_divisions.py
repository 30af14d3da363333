"""The mean of a task over several divisions."""

from dataclasses import replace

import numpy as np
import pytest
from kit.probe_runs import probe_layers
from kit.spoken_units import spoken_units

from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.result import mean_of_divisions


@pytest.fixture(scope="module")
def divisions():
    """The same units on sides that were drawn from three seeds."""
    found = []
    for seed in range(3):
        units = spoken_units(seed, n_units=600)
        task = ProbeTask("phone", np.array([f"p{code}" for code in units.phone]))
        layers = [units.features, units.features[:, ::2]]
        options = {"n_shuffles": 4, "n_samples": 100, "seed": seed}
        found += probe_layers(layers, [task], units.split, **options)
    return found


def test_scores_and_chance_are_means(divisions):
    mean = mean_of_divisions(divisions)
    for name in ("score", "chance_shuffled", "selectivity"):
        expected = sum(getattr(one, name) for one in divisions) / 3
        np.testing.assert_allclose(getattr(mean, name), expected)
    np.testing.assert_allclose(mean.selectivity, mean.score - mean.chance_shuffled)
    assert mean.n_test == sum(one.n_test for one in divisions)
    assert mean.n_pieces == sum(one.n_pieces for one in divisions)
    assert mean.detail.sum() == 2 * mean.n_test


def test_the_mean_of_independent_divisions_is_surer_than_one(divisions):
    mean = mean_of_divisions(divisions)
    widths = [one.high - one.low for one in divisions]
    ratio = (mean.high - mean.low) / np.mean(widths, axis=0)
    assert (ratio > 0.4).all() and (ratio < 0.75).all()  # 1 / sqrt(3), drawn
    assert (mean.low < mean.score).all() and (mean.score < mean.high).all()


def test_classes_that_a_division_lacks_keep_their_counts(divisions):
    first = divisions[0]
    fewer = replace(
        divisions[1], classes=divisions[1].classes[1:], detail=divisions[1].detail[:, 1:, 1:]
    )
    mean = mean_of_divisions([first, fewer])
    np.testing.assert_array_equal(mean.detail[:, 0], first.detail[:, 0])
    np.testing.assert_array_equal(mean.detail[:, 1:, 1:], first.detail[:, 1:, 1:] + fewer.detail)


def test_one_division_is_itself_and_a_single_piece_has_no_interval(divisions):
    assert mean_of_divisions(divisions[:1]) is divisions[0]
    mean = mean_of_divisions([divisions[0], replace(divisions[1], n_pieces=1)])
    assert mean.n_pieces == 1 and np.isnan(mean.low).all() and np.isnan(mean.high).all()
