"""Which rows of one story are held out, and which may be trained on then.

Rows near each other are alike: sound and response change slowly, and the response lags. So blocks
are contiguous, and rows at both sides of a held-out block train nothing.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError

# Fewer rows than this say next to nothing about hundreds of features.
_FEWEST_TRAINED = 20
_FEWEST_HELD_OUT = 2


def held_out_blocks(n_rows: int, n_blocks: int) -> list[slice]:
    """Split the rows of a story into contiguous blocks of nearly equal length.

    Parameters
    ----------
    n_rows : int
        Rows of the story.
    n_blocks : int
        Blocks, each held out once.

    Returns
    -------
    list of slice
        In the order of time; every row is in one of them.
    """
    edges = np.linspace(0, n_rows, n_blocks + 1).round().astype(int)
    return [slice(a, b) for a, b in pairwise(edges.tolist())]


def training_rows(n_rows: int, block: slice, gap_rows: int) -> NDArray[np.bool_]:
    """Mark the rows that may be trained on while a block is held out, bool (n_rows,).

    Parameters
    ----------
    n_rows : int
        Rows of the story.
    block : slice
        The held-out rows.
    gap_rows : int
        Rows at each side of it that train nothing.
    """
    marks = np.ones(n_rows, dtype=bool)
    marks[max(0, block.start - gap_rows) : block.stop + gap_rows] = False
    return marks


def require_rows(kept: NDArray[np.bool_], n_blocks: int, gap_rows: int, story: str) -> None:
    """Refuse a story that is too short to be scored within itself.

    Parameters
    ----------
    kept : array of bool, shape (n_rows,)
        Rows that are not censored.
    n_blocks, gap_rows : int
        How it is split.
    story : str
        Its name, for the error.

    Raises
    ------
    InputError
        A block, or what is left to train on, has too few rows.
    """
    for block in held_out_blocks(len(kept), n_blocks):
        n_trained = int((kept & training_rows(len(kept), block, gap_rows)).sum())
        n_held_out = int(kept[block].sum())
        if n_trained < _FEWEST_TRAINED or n_held_out < _FEWEST_HELD_OUT:
            raise InputError(
                f"the story {story!r} is too short to be scored within itself: of {len(kept)} rows "
                f"{n_held_out} would be held out and {n_trained} trained on, with {gap_rows} rows "
                "left out at each side",
                hint="Use a longer story, or several stories (splits.scheme = 'across-stories').",
            )
