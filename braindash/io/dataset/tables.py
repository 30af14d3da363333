"""The tables of a manifest: what may stand in the TOML file, and errors that name the place.

Every table is a frozen model that refuses unknown fields. :func:`read_tables` gives the tables
together with every problem found, so that a user sees all of them at once.
"""

import copy
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from braindash.errors import InputError, near_match
from braindash.files import parse_toml, refuse_placeholder

Space = Literal[
    "native-volume", "native-surface", "fsaverage5", "fsaverage6", "fsaverage", "fsLR32k", "roi"
]

Scheme = Literal["across-stories", "within-story"]

EVERY = "*"


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, StringConstraints(min_length=1)]
# Names become parts of file names: no path separators and no control characters.
Name = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]+$")]
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_list), Field(strict=False)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(strict=False, min_length=1)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
TrSeconds = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
ToleranceSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_TR = "seconds between two rows of a response array, such as 2.0 (not milliseconds)"
_FIRST = "scan volume of row 0, counted from 0: how many volumes were cut from the start"
_ONSET = "seconds from scan volume 0 to the first audio sample"
_SLICE = "seconds from the start of a volume to the instant its values stand for"
_TOLERANCE = "seconds that response rows may reach beyond the audio, or the audio beyond the rows"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DatasetTable(_Table):
    """``[dataset]``: what the data are and where the audio lies."""

    name: Text = Field(description="a name for figures and result lists")
    format: Literal[1] = Field(1, description="version of the manifest's form")
    audio_dir: Text | None = Field(
        None,
        description="folder of the stories' audio files; may be left out where [[runs]] names each",
    )
    audio_suffix: str = Field("", description="end of an audio file's name after the story's name")
    alignment_dir: Text | None = Field(
        None,
        description="folder of TextGrids named by story, or of gentle's STORY/align.json or "
        "STORY/align.csv",
    )
    phone_tier: Text | None = Field(None, description="tier of phones in the TextGrids")
    word_tier: Text | None = Field(None, description="tier of words in the TextGrids")
    simulated: bool = Field(False, description="true for data that a program made up")
    layout: Text | None = Field(None, description="public layout that `braindash index` recognised")
    licence: Text | None = Field(None, description="licence of the data, for provenance")
    citation: Text | None = Field(None, description="what to cite when the data are used")


class TimingTable(_Table):
    """``[timing]``: when response rows were acquired, in audio time."""

    tr: TrSeconds = Field(description=_TR)
    first_volume: Count = Field(0, description=_FIRST)
    audio_onset: Seconds = Field(0.0, description=_ONSET)
    slice_time: Seconds = Field(0.0, description=_SLICE)
    tolerance: ToleranceSeconds = Field(30.0, description=_TOLERANCE)


class ResponsesTable(_Table):
    """``[responses]``: where response arrays lie and what their columns are."""

    path: Text | None = Field(
        None,
        description="template with {subject}, {story}, {hemi}, {run} or {session}; may be left out "
        "where every row of [[runs]] names its response",
    )
    key: Text | None = Field(
        None,
        description="name of the array in HDF5 files; a template too, such as {story}, where one "
        "file holds several stories",
    )
    repeats_key: Text | None = Field(
        None,
        description="name of the repeats in HDF5 files, a template too; the same as key where one "
        "array holds the repeats, whose mean is then the response",
    )
    repeats_path: Text | None = Field(None, description="template of files that hold repeats")
    zscored: Literal["none", "run"] = Field("none", description="how responses were standardised")
    space: Space = Field(description="what a column is")
    mapper_key: Text = Field(
        "voxel_to_fsaverage", description="name of the sparse matrix in the subjects' mapper files"
    )
    mask: Text | None = Field(
        None,
        description="NIfTI mask whose voxels are the columns; may hold {subject}. Left out beside "
        "a pycortex transform: its mask_thick.nii.gz; of NIfTI responses: every voxel",
    )
    mask_order: Literal["xyz", "zyx"] | None = Field(
        None,
        description='in which order the mask\'s voxels are columns: "xyz" is data[mask], as '
        "nilearn's; \"zyx\" is data.T[mask.T], as pycortex's, and the default beside a transform",
    )
    volume_space: Text | None = Field(
        None,
        description="standard space of the mask, or of NIfTI responses without one, such as "
        "MNI152NLin2009cAsym or MNIColin27, for an approximate map of the cortex",
    )
    surfaces: Texts | None = Field(
        None,
        description="surfaces that the columns are vertices of: left and right, or one template "
        "with {hemi} for each shape; may hold {subject}",
    )
    parcels: Texts | None = Field(
        None,
        description="label files on fsaverage, left and right, with one label a column; may hold "
        "{subject}",
    )
    parcel_names: Text | None = Field(
        None, description="text file with the name of every column's parcel, one a line"
    )


