"""Which result is shown on which surface map: a small file beside the results, by their keys.

``surfaces/<key>/`` of a store holds a map; ``surface-of/<key of the result>.json`` names it. A
result is never written again, so a map can be given to it later, when its manifest says more.
"""

import logging
from pathlib import Path

from braindash.files import disk_errors, replace_json
from braindash.io.entries import KEY, Entry, StoredResult, read_object

logger = logging.getLogger(__name__)

SURFACES = "surfaces"
"""Kind of what the store keeps surface maps as."""
_LINKS = "surface-of"


def link_surface(root: Path, result: str, key: str) -> None:
    """Say that the targets of a result are shown by a surface map.

    Parameters
    ----------
    root : Path
        Of the store.
    result, key : str
        Key of the result, and of the map.

    Raises
    ------
    StoreError
        When the disk is full or read-only.
    """
    if link_of(root, result) != key:
        with disk_errors(root):
            replace_json(root / _LINKS / f"{result}.json", {"surface": key})


def linked_surface(root: Path, entry: Entry | StoredResult) -> str | None:
    """Name the surface map of a result: the linked one, else that of its provenance, else None."""
    return link_of(root, entry.key) or _key(entry.provenance.get("surface"))


def link_of(root: Path, result: str) -> str | None:
    """Name the surface map that a result was given, or None."""
    place = root / _LINKS / f"{result}.json"
    try:
        return _key(read_object(place).get("surface"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read and is passed over: %s", place, error)
        return None


def _key(named: object) -> str | None:
    return named if isinstance(named, str) and KEY.fullmatch(named) else None
