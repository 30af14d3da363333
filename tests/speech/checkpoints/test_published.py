"""Importing brain-tuned checkpoints: every published form, and what must not pass."""

import json
import logging
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.models.model_folders import WEIGHTS, answer
from kit.models.tiny_models import KINDS, N_BLOCKS, build, save
from safetensors.torch import load_file, save_file
from torch import nn

from braindash.errors import InputError, ModelError
from braindash.files import digest_file
from braindash.speech.checkpoints.locate import locate
from braindash.speech.checkpoints.published import RECORD_FILE, import_checkpoint
from braindash.speech.models import load_encoder, open_model

# Name of the encoder in the training script -> kind of its base.
KIND = {
    "wav2vec": "wav2vec2-group",
    "wav2vec2": "wav2vec2-stable",
    "hubert": "hubert-group",
    "wavlm": "wavlm-stable",
    "data2vec_audio": "data2vec",
}
N_VOXELS = 7
RANK, ALPHA = 4, 16.0
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
DENSE = ("intermediate_dense", "output_dense")


class Tuned(nn.Module):
    """An encoder under a name of its own and a linear head, as the training scripts have them."""

    def __init__(self, name: str, encoder: nn.Module) -> None:
        super().__init__()
        setattr(self, name, encoder)
        self.linear = nn.Linear(encoder.config.hidden_size, N_VOXELS)


@pytest.fixture
def base(folder_of, tmp_path):
    """Folder of an untuned tiny model: ``base("wav2vec")``."""
    return lambda name: Path(shutil.copytree(folder_of(KIND[name]), tmp_path / f"base-{name}"))


def tuned(name: str, folder: Path) -> nn.Module:
    """The base with every weight moved a little, but for the frozen front end."""
    import transformers

    class_name = f"{KINDS[KIND[name]].name}Model"
    encoder = getattr(transformers, class_name).from_pretrained(folder)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for key, parameter in encoder.named_parameters():
            if not key.startswith("feature_extractor."):
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return encoder.eval()


def published(name: str, folder: Path) -> tuple[nn.Module, OrderedDict]:
    """The tuned encoder, and the state dictionary that its training script would save."""
    encoder = tuned(name, folder)
    return encoder, nn.DataParallel(Tuned(name, encoder)).state_dict()


def write(state, path: Path) -> Path:
    torch.save(state, path)
    return path


# --- every published form ----------------------------------------------------------------------


@pytest.mark.parametrize("name", KIND)
def test_whole_model_comes_back_with_equal_weights(name, base, tmp_path):
    folder = base(name)
    encoder, state = published(name, folder)
    assert {key.split(".")[1] for key in state} == {name, "linear"}
    file = write(state, tmp_path / "epoch_10.pth")
    record = import_checkpoint(file, base=folder, out=tmp_path / "out")
    written = load_file(tmp_path / "out" / WEIGHTS)
    assert written.keys() == encoder.state_dict().keys()
    for key, tensor in encoder.state_dict().items():
        torch.testing.assert_close(written[key], tensor, rtol=0, atol=0)
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))
    assert (tmp_path / "out" / "preprocessor_config.json").read_bytes() == (
        folder / "preprocessor_config.json"
    ).read_bytes()
    assert (record.form, record.head_shape, record.n_duplicates) == ("whole", (N_VOXELS, 32), 0)


def test_record_says_what_was_made_of_what(base, tmp_path):
    folder = base("hubert")
    encoder, state = published("hubert", folder)
    file = write(state, tmp_path / "tuned.pth")
    record = import_checkpoint(file, base=folder, out=tmp_path / "a" / "out")
    found = json.loads((tmp_path / "a" / "out" / RECORD_FILE).read_text())
    assert found == json.loads(json.dumps(record.as_dict()))
    assert found["checkpoint"] == "tuned.pth" and found["checkpoint_digest"] == digest_file(file)
    assert found["base_fingerprint"] == locate(folder).fingerprint
    assert found["fingerprint"] == locate(tmp_path / "a" / "out").fingerprint
    assert str(tmp_path) not in json.dumps(found)
    assert len({path.stat().st_mode for path in (tmp_path / "a" / "out").iterdir()}) == 1
    before = load_file(folder / WEIGHTS)
    after = encoder.state_dict()
    assert found["n_tensors"] == len(after)
    assert found["n_equal_to_base"] == sum(torch.equal(after[k], before[k]) for k in after)
    assert found["front_end_equal"] is True
    keys = [key for key in after if key != "masked_spec_embed"]
    flat = [torch.cat([w[key].flatten() for key in keys]).double() for w in (before, after)]
    change = float((flat[1] - flat[0]).norm() / flat[0].norm())
    assert found["relative_change"] == pytest.approx(change, rel=1e-6)


