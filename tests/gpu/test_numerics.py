"""Regressions, statistics and probes on the pretended device: the CPU's numbers, and few waits."""

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
import torch

from braindash.core.probes import transcripts
from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.model import Probes
from braindash.core.probes.split import split_units
from braindash.core.probes.transcripts import TranscriptProbes
from braindash.core.ridge.banded import BandedRidgeCV
from braindash.core.ridge.model import RidgeCV
from braindash.core.ridge.nuisance import residual_features
from braindash.core.ridge.weights import RidgeWeights
from braindash.core.statistics.bootstrap import block_counts, bootstrap_r
from braindash.core.statistics.permutation import permutation_tests
from braindash.core.statistics.prewhitened import prewhitened_difference, prewhitened_tests
from braindash.errors import ResourceError, is_out_of_memory

pytestmark = pytest.mark.gpu

N_ROWS, N_TEST, N_FEATURES, N_TARGETS = 90, 45, 8, 1100
ALPHAS = np.logspace(-1, 5, 7)
Arrays = dict[str, np.ndarray]


def made_up() -> Arrays:
    """Three stories and a test story, whose targets follow the features to differing degrees."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS + N_TEST, N_FEATURES)).astype(np.float32)
    weights = rng.standard_normal((N_FEATURES, N_TARGETS)) * np.linspace(0, 1, N_TARGETS)
    Y = (np.roll(X, 1, axis=0) @ weights + rng.standard_normal((len(X), N_TARGETS))).astype("f4")
    Y[:, 3] = np.nan
    Y[:, 4] = 1.0
    return {
        "X": X[:N_ROWS],
        "X_test": X[N_ROWS:],
        "Y": Y[:N_ROWS],
        "Y_test": Y[N_ROWS:],
        "groups": np.repeat([0, 1, 2], N_ROWS // 3),
    }


def ridge(device: str, given: Arrays, **options) -> Arrays:
    plan = RidgeCV(given["X"], given["groups"], alphas=ALPHAS, device=device, **options)
    made = plan.fit(given["Y"], given["X_test"], None, given["Y_test"], return_prediction=True)
    return {
        "alpha": made.alpha,
        "cv_score": made.cv_score,
        "prediction": made.prediction,
        "r": made.r,
    }


def pooled(device: str, given: Arrays) -> Arrays:
    plan = RidgeCV(given["X"], given["groups"], alphas=ALPHAS, device=device)
    return {"alpha": plan.fit(given["Y"], pools=np.arange(N_TARGETS) % 5 - 1).alpha}


def banded(device: str, given: Arrays, names: str = "ab") -> Arrays:
    some = slice(0, 10)
    step = N_FEATURES // len(names)
    parts = {name: slice(step * n, step * n + step) for n, name in enumerate(names)}
    bands = {name: given["X"][:, part] for name, part in parts.items()}
    tests = {name: given["X_test"][:, part] for name, part in parts.items()}
    plan = BandedRidgeCV(bands, given["groups"], alphas=ALPHAS[::3], device=device, n_mixtures=2)
    made = plan.fit(given["Y"][:, some], tests)
    return {"weights": made.weights, "prediction": made.prediction, "without": made.without}


def residual(device: str, given: Arrays) -> Arrays:
    X, test = given["X"], given["X_test"]
    made = residual_features(
        X[:, :4], X[:, 4:], given["groups"], test[:, :4], test[:, 4:], device=device
    )
    return dict(zip(("train", "test"), made, strict=True))


def weights(device: str, given: Arrays) -> Arrays:
    plan = RidgeWeights(given["X"], given["groups"], ALPHAS, delays=(1, 2), device=device)
    alpha = np.full(N_TARGETS, ALPHAS[3])
    return {str(columns): w for columns, w, _ in plan.blocks(given["Y"], alpha)}


def series(given: Arrays) -> tuple[np.ndarray, np.ndarray]:
    response = given["Y_test"][:, :30]
    noise = np.random.default_rng(1).standard_normal((2, *response.shape))
    return (0.5 * response + noise).astype(np.float32), response


def permuted(device: str, given: Arrays, scheme: str = "blocks") -> Arrays:
    made = permutation_tests(
        *series(given), n_permutations=20, block_rows=5, scheme=scheme, device=device
    )
    return {"p": made.p, "best": made.best}


def whitened(device: str, given: Arrays) -> Arrays:
    predicted, response = series(given)
    made = prewhitened_tests(predicted, response, block_rows=5, device=device)
    other = prewhitened_difference(
        predicted[:1], predicted[1:], response, block_rows=5, device=device
    )
    return {"p": made.p, "best": made.best, "difference": other.p}


def bootstrapped(device: str, given: Arrays) -> Arrays:
    counts = block_counts(N_TEST, n_samples=10, block_rows=5, seed=0)
    return {"r": bootstrap_r(*series(given), counts, device=device)}


def probed(device: str, given: Arrays, method: str = "ridge") -> Arrays:
    rng = np.random.default_rng(2)
    labels = rng.integers(3, size=100)
    X = (rng.standard_normal((100, 6)) + 2 * np.eye(6)[labels]).astype(np.float32)
    tasks = [] if method == "sets" else [ProbeTask("class", labels, method=method)]
    if method == "ridge":
        tasks += [ProbeTask("value", X[:, :2] + 1, "regression")]
    if method == "sets":
        texts = np.array(["a", "b", "a b"])[labels]
        pairs = (("balanced", True), ("not", False))
        tasks = [ProbeTask(name, texts, "multilabel", balanced=own) for name, own in pairs]
    split = split_units(np.repeat(np.arange(20), 5))
    plan = Probes(tasks, split, n_shuffles=1, n_samples=5, device=device)
    layer = plan.fit_layer(X)
    return {
        name: getattr(one, name) for one in layer for name in ("alpha", "samples", "shuffled")
    } | {str(n): np.array(list(one.scores.values())) for n, one in enumerate(layer)}


def transcribed(device: str, given: Arrays) -> Arrays:
    rng = np.random.default_rng(4)
    recordings = np.repeat(np.arange(12), 24)
    texts = ["0|" + ("ab", "ba a", "b ab")[one % 3] for one in recordings]
    X = rng.standard_normal((len(recordings), 6)).astype(np.float32)
    probes = TranscriptProbes("asr", texts, split_units(recordings), n_samples=5, device=device)
    with patch.object(transcripts, "_MOST_PASSES", 2):
        (layer,) = probes.fit_layer(X + 3 * (recordings % 3)[:, None])
    return {"samples": layer.samples, "errors": layer.detail, "passes": np.array([layer.alpha])}


WORK: dict[str, Callable[[str, Arrays], Arrays]] = {
    "ridge, primal": lambda device, given: ridge(device, given, method="primal"),
    "ridge, dual": lambda device, given: ridge(device, given, method="dual"),
    "ridge, all alphas": lambda device, given: ridge(device, given, search="full"),
    "ridge, r": lambda device, given: ridge(device, given, metric="r", search="full"),
    "ridge, kept rows": lambda device, given: ridge(
        device, given | {"Y": given["Y"][:-6]}, kept=np.arange(N_ROWS) < N_ROWS - 6
    ),
    "ridge, pools": pooled,
    "banded, two": banded,
    "banded, three": lambda device, given: banded(device, given, "abc"),
    "residual features": residual,
    "weights": weights,
    "permutations": permuted,
    "shifts": lambda device, given: permuted(device, given, "shift"),
    "prewhitened": whitened,
    "bootstrap": bootstrapped,
    "probes, ridge": probed,
    "probes, discriminant": lambda device, given: probed(device, given, "discriminant"),
    "probes, sets": lambda device, given: probed(device, given, "sets"),
    "probes, transcripts": transcribed,
    "probes, logistic": lambda device, given: probed(device, given, "logistic"),
}


class Full:
    """A device whose memory ends at one of its operations."""

    def __init__(self, at: float) -> None:
        self.left = at

    def __call__(self, operation: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize("name", WORK)
def test_the_device_gives_the_numbers_of_the_cpu_and_tells_when_it_is_full(gpu, name):
    given = made_up()
    on_cpu = WORK[name]("cpu", given)
    before = gpu.operations.total()
    on_device = WORK[name]("cuda", given)
    n_operations = gpu.operations.total() - before
    assert n_operations > 5, "it was computed on the device"
    assert on_device.keys() == on_cpu.keys()
    for part, found in on_device.items():
        assert np.isfinite(found).any()
        # Blocks of another width: sums in another order.
        np.testing.assert_allclose(found, on_cpu[part], rtol=2e-4, atol=2e-5, err_msg=part)
    # Memory that ends half way is never taken for something else, say a singular matrix.
    gpu.fails = Full(n_operations / 2)
    with pytest.raises((ResourceError, torch.OutOfMemoryError)) as caught:
        WORK[name]("cuda", given)
    assert is_out_of_memory(caught.value) or "does not fit" in str(caught.value)


# How often the host may wait in all, for one block of targets; the penalties are seven.
MOST_WAITS = {"ridge, primal": 30, "ridge, dual": 30, "ridge, r": 20, "probes, ridge": 34}


@pytest.mark.parametrize("name", MOST_WAITS)
def test_the_host_rarely_waits_for_the_device(pretended, name):
    WORK[name]("cuda", made_up())
    print(f"{name}: the host waits {pretended.n_waits} times")
    assert pretended.n_waits <= MOST_WAITS[name], pretended.waits
