"""The worker: a detached process that runs the queued jobs of a store, one after the other.

``python -m braindash.worker ROOT`` is started by :class:`braindash.jobs.JobQueue` and ends by
itself when nothing is left to do. While a task computes, a second thread writes heartbeats; it
kills the whole process when the task does not react to being cancelled.
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
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from braindash.digest import canonical_json
from braindash.errors import BraindashError, Cancelled, JobError, StoreError, near_match
from braindash.jobs import Job, JobQueue, WorkerLock
from braindash.jobtable import JobTable
from braindash.progress import Progress

logger = logging.getLogger(__name__)

Task = Callable[[dict[str, Any], Path, Progress], dict[str, Any]]
"""Takes the request, the store's root and where to report; returns a JSON object."""

REPORT_SECONDS = 0.2
"""Least time between two reports of a task that reach the database."""
HEARTBEAT_SECONDS = 1.0
_POLL_SECONDS = 0.2
_ERROR_CHARACTERS = 400


class _Terminated(BaseException):
    """SIGTERM reached the main thread: the task must unwind, whatever it catches."""


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
    """Writes heartbeats while a task computes, and stops a task that does not stop by itself."""

    def __init__(
        self, progress: JobProgress, grace_seconds: float, stop_task: Callable[[], None]
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._progress = progress
        self._grace_seconds = grace_seconds
        self._stop_task = stop_task
        self._finished = threading.Event()

    def run(self) -> None:
        """Beat until the task has ended."""
        cancelled_at = None
        while not self._finished.wait(min(HEARTBEAT_SECONDS, self._grace_seconds / 4)):
            self._progress.write()
            if self._progress.go_on:
                cancelled_at = None
                continue
            cancelled_at = cancelled_at or time.monotonic()
            if time.monotonic() - cancelled_at >= self._grace_seconds:
                self._stop_task()
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
        tasks: Mapping[str, Task],
        lock: WorkerLock,
        grace_seconds: float,
        kill_seconds: float,
    ) -> None:
        self._queue = queue
        self._tasks = tasks
        self._lock = lock
        self._grace_seconds = grace_seconds
        self._kill_seconds = kill_seconds
        self._stopping = False
        self._in_task = False
        self._handed_over = False
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
        """Unwind the task (signal handler); between two jobs, stop before the next one."""
        self._stopping = True
        if self._in_task:
            self._in_task = False
            raise _Terminated

    def _run(self, job: Job) -> None:
        table = self._queue.table
        progress = JobProgress(table, job)
        watchdog = _Watchdog(progress, self._grace_seconds, lambda: self._stop_task(job))
        with _job_log(self._queue.log_path(job.key)):
            logger.info("%s: attempt %d, process %d", job.title, job.attempt, os.getpid())
            watchdog.start()
            try:
                outcome = self._outcome(job, progress)
            except _Terminated:
                logger.warning("the worker was asked to end")
                table.put_back(job)
                self._hand_over_after_stop()
                return
            finally:
                watchdog.finish()
            progress.write()
            table.finish(
                job,
                outcome.state,
                error=outcome.error,
                hint=outcome.hint,
                result=outcome.result,
            )
            logger.info("%s", outcome.state)
