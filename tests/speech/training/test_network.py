"""What the network computes, against transformers' own models."""

import numpy as np
import pytest
import torch
from kit.models.tiny_models import KINDS, extractor_of
from kit.models.tuning_stories import TR, make_story

from braindash.errors import InputError
from braindash.progress import NoProgress
from braindash.specs import AdapterSettings, TuningSettings
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.locate import locate
from braindash.speech.encoder.front import front_of
from braindash.speech.models import load_encoder
from braindash.speech.training.adapters import adapted_layers, prepare
from braindash.speech.training.evaluation import every_segment
from braindash.speech.training.front import make_inputs
from braindash.speech.training.network import TuningNetwork
from braindash.speech.training.stories import segment_shape

WINDOW = 3
ALONE = TuningSettings(window_trs=WINDOW, segment_trs=WINDOW, front="window", dropout=0.0)
JOINT = TuningSettings(window_trs=WINDOW, segment_trs=8, attention_trs=4, dropout=0.0)


def build(folder, settings, stories, tmp_path, normalise=None):
    files = locate(folder)
    encoder = load_encoder(files)
    shape = segment_shape(settings, TR, front_of(encoder).geometry)
    wrapper = prepare(encoder, files.family, settings.adapter, dropout=settings.dropout, seed=1)
    network = TuningNetwork(encoder, {"A": 6}, shape, mask_share=settings.mask_share)
    inputs = make_inputs(
        encoder,
        stories,
        shape,
        tmp_path,
        per_story=settings.front == "story",
        normalise=files.normalise if normalise is None else normalise,
    )
    inputs.prepare(NoProgress())
    return network, inputs, wrapper


