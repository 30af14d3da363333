"""The command line: parse, make a request, hand it to the pipeline."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBar
from rich.table import Table

from braindash import __version__
from braindash.environment import let_threads_sleep
from braindash.errors import BraindashError
from braindash.io.store import Store, default_root
from braindash.requests import LOW_LEVEL_SPACE

app = typer.Typer(
    name="braindash",
    help="Layer-wise brain alignment of speech models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
jobs_app = typer.Typer(help="Watch and stop background jobs.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")

notes = Console(stderr=True)
INTERRUPTED = 130
_KEY_DIGITS = 8

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of results.", envvar="BRAINDASH_STORE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


def main() -> None:
    """Run the command line; a known error ends in one message and exit status 1."""
    let_threads_sleep()
    try:
        app()
    except BraindashError as problem:
        notes.print(f"[bold red]Error:[/] {_plain(problem.message)}", highlight=False)
        notes.print(f"[bold]What to do:[/] {_plain(problem.hint)}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        notes.print("Stopped. The same command goes on after the last finished part.")
        sys.exit(INTERRUPTED)


def _plain(text: str) -> str:
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
def _progress() -> Iterator[_Bar]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with RichBar(*columns, console=notes, transient=True) as bar:
        yield _Bar(bar)


@app.callback()
def _start(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=notes, show_path=False, markup=False)],
    )


def _store(root: Path | None) -> Store:
    return Store(root if root is not None else default_root())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def demo(
    store: StoreOption = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Compute here, without a browser.")
    ] = False,
    as_json: JsonOption = False,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
) -> None:
    """Compute the embedded demo (simulated data) and open it in the dashboard."""
    if headless or as_json:
        from braindash.pipeline import run_demo

        with _progress() as bar:
            results = run_demo(_store(store), bar)
        if as_json:
            _print_json({"results": [_result_document(result) for result in results]})
        else:
            _print_results(results)
        return
    from braindash.launch import run_dashboard, submit_demo

    submit_demo(_store(store))
    run_dashboard(_store(store), port=port)


@app.command(name="app")
def dashboard(
    store: StoreOption = None,
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
) -> None:
    """Open the dashboard on this machine."""
    from braindash.launch import run_dashboard

    run_dashboard(_store(store), port=port)


@app.command()
def encode(
    data: Annotated[Path, typer.Option(help="The data set's manifest (TOML).")],
    model: Annotated[str, typer.Option(help="Local model folder or hub id.")],
    subject: Annotated[str, typer.Option(help="A subject of the manifest.")],
    store: StoreOption = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the hub model.")] = None,
    strategy: Annotated[
        str, typer.Option(help="exact (causal, the reference) or chunk (quicker).")
    ] = "exact",
    alphas: Annotated[
        str | None, typer.Option(help="Comma-separated; 17 values from 1 to 1e8 by default.")
    ] = None,
    delays: Annotated[str, typer.Option(help="Comma-separated, in TRs.")] = "1,2,3,4",
    metric: Annotated[str, typer.Option(help="r2 or r, chooses alpha.")] = "r2",
    permutations: Annotated[
        int, typer.Option(help="Permutations of the test rows for p and q; 0: none.")
    ] = 1000,
    bootstraps: Annotated[
        int, typer.Option(help="Bootstrap samples of the test rows for intervals; 0: none.")
    ] = 1000,
    low_level: Annotated[
        str | None,
        typer.Option(help="residual or banded: how much low-level features explain as well."),
    ] = None,
    low_level_space: Annotated[
        str, typer.Option(help="The acoustic space that counts as low level.")
    ] = LOW_LEVEL_SPACE,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the regression.")] = None,
    check_only: Annotated[
        bool, typer.Option("--check", help="Only say what would be needed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score how well each layer of a model predicts one subject's responses."""
    from braindash.requests import build_request

    request = build_request(
        data=data,
        model=model,
        subject=subject,
        revision=revision,
        strategy=strategy,
        alphas=alphas and _numbers(alphas, float, "--alphas"),
        delays=_numbers(delays, int, "--delays"),
        metric=metric,
        n_permutations=permutations,
        n_bootstraps=bootstraps,
        low_level=low_level,
        low_level_space=low_level_space,
        device=device,
        threads=threads,
    )
    if check_only:
        from braindash.preflight import preflight

        _print_preflight(preflight(request, _store(store)), as_json)
        return
    from braindash.pipeline import run_encoding

    with _progress() as bar:
        result = run_encoding(request, _store(store), bar)
    if as_json:
        _print_json(_result_document(result))
    else:
        _print_results([result])


