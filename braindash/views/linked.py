"""Maps of several models side by side, on one colour scale, with the difference of the first two.

The difference is made in the browser from the two models' own maps, so it follows layers that are
chosen there, also different ones, and brings no bytes of its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.statistics.components import nanmean
from braindash.core.statistics.families import FlippedMaps
from braindash.encoding.several.comparison import Difference, Group, LayerPairs
from braindash.encoding.several.group_maps import (
    flips_line,
    maps_over_subjects,
    prevalence_line,
    prevalence_maps,
)
from braindash.errors import InputError
from braindash.io.regions.masks import WHOLE
from braindash.viewer.blobs import MapSet, shown_regions
from braindash.viewer.colours import MIX_COLOURS
from braindash.viewer.packing import pack
from braindash.views.maps import (
    colour_top,
    normalised_note,
    score_label,
    surface_note,
    surface_options,
)

MOST_PANELS = 4  # and one more in which they mix
GROUP_MAPS: Mapping[str, str] = {
    "mean": "mean of the subjects",
    "tested": "mean where p ≤ 0.05 over subjects",
    "prevalence": "share of subjects with q ≤ 0.05",
}
"""What maps of several subjects can show."""
_LEVEL = 0.05
DIFFERENCE = "A minus B"
DIFFERENCE_COLOURS = "RdBu_r"
_THRESHOLD_SHARE = 0.2  # of the score's scale

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Mix:
    """One more panel, in which two or three maps are inks that mix.

    Parameters
    ----------
    name : str
        What the panel is of.
    alone : bool, default False
        Whether it is at first the only panel that is seen.
    """

    name: str
    alone: bool = False


@dataclass(frozen=True)
class LinkedMaps:
    """Panels of one model each, and their difference.

    Parameters
    ----------
    names : tuple of str
        What each panel is of.
    maps : tuple of MapSet
        Its maps, one per layer; all with one scale, one threshold and the same targets.
    end : float or None
        End of the difference's colour scale, which is centred at 0; None without that panel.
    statistics : LayerPairs or None
        Differences of the regions with their intervals.
    note : str
        What maps of several subjects show beside their mean.
    mix : Mix or None
        A panel of all of them in one.
    """

    names: tuple[str, ...]
    maps: tuple[MapSet, ...]
    end: float | None = None
    statistics: LayerPairs | None = None
    note: str = ""
    mix: Mix | None = None

    def __post_init__(self) -> None:
        count = len(self.maps) + (self.end is not None)
        if not 1 <= len(self.maps) == len(self.names) or count > MOST_PANELS:
            raise InputError(
                f"{len(self.names)} names and {count} panels",
                hint=f"Give one name per model, and {MOST_PANELS} panels at most.",
            )
        if self.end is not None and len(self.maps) < 2:
            raise InputError("a difference needs two models", hint="Choose a second model.")
        if self.mix is not None and not 2 <= len(self.maps) <= len(MIX_COLOURS):
            raise InputError(
                f"{len(self.maps)} maps cannot be mixed as colours",
                hint=f"Mix two or {len(MIX_COLOURS)}: more colours cannot be told apart.",
            )
        first = self.maps[0]
        for other in self.maps[1:]:
            same = other.drawn.geometry.identity == first.drawn.geometry.identity
            if not same or other.values.shape[1] != first.values.shape[1]:
                raise InputError(
                    f"maps of {first.space} and {other.space} cannot be shown side by side",
                    hint="Choose results in the same space.",
                )

    @property
    def last_layers(self) -> tuple[int, ...]:
        """Last layer of every model."""
        return tuple(len(maps.names) - 1 for maps in self.maps)


def link_maps(
    groups: Sequence[Group],
    names: Sequence[str],
    *,
    normalised: bool,
    ceilings: Sequence[str | None],
    pair: Difference | None = None,
    mesh: str = "",
    shown: str = "mean",
    only: NDArray[np.bool_] | None = None,
) -> LinkedMaps:
    """Make linked maps of one score.

    Parameters
    ----------
    groups : sequence of Group
        Models A, B, ..., each of the same subjects; of several subjects the mean is shown.
    names : sequence of str
        What each panel is of.
    normalised : bool
        r / ceiling instead of r.
    ceilings : sequence of (str or None)
        Noise ceiling of each model.
    pair : Difference, optional
        A and B, for a panel with their difference.
    mesh : str, optional
        What is drawn; the usual mesh of the results' space by default.
    shown : str, default "mean"
        One of :data:`GROUP_MAPS`; the others need several subjects.
    only : bool array of shape (n_layers, n_targets), optional
        Targets that A and B, and so their difference, are shown of.
    """
    if shown == "prevalence":
        return _prevalence(groups, names, mesh)
    values = [
        group.scores(normalised=normalised, ceiling=ceiling)
        for group, ceiling in zip(groups, ceilings, strict=True)
    ]
    top = max(colour_top(one) for one in values)
    if only is not None:
        values[:2] = [np.where(only, one, np.nan) for one in values[:2]]
    note = ""
    if shown == "tested":
        tests = [
            maps_over_subjects(group, normalised=normalised, ceiling=ceiling)
            for group, ceiling in zip(groups, ceilings, strict=True)
        ]
        note = _tested_note(groups[0], tests[0])
        values = [
            np.where(test.p <= _LEVEL, one, np.nan) for test, one in zip(tests, values, strict=True)
        ]
    maps = [
        _maps(group, one, top, normalised, ceiling, mesh)
        for group, one, ceiling in zip(groups, values, ceilings, strict=True)
    ]
    if pair is None:
        return LinkedMaps(tuple(names), tuple(maps), note=note)
    last = [len(one) - 1 for one in values[:2]]
    steps = max(last)
    layers = [[layer_at(place, steps, end) for place in range(steps + 1)] for end in last]
    gaps = values[0][layers[0]] - values[1][layers[1]]  # NaN where either is masked
    statistics = pair.layer_pairs(normalised=normalised, ceiling=ceilings[0])
    return LinkedMaps(tuple(names), tuple(maps), colour_top(np.abs(gaps)), statistics, note)


def _prevalence(groups: Sequence[Group], names: Sequence[str], mesh: str) -> LinkedMaps:
    maps = []
    for group in groups:
        share = prevalence_maps(group, q=_LEVEL).share
        options = group_options(group, share, mesh)
        maps.append(
            MapSet(
                values=share,
                names=[f"layer {layer}" for layer in range(len(share))],
                label=GROUP_MAPS["prevalence"],
                vmin=0.0,
                vmax=1.0,
                threshold=0.0,
                simulated=group.simulated,
                **options,
            )
        )
    note = f"{prevalence_line(groups[0], _LEVEL)}."
    return LinkedMaps(tuple(names), tuple(maps), note=note)


def _tested_note(group: Group, found: FlippedMaps) -> str:
    least = 1 / found.n_flips if found.exact else 1 / (1 + found.n_flips)
    told = f"Grey also where p > {_LEVEL:g}. {flips_line(group, found)}."
    if least <= _LEVEL:
        return told
    return f"{told} With {group.n_subjects} subjects no p is below {least:.2g}: all is grey."


def _maps(
    group: Group,
    values: Floats,
    top: float,
    normalised: bool,
    ceiling: str | None,
    mesh: str,
) -> MapSet:
    options = group_options(group, values, mesh)
    options["regions"] = {
        name: mask for name, mask in options["regions"].items() if name in group.region_names
    }
    means = nanmean(group.values(normalised=normalised, ceiling=ceiling))
    return MapSet(
        values=values,
        names=[f"layer {layer}" for layer in range(len(values))],
        label=score_label(normalised),
        vmin=0.0,
        vmax=top,
        threshold=round(_THRESHOLD_SHARE * top, 2),
        simulated=group.simulated,
        **options | {"means": dict(zip(group.region_names, means.T, strict=True))},
    )


def group_options(group: Group, values: Floats, mesh: str) -> dict[str, Any]:
    """Say on what a group's maps are drawn; those of subjects that meet on fsaverage5, there."""
    if not group.on_common:
        return surface_options(group.first, values, mesh)
    return {
        "space": group.space,
        "regions": {name: mask for name, mask in group.masks.items() if name != WHOLE},
    }


