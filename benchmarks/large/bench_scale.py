"""Whole subjects of public size: CPU time, the share of it spent reading, and peak memory.

``python benchmarks/large/bench_scale.py`` writes made-up data in a temporary folder, puts made-up
features of width 768 into a store, and encodes from the files to the map in processes of their own:

- ``lebel``: 95,556 voxels x 9,461 rows in float64, 27 stories, ten repeats of the test story;
- ``denizenslab``: ten stories of about 370 rows and one of two repeats, 80,000 voxels with a mapper
  to fsaverage.

A fraction of the voxels is encoded twice, at ``--scale`` and at half of it, with ``--layers`` of
the 13 layers, and a line through both is drawn on to all voxels and layers. The line of memory
holds only where both sizes fill a block of targets (:mod:`braindash.core.ridge.memory`): below,
all temporary arrays grow too, and the peak that is drawn on is too high; take a larger
``--scale`` then.

The plan's own estimate of memory is drawn on in the same way, and says how many
processes the program would start beside each other. Rows, stories and features are all there.
Seconds are those of one core, which a busy machine does not change; a disk that is slower than the
page cache adds its own. Reading is all of it: digests, the search for censored rows, responses.
``--rows`` takes a part of every story's rows, to try the script. ``--first-map`` waits instead, in
wall seconds, for the first layer of all voxels from the command line, with all cores, and ends it.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile

SEED, WIDTH, N_LAYERS, AT_ONCE = 0, 768, 13, 4096
RATE_HZ = 8000
LEAST_ROWS = 40
ALL_CORES, MACHINE_BYTES = 2, 24e9
N_VERTICES = 327_684  # of fsaverage, which the mapper leads to


@dataclass(frozen=True)
class Size:
    """Of one made-up subject: rows by story, the last of which is tested."""

    name: str
    n_targets: int
    n_rows: tuple[int, ...]
    tr: float
    n_repeats: int
    mapped: bool
    float_bytes: int
    n_layers: int = N_LAYERS


LEBEL = Size("lebel", 95_556, (350,) * 26 + (361,), 2.0, 10, False, 8)
DENIZENSLAB = Size("denizenslab", 80_000, (370,) * 10 + (290,), 2.0045, 2, True, 4)
SIZES = {one.name: one for one in (LEBEL, DENIZENSLAB)}


def story(number: int) -> str:
    """Name a story."""
    return f"story_{number:02d}"


# ---- what is made --------------------------------------------------------------------------------


def make(folder: Path, size: Size) -> None:
    """Write sounds, responses, a model's folder, features in the store, and a manifest."""
    rng = np.random.default_rng(SEED)
    (folder / "audio").mkdir(parents=True)
    for number, n_rows in enumerate(size.n_rows):
        sound = 0.1 * rng.standard_normal(math.ceil((n_rows + 1) * size.tr * RATE_HZ))
        path = folder / "audio" / f"{story(number)}.wav"
        soundfile.write(path, sound, RATE_HZ, subtype="PCM_U8")
    features = [rng.standard_normal((n, WIDTH), dtype=np.float32) for n in size.n_rows]
    responses(folder, size, features, rng)
    if size.mapped:
        mapper(folder / "mappers.hdf", size.n_targets, rng)
    (folder / "m.toml").write_text(manifest(size), encoding="utf-8")
    model(folder / "model", size.n_layers)
    put_features(folder, features, rng)


def responses(folder: Path, size: Size, features: list[np.ndarray], rng: Any) -> None:
    """Write responses that follow the features four rows late, some voxels at a time."""
    kind = {8: np.float64, 4: np.float32}[size.float_bytes]
    last = len(size.n_rows) - 1
    with h5py.File(folder / "responses.h5", "w") as file:
        for number, n_rows in enumerate(size.n_rows):
            shape: tuple[int, ...] = (n_rows, size.n_targets)
            repeated = number == last
            if repeated:
                shape = (size.n_repeats, *shape)
            data = file.create_dataset(story(number), shape, kind)
            late = np.roll(features[number][:, :16], 4, axis=0)
            for start in range(0, size.n_targets, AT_ONCE):
                columns = slice(start, min(start + AT_ONCE, size.n_targets))
                n_columns = columns.stop - start
                inputs = np.random.default_rng(start).standard_normal((16, n_columns)) / 8
                noise = rng.standard_normal((*shape[:-1], n_columns), dtype=np.float32)
                data[..., columns] = late @ inputs + noise


