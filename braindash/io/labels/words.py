"""Categories of words, such as parts of speech or meanings, from a user's table."""

import logging
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.labels.checks import some
from braindash.io.texts import lines_named, read_table, such_rows, text_lines
from braindash.names import given_path

logger = logging.getLogger(__name__)

_INTEGER = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]*\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_COUNT = re.compile(r"[0-9]{1,12}")
_COLUMNS = ("word", "category")
_FORM = "Give .csv or .tsv with the columns word and category, one word a line."


def word_key(word: str) -> str:
    """Return what two spellings of a word share: small letters, accents composed (NFC)."""
    return unicodedata.normalize("NFC", word.lower())


def read_word_categories(path: Path | str) -> dict[str, str]:
    """Read which category each word has.

    Parameters
    ----------
    path : path
        ``.csv`` (commas) or ``.tsv`` (tabs) in UTF-8 with the columns ``word`` and ``category``.

    Returns
    -------
    dict of str to str
        Category by word, as :func:`word_key` writes it.

    Raises
    ------
    InputError
        The file is missing, of another form, has an empty cell, or gives a word two categories.
    """
    path = given_path(path)
    refuse_placeholder(path, "table")
    if not path.is_file():
        raise InputError(f"the word categories {path} are missing", hint="Check the path.")
    table = read_table(path, _COLUMNS)
    for text in table.told:
        logger.warning("%s", text)
    places = [table.columns.index(name) for name in _COLUMNS]
    found: dict[str, set[str]] = {}
    empty = []
    for number, row in zip(table.lines, table.rows, strict=True):
        word, category = (row[place].strip() for place in places)
        if word and category:
            found.setdefault(word_key(word), set()).add(category)
        else:
            empty.append(number)
    if empty:
        raise InputError(
            f"{path}, line {empty[0]} lacks a word or its category ({such_rows(empty)})", hint=_FORM
        )
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


