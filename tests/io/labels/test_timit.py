"""TIMIT, as on its CD: sample numbers, upper and lower case, NIST SPHERE audio."""

from pathlib import Path

import pytest
from kit.data.label_files import rows, write_sound, write_text

from braindash.errors import InputError
from braindash.io.labels.corpora import CORE_TEST_SPEAKERS, read_timit

# The beginning of SA1 as the corpus has it: "she had your", with words that overlap.
PHN = """0 3050 h#
3050 4559 sh
4559 5723 ix
5723 6642 hv
6642 8772 eh
8772 9190 dcl
9190 10337 jh
10337 11517 ih
11517 12500 dcl
12500 12640 d
12640 13650 q
13650 16000 h#"""
WRD = """3050 5723 she
5723 10337 had
9190 11517 your"""
TXT = "0 16000 She had your."
FOLDED = "sil sh ih hh eh sil jh ih sil d sil".split()


def write_utterance(folder: Path, name: str, *, lower: bool = False) -> None:
    cased = str.lower if lower else str.upper
    stem = folder.parent / cased(folder.name)
    for ending, text in (("PHN", PHN), ("WRD", WRD), ("TXT", TXT)):
        write_text(stem / cased(f"{name}.{ending}"), *text.splitlines())
    write_sound(stem / cased(f"{name}.WAV"), 1.0, format="NIST", subtype="PCM_16")


@pytest.fixture
def timit(tmp_path) -> Path:
    """Two speakers of TRAIN; of TEST one of the core set and one of the others."""
    root = tmp_path / "TIMIT"
    for place in ("TRAIN/DR1/FCJF0", "TRAIN/DR4/MLEL0", "TEST/DR1/MDAB0", "TEST/DR1/FAKS0"):
        for name in ("SA1", "SX37", "SI1027"):
            write_utterance(root / place, name)
    write_text(root / "DOC/PROMPTS.TXT", "; She had your dark suit in greasy wash water (sa1)")
    write_text(root / "README.DOC", "The DARPA TIMIT Corpus")
    return root


def test_every_damaged_file_is_named(timit):
    for name in ("SX37.PHN", "SI1027.WRD"):
        (timit / "TRAIN/DR1/FCJF0" / name).write_text("damaged\n")
    with pytest.raises(InputError, match="no label of TIMIT") as caught:
        read_timit(timit)
    assert "SX37.PHN, line 1" in str(caught.value) and "SI1027.WRD, line 1" in str(caught.value)
    path = timit / "TRAIN/DR1/FCJF0/SX37.PHN"
    path.write_text(PHN.replace("5723 6642 hv", "x").replace("12640 13650 q", "12640 q") + "\n")
    with pytest.raises(InputError, match=r"SX37\.PHN, line 4: 'x' .*2 such rows: lines 4, 11"):
        read_timit(timit)


def test_other_sound_of_an_utterance_is_not_passed_over(timit):
    write_sound(timit / "TRAIN/DR1/FCJF0/SX37.flac")
    with pytest.raises(InputError, match="'TRAIN/DR1/FCJF0/SX37' has several audio files"):
        read_timit(timit)


def test_phones_are_folded_and_times_are_seconds(timit):
    labels = read_timit(timit)
    one = labels.table[labels.table["recording"] == "TRAIN/DR1/FCJF0/SX37"]
    phones = one[one["tier"] == "phone"]
    assert phones["label"].tolist() == FOLDED
    assert phones["start"].tolist()[:3] == [0.0, 3050 / 16000, 4559 / 16000]
    assert phones["end"].tolist()[-1] == 1.0
    words = one[one["tier"] == "word"][["start", "end", "label"]]
    assert [tuple(row) for row in words.itertuples(index=False)] == [
        (0.190625, 0.3576875, "she"),
        (0.3576875, 0.6460625, "had"),
        (0.574375, 0.7198125, "your"),
    ]
    assert one[one["tier"] == "sentence"]["label"].tolist() == ["She had your."]
    assert set(one["speaker"]) == {"FCJF0"}
    assert labels.recordings["seconds"].tolist() == [1.0] * 8


def test_labels_can_be_taken_as_they_are(timit):
    labels = read_timit(timit, phones=61).tier("phone")
    assert [label for (label,) in rows(labels, "label")][:12] == [
        line.split()[2] for line in PHN.splitlines()
    ]


def test_sentences_that_all_read_are_left_out(timit):
    def names(**options):
        return {
            name.rpartition("/")[2] for name in read_timit(timit, **options).recordings.recording
        }

    assert names() == {"SX37", "SI1027"}
    assert names(with_sa=True) == {"SX37", "SI1027", "SA1"}


def test_core_speakers_are_the_test_set(timit):
    splits = dict(rows(read_timit(timit), "speaker", "split"))
    assert splits == {"FCJF0": "train", "MLEL0": "train", "MDAB0": "test", "FAKS0": None}
    complete = dict(rows(read_timit(timit, test="complete"), "speaker", "split"))
    assert complete == {"FCJF0": "train", "MLEL0": "train", "MDAB0": "test", "FAKS0": "test"}
    assert len(CORE_TEST_SPEAKERS) == 24
    assert sum(name.startswith("F") for name in CORE_TEST_SPEAKERS) == 8


