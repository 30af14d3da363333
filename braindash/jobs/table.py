"""The rows of the job queue: one SQLite table, and every change of state a job can go through.

Connections are short-lived, so any thread of any process may use a table. Changes are made in
``BEGIN IMMEDIATE`` transactions: of two that come at once, one sees what the other has written.
"""

import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from braindash.errors import JobError, StoreError
from braindash.files import canonical_json, parse_json

logger = logging.getLogger(__name__)

JobState = Literal["queued", "running", "done", "failed", "cancelled"]

SCHEMA_VERSION = 1
MAX_ATTEMPTS = 3
"""Attempts that may die without a Python error before a job fails."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What may name a job or a command: it names files too."""
_BUSY_SECONDS = 15.0
_SCHEMA = """
CREATE TABLE jobs (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    title TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    progress REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    started REAL,
    heartbeat REAL,
    finished REAL,
    pid INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    cancel_asked REAL,
    pace_time REAL,
    pace_progress REAL NOT NULL DEFAULT 0,
    error TEXT,
    hint TEXT,
    result TEXT,
    asked_by TEXT NOT NULL DEFAULT ''
)
"""
# What came later, and is added to a table of an earlier version when that is written to. Earlier
# versions go on with the table: they leave these columns as they are.
_ADDED = {"asked_by": "TEXT NOT NULL DEFAULT ''"}
# A row of the table as it is before its first attempt.
_FRESH = (
    "state = 'queued', progress = 0, message = '', started = NULL, heartbeat = NULL,"
    " finished = NULL, pid = NULL, attempt = 0, cancel_asked = NULL, pace_time = NULL,"
    " pace_progress = 0, error = NULL, hint = NULL, result = NULL"
)
# A worker that was given up for dead must not write into the attempt of its successor.
_MINE = "key = ? AND state = 'running' AND pid = ? AND attempt = ?"
_OPEN_STATES: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True)
class Job:
    """One job, as it was when its row was read.

    Attributes
    ----------
    key : str
        Names the job; the key of the result it makes.
    command : str
        What it runs, as on the command line, or ``"demo"``.
    title : str
        For people.
    request : dict
        What the command is given; JSON values only.
    state : {"queued", "running", "done", "failed", "cancelled"}
        Where the job is.
    progress : float
        Finished share of the work, between 0 and 1.
    message : str
        What is being worked on.
    created, started, heartbeat, finished : float or None
        When the job was asked for, when its present attempt started, when its worker last showed
        that it lives, and when the job ended; seconds since 1970.
    pid : int or None
        Process of its worker.
    attempt : int
        1 in the first attempt; each worker that dies over the job adds one.
    cancel_asked : float or None
        When cancelling was asked for, seconds since 1970.
    pace_time, pace_progress : float
        An earlier report of this attempt, from which the pace is measured.
    error, hint : str or None
        Why the job failed, and what to do next.
    result : dict or None
        What the command returned.
    asked_by : str
        Who asked for it: an e-mail or an account; empty where nobody knows.
    damage : str or None
        What is wrong with the row: then the job counts as failed, whatever state is written, and
        no worker takes it.
    """

    key: str
    command: str
    title: str
    request: dict[str, Any]
    state: JobState
    progress: float = 0.0
    message: str = ""
    created: float = 0.0
    started: float | None = None
    heartbeat: float | None = None
    finished: float | None = None
    pid: int | None = None
    attempt: int = 0
    cancel_asked: float | None = None
    pace_time: float | None = None
    pace_progress: float = 0.0
    error: str | None = None
    hint: str | None = None
    result: dict[str, Any] | None = None
    asked_by: str = ""
    damage: str | None = None

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in _OPEN_STATES

    def eta_seconds(self, now: float | None = None) -> float | None:
        """Estimate how long the job still runs, from its pace in the present attempt.

        Parameters
        ----------
        now : float, optional
            Seconds since 1970; the present time when left out.

        Returns
        -------
        float or None
            Seconds; None while nothing is known.
        """
        gained = self.progress - self.pace_progress
        if self.state != "running" or self.pace_time is None or gained <= 0:
            return None
        elapsed = (time.time() if now is None else now) - self.pace_time
        return max(0.0, (1.0 - self.progress) * elapsed / gained)


_TEXT, _NUMBER, _COUNT, _NOTHING = (str,), (int, float), (int,), (type(None),)
# Columns of the table that have the name of an earlier version.
_NAMED_OTHERWISE = {"command": "task"}