def difference_maps(linked: LinkedMaps, layers: Sequence[int]) -> MapSet:
    """Return the difference at chosen layers as a map of its own, for a static picture.

    Parameters
    ----------
    linked : LinkedMaps
        With a difference.
    layers : sequence of int
        Layers of A and of B.
    """
    one, two = (maps.values[layer] for maps, layer in zip(linked.maps, layers, strict=False))
    a, b = linked.maps[:2]
    reached = np.fmax(one, two) >= a.threshold
    end = linked.end or 1.0
    return MapSet(
        values=np.where(reached, one - two, np.nan)[None],
        names=[f"layer {layers[0]} minus layer {layers[1]}"],
        label=f"difference of {a.label}",
        vmin=-end,
        vmax=end,
        threshold=0.0,
        space=a.space,
        surface=a.surface,
        simulated=a.simulated or b.simulated,
        colours=DIFFERENCE_COLOURS,
    )


def statistics_blob(linked: LinkedMaps) -> bytes:
    """Pack the regions' differences of every pair of layers, in the order of the maps' regions.

    Returns
    -------
    bytes
        float32 ``difference``, ``low``, ``high`` and ``p`` of shape (n_layers_a, n_layers_b,
        n_regions); NaN where there is none.
    """
    found = linked.statistics
    if found is None:
        raise InputError("these maps have no statistics", hint="Give a pair of models.")
    places = [found.regions.index(name) for name in shown_regions(linked.maps[0])]
    arrays = {
        name: np.asarray(getattr(found, name)[..., places], dtype=np.float32)
        for name in ("difference", "low", "high", "p")
    }
    return pack({}, arrays)


