"""The commands ``braindash study``: from a file to a folder that somebody else opens."""

import json

import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.lab_study import ADDED, write_study
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError, StoreError
from braindash.jobs.queue import JobQueue


def call(*words: object, ok: bool = True):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if ok:
        assert done.exit_code == 0, (done.output, done.exception)
    return done


@pytest.fixture
def lab(tmp_path, quick_model, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)


def test_a_study_is_shown_run_exported_and_taken_over(lab, tmp_path):
    path = write_study(lab)
    told = json.loads(call("study", "show", path, "--json").stdout)
    assert told["results"] == 4 and len(told["missing"]) == 4 and told["seconds"] > 0
    assert "missing: encoding of small, A" in call("study", "show", "toy").stdout
    with pytest.raises(InputError, match="nothing is stored"):
        raise call("study", "export", "toy", ok=False).exception

    told = json.loads(call("study", "run", path, "--json").stdout)
    assert len(told["results"]) == 4 and not told["missing"]
    assert "4 of 4 results are stored" in call("study", "show", path).stdout
    assert call("study", "list").stdout.split("\t")[:2] == ["toy", "4 of 4"]
    written = call(
        "study", "export", "toy", "--to", "out", "--format", "svg", "--with-results"
    ).stdout.strip()
    names = {one.name for one in (tmp_path / written).rglob("*")}
    assert {"report.html", "study.toml", "bars.svg", "curves.svg", "scores.parquet"} <= names

    call("study", "import", "out", "--store", "other")
    listed = json.loads(call("study", "list", "--json", "--store", "other").stdout)
    assert listed[0]["name"] == "toy" and listed[0]["missing"] == 0
    call("study", "export", "toy", "--to", "again", "--format", "svg", "--store", "other")
    one, two = ((tmp_path / place / "tables/bars.csv").read_text() for place in ("out", "again"))
    assert one == two, "whoever gets it reads the same numbers"


def test_what_is_missing_can_be_queued(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda queue: None)
    path = write_study(lab, more=ADDED)
    told = json.loads(call("study", "run", path, "--queue", "--json").stdout)
    assert len(told["queued"]) == 6 == len(JobQueue(tmp_path / "store").list())


def test_errors_say_what_is_meant(lab):
    path = write_study(lab)
    path.write_text(path.read_text().replace("role =", "rôl ="))
    with pytest.raises(InputError, match="TOML"):
        raise call("study", "run", path, ok=False).exception
    with pytest.raises(StoreError, match="no study 'tooy'"):
        raise call("study", "show", "tooy", ok=False).exception
    write_study(lab)
    with pytest.raises(InputError, match="no device 'gpu'"):
        raise call("study", "run", path, "--device", "gpu", ok=False).exception
