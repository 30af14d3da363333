"""Layer curves: how a score changes with the depth of the model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
REGION_COLOURS: Mapping[str, str] = {
    "all targets": "#7F7F7F",
    "primary_auditory": "#0072B2",
    "early_auditory": "#56B4E9",
    "superior_temporal": "#009E73",
    "late_language": "#D55E00",
    "angular_gyrus": "#CC79A7",
    "lateral_temporal": "#E69F00",
    "ifg_mfg": "#882255",
    "early_visual": "#999933",
}
DEFAULT_REGIONS = ("primary_auditory", "superior_temporal", "late_language", "early_visual")
_TITLES = {"ifg_mfg": "IFG / MFG", "all targets": "All targets"}


def region_title(region: str) -> str:
    """Write a region's name for readers."""
    return _TITLES.get(region, region.replace("_", " ").capitalize())


def layer_curves(
    table: pd.DataFrame,
    regions: Sequence[str],
    *,
    score: str,
    relative_depth: bool = False,
    show_ceiling: bool = True,
) -> go.Figure:
    """Draw one curve per region.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.results.EncodingResult.regions` gives.
    regions : sequence of str
        Regions to draw, in this order.
    score : {"r", "r_over_ceiling"}
        Column to draw.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    show_ceiling : bool, default True
        Mark each region's mean noise ceiling: a dotted line for r, 1 for r / ceiling.

    Returns
    -------
    plotly.graph_objects.Figure
        With the layer as custom data of every point.
    """
    figure = go.Figure()
    last = int(table["layer"].max())
    for index, region in enumerate(regions):
        rows = table[table["region"] == region].sort_values("layer")
        colour = REGION_COLOURS.get(region, _PALETTE[index % len(_PALETTE)])
        x = rows["layer"] / max(1, last) if relative_depth else rows["layer"]
        figure.add_trace(
            go.Scatter(
                x=x,
                y=rows[score],
                name=region_title(region),
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"size": 8},
                customdata=np.stack([rows["layer"], rows["n_valid"], rows["coverage"]], axis=1),
                hovertemplate=(
                    "<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:.3f}<br>"
                    "%{customdata[1]} targets (%{customdata[2]:.0%} of the region)<extra></extra>"
                ),
            )
        )
        ceiling = rows["ceiling"].iloc[0] if len(rows) else np.nan
        if show_ceiling and score == "r" and np.isfinite(ceiling):
            figure.add_hline(y=float(ceiling), line={"color": colour, "dash": "dot", "width": 1.5})
    if show_ceiling and score == "r_over_ceiling":
        figure.add_hline(y=1.0, line={"color": "#7F7F7F", "dash": "dot", "width": 1.5})
    return _layer_axes(
        figure, last, score, relative_depth, simulated=bool(table["simulated"].any())
    )


def target_curve(
    values: np.ndarray, *, title: str, ceiling: float, score: str, simulated: bool
) -> go.Figure:
    """Draw the layer curve of one target.

    Parameters
    ----------
    values : ndarray of shape (n_layers,)
        The target's score per layer; NaN where there is none.
    title : str
        Names the target.
    ceiling : float
        The target's noise ceiling; NaN when it has none.
    score : {"r", "r_over_ceiling"}
        What ``values`` are.
    simulated : bool
        Whether to stamp the figure.
    """
    layers = np.arange(len(values))
    figure = go.Figure(
        go.Scatter(
            x=layers,
            y=values,
            mode="lines+markers",
            line={"color": _PALETTE[0], "width": 2.5},
            marker={"size": 8},
            hovertemplate="layer %{x}: %{y:.3f}<extra></extra>",
        )
    )
    if score == "r" and np.isfinite(ceiling):
        figure.add_hline(
            y=ceiling,
            line={"color": "#7F7F7F", "dash": "dot"},
            annotation_text=f"ceiling {ceiling:.2f}",
        )
    figure = _layer_axes(figure, len(values) - 1, score, False, simulated=simulated)
    return figure.update_layout(height=300, showlegend=False, title={"text": title, "x": 0})


def _layer_axes(
    figure: go.Figure, last: int, score: str, relative_depth: bool, *, simulated: bool
) -> go.Figure:
    name = "Pearson r" if score == "r" else "r / noise ceiling"
    figure.update_layout(
        height=460,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    figure.update_yaxes(title=f"{name} on the test story", zeroline=True)
    if relative_depth:
        figure.update_xaxes(title="Relative depth (layer / last layer)", range=[-0.03, 1.03])
    else:
        figure.update_xaxes(
            title="Layer (0: input of the first transformer block)",
            tickmode="linear" if last <= 24 else "auto",
            range=[-0.3, last + 0.3],
        )
    if simulated:
        figure.add_annotation(
            text="SIMULATED",
            xref="paper",
            yref="paper",
            x=1,
            y=1.02,
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font={"size": 16, "color": "rgba(128,128,128,0.8)"},
        )
    return figure
