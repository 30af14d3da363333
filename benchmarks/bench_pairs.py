"""Ridge fits and features by processes side by side: how much more a second core does.

``python benchmarks/bench_pairs.py`` repeats a piece of work with one thread: in one process, then
in as many at once as there are cores, three times in turn. The pieces are a fit of shape D of
``bench_ridge.py``, that of the embedded demo's parts, and four exact windows of a wav2vec 2.0 of
base size. The ratio is of pieces per second, by the slowest process, in wall seconds of the work
alone; medians. Two cores that share memory and clock do less than twice as much.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_features import WINDOW_SECONDS, plan_windows, save, sound, window_features
from bench_ridge import SHAPES, ours, simulate

from braindash.process import usable_cores
from braindash.speech.models import open_model

N_WINDOWS, N_TURNS = 4, 3
# How often each is repeated, and what the difference is of.
WORK = {"ridge": (8, "predictions"), "features": (2, "a feature's spread")}

Piece = Callable[[], np.ndarray]


def ridge_piece(size: str) -> Piece:
    """Make what fits all targets once and gives some of their predictions."""
    data = simulate(SHAPES[size])
    return lambda: ours(data, "cpu", 1)[1][:, ::100]


def features_piece(size: str) -> Piece:
    """Make what runs a model on some windows and gives their last frames."""
    with tempfile.TemporaryDirectory() as folder:
        save("wav2vec2", size, folder)
        model = open_model(folder, device="cpu")
    audio = sound(WINDOW_SECONDS + 1)
    windows = plan_windows(model, len(audio), "exact")[-N_WINDOWS:]

    def run() -> np.ndarray:
        found = np.stack([frames[0] for _, frames in window_features(model, audio, windows)])
        return found / found.std()

    return run


PIECES = {"ridge": ridge_piece, "features": features_piece}


def repeat(work: str, size: str, often: int, ready: Any, results: Any) -> None:
    """Repeat a piece after all processes are ready; hand over the seconds and what it gives."""
    torch.set_num_threads(1)
    piece = PIECES[work](size)
    found = piece()
    ready.wait()
    started = time.perf_counter()
    for _ in range(often):
        found = piece()
    results.put((time.perf_counter() - started, found))


def at_once(work: str, size: str, often: int, n_processes: int) -> tuple[float, list[np.ndarray]]:
    """Work in so many processes; seconds of the slowest, and what each found."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(n_processes), context.Queue()
    workers = [
        context.Process(target=repeat, args=(work, size, often, ready, results))
        for _ in range(n_processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return max(seconds for seconds, _ in found), [values for _, values in found]


def measure(work: str, size: str) -> dict[str, Any]:
    """Compare one process with one per core."""
    often, of = WORK[work]
    cores = usable_cores()
    turns = [
        (at_once(work, size, often, 1), at_once(work, size, often, cores)) for _ in range(N_TURNS)
    ]
    alone, together = (statistics.median(one[at][0] for one in turns) for at in (0, 1))
    expected = turns[0][0][1][0]
    found = [values for _, (_, several) in turns for values in several]
    return {
        "work": work,
        "size": size,
        "processes": cores,
        "seconds, one process": alone / often,
        "seconds, each process": together / often,
        "ratio": cores * alone / together,
        "largest difference": max(float(np.abs(one - expected).max()) for one in found),
        "of": of,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ridge", choices=SHAPES, default="D", help="shape of the fits")
    parser.add_argument("--features", default="base", help="size of the model")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    rows = [measure("ridge", options.ridge), measure("features", options.features)]
    for row in rows:
        print(json.dumps(row))
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
