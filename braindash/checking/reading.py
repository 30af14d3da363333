"""Reads what a check needs of a subject: the sound's loudness, and as many targets as are enough.

Everything is read while it is little; of more, blocks of columns spread over all targets, and the
columns of the auditory region. Responses are opened through the data set's own readers only.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.core.ceilings import repeats_ceiling
from braindash.core.lag import GRID_HZ
from braindash.core.scores import constant_columns
from braindash.errors import InputError
from braindash.files import replaced
from braindash.io.dataset.audio import sound_course
from braindash.io.dataset.check import StoryCheck
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.responses import ResponseSource, load_repeats, load_responses
from braindash.process import usable_cores
from braindash.remembered.digests import digest_input
from braindash.remembered.tables import cache_folder

logger = logging.getLogger(__name__)

# Numbers of a subject that are read at most; of repeats all targets are read of more, for a map.
_MOST_VALUES = 40_000_000
_MOST_REPEATED = 100_000_000
_BLOCK_COLUMNS = 128
_LEAST_COLUMNS = 512
_REGION_COLUMNS = 128
_SHARED_BLOCKS, _SHARED_COLUMNS = 16, 32
# Columns so near to each other are read together.
_GAP_COLUMNS = 256
# A story that fills less of a scan is looked at with so much of the scan around it, for its lag.
_OWN_SHARE = 0.5
_MARGIN_SECONDS = 20.0
LOUDNESS = "loudness"
"""Folder of the cache that keeps the loudness of recordings."""
# Raised when the same recording would give another course.
_VERSION = 1
_SLICED = (b"\x89HDF", b"\x93NUM")


@dataclass(frozen=True, eq=False)
class Columns:
    """The targets that a check reads.

    Attributes
    ----------
    sample : array of int
        Targets that stand for all, sorted; all where they are few.
    region : array of int
        Targets of the auditory region; empty where none is known.
    region_name : str
        Which region, of which set.
    n_targets : int
        All targets.
    shared : array of int
        Targets that are read of every subject, however many rows they have.
    """

    sample: NDArray[np.int64]
    region: NDArray[np.int64]
    region_name: str
    n_targets: int
    shared: NDArray[np.int64]

    @cached_property
    def read(self) -> NDArray[np.int64]:
        """All that are read, sorted."""
        marks = np.zeros(self.n_targets, dtype=bool)
        for targets in (self.sample, self.region, self.shared):
            marks[targets] = True
        return np.flatnonzero(marks)

    @property
    def is_whole(self) -> bool:
        """Whether all targets are read."""
        return len(self.sample) == self.n_targets

    def places(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where targets are among those that are read."""
        return np.searchsorted(self.read, wanted)


