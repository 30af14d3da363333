"""Story audio: any file that libsndfile reads becomes 16 kHz mono samples.

Files are read block by block, so that the memory needed is that of the 16 kHz mono signal: one
hour of audio takes 230 MB, whatever the rate and the number of channels of the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from braindash.errors import InputError

SAMPLE_RATE_HZ = 16000
AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")

_BLOCK_FRAMES = 1 << 18
# A file may hold fewer samples than its header says by what a codec pads, no more.
_MISSING_SECONDS_ALLOWED = 0.1
_FORMATS = "wav, flac, ogg, opus and mp3 of any sample rate and number of channels"


def load_audio(path: Path | str) -> NDArray[np.float32]:
    """Read a recording as 16 kHz mono.

    Channels are averaged; other sample rates are brought to 16 kHz by SoXR at high quality.

    Parameters
    ----------
    path : path
        A wav, flac, ogg, opus or mp3 file, or another format that libsndfile reads.

    Returns
    -------
    array of shape (n_samples,), float32
        Samples at 16000 Hz; full scale is 1.

    Raises
    ------
    InputError
        The file is missing, unreadable, damaged or empty, holds NaN or infinite samples, or holds
        nothing but silence.

    Examples
    --------
    >>> audio = load_audio("story.wav")  # doctest: +SKIP
    >>> audio.shape[0] / SAMPLE_RATE_HZ  # seconds  # doctest: +SKIP
    """
    path = Path(path)
    with _opened(path) as file:
        audio = np.empty(_resampled_length(file.frames, file.samplerate), dtype=np.float32)
        filled = 0
        for block in _resampled(_mono_blocks(file, path), file.samplerate):
            kept = block[: audio.size - filled]
            audio[filled : filled + kept.size] = kept
            filled += kept.size
    audio[filled:] = 0.0
    return audio


def audio_seconds(path: Path | str) -> float:
    """Read how long a recording lasts, from its header.

    Parameters
    ----------
    path : path
        See :func:`load_audio`.

    Returns
    -------
    float
        Duration in seconds.

    Raises
    ------
    InputError
        The file is missing, is no audio file, or is empty.
    """
    with _opened(Path(path)) as file:
        return float(file.frames / file.samplerate)


def _resampled_length(n_frames: int, rate_hz: int) -> int:
    return max(1, round(n_frames * SAMPLE_RATE_HZ / rate_hz))


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "missing"
        raise InputError(
            f"the audio file {path} is {kind}",
            hint="Check the path; in a manifest, dataset.audio_dir and paths in [[runs]] are "
            "relative to the manifest's own folder.",
        )
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(
            f"the audio file {path} ({path.stat().st_size} bytes) cannot be read as audio: {error}",
            hint=f"Allowed are {_FORMATS}. If the file should be one of them, copy it again.",
        ) from error
    with file:
        if file.frames <= 0:
            raise InputError(
                f"the audio file {path} is empty: it has a header but no samples",
                hint="Copy or export the file again.",
            )
        yield file


def _mono_blocks(file: soundfile.SoundFile, path: Path) -> Iterator[NDArray[np.float32]]:
    """Read blocks, average their channels, and refuse what is no sound."""
    n_read = 0
    silent = True
    try:
        while (block := _read(file)).size:
            if not np.isfinite(block).all():
                _refuse_not_finite(block, n_read, file.samplerate, path)
            n_read += block.shape[0]
            mono = block.mean(axis=1, dtype=np.float32)
            silent = silent and not mono.any()
            yield mono
    except soundfile.SoundFileError as error:
        raise _damaged(path, file, n_read, str(error)) from error
    if file.frames - n_read > _MISSING_SECONDS_ALLOWED * file.samplerate:
        raise _damaged(path, file, n_read, "the data end too early")
    if silent:
        raise InputError(
            f"the audio file {path} holds only silence: every sample is 0",
            hint="Give the recording that was played; check the export of this file by ear.",
        )


def _read(file: soundfile.SoundFile) -> NDArray[Any]:
    block: NDArray[Any] = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
    return block


def _damaged(path: Path, file: soundfile.SoundFile, n_read: int, reason: str) -> InputError:
    return InputError(
        f"the audio file {path} is damaged ({reason}): {n_read / file.samplerate:.1f} of "
        f"{file.frames / file.samplerate:.1f} s can be read",
        hint="Copy or export the file again.",
    )


def _refuse_not_finite(block: NDArray[Any], n_before: int, rate_hz: int, path: Path) -> None:
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    raise InputError(
        f"the audio file {path} holds samples that are NaN or infinite, the first at "
        f"{(n_before + int(bad[0])) / rate_hz:.3f} s",
        hint="Samples must be finite numbers; export the recording again, as 16 bit for example.",
    )


def _resampled(
    blocks: Iterator[NDArray[np.float32]], rate_hz: int
) -> Iterator[NDArray[np.float32]]:
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
