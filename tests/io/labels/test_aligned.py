"""TextGrid folders, LibriSpeech and gentle, from files in their own formats."""

import json
from pathlib import Path

import pytest
from kit.data.label_files import rows, write_grid, write_sound, write_text

from braindash.errors import InputError
from braindash.io.labels.aligned import read_gentle, read_librispeech, read_textgrids
from braindash.io.labels.gentle import read_tiers

PHONES = [(0, 0.2, ""), (0.2, 0.3, "DH"), (0.3, 0.4, "AH0"), (0.4, 0.6, "K"), (0.6, 0.7, "AE1")]
PHONES += [(0.7, 0.8, "T"), (0.8, 0.9, "spn"), (0.9, 1, "sil")]
WORDS = [(0, 0.2, ""), (0.2, 0.4, "The"), (0.4, 0.8, "CAT"), (0.8, 0.9, "<unk>"), (0.9, 1, "")]
SPOKEN = [(0.2, 0.3, "DH"), (0.3, 0.4, "AH"), (0.4, 0.6, "K"), (0.6, 0.7, "AE"), (0.7, 0.8, "T")]


def phones(labels):
    return rows(labels.tier("phone"), "start", "end", "label")


def words(labels):
    return rows(labels.tier("word"), "start", "end", "label")


# --- TextGrids ---------------------------------------------------------------------------------


@pytest.fixture
def mfa(tmp_path) -> Path:
    """Output of an aligner: a folder for every speaker, the audio elsewhere."""
    for name in ("ann/one", "ann/two", "bob/one"):
        write_sound(tmp_path / f"corpus/{name}.wav")
        write_grid(tmp_path / f"aligned/{name}.TextGrid", {"words": WORDS, "phones": PHONES})
    return tmp_path / "aligned"


def test_stress_goes_and_pauses_are_left_out(mfa):
    labels = read_textgrids(mfa, audio=mfa.parent / "corpus", speaker="folder")
    assert set(labels.table["recording"]) == {"ann/one", "ann/two", "bob/one"}
    one = labels.table[labels.table["recording"] == "ann/one"]
    said = one[one["tier"] == "phone"][["start", "end", "label"]]
    assert [tuple(row) for row in said.itertuples(index=False)] == SPOKEN
    assert one[one["tier"] == "word"]["label"].tolist() == ["the", "cat"]
    speakers = labels.table.groupby("recording")["speaker"].unique().map(list).to_dict()
    assert speakers == {"ann/one": ["ann"], "ann/two": ["ann"], "bob/one": ["bob"]}
    assert labels.warnings == ()


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_every_form_of_a_textgrid(short, encoding, tmp_path):
    write_sound(tmp_path / "a.flac")
    grid = {"phones": PHONES, "words": [(0, 0.5, "naïve"), (0.5, 1, "öl")]}
    write_grid(tmp_path / "a.TextGrid", grid, short=short, encoding=encoding)
    labels = read_textgrids(tmp_path)
    assert phones(labels) == SPOKEN
    assert words(labels) == [(0.0, 0.5, "naïve"), (0.5, 1.0, "öl")]