@pytest.mark.parametrize("wrapper", ["", "module.module."])
def test_wrapper_may_be_missing_or_doubled(wrapper, base, tmp_path):
    folder = base("wav2vec")
    encoder, state = published("wav2vec", folder)
    state = {wrapper + key.removeprefix("module."): tensor for key, tensor in state.items()}
    import_checkpoint(write(state, tmp_path / "x.pth"), base=folder, out=tmp_path / "out")
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))


@pytest.mark.parametrize("name", [name for name in KIND if name != "data2vec_audio"])
def test_former_spelling_of_the_positional_convolution(name, base, tmp_path):
    folder = base(name)
    encoder, state = published(name, folder)
    former = {"parametrizations.weight.original0": "weight_g"}
    former |= {"parametrizations.weight.original1": "weight_v"}
    respelled = {}
    for name, tensor in state.items():
        key = name
        for new, old in former.items():
            key = key.replace(new, old)
        respelled[key] = tensor
    assert sum(key.endswith(("weight_g", "weight_v")) for key in respelled) == 2
    import_checkpoint(write(respelled, tmp_path / "x.pth"), base=folder, out=tmp_path / "out")
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))


def test_file_of_an_old_torch_in_half_precision(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    state = {key: tensor.half() for key, tensor in state.items()}
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    import_checkpoint(tmp_path / "x.pth", base=folder, out=tmp_path / "out")
    written = load_file(tmp_path / "out" / WEIGHTS)
    for key, tensor in written.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[f"module.wav2vec.{key}"].float())


def test_mask_vector_may_be_missing_and_is_the_bases_own(base, tmp_path):
    folder = base("wav2vec")
    encoder, state = published("wav2vec", folder)
    del state["module.wav2vec.masked_spec_embed"]
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=folder, out=tmp_path / "out")
    assert record.from_base == ("masked_spec_embed",)
    own = load_file(folder / WEIGHTS)["masked_spec_embed"]
    assert torch.equal(load_file(tmp_path / "out" / WEIGHTS)["masked_spec_embed"], own)
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))


def test_what_nobody_has_is_the_same_each_time(base, tmp_path):
    folder = base("wav2vec")
    tensors = load_file(folder / WEIGHTS)
    del tensors["masked_spec_embed"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    _, state = published("wav2vec", folder)
    del state["module.wav2vec.masked_spec_embed"]
    file = write(state, tmp_path / "x.pth")
    prints = {import_checkpoint(file, base=folder, out=tmp_path / o).fingerprint for o in "ab"}
    assert len(prints) == 1


# --- low-rank adapters -------------------------------------------------------------------------


class Adapted(nn.Module):
    """A linear layer with an adapter, with the parameters that peft gives it."""

    def __init__(self, layer: nn.Linear, alpha: float, seed: int) -> None:
        super().__init__()
        self.base_layer, self.scale = layer, alpha / RANK
        generator = torch.Generator().manual_seed(seed)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, RANK, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(RANK, layer.out_features, bias=False)})
        with torch.no_grad():
            for side in (self.lora_A, self.lora_B):
                weight = side["default"].weight
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))

    def forward(self, values):
        low = self.lora_B["default"](self.lora_A["default"](values))
        return self.base_layer(values) + self.scale * low


def adapted(name: str, folder: Path, alpha: float = ALPHA) -> tuple[nn.Module, OrderedDict]:
    """An encoder with adapters that computes, and the state dictionary with everything twice."""
    encoder = tuned(name, folder)
    # WavLM's attention does not hear adapters: its feed-forward part has them.
    part, layers = ("feed_forward", DENSE) if name == "wavlm" else ("attention", PROJECTIONS)
    for number, block in enumerate(encoder.encoder.layers):
        for place, layer in enumerate(layers):
            module = getattr(block, part)
            old = getattr(module, layer)
            setattr(module, layer, Adapted(old, alpha, 10 * number + place))
    inner = encoder.state_dict()
    state = OrderedDict({f"module.{name}.{key}": tensor for key, tensor in inner.items()})
    state |= {f"module.lora_model.base_model.model.{key}": t for key, t in inner.items()}
    state["module.linear.weight"] = torch.zeros(N_VOXELS, 32)
    state["module.linear.bias"] = torch.zeros(N_VOXELS)
    return encoder.eval(), state


