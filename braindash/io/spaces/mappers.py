"""Sparse matrices that a data set brings along: from its columns to the vertices of fsaverage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.hdf5 import find_item, opened_hdf5
from braindash.io.spaces.surface_map import SurfaceMap, fsaverage_of
from braindash.io.surfaces import SPACES

NOTE = "voxels by the data set's own mapper"
PARTS = ("data", "indices", "indptr", "shape")

_HINT = (
    "A mapper is four arrays, NAME_data, NAME_indices, NAME_indptr and NAME_shape, in an HDF5 or "
    ".npz file: a sparse matrix (CSR) with one row per vertex of fsaverage, the left hemisphere "
    "first, and one column per column of the responses."
)

Arrays = Mapping[str, npt.NDArray[Any]]


def read_mapper(path: Path, name: str, n_targets: int) -> SurfaceMap:
    """Read a mapper.

    Parameters
    ----------
    path : Path
        HDF5, or what ``numpy.savez`` or ``scipy.sparse.save_npz`` wrote.
    name : str
        How the names of its four arrays begin; ``save_npz`` needs none.
    n_targets : int
        Columns of the responses.

    Returns
    -------
    SurfaceMap

    Raises
    ------
    InputError
        The file is missing or damaged, lacks an array, holds a matrix that is none, or one that
        does not fit the responses or leads to a mesh of unknown size.
    """
    refuse_placeholder(path, "mapper")
    if not path.is_file():
        raise InputError(
            f"there is no mapper {path}", hint="Check mapper in [[subjects]], or leave it out."
        )
    try:
        arrays = _from_npz(path, name) if path.suffix == ".npz" else _from_hdf5(path, name)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"the mapper {path} cannot be read: {error}", hint=_HINT) from error
    matrix = _matrix(arrays, path, name)
    mesh = _fitting_mesh(matrix, path, name, n_targets)
    return SurfaceMap(matrix, mesh, SPACES[mesh], NOTE)


def _from_hdf5(path: Path, name: str) -> Arrays:
    with opened_hdf5(path) as file:
        found = {}
        for part in PARTS:
            item = find_item(file, f"{name}_{part}")
            item = find_item(file, f"{name}/{part}") if item is None else item
            if not isinstance(item, h5py.Dataset):
                raise _lacks(path, f"{name}_{part}", list(file))
            found[part] = np.asarray(item)
    return found


def _from_npz(path: Path, name: str) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        if f"{name}_{PARTS[0]}" not in file and set(PARTS) <= set(file.files):
            if "format" in file and file["format"].item() not in (b"csr", "csr"):
                raise ValueError(f"it is of the form {file['format'].item()!r}, not csr")
            return {part: file[part] for part in PARTS}
        for part in PARTS:
            if f"{name}_{part}" not in file:
                raise _lacks(path, f"{name}_{part}", file.files)
        return {part: file[f"{name}_{part}"] for part in PARTS}


def _lacks(path: Path, key: str, there: list[str]) -> InputError:
    names = sorted(one.removesuffix("_indptr") for one in there if one.endswith("_indptr"))
    known = f"Its matrices: {', '.join(names)}; name one as mapper_key in [responses]. "
    return InputError(
        f"the mapper {path} has no array {key!r}", hint=(known if names else "") + _HINT
    )


def _matrix(arrays: Arrays, path: Path, name: str) -> sparse.csr_array:
    """Put the arrays together, after a look at every one of them."""

    def refuse(why: str) -> InputError:
        return InputError(f"{name} in the mapper {path} is no sparse matrix: {why}", hint=_HINT)

    for part, array in arrays.items():
        if array.dtype.kind not in ("f", "i", "u"):
            raise refuse(f"{part} holds {array.dtype}, not numbers")
    n_rows, n_columns = _shape(arrays["shape"], refuse)
    data = np.asarray(arrays["data"], dtype=np.float32).ravel()
    indices = np.asarray(arrays["indices"], dtype=np.int64).ravel()
    indptr = np.asarray(arrays["indptr"], dtype=np.int64).ravel()
    if len(indptr) != n_rows + 1:
        raise refuse(f"indptr has {len(indptr)} values for {n_rows} rows, not {n_rows + 1}")
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] != len(indices):
        raise refuse("indptr does not rise from 0 to the number of indices")
    if len(data) != len(indices):
        raise refuse(f"there are {len(data)} weights for {len(indices)} indices")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_columns):
        raise refuse(f"an index lies outside its {n_columns} columns")
    if not np.isfinite(data).all():
        raise refuse("some weights are NaN or infinite")
    matrix = sparse.csr_array((data, indices, indptr), shape=(n_rows, n_columns))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return _with_means(matrix)


def _shape(given: npt.NDArray[Any], refuse: Any) -> tuple[int, int]:
    if given.size != 2 or (np.asarray(given).ravel() <= 0).any():
        raise refuse(f"its shape is {np.asarray(given).tolist()}")
    n_rows, n_columns = (int(size) for size in np.asarray(given).ravel())
    return n_rows, n_columns


def _with_means(matrix: sparse.csr_array) -> sparse.csr_array:
    """Bring the weights of every row to a sum of 1: a vertex has the mean of its voxels."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.divide(1.0, sums, out=np.ones_like(sums), where=np.abs(sums) > 1e-6)
    matrix.data *= np.repeat(scale, np.diff(matrix.indptr)).astype(np.float32)
    return matrix


def _fitting_mesh(matrix: sparse.csr_array, path: Path, name: str, n_targets: int) -> str:
    n_rows, n_columns = matrix.shape
    mesh = fsaverage_of(n_rows)
    if n_columns != n_targets:
        turned = n_rows == n_targets and fsaverage_of(n_columns) is not None
        raise InputError(
            f"{name} in the mapper {path} has {n_columns} columns, the responses have {n_targets}",
            hint="It is transposed: store one row per vertex."
            if turned
            else "Is it the mapper of another subject? It needs one column per column of the "
            "responses.",
        )
    if mesh is None:
        sizes = ", ".join(f"{2 * count} ({space})" for space, count in SPACES.items())
        raise InputError(
            f"{name} in the mapper {path} leads to {n_rows} vertices, a mesh of unknown size",
            hint=f"Name a matrix to fsaverage as mapper_key: rows of both hemispheres, {sizes}.",
        )
    return mesh
