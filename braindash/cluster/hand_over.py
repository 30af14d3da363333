"""Hands requests over to whichever machines see the store."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from braindash.errors import JobError
from braindash.files import digest_json
from braindash.io.store import Store
from braindash.jobs.shared import SharedJob, SharedPart
from braindash.parts import missing_parts
from braindash.progress import said_once
from braindash.requests import Request
from braindash.sharing.asking import present
from braindash.work.kinds import KINDS, KindRun, planned_again
from braindash.work.submit import Prepared, prepare


@said_once()
def shared_job(requests: Sequence[Request], store: Store, title: str = "") -> SharedJob | None:
    """Make one job of some requests for whichever machines see the store.

    Parts that several requests need are made once.

    Parameters
    ----------
    requests : sequence of Request
        Of any kinds, in the order in which their results are wanted.
    store : Store
        On a file system that the workers see.
    title : str
        For people; by default that of the first request.

    Returns
    -------
    SharedJob or None
        For :meth:`braindash.jobs.shared.SharedJobs.add`; None where every result is stored already.

    Raises
    ------
    InputError, ModelError
        When a request does not fit its data or its model.
    """
    ready = [prepare(request, store) for request in requests]
    missing = missing_parts([KINDS[one.command].start(one.plan, store) for one in ready])
    if not missing:
        return None
    more = f" and {len(ready) - 1} more" if len(ready) > 1 else ""
    return SharedJob(
        key=digest_json({"cluster": [one.key for one in ready]}),
        title=title or ready[0].title + more,
        asked_by=present().name,
        created=time.time(),
        requests=tuple({"command": one.command, "request": one.document} for one in ready),
        parts=tuple(SharedPart(one.part.name, one.part.label, one.part.seconds) for one in missing),
        made=_made(ready),
    )


def _made(ready: Sequence[Prepared]) -> dict[str, Any]:
    """Name the results by kind, the first kind in front, as jobs of the queue do."""
    keys: dict[str, list[str]] = {}
    for one in ready:
        keys.setdefault(one.plan.spec.kind, []).append(one.plan.spec.key())
    (kind, first), *others = keys.items()
    also = {"also": {"kind": others[0][0], "keys": others[0][1]}} if others else {}
    return {"kind": kind, "keys": first} | also


def taken_over(asked: Mapping[str, Any], root: Path) -> KindRun:
    """Plan what was handed over, on this machine.

    Parameters
    ----------
    asked : mapping
        One request of a shared job.
    root : Path
        The store's folder here.

    Raises
    ------
    JobError
        It is no request that this braindash knows.
    InputError, ModelError
        The data or the model are not here, or are others than they were.
    """
    command, document, store = asked["command"], asked["request"], Store(root)
    try:
        plan = planned_again(command, document, store)
    except (KeyError, ValidationError) as error:
        raise JobError(
            f"a shared job asks for {command!r} in a way that this braindash does not know",
            hint="Install the same version of braindash on all machines, or submit it again.",
        ) from error
    return KINDS[command].start(plan, store)
