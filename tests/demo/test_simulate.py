"""The generator of simulated subjects, on a ring of targets."""

import numpy as np
import pytest
from scipy import sparse

from braindash.demo.simulate import (
    MIXTURES,
    SIGNAL_STRENGTH,
    Cortex,
    Smoother,
    disc_proximity,
    draw_subject,
    family_shares,
    simulate_runs,
)
from braindash.demo.stimulus import FAMILIES, N_COMPONENTS

N_TARGETS = 240
N_ROWS = 90


def ring(n):
    index = np.arange(n)
    rows = np.concatenate([index, index])
    columns = np.concatenate([(index + 1) % n, (index - 1) % n])
    return sparse.csr_array((np.ones(2 * n, bool), (rows, columns)), shape=(n, n))


@pytest.fixture(scope="module")
def cortex():
    angle = 2 * np.pi * np.arange(N_TARGETS) / N_TARGETS
    points = 50 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    centres = dict(zip(MIXTURES, range(10, 120, 20), strict=False))
    side = slice(0, N_TARGETS // 2)
    proximity = {name: disc_proximity(points, c, 8.0, side) for name, c in centres.items()}
    missing = np.zeros(N_TARGETS, bool)
    missing[-7:] = True
    return Cortex(ring(N_TARGETS), proximity, missing)


@pytest.fixture(scope="module")
def components():
    rng = np.random.default_rng(8)
    return [
        {family: rng.normal(size=(N_ROWS, n)) for family, n in N_COMPONENTS.items()}
        for _ in range(4)
    ]


@pytest.fixture(scope="module")
def subject(cortex, components):
    return draw_subject(1, components, cortex, Smoother(cortex.neighbours), seed=5)


def runs(cortex, subject, story, *, number=0, n_repeats=1, seed=5):
    smoother = Smoother(cortex.neighbours)
    given = {"n_repeats": n_repeats, "tr": 2.0, "seed": seed}
    return np.stack(list(simulate_runs(subject, number, story, cortex, smoother, **given)))


def test_smoothing_is_the_mean_over_neighbours_as_a_plain_loop_does():
    values = np.random.default_rng(0).normal(size=(2, 9)).astype(np.float32)
    expected = values.astype(np.float64)
    for _ in range(3):
        expected = (np.roll(expected, 1, 1) + expected + np.roll(expected, -1, 1)) / 3
    np.testing.assert_allclose(Smoother(ring(9))(values, 3), expected, atol=1e-6)


def test_proximity_is_one_at_the_centre_and_zero_on_the_other_side():
    points = np.array([[0.0, 0, 0], [3.0, 4.0, 0], [0, 0, 0]])
    proximity = disc_proximity(points, 0, 5.0, slice(0, 2))
    np.testing.assert_allclose(proximity, [1.0, np.exp(-0.5), 0.0])


def test_the_middle_of_a_region_follows_its_own_families(cortex):
    shares = family_shares(cortex)
    for name, mixture in MIXTURES.items():
        middle = int(cortex.proximity[name].argmax())
        for family in FAMILIES:
            assert shares[family][middle] == pytest.approx(mixture[family], abs=0.05)


def test_signal_strength_is_set_by_the_training_stories(cortex, components, subject):
    joined = np.concatenate(
        [np.concatenate([story[f] for f in FAMILIES], axis=1) for story in components]
    )
    deviation = (joined @ subject.tuning).std(axis=0)
    middle = [int(disc.argmax()) for disc in cortex.proximity.values()]
    assert np.all(np.abs(deviation[middle] / SIGNAL_STRENGTH - 1) < 0.25)
    assert deviation[N_TARGETS // 2 :].max() < 1e-6  # no region lies in the other hemisphere


def test_weights_are_smooth_over_the_cortex(subject):
    inside = subject.tuning[:, 10:110]
    neighbours = [np.corrcoef(row[:-1], row[1:])[0, 1] for row in inside]
    assert np.median(neighbours) > 0.7


def test_runs_are_zscored_and_missing_targets_are_nan(cortex, subject, components):
    run = runs(cortex, subject, components[0])[0]
    assert run.shape == (N_ROWS, N_TARGETS)
    assert run.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(run), np.broadcast_to(cortex.missing, run.shape))
    np.testing.assert_allclose(run[:, :-7].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(run[:, :-7].std(axis=0), 1, atol=1e-4)
    trend = np.polynomial.legendre.legvander(np.linspace(-1, 1, N_ROWS), 2)[:, 1:]
    assert np.abs(trend.T @ run[:, :-7]).max() < 1e-2


def test_repeats_share_the_signal_and_not_the_noise(cortex, subject, components):
    first, second = runs(cortex, subject, components[0], n_repeats=2)
    r = np.mean(first * second, axis=0)
    middle = [int(disc.argmax()) for disc in cortex.proximity.values()]
    power = SIGNAL_STRENGTH**2
    assert np.nanmean(r[middle]) == pytest.approx(power / (1 + power), abs=0.15)
    assert abs(np.nanmean(r[130:230])) < 0.08


def test_a_run_predicts_another_story_only_through_the_tuning(cortex, subject, components):
    """The true weights explain a run in a region, and nothing far from every region."""
    run = runs(cortex, subject, components[2], number=2)[0]
    joined = np.concatenate([components[2][f] for f in FAMILIES], axis=1)
    signal = joined @ subject.tuning
    r = np.array(
        [np.corrcoef(a, b)[0, 1] for a, b in zip(signal.T[:120], run.T[:120], strict=True)]
    )
    middle = [int(disc.argmax()) for disc in cortex.proximity.values()]
    assert r[middle].min() > 0.4


def test_the_noise_is_autocorrelated_and_smooth(cortex, subject, components):
    run = runs(cortex, subject, components[0])[0][:, 130:230]
    assert 0.1 < np.mean(run[1:] * run[:-1]) < 0.6
    assert np.mean(run[:, 1:] * run[:, :-1]) > 0.2


def test_the_same_seed_gives_the_same_bits(cortex, subject, components):
    smoother = Smoother(cortex.neighbours)
    again = draw_subject(1, components, cortex, smoother, seed=5)
    np.testing.assert_array_equal(subject.tuning, again.tuning)
    first, second = (runs(cortex, subject, components[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("change", [{"number": 1}, {"seed": 6}])
def test_another_story_or_seed_gives_other_noise(cortex, subject, components, change):
    first = runs(cortex, subject, components[0])[0][:, 130:230]
    second = runs(cortex, subject, components[0], **change)[0][:, 130:230]
    assert abs(np.mean(first * second)) < 0.1


def test_subjects_differ_in_their_weights(cortex, components, subject):
    other = draw_subject(2, components, cortex, Smoother(cortex.neighbours), seed=5)
    inside = slice(10, 110)
    r = np.corrcoef(subject.tuning[:, inside].ravel(), other.tuning[:, inside].ravel())[0, 1]
    assert abs(r) < 0.2
