"""Stored probing results as objects: scores of every task and layer, with their provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.core.statistics.bootstrap import (
    LEAST_UNITS,
    interval,
    interval_method,
    interval_of_units,
)
from braindash.core.statistics.depth import (
    QUANTITIES,
    hierarchy_index,
    score_weighted_depth,
    stage_summary,
)
from braindash.core.statistics.words import interval_words, no_interval_words
from braindash.errors import InputError, near_match
from braindash.files import digest_json
from braindash.io.entries import StoredResult
from braindash.probing.tasks import HIERARCHY, PROBE_TASKS, STAGES, metric_words

Floats = NDArray[np.float64]

# Of tasks whose units differ; the line of each says which are its own.
_ANY_INTERVAL = (
    "{level:g} % intervals: bootstrap, or Student's where there are fewer than eight; units: test "
    "speakers where none of them is learnt from, else test recordings; for others of them"
)


@dataclass(frozen=True)
class ProbingResult(StoredResult):
    """Linear probes of every layer of one model.

    Attributes
    ----------
    key, folder, spec, provenance
        As for every :class:`StoredResult`.
    dataset : xarray.Dataset
        ``score``, ``low``, ``high`` (95 % interval), ``alpha``, ``chance_shuffled`` and
        ``chance_shuffled_sd`` (task, layer); ``chance_majority`` (task); ``metrics`` (task,
        metric, layer), NaN where a task has no such metric; ``samples`` (task, sample, layer); for
        every task ``detail_TASK``: test units by true and predicted class (layer, class, class) or
        R^2 of every output, or F1 of every label (layer, output).
    """

    kind: ClassVar[str] = "probing"

    # ---- what it is of --------------------------------------------------------------------

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, from acoustic to semantic."""
        return tuple(str(name) for name in self.dataset["task"].values)

    @property
    def questions(self) -> str:
        """Digest of what was asked, whatever the model: equal for results that can be compared."""
        return questions_digest(self.spec)

    def metric(self, task: str) -> str:
        """Say what a task's score is: "r2", "accuracy", "balanced_accuracy" or "macro_f1"."""
        return str(self._task_spec(task)["metric"])

    @property
    def preset(self) -> str:
        """Name of the paper's protocol that was asked for; "default" where none was."""
        return str(self.provenance.get("preset", "default"))

    def score_words(self, task: str | None = None) -> str:
        """Name the metric of one task, or those of all."""
        asked = self.tasks if task is None else (task,)
        return " and ".join(dict.fromkeys(metric_words(self.metric(one)) for one in asked))

    def facts(self, task: str) -> dict[str, Any]:
        """Return the classes, the numbers of units, the split and the warnings of a task."""
        self._task_spec(task)
        return dict(self.provenance["tasks"][task])

    # ---- scores ---------------------------------------------------------------------------

    def score(self, task: str) -> Floats:
        """Score on the test part, (n_layers,)."""
        return self._of("score", task)

    def samples(self, task: str) -> Floats:
        """Bootstrap samples of the score, (n_samples, n_layers)."""
        return self._of("samples", task)

    def chance(self, task: str) -> Floats:
        """Return what a probe reaches that knows nothing, (n_layers,).

        The score of one and the same answer or, where that is higher, the mean score after
        learning from shuffled labels; of a regression at least 0.
        """
        majority = float(self._of("chance_majority", task))
        shuffled = np.nan_to_num(self._of("chance_shuffled", task), nan=majority)
        least = 0.0 if self.metric(task) == "r2" else majority
        return np.maximum(shuffled, max(least, majority))

    def above_chance(self, task: str) -> Floats:
        """Return ``(score - chance) / (1 - chance)``: 0 at chance, 1 for a perfect probe."""
        chance = self.chance(task)
        return np.asarray((self.score(task) - chance) / (1 - chance))

    def table(self) -> pd.DataFrame:
        """Tabulate all scores.

        Returns
        -------
        pandas.DataFrame
            One row per task and layer: ``score``, ``low``, ``high``, ``chance_majority``,
            ``chance_shuffled``, ``selectivity`` (score minus ``chance_shuffled``),
            ``above_chance``, ``metric``, ``stage``, ``model`` and ``simulated``.
        """
        parts = []
        for task in self.tasks:
            shuffled = self._of("chance_shuffled", task)
            parts.append(
                pd.DataFrame(
                    {
                        "task": task,
                        "layer": np.arange(self.n_layers),
                        "score": self.score(task),
                        "low": self._of("low", task),
                        "high": self._of("high", task),
                        "chance_majority": float(self._of("chance_majority", task)),
                        "chance_shuffled": shuffled,
                        "selectivity": self.score(task) - shuffled,
                        "above_chance": self.above_chance(task),
                        "metric": self.metric(task),
                        "stage": PROBE_TASKS[task].stage,
                    }
                )
            )
        table = pd.concat(parts, ignore_index=True)
        return table.assign(model=self.model, simulated=self.simulated)

    # ---- depth ----------------------------------------------------------------------------

    @property
    def hierarchy(self) -> tuple[str, ...]:
        """The tasks that stand between sound and meaning, in this order."""
        return tuple(name for name in self.tasks if PROBE_TASKS[name].stage in HIERARCHY)

    def stages(self, level: float = 0.95) -> pd.DataFrame:
        """Say at which depth the model holds what each task needs.

        Parameters
        ----------
        level : float, default 0.95
            Of the intervals.

        Returns
        -------
        pandas.DataFrame
            As of :func:`braindash.core.statistics.depth.stage_summary`, of the scores above chance;
            the hierarchy index correlates the stages of the tasks with their weighted depth.

        Raises
        ------
        InputError
            The model has one layer, so there is no depth.
        """
        if self.n_layers < 2:
            raise InputError(
                f"{self.model} has one layer, so there is no depth",
                hint="Choose a model with several layers.",
            )
        tables = [self._stages_of(task, level) for task in self.tasks]
        tables.append(self._hierarchy_row(level))
        table = pd.concat(tables, ignore_index=True)
        order = {name: place for place, name in enumerate(QUANTITIES)}
        return table.sort_values("quantity", key=lambda names: names.map(order), kind="stable")

    def _stages_of(self, task: str, level: float) -> pd.DataFrame:
        curve, samples = self.above_chance(task)[None], self._samples(task)[:, None]

        def ends(estimate: Floats, drawn: Floats) -> tuple[Floats, Floats]:
            return self._interval(estimate, drawn, [task], level)

        return stage_summary(curve, samples, [task], level=level, ends=ends)

    def _hierarchy_row(self, level: float) -> pd.DataFrame:
        names = self.hierarchy
        place = [STAGES.index(PROBE_TASKS[name].stage) for name in names]
        found = (np.nan, np.nan, np.nan)
        if names:
            curves = np.stack([self.above_chance(name) for name in names])
            drawn = np.stack([self._samples(name) for name in names], axis=1)
            estimate = hierarchy_index(score_weighted_depth(curves), place)
            index = hierarchy_index(score_weighted_depth(drawn), place)
            low, high = self._interval(estimate, index, names, level)
            low, high = (np.where(np.isfinite(estimate), end, np.nan) for end in (low, high))
            found = (float(estimate), max(float(low), -1.0), min(float(high), 1.0))
        row = dict(zip(("estimate", "low", "high"), found, strict=True))
        return pd.DataFrame([{"quantity": QUANTITIES[-1], "name": "all", **row}])

    def _interval(
        self, estimate: Floats, samples: Floats, tasks: Sequence[str], level: float
    ) -> tuple[Floats, Floats]:
        """Return the ends of an interval over the units of the task that has the fewest."""
        n_units = min(self.facts(task)["n_pieces"] for task in tasks)
        if self.over_highest:
            return interval_of_units(estimate, samples, n_units, level=level)
        if n_units < 2:  # as such results were computed
            return np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
        return interval(samples, level=level, n_units=n_units)

    @property
    def over_highest(self) -> bool:
        """Whether intervals are over the highest level that is on one side only."""
        return bool(self.spec.get("interval_units", "recording") == "highest")

    def _samples(self, task: str) -> Floats:
        """Bootstrap samples of the score above chance, (n_samples, n_layers)."""
        chance = self.chance(task)
        return np.asarray((self.samples(task) - chance) / (1 - chance))

    # ---- where the numbers come from ------------------------------------------------------

    def interval_line(self, task: str | None = None, level: float = 0.95) -> str:
        """Say in one line what an interval is, of one task or of all."""
        if not self.over_highest:
            what = "test recordings, or stretches of them where there are few"
            units = what if task is None else str(self.facts(task)["bootstrap"])
            return interval_words(
                level,
                "bootstrap, as computed before speakers were drawn (too short where speakers have "
                "several recordings)",
                units,
                "other recordings of these speakers",
            )
        lines = dict.fromkeys(
            self._task_line(one, level) for one in ([task] if task else self.tasks)
        )
        return next(iter(lines)) if len(lines) == 1 else _ANY_INTERVAL.format(level=100 * level)

    def _task_line(self, task: str, level: float) -> str:
        facts = self.facts(task)
        n_units, units, unit = facts["n_pieces"], str(facts["bootstrap"]), str(facts["level"])
        holds_for = "other speakers" if unit == "speaker" else "other recordings"
        method = interval_method(n_units)
        if method == "none":
            return no_interval_words(f"{LEAST_UNITS} {unit}s are needed", units)
        how = f"bootstrap over {unit}s" if method == "bootstrap" else f"Student's over {unit}s"
        return interval_words(level, how, units, holds_for)

    def provenance_line(self, task: str | None = None) -> str:
        """Say in one line where the numbers come from, of one task or of all."""
        stamp = "SIMULATED DATA, SYNTHETIC SPEECH · " if self.simulated else ""
        older = f" · {self.older}" if self.older else ""
        split, asked = "", self.spec["tasks"]
        if task is not None:
            facts = self.facts(task)
            split, asked = f"{task}: {facts['split']} · ", [self._task_spec(task)]
        preset = "" if self.preset == "default" else f"preset {self.preset} · "
        chosen = " or ".join(
            dict.fromkeys("passes" if one["method"] == "ctc" else "penalty" for one in asked)
        )
        method = " and ".join(dict.fromkeys(one["method"] for one in asked))
        return (
            f"{stamp}{self.data} · {preset}{self.model} · {self.provenance['recordings']} "
            f"recordings · features: {self.provenance['strategy']}, mean over each unit's own span "
            f"· {split}score: {self.score_words(task)} · {method} probes, {chosen} chosen on the "
            f"validation part, test part scored once · {self.spec['n_shuffles']} shuffled runs · "
            f"seed {self.spec['seed']} · braindash {self.provenance['versions']['braindash']} · "
            f"key {self.key[:8]}{older}"
        )

    def short_line(self) -> str:
        """Say in a few words where the numbers come from: data, model, recordings and key."""
        stamp = "SIMULATED DATA, SYNTHETIC SPEECH · " if self.simulated else ""
        recordings = f"{self.provenance['recordings']} recordings"
        return f"{stamp}{self.data} · {self.model} · {recordings} · key {self.key[:8]}"

    def _task_spec(self, task: str) -> dict[str, Any]:
        for one in self.spec["tasks"]:
            if one["name"] == task and task in self._rows:
                return dict(one)
        raise InputError(f"this result has no task {task!r}", hint=near_match(task, self.tasks))

    def _of(self, name: str, task: str) -> Floats:
        self._task_spec(task)
        values: Floats = self._arrays[name][self._rows[task]]
        return values

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {task: row for row, task in enumerate(self.tasks)}

    @cached_property
    def _arrays(self) -> dict[str, Floats]:
        names = ("score", "low", "high", "chance_majority", "chance_shuffled", "samples")
        return {name: np.asarray(self.dataset[name].values, dtype=np.float64) for name in names}


