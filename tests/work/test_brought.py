"""Sounds that visitors bring: kept for the worker alone, and gone when their job ends."""

import os
import shutil
import time
from io import BytesIO

import numpy as np
import pytest
import soundfile
from kit.data.sounds import encoded_as, speechlike
from kit.data.toy_lab import make_lab
from kit.running.worked import work_one

from braindash.encoding.run import run_encoding
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.requests import EncodeRequest, SoundRequest, build_request
from braindash.work import brought
from braindash.work.submit import submit_weights

QUICK = {"alphas": (1.0, 100.0), "n_permutations": 0, "n_bootstraps": 0, "strategy": "chunk"}


@pytest.fixture(scope="module")
def computed(tmp_path_factory, quick_model):
    """Key of a result with weights, the store and the lab, to be looked at only."""
    folder = tmp_path_factory.mktemp("brought")
    lab, store = make_lab(folder / "lab", quick_model), Store(folder / "store")
    fields = {"data": lab.manifest, "model": "acoustic:energy", "subject": "A"} | QUICK
    made = run_encoding(build_request(EncodeRequest, **fields, keep_weights="best"), store)
    return made.key, store, lab


@pytest.fixture
def store(computed, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    shutil.copytree(computed[1].root, tmp_path / "store")
    return Store(tmp_path / "store")


def request_for(key, path, **changes):
    return build_request(SoundRequest, result=key, audio=path, **changes)


def heard(store) -> list:
    return list(store.root.glob("heard/*/*"))


def test_a_sound_is_on_the_disk_until_the_last_job_that_needs_it_ends(computed, store):
    key = computed[0]
    path = brought.keep_sound(encoded_as("wav", 4.0), "../<b>my clip</b>.wav", store)
    assert path.parent.parent == store.root / "heard" and "<" not in path.name
    requests = [request_for(key, path), request_for(key, path, altered="reversed")]
    one, two = brought.ask_sounds(requests, store)
    assert heard(store) == [path] and brought.open_asked(one, store) is None
    assert two.name == f"{path.name}, reversed"
    np.testing.assert_array_equal(two.samples, one.samples[::-1])
    assert work_one(store).key == one.key
    assert heard(store) == [path], "the other job needs it"
    assert work_one(store).key == two.key
    assert not heard(store) and not list((store.root / "heard").iterdir())
    first, second = (brought.open_asked(asked, store) for asked in (one, two))
    assert first.about["sound"]["name"] == path.name
    assert second.about["sound"]["altered"] == {"how": "reversed"}
    # What is predicted already is not asked for again, and its sound not kept.
    again = brought.keep_sound(encoded_as("wav", 4.0), "other.wav", store)
    (known,) = brought.ask_sounds([request_for(key, again)], store)
    assert known.key == one.key and not heard(store)
    assert brought.open_asked(known, store).about["sound"]["name"] == "other.wav"


def test_a_job_that_fails_or_finds_no_sound_leaves_none(computed, store):
    key = computed[0]
    path = brought.keep_sound(encoded_as("wav", 3.0), "clip.wav", store)
    (asked,) = brought.ask_sounds([request_for(key, path)], store)
    path.write_bytes(encoded_as("wav", 5.0))
    with pytest.raises(InputError, match="changed after the job was queued"):
        work_one(store)
    assert not heard(store)
    JobQueue(store.root).retry(asked.key)
    with pytest.raises(InputError, match="not kept any more") as caught:
        work_one(store)
    assert "Bring it again" in caught.value.hint


def test_a_sound_of_somebody_s_own_stays(computed, store, tmp_path):
    path = tmp_path / "mine.wav"
    path.write_bytes(encoded_as("wav", 3.0))
    brought.ask_sounds([request_for(computed[0], path)], store)
    work_one(store)
    assert path.is_file() and not brought.forget_sound(path, store)


def test_what_cannot_be_predicted_is_not_kept(computed, store):
    film = b"\x00\x00\x00\x20ftypisom" + bytes(500)
    for content in (film, b"", b"no sound " * 100):
        with pytest.raises(InputError):
            brought.keep_sound(content, "film.mp4", store)
    silence = BytesIO()
    soundfile.write(silence, np.zeros(48000), 16000, format="WAV")
    for content, changes, message in (
        (silence.getvalue(), {}, "silence"),
        (encoded_as("wav", 3.0), {"start": 5.0, "stop": 9.0}, "is not in"),
        (encoded_as("wav", 3.0), {"longest_seconds": 2.0}, "are allowed"),
    ):
        path = brought.keep_sound(content, "clip.wav", store)
        with pytest.raises(InputError, match=message):
            brought.ask_sounds([request_for(computed[0], path, **changes)], store)
    assert not heard(store) and not JobQueue(store.root).list()
    left = brought.keep_sound(encoded_as("wav", 3.0), "left.wav", store)
    os.utime(left, (time.time() - 3600,) * 2)
    brought.forget_left_sounds(store)
    assert not heard(store)


def test_silence_follows_the_sound_that_is_played():
    samples = np.concatenate([speechlike(1.0), [1.5, -1.5]]).astype(np.float32)
    wav, rate = soundfile.read(BytesIO(brought.sound_wav(samples, 2.0)))
    assert rate == 16000 and len(wav) == len(samples) + 32000
    np.testing.assert_allclose(wav[: len(samples)], np.clip(samples, -1, 1), atol=1e-4)
    assert not wav[len(samples) :].any()


def test_weights_are_asked_for_by_the_record_of_a_result(computed, store):
    key = computed[0]
    shutil.rmtree(store.root / "weights")
    job = submit_weights(key, store)
    assert work_one(store).key == job.key
    assert len(list((store.root / "weights").iterdir())) == 1
    computed[2].manifest.rename(computed[2].folder / "gone.toml")
    try:
        with pytest.raises(InputError, match="cannot be computed again"):
            submit_weights(key, store)
    finally:
        (computed[2].folder / "gone.toml").rename(computed[2].manifest)
