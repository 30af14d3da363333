"""What the simulated subjects respond to: features of a story, carried through a haemodynamic lag.

Four families of features are computed from the story's audio and annotations, at 10 Hz:

* ``acoustic`` - log-mel spectrum in 20 bands, and its rise;
* ``phonetic`` - which phone is being spoken;
* ``lexical`` - word and content-word ends;
* ``semantic`` - category of the content words, and a small random vector per word, decaying with
  a time constant of 3 s.

Nothing here knows any speech model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import gamma

from braindash.demo import Lexicon

SAMPLE_RATE_HZ = 16_000
STEPS_PER_SECOND = 10
N_COMPONENTS = {"acoustic": 10, "phonetic": 15, "lexical": 2, "semantic": 15}
FAMILIES = tuple(N_COMPONENTS)

_CONTEXT_SECONDS = 3.0
_WORD_VECTOR_SIZE = 8
_WORD_VECTOR_SCALE = 0.35
_RARE_PHONE = 100  # a phone spoken less often than this in the training stories is left out
_HRF_SECONDS = 28
_N_BANDS = 20
_WINDOW = 512

Floats = NDArray[np.float64]
Interval = tuple[float, float, str]


@dataclass(frozen=True)
class Stimulus:
    """One story as the simulation needs it.

    Attributes
    ----------
    name : str
        Name of the story.
    audio : float32 array of shape (n_samples,)
        Samples at 16 kHz.
    phones, words : sequence of (start, end, label)
        Intervals in seconds; a label may hold two words that are spoken as one.
    """

    name: str
    audio: NDArray[np.float32]
    phones: Sequence[Interval]
    words: Sequence[Interval]

    @property
    def n_steps(self) -> int:
        """Number of whole steps of 0.1 s in the audio."""
        return len(self.audio) * STEPS_PER_SECOND // SAMPLE_RATE_HZ


def hrf() -> Floats:
    """Canonical haemodynamic response at 10 Hz, summing to 1: (280,)."""
    seconds = np.arange(0, _HRF_SECONDS, 1 / STEPS_PER_SECOND)
    response = gamma.pdf(seconds, 6) - gamma.pdf(seconds, 16) / 6
    return np.asarray(response / response.sum())


def phone_inventory(stimuli: Sequence[Stimulus]) -> tuple[str, ...]:
    """List the phones that are spoken often enough in the given stories, sorted."""
    counts = Counter(label for story in stimuli for _, _, label in story.phones if label)
    return tuple(sorted(label for label, count in counts.items() if count >= _RARE_PHONE))


def word_vectors(lexicon: Lexicon, seed: np.random.SeedSequence) -> dict[str, Floats]:
    """Return every content word its category (one of n) followed by a small random vector."""
    rng = np.random.default_rng(seed)
    one_hot = np.eye(len(lexicon.categories))
    return {
        word: np.concatenate(
            [
                one_hot[lexicon.categories.index(lexicon.category_of[word])],
                _WORD_VECTOR_SCALE * rng.standard_normal(_WORD_VECTOR_SIZE),
            ]
        )
        for word in sorted(lexicon.category_of)
    }


def acoustic_features(story: Stimulus) -> Floats:
    """Log-mel power in 20 bands, and its mean rise: (n_steps, 21)."""
    step = SAMPLE_RATE_HZ // STEPS_PER_SECOND
    padded = np.pad(story.audio, (0, _WINDOW))
    mel = np.linspace(0, 2595 * np.log10(1 + 7600 / 700), _N_BANDS + 2)
    frequency = 2595 * np.log10(1 + np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ) / 700)
    width = mel[1] - mel[0]
    filters = np.maximum(0, 1 - np.abs(frequency[:, None] - mel[1:-1]) / width)
    bands = np.zeros((story.n_steps, _N_BANDS))
    hops = range(0, step, step // 5)
    for hop in hops:  # the mean of five windows in every step
        windows = np.lib.stride_tricks.sliding_window_view(padded[hop:], _WINDOW)[::step]
        spectrum = np.fft.rfft(windows[: story.n_steps] * np.hanning(_WINDOW))
        bands += np.log(np.abs(spectrum) ** 2 @ filters + 1e-4) / len(hops)
    rise = np.maximum(0, np.diff(bands, axis=0, prepend=bands[:1])).mean(axis=1, keepdims=True)
    return np.concatenate([bands, rise], axis=1)


def phonetic_features(story: Stimulus, inventory: Sequence[str]) -> Floats:
    """Count the intervals of every phone that touch each step: (n_steps, n_phones)."""
    features = np.zeros((story.n_steps, len(inventory)))
    column = {label: index for index, label in enumerate(inventory)}
    for start, end, label in story.phones:
        if label in column:
            first = int(start * STEPS_PER_SECOND)
            features[first : max(first + 1, int(end * STEPS_PER_SECOND)), column[label]] += 1
    return features


def word_features(story: Stimulus, vectors: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Features of the words, placed at their ends.

    Parameters
    ----------
    story : Stimulus
        The story.
    vectors : mapping of str to array of shape (n_dimensions,)
        Meaning of every content word.

    Returns
    -------
    lexical : array of shape (n_steps, 2)
        Ends of words and of content words.
    semantic : array of shape (n_steps, n_dimensions)
        Meanings, decaying exponentially.
    """
    lexical = np.zeros((story.n_steps, 2))
    semantic = np.zeros((story.n_steps, len(next(iter(vectors.values())))))
    for _, end, label in story.words:
        step = min(story.n_steps - 1, int(end * STEPS_PER_SECOND))
        for word in label.split():
            lexical[step] += (1, word in vectors)
            if word in vectors:
                semantic[step] += vectors[word]
    decay = np.exp(-1 / (STEPS_PER_SECOND * _CONTEXT_SECONDS))
    return lexical, np.asarray(lfilter([1 - decay], [1, -decay], semantic, axis=0))


