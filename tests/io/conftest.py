import shutil

import numpy as np
import pytest
from kit.data.lab_files import (
    N_ROWS,
    N_TARGETS,
    STORIES,
    STORY_SECONDS,
    Lab,
    write_audio,
    write_responses,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


@pytest.fixture(scope="session")
def lab_original(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    for number, story in enumerate(STORIES):
        write_audio(lab.audio(story), STORY_SECONDS, number)
        for subject in ("S1", "S2"):
            n_repeats = 3 if story == "smoke" else 0
            write_responses(lab.responses(subject, story), N_ROWS, N_TARGETS, n_repeats, number)
    lab.responses("S2", "gamma").unlink()
    return lab


@pytest.fixture
def lab(lab_original, tmp_path):
    """Give a copy of the lab that a test may damage."""
    shutil.copytree(lab_original.folder, tmp_path / "lab")
    return Lab(tmp_path / "lab")