def linked_note(
    linked: LinkedMaps,
    groups: Sequence[Group],
    ceiling: str | None,
    *,
    tested: str = "",
) -> str:
    """Say what the colours of linked maps are, what is grey, and how A minus B was tested."""
    first = linked.maps[0]
    if first.label == GROUP_MAPS["prevalence"]:
        return " ".join(filter(None, [linked.note, surface_note(first)]))
    normalised = first.label == score_label(True)
    parts = [f"{first.label} of every model at its shown layer, on one scale."]
    if groups[0].n_subjects > 1:
        parts.append(f"Every map is the mean of n = {groups[0].n_subjects} subjects.")
        if groups[0].on_common and groups[0].first.surface is not None:
            parts.append(f"On fsaverage5: {groups[0].first.surface.note}.")
    if normalised:
        parts.append(normalised_note(groups[0].first, ceiling))
    parts.append("Grey: below the threshold, or without a score.")
    parts += [linked.note] if linked.note else []
    parts += [mixed_note(linked.names)] if linked.mix is not None else []
    parts += [note] if (note := surface_note(first)) else []
    if linked.end is not None:
        parts.append(
            f"{DIFFERENCE}: red where A predicts better, blue where B does; grey where neither "
            "model reaches the threshold. The intervals are those of the regions."
        )
        parts.append(
            tested
            or "A single target's difference is not tested here; 'Significant only' is, for one "
            "subject and equal layers."
        )
    return " ".join(parts)


def mixed_note(names: Sequence[str]) -> str:
    """Say how inks mix."""
    count = "two" if len(names) == 2 else "three"
    return (
        f"Mixed: the {count} maps are inks, none at the lower end of the scale, full at the upper "
        "one; where several are high the inks add up."
    )


# ---- layers ---------------------------------------------------------------------------------


def layer_at(place: int, steps: int, last: int) -> int:
    """Return a model's layer at a place of the common slider.

    Parameters
    ----------
    place : int
        From 0 to ``steps``, the layers of the deepest model.
    steps : int
        Its last layer.
    last : int
        Last layer of this model: models of other depth are aligned by relative depth.
    """
    return int(np.floor(place / steps * last + 0.5)) if steps else 0


def read_held(text: str, count: int) -> list[int | None]:
    """Read which panels are held at which layer, such as ``"A3C0"``; None: not held."""
    held: list[int | None] = [None] * count
    for letter, layer in re.findall(r"([A-D])([0-9]{1,4})", text):
        if ord(letter) - ord("A") < count:
            held[ord(letter) - ord("A")] = int(layer)
    return held


def shown_layers(
    place: int, held: Sequence[int | None], last_layers: Sequence[int]
) -> tuple[int, ...]:
    """Return the layer that every panel shows; the viewer's script does the same."""
    steps = max(last_layers)
    return tuple(
        layer_at(min(place, steps), steps, last) if fixed is None else min(fixed, last)
        for fixed, last in zip(held, last_layers, strict=True)
    )
