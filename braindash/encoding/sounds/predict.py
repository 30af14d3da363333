"""The step that predicts responses to any sound, from the weights that are kept of a result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.drift import high_passed
from braindash.core.scores import standardised
from braindash.core.timing import delayed
from braindash.encoding.sounds.kept import KeptWeights
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import BraindashError, InputError, ModelError
from braindash.io.weights import WeightsReader
from braindash.progress import NoProgress, Progress
from braindash.speech.acoustic.spaces import ACOUSTIC, find_space
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.checkpoints.locate import ModelFiles, locate

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel

Floats = NDArray[np.float32]

_TOLERANCE = 1e-6


def sound_rows(seconds: float, tr: float) -> int:
    """Count the rows of a sound: one at every TR from its start on, the last at or behind its end.

    Parameters
    ----------
    seconds : float
        How long it lasts.
    tr : float
        Seconds between two rows.
    """
    return max(1, math.ceil(seconds / tr - _TOLERANCE))


@dataclass(frozen=True)
class Predictor:
    """Predicts the responses of one subject by one layer of one model.

    Attributes
    ----------
    weights : KeptWeights
        What was fitted.
    source : str, optional
        Where the model lies; by default where it lay when it was fitted.
    device : {"auto", "cpu", "cuda"}
        Where it runs.
    """

    weights: KeptWeights
    source: str | None = None
    device: str = "auto"

    @cached_property
    def files(self) -> ModelFiles:
        """The model, found and known to be the one that the weights were fitted with.

        Raises
        ------
        ModelError
            When it is not there any more, or another.
        InputError
            When its features are made of annotations, which a sound alone does not have.
        """
        told = self.weights.told["model"]
        place = self.source or str(told["source"])
        named = f"the weights {self.weights.key[:8]} were fitted with {told['name']} (from {place})"
        acoustic = place.startswith(f"{ACOUSTIC}:")
        revision = None if self.source or acoustic else told.get("revision")
        try:
            found = locate(place, revision, precision=told["precision"])
        except BraindashError as error:
            raise ModelError(
                f"{named}, which is not there any more: {error.message}",
                hint=f"Put it back, or say where it lies now (--model). {error.hint}",
            ) from error
        if found.fingerprint != told["fingerprint"]:
            raise ModelError(
                f"{named}, but what lies there now is another model (fingerprint "
                f"{found.fingerprint[:8]}, not {told['fingerprint'][:8]}): its files, or the "
                "version of what draws or computes it, changed",
                hint="Say where the model lies that was fitted (--model), or compute the result "
                "again with this one, with --keep-weights.",
            )
        if found.family == ACOUSTIC and (tier := find_space(found.name).tier) is not None:
            raise InputError(
                f"{found.name} is made of annotated {tier}s, which a sound alone does not have",
                hint="Choose a result of a speech model, or of an acoustic space of the sound.",
            )
        return found

    @cached_property
    def model(self) -> "SpeechModel | AcousticModel":
        """The model, opened."""
        from braindash.speech.models import open_model

        return open_model(self.files, device=self.device)

    def of(self, weights: KeptWeights) -> "Predictor":
        """Return what predicts by other weights of the same model, which is opened once."""
        other = replace(self, weights=weights)
        vars(other).update(
            {name: vars(self)[name] for name in ("files", "model") if name in vars(self)}
        )
        return other

    def features(
        self, samples: Floats, times: ArrayLike, progress: Progress | None = None
    ) -> Floats:
        """Compute the layer's features of a sound as the fit's were made, not standardised.

        Parameters
        ----------
        samples : array of float32, shape (n_samples,)
            Mono, 16 kHz.
        times : array of shape (n_rows,)
            Seconds from its start.
        progress : Progress, optional
            Told of every window.

        Returns
        -------
        array of float32, shape (n_rows, n_features)
        """
        from braindash.speech.features import extract

        fit = self.weights.fit
        strategy = "exact" if fit["strategy"] == "frames" else fit["strategy"]
        found: Floats = extract(
            self.model,
            samples,
            times,
            strategy=strategy,
            layers=[self.weights.layer],
            tr=self.weights.tr,
            progress=progress or NoProgress(),
        )[0]
        if fit["high_pass"] is None:
            return found
        return np.asarray(high_passed(found, fit["high_pass"], self.weights.tr), dtype=np.float32)

    def predict(
        self,
        samples: ArrayLike,
        sound: Mapping[str, Any],
        progress: Progress | None = None,
    ) -> SoundPrediction:
        """Predict the response to a sound.

        Its features are standardised by the mean and the spread of the training stories, not by
        its own: a louder sound is louder to the weights, and two sounds can be compared.

        Parameters
        ----------
        samples : array of shape (n_samples,)
            Mono, 16 kHz.
        sound : mapping
            What it is: ``name``, ``start``, ``stop`` (seconds), ``altered``.
        progress : Progress, optional
            Told of every window of the model.

        Returns
        -------
        SoundPrediction
        """
        heard = np.asarray(samples, dtype=np.float32)
        seconds, tr = len(heard) / SAMPLE_RATE_HZ, self.weights.tr
        n_rows = sound_rows(seconds, tr)
        times = tr * np.arange(1, n_rows + 1)
        # The last row lies behind the end by less than one TR: that is silence.
        lacking = math.ceil(times[-1] * SAMPLE_RATE_HZ) - len(heard)
        padded = np.pad(heard, (0, max(0, lacking)))
        made = standardised(self.features(padded, times, progress), *self.weights.statistics)
        values, n_heard = respond(self.weights, made, n_after=max(self.weights.delays))
        after = times[-1] + tr * np.arange(1, len(values) - n_rows + 1)
        return SoundPrediction(
            values, np.concatenate([times, after]), n_heard, self._about(sound, made)
        )

    def _about(self, sound: Mapping[str, Any], features: Floats) -> dict[str, Any]:
        told, fit = self.weights.told, self.weights.fit
        varies = self.weights.statistics[1] > 0
        distance = float(np.sqrt(np.square(features[:, varies]).mean())) if varies.any() else 0.0
        return {
            "result": self.weights.result,
            "weights": self.weights.key,
            "layer": self.weights.layer,
            "model": told["model"]["name"],
            "strategy": fit["strategy"],
            "subject": fit["subject"],
            "members": fit["members"],
            "data": told["data"]["name"],
            "simulated": told["data"]["simulated"],
            "space": fit["space"],
            "units": fit["units"],
            "tr": fit["tr"],
            "delays": fit["delays"],
            "trained_on": self.weights.training_line,
            "precision": self.weights.precision_line,
            "standardised_by": "mean and spread of the training stories",
            "feature_distance": round(distance, 3),
            "sound": dict(sound),
        }


def respond(
    weights: KeptWeights, features: Floats, *, n_after: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Predict responses from features that are standardised already.

    Parameters
    ----------
    weights : KeptWeights
        Of the layer.
    features : array of float32, shape (n_rows, n_features)
        Of consecutive rows.
    n_after : int, default 0
        Rows behind the last one to go on for; like rows before the first one they count zeros.

    Returns
    -------
    values : array of float32, shape (n_rows + n_after, n_targets)
        NaN for targets without a fit.
    n_heard : array of int64, shape (n_rows + n_after,)
        How many delays of each row lie within the rows that are given.
    """
    n_rows, width = features.shape
    padded = np.concatenate([features, np.zeros((n_after, width), np.float32)])
    design = np.asarray(delayed(padded, weights.delays), dtype=np.float32)
    values = np.empty((len(design), weights.n_targets), dtype=np.float32)
    for columns, one, offset in WeightsReader(weights.entry).blocks():
        values[:, columns] = design @ one.reshape(-1, one.shape[-1]) + offset
    sources = np.arange(len(design))[:, None] - np.asarray(weights.delays)
    n_heard = ((sources >= 0) & (sources < n_rows)).sum(axis=1)
    return values, np.asarray(n_heard, dtype=np.int64)