@pytest.mark.parametrize("name", KIND)
def test_adapters_are_folded_in(name, base, tmp_path):
    folder = base(name)
    encoder, state = adapted(name, folder)
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=folder, out=tmp_path / "out", lora_alpha=ALPHA)
    written, inner = load_file(tmp_path / "out" / WEIGHTS), encoder.state_dict()
    wavlm = name == "wavlm"
    layer = f"encoder.layers.1.{'feed_forward.output_dense' if wavlm else 'attention.v_proj'}"
    low = inner[f"{layer}.lora_B.default.weight"] @ inner[f"{layer}.lora_A.default.weight"]
    expected = inner[f"{layer}.base_layer.weight"] + 4.0 * low  # alpha 16 / rank 4
    torch.testing.assert_close(written[f"{layer}.weight"], expected)
    assert torch.equal(written[f"{layer}.bias"], inner[f"{layer}.base_layer.bias"])
    np.testing.assert_allclose(answer(tmp_path / "out"), answer(encoder), atol=3e-4)
    # The adapters matter: without them the answer is another one.
    assert np.abs(answer(tmp_path / "out") - answer(tuned(name, folder))).max() > 0.01
    assert (record.form, record.lora_rank, record.lora_alpha) == ("lora", RANK, ALPHA)
    assert record.n_lora_layers == (2 if wavlm else 4) * N_BLOCKS
    assert record.n_duplicates == len(encoder.state_dict())


def test_adapters_alone_under_one_name_and_with_the_published_alpha(base, tmp_path):
    folder = base("wav2vec")
    encoder, state = adapted("wav2vec", folder, alpha=32.0)
    state = {key: tensor for key, tensor in state.items() if "module.wav2vec." not in key}
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=folder, out=tmp_path / "out")
    assert (record.lora_alpha, record.n_duplicates) == (32.0, 0)
    np.testing.assert_allclose(answer(tmp_path / "out"), answer(encoder), atol=3e-4)


def without(part: str):
    def change(state):
        for key in [key for key in state if part in key]:
            del state[key]

    return change


def second_adapter(state):
    state |= {k.replace("default", "other"): t for k, t in state.items() if ".lora_" in k}


def other_rank(state):
    for key in [key for key in state if "layers.0" in key and ".lora_A" in key]:
        state[key] = state[key][:2]
    for key in [key for key in state if "layers.0" in key and ".lora_B" in key]:
        state[key] = state[key][:, :2]


def cut(state):
    for key in [key for key in state if ".lora_A" in key]:
        state[key] = state[key][:, :-1]


def test_wavlms_adapters_in_vain_are_told(base, tmp_path, caplog):
    folder = base("wavlm")
    encoder, state = published("wavlm", folder)
    prefix = "module.wavlm.encoder.layers.0.attention.q_proj"
    for part in ("weight", "bias"):
        state[f"{prefix}.base_layer.{part}"] = state.pop(f"{prefix}.{part}")
    state[f"{prefix}.lora_A.default.weight"] = torch.ones(RANK, 32)
    state[f"{prefix}.lora_B.default.weight"] = torch.zeros(32, RANK)  # no gradient moved it
    with caplog.at_level(logging.WARNING, logger="braindash"):
        import_checkpoint(write(state, tmp_path / "x.pth"), base=folder, out=tmp_path / "out")
    assert "q_proj past the adapter" in caplog.text and "feed-forward" in caplog.text
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("q_proj.lora_B"), "lacks lora_A, lora_B"),
        (without("k_proj.base_layer.weight"), "base_layer"),
        (second_adapter, "more than one adapter"),
        (other_rank, r"ranks \[2, 4\]"),
        (cut, r"have the shapes .*31"),
    ],
)
def test_damaged_adapters_are_refused(change, says, base, tmp_path):
    folder = base("wav2vec")
    _, state = adapted("wav2vec", folder)
    change(state)
    with pytest.raises(InputError, match=says) as caught:
        import_checkpoint(write(state, tmp_path / "x.pth"), base=folder, out=tmp_path / "out")
    assert "merge_and_unload" in caught.value.hint


