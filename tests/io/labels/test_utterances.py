"""Speech Commands, SLURP and CREMA-D, from files in their own layouts."""

import json
from pathlib import Path

import pytest
from kit.data.label_files import rows, write_sound, write_text

from braindash.errors import InputError
from braindash.io.labels.corpora import read_cremad, read_slurp, read_speech_commands

# --- Speech Commands ---------------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path) -> Path:
    root = tmp_path / "speech_commands_v0.02"
    for word in ("bed", "yes"):
        for speaker in ("0c40e715", "a_b", "ffd2ba2f"):
            write_sound(root / word / f"{speaker}_nohash_0.wav", 0.9)
    write_sound(root / "bed/0c40e715_nohash_1.wav", 1.0)
    write_sound(root / "_background_noise_/pink_noise.wav", 2.0)
    write_text(root / "validation_list.txt", "bed/a_b_nohash_0.wav", "yes/a_b_nohash_0.wav")
    write_text(root / "testing_list.txt", "bed/ffd2ba2f_nohash_0.wav", "yes/ffd2ba2f_nohash_0.wav")
    write_text(root / "README.md", "# Speech Commands Data Set v0.02")
    return root


def test_commands_have_words_speakers_and_splits(commands):
    labels = read_speech_commands(commands)
    assert rows(labels, "recording", "start", "end", "label", "tier", "speaker", "split") == [
        ("bed/0c40e715_nohash_0", 0.0, 0.9, "bed", "word", "0c40e715", "train"),
        ("bed/0c40e715_nohash_1", 0.0, 1.0, "bed", "word", "0c40e715", "train"),
        ("bed/a_b_nohash_0", 0.0, 0.9, "bed", "word", "a_b", "valid"),
        ("bed/ffd2ba2f_nohash_0", 0.0, 0.9, "bed", "word", "ffd2ba2f", "test"),
        ("yes/0c40e715_nohash_0", 0.0, 0.9, "yes", "word", "0c40e715", "train"),
        ("yes/a_b_nohash_0", 0.0, 0.9, "yes", "word", "a_b", "valid"),
        ("yes/ffd2ba2f_nohash_0", 0.0, 0.9, "yes", "word", "ffd2ba2f", "test"),
    ]
    assert labels.warnings == ()


def test_commands_need_both_lists(commands):
    (commands / "testing_list.txt").unlink()
    with pytest.raises(InputError, match=r"testing_list\.txt is missing"):
        read_speech_commands(commands)


def test_listed_commands_that_are_missing_are_told(commands):
    (commands / "yes/a_b_nohash_0.wav").unlink()
    assert read_speech_commands(commands).warnings[0] == (
        "1 recordings of the lists are missing: yes/a_b_nohash_0"
    )


# --- SLURP -------------------------------------------------------------------------------------


def entry(number: int, intent: str, *files: str) -> dict:
    """One line of SLURP, with all its fields."""
    scenario, action = intent.split("_")
    return {
        "slurp_id": number,
        "sentence": f"sentence {number}",
        "sentence_annotation": f"sentence [number : {number}]",
        "intent": intent,
        "action": action,
        "tokens": [{"surface": "sentence", "id": 0, "lemma": "sentence", "pos": "NN"}],
        "scenario": scenario,
        "recordings": [
            {"file": file, "wer": 0.0, "ent_wer": None, "status": "correct"} for file in files
        ],
        "entities": [{"span": [1], "type": "number"}],
    }


ENTRIES = {
    "train": [entry(1, "alarm_set", "a1-headset.flac", "a1.flac"), entry(2, "qa_set", "a2.flac")],
    "devel": [entry(3, "alarm_set", "a3.flac")],
    "test": [entry(4, "qa_set", "a--4.flac")],
    "train_synthetic": [entry(5, "alarm_set", "s5.flac")],
}


