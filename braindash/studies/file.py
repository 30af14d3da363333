"""The TOML file of a study: its tables, and errors that name the place."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from braindash.defaults import PresetName
from braindash.errors import InputError, near_match
from braindash.files import parse_json
from braindash.io.dataset.tables import Problem, parsed_toml, raise_problems
from braindash.io.regions.masks import Hemisphere
from braindash.names import absent, given_path
from braindash.probing.tasks import PROBE_TASKS
from braindash.requests import EncodeRequest, ProbeRequest, Request
from braindash.studies.models import (
    MOST_TUNED,
    ModelTable,
    Names,
    Role,
    StudyName,
    Table,
    Text,
    TuneTable,
    Variant,
    tune_settings,
)

LayerRule = Literal["third-quarter", "last", "all"]
ScoreName = Literal["r", "r_over_ceiling"]

MOST_MODELS = 12
"""Models of one study: more curves are not told apart."""
ALL: Literal["all"] = "all"
# What a study says elsewhere, or what is said when it is run.
_ELSEWHERE = {"model", "revision", "subject", "device", "threads", "left_out"}


def settings_of(kind: type[Request]) -> tuple[str, ...]:
    """Name the settings of a request that the table of its kind takes."""
    taken = _ELSEWHERE | ({"data", "preset"} if kind is EncodeRequest else set())
    return tuple(name for name in kind.model_fields if name not in taken)


Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)]


SHARE = "train_share"
"""The setting whose values are drawn several times."""
SPACES = "low_level_space"
"""The setting whose values are taken out of a model's features, or weighed against them."""
_DRAW = "train_draw"
_BESIDE = ("low_level", "null_panel", "keep_weights")
_MOST_DRAWS = 50


class SweepTable(Table):
    """``[[sweeps]]``: one setting of encodings at several values, of the first preset."""

    name: StudyName = Field(description="lower-case letters, digits, hyphens")
    setting: Text = Field(
        description="what takes the values: a setting of `braindash.encode`, such as `delays`, "
        "`context_seconds`, `train_share` or `low_level_space`"
    )
    values: Annotated[tuple[Any, ...], Field(strict=False, min_length=1, max_length=40)] = Field(
        description="its values, each of which is computed for every subject"
    )
    models: Names | None = Field(None, description="names of models; all that encode if none")
    draws: int = Field(
        1,
        ge=1,
        le=_MOST_DRAWS,
        description="of `train_share` alone: how many orders of the stories the shares are taken "
        "from; figures are of their mean",
    )
    encode: dict[str, Any] = Field(
        default_factory=dict,
        description="further settings of these encodings alone, over those of `[encode]`, of which "
        "`low_level`, `null_panel` and `keep_weights` are not taken over",
    )

    @property
    def points(self) -> tuple[tuple[Any, int], ...]:
        """Values with the number of their draw; the whole is drawn once."""
        return tuple(
            (value, draw)
            for value in self.values
            for draw in range(1 if value == 1 else self.draws)
        )

    def settings(self, usual: Mapping[str, Any], value: Any, draw: int) -> dict[str, Any]:
        """Return the settings of an encoding of a value; ``usual`` are those of the study's others.

        What is computed beside scores is left out, for it would be so for every value.
        """
        own = {name: one for name, one in usual.items() if name not in _BESIDE}
        if self.setting == SPACES:
            own["low_level"] = usual.get("low_level", "residual")
        drawn = {_DRAW: draw} if self.setting == SHARE else {}
        return own | self.encode | {self.setting: value} | drawn


def value_text(value: Any) -> str:
    """Write a value of a sweep as JSON, as records name it."""
    return json.dumps(value, sort_keys=True)


def value_label(text: str) -> str:
    """Write a value for readers: lists with commas, acoustic spaces without their prefix."""
    value = parse_json(text)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("acoustic:", "").replace("+", " + ")


class ComparisonTable(Table):
    """``[[comparisons]]``: two models that are tested against each other, subject by subject."""

    a: Text = Field(description="name of a model")
    b: Text = Field(description="name of the model that is subtracted")


