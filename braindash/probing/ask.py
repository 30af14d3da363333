"""The step of a probing run after extraction: every task asked of every layer."""

import itertools
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from braindash.core.probes.labels import ProbeTask, code_task
from braindash.core.probes.model import Probes
from braindash.core.probes.result import LayerProbe, ProbeResult, mean_of_divisions
from braindash.core.probes.transcripts import TranscriptProbes
from braindash.core.scores import constant_columns
from braindash.errors import InputError
from braindash.files import parse_json
from braindash.probing.features import UnitEntries
from braindash.probing.plan import SOUND_SPACE, ProbingPlan, probe_task
from braindash.probing.questions import Question, Sides, divide
from braindash.probing.units import Units
from braindash.progress import Progress, shared
from braindash.speech.checkpoints.locate import ModelFiles, locate

logger = logging.getLogger(__name__)

# Natural logarithm of an amplitude: 80 dB below full scale, near the rounding of 16 bits.
SILENCE_LOG_AMPLITUDE = float(np.log(1e-4))
# A frame is voiced when all of it is.
_VOICED = 0.999


@dataclass(frozen=True, eq=False)
class Sitting:
    """Tasks about the same units on the same sides: they share each layer's Gram matrix.

    Attributes
    ----------
    units : Units
        All units of their kind.
    sides : Sides
        Those that take part.
    probes : Probes or TranscriptProbes
        Asks the tasks.
    names : tuple of str
        Their names, in the order of the probes.
    warnings : mapping of str to tuple of str
        What was found while dividing, by task.
    """

    units: Units
    sides: Sides
    probes: Probes | TranscriptProbes
    names: tuple[str, ...]
    warnings: Mapping[str, tuple[str, ...]]


def plan_sittings(plan: ProbingPlan, features: UnitEntries, told: list[str]) -> list[Sitting]:
    """Divide every task's units, silence left out, and put tasks with the same sides together.

    Parameters
    ----------
    plan : ProbingPlan
        What to compute.
    features : mapping of str to Entry
        Features of every unit, by their keys.
    told : list of str
        Gets the tasks that the sound does not allow, with the reason; they are left out.

    Returns
    -------
    list of Sitting
        The same in every process: they follow from the plan and the features alone.

    Raises
    ------
    InputError
        When too few units are left of a task that the request names, or of all tasks.
    """
    sounds = {units.name: _sound(plan, units, features) for units in plan.units}
    framed = {units.name: _has_frames(plan, units, features) for units in plan.units}
    joined: dict[tuple[Any, ...], list[_Member]] = {}
    refused: list[InputError] = []
    for question in plan.questions:
        name = question.units.name
        try:
            members = _members(plan, question, sounds[name], framed[name], features)
        except InputError as error:
            if plan.request.tasks:
                raise
            refused.append(error)
            continue
        for number, member in enumerate(members):
            split = member.sides.split
            parts = (member.sides.rows, split.train, split.valid, split.test)
            key = (
                name,
                question.info.problem == "transcription",
                number,
                *(part.tobytes() for part in parts),
            )
            joined.setdefault(key, []).append(member)
    if refused and not joined:
        raise refused[0]
    for problem in refused:
        told.append(f"left out: {problem.message}")
        logger.warning("%s", told[-1])
    return [_sitting(plan, key[2], members) for key, members in joined.items()]


@dataclass(frozen=True, eq=False)
class _Member:
    """A task on the sides of one division, and what was found while dividing."""

    question: Question
    sides: Sides
    task: ProbeTask | None
    told: tuple[str, ...]


