"""The table of labels: what is refused, what is put right, what is told."""

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.label_files import rows, write_sound

from braindash.errors import InputError
from braindash.io.labels.recordings import find_audio
from braindash.io.labels.sources import LABEL_SOURCES, read_labels
from braindash.io.labels.table import COLUMNS, Labels, Segment, make_labels
from braindash.io.recordings import BadRecordings


@pytest.fixture
def audio(tmp_path) -> dict[str, Path]:
    """Two recordings of 2 s."""
    return {name: write_sound(tmp_path / f"{name}.wav", 2.0) for name in ("r1", "r2")}


def segment(start=0.1, end=0.5, label="a", tier="phone", recording="r1", **more) -> Segment:
    return Segment(recording, start, end, label, tier, **more)


GOOD = [
    segment(0.1, 0.5, "a"),
    segment(0.5, 1.0, "b"),
    segment(0.2, 0.4, "a", recording="r2"),
    segment(0.4, 0.6, "b", recording="r2"),
]


def test_segments_become_one_sorted_table(audio):
    labels = make_labels("x", reversed(GOOD), audio)
    assert isinstance(labels, Labels) and tuple(labels.table.columns) == COLUMNS
    assert rows(labels, "recording", "start", "end", "label") == [
        ("r1", 0.1, 0.5, "a"),
        ("r1", 0.5, 1.0, "b"),
        ("r2", 0.2, 0.4, "a"),
        ("r2", 0.4, 0.6, "b"),
    ]
    assert labels.table["path"].tolist() == [str(audio[r]) for r in labels.table["recording"]]
    assert set(labels.table["speaker"]) == set(labels.table["split"]) == {None}
    assert labels.warnings == () and labels.tiers == ("phone",)
    assert labels.recordings.to_dict("list") == {
        "recording": ["r1", "r2"],
        "path": [str(audio["r1"]), str(audio["r2"])],
        "seconds": [2.0, 2.0],
        "rate_hz": [16000, 16000],
    }
    with pytest.raises(AttributeError):
        labels.source = "y"


def test_an_end_of_none_is_the_end_of_the_recording(audio):
    labels = make_labels("x", [segment(0.5, None), segment(0.0, None, "b", recording="r2")], audio)
    assert labels.table["end"].tolist() == [2.0, 2.0]


def test_tiers_can_be_taken_alone(audio):
    labels = make_labels("x", [*GOOD, segment(0.0, None, "sad", "emotion")], audio)
    assert labels.tiers == ("emotion", "phone")
    assert len(labels.tier("phone").table) == 4 and labels.tier("emotion").tiers == ("emotion",)
    assert list(labels.tier("phone").table.index) == [0, 1, 2, 3]
    with pytest.raises(InputError, match="no tier 'fone'") as caught:
        labels.tier("fone")
    assert "'phone'" in caught.value.hint


def test_digest_follows_the_labels_and_not_their_place(audio, tmp_path):
    first = make_labels("x", GOOD, audio).digest
    moved = {name: write_sound(tmp_path / "moved" / f"{name}.wav", 2.0) for name in audio}
    assert make_labels("y", reversed(GOOD), moved).digest == first
    seen = {first}
    for change in ({"label": "c"}, {"end": 0.51}, {"split": "train"}, {"speaker": "s"}):
        rest = [row._replace(split="train") for row in GOOD[1:]] if "split" in change else GOOD[1:]
        seen.add(make_labels("x", [GOOD[0]._replace(**change), *rest], audio).digest)
    assert len(seen) == 5


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (segment(0.5, 0.4), r"1 segments end before they begin.*'a' \(phone\) in r1, 0.5 to 0.4 s"),
        (segment(-0.1, 0.4), "begin before 0 s"),
        (segment(math.nan, 0.4), "have no time"),
        (segment(0.1, math.nan), "have no time"),
        (segment(0.1, math.inf), "have no time"),
        (segment(0.1, 2.6), r"outside their audio.*r1 lasts 2\.000 s"),
        (segment(2.6, 2.7), "outside their audio"),
        (segment(160.0, 320.0), "outside their audio"),
        (segment(split="train"), "1 recordings stand in more than one split: r1"),
    ],
)
def test_faults_are_refused(bad, says, audio):
    with pytest.raises(InputError, match=says):
        make_labels("x", [*GOOD, bad], audio)


def test_unknown_splits_are_refused(audio):
    with pytest.raises(InputError, match="the splits 'dev' are unknown") as caught:
        make_labels("x", [row._replace(split="dev") for row in GOOD], audio)
    assert "valid" in caught.value.hint


def test_all_faults_are_listed_at_once(audio):
    bad = [segment(0.5, 0.4), segment(5.0, 6.0), *[segment(1.0, 0.9)] * 4]
    with pytest.raises(InputError, match="2 problems") as caught:
        make_labels("x", [*GOOD, *bad], audio)
    assert "5 segments end before" in caught.value.message
    assert "and 2 more" in caught.value.message and "1 segments lie outside" in caught.value.message


