"""What a GPU does: agreement with the CPU, times, share of its peak, peak memory; one table.

``scripts/check_gpu.sh`` runs it on a borrowed machine; ``--device cpu --quick`` tries the script
without one. The peak of a precision is what a large product reaches on this very device; a share is
operations per second over it. Operations are those of products and convolutions
(``torch.utils.flop_counter``); of a regression, those of its bare products of features and targets
(``floor`` of bench_ridge.py). Random weights and made-up data: only shapes matter.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bench_features
import bench_ridge
import bench_tuning
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.model import Probes
from braindash.core.probes.split import split_units
from braindash.core.statistics.bootstrap import block_counts, bootstrap_r
from braindash.core.statistics.prewhitened import prewhitened_tests
from braindash.progress import NoProgress
from braindash.speech.checkpoints.locate import locate
from braindash.speech.features import CUDA_BATCH, plan_windows, window_features
from braindash.speech.models import open_model
from braindash.speech.training.stories import epoch_batches

TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
REPEATS = 3


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    seconds: str
    share: str
    memory: str
    agreement: str


class Device:
    """Times work on a device, and tells its memory and its peaks."""

    def __init__(self, name: str, side: int) -> None:
        self.name = name
        self.is_gpu = torch.device(name).type == "cuda"
        self.peaks = {name: self._peak(kind, side) for name, kind in TYPES.items()}

    def _peak(self, kind: torch.dtype, side: int) -> float:
        one = torch.ones(side, side, dtype=kind, device=self.name)
        return 2 * side**3 / self.seconds(lambda: one @ one)

    def wait(self) -> None:
        """Wait until all that was asked for is done."""
        if self.is_gpu:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], repeats: int = REPEATS) -> float:
        """Return the median time of some runs, after one that warms up."""
        spent = []
        for _ in range(repeats + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            spent.append(time.perf_counter() - start)
        return statistics.median(spent[1:])

    def peak_memory(self, work: Callable[[], Any]) -> str:
        """Return what the work takes of the device's memory at most."""
        if not self.is_gpu:
            return ""
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return f"{(torch.cuda.max_memory_allocated() - before) / 1e9:.2f} GB"


def n_operations(work: Callable[[], Any]) -> int:
    """Count the operations of products, convolutions and attention."""
    # The counter takes operations apart, which tensors of inference mode do not let it.
    counter = FlopCounterMode(display=False)
    with patch.object(torch, "inference_mode", torch.no_grad), counter:
        work()
    return counter.get_total_flops()


def told(seconds: float) -> str:
    return f"{seconds:.3g} s"


def ridge(device: Device, names: list[str]) -> Iterator[Row]:
    """Fit the published shapes, beside the CPU's predictions and alphas."""
    for name in names:
        shape = bench_ridge.SHAPES[name]
        data = bench_ridge.simulate(shape)
        alpha, prediction = bench_ridge.ours(data, "cpu", torch.get_num_threads())
        found = bench_ridge.ours(data, device.name, 1)
        same = found[0] == alpha
        gap = np.abs(found[1] - prediction)[:, same].max()
        seconds = device.seconds(lambda data=data: bench_ridge.ours(data, device.name, 1))
        design, Y = (torch.as_tensor(data[key], device=device.name) for key in ("design", "Y"))
        floor = device.seconds(lambda a=design, b=Y: a.T @ b)
        memory = device.peak_memory(lambda data=data: bench_ridge.ours(data, device.name, 1))
        yield Row(
            f"ridge {name}: {shape.n_rows} x {4 * shape.n_features} x {shape.n_targets}",
            told(seconds),
            f"{seconds / floor:.1f}x one bare product",
            memory,
            f"{same.mean():.2%} of alphas equal, predictions within {gap:.0e}",
        )


