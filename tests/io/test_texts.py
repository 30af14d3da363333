"""The one reader of texts and tables: no row is lost in silence, whatever wrote the file."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.io.texts import BROKEN, lines, read_table, read_text, text_lines

TABLE = "word,category\nhand,body\ncafé,food\n"


def write(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- encodings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8-sig", b""),
        ("utf-16", b""),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32", b""),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_encoding_gives_the_same_rows(tmp_path, encoding, mark, ends):
    path = write(tmp_path, mark + TABLE.replace("\n", ends).encode(encoding))
    told = []
    assert lines(read_text(path, told)) == TABLE.splitlines() and not told
    table = read_table(path, ("word",))
    assert table.rows == [["hand", "body"], ["café", "food"]] and table.lines == [2, 3]
    assert not table.told


def test_latin1_is_read_where_labels_allow_it_and_told(tmp_path):
    told = []
    path = write(tmp_path, "the\ncafé\nend".encode("latin-1"))
    assert lines(read_text(path, told)) == ["the", "café", "end"]
    assert told == [f"{path} is no UTF-8 and read as Windows-1252; look at line 2"]


def test_one_broken_byte_does_not_make_a_text_latin1(tmp_path):
    told = []
    path = write(tmp_path, "ʁəpɔ̃s\nca\n".encode() + b"b\xe9\n" + "ɑ̃\n".encode())
    assert lines(read_text(path, told)) == ["ʁəpɔ̃s", "ca", f"b{BROKEN}", "ɑ̃"]
    assert told == [f"{path} has bytes that are no UTF-8 in line 3"]


def test_zeros_and_a_dos_mark_at_the_end_are_no_text(tmp_path):
    assert read_text(write(tmp_path, b"a\nb\n\x1a\0\0\0")) == "a\nb\n"


def test_only_line_ends_end_lines():
    assert lines("a\u2028b\x85c\x0bd\n\ne\rf\r\ng") == ["a\u2028b\x85c\x0bd", "", "e", "f", "g"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path)


# ---- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rows", "told"),
    [
        ('a,"he said ""hi"""\n', [["a", 'he said "hi"']], ""),
        ('a,"x, y"\n', [["a", "x, y"]], ""),
        ('a,5" nail\nb,c\n', [["a", '5" nail'], ["b", "c"]], ""),
        ('a,"lone\nb,c\nd,e"\n', [["a", '"lone'], ["b", "c"], ["d", 'e"']], "not closed.*line 2"),
        ('a,"lone\nb,"c"\n', [["a", '"lone'], ["b", "c"]], "not closed, .*: line 2"),
        ('a,"two\nlines"\nb,c\n', [["a", "two\nlines"], ["b", "c"]], ""),
        ('a,"he said \\"hi\\" now"\n', [["a", 'he said "hi" now']], ""),
        ('"C:\\dir\\",b\n', [["C:\\dir\\", "b"]], ""),
        ("a\\n,b\\\n", [["a\\n", "b\\"]], ""),
        ("a,b\n\n   \nc,d\n", [["a", "b"], ["c", "d"]], ""),
        ("a,b\n,\nc,d\n,,,\n", [["a", "b"], ["c", "d"]], "2 rows have nothing but.*lines 3, 5"),
        ("a\n", [["a", ""]], ""),
        ("a,b,,\nc,d\n", [["a", "b"], ["c", "d"]], "1 rows have empty cells behind.*: line 2"),
        ('"two\nlines",b\nc,d\n', [["two\nlines", "b"], ["c", "d"]], ""),
        ('"one\ntwo, of\nthree",b\nc,d\n', [["one\ntwo, of\nthree", "b"], ["c", "d"]], ""),
        ('a,"one\ntwo, more"\nd,e\n', [["a", "one\ntwo, more"], ["d", "e"]], ""),
        ('a,"one\ntwo, more\nand, so on"\n', [["a", "one\ntwo, more\nand, so on"]], ""),
        ('"a"\t,b\n"c" \t ,"d"\t\n', [["a", "b"], ["c", "d"]], ""),
        ('"lone\nb,c\nd,e\n', [['"lone', ""], ["b", "c"], ["d", "e"]], "not closed.*line 2"),
        ("NA,null\n", [["NA", "null"]], ""),
        ('"a" ,b\n', [["a", "b"]], ""),
        ("é,b\nü,c\nx\udcff,d\n", [["é", "b"], ["ü", "c"]], "left out: line 4"),
    ],
)
def test_quotes_and_gaps(tmp_path, text, rows, told):
    path = write(tmp_path, ("x,y\n" + text).encode("utf-8", "surrogateescape"))
    table = read_table(path, ("x", "y"))
    assert table.rows == rows
    notes = "; ".join(table.told)
    if told:
        assert re.search(told, notes), notes
    else:
        assert not notes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read: it is empty"),
        ("\n\n", "cannot be read: it is empty"),
        ("x,z\na,b\n", "no column 'y'; it has x, z"),
        ("x,y,x\n", "column 'x' twice"),
        ("x;y\na;b\n", r"separated by semicolons \(';'\), not by commas"),
        ("x\ty\na\tb\n", "separated by tabs, not by commas"),
        ("x,y\na,b,c\nd,e\nf,g,h\n", "expected 2 fields in line 2, saw 3; 2 such rows: lines 2, 4"),
        ('x,y\na,"lone, cell\nb,c\n', "expected 2 fields in line 2, saw 3"),
        ("x,y\na,b\0\n", "hold zero bytes: line 2"),
        ("x,y\na,\xe9\n", "no UTF-8"),
    ],
)
def test_tables_that_would_lose_rows_are_refused(tmp_path, text, says):
    content = text.encode("latin-1" if "\xe9" in text else "utf-8")
    with pytest.raises(InputError, match=says) as caught:
        read_table(write(tmp_path, content), ("x", "y"))
    assert caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\nx;y\na;b\n",
        b'\xef\xbb\xbf"sep=;"\r\nx;y\r\na;b\r\n',
        b"SEP=,\nx,y\na,b\n",
        b"\xef\xbb\xbf\xef\xbb\xbfx,y\na,b\n",
        "\ufeff\ufeffx,y\na,b\n".encode("utf-16-le"),
    ],
)
def test_what_excel_puts_in_front_of_a_table_is_no_part_of_it(tmp_path, content):
    table = read_table(write(tmp_path, content), ("x", "y"))
    assert table.columns == ("x", "y") and table.rows == [["a", "b"]] and not table.told


