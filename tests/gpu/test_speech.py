"""Models of every family on the pretended device: the CPU's features, in batches."""

import numpy as np
import pytest
from kit.data.sounds import speechlike
from kit.models.tiny_models import KINDS, MORE, save_kind

from braindash.speech import windows
from braindash.speech.features import extract
from braindash.speech.models import open_model
from braindash.speech.unit_features import unit_features

pytestmark = pytest.mark.gpu

RATE = 16_000
TIMES = np.array([0.6, 1.4, 2.0])


@pytest.fixture
def short_windows(monkeypatch):
    monkeypatch.setattr(windows, "_WINDOW", 17600)
    monkeypatch.setattr(windows, "_CHUNK_STEP", 8000)


HEADS = {"parakeet": "ForCTC"}


def opened(kind, folder, device):
    return open_model(str(save_kind(kind, folder / kind, HEADS.get(kind, "Model"))), device=device)


@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_features_of_every_family(gpu, tmp_path, short_windows, kind):
    audio = speechlike(2.2)
    model = opened(kind, tmp_path, "cpu")
    on_device = opened(kind, tmp_path, "cuda")
    assert on_device.device == "cuda:0" or on_device.device == "cuda"
    for strategy in ("exact", "chunk") if kind in KINDS else ("chunk",):
        wanted = extract(model, audio, TIMES, strategy=strategy)
        before = gpu.operations.total()
        found = extract(on_device, audio, TIMES, strategy=strategy)
        assert gpu.operations.total() - before > 50, "it was computed on the device"
        np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())


def test_features_of_labelled_units(gpu, tmp_path):
    audio, start = speechlike(4.0), np.array([0.2, 1.0, 2.5])
    wanted, found = (
        unit_features(opened("hubert-group", tmp_path / device, device), audio, start, start + 0.4)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(found.features, wanted.features, atol=1e-4)


def test_a_model_asks_the_host_to_wait_for_its_features_alone(pretended, tmp_path, short_windows):
    model = opened("wavlm-stable", tmp_path, "cuda")
    extract(model, speechlike(2.2), TIMES, strategy="exact")
    before = pretended.n_waits
    extract(model, speechlike(4.2), TIMES, strategy="exact")
    waits = {where: n for where, n in pretended.waits.items() if n}
    assert pretended.n_waits - before < 60, waits
