"""From a user's request to specifications: what an encoding run needs, before any heavy work.

Planning reads headers and digests only and never imports torch, so the dashboard can do it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.drift import require_period
from braindash.core.held_out import choose_blocks, held_out_blocks
from braindash.core.ridge.settings import check_alphas
from braindash.core.statistics.blocks import block_layout
from braindash.core.timing import check_delays, rows_without_history, stretches
from braindash.defaults import LEAST_SCORED_ROWS
from braindash.encoding.ceilings.planned import CeilingPlan, plan_ceilings, thin_ceilings
from braindash.encoding.sounds.kept import require_keepable
from braindash.errors import InputError
from braindash.files import digest_bytes
from braindash.io.dataset.dataset import WITHIN_STORY
from braindash.io.dataset.manifest import Dataset, Split, SubjectCheck, check_subject, load_manifest
from braindash.io.dataset.responses import shape as response_shape
from braindash.io.regions.masks import WHOLE, named_masks
from braindash.io.spaces.find import SurfacePlan, plan_surface
from braindash.remembered.digests import digest_input
from braindash.requests import MEAN_SUBJECT, EncodeRequest
from braindash.specs import (
    EncodingSpec,
    LowLevelSettings,
    NullPanelSettings,
    Penalty,
    StatisticsSettings,
    StoredStrategy,
    WithinStory,
)
from braindash.speech.acoustic.spaces import ACOUSTIC
from braindash.speech.checkpoints.locate import (
    SHUFFLED,
    UNTRAINED,
    ModelFiles,
    locate,
    require_precision,
)
from braindash.speech.language.spaces import LANGUAGE
from braindash.stories import (
    StoryPlan,
    few_rows_warning,
    frames_of,
    plan_stories,
    plan_story,
    require_variation,
    response_warnings,
    row_pieces,
    unscored_warning,
    with_frames,
)

logger = logging.getLogger(__name__)

# 6 blocks have 720 orders: not enough for 1000 permutations, and few for a bootstrap.
_FEW_BLOCKS = 7


@dataclass(frozen=True)
class LowLevelPlan:
    """The low-level features beside a model's.

    Attributes
    ----------
    spaces : tuple of (ModelFiles, tuple of StoryPlan)
        Each acoustic space with its training stories, then its test stories, at the rows of the
        run.
    """

    spaces: tuple[tuple[ModelFiles, tuple[StoryPlan, ...]], ...]

    @property
    def stories(self) -> tuple[StoryPlan, ...]:
        """Stories of all spaces."""
        return tuple(story for _, stories in self.spaces for story in stories)

    @property
    def name(self) -> str:
        """Names of all spaces, joined by +."""
        return "+".join(files.name for files, _ in self.spaces)


@dataclass(frozen=True)
class NullPlan:
    """What is scored beside the model that cannot know the responses.

    Attributes
    ----------
    controls : tuple of (str, ModelFiles, tuple of StoryPlan)
        The model with shuffled and with random weights: name of the null, model, and training
        stories before test stories. None of an acoustic space.
    shift_seconds : float
        How far features are shifted in time.
    """

    controls: tuple[tuple[str, ModelFiles, tuple[StoryPlan, ...]], ...]
    shift_seconds: float

    @property
    def stories(self) -> tuple[StoryPlan, ...]:
        """Stories of all controls."""
        return tuple(story for _, _, stories in self.controls for story in stories)


@dataclass(frozen=True)
class EncodingPlan:
    """Everything an encoding run needs.

    Attributes
    ----------
    request : EncodeRequest
        What was asked for.
    dataset : Dataset
        The opened manifest.
    check : SubjectCheck
        What the check of the subject's files found; of the first one, for a mean of several.
    model : ModelFiles
        The located model.
    train, test : tuple of StoryPlan
        The stories.
    ceilings : CeilingPlan
        Which noise ceilings the data allow, and what chooses the targets that they divide.
    low_level : LowLevelPlan, optional
        Present when low-level features are to be weighed.
    spec : EncodingSpec
        Names the result.
    warnings : tuple of str
        What is unusual in the data, or limits the result.
    surface : SurfacePlan, optional
        How the targets come to a surface; it is kept beside the result.
    nulls : NullPlan, optional
        Present when nulls are to be scored.
    """

    request: EncodeRequest
    dataset: Dataset
    check: SubjectCheck
    model: ModelFiles
    train: tuple[StoryPlan, ...]
    test: tuple[StoryPlan, ...]
    ceilings: CeilingPlan
    low_level: LowLevelPlan | None
    spec: EncodingSpec
    warnings: tuple[str, ...]
    surface: SurfacePlan | None = None
    nulls: NullPlan | None = None

    @property
    def stories(self) -> tuple[StoryPlan, ...]:
        """Training stories, then test stories."""
        return self.train + self.test

    @property
    def recordings_used(self) -> Mapping[str, Path]:
        """Audio files by story."""
        return {story.name: story.audio for story in self.stories}

    @property
    def strategy(self) -> StoredStrategy:
        """How the model's features are made."""
        return self.train[0].extraction.strategy

    @property
    def ridge_options(self) -> dict[str, Any]:
        """Keyword arguments of every regression, as :class:`RidgeCV` takes them."""
        return {
            "alphas": self.spec.alphas,
            "delays": self.spec.delays,
            "folds": self.spec.folds,
            "metric": self.spec.metric,
            "intercept": self.spec.intercept,
            "device": self.request.device,
            "threads": self.request.threads,
        }

    @property
    def n_targets(self) -> int:
        """Columns of the responses."""
        return response_shape(self.test[0].responses)[1]

    @property
    def n_rows(self) -> tuple[int, int]:
        """Training rows and test rows."""
        return sum(story.n_rows for story in self.train), sum(story.n_rows for story in self.test)

    @property
    def pools(self) -> NDArray[np.int64] | None:
        """Which targets share a penalty, as the fit takes it."""
        return penalty_pools(self.spec.penalty, self.spec.space, self.n_targets)

    @property
    def extractions(self) -> tuple[tuple[ModelFiles, tuple[StoryPlan, ...]], ...]:
        """All features the run needs, model by model."""
        found = [(self.model, self.stories)]
        if self.low_level is not None:
            found += self.low_level.spaces
        controls = () if self.nulls is None else self.nulls.controls
        return (*found, *((files, stories) for _, files, stories in controls))


