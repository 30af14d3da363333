"""Speech recognition from frozen features: words, errors, the loss, and what is learnt."""

import functools
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.probes.sentences import spoken_words, word_errors
from braindash.core.probes.split import split_units
from braindash.core.probes.transcripts import TranscriptProbes
from braindash.errors import InputError

LETTERS = "abcd "
WORDS = ("abd", "cab", "dad", "bc")


def test_words_are_letters_digits_and_apostrophes():
    assert spoken_words("She had your DARK suit, don\u2019t you?") == (
        ["she", "had", "your", "dark", "suit", "don't", "you"]
    )
    assert spoken_words("cafe\u0301 3-D...") == ["caf\u00e9", "3", "d"] and spoken_words("?!") == []


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_errors_are_the_fewest_edits(true, told):
    @functools.cache
    def fewest(i, j):
        if not i or not j:
            return i + j
        return min(
            fewest(i - 1, j) + 1,
            fewest(i, j - 1) + 1,
            fewest(i - 1, j - 1) + (true[i - 1] != told[j - 1]),
        )

    assert word_errors(true, told) == fewest(len(true), len(told))


def spoken(seed=0, *, n_recordings=24):
    """Frames whose features tell their letter, three frames a letter; two sentences a recording."""
    rng = np.random.default_rng(seed)
    code = np.random.default_rng(7).standard_normal((len(LETTERS), 12))
    features, texts, recordings = [], [], []
    for recording in range(n_recordings):
        for number in range(2):
            text = " ".join(rng.choice(WORDS, 3))
            for letter in text:
                noise = rng.standard_normal((3, 12))
                features.append(3 * code[LETTERS.index(letter)] + noise)
                texts += [f"{number}|{text.upper()}."] * 3
                recordings += [recording] * 3
    return np.concatenate(features).astype(np.float32), texts, np.array(recordings)


@pytest.fixture(scope="module")
def probed():
    features, texts, recordings = spoken()
    split = split_units(recordings, seed=0)
    probes = TranscriptProbes("asr", texts, split, n_samples=40)
    empty = np.random.default_rng(1).standard_normal(features.shape).astype(np.float32)
    layers = [probes.fit_layer(features), probes.fit_layer(empty)]
    return texts, recordings, split, probes, layers


def test_what_features_tell_is_read_and_noise_tells_nothing(probed):
    _, _, _, probes, layers = probed
    (result,) = probes.results(layers)
    assert result.score[0] > 0.9 and result.metrics["wer"][1] > 0.8
    np.testing.assert_allclose(result.score, 1 - result.metrics["wer"])
    assert result.metric == "word_accuracy" and result.chance_majority == 0
    again = probes.fit_layer(spoken()[0])[0]
    assert again.scores == layers[0][0].scores


def test_scores_and_samples_are_those_of_the_test_sentences(probed):
    texts, recordings, split, probes, layers = probed
    probe = layers[1][0]
    keys = list(dict.fromkeys((recordings[unit], texts[unit]) for unit in split.test))
    errors = probe.detail * 3  # three words each
    assert len(keys) == len(probe.detail)
    np.testing.assert_allclose(errors, errors.round(), atol=1e-9)
    assert probe.scores["wer"] == pytest.approx(errors.mean() / 3)
    of = np.array([recording for recording, _ in keys])
    held = np.unique(of)
    per = np.array([errors[of == one].sum() for one in held])
    said = np.array([3 * (of == one).sum() for one in held])
    wanted = 1 - (probes._counts @ per) / (probes._counts @ said)
    np.testing.assert_allclose(probe.samples, wanted, rtol=1e-5)
    (result,) = probes.results(layers)
    assert result.n_test == len(keys) and result.n_pieces == len(held)


def test_the_loss_is_that_of_all_paths():
    """Sums the probability of every way to spell the text over the frames."""
    texts = ["1|ab"] * 4 + ["1|b"] * 4 + ["1|a"] * 4 + ["2|ba"] * 4
    split = split_units(np.repeat([0, 1, 2, 3], 4), seed=0, shares=(0.5, 0.25, 0.25))
    probes = TranscriptProbes("asr", texts, split, n_samples=5)
    values = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    layer = torch.nn.Linear(3, len(probes._letters))
    sentences = probes._sides[0]
    found = float(probes._loss(layer, values, sentences).detach())
    wanted = []
    for one in sentences:
        share = torch.softmax(layer(values[one.frames]), dim=1).detach().numpy()
        target, total = one.letters.tolist(), 0.0
        for path in itertools.product(range(share.shape[1]), repeat=len(one.frames)):
            if [code for code, _ in itertools.groupby(path) if code] == target:
                total += np.prod(share[np.arange(len(path)), path])
        wanted.append(-np.log(total) / len(target))
    assert found == pytest.approx(np.mean(wanted), rel=1e-4)


def test_a_side_without_words_is_refused():
    _, texts, recordings = spoken(n_recordings=6)
    split = split_units(recordings, seed=0)
    held = set(recordings[split.test])
    silent = ["0|..." if of in held else text for text, of in zip(texts, recordings, strict=True)]
    with pytest.raises(InputError, match="test part holds no sentence with words"):
        TranscriptProbes("asr", silent, split)
