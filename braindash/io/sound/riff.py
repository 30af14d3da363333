"""Sound as it is (WAV and its like): a header that says how many bytes of sound follow.

A writer that cannot go back, or was ended, leaves 0 or the largest number there; a copy that
stopped half-way leaves a number that the file does not have. libsndfile takes what it finds.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from braindash.io.sound.pieces import (
    AS_IT_IS,
    TOLERANCE_SECONDS,
    Bytes,
    Layout,
    Piece,
    begins_file,
    find_file,
    is_zero,
    joined_fault,
    skip_id3,
)

_LARGEST = 0xFFFFFFFF
# Writers that stream leave the largest number, or the largest that others read, less their header.
_UNKNOWN = (
    range(0x7FFF0000, 0x80000001),
    range(0xFFFF0000, 0x100000000),
    range((1 << 64) - 0x10000, 1 << 64),
)
# How a file of WAV begins, and what some programs write behind its sound.
_FILES = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_HEAD = re.compile(rb"(RIFF|RIFX|RF64|BW64)....WAVE(fmt |ds64|JUNK|bext)", re.DOTALL)
_LIST = re.compile(rb"LIST....(INFO|adtl)", re.DOTALL)
_NEVER_COMPLETED = ("its header was never completed: it is read to its end",)
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True)
class _Data:
    """The sound of a file.

    Attributes
    ----------
    start, size : int
        Where it begins, and how long its header says it is.
    size_at : tuple of (int, int)
        Where that is said, and in how many bytes.
    order : str
        Of these bytes: ``"<"`` or ``">"``.
    origin : int
        Where the file begins, behind tags.
    """

    start: int
    size: int
    size_at: tuple[int, int]
    order: str = "<"
    origin: int = 0


def read_wave(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of a WAV, RF64 or BW64 file with its bytes.

    Parameters
    ----------
    content : bytes
        The file.
    n, rate : int
        What libsndfile finds in it.

    Returns
    -------
    Layout
    """
    data = _wave_data(content, skip_id3(content))
    if data is None:
        return AS_IT_IS
    there = len(content) - data.start
    if _is_unknown(content, data):
        return _completed(content, data, n)
    if data.size > there:
        return _cut(data, there, n, rate)
    return _behind(content, data, n, rate)


def _wave_data(content: Bytes, start: int) -> _Data | None:
    """Find the chunk of sound; RF64 has the true size in a chunk of its own, before it."""
    order = ">" if content[start : start + 4] == b"RIFX" else "<"
    large: tuple[int, int] | None = None
    for name, at, size in _chunks(content, start + 12, order):
        if name == b"ds64":
            large = at + 8, struct.unpack("<Q", content[at + 8 : at + 16])[0]
        elif name == b"data":
            if large is not None and size == _LARGEST:
                return _Data(at, large[1], (large[0], 8), origin=start)
            return _Data(at, size, (at - 4, 4), order, start)
    return None


