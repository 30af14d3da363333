"""Models that a study tunes: their requests, stories of so many hours, and where they lie."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from braindash.errors import InputError, StoreError
from braindash.io.store import Store
from braindash.requests import TuneRequest, build_tune_request
from braindash.stories import StoryPlan
from braindash.studies.models import TuneTable, Variant
from braindash.tuning.plan import TuningPlan, plan_tuning
from braindash.tuning.result import TuningResult

HOUR = 3600.0  # seconds
# Of what is asked beyond what there is: hours that a user writes are rounded.
_SLACK = 1.02


def tune_request(
    table: TuneTable,
    one: Variant,
    given: Mapping[str, Any],
    placed: Callable[[str, Any], Any],
) -> TuneRequest:
    """Make the request of a model, of all training stories.

    Parameters
    ----------
    table : TuneTable
    one : Variant
        One of the table's.
    given : mapping
        ``data``, ``model`` and ``revision``.
    placed : callable
        Field, value -> the value with its path as it is to be read.

    Raises
    ------
    InputError
        A setting is out of range.
    """
    fields = {name: placed(name, value) for name, value in table.fields(one).items()}
    return build_tune_request(**given, **fields)


def with_hours(table: TuneTable, one: Variant, request: TuneRequest) -> TuneRequest:
    """Take as many of the training stories as come nearest to the hours that are asked for.

    They are the first ones of an order that is drawn (``draw``), so that fewer hours lie in more.
    Validation stays what it is with all stories. Of several subjects those stories count that all
    of them heard, by their length in the first one.

    Raises
    ------
    InputError
        There are fewer hours, or the subjects have no story in common.
    """
    if one.hours == "all":
        return request
    plan = plan_tuning(request)
    first = plan.subjects[0]
    shared = set.intersection(*({s.name for s in each.train} for each in plan.subjects))
    stories = [story for story in first.train if story.name in shared]
    lengths = [story_hours(story) for story in stories]
    told = f"[[tune]] {table.name!r}: hours = {one.hours:g}"
    if not stories:
        raise InputError(
            f"{told}, but {', '.join(one.subjects)} have no training story in common",
            hint='Tune on each subject, or on "all" hours.',
        )
    if one.hours > sum(lengths) * _SLACK:
        raise InputError(
            f"{told}, but {first.subject} has {sum(lengths):.3g} hours in "
            f"{len(stories)} training stories",
            hint=f'Give at most {sum(lengths):.3g}, or "all".',
        )
    chosen = first_hours(lengths, one.hours, table.draw)
    train = tuple(story.name for place, story in enumerate(stories) if place in chosen)
    kept = {s.name: None for each in plan.subjects for s in each.validation}
    return request.model_copy(update={"train": train, "validation": tuple(kept)})


def first_hours(lengths: Sequence[float], hours: float, draw: int) -> set[int]:
    """Choose stories: the first ones of a drawn order whose length together is nearest.

    Parameters
    ----------
    lengths : sequence of float
        Hours of each story.
    hours : float
        That are asked for; at least one story is chosen.
    draw : int
        Seed of the order.
    """
    order = np.random.default_rng(draw).permutation(len(lengths))
    gaps = np.abs(np.cumsum(np.asarray(lengths)[order]) - hours)
    return set(order[: int(np.argmin(gaps)) + 1].tolist())


def story_hours(story: StoryPlan) -> float:
    """Return the hours of responses to a story that are learnt from."""
    times = story.extraction.times
    return times.n_rows * times.tr / HOUR


def tuned_folder(plan: TuningPlan, store: Store) -> Path | None:
    """Return the folder of a model that is tuned already; None where it is not, or is gone."""
    entry = store.get_or_none("tuning", plan.spec.key())
    try:
        return None if entry is None else TuningResult.load(entry, store).folder
    except StoreError:
        return None
