"""Models as points: alignment against what a model holds, or how large it is."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.viewer.colours import region_title
from braindash.views.studies.panels import (
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
        Controls are open circles.
    """
    inks = colours or model_colours(list(table["model"]))
    figure = panels([region_title(one) for one in regions])
    known = table[table[against].notna() & table["alignment"].notna()]
    known = known.assign(across=_across(known[against], against))
    ticks = _decades(known["parameters"]) if against == "parameters" else {}
    for number, region in enumerate(regions):
        place = place_of(number, len(regions))
        own = known[known["region"] == region].sort_values(["across", "alignment"])
        for rank, (_, row) in enumerate(own.iterrows()):
            name = str(row["model"])
            _point(figure, row, AGAINST[against], (inks[name], float(row[against])), place)
            _write_name(figure, row, inks[name], place, at_right=rank % 2 == 0)
    figure.update_xaxes(title=AGAINST[against], **ticks, **_with_room(known["across"]))
    figure.update_yaxes(title=score_title(table), col=1)
    return finished(figure.update_layout(showlegend=False), table)


def _across(values: pd.Series, against: str) -> pd.Series:
    return pd.Series(np.log10(values) if against == "parameters" else values, index=values.index)


def _with_room(places: pd.Series) -> dict[str, list[float]]:
    """Return a range in which names beside the outer points have room."""
    if places.empty:
        return {}
    low, high = float(places.min()), float(places.max())
    room = 0.35 * max(high - low, 0.1)
    return {"range": [low - room, high + room]}


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


def _write_name(
    figure: go.Figure, row: pd.Series, colour: str, place: Mapping[str, int], *, at_right: bool
) -> None:
    figure.add_annotation(
        x=float(row["across"]),
        y=float(row["alignment"]),
        text=str(row["model"]),
        showarrow=False,
        xanchor="left" if at_right else "right",
        xshift=8 if at_right else -8,
        font={"size": 11, "color": colour},
        **place,
    )


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
