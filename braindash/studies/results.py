"""The stored results of a study, put together by model and preset."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeVar

import pandas as pd

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, compare
from braindash.encoding.several.groups import Group
from braindash.errors import InputError, StoreError, near_match
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.studies.file import ROLES, StudyTables
from braindash.studies.models import ModelTable
from braindash.studies.record import StudyRecord
from braindash.studies.study import ModelFacts, Wanted

Read = Callable[[str, str], EncodingResult | ProbingResult]
"""Reads a result by its kind and key; an encoding result looked at in a region set."""


class SweepPoint(NamedTuple):
    """One value of a varied setting, of one model.

    Attributes
    ----------
    sweep, value : str
        Name of the sweep, and the value as JSON.
    draw : int
        Which order of the training stories it is of, where shares of them are drawn.
    model : str
    """

    sweep: str
    value: str
    draw: int
    model: str


@dataclass(frozen=True)
class StudyResults:
    """What is stored of a study; made by :meth:`open`.

    Attributes
    ----------
    tables : StudyTables
        What its file says.
    groups : mapping of (str, str) to Group
        Encoding results by preset and model, one per subject.
    probings : mapping of str to ProbingResult
        By model.
    models : mapping of str to ModelFacts
        By model.
    missing : tuple of Wanted
        What is not in the store.
    notes : tuple of str
        What a reader must know, such as which results do not belong together.
    swept : mapping of SweepPoint to Group
        Encoding results of varied settings, one per subject; of the first preset.
    """

    tables: StudyTables
    groups: Mapping[tuple[str, str], Group]
    probings: Mapping[str, ProbingResult]
    models: Mapping[str, ModelFacts]
    missing: tuple[Wanted, ...]
    notes: tuple[str, ...]
    swept: Mapping[SweepPoint, Group] = field(default_factory=dict)

    @classmethod
    def open(cls, record: StudyRecord, store: Store, read: Read | None = None) -> Self:
        """Open all results of a study that are stored.

        Parameters
        ----------
        record : StudyRecord
            Names them.
        store : Store
            Holds them.
        read : callable, optional
            Reads each of them; by default from the store, seen as it is stored.
        """
        reading = read or (lambda kind, key: read_result(store, kind, key))
        missing, notes = [], []
        encodings: dict[tuple[str, str], list[EncodingResult]] = {}
        swept: dict[SweepPoint, list[EncodingResult]] = {}
        probings = {}
        absent = set(record.missing(store))
        for wanted in (*record.keys, *record.waiting):
            if wanted in absent:
                missing.append(wanted)
            if wanted in absent or wanted.kind == "tuning":
                continue
            key = record.keys[wanted]
            try:
                loaded = reading(wanted.kind, key)
            except StoreError as error:
                missing.append(wanted)
                notes.append(f"{wanted.told()} is left out: {error.message}")
                continue
            if isinstance(loaded, ProbingResult):
                probings[wanted.model] = loaded
            elif wanted.sweep:
                place = SweepPoint(wanted.sweep, wanted.value, wanted.draw, wanted.model)
                swept.setdefault(place, []).append(loaded)
            else:
                encodings.setdefault((wanted.preset, wanted.model), []).append(loaded)
        groups, refused = _groups(encodings, lambda place: place[1])
        varied, also = _groups(swept, lambda place: f"{place.model}, {place.sweep} {place.value}")
        told = (*notes, *refused, *also, *_unknown_regions(record.tables, groups.values()))
        facts = record.models
        return cls(record.tables, groups, probings, facts, tuple(missing), told, varied)

    @property
    def presets(self) -> tuple[str, ...]:
        """Presets of which there are results, in the order of the file."""
        asked = dict.fromkeys(self.tables.presets)
        return tuple(one for one in asked if any(of == one for of, _ in self.groups))

    @property
    def simulated(self) -> bool:
        """Whether anything in it was made by a generator."""
        probed = any(one.simulated for one in self.probings.values())
        return probed or any(one.simulated for one in self._every)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all results."""
        encoded = [one.key for group in self._every for one in group.results]
        keys = (*encoded, *(one.key for one in self.probings.values()))
        return tuple(dict.fromkeys(keys))  # a value of a sweep may be the study's own

    @property
    def _every(self) -> tuple[Group, ...]:
        return (*self.groups.values(), *self.swept.values())

    @property
    def identity(self) -> tuple[str, ...]:
        """What tables depend on: the results with their regions."""
        seen = [one for group in self._every for one in group.identity]
        return (*seen, *(one.key for one in self.probings.values()))

    def of(self, preset: str) -> dict[str, Group]:
        """Return the groups of a preset by model, ordered by role: bases, tuned, controls."""
        found = {name: group for (of, name), group in self.groups.items() if of == preset}
        return {one.name: found[one.name] for one in self.ordered() if one.name in found}

    def ordered(self) -> list[ModelTable]:
        """Return the models ordered by role, and within one as in the file."""
        return sorted(self.tables.all_models, key=lambda one: ROLES.index(one.role))

    def regions(self, preset: str) -> list[str]:
        """Name the regions that every model of a preset has, in their order."""
        groups = list(self.of(preset).values())
        if not groups:
            return []
        shared = groups[0].region_names
        return [name for name in shared if all(name in one.region_names for one in groups)]

    def pairs(
        self, preset: str, named: Iterable[tuple[str, str]] | None = None
    ) -> tuple[dict[tuple[str, str], Difference], list[str]]:
        """Pair models by subject; say which pairs cannot be compared, and why.

        Parameters
        ----------
        preset : str
            Of the results.
        named : iterable of (str, str), optional
            Names of A and B; the study's comparisons if none.
        """
        groups, found, notes = self.of(preset), {}, []
        for a, b in self.tables.pairs if named is None else named:
            if a not in groups or b not in groups:
                continue
            try:
                found[a, b] = compare(groups[a], groups[b])
            except InputError as error:
                notes.append(f"{a} and {b} are not compared: {error.message}.")
        return found, notes

    def scores(self) -> pd.DataFrame:
        """Tabulate every encoding score of the study, in long form.

        Returns
        -------
        pandas.DataFrame
            One row per preset, model, subject, layer and region: ``study``, ``preset``, ``model``
            (as the study calls it), ``role``, the columns of
            :meth:`braindash.EncodingResult.region_intervals`, ``depth`` (layer / last layer),
            ``model_files`` (the name of the model's files) and ``key``.
        """
        parts = [
            self._long_scores(one, preset, name)
            for (preset, name), group in self.groups.items()
            for one in group.results
        ]
        return _long(parts, ["study", "preset", "model", "role"])

    def swept_scores(self) -> pd.DataFrame:
        """Tabulate every encoding score of varied settings, in long form.

        Returns
        -------
        pandas.DataFrame
            The columns of :meth:`scores`, and ``sweep``, ``setting``, ``setting_value`` (as
            JSON) and ``draw``.
        """
        preset = self.tables.presets[0]
        settings = {one.name: one.setting for one in self.tables.sweeps}
        parts = [
            self._long_scores(one, preset, place.model).assign(
                sweep=place.sweep,
                setting=settings[place.sweep],
                setting_value=place.value,
                draw=place.draw,
            )
            for place, group in self.swept.items()
            for one in group.results
        ]
        first = ["study", "preset", "sweep", "setting", "setting_value", "draw", "model", "role"]
        return _long(parts, first)

    def _long_scores(self, one: EncodingResult, preset: str, name: str) -> pd.DataFrame:
        table = one.region_intervals()
        return table.assign(
            study=self.tables.name,
            preset=preset,
            model=name,
            model_files=one.model,
            role=self.tables.model(name).role,
            depth=table["layer"] / max(1, one.n_layers - 1),
            key=one.key,
        )

    def probes(self) -> pd.DataFrame:
        """Tabulate every probing score of the study, in long form.

        Returns
        -------
        pandas.DataFrame
            One row per model, task and layer: ``study``, ``model`` (as the study calls it),
            ``role``, the columns of :meth:`braindash.ProbingResult.table`, ``depth``,
            ``model_files`` and ``key``.
        """
        parts = []
        for name, one in self.probings.items():
            table = one.table()
            parts.append(
                table.assign(
                    study=self.tables.name,
                    model=name,
                    model_files=one.model,
                    role=self.tables.model(name).role,
                    depth=table["layer"] / max(1, one.n_layers - 1),
                    key=one.key,
                )
            )
        return _long(parts, ["study", "model", "role"])


