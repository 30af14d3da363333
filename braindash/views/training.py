"""How a training run goes: loss and validation r of every epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from braindash.views.curves import LEGEND, stamp_simulated

_LOSS = "#7F7F7F"
# Okabe and Ito's palette, which colour-blind readers can tell apart.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def training_table(history: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Lay the epochs of a tuning record out: one row per epoch and subject.

    Parameters
    ----------
    history : sequence of mapping
        ``history`` of a record: ``epoch``, ``loss`` (None before training), ``validation_r`` by
        subject and ``seconds``.

    Returns
    -------
    pandas.DataFrame
        ``epoch``, ``loss``, ``subject``, ``validation_r``, ``seconds``.
    """
    return pd.DataFrame(
        [
            {
                "epoch": one["epoch"],
                "loss": np.nan if one["loss"] is None else one["loss"],
                "subject": subject,
                "validation_r": r,
                "seconds": one["seconds"],
            }
            for one in history
            for subject, r in one["validation_r"].items()
        ],
        columns=["epoch", "loss", "subject", "validation_r", "seconds"],
    )


def training_curves(
    history: Sequence[Mapping[str, Any]],
    *,
    n_epochs: int,
    kept: int | None = None,
    simulated: bool = False,
) -> go.Figure:
    """Draw validation r per subject above the training loss.

    Parameters
    ----------
    history : sequence of mapping
        See :func:`training_table`.
    n_epochs : int
        Where the horizontal axis ends.
    kept : int, optional
        The epoch whose weights are the result, marked by a vertical line.
    simulated : bool, default False
        Whether the responses come from a generator.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    table = training_table(history)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for index, (subject, rows) in enumerate(table.groupby("subject", sort=False)):
        figure.add_scatter(
            x=rows["epoch"],
            y=rows["validation_r"],
            name=f"validation r, {subject}",
            mode="lines+markers",
            line={"color": _PALETTE[index % len(_PALETTE)]},
            row=1,
            col=1,
        )
    losses = table.drop_duplicates("epoch").dropna(subset="loss")
    figure.add_scatter(
        x=losses["epoch"],
        y=losses["loss"],
        name="training loss",
        mode="lines+markers",
        line={"color": _LOSS},
        row=2,
        col=1,
    )
    if kept is not None:
        figure.add_vline(x=kept, line={"color": _LOSS, "dash": "dot", "width": 1.5})
    figure.update_yaxes(title="Validation r", zeroline=True, row=1, col=1)
    figure.update_yaxes(title="Loss", row=2, col=1)
    figure.update_xaxes(range=[-0.3, n_epochs + 0.3])
    figure.update_xaxes(title="Epoch (0: before tuning)", row=2, col=1)
    figure.update_layout(
        height=420,
        margin={"l": 70, "r": 10, "t": 28, "b": 10},
        legend=LEGEND,
    )
    if simulated:
        stamp_simulated(figure)
    return figure
