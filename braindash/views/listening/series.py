"""Responses over time as the viewer needs them: one byte per value and row, in pieces.

A piece holds the first row of the next one too, so that the browser can pass from row to row
without waiting at the seam.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from braindash.viewer.blobs import MISSING
from braindash.viewer.drawn import Drawn
from braindash.viewer.packing import pack

PIECE_SECONDS = 300.0
"""How much of a story one piece holds at most."""
PIECE_BYTES = 6_000_000
"""How large a piece is at most, before it is deflated."""
_STEPS = 254  # bytes 0 to 254; 255 means missing
_END_PERCENTILE, _RANGE_PERCENTILE = 99.9, 98.0
_ROWS_LOOKED_AT = 64

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Series:
    """Responses of every target to one story, read as they are asked for.

    Attributes
    ----------
    read : callable
        Gives some rows, float32 (n_rows, n_targets), NaN where there is none; the slice counts from
        the story's first row.
    n_rows : int
        Rows of the story.
    drawn : Drawn
        The surface.
    end : float
        A byte counts from ``-end`` to ``end``, in the unit of the responses; what lies beyond is
        drawn as the end.
    span : float
        Half the range of colours that suits it: most values lie within.
    """

    read: Callable[[slice], Floats]
    n_rows: int
    drawn: Drawn
    end: float
    span: float

    @classmethod
    def of(cls, read: Callable[[slice], Floats], n_rows: int, drawn: Drawn) -> "Series":
        """Find the scale of a series: of rows spread over the story, not of single outliers."""
        step = max(1, n_rows // _ROWS_LOOKED_AT)
        found = [np.abs(read(slice(row, row + 1))) for row in range(0, n_rows, step)]
        sizes = np.concatenate(found) if found else np.zeros((0, 1))
        sizes = sizes[np.isfinite(sizes)]
        if not sizes.size or not sizes.max() > 0:
            return cls(read, n_rows, drawn, 1.0, 1.0)
        end, span = np.percentile(sizes, (_END_PERCENTILE, _RANGE_PERCENTILE))
        end = float(end) if end > 0 else float(sizes.max())
        return cls(read, n_rows, drawn, end, float(span) if span > 0 else end)

    def piece(self, rows: slice, step: int = 1) -> bytes:
        """Pack some rows, and the one behind them where there is one.

        Parameters
        ----------
        rows : slice
            Of the story.
        step : int, default 1
            Bytes are rounded to multiples of it: a coarser series takes less room.

        Returns
        -------
        bytes
            uint8 ``maps`` of shape (n_rows, n_drawn) under a header with the ends of the scale and
            the place of the first row in the story.
        """
        stop = min(rows.stop + 1, self.n_rows)
        values = self.drawn.values(self.read(slice(rows.start, stop)))
        header = {"low": -self.end, "high": self.end, "first": rows.start}
        return pack(header, {"maps": _coarser(quantise(values, self.end), step)})


def piece_rows(n_rows: int, tr: float, n_drawn: int) -> list[slice]:
    """Divide a story into pieces of five minutes, or of six megabytes where these are shorter.

    Parameters
    ----------
    n_rows : int
        Rows of the story.
    tr : float
        Seconds between two rows.
    n_drawn : int
        Drawn vertices, a byte each.

    Returns
    -------
    list of slice
        At least one; the last one may be shorter.
    """
    each = max(1, min(int(PIECE_SECONDS / tr), PIECE_BYTES // max(1, n_drawn) - 1))
    starts = [*range(0, max(1, n_rows), each), n_rows]
    return [slice(start, stop) for start, stop in pairwise(starts)]


def _coarser(values: Bytes, step: int) -> Bytes:
    """Round bytes to multiples of ``step``; what is missing stays so."""
    if step == 1:
        return values
    rounded = np.minimum((values.astype(np.uint16) + step // 2) // step * step, _STEPS)
    return np.where(values == MISSING, MISSING, rounded).astype(np.uint8)


def quantise(values: Floats, end: float) -> Bytes:
    """Write values as bytes: 0 at ``-end``, 127 at 0, 254 at ``end``, 255 where there is none.

    Parameters
    ----------
    values : array of any shape
        In the unit of ``end``.
    end : float
        Above 0. Values beyond it become the end.

    Returns
    -------
    uint8 array
        ``2 * end * byte / 254 - end`` is the value to half a step, ``end / 254``.
    """
    known = np.isfinite(values)
    shares = np.clip((np.where(known, values, 0.0) + end) / (2 * end), 0.0, 1.0)
    return np.where(known, np.round(shares * _STEPS), MISSING).astype(np.uint8)
