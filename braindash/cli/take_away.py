"""The command ``braindash take-away``: figures, data and maps of results, as files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    HemisphereOption,
    RegionsOption,
    StoreOption,
    listed,
    open_store,
    say,
)
from braindash.encoding.result import EncodingResult
from braindash.io.regions.masks import Hemisphere
from braindash.io.store import Store
from braindash.names import given_path

_PARTS = "figures,data,maps"
_FORMATS = "svg,pdf,png"


def take_away(
    keys: Annotated[list[str], typer.Argument(help="Keys of results, or their first digits.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="New folder; by default braindash- and the result's name, here."),
    ] = None,
    parts: Annotated[
        str,
        typer.Option(help="Any of figures, data (CSV, Parquet) and maps (GIFTI), comma-separated."),
    ] = _PARTS,
    formats: Annotated[
        str, typer.Option("--format", help="Of figures: any of svg, pdf, png, comma-separated.")
    ] = _FORMATS,
    layer: Annotated[
        int | None,
        typer.Option(help="Layer of the picture of scores; by default that of the highest mean."),
    ] = None,
    bids: Annotated[
        bool,
        typer.Option(
            "--bids", help="A BIDS derivative of encoding results instead: maps, tables, sidecars."
        ),
    ] = False,
    regions: RegionsOption = None,
    hemisphere: HemisphereOption = None,
    data: Annotated[Path | None, typer.Option(help="The manifest, for the region set own.")] = None,
    store: StoreOption = None,
) -> None:
    """Write figures, their data and maps of results to a new folder; several get one each in it."""
    from braindash import open_result
    from braindash.exports.bids import export_bids
    from braindash.exports.folder import take_away as write
    from braindash.exports.results import short_name

    opened = open_store(store)
    loaded = [open_result(key, store=opened) for key in dict.fromkeys(keys)]
    found = [_seen(one, opened, regions, hemisphere, data) for one in loaded]
    if bids:
        place = to or Path(f"braindash-bids-{found[0].key[:8]}")
        say(str(export_bids(found, place)))
        return
    wanted, forms = listed(parts, "--parts"), listed(formats, "--format")
    for one in found:
        name = short_name(one)
        place = to if to is not None else Path(f"braindash-{name}")
        if len(found) > 1 and to is not None:
            place = given_path(to, exact=True) / name
        say(str(write(one, place, parts=wanted, formats=forms, layer=layer)))


def _seen(
    result: Any,
    store: Store,
    regions: str | None,
    hemisphere: Hemisphere | None,
    data: Path | None,
) -> Any:
    """Look at an encoding result in its region set; results of other kinds have none."""
    if not isinstance(result, EncodingResult):
        return result
    from braindash.work.regions import seen_in

    return seen_in(result, regions, hemisphere or "both", store, data=data)
