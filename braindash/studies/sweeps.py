"""Figures of settings that are varied, as tables: lags, contexts, shares of training stories."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from braindash.core.statistics.components import nanmean
from braindash.encoding.several.groups import Group
from braindash.files import parse_json
from braindash.studies.file import SweepTable
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    Chosen,
    RegionScores,
    mean_columns,
    region_scores,
    standard_errors,
)


def sweep_table(results: StudyResults, sweep: SweepTable, chosen: Chosen) -> pd.DataFrame:
    """Tabulate the subjects' mean score at every value of a setting, over the chosen layers.

    Where shares of the training stories are drawn several times, a subject's score is the mean over
    the draws, of those subjects who have all of them.

    Parameters
    ----------
    results : StudyResults
        With results of the sweep.
    sweep : SweepTable
        One of the study's.
    chosen : Chosen
        Regions, layers and score; the preset is the study's first one.

    Returns
    -------
    pandas.DataFrame
        One row per model, value and region, in the order of the file: ``sweep``, ``setting``,
        ``model``, ``role``, ``setting_value`` (as JSON), ``setting_number`` (NaN of values that are
        none), ``region``, ``measure``, ``alignment`` (mean over subjects), ``se`` (standard error
        over subjects; NaN with one), ``low``, ``high`` (95 % interval), ``of_draws`` (standard
        deviation of the subjects' mean over draws; NaN with one), ``n_draws``,
        ``training_stories`` and ``training_rows`` (mean over draws), ``n_subjects``, ``simulated``.
        Empty without results.
    """
    parts = []
    for common, groups in _points(results, sweep):
        scores = mean_of_draws(groups, chosen)
        means = [nanmean(region_scores(one, chosen).values) for one in groups]
        parts.append(
            pd.DataFrame(
                {
                    **common,
                    **mean_columns(groups[0], scores, chosen),
                    "of_draws": np.std(means, axis=0, ddof=1) if len(means) > 1 else np.nan,
                    **_counts(groups),
                    **_training(groups),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def layer_table(results: StudyResults, sweep: SweepTable, chosen: Chosen) -> pd.DataFrame:
    """Tabulate the subjects' mean score at every value of a setting, layer by layer.

    Parameters
    ----------
    results, sweep, chosen
        As for :func:`sweep_table`; the chosen layers play no part.

    Returns
    -------
    pandas.DataFrame
        One row per model, value, region and layer: ``sweep``, ``setting``, ``model``, ``role``,
        ``setting_value``, ``setting_number``, ``region``, ``layer``, ``depth`` (layer / last
        layer), ``measure``, ``alignment``, ``se``, ``n_draws``, ``n_subjects``, ``simulated`` as
        in :func:`sweep_table`. Empty without results.
    """
    parts = []
    for common, groups in _points(results, sweep):
        places = [groups[0].region_names.index(name) for name in chosen.regions]
        each = [one.values(normalised=chosen.normalised)[:, :, places] for one in groups]
        values = nanmean(np.stack(each))  # (n_subjects, n_layers, n_regions)
        layers, regions = np.indices(values.shape[1:])
        parts.append(
            pd.DataFrame(
                {
                    **common,
                    "region": np.array(chosen.regions)[regions.ravel()],
                    "layer": layers.ravel(),
                    "depth": layers.ravel() / max(1, values.shape[1] - 1),
                    "measure": chosen.score,
                    "alignment": nanmean(values).ravel(),
                    "se": standard_errors(values).ravel(),
                    **_counts(groups),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def best_of_bases(table: pd.DataFrame) -> pd.Series:
    """Return the highest mean score that a base has at any value, by region.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`sweep_table`.

    Returns
    -------
    pandas.Series
        Indexed by region; without bases of the sweep empty.
    """
    bases = table[table["role"] == "base"]
    return bases.groupby("region", sort=False)["alignment"].max()


def sweeps_of(results: StudyResults, *settings: str) -> list[SweepTable]:
    """Return the sweeps of some settings of which there are results."""
    there = {place.sweep for place in results.swept}
    return [one for one in results.tables.sweeps if one.name in there and one.setting in settings]


def mean_of_draws(groups: Sequence[Group], chosen: Chosen) -> RegionScores:
    """Average the scores of every subject, and alike their replicates, over draws.

    Replicates draw the same test rows whatever a model was fitted to.
    """
    found = [region_scores(one, chosen) for one in groups]
    values = nanmean(np.stack([one.values for one in found]))
    samples = [one.samples for one in found if one.samples is not None]
    if len(samples) < len(found):
        return RegionScores(values, None)
    count = min(one.shape[1] for one in samples)
    return RegionScores(values, nanmean(np.stack([one[:, :count] for one in samples])))


def same_subjects(groups: Sequence[Group]) -> list[Group]:
    """Leave in every group the subjects that all of them have; none where nobody is in all."""
    common = set.intersection(*(set(one.subjects) for one in groups)) if groups else set()
    if not common:
        return []
    return [
        Group.of(result for result in one.results if result.subject in common) for one in groups
    ]


def number_of(value: str) -> float:
    """Read a value as a number, also a list of one number; NaN for others."""
    read: Any = parse_json(value)
    if isinstance(read, list) and len(read) == 1:
        (read,) = read
    is_number = isinstance(read, int | float) and not isinstance(read, bool)
    return float(read) if is_number else float("nan")


def _points(
    results: StudyResults, sweep: SweepTable
) -> Iterator[tuple[dict[str, Any], list[Group]]]:
    """Yield what names each model and value, in the order of the file, and the groups of draws."""
    for model in results.tables.swept(sweep):
        drawn: dict[str, list[Group]] = {}
        for place, group in results.swept.items():
            if (place.sweep, place.model) == (sweep.name, model.name):
                drawn.setdefault(place.value, []).append(group)
        for value, every in drawn.items():
            groups = same_subjects(every)
            common = {
                "sweep": sweep.name,
                "setting": sweep.setting,
                "model": model.name,
                "role": model.role,
                "setting_value": value,
                "setting_number": number_of(value),
            }
            if groups:
                yield common, groups


def _counts(groups: Sequence[Group]) -> dict[str, Any]:
    first = groups[0]
    return {
        "n_draws": len(groups),
        "n_subjects": first.n_subjects,
        "simulated": first.simulated,
    }


def _training(groups: Sequence[Group]) -> dict[str, float]:
    """Count the training stories and their rows, in the mean over subjects and draws."""
    every = [one for group in groups for one in group.results]
    return {
        "training_stories": float(np.mean([len(one.spec["train"]) for one in every])),
        "training_rows": float(np.mean([one.n_training_rows for one in every])),
    }