@pytest.fixture
def slurp(tmp_path) -> Path:
    root = tmp_path / "slurp"
    metadata = {}
    for split, entries in ENTRIES.items():
        write_text(root / f"dataset/slurp/{split}.jsonl", *map(json.dumps, entries))
        for item in entries:
            files = [recording["file"] for recording in item["recordings"]]
            for file in files:
                kind = "slurp_synth" if split == "train_synthetic" else "slurp_real"
                write_sound(root / "audio" / kind / file, 0.5)
            speaker = {"ansid": 1, "recid": 2, "status": "correct", "usrid": f"FE-{len(metadata)}"}
            metadata[str(item["slurp_id"])] = {
                "nlub_id": 1,
                "recordings": dict.fromkeys(files, speaker),
            }
    write_text(root / "dataset/slurp/metadata.json", json.dumps(metadata))
    return root


def test_slurp_has_intents_speakers_and_splits(slurp):
    labels = read_slurp(slurp / "dataset/slurp", audio=slurp / "audio/slurp_real")
    assert labels.tiers == ("action", "intent", "scenario", "sentence")
    assert rows(labels.tier("intent"), "recording", "end", "label", "speaker", "split") == [
        ("a--4", 0.5, "qa_set", "FE-3", "test"),
        ("a1", 0.5, "alarm_set", "FE-0", "train"),
        ("a1-headset", 0.5, "alarm_set", "FE-0", "train"),
        ("a2", 0.5, "qa_set", "FE-1", "train"),
        ("a3", 0.5, "alarm_set", "FE-2", "valid"),
    ]
    scenarios = dict(rows(labels.tier("scenario"), "recording", "label"))
    assert scenarios["a2"] == "qa" and scenarios["a3"] == "alarm"
    assert labels.warnings == (
        "tier 'action' has one label only, 'set': nothing can be told apart",
    )


def test_synthetic_speech_only_on_request(slurp):
    labels = read_slurp(slurp / "dataset/slurp", audio=slurp / "audio", synthetic=True)
    splits = dict(rows(labels, "recording", "split"))
    assert splits["slurp_synth/s5"] == "train" and len(splits) == 6


def test_one_file_of_slurp_leaves_the_others_audio_alone(slurp):
    folder, audio = slurp / "dataset/slurp", slurp / "audio/slurp_real"
    labels = read_slurp(folder / "train.jsonl", audio=audio)
    assert labels.recordings["recording"].tolist() == ["a1", "a1-headset", "a2"]
    (folder / "train.jsonl").rename(folder / "mine.jsonl")
    assert set(read_slurp(folder / "mine.jsonl", audio=audio).table["split"]) == {None}


def test_slurp_without_metadata_has_no_speakers(slurp):
    (slurp / "dataset/slurp/metadata.json").unlink()
    labels = read_slurp(slurp / "dataset/slurp", audio=slurp / "audio/slurp_real")
    assert set(labels.table["speaker"]) == {None}


def test_missing_audio_of_slurp_is_told(slurp):
    (slurp / "audio/slurp_real/a3.flac").unlink()
    labels = read_slurp(slurp / "dataset/slurp", audio=slurp / "audio/slurp_real")
    assert "1 labelled recordings have no audio: a3.flac" in labels.warnings
    with pytest.raises(InputError, match="do not meet"):
        read_slurp(slurp / "dataset/slurp/train.jsonl", audio=slurp / "audio/slurp_synth")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"slurp_id": 3', "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"intent": "a_b"}', "KeyError"),
        (json.dumps(ENTRIES["test"][0] | {"intent": None}), "a label is no text"),
    ],
)
def test_damaged_lines_of_slurp_are_named(line, says, slurp):
    file = slurp / "dataset/slurp/devel.jsonl"
    write_text(file, json.dumps(ENTRIES["devel"][0]), "", line)
    with pytest.raises(InputError, match=rf"devel\.jsonl, line 3 is no entry .*{says}"):
        read_slurp(file.parent, audio=slurp / "audio/slurp_real")


