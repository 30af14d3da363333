"""How often intervals of groups hold the truth, where all subjects hear one test story.

``python benchmarks/calibration/groups.py`` simulates subjects whose responses follow a part of the
story that a model knows, another that it does not, and noise of their own; the model's errors are
largely the same in all subjects. Truth is the mean over all simulated stories and subjects. It
prints how often intervals of the mean, of the difference of two equally good models, and of the
weighted depth hold it, beside those of methods that look at subjects alone. ``--repeats`` sets the
number of simulated experiments of each kind (300: some six minutes of one core), ``--write`` puts
the table into the page Science, ``--seed`` takes another world.
"""

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from story_noise import NOISES, smoothed
from written import Rate, report

from braindash.core.statistics.bootstrap import block_counts, interval
from braindash.core.statistics.components import (
    SharedStoryMean,
    jackknife_values,
    shared_story_mean,
)
from braindash.core.statistics.depth import score_weighted_depth
from braindash.core.statistics.subjects import bootstrap_subjects, paired_difference

BLOCK_ROWS, N_SAMPLES, N_TARGETS = 10, 200, 3
# How much of each layer's prediction is right: the truth is a curve with a peak.
LAYERS = np.array([0.25, 0.4, 0.5, 0.4, 0.3])
SUBJECTS, ROWS, PAIRS = (3, 4, 6, 10, 20), (150, 300), (("mix", "hrf"), ("AR .6", "AR .6"))
HARD = (("1/f", "hrf"), ("AR .8", "AR .8"))
FEW, MANY, NULL = (0.90, 0.98), (0.92, 0.98), (0.01, 0.07)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Kinds of noise, sizes, and how subjects differ."""

    response: str
    prediction: str
    n_subjects: int
    n_rows: int

    def draw(self, rng: np.random.Generator, counts: Floats) -> tuple[Floats, Floats]:
        """Draw one experiment.

        Returns
        -------
        values : array of shape (2 models, n_subjects, n_layers)
            Mean r of a region.
        samples : array of shape (2 models, n_subjects, n_samples, n_layers)
            The same with blocks of rows drawn again.
        """
        n, rows, n_layers = self.n_subjects, self.n_rows, len(LAYERS)
        wrong, noise = NOISES[self.prediction], NOISES[self.response]
        known, unknown = smoothed(rng, 2, rows)
        common, own = wrong(rng, 1, n_layers, rows), wrong(rng, 2, n_layers, rows)
        errors = np.sqrt(0.5) * (common + own)
        weight = np.clip(LAYERS + 0.06 * rng.standard_normal((2, n, 1)), 0.05, 0.9)[..., None]
        x = weight * known + np.sqrt(1 - weight**2) * errors[:, None]
        x = x + 0.3 * wrong(rng, 2, n, n_layers, rows)
        follows = np.clip(0.6 + 0.15 * rng.standard_normal((n, 1, 1)), 0.1, 1.0)
        y = follows * known + 0.4 * unknown + noise(rng, n, N_TARGETS, rows)
        weights = np.concatenate([np.ones((1, rows)), counts]) / rows
        r = _weighted_r(weights, x, y)
        return r[..., 0, :], r[..., 1:, :]


def _weighted_r(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Correlate with weights of rows: mean over targets, (2, n_subjects, n_weights, n_layers)."""
    mean_x, mean_y = (one @ weights.T for one in (x, y))
    power_x, power_y = ((one**2) @ weights.T for one in (x, y))
    product = np.einsum("mnlr,ntr,sr->mnslt", x, y, weights, optimize=True)
    mean_x, power_x = (np.moveaxis(one, -1, 2)[..., None] for one in (mean_x, power_x))
    mean_y, power_y = (np.moveaxis(one, -1, 1)[None, :, :, None] for one in (mean_y, power_y))
    spread = np.sqrt((power_x - mean_x**2) * (power_y - mean_y**2))
    return np.asarray(((product - mean_x * mean_y) / spread).mean(axis=-1))


