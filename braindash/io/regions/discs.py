"""Discs around published coordinates: the regions of a surface without any label file.

No parcellation of the fsaverage surface may be shipped with the package, so without a label file
the regions are discs: the part of the mid-cortical surface inside a sphere around a published
MNI152 coordinate. They are not parcels, and everything shown of them says "sphere around
published coordinate".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from braindash.errors import InputError
from braindash.io.surfaces import (
    HEMISPHERES,
    adjacency,
    count_targets,
    load_surface,
    medial_wall,
)

SPHERE_LABEL = "sphere around published coordinate"

REGION_NAMES = (
    "primary_auditory",
    "early_auditory",
    "superior_temporal",
    "late_language",
    "angular_gyrus",
    "lateral_temporal",
    "ifg_mfg",
    "early_visual",
)

# MNI152 millimetres to fsaverage (MNI305) millimetres: inverse of FreeSurfer's MNI305 -> MNI152.
_MNI305_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0.0, 0.0, 0.0, 1.0],
    ]
)

_SENSAAS = "SENSAAS, Labache et al. 2019, doi:10.1007/s00429-018-1810-2"
_SEITZMAN = "300 ROI set, Seitzman et al. 2018, doi:10.1016/j.neuroimage.2019.116290"
_DOSENBACH = "Dosenbach et al. 2010, doi:10.1126/science.1194144"


@dataclass(frozen=True)
class Sphere:
    """A published coordinate and the radius that makes a region of it.

    Parameters
    ----------
    name : str
        The coordinate's name at its source, with the hemisphere.
    region : str
        The region that it is part of; several spheres make one region.
    hemisphere : {"left", "right"}
        The hemisphere on which the disc lies.
    mni : tuple of 3 floats
        Centre in MNI152 millimetres.
    radius_mm : float
        Radius of the sphere, in mm.
    source : str
        Where the coordinate was published.
    """

    name: str
    region: str
    hemisphere: str
    mni: tuple[float, float, float]
    radius_mm: float
    source: str


# (name at the source, left MNI, right MNI), by region, with the radius in mm.
_PAIRS = (
    (
        "primary_auditory",
        8.0,
        _SEITZMAN,
        (("Auditory", (-49.14, -26.30, 5.18), (57.88, -15.62, 7.49)),),
    ),
    (
        "early_auditory",
        10.0,
        _SEITZMAN,
        (
            ("Auditory a", (-49.14, -26.30, 5.18), (57.88, -15.62, 7.49)),
            ("Auditory b", (-60.48, -25.22, 13.82), (65.43, -33.20, 19.97)),
            ("Auditory c", (-55.22, -9.42, 11.73), (55.96, -5.03, 13.25)),
            ("Auditory d", (-38.43, -33.34, 16.98), (31.75, -26.33, 12.91)),
        ),
    ),
    (
        "superior_temporal",
        10.0,
        _SENSAAS,
        (("T1_4", (-58.8, -23.3, 3.7), (60.1, -20.0, 2.2)),),
    ),
    (
        "angular_gyrus",
        12.0,
        _SENSAAS,
        (("AG2", (-37.5, -70.4, 39.5), (44.5, -62.4, 36.3)),),
    ),
    (
        "angular_gyrus",
        12.0,
        _DOSENBACH,
        (("angular gyrus", (-48.0, -63.0, 35.0), (51.0, -59.0, 34.0)),),
    ),
    (
        "lateral_temporal",
        10.0,
        _SENSAAS,
        (
            ("STS1", (-49.7, 14.0, -21.6), (52.1, 13.4, -25.9)),
            ("STS2", (-54.9, -7.2, -12.8), (54.3, -2.5, -15.5)),
            ("STS3", (-54.7, -33.0, -1.7), (53.1, -31.9, -0.3)),
            ("STS4", (-56.6, -48.4, 13.4), (54.6, -45.5, 14.6)),
        ),
    ),
    (
        "ifg_mfg",
        12.0,
        _SENSAAS,
        (
            ("F3t", (-49.4, 25.6, 4.7), (49.8, 28.5, 5.0)),
            ("f2_2", (-43.1, 14.8, 29.4), (43.9, 18.5, 28.4)),
        ),
    ),
    (
        "early_visual",
        12.0,
        _SEITZMAN,
        (("Visual", (-8.43, -80.50, 7.44), (6.21, -81.41, 6.11)),),
    ),
)

UNIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"late_language": ("angular_gyrus", "lateral_temporal", "ifg_mfg")}
)
"""Regions that have no spheres of their own: they are several others together."""


@lru_cache(maxsize=1)
def published_spheres() -> tuple[Sphere, ...]:
    """List the published coordinates behind the regions.

    Returns
    -------
    tuple of Sphere
        In the order of the regions, left before right. Regions that are unions of others
        (late_language) have no spheres of their own.
    """
    return tuple(
        Sphere(f"{name} {side}", region, side, mni, radius_mm, source)
        for region, radius_mm, source, pairs in _PAIRS
        for name, *centres in pairs
        for side, mni in zip(HEMISPHERES, centres, strict=True)
    )


def mni_to_fsaverage(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Carry MNI152 coordinates over to the space of the fsaverage surfaces.

    Parameters
    ----------
    points : array of shape (..., 3)
        MNI152 coordinates in mm.

    Returns
    -------
    float64 array of shape (..., 3)
        Coordinates in mm of the fsaverage pial and white surfaces (MNI305).
    """
    inverse = np.linalg.inv(_MNI305_TO_MNI152)
    return np.asarray(points, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]


