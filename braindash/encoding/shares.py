"""How much of a region's score low-level features explain, from a stored encoding result."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from braindash.core.partition import shared_parts
from braindash.core.ridge.settings import folds_line
from braindash.core.statistics.bootstrap import interval
from braindash.encoding.result import EncodingResult, add_intervals

# Below this mean score a share would divide noise by noise.
LEAST_SCORE = 0.02
_BANDED = ("joint_r2", "model_r2", "low_r2", "model_unique_r2", "low_unique_r2", "shared_r2")

Floats = NDArray[np.floating]
Spaces = tuple[str, ...]


def low_level_shares(result: EncodingResult, level: float = 0.95) -> pd.DataFrame | None:
    """Tabulate the share of each region's score that low-level features explain.

    With the method "residual" the share is ``1 - r_residual / r``, region means of the score
    without and with what low-level features predict of the model's features. With "banded" it is
    the low-level space's product measure over the joint R^2, both region means.

    Parameters
    ----------
    result : EncodingResult
        Any; low-level features were weighed or not.
    level : float, default 0.95
        Share of the bootstrap replicates inside an interval.

    Returns
    -------
    pandas.DataFrame or None
        None when they were not. Else one row per layer and region: ``share`` (NaN where the whole
        score is below 0.02), ``low`` and ``high`` (its interval; NaN for "banded", which has
        none), ``method``, ``space``, ``simulated`` and the means it is made of: ``r`` and
        ``residual_r``, or ``joint_r2``, ``model_r2``, ``low_r2``, ``model_unique_r2``,
        ``low_unique_r2`` and ``shared_r2``.
    """
    settings = result.spec.get("low_level")
    if settings is None:
        return None
    table = _residual(result, level) if settings["method"] == "residual" else _banded(result)
    return table.assign(
        method=settings["method"], space=settings["space"], simulated=result.simulated
    )


def variance_parts(result: EncodingResult) -> dict[Spaces, Floats] | None:
    """Divide the explained variance of every target among a model and low-level spaces.

    Parameters
    ----------
    result : EncodingResult
        Any; of the method "banded" there are parts.

    Returns
    -------
    dict of tuple of str to array of shape (n_layers, n_targets), or None
        R² that each set of spaces explains and no other space does, by their names, the model's
        first; see :func:`braindash.core.ridge.nuisance.shared_parts`. None where the spaces were
        not weighed against each other.
    """
    settings = result.spec.get("low_level")
    if settings is None or settings["method"] != "banded":
        return None
    names = (result.model, *settings["space"].split("+"))

    def of(name: str) -> Floats:
        found = result.dataset[name]
        first = [one for one in ("space",) if one in found.dims]
        return np.asarray(found.transpose(*first, "layer", "target").values, dtype=float)

    joint = of("joint_r2")
    if "alone_r2" in result.dataset:
        parts = shared_parts(joint, of("alone_r2"), of("without_r2"))
    else:  # of two spaces, what the other explains alone is what the first does not
        rest = joint - np.stack([of("model_unique_r2"), of("low_unique_r2")])
        parts = shared_parts(joint, rest[::-1], rest)
    return {tuple(names[place] for place in which): values for which, values in parts.items()}


def low_level_line(result: EncodingResult) -> str:
    """Say in one line how low-level features were weighed."""
    settings = result.spec["low_level"]
    folds = folds_line(result.spec["folds"], len(result.spec["train"]))
    if settings["method"] == "residual":
        return (
            f"share = 1 - r without / r: {settings['space']} was regressed out of the model's "
            f"features on the training stories (ridge, alpha per feature by {folds}); "
            f"{result.interval_line()}"
        )
    return (
        f"share = part of {settings['space']} (product measure) in the joint R² of banded ridge, "
        f"one penalty per space and target by {folds}; no intervals"
    )


def _residual(result: EncodingResult, level: float) -> pd.DataFrame:
    # Only targets with both scores: the share compares the same ones.
    both = np.isfinite(result.r) & np.isfinite(result.dataset["residual_r"].values)
    full = np.where(both, result.r, np.nan)
    left = np.where(both, result.dataset["residual_r"].values, np.nan)
    table = _means(result, {"r": full, "residual_r": left})
    table = table.assign(share=_share(table["r"] - table["residual_r"], table["r"]))
    if "residual_region_samples" not in result.dataset:
        return table.assign(low=np.nan, high=np.nan)
    whole = result.samples()
    rest = result.dataset["residual_region_samples"].transpose(*whole.dims)
    samples = _share(whole.values - rest.values, whole.values)
    low, high = interval(samples, level=level, n_units=result.n_blocks)
    table = add_intervals(table, [str(name) for name in whole["region"].values], low, high)
    return table.assign(
        **{end: table[end].where(table["share"].notna()) for end in ("low", "high")}
    )


def _banded(result: EncodingResult) -> pd.DataFrame:
    table = _means(result, {name: result.dataset[name].values for name in _BANDED})
    share = _share(table["low_r2"], table["joint_r2"])
    return table.assign(share=share, low=np.nan, high=np.nan)


def _means(result: EncodingResult, values: dict[str, Floats]) -> pd.DataFrame:
    tables = {name: result.region_means(array) for name, array in values.items()}
    first = next(iter(tables.values()))[["layer", "region", "n_targets", "n_valid"]]
    return first.assign(**{name: table["value"].to_numpy() for name, table in tables.items()})


def _share(part: ArrayLike, whole: ArrayLike) -> Floats:
    top, bottom = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    share = np.full(bottom.shape, np.nan)
    np.divide(top, bottom, out=share, where=bottom >= LEAST_SCORE)
    return share
