"""The figures of a study, each with its numbers and where they come from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from braindash.core.representations.dimension import APART_ROWS
from braindash.core.statistics.words import counted, family_words, p_words
from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.several.groups import Group
from braindash.exports.results import Item
from braindash.exports.source import Source, file_name
from braindash.io.store import Store
from braindash.studies.lowlevel import impact_table, was_removed
from braindash.studies.representations import (
    dimension_table,
    drift_table,
    features_of,
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
    layers_words,
    subject_table,
    tasks_of,
    transfer_table,
    tuned_alone,
)
from braindash.views.captions import provenance_line
from braindash.views.curves import SCORE_TITLES, key_regions
from braindash.views.probes import task_title
from braindash.views.studies.bars import MOST_BRACKETS, impact_bars, region_bars
from braindash.views.studies.lines import SPREADS, dimension_curves, drift_curves, model_curves
from braindash.views.studies.matrices import MOST_MATRICES, similarity_matrices, transfer_matrix
from braindash.views.studies.panels import model_colours
from braindash.views.studies.points import alignment_scatter

_MOST_KEYS = 3
_CONTROLS = (
    "Percents are of subject means, (model - base) / base, with the interval of a ratio of means; "
    f"none where the base scores below {LEAST_BASE_R:g}."
)


@dataclass(frozen=True)
class StudyFigures:
    """What a study shows, as figures that are made when they are asked for.

    Attributes
    ----------
    results : StudyResults
    chosen : Chosen
        Preset, regions, layers and score.
    store : Store
        Holds the features of layers.
    spread : {"interval", "se", "none"}
        What the bands of curves are.
    task : str or None
        The probing task of scatters.
    """

    results: StudyResults
    chosen: Chosen
    store: Store
    spread: str = "interval"
    task: str | None = None

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

    @property
    def colours(self) -> dict[str, str]:
        """The colour of every model, the same one in all figures."""
        return model_colours([one.name for one in self.results.ordered()])

    @cached_property
    def groups(self) -> dict[str, Group]:
        """The groups of the chosen preset."""
        return self.results.of(self.chosen.preset)

    @cached_property
    def features(self) -> tuple[dict[str, Any], list[str]]:
        """The stored features of every model, and why some are left out."""
        return features_of(self.results, self.chosen.preset, self.store)

    # ---- where numbers come from ------------------------------------------------------------

    def line(self) -> str:
        """Say in one line where the numbers come from; the details say the rest."""
        results, chosen = self.results, self.chosen
        first = next(iter(self.groups.values()), None)
        probed = next(iter(results.probings.values()), None)
        data = first.first.data if first is not None else probed.data if probed else ""
        stamp = "SIMULATED DATA · " if results.simulated else ""
        preset = "" if chosen.preset == "default" else f"preset {chosen.preset} · "
        who = "" if first is None else f"{subjects_words(list(self.groups.values()))} · "
        keys = [key[:8] for key in results.keys]
        rest = len(keys) - _MOST_KEYS
        told = ", ".join(keys[:_MOST_KEYS]) + (f" and {rest} more" if rest > 0 else "")
        models = list(dict.fromkeys([*self.groups, *results.probings]))
        return (
            f"{stamp}{data} · study {results.tables.name} · {preset}"
            f"{counted(len(models), 'model')} · {who}keys {told}"
        )

    def source(self, title: str, *details: str) -> Source:
        """Say where the numbers of a figure come from, with a line for every model."""
        lines = [f"{name}: {provenance_line(one)}" for name, one in self.groups.items()]
        told = [one for one in (*details, *self.results.notes) if one]
        return Source(
            title, self.line(), (*told, *lines), self.results.keys, self.results.simulated
        )

    def measure_line(self) -> str:
        """Say what is averaged over which layers and targets."""
        return f"{SCORE_TITLES[self.chosen.score]}, {layers_words(self.chosen.layers)}"

    def interval_lines(self) -> list[str]:
        """Say what the intervals of every model are; once where they are alike."""
        lines = {name: one.interval_line() for name, one in self.groups.items()}
        alike = list(dict.fromkeys(lines.values()))
        named = alike if len(alike) == 1 else [f"{name}: {line}" for name, line in lines.items()]
        if self.chosen.normalised:
            named += [
                f"{name}: {line}"
                for name, one in self.groups.items()
                if (line := selections_line(one.results, None))
            ]
        return named


def subjects_words(groups: Sequence[Group]) -> str:
    """Say how many subjects there are; from least to most where models have other numbers."""
    counts = sorted({one.n_subjects for one in groups})
    if len(counts) == 1:
        return f"n = {counted(counts[0], 'subject')}"
    return f"n = {counts[0]} to {counts[-1]} subjects"


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


def _curves(study: StudyFigures) -> Iterator[Item]:
    table = curve_table(study.results, study.chosen)
    title = "Layer curves by region and model"
    bands = f"Bands: {SPREADS[study.spread]}."
    details = [SCORE_TITLES[study.chosen.score], bands, *study.interval_lines()]
    figure = model_curves(table, study.chosen.regions, spread=study.spread, colours=study.colours)
    yield Item("curves", study.source(title, *details), figure=figure, table=table)


def _bars(study: StudyFigures) -> Iterator[Item]:
    table = bar_table(study.results, study.chosen)
    subjects = subject_table(study.results, study.chosen)
    tests, notes = comparison_table(study.results, study.chosen)
    lines = [study.measure_line(), *study.interval_lines(), _CONTROLS]
    lines += [*comparison_lines(study, tests), *notes]
    title = "Models and controls by region"
    figure = region_bars(table, subjects, tests, study.chosen.regions, colours=study.colours)
    yield Item("bars", study.source(title, *lines), figure=figure, table=table)
    told = study.source("Scores of every subject", study.measure_line())
    yield Item("bars-subjects", told, table=subjects)
    if not tests.empty:
        told = study.source("Comparisons of models", study.measure_line(), *lines[1:])
        yield Item("bars-comparisons", told, table=tests)


def comparison_lines(study: StudyFigures, tests: pd.DataFrame) -> list[str]:
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


def _impact(study: StudyFigures) -> Iterator[Item]:
    models, subjects = impact_table(study.results, study.chosen)
    rule = layers_words(study.chosen.layers)
    details = [
        f"Percent of r that is gone when low-level features were regressed out, {rule}; of subject "
        f"means, with the interval of a ratio; none where r is below {LEAST_BASE_R:g}.",
        *study.interval_lines(),
    ]
    title = "Impact of low-level features"
    figure = impact_bars(models, subjects, study.chosen.regions, colours=study.colours)
    yield Item("low-level", study.source(title, *details), figure=figure, table=models)
    told = study.source("Impact of low-level features, every subject", rule)
    yield Item("low-level-subjects", told, table=subjects)


def _scatter(study: StudyFigures, against: str) -> Iterator[Item]:
    task = study.task or next(iter(tasks_of(study.results)), None)
    table = alignment_table(study.results, study.chosen, task)
    of_task = against == "probe"
    what = f"probing: {task_title(task)}" if of_task and task else "number of weights"
    figure = alignment_scatter(table, study.chosen.regions, against=against, colours=study.colours)
    details = [study.measure_line(), *study.interval_lines()]
    if of_task:
        details.append("Probing score: share above chance, over the same layers; 1 is perfect.")
    title = f"Alignment against {what}"
    yield Item(f"against-{against}", study.source(title, *details), figure=figure, table=table)


def _transfer(study: StudyFigures) -> Iterator[Item]:
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


def _rows_line(study: StudyFigures) -> str:
    found, _ = study.features
    return next(iter(found.values())).line() if found else ""


def _similarity(study: StudyFigures) -> Iterator[Item]:
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


def _dimension(study: StudyFigures) -> Iterator[Item]:
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
    figure = dimension_curves(table, colours=study.colours)
    yield Item("dimension", study.source(title, *details), figure=figure, table=table)


def _drift(study: StudyFigures) -> Iterator[Item]:
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
        figure = drift_curves(table, colours=study.colours)
        yield Item("drift", study.source(title, *details), figure=figure, table=table)


def _with_base(study: StudyFigures) -> list[tuple[str, str]]:
    """Return what was tuned with its base; how far a control is from it says nothing."""
    models = study.results.tables.models
    return [(one.name, one.base) for one in models if one.base and one.role != "control"]


# ---- which the results allow ----------------------------------------------------------------


def _has_scores(study: StudyFigures) -> bool:
    return bool(study.groups)


def _has_impact(study: StudyFigures) -> bool:
    return any(all(was_removed(one) for one in group.results) for group in study.groups.values())


def _has_probes(study: StudyFigures) -> bool:
    return bool(study.groups) and bool(set(study.groups) & set(study.results.probings))


def _has_sizes(study: StudyFigures) -> bool:
    sizes = {study.results.models[name].parameters for name in study.groups
             if name in study.results.models}  # fmt: skip
    return len(sizes - {None}) > 1


def _has_transfer(study: StudyFigures) -> bool:
    return len(tuned_alone(study.results, study.chosen.preset)) > 1


def _with_features(study: StudyFigures) -> set[str]:
    return {name for name, one in study.groups.items() if has_features(one.first, study.store)}


def _has_features(study: StudyFigures) -> bool:
    return bool(_with_features(study))


def _has_drift(study: StudyFigures) -> bool:
    there = _with_features(study)
    return any({name, base} <= there for name, base in _with_base(study))


FIGURES: dict[
    str, tuple[Callable[[StudyFigures], Iterator[Item]], Callable[[StudyFigures], bool]]
] = {
    "curves": (_curves, _has_scores),
    "bars": (_bars, _has_scores),
    "low-level": (_impact, _has_impact),
    "against-probe": (lambda study: _scatter(study, "probe"), _has_probes),
    "against-parameters": (lambda study: _scatter(study, "parameters"), _has_sizes),
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
    "against-probe": "Against probing",
    "against-parameters": "Against size",
    "transfer": "Transfer",
    "similarity": "Similarity of layers",
    "dimension": "Dimension",
    "drift": "Drift",
}
"""What menus call them."""


def table_items(results: StudyResults, source: Source) -> Iterator[Item]:
    """Yield the long-form tables of a study: all scores, all probes."""
    for name, table in (("scores", results.scores()), ("probes", results.probes())):
        if not table.empty:
            yield Item(file_name(name), source, table=table)
