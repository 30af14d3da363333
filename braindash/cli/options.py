"""Options that several commands share, and how their values are read."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.table import Table
from rich.text import Text

from braindash.io.store import Store, default_root
from braindash.requests import Request
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


notes = Console(stderr=True)
_KEY_DIGITS = 8
# Of a column of a table, its edges included: what keeps the key whole.
_NARROWEST = 11


def plain(text: str) -> str:
    """Keep rich from reading brackets in ``text`` as its markup."""
    return text.replace("[", r"\[")


class _Bar:
    """Shows progress as a bar with the time that remains, on stderr."""

    def __init__(self, bar: RichBar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=1.0)

    def advance(self, done: float, total: float, message: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done / (total or 1.0), description=message)


@contextmanager
def progress_bar() -> Iterator[_Bar]:
    """Show a bar while the body works; it takes the reports of a pipeline."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with RichBar(*columns, console=notes, transient=True) as bar:
        yield _Bar(bar)


def print_json(document: Any) -> None:
    """Print one JSON document to stdout."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def print_rows(columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Print rows that have a ``key``: a table in a terminal, else one line each, with tabs.

    Keys are never cut: another program reads them, and people copy them. A terminal too narrow for
    the table gets the lines.
    """
    console = Console()
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column == "key", overflow="fold")
    for row in rows:
        shown = row | {"key": row["key"][:_KEY_DIGITS]}
        table.add_row(*[Text(str(shown[column])) for column in columns])
    if sys.stdout.isatty() and console.width >= _NARROWEST * len(columns):
        console.print(table)
        return
    for row in rows:
        typer.echo("\t".join(" ".join(str(row[column]).split()) for column in columns))


def print_damaged(place: object, problem: str) -> None:
    """Say on stderr, in one line, what cannot be read and why."""
    typer.echo(f"Damaged, not read: {place}: {problem}", err=True)


def print_preflight(found: Any, as_json: bool) -> None:
    """Print what a preflight found."""
    if as_json:
        print_json(found.as_dict())
        return
    for line in found.lines():
        typer.echo(line)


def carry_out(
    request: Request, store: Store, check_only: bool, as_json: bool, *, quiet: bool = False
) -> Any:
    """Run a request under a bar and return its result; or print what it would need: None."""
    from braindash.work import kinds

    if check_only:
        print_preflight(kinds.preflight(request, store), as_json)
        return None
    if quiet:
        return kinds.run(request, store)
    with progress_bar() as bar:
        return kinds.run(request, store, bar)
