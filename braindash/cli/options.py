"""Options that several commands share, and how their values are read."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.io.store import Store, default_root
from braindash.speech.acoustic.spaces import space_names

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
