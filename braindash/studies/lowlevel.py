"""How much of the alignment is gone when low-level features are taken out of a model's."""

import numpy as np
import pandas as pd

from braindash.core.statistics.components import nanmean
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.groups import Group
from braindash.encoding.shares import low_level_shares
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen, RegionScores, layers_of, ratio_of_means

_SAMPLES = "residual_region_samples"


def was_removed(result: EncodingResult) -> bool:
    """Say whether low-level features were regressed out of the model's and the rest was scored."""
    settings = result.spec.get("low_level")
    return settings is not None and settings["method"] == "residual"


def impact_table(results: StudyResults, chosen: Chosen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate the percent drop of r without low-level features, by model and region.

    The drop is 100 (1 - R) with R = mean(r without) / mean(r) of subject means, over the chosen
    layers and the same targets, with the interval of a ratio of means.

    Returns
    -------
    models : pandas.DataFrame
        ``preset``, ``model``, ``role``, ``region``, ``space`` (what was taken out), ``r``,
        ``residual_r``, ``drop``, ``drop_low``, ``drop_high`` (percent; NaN where r is below .02),
        ``n_subjects``, ``simulated``. Empty where nothing was taken out.
    subjects : pandas.DataFrame
        ``preset``, ``model``, ``region``, ``subject``, ``drop``.
    """
    models, subjects = [], []
    for name, group in results.of(chosen.preset).items():
        if not all(was_removed(one) for one in group.results):
            continue
        whole, rest = _scores(group, chosen)
        ratio, low, high = ratio_of_means(group, rest, whole)
        common = {"preset": chosen.preset, "model": name, "region": chosen.regions}
        models.append(
            pd.DataFrame(
                {
                    **common,
                    "role": results.tables.model(name).role,
                    "space": group.first.spec["low_level"]["space"],
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
