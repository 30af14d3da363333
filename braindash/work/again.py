"""Computes a result again from its record, and compares the numbers with those that are stored.

A stored result is never overwritten: it is computed anew in a store of its own inside the store,
``ROOT/rerun/KEY``, which is kept while the run is under way and where the numbers differ. What is
damaged, or gone and known from the quarantine, is computed into its own place.
"""

import difflib
import logging
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import ValidationError

from braindash.errors import BraindashError, InputError, StoreError
from braindash.io.asked import Asked, read_asked
from braindash.io.entries import (
    PROVENANCE_FILE,
    RESULT_FILE,
    SPEC_FILE,
    DamagedEntry,
    damage,
    read_object,
)
from braindash.io.netcdf import open_netcdf
from braindash.io.store import Entry, Store
from braindash.names import given_path
from braindash.parts import carry_out
from braindash.progress import NoProgress, Progress, said_once
from braindash.requests import Request, build_request
from braindash.work.changes import changes_between
from braindash.work.kinds import KINDS, PLANNING, RESULTS, planned

logger = logging.getLogger(__name__)

RERUN = "rerun"
"""Folder of a store in which results are computed again."""
TOLERANCE = 1e-4
"""Largest difference that other rounding explains: another machine adds in another order."""
_QUARANTINE = "quarantine"
# Shared with the main store when features are taken as they are.
_FEATURES = ("features", "frames", "unit-features")
_PATHS = ("data", "labels_path", "categories", "word_vectors", "words")


