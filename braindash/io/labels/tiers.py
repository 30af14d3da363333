"""The annotated tier of a story: which phones, or which words, are spoken when."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from braindash.core.ipa import uses_ipa
from braindash.errors import InputError
from braindash.files import digest_json
from braindash.io.dataset.dataset import Dataset
from braindash.io.labels.aligned import TIERS
from braindash.io.labels.gentle import read_tiers
from braindash.io.labels.intervals import PHONE, WORD, wanted_tiers
from braindash.io.labels.textgrid import Interval
from braindash.remembered.digests import digest_input

logger = logging.getLogger(__name__)

Unit = Literal["phone", "word"]


@dataclass(frozen=True)
class Tier:
    """One tier of one TextGrid, or those of its speakers together.

    Attributes
    ----------
    path : Path
        The TextGrid, or the JSON file of gentle.
    name : str
        The tier in it; the first one of several.
    usual : bool
        Whether it would be read as well if the manifest named no tier.
    others : tuple of str
        The same tier of other speakers.
    """

    path: Path
    name: str
    usual: bool
    others: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the file and of the tier that is read from it."""
        named: dict[str, object] = {"file": digest_input(self.path), "tier": self.name}
        if self.others:
            named["others"] = list(self.others)
        status = self.path.stat()
        if _reads_otherwise(self.path, self.name, status.st_mtime_ns, status.st_size):
            named["alphabet"] = "ipa"
        return digest_json(named)

    def intervals(self) -> list[Interval]:
        """Read the tier, in the order of time."""
        told: list[str] = []
        tiers = read_tiers(self.path, told)
        for text in told:
            logger.warning("%s", text)
        found = [one for name in (self.name, *self.others) for one in tiers[name]]
        return sorted(found, key=lambda one: one.start)


def tier_units(dataset: Dataset) -> dict[str, str]:
    """Say which tiers of a data set's TextGrids hold phones, and which words.

    Parameters
    ----------
    dataset : Dataset

    Returns
    -------
    dict of str to str
        Name of a tier in lower case -> ``"phone"`` or ``"word"``: the one that the manifest names
        (``phone_tier``, ``word_tier``), else the usual names.
    """
    table = dataset.tables.dataset
    units = dict(TIERS)
    for unit, named in ((PHONE, table.phone_tier), (WORD, table.word_tier)):
        if named is not None:
            units = {name: kind for name, kind in units.items() if kind != unit}
            units[named.lower()] = unit
    return units


def story_tier(dataset: Dataset, story: str, unit: Unit) -> Tier:
    """Find the tier of phones, or of words, of a story.

    The first tier of that unit counts, as :func:`tier_units` has it.

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
        lacking = (
            "no alignment_dir"
            if folder is None
            else f"no {story}.TextGrid and no {story}/align.json or align.csv in {folder}"
        )
        raise InputError(
            f"{dataset.name} has {lacking}, so nobody knows which {unit}s the story {story!r} has",
            hint="Give dataset.alignment_dir, a folder that holds STORY.TextGrid for every story "
            "of the run, as forced aligners write them.",
        )
    status = path.stat()
    names = _tier_names(path, status.st_mtime_ns, status.st_size)
    units = tier_units(dataset)
    found = _named(names, units, unit)
    if found:
        return Tier(path, found[0], found == _named(names, TIERS, unit), found[1:])
    looked_for = ", ".join(name for name, kind in units.items() if kind == unit)
    raise InputError(
        f"{path} has no tier of {unit}s: it holds {', '.join(names) or 'no tier'}, and looked for "
        f"was {looked_for}",
        hint=f"Name the tier in the manifest: dataset.{unit}_tier.",
    )


def _named(names: Sequence[str], units: Mapping[str, str], unit: Unit) -> tuple[str, ...]:
    """Return the first tier of a unit; where all are of speakers, every speaker's."""
    found = {
        name: speaker
        for name, (kind, speaker) in wanted_tiers(names, units).items()
        if kind == unit
    }
    whole = [name for name, speaker in found.items() if not speaker]
    return tuple(whole[:1] or found)


@lru_cache(maxsize=1024)
def _tier_names(path: Path, modified: int, size: int) -> tuple[str, ...]:
    """Read the names of a file's tiers once, for as long as it does not change."""
    return tuple(read_tiers(path, []))


@lru_cache(maxsize=1024)
def _reads_otherwise(path: Path, name: str, modified: int, size: int) -> bool:
    """Say whether a tier has labels that earlier versions took for another alphabet's."""
    labels = {one.label.strip() for one in read_tiers(path, [])[name]}
    return uses_ipa(labels) and any(label in ("y", "q") or "\\" in label for label in labels)
