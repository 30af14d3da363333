"""Brain-tuning: rows per second and memory beside the published recipe, with the difference.

``python benchmarks/bench_tuning.py`` takes about twenty minutes on a quiet core; ``--sizes tiny``
about two, and ``--rounds 1 --steps 1 --rows 2`` shortens the rest. The published
recipe, re-stated from its description: every row's own 5 TRs of waveform go through the whole
model, front end included, the last hidden state is averaged over time, a linear head, mean squared
error, AdamW. Ours: the frozen front end runs once per story; in segments each second of audio is
encoded once, in windows every row by itself as published. Random weights, since only their shapes
matter; nothing is downloaded. The variants run in turn, each in a process of its own, on one
thread; the loss of a first step and its gradients are compared where both compute the same thing.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from braindash.progress import NoProgress
from braindash.specs import TuningSettings
from braindash.speech.checkpoints.locate import locate
from braindash.speech.training.epochs import KeptEpochs
from braindash.speech.training.front import make_inputs
from braindash.speech.training.loop import Material, Trainer
from braindash.speech.training.run import make_network
from braindash.speech.training.stories import TuningStory, epoch_batches
from braindash.speech.training.team import Team

TR = 2.0
N_TARGETS = 1000
SETTINGS = {
    "window": TuningSettings(dropout=0.0, start="random"),
    "window, front end per row": TuningSettings(dropout=0.0, start="random", front="window"),
    "segment": TuningSettings(
        dropout=0.0, start="random", batch_rows=27, segment_trs=31, attention_trs=5
    ),
    "segment, 3 TR": TuningSettings(
        dropout=0.0, start="random", batch_rows=27, segment_trs=31, attention_trs=3
    ),
}
PUBLISHED = "published"
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 96,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "intermediate_size": 288,
        "conv_dim": (48, 64, 96),
        "conv_kernel": (160, 8, 8),
        "conv_stride": (20, 4, 4),
    },
    "base": {},
}


def model_folder(size: str, folder: Path) -> Path:
    """Write a HuBERT of one size with random weights, in its usual form with group norm."""
    place = folder / size
    if not place.exists():
        settings = SIZES[size]
        layers = len(settings.get("conv_dim", ())) or 7
        torch.manual_seed(0)
        config = HubertConfig(**settings, num_feat_extract_layers=layers, apply_spec_augment=False)
        HubertModel(config).save_pretrained(place)
        Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(place)
    return place


def story(seconds: float) -> TuningStory:
    """Noise with random responses: the work does not depend on what they are."""
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.standard_normal(round(seconds * 16000))).astype(np.float32)
    times = TR * np.arange(1, int(seconds / TR) + 1)
    responses = {"S1": rng.standard_normal((len(times), N_TARGETS)).astype(np.float32)}
    return TuningStory("noise", lambda: audio, times, responses)


def trainer(
    place: Path, settings: TuningSettings, seconds: float, folder: Path, device: str = "cpu"
) -> Trainer:
    """Make our trainer for one story."""
    files, heard, team = locate(place), story(seconds), Team(device)
    network, _ = make_network(files, settings, {"S1": N_TARGETS}, TR, team.device)
    inputs = make_inputs(
        network.encoder,
        [heard],
        network.shape,
        folder,
        per_story=settings.front == "story",
        normalise=files.normalise,
    )
    material = Material([heard], inputs)
    return Trainer(network, material, material, settings, team, KeptEpochs(folder, "bench"))


class Published(nn.Module):
    """The published recipe, re-stated: the whole model for every row's own window."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.model = HubertModel.from_pretrained(place)
        self.model.feature_extractor._freeze_parameters()
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.model.config.layerdrop = 0.0
        self.head = nn.Linear(self.model.config.hidden_size, N_TARGETS)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Predict, (n_rows, n_targets) from (n_rows, n_samples)."""
        predicted: torch.Tensor = self.head(self.model(waves).last_hidden_state.mean(dim=1))
        return predicted


def windows(heard: TuningStory, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut each row's 5 TRs of audio, and its responses."""
    audio, length = heard.audio(), round(5 * TR * 16000)
    ends = [round(heard.times[row] * 16000) for row in rows]
    waves = np.stack([audio[end - length : end] for end in ends])
    return torch.from_numpy(waves), torch.from_numpy(heard.responses["S1"][rows])


def time_published(place: Path, seconds: float, n_steps: int, rows: int) -> dict[str, float]:
    """Return rows per second of the published recipe."""
    heard, module = story(seconds), Published(place).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    spent = []
    for step in range(n_steps + 1):
        start = time.process_time()
        waves, responses = windows(heard, list(range(5 + step, 5 + step + rows)))
        loss = (module(waves) - responses).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        spent.append(time.process_time() - start)
    return {"rows_per_second": rows / statistics.median(spent[1:]), "front_seconds": 0.0}


