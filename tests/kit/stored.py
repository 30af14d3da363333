"""A small result to write and read; also from processes of their own."""

import numpy as np
import xarray as xr

from braindash.io.store import Store

KEY = "0123456789abcdef0123456789abcdef"
SPEC = {"kind": "encoding", "subject": "S1"}
PROVENANCE = {
    "created": "2026-01-01",
    "strategy": "chunk",
    "model": {"name": "tiny", "fingerprint": "f" * 32},
    "data": {"name": "toy", "simulated": True},
}


def dataset(seed: int = 0) -> xr.Dataset:
    values = np.random.default_rng(seed).normal(size=(3, 50)).astype(np.float32)
    values[:, 7] = np.nan
    return xr.Dataset({"r": (("layer", "target"), values)}, coords={"layer": np.arange(3)})


def put(store: Store, key: str = KEY, seed: int = 0):
    return store.put("encoding", key, spec=SPEC, provenance=PROVENANCE, dataset=dataset(seed))


def write_at_once(root: str, barrier) -> None:
    """What each of several processes does."""
    barrier.wait()
    put(Store(root))
