"""Categories of words, such as parts of speech or meanings, from a user's table."""

import csv
from collections.abc import Mapping
from pathlib import Path

from braindash.errors import InputError
from braindash.io.labels_checks import some

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_FORM = "Give .csv or .tsv with the columns word and category, one word a line."


def read_word_categories(path: Path | str) -> dict[str, str]:
    """Read which category each word has.

    Parameters
    ----------
    path : path
        ``.csv`` (commas) or ``.tsv`` (tabs) in UTF-8 with the columns ``word`` and ``category``.

    Returns
    -------
    dict of str to str
        Category by word in lower case.

    Raises
    ------
    InputError
        The file is missing, of another form, has an empty cell, or gives a word two categories.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"the word categories {path} are missing", hint="Check the path.")
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None:
        raise InputError(f"{path} is no table of words", hint=_FORM)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the word categories {path} cannot be read: {error}", hint=_FORM) from (
            error
        )
    found: dict[str, set[str]] = {}
    for number, row in enumerate(rows, 2):
        word, category = _cells(row, path, number)
        found.setdefault(word.lower(), set()).add(category)
    if not found:
        raise InputError(f"the word categories {path} are empty", hint=_FORM)
    torn = [
        f"{word} ({', '.join(sorted(names))})" for word, names in found.items() if len(names) > 1
    ]
    if torn:
        raise InputError(
            f"{path} gives {len(torn)} words more than one category: {some(torn)}",
            hint="Give every word one category, or leave it out.",
        )
    return {word: min(names) for word, names in found.items()}


def _cells(row: Mapping[str | None, str | None], path: Path, number: int) -> tuple[str, str]:
    word, category = (row.get(name) for name in ("word", "category"))
    if word is None or category is None or not word.strip() or not category.strip():
        raise InputError(f"{path}, line {number} lacks a word or its category", hint=_FORM)
    return word.strip(), category.strip()
