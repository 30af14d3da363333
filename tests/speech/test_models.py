"""Opening speech models: what is found, what is refused, and what the probe learns."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.models.model_folders import WEIGHTS, answer, edit_json, edit_weights
from kit.models.tiny_models import (
    KINDS,
    N_BLOCKS,
    WHISPER_SECONDS,
    WIDTH,
    build,
    extractor_of,
    save,
)
from safetensors.torch import load_file

from braindash.errors import InputError, ModelError, ResourceError
from braindash.speech.encoder.encoder import layer_frames
from braindash.speech.models import locate, open_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    """A copy of the wav2vec2 folder that a test may damage."""
    return Path(shutil.copytree(folder_of("wav2vec2-group"), tmp_path / "model"))


# --- what is found -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_probe_learns_the_geometry(kind, model_of, folder_of):
    model = model_of(kind)
    stored = load_file(folder_of(kind) / WEIGHTS)
    assert (model.n_layers, model.n_features) == (N_BLOCKS + 1, WIDTH)
    made = KINDS[kind]
    assert (model.hop_samples, model.receptive_field_samples) == (made.hop, made.first)
    assert model.frame_rate_hz == 16000 / made.hop
    assert model.geometry.padded == (WHISPER_SECONDS * 16000 if made.family == "whisper" else None)
    encoder = [tensor for name, tensor in stored.items() if not name.startswith("decoder.")]
    assert model.n_parameters == sum(tensor.numel() for tensor in encoder)
    assert (model.family, model.normalise) == (made.family, made.normalise)
    assert not model.module.training
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}


def test_receptive_field_is_the_shortest_input(model_of):
    model = model_of("wav2vec2-stable")
    shortest = np.zeros((1, model.receptive_field_samples), np.float32)
    assert layer_frames(model.module, shortest, slice(None)).shape[1] == 1
    with pytest.raises(RuntimeError):
        layer_frames(model.module, shortest[:, 1:], slice(None))


def test_locate_needs_no_torch(folder_of):
    code = (
        "import sys; from braindash.speech.models import locate; "
        f"print(locate({str(folder_of('hubert-group'))!r}).family); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "hubert"


@pytest.mark.parametrize("head", ["ForCTC", "ForPreTraining"])
def test_checkpoint_with_a_head_gives_the_encoder(head, tmp_path, caplog):
    whole = build("wav2vec2-group", head, proj_codevector_dim=8, codevector_dim=8)
    save(whole, tmp_path / "whole")
    save(whole.wav2vec2, tmp_path / "bare")
    with caplog.at_level(logging.INFO, logger="braindash"):
        features = answer(tmp_path / "whole")
    np.testing.assert_array_equal(features, answer(tmp_path / "bare"))
    assert "lm_head.weight" in caplog.text or "quantizer.codevectors" in caplog.text


@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        ("wav2vec2-mms", "wav2vec2"),
        ("hubert-stable", "hubert"),
        ("wavlm-stable", "wavlm"),
        ("data2vec", "data2vec_audio"),
    ],
)
@pytest.mark.parametrize("head", ["ForCTC", "ForSequenceClassification"])
def test_fine_tuned_model_of_every_family_gives_the_encoder(kind, inside, head, tmp_path, caplog):
    whole = build(kind, head)
    save(whole, tmp_path / "whole")
    save(getattr(whole, inside), tmp_path / "bare")
    with caplog.at_level(logging.INFO, logger="braindash"):
        found = answer(tmp_path / "whole")
    np.testing.assert_array_equal(found, answer(tmp_path / "bare"))
    assert ("lm_head.weight" if head == "ForCTC" else "classifier.weight") in caplog.text
    np.testing.assert_array_equal(found, answer(getattr(whole, inside)))


# --- Whisper -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "inside", "options"),
    [
        ("Model", "encoder", {}),
        ("ForConditionalGeneration", "model.encoder", {}),
        ("ForConditionalGeneration", "model.encoder", {"max_shard_size": "20KB"}),
        ("ForAudioClassification", "encoder", {}),
        ("Encoder", "", {}),
    ],
)
def test_every_way_to_save_whisper_gives_the_trained_encoder(
    head, inside, options, tmp_path, caplog
):
    """Among them an encoder saved alone, which AutoModel would fill with random weights."""
    whole = build("whisper", head)
    whole.save_pretrained(tmp_path, **options)
    extractor_of("whisper").save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, logger="braindash"):
        model = open_model(tmp_path, device="cpu")
    wanted = whole.get_submodule(inside).state_dict()
    found = model.module.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    # A decoder or a head is left out without a warning.
    assert caplog.text == ""


def test_whisper_that_lacks_a_weight_is_refused(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("whisper"), tmp_path / "model"))
    name = "encoder.layers.1.fc1.weight"
    edit_weights(folder / WEIGHTS, lambda tensors: {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ModelError, match=r"layers\.1\.fc1\.weight"):
        open_model(folder, device="cpu")


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("preprocessor_config.json", {"feature_size": 128}, "feature_size to 128"),
        ("preprocessor_config.json", {"chunk_length": 30}, "chunk_length to 30"),
        ("preprocessor_config.json", {"hop_length": 320}, "hop_length to 320"),
        ("preprocessor_config.json", {"do_normalize": "yes"}, "do_normalize 'yes'"),
        ("config.json", {"max_source_positions": 75}, "max_source_positions to 75"),
        ("config.json", {"max_source_positions": None}, "max_source_positions to None"),
        ("config.json", {"d_model": 0}, "d_model to 0"),
    ],
)
def test_whisper_with_settings_of_another_spectrogram_is_refused(
    file, changes, says, folder_of, tmp_path
):
    folder = Path(shutil.copytree(folder_of("whisper"), tmp_path / "model"))
    edit_json(folder / file, **changes)
    with pytest.raises(ModelError, match=says):
        locate(folder)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "hubert-stable", "wavlm-group"])
def test_both_spellings_of_the_positional_convolution_load(kind, folder_of, tmp_path):
    old = Path(shutil.copytree(folder_of(kind), tmp_path / "old"))
    spellings = {"original0": "weight_g", "original1": "weight_v"}

    def respell(tensors):
        renamed = {}
        for key, tensor in tensors.items():
            name = key
            for new, former in spellings.items():
                name = name.replace(f"parametrizations.weight.{new}", former)
            renamed[name] = tensor
        assert sum(name.endswith(("weight_g", "weight_v")) for name in renamed) == 2
        return renamed

    edit_weights(old / WEIGHTS, respell)
    np.testing.assert_array_equal(answer(old), answer(folder_of(kind)))


def test_shards_and_torch_files_load_like_one_file(folder_of, tmp_path):
    from transformers import Wav2Vec2Model

    single = folder_of("wav2vec2-group")
    model = Wav2Vec2Model.from_pretrained(single)
    shards = save(model, tmp_path / "shards", max_shard_size="30KB")
    assert len(locate(shards).weights) > 1
    binary = Path(shutil.copytree(single, tmp_path / "binary"))
    (binary / WEIGHTS).unlink()
    torch.save(model.state_dict(), binary / "pytorch_model.bin")
    np.testing.assert_array_equal(answer(shards), answer(single))
    np.testing.assert_array_equal(answer(binary), answer(single))


def test_half_precision_checkpoint_runs_in_float32(folder):
    edit_weights(folder / WEIGHTS, lambda tensors: {n: t.half() for n, t in tensors.items()})
    edit_json(folder / "config.json", dtype="float16")
    module = open_model(folder, device="cpu").module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_masking_vector_may_be_missing(folder):
    before = answer(folder)

    def drop(tensors):
        return {name: t for name, t in tensors.items() if "masked_spec_embed" not in name}

    edit_weights(folder / WEIGHTS, drop)
    np.testing.assert_array_equal(answer(folder), before)


def test_preprocessor_settings_nested_in_the_processor_file(folder):
    (folder / "preprocessor_config.json").unlink()
    assert locate(folder).normalise  # the family's own default
    nested = {"feature_extractor": {"do_normalize": False, "sampling_rate": 16000}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    assert not locate(folder).normalise


# --- fingerprints ------------------------------------------------------------------------------


def test_fingerprint_ignores_place_and_bookkeeping(folder, folder_of):
    before = locate(folder).fingerprint
    assert before == locate(folder_of("wav2vec2-group")).fingerprint
    edit_json(
        folder / "config.json",
        transformers_version="4.0.0",
        _name_or_path="elsewhere",
        torch_dtype="float32",
        architectures=["Wav2Vec2ForCTC"],
    )
    assert locate(folder).fingerprint == before


def test_fingerprint_follows_weights_configuration_and_normalisation(folder):
    seen = {locate(folder).fingerprint}

    def nudge(tensors):
        name = "encoder.layers.1.attention.v_proj.weight"
        tensors[name][3, 4] += 1e-6
        return tensors

    edit_weights(folder / WEIGHTS, nudge)
    seen.add(locate(folder).fingerprint)
    edit_json(folder / "config.json", layer_norm_eps=1e-3)
    seen.add(locate(folder).fingerprint)
    edit_json(folder / "preprocessor_config.json", do_normalize=False)
    seen.add(locate(folder).fingerprint)
    assert len(seen) == 4


# --- what is refused ---------------------------------------------------------------------------


def test_missing_weight_is_refused(folder):
    name = "encoder.layers.1.attention.k_proj.weight"
    edit_weights(folder / WEIGHTS, lambda tensors: {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ModelError, match=name) as caught:
        open_model(folder)
    assert "random" in caught.value.hint


def test_misshapen_weight_is_refused(folder):
    edit_json(folder / "config.json", intermediate_size=40)
    with pytest.raises(ModelError, match=r"misshapes .*\(48, 32\) instead of \(40, 32\)"):
        open_model(folder)


def test_damaged_weights_are_refused(folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_model(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    def spoil(tensors):
        tensors["encoder.layers.0.final_layer_norm.bias"][0] = float("nan")
        return tensors

    edit_weights(folder / WEIGHTS, spoil)
    with pytest.raises(ModelError, match="NaN"):
        open_model(folder)


class Trap:
    """Would create a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_code_in_a_torch_file_is_never_run(folder, tmp_path):
    (folder / WEIGHTS).unlink()
    torch.save({"weight": Trap(tmp_path / "sprung")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        open_model(folder)
    assert not (tmp_path / "sprung").exists()


def test_missing_part_is_named(folder, folder_of, tmp_path):
    from transformers import Wav2Vec2Model

    shards = tmp_path / "shards"
    model = Wav2Vec2Model.from_pretrained(folder_of("wav2vec2-group"))
    save(model, shards, max_shard_size="30KB")
    gone = locate(shards).weights[1]
    gone.unlink()
    with pytest.raises(ModelError, match=gone.name):
        locate(shards)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "no weights"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "no JSON object"),
        (
            lambda folder: edit_json(folder / "config.json", model_type="huberts"),
            "Leave model_type",
        ),
        (lambda folder: edit_json(folder / "config.json", model_type="bert"), "types wav2vec2, "),
        (lambda folder: edit_json(folder / "config.json", model_type="whisper"), "encoder_layers"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "adapter"),
        (
            lambda folder: edit_json(folder / "preprocessor_config.json", sampling_rate=8000),
            "8000",
        ),
        (
            lambda folder: (folder / WEIGHTS).write_text("version https://git-lfs.github.com/"),
            "git lfs pull",
        ),
    ],
)
def test_folders_that_are_no_models_are_refused(damage, says, folder):
    damage(folder)
    with pytest.raises(ModelError, match=says):
        locate(folder)


