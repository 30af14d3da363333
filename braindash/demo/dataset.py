"""The embedded demo, laid out as a data set like any other: a manifest, audio, HDF5 responses.

The stories ship with the package; the responses of three simulated subjects are made from seeds
on the user's machine. They are simulated, and the manifest says so. The same code lays out larger
worlds, with stories that do not ship and subjects of other seeds, for those who make the demo.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from braindash.core.timing import Timing
from braindash.demo import (
    ANNOTATION_FOLDER,
    AUDIO_FOLDER,
    SHIPPED_STORIES,
    TEST_STORIES,
    TRAIN_STORIES,
    VALID_STORIES,
    load_lexicon,
)
from braindash.demo.requests import GENERATOR_VERSION, MANIFEST_NAME, SUBJECTS
from braindash.demo.simulate import (
    Cortex,
    Smoother,
    Subject,
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
from braindash.files import parse_json, replace_text, replaced
from braindash.io.dataset.audio import load_audio
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.io.netcdf import written_hdf5
from braindash.io.regions.discs import mni_to_fsaverage, published_spheres
from braindash.io.surfaces import HEMISPHERES, adjacency, load_surface, medial_wall
from braindash.process import usable_cores
from braindash.progress import NoProgress, Progress

logger = logging.getLogger(__name__)

N_REPEATS: Mapping[str, int] = MappingProxyType(
    # The repeats of a training story give a ceiling that no test story is needed for.
    {**dict.fromkeys(TEST_STORIES, 5), TRAIN_STORIES[0]: 3}
)
"""Presentations of the stories that were heard more than once."""
TIMING = Timing(tr=2.0, first_volume=1)

_SEED = 20_261_125
_SPACE = "fsaverage5"
_MARKER = "demo.json"
_RESPONSES = "responses"
_BYTES_PER_ROW = 2 * 20_484

Components = Mapping[str, Mapping[str, Floats]]


@dataclass(frozen=True)
class World:
    """The stories of a demo data set and its subjects.

    Attributes
    ----------
    train, valid, test : tuple of str
        Stories with responses; of each split.
    seed : int
        Seed of subjects and noise.
    name : str
        Name of the data set.
    extra : Path or None
        Folder with ``STORY.flac`` and ``STORY.TextGrid`` of the stories that do not ship.
    without_responses : tuple of str
        Further stories of that folder that no subject hears, for probes.
    """

    train: tuple[str, ...] = TRAIN_STORIES
    valid: tuple[str, ...] = VALID_STORIES
    test: tuple[str, ...] = TEST_STORIES
    seed: int = _SEED
    name: str = "Embedded demo (simulated)"
    extra: Path | None = None
    without_responses: tuple[str, ...] = ()

    @property
    def with_responses(self) -> tuple[str, ...]:
        """All stories that the subjects heard."""
        return self.train + self.valid + self.test

    @property
    def stories(self) -> tuple[str, ...]:
        """All stories: those that ship, and the further ones."""
        named = SHIPPED_STORIES + self.with_responses + self.without_responses
        return tuple(dict.fromkeys(named))

    def audio_file(self, story: str) -> Path:
        """Find a story's recording."""
        if story in SHIPPED_STORIES or self.extra is None:
            return AUDIO_FOLDER / f"{story}.opus"
        return self.extra / f"{story}.flac"

    def annotation_file(self, story: str) -> Path:
        """Find a story's words and phones."""
        if story in SHIPPED_STORIES or self.extra is None:
            return ANNOTATION_FOLDER / f"{story}.TextGrid"
        return self.extra / f"{story}.TextGrid"

    def n_repeats(self, story: str) -> int:
        """Say how often each subject hears a story; a test story like the one that ships."""
        return N_REPEATS.get(story, N_REPEATS[TEST_STORIES[0]] if story in self.test else 1)


SHIPPED = World()
"""The demo that the package brings along."""


@dataclass(frozen=True)
class _Part:
    """One file to make: the responses of one subject to one story."""

    subject: str
    story: str
    path: Path
    n_repeats: int


