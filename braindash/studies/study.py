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
from braindash.progress import NoProgress, Progress
from braindash.requests import MEAN_SUBJECT, EncodeRequest, ProbeRequest, Request, build_request
from braindash.speech.checkpoints.locate import SHUFFLED, UNTRAINED, is_acoustic, locate
from braindash.speech.language.spaces import is_language
from braindash.speech.windows import n_parameters
from braindash.studies.file import (
    ALL,
    ModelTable,
    StudyTables,
    read_study,
    value_label,
    value_text,
)
from braindash.tuning.record import read_record

Kind = Literal["encoding", "probing"]
AnyPlan = EncodingPlan | ProbingPlan

_HOUR = 3600.0  # seconds
# Fields of requests whose paths are relative to the study's file.
_PATHS = ("data", "labels_path", "categories", "word_vectors")


@dataclass(frozen=True)
class Wanted:
    """One result of a study, by what it is of.

    Attributes
    ----------
    kind : {"encoding", "probing"}
    model : str
        As the study calls it.
    subject, preset : str
        Empty for probes, which have neither.
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
        In the order in which they are computed.
    models : mapping of str to ModelFacts
        By the study's names.
    """

    study: "Study"
    results: tuple[Planned, ...]
    models: Mapping[str, ModelFacts]

    @property
    def missing(self) -> tuple[Planned, ...]:
        """Those that have to be computed."""
        return tuple(one for one in self.results if not one.stored)

    def lines(self) -> list[str]:
        """Say how much is stored and what is missing, one line each."""
        n_stored = len(self.results) - len(self.missing)
        told = [f"{n_stored} of {len(self.results)} results are stored"]
        return told + [f"missing: {one.wanted.told()}" for one in self.missing]


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
        raise_problems(str(place), list(study._data_problems()))
        study.requests()  # refuses settings out of range
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
        for model in self.tables.models:
            for name in model.tuned_on or ():
                if name not in self.dataset.subjects:
                    yield Problem(
                        f"[[models]] {model.name!r} tuned_on names {name!r}, who is not in "
                        f"{self.dataset.path}",
                        near_match(name, self.dataset.subjects),
                    )

    # ---- requests ---------------------------------------------------------------------------

    def requests(self) -> dict[Wanted, Request]:
        """Expand the study to requests: encodings by preset, subject and model, sweeps, probes.

        Raises
        ------
        InputError
            A setting is out of range; the message names the table.
        """
        found: dict[Wanted, Request] = {}
        for preset in self.tables.presets:
            for subject in self.subjects:
                for model in (one for one in self.tables.models if one.encode):
                    wanted = Wanted("encoding", model.name, subject, preset)
                    given = {"data": self._place(self.tables.data), "subject": subject}
                    found[wanted] = self._request(
                        EncodeRequest, model, given | {"preset": preset} | self.tables.encode
                    )
        found |= self._swept_requests()
        if self.tables.probe is None:
            return found
        given = dict(self.tables.probe)
        if "data" not in given and "labels" not in given:
            given["data"] = self.tables.data
        for model in (one for one in self.tables.models if one.probe):
            found[Wanted("probing", model.name)] = self._request(ProbeRequest, model, given)
        return found

    def _swept_requests(self) -> dict[Wanted, Request]:
        """Expand the sweeps: by subject, model and value, of the first preset."""
        found: dict[Wanted, Request] = {}
        preset, data = self.tables.presets[0], self._place(self.tables.data)
        for sweep in self.tables.sweeps:
            for subject in self.subjects:
                for model in self.tables.swept(sweep):
                    for value, draw in sweep.points:
                        named = (sweep.name, value_text(value), draw)
                        wanted = Wanted("encoding", model.name, subject, preset, *named)
                        given = {"data": data, "subject": subject, "preset": preset}
                        own = sweep.settings(self.tables.encode, value, draw)
                        found[wanted] = self._request(EncodeRequest, model, given | own)
        return found

    def _request(self, kind: type[Request], model: ModelTable, given: Mapping[str, Any]) -> Request:
        fields = {
            name: self._place(value) if name in _PATHS else value for name, value in given.items()
        }
        try:
            return build_request(
                kind, model=self._source(model.model), revision=model.revision, **fields
            )
        except InputError as error:
            raise InputError(
                f"{self.path}, [{kind.command}]: {error.message}", hint=error.hint
            ) from error

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
        report, asked = progress or NoProgress(), self.requests()
        planner: Any = plan_encoding  # of its own kind of request
        models = self.facts()
        found: list[Planned] = []
        problems: dict[str, Problem] = {}
        like: ProbingPlan | None = None
        for number, (wanted, request) in enumerate(asked.items()):
            report.advance(number, len(asked), f"planning: {wanted.told()}")
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
        return StudyPlan(self, tuple(found), models)

    def facts(self) -> dict[str, ModelFacts]:
        """Look for every model, and say what is known of it by the study's name.

        Raises
        ------
        InputError
            Names all that cannot be found.
        """
        found: dict[str, ModelFacts] = {}
        problems = []
        for one in self.tables.models:
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
                one.tuned_on or tuple(record.get("targets", ())),
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


def _budget(record: Mapping[str, Any]) -> tuple[float | None, int | None]:
    """Return the hours of responses and the rank of adapters that a record tells of."""
    if not record:
        return None, None
    rows = [one.get("times") for one in record["spec"].get("train", ())]
    known = [one["tr"] * one["n_rows"] for one in rows if isinstance(one, Mapping)]
    adapter = record["spec"]["settings"]["adapter"]
    hours = sum(known) / _HOUR if known and len(known) == len(rows) else None
    return hours, None if adapter is None else int(adapter["rank"])
