"""Files with one label or one number per vertex or target, and lists of vertices.

A file of labels gives the code of every vertex and the name of every code. What is no whole number,
what no table names, and what a file promises and does not hold is refused or told: none of it
becomes a label.
"""

import logging
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.files import refuse_placeholder
from braindash.io.dataset.arrays import open_npy
from braindash.io.hdf5 import find_item, opened_hdf5
from braindash.io.images.loading import load_gifti, load_image
from braindash.io.regions.cifti import cifti_map, is_cifti_map

logger = logging.getLogger(__name__)

NO_LABEL = -1
"""Code of a vertex without a label, of which there is no name."""

_NOT_REGIONS = {
    *("", "???", "unknown", "medial_wall", "medialwall", "corpuscallosum", "background"),
    *("freesurfer_defined_medial_wall", "background+freesurfer_defined_medial_wall", "none"),
}
# Sides as labels and files have them; names of Schaefer's parcels keep theirs.
_SIDE_OF_LABEL = re.compile(
    r"^(?:ctx[-_])?(?:\d+Networks_)?(?:(?P<left>L_|lh[._-]|LH_)|(?P<right>R_|rh[._-]|RH_))"
)
_SIDE_OF_FILE = re.compile(
    r"(?:^|[._-])(?:(?P<left>lh|left)|(?P<right>rh|right))(?=[._-])"
    r"|(?:^|[._-]hemi-|^hemi-)(?:(?P<left1>l)|(?P<right1>r))(?=[._-])"
    r"|[._](?-i:(?P<left2>L)|(?P<right2>R))(?=[._])",  # as Workbench names files
    re.IGNORECASE,
)
SIDES = ("left", "right")
LABEL_FORMS = (
    ".annot, .label.gii, .npy, .mgh, .mgz, .nii, .nii.gz or file.hdf#name; .dlabel.nii of both"
)
_VALUE_FORMS = ".npy, .gii, .mgh, .mgz or .nii(.gz) file, or file.hdf#name of an HDF5 file"
_GIFTI = (".gii", ".gii.gz")
_HDF5 = (".h5", ".hf5", ".hdf", ".hdf5")
_OVERLAYS = (".mgh", ".mgz", ".nii", ".nii.gz")
# Of FreeSurfer's annotations with a table of colours: the newer form, as its number says it.
_NEW_TABLE = -2
_NAMED = 4

Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]
Table = dict[int, str]


def is_region(label: str) -> bool:
    """Say whether a label is one of a region, not of the background or the medial wall."""
    return label.strip().lower() not in _NOT_REGIONS


# ---- which file is of which side ------------------------------------------------------------


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
    said = [{side_of_label(label) for label in labels}]
    name = Path(str(path).partition("#")[0]).name
    said.append({_named_side(found) for found in _SIDE_OF_FILE.finditer(name)})
    other = SIDES[1 - side]
    for sides, what in zip(said, ("all its labels are", "its name is"), strict=True):
        if sides == {other}:
            raise InputError(
                f"{path} is given as the {SIDES[side]} hemisphere, but {what} of the {other} one"
                + (f" (such as {min(labels)!r})" if what.startswith("all") else ""),
                hint="Give the file of the left hemisphere first, then that of the right one.",
            )


def require_two_files(left: Path | str, right: Path | str) -> None:
    """Refuse one file that is given as both hemispheres, under one name or two.

    Raises
    ------
    InputError
    """
    (one, _, key), (other, _, other_key) = (str(path).partition("#") for path in (left, right))
    paths = Path(one), Path(other)
    for path in paths:
        if is_cifti_map(path):
            raise InputError(
                f"{path} is CIFTI, which holds both hemispheres, and is given as one of them",
                hint="In [regions] give it alone; elsewhere write its sides to files of their own "
                "(wb_command -cifti-separate FILE COLUMN -label CORTEX_LEFT LEFT.label.gii ...).",
            )
    same = paths[0] == paths[1] or (
        all(path.is_file() for path in paths) and paths[0].samefile(paths[1])
    )
    if same and key == other_key:
        raise InputError(
            f"{left} is given as the left and as the right hemisphere",
            hint="Give two files, that of the left hemisphere first.",
        )


