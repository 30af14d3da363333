"""The commands ``braindash index`` and ``braindash data``: what a folder holds, and is it right."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import JsonOption, maybe_listed, print_json, progress_bar, say
from braindash.io.layouts.index import (
    finding_document,
    finding_lines,
    index_folder,
    write_manifest,
)
from braindash.names import given_path

app = typer.Typer(help="Data sets: whether they are right.")


@app.callback()
def _group() -> None:
    """Keep the group a group, as long as it has one command."""


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A manifest (TOML), or a folder of data.")],
    subject: Annotated[
        str | None,
        typer.Option(help="A subject of the manifest, or several with commas; all by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check files, numbers and times of a data set; exit status 1 where there is a fault.

    The responses are held against the sound at many lags: a wrong TR, a shifted onset, swapped
    stories and transposed arrays are found and named. No model is needed.
    """
    from braindash.checking.run import check_data, lines

    with progress_bar() as bar:
        report = check_data(data, maybe_listed(subject, "--subject"), progress=bar)
    if as_json:
        print_json(report.as_dict())
    else:
        say("\n".join(lines(report)))
    if report.verdict == "fault":
        sys.exit(1)


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
        say(line)
    if written is not None:
        say(f"Written: {written}")
    elif found.draft is not None:
        given = "" if audio is None else f" --audio {shlex.quote(str(audio))}"
        named = shlex.quote(str(folder))
        say(f"Its manifest: braindash index {named}{given} --write manifest.toml")
