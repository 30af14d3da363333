"""The queue: one row per key, whatever comes at once; clear errors when storage fails."""

import ctypes
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import pytest
from kit.running.job_tools import toy_queue, wait_for

from braindash import errors
from braindash.errors import AccessError, JobError, StoreError
from braindash.jobs import table as jobtable
from braindash.jobs.queue import Job, JobQueue
from braindash.sharing import asking

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"
RUNNING = Job("k", "t", "T", {}, "running", started=100.0, pace_time=100.0)


@pytest.fixture
def queue(tmp_path):
    """A queue whose worker command does nothing."""
    return JobQueue(tmp_path / "store", worker_command=("true",))


def submit(queue, key=KEY, **more):
    return queue.submit("parts", key, {"n": 3}, "Three parts", start=False, **more)


def put(queue, key=KEY, **columns):
    """Write columns of a row behind the queue's back."""
    changes = ", ".join(f"{name} = ?" for name in columns)
    with sqlite3.connect(queue.table.path) as rows:
        rows.execute(f"UPDATE jobs SET {changes} WHERE key = ?", (*columns.values(), key))
    rows.close()


# ---- one job per key ---------------------------------------------------------


def test_a_new_job_is_queued_and_read_back(queue):
    before = time.time()
    job = submit(queue)
    assert (job.key, job.command, job.title, job.request) == (KEY, "parts", "Three parts", {"n": 3})
    assert job.state == "queued" and job.active and job.attempt == 0 and job.result is None
    assert before <= job.created <= time.time()
    assert queue.get(KEY) == job and queue.list() == (job,)
    with pytest.raises(FrozenInstanceError):
        job.state = "done"


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_submitting_again_changes_nothing_while_it_waits_runs_or_is_done(queue, state):
    submit(queue)
    lock = queue.take_worker_lock()  # what runs has a worker
    put(queue, state=state, attempt=2)
    before = queue.get(KEY)
    assert submit(queue) == before
    lock.release()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_submitting_again_starts_afresh_after_a_failure_or_cancel(queue, state):
    submit(queue)
    put(queue, state=state, attempt=3, error="e", hint="h", cancel_asked=1.0, progress=0.5)
    job = queue.submit("parts", KEY, {"n": 9}, "Nine", start=False)
    who = asking.present().name
    fresh = Job(KEY, "parts", "Nine", {"n": 9}, "queued", created=job.created, asked_by=who)
    assert job == fresh


def test_a_done_job_is_done_again_on_demand_or_when_its_result_is_gone(queue):
    submit(queue)
    folder = queue.root / "encoding" / KEY
    folder.mkdir(parents=True)
    finished = {"state": "done", "result": f'{{"kind": "encoding", "keys": ["{KEY}"]}}'}
    put(queue, **finished)
    assert submit(queue).state == "done"
    assert submit(queue, again=True).state == "queued"
    put(queue, **finished)
    folder.rmdir()
    assert submit(queue).state == "queued"


def test_a_done_job_with_results_of_two_kinds_is_done_again_when_either_is_gone(queue):
    folders = [queue.root / kind / KEY for kind in ("encoding", "probing")]
    made = (
        f'{{"kind": "encoding", "keys": ["{KEY}"],'
        f' "also": {{"kind": "probing", "keys": ["{KEY}"]}}}}'
    )
    for gone in folders:
        submit(queue)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        put(queue, state="done", result=made)
        assert submit(queue).state == "done"
        gone.rmdir()
        assert submit(queue).state == "queued"


def test_two_equal_submissions_at_once_are_one_row(queue):
    """Eight threads, each with a queue of its own, on a database that does not exist yet."""

    def many(index):
        own = JobQueue(queue.root)
        keys = [KEY, *(f"{index:08x}{n:08x}" for n in range(5))]
        return [submit(own, key).key for key in keys]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))
    keys = [job.key for job in queue.list()]
    assert len(keys) == len(set(keys)) == 1 + 8 * 5
    with sqlite3.connect(queue.table.path) as rows:
        submit(queue, OTHER)
        assert rows.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    rows.close()


