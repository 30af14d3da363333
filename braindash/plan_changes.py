"""Compares what a job was queued for with what its request means when it runs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from braindash.digest import digest_json
from braindash.errors import InputError
from braindash.specs import Spec

PROMISED = "promised"
"""Field of a queued request that holds the specification it had then."""


def require_unchanged(spec: Spec, promised: Mapping[str, Any]) -> None:
    """Refuse a specification that is no longer the one a job was queued for.

    A manifest without a list of training stories takes what it finds: a recording that went away
    would otherwise give another result than the one the job is named after.

    Parameters
    ----------
    spec : Spec
        What the request means now.
    promised : mapping
        Canonical form of the specification when the job was queued.

    Raises
    ------
    InputError
        Names what changed.
    """
    changes = list(_changes(promised, spec.canonical()))
    if changes:
        raise InputError(
            "the data or the model changed after the job was queued: " + "; ".join(changes),
            hint="Put the files back and go on, or submit the request again: what it means now"
            " is a job and a result of its own.",
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted(before.keys() | after.keys()):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if field == "other_subjects":
            yield "other subjects of the ceiling: " + " -> ".join(map(_listed_subjects, (old, new)))
            continue
        if field not in ("train", "test"):
            yield f"{field} was {old!r}, is {new!r}"
            continue
        was, now = ({story["name"]: story for story in side or ()} for side in (old, new))
        for story in sorted(was.keys() | now.keys()):
            if story not in now:
                yield f"{field} story {story!r} is gone"
            elif story not in was:
                yield f"{field} story {story!r} is new"
            elif was[story] != now[story]:
                parts = [part for part in was[story] if was[story][part] != now[story].get(part)]
                yield f"{field} story {story!r} differs in {', '.join(parts)}"
        if was == now:
            yield f"the {field} stories are in another order"


def _listed_subjects(others: Iterable[Mapping[str, Any]] | None) -> str:
    """Name subjects, each with the start of a digest of its responses."""
    names = [f"{one['subject']} ({digest_json(one['responses'])[:6]})" for one in others or ()]
    return ", ".join(names) or "none"
