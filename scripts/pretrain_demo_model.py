"""Pretrain the demo's tiny HuBERT: masked prediction of k-means clusters of MFCC.

    python scripts/pretrain_demo_model.py WORLD --output braindash/demo/models/tiny-hubert
    python scripts/pretrain_demo_model.py braindash/demo/audio --pattern "demo_probe_01*" --steps 3
    python scripts/pretrain_demo_model.py WORLD --output TRIAL --set n_blocks=8 targets=product

Another recipe than the shipped model's is a trial: ``targets=product`` predicts four clusters of
each frame, each of some of its MFCC; ``targets=layer:4 teacher=FOLDER`` clusters of a block of an
earlier model, as the second iteration of HuBERT does (doi:10.1109/TASLP.2021.3122291).

The recipe was fixed before any encoding score was looked at. Each step depends only on SEED, its
number and the weights, so a killed run goes on from its last checkpoint to the same end.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from scipy.fft import dct
from sklearn.cluster import MiniBatchKMeans
from torch.nn.functional import cross_entropy
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from braindash.demo import AUDIO_FOLDER

logger = logging.getLogger("pretrain_demo_model")

SEED = 20_261_124
SAMPLE_RATE_HZ = 16_000
HOP = 320  # samples between two frames of the model
RECEPTIVE_FIELD = 860  # samples one frame of the model sees
WINDOW = 512  # samples of one MFCC frame, in the middle of the receptive field
STATE_FILE = "pretrain-state.pt"
CHECK_PATTERN, CHECK_STEPS = "demo_probe_01*", 3
# Columns of `mfcc` that are clustered together, by `Recipe.targets`: all, or loudness and tilt,
# formants, fine structure, and how the first of them change.
CODEBOOKS = {
    "mfcc": (slice(None),),
    "product": (slice(0, 4), slice(4, 8), slice(8, 13), slice(13, 21)),
}
TEACHER_SECONDS = 6  # as long as the crops that a teacher has learnt from


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the audio."""

    seed: int = SEED
    n_blocks: int = 6
    targets: str = "mfcc"
    teacher: str = ""
    n_steps: int = 1500
    n_clusters: int = 64
    batch_size: int = 8
    crop_seconds: int = 6
    mask_start_share: float = 0.065
    mask_frames: int = 10
    unmasked_weight: float = 0.1
    peak_learning_rate: float = 2e-3
    warm_up_share: float = 0.1
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Corpus:
    """Waveforms (n_samples,) at 16 kHz and clusters (n_frames, n_codebooks), story by story."""

    waves: list[np.ndarray]
    labels: list[np.ndarray]


def mel_filters(n_filters: int = 40, low_hz: float = 60, high_hz: float = 7600) -> np.ndarray:
    """Triangular mel filters, (n_filters, WINDOW // 2 + 1)."""
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (low_hz, high_hz)), n_filters + 2)
    corners = 700 * (10 ** (mel / 2595) - 1)
    left, centre, right = (corners[i : i + n_filters, None] for i in range(3))
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)
    rising, falling = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling))


