"""Settings that every kind of ridge takes."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError, near_match

logger = logging.getLogger(__name__)

# An alpha below this share of the kernel's trace is solved as that share: float64 could not tell
# the two apart in a singular kernel, and Cholesky could not factor it.
ALPHA_FLOOR = 1e-12


def solvable_alphas(alphas: NDArray[np.float64], trace: float) -> NDArray[np.float64]:
    """Raise penalties that a kernel of this trace is too singular for, and say so in the log."""
    floor = ALPHA_FLOOR * trace
    small = int((alphas < floor).sum())
    if small:
        logger.warning("%d alphas below %.3g are solved as %.3g", small, floor, floor)
    return np.maximum(alphas, floor)


def check_choice(name: str, given: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not one of the allowed."""
    if given not in allowed:
        raise InputError(f"unknown {name} {given!r}", hint=near_match(str(given), allowed))


def check_alphas(alphas: ArrayLike) -> NDArray[np.float64]:
    """Return positive finite penalties in float64, in the order given."""
    given = np.asarray(alphas)
    usable = given.ndim == 1 and given.size and given.dtype.kind in "fiu"
    if not usable or not (np.isfinite(given) & (given > 0)).all():
        raise InputError(
            f"the alphas {given.tolist()} cannot be used",
            hint="Give a row of positive finite numbers, for example numpy.logspace(0, 8, 17).",
        )
    return given.astype(np.float64)
