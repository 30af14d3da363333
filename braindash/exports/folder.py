"""A result's files in a folder of their own: there as a whole, or not at all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from braindash.encoding.maps.kinds import available_maps, result_vertices
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, near_match
from braindash.exports.figures import figure_files, picture_files, require_format
from braindash.exports.gifti import map_files, maps_of
from braindash.exports.results import AnyResult, Item, items_of
from braindash.exports.source import source_of
from braindash.exports.tables import TABLE_FORMATS, figure_table, sidecar_bytes, table_bytes
from braindash.files import disk_errors, new_folder
from braindash.io.spaces.vertices import has_vertices
from braindash.names import given_path

PARTS = ("figures", "data", "maps")
"""What can be taken away."""


@contextmanager
def whole_folder(place: Path | str) -> Iterator[Path]:
    """Yield a folder to fill, which takes its place when all went well.

    Parameters
    ----------
    place : path
        A new folder, or an empty one.

    Raises
    ------
    InputError
        Something is there already.
    StoreError
        The disk is full or read-only; nothing half-written stays behind.
    """
    path = given_path(place, exact=True).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            f"{path} is there already and is not an empty folder",
            hint="Name a new folder: nothing is overwritten, and results are never mixed.",
        )
    with (
        disk_errors(path.parent, "or choose another folder; nothing was written"),
        new_folder(path) as folder,
    ):
        yield folder


def take_away(
    result: AnyResult,
    place: Path | str,
    *,
    parts: Sequence[str] = PARTS,
    formats: Sequence[str] = ("svg", "pdf", "png"),
    layer: int | None = None,
) -> Path:
    """Write a result's figures, their data and its maps to a new folder.

    Parameters
    ----------
    result : EncodingResult, ProbingResult or TuningResult
        Of :func:`braindash.open_result`; an encoding result that was looked at in a region set
        (:func:`braindash.with_regions`) is written with these regions.
    place : path
        A new folder, or an empty one.
    parts : sequence of str
        Any of "figures" (SVG, PDF, PNG), "data" (the figures' numbers and further tables, as CSV
        and Parquet, with a JSON file beside them) and "maps" (GIFTI with a JSON file; only of
        encoding results with a surface).
    formats : sequence of {"svg", "pdf", "png"}
        Of the figures.
    layer : int, optional
        Of the picture of scores; by default the one with the highest mean.

    Returns
    -------
    Path
        The folder. It is there as a whole, or, after an error, not at all.

    Raises
    ------
    InputError
        A part, a format or a layer is none, something is in the way, or maps are asked for alone
        and the result has none.
    StoreError
        The disk is full or read-only.
    """
    for one in parts:
        if one not in PARTS:
            raise InputError(f"there is no part {one!r}", hint=near_match(one, PARTS))
    for form in formats:
        require_format(form)
    _require_layer(result, layer)
    if list(parts) == ["maps"]:
        _require_maps(result)
    with whole_folder(place) as folder:
        for item in items_of(result, layer=layer):
            write_item(item, folder, parts, formats)
        if "maps" in parts and isinstance(result, EncodingResult):
            _write_maps(result, folder)
    return given_path(place, exact=True)


def _require_layer(result: AnyResult, layer: int | None) -> None:
    if layer is None or not isinstance(result, EncodingResult):
        return
    if not 0 <= layer < result.n_layers:
        raise InputError(
            f"{result.model} has no layer {layer}",
            hint=f"Choose a layer from 0 to {result.n_layers - 1}.",
        )


def _require_maps(result: AnyResult) -> None:
    if not isinstance(result, EncodingResult):
        raise InputError(
            f"the result {result.key[:8]} has no maps of the cortex",
            hint="Only encoding results have; take away its figures and data.",
        )
    result_vertices(result)


def write_item(item: Item, folder: Path, parts: Sequence[str], formats: Sequence[str]) -> None:
    """Write the files of one figure or table."""
    if "figures" in parts:
        drawn: dict[str, bytes] = {}
        if item.figure is not None:
            drawn = figure_files(item.figure, formats, item.source)
        elif item.picture is not None:
            drawn = picture_files(item.picture, formats, item.source)
        for form, content in drawn.items():
            (folder / f"{item.name}.{form}").write_bytes(content)
    table = item.table
    if table is None and item.figure is not None:
        table = figure_table(item.figure)
    if "data" not in parts or table is None:
        return
    for form in TABLE_FORMATS:
        (folder / f"{item.name}.{form}").write_bytes(table_bytes(table, form, item.source))
    (folder / f"{item.name}.json").write_bytes(sidecar_bytes(item.source, list(table.columns)))


def _write_maps(result: EncodingResult, folder: Path) -> None:
    """Write the maps; a result without a surface has none, and its other files say where from."""
    if not has_vertices(result.space, result.n_targets, result.surface):
        return
    for what in available_maps(result):
        maps = maps_of(result, what)
        source = source_of(result, maps.title)
        for name, content in map_files(maps, f"map-{what.replace('_', '-')}", source).items():
            (folder / name).write_bytes(content)
