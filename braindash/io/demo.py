"""The embedded demo, laid out as a data set like any other: a manifest, audio, HDF5 responses.

The stories ship with the package; the responses of three simulated subjects are made from seeds
on the user's machine. They are simulated, and the manifest says so.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.core.timing import Timing
from braindash.demo import (
    ANNOTATION_FOLDER,
    AUDIO_FOLDER,
    MODEL_FOLDER,
    SHIPPED_STORIES,
    STORIES_WITH_RESPONSES,
    TEST_STORIES,
    TRAIN_STORIES,
    VALID_STORIES,
    load_lexicon,
)
from braindash.demo.simulate import (
    Cortex,
    Smoother,
    disc_proximity,
    draw_subject,
    simulate_runs,
    zscored,
)
from braindash.demo.stimulus import (
    SAMPLE_RATE_HZ,
    Floats,
    Stimulus,
    lagged_features,
    phone_inventory,
    response_components,
    word_vectors,
)
from braindash.errors import ResourceError
from braindash.io.annotations import Interval, read_textgrid
from braindash.io.atlases import mni_to_fsaverage, published_spheres
from braindash.io.audio import load_audio
from braindash.io.surfaces import HEMISPHERES, adjacency, load_surface, medial_wall
from braindash.progress import NoProgress, Progress

logger = logging.getLogger(__name__)

GENERATOR_VERSION = 2
"""Rises with every change of the stories, of the simulation or of the layout."""

DEMO_MODELS: Mapping[str, Path] = MappingProxyType({"tiny-hubert": MODEL_FOLDER})
"""Name and folder of the speech models that ship with the demo."""

SUBJECTS = ("S1", "S2", "S3")
N_REPEATS = 5
TIMING = Timing(tr=2.0, first_volume=1)

_SEED = 20_261_125
_SPACE = "fsaverage5"
_MARKER = "demo.json"
MANIFEST_NAME = "manifest.toml"
_RESPONSES = "responses"
_BYTES_PER_SUBJECT = 80_000_000

Components = Mapping[str, Mapping[str, Floats]]


@dataclass(frozen=True)
class _Part:
    """One file to make: the responses of one subject to one story."""

    subject: str
    story: str
    path: Path

    @property
    def is_test(self) -> bool:
        return self.story in TEST_STORIES


def prepare_demo(folder: Path | str, progress: Progress | None = None) -> Path:
    """Lay out the demo as a data set, or find it already there.

    Parameters
    ----------
    folder : path
        The data set's folder; made when it is missing. A folder that holds the demo of another
        version is brought up to date; files already finished are not made again.
    progress : Progress, optional
        Told of every finished subject and story.

    Returns
    -------
    Path
        The data set's ``manifest.toml``.

    Raises
    ------
    ResourceError
        The folder cannot be written to, or the disk is too full.
    """
    root, report = Path(folder), progress or NoProgress()
    parts = [
        _Part(subject, story, root / _RESPONSES / subject / f"{story}.h5")
        for subject in SUBJECTS
        for story in STORIES_WITH_RESPONSES
    ]
    if _is_complete(root, parts):
        return root / MANIFEST_NAME
    try:
        _drop_other_version(root, parts)
        _check_room(root, parts)
        _copy_stories(root)
        _make_responses(parts, report)
        _write_text(root / MANIFEST_NAME, _manifest_text())
        _write_text(root / _MARKER, _marker_text(complete=True))
    except OSError as error:
        raise ResourceError(
            f"the demo cannot be prepared in {root}: {error}",
            hint="Free some disk space (about 250 MB) or choose a folder that you may write to, "
            "then start again: finished files are kept.",
        ) from error
    return root / MANIFEST_NAME


# ---- what is there already ------------------------------------------------------------------


def _marker(root: Path) -> dict[str, object]:
    try:
        marker = json.loads((root / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _marker_text(*, complete: bool) -> str:
    return json.dumps({"generator_version": GENERATOR_VERSION, "complete": complete}) + "\n"


def _is_complete(root: Path, parts: Sequence[_Part]) -> bool:
    expected = {"generator_version": GENERATOR_VERSION, "complete": True}
    files = [root / MANIFEST_NAME, *(part.path for part in parts)]
    files += [root / "audio" / f"{story}.opus" for story in SHIPPED_STORIES]
    files += [root / "textgrids" / f"{story}.TextGrid" for story in SHIPPED_STORIES]
    return _marker(root) == expected and all(path.is_file() for path in files)


def _drop_other_version(root: Path, parts: Sequence[_Part]) -> None:
    """Remove responses that another version of the generator has made."""
    root.mkdir(parents=True, exist_ok=True)
    if _marker(root).get("generator_version") != GENERATOR_VERSION:
        for part in parts:
            part.path.unlink(missing_ok=True)
    _write_text(root / _MARKER, _marker_text(complete=False))


def _check_room(root: Path, parts: Sequence[_Part]) -> None:
    n_missing = sum(not part.path.is_file() for part in parts)
    needed = n_missing * _BYTES_PER_SUBJECT * len(SUBJECTS) // len(parts)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise ResourceError(
            f"the demo needs {needed / 1e6:.0f} MB in {root}, but {free / 1e6:.0f} MB are free",
            hint="Free some disk space, or choose a store on another disk.",
        )


# ---- the stories and the manifest -----------------------------------------------------------


def _copy_stories(root: Path) -> None:
    for source, name, suffix in (
        (AUDIO_FOLDER, "audio", ".opus"),
        (ANNOTATION_FOLDER, "textgrids", ".TextGrid"),
    ):
        (root / name).mkdir(exist_ok=True)
        for story in SHIPPED_STORIES:
            temporary = _temporary(root / name / f"{story}{suffix}")
            shutil.copyfile(source / f"{story}{suffix}", temporary)
            temporary.replace(root / name / f"{story}{suffix}")


def _manifest_text() -> str:
    def listed(stories: Sequence[str]) -> str:
        return json.dumps(list(stories))

    n_targets = len(medial_wall(_SPACE))
    subjects = "\n".join(
        f'[[subjects]]\nid = "{subject}"\nunits = {n_targets}\n' for subject in SUBJECTS
    )
    return f"""\
