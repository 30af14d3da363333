"""Commands and workers that are killed at random moments end where undisturbed ones end.

A campaign of minutes (`make campaign`, or `pytest -m campaign tests/chaos`). ``CHAOS_STOPS`` says
how often a command is stopped before it may end, ``CHAOS_SEED`` at which moments.
"""

import os
import random
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from kit.running.chaos import (
    HOW,
    KINDS,
    QUIET_SECONDS,
    Work,
    all_done,
    assert_equal_to,
    damaged,
    finished,
    jobs,
    left_running,
    made_twice,
    make_work,
    stop,
)
from kit.running.job_tools import wait_for
from kit.site.browser import free_port

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600)]
STOPS = int(os.environ.get("CHAOS_STOPS", "12"))
SEED = int(os.environ.get("CHAOS_SEED", "0"))
NOTICED_SECONDS = 10.0


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory, quick_model):
    """One command that nobody stopped: the work, and how many seconds it took."""
    return made_whole(request.param, tmp_path_factory, quick_model)


def made_whole(kind: str, tmp_path_factory, quick_model) -> tuple[Work, float]:
    work = make_work(kind, tmp_path_factory.mktemp(kind), quick_model)
    started = time.monotonic()
    done = work.finish()
    assert done.returncode == 0, done.stderr
    return work, time.monotonic() - started


def test_a_command_that_is_stopped_ends_with_the_same_bits(whole, tmp_path):
    stop_often(*whole, tmp_path / "store", STOPS)


def test_the_demo_that_is_stopped_ends_with_the_same_bits(tmp_path, tmp_path_factory, quick_model):
    reference, seconds = made_whole("demo", tmp_path_factory, quick_model)
    stop_often(reference, seconds / 2, tmp_path / "store", STOPS)


def stop_often(reference: Work, seconds: float, store: Path, n_stops: int) -> None:
    """Stop a command so often, at moments within so many seconds, and compare where it ends.

    What was finished before a stop is never made again: at most what was being made is lost.
    """
    rng = random.Random(SEED)
    work, told, before, n_whole = reference.elsewhere(store), [], {}, 0
    for number in range(n_stops):
        process = work.start()
        time.sleep(rng.uniform(0, seconds))
        how = HOW[number % len(HOW)]
        stop(process, how, rng)
        _, error = process.communicate(timeout=1800)
        told.append(how if process.returncode else f"({how})")
        assert "Traceback" not in error, f"{how}\n{error}"
        assert not damaged(work.store), how
        wait_for(lambda one=work: not left_running(one.store), f"an end after {how}", QUIET_SECONDS)
        now = finished(work.store)
        assert not made_twice(before, now), how
        before |= now
        if process.returncode == 0:  # it was quicker, or survived: there is nothing left to stop
            assert_equal_to(reference, work)
            n_whole += 1
            work, before = reference.elsewhere(store.with_name(f"{store.name}-{n_whole}")), {}
    done = work.finish()
    assert done.returncode == 0, done.stderr
    assert not made_twice(before, finished(work.store))
    assert_equal_to(reference, work)
    print(f"\n{work.kind}: {n_whole + 1} runs, stopped by {', '.join(told)}; () reached the end")


def test_a_job_whose_worker_is_killed_is_noticed_and_goes_on(whole, tmp_path):
    (reference, seconds), rng = whole, random.Random(SEED)
    noticed = []
    for number in range(4):
        work = reference.elsewhere(tmp_path / f"store-{number}")
        for _ in range(3):
            assert work.finish("--queue").returncode == 0
            wait_for(lambda one=work: running(one) or all_done(one), "a worker", 60)
            time.sleep(rng.uniform(0, seconds / 4))
            killed = running(work)
            for pid in left_running(work.store):
                stop(_Process(pid), "KILL", rng)
            if not killed:
                break
            before = time.monotonic()
            wait_for(
                lambda one=work, known=killed: not still_running(one, known), "somebody to see", 60
            )
            noticed.append(time.monotonic() - before)
        assert work.finish("--queue").returncode == 0
        wait_for(lambda one=work: all_done(one), "the end", 300)
        assert_equal_to(reference, work)
    assert noticed and max(noticed) < NOTICED_SECONDS, noticed
    print(f"\n{work.kind}: dead workers noticed after {', '.join(f'{n:.1f} s' for n in noticed)}")


def running(work) -> dict[str, int]:
    """Which jobs are worked on, each with its attempt."""
    return {job["key"]: job["attempt"] for job in jobs(work) if job["state"] == "running"}


def still_running(work, known: dict[str, int]) -> bool:
    return any(known.get(key) == attempt for key, attempt in running(work).items())


class _Process:
    """What :func:`kit.running.chaos.stop` needs of a process that is not a child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        os.kill(self.pid, 9)


@pytest.mark.parametrize("how", HOW)
def test_a_dashboard_that_is_killed_takes_no_job_with_it(whole, tmp_path, how):
    (reference, seconds), rng = whole, random.Random(SEED)
    if reference.kind != "encode":
        pytest.skip("the dashboard knows jobs, not kinds")
    work = reference.elsewhere(tmp_path / "store")
    port = free_port()
    command = [sys.executable, "-m", "braindash", "app", "--store", str(work.store)]
    options = {"start_new_session": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    for _ in range(2):  # and is started again
        with subprocess.Popen([*command, "--port", str(port)], **options) as server:
            wait_for(lambda: is_healthy(port), "a dashboard", 60)
            assert work.finish("--queue").returncode == 0
            time.sleep(rng.uniform(0, seconds / 2))
            stop(server, how, rng)
            if how == "STOP":
                assert is_healthy(port)
                server.terminate()
            server.communicate(timeout=60)
    wait_for(lambda: all_done(work), "the end", 300)
    assert_equal_to(reference, work)


def is_healthy(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health") as it:
        return it.status == 200
    return False


def test_the_same_command_twice_at_once(whole, tmp_path):
    reference, _ = whole
    work = reference.elsewhere(tmp_path / "store")
    both = [work.start() for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=600)
        # A model that another run is tuning is refused in words.
        assert process.returncode == 0 or (work.kind == "tune" and "Traceback" not in error), error
    assert work.finish().returncode == 0
    assert_equal_to(reference, work)


def test_a_job_table_that_is_lost_is_made_anew_and_results_stay(whole, tmp_path):
    reference, _ = whole
    work = reference.elsewhere(tmp_path / "store")
    assert work.finish("--queue").returncode == 0
    wait_for(lambda: all_done(work), "the end", 300)
    before = finished(work.store)
    for path in work.store.glob("jobs/jobs.sqlite*"):
        path.unlink()
    assert jobs(work) == []
    assert work.finish("--queue").returncode == 0
    wait_for(lambda: all_done(work), "the end", 300)
    assert not made_twice(before, finished(work.store))
    assert_equal_to(reference, work)


def test_a_job_table_that_is_damaged_is_told_and_results_stay(whole, tmp_path):
    reference, _ = whole
    work = reference.elsewhere(tmp_path / "store")
    assert work.finish("--queue").returncode == 0
    wait_for(lambda: all_done(work), "the end", 300)
    (table, *more) = sorted(work.store.glob("jobs/jobs.sqlite*"))
    for path in (table, *more):
        path.write_bytes(random.Random(SEED).randbytes(8192))
    command = [sys.executable, "-m", "braindash", "jobs", "list", "--store", str(work.store)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    said = "".join((told.stderr + told.stdout).split())  # lines are wrapped
    assert "Traceback" not in said and table.name in said and "isdamaged" in said
    assert_equal_to(reference, work)
