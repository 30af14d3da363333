"""The files of one stored result: their names, whether they are whole, and of which version."""

import errno
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from braindash.digest import digest_file
from braindash.errors import StoreError
from braindash.specs import current_version, version_of

RESULT_FILE = "result.nc"
SPEC_FILE = "spec.json"
PROVENANCE_FILE = "provenance.json"
CHECKSUM_FILE = "checksums.json"
FILES = (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE, CHECKSUM_FILE)


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


def read_entry(kind: str, key: str, folder: Path) -> Entry:
    """Read what a result's folder says about it, without its arrays."""
    spec = json.loads((folder / SPEC_FILE).read_text())
    provenance = json.loads((folder / PROVENANCE_FILE).read_text())
    return Entry(kind=kind, key=key, folder=folder, spec=spec, provenance=provenance)


def damage(folder: Path) -> str | None:
    """Say what is wrong with a result's files, or None."""
    try:
        checksums = json.loads((folder / CHECKSUM_FILE).read_text())
        for name in (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE):
            if digest_file(folder / name) != checksums.get(name):
                return f"{name} does not match its checksum"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (ValueError, AttributeError):
        return f"{CHECKSUM_FILE} cannot be read"
    return None


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
    """Name what an exported file holds, the result last; empty when it is no such file."""
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
        provenance = json.loads(archive.read(f"encoding/{result}/{PROVENANCE_FILE}"))
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