def _members(
    plan: ProbingPlan,
    question: Question,
    sounds: NDArray[np.bool_],
    framed: NDArray[np.bool_],
    features: UnitEntries,
) -> list[_Member]:
    """Divide one task's units, and make sure that it can be asked of every division."""
    usable = sounds & framed
    told = [
        *_left_out(question, sounds, "no sound"),
        *_left_out(question, framed | ~sounds, "no frame of the model"),
    ]
    if question.info.name == "pitch" and usable.any():
        usable = usable & _voiced(plan, question, features)
        if not usable.any():
            raise InputError(
                "pitch: no frame is voiced", hint="Give other recordings, or leave the task out."
            )
    divisions = divide(
        question,
        usable,
        given=plan.spec.split == "given",
        shares=plan.spec.shares,
        folds=plan.spec.type_folds,
        seed=plan.spec.seed,
    )
    members = []
    for sides in divisions:
        if question.info.problem == "transcription":
            members.append(_Member(question, sides, None, (*told, *sides.warnings)))
            continue
        task, left = _task(plan, question, sides, features)
        code_task(task, sides.split)
        members.append(_Member(question, sides, task, (*told, *sides.warnings, *left)))
    return members


def _sitting(plan: ProbingPlan, division: int, members: list[_Member]) -> Sitting:
    sides, spec, request = members[0].sides, plan.spec, plan.request
    names = tuple(one.question.info.name for one in members)
    told = {one.question.info.name: one.told for one in members}
    units = members[0].question.units
    tasks = [one.task for one in members if one.task is not None]
    if not tasks:
        return Sitting(units, sides, _transcripts(plan, members[0]), names, told)
    made = Probes(
        tasks,
        sides.split,
        n_shuffles=spec.n_shuffles,
        n_samples=spec.n_bootstraps,
        seed=spec.seed + division,
        draw_seed=spec.seed,
        device=request.device,
        threads=request.threads,
    )
    return Sitting(units, sides, made, names, told)


def _transcripts(plan: ProbingPlan, member: _Member) -> TranscriptProbes:
    answers = member.question.answers
    assert answers is not None  # texts
    return TranscriptProbes(
        member.question.info.name,
        [str(text) for text in answers[member.sides.rows]],
        member.sides.split,
        n_samples=plan.spec.n_bootstraps,
        seed=plan.spec.seed,
        device=plan.request.device,
        threads=plan.request.threads,
    )


def ask_layer(
    plan: ProbingPlan,
    sittings: Sequence[Sitting],
    features: UnitEntries,
    layer: int,
    progress: Progress,
) -> xr.Dataset:
    """Ask every task of one layer.

    Parameters
    ----------
    plan : ProbingPlan
        What to compute.
    sittings : sequence of Sitting
        From :func:`plan_sittings`.
    features : mapping of str to Entry
        Features of every unit, by their keys.
    layer : int
        The layer.
    progress : Progress
        Told of every task.

    Returns
    -------
    xarray.Dataset
        A part of the result, for :func:`gather`.
    """
    read: dict[str, NDArray[np.float32]] = {}
    probes = []
    for sitting, span in zip(sittings, shared(progress, [1.0] * len(sittings)), strict=True):
        name = sitting.units.name
        if name not in read:
            read[name] = read_layer(plan, plan.model, sitting.units, features, layer)
        values = read[name][sitting.sides.rows]
        probes.append(sitting.probes.fit_layer(values, where=f"layer {layer}", progress=span))
    return _as_part(probes)


def gather(
    plan: ProbingPlan, sittings: Sequence[Sitting], layers: Sequence[xr.Dataset]
) -> dict[str, ProbeResult]:
    """Put the layers' parts, in their order, together by task."""
    counts = [len(one.names) for one in sittings]
    found = [_from_part(part, counts) for part in layers]
    asked = {name for one in sittings for name in one.names}
    names = [one.info.name for one in plan.questions if one.info.name in asked]
    divisions: dict[str, list[ProbeResult]] = {name: [] for name in names}
    for number, sitting in enumerate(sittings):
        gathered = sitting.probes.results([layer[number] for layer in found])
        for name, result in zip(sitting.names, gathered, strict=True):
            divisions[name].append(result)
    return {name: mean_of_divisions(results) for name, results in divisions.items()}


