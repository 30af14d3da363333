"""Make the demo's stories: sentences from a small grammar, spoken by espeak-ng.

    python scripts/make_demo_corpus.py WORLD            # FLAC + TextGrid of all stories in WORLD
    python scripts/make_demo_corpus.py WORLD --ship     # also Opus into braindash/demo/

A story depends on nothing but ROOT_SEED, its name and the espeak-ng version: espeak-ng carries
some state from one sentence to the next, so every story is told in a process of its own.
"""

import argparse
import json
import logging
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from demo_world import KINDS
from espeak import Synthesiser, Utterance
from praatio import textgrid
from scipy.signal import resample_poly

from braindash.demo import ANNOTATION_FOLDER, AUDIO_FOLDER, SHIPPED_STORIES, Lexicon, load_lexicon

logger = logging.getLogger("make_demo_corpus")

ROOT_SEED = 20_261_123
SAMPLE_RATE_HZ = 16_000
ESPEAK_RATE_HZ = 22_050
NOISE_LEVEL = 0.004
# libsndfile's scale from 0 to 1: about 18 kbit/s, so that all stories and two models fit in 12 MB
OPUS_COMPRESSION = 0.95
VOICES = (
    *(f"m{number}" for number in range(1, 8)),
    *(f"f{number}" for number in range(1, 6)),
    *("Andy", "Annie", "Denis", "Mario", "Lee", "Michael", "linda", "steph", "john", "ed"),
)
PREPOSITIONS = ("to", "toward", "past", "under", "behind", "near", "around", "into")

Interval = tuple[float, float, str]


@dataclass(frozen=True)
class Speaker:
    """How one story is spoken; ``stretch`` scales the vocal tract, the pitch and all times."""

    voice: str
    words_per_minute: int
    pitch: int
    resample_down: int

    @property
    def stretch(self) -> float:
        """Seconds of the story for one second of espeak-ng's output."""
        return 441 / self.resample_down


@dataclass(frozen=True)
class Scene:
    """What a few neighbouring sentences are about."""

    categories: tuple[str, ...]
    weights: tuple[float, ...]
    adjective_share: float
    motion_share: float


@dataclass(frozen=True)
class Story:
    """Waveform (n_samples,) at 16 kHz, and word and phone intervals in seconds."""

    samples: np.ndarray
    words: list[Interval]
    phones: list[Interval]


def draw_scene(rng: np.random.Generator, lexicon: Lexicon) -> Scene:
    """Choose three noun categories, one of them dominant, and how the sentences are built."""
    categories = rng.choice(lexicon.noun_categories, 3, replace=False)
    return Scene(
        categories=tuple(str(name) for name in categories),
        weights=(0.6, 0.3, 0.1),
        adjective_share=float(rng.choice([0.15, 0.75])),
        motion_share=float(rng.choice([0.1, 0.9])),
    )


def draw_noun_phrase(rng: np.random.Generator, scene: Scene, lexicon: Lexicon) -> list[str]:
    """Draw ``the [emotion] noun``."""
    category = str(rng.choice(scene.categories, p=scene.weights))
    adjective = (
        [str(rng.choice(lexicon.words("emotion")))] if rng.random() < scene.adjective_share else []
    )
    return ["the", *adjective, str(rng.choice(lexicon.words(category)))]


def draw_sentence(rng: np.random.Generator, scene: Scene, lexicon: Lexicon) -> list[str]:
    """Draw one sentence of a scene, as a list of words."""
    words = draw_noun_phrase(rng, scene, lexicon)
    if rng.random() < scene.motion_share:
        words += [str(rng.choice(lexicon.words("motion"))), str(rng.choice(PREPOSITIONS))]
    else:
        words += [str(rng.choice(["saw", "had", "met"]))]
    words += draw_noun_phrase(rng, scene, lexicon)
    if rng.random() < 0.5:
        words += [str(rng.choice(["and", "without"])), *draw_noun_phrase(rng, scene, lexicon)]
    return words


def align(spoken: Utterance, text: str) -> tuple[list[Interval], list[Interval]]:
    """Turn espeak-ng's events into word and phone intervals, in its own seconds.

    A word ends with its last phone, so pauses belong to no word. Two words that espeak-ng runs
    together (one event) make one interval with both words as its label.
    """
    ends = [onset for onset, _ in spoken.phones[1:]] + [spoken.seconds]
    phones = [
        (onset, end, name.lstrip("ˈˌ"))
        for (onset, name), end in zip(spoken.phones, ends, strict=True)
        if name and end > onset
    ]
    words = []
    bounds = [*spoken.words[1:], (spoken.seconds, len(text))]
    for (onset, start), (next_onset, stop) in zip(spoken.words, bounds, strict=True):
        own = [end for begin, end, _ in phones if onset - 0.005 <= begin < next_onset - 0.005]
        end = min(next_onset, max(own, default=next_onset))
        words.append((onset, end, text[start:stop].strip(" .").lower()))
    return words, phones


def draw_speaker(rng: np.random.Generator, voice: str) -> Speaker:
    """Draw rate, pitch and vocal tract of a story's speaker."""
    return Speaker(
        voice=f"en-us+{voice}",
        words_per_minute=int(rng.integers(150, 195)),
        pitch=int(rng.integers(30, 70)),
        resample_down=round(441 * rng.uniform(0.88, 1.14)),
    )


