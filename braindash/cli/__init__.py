"""The command line: parse, make a request, hand it to the pipeline.

One module per group of commands; :data:`app` lists them all.
"""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from braindash import __version__
from braindash.cli import data, demo, encode, jobs, predict, probe, regions, take_away, tune
from braindash.cli import models as checkpoints
from braindash.cli import report as reports
from braindash.cli import store as results
from braindash.cli.cluster import machine
from braindash.cli.cluster import submit as handing
from braindash.cli.options import notes, plain
from braindash.cli.studies import commands as studies
from braindash.core.devices import tell_memory
from braindash.errors import BraindashError, printable
from braindash.files import disk_errors
from braindash.jobs.place import JOBS_VARIABLE
from braindash.names import given_path
from braindash.process import let_threads_sleep, require_platform

__all__ = ["app", "main"]

INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

app = typer.Typer(
    name="braindash",
    help="Layer-wise brain alignment of speech models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Printable(logging.Formatter):
    """Messages hold names from files."""

    def format(self, record: logging.LogRecord) -> str:
        """Write what a terminal would obey."""
        return printable(super().format(record))


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


JobsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--jobs",
        envvar=JOBS_VARIABLE,
        help="The database of background jobs, on a disk of this machine; by default in the store, "
        "or in the user's state folder where the store is on a file system of several machines.",
    ),
]


@app.callback()
def _start(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
    ] = False,
    jobs_file: JobsFileOption = None,
) -> None:
    if jobs_file is not None:  # whatever is started from here goes by it too
        os.environ[JOBS_VARIABLE] = str(given_path(jobs_file, exact=True).absolute())
    shown = RichHandler(console=notes, show_path=False, markup=False)
    shown.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[shown])


@app.command(name="version")
def print_version() -> None:
    """Print the version."""
    typer.echo(__version__)


app.command(name="demo")(demo.demo)
app.command(name="app")(demo.dashboard)
app.command(name="index")(data.index)
app.command(name="encode")(encode.encode)
app.command(name="probe")(probe.probe)
app.command(name="tune")(tune.tune)
app.command(name="predict")(predict.predict)
app.command(name="list")(results.list_results)
app.command(name="export")(results.export_result)
app.command(name="report")(reports.report)
app.command(name="rerun")(reports.rerun)
app.command(name="import")(results.import_result)
app.command(name="import-checkpoint")(checkpoints.take_over_checkpoint)
app.command(name="show")(regions.show_result)
app.command(name="take-away")(take_away.take_away)
app.command(name="worker")(machine.worker)
app.command(name="submit", context_settings=handing.SUBMIT_SETTINGS)(handing.submit)
app.command(name="doctor")(machine.doctor)
app.add_typer(jobs.app, name="jobs")
app.add_typer(results.app, name="store")
app.add_typer(regions.app, name="regions")
app.add_typer(data.app, name="data")
app.add_typer(studies.app, name="study")
app.add_typer(checkpoints.app, name="models")


def main() -> None:
    """Run the command line; a known error ends in one message and exit status 1."""
    let_threads_sleep()
    try:
        require_platform()
        with _machine_told():
            app()
    except BraindashError as error:
        notes.print(f"[bold red]Error:[/] {plain(error.message)}", highlight=False)
        notes.print(f"[bold]What to do:[/] {plain(error.hint)}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        notes.print("Stopped. The same command goes on after the last finished part.")
        sys.exit(INTERRUPTED)


@contextmanager
def _machine_told() -> Iterator[None]:
    """Say in words that memory or the disk ran out, wherever nobody else does."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError, ImportError) as error:
        tell_memory(error, "what was asked for")
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            with disk_errors(Path(error.filename or Path.cwd()), "or choose another place"):
                raise
        raise
