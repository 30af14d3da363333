"""Ridge with one penalty per feature space ("band"), chosen for each target.

The kernel of a *mixture* is a weighted sum of the bands' kernels, each scaled to the same trace, so
every mixture is an ordinary ridge problem. Each target gets the mixture and the penalty that
predict its held-out stories best; :mod:`braindash.core.ridge.nuisance` says what each band
explains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.devices import check_threads, clear_memory_error, find_device, limited_threads
from braindash.core.ridge.banded_search import BandKernels, MixtureSearch
from braindash.core.ridge.data import Design, Responses, check_responses, make_design
from braindash.core.ridge.settings import check_alphas, make_folds
from braindash.defaults import DEFAULT_ALPHAS, DEFAULT_DELAYS
from braindash.errors import InputError


@dataclass(frozen=True)
class BandedResult:
    """What banded ridge gives.

    Attributes
    ----------
    bands : tuple of str
        Names of the bands.
    weights : array of float64, shape (n_bands, n_targets)
        Chosen mixture: share of the kernel's scale that each band has; NaN for unusable targets.
    alpha : array of float64, shape (n_targets,)
        Chosen penalty of the mixture; NaN for unusable targets.
    cv_score : array of float32, shape (n_targets,)
        Mean held-out R^2 with both; NaN for unusable targets.
    parts : array of float32, shape (n_bands, n_test, n_targets)
        What each band contributes to the prediction of the test rows, in the units of the
        responses, without the intercept.
    prediction : array of float32, shape (n_test, n_targets)
        The prediction itself: the sum of the parts and the intercept.
    without : array of float32, shape (n_bands, n_test, n_targets)
        Prediction of the best model that does not have the band; NaN where it was not asked for.
    alone : array of float32, shape (n_bands, n_test, n_targets)
        Prediction of the best model that has the band alone; of no bands where it was not asked
        for.
    """

    bands: tuple[str, ...]
    weights: NDArray[np.float64]
    alpha: NDArray[np.float64]
    cv_score: NDArray[np.float32]
    parts: NDArray[np.float32]
    prediction: NDArray[np.float32]
    without: NDArray[np.float32]
    alone: NDArray[np.float32]


class BandedRidgeCV:
    """Banded ridge on the delayed features of several spaces, ready for any responses.

    For every target the mixture of bands and the alpha are chosen that maximise the mean held-out
    R^2 over folds (Nunez-Elizalde, Huth and Gallant 2019; Dupre la Tour et al. 2022). Two bands are
    searched on a grid of their ratio that is refined around each target's best; more bands by
    random mixtures. Either way each band alone, all with equal scale, and all as they are side by
    side are among the mixtures.

    With two bands and a thousand targets or more, a sample of the targets tells which mixtures and
    alphas to score for the others (:mod:`braindash.core.ridge.banded_sample`). Each then has the
    best of what was scored for it; some would score slightly more with a pair that was left out.

    Parameters
    ----------
    bands : mapping of str to array of shape (n_rows, n_features)
        Features of the training stories by space, z-scored per story, without delays; two or more.
    groups : array of int, shape (n_rows,)
        Story index of each row; the rows of a story stand together.
    alphas : sequence of float, shape (n_alphas,)
        Positive penalties, on the scale of a ridge of all bands side by side.
    folds : {"story", "chunk"}
        As in :class:`braindash.core.ridge.model.RidgeCV`.
    delays : sequence of int, default (1, 2, 3, 4)
        Delays of the features in TRs, made within each story.
    intercept : bool, default True
        Whether every fit has an intercept that is not penalised.
    n_mixtures : int, default 30
        Random mixtures of three or more bands.
    seed : int, default 0
        Of the random mixtures.
    device : str, default "auto"
        "cpu", "cuda" or "cuda:N"; "auto" is "cuda" where there is one.
    threads : int, optional
        CPU threads for the time of a fit; None leaves torch's setting.
    kept : array of bool, shape (n_rows,), optional
        Rows that have a response, as in :class:`braindash.core.ridge.model.RidgeCV`.
    """

    def __init__(
        self,
        bands: Mapping[str, ArrayLike],
        groups: ArrayLike,
        *,
        alphas: ArrayLike = DEFAULT_ALPHAS,
        folds: str = "story",
        delays: Sequence[int] = DEFAULT_DELAYS,
        intercept: bool = True,
        n_mixtures: int = 30,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        kept: ArrayLike | None = None,
    ) -> None:
        if len(bands) < 2:
            raise InputError(
                f"banded ridge is given {len(bands)} feature space(s)",
                hint="Give two or more, or use RidgeCV for one.",
            )
        self.bands = tuple(bands)
        self._alphas, self._device = check_alphas(alphas), find_device(device)
        self._threads, self._delays = check_threads(threads), delays
        self._intercept, self._n_mixtures, self._seed = intercept, n_mixtures, seed
        self._designs = [
            make_design(X, groups, delays, self._device, f"band {name!r}", kept)
            for name, X in bands.items()
        ]
        rows = {len(design.features) for design in self._designs}
        if len(rows) > 1:
            raise InputError(
                f"the bands have {', '.join(str(n) for n in sorted(rows))} rows",
                hint="Bring all feature spaces to the same response times.",
            )
        self._folds = make_folds(self._designs[0].bounds, folds, self._designs[0].seams)
        # A space without any variance has no scale of its own; it stays as it is and adds nothing.
        traces = np.array([design.trace() for design in self._designs])
        self._scale = traces.sum() / np.where(traces > 0, traces, np.inf)
        self._plain = tuple(traces / max(traces.sum(), np.finfo(float).tiny))
        self._trace = float(traces.sum())

    def fit(
        self,
        Y: Any,
        bands_test: Mapping[str, ArrayLike],
        groups_test: ArrayLike | None = None,
        *,
        unique: bool = True,
        alone: bool = False,
    ) -> BandedResult:
        """Choose mixture and alpha for each target and predict the test rows.

        Parameters
        ----------
        Y : array of shape (n_rows, n_targets)
            Responses of the kept rows; only columns of it are read. Targets that are constant or
            hold a NaN get NaN.
        bands_test : mapping of str to array of shape (n_test, n_features)
            Features of the test rows, the same spaces.
        groups_test : array of int, shape (n_test,), optional
            Story index of the test rows; None: one story.
        unique : bool, default True
            Whether to fit without each band as well, which unique variance is told from.
        alone : bool, default False
            Whether to fit each band by itself as well.

        Returns
        -------
        BandedResult
        """
        checked = check_responses(Y, len(self._designs[0]), "Y")
        tests = self._test_designs(bands_test, groups_test)
        with limited_threads(self._threads), clear_memory_error(self._device):
            training = BandKernels.of(self._designs, self._designs, self._scale, self._intercept)
            new = BandKernels.of(tests, self._designs, self._scale, self._intercept)
            search = MixtureSearch(
                training,
                new,
                Responses(checked, self._folds, self._intercept, self._device),
                self._alphas,
                trace=self._trace,
                plain=self._plain,
                n_mixtures=self._n_mixtures,
                seed=self._seed,
            )
            every = range(len(self.bands))
            choice = search.best(every)
            parts, prediction = search.predict(choice)
            without = np.full_like(parts, np.nan)
            for left_out in every if unique else ():
                some = [band for band in every if band != left_out]
                without[left_out] = search.predict(search.best(some))[1]
            single = [search.predict(search.best([band]))[1] for band in every if alone]
        return BandedResult(
            bands=self.bands,
            weights=choice.weights(),
            alpha=choice.alpha,
            cv_score=choice.score,
            parts=parts,
            prediction=prediction,
            without=without,
            alone=np.stack(single) if single else np.zeros((0, *prediction.shape), np.float32),
        )

    def _test_designs(
        self, bands_test: Mapping[str, ArrayLike], groups_test: ArrayLike | None
    ) -> list[Design]:
        if set(bands_test) != set(self.bands):
            raise InputError(
                f"the test rows have the bands {', '.join(bands_test)} and the training rows "
                f"{', '.join(self.bands)}",
                hint="Give the same feature spaces, by the same names, for both.",
            )
        designs = [
            make_design(
                bands_test[name], groups_test, self._delays, self._device, f"test band {name!r}"
            )
            for name in self.bands
        ]
        for name, design, known in zip(self.bands, designs, self._designs, strict=True):
            here, there = design.features.shape[1], known.features.shape[1]
            if here != there or len(design) != len(designs[0]):
                raise InputError(
                    f"test band {name!r} has the shape {tuple(design.features.shape)}",
                    hint=f"Give {len(designs[0])} rows and {there} features, as in training.",
                )
        return designs
