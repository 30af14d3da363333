"""Banded ridge: our time and score beside himalaya's random search of growing length.

"joint fit" chooses mixture and alpha and predicts, as himalaya does; "whole partition" also fits
every band's absence, which unique variance needs and himalaya is not asked for.

Two planted feature spaces; each target follows the first, the second, both or none. himalaya's
``MultipleKernelRidgeCV`` draws random mixtures of the two kernels, we search a grid that is refined
per target; both choose mixture and alpha by leave-stories-out R^2. The score is the mean over
targets of R^2 on a test story that no choice has seen. CPU seconds of this process, medians.
"""

import argparse
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import r2_score
from sklearn.model_selection import LeaveOneGroupOut

from braindash.core.partition import partition_variance
from braindash.core.ridge.banded import BandedRidgeCV
from braindash.core.timing import delayed

N_STORIES, N_TEST, SEED = 5, 300, 0
ALPHAS = np.logspace(1, 5, 9)
JOINT = "braindash, joint fit"
N_FEATURES = {"model": 256, "acoustic": 40}


def simulate(n_rows: int, n_targets: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    groups = np.append(np.arange(n_rows) * N_STORIES // n_rows, [N_STORIES] * N_TEST)
    designs, bands = {}, {}
    signal = np.zeros((n_rows + N_TEST, n_targets), np.float32)
    for place, (name, n_features) in enumerate(N_FEATURES.items()):
        X = rng.standard_normal((n_rows + N_TEST, n_features)).astype(np.float32)
        bands[name], designs[name] = X, delayed(X, groups=groups)
        weights = rng.standard_normal((designs[name].shape[1], n_targets), dtype=np.float32)
        follows = (np.arange(n_targets) >> place) & 1
        signal += follows * (designs[name] @ weights) / len(weights) ** 0.5
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    Y = signal + noise * rng.uniform(0.5, 3, n_targets).astype(np.float32)
    Y -= Y[:n_rows].mean(axis=0)
    return {
        "bands": {name: X[:n_rows] for name, X in bands.items()},
        "bands_test": {name: X[n_rows:] for name, X in bands.items()},
        "designs": {name: X[:n_rows] for name, X in designs.items()},
        "designs_test": {name: X[n_rows:] for name, X in designs.items()},
        "groups": groups[:n_rows],
        "Y": np.ascontiguousarray(Y[:n_rows]),
        "Y_test": Y[n_rows:],
    }


def plan_of(data: dict[str, Any]) -> BandedRidgeCV:
    return BandedRidgeCV(
        data["bands"], data["groups"], alphas=ALPHAS, intercept=False, device="cpu"
    )


def joint_fit(data: dict[str, Any]) -> np.ndarray:
    result = plan_of(data).fit(data["Y"], data["bands_test"], unique=False)
    return joint_r2(result.prediction, data)


def whole_partition(data: dict[str, Any]) -> np.ndarray:
    result = plan_of(data).fit(data["Y"], data["bands_test"])
    return partition_variance(result.parts, result.without, data["Y_test"]).joint


def joint_r2(prediction: np.ndarray, data: dict[str, Any]) -> np.ndarray:
    return partition_variance(prediction[None], prediction[None], data["Y_test"]).joint


def himalaya(data: dict[str, Any], n_mixtures: int) -> np.ndarray:
    api = set_backend("torch")
    train, test = list(data["designs"].values()), list(data["designs_test"].values())
    scales = [1 / float((X**2).sum()) for X in train]
    total = sum(1 / scale for scale in scales)
    pairs = list(zip(scales, train, test, strict=True))
    kernels = api.asarray(np.stack([total * s * (X @ X.T) for s, X, _ in pairs]))
    cross = api.asarray(np.stack([total * s * (new @ X.T) for s, X, new in pairs]))
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        solver_params={
            "n_iter": n_mixtures,
            "alphas": ALPHAS,
            "score_func": r2_score,
            "progress_bar": False,
            "n_targets_batch": 1000,
            "n_alphas_batch": 3,
            "n_targets_batch_refit": 1000,
        },
        cv=list(LeaveOneGroupOut().split(data["Y"], groups=data["groups"])),
        random_state=SEED,
    ).fit(kernels, api.asarray(data["Y"]))
    return joint_r2(api.to_numpy(model.predict(cross)), data)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=4000)
    parser.add_argument("--mixtures", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("bench_banded.json"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # himalaya takes the log of 0
    versions = {name: version(name) for name in ("torch", "numpy", "himalaya")}
    machine = {"system": platform.platform(), "threads": options.threads, "versions": versions}
    print(json.dumps(machine))
    data = simulate(options.rows, options.targets)
    runs: dict[str, Callable[[], np.ndarray]] = {
        JOINT: lambda: joint_fit(data),
        "braindash, whole partition": lambda: whole_partition(data),
    }
    for count in options.mixtures:
        runs[f"himalaya, {count} mixtures"] = lambda count=count: himalaya(data, count)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    scores: dict[str, np.ndarray] = {}
    for _ in range(options.repeats):
        for name, run in runs.items():
            begin = time.process_time()
            scores[name] = run()
            seconds[name].append(time.process_time() - begin)
    own = statistics.median(seconds[JOINT])
    results = {}
    print(f"{options.rows} rows, {options.targets} targets, features {N_FEATURES}, 4 delays")
    print(f"{'':28}{'seconds':>9}{'x joint':>8}{'mean R2':>10}{'largest difference':>20}")
    for name in runs:
        middle, score = statistics.median(seconds[name]), scores[name]
        gap = float(np.abs(score - scores[JOINT]).max())
        results[name] = {"seconds": middle, "mean_r2": float(score.mean()), "largest_gap": gap}
        print(f"{name:28}{middle:9.2f}{middle / own:8.2f}{score.mean():10.5f}{gap:20.1e}")
    options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
