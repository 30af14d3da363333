"""The one look at every recording: what is refused, what is told, what is left out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kit.data.label_files import write_sound
from kit.data.sounds import RATE, encoded_as, speechlike, wav_saying, without_count
from kit.data.toy_lab import Lab, make_lab

from braindash.encoding.plan import plan_encoding
from braindash.errors import InputError
from braindash.io import recordings as recordings_module
from braindash.io.dataset.audio import load_audio, look_at_sound
from braindash.io.recordings import BadRecordings, look_at_recordings, plan_checked
from braindash.io.store import Store
from braindash.probing.plan import plan_probing
from braindash.requests import EncodeRequest, ProbeRequest, TuneRequest
from braindash.tuning.plan import plan_tuning
from braindash.work.kinds import preflight, run
from braindash.work.submit import submit


@pytest.fixture
def written(tmp_path):
    def write(samples, rate=RATE, **options):
        path = tmp_path / "a.wav"
        soundfile.write(path, samples, rate, **options)
        return path

    return write


# ---- what cannot be the sound that was played --------------------------------------------------

SOUND = speechlike(3.0)
STEREO = np.stack([SOUND, SOUND], axis=1)
NOISES = np.stack([speechlike(3.0, seed=seed) for seed in (1, 2)], axis=1)
WITH_NAN = np.where(np.arange(SOUND.size) == RATE, np.nan, SOUND)


def turned_round(share: float, seconds: float = 20.0) -> np.ndarray:
    """Stereo of which one channel is upside down from a share of its length on."""
    sound = speechlike(seconds)
    late = np.arange(sound.size) >= share * sound.size
    return np.stack([sound, np.where(late, -sound, sound)], axis=1)


@pytest.mark.parametrize(
    ("samples", "options", "says"),
    [
        (0 * SOUND, {}, "only silence: every sample is 0"),
        (0 * SOUND + 0.25, {}, "no sound: every sample is 0.25"),
        (0 * STEREO, {}, "only silence"),
        (STEREO * [1, -1], {}, "cancel each other"),
        (STEREO * [1, -0.9], {}, "cancel each other"),
        (np.stack([SOUND, -SOUND, SOUND, -SOUND], axis=1), {}, "cancel each other"),
        (STEREO * [1, -0.8], {}, "cancel each other"),
        (STEREO * [1, -1] + 0.2, {}, "cancel each other"),
        (np.stack([SOUND, -np.roll(SOUND, 1)], axis=1), {}, "cancel each other"),
        (np.stack([-np.roll(SOUND, 5), SOUND], axis=1), {}, "cancel each other"),
        (STEREO * [1, -1] + 0.3 * NOISES, {}, "cancel each other"),
        (np.stack([SOUND, 0 * SOUND, -np.roll(SOUND, 3)], axis=1), {}, "cancel each other"),
        (turned_round(0.1), {}, "cancel each other .* in 90% of its sound"),
        (turned_round(0.5), {}, "cancel each other .* in (49|50)% of its sound"),
        (np.eye(1, SOUND.size, RATE)[0], {}, r"digital silence: for 3\.0 of 3\.0 s"),
        (np.where(np.arange(SOUND.size) < RATE // 10, SOUND, 0), {}, r"for 2\.9 of 3\.0 s"),
        (SOUND * 32767, {"subtype": "FLOAT"}, "look like integers"),
        (SOUND * 8e6, {"subtype": "DOUBLE"}, "look like integers"),
        (WITH_NAN, {"subtype": "FLOAT"}, r"NaN or infinite, the first at 1\.000 s"),
    ],
)
def test_what_is_no_sound_is_refused(written, samples, options, says):
    path = written(samples, **options)
    for read in (load_audio, look_at_sound):
        with pytest.raises(InputError, match=says):
            read(path)


@pytest.mark.parametrize("form", [{"format": "OGG", "subtype": "OPUS"}, {"format": "MP3"}])
def test_channels_that_a_codec_left_not_quite_opposite_cancel(written, form):
    path = written(STEREO * [1, -1], **form)
    with pytest.raises(InputError, match="cancel each other"):
        load_audio(path)


# A voice whose strongest partial is turned round by the way to a second microphone.
TONES = sum(
    level * np.sin(2 * np.pi * hertz * np.arange(SOUND.size) / RATE + hertz)
    for hertz, level in ((220, 0.1), (667, 0.15), (900, 0.05))
)


@pytest.mark.parametrize(
    "samples",
    [
        STEREO,
        STEREO * [1, 0],
        STEREO * [1, -0.5],
        np.stack([SOUND, speechlike(3.0, seed=1)], axis=1),
        np.random.default_rng(0).standard_normal((RATE, 6)) * 0.1,
        STEREO * [0.5, 0.5] + NOISES[:, :1] * [1, -1],
        np.stack([TONES, np.roll(TONES, 12)], axis=1),
        np.stack([SOUND, np.roll(SOUND, 5)], axis=1),
    ],
    ids=[
        "equal",
        "one silent",
        "half turned round",
        "independent",
        "six independent",
        "reverberation out of phase",
        "two microphones",
        "one late",
    ],
)
def test_other_channels_are_averaged(written, samples):
    np.testing.assert_allclose(
        load_audio(written(samples, subtype="FLOAT")), samples.mean(axis=1), atol=1e-6
    )


# ---- what is told ------------------------------------------------------------------------------


def telephone(seconds: float = 3.0) -> np.ndarray:
    spectrum = np.fft.rfft(speechlike(seconds))
    spectrum[np.fft.rfftfreq(round(seconds * RATE), 1 / RATE) > 3800] = 0
    return np.fft.irfft(spectrum)


def quiet_from(share: float, seconds: float = 12.0) -> np.ndarray:
    """Sound that is 0 from a share of its length on."""
    sound = speechlike(seconds)
    return np.where(np.arange(sound.size) < share * sound.size, sound, 0)


@pytest.mark.parametrize(
    ("samples", "rate", "options", "says"),
    [
        (np.clip(20 * SOUND, -0.99, 0.99), RATE, {}, "seems clipped"),
        (0.3 * np.clip(20 * SOUND, -0.99, 0.99), RATE, {}, "seems clipped"),
        (10 * SOUND, RATE, {"subtype": "FLOAT"}, "beyond full scale"),
        (1e-3 * SOUND, RATE, {"subtype": "FLOAT"}, "next to silent"),
        (telephone(), RATE, {}, "nothing above 4 kHz"),
        (SOUND, 8000, {}, "nothing above 4 kHz"),
        (np.clip(20 * SOUND, -0.9, 0.9), 8000, {}, "seems clipped.* nothing above 4 kHz"),
        (STEREO * [1, -0.5], RATE, {}, "cancel each other .* about 100% of its sound"),
        (turned_round(0.8), RATE, {}, "cancel each other .* about 20% of its sound"),
        (quiet_from(0.25), RATE, {}, "about 75% of it, up to its end, is digital silence"),
        (np.r_[quiet_from(0.5, 5.0), SOUND], RATE, {}, "some seconds of it are digital silence"),
        (np.r_[SOUND, SOUND, SOUND, SOUND, np.zeros(2 * RATE)], RATE, {}, "some seconds of it"),
    ],
    ids=[
        "clipped",
        "clipped and turned down",
        "too loud",
        "quiet",
        "telephone at 16 kHz",
        "8 kHz",
        "8 kHz, clipped",
        "half turned round",
        "turned round at the end",
        "mostly zeros",
        "zeros within",
        "zeros at the end",
    ],
)
def test_what_is_not_plausible_is_told(written, samples, rate, options, says):
    assert re.search(says, " ".join(look_at_sound(written(samples, rate, **options))))


@pytest.mark.parametrize("rate", [RATE, 44100])
@pytest.mark.parametrize(
    ("hum", "constant", "says"),
    [(0.4, 0.0, "but hum"), (0.02, 0.0, "but hum"), (0.0, 0.25, "next to silent")],
)
def test_hum_and_constants_are_told_as_what_they_are(written, rate, hum, constant, says):
    time = np.arange(3 * rate) / rate
    wave = hum * np.sin(2 * np.pi * 50 * time) + 0.3 * hum * np.sin(2 * np.pi * 150 * time)
    noise = np.random.default_rng(0).integers(0, 2, time.size) / 32768
    (told,) = look_at_sound(written(wave + constant + noise, rate))
    assert says in told


def test_24_bit_numbers_stored_in_32_bits_are_told(written):
    path = written((SOUND * 2**23).astype(np.int32), subtype="PCM_32")
    assert "24-bit numbers" in " ".join(look_at_sound(path))


def test_of_good_sound_nothing_is_told(written):
    assert look_at_sound(written(SOUND)) == ()
    assert look_at_sound(written(speechlike(3.0, 44100), 44100)) == ()


# ---- all at once, once, and without them -------------------------------------------------------


def spoil(lab: Lab) -> None:
    """Two training stories that cannot be used, for reasons that are found in different ways."""
    content = lab.folder.joinpath("audio", "crow.wav").read_bytes()
    lab.folder.joinpath("audio", "crow.wav").write_bytes(content[: len(content) // 2])
    silent = lab.folder / "audio" / "fox.wav"
    info = soundfile.info(silent)
    soundfile.write(silent, np.zeros(info.frames), info.samplerate)


@pytest.fixture
def toy(tmp_path, tiny_model):
    return make_lab(tmp_path / "toy", tiny_model)


@pytest.fixture
def bad_lab(toy):
    lab = toy
    for path in (lab.folder / "audio").iterdir():
        samples, rate = soundfile.read(path)
        path.unlink()
        soundfile.write(path.with_suffix(".wav"), samples, rate)
    spoil(lab)
    return lab


def test_bad_recordings_of_every_kind_are_named_at_once(bad_lab, tmp_path):
    request = EncodeRequest(data=bad_lab.manifest, model="acoustic:energy", subject="A")
    tuning = TuneRequest(
        data=bad_lab.manifest, model=str(bad_lab.model), subjects=("A",), targets="all"
    )
    for plan, asked in ((plan_encoding, request), (plan_tuning, tuning)):
        with pytest.raises(BadRecordings, match="2 recordings cannot be used") as caught:
            plan_checked(plan, asked, tmp_path / "store")
        said = {one.name: one.message for one in caught.value.faults}
        assert "ends early" in said["crow"] and "only silence" in said["fox"]


def test_a_run_without_them_lists_them(bad_lab, tmp_path):
    store = Store(tmp_path / "store")
    request = EncodeRequest(
        data=bad_lab.manifest, model="acoustic:energy", subject="A", leave_out_bad=True,
        n_permutations=0, n_bootstraps=0,
    )  # fmt: skip
    result = run(request, store)
    made = json.loads((Path(result.folder) / "provenance.json").read_text())
    left_out = made["left_out"]
    assert set(left_out) == {"crow", "fox"}
    spec = json.loads((Path(result.folder) / "spec.json").read_text())
    assert {story["name"] for story in spec["train"]}.isdisjoint(left_out)
    # A job is queued for what it will make.
    job = submit(request, store)
    assert job.key == result.key


def test_without_any_test_story_nothing_is_computed(bad_lab, tmp_path):
    soundfile.write(bad_lab.folder / "audio" / "well.wav", np.zeros(RATE), RATE)
    request = EncodeRequest(
        data=bad_lab.manifest, model="acoustic:energy", subject="A", leave_out_bad=True
    )
    with pytest.raises(InputError, match=r"all test stories of .* are left out: well"):
        plan_checked(plan_encoding, request, tmp_path / "store")


def test_a_silent_recording_of_a_corpus_is_named_or_left_out(tmp_path):
    for actor in range(1001, 1009):
        for emotion in ("ANG", "HAP", "SAD"):
            write_sound(tmp_path / "data" / f"{actor}_DFA_{emotion}_XX.wav", 0.5)
    soundfile.write(tmp_path / "data" / "1003_DFA_HAP_XX.wav", np.zeros(RATE // 2), RATE)
    request = ProbeRequest(
        model="acoustic:energy", labels="crema-d", labels_path=tmp_path / "data",
        tasks=("emotion",),
    )  # fmt: skip
    root = tmp_path / "store"
    with pytest.raises(BadRecordings, match="1 recording cannot be used") as caught:
        plan_checked(plan_probing, request, root)
    assert [one.name for one in caught.value.faults] == ["1003_DFA_HAP_XX"]
    found = plan_checked(plan_probing, request.model_copy(update={"leave_out_bad": True}), root)
    assert set(found.request.left_out) == {"1003_DFA_HAP_XX"}
    assert len(found.labels.recordings) == 23
    assert any(text.startswith("left out: 1003_DFA_HAP_XX: ") for text in found.warnings)


def silenced(path):
    soundfile.write(path, np.zeros(soundfile.info(path).frames), RATE)


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def pointed_to(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize("spoil_one", [silenced, halved, emptied, pointed_to])
@pytest.mark.parametrize("source", ["crema-d", "table"])
def test_without_any_recording_nothing_is_computed(source, spoil_one, tmp_path):
    names = [f"{actor}_DFA_{emotion}_XX" for actor in (1001, 1002) for emotion in ("ANG", "HAP")]
    for name in names:
        write_sound(tmp_path / f"{name}.wav", 0.5)
        spoil_one(tmp_path / f"{name}.wav")
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *(f"{one}.wav,a" for one in names)]))
    path = tmp_path if source == "crema-d" else tmp_path / "t.csv"
    request = ProbeRequest(
        model="acoustic:energy", labels=source, labels_path=path, leave_out_bad=True
    )
    with pytest.raises(InputError, match=r"no recording .*is left; 4 recordings .* were left out"):
        plan_checked(plan_probing, request, tmp_path / "store")
    kept = request.model_copy(update={"leave_out_bad": False})
    with pytest.raises(BadRecordings, match="4 recordings cannot be used") as caught:
        plan_checked(plan_probing, kept, tmp_path / "store")
    assert all(name in caught.value.message for name in names)


def test_where_too_few_are_left_those_left_out_are_named(tmp_path):
    names = [f"{actor}_DFA_ANG_XX" for actor in range(1001, 1005)]
    for name in names:
        write_sound(tmp_path / f"{name}.wav", 0.5)
    halved(tmp_path / f"{names[0]}.wav")
    silenced(tmp_path / f"{names[1]}.wav")
    request = ProbeRequest(
        model="acoustic:energy", labels="crema-d", labels_path=tmp_path, tasks=("energy",),
        leave_out_bad=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="2 recordings are left: ") as caught:
        preflight(request, Store(tmp_path / "store"))
    said = caught.value.message
    assert f"{names[0]}: " in said and "ends early" in said
    assert f"{names[1]}: " in said and "only silence" in said


def test_a_good_recording_is_looked_at_once(tmp_path, monkeypatch):
    audio = {name: write_sound(tmp_path / f"{name}.wav", 0.5, 8000) for name in ("a", "bb")}
    faults, told = look_at_recordings(audio, tmp_path / "store")
    assert not faults and "2 of 2 recordings: it holds nothing above 4 kHz" in told[0]
    monkeypatch.setattr(recordings_module, "look_at_sound", None)
    # A line that a killed process tore stops nobody.
    with (tmp_path / "store" / recordings_module.FINDINGS_FILE).open("a") as stream:
        stream.write('{"look": 1, "au')
    assert look_at_recordings(audio, tmp_path / "store") == (faults, told)


# ---- keys --------------------------------------------------------------------------------------


def test_the_counted_length_is_in_the_key_only_where_the_header_says_otherwise(toy, tiny_model):
    lab = toy
    request = EncodeRequest(data=lab.manifest, model=str(tiny_model), subject="A")
    plan = plan_encoding(request)
    assert all("counted" not in story.extraction.canonical() for story in plan.stories)
    (path,) = (lab.folder / "audio").glob("fox.*")
    seconds = load_audio(path).size / RATE
    path.unlink()
    (lab.folder / "audio" / "fox.mp3").write_bytes(without_count(encoded_as("mp3", seconds)))
    changed = {story.name: story.extraction.canonical() for story in plan_encoding(request).stories}
    assert changed["fox"]["counted"] == load_audio(lab.folder / "audio" / "fox.mp3").size
    assert "counted" not in changed["crow"]


def test_the_counted_length_is_in_the_key_of_units(tmp_path):
    for number in range(4):
        write_sound(tmp_path / "data" / f"100{number}_DFA_ANG_XX.wav", 0.5)
    whole = tmp_path / "data" / "1003_DFA_ANG_XX.wav"
    whole.write_bytes(wav_saying(encoded_as("wav", 0.5), 0))
    request = ProbeRequest(
        model="acoustic:energy", labels="crema-d", labels_path=tmp_path / "data",
        tasks=("energy",),
    )  # fmt: skip
    plan = plan_probing(request)
    assert [list(one.spec.counted.values()) for one in plan.extractions] == [[RATE // 2]]
    whole.write_bytes(encoded_as("wav", 0.5))
    assert all("counted" not in one.spec.canonical() for one in plan_probing(request).extractions)
