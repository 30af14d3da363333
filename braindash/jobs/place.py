"""Where the jobs of a store lie: beside the results, or on a disk of this machine."""

import os
from pathlib import Path
from typing import NamedTuple

from braindash.errors import InputError, JobError
from braindash.files import digest_bytes
from braindash.jobs.disks import file_system
from braindash.names import given_path

JOBS_VARIABLE = "BRAINDASH_JOBS"
"""Environment variable that names the database, as the option ``--jobs FILE`` does."""

_NAME = "jobs.sqlite"
_STORE = "store.txt"


class JobsPlace(NamedTuple):
    """Where the jobs of one store lie.

    Attributes
    ----------
    database : Path
        The SQLite file.
    folder : Path
        Of locks and logs.
    """

    database: Path
    folder: Path


def state_folder() -> Path:
    """Return the folder of what this machine has to keep, such as jobs; not made by asking.

    ``braindash`` of the user's state folder (``XDG_STATE_HOME``, or ``~/.local/state``).
    """
    named = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return given_path(named, exact=True) / "braindash"


def jobs_place(root: Path) -> JobsPlace:
    """Say where the jobs of a store lie.

    At ``BRAINDASH_JOBS`` when it is set; else in ``jobs`` of the store, unless several machines may
    write to its file system: SQLite's log and the locks of workers hold on one machine only, so
    jobs are in the :func:`state_folder` then.

    Parameters
    ----------
    root : Path
        The store's folder.

    Raises
    ------
    InputError
        What was named is a folder.
    JobError
        The file that was named is of another store.
    """
    named = os.environ.get(JOBS_VARIABLE)
    if not named:
        shared = file_system(root).is_shared
        own = digest_bytes(os.fsencode(root))
        folder = state_folder() / "jobs" / own if shared else root / "jobs"
        return JobsPlace(folder / _NAME, folder)
    path = given_path(named, exact=True).resolve()
    if path.is_dir():
        raise InputError(
            f"{path} is a folder and cannot be the database of jobs",
            hint="Give a file that is there or may be made, on a disk of this machine.",
        )
    place = JobsPlace(path, path.with_name(f"{path.name}.files"))
    _require_own(place.folder / _STORE, path, root)
    return place


def note_store(place: JobsPlace, root: Path) -> None:
    """Write down whose jobs a database holds, so that no other store takes them for its own."""
    note = place.folder / _STORE
    if not place.folder.is_relative_to(root) and not note.exists():
        note.write_text(f"{root}\n", encoding="utf-8")


def _require_own(note: Path, path: Path, root: Path) -> None:
    try:
        known = note.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(
            f"{note} cannot be read: {error}", hint="Name another file for the jobs: --jobs."
        ) from error
    if known != str(root):
        raise JobError(
            f"{path} holds the jobs of the store {known}, not of {root}",
            hint="Name a file for each store: --jobs or BRAINDASH_JOBS.",
        )