def test_alpha_without_adapters_is_refused(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    file = write(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match="lora_alpha"):
        import_checkpoint(file, base=folder, out=tmp_path / "out", lora_alpha=8)


# --- Whisper -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def whisper_base(tmp_path_factory) -> Path:
    """A tiny Whisper as the hub has it: for generation, so that names begin with ``model.``."""
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=20,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    folder = tmp_path_factory.mktemp("whisper")
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def tuned_whisper(folder: Path) -> tuple[nn.Module, OrderedDict]:
    from transformers import WhisperModel

    model = WhisperModel.from_pretrained(folder).eval()
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for key, parameter in model.encoder.named_parameters():
            if not key.startswith(("conv", "embed_positions")):
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    whole = Tuned("whisper_model", model)
    whole.whisper_encoder = model.encoder
    return model, nn.DataParallel(whole).state_dict()


def test_whisper_comes_back_whole(whisper_base, tmp_path):
    model, state = tuned_whisper(whisper_base)
    n_encoder = len(model.encoder.state_dict())
    assert sum("whisper_encoder" in key for key in state) == n_encoder
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=whisper_base, out=tmp_path / "out")
    written = load_file(tmp_path / "out" / WEIGHTS)
    assert written.keys() == model.state_dict().keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in model.state_dict().items())
    assert (record.family, record.n_duplicates, record.from_base) == ("whisper", n_encoder, ())
    assert record.front_end_equal
    opened = open_model(tmp_path / "out", device="cpu")
    assert opened.n_layers == 3 and opened.fingerprint == record.fingerprint


