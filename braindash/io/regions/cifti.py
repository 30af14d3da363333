"""Labels and masks in CIFTI-2: one file of both hemispheres, placed on their meshes."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError
from braindash.io.images.loading import load_image
from braindash.io.images.surfaces import cortex_places

ENDINGS = (".dlabel.nii", ".dscalar.nii")
"""Of the files that are read here: labels, and one number for each vertex."""

_NAMED = 4


def is_cifti_map(path: Path) -> bool:
    """Say whether a file is a dense map of CIFTI-2, by its name."""
    return path.name.lower().endswith(ENDINGS)


def cifti_left(path: Path) -> int:
    """Return how many vertices the mesh of the left hemisphere has."""
    models = _columns(path, _loaded(path)).brain_models
    (left,) = (one for one in models if one.brain_structure == "CIFTI_STRUCTURE_CORTEX_LEFT")
    return int(left.surface_number_of_vertices)


def cifti_map(path: Path) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
    """Read the one map of a file.

    Parameters
    ----------
    path : Path
        A .dlabel.nii or .dscalar.nii file, with the cortex of both hemispheres.

    Returns
    -------
    values : float32 array of shape (n_vertices,)
        On the whole meshes, left then right; NaN where the file has none (the medial wall).
        What is no cortex is left out.
    names : dict of int to str
        Names of labels by their number; empty for a file of numbers.

    Raises
    ------
    InputError
        When it holds several maps, parcels in place of vertices, or no cortex of a side.
    """
    image = _loaded(path)
    maps = image.header.matrix.get_index_map(0)
    if image.shape[0] != 1:
        told = [str(one.map_name) for one in getattr(maps, "named_maps", ())][:_NAMED]
        raise InputError(
            f"{path} holds {image.shape[0]} maps ({', '.join(told)}), and nobody says which is "
            "meant",
            hint="Write one of them to a file of its own (wb_command -cifti-merge with -column).",
        )
    models = _columns(path, image).brain_models
    place, size = cortex_places(path, models, image.shape[1])
    values = np.full(size, np.nan, dtype=np.float32)
    values[place[place >= 0]] = np.asarray(image.dataobj, dtype=np.float32)[0, place >= 0]
    names: dict[int, str] = {}
    for one in getattr(maps, "named_maps", ()):
        for key, label in (one.label_table or {}).items():
            names[int(key)] = str(label.label or "")
    return values, names


def _loaded(path: Path) -> Any:
    import nibabel

    image: Any = load_image(path)
    if not isinstance(image, nibabel.Cifti2Image):
        raise InputError(
            f"{path} is no CIFTI-2 file, as its name says", hint="Give a .dlabel.nii file."
        )
    return image


def _columns(path: Path, image: Any) -> Any:
    columns = image.header.matrix.get_index_map(1)
    if columns.indices_map_to_data_type != "CIFTI_INDEX_TYPE_BRAIN_MODELS":
        raise InputError(
            f"{path} has one value for each parcel, not for each vertex",
            hint="Give the dense file (.dlabel.nii, .dscalar.nii).",
        )
    return columns
