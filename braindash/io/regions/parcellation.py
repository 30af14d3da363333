"""Label files of the cortex: which label every target has, from any usual form of such a file.

A hemisphere is one file (left, then right): FreeSurfer annotations, GIFTI label files, or NumPy
arrays of whole numbers. Labels are matched by name, never by number: a prefix "L_", "R_", "lh." or
"rh." that all labels of a file carry and a suffix "_ROI" are dropped, so that both sides of a label
are one region.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.hdf5 import find_item, opened_hdf5
from braindash.io.surfaces import SPACES, coarsen, refine

logger = logging.getLogger(__name__)

_NOT_REGIONS = {
    *("", "???", "unknown", "medial_wall", "medialwall", "corpuscallosum", "background"),
    *("freesurfer_defined_medial_wall", "background+freesurfer_defined_medial_wall", "none"),
}
_SIDE = re.compile(r"^(?:[LR]_|[lr]h[._-]|ctx[-_][lr]h[-_])")
# Sides as labels and files have them; names of Schaefer's parcels keep theirs.
_SIDE_OF_LABEL = re.compile(
    r"^(?:ctx[-_])?(?:\d+Networks_)?(?:(?P<left>L_|lh[._-]|LH_)|(?P<right>R_|rh[._-]|RH_))"
)
_SIDE_OF_FILE = re.compile(
    r"(?:^|[._-])(?:(?P<left>lh|left)|(?P<right>rh|right))(?=[._-])"
    r"|(?:^|[._-]hemi-|^hemi-)(?:(?P<left1>l)|(?P<right1>r))(?=[._-])",
    re.IGNORECASE,
)
_SIDES = ("left", "right")
# As other programs write the side and the suffix of a label, in small letters.
_SIDE_BEFORE = re.compile(r"^(?:ctx[-_])?(?:(l)|(r))(?:h[._-]|_)")
_SIDE_BEHIND = re.compile(r"[._-](?:(l)|(r))(?:h|eft|ight)?$")
_FORMS = ".annot, .label.gii or .npy"

Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parcellation:
    """Labels of both hemispheres.

    Attributes
    ----------
    names : tuple of str
        Label names without the hemisphere's prefix, each once.
    index : int32 array of shape (n_targets,)
        For every target, the left hemisphere's first, the position of its label in ``names``, or
        -1 for none.
    n_left : int
        Targets of the left hemisphere.
    source : str
        The files that it was read from.
    """

    names: tuple[str, ...]
    index: npt.NDArray[np.int32]
    n_left: int
    source: str

    @property
    def masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """The targets of every label, bool (n_targets,)."""
        return {name: self.index == place for place, name in enumerate(self.names)}

    def on(self, space: str) -> "Parcellation":
        """Carry the labels over to another fsaverage mesh.

        Parameters
        ----------
        space : str
            An fsaverage space. The meshes are nested: on a coarser one the labels of the shared
            vertices are kept; on a finer one a vertex takes the label of the nearest one.

        Raises
        ------
        InputError
            When these labels are not on an fsaverage mesh.
        """
        own = mesh_of(len(self.index), self.source)
        return Parcellation(
            names=self.names,
            index=on_mesh(self.index, own, space),
            n_left=SPACES[space],
            source=self.source,
        )

    def spelled_as(self, wanted: Sequence[str]) -> "Parcellation":
        """Name labels as a set has them, where only one of its labels can be meant.

        Parameters
        ----------
        wanted : sequence of str
            Labels as the set has them.

        Returns
        -------
        Parcellation
            These labels themselves where none is lacking, or where two are spelled alike; else
            ``" l_a1_roi-lh"`` is ``"A1"``, on its own side only.
        """
        if set(wanted) <= set(self.names):
            return self
        keys: dict[str, list[str]] = {}
        for label in dict.fromkeys(wanted):
            keys.setdefault(_label_key(label)[0], []).append(label)
        new: list[str] = []
        taken: set[tuple[str, int]] = set()
        for place, name in enumerate(self.names):
            key, side = _label_key(name)
            meant = [name] if name in wanted else keys.get(key, [name])
            there = {int(at >= self.n_left) for at in np.flatnonzero(self.index == place)}
            mine = {(meant[0], one) for one in there}
            if len(meant) > 1 or taken & mine or (side is not None and there - {side}):
                return self
            taken |= mine
            new.append(meant[0])
        changed = [pair for pair in zip(self.names, new, strict=True) if pair[0] != pair[1]]
        if not changed:
            return self
        logger.warning(
            "%s: %d labels are spelled otherwise and read by name, such as %r as %r",
            self.source,
            len(changed),
            *changed[0],
        )
        names = tuple(dict.fromkeys(new))
        places = np.array([*map(names.index, new), -1], dtype=np.int32)
        return Parcellation(names, places[self.index], self.n_left, self.source)


def _label_key(label: str) -> tuple[str, int | None]:
    """Return a label without case, blanks, "_ROI" and its side; and the side, if it has one."""
    text, side = label.strip().lower(), None
    for pattern in (_SIDE_BEFORE, _SIDE_BEHIND):
        text = text.removesuffix("_roi")
        found = pattern.search(text)
        if found is not None:
            side = 0 if found[1] else 1
            text = text[: found.start()] + text[found.end() :]
    return text.removesuffix("_roi"), side


def mesh_of(n_targets: int, source: str) -> str:
    """Name the fsaverage mesh that has so many targets in both hemispheres."""
    for name, count in SPACES.items():
        if n_targets == 2 * count:
            return name
    raise InputError(
        f"{source}: {n_targets} targets are no fsaverage mesh",
        hint="Both hemispheres must be on one fsaverage mesh: "
        f"{', '.join(map(str, SPACES.values()))} vertices each.",
    )


def on_mesh(values: npt.NDArray[Any], own: str, space: str) -> npt.NDArray[Any]:
    """Carry target-wise values from one fsaverage mesh to another, by the nearest vertex."""
    if SPACES[own] >= SPACES[space]:
        return coarsen(values, own, space)
    return refine(values, own, space)


def read_parcellation(left: Path | str, right: Path | str) -> Parcellation:
    """Read the label files of both hemispheres.

    Parameters
    ----------
    left, right : path
        FreeSurfer annotations (.annot), GIFTI label files (.label.gii) or NumPy arrays of whole
        numbers (.npy; 0: no label).

    Returns
    -------
    Parcellation

    Raises
    ------
    InputError
        When a file is missing, is no label file, names no region, or is of the other side by its
        name or its labels'.
    """
    sides = [read_side(Path(path)) for path in (left, right)]
    names: dict[str, int] = {}
    index = []
    for side, (codes, table) in enumerate(sides):
        plain = _plain_names(table)
        used = set(np.unique(codes).tolist()) & set(plain)
        require_side((left, right)[side], side, [table[code] for code in used])
        places = np.full(len(table), -1, dtype=np.int32)
        for place, code in enumerate(table):
            if code in plain:
                places[place] = names.setdefault(plain[code], len(names))
        order = {code: place for place, code in enumerate(table)}
        found, inverse = np.unique(codes, return_inverse=True)
        by_code = np.array([places[order[c]] if c in order else -1 for c in found.tolist()])
        index.append(by_code[inverse].astype(np.int32))
    source = f"{Path(left).name}, {Path(right).name}"
    if not names:
        raise InputError(
            f"{source} name no region", hint=f"Give label files with named regions ({_FORMS})."
        )
    return Parcellation(tuple(names), np.concatenate(index), len(index[0]), source)


def require_side(path: Path | str, side: int, labels: Sequence[str] = ()) -> None:
    """Refuse a file that is given as one hemisphere and says that it is the other.

    Parameters
    ----------
    path : path
        The file, by whose name it may be known.
    side : int
        As which one it is given: 0 for the left, 1 for the right.
    labels : sequence of str
        What it labels; they say a side where all of them carry it.

    Raises
    ------
    InputError
    """
    said = [{_named_side(_SIDE_OF_LABEL.match(label)) for label in labels}]
    name = Path(str(path).partition("#")[0]).name
    said.append({_named_side(found) for found in _SIDE_OF_FILE.finditer(name)})
    other = _SIDES[1 - side]
    for sides, what in zip(said, ("all its labels are", "its name is"), strict=True):
        if sides == {other}:
            raise InputError(
                f"{path} is given as the {_SIDES[side]} hemisphere, but {what} of the {other} one"
                + (f" (such as {min(labels)!r})" if what.startswith("all") else ""),
                hint="Give the file of the left hemisphere first, then that of the right one.",
            )


def _named_side(found: re.Match[str] | None) -> str | None:
    return found.lastgroup.rstrip("1") if found is not None and found.lastgroup else None


def plain_name(label: str) -> str:
    """Return a label as regions have it: without the side and the suffix "_ROI"."""
    return _SIDE.sub("", label).removesuffix("_ROI")


def is_region(label: str) -> bool:
    """Say whether a label is one of a region, not of the background or the medial wall."""
    return label.strip().lower() not in _NOT_REGIONS


def _plain_names(table: Mapping[int, str]) -> dict[int, str]:
    """Return the names of what is a region, without the side and the suffix "_ROI"."""
    regions = {c: name for c, name in table.items() if is_region(name)}
    sided = bool(regions) and all(_SIDE.match(name) for name in regions.values())
    plain = {
        code: plain_name(name) if sided else name.removesuffix("_ROI")
        for code, name in regions.items()
    }
    return {c: name for c, name in plain.items() if is_region(name)}


def read_side(path: Path) -> tuple[Codes, dict[int, str]]:
    """Read the label file of one hemisphere.

    Returns
    -------
    codes : int64 array of shape (n_vertices,)
        The code of every vertex.
    table : dict of int to str
        The name of every code.

    Raises
    ------
    InputError
        When it is missing or no label file.
    """
    refuse_placeholder(path, "label file")
    if not path.is_file():
        raise InputError(
            f"there is no label file {path}", hint="Check the path; each hemisphere is one file."
        )
    name = path.name.lower()
    reader = next((read for end, read in _READERS.items() if name.endswith(end)), None)
    if reader is None:
        raise InputError(
            f"{path} is no label file that can be read", hint=f"Give one file a side: {_FORMS}."
        )
    try:
        return reader(path)
    except InputError:
        raise
    except Exception as error:  # nibabel raises many kinds for a broken file
        raise InputError(
            f"{path} cannot be read as a label file: {error}",
            hint=f"Give the label file of one hemisphere, such as lh.HCPMMP1.annot ({_FORMS}).",
        ) from error


def _read_annot(path: Path) -> tuple[Codes, dict[int, str]]:
    from nibabel.freesurfer.io import read_annot  # slow to import, needed only here

    codes, _, raw = read_annot(str(path))  # type: ignore[no-untyped-call]
    names = [one.decode("utf-8", errors="replace") for one in raw]
    return codes.astype(np.int64), dict(enumerate(names))


def _read_gifti(path: Path) -> tuple[Codes, dict[int, str]]:
    image = load_gifti(path)
    table = {int(one.key): str(one.label) for one in image.labeltable.labels}
    if not table or not image.darrays:
        raise InputError(
            f"{path} has no table of label names",
            hint="Give a GIFTI label file (.label.gii), not one of values or of a surface.",
        )
    return np.asarray(image.darrays[0].data).ravel().astype(np.int64), table


def load_gifti(path: Path) -> Any:
    """Open a GIFTI file whose arrays are all in itself."""
    import nibabel

    if b"ExternalFileBinary" in path.read_bytes():
        raise InputError(
            f"arrays of {path} lie in another file",
            hint="Write the GIFTI file again with its arrays in it: other files are not read.",
        )
    return nibabel.load(path)


def _read_numbers(path: Path) -> tuple[Codes, dict[int, str]]:
    values = np.load(path, allow_pickle=False).ravel()
    codes = values.astype(np.int64)
    if not np.array_equal(codes, values):
        raise InputError(
            f"{path} holds numbers that are no labels",
            hint="Labels are whole numbers, one for each vertex of the hemisphere; 0: no label.",
        )
    return codes, {int(code): str(code) for code in np.unique(codes) if code > 0}


_READERS = {".annot": _read_annot, ".gii": _read_gifti, ".npy": _read_numbers}


# ---- values and masks -----------------------------------------------------------------------


def read_values(paths: Sequence[Path | str]) -> Values:
    """Read one number per target, such as a probability or a mask.

    Parameters
    ----------
    paths : sequence of path
        One file with all targets, or two: left, then right. NumPy (.npy), GIFTI (.gii), FreeSurfer
        and NIfTI overlays (.mgh, .mgz, .nii, .nii.gz), or a dataset of an HDF5 file, as
        ``file.hdf#name``.

    Returns
    -------
    float32 array of shape (n_targets,)
        NaN is kept.

    Raises
    ------
    InputError
        When a file is missing or cannot be read, or one of two is of the other side by its name.
    """
    for side, path in enumerate(paths if len(paths) == 2 else ()):
        require_side(path, side)
    return np.concatenate([_read_one(str(path)) for path in paths])


def _read_one(text: str) -> Values:
    place, _, key = text.partition("#")
    path = Path(place)
    refuse_placeholder(path, "mask or map")
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint="Check the path of the mask or the map.")
    try:
        return _read_array(path, key)
    except InputError:
        raise
    except Exception as error:  # as for label files
        raise InputError(
            f"{path} cannot be read as one number per target: {error}",
            hint="Give a .npy, .gii, .mgh, .mgz or .nii(.gz) file, or file.hdf#name of an HDF5 "
            "file.",
        ) from error


def _read_array(path: Path, key: str) -> Values:
    name = path.name.lower()
    if name.endswith(".npy"):
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32).ravel()
    if name.endswith((".h5", ".hf5", ".hdf", ".hdf5")):
        return _read_hdf5(path, key)
    if name.endswith(".gii"):
        return np.asarray(load_gifti(path).darrays[0].data, dtype=np.float32).ravel()
    if name.endswith((".mgh", ".mgz", ".nii", ".nii.gz")):
        import nibabel

        image: Any = nibabel.load(path)
        if sum(size > 1 for size in image.shape) > 1:
            raise InputError(
                f"{path} is a volume of {' x '.join(map(str, image.shape))}, not one value per "
                "vertex",
                hint="Project it to the surface first; masks of voxels are .npy or HDF5 files with "
                "one value per column of the responses.",
            )
        return np.asarray(image.dataobj, dtype=np.float32).ravel()
    raise InputError(
        f"{path} is of no form that masks and maps have",
        hint="Give a .npy, .gii, .mgh, .mgz or .nii(.gz) file, or file.hdf#name of an HDF5 file.",
    )


def _read_hdf5(path: Path, key: str) -> Values:
    with opened_hdf5(path) as file:
        found = find_item(file, key) if key else None
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{path} has no array {key!r}",
                hint=f"Name one after '#': {', '.join(sorted(file)) or 'the file is empty'}.",
            )
        return np.asarray(found, dtype=np.float32).ravel()
