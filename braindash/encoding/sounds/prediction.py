"""What kept weights predict for a sound: values over time, what they are, and contrasts of two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.io.entries import Entry
from braindash.io.predictions import pack

Floats = NDArray[np.float32]

# Features of a sound that are so much farther from the training's mean than the training's own.
_FAR = 2.0


@dataclass(frozen=True)
class SoundPrediction:
    """The predicted response of every target over time, for one sound or a contrast of two.

    Attributes
    ----------
    values : array of float32, shape (n_rows, n_targets)
        In ``units``; NaN for a target without a fit.
    times : array of float64, shape (n_rows,)
        Seconds from the start of the sound. Rows go on behind its end as long as a delay reaches
        back into it.
    n_heard : array of int, shape (n_rows,)
        How many of the delays of a row lie within the sound. What lies before and behind it counts
        as the training's mean, as rows before a story do in the fit.
    about : mapping
        What it is, as JSON values.
    """

    values: Floats
    times: NDArray[np.float64]
    n_heard: NDArray[np.int64]
    about: Mapping[str, Any]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Rows whose delays all lie within the sound, (n_rows,)."""
        return np.asarray(self.n_heard == len(self.about["delays"]))

    @property
    def tr(self) -> float:
        """Seconds between two rows."""
        return float(self.about["tr"])

    @property
    def units(self) -> str:
        """In what the values are."""
        return str(self.about["units"])

    @property
    def simulated(self) -> bool:
        """Whether the responses that the weights were fitted to are simulated."""
        return bool(self.about["simulated"])

    @property
    def is_contrast(self) -> bool:
        """Whether this is a difference of two predictions."""
        return "minus" in self.about

    def minus(self, other: "SoundPrediction") -> "SoundPrediction":
        """Subtract another prediction row by row, both counted from the start of their sound.

        Parameters
        ----------
        other : SoundPrediction
            Of the same targets at the same TR: for another sound, or by another model.

        Returns
        -------
        SoundPrediction
            Of the rows that both have.

        Raises
        ------
        InputError
            When the two are not of the same targets, rows or units.
        """
        for name in ("subject", "data", "space", "units", "tr"):
            if self.about[name] != other.about[name]:
                raise InputError(
                    f"two predictions differ in {name}: {self.about[name]!r} and "
                    f"{other.about[name]!r}",
                    hint="Contrast predictions for one subject of one data set.",
                )
        if self.values.shape[1] != other.values.shape[1]:
            raise InputError(
                f"one prediction has {self.values.shape[1]} targets, the other "
                f"{other.values.shape[1]}",
                hint="Contrast predictions for one subject of one data set.",
            )
        n_rows = min(len(self.values), len(other.values))
        heard = np.minimum(
            self.n_heard[:n_rows] - len(self.about["delays"]),
            other.n_heard[:n_rows] - len(other.about["delays"]),
        ) + len(self.about["delays"])
        simulated = self.simulated or other.simulated
        return SoundPrediction(
            self.values[:n_rows] - other.values[:n_rows],
            self.times[:n_rows],
            np.maximum(heard, 0),
            {**self.about, "simulated": simulated, "minus": dict(other.about)},
        )

    # ---- words ----------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Say what this is, a sentence each."""
        about = self.about
        people = about["members"]
        subject = f"the mean of {len(people)} subjects" if people else about["subject"]
        first = (
            f"Predicted response of {subject}{_stamp(self.simulated)} to {_heard(about)} by "
            f"{_by(about)}"
        )
        if self.is_contrast:
            first += f", minus that to {_heard(about['minus'])} by {_by(about['minus'])}"
        told = [f"{first}."]
        whom = "the mean of these subjects" if people else "this subject"
        told.append(f"It is a prediction for {whom}, not a measurement.")
        both = (about, about.get("minus", about))
        fitted = dict.fromkeys(str(one["trained_on"]) for one in both)
        told.append(f"The weights were {', and '.join(fitted)}.")
        told += [f"Units: {self.units}.", f"The weights are {about['precision']}."]
        farthest = max(one["feature_distance"] for one in both)
        if farthest > _FAR:
            told.append(
                f"The sound is unlike these stories: its features are {farthest:.1f} times as far "
                "from the training's mean as theirs, so the prediction is an extrapolation."
            )
        return told

    def caption(self) -> str:
        """Say what this is, in one paragraph."""
        return " ".join(self.lines())

    def sidecar(self) -> dict[str, Any]:
        """Return what files of this prediction say beside their numbers, as JSON values."""
        return {
            "Description": self.caption(),
            "Measured": False,
            "Simulated": self.simulated,
            "Units": self.units,
            "RepetitionTime": self.tr,
            "StartTime": round(float(self.times[0]), 6),
            "Times": [round(float(one), 6) for one in self.times],
            "DelaysWithinSound": [int(one) for one in self.n_heard],
            "AllDelaysWithinSound": [bool(one) for one in self.complete],
            "About": dict(self.about),
        }

    # ---- in the store ---------------------------------------------------------------------

    def to_dataset(self) -> xr.Dataset:
        """Return the arrays as the store keeps them: whole numbers with a scale per target."""
        packed, scale = pack(self.values)
        return xr.Dataset(
            {
                "prediction": (("time", "target"), packed),
                "prediction_scale": ("target", scale),
                "n_heard": ("time", self.n_heard.astype(np.int32)),
            },
            coords={"time": self.times},
        )

    @classmethod
    def load(cls, entry: Entry) -> "SoundPrediction":
        """Read what the store keeps."""
        values = entry.read("prediction") * entry.read("prediction_scale")
        return cls(
            np.asarray(values, dtype=np.float32),
            entry.read("time").astype(np.float64),
            entry.read("n_heard").astype(np.int64),
            entry.provenance["about"],
        )


def _stamp(simulated: bool) -> str:
    return " (simulated)" if simulated else ""


def _by(about: Mapping[str, Any]) -> str:
    return f"layer {about['layer']} of {about['model']}"


def _heard(about: Mapping[str, Any]) -> str:
    """Name a sound, with what was cut and altered."""
    sound = about["sound"]
    altered = sound["altered"]
    if altered["how"] == "as-is":
        how = ""
    elif altered["how"] == "reversed":
        how = " reversed"
    else:
        how = f" noise-vocoded in {altered['n_bands']} bands"
    return f"{sound['name']} ({sound['start']:.1f} to {sound['stop']:.1f} s){how}"
