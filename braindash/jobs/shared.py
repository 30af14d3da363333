"""Jobs whose parts any machine that sees the store may make: files, and no database.

Files of ``<store root>/cluster/<key>``: ``job.json`` (what is asked for), ``go-on`` (one word:
whether to go on), ``claims`` (:mod:`braindash.jobs.claims`), ``failed`` (one file for each failure
of a part), ``logs`` (what each worker said), ``carrier.json`` (what was started for it) and
``finished.json`` (how it ended). SQLite and its locks are of one machine; these files work on the
file systems of clusters.
"""

import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from braindash.errors import JobError, StoreError
from braindash.files import digest_bytes, is_number, parse_json, replace_json
from braindash.jobs.claims import PATIENCE, Holder, held
from braindash.jobs.table import NAME, Job, unknown_job
from braindash.names import given_path
from braindash.sharing.asking import require_runner

FOLDER = "cluster"
MOST_FAILURES = 3
"""A part that failed so many times is given up."""

Failed = Literal["error", "lost", "time"]
"""Why a part was not made: what it raised, its worker or process died, its worker's time was up."""

_GO_ON, _STOP = "yes\n", "no\n"
_LOG_TAIL_BYTES = 1 << 18
# Clocks of machines differ a little, and attributes of shared files may be a minute old.
_CLOCKS_SECONDS = 60.0


@dataclass(frozen=True)
class SharedPart:
    """A part that was missing when the job was shared.

    Attributes
    ----------
    name, label : str
    seconds : float
        About how long it takes on one core.
    """

    name: str
    label: str
    seconds: float


@dataclass(frozen=True)
class SharedJob:
    """What is asked for.

    Attributes
    ----------
    key : str
        Names the job.
    title, asked_by : str
        For people.
    created : float
        Seconds since 1970.
    requests : tuple of dict
        Each with ``command`` and ``request``, as a job of the queue has them.
    parts : tuple of SharedPart
        What was missing.
    made : dict
        The ``kind`` and the ``keys`` of its results, as a job of the queue tells them.
    """

    key: str
    title: str
    asked_by: str
    created: float
    requests: tuple[dict[str, Any], ...]
    parts: tuple[SharedPart, ...]
    made: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """One time that a part was not made.

    Attributes
    ----------
    part, label : str
        Its name, and what it is called.
    why : {"error", "lost", "time"}
    error, hint : str
        What was said.
    host : str
    ran : float
        How long it had been at work, seconds.
    """

    part: str
    label: str
    why: Failed
    error: str
    hint: str
    host: str
    ran: float


