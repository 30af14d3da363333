"""The worker process: killed, cancelled, starved and raced for real."""

import itertools
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit.running.job_tools import (
    GRACE_SECONDS,
    KILL_SECONDS,
    is_running,
    kill_workers,
    parts_done,
    toy_queue,
    wait_for,
    wait_for_state,
    worker_pids,
)

from braindash.errors import Cancelled, StoreError
from braindash.jobs import queue as jobs_module
from braindash.jobs.queue import JobQueue
from braindash.work.worker import JobProgress, _Worker

TESTS = str(Path(__file__).resolve().parents[1])
KEY = "0123456789abcdef"
NEXT = "fedcba9876543210"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    yield path
    kill_workers(path)


@pytest.fixture
def queue(root):
    return toy_queue(root)


def submit_parts(queue, key=KEY, n=20, seconds=0.05, **more):
    return queue.submit("parts", key, {"n": n, "seconds": seconds, **more}, "Parts")


def wait_for_parts(root, n):
    wait_for(lambda: len(parts_done(root)) >= n, f"{n} parts")


# ---- the ordinary way ---------------------------------------------------------


def test_jobs_run_one_after_the_other_in_the_order_of_submission(queue, root):
    for index in range(3):
        submit_parts(queue, f"{index:08d}", n=2, name=f"job{index}")
    done = [wait_for_state(queue, f"{index:08d}", "done") for index in range(3)]
    assert [job.result for job in done] == [{"n": 2}] * 3
    assert all(job.progress == 1.0 and job.attempt == 1 for job in done)
    for job, following in itertools.pairwise(done):
        assert job.created <= job.started <= job.finished <= following.started
    assert len(worker_pids(root)) == 1 and {job.pid for job in done} == set(worker_pids(root))


def test_an_idle_worker_ends_and_lets_go_of_its_lock(queue, root):
    submit_parts(queue, n=1)
    wait_for_state(queue, KEY, "done")
    assert queue.worker_alive()
    wait_for(lambda: not queue.worker_alive(), "the end of the worker")
    submit_parts(queue, NEXT, n=1)
    wait_for_state(queue, NEXT, "done")
    assert len(worker_pids(root)) == 2


def test_a_second_worker_of_a_store_leaves_at_once(queue, root):
    submit_parts(queue, n=40)
    wait_for_parts(root, 1)
    second = subprocess.run(
        queue._worker_command, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 0 and "another worker is at work" in second.stderr
    job = queue.get(KEY)
    assert job.state == "running" and job.attempt == 1 and job.pid == worker_pids(root)[0]


def test_reports_are_throttled_logged_and_end_in_the_jobs_own_log(queue):
    queue.submit("talk", KEY, {}, "A talk")
    wait_for_state(queue, KEY, "done")
    log = queue.log_tail(KEY, n_lines=1000)
    assert re.search(
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO +hello from the ridge$", log, re.MULTILINE
    )
    assert "A talk: attempt 1" in log and log.splitlines()[-1].endswith("done")
    assert "foreign chatter" not in log
    steps = re.findall(r"(\d+) % step (\d+)", log)
    assert 2 <= len(steps) <= 15, "400 reports in about one second, at most 5 written a second"
    assert all(abs(int(share) - int(step) / 4) <= 0.51 for share, step in steps)


def test_while_it_runs_a_job_shows_progress_heartbeat_and_time_left(queue, root):
    submit_parts(queue, n=30, seconds=0.05)
    job = wait_for(lambda: (j := queue.get(KEY)).progress > 0.4 and j, "progress")
    assert job.state == "running" and re.fullmatch(r"part \d+ of 30", job.message)
    assert job.pid in worker_pids(root) and abs(job.heartbeat - time.time()) < 2
    left = (1 - job.progress) * 30 * 0.05
    assert 0.4 * left < job.eta_seconds() < 2.5 * left
    assert wait_for_state(queue, KEY, "done").eta_seconds() is None


def test_the_heartbeat_goes_on_while_a_task_says_nothing(queue):
    queue.submit("busy", KEY, {}, "Busy")
    first = wait_for_state(queue, KEY, "running").heartbeat
    wait_for(lambda: queue.get(KEY).heartbeat > first, "a heartbeat")


# ---- failures ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "error", "hint"),
    [
        ("input_error", "story 'fox' has no audio", "Add fox.wav"),
        ("partz", "there is no command 'partz'", "Did you mean 'parts'"),
        ("bug", "ZeroDivisionError: division by zero", "report"),
        ("exit", "SystemExit: 3", "report"),
        ("memory", "out of memory", "smaller model"),
        ("cuda", "out of memory", "smaller model"),
        ("allocator", "out of memory", "smaller model"),
        ("singular", "LinAlgError: linalg.cholesky", "report"),
        ("full", "No space left", "Free disk space"),
        ("not_json", "TypeError", "report"),
        ("nan", "ValueError", "report"),
    ],
)
def test_a_failing_task_says_why_and_the_next_job_runs(queue, task, error, hint):
    queue.submit(task, KEY, {}, "Fails")
    submit_parts(queue, NEXT, n=1)
    job = wait_for_state(queue, KEY, "failed", "done")
    assert job.state == "failed" and error in job.error and hint in job.hint
    assert "\n" not in job.error and job.finished is not None and job.attempt == 1
    assert error.split(": ")[-1].split("(")[0] in queue.log_tail(KEY) or "memory" in error
    assert ("Traceback" in queue.log_tail(KEY)) == (task not in ("input_error", "partz"))
    assert wait_for_state(queue, NEXT, "done").result == {"n": 1}


