"""Regions of the cortex: discs around published coordinates, or a label file of the user.

No parcellation of the fsaverage surface may be shipped with the package, so without a label file
the regions are discs: the part of the mid-cortical surface inside a sphere around a published
MNI152 coordinate. They are not parcels, and everything shown of them says "sphere around
published coordinate".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from braindash.errors import InputError
from braindash.io.surfaces import (
    HEMISPHERES,
    SPACE_NAMES,
    SPACES,
    adjacency,
    count_targets,
    load_surface,
    medial_wall,
)

SPHERE_LABEL = "sphere around published coordinate"
WHOLE = "all targets"
"""Name of the set that holds every target of a result."""

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

LABEL_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "primary_auditory": ("A1",),
        "early_auditory": ("A1", "LBelt", "PBelt", "MBelt", "RI", "A4"),
        "secondary_auditory": ("STV",),
        "superior_temporal": ("A4", "A5"),
        "late_language": (
            *("A5", "44", "45", "IFJa", "IFSp", "PGi", "PGp", "PGs", "TPOJ1", "TPOJ2", "TPOJ3"),
            *("STGa", "STSda", "STSdp", "TA2", "STSva"),
        ),
        "angular_gyrus": ("PGi", "PGp", "PGs", "TPOJ2", "TPOJ3"),
        "lateral_temporal": ("TPOJ1", "STGa", "STSda", "STSdp", "A5", "STSva"),
        "ifg_mfg": ("44", "45", "IFJa", "IFSp"),
        "visual_word_form": ("PH", "TE2p"),
        "early_visual": ("V1", "V2"),
    }
)
"""HCP-MMP1 labels of each region, matched by name, never by number."""

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

_NOT_REGIONS = {"", "???", "unknown", "medial_wall", "corpuscallosum", "background"}


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


@dataclass(frozen=True)
class Labels:
    """A parcellation of both hemispheres.

    Parameters
    ----------
    names : tuple of str
        Label names without the hemisphere's prefix, each once.
    index : int32 array of shape (n_targets,)
        For every target the position of its label in ``names``, or -1 for none.
    source : str
        The files that it was read from.
    """

    names: tuple[str, ...]
    index: npt.NDArray[np.int32]
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


def region_masks(
    space: str, n_targets: int, labels: Labels | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the targets of every region, both hemispheres together.

    Parameters
    ----------
    space : str
        Space of the responses.
    n_targets : int
        Number of targets of the responses.
    labels : Labels, optional
        A parcellation on the same or a finer fsaverage mesh. With the names of HCP-MMP1 its
        labels are joined into ``LABEL_GROUPS``; otherwise each label is a region. Without it the
        regions are discs around published coordinates.

    Returns
    -------
    dict of str to bool array of shape (n_targets,)
        Regions may overlap: late_language holds angular_gyrus, lateral_temporal and ifg_mfg.
        Empty when ``space`` is not an fsaverage space.
    """
    name = SPACE_NAMES.get(space)
    if name is None:
        return {}
    if n_targets != 2 * SPACES[name]:
        raise InputError(
            f"{space} has {2 * SPACES[name]} targets, but the responses have {n_targets}",
            hint="Give one target per vertex, the left hemisphere first, or name another space.",
        )
    if labels is not None:
        return _label_masks(_cut_labels(labels, 2 * SPACES[name]), labels.names)
    return {region: mask.copy() for region, mask in _sphere_masks(name).items()}


def named_masks(space: str, n_targets: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Find the sets of targets that a result is summarised over.

    Parameters
    ----------
    space : str
        Space of the responses.
    n_targets : int
        Number of targets of the responses.

    Returns
    -------
    dict of str to bool array of shape (n_targets,)
        ``WHOLE`` first, then the regions of :func:`region_masks`, if the space has any.
    """
    return {WHOLE: np.ones(n_targets, dtype=bool)} | region_masks(space, n_targets)


def read_label_file(left: Path | str, right: Path | str) -> Labels:
    """Read a FreeSurfer annotation of both hemispheres.

    Parameters
    ----------
    left, right : path
        The .annot files of the left and the right hemisphere, on one fsaverage mesh.

    Returns
    -------
    Labels
        Labels matched by name; a prefix "L_", "R_", "lh." or "rh." and a suffix "_ROI" are
        dropped, so that both sides of a label are one region.
    """
    sides = [_read_annot(Path(path)) for path in (left, right)]
    lengths = [len(names) for names in sides]
    if lengths[0] != lengths[1] or lengths[0] not in SPACES.values():
        raise InputError(
            f"{left} has {lengths[0]} vertices and {right} has {lengths[1]}",
            hint=f"Both must be on one fsaverage mesh: {', '.join(map(str, SPACES.values()))}.",
        )
    per_target = np.concatenate(sides)
    names, index = np.unique(per_target, return_inverse=True)
    is_region = np.array([name.lower() not in _NOT_REGIONS for name in names])
    position = np.where(is_region, np.cumsum(is_region) - 1, -1)
    return Labels(
        names=tuple(str(name) for name in names[is_region]),
        index=position[index].astype(np.int32),
        source=f"{Path(left).name}, {Path(right).name}",
    )


def _read_annot(path: Path) -> npt.NDArray[np.str_]:
    """Read the label name of every vertex of one hemisphere."""
    from nibabel.freesurfer.io import read_annot  # slow to import, needed only here

    try:
        codes, _, raw_names = read_annot(str(path))  # type: ignore[no-untyped-call]
    except (OSError, ValueError, IndexError, MemoryError) as error:
        raise InputError(
            f"{path} cannot be read as a FreeSurfer annotation: {error}",
            hint="Give the .annot file of one hemisphere, such as lh.HCPMMP1.annot.",
        ) from error
    names = np.array([*(_plain_name(raw.decode("utf-8")) for raw in raw_names), ""])
    return names[np.where(codes < 0, len(raw_names), codes)]


def _plain_name(name: str) -> str:
    for prefix in ("L_", "R_", "lh.", "rh."):
        name = name.removeprefix(prefix)
    return name.removesuffix("_ROI")


def _cut_labels(labels: Labels, wanted: int) -> npt.NDArray[np.int32]:
    have = len(labels.index)
    if have < wanted:
        raise InputError(
            f"the labels {labels.source} have {have} targets, fewer than the {wanted} responses",
            hint="Use labels on the responses' own mesh or on a finer one (fsaverage).",
        )
    return labels.index.reshape(2, -1)[:, : wanted // 2].reshape(-1)


def _label_masks(
    index: npt.NDArray[np.int32], names: tuple[str, ...]
) -> dict[str, npt.NDArray[np.bool_]]:
    wanted = {label for group in LABEL_GROUPS.values() for label in group}
    if not wanted <= set(names):
        return {name: index == position for position, name in enumerate(names)}
    return {
        region: np.isin(index, [names.index(label) for label in group])
        for region, group in LABEL_GROUPS.items()
    }


@lru_cache(maxsize=3)
def _sphere_masks(space: str) -> Mapping[str, npt.NDArray[np.bool_]]:
    masks = {region: np.zeros(count_targets(space), dtype=bool) for region in REGION_NAMES}
    for sphere in published_spheres():
        masks[sphere.region] |= sphere_mask(sphere, space)
    for region, parts in UNIONS.items():
        masks[region] = np.logical_or.reduce([masks[part] for part in parts])
    return MappingProxyType(masks)
