"""One target: its layer curve with every model, and the values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.encoding.result import EncodingResult
from braindash.io.regions.masks import WHOLE
from braindash.io.surfaces import SPACE_NAMES
from braindash.viewer.colours import GREY, PALETTE, region_title
from braindash.views.curves import DepthAxis, layer_axes, long_title

_DASHES = ("solid", "dash", "dot", "dashdot")


def target_title(target: int, masks: Mapping[str, np.ndarray], space: str = "fsaverage5") -> str:
    """Name a target for readers, a vertex of an fsaverage space as such, with its regions.

    Parameters
    ----------
    target : int
        Its place among the targets: the left hemisphere's vertices come first.
    masks : mapping of str to bool array of shape (n_targets,)
        The regions of the space, with the set of all targets.
    space : str, default "fsaverage5"
        Space of the targets.
    """
    half = len(masks[WHOLE]) // 2
    side, vertex = ("left", target) if target < half else ("right", target - half)
    inside = [region_title(name) for name, mask in masks.items() if mask[target] and name != WHOLE]
    named = f"{side} vertex {vertex}" if space in SPACE_NAMES else f"target {target}"
    return f"{named} · {', '.join(inside) or 'no named region'}"


def target_note(result: EncodingResult, target: int, level: float) -> str:
    """Say what a target's filled markers are, and what the best of its layers is worth.

    Parameters
    ----------
    result : EncodingResult
        With p values.
    target : int
        Its place among the targets.
    level : float
        Largest q that is significant.
    """
    markers = f"filled markers: q ≤ {level:g} of each layer by itself, {result.significance_line()}"
    if result.n_layers < 2:
        return markers
    if not result.has_best:
        return f"{markers}; {result.best_line()}"
    p, q = float(result.p_best[target]), float(result.q_best[target])
    if not np.isfinite(p):
        return markers
    return f"{markers}; {result.best_line()}, for who picks it by eye: p = {p:.2g}, q = {q:.2g}"


@dataclass(frozen=True)
class TargetCurve:
    """Layer curve of one target.

    Parameters
    ----------
    values : float array of shape (n_layers,)
        Its score per layer; NaN where there is none.
    name : str
        Names the model.
    significant : bool array of shape (n_layers,), optional
        Where the score is significant; None when that was not tested.
    """

    values: np.ndarray
    name: str = ""
    significant: np.ndarray | None = None


def target_curves(
    curves: Sequence[TargetCurve],
    *,
    title: str,
    ceiling: float,
    score: str,
    simulated: bool,
) -> go.Figure:
    """Draw the layer curve of one target; markers are filled where the score is significant.

    Parameters
    ----------
    curves : sequence of TargetCurve
        The target with one model, or with several; the first one's line is solid.
    title : str
        Names the target.
    ceiling : float
        The target's noise ceiling; NaN when it has none.
    score : {"r", "r_over_ceiling"}
        What the values are.
    simulated : bool
        Whether to stamp the figure.
    """
    axis = DepthAxis(max(len(curve.values) for curve in curves) - 1)
    figure = go.Figure()
    for curve, dash, colour in zip(curves, _DASHES, PALETTE, strict=False):
        symbols: str | list[str] = "circle"
        words = [""] * len(curve.values)
        if curve.significant is not None:
            symbols = ["circle" if yes else "circle-open" for yes in curve.significant]
            words = ["significant" if yes else "not significant" for yes in curve.significant]
        figure.add_trace(
            go.Scatter(
                x=np.arange(len(curve.values)),
                y=curve.values,
                name=curve.name,
                mode="lines+markers",
                line={"color": colour, "width": 2.5, "dash": dash},
                marker={"size": 9, "symbol": symbols},
                customdata=words,
                hovertemplate="layer %{x}: %{y:.3f}<br>%{customdata}"
                "<extra>%{fullData.name}</extra>",
            )
        )
    if score == "r" and np.isfinite(ceiling):
        figure.add_hline(
            y=ceiling,
            line={"color": GREY, "dash": "dot"},
            annotation_text=f"ceiling {ceiling:.2f}",
        )
    figure = layer_axes(figure, axis, f"{long_title(score)} on the test story", simulated)
    return figure.update_layout(
        height=320,
        showlegend=len(curves) > 1,
        title={"text": title, "x": 0},
        margin={"t": 70},
    )


def target_table(curves: Sequence[TargetCurve]) -> pd.DataFrame:
    """List one target's score in every layer, one column per model.

    Parameters
    ----------
    curves : sequence of TargetCurve
        With one model each, named "A: ..."; of two of the same depth the difference is added.

    Returns
    -------
    pandas.DataFrame
        Index "layer 0", ...; NaN where a model has no such layer.
    """
    columns = {curve.name.split(":")[0]: pd.Series(curve.values) for curve in curves}
    if len(curves) > 1 and len(curves[0].values) == len(curves[1].values):
        columns["A minus B"] = pd.Series(curves[0].values - curves[1].values)
    table = pd.DataFrame(columns)
    table.index = pd.Index([f"layer {layer}" for layer in table.index], name="layer")
    return table
