"""The surfaces of a report: packed bytes of meshes and maps, and what the viewer is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from braindash.encoding.several.comparison import Group
from braindash.exports.report.gather import Gathered
from braindash.files import digest_bytes
from braindash.viewer.blobs import MapSet, geometry_blob, map_blob
from braindash.viewer.colours import colour_blob, region_title
from braindash.views.captions import short_line
from braindash.views.finding import told_regions
from braindash.views.linked import (
    DIFFERENCE,
    DIFFERENCE_COLOURS,
    LinkedMaps,
    link_maps,
    linked_note,
    statistics_blob,
)

_ID_LENGTH = 16  # as the viewer's script reads it
_UNTESTED = "A single target's difference is not tested here."
_LEFT_OUT = "The maps of {names} were left out by choice; their curves and tables are here."


@dataclass(frozen=True)
class Surfaces:
    """Everything that the viewer of a report needs.

    Attributes
    ----------
    meshes, maps, statistics : mapping of str to bytes
        Packed bytes by their name: geometry and colour scales, maps, differences of regions.
    panels : tuple of dict
        One per model whose maps are here: ``name``, ``maps``, ``geometry``, ``source``.
    settings : dict
        Of the first sight, as the viewer's script takes them; of the panels those named by ``a``
        and ``b``.
    note : str
        What the colours are.
    left_out : str
        Which maps are not here, by choice.
    """

    meshes: dict[str, bytes]
    maps: dict[str, bytes]
    statistics: dict[str, bytes]
    panels: tuple[dict[str, str], ...]
    settings: dict[str, Any]
    note: str
    left_out: str = ""


def surfaces_of(found: Gathered, most: int | None = None) -> Surfaces | None:
    """Pack the surfaces of a report.

    Parameters
    ----------
    found : Gathered
        Its results.
    most : int, optional
        Maps of so many models at most, those of the first ones; all by default.

    Returns
    -------
    Surfaces or None
        None where no result has a surface, or none is wanted.
    """
    drawable = found.drawable
    shown = drawable if most is None else drawable[:most]
    if not shown:
        return None
    linked = _linked_pair(found, shown)
    alone = [one for one in shown if linked is None or one not in (0, 1)]
    maps: dict[int, MapSet] = {} if linked is None else dict(enumerate(linked.maps))
    for place in alone:
        maps[place] = _single(found.groups[place], found.names[place])
    meshes: dict[str, bytes] = {}
    packed: dict[str, bytes] = {}
    panels = []
    for place in shown:
        geometry = _kept(meshes, geometry_blob(maps[place].drawn.geometry))
        name = _kept(packed, map_blob(maps[place]))
        group = found.groups[place]
        source = short_line(group)
        panels.append(
            {"name": found.names[place], "maps": name, "geometry": geometry, "source": source}
        )
    statistics: dict[str, bytes] = {}
    settings = _settings(found, [maps[place] for place in shown])
    settings["colours"] = _kept(meshes, colour_blob())
    if linked is not None and linked.end is not None:
        name = _kept(statistics, statistics_blob(linked))
        settings["difference"] = {
            "name": DIFFERENCE,
            "end": linked.end,
            "cmap": DIFFERENCE_COLOURS,
            "statistics": name,
        }
    rest = [found.names[place] for place in drawable if place not in shown]
    first = linked or LinkedMaps(names=("",), maps=(maps[shown[0]],))
    return Surfaces(
        meshes,
        packed,
        statistics,
        tuple(panels),
        settings,
        linked_note(first, [found.groups[shown[0]]], None, tested=_UNTESTED),
        _LEFT_OUT.format(names=", ".join(rest)) if rest else "",
    )


def _linked_pair(found: Gathered, shown: Sequence[int]) -> LinkedMaps | None:
    """Link A and B with their difference, where both are drawn on one mesh."""
    if found.pair is None or not {0, 1} <= set(shown):
        return None
    groups = found.groups[:2]
    if groups[0].n_targets != groups[1].n_targets:
        return None
    return link_maps(
        groups, found.names[:2], normalised=False, ceilings=(None, None), pair=found.pair
    )


def _single(group: Group, name: str) -> MapSet:
    return link_maps((group,), (name,), normalised=False, ceilings=(None,)).maps[0]


def _settings(found: Gathered, maps: Sequence[MapSet]) -> dict[str, Any]:
    """Say how the panels are coloured: all on one scale, the widest of theirs."""
    widest = max(maps, key=lambda one: one.vmax)
    regions = told_regions(found.groups[0].region_names)
    return {
        "vmin": min(one.vmin for one in maps),
        "vmax": widest.vmax,
        "threshold": widest.threshold,
        "cmap": widest.colours,
        "simulated": any(one.simulated for one in maps),
        "layer": max(len(one.names) for one in maps) - 1,
        "held": [],
        "views": "lateral",
        "difference": None,
        "outlined": [region_title(name) for name in regions],
        "listsRegions": True,
    }


def _kept(blobs: dict[str, bytes], content: bytes) -> str:
    name = digest_bytes(content)[:_ID_LENGTH]
    blobs[name] = content
    return name