def tell_story(
    synthesiser: Synthesiser,
    rng: np.random.Generator,
    speaker: Speaker,
    seconds: int,
    lexicon: Lexicon,
) -> Story:
    """Speak scenes until the next sentence would not fit, then end with quiet noise."""
    n_samples = seconds * SAMPLE_RATE_HZ
    samples = np.zeros(n_samples, np.float32)
    words: list[Interval] = []
    phones: list[Interval] = []
    position = 0
    while True:
        scene = draw_scene(rng, lexicon)
        for _ in range(int(rng.integers(3, 6))):
            text = " ".join(draw_sentence(rng, scene, lexicon)).capitalize() + "."
            spoken = synthesiser.say(
                text,
                voice=speaker.voice,
                words_per_minute=speaker.words_per_minute,
                pitch=speaker.pitch,
            )
            wave = resample_poly(spoken.samples, 320, speaker.resample_down)
            if position + len(wave) > n_samples:
                peak = float(np.abs(samples).max())
                noise = rng.standard_normal(n_samples).astype(np.float32)
                return Story(samples * (0.9 / peak) + NOISE_LEVEL * noise, words, phones)
            samples[position : position + len(wave)] = wave
            for found, kept in zip(align(spoken, text), (words, phones), strict=True):
                kept += [
                    (*tuple(position / SAMPLE_RATE_HZ + t * speaker.stretch for t in (a, b)), c)
                    for a, b, c in found
                ]
            position += len(wave) + int(SAMPLE_RATE_HZ * rng.uniform(0.1, 0.35))


def write_textgrid(path: Path, story: Story, seconds: float) -> None:
    """Write the tiers ``phone`` and ``word`` in the short text form."""
    grid = textgrid.Textgrid()
    for name, intervals in (("phone", story.phones), ("word", story.words)):
        rounded = [(round(a, 4), round(b, 4), c) for a, b, c in intervals]
        grid.addTier(textgrid.IntervalTier(name, rounded, 0, float(seconds)))
    grid.save(str(path), format="short_textgrid", includeBlankSpaces=True)


def all_stories() -> list[tuple[str, str, int, np.random.SeedSequence]]:
    """List (name, voice, seconds, seed) of every story; shipped stories differ in voice."""
    order = np.random.default_rng(ROOT_SEED).permutation(len(VOICES))
    unused = [VOICES[index] for index in order]
    stories = []
    for kind_number, (kind, (n_stories, seconds)) in enumerate(KINDS.items()):
        for number in range(1, n_stories + 1):
            name = f"demo_{kind}_{number:02d}"
            seed = np.random.SeedSequence([ROOT_SEED, kind_number, number])
            drawn = VOICES[int(np.random.default_rng(seed.spawn(1)[0]).integers(len(VOICES)))]
            voice = unused.pop() if name in SHIPPED_STORIES else drawn
            stories.append((name, voice, seconds, seed))
    return stories


def write_opus(path: Path, samples: np.ndarray) -> None:
    """Encode 16 kHz mono Opus, one second at a time (libsndfile dislikes one huge write)."""
    with soundfile.SoundFile(
        path,
        "w",
        SAMPLE_RATE_HZ,
        1,
        format="OGG",
        subtype="OPUS",
        compression_level=OPUS_COMPRESSION,
    ) as stream:
        for start in range(0, len(samples), SAMPLE_RATE_HZ):
            stream.write(samples[start : start + SAMPLE_RATE_HZ])


def make_story(job: tuple[Path, str, str, int, np.random.SeedSequence]) -> dict[str, Any]:
    """Tell one story, write its FLAC and TextGrid, and describe it."""
    world, name, voice, seconds, seed = job
    rng = np.random.default_rng(seed)
    speaker = draw_speaker(rng, voice)
    story = tell_story(Synthesiser(), rng, speaker, seconds, load_lexicon())
    soundfile.write(world / f"{name}.flac", story.samples, SAMPLE_RATE_HZ)
    write_textgrid(world / f"{name}.TextGrid", story, seconds)
    return {**asdict(speaker), "seconds": seconds, "n_words": len(story.words)}


def ship(world: Path) -> None:
    """Put the stories of the package into the package."""
    for folder in (AUDIO_FOLDER, ANNOTATION_FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED_STORIES:
        samples, _ = soundfile.read(world / f"{name}.flac", dtype="float32")
        write_opus(AUDIO_FOLDER / f"{name}.opus", samples)
        shutil.copyfile(world / f"{name}.TextGrid", ANNOTATION_FOLDER / f"{name}.TextGrid")


def main() -> None:
    """Make the corpus in the folder given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="folder for FLAC, TextGrids and corpus.json")
    parser.add_argument("--ship", action="store_true", help="also fill braindash/demo/")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.world.mkdir(parents=True, exist_ok=True)
    record = {}
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with pool:
        jobs = [(arguments.world, *story) for story in all_stories()]
        for (_, name, *_), described in zip(jobs, pool.map(make_story, jobs), strict=True):
            record[name] = described
            logger.info("%s %s", name, described)
    text = json.dumps({"root_seed": ROOT_SEED, "stories": record}, indent=1)
    (arguments.world / "corpus.json").write_text(text + "\n", encoding="utf-8")
    if arguments.ship:
        ship(arguments.world)


if __name__ == "__main__":
    main()
