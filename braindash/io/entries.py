"""One stored result: its files, the form of what they say, its version, and how it was made.

What every provenance holds is written by :func:`common_provenance` and checked on reading by the
forms here.
"""

import errno
import json
import platform
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, Self

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

import braindash
from braindash.errors import InputError, StoreError
from braindash.files import digest_file, parse_json
from braindash.io.hdf5 import opened_hdf5, refuse_other_files
from braindash.io.netcdf import open_netcdf
from braindash.specs import VERSIONED, StoredStrategy, current_version, older_version, version_of


class Form(BaseModel):
    """Fields that must be there and of this type; further ones are free."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Named(Form):
    name: str


class _Model(_Named):
    fingerprint: str


class _Data(_Named):
    simulated: bool


def _iso_date(text: str) -> str:
    datetime.fromisoformat(text)  # ValueError, which says what is wrong
    return text


class _Provenance(Form):
    created: Annotated[str, AfterValidator(_iso_date)]
    model: _Model
    data: _Data


class _Listed(Form):
    """Every result that lists show; the specification of features has nothing to list."""

    spec: dict[str, Any]
    provenance: _Provenance


class _WithStrategy(_Provenance):
    strategy: str


class _OfSubject(Form):
    subject: str


class _Encoding(_Listed):
    spec: _OfSubject  # type: ignore[assignment]
    provenance: _WithStrategy


class _Asked(Form):
    tasks: list[_Named]
    units: list[dict[str, Any]]


class _Probing(_Listed):
    spec: _Asked  # type: ignore[assignment]
    provenance: _WithStrategy


class _WithFolder(_Provenance):
    model_folder: str


class _OfSubjects(Form):
    subjects: list[str]


class _Tuning(_Listed):
    spec: _OfSubjects  # type: ignore[assignment]
    provenance: _WithFolder


class _OlderStory(Form):
    name: str
    first_row: int
    last_row: int


class _FirstEncoding(_OfSubject):
    """What version 1 said; what came later has a historical value."""

    space: str
    train: list[_OlderStory]
    test: list[_OlderStory]
    score_from_row: list[int]
    delays: list[int]
    alphas: list[int | float]
    folds: str
    metric: str


class _OlderStatistics(Form):
    n_permutations: int
    n_bootstraps: int
    block_rows: int
    scheme: str


class _SecondEncoding(_FirstEncoding):
    ceilings: list[str]
    other_subjects: list[_OfSubject]
    statistics: _OlderStatistics


# Specifications of versions before today's, as far as they are read.
_OLDER: dict[tuple[str, int], type[Form]] = {
    ("encoding", 1): _FirstEncoding,
    ("encoding", 2): _SecondEncoding,
}

_FORMS: dict[str, type[Form]] = {
    "encoding": _Encoding,
    "probing": _Probing,
    "tuning": _Tuning,
    "features": _Listed,
}


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Parameters
    ----------
    content : bytes
        Of the file.
    name : str
        Of the file, for the error.

    Raises
    ------
    ValueError
        The content is no UTF-8, no JSON, no object, or holds half a character; the text says which.
    """
    try:
        found = parse_json(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8") from error
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} is JSON, but no object")
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:  # half a character, written as an escape
        raise ValueError(f"{name} holds text that is no Unicode") from error
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; errors as :func:`parse_object`, and those of the disk."""
    _require_short(path.name, path.stat().st_size)
    return parse_object(path.read_bytes(), path.name)


def _require_short(name: str, n_bytes: int) -> None:
    """Refuse a record that is longer than any; a few deflated bytes may become gigabytes."""
    if n_bytes > _LONGEST_RECORD:
        raise ValueError(f"{name} is {n_bytes / 2**20:.0f} MB long, longer than any record")


def require(form: type[Form], content: dict[str, Any], *inside: str) -> None:
    """Raise ValueError, which names the fields, where ``content`` is not of a form.

    ``inside`` are the fields that the content itself is in, for the message.
    """
    try:
        form.model_validate(content)
    except ValidationError as error:
        raise ValueError(_told(error, *inside)) from error


def require_listed(kind: str, spec: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Raise ValueError, which names the fields, where a result of ``kind`` lacks what it must have.

    That is what lists show and, where it says today's version, all of its specification; fields
    that nobody knows yet are free. Results that belong to others (predictions, features of units)
    are in no list and may hold what they like.
    """
    if kind not in _FORMS:
        return
    require(_FORMS[kind], {"spec": spec, "provenance": provenance})
    version = version_of(kind, spec)
    if version != current_version(kind):
        older = None if version is None else _OLDER.get((kind, version))
        if older is not None:
            require(older, spec, "spec")
        return
    try:
        VERSIONED[kind].from_canonical(spec)
    except ValidationError as error:
        told = _told(error, "spec")
        if told:
            raise ValueError(told) from error


