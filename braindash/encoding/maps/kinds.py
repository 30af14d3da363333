"""What a result can put on the cortex: its maps by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from braindash.errors import InputError, near_match
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.spaces.vertices import Vertices, vertices_of

Floats = npt.NDArray[np.floating[Any]]


class Scored(Protocol):
    """What maps need of an encoding result."""

    @property
    def space(self) -> str:
        """Space of the targets."""

    @property
    def surface(self) -> SurfaceMap | None:
        """What brings them to a surface."""

    @property
    def n_targets(self) -> int:
        """Number of targets."""

    @property
    def n_layers(self) -> int:
        """Number of layers."""

    @property
    def has_ceiling(self) -> bool:
        """Whether there is a noise ceiling."""

    @property
    def has_significance(self) -> bool:
        """Whether there are p values."""

    @property
    def has_best(self) -> bool:
        """Whether the best layer was tested."""

    @property
    def has_confidence(self) -> bool:
        """Whether there is a confidence of preferred layers."""

    @property
    def p(self) -> Floats:
        """The p values."""

    @property
    def q(self) -> Floats:
        """The q values."""

    @property
    def q_best(self) -> Floats:
        """The q values of best layers."""

    @property
    def preferred_layer(self) -> npt.NDArray[Any]:
        """Preferred layers."""

    @property
    def preferred_share(self) -> Floats:
        """How sure they are."""

    def scores(self, normalised: bool = False, ceiling: str | None = None) -> Floats:
        """Return scores of layers and targets."""

    def named_ceiling(self, name: str | None) -> Floats:
        """Return a noise ceiling."""


@dataclass(frozen=True)
class MapKind:
    """One kind of map.

    Attributes
    ----------
    title : str
        What its values are.
    unit : str
        Their unit.
    values : callable
        Takes a result and the name of a noise ceiling or None; gives (n_layers, n_targets), or
        (1, n_targets) where there is one map for all layers.
    there : callable
        Says whether a result has it.
    by_layer : bool
        Whether there is one map per layer.
    nearest : bool
        Whether a mean of two values means nothing, as of numbers of layers.
    """

    title: str
    unit: str
    values: Callable[[Scored, str | None], Floats]
    there: Callable[[Scored], bool] = lambda _: True
    by_layer: bool = True
    nearest: bool = False


def _preferred(result: Scored, _: str | None) -> Floats:
    layers = np.asarray(result.preferred_layer, dtype=np.float32)
    return np.where(layers >= 0, layers, np.float32("nan"))[None]


MAP_KINDS: Mapping[str, MapKind] = {
    "r": MapKind(
        "Pearson r of predicted and measured response on the test story",
        "correlation, -1 to 1",
        lambda result, _: result.scores(),
    ),
    "r_over_ceiling": MapKind(
        "r divided by the noise ceiling where that exceeds its threshold",
        "ratio",
        lambda result, ceiling: result.scores(True, ceiling),
        lambda result: result.has_ceiling,
    ),
    "p": MapKind(
        "p value of each layer's r",
        "probability",
        lambda result, _: result.p,
        lambda result: result.has_significance,
    ),
    "q": MapKind(
        "false discovery rate of each layer's targets",
        "probability",
        lambda result, _: result.q,
        lambda result: result.has_significance,
    ),
    "ceiling": MapKind(
        "noise ceiling",
        "correlation, -1 to 1",
        lambda result, ceiling: result.named_ceiling(ceiling)[None],
        lambda result: result.has_ceiling,
        by_layer=False,
    ),
    "preferred_layer": MapKind(
        "layer with the highest r",
        "number of the layer; 0 is the input of the first transformer block",
        _preferred,
        by_layer=False,
        nearest=True,
    ),
    "preferred_share": MapKind(
        "how sure the preferred layer is",
        "share, 0 to 1",
        lambda result, _: result.preferred_share[None],
        lambda result: result.has_confidence,
        by_layer=False,
    ),
    "q_best": MapKind(
        "false discovery rate of the targets' best layers",
        "probability",
        lambda result, _: result.q_best[None],
        lambda result: result.has_best,
        by_layer=False,
    ),
}
"""Kinds of maps by name."""


def available_maps(result: Scored) -> list[str]:
    """Name the kinds of maps that a result has."""
    return [name for name, kind in MAP_KINDS.items() if kind.there(result)]


def map_values(result: Scored, what: str, ceiling: str | None = None) -> Floats:
    """Return the values of a kind of map.

    Parameters
    ----------
    result : EncodingResult
        The result.
    what : str
        A name in :data:`MAP_KINDS`.
    ceiling : str, optional
        Noise ceiling; the default one when left out.

    Returns
    -------
    float array of shape (n_layers, n_targets), or (1, n_targets) of one map for all layers
        NaN where there is no value.

    Raises
    ------
    InputError
        There is no such kind, or this result lacks it.
    """
    there = available_maps(result)
    if what not in there:
        lacking = f"this result has no map {what!r}: it was computed without what that needs"
        unknown = f"there is no map {what!r}"
        raise InputError(lacking if what in MAP_KINDS else unknown, hint=near_match(what, there))
    return np.asarray(MAP_KINDS[what].values(result, ceiling), dtype=np.float32)


def map_names(result: Scored, what: str) -> list[str]:
    """Name the maps of a kind, one per layer or one for all."""
    if not MAP_KINDS[what].by_layer:
        return ["all layers"]
    return [f"layer {layer}" for layer in range(result.n_layers)]


def result_vertices(result: Scored) -> Vertices:
    """Find the mesh of a result's targets; see :func:`~braindash.io.spaces.vertices.vertices_of`.

    Raises
    ------
    InputError
        Nothing leads from its targets to a surface.
    """
    return vertices_of(result.space, result.n_targets, result.surface)
