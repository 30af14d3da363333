"""The job table: every order of calls against a plain model; texts and folders SQLite refuses."""

import ctypes
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from braindash.errors import JobError
from braindash.jobs.queue import JobQueue
from braindash.jobs.table import MAX_ATTEMPTS, JobTable

KEYS = st.sampled_from(["a", "b"])

MADE = {"kind": "encoding", "keys": ["ab12"]}


@pytest.fixture
def table(tmp_path):
    return JobTable(tmp_path / "jobs" / "jobs.sqlite")


def add(table, key="a", redo=False, **more):
    return table.add("task", key, "{}", more.get("title", "T"), redo=lambda old: redo)


# ---- states -------------------------------------------------------------------


@dataclass
class Row:
    """What the model knows of a job."""

    order: int
    state: str = "queued"
    attempt: int = 0
    asked: bool = False
    pid: int = 0


class Life(RuleBasedStateMachine):
    """Visitors, a worker, and workers that died but do not know it yet, in any order."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.table = JobTable(Path(self.folder.name) / "jobs.sqlite")
        self.rows: dict[str, Row] = {}
        self.clock = 0
        self.pid = 1000
        self.current = None
        self.ghosts = []

    def teardown(self):
        self.folder.cleanup()

    @rule(key=KEYS, redo=st.booleans())
    def submit(self, key, redo):
        self.clock += 1
        row = self.rows.get(key)
        again = row and (row.state in ("failed", "cancelled") or (row.state == "done" and redo))
        if row is None or again:
            self.rows[key] = Row(self.clock)
        elif row.state == "running":
            row.asked = False
        assert add(self.table, key, redo).state == self.rows[key].state

    @rule(key=KEYS)
    def cancel(self, key):
        if key not in self.rows:
            with pytest.raises(JobError):
                self.table.ask_cancel(key)
            return
        row = self.rows[key]
        if row.state in ("queued", "running"):
            row.asked = True
            row.state = "cancelled" if row.state == "queued" else "running"
        assert self.table.ask_cancel(key).state == row.state

    def settle(self):
        for row in self.rows.values():
            if row.state == "running":
                dead = "failed" if row.attempt >= MAX_ATTEMPTS else "queued"
                row.state = "cancelled" if row.asked else dead

    @precondition(lambda self: self.current is None)
    @rule()
    def claim(self):
        self.settle()
        self.pid += 1
        with patch.object(os, "getpid", return_value=self.pid):
            job = self.table.claim()
        waiting = [row for row in self.rows.values() if row.state == "queued"]
        if not waiting:
            assert job is None
            return
        first = min(waiting, key=lambda row: row.order)
        first.state, first.attempt, first.pid = "running", first.attempt + 1, self.pid
        assert self.rows[job.key] is first and job.attempt == first.attempt
        self.current = job

    @precondition(lambda self: self.current)
    @rule()
    def die(self):
        self.ghosts.append(self.current)
        self.current = None

    @precondition(lambda self: self.current)
    @rule()
    def be_killed_and_followed(self):
        self.die()
        self.claim()

    @precondition(lambda self: self.current)
    @rule()
    def be_doubted(self):
        self.cancel(self.current.key)
        self.submit(self.current.key, redo=False)
        self.report()

    @precondition(lambda self: self.current is None)
    @rule()
    def find_the_dead(self):
        self.settle()
        self.table.settle_dead()

    @precondition(lambda self: self.current)
    @rule()
    def report(self):
        go_on = self.table.report(self.current, 0.5, "half", (0.0, 0.0))
        assert go_on is not self.rows[self.current.key].asked

    @precondition(lambda self: self.current)
    @rule(state=st.sampled_from(["done", "failed", "cancelled"]))
    def finish(self, state):
        assert self.table.finish(self.current, state)
        self.rows[self.current.key].state = state
        self.current = None

    @precondition(lambda self: self.current)
    @rule()
    def put_back(self):
        self.table.put_back(self.current)
        row = self.rows[self.current.key]
        row.state, row.attempt, row.pid = "queued", row.attempt - 1, 0
        if row.asked:
            row.state = "cancelled"
        self.current = None

    @precondition(lambda self: self.ghosts)
    @rule(what=st.sampled_from(["report", "finish", "put_back"]), pick=st.integers(0, 99))
    def ghost(self, what, pick):
        """A worker that was settled as dead writes; one that was not settled yet still may."""
        job = self.ghosts[pick % len(self.ghosts)]
        row = self.rows[job.key]
        if row.state == "running" and row.pid == job.pid:
            return
        if what == "report":
            assert not self.table.report(job, 0.9, "late", (0.0, 0.0))
        elif what == "finish":
            assert not self.table.finish(job, "done", result=MADE)
        else:
            self.table.put_back(job)

    @invariant()
    def agrees(self):
        found = self.table.newest(None, 100)
        assert {job.key: (job.state, job.attempt) for job in found} == {
            key: (row.state, row.attempt) for key, row in self.rows.items()
        }
        order = sorted(self.rows, key=lambda key: self.rows[key].order, reverse=True)
        assert [job.key for job in found] == order
        for job in found:
            ended = job.state in ("done", "failed", "cancelled")
            assert (job.finished is not None) == ended
            assert (job.cancel_asked is not None) == self.rows[job.key].asked
            assert job.result is None and job.progress <= (1.0 if ended else 0.5)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=40, derandomize=True)


def test_a_job_that_is_put_back_after_a_cancel_does_not_wait_for_its_cancelling(table):
    """Otherwise who asks for it again would see it start and stop."""
    add(table)
    job = table.claim()
    table.ask_cancel("a")
    table.put_back(job)
    assert table.find("a").state == "cancelled"
    assert add(table).state == "queued" and table.find("a").cancel_asked is None


def test_no_change_is_lost_between_threads(table):
    """Visitors change their minds while the worker reports; then everybody agrees."""
    for key in ("a", "b"):
        add(table, key)
    job = table.claim()
    failures = []

    def repeat(action):
        try:
            for _ in range(25):
                action()
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    actions = [
        lambda: table.report(job, 0.5, "half", (0.0, 0.0)),
        lambda: table.ask_cancel("a"),
        lambda: add(table, "a"),
        lambda: table.ask_cancel("b"),
        lambda: add(table, "b"),
    ]
    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    running = table.find("a")
    assert (running.state, running.attempt, running.message) == ("running", 1, "half")
    assert table.find("b").state in ("queued", "cancelled")
    table.ask_cancel("a")
    assert not table.report(job, 0.6, "more", (0.0, 0.0))
    assert table.finish(job, "done", result=MADE) and table.find("a").result == MADE


# ---- what SQLite or the disk refuses ------------------------------------------------


def test_a_file_name_that_is_no_utf8_can_be_told(table):
    """As os.fsdecode gives it, for a disk written under Latin-1."""
    name = os.fsdecode(b"/data/f\xfcchse.wav")
    shown = "/data/f\\udcfcchse.wav"
    assert add(table, title=name).title == shown
    job = table.claim()
    assert table.report(job, 0.5, name, (0.0, 0.0))
    assert table.find("a").message == shown
    assert table.finish(job, "failed", error=f"no {name}", hint=f"Get {name}")
    failed = table.find("a")
    assert (failed.error, failed.hint) == (f"no {shown}", f"Get {shown}")


LOOK = """
import sys
from pathlib import Path
from braindash.errors import StoreError
from braindash.jobs.table import JobTable
try:
    JobTable(Path(sys.argv[1])).newest(None, 1)
