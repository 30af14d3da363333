"""Permutation and bootstrap at full size beside plain numpy loops, with the largest difference.

``python benchmarks/bench_statistics.py`` computes p values and bootstrap samples of r for all
targets and layers, in chunks of targets as braindash does. The loop correlates one order (or one
sample) of the rows after the other; it is timed for a few targets of all layers, and its time for
all of them is that times the share of targets: a scaled number, not a measured one. Wall seconds.
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

from braindash.core.statistics.blocks import block_layout
from braindash.core.statistics.bootstrap import block_counts, bootstrap_r, preferred_layers
from braindash.core.statistics.permutation import permutation_p_values

CHUNK_TARGETS, BLOCK_ROWS, SEED = 1024, 10, 0


def simulate(n_layers: int, n_rows: int, n_targets: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw series that follow their neighbouring rows, with a small effect in all layers."""
    rng = np.random.default_rng(SEED)

    def series(*shape: int) -> np.ndarray:
        white = rng.standard_normal(shape, dtype=np.float32)
        return (white + np.roll(white, 1, axis=-2) + np.roll(white, 2, axis=-2)) / 3**0.5

    response = series(n_rows, n_targets)
    predictions = np.empty((n_layers, n_rows, n_targets), dtype=np.float32)
    for layer in range(n_layers):
        predictions[layer] = 0.15 * response + series(n_rows, n_targets)
    return predictions, response


def in_chunks(
    run: Callable[[np.ndarray, np.ndarray], Any], predictions: np.ndarray, response: np.ndarray
) -> None:
    for start in range(0, response.shape[1], CHUNK_TARGETS):
        columns = slice(start, start + CHUNK_TARGETS)
        run(np.ascontiguousarray(predictions[:, :, columns]), response[:, columns])


def unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-2, keepdims=True)
    return centred / np.sqrt((centred**2).sum(axis=-2, keepdims=True))


def loop_permutation(predictions: np.ndarray, response: np.ndarray, n: int) -> np.ndarray:
    """One order of blocks after the other, in double precision, with the same draws."""
    layout = block_layout(len(response), block_rows=BLOCK_ROWS)
    blocks = layout.rows.reshape(-1, layout.length)
    x, y = (
        unit(predictions[:, layout.rows].astype(float)),
        unit(response[layout.rows].astype(float)),
    )
    places = np.tile(np.arange(len(blocks)), (n, 1))
    larger, r = np.ones((len(x), y.shape[1])), np.einsum("lrt,rt->lt", x, y)
    for order in np.random.default_rng(SEED).permuted(places, axis=1):
        rows = (order[:, None] * layout.length + np.arange(layout.length)).ravel()
        larger += np.einsum("lrt,rt->lt", x, y[rows]) >= r
    return larger / (1 + n)


def loop_bootstrap(predictions: np.ndarray, response: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One sample of rows after the other, in double precision."""
    x, y = predictions.astype(float), response.astype(float)
    r = np.empty((len(counts), len(x), y.shape[1]))
    for sample, drawn in enumerate(counts):
        rows = np.repeat(np.arange(len(y)), drawn.astype(int))
        r[sample] = np.einsum("lrt,rt->lt", unit(x[:, rows]), unit(y[rows]))
    return r


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = run()
    return time.perf_counter() - begin, result


def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Time the full size and the loops, and compare their numbers for the loops' targets."""
    predictions, response = simulate(options.layers, options.rows, options.targets)
    few = slice(0, options.loop_targets)
    some = np.ascontiguousarray(predictions[:, :, few]), response[:, few]
    scale = options.targets / options.loop_targets
    counts = block_counts(options.rows, n_samples=options.samples, block_rows=BLOCK_ROWS)
    settings = {"device": options.device, "block_rows": BLOCK_ROWS, "seed": SEED}
    settings["n_permutations"] = options.samples

    def permute(x: np.ndarray, y: np.ndarray, scheme: str = "blocks") -> np.ndarray:
        return permutation_p_values(x, y, scheme=scheme, **settings)

    def resample(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return bootstrap_r(x, y, counts, device=options.device)

    def prefer(x: np.ndarray, y: np.ndarray) -> Any:
        samples = resample(x, y)
        return preferred_layers(samples[0], samples)

    rows: dict[str, dict[str, float]] = {}
    runs = {
        "permutation, blocks": permute,
        "permutation, shifts": lambda x, y: permute(x, y, "shift"),
        "bootstrap": resample,
        "bootstrap, preferred layers": prefer,
    }
    for name, run in runs.items():
        run(*some)  # warm
        rows[name] = {"seconds": timed(lambda run=run: in_chunks(run, predictions, response))[0]}
    loops = {
        "permutation, blocks": (permute, lambda: loop_permutation(*some, options.samples)),
        "bootstrap": (resample, lambda: loop_bootstrap(*some, counts)),
    }
    for name, (run, loop) in loops.items():
        seconds, expected = timed(loop)
        rows[name] |= {
            "loop_scaled_seconds": seconds * scale,
            "loop_over_ours": seconds * scale / rows[name]["seconds"],
            "largest_difference": float(np.abs(run(*some) - expected).max()),
        }
    return rows


def show(options: argparse.Namespace, rows: dict[str, Any]) -> None:
    print(f"\n{options.layers} layers, {options.rows} rows, {options.targets} targets, "
          f"{options.samples} permutations and samples; loops: {options.loop_targets} targets, "
          "scaled to all")  # fmt: skip
    print(f"{'':30}{'seconds':>9}{'loop (scaled)':>15}{'loop/ours':>11}{'difference':>12}")
    for name, row in rows.items():
        line = f"{name:30}{row['seconds']:9.1f}"
        if "loop_over_ours" in row:
            line += f"{row['loop_scaled_seconds']:15.0f}{row['loop_over_ours']:11.0f}"
            line += f"{row['largest_difference']:12.1e}"
        print(line)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=13)
    parser.add_argument("--rows", type=int, default=290)
    parser.add_argument("--targets", type=int, default=20484)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--loop-targets", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, default=Path("bench_statistics.json"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    versions = {name: version(name) for name in ("torch", "numpy", "scipy")}
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "device": options.device,
               "threads": options.threads, "versions": versions}  # fmt: skip
    print(json.dumps(machine))
    rows = bench(options)
    show(options, rows)
    outcome = {"machine": machine, "settings": vars(options) | {"json": str(options.json)}}
    outcome["results"] = rows
    options.json.write_text(json.dumps(outcome, indent=1))
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main(sys.argv[1:])
