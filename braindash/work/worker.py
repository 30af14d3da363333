"""The worker: a detached process that runs the queued jobs of a store, one after the other.

``python -m braindash.work.worker ROOT`` is started by :class:`braindash.jobs.queue.JobQueue` and
ends by itself when nothing is left to do. While a job computes, a second thread writes heartbeats;
it kills the whole process when the job does not react to being cancelled.
"""

import argparse
import errno
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from braindash.core.devices import MEMORY_HINT
from braindash.errors import (
    BraindashError,
    Cancelled,
    JobError,
    StoreError,
    is_out_of_memory,
    near_match,
)
from braindash.files import canonical_json
from braindash.jobs.queue import Job, JobQueue, WorkerLock
from braindash.jobs.table import JobTable
from braindash.process import let_threads_sleep
from braindash.progress import Progress

# Not __name__, which is "__main__" in a worker process: its records belong in the job's log.
logger = logging.getLogger("braindash.work.worker")

Command = Callable[[dict[str, Any], Path, Progress], dict[str, Any]]
"""Takes the request, the store's root and where to report; returns a JSON object."""

REPORT_SECONDS = 0.2
"""Least time between two reports of a job that reach the database."""
HEARTBEAT_SECONDS = 1.0
_POLL_SECONDS = 0.2
_ERROR_CHARACTERS = 400


class _Terminated(BaseException):
    """SIGTERM reached the main thread: the job must unwind, whatever it catches."""


class JobProgress:
    """Writes the reports of one running job into its row and its log.

    Parameters
    ----------
    table : JobTable
        Where the row is.
    job : Job
        The claimed job.
    """

    def __init__(self, table: JobTable, job: Job) -> None:
        self._table = table
        self._job = job
        self._mutex = threading.Lock()
        self._share = 0.0
        self._message = job.message
        self._logged = ""
        self._written = -math.inf
        self._began = time.time()
        self._pace = self._next_pace = (self._began, 0.0)
        self.go_on = True
        self.stopped = False

    def advance(self, done: float, total: float, message: str) -> None:
        """Take a report; raise :class:`~braindash.errors.Cancelled` when the job should stop."""
        share = done / total if total else 1.0
        with self._mutex:
            self._share = min(1.0, max(0.0, share)) if math.isfinite(share) else self._share
            self._message = message
            self._update_pace(time.time())
        if time.monotonic() - self._written >= REPORT_SECONDS:
            self.write()
        if not self.go_on:
            self.stopped = True
            raise Cancelled()

    def write(self) -> None:
        """Bring the row up to date, with a heartbeat, and learn whether to go on."""
        with self._mutex:
            self._written = time.monotonic()
            if self._message != self._logged:
                self._logged = self._message
                logger.info("%3.0f %% %s", 100 * self._share, self._message)
            try:
                go_on = self._table.report(self._job, self._share, self._message, self._pace)
            except StoreError:
                # Losing a report is nothing; losing the computation for it would be.
                logger.warning("the progress could not be written", exc_info=True)
            else:
                self.go_on = go_on

    def _update_pace(self, now: float) -> None:
        # The pace is measured over the later part of the attempt (a half to three quarters of
        # it), so that parts found in the store at its start are soon forgotten.
        if now - self._began >= 2 * (self._next_pace[0] - self._began):
            self._pace, self._next_pace = self._next_pace, (now, self._share)