class SubjectTable(_Table):
    """``[[subjects]]``: one subject."""

    id: Name = Field(description="the subject's name in paths")
    units: Annotated[int, Field(gt=0)] | None = Field(
        None, description="number of columns of the response files"
    )
    columns: Text | None = Field(
        None,
        description=".npy with the columns that are used: a mask, or their numbers from 0; only "
        "these are read",
    )
    mask: Text | None = Field(None, description="this subject's mask, instead of responses.mask")
    person: Name | None = Field(
        None,
        description="fills {subject} in [regions], where two subjects of the manifest are one "
        "person, who listened and read for example",
    )
    test: Names | None = Field(
        None, description="stories kept for this subject's score, instead of splits.test"
    )
    scheme: Scheme | None = Field(None, description="for this subject, instead of splits.scheme")
    noise_ceiling: Text | None = Field(None, description=".npy with one ceiling per target")
    mapper: Text | None = Field(
        None, description="file with a sparse matrix from columns to vertices of fsaverage"
    )
    pycortex: Text | None = Field(
        None, description="folder of the subject's pycortex surfaces and transforms"
    )
    transform: Text | None = Field(None, description="name of the pycortex transform")
    freesurfer: Text | None = Field(None, description="folder of the subject in FreeSurfer form")


class SplitsTable(_Table):
    """``[splits]``: which stories train, validate and test."""

    test: Names = Field(description="stories kept for the final score, at least one")
    valid: Names = Field((), description="stories for choices during tuning")
    train: Names = Field((EVERY,), description='"*" for all other stories, or a list of them')
    scheme: Scheme = Field(
        "across-stories",
        description="within-story: the one test story of a subject (their only story, where test "
        "is empty) is scored in blocks of rows that are held out in turn",
    )


class RunTable(_Table):
    """``[[runs]]``: what differs from the defaults for some subjects and stories."""

    subject: Name = Field(EVERY, description='a subject\'s id, or "*" for every subject')
    story: Name = Field(EVERY, description='a story, or "*" for every story')
    run: Annotated[Name, BeforeValidator(_as_text)] | None = Field(
        None, description="fills {run} in responses.path and responses.key"
    )
    session: Annotated[Name, BeforeValidator(_as_text)] | None = Field(
        None, description="fills {session} there"
    )
    audio: Text | None = Field(None, description="audio file of this story")
    alignment: Text | None = Field(
        None, description="TextGrid, or gentle's align.json or align.csv, of this story"
    )
    response: Texts | None = Field(
        None,
        description="response file, instead of responses.path; or one for each presentation, whose "
        "mean is the response",
    )
    key: Text | None = Field(None, description="name of the array, instead of responses.key")
    tr: TrSeconds | None = Field(None, description=_TR)
    first_volume: Count | None = Field(None, description=_FIRST)
    audio_onset: Seconds | None = Field(None, description=_ONSET)
    slice_time: Seconds | None = Field(None, description=_SLICE)
    tolerance: ToleranceSeconds | None = Field(None, description=_TOLERANCE)
    score_from_row: Count | None = Field(None, description="first row that counts in scores")


class RegionsTable(_Table):
    """``[regions]``: regions of your own, named "own" wherever a region set is chosen."""

    labels: Texts | None = Field(
        None, description="label files, left and right, or one of all targets; may hold {subject}"
    )
    masks: dict[Name, Texts] = Field(
        default_factory=dict,
        description="a region's mask files (a localiser's, for example): one of all targets, or "
        "left and right; may hold {subject}",
    )
    set: Text | None = Field(
        None, description="region set whose labels are grouped, where there are no label files"
    )
    groups: dict[Name, Names] = Field(
        default_factory=dict, description="regions that are several labels together, by name"
    )


class ManifestTables(_Table):
    """A whole manifest."""

    dataset: DatasetTable
    timing: TimingTable
    responses: ResponsesTable
    subjects: Annotated[tuple[SubjectTable, ...], Field(strict=False, min_length=1)]
    splits: SplitsTable
    runs: Annotated[tuple[RunTable, ...], Field(strict=False)] = ()
    regions: RegionsTable | None = None


_SINGLE: dict[str, type[_Table]] = {
    "dataset": DatasetTable,
    "timing": TimingTable,
    "responses": ResponsesTable,
    "splits": SplitsTable,
    "regions": RegionsTable,
}
_REPEATED: dict[str, type[_Table]] = {"subjects": SubjectTable, "runs": RunTable}
_MODELS = _SINGLE | _REPEATED


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the user's data, and what to do about it."""

    message: str
    hint: str


