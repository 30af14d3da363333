"""A store with made-up results on fsaverage5, for pages and viewers."""

import numpy as np
import pytest
import xarray as xr

from braindash.digest import digest_json
from braindash.io.store import Store

N_LAYERS = 4
N_TARGETS = 20484


def put_result(store: Store, *, model="toy-model", subject="S1", ceiling=True, seed=0, space=None):
    """Store one made-up encoding result, stamped simulated; gives its key."""
    rng = np.random.default_rng(seed)
    n_targets = N_TARGETS if space is None else 30
    r = rng.uniform(0, 0.6, size=(N_LAYERS, n_targets)).astype(np.float32)
    r[:, :25] = np.nan
    ceilings = rng.uniform(0.5, 0.9, n_targets) if ceiling else np.full(n_targets, np.nan)
    story = {"name": "story", "features": "f" * 32, "responses": "e" * 32}
    story |= {"first_row": 0, "last_row": 90}
    spec = {
        "kind": "encoding",
        "subject": subject,
        "space": space or "fsaverage5",
        "train": [story | {"name": "train_a"}],
        "test": [story],
        "score_from_row": [0],
        "alphas": [1.0, 100.0],
        "delays": [1, 2, 3, 4],
        "metric": "r2",
        "ceiling": "repeats" if ceiling else "none",
    }
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "seconds": 1.0,
        "versions": {"braindash": "0.1.0"},
        "strategy": "exact",
        "ceiling": "repeats of story" if ceiling else "none (no repeats of the test story)",
        "model": {"name": model, "fingerprint": "0" * 32},
        "data": {"name": "made up", "simulated": True},
        "warnings": [],
    }
    key = digest_json([spec, model, seed])
    dataset = xr.Dataset(
        {
            "r": (("layer", "target"), r),
            "alpha": (("layer", "target"), np.ones_like(r)),
            "cv_score": (("layer", "target"), r / 2),
            "ceiling": ("target", ceilings.astype(np.float32)),
        },
        coords={"layer": np.arange(N_LAYERS)},
    )
    store.put("encoding", key, spec=spec, provenance=provenance, dataset=dataset)
    return key


@pytest.fixture
def empty_root(tmp_path, monkeypatch):
    """Point the dashboard at an empty store."""
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def filled_root(empty_root):
    """Point the dashboard at a store with two models and two subjects."""
    store = Store(empty_root)
    for seed, (model, subject) in enumerate(
        [("toy-model", "S1"), ("toy-model", "S2"), ("toy-tuned", "S1")]
    ):
        put_result(store, model=model, subject=subject, seed=seed)
    return empty_root
