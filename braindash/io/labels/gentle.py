"""Alignments of gentle (align.json, align.csv), and one way to read a story's tiers."""

import re
from pathlib import Path
from typing import Any

from braindash.errors import InputError
from braindash.files import is_number, parse_json, refuse_placeholder
from braindash.io.labels.textgrid import Interval, read_textgrid
from braindash.io.texts import lines_named, plain_rows, read_text

NOT_FOUND = "words that gentle did not find in the audio"

# gentle says where in its word a phone stands: begin, inside, end, single.
_PLACE = re.compile(r"_[BIES]$")
_OUT_OF_VOCABULARY = "oov"
_TABLE, _TABLE_COLUMNS = ".csv", 4


def read_tiers(path: Path, told: list[str]) -> dict[str, list[Interval]]:
    """Read the tiers of a TextGrid; of an alignment of gentle, its phones and words.

    Parameters
    ----------
    path : Path
        A TextGrid, or a file of gentle: JSON, or CSV, which holds words alone.
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
    if path.suffix.lower() not in (".json", _TABLE):
        return read_textgrid(path, told)
    words, phones, n_lost = read_alignment(path, told)
    if n_lost:
        told.append(f"{path}: {n_lost} {NOT_FOUND} are left out")
    return {"words": words} if _is_table(path) else {"phones": phones, "words": words}


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == _TABLE


def read_alignment(
    path: Path, told: list[str] | None = None
) -> tuple[list[Interval], list[Interval], int]:
    """Read what gentle wrote; times of phones follow from the durations before them.

    Parameters
    ----------
    path : Path
        A JSON file of gentle, or its CSV file: word, aligned word, start, end.
    told : list of str, optional
        Gets what was put right.

    Returns
    -------
    words, phones : list of Interval
        In seconds of the recording. A CSV file has no phones.
    n_lost : int
        Words without a time: gentle did not find them in the audio.

    Raises
    ------
    InputError
        The file is damaged, or no alignment of gentle.
    """
    if _is_table(path):
        words, n_lost = _read_table(path, told)
        return words, [], n_lost
    words, phones, n_lost = [], [], 0
    for entry in _gentle_words(path, told):
        timeless = "start" not in entry and "end" not in entry
        if timeless or entry.get("case", "success") != "success":
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


def _read_table(path: Path, told: list[str] | None) -> tuple[list[Interval], int]:
    """Read rows of word, aligned word, start and end; those without a time are counted."""
    refuse_placeholder(path, "alignment")
    words, n_lost = [], 0
    quotes: list[int] = []
    for number, row, lone in plain_rows(read_text(path, told), _TABLE_COLUMNS):
        cells = [cell.strip() for cell in row]
        quotes += [number] if lone else []
        if number == 1 and [cell.lower() for cell in cells[2:4]] == ["start", "end"]:
            continue
        if len(cells) != _TABLE_COLUMNS:
            raise _bad_gentle(path, f"line {number} has {len(cells)} columns, not 4")
        if not (cells[2] and cells[3]):
            n_lost += 1
            continue
        try:
            words.append(Interval(_time(float(cells[2])), _time(float(cells[3])), cells[0]))
        except ValueError as error:
            raise _bad_gentle(path, f"line {number}: {error}") from error
    if quotes and told is not None:
        told.append(
            f"{path}: a double quote that is not closed is taken as text in {lines_named(quotes)}"
        )
    if not words and not n_lost:
        raise _bad_gentle(path, "it has no row")
    return words, n_lost


def _time(value: Any) -> float:
    if not is_number(value):
        raise ValueError(f"{value!r}, which is no time")
    return float(value)


def _gentle_words(path: Path, told: list[str] | None) -> list[dict[str, Any]]:
    refuse_placeholder(path, "alignment")
    try:
        content = parse_json(read_text(path, told))
    except ValueError as error:
        raise _bad_gentle(path, str(error)) from error
    words = content.get("words") if isinstance(content, dict) else None
    if words is None and isinstance(content, dict) and "segments" in content:
        raise InputError(
            f"{path} is a transcript of Whisper or WhisperX, not an alignment of gentle",
            hint="Write its words as a table with the columns path, start, end and label "
            "(--labels table), or as TextGrids with a tier 'words'.",
        )
    if words is None and isinstance(content, dict) and "tiers" in content:
        raise InputError(
            f"{path} is a TextGrid as JSON, not an alignment of gentle",
            hint="Write it as a TextGrid: `mfa align ... --output_format long_textgrid`, and take "
            "--labels textgrid.",
        )
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise _bad_gentle(path, "it has no list of words")
    return words


def _bad_gentle(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is no alignment of gentle: {reason}",
        hint="Keep nothing but gentle's files in this folder, and copy a damaged one again.",
    )
