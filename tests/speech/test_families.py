"""Every family: its layers are transformers' own hidden states, its frames lie where it says."""

import copy
import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from kit.models.model_folders import edit_json, edit_weights
from kit.models.tiny_models import MORE, N_BLOCKS, WHISPER_SECONDS, WIDTH, build, extractor_of
from safetensors.torch import load_file

from braindash.errors import InputError, ModelError
from braindash.speech.checkpoints.families import FAMILIES, MODEL_TYPES, NOT_OPENED
from braindash.speech.checkpoints.locate import locate
from braindash.speech.features import extract, plan_windows, window_features
from braindash.speech.models import open_model
from braindash.speech.training.saving import check_base

# In units of a layer's standard deviation, against double precision.
CLOSE = 2e-4
RATE = 16000
# Heads that checkpoints of each family have, and where the encoder lies under them.
HEADS = {
    "unispeech": ("ForCTC", "unispeech"),
    "unispeech-sat": ("ForXVector", "unispeech_sat"),
    "conformer-relative": ("ForXVector", "wav2vec2_conformer"),
    "conformer-rotary": ("ForSequenceClassification", "wav2vec2_conformer"),
    "sew": ("ForCTC", "sew"),
    "moonshine": ("ForConditionalGeneration", "model.encoder"),
    "w2v-bert": ("ForCTC", "wav2vec2_bert"),
    "parakeet": ("ForCTC", "encoder"),
    "qwen2-audio": ("ForConditionalGeneration", "model.audio_tower"),
    "voxtral": ("ForConditionalGeneration", "model.audio_tower"),
    "ast": ("ForAudioClassification", "audio_spectrogram_transformer"),
}
PADDED = {"qwen2-audio": WHISPER_SECONDS, "voxtral": WHISPER_SECONDS, "ast": 3}


@pytest.fixture(scope="module")
def whole():
    """The model of each kind with its head, made once; never changed."""
    made = {}

    def find(kind):
        if kind not in made:
            made[kind] = build(kind, HEADS[kind][0])
        return made[kind]

    return find


@pytest.fixture(scope="module")
def folder_of(whole, tmp_path_factory):
    """Folder of each kind with its head, written once; never changed by a test."""
    made = {}

    def find(kind) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            whole(kind).save_pretrained(made[kind])
            extractor_of(kind).save_pretrained(made[kind])
        return made[kind]

    return find


@pytest.fixture(scope="module")
def model_of(folder_of):
    """Opened model of each kind, from the checkpoint with its head."""
    made = {}

    def find(kind):
        if kind not in made:
            made[kind] = open_model(folder_of(kind), device="cpu")
        return made[kind]

    return find


def own_states(kind, encoder, waves):
    """Layers as transformers itself tells them, (n_windows, n_frames, n_layers, n_features).

    The input is what the checkpoint's own preprocessor makes, with its attention mask. The last
    layer is what the family's rule says.
    """
    made = extractor_of(kind)(list(waves), sampling_rate=RATE, return_tensors="pt")
    name = "input_features" if "input_features" in made else "input_values"
    given = {name: made[name].double()}
    if kind in ("w2v-bert", "parakeet"):
        given["attention_mask"] = made["attention_mask"]
    double = copy.deepcopy(encoder).double()
    blocks = (double.encoder if hasattr(double, "encoder") else double).layers
    outputs = []
    blocks[-1].register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        output = double(**given, output_hidden_states=True)
        last = outputs[0] if isinstance(outputs[0], torch.Tensor) else outputs[0][0]
        rule = FAMILIES[MORE[kind].family].last
        if rule == "normed":
            last = double.layer_norm(last)
        elif rule == "stack":
            last = output.last_hidden_state
    states = [*output.hidden_states[:N_BLOCKS], last]
    if kind == "ast":
        # Mean of the five patches above each other; the first two are no patches.
        states = [one[:, 2:].unflatten(1, (5, -1)).mean(1) for one in states]
    return torch.stack(states, dim=2).numpy()


def largest(found, wanted):
    """Largest difference, of each layer's standard deviation."""
    return float((np.abs(found - wanted) / wanted.std(axis=(0, 1, 3), keepdims=True)).max())


