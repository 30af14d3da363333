"""Figures of settings that are varied: scores against the value, and layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.studies.file import value_label
from braindash.viewer.colours import GREY, region_title
from braindash.views.curves import band
from braindash.views.studies.lines import ends_of
from braindash.views.studies.matrices import MOST_MATRICES, SEQUENTIAL, layer_ticks
from braindash.views.studies.panels import (
    dash_of,
    finished,
    model_colours,
    panels,
    place_of,
    score_title,
)

_BAND = 0.12
_FEW_VALUES = 12  # that an axis names one by one


def value_curves(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    title: str,
    spread: str = "interval",
    is_log: bool = False,
    best: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
    score: str | None = None,
    titles: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one panel per region with each model's score against the value of a setting.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.sweeps.sweep_table` gives.
    regions : sequence of str
        One panel each.
    title : str
        Of the horizontal axis.
    spread : {"interval", "se", "none"}, default "interval"
        What is shaded.
    is_log : bool, default False
        Whether the horizontal axis is logarithmic; only of positive numbers.
    best : mapping of str to float, optional
        Height of a dashed line by region, such as the base's best.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.
    score : str, optional
        Of the vertical axis; the table's score if none.
    titles : mapping of str to str, optional
        Of the panels; those of regions if none.

    Returns
    -------
    plotly.graph_objects.Figure
        Values that are no numbers stand side by side in their order.
    """
    inks = colours or model_colours(list(table["model"]))
    figure = panels([region_title(one) if titles is None else titles[one] for one in regions])
    across = _across(table)
    shown = table.assign(across=[across[one] for one in table["setting_value"]])
    for number, region in enumerate(regions):
        place = place_of(number, len(regions))
        rows = shown[shown["region"] == region]
        for name, own in rows.groupby("model", sort=False):
            ordered = own.sort_values("across")
            _line(figure, ordered, inks[str(name)], spread, place, in_legend=number == 0)
        if best is not None and region in best:
            figure.add_hline(
                y=float(best[region]), line={"color": GREY, "dash": "dash", "width": 1.5}, **place
            )
    figure.update_xaxes(title=title, **_ticks(across, is_log))
    figure.update_yaxes(title=score or score_title(table), col=1)
    return finished(figure, table)


def layer_matrices(table: pd.DataFrame, regions: Sequence[str], *, title: str) -> go.Figure:
    """Draw the score of every layer at every value, one panel per model and region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.sweeps.layer_table` gives.
    regions : sequence of str
        In this order; the first nine panels are drawn, models within regions.
    title : str
        Of the horizontal axis.
    """
    names = list(dict.fromkeys(table["model"]))
    every = [(name, region) for region in regions for name in names][:MOST_MATRICES]
    heads = [f"{name}: {region_title(region)}" for name, region in every]
    figure = panels(heads, share_y=False)
    across = _across(table)
    values = sorted(across, key=across.__getitem__)
    top = float(np.nanmax(table["alignment"])) if table["alignment"].notna().any() else 1.0
    for number, (name, region) in enumerate(every):
        own = table[(table["model"] == name) & (table["region"] == region)]
        wide = own.pivot(index="layer", columns="setting_value", values="alignment").reindex(
            columns=values
        )
        place = place_of(number, len(every))
        figure.add_trace(
            go.Heatmap(
                z=wide.to_numpy(dtype=float),
                x=list(range(len(values))),
                y=list(wide.index),
                colorscale=SEQUENTIAL,
                zmin=0.0,
                zmax=top or 1.0,
                showscale=number == len(every) - 1,
                colorbar={"title": {"text": score_title(table), "side": "right"}, "thickness": 14},
                name=heads[number],
                hovertemplate="layer %{y}: %{z:.3f}<extra></extra>",
            ),
            **place,
        )
        figure.update_yaxes(tickvals=layer_ticks(len(wide.index)), **place)
    labels = [value_label(one) for one in values]
    ticks = list(range(0, len(values), -(-len(values) // _FEW_VALUES)))
    told = {"tickvals": ticks, "ticktext": [labels[one] for one in ticks]}
    figure.update_xaxes(title=title, showgrid=False, **told)
    figure.update_yaxes(showgrid=False)
    figure.update_yaxes(title="Layer", col=1)
    return finished(figure, table)


def _across(table: pd.DataFrame) -> dict[str, float]:
    """Return the place of every value: the number itself, else its place in the order."""
    first = table.drop_duplicates("setting_value")
    if first["setting_number"].notna().all():
        return dict(zip(first["setting_value"], first["setting_number"].astype(float), strict=True))
    return {value: float(place) for place, value in enumerate(first["setting_value"])}


def _ticks(across: Mapping[str, float], is_log: bool) -> dict[str, Any]:
    """Name the values on the axis, where they are few."""
    kind: dict[str, Any] = {"type": "log"} if is_log else {}
    if len(across) > _FEW_VALUES:
        return kind
    named = {"tickvals": list(across.values()), "ticktext": [value_label(one) for one in across]}
    return kind | named


def _line(
    figure: go.Figure,
    rows: pd.DataFrame,
    colour: str,
    spread: str,
    place: Mapping[str, int],
    *,
    in_legend: bool,
) -> None:
    name, role = str(rows["model"].iloc[0]), str(rows["role"].iloc[0])
    x, y = (rows[one].to_numpy(dtype=float) for one in ("across", "alignment"))
    low, high = ends_of(rows, spread)
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        shade = band(x[known], (low[known], high[known]), colour, _BAND)
        figure.add_trace(shade.update(legendgroup=name), **place)
    told = [[value_label(one)] for one in rows["setting_value"]]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            name=name,
            legendgroup=name,
            showlegend=in_legend,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dash_of(role)},
            marker={"size": 6},
            customdata=np.column_stack([np.array(told, dtype=object), low, high]),
            hovertemplate="<b>%{fullData.name}</b><br>%{customdata[0]}: %{y:.3f} "
            "[%{customdata[1]:.3f}, %{customdata[2]:.3f}]<extra></extra>",
        ),
        **place,
    )