def _names_results(made: Mapping[str, Any] | None) -> bool:
    """Say whether what a worker wrote can be read: results of one kind, and maybe of another."""
    found = [] if made is None else [made] + ([made["also"]] if "also" in made else [])
    for one in found:
        if not isinstance(one, dict) or not isinstance(one.get("kind", ""), str):
            return False
        keys = one.get("keys", [])
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            return False
    return True


# What a job's columns hold once their JSON is read; SQLite keeps what it is given.
_COLUMNS: dict[str, tuple[type, ...]] = {
    "key": _TEXT,
    "command": _TEXT,
    "title": _TEXT,
    "request": (dict,),
    "state": _TEXT,
    "progress": _NUMBER,
    "message": _TEXT,
    "created": _NUMBER,
    "started": _NUMBER + _NOTHING,
    "heartbeat": _NUMBER + _NOTHING,
    "finished": _NUMBER + _NOTHING,
    "pid": _COUNT + _NOTHING,
    "attempt": _COUNT,
    "cancel_asked": _NUMBER + _NOTHING,
    "pace_time": _NUMBER + _NOTHING,
    "pace_progress": _NUMBER,
    "error": _TEXT + _NOTHING,
    "hint": _TEXT + _NOTHING,
    "result": (dict, *_NOTHING),
    "asked_by": _TEXT,
}


