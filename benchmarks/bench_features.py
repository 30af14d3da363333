"""Features: our time per 100 ms step beside the published loop, with the largest difference.

``python benchmarks/bench_features.py`` takes about a minute; ``--sizes base`` has the size of the
published base models and takes some minutes, ``--sizes large`` longer. Random weights, since only
their shapes matter here; nothing is downloaded. The variants run in turn on the same full windows;
medians. Where windows share the front end, the work that a group of them has in common is counted
with the group's share per window. ``--memory`` measures how the process grows with the recording
instead, ``--device cuda`` runs batches in float32, bf16 and fp16.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

import braindash
from braindash.io.dataset.audio import load_audio
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.locate import locate
from braindash.speech.encoder.overlap import WindowInputs
from braindash.speech.features import CUDA_BATCH, plan_windows, window_features
from braindash.speech.models import SpeechModel, open_model
from braindash.speech.windows import (
    CHUNK_STEP_SECONDS,
    EXACT_STEP_SECONDS,
    SAMPLE_RATE_HZ,
    WINDOW_SECONDS,
    Window,
)

SEED = 0
BIAS = 0.1
LATER_SECONDS = 14.0
SIZES = {"tiny": (128, 6, 4, 512), "base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096)}
_LAYER = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
_LAYER_POST = _LAYER | {"do_stable_layer_norm": False}
# family, whether the waveform is normalised, further settings
VARIANTS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", True, {}),
    "hubert": ("hubert", True, {}),
    "wavlm": ("wavlm", False, {}),
    "data2vec": ("data2vec-audio", True, {}),
    "wav2vec2-layer": ("wav2vec2", True, _LAYER),
    "hubert-layer": ("hubert", True, _LAYER_POST),
    "wavlm-layer": ("wavlm", True, _LAYER),
    "layer-unnormalised": ("wav2vec2", False, _LAYER),
    "whisper": ("whisper", False, {}),
}
STEPS_PER_CHUNK = CHUNK_STEP_SECONDS / EXACT_STEP_SECONDS
Timed = tuple[np.ndarray, float, float]


def sound(seconds: float) -> np.ndarray:
    """Speech: the recordings of the embedded demo, one behind the other, float32 at 16 kHz."""
    files = sorted((Path(braindash.__file__).parent / "demo" / "audio").glob("*_train_*"))
    speech = np.concatenate([load_audio(path) for path in files])
    return np.resize(speech, round(seconds * SAMPLE_RATE_HZ))


def configuration(variant: str, size: str) -> Any:
    width, n_blocks, n_heads, inner = SIZES[size]
    family, _, settings = VARIANTS[variant]
    config = getattr(transformers, FAMILIES[family].config_name)
    if family == "whisper":
        return config(
            d_model=width,
            encoder_layers=n_blocks,
            encoder_attention_heads=n_heads,
            encoder_ffn_dim=inner,
            decoder_layers=1,
            decoder_attention_heads=n_heads,
            decoder_ffn_dim=64,
        )
    shape = {
        "hidden_size": width,
        "num_hidden_layers": n_blocks,
        "num_attention_heads": n_heads,
        "intermediate_size": inner,
    }
    front = {"conv_dim": (width,) * 7} if size == "tiny" else {}
    return config(**shape, **front, **settings)


def save(variant: str, size: str, folder: str) -> Any:
    """Write a model with random weights; return its preprocessor."""
    family, normalise, _ = VARIANTS[variant]
    facts = FAMILIES[family]
    torch.manual_seed(SEED)
    encoder = getattr(import_module(facts.module), facts.class_name)
    module = encoder(configuration(variant, size))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            # Drawn as 0 they would leave the layer norms blind to loudness, and sharing trivial.
            if name.startswith("feature_extractor") and name.endswith("conv.bias"):
                parameter.normal_(std=BIAS)
    module.save_pretrained(folder)
    if family == "whisper":
        preprocess: Any = transformers.WhisperFeatureExtractor(feature_size=80)
    else:
        preprocess = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    preprocess.save_pretrained(folder)
    return preprocess


def published_step(module: Any, preprocess: Any, wave: np.ndarray, frame: int) -> Any:
    """One step of the published loop: batch 1, eager attention, autograd graph built."""
    inputs = preprocess(wave, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    output = module(inputs[module.main_input_name], output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    return [state[:, frame] for state in states]


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Answer of ``run`` with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run()
    return answer, time.perf_counter() - wall, time.process_time() - cpu


class Runs:
    """The three ways to features of the same recording."""

    def __init__(self, variant: str, size: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.preprocess = save(variant, size, folder)
            opened = open_model(folder, device="cpu")
            assert isinstance(opened, SpeechModel)
            self.model = opened
            facts = FAMILIES[opened.family]
            module = getattr(import_module(facts.module), facts.class_name)
            self.eager = module.from_pretrained(folder, attn_implementation="eager").eval()
            if facts.padded:
                self.eager.main_input_name = "input_features"

    def prepare(self, audio: np.ndarray, n_windows: int) -> None:
        """Choose full windows that end together, and do what they have in common."""
        self.audio = audio
        self.frames: dict[int, np.ndarray] = {}
        exact = plan_windows(self.model, len(audio), "exact")
        chunks = {w.end: w for w in plan_windows(self.model, len(audio), "chunk")}
        first = next(n for n, w in enumerate(exact) if w.seconds == exact[-1].seconds)
        self.exact = WindowInputs(self.model.encoder, audio, exact, normalise=self.model.normalise)
        (_, *self.common) = timed(lambda: self.exact.take(first, 1))
        self.n_grouped = self.exact.n_grouped
        together = range(first, first + max(self.n_grouped, round(n_windows * STEPS_PER_CHUNK)))
        chosen = [n for n in together if n < len(exact) and exact[n].end in chunks]
        self.windows = [(n, exact[n], chunks[exact[n].end]) for n in chosen[:n_windows]]

    def published(self, number: int) -> Timed:
        """Last frame of one window through the published loop.

        The loop keeps each window's autograd graph to its end. Here the graph is dropped behind
        the clock: piled up, the graphs slow down whatever runs next to them, ours too.
        """
        window = self.windows[number][1]
        wave = self.audio[window.start : window.end]
        frame = window.frames.start if self.model.geometry.padded else -1
        states, *seconds = timed(lambda: published_step(self.eager, self.preprocess, wave, frame))
        return np.stack([state.detach().numpy()[0] for state in states]), *seconds

    def exact_step(self, number: int) -> Timed:
        """Return the same frame through the package, with its part of what a group shares."""
        position, window, _ = self.windows[number]

        def run() -> np.ndarray:
            embedded = self.exact.take(position, 1)
            return self.model.encoder.layer_frames(embedded, window.frames)

        answer, wall, cpu = timed(run)
        if self.n_grouped > 1:
            wall, cpu = (
                used + common / self.n_grouped
                for used, common in zip((wall, cpu), self.common, strict=True)
            )
        return answer[0, -1], wall, cpu

    def chunk(self, number: int) -> Timed:
        """Two seconds of frames from one window."""
        window: Window = self.windows[number][2]
        answer, *seconds = timed(lambda: list(window_features(self.model, self.audio, [window])))
        frames = answer[0][1]
        self.frames[number] = frames
        return frames[-1], *seconds


def measure(variant: str, size: str, n_windows: int) -> dict[str, Any]:
    """Time all ways on the same windows, in turn."""
    runs = Runs(variant, size)
    longest = runs.model.geometry.padded or round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
    runs.prepare(sound(longest / SAMPLE_RATE_HZ + LATER_SECONDS), n_windows)
    ways = {"published": runs.published, "exact": runs.exact_step, "chunk": runs.chunk}
    results: dict[str, list[Timed]] = {name: [] for name in ways}
    for step in range(-1, len(runs.windows)):  # the first turn warms up
        names = list(ways)
        # Another one begins each turn, so that none profits from its place.
        for name in names[step % 3 :] + names[: step % 3]:
            result = ways[name](max(step, 0))
            if step >= 0:
                results[name].append(result)
    return {
        "variant": variant,
        "size": size,
        "n_parameters": runs.model.n_parameters,
        "n_windows": len(runs.windows),
        "n_grouped": runs.n_grouped,
        "own_loop": runs.model.encoder.own_loop,
        **compare(results, np.concatenate(list(runs.frames.values())).std(axis=0)),
    }


def compare(runs: dict[str, list[Timed]], spread: np.ndarray) -> dict[str, Any]:
    """Median seconds per 100 ms step, ratios, and differences of each feature's own sd.

    The sd is that over all frames of the chunks: a few windows' last frames have no sd to speak of.
    """
    reference = np.stack([frames for frames, _, _ in runs["published"]])
    result: dict[str, Any] = {}
    for name, results in runs.items():
        steps = STEPS_PER_CHUNK if name == "chunk" else 1
        found = np.stack([frames for frames, _, _ in results])
        difference = np.abs(found - reference) / spread
        result[name] = {
            "wall_seconds_per_step": statistics.median(wall for _, wall, _ in results) / steps,
            "cpu_seconds_per_step": statistics.median(cpu for _, _, cpu in results) / steps,
            "largest_difference_sd": float(difference.max()),
        }
    for name in ("exact", "chunk"):
        result[name]["times_faster"] = (
            result["published"]["cpu_seconds_per_step"] / result[name]["cpu_seconds_per_step"]
        )
    return result


def show(result: dict[str, Any], *, padded: bool) -> None:
    shared = result["n_grouped"]
    print(
        f"\n{result['variant']}, {result['size']}, {result['n_parameters'] / 1e6:.1f} M parameters"
        + (f"; {shared} windows share the front end" if shared > 1 else "")
    )
    for name in ("published", "exact", "chunk"):
        row = result[name]
        # Chunks of a padded model are full of audio: no frame of theirs has a counterpart.
        comparable = not (padded and name == "chunk")
        difference = f"{row['largest_difference_sd']:.1e} sd" if comparable else "other context"
        print(
            f"  {name:10s} {1000 * row['cpu_seconds_per_step']:8.1f} ms CPU "
            f"{1000 * row['wall_seconds_per_step']:8.1f} ms wall per 100 ms step"
            f"  {row.get('times_faster', 1.0):6.2f}x  largest difference {difference}"
        )


# What the time goes to ----------------------------------------------------------------------------

KINDS = {
    "products": ("mm", "linear", "baddbmm"),
    "attention": ("scaled_dot_product", "flash_attention", "softmax"),
    "convolutions": ("conv",),
    "activations and norms": ("gelu", "norm"),
}


def shares(variant: str, size: str, n_windows: int) -> dict[str, Any]:
    """Say what an exact step spends its time on, and at which rate its products run."""
    runs = Runs(variant, size)
    longest = runs.model.geometry.padded or round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
    runs.prepare(sound(longest / SAMPLE_RATE_HZ + LATER_SECONDS), n_windows)
    runs.exact_step(0)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, with_flops=True) as profile:
        for number in range(len(runs.windows)):
            runs.exact_step(number)
    spent = dict.fromkeys([*KINDS, "other"], 0.0)
    product_flops = 0
    for event in profile.key_averages():
        kind = next(
            (k for k, parts in KINDS.items() if any(p in event.key for p in parts)), "other"
        )
        spent[kind] += event.self_cpu_time_total / 1e6
        product_flops += event.flops if kind == "products" else 0
    total = sum(spent.values())
    found = {kind: seconds / total for kind, seconds in spent.items()}
    side = 1536
    one = torch.ones(side, side)
    _, _, alone = timed(lambda: [one @ one for _ in range(10)])
    rate, best = product_flops / max(spent["products"], 1e-9), 20 * side**3 / alone
    print(
        f"{variant}, {size}: {', '.join(f'{share:.0%} {kind}' for kind, share in found.items())}; "
        f"products at {rate / 1e9:.0f} of {best / 1e9:.0f} gigaflop/s"
    )
    return {"variant": variant, "size": size, "shares": found, "rate": rate, "best rate": best}


# Memory and GPUs --------------------------------------------------------------------------------

_GROWTH = """
import resource, sys, numpy as np, torch
sys.path.insert(0, {here!r})
from bench_features import sound
from braindash.speech.features import extract
from braindash.speech.models import open_model
torch.set_num_threads(1)
model = open_model({folder!r}, device="cpu")
seconds, strategy = float(sys.argv[1]), sys.argv[2]
audio = sound(seconds)
rows = extract(model, audio, np.arange(2.0, seconds, 2.0), strategy=strategy)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(peak, audio.nbytes, rows.nbytes)
"""


def memory(variant: str, size: str, seconds: float) -> list[dict[str, Any]]:
    """Peak memory of a process that extracts a recording, and one ten times as long."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save(variant, size, folder)
        code = _GROWTH.format(here=str(Path(__file__).parent), folder=folder)
        for strategy in ("exact", "chunk"):
            found = []
            for length in (seconds, 10 * seconds):
                command = [sys.executable, "-c", code, str(length), strategy]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found.append([int(value) for value in told.split()[-3:]])
            (short, *_), (long, audio, result) = found
            rows.append(
                {
                    "variant": variant,
                    "size": size,
                    "strategy": strategy,
                    "seconds": seconds,
                    "peak_bytes": [short, long],
                    "growth": long / short - 1,
                    "audio_and_result_bytes": audio + result,
                }
            )
            print(
                f"{variant}, {size}, {strategy}: {short / 1e6:.0f} MB for {seconds:g} s, "
                f"{long / 1e6:.0f} MB for {10 * seconds:g} s ({rows[-1]['growth']:+.1%}; audio "
                f"and result of the long one take {(audio + result) / 1e6:.0f} MB)"
            )
    return rows


