"""Story audio: any file of sound that can be counted becomes 16 kHz mono samples.

What a file holds is counted first (:mod:`braindash.io.sound`), whatever its header says; a file
that ends early is refused. Files are read block by block, so that the memory needed is that of the
16 kHz mono signal: one hour of audio takes 230 MB, whatever the rate and the number of channels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.sound.decoder import Decoder
from braindash.io.sound.flac import read_flac
from braindash.io.sound.gauge import Gauge, Plausibility
from braindash.io.sound.mpeg import read_mpeg
from braindash.io.sound.ogg import read_ogg
from braindash.io.sound.pieces import (
    TOLERANCE_SECONDS,
    Layout,
    Piece,
    PieceFile,
    Reader,
    read_layout,
)
from braindash.io.sound.riff import (
    read_aiff,
    read_au,
    read_caf,
    read_sphere,
    read_w64,
    read_wave,
)

SAMPLE_RATE_HZ = 16000
# Of recordings of speech and of anything that hears; others are headers that are damaged.
RATES_HZ = (4000, 768000)
AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")

_BLOCK_FRAMES, _SHORT_FRAMES = 1 << 18, 1 << 10
_MANY_CHANNELS = 16
_FORMATS = "wav, flac, ogg, opus and mp3 of any sample rate and number of channels"
_AGAIN = "Copy or export the file again."
# By the first bytes, behind ID3 tags.
_READERS: Mapping[bytes, Reader] = MappingProxyType(
    {
        b"RIFF": read_wave,
        b"RIFX": read_wave,
        b"RF64": read_wave,
        b"BW64": read_wave,
        b"riff": read_w64,
        b"FORM": read_aiff,
        b".snd": read_au,
        b"dns.": read_au,
        b"caff": read_caf,
        b"NIST": read_sphere,
        b"fLaC": read_flac,
        b"OggS": read_ogg,
    }
)
# What the readers count, by libsndfile's names; of others nobody would notice that they end early.
_COUNTED = frozenset(
    ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "FLAC", "OGG", "MP3")
)
# What people record in and libsndfile does not read: where its first bytes are, and which.
_OTHER_FORMATS: Mapping[str, tuple[int, tuple[bytes, ...]]] = MappingProxyType(
    {
        "an MP4 or M4A file (AAC)": (4, (b"ftyp", b"moov", b"mdat", b"wide")),
        "a stream of AAC": (0, (b"\xff\xf1", b"\xff\xf9")),
        "a film (AVI)": (8, (b"AVI ",)),
        "a film (Flash)": (0, (b"FLV\x01",)),
        "a film (MPEG)": (0, (b"\x00\x00\x01\xba", b"G@")),
        "a file of WavPack": (0, (b"wvpk",)),
        "a file of Monkey's Audio": (0, (b"MAC ",)),
        "a file of Shorten": (0, (b"ajkg",)),
        "a DSD file": (0, (b"DSD ", b"FRM8")),
        "a BW64 file": (0, (b"BW64",)),
        "a Matroska or WebM file": (0, (b"\x1a\x45\xdf\xa3",)),
        "a Windows Media file": (0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
        "a file of AMR": (0, (b"#!AMR",)),
        "an archive (zip, gzip), not a recording": (0, (b"PK\x03\x04", b"\x1f\x8b")),
    }
)


def load_audio(path: Path | str) -> NDArray[np.float32]:
    """Read a recording as 16 kHz mono.

    Channels are averaged; other sample rates are brought to 16 kHz by SoXR at high quality.

    Parameters
    ----------
    path : path
        A wav, flac, ogg, opus or mp3 file; also RF64, W64, AIFF, AU, CAF or NIST SPHERE.

    Returns
    -------
    array of shape (n_samples,), float32
        Samples at 16000 Hz; full scale is 1.

    Raises
    ------
    InputError
        The file is missing, a placeholder, unreadable, damaged, empty or ends early; it holds NaN
        or infinite samples, numbers far beyond full scale, next to nothing but silence or one
        value, or channels that cancel each other when they are averaged.

    Examples
    --------
    >>> audio = load_audio("story.wav")  # doctest: +SKIP
    >>> audio.shape[0] / SAMPLE_RATE_HZ  # seconds  # doctest: +SKIP
    """
    recording = find_recording(path)
    audio = np.empty(recording.n_samples, dtype=np.float32)
    filled = 0
    for block in _resampled(_mono_blocks(recording)):
        kept = block[: audio.size - filled]
        audio[filled : filled + kept.size] = kept
        filled += kept.size
    audio[filled:] = 0.0
    return audio


def audio_seconds(path: Path | str) -> float:
    """Count how long a recording lasts, without decoding it.

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
        See :func:`find_recording`.
    """
    return find_recording(path).seconds


def _resampled_length(n_frames: int, rate_hz: int) -> int:
    return max(1, round(n_frames * SAMPLE_RATE_HZ / rate_hz))


@dataclass(frozen=True)
class Recording:
    """What a file of sound holds, counted; nothing of it is decoded yet.

    Attributes
    ----------
    path : Path
        The file.
    frames : tuple of int
        Samples per channel of each piece, at its rate.
    rates_hz : tuple of int
        Rate of each piece.
    layout : Layout
        The pieces, where the file is not read as its header says.
    """

    path: Path
    frames: tuple[int, ...]
    rates_hz: tuple[int, ...]
    layout: Layout

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(sum(n / rate for n, rate in zip(self.frames, self.rates_hz, strict=True)))

    @property
    def rate_hz(self) -> int:
        """Rate of the file; of its first piece, where there are several."""
        return self.rates_hz[0]

    @property
    def n_samples(self) -> int:
        """Samples at 16 kHz."""
        pairs = zip(self.frames, self.rates_hz, strict=True)
        return sum(_resampled_length(n, rate) for n, rate in pairs)

    @property
    def counted(self) -> int | None:
        """Samples at 16 kHz where its header says otherwise; None where the header is right.

        It belongs into the specification of what is computed: a reader that believed the header
        read something else.
        """
        return self.n_samples if self.layout.pieces else None


def find_recording(path: Path | str) -> Recording:
    """Find out what a file of sound holds, without decoding it.

    Parameters
    ----------
    path : path
        See :func:`load_audio`.

    Returns
    -------
    Recording
        Remembered in this process as long as the file's size and modification time stay the same.

    Raises
    ------
    InputError
        The file is missing, a placeholder, no audio, empty, ends early, or holds what its header
        does not explain.
    """
    path = Path(path)
    refuse_placeholder(path, "audio file")
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "missing"
        raise InputError(
            f"the audio file {path} is {kind}",
            hint="Check the path; in a manifest, dataset.audio_dir and paths in [[runs]] are "
            "relative to the manifest's own folder.",
        )
    status = path.stat()
    return _find_unchanged(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 18)
def _find_unchanged(path: Path, size: int, modified_ns: int) -> Recording:
    n_frames, rate, form, reason = _header(path)
    if form:
        _require_allowed(path, form, rate)
    layout = read_layout(path, partial(_reader, form), n_frames, rate)
    if layout.fault:
        raise InputError(f"the audio file {path} is damaged: {layout.fault}", hint=_AGAIN)
    if layout.cut:
        raise _ends_early(path, layout, n_frames / rate if rate else 0.0)
    if layout.pieces:
        headers = [_header(PieceFile(path, piece)) for piece in layout.pieces]
        reason = next((told for *_, told in headers if told), "")
        for _, one_rate, one_form, _ in headers if not reason else ():
            _require_allowed(path, one_form, one_rate)
        n_frames = sum(n for n, *_ in headers)
    else:
        headers = [(n_frames, rate, form, reason)]
    if reason:
        raise InputError(
            f"the audio file {path} ({size} bytes) cannot be read as audio: {reason}",
            hint=_advice(path),
        )
    if n_frames <= 0:
        raise InputError(
            f"the audio file {path} is empty: it has a header but no samples", hint=_AGAIN
        )
    return Recording(path, tuple(n for n, *_ in headers), tuple(r for _, r, *_ in headers), layout)


def _require_allowed(path: Path, form: str, rate_hz: int) -> None:
    """Refuse formats that nobody counts, and rates that no recording has."""
    if form not in _COUNTED:
        raise InputError(
            f"the audio file {path} is of a format ({form}) of which it cannot be said whether "
            "it is whole",
            hint="Convert it, for example with `ffmpeg -i FILE FILE.flac`. Allowed are "
            f"{_FORMATS}.",
        )
    least, most = RATES_HZ
    if not least <= rate_hz <= most:
        raise InputError(
            f"the header of the audio file {path} says {rate_hz} samples per second",
            hint=f"Allowed are {least} to {most}: the header is damaged, or was made with a wrong "
            "rate. Export the recording again.",
        )


def sound_course(path: Path | str, steps_per_second: int) -> NDArray[np.float64]:
    """Measure how loud a recording is over time, at its own rate: nothing is resampled.

    Parameters
    ----------
    path : path
        See :func:`load_audio`.
    steps_per_second : int
        Values per second; at most the rate of the file.

    Returns
    -------
    array of float64, shape (n_steps,)
        Root mean square of the mono samples in every step; full scale is 1.

    Raises
    ------
    InputError
        What :func:`load_audio` refuses.
    """
    recording = find_recording(path)
    length = int(np.ceil(recording.seconds * steps_per_second)) + 1
    power, counts = np.zeros((2, length))
    n_samples = 0
    before, rate_before = 0.0, recording.rate_hz
    for block, rate_hz in _mono_blocks(recording):
        if rate_hz != rate_before:  # another piece of the file
            before, n_samples = before + n_samples / rate_before, 0
            rate_before = rate_hz
        edges, steps = _step_edges(n_samples, len(block), rate_hz, steps_per_second)
        places = np.minimum(steps + round(before * steps_per_second), length - 1)
        np.add.at(power, places, np.add.reduceat(block * block, edges, dtype=np.float64))
        np.add.at(counts, places, np.diff(edges, append=len(block)))
        n_samples += len(block)
    last = int(np.flatnonzero(counts)[-1]) + 1
    return np.asarray(np.sqrt(power[:last] / np.maximum(counts[:last], 1)))


def _step_edges(
    start: int, n_samples: int, rate_hz: int, steps_per_second: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where steps begin among samples from ``start`` on, and which steps they are."""
    first, last = (at * steps_per_second // rate_hz for at in (start, start + n_samples - 1))
    steps = np.arange(first, last + 1)
    begins = -(-steps * rate_hz // steps_per_second) - start
    return np.maximum(begins, 0), steps


def look_at_sound(path: Path | str) -> tuple[str, ...]:
    """Decode a recording, and say what is not plausible about it.

    Parameters
    ----------
    path : path
        See :func:`load_audio`.

    Returns
    -------
    tuple of str
        Clipping, sound beyond full scale, next to no sound, nothing above 4 kHz, channels that
        cancel in part, long digital silence, and what is unusual about the file. It names no file.

    Raises
    ------
    InputError
        What :func:`load_audio` refuses.
    """
    recording, noticed = find_recording(path), Plausibility()
    gauge = Gauge(recording.path)
    for block, rate_hz in _mono_blocks(recording, gauge):
        noticed.add(block, rate_hz)
    return recording.layout.told + gauge.told() + noticed.told()


def _reader(form: str, start: bytes) -> Reader | None:
    """Choose by the first bytes; where nobody knows them, by what libsndfile takes them for."""
    for magic, reader in _READERS.items():
        if start.startswith(magic):
            return reader
    is_mpeg = len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0
    return read_mpeg if is_mpeg or form == "MP3" else None


def _header(file: Path | PieceFile) -> tuple[int, int, str, str]:
    """Read frames, rate and format as libsndfile finds them; or why it cannot, behind nothing."""
    try:
        with Decoder(file) as opened:
            return opened.frames, opened.rate_hz, opened.form, ""
    except (soundfile.SoundFileError, OSError) as error:
        return 0, 0, "", str(error) or type(error).__name__
    finally:
        if isinstance(file, PieceFile):
            file.close()


def _ends_early(path: Path, layout: Layout, found: float) -> InputError:
    readable = found if layout.readable_seconds is None else layout.readable_seconds
    whole = layout.whole_seconds
    if whole is None and layout.whole_share is not None:
        whole = readable * layout.whole_share
    if readable:
        there = f"{readable:.1f} of {whole:.1f} s" if whole else f"{readable:.1f} s"
        there += " can be read"
    elif layout.whole_share:
        there = f"about {1 / layout.whole_share:.0%} of its sound is there"
    else:
        there = "it cannot be read"
    return InputError(
        f"the audio file {path} ends early: {there} ({layout.cut})",
        hint="It was copied or downloaded by half, or its recording was broken off: get it again.",
    )


def _advice(path: Path) -> str:
    """Say what to do with a file that libsndfile cannot open."""
    with path.open("rb") as stream:
        start = stream.read(1024)
    if start.startswith(b"NIST") and b"embedded-shorten" in start:
        return "It is packed by Shorten: convert it, with `sph2pipe -f wav FILE FILE.wav`."
    for name, (at, magics) in _OTHER_FORMATS.items():
        if start[at:].startswith(magics):
            return f"It is {name}: convert it, for example with `ffmpeg -i FILE FILE.flac`."
    return f"Allowed are {_FORMATS}. If the file should be one of them, copy it again."


def _mono_blocks(
    recording: Recording, gauge: Gauge | None = None
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield the blocks of every piece with their rate, channels averaged."""
    pieces = recording.layout.pieces or (None,)
    gauge = gauge or Gauge(recording.path)
    for piece, n_frames in zip(pieces, recording.frames, strict=True):
        source = recording.path if piece is None else PieceFile(recording.path, piece)
        n_read = 0
        with Decoder(source) as file:
            try:
                while (block := _read(file)).size:
                    n_read += block.shape[0]
                    yield gauge.mono(block, file.rate_hz), file.rate_hz
            except soundfile.SoundFileError as error:
                n_read = _readable_frames(recording.path, piece)
                raise _damaged(recording.path, n_frames, n_read, file.rate_hz, error) from error
            if n_frames - n_read > TOLERANCE_SECONDS * file.rate_hz:
                reason = "the data end too early"
                raise _damaged(recording.path, n_frames, n_read, file.rate_hz, reason)
            gauge.complained(file.n_complaints)
    gauge.require_sound()


def _read(file: Decoder) -> NDArray[Any]:
    # Of a header that says a thousand channels a block would take a gigabyte.
    return file.read(_MANY_CHANNELS * _BLOCK_FRAMES // max(_MANY_CHANNELS, file.n_channels))


def _readable_frames(path: Path, piece: Piece | None) -> int:
    """Count, by short blocks, what can be decoded of a piece up to where it is damaged."""
    n_read = 0
    with Decoder(path if piece is None else PieceFile(path, piece)) as file:
        try:
            while (n_new := len(file.read(_SHORT_FRAMES))) > 0:
                n_read += n_new
        except soundfile.SoundFileError:
            return n_read
    return n_read


def _damaged(path: Path, n_frames: int, n_read: int, rate_hz: int, reason: object) -> InputError:
    return InputError(
        f"the audio file {path} is damaged ({reason}): {n_read / rate_hz:.1f} of "
        f"{n_frames / rate_hz:.1f} s can be read",
        hint=_AGAIN,
    )


def _resampled(
    blocks: Iterator[tuple[NDArray[np.float32], int]],
) -> Iterator[NDArray[np.float32]]:
    """Bring blocks to 16 kHz; neighbours of one rate are one stream."""
    for rate_hz, run in groupby(blocks, key=itemgetter(1)):
        if rate_hz == SAMPLE_RATE_HZ:
            yield from (block for block, _ in run)
            continue
        stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        for block, _ in run:
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
