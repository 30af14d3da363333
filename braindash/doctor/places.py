"""Looks at where work is kept, and at what can be reached from here."""

import http.client
import os
import shutil
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from braindash.doctor import Finding
from braindash.jobs.disks import creation_problems, file_system, lock_problems
from braindash.jobs.place import jobs_place

_LEAST_BYTES, _FEW_BYTES = 1e9, 20e9
_HUB_SECONDS = 4.0
_COMMAND_SECONDS = 5.0
_SLURM = ("sbatch", "srun", "squeue", "scancel")
DASK = ("dask", "distributed", "dask-jobqueue")


def look_at_store(root: Path) -> Iterator[Finding]:
    """Say where results go, how much room there is, and whether workers could share it.

    Parameters
    ----------
    root : Path
        The store's folder: nothing stays in it, and it is not made.
    """
    place = next(one for one in (root, *root.parents) if one.exists())
    if not place.is_dir():
        todo = "Name a folder with --store or BRAINDASH_STORE; it need not exist."
        yield Finding("store", "fail", f"{root}: {place} is no folder", todo)
        return
    lies = file_system(root)
    free = shutil.disk_usage(place).free
    kind = f"{lies.kind or 'unknown file system'} at {lies.mount}"
    told = f"{root} ({kind}), {free / 1e9:.0f} GB free"
    if place != root:
        told += "; it is made with the first result"
    if not os.access(place, os.W_OK | os.X_OK):
        todo = "Name another folder with --store or BRAINDASH_STORE, or ask for the right to write."
        yield Finding("store", "fail", f"{told}; you may not write there", todo)
        return
    if free < _LEAST_BYTES:
        todo = "Free some space (`braindash store size` says what takes it), or name another store."
        yield Finding("store", "fail", told, todo)
    elif free < _FEW_BYTES:
        todo = "Features of a large data set take some GB for each model: `--check` tells."
        yield Finding("store", "warn", told, todo)
    else:
        yield Finding("store", "ok", told)
    yield _look_at_claims(place, shared=lies.is_shared)


def _look_at_claims(place: Path, *, shared: bool) -> Finding:
    """Try what workers of several machines need of a file system."""
    try:
        with TemporaryDirectory(prefix=".braindash-doctor-", dir=place) as name:
            problems = creation_problems(Path(name))
    except OSError as error:
        return Finding("claims", "fail", f"nothing can be tried in {place}: {error}", "See above.")
    if problems:
        todo = "Keep the store on another file system: two workers could make the same part."
        return Finding("claims", "fail", "; ".join(problems), todo)
    what = "several machines may share it" if shared else "on this machine; it is not shared"
    return Finding("claims", "ok", f"exclusive creation and renaming work; {what}")


def look_at_jobs(root: Path) -> Iterator[Finding]:
    """Say where background jobs are kept, and whether locks and SQLite's log work there."""
    database, folder = jobs_place(root)
    place = next(one for one in (folder, *folder.parents) if one.exists())
    lies, where = file_system(database), f"{database}"
    if not place.is_dir():
        todo = "Name a folder as the store, or another file for the jobs (--jobs)."
        yield Finding("jobs", "fail", f"{where}: {place} is no folder", todo)
        return
    if not os.access(place, os.W_OK | os.X_OK):
        todo = "Name a file on a disk of this machine (BRAINDASH_JOBS, or --jobs)."
        yield Finding("jobs", "fail", f"{where}; you may not write there", todo)
        return
    try:
        with TemporaryDirectory(prefix=".braindash-doctor-", dir=place) as name:
            problems = [*lock_problems(Path(name)), *_try_database(Path(name))]
    except OSError as error:
        problems = [str(error)]
    if problems:
        todo = "Name a file on a disk of this machine (BRAINDASH_JOBS, or --jobs)."
        yield Finding("jobs", "fail", f"{where}: {'; '.join(problems)}", todo)
    elif lies.is_shared:
        todo = "Its locks hold on one machine only: name a file on a disk of this one (--jobs)."
        yield Finding("jobs", "warn", f"{where}, on {lies.kind}", todo)
    else:
        yield Finding("jobs", "ok", f"{where}; locks work")


def _try_database(folder: Path) -> list[str]:
    try:
        with closing(sqlite3.connect(folder / "jobs.sqlite")) as rows:
            mode = rows.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            rows.execute("CREATE TABLE tried (one TEXT)")
            rows.commit()
    except sqlite3.Error as error:
        return [f"SQLite does not work ({error})"]
    return [] if mode == "wal" else [f"SQLite keeps no log there ({mode})"]


def look_at_hub() -> Iterator[Finding]:
    """Say whether models can be downloaded, within a few seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        told = f"offline is set: models come from folders and from {constants.HF_HUB_CACHE}"
        yield Finding("hub", "ok", told)
        return
    address = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    problem = _reached(address)
    if problem:
        todo = "Give models as local folders, or download them on a machine with a network; "
        todo += "HF_HUB_OFFLINE=1 keeps commands from waiting for it."
        yield Finding("hub", "warn", f"{address} cannot be reached: {problem}", todo)
    else:
        yield Finding(
            "hub", "ok", f"{address} answers; models are kept in {constants.HF_HUB_CACHE}"
        )


def _reached(address: str) -> str:
    """Say why an address does not answer; looking up a name knows no time limit of its own."""
    said: list[str] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=_HUB_SECONDS).close()
            said.append("")
        except urllib.error.HTTPError:
            said.append("")  # it answers
        except (OSError, ValueError, http.client.HTTPException) as error:
            said.append(str(getattr(error, "reason", error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_SECONDS + 1.0)
    return said[0] if said else f"no answer within {_HUB_SECONDS:.0f} s"


def look_at_schedulers() -> Iterator[Finding]:
    """Say whether Slurm and Dask are here; neither is needed on one machine."""
    found = [name for name in _SLURM if shutil.which(name)]
    lacking = [name for name in _SLURM if name not in found]
    if not found:
        yield Finding("Slurm", "ok", "not on this machine, and only needed for `submit --slurm`")
    elif lacking:
        todo = "Log in to a node that has them all."
        yield Finding("Slurm", "warn", f"there is {found[0]}, but no {', '.join(lacking)}", todo)
    else:
        yield _slurm_version()
    yield _dask()


def _slurm_version() -> Finding:
    try:
        done = subprocess.run(
            ["sbatch", "--version"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("Slurm", "fail", f"sbatch does not answer: {error}", "Ask its keepers.")
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        return Finding("Slurm", "fail", f"sbatch fails: {said}", "Ask its keepers.")
    return Finding("Slurm", "ok", done.stdout.strip() or "there")


def _dask() -> Finding:
    found = {}
    for name in DASK:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if not found:
        told = "not installed, and only needed for `submit --scheduler` and `--dask-slurm`"
        return Finding("Dask", "ok", told)
    told = ", ".join(f"{name} {number}" for name, number in found.items())
    if found.get("dask") != found.get("distributed"):
        todo = "Install versions that belong together: `pip install 'braindash[cluster]'`."
        return Finding("Dask", "warn", told, todo)
    return Finding("Dask", "ok", told)
