"""Annotation spaces against sums over intervals, and the alphabets of phones."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.phones import ARPABET, ARTICULATION_OF, ARTICULATIONS, phones_of
from braindash.core.timing import lanczos_weights
from braindash.demo import __file__ as demo_file
from braindash.errors import InputError
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.speech.acoustic.annotated import (
    ANNOTATION_SPACES,
    articulation,
    diphones,
    phone_identity,
    phone_rate,
    triphones,
    triple_column,
    word_rate,
)

CAT = [
    Interval(0.0, 0.1, "sil"),
    Interval(0.1, 0.185, "K"),
    Interval(0.185, 0.3, "AE1"),
    Interval(0.3, 0.35, "T"),
    Interval(0.35, 0.5, ""),
]


def column(frames, name):
    return frames.values[:, frames.names.index(name)]


def test_phone_identity_is_the_share_of_each_step():
    frames = phone_identity(CAT, 0.5)
    assert frames.values.shape == (50, 39) and frames.names == ARPABET
    np.testing.assert_allclose(frames.times[:2], [0.005, 0.015])
    np.testing.assert_allclose(column(frames, "K")[8:20], [0, 0, *[1] * 8, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(column(frames, "AE")[17:20], [0, 0.5, 1], atol=1e-6)
    for label, duration in (("K", 0.085), ("AE", 0.115), ("T", 0.05)):
        assert column(frames, label).sum() * 0.01 == pytest.approx(duration, abs=1e-6)
    assert frames.values.sum() * 0.01 == pytest.approx(0.25, abs=1e-5)


def test_articulation_adds_up_the_phones_that_share_a_feature():
    frames = articulation(CAT, 0.5)
    assert frames.names == ARTICULATIONS
    identity = phone_identity(CAT, 0.5)
    for name in ARTICULATIONS:
        members = [phone for phone in ARPABET if name in ARTICULATION_OF[phone]]
        expected = sum(column(identity, phone) for phone in members)
        np.testing.assert_allclose(column(frames, name), expected, atol=1e-6)
    assert column(frames, "stop").sum() * 0.01 == pytest.approx(0.135, abs=1e-6)


def test_neighbours_are_the_pairs_and_triples_of_the_phones_that_follow_each_other():
    pairs = diphones(CAT, 0.5)
    assert pairs.values.shape == (50, 39 * 39) and pairs.names[1] == "AA-AE"
    there = np.flatnonzero(pairs.values.sum(axis=0))
    assert {pairs.names[place] for place in there} == {"K-AE", "AE-T"}, "none across a pause"
    identity = phone_identity(CAT, 0.5)
    for pair in ("K-AE", "AE-T"):
        own = pairs.values.toarray()[:, pairs.names.index(pair)]
        np.testing.assert_array_equal(own, column(identity, pair.split("-")[1]))
    triples = triphones(CAT, 0.5)
    assert np.flatnonzero(triples.values.sum(axis=0)) == [triple_column("K-AE-T")]
    np.testing.assert_array_equal(
        triples.values.toarray()[:, triple_column("K-AE-T")], column(identity, "AE")
    )


def test_neighbours_end_at_pauses_gaps_and_foreign_sounds():
    apart = [Interval(0.0, 0.1, "K"), Interval(0.13, 0.2, "AE"), Interval(0.21, 0.3, "T")]
    pairs = diphones(apart, 0.5)
    assert [pairs.names[place] for place in np.flatnonzero(pairs.values.sum(axis=0))] == ["AE-T"]
    foreign = [Interval(0.0, 0.1, "k"), Interval(0.1, 0.2, "ʀ"), Interval(0.2, 0.3, "æ")]
    assert diphones(foreign, 0.5).values.nnz == 0
    assert triphones([], 0.5).values.shape == (50, 4096)


def test_pairs_of_the_demo_are_those_that_a_count_gives():
    from pathlib import Path

    path = min(Path(demo_file).parent.glob("textgrids/*.TextGrid"))
    tier = read_textgrid(path)["phone"]
    spoken = [(one, phones_of(one.label)) for one in tier]
    counts: Counter[str] = Counter()
    for (before, first), (own, second) in pairwise(spoken):
        if first and second and own.start - before.end <= 0.02:
            counts[f"{first[-1]}-{second[0]}"] += own.end - own.start
    for own, phones in spoken:  # a label such as "ɑːɹ" is two phones
        for one, two in pairwise(phones):
            counts[f"{one}-{two}"] += own.end - own.start
    found = diphones(tier, tier[-1].end)
    sums = np.asarray(found.values.sum(axis=0)).ravel() * 0.01
    for name, total in zip(found.names, sums, strict=True):
        assert total == pytest.approx(counts[name], abs=1e-3), name
    times = np.arange(6.0, tier[-1].end - 6, 2.0)
    weights = lanczos_weights(found.times, times, 2.0)
    rows = found.at(times, 2.0)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[0], weights.toarray() @ found.values.toarray(), atol=1e-5)


def test_rates_count_what_begins():
    phones = phone_rate(CAT, 0.5)
    assert (np.flatnonzero(phones.values[:, 0]) == [10, 18, 30]).all()
    assert phones.values.sum() * 0.01 == pytest.approx(3)
    words = [Interval(0.0, 0.29, "the"), Interval(0.29, 0.4, "cat"), Interval(0.4, 0.5, "<sil>")]
    words += [Interval(0.5, 0.6, ""), Interval(0.6, 0.6, "sat"), Interval(0.7, 0.8, "{BR}")]
    rate = word_rate(words, 1.0)
    assert (np.flatnonzero(rate.values[:, 0]) == [0, 29, 60]).all()
    assert rate.values.sum() * 0.01 == pytest.approx(3)


@given(
    ends=st.lists(st.floats(0.001, 0.4), min_size=1, max_size=12),
    labels=st.lists(st.sampled_from(["AH0", "S", "sil"]), min_size=12, max_size=12),
)
def test_time_is_conserved_whatever_the_intervals(ends, labels):
    edges = np.concatenate([[0.0], np.cumsum(ends)])
    tier = [
        Interval(a, b, label)
        for a, b, label in zip(edges[:-1], edges[1:], labels, strict=False)
    ]  # fmt: skip
    frames = phone_identity(tier, float(edges[-1]))
    spoken = Counter()
    for interval in tier:
        spoken[interval.label] += interval.end - interval.start
    assert column(frames, "S").sum() * 0.01 == pytest.approx(spoken["S"], abs=1e-4)
    assert column(frames, "AH").sum() * 0.01 == pytest.approx(spoken["AH0"], abs=1e-4)
    assert frames.values.sum(axis=1).max() <= 1 + 1e-5


def test_annotations_are_brought_to_response_times_like_features():
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(0, 60, 200))
    words = [Interval(start, start + 0.1, "word") for start in starts]
    times = np.arange(4.0, 60.0, 2.0)
    found = word_rate(words, 60.0).at(times, 2.0)
    assert found.shape == (1, len(times), 1) and found.dtype == np.float32
    assert found.mean() == pytest.approx(200 / 60, rel=0.1)
    counts = np.histogram(starts, np.arange(0, 60.005, 0.01))[0] / 0.01
    weights = lanczos_weights(np.arange(0.005, 60, 0.01), times, 2.0)
    np.testing.assert_allclose(found[0, :, 0], weights @ counts, rtol=1e-4)


def test_every_phone_is_made_somehow_and_no_two_consonants_alike():
    assert set(ARTICULATION_OF) == set(ARPABET) and len(ARPABET) == 39
    assert frozenset().union(*ARTICULATION_OF.values()) == set(ARTICULATIONS)
    consonants = [phone for phone in ARPABET if "vowel" not in ARTICULATION_OF[phone]]
    assert len({ARTICULATION_OF[phone] for phone in consonants}) == len(consonants) == 24
    for phone, made in ARTICULATION_OF.items():
        assert ("vowel" in made) <= ("voiced" in made), phone


@pytest.mark.parametrize(
    ("label", "phones"),
    [
        ("AH0", ("AH",)),
        ("ZH", ("ZH",)),
        ("iy", ("IY",)),
        ("ax-h", ("AH",)),
        ("tcl", ("T",)),
        ("h#", ()),
        ("spn", ()),
        ("{SL}", ()),
        ("<noise>", ()),
        ("ɔːɹ", ("AO", "R")),
        ("t͡ʃ", ("CH",)),
        ("ɡ", ("G",)),
        ("pʰ", ("P",)),
        ("ʔ", ()),
    ],
)
def test_labels_of_several_alphabets(label, phones):
    assert phones_of(label) == phones


def test_the_demos_phones_are_all_known():
    from pathlib import Path

    for path in sorted(Path(demo_file).parent.glob("textgrids/*.TextGrid"))[:3]:
        tiers = read_textgrid(path)
        last = tiers["phone"][-1].end
        for name, function in ANNOTATION_SPACES.items():
            frames = function(tiers["word" if name.startswith("word") else "phone"], last)
            assert (frames.values.sum(axis=0) > 0).sum() >= min(20, len(frames.names))
        rates = phone_rate(tiers["phone"], last), word_rate(tiers["word"], last)
        phones, words = (rate.values.mean() for rate in rates)
        assert 5 < phones < 20 and 1 < words < 5


@pytest.mark.parametrize("label", ["XX", "blah", "3"])
def test_an_unknown_label_is_named(label):
    with pytest.raises(InputError, match=f"'{label}'"):
        phone_identity([Interval(0.0, 0.1, label)], 1.0)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(0.5, 0.4, "S"), "goes from"),
        (Interval(-0.1, 0.4, "S"), "goes from"),
        (Interval(0.1, float("nan"), "S"), "goes from"),
        (Interval(3.0, 3.1, "S"), "lasts 2.000 s"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(interval, words):
    for function in ANNOTATION_SPACES.values():
        with pytest.raises(InputError, match=words):
            function([interval], 2.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_recording_lasts_longer_than_nothing(seconds):
    with pytest.raises(InputError, match="lasts"):
        phone_rate([], seconds)
