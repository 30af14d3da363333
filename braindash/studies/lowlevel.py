"""How much of the alignment low-level features explain: taken out of a model's, or beside it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from braindash.core.statistics.components import nanmean
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.groups import Group
from braindash.encoding.shares import low_level_shares, variance_parts
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    Chosen,
    RegionScores,
    interval_of,
    layers_of,
    ratio_of_means,
)

_SAMPLES = "residual_region_samples"


def was_removed(result: EncodingResult) -> bool:
    """Say whether low-level features were regressed out of the model's and the rest was scored."""
    return _method(result) == "residual"


def was_divided(result: EncodingResult) -> bool:
    """Say whether explained variance was divided among the model and low-level spaces."""
    return _method(result) == "banded"


def _method(result: EncodingResult) -> str:
    settings = result.spec.get("low_level")
    return "" if settings is None else str(settings["method"])


def weighed_groups(results: StudyResults, preset: str, method: str) -> Iterator[tuple[str, Group]]:
    """Yield the groups whose low level was weighed by a method, with the model's name.

    Those of the preset, then those of sweeps; of one model and space once.

    Parameters
    ----------
    results : StudyResults
    preset : str
        Of the groups; sweeps are of the study's first one.
    method : {"residual", "banded"}
    """
    every = list(results.of(preset).items())
    if preset == results.tables.presets[0]:
        order = [one.name for one in results.ordered()]
        swept = sorted(results.swept.items(), key=lambda one: order.index(one[0].model))
        every += [(place.model, group) for place, group in swept]
    seen = set()
    for name, group in every:
        if not all(_method(one) == method for one in group.results):
            continue
        place = (name, group.first.spec["low_level"]["space"], method)
        usual = not group.first.provenance.get("context_seconds")
        if place not in seen and usual and group.first.provenance.get("train_share", 1) == 1:
            seen.add(place)
            yield name, group


