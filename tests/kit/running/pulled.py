"""Toy jobs that machines share, and a worker for them, run as a script that can be killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from braindash.cluster.pulling import Puller
from braindash.jobs.shared import SharedJob, SharedJobs, SharedPart
from kit.running.part_runs import ToyRun

TESTS = Path(__file__).resolve().parents[2]
REFRESH_SECONDS = 0.1


def share(root: Path, *parts: dict[str, Any], key: str = "toy") -> SharedJobs:
    """Share one job of toy parts; what they make lies in ``root / "made"``."""
    (root / "made").mkdir(parents=True, exist_ok=True)
    asked = {"command": "toy", "request": {"folder": str(root / "made"), "parts": list(parts)}}
    run = ToyRun(root / "made", list(parts))
    listed = tuple(SharedPart(one.name, one.label, one.seconds) for one in run.parts())
    shared = SharedJobs(root)
    shared.add(SharedJob(key, "Toy job", "ada", time.time(), (asked,), listed, {}))
    return shared


def plan_toy(asked: Mapping[str, Any], root: Path) -> ToyRun:
    return ToyRun(Path(asked["request"]["folder"]), asked["request"]["parts"])


def puller(root: Path, **options: Any) -> Puller:
    """A worker in this process, which needs no signals."""
    options = {"processes": 1, "cores": 1, "idle_seconds": 60.0, "jobs": ["toy"]} | options
    return Puller(root, plan=plan_toy, refresh_seconds=REFRESH_SECONDS, **options)


def start_worker(root: Path, **options: Any) -> "subprocess.Popen[bytes]":
    """A worker as a process group of its own, on what may as well be another machine."""
    command = [sys.executable, __file__, str(root), json.dumps(options)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a worker with all its processes, as a machine that loses its power does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def done_lines(shared: SharedJobs, key: str) -> dict[str, int]:
    """How often each part was made to its end, as the workers' logs tell."""
    found: dict[str, int] = {}
    for line in shared.log_tail(key, 1_000_000).splitlines():
        if ": done in " in line:
            name = line.partition("[")[2].partition("]")[0]
            found[name] = found.get(name, 0) + 1
    return found


if __name__ == "__main__":
    worker = puller(Path(sys.argv[1]), **json.loads(sys.argv[2]))
    signal.signal(signal.SIGTERM, lambda number, frame: worker.stop("asked to end"))
    sys.exit(1 if worker.work().failed else 0)
