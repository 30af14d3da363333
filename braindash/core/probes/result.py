"""What probes found, and the mean of several divisions; light to import, for readers of results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.statistics.bootstrap import interval_of_units

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerProbe:
    """One task asked of one layer: what is computed once and worth keeping.

    Attributes
    ----------
    scores : dict of str to float
        Every metric on the test part.
    samples : array of float32, shape (n_samples,)
        The task's metric in every bootstrap sample of the test part.
    alpha : float
        Penalty, relative to the mean eigenvalue of X'X.
    shuffled : array of float64, shape (n_shuffles,)
        The task's metric after learning from shuffled labels.
    detail : array
        Classification: int64 (n_classes, n_classes), test units by true and predicted class.
        Regression: float64 (n_outputs,), R^2 of every output. Sets: float64 (n_labels,), F1 of
        every label, NaN where it is neither true nor predicted.
    warnings : tuple of str
        What a reader of the scores should know about this layer.
    """

    scores: dict[str, float]
    samples: NDArray[np.float32]
    alpha: float
    shuffled: Floats
    detail: NDArray[Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """One task asked of all layers.

    Attributes
    ----------
    task, kind, metric, method : str
        Name of the task, what it is, what ``score`` is, how it was fitted.
    classes : tuple of str or int
        Names of the classes, or of the labels of sets, sorted; empty for a regression.
    score : array of float64, shape (n_layers,)
        On the test part, after choosing the penalty on the validation part.
    low, high : array of float64, shape (n_layers,)
        95 % interval of ``score``, see
        :func:`braindash.core.statistics.bootstrap.interval_of_units`; NaN for too few pieces.
    samples : array of float32, shape (n_samples, n_layers)
        Bootstrap samples of ``score``; sample i drew the same pieces for every layer.
    n_pieces : int
        How many pieces were drawn.
    metrics : dict of str to array of float64, shape (n_layers,)
        Every metric, ``score`` among them.
    detail : array
        Classification: int64 (n_layers, n_classes, n_classes), test units by true and predicted
        class. Regression: float64 (n_layers, n_outputs), R^2 of every output. Sets: float64
        (n_layers, n_labels), F1 of every label.
    alpha : array of float64, shape (n_layers,)
        Penalty, relative to the mean eigenvalue of X'X.
    chance_majority : float
        Score of always predicting the most frequent class (or the mean) of train and validation.
    chance_shuffled, chance_shuffled_sd : array of float64, shape (n_layers,)
        Mean and standard deviation of the scores after learning, penalty and all, from shuffled
        labels of train and validation; NaN for too few shuffles.
    selectivity : array of float64, shape (n_layers,)
        ``score - chance_shuffled``.
    n_train, n_validation, n_test, n_classes : int
        Number of units on each side, and of classes (0 for a regression).
    split, bootstrap, level : str
        How the sides are kept apart; what was drawn again, with their number and without.
    warnings : tuple of str
        What a reader of the scores should know.
    """

    task: str
    kind: str
    metric: str
    method: str
    classes: tuple[Any, ...]
    score: Floats
    low: Floats
    high: Floats
    samples: NDArray[np.float32]
    n_pieces: int
    metrics: dict[str, Floats]
    detail: NDArray[Any]
    alpha: Floats
    chance_majority: float
    chance_shuffled: Floats
    chance_shuffled_sd: Floats
    selectivity: Floats
    n_train: int
    n_validation: int
    n_test: int
    n_classes: int
    split: str
    bootstrap: str
    level: str
    warnings: tuple[str, ...]


def mean_of_divisions(results: Sequence[ProbeResult]) -> ProbeResult:
    """Average a task over divisions that test other units each, such as folds of word types.

    Scores, chance levels and bootstrap samples are means over the divisions. They have one test
    part: sample i of each draws the same speakers or recordings, who are in all of them.

    Parameters
    ----------
    results : sequence of ProbeResult
        One task on every division, with as many samples; classes may differ where a division lacks
        one.

    Returns
    -------
    ProbeResult
        ``n_pieces`` are those of the test part; ``detail`` sums the counts of test units, or
        averages R^2; ``n_train``, ``n_validation`` and ``split`` are those of the first division,
        ``n_test`` of all together.
    """
    first = results[0]
    if len(results) == 1:
        return first
    samples = np.mean([one.samples for one in results], axis=0, dtype=np.float64)
    classes = tuple(sorted({name for one in results for name in one.classes}))
    spread = np.mean([one.chance_shuffled_sd**2 for one in results], axis=0) / len(results)
    averaged = {
        name: np.mean([getattr(one, name) for one in results], axis=0)
        for name in ("score", "chance_shuffled", "selectivity", "alpha")
    }
    low, high = interval_of_units(averaged["score"], samples, first.n_pieces)
    return replace(
        first,
        **averaged,
        classes=classes,
        n_classes=len(classes),
        low=low,
        high=high,
        samples=np.asarray(samples, dtype=np.float32),
        metrics={
            name: np.mean([one.metrics[name] for one in results], axis=0) for name in first.metrics
        },
        detail=_joined_detail(results, classes),
        chance_majority=float(np.mean([one.chance_majority for one in results])),
        chance_shuffled_sd=np.sqrt(spread),
        n_test=sum(one.n_test for one in results),
        warnings=tuple(dict.fromkeys(text for one in results for text in one.warnings)),
    )


def _joined_detail(results: Sequence[ProbeResult], classes: tuple[Any, ...]) -> NDArray[Any]:
    if results[0].detail.ndim == 2:  # one number for each output
        return np.asarray(np.mean([one.detail for one in results], axis=0))
    place = {name: index for index, name in enumerate(classes)}
    total = np.zeros((len(results[0].score), len(classes), len(classes)), dtype=np.int64)
    for one in results:
        own = [place[name] for name in one.classes]
        total[:, np.array(own)[:, None], np.array(own)] += one.detail
    return total
