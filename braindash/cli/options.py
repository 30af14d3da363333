"""Options that several commands share, and how their values are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

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


def numbers(text: str, kind: type, option: str) -> tuple[Any, ...]:
    """Read a comma-separated list; what is none is a usage error that names the option."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a comma-separated list", param_hint=option
        ) from error


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
