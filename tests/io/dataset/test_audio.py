import math
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.io.dataset import audio as audio_module
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, audio_seconds, load_audio


def tone(seconds, rate, channels=1, frequency=440.0):
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * frequency * time)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def dominant_frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / samples.size


@pytest.mark.parametrize(
    ("name", "rate", "channels", "options"),
    [
        ("a.wav", 44100, 2, {}),
        ("a.wav", 48000, 6, {"subtype": "FLOAT"}),
        ("a.wav", 8000, 1, {}),
        ("a.wav", 16000, 2, {"subtype": "PCM_24"}),
        ("a.flac", 44100, 2, {}),
        ("a.ogg", 44100, 2, {}),
        ("a.opus", 48000, 2, {"format": "OGG", "subtype": "OPUS"}),
        ("a.opus", 16000, 1, {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", 44100, 2, {}),
    ],
)
def test_every_format_becomes_16_khz_mono(tmp_path, name, rate, channels, options):
    path = tmp_path / name
    soundfile.write(path, tone(2.5, rate, channels), rate, **options)

    audio = load_audio(path)

    assert audio.dtype == np.float32
    assert audio.ndim == 1
    assert audio.size == pytest.approx(2.5 * SAMPLE_RATE_HZ, abs=1)
    assert audio_seconds(path) == pytest.approx(audio.size / SAMPLE_RATE_HZ, abs=1e-4)
    assert dominant_frequency(audio) == pytest.approx(440, abs=1)
    middle = audio[8000:-8000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.4 / math.sqrt(2), rel=0.05)


def test_block_reading_equals_one_call_on_the_whole_file(tmp_path, rng):
    samples = 0.1 * rng.standard_normal((44100 * 3 + 17, 2))
    path = tmp_path / "noise.wav"
    soundfile.write(path, samples, 44100, subtype="FLOAT")

    expected = soxr.resample(samples.astype(np.float32).mean(axis=1), 44100, 16000, quality="HQ")

    np.testing.assert_allclose(load_audio(path), expected, atol=1e-6)


@pytest.mark.parametrize("block_frames", [1000, 4096])
def test_result_does_not_depend_on_the_block_size(tmp_path, rng, monkeypatch, block_frames):
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng.standard_normal((30000, 2)), 22050)
    whole = load_audio(path)

    monkeypatch.setattr(audio_module, "_BLOCK_FRAMES", block_frames)

    np.testing.assert_allclose(load_audio(path), whole, atol=1e-6)


def test_channels_are_averaged(tmp_path):
    left, right = tone(1, 16000), 0.5 * tone(1, 16000)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.hstack([left, right]), 16000, subtype="FLOAT")

    np.testing.assert_allclose(load_audio(path), 0.75 * left[:, 0], atol=1e-6)


def test_an_impulse_keeps_its_time(tmp_path):
    samples = 1e-3 * np.random.default_rng(0).standard_normal(44100 * 2)
    samples[44100] = 0.9
    path = tmp_path / "click.wav"
    soundfile.write(path, samples, 44100)

    assert np.argmax(np.abs(load_audio(path))) == SAMPLE_RATE_HZ


@settings(max_examples=25)
@example(rate=44100, n_frames=2)
@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000]),
    n_frames=st.integers(2, 9000),
)
def test_length_is_the_duration_rounded_to_samples(tmp_path_factory, rate, n_frames):
    path = tmp_path_factory.mktemp("length") / "x.wav"
    soundfile.write(path, np.resize([0.25, -0.25], n_frames), rate, subtype="FLOAT")

    audio = load_audio(path)

    assert audio.size == max(1, round(n_frames * SAMPLE_RATE_HZ / rate))
    assert np.isfinite(audio).all()
    assert audio_seconds(path) == n_frames / rate


def test_memory_stays_near_the_size_of_the_result(tmp_path):
    rate, seconds = 44100, 60
    path = tmp_path / "long.wav"
    soundfile.write(path, tone(seconds, rate, 2), rate)

    tracemalloc.start()
    audio = load_audio(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    whole_file_as_float = seconds * rate * 2 * 4
    assert peak < audio.nbytes + whole_file_as_float / 2


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.wav is missing") as caught:
        load_audio(tmp_path / "nothing.wav")
    assert "audio_dir" in caught.value.hint


def test_folder_instead_of_file(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        audio_seconds(tmp_path)


@pytest.mark.parametrize("content", [b"RIFF", b"not audio at all" * 100])
@pytest.mark.parametrize("read", [load_audio, audio_seconds])
def test_unreadable_file_names_the_allowed_formats(tmp_path, content, read):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.wav.*cannot be read as audio") as caught:
        read(path)
    assert "flac" in caught.value.hint


@pytest.mark.parametrize("read", [load_audio, audio_seconds])
def test_header_without_samples(tmp_path, read):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 2)), 44100)
    with pytest.raises(InputError, match="no samples"):
        read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused_with_their_time(tmp_path, value):
    samples = tone(1, 16000)
    samples[8000] = value
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"NaN or infinite, the first at 0\.500 s"):
        load_audio(path)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_is_refused(tmp_path, rate):
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(16000), rate)
    with pytest.raises(InputError, match="only silence"):
        load_audio(path)


@pytest.mark.parametrize("name", ["cut.flac", "cut.mp3"])
def test_a_file_cut_short_is_refused(tmp_path, rng, name):
    path = tmp_path / name
    soundfile.write(path, 0.1 * rng.standard_normal(44100 * 3), 44100)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.(flac|mp3) ends early: 1\.\d of 3\.\d s"):
        load_audio(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xf1\x50\x80\x2e\x7f\xfc" * 300, "a stream of AAC"),
        (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(range(256)) * 8, "a film"),
        (b"wvpk" + bytes(range(256)) * 8, "WavPack"),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x10mdat" + bytes(range(256)) * 8, "MP4"),
        (b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n", "Shorten"),
    ],
)
def test_what_libsndfile_does_not_read_is_told_with_the_way_to_convert_it(tmp_path, content, kind):
    (tmp_path / "a.wav").write_bytes(content.ljust(4096, b"\x01"))
    with pytest.raises(InputError) as caught:
        load_audio(tmp_path / "a.wav")
    assert kind in caught.value.hint and "convert it" in caught.value.hint
