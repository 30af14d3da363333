"""Tables of scores, as readers want them: an estimate and its interval in one cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from braindash.encoding.nulls.panel import NULLS
from braindash.encoding.several.comparison import LayerPairs
from braindash.viewer.colours import region_title

NOTHING = "-"
COVERAGE = "coverage"
LAST_IS_BEST = "0 (the last is best)"
STAGE_COLUMNS: Mapping[str, str] = {
    "weighted_depth": "score-weighted depth",
    "preferred_depth": "preferred layer",
    "late_layer_drop": "late-layer drop",
}
P_TITLES: Mapping[str, str] = {
    "p": "p",
    "adjusted p": "p_holm",
    "p (sign flips)": "p_signs",
    "p (ranks)": "p_ranks",
    "p (bootstrap-t)": "p_boot",
}
# Of a colour that is seen on light and on dark ground.
_MARK = "background-color: rgba(0,114,178,0.18)"


@dataclass(frozen=True)
class StageSide:
    """Stage summary of one model.

    Parameters
    ----------
    name : str
        The model.
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.groups.Group.stages` gives.
    last_layer : int
        Its last layer: preferred depths are shown as layers.
    """

    name: str
    table: pd.DataFrame
    last_layer: int


def with_interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    """Write an estimate with its interval.

    Parameters
    ----------
    value, low, high : float
        The estimate and the ends; without ends (NaN) the estimate stands alone.
    form : str, default ".3f"
        How each number is written.

    Returns
    -------
    str
        Such as ``"0.312 [0.281, 0.344]"``; ``"-"`` for an estimate that is NaN.
    """
    if not np.isfinite(value):
        return NOTHING
    if not (np.isfinite(low) and np.isfinite(high)):
        return format(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def score_by_layer(table: pd.DataFrame, regions: Sequence[str], score: str) -> Styler:
    """Lay scores out with one row per layer and one column per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.groups.Group.regions` gives.
    regions : sequence of str
        Columns, in this order.
    score : str
        Column of ``table`` to show, with ``low`` and ``high`` where there are any.

    Returns
    -------
    pandas.io.formats.style.Styler
        Index "layer 0", ...; the best layer of every region is marked. The last row is the
        coverage: the share of the region's targets that are in the mean (the least of the layers).
    """
    values = _wide(table, regions, score)
    texts = _texts(table, regions, score, ".3f")
    best = pd.DataFrame(False, index=texts.index, columns=texts.columns)
    for column in texts.columns:
        if values[column].notna().any():
            best.loc[values[column].idxmax(skipna=True), column] = True
    count = "n_valid" if score == "r" else "n_above_threshold"
    if count not in table:
        return _marked(texts, best)
    covered = table[count] / table["n_targets"].where(table["n_targets"] > 0)
    return _marked(*_with_coverage(texts, best, table.assign(share=covered), regions))


def difference_by_layer(table: pd.DataFrame, regions: Sequence[str]) -> Styler:
    """Lay differences out with one row per layer and one column per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.comparison.Difference.regions` gives.
    regions : sequence of str
        Columns, in this order.

    Returns
    -------
    pandas.io.formats.style.Styler
        With p values and the adjusted ones where there are any; intervals that do not hold 0 are
        marked.
    """
    texts = _texts(table, regions, "difference", "+.3f")
    low, high, p, adjusted = (
        _wide(table, regions, column) for column in ("low", "high", "p", "p_holm")
    )
    tested = p.notna() & (texts != NOTHING)
    both = ", p = " + p.map("{:.3g}".format) + " (adjusted " + adjusted.map("{:.3g}".format) + ")"
    texts = texts.where(~tested, texts + both)
    sure = (low > 0) | (high < 0)
    if "coverage" in table:
        texts, sure = _with_coverage(texts, sure, table.assign(share=table["coverage"]), regions)
    return _marked(texts, sure)


def pair_table(
    pairs: LayerPairs,
    means: Sequence[np.ndarray],
    layers: tuple[int, int],
    n_subjects: int,
    coverage: np.ndarray | None = None,
) -> pd.DataFrame:
    """Tabulate the regions of two models at chosen layers.

    Parameters
    ----------
    pairs : LayerPairs
        A minus B of all pairs of layers.
    means : sequence of two arrays of shape (n_layers, n_regions)
        The models' own region means.
    layers : (int, int)
        Layer of A and of B.
    n_subjects : int
        How many subjects the p values are of.
    coverage : array of shape (n_regions,), optional
        Share of each region's targets that are in the means.

    Returns
    -------
    pandas.DataFrame
        One row per region: ``region``, ``a``, ``b``, ``difference``, ``low``, ``high``, ``p``,
        ``p_holm`` (adjusted over these rows), ``p_signs``, ``p_ranks``, ``p_boot``,
        ``n_subjects``, ``layer_a``, ``layer_b`` and, where it was given, ``coverage``.
    """
    one, two = layers
    shares = {} if coverage is None else {"coverage": coverage}
    return pd.DataFrame(
        {
            "region": [region_title(name) for name in pairs.regions],
            "a": means[0][one],
            "b": means[1][two],
            "difference": pairs.difference[one, two],
            "low": pairs.low[one, two],
            "high": pairs.high[one, two],
            "p": pairs.p[one, two],
            "p_holm": pairs.p_holm(layers),
            "p_signs": pairs.p_signs[one, two],
            "p_ranks": pairs.p_ranks[one, two],
            "p_boot": pairs.p_boot[one, two],
            "n_subjects": n_subjects,
            "layer_a": one,
            "layer_b": two,
        }
        | shares
    )


def pair_cells(table: pd.DataFrame) -> Styler:
    """Write a :func:`pair_table` for readers; intervals that do not hold 0 are marked."""
    cells = zip(table["difference"], table["low"], table["high"], strict=True)
    texts = pd.DataFrame(
        {
            "region": table["region"],
            "A": [with_interval(value, np.nan, np.nan) for value in table["a"]],
            "B": [with_interval(value, np.nan, np.nan) for value in table["b"]],
            "A minus B": [with_interval(*cell, "+.3f") for cell in cells],
        }
    )
    if table["p"].notna().any():
        for title, column in P_TITLES.items():
            texts[title] = [with_interval(p, np.nan, np.nan, ".2g") for p in table[column]]
    if "coverage" in table:
        texts["coverage"] = [share_text(share) for share in table["coverage"]]
    sure = (table["low"] > 0) | (table["high"] < 0)
    marks = pd.DataFrame(False, index=texts.index, columns=texts.columns)
    marks["A minus B"] = sure
    return _marked(texts, marks)


def null_cells(table: pd.DataFrame, regions: Sequence[str]) -> pd.DataFrame:
    """Write what nulls score, one row per null and one column per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.encoding.nulls.panel.null_panel` gives.
    regions : sequence of str
        Columns, in this order.
    """
    rows = []
    for name in dict.fromkeys(table["null"]):
        own = table[table["null"] == name].set_index("region")
        scored = bool(own["scored"].any())
        cells = {
            region_title(region): f"{own.loc[region, 'null_r']:+.3f}" if scored else "no score"
            for region in regions
        }
        rows.append({"null": name, "what it knows": NULLS[str(name)], **cells})
    return pd.DataFrame(rows)


def stage_table(
    sides: Sequence[StageSide], regions: Sequence[str], difference: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Lay stage summaries out with one row per region, models and their difference side by side.

    Parameters
    ----------
    sides : sequence of StageSide
        One or two models.
    regions : sequence of str
        Rows, in this order.
    difference : pandas.DataFrame, optional
        What :meth:`Difference.stages` gives: a column "A minus B"
        for each quantity.

    Returns
    -------
    pandas.DataFrame
        Text: the score-weighted depth (relative, 0 to 1), the preferred layer (of a difference:
        the relative depth) and the late-layer drop, each with its interval. Of several models the
        columns have two levels, the quantity and the model, after the column ("", "region").
    """
    rows = []
    for region in regions:
        cells: dict[tuple[str, str], str] = {("", "region"): region_title(region)}
        for side in sides:
            own = _stage_cells(side.table, region, "estimate", side.last_layer)
            cells |= {(title, side.name): text for title, text in own.items()}
        if difference is not None:
            own = _stage_cells(difference, region, "difference", None)
            cells |= {(title, "A minus B"): text for title, text in own.items()}
        rows.append(cells)
    names = [*(side.name for side in sides), *["A minus B"] * (difference is not None)]
    columns = [("", "region")]
    columns += [(title, name) for title in STAGE_COLUMNS.values() for name in names]
    frame = pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(columns))
    if len(names) == 1:
        frame.columns = pd.Index(["region", *STAGE_COLUMNS.values()])
    return frame


