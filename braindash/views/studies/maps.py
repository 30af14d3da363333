"""Maps of a study's subjects together, as pictures: a row of four views for each model or pair."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from braindash.encoding.several.groups import Group
from braindash.studies.maps import LEVEL, GroupMap
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import MIX_COLOURS
from braindash.viewer.drawn import can_show
from braindash.views.linked import DIFFERENCE_COLOURS, LinkedMaps, group_options
from braindash.views.maps import colour_top
from braindash.views.pictures import linked_figure, mixed_figure

MOST_ROWS = 4
"""Maps of one picture; the tables have all."""
_SHOWN_FROM = 0.2  # of the highest value
_INKED_FROM = 0.1
_LEAST_SHARE = 0.001  # above 0, which is grey

Floats = NDArray[np.floating]


def drawable(maps: Sequence[GroupMap]) -> list[GroupMap]:
    """Return the maps that a surface shows, as many as a picture has rows."""
    shown = [
        one for one in maps if can_show(one.group.space, one.group.n_targets, one.group.surface)
    ]
    return shown[:MOST_ROWS]


def score_picture(maps: Sequence[GroupMap], label: str, *, tested: bool) -> Callable[[], Figure]:
    """Return what draws the subjects' mean of models or of pairs, on one scale.

    Parameters
    ----------
    maps : sequence of GroupMap
        All of models, or all of pairs, that :func:`drawable` gave.
    label : str
        Of the colour scale.
    tested : bool
        Whether targets with p above .05 are grey.
    """
    values = [np.where(one.p <= LEVEL, one.mean, np.nan) if tested else one.mean for one in maps]
    two_sided = maps[0].two_sided
    top = max(colour_top(np.abs(one.mean)) for one in maps)
    sets = [
        _map(
            one,
            own,
            label,
            (-top if two_sided else 0.0, top),
            threshold=0.0 if tested or two_sided else round(_SHOWN_FROM * top, 2),
            colours=DIFFERENCE_COLOURS if two_sided else "inferno",
        )
        for one, own in zip(maps, values, strict=True)
    ]
    return _drawing(maps, sets)


def share_picture(
    maps: Sequence[GroupMap], shares: Sequence[Floats], label: str
) -> Callable[[], Figure]:
    """Return what draws shares from 0 to 1, such as prevalence; 0 is grey."""
    sets = [
        _map(one, own, label, (0.0, 1.0), threshold=_LEAST_SHARE, colours="viridis")
        for one, own in zip(maps, shares, strict=True)
    ]
    return _drawing(maps, sets)


def mixed_picture(
    group: Group, parts: Mapping[str, Floats], name: str
) -> Callable[[], Figure] | None:
    """Return what draws two or three shares of explained variance as inks that mix.

    Parameters
    ----------
    group : Group
        Whose targets these are.
    parts : mapping of str to array of shape (n_targets,)
        R² by what explains it.
    name : str
        Of the model.

    Returns
    -------
    callable or None
        None where the targets come to no surface.
    """
    if not can_show(group.space, group.n_targets, group.surface):
        return None
    shown = dict(list(parts.items())[: len(MIX_COLOURS)])
    top = max(colour_top(one) for one in shown.values())
    maps = tuple(
        MapSet(
            values=np.asarray(values, dtype=np.float32)[None],
            names=[name],
            label=f"{name}: R², mean of the subjects",
            vmin=0.0,
            vmax=top,
            threshold=round(_INKED_FROM * top, 3),
            simulated=group.simulated,
            **group_options(group, values[None], ""),
        )
        for values in shown.values()
    )
    linked = LinkedMaps(tuple(shown), maps)
    return lambda: mixed_figure(linked, [0] * len(maps))


def _map(
    one: GroupMap,
    values: Floats,
    label: str,
    ends: tuple[float, float],
    *,
    threshold: float,
    colours: str,
) -> MapSet:
    low, high = ends
    return MapSet(
        values=np.asarray(values, dtype=np.float32)[None],
        names=["mean of the subjects" if not one.two_sided else "mean difference"],
        label=label,
        vmin=low,
        vmax=high,
        threshold=threshold,
        simulated=one.group.simulated,
        colours=colours,
        **group_options(one.group, values[None], ""),
    )


def _drawing(maps: Sequence[GroupMap], sets: Sequence[MapSet]) -> Callable[[], Figure]:
    titles = [one.name for one in maps]
    return lambda: linked_figure([(one, 0) for one in sets], titles)