def time_ours(place: Path, name: str, seconds: float, n_steps: int, rows: int) -> dict[str, float]:
    """Return rows per second of our trainer, the front end of the story spread over one epoch."""
    settings = SETTINGS[name]
    if settings.rows_per_segment == 1:
        settings = settings.model_copy(update={"batch_rows": rows})
    with tempfile.TemporaryDirectory() as folder:
        one = trainer(place, settings, seconds, Path(folder))
        start = time.process_time()
        one._train.inputs.prepare(NoProgress())
        front = time.process_time() - start
        batches = epoch_batches(one._train.stories, settings, 1)
        n_rows = sum(len(batch) for batch in batches) * settings.rows_per_segment
        one.network.train()
        spent = []
        for step in range(n_steps + 1):
            batch = batches[step % len(batches)]
            start = time.process_time()
            one._step(batch, step, 1, 1000)
            spent.append((time.process_time() - start) / len(batch) / settings.rows_per_segment)
        per_row = statistics.median(spent[1:])
    return {
        "rows_per_second": 1 / per_row,
        "rows_per_second_first_epoch": 1 / (per_row + front / n_rows),
        "front_seconds": front,
    }


def difference(place: Path, seconds: float) -> dict[str, float]:
    """Compare loss and gradients of one step, every row with its own front end."""
    settings = SETTINGS["window, front end per row"].model_copy(update={"batch_rows": 4})
    with tempfile.TemporaryDirectory() as folder:
        one = trainer(place, settings, seconds, Path(folder))
        one._train.inputs.prepare(NoProgress())
        batch = epoch_batches(one._train.stories, settings, 1)[0]
        theirs = Published(place)
        head = one.network.head("S1").linear
        theirs.head.load_state_dict(head.state_dict())
        ours = float(one._gradients(batch))
        waves, responses = windows(one._train.stories[0], [segment.first for segment in batch])
        loss = (theirs(waves) - responses).square().mean()
        loss.backward()
    pairs = [(head.weight.grad, theirs.head.weight.grad)]
    own = dict(one.network.encoder.named_parameters())
    pairs += [
        (own[n].grad, p.grad) for n, p in theirs.model.named_parameters() if p.grad is not None
    ]
    size = sum(float(b.square().sum()) for _, b in pairs) ** 0.5
    gap = sum(float((a - b).square().sum()) for a, b in pairs) ** 0.5
    expected = float(loss.detach())
    return {"loss": abs(ours - expected) / expected, "gradient": gap / size}


def one_variant(arguments: argparse.Namespace) -> None:
    """Measure one variant in this process, and print it as JSON."""
    place = Path(arguments.place)
    before = psutil.Process().memory_info().rss
    if arguments.variant == PUBLISHED:
        found = time_published(place, arguments.seconds, arguments.steps, arguments.rows)
    else:
        found = time_ours(
            place, arguments.variant, arguments.seconds, arguments.steps, arguments.rows
        )
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found | {"memory_mb": (peak - before) / 1e6}))


def measured(variant: str, place: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Run one variant in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--variant", variant, "--place", str(place)]
    command += ["--seconds", str(arguments.seconds), "--steps", str(arguments.steps)]
    command += ["--rows", str(arguments.rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=300.0, help="of audio in the story")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8, help="per step, of all but segments")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--variant", choices=[PUBLISHED, *SETTINGS], help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_verbosity_error()
    disable_progress_bar()
    if arguments.variant:
        one_variant(arguments)
        return
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} CPUs, 1 thread used",
        "load": psutil.getloadavg()[0],
        "torch": version("torch"),
        "transformers": version("transformers"),
        "sizes": {},
    }
    print(f"{report['machine']}, load {report['load']:.1f}, torch {report['torch']}")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            report["sizes"][size] = compare(model_folder(size, Path(folder)), size, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def compare(place: Path, size: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all variants of one size in turn, and print them with their ratios."""
    names = [PUBLISHED, *SETTINGS]
    rounds = [
        {name: measured(name, place, arguments) for name in names} for _ in range(arguments.rounds)
    ]
    gap = difference(place, 60.0)
    print(f"\n{size}: rows per CPU second, medians of {arguments.rounds}")
    result: dict[str, Any] = {"difference": gap}
    for name in names:
        own = {
            key: statistics.median(found[name][key] for found in rounds) for key in rounds[0][name]
        }
        ratios = [
            found[name]["rows_per_second"] / found[PUBLISHED]["rows_per_second"] for found in rounds
        ]
        own["ratio"] = statistics.median(ratios)
        result[name] = own
        first = own.get("rows_per_second_first_epoch")
        told = "" if first is None else f", {first:7.2f} with the front end in one epoch"
        print(
            f"  {name:28s} {own['rows_per_second']:8.2f}  {own['ratio']:5.2f}x"
            f"  {own['memory_mb']:6.0f} MB{told}"
        )
    print(
        f"  largest difference, first step, same front end: loss {gap['loss']:.1e} (relative), "
        f"gradient {gap['gradient']:.1e} (of its norm)"
    )
    return result


if __name__ == "__main__":
    main()
