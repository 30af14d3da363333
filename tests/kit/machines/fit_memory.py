"""What a fit takes at most, read from the system; for a process of its own."""

import ctypes
from pathlib import Path

import numpy as np

from braindash.core.ridge.memory import fit_bytes
from braindash.core.ridge.model import RidgeCV

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(name):
    """Return VmRSS, what is in memory, or VmHWM, the most there was, in bytes."""
    line = next(one for one in STATUS.read_text().splitlines() if one.startswith(name))
    return 1024 * int(line.split()[1])


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
