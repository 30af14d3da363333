"""Of large arrays only some targets are read, and the right ones."""

import h5py
import numpy as np
import pytest
import soundfile

from braindash.checking import reading
from braindash.checking.reading import (
    choose_columns,
    read_ceiling,
    read_columns,
    read_sounds,
    summarise,
)
from braindash.core.ceilings import repeats_ceiling
from braindash.io.dataset.check import StoryCheck
from braindash.io.dataset.responses import ResponseSource
from braindash.remembered.tables import CACHE_VARIABLE


def story(n_rows, n_targets, n_repeats=0):
    return StoryCheck("s", "test", n_rows, n_targets, n_repeats, 9.0, 0.0, 9.0, 9.0, 0, n_rows, 0)


def test_few_targets_are_all_read():
    columns = choose_columns([story(300, 5000)], None)
    assert columns.is_whole and not len(columns.region)


def test_of_many_targets_blocks_are_read_and_the_region(monkeypatch):
    monkeypatch.setattr(reading, "_MOST_VALUES", 600_000)
    mask = np.zeros(95_556, dtype=bool)
    mask[50_000:60_000] = True
    columns = choose_columns([story(300, 95_556)] * 2, (mask, "AC: test"))
    assert not columns.is_whole and 800 <= len(columns.sample) <= 1000
    assert columns.sample[0] == 0 and columns.sample[-1] == 95_555
    assert len(columns.region) == 128 and mask[columns.region].all()
    assert (columns.read[columns.places(columns.region)] == columns.region).all()


@pytest.mark.parametrize("kind", ["npy", "hf5"])
def test_columns_are_those_that_were_asked_for(tmp_path, monkeypatch, kind):
    values = np.random.default_rng(0).standard_normal((20, 3000)).astype(np.float32)
    path = tmp_path / f"r.{kind}"
    if kind == "npy":
        np.save(path, values)
    else:
        with h5py.File(path, "w") as file:
            file["data"] = values
    source = ResponseSource((path,), "data")
    wanted = np.array([0, 3, 500, 501, 2999])
    read = []
    real = reading.load_responses
    monkeypatch.setattr(reading, "load_responses", lambda s, c=None: read.append(c) or real(s, c))
    np.testing.assert_array_equal(read_columns(source, wanted, 3000), values[:, wanted])
    assert [(one.start, one.stop) for one in read] == [(0, 4), (500, 502), (2999, 3000)]


def test_the_ceiling_of_a_sample_is_that_of_its_targets(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    repeats = rng.standard_normal((3, 50, 2000)) + 0.8 * rng.standard_normal((50, 2000))
    with h5py.File(tmp_path / "r.hf5", "w") as file:
        file["data"], file["all"] = repeats.mean(axis=0), repeats
    source = ResponseSource((tmp_path / "r.hf5",), "data", "all")
    check = story(50, 2000, 3)
    whole, targets, _ = read_ceiling(source, check, choose_columns([check], None))
    assert len(targets) == 2000
    np.testing.assert_allclose(whole, repeats_ceiling(repeats), atol=1e-5)
    monkeypatch.setattr(reading, "_MOST_VALUES", 50_000)
    monkeypatch.setattr(reading, "_MOST_REPEATED", 50_000)
    some, targets, _ = read_ceiling(source, check, choose_columns([check], None))
    assert len(targets) < 2000
    np.testing.assert_allclose(some, whole[targets], atol=1e-6)


def test_nothing_but_nan_is_summed_up():
    found = summarise(np.full((5, 3), np.nan, dtype=np.float32))
    assert found.nan_share == 1 and found.mean is None and found.censored_rows == 5


def test_the_loudness_of_a_recording_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16000), 8000)
    first, _ = read_sounds({"a": path})
    (kept,) = (tmp_path / "cache" / reading.LOUDNESS).iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(reading, "sound_course", lambda *_: pytest.fail("it is read again"))
        again, errors = read_sounds({"other": path})
    np.testing.assert_array_equal(again["other"], first["a"])
    assert not errors
    kept.write_bytes(kept.read_bytes()[:-9])  # torn
    soundfile.write(tmp_path / "b.wav", np.zeros(9000), 8000)
    again, errors = read_sounds({"a": path, "silent": tmp_path / "b.wav"})
    np.testing.assert_array_equal(again["a"], first["a"])
    assert set(errors) == {"silent"}
