"""Digests of a user's large files, remembered from one command to the next.

A table in the user's cache folder holds the digest of every file that was read, with its path,
size, times and inode; while these are the same the file is not read again. The table is a help and
nothing else: without it, or where it is damaged or cannot be written, files are read. Results of
the store are never taken from it, since their digests are there to find damage that leaves the
times as they are.

One line of JSON per file is appended in one write, so that several processes may do it at once;
lines that are torn or wrong are passed over, and the newest line of a path counts.
"""

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from braindash.files import digest_file, replaced

logger = logging.getLogger(__name__)

TABLE = "digests.jsonl"
CACHE_VARIABLE = "BRAINDASH_CACHE"
"""Environment variable that names another cache folder."""

# Smaller files are read as quickly as they are looked up.
_LEAST_BYTES = 1 << 16
_MOST_FILES = 20_000
# File systems may tell times to two seconds: a file that changed just now may change again unseen.
_SETTLED_SECONDS = 2.0
_DIGITS = frozenset("0123456789abcdef")


class _Identity(NamedTuple):
    """What tells that a file is the same; times in nanoseconds."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int


class _Table:
    """The digests of one table, read when its file has changed.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, tuple[_Identity, str]] = {}
        self._seen: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def find(self, identity: _Identity) -> str | None:
        """Return the digest of a file that has not changed; else None."""
        with self._lock:
            self._refresh()
            found = self._known.get(identity.path)
        return found[1] if found is not None and found[0] == identity else None

    def keep(self, identity: _Identity, digest: str) -> None:
        """Remember a digest, here and for other processes."""
        line = json.dumps([*identity, digest]) + "\n"
        with self._lock:
            self._known[identity.path] = (identity, digest)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._append(line)
                self._shorten()
            except OSError as error:
                logger.info("digests are not remembered in %s: %s", self.path, error)

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
        try:
            status = self.path.stat()
            now = (status.st_size, status.st_mtime_ns)
            if now == self._seen:
                return
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            if self._seen is None:
                logger.warning("the table of digests %s cannot be read: %s", self.path, error)
            self._seen = (-1, -1)
            return
        self._seen = now
        damaged = 0
        for line in text.splitlines():
            read = _read_line(line)
            if read is None:
                damaged += bool(line.strip())
            else:
                self._known[read[0].path] = read
        if damaged:
            logger.warning(
                "%d lines of the table of digests %s are damaged and passed over",
                damaged,
                self.path,
            )

    def _shorten(self) -> None:
        """Write the table anew, the newest half, once it holds too many lines."""
        with self.path.open("rb") as stream:
            count = sum(1 for _ in stream)
        if count <= _MOST_FILES:
            return
        self._refresh()
        newest = list(self._known.items())[-_MOST_FILES // 2 :]
        self._known = dict(newest)
        with replaced(self.path) as partial:
            partial.write_text(
                "".join(json.dumps([*one, digest]) + "\n" for _, (one, digest) in newest),
                encoding="utf-8",
            )


_tables: dict[Path, _Table] = {}


def cache_folder() -> Path:
    """Return the folder of what may be deleted at any time.

    ``BRAINDASH_CACHE`` when it is set, else ``braindash`` of the user's cache folder
    (``XDG_CACHE_HOME``, or ``~/.cache``).
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "braindash"


def digest_input(path: Path | str) -> str:
    """Return the digest of a file that the user gave, read only where it is not known.

    Parameters
    ----------
    path : path
        A recording, responses, weights.

    Returns
    -------
    str
        What :func:`braindash.files.digest_file` returns.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    identity = _identity(path)
    if identity.size < _LEAST_BYTES:
        return digest_file(path)
    place = cache_folder() / TABLE
    table = _tables.setdefault(place, _Table(place))
    known = table.find(identity)
    if known is not None:
        return known
    digest = digest_file(path)
    if _identity(path) == identity and _is_settled(identity):
        table.keep(identity, digest)
    return digest


def _identity(path: Path | str) -> _Identity:
    resolved = Path(path).resolve()
    status = resolved.stat()
    return _Identity(
        str(resolved), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    )


def _is_settled(identity: _Identity) -> bool:
    """Say whether a file changed long enough ago that another change would show in its times."""
    newest = max(identity.modified, identity.changed) / 1e9
    return time.time() - newest > _SETTLED_SECONDS


def _read_line(line: str) -> tuple[_Identity, str] | None:
    """Read a line of the table; None where it is none."""
    try:
        path, size, modified, changed, inode, digest = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = (size, modified, changed, inode)
    if not isinstance(path, str) or not all(isinstance(one, int) for one in numbers):
        return None
    if not isinstance(digest, str) or len(digest) != 32 or not set(digest) <= _DIGITS:
        return None
    return _Identity(path, size, modified, changed, inode), digest
