"""Labels from a user's own table: CSV, tab-separated or Parquet."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from braindash.defaults import PARTS
from braindash.errors import InputError, near_match
from braindash.files import find_placeholder, refuse_placeholder
from braindash.io.dataset.tables import Problem, raise_problems
from braindash.io.labels.checks import some
from braindash.io.labels.table import Labels, Segment, make_labels
from braindash.io.texts import TABLE_ENDINGS, meant_columns, no_table, read_table, such_rows
from braindash.names import given_path

_NEEDED = ("path", "label")
_OPTIONAL = ("recording", "start", "end", "tier", "speaker", "split")
_TIER = "label"
# Blanks as pages and office programs write them, and signs of no width.
_BLANKS = " \t\r\n\u00a0\u200b\u200c\u200d\u2060\ufeff"
# What other people call the splits.
_SPLIT_NAMES = {name: name for name in PARTS} | {
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "devel": "valid",
    "testing": "test",
}


def read_label_table(
    file: Path | str, *, audio: Path | str | None = None, tier: str = _TIER
) -> Labels:
    """Read a table with one row per labelled segment.

    Parameters
    ----------
    file : path
        ``.csv`` (commas), ``.tsv`` (tabs) or ``.parquet``, with the columns ``path`` (of the
        audio) and ``label``, and optionally ``start`` and ``end`` (s; empty for the whole
        recording), ``tier``, ``speaker``, ``split`` and ``recording`` (an id; the path otherwise).
        Every label is text: "NA", "null" and "1" stay what they are.
    audio : path, optional
        Folder that the paths are relative to; by default the table's own.
    tier : str
        Name of the tier where the table has no such column.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        The table is missing, unreadable or lacks a column, a time is no number, an audio file is
        missing, or what :func:`braindash.io.labels.table.make_labels` refuses.
    """
    file = given_path(file)
    table, told = _read(file)
    table.columns = meant_columns(list(table.columns), (*_NEEDED, *_OPTIONAL))
    told += _check_columns(table, file)
    told += _without_blanks(table)
    folder = given_path(audio) if audio is not None else file.parent
    for name in _OPTIONAL:
        if name not in table:
            table[name] = ""
    table["recording"] = table["recording"].where(table["recording"] != "", table["path"])
    table["tier"] = table["tier"].where(table["tier"] != "", tier)
    wrong = [*_not_numbers(table, file), *_unknown_splits(table["split"], file)]
    if len(wrong) > 1:
        raise_problems(f"the table {file}", wrong)
    if wrong:
        raise InputError(wrong[0].message, hint=wrong[0].hint)
    start, end = _times(table["start"]), _times(table["end"])
    splits = [_SPLIT_NAMES.get(name.strip().lower()) for name in table["split"]]
    paths = _paths(table, folder, file)
    columns = (table[name] for name in ("recording", "label", "tier", "speaker"))
    segments = [
        Segment(recording, begin or 0.0, stop, label, tier, speaker or None, split)
        for (recording, label, tier, speaker), begin, stop, split in zip(
            zip(*columns, strict=True), start, end, splits, strict=True
        )
    ]
    return make_labels(str(file), segments, paths, told)


def _read(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read every cell as text, missing cells as empty texts; the index are lines of the file."""
    refuse_placeholder(file, "table")
    if not file.is_file():
        raise InputError(f"the table {file} is missing", hint="Check the path.")
    if file.suffix.lower() == ".parquet":
        table = _read_parquet(file)
        table.columns = [str(name).strip() for name in table.columns]
        table.index = pd.RangeIndex(2, len(table) + 2)
        return table, []
    if file.suffix.lower() not in TABLE_ENDINGS:
        raise no_table(file, (*TABLE_ENDINGS, ".parquet"))
    found = read_table(file, _NEEDED)
    return pd.DataFrame(found.rows, index=found.lines, columns=list(found.columns)), found.told


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{path} is Parquet, which needs the package pyarrow",
            hint="Run `pip install pyarrow`, or save the table as CSV.",
        ) from error
    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except (ValueError, OSError) as error:
        raise InputError(
            f"the table {path} cannot be read: {error}",
            hint="Save it as UTF-8 text with one line of column names, or as Parquet.",
        ) from error
    return table.map(lambda cell: "" if pd.isna(cell) else str(cell)).astype("str")


