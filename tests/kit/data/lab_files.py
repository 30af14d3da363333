"""A small lab folder for tests: files as real data have them, and a manifest to change."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import soundfile

from braindash.io.dataset.manifest import load_manifest

MANIFEST = """
[dataset]
name = "small lab"
audio_dir = "stimuli"

[timing]
tr = 2.0

[responses]
path = "responses/{subject}/{story}.hf5"
key = "data"
repeats_key = "individual_repeats"
space = "roi"

[[subjects]]
id = "S1"
units = 6

[[subjects]]
id = "S2"

[splits]
test = ["smoke"]
valid = ["tree"]
"""

STORIES = ("alpha", "beta", "gamma", "smoke", "tree")
STORY_SECONDS = 24.0
N_ROWS, N_TARGETS = 13, 6


def write_audio(path, seconds, seed, rate=8000):
    """Write noise that differs from story to story."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    soundfile.write(path, noise, rate)


def write_responses(path, n_rows, n_targets, n_repeats=0, seed=0):
    """Write an HDF5 file as the public story data have it: float64, contiguous, NaN columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    repeats = np.random.default_rng(seed).standard_normal((max(1, n_repeats), n_rows, n_targets))
    repeats[:, :, 0] = np.nan
    with h5py.File(path, "w") as file:
        file["data"] = repeats.mean(axis=0)
        if n_repeats:
            file["individual_repeats"] = repeats


@dataclass(frozen=True)
class Lab:
    """A lab's folder: two subjects, five stories, a manifest that can be changed."""

    folder: Path

    def audio(self, story):
        return self.folder / f"stimuli/{story}.flac"

    def responses(self, subject, story):
        return self.folder / f"responses/{subject}/{story}.hf5"

    def load(self, *changes, more=""):
        """Load the manifest with ``(old, new)`` pieces of text changed."""
        text = MANIFEST
        for old, new in changes:
            assert old in text, f"{old!r} is not in the manifest"
            text = text.replace(old, new, 1)
        path = self.folder / "manifest.toml"
        path.write_text(text + more, encoding="utf-8")
        return load_manifest(path)
