"""FLAC (RFC 9639): a header that counts samples, if its writer could go back to it, and frames.

The last frame says at which sample it begins and how many it holds: this counts the file without
decoding it.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from braindash.io.sound.pieces import (
    AS_IT_IS,
    TOLERANCE_SECONDS,
    Bytes,
    Layout,
    Piece,
    find_file,
    joined_fault,
    skip_id3,
)

# The marker of a stream, and the header of its first block of metadata.
_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
# Where the header has its 36 bits of sample count, behind 20 bits of rate and 8 of format.
_COUNT_AT, _COUNT_BYTES, _COUNT_BITS = 18, 8, 36
# How much of the end may be needed to find a frame: of most files little.
_LOOKED_AT_BYTES = (1 << 16, 1 << 20)
_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}}
_SIZES |= {code: 256 << code - 8 for code in range(8, 16)}
_ID3V1_BYTES = 128
_BEHIND = ("behind its last frame follows something that is no FLAC",)
_APE, _APE_BYTES = b"APETAGEX", 32


@dataclass(frozen=True)
class _End:
    """Where the last frame leads.

    Attributes
    ----------
    n_samples, first_sample : int
        Samples up to its end, and up to its beginning.
    whole : bool
        Whether it is all there.
    fits : bool
        Whether its checksum fits what is there up to the end.
    """

    n_samples: int
    first_sample: int
    whole: bool = False
    fits: bool = False


def read_flac(content: Bytes, n: int, rate: int) -> Layout:
    """Find the recordings in a file of FLAC.

    Parameters
    ----------
    content : bytes
        The file.
    n, rate : int
        What libsndfile finds in it; not needed.

    Returns
    -------
    Layout
    """
    starts = [match.start() for match in _STREAM.finditer(content, skip_id3(content))]
    if not starts:
        return AS_IT_IS
    edges = [*starts, len(content)]
    found = [_stream(content, start, stop) for start, stop in pairwise(edges)]
    for layout in found:
        if layout.cut or layout.fault:
            return layout
    told = (f"it is {len(found)} recordings, one behind the other",) if len(found) > 1 else ()
    if len(found) == 1 and not found[0].pieces:
        return found[0]
    pieces = [
        layout.pieces[0] if layout.pieces else Piece(start, stop)
        for layout, (start, stop) in zip(found, pairwise(edges), strict=True)
    ]
    return Layout(tuple(pieces), told=told)


def _stream(content: Bytes, start: int, stop: int) -> Layout:
    """Compare the header of one stream with its last frame."""
    at = start + _COUNT_AT
    bits = int.from_bytes(content[at : at + _COUNT_BYTES], "big")
    total, rate = bits & ((1 << _COUNT_BITS) - 1), max(1, bits >> 44)
    block_samples = int.from_bytes(content[start + 8 : start + 10], "big")
    first = _first_frame(content, start)
    end = _last_frame(content, first, stop, block_samples, total)
    other = None if end is not None and end.fits else find_file(content, first)
    if other is not None and other < stop:
        return Layout(fault=joined_fault(other))
    told = () if end is None or end.fits else _BEHIND
    if end is None:
        if total:
            return Layout(told=_BEHIND)
        return Layout(cut="no frame of it is whole, and its header does not say how long it is")
    if total and abs(total - end.n_samples) / rate <= TOLERANCE_SECONDS:
        return Layout(told=told)  # decoding says whether its last frame is whole
    readable = end.n_samples if end.whole else end.first_sample
    seconds = readable / rate
    if total > readable:
        return Layout(
            cut="its last frames are missing",
            whole_seconds=total / rate,
            readable_seconds=seconds,
        )
    if not end.whole:
        return Layout(cut="its last frame is not whole", readable_seconds=seconds)
    known = bits >> _COUNT_BITS << _COUNT_BITS | readable
    # A checksum of the decoded sound would not fit any more: zeros stand for none.
    patch = known.to_bytes(_COUNT_BYTES, "big") + bytes(16)
    return Layout((Piece(start, stop, patches=((_COUNT_AT, patch),)),))


def _first_frame(content: Bytes, start: int) -> int:
    """Return where the blocks of metadata end."""
    at = start + 4
    while at + 4 <= len(content):
        head = content[at]
        at += 4 + int.from_bytes(content[at + 1 : at + 4], "big")
        if head & 0x80:
            break
    return at


def _last_frame(
    content: Bytes, first: int, stop: int, block_samples: int, total: int
) -> _End | None:
    """Find the last frame, from the end backwards.

    It is the nearest one that leads to where the header says, or whose checksum fits, if any.
    """
    stop = _before_tags(content, first, stop)
    nearest = None
    for size in _LOOKED_AT_BYTES:
        tail = content[max(first, stop - size) : stop]
        for match in reversed(list(_SYNC.finditer(tail))):
            end = _frame(tail, match.start(), block_samples)
            if end is None:
                continue
            fits = _fits(tail[match.start() :])
            if end.n_samples == total or fits:
                return replace(end, whole=True, fits=fits)
            if nearest is None:
                nearest = end
            elif end.n_samples == nearest.first_sample:
                return nearest  # the frame before it: it is a frame, and not whole
    return nearest


def _before_tags(content: Bytes, first: int, stop: int) -> int:
    """Return where the frames end, in front of the tags of ID3v1 and APE that may follow."""
    if content[stop - _ID3V1_BYTES : stop - _ID3V1_BYTES + 3] == b"TAG":
        stop -= _ID3V1_BYTES
    # A header says how long the tag is, without the header and, where it has one, with a footer.
    at = content.find(_APE, max(first, stop - _LOOKED_AT_BYTES[-1]), stop)
    size = int.from_bytes(content[at + 12 : at + 16], "little")
    if at >= 0 and at + size <= stop <= at + _APE_BYTES + size:
        return at
    footer = content[max(first, stop - _APE_BYTES) : stop]
    if not footer.startswith(_APE):
        return stop
    start = stop - max(int.from_bytes(footer[12:16], "little"), _APE_BYTES)
    has_header = content[max(first, start - _APE_BYTES) : start].startswith(_APE)
    return max(first, start - _APE_BYTES * has_header)


def _frame(tail: bytes, at: int, block_samples: int) -> _End | None:
    """Read a frame's header (section 9.1 of the RFC); None where its checksum does not fit."""
    head = tail[at : at + 16]
    if len(head) < 6 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    number, used = _coded_number(head[4:])
    at_end = 4 + used
    extra = {6: 1, 7: 2}.get(size_code, 0)
    n_samples = _SIZES.get(size_code, 0)
    if extra:
        n_samples = 1 + int.from_bytes(head[at_end : at_end + extra], "big")
    at_end += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not used or not n_samples or at_end >= len(head) or _crc8(head[:at_end]) != head[at_end]:
        return None
    # With blocks of one size frames are numbered, else samples.
    first = number if head[1] & 1 else number * block_samples
    return _End(first + n_samples, first)


