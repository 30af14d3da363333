"""Figures of models that a study tunes, and of probes with the mean of every group of models."""

from collections.abc import Iterator

import pandas as pd

from braindash.exports.results import Item
from braindash.exports.source import file_name
from braindash.exports.studies.view import StudyView
from braindash.probing.tasks import METRIC_TITLES
from braindash.studies.means import probe_group_table, tuning_probe_table, tuning_table
from braindash.studies.models import TuneTable
from braindash.studies.summaries import layers_words
from braindash.views.probes import task_title
from braindash.views.studies.lines import SPREADS, probe_lines
from braindash.views.studies.sweeps import value_curves

AXIS_TITLES = {
    "hours": "Hours of responses per subject",
    "rank": "Rank of the adapters",
    "loss": "Loss",
    "head": "Head",
    "steps": "Steps of the optimiser",
}
"""What tuning curves are drawn against."""


def tuning_curves(study: StudyView) -> Iterator[Item]:
    """Draw alignment and probes of tuned models against every setting that is varied."""
    for table, axis in _varied(study):
        found = tuning_table(study.results, table, axis, study.chosen)
        if not found.empty:
            yield _alignment(study, table, axis, found)
        probed = tuning_probe_table(study.results, table, axis, study.chosen)
        if not probed.empty:
            yield _probes(study, table, axis, probed)


def _alignment(study: StudyView, table: TuneTable, axis: str, found: pd.DataFrame) -> Item:
    title = f"Tuning curve: {AXIS_TITLES[axis].lower()} ({table.name})"
    details = [
        study.measure_line(),
        "Each subject's score is that of the model tuned on it; of models of no subject, or of "
        "several, that of the one model. Dashed: the same subjects before tuning. Lines are what "
        "differs beside; the table also has the mean over subjects that a model was not tuned on.",
        f"Bands: {SPREADS[study.spread]}.",
        *study.interval_lines(),
    ]
    figure = value_curves(
        found,
        study.chosen.regions,
        title=AXIS_TITLES[axis],
        spread=study.spread,
        best=_before(found, "region"),
    )
    name = file_name("tuning", table.name, axis)
    return Item(name, study.source(title, *details), figure=figure, table=found)


def _probes(study: StudyView, table: TuneTable, axis: str, found: pd.DataFrame) -> Item:
    title = f"Tuning curve of probes: {AXIS_TITLES[axis].lower()} ({table.name})"
    rule = layers_words(study.chosen.layers)
    details = [
        f"Probing score: share above chance, 1 is perfect, {rule}. Bands: standard errors over "
        "the models of a point, such as those tuned on one subject each; none of one model. "
        "Dashed: before tuning.",
    ]
    tasks = list(dict.fromkeys(found["task"]))
    none = float("nan")
    figure = value_curves(
        found.assign(region=found["task"], low=none, high=none),
        tasks,
        title=AXIS_TITLES[axis],
        spread="se",
        best=_before(found, "task"),
        score="Share above chance",
        titles={task: task_title(task) for task in tasks},
    )
    name = file_name("tuning", table.name, axis, "probes")
    return Item(name, study.source(title, *details), figure=figure, table=found)


def has_tuning_curves(study: StudyView) -> bool:
    """Say whether models are tuned with several values of a setting, and have results."""
    there = {*study.groups, *study.results.probings}
    models = study.results.tables.models
    return any(there & set(table.variants(models)) for table, _ in _varied(study))


def probes(study: StudyView) -> Iterator[Item]:
    """Draw every probing task by layer, models of one group as mean and standard error."""
    table, notes = probe_group_table(study.results)
    if table.empty:
        return
    names = list(dict.fromkeys(table["model"]))
    colours = study.colours
    free = (ink for name, ink in colours.items() if name not in names)
    inks = {name: colours.get(name) or next(free) for name in names}
    details = [
        "Score on the test part by layer. Groups of models, such as those tuned on one subject "
        "each, are drawn as their mean, shaded by the standard error over these models: how much "
        "models differ, not how sure a score is. A single model has no band here; its interval is "
        "on the page Probes and in the table of all probes.",
        "Dotted: chance.",
        *notes,
    ]
    tasks = list(dict.fromkeys(table["task"]))
    titles = {task: task_title(task) for task in tasks}
    metrics = dict(zip(table["task"], table["metric"].map(METRIC_TITLES), strict=True))
    figure = probe_lines(table, titles, metrics=metrics, colours=inks)
    yield Item(
        "probe-curves", study.source("Probes by layer", *details), figure=figure, table=table
    )


def has_probes(study: StudyView) -> bool:
    """Say whether any model was probed."""
    return bool(study.results.probings)


# ---- small parts ----------------------------------------------------------------------------


def _varied(study: StudyView) -> Iterator[tuple[TuneTable, str]]:
    for table in study.results.tables.tune:
        for axis in table.varied():
            yield table, axis


def _before(found: pd.DataFrame, panel: str) -> dict[str, float]:
    """Return the base's score by panel, where it is known."""
    known = found.dropna(subset=["base"]).drop_duplicates(panel)
    return {str(name): float(base) for name, base in zip(known[panel], known["base"], strict=True)}
