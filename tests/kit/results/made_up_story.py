"""A made-up result with a test story that can be played: sound, words, responses, predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from braindash.encoding.result import EncodingResult
from braindash.io.labels.textgrid import Interval
from braindash.io.predictions import PredictionFile, layer_part
from braindash.io.store import Store
from braindash.remembered.digests import digest_input
from kit.data.planted import loudness, wandering_sound
from kit.data.textgrids import write_textgrid
from kit.results.made_up import made_up_result

FEATURES = "f" * 32  # as made_up_spec names them
FIRST, TR, N_ROWS = 2.0, 2.0, 90
SCORED_FROM, CENSORED = 4, (40, 41)
SECONDS = FIRST + TR * N_ROWS
WORDS = tuple(Interval(2.0 * n + 0.5, 2.0 * n + 1.3, f"word{n}") for n in range(30))
MANIFEST = """
[dataset]
name = "made up"
audio_dir = "audio"
alignment_dir = "textgrids"
simulated = true
[timing]
tr = 2.0
first_volume = 1
[responses]
path = "responses/{subject}/{story}.npy"
zscored = "run"
space = "fsaverage5"
[[subjects]]
id = "S1"
[splits]
test = ["story"]
"""


@dataclass(frozen=True)
class MadeUpStory:
    """What was stored: the result, and the arrays of its predictions as they were written."""

    result: EncodingResult
    manifest: Path
    response: np.ndarray
    predictions: np.ndarray


def write_data(folder: Path, n_rows: int = N_ROWS) -> Path:
    """Write the data set of the story, with next to no responses; return the manifest."""
    seconds = FIRST + TR * n_rows
    for name in ("audio", "textgrids", "responses/S1"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sound = wandering_sound(loudness(seconds, 1), 1, 8000)
    soundfile.write(folder / "audio" / "story.flac", sound, 8000)
    write_textgrid(folder / "textgrids" / "story.TextGrid", {"words": WORDS}, seconds)
    np.save(folder / "responses" / "S1" / "story.npy", np.zeros((2, 2), dtype=np.float32))
    manifest = folder / "manifest.toml"
    manifest.write_text(MANIFEST)
    return manifest


def put_story(
    store: Store, data: Path, *, model="toy-model", seed=0, n_rows=N_ROWS, **options
) -> MadeUpStory:
    """Store a result whose story of so many rows can be played, and its data set in a folder.

    Every target's response is a slow course of its own, which layer ``l`` predicts the better the
    higher ``l`` is. Rows before ``SCORED_FROM`` and the censored ones are not scored.
    """
    manifest = data / "manifest.toml"
    if not manifest.exists():
        write_data(data, n_rows)
    made = made_up_result(model=model, seed=seed, **options)
    n_layers, n_targets = made.r.shape
    rng = np.random.default_rng(17)  # the response is the same with every model
    shared = rng.standard_normal((n_rows, 40)).astype(np.float32)
    response = shared[:, rng.integers(0, 40, n_targets)]
    noise = np.random.default_rng(100 + seed).standard_normal((n_rows, n_targets))
    shares = np.linspace(0.3, 0.8, n_layers)
    predictions = np.stack([a * response + 0.3 * (1 - a) * noise for a in shares])
    scored = np.arange(n_rows) >= SCORED_FROM
    scored[list(CENSORED)] = False
    response[list(CENSORED)] = np.nan
    predictions[:, :, ~made.valid] = np.nan
    provenance = made.provenance | {"data": {**made.provenance["data"], "manifest": str(manifest)}}
    store.put("encoding", made.key, spec=made.spec, provenance=provenance, dataset=made.dataset)
    _put_predictions(store, made, predictions, response, scored)
    _put_features(store, made, data, n_rows)
    result = EncodingResult.load(store.get("encoding", made.key))
    return MadeUpStory(result, manifest, response, predictions.astype(np.float32))


def _put_predictions(store, made, predictions, response, scored) -> None:
    parts = []
    for place, one in enumerate(predictions):
        scores = {"alpha": np.ones(one.shape[1])}
        part = layer_part(one.astype(np.float32), scores)
        parts.append(store.put_part("predictions", made.key, f"layer-{place}", part))
    file = PredictionFile(parts, response, scored, np.zeros(len(scored), dtype=int))
    store.put_file(
        "predictions",
        made.key,
        spec={**made.spec, "kind": "predictions"},
        provenance=made.provenance,
        write=file.write,
        n_bytes=file.n_bytes,
    )


def _put_features(store: Store, made: EncodingResult, data: Path, n_rows: int) -> None:
    """Store what names the features: when rows were acquired, and which recording was heard."""
    spec = {
        "kind": "features",
        "version": 1,
        "model": made.provenance["model"]["fingerprint"],
        "audio": digest_input(data / "audio" / "story.flac"),
        "times": {"first": FIRST, "tr": TR, "n_rows": n_rows},
        "strategy": "exact",
        "context_seconds": 16.1,
        "step_seconds": 1.0,
        "annotation": None,
        "resampler": "lanczos3",
    }
    provenance = made.provenance | {"story": "story"}
    if not store.has("features", FEATURES):
        small = made.dataset[["preferred_layer"]].isel(target=slice(0, 1))
        store.put("features", FEATURES, spec=spec, provenance=provenance, dataset=small)
