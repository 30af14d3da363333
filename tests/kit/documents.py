"""Runs what the documents tell a reader to run, on a small lab that has the documented names."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch
import typer
from transformers import AutoModel

from braindash.cli import app
from kit.data.spoken_corpus import CATEGORIES, RATE, WORDS, tell, write_grid
from kit.data.toy_lab import QUICK, save_tiny_hubert

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What a document says, and what stands in for it here: no hub, no corpus, a few targets.
LOCAL = {
    "facebook/hubert-base-ls960": "{model}",
    '"fsaverage5"': '"roi"',
    # As many rows of half as much sound.
    "= 2.0  ": "= 1.0  ",
    "= 2.0\n": "= 1.0\n",
    "--labels timit --labels-path TIMIT": "--labels textgrid --labels-path alignments "
    "--labels-audio stimuli",
}
# Commands that are not run here, and what does run them.
ELSEWHERE = {
    "braindash app": "serves until it is stopped: tests/browser",
    "braindash demo": "takes minutes: tests/browser and the Makefile",
    "make ": "what the Makefile does is tested where it leads",
    "pip install": "installs packages: whoever runs this has",
    "accelerate launch": "needs several GPUs",
}
STORIES = ("the_test_story", "a_boat", "a_house", "a_tree")
# Every frame has a causal window of its own: 160 ms, which still is two or three to a word.
SLOW_FRAMES = QUICK | {"conv_kernel": (1600, 2), "conv_stride": (1280, 2)}
N_WORDS, N_TARGETS, N_REPEATS = 48, 24, 3
TR_SECONDS, ONSET_SECONDS = 1.0, 10.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a document: its language, the file that it is, its text."""

    language: str
    title: str
    text: str


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a Markdown file, in their order."""
    return [Block(*found) for found in _FENCE.findall(document.read_text(encoding="utf-8"))]


def commands(text: str) -> list[str]:
    """Return the commands of a shell block: lines joined, comments left out."""
    lines = text.replace("\\\n", " ").splitlines()
    told = (re.sub(r"(^|\s)#.*", "", line) for line in lines)
    return [" ".join(line.split()) for line in told if line.strip()]


def is_elsewhere(command: str) -> bool:
    """Say whether a command is run by other tests."""
    return any(command.startswith(start) for start in ELSEWHERE)


@dataclass
class Reader:
    """Somebody who types what a document says, in one folder, from its first block to its last."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    local: Mapping[str, str]
    names: dict[str, object] = field(default_factory=dict)

    def read(self, document: Path) -> None:
        """Do what every block says."""
        for block in blocks(document):
            text = block.text
            for said, here in self.local.items():
                text = text.replace(said, here)
            if block.title:
                (self.folder / block.title).write_text(text, encoding="utf-8")
            elif block.language == "python":
                exec(compile(text, f"{document.name}: {text[:60]}", "exec"), self.names)
            elif block.language == "sh":
                self._type(text)

    def _type(self, text: str) -> None:
        for command in commands(text):
            if is_elsewhere(command):
                continue
            words = shlex.split(command)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                self.monkeypatch.setenv(name, value)
            elif words[0] == "braindash":
                status = typer.main.get_command(app).main(words[1:], standalone_mode=False)
                assert not status, f"{command}: {status}"
            else:
                subprocess.run(["bash", "-ec", command], cwd=self.folder, check=True)


def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Make the lab of the documents and a model, and somebody in the lab's folder."""
    model = folder.parent / "tiny-hubert"
    save_tiny_hubert(model, n_layers=1, **SLOW_FRAMES)
    make_documented_lab(folder, model)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BRAINDASH_STORE", str(folder / "cache"))
    local = {said: here.format(model=model) for said, here in LOCAL.items()}
    return Reader(folder, monkeypatch, local)


def make_documented_lab(folder: Path, model: Path) -> None:
    """Write what the documents' manifest describes: stories of tones, two subjects, TextGrids."""
    for name in ("stimuli", "alignments"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(3)
    for story in STORIES:
        samples, tiers = tell([str(word) for word in rng.choice(list(WORDS), N_WORDS)], rng)
        soundfile.write(folder / "stimuli" / f"{story}.wav", samples, RATE)
        write_grid(folder / "alignments" / f"{story}.TextGrid", tiers)
        loudness = np.abs(samples[: len(samples) // RATE * RATE]).reshape(-1, RATE).mean(axis=1)
        for subject in ("S01", "S02"):
            _write_responses(folder / "responses" / subject, story, loudness, rng)
    rows = [f"{word},{category}" for word, category in CATEGORIES.items()]
    (folder / "categories.csv").write_text("\n".join(["word,category", *rows]) + "\n")
    vectors = [f"{word} " + " ".join(map(str, rng.normal(size=4).round(3))) for word in WORDS]
    (folder / "vectors.txt").write_text("\n".join(vectors) + "\n")
    state = {f"hubert.{name}": value for name, value in _moved(model).items()}
    state |= {"linear.weight": torch.zeros(5, 24), "linear.bias": torch.zeros(5)}
    torch.save(state, folder / "brain-tuned.pth")


def _write_responses(
    folder: Path, story: str, loudness: np.ndarray, rng: np.random.Generator
) -> None:
    """Follow the loudness some seconds late, in targets that hear much, little or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    n_rows = int((len(loudness) + ONSET_SECONDS) / TR_SECONDS)
    times = np.arange(n_rows) * TR_SECONDS - ONSET_SECONDS
    signal = np.interp(times - 4, np.arange(len(loudness)), loudness)
    gains = np.resize(np.linspace(1, 0, 12), N_TARGETS)
    clean = (signal - signal.mean())[:, None] / signal.std() * gains
    heard = N_REPEATS if story == "the_test_story" else 2
    runs = clean + rng.normal(size=(heard, n_rows, N_TARGETS))
    with h5py.File(folder / f"{story}.hf5", "w") as file:
        file["data"] = runs.mean(axis=0).astype(np.float32)
        if story == "the_test_story":
            file["individual_repeats"] = runs.astype(np.float32)


def _moved(model: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a model after a little training, as a training script saves them."""
    encoder = AutoModel.from_pretrained(model)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if not name.startswith("feature_extractor."):
                parameter.mul_(1.01)
    return encoder.state_dict()
