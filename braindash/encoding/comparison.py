"""Model A minus model B, paired by subject.

With five subjects or more: the mean of the subjects' differences with Student's interval and a
sign-flip test. With fewer: the difference of their block bootstrap replicates, which draw the same
test rows for both models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.depth import stage_difference
from braindash.core.statistics.subjects import paired_difference
from braindash.encoding.groups import (
    MIN_SUBJECTS,
    Floats,
    Group,
    ceilings_of,
    describe_interval,
    nanmean,
    regions_of,
    require_equal,
    responses_of,
    rows_of,
    settings_of,
)
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError

__all__ = ["MIN_SUBJECTS", "Difference", "Group", "LayerPairs", "compare"]


@dataclass(frozen=True)
class LayerPairs:
    """Mean differences of regions between any layer of model A and any layer of model B.

    Attributes
    ----------
    regions : tuple of str
        Their names.
    difference, low, high, p : array of shape (n_layers_a, n_layers_b, n_regions)
        A minus B, the ends of its interval, and the p value of the sign-flip test; NaN where there
        is none.
    """

    regions: tuple[str, ...]
    difference: Floats
    low: Floats
    high: Floats
    p: Floats


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
            ``low``, ``high``, ``p`` (sign-flip test; NaN with fewer than five subjects),
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
        low, high, p = self._contrast(pair, samples, level)
        shape = pair[0].shape[1:]
        layers, regions = np.indices(shape)
        names = np.array(self.a.region_names)
        table = {"layer": layers.ravel(), "region": names[regions.ravel()]}
        columns = {
            "a": nanmean(pair[0]),
            "b": nanmean(pair[1]),
            "difference": nanmean(pair[0] - pair[1]),
            "low": low,
            "high": high,
            "p": p,
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
        rows = []
        for layer in range(one.shape[1]):  # layer by layer: the replicates of all pairs are large
            pair = np.broadcast_arrays(one[:, layer, None], two)
            drawn = None if samples is None else (samples[0][:, :, layer, None], samples[1])
            rows.append((nanmean(pair[0] - pair[1]), *self._contrast(pair, drawn, level)))
        difference, low, high, p = (np.stack(part) for part in zip(*rows, strict=True))
        return LayerPairs(self.a.region_names, difference, low, high, p)

    def interval_line(self, level: float = 0.95) -> str:
        """Say in one line what the intervals are, and of how many subjects."""
        n_subjects = self.a.n_subjects
        if not self.a.over_subjects:
            return self._line(describe_interval(self.a, level, "paired "))
        return self._line(
            f"{100 * level:g} % intervals: Student's, of the paired differences of n = "
            f"{n_subjects} subjects; p: sign-flip test, n = {n_subjects}"
        )

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
            As for :meth:`braindash.encoding.groups.Group.stages`.

        Returns
        -------
        pandas.DataFrame
            ``quantity``, ``name`` (region), ``a``, ``b`` (the models' own), ``difference``,
            ``low``, ``high``, ``n_subjects``, ``simulated``.
        """
        ceiling = self._ceiling(ceiling)
        one, two = (
            side.curves(normalised=normalised, ceiling=ceiling) for side in (self.a, self.b)
        )
        table = stage_difference(
            one.mean,
            one.samples,
            two.mean,
            two.samples,
            one.regions,
            hierarchy=hierarchy,
            level=level,
            n_units=one.n_units,
        ).rename(columns={"estimate": "difference"})
        for place, name, side in ((2, "a", self.a), (3, "b", self.b)):
            own = side.stages(level, normalised=normalised, ceiling=ceiling, hierarchy=hierarchy)
            table.insert(place, name, own["estimate"])
        return table.assign(
            n_subjects=self.a.n_subjects, simulated=self.a.simulated or self.b.simulated
        )

    def stages_line(self, level: float = 0.95) -> str:
        """Say in one line what the intervals of :meth:`stages` are."""
        return self._line(describe_interval(self.a, level, "paired "))

    def _values(self, normalised: bool, ceiling: str | None) -> list[Floats]:
        return [one.values(normalised=normalised, ceiling=ceiling) for one in (self.a, self.b)]

    def _time_samples(self, normalised: bool, ceiling: str | None) -> list[Floats] | None:
        """Return both models' block bootstrap replicates, where the intervals are made of them."""
        if self.a.over_subjects or not (self.a.has_intervals and self.b.has_intervals):
            return None
        return [
            one.time_samples(normalised=normalised, ceiling=ceiling) for one in (self.a, self.b)
        ]

    def _contrast(
        self, pair: Sequence[Floats], samples: Sequence[Floats] | None, level: float
    ) -> tuple[Floats, Floats, Floats]:
        """Return ends of the intervals of the mean difference, and p, each of one subject's shape.

        ``pair`` is (n_subjects, ...), ``samples`` (n_subjects, n_samples, ...).
        """
        nothing = np.full(pair[0].shape[1:], np.nan)
        if self.a.over_subjects:
            found = paired_difference(*pair, level=level)
            return found.low, found.high, found.p
        if samples is None:
            return nothing, nothing, nothing
        drawn = nanmean(samples[0] - samples[1])
        low, high = interval(drawn, level=level, n_units=self.a.n_units)
        return low, high, nothing

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
