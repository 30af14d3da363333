"""Ridge: our time beside its peers' and beside the bare products, with the largest difference.

``python benchmarks/bench_ridge.py`` takes some minutes; ``--shapes A B C`` are the published
shapes and take an hour with every peer; D is the embedded demo's. CPU seconds of this process (wall
time on a GPU), all in turn, medians; MB is the largest growth of the process's memory (not the
GPU's) during a run, and for "braindash" that of a fresh process that has fitted something small
before, with an allocator that gives back what is freed. The difference is that of predictions
from himalaya's in float64, for the first targets where both chose the same alpha.

Peers: himalaya's two estimators on both its backends, targets in batches or all at once;
scikit-learn's RidgeCV, which chooses one alpha for all targets; and the cross-validation by one
singular value decomposition per fold that the tutorials of the Huth laboratory describe, written
from that description (their penalties are squared, ours are not).
"""

import argparse
import cProfile
import json
import math
import os
import platform
import pstats
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV as HimalayaRidgeCV
from himalaya.scoring import r2_score
from sklearn.linear_model import RidgeCV as SklearnRidgeCV
from sklearn.model_selection import LeaveOneGroupOut

from braindash.core.ridge.model import RidgeCV
from braindash.core.timing import delayed

N_STORIES, N_TEST, SEED = 5, 300, 0
ALPHAS = tuple(np.logspace(1, 4, 10))
ORACLE_TARGETS = 300
SAMPLE_SECONDS = 0.01


@dataclass(frozen=True)
class Shape:
    """Rows, features before four delays, targets; penalties."""

    n_rows: int
    n_features: int
    n_targets: int
    alphas: tuple[float, ...] = ALPHAS


SHAPES = {
    "small": Shape(750, 256, 4000),
    "narrow": Shape(1500, 64, 4000),
    "few-dual": Shape(1500, 768, 100),
    "few-primal": Shape(3000, 192, 100),
    "A": Shape(1500, 768, 8000),
    "B": Shape(3000, 192, 8000),
    "C": Shape(1500, 768, 20484),
    "D": Shape(600, 128, 20484, tuple(np.logspace(0, 8, 17))),
}


