"""Models of a group as their mean: tuning curves of alignment and of probes, probes by layer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from braindash.core.statistics.components import nanmean
from braindash.encoding.several.groups import Group
from braindash.errors import InputError
from braindash.probing.result import ProbingResult
from braindash.probing.several import probing_mean
from braindash.studies.file import value_text
from braindash.studies.models import TuneTable, Variant
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    Chosen,
    RegionScores,
    layers_of,
    mean_columns,
    region_scores,
    standard_errors,
    tasks_of,
)

Point = tuple[str, Any, dict[str, Variant]]
"""A line, a value, and the models of it, by name."""


def tuning_table(
    results: StudyResults, table: TuneTable, axis: str, chosen: Chosen
) -> pd.DataFrame:
    """Tabulate the alignment of models that a study tunes, against one of their settings.

    Where a model is tuned on each subject, a subject's score is that of the model tuned on it;
    of models of no subject or of several it is that of the one model. Subjects are those whom the
    table tunes on.

    Parameters
    ----------
    results : StudyResults
    table : TuneTable
        One of the study's.
    axis : {"hours", "rank", "loss", "head", "steps"}
        What is varied; models that differ in anything else are on lines of their own.
    chosen : Chosen
        Preset, regions, layers and score.

    Returns
    -------
    pandas.DataFrame
        One row per line, value and region: ``tuning`` (the table), ``setting``, ``model`` (the
        line), ``role``, ``setting_value`` (as JSON), ``setting_number`` (NaN of values that are
        none; of hours the mean of what there was), ``region``, ``measure``, ``alignment`` (mean
        over subjects), ``se`` (over subjects), ``low``, ``high`` (95 % interval), ``base`` (mean of
        the same subjects before tuning; NaN without), ``others`` (mean score of subjects by models
        that were not tuned on them; NaN without), ``n_models``, ``n_subjects``, ``simulated``.
        Empty without results.
    """
    groups, parts = results.of(chosen.preset), []
    for line, value, models in _points(results, table, axis):
        there = {name: groups[name] for name in models if name in groups}
        found = _own_scores(there, models, table, chosen)
        if found is None:
            continue
        group, scores = found
        base = groups.get(next(iter(models.values())).base)
        before = None if base is None else _of_subjects(base, group.subjects, chosen)
        nothing = np.full(len(chosen.regions), np.nan)
        parts.append(
            pd.DataFrame(
                {
                    **_named(results, table, axis, line, value, there),
                    **mean_columns(group, scores, chosen),
                    "base": nothing if before is None else nanmean(before),
                    "others": _others(there, models, chosen),
                    "n_models": len(there),
                    "n_subjects": group.n_subjects,
                    "simulated": group.simulated,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def tuning_probe_table(
    results: StudyResults, table: TuneTable, axis: str, chosen: Chosen
) -> pd.DataFrame:
    """Tabulate the probing scores of models that a study tunes, against one of their settings.

    Parameters
    ----------
    results, table, axis, chosen
        As for :func:`tuning_table`; of ``chosen`` the layers count.

    Returns
    -------
    pandas.DataFrame
        One row per line, value and task: ``tuning``, ``setting``, ``model``, ``role``,
        ``setting_value``, ``setting_number`` as there; ``task``, ``alignment`` (share above chance
        over the chosen layers, mean over the models), ``se`` (over the models; NaN with one),
        ``base`` (before tuning), ``n_models``, ``simulated``. Empty without results.
    """
    rows = []
    for line, value, models in _points(results, table, axis):
        probed = {name: results.probings[name] for name in models if name in results.probings}
        base = results.probings.get(next(iter(models.values())).base)
        for task in tasks_of(results):
            own = {name: one for name, one in probed.items() if task in one.tasks}
            if not own:
                continue
            scores = np.array([_above(one, task, chosen) for one in own.values()])
            known = base is not None and task in base.tasks
            rows.append(
                {
                    **_named(results, table, axis, line, value, own),
                    "task": task,
                    "alignment": float(scores.mean()),
                    "se": float(standard_errors(scores)),
                    "base": _above(base, task, chosen) if base and known else np.nan,
                    "n_models": len(own),
                    "simulated": any(one.simulated for one in own.values()),
                }
            )
    return pd.DataFrame(rows)


def probe_group_table(results: StudyResults) -> tuple[pd.DataFrame, list[str]]:
    """Tabulate the probing scores of models by layer, models of one group as their mean.

    Returns
    -------
    table : pandas.DataFrame
        One row per group, task and layer: ``model`` (the group, or a model without one), ``role``,
        ``task``, ``layer``, ``depth`` (layer / last layer), ``score`` (mean over the models),
        ``se`` (``sd / sqrt(n)`` over the models; NaN with one), ``n_models``, ``models``,
        ``chance``, ``metric``, ``simulated``.
    notes : list of str
        Which models have no mean, and why.
    """
    members: dict[str, list[str]] = {}
    for one in results.ordered():
        if one.name in results.probings:
            members.setdefault(one.group or one.name, []).append(one.name)
    parts, notes = [], []
    for group, names in members.items():
        found = [results.probings[name] for name in names]
        try:
            table = _mean(found)
        except InputError as error:
            notes.append(f"{group} has no mean: {error.message}.")
            continue
        first = found[0]
        chance = {task: first.chance(task) for task in first.tasks}
        parts.append(
            table.assign(
                model=group,
                role=results.tables.model(names[0]).role,
                depth=table["layer"] / max(1, first.n_layers - 1),
                models=", ".join(names),
                chance=[
                    float(chance[task][layer])
                    for task, layer in zip(table["task"], table["layer"], strict=True)
                ],
            )
        )
    if not parts:
        return pd.DataFrame(), notes
    every = pd.concat(parts, ignore_index=True)
    named = ["model", "role", "task", "layer", "depth", "score", "se", "n_models", "models"]
    return every[[*named, "chance", "metric", "simulated"]], notes


# ---- small parts ----------------------------------------------------------------------------


def _points(results: StudyResults, table: TuneTable, axis: str) -> Iterator[Point]:
    """Yield the models of every point, line by line, in the order of the table's lists."""
    variants = table.variants(results.tables.models)
    found: dict[tuple[str, Any], dict[str, Variant]] = {}
    for name, line in table.lines(variants, axis).items():
        value = getattr(variants[name], axis)
        found.setdefault((line, value), {})[name] = variants[name]
    for (line, value), models in found.items():
        yield line, value, models


