import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.spoken_units import spoken_units
from kit.models.probe_runs import probe_layers

from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.model import Probes
from braindash.core.probes.split import Split, given_split, split_units
from braindash.core.statistics.bootstrap import interval_of_units
from braindash.errors import Cancelled, InputError

FEW = {"n_shuffles": 3, "n_samples": 50}
METHODS = ("ridge", "discriminant", "logistic")


@pytest.fixture(scope="module")
def units():
    return spoken_units(n_speakers=15, n_recordings=60)


def tasks(units, **options):
    return [
        ProbeTask("phone", units.phone, **options),
        ProbeTask("value", units.values, "regression"),
    ]


class Reports:
    """Notes every report; stops the work at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[tuple[float, str]] = []
        self._stop_at = stop_at

    def advance(self, done: float, total: float, message: str) -> None:
        if len(self.seen) == self._stop_at:
            raise Cancelled()
        self.seen.append((done / total, message))


# ---- what a result holds -------------------------------------------------------------------


def test_a_result_holds_all_layers(units):
    weak = spoken_units(strength=0.1, n_speakers=15, n_recordings=60).features
    layers = [units.features, weak, units.features]
    phone, value = probe_layers(layers, tasks(units), units.split, **FEW)
    assert (phone.task, phone.kind, phone.metric, phone.method) == (
        "phone", "classification", "accuracy", "ridge",
    )  # fmt: skip
    assert phone.classes == (0, 1, 2, 3, 4) and phone.n_classes == 5 and value.n_classes == 0
    sizes = [len(rows) for rows in (units.split.train, units.split.valid, units.split.test)]
    assert [phone.n_train, phone.n_validation, phone.n_test] == sizes
    assert phone.split == units.split.description and not phone.warnings
    assert phone.bootstrap == f"{phone.n_pieces} test speakers" and phone.n_pieces == 3
    for result in (phone, value):
        assert result.score.shape == result.alpha.shape == result.selectivity.shape == (3,)
        assert result.samples.shape == (50, 3) and result.samples.dtype == np.float32
        assert result.score[0] == result.score[2] > result.score[1]
        np.testing.assert_array_equal(result.samples[:, 0], result.samples[:, 2])
        np.testing.assert_array_equal(result.score, result.metrics[result.metric])
        np.testing.assert_allclose(result.selectivity, result.score - result.chance_shuffled)
        low, high = interval_of_units(result.score, result.samples, result.n_pieces)
        np.testing.assert_array_equal([result.low, result.high], [low, high])
        assert (low < result.score).all() and (result.score < high).all()
    assert set(phone.metrics) == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert phone.detail.shape == (3, 5, 5) and value.detail.shape == (3, 2)
    np.testing.assert_array_equal(phone.detail.sum(axis=(1, 2)), phone.n_test)
    np.testing.assert_allclose(np.trace(phone.detail, axis1=1, axis2=2) / phone.n_test, phone.score)


def test_chance_of_one_answer_for_all(units):
    phone, value = probe_layers([units.features], tasks(units), units.split, **FEW)
    known = np.concatenate([units.split.train, units.split.valid])
    usual = np.bincount(units.phone[known]).argmax()
    true = units.phone[units.split.test]
    assert phone.chance_majority == pytest.approx((true == usual).mean())
    y = units.values[units.split.test]
    error = ((y - units.values[known].mean(axis=0)) ** 2).sum()
    assert value.chance_majority == pytest.approx(1 - error / ((y - y.mean(axis=0)) ** 2).sum())
    balanced = ProbeTask("phone", units.phone, balanced=True)
    even = probe_layers([units.features], [balanced], units.split, **FEW)[0]
    assert even.metric == "balanced_accuracy" and even.chance_majority == pytest.approx(0.2)


def test_numbers_repeat_with_the_seed(units):
    runs = [
        probe_layers([units.features], tasks(units), units.split, seed=seed, **FEW)
        for seed in (1, 1, 2)
    ]
    for first, same, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.samples, same.samples)
        np.testing.assert_array_equal(first.chance_shuffled, same.chance_shuffled)
        assert (first.samples != other.samples).any()
        assert first.chance_shuffled != other.chance_shuffled
        assert first.score == other.score


def test_layers_may_be_kept_and_gathered_later(units):
    plan = Probes(tasks(units), units.split, **FEW)
    kept = [plan.fit_layer(units.features), plan.fit_layer(-2 * units.features)]
    again = Probes(tasks(units), units.split, **FEW).results(kept)
    whole = probe_layers([units.features, -2 * units.features], tasks(units), units.split, **FEW)
    for a, b in zip(again, whole, strict=True):
        np.testing.assert_array_equal(a.score, b.score)
        np.testing.assert_array_equal(a.samples, b.samples)
    with pytest.raises(InputError, match="0 layers were given for 2 tasks"):
        plan.results([])
    with pytest.raises(InputError, match="for 2 tasks"):
        plan.results([kept[0][:1]])


def test_without_shuffles_there_is_no_selectivity(units):
    result = probe_layers([units.features], tasks(units), units.split, n_shuffles=0)[0]
    assert np.isnan([result.chance_shuffled, result.chance_shuffled_sd, result.selectivity]).all()
    one = probe_layers([units.features], tasks(units), units.split, n_shuffles=1)[0]
    assert np.isfinite(one.selectivity).all() and np.isnan(one.chance_shuffled_sd).all()


def test_one_test_recording_gives_no_interval():
    few = spoken_units(n_units=400)
    test = few.split.test[few.split.recordings[few.split.test] == few.recordings[few.split.test[0]]]
    split = Split(few.split.train, few.split.valid, test[:8], few.recordings, "by hand")
    result = probe_layers([few.features], tasks(few)[:1], split, **FEW)[0]
    assert np.isnan([result.low, result.high]).all() and np.isfinite(result.score).all()
    assert result.warnings[-1] == "1 test recording: there is no interval, which needs 3"


# ---- what probes find ----------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_was_put_in_is_found(method):
    clear = spoken_units(strength=2.0, n_speakers=20, n_recordings=40)
    phone, value = probe_layers([clear.features], tasks(clear, method=method), clear.split, **FEW)
    assert phone.score > 0.95 and phone.low > 0.9
    assert value.score > 0.5 and (value.detail > 0.4).all()
    for result in (phone, value):
        spread = 4 * result.chance_shuffled_sd + 0.03
        assert abs(result.chance_shuffled - result.chance_majority) < spread
        assert result.selectivity > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_what_was_not_put_in_is_not_found(method):
    empty = spoken_units(strength=0.0, n_units=2000, n_speakers=20, n_recordings=40)
    for balanced in (False, True):
        options = {"method": method, "balanced": balanced}
        phone, value = probe_layers(
            [empty.features], tasks(empty, **options), empty.split, n_shuffles=5
        )
        assert abs(phone.selectivity) < 0.05
        assert phone.low <= phone.chance_majority + 0.03
        assert -0.05 < value.score < 0.03 and abs(value.selectivity) < 0.05


def test_a_speaker_that_goes_with_a_class_does_not_help():
    """Every speaker says one word only: features know the speaker, and nothing else."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(30), 40)
    word = speakers % 3
    features = rng.standard_normal((30, 40))[speakers] + 0.1 * rng.standard_normal((1200, 40))
    features = features.astype(np.float32)
    recordings = np.arange(1200) // 10
    task = ProbeTask("word", word)
    apart = split_units(recordings, speakers=speakers, strata=word)
    leaky = split_units(recordings, strata=word)
    scores = [
        probe_layers([features], [task], split, n_shuffles=0)[0].score[0]
        for split in (apart, leaky)
    ]
    assert scores[0] < 0.6 and scores[1] > 0.95