def test_list_filters_limits_and_puts_the_newest_first(queue):
    assert queue.list() == () and not queue.root.exists(), "reading must not create anything"
    for index in range(4):
        submit(queue, f"{index:08d}")
    put(queue, "00000002", state="failed")
    assert [job.key[-1] for job in queue.list()] == ["3", "2", "1", "0"]
    assert [job.key[-1] for job in queue.list(states=["queued"], limit=2)] == ["3", "1"]
    assert [job.key[-1] for job in queue.list(states=["failed", "done"])] == ["2"]
    assert queue.list(states=[]) == ()


# ---- cancel, retry, unknown jobs -------------------------------------------------


def test_cancel_of_a_waiting_job_is_immediate_and_of_an_ended_one_nothing(queue):
    submit(queue)
    job = queue.cancel(KEY)
    assert job.state == "cancelled" and job.finished is not None
    for state in ("done", "failed", "cancelled"):
        put(queue, state=state)
        before = queue.get(KEY)
        assert queue.cancel(KEY) == before


def test_cancel_of_a_job_whose_worker_died_needs_no_worker(queue):
    submit(queue)
    put(queue, state="running", pid=1, attempt=1, heartbeat=time.time())
    assert queue.cancel(KEY).state == "cancelled"


def test_retry_queues_only_what_failed_or_was_cancelled(queue):
    submit(queue)
    for state, after in [("failed", "queued"), ("cancelled", "queued"), ("done", "done")]:
        put(queue, state=state)
        assert queue.retry(KEY, start=False).state == after


@pytest.mark.parametrize("call", ["get", "cancel", "retry"])
def test_an_unknown_job_is_an_error_with_a_hint(queue, call):
    submit(queue)
    with pytest.raises(JobError, match="no job 'ffffffff'") as caught:
        getattr(queue, call)("ffffffff")
    assert caught.value.hint


@pytest.mark.parametrize(
    "key", ["", "../up", "a/b", ".hidden", "-x", "a b", "ä" * 8, "x" * 65, "ok\n", "worker", "a.b"]
)
def test_a_key_that_could_leave_the_folder_is_refused(queue, key):
    with pytest.raises(JobError, match="cannot name a job"):
        submit(queue, key)
    with pytest.raises(JobError, match="cannot name a job"):
        queue.log_tail(key)
    assert not queue.root.exists()


@pytest.mark.parametrize(
    "request_", [{"a": {1}}, {"a": float("nan")}, {"a": b"x"}, {"a": object()}]
)
def test_a_request_must_be_json(queue, request_):
    with pytest.raises(JobError, match="plain JSON"):
        queue.submit("parts", KEY, request_, "Bad", start=False)
    assert queue.list() == ()


# ---- time left ---------------------------------------------------------------------


def test_eta_follows_the_pace_since_the_reference_report():
    assert RUNNING.eta_seconds(110.0) is None, "nothing done, nothing known"
    assert replace(RUNNING, progress=0.25).eta_seconds(110.0) == pytest.approx(30.0)
    resumed = replace(RUNNING, progress=0.75, pace_time=104.0, pace_progress=0.5)
    assert resumed.eta_seconds(110.0) == pytest.approx(6.0)
    assert replace(RUNNING, progress=1.0).eta_seconds(110.0) == 0.0
    assert replace(RUNNING, state="done", progress=0.5).eta_seconds(110.0) is None


# ---- log ------------------------------------------------------------------------------