class FiguresTable(Table):
    """``[figures]``: how the figures are first shown; no part of any result's key."""

    regions: Text | None = Field(
        default=None,
        description="region set, as of `braindash regions`; the usual one if none",
    )
    hemisphere: Hemisphere = Field(default="both", description="side of the means")
    shown: Names | None = Field(default=None, description="regions to show; the key ones if none")
    layers: LayerRule | Layers = Field(
        default="third-quarter",
        description="layers whose mean is a region's score in bars and scatters: those of relative "
        "depth above 0.5 and up to 0.75, the last one, all, or numbers; never chosen by the score",
    )
    score: ScoreName = Field(default="r", description="Pearson r, or r over the noise ceiling")
    task: Text | None = Field(
        default=None,
        description="probing task of the scatter; the first one if none",
    )


class StudyTables(Table):
    """A whole study."""

    name: StudyName = Field(description="lower-case letters, digits, hyphens: names its record")
    title: Text = Field(description="of its page and of its figures")
    note: str = Field("", description="what a reader should know; shown above the figures")
    data: Text = Field(description="the manifest of the data set, or its folder")
    subjects: Literal["all"] | Names = Field(
        ALL, description='names of the manifest\'s subjects, or "all"'
    )
    presets: Annotated[tuple[PresetName, ...], Field(strict=False, min_length=1)] = Field(
        ("default",), description="protocols, as of `--preset`; each is computed for every model"
    )
    models: Annotated[
        tuple[ModelTable, ...], Field(strict=False, min_length=1, max_length=MOST_MODELS)
    ] = Field(description="up to twelve models and controls")
    encode: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of every encoding, named as of `braindash.encode`",
    )
    probe: dict[str, Any] | None = Field(
        None, description="settings of every probing, as of `braindash.probe`; none without it"
    )
    comparisons: Annotated[tuple[ComparisonTable, ...], Field(strict=False)] = Field(
        (), description="pairs to test; every model with a base against it if none"
    )
    sweeps: Annotated[tuple[SweepTable, ...], Field(strict=False)] = Field(
        (), description="settings that are varied, one after the other"
    )
    tune: Annotated[tuple[TuneTable, ...], Field(strict=False)] = Field(
        (), description="models that are tuned for the study, and then are like any of its models"
    )
    figures: FiguresTable = Field(FiguresTable(), description="how figures are first shown")

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """Every model that is tuned for the study, by its name."""
        found = [one.variants(self.models) for one in self.tune]
        return {name: variant for each in found for name, variant in each.items()}

    @cached_property
    def all_models(self) -> tuple[ModelTable, ...]:
        """The models that are there, then those that are tuned for the study."""
        tuned = []
        for table in self.tune:
            variants = table.variants(self.models)
            groups = table.lines(variants, "")
            tuned += [table.model(name, one, groups) for name, one in variants.items()]
        return (*self.models, *tuned)

    def model(self, name: str) -> ModelTable:
        """Return the model of a name."""
        return next(one for one in self.all_models if one.name == name)

    def swept(self, sweep: SweepTable) -> list[ModelTable]:
        """Return the models of a sweep; those that are tuned for the study where it names them."""
        encoded = [one for one in self.all_models if one.encode]
        if sweep.models is None:
            encoded = [one for one in encoded if one.name not in self.variants]
        return [one for one in encoded if sweep.models is None or one.name in sweep.models]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The comparisons, by the models' names: those asked for, else each against its base."""
        asked = tuple((one.a, one.b) for one in self.comparisons)
        with_base = (one for one in self.all_models if one.base is not None)
        return asked or tuple((one.name, str(one.base)) for one in with_base)


TABLES: Mapping[str, type[Table]] = {
    "models": ModelTable,
    "tune": TuneTable,
    "comparisons": ComparisonTable,
    "sweeps": SweepTable,
    "figures": FiguresTable,
}
"""The tables of a study's file beside its own fields."""


def read_study(path: Path | str) -> tuple[StudyTables, str]:
    """Read a study's file and check what can be checked without its data and models.

    Parameters
    ----------
    path : path
        The TOML file.

    Returns
    -------
    StudyTables, str
        Its tables, and its text.

    Raises
    ------
    InputError
        Lists every problem found.
    """
    place = given_path(path)
    if not place.is_file():
        raise InputError(absent(place), hint="Give the TOML file of a study.")
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    return parse_study(text, place), text


def parse_study(text: str, place: Path) -> StudyTables:
    """Read the text of a study's file; errors as of :func:`read_study`."""
    data = parsed_toml(place, text, "study")
    try:
        tables = StudyTables.model_validate(data)
    except PydanticError as error:
        details = error.errors(include_url=False)
        raise_problems(str(place), _form_problems(details, data))
        raise
    problems = [*_setting_problems(tables), *_tune_problems(tables)]
    raise_problems(str(place), problems)  # names of models are made of what stands there
    problems = [*_name_problems(tables), *_sweep_problems(tables)]
    raise_problems(str(place), problems)
    return tables


