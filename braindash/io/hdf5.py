"""The one place that opens HDF5 files of others for reading.

An HDF5 file may lead to other files: by external links, by raw data that lie elsewhere and by
virtual arrays. A file that somebody was sent could so show what only its reader may see, and a
digest of it would not say what was read. All three are refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from braindash.errors import InputError

_LINKS_FOLLOWED = 16


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Parameters
    ----------
    path : Path
        An HDF5 file.

    Yields
    ------
    h5py.File
        Take what is in it by :func:`find_item`.

    Raises
    ------
    OSError
        It is none, damaged, or may not be read.
    """
    # Network shares often refuse locks; reading needs none.
    with h5py.File(path, "r", locking="best-effort") as file:
        yield file


def find_item(file: h5py.File, key: str) -> h5py.Group | h5py.Dataset | None:
    """Return a group or an array of a file, or None where there is no such thing.

    Parameters
    ----------
    file : h5py.File
        Of :func:`opened_hdf5`.
    key : str
        Name, with slashes.

    Raises
    ------
    InputError
        It lies in another file, or some of it does.
    """
    item = _walk(file, "/", key, _LINKS_FOLLOWED)
    _refuse_outside_data(item)
    return item


def refuse_other_files(file: h5py.File) -> None:
    """Refuse a file of which anything lies in another file.

    Parameters
    ----------
    file : h5py.File
        Of :func:`opened_hdf5`.

    Raises
    ------
    InputError
    """

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            _refuse_outside_data(item)
        else:
            _refuse_links(item)

    _refuse_links(file)
    file.visititems(look)


def _refuse_links(group: h5py.Group) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _outside(
                group.file, f"{group.name.rstrip('/')}/{name}", f"a link to {link.filename}"
            )


def _walk(file: h5py.File, start: str, key: str, left: int) -> h5py.Group | h5py.Dataset | None:
    """Go name by name: h5py would follow a link to another file without a word."""
    item: Any = file if key.startswith("/") else file[start]
    for name in filter(None, key.split("/")):
        if name == ".":
            continue
        link = item.get(name, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise _outside(file, key, f"a link to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            item = _walk(file, item.name, link.path, left - 1) if left else None
        else:
            item = None if link is None else item[name]
        if item is None:
            return None
    return item


def _refuse_outside_data(item: Any, left: int = _LINKS_FOLLOWED) -> None:
    """Refuse an array whose numbers lie elsewhere, also by way of another array of the file."""
    if not isinstance(item, h5py.Dataset):
        return
    if item.external:
        raise _outside(item.file, item.name, f"raw data in {item.external[0][0]}")
    for source in item.virtual_sources() if item.is_virtual else ():
        if source.file_name != ".":
            raise _outside(item.file, item.name, f"a virtual array of {source.file_name}")
        if left:
            _refuse_outside_data(_walk(item.file, "/", source.dset_name, left), left - 1)


def _outside(file: h5py.File, key: str, what: str) -> InputError:
    return InputError(
        f"{key!r} in {file.filename} is {what}: data in other files are never read through it",
        hint="Store the array itself, for example with h5py: "
        "`new['name'] = h5py.File(OLD)['name'][()]`; or name the other file.",
    )
