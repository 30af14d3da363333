"""The regions of one result: which targets are in each, on the left, on the right and on both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from braindash.errors import InputError, near_match
from braindash.files import digest_bytes, digest_json
from braindash.io.regions.discs import disc_masks
from braindash.io.surfaces import SPACE_NAMES, SPACES

Hemisphere = Literal["both", "left", "right"]
Mask = npt.NDArray[np.bool_]
Members = Mapping[str, npt.NDArray[Any]]

HEMISPHERES: tuple[Hemisphere, ...] = ("both", "left", "right")
"""What every table and curve can be of."""
WHOLE = "all targets"
"""Name of the set that holds every target of a result."""
DISCS = "discs"
"""Name of the region set that needs no file."""


class _DenseRows(Mapping[str, npt.NDArray[np.float32]]):
    """Rows of a sparse matrix by name, made dense one at a time."""

    def __init__(self, first: dict[str, Mask], names: Sequence[str], rows: sparse.csr_array):
        self._first, self._names, self._rows = first, tuple(names), rows

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name in self._first:
            return self._first[name]
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(self._rows[[self._names.index(name)]].toarray().ravel())

    def __iter__(self) -> Iterator[str]:
        return iter([*self._first, *self._names])

    def __len__(self) -> int:
        return len(self._first) + len(self._names)


@dataclass(frozen=True)
class PaintedRegions:
    """Regions of fsaverage5 as weights of the targets that a surface map brings there.

    Made by :func:`braindash.io.regions.painted.painted_regions`.

    Attributes
    ----------
    names : mapping of hemisphere to tuple of str
        Regions with vertices on that side.
    weights, shares : mapping of hemisphere to float32 csr_array of shape (n_regions, n_targets)
        Sum of a target's weights, and of their sizes, at the region's vertices of that side.
    total : array of shape (n_targets,)
        Size of a target's weights at all vertices; 0 for a target that no vertex shows.
    wholes : mapping of hemisphere to bool array of shape (n_targets,)
        ``WHOLE`` of each side.
    sizes : mapping of hemisphere to mapping of str to int
        Vertices of every region on that side; of ``WHOLE`` its targets.
    vertices : mapping of str to bool array of shape (20484,)
        The regions on fsaverage5.
    """

    names: Mapping[Hemisphere, Sequence[str]]
    weights: Mapping[Hemisphere, sparse.csr_array]
    shares: Mapping[Hemisphere, sparse.csr_array]
    total: npt.NDArray[np.floating[Any]]
    wholes: Mapping[Hemisphere, Mask]
    sizes: Mapping[Hemisphere, Mapping[str, int]]
    vertices: Mapping[str, Mask]

    def masks(self, hemisphere: Hemisphere) -> dict[str, Mask]:
        """Return the targets whose weight lies mostly in each region, ``WHOLE`` first."""
        rows = _DenseRows({}, self.names[hemisphere], self.shares[hemisphere])
        inside = {name: (row > 0) & (2 * row >= self.total) for name, row in rows.items()}
        return {WHOLE: self.wholes[hemisphere]} | inside

    def on_vertices(self, hemisphere: Hemisphere) -> dict[str, Mask]:
        """Return the regions on fsaverage5 itself, bool (20484,), ``WHOLE`` first."""
        n = len(next(iter(self.vertices.values()), np.zeros(2 * SPACES["fsaverage5"])))
        side = np.ones(n, dtype=bool)
        if hemisphere != "both":
            side = (np.arange(n) < n // 2) == (hemisphere == "left")
        return {WHOLE: side} | {name: self.vertices[name] & side for name in self.names[hemisphere]}

    def members(self, hemisphere: Hemisphere) -> Members:
        """Return a weight of every target for each region's mean, ``WHOLE`` first."""
        first = {WHOLE: self.wholes[hemisphere]}
        return _DenseRows(first, self.names[hemisphere], self.weights[hemisphere])

    @cached_property
    def digest(self) -> str:
        """Digest of all weights and names (32 hexadecimal digits)."""
        parts = [digest_json([list(self.names[side]) for side in HEMISPHERES])]
        for side in HEMISPHERES:
            rows = self.weights[side]
            arrays = (rows.indptr, rows.indices, rows.data, self.wholes[side])
            parts.append(digest_bytes(*(np.ascontiguousarray(one).tobytes() for one in arrays)))
        return digest_json({"painted": parts})