def test_a_lone_quote_swallows_no_row_of_a_single_column(tmp_path):
    table = read_table(write(tmp_path, 'x\n"lone\nb\nc"\n'), ("x",))
    assert table.rows == [['"lone'], ["b"], ['c"']] and "not closed" in table.told[0]


def test_workbooks_are_named(tmp_path):
    for name, content in (("t.xlsx", b"PK"), ("t.csv", b"PK\x03\x04\x14"), ("t.XLS", b"\xd0\xcf")):
        with pytest.raises(InputError, match="a workbook of Excel") as caught:
            read_table(write(tmp_path, content, name), ("x",))
        assert "CSV UTF-8" in caught.value.hint


def test_tabs_and_other_endings(tmp_path):
    table = read_table(write(tmp_path, 'x\ty\na, b\t"c\td"\n', "t.tsv"), ("x",))
    assert table.rows == [["a, b", "c\td"]]
    with pytest.raises(InputError, match="no table that braindash reads"):
        read_table(write(tmp_path, "x,y\n", "t.doc"), ("x",))


CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r" + BROKEN, exclude_categories=("Cs",)),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    separator=st.sampled_from([",", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_program_writes_is_read_as_it_was(
    tmp_path_factory, rows, quoting, separator, encoding
):
    """Every row that Python's csv module writes comes back, or the table is refused."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=quoting, delimiter=separator, lineterminator="\n")
    writer.writerows([("x", "y"), *rows])
    path = tmp_path_factory.mktemp("t") / ("t.csv" if separator == "," else "t.tsv")
    path.write_bytes(stream.getvalue().encode(encoding))
    several = any("\n" in cell for row in rows for cell in row)
    try:
        table = read_table(path, ("x", "y"))
    except InputError:
        assert several  # a line of such a cell that could be a row is never guessed at
        return
    if not several:
        assert [tuple(row) for row in table.rows] == rows
        assert not table.told


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet='ab",\\', max_size=10), min_size=1, max_size=6))
def test_no_line_is_lost_whatever_stands_in_it(tmp_path_factory, found):
    """Every line with anything but separators is in a row, or the table is refused."""
    path = write(tmp_path_factory.mktemp("t"), "x,y\n" + "\n".join(found) + "\n")
    try:
        table = read_table(path, ("x", "y"))
    except InputError:
        return
    filled = [line for line in found if line.strip(',"').strip()]
    inside = "".join(cell for row in table.rows for cell in row)
    assert inside.count("a") == sum(line.count("a") for line in filled)
    assert inside.count("b") == sum(line.count("b") for line in filled)


def test_long_texts_are_read_line_by_line(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbfone\n\xc2\x85 2\nb\xff\n\nlast\r\n")
    broken = []
    found = list(text_lines(path, broken))
    assert found == [(1, "one"), (2, "\x85 2"), (5, "last")] and broken == [3]
    with pytest.raises(InputError, match="UTF-16"):
        list(text_lines(write(tmp_path, "a b".encode("utf-16")), []))


def test_a_quote_that_nothing_closes_takes_no_time(tmp_path):
    rows = ['"lone', *(f'"a","{number}"' for number in range(20_000))]
    table = read_table(write(tmp_path, "\n".join(["x,y", *rows])), ("x", "y"))
    assert len(table.rows) == 20_001 and "not closed" in table.told[0]
