"""What is looked at of a study, and in what words its figures say where their numbers come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from braindash.core.statistics.words import counted
from braindash.encoding.ceilings.chosen import selections_line
from braindash.encoding.several.groups import Group
from braindash.exports.source import Source
from braindash.io.store import Store
from braindash.studies.file import MOST_MODELS
from braindash.studies.representations import features_of
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen, layers_words
from braindash.views.captions import provenance_line
from braindash.views.curves import SCORE_TITLES
from braindash.views.studies.panels import model_colours

_MOST_KEYS = 3


@dataclass(frozen=True)
class StudyView:
    """What is looked at of a study.

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
    def colours(self) -> dict[str, str]:
        """The colour of every model, the same one in all figures; those that are drawn first."""
        names = [one.name for one in self.results.ordered()]
        tuned = self.results.tables.variants
        first = sorted(names, key=lambda name: (name not in self.shown, name in tuned))
        return model_colours(first)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The first twelve models, which figures draw beside each other where there are more."""
        return tuple(one.name for one in self.results.tables.all_models[:MOST_MODELS])

    def drawn(self, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Leave out of a table what is too much for one figure, and say so."""
        names = list(dict.fromkeys(table["model"]))
        if len(names) <= MOST_MODELS:
            return table, []
        kept = table[table["model"].isin(self.shown)]
        told = f"{kept['model'].nunique()} of {len(names)} models are drawn; the table has all."
        return kept, [told]

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
        seen = "" if first is None else first.first.regions_line()
        regions = f"regions: {seen} · " if seen else ""
        keys = [key[:8] for key in results.keys]
        rest = len(keys) - _MOST_KEYS
        told = ", ".join(keys[:_MOST_KEYS]) + (f" and {rest} more" if rest > 0 else "")
        models = list(dict.fromkeys([*self.groups, *results.probings]))
        return (
            f"{stamp}{data} · study {results.tables.name} · {preset}"
            f"{counted(len(models), 'model')} · {who}{regions}keys {told}"
        )

    def source(self, title: str, *details: str) -> Source:
        """Say where the numbers of a figure come from, with a line for every model."""
        told = [one for one in (*details, *self.results.notes) if one]
        lines = (*told, *self.model_lines)
        return Source(title, self.line(), lines, self.results.keys, self.results.simulated)

    @cached_property
    def model_lines(self) -> tuple[str, ...]:
        """Say of every model how it was scored; the same under all figures."""
        return tuple(f"{name}: {provenance_line(one)}" for name, one in self.groups.items())

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