class SharedJobs:
    """The shared jobs of one store.

    Parameters
    ----------
    root : path
        The store's folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = given_path(root, exact=True).resolve()
        self.folder = self.root / FOLDER

    def add(self, job: SharedJob) -> bool:
        """Share a job, or let one of this key that stopped or failed go on.

        Returns
        -------
        bool
            Whether it is new.
        """
        require_runner("start work")
        folder = self._folder(job.key)
        with _disk(folder):
            fresh = not (folder / "job.json").exists()
            for name in ("claims", "logs", "failed"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            self._forget_end(folder)
            document = {
                "title": job.title,
                "asked_by": job.asked_by,
                "created": job.created,
                "requests": list(job.requests),
                "parts": [[one.name, one.label, one.seconds] for one in job.parts],
                "made": job.made,
            }
            replace_json(folder / "job.json", document)
        return fresh

    def remove(self, key: str) -> None:
        """Take a job away that nobody has begun."""
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def job_keys(self) -> list[str]:
        """List the keys of all shared jobs."""
        return sorted(path.parent.name for path in self.folder.glob("*/job.json"))

    def find(self, prefix: str) -> str | None:
        """Return the key of the one job that begins so; None where there is none, or several."""
        found = [key for key in self.job_keys() if key.startswith(prefix)] if prefix else []
        return found[0] if len(found) == 1 else prefix if prefix in found else None

    def get(self, key: str) -> SharedJob:
        """Read what a job asks for.

        Raises
        ------
        JobError
            There is none, or its file cannot be read.
        """
        path = self._folder(key) / "job.json"
        try:
            status = path.stat()
            return _read_job(path, key, status.st_mtime_ns, status.st_ino)
        except FileNotFoundError as error:
            raise unknown_job(key) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise JobError(
                f"{path} cannot be read: {error}",
                hint="Submit the work again, which writes the file anew; results are not touched.",
            ) from error

    def claims_folder(self, key: str) -> Path:
        """Say where the claims of a job are."""
        return self._folder(key) / "claims"

    # ---- how it goes ------------------------------------------------------------------------

    def goes_on(self, key: str) -> bool:
        """Say whether nobody asked to stop it: read anew, also where lookups are remembered."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder(key) / "go-on").read_text(encoding="ascii") != _STOP
        return self._folder(key).is_dir()

    def cancel(self, key: str) -> None:
        """Ask the workers to drop what they make of a job; finished parts stay."""
        require_runner("stop work")
        self.get(key)
        if self.end(key) is None:
            with _disk(self.folder):
                (self._folder(key) / "go-on").write_text(_STOP, encoding="ascii")

    def retry(self, key: str) -> None:
        """Let a job that was cancelled or failed go on, with all its parts."""
        require_runner("start work")
        self.get(key)
        with _disk(self.folder):
            self._forget_end(self._folder(key))

    def _forget_end(self, folder: Path) -> None:
        (folder / "finished.json").unlink(missing_ok=True)
        for one in (folder / "failed").glob("*.json"):
            one.unlink(missing_ok=True)
        # Written in place: whoever reads the file that is there sees it at once.
        (folder / "go-on").write_text(_GO_ON, encoding="ascii")

    def fail(self, key: str, failure: Failure) -> None:
        """Write down that a part was not made."""
        name = f"{digest_bytes(failure.part.encode())}-{uuid.uuid4().hex[:12]}.json"
        with _disk(self.folder):
            replace_json(self._folder(key) / "failed" / name, vars(failure))

    def failures(self, key: str) -> dict[str, list[Failure]]:
        """List by part what was not made."""
        found: dict[str, list[Failure]] = {}
        for path in sorted((self._folder(key) / "failed").glob("*.json")):
            with suppress(OSError, ValueError, TypeError):
                one = Failure(**parse_json(path.read_bytes()))
                if one.why in get_args(Failed) and is_number(one.ran):
                    found.setdefault(str(one.part), []).append(one)
        return found

    def finish(self, key: str, error: str | None = None, hint: str | None = None) -> None:
        """Write down how a job ended, and let go of its claims."""
        folder = self._folder(key)
        with _disk(folder):
            replace_json(
                folder / "finished.json", {"time": time.time(), "error": error, "hint": hint}
            )
        if error is None:
            shutil.rmtree(folder / "claims", ignore_errors=True)

    def end(self, key: str) -> dict[str, Any] | None:
        """Read how a job ended; None while it has not."""
        with suppress(OSError, ValueError):
            told = parse_json((self._folder(key) / "finished.json").read_bytes())
            if isinstance(told, dict) and is_number(told.get("time")):
                return told
        return None

    def carry(self, key: str, carrier: Mapping[str, Any]) -> None:
        """Write down what was started for a job, such as ``{"slurm": "4711"}``."""
        with _disk(self.folder):
            replace_json(self._folder(key) / "carrier.json", dict(carrier))

    def carrier(self, key: str) -> dict[str, Any]:
        """Read what was started for a job; empty where nobody wrote it down."""
        with suppress(OSError, ValueError):
            told = parse_json((self._folder(key) / "carrier.json").read_bytes())
            if isinstance(told, dict):
                return told
        return {}

    # ---- as a list shows it -----------------------------------------------------------------

    def list(self) -> list[Job]:
        """Describe all shared jobs as jobs of the queue are, the newest first."""
        found = [self.job(key) for key in self.job_keys()]
        return sorted(found, key=lambda job: -job.created)

    def job(self, key: str) -> Job:
        """Describe a job as jobs of the queue are; a damaged one has failed and says so."""
        try:
            asked = self.get(key)
        except JobError as error:
            damage = error.message
            return Job(key, "", key, {}, "failed", error=damage, hint=error.hint, damage=damage)
        first = asked.requests[0]
        common: dict[str, Any] = {
            "key": key,
            "command": first["command"],
            "title": asked.title,
            "request": first["request"],
            "created": asked.created,
            "asked_by": asked.asked_by,
        }
        ended = self.end(key)
        if ended is not None and not ended.get("error"):
            finished = float(ended["time"])
            common |= {"started": asked.created, "finished": finished, "progress": 1.0}
            return Job(**common, state="done", result=asked.made)
        claims = held(self.claims_folder(key))
        made = {holder.name for holder, _ in claims if holder.made}
        total = sum(one.seconds for one in asked.parts) or 1.0
        share = sum(one.seconds for one in asked.parts if one.name in made) / total
        began = min((holder.taken for holder, _ in claims), default=None)
        common |= {"started": began, "progress": min(share, 0.99)}
        if ended is not None:
            common |= {"error": str(ended["error"]), "hint": str(ended.get("hint") or "")}
            return Job(**common, state="failed", finished=float(ended["time"]))
        working = [holder for holder, touched in claims if _is_at_work(holder, touched)]
        if not self.goes_on(key):
            if not working:
                return Job(**common, state="cancelled")
            told = f"stopping: {_who(working)}"
            return Job(**common, state="running", message=told, cancel_asked=began)
        if working:
            return Job(**common, state="running", message=_who(working), pace_time=began)
        told = f"no worker is at work on it: `braindash worker --job {key[:8]}`"
        return Job(**common, state="queued", message=told)

    # ---- what was said ----------------------------------------------------------------------

    def log_path(self, key: str) -> Path:
        """Say where this process writes what it has to say about a job."""
        return self._folder(key) / "logs" / f"{platform.node() or 'host'}-{os.getpid()}.log"

    def log_tail(self, key: str, n_lines: int = 50, part: str = "") -> str:
        """Read what the workers said about a job, in the order of time.

        Parameters
        ----------
        key : str
        n_lines : int, default 50
            Of the end.
        part : str, default ""
            Only lines that name it: a part's name, key or label, or a piece of these.
        """
        lines: list[str] = []
        for path in sorted((self._folder(key) / "logs").glob("*.log")):
            with suppress(OSError), open(path, "rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", errors="replace")
                lines += [one for one in text.splitlines() if part in one]
        # Each begins with its time; what follows an error's line belongs to it.
        return "\n".join(sorted(lines, key=lambda line: line[:23])[-n_lines:])

    def _folder(self, key: str) -> Path:
        if not NAME.fullmatch(key):
            raise unknown_job(key)
        return self.folder / key


