"""Features of every layer of a speech model, or of the sound, at the times of brain responses."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.resampling import RowSums
from braindash.errors import InputError, ResourceError, is_out_of_memory
from braindash.progress import NoProgress, Progress
from braindash.speech.acoustic.model import AcousticModel
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.encoder.overlap import WindowInputs
from braindash.speech.models import SpeechModel
from braindash.speech.windows import Window, find_strategy, frame_times, numbered

logger = logging.getLogger(__name__)

# Batches make a CPU slower (its caches), a GPU much faster.
CUDA_BATCH = 32
# Same tolerance as the rule that picks the rows covered by audio.
_TIME_TOLERANCE = 1e-6
# From this much audio it is guessed how much work neighbouring windows share.
_SAMPLE_SECONDS = 60
_SILENT = NoProgress()


def extract(
    model: SpeechModel | AcousticModel,
    audio: ArrayLike,
    times: ArrayLike,
    *,
    strategy: str = "exact",
    layers: Sequence[int] | None = None,
    tr: float | None = None,
    context: float | None = None,
    progress: Progress = _SILENT,
) -> NDArray[np.float32]:
    """Compute a model's features for one recording, resampled to response times.

    The recording is cut into windows (see :data:`braindash.speech.windows.STRATEGIES`), the
    model sees each window alone, and the kept frames are brought to ``times`` by Lanczos
    resampling with three lobes, which itself reaches 3 TR to both sides. "exact" frames never
    saw audio behind their own time; "chunk" frames saw up to 2 s of it and are other features,
    not an approximation: compare the scores they lead to.

    Acoustic spaces have no windows that differ: both strategies give the same features, frames
    every 10 ms that are centred on their windows of 25 ms and more
    (:class:`braindash.speech.acoustic.model.AcousticModel`).

    Memory beyond the result does not grow with the length of the recording.

    Parameters
    ----------
    model : SpeechModel or AcousticModel
        From :func:`braindash.speech.models.open_model`.
    audio : array of shape (n_samples,)
        Mono, 16 kHz, floating point.
    times : array of shape (n_times,)
        Increasing response times in seconds from the beginning of the audio.
    strategy : {"exact", "chunk"}, default "exact"
        How the recording is cut into windows; without effect on acoustic spaces.
    layers : sequence of int, optional
        Layers to return, in this order; None returns all ``model.n_layers``.
    tr : float, optional
        Seconds between responses, the unit of the resampling; by default the median step of
        ``times``.
    context : float, optional
        Longest audio of a window in seconds; the strategy's when left out. Without effect on
        acoustic spaces.
    progress : Progress
        Told after every window, in seconds of audio the model has seen.

    Returns
    -------
    float32 array of shape (n_layers, n_times, n_features)

    Raises
    ------
    InputError
        For audio, times, layers or a strategy that cannot be used.
    ResourceError
        When the device has no memory for a single window.
    """
    samples = checked_audio(audio)
    windows = plan_windows(model, len(samples), strategy, context)
    instants = _checked_times(times, len(samples) / SAMPLE_RATE_HZ)
    chosen = _checked_layers(layers, model.n_layers)
    seconds = _checked_tr(tr, instants)
    rows = RowSums(frame_times(windows), instants, seconds, len(chosen), model.n_features)
    needed = [
        (window, first)
        for window, first in numbered(windows)
        if rows.needs(first, first + len(window.times))
    ]
    total = sum(window.seconds for window, _ in needed)
    done = 0.0
    progress.advance(done, total, f"window 0 of {len(needed)}")
    found = window_features(model, samples, [window for window, _ in needed], chosen)
    for number, ((window, frames), (_, first)) in enumerate(zip(found, needed, strict=True), 1):
        rows.add(first, frames)
        done += window.seconds
        progress.advance(done, total, f"window {number} of {len(needed)}")
    return rows.finish()


def plan_windows(
    model: SpeechModel | AcousticModel,
    n_samples: int,
    strategy: str = "exact",
    context: float | None = None,
) -> list[Window]:
    """List the windows of a recording.

    Parameters
    ----------
    model : SpeechModel or AcousticModel
    n_samples : int
        Length of the recording at 16 kHz.
    strategy : {"exact", "chunk"}, default "exact"
        Without effect on acoustic spaces, whose windows are blocks of frames.
    context : float, optional
        Longest audio of a window in seconds; the strategy's when left out.

    Returns
    -------
    list of Window
        In order of time.

    Raises
    ------
    InputError
        When the strategy is unknown or the recording too short for a single window.
    """
    cut = find_strategy(strategy).windows
    if isinstance(model, AcousticModel):
        windows, also = model.windows(n_samples), ""
    else:
        windows = cut(n_samples, model.geometry, context)
        also = ", and the strategy 'exact' at least 0.1 s"
    if not windows:
        raise InputError(
            f"the audio is too short: {n_samples} samples ({n_samples / SAMPLE_RATE_HZ:.3f} s)",
            hint=f"The model needs at least {model.receptive_field_samples} samples at "
            f"{SAMPLE_RATE_HZ} Hz{also}.",
        )
    return windows


def window_features(
    model: SpeechModel | AcousticModel,
    audio: NDArray[np.float32],
    windows: Sequence[Window],
    layers: Sequence[int] | None = None,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Run windows through a model, in order: one by one on a CPU, in batches on a GPU.

    Parameters
    ----------
    model : SpeechModel or AcousticModel
    audio : float32 array of shape (n_samples,)
    windows : sequence of Window
    layers : sequence of int, optional
        Layers to keep; None keeps all.

    Yields
    ------
    window : Window
    frames : float32 array of shape (n_frames, n_layers, n_features)
        The kept frames, before any resampling, at ``window.times``.
    """
    if isinstance(model, AcousticModel):
        yield from ((window, model.frames(audio, window, layers)) for window in windows)
        return
    size = CUDA_BATCH if model.device.startswith("cuda") else 1
    position = 0
    inputs = _inputs(model, audio, windows)
    while position < len(windows):
        batch = _alike(windows, position, size)
        try:
            embedded = inputs.take(position, len(batch))
            features = model.encoder.layer_frames(embedded, batch[0].frames, layers)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            size = len(batch) // 2
            if size == 0:
                raise ResourceError(
                    f"{model.device} has no memory for one window of {batch[0].seconds:.1f} s",
                    hint="Close other programs on the device, or open the model with device='cpu'.",
                ) from error
            logger.info("%s: out of memory, going on with batches of %d", model.name, size)
            torch.cuda.empty_cache()
            continue
        yield from zip(batch, features, strict=True)
        position += len(batch)


