"""A study: what its file asks for, as requests, and which of their results are stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from braindash.encoding.plan import EncodingPlan, plan_encoding
from braindash.errors import BraindashError, InputError, near_match
from braindash.io.dataset.manifest import Dataset, load_manifest
from braindash.io.dataset.tables import Problem, raise_problems
from braindash.io.recordings import plan_checked
from braindash.io.regions.sets import OWN_SET, find_set
from braindash.io.store import Store
from braindash.names import given_path
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.progress import NoProgress, Progress, said_once
from braindash.requests import (
    MEAN_SUBJECT,
    EncodeRequest,
    ProbeRequest,
    Request,
    TuneRequest,
    build_request,
)
from braindash.speech.checkpoints.locate import SHUFFLED, UNTRAINED, is_acoustic, locate
from braindash.speech.language.spaces import is_language
from braindash.speech.windows import n_parameters
from braindash.studies.file import (
    ALL,
    StudyTables,
    read_study,
    vain_problems,
    value_label,
    value_text,
)
from braindash.studies.models import ModelTable
from braindash.studies.tuned import HOUR, tune_request, tuned_folder, with_hours
from braindash.tuning.controls import STAND_INS
from braindash.tuning.plan import TuningPlan, plan_tuning
from braindash.tuning.record import read_record

Kind = Literal["tuning", "encoding", "probing"]
AnyPlan = TuningPlan | EncodingPlan | ProbingPlan

# Fields of requests whose paths are relative to the study's file.
_PATHS = ("data", "labels_path", "categories", "word_vectors", "words")


@dataclass(frozen=True)
class Wanted:
    """One result of a study, by what it is of.

    Attributes
    ----------
    kind : {"tuning", "encoding", "probing"}
    model : str
        As the study calls it.
    subject, preset : str
        Empty for tunings and probes, which have neither.
    sweep, value : str
        Of an encoding that varies a setting: name of the sweep, and the value as JSON.
    draw : int
        Which order of the training stories it is of, where shares of them are drawn.
    """

    kind: Kind
    model: str
    subject: str = ""
    preset: str = ""
    sweep: str = ""
    value: str = ""
    draw: int = 0

    def told(self) -> str:
        """Say in a few words what it is."""
        whose = [self.subject, "" if self.preset == "default" else self.preset, self.varied()]
        named = ", ".join(one for one in (self.model, *whose) if one)
        return f"{self.kind} of {named}"

    def varied(self) -> str:
        """Say in a few words what is varied in it; empty where nothing is."""
        drawn = f", draw {self.draw}" if self.draw else ""
        return f"{self.sweep} {value_label(self.value)}{drawn}" if self.sweep else ""


@dataclass(frozen=True)
class Planned:
    """One result of a study with its plan.

    Attributes
    ----------
    wanted : Wanted
    plan : EncodingPlan or ProbingPlan
        What would be computed.
    key : str
        Of the result.
    stored : bool
        Whether it is in the store.
    """

    wanted: Wanted
    plan: AnyPlan
    key: str
    stored: bool


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model of a study without its results.

    Attributes
    ----------
    name : str
        Of the files, as results name it.
    parameters : int or None
        Number of weights; None for an acoustic space.
    tuned_on : tuple of str
        Subjects that it was tuned on; empty where nothing says so.
    hours : float or None
        Of responses that it was tuned on, all subjects together; None where nothing says so.
    rank : int or None
        Of the adapters that it was tuned by; None without any.
    """

    name: str
    parameters: int | None = None
    tuned_on: tuple[str, ...] = ()
    hours: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class StudyPlan:
    """All results of a study, stored or not.

    Attributes
    ----------
    study : Study
    results : tuple of Planned
        In the order in which they are computed: models are tuned first.
    models : mapping of str to ModelFacts
        By the study's names.
    waiting : tuple of Wanted
        Results of models that are not tuned yet: what they are named is known afterwards.
    """

    study: "Study"
    results: tuple[Planned, ...]
    models: Mapping[str, ModelFacts]
    waiting: tuple[Wanted, ...] = ()

    @property
    def missing(self) -> tuple[Planned, ...]:
        """Those that have to be computed."""
        return tuple(one for one in self.results if not one.stored)

    @property
    def untuned(self) -> tuple[Planned, ...]:
        """Models that have to be tuned before the results that wait for them."""
        return tuple(one for one in self.missing if one.wanted.kind == "tuning")

    def lines(self) -> list[str]:
        """Say how much is stored and what is missing, one line each."""
        n_all = len(self.results) + len(self.waiting)
        told = [f"{len(self.results) - len(self.missing)} of {n_all} results are stored"]
        told += [f"missing: {one.wanted.told()}" for one in self.missing]
        return told + [f"missing: {one.told()}, tuned first" for one in self.waiting]