def simulate(shape: Shape) -> dict[str, Any]:
    """Draw features of which each target follows a few, with its own noise."""
    rng = np.random.default_rng(SEED)
    n_all = shape.n_rows + N_TEST
    mixing = rng.standard_normal((shape.n_features, shape.n_features)) / shape.n_features**0.5
    X = rng.standard_normal((n_all, shape.n_features)) @ (mixing + np.eye(shape.n_features))
    groups = np.append(np.arange(shape.n_rows) * N_STORIES // shape.n_rows, [N_STORIES] * N_TEST)
    design = delayed(X.astype(np.float32), groups=groups)
    weights = rng.standard_normal((design.shape[1], shape.n_targets), dtype=np.float32)
    signal = design @ weights / weights.shape[0] ** 0.5
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    Y = signal + noise * rng.uniform(0.5, 5, shape.n_targets).astype(np.float32)
    train = slice(0, shape.n_rows)
    return {
        "X": X[train].astype(np.float32),
        "X_test": X[shape.n_rows :].astype(np.float32),
        "groups": groups[train],
        "design": design[train],
        "design_test": design[shape.n_rows :],
        "Y": np.ascontiguousarray(Y[train]),
        "alphas": np.array(shape.alphas),
    }


def ours(data: dict[str, Any], device: str, threads: int) -> tuple[Any, Any]:
    plan = RidgeCV(data["X"], data["groups"], alphas=data["alphas"], intercept=False,
                   device=device, threads=threads)  # fmt: skip
    result = plan.fit(data["Y"], data["X_test"], return_prediction=True)
    return result.alpha, result.prediction


def himalaya(
    model: type,
    data: dict[str, Any],
    backend: str,
    dtype: str = "float32",
    n_targets: int | None = None,
    batched: bool = True,
) -> tuple[Any, Any]:
    """Fit himalaya's estimator with the same alphas and folds."""
    api = set_backend(backend)
    names = ("design", "design_test", "Y")
    X, X_test, Y = (api.asarray(data[name].astype(dtype)) for name in names)
    Y = Y[:, :n_targets]
    batches = {"n_targets_batch": 1000, "n_alphas_batch": 1, "n_targets_batch_refit": 1000}
    estimator = model(
        alphas=data["alphas"],
        cv=folds(data),
        solver_params={"score_func": r2_score} | (batches if batched else {}),
    ).fit(X, Y)
    return api.to_numpy(estimator.best_alphas_), api.to_numpy(estimator.predict(X_test))


def folds(data: dict[str, Any]) -> list[Any]:
    return list(LeaveOneGroupOut().split(data["design"], groups=data["groups"]))


def scikit_learn(data: dict[str, Any]) -> tuple[Any, Any]:
    """One alpha for all targets: scikit-learn has no other with folds."""
    model = SklearnRidgeCV(alphas=data["alphas"], cv=folds(data), scoring="r2", fit_intercept=False)
    model.fit(data["design"], data["Y"])
    alpha = np.full(data["Y"].shape[1], model.alpha_)
    return alpha, model.predict(data["design_test"]).reshape(N_TEST, -1)


def fold_svd(data: dict[str, Any]) -> tuple[Any, Any]:
    """Decompose each fold once; every alpha is then a rescaling and a product."""
    X, X_test, Y = (torch.as_tensor(data[name]) for name in ("design", "design_test", "Y"))
    alphas = torch.as_tensor(data["alphas"], dtype=torch.float32)
    scores = torch.zeros(len(alphas), Y.shape[1])
    for train, held_out in folds(data):
        left, power, right = torch.linalg.svd(X[train], full_matrices=False)
        rotated, held = left.T @ Y[train], X[held_out] @ right.T
        measured = Y[held_out]
        spread = (measured - measured.mean(0)).square().sum(0)
        for row, alpha in enumerate(alphas):
            predicted = (held * (power / (power**2 + alpha))) @ rotated
            scores[row] += 1 - (measured - predicted).square_().sum(0) / spread
    best = scores.argmax(0)
    left, power, right = torch.linalg.svd(X, full_matrices=False)
    rotated, new = left.T @ Y, X_test @ right.T
    prediction = torch.empty(len(X_test), Y.shape[1])
    for row in best.unique().tolist():
        columns = (best == row).nonzero()[:, 0]
        shrunk = new * (power / (power**2 + alphas[row]))
        prediction[:, columns] = shrunk @ rotated[:, columns]
    return data["alphas"][best.numpy()], prediction.numpy()


def peers(data: dict[str, Any], device: str) -> dict[str, Callable[[], Any]]:
    """Every peer by its name."""
    backends = {"torch": "torch", "numpy": "numpy"} if device == "cpu" else {"cuda": "torch_cuda"}
    found: dict[str, Callable[[], Any]] = {}
    for short, model in (("kernel", KernelRidgeCV), ("primal", HimalayaRidgeCV)):
        for name, backend in backends.items():
            for size, batched in (("batches", True), ("at once", False)):
                found[f"himalaya {short} {name}, {size}"] = partial(
                    himalaya, model, data, backend, batched=batched
                )
    if device == "cpu":
        found["fold SVD (Huth lab)"] = partial(fold_svd, data)
        found["scikit-learn, one alpha"] = partial(scikit_learn, data)
    return found


def floor(data: dict[str, Any], device: str) -> tuple[Any, Any]:
    """Two products no ridge can do without: X'Y and X_test W."""
    names = ("design", "design_test", "Y")
    X, X_test, Y = (torch.as_tensor(data[name], device=device) for name in names)
    prediction = X_test @ (X.T @ Y)
    return None, float(prediction[0, 0])


@contextmanager
def watched_memory(peaks: list[int]) -> Iterator[None]:
    """Append the most bytes by which this process grew."""
    process, done = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    done.set()
    watcher.join()
    peaks.append(max(seen) - seen[0])


def measure(
    runs: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> dict[str, tuple[float, float, Any]]:
    """Median seconds and largest megabytes of each run, all in turn, and what each returned."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peaks: dict[str, list[int]] = {name: [] for name in runs}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, run in runs.items():
            results.pop(name, None)
            with watched_memory(peaks[name]):
                begin = clock()
                results[name] = run()
                seconds[name].append(clock() - begin)
    middle = {name: statistics.median(seconds[name]) for name in runs}
    return {name: (middle[name], max(peaks[name]) / 1e6, results[name]) for name in runs}


# Functions of core/ridge that make operators, and those that apply them or make what they apply to.
MAKING = ("__init__", "operators")
APPLYING = ("apply", "apply_outside", "apply_whole", "right_sides")


def shares(run: Callable[[], Any]) -> dict[str, float]:
    """Where the time of a fit goes.

    Making operators, in double precision; applying them; picking the columns of the targets for
    which a penalty is scored. The rest is mostly sums of squares of what is left over.
    """
    watch = cProfile.Profile()
    watch.runcall(run)
    rows: Any = pstats.Stats(watch).stats.items()  # type: ignore[attr-defined]
    whole = sum(own for _, (_, _, own, _, _) in rows)
    spent = dict.fromkeys(("making", "applying", "picking"), 0.0)
    for (file, _, function), (_, _, _, inside, callers) in rows:
        if Path(file).name not in ("dual.py", "primal.py", "data.py") or not callers:
            continue
        if function == "picked":
            outside = (one for (*_, name), one in callers.items() if name not in APPLYING)
            spent["picking"] += sum(inside for *_, inside in outside)
        elif function in MAKING and Path(file).name != "data.py":
            spent["making"] += inside
        elif function in APPLYING and not any(name in APPLYING for *_, name in callers):
            spent["applying"] += inside
    return {name: seconds / whole for name, seconds in spent.items()}


def fresh_growth(name: str, device: str, threads: int) -> float:
    """Megabytes by which a process grows that holds nothing but the data and the libraries."""
    command = [sys.executable, __file__, "--growth-of", name, "--device", device]
    # A fixed threshold keeps glibc from holding on to large blocks that are free again.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 18)}
    done = subprocess.run(
        [*command, "--threads", str(threads)], env=environment, check=True, capture_output=True
    )
    return float(done.stdout)


def growth(name: str, device: str, threads: int) -> float:
    """Measure what :func:`fresh_growth` asks for, in this process."""
    shape = SHAPES[name]
    for part in (Shape(600, shape.n_features // 4, 3000), shape):
        data, peaks = simulate(part), []
        with watched_memory(peaks):
            ours(data, device, threads)
    return peaks[0] / 1e6


def bench(
    name: str, device: str, threads: int, repeats: int, only: Sequence[str]
) -> dict[str, Any]:
    data = simulate(SHAPES[name])
    runs = {
        "floor": partial(floor, data, device),
        "braindash": partial(ours, data, device, threads),
    }
    runs |= {
        peer: run
        for peer, run in peers(data, device).items()
        if not only or any(part in peer for part in only)
    }
    clock = time.process_time if device == "cpu" else time.perf_counter
    measured = measure(runs, repeats, clock)
    true_alpha, true = himalaya(KernelRidgeCV, data, "numpy", "float64", ORACLE_TARGETS)
    base, own = measured["floor"][0], measured["braindash"][0]
    fresh = fresh_growth(name, device, threads)
    rows = {}
    for run, (seconds, megabytes, (alpha, prediction)) in measured.items():
        rows[run] = {"seconds": seconds, "over_floor": seconds / base, "over_ours": seconds / own}
        rows[run]["peak_extra_mb"] = fresh if run == "braindash" else megabytes
        if run != "floor":
            same = np.isclose(alpha[:ORACLE_TARGETS], true_alpha, rtol=1e-4)
            gap = np.abs(prediction[:, :ORACLE_TARGETS] - true)[:, same]
            rows[run]["equal_alphas"] = float(same.mean())
            rows[run]["largest_difference"] = float(gap.max()) if gap.size else math.nan
    rows["braindash"]["shares"] = shares(runs["braindash"])
    return {
        "shape": vars(SHAPES[name]) | {"alphas": len(SHAPES[name].alphas)},
        "memory_formula_mb": formula(SHAPES[name]),
        "results": rows,
    }


def formula(shape: Shape) -> float:
    """Memory a fit may take beside the responses, in MB: no term grows as rows times targets."""
    n_inputs, fold = 4 * shape.n_features, shape.n_rows // N_STORIES
    operators = len(shape.alphas) * fold * (shape.n_rows - fold) * 4
    targets = (len(shape.alphas) + N_TEST) * shape.n_targets * 4
    kernel, features = 3 * shape.n_rows**2 * 8, shape.n_rows * n_inputs * 4
    return (kernel + features + operators + targets + (64 << 20)) / 1e6


def show(name: str, outcome: dict[str, Any]) -> None:
    print(f"\nshape {name}: {outcome['shape']}, 4 delays, {N_STORIES} folds; memory"
          f" by the formula {outcome['memory_formula_mb']:.0f} MB")  # fmt: skip
    names = ("seconds", "x floor", "x ours", "MB", "equal alpha", "difference")
    print(" " * 31 + "".join(f"{n:>{w}}" for n, w in zip(names, (9, 9, 8, 7, 13, 12), strict=True)))
    for run, row in outcome["results"].items():
        line = f"{run:31}{row['seconds']:9.2f}{row['over_floor']:9.1f}{row['over_ours']:8.2f}"
        line += f"{row['peak_extra_mb']:7.0f}"
        if "equal_alphas" in row:
            line += f"{row['equal_alphas']:13.3%}{row['largest_difference']:12.1e}"
        print(line)
    spent = outcome["results"]["braindash"]["shares"]
    print(
        f"of braindash: {spent['making']:.0%} making operators, {spent['applying']:.0%} applying, "
        f"{spent['picking']:.0%} picking targets"
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["small", "narrow"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=[], help="parts of names; all by default")
    parser.add_argument("--json", type=Path, default=Path("bench_ridge.json"))
    parser.add_argument("--growth-of", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.growth_of:
        print(growth(options.growth_of, options.device, options.threads))
        return
    warnings.filterwarnings("ignore", message="Solving")  # himalaya on shapes we choose on purpose
    versions = {name: version(name) for name in ("torch", "numpy", "himalaya", "scikit-learn")}
    machine = {"system": platform.platform(), "device": options.device, "threads": options.threads,
               "versions": versions}  # fmt: skip
    print(json.dumps(machine))
    outcomes = {}
    for name in options.shapes:
        outcomes[name] = bench(
            name, options.device, options.threads, options.repeats, options.peers
        )
        show(name, outcomes[name])
    options.json.write_text(json.dumps({"machine": machine, "shapes": outcomes}, indent=1))
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main(sys.argv[1:])
