"""Checks as jobs: one report per state of the files."""

import numpy as np
import pytest
from kit.data.planted_lab import PlantedLab

from braindash.io.dataset.manifest import load_manifest
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.progress import NoProgress
from braindash.work.checks import CHECKS, check_key, kept_ceilings, kept_report, queue_check
from braindash.work.kinds import run_job


@pytest.fixture
def lab(tmp_path):
    made = PlantedLab(tmp_path / "lab", stories={"a": 90.0, "b": 100.0}, n_repeats=2)
    made.write()
    return made


def test_a_check_is_queued_once_and_its_report_is_kept(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    store, dataset = Store(tmp_path / "store"), load_manifest(lab.manifest)
    job = queue_check(dataset, ["S1"], store)
    assert queue_check(dataset, ["S1"], store).key == job.key and "planted lab" in job.title
    assert kept_report(job.key, store) is None
    made = run_job(job.command, job.request, store.root, NoProgress())
    assert made == {"kind": CHECKS, "keys": [job.key]}
    report = kept_report(job.key, store)
    assert report.subjects[0].lag_seconds == pytest.approx(5.0, abs=0.4)
    assert kept_ceilings(job.key, "S1", store).shape == (40,)
    assert kept_ceilings(job.key, "S2", store) is None
    assert not store.entries() and not store.damaged()


def test_a_changed_file_asks_for_another_check(lab):
    dataset = load_manifest(lab.manifest)
    before = check_key(dataset, ["S1"])
    assert check_key(load_manifest(lab.manifest), ["S1"]) == before
    lab.save("S1", "a", lab.load("S1", "a")[:-1])
    assert check_key(dataset, ["S1"]) != before


def test_a_damaged_report_is_made_again(lab, tmp_path):
    store, key = Store(tmp_path / "store"), "a" * 32
    place = store.root / CHECKS / key
    place.mkdir(parents=True)
    (place / "report.json").write_text("{}")
    assert kept_report(key, store) is None and not place.exists()
    place.mkdir(parents=True)
    np.savez(place / "ceilings.npz", S1=np.zeros(3))
    assert kept_ceilings(key, "S1", store).shape == (3,)
    (place / "ceilings.npz").write_bytes(b"torn")
    assert kept_ceilings(key, "S1", store) is None
