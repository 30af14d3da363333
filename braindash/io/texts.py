"""The one reader of texts and tables of other programs: whatever their encoding, no row is lost.

What is put right, or left out, is told with its lines; what cannot be read for certain is an error
that names every line.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from braindash.errors import InputError, near_match

_MARK = "\ufeff"
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Bytes that tell a text in UTF-16 without a mark, and how many of every other are zero there.
_LOOKED_AT, _ZERO_SHARE = 4096, 0.4
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
TABLE_ENDINGS = tuple(_SEPARATORS)
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons (';')", "|": "bars ('|')"}
# The first line by which Excel is told what separates the columns.
_EXCEL_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?,*;*', re.IGNORECASE)
# A zip archive (.xlsx, .ods) and an older workbook.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_WORKBOOK_ENDINGS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_LINES_NAMED = 10
# A table of so many columns is a matrix, or a line that never ends.
_MOST_COLUMNS = 5000
# A cell with more lines in it that could be rows is one whose quote was never closed.
_WHOLE_LINES = 100
BROKEN = "\ufffd"
"""Stands where bytes were no text."""


def read_text(path: Path, told: list[str] | None = None) -> str:
    """Read a text in any of the usual encodings.

    Parameters
    ----------
    path : Path
        UTF-8, UTF-16 or UTF-32, with or without byte order mark, or Windows-1252 (Latin-1).
    told : list of str, optional
        Gets what a user should know.

    Returns
    -------
    str
        Without byte order mark and zeros at its end. Bytes that are no UTF-8 in a text that else
        is become :data:`BROKEN`.

    Raises
    ------
    InputError
        The file cannot be opened.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", hint="Check the path and rights."
        ) from error
    found = decoded(content)
    if told is not None and found.strange:
        told.append(f"{path} {found.say()}")
    return found.text


@dataclass(frozen=True)
class Decoded:
    """A text, and how sure its reading is.

    Attributes
    ----------
    text : str
        Its signs.
    encoding : str
        What it was read as.
    strange : list of int
        Lines with bytes that are no text, or that were guessed.
    """

    text: str
    encoding: str
    strange: list[int]

    @property
    def guessed(self) -> bool:
        """Whether the encoding is a guess: one in which every byte is a sign."""
        return bool(self.strange) and self.encoding != "UTF-8"

    def say(self) -> str:
        """Say what a user should look at."""
        at = lines_named(self.strange)
        if self.guessed:
            return f"is no UTF-8 and read as {self.encoding}; look at {at}"
        return f"has bytes that are no UTF-8 in {at}"


def decoded(content: bytes) -> Decoded:
    """Decode a text as :func:`read_text` does."""
    encoding = next((found for mark, found in _MARKS if content.startswith(mark)), "")
    encoding = encoding or _wide_encoding(content.rstrip(b"\0\x1a"))
    if encoding.startswith(("utf-16", "utf-32")):
        text = content.decode(encoding, errors="replace").rstrip("\0\x1a").lstrip(_MARK)
        return Decoded(text, encoding, [])
    while content.startswith(codecs.BOM_UTF8):  # programs that write one find one already
        content = content.removeprefix(codecs.BOM_UTF8)
    content = content.rstrip(b"\0\x1a")
    try:
        return Decoded(content.decode("utf-8"), "UTF-8", [])
    except UnicodeDecodeError:
        broken = content.decode("utf-8", errors="surrogateescape")
    n_bad = sum("\udc80" <= sign <= "\udcff" for sign in broken)
    if sum(sign > "\x7f" for sign in broken) - n_bad >= n_bad:
        text = content.decode("utf-8", errors="replace")
        at = [number for number, line in enumerate(lines(text), 1) if BROKEN in line]
        return Decoded(text, "UTF-8", at)
    for encoding, title in (("cp1252", "Windows-1252"), ("latin-1", "Latin-1")):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        at = [number for number, line in enumerate(lines(text), 1) if not line.isascii()]
        return Decoded(text, title, at)
    raise AssertionError("every byte is Latin-1")


