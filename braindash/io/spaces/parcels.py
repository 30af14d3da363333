"""Columns that are parcels of an atlas: painted on the vertices that its label files name."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError, near_match
from braindash.io.regions.label_files import (
    is_region,
    read_labels_of,
    require_side,
    require_two_files,
    used_labels,
)
from braindash.io.regions.parcellation import plain_name
from braindash.io.spaces.surface_map import SurfaceMap, fsaverage_of
from braindash.io.spaces.volumes import one_each
from braindash.io.surfaces import SPACES
from braindash.names import existing

Codes = npt.NDArray[np.int64]
Label = tuple[int, str]
"""A side, 0 or 1, and the name of a label there."""


def read_parcels(left: Path, right: Path, n_targets: int, names: Path | None = None) -> SurfaceMap:
    """Paint columns on fsaverage, each on the vertices of its label.

    Columns are the labels in the order of the files' tables, the left hemisphere's first; what is
    no region (number 0, "???", the medial wall, "Background...") is no column. With ``names`` they
    are matched by name.

    Parameters
    ----------
    left, right : Path
        Label files of fsaverage5, fsaverage6 or fsaverage.
    n_targets : int
        Columns of the responses.
    names : Path, optional
        Text with one name a line, or a lookup table of numbers, names and colours.

    Returns
    -------
    SurfaceMap

    Raises
    ------
    InputError
        A file is missing or no label file, the mesh is of unknown size, the labels are more or
        fewer than the columns, or a name is not among them.
    """
    sides = [read_labels_of(path) for path in (left, right)]
    for side, (path, (codes, table)) in enumerate(zip((left, right), sides, strict=True)):
        require_side(path, side, used_labels(codes, table))
    require_two_files(left, right)
    source = f"{left.name}, {right.name}"
    counts = [len(codes) for codes, _ in sides]
    mesh = fsaverage_of(sum(counts)) if counts[0] == counts[1] else None
    if mesh is None:
        raise InputError(
            f"{source} have {counts[0]} and {counts[1]} vertices, a mesh of unknown size",
            hint="Give label files on fsaverage: "
            f"{', '.join(f'{count} ({name})' for name, count in SPACES.items())} vertices each.",
        )
    if names is None:
        columns = _by_order(sides, n_targets, source)
    else:
        columns = _by_name(sides, _read_names(names), n_targets, source, names)
    note = f"parcels painted by the labels of {source}"
    return SurfaceMap(one_each(columns, n_targets), mesh, counts[0], note)


def _by_order(sides: list[tuple[Codes, dict[int, str]]], n_targets: int, source: str) -> Codes:
    """Give labels the columns of their tables' order, read so that there are as many as columns."""
    tables = [[name for _, name in sorted(table.items()) if is_region(name)] for _, table in sides]
    used = [used_labels(codes, table) for codes, table in sides]
    sided = [(side, name) for side, names in enumerate(tables) for name in names]
    there = [(side, name) for side, names in enumerate(used) for name in names]
    joined = list(dict.fromkeys(name for names in tables for name in names))
    layouts: list[dict[Label, int]] = [
        {label: place for place, label in enumerate(sided)},
        {label: place for place, label in enumerate(there)},
        {(side, name): place for side in (0, 1) for place, name in enumerate(joined)},
    ]
    for layout in layouts:
        if len(set(layout.values())) == n_targets:
            return _columns(sides, layout)
    raise InputError(
        f"{source} have {len(tables[0])} labels on the left and {len(tables[1])} on the right, the "
        f"responses have {n_targets} columns",
        hint="Give the label files of the same atlas and the same number of parcels; with "
        "parcel_names columns are matched by name.",
    )


def _by_name(
    sides: list[tuple[Codes, dict[int, str]]],
    wanted: list[str],
    n_targets: int,
    source: str,
    names: Path,
) -> Codes:
    if len(wanted) != n_targets:
        raise InputError(
            f"{names} names {len(wanted)} parcels, the responses have {n_targets} columns",
            hint="Give one name for each column, in the order of the columns.",
        )
    places = {name: place for place, name in enumerate(wanted)}
    if len(places) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise InputError(f"{names} names {twice!r} twice", hint="Each column has its own name.")
    layout: dict[Label, int] = {}
    known: set[str] = set()
    for side, (_, table) in enumerate(sides):
        for label in filter(is_region, table.values()):
            name = label if label in places else plain_name(label)
            known |= {label}
            if name in places:
                layout[side, label] = places[name]
    lacking = sorted(set(range(len(wanted))) - set(layout.values()))
    if lacking:
        raise InputError(
            f"{source} have no label {wanted[lacking[0]]!r} ({len(lacking)} of {len(wanted)} names "
            f"of {names} are missing)",
            hint=near_match(wanted[lacking[0]], sorted(known)[:20]),
        )
    return _columns(sides, layout)


def _columns(sides: list[tuple[Codes, dict[int, str]]], layout: dict[Label, int]) -> Codes:
    found = []
    for side, (codes, table) in enumerate(sides):
        values, inverse = np.unique(codes, return_inverse=True)
        of_code = [layout.get((side, table.get(code, "")), -1) for code in values.tolist()]
        found.append(np.asarray(of_code, dtype=np.int64)[inverse])
    return np.concatenate(found)


def _read_names(path: Path) -> list[str]:
    place = existing(path)
    if not place.is_file():
        raise InputError(f"there is no file {path}", hint="Check parcel_names in [responses].")
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: {error}", hint="Save it as UTF-8.") from error
    found = [_name(line) for line in lines if line.strip() and not line.startswith("#")]
    return [name for name in found if name is not None]


def _name(line: str) -> str | None:
    """Take the name of a line; of a lookup table the second word, of its row 0 nothing."""
    words: list[Any] = unicodedata.normalize("NFC", line).split()
    if len(words) >= 2 and words[0].isdigit():
        return None if int(words[0]) == 0 else str(words[1])
    return unicodedata.normalize("NFC", line.strip())
