"""The embedded demo by processes side by side: the ratio to one process, and how long the whole is.

``python benchmarks/bench_parts.py`` prepares the demo's data and features, then encodes one subject
with one process, and with one per core, and prints both times, their ratio, the largest difference
of the scores, and the ratio that cannot be passed: a process has to load torch and to plan before
its first part, and the last part, the statistics of all layers, is one. ``--demo`` measures the
whole demo instead, cold, in a store of its own: when the first layer is scored (its map is on the
page Overview from then on), when the first result is there, when all are, and how long it takes to
load them again. In wall seconds; what the machine does meanwhile is measured too.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from braindash.demo.dataset import prepare_demo
from braindash.demo.requests import demo_requests
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.process import at_most_threads, usable_cores
from braindash.progress import NoProgress


def prepared(root: Path, manifest: Path, features: Path, cores: int) -> EncodingRun:
    """Plan the encoding of one subject, in a store of its own with features at hand."""
    shutil.copytree(features, root / "features")
    request = demo_requests(manifest)[0].model_copy(update={"threads": cores})
    return EncodingRun(plan_encoding(request), Store(root))


def one_by_one(run: EncodingRun) -> list[float]:
    """Make the parts of a run with one thread, as one process does; seconds of each."""
    spent = []
    with at_most_threads(1):
        for part in run.parts():
            if not part.done():
                started = time.perf_counter()
                part.make(NoProgress())
                spent.append(time.perf_counter() - started)
    return spent


def seconds_to_begin() -> float:
    """Seconds until another process has loaded what makes a part."""
    started = time.perf_counter()
    loaded = "import torch, sklearn.linear_model, braindash.encoding.run"
    subprocess.run([sys.executable, "-c", loaded], check=True)
    return time.perf_counter() - started


def one_and_several(folder: Path) -> dict[str, object]:
    """Compare one process with one per core."""
    manifest = prepare_demo(folder / "data")
    features, cores = folder / "with-features", usable_cores()
    request = demo_requests(manifest)[0]
    made = EncodingRun(plan_encoding(request), Store(features))
    for part in made.parts():
        if part.name.startswith("features "):
            part.make(NoProgress())
    stored = features / "features"
    single = prepared(folder / "one", manifest, stored, 1)
    *layers, last = one_by_one(single)
    one = sum(layers) + last
    beside = prepared(folder / "several", manifest, stored, cores)
    started = time.perf_counter()
    carry_out([beside], NoProgress(), cores=cores)
    several = time.perf_counter() - started
    expected, found = single.result().r, beside.result().r
    gap = np.abs(found - expected)
    bound = seconds_to_begin() + sum(layers) / cores + last
    return {
        "one process, s": round(one, 1),
        f"{cores} processes, s": round(several, 1),
        "ratio": round(one / several, 2),
        "last part, s": round(last, 1),
        "ratio at most": round(one / bound, 2),
        "largest difference of r": float(np.nanmax(gap)),
        "share of targets within 1e-6": float((gap[np.isfinite(gap)] < 1e-6).mean()),
    }


def whole_demo(folder: Path) -> dict[str, object]:
    """Time the command that a newcomer gives, from an empty store and from a full one."""
    command = [sys.executable, "-m", "braindash", "demo", "--headless", "--json"]
    command += ["--store", str(folder / "store")]
    awaited = {"first map": "parts/predictions/*/*.nc", "first result": "encoding/*/checksums.json"}
    first: dict[str, float] = {}
    started, finished = time.perf_counter(), threading.Event()

    def watch() -> None:
        while not finished.wait(0.2) and len(first) < len(awaited):
            for name, pattern in awaited.items():
                if name not in first and [*(folder / "store").glob(pattern)]:
                    first[name] = time.perf_counter() - started

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, os.times()
    finished.set()
    watcher.join()
    computed = after.children_user - before.children_user
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {
        **{f"{name} after, s": round(reached, 1) for name, reached in first.items()},
        "all results after, s": round(seconds, 1),
        "cores busy on average": round(computed / seconds, 2),
        **seconds_by_kind(folder / "store"),
        "loaded again, s": round(time.perf_counter() - started, 1),
    }


def seconds_by_kind(root: Path) -> dict[str, float]:
    """Add up what the parts of each kind took, by what their results say of themselves.

    What was made in one pass over a recording says the same of each, and counts once.
    """
    found: dict[str, float] = {}
    for kind in sorted(path.parent.parent for path in root.glob("*/*/provenance.json")):
        found[kind.name] = 0.0
    for name in found:
        passes = set()
        for path in (root / name).glob("*/provenance.json"):
            told = json.loads(path.read_text(encoding="utf-8"))
            passes.add((told["seconds"], json.dumps(told["model"], sort_keys=True)))
        found[name] = round(sum(seconds for seconds, _ in passes), 1)
    return {f"{name}, s": seconds for name, seconds in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="time the whole demo")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="braindash-bench-") as folder:
        measured = (whole_demo if options.demo else one_and_several)(Path(folder))
    machine = {
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": usable_cores(),
        "load before": round(os.getloadavg()[0], 2),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }
    for name, value in (machine | measured).items():
        print(f"{name:32} {value}")
    if options.json:
        options.json.write_text(json.dumps(machine | measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
