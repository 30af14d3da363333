"""Frames of a recording in the store: written piece by piece, read some at a time.

``frames`` (time, layer, feature) float32 lies in one piece, so that neighbouring frames of all
layers are read in one go; beside it stands ``time`` in seconds and, where a grid stands for the
frames, ``mass`` (time).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.io.entries import Entry

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameFile:
    """Frames to be written as they are computed.

    Attributes
    ----------
    times : array of shape (n_frames,)
        Seconds.
    mass : array of shape (n_frames,) or None
        Frames that each stands for, of a grid.
    n_layers, n_features : int
        Of every frame.
    pieces : iterable of array of shape (n, n_layers, n_features), float32
        In order; used once.
    """

    times: NDArray[np.float64]
    mass: NDArray[np.float64] | None
    n_layers: int
    n_features: int
    pieces: Iterable[Floats]

    @property
    def n_bytes(self) -> int:
        """About how large the file becomes."""
        return 4 * len(self.times) * self.n_layers * self.n_features

    def write(self, path: Path) -> None:
        """Write the netCDF4 file, one piece in memory at a time."""
        shape = {"time": len(self.times), "layer": self.n_layers, "feature": self.n_features}
        with h5netcdf.File(path, "w") as file:
            file.dimensions = shape
            file.create_variable("time", ("time",), data=self.times)
            file.create_variable("layer", ("layer",), data=np.arange(self.n_layers))
            if self.mass is not None:
                file.create_variable("mass", ("time",), data=self.mass)
            frames = file.create_variable("frames", tuple(shape), np.float32)
            first = 0
            for piece in self.pieces:
                frames[first : first + len(piece)] = piece
                first += len(piece)
        if first != len(self.times):
            raise ValueError(f"{first} frames came for {len(self.times)} times")


@dataclass(frozen=True)
class KeptFrames:
    """Frames in the store, opened.

    Attributes
    ----------
    times : array of shape (n_frames,)
        Seconds.
    mass : array of shape (n_frames,) or None
        Frames that each stands for, of a grid.
    read : callable
        ``read(first, stop)`` returns frames as float32 (n_frames, n_layers, n_features).
    """

    times: NDArray[np.float64]
    mass: NDArray[np.float64] | None
    read: Callable[[int, int], Floats]


@contextmanager
def opened_frames(entry: Entry) -> Iterator[KeptFrames]:
    """Open frames of the store to read some of them."""
    with h5py.File(entry.result_file, "r") as file:
        frames = file["frames"]
        yield KeptFrames(
            np.asarray(file["time"][()], dtype=np.float64),
            np.asarray(file["mass"][()], dtype=np.float64) if "mass" in file else None,
            lambda first, stop: np.asarray(frames[first:stop], dtype=np.float32),
        )
