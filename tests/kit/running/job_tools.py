"""A worker with toy tasks, run as a script, and what tests of the queue share."""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from braindash.errors import Cancelled, InputError
from braindash.jobs.queue import JobQueue
from braindash.work.worker import run_worker

PATIENCE_SECONDS = 20.0
GRACE_SECONDS = 0.5
KILL_SECONDS = 0.5


def toy_queue(root: Path) -> JobQueue:
    """A queue whose workers know the toy tasks, and end soon."""
    return JobQueue(root, worker_command=(sys.executable, __file__, str(root)))


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until ``condition()`` is true, and give its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def wait_for_state(queue: JobQueue, key: str, *states: str):
    """Wait until a job is in one of ``states``."""

    def reached():
        job = queue.get(key)
        return job if job.state in states else None

    return wait_for(reached, f"{key} to be {states}, is {queue.get(key)}")


def worker_pids(root: Path) -> list[int]:
    """The toy workers that ever ran on a store, in the order of their start."""
    path = root / "workers.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_running(pid: int) -> bool:
    """Whether a process lives and is a toy worker; a zombie has no command line."""
    with contextlib.suppress(OSError):
        return Path(__file__).name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def kill_workers(root: Path) -> None:
    """End what a test has left running."""
    for pid in worker_pids(root):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def parts_done(root: Path, name: str = "parts") -> list[str]:
    """What the task ``parts`` computed, in order; a part computed twice stands here twice."""
    path = root / f"{name}.txt"
    return path.read_text().splitlines() if path.exists() else []


def _parts(request, root, progress):
    name, count = request.get("name", "parts"), request["n"]
    for index in range(count):
        part = root / f"{name}-{index}"
        if not part.exists():
            time.sleep(request.get("seconds", 0.0))
            with open(root / f"{name}.txt", "a") as log:
                log.write(f"{index}\n")
            part.touch()
        progress.advance(index + 1, count, f"part {index + 1} of {count}")
    return {"n": count}


def _input_error(request, root, progress):
    raise InputError("story 'fox' has no audio", hint="Add fox.wav.")


def _raise(error: BaseException):
    def task(request, root, progress):
        raise error

    return task


def _fill_gpu(request, root, progress):
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def _singular(request, root, progress):
    import torch

    torch.linalg.cholesky(-torch.eye(3))


def _die(request, root, progress):
    progress.advance(1, 2, "about to die")
    os.kill(os.getpid(), signal.SIGKILL)


def _busy(request, root, progress):
    """Compute in Python, and never look up."""
    progress.advance(0, 1, "busy")
    try:
        while True:
            time.sleep(0.01)
    finally:
        (root / "tidied").touch()


def _stubborn(request, root, progress):
    """Ignore every request to end; a child process does too."""
    if os.fork() == 0:
        (root / "child.txt").write_text(str(os.getpid()))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)


def _regret(request, root, progress):
    """Be asked for again just while the cancelling takes effect."""
    if (root / "regretted").exists():
        return {"again": True}
    try:
        while True:
            progress.advance(0, 1, "waiting for the cancelling")
            time.sleep(0.05)
    except Cancelled:
        (root / "regretted").touch()
        toy_queue(root).submit("regret", request["key"], request, "Regret")
        raise


def _deaf(request, root, progress):
    """Hold the interpreter's lock in C: no other thread of this process runs."""
    ctypes.PyDLL(None).sleep(600)


def _orphan(request, root, progress):
    """Leave a forked child behind, which must not pass for a worker."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
    (root / "child.txt").write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def _talk(request, root, progress):
    logging.getLogger("braindash.core.ridge.model").info("hello from the ridge")
    logging.getLogger("urllib3").warning("foreign chatter")
    for index in range(400):
        progress.advance(index, 400, f"step {index}")
        time.sleep(0.002)
    return {}


def _fill_disk(request, root, progress):
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    return {}


TASKS = {
    "parts": _parts,
    "input_error": _input_error,
    "bug": _raise(ZeroDivisionError("division by zero")),
    "exit": _raise(SystemExit(3)),
    "memory": _raise(MemoryError()),
    "cuda": _fill_gpu,
    "singular": _singular,
    "allocator": _raise(RuntimeError("DefaultCPUAllocator: can't allocate memory")),
    "not_json": lambda request, root, progress: {"bad": {1, 2}},
    "nan": lambda request, root, progress: {"bad": float("nan")},
    "die": _die,
    "busy": _busy,
    "stubborn": _stubborn,
    "regret": _regret,
    "deaf": _deaf,
    "orphan": _orphan,
    "talk": _talk,
    "full": _fill_disk,
}


if __name__ == "__main__":
    store_root = Path(sys.argv[1])
    with open(store_root / "workers.txt", "a") as pids:
        pids.write(f"{os.getpid()}\n")
    run_worker(
        store_root,
        TASKS,
        idle_seconds=1.0,
        grace_seconds=GRACE_SECONDS,
        kill_seconds=KILL_SECONDS,
    )
