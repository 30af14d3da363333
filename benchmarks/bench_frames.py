"""One run of a model for all who heard the same sound: what it saves, and what it does to scores.

``python benchmarks/bench_frames.py`` takes some minutes. The embedded demo's stories are given to
its model; features are brought to rows while the model runs, and from the frames that are kept of
one run (`braindash encode --keep-frames`), for subjects with other TRs and onsets. Responses are
made up from the features of each layer and noise, ridge is trained on all stories but the last, and
the Pearson r of the last one is compared, target by target. Printed are the largest differences of
rows (in each feature's standard deviation) and of r, seconds, and bytes per hour of sound.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import braindash
from braindash.core.resampling import rows_of_kept
from braindash.core.ridge.model import RidgeCV
from braindash.core.scores import pearson_r, zscore
from braindash.core.timing import delayed
from braindash.io.dataset.audio import load_audio
from braindash.speech.checkpoints.locate import locate
from braindash.speech.features import extract
from braindash.speech.frames import FrameStream
from braindash.speech.models import SpeechModel, open_model
from braindash.speech.windows import SAMPLE_RATE_HZ, frames_bytes

DEMO = Path(braindash.__file__).parent / "demo"
BASE = {"layers": 13, "width": 768}
SUBJECTS = {"TR 2.0 s": (2.0, 0.0), "TR 1.5 s, 0.37 s later": (1.5, 0.37), "TR 1.0 s": (1.0, 0.11)}
N_TARGETS, SEED = 200, 0
Rows = list[np.ndarray]


def sounds(n_stories: int, seconds: float) -> list[np.ndarray]:
    """Return the demo's training stories, cut to a length; float32 at 16 kHz."""
    files = sorted((DEMO / "audio").glob("*_train_*"))
    speech = np.concatenate([load_audio(path) for path in files])
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    return [np.resize(np.roll(speech, -n * n_samples), n_samples) for n in range(n_stories)]


def kept_frames(model: SpeechModel, audio: np.ndarray, strategy: str) -> dict[str, Any]:
    """Compute the frames of one story, as the store keeps them."""
    stream = FrameStream(model, audio, strategy)
    frames = np.concatenate(list(stream.pieces()))
    return {"frames": frames, "times": stream.times, "mass": stream.mass}


def from_kept(kept: dict[str, Any], times: np.ndarray, tr: float) -> np.ndarray:
    """Bring kept frames to rows."""
    frames = kept["frames"]
    read = lambda first, stop: frames[first:stop]  # noqa: E731
    return rows_of_kept(read, kept["times"], times, tr, mass=kept["mass"])


def scores(features: Rows, responses: Rows, layer: int) -> np.ndarray:
    """Pearson r of the last story, (n_targets,)."""
    stories = [zscore(one[layer]) for one in features]
    index = np.repeat(np.arange(len(stories) - 1), [len(one) for one in stories[:-1]])
    ridge = RidgeCV(np.concatenate(stories[:-1]), index, threads=1)
    found = ridge.fit(np.concatenate(responses[:-1]), stories[-1], return_prediction=True)
    return pearson_r(found.prediction, responses[-1])


def made_up(features: Rows, layer: int) -> Rows:
    """Responses to every story that follow a layer's features, delayed, half of them noise."""
    rng = np.random.default_rng(SEED)
    designs = [delayed(zscore(one[layer])) for one in features]
    weights = rng.standard_normal((designs[0].shape[1], N_TARGETS))
    signals = [design @ weights for design in designs]
    spread = np.concatenate(signals).std(axis=0)
    return [
        zscore(one / spread + rng.standard_normal(one.shape)).astype(np.float32) for one in signals
    ]


def compared(model: SpeechModel, audio: list[np.ndarray], strategy: str) -> dict[str, Any]:
    """Both ways for all subjects."""
    began = time.perf_counter()
    kept = [kept_frames(model, one, strategy) for one in audio]
    once = time.perf_counter() - began
    found: dict[str, Any] = {"seconds to keep the frames": once, "subjects": {}}
    for name, (tr, onset) in SUBJECTS.items():
        times = [np.arange(onset, len(one) / SAMPLE_RATE_HZ, tr) for one in audio]
        at = time.perf_counter()
        direct = [
            extract(model, one, rows, strategy=strategy, tr=tr)
            for one, rows in zip(audio, times, strict=True)
        ]
        running = time.perf_counter() - at
        at = time.perf_counter()
        shared = [from_kept(one, rows, tr) for one, rows in zip(kept, times, strict=True)]
        reading = time.perf_counter() - at
        gaps = [
            np.abs(a - b).max(axis=1) / b.std(axis=1) for a, b in zip(shared, direct, strict=True)
        ]
        r_gaps, r_mean = [], []
        for layer in range(model.n_layers):
            responses = made_up(direct, layer)
            one, other = (scores(rows, responses, layer) for rows in (shared, direct))
            r_gaps.append(np.abs(one - other).max())
            r_mean.append(other.mean())
        found["subjects"][name] = {
            "largest difference of rows, sd": float(max(gap.max() for gap in gaps)),
            "largest difference of r": float(max(r_gaps)),
            "mean r": float(np.mean(r_mean)),
            "seconds with the model": running,
            "seconds from frames": reading,
        }
    return found


def told(strategy: str, found: dict[str, Any]) -> None:
    """Print what was found."""
    print(f"{strategy}: frames kept in {found['seconds to keep the frames']:.1f} s")
    for name, one in found["subjects"].items():
        print(
            f"  {name}: rows differ by {one['largest difference of rows, sd']:.1e} sd, "
            f"r by {one['largest difference of r']:.1e} (mean r {one['mean r']:.2f}); "
            f"{one['seconds with the model']:.1f} s with the model, "
            f"{one['seconds from frames']:.2f} s from frames"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=150.0, help="of each story")
    parser.add_argument("--strategies", nargs="+", default=["chunk", "exact"])
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = locate(str(DEMO / "models" / "tiny-hubert"))
    model, audio = open_model(files, device="cpu"), sounds(options.stories, options.seconds)
    assert isinstance(model, SpeechModel)
    report: dict[str, Any] = {}
    for strategy in options.strategies:
        found = compared(model, audio, strategy)
        of_base = frames_bytes(files, 3600.0, strategy) / files.n_layers / files.n_features
        found["GB per hour, base model"] = of_base * BASE["layers"] * BASE["width"] / 1e9
        told(strategy, found)
        print(f"  a base model's take {found['GB per hour, base model']:.1f} GB per hour of sound")
        report[strategy] = found
    if options.json:
        head = {
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        }
        options.json.write_text(json.dumps(head | report, indent=1) + "\n")


if __name__ == "__main__":
    main()
