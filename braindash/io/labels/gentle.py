"""Alignments of gentle (align.json), and one way to read the tiers of a story from any aligner."""

import math
import re
from pathlib import Path
from typing import Any

from braindash.errors import InputError
from braindash.files import parse_json, refuse_placeholder
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.io.texts import read_text

NOT_FOUND = "words that gentle did not find in the audio"

# gentle says where in its word a phone stands: begin, inside, end, single.
_PLACE = re.compile(r"_[BIES]$")
_OUT_OF_VOCABULARY = "oov"


def read_tiers(path: Path, told: list[str]) -> dict[str, list[Interval]]:
    """Read the tiers of a TextGrid; of an alignment of gentle, its phones and words.

    Parameters
    ----------
    path : Path
        A TextGrid, or a JSON file of gentle.
    told : list of str
        What was put right or left out is added.

    Returns
    -------
    dict of str to list of Interval
        By the name of the tier.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    if path.suffix.lower() != ".json":
        return read_textgrid(path, told)
    words, phones, n_lost = read_alignment(path)
    if n_lost:
        told.append(f"{path}: {n_lost} {NOT_FOUND} are left out")
    return {"phones": phones, "words": words}


def read_alignment(path: Path) -> tuple[list[Interval], list[Interval], int]:
    """Read what gentle wrote; times of phones follow from the durations before them.

    Parameters
    ----------
    path : Path
        A JSON file of gentle.

    Returns
    -------
    words, phones : list of Interval
        In seconds of the recording.
    n_lost : int
        Words without a time: gentle did not find them in the audio.

    Raises
    ------
    InputError
        The file is damaged, or no alignment of gentle.
    """
    words, phones, n_lost = [], [], 0
    for entry in _gentle_words(path):
        if entry.get("case", "success") != "success":
            n_lost += 1
            continue
        try:
            start, end = _time(entry["start"]), _time(entry["end"])
            words.append(Interval(start, end, str(entry["word"])))
            for phone in entry.get("phones", ()):
                name, seconds = _PLACE.sub("", str(phone["phone"])), _time(phone["duration"])
                if name != _OUT_OF_VOCABULARY:
                    phones.append(Interval(start, start + seconds, name))
                start += seconds
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_gentle(
                path, f"the word {str(entry)[:80]} lacks or breaks {error}"
            ) from error
    return words, phones, n_lost


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r}, which is no time")
    return float(value)


def _gentle_words(path: Path) -> list[dict[str, Any]]:
    refuse_placeholder(path, "alignment")
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise _bad_gentle(path, str(error)) from error
    words = content.get("words") if isinstance(content, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise _bad_gentle(path, "it has no list of words")
    return words


def _bad_gentle(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is no alignment of gentle: {reason}",
        hint="Keep nothing but gentle's JSON files in this folder, and copy a damaged one again.",
    )