def _chunks(content: Bytes, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the place and the size of every chunk up to the sound."""
    while at + 8 <= len(content):
        name = content[at : at + 4]
        (size,) = struct.unpack(f"{order}I", content[at + 4 : at + 8])
        yield name, at + 8, size
        if name == b"data":
            return
        at += 8 + size + size % 2


def _is_unknown(content: Bytes, data: _Data) -> bool:
    """Say whether the header was never completed."""
    there = len(content) - data.start
    if data.size == 0:
        return there > 0 and not _are_chunks(content, data.start)
    return data.size > there and any(data.size in span for span in _UNKNOWN)


def _completed(content: Bytes, data: _Data, n: int) -> Layout:
    """Show a file whose header was never completed with the size of what is there."""
    if _HEAD.search(content, data.start):
        return _joined(content, data.origin)
    stop = _sound_stop(content, data.start, len(content))
    if data.size and n and stop == len(content):
        return Layout(told=_NEVER_COMPLETED)
    return Layout((_patched(data, stop),), told=_NEVER_COMPLETED)


def _patched(data: _Data, stop: int) -> Piece:
    """Give a header that was never completed the size of the sound up to ``stop``."""
    at, width = data.size_at
    order: Literal["little", "big"] = "little" if data.order == "<" else "big"
    size = min(stop - data.start, (1 << 8 * width) - 1)
    patches = [(at - data.origin, size.to_bytes(width, order))]
    if width == 4:
        whole = min(stop - data.origin - 8, _LARGEST)
        patches.append((4, whole.to_bytes(4, order)))
    return Piece(data.origin, stop, patches=tuple(patches))


def _sound_stop(content: Bytes, start: int, end: int) -> int:
    """Return where sound of unknown length ends: where chunks begin that lead to ``end``."""
    for match in _LIST.finditer(content, start, end):
        at = match.start()
        while _are_chunks(content, at):
            (size,) = struct.unpack("<I", content[at + 4 : at + 8])
            at += 8 + size + size % 2
        if at >= end:
            return match.start()
    return end


def _cut(data: _Data, there: int, n: int, rate: int) -> Layout:
    there = max(0, there)
    if n and there and (data.size - there) * n / (there * rate) <= TOLERANCE_SECONDS:
        return AS_IT_IS
    return Layout(
        cut=f"{there} of the {data.size} bytes of sound that its header announces are there",
        whole_share=data.size / max(1, there),
    )


def _behind(content: Bytes, data: _Data, n: int, rate: int) -> Layout:
    """Look at what follows the sound: other chunks, another file, or sound left out."""
    stop = skip_id3(content, data.start + data.size)
    rest = len(content) - stop
    if _next_file(content, stop) is not None:
        return _joined(content, data.origin)
    seconds = rest * n / (data.size * rate) if data.size and rate else 0.0
    if seconds <= TOLERANCE_SECONDS or any(_are_chunks(content, stop + odd) for odd in (0, 1)):
        return AS_IT_IS
    if data.size_at[1] == 4 and len(content) > _LARGEST:
        # Sizes of 32 bits begin again at 0 where a file is longer.
        return _completed(content, replace(data, size=0), 0)
    if is_zero(content, stop):
        return AS_IT_IS
    return Layout(
        fault=f"behind the {data.size} bytes of sound that its header announces follow {rest} more "
        f"({seconds:.1f} s, if they are sound)"
    )


def _joined(content: Bytes, origin: int) -> Layout:
    """Divide a file that is several, one behind the other; any header may lack its size."""
    pieces: list[Piece] = []
    told: tuple[str, ...] = ()
    at: int | None = origin
    while at is not None:
        data = _wave_data(content, at)
        if data is not None and _is_unknown(content, data):
            other = _HEAD.search(content, data.start)
            following = other.start() if other else None
            end = following or len(content)
            pieces.append(_patched(data, _sound_stop(content, data.start, end)))
            told = _NEVER_COMPLETED
        elif data is None or data.start + data.size > len(content):
            return Layout(cut="the last of the recordings in it is not whole")
        else:
            following = _next_file(content, data.start + data.size)
            pieces.append(Piece(at, following or len(content)))
        at = following
    told = (f"it is {len(pieces)} recordings, one behind the other", *told)
    return Layout(tuple(pieces), told=told)


def _next_file(content: Bytes, stop: int) -> int | None:
    """Return where another file begins, behind sound and the chunks after it, if one does."""
    while True:
        stop = skip_id3(content, stop)
        # A chunk of an odd size has a byte more, which some writers forget.
        places = (stop, stop + 1)
        for at in places:
            if content[at : at + 4] in _FILES and content[at + 8 : at + 12] == b"WAVE":
                return at
        chunk = next((at for at in places if _are_chunks(content, at)), None)
        if chunk is None:
            return None
        (size,) = struct.unpack("<I", content[chunk + 4 : chunk + 8])
        stop = chunk + 8 + size


def _are_chunks(content: Bytes, at: int) -> bool:
    """Say whether what is at a place looks like a chunk: four letters and a size that fits."""
    head = content[at : at + 8]
    if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
        return False
    if begins_file(content, at):
        return False
    (size,) = struct.unpack("<I", head[4:])
    return bool(size <= len(content) - at - 8)


# ---- others that say how many bytes follow -----------------------------------------------------
# Behind a tag libsndfile opens AIFF and AU only.


def read_w64(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of a W64 file with its bytes."""
    at = 40
    while at + 24 <= len(content):
        (size,) = struct.unpack("<Q", content[at + 16 : at + 24])
        if content[at : at + 16] == _W64_DATA:
            data = _Data(at + 24, max(0, size - 24), (at + 16, 8))
            return _sized(content, data, n, rate, patch_more=24)
        at += size + -size % 8 if size >= 24 else len(content)
    return AS_IT_IS


def read_aiff(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of an AIFF file with its bytes."""
    origin = skip_id3(content)
    for name, at, size in _chunks(content, origin + 12, ">"):
        if name == b"SSND":
            return _sized(content, _Data(at, size, (at - 4, 4), ">", origin), n, rate)
    return AS_IT_IS


def read_au(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of an AU file with its bytes."""
    at = skip_id3(content)
    order = ">" if content[at : at + 4] == b".snd" else "<"
    start, size = struct.unpack(f"{order}II", content[at + 4 : at + 12].ljust(8, b"\0"))
    # The largest number says that the size is not known: libsndfile reads to the end.
    if size == _LARGEST:
        return _alone(content, at + start)
    data = _Data(at + start, size, (at + 8, 4), order, at)
    return _sized(content, data, n, rate, has_chunks=False)


def read_caf(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of a CAF file with its bytes."""
    at = 8
    while at + 12 <= len(content):
        (size,) = struct.unpack(">q", content[at + 4 : at + 12])
        if content[at : at + 4] == b"data":
            if size < 0:
                return _alone(content, at + 12)
            return _sized(content, _Data(at + 12, size, (at + 4, 8), ">"), n, rate)
        at += 12 + max(0, size)
    return AS_IT_IS


def read_sphere(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of a NIST SPHERE file with its bytes."""
    lines = content[:1024].decode("latin-1").split("\n")
    fields = dict(line.split(maxsplit=2)[::2] for line in lines[2:] if line.count(" ") >= 2)
    names = ("sample_count", "sample_n_bytes", "channel_count")
    try:
        start = int(lines[1])
        size = 1
        for name in names:
            size *= int(fields.get(name, "1" if name == "channel_count" else ""))
    except (ValueError, IndexError):
        return AS_IT_IS
    if "shorten" in fields.get("sample_coding", ""):
        return AS_IT_IS
    return _sized(content, _Data(start, size, (0, 0)), n, rate, has_chunks=False)


def _alone(content: Bytes, start: int) -> Layout:
    """Refuse another file behind the sound that begins at a place: it would be lost, or heard."""
    other = find_file(content, start)
    return AS_IT_IS if other is None else Layout(fault=joined_fault(other))


def _sized(
    content: Bytes,
    data: _Data,
    n: int,
    rate: int,
    *,
    patch_more: int = 0,
    has_chunks: bool = True,
) -> Layout:
    there = len(content) - data.start
    if data.size > there:
        return _cut(data, there, n, rate)
    if data.size:
        return _sized_rest(content, data, n, rate, has_chunks=has_chunks)
    if not there or n or not data.size_at[1]:
        return _alone(content, data.start)
    at, width = data.size_at
    size = (there + patch_more).to_bytes(width, "little" if data.order == "<" else "big")
    told = ("its header was never completed: it is read to its end",)
    patches = ((at - data.origin, size),)
    return Layout((Piece(data.origin, len(content), patches=patches),), told=told)


def _sized_rest(content: Bytes, data: _Data, n: int, rate: int, *, has_chunks: bool) -> Layout:
    """Look at what follows the sound of a file that is no WAV."""
    stop = data.start + data.size
    alone = _alone(content, stop)
    rest = len(content) - skip_id3(content, stop)
    seconds = rest * n / ((len(content) - data.start) * rate) if rate else 0.0
    if has_chunks or alone.fault or seconds <= TOLERANCE_SECONDS or is_zero(content, stop):
        return alone
    return Layout(
        fault=f"behind the {data.size} bytes of sound that its header announces follow {rest} more "
        f"({seconds:.1f} s, if they are sound)"
    )
