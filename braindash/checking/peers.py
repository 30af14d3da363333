"""Subjects against each other: a run that is unlike what everyone else did at the same sound."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from braindash.checking.report import Finding
from braindash.core.lag import Heard

_LEAST_SUBJECTS = 4
_LEAST_R = 0.2
_LEAST_SECONDS = 20


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
