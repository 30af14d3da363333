"""From a user's request to a specification: what probing needs, before any heavy work.

Like :mod:`braindash.encoding.plan`, it never imports torch, so the dashboard can do it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from braindash.core.probes.labels import ProbeTask, code_task
from braindash.defaults import PRESETS, ProbePresetName
from braindash.errors import BraindashError, InputError, near_match
from braindash.files import digest_json
from braindash.io.dataset.manifest import load_manifest
from braindash.io.labels.sources import read_labels
from braindash.io.labels.stories import read_story_labels, select_recordings
from braindash.io.labels.table import Labels
from braindash.io.labels.words import read_word_categories, read_word_vectors
from braindash.names import given_path
from braindash.probing.questions import Question, WordTables, ask, divide
from braindash.probing.tasks import FRAME, PROBE_TASKS, WORD, TaskInfo, find_task, possible_tasks
from braindash.probing.units import RecordingGroup, Units, group_recordings, plan_units, unit_groups
from braindash.requests import ProbeRequest
from braindash.specs import (
    ProbeMethod,
    ProbeTaskSpec,
    ProbingSpec,
    StoredStrategy,
    UnitFeaturesSpec,
    UnitsSpec,
)
from braindash.speech.acoustic.spaces import ACOUSTIC, SPECTRUM
from braindash.speech.checkpoints.locate import ModelFiles, locate, require_precision
from braindash.speech.windows import (
    CHUNK_STEP_SECONDS,
    EXACT_STEP_SECONDS,
    context_seconds,
    n_parameters,
)

logger = logging.getLogger(__name__)

_FEW_FRAMES = (
    "exact features have one frame in 0.1 s: units between two frames take the nearest one"
)

# Tells silence: units whose energy is as low as rounding's.
SOUND_SPACE = "acoustic:energy"
_STEP_SECONDS: dict[StoredStrategy, float] = {
    "exact": EXACT_STEP_SECONDS,
    "chunk": CHUNK_STEP_SECONDS,
    "frames": SPECTRUM.hop_seconds,
}


@dataclass(frozen=True)
class UnitFeatures:
    """Features of the units of one kind in one group of recordings, from one model.

    Attributes
    ----------
    model : ModelFiles
        A speech model or an acoustic space.
    group : RecordingGroup
        The recordings.
    units : Units
        All units of the kind.
    spec : UnitFeaturesSpec
        Names them.
    """

    model: ModelFiles
    group: RecordingGroup
    units: Units
    spec: UnitFeaturesSpec

    @cached_property
    def key(self) -> str:
        """Key in the store."""
        return self.spec.key()


@dataclass(frozen=True)
class ProbingPlan:
    """Everything a probing run needs.

    Attributes
    ----------
    request : ProbeRequest
        What was asked for.
    data_name, simulated : str, bool
        The recordings, and whether they were made up.
    labels : Labels
        Their segments.
    model : ModelFiles
        The located model.
    groups : tuple of RecordingGroup
        All recordings.
    questions : tuple of Question
        The tasks, from acoustic to semantic.
    spec : ProbingSpec
        Names the result.
    warnings : tuple of str
        What is unusual in the data, or limits the result.
    """

    request: ProbeRequest
    data_name: str
    simulated: bool
    labels: Labels
    model: ModelFiles
    groups: tuple[RecordingGroup, ...]
    questions: tuple[Question, ...]
    spec: ProbingSpec
    warnings: tuple[str, ...]

    @property
    def manifest_text(self) -> str | None:
        """What stands in the manifest; None where labels are from elsewhere."""
        return None if self.request.data is None else load_manifest(self.request.data).text

    @property
    def recordings_used(self) -> Mapping[str, Path]:
        """Audio files by recording, of those that have units."""
        names = {name for one in self.units for name in one.table["recording"].unique()}
        pairs = self.labels.recordings[["recording", "path"]].itertuples(index=False)
        return {str(name): Path(path) for name, path in pairs if name in names}

    @property
    def units(self) -> tuple[Units, ...]:
        """Units of every kind that is asked about."""
        return tuple({question.units.name: question.units for question in self.questions}.values())

    @property
    def strategy(self) -> StoredStrategy:
        """How the model's features are made."""
        return self.request.strategy if self.model.is_speech else "frames"

    def features(self, model: ModelFiles, units: Units) -> tuple[UnitFeatures, ...]:
        """Name the features of units of one kind, group by group."""
        place = model.fingerprint, units.name
        if place not in self._named:
            self._named[place] = features_of(model, self.strategy, units, self.groups)
        return self._named[place]

    @cached_property
    def _named(self) -> dict[tuple[str, str], tuple[UnitFeatures, ...]]:
        return {}

    @cached_property
    def extractions(self) -> tuple[UnitFeatures, ...]:
        """All features the run needs, of the model and of the sound."""
        found = [one for units in self.units for one in self.features(self.model, units)]
        sound = locate(SOUND_SPACE)
        found += [one for units in self.units for one in self.features(sound, units)]
        for question in self.questions:
            if question.info.space is not None:
                found += self.features(locate(question.info.space), question.units)
        return tuple({one.key: one for one in found}.values())

    @cached_property
    def passes(self) -> tuple[tuple[UnitFeatures, ...], ...]:
        """What one run of a model over the same recordings gives, model by model."""

        def place(one: UnitFeatures) -> tuple[str, tuple[str, ...]]:
            return one.model.fingerprint, one.group.names

        found = groupby(sorted(self.extractions, key=place), key=place)
        return tuple(tuple(members) for _, members in found)


