"""The page Data says whether a data set is right."""

import io

import pandas as pd
import pytest
from kit.data.planted_lab import PlantedLab
from kit.results.made_up_store import empty_root
from kit.results.statistics_store import figures
from kit.site.pages import run, takes, texts

from braindash.exports.source import Source
from braindash.jobs.queue import JobQueue
from braindash.progress import NoProgress
from braindash.ui import take_away
from braindash.work.kinds import run_job

__all__ = ["empty_root"]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    made = PlantedLab(tmp_path / "lab", subjects=("S1", "S2"), stories={"a": 100.0, "b": 110.0})
    made.write()
    made.save("S2", "a", made.load("S2", "a").T)
    return made


def test_a_check_is_asked_for_watched_and_shown(empty_root, lab, monkeypatch):
    offered = takes(monkeypatch)
    app = run("explore/data")
    assert not app.exception and "Name a manifest" in texts(app)
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.selectbox(key="check_subject").select("all subjects").run()
    app.button(key="check").click().run()
    (job,) = JobQueue(empty_root).list()
    assert job.command == "check" and not app.exception
    assert app.button(key="check_cancel").label == "Cancel"
    run_job(job.command, job.request, empty_root, NoProgress())
    app.run()
    assert not app.exception
    table = next(one.value for one in app.dataframe if "faults" in one.value)
    assert table["verdict"].str.contains("fault").tolist() == [False, True]
    assert figures(app)[0]["data"][-1]["name"].startswith("peak: ")
    assert "SIMULATED DATA" in texts(app)
    assert {"lag-scan", "stories", "verdicts"} <= set(offered)
    offers = take_away._offers(offered["verdicts"], Source("", "", (), (), True))
    assert set(offers) == {"CSV", "Parquet", "All"}
    assert len(pd.read_csv(io.BytesIO(offers["CSV"][1]()))) == len(offered["verdicts"].table)
    app.selectbox(key="checked_subject").select("S2").run()
    assert not app.exception and "transposed" in texts(app)


def test_a_check_is_cancelled_and_asked_for_again(empty_root, lab):
    app = run("explore/data")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.button(key="check").click().run()
    app.button(key="check_cancel").click().run()
    (job,) = JobQueue(empty_root).list()
    assert job.state == "cancelled"
    app.run()
    app.button(key="check").click().run()
    assert JobQueue(empty_root).get(job.key).state == "queued"


def test_a_manifest_that_cannot_be_read_is_told_and_regions_are_shown(empty_root, lab):
    lab.manifest.write_text("[dataset]\n")
    app = run("explore/data")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    assert not app.exception and app.error and "Region sets" in texts(app)
