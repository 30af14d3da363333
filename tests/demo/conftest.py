"""The embedded demo's data set, made once for all tests here."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from braindash.demo import dataset
from braindash.demo.dataset import TIMING, TRAIN_STORIES, prepare_demo


@pytest.fixture(scope="session")
def demo_manifest(tmp_path_factory) -> Path:
    """Manifest of the whole demo, never changed by a test."""
    return prepare_demo(tmp_path_factory.mktemp("world") / "demo")


@pytest.fixture(scope="session")
def hollow_manifest(tmp_path_factory) -> Path:
    """Manifest of a demo whose responses have their shapes, and one drawn course for all targets.

    Each file has a course of its own: files of one content would be one to whoever digests them.
    """

    def runs(listener, number, rows, cortex, smoother, *, n_repeats, tr, seed):
        for repeat in range(n_repeats):
            course = np.random.default_rng([listener, number, repeat]).normal(size=(len(rows), 1))
            yield np.where(cortex.missing, np.nan, course).astype(np.float32)

    def rows(world):
        stories = dict.fromkeys(TRAIN_STORIES + world.with_responses)
        lengths = {one: soundfile.info(world.audio_file(one)).duration for one in stories}
        return {story: range(int(seconds // TIMING.tr)) for story, seconds in lengths.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "draw_subject", lambda number, *_, **__: number)
        patch.setattr(dataset, "demo_components", rows)
        patch.setattr(dataset, "simulate_runs", runs)
        return prepare_demo(tmp_path_factory.mktemp("hollow") / "demo")
