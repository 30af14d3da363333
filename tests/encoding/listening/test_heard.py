"""When rows were heard, and where the sound and the words are: or why they are not here."""

import shutil

import numpy as np
import pytest
import soundfile
from kit.results.made_up_story import FEATURES, FIRST, N_ROWS, TR, WORDS, put_story

from braindash.encoding.listening.heard import find_dataset, find_sound, find_words, heard_stories
from braindash.errors import InputError
from braindash.io.store import Store


@pytest.fixture
def here(tmp_path):
    store = Store(tmp_path / "store")
    return store, put_story(store, tmp_path / "data", space="roi", resampled=False)


def test_the_features_say_when_rows_were_acquired(here):
    store, made = here
    (story,) = heard_stories(made.result, store)
    assert story.name == "story" and story.rows == slice(0, N_ROWS) and story.is_timed
    np.testing.assert_allclose(story.times(), FIRST + TR * np.arange(N_ROWS))


def test_without_the_features_the_manifest_says_it_and_without_both_nobody(here):
    store, made = here
    shutil.rmtree(store.folder("features", FEATURES))
    dataset = find_dataset(made.result, store)
    (story,) = heard_stories(made.result, store, dataset)
    np.testing.assert_allclose(story.times(), FIRST + TR * np.arange(N_ROWS))
    assert story.audio is None
    (untimed,) = heard_stories(made.result, store)
    assert not untimed.is_timed and untimed.times()[-1] == N_ROWS - 1


def test_sound_and_words_are_those_of_the_story(here):
    store, made = here
    (story,) = heard_stories(made.result, store)
    dataset = find_dataset(made.result, store)
    assert find_sound(dataset, made.result, story).name == "story.flac"
    assert find_words(dataset, story) == list(WORDS)


def test_another_recording_than_the_model_heard_is_not_played(here):
    store, made = here
    (story,) = heard_stories(made.result, store)
    path = made.manifest.parent / "audio" / "story.flac"
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples[::-1], rate)
    with pytest.raises(InputError, match="another recording"):
        find_sound(find_dataset(made.result, store), made.result, story)


def test_data_that_moved_are_found_by_their_manifest(here, tmp_path):
    store, made = here
    moved = tmp_path / "elsewhere"
    made.manifest.parent.rename(moved)
    with pytest.raises(InputError):
        find_dataset(made.result, store)
    (story,) = heard_stories(made.result, store)
    found = find_dataset(made.result, store, moved / "manifest.toml")
    assert find_sound(found, made.result, story).parent.parent == moved


def test_the_manifest_of_other_data_is_refused(here, tmp_path):
    store, made = here
    text = made.manifest.read_text().replace('"made up"', '"another study"')
    other = made.manifest.with_name("other.toml")
    other.write_text(text)
    with pytest.raises(InputError, match="another study"):
        find_dataset(made.result, store, other)