def _wide_encoding(content: bytes) -> str:
    """Say whether a text without mark has two bytes a sign, by where its zeros are."""
    start = content[:_LOOKED_AT]
    half = len(start) // 2
    if half < 2:
        return ""
    first, second = (start[place::2].count(0) / half for place in (0, 1))
    if second >= _ZERO_SHARE > first:
        return "utf-16-le"
    return "utf-16-be" if first >= _ZERO_SHARE > second else ""


def lines(text: str) -> list[str]:
    """Cut a text at the ends of its lines, and at no other sign that ends lines in Unicode."""
    found = _LINE_ENDS.split(text)
    return found[:-1] if found and not found[-1] else found


def lines_named(numbers: Sequence[int]) -> str:
    """Name lines by their numbers, the first few of many."""
    shown = ", ".join(map(str, numbers[:_LINES_NAMED]))
    more = f" and {len(numbers) - _LINES_NAMED} more" if len(numbers) > _LINES_NAMED else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"


def such_rows(numbers: Sequence[int]) -> str:
    """Count rows of one fault and name their lines, for the end of a message on the first."""
    if len(numbers) < 2:
        return "1 such row"
    return f"{len(numbers)} such rows: {lines_named(numbers)}"


# Tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextTable:
    """The rows of a table, every cell as it stands.

    Attributes
    ----------
    columns : tuple of str
        Names of the first line.
    rows : list of list of str
        One cell per column.
    lines : list of int
        Line of the file where each row begins, counted from 1.
    told : list of str
        What was put right or left out, with its lines.
    """

    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    told: list[str]


def read_table(path: Path, needed: Sequence[str]) -> TextTable:
    """Read a table of text: commas in ``.csv``, tabs in ``.tsv``.

    A first line ``sep=;`` says another separator. Cells may stand in double quotes. A quote that is
    not closed is part of its cell, and told. Rows of empty cells are passed over, rows with bytes
    that are no text are left out; both are told.

    Parameters
    ----------
    path : Path
        The table; see :func:`read_text` for its encoding.
    needed : sequence of str
        Columns that must be there.

    Returns
    -------
    TextTable

    Raises
    ------
    InputError
        Another ending or separator, a needed column is missing or stands twice, or rows have more
        cells than there are columns; every such line is named.
    """
    separator = _SEPARATORS.get(path.suffix.lower())
    if separator is None:
        raise no_table(path, TABLE_ENDINGS)
    content = path.read_bytes()
    if content.startswith(_WORKBOOKS):
        raise no_table(path, TABLE_ENDINGS, workbook=True)
    given = decoded(content)
    if given.guessed:
        raise InputError(
            f"the table {path} cannot be read: it is no UTF-8 ({lines_named(given.strange)})",
            hint="Save it as text in UTF-8 (in Excel 'CSV UTF-8').",
        )
    text = lines(given.text)
    head = next((place for place, line in enumerate(text) if line.strip()), None)
    if head is None:
        raise InputError(
            f"the table {path} cannot be read: it is empty", hint=f"Needed: {', '.join(needed)}."
        )
    said = _EXCEL_SEPARATOR.fullmatch(text[head].strip())
    if said and head + 1 < len(text):  # Excel's own line in front of the table
        separator, head = said[1], head + 1
    columns = _without_unnamed([cell.strip() for cell in _cells(text[head], separator)[0]])
    if len(columns) > _MOST_COLUMNS:
        raise InputError(
            f"the table {path} has {len(columns)} columns",
            hint=f"Give a table with a row for each thing. Needed: {', '.join(needed)}.",
        )
    columns = tuple(meant_columns(columns, needed))
    _check_columns(path, text[head], columns, needed, separator)
    found = _Rows(len(columns))
    for first, cells, lone in _rows(text, head + 1, separator, len(columns)):
        found.add(first + 1, cells, lone)
    found.refuse(path)
    return TextTable(columns, found.rows, found.lines, found.told(path))


def _without_unnamed(columns: list[str]) -> tuple[str, ...]:
    """Take away columns without a name behind the last one, as office programs write them."""
    named = [place for place, name in enumerate(columns) if name]
    return tuple(columns[: named[-1] + 1] if named else columns)