def mapper(path: Path, n_targets: int, rng: Any) -> None:
    """Write what brings voxels to fsaverage, six to a vertex, as denizenslab has it."""
    with h5py.File(path, "w") as file:
        name = "voxel_to_fsaverage"
        file[f"{name}_data"] = np.full(6 * N_VERTICES, 1 / 6, dtype=np.float32)
        file[f"{name}_indices"] = rng.integers(0, n_targets, 6 * N_VERTICES).astype(np.int32)
        file[f"{name}_indptr"] = np.arange(0, 6 * N_VERTICES + 1, 6, dtype=np.int32)
        file[f"{name}_shape"] = np.array([N_VERTICES, n_targets])


def manifest(size: Size) -> str:
    """Describe the data."""
    own = f"units = {size.n_targets}\n" + ('mapper = "mappers.hdf"' if size.mapped else "")
    return f"""
[dataset]
name = "{size.name}-sized"
audio_dir = "audio"
simulated = true
[timing]
tr = {size.tr}
[responses]
path = "responses.h5"
key = "{{story}}"
repeats_key = "{{story}}"
space = "native-volume"
[[subjects]]
id = "S1"
{own}
[splits]
test = ["{story(len(size.n_rows) - 1)}"]
"""


def model(folder: Path, n_layers: int) -> None:
    """Write a HuBERT of a base model's width; it is located and never opened."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "conv_dim": (32,) * 7}
    HubertModel(HubertConfig(num_hidden_layers=n_layers - 1, **sizes)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def request(folder: Path) -> Any:
    """Ask for the encoding."""
    from braindash.requests import EncodeRequest

    fields = {"data": folder / "m.toml", "model": str(folder / "model"), "subject": "S1"}
    return EncodeRequest(**fields, strategy="chunk", threads=1)


def put_features(folder: Path, features: list[np.ndarray], rng: Any) -> None:
    """Keep features of every story, as if a model had made them: each layer with more noise."""
    import xarray as xr

    from braindash.encoding.plan import plan_encoding
    from braindash.io.entries import common_provenance
    from braindash.io.store import Store

    plan, store = plan_encoding(request(folder)), Store(folder / "store")
    told = common_provenance(plan.model, "chunk", plan.dataset.name, True, 0.0)
    for planned in plan.stories:
        own = features[int(planned.name.removeprefix("story_"))][planned.rows]
        levels = np.linspace(0.2, 2.0, plan.model.n_layers, dtype=np.float32)
        noise = rng.standard_normal((len(levels), *own.shape), dtype=np.float32)
        array = own + levels[:, None, None] * noise
        store.put(
            "features",
            planned.extraction.key(),
            spec=planned.extraction.canonical(),
            provenance=told,
            dataset=xr.Dataset({"features": (("layer", "time", "feature"), array)}),
            chunks={"features": (1, *own.shape)},
        )


# ---- what is measured ----------------------------------------------------------------------------


class Clock:
    """Adds up the seconds of some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Any) -> Any:
        """Return the call, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return call(*given, **named)
            finally:
                self.seconds += time.process_time() - began

        return timed

    def around_each(self, call: Any) -> Any:
        """Return the generator function, timed while it is asked for what is next."""

        def timed(*given: Any, **named: Any) -> Any:
            step = self.around(iter(call(*given, **named)).__next__)
            while True:
                try:
                    found = step()
                except StopIteration:
                    return
                yield found

        return timed


def encode(folder: Path) -> dict[str, Any]:
    """Plan, encode and map in this process; say what it took."""
    from braindash.encoding import responses as reading
    from braindash.encoding.costs import regression_bytes, statistics_bytes
    from braindash.encoding.plan import plan_encoding
    from braindash.encoding.run import EncodingRun
    from braindash.io.dataset import censored
    from braindash.io.store import Store
    from braindash.parts import PROCESS_BYTES
    from braindash.progress import NoProgress
    from braindash.remembered import digests

    clock = Clock()
    digests.digest_file = clock.around(digests.digest_file)
    censored.row_blocks = clock.around_each(censored.row_blocks)
    reading.load_responses = clock.around(reading.load_responses)
    reading.load_repeats = clock.around(reading.load_repeats)
    began = time.process_time()
    plan = plan_encoding(request(folder))
    planned = time.process_time() - began
    run = EncodingRun(plan, Store(folder / "store"))
    layers, finish, mapped = [], 0.0, 0.0
    for part in run.parts():
        if part.done():
            continue
        at = time.process_time()
        part.make(NoProgress())
        taken = time.process_time() - at
        if "layer-" in part.name:
            layers.append(taken)
        elif part.name.startswith("surface"):
            mapped = taken
        else:
            finish = taken
    if plan.surface is not None:
        at = time.process_time()
        plan.surface.surface.common_values(run.result().r[0])
        mapped += time.process_time() - at
    return {
        "targets": int(run.result().r.shape[1]),
        "layers": int(run.result().r.shape[0]),
        "mean r of the first layer": float(np.nanmean(run.result().r[0])),
        "seconds": {
            "plan": planned,
            "first layer": layers[0],
            "later layer": float(np.mean(layers[1:])),
            "statistics": finish,
            "map": mapped,
            "all": time.process_time() - began,
            "reading": clock.seconds,
        },
        "peak bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "planned bytes": PROCESS_BYTES + max(regression_bytes(plan), statistics_bytes(plan)),
    }


def measured(size: Size, scale: float, n_layers: int, rows: float) -> dict[str, Any]:
    """Make a part of the voxels and encode it, each in a process of its own."""
    n_rows = tuple(max(LEAST_ROWS, int(n * rows)) for n in size.n_rows)
    n_targets = int(size.n_targets * scale)
    part = replace(size, n_targets=n_targets, n_rows=n_rows, n_layers=n_layers)
    with tempfile.TemporaryDirectory(prefix="braindash-bench-") as place:
        folder = Path(place)
        # Nothing is known of the files, as when a user comes with them.
        settings = dict(os.environ, OMP_NUM_THREADS="1")
        for step in (["--make", json.dumps(asdict(part))], ["--encode"]):
            settings["BRAINDASH_CACHE"] = str(folder / step[0])
            command = [sys.executable, __file__, *step, "--folder", str(folder / "data")]
            done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_map(size: Size, rows: float) -> float:
    """Time the command from its start to the first layer's scores, whose map can be looked at."""
    n_rows = tuple(max(LEAST_ROWS, int(n * rows)) for n in size.n_rows)
    with tempfile.TemporaryDirectory(prefix="braindash-bench-") as place:
        folder, settings = Path(place) / "data", os.environ | {"BRAINDASH_CACHE": f"{place}/cache"}
        part = json.dumps(asdict(replace(size, n_rows=n_rows)))
        subprocess.run(
            [sys.executable, __file__, "--make", part, "--folder", str(folder)],
            env=os.environ | {"BRAINDASH_CACHE": f"{place}/other"},
            check=True,
        )
        command = [sys.executable, "-m", "braindash", "encode", "--data", str(folder / "m.toml")]
        command += ["--model", str(folder / "model"), "--subject", "S1", "--strategy", "chunk"]
        began = time.perf_counter()
        run = subprocess.Popen([*command, "--store", str(folder / "store")], env=settings)
        while not [*(folder / "store" / "parts" / "predictions").glob("*/*.nc")]:
            if run.poll() is not None:
                raise SystemExit(f"the command ended with {run.returncode} before its first layer")
            time.sleep(0.2)
        seconds = time.perf_counter() - began
        run.terminate()
        run.wait()
    return seconds