@dataclass(frozen=True)
class Study:
    """Many models, subjects and settings that are computed and looked at together.

    Attributes
    ----------
    path : Path
        Of the file.
    tables : StudyTables
        What stands in it.
    text : str
        The file's text.

    Examples
    --------
    >>> study = Study.load("study.toml")  # doctest: +SKIP
    >>> braindash.run_study(study).scores()  # doctest: +SKIP
    """

    path: Path
    tables: StudyTables
    text: str = field(repr=False)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a study's file and check it against its data; no model is looked for.

        Parameters
        ----------
        path : path
            The TOML file; paths in it are relative to its own folder.

        Raises
        ------
        InputError
            Lists every problem: unknown fields with the nearest known one, models that are named
            twice or not at all, subjects that the data lack, settings out of range.
        """
        place = given_path(path).absolute()
        tables, text = read_study(place)
        study = cls(place, tables, text)
        raise_problems(str(place), [*vain_problems(tables), *study._data_problems()])
        study.requests()  # refuses settings out of range
        study.tune_requests()
        return study

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.tables.name

    @cached_property
    def dataset(self) -> Dataset:
        """The data set that its manifest describes."""
        return load_manifest(self._place(self.tables.data))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects whose responses are predicted."""
        asked = self.tables.subjects
        return tuple(self.dataset.subjects) if asked == ALL else tuple(dict.fromkeys(asked))

    def _data_problems(self) -> Iterator[Problem]:
        asked = self.tables.subjects
        known = (*self.dataset.subjects, MEAN_SUBJECT)
        for name in () if asked == ALL else asked:
            if name not in known:
                yield Problem(
                    f"the subject {name!r} is not in {self.dataset.path}", near_match(name, known)
                )
        regions = self.tables.figures.regions
        if regions is not None and regions != OWN_SET:
            try:
                find_set(regions).require_ready()
            except InputError as error:
                yield Problem(f"[figures] regions: {error.message}", error.hint)
        named = [(f"[[models]] {one.name!r} tuned_on", one.tuned_on) for one in self.tables.models]
        named += [(f"[[tune]] {one.name!r} subjects", one.subjects) for one in self.tables.tune]
        for where, people in named:
            for name in people or ():
                if name not in self.dataset.subjects:
                    yield Problem(
                        f"{where} names {name!r}, who is not in {self.dataset.path}",
                        near_match(name, self.dataset.subjects),
                    )

    # ---- requests ---------------------------------------------------------------------------

    def requests(self, tuned: Mapping[str, Path] | None = None) -> dict[Wanted, Request]:
        """Expand the study to requests: encodings by preset, subject and model, sweeps, probes.

        Parameters
        ----------
        tuned : mapping of str to Path, optional
            Folders of models that are tuned for the study; of one that is not there its base
            stands in.

        Raises
        ------
        InputError
            A setting is out of range; the message names the table.
        """
        found: dict[Wanted, Request] = {}
        models = self._models(tuned or {})
        for preset in self.tables.presets:
            for subject in self.subjects:
                for model in (one for one in models if one.encode):
                    wanted = Wanted("encoding", model.name, subject, preset)
                    given = {"data": self._place(self.tables.data), "subject": subject}
                    found[wanted] = self._request(
                        EncodeRequest, model, given | {"preset": preset} | self.tables.encode
                    )
        found |= self._swept_requests({one.name: one for one in models})
        if self.tables.probe is None:
            return found
        given = dict(self.tables.probe)
        if "data" not in given and "labels" not in given:
            given["data"] = self.tables.data
        for model in (one for one in models if one.probe):
            found[Wanted("probing", model.name)] = self._request(ProbeRequest, model, given)
        return found

    def _models(self, tuned: Mapping[str, Path]) -> list[ModelTable]:
        """List all models, those that are tuned by their folder, or by their base."""
        made = []
        for one in self.tables.all_models:
            if one.name not in self.tables.variants:
                made.append(one)
                continue
            base = self.tables.model(str(one.base))
            place = {"model": str(tuned[one.name]), "revision": None} if one.name in tuned else {}
            here = {"model": base.model, "revision": base.revision} | place
            made.append(one.model_copy(update=here))
        return made

    def tune_requests(self) -> dict[str, TuneRequest]:
        """Expand the tables of models that are tuned to requests, of all training stories.

        Returns
        -------
        dict of str to TuneRequest
            By the study's names of the models.

        Raises
        ------
        InputError
            A setting is out of range; the message names the table.
        """
        found = {}
        for table in self.tables.tune:
            for name, variant in table.variants(self.tables.models).items():
                base = self.tables.model(variant.base)
                given = {
                    "data": self._place(self.tables.data),
                    "model": self._source(base.model),
                    "revision": base.revision,
                }
                try:
                    found[name] = tune_request(table, variant, given, self._placed)
                except InputError as error:
                    raise InputError(
                        f"{self.path}, [[tune]] {table.name!r}: {error.message}", hint=error.hint
                    ) from error
        return found

    def _swept_requests(self, models: Mapping[str, ModelTable]) -> dict[Wanted, Request]:
        """Expand the sweeps: by subject, model and value, of the first preset."""
        found: dict[Wanted, Request] = {}
        preset, data = self.tables.presets[0], self._place(self.tables.data)
        for sweep in self.tables.sweeps:
            for subject in self.subjects:
                for model in (models[one.name] for one in self.tables.swept(sweep)):
                    for value, draw in sweep.points:
                        named = (sweep.name, value_text(value), draw)
                        wanted = Wanted("encoding", model.name, subject, preset, *named)
                        given = {"data": data, "subject": subject, "preset": preset}
                        own = sweep.settings(self.tables.encode, value, draw)
                        found[wanted] = self._request(EncodeRequest, model, given | own)
        return found

    def _request(self, kind: type[Request], model: ModelTable, given: Mapping[str, Any]) -> Request:
        fields = {name: self._placed(name, value) for name, value in given.items()}
        try:
            return build_request(
                kind, model=self._source(model.model), revision=model.revision, **fields
            )
        except InputError as error:
            raise InputError(
                f"{self.path}, [{kind.command}]: {error.message}", hint=error.hint
            ) from error

    def _placed(self, name: str, value: Any) -> Any:
        if name == "teacher" and isinstance(value, str):
            return self._source(value)
        return self._place(value) if name in _PATHS and isinstance(value, str | Path) else value

    def _place(self, text: str | Path) -> Path:
        return given_path(text, self.path.parent)

    def _source(self, text: str) -> str:
        """Write a folder beside the study's file as an absolute path; other models as they are."""
        control, colon, rest = text.partition(":")
        if is_language(text):
            return f"{control}:{self._place(rest)}"
        is_control = bool(colon) and control in (UNTRAINED, SHUFFLED)
        model = rest if is_control else text
        if is_acoustic(text) or Path(model).is_absolute():
            return text
        stem, at, end = model.rpartition("@")
        for name, suffix in ((model, ""), (stem, f"{at}{end}")):
            if name and (self.path.parent / name).is_dir():
                place = f"{(self.path.parent / name).resolve()}{suffix}"
                return f"{control}:{place}" if is_control else place
        return text

    # ---- what is stored ---------------------------------------------------------------------

    @said_once()
    def plan(self, store: Store, progress: Progress | None = None) -> StudyPlan:
        """Find all models, name all results, and see which of them are stored.

        Parameters
        ----------
        store : Store
            Where results lie.
        progress : Progress, optional
            Told of every result.

        Raises
        ------
        InputError
            Lists every model that cannot be found and every request that does not fit the data.
        """
        report = progress or NoProgress()
        found = self._planned_tunings(store, report)
        tuned = {
            one.wanted.model: folder
            for one in found
            if isinstance(one.plan, TuningPlan) and (folder := tuned_folder(one.plan, store))
        }
        untuned = {one.wanted.model for one in found if not one.stored}
        asked = self.requests(tuned)
        waiting = tuple(one for one in asked if one.model in untuned)
        planner: Any = plan_encoding  # of its own kind of request
        models = self.facts({one.wanted.model: one.plan for one in found}, tuned)
        problems: dict[str, Problem] = {}
        like: ProbingPlan | None = None
        for number, (wanted, request) in enumerate(asked.items()):
            report.advance(number, len(asked), f"planning: {wanted.told()}")
            if wanted.model in untuned:
                continue
            try:
                if isinstance(request, ProbeRequest):
                    plan: AnyPlan = plan_checked(_planner(like), request, store.root)
                    like = plan if isinstance(plan, ProbingPlan) else None
                else:
                    plan = plan_checked(planner, request, store.root)
            except BraindashError as error:
                problems[error.message] = Problem(f"{wanted.told()}: {error.message}", error.hint)
                continue
            key = plan.spec.key()
            found.append(Planned(wanted, plan, key, store.has(plan.spec.kind, key)))
        raise_problems(str(self.path), list(problems.values()))
        report.advance(1, 1, "planned")
        return StudyPlan(self, tuple(found), models, waiting)

    def _planned_tunings(self, store: Store, report: Progress) -> list[Planned]:
        """Plan every model that is tuned for the study, and see which of them are."""
        asked, found, problems = self.tune_requests(), [], {}
        tables = {one.name: one for one in self.tables.tune}
        for number, (name, request) in enumerate(asked.items()):
            wanted, variant = Wanted("tuning", name), self.tables.variants[name]
            report.advance(number, len(asked), f"planning: {wanted.told()}")
            try:
                own = with_hours(tables[variant.table], variant, request)
                plan = plan_checked(plan_tuning, own, store.root)
            except BraindashError as error:
                problems[error.message] = Problem(f"{wanted.told()}: {error.message}", error.hint)
                continue
            is_there = tuned_folder(plan, store) is not None
            found.append(Planned(wanted, plan, plan.spec.key(), is_there))
        raise_problems(str(self.path), list(problems.values()))
        return found

    def facts(
        self,
        tunings: Mapping[str, AnyPlan] | None = None,
        tuned: Mapping[str, Path] | None = None,
    ) -> dict[str, ModelFacts]:
        """Look for every model, and say what is known of it by the study's name.

        Parameters
        ----------
        tunings : mapping of str to TuningPlan, optional
            What would tune the models that the study tunes.
        tuned : mapping of str to Path, optional
            The folders of those that are tuned.

        Raises
        ------
        InputError
            Names all that cannot be found.
        """
        found: dict[str, ModelFacts] = {}
        problems = []
        for one in self._models(tuned or {}):
            if one.name in self.tables.variants and one.name not in (tuned or {}):
                base = found.get(str(one.base))  # bases are listed before
                plan = (tunings or {}).get(one.name)
                told: Mapping[str, Any] = {} if plan is None else {"spec": plan.spec.canonical()}
                parameters = None if base is None else base.parameters
                people = one.tuned_on or ()
                found[one.name] = ModelFacts(one.name, parameters, people, *_budget(told))
                continue
            try:
                files = locate(self._source(one.model), one.revision)
            except BraindashError as error:
                problems.append(Problem(f"[[models]] {one.name!r}: {error.message}", error.hint))
                continue
            is_control = not files.is_speech or files.seed is not None
            record = {} if is_control else _record(files.folder)
            found[one.name] = ModelFacts(
                files.name,
                round(n_parameters(files)) if files.is_speech else None,
                one.tuned_on or _people(record),
                *_budget(record),
            )
        raise_problems(str(self.path), problems)
        return found


def _planner(like: ProbingPlan | None) -> Any:
    """Return what plans a probing run with the labels of the one before."""
    return lambda request: plan_probing(request, like)


def _record(folder: Path) -> Mapping[str, Any]:
    """Read the record of a model of ``braindash tune``; empty for other models."""
    try:
        return read_record(folder)
    except (OSError, ValueError):  # none of ours
        return {}


def _people(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the subjects that a model was tuned on; nobody of controls without responses."""
    return tuple(name for name in record.get("targets", ()) if name not in STAND_INS.values())


def _budget(record: Mapping[str, Any]) -> tuple[float | None, int | None]:
    """Return the hours of responses and the rank of adapters that a record tells of."""
    if not record:
        return None, None
    rows = [one.get("times") for one in record["spec"].get("train", ())]
    known = [one["tr"] * one["n_rows"] for one in rows if isinstance(one, Mapping)]
    adapter = record["spec"]["settings"]["adapter"]
    hours = sum(known) / HOUR if known and len(known) == len(rows) else None
    return hours, None if adapter is None else int(adapter["rank"])
