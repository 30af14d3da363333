"""GIFTI files of one hemisphere as bytes: values of vertices, and surfaces."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from braindash.io.surfaces import Mesh

_STRUCTURES = {"left": "CortexLeft", "right": "CortexRight"}


def _module() -> Any:
    """Return nibabel's module, which has no types; imported when a file is written."""
    return import_module("nibabel.gifti")


def values_gifti(
    values: npt.ArrayLike,
    names: Sequence[str],
    side: str,
    *,
    intent: str,
    told: Mapping[str, str],
    of_each: Mapping[str, str] | None = None,
) -> bytes:
    """Write values of a hemisphere's vertices as a ``.func.gii``.

    Parameters
    ----------
    values : array of shape (n_arrays, n_vertices)
        One float32 array each, in any unit; NaN where there is no value.
    names : sequence of str, length n_arrays
        The ``Name`` of each array.
    side : {"left", "right"}
        The hemisphere.
    intent : str
        What the values are, as NIfTI calls it, such as "NIFTI_INTENT_TIME_SERIES".
    told : mapping of str to str
        Of the whole file.
    of_each : mapping of str to str, optional
        Of every array beside its name.
    """
    gifti = _module()
    arrays = [
        gifti.GiftiDataArray(
            np.ascontiguousarray(row, dtype=np.float32),
            intent=intent,
            datatype="NIFTI_TYPE_FLOAT32",
            meta=gifti.GiftiMetaData({"Name": name, **(of_each or {})}),
        )
        for name, row in zip(names, np.asarray(values), strict=True)
    ]
    meta = gifti.GiftiMetaData({"AnatomicalStructurePrimary": _STRUCTURES[side], **told})
    written: bytes = gifti.GiftiImage(meta=meta, darrays=arrays).to_bytes()
    return written


def surface_gifti(mesh: Mesh, side: str, shape: str) -> bytes:
    """Write a surface as a ``.surf.gii``: for meshes that nobody else has.

    Parameters
    ----------
    mesh : Mesh
        One hemisphere, its coordinates in mm.
    side : {"left", "right"}
        Which.
    shape : str
        Which surface, such as "pial".
    """
    gifti = _module()
    points = gifti.GiftiDataArray(
        np.ascontiguousarray(mesh.coordinates, dtype=np.float32),
        intent="NIFTI_INTENT_POINTSET",
        datatype="NIFTI_TYPE_FLOAT32",
        meta=gifti.GiftiMetaData(
            {"AnatomicalStructurePrimary": _STRUCTURES[side], "GeometricType": shape}
        ),
    )
    faces = gifti.GiftiDataArray(
        np.ascontiguousarray(mesh.faces, dtype=np.int32),
        intent="NIFTI_INTENT_TRIANGLE",
        datatype="NIFTI_TYPE_INT32",
    )
    written: bytes = gifti.GiftiImage(darrays=[points, faces]).to_bytes()
    return written
