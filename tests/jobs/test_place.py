"""Where the jobs of a store lie: not on a file system of several machines."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError, JobError
from braindash.jobs import disks, place
from braindash.jobs.disks import FileSystem, creation_problems, file_system, lock_problems
from braindash.jobs.place import JOBS_VARIABLE, jobs_place
from braindash.jobs.queue import JobQueue

MOUNTS = [("/", "ext4"), ("/data", "nfs4"), ("/data/scratch", "xfs"), ("/work", "lustre")]


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/home/ada", "ext4", False),
        ("/data/lab/store", "nfs4", True),
        ("/data/scratch/x", "xfs", False),
        ("/datasets", "ext4", False),
        ("/work", "lustre", True),
    ],
)
def test_the_nearest_mount_says_what_a_folder_lies_on(path, kind, shared):
    found = file_system(Path(path), MOUNTS)
    assert (found.kind, found.is_shared) == (kind, shared)


def test_this_machine_tells_of_its_own():
    found = file_system(Path(__file__))
    assert Path(found.mount).is_dir()
    assert file_system(Path("/nowhere/at/all"), []) == FileSystem("", "/")


def test_what_holds_on_this_disk_is_found_to_hold(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert creation_problems(tmp_path / "a") == [] and lock_problems(tmp_path / "b") == []


def test_jobs_are_beside_the_results_on_a_disk_of_this_machine(tmp_path):
    assert jobs_place(tmp_path).database == tmp_path / "jobs" / "jobs.sqlite"


def test_jobs_of_a_shared_store_are_on_this_machine_and_each_store_has_its_own(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(place, "file_system", lambda path: FileSystem("nfs4", "/"))
    places = [jobs_place(tmp_path / name) for name in ("one", "two")]
    assert places[0] != places[1]
    for one in places:
        assert one.database.is_relative_to(tmp_path / "state" / "braindash" / "jobs")
    queue = JobQueue(tmp_path / "one")
    queue.submit("encode", "a" * 32, {}, "A job", start=False)
    assert queue.list() and not (tmp_path / "one").exists()
    assert JobQueue(tmp_path / "two").list() == ()


def test_a_named_file_holds_the_jobs_of_one_store(tmp_path, monkeypatch):
    monkeypatch.setenv(JOBS_VARIABLE, str(tmp_path / "here" / "mine.sqlite"))
    queue = JobQueue(tmp_path / "one")
    queue.submit("encode", "a" * 32, {}, "A job", start=False)
    assert not queue.worker_alive()
    assert (tmp_path / "here" / "mine.sqlite").exists() and not (tmp_path / "one").exists()
    assert queue.log_path("a" * 32).parent == tmp_path / "here" / "mine.sqlite.files"
    assert len(JobQueue(tmp_path / "one").list()) == 1
    queue.take_worker_lock().release()
    with pytest.raises(JobError, match="holds the jobs of the store"):
        JobQueue(tmp_path / "two")
    monkeypatch.setenv(JOBS_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="is a folder"):
        JobQueue(tmp_path / "one")


def test_the_command_line_names_the_file(tmp_path, monkeypatch):
    file, store = tmp_path / "mine.sqlite", tmp_path / "store"
    monkeypatch.setenv(JOBS_VARIABLE, str(file))
    JobQueue(store).submit("encode", "a" * 32, {}, "A job", start=False)
    monkeypatch.setenv(JOBS_VARIABLE, "")
    listed = ["jobs", "list", "--store", str(store), "--json"]
    assert json.loads(CliRunner().invoke(app, listed).stdout) == []
    done = CliRunner().invoke(app, ["--jobs", str(file), *listed])
    assert [row["title"] for row in json.loads(done.stdout)] == ["A job"]


def test_a_disk_on_which_locks_do_not_hold_is_told(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *given: None)
    assert lock_problems(tmp_path) == ["a file can be locked twice"]
    monkeypatch.setattr(disks.os, "rename", lambda *given: None)
    assert "renamed over another" in creation_problems(tmp_path)[0]