def _told(error: ValidationError, *inside: str) -> str:
    found = error.errors(include_url=False, include_input=False)
    known = [one for one in found if one["type"] != "extra_forbidden"]
    return "; ".join(f"{'.'.join(map(str, [*inside, *one['loc']]))}: {one['msg']}" for one in known)


RESULT_FILE = "result.nc"
SPEC_FILE = "spec.json"
PROVENANCE_FILE = "provenance.json"
CHECKSUM_FILE = "checksums.json"
_LONGEST_RECORD = 64 << 20
FILES = (RESULT_FILE, SPEC_FILE, PROVENANCE_FILE, CHECKSUM_FILE)
KEY = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Entry:
    """One result in a store.

    Attributes
    ----------
    kind, key : str
        What it is ("features", "encoding", "predictions", "regions", "unit-features", "probing")
        and the digest that names it.
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
        return open_netcdf(self.result_file)

    def read(self, name: str, first: int | None = None) -> NDArray[Any]:
        """Read one array, or what lies at one place of its first axis.

        Opening the file for it takes a millisecond; :meth:`open` looks at every variable.
        """
        with h5py.File(self.result_file, "r") as file:
            return np.asarray(file[name][() if first is None else first])


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
    try:
        # Of a folder that this account may not look into, Python 3.11 raises it.
        if not any((folder / name).exists() for name in FILES):
            return None
        if not KEY.fullmatch(folder.name):
            raise ValueError("the folder's name is no key")
        for name in (CHECKSUM_FILE, RESULT_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(errno.ENOENT, "no file", str(folder / name))
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
        _require_whole(folder / RESULT_FILE)
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:
        return _problem(error)
    return None


def _require_whole(path: Path) -> None:
    """Refuse arrays that lie in other files: no result is written so, and none is read."""
    if h5py.is_hdf5(path):
        with opened_hdf5(path) as file:
            try:
                refuse_other_files(file)
            except InputError as error:
                raise ValueError(error.message) from error


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


def require_kind(entry: Entry, kind: str) -> None:
    """Raise :class:`~braindash.errors.StoreError` for an entry of another kind."""
    if entry.kind != kind:
        raise StoreError(
            f"{entry.key} names {entry.kind}, not {kind}",
            hint="`braindash list` shows what each key names; `braindash.open_result` opens them.",
        )


def predictions_key(entry: Entry) -> str:
    """Return the key of the predictions that an encoding result was made from."""
    return predictions_key_of(entry)


def predictions_key_of(result: "Entry | StoredResult") -> str:
    """Return what :func:`predictions_key` does, of an entry or of the result that it holds."""
    return str(result.provenance.get("predictions", result.key))


# What an exported encoding result may have beside it.
_BESIDE = ("predictions", "surfaces")


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
    if set(members) != whole or not named:
        return []
    for name in members:
        if not name.endswith(RESULT_FILE):
            _require_short(name, archive.getinfo(name).file_size)
    named.sort(key=lambda head: head[0] in _BESIDE)
    result, *beside = named
    kinds = [kind for kind, _ in beside]
    if not set(kinds) <= set(_BESIDE) or len(set(kinds)) < len(kinds):
        return []
    if not beside:
        return named
    kind, key = result
    if kind != "encoding":
        return []
    told = parse_object(archive.read(f"{kind}/{key}/{PROVENANCE_FILE}"), PROVENANCE_FILE)
    predictions = dict(beside).get("predictions")
    if predictions is not None and told.get("predictions", key) != predictions:
        return []
    return [*beside, result]


@dataclass(frozen=True)
class StoredResult:
    """A result of one model, read from the store.

    Attributes
    ----------
    key : str
        The result's key in the store.
    folder : Path
        Its folder.
    spec, provenance : dict
        What was asked for; how it was made.
    dataset : xarray.Dataset
        The arrays, in memory.
    """

    kind: ClassVar[str]

    key: str
    folder: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]
    dataset: xr.Dataset

    @classmethod
    def load(cls, entry: Entry) -> Self:
        """Read the arrays of a store entry into memory.

        Raises
        ------
        StoreError
            The entry is of another kind, or this braindash does not understand what it says.
        """
        require_kind(entry, cls.kind)
        with entry.open() as dataset:
            loaded = dataset.load()
        spec, arrays = cls._as_today(entry.spec, loaded)
        return cls(entry.key, entry.folder, spec, entry.provenance, arrays)

    @classmethod
    def _as_today(
        cls, spec: dict[str, Any], dataset: xr.Dataset
    ) -> tuple[dict[str, Any], xr.Dataset]:
        """Put what a result says into the form of today's version; its numbers stay."""
        kind = VERSIONED[cls.kind]
        if older_version(cls.kind, spec):
            return spec, dataset
        # Every field, also those that the canonical form leaves out.
        try:
            whole = kind.from_canonical(spec).model_dump(mode="json")
        except ValidationError as error:
            raise StoreError(
                f"this braindash does not understand what a {cls.kind} result says: {error}",
                hint="Update braindash if a newer one made it; else compute it again.",
            ) from error
        return {"kind": kind.kind, **whole}, dataset

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.provenance["model"]["name"])

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.provenance["data"]["name"])

    @property
    def simulated(self) -> bool:
        """Whether the data were made by a generator instead of being recorded."""
        return bool(self.provenance["data"]["simulated"])

    @property
    def older(self) -> str:
        """How it was computed, where an older version did otherwise than today's; else empty."""
        return older_version(self.kind, self.spec)

    @property
    def n_layers(self) -> int:
        """Number of layers, the input of the first block included."""
        return int(self.dataset.sizes["layer"])


