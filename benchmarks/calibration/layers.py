"""How often the best of many layers is called significant where no layer knows anything.

``python benchmarks/calibration/layers.py`` simulates predictions of 13 layers that share half, or
most, of their variance, or are as alike as they are near, and counts how often the p of the best
layer rejects a true null, beside the least p of the layers, which takes no account of the choice.
Then maps of the preferred layer: a tenth of the targets follow a few layers, and the share of the
others among those that the map shows is counted. ``--repeats`` sets the number of simulated targets
of each case (2000: some two minutes of one core), ``--write`` puts the table into the page
Science, ``--seed`` takes another world.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from story_noise import NOISES
from wide import report_wide
from written import Rate

from braindash.core.statistics.permutation import benjamini_hochberg, permutation_tests
from braindash.core.statistics.prewhitened import prewhitened_tests

N_LAYERS, CHUNK, N_TARGETS, EFFECT_SHARE = 13, 500, 2000, 0.1
GOAL, GOAL_FAR, ANY, FALSE = (0.04, 0.06), (0.0, 0.002), (0.0, 1.0), (0.0, 0.06)
DRAWN_AT_MOST = 4000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Noise, rows, and how alike layers are.

    ``alike`` is the share of variance that all layers have in common; with ``chained`` that of
    neighbouring layers, the likeness falling with every step.
    """

    response: str
    prediction: str
    n_rows: int
    alike: float
    chained: bool = False
    n_layers: int = N_LAYERS

    @property
    def name(self) -> str:
        """What is told of it."""
        shared = "neighbours share" if self.chained else "all share"
        return (
            f"{self.n_layers} layers, {shared} {self.alike:g}; response {self.response}, "
            f"prediction {self.prediction}, {self.n_rows} rows"
        )

    def predictions(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw (n_layers, n_rows, n)."""
        make, a = NOISES[self.prediction], self.alike
        own = make(rng, self.n_layers, n, self.n_rows)
        if self.chained:
            for layer in range(1, self.n_layers):
                own[layer] = a * own[layer - 1] + np.sqrt(1 - a**2) * own[layer]
        else:
            own = np.sqrt(a) * make(rng, n, self.n_rows) + np.sqrt(1 - a) * own
        return np.asarray(own.transpose(0, 2, 1))

    def response_of(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw (n_rows, n)."""
        return NOISES[self.response](rng, n, self.n_rows).T


CASES = (
    Case("mix", "hrf", 250, 0.5),
    Case("mix", "hrf", 250, 0.8),
    Case("mix", "hrf", 150, 0.95, chained=True),
    Case("1/f", "1/f", 300, 0.8),
    Case("AR .8", "AR .8", 150, 0.0),
    Case("mix", "hrf", 250, 0.9, chained=True, n_layers=33),
)
QUICK = (CASES[1], CASES[2])


def nulls(case: Case, n: int, rng: np.random.Generator) -> list[Rate]:
    """Count rejections of targets that share nothing with any layer."""
    best, far, least, drawn, n_drawn = 0, 0, 0, 0, 0
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        x, y = case.predictions(rng, size), case.response_of(rng, size)
        found = prewhitened_tests(x, y)
        best += int((found.best <= 0.05).sum())
        far += int((found.best <= 0.001).sum())
        least += int((found.p.min(axis=0) <= 0.05).sum())
        if case.response == "mix" and start < DRAWN_AT_MOST:
            drawn += int((permutation_tests(x, y, n_permutations=400).best <= 0.05).sum())
            n_drawn += size
    rates = [
        Rate(f"best layer of a true null at .05: {case.name}", best, n, GOAL),
        Rate(f"best layer of a true null at .001: {case.name}", far, n, GOAL_FAR),
        Rate(f"least p of the layers, for comparison: {case.name}", least, n, ANY),
    ]
    if n_drawn:
        told = f"best layer at .05, permuted blocks: {case.name}"
        rates.append(Rate(told, drawn, n_drawn, (0.04, 0.07)))
    return rates


def maps(case: Case, n_maps: int, rng: np.random.Generator) -> list[Rate]:
    """Count targets without any effect on maps of the preferred layer, masked by q of the best."""
    shown, false, there, found = 0, 0, 0, 0
    for _ in range(n_maps):
        x, y = case.predictions(rng, N_TARGETS), case.response_of(rng, N_TARGETS)
        real = rng.random(N_TARGETS) < EFFECT_SHARE
        layer = rng.integers(case.n_layers)
        y[:, real] = 0.4 * x[layer][:, real] + np.sqrt(1 - 0.4**2) * y[:, real]
        kept = benjamini_hochberg(prewhitened_tests(x, y).best) <= 0.05
        shown += int(kept.sum())
        false += int((kept & ~real).sum())
        there += int(real.sum())
        found += int((kept & real).sum())
    told = f"preferred-layer map, r = .4 in {EFFECT_SHARE:.0%} of {N_TARGETS} targets: {case.name}"
    return [
        Rate(f"false share, {told}", false, max(shown, 1), FALSE),
        Rate(f"effects shown, {told}", found, there, (0.8, 1.0)),
    ]


def measure_all(n: int, seed: int, cases: Sequence[Case] = CASES, *, n_maps: int = 3) -> list[Rate]:
    """Measure every rate, each case with draws of its own."""
    rates: list[Rate] = []
    for number, case in enumerate(cases):
        rates += nulls(case, n, np.random.default_rng([seed, number]))
    for number, case in enumerate(cases[:3]):
        if n_maps:
            rates += maps(case, n_maps, np.random.default_rng([seed, 100 + number]))
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two cases; half a minute")
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases, n_maps = (QUICK, 1) if options.quick else (CASES, 3)
    rates = measure_all(options.repeats, options.seed, cases, n_maps=n_maps)
    return report_wide("layers", rates, write=options.write)


if __name__ == "__main__":
    sys.exit(main())
