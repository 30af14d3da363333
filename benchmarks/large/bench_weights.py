"""Kept weights: what they take, and what half precision changes.

``python benchmarks/large/bench_weights.py`` takes about a minute. Responses are made up from slow
features and noise, of many signal strengths; penalties are drawn from the usual grid. Weights are
made some targets at a time and written as the store keeps them. Printed are seconds, the largest
memory of the process, the size of the file, and the root mean square of what half precision changes
in the predictions of new rows, over their standard deviation. ``--stored FOLDER`` prints instead
what the weights in a store say of themselves.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from braindash.core.ridge.memory import weights_bytes, weights_columns
from braindash.core.ridge.weights import RidgeWeights
from braindash.core.timing import delayed
from braindash.defaults import DEFAULT_ALPHAS, DEFAULT_DELAYS
from braindash.io.store import Store
from braindash.io.weights import Block, WeightsFile, doubled, halved

N_NEW, STORY_ROWS, SEED = 300, 300, 0


class MadeUp:
    """Responses that are made when they are asked for, as those on disk are read."""

    dtype = np.dtype(np.float32)

    def __init__(self, features: np.ndarray, n_targets: int) -> None:
        self._features = features
        self.shape = (len(features), n_targets)

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        rows, columns = place
        start, stop, _ = columns.indices(self.shape[1])
        rng = np.random.default_rng([SEED, start])
        mixing = rng.standard_normal((self._features.shape[1], stop - start), dtype=np.float32)
        signal = self._features @ mixing / np.sqrt(len(mixing))
        strength = np.geomspace(0.02, 2, stop - start, dtype=np.float32)
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        return (strength * signal + noise)[rows]


def course(rng: np.random.Generator, n_rows: int, n_features: int) -> np.ndarray:
    """Return features that change slowly, z-scored."""
    made = rng.standard_normal((n_rows, n_features))
    for row in range(1, n_rows):
        made[row] = 0.8 * made[row - 1] + 0.6 * made[row]
    return ((made - made.mean(0)) / made.std(0)).astype(np.float32)


def measure(n_rows: int, n_features: int, n_targets: int) -> dict[str, Any]:
    """Make and write the weights of one layer."""
    rng = np.random.default_rng(SEED)
    features, new = course(rng, n_rows, n_features), course(rng, N_NEW, n_features)
    design = np.asarray(delayed(new, DEFAULT_DELAYS), dtype=np.float32)
    alpha = rng.choice(DEFAULT_ALPHAS, n_targets)
    started = time.perf_counter()
    groups = np.arange(n_rows) // STORY_ROWS
    fit = RidgeWeights(features, groups, DEFAULT_ALPHAS, delays=DEFAULT_DELAYS)
    responses, shares = MadeUp(features, n_targets), []

    def blocks() -> Iterator[Block]:
        for columns, weights, offset in fit.blocks(responses, alpha):
            halves, scale = halved(weights)
            exact, rounded = (
                design @ one.reshape(-1, one.shape[-1]) for one in (weights, doubled(halves, scale))
            )
            change = np.sqrt(np.square(rounded - exact).mean(axis=0))
            shares.append(change / exact.std(axis=0))
            yield columns, halves, scale, offset

    shape = len(DEFAULT_DELAYS), n_features, n_targets
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.nc")
        n_columns = weights_columns(n_rows, *shape[1::-1])
        WeightsFile(shape, {"alpha": ("target", alpha)}, blocks, n_columns).write(path)
        size = path.stat().st_size
    found = np.concatenate(shares)
    return {
        "rows": n_rows,
        "features": n_features,
        "targets": n_targets,
        "seconds": round(time.perf_counter() - started, 1),
        "most_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "estimated_mb": round(
            weights_bytes(n_rows, N_NEW, n_features, len(DEFAULT_DELAYS), n_targets) / 1e6
        ),
        "file_mb": round(size / 1e6, 1),
        "share_median": float(np.median(found)),
        "share_largest": float(found.max()),
    }


def stored(folder: Path) -> list[dict[str, Any]]:
    """Return what the weights of a store say."""
    names = ("float16", "training_statistics", "stored")
    return [
        {"layer": one.spec["layer"], "model": one.provenance["model"]["name"]}
        | {name: one.provenance[name] for name in names if name in one.provenance}
        for one in Store(folder).entries("weights")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--targets", type=int, default=20484)
    parser.add_argument("--stored", type=Path)
    options = parser.parse_args()
    if options.stored is not None:
        print(json.dumps(stored(options.stored), indent=1))
        return
    print(json.dumps(measure(options.rows, options.features, options.targets), indent=1))


if __name__ == "__main__":
    main()
