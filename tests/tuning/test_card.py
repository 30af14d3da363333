"""The model card of a tuned model: its front matter is YAML, its words are the record's."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from braindash.cli import app
from braindash.demo import ADAPTER_FOLDER, TUNED_FOLDER
from braindash.errors import InputError
from braindash.speech.checkpoints.listing import licence_of
from braindash.tuning.card import card_text, write_card
from braindash.tuning.record import read_record


@pytest.fixture
def record():
    """The demo's, as if nothing were known of its base."""
    found = read_record(TUNED_FOLDER)
    del found["base"]["licence"]
    return found


@pytest.fixture
def folder(tmp_path, record):
    place = tmp_path / "models" / "tuned"
    place.mkdir(parents=True)
    (place / "tuning.json").write_text(json.dumps(record))
    return place


def head(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_what_the_hub_reads_is_right(record):
    told = head(card_text(record))
    assert told["library_name"] == "transformers" and told["pipeline_tag"] == "feature-extraction"
    assert {"brain-tuning", "simulated"} <= set(told["tags"]) and "lora" not in told["tags"]
    assert not {"license", "base_model", "datasets"} & told.keys()  # nothing is known of them
    record["base"] |= {"name": "facebook/hubert-base-ls960", "revision": "a" * 40}
    told = head(card_text(record, licence="Apache-2.0"))
    assert told["base_model"] == "facebook/hubert-base-ls960"
    assert told["base_model_relation"] == "finetune" and told["license"] == "apache-2.0"
    told = head(card_text(record, licence='our "own" licence: no'))
    assert told["license"] == "other" and told["license_name"] == 'our "own" licence: no'
    adapter = head(card_text(read_record(ADAPTER_FOLDER)))
    assert adapter["library_name"] == "peft" and "lora" in adapter["tags"]


def test_what_readers_are_told_is_the_records(record):
    text = card_text(record)
    assert "SIMULATED DATA" in text and "Subjects (3): S1, S2, S3" in text
    train = record["stories"]["train"]
    assert f"{len(train)} stories" in text and f"{sum(train.values()):,} rows" in text
    minutes = sum(train.values()) * 2.0 / 60
    assert f"({minutes / 60:.2g} hours)" in text or f"({minutes:.2g} minutes)" in text
    for one in record["history"]:
        assert re.search(rf"\| {one['epoch']}( \(\w+\))? \|", text)
    assert f"| {record['kept_epoch']} (kept) |" in text
    assert "No control lies beside this model" in text
    assert "licence of the base is not known" in text
    assert "Moussa O, Toneva M (2025)" in text and "LoRA" not in text


def test_a_control_says_that_it_is_one_and_stands_beside_its_model(folder, record):
    control = folder.parent / "control"
    control.mkdir()
    record["spec"]["control"] = "shuffled"
    (control / "tuning.json").write_text(json.dumps(record))
    assert "**This is a CONTROL (shuffled" in write_card(control).read_text()
    text = write_card(folder).read_text()
    assert "| control: shuffled |" in text and "No control lies" not in text


def test_validation_is_said_to_choose_only_where_it_did(record):
    assert "which chose the epoch" in card_text(record)
    assert "Validation r chose the epoch" in card_text(record)
    for given in ({"steps": 544}, {"keep": "last"}):
        settings = record["spec"]["settings"] | given
        fixed = record | {"spec": record["spec"] | {"settings": settings}}
        assert "chose the epoch" not in card_text(fixed)
        assert "Only stories that were never trained on tell" in card_text(fixed)


def test_a_control_of_no_subject_stands_beside_too(folder, record):
    control = folder.parent / "control"
    control.mkdir()
    spec = record["spec"] | {"control": "text", "subjects": ["text"]}
    (control / "tuning.json").write_text(json.dumps(record | {"spec": spec}))
    assert "| control: text, r of its own targets |" in write_card(folder).read_text()
    assert "rows of targets" in write_card(control).read_text()
    spec = record["spec"] | {"control": "shuffled", "subjects": ["S9"]}
    (control / "tuning.json").write_text(json.dumps(record | {"spec": spec}))
    assert "No control lies beside this model" in write_card(folder).read_text()


def test_steps_are_told_where_a_record_counts_them(record):
    del record["steps"]  # as before records had them
    control = json.loads(json.dumps(record))
    control["spec"]["control"] = "shuffled"
    assert "steps" not in card_text(record, controls=[control])
    control["steps"] = {"trained": 900, "kept": 612}
    text = card_text(record, controls=[control])
    assert "| model | epoch kept | steps | mean validation r before | after |" in text
    kept = record["kept_epoch"]
    assert f"| this model | {kept} | - | 0." in text
    assert f"| control: shuffled | {kept} | 612 | 0." in text


def test_names_stay_names(record):
    record["data"]["name"] = "<script>x</script> | *a* [b](c)\n# big"
    text = card_text(record)
    assert "<script>" not in text and "\n# big" not in text and r"\*a\*" in text


def test_a_card_of_somebody_else_is_not_overwritten(folder):
    place = write_card(folder, licence="mit")
    assert licence_of(folder) == "mit"
    assert write_card(folder) == place  # our own
    place.write_text("mine")
    with pytest.raises(InputError, match="somebody else"):
        write_card(folder)
    done = CliRunner().invoke(app, ["models", "card", str(folder), "--replace"])
    assert done.exit_code == 0 and "# " in place.read_text()
    with pytest.raises(InputError, match="not the folder of a tuned model"):
        write_card(folder.parent)
