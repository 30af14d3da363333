"""Commands that are stopped at any moment, and what is left of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import xarray as xr

from braindash.io.store import Store
from kit.data.spoken_corpus import make_corpus
from kit.data.toy_lab import Lab, make_lab

KINDS = ("encode", "probe", "tune")
QUIET_SECONDS = 10.0  # whose parent was killed has ended by then
_STOPPED_SECONDS = 1.0


@dataclass
class Work:
    """One command of the command line, on a store of its own."""

    kind: str
    options: list[str]
    store: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        own = ["--store", str(self.store), "--json"]
        if self.kind != "demo":
            own += ["--device", "cpu"]
        return [sys.executable, "-m", "braindash", self.kind, *self.options, *own]

    def start(self, *more: str, **options) -> subprocess.Popen:
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.environment
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        given = pipes | {"start_new_session": True, "env": environment} | options
        return subprocess.Popen([*self.command, *more], **given)

    def finish(self, *more: str, **options) -> subprocess.CompletedProcess:
        """Run it to its end."""
        process = self.start(*more, **options)
        out, error = process.communicate(timeout=1800)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def jobs(self, *words: str) -> str:
        """Ask about the jobs of its store; what is said as JSON."""
        command = [sys.executable, "-m", "braindash", "jobs", *words, "--store", str(self.store)]
        environment = os.environ | self.environment
        given = {"capture_output": True, "text": True, "env": environment}
        return subprocess.run(command, check=True, **given).stdout

    def elsewhere(self, store: Path) -> "Work":
        return Work(self.kind, self.options, store, self.environment)


def make_work(kind: str, folder: Path, model: Path) -> Work:
    """Write what a command of one kind needs; results in a store beside it."""
    store = folder / "store"
    if kind == "demo":
        return Work(kind, ["--headless"], store)
    if kind == "probe":
        corpus = make_corpus(folder / "corpus")
        options = ["--data", str(corpus.manifest), "--categories", str(corpus.categories)]
        options += ["--shuffles", "3", "--bootstraps", "50", "--strategy", "chunk"]
        return Work(kind, [*options, "--model", str(model)], store)
    lab: Lab = make_lab(folder / "lab", model)
    options = ["--data", str(lab.manifest), "--model", str(model)]
    if kind == "encode":
        options += ["--subject", "A,B", "--strategy", "chunk", "--alphas", "1,100"]
        options += ["--permutations", "20", "--bootstraps", "20"]
        return Work(kind, options, store)
    options += ["--subjects", "A,B", "--validation", "stone", "--epochs", "4", "--targets", "all"]
    return Work(kind, options, store)


def stop(process: subprocess.Popen, how: str, rng: random.Random) -> None:
    """Stop a command, as a user, a system or another program does; see ``HOW``."""
    try:
        if how == "TERM":
            process.send_signal(signal.SIGTERM)
        elif how == "KILL":
            process.kill()
        elif how == "KILL all":
            os.killpg(process.pid, signal.SIGKILL)
        elif how == "KILL child":
            if children := psutil.Process(process.pid).children(recursive=True):
                rng.choice(children).kill()
        else:
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(_STOPPED_SECONDS)
            os.killpg(process.pid, signal.SIGCONT if how == "STOP" else signal.SIGKILL)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return  # it was quicker


HOW = ("KILL", "KILL all", "KILL child", "TERM", "STOP", "STOP, KILL")


def left_running(store: Path) -> list[int]:
    """List processes that still work on a store."""
    found = []
    for one in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(one.info["cmdline"] or ())
        if str(store) in words or str(store) in (one.info["environ"] or {}).get("PWD", ""):
            found.append(one.pid)
    return found


def damaged(store: Path) -> list[str]:
    """Name results of a store that are not whole; there must be none whatever was killed."""
    if not store.exists():
        return []
    listed = [entry for entry in Store(store).entries() if getattr(entry, "problem", None)]
    return [str(entry.folder) for entry in listed] + [
        str(path) for path in store.glob("quarantine/*")
    ]


def differences(one: Path, other: Path) -> list[str]:
    """Name arrays of two stores that are not equal to the last bit, and what only one has."""
    stores = Store(one), Store(other)
    keys = [{(entry.kind, entry.key) for entry in store.entries()} for store in stores]
    found = [f"only one store has {kind} {key}" for kind, key in keys[0] ^ keys[1]]
    for kind, key in keys[0] & keys[1]:
        with stores[0].get(kind, key).open() as a, stores[1].get(kind, key).open() as b:
            found += [f"{kind} {key}: {name}" for name in _unequal(a, b)]
    return found


def _unequal(a: xr.Dataset, b: xr.Dataset) -> list[str]:
    def equal(x: np.ndarray, y: np.ndarray) -> bool:
        return np.array_equal(x, y, equal_nan=x.dtype.kind == "f")

    names = set(a.variables) | set(b.variables)
    return [n for n in names if n not in a or n not in b or not equal(a[n].values, b[n].values)]


def tuned_bytes(store: Path) -> dict[str, bytes]:
    """Read the weights of a store's tuned models."""
    found = sorted((store / "models").glob("*/*.safetensors"))
    return {str(path.relative_to(store)): path.read_bytes() for path in found}


def finished(store: Path) -> dict[Path, tuple[int, int]]:
    """Files of arrays that are in their place, each with what changes when it is made again."""
    found = {}
    for path in store.glob("**/*.nc"):
        if "tmp" not in path.relative_to(store).parts:
            with suppress(FileNotFoundError):  # parts go when they have become a result
                about = path.stat()
                found[path] = about.st_ino, about.st_mtime_ns
    return found


def made_twice(before: dict[Path, tuple[int, int]], now: dict[Path, tuple[int, int]]) -> list[str]:
    """Name files that were finished and have been made again since."""
    return [str(path) for path in before.keys() & now.keys() if before[path] != now[path]]


def temporary(store: Path) -> list[Path]:
    """List what programs were writing and left."""
    return [*store.glob("tmp/*"), *store.parent.glob(".*")]


def jobs(work: Work) -> list[dict]:
    return json.loads(work.jobs("list", "--json"))


def all_done(work: Work) -> bool:
    """Say whether every job of its store is done: a command of two subjects makes two."""
    return all(job["state"] == "done" for job in jobs(work))


def assert_equal_to(whole: Work, work: Work) -> None:
    """Hold that a store ended as one that nothing happened to, with nothing left beside it."""
    assert not damaged(work.store)
    assert not differences(whole.store, work.store)
    if work.kind == "tune":
        assert tuned_bytes(work.store) == tuned_bytes(whole.store) != {}
    assert not temporary(work.store)
