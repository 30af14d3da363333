"""The job queue: work that outlives the browser and the server.

A job is a request with a key: the same request from two visitors is one job. Jobs are rows of a
database in ``<store root>/jobs``, or in a folder of this machine where several may write to the
store (:mod:`braindash.jobs.place`); a detached process (:mod:`braindash.work.worker`) runs them one
after the other. Everything here is cheap, and safe to call from any thread of any process.

Files of that folder: ``jobs.sqlite`` (the rows), ``<key>.log`` (what a job said),
``worker.log`` (what the worker process said), ``worker.lock`` (held by the living worker for all
its life) and ``queue.lock`` (held for milliseconds by whoever decides about workers).
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from braindash.errors import JobError
from braindash.files import canonical_json
from braindash.jobs.place import jobs_place, note_store
from braindash.jobs.table import NAME, Job, JobState, JobTable, cannot_write, unknown_job
from braindash.names import given_path
from braindash.process import import_path, require_platform
from braindash.sharing.asking import present, require_runner

require_platform()
import fcntl  # noqa: E402 - only after it is known that there is one

__all__ = ["Job", "JobQueue", "JobState", "WorkerLock"]

logger = logging.getLogger(__name__)

DEAF_SECONDS = 30.0
"""A worker that is asked to cancel and shows no heartbeat for this long is killed from outside."""
LOCK_VARIABLE = "BRAINDASH_WORKER_LOCK"
"""Environment variable that tells a new worker which inherited file descriptor is its lock."""

_LOG_TAIL_BYTES = 1 << 16
_WORKER_LOG_BYTES = 1 << 20


class WorkerLock:
    """An exclusive lock on ``worker.lock``: who holds it is the worker of the store.

    The kernel opens it when the last process that holds it ends, however it ends: a proof of life
    that no crash can falsify. A process that is started can inherit it without a gap.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def release(self) -> None:
        """Let go; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class JobQueue:
    """The jobs of one store.

    Parameters
    ----------
    root : path
        The store's root folder; nothing is created there before the first job.
    worker_command : sequence of str, optional
        How a worker is started; ``python -m braindash.work.worker ROOT`` when left out.
    """

    def __init__(self, root: Path | str, *, worker_command: Sequence[str] | None = None) -> None:
        self.root = given_path(root, exact=True).resolve()
        self._place = jobs_place(self.root)
        self.folder = self._place.folder
        self.table = JobTable(self._place.database)
        default = (sys.executable, "-P", "-m", "braindash.work.worker", str(self.root))
        self._worker_command = tuple(worker_command or default)

    def submit(
        self,
        command: str,
        key: str,
        request: Mapping[str, Any],
        title: str,
        *,
        again: bool = False,
        start: bool = True,
    ) -> Job:
        """Ask for work; a key that waits, runs or is done stays the one job it is.

        Who asks is kept with the job (:mod:`braindash.sharing.asking`).

        A failed or cancelled job is queued again. A finished one is queued again when what it
        made is gone: its result, and what stands under ``also`` in it, name a ``kind`` and
        ``keys``, and one of the folders ``<root>/<kind>/<key>`` does not exist. A running one that
        somebody asked to cancel goes on.

        Parameters
        ----------
        command : str
            What is run: a command of the command line, or "demo".
        key : str
            Names the job: letters, digits, ``-`` and ``_``, at most 64.
        request : mapping
            What the command is given; JSON values only.
        title : str
            For people.
        again : bool, default False
            Queue a finished job again.
        start : bool, default True
            Start a worker when none is alive.

        Returns
        -------
        Job
            The one job of this key.

        Raises
        ------
        AccessError
            When who asks may not compute, unless the job waits or runs already.
        """
        _check_name(key)
        if not present().may_compute and (known := self.table.find(key)) and known.active:
            return known
        visitor = require_runner("start work")
        _check_name(command)
        text = _request_json(request)
        if (known := self.table.find(key)) and known.state == "running":
            self._settle_dead()  # one that lost its worker too often is asked for anew
        job = self.table.add(
            command,
            key,
            text,
            title,
            redo=lambda old: again or self._result_is_gone(old),
            asked_by=visitor.name,
        )
        if start and job.active:
            self.ensure_worker()
        return job

    def get(self, key: str) -> Job:
        """Read one job; :class:`~braindash.errors.JobError` when there is none."""
        job = self.table.find(key)
        if job is None:
            raise unknown_job(key)
        return job

    def list(
        self, *, states: Iterable[JobState] | None = None, limit: int | None = 100
    ) -> tuple[Job, ...]:
        """Read jobs, the newest first; none when nothing was ever submitted.

        Parameters
        ----------
        states : iterable of str, optional
            Only jobs in these states.
        limit : int or None, default 100
            At most so many; None: all.

        Returns
        -------
        tuple of Job
            As they are now.
        """
        return self.table.newest(states, limit)

    def cancel(self, key: str) -> Job:
        """Stop a job: at once when it waits, soon when it runs; an ended one stays as it is.

        Raises
        ------
        AccessError
            When who asks may not compute.
        """
        require_runner("stop work")
        job = self.table.ask_cancel(key)
        if job.state == "running":
            # Its worker may be dead; then nobody else would read the request.
            self.ensure_worker()
            job = self.get(key)
        return job

    def retry(self, key: str, *, start: bool = True) -> Job:
        """Queue a failed or cancelled job again; any other stays as it is.

        Raises
        ------
        AccessError
            When who asks may not compute.
        """
        require_runner("start work")
        job = self.get(key)
        if job.damage:
            raise JobError(f"the job {key} cannot go on: {job.damage}", hint=job.hint or "")
        if job.state in ("failed", "cancelled"):
            job = self.submit(job.command, key, job.request, job.title, start=start)
        return job

    def log_path(self, key: str) -> Path:
        """Say where the log of a job is."""
        _check_name(key)
        return self.folder / f"{key}.log"

    def log_tail(self, key: str, n_lines: int = 50) -> str:
        """Read the last lines of a job's log; empty before its first attempt."""
        try:
            with open(self.log_path(key), "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return "\n".join(text.splitlines()[-n_lines:])

    def ensure_worker(self) -> bool:
        """Start a worker when there is work and no worker; put right what dead ones left.

        Pages call it whenever they show jobs: it costs one read while all is well. For who may
        not compute nothing is started or put right.

        Returns
        -------
        bool
            Whether a worker was started.
        """
        if not present().may_compute or not self.list(states=("queued", "running"), limit=1):
            return False
        with self._deciding():
            lock = self._try_lock()
            if lock is None:
                self._kill_deaf_worker()
                return False
            try:
                self.table.settle_dead()
                return self.start_successor(lock)
            finally:
                lock.release()

    def _settle_dead(self) -> None:
        """Decide about jobs that are marked as running, if no worker lives."""
        with self._deciding():
            lock = self._try_lock()
            if lock is not None:
                try:
                    self.table.settle_dead()
                finally:
                    lock.release()

    def worker_alive(self) -> bool:
        """Say whether a worker process lives."""
        if not (self.folder / "worker.lock").exists():
            return False
        with self._deciding():
            lock = self._try_lock()
            if lock is not None:
                lock.release()
            return lock is None

    def take_worker_lock(self) -> WorkerLock | None:
        """Become the worker of this store, for good; None when another process is it."""
        inherited = os.environ.pop(LOCK_VARIABLE, "")
        with suppress(OSError, ValueError):
            fd = int(inherited)
            if os.path.samestat(os.fstat(fd), os.stat(self.folder / "worker.lock")):
                os.set_inheritable(fd, False)
                return _kept_from_forks(WorkerLock(fd))
        with self._deciding():
            lock = self._try_lock()
        return None if lock is None else _kept_from_forks(lock)

    def leave_if_idle(self, lock: WorkerLock) -> bool:
        """Return the worker's lock back, unless a job waits; say whether it was given back."""
        with self._deciding():
            # Who submits a job after this look finds the lock free, and starts a worker.
            if self.list(states=("queued",), limit=1):
                return False
            lock.release()
            return True

    def start_successor(self, lock: WorkerLock) -> bool:
        """Start a worker that inherits ``lock``, when a job waits; say whether one was started."""
        if not self.list(states=("queued",), limit=1):
            return False
        log = self.folder / "worker.log"
        try:
            fresh = not log.exists() or log.stat().st_size > _WORKER_LOG_BYTES
            with open(log, "wb" if fresh else "ab") as output:
                process = subprocess.Popen(
                    self._worker_command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock.fd,),
                    env={**os.environ, **import_path(), LOCK_VARIABLE: str(lock.fd)},
                )
        except OSError as error:
            raise JobError(
                f"no worker process could be started: {error}",
                hint="The job stays queued: free memory or disk space, then open the jobs again.",
            ) from error
        # Somebody has to wait for the child, or it stays a zombie when it ends.
        threading.Thread(target=process.wait, daemon=True).start()
        return True

    def _result_is_gone(self, job: Job) -> bool:
        made = [job.result or {}]
        made += [made[0]["also"]] if isinstance(made[0].get("also"), dict) else []
        return not all(
            (self.root / kind / str(key)).is_dir()
            for one in made
            if isinstance(kind := one.get("kind"), str)
            for key in one.get("keys", [])
        )

    def _kill_deaf_worker(self) -> None:
        """Kill a worker whose job blocks even the thread that would cancel it."""
        now = time.time()
        for job in self.list(states=("running",)):
            asked, heartbeat, pid = job.cancel_asked, job.heartbeat, job.pid
            if asked is None or heartbeat is None or pid is None:
                continue
            if now - max(asked, heartbeat) < DEAF_SECONDS:
                continue
            logger.warning("worker %d does not react to the cancelling of %s", pid, job.key)
            with suppress(ProcessLookupError):
                # Workers lead their own process group; anything else is not a worker of ours.
                if os.getpgid(pid) == pid != os.getpgrp():
                    os.killpg(pid, signal.SIGKILL)

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Let one thread of one process at a time look at the worker's lock, or change it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            note_store(self._place, self.root)
            guard = open(self.folder / "queue.lock", "ab")  # noqa: SIM115
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        with guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _try_lock(self) -> WorkerLock | None:
        try:
            fd = os.open(self.folder / "worker.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return WorkerLock(fd)


def _kept_from_forks(lock: WorkerLock) -> WorkerLock:
    # A forked helper that outlives the worker must not look like a living worker.
    os.register_at_fork(after_in_child=lock.release)
    return lock


def _request_json(request: Mapping[str, Any]) -> str:
    try:
        text = canonical_json(dict(request))
        text.encode()  # a file name that is no UTF-8 cannot be kept in the database
        return text
    except (TypeError, ValueError) as error:
        raise JobError(
            f"the request of a job must be plain JSON: {error}",
            hint="Use text, finite numbers, true/false, null, lists and objects only.",
        ) from error


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name == "worker":
        raise JobError(
            f"{name!r} cannot name a job or a command",
            hint="Use 1 to 64 letters, digits, '-' and '_', beginning with a letter or digit;"
            " 'worker' is taken.",
        )
