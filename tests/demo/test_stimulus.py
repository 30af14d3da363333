"""Features that drive the simulated subjects, against plain loops."""

import numpy as np
import pytest

from braindash.demo import Lexicon
from braindash.demo.stimulus import (
    FAMILIES,
    Stimulus,
    acoustic_features,
    hrf,
    lagged_features,
    phone_inventory,
    phonetic_features,
    response_components,
    word_features,
    word_vectors,
)

LEXICON = Lexicon({"dog": "animal", "bread": "food"}, ("animal", "food"), ("animal",), frozenset())
VECTORS = {"dog": np.array([1.0, 0.0]), "bread": np.array([0.0, 2.0])}


def story(seconds=40.0, phones=(), words=(), seed=0):
    samples = np.random.default_rng(seed).normal(size=int(seconds * 16_000)).astype(np.float32)
    return Stimulus("a", 0.1 * samples, tuple(phones), tuple(words))


def test_hrf_sums_to_one_and_peaks_after_five_seconds():
    assert hrf().sum() == pytest.approx(1)
    assert hrf().argmax() / 10 == pytest.approx(5, abs=0.2)


def test_inventory_leaves_rare_phones_and_pauses_out():
    phones = [(0.0, 0.1, "a")] * 60 + [(0.0, 0.1, "rare")] * 3 + [(0.0, 0.1, "")] * 300
    assert phone_inventory([story(phones=phones), story(phones=phones)]) == ("a",)


def test_acoustic_features_follow_a_tone_that_begins():
    audio = np.zeros(32_000, np.float32)
    audio[16_000:] = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    features = acoustic_features(Stimulus("tone", audio, (), ()))
    assert features.shape == (20, 21)
    mel_edges = np.linspace(0, 2595 * np.log10(1 + 7600 / 700), 22)
    nearest = np.abs(mel_edges[1:-1] - 2595 * np.log10(1 + 1000 / 700)).argmin()
    assert features[15, :20].argmax() == nearest
    assert features[10, 20] > 10 * max(features[5, 20], features[15, 20])


def test_phonetic_features_mark_the_steps_of_a_phone():
    spoken = story(2.0, phones=[(0.32, 0.61, "a"), (0.61, 0.63, "b"), (1.0, 1.2, "x")])
    features = phonetic_features(spoken, ("a", "b"))
    expected = np.zeros((20, 2))
    expected[3:6, 0] = 1
    expected[6, 1] = 1  # shorter than a step, and still there
    np.testing.assert_array_equal(features, expected)


def test_word_features_decay_after_the_word_as_a_plain_loop_does():
    spoken = story(6.0, words=[(0.5, 1.0, "dog"), (2.0, 2.5, "the bread"), (5.0, 6.0, "dog")])
    lexical, semantic = word_features(spoken, VECTORS)
    assert lexical[10].tolist() == [1, 1]
    assert lexical[25].tolist() == [2, 1]
    assert lexical[59].tolist() == [1, 1]  # a word that ends with the audio
    decay, state = np.exp(-0.1 / 3.0), np.zeros(2)
    impulses = {10: VECTORS["dog"], 25: VECTORS["bread"], 59: VECTORS["dog"]}
    for step in range(60):
        state = decay * state + (1 - decay) * impulses.get(step, 0)
        np.testing.assert_allclose(semantic[step], state, atol=1e-12)


def test_word_vectors_hold_the_category_and_depend_on_the_seed():
    first = word_vectors(LEXICON, np.random.SeedSequence(1))
    again = word_vectors(LEXICON, np.random.SeedSequence(1))
    other = word_vectors(LEXICON, np.random.SeedSequence(2))
    assert first["dog"][:2].tolist() == [1, 0]
    np.testing.assert_array_equal(first["bread"], again["bread"])
    assert not np.allclose(first["dog"], other["dog"])


def test_lagged_features_look_only_into_the_past():
    """A word after a row changes nothing in that row, apart from the mean of the story."""
    times = np.arange(1, 21) * 2.0
    late = lagged_features(story(words=[(29.5, 30.0, "dog")]), times, ("a",), VECTORS)
    none = lagged_features(story(), times, ("a",), VECTORS)
    change = late["semantic"][:, 0] - none["semantic"][:, 0]
    before = change[times <= 30.0]
    assert set(late) == set(FAMILIES)
    # with the story's mean taken out, what precedes the word is the response to a constant
    onset = np.array([hrf()[: round(t * 10)].sum() for t in times[times <= 30.0]])
    np.testing.assert_allclose(before, before[-1] * onset / onset[-1], atol=1e-9)
    assert change[times > 34.0].max() > 3 * np.abs(before).max()


def test_lagged_features_equal_a_direct_convolution():
    times = np.array([4.0, 10.0, 39.9, 40.0])
    spoken = story(phones=[(3.0, 7.0, "a"), (20.0, 21.0, "a")])
    values = phonetic_features(spoken, ("a",))[:, 0]
    direct = np.convolve(values - values.mean(), hrf())
    lagged = lagged_features(spoken, times, ("a",), VECTORS)["phonetic"][:, 0]
    np.testing.assert_allclose(lagged, direct[[39, 99, 398, 399]], atol=1e-12)


def features(rng, n_rows, mixing):
    return {family: rng.normal(size=(n_rows, 6)) @ mixing for family in FAMILIES}


def test_components_are_uncorrelated_over_training_stories_and_graded():
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(6, 12))
    given = {name: features(rng, 50, mixing) for name in ("one", "two", "held_out")}
    components = response_components(given, ("one", "two"))
    for family in FAMILIES:
        seen = np.concatenate([components[name][family] for name in ("one", "two")])
        assert seen.shape[1] == (2 if family == "lexical" else 6)  # rank 6, at most N_COMPONENTS
        covariance = np.cov(seen, rowvar=False)
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-9)
        assert np.all(np.diff(np.diag(covariance)) < 0)


def test_components_do_not_depend_on_held_out_stories():
    rng = np.random.default_rng(4)
    mixing = rng.normal(size=(6, 12))
    given = {name: features(rng, 50, mixing) for name in ("one", "two", "held_out")}
    changed = given | {"held_out": features(rng, 50, 9 * mixing)}
    first = response_components(given, ("one", "two"))
    second = response_components(changed, ("one", "two"))
    for family in FAMILIES:
        np.testing.assert_array_equal(first["one"][family], second["one"][family])
        assert not np.allclose(first["held_out"][family], second["held_out"][family])
