"""What nulls score beside a model, from a stored encoding result."""

import numpy as np
import pandas as pd

from braindash.encoding.result import EncodingResult
from braindash.io.regions.masks import WHOLE

NULLS = {
    "constant": "the same number in every row: it must have no score",
    "ramp": "the time since the story's start: slow drifts",
    "onset": "what fades after the story's start: adaptation, and the zeros before it",
    "time-shifted": "the layer's own features, minutes before",
    "layer-shuffled": "the model with the weights of every tensor in another order",
    "untrained": "the model with random weights: what the architecture hears",
}
"""Every null with what it knows; the last two only of trained speech models."""
OF_TIME = ("ramp", "onset")
# A null of time alone that reaches this share of the score, and this r, is told.
WARNED_SHARE, WARNED_R = 0.2, 0.02


def null_panel(result: EncodingResult) -> pd.DataFrame | None:
    """Tabulate what every null scores in every region.

    Parameters
    ----------
    result : EncodingResult
        Any; its nulls were scored or not.

    Returns
    -------
    pandas.DataFrame or None
        None when they were not. Else one row per null and region: ``null_r`` and ``model_r``
        (means over targets with a score of the model), ``null_median``, ``share`` (null over
        model; NaN where the model's is below 0.02), ``layer``, ``simulated``. A null without any
        score counts as 0, and ``scored`` is False.
    """
    if "null_r" not in result.dataset:
        return None
    layer = int(result.dataset["null_layer"])
    own = result.r[layer]
    rows = []
    for name in map(str, result.dataset["null"].values):
        r = np.asarray(result.dataset["null_r"].sel(null=name).values, dtype=np.float64)
        scored = bool(np.isfinite(r).any())
        filled = np.where(np.isfinite(own), np.nan_to_num(r, nan=0.0), np.nan)
        means = result.region_means(np.stack([filled, own])).pivot(
            index="region", columns="layer", values="value"
        )
        for region, mask in result.masks.items():
            inside = filled[np.asarray(mask, dtype=bool)]
            known = inside[np.isfinite(inside)]
            median = float(np.median(known)) if known.size else np.nan
            null_r, model_r = np.asarray(means.loc[region], dtype=float).tolist()
            share = null_r / model_r if model_r >= WARNED_R else np.nan
            rows.append((name, region, null_r, model_r, median, share, scored))
    columns = ["null", "region", "null_r", "model_r", "null_median", "share", "scored"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(layer=layer, simulated=result.simulated)


def null_warnings(result: EncodingResult) -> list[str]:
    """Say where time alone reaches a share of the score; empty without a panel."""
    table = null_panel(result)
    if table is None:
        return []
    found = table[
        table["null"].isin(OF_TIME)
        & (table["null_r"] >= WARNED_R)
        & (table["share"] >= WARNED_SHARE)
    ]
    return [
        f"{row.region}: {row.null} alone reaches r = {row.null_r:.3f}, {row.share:.0%} of "
        f"{result.model}'s {row.model_r:.3f} at layer {row.layer}"
        + ("; leave rows without full delay history out (history 'full')"
           if row.null == "onset" else "; responses drift, so detrend them")
        for row in found.itertuples()
    ]  # fmt: skip


def null_line(result: EncodingResult) -> str:
    """Say in one line what the panel is of."""
    settings = result.spec["null_panel"]
    table = null_panel(result)
    assert table is not None  # the caller asks
    whole = table[table["region"] == WHOLE].set_index("null")
    medians = ", ".join(
        f"{name} {row['null_median']:+.3f}" if row["scored"] else f"{name}: no score"
        for name, row in whole.iterrows()
    )
    layer = int(table["layer"].iloc[0])
    own = result.r[layer]
    return (
        f"null panel at layer {layer} (highest median r, {np.nanmedian(own):+.3f}); medians of r "
        f"over all targets: {medians}; same rows, delays, folds and penalties; shifted by "
        f"{settings['shift_seconds']:g} s in a circle, or half of a shorter story"
    )
