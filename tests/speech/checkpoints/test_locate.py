"""Model folders that transformers would accept, or choke on, and that must not pass."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from kit.models.model_folders import WEIGHTS, edit_json
from safetensors.torch import load_file, save_file

from braindash.errors import ModelError
from braindash.speech.checkpoints.locate import locate
from braindash.speech.models import open_model


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    """A copy of the HuBERT folder that a test may damage."""
    return Path(shutil.copytree(folder_of("hubert-group"), tmp_path / "model"))


@pytest.mark.parametrize(
    "weight_map",
    [None, [], {}, {"encoder": 3}, {"encoder": "../elsewhere/model.safetensors"}],
)
def test_damaged_index_of_parts_is_refused(weight_map, folder):
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / WEIGHTS).rename(elsewhere / WEIGHTS)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelError, match="names no weights"):
        locate(folder)


def test_weights_that_are_a_folder_are_refused(folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    with pytest.raises(ModelError, match="missing"):
        locate(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(value, folder):
    edit_json(folder / "config.json", layer_norm_eps=value)
    with pytest.raises(ModelError, match="no JSON number"):
        locate(folder)


def test_weights_under_a_name_of_their_own_are_refused(folder):
    """They would be loaded, but not enter the fingerprint."""
    shutil.copy(folder / WEIGHTS, folder / "other.safetensors")
    edit_json(folder / "config.json", transformers_weights="other.safetensors")
    with pytest.raises(ModelError, match=r"other\.safetensors") as caught:
        locate(folder)
    assert WEIGHTS in caught.value.hint
    edit_json(folder / "config.json", transformers_weights=None)
    assert locate(folder).weights == (folder / WEIGHTS,)


def test_same_weights_stored_otherwise_have_another_fingerprint(folder):
    """Weights count by their bytes, as the documentation of the fingerprint says."""
    before = locate(folder).fingerprint
    stored = load_file(folder / WEIGHTS)
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in stored.items()
    }
    assert renamed.keys() != stored.keys()
    save_file(renamed, folder / WEIGHTS, metadata={"format": "pt"})
    assert locate(folder).fingerprint != before
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    assert locate(folder).fingerprint == before


def test_blocks_that_the_configuration_leaves_out_are_told(folder, caplog):
    edit_json(folder / "config.json", num_hidden_layers=1)
    with caplog.at_level(logging.WARNING, logger="braindash"):
        assert open_model(folder, device="cpu").n_layers == 2
    assert "encoder.layers.1.attention.k_proj.weight" in caplog.text


def test_whole_models_are_opened_without_a_warning(folder, caplog):
    with caplog.at_level(logging.WARNING, logger="braindash"):
        open_model(folder, device="cpu")
    assert caplog.text == ""
