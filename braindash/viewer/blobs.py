"""Surface maps as the viewer needs them: geometry travels once, a map is one byte per value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from braindash.core.scores import region_means
from braindash.errors import InputError
from braindash.io.surfaces import HEMISPHERES
from braindash.viewer.colours import region_colour, region_title
from braindash.viewer.drawn import Drawn, Geometry, can_show, drawn
from braindash.viewer.packing import pack

__all__ = ["MapSet", "can_show", "geometry_blob", "map_blob", "shown_regions"]

VIEWER_MESH = "fsaverage5"
MISSING = 255
_STEPS = 254  # values take 0 to 254; 255 means missing
_WORD_BITS = 16  # regions in a word; each vertex has as many words as there have to be


@dataclass(frozen=True)
class MapSet:
    """Maps of one score on one surface, one per layer.

    Parameters
    ----------
    values : float array of shape (n_layers, n_targets)
        NaN where there is no value.
    names : sequence of str
        Name of every map, such as "layer 3".
    label : str
        What the values are, with their unit: "Pearson r".
    vmin, vmax : float
        Ends of the colour scale.
    threshold : float
        Values below it are not coloured.
    space : str
        The targets' own.
    simulated : bool
        Whether to stamp the picture.
    regions : mapping of str to bool array of shape (n_targets,)
        Regions to name, outline and average.
    colours : str
        A name in :data:`braindash.viewer.colours.SEQUENTIAL` or ``DIVERGING``.
    means : mapping of str to array of shape (n_layers,), optional
        Means of the regions, where they are not those of ``values``: the mean over subjects of a
        region's mean is not the region's mean of their mean map.
    coverage : mapping of str to float, optional
        Share of the regions that has a value, where it is not counted in ``regions``.
    outlines : mapping of str to bool array of shape (20484,), optional
        The regions on fsaverage5, where they are known there and not by targets.
    surface : Drawn, optional
        What is drawn; the space's own surface when left out, which only fsaverage spaces have.
    nearest : bool, default False
        Whether a vertex has the value of its main target: for numbers whose mean means nothing.
    heading : str
        What stands above the list of regions: what its numbers are.
    """

    values: np.ndarray
    names: Sequence[str]
    label: str
    vmin: float
    vmax: float
    threshold: float
    space: str = VIEWER_MESH
    simulated: bool = False
    regions: Mapping[str, np.ndarray] = field(default_factory=dict)
    colours: str = "inferno"
    means: Mapping[str, np.ndarray] | None = None
    coverage: Mapping[str, float] | None = None
    outlines: Mapping[str, np.ndarray] | None = None
    surface: Drawn | None = None
    nearest: bool = False
    heading: str = "Region means"

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.names):
            raise InputError(
                f"{len(self.names)} names for values of shape {self.values.shape}",
                hint="Give values of shape (n_layers, n_targets) and one name per layer.",
            )
        if self.surface is None:
            drawn(self.space, self.values.shape[1])  # refuses what has no surface

    @property
    def drawn(self) -> Drawn:
        """What is drawn of it."""
        return self.surface or drawn(self.space, self.values.shape[1])


_GEOMETRY_BLOBS: dict[str, bytes] = {}
_KEPT_GEOMETRIES = 4


def geometry_blob(geometry: Geometry | None = None) -> bytes:
    """Pack the surfaces of both hemispheres; those of fsaverage5 where none are given.

    Coordinates are int16 shares of a scale in mm, faces uint16, sulcal depth uint8. The flat
    surface, where there is one, lies in the plane x = 0 and lacks the faces along its cuts: a byte
    per face says whether it has it; vertices without a face sit in its middle.
    """
    shown = geometry or drawn(VIEWER_MESH, 20484).geometry
    if shown.identity not in _GEOMETRY_BLOBS:
        while len(_GEOMETRY_BLOBS) >= _KEPT_GEOMETRIES:
            _GEOMETRY_BLOBS.pop(next(iter(_GEOMETRY_BLOBS)), None)
        _GEOMETRY_BLOBS[shown.identity] = _packed(shown)
    return _GEOMETRY_BLOBS[shown.identity]


def _packed(geometry: Geometry) -> bytes:
    left, right = (geometry.faces[side].astype(np.uint16) for side in HEMISPHERES)
    alike = np.array_equal(left, right)
    arrays: dict[str, np.ndarray] = {"faces": left} if alike else {}
    scales: dict[str, float] = {}
    depths = np.concatenate([geometry.depth[side] for side in HEMISPHERES])
    lowest, span = float(depths.min()), float(np.ptp(depths)) or 1.0
    for side, faces in zip(HEMISPHERES, (left, right), strict=True):
        if not alike:
            arrays[f"faces_{side}"] = faces
        on_flat = geometry.on_flat[side]
        arrays[f"on_flat_{side}"] = on_flat.astype(np.uint8)
        for shape, sides in geometry.shapes.items():
            points = sides[side].astype(np.float64)
            if shape == "flat":
                points = _upright(points, geometry.faces[side][on_flat], side)
            points -= (points.max(axis=0) + points.min(axis=0)) / 2
            scale = float(np.abs(points).max()) or 1.0
            scales[f"{shape}_{side}"] = scale
            arrays[f"{shape}_{side}"] = np.round(points / scale * 32767).astype(np.int16)
        share = (geometry.depth[side] - lowest) / span
        arrays[f"sulc_{side}"] = np.round(share * 255).astype(np.uint8)
    return pack({"shapes": list(geometry.shapes), "scale_mm": scales}, arrays)


def _upright(points: np.ndarray, faces: np.ndarray, side: str) -> np.ndarray:
    """Stand the flat surface in the plane x = 0, as a camera at the side sees it."""
    used = np.zeros(len(points), dtype=bool)
    used[faces] = True
    across = points[:, 0] * (-1.0 if side == "left" else 1.0)
    upright = np.stack([np.zeros(len(points)), across, points[:, 1]], axis=1)
    upright[~used] = upright[used].mean(axis=0) if used.any() else 0.0
    return upright


def shown_regions(maps: MapSet) -> list[str]:
    """Name the regions that travel with maps, in the order of their bits."""
    return list(maps.regions)


def map_blob(maps: MapSet) -> bytes:
    """Pack maps as bytes: 0 to 254 between the lowest and the highest value, 255 missing.

    Returns
    -------
    bytes
        With the region means per map, computed before rounding to bytes, their coverage, and each
        vertex's regions as bits: words of 16 regions, one after the other for all vertices.
    """
    values = np.asarray(maps.values, dtype=np.float32)
    shown = maps.drawn
    coarse = shown.values(values, nearest=maps.nearest)
    finite = coarse[np.isfinite(coarse)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    span = max(high - low, 1e-6)
    steps = np.round((np.where(np.isfinite(coarse), coarse, low) - low) / span * _STEPS)
    quantised = np.where(np.isfinite(coarse), steps, MISSING).astype(np.uint8)
    regions = {name: maps.regions[name] for name in shown_regions(maps)}
    bits = np.zeros((max(1, -(-len(regions) // _WORD_BITS)), coarse.shape[1]), dtype=np.uint16)
    for position, (name, mask) in enumerate(regions.items()):
        word, bit = divmod(position, _WORD_BITS)
        bits[word] |= _on_surface(maps, shown, name, mask).astype(np.uint16) << np.uint16(bit)
    header = {
        "low": low,
        "high": low + span,
        "names": list(maps.names),
        "label": maps.label,
        "heading": maps.heading,
        "regions": _region_rows(values, regions, maps),
        "numbered": shown.numbered,
    }
    return pack(header, {"maps": quantised, "regions": bits.ravel()})


def _on_surface(maps: MapSet, shown: Drawn, name: str, mask: np.ndarray) -> np.ndarray:
    """Return the drawn vertices of a region: by fsaverage5 where it is known there."""
    if maps.outlines is not None and shown.common is not None:
        return np.asarray(maps.outlines[name][shown.common])
    return shown.mask(mask)


def _coverage(values: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the share of a region's targets that have a value in some map."""
    inside = np.isfinite(values[:, mask]).any(axis=0)
    return float(inside.mean()) if inside.size else None


def _region_rows(
    values: np.ndarray,
    regions: Mapping[str, np.ndarray],
    maps: MapSet,
) -> list[dict[str, object]]:
    given, covered = maps.means, maps.coverage
    table = region_means(values, regions) if regions and given is None else None
    rows: list[dict[str, object]] = []
    for name in regions:
        means: Iterable[float] = () if given is None else given[name]
        if table is not None:
            means = table[table["region"] == name]["value"]
        rows.append(
            {
                "name": region_title(name),
                "colour": region_colour(name),
                "coverage": _coverage(values, regions[name]) if covered is None else covered[name],
                "means": [float(mean) if np.isfinite(mean) else None for mean in means],
            }
        )
    return rows