def plan_encoding(request: EncodeRequest) -> EncodingPlan:
    """Check a request against the data and the model, and derive its specification.

    Raises
    ------
    InputError
        When the manifest, the subject, the audio or the responses do not fit together.
    ModelError
        When the model cannot be found.
    """
    dataset = load_manifest(request.data).without(request.left_out)
    members = _members(dataset, request.subject)
    checks = [check_subject(dataset, name) for name in members]
    model = locate(request.model, request.revision, precision=request.precision)
    require_precision(model, request.device)
    strategy: StoredStrategy = request.strategy if model.is_speech else "frames"
    train, test = _plan_sides(dataset, members, strategy, model, request)
    within = _within(dataset, request, members, train)
    _require_settings(request, model, train + test, within)
    test = test if within is None else _in_blocks(test, within)
    heard = [*response_warnings(train + test), *unscored_warning(train + test)]
    _require_scored_rows(test)
    require_variation(train, test)
    framed = partial(with_frames, dataset, members[0], keep=request.keep_frames)
    train, test = framed(train), framed(test)
    low_level = _plan_low_level(dataset, request, members[0], model, train + test)
    nulls = _plan_nulls(dataset, request, members[0], model, train + test)
    surface = plan_surface(dataset, members[0], response_shape(test[0].responses)[1])
    ceilings = plan_ceilings(dataset, request, model, train, test)
    statistics, limits = _plan_statistics(request.statistics, test)
    warnings = _told(checks, [*heard, *_thin(train, test), *limits])
    spec = EncodingSpec(
        subject=request.subject,
        members=members if len(members) > 1 else (),
        space=dataset.space,
        train=tuple(story.as_input() for story in train),
        test=tuple(story.as_input() for story in test),
        score_from_row=tuple(story.score_from_row for story in test),
        standardise_responses=dataset.zscored == "none",
        delays=request.delays,
        alphas=request.alphas,
        metric=request.metric,
        intercept=request.intercept,
        within=within,
        penalty=request.penalty,
        pools=_pools_digest(request, dataset.space, test),
        history=request.history,
        high_pass=request.high_pass,
        ceilings=ceilings.names,
        given_ceiling=None if ceilings.given is None else digest_input(ceilings.given),
        ceiling_threshold=request.ceiling_threshold,
        ceiling_selection=request.ceiling_selection,
        other_subjects=tuple(other.as_input() for other in ceilings.others),
        statistics=statistics,
        low_level=_low_level_settings(request, low_level),
        null_panel=_null_settings(nulls),
    )
    return EncodingPlan(
        request,
        dataset,
        checks[0],
        model,
        train,
        test,
        ceilings,
        low_level,
        spec,
        warnings,
        surface,
        nulls,
    )