def statistics_and_probes(device: Device, n_targets: int) -> Iterator[Row]:
    """Bootstrap, test and probe made-up data."""
    rng = np.random.default_rng(0)
    response = rng.standard_normal((300, n_targets)).astype(np.float32)
    predicted = (0.3 * response + rng.standard_normal((4, *response.shape))).astype(np.float32)
    counts = block_counts(300, n_samples=1000, block_rows=10, seed=0)
    labels = rng.integers(40, size=20_000)
    X = rng.standard_normal((len(labels), 768), dtype=np.float32)
    X[:, :40] += np.eye(40, dtype=np.float32)[labels]
    split = split_units(np.arange(len(labels)) // 200)

    def probes(where: str) -> np.ndarray:
        plan = Probes([ProbeTask("class", labels)], split, device=where)
        return plan.fit_layer(X)[0].samples

    work: dict[str, Callable[[str], np.ndarray]] = {
        f"1000 bootstrap samples of 4 x {n_targets} r": lambda where: bootstrap_r(
            predicted, response, counts, device=where
        ),
        f"prewhitened tests of 4 x {n_targets} targets": lambda where: (
            prewhitened_tests(predicted, response, device=where).p
        ),
        "probe of 20000 units x 768, 40 classes": probes,
    }
    for what, run in work.items():
        gap = np.abs(run("cpu") - run(device.name)).max()
        seconds = device.seconds(lambda run=run: run(device.name))
        memory = device.peak_memory(lambda run=run: run(device.name))
        yield Row(what, told(seconds), "", memory, f"within {gap:.0e}")


def features(device: Device, variants: list[str], size: str) -> Iterator[Row]:
    """Run windows in batches in every precision, beside float32 on the CPU."""
    for variant in variants:
        with tempfile.TemporaryDirectory() as folder:
            bench_features.save(variant, size, folder)
            reference = open_model(folder, device="cpu")
            audio = bench_features.sound(bench_features.WINDOW_SECONDS + 14.0)
            few = plan_windows(reference, len(audio), "exact")[-9::4]
            wanted = np.stack([f[0] for _, f in window_features(reference, audio, few)])
            for precision in TYPES if device.is_gpu else ("float32",):
                model = open_model(locate(folder, precision=precision), device=device.name)
                found = np.stack([f[0] for _, f in window_features(model, audio, few)])
                gap = np.abs(found - wanted).max() / wanted.std()
                r = np.corrcoef(found.ravel(), wanted.ravel())[0, 1]
                many = plan_windows(model, len(audio), "exact")
                many = many[-4 * CUDA_BATCH :] if device.is_gpu else many[-2:]

                def run(model: Any = model, audio: Any = audio, many: Any = many) -> None:
                    list(window_features(model, audio, many))

                seconds = device.seconds(run)
                share = n_operations(run) / seconds / device.peaks[precision]
                yield Row(
                    f"exact features, {variant}, {size}, {precision}",
                    f"{1e3 * seconds / len(many):.2f} ms a window",
                    f"{share:.0%} of the peak",
                    device.peak_memory(run),
                    f"within {gap:.0e} sd, r {r:.6f}",
                )


def tuning(device: Device, size: str, seconds: float) -> Iterator[Row]:
    """Take steps of brain-tuning; the first loss beside that of the CPU."""
    for precision in ("float32", "bf16") if device.is_gpu else ("float32",):
        settings = bench_tuning.SETTINGS["segment"].model_copy(update={"precision": precision})
        with tempfile.TemporaryDirectory() as folder:
            place = bench_tuning.model_folder(size, Path(folder))
            losses = {}
            for where in dict.fromkeys(("cpu", device.name)):
                one = bench_tuning.trainer(place, settings, seconds, Path(folder) / where, where)
                one._train.inputs.prepare(NoProgress())
                batch = epoch_batches(one._train.stories, settings, 1)[0]
                one.network.train()
                losses[where] = float(one._gradients(batch))

            def step(one: Any = one, batch: Any = batch) -> None:
                one._step(batch, 0, 1, 1000)

            spent = device.seconds(step)
            share = n_operations(step) / spent / device.peaks[precision]
            rows = len(batch) * settings.rows_per_segment
            yield Row(
                f"brain-tuning, {size}, {precision}",
                f"{rows / spent:.0f} rows a second",
                f"{share:.0%} of the peak",
                device.peak_memory(step),
                f"first loss {abs(losses[device.name] / losses['cpu'] - 1):.0e} from the CPU's",
            )


def table(rows: list[Row]) -> str:
    """Write the lines as Markdown."""
    head = ("what", "time", "share", "peak memory", "agreement with the CPU in float32")
    lines = [head, ("---",) * len(head), *map(astuple, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--json", type=Path, default=Path("build/bench/gpu.json"))
    options = parser.parse_args()
    quick = options.quick
    device = Device(options.device, 256 if quick else 8192)
    name = torch.cuda.get_device_name() if device.is_gpu else bench_features.processor()
    peaks = ", ".join(f"{kind} {rate / 1e12:.3g}" for kind, rate in device.peaks.items())
    print(f"{name}; peaks in teraflop/s: {peaks}; torch {torch.__version__}", flush=True)
    size = "tiny" if quick else "base"
    parts = (
        ridge(device, ["small"] if quick else ["A", "D"]),
        statistics_and_probes(device, 200 if quick else 20_000),
        features(device, ["hubert"] if quick else ["hubert", "wavlm-layer", "whisper"], size),
        tuning(device, size, 120.0 if quick else 300.0),
    )
    rows = []
    for row in (row for part in parts for row in part):
        rows.append(row)
        print(" | ".join(astuple(row)), flush=True)
    print(f"\n{table(rows)}")
    found = {"device": name, "system": platform.platform(), "torch": torch.__version__}
    found |= {"peaks": device.peaks, "rows": [vars(row) for row in rows]}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
