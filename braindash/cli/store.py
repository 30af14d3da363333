"""Commands about stored results: list them, and move them between stores."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    JsonOption,
    ModelFilter,
    StoreOption,
    SubjectFilter,
    matches,
    notes,
    open_store,
    print_damaged,
    print_json,
    print_rows,
)
from braindash.io.store import LISTED_KINDS, DamagedEntry, Entry
from braindash.specs import older_version
from braindash.tuning.result import DamagedModel, damaged_models

KindOption = Annotated[str | None, typer.Option(help=f"Only {', '.join(LISTED_KINDS)}.")]


def list_results(
    store: StoreOption = None,
    kind: KindOption = None,
    model: ModelFilter = None,
    subject: SubjectFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List the results of a store, the newest first; in a pipe one line each, with tabs."""
    opened = open_store(store)
    if kind is not None and kind not in LISTED_KINDS:
        allowed = ", ".join(LISTED_KINDS)
        raise typer.BadParameter(f"{kind!r} is none of {allowed}", param_hint="--kind")
    newer = opened.count_newer()
    if newer:
        notes.print(f"Results of a newer braindash, not listed: {newer}. Update to see them.")
    entries = sorted(opened.entries(kind), key=lambda one: one.provenance["created"], reverse=True)
    chosen = [
        entry
        for entry in entries
        if matches(entry.provenance["model"]["name"], entry.spec, model, subject)
    ]
    damaged = opened.damaged(kind)
    models = damaged_models(opened) if kind in (None, "tuning") else []
    if as_json:
        unread = [*map(_damaged_row, damaged), *map(_damaged_model, models)]
        print_json([*map(_row, chosen), *unread])
        return
    if chosen:
        columns = ["key", "kind", "model", "data", "of", "simulated", "created", "older"]
        print_rows(columns, [*map(_row, chosen)])
    elif entries:
        notes.print(f"None of the {len(entries)} results in {opened.root} is of that.")
    else:
        notes.print(f"The store {opened.root} is empty. Try `braindash demo --headless`.")
    for one in damaged:
        print_damaged(one.folder, one.problem)
    for tuned in models:
        print_damaged(tuned.folder, tuned.problem)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "kind": entry.kind,
        "model": entry.provenance["model"]["name"],
        "data": entry.provenance["data"]["name"],
        "of": what_of(entry),
        "simulated": entry.provenance["data"]["simulated"],
        "created": entry.provenance["created"],
        "older": older_version(entry.kind, entry.spec),
        "folder": str(entry.folder),
        "damaged": None,
    }


_UNKNOWN = dict.fromkeys(("model", "data", "of", "simulated", "created", "older"))


def _damaged_row(entry: DamagedEntry) -> dict[str, Any]:
    known = {"key": entry.key, "kind": entry.kind, "folder": str(entry.folder)}
    return known | _UNKNOWN | {"damaged": entry.problem}


def _damaged_model(model: DamagedModel) -> dict[str, Any]:
    """Describe a tuned model whose record cannot be read; it has a name in place of a key."""
    known = {"key": model.folder.name, "kind": "tuning", "folder": str(model.folder)}
    return known | _UNKNOWN | {"damaged": model.problem}


def what_of(entry: Entry) -> str:
    """Say of whom or what a result is: a subject or several, a story, or tasks."""
    if entry.kind == "probing":
        asked = entry.provenance.get("tasks")  # without those that the sound did not allow
        names = [task["name"] for task in entry.spec["tasks"]]
        return ", ".join(one for one in names if not isinstance(asked, dict) or one in asked)
    if entry.kind == "tuning":
        return ", ".join(entry.spec["subjects"])
    return str(entry.spec.get("subject") or entry.provenance.get("story") or "")


def export_result(
    key: Annotated[str, typer.Argument(help="The result's key, or its first digits.")],
    to: Annotated[Path, typer.Option("--to", help="File or folder to write to.")] = Path("."),
    with_predictions: Annotated[
        bool, typer.Option("--with-predictions", help="Add the predictions of the test rows.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write one result to a file that another machine can import."""
    opened = open_store(store)
    typer.echo(str(opened.export(key, to, with_predictions=with_predictions)))
    folder = opened.find(key).provenance.get("model_folder")
    if folder is not None:
        notes.print(
            f"The file holds the course of the training. The tuned model itself is a folder, which "
            f"opens anywhere: copy {opened.root / folder}"
        )


def import_result(
    file: Annotated[Path, typer.Argument(help="A file that `braindash export` wrote.")],
    store: StoreOption = None,
) -> None:
    """Take over a result that another store exported."""
    typer.echo(str(open_store(store).import_(file).folder))
