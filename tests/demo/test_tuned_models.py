"""The shipped brain-tuned models, their controls and the script that made them belong together."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch_file

from braindash.demo import (
    ADAPTER_FOLDER,
    DEMO_FOLDER,
    MODEL_FOLDER,
    PROBE_STORIES,
    SHUFFLED_FOLDER,
    TEST_STORIES,
    TEXT_FOLDER,
    TUNED_FOLDER,
    VALID_STORIES,
)
from braindash.demo.requests import DEMO_MODELS
from braindash.speech.checkpoints.listing import licence_of
from braindash.speech.checkpoints.locate import locate
from braindash.speech.checkpoints.merging import lora_strengths
from braindash.speech.checkpoints.places import CARD
from braindash.speech.features import extract
from braindash.speech.models import open_model
from braindash.tuning.card import card_text, controls_beside

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
METHODS = {"full": TUNED_FOLDER, "lora": ADAPTER_FOLDER}
CONTROLS = {"shuffled": SHUFFLED_FOLDER, "text": TEXT_FOLDER}
SHIPPED = METHODS | CONTROLS
each_method = pytest.mark.parametrize("method", METHODS)
each_control = pytest.mark.parametrize("control", CONTROLS)
each_model = pytest.mark.parametrize("name", SHIPPED)


def record_of(name):
    return json.loads((SHIPPED[name] / "tuning.json").read_text())


@pytest.fixture(scope="module")
def script():
    """Import the tuning script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import tune_demo_model

        yield tune_demo_model
        del sys.modules["tune_demo_model"]


@pytest.mark.campaign
@each_method
def test_the_first_losses_are_those_of_the_record(script, demo_manifest, tmp_path, method):
    expected = record_of(method)["check"]
    found = script.check_record(method, demo_manifest, tmp_path)
    assert found["train"] == expected["train"]
    assert len(found["history"]) == len(expected["history"]) == 3
    for own, known in zip(found["history"], expected["history"], strict=True):
        assert (own["loss"] is None) == (known["loss"] is None) == (known["epoch"] == 0)
        if known["loss"] is not None:
            assert own["loss"] == pytest.approx(known["loss"], abs=2e-3)
        assert own["validation_r"] == pytest.approx(known["validation_r"], abs=5e-3)
    assert found["history"][-1]["loss"] < found["history"][1]["loss"]


@each_method
def test_the_record_holds_the_settings_of_the_script(script, method):
    record = record_of(method)
    settings = record["spec"]["settings"]
    wanted = script.settings_of(method)
    for name in ("segment_trs", "attention_trs", "batch_rows", "encoder_rate", "head_rate"):
        assert settings[name] == wanted[name], name
    assert (settings["adapter"] is None) == (method == "full")
    for targets in record["targets"].values():
        assert (targets["rule"], targets["n_targets"]) == (wanted["targets"], wanted["limit"])
    assert record["base"]["fingerprint"] == locate(MODEL_FOLDER).fingerprint
    assert record["fingerprint"] == locate(METHODS[method]).fingerprint
    assert record["improved"] and record["kept_epoch"] > 0
    kept, first = (record["history"][epoch] for epoch in (record["kept_epoch"], 0))
    assert all(kept["validation_r"][one] > first["validation_r"][one] for one in ("S1", "S2", "S3"))


@each_control
def test_a_control_had_the_settings_and_the_steps_of_the_tuned_model(control):
    tuned, found = record_of("full"), record_of(control)
    assert found["control"] == found["spec"]["control"] == control
    assert found["steps"] == dict.fromkeys(("trained", "kept"), tuned["steps"]["kept"])
    own, theirs = ({**one["spec"]["settings"]} for one in (found, tuned))
    assert own.pop("steps") == tuned["steps"]["kept"]
    for settings in (own, theirs):  # what the number of steps takes the place of
        for name in ("steps", "epochs", "patience", "keep"):
            settings.pop(name, None)
    assert own == theirs | {name: own[name] for name in own.keys() - theirs.keys()}
    assert found["base"]["fingerprint"] == tuned["base"]["fingerprint"]
    assert found["fingerprint"] == locate(SHIPPED[control]).fingerprint
    assert found["data"] == tuned["data"]
    assert found["stories"] == tuned["stories"]


