"""Sounds without speech: what stays of a sound, and what does not."""

import itertools

import numpy as np
import pytest
from kit.data.sounds import speechlike
from scipy import signal

from braindash.core.altered import (
    HIGHEST_HZ,
    LOWEST_HZ,
    greenwood_edges,
    noise_vocoded,
    time_reversed,
)
from braindash.errors import InputError

RATE = 16000


@pytest.fixture(scope="module")
def sound():
    return speechlike(3.0, RATE).astype(np.float32)


def envelope(samples, low, high):
    """By another way than the module's: the analytic signal of one band, smoothed."""
    band = signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos")
    size = np.abs(signal.hilbert(signal.sosfiltfilt(band, samples.astype(float))))
    return signal.sosfiltfilt(signal.butter(2, 8, fs=RATE, output="sos"), size)


def test_backwards_is_the_same_sound_from_its_end(sound):
    found = time_reversed(sound)
    np.testing.assert_array_equal(found[::-1], sound)
    assert found.dtype == np.float32


def test_bands_are_equally_wide_in_the_ear():
    edges = greenwood_edges(6)
    np.testing.assert_allclose([edges[0], edges[-1]], [LOWEST_HZ, HIGHEST_HZ])
    places = np.log10(edges / 165.4 + 0.88)
    np.testing.assert_allclose(np.diff(places), np.diff(places)[0])


def test_each_band_keeps_its_course_and_its_loudness_and_loses_its_waveform():
    rng = np.random.default_rng(7)
    time = np.arange(4 * RATE) / RATE
    course = 1 + np.sin(2 * np.pi * 3 * time)  # three syllables a second
    sound = (course * rng.standard_normal(len(time))).astype(np.float32)
    found = noise_vocoded(sound, RATE, n_bands=4)
    assert abs(np.corrcoef(sound, found)[0, 1]) < 0.1
    edges = greenwood_edges(4)
    for low, high in itertools.pairwise(edges):
        one, other = (envelope(x, low, high) for x in (sound, found))
        assert np.corrcoef(one, other)[0, 1] > 0.7
        np.testing.assert_allclose(np.sqrt((one**2).mean()), np.sqrt((other**2).mean()), rtol=0.2)


def test_noise_is_drawn_from_the_seed(sound):
    one, again, other = (noise_vocoded(sound, RATE, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other, atol=1e-4)
    assert (noise_vocoded(np.zeros(RATE), RATE) == 0).all()


@pytest.mark.parametrize(
    ("n_samples", "rate", "options", "message"),
    [
        (800, RATE, {}, "too short to be noise-vocoded"),
        (8000, 8000, {}, "has no bands up to 7200 Hz"),
        (8000, RATE, {"n_bands": 0}, "0 bands"),
        (8000, RATE, {"envelope_hz": 9000.0}, "up to 9000 Hz"),
    ],
)
def test_what_cannot_be_made_says_why(n_samples, rate, options, message):
    with pytest.raises(InputError, match=message):
        noise_vocoded(np.ones(n_samples), rate, **options)
