"""A small result to write and read; also from processes of their own."""

from collections import Counter

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


def parts_of(store: Store, kind: str, key: str) -> dict[str, xr.Dataset]:
    """Read the finished parts of a result, by name."""
    files = store.part_files(kind, key)
    return {name: xr.load_dataset(path, engine="h5netcdf") for name, path in files.items()}


def write_at_once(root: str, barrier) -> None:
    """What each of several processes does."""
    barrier.wait()
    put(Store(root))


class CountedStore(Store):
    """Counts how often a result is looked up by its name, by kind and key."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.looked_up: Counter[tuple[str, str]] = Counter()

    def has(self, kind, key):
        self.looked_up[kind, key] += not self._inside
        return super().has(kind, key)

    def get_or_none(self, kind, key):
        self.looked_up[kind, key] += 1
        return self._counted_once(super().get_or_none, kind, key)

    def put_file(self, *name, **content):
        return self._counted_once(super().put_file, *name, **content)

    _inside = 0

    def _counted_once(self, call, *name, **content):
        """What one of the store's own methods asks another is no further look-up."""
        self._inside += 1
        try:
            return call(*name, **content)
        finally:
            self._inside -= 1
