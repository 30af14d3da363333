"""``braindash data check``: words, JSON and exit status."""

import json

import pytest
from kit.data.planted_lab import PlantedLab
from typer.testing import CliRunner

from braindash.cli import app


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = PlantedLab(
        tmp_path_factory.mktemp("lab"), subjects=("S1", "S2"), stories={"a": 100.0, "b": 110.0}
    )
    made.write()
    made.save("S2", "a", made.load("S2", "a").T)
    return made


def run(*arguments):
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


def test_a_fault_is_exit_status_1_and_all_subjects_are_told(lab):
    done = run(lab.folder)
    assert done.exit_code == 1
    assert "S1: " in done.stdout and "S2: fault" in done.stdout and "transposed" in done.stdout


def test_one_subject_as_json(lab):
    done = run(lab.manifest, "--subject", "S1", "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    (one,) = document["subjects"]
    assert document["schema"] == 1 and one["subject"] == "S1"
    assert one["lag_seconds"] == pytest.approx(5.0, abs=0.4)
    assert [story["story"] for story in one["stories"]] == ["a", "b"]


def test_a_folder_that_is_none_is_refused(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 1 and "no layout" in str(done.exception)
