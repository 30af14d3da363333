"""The finding of a result, in sentences that are computed from its numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, Group
from braindash.viewer.colours import region_title
from braindash.views.curves import key_regions

# From meaning to sound, and a control: an order that the numbers cannot choose.
_ORDER = (
    *("late_language", "language", "primary_auditory", "auditory_core", "A1"),
    *("early_visual", "V1"),
)
_SENTENCES = 3


def told_regions(regions: Sequence[str]) -> list[str]:
    """Choose the regions that sentences are about, three at most, whatever their numbers are."""
    first = [name for name in _ORDER if name in regions]
    rest = [name for name in key_regions(regions) if name not in first]
    return [*first, *rest][:_SENTENCES]


def finding_sentences(
    group: Group,
    pair: Difference | None,
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    names: tuple[str, str],
    tuned: bool,
) -> list[str]:
    """Say what was found: what distinguishes two models, or where one of them is best.

    Parameters
    ----------
    group : Group
        Model A.
    pair : Difference or None
        A and B, of as many layers; None for one model alone.
    table : pandas.DataFrame
        The pair's table of regions, or the group's; of r.
    regions : sequence of str
        One sentence each, in this order.
    names : (str, str)
        Models A and B.
    tuned : bool
        Whether A was tuned from B.
    """
    if pair is None:
        return best_sentences(table, regions)
    signs = _signs(pair, regions) if group.n_subjects > 1 else {}
    return change_sentences(table, regions, names=names, tuned=tuned, signs=signs)


def _signs(pair: Difference, regions: Sequence[str]) -> dict[str, int]:
    """Count the subjects whose difference at the last layer has the sign of the mean."""
    gaps = (pair.a.values() - pair.b.values())[:, -1]
    places = [pair.a.region_names.index(region) for region in regions]
    means = np.nanmean(gaps[:, places], axis=0)
    agree = (np.sign(gaps[:, places]) == np.sign(means)).sum(axis=0)
    return dict(zip(regions, map(int, agree), strict=True))


def change_sentences(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    names: tuple[str, str],
    tuned: bool,
    signs: dict[str, int],
) -> list[str]:
    """Say what distinguishes two models at the last layer, a sentence per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.comparison.Difference.regions` gives.
    regions : sequence of str
        One sentence each, in this order.
    names : (str, str)
        Models A and B.
    tuned : bool
        Whether A was tuned from B: then the sentences tell a change.
    signs : dict of str to int
        In how many subjects the difference has the sign of the mean; empty with one subject.

    Returns
    -------
    list of str
        A difference is called one only where its interval does not hold 0.
    """
    sentences = []
    for region in regions:
        rows = table[table["region"] == region].sort_values("layer")
        if rows.empty or not np.isfinite(rows.iloc[-1]["difference"]):
            sentences.append(f"{region_title(region)} has no score.")
            continue
        row = rows.iloc[-1]
        agree = f", {signs[region]} of {int(row['n_subjects'])} subjects" if signs else ""
        gap = f"({_with_interval(row)}{agree})"
        a, b = _number(row["a"]), _number(row["b"])
        verdict = _verdict(row["low"], row["high"])
        place = f"In {_lower(region)} the last layer"
        if tuned:
            sentences.append(f"{place} {_CHANGES[verdict].format(before=b, after=a)} {gap}.")
        else:
            told = _CONTRASTS[verdict].format(one=names[0], two=names[1], a=a, b=b)
            sentences.append(f"{place} {told} {gap}.")
    return sentences


_CHANGES = {
    "higher": "rises from {before} to {after}",
    "lower": "falls from {before} to {after}",
    "unsure": "shows no sure change, from {before} to {after}",
    "untested": "goes from {before} to {after}",
}
_CONTRASTS = {
    "higher": "of {one} predicts better than that of {two}, {a} against {b}",
    "lower": "of {one} predicts worse than that of {two}, {a} against {b}",
    "unsure": "of {one} and of {two} shows no sure difference, {a} against {b}",
    "untested": "has {a} with {one} and {b} with {two}",
}


def best_sentences(table: pd.DataFrame, regions: Sequence[str]) -> list[str]:
    """Say at which layer a model predicts regions best, a sentence per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.groups.Group.regions` gives, of r.
    regions : sequence of str
        One sentence each, in this order.
    """
    sentences = []
    for region in regions:
        rows = table[table["region"] == region].sort_values("layer").reset_index(drop=True)
        if rows.empty or rows["r"].isna().all():
            sentences.append(f"{region_title(region)} has no score.")
            continue
        best, last = rows.iloc[int(np.nanargmax(rows["r"]))], rows.iloc[-1]
        told = f"r = {_number(best['r'])}{_ends(best['low'], best['high'])}"
        if len(rows) == 1:
            sentences.append(f"{region_title(region)}: {told}.")
            continue
        end = ""
        if best["layer"] != last["layer"]:
            end = f"; the last layer has {_number(last['r'])}"
        sentences.append(
            f"{region_title(region)} is predicted best from layer {int(best['layer'])} of "
            f"{int(last['layer'])} ({told}){end}."
        )
    return sentences


def significance_sentence(result: EncodingResult, level: float = 0.05) -> str:
    """Say how many targets are significant, at the layer that has most of them."""
    if not result.has_significance:
        return "Not tested: computed without permutations."
    counts = result.significant(level).sum(axis=1)
    best = int(np.argmax(counts))
    share = counts[best] / max(1, int(result.valid.sum()))
    where = f" at layer {best}, which has most" if len(counts) > 1 else ""
    # The best layer is picked by this count: what it is worth stands beside it.
    several = result.has_best and result.n_layers > 1
    by_best = f"; {result.best_significant(level).sum():,} in any layer" if several else ""
    return (
        f"{counts[best]:,} targets ({share:.0%}) are significant{where} (q ≤ {level:g}){by_best}."
    )


# ---- small parts ----------------------------------------------------------------------------


def _lower(region: str) -> str:
    title = region_title(region)
    return title[0].lower() + title[1:] if title[1:2].islower() else title


def _number(value: float, plus: bool = False) -> str:
    """Write a score of two digits without its leading zero, as papers do."""
    text = f"{abs(value):.2f}"
    sign = "" if float(text) == 0 else "−" if value < 0 else "+" if plus else ""
    return sign + text.removeprefix("0")


def _ends(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return ", no interval"
    return f" [{_number(low)}, {_number(high)}]"


def _with_interval(row: pd.Series) -> str:
    return f"{_number(row['difference'], plus=True)}{_ends(row['low'], row['high'])}"


def _verdict(low: float, high: float) -> str:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "untested"
    return "higher" if low > 0 else "lower" if high < 0 else "unsure"
