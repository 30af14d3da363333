"""Stored results as objects: an encoding result with its scores, regions and provenance."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from braindash.core.regions import region_means
from braindash.core.scores import CEILING_THRESHOLD, normalised_score
from braindash.io.atlases import SPHERE_LABEL, region_masks
from braindash.io.store import Entry

WHOLE = "all targets"


@dataclass(frozen=True)
class EncodingResult:
    """Layer-wise encoding scores of one model for one subject.

    Attributes
    ----------
    key : str
        The result's key in the store.
    folder : Path
        Its folder.
    spec, provenance : dict
        What was asked for; how it was made.
    dataset : xarray.Dataset
        ``r``, ``alpha``, ``cv_score`` (layer, target) and ``ceiling`` (target).
    """

    key: str
    folder: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]
    dataset: xr.Dataset

    @classmethod
    def load(cls, entry: Entry) -> "EncodingResult":
        """Read the arrays of a store entry of kind "encoding" into memory."""
        with entry.open() as dataset:
            loaded = dataset.load()
        return cls(entry.key, entry.folder, entry.spec, entry.provenance, loaded)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.provenance["model"]["name"])

    @property
    def subject(self) -> str:
        """Name of the subject."""
        return str(self.spec["subject"])

    @property
    def data(self) -> str:
        """Name of the data set."""
        return str(self.provenance["data"]["name"])

    @property
    def simulated(self) -> bool:
        """Whether the responses were made by a generator instead of a scanner."""
        return bool(self.provenance["data"]["simulated"])

    @property
    def space(self) -> str:
        """The space of the targets, such as "fsaverage5"."""
        return str(self.spec["space"])

    @property
    def n_layers(self) -> int:
        """Number of layers, the input of the first block included."""
        return int(self.dataset.sizes["layer"])

    @property
    def n_targets(self) -> int:
        """Number of response columns, those without a score included."""
        return int(self.dataset.sizes["target"])

    @cached_property
    def r(self) -> np.ndarray:
        """Pearson r on the test story, (n_layers, n_targets); NaN where there is no score."""
        return np.asarray(self.dataset["r"].values, dtype=np.float32)

    @cached_property
    def ceiling(self) -> np.ndarray:
        """Noise ceiling (n_targets,); all NaN when the data have none."""
        return np.asarray(self.dataset["ceiling"].values, dtype=np.float32)

    @cached_property
    def valid(self) -> np.ndarray:
        """Which targets have a score, bool (n_targets,)."""
        return np.isfinite(self.r).any(axis=0)

    @property
    def has_ceiling(self) -> bool:
        """Whether the data gave a noise ceiling."""
        return bool(self.spec["ceiling"] != "none")

    def scores(self, normalised: bool = False) -> np.ndarray:
        """Give r, or r divided by the ceiling where the ceiling exceeds its threshold.

        Returns
        -------
        ndarray of shape (n_layers, n_targets)
            Never clipped; NaN where there is no score.
        """
        if not normalised:
            return self.r
        normalised_r: np.ndarray = normalised_score(
            self.r, self.ceiling, threshold=CEILING_THRESHOLD
        )
        return normalised_r

    @cached_property
    def masks(self) -> dict[str, np.ndarray]:
        """Regions of this space, name to bool (n_targets,), with "all targets" first."""
        whole = {WHOLE: np.ones(self.n_targets, dtype=bool)}
        return whole | dict(region_masks(self.space, self.n_targets))

    def regions(self) -> pd.DataFrame:
        """Tabulate region means per layer.

        Returns
        -------
        pandas.DataFrame
            One row per layer and region: ``r`` (mean over the region's ``n_valid`` targets with a
            score), ``r_over_ceiling`` (mean over its ``n_above_threshold`` targets whose ceiling
            is high enough), ``ceiling`` (mean), ``n_targets``, ``coverage``, and the columns
            ``model``, ``subject`` and ``simulated``.
        """
        raw = region_means(self.r, self.masks).rename(columns={"value": "r"})
        normalised = region_means(self.scores(normalised=True), self.masks)
        above = region_means(self.ceiling[None], self.masks).set_index("region")["value"]
        table = raw.assign(
            r_over_ceiling=normalised["value"].to_numpy(),
            n_above_threshold=normalised["n_valid"].to_numpy(),
            ceiling=raw["region"].map(above).to_numpy(),
        )
        return table.assign(model=self.model, subject=self.subject, simulated=self.simulated)

    def provenance_line(self) -> str:
        """Say in one line where the numbers come from."""
        train = ", ".join(story["name"] for story in self.spec["train"])
        test = ", ".join(story["name"] for story in self.spec["test"])
        rows = sum(story["last_row"] - story["first_row"] for story in self.spec["train"])
        alphas = self.spec["alphas"]
        ceiling = self.provenance["ceiling"]
        stamp = "SIMULATED DATA · " if self.simulated else ""
        regions = f"regions: {SPHERE_LABEL} · " if len(self.masks) > 1 else ""
        return (
            f"{stamp}{self.data} · {self.model} · subject {self.subject} · train: {train} "
            f"({rows} rows) · test: {test} from row {self.spec['score_from_row'][0]} · "
            f"features: {self.provenance['strategy']} · delays {_listed(self.spec['delays'])} TR · "
            f"{len(alphas)} alphas {min(alphas):.3g} to {max(alphas):.3g}, leave-stories-out "
            f"{self.spec['metric']} · ceiling: {ceiling} · {regions}n = 1 subject · "
            f"braindash {self.provenance['versions']['braindash']} · key {self.key[:8]}"
        )


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values)
