"""Queues requests as background jobs."""

from pathlib import Path
from typing import Any

from braindash.demo.requests import demo_identity
from braindash.io.labels.sources import LABEL_FOLDERS
from braindash.io.store import Store
from braindash.jobs.queue import Job, JobQueue
from braindash.names import given_path
from braindash.requests import Request
from braindash.speech.checkpoints.languages import split_language
from braindash.speech.checkpoints.locate import ModelFiles, locate
from braindash.work.changes import PROMISED
from braindash.work.kinds import KINDS, planned


def submit_demo(store: Store) -> Job:
    """Queue the embedded demo, once; a finished one again when a result of it is gone."""
    return JobQueue(store.root).submit(
        "demo", demo_identity(), {}, "Embedded demo (simulated data)"
    )


def submit(request: Request, store: Store) -> Job:
    """Queue a request; its key is the key of the result, so equal requests are one job.

    The job carries absolute paths, because its worker may have another working directory, and the
    specification, because the files may have changed when it runs.

    Raises
    ------
    InputError, ModelError
        When the request does not fit the data or the model: nothing is queued then.
    """
    work = KINDS[request.command]
    absolute = request.model_copy(update=_absolute_paths(request))
    plan = planned(absolute, store)
    absolute = plan.request
    model = locate(request.model, request.revision)
    if model.revision is None:
        absolute = absolute.model_copy(update={"model": _absolute_model(request.model, model)})
    document = absolute.model_dump(mode="json") | {PROMISED: plan.spec.canonical()}
    return JobQueue(store.root).submit(request.command, plan.spec.key(), document, work.title(plan))


def _absolute_paths(request: Request) -> dict[str, Any]:
    """Return every path of a request, also in the options of a labels' source, as absolute one."""
    changed: dict[str, Any] = {}
    for name in type(request).model_fields:
        value = getattr(request, name)
        if isinstance(value, Path):
            changed[name] = given_path(value, exact=True).resolve()
        elif name == "labels_options":
            folders = {key: _absolute(value[key]) for key in LABEL_FOLDERS if key in value}
            changed[name] = value | folders
    return changed


def _absolute(path: object) -> str:
    return str(given_path(str(path), exact=True).resolve())


def _absolute_model(source: str, model: ModelFiles) -> str:
    """Write the folder in a model's source as an absolute path."""
    seed = model.seed if model.shuffled is None else model.shuffled
    control, place = "", source
    if seed is not None:
        control, _, place = source.partition(":")
        if not given_path(place, exact=True).is_dir():
            place = place.removesuffix(f"@{seed}")
    place, language = split_language(place)
    end = "".join(f"@{one}" for one in (language, seed) if one is not None)
    return f"{control}{':' if control else ''}{_absolute(place)}{end}"