class JobTable:
    """The jobs in one database file; the file is made by the first job.

    Parameters
    ----------
    path : Path
        The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, key: str) -> Job | None:
        """Read one job."""
        found = self._read("SELECT * FROM jobs WHERE key = ?", (key,), None, 1)
        return found[0] if found else None

    def newest(self, states: Iterable[JobState] | None, limit: int | None) -> tuple[Job, ...]:
        """Read at most ``limit`` jobs (None: all) in one of ``states``, the newest first."""
        wanted = None if states is None else tuple(states)
        if wanted == ():
            return ()
        # Damaged jobs have failed, whatever is written: then SQLite cannot choose.
        written = () if wanted is None or "failed" in wanted else wanted
        condition = f"state IN ({', '.join('?' * len(written))})" if written else "1"
        query = f"SELECT * FROM jobs WHERE {condition} ORDER BY created DESC, rowid DESC"
        return self._read(query, written, wanted, limit)

    def add(
        self,
        command: str,
        key: str,
        request: str,
        title: str,
        redo: Callable[[Job], bool],
        asked_by: str = "",
    ) -> Job:
        """Queue a job, or leave the one with this key as it is.

        A failed or cancelled job is queued again; a finished one when ``redo`` says so; one that
        runs and was asked to stop is asked no longer. ``request`` is JSON text. A job that is
        queued again is of who asks now; one that waits or runs stays of who asked first.
        """
        now = time.time()
        with self._write() as rows:
            old = self._find(rows, key)
            title, asked_by = _storable(title), _storable(asked_by)
            if old is None:
                rows.execute(
                    "INSERT INTO jobs (key, task, request, title, created, state, asked_by)"
                    " VALUES (?, ?, ?, ?, ?, 'queued', ?)",
                    (key, command, request, title, now, asked_by),
                )
            elif old.state == "running":
                rows.execute("UPDATE jobs SET cancel_asked = NULL WHERE key = ?", (key,))
            elif old.state in ("failed", "cancelled") or (old.state == "done" and redo(old)):
                rows.execute(
                    f"UPDATE jobs SET {_FRESH}, task = ?, request = ?, title = ?, created = ?,"
                    " asked_by = ? WHERE key = ?",
                    (command, request, title, now, asked_by, key),
                )
            return self._get(rows, key)

    def ask_cancel(self, key: str) -> Job:
        """Cancel a job that waits, or mark one that runs."""
        now = time.time()
        with self._write() as rows:
            rows.execute(
                "UPDATE jobs SET cancel_asked = COALESCE(cancel_asked, ?),"
                " finished = CASE state WHEN 'queued' THEN ? END,"
                " state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END"
                " WHERE key = ? AND state IN ('queued', 'running')",
                (now, now, key),
            )
            return self._get(rows, key)

    def settle_dead(self) -> None:
        """Decide about jobs that are marked as running, when no worker lives."""
        with self._write() as rows:
            _settle_dead(rows)

    def claim(self) -> Job | None:
        """Take the job that waits longest, for this process; it must hold the worker's lock."""
        if not self.newest(_OPEN_STATES, 1):
            return None
        with self._write() as rows:
            # The one worker runs nothing now: what is marked as running has lost its worker.
            _settle_dead(rows)
            waiting = rows.execute(
                "SELECT * FROM jobs WHERE state = 'queued' ORDER BY created, rowid"
            )
            first = next((job for job in map(self._job, waiting) if not job.damage), None)
            if first is None:
                return None
            now = time.time()
            rows.execute(
                "UPDATE jobs SET state = 'running', progress = 0, message = 'starting', pid = ?,"
                " started = ?, heartbeat = ?, pace_time = ?, pace_progress = 0,"
                " attempt = attempt + 1 WHERE key = ?",
                (os.getpid(), now, now, now, first.key),
            )
            return self._get(rows, first.key)

    def report(self, job: Job, progress: float, message: str, pace: tuple[float, float]) -> bool:
        """Write a heartbeat, and where the claimed job is.

        Parameters
        ----------
        job : Job
            As :meth:`claim` returned it.
        progress : float
            Finished share, between 0 and 1.
        message : str
            What is being worked on.
        pace : tuple of float
            Time (seconds since 1970) and progress of an earlier report.

        Returns
        -------
        bool
            Whether the job should go on: False when somebody asked to cancel it, or when it is no
            longer this worker's.
        """
        with self._write() as rows:
            mine = rows.execute(
                "UPDATE jobs SET heartbeat = ?, progress = ?, message = ?, pace_time = ?,"
                f" pace_progress = ? WHERE {_MINE}",
                (time.time(), progress, _storable(message), *pace, job.key, job.pid, job.attempt),
            ).rowcount
            return bool(mine) and self._get(rows, job.key).cancel_asked is None

    def finish(
        self,
        job: Job,
        state: Literal["done", "failed", "cancelled"],
        *,
        error: str | None = None,
        hint: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write how the claimed job ended; False when it was no longer this worker's."""
        text = None if result is None else canonical_json(dict(result))
        told, advice = _storable(error or "") or None, _storable(hint or "") or None
        with self._write() as rows:
            changed = rows.execute(
                "UPDATE jobs SET state = ?1, error = ?2, hint = ?3, result = ?4, finished = ?5,"
                " heartbeat = ?5, progress = CASE ?1 WHEN 'done' THEN 1 ELSE progress END"
                " WHERE key = ?6 AND state = 'running' AND pid = ?7 AND attempt = ?8",
                (state, told, advice, text, time.time(), job.key, job.pid, job.attempt),
            ).rowcount
        return bool(changed)

    def put_back(self, job: Job) -> None:
        """Queue the claimed job again, as if this attempt had not been, or cancel it if asked."""
        with self._write() as rows:
            rows.execute(
                "UPDATE jobs SET message = 'waiting for a worker', pid = NULL,"
                " attempt = attempt - 1, finished = CASE WHEN cancel_asked THEN ? END,"
                " state = CASE WHEN cancel_asked THEN 'cancelled' ELSE 'queued' END"
                f" WHERE {_MINE}",
                (time.time(), job.key, job.pid, job.attempt),
            )

    def _read(
        self,
        query: str,
        values: tuple[Any, ...],
        states: tuple[JobState, ...] | None = None,
        limit: int | None = 1,
    ) -> tuple[Job, ...]:
        """Read jobs; none when there is no database yet, which reading does not make."""
        log = self.path.with_name(self.path.name + "-wal")
        with _storage_errors(self.path):
            if not self.path.exists():
                return ()
            try:
                return self._select(self._connect(), query, values, states, limit)
            except sqlite3.OperationalError as error:
                if "locked" in str(error) or (log.exists() and log.stat().st_size):
                    raise
                # SQLite writes even to read. On a disk that refuses, the file is the whole truth
                # when nothing is left in its log.
                unchanging = f"{self.path.as_uri()}?mode=ro&immutable=1"
                return self._select(self._connect(unchanging), query, values, states, limit)

    def _select(
        self,
        connection: sqlite3.Connection,
        query: str,
        values: tuple[Any, ...],
        states: tuple[JobState, ...] | None,
        limit: int | None,
    ) -> tuple[Job, ...]:
        with closing(connection) as rows:
            if _schema_version(rows, self.path) == 0:
                return ()
            jobs = (self._job(row) for row in rows.execute(query, values))
            return tuple(islice((one for one in jobs if not states or one.state in states), limit))

    def _find(self, rows: sqlite3.Connection, key: str) -> Job | None:
        row = rows.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._job(row)

    def _get(self, rows: sqlite3.Connection, key: str) -> Job:
        job = self._find(rows, key)
        if job is None:
            raise unknown_job(key)
        return job

    def _job(self, row: sqlite3.Row) -> Job:
        """Make a job of its row; one that cannot be read has failed and says so."""
        # Before it is written to again, a table of an earlier version lacks what came later.
        values: dict[str, Any] = dict.fromkeys(_ADDED.keys() - row.keys(), "")
        values |= {
            name: row[_NAMED_OTHERWISE.get(name, name)] for name in _COLUMNS if name not in values
        }
        for name in ("request", "result"):
            with suppress(ValueError, TypeError):
                values[name] = parse_json(values[name])
        odd = [name for name, kinds in _COLUMNS.items() if not isinstance(values[name], kinds)]
        if "key" not in odd and not NAME.fullmatch(values["key"]):
            odd.append("key")
        if "result" not in odd and not _names_results(values["result"]):
            odd.append("result")
        if odd:
            damage = f"its {', '.join(odd)} in {self.path} cannot be read"
            key, command, title = (
                _storable(str(values[name])) for name in ("key", "command", "title")
            )
            return Job(
                key,
                command,
                title,
                request={},
                state="failed",
                created=values["created"] if isinstance(values["created"], float) else 0.0,
                error=f"the job's row is damaged: {damage}",
                hint="Submit the work again, which writes the row anew; results are not touched.",
                damage=damage,
            )
        return Job(**values)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that alone may write; without its COMMIT nothing has happened."""
        with _storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as rows:
                # Commits must survive a crash of the process, not of the machine.
                rows.execute("PRAGMA synchronous = NORMAL")
                if rows.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    # Refused while another process looks at a new database; a later one does it.
                    with suppress(sqlite3.OperationalError):
                        rows.execute("PRAGMA journal_mode = WAL")
                rows.execute("BEGIN IMMEDIATE")
                if _schema_version(rows, self.path) == 0:
                    rows.execute(_SCHEMA)
                    rows.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                _add_columns(rows)
                yield rows
                rows.execute("COMMIT")

    def _connect(self, uri: str | None = None) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri or self.path, timeout=_BUSY_SECONDS, isolation_level=None, uri=uri is not None
        )
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        return connection


def _text(stored: bytes) -> str | bytes:
    """Decode a text; one that is no UTF-8 stays bytes, the fault of one row, not of the list."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _storable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()  # a file name need not be UTF-8


def unknown_job(key: str) -> JobError:
    """Make the error for a key that no job has."""
    return JobError(
        f"there is no job {key!r}",
        hint="`braindash jobs list` lists the jobs; submit the work to make one.",
    )


def _settle_dead(rows: sqlite3.Connection) -> None:
    """Cancel, fail or queue again what is marked as running; its worker is known to be dead."""
    now = time.time()
    for row in rows.execute("SELECT key, attempt FROM jobs WHERE state = 'running'").fetchall():
        logger.warning("job %s lost its worker in attempt %d", row["key"], row["attempt"])
    rows.execute(
        "UPDATE jobs SET state = 'cancelled', finished = ?"
        " WHERE state = 'running' AND cancel_asked IS NOT NULL",
        (now,),
    )
    rows.execute(
        "UPDATE jobs SET state = 'failed', finished = ?, error = ?, hint = ?"
        " WHERE state = 'running' AND attempt >= ?",
        (
            now,
            f"the worker process was killed {MAX_ATTEMPTS} times",
            "Probably the memory was not enough: close other programs, or choose a smaller model,"
            " fewer layers or fewer subjects, and try again; finished parts are kept.",
            MAX_ATTEMPTS,
        ),
    )
    rows.execute(
        "UPDATE jobs SET state = 'queued', message = 'waiting for a worker: the last one died'"
        " WHERE state = 'running'"
    )


def _add_columns(rows: sqlite3.Connection) -> None:
    """Give a table of an earlier version the columns that came later."""
    there = {row["name"] for row in rows.execute("PRAGMA table_info(jobs)")}
    for name, kind in _ADDED.items():
        if name not in there:
            rows.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")


def _schema_version(rows: sqlite3.Connection, path: Path) -> int:
    version = int(rows.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the job list {path} was written by a newer braindash"
            f" (form {version}, this one knows {SCHEMA_VERSION})",
            hint="Update braindash, or move the file away to begin a new list;"
            " results are not touched.",
        )
    return version


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system and of SQLite into what a user can act on."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            hint = "Another program holds the file; close it, or try again."
            raise StoreError(f"the job list {path} is locked", hint=hint) from error
        raise cannot_write(path, error) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"the job list {path} is damaged: {error}",
            hint="Move the file away to begin a new list; results are not touched.",
        ) from error


def cannot_write(path: Path, error: Exception) -> StoreError:
    """Make the error for a job folder that cannot be written."""
    return StoreError(
        f"the job list {path} cannot be used: {error}",
        hint="Check that the disk is not full and that you may write there,"
        " or choose another store folder.",
    )
