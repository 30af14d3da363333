"""The commands ``braindash study``: many models, subjects and settings as one thing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    CoresOption,
    HemisphereOption,
    JsonOption,
    StoreOption,
    is_taken_over,
    listed,
    notes,
    open_store,
    plain,
    print_json,
    progress_bar,
    say,
)
from braindash.io.store import Store
from braindash.studies.record import StudyRecord

app = typer.Typer(
    name="study",
    help="Many models, subjects and settings as one thing, described by a TOML file.",
    no_args_is_help=True,
)

DEMO = "demo"
StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="The study's TOML file; the name of one that the store knows; or demo: the embedded "
        "one (simulated data).",
    ),
]
FormatOption = Annotated[
    str, typer.Option("--format", help="Of figures: any of svg, pdf, png, comma-separated.")
]
RegionSet = Annotated[
    str | None,
    typer.Option(
        "--regions", help="Region set of the figures; that of the study's file, or the usual one."
    ),
]
StudyDevice = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


@app.command()
def run(
    study: StudyArgument,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="Queue what is missing as background jobs, one a result."),
    ] = False,
    device: StudyDevice = "auto",
    threads: CoresOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what is missing of a study; the same command goes on after an interruption."""
    from braindash.work.studies import queue_study, run_study

    opened = open_store(store)
    asked = _study(study, opened)
    if queue:
        with progress_bar() as bar:
            plan = asked.plan(opened, bar)
        requests = [one.plan.request for one in plan.missing]
        if is_taken_over(requests, opened, as_json, asked.tables.title):
            _note(plan, opened)
            if plan.waiting:
                rest = f"{len(plan.waiting)} results wait for models to be tuned: submit again then"
                notes.print(plain(rest), highlight=False)
            return
        jobs = queue_study(plan, opened)
        _note(plan, opened)
        told = {"study": asked.name, "queued": [job.key for job in jobs]}
        _print(told, [f"{len(jobs)} jobs are queued; `braindash jobs list` shows them"], as_json)
        return
    with progress_bar() as bar:
        found = run_study(
            asked, store=opened, device=_device(device), threads=threads, progress=bar
        )
    for text in found.notes:
        notes.print(plain(f"note: {text}"), highlight=False)
    told = {
        "study": asked.name,
        "results": list(found.keys),
        "missing": [one.told() for one in found.missing],
    }
    absent = f", {len(found.missing)} are missing" if found.missing else ""
    lines = [
        f"{asked.tables.title}: {len(found.keys)} results{absent}",
        f"figures: `braindash study export {study}`, or the page Studies of `braindash app`",
    ]
    _print(told, lines, as_json)


