"""Predictions of the test rows, packed on disk: written layer by layer, read by columns.

A value is ``int16 * scale`` with one float32 scale per target (and layer): half the size of
float32, and far below what a correlation over some hundred rows can tell. A scale of NaN stands
for a target without a prediction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.io.netcdf import write_netcdf

_LARGEST = np.iinfo(np.int16).max
_CHUNK_TARGETS = 4096
# What a part has of every row, and its two axes.
_OF_ROWS = {"prediction", "time", "target"}


def pack(values: NDArray[np.floating]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Write values as whole numbers and one scale per target.

    Parameters
    ----------
    values : array of shape (n_rows, n_targets)
        In any unit.

    Returns
    -------
    packed : array of int16, shape (n_rows, n_targets)
        0 where a target holds a NaN.
    scale : array of float32, shape (n_targets,)
        ``values`` are ``packed * scale`` to half a scale; NaN where a target holds a NaN.
    """
    scale = (np.abs(values).max(axis=0) / _LARGEST).astype(np.float32)
    usable = np.isfinite(scale) & (scale > 0)
    divisor = np.where(usable, scale, 1.0)
    packed = np.rint(np.where(usable, values, 0.0) / divisor)
    # The scale is rounded to float32, so the largest value may come out one too large.
    limited = np.clip(packed, -_LARGEST, _LARGEST).astype(np.int16)
    return limited, np.where(np.isfinite(scale), scale, np.nan).astype(np.float32)


def layer_part(
    prediction: NDArray[np.floating], scores: Mapping[str, NDArray[np.floating]]
) -> xr.Dataset:
    """Make the part of one finished layer.

    Parameters
    ----------
    prediction : array of shape (n_rows, n_targets)
        Of all test rows.
    scores : mapping of str to array of shape (n_targets,)
        What the layer's regression gave, by name.

    Returns
    -------
    xarray.Dataset
        ``prediction`` (time, target), ``prediction_scale`` and the scores (target).
    """
    packed, scale = pack(prediction)
    named = {name: ("target", values.astype(np.float32)) for name, values in scores.items()}
    return xr.Dataset(
        {"prediction": (("time", "target"), packed), "prediction_scale": ("target", scale), **named}
    )


def read_part(path: Path, name: str) -> NDArray[Any]:
    """Read one array of a :func:`layer_part` from its file.

    It takes a millisecond; xarray looks at every variable first, which takes a hundred.
    """
    with h5py.File(path, "r") as file:
        return np.asarray(file[name][()])


@dataclass(frozen=True)
class PredictionFile:
    """All layers' predictions, to be written.

    Attributes
    ----------
    layers : sequence of Path
        Files with a :func:`layer_part` each, in the order of the layers.
    response : array of shape (n_rows, n_targets)
        Mean measured response of all test rows; NaN in every target of a censored row, which is
        kept as 0 and must not be scored.
    scored : bool array of shape (n_rows,)
        Rows that enter the scores.
    segment : int array of shape (n_rows,)
        Index of each row's test story, or stretch of it between censored rows.
    """

    layers: Sequence[Path]
    response: NDArray[np.floating]
    scored: NDArray[np.bool_]
    segment: NDArray[np.integer]

    @property
    def n_bytes(self) -> int:
        """About how large the file becomes."""
        return (len(self.layers) + 1) * self.response.size * 2

    def write(self, path: Path) -> None:
        """Write the netCDF4 file, one layer in memory at a time."""
        n_rows, n_targets = self.response.shape
        write_netcdf(self._small_arrays(), path)
        with h5netcdf.File(path, "a") as file:
            packed = file.create_variable(
                "prediction",
                ("layer", "time", "target"),
                np.int16,
                chunks=(1, n_rows, min(n_targets, _CHUNK_TARGETS)),
            )
            for index, part in enumerate(self.layers):
                packed[index] = read_part(part, "prediction")

    def _small_arrays(self) -> xr.Dataset:
        """Return every array but the predictions."""
        with h5py.File(self.layers[0], "r") as first:
            names = [name for name in first if name not in _OF_ROWS]
        layers = {
            name: (("layer", "target"), np.stack([read_part(part, name) for part in self.layers]))
            for name in names
        }
        censored = np.isnan(self.response).all(axis=1, keepdims=True)
        packed, scale = pack(np.where(censored, 0, self.response))
        return xr.Dataset(layers).assign(
            response=(("time", "target"), packed),
            response_scale=("target", scale),
            scored=("time", self.scored),
            segment=("time", self.segment.astype(np.int32)),
            layer=np.arange(len(self.layers)),
        )