def _plan_sides(
    dataset: Dataset,
    members: tuple[str, ...],
    strategy: StoredStrategy,
    model: ModelFiles,
    request: EncodeRequest,
) -> tuple[tuple[StoryPlan, ...], tuple[StoryPlan, ...]]:
    """Plan the training stories and the test stories, with the rows that are used of them."""
    split, context = _split(dataset, members), request.context_seconds
    names = split.train
    if request.train_share is not None:
        names = share_of_stories(names, request.train_share, request.train_draw)
    of = (dataset, members, strategy, model)
    train = plan_stories(*of, names, repeated=False, context=context)
    test = plan_stories(*of, split.test, repeated=True, context=context)
    test = _scored_from(test, request.score_from_row)
    return _with_history(train, request), _with_history(test, request)


def share_of_stories(names: Sequence[str], share: float, draw: int) -> tuple[str, ...]:
    """Take a share of the training stories: the first ones of an order that is drawn.

    Shares of one draw are nested: the stories of a smaller one are among those of a larger one.

    Parameters
    ----------
    names : sequence of str
        All training stories.
    share : float
        Of their number, rounded up, so at least one.
    draw : int
        Seed of the order.

    Returns
    -------
    tuple of str
        In the order of ``names``.
    """
    order = np.random.default_rng(draw).permutation(len(names))
    count = int(np.ceil(share * len(names) - 1e-9))
    chosen = set(order[:count].tolist())
    return tuple(name for place, name in enumerate(names) if place in chosen)


def _thin(train: tuple[StoryPlan, ...], test: tuple[StoryPlan, ...]) -> list[str]:
    """Say what rests on few rows: the scores, or the ceilings."""
    return [*few_rows_warning(train, test), *thin_ceilings(test)]


def _told(checks: list[SubjectCheck], found: list[str]) -> tuple[str, ...]:
    """Return what the checks of the files and the plan warn of, and tell it."""
    checked = [warning for check in checks for warning in check.warnings]
    warnings = (*dict.fromkeys(checked), *found)
    for warning in warnings:
        logger.warning("%s", warning)
    return warnings


def _with_history(stories: tuple[StoryPlan, ...], request: EncodeRequest) -> tuple[StoryPlan, ...]:
    """Leave out the rows whose delays reach before their story, where that is asked for."""
    if request.history == "padded":
        return stories
    unheard = rows_without_history(request.delays)
    return tuple(replace(story, unheard=unheard) for story in stories)


def penalty_pools(penalty: Penalty, space: str, n_targets: int) -> NDArray[np.int64] | None:
    """Say which targets share a penalty, as :meth:`RidgeCV.fit` takes it; None: none do.

    Of regions that overlap the first one counts; targets of no region choose for themselves.

    Raises
    ------
    InputError
        Where no regions are known in the space.
    """
    if penalty == "target":
        return None
    if penalty == "shared":
        return np.zeros(n_targets, dtype=np.int64)
    masks = [mask for name, mask in named_masks(space, n_targets).items() if name != WHOLE]
    if not masks:
        raise InputError(
            f"no regions are known in the space {space!r}, so they cannot share a penalty",
            hint="Give penalty 'shared' (one for all targets) or 'target'.",
        )
    pools = np.full(n_targets, -1, dtype=np.int64)
    for number, mask in reversed(list(enumerate(masks))):
        pools[np.asarray(mask, dtype=bool)] = number
    return pools


def _pools_digest(request: EncodeRequest, space: str, test: tuple[StoryPlan, ...]) -> str | None:
    """Name the regions that share a penalty, refusing what cannot be; None for other rules."""
    if request.penalty == "target":
        return None
    if request.low_level == "banded":
        raise InputError(
            "banded ridge has penalties of its own for every target",
            hint="Leave out penalty, or weigh low-level features by 'residual'.",
        )
    if request.penalty == "shared":
        return None
    pools = penalty_pools(request.penalty, space, response_shape(test[0].responses)[1])
    assert pools is not None  # of regions
    return digest_bytes(pools.astype("<i8").tobytes())


