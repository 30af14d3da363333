"""Simulated subjects: cortical responses to the demo's stories, from seeds.

A target's signal is a weighted sum of stimulus components (:mod:`braindash.demo.stimulus`). The
weights are random but smooth over the cortex, drawn anew for every subject and family; which
families a target follows depends on the region it lies in. Noise is smooth in space,
autocorrelated in time, and drifts. Runs are detrended and z-scored like preprocessed data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.signal import lfilter

from braindash.demo.stimulus import FAMILIES, Floats

Floats32 = NDArray[np.float32]

# How strongly each region follows each family. Regions that are not named follow nothing: an
# early visual disc is a control in the demo as in real data.
MIXTURES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "primary_auditory": {"acoustic": 1.0, "phonetic": 0.25, "lexical": 0.05, "semantic": 0.0},
        "early_auditory": {"acoustic": 0.9, "phonetic": 0.4, "lexical": 0.1, "semantic": 0.0},
        "superior_temporal": {"acoustic": 0.2, "phonetic": 1.0, "lexical": 0.4, "semantic": 0.15},
        "angular_gyrus": {"acoustic": 0.05, "phonetic": 0.1, "lexical": 0.25, "semantic": 1.0},
        "lateral_temporal": {"acoustic": 0.05, "phonetic": 0.1, "lexical": 0.25, "semantic": 1.0},
        "ifg_mfg": {"acoustic": 0.05, "phonetic": 0.1, "lexical": 0.25, "semantic": 1.0},
    }
)

SIGNAL_STRENGTH = 0.9  # standard deviation of the signal in the middle of a region, noise is 1
_CROWDING = 4  # with a high power the nearest region decides, with a low one regions blend
_FALL_OFF = 1.5  # signal strength is proximity to this power
_WEIGHT_SMOOTHING = 6  # rounds of averaging with the neighbours
_NOISE_SMOOTHING = 3
_STRENGTH_SMOOTHING = 8
_SMOOTH_NOISE, _WHITE_NOISE = 0.8, 0.6
_AUTOREGRESSION = 0.3
_DRIFT = 0.3
_DRIFT_SECONDS = (150.0, 400.0)


@dataclass(frozen=True)
class Cortex:
    """Where the simulated targets lie.

    Attributes
    ----------
    neighbours : sparse array of shape (n_targets, n_targets)
        True where two targets share an edge of the mesh.
    proximity : mapping of str to float array of shape (n_targets,)
        For every region how near each target is: 1 at the centre of a disc, 0 far away.
    missing : bool array of shape (n_targets,)
        Targets without data (the medial wall).
    """

    neighbours: sparse.csr_array
    proximity: Mapping[str, Floats]
    missing: NDArray[np.bool_]

    @property
    def n_targets(self) -> int:
        """Number of targets of both hemispheres."""
        return len(self.missing)


@dataclass(frozen=True)
class Subject:
    """One simulated subject.

    Attributes
    ----------
    number : int
        Its number, from 1; part of every seed.
    tuning : float32 array of shape (n_components, n_targets)
        Weights of the stimulus components, all families one after the other.
    """

    number: int
    tuning: Floats32


class Smoother:
    """Averages every target with its neighbours on the surface."""

    def __init__(self, neighbours: sparse.csr_array) -> None:
        kept = sparse.csr_array(neighbours, dtype=np.float32)
        kept = sparse.csr_array(kept + sparse.eye_array(kept.shape[0], dtype=np.float32))
        counts = np.asarray(kept.sum(axis=1)).ravel()
        self._average = sparse.csr_array(sparse.diags_array(1 / counts) @ kept, dtype=np.float32)

    def __call__(self, values: Floats32, rounds: int) -> Floats32:
        """Smooth values of shape (n_maps, n_targets), ``rounds`` times."""
        columns = np.ascontiguousarray(values.T)
        for _ in range(rounds):
            columns = self._average @ columns
        return np.ascontiguousarray(columns.T)


def disc_proximity(
    coordinates_mm: NDArray[np.floating], centre: int, radius_mm: float, side: slice
) -> Floats:
    """Say how near every target is to the centre of a disc.

    Parameters
    ----------
    coordinates_mm : array of shape (n_targets, 3)
        Positions of all targets in mm.
    centre : int
        The target in the middle.
    radius_mm : float
        Distance at which the proximity has fallen to ``exp(-1/2)``.
    side : slice
        Targets of the disc's hemisphere; all others get 0.

    Returns
    -------
    array of shape (n_targets,)
        ``exp(-d**2 / (2 radius**2))``, 0 in the other hemisphere.
    """
    proximity = np.zeros(len(coordinates_mm))
    distance = np.linalg.norm(coordinates_mm[side] - coordinates_mm[centre], axis=1)
    proximity[side] = np.exp(-0.5 * (distance / radius_mm) ** 2)
    return proximity


def family_shares(cortex: Cortex) -> dict[str, Floats]:
    """Blend the mixtures of nearby regions: family -> (n_targets,)."""
    weights = {name: cortex.proximity[name] ** _CROWDING for name in MIXTURES}
    total = np.sum(list(weights.values()), axis=0) + 1e-12
    return {
        family: np.sum([weights[name] * MIXTURES[name][family] for name in MIXTURES], axis=0)
        / total
        for family in FAMILIES
    }


def draw_subject(
    number: int,
    components: Sequence[Mapping[str, Floats]],
    cortex: Cortex,
    smoother: Smoother,
    *,
    seed: int,
) -> Subject:
    """Draw a subject's weights.

    Parameters
    ----------
    number : int
        Number of the subject.
    components : sequence of mapping of family to array of shape (n_rows, n_components)
        Components of the training stories: they set the strength of every target's signal.
    cortex : Cortex
        Where the targets lie.
    smoother : Smoother
        Averages over ``cortex.neighbours``.
    seed : int
        Seed of the whole simulation.

    Returns
    -------
    Subject
        Weights whose signal has, over the training stories, the standard deviation that the
        target's place on the cortex asks for.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
    shares = family_shares(cortex)
    tuning = []
    for family in FAMILIES:
        seen = np.concatenate([story[family] for story in components])
        draw = rng.standard_normal((seen.shape[1], cortex.n_targets), dtype=np.float32)
        weights = smoother(draw, _WEIGHT_SMOOTHING)
        weights /= weights.std(axis=1, keepdims=True)
        weights *= shares[family] / _signal_deviation(seen, weights)
        tuning.append(weights)
    joined = np.concatenate(tuning).astype(np.float32)
    seen = np.concatenate([_all_families(story) for story in components])
    unevenness = smoother(rng.random((1, cortex.n_targets), dtype=np.float32), _STRENGTH_SMOOTHING)
    nearest = np.max([cortex.proximity[name] for name in MIXTURES], axis=0)
    strength = SIGNAL_STRENGTH * nearest**_FALL_OFF * (0.8 + 0.4 * unevenness[0])
    joined *= strength / (_signal_deviation(seen, joined) + 1e-6)
    return Subject(number, joined.astype(np.float32))


