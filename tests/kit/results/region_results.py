"""An encoding result on fsaverage5 with its predictions, as a run leaves them, in a second."""

import numpy as np
import xarray as xr

from braindash.core.scores import pearson_r
from braindash.encoding.result import EncodingResult
from braindash.encoding.statistics import ScoredRows, compute_statistics
from braindash.files import digest_json
from braindash.io.predictions import PredictionFile, PredictionReader, layer_part
from braindash.io.regions.masks import named_masks
from braindash.io.store import Store
from braindash.specs import StatisticsSettings
from kit.results.made_up import CEILINGS, N_TARGETS, made_up_spec

N_ROWS, N_LAYERS, N_BOOTSTRAPS = 90, 2, 20
STATISTICS = StatisticsSettings(n_permutations=0, n_bootstraps=N_BOOTSTRAPS)
_MADE: dict[str, tuple] = {}


def _arrays(seed: int):
    """Draw predictions of two layers and responses; the first 40 targets have no response."""
    rng = np.random.default_rng(seed)
    response = rng.normal(size=(N_ROWS, N_TARGETS)).astype(np.float32)
    response[:, :40] = 0.0
    strength = rng.uniform(0, 0.8, (N_LAYERS, 1, N_TARGETS))
    noise = rng.normal(size=(N_LAYERS, N_ROWS, N_TARGETS))
    tops = rng.uniform(0.3, 0.9, (len(CEILINGS), N_TARGETS)).astype(np.float32)
    return (strength * response + noise).astype(np.float32), response, tops


def put_predicted(
    store: Store,
    *,
    model: str = "toy",
    subject: str = "S1",
    seed: int = 0,
    manifest: str | None = None,
    **spec_changes,
) -> EncodingResult:
    """Store a result and its predictions; gives the result as it is loaded."""
    spec = made_up_spec(subject, "fsaverage5", ceiling=True, statistics=True)
    spec = spec.model_copy(update={"statistics": STATISTICS, **spec_changes}).canonical()
    key = digest_json([spec, model, seed])
    fit_key = digest_json(["predictions", key])
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "seconds": 1.0,
        "versions": {"braindash": "0.1.0"},
        "strategy": "exact",
        "model": {"name": model, "fingerprint": digest_json(model)},
        "data": {"name": "made up", "simulated": True},
        "warnings": [],
        "predictions": fit_key,
    }
    if manifest is not None:
        provenance["data"]["manifest"] = manifest
    predictions, response, tops = _arrays(seed)
    files = [_layer(store, fit_key, i, layer, response) for i, layer in enumerate(predictions)]
    scored, segment = np.ones(N_ROWS, dtype=bool), np.zeros(N_ROWS, dtype=int)
    file = PredictionFile(files, response, scored, segment)
    entry = store.put_file(
        "predictions", fit_key, spec={}, provenance=provenance, write=file.write, n_bytes=1
    )
    with entry.open() as opened:
        reader = PredictionReader(opened)
        scores = opened[["r", "alpha", "cv_score"]].load()
        statistics = compute_statistics(
            ScoredRows(reader.read, reader.segments, scores["r"].values),
            named_masks("fsaverage5", N_TARGETS),
            dict(zip(CEILINGS, tops, strict=True)),
            STATISTICS,
        )
    scores = scores.assign(ceiling=(("ceiling_kind", "target"), tops))
    scores = scores.assign_coords(ceiling_kind=list(CEILINGS))
    dataset = xr.merge([scores, statistics])
    stored = store.put("encoding", key, spec=spec, provenance=provenance, dataset=dataset)
    return EncodingResult.load(stored)


def _layer(store, key, number, prediction, response):
    r = pearson_r(prediction, response)
    scores = {"r": r, "alpha": np.ones_like(r), "cv_score": r / 2}
    part = layer_part(prediction, scores)
    return store.put_part("predictions", key, f"layer-{number:03d}", part)
