"""Content digests: the one way braindash turns bytes, files and specifications into keys."""

import hashlib
import json
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
