"""The sections of a report as HTML elements: what was found, surfaces, curves, tables, methods.

Everything is built with :mod:`xml.etree.ElementTree`, which escapes whatever names hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as Tree

import numpy as np
import pandas as pd

from braindash.encoding.several.comparison import Group
from braindash.exports.report.drawing import Curve, chart
from braindash.exports.report.gather import Gathered
from braindash.exports.report.methods import Methods, Source
from braindash.exports.report.story import StoryPart
from braindash.exports.report.surfaces import Surfaces
from braindash.probing.result import ProbingResult
from braindash.probing.tasks import METRIC_TITLES
from braindash.references import written
from braindash.tuning.result import TuningResult
from braindash.viewer.colours import GREY, PALETTE, region_colour, region_title
from braindash.views.captions import provenance_line, subject_lines, tuning_line
from braindash.views.curves import key_regions
from braindash.views.finding import significance_sentence
from braindash.views.probes import task_title
from braindash.views.tables import with_interval

_MOST_CURVES = len(PALETTE)  # models in one chart


def tag(
    kind: str, text: str = "", parts: Iterable[Tree.Element] = (), **attributes: str
) -> Tree.Element:
    """Make an element; ``class_`` is written ``class``, ``aria_label`` ``aria-label``."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Tree.Element(kind, named)
    made.text = text
    made.extend(parts)
    return made


# ---- head -----------------------------------------------------------------------------------


def opening(found: Gathered, title: str, made: str) -> list[Tree.Element]:
    """Return the title, the stamp and the finding."""
    parts = [tag("h1", title)]
    if found.simulated:
        parts.append(tag("div", "SIMULATED DATA", class_="stamp"))
        parts.append(
            tag(
                "p",
                "Responses come from a generator: no evidence about brains.",
                class_="note",
            )
        )
    parts += [tag("p", line, class_="finding") for line in found.sentences()]
    parts += [tag("p", note, class_="note") for note in found.notes]
    parts.append(tag("p", made, class_="source"))
    return parts


# ---- surfaces -------------------------------------------------------------------------------


def surface_section(found: Gathered, surfaces: Surfaces | None, reason: str) -> list[Tree.Element]:
    """Return the place of the viewer, with its menus; or why there is none."""
    if not found.groups:
        return []
    if surfaces is None:
        return [tag("h2", "On the cortex"), tag("p", reason, class_="note")]
    menus = []
    if len(surfaces.panels) > 1:
        for place, letter in enumerate("AB"):
            menu = tag("select", data_panel=str(place), aria_label=f"Model {letter}")
            menus.append(tag("label", f"{letter} ", [menu]))
    parts = [
        tag("h2", "On the cortex"),
        tag("div", parts=menus, class_="choices"),
        tag("div", id="surfaces"),
        tag(
            "p",
            "This browser has no WebGL2, so the surfaces are not drawn; curves and tables hold "
            "all the same.",
            id="no-surfaces",
            hidden="hidden",
        ),
        tag("noscript", "The surfaces need JavaScript; curves and tables do not."),
        tag("div", id="picked", aria_live="polite"),
        tag(
            "p",
            f"{surfaces.note} Click a vertex for its layer curve, a point of a curve for its "
            "layer; drag turns, F unfolds.",
            class_="note",
        ),
    ]
    if surfaces.left_out:
        parts.append(tag("p", surfaces.left_out, class_="note"))
    return parts


def story_section(story: StoryPart | None, reason: str) -> list[Tree.Element]:
    """Return the place of the story player; or why there is none."""
    if story is None:
        return [tag("h2", "The test story"), tag("p", f"{reason}.", class_="note")]
    return [
        tag("h2", f"The test story: {story.title}"),
        tag("div", id="story"),
        tag("noscript", "The story needs JavaScript."),
        tag(
            "p",
            "What was measured, what the model predicts, and the residual, in time. Space plays, "
            "arrows go from row to row; a click on the surface shows that vertex's course.",
            class_="note",
        ),
        *(tag("p", one, class_="note") for one in story.notes),
    ]


# ---- encoding -------------------------------------------------------------------------------


def comparison_section(found: Gathered) -> list[Tree.Element]:
    """Return one chart per key region, with all models in it."""
    if not found.groups:
        return []
    shown = list(zip(found.names, found.groups, strict=True))[:_MOST_CURVES]
    regions = _common_regions([group for _, group in shown])
    charts = []
    for region in key_regions(regions):
        # Two models: a region keeps its colour, and B is dashed; of more, models have colours.
        few = len(shown) <= 2
        curves = [
            _region_curve(
                group,
                region,
                name,
                region_colour(region) if few else PALETTE[place],
                dashed=few and place == 1,
                end="AB"[place] if len(shown) == 2 else "",
            )
            for place, (name, group) in enumerate(shown)
        ]
        ceiling = _ceiling(shown[0][1], region)
        charts.append(
            chart(
                curves,
                title=region_title(region),
                unit="Pearson r",
                levels={"noise ceiling": ceiling} if np.isfinite(ceiling) else {},
            )
        )
    parts = [tag("h2", "Layer curves"), tag("div", parts=charts, class_="charts")]
    rest = len(found.groups) - len(shown)
    told = "Bands: intervals of the region's mean. "
    if len(shown) == 2:
        told += f"A, solid: {found.names[0]}; B, dashed: {found.names[1]}. "
    if rest:
        told += f"The first {len(shown)} models; the other {rest} have charts of their own below. "
    depths = {group.first.n_layers for _, group in shown}
    told += "Models of other depths are aligned by relative depth." if len(depths) > 1 else ""
    return [*parts, tag("p", told, class_="note")]


