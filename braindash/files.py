"""Names by content, and files that are whole: digests, and writing beside and renaming.

Digests are the one way braindash turns bytes, files and specifications into keys. What is written
here is met whole or not at all, by a reader as after a crash.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

DIGEST_BYTES = 16
_BLOCK = 1 << 22


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


def digest_json(value: Any) -> str:
    """Hash the canonical JSON form of ``value``."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path | str) -> str:
    """Hash the content of a file, in constant memory.

    The digest is remembered in this process as long as the file's size and modification time
    stay the same.
    """
    resolved = Path(path).resolve()
    status = resolved.stat()
    return _digest_unchanged_file(str(resolved), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_unchanged_file(path: str, size: int, modified_ns: int) -> str:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def find_file(folder: Path, stem: str, ending: str) -> Path | None:
    """Find a file of a folder by its name, whatever the case of its ending; None without one.

    One whose ending is as given comes first, then the first in the order of the names.
    """
    exact = folder / f"{stem}{ending}"
    if exact.is_file() or not folder.is_dir():
        return exact if exact.is_file() else None
    length = len(stem)
    found = sorted(
        path
        for path in folder.iterdir()
        if path.name[:length] == stem and path.name[length:].lower() == ending.lower()
    )
    return next((path for path in found if path.is_file()), None)


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
        On the same file system; its name begins with a dot and carries this process's number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
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
        Must not exist, or be an empty folder.

    Yields
    ------
    Path
        On the same file system, within a hidden folder; it has the name that it will have.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    folder = hidden / path.name
    try:
        folder.mkdir(parents=True)
        yield folder
        for part in (*folder.iterdir(), folder):
            flush(part)
        if path.exists():
            path.rmdir()
        os.rename(folder, path)
        flush(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


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