def estimate_seconds(
    model: SpeechModel | AcousticModel, audio_seconds: float, strategy: str = "exact"
) -> float:
    """Foretell how long :func:`extract` will take, from the time of one window (or one batch).

    Parameters
    ----------
    model : SpeechModel or AcousticModel
    audio_seconds : float
        Length of the recording in seconds.
    strategy : {"exact", "chunk"}, default "exact"

    Returns
    -------
    float
        Seconds, without loading the audio.
    """
    n_samples = int(audio_seconds * SAMPLE_RATE_HZ)
    windows = plan_windows(model, n_samples, strategy)
    longest = max(windows, key=lambda window: window.seconds)
    noise = np.random.default_rng(0).standard_normal(longest.end, dtype=np.float32)
    timed = [longest] * (CUDA_BATCH if model.device.startswith("cuda") else 1)
    list(window_features(model, noise, [windows[0]]))  # warms up
    elapsed = _seconds_of(lambda: list(window_features(model, noise, timed)))
    if isinstance(model, AcousticModel):
        return elapsed * sum(window.seconds for window in windows) / longest.seconds
    if model.geometry.padded:
        return elapsed * len(windows) / len(timed)
    share = _shared_part(model, n_samples, strategy)
    if share < 1:
        alone = _inputs(model, noise, timed)
        elapsed -= (1 - share) * _seconds_of(lambda: alone.take(0, len(timed)))
    return elapsed * sum(window.seconds for window in windows) / sum(w.seconds for w in timed)


