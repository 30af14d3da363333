"""A recording as it is drawn: loud where it is loud, high where it is high."""

import numpy as np
import pytest

from braindash.encoding.listening import picture
from braindash.encoding.listening.picture import picture_of

RATE = 16000


def tone(hz, seconds, size):
    return (size * np.sin(2 * np.pi * hz * np.arange(int(RATE * seconds)) / RATE)).astype(
        np.float32
    )


def test_loudness_and_bands_follow_the_sound():
    sound = np.concatenate([tone(200, 2, 0.1), np.zeros(2 * RATE, np.float32), tone(4000, 2, 0.4)])
    made = picture_of(sound)
    assert made.seconds == 6.0 and made.loudness.dtype == made.bands.dtype == np.uint8
    at = lambda seconds: int(seconds * made.steps_per_second)  # noqa: E731
    assert made.loudness[at(5)] > 250 and 55 < made.loudness[at(1)] < 70
    assert made.loudness[at(3)] == 0
    frame = lambda seconds: made.bands[int(seconds * made.frames_per_second)]  # noqa: E731
    assert frame(5).argmax() > 25 and frame(1).argmax() < 10
    assert frame(5).max() > 220 and frame(3).max() == 0
    assert made.bands.shape[1] == 40


@pytest.mark.parametrize("seconds", [0.01, 0.5])
def test_short_sounds_have_a_picture(seconds):
    made = picture_of(tone(300, seconds, 0.2))
    assert made.seconds == pytest.approx(seconds) and len(made.loudness) >= 1
    assert made.bands.ndim == 2


def test_a_long_recording_is_drawn_more_coarsely(monkeypatch):
    monkeypatch.setattr(picture, "_MOST_FRAMES", 200)
    made = picture.picture_of(tone(300, 30, 0.1))
    assert len(made.bands) <= 200 and made.frames_per_second < 10
    assert len(made.bands) / made.frames_per_second == pytest.approx(30, abs=0.5)
    assert len(made.loudness) / made.steps_per_second == pytest.approx(30, abs=0.5)
