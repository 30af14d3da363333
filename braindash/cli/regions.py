"""The commands ``braindash regions`` and ``braindash show``: region sets, and results in them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.encode import print_results, result_document
from braindash.cli.options import (
    HemisphereOption,
    JsonOption,
    RegionsOption,
    StoreOption,
    notes,
    open_store,
    plain,
    print_json,
    print_rows,
    say,
)
from braindash.encoding.result import EncodingResult
from braindash.io.regions.sets import (
    FAMILIES,
    RegionSet,
    fetch_set,
    find_set,
    known_sets,
    take_over,
)
from braindash.io.regions.sources import home
from braindash.names import given_path

app = typer.Typer(help="Region sets: what there is, and what each needs.")

NameArgument = Annotated[str, typer.Argument(help="A region set, such as hcp-mmp1.")]


@app.callback(invoke_without_command=True)
def list_sets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the region sets, with what each needs; in a pipe one line each, with tabs."""
    if context.invoked_subcommand is not None:
        return
    found = [_document(one) for one in known_sets().values()]
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "key": one["name"],
            "regions": one["title"],
            "source": one["source"],
            "licence": one["licence"],
            "needs": one["needs"] or "ready",
        }
        for one in found
    ]
    print_rows(["key", "regions", "source", "licence", "needs"], rows, whole_keys=True)
    for name, told in FAMILIES.items():
        notes.print(f"{name}: {told}", highlight=False)
    notes.print(f"Label files lie in {home()}.", highlight=False)


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a region set: its source, its licence, its files, its regions and their labels."""
    one = find_set(name)
    document = _document(one)
    if as_json:
        print_json(document)
        return
    say(f"{one.name}: {one.title}\nSource: {one.source}\nLicence: {one.licence}")
    say(f"Space: {one.space}")
    if one.note:
        say(f"Note: {one.note}")
    for file in document["files"]:
        say(f"File: {file['path'] or file['name'] + ', not here; from ' + file['where']}")
    for region in document["regions"]:
        labels = one.groups.get(region)
        say(f"  {region}: {', '.join(labels)}" if labels else f"  {region}")
    if not document["regions"]:
        say("  every label of its files is a region")
    if one.terms:
        say(f"\n{one.terms}")


@app.command()
def fetch(
    name: NameArgument,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read the licence and accept it.")
    ] = False,
) -> None:
    """Fetch the files of a region set, once its licence is accepted; checked by digest."""
    one = find_set(name)
    if not one.is_ready and one.fetch is not None:
        notes.print(plain(one.terms), highlight=False)
    for path in fetch_set(name, accepted=accept_licence):
        say(str(path))


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(help="A set that needs files, or a new name for label files of yours.")
    ],
    left: Annotated[Path, typer.Argument(help="Label file of the left hemisphere.")],
    right: Annotated[Path, typer.Argument(help="Label file of the right hemisphere.")],
) -> None:
    """Take over label files (.annot, .label.gii, .npy), for a known set or as one of your own."""
    one = take_over(name, given_path(left), given_path(right))
    for path in one.paths:
        say(str(path))


def _document(one: RegionSet) -> dict[str, Any]:
    """Describe a set as JSON values."""
    paths = dict(zip((file.name for file in one.files), one.paths, strict=False))
    return {
        "name": one.name,
        "title": one.title,
        "source": one.source,
        "licence": one.licence,
        "space": one.space,
        "ready": one.is_ready,
        "needs": one.needs(),
        "fetched_on_consent": one.fetch is not None,
        "files": [
            {
                "name": file.name,
                "where": file.where,
                "path": str(paths[file.name]) if file.name in paths else None,
            }
            for file in one.files
        ],
        "regions": list(one.region_names),
        "labels": {name: list(labels) for name, labels in one.groups.items()},
        "note": one.note,
        "plugin": one.plugin,
    }


def show_result(
    key: Annotated[str, typer.Argument(help="Key of an encoding result, or its first digits.")],
    regions: RegionsOption = None,
    hemisphere: HemisphereOption = None,
    data: Annotated[Path | None, typer.Option(help="The manifest, for the region set own.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an encoding result by region; replicates that a set lacks are computed and kept."""
    opened = open_store(store)
    result = EncodingResult.load(opened.find(key))
    if as_json:
        print_json(result_document(result, opened, regions, data, hemisphere))
    else:
        print_results([result], opened, regions, hemisphere, data)
