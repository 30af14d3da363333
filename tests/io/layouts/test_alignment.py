"""Every layout's rows stand at the true time of its sound: the planted lag is found again."""

import numpy as np
import pytest
import soundfile
from kit.layouts.common import LAG_SECONDS, N_FOLLOWERS

from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import load_repeats, load_responses
from braindash.io.layouts.index import index_folder, write_manifest

STEP = 0.25
LAGS = np.arange(-3.0, 10.0, STEP)


def envelope(path):
    """Return the loudness of a sound, 20 values a second: by itself, without braindash."""
    samples, rate = soundfile.read(path, always_2d=True)
    mono, n = samples.mean(axis=1), rate // 20
    blocks = mono[: len(mono) // n * n].reshape(-1, n)
    return np.sqrt((blocks**2).mean(axis=1))


def followers(rows):
    """Return the mean of the targets that were planted, wherever the layout has them."""
    whole = np.nan_to_num(rows)
    strength = np.abs(whole).sum(axis=0)
    planted = np.flatnonzero(strength > 0)[:N_FOLLOWERS]
    return whole[:, planted].mean(axis=1)


def best_lag(dataset, subject):
    """Find the lag at which the sound fits best, over all stories of a subject."""
    totals = np.zeros(len(LAGS))
    for story in dataset.stories(subject):
        rows = load_responses(dataset.responses(subject, story))
        times = dataset.timing(subject, story).times(len(rows))
        loud = envelope(dataset.audio_path(story, subject))
        response = followers(rows)
        inside = (times > 12) & (times < len(loud) / 20)
        for place, lag in enumerate(LAGS):
            at = np.interp((times - lag) * 20, np.arange(len(loud)), loud)
            totals[place] += np.corrcoef(at[inside], response[inside])[0, 1]
    return LAGS[np.argmax(totals)]


def written(made, tmp_path, *changes):
    path = tmp_path / "manifest.toml"
    write_manifest(index_folder(made.folder, made.audio), path)
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return load_manifest(path)


def test_the_planted_lag_is_found_from_the_manifest_alone(made, tmp_path):
    dataset = written(made, tmp_path)
    assert dataset.subjects
    for subject in dataset.subjects:
        assert best_lag(dataset, subject) == pytest.approx(LAG_SECONDS, abs=0.51), subject


@pytest.mark.parametrize(
    ("name", "old", "new", "moved"),
    [
        ("lebel", "first_volume = 10", "first_volume = 11", 2.0),
        ("denizenslab", "first_volume = 5", "first_volume = 4", -2.0045),
        ("petit-prince", "audio_onset = 8.0", "audio_onset = 6.0", 2.0),
    ],
)
def test_a_shift_of_one_tr_would_be_found(layouts, tmp_path, name, old, new, moved):
    dataset = written(layouts(name), tmp_path, (old, new))
    found = best_lag(dataset, dataset.subjects[0])
    assert found == pytest.approx(LAG_SECONDS + moved, abs=0.51)


def test_presentations_are_heard_at_the_same_time(layouts, tmp_path):
    dataset = written(layouts("bids-fsaverage5"), tmp_path)
    source = dataset.responses("sub-01", "lake")
    runs, mean = load_repeats(source), load_responses(source)
    assert runs.shape == (2, *mean.shape)
    np.testing.assert_allclose(mean, runs.mean(axis=0), atol=1e-5)
    assert np.corrcoef(*[followers(run)[6:28] for run in runs])[0, 1] > 0.8