def test_speakers_in_two_forms_of_accents_are_one(audio):
    pair = [segment(speaker="Ren\u00e9"), segment(recording="r2", speaker="Rene\u0301")]
    labels = make_labels("x", pair, audio)
    assert labels.table["speaker"].nunique() == 1
    assert any("form of accents" in told for told in labels.warnings)
    alone = make_labels("x", pair[1:], audio)  # results keep their keys
    assert alone.table["speaker"].tolist() == ["Rene\u0301"]


def test_labels_of_a_longer_recording_are_no_milliseconds(audio):
    with pytest.raises(InputError, match="outside their audio") as caught:
        make_labels("x", [segment(0.0, 2.9)], audio)
    assert "Check that labels and audio belong together" in caught.value.hint


def test_milliseconds_are_recognised(audio):
    with pytest.raises(InputError, match="2 segments lie outside") as caught:
        make_labels("t", [segment(0, 400), segment(400, 900)], audio)
    assert caught.value.hint == "The times fit as milliseconds: divide them by 1000."


def test_nothing_is_refused(audio):
    with pytest.raises(InputError, match="0 segments, 2 audio files"):
        make_labels("x", [], audio)
    with pytest.raises(InputError, match="4 segments, 0 audio files"):
        make_labels("x", GOOD, {})
    with pytest.raises(InputError, match="no segment lasts longer"):
        make_labels("x", [segment(0.5, 0.5)], audio)


def test_labels_and_audio_that_do_not_meet_are_refused(audio):
    with pytest.raises(InputError, match=r"labels name other, audio r1; r2"):
        make_labels("x", [segment(recording="other")], audio)


def test_audio_that_is_none_is_a_fault_and_refused_unless_it_is_left_out(audio, tmp_path):
    audio["r2"].write_bytes(b"no sound")
    labels = make_labels("x", GOOD, audio)
    assert [one.name for one in labels.faults] == ["r2"]
    with pytest.raises(BadRecordings, match=r"r2\.wav .* cannot be read as audio"):
        labels.without(())
    kept = labels.without({"r2"})
    assert set(kept.recordings["recording"]) == {"r1"} == set(kept.table["recording"])
    audio["r2"].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(BadRecordings, match="Git LFS pointer"):
        make_labels("x", GOOD, audio).without(())
    write_sound(audio["r2"], 0.0)
    with pytest.raises(BadRecordings, match="no samples"):
        make_labels("x", GOOD, audio).without(())
    audio["r2"].unlink()
    with pytest.raises(BadRecordings, match="missing"):
        make_labels("x", GOOD, audio).without(())
    audio["r1"].unlink()
    with pytest.raises(BadRecordings, match="2 recordings cannot be used"):
        make_labels("x", GOOD, audio)


# --- what is put right or told -----------------------------------------------------------------


def told(labels) -> str:
    return "\n".join(labels.warnings)


def test_segments_that_end_a_little_late_are_cut(audio):
    labels = make_labels("x", [*GOOD, segment(1.5, 2.3, "b")], audio)
    assert labels.table["end"].max() == 2.0
    assert "1 segments end up to 0.5 s behind their audio" in told(labels)
    rounded = make_labels("x", [*GOOD, segment(1.5, 2.0008, "b")], audio)
    assert rounded.table["end"].max() == 2.0 and rounded.warnings == ()


def test_segments_of_no_duration_are_left_out(audio):
    labels = make_labels("x", [*GOOD, segment(0.7, 0.7), segment(2.1, 2.2)], audio)
    assert len(labels.table) == 4 and "2 segments last 0 s" in told(labels)


def test_repeated_segments_are_taken_once(audio):
    labels = make_labels("x", [*GOOD, GOOD[0]], audio)
    assert len(labels.table) == 4 and "1 segments stand twice" in told(labels)


def test_overlaps_are_counted(audio):
    more = [segment(1.2, 1.4, "a"), segment(1.0, 1.9, "b"), segment(1.5, 1.8, "a")]
    labels = make_labels("x", [*GOOD, *more], audio)
    assert "tier 'phone': 2 of 7 segments overlap an earlier one" in told(labels)
    # Not across tiers or recordings, and not where two only touch.
    apart = [segment(0.1, 1.0, "a", "word"), segment(1.0, 1.5, "b", "word")]
    apart += [segment(0.1, 1.0, "b", "word", "r2"), segment(0.9995, 1.5, "a", "word", "r2")]
    assert make_labels("x", [*GOOD, *apart], audio).warnings == ()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(1, 6)), min_size=1, max_size=9))
def test_overlaps_agree_with_a_plain_loop(tmp_path_factory, pairs):
    folder = tmp_path_factory.getbasetemp()
    audio = {"r1": folder / "overlap.wav"}
    if not audio["r1"].exists():
        write_sound(audio["r1"], 30.0)
    times = sorted({(float(start), float(start + length)) for start, length in pairs})
    n_over = sum(any(end > start for _, end in times[:i]) for i, (start, _) in enumerate(times))
    labels = make_labels("x", [segment(start, end) for start, end in times], audio)
    said = [warning for warning in labels.warnings if "overlap" in warning]
    assert bool(said) == bool(n_over)
    assert not said or f": {n_over} of {len(times)} " in said[0]


