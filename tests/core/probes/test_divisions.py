"""The mean of a task over several divisions."""

from dataclasses import replace

import numpy as np
import pytest
from kit.data.spoken_units import spoken_units
from kit.models.probe_runs import probe_layers

from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.result import mean_of_divisions
from braindash.core.statistics.bootstrap import interval_of_units


@pytest.fixture(scope="module")
def divisions():
    """A third of the test units of 12 speakers each, with the same draws."""
    units = spoken_units(0, n_units=900, n_speakers=30, n_recordings=60)
    task = ProbeTask("phone", np.array([f"p{code}" for code in units.phone]))
    layers = [units.features, units.features[:, ::2]]
    found = []
    for number in range(3):
        test = units.split.test[number::3]
        split = replace(units.split, test=test, of_test=units.split.test)
        options = {"n_shuffles": 4, "n_samples": 400, "seed": number, "draw_seed": 7}
        found += probe_layers(layers, [task], split, **options)
    return found


def test_scores_and_chance_are_means(divisions):
    mean = mean_of_divisions(divisions)
    for name in ("score", "chance_shuffled", "selectivity"):
        expected = sum(getattr(one, name) for one in divisions) / 3
        np.testing.assert_allclose(getattr(mean, name), expected)
    np.testing.assert_allclose(mean.selectivity, mean.score - mean.chance_shuffled)
    assert mean.n_test == sum(one.n_test for one in divisions)
    assert [one.n_pieces for one in divisions] == [mean.n_pieces] * 3
    assert mean.detail.sum() == 2 * mean.n_test


def test_the_mean_of_divisions_is_as_sure_as_its_speakers_are_many(divisions):
    """The same speakers are in all divisions: their draws are shared, not independent."""
    mean = mean_of_divisions(divisions)
    expected = np.mean([one.samples for one in divisions], axis=0)
    np.testing.assert_allclose(mean.samples, expected, rtol=1e-5)
    low, high = interval_of_units(mean.score, mean.samples, mean.n_pieces)
    np.testing.assert_allclose([mean.low, mean.high], [low, high], atol=1e-6)
    assert mean.level == "speaker" and mean.bootstrap == f"{mean.n_pieces} test speakers"
    assert (mean.low < mean.score).all() and (mean.score < mean.high).all()


def test_classes_that_a_division_lacks_keep_their_counts(divisions):
    first = divisions[0]
    fewer = replace(
        divisions[1], classes=divisions[1].classes[1:], detail=divisions[1].detail[:, 1:, 1:]
    )
    mean = mean_of_divisions([first, fewer])
    np.testing.assert_array_equal(mean.detail[:, 0], first.detail[:, 0])
    np.testing.assert_array_equal(mean.detail[:, 1:, 1:], first.detail[:, 1:, 1:] + fewer.detail)


def test_one_division_is_itself_and_two_speakers_have_no_interval(divisions):
    assert mean_of_divisions(divisions[:1]) is divisions[0]
    mean = mean_of_divisions([replace(one, n_pieces=2) for one in divisions])
    assert np.isnan(mean.low).all() and np.isnan(mean.high).all()
