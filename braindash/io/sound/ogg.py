"""Ogg (RFC 3533): pages of one recording, or of several one behind the other ("chained").

libsndfile reads the first recording only, and takes a file without its last pages for whole.
"""

import struct
import zlib
from dataclasses import dataclass, field

from braindash.io.sound.pieces import (
    AS_IT_IS,
    Bytes,
    Layout,
    Piece,
    find_file,
    is_zero,
    joined_fault,
    skip_id3,
)

_PAGE = b"OggS"
_HEAD_BYTES = 27
_FIRST, _LAST = 2, 4
_CHECKSUM = slice(22, 26)
# What some programs write behind the last page, and nobody misses.
_TAIL_BYTES = 4096
# Bytes with their bits in the other order.
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class _Link:
    """Pages of one recording."""

    start: int
    serial: int
    stop: int = 0
    number: int = -1
    ended: bool = False
    n_lost: int = 0
    samples: int = 0
    backwards: bool = False


@dataclass
class _Found:
    """What the pages of a file are.

    Attributes
    ----------
    links : list of _Link
        The recordings, one behind the other.
    ends_inside : bool
        The file ends within a page.
    torn : bool
        Something between two pages, or a page of no recording.
    together : bool
        Several streams run side by side.
    n_damaged : int
        Pages whose checksum does not fit.
    rest_at : int or None
        Where something begins behind the last page.
    """

    links: list[_Link] = field(default_factory=list)
    ends_inside: bool = False
    torn: bool = False
    together: bool = False
    n_damaged: int = 0
    rest_at: int | None = None


def read_ogg(content: Bytes, n: int, rate: int) -> Layout:
    """Find the recordings in a file of Ogg Vorbis, Opus or FLAC.

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
    found = _scan(content)
    links = found.links
    if not links or found.together:
        return AS_IT_IS  # pictures or texts beside the sound: libsndfile finds its way
    lost = sum(link.n_lost for link in links)
    if lost or found.torn:
        return Layout(fault=f"{lost or 'some'} of its pages are missing")
    if found.n_damaged:
        return Layout(fault=f"{found.n_damaged} of its pages do not fit their checksums")
    if found.ends_inside:
        return Layout(cut="its last page is not whole")
    if any(link.backwards for link in links):
        return Layout(fault="a page counts fewer samples than one before it: sound would be lost")
    if found.rest_at is not None:
        fault = _rest_fault(content, skip_id3(content, found.rest_at), links[-1])
        if fault:
            return Layout(fault=fault)
    told: tuple[str, ...] = ()
    if not all(link.ended for link in links):
        told = ("its end is not marked as such: it may have been cut",)
    if len(links) == 1:
        return Layout(told=told)
    told += (f"it is {len(links)} recordings, one behind the other",)
    return Layout(tuple(Piece(link.start, link.stop) for link in links), told=told)


def _scan(content: Bytes) -> _Found:
    """Go from page to page."""
    found = _Found()
    place, size = content.find(_PAGE), len(content)
    while 0 <= place < size:
        head = content[place : place + _HEAD_BYTES]
        n_parts = head[26] if len(head) == _HEAD_BYTES else 0
        parts = content[place + _HEAD_BYTES : place + _HEAD_BYTES + n_parts]
        stop = place + _HEAD_BYTES + n_parts + sum(parts)
        if len(head) < _HEAD_BYTES or len(parts) < n_parts or stop > size:
            found.ends_inside = True
            break
        _note(found, head, place, stop)
        if found.together:
            break
        found.n_damaged += not _fits(content[place:stop])
        rest = content[stop : stop + len(_PAGE)]
        place = stop
        if rest != _PAGE:
            found.ends_inside = 0 < len(rest) < len(_PAGE) and _PAGE.startswith(rest)
            place = content.find(_PAGE, stop)
            if place < 0 and stop < size and not found.ends_inside:
                found.rest_at = stop
            found.torn = found.torn or place >= 0
    return found


def _rest_fault(content: Bytes, at: int, last: _Link) -> str:
    """Say what is wrong with what follows the last page; nothing where it is a tag or padding."""
    other = find_file(content, at)
    if other is not None:
        return joined_fault(other)
    rest = len(content) - at
    if rest <= _TAIL_BYTES or (last.ended and is_zero(content, at)):
        return ""
    return f"the last {rest} bytes of it are no pages"


def _fits(page: bytes) -> bool:
    """Compare a page with its checksum: zlib's, begun at 0, of bits in the other order."""
    said = page[_CHECKSUM]
    zeroed = page[: _CHECKSUM.start] + bytes(4) + page[_CHECKSUM.stop :]
    rest = zlib.crc32(zeroed.translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return rest.to_bytes(4, "big").translate(_TURNED) == said


def _note(found: _Found, head: bytes, start: int, stop: int) -> None:
    """Take note of one page."""
    flags, serial, number = head[5], *struct.unpack("<II", head[14:22])
    if flags & _FIRST:
        last = found.links[-1] if found.links else None
        # Streams that run side by side all begin before any goes on.
        found.together = last is not None and last.number == 0 and not last.ended
        found.links.append(_Link(start, serial))
    if not found.links or found.links[-1].serial != serial:
        found.torn = True  # the recording that it belongs to has no beginning
        return
    current = found.links[-1]
    current.n_lost += max(0, number - current.number - 1)
    current.number, current.stop = number, stop
    current.ended = bool(flags & _LAST)
    (samples,) = struct.unpack("<q", head[6:14])
    if samples != -1:  # on which nothing ends
        current.backwards |= samples < current.samples
        current.samples = samples
