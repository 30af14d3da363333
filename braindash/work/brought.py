"""Sounds that visitors of the dashboard bring: kept for the worker, predicted by it, then deleted.

A sound lies in the store's folder ``heard`` for as long as a job needs it; what stays is the
prediction, with the name that the file had.
"""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from braindash.encoding.sounds.kept import KeptWeights
from braindash.encoding.sounds.predict import Predictor
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import BraindashError, InputError
from braindash.files import digest_bytes, disk_errors, replaced
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, find_recording
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.names import given_path
from braindash.progress import Progress
from braindash.requests import SoundRequest
from braindash.sharing.asking import require_runner
from braindash.speech.checkpoints.locate import absolute_source
from braindash.work.sounds import (
    SOUNDS,
    Samples,
    find_cut,
    predict_sound,
    require_length,
    sound_samples,
    sound_weights,
    spec_of,
    told_sound,
)

HEARD = "heard"
"""Folder of a store with the sounds that jobs wait for."""
LARGEST_SOUND_BYTES = 100_000_000

_UNSAFE = re.compile(r"[^A-Za-z0-9._ -]")
_LEFT_SECONDS = 600.0  # a sound without a job: whoever brought it was stopped before asking


# ---- the sound -----------------------------------------------------------------------------------


def keep_sound(content: bytes, name: str, store: Store) -> Path:
    """Keep a sound that a visitor brought, where the worker finds it.

    Parameters
    ----------
    content : bytes
        Of the file.
    name : str
        That it had; the file is called so, less what no file should be called.
    store : Store
        Gets it, in its folder ``heard``.

    Returns
    -------
    Path
        ``<root>/heard/<digest>/NAME``.

    Raises
    ------
    InputError
        When it is too large, or no sound that can be read: nothing is kept then.
    AccessError
        When the visitor may not compute.
    """
    require_runner("bring a sound")
    if len(content) > LARGEST_SOUND_BYTES:
        raise InputError(
            f"{name} has {len(content) / 1e6:.0f} MB, and {LARGEST_SOUND_BYTES / 1e6:.0f} are "
            "allowed",
            hint="Cut the part that is meant, or write it as FLAC or MP3.",
        )
    folder = store.root / HEARD / digest_bytes(content)
    path = folder / (_UNSAFE.sub("_", Path(name).name).strip("._")[-80:] or "sound")
    if not path.is_file():
        with disk_errors(store.root), replaced(path) as partial:
            partial.write_bytes(content)
    try:
        find_recording(path)
    except InputError:
        _delete(path)
        raise
    return path


def forget_sound(path: Path, store: Store, *, after: str = "") -> bool:
    """Delete a sound that a visitor brought, unless a job still needs it.

    Parameters
    ----------
    path : Path
        Of the sound. A file outside of the store's folder ``heard`` is somebody's own and stays.
    store : Store
        Its folder, and its jobs.
    after : str, optional
        Key of a job that is over though it is listed as running.

    Returns
    -------
    bool
        Whether it is gone.
    """
    if not path.is_relative_to(store.root / HEARD):
        return False
    active = JobQueue(store.root).list(states=("queued", "running"), limit=None)
    if any(str(path) == _sound_of(job.request) for job in active if job.key != after):
        return False
    _delete(path)
    return True


def forget_left_sounds(store: Store) -> None:
    """Delete sounds that no job needs: whoever brought them was stopped before asking."""
    for path in (store.root / HEARD).glob("*/*"):
        with suppress(FileNotFoundError):  # somebody else deletes it
            if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                forget_sound(path, store)


def _sound_of(document: Mapping[str, Any]) -> str:
    return str(document.get("request", {}).get("audio", ""))


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # somebody else brought the same content by another name
        path.parent.rmdir()