def features_of(
    model: ModelFiles,
    strategy: StoredStrategy,
    units: Units,
    groups: tuple[RecordingGroup, ...],
) -> tuple[UnitFeatures, ...]:
    """Name a model's features of units, group by group."""
    if model.family == ACOUSTIC:
        strategy = "frames"
    context = (
        SPECTRUM.window_seconds
        if strategy == "frames"
        else context_seconds(strategy, model.padded_samples)
    )
    return tuple(
        UnitFeatures(
            model,
            group,
            units,
            UnitFeaturesSpec(
                model=model.fingerprint,
                audio=group.digests,
                counted=group.counted,
                units=units.digest(group),
                strategy=strategy,
                context_seconds=context,
                step_seconds=_STEP_SECONDS[strategy],
            ),
        )
        for group in unit_groups(units, groups)
    )


def plan_probing(request: ProbeRequest, like: ProbingPlan | None = None) -> ProbingPlan:
    """Check a request against the labels and the model, and derive its specification.

    Parameters
    ----------
    request : ProbeRequest
        What was asked for.
    like : ProbingPlan, optional
        Of a model and its controls the first one's plan: where only the model differs, labels and
        questions are taken from it.

    Raises
    ------
    InputError
        When labels, audio and tasks do not fit together.
    ModelError
        When the model cannot be found.
    """
    model = locate(request.model, request.revision, precision=request.precision)
    require_precision(model, request.device)
    if like is not None and _without_model(like.request) == _without_model(request):
        draft = replace(like, request=request, model=model)
        told = [text for text in like.warnings if text != _FEW_FRAMES]
        spec = _spec(draft)
    else:
        draft, told = _draft(request, model)
        spec = _spec(draft)
        kept = _divisible(draft.questions, spec, named=bool(request.tasks), told=told)
        if len(kept) < len(draft.questions):
            draft = replace(draft, questions=kept)
            spec = _spec(draft)
    if draft.strategy == "exact":
        told.append(_FEW_FRAMES)
    warnings = tuple(dict.fromkeys(told))
    for warning in warnings:
        logger.warning("%s", warning)
    return replace(draft, spec=spec, warnings=warnings)


def _without_model(request: ProbeRequest) -> ProbeRequest:
    names = ("model", "revision", "precision", "device", "threads")
    fields = {name: ProbeRequest.model_fields[name].get_default() for name in names}
    return request.model_copy(update=fields)


def _draft(request: ProbeRequest, model: ModelFiles) -> tuple[ProbingPlan, list[str]]:
    """Read the labels and ask the questions; without the specification, and what was found."""
    labels, data_name, simulated = read_request_labels(request)
    tables = _tables(request, labels)
    names = request.tasks or default_tasks(labels, tables, request.preset)
    infos = sorted((find_task(name) for name in names), key=list(PROBE_TASKS.values()).index)
    _require_tiers(infos, labels)
    told = [*labels.warnings]
    by_name: dict[str, Units] = {}
    for info in infos:
        if info.units not in by_name:
            by_name[info.units], lost = plan_units(
                labels, info.units, max_units=request.max_units, seed=request.seed
            )
            told += lost
    questions = _asked(infos, by_name, labels, tables, named=bool(request.tasks), told=told)
    told += [text for question in questions for text in question.warnings]
    given = _is_given(request, labels)
    draft = ProbingPlan(
        request,
        data_name,
        simulated,
        labels,
        model,
        group_recordings(labels.recordings),
        questions,
        ProbingSpec(labels=labels.digest, units=(), tasks=(), split="given" if given else "drawn"),
        (),
    )
    return draft, told


