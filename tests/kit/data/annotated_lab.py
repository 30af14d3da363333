"""Annotations for the made-up lab: TextGrids in which target 0 follows the words."""

import itertools

import numpy as np

from braindash.io.labels.textgrid import Interval
from kit.data.textgrids import write_textgrid
from kit.data.toy_lab import STORY_SECONDS

PHONES = ("K", "AE1", "T", "", "S", "IY0", "")


def annotate(lab, tiers=("phone", "word"), lengths=STORY_SECONDS) -> None:
    """Write a TextGrid per story and name their folder in the manifest."""
    folder = lab.folder / "grids"
    folder.mkdir()
    for number, (story, seconds) in enumerate(lengths.items()):
        rng = np.random.default_rng(number)
        edges = np.round(np.cumsum(rng.uniform(0.05, 0.3, size=40 * seconds)), 3)
        edges = np.concatenate([[0.0], edges[edges < seconds - 0.1]])
        spans = list(itertools.pairwise(edges))
        phones = [Interval(a, b, PHONES[n % len(PHONES)]) for n, (a, b) in enumerate(spans)]
        words = [Interval(a, b, "cat" if n % 3 else "") for n, (a, b) in enumerate(spans)]
        grid = dict(zip(tiers, (phones, words), strict=True))
        write_textgrid(folder / f"{story}.TextGrid", grid, float(seconds))
    lab.edit('audio_dir = "audio"', 'audio_dir = "audio"\nalignment_dir = "grids"')
