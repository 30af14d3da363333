"""Which rows of one story are held out, and which may be trained on then.

Rows near each other are alike: sound and response change slowly, and the response lags. So blocks
are contiguous, and rows at both sides of a held-out block train nothing.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError

# Two chunks of 20 rows, by which a penalty is chosen.
_FEWEST_TRAINED = 40
_FEWEST_HELD_OUT = 2
_FEWEST_BLOCKS, _MOST_BLOCKS = 5, 10


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


def choose_blocks(kept: NDArray[np.bool_], gap_rows: int, story: str) -> int:
    """Choose into how many blocks a story is split: 5, or more where it is short.

    Parameters
    ----------
    kept : array of bool, shape (n_rows,)
        Rows that are not censored.
    gap_rows : int
        Rows at each side of a block that train nothing.
    story : str
        Its name, for the error.

    Returns
    -------
    int
        The fewest from 5 to 10 with which every fit has rows enough.

    Raises
    ------
    InputError
        A block, or what is left to train on, has too few rows.
    """
    fewest = []
    for n_blocks in range(_FEWEST_BLOCKS, _MOST_BLOCKS + 1):
        blocks = held_out_blocks(len(kept), n_blocks)
        held_out = min(int(kept[block].sum()) for block in blocks)
        trained = min(
            int((kept & training_rows(len(kept), block, gap_rows)).sum()) for block in blocks
        )
        if trained >= _FEWEST_TRAINED and held_out >= _FEWEST_HELD_OUT:
            return n_blocks
        fewest.append(trained)
    raise InputError(
        f"the story {story!r} is too short to be scored within itself: of {len(kept)} rows no more "
        f"than {max(fewest)} would be left to train on, with {gap_rows} rows left out at each side "
        f"of a block; {_FEWEST_TRAINED} are needed",
        hint="Use a longer story, or several stories (splits.scheme = 'across-stories').",
    )
