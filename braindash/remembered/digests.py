"""Digests of a user's large files, remembered from one command to the next.

Results of the store are never taken from the table, since their digests are there to find damage
that leaves the times as they are.
"""

from pathlib import Path
from typing import Any

from braindash.files import digest_file
from braindash.remembered.tables import FileIdentity, Identity, file_identity, is_settled, table_of

TABLE = "digests.jsonl"

# Smaller files are read as quickly as they are looked up.
_LEAST_BYTES = 1 << 16
_DIGITS = frozenset("0123456789abcdef")


def digest_input(path: Path | str) -> str:
    """Return the digest of a file that the user gave, read only where it is not known.

    Parameters
    ----------
    path : path
        A recording, responses, weights.

    Returns
    -------
    str
        What :func:`braindash.files.digest_file` returns.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    identity = file_identity(path)
    if identity.size < _LEAST_BYTES:
        return digest_file(path)
    table = table_of(TABLE, _read_line)
    known = table.find(identity)
    if known is not None:
        return known
    digest = digest_file(path)
    if file_identity(path) == identity and is_settled(identity):
        table.keep(identity, digest)
    return digest


def _read_line(line: Any) -> tuple[Identity, str]:
    """Read a line of the table; ValueError or TypeError where it is none."""
    path, *numbers, digest = line
    size, modified, changed, inode = numbers
    if not isinstance(path, str) or not all(isinstance(one, int) for one in numbers):
        raise TypeError("no identity of a file")
    if not isinstance(digest, str) or len(digest) != 32 or not set(digest) <= _DIGITS:
        raise ValueError("no digest")
    return FileIdentity(path, size, modified, changed, inode), digest
