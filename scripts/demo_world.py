"""The whole demo world as data sets: all stories, subjects of any seed."""

from pathlib import Path

import numpy as np

from braindash.demo import TEST_STORIES, load_lexicon
from braindash.demo.dataset import SHIPPED, World, prepare_demo
from braindash.demo.stimulus import word_vectors
from braindash.progress import Progress

# kind -> (number of stories, seconds of each); the order decides the seeds
KINDS = {
    "train": (17, 240),
    "valid": (1, 240),
    "test": (4, 360),  # the first ships; the others score what was made
    "probe": (4, 120),
    "pretrain": (30, 180),
    "choice": (12, 120),  # probed by those who choose among trials of the model, and never else
}
N_PROBED = 10
"""Pretraining stories that the probes of :func:`scoring_data` hear."""


def stories(kind: str) -> tuple[str, ...]:
    """Name all stories of a kind of ``KINDS``, shipped or not."""
    return tuple(f"demo_{kind}_{number:02d}" for number in range(1, KINDS[kind][0] + 1))


def tuning_data(folder: Path, seed: int | None = None, progress: Progress | None = None) -> Path:
    """Lay out what the demo's models are tuned on: all training stories.

    Parameters
    ----------
    folder : Path
        Where ``make_demo_corpus.py`` put the stories.
    seed : int, optional
        Of the subjects; that of the shipped demo by default.
    progress : Progress, optional
        Told of every subject and story.

    Returns
    -------
    Path
        The manifest.
    """
    own = SHIPPED.seed if seed is None else seed
    name = f"Demo world for tuning, seed {own} (simulated)"
    world = World(train=stories("train"), seed=own, name=name, extra=folder)
    return prepare_demo(folder / f"tuning-{own}", progress, world)


def scoring_data(folder: Path, seed: int | None = None, progress: Progress | None = None) -> Path:
    """Lay out what scores them: the shipped training stories, test stories nobody has looked at.

    Beside them lie pretraining stories, which no tuning has heard, for the probes.

    Parameters and return value as for :func:`tuning_data`.
    """
    own = SHIPPED.seed if seed is None else seed
    fresh = tuple(story for story in stories("test") if story not in TEST_STORIES)
    name = f"Demo world, fresh test stories, seed {own} (simulated)"
    probed = stories("pretrain")[:N_PROBED]
    world = World(test=fresh, seed=own, name=name, extra=folder, without_responses=probed)
    return prepare_demo(folder / f"scoring-{own}", progress, world)


def text_vectors(folder: Path, seed: int | None = None) -> Path:
    """Write the vectors of words that the simulation puts into the subjects' late language cortex.

    A control that learns them learns what tuning could find at best, without any response.

    Parameters as for :func:`tuning_data`.

    Returns
    -------
    Path
        What the control "text" takes.
    """
    own = SHIPPED.seed if seed is None else seed
    vectors = word_vectors(load_lexicon(), np.random.SeedSequence(own))
    path = folder / f"word-vectors-{own}.npz"
    np.savez(path, words=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
    return path
