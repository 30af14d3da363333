"""Frames of a model brought to the times of responses while they come, or from a grid kept of them.

A row of features is a mean of frames under the Lanczos kernel ``w``,

    ``row(t) = sum_f w(t - tau_f) x_f / sum_f w(t - tau_f)``,

with frames ``x_f`` at times ``tau_f``. The kernel is some seconds wide and smooth, so between the
nodes of a much finer grid it is the polynomial through six of them,
``w(t - tau) ~ sum_g w(t - g) phi_g(tau)``, and the row becomes

    ``row(t) ~ sum_g w(t - g) y_g / sum_g w(t - g) m_g``,

where ``y_g = sum_f phi_g(tau_f) x_f`` and ``m_g = sum_f phi_g(tau_f)`` do not depend on ``t``. The
frames themselves may then be forgotten. Nothing is assumed of them: at the ends of a recording, and
where frames are missing, the masses ``m_g`` say how much of the kernel there was. Frames on the
nodes are kept as they are.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from braindash.core.timing import lanczos_weights

# Frames summed in double precision before they are added to a float32 row.
_BLOCK = 128
# Nodes of the polynomial, from two behind a frame's node to three ahead.
_PLACES = np.arange(-2, 4)

Frames = NDArray[np.float32]


class RowSums:
    """Adds frames to the rows they belong to, as they come, so that none has to be kept.

    Parameters
    ----------
    frame_times : array of shape (n_frames,)
        Seconds, increasing.
    times : array of shape (n_rows,)
        Seconds of the rows.
    tr : float
        Seconds between two rows: the kernel reaches three to both sides.
    n_layers, n_features : int
        Of the frames.
    mass : array of shape (n_frames,), optional
        Of the nodes of a grid that frames were spread to, in place of frames.
    """

    def __init__(
        self,
        frame_times: ArrayLike,
        times: ArrayLike,
        tr: float,
        n_layers: int,
        n_features: int,
        mass: ArrayLike | None = None,
    ) -> None:
        weights = lanczos_weights(frame_times, times, tr, mass=mass)
        # By frame: the columns of a block of frames are its few rows.
        self._weights = sparse.csc_array(weights)
        self._rows = np.zeros((n_layers, weights.shape[0], n_features), np.float32)
        self._waiting: list[Frames] = []
        self._columns: list[NDArray[np.intp]] = []

    def needs(self, first: int, stop: int) -> bool:
        """Say whether any of some neighbouring frames plays a part in any row."""
        return bool(self._weights.indptr[stop] > self._weights.indptr[first])

    def add(self, first: int, frames: Frames) -> None:
        """Take frames (n_frames, n_layers, n_features), of which the first has this number."""
        self._waiting.append(frames)
        self._columns.append(np.arange(first, first + len(frames)))
        if sum(map(len, self._columns)) >= _BLOCK:
            self._flush()

    def finish(self) -> Frames:
        """Return the rows (n_layers, n_rows, n_features)."""
        self._flush()
        return self._rows

    def _flush(self) -> None:
        if not self._waiting:
            return
        weights = self._weights[:, np.concatenate(self._columns)]
        rows = np.unique(weights.indices)
        dense = weights[rows].toarray()
        frames = np.concatenate(self._waiting).astype(np.float64)
        self._rows[:, rows] += np.einsum("tf,flk->ltk", dense, frames, optimize=True)
        self._waiting.clear()
        self._columns.clear()


def rows_of_kept(
    read: Callable[[int, int], Frames],
    frame_times: ArrayLike,
    times: ArrayLike,
    tr: float,
    *,
    mass: ArrayLike | None = None,
) -> Frames:
    """Return the rows that kept frames, or a grid of them, lead to.

    Parameters
    ----------
    read : callable
        ``read(first, stop)`` returns frames as float32 (n_frames, n_layers, n_features); few at a
        time are asked for.
    frame_times, times, tr, mass
        As of :class:`RowSums`.

    Returns
    -------
    float32 array of shape (n_layers, n_rows, n_features)
        From frames the very numbers that :class:`RowSums` makes as they come.

    Raises
    ------
    InputError
        When a row has no frame near enough.
    """
    instants = np.asarray(frame_times, dtype=np.float64)
    _, n_layers, n_features = read(0, 1).shape
    sums = RowSums(instants, times, tr, n_layers, n_features, mass)
    needed = [at for at in range(len(instants)) if sums.needs(at, at + 1)]
    for first in range(0, len(needed), _BLOCK):
        block = np.asarray(needed[first : first + _BLOCK])
        for part in np.split(block, np.flatnonzero(np.diff(block) > 1) + 1):
            sums.add(int(part[0]), read(int(part[0]), int(part[-1]) + 1))
    return sums.finish()


class Spreading:
    """Brings frames to a coarser grid as they come; only nodes under way are in memory.

    Parameters
    ----------
    frame_times : array of shape (n_frames,)
        Seconds, increasing.
    step : float
        Seconds between two nodes.

    Attributes
    ----------
    times : float64 array of shape (n_nodes,)
        Seconds of the nodes.
    mass : float64 array of shape (n_nodes,)
        How many frames each stands for.
    """

    def __init__(self, frame_times: ArrayLike, step: float) -> None:
        self._weights, self.times = _spread_weights(np.asarray(frame_times, np.float64), step)
        self.mass = np.asarray(self._weights.sum(axis=1)).ravel()
        self._n_taken = self._n_given = 0
        self._open: NDArray[np.float64] | None = None

    def add(self, frames: Frames) -> Frames:
        """Take the next frames, (n_frames, n_layers, n_features); return the nodes now complete.

        The nodes come in their order, float32 (n_nodes, n_layers, n_features); maybe none.
        """
        taken = slice(self._n_taken, self._n_taken + len(frames))
        self._n_taken = taken.stop
        weights = self._weights[:, taken]
        given, stop = self._n_given, int(weights.indices.max()) + 1
        held = 0 if self._open is None else len(self._open)
        sums = np.zeros((stop - given, *frames.shape[1:]))
        if self._open is not None:
            sums[:held] = self._open
        dense = weights[given:stop].toarray()
        sums += np.tensordot(dense, frames.astype(np.float64), axes=1)
        n_done = self._first_open() - given
        self._n_given, self._open = given + n_done, sums[n_done:]
        return sums[:n_done].astype(np.float32)

    def _first_open(self) -> int:
        """Return the first node that a frame to come plays a part in."""
        if self._n_taken == self._weights.shape[1]:
            return len(self.times)
        return int(self._weights.indices[self._weights.indptr[self._n_taken]])


def _spread_weights(
    times: NDArray[np.float64], step: float
) -> tuple[sparse.csc_array, NDArray[np.float64]]:
    """Return each frame's part in the nodes, (n_nodes, n_frames), and the nodes' times."""
    places = times / step
    near = np.floor(places).astype(np.int64)
    offset = (places - near)[:, None]
    others = np.array([[other for other in _PLACES if other != one] for one in _PLACES])
    # Lagrange's polynomials of the six nodes, (n_frames, 6).
    values = np.prod((offset[:, :, None] - others) / (_PLACES[:, None] - others), axis=2)
    nodes = near[:, None] + _PLACES
    first = int(nodes.min())
    shape = (int(nodes.max()) - first + 1, len(times))
    columns = np.arange(len(times) + 1) * len(_PLACES)
    weights = sparse.csc_array((values.ravel(), (nodes - first).ravel(), columns), shape=shape)
    return weights, np.arange(first, first + shape[0], dtype=np.float64) * step


def in_blocks(pieces: Iterator[Frames], n_frames: int = _BLOCK) -> Iterator[Frames]:
    """Join small pieces of frames to larger ones, at least so many frames each but the last."""
    waiting: list[Frames] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= n_frames:
            yield np.concatenate(waiting)
            waiting.clear()
    if waiting:
        yield np.concatenate(waiting)
