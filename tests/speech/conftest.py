"""Tiny models of every family on disk and in memory, and a sound for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from kit.models.tiny_models import save_kind

from braindash.speech import windows


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are fastest on one thread, above all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory) -> Callable[[str], Path]:
    """Folder of each kind of model, written once; never changed by a test."""
    made: dict[str, Path] = {}

    def find(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = save_kind(kind, folder)
        return made[kind]

    return find


@pytest.fixture(scope="session")
def model_of(folder_of):
    """Opened model of each kind, loaded once."""
    from braindash.speech.models import open_model

    made = {}

    def find(kind: str):
        if kind not in made:
            made[kind] = open_model(folder_of(kind), device="cpu")
        return made[kind]

    return find


@pytest.fixture(scope="session")
def sound() -> np.ndarray:
    """Twenty seconds of coloured noise with a slow envelope and an offset, float32 at 16 kHz."""
    rng = np.random.default_rng(7)
    n_samples = 20 * 16000
    noise = np.convolve(rng.standard_normal(n_samples), np.ones(5) / 5, mode="same")
    envelope = 1.1 + np.sin(np.arange(n_samples) / 16000 * 2.3)
    return (0.1 * noise * envelope + 0.02).astype(np.float32)


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of 1.1 s and chunks of 0.5 s, so that a short sound has many full ones."""
    monkeypatch.setattr(windows, "_WINDOW", 17600)
    monkeypatch.setattr(windows, "_CHUNK_STEP", 8000)