def experiments(world: World, n_repeats: int, seed: int) -> Iterator[dict[str, tuple[float, ...]]]:
    """Estimate all quantities in many experiments: estimate, low and high by method."""
    m = world.n_rows / BLOCK_ROWS
    for number in range(n_repeats):
        rng = np.random.default_rng([seed, number, world.n_subjects, world.n_rows])
        counts = block_counts(
            world.n_rows, n_samples=N_SAMPLES, block_rows=BLOCK_ROWS, seed=int(rng.integers(2**31))
        ).astype(float)
        values, samples = world.draw(rng, counts)
        best = int(LAYERS.argmax())
        one, other = values[..., best]
        drawn = samples[..., best]
        gap = shared_story_mean(one - other, drawn[0] - drawn[1], m)
        alone = paired_difference(one, other)
        mean = shared_story_mean(one, drawn[0], m)
        again = bootstrap_subjects(one, n_samples=2000, seed=number)
        depths = [jackknife_values(score_weighted_depth, part) for part in (values[0], samples[0])]
        depth = shared_story_mean(*depths, m)
        middle = float(score_weighted_depth(values[0].mean(axis=0)))
        yield {
            "mean": _ends(mean, float(mean.mean)),
            "mean, bootstrap over subjects alone": (
                float(mean.mean),
                *map(float, interval(again, n_units=world.n_subjects)),
            ),
            "difference": _ends(gap, float(gap.mean)),
            "difference, Student's over subjects alone": tuple(
                float(end) for end in (alone.mean, alone.low, alone.high)
            ),
            "difference, sign flips": (float(alone.p), np.nan, np.nan),
            "depth": _ends(depth, middle),
        }


def _ends(found: SharedStoryMean, estimate: float) -> tuple[float, float, float]:
    reach = float(found.reach())
    return estimate, estimate - reach, estimate + reach


def measure(n_repeats: int, seed: int, *, hard: bool = True) -> list[Rate]:
    """Count, over all worlds, how often each method is right.

    Parameters
    ----------
    n_repeats : int
        Experiments in each world.
    seed : int
        Of all draws.
    hard : bool, default True
        Slow noise as well, beside that of the goals.
    """
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    pairs = [(pair, "") for pair in PAIRS] + [(pair, ", slow noise") for pair in HARD] * hard
    for (pair, kind), n_subjects, n_rows in itertools.product(pairs, SUBJECTS, ROWS):
        found = list(experiments(World(*pair, n_subjects, n_rows), n_repeats, seed))
        group = f"{'3-4' if n_subjects < 5 else '6-20'} subjects{kind}"
        for name in found[0]:
            ends = np.array([one[name] for one in found])
            if name == "difference, sign flips":
                hits = ends[:, 0] > 0.05
            else:
                truth = 0.0 if name.startswith("difference") else ends[:, 0].mean()
                hits = (ends[:, 1] <= truth) & (truth <= ends[:, 2])
            counts[name, group] += hits.tolist()
    return [_rate(name, group, hits) for (name, group), hits in sorted(counts.items())]


def _rate(name: str, group: str, hits: list[bool]) -> Rate:
    right, n = sum(hits), len(hits)
    method = "" if "," in name else ", variance components"
    if name.startswith("difference"):
        alone = "alone" in name or "flips" in name
        band = (0.0, 1.0) if alone else NULL
        return Rate(f"{name}{method}, {group}: true null rejected", n - right, n, band)
    band = (0.0, 1.0) if "alone" in name else FEW if group.startswith("3-4") else MANY
    return Rate(f"{name}{method}, {group}: truth held", right, n, band)


def main() -> int:
    """Measure as the command line says; fail where a rate leaves its band by 4 standard errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    asked = parser.parse_args()
    return report("groups", measure(asked.repeats, asked.seed), write=asked.write)


if __name__ == "__main__":
    sys.exit(main())