def prepared(model, waves):
    from braindash.speech.encoder.encoder import normalised

    return normalised(waves) if model.normalise else waves


# --- layers and frames ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "n_samples"),
    [*((kind, 20800) for kind in MORE), ("w2v-bert", 20960), ("parakeet", 20960)],
)
def test_every_layer_is_transformers_own(kind, n_samples, model_of, whole, sound):
    """Also where a spectrogram has an odd column at its end."""
    model = model_of(kind)
    waves = np.stack([sound[:n_samples], sound[n_samples : 2 * n_samples]])
    wanted = own_states(kind, whole(kind).get_submodule(HEADS[kind][1]), waves)
    found = model.encoder.layer_frames(model.encoder.embed(prepared(model, waves)), slice(None))
    assert found.shape[2:] == (N_BLOCKS + 1, WIDTH) == (model.n_layers, model.n_features)
    n_frames = found.shape[1]
    assert largest(found, wanted[:, :n_frames]) < CLOSE
    assert np.diff(found, axis=2).std() > 0.05


@pytest.mark.parametrize("kind", MORE)
def test_frames_lie_where_the_geometry_says(kind, model_of, sound):
    model, made = model_of(kind), MORE[kind]
    assert (model.hop_samples, model.receptive_field_samples) == (made.hop, made.first)
    assert model.geometry.padded == (PADDED[kind] * RATE if kind in PADDED else None)
    for n_samples in (1600, 3200, 4800, 16000, 27200):
        given = prepared(model, sound[None, :n_samples])
        frames = model.encoder.layer_frames(model.encoder.embed(given), slice(None), [0])
        heard = n_samples if model.geometry.padded is None else model.geometry.padded
        expected = model.geometry.n_frames(heard)
        # Parakeet has a frame more where a part of its eight columns is there.
        assert frames.shape[1] in {expected, expected + (kind == "parakeet")}


@pytest.mark.parametrize("kind", MORE)
@pytest.mark.parametrize("strategy", ["exact", "chunk"])
def test_windows_are_cut_and_features_come_out(kind, strategy, model_of, sound):
    model = model_of(kind)
    audio = sound[: 5 * RATE]
    plan = plan_windows(model, len(audio), strategy)
    taken = [plan[0], plan[-1]]
    for window, frames in window_features(model, audio, taken):
        assert frames.shape == (len(window.times), N_BLOCKS + 1, WIDTH)
        given = prepared(model, audio[None, window.start : window.end])
        alone = model.encoder.layer_frames(model.encoder.embed(given), slice(None))
        wanted = alone[0, window.frames]
        assert np.abs(frames - wanted).max() <= 1e-4 * wanted.std()
    if strategy == "chunk":
        times = np.concatenate([window.times for window in plan])
        np.testing.assert_allclose(np.diff(times), model.hop_samples / RATE)
        rows = extract(model, audio, np.arange(1.0, 5.0), strategy=strategy, tr=1.0)
        assert rows.shape == (N_BLOCKS + 1, 4, WIDTH) and np.isfinite(rows).all()


def test_whisper_of_128_bands_hears_them_all(tmp_path, sound):
    """As large-v3 does."""
    whole = build("whisper", num_mel_bins=128)
    whole.save_pretrained(tmp_path)
    made = transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=WHISPER_SECONDS)
    made.save_pretrained(tmp_path)
    model = open_model(tmp_path, device="cpu")
    waves = sound[None, :20800]
    given = made(list(waves), sampling_rate=RATE, return_tensors="pt").input_features
    assert given.shape[1] == 128
    with torch.no_grad():
        states = whole.encoder(given, output_hidden_states=True).hidden_states
    found = model.encoder.layer_frames(model.encoder.embed(waves), slice(None))
    assert model.encoder.own_loop
    assert largest(found, torch.stack(list(states), dim=2).numpy()) < CLOSE


@pytest.mark.parametrize("kind", MORE)
def test_only_families_of_the_own_loop_are_run_by_it(kind, model_of):
    model = model_of(kind)
    family = FAMILIES[model.family]
    assert model.family == MORE[kind].family
    assert model.encoder.own_loop == family.own_loop
    assert model.encoder.shareable == (family.own_loop and MORE[kind].local)
    assert model.normalise == MORE[kind].normalise