def _seconds_of(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _inputs(
    model: SpeechModel, audio: NDArray[np.float32], windows: Sequence[Window]
) -> WindowInputs:
    return WindowInputs(
        model.encoder,
        audio,
        windows,
        normalise=model.normalise,
        exact_arithmetic=model.precision == "float32",
    )


def _shared_part(model: SpeechModel, n_samples: int, strategy: str) -> float:
    """Guess the part of the front end's work that sharing leaves, for even loudness."""
    windows = plan_windows(model, min(n_samples, _SAMPLE_SECONDS * SAMPLE_RATE_HZ), strategy)
    even = np.resize(np.array([0.1, -0.1], np.float32), windows[-1].end)
    return _inputs(model, even, windows).share_of_work(len(windows) // 2)


def _alike(windows: Sequence[Window], position: int, size: int) -> list[Window]:
    """Take up to ``size`` windows that fit into one batch: equal length, equal frames."""
    first = windows[position]

    def fits(window: Window) -> bool:
        return window.seconds == first.seconds and window.frames == first.frames

    return list(takewhile(fits, islice(windows, position, position + size)))


def checked_audio(audio: ArrayLike) -> NDArray[np.float32]:
    """Return audio as float32 (n_samples,), or refuse what is no mono signal of finite samples."""
    given = np.asarray(audio)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.floating):
        raise InputError(
            f"the audio is an array of {given.dtype} with shape {given.shape}",
            hint=f"Give one channel, shape (n_samples,), of floating point at {SAMPLE_RATE_HZ} Hz "
            "(braindash.io.dataset.audio.load_audio reads any file that way).",
        )
    if len(given) == 0:
        raise InputError("the audio is empty", hint="Check that the file holds sound.")
    # The sum is finite unless a sample is not, or the sum overflows: no array of flags is needed.
    clean = bool(np.isfinite(given.sum(dtype=np.float64)))
    bad = np.flatnonzero(~np.isfinite(given[: 0 if clean else None]))
    if len(bad):
        raise InputError(
            f"the audio has {len(bad)} NaN or infinite samples, the first at "
            f"{bad[0] / SAMPLE_RATE_HZ:.3f} s",
            hint="Repair the recording: a model spreads one bad sample over its whole window.",
        )
    return given.astype(np.float32, copy=False)


def _checked_times(times: ArrayLike, audio_seconds: float) -> NDArray[np.float64]:
    instants = np.asarray(times, dtype=np.float64)
    if instants.ndim != 1 or len(instants) == 0 or not np.all(np.diff(instants) > 0):
        raise InputError(
            f"the times (shape {instants.shape}) are not one increasing list of seconds",
            hint="Give at least one time; each must be later than the one before.",
        )
    inside = (instants >= -_TIME_TOLERANCE) & (instants <= audio_seconds + _TIME_TOLERANCE)
    if not inside.all():
        outside = instants[~inside]
        raise InputError(
            f"{len(outside)} of {len(instants)} times lie outside the audio (0 to "
            f"{audio_seconds:.3f} s), the first at {outside[0]:.3f} s",
            hint="Check TR, first_volume and audio_onset, or drop the rows that have no audio "
            "(braindash.core.timing.covered_rows).",
        )
    return instants


def _checked_tr(tr: float | None, times: NDArray[np.float64]) -> float:
    if tr is None and len(times) == 1:
        raise InputError("one time alone does not tell the TR", hint="Give tr in seconds.")
    seconds = float(np.median(np.diff(times))) if tr is None else float(tr)
    if not (np.isfinite(seconds) and seconds > 0):
        raise InputError(f"the TR is {seconds} s", hint="Give tr as a positive number of seconds.")
    return seconds


def _checked_layers(layers: Sequence[int] | None, n_layers: int) -> list[int]:
    chosen = list(range(n_layers)) if layers is None else list(layers)
    wrong = [layer for layer in chosen if layer not in range(n_layers)]
    if wrong or not chosen:
        raise InputError(
            f"the model has no layers {wrong}" if wrong else "no layer was asked for",
            hint=f"Allowed: 0 (input of the first block) to {n_layers - 1} (the last block).",
        )
    return chosen