def mfcc(wave: np.ndarray, n_coefficients: int = 13) -> np.ndarray:
    """MFCC with first and second differences, z-scored: (n_frames, 3 * n_coefficients).

    Frame i is centred where the model's frame i is: at sample ``HOP * i + RECEPTIVE_FIELD / 2``.
    """
    offset = (RECEPTIVE_FIELD - WINDOW) // 2
    frames = np.lib.stride_tricks.sliding_window_view(wave[offset:], WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2
    coefficients = dct(np.log(power @ mel_filters().T + 1e-4), norm="ortho")[:, :n_coefficients]
    slope = np.gradient(coefficients, axis=0)
    features = np.concatenate([coefficients, slope, np.gradient(slope, axis=0)], axis=1)
    return (features - features.mean(0)) / features.std(0)


def load_corpus(folder: Path, pattern: str, recipe: Recipe) -> Corpus:
    """Read the recordings and cluster their frames."""
    paths = sorted(p for p in folder.glob(pattern) if p.suffix in (".flac", ".opus", ".wav"))
    if not paths:
        raise SystemExit(f"no .flac, .opus or .wav file matches {pattern!r} in {folder}")
    waves = [soundfile.read(path, dtype="float32")[0] for path in paths]
    layer = recipe.targets.removeprefix("layer:")
    if layer == recipe.targets:
        features, codebooks = [mfcc(wave) for wave in waves], CODEBOOKS[recipe.targets]
    else:
        features, codebooks = teacher_states(waves, recipe.teacher, int(layer)), CODEBOOKS["mfcc"]
    labels = [np.empty((len(feature), len(codebooks)), np.int64) for feature in features]
    for number, columns in enumerate(codebooks):
        clusters = MiniBatchKMeans(
            recipe.n_clusters, batch_size=4096, n_init=2, random_state=recipe.seed, max_iter=30
        )
        clusters.fit(np.concatenate([feature[:, columns] for feature in features])[::2])
        for label, feature in zip(labels, features, strict=True):
            label[:, number] = clusters.predict(feature[:, columns])
    return Corpus(waves, labels)


@torch.inference_mode()
def teacher_states(waves: list[np.ndarray], folder: str, layer: int) -> list[np.ndarray]:
    """Z-scored output (n_frames, width) of a block of an earlier model, in pieces of its crops."""
    model = HubertModel.from_pretrained(folder).eval()
    piece = TEACHER_SECONDS * SAMPLE_RATE_HZ
    found = []
    for wave in waves:
        states = []
        for start in range(0, len(wave) - RECEPTIVE_FIELD, piece):
            part = wave[start : start + piece + RECEPTIVE_FIELD - HOP]
            values = torch.from_numpy(normalised(part))[None]
            states.append(model(values, output_hidden_states=True).hidden_states[layer][0].numpy())
        whole = np.concatenate(states)
        found.append((whole - whole.mean(0)) / whole.std(0))
    return found


def normalised(wave: np.ndarray) -> np.ndarray:
    """Bring a waveform to mean 0 and variance 1, as ``do_normalize`` does."""
    return (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)


def build_model(recipe: Recipe) -> HubertModel:
    """Make the untrained model; its first convolution is a fixed bank of Gabor filters."""
    torch.manual_seed(recipe.seed)
    config = HubertConfig(
        hidden_size=96,
        num_hidden_layers=recipe.n_blocks,
        num_attention_heads=4,
        intermediate_size=288,
        conv_dim=(48, 64, 96),
        conv_kernel=(160, 8, 8),
        conv_stride=(20, 4, 4),
        num_feat_extract_layers=3,
        conv_bias=False,
        feat_extract_norm="group",
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=12,
        hidden_dropout=0.05,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_feature_prob=0.0,
    )
    model = HubertModel(config)
    first = model.feature_extractor.conv_layers[0].conv.weight
    first.data.copy_(torch.from_numpy(gabor_filters(*first.shape[::2])))
    first.requires_grad_(False)
    return model


def gabor_filters(n_filters: int, n_samples: int) -> np.ndarray:
    """Cosine and sine filters at mel-spaced frequencies, (n_filters, 1, n_samples)."""
    seconds = (np.arange(n_samples) - n_samples / 2) / SAMPLE_RATE_HZ
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (80, 7000)), n_filters // 2)
    phases = 2 * np.pi * (700 * (10 ** (mel / 2595) - 1))[:, None] * seconds
    filters = np.stack([np.cos(phases), np.sin(phases)], axis=1).reshape(n_filters, n_samples)
    return (0.3 * np.hanning(n_samples) * filters).astype(np.float32)[:, None]


