"""From a user's request to the specification of a tuning run, before any heavy work.

Planning reads headers and digests only and never imports torch. Of the test stories nothing is
read, unless their repeats are what chooses the targets.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from braindash.core.ceilings import ceiling_threshold
from braindash.errors import InputError, near_match
from braindash.io.dataset.manifest import Dataset, load_manifest
from braindash.io.dataset.responses import ResponseSource, repeats_shape
from braindash.io.dataset.responses import digest as digest_responses
from braindash.io.dataset.responses import shape as response_shape
from braindash.io.labels.tiers import story_tier
from braindash.io.recordings import require_countable
from braindash.io.regions.find import find_regions
from braindash.io.regions.masks import DISCS, Regions
from braindash.io.spaces.find import surface_for
from braindash.remembered.digests import digest_input
from braindash.requests import TuneRequest
from braindash.specs import CeilingName, TargetRule, TargetSettings, TunedStory, TuningSpec
from braindash.speech.checkpoints.locate import ModelFiles, absolute_source, locate
from braindash.stories import (
    StoryPlan,
    native_reason,
    plan_story,
    response_warnings,
    story_difference,
)
from braindash.tuning.controls import OF_WORDS, STAND_INS, Teacher, plan_teacher

logger = logging.getLogger(__name__)

# The ceiling behind each rule that has one.
CEILINGS: Mapping[TargetRule, CeilingName] = {
    "train-repeats": "repeats",
    "train-inter-subject": "inter-subject",
    "test-repeats": "repeats",
}
_RANDOM_INIT = "untrained:"


@dataclass(frozen=True)
class TargetPlan:
    """What chooses the targets of one subject.

    Attributes
    ----------
    settings : TargetSettings
        As it enters the specification.
    sources : tuple of ResponseSource
        The subject's responses that a ceiling is computed from; empty where none is.
    others : tuple of tuple of ResponseSource
        For the ceiling between subjects: the other subjects' responses to each of these.
    rows : tuple of slice
        The rows of each.
    """

    settings: TargetSettings
    sources: tuple[ResponseSource, ...] = ()
    others: tuple[tuple[ResponseSource, ...], ...] = ()
    rows: tuple[slice, ...] = ()


@dataclass(frozen=True)
class SubjectStories:
    """The stories of one subject.

    Attributes
    ----------
    subject : str
    train, validation : tuple of StoryPlan
    targets : TargetPlan
    """

    subject: str
    train: tuple[StoryPlan, ...]
    validation: tuple[StoryPlan, ...]
    targets: TargetPlan


@dataclass(frozen=True)
class TuningPlan:
    """Everything a tuning run needs.

    Attributes
    ----------
    request : TuneRequest
    dataset : Dataset
    model : ModelFiles
        The base; for the control "random-init" its untrained twin.
    subjects : tuple of SubjectStories
    test : tuple of str
        Names of the stories that are kept for the score.
    teacher : Teacher
        What gives the targets of a control that has none of the brain.
    spec : TuningSpec
        Names the result.
    warnings : tuple of str
        What is unusual in the data, or limits the result.
    """

    request: TuneRequest
    dataset: Dataset
    model: ModelFiles
    subjects: tuple[SubjectStories, ...]
    test: tuple[str, ...]
    teacher: Teacher
    spec: TuningSpec
    warnings: tuple[str, ...]

    @property
    def recordings_used(self) -> Mapping[str, Path]:
        """Audio files by story."""
        stories = [story for one in self.subjects for story in (*one.train, *one.validation)]
        return {story.name: story.audio for story in stories}

    @property
    def n_rows(self) -> int:
        """Rows of all training stories; a story that several subjects heard counts once."""
        return sum(story.n_rows for story in self.recordings)

    @property
    def recordings(self) -> tuple[StoryPlan, ...]:
        """One plan of every training story that is heard by itself."""
        heard = {story.extraction.key(): story for one in self.subjects for story in one.train}
        return tuple(heard.values())


def plan_tuning(request: TuneRequest) -> TuningPlan:
    """Check a request against the data and the model, and derive its specification.

    Raises
    ------
    InputError
        When manifest, subjects, stories and targets do not fit together.
    ModelError
        When the model cannot be found.
    """
    dataset = load_manifest(request.data).without(request.left_out)
    model = _base(request)
    teacher = plan_teacher(request, model)
    if teacher.model is not None and request.teacher is not None:
        place = absolute_source(request.teacher, teacher.model)
        request = request.model_copy(update={"teacher": place})
    planned = [_plan_subject(dataset, request, model, name) for name in request.subjects]
    if len(set(request.subjects)) < len(request.subjects):
        raise InputError("a subject is named twice", hint="Name every subject once.")
    _check_spaces(dataset, planned)
    _check_head(dataset, request)
    stand_in = STAND_INS.get(request.control)
    subjects = tuple(planned if stand_in is None else planned[:1])
    warnings = tuple(dict.fromkeys(_warnings(dataset, request, subjects)))
    for warning in warnings:
        logger.warning("%s", warning)
    names = tuple(one.subject for one in subjects)
    spec = TuningSpec(
        model=model.fingerprint,
        subjects=names if stand_in is None else (stand_in,),
        targets=tuple(one.targets.settings for one in subjects),
        train=_inputs(dataset, request, subjects, "train"),
        validation=_inputs(dataset, request, subjects, "validation"),
        standardise_responses=dataset.zscored == "none",
        control=request.control,
        text=teacher.text,
        teacher=None if teacher.model is None else teacher.model.fingerprint,
        teacher_layer=teacher.layer,
        settings=request.settings,
    )
    test = dataset.test_stories
    return TuningPlan(request, dataset, model, subjects, test, teacher, spec, warnings)


# The base and the control -----------------------------------------------------------------------


def _base(request: TuneRequest) -> ModelFiles:
    model = request.model
    if request.control == "random-init" and not model.lower().startswith(_RANDOM_INIT):
        model = f"{_RANDOM_INIT}{model}@{request.settings.seed}"
    files = locate(model, request.revision)
    if not files.is_speech:
        raise InputError(
            f"{model!r} is a feature space without a speech model: it has nothing to tune",
            hint="Give a speech model.",
        )
    if request.settings.adapter is not None and files.seed is not None:
        raise InputError(
            "adapters of a model with random weights cannot be stored without these",
            hint="Use method 'full' with the control 'random-init'.",
        )
    if request.settings.adapter is not None and files.base is not None:
        raise InputError(
            f"{files.name} is an adapter itself, which cannot be the base of another",
            hint="Use method 'full', or give the adapter's base.",
        )
    return files


# Stories ----------------------------------------------------------------------------------------


def _plan_subject(
    dataset: Dataset, request: TuneRequest, model: ModelFiles, subject: str
) -> SubjectStories:
    train, validation = _story_names(dataset, request, subject)
    require_countable({n: dataset.audio_path(n, subject) for n in (*train, *validation)})

    def planned(names: Sequence[str]) -> tuple[StoryPlan, ...]:
        return tuple(plan_story(dataset, subject, "chunk", model, name) for name in names)

    stories = planned(train), planned(validation)
    heard = {story.extraction.audio: story.name for story in stories[0]}
    for story in stories[1]:
        twin = heard.get(story.extraction.audio)
        if twin is not None:
            raise InputError(
                f"the validation story {story.name!r} is the same recording as the training "
                f"story {twin!r}",
                hint="Validate on a story that is not trained on.",
            )
    targets = _plan_targets(dataset, request, model, subject, stories[0] + stories[1])
    return SubjectStories(subject, *stories, targets)


def _story_names(
    dataset: Dataset, request: TuneRequest, subject: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the stories to train and to validate on, and refuse those that may not be."""
    split = dataset.split(subject)
    train, validation = (
        tuple(name for name in names if name not in dataset.left_out)
        for names in (request.train, request.validation)
    )
    # What another subject is tested on would be seen by the one model that all tune.
    tested = {*split.test, *dataset.test_stories}
    usable = tuple(name for name in split.train if name not in tested)
    train = train or usable
    validation = validation or split.valid or usable[-1:]
    if not request.train:
        train = tuple(name for name in train if name not in validation)
    own = dataset.stories(subject)
    for name in (*train, *validation):
        if name in tested:
            raise InputError(
                f"the test story {name!r} may be neither trained nor validated on",
                hint="A score on a story that was trained on means nothing; name others.",
            )
        if name not in own:
            raise InputError(
                f"{subject!r} has no responses to a story {name!r}", hint=near_match(name, own)
            )
    both = sorted(set(train) & set(validation))
    if both:
        raise InputError(
            f"the story {both[0]!r} would be trained on and validated on",
            hint="Validate on a story that is not trained on.",
        )
    if not train or not validation:
        raise InputError(
            f"{subject!r} has {len(usable)} training stories: tuning needs one to train on "
            "and one to validate on",
            hint="Name a validation story, or add training stories to the manifest.",
        )
    return train, validation


