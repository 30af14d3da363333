"""Layer curves: how a score changes with the depth of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from braindash.viewer.colours import GREY, region_colour, region_title

# Okabe and Ito's palette, which colour-blind readers can tell apart.
DEFAULT_REGIONS = ("primary_auditory", "superior_temporal", "late_language", "early_visual")
# Of sets whose regions are single labels: from sound to meaning, and a control.
DEFAULT_LABELS = (
    *("auditory_core", "auditory_belt", "auditory_association", "dorsal_sts"),
    *("A1", "A4", "A5", "STSdp", "TPOJ1", "PGi", "45", "V1", "language"),
    *("G_temp_sup-G_T_transv", "G_temp_sup-Lateral", "S_temporal_sup", "G_pariet_inf-Angular"),
    *("transversetemporal", "superiortemporal", "middletemporal", "parsopercularis"),
)
_MOST_AT_FIRST = 9
SCORE_TITLES: Mapping[str, str] = {"r": "Pearson r", "r_over_ceiling": "r / ceiling"}
_BAND_OPACITY = 0.16
_OTHER_OPACITY = 0.1
_SMALL = 270  # height in pixels
_FAR_LETTERS = 20  # pixels: read from three metres
# Below the axis, whatever its height: names stand on no point, however many lines they take.
LEGEND: Mapping[str, Any] = {
    "orientation": "h",
    "yref": "container",
    "y": 0,
    "yanchor": "bottom",
    "x": 0,
}
# One left margin for all: figures under each other then share their horizontal axis.
_LEFT_MARGIN = 70
# Room below the axes, in pixels: for their numbers and title, and for a legend of one row. Plotly
# finds what it needs by itself, and where that is more than it has it draws the figure once more.
AXIS_ROOM, LEGEND_ROOM = 62.0, 29.25


def key_regions(regions: Sequence[str]) -> list[str]:
    """Choose the regions that a page shows first: the usual ones, else all there are."""
    for usual in (DEFAULT_REGIONS, DEFAULT_LABELS):
        found = [name for name in usual if name in regions]
        if found:
            return found
    return list(regions) if len(regions) <= _MOST_AT_FIRST else list(regions)[1:_MOST_AT_FIRST]


@dataclass(frozen=True)
class DepthAxis:
    """The horizontal axis of layer curves.

    Parameters
    ----------
    last : int
        Last layer of the deepest model in the figure.
    relative : bool
        Layer / last layer of its own model instead of the layer.
    """

    last: int
    relative: bool = False

    @property
    def end(self) -> float:
        """Where the axis ends."""
        return 1.0 if self.relative else float(self.last)

    def places(self, layers: pd.Series, last: int) -> np.ndarray:
        """Return the places of a model's layers, the last one being ``last``."""
        places = np.asarray(layers, dtype=float)
        return places / max(1, last) if self.relative else places


