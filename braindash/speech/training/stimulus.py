"""Foretell hidden frames of the sound: how such models are pretrained, on the stories themselves.

HuBERT's objective in its first iteration (arXiv 2106.07447), for every family: frames are hidden
from the transformer, which tells of each which cluster of mel-frequency cepstral coefficients it
belongs to. wav2vec 2.0 was pretrained otherwise, by a quantiser that its checkpoints mostly lack.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.geometry import Geometry
from braindash.speech.models import open_model
from braindash.speech.training.front import KeptArrays
from braindash.speech.training.losses import column_correlation
from braindash.speech.training.stories import Segment, SegmentShape, TuningStory, first_sample
from braindash.speech.unit_features import unit_features

N_CLUSTERS = 100
# Of the frames, in spans of 10: about what HuBERT hides.
HIDDEN_SHARE = 0.5
NAME = "stimulus"
"""Stands for the subject where nothing but the sound is learnt."""
_SPACE = "acoustic:mfcc"
# Of the training stories, to find the clusters by.
_MOST_FRAMES = 20_000

Labels = NDArray[np.int64]


def story_clusters(
    train: Sequence[TuningStory],
    validation: Sequence[TuningStory],
    geometry: Geometry,
    folder: Path,
    *,
    seed: int,
) -> tuple[list[Labels], list[Labels]]:
    """Say which cluster every frame of the stories is in; found by k-means on training stories.

    Parameters
    ----------
    train, validation : sequence of TuningStory
    geometry : Geometry
        How the model's frames lie in the audio.
    folder : Path
        Keeps what was found, so that a run that goes on has the same.
    seed : int

    Returns
    -------
    train, validation : list of int64 array of shape (n_frames,)
    """
    kept = KeptArrays(folder)

    def frames(story: TuningStory) -> NDArray[np.float32]:
        return _cepstra(story, geometry)

    def centres() -> NDArray[np.float32]:
        return _centres([frames(story) for story in train], seed)

    def labels(name: str, story: TuningStory) -> Labels:
        def made() -> NDArray[np.float32]:
            mean, scale, *found = kept.get("centres", centres)
            nearest: Labels = _nearest((frames(story) - mean) / scale, np.stack(found))
            return nearest.astype(np.float32)

        return np.asarray(kept.get(name, made)).astype(np.int64)

    kept.get("centres", centres)
    return (
        [labels(f"train-{number:04d}", story) for number, story in enumerate(train)],
        [labels(f"validation-{number:04d}", story) for number, story in enumerate(validation)],
    )


def _cepstra(story: TuningStory, geometry: Geometry) -> NDArray[np.float32]:
    """Average the coefficients and their slopes over each frame's hop, (n_frames, 39)."""
    audio = story.audio()
    middles = geometry.centre + geometry.hop * np.arange(geometry.n_frames(len(audio)))
    starts = (middles - geometry.hop / 2) / SAMPLE_RATE_HZ
    ends = (middles + geometry.hop / 2) / SAMPLE_RATE_HZ
    heard = unit_features(open_model(_SPACE), audio, np.maximum(starts, 0), ends)
    cepstra: NDArray[np.float32] = heard.features[0]
    return cepstra


def _centres(stories: Sequence[NDArray[np.float32]], seed: int) -> NDArray[np.float32]:
    """Find the clusters; gives mean, scale and, standardised, the centres, one below the other."""
    from sklearn.cluster import KMeans

    frames = np.concatenate(stories).astype(np.float64)
    if len(frames) > _MOST_FRAMES:
        rng = np.random.default_rng(seed)
        frames = frames[np.sort(rng.choice(len(frames), _MOST_FRAMES, replace=False))]
    mean, scale = frames.mean(axis=0), frames.std(axis=0)
    scale[scale == 0] = 1
    values = (frames - mean) / scale
    n_clusters = min(N_CLUSTERS, len(np.unique(values, axis=0)))
    found = KMeans(n_clusters, n_init=1, random_state=seed).fit(values)
    return np.vstack([mean, scale, found.cluster_centers_]).astype(np.float32)


def _nearest(values: NDArray[np.float32], centres: NDArray[np.float32]) -> Labels:
    """Return the nearest centre of every row, (n_rows,)."""
    # |v - c|^2 without |v|^2, which is the same for all centres.
    far = (centres**2).sum(axis=1) - 2 * values @ centres.T
    return np.asarray(far.argmin(axis=1))


def labels_of(
    segments: Sequence[Segment], stories: Sequence[Labels], shape: SegmentShape, hop: int
) -> Tensor:
    """Cut the clusters of segments' frames, (n_segments, n_frames); -1 beyond a story's end."""
    found = np.full((len(segments), shape.n_frames), -1, dtype=np.int64)
    for row, segment in enumerate(segments):
        first = first_sample(segment, hop) // hop
        own = stories[segment.story][first : first + shape.n_frames]
        found[row, : len(own)] = own
    return torch.from_numpy(found)


def hidden_loss(logits: Tensor, labels: Tensor, hidden: Tensor) -> Tensor:
    """Sum over segments the mean cross-entropy of their hidden frames, in units of chance.

    Parameters
    ----------
    logits : Tensor of shape (n_segments, n_frames, n_clusters)
    labels : Tensor of int64, shape (n_segments, n_frames)
        -1 where there is none.
    hidden : Tensor of bool, shape (n_segments, n_frames)

    Returns
    -------
    Tensor of shape ()
        A segment of equal probabilities counts 1, as a row of unit variance without a prediction
        does in the mean squared error.
    """
    told = hidden & (labels >= 0)
    each = functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.clamp(min=0).flatten(), reduction="none"
    ).view_as(labels)
    per_segment = (each * told).sum(dim=1) / told.sum(dim=1).clamp(min=1)
    return per_segment.sum() / float(np.log(logits.shape[-1]))


def hidden_r(
    parts: Sequence[Sequence[Segment]],
    foretell: Callable[[Sequence[Segment]], tuple[Tensor, Tensor, Tensor]],
) -> float:
    """Correlate the probability of each cluster with where it is, over all hidden frames.

    Parameters
    ----------
    parts : sequence of sequence of Segment
        What is foretold at once.
    foretell : callable
        Gives logits, labels and what was hidden, as :func:`hidden_loss` takes them.

    Returns
    -------
    float
        Mean of Pearson's r over the clusters that occur.
    """
    told, true = [], []
    for part in parts:
        logits, labels, hidden = foretell(part)
        there = hidden & (labels >= 0)
        told.append(logits[there].float().softmax(dim=-1))
        true.append(functional.one_hot(labels[there], logits.shape[-1]))
    wanted = torch.cat(true)
    present = wanted.any(dim=0)
    return float(column_correlation(torch.cat(told), wanted)[present].mean())