# Simulated responses to synthetic speech: a demonstration, no evidence about brains.
[dataset]
name = "Embedded demo (simulated)"
format = 1
simulated = true
audio_dir = "audio"
alignment_dir = "textgrids"

[timing]
tr = {TIMING.tr}
first_volume = {TIMING.first_volume}
audio_onset = {TIMING.audio_onset}
slice_time = {TIMING.slice_time}

[responses]
path = "{_RESPONSES}/{{subject}}/{{story}}.h5"
key = "data"
repeats_key = "individual_repeats"
zscored = "run"
space = "{_SPACE}"

{subjects}
[splits]
test = {listed(TEST_STORIES)}
valid = {listed(VALID_STORIES)}
train = {listed(TRAIN_STORIES)}
"""


# ---- the responses --------------------------------------------------------------------------


def _make_responses(parts: Sequence[_Part], progress: Progress) -> None:
    """Simulate the files that are not there yet, one after the other."""
    if all(part.path.is_file() for part in parts):
        return
    progress.advance(0, len(parts), "features of the stories")
    components, cortex = demo_components(), demo_cortex()
    smoother = Smoother(cortex.neighbours)
    train = [components[story] for story in TRAIN_STORIES]
    for number, subject in enumerate(SUBJECTS, start=1):
        own = [part for part in parts if part.subject == subject]
        if all(part.path.is_file() for part in own):
            continue
        listener = draw_subject(number, train, cortex, smoother, seed=_SEED)
        for part in own:
            if not part.path.is_file():
                runs = simulate_runs(
                    listener,
                    STORIES_WITH_RESPONSES.index(part.story),
                    components[part.story],
                    cortex,
                    smoother,
                    n_repeats=N_REPEATS if part.is_test else 1,
                    tr=TIMING.tr,
                    seed=_SEED,
                )
                _write_responses(part, runs)
                logger.info("simulated %s, %s", subject, part.story)
            done = parts.index(part) + 1
            progress.advance(done, len(parts), f"simulated {subject}, {part.story}")


def demo_stimuli() -> dict[str, Stimulus]:
    """Read the stories that have responses, from the package."""
    return {story: _stimulus(story) for story in STORIES_WITH_RESPONSES}


def _stimulus(story: str) -> Stimulus:
    tiers = read_textgrid(ANNOTATION_FOLDER / f"{story}.TextGrid")
    audio = load_audio(AUDIO_FOLDER / f"{story}.opus")
    return Stimulus(story, audio, _spoken(tiers["phone"]), _spoken(tiers["word"]))


def _spoken(intervals: Sequence[Interval]) -> tuple[tuple[float, float, str], ...]:
    return tuple((entry.start, entry.end, entry.label) for entry in intervals if entry.label)


def demo_components() -> Components:
    """Compute what the simulated subjects respond to, at the rows of every story.

    Returns
    -------
    mapping of story to mapping of family to array of shape (n_rows, n_components)
        See :func:`braindash.demo.stimulus.response_components`.
    """
    stimuli = demo_stimuli()
    inventory = phone_inventory([stimuli[story] for story in TRAIN_STORIES])
    vectors = word_vectors(load_lexicon(), np.random.SeedSequence(_SEED))
    features = {
        name: lagged_features(story, TIMING.times(_n_rows(story)), inventory, vectors)
        for name, story in stimuli.items()
    }
    return response_components(features, TRAIN_STORIES)


def _n_rows(story: Stimulus) -> int:
    """One row for every whole TR of audio; row 0 is acquired when the first TR has been heard."""
    return int(len(story.audio) / SAMPLE_RATE_HZ // TIMING.tr)


def demo_cortex() -> Cortex:
    """Place the demo's regions around published coordinates on fsaverage5."""
    white, pial = load_surface("white", _SPACE), load_surface("pial", _SPACE)
    middle = np.concatenate(
        [(white[side].coordinates + pial[side].coordinates) / 2 for side in HEMISPHERES]
    )
    n = len(middle) // 2
    proximity: dict[str, Floats] = {}
    for sphere in published_spheres():
        start = HEMISPHERES.index(sphere.hemisphere) * n
        side = slice(start, start + n)
        distance = np.linalg.norm(middle[side] - mni_to_fsaverage(sphere.mni), axis=1)
        centre = start + int(distance.argmin())
        disc = disc_proximity(middle, centre, sphere.radius_mm, side)
        proximity[sphere.region] = np.maximum(proximity.get(sphere.region, 0.0), disc)
    return Cortex(adjacency(_SPACE), proximity, medial_wall(_SPACE))


# ---- writing --------------------------------------------------------------------------------


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _write_text(path: Path, text: str) -> None:
    temporary = _temporary(path)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _write_responses(part: _Part, runs: Iterator[NDArray[np.float32]]) -> None:
    """Write runs as float16: their z-scored mean, and the test story's single repeats."""
    part.path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(part.path)
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["simulated"] = True
            file.attrs["generator_version"] = GENERATOR_VERSION
            first = next(runs)
            total = first.astype(np.float64)
            if part.is_test:
                shape = (N_REPEATS, *first.shape)
                repeats = file.create_dataset("individual_repeats", shape, np.float16)
                repeats[0] = first.astype(np.float16)
                for index, run in enumerate(runs, start=1):
                    repeats[index] = run.astype(np.float16)
                    total += run
            file["data"] = zscored(total.astype(np.float32)).astype(np.float16)
        temporary.replace(part.path)
    finally:
        temporary.unlink(missing_ok=True)
