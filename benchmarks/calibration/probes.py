"""How often intervals of probes hold the truth, where speakers have several recordings.

``python benchmarks/calibration/probes.py`` simulates answers of a probe to test units: speakers
differ in how well they are understood, and so do their recordings. Truth is the score over very
many speakers. It prints how often 95 % intervals hold it, of accuracy, balanced accuracy and R^2,
over the speakers (as braindash draws) and over the recordings (as it did before).
``--repeats`` sets the number of simulated test parts of each kind (1000: about a minute of one
core), ``--write`` puts the table into the page Science, ``--seed`` takes another world.
"""

import argparse
import itertools
import sys

import numpy as np
from numpy.typing import NDArray
from written import Rate, report

from braindash.core.probes.metrics import (
    ClassSums,
    ValueSums,
    measure,
    piece_counts,
    resampled,
)
from braindash.core.statistics.bootstrap import interval_of_units

N_SAMPLES, N_CLASSES, UNITS_OF_RECORDING, RECORDINGS_OF_SPEAKER = 400, 6, 30, 4
# Spread of speakers and recordings on the scale of log odds, and of the share of variance.
SPEAKER, RECORDING = 0.6, 0.3
SPEAKERS, MANY_SPEAKERS = (4, 6, 8, 12, 20, 40), 20_000
FEW_BAND, BAND, NO_BAND = (0.88, 0.98), (0.92, 0.98), (0.0, 1.0)
METRICS = ("accuracy", "balanced_accuracy", "r2")

Floats = NDArray[np.float64]
Sums = ClassSums | ValueSums


def answers(metric: str, n_speakers: int, rng: np.random.Generator) -> Sums:
    """Draw what a probe answered, summed up by recording; those of a speaker stand together."""
    n_recordings = n_speakers * RECORDINGS_OF_SPEAKER
    speaker = np.repeat(SPEAKER * rng.standard_normal(n_speakers), RECORDINGS_OF_SPEAKER)
    level = speaker + RECORDING * rng.standard_normal(n_recordings)
    if metric == "r2":
        true = rng.standard_normal((n_recordings, UNITS_OF_RECORDING))
        error = np.exp(-0.4 * level)[:, None] * rng.standard_normal(true.shape) * 0.6
        sums = ((error**2).sum(axis=1), true.sum(axis=1), (true**2).sum(axis=1))
        n_units = np.full((n_recordings, 1), float(UNITS_OF_RECORDING))
        return ValueSums(n_units, *(one[:, None] for one in sums))
    share = 1 / np.arange(1.0, N_CLASSES + 1)
    true = rng.multinomial(UNITS_OF_RECORDING, share / share.sum(), n_recordings).astype(float)
    hard = np.linspace(0.8, -0.4, N_CLASSES)
    right = rng.binomial(true.astype(int), 1 / (1 + np.exp(-(level[:, None] + hard))))
    return ClassSums(right.astype(float), true, true)


def by_speaker(sums: Sums) -> Sums:
    """Add up the recordings of every speaker."""
    return type(sums)(
        *(one.reshape(-1, RECORDINGS_OF_SPEAKER, one.shape[1]).sum(axis=1) for one in sums)
    )


def scores(metric: str, sums: Sums, counts: Floats) -> Floats:
    """Score every sample of pieces."""
    return measure(resampled(sums, counts))[metric]


def measure_all(n_repeats: int, seed: int) -> list[Rate]:
    """Count how often each interval holds the truth."""
    rates = []
    for metric, n_speakers in itertools.product(METRICS, SPEAKERS):
        many = answers(metric, MANY_SPEAKERS, np.random.default_rng(seed))
        truth = float(scores(metric, many, np.ones((1, len(many[0])), np.float32))[0])
        held = {"speakers": 0, "recordings": 0}
        for number in range(n_repeats):
            rng = np.random.default_rng([seed, number, n_speakers])
            recordings = answers(metric, n_speakers, rng)
            for name, sums in (("speakers", by_speaker(recordings)), ("recordings", recordings)):
                n_pieces = len(sums[0])
                estimate = scores(metric, sums, np.ones((1, n_pieces), np.float32))[0]
                drawn = scores(metric, sums, piece_counts(n_pieces, N_SAMPLES, number))
                low, high = interval_of_units(estimate, drawn, n_pieces)
                held[name] += bool(low <= truth <= high)
        band = FEW_BAND if n_speakers < 8 else BAND
        for name, limits in (("speakers", band), ("recordings", NO_BAND)):
            what = f"{metric} of {n_speakers} speakers, over {name}: truth held"
            rates.append(Rate(what, held[name], n_repeats, limits))
    return rates


def main() -> int:
    """Measure as the command line says; fail where a rate leaves its band by 4 standard errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    asked = parser.parse_args()
    return report("probes", measure_all(asked.repeats, asked.seed), write=asked.write)


if __name__ == "__main__":
    sys.exit(main())
