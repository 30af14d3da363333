"""What can be run: one row per kind of analysis, which every interface dispatches through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from braindash.encoding.plan import EncodingPlan, plan_encoding
from braindash.io.store import Store
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.progress import NoProgress, Progress
from braindash.requests import EncodeRequest, ProbeRequest, Request, TuneRequest
from braindash.specs import Spec
from braindash.tuning.plan import TuningPlan, plan_tuning
from braindash.work.changes import PROMISED, require_unchanged
from braindash.work.needs import Preflight, encoding_needs, probing_needs, tuning_needs

PLANNING = "reading the data and the model's files"


class Plan(Protocol):
    """A checked request with the specification that names its result."""

    @property
    def spec(self) -> Spec:
        """Names the result."""


class Result(Protocol):
    """What a run gives."""

    @property
    def key(self) -> str:
        """Key of the result."""


@dataclass(frozen=True)
class Work:
    """One kind of analysis, as whoever runs it needs to know it.

    Attributes
    ----------
    request : type of Request
        What a user asks for; its ``command`` is that of the command line.
    plan : callable
        Request -> plan, with headers and digests only.
    needs : callable
        Plan, store -> what the run would need.
    run : callable
        Plan, store, progress -> result; imports torch when it is called.
    title : callable
        Plan -> what a job is called.
    """

    request: type[Request]
    plan: Callable[[Any], Plan]
    needs: Callable[[Any, Store], Preflight]
    run: Callable[[Any, Store, Progress], Result]
    title: Callable[[Any], str]


def _run_encoding(plan: EncodingPlan, store: Store, progress: Progress) -> Result:
    from braindash.encoding.run import run_encoding_plan

    return run_encoding_plan(plan, store, progress)


def _run_probing(plan: ProbingPlan, store: Store, progress: Progress) -> Result:
    from braindash.probing.run import run_probing_plan

    return run_probing_plan(plan, store, progress)


def _run_tuning(plan: TuningPlan, store: Store, progress: Progress) -> Result:
    from braindash.tuning.run import run_tuning_plan

    return run_tuning_plan(plan, store, progress)


def _encoding_title(plan: EncodingPlan) -> str:
    return f"Encoding: {plan.model.name}, {plan.dataset.name}, {plan.request.subject}"


def _probing_title(plan: ProbingPlan) -> str:
    return f"Probing: {plan.model.name}, {plan.data_name}"


def _tuning_title(plan: TuningPlan) -> str:
    control = plan.request.control
    told = "" if control == "none" else f" (control: {control})"
    people = ", ".join(plan.request.subjects)
    return f"Tuning: {plan.model.name}, {plan.dataset.name}, {people}{told}"


KINDS: Mapping[str, Work] = MappingProxyType(
    {
        work.request.command: work
        for work in (
            Work(EncodeRequest, plan_encoding, encoding_needs, _run_encoding, _encoding_title),
            Work(ProbeRequest, plan_probing, probing_needs, _run_probing, _probing_title),
            Work(TuneRequest, plan_tuning, tuning_needs, _run_tuning, _tuning_title),
        )
    }
)


def preflight(request: Request, store: Store) -> Preflight:
    """Estimate what a request needs, from headers only.

    Raises
    ------
    InputError, ModelError
        When the request cannot run at all.
    """
    work = KINDS[request.command]
    return work.needs(work.plan(request), store)


def run(request: Request, store: Store, progress: Progress | None = None) -> Any:
    """Compute, or load, what a request asks for.

    Returns
    -------
    EncodingResult, ProbingResult or TuningResult
    """
    report, work = progress or NoProgress(), KINDS[request.command]
    report.advance(0, 1, PLANNING)
    return work.run(work.plan(request), store, report)


# ---- jobs -----------------------------------------------------------------------------------


def run_job(
    command: str, document: Mapping[str, Any], root: Path, progress: Progress
) -> dict[str, Any]:
    """Do what a queued job asks for: what a worker runs.

    Parameters
    ----------
    command : str
        A name of ``KINDS``, or "demo".
    document : mapping
        The request as it was queued, with what it meant then.
    root : Path
        The store's folder.
    progress : Progress
        Receives reports.

    Returns
    -------
    dict
        The kind and the keys of what was made.

    Raises
    ------
    InputError
        When the request does not mean any more what it meant when it was queued.
    """
    if command == "demo":
        return _run_demo(root, progress)
    work = KINDS[command]
    progress.advance(0, 1, PLANNING)
    asked = {name: value for name, value in document.items() if name != PROMISED}
    planned = work.plan(work.request.model_validate(asked))
    require_unchanged(planned.spec, document[PROMISED])
    result = work.run(planned, Store(root), progress)
    return {"kind": planned.spec.kind, "keys": [result.key]}


def _run_demo(root: Path, progress: Progress) -> dict[str, Any]:
    from braindash.demo.run import run_demo

    made = run_demo(Store(root), progress)
    return {
        "kind": "encoding",
        "keys": [result.key for result in made.encodings],
        "also": {"kind": "probing", "keys": [result.key for result in made.probings]},
    }


COMMANDS = (*KINDS, "demo")
"""What a worker can be asked for."""
