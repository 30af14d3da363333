"""The numbers of figures as tables: CSV that opens without options, Parquet with its source."""

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from braindash.errors import InputError, near_match
from braindash.exports.columns import described
from braindash.exports.panels import plain
from braindash.exports.source import Source, clean, json_bytes

METADATA = b"braindash"
"""Where the schema of a Parquet file holds its source, as JSON."""
_OF_THE_TABLE = ["panel", "series", "part", "x", "y", "value", "x_title", "y_title", "value_title"]


def figure_table(figure: Any) -> pd.DataFrame:
    """Lay out every number that a plotly figure draws, one row per point or cell.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        As pages show it.

    Returns
    -------
    pandas.DataFrame
        ``panel`` (names of its axes), ``series`` (name of the trace), ``part`` ("line", "bar",
        "band", whose points go around it, "cell", or "reference", such as a noise ceiling), ``x``
        and ``y``, numbers or names, ``value`` of cells, and the titles of the axes with their
        units.
    """
    layout = figure.layout.to_plotly_json()
    rows: list[dict[str, Any]] = []
    for trace in figure.data:
        told = trace.to_plotly_json()
        if told.get("visible", True) is not True:
            continue
        pair = str(told.get("xaxis", "x")), str(told.get("yaxis", "y"))
        common = _common(layout, pair, plain(told.get("name")))
        points = _cells(told) if told.get("type") == "heatmap" else _points(told)
        rows += [common | one for one in points]
    for number, shape in enumerate(layout.get("shapes") or ()):
        pair = str(shape.get("xref", "x")), str(shape.get("yref", "y"))
        axes = pair[0].split(" ")[0], pair[1].split(" ")[0]
        common = _common(layout, axes, f"reference {number + 1}") | {"part": "reference"}
        for end in ("0", "1"):
            known = {
                name: shape[name + end] if "domain" not in ref and ref != "paper" else None
                for name, ref in zip("xy", pair, strict=True)
            }
            rows.append(common | known)
    table = pd.DataFrame(rows, columns=_OF_THE_TABLE)
    return table.dropna(axis=1, how="all") if "cell" not in set(table["part"]) else table


def _common(layout: Mapping[str, Any], pair: tuple[str, str], name: str) -> dict[str, Any]:
    titles = []
    for one in pair:
        told = (layout.get(one[0] + "axis" + one[1:]) or {}).get("title") or {}
        titles.append(plain(told.get("text") if isinstance(told, Mapping) else told))
    return {
        "panel": " ".join(pair),
        "series": name,
        "part": "line",
        "x_title": titles[0],
        "y_title": titles[1],
    }


def _points(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    x, y = (list(trace[name]) if trace.get(name) is not None else [] for name in "xy")
    part = "band" if trace.get("fill", "none") != "none" else "line"
    part = "bar" if trace.get("type") == "bar" else part
    pairs = zip(x, y, strict=False)
    known = [(one, two) for one, two in pairs if one is not None and two is not None]
    return [{"part": part, "x": one, "y": two} for one, two in known]


def _cells(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    z = np.asarray(trace["z"], dtype=float)
    x = list(trace["x"]) if trace.get("x") is not None else list(range(z.shape[1]))
    y = list(trace["y"]) if trace.get("y") is not None else list(range(z.shape[0]))
    title = (trace.get("colorbar") or {}).get("title") or {}
    unit = plain(title.get("text") if isinstance(title, Mapping) else title)
    return [
        {"part": "cell", "x": x[column], "y": y[row], "value": value, "value_title": unit}
        for (row, column), value in np.ndenumerate(z)
    ]


def stamped(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Add what no file may lack: ``simulated``, and the line of provenance as ``source``."""
    added: dict[str, Any] = {"source": clean(source.stamped)}
    if "simulated" not in table:
        added["simulated"] = source.simulated
    return table.assign(**added)


def csv_bytes(table: pd.DataFrame, source: Source) -> bytes:
    """Write a table as CSV: UTF-8 with a head, which ``pandas.read_csv`` opens without options.

    Where the numbers come from stands in columns of its own, ``source`` and ``simulated``: a
    comment before the head would have to be skipped by whoever opens the file.
    """
    return stamped(_flat(table), source).to_csv(index=False).encode()


def parquet_bytes(table: pd.DataFrame, source: Source) -> bytes:
    """Write a table as Parquet, which ``pandas.read_parquet`` opens.

    The schema's metadata hold where the numbers come from (``braindash``, as JSON), and what each
    column is, with its unit (``description``, ``unit`` of the fields).
    """
    import pyarrow
    from pyarrow import parquet

    whole = stamped(_flat(table), source)
    made = pyarrow.Table.from_pandas(whole, preserve_index=False)
    told = described(made.schema.names)
    fields = [
        field.with_metadata(
            {
                "description": told[field.name].get("Description", ""),
                "unit": told[field.name].get("Units", ""),
            }
        )
        for field in made.schema
    ]
    document = source.document() | {"columns": told}
    metadata = dict(made.schema.metadata or {})
    metadata[METADATA] = json.dumps(document, ensure_ascii=False).encode()
    buffer = BytesIO()
    parquet.write_table(made.cast(pyarrow.schema(fields, metadata=metadata)), buffer)
    return buffer.getvalue()


def sidecar_bytes(source: Source, columns: Sequence[object] = ()) -> bytes:
    """Write where the numbers of a file come from, and what its columns are, as JSON."""
    document = source.document()
    if len(columns):
        document |= {"columns": described(columns)}
    return json_bytes(document)


TABLE_FORMATS: Mapping[str, tuple[str, Callable[[pd.DataFrame, Source], bytes]]] = {
    "csv": ("text/csv", csv_bytes),
    "parquet": ("application/vnd.apache.parquet", parquet_bytes),
}
"""Formats of tables, with the type of their content and what writes them."""


def table_bytes(table: pd.DataFrame, form: str, source: Source) -> bytes:
    """Write a table in one of :data:`TABLE_FORMATS`."""
    if form not in TABLE_FORMATS:
        hint = near_match(form, TABLE_FORMATS)
        raise InputError(f"tables are not written as {form!r}", hint=hint)
    return TABLE_FORMATS[form][1](table, source)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with one row of names and columns of one kind each, for any reader."""
    flat = table.reset_index(drop=True)
    flat.columns = pd.Index(
        [
            " ".join(map(str, filter(None, name))) if isinstance(name, tuple) else str(name)
            for name in flat.columns
        ]
    )
    for name in flat.columns:
        if flat[name].dtype == object:
            kinds = {type(one) for one in flat[name] if one is not None and one == one}
            if len(kinds) > 1:
                flat[name] = [None if one is None or one != one else str(one) for one in flat[name]]
    return flat
