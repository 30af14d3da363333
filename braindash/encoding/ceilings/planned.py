"""Which noise ceilings the data of an encoding allow, and which data choose what they divide.

A ceiling that chooses by its own noise divides by it too, and makes even a perfect model look bad
where the signal is low. Every second presentation of the test stories, or training stories that
were presented again, choose without that.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.responses import digest as digest_responses
from braindash.io.dataset.responses import repeats_shape
from braindash.requests import EncodeRequest
from braindash.specs import CeilingName, OtherResponses
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.stories import (
    StoryPlan,
    complete_rows,
    native_reason,
    plan_story,
    story_difference,
)

logger = logging.getLogger(__name__)

LEAST_HALVED = 4
"""So many presentations give two halves that each have a ceiling."""


@dataclass(frozen=True)
class OtherSubject:
    """Another subject who heard the test stories, for the ceiling between subjects.

    Attributes
    ----------
    subject : str
        The other subject's id.
    stories : tuple of StoryPlan
        The test stories as they heard them.
    """

    subject: str
    stories: tuple[StoryPlan, ...]

    def as_input(self) -> OtherResponses:
        """Return the subject as they enter the encoding specification."""
        digests = tuple(digest_responses(story.responses) for story in self.stories)
        censored = tuple(story.censored for story in self.stories)
        return OtherResponses(
            subject=self.subject, responses=digests, censored=censored if any(censored) else ()
        )


@dataclass(frozen=True)
class CeilingPlan:
    """The noise ceilings of a run.

    Attributes
    ----------
    names : tuple of str
        All that the data allow; the first is the default of every page.
    given : Path, optional
        The file with a ceiling of every target that the manifest names.
    others : tuple of OtherSubject
        Subjects whose responses to the test stories can be compared target by target.
    left_out : mapping of str to str
        Every other subject that cannot, and why.
    selecting : tuple of StoryPlan
        Whose presentations choose the targets that the ceiling from repeats divides; empty where
        that ceiling itself does.
    """

    names: tuple[CeilingName, ...]
    given: Path | None
    others: tuple[OtherSubject, ...]
    left_out: Mapping[str, str]
    selecting: tuple[StoryPlan, ...] = ()


def plan_ceilings(
    dataset: Dataset,
    request: EncodeRequest,
    model: ModelFiles,
    train: tuple[StoryPlan, ...],
    test: tuple[StoryPlan, ...],
) -> CeilingPlan:
    """Find what the data allow.

    Raises
    ------
    InputError
        When the data that are asked to choose targets are not there.
    """
    others, left_out = _plan_others(dataset, request, model, test)
    given = None if test[0].members else dataset.noise_ceiling_path(request.subject)
    names = _possible(test, others, given)
    selecting = _plan_selecting(dataset, request, model, train, test, names)
    return CeilingPlan(names, given, others, left_out, selecting)


def _possible(
    test: tuple[StoryPlan, ...], others: tuple[OtherSubject, ...], given: Path | None
) -> tuple[CeilingName, ...]:
    """Name the ceilings that the data allow; the first is the default of every page."""
    if test[0].members:
        return ("split-half",)
    found: list[CeilingName] = [] if given is None else ["given"]
    if all(len(story.heard[0]) > 1 for story in test) and complete_rows(test) > 1:
        found.append("repeats")
    return (*found, *(("inter-subject",) if others else ()))


def thin_ceilings(test: tuple[StoryPlan, ...]) -> list[str]:
    """Say when a ceiling rests on few rows, because others lack a presentation or a subject."""
    if not any(story.censored for story in test):
        return []
    if not any(len(one) > 1 for story in test for one in (story.heard, *story.heard)):
        return []
    n_scored, n_whole = int(sum(story.scored.sum() for story in test)), complete_rows(test)
    if n_whole < 2:
        return [
            "no noise ceiling is computed: fewer than two rows have a number in two presentations"
        ]
    if n_whole < n_scored:
        return [
            f"the noise ceiling is computed from the {n_whole} of {n_scored} scored rows that no "
            "presentation lacks"
        ]
    return []


def _plan_selecting(
    dataset: Dataset,
    request: EncodeRequest,
    model: ModelFiles,
    train: tuple[StoryPlan, ...],
    test: tuple[StoryPlan, ...],
    ceilings: tuple[CeilingName, ...],
) -> tuple[StoryPlan, ...]:
    """Find the stories whose presentations choose the targets, refusing what cannot be.

    Returns
    -------
    tuple of StoryPlan
        Repeated training stories, with all their presentations; the test stories for "halves";
        empty where the ceiling itself chooses.

    Raises
    ------
    InputError
        Without a ceiling from repeats, with too few presentations for halves, or without a
        training story that was presented again.
    """
    chosen = request.ceiling_selection
    if chosen == "same":
        return ()
    if "repeats" not in ceilings:
        raise InputError(
            f"ceiling_selection is {chosen!r}, but there is no ceiling from repeats to divide by",
            hint="Leave ceiling_selection out: targets are chosen by the ceiling that divides.",
        )
    if chosen == "halves":
        fewest = min(sum(one.has_data for one in story.heard[0]) for story in test)
        if fewest < LEAST_HALVED:
            raise InputError(
                f"a test story has {fewest} presentations, and halves of them that each have a "
                f"ceiling need {LEAST_HALVED}",
                hint="Choose targets by 'training' or 'same', or by regions with a "
                "ceiling_threshold of 0.",
            )
        return test
    strategy = train[0].extraction.strategy
    found = tuple(
        plan_story(
            dataset,
            request.subject,
            strategy,
            model,
            story.name,
            repeated=True,
            context=request.context_seconds,
        )
        for story in train
        if repeats_shape(story.responses) is not None
    )
    if complete_rows(found) < 2:
        raise InputError(
            "no training story was presented more than once, so none has a ceiling that could "
            "choose targets",
            hint="Choose targets by 'halves' of the test story's presentations (four or more), by "
            "'same', or by regions with a ceiling_threshold of 0.",
        )
    return found


def _plan_others(
    dataset: Dataset, request: EncodeRequest, model: ModelFiles, test: tuple[StoryPlan, ...]
) -> tuple[tuple[OtherSubject, ...], dict[str, str]]:
    """Find the subjects whose test responses can stand beside this subject's, row by row.

    Returns
    -------
    others : tuple of OtherSubject
        Those who can; none for a mean of all subjects.
    left_out : dict of str to str
        Those who cannot, and why.
    """
    if test[0].members:
        return (), {}
    names = [name for name in dataset.subjects if name != request.subject]
    others: list[OtherSubject] = []
    left_out: dict[str, str] = {}
    for name in names:
        reason = native_reason(dataset.space)
        try:
            context = request.context_seconds
            theirs = () if reason else _stories_of(dataset, name, model, test, context)
            reason = reason or _difference(test, theirs)
        except InputError as error:
            reason = error.message
        if reason:
            left_out[name] = reason
            logger.info("%s takes no part in the ceiling between subjects: %s", name, reason)
        else:
            others.append(OtherSubject(name, theirs))
    return tuple(others), left_out


def _stories_of(
    dataset: Dataset,
    subject: str,
    model: ModelFiles,
    test: tuple[StoryPlan, ...],
    context: float | None,
) -> tuple[StoryPlan, ...]:
    for story in test:
        missing = dataset.missing_responses(subject, story.name)
        if missing:
            raise InputError(missing, hint="Give the file, or go on without this subject.")
    strategy = test[0].extraction.strategy
    return tuple(
        plan_story(dataset, subject, strategy, model, story.name, repeated=True, context=context)
        for story in test
    )


def _difference(own: tuple[StoryPlan, ...], theirs: tuple[StoryPlan, ...]) -> str:
    found = (story_difference(one, other) for one, other in zip(own, theirs, strict=True))
    return next((difference for difference in found if difference), "")
