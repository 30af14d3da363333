"""Means over subjects that a page needs in every run, made once per server.

The identity of results names their content and their regions, as for the tables of
:mod:`braindash.ui.state`. What comes back must not be changed.
"""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from braindash.core.statistics.components import nanmean
from braindash.encoding.several.groups import Group

Floats = NDArray[np.floating]


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