def test_log_tail_gives_the_last_lines_of_even_a_huge_log(queue):
    submit(queue)
    assert queue.log_tail(KEY) == ""
    lines = [f"line {index} é" for index in range(50_000)]
    queue.log_path(KEY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert queue.log_tail(KEY, n_lines=3).splitlines() == lines[-3:]
    assert queue.log_tail(KEY).splitlines() == lines[-50:]


# ---- dead workers -----------------------------------------------------------------------


def test_what_a_dead_worker_left_is_put_right_without_a_new_worker(queue):
    for index, columns in enumerate(
        [{"attempt": 1}, {"attempt": 3}, {"attempt": 1, "cancel_asked": 5.0}]
    ):
        submit(queue, f"{index:08d}")
        put(queue, f"{index:08d}", state="running", pid=os.getpid(), **columns)
    assert queue.ensure_worker(), "one is queued again"
    first, second, third = (queue.get(f"{index:08d}") for index in range(3))
    assert first.state == "queued" and first.attempt == 1 and "died" in first.message
    assert second.state == "failed" and "killed 3 times" in second.error
    assert "memory" in second.hint and second.finished is not None
    assert third.state == "cancelled"


def test_asking_again_for_what_lost_its_worker_too_often_begins_anew(queue):
    """Whoever asks before anybody has looked would be told "failed" without a try."""
    submit(queue)
    put(queue, KEY, state="running", pid=os.getpid(), attempt=3)
    assert (again := submit(queue)).state == "queued" and again.attempt == 0
    lock = queue.take_worker_lock()
    put(queue, KEY, state="running", pid=os.getpid(), attempt=3)
    assert (runs := submit(queue)).state == "running" and runs.attempt == 3, "its worker lives"
    lock.release()


def test_ensure_worker_starts_nothing_without_work_or_beside_a_living_worker(queue):
    assert not queue.ensure_worker() and not queue.worker_alive()
    submit(queue)
    lock = queue.take_worker_lock()
    assert queue.worker_alive() and not queue.ensure_worker()
    assert queue.take_worker_lock() is None
    assert not queue.leave_if_idle(lock), "a job waits"
    queue.cancel(KEY)
    assert queue.leave_if_idle(lock) and not queue.worker_alive()


def test_one_worker_is_started_however_many_ask(tmp_path):
    """The lock passes from the starter to its child without a gap."""
    count = tmp_path / "started"
    script = f"echo x >> {count}; sleep 3"
    queue = JobQueue(tmp_path / "store", worker_command=("sh", "-c", script))
    submit(queue)
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: JobQueue.ensure_worker(queue), range(24)))
    assert sum(started) == 1 and queue.worker_alive()
    wait_for(count.exists, "the worker")
    assert count.read_text() == "x\n"


def test_a_worker_that_cannot_be_started_leaves_the_job_queued(tmp_path):
    queue = JobQueue(tmp_path / "store", worker_command=("/nonexistent/python",))
    with pytest.raises(JobError, match="no worker process") as caught:
        queue.submit("parts", KEY, {}, "Title")
    assert "stays queued" in caught.value.hint
    assert queue.get(KEY).state == "queued" and not queue.worker_alive()


def test_the_worker_finds_the_package_without_an_installation(tmp_path, monkeypatch):
    """As when `streamlit run app.py` runs from a bare checkout; -S hides what is installed."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = (sys.executable, "-S", "-P", "-c", "import braindash.errors as e; print(e.__file__)")
    queue = JobQueue(tmp_path / "store", worker_command=command)
    queue.submit("parts", KEY, {}, "Title")
    told = wait_for((queue.folder / "worker.log").read_text, "the worker's output")
    assert told.strip() == errors.__file__


def survives(process):
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    return True


def test_only_a_worker_that_was_asked_to_stop_long_ago_is_killed_from_outside(queue):
    """Stands in for a worker: a process group leader that holds the lock's place."""
    submit(queue)
    lock = queue.take_worker_lock()
    victim = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        long_ago = time.time() - 3600
        put(queue, state="running", pid=victim.pid, heartbeat=long_ago)
        queue.ensure_worker()
        assert survives(victim), "nobody asked it to stop"
        put(queue, heartbeat=time.time(), cancel_asked=long_ago)
        queue.ensure_worker()
        assert survives(victim), "it beats, so its own watchdog will see to it"
        put(queue, heartbeat=long_ago)
        queue.ensure_worker()
        assert victim.wait(5) == -signal.SIGKILL
        put(queue, pid=victim.pid)
        queue.ensure_worker()
        put(queue, pid=os.getpgrp())
        queue.ensure_worker()
    finally:
        victim.kill()
        lock.release()


# ---- storage that fails ---------------------------------------------------------------------


def test_a_newer_database_is_refused(queue):
    submit(queue)
    with sqlite3.connect(queue.table.path) as rows:
        rows.execute(f"PRAGMA user_version = {jobtable.SCHEMA_VERSION + 1}")
    rows.close()
    for call in (queue.list, lambda: submit(queue)):
        with pytest.raises(StoreError, match="newer braindash") as caught:
            call()
        assert "Update braindash" in caught.value.hint