def test_paths_that_are_no_folders_are_refused(folder):
    with pytest.raises(ModelError, match="is a file"):
        locate(folder / WEIGHTS)
    with pytest.raises(ModelError, match="no model folder"):
        locate("./no/such/folder")
    with pytest.raises(InputError, match="revision"):
        locate(folder, revision="main")


def test_devices(folder):
    with pytest.raises(InputError, match="'gpu'"):
        open_model(folder, device="gpu")
    with pytest.raises(ResourceError, match="99"):
        open_model(folder, device="cuda:99")
    assert open_model(folder, device="cpu").device == "cpu"


# --- the hub -----------------------------------------------------------------------------------


@pytest.fixture
def offline_hub(tmp_path, monkeypatch) -> Path:
    """An empty hub cache, with downloads forbidden."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_hub_model_that_cannot_be_had_names_the_local_way(offline_hub):
    with pytest.raises(ModelError, match="facebook/hubert-base-ls960") as caught:
        locate("facebook/hubert-base-ls960")
    assert "hf download facebook/hubert-base-ls960 --local-dir" in caught.value.hint


def test_hub_model_in_the_cache_is_found_offline(offline_hub, folder_of):
    cached = offline_hub / "models--lab--tiny"
    shutil.copytree(folder_of("hubert-group"), cached / "snapshots" / COMMIT)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    files = locate("lab/tiny")
    assert (files.name, files.revision) == ("lab/tiny", COMMIT)
    assert files.fingerprint == locate(folder_of("hubert-group")).fingerprint


def test_hub_download_takes_torch_files_only_when_there_is_nothing_safer(
    folder_of, tmp_path, monkeypatch
):
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((revision, allow_patterns))
        target = tmp_path / COMMIT
        target.mkdir(exist_ok=True)
        shutil.copy(folder_of("hubert-group") / "config.json", target)
        if len(asked) == 3:
            (target / "pytorch_model.bin").write_bytes(b"weights")
        return str(target)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    files = locate("lab/old", revision="main")
    assert [revision for revision, _ in asked] == ["main", COMMIT, COMMIT]
    assert not any("bin" in pattern for _, patterns in asked[:2] for pattern in patterns)
    assert [path.name for path in files.weights] == ["pytorch_model.bin"]
