"""Checks of data sets as background work, whose reports are kept beside the results."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from braindash.checking.report import SCHEMA, DataReport
from braindash.checking.run import check_data
from braindash.errors import InputError
from braindash.files import digest_json, new_folder, parse_json, write_json
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.manifest import load_manifest
from braindash.io.store import Store
from braindash.jobs.queue import Job, JobQueue
from braindash.progress import Progress

logger = logging.getLogger(__name__)

CHECK = "check"
"""Name of the work."""
CHECKS = "checks"
"""Folder of the store that holds reports; no result depends on them."""

_REPORT, _CEILINGS = "report.json", "ceilings.npz"
_MOST_REPORTS = 64
# Raised when the same files would be judged otherwise.
_VERSION = 1


def check_key(dataset: Dataset, subjects: Sequence[str]) -> str:
    """Name a check: the manifest, and sizes and times of all files that it would read.

    Parameters
    ----------
    dataset : Dataset
    subjects : sequence of str
        Whom it is of.
    """
    files = sorted({str(path) for name in subjects for path in _files(dataset, name)})
    return digest_json(
        {
            "version": [SCHEMA, _VERSION],
            "manifest": str(dataset.path),
            "tables": dataset.tables.model_dump(mode="json"),
            "subjects": list(subjects),
            "files": [_identity(path) for path in files],
        }
    )


def _files(dataset: Dataset, subject: str) -> Iterator[Path]:
    for story in dataset.known_stories:
        try:
            yield dataset.audio_path(story, subject)
        except InputError:
            continue  # another subject's own story
        for path in dataset.response_paths(subject, story):
            yield path
            yield path.parent  # what is added to it
    ceiling = dataset.noise_ceiling_path(subject)
    if ceiling is not None:
        yield ceiling


def _identity(path: str) -> list[Any]:
    try:
        status = os.stat(path)
    except OSError:
        return [path]
    return [path, status.st_size, status.st_mtime_ns]


def queue_check(dataset: Dataset, subjects: Sequence[str], store: Store) -> Job:
    """Ask the worker for a check; the same one twice is one job.

    Parameters
    ----------
    dataset : Dataset
    subjects : sequence of str
        Whom to check.
    store : Store
        Keeps the report.
    """
    whom = subjects[0] if len(subjects) == 1 else f"{len(subjects)} subjects"
    document = {"data": str(dataset.path), "subjects": list(subjects)}
    return JobQueue(store.root).submit(
        CHECK, check_key(dataset, subjects), document, f"Check of {dataset.name}, {whom}"
    )


def run_queued_check(
    document: Mapping[str, Any], store: Store, progress: Progress
) -> dict[str, Any]:
    """Do what :func:`queue_check` asked for, with the files as they are now."""
    dataset = load_manifest(str(document["data"]))
    subjects = [str(name) for name in document["subjects"]]
    key = check_key(dataset, subjects)
    if kept_report(key, store) is None:
        _keep(check_data(dataset, subjects, progress=progress), key, store)
    return {"kind": CHECKS, "keys": [key]}


def kept_report(key: str, store: Store) -> DataReport | None:
    """Return the report of a check; None where there is none, or it cannot be read."""
    place = store.root / CHECKS / key / _REPORT
    if not place.is_file():
        return None
    try:
        return DataReport.from_dict(parse_json(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("the report %s cannot be read, and is made again: %s", place, error)
        shutil.rmtree(place.parent, ignore_errors=True)
        return None


def kept_ceilings(key: str, subject: str, store: Store) -> np.ndarray | None:
    """Return a subject's noise ceilings of all targets, float32; None where they were not read."""
    place = store.root / CHECKS / key / _CEILINGS
    if not place.is_file():
        return None
    try:
        with np.load(place, allow_pickle=False) as found:
            return np.asarray(found[subject]) if subject in found.files else None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("the noise ceilings %s cannot be read: %s", place, error)
        return None


def _keep(report: DataReport, key: str, store: Store) -> None:
    folder = store.root / CHECKS / key
    shutil.rmtree(folder, ignore_errors=True)
    ceilings = {one.subject: one.ceilings for one in report.subjects if one.ceilings is not None}
    with new_folder(folder) as partial:
        write_json(partial / _REPORT, report.as_dict())
        if ceilings:
            with (partial / _CEILINGS).open("wb") as stream:
                np.savez_compressed(stream, **ceilings)  # type: ignore[arg-type]
    others = sorted(folder.parent.glob("*/"), key=lambda one: one.stat().st_mtime)
    for old in others[:-_MOST_REPORTS]:
        shutil.rmtree(old, ignore_errors=True)
