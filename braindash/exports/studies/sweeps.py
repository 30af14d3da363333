"""Figures of settings that a study varies: lags, contexts, shares of the training stories."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from braindash.core.statistics.words import counted
from braindash.exports.results import Item
from braindash.exports.source import file_name
from braindash.exports.studies.view import StudyView
from braindash.studies.file import SHARE, SPACES, SweepTable
from braindash.studies.sweeps import best_of_bases, layer_table, sweep_table, sweeps_of
from braindash.views.studies.lines import SPREADS
from braindash.views.studies.sweeps import layer_matrices, value_curves

_LAGS, _CONTEXTS = "delays", "context_seconds"
# Settings whose figures are others.
_ELSEWHERE = (_LAGS, _CONTEXTS, SHARE, SPACES)


def lags(study: StudyView) -> Iterator[Item]:
    """Draw the score by single delays of the features, and layer by layer."""
    told = (
        "Features at one delay (or several, as named) alone; a response follows the sound by "
        "some seconds, so that the curve is the course of what a region takes from it."
    )
    yield from _drawn(study, "lags", "Lag profile", "Delay of the features (TR)", told)


def contexts(study: StudyView) -> Iterator[Item]:
    """Draw the score by how much audio the model sees at once, and layer by layer."""
    told = (
        "The model sees at most so many seconds of audio at once. Strategy 'exact': each frame has "
        "all of them before it; 'chunk': between half of them and all, and up to as much as half "
        "of them, at most 2 s, behind it."
    )
    yield from _drawn(study, "context", "Context sweep", "Context (s)", told, is_log=True)


def efficiency(study: StudyView) -> Iterator[Item]:
    """Draw the score by the share of the training stories that the fit sees."""
    sweep = sweeps_of(study.results, SHARE)[0]
    table = sweep_table(study.results, sweep, study.chosen)
    drawn = int(table["n_draws"].max())
    details = [
        f"Whole stories, the first of an order that is drawn {counted(drawn, 'time')}: smaller "
        "shares of one order lie in larger ones. A subject's score is the mean over the orders; "
        "the table has their standard deviation, and the stories and rows of every share.",
        "Dashed: the highest mean that a base reaches at any share.",
        "With fewer than three stories the penalty is chosen by leaving out 20 rows at a time.",
    ]
    figure = value_curves(
        table,
        study.chosen.regions,
        title="Share of the training stories",
        spread=study.spread,
        best={str(region): float(top) for region, top in best_of_bases(table).items()},
        colours=study.colours,
    )
    yield _item(study, "efficiency", "Data efficiency", figure, table, details)


def other_settings(study: StudyView) -> Iterator[Item]:
    """Draw the score by the values of any other setting that is varied."""
    for sweep in _others(study):
        table = sweep_table(study.results, sweep, study.chosen)
        title = f"Values of {sweep.setting} ({sweep.name})"
        figure = value_curves(
            table,
            study.chosen.regions,
            title=sweep.setting,
            spread=study.spread,
            colours=study.colours,
        )
        yield _item(study, file_name("settings", sweep.name), title, figure, table, [])


def has_lags(study: StudyView) -> bool:
    """Say whether delays were varied."""
    return _has(study, _LAGS)


def has_contexts(study: StudyView) -> bool:
    """Say whether contexts were varied."""
    return _has(study, _CONTEXTS)


def has_efficiency(study: StudyView) -> bool:
    """Say whether shares of the training stories were."""
    return _has(study, SHARE)


def has_other_settings(study: StudyView) -> bool:
    """Say whether anything else was varied."""
    return _is_first(study) and bool(_others(study))


def _has(study: StudyView, setting: str) -> bool:
    return _is_first(study) and bool(sweeps_of(study.results, setting))


def _is_first(study: StudyView) -> bool:
    """Say whether the chosen preset is the one that sweeps are of."""
    return study.chosen.preset == study.results.tables.presets[0]


def _others(study: StudyView) -> list[SweepTable]:
    every = dict.fromkeys(one.setting for one in study.results.tables.sweeps)
    return sweeps_of(study.results, *(one for one in every if one not in _ELSEWHERE))


def _drawn(
    study: StudyView, name: str, title: str, axis: str, told: str, *, is_log: bool = False
) -> Iterator[Item]:
    """Draw every sweep of a setting: curves, then layers by values."""
    setting = _LAGS if name == "lags" else _CONTEXTS
    for number, sweep in enumerate(sweeps_of(study.results, setting)):
        own = name if number == 0 else file_name(name, sweep.name)
        table = sweep_table(study.results, sweep, study.chosen)
        figure = value_curves(
            table,
            study.chosen.regions,
            title=axis,
            spread=study.spread,
            is_log=is_log and bool((table["setting_number"] > 0).all()),
            colours=study.colours,
        )
        yield _item(study, own, title, figure, table, [told])
        layers = layer_table(study.results, sweep, study.chosen)
        heat = layer_matrices(layers, study.chosen.regions, title=axis)
        source = study.source(f"{title}, layer by layer", told)
        yield Item(file_name(own, "layers"), source, figure=heat, table=layers)


def _item(
    study: StudyView, name: str, title: str, figure: Any, table: pd.DataFrame, details: list[str]
) -> Item:
    lines = [
        study.measure_line(),
        *details,
        f"Bands: {SPREADS[study.spread]}.",
        *study.interval_lines(),
    ]
    return Item(name, study.source(title, *lines), figure=figure, table=table)
