import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.probes.split import Split, given_split, split_units
from braindash.errors import InputError


def sides(split: Split):
    return split.train, split.valid, split.test


def shared(codes, split: Split) -> int:
    """How many groups are on more than one side."""
    found = [set(np.asarray(codes)[rows].tolist()) for rows in sides(split)]
    return len((found[0] & found[1]) | (found[0] & found[2]) | (found[1] & found[2]))


@st.composite
def corpora(draw):
    """Units of recordings, each of one speaker, seldom of two."""
    n_recordings = draw(st.integers(3, 25))
    n_speakers = draw(st.integers(1, n_recordings))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    size = rng.integers(1, 12, n_recordings)
    recordings = np.repeat(np.arange(n_recordings), size)
    speakers = rng.integers(n_speakers, size=n_recordings)[recordings]
    if draw(st.booleans()):
        speakers[rng.integers(len(speakers))] = rng.integers(n_speakers)
    return recordings, speakers, rng


@given(corpora(), st.integers(0, 5))
def test_no_recording_and_hardly_a_speaker_is_on_two_sides(corpus, seed):
    recordings, speakers, _ = corpus
    split = split_units(recordings, speakers=speakers, seed=seed)
    every = np.concatenate(sides(split))
    np.testing.assert_array_equal(np.sort(every), np.arange(len(recordings)))
    assert shared(recordings, split) == 0
    assert all(len(rows) and (np.diff(rows) > 0).all() for rows in sides(split))
    learning = set(speakers[np.concatenate(sides(split)[:2])].tolist())
    tested = set(speakers[split.test].tolist())
    by_speaker = split.description.startswith(("by speaker", "test by speaker"))
    assert by_speaker <= (not learning & tested)
    assert split.description.startswith("by speaker and") <= (shared(speakers, split) == 0)
    n_shared = shared(speakers, split)
    n_speakers = len(set(speakers.tolist()))
    said = any("speakers are on more than one side" in text for text in split.warnings)
    assert said == (n_shared > 0 and n_speakers > 1)


def test_three_speakers_or_more_are_kept_apart():
    speakers = np.repeat(np.arange(6), 50)
    recordings = np.arange(300) // 10
    split = split_units(recordings, speakers=speakers)
    assert shared(speakers, split) == 0 and not split.warnings
    assert split.description == (
        "by speaker and recording, seed 0: 20 / 5 / 5 recordings, 4 / 1 / 1 speakers, "
        "200 / 50 / 50 units in train / validation / test"
    )


def test_fallbacks_are_said():
    recordings = np.arange(90) // 10
    one = split_units(recordings, speakers=["a"] * 90)
    assert one.description.startswith("by recording (one speaker), seed 0") and not one.warnings
    linked = split_units(recordings, speakers=np.arange(90) % 4)
    assert linked.description.startswith("by recording (recordings link all speakers)")
    assert linked.warnings == ("4 of 4 speakers are on more than one side",)
    unknown = split_units(recordings)
    assert unknown.description.startswith("by recording, seed 0") and not unknown.warnings
    two = split_units(recordings, speakers=recordings > 6)
    assert "test by speaker and recording, validation by recording (one speaker)" in two.description
    assert not set(two.test) & set(np.concatenate([two.train, two.valid]))
    assert two.warnings[0] == "1 of 2 speakers are on more than one side"


def test_the_test_speaker_is_one_whose_absence_leaves_two_recordings():
    for seed in range(10):  # speaker a has one long recording, b three short ones
        recordings = np.repeat([0, 1, 2, 3], [60, 10, 10, 10])
        split = split_units(recordings, speakers=recordings > 0, seed=seed)
        np.testing.assert_array_equal(split.test, np.arange(60))


