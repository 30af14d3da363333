"""Sound as it is (WAV and its like): a header that says how many bytes of sound follow.

A writer that cannot go back, or was ended, leaves 0 or the largest number there; a copy that
stopped half-way leaves a number that the file does not have. libsndfile takes what it finds.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from braindash.io.sound.pieces import AS_IT_IS, TOLERANCE_SECONDS, Bytes, Layout, Piece

_LARGEST = 0xFFFFFFFF
# Writers that stream leave the largest number, or the largest that others read, less their header.
_UNKNOWN_ABOVE = (0x7FFF0000, 0xFFFF0000)
# So many zeros at the end are no sound that somebody would miss.
_PADDING_BYTES = 1 << 16
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
    """

    start: int
    size: int
    size_at: tuple[int, int]
    order: str = "<"


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
    data = _wave_data(content, 0)
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
                return _Data(at, large[1], (large[0], 8))
            return _Data(at, size, (at - 4, 4), order)
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
    return data.size > there and any(0 <= data.size - low < 0x10000 for low in _UNKNOWN_ABOVE)


def _completed(content: Bytes, data: _Data, n: int) -> Layout:
    """Show a file whose header was never completed with the size of what is there."""
    if data.size and n:
        return Layout(told=("its header was never completed: it is read to its end",))
    at, width = data.size_at
    size = min(len(content) - data.start, (1 << 8 * width) - 1)
    patch = size.to_bytes(width, "little" if data.order == "<" else "big")
    patches = [(at, patch)]
    if width == 4:
        whole = min(len(content) - 8, _LARGEST)
        patches.append((4, whole.to_bytes(4, "little" if data.order == "<" else "big")))
    told = ("its header was never completed: it is read to its end",)
    return Layout((Piece(0, len(content), patches=tuple(patches)),), told=told)


def _cut(data: _Data, there: int, n: int, rate: int) -> Layout:
    if n and (data.size - there) * n / (there * rate) <= TOLERANCE_SECONDS:
        return AS_IT_IS
    return Layout(
        cut=f"{there} of the {data.size} bytes of sound that its header announces are there",
        whole_share=data.size / max(1, there),
    )


def _behind(content: Bytes, data: _Data, n: int, rate: int) -> Layout:
    """Look at what follows the sound: other chunks, another file, or sound left out."""
    stop = data.start + data.size
    rest = len(content) - stop
    if content[stop : stop + 4] in (b"RIFF", b"RF64") and content[stop + 8 : stop + 12] == b"WAVE":
        return _joined(content, stop)
    seconds = rest * n / (data.size * rate) if data.size and rate else 0.0
    if seconds <= TOLERANCE_SECONDS or any(_are_chunks(content, stop + odd) for odd in (0, 1)):
        return AS_IT_IS
    if data.size_at[1] == 4 and len(content) > _LARGEST:
        # Sizes of 32 bits begin again at 0 where a file is longer.
        return _completed(content, _Data(data.start, 0, data.size_at, data.order), 0)
    if not any(content[stop : stop + _PADDING_BYTES]):
        return AS_IT_IS
    return Layout(
        fault=f"behind the {data.size} bytes of sound that its header announces follow {rest} more "
        f"({seconds:.1f} s, if they are sound)"
    )


def _joined(content: Bytes, first: int) -> Layout:
    """Divide a file that is several, one behind the other."""
    edges, at = [0], first
    while at < len(content) and content[at + 8 : at + 12] == b"WAVE":
        edges.append(at)
        data = _wave_data(content, at)
        if data is None or data.start + data.size > len(content):
            return Layout(cut="the last of the recordings in it is not whole")
        at = data.start + data.size
    pieces = [Piece(a, b) for a, b in zip(edges, [*edges[1:], len(content)], strict=True)]
    told = (f"it is {len(pieces)} recordings, one behind the other",)
    return Layout(tuple(pieces), told=told)


def _are_chunks(content: Bytes, at: int) -> bool:
    """Say whether what is at a place looks like a chunk: four letters and a size that fits."""
    head = content[at : at + 8]
    if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
        return False
    (size,) = struct.unpack("<I", head[4:])
    return bool(size <= len(content) - at - 8)


# ---- others that say how many bytes follow -----------------------------------------------------


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
    for name, at, size in _chunks(content, 12, ">"):
        if name == b"SSND":
            return _sized(content, _Data(at, size, (at - 4, 4), ">"), n, rate)
    return AS_IT_IS


def read_au(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of an AU file with its bytes."""
    order = ">" if content[:4] == b".snd" else "<"
    start, size = struct.unpack(f"{order}II", content[4:12].ljust(8, b"\0"))
    # The largest number says that the size is not known: libsndfile reads to the end.
    return (
        AS_IT_IS
        if size == _LARGEST
        else _sized(content, _Data(start, size, (8, 4), order), n, rate)
    )


def read_caf(content: Bytes, n: int, rate: int) -> Layout:
    """Compare the header of a CAF file with its bytes."""
    at = 8
    while at + 12 <= len(content):
        (size,) = struct.unpack(">q", content[at + 4 : at + 12])
        if content[at : at + 4] == b"data":
            return (
                AS_IT_IS
                if size < 0
                else _sized(content, _Data(at + 12, size, (at + 4, 8), ">"), n, rate)
            )
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
    return _sized(content, _Data(start, size, (0, 0)), n, rate)


def _sized(content: Bytes, data: _Data, n: int, rate: int, patch_more: int = 0) -> Layout:
    there = len(content) - data.start
    if data.size > there:
        return _cut(data, there, n, rate)
    if data.size or not there or n or not data.size_at[1]:
        return AS_IT_IS
    at, width = data.size_at
    size = (there + patch_more).to_bytes(width, "little" if data.order == "<" else "big")
    told = ("its header was never completed: it is read to its end",)
    return Layout((Piece(0, len(content), patches=((at, size),)),), told=told)
