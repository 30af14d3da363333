"""What a fit is said to take is what it takes, and no torch is imported to say so."""

import ctypes
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from braindash.core.ridge.memory import cheaper_method, fit_bytes
from braindash.core.ridge.model import RidgeCV

KEPT_BYTES = 64e6
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(name):
    """Return VmRSS, what is in memory, or VmHWM, the most there was, in bytes."""
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith(name))
    return 1024 * int(line.split()[1])


@pytest.mark.skipif(
    "OTHER_PROCESSOR" in os.environ, reason="what moves every result keeps both for a moment"
)
@pytest.mark.skipif(not RESET.exists(), reason="the most memory a process had is read from /proc")
@pytest.mark.parametrize(
    ("method", "n_rows", "n_features", "n_alphas"),
    [("primal", 2400, 100, 8), ("dual", 1100, 300, 3)],
)
def test_a_fit_takes_what_was_estimated(method, n_rows, n_features, n_alphas):
    # In a process of its own: what earlier tests have freed would be used again unseen.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        measured, estimate = pool.submit(
            most_of_three, method, n_rows, n_features, n_alphas
        ).result()
    # The allocator keeps some of what is freed; at a size that matters it is nothing.
    assert 0.6 * estimate < measured < estimate + KEPT_BYTES


def most_of_three(method, n_rows, n_features, n_alphas):
    """Return what three fits took at most, and what they were said to take, in bytes.

    A system that puts away memory which nobody touches makes a fit look smaller, never larger.
    """
    rng, n_targets, n_test, delays = np.random.default_rng(0), 1500, 150, (1, 2, 3, 4)
    story = np.arange(n_rows) * 5 // n_rows
    features = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    responses = rng.standard_normal((n_rows, n_targets), dtype=np.float32)
    sizes = n_test, n_features, len(delays), n_targets, n_alphas
    taken = []
    for _ in range(4):
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back
        RESET.write_text("5")  # the most there was is what there is now
        before = resident("VmRSS")
        ridge = RidgeCV(features, story, alphas=np.logspace(1, 5, n_alphas), delays=delays)
        assert ridge.method == method
        ridge.fit(responses, features[:n_test], story[:n_test], return_prediction=True)
        taken.append(resident("VmHWM") - before)
        del ridge
    # The first one has loaded torch, too.
    return max(taken[1:]), fit_bytes(np.bincount(story).tolist(), *sizes)


def test_more_penalties_are_held_until_they_do_not_fit():
    def taken(n_rows, n_alphas):
        return fit_bytes([n_rows // 10] * 10, 100, 2000, 4, 2000, n_alphas)

    held = 4 * 2000 * 1800  # one penalty's operators: (fold rows, other rows), ten times
    assert taken(2000, 5) - taken(2000, 4) == pytest.approx(held * 9 / 8, rel=0.4)
    assert taken(20_000, 17) - taken(20_000, 16) < held


def test_the_form_is_that_of_the_fewest_operations():
    assert cheaper_method(9461, 4 * 768, 26, 17) == "primal"
    assert cheaper_method(1000, 4 * 768, 26, 17) == "dual"
