"""Claims: one holder at a time, whatever dies, hangs or comes back."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.files import digest_bytes
from braindash.jobs import claims
from braindash.jobs.claims import PATIENCE, Claim, Claims, Holder, held
from braindash.process import process_mark

REFRESH = 0.02
STALE = 1.5 * PATIENCE * REFRESH


def make(folder, **options):
    return Claims(folder, **{"refresh_seconds": REFRESH} | options)


@pytest.fixture
def elsewhere(monkeypatch):
    """Holders of this process look as if they were of another machine."""
    monkeypatch.setattr(claims, "is_running", lambda mark: None)


def test_a_claim_is_had_by_one_and_given_back(tmp_path):
    first, second = make(tmp_path / "claims"), make(tmp_path / "claims")
    mine = first.take("layer 3", "the third layer")
    assert isinstance(mine, Claim) and mine.lost is None
    other = second.take("layer 3", "the third layer")
    assert isinstance(other, Holder) and other.mark == process_mark() and not other.made
    assert isinstance(second.take("layer 4", ""), Claim)
    mine.release()
    mine.release()
    assert isinstance(second.take("layer 3", ""), Claim)


def test_of_many_at_once_one_has_it(tmp_path):
    rounds = 30
    start = threading.Barrier(4)
    had = []

    def try_all():
        own = make(tmp_path)
        for number in range(rounds):
            start.wait()
            if isinstance(own.take(str(number), ""), Claim):
                had.append(number)

    threads = [threading.Thread(target=try_all) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(had) == list(range(rounds))


def test_what_is_made_stays_claimed(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    first.take("a", "").mark_made()
    found = second.take("a", "")
    assert isinstance(found, Holder) and found.made
    assert [holder.made for holder, _ in held(tmp_path)] == [True]


def test_what_is_made_is_read_once_and_what_is_held_every_time(tmp_path, monkeypatch):
    folder, read = make(tmp_path), []
    made, mine = folder.take("a", "part a"), folder.take("b", "part b")
    made.mark_made()
    known = claims._read
    monkeypatch.setattr(claims, "_read", lambda path: read.append(path) or known(path))
    seen = [sorted((one.label, one.made) for one, _ in held(tmp_path)) for _ in range(3)]
    assert seen == [[("part a", True), ("part b", False)]] * 3
    assert len(read) == 4, "the made one once, the other three times"
    mine.release()
    (tmp_path / digest_bytes(b"a")).unlink()
    assert held(tmp_path) == []


def test_who_is_touched_is_not_stale_and_who_is_not_is_taken_over(tmp_path, elsewhere):
    first, second = make(tmp_path), make(tmp_path)
    mine = first.take("a", "")
    end = time.monotonic() + 2 * STALE
    while time.monotonic() < end:
        mine.refresh()
        assert isinstance(second.take("a", ""), Holder) and mine.is_mine
        time.sleep(REFRESH)
    time.sleep(STALE)
    theirs = second.take("a", "")
    assert isinstance(theirs, Claim) and theirs.lost.token == mine.holder.token
    mine.refresh()
    assert not mine.is_mine
    mine.release()  # what is another's stays
    assert isinstance(first.take("a", ""), Holder)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_clock_that_jumps_makes_nothing_stale(tmp_path, elsewhere):
    first, second = make(tmp_path), make(tmp_path)
    first.take("a", "")
    (path,) = tmp_path.iterdir()
    for moved in (-1e6, 1e6):
        os.utime(path, (time.time() + moved,) * 2)
        assert isinstance(second.take("a", ""), Holder)


def test_a_process_that_died_on_this_machine_is_seen_at_once(tmp_path):
    code = f"from pathlib import Path; from braindash.jobs.claims import Claims; \
Claims(Path({str(tmp_path)!r})).take('a', 'part a')"
    subprocess.run([sys.executable, "-c", code], check=True)
    taken = make(tmp_path).take("a", "part a")
    assert isinstance(taken, Claim) and taken.lost.label == "part a"


def test_a_claim_that_somebody_renewed_meanwhile_is_given_back(tmp_path, elsewhere, monkeypatch):
    """Two see the same stale claim; the slower one must not take the faster one's."""
    slow, quick = make(tmp_path), make(tmp_path)
    old = make(tmp_path).take("a", "").holder
    assert isinstance(slow.take("a", ""), Holder) and isinstance(quick.take("a", ""), Holder)
    time.sleep(STALE)
    new = quick.take("a", "")
    assert isinstance(new, Claim)
    assert not slow._set_aside(tmp_path / digest_bytes(b"a"), old)
    new.refresh()
    assert new.is_mine and isinstance(slow.take("a", ""), Holder)


def test_on_a_full_disk_what_is_made_is_given_back(tmp_path, monkeypatch):
    mine = make(tmp_path).take("a", "")

    def full(path, holder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(claims, "_write", full)
    mine.mark_made()
    assert not [*tmp_path.iterdir()]


@given(st.binary(max_size=300))
def test_a_file_that_is_no_claim_harms_nobody(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("claims")
    (folder / digest_bytes(b"a")).write_bytes(content)
    assert held(folder) == []
    own = make(folder, refresh_seconds=1e-9)
    own.take("a", "")
    assert isinstance(own.take("a", ""), Claim), "nobody touches it: it is stale"


def test_a_holder_of_odd_types_counts_as_unreadable(tmp_path):
    make(tmp_path).take("a", "")
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace('"name": "a"', '"name": 3'))
    assert held(tmp_path) == []


def test_a_claim_whose_next_touch_is_never_due_counts_as_unreadable(tmp_path):
    make(tmp_path).take("a", "")
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text()) | {"refresh": "here", "mark": "another-1"}
    path.write_text(json.dumps(told).replace('"here"', "1e400"))
    assert held(tmp_path) == []
