"""Subjects against each other: runs unlike everyone else's, and the noise ceiling between them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from braindash.checking.reading import Columns, StoryData
from braindash.checking.report import Finding
from braindash.core.ceilings import ceiling_beside_sum
from braindash.core.lag import Heard
from braindash.core.scores import unit_columns

_LEAST_SUBJECTS = 4
_LEAST_R = 0.2
_LEAST_SECONDS = 20
_LEAST_ROWS = 10


def peer_findings(heard: Mapping[str, Mapping[str, Heard]]) -> dict[str, list[Finding]]:
    """Correlate every subject's course with the mean of those who heard the same story.

    The courses are of the targets that follow the sound, so that spaces need not be shared; they
    are brought to whole seconds of the audio.

    Parameters
    ----------
    heard : mapping of str to mapping
        Subject -> story -> response course.

    Returns
    -------
    dict of str to list of Finding
        By subject: an outlier is a warning. Stories that fewer than four subjects heard are left
        out.
    """
    found: dict[str, list[Finding]] = {}
    stories = dict.fromkeys(story for courses in heard.values() for story in courses)
    for story in stories:
        rs = _correlations(
            {subject: courses[story] for subject, courses in heard.items() if story in courses}
        )
        usual = float(np.median([*rs.values()])) if rs else 0.0
        for subject, r in rs.items():
            if usual > _LEAST_R and r < 0.3 * usual:
                one = Finding(
                    "runs",
                    "warning",
                    f"the run of {story!r} is an outlier: r = {r:.2f} with the mean of the other "
                    f"{len(rs) - 1} subjects, {usual:.2f} for them",
                    "It may be another story, another onset or poor data: look at its lag.",
                    story,
                )
                found.setdefault(subject, []).append(one)
    return found


def _correlations(courses: Mapping[str, Heard]) -> dict[str, float]:
    if len(courses) < _LEAST_SUBJECTS:
        return {}
    first = max(float(one.times[0]) for one in courses.values())
    last = min(float(one.times[-1]) for one in courses.values())
    seconds = np.arange(np.ceil(first), np.floor(last) + 1)
    if len(seconds) < _LEAST_SECONDS:
        return {}
    rows = {subject: _at(one, seconds) for subject, one in courses.items()}
    total = np.sum([*rows.values()], axis=0)
    return {subject: float(np.mean(row * _unit(total - row))) for subject, row in rows.items()}


def _at(one: Heard, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(one.response)
    if known.sum() < 2:
        return np.zeros(len(seconds))
    return _unit(np.interp(seconds, one.times[known], one.response[known]))


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)


# ---- the ceiling between subjects ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SharedRows:
    """Responses of one subject to one story in targets that are read of everybody.

    Attributes
    ----------
    place : tuple
        Story, TR, audio time of the first row and number of targets: what subjects must have in
        common.
    values : array of shape (n_rows, n_shared), float32
        Rows that the audio covers.
    """

    place: tuple[str, float, float, int]
    values: NDArray[np.float32]


def shared_rows(one: StoryData, columns: Columns) -> SharedRows:
    """Take what the ceiling between subjects needs of a story."""
    check = one.check
    rows = slice(check.first_row, check.stop_row)
    first = round(float(one.times[min(check.first_row, len(one.times) - 1)]), 3)
    place = (check.story, round(one.tr, 5), first, columns.n_targets)
    return SharedRows(place, one.values[rows][:, columns.places(columns.shared)])


def peer_ceilings(
    rows: Mapping[str, Mapping[str, SharedRows]],
) -> dict[str, dict[str, tuple[NDArray[np.float64], int]]]:
    """Correlate every subject's targets with the mean of the others who heard the same story.

    Of each story one sum over everybody is made, from which a subject's own share is taken.

    Parameters
    ----------
    rows : mapping of str to mapping
        Subject -> story -> what was read.

    Returns
    -------
    dict of str to dict
        Subject -> story -> ceilings of the shared targets, and the number of others; nothing for
        stories that nobody else heard at the same times.
    """
    groups: dict[tuple[str, float, float, int], dict[str, NDArray[np.float32]]] = {}
    for subject, stories in rows.items():
        for one in stories.values():
            groups.setdefault(one.place, {})[subject] = one.values
    found: dict[str, dict[str, tuple[NDArray[np.float64], int]]] = {}
    for (story, *_), group in groups.items():
        n_rows = min(len(values) for values in group.values())
        if len(group) < 2 or n_rows < _LEAST_ROWS:
            continue
        total, counts = np.zeros((n_rows, next(iter(group.values())).shape[1])), 0
        for values in group.values():
            units = unit_columns(values[:n_rows])
            total += np.nan_to_num(units)
            counts = counts + np.isfinite(units[0])
        for subject, values in group.items():
            own = values[:n_rows]
            ceiling = ceiling_beside_sum(own, own, total, counts)
            found.setdefault(subject, {})[story] = (ceiling, len(group) - 1)
    return found
