"""Means of target-wise values over regions."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from braindash.errors import InputError

COLUMNS = ("layer", "region", "value", "n_targets", "n_valid", "coverage")


def region_means(
    values: npt.ArrayLike,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    valid: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Average every layer's values over the valid targets of every region.

    Parameters
    ----------
    values : array of shape (n_layers, n_targets) or (n_targets,)
        Scores, in any unit; NaN where there is none.
    masks : mapping of str to bool array of shape (n_targets,)
        The targets of each region; regions may overlap.
    valid : bool array of shape (n_targets,), optional
        Targets that may enter a mean, for example those above the ceiling threshold. All of
        them by default.

    Returns
    -------
    pandas.DataFrame
        One row per layer and region, layer by layer, with the columns ``layer`` (0-based),
        ``region``, ``value`` (the mean, in the unit of ``values``; NaN without a valid target),
        ``n_targets`` (size of the region), ``n_valid`` (targets in the mean) and ``coverage``
        (n_valid / n_targets; NaN for an empty region).
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    n_layers, n_targets = table.shape
    allowed = _as_mask(np.ones(n_targets) if valid is None else valid, n_targets, "valid")
    rows = []
    for region, mask in masks.items():
        members = _as_mask(mask, n_targets, f"region {region!r}")
        used = np.isfinite(table) & (members & allowed)
        n_members, n_valid = int(members.sum()), used.sum(axis=1)
        sums = np.where(used, table, 0.0).sum(axis=1)
        for layer in range(n_layers):
            count = int(n_valid[layer])
            value = sums[layer] / count if count else np.nan
            coverage = count / n_members if n_members else np.nan
            rows.append((layer, region, value, n_members, count, coverage))
    rows.sort(key=lambda row: row[0])  # stable: regions keep their order within a layer
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _as_mask(mask: npt.ArrayLike, n_targets: int, what: str) -> npt.NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.shape != (n_targets,):
        raise InputError(
            f"{what} has shape {array.shape}, but there are {n_targets} targets",
            hint="Give one true/false value per target of the scores.",
        )
    return array.astype(bool)
