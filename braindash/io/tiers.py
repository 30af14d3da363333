"""The annotated tier of a story: which phones, or which words, are spoken when."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from braindash.digest import digest_file, digest_json
from braindash.errors import InputError, near_match
from braindash.io.annotations import Interval, read_textgrid
from braindash.io.dataset import Dataset
from braindash.io.labels_aligned import TIERS

Unit = Literal["phone", "word"]


@dataclass(frozen=True)
class Tier:
    """One tier of one TextGrid.

    Attributes
    ----------
    path : Path
        The TextGrid.
    name : str
        The tier in it.
    """

    path: Path
    name: str

    @property
    def digest(self) -> str:
        """Digest of the file and of the tier that is read from it."""
        return digest_json({"file": digest_file(self.path), "tier": self.name})

    def intervals(self) -> list[Interval]:
        """Read the tier, in the order of time."""
        return read_textgrid(self.path)[self.name]


def story_tier(dataset: Dataset, story: str, unit: Unit) -> Tier:
    """Find the tier of phones, or of words, of a story.

    It is the one that the manifest names (``phone_tier``, ``word_tier``), else the first with a
    usual name.

    Parameters
    ----------
    dataset : Dataset
    story : str
    unit : {"phone", "word"}

    Returns
    -------
    Tier

    Raises
    ------
    InputError
        When the manifest has no annotations, the story has none, or they have no such tier.
    """
    path = dataset.annotation_path(story)
    if path is None:
        folder = dataset.tables.dataset.alignment_dir
        lacking = "no alignment_dir" if folder is None else f"no {story}.TextGrid in {folder}"
        raise InputError(
            f"{dataset.name} has {lacking}, so nobody knows which {unit}s the story {story!r} has",
            hint="Give dataset.alignment_dir, a folder that holds STORY.TextGrid for every story "
            "of the run, as forced aligners write them.",
        )
    status = path.stat()
    names = _tier_names(path, status.st_mtime_ns, status.st_size)
    field = f"{unit}_tier"
    named = getattr(dataset.tables.dataset, field)
    if named is None:
        usual = [name for name in names if TIERS.get(name.lower()) == unit]
        if usual:
            return Tier(path, usual[0])
        raise InputError(
            f"{path} has no tier of {unit}s under a usual name; its tiers are {', '.join(names)}",
            hint=f"Name it in the manifest: dataset.{field}.",
        )
    if named not in names:
        raise InputError(
            f"{path} has no tier {named!r}, which dataset.{field} names",
            hint=near_match(named, names),
        )
    return Tier(path, named)


@lru_cache(maxsize=1024)
def _tier_names(path: Path, modified: int, size: int) -> tuple[str, ...]:
    """Read the names of a file's tiers once, for as long as it does not change."""
    return tuple(read_textgrid(path))
