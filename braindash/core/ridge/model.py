"""Cross-validated ridge regression of many targets, each with its own alpha.

Cubic work is in float64, products the size of the targets in float32, targets in blocks. The two
forms are in :mod:`braindash.core.ridge.dual` and :mod:`braindash.core.ridge.primal`, what they
share in :mod:`braindash.core.ridge.cv`.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.devices import check_threads, clear_memory_error, find_device, limited_threads
from braindash.core.ridge.cv import RidgeResult, Solver, TestStory, cross_validate
from braindash.core.ridge.data import Responses, check_responses, make_design
from braindash.core.ridge.dual import DualSolver
from braindash.core.ridge.memory import cheaper_method
from braindash.core.ridge.pools import check_pools
from braindash.core.ridge.primal import PrimalSolver
from braindash.core.ridge.settings import check_alphas, check_choice, make_folds, solvable_alphas
from braindash.defaults import DEFAULT_ALPHAS, DEFAULT_DELAYS
from braindash.errors import InputError

__all__ = ["RidgeCV", "RidgeOptions", "RidgeResult", "fit_layers"]

METRICS = ("r2", "r")
METHODS = ("auto", "dual", "primal")
SEARCHES = ("auto", "full")


class RidgeCV:
    """Ridge regression on the delayed features of some stories, ready for any responses.

    For every target the alpha is chosen that maximises the mean held-out metric over folds (of
    alphas within 1e-6 of the best, the largest); the fit to all rows with that alpha predicts the
    test story.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
        Features of the training stories, z-scored per story, without delays.
    groups : array of int, shape (n_rows,)
        Story index of each row; the rows of a story stand together.
    alphas : sequence of float, shape (n_alphas,)
        Positive ridge penalties, in any order.
    folds : {"story", "chunk"}
        Leave out one story at a time, or 20 consecutive rows. With fewer than three stories
        "story" means "chunk".
    delays : sequence of int, default (1, 2, 3, 4)
        Delays of the features in TRs, made within each story.
    metric : {"r2", "r"}
        Held-out metric that is maximised.
    intercept : bool, default True
        Whether every fit, also within folds, has an intercept that is not penalised.
    method : {"auto", "dual", "primal"}
        Form to solve; "auto" takes the one with fewer operations.
    search : {"auto", "full"}
        "full" scores every alpha for every target; "auto" those that could be the best, judged by
        the scores of a few alphas and by a sample of targets for which all are scored. Without
        effect for fewer than 1024 targets.
    device : str, default "auto"
        "cpu", "cuda" or "cuda:N"; "auto" is "cuda" where there is one.
    threads : int, optional
        CPU threads for the time of a fit; None leaves torch's setting.
    kept : array of bool, shape (n_rows,), optional
        Rows that have a response, all by default. The others are in no fit and no fold, but the
        delayed features of later rows see theirs, and chunks of rows do not reach across them.

    Notes
    -----
    An alpha smaller than 1e-12 times the trace of the kernel is solved as that value, with a
    warning in the log.
    """

    def __init__(
        self,
        X: ArrayLike,
        groups: ArrayLike,
        *,
        alphas: ArrayLike = DEFAULT_ALPHAS,
        folds: str = "story",
        delays: Sequence[int] = DEFAULT_DELAYS,
        metric: str = "r2",
        intercept: bool = True,
        method: str = "auto",
        search: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        kept: ArrayLike | None = None,
    ) -> None:
        check_choice("metric", metric, METRICS)
        check_choice("method", method, METHODS)
        check_choice("search", search, SEARCHES)
        self._alphas = check_alphas(alphas)
        self._device = find_device(device)
        self._threads = check_threads(threads)
        self._delays = delays
        self._metric, self._intercept, self._search = metric, intercept, search
        self._design = make_design(X, groups, delays, self._device, "X", kept)
        self._folds = make_folds(self._design.bounds, folds, self._design.seams)
        if method == "auto":
            n_inputs = self._design.features.shape[1] * len(self._design.rows)
            sizes = len(self._design), n_inputs, len(self._folds), len(self._alphas)
            method = cheaper_method(*sizes)
        self._method = method

    @property
    def method(self) -> str:
        """Form that is solved, "dual" or "primal"."""
        return self._method

    @property
    def folds(self) -> tuple[tuple[int, int], ...]:
        """First and last (exclusive) row of each fold."""
        return tuple(self._folds)

    def fit(
        self,
        Y: Any,
        X_test: ArrayLike | None = None,
        groups_test: ArrayLike | None = None,
        Y_test: Any = None,
        *,
        return_prediction: bool = False,
        pools: ArrayLike | None = None,
    ) -> RidgeResult:
        """Choose an alpha for each target and, on request, predict a test story.

        Parameters
        ----------
        Y : array of shape (n_rows, n_targets)
            Responses, of the kept rows only. Targets that are constant or hold a NaN get NaN in
            the result.
        X_test : array of shape (n_test, n_features), optional
            Features of the test story, prepared as those of the fit.
        groups_test : array of int, shape (n_test,), optional
            Story index of the test rows; None: one story.
        Y_test : array of shape (n_test, n_targets), optional
            Test responses, to correlate the prediction with.
        return_prediction : bool, default False
            Whether to keep the prediction for the test rows.
        pools : array of int, shape (n_targets,), optional
            Targets of one pool share the alpha with the highest mean held-out metric over them; -1
            chooses for itself. None: all do.

        Returns
        -------
        RidgeResult
            alpha, cv_score and, where asked for, prediction and r.
        """
        responses = self._prepare(Y)
        checked = None if pools is None else check_pools(pools, responses.n_targets)
        return self._fit(responses, X_test, groups_test, Y_test, return_prediction, checked)

    def _prepare(self, Y: Any) -> Responses:
        checked = check_responses(Y, len(self._design), "Y")
        return Responses(checked, self._folds, self._intercept, self._device)

    def _fit(
        self,
        responses: Responses,
        X_test: ArrayLike | None,
        groups_test: ArrayLike | None,
        Y_test: Any,
        return_prediction: bool,
        pools: NDArray[np.int64] | None = None,
    ) -> RidgeResult:
        test = self._test_story(X_test, groups_test, Y_test, responses.n_targets, return_prediction)
        with limited_threads(self._threads), clear_memory_error(self._device):
            return cross_validate(
                self._solver,
                responses,
                torch.as_tensor(self._alphas, device=self._device),
                metric=self._metric,
                thorough=self._search == "full",
                test=test,
                pools=pools,
            )

    def _test_story(
        self,
        X_test: ArrayLike | None,
        groups_test: ArrayLike | None,
        Y_test: Any,
        n_targets: int,
        keep: bool,
    ) -> TestStory | None:
        if X_test is None:
            if Y_test is not None or keep:
                raise InputError(
                    "a test prediction is asked for, but there are no test features",
                    hint="Give X_test, or leave out Y_test and return_prediction.",
                )
            return None
        design = make_design(X_test, groups_test, self._delays, self._device, "X_test")
        n_features = self._design.features.shape[1]
        if design.features.shape[1] != n_features:
            raise InputError(
                f"X_test has {design.features.shape[1]} features and X has {n_features}",
                hint="Extract both from the same layer of the same model.",
            )
        if Y_test is not None:
            Y_test = check_responses(Y_test, len(design), "Y_test", n_targets)
        return TestStory(design, Y_test, keep)

    @cached_property
    def _solver(self) -> Solver:
        form = DualSolver if self._method == "dual" else PrimalSolver
        return form(
            self._design,
            self._folds,
            torch.as_tensor(
                solvable_alphas(self._alphas, self._design.trace()), device=self._device
            ),
            intercept=self._intercept,
            centred=self._metric == "r",
        )


class RidgeOptions(TypedDict, total=False):
    """Keyword arguments of :class:`RidgeCV`."""

    alphas: ArrayLike
    folds: str
    delays: Sequence[int]
    metric: str
    intercept: bool
    method: str
    search: str
    device: str
    threads: int | None
    kept: ArrayLike | None


def fit_layers(
    layers: Iterable[tuple[ArrayLike, ArrayLike | None]],
    Y: Any,
    groups: ArrayLike,
    groups_test: ArrayLike | None = None,
    Y_test: Any = None,
    *,
    return_prediction: bool = False,
    **options: Unpack[RidgeOptions],
) -> Iterator[RidgeResult]:
    """Fit every layer of a model to the same responses, which are prepared once.

    Parameters
    ----------
    layers : iterable of (X, X_test)
        Features of each layer, (n_rows, n_features) and (n_test, n_features) or None; taken one at
        a time, so a generator may read them from disk.
    Y : array of shape (n_rows, n_targets)
        Responses to the training stories.
    groups : array of int, shape (n_rows,)
        Story index of each row.
    groups_test : array of int, shape (n_test,), optional
        Story index of the test rows; None: one story.
    Y_test : array of shape (n_test, n_targets), optional
        Test responses, to correlate the predictions with.
    return_prediction : bool, default False
        Whether to keep the test prediction of each layer.
    **options
        Any keyword argument of :class:`RidgeCV`, the same for every layer.

    Yields
    ------
    RidgeResult
        One result per layer, computed when it is asked for: a caller may store a layer, report it
        or stop before the next.
    """
    responses: Responses | None = None
    for X, X_test in layers:
        ridge = RidgeCV(X, groups, **options)
        if responses is None:
            responses = ridge._prepare(Y)
        yield ridge._fit(responses, X_test, groups_test, Y_test, return_prediction)