def _check_columns(table: pd.DataFrame, file: Path) -> list[str]:
    allowed = (*_NEEDED, *_OPTIONAL)
    twice = sorted({str(name) for name in table.columns[table.columns.duplicated()] if name})
    if twice:
        raise InputError(
            f"the table {file} has the column {twice[0]!r} twice", hint="Give every column once."
        )
    for name in _NEEDED:
        if name not in table:
            raise InputError(
                f"the table {file} has no column {name!r}; it has {', '.join(table.columns)}",
                hint=f"Needed: {', '.join(_NEEDED)}. Optional: {', '.join(_OPTIONAL)}.",
            )
        empty = table.index[table[name].str.strip() == ""]
        if len(empty):
            raise InputError(
                f"{file}, line {empty[0]}: there is no {name} ({such_rows(list(empty))})",
                hint="Fill the cell, or take the row out.",
            )
    unused = [str(name) or "(without a name)" for name in table.columns if name not in allowed]
    return [f"columns that are not read: {some(unused)}"] if unused else []


def _without_blanks(table: pd.DataFrame) -> list[str]:
    """Take blanks around cells away where they alone tell them apart, and tell it.

    Where they tell nothing apart cells stay as they are: results keep their keys.
    """
    told = []
    for name in ("label", "tier", "speaker"):
        if name not in table:
            continue
        stripped = table[name].map(lambda cell: cell.strip(_BLANKS))
        lost = table[name].nunique() - stripped.nunique()
        if lost:
            told.append(f"{lost} names in the column {name!r} differ from others in blanks only")
            table[name] = stripped
    return told


def _not_numbers(table: pd.DataFrame, file: Path) -> Iterator[Problem]:
    for name in ("start", "end"):
        given = table[name].str.strip()
        wrong = table.index[(given != "") & pd.to_numeric(given, errors="coerce").isna()]
        if len(wrong):
            yield Problem(
                f"{file}, line {wrong[0]}: {name} = {given[wrong[0]]!r} is no number "
                f"({such_rows(list(wrong))})",
                "Times are in seconds, with a point: 1.25.",
            )


def _times(given: "pd.Series[str]") -> list[float | None]:
    texts = given.str.strip()
    return [
        None if text == "" else float(number)
        for text, number in zip(texts, pd.to_numeric(texts, errors="coerce"), strict=True)
    ]


def _unknown_splits(given: "pd.Series[str]", file: Path) -> Iterator[Problem]:
    names = given.str.strip().str.lower()
    wrong = given.index[(names != "") & ~names.isin(list(_SPLIT_NAMES))]
    if len(wrong):
        yield Problem(
            f"{file}, line {wrong[0]}: the split {given[wrong[0]]!r} is unknown "
            f"({such_rows(list(wrong))})",
            near_match(names[wrong[0]], _SPLIT_NAMES),
        )


def _paths(table: pd.DataFrame, folder: Path, file: Path) -> dict[str, Path]:
    """Return the audio file of every recording."""
    pairs = table[["recording", "path"]].drop_duplicates()
    torn = pairs.loc[pairs["recording"].duplicated(), "recording"].tolist()
    if torn:
        raise InputError(
            f"the table {file} gives recordings more than one path: {some(torn)}",
            hint="A recording is one file; give each file an id of its own.",
        )
    paths = {
        str(recording): given_path(str(path), folder)
        for recording, path in zip(pairs["recording"], pairs["path"], strict=True)
    }
    missing = [path for path in paths.values() if not path.is_file()]
    # What was not fetched is named with all other bad recordings.
    missing = [path for path in missing if find_placeholder(path) is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} recordings of {file} are missing: {some(missing)}",
            hint="Write '/' between folders, as in clips/a.wav."
            if any("\\" in str(path) for path in missing)
            else f"Paths are relative to {folder}; give their folder as audio.",
        )
    return paths
