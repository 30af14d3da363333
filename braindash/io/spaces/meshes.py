"""Surfaces that a subject or a lab brings along, and their way to fsaverage by registered spheres.

A subject of pycortex has ``surfaces/{wm,pia,inflated,flat}_{lh,rh}`` as GIFTI files or as ``.npz``
with ``pts`` and ``polys``; one of FreeSurfer has ``surf/{lh,rh}.{white,pial,inflated,sphere.reg}``.
"""

import logging
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.images.loading import load_gifti
from braindash.io.spaces.surface_map import COMMON, Floats, Places, Shapes
from braindash.io.surfaces import HEMISPHERES, SPACES, Mesh, load_surface
from braindash.names import existing

logger = logging.getLogger(__name__)

Pair = tuple[Path, Path]
"""A file of the left hemisphere, and one of the right."""

_SHORT = ("lh", "rh")
_PYCORTEX = {"inflated": "inflated", "pial": "pia", "white": "wm", "flat": "flat"}
_FREESURFER = ("inflated", "pial", "white")
# The first that a file's name holds; what a name does not say is drawn as it is.
_SHAPES = (
    ("inflated", re.compile("inflated")),
    ("pial", re.compile("pial?(?![a-z])")),
    ("white", re.compile("white|(?<![a-z])wm(?![a-z])")),
    ("midthickness", re.compile("midthickness|graymid|(?<![a-z])mid(?![a-z])|fiducial")),
    ("sphere", re.compile("sphere")),
    ("flat", re.compile("flat")),
)
_FORMS = "GIFTI (.surf.gii, .gii), pycortex's .npz (pts, polys) or FreeSurfer's own"


@dataclass(frozen=True)
class SurfaceFiles:
    """Where the surfaces of one mesh lie.

    Attributes
    ----------
    shapes : mapping of str to (left, right)
        Files by shape, the one that is shown first at its place.
    depth : tuple of Path
        Sulcal depth: of both hemispheres in one ``.npz``, or left and right; empty without any.
    spheres : (left, right), optional
        Spheres registered with fsaverage's.
    """

    shapes: Mapping[str, Pair]
    depth: tuple[Path, ...] = ()
    spheres: Pair | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Every file by what it is."""
        pairs = dict(self.shapes) | ({"sphere.reg": self.spheres} if self.spheres else {})
        named = {
            f"{name} {side}": path
            for name, pair in pairs.items()
            for side, path in zip(HEMISPHERES, pair, strict=True)
        }
        return named | {f"depth {place}": path for place, path in enumerate(self.depth)}


@dataclass(frozen=True)
class OwnSurfaces:
    """The surfaces of one mesh.

    Attributes
    ----------
    shapes : mapping of str to mapping of hemisphere to Mesh
        All with the same vertices.
    depth : float32 array of shape (n_vertices,), optional
        Positive in sulci.
    nearest, nearest_common : int32 arrays, optional
        As of :class:`~braindash.io.spaces.surface_map.SurfaceMap`.
    """

    shapes: Shapes = field(repr=False)
    depth: Floats | None = field(default=None, repr=False)
    nearest: Places | None = field(default=None, repr=False)
    nearest_common: Places | None = field(default=None, repr=False)

    @property
    def counts(self) -> tuple[int, int]:
        """Vertices of the left and of the right hemisphere."""
        first = next(iter(self.shapes.values()))
        left, right = (len(first[side].coordinates) for side in HEMISPHERES)
        return left, right


# ---- which files ----------------------------------------------------------------------------


def pycortex_files(folder: Path, freesurfer: Path | None = None) -> SurfaceFiles:
    """Find the surfaces of a pycortex subject, and the spheres of its FreeSurfer folder.

    Raises
    ------
    InputError
        The folder or a needed surface is missing.
    """
    place = _folder(folder, "pycortex") / "surfaces"
    shapes: dict[str, Pair] = {}
    for shape, name in _PYCORTEX.items():
        pair = [_either(place / f"{name}_{side}") for side in _SHORT]
        if all(pair):
            shapes[shape] = (pair[0], pair[1])  # type: ignore[assignment]
    for needed in ("pial", "white"):
        if needed not in shapes:
            name = _PYCORTEX[needed]
            raise InputError(
                f"{place} has no surfaces {name}_lh and {name}_rh (.gii or .npz)",
                hint="Name the subject's folder of a pycortex store as pycortex in [[subjects]]; "
                "fetch its files where they are links to nothing.",
            )
    depth = existing(folder / "surface-info" / "sulcaldepth.npz")
    return SurfaceFiles(shapes, (depth,) if depth.is_file() else (), _spheres(freesurfer))


def freesurfer_files(folder: Path) -> SurfaceFiles:
    """Find the surfaces of a FreeSurfer subject.

    Raises
    ------
    InputError
        The folder, or all of its surfaces, are missing.
    """
    place = _folder(folder, "freesurfer") / "surf"
    shapes = {}
    for shape in _FREESURFER:
        pair = (place / f"lh.{shape}", place / f"rh.{shape}")
        if all(path.is_file() for path in pair):
            shapes[shape] = pair
    if not shapes:
        raise InputError(
            f"{place} has no surfaces such as lh.inflated and rh.inflated",
            hint="Name the subject's folder, which holds surf and label, as freesurfer in "
            "[[subjects]]; fetch its files where they are links to nothing.",
        )
    depth = (place / "lh.sulc", place / "rh.sulc")
    found = depth if all(path.is_file() for path in depth) else ()
    return SurfaceFiles(shapes, found, _spheres(folder))


def given_files(pairs: Sequence[Pair]) -> SurfaceFiles:
    """Name the shapes of surface files by their names."""
    shapes: dict[str, Pair] = {}
    for pair in pairs:
        shape = shape_of(pair[0])
        if shape in shapes:
            raise InputError(
                f"[responses] surfaces: {pair[0].name} and {shapes[shape][0].name} are the same "
                f"shape, {shape}",
                hint="Give each shape once: inflated, pial, white, midthickness, sphere or flat.",
            )
        shapes[shape] = pair
    order = [name for name, _ in _SHAPES]
    return SurfaceFiles(dict(sorted(shapes.items(), key=lambda one: order.index(one[0]))))


def shape_of(path: Path) -> str:
    """Read the shape of a surface from its file's name; "midthickness" where it says none."""
    name = path.name.lower()
    return next((shape for shape, pattern in _SHAPES if pattern.search(name)), "midthickness")