def download_table(
    tables: Sequence[pd.DataFrame],
    score: str,
    ceiling: str | None,
    interval_line: str,
    chosen: Sequence[str] = (),
) -> pd.DataFrame:
    """Stack region tables for a download, with what their intervals are of.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        Of one or two models.
    score : str
        The column that ``low`` and ``high`` belong to.
    ceiling : str or None
        Name of the noise ceiling.
    interval_line : str
        What the intervals are.
    chosen : sequence of str, optional
        Of every table what the threshold on the ceiling chose.

    Returns
    -------
    pandas.DataFrame
        All columns of the tables, and ``interval_of``, ``interval``, ``ceiling_name`` and
        ``ceiling_bias``.
    """
    lines = [*chosen, *[""] * (len(tables) - len(chosen))]
    told = [one.assign(ceiling_bias=line) for one, line in zip(tables, lines, strict=True)]
    return pd.concat(told, ignore_index=True).assign(
        interval_of=score, interval=interval_line, ceiling_name=ceiling or ""
    )


# ---- small parts ----------------------------------------------------------------------------


def share_text(share: float) -> str:
    """Write the share of a region's targets that are in a mean."""
    return f"{share:.0%}" if np.isfinite(share) else NOTHING


def _with_coverage(
    texts: pd.DataFrame, marks: pd.DataFrame, table: pd.DataFrame, regions: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add a row with the regions' coverage, which is never marked."""
    least = _wide(table, regions, "share").min()
    texts.loc[COVERAGE] = [share_text(float(least[column])) for column in texts.columns]
    marks.loc[COVERAGE] = False
    return texts, marks


def _wide(table: pd.DataFrame, regions: Sequence[str], column: str) -> pd.DataFrame:
    wide = table.pivot(index="layer", columns="region", values=column)[list(regions)]
    wide.index = pd.Index([f"layer {layer}" for layer in wide.index], name="layer")
    wide.columns = pd.Index([region_title(region) for region in regions])
    return wide


def _texts(table: pd.DataFrame, regions: Sequence[str], column: str, form: str) -> pd.DataFrame:
    if "low" not in table:
        table = table.assign(low=np.nan, high=np.nan)
    cells = zip(table[column], table["low"], table["high"], strict=True)
    return _wide(table.assign(text=[with_interval(*cell, form) for cell in cells]), regions, "text")


def _marked(texts: pd.DataFrame, marks: pd.DataFrame) -> Styler:
    styles = marks.map(lambda yes: _MARK if yes else "")
    return texts.style.apply(lambda _: styles, axis=None)


def _stage_cells(
    table: pd.DataFrame, region: str, column: str, last_layer: int | None
) -> dict[str, str]:
    """Write one region's quantities; ``last_layer`` is None for a difference."""
    own = table[table["name"] == region].set_index("quantity")[[column, "low", "high"]]
    sign = "+" if last_layer is None else ""
    cells = {}
    for quantity, title in STAGE_COLUMNS.items():
        value, low, high = (float(end) for end in own.loc[quantity].to_numpy())
        form = f"{sign}.3f" if quantity == "late_layer_drop" else f"{sign}.2f"
        if quantity == "preferred_depth" and last_layer is not None:
            value, low, high = value * last_layer, low * last_layer, high * last_layer
            form = ".3g"
        cells[title] = with_interval(value, low, high, form)
        if quantity == "late_layer_drop" and value == 0 and last_layer is not None:
            cells[title] = LAST_IS_BEST
    return cells