def lagged_features(
    story: Stimulus,
    times: Floats,
    inventory: Sequence[str],
    vectors: Mapping[str, Floats],
) -> dict[str, Floats]:
    """Convolve every family with the haemodynamic response and read it at the rows' times.

    Parameters
    ----------
    story : Stimulus
        The story.
    times : array of shape (n_rows,)
        Audio time of every response row in seconds, each at least 0.1 s and inside the audio.
    inventory : sequence of str
        Phones that count.
    vectors : mapping of str to array of shape (n_dimensions,)
        Meaning of every content word.

    Returns
    -------
    dict of str to array of shape (n_rows, n_features)
        One entry for every family of ``FAMILIES``.
    """
    lexical, semantic = word_features(story, vectors)
    families = {
        "acoustic": acoustic_features(story),
        "phonetic": phonetic_features(story, inventory),
        "lexical": lexical,
        "semantic": semantic,
    }
    last_step = np.round(times * STEPS_PER_SECOND).astype(int) - 1
    kernel = hrf()
    return {
        name: lfilter(kernel, [1.0], values - values.mean(axis=0), axis=0)[last_step]
        for name, values in families.items()
    }


def response_components(
    features: Mapping[str, Mapping[str, Floats]], train: Sequence[str]
) -> dict[str, dict[str, Floats]]:
    """Rotate every family to its principal components; the training stories decide how.

    The semantic family keeps its natural variances, so that categories outweigh single words; the
    features of the others are standardised first. Component variances are flattened to their
    fourth root, relative to the largest.

    Parameters
    ----------
    features : mapping of story to mapping of family to array of shape (n_rows, n_features)
        What :func:`lagged_features` gives for every story.
    train : sequence of str
        The training stories.

    Returns
    -------
    dict of story to dict of family to array of shape (n_rows, n_components)
        Components; ``N_COMPONENTS`` of each family at most.
    """
    result: dict[str, dict[str, Floats]] = {name: {} for name in features}
    for family, n_components in N_COMPONENTS.items():
        seen = np.concatenate([features[name][family] for name in train])
        mean = seen.mean(axis=0)
        scale = np.ones(len(mean)) if family == "semantic" else seen.std(axis=0) + 1e-6
        _, spread, axes = np.linalg.svd((seen - mean) / scale, full_matrices=False)
        kept = min(n_components, int((spread > 1e-8 * spread[0]).sum()))
        axes = _with_fixed_signs(axes[:kept])
        deviation = spread[:kept] / np.sqrt(len(seen))
        gain = np.sqrt(spread[:kept] / spread[0]) / deviation
        for name, story in features.items():
            result[name][family] = (story[family] - mean) / scale @ axes.T * gain
    return result


def _with_fixed_signs(axes: Floats) -> Floats:
    """Turn every axis so that its largest entry is positive: the sign of an SVD is arbitrary."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.asarray(axes * np.sign(largest))
