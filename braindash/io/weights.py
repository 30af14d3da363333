"""Kept weights of one layer on disk: half precision with a scale per target, by blocks of targets.

A value is ``float16 * scale``, with the scale of a target its largest absolute weight: all weights
of a target lie between -1 and 1, where half precision rounds to 2^-11 of each, and what is smaller
than 6e-5 of the largest to 3e-8 of that. A scale of NaN stands for a target without a fit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.io.entries import Entry
from braindash.io.netcdf import write_netcdf

WEIGHTS = "weights"
"""Kind of what is kept."""

Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Block = tuple[slice, Halves, Floats, NDArray[np.float64]]


def halved(weights: Floats) -> tuple[Halves, Floats]:
    """Write weights in half precision.

    Parameters
    ----------
    weights : array of float32, shape (..., n_targets)
        NaN throughout a target without a fit.

    Returns
    -------
    halves : array of float16, shape (..., n_targets)
        0 in a target without a fit.
    scale : array of float32, shape (n_targets,)
        ``weights`` are ``halves * scale``; NaN in a target without a fit.
    """
    flat = weights.reshape(-1, weights.shape[-1])
    scale = np.abs(flat).max(axis=0).astype(np.float32)
    divisor = np.where(np.isfinite(scale) & (scale > 0), scale, np.float32(1))
    halves = (np.where(np.isfinite(scale), flat, 0) / divisor).astype(np.float16)
    return halves.reshape(weights.shape), np.where(np.isfinite(scale), scale, np.nan)


def doubled(halves: Halves, scale: Floats) -> Floats:
    """Return weights in single precision, as :func:`halved` had them but for its rounding."""
    return halves.astype(np.float32) * scale


@dataclass(frozen=True)
class WeightsFile:
    """Weights to be written, as they are made.

    Attributes
    ----------
    shape : tuple of int
        Delays, features and targets.
    small : mapping of str to (str, array)
        What else is kept, each with its one axis: "delay", "feature" or "target".
    blocks : callable
        Makes the weights: columns, ``halves`` (n_delays, n_features, n_columns), ``scale`` and
        ``offset`` (n_columns,).
    n_columns : int
        Targets of a block, which lie together on disk.
    """

    shape: tuple[int, int, int]
    small: Mapping[str, tuple[str, NDArray[np.generic]]]
    blocks: Callable[[], Iterator[Block]]
    n_columns: int

    @property
    def n_bytes(self) -> int:
        """About how large the file becomes."""
        n_delays, n_features, n_targets = self.shape
        return 2 * n_delays * n_features * n_targets + 16 * n_targets

    def write(self, path: Path) -> None:
        """Write the netCDF4 file, one block in memory at a time."""
        n_targets = self.shape[-1]
        write_netcdf(xr.Dataset(dict(self.small)), path)
        with h5netcdf.File(path, "a") as file:
            sizes = dict(zip(("delay", "feature", "target"), self.shape, strict=True))
            for name, size in sizes.items():
                if name not in file.dimensions:
                    file.dimensions[name] = size
            chunks = (*self.shape[:2], min(self.n_columns, n_targets))
            packed = file.create_variable("weights", tuple(sizes), np.float16, chunks=chunks)
            scale = file.create_variable("scale", ("target",), np.float32)
            offset = file.create_variable("offset", ("target",), np.float64)
            for columns, halves, scales, offsets in self.blocks():
                packed[:, :, columns] = halves
                scale[columns], offset[columns] = scales, offsets


@dataclass(frozen=True)
class WeightsReader:
    """Reads kept weights, some targets at a time.

    Attributes
    ----------
    entry : Entry
        Of kind "weights".
    """

    entry: Entry

    def small(self, name: str) -> NDArray[np.generic]:
        """Read one of the small arrays as a whole."""
        return self.entry.read(name)

    def blocks(self) -> Iterator[tuple[slice, Floats, NDArray[np.float64]]]:
        """Yield targets, their weights (n_delays, n_features, n_columns) and offsets."""
        with h5py.File(self.entry.result_file, "r") as file:
            packed, step = file["weights"], file["weights"].chunks[-1]
            for start in range(0, packed.shape[-1], step):
                columns = slice(start, min(start + step, packed.shape[-1]))
                scale = file["scale"][columns]
                yield columns, doubled(packed[:, :, columns], scale), file["offset"][columns]
