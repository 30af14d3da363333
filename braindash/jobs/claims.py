"""Claims: who makes what, told by files of one folder that several machines see.

A claim is a file that is created with ``O_EXCL``, which every file system holds to be one act; it
says who holds it and is touched again and again. One that nobody touches any more is taken over by
renaming it away. Who has made what was claimed leaves the file behind, marked as made: a machine
whose view of the folder is some seconds old runs into it all the same.

No clock is compared with that of another machine: a claim is stale when it stayed what it was for
as long as this process watched it. Where two hold the same claim after all, the part is made twice,
which does no harm.
"""

import json
import logging
import os
import platform
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from braindash.files import digest_bytes, is_number, parse_json
from braindash.jobs.disks import file_system
from braindash.process import is_running, process_mark

logger = logging.getLogger(__name__)

LOCAL_SECONDS = 1.0
SHARED_SECONDS = 7.5
"""How often a claim is touched, on a disk of this machine and on one of several machines, where
attributes of files may be some seconds old."""
PATIENCE = 8
"""After so many times without a touch a claim is stale."""


@dataclass(frozen=True)
class Holder:
    """What a claim says.

    Attributes
    ----------
    token : str
        Names the claim itself, for ever.
    name, label : str
        What is claimed, and how it is called in reports.
    host : str
        The machine that holds it, for people.
    mark : str
        The process that holds it (:func:`braindash.process.process_mark`).
    refresh : float
        Seconds between two touches.
    taken : float
        When it was claimed, seconds since 1970, by the holder's clock.
    made : bool
        Whether it is there now: then nobody holds it.
    """

    token: str
    name: str
    label: str
    host: str
    mark: str
    refresh: float
    taken: float
    made: bool = False

    def is_dead(self) -> bool:
        """Say whether it is certain that the process is gone, which only its own machine can."""
        return is_running(self.mark) is False


def _read(path: Path) -> Holder | None:
    """Read what a claim says; None where that is nothing, or not yet all of it."""
    try:
        told: Any = parse_json(path.read_bytes())
        holder = Holder(**told)
        whole = all(isinstance(value, type(known)) for value, known in _pairs(holder))
    except (OSError, ValueError, TypeError):
        return None
    # Whose next touch is due in infinity would never be stale.
    return holder if whole and is_number(holder.refresh) and is_number(holder.taken) else None


_FORM = Holder("", "", "", "", "", 0.0, 0.0)


def _pairs(holder: Holder) -> list[tuple[object, object]]:
    return [(value, getattr(_FORM, name)) for name, value in vars(holder).items()]


class Claim:
    """What this process holds.

    Parameters
    ----------
    path : Path
        The file.
    holder : Holder
        This process.
    lost : Holder or None
        Who held it before, and is gone.

    Attributes
    ----------
    is_mine : bool
        Whether it was this process's when it was last touched.
    """

    def __init__(self, path: Path, holder: Holder, lost: Holder | None) -> None:
        self._path = path
        self.holder, self.lost = holder, lost
        self.is_mine = True

    def refresh(self) -> None:
        """Show that its holder lives; ``is_mine`` is False from when another has it."""
        try:
            if self._still_mine():
                os.utime(self._path)
            else:
                self.is_mine = False
        except FileNotFoundError:
            self.is_mine = False
        except OSError as error:  # of a server that is away for a moment
            logger.warning("the claim of %s is not refreshed: %s", self.holder.label, error)

    def release(self) -> None:
        """Let another make it."""
        with suppress(FileNotFoundError):
            if self._still_mine():
                self._path.unlink()

    def mark_made(self) -> None:
        """Say that what was claimed is there; on a full disk it is only given back."""
        beside = _beside(self._path)
        try:
            _write(beside, replace(self.holder, made=True))
            os.replace(beside, self._path)
        except OSError as error:
            logger.warning("%s is made, which cannot be noted: %s", self.holder.label, error)
            beside.unlink(missing_ok=True)
            self.release()

    def _still_mine(self) -> bool:
        self._path.stat()  # FileNotFoundError, which reading passes over
        found = _read(self._path)
        return found is None or found.token == self.holder.token


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{process_mark()}")