class _Watchdog(threading.Thread):
    """Writes heartbeats while a job computes, and stops a job that does not stop by itself."""

    def __init__(
        self, progress: JobProgress, grace_seconds: float, stop_job: Callable[[], None]
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._progress = progress
        self._grace_seconds = grace_seconds
        self._stop_job = stop_job
        self._finished = threading.Event()

    def run(self) -> None:
        """Beat until the job has ended."""
        cancelled_at = None
        while not self._finished.wait(min(HEARTBEAT_SECONDS, self._grace_seconds / 4)):
            self._progress.write()
            if self._progress.go_on:
                cancelled_at = None
                continue
            cancelled_at = cancelled_at or time.monotonic()
            if time.monotonic() - cancelled_at >= self._grace_seconds:
                self._stop_job()
                return

    def finish(self) -> None:
        """Let the thread end."""
        self._finished.set()


@dataclass(frozen=True)
class _Outcome:
    state: Literal["done", "failed", "cancelled"]
    error: str | None = None
    hint: str | None = None
    result: dict[str, Any] | None = None


class _Worker:
    """Runs jobs in the main thread of this process."""

    def __init__(
        self,
        queue: JobQueue,
        commands: Mapping[str, Command],
        lock: WorkerLock,
        grace_seconds: float,
        kill_seconds: float,
    ) -> None:
        self._queue = queue
        self._commands = commands
        self._lock = lock
        self._grace_seconds = grace_seconds
        self._kill_seconds = kill_seconds
        self._stopping = False
        self._in_job = False
        self._replace = False
        self._handing_over = threading.Lock()

    def serve(self, idle_seconds: float) -> None:
        """Run jobs until none came for ``idle_seconds``, or until this process is to end."""
        idle_since = time.monotonic()
        while not self._stopping:
            job = self._queue.table.claim()
            if job is not None:
                self._run(job)
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since < idle_seconds:
                time.sleep(_POLL_SECONDS)
            elif self._queue.leave_if_idle(self._lock):
                return

    def on_terminate(self, signum: int, frame: FrameType | None) -> None:
        """Unwind the job (signal handler); between two jobs, stop before the next one."""
        self._stopping = True
        if self._in_job:
            self._in_job = False
            raise _Terminated

    def hand_over(self) -> None:
        """Let a fresh process go on with the queue; a second call does nothing."""
        with self._handing_over:
            try:
                if self._replace and self._lock.fd >= 0:
                    self._queue.start_successor(self._lock)
            except BraindashError:
                logger.exception("no successor could be started; queued jobs wait")
            finally:
                self._lock.release()

    def _run(self, job: Job) -> None:
        table = self._queue.table
        progress = JobProgress(table, job)
        watchdog = _Watchdog(progress, self._grace_seconds, lambda: self._stop_job(job))
        with _job_log(self._queue.log_path(job.key)):
            logger.info("%s: attempt %d, process %d", job.title, job.attempt, os.getpid())
            try:
                watchdog.start()
                outcome = self._outcome(job, progress)
            except _Terminated:
                logger.warning("the worker was asked to end")
                table.put_back(job)
                return
            finally:
                watchdog.finish()
            progress.write()
            if outcome.state == "cancelled" and progress.stopped and progress.go_on:
                logger.info("asked for again while it was being cancelled")
                table.put_back(job)
                return
            logger.info("%s", outcome.state)
            table.finish(
                job, outcome.state, error=outcome.error, hint=outcome.hint, result=outcome.result
            )

    def _outcome(self, job: Job, progress: JobProgress) -> _Outcome:
        try:
            result = self._call(job, progress)
            canonical_json(result)
        except Cancelled:
            return _Outcome("cancelled")
        except BraindashError as error:
            logger.error("%s", error)
            return _Outcome("failed", error.message, error.hint)
        except (Exception, SystemExit) as error:
            logger.exception("the job failed")
            # Memory may still be held, or an accelerator be unusable: go on in a fresh process.
            self._replace = self._stopping = True
            return _unexpected(error)
        return _Outcome("done", result=result)

    def _call(self, job: Job, progress: JobProgress) -> dict[str, Any]:
        try:
            self._in_job = True
            if self._stopping:  # asked between the claim and here
                raise _Terminated
            if job.command not in self._commands:
                hint = near_match(job.command, self._commands)
                raise JobError(f"there is no command {job.command!r}", hint=hint)
            return self._commands[job.command](job.request, self._queue.root, progress)
        finally:
            self._in_job = False

    def _stop_job(self, job: Job) -> None:
        """End this process, because its job ignores the cancelling (watchdog's thread)."""
        try:
            if not self._queue.table.finish(job, "cancelled"):
                return
        except StoreError:
            # The row stays marked for cancelling; who finds its dead worker settles it.
            logger.exception("the cancelling could not be written")
        logger.warning("the job does not stop; its process is ended")
        self._replace = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._kill_seconds)
        self.hand_over()
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class _AllCommands(Mapping[str, Command]):
    """Everything that can be run, imported when the first job runs.

    So the import (seconds, and all of torch) is part of a job: an error in it fails that job,
    with its traceback in the job's log.
    """

    def __getitem__(self, name: str) -> Command:
        from braindash.work.kinds import COMMANDS, STUDY, run_job
        from braindash.work.studies import run_queued_study

        if name not in COMMANDS:
            raise KeyError(name)
        if name == STUDY:
            return run_queued_study
        return partial(run_job, name)

    def __iter__(self) -> Iterator[str]:
        from braindash.work.kinds import COMMANDS

        return iter(COMMANDS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _unexpected(error: BaseException) -> _Outcome:
    """Say what an error that nobody foresaw means to the user."""
    text = " ".join(str(error).split())
    short = f"{type(error).__name__}: {text}"[:_ERROR_CHARACTERS]
    if is_out_of_memory(error):
        return _Outcome("failed", f"out of memory ({short})", MEMORY_HINT)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        hint = "Free disk space, or choose another store folder, and try again."
        return _Outcome("failed", f"the disk cannot be written ({short})", hint)
    return _Outcome(
        "failed",
        short,
        "This should not happen: the end of the job's log shows where; please report it."
        " Finished parts are kept when you try again.",
    )


@contextmanager
def _job_log(path: Path) -> Iterator[None]:
    """Write what the package logs into a job's file; without a file when the disk refuses."""
    package = logging.getLogger("braindash")
    level = package.level
    try:
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        logger.warning("no log is kept: %s", error)
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.setLevel(level)
        package.removeHandler(handler)
        handler.close()


def run_worker(
    root: Path | str,
    commands: Mapping[str, Command],
    *,
    idle_seconds: float = 30.0,
    grace_seconds: float = 10.0,
    kill_seconds: float = 5.0,
) -> None:
    """Run the queued jobs of a store until none is left; return at once when another worker does.

    Belongs in the main thread of a process of its own, which should end when this returns: the
    process takes over SIGTERM and SIGINT, and may kill itself to stop a job. Its own command
    line is how it starts a successor.

    Parameters
    ----------
    root : path
        The store's root folder.
    commands : mapping of str to callable
        ``command(request, store_root, progress) -> JSON object`` by name.
    idle_seconds : float, default 30
        End after so long without a job.
    grace_seconds : float, default 10
        How long a cancelled job may go on before the process is asked to end (SIGTERM).
    kill_seconds : float, default 5
        How long it may take to end before its process group is killed.
    """
    queue = JobQueue(root, worker_command=(sys.executable, *sys.orig_argv[1:]))
    lock = queue.take_worker_lock()
    if lock is None:
        logger.warning("another worker is at work on %s", queue.root)
        return
    worker = _Worker(queue, commands, lock, grace_seconds, kill_seconds)
    signal.signal(signal.SIGTERM, worker.on_terminate)
    signal.signal(signal.SIGINT, worker.on_terminate)
    try:
        worker.serve(idle_seconds)
    finally:
        worker.hand_over()


def _yield_to_others() -> None:
    """Keep the dashboard quick beside the worker, and let it survive when memory runs out."""
    os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the jobs of the store that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m braindash.work.worker", description="Run the queued jobs of a store."
    )
    parser.add_argument("root", type=Path, help="root folder of the store")
    options = parser.parse_args(arguments)
    # Standard error is worker.log: only what matters beyond one job's own log.
    stderr = logging.StreamHandler()
    stderr.setLevel(logging.WARNING)
    logging.basicConfig(
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", handlers=[stderr]
    )
    let_threads_sleep()
    _yield_to_others()
    run_worker(options.root, _AllCommands())


if __name__ == "__main__":
    main()
