"""Which other data choose the targets whose score is divided by the ceiling from repeats.

A ceiling that chooses by its own noise divides by it too, and makes even a perfect model look bad
where the signal is low. Every second presentation of the test stories, or training stories that
were presented again, choose without that.
"""

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.responses import repeats_shape
from braindash.requests import EncodeRequest
from braindash.specs import CeilingName
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.stories import StoryPlan, complete_rows, plan_story

LEAST_HALVED = 4
"""So many presentations give two halves that each have a ceiling."""


def plan_selecting(
    request: EncodeRequest,
    dataset: Dataset,
    members: tuple[str, ...],
    model: ModelFiles,
    stories: tuple[tuple[StoryPlan, ...], tuple[StoryPlan, ...]],
    ceilings: tuple[CeilingName, ...],
) -> tuple[StoryPlan, ...]:
    """Find the stories whose presentations choose the targets, refusing what cannot be.

    Parameters
    ----------
    request : EncodeRequest
        Says what chooses.
    dataset, members, model
        Of the plan.
    stories : pair of tuple of StoryPlan
        Training and test stories.
    ceilings : tuple of str
        That the data allow.

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
    train, test = stories
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
        plan_story(dataset, members[0], strategy, model, story.name, repeated=True)
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
