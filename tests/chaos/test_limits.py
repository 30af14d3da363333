"""Commands that run out of disk, files or memory say so, and go on when there is more."""

import resource
import subprocess
from contextlib import contextmanager

import pytest
from kit.running.chaos import KINDS, damaged, differences, make_work, temporary

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory, quick_model):
    work = make_work(request.param, tmp_path_factory.mktemp(request.param), quick_model)
    assert work.finish().returncode == 0
    return work


def assert_told(done, *words: str) -> None:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
    assert any(word in done.stderr for word in words), done.stderr


@contextmanager
def small_disk(place, size: str):
    """Mount a disk of memory."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    mounted = subprocess.run(command, check=False)
    if mounted.returncode:
        pytest.skip("this account may not mount disks")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def remount(place, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)


def test_a_full_disk(whole, tmp_path):
    place = tmp_path / "disk"
    with small_disk(place, "60k"):
        work = whole.elsewhere(place / "store")
        assert_told(work.finish(), "disk", "space", "free")
        assert not damaged(work.store) and not temporary(work.store)
        remount(place, "size=200m")
        done = work.finish()
        assert done.returncode == 0, done.stderr
        assert not differences(whole.store, work.store)


def test_a_store_that_may_not_be_written(whole, tmp_path):
    place = tmp_path / "disk"
    with small_disk(place, "100m"):
        work = whole.elsewhere(place / "store")
        remount(place, "ro")
        assert_told(work.finish(), "read-only", "Read-only", "written", "write")
        remount(place, "rw")
        assert work.finish().returncode == 0
        remount(place, "ro")
        assert work.finish().returncode == 0 or work.kind == "tune", "what is there can be read"


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        (resource.RLIMIT_NOFILE, 40, ("files", "open")),
        (resource.RLIMIT_AS, 1_200_000_000, ("memory", "Memory")),
    ],
    ids=["files", "memory"],
)
def test_limits_of_the_account(whole, tmp_path, limit, value, words):
    work = whole.elsewhere(tmp_path / "store")
    done = work.finish(preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
    if done.returncode:
        assert_told(done, *words)
        assert not damaged(work.store)
        assert work.finish().returncode == 0
    assert not differences(whole.store, work.store)
