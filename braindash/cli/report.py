"""Commands about what becomes of results: a report of them, and computing one again."""

from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.options import (
    CoresOption,
    DeviceOption,
    HemisphereOption,
    JsonOption,
    StoreOption,
    named_value,
    notes,
    open_store,
    plain,
    print_json,
    progress_bar,
    say,
)


def report(
    keys: Annotated[
        list[str],
        typer.Argument(help="The results' keys, or their first digits: the first models are A, B."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The file to write; one that is there is replaced."),
    ] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Of the report; its models and data if none.")] = "",
    maps: Annotated[
        int | None,
        typer.Option(help="Carry the maps of so many models only, the first ones; 0: none."),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            "--regions", help="Region set, as `braindash regions` lists them; discs if none."
        ),
    ] = None,
    hemisphere: HemisphereOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how large it would be, part by part.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write results as one HTML file with surfaces, curves, methods and provenance.

    It opens from disk, without a server or a network: whoever gets it needs a browser only.
    """
    import braindash

    opened = open_store(store)
    found = [braindash.open_result(key, store=opened) for key in dict.fromkeys(keys)]
    if regions is not None or hemisphere is not None:
        side = hemisphere or "both"
        found = [
            braindash.with_regions(one, regions, side, store=opened)
            if isinstance(one, braindash.EncodingResult)
            else one
            for one in found
        ]
    made = braindash.report(
        found, None if dry_run else output, title=title, maps=maps, store=opened
    )
    told = made.as_dict() | {"file": None if dry_run else str(output)}
    if as_json:
        print_json(told)
        return
    for line in made.lines():
        notes.print(plain(line), highlight=False)
    if not dry_run:
        say(str(output))


DIFFERENT = 1


def rerun(
    key: Annotated[str, typer.Argument(help="The result's key, or its first digits.")],
    data: Annotated[
        Path | None, typer.Option(help="The manifest, where it lies elsewhere than it did.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model, where it lies elsewhere than it did.")
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="NAME=PATH: where another input lies now (labels_path, categories, word_vectors, "
            "words); may be given several times.",
        ),
    ] = None,
    keep_features: Annotated[
        bool,
        typer.Option("--keep-features", help="Take stored features as they are: much quicker."),
    ] = False,
    write_manifest: Annotated[
        Path | None,
        typer.Option(help="Only write the manifest's text of the record to this new file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be computed, or why it cannot.")
    ] = False,
    device: DeviceOption = "auto",
    threads: CoresOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute a result again from its record, and say whether the numbers are the stored ones.

    A stored result is never overwritten: it is computed beside it. A damaged one, or one in
    quarantine, gets its place back. Where the numbers differ the exit status is 1.
    """
    from braindash.work.again import plan_again, record_of, run_again

    opened = open_store(store)
    if write_manifest is not None:
        _write_manifest(record_of(opened, key).manifest, write_manifest)
        return
    moved = dict(named_value(one, "--path") for one in paths or [])
    moved |= {} if data is None else {"data": str(data)}
    again = plan_again(opened, key, moved, model).on(device, threads)
    for line in again.lines():
        notes.print(plain(line), highlight=False)
    if dry_run:
        if as_json:
            print_json(again.as_dict())
        return
    with progress_bar() as bar:
        found = run_again(again, opened, bar, keep_features=keep_features)
    if as_json:
        print_json(found.as_dict())
    else:
        say("\n".join(found.lines()))
    if not found.equal:
        raise typer.Exit(DIFFERENT)


def _write_manifest(text: str | None, path: Path) -> None:
    from braindash.errors import InputError
    from braindash.files import replace_text

    if text is None:
        raise InputError("the result was made without a manifest", hint="Leave the option out.")
    if path.exists():
        raise InputError(f"{path} exists already", hint="Give a new file.")
    replace_text(path, text)
    notes.print("Paths in it are relative to its own folder: put it where the old one lay.")
    say(str(path))
