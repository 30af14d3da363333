"""Windows that share the front end: the same numbers as each window by itself."""

from pathlib import Path

import numpy as np
import pytest
from kit.models.tiny_models import KINDS, build, save

import braindash
from braindash.io.dataset.audio import load_audio
from braindash.speech.encoder.overlap import WindowInputs
from braindash.speech.models import open_model
from braindash.speech.windows import Window, chunk_windows, exact_windows

# Of the embedding's standard deviation, with some room above what a group holds itself to: its
# check sees a few windows only.
PROMISED = 1e-4
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


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A model with more channels: with 8 of them, layer norms leave nothing smooth."""
    made = build("wav2vec2-stable", conv_dim=(64,) * 7)
    return open_model(save(made, tmp_path_factory.mktemp("wide")), device="cpu")


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Twenty-four seconds of the embedded demo's recordings."""
    files = sorted((Path(braindash.__file__).parent / "demo" / "audio").glob("*_train_*"))
    return np.concatenate([load_audio(path) for path in files[:3]])[: 24 * RATE]


def test_normalised_windows_of_speech_share_the_front_end(wide, speech):
    plan, inputs = inputs_of(wide, speech)
    for position in (45, 60, 100, 161, 200, 239):
        assert largest(wide, speech, plan, inputs, [position]) <= PROMISED
        assert inputs.n_grouped > 30
    assert inputs.share_of_work(161) < 0.5


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("change", [lambda sound: sound, swelling])
def test_windows_are_those_computed_one_by_one_shared_or_not(kind, change, model_of, sound):
    model, audio = model_of(kind), change(sound)
    plan, inputs = inputs_of(model, audio)
    steps = [*range(10), *range(10, len(plan), 15)]
    assert largest(model, audio, plan, inputs, steps) <= PROMISED


def test_windows_that_are_not_normalised_always_share(model_of, sound):
    model = model_of("hubert-layer")
    plan, inputs = inputs_of(model, swelling(sound))
    for position in (5, 80, 161):
        assert largest(model, swelling(sound), plan, inputs, [position]) <= PROMISED
        assert inputs.n_grouped > 5


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm-group", "whisper"])
def test_windows_that_look_at_the_whole_are_never_shared(kind, model_of, sound):
    model = model_of(kind)
    _, inputs = inputs_of(model, sound)
    inputs.take(170, 2)
    assert inputs.n_grouped == 1 and inputs.share_of_work(170) == 1.0


def test_nothing_is_shared_in_mixed_precision_of_normalised_windows(wide, speech):
    _, inputs = inputs_of(wide, speech, exact_arithmetic=False)
    inputs.take(170, 1)
    assert inputs.n_grouped == 1
    _, plain = inputs_of(wide, speech, exact_arithmetic=False, normalise=False)
    plain.take(170, 1)
    assert plain.n_grouped > 1


def test_silence_and_sudden_loudness_are_computed_one_by_one(wide, speech):
    """A quadratic is far off where loudness jumps; digital silence has no loudness."""
    audio = speech.copy()
    audio[: 9 * RATE] = 0.0
    audio[13 * RATE :] *= 50.0
    plan, inputs = inputs_of(wide, audio)
    alone = []
    for position in range(60, 200, 10):
        assert largest(wide, audio, plan, inputs, [position]) <= PROMISED
        alone.append(inputs.n_grouped == 1)
    assert any(alone) and not all(alone)


def test_a_group_that_misses_is_computed_one_by_one(wide, speech, monkeypatch):
    monkeypatch.setattr("braindash.speech.encoder.overlap._TOLERANCE", 1e-9)
    plan, inputs = inputs_of(wide, speech)
    assert largest(wide, speech, plan, inputs, range(170, 174)) <= PROMISED
    assert inputs.n_grouped == 1


def test_chunks_overlap_too_little_to_share(model_of, sound):
    model = model_of("hubert-stable")
    plan = chunk_windows(len(sound), model.geometry)
    _, inputs = inputs_of(model, sound, plan)
    assert largest(model, sound, plan, inputs, range(len(plan))) <= PROMISED


def test_batches_may_cross_groups_and_be_taken_again(wide, speech):
    """As after an out-of-memory error, which halves the batch and begins again."""
    plan, inputs = inputs_of(wide, speech)
    first = next(n for n, window in enumerate(plan) if window.seconds == 16.1)
    inputs.take(first - 3, 1)
    inputs.take(first, len(plan) - first)
    last = inputs.take(len(plan) - 2, 2).numpy()
    again = inputs.take(first, 2).numpy()
    for found, position in ((last, len(plan) - 2), (again, first)):
        for offset in range(2):
            wanted = direct(wide, speech, plan[position + offset])
            assert np.abs(found[offset] - wanted).max() <= PROMISED * wanted.std()


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
