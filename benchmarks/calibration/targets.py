"""How often targets that share nothing with a prediction are called significant, and others found.

``python benchmarks/calibration/targets.py`` simulates responses and predictions with noise of many
kinds, and counts how often the tests of one target reject: a true null at .05, .01 and .001, a
signal beside permuted blocks at the same cases, effects in one target of a hundred after false
discovery control, and two models that predict equally well, with and without a signal. It also
prints mean r of a fixed signal with and without the high-pass filter. ``--repeats`` sets the number
of simulated targets of each case (8000: some two minutes of one core), ``--write`` puts the
table into the page Science, ``--seed`` takes another world.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from story_noise import NOISES, TR_SECONDS, autoregressive, one_over_f, smoothed
from wide import report_wide
from written import Rate

from braindash.core.drift import HIGH_PASS_SECONDS, high_passed
from braindash.core.scores import pearson_r
from braindash.core.statistics.permutation import benjamini_hochberg, permutation_tests
from braindash.core.statistics.prewhitened import prewhitened_difference, prewhitened_tests

Floats = NDArray[np.float64]
Make = Callable[..., Floats]

# Levels, and where the rate of true nulls is meant to lie.
LEVELS = {0.05: (0.04, 0.065), 0.01: (0.006, 0.016), 0.001: (0.0, 0.002)}
# The same of a difference, which has two sides.
CHUNK = 2000
# Permuted blocks take longer: so many targets at most, for their power.
DRAWN_AT_MOST = 4000
N_TARGETS, EFFECT_SHARE = 4000, 0.01
WORTH_FINDING = (0.8, 1.0)


def with_trend(rng: np.random.Generator, *shape: int) -> Floats:
    """Noise smoothed by the haemodynamic response on a slope of its own."""
    slope = 2 * rng.standard_normal((*shape[:-1], 1))
    return np.asarray((smoothed(rng, *shape) + slope * np.linspace(-1, 1, shape[-1])) / 1.5)


def drifting(rng: np.random.Generator, *shape: int) -> Floats:
    """Half smoothed by the haemodynamic response, half 1/f: a drifting scanner."""
    return np.asarray((smoothed(rng, *shape) + one_over_f(rng, *shape)) / np.sqrt(2))


def ridge_like(rng: np.random.Generator, *shape: int) -> Floats:
    """White features through the smooth response that a ridge regression over delays learns."""
    kernel = np.convolve(np.ones(4) / 2, np.exp(-0.5 * np.arange(4)))
    white = rng.standard_normal((*shape[:-1], shape[-1] + 50))
    return np.asarray(lfilter(kernel / np.linalg.norm(kernel), [1.0], white)[..., 50:])


KINDS: dict[str, Make] = NOISES | {
    "AR .9": autoregressive(0.9),
    "hrf + trend": with_trend,
    "hrf + 1/f": drifting,
    "ridge": ridge_like,
}


@dataclass(frozen=True)
class Case:
    """Noise of response and prediction, and the rows of each story."""

    response: str
    prediction: str
    stories: tuple[int, ...]

    @property
    def name(self) -> str:
        """Response, prediction, rows."""
        rows = " + ".join(map(str, self.stories))
        return f"response {self.response}, prediction {self.prediction}, {rows} rows"

    @property
    def segments(self) -> NDArray[np.int64]:
        """Story of each row."""
        return np.repeat(np.arange(len(self.stories)), self.stories)

    def raw(self, rng: np.random.Generator, n: int, *, of: str) -> Floats:
        """Draw series (n_rows, n) of variance 1 in endless time."""
        return np.concatenate([KINDS[of](rng, n, rows).T for rows in self.stories])

    def draw(self, rng: np.random.Generator, n: int, *, of: str) -> Floats:
        """Draw series (n_rows, n), each story standardised by itself."""
        stories = [KINDS[of](rng, n, rows).T for rows in self.stories]
        return np.concatenate([(one - one.mean(0)) / one.std(0) for one in stories])


CASES = (
    Case("mix", "hrf", (250,)),
    Case("AR .6", "AR .6", (150,)),
    Case("AR .8", "AR .8", (250,)),
    Case("AR .9", "AR .9", (500,)),
    Case("1/f", "1/f", (150,)),
    Case("1/f", "1/f", (500,)),
    Case("1/f", "1/f", (125, 125)),
    Case("1/f", "hrf", (1000,)),
    Case("hrf", "1/f", (150,)),
    Case("mix", "ridge", (125, 125)),
    Case("hrf + trend", "hrf + trend", (300,)),
    Case("hrf + 1/f", "hrf + 1/f", (500,)),
)
QUICK = (CASES[1], CASES[5], CASES[9])


def pieces(n: int, at_once: int = CHUNK) -> Iterator[int]:
    """Yield the sizes of chunks that add up to n."""
    for start in range(0, n, at_once):
        yield min(at_once, n - start)


def nulls(case: Case, n: int, rng: np.random.Generator) -> list[Rate]:
    """Count rejections of targets that share nothing with their prediction."""
    counts = dict.fromkeys(LEVELS, 0)
    for size in pieces(n):
        y, x = (case.draw(rng, size, of=kind) for kind in (case.response, case.prediction))
        p = prewhitened_tests(x[None], y, segments=case.segments).p
        for level in LEVELS:
            counts[level] += int((p <= level).sum())
    return [
        Rate(f"true null at {level:g}: {case.name}", counts[level], n, band)
        for level, band in LEVELS.items()
    ]


def powers(case: Case, n: int, rng: np.random.Generator) -> list[Rate]:
    """Count how often a signal is found, by the prewhitened test and by permuted blocks."""
    found, n = {"prewhitened": 0, "blocks": 0}, min(n, DRAWN_AT_MOST)
    share = 2.3 / np.sqrt(sum(case.stories))
    for size in pieces(n):
        y, x = (case.draw(rng, size, of=kind) for kind in (case.response, case.prediction))
        y = y + share * x
        tests = {
            "prewhitened": prewhitened_tests(x[None], y, segments=case.segments),
            "blocks": permutation_tests(x[None], y, segments=case.segments, n_permutations=400),
        }
        for name, tested in tests.items():
            found[name] += int((tested.p <= 0.05).sum())
    today = found["blocks"] / n
    return [
        Rate(f"signal found at .05 by {name}: {case.name}", count, n, band)
        for (name, count), band in zip(
            found.items(), ((today - 0.02, 1.0), (0.0, 1.0)), strict=True
        )
    ]


def rare(case: Case, r: float, n_maps: int, rng: np.random.Generator) -> list[Rate]:
    """Count effects found in one target of a hundred, and false ones among those found."""
    found, false, there = 0, 0, 0
    for _ in range(n_maps):
        y, x = (case.draw(rng, N_TARGETS, of=kind) for kind in (case.response, case.prediction))
        real = rng.random(N_TARGETS) < EFFECT_SHARE
        y[:, real] = r * x[:, real] + np.sqrt(1 - r**2) * y[:, real]
        q = benjamini_hochberg(prewhitened_tests(x[None], y, segments=case.segments).p)[0]
        found += int(((q <= 0.05) & real).sum())
        false += int(((q <= 0.05) & ~real).sum())
        there += int(real.sum())
    told = f"r = {r:g} in 1 % of {N_TARGETS} targets, q ≤ .05: {case.name}"
    return [
        Rate(f"effects found, {told}", found, there, WORTH_FINDING),
        Rate(f"false among those found, {told}", false, max(found + false, 1), (0.0, 0.06)),
    ]


def differences(case: Case, share: float, n: int, rng: np.random.Generator) -> list[Rate]:
    """Count rejections of two models that predict equally well; they share half their errors."""
    counts = dict.fromkeys(LEVELS, 0)
    for size in pieces(n):
        # Not standardised: by the spread of a slow series, models would get unequal errors.
        signal, common, *own = (case.raw(rng, size, of=case.prediction) for _ in range(4))
        noise = case.raw(rng, size, of=case.response)
        y = np.sqrt(share) * signal + np.sqrt(1 - share) * noise
        a, b = ((signal if share else 0) + 0.5 * common + 0.7 * one for one in own)
        p = prewhitened_difference(a[None], b[None], y, segments=case.segments).p
        for level in LEVELS:
            counts[level] += int((p <= level).sum())
    what = f"signal in {share:.0%} of the response" if share else "no signal"
    return [
        Rate(f"equal models at {level:g}, {what}: {case.name}", counts[level], n, band)
        for level, band in LEVELS.items()
    ]


def measure_all(
    n: int, seed: int, cases: Sequence[Case] = CASES, *, n_maps: int = 10
) -> list[Rate]:
    """Measure every rate, each case with draws of its own."""
    rates: list[Rate] = []
    for number, case in enumerate(cases):
        rng = np.random.default_rng([seed, number])
        rates += nulls(case, n, rng)
        rates += powers(case, n, rng)
    for number, (case, r) in enumerate(itertools.product((CASES[0], CASES[9]), (0.4, 0.7))):
        if n_maps:
            rates += rare(case, r, n_maps, np.random.default_rng([seed, 100 + number]))
    for number, (case, share) in enumerate(itertools.product(cases, (0.0, 0.25))):
        if case in (CASES[1], CASES[3], CASES[5], CASES[9]):
            rng = np.random.default_rng([seed, 200 + number])
            rates += differences(case, share, n, rng)
    return rates


def high_pass_lines(seed: int, n: int = 2000) -> list[str]:
    """Tell mean r of a fixed signal before and after the high-pass filter."""
    lines = ["| noise of the response | signal | r | r, high-pass 128 s |", f"|{' --- |' * 4}"]
    for number, (response, signal) in enumerate(
        itertools.product(("mix", "hrf + 1/f", "hrf + trend"), ("hrf", "1/f"))
    ):
        rng = np.random.default_rng([seed, 300 + number])
        case = Case(response, signal, (300,))
        noise, x = (case.draw(rng, n, of=kind) for kind in (response, signal))
        y = 0.6 * x + 0.8 * noise
        filtered = [high_passed(one, HIGH_PASS_SECONDS, TR_SECONDS) for one in (x, y)]
        before, after = pearson_r(x, y).mean(), pearson_r(*filtered).mean()
        lines.append(f"| {response} | {signal} | {before:.3f} | {after:.3f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=8000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="three cases; half a minute")
    parser.add_argument("--write", action="store_true", help="put the table into docs/science.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = QUICK if options.quick else CASES
    rates = measure_all(options.repeats, options.seed, cases, n_maps=2 if options.quick else 10)
    above = high_pass_lines(options.seed)
    return report_wide("targets", rates, write=options.write, above=above)


if __name__ == "__main__":
    sys.exit(main())
