"""Matrices: tuned on one subject and scored on another; layers by layers of two models."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.viewer.colours import region_title
from braindash.views.studies.panels import (
    columns_of,
    cut_name,
    finished,
    panels,
    place_of,
    score_title,
)

MOST_MATRICES = 9
"""Pairs of models that are drawn; the table has all."""
_TITLE_LETTERS, _AXIS_LETTERS = 36, 26  # that have room over a panel of three, and along it
# Of a row of a matrix that is written in, and of what stands around one.
_CELL_PIXELS, _FRAME_PIXELS = 24, 90
# As rgb(), because Streamlit replaces hex colours of scales.
_DIVERGING = [
    [0.0, "rgb(33,102,172)"],
    [0.5, "rgb(247,247,247)"],
    [1.0, "rgb(178,24,43)"],
]
SEQUENTIAL = [
    [0.0, "rgb(252,253,191)"],
    [0.25, "rgb(252,137,97)"],
    [0.5, "rgb(183,55,121)"],
    [0.75, "rgb(81,18,124)"],
    [1.0, "rgb(0,0,4)"],
]


def transfer_matrix(table: pd.DataFrame, regions: Sequence[str], *, gain: bool = True) -> go.Figure:
    """Draw the score of a model that was tuned on one subject, on every subject.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.summaries.transfer_table` gives.
    regions : sequence of str
        One panel each.
    gain : bool, default True
        Draw the gain over the base, where there is one, instead of the score.

    Returns
    -------
    plotly.graph_objects.Figure
        Rows are tuned models with the subject they were tuned on, columns the scored subjects.
    """
    is_gain = gain and bool(table["gain"].notna().any())
    value = "gain" if is_gain else "alignment"
    title = f"{score_title(table)}{' over the base' if is_gain else ''}"
    figure = panels([region_title(one) for one in regions], share_y=False)
    extent = float(np.nanmax(np.abs(table[value]))) or 1.0
    for number, region in enumerate(regions):
        place = place_of(number, len(regions))
        own = table[table["region"] == region]
        own = own.assign(
            row=[_row_name(*one) for one in zip(own["model"], own["tuned_on"], strict=True)]
        )
        wide = own.pivot_table(index="row", columns="scored_on", values=value, sort=False)
        figure.add_trace(
            go.Heatmap(
                z=wide.to_numpy(dtype=float),
                x=list(map(str, wide.columns)),
                y=list(map(str, wide.index)),
                colorscale=_DIVERGING if is_gain else SEQUENTIAL,
                zmin=-extent if is_gain else 0.0,
                zmax=extent,
                showscale=number == len(regions) - 1,
                colorbar={"title": {"text": title, "side": "right"}, "thickness": 14},
                name=region_title(region),
                xgap=1,
                ygap=1,
                hovertemplate="%{y}, scored on %{x}: %{z:.3f}<extra></extra>",
            ),
            **place,
        )
        _write_values(figure, wide, extent if is_gain else None, place)
    n_rows = table[["model", "tuned_on"]].drop_duplicates().shape[0]
    in_rows = -(-len(regions) // columns_of(len(regions)))
    least = _FRAME_PIXELS + in_rows * (_FRAME_PIXELS + _CELL_PIXELS * n_rows)
    figure.update_layout(height=max(figure.layout.height, least))
    figure.update_xaxes(title="Scored on", showgrid=False)
    figure.update_yaxes(autorange="reversed")  # the first one above
    figure.update_yaxes(showticklabels=False)  # all panels have the rows of the first one
    figure.update_yaxes(title="Tuned model (on)", showticklabels=True, col=1)
    return finished(figure, table)


def _row_name(model: str, tuned_on: str) -> str:
    """Name a row by model and subject; by the model alone where its name ends with the subject."""
    return model if model.endswith(f", {tuned_on}") else f"{model} ({tuned_on})"


def _write_values(
    figure: go.Figure, wide: pd.DataFrame, extent: float | None, place: dict[str, int]
) -> None:
    """Write every value into its cell, light on dark."""
    largest = extent if extent is not None else float(np.nanmax(wide.to_numpy(dtype=float)))
    for name, row in wide.iterrows():
        for subject, value in row.items():
            if not np.isfinite(value):
                continue
            dark = abs(value) > 0.6 * largest
            figure.add_annotation(
                x=str(subject),
                y=str(name),
                text=f"{value:+.2f}" if extent is not None else f"{value:.2f}",
                showarrow=False,
                font={"size": 11, "color": "rgb(255,255,255)" if dark else "rgb(40,40,40)"},
                **place,
            )


def similarity_matrices(
    table: pd.DataFrame, pairs: Sequence[tuple[str, str]] | None = None
) -> go.Figure:
    """Draw the debiased CKA of every layer of a model with every layer of another.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.representations.similarity_table` gives.
    pairs : sequence of (str, str), optional
        Which models; the first nine of the table if none.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel per pair, A upwards and B across.
    """
    there = list(dict.fromkeys(zip(table["model_a"], table["model_b"], strict=True)))
    shown = [one for one in there if pairs is None or one in pairs][:MOST_MATRICES]
    figure = panels([_pair_title(a, b) for a, b in shown], share_y=False)
    for number, (a, b) in enumerate(shown):
        own = table[(table["model_a"] == a) & (table["model_b"] == b)]
        wide = own.pivot(index="layer_a", columns="layer_b", values="cka")
        place = place_of(number, len(shown))
        figure.add_trace(
            go.Heatmap(
                z=wide.to_numpy(dtype=float),
                x=list(wide.columns),
                y=list(wide.index),
                colorscale=SEQUENTIAL,
                zmin=0.0,
                zmax=1.0,
                showscale=number == len(shown) - 1,
                colorbar={"title": {"text": "debiased CKA", "side": "right"}, "thickness": 14},
                name=a if a == b else f"{a} and {b}",
                hovertemplate=f"{a} layer %{{y}}, {b} layer %{{x}}: %{{z:.3f}}<extra></extra>",
            ),
            **place,
        )
        across, upwards = (layer_ticks(len(one)) for one in (wide.columns, wide.index))
        own_a, own_b = (f"Layer of {cut_name(one, _AXIS_LETTERS)}" for one in (a, b))
        figure.update_xaxes(title=own_b, showgrid=False, tickvals=across, **place)
        figure.update_yaxes(title=own_a, showgrid=False, tickvals=upwards, **place)
    return finished(figure, table)


def layer_ticks(n_layers: int) -> list[int]:
    """Return the layers that an axis names: whole numbers, at most nine."""
    return list(range(0, n_layers, -(-n_layers // 9)))


def _pair_title(a: str, b: str) -> str:
    """Name two models over their panel; neither takes the room of the panel beside it."""
    if a == b:
        return cut_name(a, _TITLE_LETTERS)
    room = _TITLE_LETTERS - len(" and ")
    first = cut_name(a, max(room // 2, room - len(b)))
    return f"{first} and {cut_name(b, room - len(first))}"