def _common_regions(groups: Sequence[Group]) -> list[str]:
    return [
        name for name in groups[0].region_names if all(name in one.region_names for one in groups)
    ]


def _rows(table: pd.DataFrame, region: str) -> pd.DataFrame:
    return table[table["region"] == region].sort_values("layer")


def _region_curve(
    group: Group, region: str, name: str, colour: str, *, dashed: bool = False, end: str = ""
) -> Curve:
    rows = _rows(group.regions(), region)
    values, low, high = (rows[column].to_numpy(dtype=float) for column in ("r", "low", "high"))
    return Curve(name, values, colour, low, high, dashed, end)


def _ceiling(group: Group, region: str) -> float:
    rows = _rows(group.regions(), region)
    return float(rows["ceiling"].iloc[0]) if len(rows) else float("nan")


def difference_section(found: Gathered) -> list[Tree.Element]:
    """Return the differences of the two models, with their intervals and p values."""
    pair = found.pair
    if pair is None or pair.a.first.n_layers != pair.b.first.n_layers:
        return []
    table = pair.regions()
    names = [str(name) for name in dict.fromkeys(table["region"])]
    charts = []
    for region in key_regions(names):
        own = _rows(table, region)
        values, low, high = (own[one].to_numpy(float) for one in ("difference", "low", "high"))
        curve = Curve("A minus B", values, region_colour(region), low, high)
        charts.append(chart([curve], title=region_title(region), unit="difference of r"))
    last = table[table["layer"] == table["layer"].max()]
    tested = bool(last["p"].notna().any())
    heads = ["region", "A", "B", "A minus B", *(["p", "p, Holm"] if tested else [])]
    rows = [
        [
            region_title(str(row["region"])),
            _number(row["a"]),
            _number(row["b"]),
            with_interval(row["difference"], row["low"], row["high"], "+.3f"),
            *([_p(row["p"]), _p(row["p_holm"])] if tested else []),
        ]
        for _, row in last.iterrows()
    ]
    return [
        tag("h2", "Difference of A and B"),
        tag("div", parts=charts, class_="charts"),
        table_of(heads, rows, f"At the last layer. {pair.interval_line()}; each interval is of "
                 "one region, not corrected for their number."),
    ]  # fmt: skip


def model_section(group: Group, name: str, files: Mapping[str, str]) -> list[Tree.Element]:
    """Return one model's curves and table.

    Parameters
    ----------
    group : Group
        The model's results.
    name : str
        What it is called.
    files : mapping of str to str
        What can be saved: file name to the name of its packed text.
    """
    table = group.regions()
    names = list(group.region_names)
    shown = key_regions(names)
    curves = [_region_curve(group, one, region_title(one), region_colour(one)) for one in shown]
    heads = ["region", "best layer", "r there", "r at the last layer", "noise ceiling", "covered"]
    lines = [_summary(_rows(table, one), one) for one in names]
    notes = [significance_sentence(group.first), group.interval_line(), provenance_line(group)]
    each = subject_lines(group) if group.n_subjects > 1 else []
    return [
        tag("h2", name),
        tag("div", parts=[chart(curves, title="Regions", unit="Pearson r")], class_="charts"),
        table_of(heads, lines, "Means of regions, with intervals in brackets."),
        _savable(files),
        *(tag("p", note, class_="source") for note in notes),
        *folded("Every subject", each),
    ]


def folded(head: str, lines: Sequence[str]) -> list[Tree.Element]:
    """Fold lines away behind a heading; nothing without lines."""
    parts = [tag("summary", head), *(tag("p", line, class_="source") for line in lines)]
    return [tag("details", parts=parts)] if lines else []


def _summary(rows: pd.DataFrame, region: str) -> list[str]:
    if rows.empty or rows["r"].isna().all():
        return [region_title(region), "-", "-", "-", "-", "-"]
    best, last = rows.iloc[int(np.nanargmax(rows["r"]))], rows.iloc[-1]
    covered = float(rows["coverage"].max())
    return [
        region_title(region),
        f"{int(best['layer'])} of {int(last['layer'])}",
        with_interval(best["r"], best["low"], best["high"]),
        with_interval(last["r"], last["low"], last["high"]),
        _number(best["ceiling"]),
        f"{covered:.0%}" if np.isfinite(covered) else "-",
    ]


# ---- probes and tuned models ----------------------------------------------------------------


