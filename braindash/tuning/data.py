"""Reads what a tuning run learns from: targets above the ceiling, responses, controls.

The test stories are not among it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from braindash.core.ceilings import inter_subject_ceiling, repeats_ceiling
from braindash.core.scores import constant_columns, zscore
from braindash.errors import InputError
from braindash.io.dataset.audio import load_audio
from braindash.io.dataset.censored import presentations
from braindash.io.dataset.responses import ResponseSource, load_repeats, load_responses
from braindash.progress import Progress
from braindash.specs import TuningControl
from braindash.stories import StoryPlan, rows_present
from braindash.tuning.controls import OF_HIDDEN_FRAMES, STAND_INS
from braindash.tuning.plan import (
    SubjectStories,
    TargetPlan,
    TuningPlan,
    target_masks,
)
from braindash.tuning.teachers import teacher_rows

if TYPE_CHECKING:
    from braindash.speech.training.stories import TuningStory

logger = logging.getLogger(__name__)

Rows = NDArray[np.float32]
# Blocks of a shuffled control: longer than BOLD remembers, and many per story.
_BLOCK_ROWS = 10


@dataclass(frozen=True, eq=False)
class TuningData:
    """What the trainer gets.

    Attributes
    ----------
    train, validation : tuple of TuningStory
    masks : mapping of str to bool array of shape (n_targets,)
        By subject: the targets that are tuned on; empty where the targets are no responses.
    """

    train: tuple["TuningStory", ...]
    validation: tuple["TuningStory", ...]
    masks: Mapping[str, NDArray[np.bool_]]


def load_tuning_data(plan: TuningPlan, progress: Progress) -> TuningData:
    """Read the stories of a plan; their audio is read when it is needed.

    Parameters
    ----------
    plan : TuningPlan
    progress : Progress
        Told of every subject.

    Returns
    -------
    TuningData

    Raises
    ------
    InputError
        When no target is left, or the control cannot be made of so few stories.
    """
    stand_in = STAND_INS.get(plan.request.control)
    if stand_in is not None:
        return _without_responses(plan, stand_in, progress)
    responses: dict[str, Callable[[StoryPlan], Rows]] = {}
    masks = {}
    for number, one in enumerate(plan.subjects):
        progress.advance(number, len(plan.subjects), f"choosing targets of {one.subject}")
        masks[one.subject] = choose_targets(plan, one)
    if plan.spec.settings.head == "shared":
        masks = _shared_targets(plan, masks)
    for one in plan.subjects:
        responses[one.subject] = partial(_read, plan, mask=masks[one.subject])
    sides = [
        _merged(
            [
                (one.subject, story, responses[one.subject](story))
                for one in plan.subjects
                for story in getattr(one, side)
            ]
        )
        for side in ("train", "validation")
    ]
    seed = plan.spec.settings.seed
    train = with_control(sides[0], plan.request.control, seed)
    # One story alone has no other whose responses it could take.
    few = plan.request.control == "other-story" and len(sides[1]) == 1
    checked = with_control(sides[1], "shuffled" if few else plan.request.control, seed + 1)
    return TuningData(tuple(train), tuple(checked), masks)


# Targets ----------------------------------------------------------------------------------------


def choose_targets(plan: TuningPlan, one: SubjectStories) -> NDArray[np.bool_]:
    """Find the targets of one subject: by the rule, and with finite, varying responses.

    Raises
    ------
    InputError
        When none is left.
    """
    usable = _usable(one)
    settings = one.targets.settings
    if settings.threshold is not None:
        ceiling = subject_ceiling(one.targets)
        chosen = usable & (ceiling > settings.threshold)
        highest = f"the highest is {np.nanmax(np.where(usable, ceiling, np.nan)):.3f}"
        why = f"a noise ceiling ({settings.rule}) above {settings.threshold:g}; {highest}"
    elif settings.rule == "regions":
        found = target_masks(plan.dataset, settings.region_set, one.subject, len(usable))
        masks = found.masks
        chosen = usable & np.any([masks[name] for name in settings.regions], axis=0)
        why = f"finite, varying responses in {', '.join(settings.regions)}"
    else:
        chosen, why = usable, "finite, varying responses"
    if not chosen.any():
        raise InputError(
            f"no target of {one.subject!r} has {why}",
            hint="Give a lower threshold, choose targets by regions, or check the responses.",
        )
    return _limited(chosen, settings.limit, plan.spec.settings.seed)


def _shared_targets(
    plan: TuningPlan, masks: Mapping[str, NDArray[np.bool_]]
) -> dict[str, NDArray[np.bool_]]:
    """Take for all subjects what any of them would have, where all have responses."""
    usable = np.all([_usable(one) for one in plan.subjects], axis=0)
    chosen = usable & np.any(list(masks.values()), axis=0)
    if not chosen.any():
        raise InputError(
            "no target that was chosen has finite, varying responses in all subjects",
            hint="Give a lower threshold, or heads of their own (head 'subject').",
        )
    limit = plan.subjects[0].targets.settings.limit
    shared = _limited(chosen, limit, plan.spec.settings.seed)
    return dict.fromkeys(masks, shared)


def _limited(chosen: NDArray[np.bool_], limit: int | None, seed: int) -> NDArray[np.bool_]:
    """Draw so many of the targets where there are more."""
    if limit is None or chosen.sum() <= limit:
        return chosen
    drawn = np.random.default_rng(seed).choice(np.flatnonzero(chosen), limit, replace=False)
    kept = np.zeros_like(chosen)
    kept[drawn] = True
    return kept


def subject_ceiling(targets: TargetPlan) -> NDArray[np.float64]:
    """Average a subject's noise ceiling over the stories it can be computed from, by their rows.

    Returns
    -------
    float64 array of shape (n_targets,)
        NaN counts as no ceiling at all.
    """
    ceilings, weights = [], []
    for number, source in enumerate(targets.sources):
        rows = targets.rows[number]
        if targets.others:
            kept = _present(source, rows, repeated=False)[0]
            heard = [load_responses(other)[rows][kept] for other in targets.others[number]]
            has = [
                _present(other, rows, repeated=False)[0][kept] for other in targets.others[number]
            ]
            own = load_responses(source)[rows][kept]
            ceiling = inter_subject_ceiling(own, np.stack(heard), np.stack(has))
        else:
            repeats = load_repeats(source)
            assert repeats is not None  # planned
            marks = _present(source, rows, repeated=True)
            marks, repeats = marks[marks.any(axis=1)], repeats[marks.any(axis=1)]
            ceiling = repeats_ceiling(repeats[:, rows][:, marks.all(axis=0)])
        ceilings.append(np.nan_to_num(ceiling))
        weights.append(rows.stop - rows.start)
    return np.asarray(np.average(ceilings, axis=0, weights=weights))


def _present(source: ResponseSource, rows: slice, *, repeated: bool) -> NDArray[np.bool_]:
    """Mark the rows of every presentation that are not censored, (n_presentations, n_rows)."""
    return np.stack(
        [rows_present(one, rows) for one in presentations(source, rows, repeated=repeated)]
    )


def _usable(one: SubjectStories) -> NDArray[np.bool_]:
    """Mark the targets that are finite and vary in every story."""
    found: NDArray[np.bool_] | None = None
    for story in one.train + one.validation:
        values = load_responses(story.responses)[story.rows][story.kept]
        good = np.isfinite(values).all(axis=0) & ~constant_columns(values)
        if found is not None and len(found) != len(good):
            raise InputError(
                f"{one.subject!r} has {len(good)} targets in {story.name!r} and {len(found)} "
                "elsewhere",
                hint="All responses of a subject must have the same targets.",
            )
        found = good if found is None else found & good
    assert found is not None  # there is a story
    return found


def _read(plan: TuningPlan, story: StoryPlan, mask: NDArray[np.bool_]) -> Rows:
    values = load_responses(story.responses)[story.rows][:, mask]
    kept = values[story.kept]
    made = np.zeros(values.shape, dtype=np.float32)  # and 0 in censored rows
    # What was standardised over a whole run is left as it is.
    made[story.kept] = zscore(kept) if plan.spec.standardise_responses else kept
    return made


def _merged(parts: Sequence[tuple[str, StoryPlan, Rows]]) -> list["TuningStory"]:
    """Make one story of what several subjects heard at the same times."""
    from braindash.speech.training.stories import TuningStory

    together: dict[str, list[tuple[str, StoryPlan, Rows]]] = {}
    for part in parts:
        together.setdefault(part[1].extraction.key(), []).append(part)
    names = [group[0][1].name for group in together.values()]
    stories = []
    for group in together.values():
        _, story, _ = group[0]
        name = story.name
        if names.count(name) > 1:  # the same story at other times, or of another recording
            name = f"{name} ({', '.join(subject for subject, _, _ in group)})"
        responses = {subject: values for subject, _, values in group}
        censored = {subject: ~own.kept for subject, own, _ in group if not own.kept.all()}
        audio = partial(load_audio, story.audio)
        stories.append(TuningStory(name, audio, story.times, responses, censored))
    return stories


# Controls ---------------------------------------------------------------------------------------


def with_control(
    stories: Sequence["TuningStory"], control: TuningControl, seed: int
) -> list["TuningStory"]:
    """Take the relation between sound and responses away, if asked.

    Parameters
    ----------
    stories : sequence of TuningStory
    control : {"none", "random-init", "joint", "shuffled", "other-story"}
        "shuffled": blocks of 10 rows are put in another order, none stays where it was, the same
        for all targets and subjects of a story. "other-story": every story takes the responses of
        another one, cut to the shorter of the two.
    seed : int

    Returns
    -------
    list of TuningStory

    Raises
    ------
    InputError
        When a story is too short, or alone.
    """
    if control == "shuffled":
        return [_shuffled(story, [seed, number]) for number, story in enumerate(stories)]
    if control == "other-story":
        return _exchanged(stories, seed)
    return list(stories)


def _shuffled(story: "TuningStory", seed: list[int]) -> "TuningStory":
    from braindash.speech.training.stories import TuningStory

    n_rows = len(story.times)
    blocks = np.array_split(np.arange(n_rows), max(1, n_rows // _BLOCK_ROWS))
    if len(blocks) < 2:
        raise InputError(
            f"the story {story.name!r} has {n_rows} rows: too few blocks of {_BLOCK_ROWS} to "
            "shuffle",
            hint="Leave it out of the control, or use the control 'other-story'.",
        )
    order = np.concatenate([blocks[place] for place in _other_places(len(blocks), seed)])
    mixed = {subject: values[order] for subject, values in story.responses.items()}
    censored = {subject: rows[order] for subject, rows in story.censored.items()}
    return TuningStory(story.name, story.audio, story.times, mixed, censored)


def _exchanged(stories: Sequence["TuningStory"], seed: int) -> list["TuningStory"]:
    from braindash.speech.training.stories import TuningStory

    if len(stories) < 2:
        raise InputError(
            "the control 'other-story' needs at least two training stories",
            hint="Add a story, or use the control 'shuffled'.",
        )
    made = []
    for story, place in zip(stories, _other_places(len(stories), [seed]), strict=True):
        donor = stories[place]
        n_rows = min(len(story.times), len(donor.times))
        taken = {
            subject: donor.responses[subject][:n_rows]
            for subject in story.responses
            if subject in donor.responses
        }
        censored = {s: rows[:n_rows] for s, rows in donor.censored.items() if s in taken}
        made.append(TuningStory(story.name, story.audio, story.times[:n_rows], taken, censored))
    return made


def _other_places(count: int, seed: list[int]) -> NDArray[np.intp]:
    """Draw an order of which one cycle goes through all: nothing stays (Sattolo 1986)."""
    rng = np.random.default_rng(seed)
    places = np.arange(count)
    for last in range(count - 1, 0, -1):
        other = rng.integers(last)
        places[last], places[other] = places[other], places[last]
    return places


# Targets of no brain ---------------------------------------------------------------------------


def _without_responses(plan: TuningPlan, stand_in: str, progress: Progress) -> TuningData:
    """Take the stories with what stands in for responses, or with nothing but the sound."""
    from braindash.speech.training.stories import TuningStory

    one = plan.subjects[0]
    stories = one.train + one.validation
    if plan.request.control in OF_HIDDEN_FRAMES:
        targets: list[dict[str, Rows]] = [{} for _ in stories]
    else:
        targets = [{stand_in: rows} for rows in teacher_rows(plan, stories, progress)]
    made = [
        TuningStory(story.name, partial(load_audio, story.audio), story.times, rows)
        for story, rows in zip(stories, targets, strict=True)
    ]
    n_train = len(one.train)
    return TuningData(tuple(made[:n_train]), tuple(made[n_train:]), {})
