"""Maps as GIFTI: a file per hemisphere with one array per layer, as the field's tools open them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.encoding.maps.kinds import MAP_KINDS, map_names, map_values, result_vertices
from braindash.encoding.result import EncodingResult
from braindash.exports.source import Source, clean, json_bytes
from braindash.io.gifti import values_gifti
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.spaces.vertices import Vertices, vertices_of
from braindash.viewer.blobs import MapSet

SIDES: Mapping[str, str] = {"left": "L", "right": "R"}
"""Hemispheres, as names of files write them."""
_INTENTS = {"p": "NIFTI_INTENT_PVAL", "r": "NIFTI_INTENT_CORREL"}
_NO_INTENT = "NIFTI_INTENT_NONE"

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Maps:
    """Maps of one quantity on a mesh, ready to be written.

    Attributes
    ----------
    what : str
        The quantity, in short: "r".
    title, unit : str
        What the values are.
    names : sequence of str
        Of each map: "layer 3".
    sides : mapping of str to float32 array of shape (n_maps, n_vertices)
        "left" and "right"; NaN where there is no value.
    mesh : str
        An fsaverage mesh, "fsLR32k" or "own".
    note : str
        How targets come to vertices; empty where each vertex is a target.
    """

    what: str
    title: str
    unit: str
    names: Sequence[str]
    sides: Mapping[str, Floats]
    mesh: str
    note: str = ""

    def document(self, source: Source) -> dict[str, Any]:
        """Say what the values are and where they come from, as JSON values."""
        told = {
            "Description": self.title,
            "Units": self.unit,
            "Maps": [clean(name) for name in self.names],
            "Mesh": self.mesh,
            "Missing": "NaN: no value at this vertex",
        }
        if self.note:
            told["FromTargetsToVertices"] = clean(self.note)
        return told | source.document()


def maps_of(result: EncodingResult, what: str, ceiling: str | None = None) -> Maps:
    """Take a kind of map of a result.

    Parameters
    ----------
    result : EncodingResult
        The result.
    what : str
        A name in :data:`braindash.encoding.maps.kinds.MAP_KINDS`.
    ceiling : str, optional
        Noise ceiling; the default one when left out.

    Raises
    ------
    InputError
        The result has no such map, or nothing leads from its targets to a surface.
    """
    values = map_values(result, what, ceiling)
    kind, mapped = MAP_KINDS[what], result_vertices(result)
    title = kind.title
    named = ceiling or result.ceiling_name
    if named and what in ("ceiling", "r_over_ceiling"):
        title = f"{title} ({named})"
    return shown_maps(
        values,
        map_names(result, what),
        mapped,
        (what, title, kind.unit),
        nearest=kind.nearest,
    )


def set_maps(maps: MapSet, n_targets: int, surface: SurfaceMap | None) -> Maps:
    """Take maps as a page shows them, what is masked in them included.

    Parameters
    ----------
    maps : MapSet
        As they are shown.
    n_targets : int
        How many targets they are of.
    surface : SurfaceMap or None
        What brings the targets to a surface. It is written on the mesh that this leads to, also
        where the page draws it on another one.
    """
    mapped = vertices_of(maps.space, n_targets, surface)
    told = (maps.label, maps.label, "")
    return shown_maps(maps.values, maps.names, mapped, told, nearest=maps.nearest)


def shown_maps(
    values: Floats,
    names: Sequence[str],
    mapped: Vertices,
    told: tuple[str, str, str],
    *,
    nearest: bool = False,
) -> Maps:
    """Bring maps of targets to a mesh.

    Parameters
    ----------
    values : array of shape (n_maps, n_targets)
        NaN where there is none.
    names : sequence of str
        Of each map.
    mapped : Vertices
        The mesh.
    told : (str, str, str)
        What the values are, in short and at length, and their unit.
    nearest : bool, default False
        Whether a vertex has the value of its main target.
    """
    sides = mapped.sides(values, nearest=nearest)
    return Maps(*told, names, sides, mapped.mesh, mapped.note)


def gifti_bytes(maps: Maps, side: str, source: Source) -> bytes:
    """Write the maps of one hemisphere as a ``.func.gii``.

    Parameters
    ----------
    maps : Maps
        What is written.
    side : {"left", "right"}
        The hemisphere.
    source : Source
        Where the values come from; stands in the file's metadata.

    Returns
    -------
    bytes
        One float32 array per map, its name as ``Name``; NaN where there is no value.
    """
    return values_gifti(
        maps.sides[side],
        [clean(name) for name in maps.names],
        side,
        intent=_INTENTS.get(maps.what, _NO_INTENT),
        told={
            "Description": clean(f"{maps.title} ({maps.unit})" if maps.unit else maps.title),
            "Mesh": maps.mesh,
            "Source": clean(source.stamped),
            "braindash": source.as_json(),
        },
    )


def map_files(maps: Maps, name: str, source: Source) -> dict[str, bytes]:
    """Write maps as GIFTI with a JSON file beside them.

    Returns
    -------
    dict of str to bytes
        ``NAME_hemi-L.func.gii``, ``NAME_hemi-R.func.gii`` and ``NAME.json``.
    """
    files = {
        f"{name}_hemi-{letter}.func.gii": gifti_bytes(maps, side, source)
        for side, letter in SIDES.items()
    }
    return files | {f"{name}.json": json_bytes(maps.document(source))}
