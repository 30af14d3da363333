"""Units of speech with features that hold their class, their loudness and who spoke."""

from dataclasses import dataclass

import numpy as np

from braindash.core.probes.split import Split, split_units


@dataclass
class SpokenUnits:
    """Arrays of one entry per unit; ``features`` (n_units, n_features) float32."""

    features: np.ndarray
    phone: np.ndarray
    values: np.ndarray
    recordings: np.ndarray
    speakers: np.ndarray
    split: Split


def spoken_units(
    seed: int = 0,
    *,
    n_units: int = 1200,
    n_features: int = 20,
    n_classes: int = 5,
    n_recordings: int = 30,
    n_speakers: int = 10,
    strength: float = 0.6,
) -> SpokenUnits:
    """Draw units; with ``strength`` 0 the features say nothing about them."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(2.0, 2 + n_classes)
    phone = rng.choice(n_classes, n_units, p=share / share.sum())
    recordings = np.sort(rng.integers(n_recordings, size=n_units))
    speakers = recordings % n_speakers
    values = np.stack([rng.standard_normal(n_units) * 3 + 50, rng.standard_normal(n_units)], axis=1)
    latent = rng.standard_normal((n_units, n_features))
    latent += strength * rng.standard_normal((n_classes, n_features))[phone]
    latent[:, :2] += strength * (values - [50, 0])
    latent += 0.3 * rng.standard_normal((n_speakers, n_features))[speakers]
    mixing = rng.standard_normal((n_features, n_features)) * np.arange(1, n_features + 1) ** -0.5
    features = (latent @ mixing.T * 4 + 100 * rng.standard_normal(n_features)).astype(np.float32)
    split = split_units(recordings, speakers=speakers, strata=phone, seed=seed)
    return SpokenUnits(features, phone, values, recordings, speakers, split)
