"""Groups of units that stay together, and which of them are set apart."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from braindash.errors import InputError

# So many random divisions are tried, fewer when there are very many groups.
_TRIALS, _TRIED_GROUPS = 500, 5_000_000

Codes = NDArray[np.int64]


def group_codes(names: ArrayLike, n_units: int, argument: str) -> Codes:
    """Return the names of groups numbers from 0, in their order, or refuse them.

    Parameters
    ----------
    names : array of int or str, shape (n_units,)
        Group of each unit.
    n_units : int
        Number of units.
    argument : str
        Name of the argument, for the error.

    Returns
    -------
    array of int64, shape (n_units,)
    """
    given = np.asarray(names)
    if given.dtype.kind == "O" and all(isinstance(name, str) for name in given.ravel()):
        given = given.astype(str)
    if given.shape != (n_units,) or given.dtype.kind not in "biuU":
        raise InputError(
            f"{argument} has shape {given.shape} and type {given.dtype} for {n_units} units",
            hint="Give one whole number or one text per unit.",
        )
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


def renumber(codes: ArrayLike) -> Codes:
    """Return numbers from 0 without gaps to codes (n_units,)."""
    return np.unique(np.asarray(codes), return_inverse=True)[1].astype(np.int64)


def linked(a: Codes, b: Codes) -> Codes:
    """Return numbers to the sets of units that no chain of equal values of a or b joins."""
    n_nodes = int(a.max() + b.max() + 2)
    edges = coo_matrix((np.ones(len(a)), (a, b + a.max() + 1)), shape=(n_nodes, n_nodes))
    return renumber(connected_components(edges, directed=False)[1][a])


def choose_groups(
    groups: Codes,
    recordings: Codes,
    strata: Codes,
    share: float,
    least: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_] | None:
    """Choose whole groups, about a share of the units and of every stratum.

    Many random orders of the groups are tried; of each, as many groups are taken from the front
    as come nearest to the share.

    Parameters
    ----------
    groups, recordings, strata : array of int64, shape (n_units,)
        Numbers without gaps of what stays together, and of what is spread evenly.
    share : float
        Of the units.
    least : int
        Recordings that must remain.
    rng : numpy.random.Generator
        Draws the orders.

    Returns
    -------
    array of bool, shape (n_units,), or None
        The units of the chosen groups; None when no division tried leaves enough recordings.
    """
    n_groups = int(groups.max()) + 1
    if n_groups < 2:
        return None
    n_trials = int(np.clip(_TRIED_GROUPS // n_groups, 10, _TRIALS))
    order = rng.permuted(np.tile(np.arange(n_groups), (n_trials, 1)), axis=1)
    size = np.bincount(groups)
    filled = np.cumsum(size[order], axis=1)
    # The first so many groups of each order, at least one and not all.
    n_chosen = 1 + np.abs(filled[:, :-1] - share * len(groups)).argmin(axis=1)
    chosen = np.zeros((n_trials, n_groups), dtype=np.float32)
    np.put_along_axis(chosen, order, np.arange(n_groups) < n_chosen[:, None], axis=1)
    cost = _unevenness(_table(groups, strata).T @ chosen.T, np.bincount(strata), share)
    size_error = (chosen @ size / len(groups) - share) ** 2 / (share * (1 - share))
    of_group = _group_of_recordings(groups, recordings)
    remaining = (1 - chosen) @ np.bincount(of_group, minlength=n_groups)
    cost = np.where(remaining >= least, cost + size_error, np.inf)
    best = int(cost.argmin())
    return chosen[best][groups] > 0 if np.isfinite(cost[best]) else None


def _unevenness(
    counts: NDArray[np.floating], total: NDArray[np.int64], share: float
) -> NDArray[np.float64]:
    """Measure how far shares of strata (n_strata, n_trials) are off, a missing stratum most."""
    fraction = counts / np.maximum(total, 1)[:, None]
    off = (fraction - share) ** 2 / (share * (1 - share))
    absent = (fraction == 0) | (fraction == 1)
    return np.asarray((off + absent)[total > 1].sum(axis=0) / max(1, len(total)))


def _table(rows: Codes, columns: Codes) -> csr_matrix:
    """Count how often each pair of codes occurs."""
    return csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)))


def _group_of_recordings(groups: Codes, recordings: Codes) -> Codes:
    """Return the group of each recording (a recording is in one group)."""
    return np.asarray(groups[np.unique(recordings, return_index=True)[1]])
