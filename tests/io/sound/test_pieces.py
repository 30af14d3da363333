"""What a file of sound holds is counted: its header is not believed."""

import re

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.sounds import (
    APE,
    BIG_LIST,
    ID3,
    KINDS,
    LIST,
    RATE,
    encoded,
    encoded_as,
    flac_counting,
    odd_wav,
    speechlike,
    wav_saying,
    with_count,
    without_count,
)

from braindash.errors import InputError
from braindash.io.dataset.audio import audio_seconds, find_recording, load_audio

# An MP3 without its first frame does not say what its encoder put around the sound.
MP3_EDGES = 0.12


@pytest.fixture
def written(tmp_path):
    def write(content: bytes, name: str = "a.wav"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read_as_libsndfile_reads_it(written, kind):
    path = written(encoded_as(kind, 3.0))
    with soundfile.SoundFile(path) as file:
        expected = file.read(1 << 18, dtype="float32")
    assert find_recording(path).counted is None, "its key stays"
    assert find_recording(path).layout.told == ()
    np.testing.assert_array_equal(load_audio(path), expected)
    assert audio_seconds(path) == expected.size / RATE


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (without_count(encoded_as("mp3", 3.0)), 3.0),
        (with_count(encoded_as("mp3", 3.0), 0.5), 3.0),
        (with_count(encoded_as("mp3", 3.0), 3.0), 3.0),
        (encoded_as("mp3", 3.0) + encoded_as("mp3", 2.0, seed=1), 5.0),
        (encoded_as("mp3", 3.0) + ID3 + encoded_as("mp3", 2.0, seed=1), 5.0),
        (encoded_as("mp3", 3.0) + encoded_as("mp3", 2.0, 44100), 5.0),
        (ID3 + without_count(encoded_as("mp3", 3.0)) + ID3 + encoded_as("mp3", 2.0), 5.0),
        (flac_counting(encoded_as("flac", 3.0), 0), 3.0),
        (flac_counting(encoded_as("flac", 3.0), 0) + APE + b"TAG" + bytes(125), 3.0),
        (flac_counting(encoded_as("flac", 3.0), 0) + APE[:-32], 3.0),
        (flac_counting(encoded_as("flac", 3.0), 0) + APE[32:], 3.0),
        (flac_counting(encoded_as("flac", 3.0), RATE), 3.0),
        (encoded_as("flac", 3.0) + encoded_as("flac", 2.0), 5.0),
        (encoded_as("opus", 3.0) + encoded_as("opus", 2.0, 24000), 5.0),
        (encoded_as("vorbis", 3.0) + encoded_as("opus", 2.0), 5.0),
        (encoded_as("wav", 3.0) + encoded_as("wav", 2.0), 5.0),
        (encoded_as("wav", 3.0) + LIST + ID3 + encoded_as("wav", 2.0), 5.0),
        (odd_wav(pad=True) + odd_wav(pad=False) + LIST + odd_wav(pad=True), 9.0),
        (wav_saying(encoded_as("wav", 3.0), 0), 3.0),
        (wav_saying(encoded_as("wav", 3.0), 0) + BIG_LIST + LIST, 3.0),
        (wav_saying(encoded_as("wav", 3.0), 0xFFFFFFFF) + BIG_LIST, 3.0),
        (ID3 + wav_saying(encoded_as("wav", 3.0), 0), 3.0),
        (wav_saying(encoded_as("wav", 3.0), 0, whole=36), 3.0),
        (wav_saying(encoded(speechlike(3.0), "WAV", "FLOAT"), 0), 3.0),
        (wav_saying(encoded(speechlike(3.0), "WAV", "ULAW"), 0), 3.0),
        (wav_saying(encoded_as("wav", 3.0), 0) + encoded_as("wav", 2.0), 5.0),
        (encoded_as("wav", 3.0) + wav_saying(encoded_as("wav", 2.0), 0), 5.0),
        (wav_saying(encoded_as("wav", 3.0), 0xFFFFFFFF) * 2, 6.0),
        (wav_saying(encoded_as("wav", 3.0), 0) + LIST + encoded_as("wav", 2.0, 8000), 5.0),
    ],
    ids=[
        "mp3 without a count",
        "mp3 that counts half",
        "mp3 that counts thrice",
        "mp3s joined",
        "mp3s joined with a tag",
        "mp3s of two rates joined",
        "mp3s joined, the first without a count",
        "flac of unknown length",
        "flac of unknown length with tags behind it",
        "flac of unknown length with a tag that has no footer",
        "flac of unknown length with a tag that has no header",
        "flac that counts a third",
        "flacs joined",
        "opus chained",
        "vorbis and opus chained",
        "wavs joined",
        "wavs joined with tags",
        "wavs of an odd size joined",
        "wav never completed",
        "wav never completed, with chunks behind the sound",
        "wav of the largest size, with a chunk behind the sound",
        "wav never completed, behind a tag",
        "wav never completed, as ffmpeg leaves it",
        "float wav never completed",
        "wav in mu-law never completed",
        "wavs joined, the first never completed",
        "wavs joined, the last never completed",
        "streamed wavs joined",
        "wavs of two rates joined, the first never completed, with a chunk",
    ],
)
def test_what_the_header_hides_is_read_and_enters_the_key(written, content, seconds):
    path = written(content)
    audio = load_audio(path)
    assert audio.size / RATE == pytest.approx(seconds, abs=MP3_EDGES)
    assert audio_seconds(path) == pytest.approx(audio.size / RATE, abs=1e-3)
    assert find_recording(path).counted == audio.size
    middle = audio[-RATE : -RATE // 4]
    assert np.sqrt(np.mean(middle**2)) > 0.01, "there is sound up to the end"


@pytest.mark.parametrize(
    "before",
    [ID3 + bytes(3000), bytes(3000), b"\x01\x80junk" * 500, APE],
    ids=["the padding of a tag", "zeros", "something else", "a tag of APE"],
)
def test_an_mp3_behind_something_else_is_read_to_its_last_frame(written, before):
    path = written(before + without_count(encoded_as("mp3", 3.0)), "a.mp3")
    assert load_audio(path).size == find_recording(path).counted
    assert audio_seconds(path) == pytest.approx(3.0, abs=MP3_EDGES)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF - 36, 0x80000000])
