"""A region set on the brain: every region in a shade of its own, and the table of its sizes."""

import numpy as np
import pandas as pd

from braindash.io.regions.masks import WHOLE, Regions
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import region_title


def region_map(regions: Regions, space: str) -> MapSet:
    """Paint a region set: a target has the number of the smallest region that holds it.

    Parameters
    ----------
    regions : Regions
        With at least one region.
    space : str
        The fsaverage space of its targets.

    Returns
    -------
    MapSet
        One map; the regions' "means" are their numbers, so that the list beside the surface is the
        legend of its colours.
    """
    masks = {name: mask for name, mask in regions.masks.items() if name != WHOLE}
    values = np.full(regions.n_targets, np.nan, dtype=np.float32)
    numbers = {name: place for place, name in enumerate(masks, start=1)}
    for name in sorted(masks, key=lambda one: -int(masks[one].sum())):
        values[masks[name]] = numbers[name]
    return MapSet(
        values=values[None],
        names=["all regions"],
        label="number of the region",
        vmin=0.0,
        vmax=float(max(len(masks), 1)),
        threshold=0.0,
        space=space,
        regions=masks,
        colours="viridis",
        heading="Numbers of the regions",
        means={name: np.array([numbers[name]]) for name in masks},
    )


def region_sizes(regions: Regions) -> pd.DataFrame:
    """List the regions with their targets on each side.

    Returns
    -------
    pandas.DataFrame
        ``number``, ``region``, ``both``, and ``left`` and ``right`` where the sides are known.
    """
    names = [name for name in regions.masks if name != WHOLE]
    table: dict[str, list[object]] = {
        "number": list(range(1, len(names) + 1)),
        "region": [region_title(name) for name in names],
    }
    for side in regions.hemispheres:
        masks = regions.of(side)
        table[side] = [int(masks[name].sum()) if name in masks else 0 for name in names]
    return pd.DataFrame(table)
