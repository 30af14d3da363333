"""Names by content, and files that are whole: digests, writing beside and renaming, placeholders.

Digests are the one way braindash turns bytes, files and specifications into keys. What is written
here is met whole or not at all, by a reader as after a crash; a disk that takes
no more is a clear error.

Large files are often left on a server and replaced by a few lines or a link; downloads that failed
leave a web page under the file's name. Every reader asks :func:`refuse_placeholder` before it says
that a file is damaged.
"""

import errno
import glob
import hashlib
import json
import math
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from braindash.errors import BraindashError, InputError, StoreError
from braindash.process import is_running, process_mark

DIGEST_BYTES = 16
_BLOCK = 1 << 22
# JSON and TOML: values take some twenty times their text in memory.
_LONGEST_TEXT = 256 << 20
# A whole number of more digits is no float any more, which whoever computes with it stumbles over.
_MOST_DIGITS = 308

# Placeholders are small texts: nothing longer is looked into.
_START_BYTES = 512
_LFS = re.compile(rb"version https://(git-lfs|hawser)\.")
_DVC_STUB = re.compile(rb"(md5: \S+\r?\n)?(frozen: \S+\r?\n)?outs:\s*\r?\n\s*- ")
# What a server says in place of a file, on one line.
_REFUSAL = re.compile(
    rb"(HTTP/\S+ )?([45]\d\d[: ]+)?(not found|forbidden|unauthorized|access ?denied|gone|"
    rb"bad request|too many requests|internal server error|bad gateway|service unavailable|"
    rb"entry not found|repository not found|invalid username or password)[.!]?",
    re.IGNORECASE,
)
_ERROR_FIELDS = frozenset({"error", "errors", "message", "detail", "error_description"})
_ANNEX = re.compile(rb"/annex/objects/|\.git/annex/objects/")
_PAGE = re.compile(
    rb"\s*(<!doctype\s+html|<html|<\?xml[^>]*>\s*(<!doctype\s+html|<html|<Error)|<Error>)",
    re.IGNORECASE,
)
# How links begin that are no links here: of Cygwin, of macOS and Samba on a share, of an NFS server
# of Windows, a shortcut of Windows, an alias of macOS.
_LINK_FILES = (
    b"!<symlink>",
    b"XSym\n",
    b"IntxLNK\x01",
    b"L\x00\x00\x00\x01\x14\x02\x00",
    b"book\x00\x00\x00\x00mark\x00",
)
_XET = b"# xet version 0"
_ICLOUD = ".icloud"
_DVC = ".dvc"
_MARK = b"\xef\xbb\xbf"
_DATALAD = "Run `datalad get FILE` (or `git annex get FILE`) in its folder."


def digest_bytes(*parts: bytes) -> str:
    """Hash byte strings, one after the other (BLAKE2b, 32 hexadecimal digits)."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def canonical_json(value: Any) -> str:
    """Write ``value`` as JSON with sorted keys and no spaces; NaN is refused."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def parse_json(text: str | bytes, **options: Any) -> Any:
    """Read JSON of whatever origin: the one home of ``json.loads``.

    Raises
    ------
    ValueError
        It is no JSON, longer or nested deeper than can be read, or holds a whole number that is
        larger than any float.
    """
    return _parsed(json.loads, text, parse_int=_whole, **options)


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML of whatever origin: the one home of ``tomllib.loads``.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is no TOML.
    ValueError
        It is longer or nested deeper than can be read, or holds a whole number that is larger than
        any float.
    """
    found: dict[str, Any] = _parsed(tomllib.loads, text)
    waiting: list[Any] = [found]
    while waiting:  # tomllib lets nobody else make its whole numbers
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif type(value) is int:  # which true and false are not
            _whole(str(value))
    return found


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(digits.lstrip('-'))} digits")
    return int(digits)


def _parsed(read: Callable[..., Any], text: str | bytes, **options: Any) -> Any:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"it is longer than {_LONGEST_TEXT // 2**20} MB")
    try:
        return read(text, **options)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a parsed value is a finite number, which true and false are not."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def digest_json(value: Any) -> str:
    """Hash the canonical JSON form of ``value``."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path | str) -> str:
    """Hash the content of a file, in constant memory.

    The digest is remembered in this process as long as the file's size, times and inode stay the
    same; :func:`braindash.remembered.digests.digest_input` remembers it for the next one as well.
    """
    resolved = Path(path).resolve()
    status = resolved.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _digest_unchanged_file(str(resolved), status.st_size, times, status.st_ino)