def read_request_labels(request: ProbeRequest) -> tuple[Labels, str, bool]:
    """Read the labels that a request names; with the name of the data, and whether simulated."""
    if request.data is not None:
        dataset = load_manifest(request.data).without(request.left_out)
        labels = read_story_labels(dataset, request.recordings, options=request.labels_options)
        return _usable(labels, request), dataset.name, dataset.simulated
    assert request.labels is not None and request.labels_path is not None  # checked by the request
    labels = read_labels(request.labels, request.labels_path, **request.labels_options)
    name = f"{given_path(request.labels_path).resolve().name} ({request.labels})"
    if request.recordings:
        names = [*labels.recordings["recording"], *(one.name for one in labels.faults)]
        labels = labels.only(select_recordings(names, request.recordings))
    return _usable(labels, request), name, False


def _usable(labels: Labels, request: ProbeRequest) -> Labels:
    """Leave out the recordings that cannot be used; some must be left."""
    kept = labels.without(request.left_out)
    if not len(kept.recordings):
        raise InputError(
            f"no recording of {labels.source} is left",  # plan_checked names all
            hint="Put recordings right, or give others.",
        )
    return kept


def default_tasks(
    labels: Labels, tables: WordTables, preset: ProbePresetName = "default"
) -> tuple[str, ...]:
    """Name the tasks that labels allow; where every recording is one word, it is a command.

    Of a preset, its own among them.

    Raises
    ------
    InputError
        The labels allow none of the preset's.
    """
    protocol = PRESETS[preset].probes
    names = possible_tasks(
        labels.tiers,
        categories=tables.categories is not None,
        word_vectors=tables.vectors is not None,
        on_request=protocol is not None,
    )
    if protocol is not None:
        names = tuple(name for name in names if name in protocol.tasks)
        if not names:
            raise InputError(
                f"the labels of {labels.source} allow none of the tasks of the preset {preset!r}: "
                f"{', '.join(protocol.tasks)}",
                hint="Give labels with phones, words or sentences, or name tasks.",
            )
    words = labels.table[labels.table["tier"] == WORD]
    if len(words) and len(words) == words["recording"].nunique() == len(labels.recordings):
        names = tuple("command" if name == "word" else name for name in names)
    return names


def _tables(request: ProbeRequest, labels: Labels) -> WordTables:
    words = set(labels.table.loc[labels.table["tier"] == WORD, "label"])
    return WordTables(
        None if request.categories is None else read_word_categories(request.categories),
        None
        if request.word_vectors is None
        else read_word_vectors(request.word_vectors, vocabulary=words),
    )


def _require_tiers(infos: Iterable[TaskInfo], labels: Labels) -> None:
    there = {FRAME, *labels.tiers}
    for info in infos:
        for tier in sorted(info.tiers - there):
            raise InputError(
                f"the task {info.name!r} asks about the tier {tier!r}, which the labels of "
                f"{labels.source} do not have",
                hint=f"{near_match(tier, labels.tiers)} Possible tasks: "
                f"{', '.join(possible_tasks(labels.tiers))}.",
            )


def _asked(
    infos: Iterable[TaskInfo],
    by_name: dict[str, Units],
    labels: Labels,
    tables: WordTables,
    *,
    named: bool,
    told: list[str],
) -> tuple[Question, ...]:
    """Ask every task; one that was not named, and cannot be asked, is left out and told."""
    questions = []
    for info in infos:
        try:
            questions.append(ask(info, by_name[info.units], labels, tables))
        except InputError as error:
            if named:
                raise
            told.append(f"left out: {error.message}")
    return tuple(questions)


def _is_given(request: ProbeRequest, labels: Labels) -> bool:
    """Say whether the sides are those of the labels' source."""
    if request.split == "drawn":
        return False
    found = labels.table.groupby("recording")["split"].first()
    whole = bool(found.notna().all()) and {"train", "test"} <= set(found)
    if request.split == "given" and not whole:
        raise InputError(
            f"the labels of {labels.source} do not say for every recording whether it is for "
            "training or for the test",
            hint="Use --split drawn, or give a split to every recording.",
        )
    return whole