def sphere_mask(sphere: Sphere, space: str = "fsaverage5") -> npt.NDArray[np.bool_]:
    """Cut a sphere with the mid-cortical surface.

    The disc is the connected patch around the vertex nearest to the centre, so that it does not
    jump over a fissure; the medial wall is left out.

    Parameters
    ----------
    sphere : Sphere
        Centre and radius.
    space : str
        An fsaverage space.

    Returns
    -------
    bool array of shape (n_targets,)
        True inside the disc.
    """
    mask = np.zeros(count_targets(space), dtype=bool)
    n = len(mask) // 2
    start = HEMISPHERES.index(sphere.hemisphere) * n
    white = load_surface("white", space)[sphere.hemisphere].coordinates
    pial = load_surface("pial", space)[sphere.hemisphere].coordinates
    distance_mm = np.linalg.norm((white + pial) / 2 - mni_to_fsaverage(sphere.mni), axis=1)
    inside = np.flatnonzero((distance_mm <= sphere.radius_mm) & ~medial_wall(space)[start:][:n])
    if len(inside) == 0:
        raise InputError(
            f"the sphere {sphere.name!r} does not touch the cortex of the {sphere.hemisphere} side",
            hint=f"The nearest vertex is {distance_mm.min():.1f} mm away: check the coordinate.",
        )
    neighbours = adjacency(space)[inside + start][:, inside + start]
    _, component = connected_components(neighbours, directed=False)
    nearest = component[distance_mm[inside].argmin()]
    mask[inside[component == nearest] + start] = True
    return mask


@lru_cache(maxsize=3)
def disc_masks(space: str) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Cut the discs of every region.

    Parameters
    ----------
    space : str
        An fsaverage space.

    Returns
    -------
    mapping of str to bool array of shape (n_targets,)
        In the order of ``REGION_NAMES``; regions may overlap: late_language holds angular_gyrus,
        lateral_temporal and ifg_mfg. Read-only, shared between callers.
    """
    masks = {region: np.zeros(count_targets(space), dtype=bool) for region in REGION_NAMES}
    for sphere in published_spheres():
        masks[sphere.region] |= sphere_mask(sphere, space)
    for region, parts in UNIONS.items():
        masks[region] = np.logical_or.reduce([masks[part] for part in parts])
    for mask in masks.values():
        mask.setflags(write=False)
    return MappingProxyType(masks)
