"""Digests of inputs are remembered while files are the same, and never longer."""

import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from braindash.files import digest_bytes, digest_file
from braindash.remembered import digests
from braindash.remembered import tables as remembered
from braindash.remembered.digests import TABLE, digest_input
from braindash.remembered.tables import cache_folder

OLD = 1_600_000_000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINDASH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(remembered, "_tables", {})
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch):
    """The files whose bytes were read."""
    found = []

    def counted(path):
        found.append(str(path))
        return digest_file(path)

    monkeypatch.setattr(digests, "digest_file", counted)
    return found


def big(path, letter=b"a"):
    path.write_bytes(letter * 100_000)
    return path


def forget(monkeypatch):
    """As another process would begin."""
    monkeypatch.setattr(remembered, "_tables", {})


def test_a_file_is_read_once(tmp_path, cache, read, monkeypatch):
    file = big(tmp_path / "f")
    first = digest_input(file)
    forget(monkeypatch)
    assert digest_input(file) == first == digest_file(file)
    assert len(read) == 1 and (cache / TABLE).stat().st_mode & 0o077 == 0


def test_another_process_knows_it(tmp_path, cache, read):
    file = big(tmp_path / "f")
    code = (
        "import sys; from braindash.remembered import digests, tables\n"
        "tables._SETTLED_SECONDS = -1\n"
        "print(digests.digest_input(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert digest_input(file) == done.stdout.strip() == digest_file(file)
    assert not read


def test_changed_content_is_read_again(tmp_path, cache, read, monkeypatch):
    file = big(tmp_path / "f")
    before = digest_input(file)
    big(file, b"b")
    forget(monkeypatch)
    assert digest_input(file) != before and len(read) == 2


def test_a_file_replaced_by_one_of_equal_size_and_time_is_read_again(tmp_path, cache, monkeypatch):
    file, other = big(tmp_path / "f"), big(tmp_path / "g", b"b")
    for one in (file, other):
        os.utime(one, (OLD, OLD))
    before = digest_input(file)
    os.replace(other, file)
    forget(monkeypatch)
    assert file.stat().st_mtime == OLD
    assert digest_input(file) == digest_file(file) != before


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path, cache, read, monkeypatch):
    monkeypatch.setattr(remembered, "_SETTLED_SECONDS", 60.0)
    file = big(tmp_path / "f")
    digest_input(file)
    forget(monkeypatch)
    digest_input(file)
    assert len(read) == 2 and not (cache / TABLE).exists()


def test_links_lead_to_one_file(tmp_path, cache, read):
    file = big(tmp_path / "f")
    (tmp_path / "link").symlink_to(file)
    assert digest_input(file) == digest_input(tmp_path / "link")
    assert len(read) == 1


def test_small_files_are_left_out(tmp_path, cache):
    (tmp_path / "small").write_bytes(b"few")
    digest_input(tmp_path / "small")
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"\x00\xff\n", b"[1, 2]\n", b'{"a": 1}\n', b"[" * 3000])
def test_a_damaged_table_is_passed_over(tmp_path, cache, read, monkeypatch, caplog, damage):
    file, more = big(tmp_path / "f"), big(tmp_path / "g", b"b")
    kept = digest_input(file)
    with (cache / TABLE).open("ab") as stream:
        stream.write(damage)
    forget(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert digest_input(file) == kept
        digest_input(more)
    assert "passed over" in caplog.text and len(read) == 2
    forget(monkeypatch)
    assert digest_input(more) == digest_file(more) and len(read) == 2


def test_a_wrong_digest_is_no_digest(tmp_path, cache, monkeypatch):
    file = big(tmp_path / "f")
    digest_input(file)
    line = json.loads((cache / TABLE).read_text())
    (cache / TABLE).write_text(json.dumps([*line[:5], "../../etc"]) + "\n")
    forget(monkeypatch)
    assert digest_input(file) == digest_file(file)


def test_a_folder_that_cannot_be_written_is_no_hindrance(tmp_path, cache, monkeypatch):
    file = big(tmp_path / "f")
    cache.write_text("a file stands here")
    assert digest_input(file) == digest_file(file)
    cache.unlink()
    (cache / TABLE).mkdir(parents=True)
    forget(monkeypatch)
    assert digest_input(file) == digest_file(file)


def test_the_table_stays_small(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST_LINES", 10)
    files = [big(tmp_path / f"f{n}", bytes([n])) for n in range(25)]
    for file in files:
        digest_input(file)
    assert len((cache / TABLE).read_text().splitlines()) <= 10
    assert not [one for one in cache.iterdir() if one.name != TABLE]


def test_several_write_at_once(tmp_path, cache):
    files = [big(tmp_path / f"f{n}", bytes([n])) for n in range(24)]
    threads = [
        threading.Thread(
            target=lambda part: [digest_input(one) for one in part], args=(files[n::4],)
        )
        for n in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    lines = [json.loads(line) for line in (cache / TABLE).read_text().splitlines()]
    assert {line[0] for line in lines} == {str(file) for file in files}


def test_a_file_that_is_not_there_is_an_error(tmp_path, cache):
    with pytest.raises(FileNotFoundError):
        digest_input(tmp_path / "nothing")


def test_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("BRAINDASH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache_folder()) == "/somewhere/braindash"
    assert len(digest_bytes(b"x")) == 32
