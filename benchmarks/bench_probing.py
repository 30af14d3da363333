"""Linear probes of all layers beside scikit-learn and the training loop of published papers.

``python benchmarks/bench_probing.py`` probes 13 layers of simulated features (frames of several
recordings and speakers) for four tasks, with penalties chosen on a validation part and shuffled
runs, one layer in memory at a time; making the features is not in the times. Wall and CPU seconds;
with OMP_WAIT_POLICY=PASSIVE threads do not spin, so that these mean something on a busy machine.
``--many`` asks for so many shuffled runs too, beside the smallest of their products alone: that of
the features with the runs' label matrices, in float32.

Peers, on one layer only, their time multiplied by the number of layers (a scaled number, not a
measured one): scikit-learn's logistic regression (standardised features, C = 1) and ridge
regression (one penalty), neither with a choice of penalty or shuffled runs; and the loop many
probing papers use, a linear layer trained for 100 epochs on all units at once by Adam with a rate
of 1e-3, features as they are.

Differences: of the test score of one layer from the same model in double precision (scikit-learn's
ridge; for the balanced task the formula), and the share of test units given another class, or the
largest gap of a value in its standard deviations. The peers' scores stand beside ours.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from braindash.core.devices import find_device
from braindash.core.probes.design import make_design
from braindash.core.probes.labels import ProbeTask, code_task, shuffled_sources
from braindash.core.probes.model import ALPHAS, FITS, Probes
from braindash.core.probes.split import Split, split_units

SEED, N_SPEAKERS, N_RECORDINGS, N_PHONES, N_MANNERS, N_OUTPUTS = 0, 20, 200, 40, 8, 13


class World:
    """Frames of phones that last some frames, in features that mix many other things in."""

    def __init__(self, n_units: int, n_features: int) -> None:
        rng = np.random.default_rng(SEED)
        share = 1 / (np.arange(N_PHONES) + 3.0)
        lengths = rng.integers(2, 12, n_units)
        phones = rng.choice(N_PHONES, n_units, p=share / share.sum())
        self.phone = np.repeat(phones, lengths)[:n_units]
        self.recording = np.arange(n_units) * N_RECORDINGS // n_units
        self.speaker = self.recording % N_SPEAKERS
        self.boundary = np.append(0, self.phone[1:] != self.phone[:-1])
        self.means = rng.standard_normal((N_PHONES, n_features), dtype=np.float32)
        noise = rng.standard_normal((n_units, N_OUTPUTS), dtype=np.float32)
        self.sound = self.means[self.phone, :N_OUTPUTS] + 0.5 * noise
        self.n_units, self.n_features = n_units, n_features

    def layer(self, number: int) -> np.ndarray:
        """Give features of one layer: their power falls steeply, as that of speech models does."""
        rng = np.random.default_rng([SEED, number])
        p = self.n_features
        latent = rng.standard_normal((self.n_units, p), dtype=np.float32)
        latent += (0.12 + 0.02 * number) * self.means[self.phone]
        latent[:, :N_OUTPUTS] += 0.3 * self.sound
        latent[:, N_OUTPUTS] += self.boundary
        latent += 0.5 * rng.standard_normal((N_SPEAKERS, p), dtype=np.float32)[self.speaker]
        mixing = rng.standard_normal((p, p), dtype=np.float32)
        power = (np.arange(1, p + 1) ** -0.7).astype(np.float32)
        return latent @ (mixing * power[:, None]) + 3 * rng.standard_normal(p, dtype=np.float32)

    def tasks(self, method: str = "ridge") -> list[ProbeTask]:
        """Return three classifications, one of them balanced, and a regression."""
        return [
            ProbeTask("phone", self.phone, method=method),
            ProbeTask("manner", self.phone % N_MANNERS, balanced=True, method=method),
            ProbeTask("boundary", self.boundary, method=method),
            ProbeTask("sound", self.sound, "regression"),
        ]


class Watch:
    """Sums up wall and CPU seconds under names."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def time(self, name: str, run: Callable[..., Any], *given: Any) -> Any:
        """Run once and add the time to what the name has."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = run(*given)
        for total, spent in (
            (self.wall, time.perf_counter() - wall),
            (self.cpu, time.process_time() - cpu),
        ):
            total[name] = total.get(name, 0.0) + spent
        return result


def adam(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, epochs: int) -> np.ndarray:
    """Train a linear layer as published: all units at once, no penalty, no choice of anything."""
    torch.manual_seed(SEED)
    inputs = torch.as_tensor(X)
    classes = y.dtype.kind in "iu"
    target = torch.as_tensor(y)
    model = torch.nn.Linear(X.shape[1], int(y.max()) + 1 if classes else y.shape[1])
    loss_of = torch.nn.CrossEntropyLoss() if classes else torch.nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss_of(model(inputs), target).backward()
        optimizer.step()
    with torch.inference_mode():
        output = model(torch.as_tensor(X_test))
        return (output.argmax(1) if classes else output).numpy()


def bare_products(X: torch.Tensor, tasks: list[ProbeTask], n_runs: int) -> None:
    """Multiply the features by label matrices of all tasks and runs, some runs at a time."""
    for task in tasks:
        labels = np.asarray(task.labels)
        columns = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
        values = torch.zeros((len(X), 20, columns)).flatten(1)
        for start in range(0, n_runs, 20):
            X.T @ values[:, : columns * min(20, n_runs - start)]


def score(task: ProbeTask, true: np.ndarray, predicted: np.ndarray) -> float:
    if task.kind == "regression":
        return float(r2_score(true, predicted, multioutput="variance_weighted"))
    measured = balanced_accuracy_score if task.balanced else accuracy_score
    return float(measured(true, predicted))


def peers(
    X: np.ndarray, task: ProbeTask, split: Split, watch: Watch, epochs: int
) -> dict[str, float]:
    """Fit every peer on train and validation, and score it on the test part."""
    learning, y = np.concatenate([split.train, split.valid]), np.asarray(task.labels)
    scaler = StandardScaler().fit(X[split.train])
    train, test = (scaler.transform(X[rows]).astype(np.float32) for rows in (learning, split.test))
    if task.kind == "classification":
        weight = "balanced" if task.balanced else None
        name = "scikit-learn logistic"
        model: Any = LogisticRegression(max_iter=1000, class_weight=weight)
    else:
        name, model = "scikit-learn ridge", Ridge(alpha=1.0)
    watch.time(name, model.fit, train, y[learning])
    found = {name: score(task, y[split.test], model.predict(test))}
    trained = watch.time("Adam loop", adam, X[learning], y[learning], X[split.test], epochs)
    return found | {"Adam loop": score(task, y[split.test], trained)}


def nearest_mean(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, alpha: float) -> np.ndarray:
    """Return the class with the nearest mean in the metric (X'X/n + alpha)^-1, as it is written."""
    mean = X.mean(axis=0)
    means = np.stack([X[y == c].mean(axis=0) for c in range(y.max() + 1)]) - mean
    covariance = (X - mean).T @ (X - mean) / len(X) + alpha * np.eye(X.shape[1])
    weights = np.linalg.solve(covariance, means.T)
    return ((X_test - mean) @ weights - np.einsum("cp,pc->c", means, weights) / 2).argmax(axis=1)


def compare(X: np.ndarray, task: ProbeTask, split: Split) -> dict[str, float]:
    """Compare our predictions of one layer with the same model in double precision."""
    coded, design = code_task(task, split), make_design(X, split, find_device("cpu"), "the layer")
    fitted = FITS[task.method](design, coded, shuffled_sources(split, 0, SEED), ALPHAS)
    learning, y = np.concatenate([split.train, split.valid]), np.asarray(task.labels)
    scaler = StandardScaler().fit(X[split.train].astype(np.float64))
    train, test = (scaler.transform(X[rows].astype(np.float64)) for rows in (learning, split.test))
    alpha, own, true = float(fitted.alpha[0]), fitted.predicted[0], y[split.test]
    known = y[learning].astype(np.float64 if task.kind == "regression" else np.int64)
    if task.balanced:
        expected = nearest_mean(train, known, test, alpha)
    else:
        model = Ridge if task.kind == "regression" else RidgeClassifier
        expected = model(alpha=alpha * len(learning)).fit(train, known).predict(test)
    if task.kind == "regression":
        other = float((np.abs(own - expected) / expected.std(axis=0)).max())
    else:
        other = float((own != expected).mean())
    scores = score(task, true, own), score(task, true, expected)
    return {"alpha": alpha, "difference": abs(scores[0] - scores[1]), "units that differ": other}


def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Time all layers, and the peers on the middle one."""
    world, watch = World(options.units, options.features), Watch()
    split = watch.time(
        "split", lambda: split_units(world.recording, speakers=world.speaker, strata=world.phone)
    )
    shared = {"threads": options.threads, "device": options.device}
    settings = {
        "braindash": ("ridge", options.shuffles),
        "braindash discriminant": ("discriminant", options.shuffles),
        "braindash, no shuffles": ("ridge", 0),
    }
    many = f"braindash, {options.many} shuffles"
    if options.many:
        settings[many] = ("ridge", options.many)
    plans = {
        name: watch.time(
            name,
            lambda method, n: Probes(world.tasks(method), split, n_shuffles=n, **shared),
            *chosen,
        )
        for name, chosen in settings.items()
    }
    layers: dict[str, list[Any]] = {name: [] for name in plans}
    for number in range(options.layers):
        X = world.layer(number)
        for name, plan in plans.items():
            layers[name].append(watch.time(name, plan.fit_layer, X))
        if options.many:
            learning = torch.as_tensor(X[np.concatenate([split.train, split.valid])])
            watch.time(f"{many}: bare X'Y", bare_products, learning, world.tasks(), options.many)
    results = {name: watch.time(name, plan.results, layers[name]) for name, plan in plans.items()}
    first = results["braindash"][0]
    print(f"{first.split}; {first.bootstrap}")
    middle, own = options.layers // 2, Watch()
    X, table = world.layer(middle), {}
    for number, task in enumerate(world.tasks()):
        result, other = (results[name][number] for name in list(plans)[:2])
        table[task.name] = {
            "metric": result.metric,
            "chance_majority": result.chance_majority,
            "chance_shuffled": float(result.chance_shuffled[middle]),
            "interval": float(result.high[middle] - result.low[middle]),
            "braindash": float(result.score[middle]),
            "braindash discriminant": float(other.score[middle]),
            **compare(X, task, split),
            **peers(X, task, split, own, options.epochs),
        }
    if options.logistic:
        slow = world.tasks("logistic")[:3]
        plan = Probes(slow, split, n_shuffles=0, **shared)
        fitted = own.time("braindash logistic, no shuffles", plan.fit_layer, X)
        for task, layer in zip(slow, fitted, strict=True):
            table[task.name]["braindash logistic"] = layer.scores[table[task.name]["metric"]]
    seconds = {name: {"wall": watch.wall[name], "cpu": watch.cpu[name]} for name in watch.wall}
    for name in own.wall:
        seconds[f"{name} (scaled)"] = {
            "wall": own.wall[name] * options.layers,
            "cpu": own.cpu[name] * options.layers,
        }
    return {"seconds": seconds, "tasks": table}


def show(options: argparse.Namespace, outcome: dict[str, Any]) -> None:
    print(f"\n{options.layers} layers x {len(outcome['tasks'])} tasks x {options.units} units x "
          f"{options.features} features; {len(ALPHAS)} penalties, "
          f"{options.shuffles} shuffles")  # fmt: skip
    own = outcome["seconds"]["braindash"]
    print(f"{'':42}{'wall s':>9}{'CPU s':>9}{'x ours (CPU)':>14}")
    for name, spent in outcome["seconds"].items():
        ratio = spent["cpu"] / own["cpu"]
        print(f"{name:42}{spent['wall']:9.1f}{spent['cpu']:9.1f}{ratio:14.2f}")
    print("\nthe middle layer on the test part")
    for task, row in outcome["tasks"].items():
        print(f"{task} ({row['metric']})")
        for name, value in row.items():
            if name != "metric":
                print(f"    {name:28}{value:12.3g}" if abs(value) < 1e-3 else
                      f"    {name:28}{value:12.4f}")  # fmt: skip
    worst = max(row["difference"] for row in outcome["tasks"].values())
    print(f"largest difference of a score from double precision: {worst:.1e}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--units", type=int, default=50000)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--shuffles", type=int, default=10)
    parser.add_argument("--many", type=int, default=0, help="so many shuffles as well")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--logistic", action="store_true", help="our logistic probes as well")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, default=Path("bench_probing.json"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    versions = {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "device": options.device,
               "threads": options.threads, "versions": versions}  # fmt: skip
    print(json.dumps(machine))
    with threadpool_limits(options.threads):
        outcome = bench(options)
    show(options, outcome)
    report = {"machine": machine, "settings": vars(options) | {"json": str(options.json)}}
    options.json.write_text(json.dumps(report | outcome, indent=1))
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main(sys.argv[1:])
