"""Forms in which models are met: wrapped names, caches that were copied, odd configurations."""

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
from safetensors.torch import load_file, save_file

from braindash.errors import ModelError
from braindash.speech.checkpoints.locate import locate
from braindash.speech.checkpoints.tensors import read_header, read_tensors, unwrapped
from braindash.speech.models import open_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
CONFIG = "config.json"


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    """A copy of the HuBERT folder that a test may change."""
    return Path(shutil.copytree(folder_of("hubert-group"), tmp_path / "model"))


# --- names of wrappers ---------------------------------------------


@pytest.mark.parametrize(
    "wrapped",
    [
        "module._orig_mod.{}",
        "_orig_mod.module.{}",
        "module.module._orig_mod._orig_mod.{}",
        "_orig_mod.hubert.{}",
    ],
)
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_names_of_wrappers_are_taken_off_and_named(wrapped, form, folder, folder_of, caplog):
    stored = load_file(folder / WEIGHTS)
    renamed = {wrapped.format(name): tensor for name, tensor in stored.items()}
    if form == "bin":
        (folder / WEIGHTS).unlink()
        torch.save(renamed, folder / "pytorch_model.bin")
    else:
        save_file(renamed, folder / WEIGHTS, metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING, logger="braindash"):
        found = answer(folder)
    np.testing.assert_array_equal(found, answer(folder_of("hubert-group")))
    assert "_orig_mod." in caplog.text or "module." in caplog.text


def test_wrappers_inside_a_model_are_taken_off(folder, folder_of):
    stored = load_file(folder / WEIGHTS)
    wrapped = {name.replace("encoder.", "encoder._orig_mod."): t for name, t in stored.items()}
    save_file(wrapped, folder / WEIGHTS, metadata={"format": "pt"})
    np.testing.assert_array_equal(answer(folder), answer(folder_of("hubert-group")))
    assert unwrapped("module.encoder._orig_mod.layers.0.module.q") == "encoder.layers.0.q"
    assert unwrapped("submodule.x") == "submodule.x"


def in_parts(folder, tensors, form, encoding):
    """Write weights in two parts with their index."""
    names, place = sorted(tensors), {}
    for number in range(2):
        part = {name: tensors[name] for name in names[number::2]}
        file = {"safetensors": "model-{}.safetensors", "bin": "pytorch_model-{}.bin"}[form]
        place |= dict.fromkeys(part, file.format(number))
        (save_file if form == "safetensors" else torch.save)(part, folder / file.format(number))
    index = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}[form]
    (folder / f"{index}.index.json").write_text(json.dumps({"weight_map": place}), encoding)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("odd", ["index", "name"])
def test_parts_with_a_marked_index_or_a_wrapper_in_one_of_them(form, odd, folder, folder_of):
    """The index begins with a byte order mark; the wrapper is that of a single weight."""
    stored = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    if odd == "name":
        last = max(stored)
        stored[f"module.{last}"] = stored.pop(last)
    in_parts(folder, stored, form, "utf-8-sig" if odd == "index" else "utf-8")
    np.testing.assert_array_equal(answer(folder), answer(folder_of("hubert-group")))


def test_a_trainings_checkpoint_under_the_name_of_weights_is_told(folder):
    stored = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save({"state_dict": stored, "epoch": 3}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no weights by name, but state_dict, epoch") as caught:
        open_model(folder, device="cpu")
    assert "import-checkpoint" in caught.value.hint


# --- configurations ---------------------------------------------


def test_models_inside_a_folder_are_named(folder):
    """A trainer's folder holds its checkpoints."""
    shutil.move(folder, folder.parent / "run" / "checkpoint-500")
    with pytest.raises(ModelError, match="folders that have one: checkpoint-500") as caught:
        locate(folder.parent / "run")
    assert "one of these" in caught.value.hint


def test_a_byte_order_mark_in_the_configurations_is_no_matter(folder, folder_of):
    before = locate(folder).fingerprint
    for name in (CONFIG, "preprocessor_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text, encoding="utf-8-sig")
    assert locate(folder).fingerprint == before
    np.testing.assert_array_equal(answer(folder), answer(folder_of("hubert-group")))
    assert open_model(f"untrained:{folder}", device="cpu").n_parameters > 0


@pytest.mark.parametrize("field", ["vocab_size", "pad_token_id", "eos_token_id"])
def test_fields_of_heads_may_be_null(field, folder, folder_of):
    edit_json(folder / CONFIG, **{field: None})
    np.testing.assert_array_equal(answer(folder), answer(folder_of("hubert-group")))


def test_the_task_a_checkpoint_is_listed_under_plays_no_part(folder):
    before = locate(folder).fingerprint
    (folder / "README.md").write_text("---\npipeline_tag: image-to-text\n---\n")
    assert locate(folder).fingerprint == before


# --- quantised weights ---------------------------------------------


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", None])
def test_quantised_weights_are_named(method, folder):
    settings = {"load_in_8bit": True} | ({"quant_method": method} if method else {})
    edit_json(folder / CONFIG, quantization_config=settings)
    with pytest.raises(ModelError, match="quantised") as caught:
        locate(folder)
    assert method is None or method in caught.value.message
    assert "made from" in caught.value.hint


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_weights_that_are_whole_numbers_are_quantised(kind, folder):
    name = "encoder.layers.0.attention.q_proj.weight"
    edit_weights(folder / WEIGHTS, lambda tensors: tensors | {name: tensors[name].to(kind)})
    with pytest.raises(ModelError, match=f"quantised: 1 of them.*{name}"):
        locate(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn, torch.bool, torch.complex64])
def test_pickled_weights_are_looked_at_too(kind, folder):
    name = "encoder.layers.0.attention.q_proj.weight"
    stored = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(stored | {name: stored[name].to(kind)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=f"quantised: 1 of them.*{name}") as caught:
        open_model(folder, device="cpu")
    assert "float32" in caught.value.hint


def test_weights_that_are_not_finite_are_named(folder):
    """Three frames of silence need not show them: attention over few frames loses NaN."""
    name = "encoder.layers.0.attention.q_proj.weight"

    def damaged(tensors):
        hidden = {"masked_spec_embed": tensors["masked_spec_embed"] * float("nan")}
        return tensors | hidden | {name: tensors[name] * float("nan")}

    edit_weights(folder / WEIGHTS, damaged)
    with pytest.raises(ModelError, match=f"values in 1 of its weights: {name}"):
        open_model(folder, device="cpu")


def test_the_attention_of_another_machine_is_no_matter(folder, folder_of):
    edit_json(folder / CONFIG, _attn_implementation="flash_attention_2")
    edit_json(folder / CONFIG, attn_implementation="flash_attention_2")
    assert locate(folder).fingerprint == locate(folder_of("hubert-group")).fingerprint
    np.testing.assert_array_equal(answer(folder), answer(folder_of("hubert-group")))


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("model.Q4_K_M.gguf", "llama.cpp"),
        ("ggml-base.bin", r"whisper\.cpp"),
        ("tf_model.h5", "TensorFlow"),
        ("model.onnx", "ONNX"),
        ("last.ckpt", "Lightning"),
        ("tuned.pth", "state dictionary"),
    ],
)
def test_weights_of_other_programs_are_named(file, says, folder):
    (folder / WEIGHTS).rename(folder / file)
    with pytest.raises(ModelError, match=says) as caught:
        locate(folder)
    assert "import-checkpoint" in caught.value.hint


