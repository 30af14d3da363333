"""Results looked at in a region set and a hemisphere, with the replicates that are kept of it."""

from pathlib import Path

import pandas as pd
import xarray as xr

from braindash.defaults import PRESETS
from braindash.encoding.result import EncodingResult, SeenIn
from braindash.io.regions.find import find_regions, usual_set
from braindash.io.regions.masks import DISCS, Hemisphere, Regions
from braindash.io.store import Entry, Store
from braindash.specs import RegionsSpec


def wanted_set(result: EncodingResult) -> str | None:
    """Name the region set of the protocol that a result was asked for with, if it has one."""
    preset = PRESETS.get(result.preset)  # type: ignore[call-overload]
    return None if preset is None else preset.region_set


def regions_for(
    result: EncodingResult, name: str | None = None, data: Path | str | None = None
) -> Regions:
    """Find the regions of a set among the targets of a result.

    Parameters
    ----------
    result : EncodingResult
        The result.
    name : str, optional
        The set; the usual one when left out: that of the preset, else what the manifest describes,
        else a set whose files are there, else discs.
    data : Path or str, optional
        The manifest, for its own regions; by default the one that the result was computed from.

    Raises
    ------
    InputError
        When there is no such set, or a file that it needs is not there.
    """
    manifest = data if data is not None else result.manifest
    chosen = name or usual_set(result.region_space, data=manifest, wanted=wanted_set(result))
    return find_regions(
        chosen,
        result.space,
        result.n_targets,
        data=manifest,
        subject=result.subject,
        surface=result.surface,
    )


def regions_spec(result: EncodingResult, regions: Regions) -> RegionsSpec:
    """Name the region means of a result in a set."""
    return RegionsSpec(result=result.key, name=regions.name, masks=regions.digest)


def look_at(
    result: EncodingResult, regions: Regions, hemisphere: Hemisphere, entry: Entry | None
) -> EncodingResult:
    """Look at a result in a region set, with the replicates that were computed, if any."""
    seen_in = SeenIn(regions, hemisphere)
    if is_stored_with(result, regions, hemisphere):
        return result.in_regions(seen_in, own=True)
    if entry is None:
        return result.in_regions(seen_in)
    with entry.open() as found:
        return result.in_regions(seen_in, _side(found, regions, hemisphere))


def is_stored_with(result: EncodingResult, regions: Regions, hemisphere: Hemisphere) -> bool:
    """Say whether an encoding result itself has the replicates of these regions."""
    return hemisphere == "both" and regions.name == DISCS and regions.painted is None


def _side(found: xr.Dataset, regions: Regions, hemisphere: Hemisphere) -> xr.Dataset:
    """Read one hemisphere's replicates, with the names of its regions."""
    names = list(regions.of(hemisphere))
    place = found["column"].sel(hemisphere=hemisphere)
    columns = [int(place.sel(region=name)) for name in names]
    sampled = [name for name in ("region_samples", "region_ceiling_samples") if name in found]
    arrays = found[sampled].isel(mean=columns).load().rename(mean="region")
    return arrays.assign_coords(region=names)


def plain_result(result: EncodingResult) -> EncodingResult:
    """Return a result as it was loaded, in no region set."""
    return result if result.loaded is None else result.loaded


def stored_regions(result: EncodingResult, regions: Regions, store: Store) -> Entry | None:
    """Return the replicates that are kept of a result in a region set, or None."""
    spec = regions_spec(result, regions)
    return store.get_or_none(spec.kind, spec.key())


def store_of(result: EncodingResult) -> Store:
    """Return the store that a result lies in."""
    return Store(result.folder.parents[1])


def hemisphere_table(
    result: EncodingResult,
    regions: Regions,
    entry: Entry | None,
    *,
    level: float = 0.95,
    normalised: bool = False,
    ceiling: str | None = None,
) -> pd.DataFrame:
    """Tabulate region means with their intervals for both hemispheres, the left and the right one.

    Parameters
    ----------
    result : EncodingResult
        As it was loaded.
    regions : Regions
        The set, on the result's targets.
    entry : Entry or None
        What :func:`stored_regions` found.
    level, normalised, ceiling
        As for :meth:`~braindash.encoding.result.EncodingResult.region_intervals`.

    Returns
    -------
    pandas.DataFrame
        Its columns; the rows of "both" come first. "both" alone where the sides are not known.
    """
    tables = [
        look_at(result, regions, side, entry).region_intervals(
            level, normalised=normalised, ceiling=ceiling
        )
        for side in regions.hemispheres
    ]
    return pd.concat(tables, ignore_index=True)
