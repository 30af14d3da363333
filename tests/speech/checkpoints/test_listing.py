"""Which models lie here, and what one is: listed and explained from the files alone."""

import json
import shutil
from pathlib import Path

import pytest
from kit.models.model_folders import WEIGHTS, edit_json
from kit.models.tiny_models import MORE, N_BLOCKS, WIDTH, build, extractor_of
from peft import LoraConfig, get_peft_model
from typer.testing import CliRunner

from braindash.cli import app
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.listing import (
    explain,
    explained_lines,
    find_cached,
    find_in_folders,
    licence_of,
)
from braindash.speech.checkpoints.locate import locate
from braindash.speech.models import open_model
from braindash.speech.windows import STRATEGIES, n_parameters

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def places(folder_of, tmp_path, monkeypatch) -> Path:
    """A cache of the hub with four models, and a folder with a model and an adapter."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    for name, kind in (("lab--tiny", "hubert-group"), ("lab--big", "whisper")):
        snapshot = cache / f"models--{name}" / "snapshots" / COMMIT
        shutil.copytree(folder_of(kind), snapshot)
    (cache / "models--lab--tiny" / "snapshots" / COMMIT / "README.md").write_text(
        "---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\nlicense: not this one\n"
    )
    (cache / "models--lab--big" / "snapshots" / COMMIT / WEIGHTS).unlink()
    text = cache / "models--lab--text" / "snapshots" / COMMIT
    text.mkdir(parents=True)
    (text / "config.json").write_text(json.dumps({"model_type": "bert"}))
    strange = cache / "models--lab--clap" / "snapshots" / COMMIT
    strange.mkdir(parents=True)
    (strange / "config.json").write_text(json.dumps({"model_type": "clap"}))
    (strange / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 48000}))
    folders = tmp_path / "mine"
    shutil.copytree(folder_of("wavlm-stable"), folders / "model")
    wrapped = get_peft_model(build("hubert-group"), LoraConfig(r=2, target_modules=["q_proj"]))
    wrapped.peft_config["default"].base_model_name_or_path = str(folder_of("hubert-group"))
    wrapped.save_pretrained(folders / "adapter")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return tmp_path


def test_the_cache_is_listed_with_size_and_licence(places):
    found = {model.source: model for model in find_cached(places / "hub")}
    assert list(found) == ["lab/big", "lab/clap", "lab/tiny"]
    tiny = found["lab/tiny"]
    assert (tiny.n_layers, tiny.n_features, tiny.frame_rate_hz) == (N_BLOCKS + 1, WIDTH, 50.0)
    assert tiny.family == "HuBERT" and tiny.licence == "apache-2.0" and tiny.problem == ""
    snapshot = places / "hub" / "models--lab--tiny" / "snapshots" / COMMIT
    assert tiny.n_bytes == (snapshot / WEIGHTS).stat().st_size
    assert "no weights" in found["lab/big"].problem
    assert "does not open" in found["lab/clap"].problem and found["lab/clap"].n_layers is None


def test_folders_are_listed_with_their_adapters(places):
    found = {Path(model.source).name: model for model in find_in_folders([places / "mine"])}
    assert found.keys() == {"model", "adapter"}
    assert found["model"].family == "WavLM"
    assert found["adapter"].family.startswith("adapter of ")
    again = find_in_folders([places / "mine", places / "mine" / "model", places / "hub"])
    assert len(again) == 5
    for model in again:
        if model.source.endswith("tiny"):
            assert locate(model.source).name == "lab/tiny"


def test_the_command_lists_and_takes_other_folders(places):
    arguments = ["models", "--folder", str(places / "mine"), "--store", str(places / "store")]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert "lab/tiny\tHuBERT\t3\t32\t50\t" in said.stdout and "apache-2.0" in said.stdout
    assert "no weights" in " ".join(said.stderr.split())
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert {model["place"] for model in document} == {"hub cache", "folder"}


def test_nothing_to_list_is_said(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    arguments = ["models", "--folder", str(tmp_path), "--store", str(tmp_path / "store")]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0 and said.stdout == "" and "No speech model" in said.stderr


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: own-terms\n---\n", "own-terms"),
        ("---\nlicense: other\n---\n", "other"),
        ("# no head\nlicense: mit\n", ""),
        ("\ufeff---\r\nlicense: cc-by-4.0\r\n---\r\n", "cc-by-4.0"),
        ("", ""),
    ],
)
def test_the_licence_is_that_of_the_cards_head(card, licence, tmp_path):
    (tmp_path / "README.md").write_bytes(card.encode())
    assert licence_of(tmp_path) == licence


# --- one model explained -----------------------------------------------


@pytest.mark.parametrize("kind", ["wavlm-group", "data2vec", "whisper", *MORE])
def test_what_is_told_of_a_model_is_what_it_is(kind, tmp_path):
    """Counted from the configuration; the opened model says the same."""
    heads = dict.fromkeys(("qwen2-audio", "voxtral"), "ForConditionalGeneration")
    build(kind, (heads | {"parakeet": "ForCTC"}).get(kind, "Model")).save_pretrained(tmp_path)
    extractor_of(kind).save_pretrained(tmp_path)
    files = locate(tmp_path)
    told = explain(files)
    model = open_model(files, device="cpu")
    assert (told["n_layers"], told["n_features"]) == (model.n_layers, model.n_features)
    assert (told["hop_samples"], told["frame_rate_hz"]) == (model.hop_samples, model.frame_rate_hz)
    assert told["first_frame_samples"] == model.receptive_field_samples
    assert 0.5 < n_parameters(files) / model.n_parameters < 1.6
    for name in STRATEGIES:
        cost = told["strategies"][name]
        assert cost["hours_per_hour_on_one_core"] > 0 and cost["window_bytes"] > 0
    lines = explained_lines(told)
    assert FAMILIES[files.family].title in lines[0] and str(WIDTH) in lines[2]


def test_what_is_left_out_is_told(tmp_path):
    build("hubert-group", "ForCTC").save_pretrained(tmp_path)
    extractor_of("hubert-group").save_pretrained(tmp_path)
    told = explain(locate(tmp_path))
    assert told["left_out"] == ["lm_head"]
    (tmp_path / "adapter.fra.safetensors").write_bytes(b"x")
    lines = explained_lines(explain(locate(tmp_path)))
    assert "1 lie beside it, chosen as MODEL@LANG: fra" in "\n".join(lines)


def test_the_command_explains_and_measures(places, folder_of):
    folder = str(folder_of("hubert-group"))
    said = CliRunner().invoke(app, ["models", "check", folder])
    assert said.exit_code == 0, said.output
    assert "layers: 0 to 2 of width 32" in said.stdout and "an hour of sound" in said.stdout
    document = json.loads(
        CliRunner().invoke(app, ["models", "check", folder, "--load", "--json"]).stdout
    )
    assert document["measured"].keys() == STRATEGIES.keys()
    adapter = CliRunner().invoke(app, ["models", "check", str(places / "mine" / "adapter")])
    assert "|lora_B| by block: 1: 0, 2: 0" in adapter.stdout


def test_an_acoustic_space_is_no_model():
    said = CliRunner().invoke(app, ["models", "check", "acoustic:logmel"])
    assert said.exit_code != 0


def test_costs_follow_the_size(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("wavlm-group"), tmp_path / "model"))
    small = explain(locate(folder))["strategies"]["exact"]
    edit_json(folder / "config.json", num_hidden_layers=48)
    big = explain(locate(folder))["strategies"]["exact"]
    assert big["hours_per_hour_on_one_core"] > 2 * small["hours_per_hour_on_one_core"]