# --- copies of the hub's cache ---------------------------------------------


@pytest.fixture
def cached(folder_of, tmp_path) -> Path:
    """A folder of the hub's cache as it lies on a disk: links into blobs."""
    root = tmp_path / "models--lab--tiny"
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for number, path in enumerate(sorted(folder_of("hubert-group").iterdir())):
        shutil.copy(path, root / "blobs" / f"blob{number}")
        (snapshot / path.name).symlink_to(f"../../blobs/blob{number}")
    return root


@pytest.mark.parametrize("inside", ["", "snapshots", f"snapshots/{COMMIT}"])
def test_a_folder_of_the_hubs_cache_opens_under_the_models_name(inside, cached, folder_of):
    files = locate(cached / inside)
    assert files.name == "lab/tiny" and files.revision is None
    assert files.fingerprint == locate(folder_of("hubert-group")).fingerprint


def test_of_several_snapshots_main_is_taken_or_they_are_named(cached):
    shutil.copytree(cached / "snapshots" / COMMIT, cached / "snapshots" / OTHER, symlinks=True)
    assert locate(cached).folder.name == COMMIT
    (cached / "refs" / "main").unlink()
    with pytest.raises(ModelError, match="2 snapshots") as caught:
        locate(cached)
    assert OTHER in caught.value.message and "lab/tiny" in caught.value.hint
    shutil.rmtree(cached / "snapshots" / OTHER)
    assert locate(cached).folder.name == COMMIT


@pytest.mark.parametrize("lost", [CONFIG, WEIGHTS])
def test_links_that_lead_nowhere_are_said_to(lost, cached):
    (cached / "snapshots" / COMMIT / lost).resolve().unlink()
    with pytest.raises(ModelError, match="a link to nothing in the cache of a model hub") as caught:
        locate(cached)
    assert "cp -rL" in caught.value.hint


# --- parts of a file ---------------------------------------------


def test_tensors_are_read_one_by_one_as_float32(tmp_path):
    stored = {
        "a": torch.randn(3, 4),
        "b": torch.randn(5).to(torch.bfloat16),
        "c": torch.randn(2, 2).half(),
        "d": torch.zeros(0, 3),
        "e": torch.tensor(2.5, dtype=torch.float64),
    }
    save_file(stored, tmp_path / "x.safetensors")
    header = read_header(tmp_path / "x.safetensors")
    read = dict(read_tensors(tmp_path / "x.safetensors", header))
    assert read.keys() == stored.keys()
    assert all(torch.equal(read[name], tensor.float()) for name, tensor in stored.items())
    assert header["a"].n_values == 12 and header["d"].n_values == 0
    some = dict(read_tensors(tmp_path / "x.safetensors", {"c": header["c"]}))
    assert list(some) == ["c"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:4],
        lambda content: content[:60],
        lambda content: content[:-8],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content[:8] + b"[]" + content[10:],
        lambda content: b"",
    ],
)
def test_damaged_headers_are_refused(damage, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.randn(3, 4)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match="cannot be read"):
        read_header(path)


def test_looking_a_model_up_still_needs_no_torch(folder):
    code = (
        "import sys; from braindash.speech.checkpoints.locate import locate; "
        "from braindash.speech.checkpoints.listing import explain, explained_lines; "
        f"explained_lines(explain(locate({str(folder)!r}))); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((folder / CONFIG).read_text())["model_type"] == "hubert"