@app.command()
def show(
    study: StudyArgument,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a study asks for, what of it is stored, and what the rest would take."""
    opened = open_store(store)
    record = _known(study, opened)
    if record is not None:
        missing = record.missing(opened)
        told: dict[str, Any] = {
            "study": record.name,
            "title": record.tables.title,
            "results": record.n_results,
            "missing": [one.told() for one in missing],
        }
        lines = [
            f"{record.tables.title} (of {record.file}, looked up {record.written})",
            f"{record.n_results - len(missing)} of {record.n_results} results are stored",
            *(f"missing: {one.told()}" for one in missing),
        ]
        _print(told, lines, as_json)
        return
    from braindash.work.studies import study_needs

    asked = _study(study, opened)
    with progress_bar() as bar:
        plan = asked.plan(opened, bar)
    _note(plan, opened)
    needs = study_needs(plan, opened)
    told = {
        "study": asked.name,
        "title": asked.tables.title,
        "results": len(plan.results),
        "missing": [one.wanted.told() for one in plan.missing],
        "seconds": needs.seconds,
        "memory": needs.memory,
        "disk": needs.disk,
        "warnings": list(needs.warnings),
    }
    _print(told, [asked.tables.title, *plan.lines(), *needs.lines()], as_json)


@app.command()
def export(
    study: StudyArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="New folder; by default braindash-study- and the name, here."),
    ] = None,
    formats: FormatOption = "svg,pdf,png",
    with_results: Annotated[
        bool,
        typer.Option(
            "--with-results",
            help="Add the results themselves, which `braindash study import` of another store "
            "takes over.",
        ),
    ] = False,
    regions: RegionSet = None,
    hemisphere: HemisphereOption = None,
    store: StoreOption = None,
) -> None:
    """Write a study's figures, tables and its HTML page to a new folder, to keep or to share.

    Nothing is computed: what is missing is named in the page.
    """
    from braindash.exports.studies.folder import export_study
    from braindash.exports.studies.items import StudyFigures, default_choice
    from braindash.work.studies import exported_results, require_some, study_results

    opened = open_store(store)
    record = _known(study, opened)
    if record is None:
        with progress_bar() as bar:
            record = _note(_study(study, opened).plan(opened, bar), opened)
    found = study_results(record, opened, regions=regions, hemisphere=hemisphere)
    require_some(record, found)
    task = record.tables.figures.task
    figures = StudyFigures(found, default_choice(found), opened, task=task)
    place = to or Path(f"braindash-study-{record.name}")
    kept = record

    def add(folder: Path) -> None:
        exported_results(kept, opened, folder)

    with progress_bar() as bar:
        written = export_study(
            figures,
            record,
            place,
            formats=listed(formats, "--format"),
            add=add if with_results else None,
            progress=bar,
        )
    say(str(written))


@app.command(name="import")
def take_over(
    folder: Annotated[Path, typer.Argument(help="What `study export --with-results` wrote.")],
    store: StoreOption = None,
) -> None:
    """Take over a shared study: its results and its figures, without its data or models."""
    from braindash.work.studies import import_study

    record, count = import_study(folder, open_store(store))
    say(f"{record.tables.title}: {count} results; `braindash study show {record.name}`")


@app.command(name="list")
def list_studies(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the studies that a store knows."""
    from braindash.cli.options import print_damaged
    from braindash.studies.record import list_records

    opened = open_store(store)
    found, damaged = list_records(opened)
    rows = [
        {
            "name": one.name,
            "title": one.tables.title,
            "results": one.n_results,
            "missing": len(one.missing(opened)),
            "file": one.file,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
    for one in () if as_json else found:
        stored = one.n_results - len(one.missing(opened))
        say(f"{one.name}\t{stored} of {one.n_results}\t{one.tables.title}")
    for place, problem in damaged.items():
        print_damaged(place, problem)


# ---- small parts ----------------------------------------------------------------------------


def _study(text: str, store: Store) -> Any:
    """Load a study by its file, or the embedded one."""
    from braindash.studies.study import Study

    if text == DEMO:
        from braindash.demo.study import demo_study

        with progress_bar() as bar:
            return demo_study(store, bar)
    return Study.load(_file(text, store))


def _file(text: str, store: Store) -> Path:
    """Return the file of a study; of one that is named, where it lay."""
    from braindash.studies.record import open_record

    place = Path(text)
    return place if place.suffix or place.exists() else Path(open_record(text, store).file)


def _known(text: str, store: Store) -> StudyRecord | None:
    """Open a study of the store where a name is given; None for a file and for the demo."""
    from braindash.studies.record import open_record

    place = Path(text)
    is_name = not place.suffix and not place.exists() and text != DEMO
    return open_record(text, store) if is_name else None


def _note(plan: Any, store: Store) -> StudyRecord:
    from braindash.studies.record import note_study

    return note_study(plan, store)


def _device(text: str) -> Any:
    from braindash.errors import InputError, near_match

    if text not in ("auto", "cpu", "cuda"):
        raise InputError(
            f"there is no device {text!r}", hint=near_match(text, ("auto", "cpu", "cuda"))
        )
    return text


def _print(told: dict[str, Any], lines: list[str], as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        say("\n".join(lines))
