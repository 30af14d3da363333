"""Probing runs: features of units, then every task asked of every layer."""

from functools import partial
from typing import Any

import xarray as xr

from braindash.io.store import Store
from braindash.probing.features import extract_units, probing_provenance, stored_units
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress, shared
from braindash.requests import ProbeRequest

# About how long the stages take beside each other, where no features are cached.
_FEATURES, _PROBES = 0.85, 0.15
# Features that are all in the store.
_LOOKED_UP = 0.01


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
    report.advance(0, 1, "reading the labels and the model's files")
    return run_probing_plan(plan_probing(request), store, report)


def run_probing_plan(plan: ProbingPlan, store: Store, report: Progress) -> ProbingResult:
    """Do as :func:`run_probing` for a request that is planned already."""
    facts: dict[str, Any] = {}
    compute, told = partial(_compute, plan, store, facts), partial(_provenance, plan, facts)
    return ProbingResult.load(store.made(plan.spec, compute, told, report))


def _compute(
    plan: ProbingPlan, store: Store, facts: dict[str, Any], progress: Progress
) -> xr.Dataset:
    """Compute the arrays of a result; what is known of each task beside them goes to ``facts``."""
    found = stored_units(plan, store)
    missing = any(one.key not in found for one in plan.extractions)
    extracting, asking = shared(progress, (_FEATURES if missing else _LOOKED_UP, _PROBES))
    features = extract_units(plan, found, store, extracting)
    # torch is needed from here on, so planning and cached runs stay light.
    from braindash.probing.ask import as_dataset, ask_layers, plan_sittings, task_facts

    sittings = plan_sittings(plan, features)
    results = ask_layers(plan, sittings, features, store, asking)
    told = {name: texts for sitting in sittings for name, texts in sitting.warnings.items()}
    facts |= {name: task_facts(one, told[name]) for name, one in results.items()}
    return as_dataset(results)


def _provenance(plan: ProbingPlan, facts: dict[str, Any], seconds: float) -> dict[str, Any]:
    return probing_provenance(plan, plan.model, seconds) | {
        "parents": sorted(one.key for one in plan.extractions),
        "tasks": facts,
        "recordings": len(plan.labels.recordings),
        "labels": plan.labels.source,
        "warnings": list(plan.warnings),
    }
