"""Names, sidecars and events of BIDS, as far as responses to sounds need them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from braindash.errors import InputError
from braindash.files import is_number, parse_json
from braindash.io.layouts.tree import File, Tree
from braindash.io.texts import lines, read_text

# What tells one scan from another; the others (space, hemi, desc, res...) say what was made of it.
SCAN_ENTITIES = ("sub", "ses", "task", "acq", "ce", "dir", "rec", "run")

# Columns that may name a stimulus where no stim_file does, the best ones first.
_NAMING = ("stim_id", "stimulus", "stim", "story", "audio", "trial_type")
# A TR that long is one in milliseconds.
_LONGEST_TR = 60.0

Entities = Mapping[str, str]
Scan = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BidsName:
    """A file name of BIDS in its parts.

    Attributes
    ----------
    entities : mapping of str to str
        ``sub-01`` is ``sub`` -> ``01``; numbers of runs and echoes without leading zeros.
    suffix : str
        What follows them, such as ``"bold"``; empty in older derivatives.
    extension : str
        From the first full stop on, such as ``".func.gii"``.
    """

    entities: Entities
    suffix: str
    extension: str

    @property
    def scan(self) -> Scan:
        """Entities that name the scan, in one order."""
        return tuple((name, self.entities[name]) for name in SCAN_ENTITIES if name in self.entities)


def parse_name(name: str) -> BidsName | None:
    """Read a file name; entities may stand in any order. None where it has none."""
    stem, _, extension = name.partition(".")
    entities: dict[str, str] = {}
    suffix = ""
    for part in stem.split("_"):
        key, dash, value = part.partition("-")
        if dash and key and value:
            entities[key] = _number(value) if key in ("run", "echo") else value
        else:
            suffix = part
    return BidsName(entities, suffix, f".{extension}") if entities else None


def _number(value: str) -> str:
    return value.lstrip("0") or "0" if value.isdigit() else value


@dataclass(frozen=True)
class Event:
    """One row of an events table.

    Attributes
    ----------
    onset, duration : float
        Seconds from the first stored volume, which may be negative; NaN where it is not known.
    trial_type, stim_file : str
        As written; empty for ``n/a``.
    names : tuple of str
        What other columns, and the trial type, may call the stimulus.
    """

    onset: float
    duration: float
    trial_type: str
    stim_file: str
    names: tuple[str, ...] = ()


class BidsFiles:
    """Sidecars and events of a folder, found by the rule of inheritance.

    Parameters
    ----------
    tree : Tree
        The folder.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._read: dict[File, Any] = {}
        self.problems: list[str] = []

    @cached_property
    def _by_subject(self) -> Mapping[tuple[str, str], list[tuple[File, BidsName]]]:
        """Sidecars (.json) and events (.tsv) by suffix and subject; inherited ones have none."""
        found: dict[tuple[str, str], list[tuple[File, BidsName]]] = {}
        for file in self._tree.files:
            kind = file.name.rpartition(".")[2]
            if kind not in ("json", "tsv"):
                continue
            name = parse_name(file.name)
            if name is not None and (kind == "json" or name.suffix == "events"):
                place = (f"{name.suffix}.{kind}", name.entities.get("sub", ""))
                found.setdefault(place, []).append((file, name))
        return found

    def _for(self, kind: str, entities: Entities) -> list[File]:
        """List what applies to a file: fewest entities first, so that the last one is closest."""
        applies = [
            (len(name.entities), len(file.folders), file)
            for subject in ("", entities.get("sub", ""))
            for file, name in self._by_subject.get((kind, subject), ())
            if name.entities.items() <= entities.items()
        ]
        return [file for *_, file in sorted(applies, key=lambda one: one[:2])]

    def sidecar(self, entities: Entities, *suffixes: str) -> dict[str, Any]:
        """Join the fields of all sidecars that apply to a file; the closest one wins."""
        fields: dict[str, Any] = {}
        for suffix in suffixes or ("bold",):
            for file in self._for(f"{suffix}.json", entities):
                fields |= self._content(file)
        return fields

    def events(self, entities: Entities) -> list[Event] | None:
        """Read the events of a scan, in the order of time; None where there is no table."""
        files = self._for("events.tsv", entities)
        if not files:
            return None
        file = files[-1]
        if file not in self._read:
            self._read[file] = self._events(file)
        found: list[Event] = self._read[file]
        return found

    def _content(self, file: File) -> dict[str, Any]:
        if file not in self._read:
            self._read[file] = self._json(file)
        fields: dict[str, Any] = self._read[file]
        return fields

    def _json(self, file: File) -> dict[str, Any]:
        return read_json(file, self.problems)

    def _events(self, file: File) -> list[Event]:
        try:
            return sorted(read_events(file), key=lambda event: event.onset)
        except (InputError, OSError, ValueError) as error:
            self.problems.append(f"{file.path} cannot be read: {error}")
            return []


def read_json(file: File, problems: list[str]) -> dict[str, Any]:
    """Read a JSON object; what cannot be read is told and empty."""
    told = file.placeholder()
    if told:
        problems.append(f"{file.path} is {told}")
        return {}
    try:
        content = parse_json(file.path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        problems.append(f"{file.path} cannot be read: {error}")
        return {}
    return content if isinstance(content, dict) else {}


def read_events(file: File) -> Iterator[Event]:
    """Read the rows of an events table.

    Raises
    ------
    InputError
        The file is missing, no text, or was not fetched.
    ValueError
        It has no column of onsets.
    """
    rows = [line.split("\t") for line in lines(read_text(file.path)) if line.strip()]
    if not rows:
        return
    head = [cell.strip() for cell in rows[0]]
    if "onset" not in head:
        raise ValueError("there is no column 'onset'")
    for row in rows[1:]:
        cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
        yield Event(
            onset=_seconds(cells.get("onset", "")),
            duration=_seconds(cells.get("duration", "")),
            trial_type=_known(cells.get("trial_type", "")),
            stim_file=_known(cells.get("stim_file", "")),
            names=tuple(filter(None, (_known(cells.get(one, "")) for one in _NAMING))),
        )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _known(text: str) -> str:
    return "" if text.casefold() in ("", "n/a", "na", "nan") else text


def first_onsets(events: Iterable[Event]) -> dict[str, float]:
    """Return when each stimulus file begins to play: several rows are one playback.

    Parameters
    ----------
    events : iterable of Event
        Of one scan. Rows without a stimulus or an onset do not count.

    Returns
    -------
    dict of str to float
        By ``stim_file``, in seconds from the first stored volume.
    """
    found: dict[str, float] = {}
    for event in events:
        if event.stim_file and not math.isnan(event.onset):
            found[event.stim_file] = min(event.onset, found.get(event.stim_file, math.inf))
    return found


def positive(value: Any) -> float | None:
    """Return a number above 0; None for anything else."""
    return float(value) if is_number(value) and value > 0 else None


def repetition_time(fields: Mapping[str, Any]) -> float | None:
    """Return the TR of a sidecar in seconds; None where it has none.

    BIDS wants seconds; a number beyond 60 is taken for milliseconds, which converters write.
    """
    found = positive(fields.get("RepetitionTime"))
    return found / 1000 if found is not None and found > _LONGEST_TR else found