# --- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MORE)
def test_the_encoder_alone_opens_as_the_one_under_a_head(kind, model_of, whole, tmp_path, caplog):
    whole(kind).get_submodule(HEADS[kind][1]).save_pretrained(tmp_path)
    extractor_of(kind).save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, logger="braindash"):
        alone = open_model(tmp_path, device="cpu")
    assert caplog.text == ""
    found, wanted = alone.module.state_dict(), model_of(kind).module.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


@pytest.mark.parametrize("kind", ["conformer-relative", "parakeet", "voxtral", "ast"])
def test_what_was_left_out_is_said(kind, folder_of, caplog):
    with caplog.at_level(logging.INFO, logger="braindash"):
        open_model(folder_of(kind), device="cpu")
    said = {
        "conformer-relative": "tdnn",
        "parakeet": "ctc_head",
        "voxtral": "language_model",
        "ast": "classifier",
    }
    assert said[kind] in caplog.text and "left out" in caplog.text


@pytest.mark.parametrize("kind", MORE)
def test_a_weight_that_is_missing_is_never_random(kind, folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of(kind), tmp_path / "model"))
    stored = folder / "model.safetensors"
    name = next(
        name
        for name in load_file(stored)
        if re.search(r"layers?\.1\..*norm.*weight", name)
        and not re.search("decoder|language", name)
    )
    edit_weights(stored, lambda tensors: {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ModelError, match="lacks 1 of its weights"):
        open_model(folder, device="cpu")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("unispeech-sat", torch.float16), ("parakeet", torch.bfloat16), ("voxtral", torch.bfloat16)],
)
def test_half_precision_weights_open_in_float32(kind, dtype, tmp_path, whole):
    half = copy.deepcopy(whole(kind)).to(dtype)
    half.save_pretrained(tmp_path)
    extractor_of(kind).save_pretrained(tmp_path)
    opened = open_model(tmp_path, device="cpu").module
    wanted = half.get_submodule(HEADS[kind][1]).state_dict()
    assert all(
        torch.equal(tensor, wanted[name].float())
        for name, tensor in opened.state_dict().items()
        if tensor.is_floating_point()
    )


@pytest.mark.parametrize("kind", MORE)
def test_untrained_controls_are_drawn(kind, folder_of, model_of):
    control = open_model(f"untrained:{folder_of(kind)}@3", device="cpu")
    found, trained = control.module.state_dict(), model_of(kind).module.state_dict()
    assert found.keys() == trained.keys()
    assert any(not torch.equal(found[name], tensor) for name, tensor in trained.items())
    assert control.geometry == model_of(kind).geometry


@pytest.mark.parametrize("kind", MORE)
def test_a_missing_preprocessor_is_said_and_the_familys_own_is_taken(
    kind, folder_of, tmp_path, caplog
):
    folder = Path(shutil.copytree(folder_of(kind), tmp_path / "model"))
    (folder / "preprocessor_config.json").unlink()
    with caplog.at_level(logging.WARNING, logger="braindash"):
        files = locate(folder)
    assert "has no preprocessor_config.json" in caplog.text
    assert files.normalise == MORE[kind].normalise


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("w2v-bert", {"stride": 4}, "stride to 4"),
        ("w2v-bert", {"num_mel_bins": 40}, "num_mel_bins to 40"),
        ("parakeet", {"hop_length": 320}, "hop_length to 320"),
        ("parakeet", {"preemphasis": 0.9}, "preemphasis to 0.9"),
        ("moonshine", {"sampling_rate": 8000}, "sampling_rate 8000"),
        ("ast", {"std": 0}, "std to 0"),
        ("ast", {"max_length": 1024}, "max_length to 1024"),
        ("voxtral", {"feature_size": 80}, "feature_size to 80"),
    ],
)
def test_another_spectrogram_is_refused(kind, changes, says, folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of(kind), tmp_path / "model"))
    edit_json(folder / "preprocessor_config.json", **changes)
    with pytest.raises(ModelError, match=says):
        locate(folder)


