"""A small lab, made from seeds: recordings, responses with repeats, a manifest and a model."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

TR = 1.0
FORMATS = [(44100, 2, "wav"), (16000, 1, "flac"), (22050, 1, "wav")]
STORY_SECONDS = {"fox": 46, "crow": 42, "stone": 50, "well": 44}
# A third of it, for who computes every causal window and does not look at scores.
SHORT_STORIES = {"fox": 16, "crow": 15, "stone": 17, "well": 16}
N_TARGETS = 12
N_REPEATS = 4
NAN_TARGET = 10
CONSTANT_TARGET = 11
# Few and long frames: thousands of causal windows take seconds.
QUICK = {"conv_kernel": (800, 2), "conv_stride": (640, 2), "conv_dim": (8, 24)}
_MADE = TemporaryDirectory(prefix="braindash-labs-")


@dataclass(frozen=True)
class Lab:
    """Paths of one made-up lab."""

    manifest: Path
    model: Path
    folder: Path

    def edit(self, old: str, new: str) -> None:
        """Change the manifest's text."""
        text = self.manifest.read_text()
        assert old in text, f"{old!r} is not in the manifest"
        self.manifest.write_text(text.replace(old, new))


def babble(seconds: float, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise in syllable-like bursts; gives the samples and their slow envelope at 10 Hz."""
    steps = rng.gamma(1.0, 1.0, size=int(seconds * 10) + 1)
    slow = np.convolve(steps, np.hanning(15) / np.hanning(15).sum(), mode="same")
    time = np.arange(int(seconds * rate)) / rate
    envelope = np.interp(time, np.arange(len(slow)) / 10, slow)
    return 0.1 * envelope * rng.normal(size=len(time)), slow


def responses(
    slow: np.ndarray, n_rows: int, rng: np.random.Generator, n_targets: int = N_TARGETS
) -> np.ndarray:
    """Targets that follow the envelope 2 s late, from all signal to none, z-scored."""
    times = np.arange(n_rows) * TR
    signal = np.interp(times - 2.0, np.arange(len(slow)) / 10, slow)
    signal = (signal - signal.mean()) / signal.std()
    gains = np.linspace(1.0, 0.0, n_targets)
    rows = signal[:, None] * gains + 0.5 * rng.normal(size=(n_rows, n_targets))
    rows = (rows - rows.mean(0)) / rows.std(0)
    rows[3, NAN_TARGET] = np.nan
    rows[:, CONSTANT_TARGET] = 1.0
    return rows


MANIFEST = """
[dataset]
name = "toy lab"
format = 1
audio_dir = "audio"

[timing]
tr = 1.0
first_volume = 0
audio_onset = 0.0

[responses]
path = "responses/{subject}/{story}.hf5"
key = "data"
repeats_key = "individual_repeats"
zscored = "none"
space = "roi"

[[subjects]]
id = "A"
units = 12

[[subjects]]
id = "B"

[splits]
test = ["well"]
train = "*"
"""


def save_tiny_hubert(folder: Path, *, n_layers: int = 2, seed: int = 0, **changes) -> Path:
    """Write a randomly initialised HuBERT as a user's model folder."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    settings = {
        "hidden_size": 24,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": (16, 16, 24),
        "conv_kernel": (160, 4, 4),
        "conv_stride": (80, 2, 2),
        "conv_bias": False,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        "vocab_size": 8,
    }
    settings |= changes
    config = HubertConfig(num_feat_extract_layers=len(settings["conv_dim"]), **settings)
    torch.manual_seed(seed)
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def make_lab(
    folder: Path,
    model: Path,
    *,
    subjects: tuple[str, ...] = ("A", "B"),
    space: str = "roi",
    n_targets: int = N_TARGETS,
    seconds: Mapping[str, int] = STORY_SECONDS,
) -> Lab:
    """Write a lab's files; some subjects, four stories, the test story with repeats.

    Each kind of lab is made once in a process, then copied.
    """
    made = Path(_MADE.name, f"{'-'.join(subjects)}-{space}-{n_targets}-{sum(seconds.values())}")
    if not made.exists():
        _write_lab(made, subjects, space, n_targets, seconds)
    shutil.copytree(made, folder, copy_function=shutil.copy, dirs_exist_ok=True)
    return Lab(folder / "manifest.toml", model, folder)


def _write_lab(
    folder: Path,
    subjects: tuple[str, ...],
    space: str,
    n_targets: int,
    story_seconds: Mapping[str, int],
) -> None:
    import h5py
    import soundfile

    rng = np.random.default_rng(5)
    (folder / "audio").mkdir(parents=True)
    for index, (story, seconds) in enumerate(story_seconds.items()):
        rate, channels, suffix = FORMATS[index % 3]
        samples, slow = babble(seconds, rate, rng)
        path = folder / "audio" / f"{story}.{suffix}"
        soundfile.write(path, np.stack([samples] * channels, axis=1), rate)
        for subject in subjects:
            place = folder / "responses" / subject
            place.mkdir(parents=True, exist_ok=True)
            with h5py.File(place / f"{story}.hf5", "w") as file:
                if story == "well":
                    runs = [responses(slow, seconds, rng, n_targets) for _ in range(N_REPEATS)]
                    file["individual_repeats"] = np.stack(runs)
                    file["data"] = np.mean(runs, axis=0)
                else:
                    file["data"] = responses(slow, seconds, rng, n_targets)
    manifest = MANIFEST.replace('space = "roi"', f'space = "{space}"')
    manifest = manifest.replace("units = 12", f"units = {n_targets}")
    manifest += "".join(f'\n[[subjects]]\nid = "{name}"\n' for name in subjects[2:])
    if len(subjects) == 1:
        manifest = manifest.replace('[[subjects]]\nid = "B"\n', "")
    (folder / "manifest.toml").write_text(manifest)