def test_a_damaged_database_is_refused(queue):
    queue.folder.mkdir(parents=True)
    queue.table.path.write_bytes(b"not a database, " * 100)
    for call in (queue.list, lambda: submit(queue)):
        with pytest.raises(StoreError, match="damaged") as caught:
            call()
        assert "results are not touched" in caught.value.hint


def test_a_locked_database_is_told(queue, monkeypatch):
    submit(queue)
    monkeypatch.setattr(jobtable, "_BUSY_SECONDS", 0.05)
    other = sqlite3.connect(queue.table.path)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            submit(queue, OTHER)
    finally:
        other.close()
    assert submit(queue, OTHER).state == "queued"


def test_a_store_that_is_no_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    queue = JobQueue(tmp_path / "file")
    assert queue.list() == ()
    with pytest.raises(StoreError, match="cannot be used"):
        submit(queue)


def _drop_override() -> None:
    """Make even root respect file modes, in a child process."""
    if os.geteuid() == 0:
        pr_capbset_drop, cap_dac_override = 24, 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0)


def _limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


ATTEMPT = """
import sys
from braindash.errors import StoreError
from braindash.jobs.queue import JobQueue
queue = JobQueue(sys.argv[1])
try:
    print("read", len(queue.list()))
    queue.submit("parts", "abcdef0123456789", {"text": "x" * 20000}, "Title", start=False)
except StoreError as error:
    sys.exit("StoreError: " + str(error))
"""


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("spoil", ["read-only", "full"])
def test_a_read_only_or_full_disk_is_told(queue, spoil, used_before):
    queue.folder.mkdir(parents=True)
    if used_before:
        submit(queue)
    if spoil == "read-only":
        for path in (*queue.folder.iterdir(), queue.folder):
            path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        outcome = subprocess.run(
            [sys.executable, "-c", ATTEMPT, str(queue.root)],
            preexec_fn=_drop_override if spoil == "read-only" else _limit_file_size,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        queue.folder.chmod(0o700)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("StoreError: ") and "disk is not full" in outcome.stderr
    assert f"read {int(used_before)}" in outcome.stdout
    assert len(queue.list()) == used_before, "what was there is still there"


def test_two_processes_that_submit_at_once_make_one_run(tmp_path):
    """The same through real processes: see test_worker for the run itself."""
    root = tmp_path / "store"
    code = (
        "import sys; from braindash.jobs.queue import JobQueue; sys.stdin.read();"
        "job = JobQueue(sys.argv[1], worker_command=('true',))"
        f".submit('parts', '{KEY}', {{}}, 'T', start=False); print(job.created)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        process.stdin.close()
    created = {process.stdout.read() for process in processes}
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(created) == 1 and len(toy_queue(root).list()) == 1


# ---- who asks ----------------------------------------------------------------


@pytest.fixture
def asker(monkeypatch):
    """Say who asks from now on."""

    def ask(**visitor):
        monkeypatch.setattr(asking, "_source", lambda: asking.Visitor(**visitor))

    return ask


def test_a_job_carries_who_asked_and_the_command_line_is_the_account(queue, asker, monkeypatch):
    monkeypatch.setattr(asking, "_source", asking._nobody_else)
    assert submit(queue).asked_by == asking.account() == queue.get(KEY).asked_by
    asker(name="ada@lab.example")
    assert submit(queue, OTHER).asked_by == "ada@lab.example"
    assert submit(queue).asked_by == asking.account(), "it waits already"


def test_who_only_looks_starts_stops_and_continues_nothing(queue, asker, tmp_path):
    asker(name="ada@lab.example")
    submit(queue)
    asker(name="eve", role="viewer", reason="your role is viewer")
    with pytest.raises(AccessError, match=r"eve may not start work here: your role is viewer"):
        submit(queue, OTHER)
    with pytest.raises(AccessError, match="may not stop work"):
        queue.cancel(KEY)
    with pytest.raises(AccessError, match="may not start work"):
        queue.retry(KEY)
    assert not queue.ensure_worker() and not (queue.folder / "worker.lock").exists()
    assert submit(queue) == queue.get(KEY), "what waits already can be followed"
    assert [(job.key, job.state) for job in queue.list()] == [(KEY, "queued")]
    empty = JobQueue(tmp_path / "empty")
    with pytest.raises(AccessError):
        submit(empty)
    assert empty.list() == () and not empty.ensure_worker() and not empty.folder.exists()
