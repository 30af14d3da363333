"""The result store: one checksummed folder per result, whole or absent.

Layout: ``<root>/<kind>/<key>/`` holds ``spec.json``, ``provenance.json``, ``result.nc`` and
``checksums.json``. Results are written to a temporary folder of the same file system, flushed to
disk and renamed into place, so a reader sees a whole result or none. Parts of a result that is
still being computed lie in ``<root>/parts/<kind>/<key>/`` until the result replaces them.
"""

import errno
import glob
import logging
import os
import re
import shutil
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import xarray as xr

from braindash.errors import InputError, StoreError
from braindash.files import ANOTHER_PLACE, digest_file, disk_errors, flush, replaced, write_json
from braindash.io.entries import (
    CHECKSUM_FILE,
    FILES,
    KEY,
    PROVENANCE_FILE,
    RESULT_FILE,
    SPEC_FILE,
    DamagedEntry,
    Entry,
    damage,
    exported_heads,
    is_newer,
    predictions_key,
    read_entry,
    read_listed,
    read_object,
    require_readable,
)
from braindash.io.netcdf import write_netcdf
from braindash.io.surface_links import SURFACES, link_surface, linked_surface
from braindash.names import given_path, without_places
from braindash.process import is_running, process_mark
from braindash.sharing.asking import present, require_runner

__all__ = ["DamagedEntry", "Entry", "Store", "as_store", "checkout", "default_root"]

logger = logging.getLogger(__name__)

# What a list of the store shows.
LISTED_KINDS = ("encoding", "probing", "tuning", "features")
REGIONS = "regions"
"""Region tables of encoding results, which a list shows when it is asked for them alone."""

# What belongs to results and is in no list, and to which.
_INNER_KINDS = {
    "frames": "the features that are made from them",
    "predictions": "an encoding result",
    REGIONS: "an encoding result",
    SURFACES: "encoding results",
    "unit-features": "a probing result",
    "weights": "an encoding result",
    "sounds": "an encoding result",
}

_NAME = re.compile(r"[a-z][a-z-]*")
_PART = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<digest>[0-9a-f]{32})\.nc")


def checkout() -> Path | None:
    """Return the folder of the checkout that this package is part of; None where it is installed.

    Where packages are installed another one may have left an ``app.py``: a checkout has braindash's
    ``pyproject.toml`` beside it.
    """
    folder = Path(__file__).resolve().parents[2]
    whole = all((folder / name).is_file() for name in ("app.py", "pyproject.toml"))
    return folder if whole else None


def default_root() -> Path:
    """Say where results go when nobody says otherwise.

    ``BRAINDASH_STORE`` when it is set, else ``cache/`` of this checkout, else ``./cache``.
    """
    named = os.environ.get("BRAINDASH_STORE")
    if named:
        return given_path(named, exact=True).resolve()
    return (checkout() or Path.cwd()) / "cache"


