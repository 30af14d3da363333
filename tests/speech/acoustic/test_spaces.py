"""Acoustic spaces: each number by another route, and the whole way of a speech model."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.toy_lab import N_TARGETS
from scipy.fft import dct
from scipy.signal import lfilter

import braindash
from braindash.core.timing import lanczos_weights
from braindash.encoding.plan import plan_encoding
from braindash.errors import InputError, ModelError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.speech.acoustic.pitch import _difference, _normalised, pitch, pitch_track
from braindash.speech.acoustic.spaces import PARTS, SPACES, AcousticSpace
from braindash.speech.acoustic.spectral import (
    cepstrum,
    even_spectrum,
    frame_times,
    log_energy,
    log_mel,
    mel_bank,
    n_frames,
    slopes,
)
from braindash.speech.checkpoints.locate import locate
from braindash.speech.features import (
    estimate_seconds,
    extract,
    plan_windows,
    window_features,
)
from braindash.speech.models import AcousticModel, open_model
from braindash.work.kinds import preflight

RATE = 16000
# Those made of annotations are not opened: tests/encoding/test_annotated_models.py has them.
NAMES = [space.full_name for space in SPACES.values() if space.tier is None]
SILENCE_LOG_RMS = np.log(1e-5)


def seconds(length: float) -> np.ndarray:
    return np.arange(int(length * RATE)) / RATE


def tone(f0: float, length: float = 0.5, harmonics: tuple[int, ...] = (1,)) -> np.ndarray:
    """A sum of harmonics of one F0."""
    waves = [np.sin(2 * np.pi * f0 * k * seconds(length) + k) / k for k in harmonics]
    return (0.1 * np.sum(waves, axis=0)).astype(np.float32)


def whole(function, samples: np.ndarray) -> np.ndarray:
    return function(samples, 0, n_frames(len(samples)))


# ---- spectrum, cepstrum, energy -----------------------------------------------------------------


def test_mel_bank_equals_that_of_transformers():
    from transformers.audio_utils import mel_filter_bank

    expected = mel_filter_bank(257, 80, 60.0, 8000.0, RATE, norm=None, mel_scale="slaney")
    np.testing.assert_allclose(mel_bank(), expected.T, atol=1e-9)
    assert ((mel_bank() > 0).sum(axis=1) >= 2).all()


def test_the_power_spectrum_is_that_of_scipy_in_bands_named_by_their_edges(sound):
    from scipy.signal import stft

    edges = PARTS["spectrum"].settings["edges_hz"]
    assert len(edges) == 65 and edges[0] == 15.625 and np.allclose(np.diff(edges), 125)
    found = whole(even_spectrum, sound)
    hz, _, transform = stft(
        sound.astype(float), RATE, "hann", 400, 240, 512, boundary=None, padded=False
    )
    power = np.abs(transform) ** 2  # of a taper of sum 1 too
    for band in (0, 1, 30, 63):
        inside = (hz > edges[band]) & (hz < edges[band + 1])
        assert inside.sum() == 4
        expected = np.log(np.maximum(power[inside].sum(axis=0), 1e-10))
        np.testing.assert_allclose(found[:, band], expected[: len(found)], rtol=1e-4, atol=1e-3)


def test_log_mel_equals_a_literal_fourier_transform(sound):
    """Frame by frame: 400 samples from 160 i on, a Hann taper of sum 1, the defining sum."""
    found = log_mel(sound, 0, n_frames(len(sound)))
    assert found.shape == (n_frames(len(sound)), 80) and found.dtype == np.float32
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    for frame in (0, 1, 777, len(found) - 1):
        piece = sound[160 * frame : 160 * frame + 400].astype(float)
        power = np.abs(waves @ (piece * taper / taper.sum())) ** 2
        expected = np.log(np.maximum(mel_bank() @ power, 1e-10))
        np.testing.assert_allclose(found[frame], expected, rtol=1e-5, atol=1e-5)


def test_a_tone_is_loudest_in_the_band_that_holds_it():
    centres = mel_bank().argmax(axis=1) * RATE / 512
    for hz in (300.0, 1000.0, 3500.0):
        band = int(np.median(whole(log_mel, tone(hz)).argmax(axis=1)))
        assert abs(centres[band] - hz) < 0.06 * hz + 32


def test_cepstrum_equals_a_loop(sound):
    bands = whole(log_mel, sound).astype(float)
    found = whole(cepstrum, sound)
    assert found.shape == (len(bands), 39)
    still = np.stack([dct(row, type=2, norm="ortho")[:13] for row in bands])

    def fitted(rows, frame):
        """Slope of the line through five frames, ends repeated."""
        around = np.clip(np.arange(frame - 2, frame + 3), 0, len(rows) - 1)
        return np.polyfit(np.arange(5), rows[around], 1)[0]

    rising = np.stack([fitted(still, frame) for frame in range(len(still))])
    for frame in (0, 1, 2, 900, len(still) - 1):
        expected = np.concatenate([still[frame], rising[frame], fitted(rising, frame)])
        np.testing.assert_allclose(found[frame], expected, atol=2e-4)


def test_slopes_of_a_ramp_are_its_slope():
    ramp = np.arange(20.0)[:, None] * [[1.0, -0.5]]
    np.testing.assert_allclose(slopes(ramp)[2:-2], np.tile([1.0, -0.5], (16, 1)))


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 1e-3])
def test_energy_of_known_signals(amplitude):
    """25 ms hold five whole periods of the square of a 100 Hz sine."""
    sine = (amplitude * np.sin(2 * np.pi * 100 * seconds(0.3))).astype(np.float32)
    np.testing.assert_allclose(
        whole(log_energy, sine), np.log(amplitude / np.sqrt(2)), rtol=0, atol=1e-4
    )
    constant = np.full(1000, amplitude, np.float32)
    np.testing.assert_allclose(whole(log_energy, constant), np.log(amplitude), atol=1e-5)


def test_frames_stand_for_the_middle_of_their_window():
    click = np.zeros(RATE, np.float32)
    click[8000] = 1.0  # at 0.5 s
    loud = np.flatnonzero(whole(log_energy, click)[:, 0] > SILENCE_LOG_RMS + 1)
    times = frame_times(0, n_frames(RATE))[loud]
    assert np.abs(times - 0.5).max() <= 0.0125
    assert abs(times.mean() - 0.5) <= 0.005


# ---- pitch --------------------------------------------------------------------------------------


def test_difference_equals_a_loop():
    windows = np.random.default_rng(1).standard_normal((3, 668))
    raw = _difference(windows)
    literal = np.zeros((3, 269))
    for lag in range(269):
        literal[:, lag] = ((windows[:, :400] - windows[:, lag : lag + 400]) ** 2).sum(axis=1)
    np.testing.assert_allclose(raw, literal, atol=1e-9)
    ratios = _normalised(raw, np.array([True, True, False]))
    for lag in (1, 2, 100, 268):
        mean = literal[:2, 1 : lag + 1].mean(axis=1)
        np.testing.assert_allclose(ratios[:2, lag], literal[:2, lag] / mean)
    assert (ratios[:, 0] == 1).all() and (ratios[2] == 1).all()


@pytest.mark.parametrize("f0", [62.0, 85.3, 120.0, 203.7, 331.0, 490.0])
@pytest.mark.parametrize(
    "harmonics", [(1,), tuple(range(1, 9)), (2, 3, 4, 5, 6)], ids=["pure", "voice", "no-first"]
)
def test_pitch_of_tones(f0, harmonics):
    """Within half a percent at every frame, also where the first harmonic is missing."""
    found = pitch_track(tone(f0, harmonics=harmonics))
    inner = slice(3, -3)  # windows that lie wholly inside the sound
    assert found.voiced[inner].all()
    np.testing.assert_allclose(found.f0_hz[inner], f0, rtol=5e-3)
    np.testing.assert_allclose(
        whole(pitch, tone(f0, harmonics=harmonics))[inner],
        np.tile([np.log(f0 / 150), 1.0], (len(found.f0_hz) - 6, 1)),
        atol=5e-3,
    )


@pytest.mark.parametrize(("start", "end"), [(100.0, 300.0), (250.0, 90.0)])
def test_pitch_of_glides(start, end):
    """F0 changes by an octave per second or more; the estimate follows its middle."""
    length = 1.5
    phase = (
        2 * np.pi * (start * seconds(length) + (end - start) / length * seconds(length) ** 2 / 2)
    )
    glide = (0.1 * sum(np.sin(k * phase) / k for k in range(1, 7))).astype(np.float32)
    found = pitch_track(glide)
    times = frame_times(0, len(found.f0_hz))
    expected = start + (end - start) / length * times
    assert found.voiced[3:-3].all()
    np.testing.assert_allclose(found.f0_hz[3:-3], expected[3:-3], rtol=0.02)


def test_pitch_in_noise_keeps_its_octave():
    """At 6 dB signal to noise a voice keeps its F0 in nearly all frames."""
    voice = tone(140.0, 2.0, tuple(range(1, 11)))
    noise = np.random.default_rng(2).standard_normal(len(voice)) * voice.std() / 2
    found = pitch_track((voice + noise).astype(np.float32))
    assert found.voiced.mean() > 0.95
    assert (np.abs(np.log2(found.f0_hz[found.voiced] / 140)) < 0.1).mean() > 0.99


def unvoiced_sounds():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(2 * RATE)
    return {
        "white": (0.1 * noise, 0.0),
        "speech-like": (lfilter([0.02], [1, -0.95], noise), 0.02),
        "silence": (np.zeros(RATE), 0.0),
        "offset": (np.full(RATE, 0.3), 0.0),
        "drift": (0.3 * np.sin(2 * np.pi * 3 * seconds(1.0)), 0.0),
        "rounding": (rng.integers(-1, 2, RATE) / 2**17, 0.0),
    }


@pytest.mark.parametrize("kind", unvoiced_sounds())
def test_sounds_without_pitch_are_unvoiced(kind):
    wave, allowed = unvoiced_sounds()[kind]
    features = whole(pitch, wave.astype(np.float32))
    assert np.isfinite(features).all()
    assert features[:, 1].mean() <= allowed
    assert (features[features[:, 1] == 0, 0] == 0).all()


def test_voicing_begins_and_ends_with_the_sound():
    wave = np.concatenate([np.zeros(RATE), tone(130.0, 1.0, (1, 2, 3)), np.zeros(RATE)])
    found = pitch_track(wave.astype(np.float32))
    times = frame_times(0, len(found.voiced))[found.voiced]
    assert np.abs(times[0] - 1.0) < 0.025 and np.abs(times[-1] - 2.0) < 0.025
    assert len(times) == pytest.approx(100, abs=4)


def test_pitch_does_not_depend_on_loudness():
    wave = tone(180.0, harmonics=(1, 2, 3))
    loud, soft = pitch_track(8 * wave), pitch_track(wave / 512)
    np.testing.assert_allclose(loud.f0_hz, soft.f0_hz, rtol=1e-6)
    np.testing.assert_array_equal(loud.voiced, soft.voiced)


# ---- as a model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_spaces_have_one_layer_of_the_promised_width(name, sound):
    model = open_model(name)
    files = locate(name)
    assert isinstance(model, AcousticModel)
    times = np.arange(4.0, 18.0, 2.0)
    features = extract(model, sound, times)
    assert features.shape == (1, len(times), model.n_features) and features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (model.n_layers, model.name, model.device) == (1, name, "cpu")
    assert model.fingerprint == files.fingerprint and files.family == model.family == "acoustic"
    assert files.config["hidden_size"] == model.n_features
    for other in (extract(model, sound, times, strategy="chunk"), extract(model, sound, times)):
        np.testing.assert_array_equal(other, features)
    assert estimate_seconds(model, 20.0) > 0


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_resampled_frames(name, sound):
    model = open_model(name)
    times = np.array([3.0, 4.5, 6.0, 19.5])
    windows = plan_windows(model, len(sound))
    assert len(windows) > 1 and windows[0].start == 0 and windows[-1].end <= len(sound)
    assert sum(window.seconds for window in windows) == pytest.approx(20.0, abs=0.05)
    blocks = [frames for _, frames in window_features(model, sound, windows)]
    assert blocks[0].shape[1:] == (1, model.n_features)
    frames = np.concatenate(blocks)[:, 0].astype(float)
    weights = lanczos_weights(frame_times(0, len(frames)), times, 1.5)
    np.testing.assert_allclose(extract(model, sound, times, tr=1.5)[0], weights @ frames, atol=1e-4)


def test_the_lowlevel_space_is_its_parts_side_by_side(sound):
    times = np.array([5.0, 7.0])
    parts = [extract(open_model(f"acoustic:{name}"), sound, times) for name in
             ("logmel", "energy", "pitch")]  # fmt: skip
    np.testing.assert_array_equal(
        extract(open_model("acoustic:lowlevel"), sound, times), np.concatenate(parts, axis=2)
    )


@settings(max_examples=25)
@given(data=st.data())
def test_how_a_recording_is_cut_changes_no_number(data, sound):
    piece = sound[: 2 * RATE]
    first = data.draw(st.integers(0, n_frames(len(piece)) - 1))
    stop = data.draw(st.integers(first + 1, n_frames(len(piece))))
    for function in (log_mel, cepstrum, log_energy, pitch):
        expected = whole(function, piece)[first:stop]
        np.testing.assert_allclose(function(piece, first, stop), expected, rtol=1e-5, atol=1e-5)


def test_memory_does_not_grow_with_the_recording():
    """Ten minutes of audio, 38 MB themselves, need less than 60 MB besides; windows are 500 MB."""
    audio = np.tile(tone(150.0, 10.0, (1, 2, 3)), 60)
    times = np.arange(2.0, 600.0, 2.0)
    model = open_model("acoustic:lowlevel")
    tracemalloc.start()
    try:
        features = extract(model, audio, times)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert features.shape == (1, len(times), 83)
    assert peak < 60e6


def test_silence_has_features_and_no_energy():
    audio = np.zeros(4 * RATE, np.float32)
    features = extract(open_model("acoustic:lowlevel"), audio, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(features[0, :, 80], SILENCE_LOG_RMS, rtol=1e-6)
    np.testing.assert_allclose(features[0, :, :80], np.log(1e-10), rtol=1e-6)
    np.testing.assert_array_equal(features[0, :, 81:], 0)


@pytest.mark.parametrize("n_samples", [1, 399])
def test_too_short_audio_is_refused(n_samples):
    with pytest.raises(InputError, match="too short") as caught:
        extract(open_model("acoustic:mfcc"), np.ones(n_samples, np.float32), [0.0], tr=1.0)
    assert "400 samples" in caught.value.hint and "exact" not in caught.value.hint


def test_the_shortest_audio_has_one_frame():
    for name in NAMES:
        features = extract(open_model(name), tone(100.0, 0.025), [0.0, 0.02], tr=1.0)
        assert np.isfinite(features).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_audio_that_is_not_finite_is_refused(value, sound):
    damaged = sound.copy()
    damaged[16000] = value
    with pytest.raises(InputError, match=r"1\.000 s"):
        extract(open_model("acoustic:energy"), damaged, [4.0, 6.0])


def test_there_is_no_second_layer(sound):
    with pytest.raises(InputError, match="no layers"):
        extract(open_model("acoustic:energy"), sound, [4.0, 6.0], layers=[1])


@pytest.mark.parametrize("name", ["acoustic:logmell", "Acoustic:logmel", "acoustic:log-mel"])
def test_an_unknown_space_is_named_with_its_near_match(name):
    for function in (locate, open_model):
        with pytest.raises(ModelError, match="no acoustic feature space") as caught:
            function(name)
        assert "Did you mean 'acoustic:logmel'" in caught.value.hint


def test_a_space_has_no_revision():
    with pytest.raises(InputError, match="revision"):
        locate("acoustic:logmel", "main")


def test_fingerprints_tell_spaces_versions_and_settings_apart():
    assert len({space.fingerprint for space in SPACES.values()}) == len(SPACES)
    part = PARTS["pitch"]
    before = AcousticSpace("p", (part,), "").fingerprint
    assert before == SPACES["pitch"].fingerprint
    changed = [replace(part, version=part.version + 1)]
    changed += [replace(part, settings={**part.settings, "low_hz": 70.0})]
    assert before not in {AcousticSpace("p", (other,), "").fingerprint for other in changed}


def test_looking_a_space_up_needs_no_torch():
    code = (
        "import sys; from braindash.speech.checkpoints.locate import locate;"
        "import braindash.speech.acoustic.model;"
        "locate('acoustic:lowlevel');"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# ---- the whole way ------------------------------------------------------------------------------


def test_a_space_is_encoded_and_cached_like_any_model(lab, tmp_path):
    """The toy lab's responses follow the sound's envelope."""
    store = Store(tmp_path / "store")
    options = {"alphas": (1.0, 1e2, 1e4), "n_permutations": 0, "n_bootstraps": 0}
    model = "acoustic:logmel"
    result = braindash.encode(lab.manifest, model, "A", store=store, **options)
    assert result.n_layers == 1 and result.r.shape == (1, N_TARGETS)
    assert result.r[0, 0] > 0.4
    assert result.provenance["model"]["name"] == model
    assert len(store.entries("features")) == 4
    again = braindash.encode(lab.manifest, model, "A", store=store, strategy="chunk", **options)
    assert again.key == result.key  # windows mean nothing to a space, so it has one result
    request = build_request(EncodeRequest, data=lab.manifest, model=model, subject="B", **options)
    found = preflight(request, store)
    assert found.features_cached == 4 and found.seconds > 0
    # Not a folder's name, which a job would make absolute.
    assert plan_encoding(request).model.revision is not None
