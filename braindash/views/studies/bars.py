"""Bars of regions: models and controls side by side, subjects as dots, brackets with tests."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from braindash.viewer.colours import GREY, region_title
from braindash.views.curves import LEGEND
from braindash.views.studies.panels import (
    finished,
    model_colours,
    panels,
    place_of,
    score_title,
)

MOST_BRACKETS = 6
"""Comparisons that are drawn over one region; the table has all."""
_WIDTH = 0.8  # of the bars of a region, of the distance between two regions
_PALE = 0.55  # of controls
_INK = "rgb(70,70,70)"
_SPACE_COLUMNS = 2  # of panels, one for each space
_FIRST: Mapping[str, int] = MappingProxyType({"row": 1, "col": 1})


class _Places(NamedTuple):
    """Where the bars stand.

    Attributes
    ----------
    regions, names : tuple of str
    width : float
        Of a bar.
    """

    regions: tuple[str, ...]
    names: tuple[str, ...]
    width: float

    def x(self, region: str, name: str) -> float:
        """Return the middle of a bar."""
        across = self.names.index(name) - (len(self.names) - 1) / 2
        return self.regions.index(region) + across * self.width


def region_bars(
    table: pd.DataFrame,
    subjects: pd.DataFrame,
    tests: pd.DataFrame,
    regions: Sequence[str],
    *,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw every model's score of every region, and below the percent over its base.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.summaries.bar_table` gives.
    subjects : pandas.DataFrame
        What :func:`braindash.studies.summaries.subject_table` gives: the dots.
    tests : pandas.DataFrame
        What :func:`braindash.studies.summaries.comparison_table` gives: a bracket each, with the
        p values of Wilcoxon's signed ranks, of sign flips, and of the variance of subjects and
        story time, each adjusted after Holm over all rows of the table; empty without any.
    regions : sequence of str
        In this order.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.

    Returns
    -------
    plotly.graph_objects.Figure
        Whiskers are 95 % intervals; a grey dash over the bars of a region is its noise ceiling.
    """
    names = tuple(dict.fromkeys(table["model"]))
    places = _Places(tuple(regions), names, _WIDTH / max(1, len(names)))
    inks = colours or model_colours(names)
    has_percents = bool(table["percent"].notna().any())
    figure = make_subplots(
        rows=1 + has_percents,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        row_heights=[0.68, 0.32] if has_percents else [1.0],
    )
    for name in names:
        own = table[table["model"] == name].set_index("region").loc[list(regions)]
        _bars(figure, own, places, inks[name])
        if has_percents and own["percent"].notna().any():
            _percents(figure, own, places, inks[name])
    _dots(figure, subjects, places)
    _ceilings(figure, table, places)
    if not tests.empty:
        heights, ceilings = _heights(table, subjects, regions), _region_ceilings(table, regions)
        _brackets(figure, tests, heights, ceilings, places)
    _name_regions(figure, regions)
    figure.update_yaxes(title=score_title(table), zeroline=True, row=1, col=1)
    if has_percents:
        figure.update_yaxes(title="% over base", zeroline=True, row=2, col=1)
    figure.update_layout(
        height=640 if has_percents else 460,
        margin={"l": 60, "r": 10, "t": 28, "b": 10},
        legend=LEGEND,
        hovermode="closest",
        bargap=0,
    )
    return finished(figure, table)


