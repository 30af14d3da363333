"""What a fit is said to take is what it takes, and no torch is imported to say so."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from kit.machines.fit_memory import RESET, most_of_three

from braindash.core.ridge.memory import cheaper_method, fit_bytes

KEPT_BYTES = 64e6


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


def test_more_penalties_are_held_until_they_do_not_fit():
    def taken(n_rows, n_alphas):
        return fit_bytes([n_rows // 10] * 10, 100, 2000, 4, 2000, n_alphas)

    held = 4 * 2000 * 1800  # one penalty's operators: (fold rows, other rows), ten times
    assert taken(2000, 5) - taken(2000, 4) == pytest.approx(held * 9 / 8, rel=0.4)
    assert taken(20_000, 17) - taken(20_000, 16) < held


def test_the_form_is_that_of_the_fewest_operations():
    assert cheaper_method(9461, 4 * 768, 26, 17) == "primal"
    assert cheaper_method(1000, 4 * 768, 26, 17) == "dual"
