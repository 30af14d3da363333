"""Features against literal loops, and what they may and may not have seen."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from kit.models.tiny_models import KINDS, N_BLOCKS, WIDTH, build, extractor_of
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from braindash.errors import Cancelled, InputError, ResourceError
from braindash.speech import features, windows
from braindash.speech.encoder.encoder import Encoder, layer_frames, normalised
from braindash.speech.features import (
    estimate_seconds,
    extract,
    plan_windows,
    window_features,
)
from braindash.speech.models import open_model

RATE = 16000
STRATEGY_NAMES = tuple(windows.STRATEGIES)


class Recorder:
    """Keeps every report; raises Cancelled at one of them if asked to."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.reports: list[tuple[float, float, str]] = []
        self.cancel_at = cancel_at

    def advance(self, done: float, total: float, message: str) -> None:
        self.reports.append((done, total, message))
        if len(self.reports) == self.cancel_at:
            raise Cancelled()


def reference_states(model, inputs):
    """All layers of one window by transformers' own means, (n_layers, n_frames, n_features)."""
    with torch.no_grad():
        output = model.module(torch.from_numpy(inputs), output_hidden_states=True)
    return np.stack([h[0].numpy() for h in (*output.hidden_states[:-1], output.last_hidden_state)])


def lanczos_sum(samples, sample_times, times, tr):
    """Explicit double sum over times and samples; samples are (n_samples, n_layers, n_features)."""

    def sinc(x):
        return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)

    rows = []
    for wanted in times:
        total, row = 0.0, 0.0
        for at, sample in zip(sample_times, samples, strict=True):
            distance = (wanted - at) / tr
            weight = sinc(distance) * sinc(distance / 3) if abs(distance) < 3 else 0.0
            total += weight
            row = row + weight * sample.astype(np.float64)
        rows.append(row / total)
    return np.stack(rows, axis=1)


def published_loop(kind, model, audio, times, tr, context):
    """One window per 100 ms, the preprocessor on each, the last frame of each layer.

    Of Whisper, whose preprocessor pads, the last frame that stands for audio.
    """
    preprocess = extractor_of(kind)
    samples, ends = [], []
    for end in range(1600, len(audio) + 1, 1600):
        wave = audio[max(0, end - context) : end]
        inputs = preprocess(wave, sampling_rate=RATE, return_tensors="np")
        last = (len(wave) - KINDS[kind].first) // KINDS[kind].hop
        samples.append(reference_states(model, *inputs.values())[:, last])
        ends.append(end / RATE)
    return lanczos_sum(samples, ends, times, tr)


def largest_in_sd(found, wanted):
    """Largest difference in units of each feature's standard deviation over time."""
    return (np.abs(found - wanted) / wanted.std(axis=1, keepdims=True)).max()


def rounding_in_sd(wanted, n_roundings=16):
    """What some roundings of single precision are in that unit: features lie far from 0 in it."""
    far = (np.abs(wanted).max(axis=1) / wanted.std(axis=1)).max()
    return n_roundings * np.finfo(np.float32).eps * far


