"""Stored results as objects: an encoding result with its scores, statistics and provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import xarray as xr

from braindash.core.ceilings import LEAST_DIVISOR, ceiling_threshold, chosen_by_ceilings
from braindash.core.ridge.settings import folds_line
from braindash.core.scores import normalised_score, region_means
from braindash.core.statistics.bootstrap import interval
from braindash.core.statistics.words import interval_words, no_interval_words
from braindash.core.timing import rows_without_history
from braindash.errors import InputError, near_match
from braindash.io.entries import StoredResult
from braindash.io.regions.discs import SPHERE_LABEL
from braindash.io.regions.masks import DISCS, WHOLE, Hemisphere, Members, Regions, named_masks
from braindash.io.spaces.kept import surface_key, surface_of
from braindash.io.spaces.surface_map import COMMON, SurfaceMap
from braindash.io.surfaces import SPACE_NAMES
from braindash.specs import CEILING_SELECTIONS, CeilingSelection, StatisticsSettings, version_of

if TYPE_CHECKING:
    from nilearn.surface import SurfaceImage

__all__ = ["WHOLE", "EncodingResult"]

# Versions since which a specification has several ceilings by name, and predictions of their own.
_NAMED_CEILINGS, _OWN_PREDICTIONS = 2, 3

SELECTING = "selecting_ceiling"
"""The array of the ceiling that chose targets, where that is another than the one that divides."""
_SAMPLES = ("region_samples", "region_ceiling_samples")


@dataclass(frozen=True)
class SeenIn:
    """The region set and the hemisphere in which a result is looked at.

    Attributes
    ----------
    regions : Regions
        The set, on the result's targets.
    hemisphere : {"both", "left", "right"}
        The side.
    """

    regions: Regions
    hemisphere: Hemisphere = "both"


@dataclass(frozen=True)
class EncodingResult(StoredResult):
    """Layer-wise encoding scores of one model for one subject.

    Attributes
    ----------
    key, folder, spec, provenance
        As for every :class:`StoredResult`.
    dataset : xarray.Dataset
        ``r``, ``alpha``, ``cv_score`` (layer, target). With ceilings: ``ceiling`` (ceiling_kind,
        target). With tests: ``p``, ``q`` (layer, target); ``p_best``, ``q_best`` (target) of the
        best layer. ``preferred_layer`` (target). With bootstraps: ``preferred_share`` (target),
        ``region_samples`` (sample, layer, region) and ``region_ceiling_samples`` (ceiling_kind,
        sample, layer, region).
    seen_in : SeenIn, optional
        The region set and the hemisphere that tables and intervals are of; None: the discs that
        every result is stored with. :func:`braindash.with_regions` changes it.
    loaded : EncodingResult, optional
        This result as it was loaded, where it is looked at in a region set.
    """

    kind: ClassVar[str] = "encoding"

    seen_in: SeenIn | None = None
    loaded: Self | None = field(default=None, repr=False)

    @classmethod
    def _as_today(
        cls, spec: dict[str, Any], dataset: xr.Dataset
    ) -> tuple[dict[str, Any], xr.Dataset]:
        spec, dataset = super()._as_today(spec, dataset)
        version = version_of(cls.kind, spec)
        if version is None or version >= _OWN_PREDICTIONS:
            return spec, dataset
        added: dict[str, Any] = {"members": [], "low_level": None}
        if version < _NAMED_CEILINGS:
            spec, dataset = _name_ceiling(spec, dataset)
            statistics = StatisticsSettings(n_permutations=0, n_bootstraps=0)
            added |= {"other_subjects": [], "statistics": statistics.model_dump(mode="json")}
        return added | spec, dataset

    # ---- what it is of --------------------------------------------------------------------

    @property
    def subject(self) -> str:
        """Name of the subject."""
        return str(self.spec["subject"])

    @property
    def members(self) -> tuple[str, ...]:
        """Subjects whose mean response was predicted; empty for a single subject."""
        return tuple(self.spec["members"])

    @property
    def space(self) -> str:
        """The space of the targets, such as "fsaverage5"."""
        return str(self.spec["space"])

    @cached_property
    def surface(self) -> SurfaceMap | None:
        """What brings the targets to a surface, where their space is none of fsaverage's."""
        if self.loaded is not None:
            return self.loaded.surface
        return None if self.space in SPACE_NAMES else surface_of(self)

    @property
    def region_space(self) -> str:
        """The space that regions are looked up in: fsaverage5 where a surface map leads there."""
        mapped = self.surface is not None and self.surface.reaches_common
        return COMMON if mapped else self.space

    @property
    def preset(self) -> str:
        """Name of the protocol that it was asked for with; "default" for older results."""
        return str(self.provenance.get("preset", "default"))

    @property
    def manifest(self) -> str | None:
        """The manifest that it was computed from; None for results that do not say."""
        named = self.provenance["data"].get("manifest")
        return None if named is None else str(named)

    @property
    def n_targets(self) -> int:
        """Number of response columns, those without a score included."""
        return int(self.dataset.sizes["target"])

    @property
    def n_training_rows(self) -> int:
        """Number of rows of the training stories."""
        return sum(self._n_rows(story) for story in self.spec["train"])

    @property
    def n_scored_rows(self) -> int:
        """Number of test rows that enter the scores."""
        stories = zip(self.spec["test"], self.spec["score_from_row"], strict=True)
        return sum(self._n_rows(one, start) for one, start in stories)

    def _n_rows(self, story: dict[str, Any], start: int = 0) -> int:
        """Count the rows of a story that are used, from one on."""
        full = self.spec.get("history", "padded") == "full"
        unheard = rows_without_history(self.spec["delays"]) if full else 0
        first = max(story["first_row"] + unheard, start)
        return int(story["last_row"] - first - len(_censored(story, first)))

    @property
    def n_blocks(self) -> float:
        """How many blocks the scored test rows make, in the bootstrap of their intervals."""
        return float(self.n_scored_rows / self.spec["statistics"]["block_rows"])

    # ---- scores ---------------------------------------------------------------------------

    @cached_property
    def r(self) -> np.ndarray:
        """Pearson r on the test story, (n_layers, n_targets); NaN where there is no score."""
        return np.asarray(self.dataset["r"].values, dtype=np.float32)

    @cached_property
    def valid(self) -> np.ndarray:
        """Which targets have a score, bool (n_targets,)."""
        return np.asarray(np.isfinite(self.r).any(axis=0))

    @cached_property
    def ceilings(self) -> dict[str, np.ndarray]:
        """Noise ceilings (n_targets,) by name, the default one first; empty without any."""
        names = self.spec["ceilings"]
        return {
            name: np.asarray(self.dataset["ceiling"].sel(ceiling_kind=name), dtype=np.float32)
            for name in names
        }

    @property
    def has_ceiling(self) -> bool:
        """Whether the data gave a noise ceiling."""
        return bool(self.spec["ceilings"])

    @property
    def ceiling_name(self) -> str | None:
        """The default noise ceiling, the first of those that the data gave; None without any."""
        return next(iter(self.spec["ceilings"]), None)

    @cached_property
    def ceiling(self) -> np.ndarray:
        """The default noise ceiling (n_targets,); all NaN when the data have none."""
        return self.named_ceiling(None)

    def named_ceiling(self, name: str | None) -> np.ndarray:
        """Return one noise ceiling.

        Parameters
        ----------
        name : str or None
            One of ``ceilings``; None is the default one.

        Returns
        -------
        ndarray of shape (n_targets,)
            All NaN when None is asked for and the data have none.

        Raises
        ------
        InputError
            When the result has no ceiling of this name.
        """
        chosen = name or self.ceiling_name
        if chosen is None:
            return np.full(self.n_targets, np.nan, dtype=np.float32)
        if chosen not in self.ceilings:
            raise InputError(
                f"this result has no noise ceiling {chosen!r}",
                hint=near_match(chosen, self.ceilings),
            )
        return self.ceilings[chosen]

    def ceiling_threshold(self, name: str | None = None) -> float:
        """Say what a ceiling must exceed to divide by it; of the default one when left out."""
        kind = name or self.ceiling_name or "repeats"
        return ceiling_threshold(kind, self.spec.get("ceiling_threshold"))

    def scores(self, normalised: bool = False, ceiling: str | None = None) -> np.ndarray:
        """Return r, or r divided by a ceiling where that or other data chose the target.

        Parameters
        ----------
        normalised : bool, default False
            Whether to divide.
        ceiling : str, optional
            One of ``ceilings``; the default one when left out.

        Returns
        -------
        ndarray of shape (n_layers, n_targets)
            Never clipped; NaN where there is no score.
        """
        if not normalised:
            return self.r
        top = self.named_ceiling(ceiling)
        normalised_r: np.ndarray = normalised_score(self.r, top, chosen=self.divided(ceiling))
        return normalised_r

    def divided(self, ceiling: str | None = None) -> np.ndarray:
        """Mark the targets whose score a ceiling divides, bool (n_targets,).

        Parameters
        ----------
        ceiling : str, optional
            One of ``ceilings``; the default one when left out.
        """
        top = self.named_ceiling(ceiling)
        name = ceiling or self.ceiling_name
        return self.chosen[name] if name else np.zeros(len(top), dtype=bool)

    @cached_property
    def chosen(self) -> dict[str, np.ndarray]:
        """The targets that each ceiling divides, by its name."""
        selecting = self.dataset[SELECTING].values if SELECTING in self.dataset else None
        return chosen_by_ceilings(self.ceilings, self.spec.get("ceiling_threshold"), selecting)

    @property
    def selection(self) -> CeilingSelection:
        """What chooses the targets that the ceiling from repeats divides."""
        chosen: CeilingSelection = self.spec.get("ceiling_selection", "same")
        return chosen

    # ---- significance and preferred layers ------------------------------------------------

    @property
    def has_significance(self) -> bool:
        """Whether p and q values were computed."""
        return "p" in self.dataset

    @property
    def has_intervals(self) -> bool:
        """Whether there are bootstrap replicates of the regions' means."""
        return "region_samples" in self.dataset

    @property
    def has_confidence(self) -> bool:
        """Whether bootstrap replicates said how sure the preferred layers are."""
        return "preferred_share" in self.dataset

    @property
    def calibrated_confidence(self) -> bool:
        """Whether ``preferred_share`` is a calibrated chance, not the share of the replicates."""
        return bool(self.spec["statistics"].get("confidence", "share") == "shrunken")

    @cached_property
    def p(self) -> np.ndarray:
        """Each layer's own p value, (n_layers, n_targets); NaN without a score or a test."""
        return self._layers_by_targets("p")

    @cached_property
    def q(self) -> np.ndarray:
        """False discovery rate of each layer's targets, (n_layers, n_targets); NaN as ``p``."""
        return self._layers_by_targets("q")

    def significant(self, level: float = 0.05) -> np.ndarray:
        """Mark the targets whose score is significant at a false discovery rate, per layer.

        Parameters
        ----------
        level : float, default 0.05
            Largest q.

        Returns
        -------
        bool ndarray of shape (n_layers, n_targets)
            False where there is no score.

        Raises
        ------
        InputError
            When the result was computed without tests.
        """
        self._require_significance()
        return np.asarray(np.nan_to_num(self.q, nan=np.inf) <= level)

    @property
    def has_best(self) -> bool:
        """Whether the best layer of each target was tested as the best of all."""
        return "q_best" in self.dataset

    @cached_property
    def p_best(self) -> np.ndarray:
        """The p value of the best of all layers, (n_targets,); NaN without a score or a test."""
        return self._by_target("p_best")

    @cached_property
    def q_best(self) -> np.ndarray:
        """False discovery rate over the targets' best layers, (n_targets,); NaN as ``p_best``."""
        return self._by_target("q_best")

    def best_significant(self, level: float = 0.05) -> np.ndarray:
        """Mark the targets whose best layer is significant, as the best of all layers.

        Parameters
        ----------
        level : float, default 0.05
            Largest q.

        Returns
        -------
        bool ndarray of shape (n_targets,)
            Of an older result, without ``q_best``: where the preferred layer is significant by
            itself, which is so more often than the level says.

        Raises
        ------
        InputError
            When the result was computed without tests.
        """
        self._require_significance()
        if self.has_best:
            return np.asarray(np.nan_to_num(self.q_best, nan=np.inf) <= level)
        best = np.maximum(self.preferred_layer, 0).astype(np.intp)
        return np.asarray(self.significant(level)[best, np.arange(self.n_targets)])

    def _require_significance(self) -> None:
        if not self.has_significance:
            raise InputError(
                "this result has no p values: it was computed without permutations",
                hint="Compute it again with n_permutations (--permutations) of 1000.",
            )

    @cached_property
    def preferred_layer(self) -> np.ndarray:
        """Layer with the highest r, int (n_targets,); -1 where there is no score."""
        return np.asarray(self.dataset["preferred_layer"].values, dtype=np.int16)

    @cached_property
    def preferred_share(self) -> np.ndarray:
        """How sure the preferred layer is, (n_targets,), as ``confidence_line`` says."""
        if not self.has_confidence:
            return np.full(self.n_targets, np.nan, dtype=np.float32)
        return np.asarray(self.dataset["preferred_share"].values, dtype=np.float32)

    def surface_image(
        self,
        layer: int | None = None,
        what: str = "r",
        *,
        ceiling: str | None = None,
        shape: str = "inflated",
    ) -> "SurfaceImage":
        """Return a map as nilearn's image of a surface, for its plots, maskers and models.

        Parameters
        ----------
        layer : int, optional
            Which layer; when left out all of them, one column each.
        what : str, default "r"
            A name in :data:`braindash.encoding.maps.kinds.MAP_KINDS`, such as "r_over_ceiling",
            "ceiling", "q", "preferred_layer".
        ceiling : str, optional
            Noise ceiling, of "ceiling" and "r_over_ceiling"; the default one when left out.
        shape : str, default "inflated"
            The mesh: also "pial", "white", "sphere", or what the subject's own surfaces are.

        Returns
        -------
        nilearn.surface.SurfaceImage
            float32 (n_vertices, n_maps), on the targets' own fsaverage mesh, or on that which a
            surface map brings them to; NaN where there is no value.

        Raises
        ------
        InputError
            The result has no such map or layer, or nothing leads from its targets to a surface.
        """
        from braindash.encoding.maps.image import surface_image

        return surface_image(self, layer, what, ceiling=ceiling, shape=shape)

    # ---- regions --------------------------------------------------------------------------

    def in_regions(
        self, seen_in: SeenIn, replicates: xr.Dataset | None = None, *, own: bool = False
    ) -> Self:
        """Look at this result in another region set, or in one hemisphere.

        Parameters
        ----------
        seen_in : SeenIn
            The set, on this result's targets, and the side.
        replicates : xarray.Dataset, optional
            ``region_samples`` and, with ceilings, ``region_ceiling_samples`` of these regions;
            without them there are no intervals.
        own : bool, default False
            Whether the regions are those that this result was stored with.

        Returns
        -------
        EncodingResult
            With the same scores; its tables and intervals are of these regions.
        """
        if self.loaded is not None:
            return self.loaded.in_regions(seen_in, replicates, own=own)
        if own:
            return replace(self, seen_in=seen_in, loaded=self)
        kept = self.dataset.drop_vars([*_SAMPLES, "residual_region_samples"], errors="ignore")
        kept = kept.drop_vars("region", errors="ignore")
        if replicates is not None:
            names = [name for name in _SAMPLES if name in replicates]
            kept = kept.assign({name: replicates[name] for name in names})
        return replace(self, dataset=kept, seen_in=seen_in, loaded=self)

    @cached_property
    def masks(self) -> dict[str, np.ndarray]:
        """Regions of this space, name to bool (n_targets,), with "all targets" first."""
        if self.seen_in is not None:
            return self.seen_in.regions.of(self.seen_in.hemisphere)
        return dict(named_masks(self.space, self.n_targets))

    @property
    def members_of_regions(self) -> Members:
        """What region means are taken over: the masks, or a weight of every target."""
        if self.seen_in is None:
            return self.masks
        return self.seen_in.regions.members(self.seen_in.hemisphere)

    @property
    def hemisphere(self) -> Hemisphere:
        """The side that tables and intervals are of: "both", "left" or "right"."""
        return "both" if self.seen_in is None else self.seen_in.hemisphere

    @property
    def region_set(self) -> str:
        """Name of the region set that tables and intervals are of."""
        return DISCS if self.seen_in is None else self.seen_in.regions.name

    @property
    def identity(self) -> str:
        """What tables of this result depend on: its key, the regions, and whether it is sampled."""
        shown = "" if self.surface is None else f" on {surface_key(self)}"
        if self.seen_in is None:
            return self.key + shown
        sampled = "sampled" if self.has_intervals else "no samples"
        return f"{self.key} {self.seen_in.regions.digest} {self.hemisphere} {sampled}{shown}"

    def regions(self, ceiling: str | None = None) -> pd.DataFrame:
        """Tabulate region means per layer.

        Parameters
        ----------
        ceiling : str, optional
            One of ``ceilings``; the default one when left out.

        Returns
        -------
        pandas.DataFrame
            One row per layer and region: ``r`` (mean over the region's ``n_valid`` targets with a
            score), ``r_over_ceiling`` (mean over its ``n_above_threshold`` targets whose ceiling
            is high enough), ``ceiling`` (mean), ``n_targets``, ``coverage`` (share of the region's
            targets that have a score), and the columns ``region_set``, ``hemisphere``, ``model``,
            ``subject`` and ``simulated``. Where a surface map brings the targets to fsaverage5,
            the means are over the region's vertices there, and vertices are counted.
        """
        if ceiling not in self._region_tables:
            self._region_tables[ceiling] = self._tabulated(ceiling)
        return self._region_tables[ceiling].copy()

    @cached_property
    def _region_tables(self) -> dict[str | None, pd.DataFrame]:
        """Tables that were made; a page asks for each of them several times."""
        return {}

    def _tabulated(self, ceiling: str | None) -> pd.DataFrame:
        raw = self.region_means(self.r).rename(columns={"value": "r"})
        normalised = self.region_means(self.scores(True, ceiling))
        tops = self.region_means(self.named_ceiling(ceiling)[None])
        above = tops.set_index("region")["value"]
        table = raw.assign(
            r_over_ceiling=normalised["value"].to_numpy(),
            n_above_threshold=normalised["n_valid"].to_numpy(),
            ceiling=raw["region"].map(above).to_numpy(),
        )
        return table.assign(
            region_set=self.region_set,
            hemisphere=self.hemisphere,
            model=self.model,
            subject=self.subject,
            simulated=self.simulated,
        )

    def region_means(self, values: np.ndarray) -> pd.DataFrame:
        """Average values of the targets over the regions.

        Parameters
        ----------
        values : array of shape (n_layers, n_targets)
            NaN where there is none.

        Returns
        -------
        pandas.DataFrame
            What :func:`braindash.core.scores.region_means` gives.
        """
        members = self.members_of_regions
        sizes = None if self.seen_in is None else self.seen_in.regions.sizes(self.hemisphere)
        return region_means(values, members, sizes=sizes)

    @property
    def region_samples(self) -> xr.DataArray:
        """Bootstrap replicates of the regions' mean r, (sample, layer, region)."""
        return self.samples()

    def samples(self, normalised: bool = False, ceiling: str | None = None) -> xr.DataArray:
        """Return the bootstrap replicates of the region means.

        Parameters
        ----------
        normalised : bool, default False
            Replicates of the mean r / ceiling instead of the mean r.
        ceiling : str, optional
            One of ``ceilings``; the default one when left out.

        Returns
        -------
        xarray.DataArray
            float32 (sample, layer, region), with the regions' names as coordinate. Replicate i
            draws the same test rows in every result of the same rows and seed.

        Raises
        ------
        InputError
            When the result was computed without bootstraps, or has no such ceiling.
        """
        if not self.has_intervals:
            raise InputError(
                f"this result has no intervals: {self.no_intervals_line()}",
                hint="Compute it again with n_bootstraps (--bootstraps) of 1000."
                if not self.spec["statistics"]["n_bootstraps"]
                else "braindash.with_regions computes those of a region set, from the predictions.",
            )
        if not normalised:
            return self.dataset["region_samples"]
        if self.ceiling_name is None:
            return self.dataset["region_samples"] * np.float32("nan")
        self.named_ceiling(ceiling)  # refuses a name that is none
        samples = self.dataset["region_ceiling_samples"]
        return samples.sel(ceiling_kind=ceiling or self.ceiling_name, drop=True)

    def region_intervals(
        self, level: float = 0.95, *, normalised: bool = False, ceiling: str | None = None
    ) -> pd.DataFrame:
        """Tabulate region means per layer with their intervals.

        Parameters
        ----------
        level : float, default 0.95
            Share of the replicates inside an interval.
        normalised : bool, default False
            Intervals of ``r_over_ceiling`` instead of ``r``.
        ceiling : str, optional
            One of ``ceilings``; the default one when left out.

        Returns
        -------
        pandas.DataFrame
            The columns of :meth:`regions`, and ``low`` and ``high``: NaN where there is no score,
            or when the result was computed without bootstraps.
        """
        table = self.regions(ceiling)
        if not self.has_intervals:
            return table.assign(low=np.nan, high=np.nan)
        samples = self.samples(normalised, ceiling)
        low, high = interval(samples.values, level=level, n_units=self.n_blocks)
        return add_intervals(table, list(samples["region"].values), low, high)

    # ---- where the numbers come from ------------------------------------------------------

    def interval_line(self, level: float = 0.95) -> str:
        """Say in one line what an interval of this result is."""
        settings, who = self.spec["statistics"], self._subject_count()
        whom = "these subjects" if self.members else "this subject"
        if not self.has_intervals:
            return no_interval_words(self.no_intervals_line(), who)
        return interval_words(
            level,
            f"block bootstrap over test-story time ({settings['n_bootstraps']} samples)",
            f"{self.blocks_line()}, {who}",
            f"other stretches of such a story in {whom}",
        )

    def blocks_line(self) -> str:
        """Say in a few words how many blocks of test rows there are."""
        rows = self.spec["statistics"]["block_rows"]
        return f"{self.n_blocks:.3g} blocks of {rows} rows"

    def confidence_line(self) -> str:
        """Say in a few words what ``preferred_share`` is, and how it was computed."""
        units = f"{self.n_scored_rows} test rows, {self.blocks_line()}"
        if self.calibrated_confidence:
            return f"chance that the layer is the best, shrunken block bootstrap; units: {units}"
        count = self.spec["statistics"]["n_bootstraps"]
        return f"share of {count} block bootstrap samples, not shrunken; units: {units}"

    def significance_line(self) -> str:
        """Say in a few words what p and q values are of, and how they were computed."""
        return significance_words(self.spec["statistics"])

    def best_line(self) -> str:
        """Say in a few words how the best of several layers was tested."""
        if self.has_best:
            return f"the best of {self.n_layers} layers tested as such"
        return (
            "the best layer tested by itself, not as the best of several: significant more often "
            "than its q says"
        )

    def no_intervals_line(self) -> str:
        """Say why there are no intervals, where there are none."""
        if not self.spec["statistics"]["n_bootstraps"]:
            return "computed without bootstraps"
        return "those of this region set are not computed yet, or lack the stored predictions"

    def _subject_count(self) -> str:
        return f"mean of {len(self.members)} subjects" if self.members else "n = 1 subject"

    def ceiling_line(self, ceiling: str | None = None) -> str:
        """Say in a few words what a noise ceiling is made from."""
        name = ceiling or self.ceiling_name
        stories = _listed([story["name"] for story in self.spec["test"]])
        if name is None:
            return "none (not given, no repeats of the test story, no other subject)"
        if name == "given":
            return f"given by the manifest (as r on {stories})"
        if name == "repeats":
            return f"repeats of {stories}"
        if name == "split-half":
            return f"split halves of {len(self.spec['members'])} subjects on {stories}"
        count = len(self.spec["other_subjects"])
        return f"{name} on {stories} with {count} other subject{'s' if count > 1 else ''}"

    def provenance_line(self, ceiling: str | None = None) -> str:
        """Say in one line where the numbers come from.

        Parameters
        ----------
        ceiling : str, optional
            The ceiling that is used; the default one when left out.
        """
        train = _listed([story["name"] for story in self.spec["train"]])
        test = _listed([story["name"] for story in self.spec["test"]])
        rows = self.n_training_rows
        stamp = "SIMULATED DATA · " if self.simulated else ""
        preset = "" if self.preset == "default" else f"preset {self.preset} · "
        regions = self.regions_line()
        regions = f"regions: {regions} · " if regions else ""
        return (
            f"{stamp}{self.data} · {preset}{self.model} · subject {self.subject} · train: {train} "
            f"({rows} rows) · test: {test} from row {self.spec['score_from_row'][0]} · "
            f"features: {self.features_line()} · {self.fit_line()} · "
            f"ceiling: {self.ceiling_line(ceiling)} · {regions}"
            f"{self._subject_count()} · braindash {self.provenance['versions']['braindash']} · "
            f"key {self.key[:8]}{f' · {self.older}' if self.older else ''}"
        )

    def chosen_line(self, ceiling: str | None = None) -> str:
        """Say in a few words which targets a ceiling divides."""
        name = ceiling or self.ceiling_name
        least = self.ceiling_threshold(ceiling)
        if name != "repeats" or self.selection == "same":
            return f"ceiling ({name}) above {least:g}"
        chooses = CEILING_SELECTIONS[self.selection].removeprefix("the ")
        return f"{chooses} above {least:g}, and the one that divides above {LEAST_DIVISOR:g}"

    def features_line(self) -> str:
        """Say in a few words how the model's features were made."""
        strategy, context = self.provenance["strategy"], self.provenance.get("context_seconds")
        seen = "" if context is None or strategy == "frames" else f", {context:g} s of context"
        return f"{strategy}{seen}"

    def fit_line(self) -> str:
        """Say in a few words what was fitted: delays, alphas, and the folds that chose them."""
        alphas = self.spec["alphas"]
        folds = folds_line(self.spec["folds"], len(self.spec["train"]))
        return (
            f"delays {_listed(self.spec['delays'])} TR · {len(alphas)} alphas {min(alphas):.3g} to "
            f"{max(alphas):.3g}, {folds} {self.spec['metric']}{self._sharing_line()}"
            f"{self._high_pass_line()}{self._within_line()}"
        )

    def _sharing_line(self) -> str:
        """Say what shares a penalty and which rows are left out, where it is not as usual."""
        penalty: str = self.spec.get("penalty", "target")
        told = ""
        if penalty != "target":
            of = "all targets" if penalty == "shared" else "each region's targets (of discs)"
            told = f", one alpha for {of}"
        full = self.spec.get("history", "padded") == "full"
        return f"{told} · rows without full delay history left out" if full else told

    def _high_pass_line(self) -> str:
        period = self.spec.get("high_pass")
        return "" if period is None else f" · high-pass filter {period:g} s"

    def _within_line(self) -> str:
        within = self.spec.get("within")
        if within is None:
            return ""
        return (
            f" · within one story: {within['n_blocks']} blocks held out in turn, "
            f"{within['gap_rows']} rows at each side left out"
        )

    def regions_line(self) -> str:
        """Say in a few words which regions the means are of; empty without any."""
        if self.seen_in is None:
            return SPHERE_LABEL if len(self.masks) > 1 else ""
        side = "" if self.hemisphere == "both" else f", {self.hemisphere} hemisphere"
        if len(self.seen_in.regions.masks) == 1:
            return side.removeprefix(", ")
        told = self.seen_in.regions.note
        named = SPHERE_LABEL if self.region_set == DISCS else f"{self.region_set}: {told}"
        way = ""
        if self.seen_in.regions.painted is not None and self.surface is not None:
            way = f" (over vertices of fsaverage5: {self.surface.note})"
        return f"{named}{side}{way}"

    def _by_target(self, name: str) -> np.ndarray:
        if name not in self.dataset:
            return np.full(self.n_targets, np.nan, dtype=np.float32)
        return np.asarray(self.dataset[name].values, dtype=np.float32)

    def _layers_by_targets(self, name: str) -> np.ndarray:
        if name not in self.dataset:
            return np.full_like(self.r, np.nan)
        return np.asarray(self.dataset[name].values, dtype=np.float32)


