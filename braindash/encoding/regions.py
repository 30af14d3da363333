"""Region means and their intervals as results of their own, made from the stored predictions.

An encoding result keeps the replicates of discs. Those of any other region set, and of a single
hemisphere, are computed when they are first asked for, with the same bootstrap draws, and kept
under a key of the result and the set: the result's own key does not move.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.encoding.result import EncodingResult
from braindash.encoding.seen import regions_spec, stored_regions
from braindash.encoding.statistics import MEANS_ONLY, ScoredRows, compute_statistics
from braindash.io.entries import made_here, predictions_key_of
from braindash.io.predictions import PredictionReader
from braindash.io.regions.masks import Regions
from braindash.io.store import Entry, Store
from braindash.progress import NoProgress, Progress
from braindash.specs import StatisticsSettings


def compute_regions(
    result: EncodingResult, regions: Regions, store: Store, progress: Progress | None = None
) -> Entry | None:
    """Compute, or look up, the bootstrap replicates of a result's means in a region set.

    Parameters
    ----------
    result : EncodingResult
        As it was loaded, in no region set.
    regions : Regions
        The set, on the result's targets.
    store : Store
        Holds the result's predictions, and keeps what is made.
    progress : Progress, optional
        Told of every block of targets, and may stop between two.

    Returns
    -------
    Entry or None
        None where nothing can be computed: without bootstraps, or without the predictions.
    """
    kept = stored_regions(result, regions, store)
    if kept is not None or not result.spec["statistics"]["n_bootstraps"]:
        return kept
    predictions = store.get_or_none("predictions", predictions_key_of(result))
    if predictions is None:
        return None
    started, spec = time.monotonic(), regions_spec(result, regions)
    masks, columns = _distinct(regions)
    settings = StatisticsSettings.model_validate(result.spec["statistics"])
    with predictions.open() as opened:
        reader = PredictionReader(opened)
        found = compute_statistics(
            ScoredRows(reader.read, reader.segments, result.r),
            masks,
            result.ceilings,
            settings.model_copy(update=MEANS_ONLY),
            chosen=result.chosen,
            progress=progress or NoProgress(),
        )
    sampled = [name for name in ("region_samples", "region_ceiling_samples") if name in found]
    dataset = found[sampled].drop_vars("region").rename(region="mean")
    dataset = dataset.assign(column=(("hemisphere", "region"), columns)).assign_coords(
        hemisphere=list(regions.hemispheres), region=list(regions.masks)
    )
    provenance = made_here(time.monotonic() - started) | {
        "model": result.provenance["model"],
        "data": result.provenance["data"],
        "parents": [result.key, predictions.key],
        "regions": regions.note,
    }
    return store.put(
        spec.kind, spec.key(), spec=spec.canonical(), provenance=provenance, dataset=dataset
    )


def _distinct(regions: Regions) -> tuple[Mapping[str, NDArray[Any]], NDArray[np.int32]]:
    """List every set of targets once, and say where each hemisphere and region find theirs.

    A parcel of one side is the same as of both: its replicates are kept once.

    Returns
    -------
    masks : dict of str to array of shape (n_targets,)
        Masks, or weights of painted regions, by the number of the mean.
    columns : int32 array of shape (n_hemispheres, n_regions)
        Number of the mean; -1 where a region has no target on that side.
    """
    masks: dict[bytes, NDArray[Any]] = {}
    places: dict[bytes, int] = {}
    columns = np.full((len(regions.hemispheres), len(regions.masks)), -1, dtype=np.int32)
    names = list(regions.masks)
    for row, hemisphere in enumerate(regions.hemispheres):
        for name, mask in regions.members(hemisphere).items():
            content = (np.packbits(mask) if mask.dtype == bool else mask).tobytes()
            masks.setdefault(content, mask)
            columns[row, names.index(name)] = places.setdefault(content, len(places))
    return {str(place): masks[content] for content, place in places.items()}, columns
