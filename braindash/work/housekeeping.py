"""What a store holds, what of it can go, and what it would cost to have it again.

Results stay until somebody names them. What was made on the way to results can be made again: it is
listed with the time that it took, and goes when it is asked for by its kind.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from braindash.errors import InputError, StoreError, near_match
from braindash.files import is_number
from braindash.io.entries import PROVENANCE_FILE, SPEC_FILE, Entry, predictions_key, read_object
from braindash.io.store import Store
from braindash.io.surface_links import SURFACES, linked_surface
from braindash.jobs.shared import FOLDER, SharedJobs
from braindash.process import is_running, process_mark
from braindash.sharing.asking import require_runner

LEFTOVERS: Mapping[str, str] = MappingProxyType(
    {
        "quarantine": "damaged results that were set aside",
        "tmp": "what stopped programs were writing",
    }
)
"""Folders that nothing reads any more, and what is in them."""

REMADE: Mapping[str, str] = MappingProxyType(
    {
        "frames": "outputs of models, for further features of the same sound",
        "features": "features of stories, for further results",
        "unit-features": "features of words and phones, for further probes",
        "sounds": "predictions for sounds of visitors",
        "parts": "parts of results that are not whole yet: the runs would start anew",
    }
)
"""Kinds that results do not need once they are there; they are computed again when they are."""

ENDED: Mapping[str, str] = MappingProxyType(
    {FOLDER: "jobs that several machines share, and what their workers said"}
)
"""Folders of which goes what is over: done, failed or cancelled a day ago or longer."""

_NEEDED: Mapping[str, str] = MappingProxyType(
    {
        "encoding": "encoding results",
        "probing": "probing results",
        "tuning": "records of tuned models",
        "models": "tuned models",
        "predictions": "predictions of encoding results, for maps, regions and the page Story",
        "weights": "regression weights that were kept for other sounds",
        "regions": "region tables of encoding results",
        "difference": "tests between encoding results",
        "surfaces": "surface maps of own meshes",
        "demo": "data of the embedded demo",
        "studies": "what studies ask for",
        "checks": "reports on data sets",
        "jobs": "the queue of background jobs, and what they said",
        "heard": "sounds of visitors, until their predictions are made",
    }
)
# Where programs write: what is young may be of one that runs, perhaps on another machine.
_WRITTEN_TO = ("tmp", "parts", *ENDED)
_OVER = ("done", "failed", "cancelled")
_LEFT_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Share:
    """What one folder of a store takes.

    Attributes
    ----------
    name : str
        Of the folder.
    what : str
        What is in it, in words.
    n : int
        Entries in it.
    n_bytes : int
    seconds : float
        That computing all of it took, by its own record.
    """

    name: str
    what: str
    n: int
    n_bytes: int
    seconds: float


@dataclass(frozen=True)
class Item:
    """One thing of a store that may go.

    Attributes
    ----------
    place : Path
    what : str
        Its kind and name.
    n_bytes : int
    seconds : float
        That it took to compute; 0 where nobody would compute it again.
    """

    place: Path
    what: str
    n_bytes: int
    seconds: float


def shares(store: Store) -> list[Share]:
    """List the folders of a store by their size, the largest first.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Share
    """
    told = {**_NEEDED, **ENDED, **REMADE, **LEFTOVERS}
    found = []
    for folder in sorted(store.root.glob("*/")):
        items = [_item(place) for place in _things(folder)]
        found.append(
            Share(
                folder.name,
                told.get(folder.name, "other files"),
                len(items),
                sum(item.n_bytes for item in items),
                sum(item.seconds for item in items),
            )
        )
    return sorted(found, key=lambda share: -share.n_bytes)


def prunable(
    store: Store, kinds: Collection[str] = tuple(LEFTOVERS), older_than: float = 0.0
) -> list[Item]:
    """List what :func:`remove` may take of some kinds without any result being lost.

    Parameters
    ----------
    store : Store
    kinds : collection of str
        Of :data:`LEFTOVERS`, :data:`REMADE` and :data:`ENDED`; the first by default.
    older_than : float, default 0
        Days since it was written or used for the last time to be told by the file system.

    Returns
    -------
    list of Item
        What programs write to at the moment is not among them, nor what they wrote within a day:
        nobody can tell whether one on another machine still runs.

    Raises
    ------
    InputError
        A kind is unknown, or is needed.
    """
    allowed = (*LEFTOVERS, *REMADE, *ENDED)
    for kind in kinds:
        if kind not in allowed:
            raise InputError(
                f"{kind!r} is nothing that can be pruned", hint=near_match(kind, allowed)
            )
    before = time.time() - older_than * 24 * 3600.0
    found = []
    for kind in dict.fromkeys(kinds):
        things = _over(store) if kind in ENDED else _things(store.root / kind)
        places = [place for place in things if _written(place) <= before]
        found += [_item(place) for place in places if kind not in _WRITTEN_TO or not _in_use(place)]
    return found


def belongings(store: Store, entry: Entry) -> list[Item]:
    """List a result and what is kept for it alone: predictions, regions, weights, differences.

    Parameters
    ----------
    store : Store
    entry : Entry
        Of any listed kind.

    Returns
    -------
    list of Item
        The result last, so that what is left of an interrupted removal is still a result.

    Raises
    ------
    StoreError
        The entry is a tuned model's record: its folder is a model that others may use.
    """
    if entry.kind == "tuning":
        raise StoreError(
            f"{entry.key[:8]} is the record of a tuned model",
            hint=f"Remove its folder yourself, where nobody needs the model: "
            f"{store.root / str(entry.provenance.get('model_folder'))}",
        )
    places: list[Path] = []
    if entry.kind == "encoding":
        others = [one for one in store.entries("encoding") if one.key != entry.key]
        mine = {entry.key}
        predictions = predictions_key(entry)
        if predictions not in {predictions_key(one) for one in others}:
            mine.add(predictions)
            places.append(store.folder("predictions", predictions))
        surface = linked_surface(store.root, entry)
        if surface and surface not in {linked_surface(store.root, one) for one in others}:
            places.append(store.folder(SURFACES, surface))
        for kind, fields in (("difference", ("a", "b")), ("regions", ("result",))):
            places += _naming(store.root / kind, fields, mine)
        weights = _naming(store.root / "weights", ("fit",), mine)
        places += _naming(store.root / "sounds", ("weights",), {one.name for one in weights})
        places += weights
    return [_item(place) for place in (*places, entry.folder) if place.exists()]


def remove(store: Store, items: Collection[Item]) -> int:
    """Take things out of a store; each is gone at once for whoever lists it.

    Parameters
    ----------
    store : Store
    items : collection of Item
        Of :func:`prunable` or :func:`belongings`.

    Returns
    -------
    int
        Bytes that became free.

    Raises
    ------
    StoreError
        Something may not be removed; what came before it is gone.
    """
    require_runner("remove results")
    free = 0
    for number, item in enumerate(items):
        if not item.place.resolve().is_relative_to(store.root):
            raise StoreError(
                f"{item.place} is not in the store {store.root}", hint="Remove it yourself."
            )
        leaving = store.root / "tmp" / f"{process_mark()}-leaving-{number}-{time.time_ns()}"
        try:
            leaving.parent.mkdir(exist_ok=True)
            os.rename(item.place, leaving)
            shutil.rmtree(leaving) if leaving.is_dir() else leaving.unlink()
        except FileNotFoundError:
            continue  # somebody else was first
        except OSError as error:
            raise StoreError(
                f"{item.place} cannot be removed: {error}",
                hint="Check who owns the store, and that it may be written to.",
            ) from error
        free += item.n_bytes
    return free


# ---- inner workings ---------------------------------------------------------------------------


def _things(folder: Path) -> Iterator[Path]:
    """Yield what is one thing in a folder of a store: parts lie by kind and key."""
    if folder.name == "parts":
        yield from sorted(folder.glob("*/*/"))
    elif folder.is_dir():
        yield from sorted(folder.iterdir())


def _over(store: Store) -> list[Path]:
    """List the folders of shared jobs that nobody works on any more, nor waits for."""
    jobs = SharedJobs(store.root).list()
    return [store.root / FOLDER / job.key for job in jobs if job.state in _OVER]


def _item(place: Path) -> Item:
    return Item(place, f"{place.parent.name} {place.name}", _size(place), _seconds(place))


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() and not place.is_symlink() else iter([place])
    return sum(_status_size(one) for one in files)


def _status_size(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:  # gone meanwhile
        return 0
    return status.st_blocks * 512 if path.is_file() else 0


def _seconds(place: Path) -> float:
    """Say how long it took to compute something, by its own record."""
    try:
        told = read_object(place / PROVENANCE_FILE).get("seconds")
    except (OSError, ValueError):
        return 0.0
    return max(0.0, float(told)) if is_number(told) else 0.0


def _written(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _in_use(place: Path) -> bool:
    """Say whether the program that writes something may still run."""
    running = is_running(place.name)
    return time.time() - _written(place) < _LEFT_SECONDS if running is None else running


def _naming(folder: Path, fields: Collection[str], keys: Collection[str]) -> list[Path]:
    """List the entries of a folder whose specification names one of some keys."""
    found = []
    for place in sorted(folder.glob("*/")):
        try:
            spec = read_object(place / SPEC_FILE)
        except (OSError, ValueError):
            continue  # damaged: whoever reads it next sets it aside
        if any(spec.get(field) in keys for field in fields):
            found.append(place)
    return found
