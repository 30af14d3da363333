"""The untrained control: a model's configuration with weights drawn from a seed."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.models.tiny_models import KINDS, build
from peft import LoraConfig, get_peft_model
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from braindash.errors import InputError, ModelError
from braindash.speech.checkpoints import locate as files_module
from braindash.speech.checkpoints.locate import locate
from braindash.speech.models import open_model


def weights(source) -> dict[str, torch.Tensor]:
    return open_model(source, device="cpu").module.state_dict()


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_that_transformers_draws_from_the_seed(kind, folder_of, model_of):
    folder = folder_of(kind)
    found = weights(f"untrained:{folder}@3")
    trained = model_of(kind).module
    maker = WhisperEncoder if kind == "whisper" else type(trained)
    torch.manual_seed(3)
    assert same(found, maker(trained.config).state_dict())
    assert not same(found, trained.state_dict())
    assert same(found, weights(f"untrained:{folder}@3"))
    assert not same(found, weights(f"untrained:{folder}@4"))
    assert same(weights(f"untrained:{folder}"), weights(f"untrained:{folder}@0"))


def test_control_has_the_models_shape_and_its_own_name_and_fingerprint(folder_of):
    folder = folder_of("hubert-stable")
    trained, control = locate(folder), locate(f"untrained:{folder}")
    assert control.name == f"untrained:{folder.name}@0" and control.weights == ()
    assert (control.n_layers, control.n_features) == (trained.n_layers, trained.n_features)
    assert (control.normalise, control.family) == (trained.normalise, trained.family)
    prints = {locate(f"untrained:{folder}{end}").fingerprint for end in ("", "@0", "@1", "@2")}
    assert len(prints) == 3 and trained.fingerprint not in prints
    model = open_model(control, device="cpu")
    assert model.encoder.own_loop and model.fingerprint == control.fingerprint


def test_fingerprint_follows_transformers_which_draws_the_weights(folder_of, monkeypatch):
    source = f"untrained:{folder_of('hubert-group')}"
    before = locate(source).fingerprint
    monkeypatch.setattr(files_module, "version", lambda name: "5.99.1")
    assert locate(source).fingerprint != before


def test_no_weights_are_needed_or_downloaded(folder_of, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(folder_of("wavlm-group"), tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    assert open_model(f"untrained:{folder}", device="cpu").n_parameters > 0
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    files = locate("untrained:lab/model@7", "v1")
    assert (files.name, files.seed) == ("untrained:lab/model@7", 7)
    ((hub_id, revision, patterns),) = asked
    assert (hub_id, revision) == ("lab/model", "v1")
    assert not [pattern for pattern in patterns if "model" in pattern.removesuffix(".json")]


def test_control_of_an_adapter_is_that_of_its_base(tmp_path, folder_of):
    base = folder_of("hubert-group")
    wrapped = get_peft_model(build("hubert-group"), LoraConfig(r=2, target_modules=["q_proj"]))
    wrapped.peft_config["default"].base_model_name_or_path = str(base)
    wrapped.save_pretrained(tmp_path / "adapter")
    found = locate(f"untrained:{tmp_path / 'adapter'}@2")
    assert found.fingerprint == locate(f"untrained:{base}@2").fingerprint


def test_a_folder_whose_name_ends_like_a_seed_is_a_folder(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("hubert-group"), tmp_path / "model@5"))
    assert locate(f"untrained:{folder}").seed == 0
    assert locate(f"untrained:{folder}@2").seed == 2


def test_random_state_is_left_alone(folder_of):
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    open_model(f"untrained:{folder_of('hubert-group')}", device="cpu")
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize(
    "source", ["untrained:", "untrained:acoustic:logmel", "untrained:untrained:x", "UNTRAINED:"]
)
def test_what_has_no_weights_has_no_control(source):
    with pytest.raises(InputError, match="could be trained") as caught:
        locate(source)
    assert "untrained:FOLDER" in caught.value.hint


def test_folder_that_is_not_there_is_named():
    with pytest.raises(ModelError, match="no model folder"):
        locate("untrained:./no/such/folder")


def test_configuration_that_makes_no_model_is_refused(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("hubert-group"), tmp_path / "model"))
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace('"hidden_act": "gelu"', '"hidden_act": "none of these"')
    )
    with pytest.raises(ModelError, match="no model can be made"):
        open_model(f"untrained:{folder}", device="cpu")


def test_looking_a_control_up_needs_no_torch(folder_of):
    code = (
        "import sys; from braindash.speech.checkpoints.locate import locate; "
        f"locate('untrained:{folder_of('hubert-group')}'); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_layers_of_a_control_are_finite_and_differ(folder_of, sound):
    model = open_model(f"untrained:{folder_of('wav2vec2-stable')}", device="cpu")
    frames = model.encoder.layer_frames(model.encoder.embed(sound[None, :16000]), slice(None))
    assert np.isfinite(frames).all()
    assert np.abs(np.diff(frames, axis=2)).max() > 0.1


@pytest.mark.parametrize("kind", ["hubert-stable", "whisper"])
def test_shuffled_weights_are_the_same_numbers_elsewhere(kind, folder_of):
    folder = folder_of(kind)
    trained, found = weights(folder), weights(f"shuffled:{folder}@3")
    assert not same(found, trained) and same(found, weights(f"shuffled:{folder}@3"))
    assert not same(found, weights(f"shuffled:{folder}@4"))
    for name, values in dict(open_model(folder, device="cpu").module.named_parameters()).items():
        assert torch.equal(found[name].flatten().sort().values, values.flatten().sort().values)
    files = locate(f"shuffled:{folder}")
    assert files.name == f"shuffled:{folder.name}@0" and files.shuffled == 0
    others = {locate(one).fingerprint for one in (folder, f"untrained:{folder}")}
    assert files.fingerprint not in others
    for source in ("shuffled:acoustic:energy", f"shuffled:untrained:{folder}", "shuffled:"):
        with pytest.raises(InputError, match="no model that could be trained"):
            locate(source)
