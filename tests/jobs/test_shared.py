"""Shared jobs as files: what is read of them, and what is wrong with them."""

import json
import os
import time

import pytest
from kit.running.pulled import share

from braindash.errors import AccessError, JobError, StoreError
from braindash.jobs.shared import Failure, SharedJobs
from braindash.sharing import asking
from braindash.sharing.asking import Visitor

FAILURE = Failure("a", "part a", "error", "no sound", "Add it.", "node1", 2.5)


def test_a_job_is_found_by_its_first_digits(tmp_path):
    shared = share(tmp_path, {"name": "a"}, key="abc1")
    share(tmp_path, {"name": "a"}, key="abd2")
    assert shared.job_keys() == ["abc1", "abd2"]
    assert [shared.find(text) for text in ("abc", "ab", "abd2", "x", "")] == [
        "abc1", None, "abd2", None, None,
    ]  # fmt: skip
    assert [job.key for job in shared.list()] == ["abd2", "abc1"]


def test_an_empty_store_has_none_and_nothing_is_made_by_looking(tmp_path):
    shared = SharedJobs(tmp_path / "store")
    assert shared.list() == [] and not (tmp_path / "store").exists()
    for wrong in ("none", "../x", "a b"):
        with pytest.raises(JobError, match="there is no job"):
            shared.get(wrong)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "[" * 100_000, '{"parts": [[1, 2]]}', '{"title": 3}', "null"]
)
def test_a_damaged_file_is_a_failed_job_that_says_so(tmp_path, text):
    shared = share(tmp_path, {"name": "a"})
    (shared.folder / "toy" / "job.json").write_text(text)
    job = shared.job("toy")
    assert job.state == "failed" and job.damage and "job.json" in job.error
    assert shared.list() == [job]


@pytest.mark.parametrize("name", ["finished.json", "carrier.json", "go-on", "failed/x.json"])
def test_odd_files_beside_it_count_for_nothing(tmp_path, name):
    shared = share(tmp_path, {"name": "a"})
    for content in (b"\xff\xfe", b"[]", b"{", b'{"time": "now"}'):
        (shared.folder / "toy" / name).write_bytes(content)
        assert shared.job("toy").state == "queued" and shared.failures("toy") == {}
        assert shared.goes_on("toy")


@pytest.mark.parametrize("number", ["1e400", "NaN", "-1e400", "9" * 400, "true"])
def test_numbers_that_are_none_count_for_nothing(tmp_path, number):
    shared = share(tmp_path, {"name": "a"})
    shared.fail("toy", FAILURE)
    (path,) = (shared.folder / "toy" / "failed").iterdir()
    path.write_text(json.dumps(vars(FAILURE) | {"ran": "here"}).replace('"here"', number))
    (shared.folder / "toy" / "finished.json").write_text(f'{{"time": {number}}}')
    assert shared.failures("toy") == {} and shared.end("toy") is None
    file = shared.folder / "toy" / "job.json"
    whole = json.loads(file.read_text())
    if number == "true":
        return
    for changed in ({"created": "here"}, {"parts": [["a", "a", "here"]]}):
        file.write_text(json.dumps(whole | changed).replace('"here"', number))
        assert "job.json" in shared.job("toy").damage


def test_failures_are_kept_by_part_until_the_job_goes_on(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    for _ in range(2):
        shared.fail("toy", FAILURE)
    assert shared.failures("toy") == {"a": [FAILURE, FAILURE]}
    shared.finish("toy", "part a: no sound", "Add it.")
    assert shared.job("toy").error == "part a: no sound"
    shared.retry("toy")
    assert shared.failures("toy") == {} and shared.job("toy").state == "queued"


def test_sharing_a_job_again_lets_it_go_on(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    shared.cancel("toy")
    assert shared.job("toy").state == "cancelled" and not shared.goes_on("toy")
    assert share(tmp_path, {"name": "a"}).goes_on("toy")
    shared.finish("toy")
    shared.cancel("toy")
    assert shared.job("toy").state == "done", "what is over is not cancelled"


def test_the_flag_is_a_file_that_is_always_there(tmp_path):
    """File systems of several machines remember for a minute that a file was not there."""
    shared = share(tmp_path, {"name": "a"})
    flag = shared.folder / "toy" / "go-on"
    inode = flag.stat().st_ino
    shared.cancel("toy")
    assert flag.stat().st_ino == inode


def test_who_only_looks_shares_and_stops_nothing(tmp_path, monkeypatch):
    shared = share(tmp_path, {"name": "a"})
    monkeypatch.setattr(asking, "_source", lambda: Visitor("eve", "viewer", "they may look"))
    for act in (shared.cancel, shared.retry, lambda key: share(tmp_path, {"name": "a"})):
        with pytest.raises(AccessError):
            act("toy")
    assert shared.job("toy").state == "queued"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_of_another_user_is_told(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    folder = shared.folder / "toy" / "failed"
    folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="group"):
            shared.fail("toy", FAILURE)
    finally:
        folder.chmod(0o700)


def test_a_disk_that_refuses_is_told(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    folder = shared.folder / "toy"
    for one in (folder / "failed").iterdir():
        one.unlink()
    (folder / "failed").rmdir()
    (folder / "failed").write_text("a file in its way")
    with pytest.raises(StoreError, match="cannot be written"):
        shared.fail("toy", FAILURE)


def test_what_workers_said_is_told_in_the_order_of_time(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    logs = shared.folder / "toy" / "logs"
    stamps = [f"2026-11-30 10:00:0{number},000" for number in range(4)]
    (logs / "node1-1.log").write_text(
        f"{stamps[0]} node1:1 [a] one\n{stamps[3]} node1:1 [b] four\n"
    )
    (logs / "node2-7.log").write_text(f"{stamps[1]} node2:7 [a] two\n")
    assert [line[-3:] for line in shared.log_tail("toy").splitlines()] == ["one", "two", "our"]
    assert shared.log_tail("toy", 1, part="[a]") == f"{stamps[1]} node2:7 [a] two"


def test_old_claims_are_not_shown_as_work(tmp_path):
    from braindash.jobs.claims import Claims

    shared = share(tmp_path, {"name": "a"})
    Claims(shared.claims_folder("toy")).take("a", "part a")
    assert shared.job("toy").state == "running"
    (path,) = shared.claims_folder("toy").iterdir()
    told = json.loads(path.read_text()) | {"mark": "another-1"}
    path.write_text(json.dumps(told))
    assert shared.job("toy").state == "running", "nobody knows"
    os.utime(path, (time.time() - 500,) * 2)
    assert shared.job("toy").state == "queued"
