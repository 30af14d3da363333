"""Figures of a study as tables: curves over layers, bars of regions, tests, scatter, transfer.

Every interval and p value is that of the statistics that single results and pairs have; nothing is
computed here in another way.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.components import nanmean
from braindash.core.statistics.families import holm
from braindash.core.statistics.subjects import paired_difference
from braindash.encoding.several.comparison import Difference
from braindash.encoding.several.groups import Group
from braindash.studies.file import LayerRule
from braindash.studies.results import StudyResults

LEAST_BASE_R = 0.02
"""Percents over a score below this are not defined: noise would be divided by noise."""
_QUARTER = (0.5, 0.75)
_SHALLOW = " (of a model without one the nearest)"

Floats = NDArray[np.floating]


def layers_of(rule: LayerRule | Sequence[int], n_layers: int) -> list[int]:
    """Return the layers whose mean is a region's score.

    Parameters
    ----------
    rule : {"third-quarter", "last", "all"} or sequence of int
        "third-quarter": relative depth above 0.5 and up to 0.75, the upper-middle layers of arXiv
        2510.21520; of a model too shallow for one, the layer nearest to 0.625. Numbers beyond the
        last layer are left out; where none is left, the last one is taken.
    n_layers : int
        Layers of the model, the input of the first block included.
    """
    last = n_layers - 1
    if rule == "all":
        return list(range(n_layers))
    if rule == "last" or last == 0:
        return [last]
    if rule == "third-quarter":
        low, high = _QUARTER
        found = [layer for layer in range(n_layers) if low < layer / last <= high]
        return found or [round(last * (low + high) / 2)]
    return [layer for layer in rule if layer <= last] or [last]


def layers_words(rule: LayerRule | Sequence[int]) -> str:
    """Say in a few words which layers a score is the mean of."""
    if rule == "third-quarter":
        return f"mean over the layers of relative depth above .5 and up to .75{_SHALLOW}"
    if rule == "last":
        return "the last layer"
    if rule == "all":
        return "mean over all layers"
    return f"mean over layers {_listed(rule)} (those that a model has, else its last)"


class Chosen(NamedTuple):
    """What a figure of a study shows.

    Attributes
    ----------
    preset : str
    regions : tuple of str
        In this order.
    layers : str or tuple of int
        As of :func:`layers_of`.
    normalised : bool
        r / ceiling instead of r.
    """

    preset: str
    regions: tuple[str, ...]
    layers: LayerRule | tuple[int, ...] = "third-quarter"
    normalised: bool = False

    @property
    def score(self) -> str:
        """The column of the score."""
        return "r_over_ceiling" if self.normalised else "r"


class RegionScores(NamedTuple):
    """Scores of regions over chosen layers.

    Attributes
    ----------
    values : array of shape (n_subjects, n_regions)
    samples : array of shape (n_subjects, n_samples, n_regions) or None
        Block bootstrap replicates.
    """

    values: Floats
    samples: Floats | None


def region_scores(group: Group, chosen: Chosen) -> RegionScores:
    """Average the chosen layers of every subject and, alike, of every replicate."""
    layers = layers_of(chosen.layers, group.first.n_layers)
    places = [group.region_names.index(name) for name in chosen.regions]
    values = group.values(normalised=chosen.normalised)[:, layers][:, :, places]
    drawn = group.subject_samples(normalised=chosen.normalised)
    samples = None
    if drawn is not None:
        samples = nanmean(np.moveaxis(drawn[:, :, layers][:, :, :, places], 2, 0))
    return RegionScores(nanmean(np.moveaxis(values, 1, 0)), samples)


# ---- layer x region curves ------------------------------------------------------------------


def curve_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Tabulate the subjects' mean by model, layer and region.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``role``, ``region``, ``layer``, ``depth``, ``alignment`` (r, or r /
        ceiling, as ``measure`` says), ``se`` (standard error over subjects; NaN with one), ``low``
        and ``high`` (95 % interval), ``ceiling``, ``n_subjects``, ``simulated``.
    """
    parts = []
    for name, group in results.of(chosen.preset).items():
        table = group.regions(normalised=chosen.normalised)
        table = table[table["region"].isin(chosen.regions)].reset_index(drop=True)
        values = group.values(normalised=chosen.normalised)
        errors = standard_errors(values)
        places = [group.region_names.index(region) for region in table["region"]]
        parts.append(
            pd.DataFrame(
                {
                    "preset": chosen.preset,
                    "model": name,
                    "role": results.tables.model(name).role,
                    "region": table["region"],
                    "layer": table["layer"],
                    "depth": table["layer"] / max(1, group.first.n_layers - 1),
                    "measure": chosen.score,
                    "alignment": table[chosen.score],
                    "se": errors[table["layer"].to_numpy(), places],
                    "low": table["low"],
                    "high": table["high"],
                    "ceiling": table["ceiling"],
                    "n_subjects": group.n_subjects,
                    "simulated": group.simulated,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def standard_errors(values: Floats) -> Floats:
    """Return the standard error over the first axis, of those who have a value."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    mean = nanmean(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
        return np.where(n > 1, np.sqrt(squares / ((n - 1) * n)), np.nan)


# ---- bars of regions ------------------------------------------------------------------------


def bar_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Tabulate every model's score of every region over the chosen layers.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``role``, ``region``, ``measure``, ``alignment`` (mean over
        subjects), ``low``, ``high``, ``ceiling``, ``base`` (whose score percents are over),
        ``percent``, ``percent_low``, ``percent_high`` (NaN without a base, and where
        its score is below .02), ``n_subjects``, ``simulated``.
    """
    groups = results.of(chosen.preset)
    bases = [(one.name, one.base) for one in results.tables.all_models if one.base is not None]
    pairs, _ = results.pairs(chosen.preset, bases)
    parts = []
    for name, group in groups.items():
        low, high = interval_of(group, region_scores(group, chosen))
        base = results.tables.model(name).base
        percents = _percents(pairs.get((name, str(base))), chosen)
        parts.append(
            pd.DataFrame(
                {
                    "preset": chosen.preset,
                    "model": name,
                    "role": results.tables.model(name).role,
                    "region": chosen.regions,
                    "measure": chosen.score,
                    "alignment": nanmean(region_scores(group, chosen).values),
                    "low": low,
                    "high": high,
                    "ceiling": _ceilings(group, chosen.regions),
                    "base": base or "",
                    **percents,
                    "n_subjects": group.n_subjects,
                    "simulated": group.simulated,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def subject_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Tabulate every subject's score of every model and region over the chosen layers.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``region``, ``subject``, ``measure``, ``alignment``.
    """
    rows = [
        {
            "preset": chosen.preset,
            "model": name,
            "region": region,
            "subject": subject,
            "measure": chosen.score,
            "alignment": float(own[place]),
        }
        for name, group in results.of(chosen.preset).items()
        for subject, own in zip(group.subjects, region_scores(group, chosen).values, strict=True)
        for place, region in enumerate(chosen.regions)
    ]
    return pd.DataFrame(rows)


def interval_of(group: Group, scores: RegionScores) -> tuple[Floats, Floats]:
    """Return the ends of the interval of a group's mean, as a group has them of single layers."""
    if group.over_subjects:
        return group.shared_mean(scores.values, scores.samples).interval()
    if scores.samples is None:
        nothing = np.full(scores.values.shape[1], np.nan)
        return nothing, nothing
    return interval(nanmean(scores.samples), n_units=group.first.n_blocks)


def mean_columns(group: Group, scores: RegionScores, chosen: Chosen) -> dict[str, Any]:
    """Tell the mean over subjects by region, as columns: its standard error and interval with it.

    Parameters
    ----------
    group : Group
    scores : RegionScores
        Of its subjects.
    chosen : Chosen
        The regions and the measure.
    """
    low, high = interval_of(group, scores)
    return {
        "region": chosen.regions,
        "measure": chosen.score,
        "alignment": nanmean(scores.values),
        "se": standard_errors(scores.values),
        "low": low,
        "high": high,
    }


def _ceilings(group: Group, regions: Sequence[str]) -> list[float]:
    table = group.regions().drop_duplicates("region").set_index("region")["ceiling"]
    return [float(table[name]) for name in regions]


def _percents(pair: Difference | None, chosen: Chosen) -> dict[str, Any]:
    """Return how much more A is than B in percent of B, with the interval of the ratio of means."""
    names = ("percent", "percent_low", "percent_high")
    if pair is None:
        return {name: np.full(len(chosen.regions), np.nan) for name in names}
    a, b = (region_scores(side, chosen) for side in (pair.a, pair.b))
    ends = [100 * (end - 1) for end in ratio_of_means(pair.a, a, b)]
    return dict(zip(names, ends, strict=True))


def ratio_of_means(
    group: Group, over: RegionScores, under: RegionScores
) -> tuple[Floats, Floats, Floats]:
    """Divide two means over subjects, with the interval of the ratio.

    R = mean(a) / mean(b) moves as the mean of (a_i - R b_i) / mean(b) does (linearised; Cochran
    1977), whose variance is that of any mean over subjects.

    Parameters
    ----------
    group : Group
        The subjects.
    over, under : RegionScores
        a and b, of the same subjects.

    Returns
    -------
    ratio, low, high : arrays of shape (n_regions,)
        NaN where the mean of b is below .02.
    """
    top, bottom = nanmean(over.values), nanmean(under.values)
    defined = bottom >= LEAST_BASE_R
    samples = _both(over, under)
    low = high = np.full(len(top), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(defined, top / bottom, np.nan)
        if group.over_subjects:
            moved = (over.values - ratio * under.values) / bottom
            drawn = None if samples is None else (samples[0] - ratio * samples[1]) / bottom
            reach = group.shared_mean(moved, drawn).reach()
            low, high = ratio - reach, ratio + reach
        elif samples is not None:
            ratios = nanmean(samples[0]) / nanmean(samples[1])
            low, high = interval(ratios, n_units=group.first.n_blocks)
    return ratio, np.where(defined, low, np.nan), np.where(defined, high, np.nan)


def _both(a: RegionScores, b: RegionScores) -> tuple[Floats, Floats] | None:
    """Return the replicates of both, as many of each; None where one has none."""
    if a.samples is None or b.samples is None:
        return None
    count = min(a.samples.shape[1], b.samples.shape[1])
    return a.samples[:, :count], b.samples[:, :count]


def comparison_table(results: StudyResults, chosen: Chosen) -> tuple[pd.DataFrame, list[str]]:
    """Test the compared models against each other, paired by subject, region by region.

    Returns
    -------
    table : pandas.DataFrame
        One row per comparison and region: ``model_a``, ``model_b``, ``region``, ``measure``,
        ``difference`` (mean of A minus B), ``low``, ``high``; with three subjects or more ``p`` (of
        the interval's variance: subjects and story time), ``p_signs`` (sign flips), ``p_ranks``
        (Wilcoxon's signed ranks), each also ``_holm`` (adjusted over all rows of this table);
        ``n_subjects``, ``simulated``.
    notes : list of str
        Which pairs could not be compared, and why.
    """
    pairs, notes = results.pairs(chosen.preset)
    parts = []
    for (a, b), pair in pairs.items():
        parts.append(_tested(pair, chosen).assign(model_a=a, model_b=b, preset=chosen.preset))
    if not parts:
        return pd.DataFrame(), notes
    table = pd.concat(parts, ignore_index=True)
    for name in ("p", "p_signs", "p_ranks"):
        table[f"{name}_holm"] = holm(table[name])
    first = ["preset", "model_a", "model_b", "region"]
    return table[[*first, *(name for name in table if name not in first)]], notes


def _tested(pair: Difference, chosen: Chosen) -> pd.DataFrame:
    a, b = (region_scores(side, chosen) for side in (pair.a, pair.b))
    gap, samples = a.values - b.values, _both(a, b)
    drawn = None if samples is None else samples[0] - samples[1]
    low, high = interval_of(pair.a, RegionScores(gap, drawn))
    nothing = np.full(gap.shape[1], np.nan)
    p = p_signs = p_ranks = nothing
    if pair.a.over_subjects:
        p = pair.a.shared_mean(gap, drawn).p_values()
        alone = paired_difference(a.values, b.values)
        p_signs, p_ranks = alone.p, alone.p_ranks
    return pd.DataFrame(
        {
            "region": chosen.regions,
            "measure": chosen.score,
            "difference": nanmean(gap),
            "low": low,
            "high": high,
            "p": p,
            "p_signs": p_signs,
            "p_ranks": p_ranks,
            "n_subjects": pair.a.n_subjects,
            "simulated": pair.a.simulated or pair.b.simulated,
        }
    )


# ---- alignment against what a model is or holds ---------------------------------------------


def alignment_table(results: StudyResults, chosen: Chosen, task: str | None = None) -> pd.DataFrame:
    """Tabulate every model's alignment beside its probing score and its size.

    Parameters
    ----------
    results, chosen
        As for :func:`bar_table`.
    task : str, optional
        The probing task; none where the study has no probes of it.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``role``, ``region``, ``measure``, ``alignment``, ``low``, ``high``,
        ``n_subjects``, ``simulated`` as in bars; ``task``, ``probe`` (score above chance, 1 is
        perfect, over the same layers; NaN without), ``parameters`` (number of weights; NaN of other
        spaces than speech models), ``hours`` (of responses that it was tuned on, all subjects
        together) and ``rank`` (of its adapters); NaN of models that were not tuned so.
    """
    table = bar_table(results, chosen)
    if table.empty:
        return table
    probes = {name: _probe_score(results, name, task, chosen) for name in table["model"].unique()}
    facts = {
        fact: {name: getattr(one, fact) for name, one in results.models.items()}
        for fact in ("parameters", "hours", "rank")
    }
    # A control that learnt from words or sound had no responses: its hours are none of theirs.
    for name, one in results.models.items():
        if not one.tuned_on and results.tables.model(name).role == "control":
            facts["hours"][name] = None
    left_out = ["base", "percent", "percent_low", "percent_high", "ceiling"]
    return table.drop(columns=left_out).assign(
        task=task or "",
        probe=table["model"].map(probes).astype(float),
        **{
            fact: pd.to_numeric(table["model"].map(told)).astype(float)
            for fact, told in facts.items()
        },
    )


def _probe_score(results: StudyResults, name: str, task: str | None, chosen: Chosen) -> float:
    found = results.probings.get(name)
    if found is None or task is None or task not in found.tasks:
        return float("nan")
    return float(found.above_chance(task)[layers_of(chosen.layers, found.n_layers)].mean())


def tasks_of(results: StudyResults) -> list[str]:
    """Name the probing tasks that any model was asked, each once."""
    return list(dict.fromkeys(task for one in results.probings.values() for task in one.tasks))


# ---- transfer -------------------------------------------------------------------------------


def transfer_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Tabulate models that were tuned on one subject each, scored on every subject.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``tuned_on``, ``scored_on``, ``region``, ``measure``, ``alignment``,
        ``gain`` (minus the base's score of the same subject; NaN without a base), ``simulated``.
        Empty with fewer than two such models.
    """
    groups, alone = results.of(chosen.preset), tuned_alone(results, chosen.preset)
    if len(alone) < 2:
        return pd.DataFrame()
    rows = []
    for name, tuned_on in alone.items():
        base = results.tables.model(name).base
        before = _by_subject(groups.get(str(base)), chosen)
        for subject, own in _by_subject(groups[name], chosen).items():
            for place, region in enumerate(chosen.regions):
                known = before.get(subject)
                rows.append(
                    {
                        "preset": chosen.preset,
                        "model": name,
                        "tuned_on": tuned_on,
                        "scored_on": subject,
                        "region": region,
                        "measure": chosen.score,
                        "alignment": float(own[place]),
                        "gain": np.nan if known is None else float(own[place] - known[place]),
                        "simulated": groups[name].simulated,
                    }
                )
    return pd.DataFrame(rows)


def tuned_alone(results: StudyResults, preset: str) -> dict[str, str]:
    """Return the models that were tuned on one subject alone, and on whom."""
    return {
        name: results.models[name].tuned_on[0]
        for name in results.of(preset)
        if name in results.models and len(results.models[name].tuned_on) == 1
    }


def _by_subject(group: Group | None, chosen: Chosen) -> Mapping[str, Floats]:
    if group is None:
        return {}
    return dict(zip(group.subjects, region_scores(group, chosen).values, strict=True))


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
