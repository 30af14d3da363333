"""Hidden frames of the sound: which clusters they are in, what is hidden, how it is scored."""

import numpy as np
import pytest
import torch
from kit.models.tiny_models import KINDS
from kit.models.tuning_stories import TR, make_story
from scipy.special import log_softmax, softmax

from braindash.progress import NoProgress
from braindash.specs import TuningSettings
from braindash.speech.checkpoints.locate import locate
from braindash.speech.encoder.front import front_of
from braindash.speech.models import load_encoder, open_model
from braindash.speech.training.adapters import prepare
from braindash.speech.training.evaluation import every_segment
from braindash.speech.training.front import make_inputs
from braindash.speech.training.network import TuningNetwork
from braindash.speech.training.stimulus import (
    hidden_loss,
    hidden_r,
    labels_of,
    story_clusters,
)
from braindash.speech.training.stories import segment_shape
from braindash.speech.unit_features import unit_features

SETTINGS = TuningSettings(window_trs=3, segment_trs=8, attention_trs=4, dropout=0.0)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((3, 20, 5))
    labels = rng.integers(-1, 5, (3, 20))
    hidden = rng.random((3, 20)) < 0.5
    hidden[2] = False
    return logits, labels, hidden


def test_the_loss_is_the_mean_cross_entropy_of_hidden_frames_in_units_of_chance(drawn):
    logits, labels, hidden = drawn
    wanted = 0.0
    for one in range(3):
        own = [-log_softmax(logits[one, at])[labels[one, at]] for at in range(20)
               if hidden[one, at] and labels[one, at] >= 0]  # fmt: skip
        wanted += np.mean(own) / np.log(5) if own else 0.0
    found = hidden_loss(*map(torch.from_numpy, drawn))
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    flat = hidden_loss(torch.zeros(2, 6, 7), torch.zeros(2, 6).long(), torch.ones(2, 6).bool())
    assert float(flat) == pytest.approx(2)


def test_r_is_that_of_probabilities_and_clusters(drawn):
    logits, labels, hidden = drawn
    labels[labels == 4] = 3  # a cluster that does not occur says nothing
    there = hidden & (labels >= 0)
    told = softmax(logits[there], axis=1)
    wanted = [np.corrcoef(told[:, one], labels[there] == one)[0, 1] for one in range(4)]
    tensors = [torch.from_numpy(part) for part in (logits, labels, hidden)]

    def foretell(part):
        return tuple(tensor[list(part)] for tensor in tensors)

    assert hidden_r([[0, 1], [2]], foretell) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_frames_are_in_the_nearest_cluster_of_their_cepstra(folder_of, tmp_path):
    geometry = front_of(load_encoder(locate(folder_of("hubert-group")))).geometry
    train, valid = [make_story(0, seconds=10), make_story(1, seconds=10)], [make_story(9)]
    found, held = story_clusters(train, valid, geometry, tmp_path, seed=0)
    mean, scale, *centres = np.load(tmp_path / "centres.npy")
    assert len(centres) == 100

    def cepstra_of(story):
        at = geometry.hop * np.arange(geometry.n_frames(len(story.audio()))) + geometry.centre
        spans = (at - 160) / 16000, (at + 160) / 16000
        return unit_features(open_model("acoustic:mfcc"), story.audio(), *spans).features[0]

    n_frames = geometry.n_frames(len(train[0].audio()))
    assert len(found[0]) == n_frames and len(held[0]) == geometry.n_frames(len(valid[0].audio()))
    every = np.concatenate([cepstra_of(story) for story in train])
    np.testing.assert_allclose(every.mean(axis=0), mean, rtol=1e-3, atol=1e-3)
    cepstra = every[:n_frames]
    for frame in range(0, n_frames, 37):
        far = [np.linalg.norm((cepstra[frame] - mean) / scale - centre) for centre in centres]
        assert far[found[0][frame]] == pytest.approx(min(far), rel=1e-4)
    again = story_clusters(train, valid, geometry, tmp_path, seed=5)
    np.testing.assert_array_equal(again[0][1], found[1])  # what is kept is taken


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "whisper"][::3])
def test_what_is_hidden_is_not_heard(folder_of, tmp_path, kind):
    """Other sound under hidden frames changes nothing that is told."""
    files, story = locate(folder_of(kind)), make_story(3)
    encoder = load_encoder(files)
    geometry = front_of(encoder).geometry
    shape = segment_shape(SETTINGS, TR, geometry)
    prepare(encoder, files.family, None, dropout=0.0, seed=1)
    network = TuningNetwork(encoder, {}, shape, n_clusters=5).eval()
    inputs = make_inputs(
        encoder, [story], shape, tmp_path, per_story=True, normalise=files.normalise
    )
    inputs.prepare(NoProgress())
    segments = every_segment([story], SETTINGS)[:2]
    taken = inputs.take(segments)
    with torch.no_grad():
        torch.manual_seed(3)
        told, hidden = network.foretell(taken, 0.5)
        noise = torch.randn(taken.shape, generator=torch.Generator().manual_seed(1))
        torch.manual_seed(3)
        other, again = network.foretell(torch.where(hidden[:, :, None], noise, taken), 0.5)
        assert torch.equal(hidden, again) and 0.2 < float(hidden.float().mean()) < 0.7
        torch.testing.assert_close(told, other)
        torch.manual_seed(3)
        everything = network.foretell(noise, 0.5)[0]
    assert float((everything - told).abs().max()) > 1e-3
    clusters = [np.arange(geometry.n_frames(len(story.audio())))]
    labels = labels_of(segments, clusters, shape, geometry.hop)
    for segment, row in zip(segments, labels, strict=True):
        first = round(segment.start * 16000 / geometry.hop)
        assert row.tolist() == list(range(first, first + shape.n_frames))
