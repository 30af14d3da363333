"""Features of labelled units, averaged while the frames come."""

import numpy as np
import pytest

from braindash.core.probes.pool import pool_units
from braindash.errors import Cancelled, InputError
from braindash.speech import unit_features as module
from braindash.speech.features import plan_windows, window_features
from braindash.speech.models import open_model
from braindash.speech.unit_features import frame_middles, unit_features

RATE = 16_000


@pytest.fixture(scope="module")
def model(tiny_model):
    return open_model(str(tiny_model))


@pytest.fixture(scope="module")
def audio():
    return 0.1 * np.random.default_rng(0).standard_normal(21 * RATE).astype(np.float32)


def spans(rng, n_units, seconds):
    start = np.sort(rng.uniform(0, seconds - 1, n_units))
    return start, start + rng.uniform(0.03, 0.9, n_units)


@pytest.mark.parametrize("strategy", ["chunk", "exact"])
def test_units_are_means_of_all_frames_at_once(model, audio, strategy):
    start, end = spans(np.random.default_rng(1), 40, 6)
    found = unit_features(model, audio[: 6 * RATE], start, end, strategy=strategy)
    windows = plan_windows(model, 6 * RATE, strategy)
    frames = [part for _, part in window_features(model, audio[: 6 * RATE], windows)]
    middles = np.concatenate([frame_middles(model, window) for window in windows])
    for layer in range(model.n_layers):
        whole = np.concatenate(frames)[:, layer]
        expected = pool_units(whole, middles, start, end, empty="nearest")
        np.testing.assert_allclose(found.features[layer], expected.features, atol=2e-6)
        np.testing.assert_array_equal(found.n_frames, expected.n_frames)


def test_middles_lie_half_a_receptive_field_before_the_ends(model, audio):
    """160 samples, then 3 x 80 and 3 x 160 more: one frame sees 880 and they lie 320 apart."""
    windows = plan_windows(model, len(audio), "chunk")
    middles = np.concatenate([frame_middles(model, window) for window in windows])
    ends = np.concatenate([window.times for window in windows])
    np.testing.assert_allclose(ends - middles, 440 / RATE)
    np.testing.assert_allclose(np.diff(middles), 320 / RATE)
    assert middles[0] == pytest.approx(440 / RATE)
    for window in plan_windows(model, len(audio), "exact")[20:30]:
        # the last frame that fits into the window ends less than a hop before it
        assert 440 / RATE <= window.times[0] - frame_middles(model, window)[0] < 760 / RATE


def test_frames_of_acoustic_spaces_stand_for_their_own_time(audio):
    space = open_model("acoustic:energy")
    loud = audio.copy()
    loud[: 10 * RATE] *= 0.01
    found = unit_features(space, loud, [2.0, 12.0], [3.0, 13.0])
    assert found.features.shape == (1, 2, 1)
    assert found.features[0, 1, 0] - found.features[0, 0, 0] == pytest.approx(np.log(100), abs=0.05)


def test_windows_that_no_unit_needs_are_not_computed(model, audio, monkeypatch):
    asked = []

    def watched(model, samples, windows, layers=None):
        asked.extend(windows)
        yield from window_features(model, samples, windows, layers)

    monkeypatch.setattr(module, "window_features", watched)
    unit_features(model, audio, [0.5, 20.2], [0.9, 20.6])
    assert len(asked) == 2 < len(plan_windows(model, len(audio), "chunk"))


def test_memory_does_not_grow_with_the_recording(model, audio, monkeypatch):
    """At no time are the frames of more than three windows held."""
    alive = []

    def watched(model, samples, windows, layers=None):
        import weakref

        for window, frames in window_features(model, samples, windows, layers):
            own = frames.copy()
            alive.append(weakref.ref(own))
            assert sum(one() is not None for one in alive) <= 3
            yield window, own
            del own, frames

    monkeypatch.setattr(module, "window_features", watched)
    start = np.arange(0, 20, 0.5)
    unit_features(model, audio, start, start + 0.4)
    assert len(alive) >= 10


def test_a_unit_outside_the_frames_is_nan(model, audio):
    found = unit_features(model, audio[: 2 * RATE], [0.5, 30.0], [0.8, 30.5])
    assert found.n_frames[1] == 0 and np.isnan(found.features[:, 1]).all()
    assert np.isfinite(found.features[:, 0]).all()


def test_work_can_be_cancelled_and_bad_input_is_refused(model, audio):
    class Stop:
        def advance(self, done, total, message):
            raise Cancelled()

    with pytest.raises(Cancelled):
        unit_features(model, audio, [0.5], [0.9], progress=Stop())
    with pytest.raises(InputError, match="unit 0 goes from"):
        unit_features(model, audio, [0.9], [0.5])
    with pytest.raises(InputError, match="too short"):
        unit_features(model, audio[:100], [0.0], [0.001])
