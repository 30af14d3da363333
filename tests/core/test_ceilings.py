import numpy as np
import pytest
from scipy.stats import pearsonr, zscore

from braindash.core import ceilings
from braindash.core.ceilings import inter_subject_ceiling, repeats_ceiling, split_half_ceiling
from braindash.core.scores import pearson_r
from braindash.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def group(rng, n_subjects, noise_power, n_rows=400, n_targets=100):
    """Signal of variance 1 that all share and noise of each, at every subject's own scale."""
    signal = rng.standard_normal((1, n_rows, n_targets))
    noise = rng.standard_normal((n_subjects, n_rows, n_targets)) * noise_power**0.5
    scale = np.linspace(0.1, 30, n_subjects)[:, None, None]
    return signal[0], 50 + scale * (signal + noise)


@pytest.mark.parametrize("n_repeats", [2, 5, 10])
@pytest.mark.parametrize("noise_ratio", [0.25, 1.0, 4.0])
def test_ceiling_reaches_its_analytic_value(rng, n_repeats, noise_ratio):
    signal = rng.standard_normal((1, 400, 100))
    noise = rng.standard_normal((n_repeats, 400, 100)) * noise_ratio**0.5
    ceiling = repeats_ceiling(50 + 3 * (signal + noise))
    analytic = 1 / np.sqrt(1 + noise_ratio / n_repeats)
    assert ceiling.mean() == pytest.approx(analytic, abs=0.01)
    reached = pearson_r((signal + noise).mean(axis=0), signal[0])
    assert ceiling.mean() == pytest.approx(reached.mean(), abs=0.01)


def test_ceiling_edges(rng):
    repeats = rng.standard_normal((4, 50, 6))
    repeats[:, :, 0] = repeats[0, :, 0]  # no noise at all
    repeats[:, :, 1] = repeats[0, :, 1] * np.array([1, -1, 1, -1])[:, None]  # no signal
    repeats[:, :, 2] = 3.0
    repeats[1, 4, 3] = np.nan
    repeats[:, :, 5] = 0.7 * np.arange(4)[:, None]  # dead, at another level in every repeat
    ceiling = repeats_ceiling(repeats)
    assert ceiling[0] == pytest.approx(1.0)
    assert ceiling[1] == 0.0
    assert np.isnan(ceiling[[2, 3, 5]]).all()
    assert 0 <= ceiling[4] < 1


def test_ceiling_needs_two_repeats(rng):
    for shape in ((1, 5, 2), (5, 2), (2, 0, 2)):
        with pytest.raises(InputError, match=r"at least two repeats|n_repeats"):
            repeats_ceiling(rng.random(shape))


@pytest.mark.parametrize("n_others", [1, 4, 9])
@pytest.mark.parametrize("noise_power", [0.25, 1.0, 4.0])
def test_inter_subject_ceiling_reaches_its_analytic_value(rng, n_others, noise_power):
    _, subjects = group(rng, n_others + 1, noise_power, n_targets=200)
    ceiling = inter_subject_ceiling(subjects[0], subjects[1:])
    analytic = 1 / np.sqrt((1 + noise_power) * (1 + noise_power / n_others))
    assert ceiling.mean() == pytest.approx(analytic, abs=0.01)


def test_inter_subject_ceiling_equals_a_loop_over_several_column_blocks(rng):
    subjects = (rng.standard_normal((4, 25, 4100)) * 5 + 100).astype(np.float32)
    subjects += rng.standard_normal((1, 25, 4100)).astype(np.float32) * 3
    ceiling = inter_subject_ceiling(subjects[0], subjects[1:])
    for target in (0, 4095, 4096, 4099):
        others = zscore(subjects[1:, :, target].astype(float), axis=1).mean(axis=0)
        expected = pearsonr(subjects[0, :, target].astype(float), others)[0]
        assert ceiling[target] == pytest.approx(expected, abs=1e-7)


def test_inter_subject_ceiling_leaves_out_others_without_data(rng):
    _, subjects = group(rng, 4, 1.0, n_targets=5)
    full = inter_subject_ceiling(subjects[0], subjects[[1, 3]])
    subjects[2, :, 0], subjects[2, 3, 1] = 7.0, np.nan  # one other: dead, incomplete
    subjects[1:, :, 2] = 1.0  # all others dead
    subjects[0, :, 3], subjects[0, 2, 4] = 0.1, np.nan  # the subject: dead, incomplete
    ceiling = inter_subject_ceiling(subjects[0], subjects[1:])
    np.testing.assert_allclose(ceiling[:2], full[:2])
    assert np.isnan(ceiling[2:]).all()


