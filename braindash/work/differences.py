"""Tests of every target's difference of two models: computed here, or queued for the worker."""

from collections.abc import Mapping
from typing import Any

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, compare
from braindash.encoding.several.tested import TargetDifference, difference_spec, stored_difference
from braindash.errors import InputError
from braindash.io.entries import predictions_key_of
from braindash.io.store import Store
from braindash.jobs.queue import Job, JobQueue
from braindash.progress import Progress

DIFFERENCE = "difference"
"""Name of the work, and kind of what it makes."""


def difference_tests(
    pair: Difference, store: Store, progress: Progress | None = None
) -> TargetDifference:
    """Test every target's difference, or look the tests up.

    Parameters
    ----------
    pair : Difference
        Of one subject, of models of as many layers.
    store : Store
        Holds both results' predictions, and keeps what is made.
    progress : Progress, optional
        Receives reports.

    Raises
    ------
    InputError
        When the targets cannot be tested, or the predictions of a result are not in the store.
    """
    from braindash.encoding.several.differences import (
        compute_difference,  # what computes, when asked for
    )

    entry = compute_difference(pair, store, progress)
    if entry is None:
        raise InputError(
            f"the predictions of {pair.a.model} and {pair.b.model} are not both in {store.root}",
            hint="Compute both again there, or import them with their predictions.",
        )
    return TargetDifference.read(pair, entry)


def queue_difference(pair: Difference, store: Store) -> Job | None:
    """Ask the worker for the tests of a difference, once.

    Returns
    -------
    Job or None
        None where they are there already, or the predictions of a result are not. A job that
        failed or was cancelled is not queued again.
    """
    results = [pair.a.first, pair.b.first]
    lacking = not all(store.has("predictions", predictions_key_of(one)) for one in results)
    if lacking or stored_difference(pair, store) is not None:
        return None
    queue, key = JobQueue(store.root), difference_spec(pair).key()
    known = queue.table.find(key)
    if known is not None and known.state in ("failed", "cancelled"):
        return known
    a, b = results
    document = {"a": a.key, "b": b.key, "model": a.model, "subject": a.subject, "key": key}
    title = f"Difference of targets: {a.model} minus {b.model}, {a.data}, {a.subject}"
    return queue.submit(DIFFERENCE, key, document, title)


def run_queued_difference(
    document: Mapping[str, Any], store: Store, progress: Progress
) -> dict[str, Any]:
    """Do what :func:`queue_difference` asked for."""
    a, b = (EncodingResult.load(store.get("encoding", str(document[one]))) for one in "ab")
    pair = compare([a], [b])
    difference_tests(pair, store, progress)
    return {"kind": DIFFERENCE, "keys": [difference_spec(pair).key()]}
