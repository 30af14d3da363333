"""Tables that leave open in pandas without options and hold the numbers of the page."""

import json
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from kit.results.figures import MADE, ODD, figure, region_table
from kit.results.made_up_probing import made_up_probing
from pyarrow import parquet

from braindash.errors import InputError
from braindash.exports.columns import COLUMNS
from braindash.exports.source import Source
from braindash.exports.tables import csv_bytes, figure_table, parquet_bytes, table_bytes

SOURCE = Source("Scores", f"made up, {ODD}", ("details",), ("k" * 32,), True)


@pytest.mark.parametrize("name", MADE)
def test_the_table_of_a_figure_has_every_number_that_it_draws(name):
    shown = figure(name)
    table = figure_table(shown)
    expected = 0
    for trace in shown.data:
        if trace.type == "heatmap":
            panel = f"{trace.xaxis or 'x'} {trace.yaxis or 'y'}"
            cells = table[(table["part"] == "cell") & (table["panel"] == panel)]
            z = np.asarray(trace.z, dtype=float)
            np.testing.assert_array_equal(cells["value"].to_numpy(float), z.ravel())
            assert set(cells["y"]) == set(trace.y) and cells["value_title"].all()
            expected += z.size
            continue
        points = [(x, y) for x, y in zip(trace.x, trace.y, strict=True) if x is not None]
        expected += len(points)
        own = table[table["series"] == (trace.name or "")]
        for x, y in points:
            assert ((own["x"] == x) & ((own["y"] == y) | (own["y"].isna() & (y != y)))).any()
    lines = table[table["part"] != "reference"]
    assert len(lines) == expected
    assert set(table["x_title"]) - {""} or set(table["y_title"]) - {""}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_pandas_opens_a_table_without_options(form):
    table = region_table(ODD)
    content = BytesIO(table_bytes(table, form, SOURCE))
    found = pd.read_csv(content) if form == "csv" else pd.read_parquet(content)
    assert set(found["source"]) == {SOURCE.stamped} and found["simulated"].all()
    pd.testing.assert_frame_equal(
        found[list(table.columns)], table.reset_index(drop=True), check_dtype=False
    )


def test_a_parquet_file_says_what_its_columns_are_and_where_they_come_from():
    told = parquet.read_schema(BytesIO(parquet_bytes(region_table(), SOURCE)))
    document = json.loads(told.metadata[b"braindash"])
    assert document["keys"] == list(SOURCE.keys) and document["simulated"] is True
    assert told.field("r").metadata[b"unit"] == COLUMNS["r"][1].encode()
    assert document["columns"]["layer"]["Description"].startswith("Layer; 0")


def test_columns_of_several_levels_or_kinds_are_made_plain():
    table = pd.DataFrame([[1, "x"], ["one", None]], columns=[("", "region"), ("depth", "A")])
    found = pd.read_parquet(BytesIO(parquet_bytes(table, SOURCE)))
    assert list(found.columns) == ["region", "depth A", "source", "simulated"]
    assert list(found["region"]) == ["1", "one"]
    assert b"SIMULATED DATA" in csv_bytes(table, SOURCE)


def test_every_column_of_results_is_described():
    tables = [region_table(), made_up_probing().table(), made_up_probing().stages()]
    unknown = {str(name) for table in tables for name in table if name not in COLUMNS}
    assert not unknown


def test_a_format_that_is_none_is_refused():
    with pytest.raises(InputError, match="xlsx"):
        table_bytes(region_table(), "xlsx", SOURCE)