def test_a_streamed_wav_is_read_to_its_end_and_told(written, size):
    path = written(wav_saying(encoded_as("wav", 3.0), size))
    recording = find_recording(path)
    assert load_audio(path).size == 3 * RATE
    assert recording.counted is None, "libsndfile read it whole before"
    assert "never completed" in recording.layout.told[0]


@pytest.mark.parametrize("form", ["RF64", "W64", "AIFF", "AU", "CAF", "NIST"])
def test_other_forms_are_read_and_refused_when_they_end_early(written, form):
    content = encoded(speechlike(3.0), form, "PCM_16")
    assert load_audio(written(content)).size == 3 * RATE
    with pytest.raises(InputError, match=r"ends early"):
        find_recording(written(content[: len(content) // 2], "cut.wav"))


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU"])
def test_a_tag_in_front_hides_no_end(written, form):
    content = ID3 + encoded(speechlike(3.0), form, "PCM_16")
    assert load_audio(written(content)).size == 3 * RATE
    with pytest.raises(InputError, match=r"ends early"):
        find_recording(written(content[: len(content) // 2], "cut.wav"))


@pytest.mark.parametrize("unknown", [bytes(24), b"\xff" * 24])
def test_a_large_wav_whose_size_was_never_written_is_read(written, unknown):
    content = encoded(speechlike(3.0), "RF64", "PCM_16")
    at = content.index(b"ds64") + 8
    path = written(content[:at] + unknown + content[at + 24 :])
    assert load_audio(path).size == 3 * RATE


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.2, 0.9))
def test_a_file_that_ends_early_says_how_much_of_how_much_is_there(tmp_path_factory, kind, share):
    content = encoded_as(kind, 3.0)
    path = tmp_path_factory.mktemp("cut") / f"a.{kind}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"ends early: \d\.\d of 3\.\d s can be read") as caught:
        load_audio(path)
    found = re.search(r"early: ([\d.]+) of ([\d.]+) s", caught.value.message)
    assert float(found[1]) <= 3.0 * share + 0.4 and float(found[2]) == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.3, 0.95))
def test_a_stream_that_ends_within_a_page_is_refused(tmp_path_factory, kind, share):
    content = encoded_as(kind, 3.0)
    cut = content[: int(share * len(content))]
    path = tmp_path_factory.mktemp("cut") / "a.ogg"
    path.write_bytes(cut)
    with pytest.raises(InputError, match=r"ends early: \d\.\d s|cannot be read"):
        load_audio(path)


def test_a_flac_of_unknown_length_that_was_cut_is_refused(written):
    content = flac_counting(encoded_as("flac", 3.0), 0)
    with pytest.raises(InputError, match=r"ends early: 1\.\d s can be read .*not whole"):
        load_audio(written(content[: len(content) // 2]))


def test_a_cut_stream_before_another_one_is_no_whole_recording(written):
    first = encoded_as("opus", 3.0)
    path = written(first[: len(first) // 2] + encoded_as("opus", 2.0))
    with pytest.raises(InputError, match=r"damaged: .* pages are missing"):
        load_audio(path)


def test_sound_behind_the_announced_sound_is_not_lost_in_silence(written):
    wav = encoded_as("wav", 3.0)
    path = written(wav_saying(wav, 2 * RATE, whole=len(wav) - 8))
    with pytest.raises(InputError, match=r"follow 64000 more \(2\.0 s, if they are sound\)"):
        load_audio(path)
    later = written(wav_saying(wav + bytes(70000) + wav[44:], 6 * RATE), "later.wav")
    with pytest.raises(InputError, match=r"more \(5\.2 s, if they are sound\)"):
        load_audio(later)
    for number, behind in enumerate((LIST, BIG_LIST, bytes(70000))):
        path = written(wav + behind, f"{number}.wav")
        assert find_recording(path).counted is None and load_audio(path).size == 3 * RATE


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(["flac", "vorbis", "opus", "mp3", "wav"]),
    seconds=st.lists(st.sampled_from([0.5, 0.8, 1.1, 2.0]), min_size=2, max_size=4),
    tagged=st.booleans(),
)
def test_joined_files_last_as_long_as_their_pieces(tmp_path_factory, kind, seconds, tagged):
    pieces = [encoded_as(kind, one, seed=number) for number, one in enumerate(seconds)]
    path = tmp_path_factory.mktemp("joined") / f"a.{kind}"
    path.write_bytes((ID3 if tagged and kind == "mp3" else b"").join(pieces))
    recording = find_recording(path)
    assert recording.seconds == pytest.approx(sum(seconds), abs=1e-3)
    assert load_audio(path).size == recording.n_samples == recording.counted
    assert f"{len(seconds)} recordings, one behind the other" in recording.layout.told[0]


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=400), head=st.sampled_from([
    b"RIFF\x00\x00\x00\x00WAVE", b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"\xff\xfb\x90\x64",
    b"ID3\x03",
    b"FORM\x00\x00\x00\x00AIFF", b"riff", b"caff\x00\x01\x00\x00", b".snd", b"NIST_1A\n   1024\n",
]))  # fmt: skip
def test_whatever_the_bytes_are_the_answer_is_an_error_in_words(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("odd") / "a.wav"
    path.write_bytes(head + content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_audio(path)


# ---- what would be lost, shifted or heard without a word -----------------------------------------

OTHERS = {form: encoded(speechlike(2.0), form, "PCM_16") for form in ("AIFF", "AU", "CAF", "NIST")}
OTHERS |= {"W64": encoded(speechlike(2.0), "W64", "PCM_16")}
BARE_MP3 = without_count(encoded_as("mp3", 3.0))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *((one, one) for one in OTHERS.values()),
        *((encoded_as("wav", 3.0), encoded_as(kind, 2.0)) for kind in ("flac", "opus")),
        *((encoded_as("wav", 3.0), OTHERS[form]) for form in ("AIFF", "CAF", "AU", "W64")),
        *((encoded_as("mp3", 3.0), encoded_as(kind, 2.0)) for kind in ("wav", "flac", "vorbis")),
        (BARE_MP3 + APE, encoded_as("wav", 2.0)),
        (encoded_as("flac", 3.0), encoded_as("wav", 2.0)),
        (encoded_as("vorbis", 3.0), encoded_as("wav", 2.0)),
        (OTHERS["AU"][:8] + b"\xff" * 4 + OTHERS["AU"][12:], OTHERS["AU"]),
    ],
)
def test_files_of_two_kinds_joined_are_refused(written, first, second):
    with pytest.raises(InputError, match=r"damaged: (another file of sound begins|behind the \d+)"):
        find_recording(written(first + second))


@pytest.mark.parametrize("behind", [BARE_MP3, b"junk!" * 250000], ids=["mp3", "junk"])
def test_something_behind_a_flac_is_told(written, behind):
    path = written(encoded_as("flac", 3.0) + behind, "a.flac")
    assert "no FLAC" in find_recording(path).layout.told[0]
    assert load_audio(path).size == 3 * RATE


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_an_mp3_whose_end_is_zeros_ends_early(written, share):
    kept = int(share * len(BARE_MP3))
    path = written(BARE_MP3[:kept] + bytes(len(BARE_MP3) - kept), "a.mp3")
    with pytest.raises(InputError, match=r"ends early: \d\.\d of (2\.9|3\.[01]) s can be read"):
        find_recording(path)
    joined = written(encoded_as("mp3", 3.0) + path.read_bytes(), "joined.mp3")
    with pytest.raises(InputError, match=r"ends early: \d\.\d of (5\.9|6\.[012]) s can be read"):
        find_recording(joined)


@pytest.mark.parametrize(
    "behind",
    [
        b"TAG" + bytes(125),
        APE + b"TAG" + bytes(125),
        b"LYRICSBEGIN" + b"la" * 5000 + b"LYRICSEND" + b"TAG" + bytes(125),
        b"LYRICSBEGIN" + b"la" * 5000 + b"009999LYRICS200",
        ID3,
        bytes(300),
    ],
)
@pytest.mark.parametrize("before", [BARE_MP3, encoded_as("mp3", 3.0)], ids=["bare", "counted"])
def test_tags_behind_an_mp3_are_no_loss(written, before, behind):
    assert audio_seconds(written(before + behind, "a.mp3")) == pytest.approx(3.0, abs=MP3_EDGES)


def test_junk_behind_an_mp3_is_told_as_lost(written):
    with pytest.raises(InputError, match="5000 bytes behind its last frame are no sound"):
        find_recording(written(BARE_MP3 + b"junk!" * 1000, "a.mp3"))


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
@settings(max_examples=10, deadline=None)
@given(share=st.floats(0.3, 0.95), bit=st.integers(0, 7))
def test_a_damaged_page_is_refused(tmp_path_factory, kind, share, bit):
    content = bytearray(encoded_as(kind, 3.0))
    content[int(share * len(content))] ^= 1 << bit
    path = tmp_path_factory.mktemp("page") / "a.ogg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged|ends early|cannot be read"):
        load_audio(path)


def with_last_count(content: bytes, samples: int) -> bytes:
    """Let the last page of a stream of Ogg count other samples, with a checksum that fits."""
    at = content.rindex(b"OggS")
    page = bytearray(content[at:])
    page[6:14], page[22:26] = samples.to_bytes(8, "little"), bytes(4)
    rest = 0
    for byte in page:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x04C11DB7 if rest >> 31 else rest << 1) & 0xFFFFFFFF
    page[22:26] = rest.to_bytes(4, "little")
    return content[:at] + bytes(page)


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_a_stream_that_counts_backwards_is_no_shorter_one(written, kind):
    with pytest.raises(InputError, match="counts fewer samples than one before"):
        find_recording(written(with_last_count(encoded_as(kind, 3.0), 2000), "a.ogg"))


@pytest.mark.parametrize("too_much", [50, 700, 5000])
def test_a_tag_that_counts_too_much_hides_no_sound(written, too_much):
    tag = bytearray(ID3 + bytes(300))
    size = (tag[8] << 7 | tag[9]) + 300 + too_much  # of seven bits each
    tag[6:10] = bytes([0, size >> 14, size >> 7 & 127, size & 127])
    path = written(bytes(tag) + encoded_as("mp3", 3.0), "a.mp3")
    assert load_audio(path).size == find_recording(path).counted
    assert audio_seconds(path) == pytest.approx(3.0, abs=MP3_EDGES)
    assert any("its sound begins within it" in one for one in find_recording(path).layout.told)


@pytest.mark.parametrize("form", ["VOC", "SVX", "MAT5", "PVF", "AVR", "IRCAM", "PAF", "MPC2K"])
def test_forms_that_nobody_counts_are_refused(written, form):
    with pytest.raises(InputError, match=rf"of a format \({form}\)") as caught:
        find_recording(written(encoded(speechlike(1.0), form, "PCM_16")))
    assert "ffmpeg" in caught.value.hint


@pytest.mark.parametrize("rate", [1, 16, 3999, 768001, 2**31 - 1])
def test_rates_that_no_recording_has_are_refused(written, rate):
    wav = encoded_as("wav", 1.0)
    path = written(wav[:24] + int(rate).to_bytes(4, "little") + wav[28:])
    with pytest.raises(InputError, match=f"says {rate} samples per second|cannot be read"):
        load_audio(path)


def test_a_damaged_flac_says_up_to_where_it_can_be_read(written):
    content = bytearray(encoded_as("flac", 3.0))
    half = len(content) // 2
    content[half : half + 200] = bytes(200)
    with pytest.raises(InputError, match=r"damaged .*: 1\.[2-6] of 3\.0 s can be read"):
        load_audio(written(bytes(content), "a.flac"))


def test_a_cut_file_that_cannot_be_opened_says_its_share(written):
    content = OTHERS["CAF"]
    with pytest.raises(InputError, match=r"ends early: (about [45]\d% of its sound|1\.0 of 2\.0)"):
        find_recording(written(content[: len(content) // 2]))