def read_layer(
    plan: ProbingPlan, model: ModelFiles, units: Units, features: UnitEntries, layer: int
) -> NDArray[np.float32]:
    """Read one layer's features of all units of a kind, (n_units, n_features)."""
    entries = (features[one.key] for one in plan.features(model, units))
    return np.concatenate([entry.read("features", layer) for entry in entries])


# ---- answers and silence from the sound ------------------------------------------------------


def _sound(plan: ProbingPlan, units: Units, features: UnitEntries) -> NDArray[np.bool_]:
    """Mark the units that are not silent."""
    energy = read_layer(plan, locate(SOUND_SPACE), units, features, 0)[:, 0]
    return np.asarray(np.nan_to_num(energy, nan=-np.inf) > SILENCE_LOG_AMPLITUDE)


def _has_frames(plan: ProbingPlan, units: Units, features: UnitEntries) -> NDArray[np.bool_]:
    """Mark the units that hold a frame of the model, or are near enough to one."""
    entries = (features[one.key] for one in plan.features(plan.model, units))
    return np.concatenate([entry.read("n_frames") for entry in entries]) > 0


def _left_out(question: Question, usable: NDArray[np.bool_], what: str) -> Iterator[str]:
    lost = int((question.keep & ~usable).sum())
    if not lost:
        return
    share = lost / max(1, int(question.keep.sum()))
    table = question.units.table[question.keep & ~usable].iloc[0]
    yield (
        f"{question.info.name}: {lost} units ({share:.1%}) hold {what} and are left out, the "
        f"first in {table['recording']}, {table['start']:.2f} to {table['end']:.2f} s"
    )


def _voiced(plan: ProbingPlan, question: Question, features: UnitEntries) -> NDArray[np.bool_]:
    pitch = read_layer(plan, locate(str(question.info.space)), question.units, features, 0)
    return np.asarray(np.nan_to_num(pitch[:, 1]) >= _VOICED)


def _task(
    plan: ProbingPlan, question: Question, sides: Sides, features: UnitEntries
) -> tuple[ProbeTask, tuple[str, ...]]:
    """Return a task, with what was left out of it."""
    rows = sides.rows
    spec = next(task for task in plan.spec.tasks if task.name == question.info.name)
    if question.info.space is None:
        return probe_task(spec, question, rows), ()
    sound = read_layer(plan, locate(question.info.space), question.units, features, 0)
    columns = slice(*question.info.columns) if question.info.columns else slice(None)
    values = sound[rows, columns].astype(np.float64)
    if question.info.relative:
        values = _within_recordings(values, question.units.table["recording"].to_numpy()[rows])
    if not np.isfinite(values).all():
        raise InputError(
            f"{question.info.name}: {question.info.space} has no value for some frames",
            hint="Check the audio files.",
        )
    values, told = _varying(spec.name, values, sides)
    return ProbeTask(spec.name, values, kind=spec.problem, metric=spec.metric), told