# ---- problems -------------------------------------------------------------------------------


_MOST_SHOWN = 80  # characters of what was given
# What pydantic calls them, and what they are called in a file.
_WORDS = {"tuple": "list", "Tuple": "List", "dictionary": "table", " after validation": ""}
_WORDS |= {f" or instance of {one.__name__}": "" for one in TABLES.values()}
_PYTHONS = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)))


def _form_problems(details: Sequence[ErrorDetails], data: Mapping[str, Any]) -> list[Problem]:
    found: dict[str, Problem] = {}  # of a choice of two forms each is refused
    for detail in details:
        if detail["type"] == "too_short" and detail["input"]:
            continue  # its items were refused, each by itself
        one = _form_problem(detail, data)
        found.setdefault(one.message.partition(": ")[0], one)
    return list(found.values())


def _form_problem(detail: ErrorDetails, data: Mapping[str, Any]) -> Problem:
    where, field, fields = _place(detail, data)
    if detail["type"] == "extra_forbidden":
        return Problem(f"{where} has the unknown field {field!r}", near_match(field, fields))
    told = fields[field].description or "a table of its own"
    if detail["type"] == "missing":
        return Problem(f"{where} lacks the field {field!r}", f"Give {field}: {told}.")
    given, reason = detail["input"], _PYTHONS.sub(lambda one: _WORDS[one[0]], detail["msg"])
    hint = f"{field} is {told}."
    if detail["type"] == "literal_error":
        allowed = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        hint = near_match(str(given), allowed)
    shown = repr(given)
    shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
    return Problem(f"{where} {field} = {shown} is not allowed: {reason}", hint)


