"""libsndfile's decoders, without the lines that one of them writes to the terminal.

Its decoder of MPEG audio, libmpg123, writes what it thinks of a damaged file to the C library's
``stderr``, and nobody can ask it not to. While it works that variable points to a file in memory:
what Python writes, and what other libraries write to the descriptor, goes where it always goes, and
lines of others that are caught are passed on. Only glibc lets the variable be set; elsewhere, and
where anything of this fails, the lines appear.
"""

import ctypes
import logging
import os
import platform
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import soundfile
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_UNBUFFERED = 2  # _IONBF
_OWN = re.compile(rb"(\s*|(Note|Warning|Error): .*|.*(libmpg123|INT123_).*)", re.IGNORECASE)
_DAMAGE = re.compile(rb"error|dequantization|big_values|missing bits", re.IGNORECASE)
_LOCK = threading.Lock()


class Decoder:
    """A file of sound that is open.

    Parameters
    ----------
    source : path or file
        As :class:`soundfile.SoundFile` takes it.

    Attributes
    ----------
    n_complaints : int
        How often the decoder said that what it read is damaged.
    """

    def __init__(self, source: Any) -> None:
        self.n_complaints = 0
        with self._listening():
            self._file = soundfile.SoundFile(source)
        self._talks = "MPEG" in (self._file.format, self._file.subtype[:4])

    @property
    def frames(self) -> int:
        """Samples per channel, as its header says."""
        return int(self._file.frames)

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return int(self._file.samplerate)

    @property
    def form(self) -> str:
        """Name of its format."""
        return str(self._file.format)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self._file.channels)

    def read(self, n_frames: int) -> NDArray[Any]:
        """Decode the next samples, float32 (n, n_channels); none at the end.

        Raises
        ------
        soundfile.SoundFileError
            What follows cannot be decoded.
        """
        if self._talks:
            with self._listening():
                return self._read(n_frames)
        return self._read(n_frames)

    def _read(self, n_frames: int) -> NDArray[Any]:
        block: NDArray[Any] = self._file.read(n_frames, dtype="float32", always_2d=True)
        return block

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Catch what is written meanwhile, of this file alone."""
        with _LOCK:
            caught = _caught()
            if caught is None:
                yield
                return
            with caught:
                yield
            self.n_complaints += caught.read()


class _Caught:
    """Points the C library's ``stderr`` to a file in memory."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        libc.fdopen.restype = ctypes.c_void_p
        self._variable = ctypes.c_void_p.in_dll(libc, "stderr")
        self._memory = os.memfd_create("braindash-decoder")
        self._stream = libc.fdopen(self._memory, b"a")
        if not self._stream:
            raise OSError("fdopen failed")
        libc.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t)
        libc.setvbuf(self._stream, None, _UNBUFFERED, 0)
        self._before = self._variable.value

    def __enter__(self) -> None:
        self._before = self._variable.value
        self._variable.value = self._stream

    def __exit__(self, *_: object) -> None:
        self._variable.value = self._before

    def read(self) -> int:
        """Empty the file; count the lines that tell of damage, and pass on what others wrote."""
        size = os.fstat(self._memory).st_size
        if not size:
            return 0
        lines = os.pread(self._memory, size, 0).splitlines(keepends=True)
        os.ftruncate(self._memory, 0)
        n_complaints = 0
        for line in lines:
            if _OWN.fullmatch(line.rstrip(b"\r\n")):
                logger.debug("the decoder of MPEG audio: %s", line.decode(errors="replace").strip())
                n_complaints += _DAMAGE.search(line) is not None
            else:
                os.write(2, line)
        return n_complaints


@cache
def _caught() -> _Caught | None:
    """Make it once in a process; None where the system has no such variable."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    try:
        return _Caught()
    except (OSError, ValueError, AttributeError) as error:
        logger.debug("what the decoder of MPEG audio writes is not caught: %s", error)
        return None