def tell_equal_sides(source: str, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> None:
    """Warn of two files with the same content, of which one may be a copy of the other."""
    if left.shape == right.shape and np.array_equal(left, right) and len(np.unique(left)) > 1:
        logger.warning(
            "%s: both hemispheres have the same at every vertex; one may be a copy of the other",
            source,
        )


def side_of_label(label: str) -> str | None:
    """Return the side that a label carries, "left" or "right"; None without one."""
    return _named_side(_SIDE_OF_LABEL.match(label))


def _named_side(found: re.Match[str] | None) -> str | None:
    return found.lastgroup.rstrip("12") if found is not None and found.lastgroup else None


# ---- labels ---------------------------------------------------------------------------------


def read_labels_of(path: Path | str) -> tuple[Codes, Table]:
    """Read a label file of one hemisphere, or of all targets.

    Parameters
    ----------
    path : path
        A FreeSurfer annotation (.annot), a GIFTI label file (.gii, .gii.gz), or whole numbers in a
        NumPy array (.npy), an overlay (.mgh, .mgz, .nii, .nii.gz), or ``file.hdf#name`` of an HDF5
        file. 0 and NaN are no label. A NumPy array may hold the names themselves. A CIFTI-2 file
        of labels (.dlabel.nii) is of both hemispheres.

    Returns
    -------
    codes : int64 array of shape (n_vertices,)
        The code of every vertex.
    table : dict of int to str
        The name of every code that there may be; vertices of other codes have no label.

    Raises
    ------
    InputError
        When it is missing, no label file, cut short, or holds several maps, fractions, vertices
        that there are not, or one colour for two regions.
    """
    place, _, key = str(path).partition("#")
    file = Path(place)
    refuse_placeholder(file, "label file")
    if not file.is_file():
        raise InputError(
            f"there is no label file {file}", hint="Check the path; each hemisphere is one file."
        )
    name = file.name.lower()
    if not name.endswith((".annot", ".npy", *_GIFTI, *_OVERLAYS, *_HDF5)):
        raise InputError(
            f"{file} is no label file that can be read",
            hint=f"Give one file a side: {LABEL_FORMS}.",
        )
    try:
        if name.endswith(".annot"):
            codes, table = _read_annot(file)
        elif name.endswith(_GIFTI):
            codes, table = _read_label_gifti(file)
        elif is_cifti_map(file):
            codes, table = _read_dlabel(file)
        else:
            codes, table = numbered(file, _read_array(file, key))
    except InputError:
        raise
    except Exception as error:  # nibabel and NumPy raise many kinds for a broken file
        raise InputError(
            f"{file} cannot be read as a label file: {error}",
            hint=f"Give the labels of one hemisphere, such as lh.HCPMMP1.annot ({LABEL_FORMS}).",
        ) from error
    return _known(file, codes, table)


def _known(path: Path, codes: Codes, table: Table) -> tuple[Codes, Table]:
    """Take away the codes that no table names, and tell them."""
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    strange = np.array([code not in table for code in found.tolist()], dtype=bool)
    told = strange & ~np.isin(found, (NO_LABEL, 0))
    if told.any():
        logger.warning(
            "%s: %d of %d vertices have codes that its table does not name (%s%s): no label",
            path,
            int(counts[told].sum()),
            len(codes),
            ", ".join(map(str, found[told][:_NAMED].tolist())),
            ", ..." if told.sum() > _NAMED else "",
        )
    return np.where(strange[inverse], NO_LABEL, codes), table


def used_labels(codes: Codes, table: Table) -> list[str]:
    """List the regions that some vertex is in."""
    used = [table[code] for code in np.unique(codes).tolist() if code in table]
    return [name for name in used if is_region(name)]


def _name(text: str) -> str:
    """Return a label's name without blanks around it, and with its accents composed."""
    return unicodedata.normalize("NFC", text.strip())


class _Integers:
    """Big-endian integers and texts, one behind the other."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, count: int) -> Codes:
        stop = self._place + 4 * count
        if count < 0 or stop > len(self._content):
            raise ValueError("it ends early")
        found = np.frombuffer(self._content, ">i4", count, self._place)
        self._place = stop
        return found.astype(np.int64)

    def one(self) -> int:
        return int(self.take(1)[0])

    def text(self) -> str:
        size = self.one()
        stop = self._place + size
        if size < 0 or stop > len(self._content):
            raise ValueError("it ends early")
        raw = self._content[self._place : stop]
        self._place = stop
        return _name(raw.split(b"\0")[0].decode("utf-8", errors="replace"))


def _read_annot(path: Path) -> tuple[Codes, Table]:
    """Read an annotation: pairs of a vertex and a colour, and the names of the colours."""
    content = _Integers(path.read_bytes())
    pairs = content.take(2 * content.one()).reshape(-1, 2)
    vertices, colours = pairs.T
    _require_vertices(path, vertices)
    names, places = _annot_table(path, content)
    found, inverse = np.unique(colours, return_inverse=True)
    codes = [_one_meaning(path, names, places.get(colour, [])) for colour in found.tolist()]
    strange = [
        colour
        for colour, code in zip(found.tolist(), codes, strict=True)
        if code == NO_LABEL and colour != 0
    ]
    by_vertex = np.empty(len(pairs), dtype=np.int64)
    by_vertex[vertices] = np.asarray(codes, dtype=np.int64)[inverse]
    if strange:
        logger.warning(
            "%s: %d of %d vertices have colours that its table does not name: no label",
            path,
            int(np.isin(colours, strange).sum()),
            len(pairs),
        )
    return by_vertex, names


def _require_vertices(path: Path, vertices: Codes) -> None:
    """Refuse vertices that are not each of 0 to n - 1, once, in any order."""
    count = len(vertices)
    outside = vertices[(vertices < 0) | (vertices >= count)]
    if outside.size:
        raise InputError(
            f"{path} has {count} vertices and names vertex {int(outside[0])} ({outside.size} of "
            "its vertices are not there)",
            hint="It is damaged, or of a part of a hemisphere: write it again for all vertices.",
        )
    twice = np.flatnonzero(np.bincount(vertices, minlength=count) > 1)
    if twice.size:
        raise InputError(
            f"{path} names vertex {int(twice[0])} twice ({twice.size} such vertices)",
            hint="Write it again, each vertex once.",
        )


def _annot_table(path: Path, content: _Integers) -> tuple[Table, dict[int, list[int]]]:
    """Read names by their number, and the numbers of every colour."""
    if not content.one():
        raise InputError(
            f"{path} has no table of label names", hint="Write the annotation with its colours."
        )
    count = content.one()
    is_new = count < 0
    if is_new:
        if count != _NEW_TABLE:
            raise ValueError(f"its table of colours is of form {-count}, which nobody knows")
        content.one()
    content.text()  # the table that it was made from
    names: Table = {}
    places: dict[int, list[int]] = {}
    for number in range(content.one() if is_new else count):
        place = content.one() if is_new else number
        names[place] = content.text()
        red, green, blue, _ = content.take(4).tolist()
        places.setdefault(red + (green << 8) + (blue << 16), []).append(place)
    return names, places


def _one_meaning(path: Path, names: Table, places: list[int]) -> int:
    """Return the number of the label that a colour stands for."""
    meant = {names[place] if is_region(names[place]) else "" for place in places}
    if len(meant) > 1:
        both = sorted(names[place] for place in places)
        raise InputError(
            f"{path} has one colour for several labels: {', '.join(map(repr, both[:_NAMED]))}",
            hint="An annotation names labels by colour: give each its own, and write it again.",
        )
    return places[0] if places else NO_LABEL


def _read_label_gifti(path: Path) -> tuple[Codes, Table]:
    image = load_gifti(path)
    table = {int(one.key): _name(str(one.label or "")) for one in image.labeltable.labels}
    if not table or not image.darrays:
        raise InputError(
            f"{path} has no table of label names",
            hint="Give a GIFTI label file (.label.gii), not one of values or of a surface.",
        )
    arrays = image.get_arrays_from_intent("NIFTI_INTENT_LABEL") or image.darrays
    return _whole(path, _only_map(path, arrays)), table


def _read_dlabel(path: Path) -> tuple[Codes, Table]:
    values, table = cifti_map(path)
    if not table:
        raise InputError(
            f"{path} has no table of label names", hint="Give a CIFTI file of labels, .dlabel.nii."
        )
    return _whole(path, values), {code: _name(name) for code, name in table.items()}


def _only_map(path: Path, arrays: Sequence[Any]) -> npt.NDArray[Any]:
    """Return the values of the one map of a GIFTI file."""
    if len(arrays) > 1:
        names = [str(one.metadata.get("Name") or place) for place, one in enumerate(arrays, 1)]
        raise InputError(
            f"{path} holds {len(arrays)} maps ({', '.join(names[:_NAMED])}"
            f"{', ...' if len(names) > _NAMED else ''}), and nobody says which is meant",
            hint="Write one of them to a file of its own (wb_command -metric-merge or -label-merge "
            "with -column).",
        )
    return _flat(path, np.asarray(arrays[0].data))


def numbered(path: Path, values: npt.NDArray[Any]) -> tuple[Codes, Table]:
    """Take numbers, or an array of names, as labels.

    Parameters
    ----------
    path : Path
        Where they are from, for errors.
    values : array of shape (n_targets,)
        Whole numbers, of which 0, NaN and those below 0 are no label; or names.

    Raises
    ------
    InputError
        For fractions, and for what is no number.
    """
    if values.dtype.kind in "US":
        names, inverse = np.unique(values.astype(np.str_), return_inverse=True)
        return inverse.astype(np.int64) + 1, dict(enumerate(map(_name, names.tolist()), 1))
    codes = _whole(path, values)
    return codes, {int(code): str(code) for code in np.unique(codes) if code > 0}


def _whole(path: Path, values: npt.NDArray[Any]) -> Codes:
    """Return labels as whole numbers; NaN is none."""
    if values.dtype.kind not in "buif":
        raise InputError(
            f"{path} holds {values.dtype.name}, no labels", hint="Labels are whole numbers."
        )
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), 0, values)
        odd = ~np.isfinite(values) | (np.abs(values) > 2**53) | (np.rint(values) != values)
        if odd.any():
            raise InputError(
                f"{path} holds numbers that are no labels: {int(odd.sum())} of {odd.size} are no "
                f"whole numbers (such as {values[odd][0]:g})",
                hint="Labels are whole numbers, one for each vertex; 0: no label. A map of labels "
                "that was resampled between them has such numbers: resample it to the nearest "
                "vertex; a map of values is a mask.",
            )
    codes: Codes = values.astype(np.int64)
    return np.where(codes < 0, NO_LABEL, codes)


# ---- values and masks -----------------------------------------------------------------------


def read_values(paths: Sequence[Path | str]) -> Values:
    """Read one number per target, such as a probability or a mask.

    Parameters
    ----------
    paths : sequence of path
        One file with all targets, or two: left, then right. NumPy (.npy), GIFTI (.gii), FreeSurfer
        and NIfTI overlays (.mgh, .mgz, .nii, .nii.gz), or a dataset of an HDF5 file, as
        ``file.hdf#name``. A CIFTI-2 map (.dscalar.nii, .dlabel.nii) is one file of both sides.

    Returns
    -------
    float32 array of shape (n_targets,)
        NaN is kept.

    Raises
    ------
    InputError
        When a file is missing or cannot be read, holds several maps, is of the other side by its
        name, or is given as both sides.
    """
    if len(paths) == 2:
        for side, path in enumerate(paths):
            require_side(path, side)
        require_two_files(*paths)
    found = [_read_one(str(path)) for path in paths]
    if len(found) == 2:
        tell_equal_sides(", ".join(map(str, paths)), *found)
    return np.concatenate(found)


def _read_one(text: str) -> Values:
    place, _, key = text.partition("#")
    path = Path(place)
    refuse_placeholder(path, "mask or map")
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint="Check the path of the mask or the map.")
    try:
        return np.asarray(_read_array(path, key), dtype=np.float32)
    except InputError:
        raise
    except Exception as error:  # as for label files
        raise InputError(
            f"{path} cannot be read as one number per target: {error}",
            hint=f"Give a {_VALUE_FORMS}.",
        ) from error


def _read_array(path: Path, key: str) -> npt.NDArray[Any]:
    """Read an array of one file as it is, and make it one row."""
    name = path.name.lower()
    if name.endswith(".npy"):
        return _flat(path, open_npy(path))
    if name.endswith(_HDF5):
        return _flat(path, _read_hdf5(path, key))
    if name.endswith(_GIFTI):
        return _only_map(path, load_gifti(path).darrays)
    if is_cifti_map(path):
        return cifti_map(path)[0]
    if name.endswith(_OVERLAYS):
        image: Any = load_image(path)
        if sum(size > 1 for size in image.shape) > 1:
            raise InputError(
                f"{path} is a volume of {' x '.join(map(str, image.shape))}, not one value per "
                "vertex",
                hint="Project it to the surface first. Where responses are voxels, name the mask "
                "whose voxels they are in [responses], or give one value per column of the "
                "responses (.npy, HDF5).",
            )
        return np.asarray(image.dataobj).ravel()
    raise InputError(
        f"{path} is of no form that masks and maps have", hint=f"Give a {_VALUE_FORMS}."
    )


def _flat(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make an array one row, left before right; columns beside each other are refused."""
    if values.ndim == 2 and values.shape[0] > 2 and values.shape[1] > 1:
        raise InputError(
            f"{path} holds {values.shape[1]} columns of {values.shape[0]} values, and nobody says "
            "which is meant",
            hint="Give one value for each vertex or target: (n_targets,), the left hemisphere "
            "first, or one array a side.",
        )
    return values.ravel()


def _read_hdf5(path: Path, key: str) -> npt.NDArray[Any]:
    with opened_hdf5(path) as file:
        found = find_item(file, key) if key else None
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{path} has no array {key!r}",
                hint=f"Name one after '#': {', '.join(sorted(file)) or 'the file is empty'}.",
            )
        return np.asarray(found)


