"""Windows that share the front end: the same numbers as each window by itself."""

import numpy as np
import pytest
from tiny_models import KINDS

from braindash.speech.shared import WindowInputs
from braindash.speech.windows import Window, chunk_windows, exact_windows

# Of the embedding's standard deviation: what the module promises.
PROMISED = 3e-5
RATE = 16000
LOCAL = [kind for kind, made in KINDS.items() if made.local]


def inputs_of(model, audio, plan=None, **options):
    """Windows of a recording, and both ways to prepare them."""
    plan = exact_windows(len(audio), model.geometry) if plan is None else plan
    given = {"normalise": model.normalise} | options
    return plan, WindowInputs(model.encoder, audio, plan, **given)


def direct(model, audio, window, normalise=None):
    """One window by itself, from its definition."""
    wave = audio[None, window.start : window.end]
    if model.normalise if normalise is None else normalise:
        double = wave.astype(np.float64)
        wave = (double - double.mean()) / np.sqrt(double.var() + 1e-7)
    return model.encoder.embed(wave.astype(np.float32)).numpy()


def largest(model, audio, plan, inputs, positions):
    """Largest difference over windows, of the embedding's standard deviation."""
    worst = 0.0
    for position in positions:
        wanted = direct(model, audio, plan[position])
        found = inputs.take(position, 1).numpy()
        worst = max(worst, float(np.abs(found - wanted).max() / wanted.std()))
    return worst


def swelling(sound):
    """The sound with a loudness that changes tenfold within seconds, and an offset that drifts."""
    at = np.arange(len(sound)) / RATE
    return (sound * 10 ** np.sin(0.6 * at) + 0.05 * np.sin(0.9 * at)).astype(np.float32)


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("change", [lambda sound: sound, swelling])
def test_shared_windows_are_those_computed_one_by_one(kind, change, model_of, sound):
    model, audio = model_of(kind), change(sound)
    plan, inputs = inputs_of(model, audio)
    steps = [*range(40), *range(150, len(plan), 7)]
    shared = []
    worst = 0.0
    for position in steps:
        worst = max(worst, largest(model, audio, plan, inputs, [position]))
        shared.append(inputs.n_grouped > 1)
    assert worst <= 2 * PROMISED
    assert shared[-1], "full windows of a long recording share nothing"


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm-group", "whisper"])
def test_windows_that_look_at_the_whole_are_never_shared(kind, model_of, sound):
    model = model_of(kind)
    _, inputs = inputs_of(model, sound)
    inputs.take(170, 2)
    assert inputs.n_grouped == 1 and inputs.share_of_work(170) == 1.0


def test_nothing_is_shared_in_mixed_precision_of_normalised_windows(model_of, sound):
    model = model_of("hubert-stable")
    _, inputs = inputs_of(model, sound, exact_arithmetic=False)
    inputs.take(170, 1)
    assert inputs.n_grouped == 1
    _, plain = inputs_of(model, sound, exact_arithmetic=False, normalise=False)
    plain.take(170, 1)
    assert plain.n_grouped > 1


@pytest.mark.parametrize("kind", ["hubert-stable", "data2vec"])
def test_loud_onsets_and_silence_are_computed_one_by_one(kind, model_of, sound):
    """A quadratic would be far off where loudness jumps; digital silence has none."""
    model = model_of(kind)
    audio = sound.copy()
    audio[: 9 * RATE] = 0.0
    audio[13 * RATE :] *= 50.0
    plan, inputs = inputs_of(model, audio)
    silent, onset, jump = 60, 90, 130
    for position in range(silent, len(plan), 2):
        wanted = direct(model, audio, plan[position])
        found = inputs.take(position, 1).numpy()
        assert np.abs(found - wanted).max() <= 2 * PROMISED * wanted.std()
        if position in (onset, onset + 2, jump, jump + 2):
            assert inputs.n_grouped == 1


def test_a_group_that_misses_is_computed_one_by_one(model_of, sound, monkeypatch):
    model = model_of("hubert-stable")
    monkeypatch.setattr("braindash.speech.shared._TOLERANCE", 0.0)
    plan, inputs = inputs_of(model, sound)
    assert largest(model, sound, plan, inputs, range(170, 180)) <= PROMISED
    assert inputs.n_grouped == 1


def test_chunks_overlap_too_little_to_share(model_of, sound):
    model = model_of("hubert-stable")
    plan = chunk_windows(len(sound), model.geometry)
    _, inputs = inputs_of(model, sound, plan)
    assert largest(model, sound, plan, inputs, range(len(plan))) <= PROMISED


def test_batches_may_cross_groups_and_be_taken_again(model_of, sound):
    """As after an out-of-memory error, which halves the batch and begins again."""
    model = model_of("wav2vec2-stable")
    plan, inputs = inputs_of(model, sound)
    full = [n for n, window in enumerate(plan) if window.seconds == 16.1]
    first = inputs.take(full[0], len(full)).numpy()
    assert inputs.take(full[0], 2).numpy() == pytest.approx(first[:2], abs=1e-4)
    wanted = np.concatenate([direct(model, sound, plan[n]) for n in full])
    assert np.abs(first - wanted).max() <= 2 * PROMISED * wanted.std()


def test_windows_off_the_frame_grid_begin_a_group_of_their_own(model_of, sound):
    model = model_of("hubert-layer")
    plan = [
        Window(start, start + RATE, slice(None), np.array([float(start)]))
        for start in (0, 320, 640, 700, 1020, 1340)
    ]
    _, inputs = inputs_of(model, sound, plan)
    assert largest(model, sound, plan, inputs, range(len(plan))) <= PROMISED
    inputs.take(0, 1)
    assert inputs.n_grouped == 3
