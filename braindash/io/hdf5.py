"""The one place that opens HDF5 files of others for reading.

An HDF5 file may lead to other files: by external links, by raw data that lie elsewhere and by
virtual arrays. A file that somebody was sent could so show what only its reader may see, and a
digest of it would not say what was read. All three are refused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from braindash.errors import InputError

_LINKS_FOLLOWED = 16
_DEEPEST, _NAME_SHOWN = 64, 60


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
        It lies in another file, or some of it does; or it is a virtual array of what is not there.
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
    visit(file, look)


def visit(file: h5py.File, look: Callable[[str, Any], None]) -> None:
    """Show every group and array of a file to ``look``, by its name.

    Names behind links to other files are not visited.

    Raises
    ------
    InputError
        Groups lie in groups without an end: HDF5 goes through all of them for each name.
    """

    def shallow(name: str, item: Any) -> None:
        if name.count("/") > _DEEPEST:
            raise InputError(
                f"{file.filename} has groups more than {_DEEPEST} deep in each other: "
                f"{name[:_NAME_SHOWN]}...",
                hint="Give a file whose arrays lie in a few groups.",
            )
        look(name, item)

    file.visititems(shallow)


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


def _refuse_outside_data(item: Any) -> None:
    """Refuse an array whose numbers lie elsewhere, also by way of another array of the file."""
    if isinstance(item, h5py.Dataset):
        _follow(item, (), set())


def _follow(item: h5py.Dataset, above: tuple[int, ...], looked_at: set[int]) -> None:
    """Go to where the numbers of an array lie; ``above`` are the virtual arrays on the way."""
    if item.external:
        raise _outside(item.file, item.name, f"raw data in {item.external[0][0]}")
    place = h5py.h5o.get_info(item.id).addr
    if place in above or len(above) > _LINKS_FOLLOWED:  # HDF5 itself would crash on a circle
        raise _unresolved(item, "a virtual array that leads to itself, or over too many others")
    if place in looked_at:
        return
    for source in item.virtual_sources() if item.is_virtual else ():
        if source.file_name != ".":
            raise _outside(item.file, item.name, f"a virtual array of {source.file_name}")
        found = _walk(item.file, "/", source.dset_name, _LINKS_FOLLOWED)
        if not isinstance(found, h5py.Dataset):  # HDF5 would read it as 0
            raise _unresolved(item, f"a virtual array of {source.dset_name}, which is not there")
        _follow(found, (*above, place), looked_at)
    looked_at.add(place)


def _unresolved(item: h5py.Dataset, what: str) -> InputError:
    return InputError(
        f"{item.name!r} in {item.file.filename} is {what}: it has no numbers",
        hint="Store the array itself in the file, and name it.",
    )


def _outside(file: h5py.File, key: str, what: str) -> InputError:
    return InputError(
        f"{key!r} in {file.filename} is {what}: data in other files are never read through it",
        hint="Store the array itself, for example with h5py: "
        "`new['name'] = h5py.File(OLD)['name'][()]`; or name the other file.",
    )
