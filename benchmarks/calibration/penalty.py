"""How much a penalty of its own costs a target where the signal is low.

``python benchmarks/calibration/penalty.py`` simulates targets that follow a few of many features,
from hardly any signal to much, and fits them with one penalty per target, per group of alike
targets ("region") and for all ("shared"), each chosen by held-out stories. It prints the mean r on
new stories, and that of the best penalty in hindsight. ``--repeats`` sets the number of simulated
data sets of each strength (20: half a minute of one core), ``--write`` puts the table into the
page Science, ``--seed`` takes another world.
"""

import argparse
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from story_noise import autoregressive
from written import replaced

from braindash.core.ridge.model import RidgeCV
from braindash.core.scores import pearson_r

ALPHAS = tuple(10.0 ** (step / 2) for step in range(17))
N_STORIES, STORY_ROWS, TEST_ROWS, N_FEATURES, N_TARGETS = 6, 60, 300, 40, 120
STRENGTHS = (0.15, 0.25, 0.4, 0.8)
LEAST_SHARE = 0.9
REGIONS = np.arange(N_TARGETS) % 3

Floats = NDArray[np.float64]


def world(strength: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw features and responses of training stories and then of the test rows."""
    n_rows = N_STORIES * STORY_ROWS + TEST_ROWS
    features = autoregressive(0.7)(rng, N_FEATURES, n_rows).T
    # Regions differ in how many features they follow, so in the penalty that suits them.
    weights = rng.standard_normal((N_FEATURES, N_TARGETS))
    weights *= np.arange(N_FEATURES)[:, None] < np.array([4, 12, 40])[REGIONS]
    signal = features @ (weights / np.linalg.norm(weights, axis=0))
    noise = autoregressive(0.5)(rng, N_TARGETS, n_rows).T
    return features, np.roll(strength * signal, 2, axis=0) + noise


def scores(strength: float, seed: int) -> dict[str, float]:
    """Return the mean r of every rule on one data set."""
    features, responses = (
        one.astype(np.float32) for one in world(strength, np.random.default_rng(seed))
    )
    stories = np.repeat(np.arange(N_STORIES), STORY_ROWS)
    train, test = slice(0, len(stories)), slice(len(stories), None)

    def mean_r(pools: NDArray[np.int64] | None, alphas: tuple[float, ...] = ALPHAS) -> float:
        plan = RidgeCV(features[train], stories, alphas=alphas)
        fit = plan.fit(responses[train], features[test], return_prediction=True, pools=pools)
        return float(np.nanmean(pearson_r(fit.prediction, responses[test])))

    return {
        "target": mean_r(None),
        "region": mean_r(REGIONS),
        "shared": mean_r(np.zeros(N_TARGETS, dtype=np.int64)),
        "best in hindsight": max(mean_r(None, (alpha,)) for alpha in ALPHAS),
    }


def table(n_repeats: int, seed: int) -> tuple[list[str], dict[float, dict[str, float]]]:
    """Return the table as Markdown, and its means."""
    lines = ["| strength | target | region | shared | best in hindsight |", "| --- " * 5 + "|"]
    means = {}
    for strength in STRENGTHS:
        found = [scores(strength, seed + number) for number in range(n_repeats)]
        values = {name: np.array([one[name] for one in found]) for name in found[0]}
        means[strength] = {name: float(one.mean()) for name, one in values.items()}
        cells = [
            f"{one.mean():.3f} ± {one.std(ddof=1) / n_repeats**0.5:.3f}" for one in values.values()
        ]
        lines.append(f"| {strength:g} | {' | '.join(cells)} |")
    return lines, means


def costly(means: Mapping[str, float]) -> list[str]:
    """Name the rules whose mean r is more than a tenth below that of the best in hindsight."""
    least = LEAST_SHARE * means["best in hindsight"]
    return [name for name, mean in means.items() if mean < least]


def main() -> int:
    """Measure as the command line says; fail where a rule costs a tenth at the lowest signal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    asked = parser.parse_args()
    lines, means = table(asked.repeats, asked.seed)
    print("\n".join(lines))
    if asked.write:
        replaced("penalty", lines)
    return len(costly(means[STRENGTHS[0]]))


if __name__ == "__main__":
    sys.exit(main())
