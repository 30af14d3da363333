"""Targets as points: the score with model A against the score with model B."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from braindash.io.regions.masks import WHOLE
from braindash.viewer.colours import GREY, region_colour, region_title
from braindash.views.curves import AXIS_ROOM, LEGEND, stamp_simulated

MOST_POINTS = 600
"""So many points of one region are drawn at most: a browser stays quick."""
_ELSEWHERE = "elsewhere"
_LEGEND_ROOM = 67.25  # of three rows: long names in half a page; see views/curves.py

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


def target_scatter(
    a: Floats,
    b: Floats,
    masks: Mapping[str, Mask],
    regions: Sequence[str],
    *,
    titles: Sequence[str],
    simulated: bool,
    seed: int = 0,
) -> tuple[go.Figure, str]:
    """Draw every target's score with A against that with B, coloured by region.

    Parameters
    ----------
    a, b : float array of shape (n_targets,)
        Scores of the two models; targets without one of them (NaN) are left out.
    masks : mapping of str to bool array of shape (n_targets,)
        Regions; a target in several of ``regions`` counts for the first.
    regions : sequence of str
        Regions to colour, in this order; the other targets are grey.
    titles : sequence of two str
        Titles of the axes: A across, B upwards.
    simulated : bool
        Whether to stamp the figure.
    seed : int, default 0
        Of the sample that is drawn of regions with more than ``MOST_POINTS`` targets.

    Returns
    -------
    figure : plotly.graph_objects.Figure
        Points below the identity line are targets that A predicts better.
    note : str
        How many targets there are, and how many are drawn.
    """
    known = np.isfinite(a) & np.isfinite(b)
    rng = np.random.default_rng(seed)
    figure = go.Figure()
    shown = 0
    # The grey rest is drawn first: it lies below the regions.
    parts = list(_parts(known, masks, regions).items())
    for region, members in [*parts[-1:], *parts[:-1]]:
        drawn = members
        if len(members) > MOST_POINTS:
            drawn = np.sort(rng.choice(members, MOST_POINTS, replace=False))
        shown += len(drawn)
        if len(members):
            figure.add_trace(_points(region, members, drawn, a, b))
    _finish(figure, a[known], b[known], titles, simulated)
    note = f"{int(known.sum()):,} targets with both scores"
    if shown < known.sum():
        note += (
            f"; {shown:,} are drawn: at most {MOST_POINTS} of each region, at random. Counts and "
            "shares are of all"
        )
    return figure, f"{note}. Below the line: A predicts better."


def scatter_table(
    a: Floats, b: Floats, masks: Mapping[str, Mask], regions: Sequence[str]
) -> pd.DataFrame:
    """List every target with both scores, also those that :func:`target_scatter` leaves out.

    Parameters
    ----------
    a, b, masks, regions
        As for :func:`target_scatter`.

    Returns
    -------
    pandas.DataFrame
        ``target``, ``region`` (the first of ``regions`` that holds it), ``a``, ``b``.
    """
    known = np.isfinite(a) & np.isfinite(b)
    names = np.full(len(a), "", dtype=object)
    for region, members in _parts(known, masks, regions).items():
        names[members] = region
    places = np.flatnonzero(known)
    return pd.DataFrame({"target": places, "region": names[places], "a": a[places], "b": b[places]})


def _parts(
    known: Mask, masks: Mapping[str, Mask], regions: Sequence[str]
) -> dict[str, NDArray[np.intp]]:
    """Return the targets of each region, every target once; the rest last."""
    rest = known.copy()
    parts = {}
    for region in regions:
        if region == WHOLE:
            continue
        parts[region] = np.flatnonzero(rest & masks[region])
        rest &= ~masks[region]
    parts[_ELSEWHERE if parts else WHOLE] = np.flatnonzero(rest)
    return parts


def _points(
    region: str, members: NDArray[np.intp], drawn: NDArray[np.intp], a: Floats, b: Floats
) -> go.Scatter:
    higher = float((a[members] > b[members]).mean())
    is_rest = region in (_ELSEWHERE, WHOLE)
    title = region_title(region)
    return go.Scatter(
        x=a[drawn],
        y=b[drawn],
        mode="markers",
        name=f"{title}: {len(members):,}, A higher in {higher:.0%}",
        legendrank=1001 if is_rest else 1000,
        marker={
            "color": GREY if is_rest else region_colour(region),
            "size": 4 if is_rest else 6,
            "opacity": 0.35 if is_rest else 0.75,
        },
        customdata=drawn,
        hovertemplate=f"{title}, target %{{customdata}}<br>A %{{x:.3f}}, B %{{y:.3f}}"
        "<extra></extra>",
    )


def _finish(
    figure: go.Figure, a: Floats, b: Floats, titles: Sequence[str], simulated: bool
) -> None:
    ends = [0.0, 1.0]
    if len(a):
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        margin = 0.04 * max(high - low, 1e-3)
        ends = [low - margin, high + margin]
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=ends,
            mode="lines",
            name="A = B",
            line={"color": GREY, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.update_layout(
        height=520,
        margin={"l": 60, "r": 10, "t": 28, "b": AXIS_ROOM + _LEGEND_ROOM},
        legend=LEGEND,
        hovermode="closest",
    )
    figure.update_xaxes(title=titles[0], range=ends, constrain="domain")
    figure.update_yaxes(title=titles[1], range=ends, scaleanchor="x", constrain="domain")
    if simulated:
        stamp_simulated(figure)