def test_types_that_were_learnt_by_heart_do_not_help():
    """Each word has features of its own and a category by chance: only memory could tell it."""
    rng = np.random.default_rng(1)
    types = rng.integers(24, size=3000)
    features = rng.standard_normal((24, 30))[types] + 0.2 * rng.standard_normal((3000, 30))
    task = ProbeTask("category", types % 2)
    recordings = np.arange(3000) // 30
    sides = np.array([*["train"] * 6, *["valid"] * 2, *["test"] * 2])
    of_type = np.repeat(sides[[0, 1, 2, 3, 4, 5, 6, 8]], 3)[types]
    kept = given_split(
        np.where(of_type == sides[recordings % 10], of_type, ""), recordings, types=types
    )
    mixed = split_units(recordings, strata=types % 2)
    scores = [
        probe_layers([features], [task], split, n_shuffles=0)[0].score[0] for split in (kept, mixed)
    ]
    assert scores[0] < 0.85 and scores[1] > 0.99


@settings(max_examples=8)
@given(st.permutations(range(5)), st.sampled_from(METHODS))
def test_names_of_classes_do_not_matter(order, method):
    units = spoken_units(n_units=500)
    renamed = ProbeTask("phone", np.array(order)[units.phone], method=method)
    plain = ProbeTask("phone", units.phone, method=method)
    options = {"alphas": [1e-2], **FEW}
    a, b = (
        probe_layers([units.features], [t], units.split, **options)[0] for t in (plain, renamed)
    )
    np.testing.assert_array_equal(a.detail[0], b.detail[0][np.ix_(order, order)])
    np.testing.assert_allclose(a.samples, b.samples, atol=1e-6)
    np.testing.assert_allclose(a.chance_shuffled, b.chance_shuffled)


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from(METHODS))
def test_units_of_features_do_not_matter_nor_do_constant_ones(seed, method):
    units, rng = spoken_units(n_units=500), np.random.default_rng(seed)
    scale, shift = 2.0 ** rng.integers(-12, 12, 20), rng.integers(-50, 50, 20)
    other = (units.features * scale + shift * scale).astype(np.float32)
    other = np.insert(other, rng.integers(20), 7.0, axis=1)
    # One penalty: which is the best of several can hang on a single unit.
    options = {"alphas": [1e-2], **FEW}
    a, b = (
        probe_layers([x], tasks(units, method=method), units.split, **options)
        for x in (units.features, other)
    )
    np.testing.assert_allclose(a[0].score, b[0].score, atol=0.02)
    np.testing.assert_allclose(a[1].score, b[1].score, atol=1e-3)


