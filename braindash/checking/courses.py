"""Which targets are asked how late they follow the sound, and what they say together.

In this order: the auditory region, where the data's labels have one; the most reliable targets,
where a story was repeated; those that fit the sound best. The last are chosen on other stories, or
on the other half of a single one, than those whose lag they tell, so that choosing invents none.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from braindash.checking.reading import Columns, StoryData
from braindash.core.lag import (
    Heard,
    LagCurve,
    lag_curve,
    loudness_course,
    mean_course,
    pooled,
    target_curves,
    without_trend,
)

logger = logging.getLogger(__name__)

SHARE = 0.01
LEAST_TARGETS = 20


@dataclass(frozen=True, eq=False)
class Choice:
    """Response courses of a subject's stories, of one choice of targets.

    Attributes
    ----------
    name : str
        Which targets, in words.
    n_targets : int
        How many.
    heard : dict of str to Heard
        Every story's course beside its own sound.
    other : callable
        Story, another sound -> its course beside that sound.
    """

    name: str
    n_targets: int
    heard: dict[str, Heard]
    other: Callable[[str, NDArray[np.float64]], Heard]

    def curves(self) -> dict[str, LagCurve]:
        """Scan every story."""
        return {story: lag_curve(one) for story, one in self.heard.items()}


def is_found(curves: Mapping[str, LagCurve]) -> bool:
    """Say whether some story, or all together, follow the sound clearly."""
    enough = np.log(max(1, len(curves)))
    return pooled([*curves.values()]).peak().is_clear or any(
        one.peak().is_clear and one.peak().evidence > 8.0 + enough for one in curves.values()
    )


def choices(
    stories: Mapping[str, StoryData],
    columns: Columns,
    ceiling: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> Iterator[Choice]:
    """Make the choices of targets that these data allow, the best one first.

    Parameters
    ----------
    stories : mapping of str to StoryData
        At least one.
    columns : Columns
        Which targets their values are of.
    ceiling : tuple of array, optional
        Noise ceilings, and the targets that they are of.
    """
    if len(columns.region):
        places = columns.places(columns.region)
        name = f"the auditory region ({columns.region_name})"
        yield _weighted(name, stories, places, np.ones(len(places)))
    if ceiling is not None and np.nanmax(np.append(ceiling[0], 0.0)) > 0:
        yield _reliable(stories, columns, *ceiling)
    yield BestFitting(stories, columns).choice()


def _weighted(
    name: str, stories: Mapping[str, StoryData], places: NDArray[np.int64], weights: np.ndarray
) -> Choice:
    """Average the same targets in every story."""
    made = {story: heard_by(one, _course(one, places, weights)) for story, one in stories.items()}

    def other(story: str, sound: NDArray[np.float64]) -> Heard:
        return _beside(made[story], sound)

    return Choice(name, len(places), made, other)


def _reliable(
    stories: Mapping[str, StoryData],
    columns: Columns,
    ceiling: NDArray[np.float64],
    targets: NDArray[np.int64],
) -> Choice:
    among = np.isin(targets, columns.read)
    values, those = np.nan_to_num(ceiling[among]), targets[among]
    count = _count(len(those))
    best = np.sort(np.argsort(-values, kind="stable")[:count])
    name = f"the {_share(count, len(those))} most reliable targets (noise ceiling)"
    return _weighted(name, stories, columns.places(those[best]), values[best])


class BestFitting:
    """The targets that fit the sound best, never chosen where their lag is read.

    Parameters
    ----------
    stories : mapping of str to StoryData
        At least one.
    columns : Columns
        Which targets their values are of.
    """

    def __init__(self, stories: Mapping[str, StoryData], columns: Columns) -> None:
        self._stories = stories
        self._places = columns.places(columns.sample)
        self._count = _count(len(self._places))

    def choice(self) -> Choice:
        """Choose on the other stories; of a single one, on its other half."""
        name = f"the {_share(self._count, len(self._places))} best fitting targets"
        if len(self._stories) == 1:
            ((story, one),) = self._stories.items()
            heard = {story: self.beside(story, _sound(one))}
            name = f"{name}, chosen on the other half of the story"
        else:
            heard = self._by_other_stories()
            name = f"{name}, chosen on the other stories"
        return Choice(name, self._count, heard, self.beside)

    def beside(self, story: str, sound: NDArray[np.float64]) -> Heard:
        """Put a story beside a sound: targets are chosen on the other half of the story."""
        one = self._stories[story]
        values = without_trend(one.values[:, self._places], one.tr)
        return halves_course(one.times, values, one.volume_zero, sound, self._count)

    def _by_other_stories(self) -> dict[str, Heard]:
        curves = {}
        for story, one in self._stories.items():
            values = without_trend(one.values[:, self._places], one.tr)
            heard = heard_by(one, np.zeros(len(values)))
            curves[story] = target_curves(heard, values)
        total = np.sum([*curves.values()], axis=0)
        made = {}
        for story, one in self._stories.items():
            fit = (total - curves[story]).max(axis=0) / (len(curves) - 1)
            best, weights = _best(fit, self._count)
            made[story] = heard_by(one, _course(one, self._places[best], weights))
        return made


def halves_course(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    volume_zero: float,
    sound: NDArray[np.float64],
    count: int,
) -> Heard:
    """Average the targets that fit a sound best, each half of the rows by the choice of the other.

    Parameters
    ----------
    times : array of shape (n_rows,)
        Audio times.
    values : array of shape (n_rows, n_targets)
        Of ``without_trend``.
    volume_zero : float
        Audio time of the first volume.
    sound : array
        Of ``loudness_course``.
    count : int
        How many targets.
    """
    middle = len(times) // 2
    parts = slice(None, middle), slice(middle, None)
    course = np.full(len(times), np.nan)
    for here, there in (parts, parts[::-1]):
        seen = Heard(sound, times[there], np.zeros(len(times[there])), volume_zero)
        best, weights = _best(target_curves(seen, values[there]).max(axis=0), count)
        mean = values[here][:, best] @ weights
        deviation = np.nanstd(mean) if np.isfinite(mean).any() else 0.0
        course[here] = (mean - np.nanmean(mean)) / deviation if deviation > 0 else mean
    return Heard(sound, times, course, volume_zero)


def heard_by(one: StoryData, response: NDArray[np.float64]) -> Heard:
    """Put a response course beside the story's own sound."""
    return Heard(_sound(one), one.times, response, one.volume_zero)


def _sound(one: StoryData) -> NDArray[np.float64]:
    return loudness_course(one.rms, one.tr)


def _beside(heard: Heard, sound: NDArray[np.float64]) -> Heard:
    return Heard(sound, heard.times, heard.response, heard.volume_zero)


def _course(
    one: StoryData, places: NDArray[np.int64], weights: Sequence[float] | np.ndarray
) -> NDArray[np.float64]:
    return mean_course(one.values[:, places], one.tr, weights)


def _best(fit: np.ndarray, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best fitting targets, and how much each counts."""
    best = np.argsort(-fit, kind="stable")[:count]
    weights = np.maximum(fit[best].astype(np.float64), 0.0) ** 2
    return best, weights if weights.any() else np.ones(len(best))


def _count(n_targets: int) -> int:
    return min(n_targets, max(LEAST_TARGETS, round(SHARE * n_targets)))


def _share(count: int, n_targets: int) -> str:
    return f"{count} ({count / max(1, n_targets):.1%})"