@dataclass(frozen=True)
class PredictionReader:
    """Reads scored rows of stored predictions, a block of columns at a time.

    Attributes
    ----------
    dataset : xarray.Dataset
        An opened store entry of kind "predictions".
    """

    dataset: xr.Dataset

    @property
    def n_targets(self) -> int:
        """Number of response columns."""
        return int(self.dataset.sizes["target"])

    @cached_property
    def _scored(self) -> NDArray[np.bool_]:
        return np.asarray(self.dataset["scored"].values, dtype=bool)

    @cached_property
    def segments(self) -> NDArray[np.int32]:
        """Index of the test story, or stretch, of each scored row, (n_rows,)."""
        return np.asarray(self.dataset["segment"].values[self._scored], dtype=np.int32)

    def read(self, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read some targets.

        Parameters
        ----------
        columns : slice
            The targets.

        Returns
        -------
        predictions : array of float32, shape (n_layers, n_rows, n_columns)
            Of the scored rows; NaN for a target without a prediction.
        response : array of float32, shape (n_rows, n_columns)
            Mean measured response.
        """
        part = self.dataset.isel(target=columns)
        scale = part["prediction_scale"].values[:, None]
        predictions = part["prediction"].values[:, self._scored] * scale
        return predictions, self.response(columns)

    def response(self, columns: slice) -> NDArray[np.float32]:
        """Read the measured response of some targets, (n_rows, n_columns) of the scored rows."""
        part = self.dataset.isel(target=columns)
        packed = part["response"].values[self._scored]
        return np.asarray(packed * part["response_scale"].values, dtype=np.float32)


@dataclass(frozen=True)
class RowReader:
    """Reads stretches of rows, or single targets, of stored predictions: what is looked at in time.

    A value is NaN where its row was not scored (cut off, censored), or where the target has no
    prediction: nothing that was left out of a score looks like a response of 0.

    Attributes
    ----------
    path : Path
        The netCDF4 file of an entry of kind "predictions".
    """

    path: Path

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """Rows that enter the scores, (n_rows,)."""
        return np.asarray(read_part(self.path, "scored"), dtype=bool)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Layers, rows of all test stories, and targets."""
        with h5py.File(self.path, "r") as file:
            n_layers, n_rows, n_targets = file["prediction"].shape
        return int(n_layers), int(n_rows), int(n_targets)

    @cached_property
    def _scales(self) -> NDArray[np.float32]:
        """Of the response, then of every layer's prediction, (1 + n_layers, n_targets)."""
        of_response = read_part(self.path, "response_scale")
        return np.vstack([of_response[None], read_part(self.path, "prediction_scale")])

    def read(
        self, layer: int | None, rows: slice, target: int | None = None
    ) -> NDArray[np.float32]:
        """Read some rows.

        Parameters
        ----------
        layer : int or None
            Whose prediction; None for the mean measured response.
        rows : slice
            Among the rows of all test stories.
        target : int, optional
            Only this one.

        Returns
        -------
        float32 array of shape (n_rows, n_targets), or (n_rows,) of one target
        """
        columns: Any = slice(None) if target is None else target
        with h5py.File(self.path, "r") as file:
            if layer is None:
                packed = file["response"][rows, columns]
            else:
                packed = file["prediction"][layer, rows, columns]
        scale = self._scales[0 if layer is None else layer + 1][columns]
        values = np.asarray(packed * scale, dtype=np.float32)
        values[~self.scored[rows]] = np.nan
        return values
