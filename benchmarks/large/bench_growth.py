"""How the time of a whole encoding grows with targets, rows, layers and subjects.

``python benchmarks/large/bench_growth.py`` encodes a made-up data set from its files to its
results, in one process, and again with ten times the targets, four times the rows, twice the layers
and four times the subjects. An exponent of 1 means that the time grows as the data do; below 1,
that part of it is there anyway (features of a story serve every subject). CPU seconds, the less of
two runs.

Ridge in the dual form, which models with more features than rows are solved in, makes products of
rows by rows with targets: fitted alone, with four times the rows, its exponent is that of rows.
"""

import argparse
import json
import logging
import os
import platform
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import log
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor
from transformers.utils.logging import disable_progress_bar

from braindash.core.ridge.model import RidgeCV
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.progress import NoProgress
from braindash.requests import EncodeRequest

TR_SECONDS, RATE_HZ, N_STORIES = 2.0, 16000, 6
FACTORS = {"n_targets": 10, "n_rows": 4, "n_layers": 2, "n_subjects": 4}


@dataclass(frozen=True)
class Size:
    """Of a made-up data set: targets, rows of all stories, transformer layers, subjects."""

    n_targets: int = 2000
    n_rows: int = 480
    n_layers: int = 4
    n_subjects: int = 1


def make(folder: Path, size: Size) -> None:
    """Write a model, stories of noise, responses of noise, and a manifest."""
    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=128,
        num_hidden_layers=size.n_layers,
        num_attention_heads=4,
        intermediate_size=512,
        conv_dim=(64,) * 7,
    )
    HubertModel(config).save_pretrained(folder / "model")
    Wav2Vec2FeatureExtractor().save_pretrained(folder / "model")
    rng, n_rows = np.random.default_rng(0), size.n_rows // N_STORIES
    (folder / "audio").mkdir()
    stories = [f"story_{number}" for number in range(N_STORIES)]
    for story in stories:
        n_samples = round(n_rows * TR_SECONDS * RATE_HZ)
        sound = 0.1 * rng.standard_normal(n_samples).astype(np.float32)
        soundfile.write(folder / "audio" / f"{story}.wav", sound, RATE_HZ)
        for subject in range(size.n_subjects):
            (folder / f"S{subject}").mkdir(exist_ok=True)
            values = rng.standard_normal((n_rows, size.n_targets), dtype=np.float32)
            np.save(folder / f"S{subject}" / f"{story}.npy", values)
    subjects = "\n".join(f'[[subjects]]\nid = "S{n}"' for n in range(size.n_subjects))
    (folder / "manifest.toml").write_text(
        f'[dataset]\nname = "growth"\naudio_dir = "audio"\nsimulated = true\n'
        f"[timing]\ntr = {TR_SECONDS}\n"
        f'[responses]\npath = "{{subject}}/{{story}}.npy"\nspace = "roi"\n'
        f'[splits]\ntest = ["{stories[-1]}"]\n{subjects}\n'
    )


def seconds(size: Size) -> float:
    """CPU seconds of one whole encoding of every subject."""
    with tempfile.TemporaryDirectory(prefix="braindash-bench-") as place:
        folder = Path(place)
        make(folder, size)
        store = Store(folder / "store")
        begin = time.process_time()
        requests = [
            EncodeRequest(
                data=folder / "manifest.toml",
                model=str(folder / "model"),
                subject=f"S{number}",
                strategy="chunk",
                threads=1,
                n_permutations=100,
                n_bootstraps=100,
            )
            for number in range(size.n_subjects)
        ]
        runs = [EncodingRun(plan_encoding(one), store) for one in requests]
        carry_out(runs, NoProgress(), cores=1)
        for run in runs:
            run.result()
        return time.process_time() - begin


def seconds_of_dual(n_rows: int, n_targets: int = 20000, n_features: int = 1024) -> float:
    """CPU seconds of planning and fitting ridge alone in its dual form."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    responses = rng.standard_normal((n_rows, n_targets), dtype=np.float32)
    groups = np.arange(n_rows) * 5 // n_rows
    begin = time.process_time()
    RidgeCV(features, groups, method="dual", device="cpu", threads=1).fit(responses)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    disable_progress_bar()
    logging.disable(logging.WARNING)  # so few rows are told of otherwise
    torch.set_num_threads(1)
    base = Size()
    seconds(replace(base, n_targets=200))  # imports and first calls
    sizes = {"": base}
    for name, factor in FACTORS.items():
        sizes[name] = replace(base, **{name: factor * getattr(base, name)})
    taken = {name: min(seconds(size) for _ in range(2)) for name, size in sizes.items()}
    print(f"{base}: {taken['']:.1f} CPU s")
    exponents = {}
    for name, factor in FACTORS.items():
        exponents[name] = log(taken[name] / taken[""]) / log(factor)
        print(f"{name} x {factor}: {taken[name]:.1f} s, exponent {exponents[name]:.2f}")
    rows = base.n_rows, FACTORS["n_rows"] * base.n_rows
    dual = [min(seconds_of_dual(n_rows) for _ in range(2)) for n_rows in rows]
    exponent = log(dual[1] / dual[0]) / log(FACTORS["n_rows"])
    print(f"dual ridge alone, rows {rows}: {dual[0]:.1f} and {dual[1]:.1f} s, {exponent:.2f}")
    if options.json:
        machine = {
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        }
        report = machine | {"seconds": taken, "factors": FACTORS, "exponents": exponents}
        report["dual rows"] = exponent
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
