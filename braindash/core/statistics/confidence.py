"""How sure the preferred layer of a target is: a bootstrap share that is shrunken to be calibrated.

The share of bootstrap samples that have the same best layer as the scores treats the differences
among layers as if they were true. But the best of many noisy scores is best partly by chance, and
layers that are nearly as good are the rule: the share then says .9 where half are right. Shrinking
the differences first makes it the chance that the layer is the best (an empirical Bayes estimate).
How far they are to be shrunken is learnt from all targets together.

With d the scores of a target without their mean over layers, e the same of a bootstrap sample
without the mean over samples, g the factor of :func:`time_inflation`, and the true differences
normal with a covariance that is w / (1 - w) times that of the noise, the chance that a layer is the
best is the share of the samples in which it is that of ``sqrt(w) d + sqrt(g) e``. w lies between 0
(all noise) and 1 (all true). Its distribution over targets is the one under which shares as large
as those found are most likely (Kiefer and Wolfowitz 1956; by expectation maximisation on a grid).
What shares a w gives is told by samples that are taken for scores: their differences are as large
as e alone, times 1 / sqrt(1 - w). A target takes the w that is expected of its own share among the
targets whose scores stand out as much.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.scores import unit_columns
from braindash.core.statistics.blocks import BLOCK_ROWS, check_block_rows, check_series
from braindash.core.timing import story_bounds
from braindash.errors import InputError

Floats = NDArray[np.floating]

# How much of the differences among layers is true: the grid of w.
_WEIGHTS = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
# Shares are counted in classes with these ends.
_CLASSES = np.array([*np.arange(3, 19) / 20, 0.94, 0.97, 0.99])
_CENTRES = np.convolve([0, *_CLASSES, 1], [0.5, 0.5], "valid")
# Targets whose best r is as many standard errors above 0 learn from each other.
_STRENGTHS = (2.0, 4.0, 7.0)
# Targets whose samples are taken for scores, and how many such scores there are at least.
_REFERENCE_TARGETS, _REFERENCE_SCORES = 256, 1024
_MOST_REPEATS = 64
# So many targets' worth of "any w is as likely" are added to those of a strength.
_UNKNOWING = 5.0
_STEPS, _STILL = 5000, 1e-7
_MOST_LIKE_BEFORE = 0.9
# Numbers of a temporary array.
_NUMBERS_AT_ONCE = 2**21


def time_inflation(
    predictions: ArrayLike,
    response: ArrayLike,
    *,
    segments: ArrayLike | None = None,
    block_rows: int = BLOCK_ROWS,
) -> NDArray[np.float64]:
    """Return how much larger the variance over time is than blocks of rows show.

    What a row adds to the differences of r among layers is alike in neighbouring rows, as in an
    AR(1) process with the coefficient rho of its neighbours. Blocks of b rows, m of them, hold
    ``1 + 2 sum_{k < b} (1 - k / b) rho^k`` of ``(1 + rho) / (1 - rho)``, and draws from m blocks
    lose the share 1 / m.

    Parameters
    ----------
    predictions : array of float, shape (n_layers, n_rows, n_columns)
        Predicted response from every layer.
    response : array of float, shape (n_rows, n_columns)
        Measured response.
    segments : array of int, shape (n_rows,), optional
        Segment (test story) of each row. None: one segment.
    block_rows : int, default 10
        Rows of a block.

    Returns
    -------
    array of float64, shape (n_columns,)
        At least 1.
    """
    predicted, measured = check_series(predictions, response)
    n_layers, n_rows, n_columns = predicted.shape
    check_block_rows(n_rows, block_rows)
    inside: NDArray[np.bool_] = np.ones(n_rows - 1, dtype=bool)
    inside[[start - 1 for start, _ in story_bounds(segments, n_rows) if start]] = False
    rho = np.zeros(n_columns)
    at_once = max(1, _NUMBERS_AT_ONCE // (n_layers * n_rows))
    for start in range(0, n_columns, at_once):
        columns = slice(start, start + at_once)
        added = _added_by_rows(predicted[:, :, columns], measured[:, columns])
        power = np.einsum("lrt,lrt->t", added, added) / n_rows
        pairs = np.einsum("lrt,lrt->rt", added[:, :-1], added[:, 1:])[inside].sum(axis=0)
        np.divide(pairs / max(inside.sum(), 1), power, out=rho[columns], where=power > 0)
    # Of a short series the estimate is too small by (1 + 3 rho) / n.
    rho = np.clip((rho + 1 / n_rows) / (1 - min(3 / n_rows, 0.5)), 0.0, _MOST_LIKE_BEFORE)
    steps = np.arange(1, block_rows)
    shown = 1 + 2 * ((1 - steps / block_rows)[:, None] * rho ** steps[:, None]).sum(axis=0)
    n_blocks = n_rows / block_rows
    return np.asarray((1 + rho) / (1 - rho) / shown * n_blocks / (n_blocks - 1))


def _added_by_rows(predicted: Floats, measured: Floats) -> NDArray[np.float64]:
    """Return what each row adds to r beyond its mean over layers, (n_layers, n_rows, n_columns)."""
    y = np.nan_to_num(unit_columns(measured))
    x = np.stack([np.nan_to_num(unit_columns(one)) for one in predicted])
    r = np.einsum("lrt,rt->lt", x, y)
    added = np.asarray(x * y - 0.5 * r[:, None] * (x**2 + y**2))
    # A layer without a score adds nothing; its row means nothing to the others either.
    there = (x != 0).any(axis=1)[:, None] & (y != 0).any(axis=0)
    mean = (added * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, added - mean, 0.0)


@dataclass
class LayerConfidence:
    """Gathers what tells how sure preferred layers are, some targets at a time.

    Attributes
    ----------
    table : array of float32, shape (n_weights, n_targets)
        Share of samples that have the same best layer, for each w of the grid.
    share : array of float32, shape (n_targets,)
        The same without any shrinking, with the spread of the samples made up for.
    strength : array of float32, shape (n_targets,)
        Best r over its standard error.
    reference : dict of int to array of float32, shape (n_weights, n_repeats)
        By target: shares that samples get which are taken for scores.
    asked : array of int64
        Targets that are asked for ``reference``.
    seed : int
        Of the samples that are taken for scores.
    """

    table: NDArray[np.float32]
    share: NDArray[np.float32]
    strength: NDArray[np.float32]
    reference: dict[int, NDArray[np.float32]]
    asked: NDArray[np.int64]
    seed: int

    @classmethod
    def start(cls, r: ArrayLike, *, seed: int = 0) -> Self:
        """Begin with all scores, array of shape (n_layers, n_targets)."""
        scored = np.flatnonzero(np.isfinite(np.asarray(r)).any(axis=0))
        n_targets = np.asarray(r).shape[1]
        chosen = np.linspace(0, max(len(scored) - 1, 0), min(len(scored), _REFERENCE_TARGETS))
        return cls(
            table=np.full((len(_WEIGHTS), n_targets), np.nan, dtype=np.float32),
            share=np.full(n_targets, np.nan, dtype=np.float32),
            strength=np.full(n_targets, np.nan, dtype=np.float32),
            reference={},
            asked=scored[chosen.astype(np.int64)],
            seed=seed,
        )

    def add(self, columns: slice, r: Floats, samples: Floats, inflation: ArrayLike = 1.0) -> None:
        """Take in the targets ``columns``.

        Parameters
        ----------
        columns : slice
            Where these targets stand among all.
        r : array of shape (n_layers, n_columns)
            Their scores; NaN where there is none.
        samples : array of shape (n_samples, n_layers, n_columns)
            Bootstrap samples of them.
        inflation : array of shape (n_columns,), default 1
            Of :func:`time_inflation`.
        """
        spread = np.sqrt(np.broadcast_to(np.asarray(inflation, np.float64), r.shape[1:]))
        drawn = _Drawn.of(samples)
        least = drawn.least_true(r) * spread.astype(np.float32)
        for row, weight in enumerate(_WEIGHTS):
            self.table[row, columns] = drawn.share_of(least <= weight**0.5)
        scored = np.isfinite(r).any(axis=0)
        self.share[columns] = np.where(scored, drawn.share_of(least <= 1), np.nan)
        at = np.arange(r.shape[1])
        place = _best_of(r)
        error = drawn.errors(place) * spread
        np.divide(r[place, at], error, out=self.strength[columns], where=error > 0)
        start = columns.indices(len(self.share))[0]
        own = self.asked[(self.asked >= start) & (self.asked < start + r.shape[1])]
        for target in own:
            one = slice(target - start, target - start + 1)
            self.reference[int(target)] = self._shares_of_noise(int(target), samples[:, :, one])

    def _shares_of_noise(self, target: int, samples: Floats) -> NDArray[np.float32]:
        """Take samples of one target for scores: their shares (n_weights, n_repeats)."""
        n_repeats = int(np.clip(_REFERENCE_SCORES // len(self.asked), 4, _MOST_REPEATS))
        rng = np.random.default_rng([self.seed, target])
        own = _Drawn.of(samples)
        curves = samples[rng.integers(len(samples), size=n_repeats), :, 0].T - own.mean
        drawn = _Drawn.of(np.broadcast_to(samples, (*samples.shape[:2], n_repeats)))
        least = drawn.least_true(curves)
        found = np.stack([drawn.share_of(least <= size) for size in 1 / np.sqrt(1 - _WEIGHTS)])
        return np.where(np.isfinite(curves).any(axis=0), found, np.nan).astype(np.float32)

    def shares(self) -> NDArray[np.float32]:
        """Return how sure the preferred layer of every target is, (n_targets,); NaN without any."""
        found = np.full(len(self.share), np.nan, dtype=np.float32)
        known = np.isfinite(self.share)
        if not known.any():
            return found
        reference = np.concatenate(list(self.reference.values()), axis=1)
        reference = reference[:, np.isfinite(reference).all(axis=0)]
        if not reference.size:
            return self.share
        chances, usual = _chances(reference), reference.mean(axis=1)
        place = np.searchsorted(_CLASSES, self.share, side="right")
        strength = np.searchsorted(_STRENGTHS, self.strength)
        for one in range(len(_STRENGTHS) + 1):
            own = np.flatnonzero(known & (strength == one))
            counts = np.bincount(place[own], minlength=len(_CLASSES) + 1)
            # Averaged as shares, which are not linear in w, and from class to class without a step.
            of_class = usual @ _most_likely(chances, counts)
            expected = np.interp(self.share[own], _CENTRES, of_class)
            weights = np.interp(expected, usual, _WEIGHTS)
            found[own] = _between(self.table[:, own], weights)
        return found


def shrunken_shares(
    r: ArrayLike, samples: Floats, *, inflation: ArrayLike = 1.0, seed: int = 0
) -> NDArray[np.float32]:
    """Estimate the chance that the layer with the highest score is the best of a target.

    Parameters
    ----------
    r : array of shape (n_layers, n_targets)
        Scores; NaN where there is none. Targets learn from each other how far differences among
        layers are to be trusted: give those of one subject together.
    samples : array of shape (n_samples, n_layers, n_targets)
        Bootstrap samples of them.
    inflation : array of shape (n_targets,), default 1
        Of :func:`time_inflation`.
    seed : int, default 0
        Of the samples that are taken for scores.

    Returns
    -------
    array of float32, shape (n_targets,)
        NaN where there is no score, or no sample.

    Notes
    -----
    ``benchmarks/calibration/preferred.py`` measures how many of those that say so much are right;
    the page Science has its table.
    """
    scores = np.asarray(r, dtype=np.float64)
    if scores.ndim != 2 or samples.ndim != 3 or samples.shape[1:] != scores.shape:
        raise InputError(
            f"the samples have shape {samples.shape}, the scores {scores.shape}",
            hint="Give samples (n_samples, n_layers, n_targets) of scores (n_layers, n_targets).",
        )
    work = LayerConfidence.start(scores, seed=seed)
    work.add(slice(0, scores.shape[1]), scores, samples, inflation)
    return work.shares()


# ---- inner workings -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    """Samples of some targets, their mean (n_layers, n_columns), and which of them are known."""

    samples: Floats
    mean: Floats
    known: NDArray[np.bool_] | None

    @classmethod
    def of(cls, samples: Floats) -> Self:
        there = np.isfinite(samples)
        if there.all():
            return cls(samples, samples.mean(axis=0), None)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, samples, 0).sum(axis=0, dtype=np.float64) / count
        filled = np.where(there, samples, -np.inf)  # never the best
        return cls(filled, mean.astype(samples.dtype), np.asarray(there.any(axis=1)))

    def share_of(self, passed: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the share of the known samples that have passed, (n_columns,)."""
        if self.known is None:
            return np.asarray(passed.mean(axis=0), dtype=np.float32)
        n_known = self.known.sum(axis=0)
        share = np.full(passed.shape[1], np.nan, dtype=np.float32)
        np.divide((passed & self.known).sum(axis=0), n_known, out=share, where=n_known > 0)
        return share

    def errors(self, place: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the standard deviation over samples of one layer a column."""
        own = self.samples[:, place, np.arange(len(place))]
        there = np.isfinite(own)
        count = np.maximum(there.sum(axis=0), 1)
        mean = self.mean[place, np.arange(len(place))]
        with np.errstate(invalid="ignore"):
            power = np.where(there, (own - mean) ** 2, 0).sum(axis=0, dtype=np.float64)
        return np.asarray(np.sqrt(power / count))

    def least_true(self, r: Floats) -> NDArray[np.float32]:
        """Return by what differences of r must be multiplied for the best to win in every sample.

        The best layer b wins a sample from l where c (r_b - r_l) > e_l - e_b, so for every c above
        the largest of (e_l - e_b) / (r_b - r_l); (n_samples, n_columns), infinite where none is
        enough.
        """
        n_samples, n_layers, n_columns = self.samples.shape
        place, at = _best_of(r), np.arange(n_columns)
        own = self.samples[:, place, at] - self.mean[place, at]
        least = np.full((n_samples, n_columns), -np.inf, dtype=np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            for layer in range(n_layers):
                per_gap = 1 / (r[place, at] - r[layer])
                per_gap[place == layer] = np.nan  # nor does a layer without a score take anything
                ahead = self.samples[:, layer] - self.mean[layer]
                ahead -= own
                ahead *= per_gap.astype(ahead.dtype)
                np.fmax(least, ahead, out=least)  # of equal layers the first wins: 0 / 0 is nothing
        return least


def _best_of(r: Floats) -> NDArray[np.intp]:
    """Return the place of the highest score of every column, the first of equals."""
    return np.asarray(np.where(np.isfinite(r), r, -np.inf).argmax(axis=0))


def _chances(reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the chance of every class of shares for each w, (n_weights, n_classes)."""
    n_classes = len(_CLASSES) + 1
    places = np.searchsorted(_CLASSES, reference, side="right")
    counts = np.stack([np.bincount(row, minlength=n_classes) for row in places]) + 0.5
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _between(table: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate the shares of every target at its own w."""
    # At the expected w: the mean over w would be lower, as shares fall steeply towards w = 0.
    above = np.clip(np.searchsorted(_WEIGHTS, weights), 1, len(_WEIGHTS) - 1)
    step = (weights - _WEIGHTS[above - 1]) / (_WEIGHTS[above] - _WEIGHTS[above - 1])
    at = np.arange(table.shape[1])
    return np.asarray((1 - step) * table[above - 1, at] + step * table[above, at])


def _most_likely(chances: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of every w in each class, under the most likely distribution of w.

    ``chances`` are those of the classes for each w, (n_weights, n_classes), ``counts`` the targets
    in each class.
    """
    even = np.full(len(chances), 1 / len(chances))
    total = counts.sum() + _UNKNOWING
    prior, weights = even, chances
    for _ in range(_STEPS):
        weights = chances * prior[:, None]
        weights = weights / weights.sum(axis=0)
        before, prior = prior, (weights @ counts + _UNKNOWING * even) / total
        if np.abs(prior - before).max() < _STILL:
            break
    return np.asarray(weights)
