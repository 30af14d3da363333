"""The figures of a study, each with its numbers and where they come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from braindash.core.representations.dimension import APART_ROWS
from braindash.core.statistics.words import counted, family_words, p_words
from braindash.exports.results import Item
from braindash.exports.source import Source, file_name
from braindash.exports.studies.lowlevel import has_impact, has_partition, impact, partition
from braindash.exports.studies.maps import has_hemispheres, has_maps, hemispheres, maps
from braindash.exports.studies.sweeps import (
    contexts,
    efficiency,
    has_contexts,
    has_efficiency,
    has_lags,
    has_other_settings,
    lags,
    other_settings,
)
from braindash.exports.studies.tuning import (
    has_probes,
    has_tuning_curves,
    probes,
    tuning_curves,
)
from braindash.exports.studies.view import StudyView
from braindash.studies.representations import (
    dimension_table,
    drift_table,
    has_features,
    similarity_table,
)
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    LEAST_BASE_R,
    Chosen,
    alignment_table,
    bar_table,
    comparison_table,
    curve_table,
    subject_table,
    tasks_of,
    transfer_table,
    tuned_alone,
)
from braindash.views.curves import SCORE_TITLES, key_regions
from braindash.views.probes import task_title
from braindash.views.studies.bars import MOST_BRACKETS, region_bars
from braindash.views.studies.lines import SPREADS, dimension_curves, drift_curves, model_curves
from braindash.views.studies.matrices import MOST_MATRICES, similarity_matrices, transfer_matrix
from braindash.views.studies.points import AGAINST, alignment_scatter

_BUDGETS = ("hours", "rank")
_CONTROLS = (
    "Percents are of subject means, (model - base) / base, with the interval of a ratio of means; "
    f"none where the base scores below {LEAST_BASE_R:g}."
)


@dataclass(frozen=True)
class StudyFigures(StudyView):
    """What a study shows, as figures that are made when they are asked for."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the figures that the stored results allow, in their order."""
        return tuple(name for name, (_, allows) in FIGURES.items() if allows(self))

    def make(self, name: str) -> list[Item]:
        """Make the items of a figure, once: the figure itself, and further tables of it."""
        if name not in self._made:
            self._made[name] = list(FIGURES[name][0](self))
        return self._made[name]

    @cached_property
    def _made(self) -> dict[str, list[Item]]:
        return {}


def default_choice(results: StudyResults, preset: str | None = None) -> Chosen:
    """Return what the study's file asks to be shown first."""
    figures = results.tables.figures
    preset = preset or next(iter(results.presets), "default")
    there = results.regions(preset)
    named = [name for name in figures.shown or () if name in there]
    layers = figures.layers
    return Chosen(
        preset,
        tuple(named or key_regions(there)),
        layers if isinstance(layers, str) else tuple(layers),
        figures.score == "r_over_ceiling",
    )


# ---- the figures ----------------------------------------------------------------------------


def _curves(study: StudyView) -> Iterator[Item]:
    table = curve_table(study.results, study.chosen)
    title = "Layer curves by region and model"
    bands = f"Bands: {SPREADS[study.spread]}."
    drawn, told = study.drawn(table)
    details = [SCORE_TITLES[study.chosen.score], bands, *told, *study.interval_lines()]
    figure = model_curves(drawn, study.chosen.regions, spread=study.spread, colours=study.colours)
    yield Item("curves", study.source(title, *details), figure=figure, table=table)


def _bars(study: StudyView) -> Iterator[Item]:
    table = bar_table(study.results, study.chosen)
    subjects = subject_table(study.results, study.chosen)
    tests, notes = comparison_table(study.results, study.chosen)
    lines = [study.measure_line(), *study.interval_lines(), _CONTROLS]
    drawn, fewer = study.drawn(table)
    lines += [*fewer, *comparison_lines(study, tests), *notes]
    title = "Models and controls by region"
    names = set(drawn["model"])
    dots = subjects[subjects["model"].isin(names)]
    seen = _among(tests, names)
    figure = region_bars(drawn, dots, seen, study.chosen.regions, colours=study.colours)
    yield Item("bars", study.source(title, *lines), figure=figure, table=table)
    told = study.source("Scores of every subject", study.measure_line())
    yield Item("bars-subjects", told, table=subjects)
    if not tests.empty:
        told = study.source("Comparisons of models", study.measure_line(), *lines[1:])
        yield Item("bars-comparisons", told, table=tests)


