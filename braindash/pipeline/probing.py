"""Probing runs: features of units, then every task asked of every layer."""

import time
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from braindash.errors import InputError
from braindash.io.audio import load_audio
from braindash.io.store import Entry, Store
from braindash.pipeline.provenance import common_provenance
from braindash.plan.probing import ProbingPlan, UnitFeatures, plan_probing
from braindash.progress import NoProgress, Progress, Span
from braindash.requests import ProbeRequest
from braindash.results.probing import ProbingResult
from braindash.speech.files import ModelFiles
from braindash.speech.spaces import ACOUSTIC

if TYPE_CHECKING:
    from braindash.speech.acoustics import AcousticModel
    from braindash.speech.models import SpeechModel

    Opened = SpeechModel | AcousticModel

PLANNING = "reading the labels and the model's files"
_KIND = "unit-features"
# Share of a run's time that goes into features when none are cached.
_EXTRACTION_SHARE = 0.85
_ACOUSTIC_SHARE = 0.05


def run_probing(
    request: ProbeRequest, store: Store, progress: Progress | None = None
) -> ProbingResult:
    """Compute, or load, the probing scores of every layer of one model.

    Parameters
    ----------
    request : ProbeRequest
        Model, labels, tasks and settings.
    store : Store
        Looked up first; every finished group of recordings and every layer is kept in it, so that
        an interrupted run goes on where it was.
    progress : Progress, optional
        Receives reports and may stop the run between two parts.

    Returns
    -------
    ProbingResult
        The stored result.
    """
    report = progress or NoProgress()
    report.advance(0, 1, PLANNING)
    return run_probing_plan(plan_probing(request), store, report)


def run_probing_plan(plan: ProbingPlan, store: Store, report: Progress) -> ProbingResult:
    """Do as :func:`run_probing` for a request that is planned already."""
    key = plan.spec.key()
    cached = store.get_or_none("probing", key)
    if cached is not None:
        report.advance(1, 1, "already computed")
        return ProbingResult.load(cached)
    started = time.monotonic()
    missing = any(not store.has(_KIND, one.key) for one in plan.extractions)
    share = _EXTRACTION_SHARE if missing else 0.05
    features = extract_units(plan, store, Span(report, 0.0, share))
    # torch is needed from here on, so planning and cached runs stay light.
    from braindash.steps.probing import as_dataset, ask_layers, plan_sittings, task_facts

    sittings = plan_sittings(plan, features)
    results = ask_layers(plan, sittings, features, store, Span(report, share, 1.0))
    told = {name: texts for sitting in sittings for name, texts in sitting.warnings.items()}
    entry = store.put(
        "probing",
        key,
        spec=plan.spec.canonical(),
        provenance=_provenance(plan, plan.model, time.monotonic() - started)
        | {
            "parents": sorted(one.key for one in plan.extractions),
            "tasks": {name: task_facts(one, told[name]) for name, one in results.items()},
            "recordings": len(plan.labels.recordings),
            "labels": plan.labels.source,
            "warnings": list(plan.warnings),
        },
        dataset=as_dataset(results),
    )
    report.advance(1, 1, "done")
    return ProbingResult.load(entry)


def extract_units(plan: ProbingPlan, store: Store, progress: Progress) -> dict[str, Entry]:
    """Compute, or load, all features of a plan's units: one store entry per group and kind."""
    found = {one.key: store.get_or_none(_KIND, one.key) for one in plan.extractions}
    entries = {key: entry for key, entry in found.items() if entry is not None}
    missing = [one for one in plan.extractions if one.key not in entries]
    passes = _passes(missing)
    costs = [_cost(members[0]) for members in passes]
    ends = np.append(0.0, np.cumsum(costs)) / max(sum(costs), 1e-9)
    opened: dict[str, Opened] = {}
    for number, members in enumerate(passes):
        first = members[0]
        span = Span(
            progress,
            float(ends[number]),
            float(ends[number + 1]),
            f"{first.model.name}, {first.group.title} ({number + 1}/{len(passes)}): ",
        )
        if first.model.fingerprint not in opened:
            opened = {first.model.fingerprint: _opened(plan, first.model)}
        model = opened[first.model.fingerprint]
        entries |= _extract_group(plan, model, members, store, span)
    return entries


def _passes(missing: Sequence[UnitFeatures]) -> list[list[UnitFeatures]]:
    """Put together what one run of a model over the same recordings gives, model by model."""

    def place(one: UnitFeatures) -> tuple[str, tuple[str, ...]]:
        return one.model.fingerprint, one.group.names

    return [list(members) for _, members in groupby(sorted(missing, key=place), key=place)]


def _cost(one: UnitFeatures) -> float:
    """Weigh a pass by its seconds of audio; acoustic features are much quicker."""
    return one.group.seconds * (_ACOUSTIC_SHARE if one.model.family == ACOUSTIC else 1.0)


def _opened(plan: ProbingPlan, model: ModelFiles) -> "Opened":
    from braindash.speech.models import open_model

    return open_model(model, device=plan.request.device)


def _extract_group(
    plan: ProbingPlan,
    model: "Opened",
    members: list[UnitFeatures],
    store: Store,
    progress: Progress,
) -> dict[str, Entry]:
    """Run one model over a group of recordings, for the units of one kind or of several."""
    from braindash.speech.units import unit_features

    started = time.monotonic()
    group = members[0].group
    tables = [one.units.of(group) for one in members]
    parts: list[list[np.ndarray]] = [[] for _ in members]
    counts: list[list[np.ndarray]] = [[] for _ in members]
    for number, (name, path) in enumerate(zip(group.names, group.paths, strict=True)):
        own = [table[table["recording"] == name] for table in tables]
        if not sum(map(len, own)):
            continue
        n_recordings = len(group.names)
        try:
            pooled = unit_features(
                model,
                load_audio(path),
                np.concatenate([table["start"] for table in own]),
                np.concatenate([table["end"] for table in own]),
                strategy=plan.request.strategy,
                progress=Span(progress, number / n_recordings, (number + 1) / n_recordings),
            )
        except InputError as problem:
            raise InputError(f"{path}: {problem.message}", hint=problem.hint) from problem
        edges = np.cumsum([len(table) for table in own])[:-1]
        for place, features in enumerate(np.split(pooled.features, edges, axis=1)):
            parts[place].append(features)
        for place, n_frames in enumerate(np.split(pooled.n_frames, edges)):
            counts[place].append(n_frames)
    seconds = time.monotonic() - started
    return {
        one.key: _put(plan, one, part, count, store, seconds)
        for one, part, count in zip(members, parts, counts, strict=True)
    }


def _put(
    plan: ProbingPlan,
    one: UnitFeatures,
    parts: list[np.ndarray],
    counts: list[np.ndarray],
    store: Store,
    seconds: float,
) -> Entry:
    features = np.concatenate(parts, axis=1)
    dataset = xr.Dataset(
        {
            "features": (("layer", "unit", "feature"), features),
            "n_frames": ("unit", np.concatenate(counts)),
        },
        coords={"layer": np.arange(len(features))},
    )
    return store.put(
        _KIND,
        one.key,
        spec=one.spec.canonical(),
        provenance=_provenance(plan, one.model, seconds)
        | {"recordings": list(one.group.names), "units": one.units.name},
        dataset=dataset,
        chunks={"features": (1, *features.shape[1:])},
    )


def _provenance(plan: ProbingPlan, model: ModelFiles, seconds: float) -> dict[str, object]:
    strategy = plan.features(model, plan.units[0])[0].spec.strategy
    return common_provenance(model, strategy, plan.data_name, plan.simulated, seconds)
