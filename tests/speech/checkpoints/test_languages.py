"""The languages of MMS: one adapter beside the weights, chosen as MODEL@LANG."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.models.model_folders import WEIGHTS, answer, edit_weights
from kit.models.tiny_models import build, extractor_of
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2ForCTC
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError, ModelError
from braindash.speech.checkpoints.languages import split_language
from braindash.speech.checkpoints.locate import locate
from braindash.speech.models import open_model
from braindash.speech.training.saving import check_base

KIND = "wav2vec2-mms"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A model with three languages beside it, one of them pickled and with more letters."""
    folder = tmp_path_factory.mktemp("mms")
    whole = build(KIND, "ForCTC")
    whole.save_pretrained(folder)
    extractor_of(KIND).save_pretrained(folder)
    generator = torch.Generator().manual_seed(1)
    for language, n_letters in (("eng", 12), ("fra", 12), ("azj-script_latin", 15)):
        tensors = {
            name: one + torch.randn(one.shape, generator=generator)
            for name, one in whole._get_adapters().items()
        }
        tensors["lm_head.weight"] = torch.zeros(n_letters, 32)
        tensors["lm_head.bias"] = torch.zeros(n_letters)
        tensors = {name: one.detach().contiguous() for name, one in tensors.items()}
        if n_letters == 12:
            save_file(tensors, folder / f"adapter.{language}.safetensors")
        else:
            torch.save(tensors, folder / f"adapter.{language}.bin")
    return folder


@pytest.fixture
def mms(written, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "mms"))


@pytest.mark.parametrize("language", ["fra", "azj-script_latin"])
def test_a_language_is_what_transformers_makes_of_it(language, written):
    whole = Wav2Vec2ForCTC.from_pretrained(
        written, target_lang=language, ignore_mismatched_sizes=True
    ).eval()
    model = open_model(f"{written}@{language}", device="cpu")
    np.testing.assert_allclose(answer(model.module), answer(whole.wav2vec2), atol=1e-6)
    assert np.abs(answer(model.module) - answer(written)).max() > 0.01
    assert model.name == f"{written.name}@{language}"


def test_a_language_is_part_of_the_key_where_it_is_given_only(mms):
    with_languages = locate(mms)
    files = [locate(f"{mms}@{language}") for language in ("eng", "fra")]
    assert len({with_languages.fingerprint, *(one.fingerprint for one in files)}) == 3
    assert files[1].base.fingerprint == with_languages.fingerprint
    for path in mms.glob("adapter.*"):
        path.unlink()
    assert locate(mms).fingerprint == with_languages.fingerprint


@pytest.mark.parametrize(
    ("language", "says"),
    [("fre", "Did you mean 'fra'"), ("deu", "It has azj-script_latin, eng, fra.")],
)
def test_a_missing_language_names_those_that_are_there(language, says, written):
    with pytest.raises(ModelError, match=f"no language '{language}'") as caught:
        locate(f"{written}@{language}")
    assert says in caught.value.hint


def test_a_model_without_languages_says_so(folder_of, mms):
    with pytest.raises(ModelError, match="no languages to choose from") as caught:
        locate(f"{folder_of('hubert-group')}@fra")
    assert "--revision" in caught.value.hint
    for path in mms.glob("adapter.*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"adapter\.fra\.safetensors is not there"):
        locate(f"{mms}@fra")
    (mms / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="is a low-rank adapter"):
        locate(f"{mms}@fra")


def test_only_the_language_that_is_asked_for_is_downloaded(written, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, allow_patterns))
        return str(written)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr(
        "huggingface_hub.list_repo_files", lambda hub_id, revision: ["adapter.deu.safetensors"]
    )
    assert locate("lab/mms@fra").name == "lab/mms@fra"
    assert {hub_id for hub_id, _ in asked} == {"lab/mms"}
    assert "adapter.fra.*" in asked[-1][1] and "adapter.fra.*" not in asked[0][1]
    with pytest.raises(ModelError, match="no language 'de'") as caught:
        locate("lab/mms@de")
    assert "'deu'" in caught.value.hint and "fra" in caught.value.hint


def test_a_language_of_another_model_is_refused(mms):
    def narrower(tensors):
        return {name: one[:3].contiguous() for name, one in tensors.items()}

    edit_weights(mms / "adapter.fra.safetensors", narrower)
    with pytest.raises(ModelError, match="does not fit the model beside it"):
        open_model(f"{mms}@fra", device="cpu")
    edit_weights(mms / "adapter.eng.safetensors", lambda tensors: {"x": torch.zeros(2)})
    with pytest.raises(ModelError, match="does not fit the model beside it"):
        open_model(f"{mms}@eng", device="cpu")
    (mms / "adapter.fra.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        locate(f"{mms}@fra")


def test_controls_of_a_language(written):
    plain, french = (locate(f"untrained:{written}{end}@3") for end in ("", "@fra"))
    assert (plain.fingerprint, plain.seed) == (french.fingerprint, french.seed)
    mixed = locate(f"shuffled:{written}@fra@3")
    assert mixed.shuffled == 3 and mixed.language == "fra"
    assert mixed.fingerprint != locate(f"shuffled:{written}@3").fingerprint


def test_a_language_is_no_base_of_a_low_rank_adapter_but_tunes_whole(written, tmp_path):
    from braindash.speech.training.saving import save_tuned

    files = locate(f"{written}@fra")
    with pytest.raises(InputError, match="cannot be the base"):
        check_base(files, adapter=True)
    module = open_model(files, device="cpu").module
    save_tuned(module, files, tmp_path / "tuned", {}, adapter=False)
    np.testing.assert_array_equal(answer(tmp_path / "tuned"), answer(module))


def test_an_at_sign_in_a_path_is_no_language(mms, tmp_path):
    folder = tmp_path / "model@fra"
    assert split_language(f"{folder}") == (str(folder), None)  # named as it was written
    shutil.move(mms, folder)
    assert locate(folder).language is None
    assert locate(f"{folder}@eng").language == "eng"
    assert split_language("lab/mms@fra") == ("lab/mms", "fra")
    assert split_language("lab/mms@3") == ("lab/mms@3", None)


def test_the_command_lists_the_languages(written):
    said = CliRunner().invoke(app, ["models", "check", f"{written}@fra"])
    assert said.exit_code == 0, said.output
    assert "language: fra; 3 lie beside it" in said.stdout and "azj-script_latin" in said.stdout
    assert "lora_B" not in said.stdout


def test_the_weights_need_not_be_those_of_the_language(mms):
    """As the weights of a language fine-tuned elsewhere are: the adapter replaces all of theirs."""
    wanted = answer(open_model(f"{mms}@fra", device="cpu").module)
    edit_weights(
        mms / WEIGHTS,
        lambda tensors: {n: 2 * t if ".adapter_layer." in n else t for n, t in tensors.items()},
    )
    np.testing.assert_array_equal(answer(open_model(f"{mms}@fra", device="cpu").module), wanted)
    assert "lm_head.weight" in load_file(mms / "adapter.fra.safetensors")
