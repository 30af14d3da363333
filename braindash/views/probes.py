"""Figures and tables of probing results: what each layer tells, from sound to meaning."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.probing.result import ProbingResult
from braindash.probing.tasks import CONTROL_PREFIXES, METRIC_TITLES, PROBE_TASKS, STAGES
from braindash.viewer.colours import GREY, PALETTE
from braindash.views.curves import DepthAxis, layer_axes
from braindash.views.tables import with_interval

SCALES: Mapping[str, str] = {
    "above": "Share above chance",
    "z": "z over layers",
    "score": "Score",
}
SCALE_TEXTS: Mapping[str, str] = {
    "above": "colour: (score - chance) / (1 - chance); 0 is chance, 1 a perfect probe",
    "z": "colour: score of a layer minus the mean over layers, in standard deviations of that "
    "task's layers: where a task peaks, not how high",
    "score": "colour: the score itself, each task in its own metric",
}
_BAND = "rgba(0,114,178,0.16)"
_ROW_PIXELS, _FRAME_PIXELS = 30, 130
# rgb() and no names: placeholders of a theme would replace some hexadecimal colours.
_SEQUENTIAL = [
    [0.0, "rgb(247,251,255)"],
    [0.35, "rgb(158,202,225)"],
    [0.7, "rgb(49,130,189)"],
    [1.0, "rgb(8,48,107)"],
]
_DIVERGING = [
    [0.0, "rgb(33,102,172)"],
    [0.5, "rgb(247,247,247)"],
    [1.0, "rgb(178,24,43)"],
]


def task_title(task: str) -> str:
    """Write a task's name for readers."""
    return PROBE_TASKS[task].title


