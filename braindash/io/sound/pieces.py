"""A file of sound as the pieces that it holds, each a part of its bytes that is read by itself.

libsndfile believes headers: of two recordings joined into one file it reads the first, of a file
whose header was never completed nothing, and of a file that was cut what is left, without a word.
So the frames, pages and chunks of a file are counted first. Where they are what the header says,
the file is read as it is; else each piece is shown to libsndfile with the header that it ought to
have.
"""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

# How files of sound begin, where chance does not write the like into sound.
_FILE = re.compile(
    rb"(?:RIFF|RIFX|RF64|BW64)....WAVE|FORM....AIF[FC]|fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02"
    rb"|\.snd\x00\x00..|dns\...\x00\x00|caff\x00\x01|riff\x2e\x91\xcf\x11|NIST_1A\n",
    re.DOTALL,
)
_MAGICS = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"fLaC"),
    *(b"OggS\x00\x02", b".snd\x00\x00", b"dns.", b"caff\x00\x01", b"riff\x2e", b"NIST_1A\n"),
)
_BLOCK_BYTES = 1 << 20
# What a codec pads, and what a header may therefore miss, in seconds.
TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class Piece:
    """A part of a file that is one recording.

    Attributes
    ----------
    start, stop : int
        Its bytes.
    before : bytes
        What libsndfile is shown in front of them.
    patches : tuple of (int, bytes)
        What it is shown in place of some of them; places count from ``start``.
    """

    start: int
    stop: int
    before: bytes = b""
    patches: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Layout:
    """What a file of sound holds.

    Attributes
    ----------
    pieces : tuple of Piece
        Empty where the file is read as it is.
    cut : str
        Why it is known that the file ends early; empty for a whole one.
    whole_share : float or None
        How many times longer the whole file was than what is left; None where nobody knows.
    whole_seconds : float or None
        How long the whole file was, where that is known instead.
    readable_seconds : float or None
        What is left of a file that ends early, where libsndfile does not find it.
    fault : str
        What else makes the file unusable.
    told : tuple of str
        What is unusual.
    """

    pieces: tuple[Piece, ...] = ()
    cut: str = ""
    whole_share: float | None = None
    whole_seconds: float | None = None
    readable_seconds: float | None = None
    fault: str = ""
    told: tuple[str, ...] = ()


AS_IT_IS = Layout()
"""A file whose header is right."""

Bytes = mmap | bytes
# From the bytes of a file, and how many frames libsndfile finds in it and at which rate (0 and 0
# where it cannot open it), to what the file holds.
Reader = Callable[[Bytes, int, int], Layout]


class PieceFile(io.RawIOBase):
    """One piece of a file, as a file of its own with its patches.

    Parameters
    ----------
    path : Path
        The file.
    piece : Piece
        The part.
    """

    def __init__(self, path: Path, piece: Piece) -> None:
        self._file = path.open("rb")
        self._piece = piece
        self._place = 0
        self._size = len(piece.before) + piece.stop - piece.start

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that its place can be changed."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Read bytes from the place on."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._place))
        before = self._piece.before[self._place : self._place + wanted]
        inside = self._place + len(before) - len(self._piece.before)
        self._file.seek(self._piece.start + max(0, inside))
        content = bytearray(before + self._file.read(wanted - len(before)))
        for at, patch in self._piece.patches:
            first = at + len(self._piece.before) - self._place
            for number, byte in enumerate(patch):
                if 0 <= first + number < len(content):
                    content[first + number] = byte
        view[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def skip_id3(content: Bytes, at: int = 0) -> int:
    """Return where the ID3v2 tags that begin at a place end."""
    while content[at : at + 3] == b"ID3" and len(content) >= at + 10:
        size = 0
        for byte in content[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if content[at + 5] & 0x10 else 0
        at += 10 + size + footer
    return at


def find_file(content: Bytes, start: int) -> int | None:
    """Return where, from a place on, another file of sound begins; None where none does."""
    places = []
    for magic in _MAGICS:
        at = content.find(magic, start)
        while at >= 0 and not _FILE.match(content, at):
            at = content.find(magic, at + 1)
        if at >= 0:
            places.append(at)
    return min(places, default=None)


def begins_file(content: Bytes, at: int) -> bool:
    """Say whether another file of sound begins at a place."""
    return _FILE.match(content, at) is not None


def joined_fault(at: int) -> str:
    """Say that a file of sound follows another one, of which only the first would be read."""
    return f"another file of sound begins at its byte {at}, behind the first; divide them"


def is_zero(content: Bytes, start: int) -> bool:
    """Say whether nothing but zeros follows: no sound that somebody would miss."""
    places = range(start, len(content), _BLOCK_BYTES)
    return not any(content[at : at + _BLOCK_BYTES].strip(b"\0") for at in places)


def read_layout(path: Path, readers: Callable[[bytes], Reader | None], n: int, rate: int) -> Layout:
    """Find out what a file holds.

    Parameters
    ----------
    path : Path
        The file.
    readers : callable
        From the first bytes, behind ID3 tags, to what reads this kind of file; None for others.
    n, rate : int
        Frames and rate that libsndfile finds; 0 where it cannot open the file.
    """
    if not path.stat().st_size:
        return AS_IT_IS
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        at = skip_id3(content)
        reader = readers(content[at : at + 16])
        return AS_IT_IS if reader is None else reader(content, n, rate)
