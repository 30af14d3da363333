"""Linear probes: what each layer of a model tells about labelled units of speech.

Units are phones, words, utterances or frames, with features from
:func:`braindash.core.probes.pool.pool_units` and sides from
:func:`braindash.core.probes.split.split_units`. One :class:`Probes` serves all layers: they
share the split, the shuffles and the bootstrap draws, so that differences of layers are paired, as
are those of models on the same units with the same seed.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.devices import check_threads, find_device, limited_threads
from braindash.core.probes.design import make_design
from braindash.core.probes.labels import Coded, ProbeTask, code_task, shuffled_sources
from braindash.core.probes.logistic import fit_logistic
from braindash.core.probes.metrics import (
    detail_of,
    drawn_pieces,
    piece_counts,
    scores_of,
)
from braindash.core.probes.result import LayerProbe, ProbeResult
from braindash.core.probes.ridge import Fitted, fit_ridge
from braindash.core.probes.split import Split
from braindash.core.ridge.settings import check_alphas
from braindash.core.statistics.bootstrap import LEAST_UNITS, interval_of_units
from braindash.errors import InputError
from braindash.progress import NoProgress, Progress, shared

# Relative to the mean eigenvalue of X'X: from almost no penalty to almost only the class shares.
ALPHAS: NDArray[np.float64] = np.logspace(-6, 6, 13)
FITS: dict[str, Callable[..., Fitted]] = {
    "ridge": fit_ridge,
    "discriminant": fit_ridge,
    "logistic": fit_logistic,
}


class Probes:
    """Everything that all layers share: checked tasks, shuffles, bootstrap draws.

    Parameters
    ----------
    tasks : sequence of ProbeTask
        Questions about the same units, with names of their own.
    split : Split
        Sides of the units; those of a recording are in the order of time.
    alphas : array of float, default ``ALPHAS``
        Penalties to choose from, relative to the mean eigenvalue of X'X.
    n_shuffles : int, default 10
        Runs with shuffled labels; 0 for none.
    n_samples : int, default 1000
        Bootstrap samples.
    seed : int, default 0
        Of the shuffles and the draws.
    draw_seed : int, optional
        Of the draws alone, the same in all divisions of one test part. None: ``seed``.
    device : str, default "cpu"
        Where the work is done: "cpu", "cuda", "cuda:N" or "auto".
    threads : int, optional
        CPU threads of torch. None: as they are.

    Raises
    ------
    InputError
        For labels that do not fit the split, and unusable settings.
    """

    def __init__(
        self,
        tasks: Sequence[ProbeTask],
        split: Split,
        *,
        alphas: ArrayLike = ALPHAS,
        n_shuffles: int = 10,
        n_samples: int = 1000,
        seed: int = 0,
        draw_seed: int | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        names = [task.name for task in tasks]
        if not names or len(set(names)) < len(names):
            raise InputError(f"the tasks are {names}", hint="Give at least one, each its own name.")
        if n_shuffles < 0 or n_samples < 1:
            raise InputError(
                f"n_shuffles is {n_shuffles} and n_samples {n_samples}",
                hint="Give 0 or more shuffles, for example 10, and 1 or more samples.",
            )
        self._split = split
        self._alphas = check_alphas(alphas)
        self._device, self._threads = find_device(device), check_threads(threads)
        self._tasks = [code_task(task, split) for task in tasks]
        self._sources = shuffled_sources(split, n_shuffles, seed)
        self._pieces = drawn_pieces(split)
        drawn_by = seed if draw_seed is None else draw_seed
        self._counts = piece_counts(self._pieces.n_pieces, n_samples, drawn_by)

    def fit_layer(
        self, features: ArrayLike, *, where: str = "this layer", progress: Progress | None = None
    ) -> tuple[LayerProbe, ...]:
        """Ask every task of one layer.

        Parameters
        ----------
        features : array of float, shape (n_units, n_features)
            Features of the units; those of units on no side are not looked at.
        where : str, default "this layer"
            Which layer it is, for the errors.
        progress : Progress, optional
            Told between two tasks, and between runs of a slow one; may cancel by raising.

        Returns
        -------
        tuple of LayerProbe
            One per task.

        Raises
        ------
        InputError
            For features that do not fit, are missing, or are all constant.
        """
        report, found = progress or NoProgress(), []
        with limited_threads(self._threads):
            design = make_design(features, self._split, self._device, where)
            names = [coded.task.name for coded in self._tasks]
            spans = shared(report, [1.0] * len(names), names)
            for coded, part in zip(self._tasks, spans, strict=True):
                fit = FITS[coded.task.method]
                fitted = fit(design, coded, self._sources, self._alphas, part)
                found.append(self._scored(coded, fitted))
        return tuple(found)

    def results(self, layers: Sequence[Sequence[LayerProbe]]) -> tuple[ProbeResult, ...]:
        """Gather what :meth:`fit_layer` gave for every layer, one result per task."""
        if not layers or any(len(layer) != len(self._tasks) for layer in layers):
            raise InputError(
                f"{len(layers)} layers were given for {len(self._tasks)} tasks",
                hint="Give what fit_layer returned, for one layer or more.",
            )
        return tuple(
            self._gathered(coded, [layer[number] for layer in layers])
            for number, coded in enumerate(self._tasks)
        )

    def _scored(self, coded: Coded, fitted: Fitted) -> LayerProbe:
        """Score the runs on the test part; the first is the one with the true labels."""
        true, whole = coded.labels[self._split.test], np.ones_like(self._counts[:1])
        own, *others = fitted.predicted
        scores = scores_of(coded, true, own, self._pieces, whole)
        samples = scores_of(coded, true, own, self._pieces, self._counts)[coded.metric]
        shuffled = [
            scores_of(coded, true, run, self._pieces, whole)[coded.metric][0] for run in others
        ]
        return LayerProbe(
            scores={name: float(value[0]) for name, value in scores.items()},
            samples=samples.astype(np.float32),
            alpha=float(fitted.alpha[0]),
            shuffled=np.array(shuffled, dtype=np.float64),
            detail=detail_of(coded, true, own),
            warnings=fitted.warnings,
        )

    def _gathered(self, coded: Coded, layers: Sequence[LayerProbe]) -> ProbeResult:
        """Stack the layers of one task."""
        split, n_pieces = self._split, self._pieces.n_pieces
        metrics = {
            name: np.array([layer.scores[name] for layer in layers]) for name in layers[0].scores
        }
        samples = np.stack([layer.samples for layer in layers], axis=1)
        shuffled = np.stack([layer.shuffled for layer in layers], axis=1)
        n_shuffles, unknown = len(shuffled), np.full(len(layers), np.nan)
        chance = shuffled.mean(axis=0) if n_shuffles else unknown
        low, high = interval_of_units(metrics[coded.metric], samples, n_pieces)
        return ProbeResult(
            task=coded.task.name,
            kind=coded.task.kind,
            metric=coded.metric,
            method=coded.task.method,
            classes=coded.classes,
            score=metrics[coded.metric],
            low=low,
            high=high,
            samples=samples,
            n_pieces=n_pieces,
            metrics=metrics,
            detail=np.stack([layer.detail for layer in layers]),
            alpha=np.array([layer.alpha for layer in layers]),
            chance_majority=self._majority(coded),
            chance_shuffled=chance,
            chance_shuffled_sd=shuffled.std(axis=0, ddof=1) if n_shuffles > 1 else unknown,
            selectivity=metrics[coded.metric] - chance,
            n_train=len(split.train),
            n_validation=len(split.valid),
            n_test=len(split.test),
            n_classes=len(coded.classes),
            split=split.description,
            bootstrap=self._pieces.description,
            level=self._pieces.level,
            warnings=self._warnings(coded, layers),
        )

    def _majority(self, coded: Coded) -> float:
        """Score one and the same answer: the most frequent class, the mean, or frequent labels."""
        known, true = coded.labels[self._sources[0]], coded.labels[self._split.test]
        answer = np.bincount(known).argmax() if coded.is_classes else known.mean(axis=0)
        if coded.is_sets:
            answer = answer > 1 / 2
        predicted = np.broadcast_to(answer, true.shape)
        whole = np.ones_like(self._counts[:1])
        return float(scores_of(coded, true, predicted, self._pieces, whole)[coded.metric][0])

    def _warnings(self, coded: Coded, layers: Sequence[LayerProbe]) -> tuple[str, ...]:
        found = [*self._split.warnings, *coded.warnings]
        if self._pieces.n_pieces < LEAST_UNITS:
            found.append(
                f"{self._pieces.description}: there is no interval, which needs {LEAST_UNITS}"
            )
        for number, layer in enumerate(layers):
            found += [f"layer {number}: {text}" for text in layer.warnings]
        return tuple(found)
