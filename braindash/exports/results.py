"""What a result has to take away: its figures, each with its numbers, and its tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from braindash.core.statistics.components import nanmean
from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.nulls.panel import null_line, null_panel
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.groups import Group
from braindash.encoding.shares import low_level_line, low_level_shares
from braindash.exports.source import Source, file_name, source_of
from braindash.probing.result import ProbingResult
from braindash.tuning.result import TuningResult
from braindash.viewer.drawn import can_show
from braindash.views.captions import tuning_line
from braindash.views.curves import SCORE_TITLES, key_regions, layer_curves, share_curves
from braindash.views.maps import KINDS, MapChoice, available_kinds, make_map
from braindash.views.pictures import static_figure
from braindash.views.probes import SCALE_TEXTS, depth_curves, heat_map, probe_curves, task_title
from braindash.views.tables import download_table
from braindash.views.training import training_curves, training_table

AnyResult = EncodingResult | ProbingResult | TuningResult
_DEEP = 2  # layers without which there is no depth to sum up
# Pictures of single maps; the score has one of its own layer.
_PICTURES = ("significant", "preferred", "ceiling")


@dataclass(frozen=True)
class Item:
    """One figure or table of a result, ready to be written.

    Attributes
    ----------
    name : str
        Of its files, without what stands behind the dot.
    source : Source
        What it is, and where its numbers come from.
    figure : plotly.graph_objects.Figure or None
        As pages show it.
    picture : callable or None
        Draws a map with matplotlib.
    table : pandas.DataFrame or None
        The numbers; of a figure without one, those that it draws.
    """

    name: str
    source: Source
    figure: Any = None
    picture: Callable[[], Figure] | None = None
    table: pd.DataFrame | None = None


def short_name(result: AnyResult) -> str:
    """Name a result for files and folders: model, subject or data, and the start of its key."""
    if isinstance(result, TuningResult):
        return file_name(result.folder.name, result.key[:8])
    of = result.subject if isinstance(result, EncodingResult) else result.data
    return file_name(result.model.rpartition("/")[2], of, result.key[:8])


def items_of(result: AnyResult, *, layer: int | None = None) -> Iterator[Item]:
    """Make the figures and tables of a result, one after the other.

    Parameters
    ----------
    result : EncodingResult, ProbingResult or TuningResult
        An encoding result is looked at in its region set.
    layer : int, optional
        Of the picture of its scores; by default the one with the highest mean.
    """
    if isinstance(result, EncodingResult):
        yield from _encoding(result, layer)
    elif isinstance(result, ProbingResult):
        yield from _probing(result)
    else:
        yield _tuning(result)


# ---- encoding -------------------------------------------------------------------------------


def _encoding(result: EncodingResult, layer: int | None) -> Iterator[Item]:
    group = Group.of([result])
    regions = key_regions(group.region_names)
    for score in ("r", *["r_over_ceiling"] * result.has_ceiling):
        normalised = score != "r"
        table = group.regions(normalised=normalised)
        chosen = selections_line(group.results, None) if normalised else ""
        title = f"{SCORE_TITLES[score]} by layer and region"
        yield Item(
            file_name("curves", score),
            source_of(result, title, group.interval_line(), chosen),
            figure=layer_curves(table, regions, score=score),
            table=download_table(
                [table], score, result.ceiling_name, group.interval_line(), [chosen]
            ),
        )
    if result.n_layers >= _DEEP:
        line = group.interval_line()
        yield Item(
            "stages",
            source_of(result, "Depth, preferred layer and late-layer drop", line),
            table=group.stages().assign(score="r", interval=line),
        )
    yield from _shares(result, regions)
    if can_show(result.space, result.n_targets, result.surface):
        yield from _pictures(result, layer)


def _shares(result: EncodingResult, regions: list[str]) -> Iterator[Item]:
    shares = low_level_shares(result)
    if shares is not None:
        yield Item(
            "low-level",
            source_of(result, "Share explained by low-level features", low_level_line(result)),
            figure=share_curves(shares, regions),
            table=shares,
        )
    nulls = null_panel(result)
    if nulls is not None:
        source = source_of(result, "What nulls score", null_line(result))
        yield Item("nulls", source, table=nulls)


def _pictures(result: EncodingResult, layer: int | None) -> Iterator[Item]:
    """Draw the scores of one layer, and the maps that are of all layers."""
    means = np.nan_to_num(nanmean(result.r.T), nan=-1.0)
    best = int(means.argmax()) if layer is None else layer
    there = available_kinds(result, compared=False)
    for kind in ("score", *(one for one in _PICTURES if one in there)):
        shown = make_map(MapChoice(kind), result)
        place = best if len(shown.maps.names) > 1 else 0
        name = shown.maps.names[place]
        yield Item(
            file_name("map", kind, *[name] * (len(shown.maps.names) > 1)),
            source_of(result, f"{KINDS[kind]}, {name}", shown.note),
            picture=_drawing(shown.maps, place),
        )


def _drawing(maps: Any, place: int) -> Callable[[], Figure]:
    return lambda: static_figure(maps, place)


# ---- the other kinds ------------------------------------------------------------------------


def _probing(result: ProbingResult) -> Iterator[Item]:
    table = result.table()
    yield Item(
        "tasks",
        source_of(result, "Probing tasks by layer", SCALE_TEXTS["above"], result.interval_line()),
        figure=heat_map(table, result.tasks, scale="above"),
        table=table,
    )
    for task in result.tasks:
        yield Item(
            file_name("task", task),
            source_of(result, task_title(task), result.interval_line(task)),
            figure=probe_curves(result, task),
            table=table[table["task"] == task],
        )
    if result.n_layers >= _DEEP:
        yield Item(
            "depth",
            source_of(result, "Share above chance by layer", result.interval_line()),
            figure=depth_curves(table, result.tasks),
            table=result.stages().assign(model=result.model),
        )


def _tuning(result: TuningResult) -> Item:
    record = result.record
    simulated = bool(record["data"]["simulated"])
    source = Source(
        f"Training of {result.folder.name}",
        tuning_line(record),
        (result.line(),),
        (result.key,),
        simulated,
    )
    figure = training_curves(
        record["history"],
        n_epochs=record["history"][-1]["epoch"],
        kept=record["kept_epoch"],
        simulated=simulated,
    )
    return Item("training", source, figure=figure, table=training_table(record["history"]))
