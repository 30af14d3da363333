"""Annotations of a story in time: read from Praat TextGrids.

Reading follows Praat's own rule for its text files: only free-standing numbers, texts in double
quotes and flags in angle brackets count; everything else is commentary. So the long form, the
short form and hand-made mixtures of both are one format, whatever the labels contain.

What other programs write is read as far as it is certain what they mean: a tier goes on until the
next one begins, whatever count stands before it, and times are taken to a millisecond. A file that
is cut short is never read as a shorter one.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.texts import BROKEN, read_text

_INTERVALS, _POINTS = "IntervalTier", "TextTier"
# Programs round times; what is less than this apart is the same time.
_ROUNDING_SECONDS = 1e-3
# A line of the long form whose quotes inside were not written twice, as they must be.
_OPEN_QUOTES = re.compile(r'^([ \t]*(?:text|mark|name)[ \t]*=[ \t]*")(.*)("[ \t]*)$', re.MULTILINE)
# What stands between quotes is taken at once (++): a step back for each of its letters would fill
# the memory.
_TOKEN = re.compile(r'"((?:[^"]++|"")*)"|(<[^>\n]*>)|(![^\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?$")


@dataclass(frozen=True)
class Interval:
    """A labelled piece of a recording.

    Attributes
    ----------
    start, end : float
        In seconds from the first sample of the audio; equal for a point in time.
    label : str
        What is said there; empty for a pause.
    """

    start: float
    end: float
    label: str


def read_textgrid(path: Path | str, told: list[str] | None = None) -> dict[str, list[Interval]]:
    """Read every tier of a TextGrid.

    Parameters
    ----------
    path : path
        A TextGrid in long or short text form, in any encoding of
        :func:`braindash.io.texts.read_text`.
    told : list of str, optional
        Gets what was put right.

    Returns
    -------
    dict of str to list of Interval
        Tiers by name, in the order of the file, with every interval that the file holds, empty
        labels included. A second tier of the same name becomes ``"name_2"``. The points of a point
        tier have ``end == start``, as has an interval that ends less than 1 ms before it begins.

    Raises
    ------
    InputError
        The file is missing, is no TextGrid, ends too early, or an interval is reversed.
    """
    path, notes = Path(path), [] if told is None else told
    refuse_placeholder(path, "TextGrid")
    if not path.is_file():
        raise InputError(
            f"the TextGrid {path} is missing",
            hint="Check the path; in a manifest, dataset.alignment_dir is relative to the "
            "manifest's own folder.",
        )
    text = read_text(path, notes)
    mended = _OPEN_QUOTES.sub(_closed, text)
    found: list[str] = []
    if mended != text:
        with suppress(InputError):
            tiers = _read_tiers(mended, path, found)
            found.append(f"{path} has labels with single quotes, which are taken as text")
            notes += found
            return tiers
        found = []  # what was found in another text is not so
    tiers = _read_tiers(text, path, found)
    if text.count('"') % 2:
        found.append(f"{path} has a double quote that is not closed; look at its last labels")
    notes += found
    return tiers


def _closed(line: re.Match[str]) -> str:
    """Write the quotes inside a label twice."""
    before, label, after = line.groups()
    return before + label.replace('""', '"').replace('"', '""') + after


def _read_tiers(text: str, path: Path, told: list[str]) -> dict[str, list[Interval]]:
    tokens = _Tokens(text, path)
    tokens.expect_header()
    tokens.number()
    tokens.number()
    if tokens.flag().lower() != "<exists>":
        return {}
    n_promised = tokens.count()
    tiers: dict[str, list[Interval]] = {}
    uses = Counter[str]()
    while tokens.next_kind() != "end":
        kind, name = tokens.text(), tokens.text()
        if kind not in (_INTERVALS, _POINTS):
            tokens.refuse(f"a tier has the class {kind!r}, not {_INTERVALS!r} or {_POINTS!r}")
        tokens.number()
        last, n_entries = tokens.number(), tokens.count()
        found = []
        while tokens.next_kind() == "number":
            found.append(_entry(tokens, kind))
        whole = tokens.next_kind() != "end" or (
            bool(found) and kind == _INTERVALS and found[-1].end >= last - _ROUNDING_SECONDS
        )
        if len(found) != n_entries:
            odd = f"the tier {name!r} promises {n_entries} entries and holds {len(found)}"
            if len(found) < n_entries and not whole:
                tokens.refuse(odd)
            told.append(f"{path}: {odd}; all of them are read")
        tiers[_free_name(name, tiers, uses)] = found
    if len(tiers) < n_promised:
        tokens.refuse(f"the file ends after {len(tiers)} of {n_promised} tiers")
    if len(tiers) > n_promised:
        told.append(f"{path} promises {n_promised} tiers and holds {len(tiers)}; all are read")
    if any(BROKEN in one.label for found in tiers.values() for one in found):
        told.append(f"{path} has labels with bytes that are no text; {BROKEN} stands for them")
    return tiers


def _entry(tokens: "_Tokens", kind: str) -> Interval:
    start = tokens.number()
    end = tokens.number() if kind == _INTERVALS else start
    label = tokens.text()
    if end < start - _ROUNDING_SECONDS:
        tokens.refuse(f"the interval {label!r} ends at {end} s, before its start at {start} s")
    if -_ROUNDING_SECONDS < start < 0:
        start = 0.0
    return Interval(min(start, end), end, label) if end >= 0 else Interval(0.0, 0.0, label)


def _free_name(name: str, taken: Mapping[str, object], uses: Counter[str]) -> str:
    """Return a name with a number behind it where it is taken; ``uses`` counts the takers."""
    free = name
    while free in taken:
        uses[name] += 1
        free = f"{name}_{uses[name] + 1}"
    return free


class _Tokens:
    """Gives the free-standing numbers, texts and flags of a Praat text file one by one."""

    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._tokens = self._scan(text)
        self._ahead: tuple[str, str] | None = None

    @staticmethod
    def _scan(text: str) -> Iterator[tuple[str, str]]:
        for match in _TOKEN.finditer(text):
            quoted, flag, _, word = match.groups()
            if quoted is not None:
                yield "text", quoted.replace('""', '"')
            elif flag is not None:
                yield "flag", flag
            elif word is not None and _NUMBER.match(word):
                yield "number", word

    def refuse(self, reason: str) -> NoReturn:
        """Say that the file is no TextGrid, and why."""
        raise InputError(
            f"{self._path} is not a whole TextGrid: {reason}",
            hint="Allowed is a Praat TextGrid in long or short text form (not a binary one). "
            "If it was one, copy it again.",
        )

    def next_kind(self) -> str:
        """Say what follows: a text, a number, a flag or the end."""
        if self._ahead is None:
            self._ahead = next(self._tokens, ("end", ""))
        return self._ahead[0]

    def _next(self, wanted: str) -> str:
        self.next_kind()
        assert self._ahead is not None  # it was just read
        (kind, value), self._ahead = self._ahead, None
        if kind == "end":
            self.refuse(f"the file ends where a {wanted} should stand")
        if kind != wanted:
            self.refuse(f"{value!r} stands where a {wanted} should stand")
        return value

    def expect_header(self) -> None:
        """Read past the file type and the object class."""
        kinds = [next(self._tokens, ("end", ""))[1] for _ in range(2)]
        named = "ootextfile" in kinds[0].lower() and "textgrid" in kinds[1].lower()
        if not named or "chronological" in kinds[1].lower():
            self.refuse(f"it begins with {kinds[0][:40]!r}, {kinds[1][:40]!r}")

    def number(self) -> float:
        """Read a time in seconds."""
        value = float(self._next("number").replace(",", "."))
        if not math.isfinite(value):
            self.refuse(f"{value} stands where a time or a count should stand")
        return value

    def count(self) -> int:
        """Read how many things follow."""
        value = self.number()
        if value < 0 or not math.isclose(value, round(value)):
            self.refuse(f"{value} stands where a count should stand")
        return round(value)

    def text(self) -> str:
        """Read a text in double quotes."""
        return self._next("text")

    def flag(self) -> str:
        """Read a flag in angle brackets."""
        return self._next("flag")