def _either(stem: Path) -> Path | None:
    for ending in (".gii", ".npz"):
        found = stem.with_name(stem.name + ending)
        refuse_placeholder(found, "surface")
        if found.is_file():
            return found
    return None


def _spheres(freesurfer: Path | None) -> Pair | None:
    if freesurfer is None:
        return None
    place = _folder(freesurfer, "freesurfer") / "surf"
    pair = (place / "lh.sphere.reg", place / "rh.sphere.reg")
    for path in pair:
        refuse_placeholder(path, "sphere")
    return pair if all(path.is_file() for path in pair) else None


def _folder(path: Path, name: str) -> Path:
    if not path.is_dir():
        raise InputError(
            f"there is no folder {path}", hint=f"Check {name} in [[subjects]], or leave it out."
        )
    return path


# ---- what is in them ------------------------------------------------------------------------


def read_surfaces(files: SurfaceFiles) -> OwnSurfaces:
    """Read surfaces, and find the nearest vertices on fsaverage5's sphere.

    Raises
    ------
    InputError
        A file cannot be read, or the files of a hemisphere are of different meshes.
    """
    shapes: dict[str, dict[str, Mesh]] = {
        shape: dict(zip(HEMISPHERES, map(read_surface, pair), strict=True))
        for shape, pair in files.shapes.items()
    }
    first = next(iter(shapes))
    for shape, sides in shapes.items():
        for place, side in enumerate(HEMISPHERES):
            _require_count(
                len(sides[side].coordinates),
                len(shapes[first][side].coordinates),
                files.shapes[shape][place],
                files.shapes[first][place],
            )
    own = OwnSurfaces(shapes)
    nearest, back = None, None
    if files.spheres is not None:
        nearest, back = _registered(files.spheres, own.counts)
    return OwnSurfaces(shapes, _depth(files.depth, own.counts), nearest, back)


def _require_count(found: int, expected: int, path: Path, other: Path) -> None:
    if found != expected:
        raise InputError(
            f"{path} has {found} vertices, {other} {expected}: they are not of one mesh",
            hint="Give surfaces of the same subject and the same reconstruction.",
        )


