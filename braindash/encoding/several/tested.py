"""Tests of every target's difference of two models: named, looked up and read."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from braindash.encoding.several.comparison import Difference
from braindash.errors import InputError
from braindash.io.store import Entry, Store
from braindash.specs import DifferenceSpec

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class TargetDifference:
    """Tests whether model A and model B predict each target equally well, layer by layer.

    Attributes
    ----------
    difference : array of shape (n_layers, n_targets)
        r of A minus r of B.
    z : array of shape (n_layers, n_targets)
        Standard normal where they predict equally well; above 0 where A predicts better.
    p, q : array of shape (n_layers, n_targets)
        Two-sided p, and false discovery rate over the targets of a layer; NaN without a test.
    block_rows : int
        Least length of the blocks of rows.
    """

    difference: Floats
    z: Floats
    p: Floats
    q: Floats
    block_rows: int

    @classmethod
    def read(cls, pair: Difference, entry: Entry) -> Self:
        """Read the stored tests of a difference."""
        a, b = pair.a.first, pair.b.first
        with entry.open() as stored:
            z, p, q = (
                np.asarray(stored[name].values, dtype=np.float32) for name in ("z", "p", "q")
            )
        return cls(a.r - b.r, z, p, q, block_rows=int(a.spec["statistics"]["block_rows"]))

    def significant(self, level: float = 0.05) -> NDArray[np.bool_]:
        """Mark the targets whose difference is significant at a false discovery rate.

        Parameters
        ----------
        level : float, default 0.05
            Largest q.

        Returns
        -------
        bool array of shape (n_layers, n_targets)
            False as well where the difference of r has the other sign than that of the whitened
            series, which is what was tested.
        """
        found = np.nan_to_num(self.q, nan=np.inf) <= level
        return np.asarray(found & (np.sign(self.z) == np.sign(self.difference)))

    def line(self) -> str:
        """Say in a few words what p and q are of, and how they were computed."""
        return (
            "paired test of each target's difference at equal layers, AR(3)-prewhitened, over all "
            f"orders of blocks of at least {self.block_rows} rows, two-sided, n = 1 subject; not "
            "of the difference of r itself, and shown only where both have the same sign"
        )


def untestable(pair: Difference) -> str:
    """Say why the targets of a difference cannot be tested; empty where they can."""
    if pair.a.n_subjects > 1:
        return "targets are tested within one subject: choose one"
    if pair.a.first.key == pair.b.first.key:
        return "both models are one, whose equal layers do not differ"
    if pair.a.first.n_layers != pair.b.first.n_layers:
        return "the models have different numbers of layers, which are tested one by one"
    if pair.a.first.spec.get("high_pass") != pair.b.first.spec.get("high_pass"):
        return "one model's responses are high-pass filtered otherwise than the other's"
    return ""


def difference_spec(pair: Difference) -> DifferenceSpec:
    """Name the tests of a difference.

    Raises
    ------
    InputError
        When its targets cannot be tested.
    """
    if reason := untestable(pair):
        raise InputError(reason, hint="Compare two models of as many layers for one subject.")
    return DifferenceSpec(a=pair.a.first.key, b=pair.b.first.key)


def stored_difference(pair: Difference, store: Store) -> TargetDifference | None:
    """Return the tests that are kept of a difference, or None."""
    spec = difference_spec(pair)
    entry = store.get_or_none(spec.kind, spec.key())
    return None if entry is None else TargetDifference.read(pair, entry)