def test_whispers_decoder_may_be_missing(whisper_base, tmp_path):
    model, state = tuned_whisper(whisper_base)
    state = {key: tensor for key, tensor in state.items() if "whisper_model" not in key}
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=whisper_base, out=tmp_path / "out")
    written = load_file(tmp_path / "out" / WEIGHTS)
    assert set(record.from_base) == {key for key in written if key.startswith("decoder.")}
    assert all(torch.equal(written[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("alone", [True, False])
def test_whispers_adapters_are_folded_in(alone, whisper_base, tmp_path):
    """Trained on the encoder alone, whose names then begin with its layers, or on the whole."""
    model, _ = tuned_whisper(whisper_base)
    for number, block in enumerate(model.encoder.layers):
        for place, layer in enumerate(PROJECTIONS):
            old = getattr(block.self_attn, layer)
            setattr(block.self_attn, layer, Adapted(old, ALPHA, 10 * number + place))
    trained = model.encoder if alone else model
    state = {f"module.lora_model.base_model.model.{k}": t for k, t in trained.state_dict().items()}
    inner = model.encoder.state_dict()
    state |= {f"module.whisper_encoder.{key}": tensor for key, tensor in inner.items()}
    file = write(state, tmp_path / "x.pth")
    record = import_checkpoint(file, base=whisper_base, out=tmp_path / "out", lora_alpha=ALPHA)
    assert record.n_duplicates == len(inner) and record.n_lora_layers == 8
    np.testing.assert_allclose(answer(tmp_path / "out"), answer(model.encoder), atol=3e-4)


def test_copies_that_differ_are_refused(whisper_base, tmp_path):
    _, state = tuned_whisper(whisper_base)
    key = "module.whisper_encoder.layers.0.fc1.weight"
    state[key] = state[key] + 1e-3
    with pytest.raises(InputError, match=r"two copies of 'encoder\.layers\.0\.fc1\.weight'"):
        import_checkpoint(write(state, tmp_path / "x.pth"), base=whisper_base, out=tmp_path / "o")


# --- what is refused ---------------------------------------------------------------------------


def refuse(state, folder, tmp_path, says, error=InputError):
    """Import must fail with these words and leave nothing behind."""
    file = write(state, tmp_path / "x.pth")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=says) as caught:
        import_checkpoint(file, base=folder, out=tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
    return caught.value


def test_base_of_another_family_is_refused(base, tmp_path):
    """All weights fit: only the name of the parent tells the two families apart."""
    _, state = published("hubert", base("hubert"))
    error = refuse(state, base("wav2vec"), tmp_path, "family hubert, but the base base-wav2vec")
    assert "facebook/hubert-base-ls960" in error.hint


def test_base_of_another_size_is_refused(base, tmp_path):
    _, state = published("wav2vec", base("wav2vec"))
    model = build("wav2vec2-group")
    for settings, says in (
        ({"num_hidden_layers": 3}, r"lacks 16 weights: encoder\.layers\.2"),
        ({"num_hidden_layers": 1}, r"base has no place for 16 weights: encoder\.layers\.1"),
        ({"intermediate_size": 40}, r"intermediate_dense\.bias \(\(48,\) instead of \(40,\)\)"),
    ):
        config = type(model.config).from_dict(model.config.to_dict() | settings)
        folder = save(type(model)(config), tmp_path / "-".join(settings))
        refuse(state, folder, tmp_path, says)
        shutil.rmtree(folder)


def test_another_base_of_the_same_family_is_told(base, tmp_path, caplog):
    encoder, state = published("wav2vec", base("wav2vec"))
    torch.manual_seed(77)
    other = type(encoder)(encoder.config)
    save(other, tmp_path / "other")
    file = write(state, tmp_path / "x.pth")
    with caplog.at_level(logging.WARNING, logger="braindash"):
        record = import_checkpoint(file, base=tmp_path / "other", out=tmp_path / "out")
    assert not record.front_end_equal and "another base" in caplog.text
    np.testing.assert_array_equal(answer(tmp_path / "out"), answer(encoder))


def test_missing_weight_is_named(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    del state["module.wav2vec.encoder.layers.1.attention.k_proj.weight"]
    refuse(state, folder, tmp_path, r"lacks 1 weights: encoder\.layers\.1\.attention\.k_proj")


def test_unexpected_weights_are_listed(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    state["module.wav2vec.encoder.adapter.weight"] = torch.zeros(2)
    refuse(state, folder, tmp_path, r"no place for 1 weights: encoder\.adapter\.weight")
    del state["module.wav2vec.encoder.adapter.weight"]
    state["module.bottleneck.weight"] = torch.zeros(2)
    error = refuse(state, folder, tmp_path, r"1 unknown weights: bottleneck\.weight")
    assert "wav2vec" in error.hint and "linear" in error.hint
    refuse({"module.linear.weight": torch.zeros(2, 2)}, folder, tmp_path, "no model")


def test_weights_that_are_not_finite_are_refused(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    state["module.wav2vec.encoder.layer_norm.bias"][0] = float("nan")
    refuse(state, folder, tmp_path, r"NaN .*encoder\.layer_norm\.bias")


def test_same_name_with_and_without_wrapper_is_refused(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    state["linear.bias"] = torch.zeros(3)
    refuse(state, folder, tmp_path, "with and without")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"head": {"linear.weight": torch.zeros(1)}, "epoch": 3}, "no tensors: head, epoch"),
        ({"model": {"linear.weight": torch.zeros(1)}, "epoch": 3}, "no model"),
        ([torch.zeros(1)], "a list"),
        ({}, "a dict of no tensors"),
        (torch.zeros(3), "a Tensor"),
        ({3: torch.zeros(1)}, "no tensors: 3"),
    ],
)
def test_what_is_no_state_dictionary_is_refused(content, says, base, tmp_path):
    error = refuse(content, base("wav2vec"), tmp_path, says)
    assert "state_dict" in error.hint


class Trap:
    """Would create a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_never_run(zipped, base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    state["module.wav2vec.more"] = Trap(tmp_path / "sprung")
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="Python objects besides tensors") as caught:
        import_checkpoint(tmp_path / "x.pth", base=folder, out=tmp_path / "out")
    assert "tensors only" in caught.value.hint
    assert not (tmp_path / "sprung").exists() and not (tmp_path / "out").exists()


def test_whole_pickled_modules_are_refused(base, tmp_path):
    folder = base("wav2vec")
    torch.save(nn.Linear(2, 2), tmp_path / "x.pth")
    with pytest.raises(InputError, match="Python objects besides tensors"):
        import_checkpoint(tmp_path / "x.pth", base=folder, out=tmp_path / "out")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_damaged_files_are_refused(zipped, share, base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    file = tmp_path / "x.pth"
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"bytes\) cannot be read") as caught:
        import_checkpoint(file, base=folder, out=tmp_path / "out")
    assert "cut short" in caught.value.hint


def test_paths_that_cannot_be_used(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    file = write(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match="missing"):
        import_checkpoint(tmp_path / "no.pth", base=folder, out=tmp_path / "out")
    with pytest.raises(InputError, match="a folder"):
        import_checkpoint(folder, base=folder, out=tmp_path / "out")
    with pytest.raises(InputError, match="exists already"):
        import_checkpoint(file, base=folder, out=folder)
    with pytest.raises(InputError, match="exists already"):
        import_checkpoint(file, base=folder, out=file)
    with pytest.raises(ModelError, match="no model folder"):
        import_checkpoint(file, base="./nowhere/at/all", out=tmp_path / "out")
    with pytest.raises(ModelError, match="cannot be had from the hub"):
        import_checkpoint(file, base="nobody/no-such-model", out=tmp_path / "out")
    (tmp_path / "empty").mkdir()
    import_checkpoint(file, base=folder, out=tmp_path / "empty")
    assert (tmp_path / "empty" / WEIGHTS).is_file()


def test_damaged_base_is_refused(base, tmp_path):
    folder = base("wav2vec")
    _, state = published("wav2vec", folder)
    tensors = load_file(folder / WEIGHTS)
    del tensors["encoder.layers.0.layer_norm.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    refuse(state, folder, tmp_path, r"base in .* lacks 1 weights", ModelError)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5000])
    refuse(state, folder, tmp_path, "base in .* cannot be loaded", ModelError)


# --- the command line --------------------------------------------------------------------------


def test_command_prints_the_folder_or_the_record(base, tmp_path):
    from typer.testing import CliRunner

    from braindash.cli import app

    folder = base("wav2vec")
    _, state = adapted("wav2vec", folder)
    file = write(state, tmp_path / "x.pth")
    arguments = ["import-checkpoint", str(file), "--base", str(folder), "--out"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")])
    assert done.exit_code == 0 and done.stdout.strip() == str(tmp_path / "out")
    said = " ".join(done.stderr.split())
    assert "rank 4, alpha 32" in said and "linear head to 7 targets" in said
    done = CliRunner().invoke(
        app, [*arguments, str(tmp_path / "b"), "--lora-alpha", "16", "--json"]
    )
    document = json.loads(done.stdout)
    assert document["lora_alpha"] == 16 and document["folder"] == str(tmp_path / "b")
    assert document["fingerprint"] == locate(tmp_path / "b").fingerprint
    assert document["fingerprint"] != locate(tmp_path / "out").fingerprint


def test_the_strength_of_adapters_is_told_and_inert_ones_are_refused(base, tmp_path, caplog):
    folder = base("wav2vec")
    before = load_encoder(locate(folder))
    for number, block in enumerate(before.encoder.layers):
        for place, layer in enumerate(PROJECTIONS):
            own = getattr(block.attention, layer)
            setattr(block.attention, layer, Adapted(own, ALPHA, 10 * number + place))
    state = {f"module.wav2vec.{key}": t.clone() for key, t in before.state_dict().items()}

    def imported(name, silent):
        made = {k: t * (0 if "lora_B" in k and silent in k else 1) for k, t in state.items()}
        file = write(made, tmp_path / f"{name}.pth")
        return import_checkpoint(file, base=folder, out=tmp_path / name, lora_alpha=ALPHA)

    record = imported("whole", "no such part")
    for block in range(N_BLOCKS):
        parts = [t for k, t in state.items() if f"layers.{block}." in k and "lora_B" in k]
        norm = torch.cat([t.flatten() for t in parts]).norm()
        assert record.lora_b[str(block + 1)] == pytest.approx(float(norm), rel=1e-5)
    assert any("|lora_B| by block: 1: " in line for line in record.lines())
    with caplog.at_level(logging.WARNING, logger="braindash"):
        half = imported("half", "layers.0.")
    assert half.lora_b["1"] == 0 and "nothing in the blocks 1" in caplog.text
    assert "nothing learned in the blocks 1" in " ".join(half.lines())
    with pytest.raises(InputError, match=r"all lora_B are 0, .*encoder\.layers\.0\.attention"):
        imported("inert", "")
    assert not (tmp_path / "inert").exists()