@lru_cache(maxsize=256)
def _read_job(path: Path, key: str, modified: int, inode: int) -> SharedJob:
    """Read a job's file once, as long as it is the same."""
    told = parse_json(path.read_bytes())
    parts = tuple(
        SharedPart(str(name), str(label), float(seconds)) for name, label, seconds in told["parts"]
    )
    requests = tuple(
        {"command": str(one["command"]), "request": dict(one["request"])}
        for one in told["requests"]
    )
    if not requests:
        raise ValueError("it asks for nothing")
    who = str(told["title"]), str(told["asked_by"]), float(told["created"])
    if not all(map(is_number, (who[-1], *(one.seconds for one in parts)))):
        raise ValueError("it holds what is no number")
    return SharedJob(key, *who, requests, parts, dict(told["made"]))


def _is_at_work(holder: Holder, touched: float) -> bool:
    if holder.made or holder.is_dead():
        return False
    return time.time() - touched < PATIENCE * holder.refresh + _CLOCKS_SECONDS


def _who(working: Sequence[Holder]) -> str:
    """Say who makes what, in one line."""
    places = sorted({holder.host for holder in working})
    newest = max(working, key=lambda holder: holder.taken, default=None)
    if newest is None:
        return ""
    where = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
    return f"{newest.label} ({len(working)} under way on {where})"


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    """Say in words what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written: {error.strerror or error}",
            hint="Check that the disk is not full, that it is mounted here, and that you may write "
            "there: several users of one store need a group that may.",
        ) from error