def _place(detail: ErrorDetails, data: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    """Return where a field stands, its name, and the fields that may stand there."""
    loc = list(detail["loc"])
    table = str(loc[0])
    if table in TABLES and len(loc) > 1:
        fields = TABLES[table].model_fields
        if not isinstance(loc[1], int):
            return f"[{table}]", str(loc[1]), fields
        if len(loc) > 2:
            own = data[table][loc[1]]
            named = own.get("name") if isinstance(own, Mapping) else None
            shown = repr(named) if isinstance(named, str) else f"number {loc[1] + 1}"
            return f"[[{table}]] {shown}", str(loc[2]), fields
    return "the study", table, StudyTables.model_fields


def _setting_problems(tables: StudyTables) -> Iterator[Problem]:
    kinds: tuple[tuple[str, type[Request], Any], ...] = (
        ("encode", EncodeRequest, tables.encode),
        ("probe", ProbeRequest, tables.probe),
        *((f"[sweeps] {one.name!r} encode", EncodeRequest, one.encode) for one in tables.sweeps),
    )
    for table, kind, given in kinds:
        allowed = settings_of(kind)
        where = table if table.startswith("[") else f"[{table}]"
        for name in given or ():
            if name not in allowed:
                yield Problem(f"{where} has the unknown field {name!r}", near_match(name, allowed))


def _tune_problems(tables: StudyTables) -> Iterator[Problem]:
    there = [one.name for one in tables.models]
    allowed = tune_settings()
    for one in tables.tune:
        where = f"[[tune]] {one.name!r}"
        for name in one.settings:
            if name not in allowed:
                yield Problem(
                    f"{where} settings has the unknown field {name!r}", near_match(name, allowed)
                )
        for name in one.models or ():
            if name not in there:
                yield Problem(
                    f"{where} tunes {name!r}, which is none of [[models]]", near_match(name, there)
                )
        if one.models is None and not any(model.role == "base" for model in tables.models):
            yield Problem(
                f"{where} names no models, and none has the role base",
                "Name the models that are tuned, or give one the role base.",
            )
    count = sum(len(one.variants(tables.models)) for one in tables.tune)
    if count > MOST_TUNED:
        yield Problem(
            f"[[tune]] asks for {count} tuned models, at most {MOST_TUNED} are possible",
            "Vary fewer settings at once: every value of one list is combined with all of others.",
        )


def _sweep_problems(tables: StudyTables) -> Iterator[Problem]:
    allowed = settings_of(EncodeRequest)
    encoded = [one.name for one in tables.all_models if one.encode]
    for name, count in Counter(one.name for one in tables.sweeps).items():
        if count > 1:
            yield Problem(f"{count} sweeps are named {name!r}", "Give each a name of its own.")
    for one in tables.sweeps:
        where = f"[[sweeps]] {one.name!r}"
        if one.setting not in allowed:
            yield Problem(
                f"{where} setting = {one.setting!r} is no setting of encodings",
                near_match(one.setting, allowed),
            )
        for value in one.values:
            if not _is_json(value):
                yield Problem(
                    f"{where} values has {value!s}, which no setting takes",
                    "Allowed: numbers that are finite, texts, true and false, lists and tables.",
                )
        for model in one.models or ():
            if model not in encoded:
                yield Problem(
                    f"{where} names {model!r}, which is no model that encodes",
                    near_match(model, encoded),
                )
        if one.draws > 1 and one.setting != SHARE:
            yield Problem(f"{where} has draws, but nothing is drawn", f"Draws are of {SHARE!r}.")


def _is_json(value: Any) -> bool:
    """Say whether a value can be written into a record: TOML has dates and NaN as well."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def vain_problems(tables: StudyTables) -> Iterator[Problem]:
    """Yield what a file asks for in vain; a record that was written with it is read all the same.

    Parameters
    ----------
    tables : StudyTables
        Whose form is right.
    """
    task, asked = tables.figures.task, (tables.probe or {}).get("tasks")
    tasks = [one for one in asked if isinstance(one, str)] if isinstance(asked, list) else []
    if task is not None and task not in (tasks or PROBE_TASKS):
        told = "none of [probe] tasks" if tasks else "no probing task"
        hint = near_match(task, tasks or PROBE_TASKS)
        yield Problem(f"[figures] task = {task!r} is {told}", hint)
    silent = {one.name for one in tables.all_models if not one.encode}
    pairs: Counter[frozenset[str]] = Counter()
    for pair in tables.comparisons:
        pairs[frozenset((pair.a, pair.b))] += 1
        for side in (pair.a, pair.b):
            if side in silent:
                yield Problem(
                    f"[[comparisons]] names {side!r}, which has encode = false",
                    "Scores of responses are compared: let it encode, or leave the pair out.",
                )
    for names, count in pairs.items():
        if count > 1:
            told = " and ".join(map(repr, sorted(names)))
            yield Problem(
                f"[[comparisons]] names {told} {count} times",
                "Name a pair once: its p would be adjusted for itself.",
            )
    for one in tables.sweeps:
        yield from _vain_sweep(one)


def _vain_sweep(sweep: SweepTable) -> Iterator[Problem]:
    where = f"[[sweeps]] {sweep.name!r}"
    own = {sweep.setting, _DRAW} if sweep.setting == SHARE else {sweep.setting}
    for name in sorted(own & set(sweep.encode)):
        yield Problem(
            f"{where} encode sets {name!r}, which the sweep varies", "Leave it out there."
        )
    twice = [value for place, value in enumerate(sweep.values) if value in sweep.values[:place]]
    if twice:
        told = ", ".join(map(value_text, twice))
        yield Problem(f"{where} values has {told} twice", "Name each value once.")


def _name_problems(tables: StudyTables) -> Iterator[Problem]:
    names = [one.name for one in tables.all_models]
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(f"{count} models are named {name!r}", "Give each a name of its own.")
    for one in tables.models:
        if one.base is not None and (one.base == one.name or one.base not in names):
            others = [name for name in names if name != one.name]
            yield Problem(
                f"[[models]] {one.name!r} has the base {one.base!r}, which is no other model of "
                "this study",
                near_match(one.base, others),
            )
    for pair in tables.comparisons:
        yield from _pair_problems(pair, names)
    if not any(one.encode for one in tables.all_models) and tables.probe is None:
        yield Problem("nothing is to be computed", "Let a model encode, or write [probe].")


def _pair_problems(pair: ComparisonTable, names: Iterable[str]) -> Iterator[Problem]:
    known = list(names)
    for side in (pair.a, pair.b):
        if side not in known:
            yield Problem(
                f"[[comparisons]] names {side!r}, which is no model of this study",
                near_match(side, known),
            )
    if pair.a == pair.b:
        yield Problem(f"[[comparisons]] compares {pair.a!r} with itself", "Name two models.")


ROLES: tuple[Role, ...] = get_args(Role)
"""In the order of figures."""