def test_split_is_that_of_the_nearest_folder(tmp_path):
    root = tmp_path / "test" / "corpora" / "timit"
    write_utterance(root / "train/dr1/fcjf0", "sx37", lower=True)
    write_utterance(root / "test/dr1/mdab0", "sx38", lower=True)
    labels = read_timit(root)
    assert dict(rows(labels, "speaker", "split")) == {"FCJF0": "train", "MDAB0": "test"}
    assert set(labels.table["recording"]) == {"train/dr1/fcjf0/sx37", "test/dr1/mdab0/sx38"}
    part = read_timit(root / "train" / "dr1")
    assert set(part.table["recording"]) == {"fcjf0/sx37"} and set(part.table["split"]) == {"train"}


def test_words_that_share_a_sound_are_told(timit):
    labels = read_timit(timit)
    assert any("'word': 8 of 24 segments overlap" in warning for warning in labels.warnings)
    assert not any("'phone'" in warning for warning in labels.warnings if "overlap" in warning)


def test_converted_audio_beside_the_original_is_taken(timit):
    folder = timit / "TRAIN/DR1/FCJF0"
    write_sound(folder / "SX37.WAV.wav", 1.0)
    (folder / "SX37.WAV").write_bytes(b"NIST_1A shortened, which cannot be read")
    labels = read_timit(timit)
    paths = dict(rows(labels, "recording", "path"))
    assert paths["TRAIN/DR1/FCJF0/SX37"].endswith("SX37.WAV.wav")


def test_resampled_audio_does_not_move_the_times(timit):
    write_sound(timit / "TRAIN/DR1/FCJF0/SX37.WAV", 1.0, 8000)
    labels = read_timit(timit)
    assert labels.table["end"].max() == 1.0
    assert any("different sampling rates" in warning for warning in labels.warnings)


def test_missing_label_files_are_told(timit):
    (timit / "TRAIN/DR1/FCJF0/SX37.WRD").unlink()
    (timit / "TRAIN/DR4/MLEL0/SX37.WAV").unlink()
    labels = read_timit(timit)
    assert labels.warnings[0] == (
        "1 utterances lack a .PHN, .WRD or .TXT file: TRAIN/DR1/FCJF0/SX37"
    )
    assert "1 labelled recordings have no audio: TRAIN/DR4/MLEL0/SX37" in labels.warnings[1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("100 h#", r"SX37\.PHN, line 2: '100 h#' is no label"),
        ("100 x h#", "line 2: '100 x h#' is no label"),
        ("300 200 sh", "end before they begin"),
        ("3000 99999 sh", "outside their audio"),
    ],
)
def test_damaged_lines_are_named(line, says, timit):
    write_text(timit / "TRAIN/DR1/FCJF0/SX37.PHN", "0 100 h#", line)
    with pytest.raises(InputError, match=says):
        read_timit(timit)


def test_an_unknown_phone_passes_and_is_told_where_there_are_words(timit):
    for name in ("SX37", "SI1027"):
        write_text(timit / f"TRAIN/DR1/FCJF0/{name}.PHN", "0 100 h#", "100 2000 AH0")
    labels = read_timit(timit)
    assert set(labels.tiers) == {"phone", "word", "sentence"}
    assert (labels.table["label"] == "AH0").sum() == 2
    assert "2 phone labels are unknown and taken as they are: AH0" in labels.warnings
    for path in timit.rglob("*.WRD"):
        path.unlink()
    with pytest.raises(InputError, match=r"SI1027\.PHN, line 2: 'AH0' is no phone of TIMIT"):
        read_timit(timit)


def test_unknown_options_are_refused(timit):
    with pytest.raises(InputError, match="phones = 48") as caught:
        read_timit(timit, phones=48)
    assert "'39', '61'" in caught.value.hint
    with pytest.raises(InputError, match="test = 'all'"):
        read_timit(timit, test="all")


def test_folders_without_label_files_are_refused(timit):
    with pytest.raises(InputError, match="no label file of TIMIT"):
        read_timit(timit / "DOC")


def test_prompts_are_told_and_nothing_else_of_the_sentences_that_all_read(timit):
    plain, labels = read_timit(timit), read_timit(timit, prompts=True)
    kinds = labels.tier("prompt").table
    names = [name.rpartition("/")[2][:2] for name in kinds["recording"]]
    assert kinds["label"].tolist() == names and set(names) == {"SA", "SX", "SI"}
    assert len(kinds) == 12 and (kinds["end"] == 1.0).all()
    core = kinds[kinds["recording"].str.contains("MDAB0")]
    assert set(core["split"]) == {"test"} and set(core["speaker"]) == {"MDAB0"}
    rest = labels.table[labels.table["tier"] != "prompt"].reset_index(drop=True)
    assert rest.drop(columns="path").equals(plain.table.drop(columns="path"))
    whole = read_timit(timit, prompts=True, with_sa=True).tier("phone").table
    assert whole["recording"].str.contains("SA1").any()
