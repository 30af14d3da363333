"""Files that are written beside their place, by processes that may be killed."""

import subprocess
import sys

import pytest

from braindash.files import hidden_beside, replace_text, replaced
from braindash.process import is_running, process_mark


def test_what_a_killed_process_left_beside_a_file_goes_with_the_next(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = process_mark().partition("-")[0] + f"-{ended.pid}"
    for mark in (gone, "elsewhere-1"):
        (tmp_path / f".a.json.{mark}").write_text("half")
        (tmp_path / f".folder.{mark}").mkdir()
    replace_text(tmp_path / "a.json", "{}")
    hidden_beside(tmp_path / "folder")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.json", ".a.json.elsewhere-1", ".folder.elsewhere-1"}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("before")

    def fail() -> None:
        with replaced(tmp_path / "a") as partial:
            partial.write_text("half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


@pytest.mark.parametrize("mark", ["", "x", "1234", "elsewhere-1", "elsewhere-x"])
def test_processes_elsewhere_are_not_judged(mark):
    assert is_running(mark) is None


def test_this_process_runs():
    assert is_running(process_mark()) and is_running(f"{process_mark()}-more")