def test_lone_labels_are_told(audio):
    labels = make_labels("x", [*GOOD, segment(1.0, 1.1, "zh")], audio)
    assert "tier 'phone': 1 of 3 labels have one example" in told(labels) and "zh" in told(labels)
    same = make_labels("x", [segment(), segment(0.6, 0.7), segment(recording="r2")], audio)
    assert "tier 'phone' has one label only, 'a'" in told(same)
    # Texts hardly ever stand twice.
    texts = [segment(0.0, None, f"text {r}", "sentence", r) for r in audio]
    assert make_labels("x", [*GOOD, *texts], audio).warnings == ()


def test_speakers_in_two_splits_are_told(audio):
    splits = {"r1": "train", "r2": "test"}
    torn = [row._replace(speaker="ann", split=splits[row.recording]) for row in GOOD]
    assert "1 speakers stand in more than one split: ann" in told(make_labels("x", torn, audio))
    fine = [row._replace(speaker=row.recording, split=splits[row.recording]) for row in GOOD]
    assert make_labels("x", fine, audio).warnings == ()


def test_recordings_without_labels_or_audio_are_told(audio):
    labels = make_labels("x", [*GOOD[:2], *GOOD[:2], segment(recording="r9")], audio)
    assert "1 recordings have no label: r2" in told(labels)
    assert "1 labelled recordings have no audio: r9" in told(labels)
    assert len(labels.recordings) == 2


def test_mixed_sampling_rates_are_told(audio, tmp_path):
    audio["r2"] = write_sound(tmp_path / "low.wav", 2.0, 8000)
    labels = make_labels("x", GOOD, audio)
    assert "8000 Hz: 1, 16000 Hz: 1" in told(labels)
    assert labels.recordings["seconds"].tolist() == [2.0, 2.0]


def test_the_readers_own_warnings_come_first(audio):
    labels = make_labels("x", [*GOOD, GOOD[0]], audio, ["something else"])
    assert labels.warnings[0] == "something else" and len(labels.warnings) == 2


# --- audio -------------------------------------------------------------------------------------


def test_audio_is_found_in_all_folders(tmp_path):
    for name in ("b/two.flac", "a_audio.wav", "one.WAV", ".hidden.wav", ".x/y.wav"):
        write_sound(tmp_path / name, 0.1)
    (tmp_path / "one.txt").write_text("no audio")
    found = find_audio(tmp_path)
    assert {name: path.name for name, path in found.items()} == {
        "a_audio": "a_audio.wav",
        "b/two": "two.flac",
        "one": "one.WAV",
    }  # names of hidden files and folders are passed over
    assert set(find_audio(tmp_path, "_audio")) == {"a"}
    with pytest.raises(InputError, match="no audio"):
        find_audio(tmp_path, "_speech")
    with pytest.raises(InputError, match="missing"):
        find_audio(tmp_path / "no")
    with pytest.raises(InputError, match="a file, not a folder"):
        find_audio(tmp_path / "one.WAV")
    write_sound(tmp_path / "one.flac", 0.1)
    with pytest.raises(InputError, match=r"'one' has several audio files: one\.WAV, one\.flac"):
        find_audio(tmp_path)


# --- every source by its name ------------------------------------------------------------------


@pytest.mark.parametrize("source", [name for name in LABEL_SOURCES if name != "table"])
def test_an_empty_folder_is_refused_by_every_source(source, tmp_path):
    options = {"audio": tmp_path} if source == "slurp" else {}
    with pytest.raises(InputError) as caught:
        read_labels(source, tmp_path, **options)
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize("source", LABEL_SOURCES)
def test_a_missing_path_is_refused_by_every_source(source, tmp_path):
    options = {"audio": tmp_path} if source == "slurp" else {}
    with pytest.raises(InputError, match="nowhere"):
        read_labels(source, tmp_path / "nowhere", **options)


def test_sources_and_options_are_checked(tmp_path):
    with pytest.raises(InputError, match="no labels 'timmit'") as caught:
        read_labels("timmit", tmp_path)
    assert "Did you mean 'timit'" in caught.value.hint
    with pytest.raises(InputError, match="no option 'phone'") as caught:
        read_labels("timit", tmp_path, phone=39)
    assert "'phones'" in caught.value.hint
    with pytest.raises(InputError, match="need the option 'audio'"):
        read_labels("slurp", tmp_path)


def test_a_table_is_read_by_its_name(audio, tmp_path):
    pd.DataFrame({"path": ["r1.wav", "r2.wav"], "label": ["a", "b"]}).to_csv(tmp_path / "t.csv")
    assert len(read_labels("table", tmp_path / "t.csv", tier="mood").tier("mood").table) == 2
