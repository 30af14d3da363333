"""Options that several commands share, and how their values are read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel

from braindash.io.store import Store, default_root
from braindash.speech.acoustic.spaces import space_names

LOOPBACK = "127.0.0.1"
PORT = 8501

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of results.", envvar="BRAINDASH_STORE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Only say what would be needed.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of the hub model.")]
PrecisionOption = Annotated[
    str, typer.Option(help="float32; bf16 or fp16 on a CUDA device: quicker, other features.")
]
ModelOption = Annotated[
    str,
    typer.Option(
        help="Local folder (of a whole model or a LoRA adapter), hub id, untrained:MODEL[@SEED] or "
        f"acoustic:NAME, of {', '.join(space_names())}."
    ),
]
StrategyOption = Annotated[
    str, typer.Option(help="exact (causal, the reference) or chunk (quicker).")
]

ModelFilter = Annotated[str | None, typer.Option(help="Only where this is in the model's name.")]
SubjectFilter = Annotated[str | None, typer.Option(help="Only of this subject.")]


def open_store(root: Path | None) -> Store:
    """Open the store that was named, or the usual one."""
    return Store(root if root is not None else default_root())


def listed(text: str, option: str, kind: Callable[[str], Any] = str) -> tuple[Any, ...]:
    """Read a comma-separated list; empty parts, as after a last comma, are left out.

    Parameters
    ----------
    text : str
        What was given.
    option : str
        By which option, for the error.
    kind : callable, optional
        Turns a part into a value.

    Raises
    ------
    typer.BadParameter
        Nothing is left, or a part is no such value.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise typer.BadParameter(f"{text!r} names nothing", param_hint=option)
    try:
        return tuple(kind(part) for part in parts)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a comma-separated list of numbers", param_hint=option
        ) from error


def maybe_listed(text: str | None, option: str) -> tuple[str, ...] | None:
    """Read a comma-separated list as :func:`listed` does; None where the option was not given."""
    return None if text is None else listed(text, option)


def named_value(text: str, option: str) -> tuple[str, str]:
    """Read NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name.strip(), value.strip()


def settings(given: Sequence[str], option: str, *forms: type[BaseModel]) -> dict[str, Any]:
    """Read fields of requests that have no option of their own, each as NAME=VALUE.

    Parameters
    ----------
    given : sequence of str
        Values are checked with all other fields of the request; lists are comma-separated.
    option : str
        By which option, for the error.
    *forms : type
        The request and its parts, which know what is a list.

    Returns
    -------
    dict
    """
    fields = {name: field for form in forms for name, field in form.model_fields.items()}
    found: dict[str, Any] = {}
    for one in given:
        name, value = named_value(one, option)
        name = name.replace("-", "_")
        several = name in fields and _is_list(fields[name].annotation)
        found[name] = listed(value, option) if several else value
    return found


def _is_list(annotation: Any) -> bool:
    """Say whether a field takes a list, or a list or nothing."""
    return any(get_origin(one) is tuple for one in (annotation, *get_args(annotation)))


def matches(name: str, asked: Mapping[str, Any], model: str | None, subject: str | None) -> bool:
    """Say whether a result or a job passes the filters of a list.

    Parameters
    ----------
    name : str
        Of its model.
    asked : mapping
        Its specification or request.
    model, subject : str or None
        Part of the model's name, in any case; a subject. None: any.
    """
    subjects = asked.get("subjects") or [asked.get("subject")]
    named = model is None or model.casefold() in name.casefold()
    return named and (subject is None or subject in subjects)