def _spec(plan: ProbingPlan) -> ProbingSpec:
    request = plan.request
    sound = locate(SOUND_SPACE)
    units = tuple(
        UnitsSpec(
            name=one.name,
            n_units=len(one),
            units=tuple(digest_json([f.spec.audio, f.spec.units]) for f in of_model),
            features=tuple(f.key for f in of_model),
            sound=tuple(f.key for f in plan.features(sound, one)),
        )
        for one in plan.units
        for of_model in [plan.features(plan.model, one)]
    )
    tasks = tuple(_task_spec(plan, question, request.method) for question in plan.questions)
    return plan.spec.model_copy(
        update={
            "units": units,
            "tasks": tasks,
            "seed": request.seed,
            "n_shuffles": request.n_shuffles,
            "n_bootstraps": request.n_bootstraps,
        }
    )


def _task_spec(plan: ProbingPlan, question: Question, method: ProbeMethod) -> ProbeTaskSpec:
    info = question.info
    targets: tuple[str, ...] = ()
    if info.space is not None:
        targets = tuple(one.key for one in plan.features(locate(info.space), question.units))
    return ProbeTaskSpec(
        name=info.name,
        units=info.units,
        problem=info.problem,
        labels=question.digest,
        targets=targets,
        apart="word type" if info.by_type else "recording",
        metric=info.scored_by(plan.request.metric),
        balanced=info.balanced,
        method=_method(info, method),
    )


def _method(info: TaskInfo, method: ProbeMethod) -> ProbeMethod | Literal["ctc"]:
    """Say how a task is fitted: what is asked for is of classes."""
    if info.problem == "transcription":
        return "ctc"
    return method if info.problem == "classification" else "ridge"


def _divisible(
    questions: Iterable[Question], spec: ProbingSpec, *, named: bool, told: list[str]
) -> tuple[Question, ...]:
    """Divide every task's units once; one that was not named, and cannot be, is left out."""
    kept: list[Question] = []
    refused: list[InputError] = []
    for question in questions:
        try:
            told += _check_sides(question, spec)
            kept.append(question)
        except InputError as error:
            if named:
                raise
            refused.append(error)
    if refused and not kept:
        raise refused[0]
    told += [f"left out: {error.message}" for error in refused]
    return tuple(kept)


def _check_sides(question: Question, spec: ProbingSpec) -> list[str]:
    """Divide a task's units once, so that what cannot be divided is told at once."""
    tasks = {task.name: task for task in spec.tasks}
    everything = np.ones(len(question.units), dtype=bool)
    try:
        sides = divide(
            question,
            everything,
            given=spec.split == "given",
            shares=spec.shares,
            folds=spec.type_folds,
            seed=spec.seed,
        )
        if question.answers is not None and question.info.problem != "transcription":
            for one in sides:
                code_task(probe_task(tasks[question.info.name], question, one.rows), one.split)
    except BraindashError as error:
        name = question.info.name
        told = error.message.removeprefix(f"{name}: ")
        raise InputError(f"{name}: {told}", hint=error.hint) from error
    return [text for one in sides for text in one.warnings]


def probe_task(task: ProbeTaskSpec, question: Question, rows: np.ndarray) -> ProbeTask:
    """Make the probe's task of the answers of some units."""
    assert question.answers is not None  # those from the sound are made from features
    answers = question.answers[rows]
    texts = task.problem != "regression"
    return ProbeTask(
        name=task.name,
        labels=answers.astype(str) if texts else answers,
        kind=task.problem,
        metric=task.metric,
        balanced=task.balanced,
        method=task.method,
    )


# ---- how much work and memory, counted from headers and labels ----------------------------------

# Gradient steps or factorisations of a task's probe, its shuffles beside it.
_SOLVES = 40


def extraction_bytes(members: Sequence[UnitFeatures]) -> float:
    """Estimate the memory of one pass of a model over a group of recordings."""
    files = members[0].model
    n_units = sum(len(one.units.of(one.group)) for one in members)
    return 4.0 * n_parameters(files) + 8.0 * n_units * files.n_layers * files.n_features


def layer_bytes(plan: ProbingPlan) -> float:
    """Estimate the memory of asking one layer: its features, standardised, of all units."""
    return 16.0 * max(map(len, plan.units)) * plan.model.n_features


def layer_operations(plan: ProbingPlan) -> float:
    """Count the floating-point operations of asking one layer all tasks."""
    width = plan.model.n_features
    n_units = sum(len(question.units) for question in plan.questions)
    return 2.0 * n_units * width * (width + _SOLVES * (1 + plan.spec.n_shuffles))
