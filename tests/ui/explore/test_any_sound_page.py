"""Any sound on the page Story: brought, predicted by the worker, played, contrasted, refused."""

import pytest
import streamlit as st
from kit.data.sounds import encoded_as
from kit.results.made_up_story import put_story
from kit.results.made_up_weights import put_weights
from kit.running.worked import work_one
from kit.site.pages import player_settings as settings_of
from kit.site.pages import run, texts

from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.sharing.settings import READ_ONLY


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of two models of one subject with weights, of layer 0."""
    root = tmp_path_factory.mktemp("any-sound")
    store = Store(root / "store")
    for seed, model in enumerate(("toy-model", "toy-tuned")):
        options = {"model": model, "seed": seed, "resampled": False, "n_layers": 2}
        result = put_story(store, root / "data", **options).result
        put_weights(store, result, layer=0, seed=seed)
    return store


@pytest.fixture
def store(made, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(made.root))
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    return made


def bring(app, content, name="clip.wav", key="sound_file"):
    app.file_uploader(key=key).set_value((name, content, "audio/wav"))
    return app.run()


def predict(app):
    app.button(key="sound_predict").click().run()
    assert not app.exception
    return app


def open_page(**query):
    app = run("explore/story", heard="sound", model="toy-model", **query)
    assert not app.exception and not app.error
    return app


def test_a_sound_is_predicted_by_the_worker_and_played(store):
    app = open_page()
    assert "a prediction for S1, not a measurement" in texts(app)
    assert "deleted when that is done" in texts(app)
    app = predict(bring(app, encoded_as("wav", 9.0)))
    (job,) = JobQueue(store.root).list()
    assert "clip.wav" in job.title and [one.label for one in app.button if one.label == "Cancel"]
    work_one(store)
    app.run()
    assert not app.exception and not list(store.root.glob("heard/*/*"))
    told = settings_of(app)
    assert told["audio"] and not told["measured"] and told["kinds"] == {"first": "Predicted"}
    assert [(one["name"], one["layer"]) for one in told["series"]] == [("clip.wav", "layer 0")]
    assert told["pieces"] == [[0, 9]], "5 rows of 2 s, and 4 delays behind the end"
    shown = texts(app)
    assert "It is a prediction for this subject, not a measurement." in shown
    assert "fitted to 2 stories (21 min) of" in shown and "Rows from" in shown
    assert told["simulated"] and "SIMULATED" in shown


def test_a_sound_beside_itself_reversed_and_beside_another_model(store):
    app = open_page(compare="toy-tuned", beside="reversed")
    app = predict(bring(app, encoded_as("wav", 9.5, seed=2), "my <b>clip</b>.wav"))
    work_one(store)
    assert "waits" in texts(app) or not settings_in(app)
    work_one(store)
    app.run()
    told = settings_of(app)
    names = [one["name"] for one in told["series"]]
    assert [one[:2] for one in names] == ["A:", "B:"] and names[1].endswith("reversed")
    assert "difference" in told["kinds"] and told["gain"] > 0
    assert "minus that to" in texts(app)
    first = told["story"]
    app.segmented_control(key="sound_heard").set_value("B").run()
    assert settings_of(app)["story"] != first, "another waveform, and the same series"
    assert settings_of(app)["series"] == told["series"]
    # The other model hears the same sound: there is nothing to choose between.
    app.selectbox(key="beside").set_value("model B, for the same sound").run()
    predict(app)
    work_one(store)
    app.run()
    told = settings_of(app)
    assert [one["name"] for one in told["series"]] == ["A: toy-model", "B: toy-tuned"]
    assert not [one for one in app.segmented_control if one.key == "sound_heard"]


def settings_in(app):
    return [one for one in app.get("bidi_component") if "settings" in (one.proto.json or "")]


def test_what_cannot_be_heard_is_refused_in_words(store):
    app = predict(open_page())
    assert "there is no sound yet" in texts(app)
    film = b"\x00\x00\x00\x20ftypisom" + bytes(500)
    assert "ffmpeg" in texts(predict(bring(app, film, "film.mp4")))
    app = bring(app, encoded_as("flac", 8.0, rate=44100))
    app.number_input(key="sound_start").set_value(6.0)
    app.number_input(key="sound_stop").set_value(12.0)
    assert "is not in" in texts(predict(app.run()))
    assert not settings_in(app) and not list(store.root.glob("heard/*/*"))
    app.number_input(key="sound_start").set_value(1.0)
    app.number_input(key="sound_stop").set_value(5.0)
    predict(app.run())
    app.button(key="sound_cancel").click().run()
    assert "cancelled; the sound is not kept" in texts(app)
    assert not list(store.root.glob("heard/*/*"))


def test_a_page_without_weights_says_how_to_keep_them(store, tmp_path, monkeypatch):
    bare = Store(tmp_path / "bare")
    put_story(bare, tmp_path / "data", resampled=False, n_layers=2)
    monkeypatch.setenv("BRAINDASH_STORE", str(bare.root))
    app = open_page()
    assert "--keep-weights best" in texts(app)
    app.button(key="keep_weights").click().run()
    assert not app.exception and "has no record of its request" in texts(app)
    assert not settings_in(app)


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://lab.example.org:8501/story", True),
        ("https://lab.example.org/story", False),
        ("http://localhost:8501/story", False),
        ("http://[::1]:8501/story", False),
    ],
)
def test_where_browsers_refuse_the_microphone_the_page_says_so(url, is_told, store, monkeypatch):
    monkeypatch.setattr(type(st.context), "url", property(lambda self: url))
    assert ("HTTPS or from localhost" in texts(open_page())) == is_told


def test_who_may_only_look_brings_no_sound(store, monkeypatch):
    monkeypatch.setenv(READ_ONLY, "1")
    app = open_page()
    assert "read-only" in texts(app) and not app.file_uploader
    assert not [one for one in app.button if one.key and one.key.startswith("sound")]


def test_names_with_markup_stay_names_and_what_is_refused_is_not_kept(tmp_path, monkeypatch):
    store = Store(tmp_path / "odd")
    name = "**m** ![p](http://evil.example/p.png) <b>"
    made = put_story(store, tmp_path / "odd-data", model=name, resampled=False, n_layers=2).result
    put_weights(store, made, layer=0)
    monkeypatch.setenv("BRAINDASH_STORE", str(store.root))
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    app = run("explore/story", heard="sound", beside="another sound")
    assert "![p](" not in texts(app), "a picture would be fetched from its host"
    app.file_uploader(key="sound_file").set_value(("clip.wav", encoded_as("wav", 9.0), "audio/wav"))
    app.run()
    app.button(key="sound_predict").click().run()
    assert app.error and not list(store.root.glob("heard/*/*")), "there is no sound B"