class Fingerprinted(Protocol):
    """A model, as provenance tells of it."""

    @property
    def name(self) -> str:
        """As users know it."""

    @property
    def fingerprint(self) -> str:
        """Digest of its configuration, normalisation and weights."""

    @property
    def revision(self) -> str | None:
        """Commit of a hub model, or version of a feature space."""


def common_provenance(
    model: Fingerprinted,
    strategy: StoredStrategy | None,
    data: str,
    simulated: bool,
    seconds: float,
) -> dict[str, Any]:
    """Describe a computation as JSON values.

    Parameters
    ----------
    model : Fingerprinted
        The model whose features they are.
    strategy : {"exact", "chunk", "frames"} or None
        How its features were made; None where no features are.
    data : str
        Name of the data set.
    simulated : bool
        Whether a generator made the data.
    seconds : float
        How long it took.

    Returns
    -------
    dict
    """
    how = {} if strategy is None else {"strategy": strategy}
    revision = {} if model.revision is None else {"revision": model.revision}
    return {
        **how,
        **made_here(seconds),
        "model": {"name": model.name, "fingerprint": model.fingerprint} | revision,
        "data": {"name": data, "simulated": simulated},
    }


def made_here(seconds: float) -> dict[str, Any]:
    """Say when, in how many seconds, on what machine and with which versions something was made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": dict(_versions()),
    }


@cache
def _versions() -> dict[str, str]:
    """Read the packages' versions, once in the life of a process: they lie in many small files."""
    versions = {"braindash": braindash.__version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "numpy", "scipy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions
