"""What every stored result is: arrays, what was asked for, and how they were made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import xarray as xr

from braindash.io.store import Entry
from braindash.specs import VERSIONED, older_version


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

    kind: ClassVar[str]

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
        spec, arrays = cls._as_today(entry.spec, loaded)
        return cls(entry.key, entry.folder, spec, entry.provenance, arrays)

    @classmethod
    def _as_today(
        cls, spec: dict[str, Any], dataset: xr.Dataset
    ) -> tuple[dict[str, Any], xr.Dataset]:
        """Put what a result says into the form of today's version; its numbers stay."""
        kind = VERSIONED[cls.kind]
        if older_version(cls.kind, spec):
            return spec, dataset
        # Every field, also those that the canonical form leaves out.
        whole = kind.from_canonical(spec).model_dump(mode="json")
        return {"kind": kind.kind, **whole}, dataset

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
    def older(self) -> str:
        """How it was computed, where an older version did otherwise than today's; else empty."""
        return older_version(self.kind, self.spec)

    @property
    def n_layers(self) -> int:
        """Number of layers, the input of the first block included."""
        return int(self.dataset.sizes["layer"])