def probing_difference(a: ProbingResult, b: ProbingResult, level: float = 0.95) -> pd.DataFrame:
    """Subtract the scores of one model from those of another that was asked the same.

    Parameters
    ----------
    a, b : ProbingResult
        With equal ``questions`` and as many layers: sample i then drew the same test units.
    level : float, default 0.95
        Of the paired bootstrap intervals.

    Returns
    -------
    pandas.DataFrame
        One row per task and layer: ``difference`` (a minus b), ``low``, ``high`` (NaN where there
        is no interval) and ``simulated``.

    Raises
    ------
    InputError
        When the two were asked otherwise, or have other layers.
    """
    if a.questions != b.questions or a.n_layers != b.n_layers:
        raise InputError(
            f"{a.model} and {b.model} cannot be subtracted layer by layer",
            hint="Probe both with the same labels, tasks and seed; they need as many layers.",
        )
    parts = []
    for task in (name for name in a.tasks if name in b.tasks):
        difference = a.score(task) - b.score(task)
        low, high = a._interval(difference, a.samples(task) - b.samples(task), [task], level)
        parts.append(
            pd.DataFrame(
                {
                    "task": task,
                    "layer": np.arange(a.n_layers),
                    "difference": difference,
                    "low": low,
                    "high": high,
                    "simulated": a.simulated,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def questions_digest(spec: dict[str, Any]) -> str:
    """Digest a probing specification without the features of its model."""
    units = [{**one, "features": None} for one in spec["units"]]
    return digest_json({**spec, "units": units})