@dataclass(frozen=True)
class Regions:
    """A region set on the targets of one result.

    Attributes
    ----------
    name : str
        Of the set, such as "hcp-mmp1".
    note : str
        What figures say of it: its title, its source and what it was read from.
    masks : mapping of str to bool array of shape (n_targets,)
        ``WHOLE`` first, then the regions, both hemispheres together. Regions may overlap.
    is_left : bool array of shape (n_targets,), optional
        Targets of the left hemisphere; None where nobody says on which side a target lies.
    painted : PaintedRegions, optional
        Where the regions are known on fsaverage5 and targets come there by a surface map: means
        are over the vertices then, and sizes count vertices.
    is_right : bool array of shape (n_targets,), optional
        Targets of the right hemisphere, where some are on neither, as voxels off the surface are.
    """

    name: str
    note: str
    masks: Mapping[str, Mask] = field(repr=False)
    is_left: Mask | None = field(default=None, repr=False)
    painted: PaintedRegions | None = field(default=None, repr=False)
    is_right: Mask | None = field(default=None, repr=False)

    @property
    def hemispheres(self) -> tuple[Hemisphere, ...]:
        """What can be asked of this set: "both" alone where the sides are not known."""
        return HEMISPHERES if self.is_left is not None else HEMISPHERES[:1]

    def of(self, hemisphere: Hemisphere = "both") -> dict[str, Mask]:
        """Return the regions of one hemisphere, or of both.

        Parameters
        ----------
        hemisphere : {"both", "left", "right"}, default "both"
            The side.

        Returns
        -------
        dict of str to bool array of shape (n_targets,)
            Without the regions that have no target there; ``WHOLE`` is the whole side.

        Raises
        ------
        InputError
            When there is no such hemisphere, or the sides of these targets are not known.
        """
        if hemisphere not in HEMISPHERES:
            raise InputError(
                f"there is no hemisphere {hemisphere!r}", hint=near_match(hemisphere, HEMISPHERES)
            )
        if self.painted is not None:
            return self.painted.masks(hemisphere)
        if hemisphere == "both":
            return dict(self.masks)
        if self.is_left is None:
            raise InputError(
                f"nobody says which targets of the region set {self.name!r} lie on the {hemisphere}"
                " side",
                hint="Ask for both hemispheres, or give label files of the left and of the right "
                "one; on fsaverage surfaces the left vertices come first.",
            )
        right = ~self.is_left if self.is_right is None else self.is_right
        side = self.is_left if hemisphere == "left" else right
        cut = {name: mask & side for name, mask in self.masks.items()}
        return {name: mask for name, mask in cut.items() if name == WHOLE or mask.any()}

    def members(self, hemisphere: Hemisphere = "both") -> Members:
        """Return what a region's mean is taken over: masks, or a weight of every target.

        Returns
        -------
        mapping of str to array of shape (n_targets,)
            Of bool, or of float32 where the regions are painted; names as of :meth:`of`.
        """
        return self.of(hemisphere) if self.painted is None else self.painted.members(hemisphere)

    def sizes(self, hemisphere: Hemisphere = "both") -> Mapping[str, int] | None:
        """Count the vertices of painted regions; None where the targets themselves count."""
        return None if self.painted is None else self.painted.sizes[hemisphere]

    @cached_property
    def digest(self) -> str:
        """Digest of what is in which region, and on which side (32 hexadecimal digits)."""
        if self.painted is not None:
            return self.painted.digest
        sides = "" if self.is_left is None else digest_bytes(np.packbits(self.is_left).tobytes())
        members = [
            [name, digest_bytes(np.packbits(mask).tobytes())] for name, mask in self.masks.items()
        ]
        told = {"members": members, "sides": sides, "n_targets": self.n_targets}
        if self.is_right is not None:
            told["right"] = digest_bytes(np.packbits(self.is_right).tobytes())
        return digest_json(told)

    @property
    def n_targets(self) -> int:
        """Number of targets, those of no region included."""
        return len(next(iter(self.masks.values())))


def with_whole(masks: Mapping[str, Mask], n_targets: int) -> dict[str, Mask]:
    """Put the set of all targets before the regions.

    Raises
    ------
    InputError
        When a region has the name of that set.
    """
    if WHOLE in masks:
        raise InputError(
            f"a region is named {WHOLE!r}, as the set of every target is",
            hint="Give the region, the mask or the group another name.",
        )
    return {WHOLE: np.ones(n_targets, dtype=bool)} | dict(masks)


def sides_of(space: str, n_targets: int) -> Mask | None:
    """Mark the left hemisphere's targets of an fsaverage space; None in another space."""
    name = SPACE_NAMES.get(space)
    if name is None:
        return None
    if n_targets != 2 * SPACES[name]:
        raise InputError(
            f"{space} has {2 * SPACES[name]} targets, but the responses have {n_targets}",
            hint="Give one target per vertex, the left hemisphere first, or name another space.",
        )
    return np.arange(n_targets) < SPACES[name]


def named_masks(space: str, n_targets: int) -> dict[str, Mask]:
    """Find the sets of targets that every encoding result keeps replicates of: the discs.

    Parameters
    ----------
    space : str
        Space of the responses.
    n_targets : int
        Number of targets of the responses.

    Returns
    -------
    dict of str to bool array of shape (n_targets,)
        ``WHOLE`` first, then discs around published coordinates, if the space is an fsaverage one.
    """
    masks = {} if sides_of(space, n_targets) is None else disc_masks(SPACE_NAMES[space])
    return with_whole({name: mask.copy() for name, mask in masks.items()}, n_targets)
