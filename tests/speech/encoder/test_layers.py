"""The own loop over the blocks: which layers there are, what they mean, and that they are exact."""

import copy
import logging

import numpy as np
import pytest
import torch
from kit.models.tiny_models import KINDS, N_BLOCKS, build, extractor_of

from braindash.speech.encoder import encoder as blocks
from braindash.speech.encoder.encoder import Encoder, layer_frames, n_layers

# In units of a layer's standard deviation, against double precision.
CLOSE = 1e-4
SECONDS = 1.3


def model_input(kind, sound):
    """What the preprocessor makes of two pieces of sound, and the pieces as windows."""
    length = round(SECONDS * 16000)
    waves = [sound[:length], sound[length : 2 * length]]
    made = extractor_of(kind)(waves, sampling_rate=16000, return_tensors="np")
    inputs = next(iter(made.values()))
    windows = np.stack(waves) if KINDS[kind].family == "whisper" else inputs
    return inputs, windows


def states_in_double_precision(module, inputs):
    """Hidden states of transformers' own run, (n_windows, n_frames, n_layers, n_features)."""
    double = copy.deepcopy(module).double()
    with torch.no_grad():
        output = double(torch.from_numpy(inputs).double(), output_hidden_states=True)
    states = list(output.hidden_states)
    return np.stack([state.numpy() for state in states], axis=2), output.last_hidden_state.numpy()


def largest(found, wanted):
    """Largest difference, of each layer's standard deviation."""
    return float((np.abs(found - wanted) / wanted.std(axis=(0, 1, 3), keepdims=True)).max())


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_the_hidden_states_and_the_last_one_is_finished(kind, model_of, sound):
    model = model_of(kind)
    inputs, windows = model_input(kind, sound)
    states, finished = states_in_double_precision(model.module, inputs)
    found = model.encoder.layer_frames(model.encoder.embed(windows), slice(None))
    assert model.encoder.own_loop
    assert found.shape[2] == states.shape[2] == N_BLOCKS + 1 == n_layers(model.module)
    assert largest(found[:, :, :-1], states[:, :, :-1]) < CLOSE
    assert largest(found[:, :, -1:], finished[:, :, None]) < CLOSE


@pytest.mark.parametrize("kind", [kind for kind, made in KINDS.items() if made.stable])
def test_last_hidden_state_alone_would_lack_the_final_layer_norm(kind, model_of, sound):
    """Why the rule is needed: transformers gives it before the norm in the convolutional ones."""
    model = model_of(kind)
    inputs, _ = model_input(kind, sound)
    states, finished = states_in_double_precision(model.module, inputs)
    if KINDS[kind].family == "whisper":
        np.testing.assert_array_equal(states[:, :, -1], finished)
    else:
        norm = copy.deepcopy(model.module.encoder.layer_norm).double()
        with torch.no_grad():
            np.testing.assert_allclose(norm(torch.from_numpy(states[:, :, -1])).numpy(), finished)
        assert largest(states[:, :, -1:], finished[:, :, None]) > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [[0], [1], [N_BLOCKS], [N_BLOCKS, 0], [1, N_BLOCKS]])
def test_few_frames_of_few_layers_are_those_of_all(kind, layers, model_of, sound):
    model = model_of(kind)
    _, windows = model_input(kind, sound)
    embedded = model.encoder.embed(windows)
    everything = model.encoder.layer_frames(embedded, slice(None))
    for frames in (slice(40, 41), slice(3, 30, 2), slice(None)):
        found = model.encoder.layer_frames(embedded, frames, layers)
        assert largest(found, everything[:, frames, layers]) < CLOSE


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_a_batch_do_not_touch_each_other(kind, model_of, sound):
    encoder = model_of(kind).encoder
    _, windows = model_input(kind, sound)
    together = encoder.layer_frames(encoder.embed(windows), slice(20, 40))
    alone = encoder.layer_frames(encoder.embed(windows[1:]), slice(20, 40))
    assert largest(together[1:], alone) < CLOSE


