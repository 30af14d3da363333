"""How much work and memory an encoding run takes, counted from the headers of its files."""

import itertools

import numpy as np

from braindash.core.ridge.memory import fit_bytes, weights_bytes, weights_operations
from braindash.core.ridge.settings import make_folds
from braindash.encoding.plan import EncodingPlan

TARGETS_AT_ONCE = 1024
"""So many targets are permuted, drawn and compared at a time."""
_REPLICATE_COPIES = 4


def regression_bytes(plan: EncodingPlan) -> float:
    """Estimate the memory of one layer's regression: responses, design, operators of penalties."""
    spec, (n_train, n_test), n_targets = plan.spec, plan.n_rows, plan.n_targets
    edges = np.cumsum([0, *(int(story.kept.sum()) for story in plan.train)])
    bounds = list(itertools.pairwise(edges.tolist()))
    sizes = n_test, plan.model.n_features, len(spec.delays), n_targets, len(spec.alphas)
    fitting = fit_bytes([b - a for a, b in make_folds(bounds, spec.folds)], *sizes)
    # Training responses once; of the test rows what was measured, and its scored rows beside those
    # of the prediction. Of one story, the rows that a fit is given are a copy.
    n_copies = 3 if spec.within is None else 4
    responses = 4.0 * n_targets * (n_train + n_copies * n_test)
    # Beside those of all stories one is in memory as it is read, in float64, and standardised.
    reading = 16.0 * n_targets * max(story.n_rows for story in plan.train)
    return responses + max(fitting, reading)


def weights_size(plan: EncodingPlan) -> float:
    """Return how large the kept weights of a layer become on disk, in bytes."""
    return 2.0 * plan.model.n_features * len(plan.spec.delays) * plan.n_targets


def keeping_bytes(plan: EncodingPlan) -> float:
    """Estimate the memory that keeping one layer's weights takes at a time."""
    (n_train, n_test), n_targets = plan.n_rows, plan.n_targets
    sizes = plan.model.n_features, len(plan.spec.delays)
    responses = 4.0 * n_targets * (n_train + 3 * n_test)
    return responses + weights_bytes(n_train, n_test, *sizes, n_targets)


def keeping_operations(plan: EncodingPlan) -> float:
    """Count the floating-point operations of keeping one layer's weights."""
    (n_train, _), n_targets = plan.n_rows, plan.n_targets
    return weights_operations(n_train, plan.model.n_features, len(plan.spec.delays), n_targets)


def statistics_bytes(plan: EncodingPlan) -> float:
    """Estimate the memory of permutations and bootstraps of all layers."""
    settings, columns = plan.spec.statistics, min(plan.n_targets, TARGETS_AT_ONCE)
    return _REPLICATE_COPIES * 4.0 * settings.n_bootstraps * plan.model.n_layers * columns


def regression_operations(plan: EncodingPlan) -> float:
    """Count the floating-point operations of one layer's regression."""
    n_train, _ = plan.n_rows
    width = min(n_train, plan.model.n_features * len(plan.spec.delays))
    n_fits = 1 if plan.spec.within is None else plan.spec.within.n_blocks
    return n_fits * 2.0 * n_train * width * plan.n_targets * (len(plan.spec.alphas) + 2)


def statistics_operations(plan: EncodingPlan) -> float:
    """Count the floating-point operations of one layer's permutations and bootstraps."""
    settings, (_, n_test) = plan.spec.statistics, plan.n_rows
    n_blocks = n_test / settings.block_rows
    bootstraps = settings.n_bootstraps * 3.0 * n_test  # sums of p, of p^2 and of p y
    # Products of every block with every other, then their sums order by order, if any is drawn.
    tests = n_blocks * (n_test if settings.n_permutations else 0)
    if settings.scheme != "prewhitened":
        tests = settings.n_permutations * n_blocks**2
    return 2.0 * plan.n_targets * (tests + bootstraps)
