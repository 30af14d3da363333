"""Features: our time per 100 ms step beside the published loop, with the largest difference.

``python benchmarks/bench_features.py`` takes under a minute; ``--sizes tiny base`` adds the size of
wav2vec2-base and takes some minutes. Random weights, since only their shapes matter here. Full
16.1 s windows only; the variants run in turn on the same windows; medians.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
from transformers.utils.logging import disable_progress_bar

from braindash.speech.features import plan_windows, window_features
from braindash.speech.models import SpeechModel, open_model
from braindash.speech.windows import (
    CHUNK_STEP_SECONDS,
    EXACT_STEP_SECONDS,
    SAMPLE_RATE_HZ,
    WINDOW_SECONDS,
)

SEED = 0
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "conv_dim": (128,) * 7,
    },
    "base": {},
}
NORMS: dict[str, dict[str, Any]] = {
    "group": {},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True},
}
STEPS_PER_CHUNK = CHUNK_STEP_SECONDS / EXACT_STEP_SECONDS


def sound(seconds: float) -> np.ndarray:
    """Noise with a speech-like envelope, float32 at 16 kHz."""
    rng = np.random.default_rng(SEED)
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    noise = np.convolve(rng.standard_normal(n_samples), np.ones(8) / 8, mode="same")
    envelope = np.interp(
        np.arange(n_samples), np.arange(0, n_samples, 2000), rng.random(-(-n_samples // 2000))
    )
    return (noise * envelope).astype(np.float32)


def published_step(module: Any, preprocess: Any, wave: np.ndarray) -> list[torch.Tensor]:
    """One step of the published loop: batch 1, eager attention, autograd graph built."""
    inputs = preprocess(wave, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    output = module(inputs.input_values, output_hidden_states=True)
    return [*(h[:, -1] for h in output.hidden_states[:-1]), output.last_hidden_state[:, -1]]


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Answer of ``run`` with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run()
    return answer, time.perf_counter() - wall, time.process_time() - cpu


def measure(size: str, norm: str, repeats: int) -> dict[str, Any]:
    """Time all variants on the same windows, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(SEED)
        Wav2Vec2Model(Wav2Vec2Config(**SIZES[size], **NORMS[norm])).save_pretrained(folder)
        preprocess = Wav2Vec2FeatureExtractor(do_normalize=True)
        preprocess.save_pretrained(folder)
        model = open_model(folder, device="cpu")
        eager = Wav2Vec2Model.from_pretrained(folder, attn_implementation="eager").eval()
    audio = sound(WINDOW_SECONDS + CHUNK_STEP_SECONDS * repeats)
    # Every chunk ends where a causal window ends, so all three variants share a frame there.
    chunks = plan_windows(model, len(audio), "chunk")[-1 - repeats : -1]
    ends = {window.end for window in chunks}
    causal = [w for w in plan_windows(model, len(audio), "exact") if w.end in ends]
    runs: dict[str, list[tuple[np.ndarray, float, float]]] = {
        name: [] for name in ("published", "exact", "chunk")
    }
    for step in range(-1, repeats):  # the first turn warms up
        first, chunk = causal[max(step, 0)], chunks[max(step, 0)]
        turn = {
            "published": lambda first=first: published_window(eager, preprocess, audio, first),
            "exact": lambda first=first: package_window(model, audio, first),
            "chunk": lambda chunk=chunk: package_window(model, audio, chunk),
        }
        names = list(turn)
        # Another one begins each turn, so that none profits from its place.
        for name in names[step % 3 :] + names[: step % 3]:
            result = turn[name]()
            if step >= 0:
                runs[name].append(result)
    return {
        "size": size,
        "norm": norm,
        "n_parameters": model.n_parameters,
        "n_windows": repeats,
        **compare(runs),
    }


def published_window(
    module: Any, preprocess: Any, audio: np.ndarray, window: Any
) -> tuple[np.ndarray, float, float]:
    """Last frame of one window through the published loop, with its seconds.

    The loop keeps each window's autograd graph to its end. Here the graph is dropped behind the
    clock: piled up, the graphs slow down whatever runs next to them, ours too.
    """
    wave = audio[window.start : window.end]
    states, *seconds = timed(lambda: published_step(module, preprocess, wave))
    return np.stack([state.detach().numpy()[0] for state in states]), *seconds


def package_window(
    model: SpeechModel, audio: np.ndarray, window: Any
) -> tuple[np.ndarray, float, float]:
    """Last kept frame of one window through the package, with its seconds."""
    answer, *seconds = timed(lambda: list(window_features(model, audio, [window])))
    return answer[0][1][-1], *seconds


def compare(runs: dict[str, list[tuple[np.ndarray, float, float]]]) -> dict[str, Any]:
    """Median seconds per 100 ms step, ratios, and differences in a feature's sd over windows."""
    reference = np.stack([frames for frames, _, _ in runs["published"]])
    result: dict[str, Any] = {}
    for name, results in runs.items():
        steps = STEPS_PER_CHUNK if name == "chunk" else 1
        found = np.stack([frames for frames, _, _ in results])
        result[name] = {
            "wall_seconds_per_step": statistics.median(wall for _, wall, _ in results) / steps,
            "cpu_seconds_per_step": statistics.median(cpu for _, _, cpu in results) / steps,
            "largest_difference_sd": float(
                (np.abs(found - reference) / reference.std(axis=0)).max()
            ),
        }
    for name in ("exact", "chunk"):
        result[name]["times_faster"] = (
            result["published"]["cpu_seconds_per_step"] / result[name]["cpu_seconds_per_step"]
        )
    return result


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
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=list(NORMS))
    parser.add_argument("--repeats", type=int, default=8, help="windows per variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the results here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    disable_progress_bar()
    report: dict[str, Any] = {
        "machine": f"{processor()}, {arguments.threads} thread(s)",
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "results": [],
    }
    print(f"{report['machine']}; {report['versions']}")
    for size in arguments.sizes:
        for norm in arguments.norms:
            result = measure(size, norm, arguments.repeats)
            report["results"].append(result)
            print(f"\n{size}, {norm} norm, {result['n_parameters'] / 1e6:.1f} M parameters")
            for name in ("published", "exact", "chunk"):
                row = result[name]
                print(
                    f"  {name:10s} {1000 * row['cpu_seconds_per_step']:8.1f} ms CPU "
                    f"{1000 * row['wall_seconds_per_step']:8.1f} ms wall per 100 ms step"
                    f"  {row.get('times_faster', 1.0):6.2f}x"
                    f"  largest difference {row['largest_difference_sd']:.1e} sd"
                )
    print(
        "\nchunk: the difference is that of the frame it shares with the published loop, the last "
        "of\neach window; its other frames saw up to 2 s of future audio and have no counterpart."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
