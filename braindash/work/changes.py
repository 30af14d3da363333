"""Compares what a job was queued for with what its request means when it runs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from braindash.errors import InputError
from braindash.files import digest_json
from braindash.specs import Spec

PROMISED = "promised"
"""Field of a queued request that holds the specification it had then."""
# Fields that list things with a name, and what one of these is called.
_NAMED = {
    "train": "train story",
    "validation": "validation story",
    "test": "test story",
    "units": "units",
    "tasks": "task",
}


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
    changes = changes_between(promised, spec.canonical())
    if changes:
        raise InputError(
            "the data or the model changed after the job was queued: " + "; ".join(changes),
            hint="Put the files back and go on, or submit the request again: what it means now"
            " is a job and a result of its own.",
        )


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what differs between two canonical specifications of one kind; empty if nothing does."""
    return list(_changes(before, after))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted(before.keys() | after.keys()):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if field == "other_subjects":
            yield "other subjects of the ceiling: " + " -> ".join(map(_listed_subjects, (old, new)))
            continue
        noun = _NAMED.get(field)
        if noun is None:
            yield f"{field} was {old!r}, is {new!r}"
            continue
        was, now = ({_name(one): one for one in side or ()} for side in (old, new))
        for name in sorted(was.keys() | now.keys()):
            if name not in now:
                yield f"{noun} {name!r} is gone"
            elif name not in was:
                yield f"{noun} {name!r} is new"
            elif was[name] != now[name]:
                yield f"{noun} {name!r} differs in {_differing(was[name], now[name])}"
        if was == now:
            yield f"the {field} are in another order"


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the parts of a thing that differ, digests by their first digits."""
    parts = [part for part in was if was[part] != now.get(part)]
    return ", ".join(
        f"{part} ({was[part][:6]} -> {now[part][:6]})"
        if isinstance(was[part], str) and isinstance(now.get(part), str)
        else part
        for part in parts
    )


def _name(one: Mapping[str, Any]) -> str:
    """Name a thing; a story with its subject where a specification holds those of several."""
    subject = one.get("subject")
    return f"{one['name']} of {subject}" if subject else str(one["name"])


def _listed_subjects(others: Iterable[Mapping[str, Any]] | None) -> str:
    """Name subjects, each with the start of a digest of its responses."""
    names = [f"{one['subject']} ({digest_json(one['responses'])[:6]})" for one in others or ()]
    return ", ".join(names) or "none"