def read_result(store: Store, kind: str, key: str) -> EncodingResult | ProbingResult:
    """Read a result of a study from a store."""
    entry = store.get(kind, key)
    return ProbingResult.load(entry) if kind == "probing" else EncodingResult.load(entry)


def _long(parts: Iterable[pd.DataFrame], first: list[str]) -> pd.DataFrame:
    """Put tables under each other, with some columns first."""
    listed = list(parts)
    if not listed:
        return pd.DataFrame(columns=first)
    table = pd.concat(listed, ignore_index=True)
    return table[[*first, *(name for name in table if name not in first)]]


def _unknown_regions(tables: StudyTables, groups: Iterable[Group]) -> Iterator[str]:
    """Say which of the regions to show are none of those that are looked at."""
    known = list(dict.fromkeys(name for one in groups for name in one.region_names))
    for name in (tables.figures.shown or ()) if known else ():
        if name not in known:
            meant = near_match(name, known).partition("Allowed")[0]
            hint = meant or "`braindash regions` lists the sets. "
            yield f"{name!r} of [figures] shown is no region of what is looked at. {hint}".strip()


PlaceT = TypeVar("PlaceT")


def _groups(
    found: Mapping[PlaceT, list[EncodingResult]], name_of: Callable[[PlaceT], str]
) -> tuple[dict[PlaceT, Group], list[str]]:
    """Put the results of each model together; say of which that cannot be done."""
    groups, notes = {}, []
    for place, results in found.items():
        try:
            groups[place] = Group.of(results)
        except InputError as error:
            notes.append(f"{name_of(place)} is left out: {error.message}.")
    return groups, notes
