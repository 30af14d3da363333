"""The record of a study in a store: its file's text and the keys of its results.

``ROOT/studies/NAME.json``. It lists what a study is without its data and models being there, so
that a page opens it at once, and whoever gets a study and its results reads the same figures.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from braindash.errors import InputError, StoreError, near_match
from braindash.files import disk_errors, replace_json
from braindash.io.entries import Form, read_object, require
from braindash.io.store import Store
from braindash.names import without_places
from braindash.sharing.asking import require_runner
from braindash.studies.file import StudyTables, parse_study
from braindash.studies.study import ModelFacts, StudyPlan, Wanted

FOLDER = "studies"
"""In a store: the records of its studies."""
FILE, RECORD, RESULTS = "study.toml", "study.json", "results"
"""In the folder of a shared study: its file, its record, its results."""
_FORMS = {"tune": 3, "sweeps": 2}
"""Since 2 there are sweeps, since 3 tuned models; a record without them is of an earlier form."""
_NEWEST = max(_FORMS.values())


class _Unnamed(Form):
    kind: str
    model: str
    subject: str
    preset: str
    sweep: str = ""
    value: str = ""
    draw: int = 0


class _Named(_Unnamed):
    key: str


class _Facts(Form):
    name: str
    parameters: int | None
    tuned_on: list[str]
    hours: float | None = None
    rank: int | None = None


class _Record(Form):
    form: int
    file: str
    text: str
    written: str
    results: list[_Named]
    models: dict[str, _Facts]
    waiting: list[_Unnamed] = Field(default_factory=list)


@dataclass(frozen=True)
class StudyRecord:
    """A study as a store knows it.

    Attributes
    ----------
    tables : StudyTables
        What its file said when it was last looked up.
    text, file : str
        The file's text, and where it lay.
    written : str
        When, as an ISO date.
    keys : mapping of Wanted to str
        The key of every result, stored or not.
    models : mapping of str to ModelFacts
        By the study's names.
    waiting : tuple of Wanted
        Results of models that were not tuned yet, and so have no key.
    """

    tables: StudyTables
    text: str
    file: str
    written: str
    keys: Mapping[Wanted, str]
    models: Mapping[str, ModelFacts]
    waiting: tuple[Wanted, ...] = ()

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.tables.name

    @property
    def n_results(self) -> int:
        """How many results it asks for."""
        return len(self.keys) + len(self.waiting)

    def missing(self, store: Store) -> tuple[Wanted, ...]:
        """Name the results that are not in a store.

        A tuned model is not missed where all results of it are there, as in a shared study.
        """
        absent = [one for one, key in self.keys.items() if not store.has(one.kind, key)]
        lacking = {one.model for one in (*absent, *self.waiting) if one.kind != "tuning"}
        needed = (one for one in absent if one.kind != "tuning" or one.model in lacking)
        return (*needed, *self.waiting)

    @classmethod
    def of(cls, plan: StudyPlan) -> Self:
        """Make the record of a plan."""
        study = plan.study
        return cls(
            study.tables,
            study.text,
            str(study.path),
            datetime.now(UTC).isoformat(timespec="seconds"),
            {one.wanted: one.key for one in plan.results},
            plan.models,
            plan.waiting,
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "form": next((n for name, n in _FORMS.items() if getattr(self.tables, name)), 1),
            "file": self.file,
            "text": self.text,
            "written": self.written,
            "results": [asdict(one) | {"key": key} for one, key in self.keys.items()],
            "models": {
                name: asdict(one) | {"tuned_on": list(one.tuned_on)}
                for name, one in self.models.items()
            },
            **({"waiting": [asdict(one) for one in self.waiting]} if self.waiting else {}),
        }

    def shared(self) -> dict[str, Any]:
        """Return it as it may leave the machine: without the places of files."""
        document: dict[str, Any] = without_places(self.document())
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read what :meth:`document` wrote.

        Raises
        ------
        ValueError
            It is no record of a study; the text says why.
        """
        require(_Record, document)
        if document["form"] > _NEWEST:
            raise ValueError("it was written by a newer braindash")
        try:
            tables = parse_study(document["text"], Path(document["file"]))
        except (InputError, ValidationError) as error:
            raise ValueError(str(error)) from error
        keys = {_wanted(one): one["key"] for one in document["results"]}
        models = {
            name: ModelFacts(
                one["name"],
                one["parameters"],
                tuple(one["tuned_on"]),
                one.get("hours"),
                one.get("rank"),
            )
            for name, one in document["models"].items()
        }
        waiting = tuple(_wanted(one) for one in document.get("waiting", ()))
        named = (document["text"], document["file"], document["written"])
        return cls(tables, *named, keys, models, waiting)


def _wanted(told: Mapping[str, Any]) -> Wanted:
    """Read which result an entry of a record names."""
    varied = (told.get("sweep", ""), told.get("value", ""), told.get("draw", 0))
    return Wanted(told["kind"], told["model"], told["subject"], told["preset"], *varied)


def note_study(plan: StudyPlan, store: Store) -> StudyRecord:
    """Write a study into the list of a store; another one of its name is replaced there."""
    record = StudyRecord.of(plan)
    _write(record.document(), record.name, store)
    return record


def take_record(document: dict[str, Any], store: Store) -> StudyRecord:
    """Take over a record that came with a shared study.

    Raises
    ------
    InputError
        It is none, or of a newer braindash.
    """
    try:
        record = StudyRecord.from_document(document)
    except ValueError as error:
        raise InputError(
            f"the record of the study cannot be read: {error}",
            hint="Export the study again, with a braindash that is not newer than this one.",
        ) from error
    _write(record.document(), record.name, store)
    return record


def _write(document: dict[str, Any], name: str, store: Store) -> None:
    require_runner("write to the store")
    with disk_errors(store.root):
        place = store.root / FOLDER / f"{name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_json(place, document)


def open_record(name: str, store: Store) -> StudyRecord:
    """Open a study of a store by its name.

    Raises
    ------
    StoreError
        There is none of this name, or its record is damaged.
    """
    place = store.root / FOLDER / f"{name}.json"
    try:
        return StudyRecord.from_document(read_object(place))
    except FileNotFoundError as error:
        known = sorted(one.stem for one in (store.root / FOLDER).glob("*.json"))
        raise StoreError(
            f"there is no study {name!r} in {store.root}",
            hint=f"`braindash study show FILE.toml` puts one there. {near_match(name, known)}",
        ) from error
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise StoreError(
            f"the record of the study {name!r} is damaged: {error}",
            hint="`braindash study show FILE.toml` writes it anew; no result is lost.",
        ) from error


def list_records(store: Store) -> tuple[list[StudyRecord], dict[str, str]]:
    """List the studies of a store by name, and what is wrong with those that cannot be read."""
    found, damaged = [], {}
    for place in sorted((store.root / FOLDER).glob("*.json")):
        try:
            found.append(open_record(place.stem, store))
        except StoreError as error:
            damaged[str(place)] = error.message
    return found, damaged
