"""Settings that every kind of ridge takes."""

import itertools
import logging
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.errors import InputError, near_match

logger = logging.getLogger(__name__)

# An alpha below this share of the kernel's trace is solved as that share: float64 could not tell
# the two apart in a singular kernel, and Cholesky could not factor it.
ALPHA_FLOOR = 1e-12
Fold = tuple[int, int]
FOLDS = ("story", "chunk")
CHUNK_ROWS = 20
_LEAST_STORIES = 3


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


# ---- folds ------------------------------------------------------------------------------------


def make_folds(
    bounds: Sequence[tuple[int, int]], folds: str, seams: Collection[int] = ()
) -> list[Fold]:
    """Choose the rows to leave out together.

    Parameters
    ----------
    bounds : sequence of (start, stop)
        Rows of each story.
    folds : {"story", "chunk"}
        Leave one story out, or ``CHUNK_ROWS`` consecutive rows of a story. With fewer than three
        stories "story" means "chunk".
    seams : collection of int
        Rows before which rows of the same story were taken out. Chunks begin there, but for
        stretches of less than half a chunk, which join their neighbour in the story.

    Returns
    -------
    list of (start, stop)
        Rows of each fold; together all rows, each once.
    """
    if folds not in FOLDS:
        raise InputError(f"unknown folds {folds!r}", hint=near_match(str(folds), FOLDS))
    if folds == "story" and len(bounds) >= _LEAST_STORIES:
        return list(bounds)
    chunks = [
        chunk
        for start, stop in bounds
        for edges in itertools.pairwise(_long_stretches(start, stop, seams))
        for chunk in _chunks(*edges)
    ]
    if len(chunks) < 2:
        raise InputError(
            f"{bounds[-1][1]} rows are too few to choose alpha by cross-validation",
            hint=f"Give at least {2 * CHUNK_ROWS} rows, better three stories or more.",
        )
    return chunks


def _long_stretches(start: int, stop: int, seams: Collection[int]) -> list[int]:
    """Return the edges of a story's stretches, but for those of less than half a chunk."""
    edges = [start]
    for seam in sorted(seam for seam in seams if start < seam < stop):
        if min(seam - edges[-1], stop - seam) >= CHUNK_ROWS // 2:
            edges.append(seam)
    return [*edges, stop]


def _chunks(start: int, stop: int) -> Iterator[Fold]:
    """Cut a story into chunks; a rest of less than half a chunk joins the last one."""
    count = max(1, (stop - start + CHUNK_ROWS // 2) // CHUNK_ROWS)
    edges = [start + CHUNK_ROWS * number for number in range(count)] + [stop]
    yield from itertools.pairwise(edges)


def folds_line(folds: str, n_stories: int) -> str:
    """Say in a word which rows are left out together, of so many training stories."""
    if folds == "story" and n_stories >= _LEAST_STORIES:
        return "leave-stories-out"
    few = f" (fewer than {_LEAST_STORIES} training stories)" if folds == "story" else ""
    return f"leave-{CHUNK_ROWS}-rows-out{few}"