@dataclass(frozen=True, eq=False)
class StoryData:
    """The numbers of one story.

    Attributes
    ----------
    check : StoryCheck
        Its sizes and times.
    values : array of shape (n_rows, n_read), float32
        Responses of the targets that are read.
    rms : array of shape (n_steps,)
        The sound, ``GRID_HZ`` values a second.
    tr, volume_zero : float
        Seconds between two rows; audio time of scan volume 0.
    times : array of shape (n_rows,)
        Audio times of the rows.
    """

    check: StoryCheck
    values: NDArray[np.float32]
    rms: NDArray[np.float64]
    tr: float
    volume_zero: float
    times: NDArray[np.float64]

    def near_sound(self) -> "StoryData":
        """Return the story with its own part of a scan in which others were heard as well."""
        own = self.check.stop_row - self.check.first_row
        if own >= _OWN_SHARE * len(self.times):
            return self
        margin = min(own // 2, round(_MARGIN_SECONDS / self.tr))
        part = slice(max(0, self.check.first_row - margin), self.check.stop_row + margin)
        return replace(self, values=self.values[part], times=self.times[part])


def choose_columns(
    stories: Sequence[StoryCheck], region: tuple[NDArray[np.bool_], str] | None
) -> Columns:
    """Choose the targets that are read of a subject.

    Parameters
    ----------
    stories : sequence of StoryCheck
        All with the same number of targets.
    region : tuple, optional
        Mask and name of the auditory region.
    """
    n_targets = stories[0].n_targets
    rows = sum(story.n_rows for story in stories)
    enough = max(_LEAST_COLUMNS, _MOST_VALUES // max(rows, 1))
    if n_targets <= enough:
        sample = np.arange(n_targets)
    else:
        sample = _blocks(n_targets, max(1, enough // _BLOCK_COLUMNS), _BLOCK_COLUMNS)
    shared = _blocks(n_targets, _SHARED_BLOCKS, _SHARED_COLUMNS)
    if region is None:
        return Columns(sample, np.zeros(0, np.int64), "", n_targets, shared)
    inside = np.flatnonzero(region[0])
    if len(sample) < n_targets and len(inside) > _REGION_COLUMNS:
        inside = inside[np.linspace(0, len(inside) - 1, _REGION_COLUMNS).astype(np.int64)]
    return Columns(sample, inside, region[1], n_targets, shared)


def _blocks(n_targets: int, n_blocks: int, size: int) -> NDArray[np.int64]:
    """Return blocks of neighbouring targets, spread over all of them."""
    size = min(size, n_targets)
    starts = np.linspace(0, n_targets - size, n_blocks).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(size))


def read_columns(source: ResponseSource, columns: NDArray[np.int64], n_targets: int) -> np.ndarray:
    """Read some targets of a story, (n_rows, n_columns) float32."""
    if len(columns) == n_targets:
        return load_responses(source)
    if not all(map(_is_sliced, source.paths)):  # read whole anyway
        return load_responses(source)[:, columns]
    return np.concatenate(
        [load_responses(source, run)[:, inside] for run, inside in _runs(columns)], axis=1
    )


def _is_sliced(path: Path) -> bool:
    """Say whether columns of a file are read without the others."""
    with path.open("rb") as stream:
        return stream.read(4) in _SLICED


def _runs(columns: NDArray[np.int64]) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield stretches that hold all columns, and where in each of them the columns are."""
    ends = np.flatnonzero(np.diff(columns) > _GAP_COLUMNS) + 1
    for part in np.split(columns, ends):
        yield slice(int(part[0]), int(part[-1]) + 1), part - part[0]


def read_sounds(
    paths: Mapping[str, Path],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, InputError]]:
    """Measure the loudness of recordings, side by side.

    Parameters
    ----------
    paths : mapping of str to Path
        Recordings by story.

    Returns
    -------
    courses : dict of str to array
        Root mean square, ``GRID_HZ`` values a second.
    errors : dict of str to InputError
        Of recordings that cannot be used.
    """
    courses: dict[str, NDArray[np.float64]] = {}
    errors: dict[str, InputError] = {}

    def read(path: Path) -> NDArray[np.float64] | InputError:
        try:
            return _loudness(path)
        except InputError as error:
            return error

    with ThreadPoolExecutor(usable_cores()) as pool:
        read_all = pool.map(read, paths.values())
        for story, found in zip(paths, read_all, strict=True):
            if isinstance(found, InputError):
                errors[story] = found
            else:
                courses[story] = found
    return courses, errors


def _loudness(path: Path) -> NDArray[np.float64]:
    """Measure the loudness of a recording; what was measured is kept in the user's cache folder."""
    try:
        digest = digest_input(path)
    except OSError:
        return sound_course(path, GRID_HZ)  # which says what is wrong
    place = cache_folder() / LOUDNESS / f"{digest}-{GRID_HZ}hz-{_VERSION}.npy"
    try:
        kept = np.load(place, allow_pickle=False)
        if kept.ndim == 1 and kept.size and kept.dtype == np.float64:
            return np.asarray(kept)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        logger.info("%s is made again: %s", place, error)
    course = sound_course(path, GRID_HZ)
    try:
        with replaced(place) as partial, partial.open("wb") as stream:
            np.save(stream, course)
    except OSError as error:
        logger.info("the loudness of %s is not kept: %s", path, error)
    return course


def read_story(
    dataset: Dataset, subject: str, check: StoryCheck, rms: NDArray[np.float64], columns: Columns
) -> StoryData:
    """Read the responses of one story beside its sound."""
    timing = dataset.timing(subject, check.story)
    source = dataset.responses(subject, check.story)
    return StoryData(
        check=check,
        values=read_columns(source, columns.read, columns.n_targets),
        rms=rms,
        tr=timing.tr,
        volume_zero=timing.slice_time - timing.audio_onset,
        times=timing.times(check.n_rows),
    )


def read_ceiling(
    source: ResponseSource, check: StoryCheck, columns: Columns
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    """Compute the noise ceiling of a repeated story, over its scored rows.

    Returns
    -------
    ceiling : array of shape (n,)
        By target.
    targets : array of int, shape (n,)
        Which targets: all where they are few, else the sample.
    repeats : array of shape (n_repeats, n_rows, n), float32
        What it was computed from; censored rows are left out.
    """
    size = check.n_repeats * check.n_rows
    few = size * check.n_targets <= _MOST_REPEATED
    targets = np.arange(check.n_targets) if few else some_blocks(columns.sample, size)
    if few or not all(map(_is_sliced, source.repeats_paths or source.paths)):
        runs = load_repeats(source)
        values = np.zeros((2, 2, 0), np.float32) if runs is None else runs[:, :, targets]
    else:
        parts = [
            runs[:, :, inside]
            for run, inside in _runs(targets)
            if (runs := load_repeats(source, run)) is not None
        ]
        values = np.concatenate(parts, axis=2)
    rows = np.asarray(np.isfinite(values).any(axis=2).all(axis=0))
    places = np.arange(check.n_rows)
    rows &= (places >= max(check.first_row, check.score_from_row)) & (places < check.stop_row)
    kept = values[:, rows]
    if not kept.shape[1]:
        return np.full(len(targets), np.nan), targets, kept
    return repeats_ceiling(kept), targets, kept


def some_blocks(sample: NDArray[np.int64], size: int, most: int | None = None) -> NDArray[np.int64]:
    """Keep blocks of a sample of targets, each of ``size`` numbers, up to ``most`` numbers."""
    step = max(1, -(-size * len(sample) // (most or _MOST_VALUES)))
    kept = np.flatnonzero((np.arange(len(sample)) // _BLOCK_COLUMNS) % step == 0)
    return np.asarray(sample[kept])


@dataclass(frozen=True)
class ValueSummary:
    """What the numbers of a story are like; attributes as of a StoryReport."""

    nan_share: float
    constant_share: float
    empty_share: float
    censored_rows: int
    mean: float | None
    sd: float | None


def summarise(values: NDArray[np.float32]) -> ValueSummary:
    """Count missing numbers and targets that do not vary, and measure mean and deviation.

    Parameters
    ----------
    values : array of shape (n_rows, n_targets)
        The sample of a story.
    """
    finite = np.isfinite(values)
    rows = np.asarray(finite.any(axis=1))
    inside, kept = finite[rows], values[rows]
    if not rows.any():
        return ValueSummary(1.0, 0.0, 1.0, len(rows), None, None)
    whole = inside.all(axis=0)
    constant = np.zeros(values.shape[1], dtype=bool)
    constant[whole] = constant_columns(kept[:, whole])
    usable = whole & ~constant
    mean = sd = None
    if usable.any():
        numbers = kept[:, usable].astype(np.float64)
        mean = float(np.median(abs(numbers.mean(axis=0))))
        sd = float(np.median(numbers.std(axis=0)))
    return ValueSummary(
        nan_share=float((~whole).mean()),
        constant_share=float(constant.mean()),
        empty_share=float((~inside.any(axis=0)).mean()),
        censored_rows=int((~rows).sum()),
        mean=mean,
        sd=sd,
    )