@app.command(name="list")
def list_results(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the results of a store."""
    entries = _store(store).entries()
    outdated = _store(store).count_outdated()
    if outdated:
        notes.print(
            f"Results of another version of braindash, not listed: {outdated}. Compute them "
            "again, or delete their folders."
        )
    rows = [
        {
            "key": entry.key,
            "kind": entry.kind,
            "model": entry.provenance["model"]["name"],
            "data": entry.provenance["data"]["name"],
            "of": entry.spec.get("subject") or entry.provenance.get("story", ""),
            "simulated": entry.provenance["data"]["simulated"],
            "created": entry.provenance["created"],
            "folder": str(entry.folder),
        }
        for entry in entries
    ]
    if as_json:
        _print_json(rows)
        return
    if not rows:
        notes.print(f"The store {_store(store).root} is empty. Try `braindash demo --headless`.")
        return
    _print_table(["key", "kind", "model", "data", "of", "simulated", "created"], rows)


@app.command(name="export")
def export_result(
    key: Annotated[str, typer.Argument(help="The result's key, or its first digits.")],
    to: Annotated[Path, typer.Option("--to", help="File or folder to write to.")] = Path("."),
    with_predictions: Annotated[
        bool, typer.Option("--with-predictions", help="Add the predictions of the test rows.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write one result to a file that another machine can import."""
    typer.echo(str(_store(store).export(key, to, with_predictions=with_predictions)))


@app.command(name="import")
def import_result(
    file: Annotated[Path, typer.Argument(help="A file that `braindash export` wrote.")],
    store: StoreOption = None,
) -> None:
    """Take over a result that another store exported."""
    typer.echo(str(_store(store).import_(file).folder))


@app.command(name="import-checkpoint")
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
    from braindash.speech.checkpoints import import_checkpoint

    record = import_checkpoint(file, base=base, out=out, revision=revision, lora_alpha=lora_alpha)
    if as_json:
        _print_json(record.as_dict() | {"folder": str(out)})
        return
    for line in record.lines():
        notes.print(_plain(line), highlight=False)
    typer.echo(str(out))


@jobs_app.command(name="list")
def list_jobs(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the background jobs of a store."""
    from braindash.jobs import JobQueue

    rows = [
        {
            "key": job.key,
            "title": job.title,
            "state": job.state,
            "progress": f"{job.progress:.0%}",
            "message": job.error or job.message,
        }
        for job in JobQueue(_store(store).root).list()
    ]
    if as_json:
        _print_json(rows)
    else:
        _print_table(["key", "title", "state", "progress", "message"], rows)


@jobs_app.command(name="cancel")
def cancel_job(
    key: Annotated[str, typer.Argument(help="The job's key.")], store: StoreOption = None
) -> None:
    """Ask a background job to stop; its finished parts are kept."""
    from braindash.jobs import JobQueue

    JobQueue(_store(store).root).cancel(key)


def _numbers(text: str, kind: type, option: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as problem:
        raise typer.BadParameter(
            f"{text!r} is not a comma-separated list", param_hint=option
        ) from (problem)


def _print_results(results: list[Any]) -> None:
    for result in results:
        table = result.regions()
        invalid = int((~result.valid).sum())
        typer.echo(result.provenance_line())
        typer.echo(f"{invalid} of {result.n_targets} targets have no score (constant or NaN)")
        wide = table.pivot(index="region", columns="layer", values="r")
        typer.echo(wide.loc[list(result.masks)].round(3).to_string(na_rep="-"))
        typer.echo(f"{result.folder}\n")


def _result_document(result: Any) -> dict[str, Any]:
    table = result.region_intervals().drop(columns=["model", "subject", "simulated"])
    table = table.astype(object)
    return {
        "key": result.key,
        "folder": str(result.folder),
        "model": result.model,
        "task": "encoding",
        "subject": result.subject,
        "simulated": result.simulated,
        "n_targets": result.n_targets,
        "n_without_score": int((~result.valid).sum()),
        "n_significant": result.significant().sum(axis=1).tolist()
        if result.has_significance
        else None,
        "ceilings": list(result.ceilings),
        "intervals": result.interval_line(),
        "provenance": result.provenance_line(),
        "regions": table.where(table.notna(), None).to_dict(orient="records"),
    }


def _print_preflight(found: Any, as_json: bool) -> None:
    if as_json:
        _print_json(found.as_dict())
        return
    for line in found.lines():
        typer.echo(line)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def _print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column == "key")
    for row in rows:
        shown = row | {"key": row["key"][:_KEY_DIGITS]}
        table.add_row(*[str(shown[column]) for column in columns])
    Console().print(table)


if __name__ == "__main__":
    main()
