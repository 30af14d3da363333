"""Labels from a user's own table."""

import sys

import pandas as pd
import pytest
from kit.data.label_files import rows, write_sound, write_text

from braindash.errors import InputError
from braindash.io.labels.own import read_label_table


@pytest.fixture
def lab(tmp_path):
    """Two recordings of 2 s in a folder of their own."""
    for name in ("one", "two"):
        write_sound(tmp_path / f"sound/{name}.wav", 2.0)
    return tmp_path


FULL = [
    "path,start,end,label,tier,speaker,split,recording",
    "sound/one.wav,0.25,0.5,NA,mood,ann,train,r1",
    "sound/one.wav,0.5,,null,mood,ann,Training,r1",
    'sound/two.wav,,1.5,"a, b",mood,,dev,r2',
    "sound/two.wav,1.5,2,NA,tone,,valid,r2",
]


def test_every_column_is_read_as_it_stands(lab):
    labels = read_label_table(write_text(lab / "t.csv", *FULL))
    assert rows(labels, "recording", "start", "end", "label", "tier", "speaker", "split") == [
        ("r1", 0.25, 0.5, "NA", "mood", "ann", "train"),
        ("r1", 0.5, 2.0, "null", "mood", "ann", "train"),
        ("r2", 0.0, 1.5, "a, b", "mood", None, "valid"),
        ("r2", 1.5, 2.0, "NA", "tone", None, "valid"),
    ]
    assert labels.table["path"].tolist()[0] == str(lab / "sound/one.wav")


def test_path_and_label_are_enough(lab):
    text = "﻿ path ,label,notes\none.wav,1,x\ntwo.wav,01,y"
    (lab / "t.csv").write_text(text, encoding="utf-8")
    labels = read_label_table(lab / "t.csv", audio=lab / "sound")
    assert rows(labels, "recording", "start", "end", "label", "tier") == [
        ("one.wav", 0.0, 2.0, "1", "label"),
        ("two.wav", 0.0, 2.0, "01", "label"),
    ]
    assert labels.warnings[0] == "columns that are not read: notes"
    assert read_label_table(lab / "t.csv", audio=lab / "sound", tier="mood").tiers == ("mood",)


def test_tabs_and_parquet_give_the_same_labels(lab):
    pytest.importorskip("pyarrow")
    comma = read_label_table(write_text(lab / "t.csv", *FULL))
    frame = pd.read_csv(lab / "t.csv", keep_default_na=False)
    frame.to_csv(lab / "t.tsv", sep="\t", index=False)
    frame["start"] = pd.to_numeric(frame["start"])
    frame["end"] = pd.to_numeric(frame["end"])
    frame["speaker"] = frame["speaker"].where(frame["speaker"] != "", None)
    assert frame["start"].isna().sum() == 1 and frame["speaker"].isna().sum() == 2
    frame.to_parquet(lab / "t.parquet")
    for name in ("t.tsv", "t.parquet"):
        pd.testing.assert_frame_equal(read_label_table(lab / name).table, comma.table)


def test_parquet_without_pyarrow_says_what_to_install(lab, monkeypatch):
    (lab / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs the package pyarrow") as caught:
        read_label_table(lab / "t.parquet")
    assert "pip install pyarrow" in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["path,start", "sound/one.wav,1"], "no column 'label'; it has path, start"),
        (["label", "a"], "no column 'path'"),
        (["path,label,label", "sound/one.wav,a,b"], "column 'label' twice"),
        (["path,label", "sound/one.wav,a", "sound/two.wav,"], "line 3: there is no label"),
        (["path,label,start", "sound/one.wav,a,1s"], "line 2: start = '1s' is no number"),
        (["path,label,end", "sound/one.wav,a,nan"], "line 2: end = 'nan' is no number"),
        (["path,label,end", "sound/one.wav,a,inf"], "no time"),
        (["path,label,split", "sound/one.wav,a,held"], "line 2: the split 'held' is unknown"),
        (
            [
                "path,label,split",
                "sound/one.wav,a,held",
                "sound/two.wav,a,train",
                "sound/two.wav,b,x",
            ],
            "line 2: .* is unknown .2 such rows: lines 2, 4",
        ),
        (["path,label", "sound/six.wav,a", "sound/one.wav,b"], "1 of 2 recordings .* are missing"),
        (["path,label,recording", "sound/one.wav,a,r", "sound/two.wav,b,r"], "more than one path"),
        (["path,label", "sound/one.wav"], "line 2: there is no label"),
        (["path,label"], "0 segments"),
        ([""], "cannot be read"),
        (["path,label", "sound/one.wav,a,b,c"], "cannot be read: .*2 fields in line 2, saw 4"),
    ],
)
def test_faults_of_a_table_are_named(lines, says, lab):
    with pytest.raises(InputError, match=says):
        read_label_table(write_text(lab / "t.csv", *lines))


