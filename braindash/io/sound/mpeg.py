"""MPEG audio (MP3): a sequence of frames, of which a first one may say how many follow.

ISO/IEC 11172-3 and 13818-3; the tags are those of Xing ("Xing", "Info") and Fraunhofer ("VBRI").
Files without a tag, files joined by copying one behind the other and files whose tag is wrong are
common: libsndfile then guesses the length from the first frame, and reads no further.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from braindash.io.sound.pieces import (
    AS_IT_IS,
    TOLERANCE_SECONDS,
    Bytes,
    Layout,
    Piece,
    find_file,
    is_zero,
    joined_fault,
    skip_id3,
)

_V1 = 3
_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {0: (11025, 12000, 8000), 2: (22050, 24000, 16000), 3: (44100, 48000, 32000)}
# Frames in a row that make it certain that these are frames.
_SURE = 3
_VBRI_AT = 36
_ID3V1_BYTES = 128
# Of a file, what may be zeros behind the last frame without being told as lost.
_PADDING_SHARE = 0.02
# At the end of a tag of MusicMatch, whose beginning says nothing.
_MUSICMATCH = b"Brava Software Inc."


@dataclass(frozen=True)
class _Header:
    """What the four bytes of a frame's header say."""

    length: int
    n_samples: int
    rate: int
    layer: int
    mono: bool
    version: int

    @property
    def stream(self) -> tuple[int, int, int, bool]:
        """What stays the same within one recording."""
        return self.version, self.layer, self.rate, self.mono

    @property
    def tag_at(self) -> int:
        """Where a tag of Xing would be in the frame."""
        if self.version == _V1:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


@dataclass
class _Stream:
    """Frames of one recording."""

    header: _Header
    start: int
    first: bytes
    stop: int = 0
    n_frames: int = 0
    tag_bytes: int = 0
    tagged_frames: int | None = None
    tagged_bytes: int | None = None
    tag_count_at: int | None = None
    lost_bytes: int = 0

    @property
    def seconds(self) -> float:
        return self.n_frames * self.header.n_samples / self.header.rate


@dataclass
class _Found:
    streams: list[_Stream] = field(default_factory=list)
    ends_inside: bool = False
    rest_at: int | None = None