def impact_table(results: StudyResults, chosen: Chosen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate the percent drop of r without low-level features, by model and region.

    The drop is 100 (1 - R) with R = mean(r without) / mean(r) of subject means, over the chosen
    layers and the same targets, with the interval of a ratio of means.

    Returns
    -------
    models : pandas.DataFrame
        ``preset``, ``model``, ``region``, ``space`` (what was taken out), ``role``, ``r``,
        ``residual_r``, ``drop``, ``drop_low``, ``drop_high`` (percent; NaN where r is below .02),
        ``n_subjects``, ``simulated``. Empty where nothing was taken out.
    subjects : pandas.DataFrame
        ``preset``, ``model``, ``region``, ``space``, ``subject``, ``drop``.
    """
    models, subjects = [], []
    for name, group in weighed_groups(results, chosen.preset, "residual"):
        whole, rest = _scores(group, chosen)
        ratio, low, high = ratio_of_means(group, rest, whole)
        common = {
            "preset": chosen.preset,
            "model": name,
            "region": chosen.regions,
            "space": group.first.spec["low_level"]["space"],
        }
        models.append(
            pd.DataFrame(
                {
                    **common,
                    "role": results.tables.model(name).role,
                    "r": nanmean(whole.values),
                    "residual_r": nanmean(rest.values),
                    "drop": 100 * (1 - ratio),
                    "drop_low": 100 * (1 - high),
                    "drop_high": 100 * (1 - low),
                    "n_subjects": group.n_subjects,
                    "simulated": group.simulated,
                }
            )
        )
        own = np.where(np.isfinite(ratio), 100 * (1 - rest.values / whole.values), np.nan)
        subjects += [
            pd.DataFrame(common | {"subject": subject, "drop": drop})
            for subject, drop in zip(group.subjects, own, strict=True)
        ]
    if not models:
        return pd.DataFrame(), pd.DataFrame()
    return pd.concat(models, ignore_index=True), pd.concat(subjects, ignore_index=True)


def _scores(group: Group, chosen: Chosen) -> tuple[RegionScores, RegionScores]:
    """Return the scores with all features, and without low-level ones, of the same targets."""
    layers = layers_of(chosen.layers, group.first.n_layers)
    tables = [low_level_shares(one) for one in group.results]
    has_samples = all(_SAMPLES in one.dataset and one.has_intervals for one in group.results)
    found = []
    for column in ("r", "residual_r"):
        values = [_chosen(table, column, layers, chosen) for table in tables if table is not None]
        samples = None
        if has_samples:
            samples = np.stack([_replicates(one, column, layers, chosen) for one in group.results])
        found.append(RegionScores(np.stack(values), samples))
    return found[0], found[1]


def _chosen(table: pd.DataFrame, column: str, layers: list[int], chosen: Chosen) -> np.ndarray:
    wide = table.pivot(index="layer", columns="region", values=column)
    return nanmean(wide.loc[layers, list(chosen.regions)].to_numpy(dtype=float))


def _replicates(
    result: EncodingResult, column: str, layers: list[int], chosen: Chosen
) -> np.ndarray:
    """Return replicates of the mean over layers, (n_samples, n_regions)."""
    whole = result.samples()
    drawn = whole if column == "r" else result.dataset[_SAMPLES].transpose(*whole.dims)
    drawn = drawn.assign_coords(region=whole["region"]).sel(region=list(chosen.regions))
    return nanmean(np.moveaxis(np.asarray(drawn.values, dtype=float)[:, layers], 1, 0))


# ---- variance divided among spaces ----------------------------------------------------------


def partition_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Tabulate what each set of spaces explains and no other does, by model and region.

    Parameters
    ----------
    results : StudyResults
        With encodings, or sweeps of them, by the method "banded".
    chosen : Chosen
        Regions and layers; R² is never divided by a ceiling.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``role``, ``spaces`` (the low-level ones, joined by +), ``region``,
        ``explained_by`` (names of the spaces that explain it, joined by " & ", the model first),
        ``n_spaces`` (of the part), ``r2`` (mean over subjects of the region's mean over the chosen
        layers; the parts of one region add up to its joint R²), ``low``, ``high`` (Student's over
        subjects, who hear this very story; NaN with fewer than three), ``n_subjects``,
        ``simulated``. Empty where nothing was divided.
    """
    rows = []
    for name, group in weighed_groups(results, chosen.preset, "banded"):
        each = [_parts(one, chosen) for one in group.results]
        for part in each[0]:
            values = np.stack([one[part] for one in each])
            low, high = interval_of(group, RegionScores(values, None))
            told = [name if place == group.model else place for place in part]
            rows.append(
                pd.DataFrame(
                    {
                        "preset": chosen.preset,
                        "model": name,
                        "role": results.tables.model(name).role,
                        "spaces": group.first.spec["low_level"]["space"],
                        "region": chosen.regions,
                        "explained_by": " & ".join(told),
                        "n_spaces": len(part),
                        "r2": nanmean(values),
                        "low": low,
                        "high": high,
                        "n_subjects": group.n_subjects,
                        "simulated": group.simulated,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def unique_maps(group: Group, chosen: Chosen) -> dict[str, np.ndarray]:
    """Return what each space explains alone at every target, mean over layers and subjects.

    Parameters
    ----------
    group : Group
        Weighed by the method "banded", with shared targets.
    chosen : Chosen
        Its layers.

    Returns
    -------
    dict of str to array of shape (n_targets,)
        R² by space, the model's first; empty where the subjects' targets are their own.
    """
    sizes = {one.n_targets for one in group.results}
    if group.on_common or len(sizes) > 1 or group.first.space.startswith("native"):
        return {}
    layers = layers_of(chosen.layers, group.first.n_layers)
    found: dict[str, list[np.ndarray]] = {}
    for one in group.results:
        for part, values in (variance_parts(one) or {}).items():
            if len(part) == 1:
                found.setdefault(part[0], []).append(nanmean(values[layers]))
    return {name: nanmean(np.stack(values)) for name, values in found.items()}


def _parts(result: EncodingResult, chosen: Chosen) -> dict[tuple[str, ...], np.ndarray]:
    """Average every part over the chosen layers, then over each region's targets."""
    parts = variance_parts(result)
    assert parts is not None  # of the method "banded"
    layers = layers_of(chosen.layers, result.n_layers)
    found = {}
    for part, values in parts.items():
        table = result.region_means(nanmean(values[layers])[None])
        wide = table.set_index("region")["value"]
        found[part] = wide.loc[list(chosen.regions)].to_numpy(dtype=float)
    return found
