"""Models as points: alignment against what a model holds, or how large it is."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from braindash.viewer.colours import region_title
from braindash.views.studies.panels import (
    columns_of,
    cut_name,
    finished,
    model_colours,
    panels,
    place_of,
    score_title,
)

AGAINST: Mapping[str, str] = MappingProxyType(
    {
        "probe": "Probing score above chance",
        "parameters": "Number of weights",
        "hours": "Hours of responses in tuning",
        "rank": "Rank of the adapters",
    }
)
"""What alignment is drawn against."""
_LINE, _CHARACTER, _FROM_POINT = 14, 6.2, 22  # pixels: of a name, and before it
_FRAME = 100  # pixels of a figure's height that are no panels
_WIDE, _NARROW = 830, 390  # pixels of a panel by itself in its row, and of one of two
_MOST_ROOM = 0.55  # of a panel, for names
_MARGIN = 0.06  # around what is drawn, as a share of it
_LEAST_SPAN = 0.1
_ALIKE, _ASIDE = 0.005, 0.025  # numbers this near are one; the step between its points, of the span
_MOST_LETTERS = 34  # of a name; the cursor tells all of it
# Three panels beside each other would have no room for names.
_COLUMNS, _MANY = 2, 4


def alignment_scatter(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    against: str,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw each model's alignment against its probing score or its size, with its name.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.summaries.alignment_table` gives; models without the
        horizontal value are left out.
    regions : sequence of str
        One panel each.
    against : {"probe", "parameters", "hours", "rank"}
        The horizontal axis; numbers of weights stand on a logarithmic one.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.

    Returns
    -------
    plotly.graph_objects.Figure
        Controls are open circles. Names stand in a column right of the points, with a line to each.
        Models with one number of weights, hours or rank stand beside each other.
    """
    inks = colours or model_colours(list(table["model"]))
    columns = _COLUMNS if len(regions) >= _MANY else 1
    figure = panels([region_title(one) for one in regions], columns=columns)
    known = table[table[against].notna() & table["alignment"].notna()]
    known = known.assign(across=_across(known[against], against))
    ticks = _decades(known["parameters"]) if against == "parameters" else {}
    names = [cut_name(str(one), _MOST_LETTERS) for one in known["model"]]
    wide, high = _ranges(known, names, _NARROW if columns_of(len(regions), columns) > 1 else _WIDE)
    for number, region in enumerate(regions):
        place = place_of(number, len(regions), columns)
        own = known[known["region"] == region].sort_values(["alignment", "across"])
        if against != "probe":
            own = own.assign(across=_side_by_side(own["across"].to_numpy(dtype=float), wide))
        for _, row in own.iterrows():
            told = inks[str(row["model"])], float(row[against])
            _point(figure, row, AGAINST[against], told, place)
        _write_names(figure, own, inks, (wide, high), place)
    figure.update_xaxes(title=AGAINST[against], range=wide.ends, **ticks)
    figure.update_yaxes(range=high)
    figure.update_yaxes(title=score_title(table), col=1)
    return finished(figure.update_layout(showlegend=False), table)


class _Across(NamedTuple):
    """The horizontal axis.

    Attributes
    ----------
    ends : list of float
        Of the axis.
    span : float
        From the first point to the last.
    names : float
        Where names begin: in a column right of all points.
    """

    ends: list[float]
    span: float
    names: float


def _across(values: pd.Series, against: str) -> pd.Series:
    return pd.Series(np.log10(values) if against == "parameters" else values, index=values.index)


def _ranges(known: pd.DataFrame, names: Sequence[str], pixels: int) -> tuple[_Across, list[float]]:
    """Return both axes: names have room right of the points, and none moves an end."""
    if known.empty:
        return _Across([0.0, 1.0], 1.0, 1.0), [0.0, 1.0]
    low, high = float(known["across"].min()), float(known["across"].max())
    span = max(high - low, _LEAST_SPAN)
    # Points of one number stand beside each other, on both sides of it.
    most = known.groupby("region", sort=False)["model"].size().max()
    room = (_MARGIN + _ASIDE * most / 2) * span
    low, high = low - room, high + room
    share = min((_CHARACTER * max(map(len, names)) + _FROM_POINT) / pixels, _MOST_ROOM)
    end = low + (high - low) / (1 - share)
    numbers = known[["alignment", "low", "high"]].to_numpy(dtype=float)
    bottom, top = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    reach = _MARGIN * max(top - bottom, _LEAST_SPAN)
    first = high + (end - low) * _FROM_POINT / pixels
    return _Across([low, end], span, first), [bottom - reach, top + reach]


