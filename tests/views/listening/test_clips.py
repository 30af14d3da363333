"""Predictions for sounds, opened to be played: alone, side by side, and their contrast."""

import numpy as np
import pytest
from kit.results.made_up import made_up_result

from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import InputError
from braindash.viewer.packing import unpack
from braindash.views.listening.clips import Clip, clip_lines, clip_programme, heard_line
from braindash.views.listening.courses import course_blob
from braindash.views.listening.programme import course_table

DELAYS = [1, 2]


@pytest.fixture(scope="module")
def result():
    return made_up_result(n_layers=2, resampled=False)


def prediction(result, n_rows=7, seed=0, **changes):
    values = np.random.default_rng(seed).standard_normal((n_rows, result.n_targets))
    about = {
        "result": result.key, "weights": f"w{seed}", "layer": 1, "model": result.model,
        "subject": result.subject, "members": [], "data": result.data, "simulated": True,
        "space": result.space, "units": "z", "tr": 2.0, "delays": DELAYS,
        "trained_on": "fitted to 2 stories (20 min) of lab: a, b", "precision": "halved",
        "feature_distance": 1.0,
        "sound": {"name": "clip", "start": 0.0, "stop": 10.0, "altered": {"how": "as-is"}},
    } | changes  # fmt: skip
    times = 2.0 * np.arange(1, n_rows + 1)
    n_heard = np.array([0, 1, *[2] * (n_rows - 4), 1, 0])
    return SoundPrediction(values.astype(np.float32), times, n_heard, about)


def clip(result, name="A: clip", **given):
    return Clip(result, prediction(result, **given), name)


def test_one_sound_is_predicted_alone(result):
    one = clip(result)
    made = clip_programme([one], "clip", "late_language")
    assert made.kinds == {"first": "Predicted"} and made.difference() is None
    assert (made.timing.n_rows, made.timing.first, made.timing.tr) == (7, 2.0, 2.0)
    settings = made.settings([made.series(track) for track in made.tracks], None)
    assert not settings["measured"] and settings["series"][0]["layer"] == "layer 1"
    header, arrays = unpack(course_blob(made.make_courses()))
    assert set(arrays) == {"predicted"} and header["courses"][0]["r"] == [None]
    mask = result.masks["late_language"] & result.valid
    place = [one["title"] for one in header["courses"]].index("Late language")
    expected = one.prediction.values[:, mask].mean(axis=1)
    np.testing.assert_allclose(arrays["predicted"][place, 0], expected, rtol=1e-4, atol=1e-5)
    course = made.make_target(9000)
    np.testing.assert_allclose(course.predicted[0], one.prediction.values[:, 9000])
    assert "measured test story" in course.notes[0] and "It is a prediction" in made.source


def test_two_sounds_of_other_lengths_and_their_contrast(result):
    pair = [clip(result), clip(result, "B: other", n_rows=5, seed=1)]
    made = clip_programme(pair, "clip", "late_language")
    assert made.timing.n_rows == 7 and made.kinds["difference"] == "A minus B"
    values = made.difference().read(slice(0, 7))
    expected = pair[0].prediction.values[:5] - pair[1].prediction.values
    known = result.valid
    np.testing.assert_allclose(values[:5, known], expected[:, known], atol=1e-6)
    assert np.isnan(values[5:]).all() and np.isnan(values[:, ~known]).all()
    table = course_table(made)
    assert list(table.columns) == ["region", "series", "time", "response"]
    assert table.groupby("series").size().nunique() == 1
    assert table[table["series"] == "B: other"]["response"].isna().any()
    assert "minus that to" in clip_lines(pair)[0]


def test_what_belongs_to_two_people_is_not_subtracted(result):
    with pytest.raises(InputError, match="differ in subject"):
        clip_programme([clip(result), clip(result, subject="S9")], "clip", "late_language")
    with pytest.raises(InputError, match="no prediction to be shown"):
        clip_programme([], "clip", "late_language")


def test_rows_that_have_not_heard_all_are_named(result):
    assert "Rows from 6 to 10 s lie within" in heard_line(prediction(result))
    short = prediction(result, n_rows=4)
    assert "shorter than that" in heard_line(short)