def simulate_runs(
    subject: Subject,
    story_number: int,
    components: Mapping[str, Floats],
    cortex: Cortex,
    smoother: Smoother,
    *,
    n_repeats: int,
    tr: float,
    seed: int,
) -> Iterator[Floats32]:
    """Simulate presentations of one story.

    Parameters
    ----------
    subject : Subject
        Who listens.
    story_number : int
        Number of the story: part of the noise's seed.
    components : mapping of family to array of shape (n_rows, n_components)
        Stimulus components of the story.
    cortex : Cortex
        Where the targets lie.
    smoother : Smoother
        Averages over ``cortex.neighbours``.
    n_repeats : int
        Number of presentations.
    tr : float
        Seconds between two rows.
    seed : int
        Seed of the whole simulation.

    Yields
    ------
    float32 array of shape (n_rows, n_targets)
        One presentation, detrended and z-scored; NaN where the cortex has no data.
    """
    signal = _all_families(components).astype(np.float32) @ subject.tuning
    for repeat in range(n_repeats):
        sequence = np.random.SeedSequence([seed, subject.number, story_number, repeat])
        run = signal + _noise(np.random.default_rng(sequence), len(signal), tr, smoother, cortex)
        run = zscored(_detrended(run))
        run[:, cortex.missing] = np.nan
        yield run


def zscored(run: Floats32) -> Floats32:
    """Return every target mean 0 and standard deviation 1 over the rows of a run."""
    centred = run - run.mean(axis=0)
    return np.asarray(centred / centred.std(axis=0), dtype=np.float32)


def _all_families(components: Mapping[str, Floats]) -> Floats:
    return np.concatenate([components[family] for family in FAMILIES], axis=1)


def _signal_deviation(components: Floats, weights: Floats32) -> Floats32:
    """Compute the standard deviation of ``components @ weights`` without forming it."""
    covariance = np.cov(components, rowvar=False, bias=True).astype(np.float32)
    variance = np.einsum("ct,ct->t", weights, covariance @ weights)
    return np.asarray(np.sqrt(variance), dtype=np.float32)


def _noise(
    rng: np.random.Generator, n_rows: int, tr: float, smoother: Smoother, cortex: Cortex
) -> Floats32:
    """Draw noise of standard deviation 1, plus drift: (n_rows, n_targets)."""
    shape = (n_rows, cortex.n_targets)
    noise = smoother(rng.standard_normal(shape, dtype=np.float32), _NOISE_SMOOTHING)
    noise *= _SMOOTH_NOISE / noise.std()
    noise += _WHITE_NOISE * rng.standard_normal(shape, dtype=np.float32)
    noise = lfilter([1.0], [1.0, -_AUTOREGRESSION], noise, axis=0).astype(np.float32)
    noise /= noise.std()
    position = np.linspace(-1, 1, n_rows, dtype=np.float32)[:, None]
    slope, size, phase = (rng.standard_normal(shape[1], dtype=np.float32) for _ in range(3))
    period = rng.uniform(*_DRIFT_SECONDS)
    turns = 2 * np.pi * (np.arange(n_rows, dtype=np.float32)[:, None] * tr / period)
    noise += _DRIFT * (slope * position + size * np.sin(turns + np.pi * phase))
    return np.asarray(noise, dtype=np.float32)


def _detrended(run: Floats32) -> Floats32:
    """Take the quadratic trend out of every target."""
    trend = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(run)), 2)
    basis = np.linalg.qr(trend)[0].astype(np.float32)
    return np.asarray(run - basis @ (basis.T @ run), dtype=np.float32)