def prepare_demo(
    folder: Path | str, progress: Progress | None = None, world: World = SHIPPED
) -> Path:
    """Lay out the demo as a data set, or find it already there.

    Parameters
    ----------
    folder : path
        The data set's folder; made when it is missing. A folder that holds the demo of another
        version is brought up to date; files already finished are not made again.
    progress : Progress, optional
        Told of every finished subject and story.
    world : World
        Stories and seed; by default what ships.

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
        _Part(
            subject,
            story,
            root / _RESPONSES / subject / f"{story}.h5",
            world.n_repeats(story),
        )
        for subject in SUBJECTS
        for story in world.with_responses
    ]
    if _is_complete(root, parts, world):
        return root / MANIFEST_NAME
    try:
        _drop_other_version(root, parts, world)
        _check_room(root, parts, world)
        _copy_stories(root, world)
        with threadpool_limits(1):  # sums depend on the threads, and keys on every bit
            _make_responses(parts, world, report)
        replace_text(root / MANIFEST_NAME, _manifest_text(world))
        replace_text(root / _MARKER, _marker_text(world, complete=True))
    except OSError as error:
        raise ResourceError(
            f"the demo cannot be prepared in {root}: {error}",
            hint="Free some disk space (about 300 MB) or choose a folder that you may write to, "
            "then start again: finished files are kept.",
        ) from error
    return root / MANIFEST_NAME


# ---- what is there already ------------------------------------------------------------------


def _marker(root: Path) -> dict[str, object]:
    try:
        marker = parse_json((root / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _identity(world: World) -> dict[str, object]:
    return {"generator_version": GENERATOR_VERSION, "seed": world.seed}


def _marker_text(world: World, *, complete: bool) -> str:
    return json.dumps({**_identity(world), "complete": complete}) + "\n"


def _is_complete(root: Path, parts: Sequence[_Part], world: World) -> bool:
    files = [root / MANIFEST_NAME, *(part.path for part in parts)]
    for folder, find in _COPIED.items():
        files += [root / folder / find(world, story).name for story in world.stories]
    expected = {**_identity(world), "complete": True}
    return _marker(root) == expected and all(path.is_file() for path in files)


def _drop_other_version(root: Path, parts: Sequence[_Part], world: World) -> None:
    """Remove responses that another version of the generator, or another seed, has made."""
    root.mkdir(parents=True, exist_ok=True)
    found = _marker(root)
    if {name: found.get(name) for name in _identity(world)} != _identity(world):
        for part in parts:
            part.path.unlink(missing_ok=True)
    replace_text(root / _MARKER, _marker_text(world, complete=False))


def _check_room(root: Path, parts: Sequence[_Part], world: World) -> None:
    needed = 0
    for part in parts:
        if not part.path.is_file():
            n_stored = part.n_repeats + 1 if part.n_repeats > 1 else 1
            seconds = soundfile.info(world.audio_file(part.story)).duration
            needed += int(n_stored * seconds / TIMING.tr * _BYTES_PER_ROW)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise ResourceError(
            f"the demo needs {needed / 1e6:.0f} MB in {root}, but {free / 1e6:.0f} MB are free",
            hint="Free some disk space, or choose a store on another disk.",
        )


# ---- the stories and the manifest -----------------------------------------------------------


_COPIED: Mapping[str, Callable[[World, str], Path]] = MappingProxyType(
    {"audio": World.audio_file, "textgrids": World.annotation_file}
)


def _copy_stories(root: Path, world: World) -> None:
    for folder, find in _COPIED.items():
        (root / folder).mkdir(exist_ok=True)
        for story in world.stories:
            source = find(world, story)
            with replaced(root / folder / source.name) as copy:
                shutil.copyfile(source, copy)


def _manifest_text(world: World) -> str:
    def listed(stories: Sequence[str]) -> str:
        return json.dumps(list(stories))

    n_targets = len(medial_wall(_SPACE))
    subjects = "\n".join(
        f'[[subjects]]\nid = "{subject}"\nunits = {n_targets}\n' for subject in SUBJECTS
    )
    return f"""\
