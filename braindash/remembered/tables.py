"""What is remembered of a user's large files, from one command to the next.

Tables in the user's cache folder hold what was found out by reading a file, with the file's path,
size, times and inode; while these are the same it is not read again. A table is a help and nothing
else: without it, or where it is damaged or cannot be written, files are read.

One line of JSON per thing is appended in one write, so that several processes may do it at once;
lines that are torn or wrong are passed over, and the newest line of a name counts.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from braindash.files import parse_json, replaced

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "BRAINDASH_CACHE"
"""Environment variable that names another cache folder."""

_MOST_LINES = 20_000
# File systems may tell times to two seconds: a file that changed just now may change again unseen.
_SETTLED_SECONDS = 2.0

Identity = tuple[str | int, ...]
ReadLine = Callable[[Any], tuple[Identity, str]]


class FileIdentity(NamedTuple):
    """What tells that a file is the same; times in nanoseconds."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int


def file_identity(path: Path | str) -> FileIdentity:
    """Return what tells that a file is the same.

    Raises
    ------
    OSError
        There is no such file.
    """
    resolved = Path(path).resolve()
    status = resolved.stat()
    return FileIdentity(
        str(resolved), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    )


def is_settled(identity: FileIdentity) -> bool:
    """Say whether a file changed long enough ago that another change would show in its times."""
    newest = max(identity.modified, identity.changed) / 1e9
    return time.time() - newest > _SETTLED_SECONDS


def cache_folder() -> Path:
    """Return the folder of what may be deleted at any time.

    ``BRAINDASH_CACHE`` when it is set, else ``braindash`` of the user's cache folder
    (``XDG_CACHE_HOME``, or ``~/.cache``).
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "braindash"


class Table:
    """What is remembered in one file, read when it has changed.

    Parameters
    ----------
    path : Path
        The file.
    read_line : callable
        Takes the JSON value of a line, ``[*identity, value]``; returns identity and value, or
        raises ValueError or TypeError where the line is none of this table's.
    """

    def __init__(self, path: Path, read_line: ReadLine) -> None:
        self.path = path
        self._read_line = read_line
        self._known: dict[str, tuple[Identity, str]] = {}
        self._seen: tuple[int, int, int] | None = None
        self._end = self._n_lines = 0
        self._lock = threading.Lock()

    def find(self, identity: Identity) -> str | None:
        """Return what is remembered of something that has not changed; else None.

        The first part of an identity is the name, the others say whether it is still the same.
        """
        with self._lock:
            self._refresh()
            found = self._known.get(str(identity[0]))
        return found[1] if found is not None and found[0] == identity else None

    def keep(self, identity: Identity, value: str) -> None:
        """Remember a value, here and for other processes."""
        line = json.dumps([*identity, value]) + "\n"
        with self._lock:
            self._known[str(identity[0])] = (identity, value)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._append(line)
                if self._n_lines >= _MOST_LINES:
                    self._shorten()
            except OSError as error:
                logger.info("nothing is remembered in %s: %s", self.path, error)

    def _append(self, line: str) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            whole = not size or os.pread(descriptor, 1, size - 1) == b"\n"
            # After a torn line the next one begins on a line of its own.
            os.write(descriptor, (("" if whole else "\n") + line).encode())
        finally:
            os.close(descriptor)

    def _refresh(self) -> None:
        """Read what is new in the file; all of it where it is another one."""
        try:
            status = self.path.stat()
            now = (status.st_ino, status.st_size, status.st_mtime_ns)
            if now == self._seen:
                return
            grown = self._seen is not None and self._seen[0] == now[0] and self._end <= now[1]
            if not grown:
                self._end = self._n_lines = 0
            with self.path.open("rb") as stream:
                stream.seek(self._end)
                new = stream.read()
        except FileNotFoundError:
            return
        except OSError as error:
            if self._seen is None:
                logger.warning("the table %s cannot be read: %s", self.path, error)
            self._seen = (-1, -1, -1)
            return
        self._seen = now
        whole = new.rfind(b"\n") + 1  # what a line under way is will be seen when it is there
        self._end += whole
        self._n_lines += new.count(b"\n")
        damaged = sum(not self._took(line) for line in new.splitlines() if line.strip())
        if damaged:
            logger.warning(
                "%d lines of the table %s are damaged and passed over", damaged, self.path
            )

    def _took(self, line: bytes) -> bool:
        try:
            identity, value = self._read_line(parse_json(line.decode("utf-8", errors="replace")))
        except (ValueError, TypeError):
            return False
        self._known[str(identity[0])] = identity, value
        return True

    def _shorten(self) -> None:
        """Write the table anew: the newest half of what is known."""
        self._refresh()
        newest = list(self._known.items())[-_MOST_LINES // 2 :]
        self._known = dict(newest)
        lines = (json.dumps([*identity, value]) + "\n" for _, (identity, value) in newest)
        with replaced(self.path) as partial:
            partial.write_text("".join(lines), encoding="utf-8")


_tables: dict[Path, Table] = {}


def table_of(name: str, read_line: ReadLine) -> Table:
    """Return a table of the user's cache folder.

    Parameters
    ----------
    name : str
        Of its file.
    read_line : callable
        As of :class:`Table`.
    """
    place = cache_folder() / name
    if place not in _tables:
        _tables[place] = Table(place, read_line)
    return _tables[place]
