"""What figures of studies share: colours and lines of models, and grids of panels."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from braindash.viewer.colours import MODEL_COLOURS
from braindash.views.curves import LEGEND, SCORE_TITLES, stamp_simulated

COLUMNS = 3
"""Panels beside each other; up to one more where all then stand in one row."""
PANEL_PIXELS = 250
_TITLE_PIXELS = 20  # of a panel
_FRAME_PIXELS = 110
_DASHES: Mapping[str, str] = {"base": "solid", "tuned": "solid", "control": "dot", "other": "dash"}


def model_colours(names: Sequence[str]) -> dict[str, str]:
    """Give every model a colour: the same one in all figures of a study."""
    every = list(dict.fromkeys(names))
    return {name: MODEL_COLOURS[place % len(MODEL_COLOURS)] for place, name in enumerate(every)}


def dash_of(role: str) -> str:
    """Return the line of a model's role; controls are dotted."""
    return _DASHES.get(role, "solid")


def panels(titles: Sequence[str], *, columns: int = COLUMNS, share_y: bool = True) -> go.Figure:
    """Make a figure of panels in rows, each with its title above at its left end.

    Parameters
    ----------
    titles : sequence of str
        One per panel.
    columns : int, default 3
        Panels beside each other.
    share_y : bool, default True
        Whether all have one vertical scale.
    """
    n_columns = columns_of(len(titles), columns)
    n_rows = max(1, -(-len(titles) // n_columns))
    cells: list[dict[str, Any] | None] = [{}] * len(titles)
    cells += [None] * (n_rows * n_columns - len(titles))
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        specs=[cells[first : first + n_columns] for first in range(0, len(cells), n_columns)],
        subplot_titles=list(titles),
        shared_yaxes="all" if share_y else False,
        horizontal_spacing=0.06 if share_y else 0.12,
        vertical_spacing=0.34 / n_rows,
    )
    for note, axis in zip(figure.layout.annotations, figure.select_xaxes(), strict=False):
        # At the left: the stamp of simulated data stands at the right.
        note.update(x=axis.domain[0], xanchor="left", font={"size": 14})
    return figure.update_layout(
        height=_FRAME_PIXELS + PANEL_PIXELS * n_rows,
        margin={"l": 60, "r": 10, "t": 24 + _TITLE_PIXELS, "b": 10},
        legend=LEGEND,
        hovermode="closest",
    )


def columns_of(count: int, columns: int = COLUMNS) -> int:
    """Return how many panels stand beside each other."""
    return max(1, count if count <= columns + 1 else columns)


def place_of(number: int, count: int, columns: int = COLUMNS) -> dict[str, int]:
    """Return row and column of a panel, as plotly takes them."""
    n_columns = columns_of(count, columns)
    return {"row": number // n_columns + 1, "col": number % n_columns + 1}


def cut_name(name: str, letters: int) -> str:
    """Shorten a name that has no room; where it is shown whole, the cursor or a legend says it."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def finished(figure: go.Figure, table: pd.DataFrame) -> go.Figure:
    """Stamp a figure of simulated data, above the titles of its panels."""
    if not bool(table["simulated"].any()):
        return figure
    titled = any(note.yref == "paper" and note.y > 0.999 for note in figure.layout.annotations)
    stamp_simulated(figure)
    if titled:
        figure.layout.annotations[-1].yshift = _TITLE_PIXELS
    return figure


def score_title(table: pd.DataFrame) -> str:
    """Name the score of a table on an axis."""
    return SCORE_TITLES[str(table["measure"].iloc[0])]
