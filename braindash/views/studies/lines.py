"""Lines over layers: up to twelve models by region; drift and dimension of layers."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.viewer.colours import GREY, region_title
from braindash.views.curves import band
from braindash.views.studies.panels import (
    dash_of,
    finished,
    model_colours,
    panels,
    place_of,
    score_title,
)

SPREADS: Mapping[str, str] = MappingProxyType(
    {
        "interval": "95 % intervals",
        "se": "standard errors over subjects",
        "none": "no bands",
    }
)
"""What the bands around curves are."""
DEPTH_TITLE = "Relative depth (layer / last layer)"
_BAND = 0.12


def model_curves(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    spread: str = "interval",
    relative_depth: bool = True,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one panel per region with a curve per model.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.summaries.curve_table` gives.
    regions : sequence of str
        One panel each.
    spread : {"interval", "se", "none"}, default "interval"
        What is shaded: 95 % intervals, mean +- standard error over subjects, or nothing.
    relative_depth : bool, default True
        Use layer / last layer as the horizontal axis.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.

    Returns
    -------
    plotly.graph_objects.Figure
        A model with one layer is a horizontal line. A dotted grey line marks the noise ceiling
        that the first model has, where the score is r.
    """
    inks = colours or model_colours(list(table["model"]))
    figure = panels([region_title(one) for one in regions])
    for number, region in enumerate(regions):
        place = place_of(number, len(regions))
        rows = table[table["region"] == region]
        for name, own in rows.groupby("model", sort=False):
            _model_line(
                figure,
                own.sort_values("layer"),
                inks[str(name)],
                (spread, relative_depth, number == 0),
                place,
            )
        top = rows["ceiling"].iloc[0] if len(rows) else np.nan
        if table["measure"].iloc[0] == "r" and np.isfinite(top):
            figure.add_hline(
                y=float(top), line={"color": GREY, "dash": "dot", "width": 1.5}, **place
            )
    figure.update_xaxes(title=DEPTH_TITLE if relative_depth else "Layer")
    figure.update_yaxes(title=score_title(table), col=1)
    return finished(figure, table)


def _model_line(
    figure: go.Figure,
    rows: pd.DataFrame,
    colour: str,
    shown: tuple[str, bool, bool],
    place: Mapping[str, int],
) -> None:
    spread, relative, in_legend = shown
    x = rows["depth" if relative else "layer"].to_numpy(dtype=float)
    y = rows["alignment"].to_numpy(dtype=float)
    low, high = ends_of(rows, spread)
    if len(rows) == 1:  # a model without depth holds for every layer
        x = np.array([0.0, 1.0 if relative else max(1.0, x[0])])
        y, low, high = (np.repeat(one, 2) for one in (y, low, high))
    name, role = str(rows["model"].iloc[0]), str(rows["role"].iloc[0])
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        shade = band(x[known], (low[known], high[known]), colour, _BAND)
        figure.add_trace(shade.update(legendgroup=name), **place)
    layers = np.resize(rows["layer"].to_numpy(dtype=float), len(x))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            name=name,
            legendgroup=name,
            showlegend=in_legend,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dash_of(role)},
            marker={"size": 5},
            customdata=np.stack([layers, low, high], axis=1),
            hovertemplate="<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:.3f} "
            "[%{customdata[1]:.3f}, %{customdata[2]:.3f}]<extra></extra>",
        ),
        **place,
    )


def probe_lines(
    table: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    metrics: Mapping[str, str],
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one panel per probing task with a line per group of models, shaded by standard errors.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.means.probe_group_table` gives.
    titles : mapping of str to str
        Of the tasks' panels, which have scales of their own.
    metrics : mapping of str to str
        Of the vertical axes, by task.
    colours : mapping of str to str, optional
        Of the groups; by their order in the table if none.

    Returns
    -------
    plotly.graph_objects.Figure
        A model with one layer is a horizontal line. Dotted grey: chance of a group.
    """
    inks = dict(colours or {}) or model_colours(list(table["model"]))
    figure = panels([titles[one] for one in titles], share_y=False)
    seen: set[str] = set()
    for number, task in enumerate(titles):
        place = place_of(number, len(titles))
        rows = table[table["task"] == task].assign(alignment=lambda own: own["score"])
        for name, own in rows.groupby("model", sort=False):
            shown = ("se", True, str(name) not in seen)
            _model_line(figure, own.sort_values("layer"), inks[str(name)], shown, place)
            seen.add(str(name))
        deepest = rows[rows["model"] == rows["model"].iloc[int(rows["layer"].argmax())]]
        figure.add_trace(
            go.Scatter(
                x=deepest["depth"],
                y=deepest["chance"],
                mode="lines",
                line={"color": GREY, "dash": "dot", "width": 1.5},
                name="chance",
                legendgroup="chance",
                showlegend=number == 0,
                hovertemplate="chance: %{y:.3f}<extra></extra>",
            ),
            **place,
        )
        figure.update_yaxes(title=metrics[task], **place)
    figure.update_xaxes(title=DEPTH_TITLE)
    return finished(figure, table)


def ends_of(rows: pd.DataFrame, spread: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of what is shaded around a line: its interval, standard error or nothing."""
    if spread == "interval":
        return rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
    middle = rows["alignment"].to_numpy(dtype=float)
    reach = rows["se"].to_numpy(dtype=float) if spread == "se" else np.full(len(rows), np.nan)
    return middle - reach, middle + reach


# ---- lines of representations ---------------------------------------------------------------

_MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "two_nn": "Intrinsic dimension (two nearest neighbours)",
        "participation": "Participation ratio",
        "drift": "1 - debiased CKA",
        "distance": "Length of the change / length before",
    }
)


def dimension_curves(table: pd.DataFrame, *, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Draw of how many dimensions each layer is, by neighbours and by variance, a line per model.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.representations.dimension_table` gives.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.
    """
    return _by_depth(table.assign(name=table["model"]), ("two_nn", "participation"), colours)


def drift_curves(table: pd.DataFrame, *, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Draw how far each layer of a tuned model is from its base, a line per model.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.representations.drift_table` gives.
    colours : mapping of str to str, optional
        Of the tuned models; by their order in the table if none.
    """
    named = table.assign(name=table["model"] + " from " + table["base"])
    return _by_depth(named, ("drift", "distance"), colours)


def _by_depth(
    table: pd.DataFrame, measures: Sequence[str], colours: Mapping[str, str] | None
) -> go.Figure:
    inks = colours or model_colours(list(table["model"]))
    figure = panels(["" for _ in measures], columns=len(measures), share_y=False)
    for number, measure in enumerate(measures):
        place = place_of(number, len(measures), len(measures))
        for name, rows in table.groupby("name", sort=False):
            own = rows.sort_values("layer")
            ink = inks[str(own["model"].iloc[0])]
            figure.add_trace(
                go.Scatter(
                    x=own["depth"],
                    y=own[measure],
                    name=str(name),
                    legendgroup=str(name),
                    showlegend=number == 0,
                    mode="lines+markers",
                    line={"color": ink, "width": 2},
                    marker={"size": 6},
                    customdata=own[["layer"]].to_numpy(dtype=float),
                    hovertemplate="<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:.3f}"
                    "<extra></extra>",
                ),
                **place,
            )
        figure.update_yaxes(title=_MEASURES[measure], rangemode="tozero", **place)
    figure.update_xaxes(title=DEPTH_TITLE)
    return finished(figure, table)
