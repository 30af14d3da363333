"""How many rows responses have, remembered while their files stay the same.

Of everybody who heard a story it is asked often, so that heads of files are enough.
"""

from typing import Any

from braindash.files import digest_json
from braindash.io.dataset.responses import ResponseSource, shape
from braindash.io.images.surfaces import gifti_told_rows
from braindash.remembered.tables import Identity, file_identity, is_settled, table_of

TABLE = "rows.jsonl"


def count_rows(source: ResponseSource) -> int:
    """Return the number of rows of the responses of one story.

    Parameters
    ----------
    source : ResponseSource
        Where the responses lie.

    Raises
    ------
    InputError
        A file is missing or damaged, the key is absent, or the array is not what is expected.
    OSError
        A file cannot be looked at.
    """
    files = [file_identity(path) for path in source.files if path.is_file()]
    name = digest_json([[str(path) for path in source.files], source.key, source.repeats_key])
    identity, table = (name, digest_json(files)), table_of(TABLE, _read_line)
    known = table.find(identity)
    if known is not None:
        return int(known)
    n_rows = _told(source) or shape(source)[0]
    if all(is_settled(one) and file_identity(one.path) == one for one in files):
        table.keep(identity, str(n_rows))
    return n_rows


def _told(source: ResponseSource) -> int | None:
    """Return what the head of a GIFTI file says: all of it is long to read."""
    path = source.paths[0]
    is_gifti = path.name.lower().endswith((".gii", ".gii.gz")) and path.is_file()
    return gifti_told_rows(path) if is_gifti else None


def _read_line(line: Any) -> tuple[Identity, str]:
    """Read a line of the table; ValueError or TypeError where it is none."""
    name, state, n_rows = line
    if not all(isinstance(one, str) for one in line):
        raise TypeError("no texts")
    if not n_rows.isdecimal():
        raise ValueError("no number of rows")
    return (name, state), n_rows