def heat_map(
    table: pd.DataFrame, tasks: Sequence[str], *, scale: str, relative_depth: bool = False
) -> go.Figure:
    """Draw task by layer, acoustic tasks at the bottom.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.probing.result.ProbingResult.table` gives.
    tasks : sequence of str
        Rows, from the bottom up.
    scale : {"above", "z", "score"}
        What the colours mean, see :data:`SCALE_TEXTS`.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.

    Returns
    -------
    plotly.graph_objects.Figure
        Every cell tells its score, interval and chance on hover; a dot marks each task's best
        layer.
    """
    wide = {name: _wide(table, tasks, name) for name in ("score", "low", "high", "above_chance")}
    chance = np.maximum(
        _wide(table, tasks, "chance_majority"),
        np.nan_to_num(_wide(table, tasks, "chance_shuffled"), nan=-np.inf),
    )
    values = _scaled(wide, scale)
    n_layers = values.shape[1]
    axis = DepthAxis(n_layers - 1, relative_depth)
    x = axis.places(pd.Series(np.arange(n_layers)), n_layers - 1)
    metrics = [METRIC_TITLES[_first(table, task, "metric")] for task in tasks]
    names = np.repeat(np.array(metrics, dtype=object)[:, None], n_layers, axis=1)
    layers = np.repeat(np.arange(n_layers, dtype=object)[None], len(tasks), axis=0)
    extent = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=x,
            y=[task_title(task) for task in tasks],
            customdata=np.dstack(
                [wide["score"], _ends(wide["low"], wide["high"], ".3f"), chance, names, layers]
            ),
            hovertemplate="<b>%{y}</b>, layer %{customdata[4]}<br>%{customdata[3]} "
            "%{customdata[0]:.3f}%{customdata[1]}<br>chance %{customdata[2]:.3f}<extra></extra>",
            colorscale=_DIVERGING if scale == "z" else _SEQUENTIAL,
            zmin=-extent if scale == "z" else 0.0,
            zmax=extent if scale == "z" else 1.0,
            colorbar={"title": {"text": SCALES[scale], "side": "right"}, "thickness": 14},
            xgap=1,
            ygap=1,
        )
    )
    best = [
        (x[int(np.nanargmax(row))], task)
        for row, task in zip(wide["score"], tasks, strict=True)
        if np.isfinite(row).any()
    ]
    figure.add_trace(
        go.Scatter(
            x=[place for place, _ in best],
            y=[task_title(task) for _, task in best],
            mode="markers",
            marker={"color": "rgba(230,159,0,0.95)", "size": 9, "line": {"width": 1}},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure = layer_axes(figure, axis, "", bool(table["simulated"].any()))
    height = _FRAME_PIXELS + _ROW_PIXELS * len(tasks)
    return figure.update_layout(height=height, margin={"l": 150}).update_yaxes(zeroline=False)


def probe_curves(
    result: ProbingResult,
    task: str,
    *,
    controls: Sequence[ProbingResult] = (),
    relative_depth: bool = False,
    show_intervals: bool = True,
) -> go.Figure:
    """Draw one task over the layers, with chance levels and controls.

    Parameters
    ----------
    result : ProbingResult
        The model.
    task : str
        The task.
    controls : sequence of ProbingResult
        Others that were asked the same, drawn dashed: controls in grey, models in colours; those
        of one layer as a horizontal line.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    show_intervals : bool, default True
        Shade from ``low`` to ``high``.
    """
    figure = go.Figure()
    last = max(one.n_layers for one in (result, *controls)) - 1
    axis = DepthAxis(last, relative_depth)
    rows = _rows(result.table(), task)
    x = axis.places(rows["layer"], result.n_layers - 1)
    if show_intervals and rows[["low", "high"]].notna().all(axis=None):
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([rows["high"], rows["low"][::-1]]),
                fill="toself",
                fillcolor=_BAND,
                mode="lines",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    figure.add_trace(_curve(rows, x, result.model, PALETTE[0], "solid"))
    for number, control in enumerate(controls):
        other = _rows(control.table(), task)
        places = axis.places(other["layer"], control.n_layers - 1)
        dash = ("dash", "dashdot", "longdash")[number % 3]
        is_control = control.model.startswith(CONTROL_PREFIXES)
        colour = GREY if is_control else PALETTE[2 + number % (len(PALETTE) - 3)]
        trace = _curve(other, places, control.model, colour, dash)
        if control.n_layers == 1 and axis.last > 0:  # a model without depth holds for every layer
            trace.update(x=[0, axis.end], y=list(other["score"]) * 2, customdata=[[0, 0]] * 2)
            trace.update(mode="lines", hovertemplate="%{y:.3f}<extra>%{fullData.name}</extra>")
        figure.add_trace(trace)
    majority = float(rows["chance_majority"].iloc[0])
    if rows["metric"].iloc[0] != "r2":
        figure.add_trace(_level([0, axis.end], [majority] * 2, "chance: one answer for all", "dot"))
    if rows["chance_shuffled"].notna().all():
        shuffled = _level(x, list(rows["chance_shuffled"]), "chance: shuffled labels", "dot")
        figure.add_trace(shuffled.update(line={"color": PALETTE[1]}))
    title = f"{task_title(task)}: {METRIC_TITLES[result.metric(task)]}"
    return layer_axes(figure, axis, title, result.simulated)


def mean_curves(table: pd.DataFrame, task: str, *, relative_depth: bool = False) -> go.Figure:
    """Draw one task's mean over models, shaded by its standard error.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.probing.several.probing_mean` gives.
    task : str
        The task.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    """
    rows = _rows(table, task)
    last = int(rows["layer"].max())
    axis = DepthAxis(last, relative_depth)
    x = axis.places(rows["layer"], last)
    mean, se = rows["mean"].to_numpy(), rows["se"].to_numpy()
    figure = go.Figure(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([mean + se, (mean - se)[::-1]]),
            fill="toself",
            fillcolor=_BAND,
            mode="lines",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=x,
            y=mean,
            name=f"mean ± SE of {rows['n_models'].iloc[0]} models",
            mode="lines+markers",
            line={"color": PALETTE[0], "width": 2.5},
            marker={"size": 8},
            customdata=np.column_stack([rows["layer"], se]),
            hovertemplate="layer %{customdata[0]}: %{y:.3f} ± %{customdata[1]:.3f}<extra></extra>",
        )
    )
    title = f"{task_title(task)}: {METRIC_TITLES[_first(table, task, 'metric')]}"
    return layer_axes(figure, axis, title, bool(table["simulated"].any()))


def difference_map(
    table: pd.DataFrame, tasks: Sequence[str], *, relative_depth: bool = False
) -> go.Figure:
    """Draw the difference of two models, task by layer; a dot where the interval does not hold 0.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.probing.result.probing_difference` gives.
    tasks : sequence of str
        Rows, from the bottom up.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    """
    values, low, high = (_wide(table, tasks, name) for name in ("difference", "low", "high"))
    axis = DepthAxis(values.shape[1] - 1, relative_depth)
    x = axis.places(pd.Series(np.arange(values.shape[1])), axis.last)
    extent = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    titles = [task_title(task) for task in tasks]
    sure = [(x[layer], titles[row]) for row, layer in np.argwhere((low > 0) | (high < 0))]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=x,
            y=titles,
            customdata=_ends(low, high, "+.3f")[..., None],
            hovertemplate="<b>%{y}</b>: %{z:+.3f}%{customdata[0]}<extra></extra>",
            colorscale=_DIVERGING,
            zmin=-extent,
            zmax=extent,
            colorbar={"title": {"text": "A minus B", "side": "right"}, "thickness": 14},
            xgap=1,
            ygap=1,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[place for place, _ in sure],
            y=[title for _, title in sure],
            mode="markers",
            marker={"color": "rgba(0,0,0,0.75)", "size": 6},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure = layer_axes(figure, axis, "", bool(table["simulated"].any()))
    height = _FRAME_PIXELS + _ROW_PIXELS * len(tasks)
    return figure.update_layout(height=height, margin={"l": 150}).update_yaxes(zeroline=False)


def depth_curves(
    table: pd.DataFrame, tasks: Sequence[str], *, relative_depth: bool = False
) -> go.Figure:
    """Draw the share above chance of several tasks on one axis of layers.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`braindash.probing.result.ProbingResult.table` gives.
    tasks : sequence of str
        Tasks to draw.
    relative_depth : bool, default False
        Use layer / last layer as the horizontal axis.
    """
    last = int(table["layer"].max())
    axis = DepthAxis(last, relative_depth)
    figure = go.Figure()
    figure.add_hline(y=0.0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    for index, task in enumerate(tasks):
        rows = _rows(table, task)
        colour = PALETTE[index % len(PALETTE)]
        figure.add_trace(
            go.Scatter(
                x=axis.places(rows["layer"], last),
                y=rows["above_chance"],
                name=task_title(task),
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"size": 8, "symbol": index % 8},
                customdata=rows[["layer", "score"]],
                hovertemplate="<b>%{fullData.name}</b><br>layer %{customdata[0]}: %{y:.3f} above "
                "chance, score %{customdata[1]:.3f}<extra></extra>",
            )
        )
    simulated = bool(table["simulated"].any())
    return layer_axes(figure, axis, "Probing: share above chance", simulated)


def depth_table(stages: pd.DataFrame, result: ProbingResult) -> pd.DataFrame:
    """Lay out at which depth a model holds what each task needs, one row per task.

    Parameters
    ----------
    stages : pandas.DataFrame
        What :meth:`braindash.probing.result.ProbingResult.stages` gives.
    result : ProbingResult
        Its result.
    """
    rows = []
    last = result.n_layers - 1
    for task in result.tasks:
        own = stages[stages["name"] == task].set_index("quantity")
        score = result.score(task)
        best = int(np.nanargmax(score)) if np.isfinite(score).any() else -1
        rows.append(
            {
                "task": task_title(task),
                "stage": PROBE_TASKS[task].stage,
                "score-weighted depth": _cell(own, "weighted_depth", ".2f"),
                "preferred layer": _cell(own, "preferred_depth", ".0f", last),
                "late-layer drop": _cell(own, "late_layer_drop", ".3f"),
                "best score": f"{score[best]:.3f}" if best >= 0 else "-",
                "chance": f"{result.chance(task).mean():.3f}",
                "metric": METRIC_TITLES[result.metric(task)],
            }
        )
    return pd.DataFrame(rows)


def hierarchy_line(stages: pd.DataFrame, result: ProbingResult) -> str:
    """Say in one line how the order of tasks goes with their depth."""
    row = stages[stages["quantity"] == "hierarchy_index"].iloc[0]
    if not np.isfinite(row["estimate"]):
        return "Hierarchy index: not defined (fewer than three tasks above chance, or one stage)."
    order = " < ".join(
        stage for stage in STAGES if any(PROBE_TASKS[t].stage == stage for t in result.hierarchy)
    )
    value = with_interval(row["estimate"], row["low"], row["high"], "+.2f")
    return (
        f"Hierarchy index: {value} (Spearman correlation of the tasks' stages, {order}, with their "
        "score-weighted depth; +1: the deeper, the more semantic)."
    )


def _cell(own: pd.DataFrame, quantity: str, form: str, factor: float = 1.0) -> str:
    row = own.loc[[quantity], ["estimate", "low", "high"]].to_numpy(dtype=float)[0]
    estimate, low, high = (factor * float(value) for value in row)
    return with_interval(estimate, low, high, form)


def _ends(low: np.ndarray, high: np.ndarray, form: str) -> np.ndarray:
    """Write intervals for readers, of the shape of ``low``; nothing where there is none."""
    texts = np.full(low.shape, "", dtype=object)
    for place in np.argwhere(np.isfinite(low) & np.isfinite(high)):
        at = tuple(place)
        texts[at] = f" [{low[at]:{form}}, {high[at]:{form}}]"
    return texts


def _rows(table: pd.DataFrame, task: str) -> pd.DataFrame:
    return table[table["task"] == task].sort_values("layer")


def _first(table: pd.DataFrame, task: str, column: str) -> str:
    return str(_rows(table, task)[column].iloc[0])


def _wide(table: pd.DataFrame, tasks: Sequence[str], column: str) -> np.ndarray:
    wide = table.pivot(index="task", columns="layer", values=column)
    return np.asarray(wide.loc[list(tasks)], dtype=float)


def _scaled(wide: Mapping[str, np.ndarray], scale: str) -> np.ndarray:
    if scale == "above":
        return wide["above_chance"]
    if scale == "score":
        return wide["score"]
    centred = wide["score"] - wide["score"].mean(axis=1, keepdims=True)
    spread = wide["score"].std(axis=1, keepdims=True)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))


def _curve(rows: pd.DataFrame, x: np.ndarray, name: str, colour: str, dash: str) -> go.Scatter:
    ends = rows[["low", "high"]].to_numpy(dtype=float)
    known = " [%{customdata[1]:.3f}, %{customdata[2]:.3f}]" if np.isfinite(ends).all() else ""
    return go.Scatter(
        x=x,
        y=rows["score"],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"size": 8},
        customdata=np.column_stack([rows["layer"], ends]),
        hovertemplate=f"layer %{{customdata[0]}}: %{{y:.3f}}{known}"
        "<extra>%{fullData.name}</extra>",
    )


def _level(x: Sequence[float] | np.ndarray, y: Sequence[float], name: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines",
        line={"color": GREY, "width": 1.5, "dash": dash},
        hovertemplate="%{y:.3f}<extra>%{fullData.name}</extra>",
    )
