"""What commands print: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.table import Table
from rich.text import Text

from braindash.io.store import Store
from braindash.process import is_first_process
from braindash.requests import Request

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


def carry_out(request: Request, store: Store, check_only: bool, as_json: bool) -> Any:
    """Run a request under a bar and return its result; or print what it would need: None."""
    from braindash.work import kinds

    if check_only:
        print_preflight(kinds.preflight(request, store), as_json)
        return None
    if not is_first_process():
        return kinds.run(request, store)
    with progress_bar() as bar:
        return kinds.run(request, store, bar)