def _fits(frame: bytes) -> bool:
    return len(frame) > 8 and _crc16(frame[:-2]) == int.from_bytes(frame[-2:], "big")


def _coded_number(content: bytes) -> tuple[int, int]:
    """Read a number that is coded as UTF-8 codes characters; with how many bytes it takes."""
    if not content:
        return 0, 0
    first = content[0]
    if first < 0x80:
        return first, 1
    n_bytes = 8 - (first ^ 0xFF).bit_length()
    if n_bytes < 2 or len(content) < n_bytes:
        return 0, 0
    number = first & (0x7F >> n_bytes)
    for byte in content[1:n_bytes]:
        if byte & 0xC0 != 0x80:
            return 0, 0
        number = number << 6 | byte & 0x3F
    return number, n_bytes


def _table(width: int, polynomial: int) -> list[int]:
    top, mask = 1 << width - 1, (1 << width) - 1
    table = []
    for value in range(256):
        rest = value << width - 8
        for _ in range(8):
            rest = (rest << 1 ^ polynomial if rest & top else rest << 1) & mask
        table.append(rest)
    return table


_TABLE_8, _TABLE_16 = _table(8, 0x07), _table(16, 0x8005)


def _crc8(content: bytes) -> int:
    rest = 0
    for byte in content:
        rest = _TABLE_8[rest ^ byte]
    return rest


def _crc16(content: bytes) -> int:
    rest = 0
    for byte in content:
        rest = (rest << 8 & 0xFFFF) ^ _TABLE_16[rest >> 8 ^ byte]
    return rest
