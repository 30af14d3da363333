"""The commands ``braindash data``: whether a data set is right."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import JsonOption, maybe_listed, print_json, progress_bar

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
        typer.echo("\n".join(lines(report)))
    if report.verdict == "fault":
        sys.exit(1)