def _scored_from(test: tuple[StoryPlan, ...], row: int | None) -> tuple[StoryPlan, ...]:
    """Score the test stories from a row on, where one is asked for."""
    if row is None:
        return test
    stories = tuple(replace(story, score_from_row=row) for story in test)
    for story in stories:
        if (left := int(story.scored.sum())) < LEAST_SCORED_ROWS:
            raise InputError(
                f"scored from row {row} on, the test story {story.name!r} has {left} rows left "
                f"of {story.n_rows}: a score needs {LEAST_SCORED_ROWS}",
                hint="Give an earlier score_from_row (a preset's own is 40), or a longer story.",
            )
    return stories


def _require_settings(
    request: EncodeRequest,
    model: ModelFiles,
    stories: tuple[StoryPlan, ...],
    within: WithinStory | None,
) -> None:
    """Refuse what no fit takes, a filter that leaves nothing, and weights that cannot be kept."""
    check_alphas(request.alphas)
    check_delays(request.delays)
    if request.high_pass is not None:
        for story in stories:
            require_period(request.high_pass, story.extraction.times.tr)
    if request.keep_weights is not None:
        require_keepable(request.keep_weights, model.n_layers, within=within is not None)
        if model.family in LANGUAGE:
            raise InputError(
                f"{model.name} is made of words, so its weights predict no sound",
                hint="Leave keep_weights out.",
            )
        if request.context_seconds is not None:
            raise InputError(
                "weights that predict any sound are of the usual context, and context_seconds is "
                f"{request.context_seconds:g}",
                hint="Leave keep_weights out, or context_seconds.",
            )


def _within(
    dataset: Dataset, request: EncodeRequest, members: tuple[str, ...], train: tuple[StoryPlan, ...]
) -> WithinStory | None:
    """Say how the one story of the subjects is split; None where stories train and others test."""
    schemes = {dataset.scheme(name) for name in members}
    if WITHIN_STORY not in schemes:
        return None
    if request.train_share is not None:
        raise InputError(
            f"{request.subject!r} is scored within one story, of which there is no share of "
            "training stories",
            hint="Leave train_share out, or use several stories.",
        )
    if len(schemes) > 1 or request.low_level is not None:
        what = "low-level features are weighed" if len(schemes) == 1 else "all are averaged"
        raise InputError(
            f"{what} across stories only, but {request.subject!r} is scored within one story",
            hint="Leave low_level out, name one subject, or use several stories.",
        )
    gap_rows = max(10, *(abs(delay) for delay in request.delays))
    (story,) = train
    return WithinStory(n_blocks=choose_blocks(story.kept, gap_rows, story.name), gap_rows=gap_rows)


def _in_blocks(test: tuple[StoryPlan, ...], within: WithinStory) -> tuple[StoryPlan, ...]:
    """Part the rows of test stories where another block is held out."""
    return tuple(
        replace(
            story,
            seams=tuple(one.start for one in held_out_blocks(story.n_rows, within.n_blocks)[1:]),
        )
        for story in test
    )


def _members(dataset: Dataset, subject: str) -> tuple[str, ...]:
    """Name the subjects whose responses are averaged: one, unless the mean is asked for."""
    if subject != MEAN_SUBJECT or subject in dataset.subjects:
        return (subject,)
    if len(dataset.subjects) < 2:
        raise InputError(
            f"{dataset.name} has {len(dataset.subjects)} subject(s): there is nothing to average",
            hint="Name the subject.",
        )
    return tuple(dataset.subjects)


def _split(dataset: Dataset, members: tuple[str, ...]) -> Split:
    """Return the stories to train on and to test, which all members must share."""
    splits = {name: dataset.split(name) for name in members}
    first = splits[members[0]]
    for name, split in splits.items():
        if (set(split.train), split.test) != (set(first.train), first.test):
            raise InputError(
                f"{members[0]!r} and {name!r} heard different stories, so they have no mean",
                hint="Name the stories that all subjects heard under [splits] train and test.",
            )
    return first