def meant_columns(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return names of columns, with those in another case as they are known, where one is meant."""
    folded = [name.casefold() for name in columns]
    found = list(columns)
    for name in known:
        if name not in columns and folded.count(name.casefold()) == 1:
            found[folded.index(name.casefold())] = name
    return found


def no_table(path: Path, allowed: Sequence[str], *, workbook: bool = False) -> InputError:
    """Make the error for a file that is no table of text, such as a workbook of Excel."""
    listed = f"Allowed: {', '.join(allowed)}."
    if workbook or path.suffix.lower() in _WORKBOOK_ENDINGS:
        return InputError(
            f"{path} is a workbook of Excel or another office program, not a table of text",
            hint=f"Save its sheet as 'CSV UTF-8' under a name that ends in .csv. {listed}",
        )
    return InputError(f"{path} is no table that braindash reads", hint=listed)


def _check_columns(
    path: Path, line: str, columns: Sequence[str], needed: Sequence[str], separator: str
) -> None:
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise InputError(
            f"the table {path} has the column {twice[0]!r} twice", hint="Give every column once."
        )
    for name in needed:
        if name in columns:
            continue
        for other in set(_NAMES) - {separator}:
            if name in [cell.strip() for cell in _cells(line, other)[0]]:
                raise InputError(
                    f"the columns of {path} are separated by {_NAMES[other]}, not by "
                    f"{_NAMES[separator]}",
                    hint="Save it as .csv with commas between columns and points in numbers (in "
                    "Excel 'CSV UTF-8' of an English region), or as .tsv with tabs.",
                )
        close = near_match(name, columns)
        raise InputError(
            f"the table {path} has no column {name!r}; it has {', '.join(columns)}",
            hint=f"Needed: {', '.join(needed)}. {close}",
        )


class _Rows:
    """Gathers the rows of a table, and what is wrong with some."""

    def __init__(self, n_columns: int) -> None:
        self._n_columns = n_columns
        self.rows: list[list[str]] = []
        self.lines: list[int] = []
        self._lone: list[int] = []
        self._empty: list[int] = []
        self._broken: list[int] = []
        self._long: dict[int, int] = {}
        self._more: list[int] = []
        self._zeros: list[int] = []

    def add(self, line: int, cells: list[str], lone: bool) -> None:
        more = cells[self._n_columns :]
        if not any(cell.strip() for cell in cells):
            if len(cells) > 1:
                self._empty.append(line)
        elif any("\0" in cell for cell in cells):
            self._zeros.append(line)
        elif any(cell.strip() for cell in more):
            self._long[line] = len(cells)
        elif any(BROKEN in cell for cell in cells):
            self._broken.append(line)
        else:
            if more:
                self._more.append(line)
            if lone:
                self._lone.append(line)
            self.lines.append(line)
            short = [""] * (self._n_columns - len(cells))
            self.rows.append(cells[: self._n_columns] + short)

    def refuse(self, path: Path) -> None:
        reason = ""
        if self._long:
            line, n_cells = next(iter(self._long.items()))
            reason = f"expected {self._n_columns} fields in line {line}, saw {n_cells}"
            if len(self._long) > 1:
                reason += f"; {such_rows(list(self._long))}"
        elif self._zeros:
            reason = f"{len(self._zeros)} rows hold zero bytes: {lines_named(self._zeros)}"
        if reason:
            raise InputError(
                f"the table {path} cannot be read: {reason}",
                hint="Correct these lines: a cell with a separator in it stands in double quotes, "
                "a quote in such a cell is written twice.",
            )

    def told(self, path: Path) -> list[str]:
        texts = (
            (self._lone, "a double quote that is not closed, which is taken as text"),
            (self._empty, "nothing but empty cells and are passed over"),
            (self._broken, "bytes that are no text and are left out"),
            (self._more, "empty cells behind the last column, which are passed over"),
        )
        return [
            f"{path}: {len(found)} rows have {what}: {lines_named(found)}"
            for found, what in texts
            if found
        ]


def plain_rows(text: str, n_columns: int) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the rows of a text with commas that has no line of names, as :func:`read_table` cuts.

    Parameters
    ----------
    text : str
        Of :func:`read_text`.
    n_columns : int
        How many cells a row has.

    Yields
    ------
    line : int
        Where the row begins, counted from 1.
    cells : list of str
    lone : bool
        Whether a quote in them is not closed, and taken as text.
    """
    for place, cells, lone in _rows(lines(text), 0, ",", n_columns):
        yield place + 1, cells, lone


def _rows(
    text: list[str], first: int, separator: str, n_columns: int
) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the line, the cells of each row, and whether a quote in them is not closed."""
    place = first
    while place < len(text):
        begin = place
        cells, lone = _cells(text[place], separator)
        place += 1
        if not text[begin].strip():
            continue
        if lone:
            whole, n_lines = _over_lines(text, begin, separator, n_columns)
            if whole is not None:
                cells, lone, place = whole, False, begin + n_lines
        yield begin, cells, lone


def _over_lines(
    text: list[str], begin: int, separator: str, n_columns: int
) -> tuple[list[str] | None, int]:
    """Join a row that goes on over lines in a quoted cell.

    Where the first of them may be a row itself, none of the others may be one. A line is prose, and
    no row, where a blank stands behind each of its separators, and behind none of the first line's.
    """
    joined = text[begin]
    alone = len(_cells(joined, separator)[0]) == n_columns
    tight = f"{separator} " not in joined
    n_whole = 0
    for place in range(begin + 1, len(text)):
        line = text[place]
        prose = tight and 0 < line.count(separator) == line.count(f"{separator} ")
        n_whole += not prose and len(_cells(line, separator)[0]) == n_columns
        if n_whole > (0 if alone else _WHOLE_LINES) or '"' not in joined:
            return None, 1
        joined += "\n" + text[place]
        cells, lone = _cells(joined, separator)
        if not lone and len(cells) == n_columns:
            return cells, place - begin + 1
    return None, 1


_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_ESCAPED = re.compile(r'"((?:[^"\\]|\\.|"")*)"')


def _cells(line: str, separator: str) -> tuple[list[str], bool]:
    """Cut a line into cells; say whether a cell begins with a quote that nothing closes."""
    if '"' not in line:
        return line.split(separator), False
    cells, lone, place, stop = [], False, 0, 0
    while True:
        found = None
        if line[place : place + 1] == '"':
            for pattern in (_QUOTED, _ESCAPED):
                found = pattern.match(line, place)
                stop = _behind_blanks(line, found.end(), separator) if found else place
                if found and line[stop : stop + 1] in ("", separator):
                    break
                found = None
        if found:
            inner = found[1].replace('""', '"')
            cells.append(inner if found.re is _QUOTED else re.sub(r"\\(.)", r"\1", inner))
        else:
            lone |= line[place : place + 1] == '"'
            stop = line.find(separator, place)
            stop = len(line) if stop < 0 else stop
            cells.append(line[place:stop])
        if stop >= len(line):
            return cells, lone
        place = stop + 1


def _behind_blanks(line: str, place: int, separator: str) -> int:
    while line[place : place + 1] in (" ", "\t") and line[place] != separator:
        place += 1
    return place


def text_lines(path: Path, broken: list[int]) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a long text in UTF-8 with their numbers, one at a time.

    Only "\n" ends a line: some words are, or hold, other marks that end lines in Unicode. In a
    text without any "\n" it is "\r".

    Parameters
    ----------
    path : Path
        The text.
    broken : list of int
        Gets the numbers of lines that are no UTF-8, which are left out.

    Raises
    ------
    InputError
        The text is in UTF-16 or UTF-32.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(_raw_lines(stream), 1):
            content = _first_line(line, path) if number == 1 else line
            try:
                text = content.decode("utf-8").rstrip("\r\n ")
            except UnicodeDecodeError:
                broken.append(number)
                continue
            if text:
                yield number, text


def _raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.readline()
    if first.endswith(b"\n"):
        yield first
        yield from stream
    else:
        yield from first.split(b"\r")


def _first_line(line: bytes, path: Path) -> bytes:
    for mark, encoding in _MARKS[1:]:
        if line.startswith(mark):
            raise InputError(
                f"{path} is text in {encoding.upper()}", hint="Save it as text in UTF-8."
            )
    while line.startswith(codecs.BOM_UTF8):
        line = line.removeprefix(codecs.BOM_UTF8)
    return line
