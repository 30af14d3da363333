"""Options that several commands share, and how their values are read."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.table import Table
from rich.text import Text

from braindash.errors import printable
from braindash.io.regions.masks import Hemisphere
from braindash.io.store import Store, default_root
from braindash.requests import Request
from braindash.specs import PRECISIONS
from braindash.speech.acoustic.spaces import space_names
from braindash.speech.windows import STRATEGIES


def choices(meanings: Mapping[Any, str]) -> str:
    """Return an option's help: its values, each with what it means."""
    return "; ".join(f"{name}: {text.rstrip('.')}" for name, text in meanings.items()) + "."


StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of results.", envvar="BRAINDASH_STORE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Only say what would be needed.")]
QueueOption = Annotated[
    bool,
    typer.Option(
        "--queue",
        help="Leave it to a background process, which goes on when the terminal is closed "
        "(`braindash jobs list`).",
    ),
]
Way = Literal["run", "check", "queue"]
LeaveOutOption = Annotated[
    bool,
    typer.Option(
        "--leave-out-bad",
        help="Go on without recordings that cannot be used; they are listed in the provenance.",
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(
        help="The data set's manifest (TOML), or its folder: with a manifest, or of a known layout."
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of the hub model.")]
PrecisionOption = Annotated[str, typer.Option(help=choices(PRECISIONS))]
ModelOption = Annotated[
    str,
    typer.Option(
        help="Local folder (of a whole model or a LoRA adapter), hub id, either with the "
        "language of an adapter beside it (MODEL@LANG), untrained:MODEL@SEED (@SEED may "
        f"be left out) or acoustic:NAME, of {', '.join(space_names())}; words:FILE or "
        "text:FOLDER, with annotated words."
    ),
]
CoresOption = Annotated[
    int | None,
    typer.Option(
        "--threads", help="Processor cores to take, for parts side by side; all by default."
    ),
]
StrategyOption = Annotated[
    str, typer.Option(help=choices({one.name: one.description for one in STRATEGIES.values()}))
]

RegionsOption = Annotated[
    str | None,
    typer.Option(
        "--regions",
        "--region-set",
        help="Region set of the printed means, as `braindash regions` lists them, or own: the "
        "manifest's; by default the usual one. No part of any key.",
    ),
]
HemisphereOption = Annotated[
    Hemisphere | None,
    typer.Option(
        help="Side of the printed means: both, left or right; both by default, with --json each."
    ),
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


def keep(found: dict[str, Any], name: str, value: Any, option: str) -> None:
    """Keep the value of a name that may be given several times, if it is the same each time.

    Raises
    ------
    typer.BadParameter
        It has another value already.
    """
    if name in found and found[name] != value:
        raise typer.BadParameter(
            f"{name} is given twice: {found[name]!r} and {value!r}", param_hint=option
        )
    found[name] = value


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
        keep(found, name, listed(value, option) if several else value, option)
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
    several = asked.get("subjects")
    subjects = several if isinstance(several, list) and several else [asked.get("subject")]
    named = model is None or model.casefold() in name.casefold()
    return named and (subject is None or subject in subjects)


notes = Console(stderr=True)
_KEY_DIGITS = 8
# Of a column of a table, its edges included: what keeps the key whole.
_NARROWEST = 11


def plain(text: str) -> str:
    """Keep rich from reading brackets in ``text`` as its markup, and a terminal its controls."""
    return printable(text).replace("[", r"\[")


class _Bar:
    """Shows progress as a bar with the time that remains, on stderr."""

    def __init__(self, bar: RichBar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=1.0)

    def advance(self, done: float, total: float, message: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done / (total or 1.0), description=plain(message))


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


def say(text: str, *, err: bool = False) -> None:
    """Print a text; what files and their names hold moves no cursor and colours nothing."""
    typer.echo(printable(text), err=err)


def print_json(document: Any) -> None:
    """Print one JSON document to stdout."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def print_rows(columns: list[str], rows: list[dict[str, Any]], *, whole_keys: bool = False) -> None:
    """Print rows that have a ``key``: a table in a terminal, else one line each, with tabs.

    Keys are never cut: another program reads them, and people copy them (in a terminal the first
    digits, unless ``whole_keys``). A terminal too narrow for the table gets the lines.
    """
    console = Console()
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column == "key", overflow="fold")
    for row in rows:
        shown = row | {"key": row["key"] if whole_keys else row["key"][:_KEY_DIGITS]}
        table.add_row(*[Text(printable(str(shown[column]))) for column in columns])
    if sys.stdout.isatty() and console.width >= _NARROWEST * len(columns):
        console.print(table)
        return
    for row in rows:
        say("\t".join(" ".join(str(row[column]).split()) for column in columns))


def print_damaged(place: object, problem: str) -> None:
    """Say on stderr, in one line, what cannot be read and why."""
    say(f"Damaged, not read: {place}: {problem}", err=True)


def way_of(check_only: bool, queue: bool) -> Way:
    """Say what is done with a request, from the options that name it."""
    if check_only and queue:
        raise typer.BadParameter("--check only tells, and --queue runs", param_hint="--queue")
    return "check" if check_only else "queue" if queue else "run"


def carry_out(
    request: Request, store: Store, way: Way, as_json: bool, *, quiet: bool = False
) -> Any:
    """Run a request under a bar and return its result; or queue it or print its needs: None."""
    from braindash.work import kinds

    if way == "queue":
        _queue([request], store, as_json)
        return None
    if way == "check":
        found = kinds.preflight(request, store)
        if as_json:
            print_json(found.as_dict())
        else:
            say("\n".join(found.lines()))
        return None
    if quiet:
        return kinds.run(request, store)
    with progress_bar() as bar:
        return kinds.run(request, store, bar)


def carry_out_all(
    requests: Mapping[str, Request], store: Store, way: Way, as_json: bool
) -> list[Any]:
    """Run several requests together, under one bar; or queue them or print each one's needs."""
    from braindash.work import kinds

    if way == "run":
        with progress_bar() as bar:
            return kinds.run_all(list(requests.values()), store, bar)
    if way == "queue":
        _queue(list(requests.values()), store, as_json)
        return []
    needs = {name: kinds.preflight(request, store) for name, request in requests.items()}
    if as_json:
        print_json({name: found.as_dict() for name, found in needs.items()})
    else:
        for name, found in needs.items():
            say("\n    ".join([f"{name}:", *found.lines()]))
    return []


TakeOver = Callable[[Sequence[Request], Store, bool, str], None]
"""Takes requests in place of this machine's queue, with whether to print JSON, and a title."""
_taker: ContextVar[TakeOver | None] = ContextVar("taker", default=None)


@contextmanager
def taking_over(take: TakeOver) -> Iterator[None]:
    """Let what the commands of the body would queue here be taken by somebody else."""
    token = _taker.set(take)
    try:
        yield
    finally:
        _taker.reset(token)


def is_taken_over(requests: Sequence[Request], store: Store, as_json: bool, title: str) -> bool:
    """Give requests to whoever takes them in place of this machine's queue, if somebody does."""
    take = _taker.get()
    if take is not None:
        take(requests, store, as_json, title)
    return take is not None


def _queue(requests: Sequence[Request], store: Store, as_json: bool) -> None:
    """Make jobs of requests and say their keys."""
    from braindash.work.submit import submit

    if is_taken_over(requests, store, as_json, ""):
        return
    jobs = [submit(request, store) for request in requests]
    if as_json:
        print_json([{"key": job.key, "title": job.title, "state": job.state} for job in jobs])
        return
    for job in jobs:
        say(f"{job.key}\t{job.state}\t{job.title}")
    notes.print("`braindash jobs list` and the page Jobs show how far they are.", highlight=False)