def test_splits_follow_the_seed_and_nothing_else():
    recordings = np.repeat(np.arange(40), 5)
    names = np.array([f"story {number:02}" for number in recordings])
    first = split_units(recordings, seed=3)
    for other in (split_units(recordings, seed=3), split_units(names, seed=3)):
        for a, b in zip(sides(first), sides(other), strict=True):
            np.testing.assert_array_equal(a, b)
    assert any((split_units(recordings, seed=s).test != first.test).any() for s in range(4, 7))


def test_strata_are_spread_and_shares_are_kept():
    rng = np.random.default_rng(0)
    recordings = np.repeat(np.arange(60), 20)
    # Every recording is about one of six things, mostly.
    topic = rng.permutation(60) % 6
    labels = np.where(rng.random(1200) < 0.8, topic[recordings], rng.integers(6, size=1200))
    split = split_units(recordings, strata=labels, shares=(0.5, 0.25, 0.25), seed=2)
    assert [len(rows) for rows in sides(split)] == [600, 300, 300]
    blind = split_units(recordings, shares=(0.5, 0.25, 0.25), seed=2)

    def spread(chosen: Split) -> float:
        tables = [np.bincount(labels[rows], minlength=6) / len(rows) for rows in sides(chosen)]
        return float(np.std(tables, axis=0).max())

    assert spread(split) < 0.035 < spread(blind)


def test_a_part_that_came_out_small_is_warned_of():
    recordings = np.repeat([0, 1, 2], [1000, 10, 10])
    warnings = split_units(recordings).warnings
    assert len(warnings) == 2 and "1.0% of the units, 20% were asked for" in warnings[0]


def test_units_that_cannot_be_split_are_refused():
    with pytest.raises(InputError, match="none for the test part"):
        split_units([0, 0, 1, 1])
    with pytest.raises(InputError, match="speakers has shape"):
        split_units(np.arange(9), speakers=np.arange(8))
    with pytest.raises(InputError, match="type float64"):
        split_units(np.arange(9.0))
    with pytest.raises(InputError, match="no unit to split"):
        split_units([])
    for shares in ((0.5, 0.5), (0.9, 0.2, 0.1), (1.0, 0.0, 0.0)):
        with pytest.raises(InputError, match="shares"):
            split_units(np.arange(9), shares=shares)


def test_a_given_split_is_taken_and_checked():
    recordings = np.arange(12) // 2
    parts = np.array(["train", "valid", "train", "", "test", "test"])[recordings]
    split = given_split(parts, recordings, speakers=[0] * 4 + [1] * 8)
    np.testing.assert_array_equal(split.test, [8, 9, 10, 11])
    assert split.description.startswith("as given: 2 / 1 / 2 recordings")
    assert split.description.endswith("2 units in none")
    assert split.warnings == ("2 of 2 speakers are on more than one side",)
    with pytest.raises(InputError, match="1 recordings on two sides"):
        given_split(parts, np.minimum(recordings, 4) % 4)
    with pytest.raises(InputError, match="2 types on two sides"):
        given_split(parts, recordings, types=np.arange(12) % 2)
    with pytest.raises(InputError, match="Did you mean 'valid'"):
        given_split(np.where(parts == "valid", "validation", parts), recordings)
    with pytest.raises(InputError, match="no unit is left for the test part"):
        given_split(np.where(parts == "test", "", parts), recordings)
    with pytest.raises(InputError, match="parts has shape"):
        given_split(parts[:-1], recordings)


def test_a_given_split_without_validation_gets_one_from_its_training_part():
    recordings = np.arange(60) // 3
    parts = np.where(recordings < 16, "train", "test")
    split = given_split(parts, recordings, speakers=recordings // 2)
    np.testing.assert_array_equal(split.test, np.flatnonzero(parts == "test"))
    assert len(split.valid) == 12 and shared(recordings // 2, split) == 0
    assert "validation by speaker and recording from its training part" in split.description
    with pytest.raises(InputError, match="no validation part"):
        given_split(parts, recordings, types=recordings)
    with pytest.raises(InputError, match="1 recordings are left"):
        given_split(["train", "test"], [0, 1])