def _named(
    results: StudyResults,
    table: TuneTable,
    axis: str,
    line: str,
    value: Any,
    there: Mapping[str, Any],
) -> dict[str, Any]:
    """Say what a point is of."""
    number = float(value) if isinstance(value, int | float) else float("nan")
    if axis == "hours":  # as many as whole stories hold
        facts = [results.models[name] for name in there if name in results.models]
        known = [one.hours / max(1, len(one.tuned_on)) for one in facts if one.hours is not None]
        number = float(np.mean(known)) if known else number
    return {
        "tuning": table.name,
        "setting": axis,
        "model": line,
        "role": results.tables.model(next(iter(there))).role,
        "setting_value": value_text(value),
        "setting_number": number,
    }


def _own_scores(
    groups: Mapping[str, Group], models: Mapping[str, Variant], table: TuneTable, chosen: Chosen
) -> tuple[Group, RegionScores] | None:
    """Return the scores of the subjects that are tuned on, each of the model that is tuned on it.

    The group is of these subjects, for what their intervals depend on. None without any.
    """
    rows = {}
    for name, group in groups.items():
        scores, own = region_scores(group, chosen), models[name]
        for place, subject in enumerate(group.subjects):
            if subject in own.subjects and subject in table.subjects:
                drawn = None if scores.samples is None else scores.samples[place]
                rows[subject] = (group.results[place], scores.values[place], drawn)
    if not rows:
        return None
    ordered = [rows[subject] for subject in sorted(rows)]
    samples = [drawn for _, _, drawn in ordered if drawn is not None]
    together = None
    if len(samples) == len(ordered):
        count = min(len(one) for one in samples)
        together = np.stack([one[:count] for one in samples])
    group = Group(tuple(result for result, _, _ in ordered))
    return group, RegionScores(np.stack([values for _, values, _ in ordered]), together)


def _of_subjects(group: Group, subjects: Sequence[str], chosen: Chosen) -> np.ndarray | None:
    """Return the scores of some subjects, (n_subjects, n_regions); None where one is missing."""
    if not set(subjects) <= set(group.subjects):
        return None
    places = [group.subjects.index(name) for name in subjects]
    return region_scores(group, chosen).values[places]


def _others(
    groups: Mapping[str, Group], models: Mapping[str, Variant], chosen: Chosen
) -> np.ndarray:
    """Return the mean score of subjects by models that were not tuned on them."""
    found: dict[str, list[np.ndarray]] = {}
    for name, group in groups.items():
        if not models[name].has_subjects:
            continue
        values = region_scores(group, chosen).values
        for subject, own in zip(group.subjects, values, strict=True):
            if subject not in models[name].subjects:
                found.setdefault(subject, []).append(own)
    if not found:
        return np.full(len(chosen.regions), np.nan)
    return nanmean(np.stack([nanmean(np.stack(each)) for each in found.values()]))


def _above(one: ProbingResult, task: str, chosen: Chosen) -> float:
    return float(one.above_chance(task)[layers_of(chosen.layers, one.n_layers)].mean())


def _mean(found: Sequence[ProbingResult]) -> pd.DataFrame:
    """Average probing results by layer; one by itself has no standard error."""
    if len(found) > 1:
        return probing_mean(found).rename(columns={"mean": "score"})
    (one,) = found
    table = one.table()[["task", "layer", "score", "metric"]]
    return table.assign(se=np.nan, n_models=1, simulated=one.simulated)
