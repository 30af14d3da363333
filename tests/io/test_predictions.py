"""Packed predictions: what is written comes back, near enough, whole and in blocks."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from braindash.core.scores import pearson_r
from braindash.io.predictions import PredictionFile, PredictionReader, layer_part, pack
from braindash.io.store import Store

N_LAYERS, N_ROWS, N_TARGETS = 3, 40, 17
KEY = "a" * 32


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    found = rng.normal(size=(N_LAYERS, N_ROWS, N_TARGETS)).astype(np.float32)
    found[:, 5, 2] = np.nan
    found[:, :, 3] = 0.25
    found[:, :, 4] *= 1e-6
    return found


@pytest.fixture
def response():
    return np.random.default_rng(1).normal(size=(N_ROWS, N_TARGETS)).astype(np.float32)


@pytest.fixture
def written(tmp_path, values, response):
    """Two test stories; the first five rows of each are not scored."""
    store = Store(tmp_path / "store")
    for layer, prediction in enumerate(values):
        part = layer_part(prediction, {"r": pearson_r(prediction, response)})
        store.put_part("predictions", KEY, f"layer-{layer:03d}", part)
    files = store.part_files("predictions", KEY)
    segment = np.repeat([0, 1], [18, 22])
    scored = np.ones(N_ROWS, dtype=bool)
    scored[[*range(5), *range(18, 23)]] = False
    file = PredictionFile([files[name] for name in sorted(files)], response, scored, segment)
    entry = store.put_file(
        "predictions", KEY, spec={}, provenance={}, write=file.write, n_bytes=file.n_bytes
    )
    return store, entry, scored, segment


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_packing_loses_at_most_half_a_scale(values):
    packed, scale = pack(values)
    assert packed.dtype == np.int16 and scale.dtype == np.float32
    # A scale near the smallest float32 has few digits of its own.
    error = np.abs(packed * scale.astype(float) - values)
    assert (error <= 0.51 * scale + 1e-6 * np.abs(values) + 1e-37).all()


def test_a_target_with_nan_has_no_scale_and_a_dead_one_stays_zero(values):
    values[0, :, 7] = 0
    packed, scale = pack(values[0])
    assert np.isnan(scale[2]) and (packed[:, 2] == 0).all()
    assert scale[7] == 0 and (packed[:, 7] == 0).all()
    assert len(np.unique(packed[:, 3])) == 1


def test_the_stored_predictions_give_the_same_scores(written, values, response):
    _, entry, scored, segment = written
    with entry.open() as dataset:
        assert dataset["prediction"].dims == ("layer", "time", "target")
        assert dataset["prediction"].dtype == np.int16 and dataset["response"].dtype == np.int16
        assert dataset["prediction"].encoding["chunksizes"] == (1, N_ROWS, N_TARGETS)
        np.testing.assert_array_equal(dataset["segment"], segment)
        reader = PredictionReader(dataset)
        predictions, measured = reader.read(slice(0, N_TARGETS))
        np.testing.assert_array_equal(reader.segments, segment[scored])
    assert predictions.dtype == measured.dtype == np.float32
    np.testing.assert_allclose(measured, response[scored], atol=1e-4)
    for layer in range(N_LAYERS):
        expected = pearson_r(values[layer, scored], response[scored])
        np.testing.assert_allclose(pearson_r(predictions[layer], measured), expected, atol=1e-4)
        assert np.isnan(expected[[2, 3]]).all()


def test_blocks_of_columns_are_the_columns(written):
    _, entry, _, _ = written
    with entry.open() as dataset:
        reader = PredictionReader(dataset)
        whole, measured = reader.read(slice(0, N_TARGETS))
        block, part = reader.read(slice(6, 11))
    np.testing.assert_array_equal(block, whole[:, :, 6:11])
    np.testing.assert_array_equal(part, measured[:, 6:11])


def test_the_parts_go_when_the_predictions_are_there_and_nothing_is_listed(written):
    store, entry, _, _ = written
    assert store.part_files("predictions", KEY) == {}
    assert store.entries() == [] and [e.key for e in store.entries("predictions")] == [KEY]
    xr.testing.assert_equal(entry.open()["scored"], store.get("predictions", KEY).open()["scored"])
