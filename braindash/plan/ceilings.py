"""Which noise ceilings the data of a run allow, and what they are computed from."""

import logging
from dataclasses import dataclass

from braindash.errors import InputError
from braindash.io.manifest import Dataset
from braindash.io.responses import ResponseSource, repeats_shape
from braindash.io.responses import digest as digest_responses
from braindash.plan.stories import StoryPlan, native_reason, plan_story, story_difference
from braindash.requests import EncodeRequest
from braindash.specs import CeilingName, OtherResponses
from braindash.speech.files import ModelFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherSubject:
    """Another subject who heard the test stories, for the ceiling between subjects.

    Attributes
    ----------
    subject : str
        The other subject's id.
    responses : tuple of ResponseSource
        Their responses, one per test story.
    """

    subject: str
    responses: tuple[ResponseSource, ...]

    def as_input(self) -> OtherResponses:
        """Give the subject as they enter the encoding specification."""
        digests = tuple(digest_responses(source) for source in self.responses)
        return OtherResponses(subject=self.subject, responses=digests)


def possible_ceilings(
    test: tuple[StoryPlan, ...], others: tuple[OtherSubject, ...]
) -> tuple[CeilingName, ...]:
    """Name the ceilings that the data allow; the first is the default of every page."""
    if test[0].members:
        return ("split-half",)
    repeats = all(repeats_shape(story.responses) is not None for story in test)
    return (*(("repeats",) if repeats else ()), *(("inter-subject",) if others else ()))


def plan_others(
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
            theirs = () if reason else _stories_of(dataset, name, model, test)
            reason = reason or _difference(test, theirs)
        except InputError as problem:
            reason = problem.message
        if reason:
            left_out[name] = reason
            log.info("%s takes no part in the ceiling between subjects: %s", name, reason)
        else:
            others.append(OtherSubject(name, tuple(story.responses for story in theirs)))
    return tuple(others), left_out


def _stories_of(
    dataset: Dataset, subject: str, model: ModelFiles, test: tuple[StoryPlan, ...]
) -> tuple[StoryPlan, ...]:
    for story in test:
        missing = dataset.missing_responses(subject, story.name)
        if missing:
            raise InputError(missing, hint="Give the file, or go on without this subject.")
    strategy = test[0].extraction.strategy
    return tuple(plan_story(dataset, subject, strategy, model, story.name) for story in test)


def _difference(own: tuple[StoryPlan, ...], theirs: tuple[StoryPlan, ...]) -> str:
    found = (story_difference(one, other) for one, other in zip(own, theirs, strict=True))
    return next((difference for difference in found if difference), "")
