"""Settings that every kind of ridge takes: penalties, device, threads."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError, ResourceError, near_match

logger = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda")
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


def check_threads(threads: int | None) -> int | None:
    """Refuse fewer than one thread."""
    if threads is not None and threads < 1:
        raise InputError(
            f"threads is {threads}", hint="Give 1 or more, or None to leave torch's setting."
        )
    return threads


def find_device(device: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device that is there."""
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
def limited_threads(threads: int | None) -> Iterator[None]:
    """Set torch's CPU threads and put the former number back, also after an error."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def clear_memory_error(device: torch.device) -> Iterator[None]:
    """Say it in words when the device's memory runs out."""
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
