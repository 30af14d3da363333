"""Cross-validated ridge regression of many targets, each with its own alpha.

Cubic work is in float64, products the size of the targets in float32, targets in blocks. The two
forms are in :mod:`braindash.core.ridge_dual` and :mod:`braindash.core.ridge_primal`, what they
share in :mod:`braindash.core.ridge_cv`.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.core.delays import DEFAULT_DELAYS
from braindash.core.ridge_cv import RidgeResult, Solver, TestStory, cross_validate
from braindash.core.ridge_data import (
    Responses,
    check_responses,
    make_design,
    make_folds,
)
from braindash.core.ridge_dual import DualSolver
from braindash.core.ridge_primal import PrimalSolver
from braindash.errors import InputError, ResourceError, near_match
from braindash.specs import DEFAULT_ALPHAS

__all__ = ["DEFAULT_ALPHAS", "RidgeOptions", "RidgePlan", "RidgeResult", "fit_layers"]

logger = logging.getLogger(__name__)

METRICS = ("r2", "r")
METHODS = ("auto", "dual", "primal")
SEARCHES = ("auto", "full")
DEVICES = ("cpu", "cuda")
# An alpha below this share of the kernel's trace is solved as that share: float64 could not tell
# the two apart in a singular kernel, and Cholesky could not factor it.
ALPHA_FLOOR = 1e-12


class RidgePlan:
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
    ) -> None:
        _check_choice("metric", metric, METRICS)
        _check_choice("method", method, METHODS)
        _check_choice("search", search, SEARCHES)
        self._alphas = _check_alphas(alphas)
        self._device = _find_device(device)
        self._threads = _check_threads(threads)
        self._delays = delays
        self._metric, self._intercept, self._search = metric, intercept, search
        self._design = make_design(X, groups, delays, self._device, "X")
        self._folds = make_folds(self._design.bounds, folds)
        self._method = self._cheaper_method() if method == "auto" else method

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
    ) -> RidgeResult:
        """Choose an alpha for each target and, on request, predict a test story.

        Parameters
        ----------
        Y : array of shape (n_rows, n_targets)
            Responses. Targets that are constant or hold a NaN get NaN in the result.
        X_test : array of shape (n_test, n_features), optional
            Features of the test story, prepared as those of the plan.
        groups_test : array of int, shape (n_test,), optional
            Story index of the test rows; None: one story.
        Y_test : array of shape (n_test, n_targets), optional
            Test responses, to correlate the prediction with.
        return_prediction : bool, default False
            Whether to keep the prediction for the test rows.

        Returns
        -------
        RidgeResult
            alpha, cv_score and, where asked for, prediction and r.
        """
        responses = self._prepare(Y)
        return self._fit(responses, X_test, groups_test, Y_test, return_prediction)

    def _prepare(self, Y: Any) -> Responses:
        checked = check_responses(Y, len(self._design.features), "Y")
        return Responses(checked, self._folds, self._intercept, self._device)

    def _fit(
        self,
        responses: Responses,
        X_test: ArrayLike | None,
        groups_test: ArrayLike | None,
        Y_test: Any,
        return_prediction: bool,
    ) -> RidgeResult:
        test = self._test_story(X_test, groups_test, Y_test, responses.n_targets, return_prediction)
        with _limited_threads(self._threads), _clear_memory_error(self._device):
            return cross_validate(
                self._solver,
                responses,
                torch.as_tensor(self._alphas, device=self._device),
                metric=self._metric,
                thorough=self._search == "full",
                test=test,
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
            Y_test = check_responses(Y_test, len(design.features), "Y_test", n_targets)
        return TestStory(design, Y_test, keep)

    def _cheaper_method(self) -> str:
        n_rows, n_features = self._design.features.shape
        n_inputs, n_alphas = n_features * len(self._design.rows), len(self._alphas)
        fold_rows = n_rows / len(self._folds)
        cheaper = n_inputs * (n_alphas + 1) < n_alphas * (n_rows - fold_rows)
        return "primal" if cheaper and n_inputs <= n_rows else "dual"

    @cached_property
    def _solver(self) -> Solver:
        form = DualSolver if self._method == "dual" else PrimalSolver
        return form(
            self._design,
            self._folds,
            self._solvable_alphas(),
            intercept=self._intercept,
            centred=self._metric == "r",
        )

    def _solvable_alphas(self) -> torch.Tensor:
        padded = torch.nn.functional.pad(self._design.features.square().sum(dim=1), (0, 1))
        floor = ALPHA_FLOOR * float(padded[self._design.rows].sum())
        small = int((self._alphas < floor).sum())
        if small:
            logger.warning("%d alphas below %.3g are solved as %.3g", small, floor, floor)
        return torch.as_tensor(np.maximum(self._alphas, floor), device=self._device)


class RidgeOptions(TypedDict, total=False):
    """Keyword arguments of :class:`RidgePlan`."""

    alphas: ArrayLike
    folds: str
    delays: Sequence[int]
    metric: str
    intercept: bool
    method: str
    search: str
    device: str
    threads: int | None


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
        Any keyword argument of :class:`RidgePlan`, the same for every layer.

    Yields
    ------
    RidgeResult
        One result per layer, computed when it is asked for: a caller may store a layer, report it
        or stop before the next.
    """
    responses: Responses | None = None
    for X, X_test in layers:
        plan = RidgePlan(X, groups, **options)
        if responses is None:
            responses = plan._prepare(Y)
        yield plan._fit(responses, X_test, groups_test, Y_test, return_prediction)


def _check_choice(name: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise InputError(f"unknown {name} {given!r}", hint=near_match(str(given), allowed))


def _check_alphas(alphas: ArrayLike) -> NDArray[np.float64]:
    given = np.asarray(alphas)
    usable = given.ndim == 1 and given.size and given.dtype.kind in "fiu"
    if not usable or not (np.isfinite(given) & (given > 0)).all():
        raise InputError(
            f"the alphas {given.tolist()} cannot be used",
            hint="Give a row of positive finite numbers, for example numpy.logspace(0, 8, 17).",
        )
    return given.astype(np.float64)


def _check_threads(threads: int | None) -> int | None:
    if threads is not None and threads < 1:
        raise InputError(
            f"threads is {threads}", hint="Give 1 or more, or None to leave torch's setting."
        )
    return threads


def _find_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = device.partition(":")
    if kind not in DEVICES or (colon and (kind == "cpu" or not number.isdecimal())):
        raise InputError(f"unknown device {device!r}", hint=near_match(device, ("auto", *DEVICES)))
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"device {device!r} is asked for, but torch sees {torch.cuda.device_count()} of them",
            hint="Use device='auto', or install a torch build for this machine's GPU.",
        )
    return torch.device(device)


@contextmanager
def _limited_threads(threads: int | None) -> Iterator[None]:
    """Set torch's CPU threads and put the former number back, also after an error."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _clear_memory_error(device: torch.device) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        # On a CPU torch has no class of its own for it: only the message tells.
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        raise ResourceError(
            f"ridge regression does not fit into the memory of device {str(device)!r}",
            hint="Fit fewer targets at a time, or use device='cpu'.",
        ) from error
