"""Blocks of neighbouring rows, which permutation and bootstrap move as wholes.

Neighbouring rows of BOLD are alike, so that single rows are no independent observations; blocks
of some 20 s nearly are. No block reaches from one segment (test story) into another.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.core.timing import story_bounds
from braindash.errors import InputError

BLOCK_ROWS = 10


@dataclass(frozen=True)
class BlockLayout:
    """Blocks of equal length, in the order of the rows.

    Attributes
    ----------
    starts : array of int64, shape (n_blocks,)
        First row of each block.
    length : int
        Rows of every block.
    n_left_out : int
        Rows that are in no block.
    """

    starts: NDArray[np.int64]
    length: int
    n_left_out: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of all blocks, (n_blocks * length,)."""
        return np.asarray((self.starts[:, None] + np.arange(self.length)).ravel())


class LayerTests(NamedTuple):
    """p values of targets.

    Attributes
    ----------
    p : array of float64, shape (n_layers, n_columns)
        Of each layer by itself; NaN where there is no score.
    best : array of float64, shape (n_columns,)
        Of the best of all layers, which was found by looking at all of them.
    """

    p: NDArray[np.float64]
    best: NDArray[np.float64]


def block_layout(
    n_rows: int, *, segments: ArrayLike | None = None, block_rows: int = BLOCK_ROWS
) -> BlockLayout:
    """Cut every segment into blocks of one length, leaving out the fewest rows.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    segments : array of int, shape (n_rows,), optional
        Segment of each row; the rows of a segment stand together. None: one segment.
    block_rows : int, default 10
        Least length of a block. Of the lengths from this to just below its double the one that
        leaves out the fewest rows is taken, of equals the shortest.

    Returns
    -------
    BlockLayout
        The blocks; the rows left out are at the ends of the segments.

    Raises
    ------
    InputError
        When there are fewer than two blocks.
    """
    check_block_rows(n_rows, block_rows)
    bounds = story_bounds(segments, n_rows)

    def wasted(length: int) -> int:
        return sum((stop - start) % length for start, stop in bounds)

    length = min(range(block_rows, 2 * block_rows), key=wasted)
    starts = [row for start, stop in bounds for row in range(start, stop - length + 1, length)]
    if len(starts) < 2:
        raise InputError(
            f"segments of {max(b - a for a, b in bounds)} rows and fewer hold {len(starts)} "
            f"blocks of {block_rows} rows",
            hint="Two blocks are needed at least: give a smaller block_rows, or more test rows.",
        )
    return BlockLayout(np.array(starts, dtype=np.int64), length, wasted(length))


def check_block_rows(n_rows: int, block_rows: int) -> None:
    """Refuse blocks that are empty, or too long for there to be two."""
    if block_rows < 1 or n_rows < 2 * block_rows:
        raise InputError(
            f"{n_rows} rows cannot be cut into blocks of {block_rows}",
            hint="block_rows must be from 1 to half the number of rows; the default is "
            f"{BLOCK_ROWS}.",
        )


def check_series(
    predictions: ArrayLike, response: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return predictions and response as arrays, or say why they do not belong together.

    Parameters
    ----------
    predictions : array of shape (n_layers, n_rows, n_columns)
        Predicted response from every layer.
    response : array of shape (n_rows, n_columns)
        Measured response.

    Returns
    -------
    predictions, response : arrays of the same shapes
    """
    predicted, measured = np.asarray(predictions), np.asarray(response)
    fits = predicted.ndim == 3 and predicted.shape[1:] == measured.shape
    if not fits or not measured.shape[0] or {predicted.dtype.kind, measured.dtype.kind} - {"f"}:
        raise InputError(
            f"the predictions have shape {predicted.shape} and type {predicted.dtype}, the "
            f"response {measured.shape} and {measured.dtype}",
            hint="Give floats of shape (n_layers, n_rows, n_columns) and (n_rows, n_columns).",
        )
    return predicted, measured
