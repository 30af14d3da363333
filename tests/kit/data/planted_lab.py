"""A lab whose responses follow its sounds at a planted lag, and the ways in which it goes wrong."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from kit.data.planted import loudness, planted_responses, wandering_sound

RATE = 8000
STORIES = {"alder": 150.0, "birch": 180.0, "cedar": 165.0, "larch": 156.0}


@dataclass
class PlantedLab:
    """What a lab is made of; ``write`` makes its files.

    ``true_tr`` is what the scanner did, ``tr`` what the manifest says; ``shifts`` are seconds by
    which single stories' responses are later than the manifest says; ``heard`` says which sound a
    story's responses really follow.
    """

    folder: Path
    tr: float = 1.5
    true_tr: float | None = None
    lag: float = 5.0
    onset: float = 3.0
    n_targets: int = 40
    followers: slice = field(default_factory=lambda: slice(0, 30))
    noise: float = 1.0
    stories: dict[str, float] = field(default_factory=lambda: dict(STORIES))
    subjects: tuple[str, ...] = ("S1",)
    shifts: dict[str, float] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)
    turned: tuple[str, ...] = ()
    n_repeats: int = 0
    space: str = "roi"
    zscored: str = "none"
    more: str = ""

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.toml"

    def course(self, story: str) -> np.ndarray:
        return loudness(self.stories[story], list(self.stories).index(story) + 1)

    def responses(self, story: str, seed: int) -> np.ndarray:
        """What one subject did during a story, (n_rows, n_targets)."""
        true_tr = self.true_tr or self.tr
        n_rows = int((self.stories[story] + self.onset) / true_tr)
        times = np.arange(n_rows) * true_tr - self.onset - self.shifts.get(story, 0.0)
        return planted_responses(
            self.course(self.heard.get(story, story)),
            times,
            self.lag,
            self.n_targets,
            followers=self.followers,
            noise=self.noise,
            seed=seed,
        )

    def write(self) -> Path:
        """Write sounds, responses and manifest; return the manifest."""
        for folder in ("audio", *(f"responses/{one}" for one in self.subjects)):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        for number, story in enumerate(self.stories):
            sound = wandering_sound(self.course(story), number, RATE)
            soundfile.write(self.folder / f"audio/{story}.flac", sound, RATE)
            for index, subject in enumerate(self.subjects):
                seed = 100 * index + 10 * number
                runs = [self.responses(story, seed + k) for k in range(max(1, self.n_repeats))]
                mean = np.mean(runs, axis=0)
                if self.zscored == "run":
                    mean = (mean - mean.mean(0)) / mean.std(0)
                made = mean.T if story in self.turned else mean
                self.save(subject, story, made.astype(np.float32))
                if self.n_repeats and story == next(reversed(self.stories)):
                    np.save(self.folder / f"responses/{subject}/{story}_repeats.npy", runs)
        self.manifest.write_text(self._text(), encoding="utf-8")
        return self.manifest

    def save(self, subject: str, story: str, values: np.ndarray) -> None:
        np.save(self.folder / f"responses/{subject}/{story}.npy", values)

    def load(self, subject: str, story: str) -> np.ndarray:
        return np.load(self.folder / f"responses/{subject}/{story}.npy")

    def _text(self) -> str:
        repeats = 'repeats_path = "responses/{subject}/{story}_repeats.npy"\n'
        subjects = "".join(f'\n[[subjects]]\nid = "{one}"\n' for one in self.subjects)
        return f"""
[dataset]
name = "planted lab"
audio_dir = "audio"
simulated = true

[timing]
tr = {self.tr}
audio_onset = {self.onset}

[responses]
path = "responses/{{subject}}/{{story}}.npy"
{repeats if self.n_repeats else ""}zscored = "{self.zscored}"
space = "{self.space}"
{subjects}
[splits]
test = ["{next(reversed(self.stories))}"]
{self.more}
"""
