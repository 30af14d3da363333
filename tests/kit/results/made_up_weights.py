"""Weights of a made-up result: what is predicted by them is computed as of any other."""

import numpy as np

from braindash.encoding.result import EncodingResult
from braindash.io.entries import predictions_key_of
from braindash.io.store import Store
from braindash.io.weights import WEIGHTS, WeightsFile, halved
from braindash.specs import WeightsSpec
from braindash.speech.checkpoints.locate import locate

DELAYS, TR = (1, 2, 3, 4), 2.0


def put_weights(store: Store, result: EncodingResult, layer: int, seed: int = 0) -> str:
    """Keep weights on loudness (``acoustic:energy``); return their key."""
    model = locate("acoustic:energy")
    rng = np.random.default_rng(seed)
    shape = len(DELAYS), 1, result.n_targets
    weights = rng.normal(0.3, 0.2, shape).astype(np.float32)
    offset = np.zeros(result.n_targets)
    spec = WeightsSpec(fit=predictions_key_of(result), layer=layer)
    told = {
        "model": {
            "name": result.model,
            "source": model.source,
            "fingerprint": model.fingerprint,
            "precision": "float32",
            "revision": None,
        },
        "data": {"name": result.data, "simulated": result.simulated},
        "result": result.key,
        "fit": {
            "tr": TR,
            "delays": list(DELAYS),
            "high_pass": None,
            "strategy": "chunk",
            "precision": "float32",
            "units": "standard deviations of the target's response over a story",
            "space": result.space,
            "subject": result.subject,
            "members": [],
            "n_targets": result.n_targets,
            "n_layers": result.n_layers,
        },
        "trained_on": {"stories": ["one", "two"], "minutes": 21.0},
        "float16": {"share_median": 1e-4, "share_largest": 3e-4, "largest": 1e-3},
    }

    def blocks():
        halves, scale = halved(weights)
        yield slice(0, result.n_targets), halves, scale, offset

    small = {
        "delay": ("delay", np.asarray(DELAYS, dtype=np.int32)),
        "feature_mean": ("feature", np.array([-3.0])),
        "feature_spread": ("feature", np.array([1.0])),
    }
    file = WeightsFile(shape, small, blocks, 2048)
    entry = store.put_file(
        WEIGHTS,
        spec.key(),
        spec=spec.canonical(),
        provenance=told,
        write=file.write,
        n_bytes=file.n_bytes,
    )
    return entry.key