# ---- what is told --------------------------------------------------------------------------------


def drawn_on(two: list[tuple[float, float]], at: float) -> float:
    """Return what lies at ``at`` on the line through two points; never less than the last."""
    (x, y), (other_x, other_y) = two
    return max(other_y, other_y + (other_y - y) / (other_x - x) * (at - other_x))


def whole(size: Size, found: list[dict[str, Any]]) -> dict[str, float]:
    """Draw on to all voxels and layers."""

    def line(value: Any) -> float:
        return drawn_on([(one["targets"], value(one)) for one in found], size.n_targets)

    plan, first, later, mapped, reading = (
        line(lambda one, name=name: one["seconds"][name])
        for name in ("plan", "first layer", "later layer", "map", "reading")
    )
    per_layer = line(lambda one: one["seconds"]["statistics"] / one["layers"])
    layers = first + (size.n_layers - 1) * later
    everything = plan + layers + size.n_layers * per_layer + mapped
    planned = line(lambda one: one["planned bytes"])
    return {
        "seconds to plan": plan,
        "seconds of a layer": later,
        "seconds to the first layer's scores": plan + first,
        "seconds to the first map": plan + first + mapped,
        "seconds in one process": everything,
        "share of reading": reading / everything,
        "peak GB of a process": line(lambda one: one["peak bytes"]) / 1e9,
        "planned GB of a process": planned / 1e9,
        "processes that fit": min(ALL_CORES, int(0.8 * MACHINE_BYTES // planned)),
    }


def bench(size: Size, scale: float, n_layers: int, rows: float) -> dict[str, Any]:
    """Measure at half the scale and at the scale; print and return what was found."""
    found = [measured(size, part, n_layers, rows) for part in (scale / 2, scale)]
    for one in found:
        seconds = {name: round(value, 1) for name, value in one["seconds"].items()}
        print(
            f"{size.name}, {one['targets']} voxels, {one['layers']} layers: CPU seconds {seconds}; "
            f"peak {one['peak bytes'] / 1e9:.2f} GB, planned {one['planned bytes'] / 1e9:.2f} GB; "
            f"mean r {one['mean r of the first layer']:.3f}",
            flush=True,
        )
    drawn = whole(size, found)
    part = "" if rows == 1 else f", {rows:g} of the rows"
    print(f"{size.name}, drawn on to {size.n_targets} voxels x {size.n_layers} layers{part}:")
    for name, value in drawn.items():
        print(f"  {name}: {value:.2f}")
    return {"measured": found, "whole": drawn}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--scale", type=float, default=1 / 16, help="part of the voxels")
    parser.add_argument("--layers", type=int, default=2, help="of the 13, two at least")
    parser.add_argument("--rows", type=float, default=1.0, help="part of every story's rows")
    parser.add_argument("--first-map", action="store_true", help="of all voxels, wall seconds")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--encode", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        fields = json.loads(options.make)
        make(options.folder, Size(**(fields | {"n_rows": tuple(fields["n_rows"])})))
    elif options.encode:
        print(json.dumps(encode(options.folder)))
    elif options.first_map:
        for name in options.sizes:
            seconds = first_map(SIZES[name], options.rows)
            print(
                f"{name}: first layer of {SIZES[name].n_targets} voxels after {seconds:.0f} s wall"
            )
    else:
        parts = options.scale, options.layers, options.rows
        found = {name: bench(SIZES[name], *parts) for name in options.sizes}
        head = {
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "versions": {name: version(name) for name in ("torch", "numpy", "h5py")},
            "scale": options.scale,
            "rows": options.rows,
        }
        if options.json:
            options.json.write_text(json.dumps(head | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