def test_after_an_unforeseen_error_a_fresh_process_goes_on(queue):
    """An accelerator may be unusable, or memory still be held, in the old one."""
    queue.submit("cuda", KEY, {}, "Fails")
    submit_parts(queue, NEXT, n=1)
    assert wait_for_state(queue, NEXT, "done").pid != queue.get(KEY).pid


def test_the_pipeline_is_the_default_and_an_unknown_task_names_its_tasks(root):
    queue = JobQueue(root)
    queue.submit("encod", KEY, {}, "Typo")
    job = wait_for_state(queue, KEY, "failed")
    os.kill(job.pid, signal.SIGTERM)
    assert "Did you mean 'encode'?" in job.hint and "demo" in job.hint
    assert "Typo: attempt 1" in queue.log_tail(KEY), "also when the module runs as __main__"


# ---- kills ----------------------------------------------------------------------------


def test_a_killed_workers_successor_resumes_and_loses_at_most_one_part(queue, root):
    submit_parts(queue, n=20)
    wait_for_parts(root, 6)
    os.kill(queue.get(KEY).pid, signal.SIGKILL)
    before = parts_done(root)
    wait_for(queue.ensure_worker, "a successor")
    job = wait_for_state(queue, KEY, "done", "failed")
    assert job.state == "done" and job.attempt == 2
    after = parts_done(root)
    assert after[: len(before)] == before
    assert sorted(map(int, set(after))) == list(range(20)) and len(after) <= 21


