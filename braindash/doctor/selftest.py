"""Encodes made-up responses with the demo's model: the whole path from sound to score."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import soundfile
from numpy.typing import NDArray

from braindash.demo import MODEL_FOLDER
from braindash.doctor import Finding
from braindash.errors import BraindashError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import run

_RATE_HZ = 16_000
_SECONDS = 40
_STORIES = ("one", "two", "three", "four")
_N_TARGETS = 4
# The responses follow the loudness of the sound nearly without noise.
_LEAST_R = 0.3
_LONG_SECONDS = 30.0
_MANIFEST = """
[dataset]
name = "self-test"
format = 1
simulated = true
audio_dir = "audio"

[timing]
tr = 1.0
first_volume = 0
audio_onset = 0.0

[responses]
path = "responses/{subject}/{story}.h5"
key = "data"
zscored = "none"
space = "roi"

[[subjects]]
id = "S"

[splits]
test = ["four"]
train = "*"
"""


def look_at_encoding() -> Iterator[Finding]:
    """Encode, and compare the scores with what is known of the made-up data."""
    started = time.monotonic()
    try:
        with TemporaryDirectory(prefix="braindash-doctor-") as name:
            result = _encoded(Path(name))
    except (BraindashError, OSError, RuntimeError, ImportError) as error:
        told = getattr(error, "message", f"{type(error).__name__}: {error}")
        todo = getattr(error, "hint", "See the lines above.")
        yield Finding("self-test", "fail", f"an encoding fails: {told}", todo)
        return
    seconds, best = time.monotonic() - started, float(np.nanmax(np.nanmedian(result, axis=1)))
    told = f"made-up responses encoded in {seconds:.0f} s, median r {best:.2f} in the best layer"
    if not best > _LEAST_R:
        todo = "Numbers are wrong here: run the tests (`make test`) and report what they say."
        yield Finding("self-test", "fail", f"{told}, expected above {_LEAST_R}", todo)
    elif seconds > _LONG_SECONDS:
        todo = "The machine is busy or has few cores: real data will take long."
        yield Finding("self-test", "warn", told, todo)
    else:
        yield Finding("self-test", "ok", told)


def _encoded(folder: Path) -> NDArray[np.floating]:
    """Return r of every layer and target, (n_layers, n_targets)."""
    (folder / "audio").mkdir()
    (folder / "responses" / "S").mkdir(parents=True)
    (folder / "manifest.toml").write_text(_MANIFEST, encoding="utf-8")
    rng = np.random.default_rng(0)
    for story in _STORIES:
        sound, loudness = _bursts(rng)
        soundfile.write(folder / "audio" / f"{story}.wav", sound, _RATE_HZ)
        rows = _responses(loudness, rng)
        with h5py.File(folder / "responses" / "S" / f"{story}.h5", "w") as file:
            file["data"] = rows
    request = build_request(
        EncodeRequest,
        data=folder / "manifest.toml",
        model=str(MODEL_FOLDER),
        subject="S",
        strategy="chunk",
        n_permutations=0,
        n_bootstraps=0,
    )
    return np.asarray(run(request, Store(folder / "store")).dataset["r"])


def _bursts(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make noise whose loudness changes slowly; returns the samples, and the loudness at 10 Hz."""
    steps = rng.gamma(1.0, 1.0, size=10 * _SECONDS + 1)
    window = np.hanning(15)
    loudness = np.convolve(steps, window / window.sum(), mode="same")
    times = np.arange(_SECONDS * _RATE_HZ) / _RATE_HZ
    envelope = np.interp(times, np.arange(len(loudness)) / 10, loudness)
    return 0.1 * envelope * rng.normal(size=len(times)), loudness


def _responses(loudness: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Make responses that follow the loudness two seconds later."""
    times = np.arange(_SECONDS) - 2.0
    signal = np.interp(times, np.arange(len(loudness)) / 10, loudness)
    signal = (signal - signal.mean()) / signal.std()
    noise = 0.2 * rng.normal(size=(_SECONDS, _N_TARGETS))
    return np.asarray(signal[:, None] + noise, dtype=np.float32)
