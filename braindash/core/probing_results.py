"""What probes found; light to import, for readers of stored results."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        Regression: float64 (n_outputs,), R^2 of every output.
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
        Names of the classes, sorted; empty for a regression.
    score : array of float64, shape (n_layers,)
        On the test part, after choosing the penalty on the validation part.
    low, high : array of float64, shape (n_layers,)
        95 % interval of ``score``; NaN when there are too few pieces to draw.
    samples : array of float32, shape (n_samples, n_layers)
        Bootstrap samples of ``score``; sample i drew the same pieces for every layer.
    n_pieces : int
        How many pieces were drawn: ``n_units`` for :func:`braindash.core.uncertainty.interval`.
    metrics : dict of str to array of float64, shape (n_layers,)
        Every metric, ``score`` among them.
    detail : array
        Classification: int64 (n_layers, n_classes, n_classes), test units by true and predicted
        class. Regression: float64 (n_layers, n_outputs), R^2 of every output.
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
    split, bootstrap : str
        How the sides are kept apart; what the bootstrap drew.
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
    warnings: tuple[str, ...]