def published(kind, folder, wave):
    """Mean of the last hidden state over one window, as the published recipe computes it."""
    encoder = load_encoder(locate(folder)).eval()
    features = extractor_of(kind)(wave, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        if KINDS[kind].family == "whisper":
            frames = encoder(features.input_features).last_hidden_state
            return frames[0, : len(wave) // 320].mean(dim=0)
        return encoder(features.input_values).last_hidden_state[0].mean(dim=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_is_what_the_published_recipe_encodes(kind, folder_of, tmp_path):
    story = make_story(0)
    network, inputs, _ = build(folder_of(kind), ALONE, [story], tmp_path)
    segments = every_segment([story], ALONE)[::9]
    with torch.no_grad():
        found = network.eval()(inputs.take(segments))[:, 0]
    for row, segment in zip(found, segments, strict=True):
        start = round(segment.start * 16000)
        wave = story.audio()[start : start + round(WINDOW * TR * 16000)]
        wanted = published(kind, folder_of(kind), wave)
        assert float((row - wanted).abs().max()) <= 1e-4 * float(wanted.std())


@pytest.mark.parametrize("kind", ["hubert-layer", "data2vec"])
def test_a_front_end_that_is_local_may_be_shared_by_a_story(kind, folder_of, tmp_path):
    """Without normalisation a frame is the same in a window of its own and in the whole story."""
    story = make_story(2, seconds=40)
    settings = ALONE.model_copy(update={"front": "story"})
    alone = build(folder_of(kind), ALONE, [story], tmp_path / "a", False)
    shared = build(folder_of(kind), settings, [story], tmp_path / "b", False)
    segments = every_segment([story], ALONE)[::13]
    with torch.no_grad():
        one, other = (net.eval()(inputs.take(segments)) for net, inputs, _ in (alone, shared))
    assert float((one - other).abs().max()) <= 1e-4 * float(one.std())


def test_rows_of_a_segment_are_centred_and_heard_in_pieces(folder_of, tmp_path):
    story = make_story(3)
    network, inputs, _ = build(folder_of("hubert-layer"), JOINT, [story], tmp_path)
    segment = every_segment([story], JOINT)[1]
    taken = inputs.take([segment])
    with torch.no_grad():
        found = network.eval()(taken)[0]
        encoder, n = network.encoder, network.shape.n_attended
        pieces = [taken[:, at : at + n] for at in range(0, taken.shape[1], n)]
        frames = [encoder.encoder(encoder.feature_projection(p)).last_hidden_state for p in pieces]
    whole = torch.cat(frames, dim=1)[0].double()
    rows = torch.stack([whole[begin:end].mean(dim=0) for begin, end in network.shape.spans])
    wanted = rows - rows.mean(dim=0)
    assert len(pieces) == 2 and pieces[1].shape[1] < n + 1
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["full", "lora"])
def test_everything_trained_gets_a_gradient_and_nothing_else(kind, adapter, folder_of, tmp_path):
    story = make_story(0)
    settings = JOINT.model_copy(update={"adapter": adapter})
    network, inputs, _ = build(folder_of(kind), settings, [story], tmp_path)
    trained = network.trained()
    optimiser = torch.optim.SGD(trained.values(), lr=0.1)
    for _ in range(2):  # at first lora_B is 0, so that lora_A has no gradient before one step
        optimiser.zero_grad()
        predicted = network.head("A")(network.train()(inputs.take(every_segment([story], JOINT))))
        predicted.square().mean().backward()
        optimiser.step()
    lacking = [name for name, value in trained.items() if value.grad is None]
    silent = [name for name, value in trained.items() if not value.grad.abs().max() > 0]
    # A bias of keys shifts all products of a query alike, and the softmax takes that out.
    assert not lacking and not [n for n in silent if not n.endswith("k_proj.bias")]
    front = ("encoder.feature_extractor", "encoder.conv", "encoder.embed_positions")
    assert not [name for name in trained if name.startswith(front)]
    if adapter is not None:
        assert sum("lora_B" in name for name in trained) == 2 * len(
            FAMILIES[KINDS[kind].family].adapted
        )
        assert all("lora_" in name or name.startswith("heads.") for name in trained)


@pytest.mark.parametrize("kind", KINDS)
def test_merging_an_adapter_keeps_the_output(kind, folder_of, tmp_path):
    story = make_story(0)
    settings = JOINT.model_copy(update={"adapter": AdapterSettings(dropout=0.0)})
    network, inputs, wrapper = build(folder_of(kind), settings, [story], tmp_path)
    generator = torch.manual_seed(0)
    for name, value in network.named_parameters():
        if "lora_B" in name:
            value.data.copy_(0.02 * torch.randn(value.shape, generator=generator))
    taken = inputs.take(every_segment([story], JOINT))
    with torch.no_grad():
        base = build(folder_of(kind), JOINT, [story], tmp_path)[0].eval()(taken)
        adapted = network.eval()(taken)
        network.encoder = wrapper.merge_and_unload()
        merged = network.eval()(taken)
    assert float((adapted - base).abs().max()) > 1e-4
    assert float((adapted - merged).abs().max()) <= 1e-5 * max(1.0, float(adapted.abs().max()))


def test_wavlm_adapters_on_deaf_layers_are_refused():
    with pytest.raises(InputError, match="q_proj would learn nothing: wavlm"):
        adapted_layers("wavlm", AdapterSettings(layers=("q_proj", "output_dense")))
    assert adapted_layers("wavlm", AdapterSettings()) == ("intermediate_dense", "output_dense")
    assert adapted_layers("whisper", AdapterSettings(layers=("fc1",))) == ("fc1",)


def test_an_adapter_on_layers_that_are_not_there_is_refused(folder_of):
    encoder = load_encoder(locate(folder_of("whisper")))
    with pytest.raises(InputError, match="no linear layers up_proj"):
        prepare(encoder, "whisper", AdapterSettings(layers=("up_proj",)), dropout=0.0, seed=0)


@pytest.mark.parametrize("kind", ["wav2vec2-stable", "wavlm-group", "whisper"])
def test_training_is_as_eval_without_dropout_and_masks(kind, folder_of, tmp_path):
    """LayerDrop and SpecAugment, which the configuration switches on, are off."""
    story = make_story(0)
    network, inputs, _ = build(folder_of(kind), JOINT, [story], tmp_path)
    taken = inputs.take(every_segment([story], JOINT))
    with torch.no_grad():
        assert torch.allclose(network.train()(taken), network.eval()(taken), atol=1e-6)


def test_masks_hide_about_the_share_asked_for(folder_of, tmp_path):
    network, _, _ = build(folder_of("hubert-group"), JOINT, [make_story(0)], tmp_path)
    hidden = torch.randn(40, 200, network.width, generator=torch.manual_seed(2))
    heard, marks = network._masked(hidden, 0.2)
    assert torch.equal((heard != hidden).any(dim=2), marks)
    assert 0.12 < float(marks.float().mean()) < 0.25
    heard, marks = network._masked(hidden, 0.0)
    assert torch.equal(heard, hidden) and not marks.any()


def test_only_training_hides_frames(folder_of, tmp_path):
    settings, story = JOINT.model_copy(update={"mask_share": 0.2}), make_story(0)
    network, inputs, _ = build(folder_of("hubert-group"), settings, [story], tmp_path)
    taken = inputs.take(every_segment([story], JOINT)[:1])
    with torch.no_grad():
        first, second = (network.eval()(taken) for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.equal(network.train()(taken), first)