def _among(tests: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Return the comparisons of models that are drawn."""
    if tests.empty:
        return tests
    return tests[tests["model_a"].isin(names) & tests["model_b"].isin(names)]


def comparison_lines(study: StudyView, tests: pd.DataFrame) -> list[str]:
    """Say what the p values of comparisons are, of how many subjects, and adjusted over what."""
    if tests.empty:
        return []
    if not tests["p"].notna().any():
        return ["No tests: three subjects or more are needed."]
    n_pairs = len(tests[["model_a", "model_b"]].drop_duplicates())
    least = 2.0 ** (1 - int(tests["n_subjects"].min()))
    regions = counted(len(study.chosen.regions), "region")
    drawn = f"; the first {MOST_BRACKETS} comparisons are drawn" if n_pairs > MOST_BRACKETS else ""
    return [
        p_words(
            "brackets",
            "Wilcoxon's signed ranks / sign flips / variance of subjects and story time, "
            "two-sided; a star where the first two are below .05" + drawn,
            f"{counted(int(tests['n_subjects'].min()), 'subject')}, of whom neither of the first "
            f"two can be below {least:.2g}",
            "other subjects who hear this very story; the third, as the intervals, for other "
            "stretches of such a story too",
        ),
        family_words(
            len(tests), f"{counted(n_pairs, 'comparison')} and {regions} shown, each kind apart"
        ),
    ]


def _scatter(study: StudyView, against: str) -> Iterator[Item]:
    asked = tasks_of(study.results)
    task = study.task if study.task in asked else next(iter(asked), None)
    table = alignment_table(study.results, study.chosen, task)
    if against in _BUDGETS:
        table = table[~table["model"].isin(study.results.tables.variants)]
    drawn, told = study.drawn(table)
    of_task = against == "probe"
    what = f"probing: {task_title(task)}" if of_task and task else AGAINST[against].lower()
    figure = alignment_scatter(drawn, study.chosen.regions, against=against, colours=study.colours)
    details = [study.measure_line(), *told, *study.interval_lines()]
    if against in _BUDGETS:
        details.append("Models that braindash tuned, by their records; others are left out.")
    if against == "parameters":
        details.append(
            "Numbers of weights are counted from the models' configurations, as convolutions and "
            "linear layers have them: to a few per cent."
        )
    if not of_task:
        details.append("Models of which this number is the same stand beside each other.")
    if of_task:
        details.append("Probing score: share above chance, over the same layers; 1 is perfect.")
    title = f"Alignment against {what}"
    yield Item(f"against-{against}", study.source(title, *details), figure=figure, table=table)


def _transfer(study: StudyView) -> Iterator[Item]:
    table = transfer_table(study.results, study.chosen)
    has_base = bool(table["gain"].notna().any())
    what = "Gain over the base" if has_base else "Score"
    details = [
        study.measure_line(),
        f"{what} of each model, tuned on one subject, on every subject; no intervals: one number "
        "is of one subject.",
    ]
    title = "Transfer: tuned on one subject, scored on another"
    figure = transfer_matrix(table, study.chosen.regions)
    yield Item("transfer", study.source(title, *details), figure=figure, table=table)


def _rows_line(study: StudyView) -> str:
    found, _ = study.features
    return next(iter(found.values())).line() if found else ""


def _similarity(study: StudyView) -> Iterator[Item]:
    found, notes = study.features
    pairs = [(name, name) for name in found] + list(study.results.tables.pairs)
    ordered = sorted(dict.fromkeys(pairs), key=lambda pair: pair[0] == pair[1])  # across, within
    table = similarity_table(found, ordered)
    drawn = len(table[["model_a", "model_b"]].drop_duplicates())
    told = f"The first {MOST_MATRICES} of {drawn} are drawn." if drawn > MOST_MATRICES else ""
    details = [
        "Debiased linear CKA of features: 1 where two layers hold the same up to a rotation and a "
        "scale, 0 on average where they have nothing in common.",
        _rows_line(study),
        "No intervals: rows that a bootstrap repeats would look alike.",
        told,
        *notes,
    ]
    title = "Similarity of layers"
    figure = similarity_matrices(table)
    yield Item("similarity", study.source(title, *details), figure=figure, table=table)


def _dimension(study: StudyView) -> Iterator[Item]:
    found, notes = study.features
    table = dimension_table(found)
    details = [
        f"Intrinsic dimension by the two nearest neighbours, at least {APART_ROWS} rows from the "
        "row and from each other; participation ratio: (sum v)^2 / sum v^2 of the covariance's "
        "eigenvalues.",
        _rows_line(study),
        *notes,
    ]
    title = "Dimension of layers"
    drawn, told = study.drawn(table)
    details += told
    figure = dimension_curves(drawn, colours=study.colours)
    yield Item("dimension", study.source(title, *details), figure=figure, table=table)


def _drift(study: StudyView) -> Iterator[Item]:
    found, notes = study.features
    table, refused = drift_table(found, _with_base(study))
    details = [
        "Each layer after tuning against the same layer of the base: 1 - debiased CKA, and the "
        "length of the change over the length before.",
        _rows_line(study),
        *notes,
        *refused,
    ]
    title = "Drift of layers"
    if not table.empty:
        drawn, told = study.drawn(table)
        details += told
        figure = drift_curves(drawn, colours=study.colours)
        yield Item("drift", study.source(title, *details), figure=figure, table=table)


def _with_base(study: StudyView) -> list[tuple[str, str]]:
    """Return what was tuned with its base; how far a control is from it says nothing."""
    models = study.results.tables.all_models
    return [(one.name, one.base) for one in models if one.base and one.role != "control"]


# ---- which the results allow ----------------------------------------------------------------


def _has_scores(study: StudyView) -> bool:
    return bool(study.groups)


def _has_probes(study: StudyView) -> bool:
    return bool(study.groups) and bool(set(study.groups) & set(study.results.probings))


def _differ(study: StudyView, fact: str) -> bool:
    """Say whether models that encode differ in what is known of them."""
    models = study.results.models
    variants = study.results.tables.variants if fact in _BUDGETS else {}  # in tuning curves
    there = (name for name in study.groups if name in models and name not in variants)
    known = {getattr(models[name], fact) for name in there}
    return len(known - {None}) > 1


def _has_transfer(study: StudyView) -> bool:
    return len(tuned_alone(study.results, study.chosen.preset)) > 1


def _with_features(study: StudyView) -> set[str]:
    return {name for name, one in study.groups.items() if has_features(one.first, study.store)}


def _has_features(study: StudyView) -> bool:
    return bool(_with_features(study))


def _has_drift(study: StudyView) -> bool:
    there = _with_features(study)
    return any({name, base} <= there for name, base in _with_base(study))


FIGURES: dict[str, tuple[Callable[[StudyView], Iterator[Item]], Callable[[StudyView], bool]]] = {
    "curves": (_curves, _has_scores),
    "bars": (_bars, _has_scores),
    "low-level": (impact, has_impact),
    "partition": (partition, has_partition),
    "probe-curves": (probes, has_probes),
    "tuning-curves": (tuning_curves, has_tuning_curves),
    "against-probe": (lambda study: _scatter(study, "probe"), _has_probes),
    "against-parameters": (
        lambda study: _scatter(study, "parameters"),
        lambda study: _differ(study, "parameters"),
    ),
    "against-hours": (
        lambda study: _scatter(study, "hours"),
        lambda study: _differ(study, "hours"),
    ),
    "against-rank": (
        lambda study: _scatter(study, "rank"),
        lambda study: _differ(study, "rank"),
    ),
    "lags": (lags, has_lags),
    "context": (contexts, has_contexts),
    "efficiency": (efficiency, has_efficiency),
    "settings": (other_settings, has_other_settings),
    "group-maps": (maps, has_maps),
    "hemispheres": (hemispheres, has_hemispheres),
    "transfer": (_transfer, _has_transfer),
    "similarity": (_similarity, _has_features),
    "dimension": (_dimension, _has_features),
    "drift": (_drift, _has_drift),
}
"""What makes each figure, and says whether the results allow it."""
TITLES = {
    "curves": "Layer curves",
    "bars": "Regions",
    "low-level": "Low level",
    "partition": "Variance partition",
    "probe-curves": "Probes",
    "tuning-curves": "Tuning curves",
    "against-probe": "Against probing",
    "against-parameters": "Against size",
    "against-hours": "Against hours",
    "against-rank": "Against rank",
    "lags": "Lags",
    "context": "Context",
    "efficiency": "Data efficiency",
    "settings": "Further settings",
    "group-maps": "Group maps",
    "hemispheres": "Hemispheres",
    "transfer": "Transfer",
    "similarity": "Similarity of layers",
    "dimension": "Dimension",
    "drift": "Drift",
}
"""What menus call them."""


def table_items(results: StudyResults, source: Source) -> Iterator[Item]:
    """Yield the long-form tables of a study: all scores, those of sweeps, all probes."""
    tables = (
        ("scores", results.scores()),
        ("sweeps", results.swept_scores()),
        ("probes", results.probes()),
    )
    for name, table in tables:
        if not table.empty:
            yield Item(file_name(name), source, table=table)
