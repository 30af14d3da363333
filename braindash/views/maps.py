"""Which map of a result the surface shows, what is masked in it, and a line that says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.encoding.ceilings.chosen import selection_line
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference
from braindash.encoding.several.tested import TargetDifference
from braindash.errors import InputError, near_match
from braindash.io.regions.masks import WHOLE
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.viewer.blobs import MapSet
from braindash.viewer.drawn import drawn

LEVELS = (0.05, 0.01, 0.001)
KINDS: Mapping[str, str] = {
    "score": "score",
    "significant": "score where significant",
    "preferred": "preferred layer",
    "confidence": "confidence of the preferred layer",
    "ceiling": "noise ceiling",
    "difference": "difference A minus B",
    "tested-difference": "difference where significant",
}
# Layers and shares go from low to high without a meaning of their own: evenly bright steps.
_STEPS_COLOURS = "viridis"
_LEAST_TOP = 0.05
# Scores below this share of the highest are not coloured at first.
_SHOWN_FROM = 0.2

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MapChoice:
    """What the visitor wants to see.

    Parameters
    ----------
    kind : str
        A name in ``KINDS``.
    normalised : bool
        r / ceiling instead of r.
    ceiling : str or None
        Which noise ceiling; None: the default one.
    level : float
        Largest q that is significant.
    least_share : float
        Preferred layers with a smaller bootstrap share are masked.
    relative : bool
        Preferred layers as layer / last layer.
    mesh : str
        Mesh that is drawn, of :func:`braindash.viewer.drawn.drawable`; empty for the usual one.
    """

    kind: str = "score"
    normalised: bool = False
    ceiling: str | None = None
    level: float = LEVELS[0]
    least_share: float = 0.0
    relative: bool = False
    mesh: str = ""


@dataclass(frozen=True)
class ShownMap:
    """Maps for the viewer, and what a reader has to know of them.

    Parameters
    ----------
    maps : MapSet
        One map per layer, or a single one.
    note : str
        What the colour is and what is masked, with numbers of targets.
    """

    maps: MapSet
    note: str


def available_kinds(result: EncodingResult, *, compared: bool) -> list[str]:
    """List the kinds of maps that a result can give.

    Parameters
    ----------
    result : EncodingResult
        The result of model A.
    compared : bool
        Whether there is a model B.
    """
    several = result.n_layers > 1
    possible = {
        "score": True,
        "significant": result.has_significance,
        "preferred": several,
        "confidence": several and result.has_confidence,
        "ceiling": result.has_ceiling,
        "difference": compared,
        "tested-difference": compared,
    }
    return [kind for kind in KINDS if possible[kind]]


def missing_kinds(result: EncodingResult) -> list[str]:
    """Say why a result cannot give some kinds of maps, one sentence each."""
    reasons = []
    if not result.has_significance:
        reasons.append("no significance: computed without permutations")
    if result.n_layers > 1 and not result.has_confidence:
        reasons.append("no confidence: computed without bootstraps")
    if not result.has_ceiling:
        reasons.append("no noise ceiling: no repeats of the test story, no other subject")
    if result.n_layers == 1:
        reasons.append("no preferred layer: the model has one layer")
    return reasons


def make_map(
    choice: MapChoice,
    result: EncodingResult,
    difference: Difference | None = None,
    tests: TargetDifference | None = None,
) -> ShownMap:
    """Make the chosen map.

    Parameters
    ----------
    choice : MapChoice
        What to show.
    result : EncodingResult
        Of model A.
    difference : Difference, optional
        A minus B of the same subject, for the kinds "difference" and "tested-difference".
    tests : TargetDifference, optional
        Of its targets, for the kind "tested-difference".

    Raises
    ------
    InputError
        When the result cannot give this map.
    """
    if choice.kind in ("difference", "tested-difference"):
        if difference is None:
            raise InputError(
                "a difference needs a second model", hint="Choose a model in 'Compare with'."
            )
        tested = tests if choice.kind == "tested-difference" else None
        return _told(_difference(choice, difference, tested))
    if choice.kind not in _MAKERS:
        raise InputError(f"there is no map {choice.kind!r}", hint=near_match(choice.kind, KINDS))
    return _told(_MAKERS[choice.kind](choice, result))


def _told(shown: ShownMap) -> ShownMap:
    """Say as well how the targets came to the surface."""
    note = surface_note(shown.maps)
    return replace(shown, note=f"{shown.note} {note}") if note else shown


def surface_note(maps: MapSet) -> str:
    """Say how targets came to the surface that is drawn; empty where they are its vertices."""
    way = maps.drawn.note
    if not way:
        return ""
    given = "the main target of each vertex" if maps.nearest else "means of each vertex's targets"
    return f"On the surface: {given}; {way}."


def surface_options(result: EncodingResult, values: Floats, mesh: str = "") -> dict[str, Any]:
    """Say on what a result's maps are drawn, as keyword arguments of ``MapSet``.

    Parameters
    ----------
    result : EncodingResult
        Looked at in a region set.
    values : array of shape (n_layers, n_targets)
        What is drawn, for the means of regions that are known on fsaverage5 alone.
    mesh : str, optional
        One of :func:`braindash.viewer.drawn.drawable`; the usual one by default.
    """
    options: dict[str, Any] = {
        "space": result.space,
        "surface": drawn(result.space, result.n_targets, result.surface, mesh),
        "regions": {name: mask for name, mask in result.masks.items() if name != WHOLE},
    }
    painted = None if result.seen_in is None else result.seen_in.regions.painted
    if painted is None:
        return options
    by_region = result.region_means(np.atleast_2d(values)).groupby("region", sort=False)
    return options | {
        "outlines": painted.vertices,
        "means": {str(name): rows["value"].to_numpy() for name, rows in by_region},
        "coverage": {str(name): float(rows["coverage"].max()) for name, rows in by_region},
    }


def layer_maps(
    r: Floats,
    layers: Sequence[int],
    *,
    space: str,
    simulated: bool,
    surface: SurfaceMap | None = None,
) -> MapSet:
    """Make maps of the layers that an encoding under way has so far.

    Parameters
    ----------
    r : array of shape (n_there, n_targets)
        Pearson r of these layers.
    layers : sequence of int
        Which they are.
    space : str
        The targets' own.
    simulated : bool
        Whether to stamp the picture.
    surface : SurfaceMap, optional
        What brings the targets to a surface, where they are not its vertices.
    """
    top = colour_top(r)
    return MapSet(
        values=r,
        names=[f"layer {layer}" for layer in layers],
        label=score_label(normalised=False),
        vmin=0.0,
        vmax=top,
        threshold=round(_SHOWN_FROM * top, 2),
        space=space,
        simulated=simulated,
        surface=drawn(space, r.shape[1], surface),
    )


# ---- one map per layer ----------------------------------------------------------------------


def _score(choice: MapChoice, result: EncodingResult) -> ShownMap:
    values = result.scores(choice.normalised, choice.ceiling)
    top = colour_top(values)
    maps = _per_layer(
        result,
        values,
        score_label(choice.normalised),
        top,
        threshold=round(_SHOWN_FROM * top, 2),
        mesh=choice.mesh,
    )
    note = f"{maps.label} of the shown layer. {_normalised_note(choice, result)}"
    return ShownMap(maps, f"{note}Grey: below the threshold, or without a score.")


def _significant(choice: MapChoice, result: EncodingResult) -> ShownMap:
    values = result.scores(choice.normalised, choice.ceiling)
    kept = result.significant(choice.level)
    label = f"{score_label(choice.normalised)} (q ≤ {choice.level:g})"
    shown = np.where(kept, values, np.nan)
    maps = _per_layer(result, shown, label, colour_top(values), mesh=choice.mesh)
    return ShownMap(
        maps,
        f"{score_label(choice.normalised)} where significant: "
        f"{_count_line(shown, result)}{'' if kept.any() else _floor_line(result, choice.level)} "
        f"{_normalised_note(choice, result)}Masked (grey): q > {choice.level:g}, "
        f"{result.significance_line()}. Region means are of the coloured targets only, so they are "
        "higher than those on the page Layers.",
    )


def _count_line(shown: Floats, result: EncodingResult) -> str:
    counts = np.isfinite(shown).sum(axis=1)
    few, many, total = int(counts.argmin()), int(counts.argmax()), int(result.valid.sum())
    if not counts[many]:
        return f"none of {total:,} targets."
    return (
        f"{counts[few]:,} (layer {few}) to {counts[many]:,} (layer {many}) of {total:,} "
        "targets with a score."
    )


def _floor_line(result: EncodingResult, level: float) -> str:
    """Say which share of the targets has to be significant for any to be; empty without a floor."""
    settings = result.spec["statistics"]
    if settings["scheme"] == "prewhitened":
        return ""
    # q is at least p times the targets over their rank, and p at least 1 / (n + 1).
    count = settings["n_permutations"]
    share = min(1.0, 1 / (level * (count + 1)))
    return (
        f" With {count} permutations q ≤ {level:g} needs the smallest possible p in {share:.0%} of "
        "the targets: choose a larger q, or compute with more, or with the prewhitened test."
    )


def _difference(
    choice: MapChoice, difference: Difference, tests: TargetDifference | None
) -> ShownMap:
    a, b = difference.a.first, difference.b.first
    if a.n_layers != b.n_layers:
        raise InputError(
            f"{a.model} has {a.n_layers} layers and {b.model} {b.n_layers}: their maps cannot be "
            "subtracted layer by layer",
            hint="Choose another model, or compare their stage summaries on the page Layers.",
        )
    first, second = (one.scores(choice.normalised, choice.ceiling) for one in (a, b))
    values = first - second
    top = colour_top(np.abs(values))
    shown, masked = (
        values,
        (
            "Grey: below the threshold on both sides of 0, or without a score. A single target's "
            "difference is not tested here: the map 'difference where significant' is."
        ),
    )
    if tests is not None:
        shown = np.where(tests.significant(choice.level), values, np.nan)
        masked = f"{_count_line(shown, a)} Masked (grey): q > {choice.level:g}, {tests.line()}."
    maps = _per_layer(
        a,
        shown,
        f"{score_label(choice.normalised)}, minus {b.model}"
        f"{'' if tests is None else f' (q ≤ {choice.level:g})'}",
        top,
        vmin=-top,
        threshold=0.0 if tests is not None else round(0.1 * top, 2),
        colours="RdBu_r",
        simulated=a.simulated or b.simulated,
        mesh=choice.mesh,
    )
    return ShownMap(
        maps,
        f"{score_label(choice.normalised)} of {a.model} minus {b.model} at the shown layer: red "
        f"where {a.model} predicts better, blue where {b.model} does. "
        f"{_normalised_note(choice, a)}{masked} The page Layers has the intervals of the regions.",
    )


# ---- single maps ----------------------------------------------------------------------------


def _preferred(choice: MapChoice, result: EncodingResult) -> ShownMap:
    kept, reasons = preferred_mask(choice, result)
    last = result.n_layers - 1
    layers = np.where(kept, result.preferred_layer, np.nan)
    values, label, top = layers, "preferred layer", float(last)
    if choice.relative:
        values, label, top = layers / last, "preferred depth (layer / last layer)", 1.0
    maps = replace(_single(result, values, label, top, mesh=choice.mesh), nearest=True)
    masked = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return ShownMap(
        maps,
        f"The layer with the highest r, for {int(kept.sum()):,} of {int(result.valid.sum()):,} "
        f"targets with a score. Masked (grey): {masked}.",
    )


def preferred_mask(choice: MapChoice, result: EncodingResult) -> tuple[Mask, dict[str, int]]:
    """Say which targets have a preferred layer to speak of.

    Parameters
    ----------
    choice : MapChoice
        Ceiling, level and least share.
    result : EncodingResult
        Any; a test that it cannot give masks nothing, and the reasons say so.

    Returns
    -------
    kept : bool array of shape (n_targets,)
        Targets with a score that pass every test.
    reasons : dict of str to int
        Why others are masked, with numbers of targets: each target counts for the first reason
        that applies.
    """
    kept = result.valid.copy()
    reasons: dict[str, int] = {}

    def keep(passed: Mask, reason: str) -> None:
        reasons[reason] = int((kept & ~passed).sum())
        kept[:] &= passed

    if result.has_ceiling:
        keep(result.divided(choice.ceiling), f"without {result.chosen_line(choice.ceiling)}")
    if result.has_significance:
        keep(
            result.best_significant(choice.level),
            f"whose best layer is not significant (q > {choice.level:g}, {result.best_line()}, "
            f"{result.significance_line()})",
        )
    if result.has_confidence and choice.least_share > 0:
        keep(
            np.nan_to_num(result.preferred_share) >= choice.least_share,
            f"whose best layer is less than {choice.least_share:.0%} sure "
            f"({result.confidence_line()})",
        )
    if not reasons:
        reasons["(there is neither a noise ceiling nor a test in this result)"] = 0
    return kept, reasons


def _confidence(choice: MapChoice, result: EncodingResult) -> ShownMap:
    label = "share of bootstrap samples"
    if result.calibrated_confidence:
        label = "chance that the layer is the best"
    maps = _single(result, result.preferred_share, label, 1.0, mesh=choice.mesh)
    warned = "" if result.calibrated_confidence else (
        "; it is too sure where layers are nearly as good and the story is short"
    )  # fmt: skip
    return ShownMap(
        maps,
        f"How sure the preferred layer is: {result.confidence_line()}{warned}; "
        f"{_confidence_line(choice, result)}. Grey: without a score; nothing is masked.",
    )


def _confidence_line(choice: MapChoice, result: EncodingResult) -> str:
    """Return medians; targets without a significant score show what noise alone gives."""
    share = result.preferred_share
    known = np.isfinite(share)
    if not result.has_significance:
        return f"median {_median(share[known])}"
    passed = result.best_significant(choice.level)
    return (
        f"median {_median(share[known & passed])} where the best layer is significant "
        f"(q ≤ {choice.level:g}, {result.best_line()}), {_median(share[known & ~passed])} "
        "elsewhere, where it is mostly noise"
    )


def _median(values: Floats) -> str:
    return f"{float(np.median(values)):.0%}" if values.size else "none"


def _ceiling(choice: MapChoice, result: EncodingResult) -> ShownMap:
    ceiling = result.named_ceiling(choice.ceiling)
    name = choice.ceiling or result.ceiling_name
    least = result.ceiling_threshold(choice.ceiling)
    above = int(result.divided(choice.ceiling).sum())
    maps = _single(
        result,
        ceiling,
        f"noise ceiling ({name})",
        colour_top(ceiling),
        threshold=min(least, colour_top(ceiling)),
        mesh=choice.mesh,
    )
    return ShownMap(
        maps,
        f"Noise ceiling from {result.ceiling_line(choice.ceiling)}: "
        f"{result.chosen_line(choice.ceiling)} in {above:,} of {int(result.valid.sum()):,} targets "
        "with a score. Scores are divided by it there only; move the threshold to see lower ones.",
    )


_MAKERS: Mapping[str, Callable[[MapChoice, EncodingResult], ShownMap]] = {
    "score": _score,
    "significant": _significant,
    "preferred": _preferred,
    "confidence": _confidence,
    "ceiling": _ceiling,
}


# ---- small parts ----------------------------------------------------------------------------


def score_label(normalised: bool) -> str:
    """Name a score for readers."""
    return "r / ceiling" if normalised else "Pearson r"


def _normalised_note(choice: MapChoice, result: EncodingResult) -> str:
    if not choice.normalised:
        return ""
    told = selection_line(result, choice.ceiling)
    return f"{normalised_note(result, choice.ceiling)} {f'{told}. ' if told else ''}"


def normalised_note(result: EncodingResult, ceiling: str | None) -> str:
    """Say which targets have a score that is divided by the ceiling."""
    return f"Only targets with a {result.chosen_line(ceiling)}."


def colour_top(values: Floats) -> float:
    """Give the end of a colour scale: nearly the highest value, so that a few do not stretch it."""
    finite = values[np.isfinite(values)]
    top = float(np.quantile(finite, 0.999)) if finite.size else 1.0
    return round(max(top, _LEAST_TOP), 2)


def _per_layer(
    result: EncodingResult,
    values: Floats,
    label: str,
    top: float,
    *,
    vmin: float = 0.0,
    threshold: float = 0.0,
    colours: str = "inferno",
    simulated: bool | None = None,
    mesh: str = "",
) -> MapSet:
    return MapSet(
        values=values,
        names=[f"layer {layer}" for layer in range(len(values))],
        label=label,
        vmin=vmin,
        vmax=top,
        threshold=threshold,
        simulated=result.simulated if simulated is None else simulated,
        colours=colours,
        **surface_options(result, values, mesh),
    )


def _single(
    result: EncodingResult,
    values: Floats,
    label: str,
    top: float,
    threshold: float = 0.0,
    mesh: str = "",
) -> MapSet:
    single = np.asarray(values, dtype=np.float32)[None]
    return MapSet(
        values=single,
        names=["all layers"],
        label=label,
        vmin=0.0,
        vmax=top,
        threshold=threshold,
        simulated=result.simulated,
        colours=_STEPS_COLOURS,
        **surface_options(result, single, mesh),
    )
