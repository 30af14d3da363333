"""Model A minus model B, paired by subject.

With three subjects or more: the mean of the subjects' differences, with interval and p from the
variance components of subjects and of the story time that they share; sign flips and Wilcoxon's
ranks, which are of the subjects alone, stand beside it. With fewer: the difference of their block
bootstrap replicates, which draw the same test rows for both models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.components import LEAST_SUBJECTS, nanmean
from braindash.core.statistics.depth import SubjectCurves, stage_difference, subject_stages
from braindash.core.statistics.families import holm
from braindash.core.statistics.subjects import EXACT_SUBJECTS, LEAST_BOOTSTRAP_T, paired_difference
from braindash.core.statistics.words import counted, family_words, p_words
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.groups import (
    Floats,
    Group,
    ceilings_of,
    describe_interval,
    regions_of,
    require_equal,
    responses_of,
    rows_of,
    settings_of,
)
from braindash.errors import InputError

__all__ = ["LEAST_SUBJECTS", "Difference", "Group", "LayerPairs", "compare"]


@dataclass(frozen=True)
class LayerPairs:
    """Mean differences of regions between any layer of model A and any layer of model B.

    Attributes
    ----------
    regions : tuple of str
        Their names.
    difference, low, high : array of shape (n_layers_a, n_layers_b, n_regions)
        A minus B and the ends of its interval; NaN where there is none.
    p, p_signs, p_ranks : array of shape (n_layers_a, n_layers_b, n_regions)
        p values as in :meth:`Difference.regions`.
    """

    regions: tuple[str, ...]
    difference: Floats
    low: Floats
    high: Floats
    p: Floats
    p_signs: Floats
    p_ranks: Floats
    p_boot: Floats

    def p_holm(self, layers: tuple[int, int]) -> Floats:
        """Adjust the p values of all regions at a layer of A and one of B, (n_regions,)."""
        return holm(self.p[layers])


@dataclass(frozen=True)
class _Contrast:
    """Intervals and p values of differences, all of one subject's shape."""

    low: Floats
    high: Floats
    p: Floats
    p_signs: Floats
    p_ranks: Floats
    p_boot: Floats


