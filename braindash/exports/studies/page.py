"""A study as one HTML file: figures, numbers, methods and provenance, without a network."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Tree

import braindash
from braindash.core.statistics.words import counted
from braindash.exports.figures import figure_files, picture_files
from braindash.exports.report.build import Report
from braindash.exports.report.methods import (
    Methods,
    Source,
    encoding_methods,
    probing_methods,
    source_of,
)
from braindash.exports.report.page import Packed, joined
from braindash.exports.report.sections import (
    folded,
    methods_section,
    provenance_section,
    table_of,
    tag,
)
from braindash.exports.results import Item
from braindash.exports.source import file_name
from braindash.exports.studies.items import FIGURES, TITLES, StudyFigures, table_items
from braindash.names import without_places
from braindash.studies.record import StudyRecord

_WIDTH = "1100"  # of a figure, in pixels; a narrower window shrinks it
_MOST_ROWS = 20_000  # of a table in the page; those of single targets lie in the folder alone
_NOTHING: Mapping[str, Any] = {"panels": [], "settings": {}, "pair": None}


def study_page(
    figures: StudyFigures, record: StudyRecord, drawn: Mapping[str, bytes] | None = None
) -> Report:
    """Make the page of a study.

    Parameters
    ----------
    figures : StudyFigures
        What it shows.
    record : StudyRecord
        Its file and its keys.
    drawn : mapping of str to bytes, optional
        Figures that are drawn already, as SVG, by the names of their items.

    Returns
    -------
    Report
        Made, and not yet written.
    """
    packed, results = Packed(), figures.results
    body = [*_opening(figures, record)]
    for name in figures.names:
        body += _figure(TITLES[name], figures, figures.make(name), packed, drawn or {})
    body += _lacking(figures)
    body += _tables(figures, packed)
    body += methods_section(_methods(figures), _sources(figures), [])
    body += provenance_section(_records(figures, record, packed))
    html, sizes = joined(results.tables.title, body, packed, _NOTHING)
    count = len(results.keys)
    return Report(results.tables.title, html, sizes, count, 0, results.simulated)


def _opening(figures: StudyFigures, record: StudyRecord) -> Iterable[Tree.Element]:
    results = figures.results
    yield tag("h1", results.tables.title)
    if results.simulated:
        yield tag("div", "SIMULATED DATA", class_="stamp")
        yield tag("p", "Responses come from a generator: no evidence about brains.", class_="note")
    if results.tables.note:
        yield tag("p", results.tables.note)
    rows = [
        [
            one.name,
            one.role,
            record.models[one.name].name if one.name in record.models else one.model,
            one.base or "-",
            ", ".join(record.models[one.name].tuned_on) if one.name in record.models else "",
        ]
        for one in results.ordered()
    ]
    heads = ["model", "role", "files", "base", "tuned on"]
    yield table_of(heads, rows, "Models of this study.")
    yield from folded("How each was scored", figures.model_lines)
    if results.missing:
        yield tag("p", f"Not in it yet: {_missing(figures)}.", class_="note")
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    yield tag(
        "p",
        f"Written on {when} by braindash {braindash.__version__} from "
        f"{counted(len(results.keys), 'stored result')}. This file asks nothing of any network.",
        class_="source",
    )


def _missing(figures: StudyFigures) -> str:
    told = [one.told() for one in figures.results.missing]
    rest = len(told) - 8
    return ", ".join(told[:8]) + (f" and {rest} more" if rest > 0 else "")


def _figure(
    title: str,
    figures: StudyFigures,
    items: Sequence[Item],
    packed: Packed,
    drawn: Mapping[str, bytes],
) -> list[Tree.Element]:
    """Return a heading, the drawing with its line, and the numbers to save."""
    parts = [tag("h2", title)]
    files = {}
    for item in items:
        if item.figure is not None or item.picture is not None:
            parts.append(_drawing(item, drawn.get(item.name)))
            parts.append(tag("p", item.source.stamped, class_="source"))
            own = [one for one in item.source.details if one not in figures.model_lines]
            parts += folded("Details", own)
        if item.table is not None and len(item.table) <= _MOST_ROWS:
            files[f"{item.name}.csv"] = packed.text("tables", item.table.to_csv(index=False))
    return [*parts, savable(files)]


def _drawing(item: Item, drawn: bytes | None) -> Tree.Element:
    """Embed a figure as it is written to files; its text stays text."""
    content = drawn
    if content is None and item.picture is not None:
        content = picture_files(item.picture, ["svg"], item.source)["svg"]
    elif content is None:
        content = figure_files(item.figure, ["svg"], item.source)["svg"]
    address = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    picture = tag("img", src=address, alt=item.source.title, width=_WIDTH)
    return tag("div", parts=[picture], class_="scroll", tabindex="0")


def savable(files: dict[str, str]) -> Tree.Element:
    """Offer packed texts by the names of their files."""
    kinds = {"csv": "text/csv", "json": "application/json", "toml": "application/toml"}
    places = [
        tag(
            "div",
            parts=[tag("strong", f"{file} ")],
            data_packed=name,
            data_file=file,
            data_kind=kinds[file.rpartition(".")[2]],
        )
        for file, name in files.items()
    ]
    return tag("div", parts=places)


def _lacking(figures: StudyFigures) -> list[Tree.Element]:
    """Say which figures the stored results do not allow."""
    absent = [TITLES[name] for name in FIGURES if name not in figures.names]
    if not absent:
        return []
    told = f"Not drawn, because the stored results do not allow it: {', '.join(absent)}."
    return [tag("p", told, class_="note")]


def _tables(figures: StudyFigures, packed: Packed) -> list[Tree.Element]:
    source = figures.source("All scores of the study")
    files = {
        f"{item.name}.csv": packed.text("tables", item.table.to_csv(index=False))
        for item in table_items(figures.results, source)
        if item.table is not None
    }
    note = "Every score, by model, subject, layer and region, and every probe."
    return [tag("h2", "All numbers"), tag("p", note, class_="note"), savable(files)]


def _methods(figures: StudyFigures) -> dict[str, Methods]:
    written = {name: encoding_methods(one) for name, one in figures.groups.items()}
    probed = figures.results.probings.items()
    return written | {f"Probes of {name}": probing_methods(one) for name, one in probed}


def _sources(figures: StudyFigures) -> dict[str, Source]:
    every = [one.first for one in figures.groups.values()]
    return {one.data: source_of(one) for one in (*every, *figures.results.probings.values())}


def _records(figures: StudyFigures, record: StudyRecord, packed: Packed) -> dict[str, str]:
    """Pack the study's own record and that of every result; gives names by their files'."""
    told = {f"study-{file_name(record.name)}.json": record.shared()}
    loaded = [one for group in figures.results.groups.values() for one in group.results]
    for one in (*loaded, *figures.results.probings.values()):
        content = {"spec": one.spec, "provenance": without_places(one.provenance)}
        told[f"{one.kind}-{one.key[:12]}.json"] = content
    return {
        name: packed.text("provenance", json.dumps(content, indent=1, ensure_ascii=False))
        for name, content in told.items()
    }