def _write(path: Path, holder: Holder) -> None:
    path.write_text(json.dumps(asdict(holder)), encoding="utf-8")


class Claims:
    """The claims of one folder, as one process sees them.

    Parameters
    ----------
    folder : Path
        Made with the first claim.
    refresh_seconds : float, optional
        How often this process will touch its own; by the kind of the file system when left out.
    """

    def __init__(self, folder: Path, *, refresh_seconds: float | None = None) -> None:
        self.folder = folder
        shared = file_system(folder).is_shared
        self.refresh_seconds = refresh_seconds or (SHARED_SECONDS if shared else LOCAL_SECONDS)
        self._watched: dict[Path, tuple[tuple[int, int], float]] = {}

    def take(self, name: str, label: str) -> "Claim | Holder | None":
        """Claim something, unless another holds it or has made it.

        Parameters
        ----------
        name, label : str
            What is claimed, and what it is called.

        Returns
        -------
        Claim, Holder or None
            The claim; or whose it is; or None where nobody can tell yet.
        """
        path = self.folder / digest_bytes(name.encode())
        token, who = uuid.uuid4().hex, (platform.node(), process_mark())
        mine = Holder(token, name, label, *who, self.refresh_seconds, time.time())
        lost: Holder | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(3):  # others take and leave it in between
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o664)
            except FileExistsError:
                found = self._look(path)
                if found is None:
                    continue
                holder, stale = found
                if not stale:
                    return holder
                if self._set_aside(path, holder):
                    lost = holder if holder is not None and not holder.made else None
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(mine)))
            return Claim(path, mine, lost)
        return None

    def _look(self, path: Path) -> tuple[Holder | None, bool] | None:
        """Return who holds a claim and whether it is stale; None where there is none any more."""
        try:
            with open(path, "rb") as stream:  # opening asks the server, looking it up may not
                status = os.fstat(stream.fileno())
        except FileNotFoundError:
            self._watched.pop(path, None)
            return None
        holder, seen, now = _read(path), (status.st_ino, status.st_mtime_ns), time.monotonic()
        before, since = self._watched.get(path, (None, now))
        if before != seen:
            self._watched[path] = seen, (since := now)
        if holder is not None and not holder.made and holder.is_dead():
            return holder, True
        refresh = self.refresh_seconds if holder is None else holder.refresh
        return holder, now - since >= PATIENCE * refresh

    def _set_aside(self, path: Path, holder: Holder | None) -> bool:
        """Rename a stale claim away; False when it turns out to be another's, who gets it back."""
        aside = _beside(path)
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return False
        found = _read(aside)
        same = (found and found.token) == (holder and holder.token)
        if not same:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)
        self._watched.pop(path, None)
        return same


# What is made stays so, in a file that is not written again: it is read once.
_made_before: dict[tuple[str, int, int], Holder] = {}
_MOST_REMEMBERED = 200_000


def _read_once(path: str, status: os.stat_result) -> Holder | None:
    """Read a claim, or remember what one of this name, inode and time said that is made."""
    key = (path, status.st_ino, status.st_mtime_ns)
    if key in _made_before:
        return _made_before[key]
    holder = _read(Path(path))
    if holder is not None and holder.made:
        if len(_made_before) >= _MOST_REMEMBERED:
            _made_before.clear()
        _made_before[key] = holder
    return holder


def held(folder: Path) -> list[tuple[Holder, float]]:
    """List the claims of a folder that can be read, each with when it was touched last.

    Returns
    -------
    list of (Holder, float)
        The times in seconds since 1970, by the clock of the file system.
    """
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat()
                holder = _read_once(entry.path, status)
                if holder is not None:
                    found.append((holder, status.st_mtime))
    return found
