"""A store with made-up results on fsaverage5, for pages and viewers."""

import pytest

from braindash.io.store import Store
from kit.results.made_up import N_LAYERS, N_TARGETS, put_result

__all__ = ["N_LAYERS", "N_TARGETS", "empty_root", "filled_root", "put_result"]


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
