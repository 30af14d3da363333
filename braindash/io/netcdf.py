"""netCDF-4 files, by xarray and h5netcdf; what was looked up once in a file is remembered.

h5netcdf asks HDF5 for every object by its path whenever it needs one of its properties: hundreds
of times for a file of twenty variables, which is most of the time that a small file takes.
``benchmarks/bench_netcdf.py`` prints how much quicker files are opened and written with the memory.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import xarray as xr
from xarray.backends.h5netcdf_ import H5NetCDFStore


class _RememberingFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """An HDF5 file whose root group gives the same object when a path is asked for again."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str):  # a reference
            return super().__getitem__(name)
        path = name.strip("/")
        if not path:
            return self  # so that it hears of what is deleted in the root group
        if path not in self._found:
            self._found[path] = super().__getitem__(path)
        return self._found[path]

    def __delitem__(self, name: str) -> None:
        self._found.pop(name.strip("/"), None)
        super().__delitem__(name)


class _Written(io.FileIO):
    """A file that HDF5 can always close; the first error of a write is kept for later.

    HDF5 tries in vain to write what it holds when the disk is full, again at the end of the
    process, and says so in tracebacks that nobody can catch. Told that all went well it lets go.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, where the system takes a part only, too."""
        rest = memoryview(data)
        try:
            while self.failure is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextmanager
def written_hdf5(path: Path, form: type[h5py.File] = h5py.File, **options: Any) -> Iterator[Any]:
    """Write an HDF5 file; what a write fails with is raised once, when the file is closed.

    Parameters
    ----------
    path : Path
        What is there is replaced.
    form : type of h5py.File
    **options
        Of ``form``.

    Yields
    ------
    h5py.File

    Raises
    ------
    OSError
        When the disk is full or read-only.
    """
    with _Written(path, "w+") as written:
        try:
            with form(written, "w", **options) as file:
                yield file
        except Exception:
            # What was not written cannot be read again, if HDF5 asks for it.
            if written.failure is None:
                raise
        if written.failure is not None:
            raise written.failure


class _Store(H5NetCDFStore):
    """xarray's way into such a file, which is closed with it."""

    __slots__ = ("_file",)

    def __init__(self, file: h5py.File) -> None:
        mode = "r" if file.mode == "r" else "a"
        super().__init__(h5netcdf.File(file, mode, decode_vlen_strings=True), mode=mode)
        self._file = file

    def close(self, **options: Any) -> None:
        """Close both."""
        super().close(**options)  # type: ignore[no-untyped-call]
        self._file.close()


def open_netcdf(path: Path) -> xr.Dataset:
    """Open a netCDF-4 file; its arrays are read when they are used.

    Parameters
    ----------
    path : Path

    Returns
    -------
    xarray.Dataset
        To be closed, or used as a context manager.

    Raises
    ------
    OSError
        When it cannot be opened, or is no HDF5 file.
    """
    return _opened(_RememberingFile(path, "r"))


def _opened(file: h5py.File) -> xr.Dataset:
    try:
        return xr.open_dataset(_Store(file))
    except BaseException:
        file.close()
        raise


def load_netcdf(path: Path) -> xr.Dataset:
    """Read a netCDF-4 file as a whole; parameters and errors as of :func:`open_netcdf`."""
    with open_netcdf(path) as opened:
        return opened.load()


def write_netcdf(
    dataset: xr.Dataset, path: Path, encoding: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write a data set as a netCDF-4 file.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : Path
        What is there is replaced.
    encoding : mapping of str to mapping, optional
        Per variable, as of :meth:`xarray.Dataset.to_netcdf`.

    Raises
    ------
    OSError
        When the disk is full or read-only.
    """
    with written_hdf5(path, _RememberingFile, track_order=True) as file:
        store = _Store(file)
        dataset.dump_to_store(store, encoding=encoding or {})
        store.close()
