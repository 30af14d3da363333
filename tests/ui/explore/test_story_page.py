"""The page Story: what is played, what is said where something is missing."""

import shutil

import pytest
from kit.results.made_up_story import FEATURES, put_story
from kit.site.pages import player_settings as settings_of
from kit.site.pages import run, texts

from braindash.io.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of two models whose story can be played; gives the store and the data's folder."""
    root = tmp_path_factory.mktemp("story")
    for seed, model in enumerate(("toy-model", "toy-tuned")):
        options = {"model": model, "seed": seed, "resampled": False, "n_layers": 2}
        put_story(Store(root / "store"), root / "data", **options)
    return root / "store", root / "data"


@pytest.fixture
def story(made, monkeypatch):
    """Point the dashboard at them."""
    monkeypatch.setenv("BRAINDASH_STORE", str(made[0]))
    return made[1]


@pytest.fixture
def moved(story):
    """Move the data for the length of a test; gives where they are."""
    elsewhere = story.with_name("moved")
    story.rename(elsewhere)
    yield elsewhere
    elsewhere.rename(story)


@pytest.fixture
def without(story, made, tmp_path, monkeypatch):
    """Point the dashboard at a copy of the store, from which a test takes something."""
    shutil.copytree(made[0], tmp_path / "store")
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def listen(**query):
    return run("explore/story", **({"model": "toy-model"} | query))


def test_a_story_is_played_with_its_sound_words_and_layers(story):
    app = listen()
    assert not app.exception and not app.error
    told = settings_of(app)
    assert told["audio"] and not told["silent"] and told["simulated"]
    assert [one["name"] for one in told["series"]] == ["measured", "toy-model"]
    assert told["pieces"] == [[0, 90]] and set(told["series"][0]["sent"]) == {"0"}
    assert told["delays"][0] == 5.0, "the middle of delays of 1 to 4 rows of 2 s"
    assert told["target"] is None
    shown = texts(app)
    assert "best in Late language" in shown and "90 rows, one every 2 s" in shown
    assert app.selectbox(key="layer").value == "best"


def test_two_models_are_played_side_by_side_at_a_target_of_the_address(story):
    told = settings_of(listen(compare="toy-tuned", layer="1", target="9000", t="soon"))
    assert [one["name"] for one in told["series"]] == ["measured", "A: toy-model", "B: toy-tuned"]
    assert [one["layer"] for one in told["series"]] == [None, "layer 1", "layer 1"]
    assert told["target"] and set(told["series"][0]["sent"]) == {"0"}


def test_data_that_moved_leave_a_silent_clock_and_are_heard_where_the_visitor_says(
    moved, monkeypatch
):
    monkeypatch.setenv("BRAINDASH_ROOTS", str(moved.parent))
    app = listen(layer="77", region="x", target="99999")
    assert not app.exception and not app.error
    told = settings_of(app)
    assert not told["audio"] and "manifest.toml" in told["silent"]
    assert "silent clock" in texts(app)
    app.text_input(key="story_manifest").input("/etc/passwd").run()
    assert not app.exception and "outside the folders" in settings_of(app)["silent"]
    app.text_input(key="story_manifest").input(str(moved)).run()
    assert not app.exception and settings_of(app)["audio"]


def test_predictions_that_were_not_kept_are_asked_for(without):
    shutil.rmtree(without / "predictions")
    shown = texts(listen())
    assert "not in this store" in shown and "--with-predictions" in shown


def test_rows_whose_times_nobody_knows_are_counted_and_said(without, moved):
    shutil.rmtree(without / "features" / FEATURES)
    app = listen()
    assert not app.exception and settings_of(app)["delays"] == []
    assert "When the rows were acquired is not known" in texts(app)