def test_every_damaged_line_of_every_file_of_slurp_is_named(slurp):
    good = json.dumps(ENTRIES["devel"][0])
    write_text(slurp / "dataset/slurp/devel.jsonl", "[", good, *["{}"] * 14)
    write_text(slurp / "dataset/slurp/test.jsonl", good, "3")
    with pytest.raises(InputError) as caught:
        read_slurp(slurp / "dataset/slurp", audio=slurp / "audio/slurp_real")
    told = str(caught.value)
    assert "devel.jsonl, line 1 is no entry" in told and "test.jsonl, line 2 is no entry" in told
    assert "15 such rows: lines 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 5 more" in told


@pytest.mark.parametrize("content", ["{", "[]", '{"1": {}}', '{"1": 3}'])
def test_damaged_metadata_of_slurp_is_named(content, slurp):
    write_text(slurp / "dataset/slurp/metadata.json", content)
    with pytest.raises(InputError, match="no metadata of SLURP"):
        read_slurp(slurp / "dataset/slurp", audio=slurp / "audio/slurp_real")


# --- CREMA-D -----------------------------------------------------------------------------------

CLIPS = ("1001_DFA_ANG_XX", "1001_IEO_SAD_LO", "1002_DFA_SAD_HI", "1002_IEO_ANG_MD")


@pytest.fixture
def cremad(tmp_path) -> Path:
    for name in CLIPS:
        write_sound(tmp_path / f"CREMA-D/AudioWAV/{name}.wav", 0.4)
        write_sound(tmp_path / f"CREMA-D/AudioMP3/{name}.mp3", 0.4)
    return tmp_path / "CREMA-D"


def test_names_are_labels(cremad):
    labels = read_cremad(cremad)
    assert labels.tiers == ("emotion", "level", "sentence")
    assert rows(labels.tier("emotion"), "recording", "end", "label", "speaker", "split") == [
        ("1001_DFA_ANG_XX", 0.4, "anger", "1001", None),
        ("1001_IEO_SAD_LO", 0.4, "sadness", "1001", None),
        ("1002_DFA_SAD_HI", 0.4, "sadness", "1002", None),
        ("1002_IEO_ANG_MD", 0.4, "anger", "1002", None),
    ]
    assert rows(labels.tier("level"), "label") == [
        ("unspecified",), ("low",), ("high",), ("medium",),
    ]  # fmt: skip
    assert [code for (code,) in rows(labels.tier("sentence"), "label")] == ["DFA", "IEO"] * 2
    assert len(labels.recordings) == 4


def test_names_in_any_case_are_read(cremad):
    folder = cremad / "AudioWAV"
    (folder / "1001_DFA_ANG_XX.wav").rename(folder / "1001_dfa_ang_xx.WAV")
    labels = read_cremad(cremad)
    assert len(labels.recordings) == 4
    emotions = dict(rows(labels.tier("emotion"), "recording", "label"))
    assert emotions["1001_dfa_ang_xx"] == "anger"
    assert {code for (code,) in rows(labels.tier("sentence"), "label")} == {"DFA", "IEO"}


def test_the_one_level_that_is_named_x(cremad):
    folder = cremad / "AudioWAV"
    write_sound(folder / "1040_ITH_SAD_X.wav", 0.4)
    levels = dict(rows(read_cremad(folder).tier("level"), "recording", "label"))
    assert levels["1040_ITH_SAD_X"] == "unspecified"


def test_other_names_are_told_or_refused(cremad):
    for name in ("1001_DFA_JOY_XX", "1001_DFA_ANG_YY", "noise"):
        write_sound(cremad / f"AudioWAV/{name}.wav", 0.4)
    labels = read_cremad(cremad)
    assert labels.warnings[0].startswith("3 files are named otherwise and left out: 1001_DFA_ANG")
    assert len(labels.recordings) == 4
    for name in CLIPS:
        (cremad / f"AudioWAV/{name}.wav").unlink()
    with pytest.raises(InputError, match=r"no file .* is named as CREMA-D"):
        read_cremad(cremad)
