"""Results in another region set: looked up, computed here, or queued for the worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from braindash.encoding.result import EncodingResult
from braindash.encoding.seen import (
    is_stored_with,
    look_at,
    regions_for,
    regions_spec,
    stored_regions,
)
from braindash.errors import InputError
from braindash.io.entries import predictions_key_of
from braindash.io.regions.masks import Hemisphere, Regions
from braindash.io.store import REGIONS, Entry, Store
from braindash.jobs.queue import Job, JobQueue
from braindash.progress import Progress


def seen_in(
    result: EncodingResult,
    name: str | None,
    hemisphere: Hemisphere,
    store: Store,
    *,
    data: Path | str | None = None,
    progress: Progress | None = None,
) -> EncodingResult:
    """Look at a result in a region set; what is lacking is computed here, and kept.

    Parameters
    ----------
    result : EncodingResult
        As it was loaded.
    name : str or None
        The set; None: the usual one.
    hemisphere : {"both", "left", "right"}
        The side.
    store : Store
        Of the result.
    data : Path or str, optional
        The manifest, for its own regions.
    progress : Progress, optional
        Receives reports.
    """
    regions = regions_for(result, name, data)
    regions.of(hemisphere)  # refuses a side that is not known
    entry = None
    if not is_stored_with(result, regions, hemisphere):
        entry = computed(result, regions, store, progress)
    return look_at(result, regions, hemisphere, entry)


def computed(
    result: EncodingResult, regions: Regions, store: Store, progress: Progress | None = None
) -> Entry | None:
    """Compute, or look up, the replicates of a result in a set; None where that cannot be."""
    from braindash.encoding.regions import compute_regions  # what computes, when it is asked for

    return compute_regions(result, regions, store, progress)


def queue_regions(
    result: EncodingResult, regions: Regions, store: Store, data: Path | str | None = None
) -> Job | None:
    """Ask the worker for the replicates of a result in a set, once.

    Returns
    -------
    Job or None
        None where they are there already, or cannot be computed: without bootstraps or without the
        predictions. A job that failed or was cancelled is not queued again.
    """
    if not result.spec["statistics"]["n_bootstraps"]:
        return None
    if stored_regions(result, regions, store) is not None:
        return None
    if not store.has("predictions", predictions_key_of(result)):
        return None
    queue = JobQueue(store.root)
    key = regions_spec(result, regions).key()
    known = queue.table.find(key)
    if known is not None and known.state in ("failed", "cancelled"):
        return known
    document = {
        "result": result.key,
        "regions": regions.name,
        "data": None if data is None else str(data),
        "model": result.model,
        "subject": result.subject,
        "key": key,
    }
    title = f"Regions {regions.name}: {result.model}, {result.data}, {result.subject}"
    return queue.submit(REGIONS, key, document, title)


def run_queued_regions(
    document: Mapping[str, Any], store: Store, progress: Progress
) -> dict[str, Any]:
    """Do what :func:`queue_regions` asked for.

    Raises
    ------
    InputError
        When the files of the set have changed since, or are gone.
    """
    result = EncodingResult.load(store.get("encoding", str(document["result"])))
    regions = regions_for(result, str(document["regions"]), document["data"])
    spec = regions_spec(result, regions)
    if spec.key() != document["key"]:
        raise InputError(
            f"the files of the region set {regions.name!r} changed after the job was queued",
            hint="Nothing is lost: the page asks for the new regions by itself.",
        )
    computed(result, regions, store, progress)
    return {"kind": REGIONS, "keys": [spec.key()]}