def test_inter_subject_ceiling_refuses_other_shapes(rng):
    for subject, others in (
        ((5, 2), (5, 2)),
        ((5, 2), (3, 5, 4)),
        ((5, 2), (0, 5, 2)),
        ((5,), (5,)),
    ):
        with pytest.raises(InputError, match="shape"):
            inter_subject_ceiling(rng.random(subject), rng.random(others))


@pytest.mark.parametrize("n_subjects", [2, 5, 8])
@pytest.mark.parametrize("noise_power", [0.5, 1.0, 4.0])
def test_split_half_ceiling_reaches_its_analytic_value(rng, n_subjects, noise_power):
    signal, subjects = group(rng, n_subjects, noise_power, n_rows=1500)
    ceiling = split_half_ceiling(subjects, n_splits=60)
    analytic = 1 / np.sqrt(1 + noise_power / n_subjects)
    assert ceiling.mean() == pytest.approx(analytic, abs=0.01)
    reached = pearson_r(zscore(subjects, axis=1).mean(axis=0), signal)
    assert ceiling.mean() == pytest.approx(reached.mean(), abs=0.01)


@pytest.mark.parametrize("n_subjects", [4, 7])
def test_split_half_ceiling_equals_a_loop_over_splits(rng, n_subjects):
    _, subjects = group(rng, n_subjects, 2.0, n_rows=60, n_targets=3)
    z = zscore(subjects, axis=1)
    first, second = ceilings._random_halves(n_subjects, 20, 5)
    half = n_subjects // 2
    assert (first.sum(axis=1) == half).all() and (second.sum(axis=1) == half).all()
    assert not (first * second).any()
    r = np.array(
        [
            pearson_r(z[a.astype(bool)].mean(axis=0), z[b.astype(bool)].mean(axis=0))
            for a, b in zip(first, second, strict=True)
        ]
    ).mean(axis=0)
    factor = n_subjects / half
    expected = np.sqrt(factor * r / (1 + (factor - 1) * r))
    np.testing.assert_allclose(split_half_ceiling(subjects, n_splits=20, seed=5), expected)


def test_split_half_ceiling_edges(rng):
    subjects = rng.standard_normal((4, 60, 6))
    subjects[:, :, 0] = subjects[0, :, 0]  # no noise at all
    subjects[1:, :, 1] = -subjects[:1, :, 1] / 3  # one is the mirror of all others
    subjects[2, :, 2] = 3.0
    subjects[1, 4, 3] = np.nan
    subjects[:, :, 4] = subjects[0, :, 4] * np.array([1, -1, 1, -1])[:, None]  # halves may cancel
    ceiling = split_half_ceiling(subjects)
    assert ceiling[0] == pytest.approx(1.0)
    assert ceiling[1] == 0.0
    assert np.isnan(ceiling[[2, 3]]).all()
    assert ceiling[4] == 0.0
    assert 0 <= ceiling[5] < 1


def test_split_half_ceiling_needs_two_subjects_and_a_split(rng):
    for shape in ((1, 5, 2), (5, 2), (2, 0, 2)):
        with pytest.raises(InputError, match="two subjects"):
            split_half_ceiling(rng.random(shape))
    with pytest.raises(InputError, match="n_splits"):
        split_half_ceiling(rng.random((3, 5, 2)), n_splits=0)


def test_a_ceiling_is_told_for_another_number_of_presentations():
    share, of = 0.2, {n: 1 / np.sqrt(1 + (1 / 0.2 - 1) / n) for n in (1, 2, 5, 10)}
    assert of[1] ** 2 == pytest.approx(share)
    for before in of:
        for after in of:
            told = ceilings.ceiling_with_repeats([of[before], 0.0, np.nan, 1.0], before, after)
            np.testing.assert_allclose(told, [of[after], 0.0, np.nan, 1.0])


def test_what_chooses_is_the_ceiling_itself_or_another():
    top = np.array([0.05, 0.3, 0.5, np.nan, 0.9])
    other = np.array([0.9, 0.5, 0.3, 0.9, np.nan])
    of = ceilings.chosen_targets
    assert of("repeats", top).tolist() == [False, False, True, False, True]
    assert of("inter-subject", top).tolist() == [False, True, True, False, True]
    assert of("repeats", top, 0.6).tolist() == [False, False, False, False, True]
    assert of("repeats", top, None, other).tolist() == [False, True, False, False, False]
    both = ceilings.chosen_by_ceilings({"repeats": top, "inter-subject": top}, None, other)
    assert both["inter-subject"].tolist() == of("inter-subject", top).tolist()