def _plan_low_level(
    dataset: Dataset,
    request: EncodeRequest,
    subject: str,
    model: ModelFiles,
    stories: tuple[StoryPlan, ...],
) -> LowLevelPlan | None:
    if request.low_level is None:
        return None
    names = [story.name for story in stories]
    asked = dict.fromkeys(part.strip() for part in request.low_level_space.split("+"))
    spaces = []
    for source in asked:
        if not source:
            raise InputError(
                f"{request.low_level_space!r} names no space beside a +",
                hint="Join names of acoustic spaces, such as 'acoustic:mfcc+acoustic:pitch'.",
            )
        space = locate(source)
        if space.family != ACOUSTIC or space.fingerprint == model.fingerprint:
            raise InputError(
                f"{source!r} cannot be taken out of {request.model!r} as its low level",
                hint="Give another acoustic space, such as 'acoustic:lowlevel' or "
                "'acoustic:logmel', or several joined by '+'.",
            )
        planned = (plan_story(dataset, subject, "frames", space, name) for name in names)
        spaces.append((space, tuple(planned)))
    return LowLevelPlan(tuple(spaces))


def _plan_nulls(
    dataset: Dataset,
    request: EncodeRequest,
    subject: str,
    model: ModelFiles,
    stories: tuple[StoryPlan, ...],
) -> NullPlan | None:
    """Find the model's controls: of a trained speech model those with other weights."""
    if not request.null_panel:
        return None
    shift = NullPanelSettings().shift_seconds
    if not model.is_speech or model.seed is not None:
        return NullPlan((), shift)
    controls = []
    for name, prefix in (("layer-shuffled", SHUFFLED), ("untrained", UNTRAINED)):
        source = f"{prefix}:{request.model}"
        files = locate(source, request.revision, precision=request.precision)
        planned = (_control(dataset, subject, files, story) for story in stories)
        controls.append((name, files, tuple(planned)))
    return NullPlan(tuple(controls), shift)


def _control(dataset: Dataset, subject: str, files: ModelFiles, story: StoryPlan) -> StoryPlan:
    """Plan a story for a control of the model; its frames are kept where the model's are."""
    strategy, context = story.extraction.strategy, story.extraction.context_seconds
    planned = plan_story(dataset, subject, strategy, files, story.name, context=context)
    return replace(planned, frames=None if story.frames is None else frames_of(planned.extraction))


def _null_settings(nulls: NullPlan | None) -> NullPanelSettings | None:
    if nulls is None:
        return None
    keys = tuple(story.extraction.key() for story in nulls.stories)
    return NullPanelSettings(shift_seconds=nulls.shift_seconds, features=keys)


def _low_level_settings(
    request: EncodeRequest, low_level: LowLevelPlan | None
) -> LowLevelSettings | None:
    if low_level is None or request.low_level is None:
        return None
    return LowLevelSettings(
        method=request.low_level,
        space=low_level.name,
        features=tuple(story.extraction.key() for story in low_level.stories),
    )


def _plan_statistics(
    settings: StatisticsSettings, test: tuple[StoryPlan, ...]
) -> tuple[StatisticsSettings, list[str]]:
    """Do without statistics that the scored rows are too few for, with a warning."""
    if not settings.n_permutations and not settings.n_bootstraps:
        return settings, []
    stories = row_pieces(test)
    kept, scored = (
        np.concatenate([getattr(story, which) for story in test]) for which in ("kept", "scored")
    )
    segments = stretches(stories, kept)[scored]
    try:
        layout = block_layout(len(segments), segments=segments, block_rows=settings.block_rows)
    except InputError as error:
        nothing = {"n_permutations": 0, "n_bootstraps": 0, "confidence": "share"}
        without = settings.model_copy(update=nothing)
        return without, [f"no significance and no intervals are computed: {error.message}"]
    n_blocks = len(layout.starts)
    if n_blocks >= _FEW_BLOCKS:
        return settings, []
    return settings, [
        f"the scored test rows make only {n_blocks} blocks of {layout.length} rows: p values and "
        "intervals are coarse"
    ]


logger = logging.getLogger(__name__)


def _require_scored_rows(test: tuple[StoryPlan, ...]) -> None:
    for story in test:
        if story.scored.sum() < LEAST_SCORED_ROWS:
            raise InputError(
                f"the test story {story.name!r} has {int(story.scored.sum())} rows to score, and "
                f"needs {LEAST_SCORED_ROWS}: the others are censored, or lie before score_from_row",
                hint="Give a lower score_from_row in [[runs]], or another test story.",
            )