# ---- lists of vertices ----------------------------------------------------------------------


def read_vertices(path: Path) -> Codes:
    """Read a FreeSurfer label (.label), which lists vertices of one hemisphere.

    Returns
    -------
    int64 array of shape (n_listed,)
        Vertices, each once.

    Raises
    ------
    InputError
        When it is missing, no such list, lists more or fewer vertices than it says, or points that
        belong to no vertex.
    """
    refuse_placeholder(path, "label file")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        rows = [row for row in map(str.strip, text.splitlines()) if row and row[0] != "#"]
        promised, listed = int(rows[0]), [int(row.split()[0]) for row in rows[1:]]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(
            f"{path} cannot be read as a FreeSurfer label: {error}",
            hint="Give a .label file of one hemisphere, on the responses' own mesh.",
        ) from error
    if len(listed) != promised:
        short = len(listed) < promised
        raise InputError(
            f"{path} {'ends early: it ' if short else ''}promises {promised} vertices and lists "
            f"{len(listed)}",
            hint="It was copied or written by half: get it again."
            if short
            else "Put the number in its second line right, or write the label again.",
        )
    if min(listed, default=0) < 0:
        n_loose = sum(vertex < 0 for vertex in listed)
        raise InputError(
            f"{n_loose} of {promised} points of {path} belong to no vertex (-1)",
            hint="Assign the label to the surface first (tksurfer or mri_label2label), and save it "
            "again.",
        )
    return np.unique(np.asarray(listed, dtype=np.int64))
