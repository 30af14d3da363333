"""Commands about stored results: list them, and move them between stores."""

from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import JsonOption, StoreOption, open_store
from braindash.cli.output import notes, print_json, print_table
from braindash.io.store import Entry
from braindash.specs import older_version


def list_results(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the results of a store."""
    opened = open_store(store)
    entries = opened.entries()
    newer = opened.count_newer()
    if newer:
        notes.print(f"Results of a newer braindash, not listed: {newer}. Update to see them.")
    rows = [
        {
            "key": entry.key,
            "kind": entry.kind,
            "model": entry.provenance["model"]["name"],
            "data": entry.provenance["data"]["name"],
            "of": _what_of(entry),
            "simulated": entry.provenance["data"]["simulated"],
            "created": entry.provenance["created"],
            "older": older_version(entry.kind, entry.spec),
            "folder": str(entry.folder),
        }
        for entry in entries
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        notes.print(f"The store {opened.root} is empty. Try `braindash demo --headless`.")
        return
    print_table(["key", "kind", "model", "data", "of", "simulated", "created"], rows)


def _what_of(entry: Entry) -> str:
    """Say of whom or what a result is: a subject, a story, or tasks."""
    if entry.kind == "probing":
        return ", ".join(task["name"] for task in entry.spec["tasks"])
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
