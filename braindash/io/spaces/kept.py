"""Surface maps in the store: kept under the digest of what they are made from, opened once."""

import logging
from functools import lru_cache
from pathlib import Path

from braindash.errors import StoreError
from braindash.io.entries import Entry, StoredResult
from braindash.io.spaces.surface_map import SurfaceMap, from_dataset
from braindash.io.store import Store
from braindash.io.surface_links import SURFACES, linked_surface

logger = logging.getLogger(__name__)


def surface_of(result: Entry | StoredResult) -> SurfaceMap | None:
    """Open the surface map of a result.

    Parameters
    ----------
    result : Entry or StoredResult
        In a store.

    Returns
    -------
    SurfaceMap or None
        None without one, or where it is damaged or lacking: a warning says so.
    """
    return kept_surface(result.folder.parents[1], surface_key(result), result.key)


def kept_surface(root: Path, key: str | None, result: str) -> SurfaceMap | None:
    """Open a surface map of a store.

    Parameters
    ----------
    root : Path
        Of the store.
    key : str or None
        Of the map.
    result : str
        Key of what it is for, for the warning.

    Returns
    -------
    SurfaceMap or None
        As :func:`surface_of`.
    """
    if key is None:
        return None
    try:
        return _opened(str(root), key)
    except StoreError as error:
        logger.warning("the result %s has no map of the cortex: %s", result[:8], error)
        return None


def surface_key(result: Entry | StoredResult) -> str | None:
    """Return the key of a result's surface map, or None."""
    return linked_surface(result.folder.parents[1], result)


@lru_cache(maxsize=8)
def _opened(root: str, key: str) -> SurfaceMap:
    with Store(Path(root)).get(SURFACES, key).open() as stored:
        return from_dataset(stored.load())
