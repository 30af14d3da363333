"""What can be run: one row per kind of analysis, which every interface dispatches through."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from braindash.encoding.plan import EncodingPlan, plan_encoding
from braindash.encoding.result import EncodingResult
from braindash.encoding.sounds.kept import asked_weights
from braindash.io.recordings import CheckedPlan, plan_checked
from braindash.io.store import REGIONS, Entry, Store
from braindash.parts import Plan, Run, carry_out
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress, said_once
from braindash.requests import EncodeRequest, ProbeRequest, Request, TuneRequest
from braindash.tuning.plan import TuningPlan, plan_tuning
from braindash.work.brought import run_queued_sound
from braindash.work.changes import PROMISED, require_unchanged
from braindash.work.checks import CHECK, run_queued_check
from braindash.work.differences import DIFFERENCE, run_queued_difference
from braindash.work.needs import Preflight, encoding_needs, probing_needs, tuning_needs
from braindash.work.regions import run_queued_regions
from braindash.work.sounds import SOUNDS

if TYPE_CHECKING:
    from braindash.encoding.run import EncodingRun
    from braindash.probing.run import ProbingRun
    from braindash.tuning.result import TuningResult
    from braindash.tuning.run import TuningRun

PLANNING = "reading the data and the model's files"


class KindRun(Run, Protocol):
    """A run of one kind: its parts, and its result."""

    def look_again(self) -> None:
        """Forget what was not there: others may have made it meanwhile."""

    def result(self) -> Any:
        """Open the result: EncodingResult, ProbingResult or TuningResult."""


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
    start : callable
        Plan, store -> run, whose parts make the result.
    title : callable
        Plan -> what a job is called.
    result : str
        Kind of what it makes, as the store lists it.
    load : callable
        Entry of that kind, store -> result.
    """

    request: type[Request]
    plan: Callable[[Any], CheckedPlan]
    needs: Callable[[Any, Store], Preflight]
    start: Callable[[Any, Store], KindRun]
    title: Callable[[Any], str]
    result: str
    load: Callable[[Entry, Store], "EncodingResult | ProbingResult | TuningResult"]


# What computes is imported when it is asked for: planning, and pages, stay light.


def _encoding(plan: EncodingPlan, store: Store) -> "EncodingRun":
    from braindash.encoding.run import EncodingRun

    return EncodingRun(plan, store)


def _probing(plan: ProbingPlan, store: Store) -> "ProbingRun":
    from braindash.probing.run import ProbingRun

    return ProbingRun(plan, store)


def _tuning(plan: TuningPlan, store: Store) -> "TuningRun":
    from braindash.tuning.run import TuningRun

    return TuningRun(plan, store)


def _encoding_title(plan: EncodingPlan) -> str:
    return f"Encoding: {plan.model.name}, {plan.dataset.name}, {plan.request.subject}"


def _probing_title(plan: ProbingPlan) -> str:
    return f"Probing: {plan.model.name}, {plan.data_name}"


def _tuning_title(plan: TuningPlan) -> str:
    control = plan.request.control
    told = "" if control == "none" else f" (control: {control})"
    people = ", ".join(plan.request.subjects)
    return f"Tuning: {plan.model.name}, {plan.dataset.name}, {people}{told}"


def _load_encoding(entry: Entry, store: Store) -> "EncodingResult":
    return EncodingResult.load(entry)


def _load_probing(entry: Entry, store: Store) -> "ProbingResult":
    return ProbingResult.load(entry)


def _load_tuning(entry: Entry, store: Store) -> "TuningResult":
    from braindash.tuning.result import TuningResult

    return TuningResult.load(entry, store)


KINDS: Mapping[str, Work] = MappingProxyType(
    {
        work.request.command: work
        for work in (
            Work(
                request=EncodeRequest,
                plan=plan_encoding,
                needs=encoding_needs,
                start=_encoding,
                title=_encoding_title,
                result="encoding",
                load=_load_encoding,
            ),
            Work(
                request=ProbeRequest,
                plan=plan_probing,
                needs=probing_needs,
                start=_probing,
                title=_probing_title,
                result="probing",
                load=_load_probing,
            ),
            Work(
                request=TuneRequest,
                plan=plan_tuning,
                needs=tuning_needs,
                start=_tuning,
                title=_tuning_title,
                result="tuning",
                load=_load_tuning,
            ),
        )
    }
)
"""Kinds of analysis by the command that asks for them."""