def test_a_useless_feature_hardly_changes_a_score(units):
    noise = np.random.default_rng(0).standard_normal((1200, 1)).astype(np.float32)
    wider = np.concatenate([units.features, noise], axis=1)
    for a, b in zip(
        *(probe_layers([x], tasks(units), units.split, **FEW) for x in (units.features, wider)),
        strict=True,
    ):
        assert abs(a.score - b.score) < 0.015


def test_intervals_hold_the_score_on_other_recordings():
    """Of many test sets from one world; the probe itself is learnt once."""
    inside = 0
    for seed in range(20):
        units = spoken_units(seed, n_units=1500, n_recordings=75, n_speakers=75, strength=0.5)
        half = np.isin(units.recordings[units.split.test] % 2, 0)
        parts = [
            Split(units.split.train, units.split.valid, units.split.test[mask],
                  units.recordings, "by hand")
            for mask in (half, ~half)
        ]  # fmt: skip
        task = [ProbeTask("phone", units.phone, method="discriminant")]
        first, second = (
            probe_layers([units.features], task, part, n_shuffles=0, n_samples=300)[0]
            for part in parts
        )
        # The difference of two equally sure scores varies 1.4 times as much as either.
        reach = np.sqrt(2) * (first.high - first.low) / 2
        inside += int(abs(first.score - second.score)[0] <= reach[0])
    assert inside >= 16


# ---- running ------------------------------------------------------------------------------


def test_progress_is_told_between_tasks_and_layers(units):
    reports = Reports()
    layers = [units.features] * 3
    probe_layers(layers, tasks(units), units.split, progress=reports, **FEW)
    assert [message for _, message in reports.seen] == [
        *(f"layer {layer}: {task}" for layer in range(3) for task in ("phone", "value")),
        "all layers are probed",
    ]
    shares = [share for share, _ in reports.seen]
    np.testing.assert_allclose(shares, np.arange(7) / 6)


def test_slow_methods_tell_of_every_run(units):
    reports = Reports()
    slow = tasks(units, method="logistic")[:1]
    probe_layers([units.features], slow, units.split, progress=reports, **FEW)
    assert [message for _, message in reports.seen[:2]] == [
        "layer 0: phone, run 1 of 4",
        "layer 0: phone, run 2 of 4",
    ]
    assert [share for share, _ in reports.seen] == [0, 0.25, 0.5, 0.75, 1]


def test_work_can_be_cancelled_between_two_parts(units):
    reports, opened = Reports(stop_at=3), []

    class Layers:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, layer: int) -> np.ndarray:
            opened.append(layer)
            return units.features

    with pytest.raises(Cancelled):
        probe_layers(Layers(), tasks(units), units.split, progress=reports, **FEW)
    assert opened == [0, 1] and len(reports.seen) == 3


def test_a_bad_layer_is_named(units):
    broken = units.features.copy()
    broken[units.split.train[0]] = np.nan
    with pytest.raises(InputError, match="1 units have missing or infinite features in layer 1"):
        probe_layers([units.features, broken], tasks(units), units.split, **FEW)


def test_settings_that_cannot_be_used_are_refused(units):
    for options, match in (
        ({"n_shuffles": -1}, "n_shuffles is -1"),
        ({"n_samples": 0}, "n_samples 0"),
        ({"alphas": [0.0]}, "alphas"),
        ({"device": "gpu"}, "unknown device"),
        ({"threads": 0}, "threads"),
    ):
        with pytest.raises(InputError, match=match):
            Probes(tasks(units), units.split, **options)
    for wrong in ([], tasks(units)[:1] * 2):
        with pytest.raises(InputError, match="the tasks are"):
            Probes(wrong, units.split)


def test_threads_are_put_back_and_inputs_are_left_alone(units):
    before, features = torch.get_num_threads(), units.features.copy()
    probe_layers([units.features], tasks(units), units.split, threads=1, **FEW)
    assert torch.get_num_threads() == before
    np.testing.assert_array_equal(units.features, features)


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_of_the_cpu(units):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for method in METHODS:
        a, b = (
            probe_layers([units.features], tasks(units, method=method), units.split,
                         device=device, **FEW)
            for device in ("cpu", "cuda")
        )  # fmt: skip
        np.testing.assert_allclose(a[0].score, b[0].score, atol=0.01)
        np.testing.assert_allclose(a[1].score, b[1].score, atol=1e-4)