def significance_words(settings: Mapping[str, Any]) -> str:
    """Say in a few words what p and q values are of, and how they were computed.

    Parameters
    ----------
    settings : mapping
        The statistics of an encoding specification, as JSON values.
    """
    count = settings["n_permutations"]
    if not count:
        return "not tested"
    if settings["scheme"] == "shift":
        return f"{count} circular shifts of the test story"
    blocks = f"blocks of at least {settings['block_rows']} rows"
    if settings["scheme"] == "blocks":
        return f"{count} permutations of {blocks}"
    return (
        "test of the signal that prediction and response share, AR(3)-prewhitened, over all "
        f"orders of {blocks}; not of r itself"
    )


def add_intervals(
    table: pd.DataFrame, regions: list[str], low: np.ndarray, high: np.ndarray
) -> pd.DataFrame:
    """Put interval ends beside a table with one row per layer and region.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``layer`` and ``region``.
    regions : list of str
        Names of the intervals' second axis.
    low, high : ndarray of shape (n_layers, n_regions)
        Ends of the intervals.

    Returns
    -------
    pandas.DataFrame
        With ``low`` and ``high``; NaN for a region that has no interval.
    """
    frames = [pd.DataFrame(ends, columns=regions).stack() for ends in (low, high)]
    index = pd.MultiIndex.from_frame(table[["layer", "region"]])
    ends = [frame.reindex(index).to_numpy() for frame in frames]
    return table.assign(low=ends[0], high=ends[1])


def _name_ceiling(spec: dict[str, Any], dataset: xr.Dataset) -> tuple[dict[str, Any], xr.Dataset]:
    """Name the one ceiling of version 1, and find the preferred layers, which it did not keep."""
    names = [spec["ceiling"]] if spec.get("ceiling", "none") != "none" else []
    arrays = dataset.drop_vars("ceiling", errors="ignore")
    if names:
        arrays = arrays.assign(ceiling=dataset["ceiling"].expand_dims(ceiling_kind=names))
    r = dataset["r"].transpose("layer", "target").values
    known = np.isfinite(r).any(axis=0)
    best = np.where(np.isfinite(r), r, -np.inf).argmax(axis=0)
    arrays["preferred_layer"] = ("target", np.where(known, best, -1).astype(np.int16))
    return {**spec, "ceilings": names}, arrays


def _censored(story: dict[str, Any], first: int = 0) -> set[int]:
    """Return the rows of a story, from one on, that no presentation has data for."""
    found = [set(rows) for rows in story.get("censored", [])]
    return {row for row in set.intersection(*found) if row >= first} if found else set()


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values)