@dataclass(frozen=True)
class Difference:
    """Model A minus model B, subject by subject; made by :func:`compare`.

    Attributes
    ----------
    a, b : Group
        The same subjects, in the same order.
    unpaired : tuple of str
        Subjects that only one of the models has; they are left out.
    settings : tuple of str
        What else differs between the two, such as "delays"; empty in a fair comparison.
    """

    a: Group
    b: Group
    unpaired: tuple[str, ...]
    settings: tuple[str, ...]

    def regions(
        self, level: float = 0.95, *, normalised: bool = False, ceiling: str | None = None
    ) -> pd.DataFrame:
        """Tabulate the mean difference per layer and region, with its interval.

        Parameters
        ----------
        level : float, default 0.95
            Share of the replicates inside an interval.
        normalised : bool, default False
            Differences of r / ceiling instead of r.
        ceiling : str, optional
            A ceiling that both models have; the first when left out.

        Returns
        -------
        pandas.DataFrame
            One row per layer and region: ``a``, ``b`` (means over subjects), ``difference``,
            ``low``, ``high``; with three subjects or more ``p`` (of the same variance as the
            interval), ``p_holm`` (adjusted over all layers and regions of this table), and of the
            subjects alone ``p_signs`` (sign flips), ``p_ranks`` (Wilcoxon) and, with six or
            more, ``p_boot`` (bootstrap-t, for skewed differences), else NaN;
            ``coverage`` (share of the region's targets in both means), ``region_set``,
            ``hemisphere``, ``n_subjects``, ``simulated``.

        Raises
        ------
        InputError
            When the models have different numbers of layers.
        """
        self._require_same_layers()
        ceiling = self._ceiling(ceiling)
        pair = self._values(normalised, ceiling)
        samples = self._time_samples(normalised, ceiling)
        found = self._contrast(pair, samples, level)
        shape = pair[0].shape[1:]
        layers, regions = np.indices(shape)
        names = np.array(self.a.region_names)
        table = {"layer": layers.ravel(), "region": names[regions.ravel()]}
        columns = {
            "a": nanmean(pair[0]),
            "b": nanmean(pair[1]),
            "difference": nanmean(pair[0] - pair[1]),
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "p_holm": holm(found.p),
            "p_signs": found.p_signs,
            "p_ranks": found.p_ranks,
            "p_boot": found.p_boot,
            "coverage": np.fmin(
                *(
                    side.coverage(normalised=normalised, ceiling=ceiling)
                    for side in (self.a, self.b)
                )
            ),
        }
        table |= {name: np.asarray(values).ravel() for name, values in columns.items()}
        return pd.DataFrame(table).assign(
            region_set=self.a.first.region_set,
            hemisphere=self.a.first.hemisphere,
            n_subjects=self.a.n_subjects,
            simulated=self.a.simulated or self.b.simulated,
        )

    def layer_pairs(
        self, level: float = 0.95, *, normalised: bool = False, ceiling: str | None = None
    ) -> "LayerPairs":
        """Subtract every layer of B from every layer of A; their numbers may differ.

        Parameters
        ----------
        level, normalised, ceiling
            As for :meth:`regions`, whose numbers are those of equal layers.
        """
        ceiling = self._ceiling(ceiling)
        one, two = self._values(normalised, ceiling)
        samples = self._time_samples(normalised, ceiling)
        gaps, rows = [], []
        for layer in range(one.shape[1]):  # layer by layer: the replicates of all pairs are large
            pair = np.broadcast_arrays(one[:, layer, None], two)
            drawn = None if samples is None else (samples[0][:, :, layer, None], samples[1])
            gaps.append(nanmean(pair[0] - pair[1]))
            rows.append(self._contrast(pair, drawn, level))
        parts = ("low", "high", "p", "p_signs", "p_ranks", "p_boot")
        found = {name: np.stack([getattr(row, name) for row in rows]) for name in parts}
        return LayerPairs(self.a.region_names, np.stack(gaps), **found)

    def interval_line(self, level: float = 0.95) -> str:
        """Say in one line what the intervals and p values are, of how many units, and for what."""
        return self._line(
            "; ".join([describe_interval(self.a, level, "paired "), *self._p_lines()])
        )

    def family_line(self, *, layers: tuple[int, int] | None = None) -> str:
        """Say over what ``p_holm`` is adjusted, of two chosen layers or of all; empty without p."""
        if not self.a.over_subjects:
            return ""
        n_regions, n_layers = len(self.a.region_names), self.a.first.n_layers
        regions = counted(n_regions, "region")
        if layers is not None:
            return family_words(
                n_regions,
                f"{regions} of A minus B, shown or not, at layers {layers[0]} and {layers[1]}; "
                "layers chosen by eye are not adjusted for",
            )
        return family_words(
            n_regions * n_layers,
            f"{regions} and {counted(n_layers, 'layer')} of A minus B, shown or not",
        )

    def _described(self, level: float) -> str:
        """Say what the intervals are; where one model lacks replicates, neither's are used."""
        lacking = self.b if self.a.has_intervals and not self.b.has_intervals else self.a
        return describe_interval(lacking, level, "paired ")

    def _p_lines(self) -> list[str]:
        if not self.a.over_subjects:
            return []
        n_subjects = self.a.n_subjects
        signs = "all" if n_subjects <= EXACT_SUBJECTS else "random"
        tests, skewed = f"sign flips ({signs} signs) and Wilcoxon's signed ranks", ""
        if n_subjects >= LEAST_BOOTSTRAP_T:
            tests = tests.replace(" and", ",") + " and bootstrap-t"
            skewed = ", as those of signs and ranks are; that of the bootstrap-t is nearer then"
        return [
            f"p: of the same variance, too small with skewed differences of few subjects{skewed}",
            p_words(
                "second line",
                tests,
                f"n = {counted(n_subjects, 'subject')}",
                "other subjects who hear this very story",
            ),
        ]

    def stages(
        self,
        level: float = 0.95,
        *,
        normalised: bool = False,
        ceiling: str | None = None,
        hierarchy: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Subtract the stage summaries; the models may have different numbers of layers.

        Parameters
        ----------
        level, normalised, ceiling, hierarchy
            As for :meth:`braindash.encoding.several.groups.Group.stages`.

        Returns
        -------
        pandas.DataFrame
            ``quantity``, ``name`` (region), ``a``, ``b`` (the models' own), ``difference``,
            ``low``, ``high``, ``n_subjects``, ``simulated``.
        """
        ceiling = self._ceiling(ceiling)
        sides, names, blocks = (self.a, self.b), self.a.region_names, self.a.first.n_blocks
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        how: dict[str, Any] = {"hierarchy": hierarchy, "level": level}
        if self.a.over_subjects:
            curves = self._subject_curves(options)
            table = subject_stages(*curves, names=names, n_blocks=blocks, **how)
        else:
            one, two = (side.mean_curves(**options) for side in sides)
            table = stage_difference(*one, *two, names, n_units=blocks, **how)
        table = table.rename(columns={"estimate": "difference"})
        for place, name, side in ((2, "a", self.a), (3, "b", self.b)):
            own = side.stages(level, normalised=normalised, ceiling=ceiling, hierarchy=hierarchy)
            table.insert(place, name, own["estimate"])
        return table.assign(
            n_subjects=self.a.n_subjects, simulated=self.a.simulated or self.b.simulated
        )

    def stages_line(self, level: float = 0.95) -> str:
        """Say in one line what the intervals of :meth:`stages` are."""
        return self._line(self._described(level))

    def _values(self, normalised: bool, ceiling: str | None) -> list[Floats]:
        return [one.values(normalised=normalised, ceiling=ceiling) for one in (self.a, self.b)]

    def _subject_curves(self, options: dict[str, Any]) -> list[SubjectCurves]:
        """Return both models' curves; with as many replicates, or with none."""
        one, two = (side.subject_curves(**options) for side in (self.a, self.b))
        if one.samples is None or two.samples is None:
            return [SubjectCurves(one.values), SubjectCurves(two.values)]
        count = min(one.samples.shape[1], two.samples.shape[1])
        return [
            SubjectCurves(one.values, one.samples[:, :count]),
            SubjectCurves(two.values, two.samples[:, :count]),
        ]

    def _time_samples(self, normalised: bool, ceiling: str | None) -> list[Floats] | None:
        """Return both models' block bootstrap replicates, where both have them."""
        sides = (self.a, self.b)
        if not all(side.has_intervals for side in sides):
            return None
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        if not self.a.over_subjects:
            return [side.time_samples(**options) for side in sides]
        found = [side.subject_samples(**options) for side in sides]
        n_samples = min(one.shape[1] for one in found if one is not None)
        return [one[:, :n_samples] for one in found if one is not None]

    def _contrast(
        self, pair: Sequence[Floats], samples: Sequence[Floats] | None, level: float
    ) -> _Contrast:
        """Return intervals of the mean difference and p values, each of one subject's shape.

        ``pair`` is (n_subjects, ...), ``samples`` (n_subjects, n_samples, ...).
        """
        nothing = np.full(pair[0].shape[1:], np.nan)
        drawn = None if samples is None else samples[0] - samples[1]
        if self.a.over_subjects:
            found = self.a.shared_mean(pair[0] - pair[1], drawn)
            alone = paired_difference(*pair, level=level)
            second = (alone.p, alone.p_ranks, alone.p_boot)
            return _Contrast(*found.interval(level), found.p_values(), *second)
        if drawn is None:
            return _Contrast(*[nothing] * 6)
        low, high = interval(nanmean(drawn), level=level, n_units=self.a.first.n_blocks)
        return _Contrast(low, high, *[nothing] * 4)

    def _ceiling(self, name: str | None) -> str | None:
        """Name the same ceiling for both models."""
        common = [one for one in self.a.ceiling_names if one in self.b.ceiling_names]
        return name or next(iter(common), None)

    def _line(self, intervals: str) -> str:
        notes = [f"{self.a.model} minus {self.b.model}, {intervals}"]
        if self.unpaired:
            notes.append(f"left out, only in one model: {', '.join(self.unpaired)}")
        if self.settings:
            notes.append(f"also different: {', '.join(self.settings)}")
        return "; ".join(notes)

    def _require_same_layers(self) -> None:
        n_layers = [group.first.n_layers for group in (self.a, self.b)]
        if n_layers[0] != n_layers[1]:
            raise InputError(
                f"{self.a.model} has {n_layers[0]} layers and {self.b.model} {n_layers[1]}: they "
                "cannot be subtracted layer by layer",
                hint="Compare their stage summaries, which use relative depth.",
            )


def compare(a: Group | Sequence[EncodingResult], b: Group | Sequence[EncodingResult]) -> Difference:
    """Pair the results of two models by subject.

    Parameters
    ----------
    a, b : Group or sequence of EncodingResult
        Model A and model B on the same data.

    Returns
    -------
    Difference
        A minus B, of the subjects that both have.

    Raises
    ------
    InputError
        When no subject is in both, or when the two were not scored on the same responses of the
        same test rows with the same bootstrap draws.
    """
    groups = [one if isinstance(one, Group) else Group.of(one) for one in (a, b)]
    names = [set(group.subjects) for group in groups]
    common = names[0] & names[1]
    if not common:
        raise InputError(
            f"{groups[0].model} and {groups[1].model} have no subject in common",
            hint="Compute both models for the same subjects.",
        )
    sides = [
        Group(tuple(result for result in group.results if result.subject in common))
        for group in groups
    ]
    different: dict[str, None] = {}  # a set that keeps its order
    for one, two in zip(sides[0].results, sides[1].results, strict=True):
        required = [
            regions_of(result) | rows_of(result) | responses_of(result) for result in (one, two)
        ]
        require_equal(required[0], required[1], (one, two))
        settings = [settings_of(result) | ceilings_of(result) for result in (one, two)]
        different |= {name: None for name in settings[0] if settings[0][name] != settings[1][name]}
    return Difference(sides[0], sides[1], tuple(sorted(names[0] ^ names[1])), tuple(different))
