"""Predictions for any sound: from a file to values over time, contrasts, files, and bad input."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from kit.data.sounds import speechlike
from kit.data.toy_lab import make_lab
from kit.results.made_up import put_result
from typer.testing import CliRunner

import braindash
from braindash.cli import app
from braindash.encoding.result import EncodingResult
from braindash.encoding.run import run_encoding
from braindash.encoding.sounds.kept import KeptWeights, find_weights
from braindash.encoding.sounds.predict import Predictor, sound_rows
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, SoundRequest, build_request
from braindash.speech.checkpoints.locate import locate
from braindash.work import sounds

QUICK = {"alphas": (1.0, 100.0), "n_permutations": 0, "n_bootstraps": 0, "keep_weights": "best"}
DELAYS, RATE = (1, 2, 3, 4), 16000


def encode(lab, store, model="acoustic:energy", **changes):
    fields = {"data": lab.manifest, "model": model, "subject": "A", "strategy": "chunk"}
    return run_encoding(build_request(EncodeRequest, **(fields | QUICK | changes)), store)


@pytest.fixture(scope="module")
def computed(tmp_path_factory, quick_model):
    """Keys of two results with weights, and their store, to be looked at only."""
    folder = tmp_path_factory.mktemp("sounds")
    lab = make_lab(folder / "lab", quick_model)
    store = Store(folder / "store")
    return encode(lab, store).key, encode(lab, store, "acoustic:mfcc").key, store


@pytest.fixture
def store(computed, tmp_path):
    shutil.copytree(computed[-1].root, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def energy(computed):
    """The key of the result of loudness."""
    return computed[0]


@pytest.fixture
def clip(tmp_path):
    """7.3 s at another rate, in stereo: seven rows of one second and a bit."""
    samples = speechlike(7.3, 44100, seed=3)
    path = tmp_path / "my clip.wav"
    soundfile.write(path, np.stack([samples, samples], axis=1), 44100, subtype="FLOAT")
    return path


def request_for(result, audio, **changes):
    return build_request(SoundRequest, **({"result": result, "audio": audio} | changes))


def usable(made):
    return made.values[:, np.isfinite(made.values).all(axis=0)]


# ---- rows and time -------------------------------------------------------------------------------


def test_rows_go_on_for_the_delays_and_say_what_they_have_heard(energy, clip, store):
    made = sounds.predict_sound(request_for(energy, clip), store)
    assert sound_rows(7.3, 1.0) == 8 and sound_rows(7.0, 1.0) == 7 == sound_rows(7.0000001, 1.0)
    np.testing.assert_allclose(made.times, np.arange(1, 13))  # 8 rows, and 4 behind the end
    assert made.n_heard.tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4, 3, 2, 1]
    assert made.complete.sum() == 5 and made.values.shape == (12, 12)
    assert np.isnan(made.values[:, 10:]).all()  # a NaN and a constant target have no fit
    weights = find_weights(EncodingResult.load(store.find(energy)), store)
    intercept = weights.entry.read("offset")[:10]
    rounded = np.abs(made.values[:, :10]).max(axis=0) / 2**15  # the store keeps 16 bits
    assert (np.abs(made.values[0, :10] - intercept) <= rounded).all()  # nothing heard yet
    # A later delay repeats what an earlier one had: the sum over delays, by hand.
    kept = weights.entry.read("weights")[:, :, 0].astype(float) * weights.entry.read("scale")[0]
    features = Predictor(weights).features(
        np.pad(sounds.sound_samples(request_for(energy, clip)), (0, round(0.7 * RATE))),
        np.arange(1.0, 9.0),
    )
    mean, spread = weights.statistics
    z = (features - mean) / spread
    expected = sum(kept[delay - 1] @ z[10 - delay] for delay in DELAYS if 10 - delay < 8)
    assert made.values[10, 0] == pytest.approx(expected + intercept[0], abs=float(2 * rounded[0]))


def test_a_prediction_is_made_once_and_opened_after(energy, clip, store, monkeypatch):
    request = request_for(energy, clip)
    assert sounds.stored_sound(request, store) is None
    made = sounds.predict_sound(request, store)
    monkeypatch.setattr(Predictor, "predict", lambda *_: pytest.fail("predicted again"))
    renamed = clip.with_name("same sound.wav")
    clip.rename(renamed)
    again = sounds.predict_sound(request_for(energy, renamed), store)
    np.testing.assert_array_equal(usable(again), usable(made))
    assert again.about["sound"]["name"] == "same sound.wav"


def test_a_part_of_a_recording_is_a_sound_of_its_own(energy, clip, store):
    part = sounds.predict_sound(request_for(energy, clip, start=2.0, stop=6.0), store)
    assert len(part.values) == 4 + 4 and part.about["sound"]["start"] == 2.0
    with pytest.raises(InputError, match=r"from 2 to 9 s is not in .*which lasts 7\.30 s"):
        sounds.find_cut(request_for(energy, clip, start=2.0, stop=9.0))
    with pytest.raises(InputError, match="from 5 to 3 s"):
        sounds.find_cut(request_for(energy, clip, start=5.0, stop=3.0))
    with pytest.raises(InputError, match=r"shorter than 0.1 s"):
        sounds.find_cut(request_for(energy, clip, start=1.0, stop=1.00001))


# ---- loudness, silence, contrast -----------------------------------------------------------------


def test_a_louder_clip_is_another_prediction(energy, tmp_path, store):
    """Standardised by itself it would be the same: energy is on a logarithmic scale."""
    made = []
    for gain in (0.2, 0.4):
        path = tmp_path / f"{gain}.wav"
        soundfile.write(path, gain * speechlike(8.0), RATE, subtype="FLOAT")
        made.append(sounds.predict_sound(request_for(energy, path), store))
    difference = made[1].minus(made[0])
    heard = difference.complete
    assert np.abs(usable(difference)[heard]).max() > 0.2
    # The first target follows the envelope the most, the tenth hardly.
    assert difference.values[heard][:, 0].mean() > 0.1


def test_silence_gives_finite_numbers_and_is_told_from_stories(energy, store):
    weights = find_weights(EncodingResult.load(store.find(energy)), store)
    told = {"name": "silence", "start": 0.0, "stop": 6.0, "altered": {"how": "as-is"}}
    made = Predictor(weights).predict(np.zeros(6 * RATE), told)
    assert usable(made).shape[1] == 10
    assert "an extrapolation" in made.caption() and made.about["feature_distance"] > 2


@pytest.mark.parametrize("altered", ["reversed", "noise-vocoded"])
def test_a_sound_minus_its_altered_self(altered, computed, clip, store):
    request = request_for(computed[1], clip)
    other = request.model_copy(update={"altered": altered})
    one, two = sounds.predict_sounds([request, other], store)
    contrast = one.minus(two)
    np.testing.assert_allclose(usable(contrast), usable(one) - usable(two))
    assert contrast.is_contrast and np.abs(usable(contrast)).max() > 0
    assert altered in contrast.caption() and "minus that to my clip.wav" in contrast.caption()


def test_two_models_of_one_subject_and_no_two_subjects(computed, clip, store):
    one, two = sounds.predict_sounds([request_for(key, clip) for key in computed[:2]], store)
    caption = one.minus(two).caption()
    assert "by layer 0 of acoustic:energy, minus that" in caption and "acoustic:mfcc" in caption
    other = replace(two, about={**two.about, "subject": "B"})
    with pytest.raises(InputError, match="two predictions differ in subject: 'A' and 'B'"):
        one.minus(other)
    short = sounds.predict_sound(request_for(computed[1], clip, stop=3.0), store)
    assert len(one.minus(short).values) == 3 + 4


# ---- words and files -----------------------------------------------------------------------------


def test_every_word_of_it_says_that_it_is_a_prediction(energy, clip, store, tmp_path):
    made = sounds.predict_sound(request_for(energy, clip), store)
    caption = made.caption()
    assert "a prediction for this subject, not a measurement" in caption
    assert "fitted to 3 stories (2 min) of toy lab: crow, fox, stone" in caption
    assert "to my clip.wav (0.0 to 7.3 s) by layer 0 of acoustic:energy." in caption
    assert "half precision" in caption and "standard deviations" in caption
    assert "simulated" not in caption
    stamped = SoundPrediction(
        made.values, made.times, made.n_heard, {**made.about, "simulated": True}
    )
    assert "A (simulated)" in stamped.caption() and stamped.sidecar()["Simulated"]
    files = sounds.series_files(made, store, "clip")
    assert sorted(files) == ["clip.json", "clip.npz"]  # regions have no place on a surface
    told = json.loads(files["clip.json"])
    assert told["Measured"] is False and told["RepetitionTime"] == 1.0 and told["StartTime"] == 1.0
    assert told["AllDelaysWithinSound"] == made.complete.tolist()
    assert str(tmp_path) not in files["clip.json"].decode()  # no path of the user's


def test_a_surface_result_leaves_as_gifti(energy, clip, store):
    made = sounds.predict_sound(request_for(energy, clip), store)
    key = put_result(store, space="fsaverage5")
    values = np.zeros((2, 20484), np.float32)
    moved = SoundPrediction(values, made.times[:2], made.n_heard[:2], {**made.about, "result": key})
    assert sorted(sounds.series_files(moved, store, "clip")) == [
        "clip.json",
        "clip.npz",
        "clip_hemi-L.func.gii",
        "clip_hemi-R.func.gii",
    ]


def test_the_command_line_writes_what_a_notebook_gets(energy, clip, store, tmp_path):
    def call(*options):
        command = ["predict", "--result", energy[:8], "--audio", clip, "--store", store.root]
        return CliRunner().invoke(app, [*map(str, command), *map(str, options)])

    out = tmp_path / "out" / "clip.npz"
    done = call("--output", out, "--minus", "reversed")
    assert done.exit_code == 0, done.output
    assert "not a measurement" in done.stdout and str(out) in done.stdout
    result = braindash.open_result(energy, store=store)
    one, two = (braindash.predict(result, clip, altered=how) for how in ("as-is", "reversed"))
    with np.load(out) as found:
        np.testing.assert_array_equal(found["prediction"], one.minus(two).values)
    document = json.loads(call("--json").stdout)
    assert document["Measured"] is False and document["files"] == []
    assert "Sound: 7.3 s, 12 rows of 12 targets." in call("--check").stdout
    assert json.loads(call("--check", "--json").stdout)[0]["fits"] is True
    for options, message in (
        (("--output", "clip.func.gii"), "no place on a surface"),
        (("--minus", "louder"), "altered"),
        (("--minus", "reversed", "--minus-audio", clip), "subtracted once"),
    ):
        refused = call(*options)
        assert isinstance(refused.exception, InputError), options
        assert message in str(refused.exception)


# ---- bad input -----------------------------------------------------------------------------------


def test_what_is_no_sound_is_refused_with_what_to_do(energy, store, tmp_path):
    film = b"\x00\x00\x00\x20ftypisom" + bytes(500)
    for content, message, advice in (
        (film, "cannot be read as audio", "ffmpeg"),
        (b"", "is empty", "Copy or download"),
        (b"no sound " * 100, "cannot be read as audio", "Allowed are"),
    ):
        path = tmp_path / "film.mp4"
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            sounds.predict_sound(request_for(energy, path), store)
        assert advice in caught.value.hint
    with pytest.raises(InputError, match="missing"):
        sounds.predict_sound(request_for(energy, tmp_path / "none.wav"), store)


def test_a_long_sound_is_refused_with_what_it_would_take(energy, clip, store):
    with pytest.raises(InputError, match="12 rows of 12 targets") as caught:
        sounds.predict_sound(request_for(energy, clip, longest_seconds=5.0), store)
    assert "Memory: about" in caught.value.message and "--longest 8" in caught.value.hint
    assert SoundRequest.model_fields["longest_seconds"].default == 600.0


def test_a_result_without_weights_says_so(store, clip):
    with pytest.raises(InputError, match="no weights of the result") as caught:
        sounds.predict_sound(request_for(put_result(store, space="roi"), clip), store)
    assert "--keep-weights best" in caught.value.hint


def test_annotated_spaces_have_no_features_of_a_sound_alone(energy, store):
    entry = find_weights(EncodingResult.load(store.find(energy)), store).entry
    space = locate("acoustic:wordrate")
    told = {"name": space.name, "source": space.source, "precision": "float32"}
    told |= {"fingerprint": space.fingerprint, "revision": space.revision}
    other = replace(entry, provenance=entry.provenance | {"model": told})
    with pytest.raises(InputError, match="made of annotated words, which a sound alone"):
        _ = Predictor(KeptWeights(other)).files