def test_the_job_goes_on_when_the_server_that_submitted_it_is_killed(queue, root):
    """SIGKILL of the server's whole process group, as when a terminal is closed hard."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from kit.running.job_tools import toy_queue; queue = toy_queue(Path(sys.argv[1]));"
        f"queue.submit('parts', '{KEY}', {{'n': 20, 'seconds': 0.05}}, 'Parts'); time.sleep(600)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(root), TESTS], start_new_session=True
    )
    wait_for_parts(root, 3)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    at_kill = len(parts_done(root))
    assert at_kill < 20
    job = wait_for_state(queue, KEY, "done")
    assert job.attempt == 1 and len(parts_done(root)) == 20


def test_two_equal_submissions_from_two_processes_are_one_run(queue, root):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from kit.running.job_tools import toy_queue;"
        "queue = toy_queue(Path(sys.argv[1])); sys.stdin.read();"
        f"queue.submit('parts', '{KEY}', {{'n': 8, 'seconds': 0.05}}, 'Parts')"
    )
    command = [sys.executable, "-c", code, str(root), TESTS]
    servers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for server in servers:
        server.stdin.close()
    assert [server.wait(20) for server in servers] == [0, 0]
    job = wait_for_state(queue, KEY, "done")
    assert job.attempt == 1 and len(queue.list()) == 1
    assert parts_done(root) == [str(index) for index in range(8)]
    assert len(worker_pids(root)) == 1


def test_a_job_that_kills_its_worker_three_times_fails_and_the_next_one_runs(queue, root):
    queue.submit("die", KEY, {}, "Deadly")
    submit_parts(queue, NEXT, n=1)

    def failed():
        queue.ensure_worker()  # as the dashboard does each second
        return queue.get(KEY).state == "failed"

    wait_for(failed, "the third death")
    job = queue.get(KEY)
    assert job.attempt == 3 and "killed 3 times" in job.error and "memory" in job.hint
    assert queue.log_tail(KEY).count("attempt") == 3
    wait_for_state(queue, NEXT, "done")
    assert len(worker_pids(root)) == 4


def test_a_forked_child_of_a_dead_worker_does_not_pass_for_a_worker(queue, root):
    queue.submit("orphan", KEY, {}, "Orphan")
    child = int(wait_for(lambda: read(root / "child.txt"), "the child"))
    try:
        wait_for(lambda: not is_running(queue.get(KEY).pid), "the worker's death")
        wait_for(lambda: not queue.worker_alive(), "the lock's release")
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_worker_that_is_asked_to_end_puts_its_job_back(queue, root):
    """As when the machine shuts down: no attempt is counted, nobody is started."""
    queue.submit("busy", KEY, {}, "Busy")
    pid = wait_for_state(queue, KEY, "running").pid
    wait_for(lambda: queue.get(KEY).message == "busy", "the task")
    os.kill(pid, signal.SIGTERM)
    job = wait_for_state(queue, KEY, "queued")
    assert job.attempt == 0 and (root / "tidied").exists()
    wait_for(lambda: not queue.worker_alive(), "the end of the worker")
    assert len(worker_pids(root)) == 1


def read(path):
    return path.read_text() if path.exists() else ""


def test_a_worker_that_is_asked_to_end_before_the_task_begins_does_not_begin_it(queue, monkeypatch):
    """In this process: SIGTERM comes between the claim and the task."""
    began = []
    tasks = {"parts": lambda *_: began.append(1) or {}}
    queue.submit("parts", KEY, {}, "Title", start=False)
    lock = queue.take_worker_lock()
    worker = _Worker(queue, tasks, lock, GRACE_SECONDS, KILL_SECONDS)
    claim = queue.table.claim

    def claim_and_be_asked():
        job = claim()
        worker.on_terminate(signal.SIGTERM, None)
        return job

    monkeypatch.setattr(queue.table, "claim", claim_and_be_asked)
    worker.serve(idle_seconds=1.0)
    worker.hand_over()
    assert not began and queue.get(KEY).state == "queued" and queue.get(KEY).attempt == 0


# ---- cancelling --------------------------------------------------------------------------


def test_cancel_stops_between_two_parts_and_a_retry_goes_on(queue, root):
    submit_parts(queue, n=30, seconds=0.1)
    wait_for_parts(root, 3)
    asked = queue.cancel(KEY)
    assert asked.state == "running" and asked.cancel_asked is not None
    job = wait_for_state(queue, KEY, "cancelled")
    stopped_at = len(parts_done(root))
    assert stopped_at < 10 and job.finished - asked.cancel_asked < 1.0
    assert queue.worker_alive(), "a task that obeys costs no process"
    assert queue.retry(KEY).request == job.request
    wait_for_parts(root, stopped_at + 1)
    queue.cancel(KEY)
    wait_for_state(queue, KEY, "cancelled")
    done = parts_done(root)
    assert len(done) == len(set(done)), "no part was computed twice"


def test_a_stuck_task_is_ended_after_the_grace_and_the_next_job_runs(queue, root):
    queue.submit("busy", KEY, {}, "Busy")
    submit_parts(queue, NEXT, n=1)
    stuck = wait_for(lambda: (j := queue.get(KEY)).message == "busy" and j, "the task")
    asked = queue.cancel(KEY).cancel_asked
    job = wait_for_state(queue, KEY, "cancelled")
    assert GRACE_SECONDS <= job.finished - asked < GRACE_SECONDS + 2
    following = wait_for_state(queue, NEXT, "done")
    assert following.pid != stuck.pid and (root / "tidied").exists(), "SIGTERM unwinds the task"
    assert "does not stop" in queue.log_tail(KEY)


def test_a_task_that_ignores_everything_is_killed_with_its_children(queue, root):
    queue.submit("stubborn", KEY, {}, "Stubborn")
    submit_parts(queue, NEXT, n=1)
    stuck = wait_for_state(queue, KEY, "running")
    child = int(wait_for(lambda: read(root / "child.txt"), "the child"))
    begun = time.monotonic()
    queue.cancel(KEY)
    wait_for_state(queue, NEXT, "done")  # nobody calls ensure_worker: it starts its successor
    assert time.monotonic() - begun >= GRACE_SECONDS + KILL_SECONDS
    wait_for(lambda: not is_running(stuck.pid) and not is_running(child), "the deaths")
    assert queue.get(KEY).state == "cancelled" and queue.get(KEY).attempt == 1


def test_a_task_that_blocks_even_the_watchdog_is_killed_from_outside(queue, monkeypatch):
    monkeypatch.setattr(jobs_module, "DEAF_SECONDS", 1.0)
    queue.submit("deaf", KEY, {}, "Deaf")
    submit_parts(queue, NEXT, n=1)
    wait_for_state(queue, KEY, "running")
    time.sleep(0.3)
    queue.cancel(KEY)

    def cancelled():
        queue.ensure_worker()
        return queue.get(KEY).state == "cancelled"

    wait_for(cancelled, "the kill from outside")
    wait_for_state(queue, NEXT, "done")


def test_submitting_again_takes_back_a_cancel_that_has_not_happened_yet(queue, root):
    submit_parts(queue, n=4, seconds=0.5)
    wait_for_parts(root, 1)
    queue.cancel(KEY)
    assert submit_parts(queue, n=4, seconds=0.5).cancel_asked is None
    assert wait_for_state(queue, KEY, "done", "cancelled").state == "done"
    assert parts_done(root) == ["0", "1", "2", "3"]


def test_submitting_again_while_the_task_is_being_cancelled_runs_it_again(queue):
    queue.submit("regret", KEY, {"key": KEY}, "Regret")
    wait_for(lambda: queue.get(KEY).message.startswith("waiting for the"), "the task")
    queue.cancel(KEY)
    job = wait_for_state(queue, KEY, "done", "cancelled")
    assert job.state == "done" and job.result == {"again": True}


# ---- reports, without a process -------------------------------------------------------------


@pytest.fixture
def claimed(queue):
    queue.submit("parts", KEY, {}, "Title", start=False)
    lock = queue.take_worker_lock()
    yield queue.table.claim()
    lock.release()


def test_a_report_of_a_superseded_attempt_changes_nothing_and_stops_it(queue, claimed):
    queue.table.claim()  # as a successor does: the row is in attempt 2 now
    progress = JobProgress(queue.table, claimed)
    with pytest.raises(Cancelled):
        progress.advance(1, 2, "from the dead")
    assert not queue.table.finish(claimed, "done", result={"from": "the dead"})
    queue.table.put_back(claimed)
    job = queue.get(KEY)
    assert (job.state, job.attempt, job.progress, job.result) == ("running", 2, 0.0, None)


@pytest.mark.parametrize(
    ("done", "total", "share"), [(1, 4, 0.25), (9, 4, 1.0), (-1, 4, 0.0), (0, 0, 1.0)]
)
def test_a_share_is_always_between_nothing_and_everything(queue, claimed, done, total, share):
    JobProgress(queue.table, claimed).advance(done, total, "m")
    assert queue.get(KEY).progress == share


def test_a_share_that_is_no_number_keeps_the_last_one(queue, claimed):
    progress = JobProgress(queue.table, claimed)
    progress.advance(1, 4, "good")
    progress.advance(float("nan"), 4, "bad")
    progress.write()
    assert queue.get(KEY).progress == 0.25 and queue.get(KEY).message == "bad"


def test_a_report_that_cannot_be_written_does_not_cost_the_computation(
    queue, claimed, monkeypatch, caplog
):
    def refuse(*_):
        raise StoreError("disk full", hint="free it")

    progress = JobProgress(queue.table, claimed)
    monkeypatch.setattr(queue.table, "report", refuse)
    with caplog.at_level(logging.WARNING, "braindash.work.worker"):
        progress.advance(1, 4, "m")
    assert "could not be written" in caplog.text


def test_the_pace_forgets_parts_that_were_found_in_the_store(queue, claimed, monkeypatch):
    """60 of 100 parts are skipped in no time; then each takes 10 s: 20 parts later 200 s are left.

    Measured from the start of the attempt it would be 20 * 200 / 80 = 50 s.
    """
    clock = [claimed.started]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    progress = JobProgress(queue.table, claimed)
    for part in range(60):
        clock[0] += 0.001
        progress.advance(part + 1, 100, "skipped")
    for part in range(60, 80):
        clock[0] += 10.0
        progress.advance(part + 1, 100, "computed")
    progress.write()
    assert queue.get(KEY).eta_seconds(clock[0]) == pytest.approx(200.0, rel=0.05)
