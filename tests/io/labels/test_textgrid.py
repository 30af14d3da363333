import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.textgrids import write_textgrid
from praatio import textgrid as praatio_textgrid

from braindash.errors import InputError
from braindash.io.labels.textgrid import Interval, read_textgrid

PHONES = [Interval(0.0, 0.31, "sp"), Interval(0.31, 0.4, "DH"), Interval(0.4, 1.25, "AH0")]
WORDS = [
    Interval(0.0, 0.31, ""),
    Interval(0.31, 0.9, 'say "hi"'),
    Interval(0.9, 1.25, "naïve item [2]: intervals [1]:"),
]
POINTS = [Interval(0.5, 0.5, "click"), Interval(1.0, 1.0, "")]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def long_form(tiers, end=1.25):
    """Write the long text form as Praat does, independently of the code under test."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += [
        "xmin = 0 ",
        f"xmax = {end} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for number, (kind, name, entries) in enumerate(tiers, 1):
        unit = "intervals" if kind == "IntervalTier" else "points"
        lines += [f"    item [{number}]:", f'        class = "{kind}" ']
        lines += [f"        name = {quoted(name)} ", "        xmin = 0 ", f"        xmax = {end} "]
        lines += [f"        {unit}: size = {len(entries)} "]
        for index, entry in enumerate(entries, 1):
            lines += [f"        {unit} [{index}]:"]
            if unit == "intervals":
                lines += [f"            xmin = {entry.start} ", f"            xmax = {entry.end} "]
                lines += [f"            text = {quoted(entry.label)} "]
            else:
                lines += [f"            number = {entry.start} "]
                lines += [f"            mark = {quoted(entry.label)} "]
    return "\n".join(lines) + "\n"


def short_form(tiers, end=1.25):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end)]
    lines += ["<exists>", str(len(tiers))]
    for kind, name, entries in tiers:
        lines += [f'"{kind}"', quoted(name), "0", str(end), str(len(entries))]
        for entry in entries:
            times = [entry.start, entry.end] if kind == "IntervalTier" else [entry.start]
            lines += [*map(str, times), quoted(entry.label)]
    return "\n".join(lines)  # Praat's files end in a newline; others' often do not


TIERS = [
    ("IntervalTier", "phone", PHONES),
    ("IntervalTier", "word", WORDS),
    ("TextTier", "events", POINTS),
]


@pytest.mark.parametrize("form", [long_form, short_form])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"], ids=str
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "windows"])
def test_every_form_and_encoding_gives_every_interval(tmp_path, form, encoding, newline):
    path = tmp_path / "story.TextGrid"
    path.write_bytes(form(TIERS).replace("\n", newline).encode(encoding))

    tiers = read_textgrid(path)

    assert list(tiers) == ["phone", "word", "events"]
    assert tiers == {"phone": PHONES, "word": WORDS, "events": POINTS}


def test_big_endian_utf16_with_byte_order_mark(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(b"\xfe\xff" + short_form(TIERS).encode("utf-16-be"))
    assert read_textgrid(path)["word"] == WORDS


@pytest.mark.parametrize("form", [long_form, short_form])
def test_agrees_with_praatio_on_plain_files(tmp_path, form):
    path = tmp_path / "a.TextGrid"
    tiers = [("IntervalTier", "phone", PHONES), ("IntervalTier", "word", WORDS[:2])]
    path.write_text(form(tiers) + "\n")
    oracle = praatio_textgrid.openTextgrid(str(path), includeEmptyIntervals=True)

    found = read_textgrid(path)

    assert list(found) == list(oracle.tierNames)
    for name, intervals in found.items():
        assert [(i.start, i.end, i.label) for i in intervals] == [
            tuple(entry) for entry in oracle.getTier(name).entries
        ]


def test_numbers_with_exponent_and_sign(tmp_path):
    path = tmp_path / "a.TextGrid"
    entries = [Interval(-0.5, 1.5e-05, "a"), Interval(1.5e-05, 1.25, "b")]
    path.write_text(long_form([("IntervalTier", "word", entries)]))
    assert read_textgrid(path)["word"] == entries


def test_comments_and_line_breaks_in_labels(tmp_path):
    path = tmp_path / "a.TextGrid"
    entries = [Interval(0.0, 1.25, 'two\nlines with 12 and <exists> and "" ! no comment')]
    path.write_text("! 5 numbers \n" + short_form([("IntervalTier", "word", entries)]))
    assert read_textgrid(path)["word"] == entries


def test_tiers_of_one_name_are_all_kept(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(long_form([("IntervalTier", "word", WORDS)] * 2 + TIERS[:1]))
    assert list(read_textgrid(path)) == ["word", "word_2", "phone"]


def test_grid_without_tiers(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text('File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<absent>\n')
    assert read_textgrid(path) == {}


@pytest.mark.parametrize("form", [long_form, short_form])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_file_cut_short_is_refused_not_shortened(tmp_path, form, share):
    path = tmp_path / "cut.TextGrid"
    text = form(TIERS)
    path.write_text(text[: int(len(text) * share)])
    with pytest.raises(InputError, match=r"cut\.TextGrid is not a whole TextGrid"):
        read_textgrid(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "not a whole TextGrid"),
        (b"word,start,end\nhi,0,1\n", "begins with"),
        (b'File type = "ooTextFile"\nObject class = "Sound"\n', "'Sound'"),
        (b'File type = "ooTextFile"\n"TextGrid"\n\xff\xfe\xfa', "not text in utf-8"),
    ],
)
def test_files_that_are_no_textgrid(tmp_path, content, message):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_textgrid(path)
    assert "Praat" in caught.value.hint


def test_a_textgrid_without_a_byte_is_told_as_empty(tmp_path):
    (tmp_path / "a.TextGrid").touch()
    with pytest.raises(InputError, match="is empty: it has no bytes"):
        read_textgrid(tmp_path / "a.TextGrid")


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        (("FormantTier", "f", []), "FormantTier"),
        (("IntervalTier", "w", [Interval(0.9, 0.2, "back")]), "'back' ends at 0.2 s"),
    ],
)
def test_impossible_tiers(tmp_path, tier, message):
    path = tmp_path / "a.TextGrid"
    path.write_text(short_form([tier]))
    with pytest.raises(InputError, match=message):
        read_textgrid(path)


def test_count_that_is_no_count(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(short_form(TIERS).replace("<exists>\n3", "<exists>\n2.5"))
    with pytest.raises(InputError, match=r"2\.5 stands where a count"):
        read_textgrid(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="missing") as caught:
        read_textgrid(tmp_path / "none.TextGrid")
    assert "alignment_dir" in caught.value.hint


def test_written_grids_fill_gaps_and_keep_labels(tmp_path):
    path = tmp_path / "out.TextGrid"
    words = [Interval(np.float64(1.0), 1.5, 'b "q"'), Interval(0.25, np.float64(0.5), "ä")]

    write_textgrid(path, {"word": words, "phone": []}, seconds=2.0)

    assert read_textgrid(path) == {
        "word": [
            Interval(0.0, 0.25, ""),
            Interval(0.25, 0.5, "ä"),
            Interval(0.5, 1.0, ""),
            Interval(1.0, 1.5, 'b "q"'),
            Interval(1.5, 2.0, ""),
        ],
        "phone": [Interval(0.0, 2.0, "")],
    }


LABELS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1).filter(
    lambda label: label == label.strip() and label
)


@settings(max_examples=60)
@given(
    pieces=st.lists(
        st.tuples(st.floats(0.001, 40, allow_nan=False), LABELS), min_size=1, max_size=8
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    intervals, now = [], 0.0
    for duration, label in pieces:
        intervals.append(Interval(now, now + duration, label))
        now += duration

    write_textgrid(path, {"word": intervals})

    found = read_textgrid(path)["word"]
    assert [i.label for i in found] == [i.label for i in intervals]
    assert [i.start for i in found] == pytest.approx([i.start for i in intervals], abs=1e-9)
    assert [i.end for i in found] == pytest.approx([i.end for i in intervals], abs=1e-9)
