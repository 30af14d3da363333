"""Ridge of a whole brain: responses that are read in columns from an HDF5 file, time and memory.

``python benchmarks/large/bench_ridge_large.py`` writes the responses (about 3.4 GB) to a temporary
folder, fits them, and deletes them; some ten minutes on two quiet cores. The first targets are
fitted again from memory with every alpha scored, and the largest difference of their predictions
is printed beside the times. The peak is that of the whole process, libraries and all.
"""

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from braindash.core.ridge.model import RidgeCV
from braindash.core.timing import delayed
from braindash.defaults import DEFAULT_ALPHAS

N_STORIES, N_TEST, SEED = 9, 300, 0
AT_ONCE = 2048
CHECKED = 512


def simulate(path: Path, n_rows: int, n_features: int, n_targets: int) -> dict[str, Any]:
    """Write responses to a file, each following a few features, and give the features."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((n_rows + N_TEST, n_features), dtype=np.float32)
    groups = np.append(np.arange(n_rows) * N_STORIES // n_rows, [N_STORIES] * N_TEST)
    design = delayed(X, groups=groups)[:n_rows]
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (n_rows, n_targets), np.float32, chunks=(n_rows, 64))
        for start in range(0, n_targets, AT_ONCE):
            columns = slice(start, min(start + AT_ONCE, n_targets))
            size = columns.stop - start
            inputs = rng.choice(design.shape[1], 64, replace=False)
            signal = design[:, inputs] @ rng.standard_normal((64, size), dtype=np.float32) / 8
            noise = rng.standard_normal((n_rows, size), dtype=np.float32)
            data[:, columns] = signal + noise * rng.uniform(1, 10, size).astype(np.float32)
    train = slice(0, n_rows)
    return {"X": X[train], "X_test": X[n_rows:], "groups": groups[train]}


def fit(data: dict[str, Any], responses: Any, threads: int, search: str) -> Any:
    """Fit and predict as a layer of an encoding run does."""
    plan = RidgeCV(data["X"], data["groups"], search=search, threads=threads)
    return plan.fit(responses, data["X_test"], return_prediction=True)


def bench(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write, fit, and fit some targets again by the longer way."""
    path = folder / "responses.h5"
    began = time.perf_counter()
    data = simulate(path, options.rows, options.features, options.targets)
    written = time.perf_counter() - began
    size = path.stat().st_size
    with h5py.File(path) as file:
        began, cpu = time.perf_counter(), time.process_time()
        found = fit(data, file["data"], options.threads, "auto")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        some = file["data"][:, :CHECKED]
    full = fit(data, some, options.threads, "full")
    same = found.alpha[: some.shape[1]] == full.alpha
    gap = np.abs(found.prediction[:, : some.shape[1]] - full.prediction)[:, same]
    return {
        "file_gb": size / 1e9,
        "seconds_to_write": written,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_gb": peak / 1e9,
        "form": found.method,
        "alphas_scored": float(np.isfinite(found.cv_score).sum(axis=0).mean()),
        "equal_alphas": float(same.mean()),
        "largest_difference": float(gap.max()),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=9000)
    parser.add_argument("--features", type=int, default=768, help="before four delays")
    parser.add_argument("--targets", type=int, default=95000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the file is written for the time")
    parser.add_argument("--json", type=Path, default=Path("bench_ridge_large.json"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(
        f"{options.rows} rows, {options.features} features x 4 delays, {options.targets} targets, "
        f"{len(DEFAULT_ALPHAS)} alphas, {N_STORIES} folds, {options.threads} threads, "
        f"{platform.platform()}, torch {version('torch')}"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        outcome = bench(Path(folder), options)
    for name, value in outcome.items():
        print(f"{name:20}{value if isinstance(value, str) else format(value, '.4g')}")
    options.json.write_text(json.dumps(outcome, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