def impact_bars(
    table: pd.DataFrame,
    subjects: pd.DataFrame,
    regions: Sequence[str],
    *,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw how much of every model's score is gone without low-level features, by region.

    One panel for each space that was taken out.

    Parameters
    ----------
    table, subjects : pandas.DataFrame
        What :func:`braindash.studies.lowlevel.impact_table` gives.
    regions : sequence of str
        In this order.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.
    """
    names, spaces = (tuple(dict.fromkeys(table[one])) for one in ("model", "space"))
    places = _Places(tuple(regions), names, _WIDTH / max(1, len(names)))
    inks = colours or model_colours(names)
    figure = panels([f"Without {space_title(one)}" for one in spaces], columns=_SPACE_COLUMNS)
    told: set[str] = set()
    for number, space in enumerate(spaces):
        place = place_of(number, len(spaces), _SPACE_COLUMNS)
        rows = table[table["space"] == space]
        for name in dict.fromkeys(rows["model"]):
            own = rows[rows["model"] == name].set_index("region").loc[list(regions)]
            bar = _bar(own, places, inks[name], ("drop", "drop_low", "drop_high"))
            figure.add_trace(bar.update(showlegend=name not in told), **place)
            told.add(name)
        dots = subjects[subjects["space"] == space]
        _dots(figure, dots, places, "drop", place, in_legend=number == 0)
    _name_regions(figure, regions, narrow=len(spaces) > 1)
    figure.update_yaxes(zeroline=True)
    figure.update_yaxes(title="% of r gone", col=1)
    return finished(figure, table)


def partition_bars(table: pd.DataFrame, regions: Sequence[str]) -> go.Figure:
    """Draw what each set of spaces explains and no other does, one panel per model and spaces.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.lowlevel.partition_table` gives.
    regions : sequence of str
        In this order.

    Returns
    -------
    plotly.graph_objects.Figure
        What spaces share is paler than what one explains alone.
    """
    every = list(dict.fromkeys(zip(table["model"], table["spaces"], strict=True)))
    figure = panels([f"{name} with {space_title(one)}" for name, one in every], columns=1)
    titles = {one: _part_title(one, table) for one in dict.fromkeys(table["explained_by"])}
    inks = model_colours(list(dict.fromkeys(titles.values())))
    told: set[str] = set()
    for number, (name, spaces) in enumerate(every):
        own = table[(table["model"] == name) & (table["spaces"] == spaces)]
        parts = tuple(dict.fromkeys(own["explained_by"]))
        places = _Places(tuple(regions), parts, _WIDTH / len(parts))
        for part in parts:
            rows = own[own["explained_by"] == part].set_index("region").loc[list(regions)]
            title = titles[part]
            bar = _part_bar(rows, places, title, inks[title])
            figure.add_trace(
                bar.update(showlegend=title not in told), **place_of(number, len(every), 1)
            )
            told.add(title)
    _name_regions(figure, regions)
    figure.update_yaxes(title="R²", zeroline=True)
    return finished(figure, table)


def space_title(spaces: str) -> str:
    """Write acoustic spaces for readers, without their prefix."""
    return spaces.replace("acoustic:", "").replace("+", " + ")


def _part_title(part: str, table: pd.DataFrame) -> str:
    """Name a part: the model is the model whichever it is, so that panels share their colours."""
    models = set(table["model"])
    names = ["the model" if one in models else space_title(one) for one in part.split(" & ")]
    return f"{names[0]} alone" if len(names) == 1 else f"shared by {' and '.join(names)}"


def _part_bar(rows: pd.DataFrame, places: _Places, title: str, colour: str) -> go.Bar:
    part = str(rows["explained_by"].iloc[0])
    middle = rows["r2"].to_numpy(dtype=float)
    ends = rows[["low", "high"]].to_numpy(dtype=float)
    return go.Bar(
        x=[places.x(str(region), part) for region in rows.index],
        y=middle,
        width=places.width * 0.92,
        name=title,
        legendgroup=title,
        marker={"color": colour},
        opacity=1.0 if rows["n_spaces"].iloc[0] == 1 else _PALE,
        error_y=_whiskers(middle, ends),
        customdata=np.column_stack([[region_title(str(one)) for one in rows.index], ends]),
        hovertemplate="<b>%{fullData.name}</b>, %{customdata[0]}<br>%{y:.4f} "
        "[%{customdata[1]:.4f}, %{customdata[2]:.4f}]<extra></extra>",
    )


def _whiskers(middle: np.ndarray, ends: np.ndarray) -> dict[str, Any]:
    return {
        "array": ends[:, 1] - middle,
        "arrayminus": middle - ends[:, 0],
        "color": _INK,
        "thickness": 1.5,
        "width": 3,
    }


def laterality_bars(
    table: pd.DataFrame, regions: Sequence[str], *, colours: Mapping[str, str] | None = None
) -> go.Figure:
    """Draw the hemisphere index of every model and region: above 0 the left side is ahead.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`braindash.studies.maps.laterality_table` gives.
    regions : sequence of str
        In this order; those without both sides are left out.
    colours : mapping of str to str, optional
        Of the models; by their order in the table if none.
    """
    names = tuple(dict.fromkeys(table["model"]))
    there = set(table["region"])
    shown = tuple(one for one in regions if one in there)
    places = _Places(shown, names, _WIDTH / max(1, len(names)))
    inks = colours or model_colours(names)
    figure = panels([""])
    for name in names:
        own = table[table["model"] == name].set_index("region").reindex(list(shown))
        own = own.assign(model=name, role=str(own["role"].dropna().iloc[0]))
        bar = _bar(own, places, inks[name], ("index", "index_low", "index_high"))
        figure.add_trace(bar, row=1, col=1)
    _name_regions(figure, shown)
    figure.update_yaxes(title="(left - right) / (left + right)", zeroline=True)
    return finished(figure, table)


def _name_regions(figure: go.Figure, regions: Sequence[str], *, narrow: bool = False) -> None:
    """Name the places of regions, in several lines where panels stand side by side."""
    titles = [region_title(one) for one in regions]
    figure.update_xaxes(
        tickvals=list(range(len(regions))),
        ticktext=["<br>".join(one.split()) for one in titles] if narrow else titles,
        range=[-0.6, len(regions) - 0.4],
        showgrid=False,
        showticklabels=True,
    )


def _bar(rows: pd.DataFrame, places: _Places, colour: str, columns: tuple[str, str, str]) -> go.Bar:
    value, low, high = columns
    name = str(rows["model"].iloc[0])
    middle = rows[value].to_numpy(dtype=float)
    ends = rows[[low, high]].to_numpy(dtype=float)
    is_share = value in ("alignment", "index")
    unit, form = ("", ".3f") if is_share else (" %", ".1f")
    return go.Bar(
        x=[places.x(str(region), name) for region in rows.index],
        y=middle,
        width=places.width * 0.92,
        name=name,
        legendgroup=name,
        marker={"color": colour},
        opacity=_PALE if rows["role"].iloc[0] == "control" else 1.0,
        error_y=_whiskers(middle, ends),
        customdata=np.column_stack([[region_title(str(one)) for one in rows.index], ends]),
        hovertemplate=f"<b>%{{fullData.name}}</b>, %{{customdata[0]}}<br>%{{y:{form}}}{unit} "
        f"[%{{customdata[1]:{form}}}, %{{customdata[2]:{form}}}]<extra></extra>",
    )


def _bars(figure: go.Figure, rows: pd.DataFrame, places: _Places, colour: str) -> None:
    figure.add_trace(_bar(rows, places, colour, ("alignment", "low", "high")), row=1, col=1)


def _percents(figure: go.Figure, rows: pd.DataFrame, places: _Places, colour: str) -> None:
    columns = ("percent", "percent_low", "percent_high")
    trace = _bar(rows, places, colour, columns).update(showlegend=False)
    figure.add_trace(trace, row=2, col=1)


def _dots(
    figure: go.Figure,
    subjects: pd.DataFrame,
    places: _Places,
    value: str = "alignment",
    place: Mapping[str, int] = _FIRST,
    *,
    in_legend: bool = True,
) -> None:
    """Draw every subject's score, one place across the bar for each subject."""
    who = list(dict.fromkeys(subjects["subject"]))
    step = 0.6 * places.width / max(1, len(who) - 1)
    offsets = {one: (number - (len(who) - 1) / 2) * step for number, one in enumerate(who)}
    figure.add_trace(
        go.Scatter(
            x=[
                places.x(str(region), str(name)) + offsets[one]
                for region, name, one in zip(
                    subjects["region"], subjects["model"], subjects["subject"], strict=True
                )
            ],
            y=subjects[value],
            mode="markers",
            name="subjects",
            legendgroup="subjects",
            showlegend=in_legend,
            marker={"color": "rgb(255,255,255)", "size": 5, "line": {"color": _INK, "width": 1}},
            customdata=subjects[["subject", "model"]].to_numpy(dtype=object),
            hovertemplate="%{customdata[1]}, %{customdata[0]}: %{y:.3f}<extra></extra>",
        ),
        **place,
    )


def _ceilings(figure: go.Figure, table: pd.DataFrame, places: _Places) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for region, top in _region_ceilings(table, places.regions).items():
        number = places.regions.index(region)
        x += [number - _WIDTH / 2, number + _WIDTH / 2, None]
        y += [top, top, None]
    if x:
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines",
                name="noise ceiling",
                line={"color": GREY, "width": 2, "dash": "dash"},
                hovertemplate="noise ceiling %{y:.3f}<extra></extra>",
            ),
            row=1,
            col=1,
        )


def _region_ceilings(table: pd.DataFrame, regions: Sequence[str]) -> dict[str, float]:
    """Return the noise ceilings that are drawn: none where scores are parts of theirs."""
    if table["measure"].iloc[0] != "r":
        return {}
    tops = {one: table.loc[table["region"] == one, "ceiling"].dropna() for one in regions}
    return {one: float(known.iloc[0]) for one, known in tops.items() if np.isfinite(known).any()}


def _heights(
    table: pd.DataFrame, subjects: pd.DataFrame, regions: Sequence[str]
) -> Mapping[str, float]:
    """Return what brackets of each region have to stand above."""
    found = {}
    for region in regions:
        numbers = [0.0]
        for one, columns in ((table, ["alignment", "high"]), (subjects, ["alignment"])):
            values = one.loc[one["region"] == region, columns].to_numpy(dtype=float)
            numbers += [float(value) for value in values[np.isfinite(values)]]
        found[region] = max(numbers)
    return found


def _brackets(
    figure: go.Figure,
    tests: pd.DataFrame,
    heights: Mapping[str, float],
    ceilings: Mapping[str, float],
    places: _Places,
) -> None:
    step = 0.07 * max(*heights.values(), 0.05)
    x: list[float | None] = []
    y: list[float | None] = []
    for region in places.regions:
        rows = tests[tests["region"] == region].head(MOST_BRACKETS)
        level = heights[region] + step
        for _, row in rows.iterrows():
            if -0.3 * step < ceilings.get(region, -1.0) - level < 1.6 * step:
                level = ceilings[region] + 0.3 * step  # its dash would run through the text
            ends = sorted(places.x(region, str(row[side])) for side in ("model_a", "model_b"))
            x += [ends[0], ends[0], ends[1], ends[1], None]
            y += [level, level + 0.3 * step, level + 0.3 * step, level, None]
            figure.add_annotation(
                x=(ends[0] + ends[1]) / 2,
                y=level + 0.3 * step,
                text=bracket_text(row),
                showarrow=False,
                yanchor="bottom",
                font={"size": 10},
                row=1,
                col=1,
            )
            level += 1.6 * step
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": _INK, "width": 1},
            hoverinfo="skip",
            showlegend=False,
            name="comparisons",
        ),
        row=1,
        col=1,
    )


def bracket_text(row: pd.Series) -> str:
    """Write the adjusted p values of a comparison: ranks, signs, subjects with story time.

    A star where the first two are below .05.
    """
    ranks, signs, both = (float(row[f"{name}_holm"]) for name in ("p_ranks", "p_signs", "p"))
    if not np.isfinite([ranks, signs]).all():
        return "n < 3"
    star = "* " if max(ranks, signs) < 0.05 else ""
    return f"{star}{_p(ranks)} / {_p(signs)} / {_p(both)}"


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.2g}".removeprefix("0")