@dataclass(frozen=True)
class Kept:
    """What is left of a result: where, in which state, and what it says of itself.

    Attributes
    ----------
    kind, key : str
    folder : Path
    problem : str
        Why it cannot be read; empty for a whole result.
    spec, provenance : dict
        Empty where they cannot be read.
    """

    kind: str
    key: str
    folder: Path
    problem: str
    spec: dict[str, Any]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Again:
    """A result that can be computed again.

    Attributes
    ----------
    kept : Kept
        What is left of it.
    request : Request
        What it was asked for with.
    plan : Any
        The same, planned with today's files.
    notes : tuple of str
        What is otherwise than it was and changes nothing, such as a comment in the manifest.
    """

    kept: Kept
    request: Request
    plan: Any
    notes: tuple[str, ...] = ()

    def on(self, device: str, threads: int | None) -> "Again":
        """Return the same, computed on a device and so many cores."""
        changed = {"device": device, "threads": threads}
        request = build_request(type(self.request), **self.request.model_dump() | changed)
        return replace(self, request=request, plan=replace(self.plan, request=request))

    def as_dict(self) -> dict[str, Any]:
        """Return what would be done, as JSON has it."""
        return {
            "kind": self.kept.kind,
            "key": self.kept.key,
            "damaged": self.kept.problem or None,
            "request": self.request.model_dump(mode="json"),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Say what would be done."""
        kept = self.kept
        where = (
            "is stored; it is computed beside it and compared"
            if not kept.problem
            else f"is damaged ({kept.problem}); it is computed into its place"
        )
        title = KINDS[self.request.command].title(self.plan)
        return [f"{title}", f"{kept.kind} {kept.key} {where}", *self.notes]


@dataclass(frozen=True)
class Compared:
    """How the numbers of a rerun stand to those that are stored.

    Attributes
    ----------
    key : str
    differences : dict of str to float
        Largest absolute difference of every array; infinite where shape or missing values differ.
        Empty where nothing was stored to compare with.
    folder : Path or None
        Where the new numbers are, if they are kept.
    """

    key: str
    differences: dict[str, float] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def identical(self) -> bool:
        """Whether all numbers are the same to the last bit."""
        return all(gap == 0 for gap in self.differences.values())

    @property
    def equal(self) -> bool:
        """Whether no number differs by more than rounding explains."""
        return all(gap <= TOLERANCE for gap in self.differences.values())

    def as_dict(self) -> dict[str, Any]:
        """Return what came out, as JSON has it; an infinite difference is written as text."""
        gaps = {name: gap if np.isfinite(gap) else "other shape or missing values"
                for name, gap in self.differences.items()}  # fmt: skip
        return {
            "key": self.key,
            "compared": bool(self.differences),
            "identical": self.identical,
            "equal": self.equal,
            "differences": gaps,
            "kept_in": None if self.folder is None else str(self.folder),
        }

    def lines(self) -> list[str]:
        """Say what came out."""
        if not self.differences:
            return [f"{self.key} was computed again; there was nothing whole to compare it with"]
        if self.identical:
            return [f"{self.key}: every number of {len(self.differences)} arrays is the same"]
        gaps = ", ".join(
            f"{name} by {gap:.2g}" for name, gap in self.differences.items() if gap > 0
        )
        verdict = (
            f"equal but for rounding (at most {TOLERANCE:g})"
            if self.equal
            else f"NOT equal: the new numbers are kept in {self.folder}, the stored ones stay"
        )
        return [f"{self.key}: {verdict}; largest differences: {gaps}"]


# ---- what is left of a result ----------------------------------------------------------------


def find_kept(store: Store, prefix: str) -> Kept:
    """Find what is left of a result: stored, damaged, or moved to the quarantine.

    Raises
    ------
    StoreError
        No result or several begin with ``prefix``, or what it names is no result of its own.
    """
    try:
        return _whole(store.find(prefix), store)
    except StoreError as error:
        found = [*_damaged(store, prefix), *_quarantined(store, prefix)]
        if len({one.key for one in found}) != 1:
            raise
        logger.info("%s", error.message)
        return found[0]


def _whole(entry: Entry, store: Store) -> Kept:
    if entry.kind not in RESULTS:
        raise StoreError(
            f"{entry.key} names {entry.kind}, which are computed with the results made of them",
            hint="Give the key of an encoding, probing or tuning result: `braindash list`.",
        )
    problem = damage(entry.kind, entry.folder) or _lost_model(entry, store)
    return Kept(entry.kind, entry.key, entry.folder, problem, entry.spec, entry.provenance)


def _lost_model(entry: Entry, store: Store) -> str:
    """Say why a tuned model cannot be opened, though its entry can; else empty."""
    if entry.kind != "tuning":
        return ""
    try:
        RESULTS[entry.kind].load(entry, store)
    except StoreError as error:
        return error.message
    return ""


def _damaged(store: Store, prefix: str) -> list[Kept]:
    return [
        _remains(one.kind, one.key, one.folder, one.problem)
        for one in store.damaged()
        if isinstance(one, DamagedEntry)
        and one.kind in RESULTS
        and len(prefix) >= 4
        and one.key.startswith(prefix)
    ]


def _quarantined(store: Store, prefix: str) -> list[Kept]:
    """List what of a result lies in quarantine, the newest first."""
    found = []
    for folder in sorted((store.root / _QUARANTINE).glob("*/"), reverse=True):
        kind, _, rest = folder.name.partition("-")
        key, _, _ = rest.rpartition("-")
        is_named = kind in RESULTS and len(prefix) >= 4 and key.startswith(prefix)
        if is_named:
            found.append(_remains(kind, key, folder, "it is in quarantine"))
    return found


def _remains(kind: str, key: str, folder: Path, problem: str) -> Kept:
    def read(name: str) -> dict[str, Any]:
        try:
            return read_object(folder / name)
        except (OSError, ValueError) as error:
            logger.info("%s of %s cannot be read: %s", name, key, error)
            return {}

    return Kept(kind, key, folder, problem, read(SPEC_FILE), read(PROVENANCE_FILE))


# ---- planning it again -----------------------------------------------------------------------


def plan_again(
    store: Store, prefix: str, paths: Mapping[str, str] | None = None, model: str | None = None
) -> Again:
    """Plan a result again from its record, and see that it means what it meant.

    Parameters
    ----------
    store : Store
        Holds the result, or what is left of it.
    prefix : str
        Start of its key.
    paths : mapping of str to str, optional
        Where data lie now, by field of the request: data, labels_path, categories, ...
    model : str, optional
        Where the model lies now.

    Returns
    -------
    Again

    Raises
    ------
    StoreError
        There is no such result, or it has no record of its request.
    InputError
        Data or model are not there, or are others than they were: the error says which.
    """
    kept = find_kept(store, prefix)
    asked = _record_of(kept)
    request = _request(kept, asked, paths or {}, model)
    try:
        plan = planned(request, store)
    except BraindashError as error:
        raise InputError(
            f"{kept.key} cannot be computed again: {error.message}",
            hint=f"{error.hint} Where data or model lie elsewhere now, give --data and --model "
            "(paths, model); --write-manifest FILE writes the manifest as it was.",
        ) from error
    if plan.spec.key() != kept.key:
        raise _changed(kept, plan, _manifest_notes(asked, plan))
    return Again(kept, plan.request, plan, tuple(_manifest_notes(asked, plan)))


def record_of(store: Store, prefix: str) -> Asked:
    """Return the record of a result's request; StoreError where it has none."""
    return _record_of(find_kept(store, prefix))


def _record_of(kept: Kept) -> Asked:
    try:
        asked = read_asked(kept.provenance)
    except ValueError as error:
        raise StoreError(
            f"the record of {kept.key} cannot be read: {error}", hint="Ask for the result anew."
        ) from error
    if asked is not None and asked.command == RESULTS[kept.kind].request.command:
        return asked
    command = RESULTS[kept.kind].request.command
    model = kept.provenance.get("model", {}).get("name", "MODEL")
    manifest = kept.provenance.get("data", {}).get("manifest", "MANIFEST")
    raise StoreError(
        f"{kept.key} has no record of its request: it was computed before records were kept, or "
        "its provenance is gone",
        hint=f"Ask for it by hand: `braindash {command} --data {shlex.quote(str(manifest))} "
        f"--model {shlex.quote(str(model))} ...`; with the settings that "
        f"`spec.json` in {kept.folder} says it gets the same key.",
    )


def _request(kept: Kept, asked: Asked, paths: Mapping[str, str], model: str | None) -> Request:
    form = KINDS[asked.command].request
    unknown = sorted(set(paths) - {name for name in _PATHS if name in form.model_fields})
    if unknown:
        allowed = ", ".join(name for name in _PATHS if name in form.model_fields)
        raise InputError(
            f"a {kept.kind} result has no path {', '.join(unknown)}", hint=f"Allowed: {allowed}."
        )
    moved = {name: str(given_path(path, exact=True).resolve()) for name, path in paths.items()}
    fields = asked.request | moved
    if model is not None:
        fields |= {"model": model, "revision": None}
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise StoreError(
            f"this braindash does not understand the record of {kept.key}: "
            f"{'; '.join(one['msg'] for one in error.errors(include_url=False))}",
            hint="Update braindash if a newer one made it; else ask for the result anew.",
        ) from error


def _manifest_notes(asked: Asked, plan: Any) -> list[str]:
    """Say how today's manifest differs from the one of the record."""
    text = getattr(plan, "manifest_text", None)
    if text is None and getattr(plan, "dataset", None) is not None:
        text = plan.dataset.text
    if asked.manifest is None or text is None or text == asked.manifest:
        return []
    was, now = (one.splitlines() for one in (asked.manifest, text))
    lines = [line for line in difflib.unified_diff(was, now, lineterm="", n=0)
             if not line.startswith(("---", "+++", "@@"))]  # fmt: skip
    shown = lines[:12] + [f"... {len(lines) - 12} more lines"] * (len(lines) > 12)
    return ["the manifest is not what it was: " + "; ".join(shown)]


def _changed(kept: Kept, plan: Any, notes: list[str]) -> InputError:
    changes = changes_between(kept.spec, plan.spec.canonical())
    was = kept.provenance.get("model", {}).get("fingerprint")
    if was and was != plan.model.fingerprint:
        changes.insert(0, f"the model's weights or configuration ({was[:6]} -> "
                          f"{plan.model.fingerprint[:6]})")  # fmt: skip
    told = "; ".join([*(changes or ["what it was computed from"]), *notes])
    return InputError(
        f"{kept.key} cannot be computed again: it would be another result now. Changed: {told}",
        hint="Put the files back, or give --data and --model of those that it was computed from. "
        "Ask for it anew to get the result of today's files beside it.",
    )


# ---- computing it again ----------------------------------------------------------------------


def run_again(
    again: Again, store: Store, progress: Progress | None = None, *, keep_features: bool = False
) -> Compared:
    """Compute a result again; a whole stored one stays, whatever comes out.

    Parameters
    ----------
    again : Again
        From :func:`plan_again`.
    store : Store
        Holds the result.
    progress : Progress, optional
        Receives reports.
    keep_features : bool, default False
        Take stored features as they are, and compute only what is made of them.

    Returns
    -------
    Compared
    """
    report = progress or NoProgress()
    report.advance(0, 1, PLANNING)
    kept = again.kept
    if kept.problem:
        _make_room(kept, store)
        _compute(again, store, report)
        return Compared(kept.key)
    beside = store.root / RERUN / kept.key
    place = Store(beside)
    if keep_features:
        _share_features(store.root, beside)
    _compute(again, place, report)
    made = place.get(kept.kind, kept.key)
    gaps = differences(_arrays(kept.folder), _arrays(made.folder))
    found = Compared(kept.key, gaps, beside)
    if not found.equal:
        return found
    shutil.rmtree(beside)
    return Compared(kept.key, gaps)


def _compute(again: Again, store: Store, progress: Progress) -> None:
    with said_once():
        run = KINDS[again.request.command].start(again.plan, store)
        carry_out([run], progress, cores=again.request.threads, device=again.request.device)


def _make_room(kept: Kept, store: Store) -> None:
    """Move a damaged result away: what lies in its place would stay otherwise."""
    if kept.folder == store.folder(kept.kind, kept.key) and damage(kept.kind, kept.folder):
        store.set_aside(kept.kind, kept.key)


def _share_features(root: Path, beside: Path) -> None:
    beside.mkdir(parents=True, exist_ok=True)
    for name in _FEATURES:
        (root / name).mkdir(parents=True, exist_ok=True)
        if not (beside / name).exists():
            (beside / name).symlink_to(root / name, target_is_directory=True)


def _arrays(folder: Path) -> xr.Dataset:
    with open_netcdf(folder / RESULT_FILE) as opened:
        return opened.load()


def differences(stored: xr.Dataset, made: xr.Dataset) -> dict[str, float]:
    """Return the largest absolute difference of every array of two results.

    Returns
    -------
    dict of str to float
        Infinite where one of them lacks the array, or shape or missing values differ.
    """
    names = dict.fromkeys(map(str, [*stored.variables, *made.variables]))
    return {
        name: _gap(stored[name].values, made[name].values)
        if name in stored.variables and name in made.variables
        else float("inf")
        for name in names
    }


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(one, other) else float("inf")
    a, b = one.astype(np.float64), other.astype(np.float64)
    known = np.isfinite(a)
    if not np.array_equal(known, np.isfinite(b)) or not np.array_equal(
        a[~known], b[~known], equal_nan=True
    ):
        return float("inf")
    return float(np.abs(a[known] - b[known]).max(initial=0.0))
