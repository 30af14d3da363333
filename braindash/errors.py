"""Errors that braindash raises on purpose: each says what is wrong and what to do next."""

import difflib
import errno
import re
import sys
from collections.abc import Iterable

# Control characters but tab and line end, marks that turn the direction of writing, surrogates.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# A hint that lists thousands of subjects hides what it says.
_NAMES_TOLD = 24


class BraindashError(Exception):
    """Base of every error a user may meet.

    Parameters
    ----------
    message : str
        What is wrong, and where (file, field, story, subject).
    hint : str
        What is allowed, or what to do next.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        # Names of files may hold bytes that are no UTF-8, which no terminal and no page can show.
        self.message = printable(message)
        self.hint = printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  What to do: {self.hint}"


class InputError(BraindashError):
    """Data or arguments that the user gave cannot be used as they are."""


class ModelError(BraindashError):
    """A speech model cannot be found, loaded or trusted."""


class StoreError(BraindashError):
    """The result store cannot be read or written, or holds a damaged entry."""


class ResourceError(BraindashError):
    """This machine has too little memory, disk or accelerator for the request."""


class TuningError(BraindashError):
    """Training of a model cannot go on."""


class JobError(BraindashError):
    """A job cannot be submitted, found or run."""


class AccessError(BraindashError):
    """Who asks may not do this: they may look only, or are not signed in."""


class Cancelled(BraindashError):
    """The user asked for the running work to stop; finished parts stay in the store."""

    def __init__(self, message: str = "the work was cancelled") -> None:
        super().__init__(message, hint="Start it again to go on from the last finished part.")


def printable(text: str) -> str:
    r"""Return a text that can be shown anywhere and moves no cursor.

    Parameters
    ----------
    text : str
        May hold what Python makes of bytes in the name of a file that are no UTF-8, halves of
        characters, and control characters, such as those that colour a terminal.

    Returns
    -------
    str
        All of these written out, such as ``\xe9``, ``\ud800`` and ``\x1b``; tabs and line ends
        stay.
    """
    if text.isprintable():
        return text
    return _UNSHOWABLE.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    # Python keeps the byte 0xe9 of a name as the code 0xdce9.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def near_match(given: str, allowed: Iterable[str]) -> str:
    """Say which allowed name is meant, for the hint of an error.

    Parameters
    ----------
    given : str
        The name the user wrote.
    allowed : iterable of str
        The names that exist.

    Returns
    -------
    str
        ``"Did you mean 'x'? Allowed: 'x', 'y'."``, without the question when nothing is near, and
        with the first 24 names and the number of the others when there are more.
    """
    names = list(allowed)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    question = f"Did you mean {close[0]!r}? " if close else ""
    told = ", ".join(repr(name) for name in names[:_NAMES_TOLD]) or "nothing"
    more = len(names) - _NAMES_TOLD
    return f"{question}Allowed: {told}{f' and {more:,} more' if more > 0 else ''}."


# How torch's CPU allocator and CUDA's libraries say it in an error without a class of its own.
_OUT_OF_MEMORY = re.compile(
    r"(CUBLAS_STATUS|CUSOLVER_STATUS|CUSPARSE_STATUS|CUDNN_STATUS|CUFFT)_ALLOC_FAILED"
    r"|DefaultCPUAllocator: (can't allocate memory|not enough memory)"
    r"|not enough memory: you tried to allocate"
    r"|CUDA (driver )?(error: )?out of memory"
    r"|unable to mmap .*Cannot allocate memory"
    r"|std::bad_alloc"
)

# How the system's loader says that a compiled library got none.
_NOT_LOADED = re.compile(r"failed to map segment from shared object")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, of the machine or of an accelerator.

    That is :class:`MemoryError`, the system's ENOMEM, torch's own class for it, plain errors of
    torch whose text says so (those of its CPU allocator and of the libraries that allocate by
    themselves), and a compiled library that could not be loaded for it. Nothing else is, however it
    derives: torch's other classes are runtime errors too. Imports nothing.
    """
    torch = sys.modules.get("torch")
    own = tuple(getattr(torch, name) for name in ("OutOfMemoryError", "AcceleratorError") if torch)
    if isinstance(error, (MemoryError, *own[:1])):
        return True
    if isinstance(error, (OSError, ImportError)):
        unloaded = _NOT_LOADED.search(str(error)) is not None
        return unloaded or getattr(error, "errno", None) == errno.ENOMEM
    plain = type(error) is RuntimeError or isinstance(error, own[1:])
    return plain and _OUT_OF_MEMORY.search(str(error)) is not None
