"""Commands about stored results: list them, and move them between stores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    JsonOption,
    ModelFilter,
    StoreOption,
    SubjectFilter,
    listed,
    matches,
    notes,
    open_store,
    print_damaged,
    print_json,
    print_rows,
    say,
)
from braindash.io.store import LISTED_KINDS, REGIONS, DamagedEntry, Entry, Store
from braindash.progress import spoken_duration
from braindash.specs import older_version
from braindash.tuning.result import DamagedModel, damaged_models
from braindash.work.housekeeping import (
    ENDED,
    LEFTOVERS,
    REMADE,
    Item,
    belongings,
    prunable,
    remove,
    shares,
)

_KINDS = (*LISTED_KINDS, REGIONS)
KindOption = Annotated[
    str | None,
    typer.Option(
        help=f"Only {', '.join(LISTED_KINDS)}; or {REGIONS}: region tables that were computed, "
        "which are listed when they are asked for."
    ),
]


def list_results(
    store: StoreOption = None,
    kind: KindOption = None,
    model: ModelFilter = None,
    subject: SubjectFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List the results of a store, the newest first; in a pipe one line each, with tabs."""
    opened = open_store(store)
    if kind is not None and kind not in _KINDS:
        allowed = ", ".join(_KINDS)
        raise typer.BadParameter(f"{kind!r} is none of {allowed}", param_hint="--kind")
    newer = opened.count_newer()
    if newer:
        notes.print(f"Results of a newer braindash, not listed: {newer}. Update to see them.")
    entries = sorted(opened.entries(kind), key=lambda one: one.provenance["created"], reverse=True)
    described = _described(entries, opened)
    chosen = [
        entry
        for entry in entries
        if matches(entry.provenance["model"]["name"], described[entry.key], model, subject)
    ]
    damaged = opened.damaged(kind)
    models = damaged_models(opened) if kind in (None, "tuning") else []
    rows = [_row(entry, described[entry.key]) for entry in chosen]
    if as_json:
        print_json([*rows, *map(_damaged_row, damaged), *map(_damaged_model, models)])
        return
    if rows:
        columns = ["key", "kind", "model", "data", "of", "simulated", "created", "older"]
        print_rows(columns, rows)
    elif entries:
        notes.print(f"None of the {len(entries)} results in {opened.root} is of that.")
    elif kind == REGIONS:
        notes.print(
            f"No region tables in {opened.root}: `braindash show KEY --regions NAME` makes one."
        )
    else:
        notes.print(f"The store {opened.root} is empty. Try `braindash demo --headless`.")
    for one in damaged:
        print_damaged(one.folder, one.problem)
    for tuned in models:
        print_damaged(tuned.folder, tuned.problem)


def _described(entries: list[Entry], store: Store) -> dict[str, dict[str, Any]]:
    """Return the specification of each result; of regions with that of the result they are of."""
    own = {entry.key: entry.spec for entry in entries}
    if not any(entry.kind == REGIONS for entry in entries):
        return own
    results = {entry.key: entry.spec for entry in store.entries("encoding")}
    return {key: results.get(str(spec.get("result")), {}) | spec for key, spec in own.items()}


def _row(entry: Entry, described: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": entry.key,
        "kind": entry.kind,
        "model": entry.provenance["model"]["name"],
        "data": entry.provenance["data"]["name"],
        "of": what_of(entry, described),
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


def what_of(entry: Entry, described: Mapping[str, Any] | None = None) -> str:
    """Say of whom or what a result is: a subject or several, a story, tasks, or a region set.

    ``described`` is the specification; of regions with that of the result they are of.
    """
    if entry.kind == REGIONS:
        known = described or entry.spec
        subject = known.get("subject") or "a result that is gone"
        return f"{subject}, {known.get('name')} (of {str(known.get('result'))[:8]})"
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
    say(str(opened.export(key, to, with_predictions=with_predictions)))
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
    say(str(open_store(store).import_(file).folder))


app = typer.Typer(help="What a store holds, and what of it can go.", no_args_is_help=True)

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


@app.command(name="size")
def show_sizes(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say what takes how much of the store, and how long it took to compute."""
    opened = open_store(store)
    found = shares(opened)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        gone = "is empty" if opened.root.is_dir() else "is not there yet"
        notes.print(f"The store {opened.root} {gone}: nothing takes space.", highlight=False)
        return
    for one in found:
        took = f", {spoken_duration(one.seconds)} of computing" if one.seconds else ""
        say(f"{_told_size(one.n_bytes):>9}  {one.name}: {one.what} ({one.n}{took})")
    say(f"{_told_size(sum(one.n_bytes for one in found)):>9}  {opened.root}")


@app.command(name="remove")
def remove_results(
    keys: Annotated[list[str], typer.Argument(help="Keys of results, or their first digits.")],
    dry_run: DryRunOption = False,
    store: StoreOption = None,
) -> None:
    """Remove results, and what is kept for them alone."""
    opened = open_store(store)
    found = [one for key in keys for one in belongings(opened, opened.find(key))]
    _take_out(opened, list({one.place: one for one in found}.values()), dry_run)


@app.command(name="prune")
def prune_store(
    kinds: Annotated[
        str | None,
        typer.Option(
            help="What may go, with commas. By default what nothing reads any more: "
            f"{', '.join(LEFTOVERS)}. What is computed again when it is needed: "
            f"{', '.join(REMADE)}. Jobs that several machines shared, when they are over: "
            f"{', '.join(ENDED)}."
        ),
    ] = None,
    older_than: Annotated[
        float, typer.Option(min=0, help="Days since it was written, at the least.")
    ] = 0.0,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
) -> None:
    """Remove what no result needs; say what it would cost to compute again."""
    opened = open_store(store)
    named = tuple(LEFTOVERS) if kinds is None else tuple(listed(kinds, "--kinds"))
    _take_out(opened, prunable(opened, named, older_than), dry_run)


def _take_out(store: Store, items: Sequence[Item], dry_run: bool) -> None:
    for one in items:
        took = f", {spoken_duration(one.seconds)} to compute again" if one.seconds else ""
        say(f"{_told_size(one.n_bytes):>9}  {one.what}{took}")
    n_bytes = sum(one.n_bytes for one in items) if dry_run else remove(store, items)
    done = "Would be free" if dry_run else "Free now"
    notes.print(f"{done}: {_told_size(n_bytes)} of {len(items)} things.", highlight=False)


def _told_size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