def probing_section(
    results: Sequence[ProbingResult], files: Mapping[str, str]
) -> list[Tree.Element]:
    """Return one chart per task, with all results that were asked the same in it."""
    if not results:
        return []
    parts = [tag("h2", "Probes")]
    tasks = dict.fromkeys(task for one in results for task in one.tasks)
    charts = [_task_chart([one for one in results if task in one.tasks], task) for task in tasks]
    parts.append(tag("div", parts=charts, class_="charts"))
    parts.append(_savable(files))
    intervals = dict.fromkeys(one.interval_line() for one in results)
    parts += [tag("p", line, class_="source") for line in intervals]
    return parts + folded("Every result", [one.provenance_line() for one in results])


def _task_chart(results: Sequence[ProbingResult], task: str) -> Tree.Element:
    curves = []
    for place, one in enumerate(results[:_MOST_CURVES]):
        rows = one.table()
        rows = rows[rows["task"] == task].sort_values("layer")
        colour = GREY if one.n_layers == 1 else PALETTE[place]
        curve = Curve(one.model, one.score(task), colour, dashed=place > 0)
        if place == 0:  # bands of several would hide each other
            low, high = (rows[end].to_numpy(dtype=float) for end in ("low", "high"))
            curve = replace(curve, low=low, high=high)
        curves.append(curve)
    first = results[0]
    chance = float(np.nanmean(first.chance(task)))
    return chart(
        curves,
        title=task_title(task),
        unit=METRIC_TITLES[first.metric(task)],
        levels={"chance": chance},
    )


def tuning_section(results: Sequence[TuningResult]) -> list[Tree.Element]:
    """Return the course of every training."""
    if not results:
        return []
    parts = [tag("h2", "Tuned models")]
    for one in results:
        history = one.record["history"]
        charts = []
        r = np.array([list(epoch["validation_r"].values()) for epoch in history], dtype=float)
        curves = [
            Curve(subject, r[:, place], PALETTE[place % len(PALETTE)])
            for place, subject in enumerate(history[0]["validation_r"])
        ]
        charts.append(chart(curves, title="Validation", unit="Pearson r", axis="epoch"))
        losses = np.array([np.nan if e["loss"] is None else e["loss"] for e in history])
        loss = Curve("training", losses.astype(float), PALETTE[0])
        charts.append(chart([loss], title="Loss", unit="loss", axis="epoch"))
        for made in charts:  # epochs are no layers: a click must not move the surfaces
            made.set("data-last", "0")
        parts += [
            tag("h3", one.folder.name),
            tag("p", one.line()),
            tag("div", parts=charts, class_="charts"),
            tag("p", tuning_line(one.record), class_="source"),
        ]
    return parts


# ---- methods and provenance -----------------------------------------------------------------


def methods_section(
    methods: Mapping[str, Methods], sources: Mapping[str, Source], cited: Iterable[str]
) -> list[Tree.Element]:
    """Return the methods of everything, equal texts once, then what to cite.

    Parameters
    ----------
    methods : mapping of str to Methods
        By what they are of.
    sources : mapping of str to Source
        By the name of the data set.
    cited : iterable of str
        Further names in ``REFERENCES``.
    """
    parts = [tag("h2", "Methods")]
    said: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, one in methods.items():
        said.setdefault(one.paragraphs, []).append(name)
    for paragraphs, names in said.items():
        parts.append(tag("h3", ", ".join(names)))
        pairs = [cell for head, text in paragraphs for cell in (tag("dt", head), tag("dd", text))]
        parts.append(tag("dl", parts=pairs))
    parts.append(tag("h3", "Cite"))
    data = [
        f"{name}: {one.citation or 'its citation is not recorded'}"
        + (f" Licence: {one.licence}." if one.licence else " Its licence is not recorded.")
        for name, one in sources.items()
    ]
    listed = [*(name for one in methods.values() for name in one.cited), *cited]
    works = [*data, *written(listed), "braindash: see CITATION.cff."]
    parts.append(tag("ol", parts=[tag("li", work) for work in works], class_="references"))
    return parts


def provenance_section(files: Mapping[str, str]) -> list[Tree.Element]:
    """Return the records of all results, packed until they are opened."""
    told = "What was asked for and how it was made, in full; places on the machine are left out."
    return [
        tag("h2", "Provenance"),
        tag("p", told, class_="note"),
        *(_savable({file: name}) for file, name in files.items()),
    ]


def _savable(files: Mapping[str, str]) -> Tree.Element:
    kinds = {"csv": "text/csv", "json": "application/json"}
    places = [
        tag("div", parts=[tag("strong", f"{file} ")], data_packed=name, data_file=file,
            data_kind=kinds[file.rsplit(".", 1)[-1]])
        for file, name in files.items()
    ]  # fmt: skip
    return tag("div", parts=places)


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Tree.Element:
    """Make a table, in a frame that scrolls where it is too wide."""
    head = tag("tr", parts=[tag("th", one, scope="col") for one in heads])
    body = [tag("tr", parts=[tag("td", cell) for cell in row]) for row in rows]
    made = tag("table", parts=[tag("caption", caption), tag("thead", parts=[head]),
                               tag("tbody", parts=body)])  # fmt: skip
    return tag("div", parts=[made], class_="scroll", tabindex="0")


def _number(value: Any) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _p(value: Any) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