@lru_cache(maxsize=4096)
def _digest_unchanged_file(path: str, size: int, times_ns: tuple[int, int], inode: int) -> str:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a place beside ``path`` to write to, which takes its place when all went well.

    The folder is made where it is missing. After an error, or when the process is stopped, what
    was there before stays.

    Parameters
    ----------
    path : Path
        A file.

    Yields
    ------
    Path
        On the same file system; its name begins with a dot and carries the mark of this process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden_beside(path)
    try:
        yield partial
        flush(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside ``path`` to fill, which becomes ``path`` when all went well.

    Parameters
    ----------
    path : Path
        Must not exist, or be an empty folder, which stays the one that it is: somebody may stand
        in it, and a disk may be mounted there.

    Yields
    ------
    Path
        On the same file system, within a hidden folder; it has the name that it will have.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = hidden_beside(path)
    folder = hidden / path.name
    try:
        folder.mkdir(parents=True)
        yield folder
        for part in (*folder.rglob("*"), folder):
            flush(part)
        if path.exists():
            _fill(path, folder)
        else:
            os.rename(folder, path)
        flush(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _fill(path: Path, folder: Path) -> None:
    """Move all of a folder into an empty one; it is empty again where that fails."""
    if any(path.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
    try:
        for one in sorted(folder.iterdir()):
            shutil.move(one, path)  # a disk that is mounted there is another one
        flush(path)
    except BaseException:
        for one in path.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        raise


def hidden_beside(path: Path) -> Path:
    """Name a hidden place beside ``path`` to write to; what killed processes left there goes.

    Parameters
    ----------
    path : Path
        What will stand there; its folder exists.

    Returns
    -------
    Path
        On the same file system, of this process alone; nothing is there.
    """
    start = f".{path.name}."
    for left in path.parent.glob(f"{glob.escape(start)}*"):
        if is_running(left.name.removeprefix(start)) is False:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    return path.with_name(start + process_mark())


def write_json(path: Path, content: Any, *, sort_keys: bool = False) -> None:
    """Write JSON with a newline at its end; NaN is refused."""
    text = json.dumps(content, indent=1, sort_keys=sort_keys, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def replace_text(path: Path, text: str) -> None:
    """Write UTF-8 so that a reader sees the old or the new text, never a part."""
    with replaced(path) as partial:
        partial.write_text(text, encoding="utf-8")


def replace_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old or the new content, never a part."""
    with replaced(path) as partial:
        write_json(partial, content)


# ---- disks that take no more -----------------------------------------------------------------


_ELSEWHERE = (
    "or choose another store with --store or BRAINDASH_STORE; finished parts are kept and the run "
    "goes on after them"
)
ANOTHER_PLACE = "or choose another place; nothing half-written stays there"
"""What else can be done about a file that somebody asked for by its name."""


@contextmanager
def disk_errors(place: Path, otherwise: str = _ELSEWHERE) -> Iterator[None]:
    """Turn the operating system's word on a full or read-only disk into a clear error.

    Parameters
    ----------
    place : Path
        Where something is written.
    otherwise : str
        What else can be done, and what became of the work; by default that of results.
    """
    reasons = {
        errno.ENOSPC: ("the disk is full", "Free some space"),
        errno.EDQUOT: ("the disk quota is used up", "Free some space"),
        errno.EROFS: ("the file system is read-only", "Make it writable"),
        errno.EACCES: ("you may not write there", "Change its permissions"),
        errno.EPERM: ("you may not write there", "Change its permissions"),
        errno.ENOTDIR: ("a part of the path is a file", "Remove that file"),
        errno.EEXIST: ("a part of the path is a file", "Remove that file"),
    }
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        reason, remedy = reasons[error.errno]
        raise StoreError(
            f"cannot write to {place}: {reason} ({error.strerror or error})",
            hint=f"{remedy}, {otherwise}.",
        ) from error


# ---- files that are not here --------------------------------------------------------------------


@dataclass(frozen=True)
class Placeholder:
    """What stands in the place of a file.

    Attributes
    ----------
    what : str
        What it is, such as ``"a Git LFS pointer, not the file itself"``.
    hint : str
        What fetches the file.
    """

    what: str
    hint: str


_PULL = Placeholder(
    "a stub of DVC: its content was not pulled", "Run `dvc pull` in its folder, with its remote."
)
_ZEROS = Placeholder(
    "nothing but zero bytes: its content never came here",
    "Copy or download it again; the disk may have been full, or the copy may have stopped.",
)


def find_placeholder(path: Path) -> Placeholder | None:
    """Say what stands in the place of a file; None where the file is there, or nothing is.

    Parameters
    ----------
    path : Path
        The file that a reader is about to open.

    Returns
    -------
    Placeholder or None
        A pointer of Git LFS, git-annex or DVC, a link to content that was not fetched (git-annex,
        DataLad, the cache of a model hub), a link that was copied as a line of text, a stub of
        iCloud, an empty file, one of zeros only, or what a server said in place of the file: a web
        page, an error.
    """
    if path.is_symlink() and not path.exists():
        return _dangling(path)
    if not path.name:  # the current folder, or the root: no file's place
        return None
    stub = path.with_name(f".{path.name}{_ICLOUD}")
    if not path.exists():
        if os.path.lexists(stub):
            return _evicted(path)
        return _PULL if path.with_name(path.name + _DVC).is_file() else None
    if path.name.endswith(_ICLOUD):
        return _evicted(path)
    if not path.is_file():
        return None
    return _by_content(path)


def evicted_in(folder: Path) -> list[Path]:
    """List the files of a folder for which stubs of iCloud or DVC stand, sorted.

    None of the files themselves is there.

    Parameters
    ----------
    folder : Path
        A folder.
    """
    names = [path.name for path in folder.glob(f".*{_ICLOUD}")]
    files = [folder / name[1 : -len(_ICLOUD)] for name in names if len(name) > len(_ICLOUD) + 1]
    files += [path.with_suffix("") for path in folder.glob(f"[!.]*{_DVC}") if path.is_file()]
    return sorted(path for path in files if not os.path.lexists(path))


def refuse_placeholder(path: Path, what: str, error: type[BraindashError] = InputError) -> None:
    """Refuse a file in whose place something else stands.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it ought to be, such as ``"audio file"``.
    error : type of BraindashError, default InputError
        What is raised.

    Raises
    ------
    BraindashError
        Says what stands there and what fetches the file.
    """
    found = find_placeholder(path)
    if found is not None:
        raise error(f"the {what} {path} is {found.what}", hint=found.hint)


def _dangling(path: Path) -> Placeholder:
    target = os.readlink(path)
    if "annex/objects" in target.replace("\\", "/"):
        return Placeholder(
            "a link to nothing: its content was not fetched with git-annex or DataLad", _DATALAD
        )
    if re.search(r"(^|[/\\])blobs[/\\]", target):
        return Placeholder(
            f"a link to nothing in the cache of a model hub ({target})",
            "Download the model again (`hf download ID`), or copy its folder with the links "
            "followed (`cp -rL`).",
        )
    return Placeholder(
        f"a link to nothing: {target}",
        "Copy the file that is meant there, or correct the link.",
    )


def _evicted(path: Path) -> Placeholder:
    return Placeholder(
        "a stub of iCloud: its content is on the server only",
        "Let it be downloaded (Finder: Download Now; or `brctl download FILE`), then start again.",
    )


def _by_content(path: Path) -> Placeholder | None:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(_START_BYTES)
    except OSError:
        return None  # the reader's own error says more
    if size == 0:
        return Placeholder(
            "empty: it has no bytes",
            "Copy or download it again; files of cloud drives must be kept on this computer.",
        )
    start = start.removeprefix(_MARK).lstrip()
    if _LFS.match(start):
        return Placeholder(
            "a Git LFS pointer, not the file itself",
            "Run `git lfs pull` in its folder, or download the file.",
        )
    if start.startswith(_XET):
        return Placeholder(
            "a Xet pointer, not the file itself",
            "Download the file again (`hf download`, with hf_xet installed).",
        )
    if start.startswith(_LINK_FILES):
        return Placeholder(
            "a link or shortcut of another system, which is no link here",
            "Copy the file that it names to this place.",
        )
    if size <= _START_BYTES and _ANNEX.search(start) and start.isascii():
        return Placeholder("a pointer of git-annex, not the file itself", _DATALAD)
    if _PAGE.match(start):
        return Placeholder(
            "a web page, not the file itself: its download failed",
            "Download it again; the page may ask for a login or an agreement (open it to see).",
        )
    if size <= _START_BYTES:
        return _by_short_text(path, start.strip())
    return _only_zeros(path) if not start.strip(b"\0") else None


def _by_short_text(path: Path, content: bytes) -> Placeholder | None:
    """Say what a file of few bytes is, by all of them."""
    if content and not content.strip(b"\0"):
        return _ZEROS
    if _DVC_STUB.match(content) and path.suffix != _DVC:
        return _PULL
    if _REFUSAL.fullmatch(content) or _is_error(content):
        said = content.decode("utf-8", "replace")[:80]
        return Placeholder(
            f"what a server said in place of the file ({said})",
            "Check the address, and download it again; it may need a login or an agreement.",
        )
    line = content.decode("utf-8", "replace")
    same_kind = bool(path.suffix) and line.lower().endswith(path.suffix.lower())
    if same_kind and line.isprintable() and ("/" in line or (path.parent / line).is_file()):
        return Placeholder(
            f"a link that was copied as a line of text: {line}",
            "Copy the file that it names to this place, or unpack the archive on a disk that has "
            "links.",
        )
    return None


def _is_error(content: bytes) -> bool:
    if not content.startswith(b"{"):
        return False
    try:
        found = parse_json(content.decode("utf-8"))
    except ValueError:
        return False
    return bool(_ERROR_FIELDS & set(found))


def _only_zeros(path: Path) -> Placeholder | None:
    """Read on for as long as there is nothing but zeros."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if block.strip(b"\0"):
                return None
    return _ZEROS
