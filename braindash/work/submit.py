"""Queues requests as background jobs."""

from dataclasses import dataclass
from typing import Any

from braindash.demo.requests import demo_identity
from braindash.encoding.sounds.kept import BEST
from braindash.files import digest_json
from braindash.io.asked import absolute_paths
from braindash.io.store import Store
from braindash.jobs.queue import Job, JobQueue
from braindash.requests import Request
from braindash.speech.checkpoints.locate import absolute_source, locate
from braindash.work.again import plan_again
from braindash.work.changes import PROMISED
from braindash.work.kinds import KINDS, planned


def submit_demo(store: Store) -> Job:
    """Queue the embedded demo, once; a finished one again when a result of it is gone."""
    return JobQueue(store.root).submit(
        "demo", demo_identity(), {}, "Embedded demo (simulated data)"
    )


@dataclass(frozen=True)
class Prepared:
    """A request as it is handed to another process.

    Attributes
    ----------
    plan : EncodingPlan, ProbingPlan or TuningPlan
        What it means.
    command : str
        What it runs, as on the command line.
    key : str
        Of the job: that of the result, so equal requests are one job.
    document : dict
        The request with absolute paths, because whoever takes it may have another working
        directory, and the specification, because files may have changed until then.
    title : str
        For people.
    """

    plan: Any
    command: str
    key: str
    document: dict[str, Any]
    title: str


def prepare(request: Request, store: Store) -> Prepared:
    """Make a request ready for another process.

    Raises
    ------
    InputError, ModelError
        When the request does not fit the data or the model.
    """
    work = KINDS[request.command]
    absolute = request.model_copy(update=absolute_paths(request))
    plan = planned(absolute, store)
    absolute = plan.request
    model = locate(request.model, request.revision)
    absolute = absolute.model_copy(update={"model": absolute_source(request.model, model)})
    document = absolute.model_dump(mode="json") | {PROMISED: plan.spec.canonical()}
    key = job_key(plan.spec.key(), absolute)
    return Prepared(plan, request.command, key, document, work.title(plan))


def submit(request: Request, store: Store) -> Job:
    """Queue a request; its key is that of the result, so equal requests are one job.

    Raises
    ------
    InputError, ModelError
        When the request does not fit the data or the model: nothing is queued then.
    """
    ready = prepare(request, store)
    return JobQueue(store.root).submit(ready.command, ready.key, ready.document, ready.title)


def submit_weights(key: str, store: Store) -> Job:
    """Queue the keeping of an encoding result's weights, of its best layer, by its own record.

    Raises
    ------
    StoreError
        When the result has no record of its request.
    InputError, ModelError
        When its data or its model are not there any more, or are others: the error says which.
    """
    again = plan_again(store, key)
    return submit(again.request.model_copy(update={"keep_weights": BEST}), store)


def job_key(result: str, request: Request) -> str:
    """Name the job of a request: by its result, and by what is kept beside it, if so.

    A finished job is not done again while its result is there, and one that runs stays as it is:
    neither would keep the weights that are asked for now.
    """
    kept = getattr(request, "keep_weights", None)
    return result if kept is None else digest_json({"result": result, "keep_weights": kept})