def on_a_gpu(variant: str, size: str) -> list[dict[str, Any]]:
    """Seconds per 100 ms step in each precision, and the difference from float32 on the CPU."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save(variant, size, folder)
        reference = open_model(folder, device="cpu")
        audio = sound(WINDOW_SECONDS + LATER_SECONDS)
        few = plan_windows(reference, len(audio), "exact")[-9::4]
        wanted = np.stack([f[0] for _, f in window_features(reference, audio, few)])
        for precision in ("float32", "bf16", "fp16"):
            files = locate(folder, precision=precision)
            model = open_model(files, device="cuda")
            batches = plan_windows(model, len(audio), "exact")[-4 * CUDA_BATCH :]
            for _ in range(2):  # the first turn warms up
                torch.cuda.synchronize()
                _, wall, _ = timed(lambda m=model, b=batches: list(window_features(m, audio, b)))
            found = np.stack([f[0] for _, f in window_features(model, audio, few)])
            difference = np.abs(found - wanted).max() / wanted.std()
            r = float(np.corrcoef(found.ravel(), wanted.ravel())[0, 1])
            rows.append(
                {
                    "variant": variant,
                    "size": size,
                    "precision": precision,
                    "wall_seconds_per_step": wall / len(batches),
                    "largest_difference_sd": float(difference),
                    "r": r,
                }
            )
            print(
                f"{variant}, {size}, {precision}: {1000 * wall / len(batches):.2f} ms per 100 ms "
                f"step, largest difference {difference:.1e} sd, r {r:.6f}"
            )
    return rows


def processor() -> str:
    """Name of the processor, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--windows", type=int, default=4, help="windows per variant, 2 s apart")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=float, metavar="SECONDS", help="recording to begin with")
    parser.add_argument("--shares", action="store_true", help="of an exact step, instead")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, help="also write the results here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    disable_progress_bar()
    set_verbosity_error()
    report: dict[str, Any] = {
        "machine": f"{processor()}, {arguments.threads} thread(s)",
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "results": [],
    }
    print(f"{report['machine']}; {report['versions']}")
    for size in arguments.sizes:
        for variant in arguments.variants:
            if arguments.shares:
                report["results"].append(shares(variant, size, arguments.windows))
            elif arguments.memory:
                report["results"] += memory(variant, size, arguments.memory)
            elif arguments.device == "cuda":
                report["results"] += on_a_gpu(variant, size)
            else:
                result = measure(variant, size, arguments.windows)
                report["results"].append(result)
                show(result, padded=FAMILIES[VARIANTS[variant][0]].padded)
    if not (arguments.memory or arguments.shares) and arguments.device == "cpu":
        print(
            "\nchunk: the difference is that of the frame it shares with the published loop, the "
            "last of\neach window; its other frames saw up to 2 s of future audio and have no "
            "counterpart."
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
