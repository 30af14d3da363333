"""The Python interface, as a notebook uses it."""

import numpy as np
import pytest
from kit.toy_lab import babble

import braindash
from braindash.errors import InputError, ModelError, StoreError


@pytest.fixture(scope="module")
def audio():
    samples, _ = babble(24.0, 16000, np.random.default_rng(3))
    return samples.astype(np.float32)


def test_features_have_one_row_per_time_and_layer(tiny_model, audio):
    times = np.arange(4.0, 20.0, 2.0)
    found = braindash.extract_features(tiny_model, audio, times, strategy="chunk")
    assert found.shape == (3, len(times), 24) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_an_opened_model_and_its_folder_give_the_same_features(tiny_model, audio):
    times = [6.0, 8.0, 10.0]
    opened = braindash.open_model(tiny_model, device="cpu")
    by_model = braindash.extract_features(opened, audio, times)
    by_folder = braindash.extract_features(str(tiny_model), audio, times, device="cpu")
    np.testing.assert_array_equal(by_model, by_folder)
    some = braindash.extract_features(opened, audio, times, layers=[2, 0])
    np.testing.assert_array_equal(some, by_model[[2, 0]])


def test_every_public_name_can_be_imported():
    for name in braindash.__all__:
        assert getattr(braindash, name) is not None
    assert set(braindash.__all__) <= set(dir(braindash))
    with pytest.raises(AttributeError, match="no attribute 'encod'"):
        _ = braindash.encod


def test_a_missing_result_and_a_missing_model_say_what_to_do(tmp_path, lab):
    with pytest.raises(StoreError) as caught:
        braindash.open_result("0123abcd", store=tmp_path)
    assert "braindash list" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        braindash.encode(lab.manifest, tmp_path / "nothing", "A", store=tmp_path)
    assert "save_pretrained" in caught.value.hint


def test_the_default_store_is_the_environments(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "named"))
    result = braindash.encode(lab.manifest, lab.model, "A", strategy="chunk", alphas=(1.0, 10.0))
    assert result.folder.is_relative_to(tmp_path / "named")


def test_features_of_a_model_that_is_named_take_revision_and_precision(tiny_model, monkeypatch):
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, revision))
        return str(tiny_model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    audio, times = np.full(16000, 0.1, np.float32), [0.4, 0.6]
    by_hub = braindash.extract_features("lab/tiny", audio, times, revision="v1", device="cpu")
    assert asked == [("lab/tiny", "v1")]
    np.testing.assert_array_equal(
        by_hub, braindash.extract_features(tiny_model, audio, times, device="cpu")
    )
    with pytest.raises(InputError, match=r"'bf16'.* CPU"):
        braindash.extract_features(tiny_model, audio, times, precision="bf16", device="cpu")