class Store:
    """Reads and writes results under one root folder.

    Parameters
    ----------
    root : Path or str
        The store's folder; made when the first result is written.

    Raises
    ------
    StoreError
        A file is there, or above it.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = given_path(root, exact=True).resolve()
        there = next(filter(os.path.exists, (self.root, *self.root.parents)), None)
        if there is not None and not there.is_dir():
            raise StoreError(
                f"{there} is a file, and a store is a folder",
                hint="Name a folder by --store or BRAINDASH_STORE; it is made when it is needed.",
            )

    @property
    def demo_folder(self) -> Path:
        """Where the embedded demo's data set lies."""
        return self.root / "demo"

    def folder(self, kind: str, key: str) -> Path:
        """Return the folder that the result has, or would have."""
        if not _NAME.fullmatch(kind) or not KEY.fullmatch(key):
            raise StoreError(
                f"{kind!r}/{key!r} is not the name of a result",
                hint="A key is 8 to 64 hexadecimal digits; `braindash list` shows them.",
            )
        return self.root / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Say whether the result is there, without reading its arrays."""
        return (self.folder(kind, key) / CHECKSUM_FILE).is_file()

    def get(self, kind: str, key: str) -> Entry:
        """Return a result after verifying its checksums.

        Raises
        ------
        StoreError
            When it is absent, of a newer version of braindash, or damaged; a damaged result is
            moved to quarantine, unless who asks only looks, or the disk is read-only.
        """
        folder = self.folder(kind, key)
        if not self.has(kind, key):
            raise StoreError(
                f"there is no {kind} result {key} in {self.root}",
                hint="Run `braindash list` to see what is there, or compute it.",
            )
        problem = damage(kind, folder)
        if problem:
            raise StoreError(
                f"the {kind} result {key} is damaged ({problem}); {self._aside(folder)}",
                hint="Ask for it again and it is computed anew.",
            )
        entry = read_entry(kind, key, folder)
        require_readable(entry)
        return entry

    def get_or_none(self, kind: str, key: str) -> Entry | None:
        """Return a result, or None when it is absent or had to be quarantined."""
        if not self.has(kind, key):
            return None
        try:
            return self.get(kind, key)
        except StoreError as error:
            logger.warning("%s", error)
            return None

    def entries(self, kind: str | None = None) -> list[Entry]:
        """List results, newest first; arrays are neither read nor verified.

        Parameters
        ----------
        kind : str, optional
            Only results of this kind; by default encodings, probings, tuned models and features,
            without the predictions and the features of units that belong to them.

        Returns
        -------
        list of Entry
            Results of newer versions of braindash and damaged ones are left out; older ones
            are there.
        """
        return [entry for entry in self._all_entries(kind) if not is_newer(entry)]

    def count_newer(self) -> int:
        """Count the results of newer versions of braindash, which are not listed."""
        return sum(is_newer(entry) for entry in self._all_entries(None))

    def damaged(self, kind: str | None = None) -> list[DamagedEntry]:
        """List what ought to be results and cannot be read, newest first; kinds as for entries."""
        return [one for one in self._listed(kind) if isinstance(one, DamagedEntry)]

    def _all_entries(self, kind: str | None) -> list[Entry]:
        return [one for one in self._listed(kind) if isinstance(one, Entry)]

    def _listed(self, kind: str | None) -> list[Entry | DamagedEntry]:
        found: list[tuple[float, Entry | DamagedEntry]] = []
        for one in [kind] if kind else LISTED_KINDS:
            place = self.root / one
            try:
                folders = sorted(folder for folder in place.iterdir() if folder.is_dir())
            except FileNotFoundError:
                continue  # nothing of this kind yet
            except OSError as error:
                problem = f"it cannot be looked into: {error.strerror or error}"
                found.append((0.0, DamagedEntry(one, "", place, problem)))
                continue
            for folder in folders:
                entry = read_listed(one, folder)
                with suppress(FileNotFoundError):  # somebody took it away meanwhile
                    if entry is not None:
                        found.append((_written(folder), entry))
        return [entry for _, entry in sorted(found, key=lambda pair: -pair[0])]

    def find(self, prefix: str) -> Entry:
        """Return the one result whose key starts with ``prefix`` (at least four digits)."""
        matches = [one for one in self._listed(None) if one.key.startswith(prefix)]
        if len(prefix) >= 4 and not matches:
            self._refuse_inner(prefix)
        if len(prefix) < 4 or len(matches) != 1:
            raise StoreError(
                f"{len(matches)} results in {self.root} have a key that starts with {prefix!r}",
                hint="Give at least four digits that name one result; see `braindash list`.",
            )
        if isinstance(matches[0], DamagedEntry):
            raise StoreError(
                f"the {matches[0].kind} result in {matches[0].folder} is damaged: "
                f"{matches[0].problem}",
                hint="Delete or move the folder, and ask for the result again.",
            )
        return self.get(matches[0].kind, matches[0].key)

    def _refuse_inner(self, prefix: str) -> None:
        """Raise StoreError where a key names what belongs to a result and is in no list."""
        for kind, owner in _INNER_KINDS.items():
            for folder in (self.root / kind).glob(f"{glob.escape(prefix)}*"):
                hint = f"Give the key of {owner}; `braindash list` shows it."
                entry = read_listed(kind, folder) if kind == REGIONS else None
                if isinstance(entry, Entry):
                    hint = (
                        f"Look at them with `braindash show {entry.spec['result']} --regions "
                        f"{entry.spec['name']}`."
                    )
                raise StoreError(
                    f"{folder.name} names {kind}, which belong to {owner} and are no result of "
                    "their own",
                    hint=hint,
                )

    def put(
        self,
        kind: str,
        key: str,
        *,
        spec: dict[str, Any],
        provenance: dict[str, Any],
        dataset: xr.Dataset,
        chunks: dict[str, tuple[int, ...]] | None = None,
    ) -> Entry:
        """Write a result; when it is there already, the one that is there stays.

        Parameters
        ----------
        kind, key : str
            Name of the result.
        spec, provenance : dict
            JSON values.
        dataset : xarray.Dataset
            The arrays.
        chunks : dict of str to tuple of int, optional
            Chunk shape on disk, per variable.

        Raises
        ------
        StoreError
            When the disk is full or read-only; nothing half-written stays behind.
        """
        encoding = {name: {"chunksizes": shape} for name, shape in (chunks or {}).items()}

        def write(path: Path) -> None:
            write_netcdf(dataset, path, encoding)

        return self.put_file(
            kind, key, spec=spec, provenance=provenance, write=write, n_bytes=dataset.nbytes
        )

    def put_file(
        self,
        kind: str,
        key: str,
        *,
        spec: dict[str, Any],
        provenance: dict[str, Any],
        write: Callable[[Path], None],
        n_bytes: int,
    ) -> Entry:
        """Do as :meth:`put` for arrays that do not fit into memory together.

        Parameters
        ----------
        kind, key, spec, provenance
            As for :meth:`put`.
        write : callable
            Takes a path and writes the netCDF4 file there, piece by piece; may read the parts.
        n_bytes : int
            About how large the file becomes.
        """
        target = self.folder(kind, key)
        with self._temporary_folder(n_bytes) as temporary:
            write(temporary / RESULT_FILE)
            write_json(temporary / SPEC_FILE, spec, sort_keys=True)
            write_json(temporary / PROVENANCE_FILE, provenance, sort_keys=True)
            self._publish(temporary, target)
        self.drop_parts(kind, key)
        return self.get(kind, key)

    # ---- parts of a result under way -----------------------------------------------------

    def put_part(self, kind: str, key: str, name: str, dataset: xr.Dataset) -> Path:
        """Keep one finished part of a result, so that a killed run goes on after it."""
        folder = self.parts_folder(kind, key)
        with self._temporary_folder(dataset.nbytes) as temporary:
            written = temporary / "part.nc"
            write_netcdf(dataset, written)
            flush(written)
            folder.mkdir(parents=True, exist_ok=True)
            # The name carries the digest of the content, so a torn file is seen when read.
            place = folder / f"{name}.{digest_file(written)}.nc"
            os.replace(written, place)
        return place

    def part_file(self, kind: str, key: str, name: str) -> Path | None:
        """Find one finished part; a damaged one is removed and counts as none."""
        return self._intact(self.parts_folder(kind, key).glob(f"{name}.*.nc")).get(name)

    def part_files(self, kind: str, key: str) -> dict[str, Path]:
        """Find the finished parts by name; a damaged one is removed and left out."""
        return self._intact(self.parts_folder(kind, key).glob("*.nc"))

    def _intact(self, files: Iterable[Path]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in sorted(files):
            match = _PART.fullmatch(path.name)
            if match is None or digest_file(path) != match["digest"]:
                logger.warning("the part %s is damaged and is computed again", path)
                path.unlink(missing_ok=True)
                continue
            found[match["name"]] = path
        return found

    def under_way(self, kind: str) -> dict[str, list[Path]]:
        """List the parts of all results under way by key, unread: one may be torn."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self.root / "parts" / kind).glob("*/*.nc")):
            found.setdefault(path.parent.name, []).append(path)
        return found

    def parts_folder(self, kind: str, key: str) -> Path:
        """Return the folder of a result under way, where its run may keep what it likes."""
        self.folder(kind, key)  # refuses names that are not names
        return self.root / "parts" / kind / key

    def drop_parts(self, kind: str, key: str) -> None:
        """Forget the parts of a result that is whole."""
        shutil.rmtree(self.parts_folder(kind, key), ignore_errors=True)

    # ---- moving results between stores ----------------------------------------------------

    def export(self, prefix: str, path: Path | str, *, with_predictions: bool = False) -> Path:
        """Write one result as a zip file that :meth:`import_` of another store reads.

        The surface map of an encoding result, where it has one, goes with it. Places of this
        machine in the provenance are cut down to their last name (:func:`without_places`).

        Parameters
        ----------
        prefix : str
            Start of the key, at least four digits.
        path : path
            File to write, or a folder that gets a file named after the result.
        with_predictions : bool, default False
            Add an encoding's predictions, which no page needs.

        Returns
        -------
        Path
            The file.
        """
        entries = [self.find(prefix)]
        if with_predictions and entries[0].kind != "encoding":
            raise InputError(
                f"the {entries[0].kind} result {entries[0].key} has no predictions",
                hint="Export it without them; only encoding results have predictions.",
            )
        if with_predictions:
            entries.append(self.get("predictions", predictions_key(entries[0])))
        if (surface := linked_surface(self.root, entries[0])) and self.has(SURFACES, surface):
            entries.append(self.get(SURFACES, surface))
        target = given_path(path, exact=True)
        if target.is_dir():
            target = target / f"braindash-{entries[0].kind}-{entries[0].key}.zip"
        with (
            disk_errors(target.parent, ANOTHER_PLACE),
            replaced(target) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
        ):
            for entry in entries:
                _export_one(entry, archive)
        return target

    def import_(self, path: Path | str) -> Entry:
        """Take over what :meth:`export` wrote, after verifying its checksums.

        Returns
        -------
        Entry
            The result; its predictions, when the file holds them, are taken over too.
        """
        source = given_path(path)
        hint = "Give a file that `braindash export KEY` wrote."
        if not source.is_file() or not zipfile.is_zipfile(source):
            raise InputError(f"{source} is not an exported result", hint=hint)
        with _zip_errors(source), zipfile.ZipFile(source) as archive:
            heads = exported_heads(archive)
            if not heads:
                raise InputError(f"{source} does not hold exactly one result", hint=hint)
            for kind, key in heads:
                self._import_one(archive, kind, key)
        if surface := dict(heads[:-1]).get(SURFACES):
            link_surface(self.root, heads[-1][1], surface)
        return self.get(*heads[-1])

    def _import_one(self, archive: zipfile.ZipFile, kind: str, key: str) -> None:
        target = self.folder(kind, key)
        names = {name: f"{kind}/{key}/{name}" for name in FILES}
        size = sum(archive.getinfo(member).file_size for member in names.values())
        with self._temporary_folder(size) as temporary:
            for name, member in names.items():
                with archive.open(member) as stream, open(temporary / name, "wb") as copy:
                    shutil.copyfileobj(stream, copy)
            problem = damage(kind, temporary)
            if problem:
                raise InputError(
                    f"{archive.filename} is damaged: {problem}", hint="Export it again."
                )
            require_readable(read_entry(kind, key, temporary))
            self._publish(temporary, target)

    # ---- internals ------------------------------------------------------------------------

    @contextmanager
    def _temporary_folder(self, n_bytes: int) -> Iterator[Path]:
        """Return a fresh folder on the store's file system; whatever is left in it is removed."""
        require_runner("write to the store")
        with disk_errors(self.root):
            base = self.root / "tmp"
            base.mkdir(parents=True, exist_ok=True)
            for left in base.iterdir():
                if is_running(left.name) is False:  # its writer was killed
                    shutil.rmtree(left, ignore_errors=True)
            free = shutil.disk_usage(base).free
            if free < n_bytes:
                raise OSError(errno.ENOSPC, f"{n_bytes / 1e6:.0f} MB needed, {free / 1e6:.0f} free")
            folder = base / f"{process_mark()}-{uuid.uuid4().hex[:12]}"
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, temporary: Path, target: Path) -> None:
        names = (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE)
        checksums = {name: digest_file(temporary / name) for name in names}
        write_json(temporary / CHECKSUM_FILE, checksums, sort_keys=True)
        for name in (*names, CHECKSUM_FILE):
            flush(temporary / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(temporary, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if damage(target.parent.name, target) is None:
                return  # another writer was first with the same content: its result stays
            self._quarantine(target)  # damaged, or what somebody copied by half
            os.rename(temporary, target)
        flush(target.parent)

    def set_aside(self, kind: str, key: str) -> Path:
        """Move what lies in a result's place to the quarantine, and say where it is now."""
        return self._quarantine(self.folder(kind, key))

    def _aside(self, folder: Path) -> str:
        """Move a damaged result to the quarantine if that can be, and say what became of it."""
        if present().may_compute:
            try:
                return f"it was moved to {self._quarantine(folder)}"
            except StoreError as error:
                logger.warning("%s", error)
        return f"it stays in {folder}"

    def _quarantine(self, folder: Path) -> Path:
        place = self.root / "quarantine" / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        with disk_errors(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, place)
        return place


def as_store(store: Store | Path | str | None) -> Store:
    """Return the store that somebody names, by itself or by its folder; the usual one for None."""
    if isinstance(store, Store):
        return store
    return Store(default_root() if store is None else store)


def _export_one(entry: Entry, archive: zipfile.ZipFile) -> None:
    """Write a result's folder; its provenance without places, and the checksums of what leaves."""
    with TemporaryDirectory(prefix="braindash-") as place:
        told, sums = Path(place, PROVENANCE_FILE), Path(place, CHECKSUM_FILE)
        write_json(told, without_places(entry.provenance))
        checksums = read_object(entry.folder / CHECKSUM_FILE)
        write_json(sums, checksums | {told.name: digest_file(told)}, sort_keys=True)
        for name in FILES:
            changed = Path(place, name)
            source = changed if changed.is_file() else entry.folder / name
            archive.write(source, f"{entry.kind}/{entry.key}/{name}")


def _written(folder: Path) -> float:
    """Say when a result was written, in seconds since 1970; of an incomplete one its folder."""
    with suppress(OSError):  # not there, or not to be looked at by this account
        return (folder / CHECKSUM_FILE).stat().st_mtime
    return folder.stat().st_mtime


@contextmanager
def _zip_errors(source: Path) -> Iterator[None]:
    """Say it in words when a zip file cannot be read to its end."""
    try:
        yield
    # An encrypted member and an unknown compression are RuntimeErrors of zipfile.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"{source} is damaged: {error}", hint="Export it again.") from error