def draw_batch(corpus: Corpus, recipe: Recipe, step: int) -> tuple[torch.Tensor, ...]:
    """Draw waveforms (batch, n_samples), labels (batch, n_frames, n_codebooks) and mask of a step.

    The mask is (batch, n_frames).
    """
    rng = np.random.default_rng([recipe.seed, step])
    n_samples = recipe.crop_seconds * SAMPLE_RATE_HZ
    n_frames = (n_samples - RECEPTIVE_FIELD) // HOP + 1
    waves, labels = [], []
    mask = np.zeros((recipe.batch_size, n_frames), bool)
    for row in range(recipe.batch_size):
        story = int(rng.integers(len(corpus.waves)))
        start = int(rng.integers((len(corpus.waves[story]) - n_samples) // HOP))
        wave = corpus.waves[story][start * HOP : start * HOP + n_samples]
        waves.append(normalised(wave))
        labels.append(corpus.labels[story][start : start + n_frames])
        n_spans = int(n_frames * recipe.mask_start_share)
        for first in rng.integers(0, n_frames - recipe.mask_frames, n_spans):
            mask[row, first : first + recipe.mask_frames] = True
    return (
        torch.from_numpy(np.stack(waves)),
        torch.from_numpy(np.stack(labels)).long(),
        torch.from_numpy(mask),
    )


class Pretraining:
    """Model, prediction head and optimiser of one run, and the losses so far."""

    def __init__(self, corpus: Corpus, recipe: Recipe) -> None:
        self.corpus, self.recipe = corpus, recipe
        self.model = build_model(recipe).train()
        self.n_codebooks = corpus.labels[0].shape[1]
        width = self.model.config.hidden_size
        self.head = torch.nn.Linear(width, self.n_codebooks * recipe.n_clusters)
        parameters = [*self.model.parameters(), *self.head.parameters()]
        self.optimiser = torch.optim.AdamW(
            parameters, 1e-3, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            recipe.peak_learning_rate,
            total_steps=recipe.n_steps,
            pct_start=recipe.warm_up_share,
        )
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def step(self) -> None:
        """Take one optimiser step and note the masked loss and accuracy."""
        number = len(self.losses)
        waves, labels, mask = draw_batch(self.corpus, self.recipe, number)
        torch.manual_seed(self.recipe.seed + number)  # dropout does not depend on the past
        states = self.model(waves, mask_time_indices=mask).last_hidden_state
        logits = self.head(states).unflatten(-1, (self.n_codebooks, -1))
        masked = cross_entropy(logits[mask].flatten(0, 1), labels[mask].flatten())
        unmasked = cross_entropy(logits[~mask].flatten(0, 1), labels[~mask].flatten())
        (masked + self.recipe.unmasked_weight * unmasked).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        right = logits[mask].argmax(-1) == labels[mask]
        self.losses.append(masked.item())
        self.accuracies.append(right.float().mean().item())

    def save(self, path: Path) -> None:
        """Write all that is needed to go on, atomically."""
        parts = {name: getattr(self, name).state_dict() for name in self._STATEFUL}
        state: dict[str, Any] = {**parts, "losses": self.losses, "accuracies": self.accuracies}
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        state = torch.load(path, weights_only=True)
        for name in self._STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.losses, self.accuracies = state["losses"], state["accuracies"]

    _STATEFUL = ("model", "head", "optimiser", "schedule")


def run_steps(training: Pretraining, n_steps: int) -> Iterator[int]:
    """Train up to ``n_steps``, yielding the number of steps taken after each."""
    start, begin = time.monotonic(), len(training.losses)
    while len(training.losses) < n_steps:
        training.step()
        done = len(training.losses)
        if done % 25 == 0 or done == n_steps:
            pace = (time.monotonic() - start) / (done - begin)
            recent = np.mean(training.losses[-25:]), np.mean(training.accuracies[-25:])
            logger.info("%d loss %.3f accuracy %.3f, %.2f s a step", done, *recent, pace)
        yield done


def training_record(training: Pretraining) -> dict[str, Any]:
    """Describe a run: recipe, losses and versions."""
    packages = ("torch", "transformers", "numpy", "scipy", "scikit-learn")
    return {
        "recipe": asdict(training.recipe),
        "n_steps_taken": len(training.losses),
        "audio_minutes": sum(map(len, training.corpus.waves)) / SAMPLE_RATE_HZ / 60,
        "first_masked_losses": training.losses[:5],
        "final_masked_loss": float(np.mean(training.losses[-100:])),
        "final_masked_accuracy": float(np.mean(training.accuracies[-100:])),
        "masked_loss_every_100_steps": [
            float(np.mean(training.losses[i : i + 100]))
            for i in range(0, len(training.losses), 100)
        ],
        "n_parameters": sum(p.numel() for p in training.model.parameters()),
        "versions": {name: version(name) for name in packages},
    }


def check_record(recipe: Recipe) -> dict[str, Any]:
    """Take the first steps on a shipped story: what a test can repeat without espeak-ng."""
    check = Pretraining(load_corpus(AUDIO_FOLDER, CHECK_PATTERN, recipe), recipe)
    for _ in run_steps(check, CHECK_STEPS):
        pass
    return {"pattern": CHECK_PATTERN, "first_masked_losses": check.losses}


def save_model(training: Pretraining, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    training.model.config.apply_spec_augment = False  # whoever tunes the model asks for masks
    training.model.save_pretrained(folder)
    training.model.config.apply_spec_augment = True
    Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE_HZ,
        do_normalize=True,
        return_attention_mask=False,
    ).save_pretrained(folder)


def recipe_of(changes: list[str]) -> Recipe:
    """Read ``NAME=VALUE`` into a recipe."""
    kinds = {field.name: type(field.default) for field in fields(Recipe)}
    given = dict[str, Any]()
    for change in changes:
        name, _, value = change.partition("=")
        if name not in kinds:
            raise SystemExit(
                f"--set {change}: no {name!r} in a recipe, which has {', '.join(kinds)}"
            )
        given[name] = kinds[name](value)
    return Recipe(**given)


def main() -> None:
    """Pretrain with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", type=Path, help="folder of recordings")
    parser.add_argument("--pattern", default="demo_pretrain_*")
    parser.add_argument("--steps", type=int, help="stop after this many")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="of the recipe")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--state", type=Path, help="folder for checkpoints of the run itself")
    parser.add_argument("--output", type=Path, help="folder for the model")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    recipe = recipe_of(arguments.set)
    n_steps = arguments.steps or recipe.n_steps
    training = Pretraining(load_corpus(arguments.audio, arguments.pattern, recipe), recipe)
    state = arguments.state / STATE_FILE if arguments.state else None
    if state and state.exists():
        training.load(state)
    for done in run_steps(training, n_steps):
        if state and (done % 100 == 0 or done == n_steps):
            training.save(state)
    record = training_record(training)
    logger.info("first masked losses %s", record["first_masked_losses"])
    if arguments.output:
        save_model(training, arguments.output)
        record["check"] = check_record(recipe)
        text = json.dumps(record, indent=1)
        (arguments.output / "training.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
