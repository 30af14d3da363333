"""What every stored result is: arrays, what was asked for, and how they were made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import xarray as xr

from braindash.io.store import Entry


@dataclass(frozen=True)
class StoredResult:
    """A result of one model, read from the store.

    Attributes
    ----------
    key : str
        The result's key in the store.
    folder : Path
        Its folder.
    spec, provenance : dict
        What was asked for; how it was made.
    dataset : xarray.Dataset
        The arrays, in memory.
    """

    key: str
    folder: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]
    dataset: xr.Dataset

    @classmethod
    def load(cls, entry: Entry) -> Self:
        """Read the arrays of a store entry into memory."""
        with entry.open() as dataset:
            loaded = dataset.load()
        return cls(entry.key, entry.folder, entry.spec, entry.provenance, loaded)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.provenance["model"]["name"])

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.provenance["data"]["name"])

    @property
    def simulated(self) -> bool:
        """Whether the data were made by a generator instead of being recorded."""
        return bool(self.provenance["data"]["simulated"])

    @property
    def n_layers(self) -> int:
        """Number of layers, the input of the first block included."""
        return int(self.dataset.sizes["layer"])