def test_every_fault_of_the_cells_is_named_at_once(lab):
    text = ["path,label,split,start", "sound/one.wav,a,in,0", "sound/two.wav,b,train,1s"]
    with pytest.raises(InputError, match="2 problems") as caught:
        read_label_table(write_text(lab / "t.csv", *text))
    assert "line 2: the split 'in'" in str(caught.value)
    assert "line 3: start = '1s'" in str(caught.value)


def test_columns_in_another_case_and_without_a_name_are_met(lab):
    text = [",Path,LABEL,Split,,", "0,sound/one.wav,a,train,,", "1,sound/two.wav,b,Test,,"]
    labels = read_label_table(write_text(lab / "t.csv", *text))
    assert rows(labels, "label", "split") == [("a", "train"), ("b", "test")]
    assert any("not read: (without a name)" in told for told in labels.warnings)
    with pytest.raises(InputError, match="no column 'label'"):
        read_label_table(write_text(lab / "t.csv", "path,Label,LABEL", "sound/one.wav,a,b"))


def test_names_that_differ_in_blanks_only_are_one(lab):
    text = ["path,label,speaker", "sound/one.wav,a,s1", "sound/two.wav, a\u200b,s1\u00a0"]
    labels = read_label_table(write_text(lab / "t.csv", *text))
    assert rows(labels, "label", "speaker") == [("a", "s1"), ("a", "s1")]
    assert sum("differ from others in blanks only" in told for told in labels.warnings) == 2
    alike = ["path,label", "sound/one.wav, a", "sound/two.wav, b"]  # results keep their keys
    labels = read_label_table(write_text(lab / "t.csv", *alike))
    assert rows(labels, "label") == [(" a",), (" b",)]


def test_windows_paths_are_told(lab):
    with pytest.raises(InputError, match="2 of 2 recordings") as caught:
        read_label_table(write_text(lab / "t.csv", "path,label", "x\\one.wav,a", "x\\two.wav,b"))
    assert "Write '/' between folders" in caught.value.hint


def test_a_lone_quote_loses_no_row(lab):
    text = ["path,label", 'sound/one.wav,"a', "sound/two.wav,b"]
    labels = read_label_table(write_text(lab / "t.csv", *text))
    assert rows(labels, "label") == [('"a',), ("b",)]
    assert any("not closed" in told and "line 2" in told for told in labels.warnings)


def test_times_of_a_table_are_compared_with_the_audio(lab):
    text = ["path,label,start,end", "sound/one.wav,a,1,0.5", "sound/two.wav,b,1000,1500"]
    with pytest.raises(InputError, match="2 problems"):
        read_label_table(write_text(lab / "t.csv", *text))


def test_what_is_no_table_is_refused(lab):
    with pytest.raises(InputError, match="missing"):
        read_label_table(lab / "no.csv")
    with pytest.raises(InputError, match=r"a workbook of Excel") as caught:
        read_label_table(write_text(lab / "t.xlsx", "x"))
    assert ".parquet" in caught.value.hint
    (lab / "t.csv").write_bytes("path,label\nsound/one.wav,ä".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        read_label_table(lab / "t.csv")
    pytest.importorskip("pyarrow")
    (lab / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_label_table(lab / "t.parquet")
