"""Tables of scores, as readers want them."""

import pandas as pd

from braindash.views.curves import region_title


def region_by_layer(table: pd.DataFrame, regions: list[str], score: str) -> pd.DataFrame:
    """Lay a region table out with one row per region and one column per layer.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.results.EncodingResult.regions` gives.
    regions : list of str
        Rows, in this order.
    score : str
        Column of ``table`` to show.

    Returns
    -------
    pandas.DataFrame
        Index: readable region names; columns: "layer 0", ...; then "best layer".
    """
    wide = table.pivot(index="region", columns="layer", values=score).loc[regions]
    best = wide.idxmax(axis=1, skipna=True) if wide.notna().any().any() else None
    wide.columns = [f"layer {layer}" for layer in wide.columns]
    if best is not None:
        wide["best layer"] = best
    wide.index = pd.Index([region_title(region) for region in regions], name="region")
    return wide
