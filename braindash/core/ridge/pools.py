"""Penalties that several targets share: chosen by their mean held-out score.

Where the signal is low, the score of a single target says little about which penalty is best, and
the best of many is often a lucky one. Targets that are predicted alike choose better together.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError

ALONE = -1
"""Pool of a target that chooses for itself."""


def check_pools(pools: ArrayLike, n_targets: int) -> NDArray[np.int64]:
    """Return each target's pool as a number, or refuse it.

    Parameters
    ----------
    pools : array of int, shape (n_targets,)
        Number of the pool; ``ALONE`` (-1) for a target that chooses for itself.
    n_targets : int
        Number of targets.

    Raises
    ------
    InputError
    """
    given = np.asarray(pools)
    if given.shape != (n_targets,) or given.dtype.kind not in "iu" or (given < ALONE).any():
        raise InputError(
            f"pools has shape {given.shape} and type {given.dtype} for {n_targets} targets",
            hint="Give one whole number per target, -1 for one that chooses for itself.",
        )
    return given.astype(np.int64)


def pooled_gains(gain: torch.Tensor, valid: torch.Tensor, pools: NDArray[np.int64]) -> torch.Tensor:
    """Give every target the mean gain of its pool's usable targets.

    Parameters
    ----------
    gain : Tensor of float64, shape (n_alphas, n_targets)
        Scores over that of predicting zeros.
    valid : Tensor of bool, shape (n_targets,)
        Targets that have a score.
    pools : array of int64, shape (n_targets,)
        From :func:`check_pools`.

    Returns
    -------
    Tensor of float64, shape (n_alphas, n_targets)
    """
    shared = gain.clone()
    codes = torch.as_tensor(pools, device=gain.device)
    for pool in np.unique(pools[pools != ALONE]).tolist():
        members = codes == pool
        used = members & valid
        if used.any():
            shared[:, members] = gain[:, used].mean(dim=1, keepdim=True)
    return shared
