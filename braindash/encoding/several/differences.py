"""Tests of every target's difference of two models, made from their stored predictions."""

import time

import numpy as np
import xarray as xr

from braindash.core.statistics.permutation import benjamini_hochberg
from braindash.core.statistics.prewhitened import prewhitened_difference
from braindash.encoding.costs import TARGETS_AT_ONCE
from braindash.encoding.several.comparison import Difference
from braindash.encoding.several.tested import difference_spec
from braindash.io.entries import made_here, predictions_key_of
from braindash.io.predictions import PredictionReader
from braindash.io.store import Entry, Store
from braindash.progress import NoProgress, Progress


def compute_difference(
    pair: Difference, store: Store, progress: Progress | None = None
) -> Entry | None:
    """Compute, or look up, whether two models predict every target equally well.

    Parameters
    ----------
    pair : Difference
        Of one subject, of models of as many layers.
    store : Store
        Holds the predictions of both results, and keeps what is made.
    progress : Progress, optional
        Told of every block of targets, and may stop between two.

    Returns
    -------
    Entry or None
        With ``z``, ``p`` and ``q`` (layer, target); None without the predictions of both.

    Raises
    ------
    InputError
        When the targets cannot be tested.
    """
    spec, report = difference_spec(pair), progress or NoProgress()
    kept = store.get_or_none(spec.kind, spec.key())
    if kept is not None:
        return kept
    results = [pair.a.first, pair.b.first]
    entries = [store.get_or_none("predictions", predictions_key_of(one)) for one in results]
    if entries[0] is None or entries[1] is None:
        return None
    started = time.monotonic()
    n_layers, n_targets = results[0].r.shape
    z, p = np.full((2, n_layers, n_targets), np.nan)
    with entries[0].open() as first, entries[1].open() as second:
        a, b = PredictionReader(first), PredictionReader(second)
        for start in range(0, n_targets, TARGETS_AT_ONCE):
            columns = slice(start, min(start + TARGETS_AT_ONCE, n_targets))
            report.advance(start, n_targets, "tests of every target's difference")
            predicted, response = a.read(columns)
            found = prewhitened_difference(
                predicted,
                b.read(columns)[0],
                response,
                segments=a.segments,
                block_rows=results[0].spec["statistics"]["block_rows"],
            )
            z[:, columns], p[:, columns] = found
    arrays = {"z": z, "p": p, "q": benjamini_hochberg(p)}
    provenance = made_here(time.monotonic() - started) | {
        "model": results[0].provenance["model"],
        "minus": results[1].provenance["model"],
        "data": results[0].provenance["data"],
        "parents": [one.key for one in (*results, *entries) if one is not None],
    }
    dataset = xr.Dataset(
        {name: (("layer", "target"), one.astype(np.float32)) for name, one in arrays.items()}
    )
    return store.put(
        spec.kind, spec.key(), spec=spec.canonical(), provenance=provenance, dataset=dataset
    )
