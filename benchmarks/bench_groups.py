"""Group statistics of many subjects: maps with max-T, prevalence, variance components of regions.

``python benchmarks/bench_groups.py`` takes 324 made-up subjects, one layer and 20,484 targets, and
20 regions in 13 layers with bootstrap samples; wall seconds, with the largest difference from plain
numpy on a few targets. ``--subjects``, ``--layers`` and ``--targets`` change the sizes.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from braindash.core.statistics.components import shared_story_mean
from braindash.core.statistics.families import flipped_maps, prevalence
from braindash.core.statistics.subjects import sign_patterns

N_REGIONS, REGION_LAYERS, N_SAMPLES, N_BLOCKS, N_FLIPS, SEED = 20, 13, 200, 28.0, 4096, 0


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def plain_t(values: np.ndarray) -> np.ndarray:
    """Student's t of every target, in double precision."""
    exact = values.astype(float)
    return exact.mean(axis=0) / (exact.std(axis=0, ddof=1) / len(exact) ** 0.5)


def plain_p(values: np.ndarray, largest: int) -> float:
    """Corrected p of one target, pattern by pattern."""
    signs, _ = sign_patterns(len(values), N_FLIPS, SEED)
    own = plain_t(values)[largest]
    reached = sum((plain_t(values * one[:, None]).max() >= own - 1e-9) for one in signs)
    return float((1 + reached) / (1 + len(signs)))


def measure(n_subjects: int, n_layers: int, n_targets: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    maps = rng.standard_normal((n_subjects, n_layers, n_targets), dtype=np.float32)
    maps += 0.2 * (rng.random((n_layers, n_targets)) < 0.1)
    found, seconds = timed(lambda: flipped_maps(maps, n_flips=N_FLIPS, seed=SEED))
    few = np.ascontiguousarray(maps[:, 0, :20])
    small = flipped_maps(few[:, None], n_flips=N_FLIPS, seed=SEED)
    q = rng.random(maps.shape, dtype=np.float32)
    _, counting = timed(lambda: prevalence(q <= 0.05, np.isfinite(q)))
    values = rng.standard_normal((n_subjects, REGION_LAYERS, N_REGIONS))
    samples = values[:, None] + rng.standard_normal((1, N_SAMPLES, *values.shape[1:]))
    _, components = timed(lambda: shared_story_mean(values, samples, N_BLOCKS))
    largest = int(small.t[0].argmax())
    return {
        "subjects": n_subjects,
        "layers": n_layers,
        "targets": n_targets,
        "flips": found.n_flips,
        "maps_seconds": seconds,
        "prevalence_seconds": counting,
        "components_seconds": components,
        "largest_difference_of_t": float(np.abs(found.t[0, :20] - plain_t(few)).max()),
        "difference_of_p": abs(float(small.p[0, largest]) - plain_p(few, largest)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=324)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--targets", type=int, default=20_484)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    found = measure(options.subjects, options.layers, options.targets)
    print(json.dumps(found, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