def _side_by_side(places: NDArray[np.floating], wide: _Across) -> NDArray[np.floating]:
    """Part points of one number, such as models of one size, whose intervals hid each other."""
    order, moved = np.argsort(places, kind="stable"), places.copy()
    apart = np.flatnonzero(np.diff(places[order]) > _ALIKE * max(wide.span, 1.0))
    for members in np.split(order, apart + 1):
        aside = np.arange(len(members)) - (len(members) - 1) / 2
        moved[members] = places[members].mean() + aside * _ASIDE * wide.span
    return moved


def _point(
    figure: go.Figure,
    row: pd.Series,
    title: str,
    told: tuple[str, float],
    place: Mapping[str, int],
) -> None:
    colour, x = told
    y, low, high = (float(row[name]) for name in ("alignment", "low", "high"))
    figure.add_trace(
        go.Scatter(
            x=[float(row["across"])],
            y=[y],
            mode="markers",
            name=str(row["model"]),
            marker={
                "color": colour,
                "size": 10,
                "symbol": "circle-open" if row["role"] == "control" else "circle",
            },
            error_y={"array": [high - y], "arrayminus": [y - low], "color": colour, "width": 3},
            customdata=[[x, low, high]],
            hovertemplate=f"<b>%{{fullData.name}}</b><br>{title} %{{customdata[0]:.3g}}"
            "<br>%{y:.3f} [%{customdata[1]:.3f}, %{customdata[2]:.3f}]<extra></extra>",
        ),
        **place,
    )


def _write_names(
    figure: go.Figure,
    rows: pd.DataFrame,
    inks: Mapping[str, str],
    ends: tuple[_Across, list[float]],
    place: Mapping[str, int],
) -> None:
    """Write names in a column, lowest first, each with a line to its point: none on another."""
    wide, high = ends
    axis = next(figure.select_yaxes(**place))
    pixels = (figure.layout.height - _FRAME) * (axis.domain[1] - axis.domain[0])
    points = rows["alignment"].to_numpy(dtype=float)
    line = _LINE / pixels * (high[1] - high[0])
    heights = apart(points, (high[0] + line / 2, high[1] - line / 2), line)
    for (_, row), height in zip(rows.iterrows(), heights, strict=True):
        name = str(row["model"])
        figure.add_shape(
            type="line",
            x0=float(row["across"]),
            y0=float(row["alignment"]),
            x1=wide.names,
            y1=height,
            line={"color": inks[name], "width": 0.8},
            opacity=0.5,
            layer="below",
            **place,
        )
        figure.add_annotation(
            x=wide.names,
            y=height,
            text=cut_name(name, _MOST_LETTERS),
            showarrow=False,
            xanchor="left",
            xshift=3,
            font={"size": 11, "color": inks[name]},
            **place,
        )


def apart(
    places: NDArray[np.floating], ends: tuple[float, float], gap: float
) -> NDArray[np.floating]:
    """Move places as little as can be until they lie a gap apart, between two ends.

    The least squares of the moves with places[i + 1] - places[i] >= gap: a monotonic regression of
    places - i gap.

    Parameters
    ----------
    places : array of shape (n,)
        In rising order.
    ends : (float, float)
        The lowest place and the highest one.
    gap : float
        Between neighbours; less where not all have room.

    Returns
    -------
    array of float64, shape (n,)
    """
    if not len(places):
        return np.asarray(places, dtype=np.float64)
    low, high = ends
    steps = min(gap, (high - low) / len(places)) * np.arange(len(places))
    found = np.asarray(isotonic_regression(np.asarray(places, dtype=np.float64) - steps).x)
    return np.asarray(np.clip(found, low, high - steps[-1]) + steps)


def _decades(numbers: pd.Series) -> dict[str, list[float] | list[str]]:
    """Return ticks at round numbers of weights, on an axis of their logarithms."""
    if numbers.empty:
        return {}
    low, high = np.log10(numbers.min()), np.log10(numbers.max())
    steps = [
        first * 10.0**power
        for power in range(int(np.floor(low)) - 1, int(np.ceil(high)) + 1)
        for first in (1, 3)
    ]
    return {
        "tickvals": [float(np.log10(one)) for one in steps],
        "ticktext": [_count(one) for one in steps],
    }


def _count(number: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g} {letter}"
    return f"{number:g}"