def _inputs(
    dataset: Dataset, request: TuneRequest, subjects: Sequence[SubjectStories], side: str
) -> tuple[TunedStory, ...]:
    found = []
    for one in subjects:
        for story in getattr(one, side):
            if request.control in OF_WORDS:
                tier = story_tier(dataset, story.name, "word")
                # Keys of a tier with a usual name are older than the choice of the tier.
                responses = digest_input(tier.path) if tier.usual else tier.digest
            elif request.control in STAND_INS:  # nothing but the sound is read
                responses = story.extraction.audio
            else:
                responses = digest_responses(story.responses)
            found.append(
                TunedStory(
                    name=story.name,
                    subject=STAND_INS.get(request.control, one.subject),
                    audio=story.extraction.audio,
                    counted=story.extraction.counted,
                    responses=responses,
                    times=story.extraction.times,
                    first_row=story.rows.start,
                )
            )
    return tuple(found)


def _check_spaces(dataset: Dataset, subjects: Sequence[SubjectStories]) -> None:
    """Refuse subjects of a common space whose responses differ in the number of targets."""
    if native_reason(dataset.space):
        return
    counts = {
        one.subject: {response_shape(s.responses)[1] for s in (*one.train, *one.validation)}
        for one in subjects
    }
    if len(set().union(*counts.values())) > 1:
        told = ", ".join(f"{name}: {sorted(found)}" for name, found in counts.items())
        raise InputError(
            f"the subjects are in different spaces: all are said to be in {dataset.space}, but "
            f"their numbers of targets differ ({told})",
            hint="Correct responses.space or the files; responses in each subject's own space are "
            "'native-volume' or 'native-surface'.",
        )