@pytest.mark.parametrize("kind", ["wavlm-stable", "wav2vec2-group", "whisper"])
def test_a_block_that_computes_something_else_is_found_and_left_to_transformers(
    kind, sound, caplog, monkeypatch
):
    module = build(kind, "Encoder" if kind == "whisper" else "Model")
    _, windows = model_input(kind, sound)
    wanted = layer_frames(module, windows, slice(5, 9))
    right = blocks.Block.run

    def almost(block, hidden, frames, bias):
        return right(block, hidden, frames, bias) * 1.01

    monkeypatch.setattr(blocks.Block, "run", almost)
    with caplog.at_level(logging.WARNING, logger="braindash"):
        encoder = Encoder(module)
    assert not encoder.own_loop and not encoder.shareable and "slower" in caplog.text
    found = encoder.layer_frames(encoder.embed(windows), slice(5, 9))
    np.testing.assert_array_equal(found, wanted)


def test_blocks_of_unknown_build_are_left_to_transformers(sound, caplog):
    module = build("hubert-group")
    _, windows = model_input("hubert-group", sound)
    wanted = layer_frames(module, windows, slice(5, 9))
    for layer in module.encoder.layers:
        layer.feed_forward_of_tomorrow = layer.feed_forward
        layer.forward = renamed_forward(layer)
        del layer.feed_forward
    with caplog.at_level(logging.WARNING, logger="braindash"):
        encoder = Encoder(module)
    assert not encoder.own_loop and "feed_forward" in caplog.text
    found = encoder.layer_frames(encoder.embed(windows), slice(5, 9))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def renamed_forward(layer):
    """A HuBERT block whose feed-forward part has another name."""

    def forward(hidden, **options):
        attended = layer.layer_norm(hidden + layer.attention(hidden)[0])
        return layer.final_layer_norm(attended + layer.feed_forward_of_tomorrow(attended))

    return forward


def test_wavlms_distances_follow_the_weights(sound):
    """They are kept from window to window, but not across a change of the weights."""
    encoder = Encoder(module := build("wavlm-group"))
    _, windows = model_input("wavlm-group", sound)
    before = encoder.layer_frames(encoder.embed(windows), slice(5, 9))
    with torch.no_grad():
        module.encoder.layers[0].attention.rel_attn_embed.weight.mul_(-2.0)
    after = encoder.layer_frames(encoder.embed(windows), slice(5, 9))
    assert largest(after, before) > 0.01
    assert largest(after, layer_frames(module, windows, slice(5, 9))) < CLOSE
    shorter = windows[:, :9000]
    wanted = layer_frames(module, shorter, slice(5, 9))
    assert largest(encoder.layer_frames(encoder.embed(shorter), slice(5, 9)), wanted) < CLOSE


@pytest.mark.parametrize("kind", ["wav2vec2-stable", "hubert-group", "wavlm-group", "whisper"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_gives_nearly_the_same_layers(kind, precision, model_of, sound):
    """On a CPU, where it is no use but runs the same code as on a GPU."""
    model = model_of(kind)
    _, windows = model_input(kind, sound)
    wanted = model.encoder.layer_frames(model.encoder.embed(windows), slice(None))
    encoder = Encoder(model.module, precision)
    # On processors with AMX, oneDNN's bf16 convolution of groups of 8 channels, which only models
    # as small as these have, gives other numbers altogether.
    with torch.backends.mkldnn.flags(enabled=False):
        found = encoder.layer_frames(encoder.embed(windows), slice(None))
    assert found.dtype == np.float32
    assert largest(found, wanted) > 1e-6
    for layer in range(N_BLOCKS + 1):
        assert np.corrcoef(found[:, :, layer].ravel(), wanted[:, :, layer].ravel())[0, 1] > 0.999
