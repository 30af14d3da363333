"""Surface maps as the viewer needs them: geometry travels once, a map is one byte per value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from braindash.core.scores import region_means
from braindash.errors import InputError
from braindash.io.surfaces import (
    HEMISPHERES,
    SPACE_NAMES,
    coarsen,
    count_targets,
    load_surface,
    sulcal_depth,
)
from braindash.viewer.colours import region_colour, region_title
from braindash.viewer.packing import pack

VIEWER_MESH = "fsaverage5"
SHAPES = ("inflated", "pial", "white", "sphere", "flat")
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
        An fsaverage space.
    simulated : bool
        Whether to stamp the picture.
    regions : mapping of str to bool array of shape (n_targets,)
        Regions to name, outline and average.
    colours : str
        A name in :data:`braindash.viewer.colours.SEQUENTIAL` or ``DIVERGING``.
    means : mapping of str to array of shape (n_layers,), optional
        Means of the regions, where they are not those of ``values``: the mean over subjects of a
        region's mean is not the region's mean of their mean map.
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

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.names):
            raise InputError(
                f"{len(self.names)} names for values of shape {self.values.shape}",
                hint="Give values of shape (n_layers, n_targets) and one name per layer.",
            )
        if not can_show(self.space, self.values.shape[1]):
            raise InputError(
                f"{self.values.shape[1]} targets in the space {self.space!r} have no surface here",
                hint="Maps can be shown for fsaverage5, fsaverage6 and fsaverage.",
            )


def can_show(space: str, n_targets: int) -> bool:
    """Say whether targets of a space can be drawn on a surface."""
    return SPACE_NAMES.get(space) is not None and n_targets == count_targets(space)


@lru_cache(maxsize=1)
def geometry_blob() -> bytes:
    """Pack the fsaverage5 surfaces of both hemispheres.

    Coordinates are int16 shares of a scale in mm, faces uint16 (the same ones on both sides),
    sulcal depth uint8. The flat surface lies in the plane x = 0 and lacks the faces along its
    cuts: a byte per face says whether it has it; vertices without a face sit in its middle.
    """
    faces = load_surface("inflated")["left"].faces
    arrays: dict[str, np.ndarray] = {"faces": faces.astype(np.uint16)}
    scales: dict[str, float] = {}
    for side in HEMISPHERES:
        kept = {frozenset(face) for face in load_surface("flat")[side].faces.tolist()}
        on_flat = [frozenset(face) in kept for face in faces.tolist()]
        arrays[f"on_flat_{side}"] = np.array(on_flat, dtype=np.uint8)
        for shape in SHAPES:
            mesh = load_surface(shape)[side]
            points = mesh.coordinates.astype(np.float64)
            if shape == "flat":
                points = _upright(points, mesh.faces, side)
            points -= (points.max(axis=0) + points.min(axis=0)) / 2
            scale = float(np.abs(points).max())
            scales[f"{shape}_{side}"] = scale
            arrays[f"{shape}_{side}"] = np.round(points / scale * 32767).astype(np.int16)
    depth = sulcal_depth()
    share = (depth - depth.min()) / np.ptp(depth)
    for side, part in zip(HEMISPHERES, np.split(share, 2), strict=True):
        arrays[f"sulc_{side}"] = np.round(part * 255).astype(np.uint8)
    return pack({"shapes": list(SHAPES), "scale_mm": scales}, arrays)


def _upright(points: np.ndarray, faces: np.ndarray, side: str) -> np.ndarray:
    """Stand the flat surface in the plane x = 0, as a camera at the side sees it."""
    used = np.zeros(len(points), dtype=bool)
    used[faces] = True
    across = points[:, 0] * (-1.0 if side == "left" else 1.0)
    upright = np.stack([np.zeros(len(points)), across, points[:, 1]], axis=1)
    upright[~used] = upright[used].mean(axis=0)
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
    coarse = coarsen(values, maps.space)
    finite = coarse[np.isfinite(coarse)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    span = max(high - low, 1e-6)
    steps = np.round((np.where(np.isfinite(coarse), coarse, low) - low) / span * _STEPS)
    quantised = np.where(np.isfinite(coarse), steps, MISSING).astype(np.uint8)
    regions = {name: maps.regions[name] for name in shown_regions(maps)}
    bits = np.zeros((max(1, -(-len(regions) // _WORD_BITS)), coarse.shape[1]), dtype=np.uint16)
    for position, mask in enumerate(regions.values()):
        word, bit = divmod(position, _WORD_BITS)
        bits[word] |= coarsen(mask, maps.space).astype(np.uint16) << np.uint16(bit)
    header = {
        "low": low,
        "high": low + span,
        "names": list(maps.names),
        "label": maps.label,
        "regions": _region_rows(values, regions, maps.means),
    }
    return pack(header, {"maps": quantised, "regions": bits.ravel()})


def _coverage(values: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the share of a region's targets that have a value in some map."""
    inside = np.isfinite(values[:, mask]).any(axis=0)
    return float(inside.mean()) if inside.size else None


def _region_rows(
    values: np.ndarray,
    regions: Mapping[str, np.ndarray],
    given: Mapping[str, np.ndarray] | None,
) -> list[dict[str, object]]:
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
                "coverage": _coverage(values, regions[name]),
                "means": [float(mean) if np.isfinite(mean) else None for mean in means],
            }
        )
    return rows