# --- equality ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_exact_equals_the_published_loop(kind, model_of, sound, short_windows):
    audio, times = sound[: 3 * RATE], np.arange(0.3, 3.0, 0.4)
    found = extract(model_of(kind), audio, times)
    wanted = published_loop(kind, model_of(kind), audio, times, 0.4, context=17600)
    assert found.shape == (N_BLOCKS + 1, len(times), WIDTH) and found.dtype == np.float32
    assert largest_in_sd(found, wanted) <= rounding_in_sd(wanted)


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_a_context_that_is_asked_for_is_all_that_the_model_sees(strategy, model_of, sound):
    """Against windows that are cut by hand: of chunks each as long as half of the context."""
    kind = "wav2vec2-stable"
    model, audio, times = model_of(kind), sound[: 2 * RATE], np.arange(0.4, 1.9, 0.4)
    found = extract(model, audio, times, strategy=strategy, context=0.5, tr=0.4)
    if strategy == "exact":
        wanted = published_loop(kind, model, audio, times, 0.4, context=8000)
    else:
        preprocess, hop, field = extractor_of(kind), KINDS[kind].hop, KINDS[kind].first
        samples, ends = [], []
        for step_end in range(4000, len(audio) + 1, 4000):
            start = -(-max(0, step_end - 8000) // hop) * hop
            wave = preprocess(audio[start:step_end], sampling_rate=RATE, return_tensors="np")
            states = reference_states(model, *wave.values())
            for frame in range((step_end - start - field) // hop + 1):
                end = start + hop * frame + field
                if end > step_end - 4000:
                    samples.append(states[:, frame])
                    ends.append(end / RATE)
        wanted = lanczos_sum(samples, ends, times, 0.4)
    assert largest_in_sd(found, wanted) <= rounding_in_sd(wanted)
    usual = extract(model, audio, times, strategy=strategy, tr=0.4)
    assert largest_in_sd(found, usual) > 1, "the usual context is longer"


@pytest.mark.parametrize("kind", KINDS)
def test_chunk_equals_a_literal_loop(kind, model_of, sound, short_windows):
    model, audio, times = model_of(kind), sound[: int(2.8 * RATE)], np.arange(0.3, 2.7, 0.4)
    preprocess = extractor_of(kind)
    # Whisper's chunks are as long as its input.
    context = 48000 if kind == "whisper" else 17600
    hop, field = KINDS[kind].hop, KINDS[kind].first
    samples, ends = [], []
    for step_end in (8000, 16000, 24000, 32000, 40000, 44800):
        start = -(-max(0, step_end - context) // hop) * hop
        wave = preprocess(audio[start:step_end], sampling_rate=RATE, return_tensors="np")
        states = reference_states(model, *wave.values())
        for frame in range((step_end - start - field) // hop + 1):
            end = start + hop * frame + field
            if end > (step_end - 1) // 8000 * 8000:
                samples.append(states[:, frame])
                ends.append(end / RATE)
    found = extract(model, audio, times, strategy="chunk")
    wanted = lanczos_sum(samples, ends, times, 0.4)
    assert largest_in_sd(found, wanted) <= rounding_in_sd(wanted)


def test_a_full_window_is_16_seconds_and_a_tenth(model_of, sound):
    model = model_of("wav2vec2-stable")
    last = plan_windows(model, len(sound))[-1:]
    ((window, frames),) = window_features(model, sound, last)
    wave = normalised(sound[None, -257600:])
    np.testing.assert_allclose(frames[0], reference_states(model, wave)[:, -1], atol=1e-5)
    assert window.times.tolist() == [20.0]


@pytest.mark.parametrize(
    ("strategy", "seconds", "positions"),
    [("exact", 16.1, [804]), ("chunk", 30.0, range(1400, 1500))],
)
def test_whisper_of_thirty_seconds(strategy, seconds, positions, tmp_path, sound):
    """The published input length: causal windows are padded, chunks are full of audio."""
    build("whisper", max_source_positions=1500).save_pretrained(tmp_path)
    preprocess = WhisperFeatureExtractor(feature_size=20)
    preprocess.save_pretrained(tmp_path)
    model, audio = open_model(tmp_path, device="cpu"), np.resize(sound, 40 * RATE)
    last = plan_windows(model, len(audio), strategy)[-1:]
    ((window, frames),) = window_features(model, audio, last)
    wave = audio[-round(seconds * RATE) :]
    mel = preprocess(wave, sampling_rate=RATE, return_tensors="np").input_features
    assert mel.shape[2] == 3000 and window.seconds == seconds
    wanted = reference_states(model, mel)[:, positions].swapaxes(0, 1)
    np.testing.assert_allclose(frames, wanted, atol=1e-4)
    assert window.times[-1] == 40.0


@pytest.mark.parametrize("kind", ["wav2vec2-stable", "hubert-stable"])
def test_last_layer_lies_behind_the_final_layer_norm(kind, model_of, sound):
    module = model_of(kind).module
    wave = normalised(sound[None, :8000])
    found = layer_frames(module, wave, slice(None))[0, :, -1]
    with torch.no_grad():
        before = module(torch.from_numpy(wave), output_hidden_states=True).hidden_states[-1]
        after = module.encoder.layer_norm(before)[0].numpy()
    np.testing.assert_allclose(found, after, atol=1e-5)
    assert np.abs(found - before[0].numpy()).max() > 0.1


def test_windows_are_normalised_only_where_the_preprocessor_says_so(model_of, sound):
    audio, times = sound[:RATE], [0.4, 0.6, 0.8]
    for kind, made in KINDS.items():
        model = model_of(kind)
        plain, louder = (extract(model, gain * audio + gain, times) for gain in (1, 3))
        same = np.allclose(plain, louder, atol=1e-3)
        assert same == made.normalise, kind


def test_normalisation_equals_the_preprocessor_bit_by_bit(sound):
    waves = np.stack([sound[:257600], sound[-257600:], np.zeros(257600, np.float32)])
    found = normalised(waves)
    preprocess = Wav2Vec2FeatureExtractor(do_normalize=True)
    for wave, ours in zip(waves, found, strict=True):
        theirs = preprocess(wave, sampling_rate=RATE, return_tensors="np").input_values[0]
        np.testing.assert_array_equal(ours, theirs)
    assert found.dtype == np.float32


def test_runs_are_bit_equal(model_of, sound):
    model, times = model_of("wav2vec2-group"), [0.5, 1.0, 1.5]
    first, second = (extract(model, sound[: 2 * RATE], times) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_layers_are_returned_as_asked(model_of, sound):
    model, audio, times = model_of("hubert-layer"), sound[:RATE], [0.4, 0.6, 0.8]
    everything = extract(model, audio, times)
    np.testing.assert_array_equal(extract(model, audio, times, layers=[2, 0]), everything[[2, 0]])
    # The last block that is run gives its kept frames only: the same sums in another order.
    np.testing.assert_allclose(extract(model, audio, times, layers=[1]), everything[[1]], atol=1e-5)


def test_tr_is_the_median_step_unless_given(model_of, sound):
    model, audio, times = model_of("hubert-group"), sound[: 2 * RATE], [0.5, 0.9, 1.3, 1.9]
    inferred = extract(model, audio, times)
    np.testing.assert_array_equal(inferred, extract(model, audio, times, tr=0.4))
    assert not np.allclose(inferred, extract(model, audio, times, tr=0.6))
    with pytest.raises(InputError, match="TR"):
        extract(model, audio, [1.0])
    assert extract(model, audio, [1.0], tr=0.4).shape == (N_BLOCKS + 1, 1, WIDTH)


# --- causality ---------------------------------------------------------------------------------


def frames_before_and_after_a_change(model, audio, strategy, changed_from):
    """Kept frames of a sound and of the same sound with other audio from one sample on."""
    other = audio.copy()
    other[changed_from:] = np.random.default_rng(1).standard_normal(len(audio) - changed_from)
    plan = plan_windows(model, len(audio), strategy)
    runs = [
        np.concatenate([frames for _, frames in window_features(model, wave, plan)])
        for wave in (audio, other)
    ]
    return np.concatenate([window.times for window in plan]), *runs


@pytest.mark.parametrize("kind", ["wav2vec2-group", "hubert-stable"])
def test_exact_frames_never_saw_the_future(kind, model_of, sound, short_windows):
    changed_from = 26400
    times, before, after = frames_before_and_after_a_change(
        model_of(kind), sound[: 3 * RATE], "exact", changed_from
    )
    past = times <= changed_from / RATE
    np.testing.assert_array_equal(before[past], after[past])
    assert (np.abs(before[~past] - after[~past]).max(axis=(1, 2)) > 1e-3).all()


def test_chunk_frames_saw_one_step_of_the_future_at_most(model_of, sound, short_windows):
    changed_from = 26400
    times, before, after = frames_before_and_after_a_change(
        model_of("wav2vec2-group"), sound[: 3 * RATE], "chunk", changed_from
    )
    safe = times <= 24000 / RATE  # the last step that ended before the change
    np.testing.assert_array_equal(before[safe], after[safe])
    leaked = ~safe & (times < changed_from / RATE)
    assert (np.abs(before[leaked] - after[leaked]).max(axis=(1, 2)) > 1e-6).all()


@pytest.mark.parametrize(("strategy", "future"), [("exact", 0.0), ("chunk", 0.5)])
def test_rows_reach_no_further_than_the_kernel_and_one_step(
    strategy, future, model_of, sound, short_windows
):
    model, audio, tr, changed_at = model_of("hubert-stable"), sound[: 4 * RATE], 0.3, 2.7
    other = audio.copy()
    other[round(changed_at * RATE) :] *= -3.0
    times = np.arange(0.3, 3.9, tr)
    runs = [extract(model, wave, times, strategy=strategy, tr=tr) for wave in (audio, other)]
    moved = np.abs(runs[1] - runs[0]).max(axis=(0, 2))
    reach = changed_at - 3 * tr - future
    assert (moved[times <= reach] == 0).all() and (times <= reach).sum() >= 3
    assert (moved[times > changed_at] > 1e-3).all()


def test_strategies_give_different_features(model_of, sound):
    times = np.arange(0.4, 4.0, 0.4)
    exact, chunk = (
        extract(model_of("wav2vec2-group"), sound[: 4 * RATE], times, strategy=strategy)
        for strategy in ("exact", "chunk")
    )
    assert largest_in_sd(chunk, exact) > 0.1


# --- streaming ---------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_windows_that_no_row_needs_are_skipped(strategy, model_of, sound, short_windows):
    model, audio = model_of("hubert-group"), sound[: 4 * RATE]
    late, all_rows = Recorder(), Recorder()
    times = np.arange(0.2, 4.0, 0.2)
    whole = extract(model, audio, times, strategy=strategy, progress=all_rows)
    part = extract(model, audio, times[-3:], strategy=strategy, progress=late)
    assert len(late.reports) < len(all_rows.reports) / 2
    np.testing.assert_allclose(part, whole[:, -3:], atol=1e-5)


def test_progress_is_told_after_every_window(model_of, sound):
    heard = Recorder()
    extract(model_of("hubert-group"), sound[:RATE], [0.2, 0.5, 0.8], progress=heard)
    done, totals, messages = zip(*heard.reports, strict=True)
    np.testing.assert_allclose(done, np.cumsum(np.arange(11) / 10))
    assert totals == pytest.approx([5.5] * 11)
    assert messages[-1] == "window 10 of 10"


def test_cancelling_stops_at_once_and_leaves_the_model_usable(model_of, sound):
    model, audio, times = model_of("wav2vec2-stable"), sound[:RATE], [0.2, 0.5, 0.8]
    before = extract(model, audio, times)
    # transformers leaves hooks of its own once it was asked for hidden states
    n_hooks = [len(module._forward_hooks) for module in model.module.modules()]
    heard = Recorder(cancel_at=3)
    with pytest.raises(Cancelled):
        extract(model, audio, times, progress=heard)
    assert len(heard.reports) == 3
    assert [len(module._forward_hooks) for module in model.module.modules()] == n_hooks
    np.testing.assert_array_equal(extract(model, audio, times), before)


def test_memory_does_not_grow_with_the_recording(model_of, monkeypatch):
    model = replace(model_of("hubert-group"), n_layers=13, n_features=256)

    def cheap(encoder, embedded, frames, layers):
        return np.ones((len(embedded), 1, len(layers), model.n_features), np.float32)

    monkeypatch.setattr(Encoder, "embed", lambda encoder, waves: torch.from_numpy(waves))
    monkeypatch.setattr(Encoder, "layer_frames", cheap)
    extra = []
    for seconds in (30, 300):
        audio = np.ones(seconds * RATE, np.float32)
        tracemalloc.start()
        rows = extract(model, audio, np.arange(2.0, seconds, 2.0))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert np.allclose(rows, 1.0, atol=1e-6)
        extra.append(peak - rows.nbytes)
    # All frames of the long one together would take 40 MB.
    assert extra[1] < extra[0] + 8e6


def test_the_model_itself_leaves_nothing_behind(model_of, sound, short_windows):
    process, model = psutil.Process(), model_of("wav2vec2-stable")

    def growth(seconds):
        audio = np.resize(sound, seconds * RATE)
        before = process.memory_info().rss
        extract(model, audio, np.arange(1.0, seconds, 1.0), strategy="chunk")
        return process.memory_info().rss - before

    growth(10)
    # One graph of a window kept for each of 200 windows would take more than 200 MB.
    assert growth(100) < 40e6


def out_of_memory_above(limit, seen):
    whole = Encoder.layer_frames

    def run(encoder, embedded, frames, layers):
        seen.append(len(embedded))
        if len(embedded) > limit:
            raise torch.OutOfMemoryError("no room")
        return whole(encoder, embedded, frames, layers)

    return run


def test_batches_on_a_gpu_shrink_until_they_fit(model_of, sound, short_windows, monkeypatch):
    model, audio, times = model_of("wav2vec2-stable"), sound[: 3 * RATE], [1.0, 1.5, 2.0, 2.5]
    alone = extract(model, audio, times)
    seen: list[int] = []
    monkeypatch.setattr(Encoder, "layer_frames", out_of_memory_above(3, seen))
    batched = extract(replace(model, device="cuda"), audio, times)
    np.testing.assert_allclose(batched, alone, atol=1e-4)
    # Ten windows shorter than the full 1.1 s run alone, then twenty full ones.
    assert seen[:10] == [1] * 10
    assert seen[10:13] == [20, 10, 5] and set(seen[13:]) == {2}
    assert sum(seen[13:]) == 20


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=repr,
)
def test_memory_that_a_library_or_the_cpu_lacks_is_told(model_of, sound, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(Encoder, "layer_frames", fail)
    with pytest.raises(ResourceError, match="has no memory for one window"):
        extract(model_of("hubert-group"), sound[:RATE], [0.5], tr=0.4)


def test_a_window_that_never_fits_is_an_error_with_a_way_out(model_of, sound, monkeypatch):
    monkeypatch.setattr(Encoder, "layer_frames", out_of_memory_above(0, []))
    with pytest.raises(ResourceError) as caught:
        extract(replace(model_of("hubert-group"), device="cuda"), sound[:RATE], [0.5], tr=0.4)
    assert "cpu" in caught.value.hint


def test_estimate_scales_one_window_to_the_whole_recording(model_of, monkeypatch):
    now = [0.0]
    lengths = []

    def fake_windows(model, audio, plan):
        for window in plan:
            assert len(audio) >= window.end
            lengths.append(window.seconds)
            now[0] += 0.25 * window.seconds
            yield window, None

    monkeypatch.setattr(features, "window_features", fake_windows)
    monkeypatch.setattr(features.time, "perf_counter", lambda: now[0])
    model = model_of("hubert-group")
    for strategy in STRATEGY_NAMES:
        plan = plan_windows(model, 60 * RATE, strategy)
        wanted = 0.25 * sum(window.seconds for window in plan)
        assert estimate_seconds(model, 60.0, strategy) == pytest.approx(wanted)
        assert lengths[-1] == 16.1


def test_estimate_of_a_real_model_is_a_time(model_of):
    model = model_of("hubert-group")
    chunk, exact = (estimate_seconds(model, 20.0, name) for name in ("chunk", "exact"))
    assert 0 < chunk < exact < 600


# --- bad input ---------------------------------------------------------------------------------

GOOD = np.full(RATE, 0.1, np.float32)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"audio": GOOD[:0]}, "empty"),
        ({"audio": GOOD[:399]}, "too short"),
        ({"audio": GOOD[:1599]}, "too short"),
        ({"audio": np.where(np.arange(RATE) == 8000, np.nan, GOOD)}, r"1 NaN .* at 0.500 s"),
        ({"audio": np.stack([GOOD, GOOD])}, r"shape \(2, 16000\)"),
        ({"audio": (GOOD * 9999).astype(np.int16)}, "int16"),
        ({"times": [0.2, 0.5, 1.1]}, r"1 of 3 times .* 1.100 s"),
        ({"times": [-0.2, 0.5]}, r"-0.200 s"),
        ({"times": [0.2, np.nan]}, "increasing"),
        ({"times": [np.nan]}, "outside"),
        ({"times": [0.5, 0.2]}, "increasing"),
        ({"times": []}, "increasing"),
        ({"tr": 0.0}, "TR is 0.0"),
        ({"strategy": "exakt"}, "mean 'exact'"),
        ({"layers": [0, 3]}, r"no layers \[3\]"),
        ({"layers": [-1]}, r"no layers \[-1\]"),
        ({"layers": []}, "no layer"),
    ],
)
def test_bad_input_is_named(changes, says, model_of):
    given = {"audio": GOOD, "times": [0.2, 0.5, 0.8]} | changes
    with pytest.raises(InputError, match=says):
        extract(model_of("hubert-group"), given.pop("audio"), given.pop("times"), **given)
