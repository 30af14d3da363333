"""How often true nulls are rejected where the subjects' differences are skewed.

``python benchmarks/calibration/skewed.py`` draws differences of mean 0 that are normal, exponential
or log-normal, for independent subjects, and counts how often Student's t, sign flips, Wilcoxon's
signed ranks and the bootstrap-t reject at .05. ``--repeats`` sets the number of groups of each case
(4000: half a minute of one core), ``--write`` puts the table into the page Science, ``--seed``
takes another world.
"""

import argparse
import sys
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from wide import report_wide
from written import Rate

from braindash.core.statistics.subjects import paired_difference

SUBJECTS, WIDTH = (6, 8, 10, 15, 20), 0.8
# Only the bootstrap-t of many is meant to be right; few subjects say too little of a skew.
BANDS: Mapping[str, tuple[float, float]] = {"normal": (0.04, 0.07), "exponential": (0.04, 0.09)}

Floats = NDArray[np.float64]
DIFFERENCES: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "log-normal": lambda rng, shape: (
        np.exp(WIDTH * rng.standard_normal(shape)) - np.exp(WIDTH**2 / 2)
    ),
}


def measure_all(n_repeats: int, seed: int) -> list[Rate]:
    """Count rejections of every test in every case."""
    rates = []
    for number, (kind, make) in enumerate(DIFFERENCES.items()):
        for n_subjects in SUBJECTS:
            rng = np.random.default_rng([seed, number, n_subjects])
            gap = make(rng, (n_subjects, n_repeats))
            found = paired_difference(gap, np.zeros_like(gap))
            tests = {
                "Student's t": stats.ttest_1samp(gap, 0).pvalue,
                "sign flips": found.p,
                "signed ranks": found.p_ranks,
                "bootstrap-t": found.p_boot,
            }
            for name, p in tests.items():
                band = BANDS.get(kind, (0.0, 1.0)) if name == "bootstrap-t" else (0.0, 1.0)
                what = f"true null rejected by {name}: {kind} differences, {n_subjects} subjects"
                rates.append(Rate(what, int((p <= 0.05).sum()), n_repeats, band))
    return rates


def main() -> int:
    """Measure as the command line says; fail where a rate leaves its band by 4 standard errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    asked = parser.parse_args()
    return report_wide("skewed", measure_all(asked.repeats, asked.seed), write=asked.write)


if __name__ == "__main__":
    sys.exit(main())
