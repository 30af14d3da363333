"""Results of several subjects together: their mean, and how sure it is.

Subjects share the test story. With three or more the uncertainty is that of subjects and of story
time together, by variance components; without block bootstrap replicates it is that of the
subjects alone, and holds for this very story only. With one or two it is that of story time alone:
replicates, which draw the same rows in every result, are averaged over the subjects sample by
sample, and it holds for these subjects only. Every table has a line that says which, and of how
many.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.components import (
    LEAST_SUBJECTS,
    SharedStoryMean,
    nanmean,
    shared_story_mean,
)
from braindash.core.statistics.depth import SubjectCurves, stage_summary, subject_stages
from braindash.core.statistics.words import counted, interval_words, no_interval_words
from braindash.encoding.result import EncodingResult, add_intervals
from braindash.errors import InputError
from braindash.io.regions.masks import WHOLE
from braindash.io.spaces.surface_map import COMMON, SurfaceMap
from braindash.io.surfaces import SPACES

# Variances need no more replicates than this many numbers of all subjects, layers and regions,
# and no fewer than so many: the variance of 200 is known to a tenth.
_MOST_NUMBERS, _LEAST_SAMPLES = 2**24, 200

_REMEDIES = {
    "data set": "Scores of other data have nothing in common with these.",
    "region set": "Look at both in the same region set: braindash.with_regions.",
    "hemisphere": "Look at both in the same hemisphere: braindash.with_regions.",
    "space": "Targets of one space are not those of another: bring the responses to one space.",
    "test stories": "The test stories stand under [splits] in the manifest.",
    "test responses": "The responses were changed between the two runs: the older result has to be "
    "computed again.",
}

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Group:
    """Results of one model on the same data, one per subject; made by :meth:`of`.

    Attributes
    ----------
    results : tuple of EncodingResult
        Ordered by subject.
    """

    results: tuple[EncodingResult, ...]

    @classmethod
    def of(cls, results: Iterable[EncodingResult]) -> "Group":
        """Put results of several subjects together.

        Parameters
        ----------
        results : iterable of EncodingResult
            At least one.

        Raises
        ------
        InputError
            When there is none, when two are of the same subject, or when they differ in the
            model, the settings, the test rows or the bootstrap's draws.
        """
        found = tuple(sorted(results, key=lambda result: result.subject))
        if not found:
            raise InputError("there are no results to compare", hint="Choose at least one result.")
        means = [result.subject for result in found if result.members]
        if means and len(found) > 1:
            raise InputError(
                f"the result {means[0]!r} is the mean of several subjects' responses already",
                hint="Choose results of single subjects.",
            )
        subjects = [result.subject for result in found]
        twice = sorted({name for name in subjects if subjects.count(name) > 1})
        if twice:
            raise InputError(
                f"there are several results of subject {', '.join(twice)}",
                hint="Choose one result per subject.",
            )
        for other in found[1:]:
            require_equal(regions_of(found[0]), regions_of(other), (found[0], other))
            require_equal(model_of(found[0]), model_of(other), (found[0], other))
            require_equal(rows_of(found[0]), rows_of(other), (found[0], other))
        return cls(found)

    @property
    def first(self) -> EncodingResult:
        """One of the results, for what is the same in all of them."""
        return self.results[0]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.first.model

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects."""
        return tuple(result.subject for result in self.results)

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return len(self.results)

    @property
    def simulated(self) -> bool:
        """Whether any of the responses were made by a generator."""
        return any(result.simulated for result in self.results)

    @property
    def region_names(self) -> tuple[str, ...]:
        """Names of the regions that every subject has, "all targets" first."""
        found = [result.masks for result in self.results]
        return tuple(name for name in found[0] if all(name in masks for masks in found))

    @property
    def has_intervals(self) -> bool:
        """Whether every result has bootstrap replicates of its regions' means."""
        return all(result.has_intervals for result in self.results)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tables of these results depend on: their keys and regions."""
        return tuple(result.identity for result in self.results)

    @cached_property
    def ceiling_names(self) -> tuple[str, ...]:
        """Noise ceilings that every subject has, the default one first."""
        names = self.first.ceilings
        return tuple(
            name for name in names if all(name in result.ceilings for result in self.results)
        )

    def values(self, *, normalised: bool = False, ceiling: str | None = None) -> Floats:
        """Return every subject's region means, (n_subjects, n_layers, n_regions)."""
        column = "r_over_ceiling" if normalised else "r"
        chosen = self._ceiling(ceiling)
        return np.stack(
            [_by_layer(result.regions(chosen), column, self) for result in self.results]
        )

    def coverage(self, *, normalised: bool = False, ceiling: str | None = None) -> Floats:
        """Return the share of the regions' targets that are in the means, (n_layers, n_regions).

        Of several subjects: of all their targets together; NaN for a region without any.
        """
        table = self.regions(normalised=normalised, ceiling=ceiling)
        count = table["n_above_threshold" if normalised else "n_valid"]
        shares = table.assign(share=count / table["n_targets"].where(table["n_targets"] > 0))
        return _by_layer(shares, "share", self)

    def scores(self, *, normalised: bool = False, ceiling: str | None = None) -> Floats:
        """Return the subjects' mean score of every target, (n_layers, n_targets).

        A target's mean is over the subjects who have a score there; NaN where nobody has. Of
        subjects with targets of their own, whose surface maps lead to fsaverage5, its vertices are
        averaged: (n_layers, 20484).

        Raises
        ------
        InputError
            When every subject has targets of their own and nothing brings them together: such maps
            have no mean.
        """
        if self.n_subjects == 1:
            return self.first.scores(normalised, self._ceiling(ceiling))
        return nanmean(self.subject_scores(normalised=normalised, ceiling=ceiling))

    def subject_scores(self, *, normalised: bool = False, ceiling: str | None = None) -> Floats:
        """Return every subject's maps of :meth:`scores`, (n_subjects, n_layers, n_targets)."""
        self.require_shared_targets()
        chosen = self._ceiling(ceiling)
        maps = [self._shown(one, one.scores(normalised, chosen)) for one in self.results]
        return np.stack(maps)

    def require_shared_targets(self) -> None:
        """Refuse subjects whose targets nothing brings together."""
        if self._own_targets and not self.on_common:
            raise InputError(
                f"in the space {self.first.space!r} every subject has targets of their own, so "
                "their maps have no mean",
                hint="Choose one subject, or name in the manifest what brings each subject's "
                "targets to fsaverage.",
            )

    # ---- what scores are of -----------------------------------------------------------------

    @property
    def _own_targets(self) -> bool:
        sizes = {result.n_targets for result in self.results}
        return self.n_subjects > 1 and (self.first.space.startswith("native") or len(sizes) > 1)

    @cached_property
    def on_common(self) -> bool:
        """Whether the subjects' own targets meet on the vertices of fsaverage5."""
        maps = [result.surface for result in self.results] if self._own_targets else []
        return bool(maps) and all(one is not None and one.reaches_common for one in maps)

    def _shown(self, result: EncodingResult, values: Floats) -> Floats:
        if not self.on_common or result.surface is None:
            return values
        return result.surface.common_values(values)

    @property
    def space(self) -> str:
        """The space of :meth:`scores`."""
        return COMMON if self.on_common else self.first.space

    @property
    def n_targets(self) -> int:
        """Columns of :meth:`scores`."""
        return 2 * SPACES[COMMON] if self.on_common else self.first.n_targets

    @property
    def surface(self) -> SurfaceMap | None:
        """What brings the columns of :meth:`scores` to a surface, if they are not its vertices."""
        return None if self.on_common else self.first.surface

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """Regions among the columns of :meth:`scores`, "all targets" first."""
        seen = self.first.seen_in
        if not self.on_common:
            return self.first.masks
        if seen is None or seen.regions.painted is None:
            return {WHOLE: np.ones(self.n_targets, dtype=bool)}
        return seen.regions.painted.on_vertices(seen.hemisphere)

    def ceiling_at(self, target: int, ceiling: str | None = None) -> float:
        """Return the mean noise ceiling of a column of :meth:`scores`; NaN without any."""
        chosen = self._ceiling(ceiling)
        tops = [self._shown(one, one.named_ceiling(chosen))[target] for one in self.results]
        return float(nanmean(np.asarray(tops, dtype=float)))

    def regions(
        self, level: float = 0.95, *, normalised: bool = False, ceiling: str | None = None
    ) -> pd.DataFrame:
        """Tabulate the subjects' mean per layer and region, with its interval.

        Parameters
        ----------
        level : float, default 0.95
            Share of the replicates inside an interval.
        normalised : bool, default False
            Intervals of ``r_over_ceiling`` instead of ``r``.
        ceiling : str, optional
            One of ``ceiling_names``; the first when left out.

        Returns
        -------
        pandas.DataFrame
            The columns of :meth:`~braindash.encoding.result.EncodingResult.regions`: scores and
            ceilings are means over the subjects that have one, numbers of targets are sums; and
            ``low``, ``high``, ``n_subjects``.
        """
        asked = (level, normalised, ceiling)
        if asked not in self._region_tables:
            self._region_tables[asked] = self._tabulated(*asked)
        return self._region_tables[asked].copy()

    @cached_property
    def _region_tables(self) -> dict[tuple[float, bool, str | None], pd.DataFrame]:
        """Tables that were made; a page asks for each of them several times."""
        return {}

    def _tabulated(self, level: float, normalised: bool, ceiling: str | None) -> pd.DataFrame:
        tables = [result.regions(self._ceiling(ceiling)) for result in self.results]
        rows = pd.concat(tables)
        rows = rows[rows["region"].isin(self.region_names)]
        both = rows.groupby(["layer", "region"], sort=False)
        means = both[["r", "r_over_ceiling", "ceiling"]].mean()
        sums = both[["n_targets", "n_valid", "n_above_threshold"]].sum()
        table = means.join(sums).reset_index()
        table = table.assign(
            coverage=table["n_valid"] / table["n_targets"].where(table["n_targets"] > 0),
            region_set=self.first.region_set,
            hemisphere=self.first.hemisphere,
            model=self.model,
            subject=self.first.subject
            if self.n_subjects == 1
            else f"mean of {self.n_subjects} subjects",
            simulated=self.simulated,
            n_subjects=self.n_subjects,
        )
        low, high = self.mean_interval(level, normalised=normalised, ceiling=ceiling)
        return add_intervals(table, list(self.region_names), low, high)

    @property
    def over_subjects(self) -> bool:
        """Whether intervals are of subjects; otherwise they are of the test story's time alone."""
        return self.n_subjects >= LEAST_SUBJECTS

    def mean_interval(
        self, level: float = 0.95, *, normalised: bool = False, ceiling: str | None = None
    ) -> tuple[Floats, Floats]:
        """Return the ends of the interval of the subjects' mean, each (n_layers, n_regions).

        NaN where there is none.
        """
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        if self.over_subjects:
            samples = self.subject_samples(**options)
            found = self.shared_mean(self.values(**options), samples)
            return found.interval(level)
        if not self.has_intervals:
            nothing = np.full(self.values(**options).shape[1:], np.nan)
            return nothing, nothing
        drawn = nanmean(self.time_samples(**options))
        return interval(drawn, level=level, n_units=self.first.n_blocks)

    def shared_mean(self, values: Floats, samples: Floats | None) -> SharedStoryMean:
        """Average values (n_subjects, ...) with the variance of subjects and of story time."""
        return shared_story_mean(values, samples, self.first.n_blocks)

    def subject_samples(
        self, *, normalised: bool = False, ceiling: str | None = None
    ) -> Floats | None:
        """Return as many of :meth:`time_samples` as variances need; None without bootstraps."""
        if not self.has_intervals:
            return None
        each = self.n_subjects * self.first.n_layers * len(self.region_names)
        most = max(_LEAST_SAMPLES, _MOST_NUMBERS // each)
        return self.time_samples(normalised=normalised, ceiling=ceiling, most=most)

    def time_samples(
        self, *, normalised: bool = False, ceiling: str | None = None, most: int | None = None
    ) -> Floats:
        """Return block bootstrap replicates, (n_subjects, n_samples, n_layers, n_regions).

        With ``most`` at most the first so many samples.
        """
        chosen, names = self._ceiling(ceiling), list(self.region_names)
        first = slice(most)
        return np.stack(
            [
                result.samples(normalised, chosen).isel(sample=first).reindex(region=names).values
                for result in self.results
            ]
        )

    def subject_curves(
        self, *, normalised: bool = False, ceiling: str | None = None
    ) -> SubjectCurves:
        """Return every subject's layer curves, with replicates where there are bootstraps."""
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        values = self.values(**options).transpose(0, 2, 1)
        samples = self.subject_samples(**options)
        return SubjectCurves(values, None if samples is None else samples.transpose(0, 1, 3, 2))

    def mean_curves(
        self, *, normalised: bool = False, ceiling: str | None = None
    ) -> tuple[Floats, Floats]:
        """Return the mean curves (n_regions, n_layers), and their replicates over story time.

        Replicates are (n_samples, n_regions, n_layers); one of NaN without bootstraps.
        """
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        mean = nanmean(self.values(**options)).T
        if not self.has_intervals:
            return mean, np.full((1, *mean.shape), np.nan)
        return mean, nanmean(self.time_samples(**options)).transpose(0, 2, 1)

    def stages(
        self,
        level: float = 0.95,
        *,
        normalised: bool = False,
        ceiling: str | None = None,
        hierarchy: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Sum up at which depth the model holds what each region needs.

        Parameters
        ----------
        level : float, default 0.95
            Share of the replicates inside an interval.
        normalised : bool, default False
            Curves of r / ceiling instead of r.
        ceiling : str, optional
            One of ``ceiling_names``; the first when left out.
        hierarchy : sequence of str, optional
            Regions from acoustic to semantic, for the hierarchy index.

        Returns
        -------
        pandas.DataFrame
            What :func:`braindash.core.statistics.depth.stage_summary`, or with three subjects or
            more :func:`~braindash.core.statistics.depth.subject_stages`, gives of the mean curves:
            ``quantity``, ``name`` (region), ``estimate``, ``low``, ``high``; and ``model``,
            ``n_subjects``, ``simulated``.
        """
        options: dict[str, Any] = {"normalised": normalised, "ceiling": ceiling}
        names, blocks = self.region_names, self.first.n_blocks
        how: dict[str, Any] = {"hierarchy": hierarchy, "level": level}
        if self.over_subjects:
            curves = self.subject_curves(**options)
            table = subject_stages(curves, names=names, n_blocks=blocks, **how)
        else:
            mean, samples = self.mean_curves(**options)
            table = stage_summary(mean, samples, names, n_units=blocks, **how)
        return table.assign(model=self.model, n_subjects=self.n_subjects, simulated=self.simulated)

    def interval_line(self, level: float = 0.95) -> str:
        """Say in one line what the intervals are, and of how many subjects."""
        return describe_interval(self, level)

    def _ceiling(self, name: str | None) -> str | None:
        """Name the same ceiling for every subject."""
        return name or next(iter(self.ceiling_names), None)


# ---- what must be equal ---------------------------------------------------------------------


def rows_of(result: EncodingResult) -> dict[str, Any]:
    """Return what the test rows, their segments and the draws of a result depend on."""
    spec = result.spec
    return {
        "data set": result.data,
        "space": spec["space"],
        "test stories": [story["name"] for story in spec["test"]],
        "test rows": [(story["first_row"], story["last_row"]) for story in spec["test"]],
        "first scored rows": list(spec["score_from_row"]),
        "rows without full history": spec.get("history", "padded"),
        "seed and blocks of the bootstrap": [
            spec["statistics"][name] for name in ("n_bootstraps", "block_rows", "seed")
        ],
    }


def regions_of(result: EncodingResult) -> dict[str, Any]:
    """Return the region set and the side that a result is looked at in."""
    return {"region set": result.region_set, "hemisphere": result.hemisphere}


def responses_of(result: EncodingResult) -> dict[str, Any]:
    """Return the digests of a result's test responses, and which of their rows are left out."""
    return {
        "test responses": [story["responses"] for story in result.spec["test"]],
        "censored rows": [story.get("censored", []) for story in result.spec["test"]],
    }


def settings_of(result: EncodingResult) -> dict[str, Any]:
    """Return what scores depend on beside the model, the subject and the test rows."""
    spec = result.spec
    names = ("delays", "alphas", "folds", "metric", "intercept", "standardise_responses")
    fields = ("name", "responses", "first_row", "last_row")
    train = [
        (*(story[field] for field in fields), *story.get("censored", [])) for story in spec["train"]
    ]
    return {
        "features": result.features_line(),
        "training stories": train,
        "version of the computation": result.older or "today's",
        "penalty": (spec.get("penalty", "target"), spec.get("pools")),
        "high-pass filter": spec.get("high_pass"),
        "search of penalties": spec.get("search", "sampled"),
        **{name: spec[name] for name in names},
    }


def ceilings_of(result: EncodingResult) -> dict[str, Any]:
    """Return what the noise ceilings of a result are made from."""
    spec = result.spec
    chosen = [spec.get("ceiling_threshold"), spec.get("ceiling_selection", "same")]
    return {"ceilings": [spec["ceilings"], spec["other_subjects"], *chosen]}


def model_of(result: EncodingResult) -> dict[str, Any]:
    """Return the model of a result, with the settings that subjects must share."""
    settings = settings_of(result)
    del settings["training stories"]  # subjects may have heard different stories
    return {"model": result.provenance["model"]["fingerprint"]} | settings


def require_equal(
    one: dict[str, Any], two: dict[str, Any], results: tuple[EncodingResult, EncodingResult]
) -> None:
    """Raise :class:`~braindash.errors.InputError` when two results differ, and say in what."""
    different = [name for name in one if one[name] != two[name]]
    if different:
        first, second = (
            f"{result.model}, {result.subject} (key {result.key[:8]})" for result in results
        )
        name = different[0]
        raise InputError(
            f"{first} and {second} cannot be compared: they differ in {', '.join(different)} "
            f"({name}: {one[name]!r} and {two[name]!r})",
            hint=f"Compute both with the same data and settings. {_REMEDIES.get(name, '')}".strip(),
        )


# ---- small parts ----------------------------------------------------------------------------


def _by_layer(table: pd.DataFrame, column: str, group: Group) -> Floats:
    """Lay a column of a region table out as (n_layers, n_regions)."""
    wide = table.pivot(index="layer", columns="region", values=column)
    return np.asarray(wide[list(group.region_names)], dtype=np.float64)


def describe_interval(group: Group, level: float, kind: str = "") -> str:
    """Say what the intervals of a group are, of how many units, and for what they hold.

    ``kind`` is what the units are paired by, such as "paired ".
    """
    result, n_subjects = group.first, group.n_subjects
    who = counted(n_subjects, "subject")
    if not group.has_intervals:
        lacking = next(one for one in group.results if not one.has_intervals)
        if not group.over_subjects:
            return no_interval_words(lacking.no_intervals_line(), f"n = {who}")
        return interval_words(
            level,
            f"{kind}Student's over subjects ({lacking.no_intervals_line()})",
            f"n = {who}",
            "other subjects who hear this very story, not for other stories",
        )
    if group.over_subjects:
        return interval_words(
            level,
            f"{kind}variance components of subjects and story time",
            f"n = {who} and {result.blocks_line()}",
            "other subjects and other stretches of such a story",
        )
    return interval_words(
        level,
        f"{kind}block bootstrap over test-story time "
        f"({result.spec['statistics']['n_bootstraps']} samples)",
        f"{result.blocks_line()}, {'' if n_subjects == 1 else 'mean of '}n = {who}",
        f"other stretches of such a story in {_these(n_subjects)}",
    )


def _these(n_subjects: int) -> str:
    return "this subject" if n_subjects == 1 else "these subjects"