def layer_curves(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    score: str,
    relative_depth: bool = False,
    show_ceiling: bool = True,
    show_intervals: bool = True,
    other: pd.DataFrame | None = None,
) -> go.Figure:
    """Draw one curve per region, with its interval as a shaded band.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`Group.regions` gives; the columns ``low`` and ``high``
        may be missing.
    regions : sequence of str
        Regions to draw, in this order.
    score : {"r", "r_over_ceiling"}
        Column to draw.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    show_ceiling : bool, default True
        Mark each region's mean noise ceiling: a dotted line for r, 1 for r / ceiling.
    show_intervals : bool, default True
        Shade from ``low`` to ``high``.
    other : pandas.DataFrame, optional
        The same of a second model, drawn dashed, with paler bands. A model with one layer is a
        horizontal line.

    Returns
    -------
    plotly.graph_objects.Figure
        Custom data of every point: layer, number of targets, their share of the region, low,
        high, and 0 or, for the second model, 1.
    """
    figure = go.Figure()
    axis = DepthAxis(_last_layer(table, other), relative_depth)
    for region in regions:
        colour = region_colour(region)
        rows = _rows_of(table, region)
        if show_intervals:
            _add_band(figure, rows, axis, colour)
            if other is not None:
                _add_band(figure, _rows_of(other, region), axis, colour, opacity=_OTHER_OPACITY)
        _add_curve(figure, rows, axis, colour, score)
        if other is not None:
            _add_curve(figure, _rows_of(other, region), axis, colour, score, side=1)
        ceiling = rows["ceiling"].iloc[0] if len(rows) else np.nan
        if show_ceiling and score == "r" and np.isfinite(ceiling):
            figure.add_hline(y=float(ceiling), line={"color": colour, "dash": "dot", "width": 1.5})
    if show_ceiling and score == "r_over_ceiling":
        figure.add_hline(y=1.0, line={"color": GREY, "dash": "dot", "width": 1.5})
    simulated = bool(table["simulated"].any())
    if other is not None:
        _explain_lines(figure, table, other)
        simulated = simulated or bool(other["simulated"].any())
    return layer_axes(figure, axis, f"{long_title(score)} on the test story", simulated)


def difference_curves(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    score: str,
    relative_depth: bool = False,
    show_intervals: bool = True,
) -> go.Figure:
    """Draw model A minus model B, one curve per region around the zero line.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.encoding.several.comparison.Difference.regions` gives.
    regions : sequence of str
        Regions to draw, in this order.
    score : {"r", "r_over_ceiling"}
        What was subtracted.
    relative_depth, show_intervals
        As for :func:`layer_curves`.

    Returns
    -------
    plotly.graph_objects.Figure
        The p values, where there are any, are shown on hover.
    """
    figure = go.Figure()
    axis = DepthAxis(_last_layer(table), relative_depth)
    figure.add_hline(y=0.0, line={"color": GREY, "width": 1.5})
    tested = bool(table["p"].notna().any())
    for region in regions:
        rows = _rows_of(table, region)
        colour = region_colour(region)
        if show_intervals:
            _add_band(figure, rows, axis, colour)
        template = "<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:+.3f}"
        template += _INTERVAL if _has_interval(rows) else ""
        template += _TESTED if tested else ""
        columns = ["layer", "low", "high", "p", "p_holm"]
        figure.add_trace(
            _line(rows, axis, "difference", colour, name=region_title(region)).update(
                customdata=rows[columns].to_numpy(dtype=float),
                hovertemplate=template.replace("LOW", "1").replace("HIGH", "2") + "<extra></extra>",
            )
        )
    title = f"A minus B, {SCORE_TITLES[score]}"
    figure = layer_axes(figure, axis, title, bool(table["simulated"].any()))
    return figure.update_layout(height=_SMALL)


def share_curves(
    table: pd.DataFrame, regions: Sequence[str], *, relative_depth: bool = False
) -> go.Figure:
    """Draw the share of each region's score that low-level features explain.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``layer``, ``region``, ``share`` (of 1) and ``simulated``; ``low`` and ``high`` where
        there are intervals.
    regions : sequence of str
        Regions to draw, in this order.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    """
    figure = go.Figure()
    axis = DepthAxis(_last_layer(table), relative_depth)
    for region in regions:
        rows = _rows_of(table, region)
        colour = region_colour(region)
        _add_band(figure, rows, axis, colour)
        figure.add_trace(
            _line(rows, axis, "share", colour, name=region_title(region)).update(
                customdata=rows[["layer"]].to_numpy(dtype=float),
                hovertemplate="<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:.0%}"
                "<extra></extra>",
            )
        )
    title = "Explained by low level"
    figure = layer_axes(figure, axis, title, bool(table["simulated"].any()))
    return figure.update_layout(height=_SMALL).update_yaxes(tickformat=".0%", rangemode="tozero")


