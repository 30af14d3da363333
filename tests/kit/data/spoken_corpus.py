"""A small corpus of tones: recordings whose phones, words and categories can be heard."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
# Each phone is a tone of its own, voiceless ones are noise.
TONES = {"AA": 300.0, "IY": 700.0, "UW": 1200.0, "M": 2000.0, "S": None, "T": None}
_LETTERS = {"a": "AA", "i": "IY", "u": "UW", "m": "M", "s": "S", "t": "T"}
WORDS = {
    word: tuple(_LETTERS[letter] for letter in word)
    for word in "sima suma sumi siti satu sami tumi masu mita tasi muta timu".split()
}
CATEGORIES = {word: "begins with s" if word[0] == "s" else "other" for word in WORDS}
PHONE_SECONDS = 0.12


@dataclass(frozen=True)
class Corpus:
    """Paths of a made-up corpus."""

    folder: Path
    audio: Path
    grids: Path
    categories: Path
    manifest: Path
    n_phones: int
    n_words: int


def tell(words: list[str], rng: np.random.Generator):
    """Say words one after the other; gives samples and the intervals of both tiers."""
    samples, phones, spoken, now = [], [], [], 0.0
    for word in words:
        start = now
        for phone in WORDS[word]:
            time = np.arange(round(PHONE_SECONDS * RATE)) / RATE
            tone = TONES[phone]
            wave = rng.normal(size=len(time)) if tone is None else np.sin(2 * np.pi * tone * time)
            samples.append(0.1 * wave + 0.003 * rng.normal(size=len(time)))
            phones.append((now, now + PHONE_SECONDS, phone))
            now += PHONE_SECONDS
        spoken.append((start, now, word))
        pause = round(0.06 * RATE)
        samples.append(0.003 * rng.normal(size=pause))
        now += pause / RATE
    return np.concatenate(samples), {"phones": phones, "words": spoken}


def write_grid(path: Path, tiers) -> None:
    """Write a long TextGrid."""
    end = max(entry[1] for entries in tiers.values() for entry in entries)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {end}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, entries) in enumerate(tiers.items(), 1):
        lines += [f"item [{number}]:", 'class = "IntervalTier"', f'name = "{name}"', "xmin = 0"]
        lines += [f"xmax = {end}", f"intervals: size = {len(entries)}"]
        for place, (start, stop, label) in enumerate(entries, 1):
            lines += [f"intervals [{place}]:", f"xmin = {start}", f"xmax = {stop}"]
            lines += [f'text = "{label}"']
    path.write_text("\n".join(lines) + "\n")


MANIFEST = """
[dataset]
name = "toy corpus"
format = 1
simulated = true
audio_dir = "audio"
alignment_dir = "grids"

[timing]
tr = 1.0

[responses]
path = "responses/{subject}/{story}.hf5"
key = "data"
zscored = "none"
space = "roi"

[[subjects]]
id = "A"

[splits]
test = ["story_0"]
train = "*"
"""


def make_corpus(folder: Path, *, n_recordings: int = 6, n_words: int = 24, seed: int = 0) -> Corpus:
    """Write recordings, TextGrids, a table of categories and a manifest."""
    import h5py

    rng = np.random.default_rng(seed)
    audio, grids = folder / "audio", folder / "grids"
    for place in (audio, grids, folder / "responses" / "A"):
        place.mkdir(parents=True)
    for number in range(n_recordings):
        words = [str(word) for word in rng.choice(list(WORDS), n_words)]
        samples, tiers = tell(words, rng)
        soundfile.write(audio / f"story_{number}.wav", samples, RATE)
        write_grid(grids / f"story_{number}.TextGrid", tiers)
        with h5py.File(folder / "responses" / "A" / f"story_{number}.hf5", "w") as file:
            file["data"] = rng.normal(size=(int(len(samples) / RATE), 3))
    table = folder / "categories.csv"
    rows = [f"{word},{category}" for word, category in CATEGORIES.items()]
    table.write_text("\n".join(["word,category", *rows]) + "\n")
    (folder / "manifest.toml").write_text(MANIFEST)
    total = n_recordings * n_words
    return Corpus(folder, audio, grids, table, folder / "manifest.toml", 4 * total, total)