@each_model
def test_steps_are_the_batches_of_the_epochs(name):
    record = record_of(name)
    settings = record["spec"]["settings"]
    # The rows of a segment that the window before them lies in it: one segment is one batch.
    per_segment = settings["segment_trs"] - settings["window_trs"] + 1
    assert per_segment == settings["batch_rows"]
    in_epoch = sum(
        (rows - settings["window_trs"] + 1) // per_segment
        for rows in record["stories"]["train"].values()
    )
    last = record["history"][-1]["epoch"]
    assert record["steps"] == {
        "trained": last * in_epoch,
        "kept": record["kept_epoch"] * in_epoch,
    }


@each_model
def test_no_held_out_story_was_trained_on(name):
    stories = record_of(name)["stories"]
    held_out = {*TEST_STORIES, *PROBE_STORIES, *VALID_STORIES}
    assert not held_out & set(stories["train"])
    assert list(stories["validation"]) == list(VALID_STORIES)
    assert not record_of(name)["test_story_chose_targets"]
    assert record_of(name)["data"]["simulated"] is True


@each_model
def test_the_files_name_no_place_of_the_machine_that_made_them(name):
    for path in SHIPPED[name].glob("*.json"):
        strings = [text for text in path.read_text().split('"')[1::2] if text.startswith("/")]
        assert strings == [], path


@each_model
def test_the_card_is_what_the_record_gives_now(name):
    folder, record = SHIPPED[name], record_of(name)
    assert (folder / CARD).read_text(encoding="utf-8") == card_text(
        record, controls=controls_beside(folder, record)
    ), f"stale: braindash models card {folder}"
    assert licence_of(folder) == licence_of(MODEL_FOLDER) == record["base"]["licence"]


@each_method
def test_the_card_of_a_tuned_model_tells_both_controls_of_equal_steps(method):
    text = (METHODS[method] / CARD).read_text(encoding="utf-8")
    for told in ("| control: shuffled | 8 | 544 |", "| control: text, r of its own targets | 8 |"):
        assert told in text


def test_every_card_that_ships_is_compared():
    cards = {path.parent for path in DEMO_FOLDER.rglob(CARD)}
    assert cards == {MODEL_FOLDER, *SHIPPED.values()}
    training = json.loads((MODEL_FOLDER / "training.json").read_text())
    assert f"{training['audio_minutes']:g} minutes" in (MODEL_FOLDER / CARD).read_text()


def test_the_record_says_how_strong_the_adapters_are():
    weights = load_torch_file(ADAPTER_FOLDER / "adapter_model.safetensors")
    assert record_of("lora")["lora_b"] == pytest.approx(lora_strengths(weights))


def test_the_menus_hold_the_base_both_tuned_forms_and_the_controls():
    tuned = ["tiny-hubert-tuned", "tiny-hubert-tuned-lora"]
    controls = ["tiny-hubert-control-shuffled", "tiny-hubert-control-text"]
    assert list(DEMO_MODELS) == ["tiny-hubert", *tuned, *controls]
    prints = {locate(folder).fingerprint for folder in DEMO_MODELS.values()}
    assert len(prints) == 5


def test_tuning_left_the_front_end_alone_and_moved_the_rest():
    base, tuned = (
        load_file(folder / "model.safetensors") for folder in (MODEL_FOLDER, TUNED_FOLDER)
    )
    assert base.keys() == tuned.keys()
    for name, weights in base.items():
        if name.startswith("feature_extractor."):
            np.testing.assert_array_equal(tuned[name], weights, err_msg=name)
    moved = [name for name in base if not np.array_equal(base[name], tuned[name])]
    assert {f"encoder.layers.{layer}.attention.q_proj.weight" for layer in range(6)} <= set(moved)


def test_the_adapter_finds_its_base_and_changes_what_it_says():
    files = locate(ADAPTER_FOLDER)
    assert files.base is not None and files.base.folder.samefile(MODEL_FOLDER)
    audio = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    plain, adapted = (
        extract(
            open_model(locate(folder), device="cpu"), audio, [1.0, 2.0], strategy="chunk", tr=2.0
        )
        for folder in (MODEL_FOLDER, ADAPTER_FOLDER)
    )
    np.testing.assert_array_equal(plain[0], adapted[0])
    assert not np.allclose(plain[-1], adapted[-1], atol=1e-3)