def region_panels(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    score: str,
    other: pd.DataFrame | None = None,
    height: int = 600,
) -> go.Figure:
    """Draw one small panel per region under each other, on one scale.

    Parameters
    ----------
    table : pandas.DataFrame
        As for :func:`layer_curves`: model A, solid.
    regions : sequence of str
        One panel each, in this order.
    score : {"r", "r_over_ceiling"}
        Column to draw.
    other : pandas.DataFrame, optional
        The same of model B, dashed.
    height : int, default 600
        Of all panels together, in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Names stand at the lines' ends, the noise ceiling is a dash at the right edge.
    """
    axis = DepthAxis(_last_layer(table, other))
    figure = make_subplots(
        rows=len(regions), cols=1, shared_xaxes=True, shared_yaxes="all", vertical_spacing=0.045
    )
    models = [table] if other is None else [table, other]
    for row, region in enumerate(regions, start=1):
        colour = region_colour(region)
        for side, one in enumerate(models):
            rows = _rows_of(one, region)
            _add_band(figure, rows, axis, colour, (_BAND_OPACITY, _OTHER_OPACITY)[side], row=row)
            _add_curve(figure, rows, axis, colour, score, side=side, row=row)
        if len(models) > 1:
            _name_ends(figure, [_rows_of(one, region) for one in models], axis, score, row)
        _name_panel(figure, region_title(region), colour, row)
        ceiling = _rows_of(table, region)["ceiling"]
        if score == "r" and len(ceiling) and np.isfinite(ceiling.iloc[0]):
            _mark_ceiling(figure, float(ceiling.iloc[0]), axis, row)
    simulated = any(bool(one["simulated"].any()) for one in models)
    figure = layer_axes(figure, axis, "", simulated)
    reach = max(axis.end, 1.0)
    figure.update_xaxes(range=[-0.04 * reach, 1.16 * reach], title="", tickmode="auto")
    figure.update_xaxes(title="Layer", row=len(regions), col=1)
    # Words at lines' ends would stretch a range that is found by itself.
    figure.update_yaxes(
        title=SCORE_TITLES[score], nticks=4, range=_panel_range(models, regions, score)
    )
    return figure.update_layout(
        height=height, showlegend=False, margin={"l": 56, "r": 4, "t": 26, "b": 56}
    )


def _panel_range(models: Sequence[pd.DataFrame], regions: Sequence[str], score: str) -> list[float]:
    """Return ends of the vertical axis that hold lines, bands, ceilings and 0."""
    columns = [score, "low", "high", *["ceiling"] * (score == "r")]
    numbers = [0.0]
    for one in models:
        shown = one[one["region"].isin(regions)]
        values = shown[[name for name in columns if name in shown]].to_numpy(dtype=float)
        numbers += [float(value) for value in values[np.isfinite(values)]]
    low, high = min(numbers), max(numbers)
    margin = 0.06 * max(high - low, 0.05)
    return [low - margin, high + 3 * margin]  # a region's name stands above its line


def _name_ends(
    figure: go.Figure, models: Sequence[pd.DataFrame], axis: DepthAxis, score: str, row: int
) -> None:
    """Write A and B at their lines' ends, the higher one above the other."""
    known = [rows[rows[score].notna()] for rows in models]
    if any(rows.empty for rows in known):
        return
    ends = [float(rows[score].iloc[-1]) for rows in known]
    for letter, rows, end in zip("AB", known, ends, strict=True):
        is_higher = end == max(ends) and (letter == "A" or ends[0] != ends[1])
        figure.add_annotation(
            x=axis.end if len(rows) == 1 else float(rows["layer"].iloc[-1]),
            y=end,
            text=letter,
            showarrow=False,
            xanchor="left",
            xshift=7,
            yshift=6 if is_higher else -6,
            font={"size": 13},
            row=row,
            col=1,
        )