def test_a_recording_is_not_given_to_another_spelling_where_it_is_named(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_grid(tmp_path / "a.TextGrid", {"words": [(0, 1, "cat")]})
    write_grid(tmp_path / "A.TextGrid", {"words": [(0, 1, "dog")]})
    labels = read_textgrids(tmp_path)
    assert words(labels) == [(0.0, 1.0, "cat")]
    assert any("1 labelled recordings have no audio: A" in text for text in labels.warnings)
    (tmp_path / "a.TextGrid").unlink()
    assert words(read_textgrids(tmp_path)) == [(0.0, 1.0, "dog")]


def test_digits_that_become_pauses_are_told(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_grid(tmp_path / "a.TextGrid", {"phones": [(0, 0.3, "0"), (0.3, 0.6, "2"), (0.6, 1, "K")]})
    labels = read_textgrids(tmp_path)
    assert [label for *_, label in phones(labels)] == ["K"]
    assert any("'0', '2' are taken as pauses" in text for text in labels.warnings)


def test_pauses_can_be_kept(mfa):
    labels = read_textgrids(mfa / "bob", audio=mfa.parent / "corpus/bob", pauses=True)
    assert [label for *_, label in phones(labels)] == "sil DH AH K AE T sil sil".split()
    assert [label for *_, label in words(labels)] == "sil the cat sil sil".split()


def test_labels_can_be_taken_as_they_are(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_grid(tmp_path / "a.TextGrid", {"phones": [*PHONES[:4], (0.6, 1, "yy")]})
    assert [x for *_, x in phones(read_textgrids(tmp_path, fold_phones=False))] == [
        "DH", "AH0", "K", "yy",
    ]  # fmt: skip
    with pytest.raises(InputError, match="a: the phone label 'yy' is unknown") as caught:
        read_textgrids(tmp_path)
    assert "fold_phones=False" in caught.value.hint


def test_ipa_and_labels_of_two_phones(tmp_path):
    write_sound(tmp_path / "a.wav")
    entries = [(0, 0.2, "ð"), (0.2, 0.4, "əː"), (0.4, 0.6, "ɔːɹ"), (0.6, 0.8, "ʔ"), (0.8, 1, "tʃ")]
    write_grid(tmp_path / "a.TextGrid", {"phones": entries})
    labels = read_textgrids(tmp_path)
    assert [label for *_, label in phones(labels)] == ["DH", "AH", "CH"]
    assert labels.warnings[0] == "left out: 1 phone labels of two phones, such as 'ɔːɹ'"


def test_an_unknown_phone_never_stops_words(tmp_path):
    write_sound(tmp_path / "a.wav")
    tiers = {"words": WORDS, "phones": [*PHONES[:4], (0.6, 1, "yy")]}
    write_grid(tmp_path / "a.TextGrid", tiers)
    labels = read_textgrids(tmp_path)
    assert rows(labels.tier("word"), "label") == [("the",), ("cat",)]
    assert [x for *_, x in phones(labels)] == ["DH", "AH", "K", "yy"]
    assert any("1 phone labels are unknown and taken as they are: yy" in w for w in labels.warnings)


def test_letters_of_two_alphabets_follow_all_files(tmp_path):
    """A short French word has no letter that tells: the other files do."""
    for name, labels in (("tu", ["t", "y"]), ("rue", ["ʁ", "y"])):
        write_sound(tmp_path / f"{name}.wav")
        entries = [(0.2 * at, 0.2 * at + 0.2, label) for at, label in enumerate(labels)]
        write_grid(tmp_path / f"{name}.TextGrid", {"phones": entries})
    assert [x for *_, x in phones(read_textgrids(tmp_path))] == ["ʁ", "y", "T", "y"]


def test_an_alphabet_that_is_not_known_passes_as_it_is(tmp_path):
    write_sound(tmp_path / "a.wav")
    labels = ["q", "ia5", "x", "iao3", "uei4", "b", "sil"]
    entries = [(0.1 * at, 0.1 * at + 0.1, label) for at, label in enumerate(labels)]
    write_grid(tmp_path / "a.TextGrid", {"phones": entries})
    found = read_textgrids(tmp_path)
    assert [x for *_, x in phones(found)] == labels[:-1]
    assert any("of no alphabet that is known here" in text for text in found.warnings)


def test_every_bad_file_is_named_at_once(tmp_path):
    for name in ("a", "b", "c", "d"):
        write_sound(tmp_path / f"{name}.wav")
        write_grid(tmp_path / f"{name}.TextGrid", {"phones": PHONES})
    (tmp_path / "a.TextGrid").write_text("nothing")
    write_grid(tmp_path / "b.TextGrid", {"Laute": PHONES})
    (tmp_path / "c.TextGrid").write_bytes((tmp_path / "c.TextGrid").read_bytes()[:200])
    with pytest.raises(InputError, match="3 problems") as caught:
        read_textgrids(tmp_path)
    for said in ("a.TextGrid is not a whole", "b.TextGrid has none", "c.TextGrid is not a whole"):
        assert said in str(caught.value)


def test_tiers_in_any_order_and_case_and_twice(tmp_path):
    write_sound(tmp_path / "a.wav")
    tiers = {"Ann - PHONES": PHONES[:3], "Notes": WORDS, "bob - Words ": WORDS[:3]}
    write_grid(tmp_path / "a.TextGrid", tiers)
    labels = read_textgrids(tmp_path)
    assert rows(labels.tier("phone"), "label", "speaker") == [("DH", "Ann"), ("AH", "Ann")]
    assert rows(labels.tier("word"), "label", "speaker") == [("the", "bob"), ("cat", "bob")]
    grid = (tmp_path / "a.TextGrid").read_text()
    (tmp_path / "a.TextGrid").write_text(grid.replace("Ann - PHONES", "bob - Words "))
    again = read_textgrids(tmp_path)
    assert set(rows(again.tier("word"), "label")) >= {("the",), ("cat",), ("dh",), ("ah0",)}


def test_speakers_stand_before_the_names_of_tiers(tmp_path):
    write_sound(tmp_path / "talk.wav")
    tiers = {"ann - words": WORDS[:2], "bob - x - words": WORDS[2:3], "ann - phones": PHONES}
    write_grid(tmp_path / "talk.TextGrid", tiers)
    labels = read_textgrids(tmp_path, speaker="folder")
    assert rows(labels.tier("word"), "label", "speaker") == [("the", "ann"), ("cat", "bob - x")]


def test_speakers_from_the_recordings_name(mfa):
    audio = mfa.parent / "corpus"
    labels = read_textgrids(mfa, audio=audio, speaker=r"/(\w)")
    assert set(labels.table["speaker"]) == {"o", "t"}
    for rule, says in (("(", "does not say who"), ("ann", "no group"), ("(x+)", "does not match")):
        with pytest.raises(InputError, match=says):
            read_textgrids(mfa, audio=audio, speaker=rule)


def test_tiers_of_other_names(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_grid(tmp_path / "a.TextGrid", {"Laute": PHONES, "Silben": [(0.2, 0.8, " ðə ")]})
    with pytest.raises(InputError, match=r"none of the tiers phones.*it has 'Laute', 'Silben'"):
        read_textgrids(tmp_path)
    labels = read_textgrids(tmp_path, tiers={"laute": "phone", "Silben": "syllable"})
    assert phones(labels) == SPOKEN
    assert rows(labels.tier("syllable"), "label") == [("ðə",)]


def test_recordings_are_matched_by_file_name_where_it_is_the_only_one(tmp_path):
    for name in ("x/deep/a.wav", "x/b.wav", "y/b.wav"):
        write_sound(tmp_path / "sound" / name)
    for name in ("a", "b"):
        write_grid(tmp_path / "grids" / f"{name}.TextGrid", {"phones": PHONES})
    labels = read_textgrids(tmp_path / "grids", audio=tmp_path / "sound")
    assert set(labels.table["recording"]) == {"x/deep/a"}
    assert any("no audio: b" in warning for warning in labels.warnings)


def test_annotation_of_a_longer_recording_is_refused(tmp_path):
    write_sound(tmp_path / "a.wav", 0.05)
    later = [(start + 0.4, end + 0.4, label) for start, end, label in PHONES]
    write_grid(tmp_path / "a.TextGrid", {"phones": later})
    with pytest.raises(InputError, match=r"5 segments lie outside.*lasts 0\.050 s"):
        read_textgrids(tmp_path)


def test_damaged_textgrids_are_named(mfa):
    file = mfa / "ann/two.TextGrid"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError, match=r"two\.TextGrid is not a whole TextGrid"):
        read_textgrids(mfa, audio=mfa.parent / "corpus")


# --- LibriSpeech -------------------------------------------------------------------------------


@pytest.fixture
def libri(tmp_path) -> Path:
    """Three subsets with one chapter each; no TextGrids."""
    root = tmp_path / "LibriSpeech"
    for subset, speaker in (("train-clean-100", 19), ("dev-clean", 84), ("test-other", 1688)):
        chapter = root / subset / str(speaker) / "198"
        for number in range(2):
            write_sound(chapter / f"{speaker}-198-{number:04}.flac")
        write_text(
            chapter / f"{speaker}-198.trans.txt",
            f"{speaker}-198-0000 GO DO YOU HEAR",
            f"{speaker}-198-0001 BUT IN LESS THAN {speaker}",
        )
    return root


def test_transcripts_and_grids_of_other_programs_are_read(libri, tmp_path):
    """Zeros and marks of Windows in a transcript, a small ending of a TextGrid."""
    for path in libri.rglob("*.trans.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\0\0")
    before = read_librispeech(libri)
    audio = min(libri.rglob("*.flac"))
    write_grid(audio.with_suffix(".textgrid"), {"words": WORDS, "phones": PHONES})
    labels = read_librispeech(libri)
    assert rows(labels.tier("sentence"), "label") == rows(before.tier("sentence"), "label")
    assert {"word", "phone"} <= set(labels.tiers)


def test_names_of_librispeech_in_another_case_are_met(tmp_path):
    chapter = tmp_path / "Dev-Clean/Anna/198"
    grid = {"words": WORDS, "phones": PHONES}
    write_sound(chapter / "anna-198-0000.flac")
    write_sound(chapter / "Anna-198-0001.FLAC")
    write_grid(chapter / "ANNA-198-0000.textgrid", grid)
    write_text(chapter / "Anna-198.trans.txt", "Anna-198-0000 GO", "ANNA-198-0001 DO")
    labels = read_librispeech(tmp_path)
    found = rows(labels.tier("sentence"), "recording", "label", "split")
    assert found == [
        ("Dev-Clean/Anna/198/Anna-198-0001", "DO", "valid"),
        ("Dev-Clean/Anna/198/anna-198-0000", "GO", "valid"),
    ]
    assert {"word", "phone"} <= set(labels.tiers)


def test_librispeech_has_sentences_speakers_and_splits(libri):
    labels = read_librispeech(libri)
    assert labels.tiers == ("sentence",) and labels.warnings == ()
    assert rows(labels, "recording", "start", "end", "label", "speaker", "split")[:2] == [
        ("dev-clean/84/198/84-198-0000", 0.0, 1.0, "GO DO YOU HEAR", "84", "valid"),
        ("dev-clean/84/198/84-198-0001", 0.0, 1.0, "BUT IN LESS THAN 84", "84", "valid"),
    ]
    splits = dict(rows(labels, "speaker", "split"))
    assert splits == {"19": "train", "84": "valid", "1688": "test"}
    assert set(read_librispeech(libri / "test-other/1688").table["split"]) == {"test"}


@pytest.mark.parametrize("beside", [True, False])
def test_librispeech_alignments_beside_and_apart(beside, libri, tmp_path):
    where = libri if beside else tmp_path / "alignments"
    grid = where / "dev-clean/84/198/84-198-0000.TextGrid"
    write_grid(grid, {"words": WORDS, "phones": PHONES})
    labels = read_librispeech(libri, alignments=None if beside else where)
    assert phones(labels) == SPOKEN
    assert rows(labels.tier("word"), "label", "speaker", "split") == [
        ("the", "84", "valid"),
        ("cat", "84", "valid"),
    ]
    assert len(labels.tier("sentence").table) == 6
    assert labels.warnings[0].startswith("5 utterances have no TextGrid")


def test_what_is_no_librispeech_is_refused(libri):
    for transcript in libri.rglob("*.trans.txt"):
        transcript.unlink()
    with pytest.raises(InputError, match="no transcripts"):
        read_librispeech(libri)


# --- gentle ------------------------------------------------------------------------------------

STORY = {
    "transcript": "The cat, um.",
    "words": [
        {
            "alignedWord": "the",
            "case": "success",
            "end": 0.4,
            "endOffset": 3,
            "phones": [{"duration": 0.12, "phone": "dh_B"}, {"duration": 0.08, "phone": "ah_E"}],
            "start": 0.2,
            "startOffset": 0,
            "word": "The",
        },
        {"case": "not-found-in-audio", "endOffset": 7, "startOffset": 4, "word": "cat"},
        {
            "alignedWord": "<unk>",
            "case": "success",
            "end": 0.9,
            "phones": [{"duration": 0.3, "phone": "oov_S"}],
            "start": 0.6,
            "word": "um",
        },
    ],
}


def write_story(path: Path, story) -> Path:
    return write_text(path, json.dumps(story, indent=4))


@pytest.mark.parametrize("layout", ["gentle/{}/align.json", "gentle/{}.json"])
def test_gentle_gives_words_and_phones(layout, tmp_path):
    for name in ("pieman", "tunnel"):
        write_sound(tmp_path / f"stimuli/{name}_audio.wav")
        write_story(tmp_path / layout.format(name), STORY)
    options = {"audio": tmp_path / "stimuli", "audio_suffix": "_audio"}
    labels = read_gentle(tmp_path / "gentle", **options)
    assert set(labels.table["recording"]) == {"pieman", "tunnel"}
    assert words(labels)[:2] == [(0.2, 0.4, "the"), (0.6, 0.9, "um")]
    found = phones(labels)[:2]
    assert [label for *_, label in found] == ["DH", "AH"]
    assert [time for *times, _ in found for time in times] == pytest.approx([0.2, 0.32, 0.32, 0.4])
    assert "left out: 2 words that gentle did not find in the audio" in labels.warnings
    raw = read_gentle(tmp_path / "gentle", fold_phones=False, **options)
    assert [label for *_, label in phones(raw)][:2] == ["dh", "ah"]


@pytest.mark.parametrize(
    ("story", "says"),
    [
        ([], "no list of words"),
        ({"words": {}}, "no list of words"),
        ({"words": [3]}, "no list of words"),
        ({"words": [{"case": "success", "word": "a", "start": 0.1}]}, "lacks or breaks 'end'"),
        ({"words": [{"word": "a", "start": "x", "end": 1}]}, "which is no time"),
        ({"words": [{"word": "a", "start": 0, "end": 1, "phones": [{"phone": "b"}]}]}, "duration"),
    ],
)
def test_what_is_no_alignment_of_gentle_is_refused(story, says, tmp_path):
    write_sound(tmp_path / "a.wav")
    write_story(tmp_path / "a.json", story)
    with pytest.raises(InputError, match=f"no alignment of gentle: .*{says}"):
        read_gentle(tmp_path)


def test_quotes_and_bytes_of_gentles_table_lose_no_row_in_silence(tmp_path):
    words = ['"a,a,0,0.1', "b,b,0.1,0.2", '"c",c,0.2,0.3', '"d, e",d,0.3,0.4', "é,é,0.4,0.5"]
    content = "\n".join(words).encode() + b"\n\xff,f,0.5,0.6\n"
    (tmp_path / "align.csv").write_bytes(content)
    told = []
    found = read_tiers(tmp_path / "align.csv", told)["words"]
    assert [one.label for one in found] == ['"a', "b", "c", "d, e", "é", "\ufffd"]
    assert any("taken as text in line 1" in text for text in told)
    assert any("no UTF-8 in line 6" in text for text in told)


def test_json_of_other_programs_is_told_as_what_it_is(tmp_path):
    write_sound(tmp_path / "a.wav")
    said = {"segments": [{"start": 0, "end": 1, "words": [{"word": "a", "start": 0, "end": 1}]}]}
    write_story(tmp_path / "a.json", said)
    with pytest.raises(InputError, match="a transcript of Whisper or WhisperX"):
        read_gentle(tmp_path)
    write_story(tmp_path / "a.json", {"start": 0, "end": 1, "tiers": {"words": {"entries": []}}})
    with pytest.raises(InputError, match="a TextGrid as JSON"):
        read_gentle(tmp_path)


def test_every_damaged_alignment_is_named(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    for name, text in (("a", "{"), ("b", deep), ("c", json.dumps(STORY))):
        write_sound(tmp_path / f"{name}.wav")
        write_text(tmp_path / f"{name}.json", text)
    with pytest.raises(InputError, match="no alignment of gentle") as caught:
        read_gentle(tmp_path)
    said = str(caught.value)
    assert "a.json" in said and "b.json" in said and "c.json" not in said
    assert "nested too deeply" in said


def test_cut_json_is_refused(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_text(tmp_path / "a.json", json.dumps(STORY)[:50])
    with pytest.raises(InputError, match="no alignment of gentle"):
        read_gentle(tmp_path)


def test_gentle_without_a_found_word_is_refused(tmp_path):
    write_sound(tmp_path / "a.wav")
    write_story(tmp_path / "a.json", {"words": [STORY["words"][1]]})
    with pytest.raises(InputError, match="0 segments"):
        read_gentle(tmp_path)