def _check_head(dataset: Dataset, request: TuneRequest) -> None:
    """Refuse a head that subjects share where their targets are no common ones."""
    reason = native_reason(dataset.space)
    if request.settings.head == "shared" and reason:
        raise InputError(
            f"the head 'shared' predicts the same targets of all subjects, but {reason}",
            hint="Give every subject a head (head 'subject'), with a bottleneck before them if "
            "they are to have something in common (head 'bottleneck').",
        )


# Targets ----------------------------------------------------------------------------------------


def _plan_targets(
    dataset: Dataset,
    request: TuneRequest,
    model: ModelFiles,
    subject: str,
    stories: tuple[StoryPlan, ...],
) -> TargetPlan:
    if request.control in STAND_INS:
        return TargetPlan(TargetSettings(rule="all"))
    wanted = request.targets
    if wanted == "regions" or (wanted == "auto" and request.regions):
        return _by_regions(dataset, request, subject, stories[0])
    if wanted == "all":
        return TargetPlan(TargetSettings(rule="all", limit=request.limit))
    rules: list[TargetRule] = list(CEILINGS) if wanted == "auto" else [wanted]
    reasons = []
    for rule in rules:
        plan, reason = _by_ceiling(dataset, request, model, subject, stories, rule)
        if plan is not None:
            return plan
        reasons.append(f"{rule}: {reason}")
    raise InputError(
        f"no noise ceiling can choose targets for {subject!r} ({'; '.join(reasons)})",
        hint="Choose targets by regions, or take all of them (targets 'all').",
    )


