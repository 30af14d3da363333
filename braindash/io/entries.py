"""The files of one stored result: their names, whether they are whole, and of which version."""

import errno
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from braindash.digest import digest_file
from braindash.errors import StoreError
from braindash.io.forms import parse_object, read_object, require_listed
from braindash.specs import current_version, version_of

RESULT_FILE = "result.nc"
SPEC_FILE = "spec.json"
PROVENANCE_FILE = "provenance.json"
CHECKSUM_FILE = "checksums.json"
FILES = (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE, CHECKSUM_FILE)
KEY = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Entry:
    """One result in a store.

    Attributes
    ----------
    kind, key : str
        What it is ("features", "encoding", "predictions", "unit-features", "probing") and the
        digest that names it.
    folder : Path
        Where its files are.
    spec, provenance : dict
        What was asked for; who computed it, when, from what and how long it took.
    """

    kind: str
    key: str
    folder: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def result_file(self) -> Path:
        """The netCDF4 file with the arrays."""
        return self.folder / RESULT_FILE

    def open(self) -> xr.Dataset:
        """Open the arrays lazily; use it as a context manager or close it."""
        return xr.open_dataset(self.result_file, engine="h5netcdf")


@dataclass(frozen=True)
class DamagedEntry:
    """A folder of the store that ought to hold a result and does not; nothing reads it.

    Attributes
    ----------
    kind, key : str
        What it would be; the folder's name.
    folder : Path
        Where it is.
    problem : str
        What is wrong with it.
    """

    kind: str
    key: str
    folder: Path
    problem: str


def read_entry(kind: str, key: str, folder: Path) -> Entry:
    """Read what a result's folder says about it, without its arrays.

    Raises
    ------
    ValueError
        A file is no JSON object, or lacks a field that every result of this kind has.
    OSError
        A file is missing or cannot be read.
    """
    spec = read_object(folder / SPEC_FILE)
    provenance = read_object(folder / PROVENANCE_FILE)
    entry = Entry(kind=kind, key=key, folder=folder, spec=spec, provenance=provenance)
    if not is_newer(entry):  # whose form nobody knows yet
        require_listed(kind, spec, provenance)
    return entry


def read_listed(kind: str, folder: Path) -> Entry | DamagedEntry | None:
    """Read a folder for a list of results, without its arrays; None where nothing of a result is.

    Parameters
    ----------
    kind : str
        Of the folder that it lies in.
    folder : Path
        Its name ought to be the key.
    """
    if not any((folder / name).exists() for name in FILES):
        return None
    try:
        if not KEY.fullmatch(folder.name):
            raise ValueError("the folder's name is no key")
        (folder / CHECKSUM_FILE).stat()
        return read_entry(kind, folder.name, folder)
    except (OSError, ValueError) as error:
        return DamagedEntry(kind, folder.name, folder, _problem(error))


def damage(kind: str, folder: Path) -> str | None:
    """Say what is wrong with a result's files or their form, or None."""
    try:
        checksums = read_object(folder / CHECKSUM_FILE)
        for name in (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE):
            if digest_file(folder / name) != checksums.get(name):
                return f"{name} does not match its checksum"
        read_entry(kind, folder.name, folder)
    except (FileNotFoundError, ValueError) as error:
        return _problem(error)
    return None


def _problem(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    name = Path(str(error.filename)).name
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    return f"{name} cannot be read: {error.strerror or error}"


def is_newer(entry: Entry) -> bool:
    """Say whether a result comes from a braindash that computes otherwise than this one can read.

    Results of older versions, and those without one, are read.
    """
    version = version_of(entry.kind, entry.spec)
    return version is not None and version > current_version(entry.kind)


def require_readable(entry: Entry) -> None:
    """Raise :class:`~braindash.errors.StoreError` for a result of a newer version."""
    if is_newer(entry):
        raise StoreError(
            f"the {entry.kind} result {entry.key} is of version "
            f"{version_of(entry.kind, entry.spec)}, this braindash reads versions up to "
            f"{current_version(entry.kind)}",
            hint="Update braindash, or compute it again with this one: both are kept.",
        )


def predictions_key(entry: Entry) -> str:
    """Give the key of the predictions that an encoding result was made from."""
    return str(entry.provenance.get("predictions", entry.key))


def exported_heads(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """Name what an exported file holds, the result last; empty when it is no such file.

    Raises
    ------
    ValueError
        The result's provenance in it cannot be read.
    """
    members = archive.namelist()
    heads = list(dict.fromkeys(tuple(name.split("/")[:2]) for name in members))
    whole = {f"{'/'.join(head)}/{name}" for head in heads for name in FILES}
    named = [(head[0], head[-1]) for head in heads]
    if set(members) != whole or not 1 <= len(named) <= 2:
        return []
    named.sort(key=lambda head: head[0] != "predictions")
    if len(named) == 2:
        (first, key), (last, result) = named
        if (first, last) != ("predictions", "encoding"):
            return []
        name = f"encoding/{result}/{PROVENANCE_FILE}"
        provenance = parse_object(archive.read(name), PROVENANCE_FILE)
        if provenance.get("predictions", result) != key:
            return []
    return named


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's word on a full or read-only disk into a clear error."""
    reasons = {
        errno.ENOSPC: ("the disk is full", "Free some space"),
        errno.EDQUOT: ("the disk quota is used up", "Free some space"),
        errno.EROFS: ("the file system is read-only", "Make it writable"),
        errno.EACCES: ("you may not write there", "Change its permissions"),
        errno.EPERM: ("you may not write there", "Change its permissions"),
        errno.ENOTDIR: ("a part of the path is a file", "Remove that file"),
        errno.EEXIST: ("a part of the path is a file", "Remove that file"),
    }
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        reason, remedy = reasons[error.errno]
        raise StoreError(
            f"cannot write to {place}: {reason} ({error.strerror or error})",
            hint=f"{remedy}, or choose another store with --store or BRAINDASH_STORE; "
            "finished parts are kept and the run goes on after them.",
        ) from error