def read_surface(path: Path) -> Mesh:
    """Read one hemisphere's surface.

    Parameters
    ----------
    path : Path
        GIFTI (.gii), pycortex's .npz with ``pts`` and ``polys``, or FreeSurfer's own form.

    Returns
    -------
    Mesh

    Raises
    ------
    InputError
        The file is missing, no surface, or holds triangles of vertices that are not there.
    """
    refuse_placeholder(path, "surface")
    if not path.is_file():
        raise InputError(f"there is no surface {path}", hint="Check its path in the manifest.")
    try:
        points, faces = _READERS.get(path.suffix.lower(), _freesurfer)(path)
    except InputError:
        raise
    except Exception as error:  # nibabel raises many kinds for a broken file
        raise InputError(
            f"{path} cannot be read as a surface: {error}", hint=f"Surfaces are {_FORMS}."
        ) from error
    coordinates = np.ascontiguousarray(points, dtype=np.float32)
    triangles = np.asarray(faces)
    shaped = coordinates.ndim == 2 and triangles.ndim == 2
    if not shaped or coordinates.shape[1] != 3 or triangles.shape[1] != 3 or not len(triangles):
        raise InputError(
            f"{path} is no surface: points {coordinates.shape}, triangles {triangles.shape}",
            hint=f"Surfaces have three coordinates a vertex and three vertices a face: {_FORMS}.",
        )
    if triangles.min() < 0 or triangles.max() >= len(coordinates):
        raise InputError(
            f"{path} names vertex {int(triangles.max())} of {len(coordinates)}",
            hint="The file is damaged: fetch or write it again.",
        )
    if not np.isfinite(coordinates).all():
        raise InputError(f"{path} holds coordinates that are no numbers", hint="Write it again.")
    return Mesh(coordinates, np.ascontiguousarray(triangles, dtype=np.int32))


def _gifti(path: Path) -> tuple[Any, Any]:
    image = load_gifti(path)
    found = [image.get_arrays_from_intent(name) for name in ("pointset", "triangle")]
    if not all(found):
        raise InputError(
            f"{path} holds no points and triangles",
            hint="Give a surface (.surf.gii), not a file of values or labels.",
        )
    return found[0][0].data, found[1][0].data


def _npz(path: Path) -> tuple[Any, Any]:
    with np.load(path, allow_pickle=False) as file:
        if not {"pts", "polys"} <= set(file.files):
            raise InputError(
                f"{path} has no arrays 'pts' and 'polys'", hint=f"Surfaces are {_FORMS}."
            )
        return file["pts"], file["polys"]


def _freesurfer(path: Path) -> tuple[Any, Any]:
    from nibabel.freesurfer.io import read_geometry  # slow to import, needed only here

    points, faces, *_ = read_geometry(str(path))  # type: ignore[no-untyped-call]
    return points, faces


_READERS = {".gii": _gifti, ".npz": _npz}


def _depth(paths: tuple[Path, ...], counts: tuple[int, int]) -> Floats | None:
    """Read sulcal depth; what cannot be read is only a surface without shading."""
    if not paths:
        return None
    try:
        if len(paths) == 1:
            with np.load(paths[0], allow_pickle=False) as file:
                parts = [-file[side] for side in HEMISPHERES]  # pycortex turns the sign
        else:
            from nibabel.freesurfer.io import read_morph_data

            parts = [read_morph_data(str(path)) for path in paths]  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        logger.info("%s is not used: %s", paths[0], error)
        return None
    if tuple(map(len, parts)) != counts:
        logger.info("%s is not used: it is of another mesh", paths[0])
        return None
    return np.asarray(np.nan_to_num(np.concatenate(parts)), dtype=np.float32)


# ---- to fsaverage and back ------------------------------------------------------------------


def _registered(spheres: Pair, counts: tuple[int, int]) -> tuple[Places, Places]:
    nearest, back, start = [], [], 0
    for place, side in enumerate(HEMISPHERES):
        own = read_surface(spheres[place]).coordinates
        if len(own) != counts[place]:
            raise InputError(
                f"{spheres[place]} has {len(own)} vertices, the surfaces have {counts[place]}",
                hint="Give the FreeSurfer folder of the same subject and reconstruction.",
            )
        there, returned = nearest_on_sphere(own, load_surface("sphere", COMMON)[side].coordinates)
        nearest.append(there + start)
        back.append(returned + place * SPACES[COMMON])
        start += len(own)
    return (
        np.concatenate(nearest).astype(np.int32),
        np.concatenate(back).astype(np.int32),
    )


def nearest_on_sphere(
    own: npt.NDArray[Any], common: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the nearest vertices of two registered spheres, both ways.

    Parameters
    ----------
    own, common : arrays of shape (n_own, 3) and (n_common, 3)
        Coordinates; the radii need not be equal.

    Returns
    -------
    nearest : int64 array of shape (n_common,)
        The vertex of ``own`` that is nearest to each of ``common``.
    back : int64 array of shape (n_own,)
        The vertex of ``common`` that is nearest to each of ``own``.
    """
    from scipy.spatial import cKDTree  # needed only here

    one, two = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in (own, common))
    return cKDTree(one).query(two)[1], cKDTree(two).query(one)[1]