def target_masks(dataset: Dataset, region_set: str | None, subject: str, n_targets: int) -> Regions:
    """Find the regions that targets are chosen by; discs where no region set is named."""
    return find_regions(
        region_set or DISCS,
        dataset.space,
        n_targets,
        data=dataset,
        subject=subject,
        surface=surface_for(dataset, subject, n_targets),
    )


def _by_regions(
    dataset: Dataset, request: TuneRequest, subject: str, story: StoryPlan
) -> TargetPlan:
    found = target_masks(dataset, request.region_set, subject, response_shape(story.responses)[1])
    known = list(found.masks)
    unknown = [name for name in request.regions if name not in known]
    if unknown or not request.regions:
        what = f"there is no region {unknown[0]!r}" if unknown else "no region is named"
        raise InputError(
            f"{what} in the space {dataset.space} (region set {found.name})",
            hint=near_match(unknown[0] if unknown else "", known),
        )
    # The settings of discs on their own mesh are older than the choice of a set.
    named = found.name != DISCS or found.painted is not None
    return TargetPlan(
        TargetSettings(
            rule="regions",
            regions=request.regions,
            region_set=found.name if named else None,
            region_masks=found.digest if named else None,
            limit=request.limit,
        )
    )


def _by_ceiling(
    dataset: Dataset,
    request: TuneRequest,
    model: ModelFiles,
    subject: str,
    stories: tuple[StoryPlan, ...],
    rule: TargetRule,
) -> tuple[TargetPlan | None, str]:
    """Find what a ceiling can be computed from; else say why there is nothing."""
    others: tuple[tuple[ResponseSource, ...], ...] = ()
    if rule == "train-inter-subject":
        reason = native_reason(dataset.space)
        pairs = [] if reason else list(_shared_stories(dataset, model, subject, stories))
        chosen = [story for story, _ in pairs]
        others = tuple(found for _, found in pairs)
        reason = reason or "no other subject heard the same"
    else:
        if rule == "test-repeats":
            names = dataset.split(subject).test
            stories = tuple(plan_story(dataset, subject, "chunk", model, name) for name in names)
        chosen = [story for story in stories if repeats_shape(story.responses) is not None]
        reason = "no story was heard twice"
    if not chosen:
        return None, reason
    sources = [story.responses for story in chosen]
    read = [*sources, *(source for found in others for source in found)]
    threshold = request.threshold
    settings = TargetSettings(
        rule=rule,
        threshold=ceiling_threshold(CEILINGS[rule]) if threshold is None else threshold,
        chosen_from=tuple(digest_responses(source) for source in read),
        limit=request.limit,
    )
    rows = tuple(story.rows for story in chosen)
    return TargetPlan(settings, tuple(sources), others, rows), ""


def _shared_stories(
    dataset: Dataset, model: ModelFiles, subject: str, stories: tuple[StoryPlan, ...]
) -> Iterator[tuple[StoryPlan, tuple[ResponseSource, ...]]]:
    """Return the stories that others heard at the same rows, with their responses."""
    for story in stories:
        found = []
        for other in dataset.subjects:
            if other == subject or dataset.missing_responses(other, story.name):
                continue
            theirs = plan_story(dataset, other, "chunk", model, story.name)
            if not story_difference(story, theirs):
                found.append(theirs.responses)
        if found:
            yield story, tuple(found)


def _warnings(
    dataset: Dataset, request: TuneRequest, subjects: Sequence[SubjectStories]
) -> Iterator[str]:
    for one in subjects:
        split = dataset.split(one.subject)
        if not request.validation and not split.valid:
            yield (
                f"the manifest names no validation story: {one.validation[0].name!r}, the last "
                "training story, is kept for it"
            )
        if request.control not in STAND_INS:
            yield from response_warnings(one.train + one.validation)
        rule = one.targets.settings.rule
        if rule == "test-repeats":
            yield (
                f"the repeats of the test story choose the targets of {one.subject!r}: scores of "
                "these targets on it are selected on it. Repeats of a training story, other "
                "subjects in the same space, or regions would avoid that"
            )
        if rule == "all" and request.control not in STAND_INS:
            yield f"all targets of {one.subject!r} are tuned on, noise included"