@lru_cache(maxsize=1 << 16)
def _header(first: int, second: int, third: int) -> _Header | None:
    """Read the last three bytes of a frame's header; None where it cannot be one."""
    version, layer = first >> 3 & 3, 4 - (first >> 1 & 3)
    bits, rate_index = second >> 4, second >> 2 & 3
    if first & 0xE0 != 0xE0 or version == 1 or layer == 4 or bits in (0, 15) or rate_index == 3:
        return None
    half = version != _V1
    rate = _RATES[version][rate_index]
    kbits = _KBITS[(2, min(layer, 2)) if half else (1, layer)][bits - 1]
    padding = second >> 1 & 1
    if layer == 1:
        length, n_samples = (12000 * kbits // rate + padding) * 4, 384
    else:
        n_samples = 576 if half and layer == 3 else 1152
        length = n_samples // 8 * 1000 * kbits // rate + padding
    return _Header(length, n_samples, rate, layer, third >> 6 == 3, version)


def _at(content: Bytes, place: int) -> _Header | None:
    four = content[place : place + 4]
    if len(four) < 4 or four[0] != 0xFF:
        return None
    return _header(four[1], four[2], four[3])


def _is_sure(content: Bytes, place: int) -> bool:
    """Say whether a few frames of one stream follow each other from a place on."""
    first = _at(content, place)
    for _ in range(_SURE - 1):
        header = _at(content, place)
        if header is None or first is None or header.stream != first.stream:
            return False
        place += header.length
        if place >= len(content):
            return place == len(content)
    header = _at(content, place)
    return header is not None and first is not None and header.stream == first.stream


def read_mpeg(content: Bytes, n: int, rate: int) -> Layout:
    """Find the recordings in a file of MPEG audio.

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
    found = _scan(content)
    streams = [stream for stream in found.streams if stream.n_frames]
    if not streams:
        return AS_IT_IS
    for stream in streams:
        lacking = _lacking_seconds(stream)
        if lacking > TOLERANCE_SECONDS:
            there = sum(one.seconds for one in streams)
            return Layout(
                cut="its first frame counts more than there are",
                whole_seconds=there + lacking,
                readable_seconds=there,
            )
        lost = stream.lost_bytes * stream.seconds / (stream.stop - stream.start)
        if lost > TOLERANCE_SECONDS:
            return Layout(fault=f"{stream.lost_bytes} bytes between its frames are no sound")
    rest = _rest(content, found.rest_at, streams)
    if rest.cut or rest.fault:
        return rest
    told = rest.told + _told(found)
    in_tag = streams[0].start < skip_id3(content)
    if in_tag:
        told += ("its tag says that it is longer than it is: its sound begins within it",)
    elif len(streams) == 1 and _is_known(streams[0], n, rate):
        return Layout(told=told)
    if any(stream.header.layer != 3 for stream in streams):
        return Layout(fault="its length cannot be told (MPEG layer I or II without an index)")
    if len(streams) > 1:
        told += (f"it is {len(streams)} recordings, one behind the other",)
    return Layout(tuple(map(_piece, streams)), told=told)


def _told(found: _Found) -> tuple[str, ...]:
    """Say what a listener would notice in a file that can be used."""
    told: tuple[str, ...] = ()
    lost = sum(one.lost_bytes for one in found.streams)
    if lost:
        told = (
            f"{lost} bytes between its frames are no sound: it is damaged there, and what follows "
            "may be early",
        )
    if found.ends_inside:
        told += ("it ends within a frame: it may have been cut",)
    return told


def _rest(content: Bytes, at: int | None, streams: list[_Stream]) -> Layout:
    """Judge what follows the last frame and is no tag."""
    if at is None:
        return AS_IT_IS
    end, last = len(content), streams[-1]
    if content[end - _ID3V1_BYTES : end - _ID3V1_BYTES + 3] == b"TAG":
        end -= _ID3V1_BYTES
    other = find_file(content, at)
    if other is not None:
        return Layout(fault=joined_fault(other))
    lost = (end - at) * last.seconds / (last.stop - last.start)
    is_tag = content.find(_MUSICMATCH, at) >= 0
    if lost <= TOLERANCE_SECONDS or is_tag or _has_all(last):
        return AS_IT_IS
    if not is_zero(content[at:end], 0):
        return Layout(fault=f"{end - at} bytes behind its last frame are no sound")
    if end - at <= _PADDING_SHARE * len(content):
        return AS_IT_IS
    there = sum(stream.seconds for stream in streams)
    return Layout(
        cut=f"its last {end - at} bytes are zeros",
        whole_seconds=there + lost,
        readable_seconds=there,
    )


def _has_all(stream: _Stream) -> bool:
    """Say whether a tag counts the frames that there are, but for one or two at the end."""
    return stream.tagged_frames is not None and abs(stream.tagged_frames - stream.n_frames) <= 2


def _is_known(stream: _Stream, n: int, rate: int) -> bool:
    """Say whether libsndfile finds as much as there is."""
    if stream.tagged_frames is not None and stream.tag_count_at is not None:
        apart = abs(stream.tagged_frames - stream.n_frames) * stream.header.n_samples
        return apart / stream.header.rate <= TOLERANCE_SECONDS
    return rate > 0 and abs(n / rate - stream.seconds) <= TOLERANCE_SECONDS


def _lacking_seconds(stream: _Stream) -> float:
    """Say how much sound is missing behind the last frame, by what the tag counts."""
    if stream.tagged_frames is None:
        return 0.0
    size, header = stream.stop - stream.start, stream.header
    # A tag whose bytes are there counted the frames wrong.
    if stream.tagged_bytes and stream.tagged_bytes <= size + 2 * header.length:
        return 0.0
    return (stream.tagged_frames - stream.n_frames) * header.n_samples / header.rate


def _piece(stream: _Stream) -> Piece:
    """Show a stream with the tag that it ought to have."""
    if stream.tag_count_at is not None:
        count = struct.pack(">I", stream.n_frames)
        return Piece(stream.start, stream.stop, patches=((stream.tag_count_at, count),))
    return Piece(stream.start + stream.tag_bytes, stream.stop, before=_made_tag(stream))


def _made_tag(stream: _Stream) -> bytes:
    """Make a frame of Xing's that counts the frames of a stream."""
    first, second, third = stream.first[1:4]
    # Without a checksum or padding, and long enough for the tag.
    head = bytes([0xFF, first | 1, second & 0x0C | 0x90, third])
    header = _header(*head[1:])
    assert header is not None  # the other bits are those of a frame
    tag = b"Info" + struct.pack(">II", 1, stream.n_frames)
    return (head + bytes(header.tag_at - 4) + tag).ljust(header.length, b"\0")


# ---- frames one by one --------------------------------------------------------------------------


def _scan(content: Bytes) -> _Found:
    found = _Found()
    size, place = len(content), _in_tag(content, skip_id3(content))
    current: _Stream | None = None
    while place < size:
        header = _at(content, place)
        new = current is None or header is None or header.stream != current.header.stream
        if header is None or (new and not _is_sure(content, place)):
            behind, lost = _next(content, place)
            if current is not None and behind < size:
                current.lost_bytes += lost
            elif current is not None and lost:
                found.rest_at = place
            place = behind
            continue
        if place + header.length > size:
            found.ends_inside = True
            break
        tag = _tag(content, place, header)
        if new or tag is not None or current is None:
            current = _Stream(header, place, content[place : place + 4])
            found.streams.append(current)
        if tag is not None:
            current.tag_bytes = header.length
            current.tagged_frames, current.tagged_bytes, current.tag_count_at = tag
        else:
            current.n_frames += 1
        place += header.length
        current.stop = place
    return found


def _in_tag(content: Bytes, stop: int) -> int:
    """Return where frames begin within a tag whose size is wrong; ``stop`` where it is right.

    Frames that begin in it and run over its end are the sound; those of a sound that is kept in a
    tag end before.
    """
    at = content.find(b"\xff", 10, stop)
    while at >= 0:
        place, header = at, _at(content, at) if _is_sure(content, at) else None
        while header is not None and place < stop:
            place += header.length
            header = _at(content, place)
        if place > stop:
            return at
        at = content.find(b"\xff", at + 1, stop)
    return stop


def _tag(
    content: Bytes, place: int, header: _Header
) -> tuple[int | None, int | None, int | None] | None:
    """Read frames, bytes and the place of the count from a frame's tag; None without a tag."""
    at = place + header.tag_at
    if content[at : at + 4] in (b"Xing", b"Info"):
        (flags,) = struct.unpack(">I", content[at + 4 : at + 8])
        values: Iterator[int] = iter(struct.unpack(">II", content[at + 8 : at + 16]))
        n_frames = next(values) if flags & 1 else None
        n_bytes = next(values) if flags & 2 else None
        return n_frames, n_bytes, None if n_frames is None else header.tag_at + 8
    at = place + _VBRI_AT
    if content[at : at + 4] == b"VBRI":
        n_bytes, n_frames = struct.unpack(">II", content[at + 10 : at + 18])
        return n_frames, n_bytes, None
    return None


def _next(content: Bytes, place: int) -> tuple[int, int]:
    """Return where frames go on behind something else, and how many bytes of it are no tag."""
    behind = _behind_tag(content, place)
    if behind > place:
        return min(behind, len(content)), 0
    at = place + 1
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            return len(content), len(content) - place
        if _is_sure(content, at) or _behind_tag(content, at) > at:
            return at, at - place
        at += 1


def _behind_tag(content: Bytes, place: int) -> int:
    """Return where a tag that begins at a place ends; the place itself where there is none."""
    start = content[place : place + 12]
    if start.startswith(b"ID3"):
        return skip_id3(content, place)
    if start.startswith(b"TAG+"):
        return place + 227
    if start.startswith(b"TAG"):
        return place + 128
    if start.startswith(b"APETAGEX"):
        return place + 32 + int.from_bytes(content[place + 12 : place + 16], "little")
    if start.startswith(b"LYRICSBEGIN"):
        ends = [content.find(mark, place) + 9 for mark in (b"LYRICS200", b"LYRICSEND")]
        return min((end for end in ends if end > 8), default=place)
    return place