def _varying(
    name: str, values: NDArray[np.float64], sides: Sides
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Leave out what is constant on a side: a band in which nothing is heard has no R^2."""
    parts = (sides.split.train, sides.split.valid, sides.split.test)
    constant = np.any([constant_columns(values[part]) for part in parts], axis=0)
    if not constant.any() or constant.all():
        return values, ()  # where nothing varies the probe itself says so
    told = (
        f"{name}: {constant.sum()} of {len(constant)} outputs are constant in a part of the "
        "recordings, as bands above the sound's own are, and are left out"
    )
    return values[:, ~constant], (told,)


def _within_recordings(
    values: NDArray[np.float64], recordings: NDArray[Any]
) -> NDArray[np.float64]:
    """Take each recording's mean away: (n_units, n_outputs)."""
    code = np.unique(recordings.astype(str), return_inverse=True)[1]
    total = np.zeros((code.max() + 1, values.shape[1]))
    np.add.at(total, code, values)
    return np.asarray(values - (total / np.bincount(code)[:, None])[code])


# ---- parts and the result --------------------------------------------------------------------


_ARRAYS = ("samples", "shuffled", "detail")


def _as_part(probes: Sequence[tuple[LayerProbe, ...]]) -> xr.Dataset:
    """Write the probes of one layer as one row of numbers, and how it is to be cut.

    Hundreds of variables, some for each task, would take seconds to write and to read.
    """
    rows: list[NDArray[np.float64]] = []
    facts: list[dict[str, Any]] = []
    for probe in (probe for members in probes for probe in members):
        arrays = {name: np.asarray(getattr(probe, name)) for name in _ARRAYS}
        rows += [array.ravel().astype(np.float64) for array in arrays.values()]
        facts.append(
            {"scores": probe.scores, "alpha": probe.alpha, "warnings": list(probe.warnings)}
            | {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
        )
    text = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    return xr.Dataset({"values": ("value", np.concatenate(rows)), "facts": ("byte", text)})


def _from_part(part: xr.Dataset, counts: list[int]) -> list[tuple[LayerProbe, ...]]:
    values, facts = part["values"].values, parse_json(part["facts"].values.tobytes())
    place = 0

    def cut(kind: str, shape: list[int]) -> NDArray[Any]:
        nonlocal place
        start, place = place, place + math.prod(shape)
        return values[start:place].astype(kind).reshape(shape)

    probes = [
        LayerProbe(
            scores=fact["scores"],
            samples=cut(*fact["samples"]),
            alpha=fact["alpha"],
            shuffled=cut(*fact["shuffled"]),
            detail=cut(*fact["detail"]),
            warnings=tuple(fact["warnings"]),
        )
        for fact in facts
    ]
    edges = [0, *np.cumsum(counts).tolist()]
    return [tuple(probes[start:stop]) for start, stop in itertools.pairwise(edges)]


def as_dataset(results: Mapping[str, ProbeResult]) -> xr.Dataset:
    """Make the arrays of a probing result.

    Parameters
    ----------
    results : mapping of str to ProbeResult
        By task.

    Returns
    -------
    xarray.Dataset
        What :class:`braindash.probing.result.ProbingResult` holds.
    """
    every = list(results.values())
    names = sorted({metric for result in every for metric in result.metrics})
    shape = (len(every), len(names), len(every[0].score))
    metrics = np.full(shape, np.nan)
    for row, result in enumerate(every):
        for metric, values in result.metrics.items():
            metrics[row, names.index(metric)] = values
    by_layer = ("score", "low", "high", "alpha", "chance_shuffled", "chance_shuffled_sd")
    arrays: dict[str, Any] = {
        name: (("task", "layer"), np.stack([getattr(result, name) for result in every]))
        for name in by_layer
    }
    arrays["chance_majority"] = ("task", np.array([result.chance_majority for result in every]))
    arrays["metrics"] = (("task", "metric", "layer"), metrics)
    samples = np.stack([result.samples for result in every])
    arrays["samples"] = (("task", "sample", "layer"), samples)
    for task, result in results.items():
        inner = [f"{task}_{axis}" for axis in ("true", "predicted", "output")]
        axes = inner[:2] if result.detail.ndim == 3 else inner[2:]
        arrays[f"detail_{task}"] = (("layer", *axes), result.detail)
    coords = {"task": list(results), "metric": names, "layer": np.arange(shape[2])}
    return xr.Dataset(arrays, coords=coords)


def task_facts(result: ProbeResult, told: tuple[str, ...]) -> dict[str, Any]:
    """Return what is known of a task beside its arrays, as JSON values."""
    return {
        "classes": [str(name) for name in result.classes],
        "n_pieces": result.n_pieces,
        "n_train": result.n_train,
        "n_validation": result.n_validation,
        "n_test": result.n_test,
        "split": result.split,
        "bootstrap": result.bootstrap,
        "level": result.level,
        "warnings": list(dict.fromkeys((*told, *result.warnings))),
    }