def _name_panel(figure: go.Figure, title: str, colour: str, row: int) -> None:
    figure.add_annotation(
        x=0.01,
        y=1.0,
        xref=f"x{row if row > 1 else ''} domain",
        yref=f"y{row if row > 1 else ''} domain",
        text=f"<b>{title}</b>",
        showarrow=False,
        xanchor="left",
        yanchor="top",
        font={"size": 13, "color": colour},
    )


def _mark_ceiling(figure: go.Figure, ceiling: float, axis: DepthAxis, row: int) -> None:
    """Draw the noise ceiling as a dash at the right edge, beside the names of the lines."""
    reach = max(axis.end, 1.0)
    figure.add_trace(
        go.Scatter(
            x=[1.09 * reach, 1.16 * reach],
            y=[ceiling, ceiling],
            mode="lines",
            line={"color": GREY, "width": 3},
            hovertemplate=f"noise ceiling {ceiling:.2f}<extra></extra>",
        ),
        row=row,
        col=1,
    )


# ---- traces ---------------------------------------------------------------------------------

# LOW and HIGH stand for places in the custom data.
_INTERVAL = " [%{customdata[LOW]:.3f}, %{customdata[HIGH]:.3f}]"
_TESTED = "<br>p = %{customdata[3]:.3g}, adjusted %{customdata[4]:.3g}"


def _rows_of(table: pd.DataFrame, region: str) -> pd.DataFrame:
    return table[table["region"] == region].sort_values("layer")


def _last_layer(*tables: pd.DataFrame | None) -> int:
    return max(int(table["layer"].max()) for table in tables if table is not None)


def _has_interval(rows: pd.DataFrame) -> bool:
    return {"low", "high"} <= set(rows) and bool(rows[["low", "high"]].notna().all(axis=1).any())


def _line(rows: pd.DataFrame, axis: DepthAxis, column: str, colour: str, name: str) -> go.Scatter:
    last = int(rows["layer"].max()) if len(rows) else 0
    return go.Scatter(
        x=axis.places(rows["layer"], last),
        y=rows[column],
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"size": 8},
    )


def _add_curve(
    figure: go.Figure,
    rows: pd.DataFrame,
    axis: DepthAxis,
    colour: str,
    score: str,
    *,
    side: int = 0,
    row: int | None = None,
) -> None:
    """Draw one region of one model; ``side`` is 1 for the second one, ``row`` a panel."""
    count = rows["n_valid"] if score == "r" else rows["n_above_threshold"]
    low, high = (
        rows[end] if end in rows else pd.Series(np.nan, index=rows.index) for end in ("low", "high")
    )
    shares = count / rows["n_targets"].where(rows["n_targets"] > 0)
    sides = pd.Series(side, index=rows.index)
    trace = _line(rows, axis, score, colour, region_title(str(rows["region"].iloc[0])))
    template = "<b>%{fullData.name}</b> · MODEL<br>layer %{customdata[0]}: %{y:.3f}"
    template += _INTERVAL if _has_interval(rows) else ""
    template += "<br>%{customdata[1]} targets (%{customdata[2]:.0%} of the region)<extra></extra>"
    trace.update(
        customdata=np.stack([rows["layer"], count, shares, low, high, sides], axis=1),
        hovertemplate=template.replace("LOW", "3")
        .replace("HIGH", "4")
        .replace("MODEL", str(rows["model"].iloc[0])),
    )
    if side:
        trace.update(line={"dash": "dash", "width": 2}, marker={"size": 6}, showlegend=False)
        if len(rows) == 1 and axis.last > 0:  # a model without depth holds for every layer
            both = np.repeat(trace.customdata, 2, axis=0)
            trace.update(x=[0, axis.end], y=list(rows[score]) * 2, customdata=both, mode="lines")
    _add(figure, trace, row)


def _add(figure: go.Figure, trace: go.Scatter, row: int | None) -> None:
    """Add a trace, to one of several panels where there are any."""
    if row is None:
        figure.add_trace(trace)
    else:
        figure.add_trace(trace, row=row, col=1)


