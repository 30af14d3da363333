"""The selection of the page Compare: the models, their maps, and the layers they show."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from braindash.core.statistics.components import nanmean
from braindash.encoding.several.comparison import Difference, Group, compare
from braindash.encoding.several.tested import TargetDifference
from braindash.errors import InputError
from braindash.ui import state
from braindash.ui.explore import address, selecting
from braindash.views.linked import LinkedMaps, link_maps, read_held, shown_layers

LETTERS = "ABC"

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Compared:
    """Two models, or three, of the same subjects.

    Attributes
    ----------
    pair : Difference
        A minus B.
    groups : tuple of Group
        A, B and, where there is one, the third model.
    names : tuple of str
        "A: ...", as panels and curves are named.
    normalised : bool
        r / ceiling instead of r.
    ceilings : tuple of (str or None)
        Each model's noise ceiling.
    """

    pair: Difference
    groups: tuple[Group, ...]
    names: tuple[str, ...]
    normalised: bool
    ceilings: tuple[str | None, ...]

    @classmethod
    def of(cls, selection: selecting.Selection, third: tuple[state.ResultRow, ...]) -> "Compared":
        """Pair the chosen models, and put the third one beside them.

        Raises
        ------
        InputError
            When they cannot be compared, or when the third model lacks a subject.
        """
        pair = selection.difference()
        if pair is None:
            raise InputError("there is one model only", hint="Choose a second model.")
        groups, models = [pair.a, pair.b], list(selection.model_names)
        if third:
            with_third = compare(pair.a, [state.load(row) for row in third])
            lacking = sorted(set(pair.a.subjects) - set(with_third.b.subjects))
            if lacking:
                raise InputError(
                    f"{third[0].model} has no result of subject {', '.join(lacking)}",
                    hint="Choose another third model or one subject, or compute what is missing.",
                )
            groups.append(with_third.b)
            models.append(selection.named(third[0].model))
        names = tuple(f"{letter}: {model}" for letter, model in zip(LETTERS, models, strict=False))
        ceilings = tuple(selection.ceiling_for(group) for group in groups)
        return cls(pair, tuple(groups), names, selection.normalised, ceilings)

    @property
    def last_layers(self) -> tuple[int, ...]:
        """Last layer of every model."""
        return tuple(group.first.n_layers - 1 for group in self.groups)

    @property
    def identities(self) -> list[str]:
        """Name the content of every model's maps on their common scale."""
        keys = [" ".join(group.identity) for group in self.groups]
        settings = f"{self.normalised} {self.ceilings}"
        return [f"{one} of {keys} {settings}" for one in keys]

    def linked(
        self,
        *,
        with_difference: bool,
        mesh: str = "",
        shown: str = "mean",
        tests: TargetDifference | None = None,
    ) -> LinkedMaps:
        """Return the maps of all models on a mesh, made once per server.

        With ``tests`` A and B are shown where their difference is significant; ``shown`` says what
        maps of several subjects show.
        """
        return linked_maps(
            self.groups,
            self.names,
            normalised=self.normalised,
            ceilings=self.ceilings,
            pair=self.pair if with_difference else None,
            mesh=mesh,
            tests=tests,
            shown=shown,
        )

    def layers(self) -> tuple[int, ...]:
        """Return the layer that every model shows, as the address says."""
        place, held = address_layers(self.last_layers)
        return shown_layers(place, held, self.last_layers)

    def coverage(self, one: int, two: int) -> np.ndarray:
        """Return the share of each region's targets that are in both means, (n_regions,)."""
        shares = [
            coverage(group, self.normalised, ceiling)[layer]
            for group, ceiling, layer in zip(self.groups, self.ceilings, (one, two), strict=False)
        ]
        return np.asarray(np.fmin(*shares))

    def means(self) -> list[np.ndarray]:
        """Return every model's region means, (n_layers, n_regions), averaged over subjects."""
        return [
            region_means(group, self.normalised, ceiling)
            for group, ceiling in zip(self.groups, self.ceilings, strict=True)
        ]


def address_layers(last_layers: tuple[int, ...]) -> tuple[int, list[int | None]]:
    """Read the slider's place and the held panels from the address; at first the last layer."""
    place = address.layer(max(last_layers))
    return place, read_held(st.query_params.get("hold", ""), len(last_layers))


def swap() -> None:
    """Exchange models A and B."""
    session = st.session_state
    session["model"], session["compare"] = session["compare"], session["model"]


def linked_maps(
    groups: tuple[Group, ...],
    names: tuple[str, ...],
    *,
    normalised: bool,
    ceilings: tuple[str | None, ...],
    pair: Difference | None = None,
    mesh: str = "",
    tests: TargetDifference | None = None,
    shown: str = "mean",
) -> LinkedMaps:
    """Return maps of several models, made once per server.

    Parameters
    ----------
    groups, names, normalised, ceilings, pair, mesh, shown
        As for :func:`braindash.views.linked.link_maps`.
    tests : TargetDifference, optional
        Of A and B: they are shown where their difference is significant.
    """
    keys = tuple(group.identity for group in groups)
    settings = (normalised, ceilings, names, pair is not None, mesh, tests is not None, shown)
    found: LinkedMaps = _linked(keys, settings, groups, pair, tests)
    return found


@st.cache_resource(max_entries=8, show_spinner="Preparing the maps")
def _linked(
    keys: tuple[tuple[str, ...], ...],
    settings: tuple[bool, tuple[str | None, ...], tuple[str, ...], bool, str, bool, str],
    _groups: tuple[Group, ...],
    _pair: Difference | None,
    _tests: TargetDifference | None,
) -> LinkedMaps:
    normalised, ceilings, names, _, mesh, _, shown = settings
    return link_maps(
        _groups,
        names,
        normalised=normalised,
        ceilings=ceilings,
        pair=_pair,
        mesh=mesh,
        only=None if _tests is None else _tests.significant(),
        shown=shown,
    )


# ---- means over subjects, made once per server ---------------------------------------------
# As for the tables of braindash.ui.state, the identity of results names their content and their
# regions; what comes back must not be changed.


def target_scores(group: Group, normalised: bool, ceiling: str | None) -> Floats:
    """Return the mean score of every target, (n_layers, n_targets); see ``Group.scores``."""
    found: Floats = _target_scores(group.identity, normalised, ceiling, group)
    return found


def region_means(group: Group, normalised: bool, ceiling: str | None) -> Floats:
    """Return the mean of the subjects' region means, (n_layers, n_regions)."""
    found: Floats = _region_means(group.identity, normalised, ceiling, group)
    return found


def coverage(group: Group, normalised: bool, ceiling: str | None) -> Floats:
    """Return the share of the regions' targets that are in the means, (n_layers, n_regions)."""
    found: Floats = _coverage(group.identity, normalised, ceiling, group)
    return found


@st.cache_resource(max_entries=16, show_spinner=False)
def _target_scores(
    keys: tuple[str, ...], normalised: bool, ceiling: str | None, _group: Group
) -> Floats:
    return _group.scores(normalised=normalised, ceiling=ceiling)


@st.cache_resource(max_entries=64, show_spinner=False)
def _region_means(
    keys: tuple[str, ...], normalised: bool, ceiling: str | None, _group: Group
) -> Floats:
    return np.asarray(nanmean(_group.values(normalised=normalised, ceiling=ceiling)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _coverage(
    keys: tuple[str, ...], normalised: bool, ceiling: str | None, _group: Group
) -> Floats:
    return _group.coverage(normalised=normalised, ceiling=ceiling)
