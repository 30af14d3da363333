"""What was heard when: the rows of a result's test stories in time, their sound and their words.

A result names its stories and the key of their features, which say when each row was acquired and
which recording the model heard. The sound and the words lie in the data set, which may not be here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.io.dataset.manifest import Dataset, load_manifest
from braindash.io.entries import Entry, read_listed
from braindash.io.labels.textgrid import Interval
from braindash.io.labels.tiers import story_tier
from braindash.io.store import Store
from braindash.remembered.digests import digest_input

_DEMO_MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class HeardStory:
    """One test story of a result.

    Attributes
    ----------
    name : str
        The story.
    rows : slice
        Its rows among those of the stored predictions.
    first_row : int
        The first of them, counted in the response file.
    audio : str or None
        Digest of the recording that the model heard; None where nothing tells it any more.
    first_seconds, tr : float or None
        When the first row was acquired, in seconds since the sound began, and the seconds between
        two rows; None where nothing tells them any more.
    """

    name: str
    rows: slice
    first_row: int
    audio: str | None = None
    first_seconds: float | None = None
    tr: float | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.rows.stop - self.rows.start)

    @property
    def is_timed(self) -> bool:
        """Whether it is known when the rows were acquired."""
        return self.tr is not None and self.first_seconds is not None

    def times(self) -> NDArray[np.float64]:
        """Return when each row was acquired, in seconds since the sound began, (n_rows,).

        Without any timing the rows are counted from 0, one a second.
        """
        if self.tr is None or self.first_seconds is None:
            return np.arange(self.n_rows, dtype=np.float64)
        return np.asarray(self.first_seconds + self.tr * np.arange(self.n_rows))


def heard_stories(
    result: EncodingResult, store: Store, dataset: Dataset | None = None
) -> list[HeardStory]:
    """Name the test stories of a result, with the times of their rows.

    Parameters
    ----------
    result : EncodingResult
    store : Store
        Its features say the times, where they are still there.
    dataset : Dataset, optional
        Says them otherwise.

    Returns
    -------
    list of HeardStory
        In the order of the stored rows.
    """
    return list(_heard(result, store, dataset))


def _heard(result: EncodingResult, store: Store, dataset: Dataset | None) -> Iterator[HeardStory]:
    start = 0
    for story in result.spec["test"]:
        first, stop = int(story["first_row"]), int(story["last_row"])
        rows = slice(start, start + stop - first)
        start = rows.stop
        audio, begins, tr = _features_told(store, str(story["features"]))
        if tr is None and dataset is not None:
            begins, tr = _manifest_told(dataset, _who(result), str(story["name"]), first)
        yield HeardStory(str(story["name"]), rows, first, audio, begins, tr)


def _features_told(store: Store, key: str) -> tuple[str | None, float | None, float | None]:
    """Read the recording's digest, the first row's time and TR from what names the features."""
    entry = read_listed("features", store.folder("features", key))
    if not isinstance(entry, Entry):
        return None, None, None
    times = entry.spec.get("times", {})
    audio, first, tr = entry.spec.get("audio"), times.get("first"), times.get("tr")
    if first is None or tr is None:
        return audio, None, None
    return audio, float(first), float(tr)


def _manifest_told(
    dataset: Dataset, subject: str, story: str, row: int
) -> tuple[float | None, float | None]:
    try:
        timing = dataset.timing(subject, story)
    except InputError:
        return None, None
    return float(timing.times(row + 1)[row]), timing.tr


def _who(result: EncodingResult) -> str:
    """Return the subject whose files say what was heard; of a mean the first one."""
    return result.members[0] if result.members else result.subject


def find_dataset(result: EncodingResult, store: Store, given: Path | None = None) -> Dataset:
    """Open the data set that a result is of, where it is here.

    Parameters
    ----------
    result : EncodingResult
    store : Store
        Holds the demo's data.
    given : Path, optional
        A manifest, where the data set is somewhere else by now.

    Raises
    ------
    InputError
        When it cannot be found or read, or is another one.
    """
    demo = store.demo_folder / _DEMO_MANIFEST
    named = given or (None if result.manifest is None else Path(result.manifest))
    # Results of earlier versions do not say where their data are; the demo's lie in the store.
    if (named is None or not named.is_file()) and given is None and result.simulated:
        named = demo if demo.is_file() else named
    if named is None:
        raise InputError(
            f"this result does not say where the data set {result.data!r} lies",
            hint="Give its manifest.",
        )
    dataset = load_manifest(named)
    if dataset.name != result.data:
        raise InputError(
            f"{named} describes {dataset.name!r}, not {result.data!r}",
            hint="Give the manifest of the data set that this result is of.",
        )
    return dataset


def find_sound(dataset: Dataset, result: EncodingResult, story: HeardStory) -> Path:
    """Return a test story's recording.

    Raises
    ------
    InputError
        When it is missing, or another one than the model heard.
    """
    path = dataset.audio_path(story.name, _who(result))
    if story.audio is not None and digest_input(path) != story.audio:
        raise InputError(
            f"{path} is another recording than the one that the model heard",
            hint="Bring the recording back, or compute the result again.",
        )
    return path


def find_words(dataset: Dataset, story: HeardStory) -> list[Interval]:
    """Return the words of a test story in the order of time, pauses left out.

    Raises
    ------
    InputError
        When the data set says nothing of them, or their file cannot be read.
    """
    spoken = story_tier(dataset, story.name, "word").intervals()
    return [one for one in spoken if one.label.strip()]