# Simulated responses to synthetic speech: a demonstration, no evidence about brains.
[dataset]
name = {json.dumps(world.name)}
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
test = {listed(world.test)}
valid = {listed(world.valid)}
train = {listed(world.train)}
"""


# ---- the responses --------------------------------------------------------------------------


def _make_responses(parts: Sequence[_Part], world: World, progress: Progress) -> None:
    """Simulate the files that are not there yet, some side by side: each has seeds of its own."""
    missing = [part for part in parts if not part.path.is_file()]
    if not missing:
        return
    progress.advance(0, len(parts), "features of the stories")
    components, cortex = demo_components(world), demo_cortex()
    smoother = Smoother(cortex.neighbours)
    train = [components[story] for story in TRAIN_STORIES]

    def make(part: _Part, listener: Subject) -> _Part:
        runs = simulate_runs(
            listener,
            zlib.crc32(part.story.encode()),
            components[part.story],
            cortex,
            smoother,
            n_repeats=part.n_repeats,
            tr=TIMING.tr,
            seed=world.seed,
        )
        _write_responses(part, runs)
        return part

    # Threads: nearly all of the time is spent in functions that let others run.
    with ThreadPoolExecutor(usable_cores()) as pool:
        making = []
        for number, subject in enumerate(SUBJECTS, start=1):
            own = [part for part in missing if part.subject == subject]
            if own:
                listener = draw_subject(number, train, cortex, smoother, seed=world.seed)
                making += [pool.submit(make, part, listener) for part in own]
        try:
            for number, future in enumerate(as_completed(making), start=1):
                made = future.result()
                logger.info("simulated %s, %s", made.subject, made.story)
                done = len(parts) - len(missing) + number
                progress.advance(done, len(parts), f"simulated {made.subject}, {made.story}")
        finally:  # an error, or who cancels, waits for what is under way alone
            pool.shutdown(cancel_futures=True)


def demo_stimuli(world: World = SHIPPED) -> dict[str, Stimulus]:
    """Read the stories that have responses, and those that decide how every story is coded."""
    stories = dict.fromkeys(TRAIN_STORIES + world.with_responses)
    return {story: _stimulus(world, story) for story in stories}


def _stimulus(world: World, story: str) -> Stimulus:
    tiers = read_textgrid(world.annotation_file(story))
    audio = load_audio(world.audio_file(story))
    return Stimulus(story, audio, _spoken(tiers["phone"]), _spoken(tiers["word"]))


def _spoken(intervals: Sequence[Interval]) -> tuple[tuple[float, float, str], ...]:
    return tuple((entry.start, entry.end, entry.label) for entry in intervals if entry.label)


def demo_components(world: World = SHIPPED) -> Components:
    """Compute what the simulated subjects respond to, at the rows of every story.

    The training stories that ship decide about phones and components, in every world: subjects of
    one seed are the same whatever else they hear.

    Returns
    -------
    mapping of story to mapping of family to array of shape (n_rows, n_components)
        See :func:`braindash.demo.stimulus.response_components`.
    """
    stimuli = demo_stimuli(world)
    inventory = phone_inventory([stimuli[story] for story in TRAIN_STORIES])
    vectors = word_vectors(load_lexicon(), np.random.SeedSequence(world.seed))
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


def _write_responses(part: _Part, runs: Iterator[NDArray[np.float32]]) -> None:
    """Write runs as float16: their z-scored mean, and the single repeats of a repeated story."""
    with replaced(part.path) as partial, written_hdf5(partial) as file:
        file.attrs["simulated"] = True
        file.attrs["generator_version"] = GENERATOR_VERSION
        first = next(runs)
        total = first.astype(np.float64)
        if part.n_repeats > 1:
            shape = (part.n_repeats, *first.shape)
            repeats = file.create_dataset("individual_repeats", shape, np.float16)
            repeats[0] = first.astype(np.float16)
            for index, run in enumerate(runs, start=1):
                repeats[index] = run.astype(np.float16)
                total += run
        file["data"] = zscored(total.astype(np.float32)).astype(np.float16)