except StoreError as error:
    sys.exit("StoreError: " + str(error))
"""


def _be_no_superuser() -> None:
    """Make even root respect file modes, in a child process."""
    pr_capbset_drop, cap_dac_override, cap_dac_read_search = 24, 1, 2
    if os.geteuid() == 0:
        for capability in (cap_dac_override, cap_dac_read_search):
            ctypes.CDLL(None).prctl(pr_capbset_drop, capability, 0, 0, 0)


def test_a_folder_of_somebody_else_is_told(table):
    add(table)
    table.path.parent.chmod(0)
    try:
        outcome = subprocess.run(
            [sys.executable, "-c", LOOK, str(table.path)],
            preexec_fn=_be_no_superuser,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        table.path.parent.chmod(0o700)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("StoreError: ") and "may write there" in outcome.stderr


# ---- rows that something else wrote ---------------------------------------------


ODD_ROWS = {
    "no JSON": "request = '{'",
    "a list": "request = '[]'",
    "null": "request = 'null'",
    "bytes": "request = x'ff'",
    "not UTF-8": "title = CAST(x'ff' AS TEXT)",
    "a result that is a list": "result = '[]'",
    "a result of many kinds": """result = '{"kind": ["encoding"], "keys": []}'""",
    "a number of results": """result = '{"kind": "encoding", "keys": 5}'""",
    "another result that is a list": """result = '{"kind": "a", "keys": [], "also": [1]}'""",
    "progress is a word": "progress = 'half'",
    "the time is a word": "created = 'yesterday'",
    "another name": "key = 'a/../b'",
}


@pytest.mark.parametrize("what", ODD_ROWS)
def test_a_damaged_row_has_failed_and_is_in_nobodys_way(table, what):
    add(table, "good")
    add(table, "odd")
    with closing(sqlite3.connect(table.path)) as rows:
        rows.execute(f"UPDATE jobs SET {ODD_ROWS[what]} WHERE key = 'odd'")
        rows.execute("UPDATE jobs SET created = 1 WHERE key = 'odd' AND typeof(created) = 'real'")
        rows.commit()
    assert {job.key for job in table.newest(None, 10)} >= {"good"}
    assert len(table.newest(None, 10)) == 2
    (odd,) = table.newest(("failed",), 10)
    assert str(table.path) in odd.error and "damaged" in odd.error and "again" in odd.hint
    assert not odd.active and odd.eta_seconds() is None
    assert [job.key for job in table.newest(("queued", "running"), 1)] == ["good"]
    assert table.claim().key == "good" and table.claim().key == "good", "the odd one never runs"


def test_a_damaged_row_is_mended_by_the_same_work_and_never_repeated_as_it_is(table, tmp_path):
    add(table)
    with closing(sqlite3.connect(table.path)) as rows:
        rows.execute("UPDATE jobs SET request = 'x'")
        rows.commit()
    queue = JobQueue(tmp_path)
    with pytest.raises(JobError, match="cannot go on"):
        queue.retry("a", start=False)
    assert add(table).state == "queued" and table.find("a").damage is None


# ---- who asked ----------------------------------------------------------------

# The form of 0.1.0, in which a row had nobody who asked.
OLD_FORM = """
CREATE TABLE jobs (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, title TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    progress REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '', created REAL NOT NULL,
    started REAL, heartbeat REAL, finished REAL, pid INTEGER, attempt INTEGER NOT NULL DEFAULT 0,
    cancel_asked REAL, pace_time REAL, pace_progress REAL NOT NULL DEFAULT 0, error TEXT,
    hint TEXT, result TEXT
)
"""
OLD_INSERT = (
    "INSERT INTO jobs (key, task, request, title, created, state)"
    " VALUES (?, 'encode', '{}', 'of old', 1.0, 'queued')"
)


def test_rows_of_an_earlier_form_open_and_get_who_asked_when_they_are_asked_for_again(table):
    table.path.parent.mkdir()
    with closing(sqlite3.connect(table.path)) as rows:
        rows.execute(OLD_FORM)
        rows.execute(OLD_INSERT, ("old",))
        rows.execute("PRAGMA user_version = 1")
        rows.commit()
    (old,) = table.newest(None, 10)
    assert (old.key, old.title, old.asked_by, old.damage) == ("old", "of old", "", None)
    assert table.add("encode", "new", "{}", "T", redo=bool, asked_by="ada").asked_by == "ada"
    assert {job.key: job.asked_by for job in table.newest(None, 10)} == {"old": "", "new": "ada"}
    with closing(sqlite3.connect(table.path)) as rows:  # an earlier version goes on with the file
        rows.execute(OLD_INSERT, ("older",))
        rows.commit()
        assert rows.execute("PRAGMA user_version").fetchone() == (1,)
    assert table.find("older").asked_by == ""
    table.ask_cancel("old")
    assert table.add("encode", "old", "{}", "T", redo=bool, asked_by="bob").asked_by == "bob"


def test_a_job_that_waits_is_of_who_asked_first_and_one_that_is_done_again_of_who_asks(table):
    def ask(who, redo=False):
        return table.add("task", "a", "{}", "T", redo=lambda old: redo, asked_by=who).asked_by

    assert ask("ada") == ask("bob") == "ada"
    assert table.finish(table.claim(), "done") and ask("bob") == "ada"
    assert ask("bob", redo=True) == "bob" == table.find("a").asked_by