_PACKED = {b"\x1f\x8b": "compressed by gzip", b"PK\x03\x04": "a zip archive", b"BZh": "bzip2"}
_FORMATS = (
    "Allowed are GloVe's and word2vec's text forms (a word and its numbers on every line, UTF-8), "
    "and .npz with the arrays 'words' (text) and 'vectors' (word, dimension)."
)


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of words.

    Attributes
    ----------
    words : tuple of str
        Every word once.
    vectors : float32 array of shape (n_words, n_dims)
    warnings : tuple of str
        What was left out.
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    warnings: tuple[str, ...] = ()

    @cached_property
    def _row(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def _row_in_lower_case(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row, word in enumerate(self.words):
            rows.setdefault(word_key(word), row)
        return rows

    def of(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Look words up, as written, else regardless of case and of the form of accents.

        Parameters
        ----------
        words : sequence of str
            Labels of a word tier.

        Returns
        -------
        vectors : float32 array of shape (n_words, n_dims)
            Zeros where there is no vector.
        found : bool array of shape (n_words,)
        """
        rows = [self._row.get(w, self._row_in_lower_case.get(word_key(w), -1)) for w in words]
        place = np.asarray(rows, dtype=np.intp)
        found = place >= 0
        vectors = np.zeros((len(rows), self.vectors.shape[1]), np.float32)
        vectors[found] = self.vectors[place[found]]
        return vectors, found


def read_word_vectors(
    path: Path | str, *, vocabulary: Collection[str] | None = None
) -> WordVectors:
    """Read word vectors; nothing is ever unpickled.

    Parameters
    ----------
    path : path
        GloVe's text form (``the 0.1 -0.2 ...``), word2vec's (the same behind a line of two
        counts), or ``.npz`` with ``words`` and ``vectors``.
    vocabulary : collection of str, optional
        Keep these words only, in any case: a file of two million words then needs little memory.

    Returns
    -------
    WordVectors

    Raises
    ------
    InputError
        The file is missing, damaged or of another form, a line has another number of dimensions,
        a number is not finite, or no word of the vocabulary is in the file.
    """
    path = given_path(path)
    refuse_placeholder(path, "file of word vectors")
    if not path.is_file():
        raise InputError(f"the word vectors {path} are missing", hint="Check the path.")
    packed = next((what for start, what in _PACKED.items() if _begins(path, start)), "")
    if packed and path.suffix.lower() != ".npz":
        raise InputError(f"the word vectors {path} are {packed}: unpack them first", hint=_FORMATS)
    wanted = None if vocabulary is None else {word_key(word) for word in vocabulary}
    read = _from_npz if path.suffix.lower() == ".npz" else _from_text
    told: list[str] = []
    words, vectors = read(path, wanted, told)
    if not words:
        reason = "holds no word vectors" if wanted is None else "has none of the words asked for"
        raise InputError(f"{path} {reason}", hint=_FORMATS)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{path} holds numbers that are not finite, such as those of "
            f"{words[int(np.argmin(finite))]!r}",
            hint="Take these words out.",
        )
    first = {word: row for row, word in reversed(list(enumerate(words)))}
    kept = sorted(first.values())
    if len(kept) < len(words):
        told.append(f"{len(words) - len(kept)} words stand twice; their first vectors are taken")
        vectors = vectors[kept]
    return WordVectors(tuple(words[row] for row in kept), vectors, tuple(told))


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def _from_text(
    path: Path, wanted: set[str] | None, told: list[str]
) -> tuple[list[str], NDArray[np.float32]]:
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    broken: list[int] = []
    n_dims, n_read, n_promised = 0, 0, None
    for number, line in text_lines(path, broken):
        if "\0" in line:
            raise _bad_line(path, number, "it is no text")
        # Some programs put a tab behind the word, or between numbers.
        fields = line.replace("\t", " ").split(" ")
        if number == 1 and len(fields) == 2 and all(_COUNT.fullmatch(field) for field in fields):
            n_promised, n_dims = map(int, fields)
            continue
        n_read += 1
        n_dims = n_dims or len(fields) - 1
        word, numbers = _word_and_numbers(path, number, fields, n_dims)
        if wanted is None or word_key(word) in wanted:
            try:
                with np.errstate(over="ignore"):  # what overflows is refused with all not finite
                    rows.append(np.array(list(map(float, numbers)), dtype=np.float32))
            except ValueError as error:
                raise _bad_line(path, number, str(error)) from error
            words.append(word)
    if broken and len(broken) >= n_read:
        raise InputError(
            f"{path} is no text in UTF-8: {len(broken)} of {n_read + len(broken)} lines are not",
            hint=_FORMATS,
        )
    if broken:
        told.append(f"{len(broken)} words are no UTF-8 and are left out: {lines_named(broken)}")
    if n_promised is not None and n_read + len(broken) != n_promised:
        raise InputError(
            f"{path} promises {n_promised} words in its first line and holds "
            f"{n_read + len(broken)}",
            hint="Copy it again: it is probably cut short.",
        )
    return words, np.stack(rows) if rows else np.zeros((0, n_dims), np.float32)


def _word_and_numbers(
    path: Path, number: int, fields: list[str], n_dims: int
) -> tuple[str, list[str]]:
    """Cut a line: a word may hold spaces, as some of GloVe's do; the numbers are what is last."""
    at = max(0, len(fields) - n_dims)
    word, numbers = " ".join(fields[:at]), fields[at:]
    if n_dims < 2 or not word:
        raise _bad_line(path, number, f"{len(fields)} fields, not a word and {n_dims} numbers")
    if at > 1 and _holds_numbers(fields[1:at], n_dims):
        raise _bad_line(
            path, number, f"numbers stand within its word {word[:60]!r}; are two lines joined?"
        )
    return word, numbers


def _holds_numbers(inner: Sequence[str], n_dims: int) -> bool:
    """Say whether what follows the first part of a word is numbers of a vector, not of a name.

    The next word may stand right behind the last of them.
    """
    first = inner[:n_dims]
    whole = len(first) == n_dims and all(map(_INTEGER.fullmatch, first[:-1]))
    whole = whole and _INTEGER.match(first[-1]) is not None
    return whole or any(map(_DECIMAL.fullmatch, inner))


def _bad_line(path: Path, number: int, reason: str) -> InputError:
    return InputError(f"{path}, line {number} is no word vector: {reason}", hint=_FORMATS)


def _from_npz(
    path: Path, wanted: set[str] | None, told: list[str]
) -> tuple[list[str], NDArray[np.float32]]:
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array")
        with content:
            words, vectors = content["words"], content["vectors"]
    except Exception as error:  # numpy lets the errors of zipfile, zlib and tokenize through
        raise InputError(
            f"the word vectors {path} cannot be read: {error}",
            hint=f"{_FORMATS} Save them with np.savez(FILE, words=np.array(words, dtype=str), "
            "vectors=vectors); arrays of Python objects are refused.",
        ) from error
    if words.dtype.kind != "U" or words.ndim != 1 or vectors.dtype.kind not in "fiu":
        raise _bad_arrays(path, words, vectors)
    if vectors.ndim != 2 or len(words) != len(vectors) or vectors.shape[1] < 1:
        raise _bad_arrays(path, words, vectors)
    listed: list[str] = words.tolist()
    if wanted is not None:
        kept = [row for row, word in enumerate(listed) if word_key(word) in wanted]
        listed, vectors = [listed[row] for row in kept], vectors[kept]
    return listed, vectors.astype(np.float32)


def _bad_arrays(path: Path, words: NDArray[np.generic], vectors: NDArray[np.generic]) -> InputError:
    return InputError(
        f"{path} holds 'words' of shape {words.shape}, {words.dtype}, and 'vectors' of shape "
        f"{vectors.shape}, {vectors.dtype}",
        hint=_FORMATS,
    )
