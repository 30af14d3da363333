"""Time series as files that others open: NumPy archives, and GIFTI of both hemispheres."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.files import ANOTHER_PLACE, disk_errors, replaced, write_json
from braindash.io.gifti import values_gifti
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.spaces.vertices import Vertices, has_vertices, vertices_of
from braindash.names import given_path

GIFTI_ENDS = (".func.gii", ".time.gii", ".gii")
_LETTERS = {"left": "L", "right": "R"}


@dataclass(frozen=True)
class TimeSeries:
    """A value of every target, row by row.

    Attributes
    ----------
    values : array of float32, shape (n_rows, n_targets)
        NaN where there is none.
    times : array of float64, shape (n_rows,)
        Seconds.
    tr : float
        Seconds between two rows.
    space : str
        Of the targets, such as "fsaverage5".
    told : mapping
        What the values are, as JSON values; stands beside them in every file.
    others : mapping of str to array
        Further arrays of a NumPy archive.
    surface : SurfaceMap, optional
        What brings the targets to a surface, where their space is none of fsaverage's.
    """

    values: NDArray[np.float32]
    times: NDArray[np.float64]
    tr: float
    space: str
    told: Mapping[str, Any]
    others: Mapping[str, NDArray[Any]]
    surface: SurfaceMap | None = None

    def write(self, path: Path | str) -> list[Path]:
        """Write the series, in the form that the file's name says.

        Parameters
        ----------
        path : path
            ``NAME.npz``, which becomes that file, or ``NAME.func.gii``, which becomes
            ``NAME_hemi-L.func.gii`` and ``NAME_hemi-R.func.gii``; ``NAME.json`` is written as well.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        InputError
            For another ending, or GIFTI of targets that nothing brings to a surface.
        StoreError
            When the disk is full or read-only.
        """
        place = given_path(path, exact=True)
        name, write = _form(place)
        sidecar = place.with_name(f"{name}.json")
        with disk_errors(place.parent, ANOTHER_PLACE):
            files = write(self, place, name)
            with replaced(sidecar) as partial:
                write_json(partial, dict(self.told))
        return [*files, sidecar]

    def vertices(self) -> Vertices:
        """Return the mesh of the targets; InputError where nothing brings them to one."""
        return _vertices(self.space, self.values.shape[1], self.surface)


def check_form(path: Path | str, space: str, n_targets: int, surface: SurfaceMap | None) -> None:
    """Refuse a file that a series cannot be written as, before anything is computed.

    Parameters
    ----------
    path, space, surface
        As of :class:`TimeSeries`.
    n_targets : int
        How many targets it has.

    Raises
    ------
    InputError
        As of :meth:`TimeSeries.write`.
    """
    _form(given_path(path, exact=True))
    if str(path).lower().endswith(".gii"):
        _vertices(space, n_targets, surface)


def _vertices(space: str, n_targets: int, surface: SurfaceMap | None) -> Vertices:
    if not has_vertices(space, n_targets, surface):
        raise InputError(
            f"{n_targets} targets of the space {space!r} have no place on a surface, and GIFTI is "
            "of one",
            hint="Write NAME.npz, or describe in the manifest what brings the targets to a surface "
            "and compute the result again: what is stored is used.",
        )
    return vertices_of(space, n_targets, surface)


def _form(place: Path) -> tuple[str, Any]:
    """Return a file's name without its ending, and what writes it."""
    if place.suffix.lower() == ".npz":
        return place.name[: -len(".npz")], _write_npz
    for end in GIFTI_ENDS:
        if place.name.lower().endswith(end):
            return place.name[: -len(end)], _write_gifti
    raise InputError(
        f"{place.name} has no ending that says how a prediction is written",
        hint="Give NAME.npz (every target) or NAME.func.gii (a file per hemisphere).",
    )


def _write_npz(series: TimeSeries, place: Path, name: str) -> list[Path]:
    told = json.dumps(dict(series.told), allow_nan=False)
    arrays: dict[str, Any] = {
        "prediction": series.values,
        "times": series.times,
        "about": np.array(told),
        **series.others,
    }
    with replaced(place) as partial, open(partial, "wb") as stream:
        np.savez_compressed(stream, **arrays)
    return [place]


def _write_gifti(series: TimeSeries, place: Path, name: str) -> list[Path]:
    written, mapped = [], series.vertices()
    for side, values in mapped.sides(series.values).items():
        target = place.with_name(f"{name}_hemi-{_LETTERS[side]}.func.gii")
        with replaced(target) as partial:
            partial.write_bytes(_gifti(series, side, values, mapped.mesh))
        written.append(target)
    return written


def _gifti(series: TimeSeries, side: str, values: NDArray[np.float32], mesh: str) -> bytes:
    """Return one hemisphere's file: an array per row, as fMRIPrep and FreeSurfer write series."""
    step = {"TimeStep": f"{1000 * series.tr:.6f}", "TimeStepUnits": "ms"}  # as FreeSurfer has it
    return values_gifti(
        values,
        [f"{seconds:.3f} s" for seconds in series.times],
        side,
        intent="NIFTI_INTENT_TIME_SERIES",
        told={
            "Description": str(series.told["Description"]),
            "Mesh": mesh,
            "StartTime": f"{series.times[0]:.6f}",
            **step,
        },
        of_each=step,
    )
