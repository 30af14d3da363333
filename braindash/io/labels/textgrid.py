"""Annotations of a story in time: read from Praat TextGrids.

Reading follows Praat's own rule for its text files: only free-standing numbers, texts in double
quotes and flags in angle brackets count; everything else is commentary. So the long form, the
short form and hand-made mixtures of both are one format, whatever the labels contain.
"""

import codecs
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from braindash.errors import InputError
from braindash.files import refuse_placeholder

_INTERVALS, _POINTS = "IntervalTier", "TextTier"
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<[^>\n]*>)|(![^\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")


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


def read_textgrid(path: Path | str) -> dict[str, list[Interval]]:
    """Read every tier of a TextGrid.

    Parameters
    ----------
    path : path
        A TextGrid in long or short text form; UTF-8 or UTF-16, with or without byte order mark.

    Returns
    -------
    dict of str to list of Interval
        Tiers by name, in the order of the file, with every interval that the file holds, empty
        labels included. A second tier of the same name becomes ``"name_2"``. The points of a point
        tier have ``end == start``.

    Raises
    ------
    InputError
        The file is missing, is no TextGrid, or ends too early.
    """
    path = Path(path)
    tokens = _Tokens(_decoded(path), path)
    tokens.expect_header()
    tokens.number()
    tokens.number()
    if tokens.flag() != "<exists>":
        return {}
    tiers: dict[str, list[Interval]] = {}
    for _ in range(tokens.count()):
        kind, name = tokens.text(), tokens.text()
        if kind not in (_INTERVALS, _POINTS):
            tokens.refuse(f"a tier has the class {kind!r}, not {_INTERVALS!r} or {_POINTS!r}")
        tokens.number()
        tokens.number()
        tiers[_free_name(name, tiers)] = [_entry(tokens, kind) for _ in range(tokens.count())]
    return tiers


def _entry(tokens: "_Tokens", kind: str) -> Interval:
    start = tokens.number()
    end = tokens.number() if kind == _INTERVALS else start
    label = tokens.text()
    if end < start:
        tokens.refuse(f"the interval {label!r} ends at {end} s, before its start at {start} s")
    return Interval(start, end, label)


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


class _Tokens:
    """Gives the free-standing numbers, texts and flags of a Praat text file one by one."""

    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._tokens = self._scan(text)

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

    def _next(self, wanted: str) -> str:
        kind, value = next(self._tokens, ("end", ""))
        if kind == "end":
            self.refuse(f"the file ends where a {wanted} should stand")
        if kind != wanted:
            self.refuse(f"{value!r} stands where a {wanted} should stand")
        return value

    def expect_header(self) -> None:
        """Read past the file type and the object class."""
        kinds = [next(self._tokens, ("end", ""))[1] for _ in range(2)]
        if not kinds[0].startswith("ooTextFile") or kinds[1] != "TextGrid":
            self.refuse(f"it begins with {kinds[0]!r}, {kinds[1]!r}")

    def number(self) -> float:
        """Read a time in seconds."""
        return float(self._next("number"))

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


def _decoded(path: Path) -> str:
    refuse_placeholder(path, "TextGrid")
    if not path.is_file():
        raise InputError(
            f"the TextGrid {path} is missing",
            hint="Check the path; in a manifest, dataset.alignment_dir is relative to the "
            "manifest's own folder.",
        )
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif content[1:2] == b"\0":
        encoding = "utf-16-le"
    elif content[:1] == b"\0":
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"the TextGrid {path} is not text in {encoding}: {error}",
            hint="In Praat, open it and choose 'Save as text file' with UTF-8 or UTF-16 as text "
            "writing preference.",
        ) from error