def test_a_configuration_that_cannot_be_run_is_told(folder_of, tmp_path):
    """Built it can be; what it raises when it runs is transformers' own."""
    folder = Path(shutil.copytree(folder_of("voxtral"), tmp_path / "model"))
    whole = json.loads((folder / "config.json").read_text())
    edit_json(folder / "config.json", audio_config=whole["audio_config"] | {"dropout": 5})
    with pytest.raises(ModelError, match="cannot be run: ValueError: dropout"):
        open_model(folder, device="cpu")


def test_the_scale_of_asts_spectrogram_is_part_of_the_model(folder_of, tmp_path, sound):
    folder = Path(shutil.copytree(folder_of("ast"), tmp_path / "model"))
    edit_json(folder / "preprocessor_config.json", mean=0.0)
    assert locate(folder).fingerprint != locate(folder_of("ast")).fingerprint
    first, second = (
        open_model(one, device="cpu").encoder.embed(sound[None, :RATE])
        for one in (folder_of("ast"), folder)
    )
    np.testing.assert_allclose((first - second).numpy(), 5.0 / 6.0, atol=1e-5)


# --- towers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qwen2-audio", "voxtral"])
def test_of_a_large_model_only_the_parts_with_the_tower_are_read(
    kind, whole, model_of, tmp_path, monkeypatch
):
    """The other parts need not even be there, and may change without changing the tower."""
    whole(kind).save_pretrained(tmp_path, max_shard_size="5KB")
    extractor_of(kind).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    tower = {part for name, part in index.items() if "audio_tower." in name}
    others = set(index.values()) - tower
    assert len(tower) > 1 and others
    before = locate(tmp_path).fingerprint
    for part in others:
        (tmp_path / part).unlink()
    files = locate(tmp_path)
    assert {path.name for path in files.weights} == tower and files.fingerprint == before
    edit_json(tmp_path / "config.json", text_config={"vocab_size": 7})
    assert locate(tmp_path).fingerprint == before
    read = []
    real = open_model.__globals__["load_encoder"]
    monkeypatch.setitem(open_model.__globals__, "load_encoder", lambda f: read.append(f) or real(f))
    found = open_model(tmp_path, device="cpu").module.state_dict()
    wanted = model_of(kind).module.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items()) and read


def test_tower_in_pickled_weights_is_refused(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("voxtral"), tmp_path / "model"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin") as caught:
        open_model(folder, device="cpu")
    assert "safetensors" in caught.value.hint


def test_of_a_hub_model_only_the_parts_with_the_tower_are_downloaded(whole, tmp_path, monkeypatch):
    stored = tmp_path / "stored"
    whole("voxtral").save_pretrained(stored, max_shard_size="5KB")
    extractor_of("voxtral").save_pretrained(stored)
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append(allow_patterns)
        return str(stored)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    files = locate("lab/large")
    parts = {path.name for path in files.weights}
    assert parts <= set(asked[-1]) and "model*.safetensors" not in asked[-1]
    assert not any("safetensors" in pattern for pattern in asked[0] if "index" not in pattern)


# --- what is not opened --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOT_OPENED)
def test_a_model_that_is_not_opened_says_why_and_suggests_no_other_type(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}))
    with pytest.raises(ModelError, match="does not open") as caught:
        locate(tmp_path)
    assert NOT_OPENED[name] in caught.value.message
    assert "Did you mean" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "wav2vec3"}, "'wav2vec3', which braindash cannot open"),
        ({"model_type": "bert"}, "'bert', which braindash cannot open"),
        ({"architectures": ["HubertModel"]}, "names no model type"),
        ({"model_type": 3}, "names no model type"),
    ],
)
def test_an_unknown_type_is_never_told_to_be_another(config, says, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=says) as caught:
        locate(tmp_path)
    assert "Did you mean" not in caught.value.hint
    assert all(name in caught.value.hint for name in MODEL_TYPES)
    if "architectures" in config:
        assert "HubertModel" in caught.value.hint


def test_families_that_tuning_does_not_know_are_refused_by_it(folder_of):
    with pytest.raises(InputError, match="scored and probed only") as caught:
        check_base(locate(folder_of("sew")), adapter=False)
    assert "HuBERT" in caught.value.hint
    check_base(locate(folder_of("unispeech-sat")), adapter=False)
