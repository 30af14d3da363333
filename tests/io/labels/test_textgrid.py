import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.textgrids import write_textgrid
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
        (b'File type = "ooTextFile"\n"TextGrid"\n\xff\xfe\xfa', "ends where a number"),
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


# ---- what other programs write -------------------------------------------------------------------


def wrong_count(text, unit, right, wrong):
    assert f"{unit}: size = {right} " in text
    return text.replace(f"{unit}: size = {right} ", f"{unit}: size = {wrong} ", 1)


def read(tmp_path, text, told=None, encoding="utf-8"):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_textgrid(path, told)


SAME_LENGTH = [
    ("IntervalTier", "words", WORDS),
    ("IntervalTier", "phones", [*PHONES, Interval(1.25, 2.5, "")]),
]


@pytest.mark.parametrize("wrong", [0, 1, 2, 4, 40])
def test_a_tier_goes_on_until_the_next_begins_whatever_its_count(tmp_path, wrong):
    """Some versions of MFA count labelled intervals only, and list the blanks too."""
    told = []
    tiers = read(tmp_path, wrong_count(long_form(SAME_LENGTH), "intervals", 3, wrong), told)
    assert tiers["words"] == WORDS and len(tiers["phones"]) == 4
    assert [f"'words' promises {wrong} entries and holds 3" in text for text in told] == [True]


@pytest.mark.parametrize("wrong", [2, 9])
def test_the_last_tiers_count_may_be_wrong_where_it_is_whole(tmp_path, wrong):
    told = []
    text = wrong_count(long_form(SAME_LENGTH, end=2.5), "intervals", 4, wrong)
    assert len(read(tmp_path, text, told)["phones"]) == 4 and len(told) == 1


def test_a_last_tier_that_ends_early_is_cut_short(tmp_path):
    text = long_form(SAME_LENGTH, end=2.5)
    cut = text[: text.rindex("        intervals [4]")]
    with pytest.raises(InputError, match="'phones' promises 4 entries and holds 3"):
        read(tmp_path, cut)


def test_the_number_of_tiers_is_held_against_the_file(tmp_path):
    told = []
    more = long_form(TIERS).replace("size = 3 ", "size = 2 ", 1)
    assert list(read(tmp_path, more, told)) == ["phone", "word", "events"]
    assert any("promises 2 tiers and holds 3" in text for text in told)
    with pytest.raises(InputError, match="ends after 3 of 4 tiers"):
        read(tmp_path, long_form(TIERS).replace("size = 3 ", "size = 4 ", 1))


@pytest.mark.parametrize("form", [long_form, short_form])
def test_an_interval_that_ends_by_rounding_before_it_begins_is_a_point(tmp_path, form):
    entries = [
        Interval(0.0, 1.38, "a"),
        Interval(1.38000000000000012, 1.38, "K"),
        Interval(-1e-9, 0.2, "b"),
    ]
    (found,) = read(tmp_path, form([("IntervalTier", "phones", entries)], 1.38)).values()
    assert found == [entries[0], Interval(1.38, 1.38, "K"), Interval(0.0, 0.2, "b")]
    entries[1] = Interval(1.39, 1.38, "K")
    with pytest.raises(InputError, match=r"the interval 'K' ends at 1.38 s, before its start"):
        read(tmp_path, form([("IntervalTier", "phones", entries)], 1.38))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('File type = "ooTextFile"', '\n\nFile type = "ooTextFile short"'),
        ('"ooTextFile"', '"ooTextfile"'),
        ('Object class = "TextGrid"', 'Object class = "TextGrid 2"'),
        ("<exists>", "<EXISTS>"),
        ("0.31", "0,31"),
        ("\n", "\n\n"),
        ("\n", "\r"),
    ],
)
def test_odd_headers_and_decimal_commas(tmp_path, old, new):
    text = long_form(TIERS)
    assert old in text
    assert read(tmp_path, text.replace(old, new) + "\n\n \n") == read(tmp_path, text)


def test_quotes_that_are_not_doubled_are_text(tmp_path):
    told = []
    text = long_form(TIERS).replace('say ""hi""', 'say "hi" 5"').replace("click", 'a "b"')
    tiers = read(tmp_path, text, told)
    assert tiers["word"][1].label == 'say "hi" 5"' and tiers["events"][0].label == 'a "b"'
    assert len(told) == 1 and "single quotes" in told[0]


def test_a_lone_quote_in_the_last_label_is_text_too(tmp_path):
    # Nothing behind it shows that its quotes are odd.
    text = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 1
class = "IntervalTier"
name = "words"
xmin = 0
xmax = 1
intervals: size = 1
xmin = 0
xmax = 1
text = "c"at\\"
"""
    told = []
    assert read(tmp_path, text, told)["words"][0].label == 'c"at\\'
    assert len(told) == 1 and "single quotes" in told[0]
    short = '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"words"\n0\n1\n1\n0\n1\n'
    told = []
    assert read(tmp_path, f'{short}"c"at"\n', told)["words"][0].label == "c"
    assert len(told) == 1 and "a double quote that is not closed" in told[0]


@pytest.mark.parametrize(
    ("encoding", "says"), [("latin-1", "read as Windows-1252"), ("cp1252", "Windows-1252")]
)
def test_one_byte_encodings_are_read_and_told(tmp_path, encoding, says):
    told = []
    tiers = read(tmp_path, long_form(TIERS), told, encoding)
    assert tiers["word"][2].label.startswith("naïve") and says in told[0]


def test_chronological_and_binary_files_are_named(tmp_path):
    for content in (
        b'"Praat chronological TextGrid text file"\n0 1\n',
        b"ooBinaryFile\x08TextGrid\0\0\0",
    ):
        with pytest.raises(InputError, match="begins with"):
            read(tmp_path, content)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 12), min_size=2, max_size=2),
    noise=st.floats(-9e-4, 9e-4),
    short=st.booleans(),
)
def test_counts_and_rounding_never_lose_an_interval(tmp_path_factory, counts, noise, short):
    entries = [Interval(at, at + 1 + (noise if at % 2 else 0), f"l{at}") for at in range(5)]
    tiers = [("IntervalTier", "words", entries), ("IntervalTier", "phones", [*entries])]
    text = (short_form if short else long_form)(tiers, end=5)
    for wrong in counts:
        old, new = ("5\n5\n", f"5\n{wrong + 10}\n") if short else ("size = 5 ", f"size = {wrong} ")
        text = text.replace(old, new, 1)
    found = read(tmp_path_factory.mktemp("g"), text)
    assert [[one.label for one in tier] for tier in found.values()] == [
        [one.label for one in entries]
    ] * 2
    assert all(one.end >= one.start for tier in found.values() for one in tier)
