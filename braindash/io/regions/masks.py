"""The regions of one result: which targets are in each, on the left, on the right and on both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError, near_match
from braindash.files import digest_bytes, digest_json
from braindash.io.regions.discs import disc_masks
from braindash.io.surfaces import SPACE_NAMES, SPACES

Hemisphere = Literal["both", "left", "right"]
Mask = npt.NDArray[np.bool_]

HEMISPHERES: tuple[Hemisphere, ...] = ("both", "left", "right")
"""What every table and curve can be of."""
WHOLE = "all targets"
"""Name of the set that holds every target of a result."""
DISCS = "discs"
"""Name of the region set that needs no file."""


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
    """

    name: str
    note: str
    masks: Mapping[str, Mask] = field(repr=False)
    is_left: Mask | None = field(default=None, repr=False)

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
        if hemisphere == "both":
            return dict(self.masks)
        if self.is_left is None:
            raise InputError(
                f"nobody says which targets of the region set {self.name!r} lie on the {hemisphere}"
                " side",
                hint="Ask for both hemispheres, or give label files of the left and of the right "
                "one; on fsaverage surfaces the left vertices come first.",
            )
        side = self.is_left if hemisphere == "left" else ~self.is_left
        cut = {name: mask & side for name, mask in self.masks.items()}
        return {name: mask for name, mask in cut.items() if name == WHOLE or mask.any()}

    @cached_property
    def digest(self) -> str:
        """Digest of what is in which region, and on which side (32 hexadecimal digits)."""
        sides = "" if self.is_left is None else digest_bytes(np.packbits(self.is_left).tobytes())
        members = [
            [name, digest_bytes(np.packbits(mask).tobytes())] for name, mask in self.masks.items()
        ]
        return digest_json({"members": members, "sides": sides, "n_targets": self.n_targets})

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
