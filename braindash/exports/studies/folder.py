"""A study in a folder of its own: page, figures, tables, file, record and, on request, results."""

from collections.abc import Callable, Sequence
from pathlib import Path

from braindash.exports.figures import require_format
from braindash.exports.folder import whole_folder, write_item
from braindash.exports.source import json_bytes
from braindash.exports.studies.items import StudyFigures, table_items
from braindash.exports.studies.page import study_page
from braindash.files import replace_text
from braindash.names import given_path
from braindash.progress import NoProgress, Progress
from braindash.studies.record import FILE, RECORD, RESULTS, StudyRecord

PAGE = "report.html"


def export_study(
    figures: StudyFigures,
    record: StudyRecord,
    place: Path | str,
    *,
    formats: Sequence[str] = ("svg", "pdf", "png"),
    add: Callable[[Path], object] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a study to a new folder.

    Parameters
    ----------
    figures : StudyFigures
        What is drawn.
    record : StudyRecord
        The study, without places of this machine in what is written.
    place : path
        A new folder, or an empty one.
    formats : sequence of {"svg", "pdf", "png"}
        Of the figures.
    add : callable, optional
        Puts further files, such as the results, into the folder before it takes its place.
    progress : Progress, optional
        Told of every figure.

    Returns
    -------
    Path
        The folder: ``report.html``, ``study.toml``, ``study.json``, ``figures/``, ``tables/``.

    Raises
    ------
    InputError
        A format is none, or something is in the way.
    StoreError
        The disk is full or read-only; nothing half-written stays behind.
    """
    for form in formats:
        require_format(form)
    report, names = progress or NoProgress(), figures.names
    with whole_folder(place) as folder:
        drawn, tables = folder / "figures", folder / "tables"
        drawn.mkdir()
        tables.mkdir()
        for number, name in enumerate(names):
            report.advance(number, len(names) + 1, f"figure {name}")
            for item in figures.make(name):
                write_item(item, drawn, ("figures",), formats)
                write_item(item, tables, ("data",), formats)
        source = figures.source("All scores of the study")
        for item in table_items(figures.results, source):
            write_item(item, tables, ("data",), formats)
        report.advance(len(names), len(names) + 1, "the page")
        pictures = {path.stem: path.read_bytes() for path in drawn.glob("*.svg")}
        replace_text(folder / PAGE, study_page(figures, record, pictures).html)
        told = record.shared()
        replace_text(folder / FILE, str(told["text"]))
        (folder / RECORD).write_bytes(json_bytes(told))
        if add is not None:
            add(folder / RESULTS)
    report.advance(1, 1, "written")
    return given_path(place, exact=True)