def raise_problems(title: str, problems: Sequence[Problem]) -> None:
    """Raise one InputError that lists every problem; do nothing when there is none.

    Parameters
    ----------
    title : str
        What cannot be used, such as ``"manifest.toml"``.
    problems : sequence of Problem
        What was found.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise InputError(f"{title}: {problems[0].message}", hint=problems[0].hint)
    lines = [
        f"  {number}. {problem.message}\n     {problem.hint}"
        for number, problem in enumerate(problems, 1)
    ]
    raise InputError(
        f"{title} has {len(problems)} problems:\n" + "\n".join(lines),
        hint="Correct them all, then start again; the lines above say how.",
    )


def read_tables(path: Path, text: str | None = None) -> tuple[ManifestTables | None, list[Problem]]:
    """Read a manifest's TOML and check its form.

    Parameters
    ----------
    path : Path
        The manifest.
    text : str, optional
        What stands in it, where it is not written.

    Returns
    -------
    tables : ManifestTables or None
        The tables, without the fields that were refused; None when a needed field is among them.
    problems : list of Problem
        Everything that is wrong with the form.

    Raises
    ------
    InputError
        The file is missing or is no TOML.
    """
    data = parsed_toml(path, manifest_text(path) if text is None else text)
    try:
        return ManifestTables.model_validate(data), []
    except PydanticError as error:
        details = error.errors(include_url=False)
    problems = [_problem(detail, data) for detail in details]
    try:
        return ManifestTables.model_validate(_without_refused(data, details)), problems
    except PydanticError:
        return None, problems


def manifest_text(path: Path) -> str:
    """Return what stands in a manifest.

    Raises
    ------
    InputError
        The file is missing, or no text.
    """
    if not path.is_file():
        raise InputError(
            f"the manifest {path} is missing",
            hint="Give the path of a manifest.toml that describes the data.",
        )
    refuse_placeholder(path, "manifest")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: {error}", hint="Save the manifest as UTF-8."
        ) from error


def parsed_toml(path: Path, text: str, what: str = "manifest") -> dict[str, Any]:
    """Return the tables of a TOML file from its text; ``what`` it is stands in errors.

    Raises
    ------
    InputError
        It is no TOML; the hint shows the line where that is known.
    """
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{path} is not valid TOML: {error}",
            hint=_toml_hint(text, error),
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is no {what}: {error}", hint="Give the TOML file that somebody wrote for it."
        ) from error


def _toml_hint(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Say what to do about a line; the back-slashes of Windows' paths are the usual reason."""
    found = re.search(r"at line (\d+)", str(error))
    lines = text.split("\n")
    number = int(found[1]) - 1 if found else len(lines)
    if number < len(lines) and "\\" in lines[number]:
        return (
            f"The line is: {lines[number].strip()}. A back-slash means something else in double "
            "quotes: write paths with '/', or in 'single quotes'."
        )
    return (
        "Texts stand in double quotes, tables in [brackets], lists in [a, b]; see https://toml.io."
    )


def _without_refused(data: dict[str, Any], details: Sequence[ErrorDetails]) -> dict[str, Any]:
    """Drop refused fields, so that the rest of the manifest can be checked as well."""
    left = copy.deepcopy(data)
    for detail in details:
        depth = 3 if detail["loc"][0] in _REPEATED else 2
        *parents, field = detail["loc"][:depth]
        table: Any = left
        for step in parents:
            table = table[step]
        if isinstance(table, dict):
            table.pop(field, None)
    return left


def _problem(detail: ErrorDetails, data: dict[str, Any]) -> Problem:
    place = [str(step) for step in detail["loc"]]
    table, field = place[0], detail["loc"][-1]
    if len(place) == 1 or (table in _REPEATED and len(place) == 2):
        return _table_problem(detail, table)
    fields = _MODELS[table].model_fields
    where = _table_name(detail["loc"], data)
    if detail["type"] == "extra_forbidden":
        return Problem(f"{where} has the unknown field {field!r}", near_match(str(field), fields))
    name = place[2] if table in _REPEATED else place[1]
    description = fields[name].description or ""
    if detail["type"] == "missing":
        return Problem(f"{where} lacks the field {name!r}", f"Give {name}: {description}.")
    given = detail["input"]
    message = f"{where} {name} = {given!r} is not allowed: {_reason(detail)}"
    allowed = get_args(fields[name].annotation)
    if detail["type"] == "literal_error":
        return Problem(message, near_match(str(given), [str(value) for value in allowed]))
    return Problem(message, f"{name} is {description}.")


def _table_problem(detail: ErrorDetails, table: str) -> Problem:
    """Describe a problem with a whole table: unknown, missing or of the wrong kind."""
    if detail["type"] == "extra_forbidden":
        kind = "table" if isinstance(detail["input"], dict | list) else "field"
        return Problem(f"there is an unknown {kind} {table!r}", near_match(table, _MODELS))
    brackets = f"[[{table}]]" if table in _REPEATED else f"[{table}]"
    needed = [name for name, field in _MODELS[table].model_fields.items() if field.is_required()]
    hint = f"Write {brackets} with at least: {', '.join(needed) or 'nothing'}."
    if detail["type"] in ("missing", "too_short"):
        return Problem(f"the table {brackets} is missing", hint)
    return Problem(f"{table} must be written as {brackets}", hint)


def _table_name(loc: tuple[int | str, ...], data: dict[str, Any]) -> str:
    table = str(loc[0])
    if table in _SINGLE or not isinstance(loc[1], int):
        return f"[{table}]"
    row = data[table][loc[1]]
    shown = ", ".join(f"{key} = {row[key]!r}" for key in ("id", "subject", "story") if key in row)
    return f"[[{table}]] number {loc[1] + 1}" + (f" ({shown})" if shown else "")


def _reason(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return "a name needs at least one character, and no slash or backslash"
    message = detail["msg"]
    return message[0].lower() + message[1:]