def sound_wav(samples: Samples, silence_seconds: float = 0.0) -> bytes:
    """Write samples as a WAV file that a browser plays.

    Samples beyond full scale, which noise-vocoding may make, are clipped in it; the model hears
    them as they are.

    Parameters
    ----------
    samples : array of float32, shape (n_samples,)
        At 16 kHz.
    silence_seconds : float, default 0.0
        Added behind the end: predictions go on there for the delays.
    """
    written = BytesIO()
    silence = np.zeros(round(silence_seconds * SAMPLE_RATE_HZ), np.float32)
    whole = np.concatenate([np.clip(samples, -1.0, 1.0), silence])
    soundfile.write(written, whole, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return written.getvalue()


# ---- asking for predictions ----------------------------------------------------------------------


@dataclass(frozen=True)
class AskedSound:
    """A prediction that was asked for, and what its visitor goes on to hear.

    Attributes
    ----------
    key : str
        Of the prediction, and of its job.
    result : str
        Key of the encoding result that it is asked of.
    path : Path
        The sound, for as long as it is kept.
    told : mapping
        What the sound is: ``name``, ``start``, ``stop``, ``altered``.
    samples : array of float32, shape (n_samples,)
        What the model hears, at 16 kHz.
    """

    key: str
    result: str
    path: Path
    told: Mapping[str, Any]
    samples: Samples

    @property
    def name(self) -> str:
        """The sound, with what was done to it."""
        how = self.told["altered"]["how"]
        return str(self.told["name"]) + ("" if how == "as-is" else f", {how}")


def ask_sounds(requests: Sequence[SoundRequest], store: Store) -> list[AskedSound]:
    """Ask the worker for predictions, all or none; those that are there already are not made again.

    Parameters
    ----------
    requests : sequence of SoundRequest
        Of one visitor, such as the two of a contrast.
    store : Store
        Of the results.

    Raises
    ------
    InputError, ModelError, StoreError
        When one cannot be computed: nothing is queued then.
    """
    forget_left_sounds(store)
    try:
        prepared = [_prepared(request, store) for request in requests]
    except BraindashError:
        for request in requests:
            forget_sound(request.audio, store)
        raise
    queue = JobQueue(store.root)
    for asked, job in prepared:
        if not store.has(SOUNDS, asked.key):
            # No worker may finish the first, and delete the sound, before the last one is queued.
            queue.submit(SOUNDS, asked.key, *job, start=False)
    queue.ensure_worker()
    for asked, _ in prepared:
        forget_sound(asked.path, store)  # where nothing had to be queued
    return [asked for asked, _ in prepared]


def _prepared(request: SoundRequest, store: Store) -> tuple[AskedSound, tuple[dict[str, Any], str]]:
    """Prepare one; gives also the document and the title of its job."""
    weights = sound_weights(request, store)
    require_length(request, store)
    samples, cut = sound_samples(request), find_cut(request)
    key = spec_of(weights, samples).key()
    named = _request_of(request, weights)
    title = (
        f"Prediction for {request.audio.name}: {weights.told['model']['name']}, "
        f"{weights.told['data']['name']}, {weights.fit['subject']}"
    )
    asked = AskedSound(key, weights.result, named.audio, told_sound(request, cut), samples)
    return asked, ({"request": named.model_dump(mode="json"), "key": key}, title)


def _request_of(request: SoundRequest, weights: KeptWeights) -> SoundRequest:
    """Return a request that means the same in another process: absolute, and with its layer."""
    files = Predictor(weights, request.model, request.device).files
    model = None if request.model is None else absolute_source(request.model, files)
    return request.model_copy(
        update={
            "audio": given_path(request.audio).resolve(),
            "result": weights.result,
            "layer": weights.layer,
            "model": model,
        }
    )


def open_asked(asked: AskedSound, store: Store) -> SoundPrediction | None:
    """Open a prediction that was asked for; None while it is not there.

    Raises
    ------
    StoreError
        When it is damaged.
    """
    entry = store.get_or_none(SOUNDS, asked.key)
    if entry is None:
        return None
    made = SoundPrediction.load(entry)
    # Sound and result may have had other names when it was made.
    return replace(made, about={**made.about, "sound": dict(asked.told), "result": asked.result})


# ---- by the worker -------------------------------------------------------------------------------


def run_queued_sound(
    document: Mapping[str, Any], store: Store, progress: Progress
) -> dict[str, Any]:
    """Do what :func:`ask_sounds` asked for; what becomes of it, the sound is deleted.

    Raises
    ------
    InputError
        When the sound or the weights are others than when it was queued, or the sound is gone.
    """
    request, key = SoundRequest.model_validate(document["request"]), str(document["key"])
    try:
        _predict(request, key, store, progress)
    except Exception:  # not when the worker is stopped: its successor needs the sound
        forget_sound(request.audio, store, after=key)
        raise
    forget_sound(request.audio, store, after=key)
    return {"kind": SOUNDS, "keys": [key]}


def _predict(request: SoundRequest, key: str, store: Store, progress: Progress) -> None:
    if request.audio.is_relative_to(store.root / HEARD) and not request.audio.is_file():
        raise InputError(
            f"the sound {request.audio.name} is not kept any more",
            hint="A sound is deleted when its job ends. Bring it again on the page Story.",
        )
    if spec_of(sound_weights(request, store), sound_samples(request)).key() != key:
        raise InputError(
            f"the sound {request.audio} or the weights changed after the job was queued",
            hint="Ask for the prediction again.",
        )
    predict_sound(request, store, progress)