def _add_band(
    figure: go.Figure,
    rows: pd.DataFrame,
    axis: DepthAxis,
    colour: str,
    opacity: float = _BAND_OPACITY,
    *,
    row: int | None = None,
) -> None:
    if not _has_interval(rows):
        return
    last = int(rows["layer"].max())
    known = rows[rows["low"].notna() & rows["high"].notna()]
    ends = (known["low"].to_numpy(), known["high"].to_numpy())
    drawn = band(axis.places(known["layer"], last), ends, colour, opacity)
    _add(figure, drawn.update(legendgroup=region_title(str(known["region"].iloc[0]))), row)


def band(
    x: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    colour: str,
    opacity: float = _BAND_OPACITY,
) -> go.Scatter:
    """Return the trace that shades a line's interval.

    Parameters
    ----------
    x : array of shape (n_points,)
        In order.
    ends : two arrays of shape (n_points,)
        The lower and the upper one, all known.
    colour : str
        ``"#rrggbb"``.
    opacity : float
        Of the shade.
    """
    low, high = ends
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=_faded(colour, opacity),
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _faded(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _explain_lines(figure: go.Figure, table: pd.DataFrame, other: pd.DataFrame) -> None:
    """Say in the legend which model is solid and which is dashed."""
    for rows, letter, dash in ((table, "A", "solid"), (other, "B", "dash")):
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="lines",
                name=f"{letter}: {rows['model'].iloc[0]}",
                line={"color": GREY, "dash": dash, "width": 2},
            )
        )


def long_title(score: str) -> str:
    """Name a column of scores on an axis."""
    return "Pearson r" if score == "r" else "r / noise ceiling"


def layer_axes(figure: go.Figure, axis: DepthAxis, title: str, simulated: bool) -> go.Figure:
    """Return a figure of layer curves its size, its axes and, where it has to be, its stamp."""
    named = [one for one in figure.data if one.type == "scatter" and one.showlegend is not False]
    below = AXIS_ROOM + LEGEND_ROOM * (len(named) > 1)
    figure.update_layout(
        height=460,
        margin={"l": _LEFT_MARGIN, "r": 10, "t": 28, "b": below},
        legend=LEGEND,
        hovermode="closest",
    )
    figure.update_yaxes(title=title, zeroline=True, automargin=False)
    if axis.relative:
        figure.update_xaxes(title="Relative depth (layer / last layer)", range=[-0.03, 1.03])
    else:
        figure.update_xaxes(
            title="Layer (0: input of the first transformer block)",
            tickmode="linear" if axis.last <= 24 else "auto",
            range=[-0.3, axis.last + 0.3],
        )
    return stamp_simulated(figure) if simulated else figure


def stamp_simulated(figure: go.Figure) -> go.Figure:
    """Write SIMULATED above the upper right corner of the axes, where nothing else stands.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Changed in place; its upper margin has to hold a line.
    """
    return figure.add_annotation(
        text="SIMULATED",
        xref="paper",
        yref="paper",
        x=1,
        y=1,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 14, "color": "rgb(118,118,118)"},
    )


def enlarged(figure: go.Figure) -> go.Figure:
    """Return a figure for an audience, with letters that are read from three metres.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Not changed: it is kept for all visitors. Its height stays: it stands beside brains.
    """
    large = go.Figure(figure)
    large.update_layout(font_size=_FAR_LETTERS, legend_font_size=_FAR_LETTERS)
    large.update_xaxes(automargin=True, tickfont_size=_FAR_LETTERS, title_font_size=_FAR_LETTERS)
    large.update_yaxes(automargin=True, tickfont_size=_FAR_LETTERS)
    if (figure.layout.height or np.inf) > _SMALL:  # else the upright title has no room for more
        large.update_yaxes(title_font_size=_FAR_LETTERS)
    return large.for_each_annotation(lambda note: note.update(font_size=_FAR_LETTERS))
