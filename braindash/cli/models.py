"""Commands about model checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import JsonOption, notes, plain, print_json


def take_over_checkpoint(
    file: Annotated[Path, typer.Argument(help="A brain-tuned state dictionary (.pth).")],
    base: Annotated[str, typer.Option(help="The model that was tuned: local folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    revision: Annotated[str | None, typer.Option(help="Revision of a hub base.")] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="Alpha of low-rank adapters; 32 by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published brain-tuned checkpoint to a model folder for --model."""
    from braindash.speech.checkpoints.published import import_checkpoint

    record = import_checkpoint(file, base=base, out=out, revision=revision, lora_alpha=lora_alpha)
    if as_json:
        print_json(record.as_dict() | {"folder": str(out)})
        return
    for line in record.lines():
        notes.print(plain(line), highlight=False)
    typer.echo(str(out))
