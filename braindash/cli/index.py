"""The command ``braindash index``: what a folder of data holds, and the manifest it gives."""

from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import JsonOption, print_json
from braindash.io.layouts.index import (
    finding_document,
    finding_lines,
    index_folder,
    write_manifest,
)
from braindash.names import given_path


def index(
    folder: Annotated[Path, typer.Argument(help="Folder of data, of any known layout.")],
    audio: Annotated[
        Path | None, typer.Option(help="Another folder with the sounds, where they lie apart.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the manifest to this file, which must be new.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a folder holds, what is missing and what is not used; write its manifest.

    Known are the layouts of the page "Public data sets", derivatives in BIDS form, and folders with
    a manifest. Nothing is fetched, and no response is read.
    """
    found = index_folder(folder, audio)
    written = None
    if write is not None:
        written = given_path(write, exact=True)
        write_manifest(found, written)
    if as_json:
        print_json(finding_document(found, written))
        return
    for line in finding_lines(found):
        typer.echo(line)
    if written is not None:
        typer.echo(f"Written: {written}")
    elif found.draft is not None:
        given = "" if audio is None else f" --audio {audio}"
        typer.echo(f"Its manifest: braindash index {folder}{given} --write manifest.toml")
