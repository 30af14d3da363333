"""Headline cards: best layers of key regions, what tuning changed there, what is significant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from braindash.encoding.result import EncodingResult
from braindash.viewer.colours import region_title
from braindash.views.tables import share_text, with_interval


@dataclass(frozen=True)
class Card:
    """One number with what belongs to it.

    Parameters
    ----------
    label : str
        What it is of.
    value : str
        The number.
    detail : str
        A smaller line below.
    curve : tuple of float
        Its layer curve, to be sketched.
    """

    label: str
    value: str
    detail: str
    curve: tuple[float, ...]


def region_cards(table: pd.DataFrame, regions: Sequence[str]) -> list[Card]:
    """Return each region's best layer, with its score and interval.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.groups.Group.regions` gives, of r.
    regions : sequence of str
        Regions, in this order.
    """
    cards = []
    for region in regions:
        rows = table[table["region"] == region].sort_values("layer").reset_index(drop=True)
        if rows["r"].isna().all():
            cards.append(_without_score(region))
            continue
        best = rows.iloc[int(np.nanargmax(rows["r"]))]
        cards.append(
            Card(
                region_title(region),
                f"layer {int(best['layer'])}",
                f"r = {with_interval(best['r'], best['low'], best['high'], '.2f')} · "
                f"{share_text(best['coverage'])} covered",
                tuple(float(value) for value in rows["r"].dropna()),
            )
        )
    return cards


def change_cards(table: pd.DataFrame, regions: Sequence[str]) -> list[Card]:
    """Return each region's difference of two models at the last layer.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.comparison.Difference.regions` gives, of r.
    regions : sequence of str
        Regions, in this order.
    """
    cards = []
    for region in regions:
        rows = table[table["region"] == region].sort_values("layer")
        last = rows.iloc[-1]
        if not np.isfinite(last["difference"]):
            cards.append(_without_score(region))
            continue
        cards.append(
            Card(
                region_title(region),
                f"{last['difference']:+.3f}",
                f"{_interval(last['low'], last['high'])}{share_text(last['coverage'])} covered",
                tuple(float(value) for value in rows["difference"].dropna()),
            )
        )
    return cards


def significance_card(result: EncodingResult, level: float = 0.05) -> Card:
    """Return the number of significant targets at the layer that has most of them.

    Parameters
    ----------
    result : EncodingResult
        Any; without permutations the card says so.
    level : float, default 0.05
        Largest q.
    """
    label = "Significant targets"
    if not result.has_significance:
        return Card(label, "not tested", "computed without permutations", ())
    counts = result.significant(level).sum(axis=1)
    best = int(np.argmax(counts))
    share = counts[best] / max(1, int(result.valid.sum()))
    # The best layer is picked by this count: what it is worth stands beside it.
    several = result.has_best and result.n_layers > 1
    by_best = f"; {result.best_significant(level).sum():,} in any layer" if several else ""
    return Card(
        label,
        f"{counts[best]:,}",
        f"{share:.0%} at layer {best}, q ≤ {level:g}{by_best}",
        tuple(float(count) for count in counts),
    )


def _interval(low: float, high: float) -> str:
    return f"[{low:+.3f}, {high:+.3f}] · " if np.isfinite(low) and np.isfinite(high) else ""


def _without_score(region: str) -> Card:
    return Card(region_title(region), "no score", "no valid target", ())