RESULTS: Mapping[str, Work] = MappingProxyType({work.result: work for work in KINDS.values()})
"""Kinds of analysis by the kind of their results."""


def preflight(request: Request, store: Store) -> Preflight:
    """Estimate what a request needs, from headers only.

    Raises
    ------
    InputError, ModelError
        When the request cannot run at all.
    """
    return KINDS[request.command].needs(planned(request, store), store)


def planned(request: Request, store: Store) -> Any:
    """Plan a request, with a look at every recording; see :func:`plan_checked`."""
    return plan_checked(KINDS[request.command].plan, request, store.root)


def run(request: Request, store: Store, progress: Progress | None = None) -> Any:
    """Compute, or load, what a request asks for.

    Returns
    -------
    EncodingResult, ProbingResult or TuningResult
    """
    return run_all([request], store, progress)[0]


def run_all(
    requests: Sequence[Request], store: Store, progress: Progress | None = None
) -> list[Any]:
    """Compute, or load, what several requests of one kind ask for, together.

    Returns
    -------
    list of EncodingResult, ProbingResult or TuningResult
        In the order of the requests.
    """
    report = progress or NoProgress()
    report.advance(0, 1, PLANNING)
    with said_once():
        return carried_out([planned(one, store) for one in requests], store, report)


def carried_out(plans: Sequence[Plan], store: Store, progress: Progress) -> list[Any]:
    """Compute, or load, what some plans say, of any kinds together; cores are the first one's."""
    runs = [KINDS[plan.request.command].start(plan, store) for plan in plans]
    first = plans[0].request
    carry_out(runs, progress, cores=first.threads, device=first.device)
    return [one.result() for one in runs]


# ---- jobs -----------------------------------------------------------------------------------

_OF_DOCUMENTS = {
    CHECK: run_queued_check,
    REGIONS: run_queued_regions,
    DIFFERENCE: run_queued_difference,
    SOUNDS: run_queued_sound,
}
"""Work that is no analysis of its own: it takes the document as it was queued."""


def planned_again(command: str, document: Mapping[str, Any], store: Store) -> Any:
    """Plan what was handed over as a document.

    Parameters
    ----------
    command : str
        Of ``KINDS``.
    document : mapping
        The request as it was handed over, with what it meant then.
    store : Store

    Raises
    ------
    InputError
        When the request does not mean any more what it meant.
    """
    asked = {name: value for name, value in document.items() if name != PROMISED}
    plan = planned(KINDS[command].request.model_validate(asked), store)
    require_unchanged(plan.spec, document[PROMISED])
    return plan


def run_job(
    command: str, document: Mapping[str, Any], root: Path, progress: Progress
) -> dict[str, Any]:
    """Do what a queued job asks for: what a worker runs.

    Parameters
    ----------
    command : str
        One of ``COMMANDS`` but "study".
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
    if command in _OF_DOCUMENTS:
        return _OF_DOCUMENTS[command](document, Store(root), progress)
    progress.advance(0, 1, PLANNING)
    store = Store(root)
    plan = planned_again(command, document, store)
    (result,) = carried_out([plan], store, progress)
    made = {"kind": plan.spec.kind, "keys": [result.key]}
    layer = getattr(plan.request, "keep_weights", None)
    if layer is None:
        return made
    weights = asked_weights(layer, store.get(plan.spec.kind, result.key))
    return made | {"also": {"kind": weights.kind, "keys": [weights.key()]}}


def _run_demo(root: Path, progress: Progress) -> dict[str, Any]:
    from braindash.demo.run import run_demo

    made = run_demo(Store(root), progress)
    return {
        "kind": "encoding",
        "keys": [result.key for result in made.encodings],
        "also": {"kind": "probing", "keys": [result.key for result in made.probings]},
    }


STUDY = "study"
"""Name of the work that carries out what is left of a study (:mod:`braindash.work.studies`)."""
COMMANDS = (*KINDS, "demo", STUDY, REGIONS, DIFFERENCE, SOUNDS, CHECK)
"""What a worker can be asked for."""
