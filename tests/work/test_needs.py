"""The preflight's estimates: what is counted exactly, and that they grow as they must."""

import shutil

import pytest
from kit.data.toy_lab import make_lab

from braindash.encoding.run import run_encoding
from braindash.io.store import Store
from braindash.progress import spoken_duration
from braindash.requests import EncodeRequest, build_request
from braindash.work import needs
from braindash.work.kinds import preflight


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


@pytest.fixture
def request_a(lab):
    return build_request(
        EncodeRequest,
        data=lab.manifest,
        model=str(lab.model),
        subject="A",
        strategy="chunk",
        alphas=(1.0, 100.0),
    )


def test_cache_hits_are_counted(request_a, tmp_path):
    store = Store(tmp_path / "store")
    before = preflight(request_a, store)
    assert (before.cached, before.features_cached, before.n_stories) == (False, 0, 4)
    result = run_encoding(request_a, store)
    after = preflight(request_a, store)
    assert after.cached and after.key == result.key and after.features_cached == 4
    assert "Already computed" in after.lines()[0]
    other = preflight(request_a.model_copy(update={"subject": "B"}), store)
    assert not other.cached and other.features_cached == 4
    assert other.disk_needed < before.disk_needed


def test_disk_is_counted_for_predictions_until_they_are_there(request_a, tmp_path):
    """3 layers x 43 rows x 12 targets, two bytes each, as parts and as the stored whole."""
    store = Store(tmp_path / "store")
    result = run_encoding(request_a, store)
    with_predictions = preflight(request_a, store)
    shutil.rmtree(store.folder("predictions", result.provenance["predictions"]))
    without = preflight(request_a, store)
    assert without.disk_needed - with_predictions.disk_needed == 2 * 2 * 3 * 43 * 12


def test_statistics_take_time_and_memory(request_a, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_product_rate", lambda: 1e10)
    store = Store(tmp_path / "store")
    usual = preflight(request_a, store)
    none = {"n_permutations": 0, "n_bootstraps": 0}
    without = preflight(request_a.model_copy(update=none), store)
    assert without.seconds < usual.seconds and without.memory_needed < usual.memory_needed


def test_exact_features_take_longer_than_chunks(request_a, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_product_rate", lambda: 1e10)
    store = Store(tmp_path / "store")
    chunk = preflight(request_a, store)
    exact = preflight(request_a.model_copy(update={"strategy": "exact"}), store)
    assert exact.seconds > 5 * chunk.seconds


def test_too_little_memory_is_said_before_the_start(request_a, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "usable_memory", lambda: 1000.0)
    found = preflight(request_a, Store(tmp_path / "store"))
    assert not found.fits
    assert any("memory" in line for line in found.warnings)
    assert found.as_dict()["fits"] is False


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_durations_read_well(seconds, text):
    assert spoken_duration(seconds) == text
