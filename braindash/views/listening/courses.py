"""The measured and the predicted course of a vertex or a region, with r and its running part.

What is predicted for a sound that nobody measured has predicted courses alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.scores import region_means
from braindash.viewer.packing import pack

LEAST_ROWS = 10
"""Rows that a running r is of at least."""
_ROWS_AT_ONCE = 128

Floats = NDArray[np.floating]
Read = Callable[[slice], Floats]


@dataclass(frozen=True)
class Course:
    """What was measured and predicted somewhere, row by row.

    Attributes
    ----------
    title : str
        The place, for readers.
    colour : str
        Of its predictions, ``#rrggbb``.
    measured : array of shape (n_rows,) or None
        NaN in rows that were not scored; None where nothing was measured.
    predicted : array of shape (n_models, n_rows)
        Of each model at its shown layer.
    notes : sequence of str
        What else is to be said of it, such as how many targets it is the mean of.
    """

    title: str
    colour: str
    measured: Floats | None
    predicted: Floats
    notes: Sequence[str] = ()

    @property
    def running(self) -> Floats | None:
        """Correlation of each model up to each row, (n_models, n_rows); None without measured."""
        if self.measured is None:
            return None
        return np.stack([running_r(one, self.measured) for one in self.predicted])


def running_r(predicted: Floats, measured: Floats, least: int = LEAST_ROWS) -> Floats:
    """Correlate prediction and response over all scored rows up to each row.

    ``r_t = sum (p - mean p)(y - mean y) / sqrt(sum (p - mean p)^2 sum (y - mean y)^2)``, sums and
    means over the rows 0 to t that have both values.

    Parameters
    ----------
    predicted, measured : array of shape (n_rows,)
        NaN in rows that were not scored.
    least : int, default 10
        Rows that it takes.

    Returns
    -------
    float64 array of shape (n_rows,)
        NaN before there are ``least`` rows, and while either course is constant. A row that was
        not scored has the value of the row before it.
    """
    known = np.isfinite(predicted) & np.isfinite(measured)
    count = np.cumsum(known)
    if not known.any():
        return np.full(len(known), np.nan)
    # Around their means: sums of squares lose no digits to a common level.
    p, y = (
        np.where(known, one - one[known].mean(dtype=np.float64), 0.0).astype(np.float64)
        for one in (predicted, measured)
    )
    n = np.maximum(count, 1)
    p_sum, y_sum = np.cumsum(p), np.cumsum(y)
    both = np.cumsum(p * y) - p_sum * y_sum / n
    sizes = [np.cumsum(one * one) - total**2 / n for one, total in ((p, p_sum), (y, y_sum))]
    floor = [1e-12 * float(np.sum(one * one)) for one in (p, y)]
    usable = (count >= least) & (sizes[0] > floor[0]) & (sizes[1] > floor[1])
    product = np.sqrt(np.where(usable, sizes[0] * sizes[1], 1.0))
    return np.where(usable, np.clip(both / product, -1.0, 1.0), np.nan)


def region_courses(
    read: Read, n_rows: int, members: Mapping[str, NDArray[Any]], valid: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Average a series over the targets of every region, row by row.

    Parameters
    ----------
    read : callable
        Gives some rows, (n_rows, n_targets).
    n_rows : int
        Rows of the story.
    members : mapping of str to array of shape (n_targets,)
        Masks of the regions, or weights of the targets.
    valid : bool array of shape (n_targets,)
        Targets that have a score: the others enter neither mean.

    Returns
    -------
    dict of str to float64 array of shape (n_rows,)
        NaN in rows that were not scored, and of regions without a valid target.
    """
    parts: dict[str, list[Floats]] = {name: [] for name in members}
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        values = read(slice(start, min(start + _ROWS_AT_ONCE, n_rows)))
        table = region_means(values, members, valid=valid)
        for name, part in table.groupby("region", sort=False):
            parts[str(name)].append(part["value"].to_numpy(dtype=np.float64))
    return {name: np.concatenate(found) for name, found in parts.items()}


def course_blob(courses: Sequence[Course]) -> bytes:
    """Pack courses with their running r.

    Returns
    -------
    bytes
        float32 ``measured`` of shape (n_courses, n_rows), ``predicted`` and ``running`` of shape
        (n_courses, n_models, n_rows), under a header that lists ``title``, ``colour``, ``notes``
        and ``r`` of every model over the whole story; null where there is none. Without anything
        measured ``predicted`` stands alone.
    """
    running = [course.running for course in courses]
    listed = [
        {
            "title": course.title,
            "colour": course.colour,
            "notes": list(course.notes),
            "r": _last(last, len(course.predicted)),
        }
        for course, last in zip(courses, running, strict=True)
    ]
    arrays = {"predicted": np.stack([course.predicted for course in courses])}
    measured = [course.measured for course in courses if course.measured is not None]
    if measured:
        arrays["measured"] = np.stack(measured)
        arrays["running"] = np.stack([one for one in running if one is not None])
    return pack(
        {"courses": listed},
        {name: array.astype(np.float32) for name, array in arrays.items()},
    )


def _last(running: Floats | None, n_models: int) -> list[float | None]:
    """Return r over the whole story, of every model."""
    if running is None:
        return [None] * n_models
    return [_number(one[-1]) if one.size else None for one in running]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
